/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leveldb.c -- LevelDB: put by put ("leveldb"), or in batches of 1,000 ("leveldb-batch").
 *
 * Its log is handed to the kernel by each put or batch, so nothing waits in the process. Threads
 * that commit at once share a write of the log and its flush, which LevelDB does by itself. What
 * its own thread still has to do when the clock stops (memtables to write) is not counted.
 */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "engines/key.h"
#include "support/bench.h"

enum { MEMTABLE_BYTES = 64 << 20, FILE_BYTES = 64 << 20 };

struct store {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t *read;
    bool batched;
};

struct writer {
    const struct store *store;
    leveldb_writebatch_t *batch;
    bool any; /* the batch has a record */
};

static void need(const char *error, const char *what)
{
    if (error != NULL) {
        bench_die("LevelDB: %s: %s", what, error);
    }
}

static void version(char *out, size_t size)
{
    (void)snprintf(out, size, "LevelDB %d.%d", leveldb_major_version(), leveldb_minor_version());
}

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    char *error = NULL;
    (void)engine;
    store->batched = wanted->batch != 1;
    store->options = leveldb_options_create();
    store->write = leveldb_writeoptions_create();
    store->read = leveldb_readoptions_create();
    leveldb_options_set_create_if_missing(store->options, 1);
    leveldb_options_set_compression(store->options, leveldb_no_compression);
    leveldb_options_set_write_buffer_size(store->options, MEMTABLE_BYTES);
    leveldb_options_set_max_file_size(store->options, FILE_BYTES);
    leveldb_writeoptions_set_sync(store->write, wanted->promise == BENCH_DURABLE);
    leveldb_readoptions_set_verify_checksums(store->read, 1);
    store->db = leveldb_open(store->options, wanted->directory, &error);
    need(error, "open");
    return store;
}

/* ---- appending ---- */

static void *writer_open(void *store, uint32_t thread)
{
    struct writer *writer = bench_alloc(sizeof(*writer));
    (void)thread;
    writer->store = store;
    writer->batch = leveldb_writebatch_create();
    return writer;
}

static void writer_append(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    const struct store *store = writer->store;
    struct key key = key_of(queue, offset);
    const char *key_bytes = (const char *)key.bytes;
    char *error = NULL;
    if (store->batched) {
        leveldb_writebatch_put(writer->batch, key_bytes, sizeof(key.bytes), body, bytes);
        writer->any = true;
    } else {
        leveldb_put(store->db, store->write, key_bytes, sizeof(key.bytes), body, bytes, &error);
        need(error, "put");
    }
}

static void writer_commit(void *at)
{
    struct writer *writer = at;
    char *error = NULL;
    if (writer->any) {
        leveldb_write(writer->store->db, writer->store->write, writer->batch, &error);
        need(error, "write");
        leveldb_writebatch_clear(writer->batch);
        writer->any = false;
    }
}

static void writer_close(void *at)
{
    struct writer *writer = at;
    leveldb_writebatch_destroy(writer->batch);
    free(writer);
}

static void store_drain(void *store)
{
    (void)store;
}

/* ---- reading ---- */

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    const struct store *store = at;
    struct key first = key_of(queue, from);
    char *error = NULL;
    uint64_t seen = 0;
    leveldb_iterator_t *walk = leveldb_create_iterator(store->db, store->read);
    leveldb_iter_seek(walk, (const char *)first.bytes, sizeof(first.bytes));
    while (seen < limit && leveldb_iter_valid(walk)) {
        size_t key_bytes = 0;
        size_t bytes = 0;
        uint64_t offset = 0;
        const char *key = leveldb_iter_key(walk, &key_bytes);
        if (!key_in_queue(key, key_bytes, queue, &offset)) {
            break;
        }
        const char *body = leveldb_iter_value(walk, &bytes);
        visit(ctx, offset, body, bytes);
        seen++;
        leveldb_iter_next(walk);
    }
    leveldb_iter_get_error(walk, &error);
    need(error, "scan");
    leveldb_iter_destroy(walk);
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    const struct store *store = at;
    struct key key = key_of(queue, offset);
    char *error = NULL;
    size_t bytes = 0;
    char *body = leveldb_get(store->db, store->read, (const char *)key.bytes, sizeof(key.bytes),
                             &bytes, &error);
    need(error, "get");
    if (body == NULL) {
        bench_die("LevelDB: queue %u has no record %llu", queue, (unsigned long long)offset);
    }
    memcpy(out, body, bytes < room ? bytes : room);
    leveldb_free(body);
    return bytes;
}

static void store_close(void *at)
{
    struct store *store = at;
    leveldb_close(store->db);
    leveldb_writeoptions_destroy(store->write);
    leveldb_readoptions_destroy(store->read);
    leveldb_options_destroy(store->options);
    free(store);
}

#define SETTING                                                                                    \
    "no compression, write_buffer_size and max_file_size 64 MiB, verify_checksums; durable: "      \
    "sync=true; "

#define COMMON                                                                                     \
    .family = "LevelDB", .durable = true,                                                          \
    .losses = {[BENCH_ASYNC] = {.kill = LOST_OPEN,                                                 \
                                .power =                                                           \
                                    "what the kernel had not written yet of its log: a tail"},     \
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},                         \
    .points = true, .verifies = true, .version = version, .open = store_open,                      \
    .writer = writer_open, .append = writer_append, .commit = writer_commit,                       \
    .writer_close = writer_close, .drain = store_drain, .scan = store_scan, .get = store_get,      \
    .close = store_close

const struct bench_engine bench_engine_leveldb = {
    .name = "leveldb",
    .batch = 1,
    .setting = SETTING "a put",
    COMMON,
};

const struct bench_engine bench_engine_leveldb_batch = {
    .name = "leveldb-batch",
    .batch = 1000,
    .setting = SETTING "a WriteBatch",
    COMMON,
};
