/* SPDX-License-Identifier: BSD-2-Clause */
/* seat.c -- a process before the store; see seat.h. */
#include "seat.h"

#include <string.h>

typedef unsigned long long ull;

void seat_begin(struct seat *seat, struct book *book, struct commitlog_store *store)
{
    memset(seat, 0, sizeof *seat);
    seat->book = book;
    seat->store = store;
    for (uint32_t t = 0; t < BOOK_TOPICS; t++)
        atomic_store(&seat->numbers[t], UINT32_MAX);
}

uint32_t seat_number(struct seat *seat, uint32_t topic)
{
    uint32_t number = atomic_load(&seat->numbers[topic]);
    char name[32];
    if (number == UINT32_MAX) {
        int32_t rc =
            commitlog_topic_open(seat->store, name, book_name(topic, name), 0, &number, NULL);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND, "topic %u: %s", topic,
               commitlog_error_name(rc));
        if (rc == COMMITLOG_OK)
            atomic_store(&seat->numbers[topic], number);
    }
    return number;
}

uint32_t seat_topic(struct seat *seat, uint32_t number)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    uint32_t topic = 0;
    while (topic < BOOK_TOPICS && atomic_load(&seat->numbers[topic]) != number)
        topic++;
    if (topic < BOOK_TOPICS)
        return topic;
    CHECK_RC(commitlog_topic_info(seat->store, number, &info), COMMITLOG_OK);
    topic = book_topic(info.name);
    if (topic < BOOK_TOPICS) {
        CHECKF(info.queues == book_queues(topic), "topic %u has %u queues", topic, info.queues);
        atomic_store(&seat->numbers[topic], number);
    }
    return topic;
}

void seat_positions(struct seat *seat, struct commitlog_positions *out)
{
    memset(out, 0, sizeof *out);
    out->struct_bytes = sizeof *out;
    CHECK_RC(commitlog_positions_get(seat->store, out), COMMITLOG_OK);
    CHECKF(out->first <= out->checkpointed && out->checkpointed <= out->durable &&
               out->durable <= out->written && out->written <= out->published &&
               out->published <= out->claimed && out->visible <= out->published,
           "positions %llu %llu %llu %llu %llu %llu, visible %llu", (ull)out->first,
           (ull)out->checkpointed, (ull)out->durable, (ull)out->written, (ull)out->published,
           (ull)out->claimed, (ull)out->visible);
}

struct moment moment_now(const struct seat *seat)
{
    const struct book *book = seat->book;
    struct moment moment = {0, 0, 0, false};
    moment.life = atomic_load(&book->alive);
    moment.epoch = atomic_load(&book->epoch);
    moment.shared = atomic_load(&book->private) == 0;
    moment.visible = atomic_load(seat->durable_only ? &book->durable : &book->published);
    return moment;
}

bool moment_holds(struct seat *seat, const struct moment *moment)
{
    struct commitlog_positions now;
    if (!seat->follower)
        return true;
    seat_positions(seat, &now);
    /* By its positions, too: what was made while that writer was opening may have its epoch. */
    return moment->life != 0 && moment->shared && now.epoch == moment->epoch &&
           now.visible >= moment->visible && atomic_load(&seat->book->epoch) == moment->epoch &&
           atomic_load(&seat->book->alive) == moment->life;
}

void seat_compare(const struct commitlog_message *message, const struct item_head *head,
                  const struct note *note)
{
    CHECKF(message->position == note->position && message->store_time_ns == note->time_ns &&
               message->epoch == note->epoch && message->body.bytes == note->bytes,
           "offset %llu: %zu bytes at %llu, epoch %u; acknowledged: %u bytes at %llu, epoch %u",
           (ull)message->queue_offset, message->body.bytes, (ull)message->position, message->epoch,
           note->bytes, (ull)note->position, note->epoch);
    if (message->body.bytes > 0)
        CHECKF(head->life == note->life && head->serial == note->serial &&
                   head->thread == note->thread,
               "offset %llu is record %u/%u/%u; acknowledged: %u/%u/%u", (ull)message->queue_offset,
               head->life, head->thread, head->serial, note->life, note->thread, note->serial);
}
