/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sqlite.c -- SQLite as a store of records: one table, one transaction for each append.
 *
 * WAL journal with synchronous=FULL: the log is flushed before a commit returns, which its
 * documents call durable (synchronous=NORMAL, with which a commit may be lost, is not used).
 * One connection and one lock around it: SQLite has one writer at a time in any case.
 *
 * Owns: the connection.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

struct sqlite {
    sqlite3 *connection;
    pthread_mutex_t lock;
};

static enum engine_answer failure(struct sqlite *db, const char *what)
{
    engine_said("%s: %s (%d)", what, sqlite3_errmsg(db->connection),
                sqlite3_extended_errcode(db->connection));
    return ENGINE_ERROR;
}

static void sqlite_version(char out[ENGINE_MESSAGE_MAX])
{
    snprintf(out, ENGINE_MESSAGE_MAX, "SQLite %s", sqlite3_libversion());
}

static enum engine_answer sqlite_close(void *handle)
{
    struct sqlite *db = handle;
    int rc = sqlite3_close(db->connection);
    pthread_mutex_destroy(&db->lock);
    free(db);
    if (rc != SQLITE_OK)
        engine_said("close: %s", sqlite3_errstr(rc));
    return rc == SQLITE_OK ? ENGINE_RIGHT : ENGINE_ERROR;
}

/* The first column of the first row, as text. */
static bool ask(struct sqlite *db, const char *sql, char *out, size_t room)
{
    sqlite3_stmt *statement = NULL;
    bool has = sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW;
    if (has)
        snprintf(out, room, "%s", (const char *)sqlite3_column_text(statement, 0));
    return sqlite3_finalize(statement) == SQLITE_OK && has;
}

static enum engine_answer sqlite_open(const char *directory, bool read_only, void **out)
{
    static const char table[] = "PRAGMA synchronous=FULL;"
                                "CREATE TABLE IF NOT EXISTS record"
                                "(seq INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    struct sqlite *db = calloc(1, sizeof *db);
    char path[ENGINE_PATH_MAX], answer[32] = "";
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (db == NULL)
        return ENGINE_ERROR;
    pthread_mutex_init(&db->lock, NULL);
    snprintf(path, sizeof path, "%s/records.db", directory);
    bool opened =
        sqlite3_open_v2(path, &db->connection, flags | SQLITE_OPEN_FULLMUTEX, NULL) == SQLITE_OK;
    if (opened && !read_only)
        opened = ask(db, "PRAGMA journal_mode=WAL", answer, sizeof answer) &&
                 strcmp(answer, "wal") == 0 &&
                 sqlite3_exec(db->connection, table, NULL, NULL, NULL) == SQLITE_OK &&
                 ask(db, "PRAGMA synchronous", answer, sizeof answer) && strcmp(answer, "2") == 0;
    if (!opened) {
        enum engine_answer answered = failure(db, "open");
        sqlite3_close(db->connection);
        pthread_mutex_destroy(&db->lock);
        free(db);
        return answered;
    }
    *out = db;
    return ENGINE_RIGHT;
}

static enum engine_answer sqlite_append(void *handle, uint64_t seq, const void *body, size_t bytes)
{
    struct sqlite *db = handle;
    sqlite3_stmt *statement = NULL;
    enum engine_answer answer = ENGINE_RIGHT;
    pthread_mutex_lock(&db->lock);
    int rc = sqlite3_prepare_v2(db->connection, "INSERT INTO record VALUES (?, ?)", -1, &statement,
                                NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)seq);
        sqlite3_bind_blob(statement, 2, body, (int)bytes, SQLITE_STATIC);
        rc = sqlite3_step(statement);
    }
    if (rc != SQLITE_DONE)
        answer = failure(db, "insert");
    if (sqlite3_finalize(statement) != SQLITE_OK)
        answer = ENGINE_ERROR;
    pthread_mutex_unlock(&db->lock);
    return answer;
}

static enum engine_answer sqlite_read(void *handle, uint64_t seq, void *out, size_t *out_bytes)
{
    struct sqlite *db = handle;
    sqlite3_stmt *statement = NULL;
    enum engine_answer answer = ENGINE_MISSING;
    pthread_mutex_lock(&db->lock);
    int rc = sqlite3_prepare_v2(db->connection, "SELECT body FROM record WHERE seq = ?", -1,
                                &statement, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)seq);
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        const void *body = sqlite3_column_blob(statement, 0);
        *out_bytes = (size_t)sqlite3_column_bytes(statement, 0);
        if (body != NULL)
            memcpy(out, body, *out_bytes < ENGINE_BODY_MAX ? *out_bytes : ENGINE_BODY_MAX);
        answer = ENGINE_RIGHT;
    } else if (rc != SQLITE_DONE) {
        answer = failure(db, "select");
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&db->lock);
    return answer;
}

static enum engine_answer sqlite_check(void *handle)
{
    struct sqlite *db = handle;
    char answer[ENGINE_MESSAGE_MAX] = "";
    if (!ask(db, "PRAGMA integrity_check", answer, sizeof answer))
        return failure(db, "integrity_check");
    if (strcmp(answer, "ok") == 0)
        return ENGINE_RIGHT;
    engine_said("integrity_check: %.200s", answer);
    return ENGINE_ERROR;
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .setting = "journal_mode=WAL, synchronous=FULL, an INSERT in its own transaction; "
               "check: PRAGMA integrity_check",
    .version = sqlite_version,
    .open = sqlite_open,
    .append = sqlite_append,
    .read = sqlite_read,
    .check = sqlite_check,
    .close = sqlite_close,
};
