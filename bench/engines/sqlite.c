/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sqlite.c -- SQLite in WAL mode: one table, a transaction of 1,000 records, a connection a thread.
 *
 * The rowid is queue and offset, so that a queue stands together and appending to one goes to the
 * end of the tree. SQLite has one writer at a time. A lock of the adapter makes connections take
 * turns with BENCH_ASYNC (SQLite's own would have them sleep and ask again); with BENCH_DURABLE and
 * several threads the adapter commits what all of them wait for in one transaction.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "support/bench.h"
#include "support/group.h"
#include "support/readers.h"

enum { OFFSET_BITS = 40, QUEUE_BITS = 23, BUSY_MS = 60000, SQL_MAX = 512 };
enum { PAGE_BYTES = 4096, PAGE_BYTES_LARGE = 32768, PAGE_RECORDS = 100 };

struct store {
    char path[BENCH_PATH_MAX + 16];
    enum bench_promise promise;
    int page_bytes;
    sqlite3 *first; /* keeps the log from being closed with the last writer */
    bool in_transactions;
    bool grouped;
    pthread_mutex_t turn;
    struct bench_group group;
    struct bench_readers readers;
};

struct writer {
    struct store *store;
    sqlite3 *connection;
    sqlite3_stmt *begin, *insert, *end;
    bool open; /* a transaction is */
    struct bench_member member;
};

struct reader {
    sqlite3 *connection;
    sqlite3_stmt *get, *scan;
};

static void need(sqlite3 *connection, int code, int wanted, const char *what)
{
    if (code != wanted) {
        bench_die("SQLite: %s: %s (%d)", what,
                  connection != NULL ? sqlite3_errmsg(connection) : sqlite3_errstr(code), code);
    }
}

static void version(char *out, size_t size)
{
    (void)snprintf(out, size, "SQLite %s", sqlite3_libversion());
}

static sqlite3_int64 row_of(uint32_t queue, uint64_t offset)
{
    if (queue >> QUEUE_BITS != 0 || offset >> OFFSET_BITS != 0) {
        bench_die("SQLite: no row for queue %u, offset %llu", queue, (unsigned long long)offset);
    }
    return (sqlite3_int64)((uint64_t)queue << OFFSET_BITS | offset);
}

/* ---- connections ---- */

static void run(sqlite3 *connection, const char *sql)
{
    need(connection, sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK, sql);
}

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    need(connection,
         sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
         SQLITE_OK, sql);
    return statement;
}

/* Runs to its end a statement that has no rows. */
static void step(sqlite3 *connection, sqlite3_stmt *statement)
{
    need(connection, sqlite3_step(statement), SQLITE_DONE, sqlite3_sql(statement));
    need(connection, sqlite3_reset(statement), SQLITE_OK, sqlite3_sql(statement));
}

static sqlite3 *connect_to(const struct store *store)
{
    sqlite3 *connection = NULL;
    char sql[SQL_MAX];
    int code =
        sqlite3_open_v2(store->path, &connection,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    need(connection, code, SQLITE_OK, "open");
    need(connection, sqlite3_busy_timeout(connection, BUSY_MS), SQLITE_OK, "timeout");
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;"
                   "PRAGMA cache_size=-262144; PRAGMA mmap_size=8589934592;",
                   store->page_bytes, store->promise == BENCH_DURABLE ? "FULL" : "OFF");
    run(connection, sql);
    return connection;
}

static void disconnect(sqlite3 *connection)
{
    need(connection, sqlite3_close(connection), SQLITE_OK, "close");
}

/* ---- appending ---- */

static void *writer_open(void *at, uint32_t thread)
{
    struct store *store = at;
    struct writer *writer = bench_alloc(sizeof(*writer));
    (void)thread;
    writer->store = store;
    writer->connection = connect_to(store);
    writer->begin = prepare(writer->connection, "BEGIN IMMEDIATE");
    writer->insert = prepare(writer->connection, "INSERT INTO record(id, body) VALUES (?, ?)");
    writer->end = prepare(writer->connection, "COMMIT");
    bench_member_open(&writer->member);
    return writer;
}

static void begin(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->store->turn);
    if (writer->store->in_transactions) {
        step(writer->connection, writer->begin);
    }
    writer->open = true;
}

static void insert(struct writer *writer, uint32_t queue, uint64_t offset, const void *body,
                   size_t bytes)
{
    if (!writer->open) {
        begin(writer);
    }
    need(writer->connection, sqlite3_bind_int64(writer->insert, 1, row_of(queue, offset)),
         SQLITE_OK, "bind");
    need(writer->connection, sqlite3_bind_blob(writer->insert, 2, body, (int)bytes, SQLITE_STATIC),
         SQLITE_OK, "bind");
    step(writer->connection, writer->insert);
}

static void commit(struct writer *writer)
{
    if (writer->open) {
        if (writer->store->in_transactions) {
            step(writer->connection, writer->end);
        }
        writer->open = false;
        (void)pthread_mutex_unlock(&writer->store->turn);
    }
}

static void apply(void *leader, const struct bench_member *members)
{
    for (const struct bench_member *member = members; member != NULL; member = member->next) {
        const struct bench_staged *record = NULL;
        while ((record = bench_staged_next(member, record)) != NULL) {
            insert(leader, record->queue, record->offset, record->body, record->bytes);
        }
    }
    commit(leader);
}

static void writer_append(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    if (writer->store->grouped) {
        bench_stage(&writer->member, queue, offset, body, bytes);
    } else {
        insert(writer, queue, offset, body, bytes);
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
    sqlite3_stmt *statements[] = {writer->begin, writer->insert, writer->end};
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        need(writer->connection, sqlite3_finalize(statements[i]), SQLITE_OK, "finalize");
    }
    disconnect(writer->connection);
    bench_member_close(&writer->member);
    free(writer);
}

/* A committed transaction has been written to the log or the file. */
static void store_drain(void *store)
{
    (void)store;
}

/* ---- reading ---- */

static void *reader_open(void *store)
{
    struct reader *reader = bench_alloc(sizeof(*reader));
    reader->connection = connect_to(store);
    reader->get = prepare(reader->connection, "SELECT body FROM record WHERE id = ?");
    reader->scan = prepare(reader->connection,
                           "SELECT id, body FROM record WHERE id BETWEEN ? AND ? ORDER BY id");
    return reader;
}

static void reader_close(void *at)
{
    struct reader *reader = at;
    need(reader->connection, sqlite3_finalize(reader->get), SQLITE_OK, "finalize");
    need(reader->connection, sqlite3_finalize(reader->scan), SQLITE_OK, "finalize");
    disconnect(reader->connection);
    free(reader);
}

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    static const uint64_t last = (UINT64_C(1) << OFFSET_BITS) - 1;
    struct store *store = at;
    struct reader *reader = bench_reader(&store->readers);
    sqlite3_stmt *scan = reader->scan;
    uint64_t seen = 0;
    int code = SQLITE_DONE;
    need(reader->connection, sqlite3_bind_int64(scan, 1, row_of(queue, from)), SQLITE_OK, "bind");
    need(reader->connection, sqlite3_bind_int64(scan, 2, row_of(queue, last)), SQLITE_OK, "bind");
    while (seen < limit && (code = sqlite3_step(scan)) == SQLITE_ROW) {
        const void *body = sqlite3_column_blob(scan, 1);
        visit(ctx, (uint64_t)sqlite3_column_int64(scan, 0) & last, body,
              (size_t)sqlite3_column_bytes(scan, 1));
        seen++;
    }
    if (seen < limit) {
        need(reader->connection, code, SQLITE_DONE, "scan");
    }
    need(reader->connection, sqlite3_reset(scan), SQLITE_OK, "scan");
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct store *store = at;
    struct reader *reader = bench_reader(&store->readers);
    sqlite3_stmt *get = reader->get;
    need(reader->connection, sqlite3_bind_int64(get, 1, row_of(queue, offset)), SQLITE_OK, "bind");
    need(reader->connection, sqlite3_step(get), SQLITE_ROW, "get");
    const void *body = sqlite3_column_blob(get, 0);
    size_t bytes = (size_t)sqlite3_column_bytes(get, 0);
    memcpy(out, body, bytes < room ? bytes : room);
    need(reader->connection, sqlite3_reset(get), SQLITE_OK, "get");
    return bytes;
}

/* ---- the store ---- */

/* Large pages where a transaction fills them; else it would log much more than it has. */
static int page_bytes_for(const struct bench_wanted *wanted)
{
    bool fills = wanted->batch >= PAGE_RECORDS && wanted->queues <= wanted->threads;
    return fills ? PAGE_BYTES_LARGE : PAGE_BYTES;
}

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    (void)engine;
    (void)snprintf(store->path, sizeof(store->path), "%s/records.db", wanted->directory);
    store->promise = wanted->promise;
    store->page_bytes = page_bytes_for(wanted);
    store->grouped = wanted->promise == BENCH_DURABLE && wanted->threads > 1;
    store->in_transactions = wanted->batch != 1 || store->grouped;
    store->first = connect_to(store);
    run(store->first, "CREATE TABLE IF NOT EXISTS record(id INTEGER PRIMARY KEY, body BLOB)");
    bench_need(pthread_mutex_init(&store->turn, NULL), "mutex");
    bench_group_open(&store->group, apply);
    bench_readers_open(&store->readers, store, reader_open, reader_close);
    return store;
}

static void store_close(void *at)
{
    struct store *store = at;
    bench_readers_close(&store->readers);
    bench_group_close(&store->group);
    (void)pthread_mutex_destroy(&store->turn);
    disconnect(store->first);
    free(store);
}

const struct bench_engine bench_engine_sqlite = {
    .name = "sqlite",
    .family = "SQLite",
    .batch = 1000,
    .durable = true,
    .points = true,
    .setting =
        "WAL, cache_size 256 MiB, mmap_size 8 GiB, a connection a thread; page_size 32768 where a "
        "transaction fills them (batch >= 100, a queue a thread), else 4096; async: "
        "synchronous=OFF; durable: FULL, of several threads one transaction for all that "
        "wait, by the adapter",
    .losses =
        {[BENCH_ASYNC] =
             {.kill = LOST_OPEN,
              .power =
                  "all of it, at worst: pages were written in any order, the file can be damaged"},
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
    .get = store_get,
    .close = store_close,
};
