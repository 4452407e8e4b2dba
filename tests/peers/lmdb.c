/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lmdb.c -- LMDB as a store of records: one transaction for each append, default durability.
 *
 * Neither MDB_NOSYNC nor MDB_NOMETASYNC nor MDB_MAPASYNC: mdb_txn_commit flushes data and meta
 * page. With MDB_WRITEMAP the same, through a writable map. The map has room for more than the
 * disk, so that a full disk is a full disk. LMDB has no check of its own; ours is to walk over
 * everything.
 *
 * Owns: the environment. LMDB's own lock makes appends of several threads take turns.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { MAP_BYTES = 512 * 1024 * 1024, FILE_MODE = 0600 };

struct lmdb {
    MDB_env *env;
    MDB_dbi records;
};

static enum engine_answer failure(const char *what, int rc)
{
    engine_said("%s: %s (%d)", what, mdb_strerror(rc), rc);
    return ENGINE_ERROR;
}

static void lmdb_version(char out[ENGINE_MESSAGE_MAX])
{
    snprintf(out, ENGINE_MESSAGE_MAX, "LMDB %d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
             MDB_VERSION_PATCH);
}

static int table_open(struct lmdb *db, bool read_only)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(db->env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &db->records);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static enum engine_answer open_with(const char *directory, bool read_only, unsigned flags,
                                    void **out)
{
    struct lmdb *db = calloc(1, sizeof *db);
    if (db == NULL)
        return ENGINE_ERROR;
    int rc = mdb_env_create(&db->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(db->env, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_open(db->env, directory, read_only ? MDB_RDONLY : flags, FILE_MODE);
    if (rc == 0)
        rc = table_open(db, read_only);
    if (rc != 0) {
        mdb_env_close(db->env);
        free(db);
        return failure("open", rc);
    }
    *out = db;
    return ENGINE_RIGHT;
}

static enum engine_answer lmdb_open(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, 0, out);
}

static enum engine_answer lmdb_open_writemap(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, MDB_WRITEMAP, out);
}

/* Keys are ordered as bytes: the highest first. */
static MDB_val key_of(uint64_t seq, uint8_t room[8])
{
    for (int i = 0; i < 8; i++)
        room[i] = (uint8_t)(seq >> (56 - 8 * i));
    return (MDB_val){8, room};
}

static enum engine_answer lmdb_append(void *handle, uint64_t seq, const void *body, size_t bytes)
{
    struct lmdb *db = handle;
    MDB_txn *txn = NULL;
    uint8_t room[8], copy[ENGINE_BODY_MAX];
    MDB_val key = key_of(seq, room), value = {bytes, copy};
    memcpy(copy, body, bytes);
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0)
        return failure("begin", rc);
    rc = mdb_put(txn, db->records, &key, &value, MDB_NOOVERWRITE);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return failure("put", rc);
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? ENGINE_RIGHT : failure("commit", rc);
}

static enum engine_answer lmdb_read(void *handle, uint64_t seq, void *out, size_t *out_bytes)
{
    struct lmdb *db = handle;
    MDB_txn *txn = NULL;
    uint8_t room[8];
    MDB_val key = key_of(seq, room), value = {0, NULL};
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return failure("begin", rc);
    rc = mdb_get(txn, db->records, &key, &value);
    if (rc == 0) {
        *out_bytes = value.mv_size;
        memcpy(out, value.mv_data,
               value.mv_size < ENGINE_BODY_MAX ? value.mv_size : ENGINE_BODY_MAX);
    }
    mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND)
        return ENGINE_MISSING;
    return rc == 0 ? ENGINE_RIGHT : failure("get", rc);
}

static enum engine_answer lmdb_check(void *handle)
{
    struct lmdb *db = handle;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return failure("begin", rc);
    rc = mdb_cursor_open(txn, db->records, &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        while (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? ENGINE_RIGHT : failure("walk", rc);
}

static enum engine_answer lmdb_close(void *handle)
{
    struct lmdb *db = handle;
    mdb_env_close(db->env);
    free(db);
    return ENGINE_RIGHT;
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .setting = "no flags (mdb_txn_commit flushes), a transaction for each append; "
               "check: a walk over all records, it has no other",
    .version = lmdb_version,
    .open = lmdb_open,
    .append = lmdb_append,
    .read = lmdb_read,
    .check = lmdb_check,
    .close = lmdb_close,
};

const struct engine engine_lmdb_writemap = {
    .name = "lmdb-writemap",
    .setting = "MDB_WRITEMAP (mdb_txn_commit flushes), otherwise as lmdb",
    .version = lmdb_version,
    .open = lmdb_open_writemap,
    .append = lmdb_append,
    .read = lmdb_read,
    .check = lmdb_check,
    .close = lmdb_close,
};
