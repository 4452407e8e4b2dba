/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wiredtiger.c -- WiredTiger: a transaction of 1,000 records ("wiredtiger"), or one for each
 * ("wiredtiger-1"); one table, its log on, a session a thread.
 *
 * One queue: a column store, whose key is the number of the record, filled by a cursor that
 * appends. More: a row store with keys of bytes, so that a queue stands together. With BENCH_ASYNC
 * a commit leaves its log record in a buffer of the process; drain has it written. With
 * BENCH_DURABLE and several threads the adapter commits what all of them wait for in one
 * transaction: its own log makes fewer of them share a flush.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wiredtiger.h>

#include "engines/engines.h"
#include "engines/key.h"
#include "support/bench.h"
#include "support/group.h"
#include "support/readers.h"

static const char table[] = "table:records";

struct store {
    WT_CONNECTION *connection;
    bool one_queue;
    bool in_transactions;
    bool grouped;
    struct bench_group group;
    struct bench_readers readers;
};

struct handle { /* of one thread */
    struct store *store;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    bool open; /* a transaction is */
    struct key key;
    struct bench_member member;
};

static void need(int code, const char *what)
{
    if (code != 0) {
        bench_die("WiredTiger: %s: %s", what, wiredtiger_strerror(code));
    }
}

static void version(char *out, size_t size)
{
    int major = 0;
    int minor = 0;
    int patch = 0;
    (void)wiredtiger_version(&major, &minor, &patch);
    (void)snprintf(out, size, "WiredTiger %d.%d.%d", major, minor, patch);
}

static struct handle *handle_open(struct store *store, const char *config)
{
    struct handle *handle = bench_alloc(sizeof(*handle));
    handle->store = store;
    need(store->connection->open_session(store->connection, NULL, NULL, &handle->session),
         "session");
    need(handle->session->open_cursor(handle->session, table, NULL, config, &handle->cursor),
         "cursor");
    bench_member_open(&handle->member);
    return handle;
}

static void handle_close(void *at)
{
    struct handle *handle = at;
    need(handle->session->close(handle->session, NULL), "close a session");
    bench_member_close(&handle->member);
    free(handle);
}

static void set_key(struct handle *handle, uint32_t queue, uint64_t offset)
{
    if (handle->store->one_queue) {
        handle->cursor->set_key(handle->cursor, offset + 1); /* they count from 1 */
    } else {
        handle->key = key_of(queue, offset);
        WT_ITEM item = {.data = handle->key.bytes, .size = sizeof(handle->key.bytes)};
        handle->cursor->set_key(handle->cursor, &item);
    }
}

/* ---- appending ---- */

static void *writer_open(void *at, uint32_t thread)
{
    struct store *store = at;
    (void)thread;
    return handle_open(store, store->one_queue ? "append" : NULL);
}

static void insert(struct handle *writer, uint32_t queue, uint64_t offset, const void *body,
                   size_t bytes)
{
    WT_ITEM value = {.data = body, .size = bytes};
    if (writer->store->in_transactions && !writer->open) {
        need(writer->session->begin_transaction(writer->session, NULL), "begin");
        writer->open = true;
    }
    if (!writer->store->one_queue) {
        set_key(writer, queue, offset);
    }
    writer->cursor->set_value(writer->cursor, &value);
    need(writer->cursor->insert(writer->cursor), "insert");
}

static void commit(struct handle *writer)
{
    if (writer->open) {
        need(writer->session->commit_transaction(writer->session, NULL), "commit");
        writer->open = false;
    }
}

/* What all members have staged, in one transaction. */
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
    struct handle *writer = at;
    if (writer->store->grouped) {
        bench_stage(&writer->member, queue, offset, body, bytes);
    } else {
        insert(writer, queue, offset, body, bytes);
    }
}

static void writer_commit(void *at)
{
    struct handle *writer = at;
    if (writer->store->grouped) {
        bench_group_commit(&writer->store->group, &writer->member, writer);
    } else {
        commit(writer);
    }
}

static void store_drain(void *at)
{
    const struct store *store = at;
    WT_SESSION *session = NULL;
    need(store->connection->open_session(store->connection, NULL, NULL, &session), "session");
    need(session->log_flush(session, "sync=off"), "write the log");
    need(session->close(session, NULL), "close a session");
}

/* ---- reading ---- */

static void *reader_open(void *store)
{
    return handle_open(store, NULL);
}

static bool in_queue(WT_CURSOR *cursor, bool one_queue, uint32_t queue, uint64_t *offset)
{
    if (one_queue) {
        uint64_t number = 0;
        need(cursor->get_key(cursor, &number), "key");
        *offset = number - 1;
        return true;
    }
    WT_ITEM key;
    need(cursor->get_key(cursor, &key), "key");
    return key_in_queue(key.data, key.size, queue, offset);
}

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    struct store *store = at;
    struct handle *reader = bench_reader(&store->readers);
    WT_CURSOR *cursor = reader->cursor;
    uint64_t seen = 0;
    int where = 0;
    set_key(reader, queue, from);
    int code = cursor->search_near(cursor, &where);
    if (code == 0 && where < 0) {
        code = cursor->next(cursor);
    }
    while (code == 0 && seen < limit) {
        uint64_t offset = 0;
        WT_ITEM body;
        if (!in_queue(cursor, store->one_queue, queue, &offset)) {
            break;
        }
        need(cursor->get_value(cursor, &body), "value");
        visit(ctx, offset, body.data, body.size);
        seen++;
        code = seen < limit ? cursor->next(cursor) : 0;
    }
    need(code == WT_NOTFOUND ? 0 : code, "scan");
    need(cursor->reset(cursor), "reset");
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct store *store = at;
    struct handle *reader = bench_reader(&store->readers);
    WT_ITEM body;
    set_key(reader, queue, offset);
    need(reader->cursor->search(reader->cursor), "get");
    need(reader->cursor->get_value(reader->cursor, &body), "value");
    memcpy(out, body.data, body.size < room ? body.size : room);
    size_t bytes = body.size;
    need(reader->cursor->reset(reader->cursor), "reset");
    return bytes;
}

/* ---- the store ---- */

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    WT_SESSION *session = NULL;
    char config[512];
    (void)engine;
    (void)snprintf(config, sizeof(config),
                   "create,cache_size=4GB,eviction_dirty_target=60,eviction_dirty_trigger=80,"
                   "session_max=512,log=(enabled),transaction_sync=(enabled=%s,method=fsync)",
                   wanted->promise == BENCH_DURABLE ? "true" : "false");
    store->one_queue = wanted->queues == 1;
    store->grouped = wanted->promise == BENCH_DURABLE && wanted->threads > 1;
    store->in_transactions = wanted->batch != 1 || store->grouped;
    need(wiredtiger_open(wanted->directory, NULL, config, &store->connection), "open");
    need(store->connection->open_session(store->connection, NULL, NULL, &session), "session");
    (void)snprintf(config, sizeof(config), "key_format=%s,value_format=u",
                   store->one_queue ? "r" : "u");
    need(session->create(session, table, config), "table");
    need(session->close(session, NULL), "close a session");
    bench_group_open(&store->group, apply);
    bench_readers_open(&store->readers, store, reader_open, handle_close);
    return store;
}

static void store_close(void *at)
{
    struct store *store = at;
    bench_readers_close(&store->readers);
    bench_group_close(&store->group);
    need(store->connection->close(store->connection, "leak_memory"), "close");
    free(store);
}

#define SETTING                                                                                    \
    "log on, no checkpoints but at close, cache_size=4GB, eviction_dirty_target=60 and "           \
    "_trigger=80 "                                                                                 \
    "(less work while it is filled), a session a thread; one queue: column store by an appending " \
    "cursor, else keys of 12 bytes; async: transaction_sync off, at the end log_flush(sync=off); " \
    "durable: transaction_sync=(method=fsync), of several threads one transaction for all that "   \
    "wait, by the adapter"

#define COMMON                                                                                     \
    .family = "WiredTiger", .setting = SETTING, .durable = true, .points = true, .verifies = true, \
    .losses = {[BENCH_ASYNC] = {.kill = LOST_OPEN                                                  \
                                "; and what is in the buffer of its log: up to 256 KiB, "          \
                                "or 50 ms",                                                        \
                                .power =                                                           \
                                    "what the kernel had not written yet of its log: a tail"},     \
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},                         \
    .version = version, .open = store_open, .writer = writer_open, .append = writer_append,        \
    .commit = writer_commit, .writer_close = handle_close, .drain = store_drain,                   \
    .scan = store_scan, .get = store_get, .close = store_close

const struct bench_engine bench_engine_wiredtiger = {
    .name = "wiredtiger",
    .batch = 1000,
    COMMON,
};

const struct bench_engine bench_engine_wiredtiger_1 = {
    .name = "wiredtiger-1",
    .batch = 1,
    COMMON,
};
