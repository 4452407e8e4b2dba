/* SPDX-License-Identifier: BSD-2-Clause */
/* small_store.c -- a small store and all its answers; see small_store.h. */
#include "small_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_TOPICS = 2, SMALL_QUEUES = 2, SMALL_KEYS = 4, SMALL_FILL = 27000 };

static const char *const small_names[SMALL_TOPICS] = {"alpha", "beta"};

struct small {
    struct commitlog_store *store;
    uint32_t topics[SMALL_TOPICS];
    struct rng rng;
    uint32_t number;
};

struct commitlog_options *small_options(uint64_t engine, uint64_t access, uint64_t recovery)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, recovery, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, SMALL_SEGMENT, &err),
             &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 65536, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_DIR, &err),
             &err);
    return options;
}

/* Fills a record with what its number says: every third carries every attribute. */
static void record_draw(struct small *small, struct commitlog_record *record,
                        struct commitlog_slice *body, struct commitlog_slice *keys,
                        struct commitlog_header *headers, uint8_t *bytes)
{
    static const char *const key_names[SMALL_KEYS] = {"key-0", "key-1", "key-2", "key-3"};
    uint32_t number = small->number++;
    memset(record, 0, sizeof *record);
    body->bytes = number % 5 == 0 ? 0 : (size_t)rng_below(&small->rng, 120);
    body->data = bytes;
    bytes_fill(bytes, body->bytes, number);
    record->struct_bytes = sizeof *record;
    record->topic = small->topics[number % SMALL_TOPICS];
    record->queue = (uint32_t)rng_below(&small->rng, SMALL_QUEUES);
    record->level = COMMITLOG_LEVEL_NONE;
    record->body = body;
    record->body_count = 1;
    if (number % 3 != 0)
        return;
    keys[0] = (struct commitlog_slice){key_names[number % SMALL_KEYS], 5};
    keys[1] = (struct commitlog_slice){key_names[(number / 3) % SMALL_KEYS], 5};
    record->keys = keys;
    record->key_count = 2;
    record->tag = (struct commitlog_slice){"tag", 3};
    headers[0].name = (struct commitlog_slice){"name", 4};
    headers[0].value = (struct commitlog_slice){"\0value", 6};
    record->headers = headers;
    record->header_count = 1;
    record->has_time = 1;
    record->time_ms = 1700000000000 + number;
}

static void make_some(struct small *small, uint32_t count)
{
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < count; i++) {
        struct commitlog_record record;
        struct commitlog_slice body, keys[2];
        struct commitlog_header headers[1];
        uint8_t bytes[128];
        record_draw(small, &record, &body, keys, headers, bytes);
        CHECK_OK(commitlog_append_record(small->store, &record, COMMITLOG_FOREVER, NULL, &err),
                 &err);
    }
}

static void make_batch(struct small *small)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_record records[3];
    struct commitlog_slice body[3], keys[3][2];
    struct commitlog_header headers[3][1];
    uint8_t bytes[3][128];
    for (uint32_t i = 0; i < 3; i++)
        record_draw(small, &records[i], &body[i], keys[i], headers[i], bytes[i]);
    CHECK_OK(commitlog_append_batch(small->store, records, 3, COMMITLOG_FOREVER, NULL, &err), &err);
}

static void make_hole(struct small *small)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_record record;
    struct commitlog_slice body, keys[2];
    struct commitlog_header headers[1];
    uint8_t bytes[128];
    struct commitlog_reservation *reservation = NULL;
    void *place = NULL;
    record_draw(small, &record, &body, keys, headers, bytes);
    CHECK_OK(
        commitlog_reserve(small->store, &record, 40, COMMITLOG_FOREVER, &reservation, &place, &err),
        &err);
    memset(place, 0x77, 40);
    CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
}

/* A body of zeros, of which two do not fit one segment. */
static void make_fill(struct small *small)
{
    static const uint8_t zeros[SMALL_FILL];
    CHECK_RC(commitlog_append(small->store, small->topics[0], 0, zeros, sizeof zeros,
                              COMMITLOG_LEVEL_NONE, NULL),
             COMMITLOG_OK);
}

void small_make(const char *path, uint64_t engine, uint64_t seed)
{
    struct commitlog_options *options =
        small_options(engine, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_error err = {.message = ""};
    struct small small = {.number = 0};
    rng_begin(&small.rng, seed);
    CHECK_OK(commitlog_open(path, options, &small.store, &err), &err);
    commitlog_options_free(options);
    for (uint32_t t = 0; t < SMALL_TOPICS; t++)
        CHECK_OK(commitlog_topic_open(small.store, small_names[t], strlen(small_names[t]),
                                      SMALL_QUEUES, &small.topics[t], &err),
                 &err);
    for (uint32_t segment = 0; segment < 3; segment++) {
        make_fill(&small);
        make_some(&small, 5);
        make_batch(&small);
        make_hole(&small);
        make_some(&small, 3);
    }
    CHECK_OK(commitlog_close(small.store, &err), &err);
}

void small_extend(const char *path, uint64_t engine, uint32_t count, size_t body_bytes)
{
    struct commitlog_options *options =
        small_options(engine, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    uint8_t *body = need_alloc(body_bytes);
    uint32_t topic = 0;
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(store, small_names[0], strlen(small_names[0]), 0, &topic, &err),
             &err);
    for (uint32_t i = 0; i < count; i++) {
        bytes_fill(body, body_bytes, 90000 + i);
        CHECK_RC(commitlog_append(store, topic, i % SMALL_QUEUES, body, body_bytes,
                                  COMMITLOG_LEVEL_DURABLE, NULL),
                 COMMITLOG_OK);
    }
    CHECK_OK(commitlog_close(store, &err), &err);
    free(body);
}

static void mix(struct answers *out, uint64_t value)
{
    out->hash = (out->hash ^ value) * 0x9fb21c651e98df25U;
    out->hash ^= out->hash >> 31;
}

uint64_t small_message_hash(const struct commitlog_message *m)
{
    struct answers sum = {.hash = 1};
    mix(&sum, m->position);
    mix(&sum, m->next_position);
    mix(&sum, m->queue_offset);
    mix(&sum, (uint64_t)m->store_time_ns);
    mix(&sum, (uint64_t)m->time_ms);
    mix(&sum, (uint64_t)m->queue << 32 | m->epoch);
    mix(&sum, (uint64_t)m->topic << 32 | m->kind);
    /* A hole's body is what an abort left there: no answer of the store depends on it. */
    if (m->kind != COMMITLOG_KIND_MESSAGE)
        return sum.hash;
    mix(&sum, bytes_hash(m->body.data, m->body.bytes));
    mix(&sum, bytes_hash(m->tag.data, m->tag.bytes));
    for (uint32_t i = 0; i < m->key_count; i++) {
        struct commitlog_slice key;
        CHECK_RC(commitlog_message_key(m, i, &key), COMMITLOG_OK);
        mix(&sum, bytes_hash(key.data, key.bytes));
    }
    for (uint32_t i = 0; i < m->header_count; i++) {
        struct commitlog_header header;
        CHECK_RC(commitlog_message_header(m, i, &header), COMMITLOG_OK);
        mix(&sum, bytes_hash(header.name.data, header.name.bytes));
        mix(&sum, bytes_hash(header.value.data, header.value.bytes));
    }
    return sum.hash;
}

/* Remembers the first status that is no answer; true: go on. */
static bool answered(struct answers *out, int32_t rc, const char *where)
{
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_ENOTFOUND) {
        mix(out, (uint64_t)(int64_t)rc);
        return rc == COMMITLOG_OK;
    }
    if (out->rc == COMMITLOG_OK) {
        out->rc = rc;
        snprintf(out->where, sizeof out->where, "%s", where);
    }
    return false;
}

static void ask_cursor(struct answers *out, struct commitlog_cursor *cursor, const char *where)
{
    struct commitlog_message messages[32];
    uint32_t got = 0;
    uint64_t bound = 0;
    while (answered(out, commitlog_cursor_fetch(cursor, messages, 32, 0, &got, &bound), where)) {
        for (uint32_t i = 0; i < got; i++) {
            mix(out, small_message_hash(&messages[i]));
            if (messages[i].kind == COMMITLOG_KIND_MESSAGE)
                out->messages++;
        }
    }
    commitlog_cursor_close(cursor);
}

static void ask_queue(struct commitlog_store *store, struct answers *out, uint32_t topic,
                      uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_cursor *cursor = NULL;
    uint64_t offset = 0;
    if (answered(out, commitlog_queue_info(store, topic, queue, &info), "queue_info")) {
        mix(out, info.first_offset);
        mix(out, info.next_offset);
        mix(out, (uint64_t)info.first_time_ns);
        mix(out, (uint64_t)info.last_time_ns);
    }
    if (answered(out,
                 commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, NULL),
                 "cursor_open"))
        ask_cursor(out, cursor, "queue cursor");
    if (answered(out,
                 commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, NULL),
                 "cursor_open")) {
        struct commitlog_slice tag = {"tag", 3};
        CHECK_RC(commitlog_cursor_set_tags(cursor, &tag, 1), COMMITLOG_OK);
        ask_cursor(out, cursor, "tag cursor");
    }
    for (uint32_t bound = COMMITLOG_LOWER; bound <= COMMITLOG_UPPER; bound++) {
        int64_t times[3] = {0, (info.first_time_ns + info.last_time_ns) / 2, INT64_MAX};
        for (uint32_t i = 0; i < 3; i++)
            if (answered(out,
                         commitlog_offset_by_time(store, topic, queue, times[i], bound, &offset),
                         "offset_by_time"))
                mix(out, offset);
    }
}

static void ask_keys(struct commitlog_store *store, struct answers *out, uint32_t topic)
{
    for (uint32_t k = 0; k <= SMALL_KEYS; k++) {
        struct commitlog_cursor *cursor = NULL;
        char key[16];
        int size = snprintf(key, sizeof key, "key-%u", k);
        if (answered(out,
                     commitlog_cursor_open_key(store, topic, key, (size_t)size, 0, INT64_MAX,
                                               &cursor, NULL),
                     "cursor_open_key"))
            ask_cursor(out, cursor, "key cursor");
    }
}

void small_ask(struct commitlog_store *store, struct answers *out)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    uint32_t count = commitlog_topic_count(store);
    memset(out, 0, sizeof *out);
    mix(out, count);
    CHECK_RC(commitlog_positions_get(store, &positions), COMMITLOG_OK);
    mix(out, positions.first);
    for (uint32_t t = 0; t < count; t++) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        if (!answered(out, commitlog_topic_info(store, t, &info), "topic_info"))
            continue;
        mix(out, bytes_hash(info.name, info.name_bytes));
        mix(out, info.queues);
        for (uint32_t q = 0; q < info.queues; q++)
            ask_queue(store, out, t, q);
        if (answered(out,
                     commitlog_cursor_open(store, t, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                           &cursor, NULL),
                     "cursor_open all"))
            ask_cursor(out, cursor, "all queues");
        ask_keys(store, out, t);
    }
    if (answered(out, commitlog_cursor_open_log(store, 0, &cursor, NULL), "cursor_open_log"))
        ask_cursor(out, cursor, "log cursor");
}

void small_answers(const char *path, struct answers *out)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_open(path, options, &store, &err);
    commitlog_options_free(options);
    if (rc != COMMITLOG_OK) {
        CHECK(store == NULL && err.code == rc && err.message[0] != '\0');
        memset(out, 0, sizeof *out);
        out->rc = rc;
        snprintf(out->where, sizeof out->where, "open");
        return;
    }
    small_ask(store, out);
    CHECK_RC(commitlog_close(store, &err), COMMITLOG_OK);
}

uint32_t small_places(const char *path, struct placed out[SMALL_POSITIONS_MAX])
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0, got = 0, left = 0;
    uint64_t first = 0;
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK) {
        if (message.kind == COMMITLOG_KIND_BATCH) {
            left = 3;
            first = message.next_position;
        }
        if (message.kind != COMMITLOG_KIND_MESSAGE)
            continue;
        CHECK(count < SMALL_POSITIONS_MAX);
        out[count++] =
            (struct placed){message.position, small_message_hash(&message), left > 0 ? first : 0,
                            (uint64_t)message.topic << 32 | message.queue};
        if (left > 0)
            left--;
    }
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    return count;
}

bool small_is_damage(int32_t rc)
{
    return rc <= -200 && rc > -300;
}
