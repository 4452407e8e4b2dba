/* SPDX-License-Identifier: BSD-2-Clause */
/* reader.c -- log, positions and queues against the model; see reader.h. */
#include "reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

void reader_topics(struct reader *reader, bool lossy, uint32_t safe)
{
    struct model *model = reader->model;
    for (uint32_t t = 0; t < model->topic_count;) {
        char name[MODEL_NAME_MAX + 1];
        size_t size = model_name(model->topics[t].name_seed, name);
        struct commitlog_error err = {.message = ""};
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        int32_t rc = commitlog_topic_open(reader->store, name, size, 0, &reader->numbers[t], &err);
        if (rc == COMMITLOG_ENOTFOUND && lossy && model_topic_may_be_missing(model, t, safe)) {
            model_topic_remove(model, t);
            continue;
        }
        CHECK_OK(rc, &err);
        CHECK_RC(commitlog_topic_info(reader->store, reader->numbers[t], &info), COMMITLOG_OK);
        CHECKF(info.queues == model->topics[t].queues, "topic %s has %u queues", name, info.queues);
        CHECK(info.topic == reader->numbers[t]);
        CHECK(info.name_bytes == size && memcmp(info.name, name, size + 1) == 0);
        t++;
    }
    CHECKF(commitlog_topic_count(reader->store) == model->topic_count, "%u topics, expected %u",
           commitlog_topic_count(reader->store), model->topic_count);
}

void reader_message(const struct reader *reader, const struct item *item,
                    const struct commitlog_message *message)
{
    struct content content;
    CHECKF(message->position == item->position, "position %llu, expected %llu (offset %llu)",
           (ull)message->position, (ull)item->position, (ull)item->offset);
    CHECK(message->kind == COMMITLOG_KIND_MESSAGE);
    CHECKF(message->queue_offset == item->offset, "offset %llu, expected %llu",
           (ull)message->queue_offset, (ull)item->offset);
    CHECK(message->queue == item->queue);
    CHECK(message->topic == reader->numbers[item->topic]);
    CHECK(message->epoch == item->epoch);
    CHECK(message->store_time_ns == item->time);
    CHECK(item->batch == 0 ? message->next_position == item->end
                           : message->next_position <= item->end);
    CHECK(message->next_position > message->position);
    content_make(&content, item->content, (size_t)item->body_bytes);
    content_check(&content, message);
    content_free(&content);
}

bool reader_tag_matches(const struct item *item, uint32_t tag_mask)
{
    struct content content;
    bool matches = tag_mask == 0;
    if (!matches) {
        content_make(&content, item->content, 0);
        matches = content.tag_number != UINT32_MAX && (tag_mask >> content.tag_number & 1) != 0;
        content_free(&content);
    }
    return matches;
}

void reader_set_tags(struct commitlog_cursor *cursor, uint32_t tag_mask)
{
    uint8_t bytes[CONTENT_TAG_POOL][CONTENT_SHORT_MAX];
    struct commitlog_slice tags[CONTENT_TAG_POOL];
    uint32_t count = 0;
    for (uint32_t i = 0; i < CONTENT_TAG_POOL; i++) {
        if ((tag_mask >> i & 1) == 0)
            continue;
        tags[count].data = bytes[count];
        tags[count].bytes = content_tag(i, bytes[count]);
        count++;
    }
    CHECK_RC(commitlog_cursor_set_tags(cursor, count > 0 ? tags : NULL, count), COMMITLOG_OK);
    /* The library copies them: nothing may depend on these bytes any more. */
    memset(bytes, 0xee, sizeof bytes);
}

struct walk {
    uint64_t next;
    int64_t time;
    uint32_t epoch;
    uint32_t item;
    bool any;
    bool after_pad;
    bool after_batch;
};

static void walk_item(struct reader *reader, struct walk *walk,
                      const struct commitlog_message *message)
{
    struct model *model = reader->model;
    struct item *item = NULL;
    CHECKF(walk->item < reader->published, "a record at %llu that nobody appended",
           (ull)message->position);
    item = &model->items[walk->item++];
    CHECKF(!walk->after_batch || item->batch != 0, "item %u", walk->item - 1);
    if (item->state == ITEM_HOLE) {
        CHECKF(message->kind == COMMITLOG_KIND_HOLE, "kind %u at %llu", message->kind,
               (ull)message->position);
        CHECK(message->topic == reader->numbers[item->topic] && message->queue == item->queue);
        CHECK(message->queue_offset == item->offset);
        if (item->position == MODEL_UNKNOWN) {
            /* Learned, not checked: the place must still lie between its neighbours, above. */
            struct item learned = *item;
            learned.position = message->position;
            learned.end = message->next_position;
            learned.time = message->store_time_ns;
            learned.epoch = message->epoch;
            model_item_end(model, walk->item - 1, &learned);
        }
        CHECK(item->position == message->position && item->time == message->store_time_ns);
        return;
    }
    CHECKF(message->kind == COMMITLOG_KIND_MESSAGE, "kind %u at %llu", message->kind,
           (ull)message->position);
    reader_message(reader, item, message);
}

static void walk_record(struct reader *reader, struct walk *walk,
                        const struct commitlog_message *message)
{
    bool of_queue = message->kind == COMMITLOG_KIND_MESSAGE ||
                    (message->kind == COMMITLOG_KIND_HOLE && message->topic != UINT32_MAX);
    CHECK(message->next_position > message->position);
    CHECK(message->position % 8 == 0);
    if (walk->any && !walk->after_pad)
        CHECKF(message->position == walk->next, "at %llu, expected %llu", (ull)message->position,
               (ull)walk->next);
    CHECKF(message->position >= walk->next, "at %llu after %llu", (ull)message->position,
           (ull)walk->next);
    CHECKF(message->store_time_ns >= walk->time, "time went back at %llu", (ull)message->position);
    CHECKF(message->epoch >= walk->epoch, "epoch went back at %llu", (ull)message->position);
    CHECK(message->position >= reader->model->first);
    if (of_queue) {
        walk_item(reader, walk, message);
    } else {
        CHECKF(message->topic == UINT32_MAX, "control record of kind %u", message->kind);
        CHECKF(!walk->after_batch, "kind %u right behind a batch header", message->kind);
    }
    walk->any = true;
    walk->after_pad = message->kind == COMMITLOG_KIND_PAD;
    walk->after_batch = message->kind == COMMITLOG_KIND_BATCH;
    walk->next = message->next_position;
    walk->time = message->store_time_ns;
    walk->epoch = message->epoch;
}

void reader_log(struct reader *reader, uint32_t *count)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[64];
    uint32_t from = model_live_from(reader->model);
    struct walk walk = {.item = from};
    uint32_t got = 0;
    uint64_t bound = 0;
    CHECK_OK(commitlog_cursor_open_log(reader->store, 0, &cursor, &err), &err);
    for (;;) {
        uint32_t max = (uint32_t)rng_between(reader->rng, 1, 64);
        int32_t rc = commitlog_cursor_fetch(cursor, messages, max, 0, &got, &bound);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        CHECK(got >= 1 && got <= max);
        for (uint32_t i = 0; i < got; i++)
            walk_record(reader, &walk, &messages[i]);
        CHECK(commitlog_cursor_tell(cursor) >= walk.next);
    }
    commitlog_cursor_close(cursor);
    CHECK(!walk.after_batch);
    if (count != NULL) {
        *count = walk.item - from;
        return;
    }
    CHECKF(walk.item == reader->published, "the log ends after item %u of %u", walk.item,
           reader->published);
}

/* The next item of the queue from `offset` on that a cursor with these tags returns. */
static uint64_t queue_next(const struct reader *reader, uint32_t topic, uint32_t queue,
                           uint64_t offset, uint64_t next, uint32_t tag_mask)
{
    for (; offset < next; offset++) {
        const struct item *item = model_at(reader->model, topic, queue, offset);
        if (item->state == ITEM_MESSAGE && reader_tag_matches(item, tag_mask))
            break;
    }
    return offset;
}

/* Where a queue cursor begins, chosen at random; the offset it then stands at. */
static uint64_t queue_start(struct reader *reader, uint32_t topic, uint32_t queue, uint64_t first,
                            uint64_t next, uint32_t *from, uint64_t *value)
{
    *from = (uint32_t)rng_below(reader->rng, 4);
    *value = 0;
    switch (*from) {
    case COMMITLOG_FROM_FIRST:
        return first;
    case COMMITLOG_FROM_OFFSET:
        *value = rng_between(reader->rng, first, next);
        return *value;
    case COMMITLOG_FROM_TIME: {
        uint64_t offset = first;
        if (next == first)
            return first;
        offset = rng_between(reader->rng, first, next - 1);
        *value = (uint64_t)model_at(reader->model, topic, queue, offset)->time +
                 rng_below(reader->rng, 2);
        for (offset = first; offset < next; offset++)
            if ((uint64_t)model_at(reader->model, topic, queue, offset)->time >= *value)
                break;
        return offset;
    }
    default:
        return next;
    }
}

/* The three statuses outside of [first, next). */
static void queue_outside(struct reader *reader, uint32_t topic, uint32_t queue, uint64_t first,
                          uint64_t next)
{
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 77;
    uint64_t bound = 0;
    uint64_t beyond = next + 1 + rng_below(reader->rng, 1000);
    CHECK_OK(commitlog_cursor_open(reader->store, reader->numbers[topic], queue,
                                   COMMITLOG_FROM_OFFSET, next, &cursor, &err),
             &err);
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound), COMMITLOG_EEND);
    CHECK(bound == next);
    CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, beyond), COMMITLOG_OK);
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound), COMMITLOG_EBEYOND);
    CHECK(bound == next);
    CHECK(commitlog_cursor_tell(cursor) == beyond);
    if (first > 0) {
        uint64_t before = rng_below(reader->rng, first);
        CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, before), COMMITLOG_OK);
        CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound), COMMITLOG_ETOOSMALL);
        CHECK(bound == first);
    }
    CHECKF(got == 77, "a count of %u on a status", got);
    commitlog_cursor_close(cursor);
}

static void queue_info(struct reader *reader, uint32_t topic, uint32_t queue, uint64_t first,
                       uint64_t next)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_queue_info(reader->store, reader->numbers[topic], queue, &info),
             COMMITLOG_OK);
    CHECKF(info.first_offset == first && info.next_offset == next,
           "topic %u queue %u: offsets [%llu, %llu), expected [%llu, %llu)", topic, queue,
           (ull)info.first_offset, (ull)info.next_offset, (ull)first, (ull)next);
    if (first == next) {
        CHECK(info.first_time_ns == 0 && info.last_time_ns == 0);
        return;
    }
    CHECK(info.first_time_ns == model_at(reader->model, topic, queue, first)->time);
    CHECK(info.last_time_ns == model_at(reader->model, topic, queue, next - 1)->time);
}

void reader_queue(struct reader *reader, uint32_t topic, uint32_t queue)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[32];
    uint64_t first = 0, next = 0, value = 0, bound = 0, place = 0;
    uint32_t from = 0, got = 0;
    uint32_t mask = 0;
    if (rng_chance(reader->rng, 1, 2))
        mask = (uint32_t)rng_below(reader->rng, 32);
    model_bounds(reader->model, topic, queue, reader->published, &first, &next);
    queue_info(reader, topic, queue, first, next);
    queue_outside(reader, topic, queue, first, next);
    place = queue_start(reader, topic, queue, first, next, &from, &value);
    CHECK_OK(commitlog_cursor_open(reader->store, reader->numbers[topic], queue, from, value,
                                   &cursor, &err),
             &err);
    reader_set_tags(cursor, mask);
    for (;;) {
        uint32_t max = (uint32_t)rng_between(reader->rng, 1, 32);
        int32_t rc = commitlog_cursor_fetch(cursor, messages, max, 0, &got, &bound);
        place = queue_next(reader, topic, queue, place, next, mask);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        CHECK(got >= 1 && got <= max);
        for (uint32_t i = 0; i < got; i++) {
            place = queue_next(reader, topic, queue, place, next, mask);
            CHECKF(place < next, "offset %llu is too much", (ull)messages[i].queue_offset);
            reader_message(reader, model_at(reader->model, topic, queue, place), &messages[i]);
            place++;
        }
        CHECK(commitlog_cursor_tell(cursor) >= place);
        CHECK(commitlog_cursor_tell(cursor) <= queue_next(reader, topic, queue, place, next, mask));
    }
    CHECKF(place == next, "the queue ended at %llu of %llu", (ull)place, (ull)next);
    CHECK(bound == next);
    commitlog_cursor_close(cursor);
}

void reader_copy(struct reader *reader, uint32_t topic, uint32_t queue)
{
    size_t room = (size_t)rng_between(reader->rng, 200, 5000);
    uint8_t *buffer = need_alloc(room);
    struct commitlog_message messages[16];
    uint64_t first = 0, next = 0, bound = 0, place = 0;
    uint32_t got = 0;
    model_bounds(reader->model, topic, queue, reader->published, &first, &next);
    place = rng_between(reader->rng, first, next);
    for (uint32_t calls = 0; calls < 20; calls++) {
        int32_t rc = commitlog_read_copy(reader->store, reader->numbers[topic], queue, place,
                                         buffer, room, messages, 16, &got, &bound);
        place = queue_next(reader, topic, queue, place, next, 0);
        if (place == next) {
            CHECK_RC(rc, COMMITLOG_EEND);
            CHECK(bound == next);
            break;
        }
        if (rc == COMMITLOG_ETOOBIG) {
            CHECKF(bound > room, "%llu needed, %zu given", (ull)bound, room);
            room = (size_t)bound;
            buffer = need_grow(buffer, room);
            continue;
        }
        CHECK_RC(rc, COMMITLOG_OK);
        CHECK(got >= 1 && got <= 16);
        for (uint32_t i = 0; i < got; i++) {
            const uint8_t *body = messages[i].body.data;
            place = queue_next(reader, topic, queue, place, next, 0);
            CHECK(place < next);
            reader_message(reader, model_at(reader->model, topic, queue, place), &messages[i]);
            if (messages[i].body.bytes > 0)
                CHECK(body >= buffer && body + messages[i].body.bytes <= buffer + room);
            place++;
        }
    }
    CHECK_RC(commitlog_read_copy(reader->store, reader->numbers[topic], queue, next, buffer, room,
                                 messages, 1, &got, &bound),
             COMMITLOG_EEND);
    CHECK_RC(commitlog_read_copy(reader->store, reader->numbers[topic], queue, next + 1, buffer,
                                 room, messages, 1, &got, &bound),
             COMMITLOG_EBEYOND);
    if (first > 0)
        CHECK_RC(commitlog_read_copy(reader->store, reader->numbers[topic], queue, first - 1,
                                     buffer, room, messages, 1, &got, &bound),
                 COMMITLOG_ETOOSMALL);
    free(buffer);
}
