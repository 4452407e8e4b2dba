/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scratch.h -- a store for one test: made in a directory of its own, reopened with other options,
 * and short ways to append and read that end the test on any surprise.
 *
 * Owns: the directory, the options and the open store.
 */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include "dirs.h"
#include "prog.h"

struct scratch {
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    struct commitlog_options *options;
    struct commitlog_store *store;
    uint32_t topic;
    struct commitlog_error err;
};

/* Small segments, no thread, async flush; nothing is open yet. */
void scratch_begin(struct scratch *scratch, const char *tag);
void scratch_set(struct scratch *scratch, int32_t option, uint64_t value);
/* Opens and finds or creates the topic "test" with so many queues. */
void scratch_open(struct scratch *scratch, uint32_t queues);
void scratch_close(struct scratch *scratch);
/* Closes if open, removes the directory. */
void scratch_end(struct scratch *scratch);

/* Appends at level none; the body is `bytes` bytes that follow from the seed. */
struct commitlog_receipt scratch_put(struct scratch *scratch, uint32_t queue, size_t bytes,
                                     uint64_t seed);
/* Appends text with a key (NULL: none) and a tag (NULL: none). */
struct commitlog_receipt scratch_text(struct scratch *scratch, uint32_t queue, const char *text,
                                      const char *key, const char *tag);
/* Whether the record at the position is what scratch_put made of these. */
bool scratch_is(struct scratch *scratch, uint64_t position, size_t bytes, uint64_t seed);
/* Status of commitlog_get, the lease released. */
int32_t scratch_get(struct scratch *scratch, uint64_t position, struct commitlog_message *out);
/* Reads the queue from `offset`; returns how many messages came before the end. */
uint32_t scratch_count(struct scratch *scratch, uint32_t queue, uint64_t offset);
struct commitlog_queue_info scratch_queue(struct scratch *scratch, uint32_t queue);
struct commitlog_positions scratch_positions(struct scratch *scratch);
uint32_t scratch_segments(struct scratch *scratch);

#endif
