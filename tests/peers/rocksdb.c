/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rocksdb.c -- RocksDB as a store of records: one synced write for each append, through its C API.
 *
 * WriteOptions.sync = true. Everything else is the default, checksums of reads and paranoid checks
 * included; set here once more, so that it can be seen. The default recovery of its log is to a
 * point in time, where what follows a bad record is dropped; kAbsoluteConsistency, the second
 * engine, is its strictest: it refuses to open.
 *
 * Owns: the database and its options. RocksDB serialises by itself.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
};

static enum engine_answer failure(const char *what, char *error)
{
    engine_said("%s: %.200s", what, error);
    rocksdb_free(error);
    return ENGINE_ERROR;
}

static void rocks_version(char out[ENGINE_MESSAGE_MAX])
{
    /* Its C API does not tell, and its header of versions is C++: asked of pkg-config. */
    snprintf(out, ENGINE_MESSAGE_MAX, "RocksDB %s", ROCKSDB_VERSION);
}

static enum engine_answer rocks_close(void *handle)
{
    struct rocks *rocks = handle;
    if (rocks->db != NULL)
        rocksdb_close(rocks->db);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_options_destroy(rocks->options);
    free(rocks);
    return ENGINE_RIGHT;
}

static enum engine_answer open_with(const char *directory, bool read_only, int recovery, void **out)
{
    struct rocks *rocks = calloc(1, sizeof *rocks);
    char *error = NULL;
    if (rocks == NULL)
        return ENGINE_ERROR;
    rocks->options = rocksdb_options_create();
    rocks->write = rocksdb_writeoptions_create();
    rocks->read = rocksdb_readoptions_create();
    rocksdb_options_set_create_if_missing(rocks->options, 1);
    rocksdb_options_set_paranoid_checks(rocks->options, 1);
    rocksdb_options_set_wal_recovery_mode(rocks->options, recovery);
    rocksdb_writeoptions_set_sync(rocks->write, 1);
    rocksdb_readoptions_set_verify_checksums(rocks->read, 1);
    if (read_only)
        rocks->db = rocksdb_open_for_read_only(rocks->options, directory, 0, &error);
    else
        rocks->db = rocksdb_open(rocks->options, directory, &error);
    if (error != NULL) {
        rocks->db = NULL;
        rocks_close(rocks);
        return failure("open", error);
    }
    *out = rocks;
    return ENGINE_RIGHT;
}

static enum engine_answer rocks_open(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, rocksdb_point_in_time_recovery, out);
}

static enum engine_answer rocks_open_absolute(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, rocksdb_absolute_consistency_recovery, out);
}

/* Keys are ordered as bytes: the highest first. */
static void key_write(char key[8], uint64_t seq)
{
    for (int i = 0; i < 8; i++)
        key[i] = (char)(uint8_t)(seq >> (56 - 8 * i));
}

static enum engine_answer rocks_append(void *handle, uint64_t seq, const void *body, size_t bytes)
{
    struct rocks *rocks = handle;
    char key[8], *error = NULL;
    key_write(key, seq);
    rocksdb_put(rocks->db, rocks->write, key, sizeof key, body, bytes, &error);
    return error == NULL ? ENGINE_RIGHT : failure("put", error);
}

static enum engine_answer rocks_read(void *handle, uint64_t seq, void *out, size_t *out_bytes)
{
    struct rocks *rocks = handle;
    char key[8], *error = NULL;
    size_t bytes = 0;
    key_write(key, seq);
    char *value = rocksdb_get(rocks->db, rocks->read, key, sizeof key, &bytes, &error);
    if (error != NULL)
        return failure("get", error);
    if (value == NULL)
        return ENGINE_MISSING;
    memcpy(out, value, bytes < ENGINE_BODY_MAX ? bytes : ENGINE_BODY_MAX);
    *out_bytes = bytes;
    rocksdb_free(value);
    return ENGINE_RIGHT;
}

/* The C API has no VerifyChecksum; a walk with verify_checksums reads every block of data. */
static enum engine_answer rocks_check(void *handle)
{
    struct rocks *rocks = handle;
    char *error = NULL;
    rocksdb_iterator_t *walk = rocksdb_create_iterator(rocks->db, rocks->read);
    for (rocksdb_iter_seek_to_first(walk); rocksdb_iter_valid(walk);)
        rocksdb_iter_next(walk);
    rocksdb_iter_get_error(walk, &error);
    rocksdb_iter_destroy(walk);
    return error == NULL ? ENGINE_RIGHT : failure("walk", error);
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .setting = "WriteOptions.sync, wal_recovery_mode kPointInTimeRecovery, paranoid_checks, "
               "verify_checksums (all but sync are the defaults); check: a walk over all records",
    .version = rocks_version,
    .open = rocks_open,
    .append = rocks_append,
    .read = rocks_read,
    .check = rocks_check,
    .close = rocks_close,
};

const struct engine engine_rocksdb_absolute = {
    .name = "rocksdb-absolute",
    .setting = "wal_recovery_mode kAbsoluteConsistency, otherwise as rocksdb",
    .version = rocks_version,
    .open = rocks_open_absolute,
    .append = rocks_append,
    .read = rocks_read,
    .check = rocks_check,
    .close = rocks_close,
};
