/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_lmdb.c -- LMDB as it comes, and with MDB_WRITEMAP: one put, one transaction. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

enum { LMDB_MAP_BYTES = 256 << 20 };

struct lmdb_store {
    MDB_env *env;
    MDB_dbi dbi;
};

static const char *store_version(void)
{
    int major, minor, patch;
    static char text[32];
    (void)mdb_version(&major, &minor, &patch);
    (void)snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
    return text;
}

static void store_close(void *handle)
{
    struct lmdb_store *store = (struct lmdb_store *)handle;
    mdb_env_close(store->env);
    free(store);
}

static void *store_open(const char *dir, unsigned flags, bool read_only, char why[PEER_WHY_BYTES])
{
    struct lmdb_store *store = (struct lmdb_store *)calloc(1, sizeof(*store));
    MDB_txn *txn = NULL;
    if (store == NULL) {
        return NULL;
    }
    flags = read_only ? MDB_RDONLY : flags;
    int rc = mdb_env_create(&store->env);
    rc = rc == 0 ? mdb_env_set_mapsize(store->env, LMDB_MAP_BYTES) : rc;
    rc = rc == 0 ? mdb_env_open(store->env, dir, flags, 0600) : rc;
    rc = rc == 0 ? mdb_txn_begin(store->env, NULL, read_only ? MDB_RDONLY : 0u, &txn) : rc;
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &store->dbi);
        rc = rc == 0 ? mdb_txn_commit(txn) : (mdb_txn_abort(txn), rc);
    }
    if (rc != 0) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", mdb_strerror(rc));
        store_close(store);
        return NULL;
    }
    return store;
}

static void *store_open_plain(const char *dir, bool read_only, char why[PEER_WHY_BYTES])
{
    return store_open(dir, 0, read_only, why);
}

static void *store_open_writemap(const char *dir, bool read_only, char why[PEER_WHY_BYTES])
{
    return store_open(dir, MDB_WRITEMAP, read_only, why);
}

static bool store_append(void *handle, uint64_t number, const void *body, size_t bytes,
                         char why[PEER_WHY_BYTES])
{
    struct lmdb_store *store = (struct lmdb_store *)handle;
    MDB_txn *txn = NULL;
    uint8_t name[8];
    char copy[PEER_BODY_MAX];
    memcpy(copy, body, bytes);
    MDB_val key = {sizeof(name), name};
    MDB_val data = {bytes, copy};
    peer_key(name, number);
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_put(txn, store->dbi, &key, &data, 0);
        rc = rc == 0 ? mdb_txn_commit(txn) : (mdb_txn_abort(txn), rc);
    }
    if (rc != 0) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", mdb_strerror(rc));
    }
    return rc == 0;
}

static enum peer_answer store_read(void *handle, uint64_t number, void *body, size_t *out_bytes,
                                   char why[PEER_WHY_BYTES])
{
    struct lmdb_store *store = (struct lmdb_store *)handle;
    MDB_txn *txn = NULL;
    uint8_t name[8];
    MDB_val key = {sizeof(name), name};
    MDB_val data = {0, NULL};
    peer_key(name, number);
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_get(txn, store->dbi, &key, &data);
        if (rc == 0) {
            *out_bytes = data.mv_size;
            memcpy(body, data.mv_data, data.mv_size < PEER_BODY_MAX ? data.mv_size : PEER_BODY_MAX);
        }
        mdb_txn_abort(txn);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", mdb_strerror(rc));
    }
    return rc == 0 ? PEER_FOUND : rc == MDB_NOTFOUND ? PEER_NOT_THERE : PEER_ERROR;
}

const struct peer peer_lmdb = {.name = "lmdb",
                               .setting = "flags 0, one put a transaction",
                               .version = store_version,
                               .open = store_open_plain,
                               .append = store_append,
                               .read = store_read,
                               .close = store_close};
const struct peer peer_lmdb_writemap = {.name = "lmdb-writemap",
                                        .setting = "MDB_WRITEMAP, one put a transaction",
                                        .version = store_version,
                                        .open = store_open_writemap,
                                        .append = store_append,
                                        .read = store_read,
                                        .close = store_close};
