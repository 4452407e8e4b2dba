/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tail.h -- one cursor of a follower, and how far it has come in each queue it covers; see
 * follower.h for what holds.
 */
#ifndef TESTS_SOAK_TAIL_H
#define TESTS_SOAK_TAIL_H

#include "order.h"
#include "seat.h"

enum { TAIL_FETCH = 64, TAIL_LOG = BOOK_TOPICS /* as topic: the log as it lies */ };

struct track {
    uint64_t next;     /* offset */
    uint64_t position; /* behind the last one */
    int64_t time_ns;
    uint32_t epoch;
    bool known; /* something was read, or the cursor began at `next` */
    bool gap;   /* retention may have taken what comes before the next one */
};

struct tail {
    struct seat *seat;
    struct commitlog_cursor *cursor;
    uint32_t topic; /* of the book, or TAIL_LOG */
    uint32_t queue; /* or COMMITLOG_QUEUE_ALL */
    uint32_t follower;
    struct track tracks[BOOK_LANES];
    struct order order; /* of the log as it lies */
    struct commitlog_message messages[TAIL_FETCH];
    uint32_t got; /* of the last fetch */
};

/* Opens the cursor somewhere; false if its topic is not there yet. */
bool tail_begin(struct tail *tail, struct seat *seat, uint32_t follower, uint32_t topic,
                uint32_t queue, struct rng *rng);
/* One fetch and all that has to be true of it; the status. */
int32_t tail_step(struct tail *tail, int32_t timeout_ms);
void tail_end(struct tail *tail);

#endif
