/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writer.h -- the process that writes: opens the store, checks it, and lets its threads do at
 * random what the public interface offers, until it is killed or asked to close.
 *
 * Owns: its store. Notes every acknowledgement in the book, after the call has returned.
 * Failure modes: whatever is not documented ends the process with status 1; the driver reports it.
 */
#ifndef TESTS_SOAK_WRITER_H
#define TESTS_SOAK_WRITER_H

#include "clerk.h"
#include "plan.h"
#include "seat.h"

struct writer {
    struct seat seat;
    struct desk desk;
    struct plan plan;
    const char *path;
    _Atomic uint32_t reservations; /* open now: retention and waits know why they are refused */
    _Atomic bool stop;
};

struct worker {
    struct writer *writer;
    uint32_t thread;
    uint32_t serial; /* the next one */
    struct rng rng;
    struct clerk clerk;
    struct commitlog_lease *lease; /* kept over other calls */
    struct commitlog_message leased;
    uint64_t leased_hash;
};

_Noreturn void writer_run(struct book *book, const char *path, const struct plan *plan);

/* One call or a few, with what has to be true afterwards: acts_append.c, acts.c. */
void act_append(struct worker *worker);
void act_other(struct worker *worker);
void act_retain(struct worker *worker);
/* Gives back what the worker holds. */
void act_end(struct worker *worker);
/* The writer's positions go into the book: readers of now must see as much. */
void act_positions(struct seat *seat);

#endif
