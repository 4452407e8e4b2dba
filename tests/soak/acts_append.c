/* SPDX-License-Identifier: BSD-2-Clause */
/* acts_append.c -- every way to append, at random; see writer.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "writer.h"

typedef unsigned long long ull;

enum { SMALL_BODY = 300, BATCH_BODY = 4000 };

struct draft {
    struct item item;
    uint32_t number;
    uint32_t queue;  /* where it goes */
    uint32_t wanted; /* what the library is told: the same, or COMMITLOG_QUEUE_AUTO */
    uint32_t level;
};

static uint32_t level_draw(struct rng *rng)
{
    uint64_t draw = rng_below(rng, 40);
    return draw == 0   ? COMMITLOG_LEVEL_DURABLE
           : draw == 1 ? COMMITLOG_LEVEL_DEFAULT
           : draw < 10 ? COMMITLOG_LEVEL_WRITTEN
                       : COMMITLOG_LEVEL_NONE;
}

static int32_t timeout_draw(struct rng *rng)
{
    return rng_chance(rng, 3, 4) ? COMMITLOG_FOREVER : (int32_t)rng_below(rng, 30);
}

static size_t bytes_draw(struct rng *rng, size_t limit)
{
    if (rng_chance(rng, 1, 30))
        return (size_t)rng_between(rng, SMALL_BODY, limit);
    return (size_t)rng_between(rng, sizeof(struct item_head), SMALL_BODY);
}

/* Mostly the wide topics; the others now and then, which leaves queues idle for long. */
static uint32_t topic_draw(struct worker *worker, uint32_t *out_number)
{
    struct seat *seat = &worker->writer->seat;
    struct commitlog_error err = {.message = ""};
    uint32_t topic = rng_chance(&worker->rng, 1, 12)
                         ? (uint32_t)rng_between(&worker->rng, BOOK_WIDE, BOOK_TOPICS - 1)
                         : (uint32_t)rng_below(&worker->rng, BOOK_WIDE);
    if ((worker->writer->plan.topics >> topic & 1) == 0)
        topic = 0;
    *out_number = seat_number(seat, topic);
    if (*out_number == UINT32_MAX) {
        char name[32];
        size_t size = book_name(topic, name);
        CHECK_OK(
            commitlog_topic_open(seat->store, name, size, book_queues(topic), out_number, &err),
            &err);
        CHECK_RC(commitlog_topic_open(seat->store, name, size, BOOK_QUEUES + 1, out_number, NULL),
                 COMMITLOG_EEXIST);
        atomic_store(&seat->numbers[topic], *out_number);
    }
    return topic;
}

/* Where the library puts a record with this key, as the header says. */
static uint32_t queue_of_key(const struct commitlog_slice *key, uint32_t queues)
{
    return (uint32_t)(XXH3_64bits(key->data, key->bytes) % queues);
}

static void draft_make(struct worker *worker, size_t bytes, uint32_t batch_first,
                       uint32_t batch_count, struct draft *out)
{
    struct book *book = worker->writer->seat.book;
    uint32_t topic = topic_draw(worker, &out->number);
    struct content *content = &out->item.content;
    struct item_head head = {.life = atomic_load(&book->life),
                             .serial = worker->serial++,
                             .batch_first = batch_first,
                             .batch_count = (uint16_t)batch_count,
                             .thread = (uint8_t)worker->thread,
                             .topic = (uint8_t)topic};
    item_make(&out->item, book, &head, bytes);
    out->queue = (uint32_t)rng_below(&worker->rng, book_queues(topic));
    out->wanted = out->queue;
    out->level = level_draw(&worker->rng);
    if (rng_chance(&worker->rng, 1, 3) && (content->key_count > 0 || book_queues(topic) == 1)) {
        out->wanted = COMMITLOG_QUEUE_AUTO;
        if (content->key_count > 0)
            out->queue = queue_of_key(&content->keys[0], book_queues(topic));
    }
    out->item.head.queue = (uint8_t)out->queue;
    if (bytes > 0)
        memcpy(content->body, &out->item.head, sizeof out->item.head);
}

static void draft_note(struct worker *worker, const struct draft *draft,
                       const struct commitlog_receipt *receipt)
{
    struct book *book = worker->writer->seat.book;
    const struct item_head *head = &draft->item.head;
    struct note note = {.position = receipt->position,
                        .end = receipt->end_position,
                        .time_ns = receipt->store_time_ns,
                        .life = head->life,
                        .serial = head->serial,
                        .bytes = head->bytes,
                        .epoch = receipt->epoch,
                        .thread = head->thread,
                        .level = (uint8_t)receipt->level};
    CHECKF(receipt->end_position > receipt->position && receipt->epoch == atomic_load(&book->epoch),
           "receipt: [%llu, %llu) epoch %u", (ull)receipt->position, (ull)receipt->end_position,
           receipt->epoch);
    atomic_store(&book->told, receipt->epoch);
    book_note(book, book_lane(head->topic, draft->queue), receipt->queue_offset, &note);
    book_count(book, BOOK_APPENDED, 1);
    book_count(book, BOOK_ACKNOWLEDGED, 1);
    book_count(book, BOOK_BYTES, head->bytes);
}

/* Stored, as far as the receipt says; false: nothing was. */
static bool stored(struct worker *worker, int32_t rc, uint32_t level,
                   const struct commitlog_receipt *receipt, const struct commitlog_error *err)
{
    if (rc == COMMITLOG_OK)
        CHECKF(level == COMMITLOG_LEVEL_DEFAULT || receipt->level >= level,
               "level %u reached, %u wanted", receipt->level, level);
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN)
        return true;
    CHECKF(rc == COMMITLOG_ETIMEDOUT || rc == COMMITLOG_EINTERRUPTED, "%s: %s",
           commitlog_error_name(rc), err->message);
    book_count(worker->writer->seat.book, BOOK_REFUSED, 1);
    return false;
}

/* What was begun is not in the log, and will not be. */
static void given_up(struct worker *worker)
{
    book_begin(worker->writer->seat.book, worker->thread, worker->serial, 0, BOOK_TOPICS);
}

static void append_plain(struct worker *worker)
{
    struct book *book = worker->writer->seat.book;
    struct draft draft;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    size_t bytes = rng_chance(&worker->rng, 1, 20) ? 0 : bytes_draw(&worker->rng, PLAN_BODY_MAX);
    int32_t rc = 0;
    draft_make(worker, bytes, 0, 0, &draft);
    book_begin(book, worker->thread, draft.item.head.serial, 1,
               bytes == 0 ? draft.item.head.topic : BOOK_TOPICS);
    if (draft.item.content.key_count + draft.item.content.header_count == 0 &&
        draft.item.content.tag.bytes == 0 && !draft.item.content.has_time) {
        rc = commitlog_append(worker->writer->seat.store, draft.number, draft.wanted,
                              draft.item.content.body, bytes, draft.level, &receipt);
    } else {
        struct commitlog_record record;
        content_record(&draft.item.content, draft.number, draft.wanted, draft.level, &record);
        rc = commitlog_append_record(worker->writer->seat.store, &record,
                                     timeout_draw(&worker->rng), &receipt, &err);
    }
    if (stored(worker, rc, draft.level, &receipt, &err))
        draft_note(worker, &draft, &receipt);
    else
        given_up(worker);
    item_free(&draft.item);
}

static void append_batch(struct worker *worker)
{
    struct draft drafts[ITEM_BATCH_MAX];
    struct commitlog_record records[ITEM_BATCH_MAX];
    struct commitlog_receipt receipts[ITEM_BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count = (uint32_t)rng_between(&worker->rng, 1, ITEM_BATCH_MAX);
    uint32_t first = worker->serial, level = 0;
    int32_t rc = 0;
    memset(receipts, 0, sizeof receipts);
    for (uint32_t i = 0; i < count; i++) {
        draft_make(worker, bytes_draw(&worker->rng, BATCH_BODY), first, count, &drafts[i]);
        content_record(&drafts[i].item.content, drafts[i].number, drafts[i].wanted, drafts[i].level,
                       &records[i]);
        level = drafts[i].level > level ? drafts[i].level : level;
    }
    book_begin(worker->writer->seat.book, worker->thread, first, count, BOOK_TOPICS);
    rc = commitlog_append_batch(worker->writer->seat.store, records, count,
                                timeout_draw(&worker->rng), receipts, &err);
    if (!stored(worker, rc, level, &receipts[0], &err))
        given_up(worker);
    for (uint32_t i = 0; i < count; i++) {
        if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN)
            draft_note(worker, &drafts[i], &receipts[i]);
        item_free(&drafts[i].item);
    }
}

/* Held for a moment, now and then for long: everything behind it waits. */
static void hold(struct worker *worker)
{
    struct rng *rng = &worker->rng;
    if (rng_chance(rng, 1, 100))
        usleep((useconds_t)rng_between(rng, 20000, 250000));
    else if (rng_chance(rng, 1, 4))
        usleep((useconds_t)rng_below(rng, 2000));
    if (rng_chance(rng, 1, 8))
        seat_probe(&worker->writer->seat, rng);
}

static void append_reserved(struct worker *worker)
{
    struct draft draft;
    struct commitlog_record record;
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    void *body = NULL;
    size_t bytes = bytes_draw(&worker->rng, PLAN_BODY_MAX);
    int32_t rc = 0;
    draft_make(worker, bytes, 0, 0, &draft);
    content_record(&draft.item.content, draft.number, draft.wanted, draft.level, &record);
    book_begin(worker->writer->seat.book, worker->thread, draft.item.head.serial, 1, BOOK_TOPICS);
    atomic_fetch_add(&worker->writer->reservations, 1);
    rc = commitlog_reserve(worker->writer->seat.store, &record, bytes, timeout_draw(&worker->rng),
                           &reservation, &body, &err);
    if (rc == COMMITLOG_OK) {
        memcpy(body, draft.item.content.body, bytes / 2);
        hold(worker);
        if (rng_chance(&worker->rng, 1, 4)) {
            CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
            rc = COMMITLOG_ETIMEDOUT; /* not stored, as if there had been no room */
        } else {
            memcpy(body, draft.item.content.body, bytes);
            rc = commitlog_commit(reservation, timeout_draw(&worker->rng), &receipt, &err);
        }
    }
    atomic_fetch_sub(&worker->writer->reservations, 1);
    if (stored(worker, rc, draft.level, &receipt, &err))
        draft_note(worker, &draft, &receipt);
    else
        given_up(worker);
    item_free(&draft.item);
}

/* Calls that are wrong: nothing may come of them. */
static void append_wrongly(struct worker *worker)
{
    struct draft draft;
    struct commitlog_record record;
    struct commitlog_receipt receipt = {0};
    uint64_t draw = rng_below(&worker->rng, 3);
    draft_make(worker, draw == 0 ? PLAN_BODY_MAX + 1 : 100, 0, 0, &draft);
    content_record(&draft.item.content, draft.number, draft.wanted, draft.level, &record);
    if (draw == 1)
        record.queue = BOOK_QUEUES + 1;
    if (draw == 2)
        record.level = 9;
    CHECK_RC(commitlog_append_record(worker->writer->seat.store, &record, 0, &receipt, NULL),
             draw == 0 ? COMMITLOG_ETOOBIG : COMMITLOG_EINVAL);
    given_up(worker);
    item_free(&draft.item);
}

void act_append(struct worker *worker)
{
    uint64_t draw = rng_below(&worker->rng, 100);
    if (draw < 70)
        append_plain(worker);
    else if (draw < 85)
        append_batch(worker);
    else if (draw < 99)
        append_reserved(worker);
    else
        append_wrongly(worker);
}
