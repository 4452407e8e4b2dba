/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rocksdb.c -- RocksDB: put by put with its defaults ("rocksdb"), or in batches of 1,000 with
 * settings for much writing, with which single records can still be read ("rocksdb-batch") or not
 * ("rocksdb-vector").
 *
 * Its log is handed to the kernel by each put or batch, so nothing waits in the process. Threads
 * that commit at once share a write of the log and its flush, which RocksDB does by itself. What
 * its own threads still have to do when the clock stops (memtables to write) is not counted.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "engines/key.h"
#include "support/bench.h"

enum { MEMTABLES = 8 };
#define VECTOR_BYTES ((size_t)256 << 20)

struct store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    bool batched;
};

struct writer {
    const struct store *store;
    rocksdb_writebatch_t *batch;
};

static void need(const char *error, const char *what)
{
    if (error != NULL) {
        bench_die("RocksDB: %s: %s", what, error);
    }
}

static void version(char *out, size_t size)
{
    /* Its C API does not tell, and its header of versions is C++: asked of pkg-config. */
    (void)snprintf(out, size, "RocksDB %s", ROCKSDB_VERSION);
}

/* As its documents advise for loading. Larger memtables made no append faster but to a vector, with
 * which single records cannot be read, and the next open slower. Without advise_random_on_open off
 * a mapped file that is not in the page cache is read page by page. */
static void tune(rocksdb_options_t *options, bool vector)
{
    rocksdb_options_set_max_write_buffer_number(options, MEMTABLES);
    rocksdb_options_set_disable_auto_compactions(options, 1);
    rocksdb_options_set_allow_mmap_reads(options, 1);
    rocksdb_options_set_advise_random_on_open(options, 0);
    if (vector) {
        rocksdb_options_set_memtable_vector_rep(options);
        rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
        rocksdb_options_set_write_buffer_size(options, VECTOR_BYTES);
    }
}

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    char *error = NULL;
    store->batched = wanted->batch != 1;
    store->options = rocksdb_options_create();
    store->write = rocksdb_writeoptions_create();
    store->read = rocksdb_readoptions_create();
    rocksdb_options_set_create_if_missing(store->options, 1);
    rocksdb_options_set_compression(store->options, rocksdb_no_compression);
    if (engine != &bench_engine_rocksdb) {
        tune(store->options, engine == &bench_engine_rocksdb_vector);
    }
    rocksdb_writeoptions_set_sync(store->write, wanted->promise == BENCH_DURABLE);
    rocksdb_readoptions_set_verify_checksums(store->read, 1);
    store->db = rocksdb_open(store->options, wanted->directory, &error);
    need(error, "open");
    return store;
}

/* ---- appending ---- */

static void *writer_open(void *store, uint32_t thread)
{
    struct writer *writer = bench_alloc(sizeof(*writer));
    (void)thread;
    writer->store = store;
    writer->batch = rocksdb_writebatch_create();
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
        rocksdb_writebatch_put(writer->batch, key_bytes, sizeof(key.bytes), body, bytes);
    } else {
        rocksdb_put(store->db, store->write, key_bytes, sizeof(key.bytes), body, bytes, &error);
        need(error, "put");
    }
}

static void writer_commit(void *at)
{
    struct writer *writer = at;
    char *error = NULL;
    if (rocksdb_writebatch_count(writer->batch) > 0) {
        rocksdb_write(writer->store->db, writer->store->write, writer->batch, &error);
        need(error, "write");
        rocksdb_writebatch_clear(writer->batch);
    }
}

static void writer_close(void *at)
{
    struct writer *writer = at;
    rocksdb_writebatch_destroy(writer->batch);
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
    rocksdb_iterator_t *walk = rocksdb_create_iterator(store->db, store->read);
    rocksdb_iter_seek(walk, (const char *)first.bytes, sizeof(first.bytes));
    while (seen < limit && rocksdb_iter_valid(walk)) {
        size_t key_bytes = 0;
        size_t bytes = 0;
        uint64_t offset = 0;
        const char *key = rocksdb_iter_key(walk, &key_bytes);
        if (!key_in_queue(key, key_bytes, queue, &offset)) {
            break;
        }
        const char *body = rocksdb_iter_value(walk, &bytes);
        visit(ctx, offset, body, bytes);
        seen++;
        rocksdb_iter_next(walk);
    }
    rocksdb_iter_get_error(walk, &error);
    need(error, "scan");
    rocksdb_iter_destroy(walk);
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    const struct store *store = at;
    struct key key = key_of(queue, offset);
    char *error = NULL;
    size_t bytes = 0;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(
        store->db, store->read, (const char *)key.bytes, sizeof(key.bytes), &error);
    need(error, "get");
    if (found == NULL) {
        bench_die("RocksDB: queue %u has no record %llu", queue, (unsigned long long)offset);
    }
    const char *body = rocksdb_pinnableslice_value(found, &bytes);
    memcpy(out, body, bytes < room ? bytes : room);
    rocksdb_pinnableslice_destroy(found);
    return bytes;
}

static void store_close(void *at)
{
    struct store *store = at;
    rocksdb_close(store->db);
    rocksdb_writeoptions_destroy(store->write);
    rocksdb_readoptions_destroy(store->read);
    rocksdb_options_destroy(store->options);
    free(store);
}

#define COMMON                                                                                     \
    .family = "RocksDB", .durable = true,                                                          \
    .losses = {[BENCH_ASYNC] = {.kill = LOST_OPEN,                                                 \
                                .power =                                                           \
                                    "what the kernel had not written yet of its log: a tail"},     \
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},                         \
    .verifies = true, .version = version, .open = store_open, .writer = writer_open,               \
    .append = writer_append, .commit = writer_commit, .writer_close = writer_close,                \
    .drain = store_drain, .scan = store_scan, .get = store_get, .close = store_close

const struct bench_engine bench_engine_rocksdb = {
    .name = "rocksdb",
    .batch = 1,
    .points = true,
    .setting = "defaults, no compression, verify_checksums; a put; durable: sync=true",
    COMMON,
};

const struct bench_engine bench_engine_rocksdb_batch = {
    .name = "rocksdb-batch",
    .batch = 1000,
    .points = true,
    .setting = "8 memtables of 64 MiB, no compaction of files, mmap reads without "
               "advise_random_on_open, no compression, verify_checksums; a WriteBatch; durable: "
               "sync=true",
    COMMON,
};

const struct bench_engine bench_engine_rocksdb_vector = {
    .name = "rocksdb-vector",
    .batch = 1000,
    .setting = "as rocksdb-batch, with memtables of 256 MiB that are vectors, written by one "
               "thread at a time: single records cannot be read",
    COMMON,
};
