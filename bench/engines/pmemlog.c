/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmemlog.c -- libpmemlog without persistent memory: a log of bytes in a mapped file.
 *
 * It has neither records nor an index nor checksums: the adapter puts queue and length before each
 * body, and finds the records of a queue by walking over the log.
 *
 * BENCH_DURABLE: each append has the pages of its bytes, and then that of the log's end, written by
 * msync, as libpmem does when the file is not persistent memory. BENCH_ASYNC: libpmem is told that
 * it is (PMEM_IS_PMEM_FORCE), so it flushes caches of the CPU instead, and the kernel writes the
 * pages when it likes. One append at a time is the library's own lock; with BENCH_DURABLE and
 * several threads the adapter appends what all of them wait for at once.
 */
#include <errno.h>
#include <libpmemlog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "engines/engines.h"
#include "support/bench.h"
#include "support/group.h"

enum { FILE_MODE = 0600, FILE_HEAD_BYTES = 64 * 1024 };

struct head {
    uint32_t queue;
    uint32_t bytes;
};

struct store {
    PMEMlogpool *log;
    bool grouped;
    bool staged;
    struct bench_group group;
};

struct writer {
    struct store *store;
    struct bench_member member;
};

static void version(char *out, size_t size)
{
    /* The library tells the version of its interface only: asked of pkg-config. */
    (void)snprintf(out, size, "libpmemlog %s", PMEMLOG_VERSION);
}

static void need(bool done, const char *what)
{
    if (!done) {
        bench_die("libpmemlog: %s: %s", what, pmemlog_errormsg());
    }
}

/* ---- appending ---- */

static void apply(void *leader, const struct bench_member *members)
{
    const struct writer *writer = leader;
    uint64_t count = 0;
    for (const struct bench_member *member = members; member != NULL; member = member->next) {
        count += member->count;
    }
    struct head *heads = bench_alloc(count * sizeof(*heads));
    struct iovec *parts = bench_alloc(count * 2 * sizeof(*parts));
    uint64_t i = 0;
    for (const struct bench_member *member = members; member != NULL; member = member->next) {
        const struct bench_staged *record = NULL;
        while ((record = bench_staged_next(member, record)) != NULL) {
            heads[i] = (struct head){record->queue, record->bytes};
            parts[2 * i] = (struct iovec){&heads[i], sizeof(heads[i])};
            parts[2 * i + 1] = (struct iovec){(void *)(uintptr_t)record->body, record->bytes};
            i++;
        }
    }
    need(pmemlog_appendv(writer->store->log, parts, (int)(2 * count)) == 0, "append");
    free(parts);
    free(heads);
}

static void *writer_open(void *store, uint32_t thread)
{
    struct writer *writer = bench_alloc(sizeof(*writer));
    (void)thread;
    writer->store = store;
    bench_member_open(&writer->member);
    return writer;
}

static void writer_append(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    if (writer->store->staged) {
        bench_stage(&writer->member, queue, offset, body, bytes);
        return;
    }
    struct head head = {queue, (uint32_t)bytes};
    struct iovec parts[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, bytes}};
    need(pmemlog_appendv(writer->store->log, parts, 2) == 0, "append");
}

static void writer_commit(void *at)
{
    struct writer *writer = at;
    if (writer->store->grouped) {
        bench_group_commit(&writer->store->group, &writer->member, writer);
    } else if (writer->member.count > 0) {
        apply(writer, &writer->member);
        bench_member_clear(&writer->member);
    }
}

static void writer_close(void *at)
{
    struct writer *writer = at;
    bench_member_close(&writer->member);
    free(writer);
}

/* What was appended is in the mapped file. */
static void store_drain(void *store)
{
    (void)store;
}

/* ---- reading ---- */

struct walk {
    uint32_t queue;
    uint64_t from, limit;
    bench_visit visit;
    void *ctx;
    uint64_t offset; /* of the next record of the queue */
    uint64_t seen;
};

static int walk_all(const void *bytes, size_t size, void *at)
{
    struct walk *walk = at;
    const uint8_t *log = bytes;
    struct head head;
    for (size_t place = 0; place + sizeof(head) <= size && walk->seen < walk->limit;
         place += sizeof(head) + head.bytes) {
        memcpy(&head, &log[place], sizeof(head));
        if (head.queue == walk->queue && walk->offset++ >= walk->from) {
            walk->visit(walk->ctx, walk->offset - 1, &log[place + sizeof(head)], head.bytes);
            walk->seen++;
        }
    }
    return 0;
}

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    const struct store *store = at;
    struct walk walk = {queue, from, limit, visit, ctx, 0, 0};
    pmemlog_walk(store->log, 0, walk_all, &walk);
    return walk.seen;
}

/* ---- the store ---- */

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    char path[BENCH_PATH_MAX + 16];
    (void)engine;
    store->grouped = wanted->promise == BENCH_DURABLE && wanted->threads > 1;
    store->staged = store->grouped || wanted->batch != 1;
    (void)snprintf(path, sizeof(path), "%s/records.log", wanted->directory);
    if (wanted->promise == BENCH_ASYNC && setenv("PMEM_IS_PMEM_FORCE", "1", 1) != 0) {
        bench_die("environment: %s", strerror(errno));
    }
    if (wanted->again) {
        store->log = pmemlog_open(path);
    } else {
        uint64_t bytes = wanted->records * (sizeof(struct head) + wanted->bytes) + FILE_HEAD_BYTES;
        store->log =
            pmemlog_create(path, bytes > PMEMLOG_MIN_POOL ? bytes : PMEMLOG_MIN_POOL, FILE_MODE);
    }
    need(store->log != NULL, "open");
    bench_group_open(&store->group, apply);
    return store;
}

static void store_close(void *at)
{
    struct store *store = at;
    bench_group_close(&store->group);
    pmemlog_close(store->log);
    free(store);
}

const struct bench_engine bench_engine_pmemlog = {
    .name = "pmemlog",
    .family = "libpmemlog",
    .batch = 1,
    .durable = true,
    .points = false,
    .setting = "file allocated at open; no persistent memory: durable by msync of the bytes and "
               "then of the "
               "end, of several threads one append for all that wait, by the adapter; async: "
               "PMEM_IS_PMEM_FORCE=1, the kernel writes the mapped pages when it likes; queue and "
               "length before each body; no checksums, no index",
    .losses = {[BENCH_ASYNC] =
                   {.kill = LOST_OPEN,
                    .power =
                        "any bytes of what the kernel had not written yet, without a sign of it"},
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},
    .verifies = false,
    .version = version,
    .open = store_open,
    .writer = writer_open,
    .append = writer_append,
    .commit = writer_commit,
    .writer_close = writer_close,
    .drain = store_drain,
    .scan = store_scan,
    .close = store_close,
};
