/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lmdb.c -- LMDB: a transaction of 1,000 records ("lmdb"), or one for each ("lmdb-1").
 *
 * Up to 64 queues: a database each, whose key is the offset, a number, filled with MDB_APPEND by a
 * cursor that stays at the end. More: one, with keys of bytes, so that a queue stands together.
 * LMDB has one writer at a time: with BENCH_ASYNC its own lock makes transactions of several
 * threads take turns; with BENCH_DURABLE and several threads the adapter commits what all of them
 * wait for in one transaction.
 *
 * Small transactions are several times faster with MDB_WRITEMAP, large ones without it; a flush
 * without it, since the kernel writes whole folios of what is mapped. A durable commit is a
 * fdatasync and then a write of the meta page by a descriptor with O_DSYNC, which no count shows.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "engines/key.h"
#include "support/bench.h"
#include "support/group.h"
#include "support/readers.h"

enum { READERS = 512, FILE_MODE = 0600, OWN_MAX = 64 };

/* Addresses only: the file is as long as what is in it. */
#define MAP_BYTES_MIN (UINT64_C(64) << 30)
#define MAP_BYTES_EACH UINT64_C(4096) /* besides the record: its share of pages, at worst */

struct store {
    MDB_env *env;
    uint32_t databases;
    MDB_dbi records[OWN_MAX];
    bool own; /* each queue has a database */
    bool grouped;
    struct bench_group group;
    struct bench_readers readers;
};

struct writer {
    struct store *store;
    MDB_txn *txn;    /* NULL: nothing was appended since the last commit */
    MDB_cursor *end; /* NULL: none; in the database of end_queue */
    uint32_t end_queue;
    struct bench_member member;
};

/* A key of either kind. */
struct place {
    MDB_val val;
    union {
        size_t number;
        struct key key;
    } of;
};

static void need(int code, const char *what)
{
    if (code != 0) {
        bench_die("LMDB: %s: %s", what, mdb_strerror(code));
    }
}

static void version(char *out, size_t size)
{
    (void)snprintf(out, size, "LMDB %d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
                   MDB_VERSION_PATCH);
}

static MDB_dbi database(const struct store *store, uint32_t queue)
{
    return store->records[store->own ? queue : 0];
}

static MDB_val *place(struct place *place, bool own, uint32_t queue, uint64_t offset)
{
    if (own) {
        place->of.number = (size_t)offset;
        place->val = (MDB_val){sizeof(place->of.number), &place->of.number};
    } else {
        place->of.key = key_of(queue, offset);
        place->val = (MDB_val){sizeof(place->of.key), &place->of.key};
    }
    return &place->val;
}

/* ---- reading ---- */

static void *reader_open(void *at)
{
    const struct store *store = at;
    MDB_txn *txn = NULL;
    need(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "begin reading");
    mdb_txn_reset(txn);
    return txn;
}

static void reader_close(void *txn)
{
    mdb_txn_abort(txn);
}

/* Sees what is committed now; until mdb_txn_reset. */
static MDB_txn *reader_begin(struct store *store)
{
    MDB_txn *txn = bench_reader(&store->readers);
    need(mdb_txn_renew(txn), "renew");
    return txn;
}

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    struct store *store = at;
    MDB_txn *txn = reader_begin(store);
    MDB_cursor *cursor = NULL;
    struct place first;
    MDB_val key = *place(&first, store->own, queue, from);
    MDB_val body;
    uint64_t seen = 0;
    need(mdb_cursor_open(txn, database(store, queue), &cursor), "cursor");
    int code = mdb_cursor_get(cursor, &key, &body, MDB_SET_RANGE);
    while (code == 0 && seen < limit) {
        uint64_t offset = 0;
        if (store->own) {
            memcpy(&offset, key.mv_data, sizeof(offset));
        } else if (!key_in_queue(key.mv_data, key.mv_size, queue, &offset)) {
            break;
        }
        visit(ctx, offset, body.mv_data, body.mv_size);
        seen++;
        code = seen < limit ? mdb_cursor_get(cursor, &key, &body, MDB_NEXT) : 0;
    }
    need(code == MDB_NOTFOUND ? 0 : code, "scan");
    mdb_cursor_close(cursor);
    mdb_txn_reset(txn);
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct store *store = at;
    MDB_txn *txn = reader_begin(store);
    struct place key;
    MDB_val body;
    need(mdb_get(txn, database(store, queue), place(&key, store->own, queue, offset), &body),
         "get");
    memcpy(out, body.mv_data, body.mv_size < room ? body.mv_size : room);
    size_t bytes = body.mv_size;
    mdb_txn_reset(txn);
    return bytes;
}

/* ---- appending ---- */

/* The writer's cursor, in the database of the queue. */
static MDB_cursor *end_of(struct writer *writer, uint32_t queue)
{
    const struct store *store = writer->store;
    if (writer->txn == NULL) {
        need(mdb_txn_begin(store->env, NULL, 0, &writer->txn), "begin");
    }
    if (writer->end != NULL && store->own && writer->end_queue != queue) {
        mdb_cursor_close(writer->end);
        writer->end = NULL;
    }
    if (writer->end == NULL) {
        need(mdb_cursor_open(writer->txn, database(store, queue), &writer->end), "cursor");
        writer->end_queue = queue;
    }
    return writer->end;
}

static void put(struct writer *writer, uint32_t queue, uint64_t offset, const void *body,
                size_t bytes)
{
    bool own = writer->store->own;
    struct place key;
    MDB_val value = {bytes, (void *)(uintptr_t)body};
    MDB_cursor *end = end_of(writer, queue);
    need(mdb_cursor_put(end, place(&key, own, queue, offset), &value, own ? MDB_APPEND : 0), "put");
}

static void commit(struct writer *writer)
{
    if (writer->txn != NULL) {
        mdb_cursor_close(writer->end);
        writer->end = NULL;
        need(mdb_txn_commit(writer->txn), "commit");
        writer->txn = NULL;
    }
}

static void apply(void *leader, const struct bench_member *members)
{
    for (const struct bench_member *member = members; member != NULL; member = member->next) {
        const struct bench_staged *record = NULL;
        while ((record = bench_staged_next(member, record)) != NULL) {
            put(leader, record->queue, record->offset, record->body, record->bytes);
        }
    }
    commit(leader);
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
    if (writer->store->grouped) {
        bench_stage(&writer->member, queue, offset, body, bytes);
    } else {
        put(writer, queue, offset, body, bytes);
    }
}

static void writer_commit(void *at)
{
    struct writer *writer = at;
    if (writer->store->grouped) {
        bench_group_commit(&writer->store->group, &writer->member, writer);
    } else {
        commit(writer);
    }
}

static void writer_close(void *at)
{
    struct writer *writer = at;
    bench_member_close(&writer->member);
    free(writer);
}

/* ---- the store ---- */

static void databases_open(struct store *store, uint32_t queues)
{
    MDB_txn *txn = NULL;
    unsigned kind = MDB_CREATE | (store->own ? MDB_INTEGERKEY : 0);
    store->databases = store->own ? queues : 1;
    need(mdb_txn_begin(store->env, NULL, 0, &txn), "begin");
    for (uint32_t i = 0; i < store->databases; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", i);
        /* The nameless one, when it is enough: a commit then has a page less to write. */
        need(mdb_dbi_open(txn, queues == 1 || !store->own ? NULL : name, kind, &store->records[i]),
             "database");
    }
    need(mdb_txn_commit(txn), "commit");
}

static unsigned flags_for(const struct bench_wanted *wanted)
{
    unsigned flags = MDB_NOTLS | MDB_NOMEMINIT;
    if (wanted->promise == BENCH_ASYNC) {
        flags |= MDB_NOSYNC | MDB_NOMETASYNC | (wanted->batch == 1 ? MDB_WRITEMAP : 0);
    }
    return flags;
}

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    uint64_t map = wanted->records * (wanted->bytes + MAP_BYTES_EACH);
    (void)engine;
    store->own = wanted->queues <= OWN_MAX;
    store->grouped = wanted->promise == BENCH_DURABLE && wanted->threads > 1;
    need(mdb_env_create(&store->env), "create");
    need(mdb_env_set_mapsize(store->env, map > MAP_BYTES_MIN ? map : MAP_BYTES_MIN), "map");
    need(mdb_env_set_maxreaders(store->env, READERS), "readers");
    need(mdb_env_set_maxdbs(store->env, OWN_MAX), "databases");
    need(mdb_env_open(store->env, wanted->directory, flags_for(wanted), FILE_MODE), "open");
    databases_open(store, wanted->queues);
    bench_group_open(&store->group, apply);
    bench_readers_open(&store->readers, store, reader_open, reader_close);
    return store;
}

/* A committed transaction has been written to the file. */
static void store_drain(void *store)
{
    (void)store;
}

static void store_close(void *at)
{
    struct store *store = at;
    bench_readers_close(&store->readers);
    bench_group_close(&store->group);
    mdb_env_close(store->env);
    free(store);
}

#define SETTING                                                                                    \
    "NOMEMINIT; up to 64 queues a database each, MDB_INTEGERKEY and MDB_APPEND, else keys of 12 "  \
    "bytes; async: NOSYNC|NOMETASYNC, with one record a transaction WRITEMAP; durable: default "   \
    "(fdatasync, then the meta page by O_DSYNC), of several threads one transaction for all that " \
    "wait, by the adapter"

#define COMMON                                                                                     \
    .family = "LMDB", .setting = SETTING, .durable = true,                                         \
    .losses = {[BENCH_ASYNC] = {.kill = LOST_OPEN,                                                 \
                                .power = "all of it, at worst: pages were written in any order, "  \
                                         "the file can be damaged"},                               \
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},                         \
    .points = true, .verifies = false, .version = version, .open = store_open,                     \
    .writer = writer_open, .append = writer_append, .commit = writer_commit,                       \
    .writer_close = writer_close, .drain = store_drain, .scan = store_scan, .get = store_get,      \
    .close = store_close

const struct bench_engine bench_engine_lmdb = {
    .name = "lmdb",
    .batch = 1000,
    COMMON,
};

const struct bench_engine bench_engine_lmdb_1 = {
    .name = "lmdb-1",
    .batch = 1,
    COMMON,
};
