/* SPDX-License-Identifier: BSD-2-Clause */
/* book.c -- see book.h. */
#include "book.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

static const char *const book_topics[BOOK_TOPICS] = {"orders", "payments", "\xc3\xa4udit"};
static const char *const book_keys[BOOK_KEYS + 1] = {"", "key-a", "key-b", "key-c", "key-d"};
static const char *const book_tags[BOOK_TAGS + 1] = {"", "red", "green", "blue"};
static const char book_header_name[] = "trace";
static const char book_header_value[] = "0af7\0-9c";

void book_begin(struct book *book)
{
    book->count = 0;
    memset(book->next, 0, sizeof(book->next));
    memset(book->gone, 0, sizeof(book->gone));
    book->stored = book->written = book->durable = book->first = 0;
    book->made = 0;
    book->arena_used = 0;
}

const char *book_topic_name(uint32_t topic, size_t *out_bytes)
{
    *out_bytes = strlen(book_topics[topic]);
    return book_topics[topic];
}

uint32_t book_topic_queues(uint32_t topic)
{
    return topic + 1;
}

uint32_t book_topic_of(const char *name, size_t bytes)
{
    for (uint32_t i = 0; i < BOOK_TOPICS; i++) {
        if (strlen(book_topics[i]) == bytes && memcmp(book_topics[i], name, bytes) == 0) {
            return i;
        }
    }
    return BOOK_NONE;
}

struct commitlog_slice book_key(uint32_t key)
{
    return (struct commitlog_slice){book_keys[key], strlen(book_keys[key])};
}

void book_draw(struct book *book, struct rng *rng, uint32_t topic, uint32_t number, uint32_t bytes,
               struct book_draft *draft, struct commitlog_record *out)
{
    struct book_item *item = &draft->item;
    memset(draft, 0, sizeof(*draft));
    memset(out, 0, sizeof(*out));
    CHECK(book->arena_used + bytes <= BOOK_ARENA);
    item->body_at = book->arena_used;
    item->body_bytes = bytes;
    book->arena_used += bytes;
    bytes_fill(book->arena + item->body_at, bytes, ++book->made);
    if (rng_chance(rng, 1, 8)) { /* much of it zeros, as records may be */
        memset(book->arena + item->body_at, 0, bytes - bytes / 8);
    }
    item->topic = (uint16_t)topic;
    item->queue = (uint16_t)rng_below(rng, book_topic_queues(topic));
    draft->body = (struct commitlog_slice){book->arena + item->body_at, bytes};
    *out = (struct commitlog_record){.struct_bytes = sizeof(*out),
                                     .topic = number,
                                     .queue = item->queue,
                                     .body = &draft->body,
                                     .body_count = 1};
    if (rng_chance(rng, 1, 2)) {
        item->keys[0] = (uint8_t)rng_between(rng, 1, BOOK_KEYS);
        draft->keys[0] = book_key(item->keys[0]);
        out->keys = draft->keys;
        out->key_count = 1;
        if (rng_chance(rng, 1, 3)) {
            item->keys[1] = (uint8_t)(item->keys[0] % BOOK_KEYS + 1);
            draft->keys[1] = book_key(item->keys[1]);
            out->key_count = 2;
        }
    }
    if (rng_chance(rng, 1, 2)) {
        item->tag = (uint8_t)rng_between(rng, 1, BOOK_TAGS);
        out->tag = (struct commitlog_slice){book_tags[item->tag], strlen(book_tags[item->tag])};
    }
    if (rng_chance(rng, 1, 4)) {
        item->has_header = true;
        draft->header.name = (struct commitlog_slice){book_header_name, sizeof(book_header_name)};
        draft->header.value =
            (struct commitlog_slice){book_header_value, sizeof(book_header_value)};
        out->headers = &draft->header;
        out->header_count = 1;
    }
    if (rng_chance(rng, 1, 4)) {
        item->time_ms = INT64_C(1600000000000) + (int64_t)book->made;
        out->has_time = 1;
        out->time_ms = item->time_ms;
    }
}

uint64_t book_record_bytes(const struct commitlog_record *record)
{
    enum { HEADER = 48, ATTRIBUTE = 3, NAME = 2, TIME = 8, ALIGN = 8 };
    uint64_t bytes = HEADER + record->body[0].bytes;
    for (uint32_t i = 0; i < record->key_count; i++) {
        bytes += ATTRIBUTE + record->keys[i].bytes;
    }
    for (uint32_t i = 0; i < record->header_count; i++) {
        bytes += ATTRIBUTE + NAME + record->headers[i].name.bytes + record->headers[i].value.bytes;
    }
    bytes += record->tag.bytes > 0 ? ATTRIBUTE + record->tag.bytes : 0;
    bytes += record->has_time != 0 ? ATTRIBUTE + TIME : 0;
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

void book_store(struct book *book, const struct book_draft *draft,
                const struct commitlog_receipt *receipt)
{
    CHECK(book->count < BOOK_ITEMS);
    struct book_item *item = &book->items[book->count++];
    *item = draft->item;
    item->position = receipt->position;
    item->end = receipt->end_position;
    item->offset = receipt->queue_offset;
    item->store_time_ns = receipt->store_time_ns;
    item->epoch = receipt->epoch;
    item->witness = book->durable;
    item->hull_from = item->position;
    item->hull_to = item->end;
    CHECKF(book->count < 2 || item->position > item[-1].position, "position %llu is not behind",
           (ull)item->position);
    CHECKF(item->offset == book->next[item->topic][item->queue],
           "offset %llu of topic %u, not %llu", (ull)item->offset, item->topic,
           (ull)book->next[item->topic][item->queue]);
    book->next[item->topic][item->queue] = item->offset + 1;
}

void book_batch(struct book *book, uint32_t count)
{
    enum { HEADER = 48 + 24 };
    struct book_item *items = &book->items[book->count - count];
    CHECK(count > 0 && count <= book->count);
    for (uint32_t i = 0; i < count; i++) {
        /* A receipt says where the whole batch ends. */
        items[i].end = i + 1 < count ? items[i + 1].position : items[i].end;
        items[i].hull_from = items[0].position - HEADER;
        items[i].hull_to = items[count - 1].end;
        items[i].witness = items[0].witness;
    }
}

void book_reached(struct book *book, uint64_t end, uint32_t level)
{
    book->stored = end > book->stored ? end : book->stored;
    if (level >= COMMITLOG_LEVEL_WRITTEN && end > book->written) {
        book->written = end;
    }
    if (level >= COMMITLOG_LEVEL_DURABLE && end > book->durable) {
        book->durable = end;
    }
}

uint32_t book_from(const struct book *book, uint64_t position)
{
    uint32_t low = 0;
    uint32_t high = book->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (book->items[middle].position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct book_item *book_at(const struct book *book, uint64_t position)
{
    uint32_t at = book_from(book, position);
    return at < book->count && book->items[at].position == position ? &book->items[at] : NULL;
}

static bool slice_is(const struct commitlog_slice *slice, const void *data, size_t bytes)
{
    return slice->bytes == bytes && (bytes == 0 || memcmp(slice->data, data, bytes) == 0);
}

static const char *differs_in_attributes(const struct book_item *item,
                                         const struct commitlog_message *message)
{
    uint32_t keys = (item->keys[0] != 0 ? 1u : 0u) + (item->keys[1] != 0 ? 1u : 0u);
    if (message->key_count != keys || message->header_count != (item->has_header ? 1u : 0u)) {
        return "number of keys or headers";
    }
    for (uint32_t i = 0; i < keys; i++) {
        struct commitlog_slice key;
        struct commitlog_slice own = book_key(item->keys[i]);
        if (commitlog_message_key(message, i, &key) != COMMITLOG_OK ||
            !slice_is(&key, own.data, own.bytes)) {
            return "key";
        }
    }
    if (item->has_header) {
        struct commitlog_header header;
        if (commitlog_message_header(message, 0, &header) != COMMITLOG_OK ||
            !slice_is(&header.name, book_header_name, sizeof(book_header_name)) ||
            !slice_is(&header.value, book_header_value, sizeof(book_header_value))) {
            return "header";
        }
    }
    return NULL;
}

const char *book_differs(const struct book *book, const struct book_item *item, uint32_t topic,
                         const struct commitlog_message *message)
{
    int64_t time_ms = item->time_ms != 0 ? item->time_ms : message->store_time_ns / 1000000;
    if (item->is_hole || message->kind != COMMITLOG_KIND_MESSAGE) {
        return "kind";
    }
    if (message->position != item->position || message->next_position != item->end ||
        message->queue_offset != item->offset) {
        return "place";
    }
    if (topic != BOOK_NONE && (topic != item->topic || message->queue != item->queue)) {
        return "queue";
    }
    if (message->store_time_ns != item->store_time_ns || message->time_ms != time_ms ||
        message->epoch != item->epoch) {
        return "time or epoch";
    }
    if (!slice_is(&message->body, book->arena + item->body_at, item->body_bytes)) {
        return "body";
    }
    if (!slice_is(&message->tag, book_tags[item->tag], strlen(book_tags[item->tag]))) {
        return "tag";
    }
    return differs_in_attributes(item, message);
}

void book_cut(struct book *book, uint64_t end)
{
    while (book->count > 0 && book->items[book->count - 1].end > end) {
        book->count--;
    }
    memcpy(book->next, book->gone, sizeof(book->next));
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        book->next[item->topic][item->queue] = item->offset + 1;
    }
}

void book_drop(struct book *book, uint64_t first)
{
    uint32_t gone = book_from(book, first);
    for (uint32_t i = 0; i < gone; i++) {
        const struct book_item *item = &book->items[i];
        book->gone[item->topic][item->queue] = item->offset + 1;
    }
    memmove(book->items, book->items + gone, (book->count - gone) * sizeof(book->items[0]));
    book->count -= gone;
    book->first = first;
}
