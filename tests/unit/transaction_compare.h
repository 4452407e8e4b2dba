/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_compare.h -- holds what a store shows against the model of transaction_model.h: each
 * queue and each topic from end to end, questions by key, open transactions with their messages,
 * offsets of groups.
 */
#ifndef TESTS_UNIT_TRANSACTION_COMPARE_H
#define TESTS_UNIT_TRANSACTION_COMPARE_H

#include "unit/transaction_model.h"

/* ---- queues ---- */

/* Messages that were read, for the questions by key. */
static struct {
    uint32_t topic;
    uint32_t key;
} seen[PLACES * ENTRIES];
static uint32_t seen_count;

static inline void check_entry(uint32_t place, const struct commitlog_message *message)
{
    const struct entry *entry = &entries[place][message->queue_offset];
    ck_assert_uint_lt(message->queue_offset, counts[place]);
    ck_assert_uint_eq(message->topic, topics[place_topic(place)]);
    ck_assert_uint_eq(message->queue, place_queue(place));
    check_body(message, entry->deal, entry->index, place);
    ck_assert_uint_eq(message->transaction, entry->deal == 0 ? 0 : deals[entry->deal].id);
    ck_assert(message->origin_position == 0 || message->origin_position == entry->origin);
    figures.copied += entry->deal != 0 && message->origin_position == 0 ? 1 : 0;
    seen[seen_count].topic = place_topic(place);
    seen[seen_count++].key = body_key(entry->deal, entry->index);
}

/* Whole segments go, and the first that is kept is the first in what is left of the log. */
static inline struct commitlog_queue_info check_queue_info(uint32_t place, uint64_t first)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    const struct entry *of = entries[place];
    ck_assert_int_eq(
        commitlog_queue_info(store, topics[place_topic(place)], place_queue(place), &info), 0);
    ck_assert_msg(info.next_offset == counts[place], "queue %u ends at %llu, not at %u", place,
                  (unsigned long long)info.next_offset, counts[place]);
    ck_assert_uint_le(info.first_offset, info.next_offset);
    ck_assert(info.first_offset == 0 || of[info.first_offset - 1].end <= first);
    ck_assert(info.first_offset == info.next_offset || of[info.first_offset].end > first);
    return info;
}

static inline void check_place(uint32_t place)
{
    const uint64_t first = store_positions().first;
    const struct commitlog_queue_info info = check_queue_info(place, first);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    uint64_t offset = info.first_offset;
    uint64_t bound = 0;
    ck_assert_int_eq(commitlog_cursor_open(store, topics[place_topic(place)], place_queue(place),
                                           COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = COMMITLOG_OK;
    while (rc != COMMITLOG_EEND) {
        uint32_t count = 0;
        rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            ck_assert_uint_eq(messages[i].queue_offset, offset++);
            check_entry(place, &messages[i]);
        }
        if (rc == COMMITLOG_EEXPIRED) {
            ck_assert(bound == offset && offset < counts[place]);
            ck_assert_msg(entries[place][offset].origin < first && entries[place][offset].deal != 0,
                          "queue %u offset %llu has expired, and lies behind the first", place,
                          (unsigned long long)offset);
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, ++offset), 0);
            figures.gone++;
        } else {
            ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s",
                          commitlog_error_name(rc));
        }
    }
    ck_assert_uint_eq(offset, info.next_offset);
    commitlog_cursor_close(cursor);
}

/* In log order the messages of one transaction follow one another, in their own order. */
static inline void check_log_order(uint32_t topic_index)
{
    static uint32_t rounds;
    static uint32_t last_round[DEALS];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t words[2];
    uint32_t deal = 0;
    uint32_t index = 0;
    uint32_t count = 0;
    uint64_t bound = 0;
    int32_t rc = COMMITLOG_OK;
    ck_assert_int_eq(commitlog_cursor_open(store, topics[topic_index], COMMITLOG_QUEUE_ALL,
                                           COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    rounds++;
    while (rc != COMMITLOG_EEND) {
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
        if (rc == COMMITLOG_EEXPIRED) {
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 8), 0);
            continue;
        }
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
        if (rc == COMMITLOG_EEND) {
            break;
        }
        memcpy(words, message.body.data, sizeof(words));
        ck_assert_msg(words[0] == 0 || words[0] != deal || words[1] > index,
                      "transaction %u: %u behind %u", words[0], words[1], index);
        ck_assert_msg(words[0] == 0 || words[0] == deal || last_round[words[0]] != rounds,
                      "transaction %u comes in pieces", words[0]);
        deal = words[0];
        index = words[1];
        last_round[deal] = rounds;
    }
    commitlog_cursor_close(cursor);
}

/* Those that were read in the queues, newest first, none twice. */
static inline void check_key(uint32_t topic_index, uint32_t key)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    const char text[2] = {'k', (char)('0' + key)};
    uint32_t expected = 0;
    uint32_t found = 0;
    uint32_t count = 0;
    uint64_t before = UINT64_MAX;
    int32_t rc;
    for (uint32_t i = 0; i < seen_count; i++) {
        expected += seen[i].topic == topic_index && seen[i].key == key ? 1 : 0;
    }
    ck_assert_int_eq(
        commitlog_cursor_open_key(store, topics[topic_index], text, 2, 0, INT64_MAX, &cursor, &err),
        0);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        uint32_t words[3];
        ck_assert_uint_lt(message.position, before);
        before = message.position;
        memcpy(words, message.body.data, sizeof(words));
        ck_assert_uint_eq(body_key(words[0], words[1]), key);
        ck_assert_uint_eq(place_topic(words[2]), topic_index);
        found++;
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    ck_assert_msg(found == expected, "key %u of topic %u: %u of %u", key, topic_index, found,
                  expected);
    commitlog_cursor_close(cursor);
}

/* ---- open transactions, offsets ---- */

static inline bool deal_is_listed(const struct deal *deal)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    int32_t rc = commitlog_transaction_next(store, deal->id - 1, &info);
    return rc == COMMITLOG_OK && info.transaction == deal->id;
}

static inline void check_span(struct span *span, int64_t said_ms, const char *what, uint32_t number)
{
    ck_assert_msg(said_ms >= span->low_ms && said_ms <= span->high_ms,
                  "transaction %u %s at %lld, not in %lld to %lld", number, what,
                  (long long)said_ms, (long long)span->low_ms, (long long)span->high_ms);
    *span = (struct span){said_ms, said_ms};
}

static inline uint64_t check_part(const struct deal *deal, uint32_t index)
{
    struct commitlog_transaction_message part = {.struct_bytes = sizeof(part)};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    const uint32_t place = deal->parts[index].place;
    ck_assert_int_eq(commitlog_transaction_message(store, deal->id, index, &part), 0);
    ck_assert_uint_eq(part.topic, topics[place_topic(place)]);
    ck_assert_uint_eq(part.queue, place_queue(place));
    ck_assert_uint_ge(part.position, store_positions().first);
    ck_assert_msg(commitlog_get(store, part.position, &message, &lease, &err) == 0, "%s",
                  err.message);
    ck_assert_uint_eq(message.kind, COMMITLOG_KIND_TRANSACTION);
    ck_assert_uint_eq(message.transaction, deal->id);
    check_body(&message, (uint32_t)(deal - deals), index, place);
    commitlog_lease_release(lease);
    figures.moved += part.position >= deal->parts[index].end ? 1 : 0;
    return message.next_position - message.position;
}

static inline void check_deal(struct deal *deal, const struct commitlog_transaction_info *info)
{
    struct commitlog_transaction_message part = {.struct_bytes = sizeof(part)};
    const uint32_t number = (uint32_t)(deal - deals);
    const char *name = producer_names[deal->producer];
    uint32_t offset_groups = 0;
    uint64_t bytes = 0;
    ck_assert_msg(deal_is_open(deal), "transaction %u is listed in state %u", number, deal->state);
    ck_assert_uint_eq(info->prepared, deal->state == DEAL_PREPARED ? 1 : 0);
    ck_assert_msg(info->messages == deal->count, "transaction %u has %u messages, not %u", number,
                  info->messages, deal->count);
    ck_assert(info->group_bytes == strlen(name) && strcmp(info->group, name) == 0);
    check_span(&deal->begins, info->begin_ms, "begins", number);
    check_span(&deal->expires, info->expires_at_ms, "expires", number);
    for (uint32_t g = 0; g < GROUPS; g++) {
        bool some = false;
        for (uint32_t p = 0; p < PLACES; p++) {
            some = some || deal->offsets[g][p] != UINT64_MAX;
        }
        offset_groups += some ? 1 : 0;
    }
    ck_assert(deal->state != DEAL_PREPARED || info->offset_groups == offset_groups);
    for (uint32_t i = 0; i < deal->count; i++) {
        bytes += check_part(deal, i);
    }
    ck_assert_uint_eq(info->bytes, bytes);
    ck_assert_int_eq(commitlog_transaction_message(store, deal->id, deal->count, &part),
                     COMMITLOG_ENOTFOUND);
}

static inline void check_open(void)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    uint32_t expected = 0;
    uint32_t listed = 0;
    uint64_t after = 0;
    for (uint32_t i = 1; i <= deal_count; i++) {
        expected += deal_is_open(&deals[i]) ? 1 : 0;
    }
    while (commitlog_transaction_next(store, after, &info) == COMMITLOG_OK) {
        struct deal *deal = NULL;
        for (uint32_t i = 1; i <= deal_count; i++) { /* its place may have been another's before */
            deal = deals[i].id == info.transaction ? &deals[i] : deal;
        }
        ck_assert_msg(deal != NULL, "who is %llu?", (unsigned long long)info.transaction);
        check_deal(deal, &info);
        ck_assert_uint_gt(info.transaction, after);
        after = info.transaction;
        listed++;
    }
    ck_assert_msg(listed == expected, "%u are open, not %u", listed, expected);
}

static inline void check_groups(void)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t p = 0; p < PLACES; p++) {
            struct commitlog_group_offset offset = {.topic = topics[place_topic(p)],
                                                    .queue = place_queue(p)};
            const uint64_t expected = committed_offset(g, p);
            ck_assert_int_eq(commitlog_group_fetch(groups[g], &offset, 1, &err), 0);
            ck_assert_msg(offset.offset == expected, "group %u has %lld of queue %u, not %lld", g,
                          (long long)offset.offset, p, (long long)expected);
        }
    }
}

static inline void check_all(void)
{
    seen_count = 0;
    for (uint32_t p = 0; p < PLACES; p++) {
        check_place(p);
    }
    for (uint32_t t = 0; t < TOPICS; t++) {
        check_log_order(t);
        check_key(t, draw(KEYS));
    }
    check_open();
    check_groups();
}

#endif
