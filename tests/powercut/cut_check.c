/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut_check.c -- opens the store after a power cut and compares it with what was acknowledged.
 *
 *     cut_check recover STORE ACKS ENGINE SEED    opens it and dies: the cut inside recovery
 *     cut_check check   STORE ACKS ENGINE SEED    the whole proof; the store and ACKS go on
 *
 * Every record acknowledged as durable must be there, at its position and queue offset, with its
 * bytes; so must every record of the same session before it, because durable is a prefix. Queues
 * are contiguous, batches whole, bodies prove that they were appended, epochs rise, verify finds
 * the store sound before the recovery and after it, and retention took no more than it was told.
 * Nothing is there that no session has tried to append, nor what an earlier check has not found.
 * What the recovery serves is from then on as good as acknowledged, all of it: ACKS is rewritten
 * so, and the next cut asks for it. Then it appends a little and closes, or dies.
 *
 * The last line of output is NAME=VALUE words. Exit status: 0 sound, 1 a promise is broken, 4 the
 * store cannot be opened because of the disk.
 *
 * Owns: the store while it runs. One thread.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "session.h"

struct figures {
    uint64_t acknowledged; /* since the last check: durable, or before something durable */
    uint64_t found;        /* of those, compared and equal */
    uint64_t retired;      /* of those, dropped by retention before this check */
    uint64_t compared;     /* with those of earlier rounds */
};

/* ---- acknowledgements --------------------------------------------------------------------------
 */

/* A session has made durable what it appended before something that it acknowledged so. */
static void acks_promote(struct evidence *evidence)
{
    uint64_t *durable = NULL;
    uint32_t epochs = 0;
    for (uint32_t i = 0; i < evidence->count; i++)
        if (evidence->acks[i].epoch >= epochs)
            epochs = evidence->acks[i].epoch + 1;
    durable = need_alloc((epochs + 1) * sizeof *durable);
    for (uint32_t i = 0; i < evidence->count; i++) {
        const struct ack *ack = &evidence->acks[i];
        if (ack->level == COMMITLOG_LEVEL_DURABLE && ack->position > durable[ack->epoch])
            durable[ack->epoch] = ack->position;
    }
    for (uint32_t i = 0; i < evidence->count; i++) {
        struct ack *ack = &evidence->acks[i];
        if (ack->position < durable[ack->epoch])
            ack->level = COMMITLOG_LEVEL_DURABLE;
    }
    free(durable);
}

/* What this store serves now must survive every later cut, and nothing else may come back: that is
 * what ACKS says from now on. `numbers` of the topics by index. */
static void acks_carry(const char *path, struct commitlog_store *store,
                       const uint32_t numbers[KILL_TOPICS])
{
    struct evidence kept = {NULL, 0, 0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message m;
    uint32_t got = 0;
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    while (commitlog_cursor_fetch(cursor, &m, 1, 0, &got, NULL) == COMMITLOG_OK) {
        uint32_t topic = 0;
        if (m.kind != COMMITLOG_KIND_MESSAGE)
            continue;
        while (topic < KILL_TOPICS && numbers[topic] != m.topic)
            topic++;
        CHECKF(topic < KILL_TOPICS, "a record of topic %u", m.topic);
        evidence_add(&kept, &(struct ack){m.position, m.queue_offset,
                                          bytes_hash(m.body.data, m.body.bytes), m.body.bytes,
                                          m.store_time_ns, topic, m.queue, COMMITLOG_LEVEL_DURABLE,
                                          m.epoch});
    }
    commitlog_cursor_close(cursor);
    acks_replace(path, &kept);
    evidence_free(&kept);
}

static void figures_count(const struct evidence *evidence, uint64_t first, uint32_t known,
                          struct figures *out)
{
    for (uint32_t i = 0; i < evidence->count; i++) {
        bool retired = evidence->acks[i].position < first;
        if (evidence->acks[i].level != COMMITLOG_LEVEL_DURABLE)
            continue;
        out->compared += !retired;
        if (i < known)
            continue;
        out->acknowledged++;
        out->retired += retired;
        out->found += !retired;
    }
}

/* What an earlier check has carried: so many acknowledgements, which lead the file, are all that
 * the log had of the epochs before `epoch`. */
struct known {
    uint32_t count;
    uint32_t epoch;
};

static struct known known_load(const char *acks_path, uint32_t count)
{
    char path[512];
    FILE *file = NULL;
    struct known known = {0, 0};
    snprintf(path, sizeof path, "%s.known", acks_path);
    file = fopen(path, "r");
    if (file == NULL)
        return known;
    CHECK(fscanf(file, "%u %u", &known.count, &known.epoch) == 2 && known.count <= count);
    fclose(file);
    return known;
}

static void known_save(const char *acks_path, uint32_t epoch)
{
    char path[512];
    struct evidence evidence;
    FILE *file = NULL;
    acks_load(acks_path, &evidence);
    snprintf(path, sizeof path, "%s.known", acks_path);
    file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fprintf(file, "%u %u\n", evidence.count, epoch) > 0 && fclose(file) == 0);
    evidence_free(&evidence);
}

/* ---- ghosts ------------------------------------------------------------------------------------
 */

static int hash_order(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Nothing is there that was never given to the library, and nothing of a time that an earlier check
 * has seen comes back. */
static void check_ghosts(const char *acks_path, const struct evidence *evidence,
                         const struct known *known, struct commitlog_store *store, uint64_t first)
{
    struct file_bytes tried = {NULL, 0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message m;
    uint64_t old = 0, expected = 0;
    char path[512];
    uint32_t got = 0;
    snprintf(path, sizeof path, "%s.tried", acks_path);
    if (path_exists(path))
        tried = file_read(path);
    qsort(tried.data, tried.size / sizeof(uint64_t), sizeof(uint64_t), hash_order);
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    while (commitlog_cursor_fetch(cursor, &m, 1, 0, &got, NULL) == COMMITLOG_OK) {
        uint64_t hash = bytes_hash(m.body.data, m.body.bytes);
        if (m.kind != COMMITLOG_KIND_MESSAGE)
            continue;
        CHECKF(bsearch(&hash, tried.data, tried.size / sizeof hash, sizeof hash, hash_order) !=
                   NULL,
               "ghost: the record at %llu was never appended", (unsigned long long)m.position);
        old += m.epoch < known->epoch;
    }
    commitlog_cursor_close(cursor);
    for (uint32_t i = 0; i < known->count; i++)
        expected += evidence->acks[i].epoch < known->epoch && evidence->acks[i].position >= first;
    CHECKF(old == expected, "ghost: %llu records of before epoch %u, there were %llu",
           (unsigned long long)old, known->epoch, (unsigned long long)expected);
    file_free(&tried);
}

/* ---- the proof ---------------------------------------------------------------------------------
 */

static void check_verify(const char *path, bool may_be_missing)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    int32_t rc = commitlog_verify(path, NULL, &report, &err);
    for (uint32_t i = 0;
         rc == COMMITLOG_EDAMAGED && commitlog_report_damage(report, i, &damage) == COMMITLOG_OK;
         i++)
        printf("damage: [%llu, %llu): %s\n", (unsigned long long)damage.from_position,
               (unsigned long long)damage.to_position, damage.reason);
    commitlog_report_free(report);
    if (may_be_missing && rc == COMMITLOG_ENOTFOUND)
        return; /* the first cut came before the store was there */
    CHECK_OK(rc, &err);
}

static void check_kept(struct commitlog_store *store)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    CHECK_RC(commitlog_positions_get(store, &positions), COMMITLOG_OK);
    CHECK(positions.durable <= positions.published && positions.first <= positions.durable);
    /* Nothing was dropped yet while `first` is in a first segment. */
    CHECKF(positions.first < SESSION_SEGMENT_MIN ||
               positions.claimed - positions.first >= SESSION_KEEP_BYTES - 3 * SESSION_SEGMENT_MAX,
           "retention left %llu bytes", (unsigned long long)(positions.claimed - positions.first));
}

static uint64_t check_content(const struct evidence *evidence, struct commitlog_store *store)
{
    struct verdict verdict;
    evidence_check(evidence, store, COMMITLOG_LEVEL_DURABLE, UINT32_MAX, &verdict);
    if (verdict.lost + verdict.altered + verdict.broken > 0)
        printf("lost=%llu altered=%llu broken=%llu first: %s\n", (unsigned long long)verdict.lost,
               (unsigned long long)verdict.altered, (unsigned long long)verdict.broken,
               verdict.first);
    CHECKF(verdict.lost == 0, "%llu lost: %s", (unsigned long long)verdict.lost, verdict.first);
    CHECKF(verdict.altered == 0, "%llu altered: %s", (unsigned long long)verdict.altered,
           verdict.first);
    CHECKF(verdict.broken == 0, "%llu broken: %s", (unsigned long long)verdict.broken,
           verdict.first);
    return verdict.found;
}

static void append_some(struct commitlog_store *store, const char *acks_path, struct rng *rng)
{
    uint32_t numbers[KILL_TOPICS];
    int fd = acks_open(acks_path, "");
    int tried_fd = acks_open(acks_path, ".tried");
    CHECK(session_topics(store, true, numbers) == 0);
    for (uint64_t i = rng_below(rng, 20); i > 0; i--) {
        uint32_t topic = (uint32_t)rng_below(rng, KILL_TOPICS);
        uint32_t queue = (uint32_t)rng_below(rng, KILL_QUEUES);
        struct commitlog_receipt receipt = {0};
        uint8_t *body = NULL;
        size_t bytes = session_body(rng, 300, 0, 0, 0, &body);
        tried_write(tried_fd, body, bytes);
        CHECK_RC(commitlog_append(store, numbers[topic], queue, body, bytes,
                                  COMMITLOG_LEVEL_DURABLE, &receipt),
                 COMMITLOG_OK);
        struct ack ack = {receipt.position,
                          receipt.queue_offset,
                          bytes_hash(body, bytes),
                          bytes,
                          receipt.store_time_ns,
                          topic,
                          queue,
                          receipt.level,
                          receipt.epoch};
        acks_write(fd, &ack, 1);
        free(body);
    }
    close(fd);
    close(tried_fd);
}

static void print_figures(struct commitlog_store *store, const struct figures *figures,
                          uint64_t records)
{
    static const char *const tails[] = {"clean", "torn", "unprovable", "damaged"};
    struct commitlog_recovery found = {.struct_bytes = sizeof found};
    CHECK_RC(commitlog_recovery_get(store, &found), COMMITLOG_OK);
    CHECK(found.tail < COMMITLOG_TAIL_DAMAGED && found.damaged_ranges == 0);
    printf("epoch=%u clean_close=%u tail=%s cut=%llu rewritten=%llu staged=%llu same_boot=%u "
           "quarantined=%u "
           "records=%llu compared=%llu acknowledged=%llu retired=%llu found=%llu\n",
           found.epoch, found.clean_close, tails[found.tail], (unsigned long long)found.bytes_cut,
           (unsigned long long)found.bytes_rewritten, (unsigned long long)found.records_from_stage,
           found.same_boot, found.quarantined, (unsigned long long)records,
           (unsigned long long)figures->compared, (unsigned long long)figures->acknowledged,
           (unsigned long long)figures->retired, (unsigned long long)figures->found);
}

static int run_check(const char *path, const char *acks_path, const char *engine, uint64_t seed)
{
    struct commitlog_options *options = session_options(engine, seed);
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct evidence evidence;
    struct figures figures = {0, 0, 0, 0};
    uint64_t records = 0;
    struct known known = {0, 0};
    uint32_t numbers[KILL_TOPICS];
    struct rng rng;
    rng_begin(&rng, seed);
    acks_load(acks_path, &evidence);
    known = known_load(acks_path, evidence.count);
    /* Nothing is dropped while it is compared. */
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_RETAIN_BYTES, 0, NULL), COMMITLOG_OK);
    acks_promote(&evidence);
    check_verify(path, evidence.count == 0);
    if (session_open(path, acks_path, options, &store) != COMMITLOG_OK)
        return 4;
    commitlog_options_free(options);
    check_kept(store);
    records = check_content(&evidence, store);
    check_verify(path, false);
    CHECK_RC(commitlog_positions_get(store, &positions), COMMITLOG_OK);
    figures_count(&evidence, positions.first, known.count, &figures);
    check_ghosts(acks_path, &evidence, &known, store, positions.first);
    (void)session_topics(store, false, numbers);
    acks_carry(acks_path, store, numbers);
    known_save(acks_path, positions.epoch);
    evidence_free(&evidence);
    print_figures(store, &figures, records);
    if (rng_chance(&rng, 2, 3))
        append_some(store, acks_path, &rng);
    if (rng_chance(&rng, 1, 2))
        CHECK_OK(commitlog_close(store, &err), &err);
    return 0;
}

int main(int argc, char **argv)
{
    CHECKF(argc == 6, "usage: %s recover|check STORE ACKS ENGINE SEED", argv[0]);
    uint64_t seed = strtoull(argv[5], NULL, 0);
    prog_seed_set(seed);
    if (strcmp(argv[1], "recover") == 0) {
        struct commitlog_options *options = session_options(argv[4], seed);
        struct commitlog_store *store = NULL;
        int32_t rc = session_open(argv[2], argv[3], options, &store);
        commitlog_options_free(options);
        return rc == COMMITLOG_OK ? 0 : 4;
    }
    return run_check(argv[2], argv[3], argv[4], seed);
}
