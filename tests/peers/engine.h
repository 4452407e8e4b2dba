/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h -- what each store of the comparison is asked to do, and nothing more.
 *
 * A record is a number (`seq`, chosen by the caller, unique) and bytes. An append has succeeded
 * when the engine's own call that promises durability has returned success. Each adapter uses the
 * engine as its documents say it is safe, and says how in `setting`, which the table prints.
 *
 * Threads: append and read may be called by several threads at once; where the engine wants it, the
 * adapter has the lock.
 */
#ifndef TESTS_PEERS_ENGINE_H
#define TESTS_PEERS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENGINE_BODY_MAX = 4096, ENGINE_PATH_MAX = 512, ENGINE_MESSAGE_MAX = 256 };

enum engine_answer {
    ENGINE_RIGHT,   /* done, or found */
    ENGINE_MISSING, /* there is no such record */
    ENGINE_ERROR    /* the engine says that it cannot, or that something is wrong */
};

struct engine {
    const char *name;    /* on the command line and in the table */
    const char *setting; /* one line: how it is opened and what an append calls */
    void (*version)(char out[ENGINE_MESSAGE_MAX]);
    /*
     * `directory` exists and is the engine's own. `read_only`: the documented way to read what can
     * still be read when a normal open refuses. *out is set on ENGINE_RIGHT only.
     */
    enum engine_answer (*open)(const char *directory, bool read_only, void **out);
    enum engine_answer (*append)(void *db, uint64_t seq, const void *body, size_t bytes);
    /* room: ENGINE_BODY_MAX; a longer record is cut, which the caller sees by *out_bytes. */
    enum engine_answer (*read)(void *db, uint64_t seq, void *out, size_t *out_bytes);
    /* The most thorough check that the engine has: MISSING is not an answer. */
    enum engine_answer (*check)(void *db);
    enum engine_answer (*close)(void *db);
};

extern const struct engine engine_commitlog;
extern const struct engine engine_commitlog_mmap;
extern const struct engine engine_sqlite;
extern const struct engine engine_lmdb;
extern const struct engine engine_lmdb_writemap;
extern const struct engine engine_rocksdb;
extern const struct engine engine_rocksdb_absolute;

/* What the engine said when it last answered ENGINE_ERROR; for a person. */
void engine_said(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *engine_message(void);

#endif
