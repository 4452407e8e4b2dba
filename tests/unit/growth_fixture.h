/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growth_fixture.h -- a store with a topic that grows, for tests: keyed messages that are numbered
 * per key, where they lie, and a group that consumes what is open for it.
 *
 * Owns: what fault_fixture.h owns; the list of what was appended.
 */
#ifndef TESTS_UNIT_GROWTH_FIXTURE_H
#define TESTS_UNIT_GROWTH_FIXTURE_H

#include <stdio.h>

#include "unit/fault_fixture.h"

enum { FIRST_QUEUES = 2, KEYS = 24, SENT_MAX = 65536, QUEUES_MOST = 96 };

struct sent {
    uint32_t key;
    uint32_t number; /* of the key, from 0 on */
    uint32_t queue;
    uint64_t offset;
    uint64_t position;
    bool consumed;
};

static struct sent sent[SENT_MAX];
static uint32_t sent_count;
static uint32_t key_next[KEYS];
/* Where to look on for what is still to be consumed of a key: nothing of it is before. */
static uint32_t key_oldest[KEYS];
static struct commitlog_group *group;

static inline void letters_begin(void)
{
    sent_count = 0;
    memset(key_next, 0, sizeof(key_next));
    memset(key_oldest, 0, sizeof(key_oldest));
}

static inline void topic_again(void)
{
    ck_assert_msg(commitlog_topic_open(store, "t", 1, FIRST_QUEUES, &topic, &err) == COMMITLOG_OK,
                  "%s", err.message);
}

static inline void open_store(void)
{
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "%s", err.message);
    topic_again();
}

static inline struct commitlog_topic_info topic_info(void)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_info(store, topic, &info), COMMITLOG_OK);
    return info;
}

static inline struct commitlog_queue_info queue_info(uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, queue, &info), COMMITLOG_OK);
    return info;
}

static inline size_t key_name(uint32_t key, char name[8])
{
    return (size_t)snprintf(name, 8, "k%u", key);
}

static inline uint32_t key_queue(uint32_t key, uint32_t queues)
{
    char name[8];
    size_t bytes = key_name(key, name);
    uint32_t queue = 0;
    ck_assert_int_eq(commitlog_queue_by_key(name, bytes, queues, &queue), COMMITLOG_OK);
    return queue;
}

/* What a message says of itself. */
struct letter {
    uint32_t key;
    uint32_t number;
    uint8_t filling[92];
};

struct letter_record {
    char name[8];
    struct letter letter;
    struct commitlog_slice key;
    struct commitlog_slice body;
    struct commitlog_record record;
};

static inline void letter_make(struct letter_record *out, uint32_t key, uint32_t level)
{
    memset(out, 0, sizeof(*out));
    out->letter.key = key;
    out->letter.number = key_next[key];
    out->key = (struct commitlog_slice){out->name, key_name(key, out->name)};
    out->body = (struct commitlog_slice){&out->letter, sizeof(out->letter)};
    out->record = (struct commitlog_record){.struct_bytes = sizeof(out->record),
                                            .topic = topic,
                                            .queue = COMMITLOG_QUEUE_AUTO,
                                            .level = level,
                                            .body = &out->body,
                                            .body_count = 1,
                                            .keys = &out->key,
                                            .key_count = 1};
}

static inline void letter_sent(uint32_t key, uint32_t queue,
                               const struct commitlog_receipt *receipt)
{
    ck_assert_uint_lt(sent_count, SENT_MAX);
    if (key_oldest[key] > sent_count) { /* the end of the list was taken off */
        key_oldest[key] = sent_count;
    }
    sent[sent_count++] =
        (struct sent){key, key_next[key]++, queue, receipt->queue_offset, receipt->position, false};
}

static inline int32_t post(uint32_t key, uint32_t level)
{
    struct letter_record letter;
    struct commitlog_receipt receipt = {0};
    letter_make(&letter, key, level);
    int32_t rc = commitlog_append_record(store, &letter.record, 0, &receipt, &err);
    if (rc == COMMITLOG_OK) {
        letter_sent(key, key_queue(key, topic_info().queues), &receipt);
    }
    return rc;
}

static inline void post_all(void)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        ck_assert_msg(post(key, COMMITLOG_LEVEL_NONE) == COMMITLOG_OK, "%s", err.message);
    }
}

/* Everything that is kept lies where its receipt said, and a key's numbers follow each other. */
static inline void check_letters(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t at = 0;
    int32_t rc;
    const uint64_t first = store_positions().first;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &cursor, &err),
                     COMMITLOG_OK);
    while (at < sent_count && sent[at].position < first) {
        at++;
    }
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        struct letter letter;
        ck_assert_uint_lt(at, sent_count);
        ck_assert_uint_ge(message.body.bytes, sizeof(letter));
        memcpy(&letter, message.body.data, sizeof(letter));
        ck_assert_uint_eq(letter.key, sent[at].key);
        ck_assert_uint_eq(letter.number, sent[at].number);
        ck_assert_uint_eq(message.position, sent[at].position);
        ck_assert_uint_eq(message.queue, sent[at].queue);
        ck_assert_uint_eq(message.queue_offset, sent[at].offset);
        at++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(at, sent_count);
    commitlog_cursor_close(cursor);
}

/* The list as the log has it, and of a key the numbers rise: for a log of which only that is known.
 */
static inline void letters_from_log(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    int32_t rc;
    letters_begin();
    ck_assert_msg(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                        &cursor, &err) == COMMITLOG_OK,
                  "%s", err.message);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        struct letter letter;
        ck_assert_uint_ge(message.body.bytes, sizeof(letter));
        memcpy(&letter, message.body.data, sizeof(letter));
        ck_assert_uint_lt(letter.key, KEYS);
        ck_assert_uint_ge(letter.number, key_next[letter.key]);
        key_next[letter.key] = letter.number + 1;
        ck_assert_uint_lt(sent_count, SENT_MAX);
        sent[sent_count++] = (struct sent){letter.key,           letter.number,    message.queue,
                                           message.queue_offset, message.position, false};
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}

static inline struct commitlog_group_gate gate_of(uint32_t queue)
{
    struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
    ck_assert_msg(commitlog_group_gate(group, topic, queue, &gate, &err) == COMMITLOG_OK, "%s",
                  err.message);
    return gate;
}

static inline void open_group(void)
{
    ck_assert_msg(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err) ==
                      COMMITLOG_OK,
                  "%s", err.message);
}

static inline uint64_t committed(uint32_t queue)
{
    struct commitlog_group_offset offset = {topic, queue, 0};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), COMMITLOG_OK);
    return offset.offset;
}

static inline int32_t commit(uint32_t queue, uint64_t offset)
{
    const struct commitlog_group_offset offsets = {topic, queue, offset};
    return commitlog_group_commit(group, 0, &offsets, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err);
}

/* The list is in the order of the log. */
static inline struct sent *find_sent(uint32_t queue, uint64_t offset, uint64_t position)
{
    uint32_t from = 0;
    uint32_t to = sent_count;
    while (from < to) {
        const uint32_t middle = from + (to - from) / 2;
        if (sent[middle].position < position) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    struct sent *one = &sent[from];
    return from < sent_count && one->position == position && one->queue == queue &&
                   one->offset == offset
               ? one
               : NULL;
}

/* The first message of a key that is kept and not consumed; its numbers rise in the list. NULL: all
 * are. */
static inline const struct sent *oldest_of(uint32_t key, uint64_t first)
{
    uint32_t at = key_oldest[key];
    while (at < sent_count &&
           (sent[at].key != key || sent[at].consumed || sent[at].position < first)) {
        at++;
    }
    key_oldest[key] = at;
    return at < sent_count ? &sent[at] : NULL;
}

/* What the group has consumed by what it has committed. */
static inline void consumed_again(void)
{
    uint64_t offsets[QUEUES_MOST];
    uint32_t queues = topic_info().queues_total;
    for (uint32_t q = 0; q < queues; q++) {
        offsets[q] = committed(q);
    }
    for (uint32_t i = 0; i < sent_count; i++) {
        uint64_t offset = sent[i].queue < queues ? offsets[sent[i].queue] : UINT64_MAX;
        sent[i].consumed = offset != UINT64_MAX && sent[i].offset < offset;
    }
    memset(key_oldest, 0, sizeof(key_oldest));
}

/* Up to `most` messages of a queue, if it is open: of a key everything before was consumed. Returns
 * how many it has consumed. */
static inline uint32_t consume(uint32_t queue, uint32_t most)
{
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    uint32_t done = 0;
    uint32_t count = 0;
    if (gate_of(queue).open == 0) {
        return 0;
    }
    uint64_t offset = committed(queue);
    uint64_t min = queue_info(queue).first_offset;
    const uint64_t first = store_positions().first;
    offset = offset == UINT64_MAX || offset < min ? min : offset;
    ck_assert_msg(commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_OFFSET, offset, &cursor,
                                        &err) == COMMITLOG_OK,
                  "%s", err.message);
    while (done < most &&
           commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK) {
        struct letter letter;
        memcpy(&letter, message.body.data, sizeof(letter));
        struct sent *one = find_sent(queue, message.queue_offset, message.position);
        ck_assert_ptr_nonnull(one);
        ck_assert(one->key == letter.key && one->number == letter.number);
        const struct sent *oldest = oldest_of(letter.key, first);
        ck_assert_msg(oldest == NULL || oldest->number >= letter.number,
                      "key %u: number %u in queue %u before number %u in queue %u", letter.key,
                      letter.number, queue, oldest->number, oldest->queue);
        ck_assert(!one->consumed);
        one->consumed = true;
        offset = message.queue_offset + 1;
        done++;
    }
    commitlog_cursor_close(cursor);
    if (done > 0) {
        ck_assert_msg(commit(queue, offset) == COMMITLOG_OK, "%s", err.message);
    }
    return done;
}

/* All there is, in rounds: whatever the order of the queues, nothing stays closed. */
static inline void consume_all(void)
{
    uint32_t done;
    do {
        done = 0;
        for (uint32_t q = topic_info().queues_total; q > 0; q--) {
            done += consume(q - 1, UINT32_MAX);
        }
    } while (done > 0);
    for (uint32_t i = 0; i < sent_count; i++) {
        ck_assert_msg(sent[i].consumed || sent[i].position < store_positions().first,
                      "key %u number %u in queue %u was never consumed", sent[i].key,
                      sent[i].number, sent[i].queue);
    }
}

static inline int32_t grow(uint32_t queues)
{
    return commitlog_topic_grow(store, topic, queues, COMMITLOG_LEVEL_NONE, &err);
}

static inline int32_t shrink(uint32_t queues)
{
    return commitlog_topic_shrink(store, topic, queues, COMMITLOG_LEVEL_NONE, &err);
}

static inline void forget_views(void)
{
    const char *name = NULL;
    while (commitlog_fault_name(machine, "/store/view", 0, &name) == COMMITLOG_OK) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
}

static inline struct commitlog_retained retain_all(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_msg(commitlog_retain(store, &policy, &retained, &err) == COMMITLOG_OK, "%s",
                  err.message);
    return retained;
}

#endif
