/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grown_store.h -- a store as it grows: several sessions, segments of several sizes, crashes,
 * retention, batches and holes, all by a seed, on a machine in memory; what was acknowledged in a
 * book; earlier states of the machine.
 *
 * Owns: the machines.
 * Invariants: 1. nobody has a store of a machine open; 2. the last session ended as `end` says;
 *       3. everything in the book before `log_end` is in the store, and nothing else.
 */
#ifndef TESTS_DAMAGE_GROWN_STORE_H
#define TESTS_DAMAGE_GROWN_STORE_H

#include "book.h"
#include "commitlog_fault.h"

#define GROWN_PATH "/store"

enum grown_end {
    GROWN_CLOSED,      /* clean */
    GROWN_IDLE_KILLED, /* all was checkpointed in a pause; then the writer was killed */
    GROWN_IDLE_CUT,    /* the same, and the power went */
    GROWN_KILLED,      /* in the middle */
    GROWN_CUT,
    GROWN_ENDS
};

enum { GROWN_HISTORY = 8, GROWN_SESSIONS = 3 };

struct grown {
    struct commitlog_fault *machine;
    struct commitlog_fault *history[GROWN_HISTORY]; /* oldest first */
    uint32_t history_session[GROWN_HISTORY];        /* in which it was, or after which */
    uint32_t history_count;
    uint64_t began[GROWN_SESSIONS]; /* where the log ended when a session opened it */
    uint32_t sessions;
    struct book book;
    struct rng rng;
    uint64_t seed;
    enum grown_end end;
    uint64_t checkpointed; /* CHECKPOINT proves the log up to here durable, or further */
    uint64_t live_durable; /* so does the live area, for as long as the machine is up; or 0 */
    uint64_t required;     /* acknowledged, and to survive this end */
    uint64_t log_end;      /* what a recovery keeps of it, undamaged */
    uint32_t engine;
    uint32_t live;
    uint32_t borrow;
    uint32_t flush;
};

const char *grown_end_name(enum grown_end end);
void grown_make(struct grown *grown, uint64_t seed);
void grown_free(struct grown *grown);
/* Options to open it with, on this machine; the caller's to free. */
struct commitlog_options *grown_options(const struct grown *grown, struct commitlog_fault *machine,
                                        uint64_t access, uint64_t recovery);
/* It was left in a way in which nothing acknowledged can be taken for a torn tail. */
bool grown_is_settled(const struct grown *grown);

#endif
