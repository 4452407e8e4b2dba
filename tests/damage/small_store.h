/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * small_store.h -- a store of three small segments with a record of each kind, and all that can be
 * read from a store, folded into one number.
 *
 * Owns: nothing.
 * Invariants: two stores with equal answers cannot be told apart through the interface.
 */
#ifndef TESTS_DAMAGE_SMALL_STORE_H
#define TESTS_DAMAGE_SMALL_STORE_H

#include "../support/dirs.h"
#include "../support/prog.h"

enum { SMALL_SEGMENT = 65536, SMALL_POSITIONS_MAX = 256 };

struct answers {
    int32_t rc; /* the first status that is not an answer, or 0 */
    uint64_t hash;
    uint64_t messages;
    char where[64]; /* what was asked when rc came */
};

struct placed {
    uint64_t position;
    uint64_t hash;
    uint64_t batch_first; /* position of the first member, 0 when not in a batch */
    uint64_t queue;       /* topic << 32 | queue */
};

/* Options of every store of these tests: no thread, small segments, live area in the directory. */
struct commitlog_options *small_options(uint64_t engine, uint64_t access, uint64_t recovery);
/* Makes the store and closes it. */
void small_make(const char *path, uint64_t engine, uint64_t seed);
/* Appends a few more records and closes. */
void small_extend(const char *path, uint64_t engine, uint32_t count, size_t body_bytes);
/* Everything an open store answers. */
void small_ask(struct commitlog_store *store, struct answers *out);
/* The same of the store in `path`, opened read-only; rc tells how the open failed. */
void small_answers(const char *path, struct answers *out);
/* Places of all messages and the hash of each. */
uint32_t small_places(const char *path, struct placed out[SMALL_POSITIONS_MAX]);
uint64_t small_message_hash(const struct commitlog_message *message);
/* A status that says the data is damaged, foreign, newer or unproven. */
bool small_is_damage(int32_t rc);

#endif
