/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_sqlite.c -- SQLite: one row, one transaction. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct sqlite_store {
    sqlite3 *db;
    sqlite3_stmt *insert;
    sqlite3_stmt *select;
};

static void store_close(void *handle)
{
    struct sqlite_store *store = (struct sqlite_store *)handle;
    (void)sqlite3_finalize(store->insert);
    (void)sqlite3_finalize(store->select);
    (void)sqlite3_close(store->db);
    free(store);
}

static void *store_open(const char *dir, bool read_only, char why[PEER_WHY_BYTES])
{
    struct sqlite_store *store = (struct sqlite_store *)calloc(1, sizeof(*store));
    char path[4096];
    if (store == NULL) {
        return NULL;
    }
    (void)snprintf(path, sizeof(path), "%s/peer.db", dir);
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    bool good = sqlite3_open_v2(path, &store->db, flags, NULL) == SQLITE_OK;
    if (good && !read_only) {
        good =
            sqlite3_exec(store->db,
                         "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, body BLOB)",
                         NULL, NULL, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(store->db, "INSERT INTO log VALUES (?1, ?2)", -1, &store->insert,
                               NULL) == SQLITE_OK;
    }
    good = good && sqlite3_prepare_v2(store->db, "SELECT body FROM log WHERE number = ?1", -1,
                                      &store->select, NULL) == SQLITE_OK;
    if (!good) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", sqlite3_errmsg(store->db));
        store_close(store);
        return NULL;
    }
    return store;
}

static bool store_append(void *handle, uint64_t number, const void *body, size_t bytes,
                         char why[PEER_WHY_BYTES])
{
    struct sqlite_store *store = (struct sqlite_store *)handle;
    (void)sqlite3_bind_int64(store->insert, 1, (sqlite3_int64)number);
    (void)sqlite3_bind_blob(store->insert, 2, body, (int)bytes, SQLITE_STATIC);
    int rc = sqlite3_step(store->insert);
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", sqlite3_errmsg(store->db));
    }
    (void)sqlite3_reset(store->insert);
    return rc == SQLITE_DONE;
}

static enum peer_answer store_read(void *handle, uint64_t number, void *body, size_t *out_bytes,
                                   char why[PEER_WHY_BYTES])
{
    struct sqlite_store *store = (struct sqlite_store *)handle;
    enum peer_answer answer = PEER_NOT_THERE;
    (void)sqlite3_bind_int64(store->select, 1, (sqlite3_int64)number);
    int rc = sqlite3_step(store->select);
    if (rc == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(store->select, 0);
        *out_bytes = (size_t)sqlite3_column_bytes(store->select, 0);
        if (data != NULL) {
            memcpy(body, data, *out_bytes < PEER_BODY_MAX ? *out_bytes : PEER_BODY_MAX);
        }
        answer = PEER_FOUND;
    } else if (rc != SQLITE_DONE) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", sqlite3_errmsg(store->db));
        answer = PEER_ERROR;
    }
    (void)sqlite3_reset(store->select);
    return answer;
}

const struct peer peer_sqlite = {.name = "sqlite",
                                 .setting = "journal_mode=WAL, synchronous=FULL, one INSERT each",
                                 .version = sqlite3_libversion,
                                 .open = store_open,
                                 .append = store_append,
                                 .read = store_read,
                                 .close = store_close};
