/* SPDX-License-Identifier: BSD-2-Clause */
/* order.c -- what holds from each record of the log to the next one; see order.h. */
#include "order.h"

#include <string.h>

typedef unsigned long long ull;

void order_begin(struct order *order)
{
    memset(order, 0, sizeof *order);
}

static void batch_step(struct order *order, const struct item_head *head, ull at)
{
    const struct item_head *last = &order->batch;
    bool inside = last->batch_count > 0;
    if (inside)
        CHECKF(head->life == last->life && head->thread == last->thread &&
                   head->batch_first == last->batch_first && head->serial == last->serial + 1,
               "the batch %u/%u/%u is torn before %llu", last->life, last->thread,
               last->batch_first, at);
    else if (head->batch_count > 0)
        CHECKF(head->serial == head->batch_first, "the batch %u/%u/%u begins with %u at %llu",
               head->life, head->thread, head->batch_first, head->serial, at);
    order->batch = *head;
    if (head->batch_count > 0 && head->serial + 1 == head->batch_first + head->batch_count)
        order->batch.batch_count = 0;
}

void order_step(struct order *order, const struct commitlog_message *message,
                const struct item_head *head)
{
    ull at = (ull)message->position;
    CHECKF(message->position >= order->next && message->next_position > message->position,
           "the record at %llu comes behind %llu", at, (ull)order->next);
    CHECKF(message->store_time_ns >= order->time_ns && message->epoch >= order->epoch,
           "time or epoch go back at %llu", at);
    order->next = message->next_position;
    order->time_ns = message->store_time_ns;
    order->epoch = message->epoch;
    if (message->kind != COMMITLOG_KIND_MESSAGE) {
        CHECKF(order->batch.batch_count == 0, "a record of kind %u inside a batch at %llu",
               message->kind, at);
        return;
    }
    batch_step(order, head, at);
    if (head->bytes == 0)
        return;
    CHECKF(head->life >= order->life, "life %u after %u at %llu", head->life, order->life, at);
    if (head->life > order->life)
        memset(order->serials, 0, sizeof order->serials);
    order->life = head->life;
    CHECKF(head->serial > order->serials[head->thread], "record %u/%u/%u again, or late, at %llu",
           head->life, head->thread, head->serial, at);
    order->serials[head->thread] = head->serial;
}

void order_end(const struct order *order)
{
    CHECKF(order->batch.batch_count == 0, "half of the batch %u/%u/%u is visible",
           order->batch.life, order->batch.thread, order->batch.batch_first);
}
