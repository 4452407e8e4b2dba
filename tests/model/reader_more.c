/* SPDX-License-Identifier: BSD-2-Clause */
/* reader_more.c -- all queues in log order, time, keys, single positions; see reader.h. */
#include <stdlib.h>
#include <string.h>

#include "reader.h"

typedef unsigned long long ull;

/* The next item of the topic from index `at` on that a cursor with these tags returns. */
static uint32_t topic_next(const struct reader *reader, uint32_t topic, uint32_t at,
                           uint32_t tag_mask)
{
    for (; at < reader->published; at++) {
        const struct item *item = &reader->model->items[at];
        if (item->topic == topic && item->state == ITEM_MESSAGE &&
            reader_tag_matches(item, tag_mask))
            break;
    }
    return at;
}

void reader_all_queues(struct reader *reader, uint32_t topic)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[32];
    const struct model *model = reader->model;
    uint32_t live = model_live_from(model);
    uint32_t at = live;
    uint32_t mask = rng_chance(reader->rng, 1, 3) ? (uint32_t)rng_below(reader->rng, 32) : 0;
    uint32_t from = COMMITLOG_FROM_FIRST;
    uint64_t value = 0;
    uint64_t place = 0;
    uint32_t got = 0;
    if (live < reader->published && rng_chance(reader->rng, 2, 3)) {
        const struct item *item = NULL;
        at = (uint32_t)rng_between(reader->rng, live, reader->published - 1);
        item = &model->items[at];
        from = rng_chance(reader->rng, 1, 2) ? COMMITLOG_FROM_OFFSET : COMMITLOG_FROM_TIME;
        value = from == COMMITLOG_FROM_OFFSET ? item->position : (uint64_t)item->time;
        if (from == COMMITLOG_FROM_TIME)
            for (at = live; (uint64_t)model->items[at].time < value;)
                at++;
    }
    CHECK_OK(commitlog_cursor_open(reader->store, reader->numbers[topic], COMMITLOG_QUEUE_ALL, from,
                                   value, &cursor, &err),
             &err);
    reader_set_tags(cursor, mask);
    for (;;) {
        uint32_t max = (uint32_t)rng_between(reader->rng, 1, 32);
        int32_t rc = commitlog_cursor_fetch(cursor, messages, max, 0, &got, NULL);
        at = topic_next(reader, topic, at, mask);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        CHECK(got >= 1 && got <= max);
        for (uint32_t i = 0; i < got; i++) {
            at = topic_next(reader, topic, at, mask);
            CHECKF(at < reader->published, "position %llu is too much", (ull)messages[i].position);
            reader_message(reader, &model->items[at], &messages[i]);
            place = messages[i].next_position;
            at++;
        }
        CHECK(commitlog_cursor_tell(cursor) >= place);
    }
    CHECKF(at == reader->published, "log order ended at item %u of %u", at, reader->published);
    commitlog_cursor_close(cursor);
}

static int64_t time_near(struct reader *reader, uint32_t topic, uint32_t queue, uint64_t first,
                         uint64_t next)
{
    int64_t time = 0;
    if (next == first || rng_chance(reader->rng, 1, 8))
        return rng_chance(reader->rng, 1, 2) ? 0 : INT64_MAX;
    time = model_at(reader->model, topic, queue, rng_between(reader->rng, first, next - 1))->time;
    return time - 1 + (int64_t)rng_below(reader->rng, 3);
}

void reader_times(struct reader *reader, uint32_t topic, uint32_t queue)
{
    uint64_t first = 0, next = 0;
    model_bounds(reader->model, topic, queue, reader->published, &first, &next);
    for (uint32_t round = 0; round < 8; round++) {
        int64_t time = time_near(reader, topic, queue, first, next);
        uint64_t lower = first, upper = next, got = UINT64_MAX;
        int32_t rc = 0;
        while (lower < next && model_at(reader->model, topic, queue, lower)->time < time)
            lower++;
        while (upper > first && model_at(reader->model, topic, queue, upper - 1)->time > time)
            upper--;
        CHECK_RC(commitlog_offset_by_time(reader->store, reader->numbers[topic], queue, time,
                                          COMMITLOG_LOWER, &got),
                 COMMITLOG_OK);
        CHECKF(got == lower, "lower bound %llu, expected %llu", (ull)got, (ull)lower);
        got = UINT64_MAX;
        rc = commitlog_offset_by_time(reader->store, reader->numbers[topic], queue, time,
                                      COMMITLOG_UPPER, &got);
        if (upper == first) {
            CHECK_RC(rc, COMMITLOG_ENOTFOUND);
            CHECK(got == UINT64_MAX);
        } else {
            CHECK_RC(rc, COMMITLOG_OK);
            CHECKF(got == upper - 1, "upper bound %llu, expected %llu", (ull)got, (ull)upper - 1);
        }
    }
}

static bool item_has_key(const struct item *item, uint32_t key)
{
    struct content content;
    bool has = false;
    content_make(&content, item->content, 0);
    for (uint32_t i = 0; i < content.key_count; i++)
        has = has || content.key_numbers[i] == key;
    content_free(&content);
    return has;
}

/* The newest item before index `at` that a query for the key returns, plus one; 0 for none. */
static uint32_t key_next(const struct reader *reader, uint32_t topic, uint32_t key, int64_t since,
                         int64_t until, uint32_t at)
{
    uint32_t live = model_live_from(reader->model);
    for (; at > live; at--) {
        const struct item *item = &reader->model->items[at - 1];
        if (item->topic == topic && item->state == ITEM_MESSAGE && item->time >= since &&
            item->time <= until && item_has_key(item, key))
            return at;
    }
    return 0;
}

void reader_key(struct reader *reader, uint32_t topic)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[16];
    uint8_t bytes[CONTENT_SHORT_MAX];
    uint32_t key = (uint32_t)rng_below(reader->rng, CONTENT_KEY_POOL + 2);
    size_t size = content_key(key, bytes);
    int64_t since = 0, until = INT64_MAX;
    uint32_t live = model_live_from(reader->model);
    uint32_t at = reader->published;
    uint32_t got = 0;
    if (live < reader->published && rng_chance(reader->rng, 1, 2)) {
        const struct item *items = reader->model->items;
        if (rng_chance(reader->rng, 2, 3))
            since = items[rng_between(reader->rng, live, reader->published - 1)].time;
        if (rng_chance(reader->rng, 2, 3))
            until = items[rng_between(reader->rng, live, reader->published - 1)].time;
    }
    CHECK_OK(commitlog_cursor_open_key(reader->store, reader->numbers[topic], bytes, size, since,
                                       until, &cursor, &err),
             &err);
    for (;;) {
        uint32_t max = (uint32_t)rng_between(reader->rng, 1, 16);
        int32_t rc = commitlog_cursor_fetch(cursor, messages, max, 0, &got, NULL);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        CHECK(got >= 1 && got <= max);
        for (uint32_t i = 0; i < got; i++) {
            at = key_next(reader, topic, key, since, until, at);
            CHECKF(at > 0, "key %u: position %llu is too much", key, (ull)messages[i].position);
            at--;
            reader_message(reader, &reader->model->items[at], &messages[i]);
        }
    }
    at = key_next(reader, topic, key, since, until, at);
    CHECKF(at == 0, "key %u: item %u at %llu not returned", key, at - 1,
           (ull)reader->model->items[at - 1].position);
    commitlog_cursor_close(cursor);
}

static void position_one(struct reader *reader, const struct item *item)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_get(reader->store, item->position, &message, &lease, &err);
    if (item->position < reader->model->first) {
        CHECK_RC(rc, COMMITLOG_ETOOSMALL);
        return;
    }
    if (item->state == ITEM_HOLE) {
        CHECK_RC(rc, COMMITLOG_EHOLE);
        CHECK(message.kind == COMMITLOG_KIND_HOLE && message.position == item->position);
        CHECK(message.queue_offset == item->offset && message.queue == item->queue);
        commitlog_lease_release(lease);
        return;
    }
    CHECK_OK(rc, &err);
    reader_message(reader, item, &message);
    CHECK_RC(commitlog_lease_check(lease), COMMITLOG_OK);
    commitlog_lease_release(lease);
    lease = NULL;
    /* A record has at least 48 bytes: none begins 8 or 40 bytes behind the start of another. */
    CHECK_RC(commitlog_get(reader->store, item->position + 8, &message, &lease, &err),
             COMMITLOG_ENOTFOUND);
    CHECK_RC(commitlog_get(reader->store, item->position + 40, &message, &lease, &err),
             COMMITLOG_ENOTFOUND);
    CHECK_RC(commitlog_get(reader->store, item->position + 4, &message, &lease, &err),
             COMMITLOG_ENOTFOUND);
    CHECK(lease == NULL);
}

void reader_positions(struct reader *reader, uint32_t rounds)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    CHECK_RC(commitlog_positions_get(reader->store, &positions), COMMITLOG_OK);
    CHECK(positions.first == reader->model->first);
    for (uint32_t i = 0; i < rounds && reader->published > 0; i++) {
        const struct item *item = &reader->model->items[rng_below(reader->rng, reader->published)];
        if (item->position != MODEL_UNKNOWN)
            position_one(reader, item);
    }
    CHECK_RC(commitlog_get(reader->store, positions.claimed + (UINT64_C(1) << 30), &message, &lease,
                           &err),
             COMMITLOG_EBEYOND);
    CHECK(err.code == COMMITLOG_EBEYOND && err.message[0] != '\0');
    CHECK(lease == NULL);
}

void reader_some(struct reader *reader)
{
    const struct model *model = reader->model;
    uint32_t topic = 0, queue = 0;
    if (model_has_unknown(model))
        reader_log(reader, NULL);
    if (model->topic_count == 0)
        return;
    topic = (uint32_t)rng_below(reader->rng, model->topic_count);
    queue = (uint32_t)rng_below(reader->rng, model->topics[topic].queues);
    switch (rng_below(reader->rng, 12)) {
    case 0:
    case 1:
    case 2:
        reader_queue(reader, topic, queue);
        break;
    case 3:
    case 4:
        reader_copy(reader, topic, queue);
        break;
    case 5:
    case 6:
        reader_times(reader, topic, queue);
        break;
    case 7:
    case 8:
        reader_key(reader, topic);
        break;
    case 9:
        reader_positions(reader, 5);
        break;
    case 10:
        reader_all_queues(reader, topic);
        break;
    default:
        reader_log(reader, NULL);
        break;
    }
}

void reader_everything(struct reader *reader)
{
    const struct model *model = reader->model;
    reader_log(reader, NULL);
    for (uint32_t t = 0; t < model->topic_count; t++) {
        reader_all_queues(reader, t);
        for (uint32_t i = 0; i < 4; i++)
            reader_key(reader, t);
        for (uint32_t q = 0; q < model->topics[t].queues; q++) {
            reader_queue(reader, t, q);
            reader_copy(reader, t, q);
            reader_times(reader, t, q);
        }
    }
    reader_positions(reader, 20);
}
