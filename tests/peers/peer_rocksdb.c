/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_rocksdb.c -- RocksDB: one put with sync. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct rocksdb_store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
};

static const char *store_version(void)
{
    return PEER_ROCKSDB_VERSION; /* of the package: its own header is for C++ */
}

/* True: the call went well; else its words are kept. */
static bool store_well(char *error, char why[PEER_WHY_BYTES])
{
    if (error == NULL) {
        return true;
    }
    (void)snprintf(why, PEER_WHY_BYTES, "%s", error);
    rocksdb_free(error);
    return false;
}

static void store_close(void *handle)
{
    struct rocksdb_store *store = (struct rocksdb_store *)handle;
    if (store->db != NULL) {
        rocksdb_close(store->db);
    }
    rocksdb_readoptions_destroy(store->read);
    rocksdb_writeoptions_destroy(store->write);
    rocksdb_options_destroy(store->options);
    free(store);
}

static void *store_open(const char *dir, bool read_only, char why[PEER_WHY_BYTES])
{
    struct rocksdb_store *store = (struct rocksdb_store *)calloc(1, sizeof(*store));
    char *error = NULL;
    if (store == NULL) {
        return NULL;
    }
    store->options = rocksdb_options_create();
    store->write = rocksdb_writeoptions_create();
    store->read = rocksdb_readoptions_create();
    rocksdb_options_set_create_if_missing(store->options, 1);
    rocksdb_writeoptions_set_sync(store->write, 1);
    store->db = read_only ? rocksdb_open_for_read_only(store->options, dir, 0, &error)
                          : rocksdb_open(store->options, dir, &error);
    if (!store_well(error, why)) {
        store_close(store);
        return NULL;
    }
    return store;
}

static bool store_append(void *handle, uint64_t number, const void *body, size_t bytes,
                         char why[PEER_WHY_BYTES])
{
    struct rocksdb_store *store = (struct rocksdb_store *)handle;
    char *error = NULL;
    uint8_t key[8];
    peer_key(key, number);
    rocksdb_put(store->db, store->write, (const char *)key, sizeof(key), (const char *)body, bytes,
                &error);
    return store_well(error, why);
}

static enum peer_answer store_read(void *handle, uint64_t number, void *body, size_t *out_bytes,
                                   char why[PEER_WHY_BYTES])
{
    struct rocksdb_store *store = (struct rocksdb_store *)handle;
    char *error = NULL;
    uint8_t key[8];
    peer_key(key, number);
    char *found =
        rocksdb_get(store->db, store->read, (const char *)key, sizeof(key), out_bytes, &error);
    if (!store_well(error, why)) {
        return PEER_ERROR;
    }
    if (found == NULL) {
        return PEER_NOT_THERE;
    }
    memcpy(body, found, *out_bytes < PEER_BODY_MAX ? *out_bytes : PEER_BODY_MAX);
    rocksdb_free(found);
    return PEER_FOUND;
}

const struct peer peer_rocksdb = {.name = "rocksdb",
                                  .setting = "WriteOptions::sync, one Put each",
                                  .version = store_version,
                                  .open = store_open,
                                  .append = store_append,
                                  .read = store_read,
                                  .close = store_close};
