/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pace.h -- an open loop: calls that are due at fixed times, whatever the ones before them took.
 *
 * Each call is timed twice: by itself, and from the moment it was due ("scheduled"): a stall makes
 * all calls late that were due in it, which a loop that waits for each answer would hide
 * (coordinated omission, Gil Tene).
 *
 * What stalls us is told apart: the loop that waits for the next due time looks at the clock all
 * the time, so that a jump of it between two looks is a stall of the machine (another thread on
 * this CPU, an interrupt, the hypervisor) while nothing was called; a call that was slow is asked
 * whether its thread was preempted, slept or faulted in it.
 *
 * Threads: a pace is run by one thread, the caller's.
 */
#ifndef BENCH_SUPPORT_PACE_H
#define BENCH_SUPPORT_PACE_H

#include <jansson.h>
#include <stdint.h>
#include <sys/resource.h>

#include "support/histogram.h"

enum { PACE_LIMITS = 3 }; /* 2 us, 20 us, 1 ms */

/* Calls that took longer than a limit. */
struct pace_slow {
    uint64_t calls;
    uint64_t preempted; /* the thread had to give the CPU away in them */
    uint64_t slept;     /* it waited for something */
    uint64_t faulted;   /* for a page; one of the faster calls just before may have had the fault */
};

struct pace {
    struct histogram call;
    struct histogram scheduled;
    struct pace_slow slow[PACE_LIMITS];
    uint64_t stalls[PACE_LIMITS]; /* jumps of the clock while waiting for the next due time */
    uint64_t stall_max_ns;
    uint64_t waited_ns; /* for due times */
    uint64_t wall_ns;
    uint64_t called_ns;  /* sum of all calls */
    struct rusage usage; /* of the thread; during the run: as it was when we last looked */
    uint64_t queued_ns;  /* the thread was ready to run, and others ran */
    uint64_t steal_ns;   /* all CPUs together: the hypervisor ran something else */
};

/* Calls number [from, from + count), `rate` of them a second. *pace is overwritten. */
void pace_run(struct pace *pace, double rate, uint64_t from, uint64_t count,
              void (*call)(void *ctx, uint64_t number), void *ctx);
/* All of it; see the names in pace.c. */
void pace_put(const struct pace *pace, json_t *line);

#endif
