/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clerk.h -- what a thread of the writer does with groups, delayed messages, work, transactions and
 * a topic that grows, at random; every answer is held against the ledger.
 *
 * Owns: the desk of the process: numbers of the topics, the lock of the work. Each clerk its
 *       handles.
 * Invariants: 1. a clerk notes what it begins and what came of it (ledger.h); 2. where the live
 *       area is private nothing is noted as done before it is durable, for the next kill takes
 *       what is not written.
 * Threads: a clerk is one thread's. Work, and dead letters when they are seen, under desk->work.
 * Failure modes: whatever is not documented ends the process with status 1.
 */
#ifndef TESTS_SOAK_CLERK_H
#define TESTS_SOAK_CLERK_H

#include <pthread.h>

#include "ledger.h"
#include "seat.h"

struct desk {
    struct seat *seat;
    struct ledger *ledger;
    bool firm; /* the live area is private */
    _Atomic uint32_t numbers[LEDGER_TOPICS];
    pthread_mutex_t work;
    _Atomic uint32_t pause; /* nothing is appended to the topic that grows: it is to shrink */
};

struct clerk {
    struct desk *desk;
    struct rng *rng;
    uint32_t thread;
    struct commitlog_group *group; /* of this thread: LEDGER_AUDIT, or one that may be reset */
    struct commitlog_receiver *receiver;
};

/* Before the first clerk: finds the topics, or makes them and the groups. */
void desk_open(struct desk *desk, struct seat *seat, bool firm);
/* Whether the record is of one of these topics. */
bool desk_owns(struct seat *seat, uint32_t number);

void clerk_begin(struct clerk *clerk, struct desk *desk, uint32_t thread, struct rng *rng);
void clerk_end(struct clerk *clerk);
void clerk_act(struct clerk *clerk);
/* Only what lets retention go on. */
void clerk_catch_up(struct clerk *clerk);

/* ---- parts, for clerk.c and settle.c --------------------------------------------------------- */

void group_name(uint32_t group, char out[24]);
extern const char *const workers_name;
struct commitlog_group *group_open(struct commitlog_store *store, const char *name, uint32_t flags);

/* Whether it is stored; if not, nothing has changed, for a wait was over or interrupted. */
bool call_done(int32_t rc, const struct commitlog_error *err, const char *what);
/* What is stored outlives a kill. */
void desk_firm(const struct desk *desk);
struct commitlog_store *desk_store(const struct desk *desk);

void consume_act(struct clerk *clerk); /* consume.c */
void consume_other(struct clerk *clerk);
/* What was being committed is committed. */
void consume_promote(struct ledger *ledger, uint32_t group);

void keyed_act(struct clerk *clerk); /* keyed.c */
void keyed_grow(struct clerk *clerk);
void keyed_shrink(struct clerk *clerk);

void later_act(struct clerk *clerk); /* later.c */
/* A message of the topic was read: whether it may be there. */
void later_check(const struct ledger *ledger, const struct letter *letter,
                 const struct commitlog_message *message);

void deal_act(struct clerk *clerk); /* deal.c */
void deal_check(const struct ledger *ledger, const struct letter *letter,
                const struct commitlog_message *message);

void work_act(struct clerk *clerk); /* work.c */
void work_catch_up(struct clerk *clerk);
/* A dead letter; under desk->work. */
void work_dead_check(const struct desk *desk, const struct letter *letter,
                     const struct commitlog_message *message);

#endif
