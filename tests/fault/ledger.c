/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.c -- see ledger.h. */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

static char ledger_text[400];

void ledger_where(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(ledger_text, sizeof(ledger_text), format, args);
    va_end(args);
}

const char *ledger_place(void)
{
    return ledger_text;
}

void ledger_begin(struct ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
    for (uint32_t i = 0; i < LEDGER_TOPICS; i++) {
        ledger->topics[i].end = UINT64_MAX;
    }
}

const char *ledger_topic_name(uint32_t topic, size_t *out_bytes)
{
    static const char *const names[LEDGER_TOPICS] = {"alpha", "beta",    "gamma",
                                                     "delta", "epsilon", "zeta"};
    *out_bytes = strlen(names[topic]);
    return names[topic];
}

const char *ledger_key_name(uint32_t key, size_t *out_bytes)
{
    static const char *const names[LEDGER_KEYS + 1] = {"", "one", "two", "three"};
    *out_bytes = strlen(names[key]);
    return names[key];
}

void ledger_body(struct ledger *ledger, void *out, size_t bytes)
{
    bytes_fill(out, bytes, ++ledger->made);
}

void ledger_store(struct ledger *ledger, const struct commitlog_receipt *receipt,
                  const struct ledger_item *content)
{
    CHECKF(ledger->count < LEDGER_ITEMS, "%s", ledger_place());
    struct ledger_item *item = &ledger->items[ledger->count++];
    struct ledger_topic *topic = &ledger->topics[content->topic];
    *item = *content;
    item->position = receipt->position;
    item->end = receipt->end_position;
    item->offset = receipt->queue_offset;
    item->seen = false;
    CHECKF(item->offset == topic->next[item->queue], "%s: offset %llu of topic %u, not %llu",
           ledger_place(), (ull)item->offset, item->topic, (ull)topic->next[item->queue]);
    topic->next[item->queue]++;
    CHECKF(item->end > item->position, "%s", ledger_place());
    CHECKF(ledger->count < 2 || item->position > item[-1].position, "%s: position %llu behind %llu",
           ledger_place(), (ull)item->position, (ull)item[-1].position);
    CHECKF(receipt->epoch >= ledger->epoch, "%s: epoch %u", ledger_place(), receipt->epoch);
}

void ledger_reached(struct ledger *ledger, uint64_t end, uint32_t level)
{
    ledger->stored = end > ledger->stored ? end : ledger->stored;
    if (level >= COMMITLOG_LEVEL_WRITTEN && end > ledger->written) {
        ledger->written = end;
    }
    if (level >= COMMITLOG_LEVEL_DURABLE && end > ledger->durable) {
        ledger->durable = end;
    }
}

void ledger_settled(struct ledger *ledger)
{
    uint64_t end = ledger->stored;
    if (ledger->count > 0 && ledger->items[ledger->count - 1].end > end) {
        end = ledger->items[ledger->count - 1].end;
    }
    for (uint32_t i = 0; i < LEDGER_TOPICS; i++) {
        uint64_t topic = ledger->topics[i].end;
        end = topic != UINT64_MAX && topic > end ? topic : end;
    }
    ledger_reached(ledger, end, COMMITLOG_LEVEL_DURABLE);
}

static struct ledger_item *ledger_find(struct ledger *ledger, uint32_t topic, uint32_t queue,
                                       uint64_t offset)
{
    for (uint32_t i = ledger->count; i > 0; i--) {
        struct ledger_item *item = &ledger->items[i - 1];
        if (item->topic == topic && item->queue == queue && item->offset == offset) {
            return item;
        }
    }
    return NULL;
}

static void ledger_match(struct ledger *ledger, uint32_t topic,
                         const struct commitlog_message *message)
{
    struct ledger_item *item = ledger_find(ledger, topic, message->queue, message->queue_offset);
    CHECKF(item != NULL, "%s: topic %u queue %u offset %llu at %llu was never appended",
           ledger_place(), topic, message->queue, (ull)message->queue_offset,
           (ull)message->position);
    CHECKF(item->state == LEDGER_MESSAGE, "%s: what was never committed is read at %llu",
           ledger_place(), (ull)message->position);
    CHECKF(!item->seen, "%s: %llu twice", ledger_place(), (ull)message->position);
    CHECKF(item->position == message->position, "%s: offset %llu at %llu, appended at %llu",
           ledger_place(), (ull)item->offset, (ull)message->position, (ull)item->position);
    CHECKF(item->bytes == message->body.bytes &&
               item->hash == bytes_hash(message->body.data, message->body.bytes),
           "%s: the body at %llu differs", ledger_place(), (ull)item->position);
    CHECKF(message->key_count == (item->key != 0 ? 1u : 0u), "%s: keys at %llu", ledger_place(),
           (ull)item->position);
    item->seen = true;
}

/* Reads one queue to its end; the status that ended it. */
static int32_t ledger_walk(struct ledger *ledger, struct commitlog_store *store, uint32_t number,
                           uint32_t topic, uint32_t queue, uint64_t *out_bound)
{
    struct commitlog_message messages[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint64_t before = UINT64_MAX;
    int64_t time = INT64_MIN;
    int32_t rc =
        commitlog_cursor_open(store, number, queue, COMMITLOG_FROM_FIRST, 0, &cursor, NULL);
    while (rc == COMMITLOG_OK) {
        rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, out_bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            CHECKF(before == UINT64_MAX || messages[i].queue_offset > before, "%s: order",
                   ledger_place());
            CHECKF(messages[i].store_time_ns >= time, "%s: store time goes back", ledger_place());
            before = messages[i].queue_offset;
            time = messages[i].store_time_ns;
            ledger_match(ledger, topic, &messages[i]);
        }
    }
    commitlog_cursor_close(cursor);
    return rc;
}

static void ledger_unsee(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        ledger->items[i].seen = false;
    }
}

int32_t ledger_glance(struct ledger *ledger, struct commitlog_store *store)
{
    int32_t worst = COMMITLOG_OK;
    ledger_unsee(ledger);
    for (uint32_t topic = 0; worst == COMMITLOG_OK && topic < LEDGER_TOPICS; topic++) {
        uint32_t number = 0;
        size_t bytes;
        const char *name = ledger_topic_name(topic, &bytes);
        int32_t rc = commitlog_topic_open(store, name, bytes, 0, &number, NULL);
        for (uint32_t queue = 0; rc == COMMITLOG_OK && queue < LEDGER_QUEUES; queue++) {
            uint64_t bound = 0;
            rc = ledger_walk(ledger, store, number, topic, queue, &bound);
            rc = rc == COMMITLOG_EEND ? COMMITLOG_OK : rc;
        }
        worst = rc == COMMITLOG_ENOTFOUND ? worst : rc;
    }
    return worst;
}

/* ---- the comparison ------------------------------------------------------------------------ */

static uint64_t ledger_required(const struct ledger *ledger, enum ledger_claim claim)
{
    switch (claim) {
    case LEDGER_LIVE:
    case LEDGER_KILLED:
        return ledger->stored;
    case LEDGER_PRIVATE:
        return ledger->written;
    case LEDGER_POWER_CUT:
        break;
    }
    return ledger->durable;
}

/* Every offset that is kept is there; what is not is behind all that is. */
static void compare_queue(struct ledger *ledger, uint32_t topic, uint32_t queue,
                          const struct commitlog_queue_info *info, uint64_t first,
                          uint64_t required)
{
    struct ledger_topic *own = &ledger->topics[topic];
    uint64_t lowest = info->next_offset;
    CHECKF(info->first_offset <= info->next_offset && info->next_offset <= own->next[queue],
           "%s: topic %u queue %u has offsets %llu to %llu, appended were %llu", ledger_place(),
           topic, queue, (ull)info->first_offset, (ull)info->next_offset, (ull)own->next[queue]);
    for (uint32_t i = 0; i < ledger->count; i++) {
        const struct ledger_item *item = &ledger->items[i];
        if (item->topic != topic || item->queue != queue) {
            continue;
        }
        bool kept = item->offset < info->next_offset;
        CHECKF(kept || item->end > required, "%s: lost: topic %u queue %u offset %llu at %llu",
               ledger_place(), topic, queue, (ull)item->offset, (ull)item->position);
        if (item->position < first) {
            CHECKF(!item->seen, "%s: %llu is before the first", ledger_place(),
                   (ull)item->position);
            continue;
        }
        lowest = item->offset < lowest ? item->offset : lowest;
        CHECKF(!kept || item->seen || item->state != LEDGER_MESSAGE,
               "%s: missing in the middle: topic %u queue %u offset %llu at %llu", ledger_place(),
               topic, queue, (ull)item->offset, (ull)item->position);
    }
    CHECKF(info->first_offset == lowest, "%s: topic %u queue %u begins at %llu, not %llu",
           ledger_place(), topic, queue, (ull)info->first_offset, (ull)lowest);
    own->next[queue] = info->next_offset;
}

static bool compare_topic(struct ledger *ledger, struct commitlog_store *store, uint32_t topic,
                          uint64_t first, uint64_t required)
{
    struct ledger_topic *own = &ledger->topics[topic];
    struct commitlog_error err = {0};
    uint32_t number = 0;
    size_t bytes;
    const char *name = ledger_topic_name(topic, &bytes);
    int32_t rc = commitlog_topic_open(store, name, bytes, 0, &number, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        CHECKF(own->end > required, "%s: topic %u is lost", ledger_place(), topic);
        for (uint32_t i = 0; i < ledger->count; i++) {
            CHECKF(ledger->items[i].topic != topic || ledger->items[i].end > required,
                   "%s: topic %u is lost, and the record at %llu", ledger_place(), topic,
                   (ull)ledger->items[i].position);
        }
        memset(own->next, 0, sizeof(own->next));
        return false;
    }
    CHECKF(rc == COMMITLOG_OK, "%s: topic %u: %s", ledger_place(), topic, err.message);
    for (uint32_t queue = 0; queue < LEDGER_QUEUES; queue++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        uint64_t bound = 0;
        rc = ledger_walk(ledger, store, number, topic, queue, &bound);
        CHECKF(rc == COMMITLOG_EEND, "%s: topic %u queue %u ends with %s", ledger_place(), topic,
               queue, commitlog_error_name(rc));
        CHECK_RC(commitlog_queue_info(store, number, queue, &info), COMMITLOG_OK);
        CHECKF(info.next_offset == bound, "%s: two ends of a queue", ledger_place());
        compare_queue(ledger, topic, queue, &info, first, required);
    }
    return true;
}

/* The log is a prefix of what was stored, and a batch is there whole or not at all. */
static void compare_order(struct ledger *ledger, uint64_t first)
{
    const struct ledger_item *missing = NULL;
    for (uint32_t i = 0; i < ledger->count; i++) {
        const struct ledger_item *item = &ledger->items[i];
        bool kept = item->offset < ledger->topics[item->topic].next[item->queue];
        if (item->position < first) {
            continue;
        }
        CHECKF(!kept || missing == NULL, "%s: %llu is there, %llu before it is not", ledger_place(),
               (ull)item->position, missing == NULL ? 0 : (ull)missing->position);
        if (i > 0 && item->batch != 0 && item[-1].batch == item->batch) {
            CHECKF(kept == (missing == NULL), "%s: a part of the batch at %llu", ledger_place(),
                   (ull)item->position);
        }
        missing = missing == NULL && !kept ? item : missing;
    }
}

static void compare_keys(struct ledger *ledger, struct commitlog_store *store, uint64_t first)
{
    uint32_t number = 0;
    size_t bytes;
    const char *name = ledger_topic_name(0, &bytes);
    if (commitlog_topic_open(store, name, bytes, 0, &number, NULL) != COMMITLOG_OK) {
        return;
    }
    for (uint8_t key = 1; key <= LEDGER_KEYS; key++) {
        struct commitlog_message messages[16];
        struct commitlog_cursor *cursor = NULL;
        uint32_t count = 0;
        uint32_t at = ledger->count;
        const char *text = ledger_key_name(key, &bytes);
        CHECK_RC(commitlog_cursor_open_key(store, number, text, bytes, INT64_MIN, INT64_MAX,
                                           &cursor, NULL),
                 COMMITLOG_OK);
        while (commitlog_cursor_fetch(cursor, messages, 16, 0, &count, NULL) == COMMITLOG_OK) {
            for (uint32_t i = 0; i < count; i++) {
                while (at > 0 && (ledger->items[at - 1].key != key || !ledger->items[at - 1].seen ||
                                  ledger->items[at - 1].topic != 0)) {
                    at--;
                }
                CHECKF(at > 0 && ledger->items[at - 1].position == messages[i].position,
                       "%s: key %u finds %llu", ledger_place(), key, (ull)messages[i].position);
                at--;
            }
        }
        commitlog_cursor_close(cursor);
        for (; at > 0; at--) {
            const struct ledger_item *item = &ledger->items[at - 1];
            CHECKF(item->key != key || !item->seen || item->topic != 0 || item->position < first,
                   "%s: key %u misses %llu", ledger_place(), key, (ull)item->position);
        }
    }
}

/* The log as it lies has these messages and no others. */
static void compare_log(struct ledger *ledger, struct commitlog_store *store)
{
    struct commitlog_message messages[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint32_t found = 0;
    uint32_t seen = 0;
    uint64_t position = 0;
    int64_t time = INT64_MIN;
    CHECK_RC(commitlog_cursor_open_log(store, 0, &cursor, NULL), COMMITLOG_OK);
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, NULL)) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            found += messages[i].kind == COMMITLOG_KIND_MESSAGE;
            CHECKF(messages[i].position >= position && messages[i].store_time_ns >= time,
                   "%s: the log is out of order at %llu", ledger_place(),
                   (ull)messages[i].position);
            position = messages[i].position;
            time = messages[i].store_time_ns;
        }
    }
    commitlog_cursor_close(cursor);
    CHECKF(rc == COMMITLOG_EEND, "%s: the log ends with %s", ledger_place(),
           commitlog_error_name(rc));
    for (uint32_t i = 0; i < ledger->count; i++) {
        seen += ledger->items[i].seen;
    }
    CHECKF(found == seen, "%s: %u messages in the log, %u in the queues", ledger_place(), found,
           seen);
}

/* What the crash took is forgotten; a reservation that it ended has become a hole. */
static void ledger_trim(struct ledger *ledger)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ledger->count; i++) {
        struct ledger_item *item = &ledger->items[i];
        if (item->offset < ledger->topics[item->topic].next[item->queue]) {
            item->state = item->state == LEDGER_RESERVED ? LEDGER_HOLE : item->state;
            ledger->items[count++] = *item;
        }
    }
    ledger->count = count;
}

void ledger_compare(struct ledger *ledger, struct commitlog_store *store, enum ledger_claim claim)
{
    uint64_t required = ledger_required(ledger, claim);
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    CHECK_RC(commitlog_positions_get(store, &at), COMMITLOG_OK);
    CHECKF(commitlog_damage_get(store, 0, &damage) == COMMITLOG_ENOTFOUND,
           "%s: a crash is called damage: %s", ledger_place(), damage.reason);
    CHECKF(at.claimed >= required, "%s: the log ends at %llu, acknowledged was %llu",
           ledger_place(), (ull)at.claimed, (ull)required);
    CHECKF(at.first >= ledger->first && (at.first == ledger->first ||
                                         at.first <= ledger->first_allowed || ledger->first == 0),
           "%s: the log begins at %llu, it was %llu and at most %llu was to go", ledger_place(),
           (ull)at.first, (ull)ledger->first, (ull)ledger->first_allowed);
    CHECKF(claim == LEDGER_LIVE ? at.epoch >= ledger->epoch : at.epoch > ledger->epoch,
           "%s: epoch %u after %u", ledger_place(), at.epoch, ledger->epoch);
    ledger_unsee(ledger);
    bool found[LEDGER_TOPICS];
    for (uint32_t topic = 0; topic < LEDGER_TOPICS; topic++) {
        found[topic] = compare_topic(ledger, store, topic, at.first, required);
    }
    compare_order(ledger, at.first);
    compare_keys(ledger, store, at.first);
    compare_log(ledger, store);
    ledger->first = at.first;
    ledger->epoch = at.epoch;
    if (claim == LEDGER_LIVE) {
        return;
    }
    ledger_trim(ledger);
    ledger->stored = ledger->written = ledger->durable = at.published;
    for (uint32_t topic = 0; topic < LEDGER_TOPICS; topic++) {
        ledger->topics[topic].end = found[topic] ? at.published : UINT64_MAX;
    }
}
