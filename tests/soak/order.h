/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h -- what holds from each record of the log to the next one, whoever reads it: positions
 * rise, times, epochs and lives never go back, each thread's serials rise, batches are whole.
 */
#ifndef TESTS_SOAK_ORDER_H
#define TESTS_SOAK_ORDER_H

#include "item.h"

struct order {
    uint64_t next; /* position */
    int64_t time_ns;
    uint32_t epoch;
    uint32_t life;
    uint32_t serials[BOOK_THREADS]; /* of this life */
    struct item_head batch;         /* of the last record; batch_count 0: between batches */
};

/* Before the first record, and behind a gap that retention made. */
void order_begin(struct order *order);
/* head: of a message with a body, zeros otherwise. */
void order_step(struct order *order, const struct commitlog_message *message,
                const struct item_head *head);
/* At the visible end. */
void order_end(const struct order *order);

#endif
