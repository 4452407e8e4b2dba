/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions_test.c -- transactions from many threads of one process, by the real clock.
 *
 * Writers have some open at once, with messages for two topics and with the offset of what they
 * made them from; they commit, prepare, roll back, close and forget them, or are too late. What
 * they leave prepared another thread decides by number, as one who is asked would. Retention takes
 * all but the last, so that what is open is carried forward. A reader, whose group keeps what it
 * has not read, follows both topics in log order: the messages of one transaction follow one
 * another and never end in the middle, who has seen it in one topic finds it in the other, and its
 * offset with it, nothing comes twice, nothing that was rolled back comes, and in the end all that
 * was committed has come.
 *
 * Environment: SEED, DURATION (seconds, default 4, over both engines), WRITERS (default 3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/dirs.h"
#include "load.h"

enum { WRITERS_MAX = 8, SERIALS_MAX = 1 << 16, SLOTS = 4, TOPICS = 2, QUEUES = 3, MOST = 5 };

enum outcome { OUTCOME_OPEN, OUTCOME_MAY_COME, OUTCOME_NEVER };

static const char asked[] = "asked"; /* their producers leave them prepared */
static const char own[] = "own";

struct note {
    _Atomic uint32_t outcome;
    _Atomic uint64_t offset; /* of the writer's source; 0: none */
    uint32_t seen;           /* the reader's: topics */
};

struct which {
    uint32_t writer;
    uint32_t serial;
};

struct stress {
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store;
    struct commitlog_group *group;   /* of those who consume the source */
    struct commitlog_group *readers; /* of the reader */
    uint32_t source;
    uint32_t topics[TOPICS];
    _Atomic bool stop;
    _Atomic bool writers_done;
    _Atomic bool decider_done;
    _Atomic uint64_t owed; /* messages */
    _Atomic uint64_t late; /* transactions whose time was over */
    _Atomic uint64_t decided;
    struct note (*notes)[SERIALS_MAX]; /* by writer and serial */
    struct which *partial[TOPICS];     /* seen in this topic, and not yet in the other */
    uint32_t partial_count[TOPICS];
    uint64_t came;
    uint64_t copied; /* of them: what they would refer to was about to go */
    uint64_t carried_bytes;
};

/* One that is open. */
struct slot {
    struct commitlog_transaction *transaction; /* NULL: none */
    uint32_t serial;
    uint32_t messages;
    uint32_t end_by; /* drawn below 20 */
    bool begins_prepared;
    int64_t end_ms;
};

struct worker {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    uint32_t number;
    uint32_t serial;
    struct slot slots[SLOTS];
};

/* ---- writers ---- */

/* What a body says beside whose it is: its place in the transaction, in its topic, and how many
 * there are in each. */
static uint64_t pack(struct rng *rng, uint32_t index, const uint32_t counts[TOPICS])
{
    return rng_next(rng) << 24 | (uint64_t)counts[1] << 16 | (uint64_t)counts[0] << 8 | index;
}

static bool append_all(struct worker *worker, struct slot *slot)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    uint32_t counts[TOPICS] = {(uint32_t)rng_below(&worker->rng, MOST),
                               (uint32_t)rng_below(&worker->rng, MOST)};
    uint32_t next[TOPICS] = {0, 0};
    counts[0] += counts[0] + counts[1] == 0 ? 1 : 0;
    if (slot->begins_prepared) { /* then it is one message */
        counts[1] = (uint32_t)rng_below(&worker->rng, 2);
        counts[0] = 1 - counts[1];
    }
    slot->messages = counts[0] + counts[1];
    for (uint32_t i = 0; i < slot->messages; i++) {
        uint8_t bytes[LOAD_BODY_MAX];
        uint32_t t = (uint32_t)rng_below(&worker->rng, TOPICS);
        uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
        t = next[t] < counts[t] ? t : 1 - t;
        struct commitlog_slice body = {bytes,
                                       (size_t)rng_between(&worker->rng, LOAD_HEAD_BYTES, 3000)};
        load_fill(bytes, body.bytes, worker->number, queue, slot->serial,
                  pack(&worker->rng, next[t]++, counts));
        const struct commitlog_record record = {.struct_bytes = sizeof record,
                                                .topic = stress->topics[t],
                                                .queue = queue,
                                                .level = COMMITLOG_LEVEL_NONE,
                                                .body = &body,
                                                .body_count = 1};
        int32_t rc =
            commitlog_transaction_append(slot->transaction, &record, COMMITLOG_FOREVER, NULL, &err);
        CHECKF(rc == COMMITLOG_OK || (rc == COMMITLOG_ENOTFOUND && slot->end_by == 19),
               "append: %s", err.message);
        if (rc != COMMITLOG_OK)
            return false;
    }
    return true;
}

/* It consumes what it makes the messages from. */
static void add_offset(struct worker *worker, struct slot *slot)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    struct commitlog_receipt receipt;
    CHECK_RC(commitlog_append(stress->store, stress->source, worker->number, "x", 1,
                              COMMITLOG_LEVEL_NONE, &receipt),
             COMMITLOG_OK);
    CHECK_RC(commitlog_wait(stress->store, receipt.position, COMMITLOG_FOREVER), COMMITLOG_OK);
    const struct commitlog_group_offset offset = {stress->source, worker->number,
                                                  receipt.queue_offset + 1};
    CHECK_OK(commitlog_transaction_offsets(slot->transaction, stress->group, 0, &offset, 1, &err),
             &err);
    atomic_store(&stress->notes[worker->number][slot->serial].offset, offset.offset);
}

static void begin(struct worker *worker, struct slot *slot)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    *slot = (struct slot){.serial = ++worker->serial,
                          .end_by = (uint32_t)rng_below(&worker->rng, 20),
                          .begins_prepared = rng_chance(&worker->rng, 1, 6),
                          .end_ms = clock_ms() + (int64_t)rng_below(&worker->rng, 4)};
    slot->end_ms += rng_chance(&worker->rng, 1, 30) ? 500 : 0; /* over some segments */
    bool is_asked = slot->end_by >= 16 && slot->end_by < 19 && !slot->begins_prepared;
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof options,
        .flags = slot->begins_prepared ? COMMITLOG_TRANSACTION_PREPARED : 0,
        .timeout_ms = slot->end_by == 19 ? 5 : 60000,
        .prepared_ms = slot->end_by == 19 ? 5 : 0};
    slot->end_ms += slot->end_by == 19 ? (int64_t)rng_below(&worker->rng, 10) : 0;
    CHECK_OK(commitlog_transaction_begin(stress->store, is_asked ? asked : own,
                                         strlen(is_asked ? asked : own), &options,
                                         &slot->transaction, &err),
             &err);
    if (append_all(worker, slot) && !slot->begins_prepared && slot->end_by != 19 &&
        rng_chance(&worker->rng, 1, 3))
        add_offset(worker, slot);
}

/* Returns whether it has been decided so. */
static bool commit(struct stress *stress, struct commitlog_transaction *transaction,
                   struct note *note, uint32_t messages, bool prepared, struct rng *rng)
{
    struct commitlog_error err = {.message = ""};
    uint32_t level = rng_chance(rng, 1, 20) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
    atomic_store(&note->outcome, OUTCOME_MAY_COME);
    int32_t rc = commitlog_transaction_commit(transaction, level, COMMITLOG_FOREVER, NULL, &err);
    /* One that was begun later may have consumed more already; the prepare looked at that. */
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND ||
               (rc == COMMITLOG_ETOOSMALL && !prepared),
           "commit: %s", err.message);
    if (rc == COMMITLOG_OK)
        atomic_fetch_add(&stress->owed, messages);
    else
        atomic_store(&note->outcome, OUTCOME_NEVER);
    atomic_fetch_add(&stress->late, rc == COMMITLOG_ENOTFOUND ? 1 : 0);
    if (rc == COMMITLOG_ETOOSMALL)
        CHECK_OK(commitlog_transaction_rollback(transaction, level, COMMITLOG_FOREVER, &err), &err);
    return rc != COMMITLOG_ENOTFOUND;
}

static void end(struct worker *worker, struct slot *slot)
{
    struct stress *stress = worker->stress;
    struct note *note = &stress->notes[worker->number][slot->serial];
    struct commitlog_error err = {.message = ""};
    bool prepares = slot->end_by >= 13 && slot->end_by < 19 && !slot->begins_prepared;
    int32_t rc = COMMITLOG_OK;
    if (prepares)
        rc = commitlog_transaction_prepare(slot->transaction, COMMITLOG_LEVEL_NONE,
                                           COMMITLOG_FOREVER, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ETOOSMALL, "prepare: %s", err.message);
    if (rc != COMMITLOG_OK) { /* its offsets come too late */
        atomic_store(&note->outcome, OUTCOME_NEVER);
        CHECK_OK(commitlog_transaction_rollback(slot->transaction, COMMITLOG_LEVEL_NONE,
                                                COMMITLOG_FOREVER, &err),
                 &err);
    } else if (slot->end_by < 10 || slot->end_by == 19 ||
               (slot->end_by >= 13 && slot->end_by < 16)) {
        bool decided = commit(stress, slot->transaction, note, slot->messages,
                              prepares || slot->begins_prepared, &worker->rng);
        CHECK(decided || slot->end_by == 19);
    } else if (slot->end_by < 12 || slot->begins_prepared) {
        atomic_store(&note->outcome, OUTCOME_NEVER);
        CHECK_OK(commitlog_transaction_rollback(slot->transaction, COMMITLOG_LEVEL_NONE,
                                                COMMITLOG_FOREVER, &err),
                 &err);
    } else if (!prepares) {
        atomic_store(&note->outcome, OUTCOME_NEVER);
    }
    commitlog_transaction_close(slot->transaction);
    slot->transaction = NULL;
}

/* What lies behind it cannot be read for a moment: commits of others wait. */
static void reserve(struct worker *worker)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    const struct commitlog_record record = {
        .struct_bytes = sizeof record, .topic = stress->source, .queue = worker->number};
    CHECK_OK(
        commitlog_reserve(stress->store, &record, 8, COMMITLOG_FOREVER, &reservation, &body, &err),
        &err);
    sleep_ms((int64_t)rng_below(&worker->rng, 4));
    memset(body, 0, 8);
    CHECK_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, NULL, &err), &err);
}

static void *writer_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    bool some = true;
    while (some) {
        bool stop = atomic_load(&stress->stop) || worker->serial + 1 >= SERIALS_MAX;
        some = !stop;
        for (uint32_t i = 0; i < SLOTS; i++) {
            struct slot *slot = &worker->slots[i];
            if (slot->transaction == NULL && !stop)
                begin(worker, slot);
            else if (slot->transaction != NULL && (stop || clock_ms() >= slot->end_ms))
                end(worker, slot);
        }
        if (rng_chance(&worker->rng, 1, 20))
            reserve(worker);
        sleep_ms((int64_t)rng_below(&worker->rng, 2));
    }
    return NULL;
}

/* ---- who is asked ---- */

/* Whose it is, from its first message; false: that has just moved, or is not
 * visible yet, or the transaction has ended. */
static bool look(struct stress *stress, uint64_t id, struct load_head *head)
{
    struct commitlog_transaction_message part = {.struct_bytes = sizeof part};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    int32_t rc = commitlog_transaction_message(stress->store, id, 0, &part);
    CHECK(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND);
    if (rc == COMMITLOG_OK)
        rc = commitlog_get(stress->store, part.position, &message, &lease, NULL);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_ETOOSMALL ||
               rc == COMMITLOG_EBEYOND,
           "get: %s", commitlog_error_name(rc));
    if (rc != COMMITLOG_OK)
        return false;
    CHECK(message.transaction == id && message.body.bytes >= sizeof *head);
    memcpy(head, message.body.data, sizeof *head);
    commitlog_lease_release(lease);
    return true;
}

static void decide(struct worker *worker, const struct commitlog_transaction_info *info)
{
    struct stress *stress = worker->stress;
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {.message = ""};
    struct load_head head;
    if (!look(stress, info->transaction, &head))
        return;
    struct note *note = &stress->notes[head.writer][head.serial];
    CHECK_OK(commitlog_transaction_open(stress->store, info->transaction, &transaction, &err),
             &err);
    if (rng_chance(&worker->rng, 1, 4)) {
        atomic_store(&note->outcome, OUTCOME_NEVER);
        CHECK_OK(commitlog_transaction_rollback(transaction, COMMITLOG_LEVEL_NONE,
                                                COMMITLOG_FOREVER, &err),
                 &err);
    } else {
        CHECK(commit(stress, transaction, note, info->messages, true, &worker->rng));
    }
    commitlog_transaction_close(transaction);
    atomic_fetch_add(&stress->decided, 1);
}

static void *decider_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    bool done = false;
    while (!done) {
        struct commitlog_transaction_info info = {.struct_bytes = sizeof info};
        bool last = atomic_load(&stress->writers_done); /* what is prepared now is all */
        uint64_t after = 0;
        done = last;
        while (commitlog_transaction_next(stress->store, after, &info) == COMMITLOG_OK) {
            CHECK(info.transaction > after && info.messages <= 2 * MOST);
            after = info.transaction;
            if (info.prepared != 0 && strcmp(info.group, asked) == 0) {
                done = false;
                decide(worker, &info);
            }
        }
        sleep_ms(last ? 0 : 20);
    }
    atomic_store(&stress->decider_done, true);
    return NULL;
}

/* ---- the reader ---- */

struct follow {
    struct commitlog_cursor *cursor;
    struct which which;
    uint32_t next; /* message of it in this topic; as many as it has: none is expected */
    uint32_t count;
    uint32_t topic;
    uint64_t read[QUEUES]; /* so far */
};

static void complete(struct stress *stress, const struct follow *follow, bool in_other)
{
    struct note *note = &stress->notes[follow->which.writer][follow->which.serial];
    CHECKF((note->seen & 1u << follow->topic) == 0, "%u.%u comes twice", follow->which.writer,
           follow->which.serial);
    note->seen |= 1u << follow->topic;
    if (in_other && note->seen != 3)
        stress->partial[follow->topic][stress->partial_count[follow->topic]++] = follow->which;
    uint64_t wanted = atomic_load(&note->offset);
    if (wanted != 0) {
        struct commitlog_error err = {.message = ""};
        struct commitlog_group_offset offset = {.topic = stress->source,
                                                .queue = follow->which.writer};
        CHECK_OK(commitlog_group_fetch(stress->group, &offset, 1, &err), &err);
        CHECKF(offset.offset != UINT64_MAX && offset.offset >= wanted,
               "%u.%u has come, its offset has not", follow->which.writer, follow->which.serial);
    }
}

static void take(struct stress *stress, struct follow *follow,
                 const struct commitlog_message *message)
{
    struct load_head head;
    CHECKF(load_proves(message, &head), "body at %llu", (unsigned long long)message->position);
    CHECK(head.writer < WRITERS_MAX && head.serial < SERIALS_MAX && message->transaction != 0);
    const uint32_t index = (uint32_t)(head.seed & 255);
    const uint32_t counts[] = {(uint32_t)(head.seed >> 8 & 255), (uint32_t)(head.seed >> 16 & 255)};
    const struct note *note = &stress->notes[head.writer][head.serial];
    CHECKF(atomic_load(&note->outcome) == OUTCOME_MAY_COME, "%u.%llu comes in state %u",
           head.writer, (unsigned long long)head.serial, atomic_load(&note->outcome));
    if (follow->next == follow->count) {
        follow->which = (struct which){head.writer, (uint32_t)head.serial};
        follow->next = 0;
        follow->count = counts[follow->topic];
    }
    CHECKF(head.writer == follow->which.writer && head.serial == follow->which.serial &&
               index == follow->next,
           "%u.%llu, message %u, in the middle of %u.%u", head.writer,
           (unsigned long long)head.serial, index, follow->which.writer, follow->which.serial);
    CHECK(message->queue < QUEUES && message->queue_offset == follow->read[message->queue]);
    follow->read[message->queue]++;
    stress->came++;
    stress->copied += message->origin_position == 0 ? 1 : 0;
    if (++follow->next == follow->count)
        complete(stress, follow, counts[1 - follow->topic] > 0);
}

/* To the end, where none is in pieces; and what had come in the other topic before has come. */
static void read_all(struct stress *stress, struct follow *follow)
{
    const uint32_t other = 1 - follow->topic;
    struct commitlog_message messages[64];
    uint32_t count = 0;
    int32_t wait_ms = 1; /* and then at once: who is woken by the first has all of it */
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(follow->cursor, messages, 64, wait_ms, &count, NULL)) ==
           COMMITLOG_OK) {
        wait_ms = 0;
        for (uint32_t i = 0; i < count; i++)
            take(stress, follow, &messages[i]);
    }
    CHECKF(rc == COMMITLOG_EEND, "fetch: %s", commitlog_error_name(rc));
    CHECKF(follow->next == follow->count, "%u.%u ends after %u of %u", follow->which.writer,
           follow->which.serial, follow->next, follow->count);
    for (uint32_t i = 0; i < stress->partial_count[other]; i++) {
        const struct which *which = &stress->partial[other][i];
        CHECKF(stress->notes[which->writer][which->serial].seen == 3,
               "%u.%u is in one topic and not in the other", which->writer, which->serial);
    }
    stress->partial_count[other] = 0;
}

/* Its group keeps what is not read, and what that refers to, however far back it lies. */
static void commit_read(struct stress *stress, const struct follow follow[TOPICS])
{
    struct commitlog_group_offset offsets[TOPICS * QUEUES];
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < TOPICS * QUEUES; i++)
        offsets[i] = (struct commitlog_group_offset){stress->topics[i / QUEUES], i % QUEUES,
                                                     follow[i / QUEUES].read[i % QUEUES]};
    CHECK_OK(commitlog_group_commit(stress->readers, 0, offsets, TOPICS * QUEUES,
                                    COMMITLOG_LEVEL_NONE, COMMITLOG_FOREVER, NULL, &err),
             &err);
}

static void *reader_main(void *arg)
{
    struct stress *stress = arg;
    struct follow follow[TOPICS] = {{.topic = 0}, {.topic = 1}};
    struct commitlog_error err = {.message = ""};
    uint64_t rounds = 0;
    for (uint32_t t = 0; t < TOPICS; t++)
        CHECK_OK(commitlog_cursor_open(stress->store, stress->topics[t], COMMITLOG_QUEUE_ALL,
                                       COMMITLOG_FROM_FIRST, 0, &follow[t].cursor, &err),
                 &err);
    commit_read(stress, follow);
    while (!atomic_load(&stress->decider_done) || stress->came < atomic_load(&stress->owed)) {
        read_all(stress, &follow[0]);
        read_all(stress, &follow[1]);
        if (++rounds % 8 == 0)
            commit_read(stress, follow);
    }
    read_all(stress, &follow[0]);
    for (uint32_t t = 0; t < TOPICS; t++) {
        CHECK(stress->partial_count[t] == 0 || t == 0);
        commitlog_cursor_close(follow[t].cursor);
    }
    return NULL;
}

static void *upkeep_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    while (!atomic_load(&stress->stop)) {
        struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                             .keep_bytes = 512 << 10};
        struct commitlog_retained out = {.struct_bytes = sizeof out};
        CHECK_OK(commitlog_checkpoint(stress->store, &err), &err);
        int32_t rc = commitlog_retain(stress->store, &policy, &out, &err);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
        stress->carried_bytes += out.bytes_carried;
        sleep_ms(10);
    }
    return NULL;
}

/* ---- runs ---- */

static void open_store(struct stress *stress, uint64_t engine)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_open(stress->path, options, &stress->store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(stress->store, "source", 6, WRITERS_MAX, &stress->source, &err),
             &err);
    for (uint32_t t = 0; t < TOPICS; t++)
        CHECK_OK(commitlog_topic_open(stress->store, t == 0 ? "here" : "there", t == 0 ? 4 : 5,
                                      QUEUES, &stress->topics[t], &err),
                 &err);
    CHECK_OK(commitlog_group_open(stress->store, "team", 4, COMMITLOG_GROUP_CREATE, &stress->group,
                                  &err),
             &err);
    CHECK_OK(commitlog_group_open(stress->store, "readers", 7,
                                  COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &stress->readers,
                                  &err),
             &err);
}

static void start(struct stress *stress, struct worker *worker, uint32_t number, uint64_t seed,
                  void *(*run)(void *))
{
    *worker = (struct worker){.stress = stress, .number = number};
    rng_begin(&worker->rng, seed * 31 + number);
    CHECK(pthread_create(&worker->id, NULL, run, worker) == 0);
}

/* None but those whose time is over, which upkeep ends in a moment. */
static void wait_for_none(struct stress *stress)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof info};
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; i < 5000 && rc != COMMITLOG_ENOTFOUND; i++) {
        rc = commitlog_transaction_next(stress->store, 0, &info);
        sleep_ms(1);
    }
    CHECK_RC(rc, COMMITLOG_ENOTFOUND);
}

static void run(uint64_t engine, uint64_t seed, uint64_t duration_ms, uint32_t writers)
{
    static struct worker workers[WRITERS_MAX + 2];
    struct stress stress = {.path = ""};
    struct commitlog_error err = {.message = ""};
    pthread_t reader;
    char root[DIRS_PATH_MAX];
    uint64_t begun = 0;
    dirs_make(root, "transactions");
    CHECK(snprintf(stress.path, sizeof stress.path, "%s/store", root) < DIRS_PATH_MAX);
    stress.notes = calloc(WRITERS_MAX, sizeof *stress.notes);
    for (uint32_t t = 0; t < TOPICS; t++)
        stress.partial[t] = need_alloc((size_t)WRITERS_MAX * SERIALS_MAX * sizeof(struct which));
    CHECK(stress.notes != NULL);
    open_store(&stress, engine);
    CHECK(pthread_create(&reader, NULL, reader_main, &stress) == 0);
    start(&stress, &workers[writers], writers, seed, decider_main);
    start(&stress, &workers[writers + 1], writers + 1, seed, upkeep_main);
    for (uint32_t i = 0; i < writers; i++)
        start(&stress, &workers[i], i, seed, writer_main);
    sleep_ms((int64_t)duration_ms);
    atomic_store(&stress.stop, true);
    for (uint32_t i = 0; i < writers; i++) {
        CHECK(pthread_join(workers[i].id, NULL) == 0);
        begun += workers[i].serial;
    }
    atomic_store(&stress.writers_done, true);
    CHECK(pthread_join(workers[writers].id, NULL) == 0);
    CHECK(pthread_join(workers[writers + 1].id, NULL) == 0);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK(stress.came == atomic_load(&stress.owed));
    CHECK(stress.came > 0 && stress.decided > 0 && stress.late > 0);
    CHECK(stress.copied > 0 && stress.carried_bytes > 4096); /* more than topics and groups */
    wait_for_none(&stress);
    commitlog_group_close(stress.group);
    commitlog_group_close(stress.readers);
    CHECK_OK(commitlog_close(stress.store, &err), &err);
    printf("%s: %llu transactions, %llu messages came, %llu as copies, %llu decided by number, "
           "%llu too late, %llu bytes carried\n",
           engine == COMMITLOG_ENGINE_MMAP ? "mmap" : "staged", (unsigned long long)begun,
           (unsigned long long)stress.came, (unsigned long long)stress.copied,
           (unsigned long long)stress.decided, (unsigned long long)stress.late,
           (unsigned long long)stress.carried_bytes);
    for (uint32_t t = 0; t < TOPICS; t++)
        free(stress.partial[t]);
    free(stress.notes);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("transactions_test");
    uint64_t duration_ms = prog_env("DURATION", 4) * 500;
    uint64_t writers = prog_env("WRITERS", 3);
    prog_watchdog(300);
    writers = writers < 1 ? 1 : writers > WRITERS_MAX ? WRITERS_MAX : writers;
    run(COMMITLOG_ENGINE_STAGED, seed, duration_ms, (uint32_t)writers);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, duration_ms, (uint32_t)writers);
    return prog_end();
}
