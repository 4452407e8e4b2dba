/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growth_test.c -- kill -9 again and again of a process in which a topic grows and shrinks under
 * load: of every key the records are in order, and a group has consumed a prefix of them.
 *
 * The writer appends keyed messages by threads, each with keys of its own, and numbers them by key;
 * consumes them as a group that keeps to the gates; lets the topic grow, shrink and lose segments.
 * This process kills it at a random moment, opens the store and looks: in the order of the log a
 * key's numbers follow each other, what was acknowledged is there, and behind the first message of
 * a key that the group has not consumed there is none that it has. The next writer goes on.
 *
 * Environment: SEED, ROUNDS (kills for each engine, default 10).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"

enum { WRITERS = 3, KEYS = 12, FETCH = 64, BATCH = 5, QUEUES_MAX = 128, NAME_BYTES = 16 };

struct letter {
    uint32_t writer;
    uint32_t key;
    uint64_t number; /* of the key, from 1 on */
    uint8_t filling[200];
};

/* What both processes see. */
struct shared {
    _Atomic uint64_t acked[WRITERS][KEYS];
    _Atomic uint64_t growing; /* how often it began to grow */
    _Atomic uint64_t grown;
    _Atomic uint64_t shrunk;
    _Atomic uint64_t consumed;
};

struct life {
    struct shared *shared;
    struct commitlog_store *store;
    uint32_t topic;
    uint64_t last[WRITERS][KEYS]; /* in the log */
};

struct writer {
    struct life *life;
    struct rng rng;
    uint32_t number;
    uint64_t next[KEYS];
};

static char store_path[DIRS_PATH_MAX];

static void open_store(struct life *life, uint64_t engine)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 128 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 128 << 10, &err), &err);
    CHECK_OK(commitlog_open(store_path, options, &life->store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(life->store, "grows", 5, 2, &life->topic, &err), &err);
}

/* ---- the writer ---- */

struct draft {
    struct letter letter;
    char name[NAME_BYTES];
    struct commitlog_slice key;
    struct commitlog_slice body;
};

static void draft_make(struct writer *writer, struct draft *draft, struct commitlog_record *record)
{
    uint32_t key = (uint32_t)rng_below(&writer->rng, KEYS);
    draft->letter = (struct letter){writer->number, key, ++writer->next[key], {0}};
    draft->key.data = draft->name;
    draft->key.bytes = (size_t)snprintf(draft->name, NAME_BYTES, "w%u-%u", writer->number, key);
    draft->body = (struct commitlog_slice){&draft->letter, sizeof draft->letter};
    *record = (struct commitlog_record){
        .struct_bytes = sizeof *record,
        .topic = writer->life->topic,
        .queue = COMMITLOG_QUEUE_AUTO,
        .level = rng_chance(&writer->rng, 1, 200) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE,
        .body = &draft->body,
        .body_count = 1,
        .keys = &draft->key,
        .key_count = 1};
}

static void *writer_main(void *arg)
{
    struct writer *writer = arg;
    struct life *life = writer->life;
    struct commitlog_error err = {.message = ""};
    for (;;) {
        struct commitlog_record records[BATCH];
        struct draft drafts[BATCH];
        uint32_t count = rng_chance(&writer->rng, 1, 3) ? BATCH : 1;
        for (uint32_t i = 0; i < count; i++)
            draft_make(writer, &drafts[i], &records[i]);
        CHECK_OK(commitlog_append_batch(life->store, records, count, COMMITLOG_FOREVER, NULL, &err),
                 &err);
        for (uint32_t i = 0; i < count; i++)
            atomic_store(&life->shared->acked[writer->number][drafts[i].letter.key],
                         drafts[i].letter.number);
        if (rng_chance(&writer->rng, 1, 8))
            sleep_ms(1);
    }
    return NULL;
}

static void consume(struct life *life, struct commitlog_group *group, uint32_t queue)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_group_offset at = {life->topic, queue, 0};
    uint32_t count = 0;
    const uint64_t growing = atomic_load(&life->shared->growing);
    CHECK_OK(commitlog_group_gate(group, life->topic, queue, &gate, &err), &err);
    if (gate.open == 0)
        return;
    CHECK_OK(commitlog_group_fetch(group, &at, 1, &err), &err);
    CHECK_RC(commitlog_queue_info(life->store, life->topic, queue, &info), COMMITLOG_OK);
    at.offset =
        at.offset == UINT64_MAX || at.offset < info.first_offset ? info.first_offset : at.offset;
    int32_t rc = commitlog_cursor_open(life->store, life->topic, queue, COMMITLOG_FROM_OFFSET,
                                       at.offset, &cursor, &err);
    if (rc == COMMITLOG_ETOOSMALL)
        return; /* retention, just now */
    CHECK_OK(rc, &err);
    (void)commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL);
    at.offset = count > 0 ? messages[count - 1].queue_offset + 1 : at.offset;
    commitlog_cursor_close(cursor);
    rc = count == 0 ? COMMITLOG_OK
                    : commitlog_group_commit(group, 0, &at, 1, COMMITLOG_LEVEL_NONE,
                                             COMMITLOG_FOREVER, NULL, &err);
    if (rc == COMMITLOG_EMISUSE && atomic_load(&life->shared->growing) > growing)
        return; /* it had shrunk, and grew again: what was read lies behind the new mark */
    CHECK_OK(rc, &err);
    atomic_fetch_add(&life->shared->consumed, count);
}

static void *group_main(void *arg)
{
    struct life *life = arg;
    struct rng rng;
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    rng_begin(&rng, 7);
    CHECK_OK(commitlog_group_open(life->store, "g", 1, 0, &group, &err), &err);
    for (;;) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_topic_info(life->store, life->topic, &info), COMMITLOG_OK);
        for (uint32_t i = 0; i < info.queues_total; i++)
            consume(life, group, (uint32_t)rng_below(&rng, info.queues_total));
        if (rng_chance(&rng, 1, 10))
            sleep_ms((int64_t)rng_below(&rng, 10));
    }
    return NULL;
}

/* One change of the topic, or of what is kept. */
static void change(struct life *life, struct rng *rng)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                               .keep_bytes = 1 << 20};
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_topic_info(life->store, life->topic, &info), COMMITLOG_OK);
    uint32_t queues = info.queues * (uint32_t)rng_between(rng, 2, 3);
    for (uint32_t i = info.step_count; i > 0; i--) /* it shrank: what it had */
        queues = info.step_queues[i - 1] > info.queues ? info.step_queues[i - 1] : queues;
    if (rng_chance(rng, 1, 3)) {
        /* Busy: an appender that the kernel has put aside. */
        int32_t rc = commitlog_retain(life->store, &policy, &retained, &err);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
    } else if (rng_chance(rng, 1, 2)) {
        int32_t rc = commitlog_topic_shrink(life->store, life->topic, info.step_queues[0],
                                            COMMITLOG_LEVEL_NONE, &err);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "shrink: %s", err.message);
        if (rc == COMMITLOG_OK && info.queues > info.step_queues[0])
            atomic_fetch_add(&life->shared->shrunk, 1);
    } else if (queues <= QUEUES_MAX) {
        atomic_fetch_add(&life->shared->growing, 1);
        CHECK_OK(commitlog_topic_grow(life->store, life->topic, queues, COMMITLOG_LEVEL_NONE, &err),
                 &err);
        atomic_fetch_add(&life->shared->grown, 1);
    }
}

_Noreturn static void live(struct life *life, uint64_t engine, uint64_t seed)
{
    static struct writer writers[WRITERS];
    pthread_t thread;
    struct rng rng;
    rng_begin(&rng, seed);
    open_store(life, engine);
    for (uint32_t w = 0; w < WRITERS; w++) {
        writers[w].life = life;
        writers[w].number = w;
        rng_begin(&writers[w].rng, seed * 31 + w);
        memcpy(writers[w].next, life->last[w], sizeof writers[w].next);
        CHECK(pthread_create(&thread, NULL, writer_main, &writers[w]) == 0);
    }
    CHECK(pthread_create(&thread, NULL, group_main, life) == 0);
    for (;;) {
        sleep_ms((int64_t)rng_between(&rng, 1, 15));
        change(life, &rng);
    }
}

/* ---- the checker ---- */

/* What is there, and how far the group has come; life->last: where the next writer goes on. */
static uint64_t look(struct life *life)
{
    static uint64_t consumed_to[QUEUES_MAX];
    bool behind[WRITERS][KEYS] = {{false}};
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    uint32_t count = 0;
    uint64_t seen = 0;
    bool met[WRITERS][KEYS] = {{false}};
    CHECK_OK(commitlog_group_open(life->store, "g", 1, 0, &group, &err), &err);
    CHECK_RC(commitlog_topic_info(life->store, life->topic, &info), COMMITLOG_OK);
    CHECK(info.queues_total <= QUEUES_MAX);
    for (uint32_t q = 0; q < info.queues_total; q++) {
        struct commitlog_group_offset at = {life->topic, q, 0};
        CHECK_OK(commitlog_group_fetch(group, &at, 1, &err), &err);
        consumed_to[q] = at.offset == UINT64_MAX ? 0 : at.offset;
    }
    CHECK_OK(commitlog_cursor_open(life->store, life->topic, COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            struct letter letter;
            CHECK(messages[i].body.bytes == sizeof letter);
            memcpy(&letter, messages[i].body.data, sizeof letter);
            CHECK(letter.writer < WRITERS && letter.key < KEYS);
            uint64_t *last = &life->last[letter.writer][letter.key];
            CHECKF(!met[letter.writer][letter.key] || letter.number == *last + 1,
                   "w%u-%u: number %llu in queue %u behind %llu", letter.writer, letter.key,
                   (unsigned long long)letter.number, messages[i].queue, (unsigned long long)*last);
            bool consumed = messages[i].queue_offset < consumed_to[messages[i].queue];
            CHECKF(!consumed || !behind[letter.writer][letter.key],
                   "w%u-%u: number %llu in queue %u is consumed, not all before it", letter.writer,
                   letter.key, (unsigned long long)letter.number, messages[i].queue);
            behind[letter.writer][letter.key] = !consumed;
            met[letter.writer][letter.key] = true;
            *last = letter.number;
            seen++;
        }
    }
    for (uint32_t w = 0; w < WRITERS; w++)
        for (uint32_t k = 0; k < KEYS; k++)
            CHECKF(life->last[w][k] >= atomic_load(&life->shared->acked[w][k]),
                   "w%u-%u: number %llu was acknowledged, the last one is %llu", w, k,
                   (unsigned long long)atomic_load(&life->shared->acked[w][k]),
                   (unsigned long long)life->last[w][k]);
    commitlog_cursor_close(cursor);
    commitlog_group_close(group);
    return seen;
}

static void run(uint64_t engine, uint64_t seed, uint64_t rounds)
{
    char root[DIRS_PATH_MAX];
    struct life life = {.shared = NULL};
    struct commitlog_error err = {.message = ""};
    struct commitlog_group *group = NULL;
    struct rng rng;
    uint64_t seen = 0;
    rng_begin(&rng, seed);
    life.shared =
        mmap(NULL, sizeof *life.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(life.shared != MAP_FAILED);
    dirs_make(root, "growth-kill");
    CHECK(snprintf(store_path, sizeof store_path, "%s/store", root) < DIRS_PATH_MAX);
    open_store(&life, engine);
    CHECK_OK(commitlog_group_open(life.store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), &err);
    const struct commitlog_group_offset begin = {life.topic, 0, 0};
    CHECK_OK(commitlog_group_commit(group, 0, &begin, 1, COMMITLOG_LEVEL_DURABLE, COMMITLOG_FOREVER,
                                    NULL, &err),
             &err);
    commitlog_group_close(group);
    CHECK_OK(commitlog_close(life.store, &err), &err);
    for (uint64_t round = 0; round < rounds; round++) {
        prog_step(round);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            live(&life, engine, rng_next(&rng) + round);
        sleep_ms((int64_t)rng_between(&rng, 30, 250));
        CHECK(kill(child, SIGKILL) == 0);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "writer status %x", status);
        open_store(&life, engine);
        seen += look(&life);
        CHECK_OK(commitlog_close(life.store, &err), &err);
    }
    printf("%s: %llu rounds, %llu messages looked at, %llu consumed, grown %llu times, shrunk "
           "%llu\n",
           engine == COMMITLOG_ENGINE_MMAP ? "mmap" : "staged", (unsigned long long)rounds,
           (unsigned long long)seen, (unsigned long long)atomic_load(&life.shared->consumed),
           (unsigned long long)atomic_load(&life.shared->grown),
           (unsigned long long)atomic_load(&life.shared->shrunk));
    CHECK(rounds < 10 || (atomic_load(&life.shared->grown) > 2 && seen > 0));
    (void)munmap(life.shared, sizeof *life.shared);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("growth_test");
    uint64_t rounds = prog_env("ROUNDS", 10);
    prog_watchdog(300);
    run(COMMITLOG_ENGINE_STAGED, seed, rounds);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, rounds);
    return prog_end();
}
