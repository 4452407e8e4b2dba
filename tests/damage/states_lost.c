/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states_lost.c -- what every way of reading gives and says of a store of which a part is lost, and
 * what salvage leaves of it; see states.h.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "states.h"

enum { DATA = 8192, FETCH = 16 };

static struct placed lost_places[SMALL_POSITIONS_MAX];

static struct commitlog_store *lost_open(struct states *states, uint64_t access, uint64_t recovery)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    int32_t rc = states_open(states->path, access, recovery, &store, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: %s: %s", states->name, commitlog_error_name(rc), err.message);
    return store;
}

static void lost_close(struct commitlog_store *store)
{
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_close(store, &err), &err);
}

/* Of a file that was cut short a reader gives what is left. */
static void lost_short(struct states *states)
{
    char path[DIRS_PATH_MAX];
    states_fresh(states, "a segment cut short, read");
    uint32_t count = small_places(states->pristine, lost_places);
    uint64_t base = strtoull(states->segments.names[1], NULL, 10);
    uint64_t cut = 0;
    for (uint32_t i = 0; i < count; i++) {
        cut = lost_places[i].position < base + SMALL_SEGMENT ? lost_places[i].position : cut;
    }
    states_segment(states, 1, path);
    CHECK(truncate(path, (off_t)(cut - base)) == 0);
    struct commitlog_store *store = lost_open(states, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    for (uint32_t i = 0; i < count; i++) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        int32_t rc = commitlog_get(store, lost_places[i].position, &message, &lease, NULL);
        CHECKF(rc == (lost_places[i].position == cut ? COMMITLOG_EDAMAGED : COMMITLOG_OK),
               "%s: %s at %llu", states->name, commitlog_error_name(rc),
               (unsigned long long)lost_places[i].position);
        if (rc == COMMITLOG_OK) {
            CHECK(small_message_hash(&message) == lost_places[i].hash);
            commitlog_lease_release(lease);
        }
    }
    lost_close(store);
}

/* By copies, each call on its own: from where a queue begins now to its end. */
static void lost_copied(struct states *states)
{
    static uint8_t buffer[SMALL_SEGMENT];
    char path[DIRS_PATH_MAX];
    uint32_t read = 0;
    uint32_t left = 0;
    states_fresh(states, "the first segment is lost, copied");
    uint32_t count = small_places(states->pristine, lost_places);
    for (uint32_t i = 0; i < count; i++) {
        left += lost_places[i].position >= SMALL_SEGMENT;
    }
    states_segment(states, 0, path);
    dirs_remove(path);
    struct commitlog_store *store = lost_open(states, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    for (uint32_t t = 0; t < commitlog_topic_count(store); t++) {
        for (uint32_t q = 0; q < 2; q++) {
            struct commitlog_queue_info info = {.struct_bytes = sizeof info};
            struct commitlog_message message;
            uint32_t got = 0;
            uint64_t bound = 0;
            CHECK_RC(commitlog_queue_info(store, t, q, &info), COMMITLOG_OK);
            if (info.first_offset > 0) { /* something of it was in that segment */
                CHECK_RC(commitlog_read_copy(store, t, q, 0, buffer, sizeof buffer, &message, 1,
                                             &got, &bound),
                         COMMITLOG_EDAMAGED);
                CHECKF(bound + 1 == info.first_offset, "%s: bound %llu before %llu", states->name,
                       (unsigned long long)bound, (unsigned long long)info.first_offset);
            }
            uint64_t at = info.first_offset;
            while (at < info.next_offset) {
                int32_t rc = commitlog_read_copy(store, t, q, at, buffer, sizeof buffer, &message,
                                                 1, &got, &bound);
                if (rc == COMMITLOG_EEND) {
                    break; /* a hole was the last */
                }
                CHECK_RC(rc, COMMITLOG_OK);
                at = message.queue_offset + 1;
                read++;
            }
        }
    }
    CHECKF(read == left, "%s: %u of %u", states->name, read, left);
    lost_close(store);
}

struct lost_keys {
    struct states *states;
    uint64_t hit[SMALL_POSITIONS_MAX];
    bool told[SMALL_POSITIONS_MAX];
    uint32_t hits;
    uint32_t found;
};

/* Each second message of a query is hit in its header; or what a query says of those is noted. */
static void lost_query(struct lost_keys *keys, struct commitlog_cursor *cursor, bool hits)
{
    struct commitlog_message messages[FETCH];
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED) {
        uint32_t got = 0;
        uint64_t bound = UINT64_MAX;
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, &bound);
        for (uint32_t i = 0; i < keys->hits && rc == COMMITLOG_EDAMAGED; i++) {
            keys->told[i] = keys->told[i] || keys->hit[i] == bound;
        }
        for (uint32_t i = 0; hits && rc == COMMITLOG_OK && i < got; i++) {
            CHECK(keys->hits < SMALL_POSITIONS_MAX);
            if (keys->found++ % 2 != 0) {
                keys->hit[keys->hits++] = messages[i].position;
            }
        }
    }
    CHECK_RC(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}

static void lost_queries(struct lost_keys *keys, bool hits)
{
    static const char *const names[] = {"key-0", "key-1", "key-2", "key-3"};
    struct commitlog_store *store =
        lost_open(keys->states, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    for (uint32_t t = 0; t < commitlog_topic_count(store); t++) {
        for (uint32_t k = 0; k < 4; k++) {
            struct commitlog_cursor *cursor = NULL;
            CHECK_RC(commitlog_cursor_open_key(store, t, names[k], 5, INT64_MIN, INT64_MAX, &cursor,
                                               NULL),
                     COMMITLOG_OK);
            lost_query(keys, cursor, hits);
        }
    }
    lost_close(store);
}

/* Every record that fails is told to who asks for its key, also when others come with it. */
static void lost_keys(struct states *states)
{
    static const uint8_t noise[4] = {0x5a, 0xa5, 0x5a, 0xa5};
    static struct lost_keys keys;
    char path[DIRS_PATH_MAX];
    states_fresh(states, "records with keys are damaged");
    memset(&keys, 0, sizeof keys);
    keys.states = states;
    lost_queries(&keys, true);
    for (uint32_t i = 0; i < keys.hits; i++) {
        states_segment(states, (uint32_t)(keys.hit[i] / SMALL_SEGMENT), path);
        file_patch(path, keys.hit[i] % SMALL_SEGMENT + 24, noise, sizeof noise);
    }
    lost_queries(&keys, false);
    CHECKF(keys.hits > 4, "%s: %u", states->name, keys.hits);
    for (uint32_t i = 0; i < keys.hits; i++) {
        /* The keys of the active segment are found from its records, those that verify. */
        CHECKF(keys.told[i] || keys.hit[i] >= 2 * SMALL_SEGMENT, "%s: %llu is not told of",
               states->name, (unsigned long long)keys.hit[i]);
    }
}

/* The one file that does not belong here is named: who took the others away would take the store.
 */
static void lost_foreign(struct states *states)
{
    char other[DIRS_PATH_MAX];
    char from[DIRS_PATH_MAX];
    char to[DIRS_PATH_MAX];
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    states_fresh(states, "CHECKPOINT of another store");
    path_join(other, states->root, "other");
    small_make(other, COMMITLOG_ENGINE_STAGED, 4711);
    path_join(from, other, "CHECKPOINT");
    path_join(to, states->path, "CHECKPOINT");
    struct file_bytes file = file_read(from);
    file_write(to, file.data, file.size);
    file_free(&file);
    for (uint64_t recovery = 0; recovery <= COMMITLOG_RECOVER_SALVAGE; recovery++) {
        CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, recovery, &store, &err),
                 COMMITLOG_EFOREIGN);
        CHECKF(strstr(err.message, "CHECKPOINT") != NULL, "%s: \"%s\"", states->name, err.message);
    }
    dirs_remove(to);
    states_sound(states);
    dirs_remove(other);
}

/* A lost end: what had been durable there is reported, and its place is not given out again. */
static void lost_end(struct states *states)
{
    char path[DIRS_PATH_MAX];
    struct commitlog_error err = {.message = ""};
    struct commitlog_receipt receipt;
    uint32_t topic = 0;
    for (uint32_t first = 1; first < 3; first++) {
        states_fresh(states, first == 1 ? "the last two segments are lost, salvaged"
                                        : "the last segment is lost, salvaged");
        uint32_t count = small_places(states->pristine, lost_places);
        for (uint32_t i = first; i < 3; i++) {
            states_segment(states, i, path);
            dirs_remove(path);
        }
        struct commitlog_store *store =
            lost_open(states, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE);
        struct commitlog_damage damage = {.struct_bytes = sizeof damage};
        uint64_t from = UINT64_MAX;
        uint64_t to = 0;
        for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == COMMITLOG_OK; i++) {
            from = damage.from_position < from ? damage.from_position : from;
            to = damage.to_position != UINT64_MAX && damage.to_position > to ? damage.to_position
                                                                             : to;
        }
        CHECKF(from <= (uint64_t)first * SMALL_SEGMENT + DATA &&
                   to > lost_places[count - 1].position,
               "%s: reported are [%llu, %llu)", states->name, (unsigned long long)from,
               (unsigned long long)to);
        CHECK_OK(commitlog_topic_open(store, "alpha", 5, 0, &topic, &err), &err);
        CHECK_RC(commitlog_append(store, topic, 0, "more", 4, COMMITLOG_LEVEL_DURABLE, &receipt),
                 COMMITLOG_OK);
        CHECKF(receipt.position > lost_places[count - 1].position,
               "%s: position %llu is given out again", states->name,
               (unsigned long long)receipt.position);
        lost_close(store);
        CHECK_RC(states_verify(states), COMMITLOG_OK);
    }
}

/* A lost beginning is reported also when other damage is. */
static void lost_front(struct states *states)
{
    char path[DIRS_PATH_MAX];
    static const uint8_t noise[16] = {1, 2, 3};
    states_fresh(states, "the first segment is lost and the second damaged, salvaged");
    uint32_t count = small_places(states->pristine, lost_places);
    uint32_t hit = 0;
    while (hit < count && lost_places[hit].position < SMALL_SEGMENT) {
        hit++;
    }
    states_segment(states, 1, path);
    file_patch(path, lost_places[hit].position - SMALL_SEGMENT + 50, noise, sizeof noise);
    states_segment(states, 0, path);
    dirs_remove(path);
    struct commitlog_store *store =
        lost_open(states, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE);
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    bool front = false;
    bool record = false;
    for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == COMMITLOG_OK; i++) {
        front = front || (damage.from_position == 0 && damage.to_position == SMALL_SEGMENT);
        record = record || damage.from_position == lost_places[hit].position;
    }
    CHECKF(front && record, "%s: not all is reported", states->name);
    lost_close(store);
}

static void without_checkpoint(struct states *states)
{
    char path[DIRS_PATH_MAX];
    path_join(path, states->path, "CHECKPOINT");
    dirs_remove(path);
}

/* Opened for writing and closed, with a message or two more. Before that verify says that
 * CHECKPOINT is lost, if it is, and nothing else. */
static void lost_go_on(struct states *states, bool lost)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_report *report = NULL;
    CHECK_RC(commitlog_verify(states->path, NULL, &report, NULL),
             lost ? COMMITLOG_EDAMAGED : COMMITLOG_OK);
    CHECKF(!lost || (commitlog_report_damage(report, 0, &damage) == COMMITLOG_OK &&
                     strcmp(damage.reason, "there is no CHECKPOINT") == 0 &&
                     commitlog_report_damage(report, 1, &damage) == COMMITLOG_ENOTFOUND),
           "%s: \"%s\" is not all", states->name, damage.reason);
    commitlog_report_free(report);
    small_extend(states->path, COMMITLOG_ENGINE_STAGED, 2, 50);
}

/* A writer opens, and dies before it does anything. */
static void lost_writer_dies(struct states *states, uint64_t recovery)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)lost_open(states, COMMITLOG_READ_WRITE, recovery);
        (void)kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

/* Without CHECKPOINT the log says itself where it begins: that its oldest segments are missing is
 * seen, and what salvage leaves, or retention, is no damage. */
static void lost_beginning(struct states *states)
{
    static const char *const ways[] = {
        "no CHECKPOINT, no first segment",
        "no CHECKPOINT, no first segment, recovered offline",
        "no CHECKPOINT, no first segment, salvaged by a writer that dies",
        "no CHECKPOINT, no first segment, recovered offline for a writer that dies",
    };
    char path[DIRS_PATH_MAX];
    for (uint32_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        states_fresh(states, ways[way]);
        states_segment(states, 0, path);
        dirs_remove(path);
        without_checkpoint(states);
        states_damaged(states, COMMITLOG_EDAMAGED);
        if (way % 2 == 1) {
            states_recover(states, COMMITLOG_RECOVER_SALVAGE);
        }
        if (way >= 2) {
            lost_writer_dies(states, way == 2 ? COMMITLOG_RECOVER_SALVAGE : COMMITLOG_RECOVER_TAIL);
        } else if (way == 0) {
            states_salvage(states, 24);
        } else {
            lost_go_on(states, false);
        }
        without_checkpoint(states);
        lost_go_on(states, true);
    }
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct commitlog_error err = {.message = ""};
    states_fresh(states, "no CHECKPOINT, the first segments dropped by retention");
    struct commitlog_store *store = lost_open(states, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    CHECK_OK(commitlog_retain(store, &policy, &out, &err), &err);
    CHECK(out.segments_dropped == 2);
    lost_close(store);
    without_checkpoint(states);
    lost_go_on(states, true);
    small_extend(states->path, COMMITLOG_ENGINE_STAGED, 60, 3000);
    without_checkpoint(states);
    states_segment(states, 2, path); /* the oldest now */
    CHECK(path_exists(path));
    dirs_remove(path);
    states_damaged(states, COMMITLOG_EDAMAGED);
}

void states_lost(struct states *states)
{
    CHECK(states->segments.count >= 3);
    lost_short(states);
    lost_copied(states);
    lost_keys(states);
    lost_foreign(states);
    lost_end(states);
    lost_front(states);
    lost_beginning(states);
}
