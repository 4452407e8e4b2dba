/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_producers_faults.c -- each call of a life in which producers append, repeat what they are
 * not sure of, begin new epochs and are forgotten fails, once or for ever; then the process dies or
 * the power goes. On a healthy machine each record is stored once, none is missing that its level
 * promised, and whoever repeats what he did last gets the receipt of the first time.
 */
#include "support/run_suite.h"
#include "unit/promise_fixture.h"
#include "unit/timer_fixture.h"

enum { REMEMBERED = 5, TRIES = 3, BATCH = 3, WEEK_MS = 7 * 86400000 };
enum { NONE = COMMITLOG_LEVEL_NONE, WRITTEN = COMMITLOG_LEVEL_WRITTEN };
enum { DURABLE = COMMITLOG_LEVEL_DURABLE };
enum { SILENT = 1, STEADY = 2, RENEWED = 3, IN_BATCHES = 4, LATE = 5 };

struct stored {
    uint64_t id;
    uint64_t sequence;
    uint32_t epoch;
    struct commitlog_receipt receipt;
};

/* What was stored, in the order of the log: one for each change of promise_fixture.h. */
static struct {
    struct stored stored[CHANGES_MAX];
    bool may_be_forgotten; /* SILENT */
    bool complete;
} life;

/* ---- what was stored ---- */

/* The nth newest of its newest epoch; NULL: there are not so many. */
static const struct stored *newest(uint64_t id, uint32_t nth)
{
    const struct stored *first = NULL;
    for (uint32_t i = promised.count; i > 0; i--) {
        const struct stored *one = &life.stored[i - 1];
        if (one->id == id && (first == NULL || one->epoch == first->epoch)) {
            first = first == NULL ? one : first;
            if (nth-- == 0) {
                return one;
            }
        }
    }
    return NULL;
}

static const struct stored *find(uint64_t id, uint32_t epoch, uint64_t sequence)
{
    for (uint32_t i = 0; i < promised.count; i++) {
        const struct stored *one = &life.stored[i];
        if (one->id == id && one->epoch == epoch && one->sequence == sequence) {
            return one;
        }
    }
    return NULL;
}

static void check_again(const struct commitlog_receipt *again,
                        const struct commitlog_receipt *first)
{
    ck_assert_uint_eq(again->duplicate, 1);
    ck_assert_uint_eq(again->position, first->position);
    /* Of one of a batch, once the store was opened again, it is the end of that record. */
    ck_assert_uint_le(again->end_position, first->end_position);
    ck_assert_uint_gt(again->end_position, again->position);
    ck_assert_uint_eq(again->queue_offset, first->queue_offset);
    ck_assert_int_eq(again->store_time_ns, first->store_time_ns);
    ck_assert_uint_eq(again->epoch, first->epoch);
}

/* Of records that the store says it has: they are new, or were stored before as he may suspect. */
static void has(const struct commitlog_record *records, const struct commitlog_receipt *receipts,
                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct commitlog_record *record = &records[i];
        const struct stored *known =
            find(record->producer_id, record->producer_epoch, record->sequence);
        if (known != NULL) {
            check_again(&receipts[i], &known->receipt);
            continue;
        }
        ck_assert_uint_eq(receipts[i].duplicate, 0);
        life.stored[promised.count] = (struct stored){.id = record->producer_id,
                                                      .sequence = record->sequence,
                                                      .epoch = record->producer_epoch,
                                                      .receipt = receipts[i]};
        promise_add();
        promised.ends[promised.count - 1] = receipts[i].end_position;
    }
}

/* ---- the life ---- */

static struct commitlog_record make(uint64_t id, uint32_t epoch, uint64_t sequence, uint32_t level)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topic,
                                     .queue = (uint32_t)(id % QUEUES),
                                     .level = level,
                                     .producer_id = id,
                                     .producer_epoch = epoch,
                                     .sequence = sequence};
}

static int32_t append(const struct commitlog_record *records, uint32_t count,
                      struct commitlog_receipt *receipts)
{
    memset(receipts, 0xA5, count * sizeof(*receipts));
    return count == 1 ? commitlog_append_record(store, records, 0, receipts, &err)
                      : commitlog_append_batch(store, records, count, 0, receipts, &err);
}

/* As a producer does it: again, until he knows that it is stored. */
static void live_send(uint64_t id, uint32_t count, bool renew, uint32_t level)
{
    struct commitlog_record records[BATCH];
    struct commitlog_receipt receipts[BATCH];
    struct commitlog_receipt untouched[BATCH];
    const struct stored *last = newest(id, 0);
    const uint32_t epoch = (last == NULL ? 0 : last->epoch) + (renew ? 1 : 0);
    const uint64_t sequence = last == NULL || renew ? 1 : last->sequence + 1;
    int32_t rc = COMMITLOG_EAGAIN;
    memset(untouched, 0xA5, sizeof(untouched));
    for (uint32_t i = 0; i < count; i++) {
        records[i] = make(id, epoch, sequence + i, level);
    }
    for (int i = 0; rc != COMMITLOG_OK && i < TRIES; i++) {
        rc = append(records, count, receipts);
        promise_explained("append", rc);
        life.complete = life.complete && rc == COMMITLOG_OK;
        if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN) {
            has(records, receipts, count);
        } else {
            ck_assert_mem_eq(receipts, untouched, count * sizeof(*receipts));
        }
        promise_look();
    }
    const bool can = each_call_number % 2 == 0 && commitlog_failure(store, NULL) == COMMITLOG_OK;
    ck_assert_msg(!can || rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    const uint64_t end = receipts[count - 1].end_position;
    ck_assert(rc != COMMITLOG_OK || level != DURABLE || promised.durable >= end);
    ck_assert(rc != COMMITLOG_OK || level != WRITTEN || promised.written >= end);
}

/* What was stored `back` before his last one is given again. */
static void live_repeat(uint64_t id, uint32_t back, uint32_t level)
{
    const struct stored *one = newest(id, back);
    if (one == NULL) {
        return;
    }
    struct commitlog_receipt receipt;
    const struct commitlog_record record = make(id, one->epoch, one->sequence, level);
    const int32_t rc = append(&record, 1, &receipt);
    const int32_t wanted = back < REMEMBERED ? COMMITLOG_OK : COMMITLOG_EEXIST;
    ck_assert_msg(rc == wanted || (rc != COMMITLOG_OK && each_call_explains(each_call_number, rc)),
                  "%u back: %s: %s", back, commitlog_error_name(rc), err.message);
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN) {
        check_again(&receipt, &one->receipt);
    }
    life.complete = life.complete && rc == wanted;
}

static void live_refused(uint64_t id)
{
    struct commitlog_receipt receipt;
    const struct stored *last = newest(id, 0);
    if (last == NULL) {
        return;
    }
    struct commitlog_record record = make(id, last->epoch, last->sequence + 2, NONE);
    int32_t rc = append(&record, 1, &receipt);
    ck_assert(rc == COMMITLOG_EGAP || each_call_explains(each_call_number, rc));
    ck_assert_int_ne(rc, COMMITLOG_OK);
    record = make(id, last->epoch - 1, last->sequence + 1, NONE);
    rc = last->epoch == 0 ? COMMITLOG_EFENCED : append(&record, 1, &receipt);
    ck_assert(rc == COMMITLOG_EFENCED || each_call_explains(each_call_number, rc));
    ck_assert_int_ne(rc, COMMITLOG_OK);
}

static bool live_open(void)
{
    int32_t rc = promise_open();
    rc = rc == COMMITLOG_OK ? promise_topic(QUEUES) : rc;
    life.complete = life.complete && rc == COMMITLOG_OK;
    return rc == COMMITLOG_OK;
}

/* Who has been silent for long is forgotten by upkeep, or is not. */
static void live_forget(void)
{
    life.may_be_forgotten = true;
    for (int i = 0; i < 3; i++) {
        uint32_t wait_ms = 0;
        pass_ms(1000);
        (void)commitlog_step(store, 100000, &wait_ms);
    }
}

/* ---- what there is ---- */

/* All that lies in the log is what was stored, as far as it must be there or farther; nothing
 * twice, and nothing else. False: it cannot be read. */
static bool look(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t at = 0;
    uint32_t count = 0;
    const uint64_t first = store_positions().first;
    int32_t rc = commitlog_cursor_open_log(store, 0, &cursor, &err);
    while (at < promised.count && life.stored[at].receipt.position < first) {
        at++;
    }
    while (rc == COMMITLOG_OK &&
           (rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        if (message.kind != COMMITLOG_KIND_MESSAGE || message.producer_id == 0) {
            continue;
        }
        const struct stored *one = &life.stored[at];
        ck_assert_msg(at < promised.count && message.position == one->receipt.position &&
                          message.queue_offset == one->receipt.queue_offset &&
                          message.producer_id == one->id && message.sequence == one->sequence &&
                          message.producer_epoch == one->epoch,
                      "at %llu producer %llu, epoch %u, sequence %llu, not number %u of %u",
                      (unsigned long long)message.position, (unsigned long long)message.producer_id,
                      message.producer_epoch, (unsigned long long)message.sequence, at,
                      promised.count);
        at++;
    }
    commitlog_cursor_close(cursor);
    if (rc != COMMITLOG_EEND) {
        ck_assert(each_call_explains(each_call_number, rc));
        return false;
    }
    ck_assert_msg(at >= promise_kept(), "%s: %u are there, %u must be",
                  promised.power ? "power" : "process", at, promise_kept());
    promised.count = at;
    return true;
}

static bool live_reopen(void)
{
    life.complete = promise_close() == COMMITLOG_OK && life.complete;
    if (!live_open()) {
        return false;
    }
    const bool looked = look();
    life.complete = life.complete && looked;
    if (looked) {
        promise_look();
    }
    return looked;
}

/* Whatever fails, it goes on as far as it can. */
static void live(void)
{
    memset(&life, 0, sizeof(life));
    promise_begin();
    life.complete = true;
    if (!live_open()) {
        return;
    }
    live_send(SILENT, 1, false, NONE);
    live_send(SILENT, 1, false, DURABLE);
    pass_ms(2 * (int64_t)WEEK_MS);
    for (uint32_t i = 0; i < 4; i++) {
        live_send(STEADY, 1, false, NONE);
        live_send(RENEWED, 1, i == 2, i == 1 ? DURABLE : NONE);
        live_send(IN_BATCHES, BATCH, false, i == 2 ? WRITTEN : NONE);
    }
    live_repeat(STEADY, 1, DURABLE);
    live_repeat(RENEWED, 1, NONE);
    live_refused(RENEWED);
    promise_fill(0);
    live_send(RENEWED, 1, false, NONE); /* in the next segment */
    live_forget();
    life.complete = promise_retain(0) == COMMITLOG_OK && life.complete;
    live_repeat(IN_BATCHES, 4, NONE);
    live_repeat(IN_BATCHES, 5, NONE);
    live_send(STEADY, 1, false, NONE);
    if (!live_reopen()) {
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        live_repeat(STEADY, i, i == 1 ? DURABLE : NONE);
        live_send(STEADY, 1, false, NONE);
    }
    live_send(LATE, BATCH, false, NONE);
    live_send(IN_BATCHES, 1, false, DURABLE);
    live_send(IN_BATCHES, BATCH, true, WRITTEN);
    live_refused(IN_BATCHES);
    life.complete = promise_retain(0) == COMMITLOG_OK && life.complete;
    live_repeat(LATE, 0, DURABLE);
}

/* ---- afterwards ---- */

static void before(uint64_t nth)
{
    promise_power(nth);
    if (nth % 2 == 0) {
        forget_views();
    }
}

/* True: he is forgotten, and may be. */
static bool check_forgotten(uint64_t id)
{
    struct commitlog_receipt receipt;
    const struct stored *last = newest(id, 0);
    if (id != SILENT || last == NULL || !life.may_be_forgotten) {
        return false;
    }
    const struct commitlog_record record = make(id, last->epoch, last->sequence + 5, NONE);
    const int32_t rc = append(&record, 1, &receipt);
    ck_assert(rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EGAP);
    return rc == COMMITLOG_ENOTFOUND;
}

static void check_use(uint64_t id, bool forgotten)
{
    struct commitlog_receipt receipt;
    const struct stored *last = newest(id, 0);
    const uint64_t end = queue_end((uint32_t)id % QUEUES);
    for (uint32_t back = 0; !forgotten && back <= REMEMBERED; back++) {
        const struct stored *one = newest(id, back);
        if (one != NULL) {
            const struct commitlog_record record = make(id, one->epoch, one->sequence, DURABLE);
            const int32_t rc = append(&record, 1, &receipt);
            ck_assert_msg(rc == (back < REMEMBERED ? COMMITLOG_OK : COMMITLOG_EEXIST),
                          "producer %u, %u back: %s: %s", (unsigned)id, back,
                          commitlog_error_name(rc), err.message);
            if (rc == COMMITLOG_OK) {
                check_again(&receipt, &one->receipt);
            }
        }
    }
    if (!forgotten) {
        live_refused(id);
    }
    const uint32_t epoch = last == NULL ? 0 : last->epoch + (forgotten ? 1 : 0);
    const struct commitlog_record next =
        make(id, epoch, last == NULL || forgotten ? 1 : last->sequence + 1, DURABLE);
    ck_assert_uint_eq(queue_end((uint32_t)id % QUEUES), end);
    ck_assert_msg(append(&next, 1, &receipt) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(receipt.duplicate, 0);
    ck_assert_uint_eq(receipt.queue_offset, end);
    ck_assert_uint_eq(queue_end((uint32_t)id % QUEUES), end + 1);
}

static void check(bool complete)
{
    const uint32_t all = promised.count;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert(look());
    ck_assert(!complete || (life.complete && promised.count == all && promise_has_dropped()));
    const bool forgotten = check_forgotten(SILENT);
    ck_assert(!complete || forgotten);
    for (uint64_t id = SILENT; id <= LATE; id++) {
        check_use(id, id == SILENT && forgotten);
    }
}

START_TEST(each_call_may_fail)
{
    static const struct each_call calls = {.live = live, .before = before, .check = check};
    promise_each_call_fails(&calls, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_may_fail, 0, PROMISE_CASES);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
