/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * records.h -- the records of the comparison, lists of their numbers, and reading them back.
 *
 * Owns: nothing. A list is a file of numbers of 8 bytes, each added by one write, kept on a disk
 *       that does not fail: a number is in the list of acknowledgements only when the append of it
 *       has returned success.
 * Invariants: 1. a record follows from its number, so it can be compared without having been kept.
 * Threads: list_add may be called by any number of threads.
 */
#ifndef TESTS_PEERS_RECORDS_H
#define TESTS_PEERS_RECORDS_H

#include "engine.h"

enum { RECORD_BYTES_MIN = 100, RECORD_BYTES_MAX = 2000 };

/* The bytes of a record; out has room for RECORD_BYTES_MAX. */
size_t record_make(uint64_t seq, uint8_t *out);

struct list {
    uint64_t *seqs;
    uint32_t count;
};

/* What the list has; empty when there is no such file. list_free. */
struct list list_load(const char *path);
void list_free(struct list *list);
/* Opens a list to add to; what was in it stays. */
int list_open(const char *path);
void list_add(int fd, uint64_t seq);
bool list_has(const struct list *list, uint64_t seq);
void list_replace(const char *path, const struct list *list);

struct found {
    uint64_t right;
    uint64_t missing; /* the engine says that there is no such record */
    uint64_t wrong;   /* other bytes than were appended, without an error */
    uint64_t error;   /* the engine says that it cannot read it */
};

/* Reads one record; counts it. True when it is right. */
bool record_read(const struct engine *engine, void *db, uint64_t seq, struct found *found);

#endif
