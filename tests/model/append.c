/* SPDX-License-Identifier: BSD-2-Clause */
/* append.c -- every way to append, and calls that must change nothing; see session.h. */
#include <string.h>

#include "session.h"

typedef unsigned long long ull;

static uint64_t draw_size(struct rng *rng)
{
    switch (rng_below(rng, 20)) {
    case 0:
    case 1:
    case 2:
        return 0;
    case 3:
        return rng_between(rng, 1, 8);
    case 4:
    case 5:
        return rng_between(rng, 1000, 4000);
    case 6:
        return rng_between(rng, 4000, 30000);
    default:
        return rng_between(rng, 1, 300);
    }
}

static void draw_item(struct session *session, struct item *item, uint64_t size_max)
{
    struct rng *rng = &session->rng;
    const struct model_topic *topic = NULL;
    memset(item, 0, sizeof *item);
    item->topic = (uint32_t)rng_below(rng, session->model->topic_count);
    topic = &session->model->topics[item->topic];
    /* Half of the records go to queue 0, so that other queues are idle for long. */
    item->queue = rng_chance(rng, 1, 2) ? 0 : (uint32_t)rng_below(rng, topic->queues);
    item->content = rng_next(rng);
    item->body_bytes = draw_size(rng);
    if (item->body_bytes > size_max)
        item->body_bytes = rng_below(rng, size_max + 1);
    item->offset = topic->queue[item->queue].count;
    item->position = MODEL_UNKNOWN;
    item->time = INT64_MIN;
    item->state = ITEM_MESSAGE;
}

static uint32_t draw_level(struct session *session)
{
    static const uint32_t levels[] = {COMMITLOG_LEVEL_NONE,    COMMITLOG_LEVEL_NONE,
                                      COMMITLOG_LEVEL_NONE,    COMMITLOG_LEVEL_NONE,
                                      COMMITLOG_LEVEL_WRITTEN, COMMITLOG_LEVEL_WRITTEN};
    uint64_t draw = rng_below(&session->rng, 16);
    if (draw < 12)
        return levels[draw % 6];
    if (draw < 14 && session->options.flush != COMMITLOG_FLUSH_SYNC)
        return COMMITLOG_LEVEL_DEFAULT;
    return draw == 15 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
}

static uint32_t level_wanted(const struct session *session, uint32_t level)
{
    if (level != COMMITLOG_LEVEL_DEFAULT)
        return level;
    return session->options.flush == COMMITLOG_FLUSH_SYNC ? COMMITLOG_LEVEL_DURABLE
                                                          : COMMITLOG_LEVEL_NONE;
}

/* Takes a receipt over into the item; checks what it claims. */
static void receive(struct session *session, struct item *item, uint32_t wanted, int32_t rc,
                    const struct commitlog_receipt *receipt)
{
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    CHECKF(receipt->queue_offset == item->offset, "queue offset %llu, expected %llu",
           (ull)receipt->queue_offset, (ull)item->offset);
    CHECK(receipt->end_position > receipt->position);
    CHECK(receipt->position >= session->model->first && receipt->position % 8 == 0);
    CHECK(receipt->epoch > session->epoch_before);
    CHECK(session->epoch == 0 || session->epoch == receipt->epoch);
    CHECK(rc == COMMITLOG_OK ? receipt->level >= wanted : receipt->level < wanted);
    session->epoch = receipt->epoch;
    item->position = receipt->position;
    item->end = receipt->end_position;
    item->time = receipt->store_time_ns;
    item->epoch = receipt->epoch;
    item->state = ITEM_MESSAGE;
    CHECK_RC(commitlog_positions_get(session->store, &now), COMMITLOG_OK);
    CHECK(now.claimed >= receipt->end_position);
    if (receipt->level >= COMMITLOG_LEVEL_WRITTEN)
        CHECK(now.written >= receipt->end_position);
    if (receipt->level >= COMMITLOG_LEVEL_DURABLE)
        CHECK(now.durable >= receipt->end_position);
}

/* The index right behind the item is safe once the level says at least written. */
static void note_level(struct session *session, uint32_t count, uint32_t level)
{
    if (level >= COMMITLOG_LEVEL_WRITTEN)
        model_safe(session->model, count, false);
}

/* A claim that is still open holds back all levels but none of what comes behind it, and in the
 * end the room. `index`: of the item in the log. */
static bool acceptable(const struct session *session, uint32_t index, uint32_t wanted, int32_t rc)
{
    bool held = model_published(session->model) < index;
    if (rc == COMMITLOG_OK)
        return !held || wanted == COMMITLOG_LEVEL_NONE;
    return held && (rc == COMMITLOG_ETIMEDOUT ||
                    (rc == COMMITLOG_EUNKNOWN && wanted > COMMITLOG_LEVEL_NONE));
}

static int32_t draw_timeout(struct session *session, uint32_t index)
{
    bool held = model_published(session->model) < index;
    return held ? (int32_t)rng_below(&session->rng, 3) : COMMITLOG_FOREVER;
}

/* The queue that the library chose: told by reading the record back. */
static void find_queue(struct session *session, struct item *item,
                       const struct commitlog_receipt *receipt)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_get(session->store, receipt->position, &message, &lease, &err), &err);
    CHECK(message.queue < session->model->topics[item->topic].queues);
    item->queue = message.queue;
    item->offset = session->model->topics[item->topic].queue[item->queue].count;
    commitlog_lease_release(lease);
}

static int32_t append_plain(struct session *session, struct item *item, uint32_t level,
                            struct commitlog_receipt *receipt)
{
    struct content content;
    int32_t rc = 0;
    item->content &= ~(uint64_t)1;
    content_make(&content, item->content, (size_t)item->body_bytes);
    rc = commitlog_append(session->store, session->reader.numbers[item->topic], item->queue,
                          content.body_bytes > 0 ? content.body : NULL, content.body_bytes, level,
                          receipt);
    memset(content.body, 0xdd, content.body_bytes);
    content_free(&content);
    return rc;
}

void session_append(struct session *session)
{
    struct item item;
    struct content content;
    struct commitlog_record record;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    uint32_t level = draw_level(session);
    uint32_t wanted = level_wanted(session, level);
    bool automatic = session->pending_count == 0 && rng_chance(&session->rng, 1, 6) &&
                     session->options.visibility == COMMITLOG_VISIBLE_PUBLISHED;
    int32_t rc = 0;
    draw_item(session, &item, 40000);
    if (session->pending_count == 0 && !automatic && rng_chance(&session->rng, 1, 2)) {
        rc = append_plain(session, &item, level, &receipt);
    } else {
        content_make(&content, item.content, (size_t)item.body_bytes);
        content_record(&content, session->reader.numbers[item.topic],
                       automatic ? COMMITLOG_QUEUE_AUTO : item.queue, level, &record);
        rc = commitlog_append_record(session->store, &record,
                                     draw_timeout(session, session->model->count), &receipt, &err);
        memset(content.body, 0xdd, content.body_bytes);
        content_free(&content);
    }
    CHECKF(acceptable(session, session->model->count, wanted, rc), "%s: %s",
           commitlog_error_name(rc), err.message);
    if (rc == COMMITLOG_ETIMEDOUT)
        return;
    if (automatic)
        find_queue(session, &item, &receipt);
    receive(session, &item, wanted, rc, &receipt);
    (void)model_item_add(session->model, &item);
    note_level(session, session->model->count, receipt.level);
}

enum { BATCH_MAX = 20 };

static void batch_receive(struct session *session, struct item *items, uint32_t count,
                          uint32_t wanted, int32_t rc, const struct commitlog_receipt *receipts)
{
    uint32_t lowest = COMMITLOG_LEVEL_DURABLE;
    for (uint32_t i = 0; i < count; i++) {
        /* Offsets of this batch's earlier members count. */
        items[i].offset = session->model->topics[items[i].topic].queue[items[i].queue].count;
        items[i].batch = session->model->batches + (i == 0);
        receive(session, &items[i], wanted, rc, &receipts[i]);
        if (i > 0) {
            CHECK(receipts[i].position > receipts[i - 1].position);
            CHECK(receipts[i].store_time_ns >= receipts[i - 1].store_time_ns);
        }
        (void)model_item_add(session->model, &items[i]);
        if (receipts[i].level < lowest)
            lowest = receipts[i].level;
    }
    note_level(session, session->model->count, lowest);
}

void session_batch(struct session *session)
{
    struct item items[BATCH_MAX];
    struct content contents[BATCH_MAX];
    struct commitlog_record records[BATCH_MAX];
    struct commitlog_receipt receipts[BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count =
        (uint32_t)rng_between(&session->rng, 1, rng_chance(&session->rng, 1, 5) ? BATCH_MAX : 6);
    uint32_t wanted = COMMITLOG_LEVEL_NONE;
    int32_t rc = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t level = draw_level(session);
        draw_item(session, &items[i], 20000 / count);
        content_make(&contents[i], items[i].content, (size_t)items[i].body_bytes);
        content_record(&contents[i], session->reader.numbers[items[i].topic], items[i].queue, level,
                       &records[i]);
        if (level_wanted(session, level) > wanted)
            wanted = level_wanted(session, level);
    }
    rc = commitlog_append_batch(session->store, records, count,
                                draw_timeout(session, session->model->count), receipts, &err);
    for (uint32_t i = 0; i < count; i++)
        content_free(&contents[i]);
    CHECKF(acceptable(session, session->model->count, wanted, rc), "%s: %s",
           commitlog_error_name(rc), err.message);
    if (rc == COMMITLOG_ETIMEDOUT)
        return;
    batch_receive(session, items, count, wanted, rc, receipts);
}

void session_reserve(struct session *session)
{
    struct pending *pending = &session->pending[session->pending_count];
    struct content content;
    struct commitlog_record record;
    struct commitlog_error err = {.message = ""};
    uint64_t quarter = session->options.stage / 4;
    bool private_memory = session->options.engine == COMMITLOG_ENGINE_STAGED && quarter < 30000 &&
                          rng_chance(&session->rng, 1, 4);
    int32_t rc = 0;
    if (session->pending_count == SESSION_PENDING_MAX)
        return;
    memset(pending, 0, sizeof *pending);
    draw_item(session, &pending->item, quarter < 4000 ? quarter : 4000);
    if (private_memory)
        pending->item.body_bytes = rng_between(&session->rng, quarter + 1, 31000);
    pending->item.state = ITEM_PENDING;
    pending->level = draw_level(session);
    content_make(&content, pending->item.content, (size_t)pending->item.body_bytes);
    content_record(&content, session->reader.numbers[pending->item.topic], pending->item.queue,
                   pending->level, &record);
    rc = commitlog_reserve(session->store, &record, content.body_bytes,
                           draw_timeout(session, session->model->count), &pending->reservation,
                           &pending->body, &err);
    content_free(&content);
    if (rc == COMMITLOG_ETIMEDOUT && model_pending(session->model) > 0)
        return;
    CHECK_OK(rc, &err);
    CHECK(pending->reservation != NULL && pending->body != NULL);
    pending->index = UINT32_MAX;
    if (!private_memory)
        pending->index = model_item_add(session->model, &pending->item);
    session->pending_count++;
}

static void end_commit(struct session *session, struct pending *pending)
{
    struct content content;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    uint32_t wanted = level_wanted(session, pending->level);
    struct item item = pending->item;
    int32_t rc = 0;
    content_make(&content, item.content, (size_t)item.body_bytes);
    if (content.body_bytes > 0)
        memcpy(pending->body, content.body, content.body_bytes);
    content_free(&content);
    rc = commitlog_commit(pending->reservation,
                          draw_timeout(session, pending->index == UINT32_MAX ? session->model->count
                                                                             : pending->index),
                          &receipt, &err);
    if (pending->index == UINT32_MAX) {
        CHECKF(acceptable(session, session->model->count, wanted, rc), "%s: %s",
               commitlog_error_name(rc), err.message);
        if (rc == COMMITLOG_ETIMEDOUT)
            return;
        item.offset = session->model->topics[item.topic].queue[item.queue].count;
        receive(session, &item, wanted, rc, &receipt);
        pending->index = model_item_add(session->model, &item);
    } else {
        CHECKF(rc != COMMITLOG_ETIMEDOUT && acceptable(session, pending->index, wanted, rc),
               "%s: %s", commitlog_error_name(rc), err.message);
        receive(session, &item, wanted, rc, &receipt);
        model_item_end(session->model, pending->index, &item);
    }
    note_level(session, pending->index + 1, receipt.level);
}

void session_end_one(struct session *session)
{
    struct pending pending;
    uint32_t which = 0;
    if (session->pending_count == 0)
        return;
    which = (uint32_t)rng_below(&session->rng, session->pending_count);
    pending = session->pending[which];
    /* Ended from here on: what this call waits for are the others. */
    session->pending[which] = session->pending[--session->pending_count];
    if (rng_chance(&session->rng, 2, 3)) {
        end_commit(session, &pending);
        return;
    }
    if (pending.item.body_bytes > 0)
        memset(pending.body, 0xab, (size_t)pending.item.body_bytes);
    CHECK_RC(commitlog_abort(pending.reservation), COMMITLOG_OK);
    if (pending.index != UINT32_MAX) {
        pending.item.state = ITEM_HOLE;
        model_item_end(session->model, pending.index, &pending.item);
    }
}

void session_sync(struct session *session)
{
    struct commitlog_error err = {.message = ""};
    uint32_t published = model_published(session->model);
    uint64_t position = UINT64_MAX;
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    if (published > 0 && rng_chance(&session->rng, 1, 2)) {
        const struct item *item = &session->model->items[published - 1];
        if (item->state == ITEM_MESSAGE)
            position = item->end;
    }
    CHECK_OK(commitlog_sync(session->store, position, COMMITLOG_FOREVER, &err), &err);
    CHECK_RC(commitlog_positions_get(session->store, &now), COMMITLOG_OK);
    CHECK(now.durable >= (position == UINT64_MAX ? session->seen.published : position));
    model_safe(session->model, published,
               position == UINT64_MAX && published == session->model->count);
    if (position != UINT64_MAX)
        CHECK_RC(commitlog_wait_durable(session->store, position, 0), COMMITLOG_OK);
    CHECK_RC(commitlog_sync(session->store, now.claimed + (1U << 20), 0, &err), COMMITLOG_EBEYOND);
}

/* What a newer program set and this library does not know. */
static void refuse_newer(struct session *session, const struct commitlog_record *record)
{
    struct {
        struct commitlog_record record;
        uint64_t unknown;
    } newer = {*record, 1};
    struct commitlog_receipt receipt;
    struct commitlog_error err = {.message = ""};
    newer.record.struct_bytes = sizeof newer;
    CHECK_RC(commitlog_append_record(session->store, &newer.record, 0, &receipt, &err),
             COMMITLOG_EINVAL);
}

/* Calls that must fail and change nothing: the next comparison would notice. */
void session_refused(struct session *session)
{
    static const uint8_t some[300000];
    struct commitlog_slice body = {some, 10};
    struct commitlog_slice key = {some, 0};
    struct commitlog_record record;
    struct commitlog_receipt receipt;
    struct commitlog_receipt before;
    struct commitlog_error err = {.message = ""};
    uint32_t number = session->reader.numbers[0];
    uint32_t queues = session->model->topics[0].queues;
    memset(&record, 0, sizeof record);
    memset(&receipt, 0x5a, sizeof receipt);
    before = receipt;
    record.struct_bytes = sizeof record;
    record.topic = number;
    record.body = &body;
    record.body_count = 1;
    record.level = COMMITLOG_LEVEL_NONE;
    switch (rng_below(&session->rng, 8)) {
    case 0:
        CHECK_RC(commitlog_append(session->store, number, queues, some, 1, COMMITLOG_LEVEL_NONE,
                                  &receipt),
                 COMMITLOG_EINVAL);
        break;
    case 1:
        CHECK_RC(commitlog_append(session->store, number, 0, some, sizeof some,
                                  COMMITLOG_LEVEL_NONE, &receipt),
                 COMMITLOG_ETOOBIG);
        break;
    case 2:
        record.topic = 1000;
        goto invalid;
    case 3:
        record.level = 4;
        goto invalid;
    case 4:
        refuse_newer(session, &record);
        break;
    case 5:
        record.keys = &key;
        record.key_count = 1;
        key.bytes = 70000;
        CHECK_RC(commitlog_append_record(session->store, &record, 0, &receipt, &err),
                 COMMITLOG_ETOOBIG);
        CHECK(err.code == COMMITLOG_ETOOBIG);
        break;
    case 6: {
        struct commitlog_record two[2] = {record, record};
        two[1].queue = queues + 3;
        CHECK_RC(commitlog_append_batch(session->store, two, 2, 0, NULL, &err), COMMITLOG_EINVAL);
        CHECK_RC(commitlog_append_batch(session->store, two, 0, 0, NULL, &err), COMMITLOG_EINVAL);
        break;
    }
    default: {
        struct commitlog_record two[3] = {record, record, record};
        body.bytes = 250000;
        CHECK_RC(commitlog_append_batch(session->store, two, 3, 0, NULL, &err), COMMITLOG_ETOOBIG);
        break;
    }
    }
    CHECK(memcmp(&before, &receipt, sizeof receipt) == 0);
    return;
invalid:
    CHECK_RC(commitlog_append_record(session->store, &record, 0, &receipt, &err), COMMITLOG_EINVAL);
    CHECK(err.code == COMMITLOG_EINVAL && err.message[0] != '\0');
    CHECK(memcmp(&before, &receipt, sizeof receipt) == 0);
}
