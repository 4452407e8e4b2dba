/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h -- what the writer and the checker of the power cuts share: how a session opens the
 * store, and the acknowledgements, which are kept on another disk.
 *
 * Owns: the files ACKS (struct ack after struct ack, each operation one write), ACKS.tried (the
 *       hash of each body that was ever given to the library) and ACKS.epoch (the highest epoch
 *       that any session had).
 * Invariants: 1. an acknowledgement is written after the call that gives it has returned; 2. each
 *       session has a higher epoch than every one before it, whatever was cut; 3. a body is in
 *       ACKS.tried before the call that stores it.
 * Threads: acks_write may be called by any number of threads.
 */
#ifndef TESTS_POWERCUT_SESSION_H
#define TESTS_POWERCUT_SESSION_H

#include "../crash/evidence.h"

enum {
    SESSION_KEEP_BYTES = 1536 * 1024,
    SESSION_SEGMENT_MIN = 64 * 1024,
    SESSION_SEGMENT_MAX = 256 * 1024
};

/* Options of one session, drawn from its seed; `engine` as the command line says it. */
struct commitlog_options *session_options(const char *engine, uint64_t seed);

/*
 * Opens the store (with another live area, where one in its directory is refused), checks that its
 * epoch is new, notes it, prints "open EPOCH". Returns the result of the open; anything but success
 * and what a dying disk explains ends the program.
 */
int32_t session_open(const char *store_path, const char *acks_path,
                     struct commitlog_options *options, struct commitlog_store **out);

/* The topics by index; creates them if `create`. Returns how many failed. */
uint32_t session_topics(struct commitlog_store *store, bool create, uint32_t numbers[KILL_TOPICS]);

/* A body that proves itself; free(*out). `batch` 0: none. */
size_t session_body(struct rng *rng, size_t limit, uint64_t batch, uint32_t count, uint32_t index,
                    uint8_t **out);

/* `suffix` is "" or ".tried". */
int acks_open(const char *path, const char *suffix);
void tried_write(int fd, const void *body, size_t bytes);
void acks_write(int fd, const struct ack *acks, uint32_t count);
void acks_load(const char *path, struct evidence *out);
void acks_replace(const char *path, const struct evidence *evidence);

#endif
