/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_progress.c -- whatever is watched, open, recovery, verification, rebuilding, is cancelled at
 * its first report, its second, and so on until none is left: it says so and leaves nothing behind,
 * and the next open finds every record and all that is derived of them.
 */
#include <stdio.h>

/* The library's own, compiled here so that each report is seen before it looks for a cancel: the
 * archive's is not linked then. */
#define clg_progress_report report_as_before
#include "store/progress.c"
#undef clg_progress_report

#include "base/checksum.h"
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

int clg_progress_report(void *progress_or_null, uint64_t done, uint64_t total);

enum { BODY = 440, OLD = 1500, MESSAGES = 7450, TAIL = 40, KEYS = 50 };
enum { SEGMENT = 256 << 10, STAGE = 256 << 10, OFFSET = 77, PRODUCER = 9, DAMAGED_ONE = 3007 };
enum { NONE = COMMITLOG_LEVEL_NONE, WRITTEN = COMMITLOG_LEVEL_WRITTEN };

/* ---- reports ---- */

static struct {
    struct commitlog_progress *progress;
    uint32_t count;
    uint32_t cancel_at;
    uint64_t done;
    uint64_t total;
} reports;

int clg_progress_report(void *progress_or_null, uint64_t done, uint64_t total)
{
    if (progress_or_null != NULL) {
        ck_assert_ptr_eq(progress_or_null, reports.progress);
        ck_assert_uint_le(done, total);
        reports.done = done;
        reports.total = total;
        if (++reports.count == reports.cancel_at) {
            commitlog_progress_cancel(reports.progress);
        }
    }
    return report_as_before(progress_or_null, done, total);
}

/* ---- the store ---- */

/* libcheck writes to a file for each assertion: too slow for each message. */
static void want(bool is, const char *what, int64_t number)
{
    if (!is) {
        ck_abort_msg("%s of message %lld", what, (long long)number);
    }
}

static struct commitlog_os ticking; /* folding reports by the clock: each look at it is a second */
static struct commitlog_receipt receipts[MESSAGES + TAIL];
static uint64_t timer;
static int64_t due_ms;
static uint64_t prepared;
static uint32_t mode;    /* of recovery */
static uint32_t missing; /* number of a message that salvage gave up */

static int64_t ticking_clock(const struct commitlog_os *os)
{
    const struct commitlog_os *below = commitlog_fault_os(machine);
    below->sleep_ns(os, 1000 * (int64_t)MS);
    return below->clock_mono_ns(os);
}

static struct commitlog_options *make_options(uint32_t access)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT},
                                  {COMMITLOG_OPT_STAGE_BYTES, STAGE},
                                  {COMMITLOG_OPT_THREAD, 0},
                                  {COMMITLOG_OPT_ACCESS, access},
                                  {COMMITLOG_OPT_RECOVERY, mode}};
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], &err),
                         0);
    }
    ticking = *commitlog_fault_os(machine);
    ticking.clock_mono_ns = ticking_clock;
    commitlog_options_set_os(options, &ticking);
    return options;
}

static void open_unwatched(uint32_t access)
{
    struct commitlog_options *options = make_options(access);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == COMMITLOG_OK, "%s",
                  err.message);
    commitlog_options_free(options);
}

static void close_well(void)
{
    ck_assert_msg(commitlog_close(store, &err) == COMMITLOG_OK, "%s", err.message);
    store = NULL;
}

static void make_body(char body[BODY], uint32_t number)
{
    memset(body, (int)('a' + number % 26), BODY);
    (void)snprintf(body, BODY, "message %u", number);
}

/* Number i lies in queue i % QUEUES; those of queue 0 are a producer's. */
static void put_numbers(uint32_t from, uint32_t to, uint32_t level)
{
    for (uint32_t i = from; i < to; i++) {
        char body[BODY];
        const uint32_t key_number = i % KEYS;
        const struct commitlog_slice key = {&key_number, sizeof(key_number)};
        const struct commitlog_slice slice = {body, BODY};
        const bool is_producers = i % QUEUES == 0;
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = topic,
                                                .queue = i % QUEUES,
                                                .level = level,
                                                .body = &slice,
                                                .body_count = 1,
                                                .keys = &key,
                                                .key_count = 1,
                                                .producer_id = is_producers ? PRODUCER : 0,
                                                .sequence = is_producers ? i / QUEUES + 1 : 0};
        make_body(body, i);
        want(commitlog_append_record(store, &record, 0, &receipts[i], &err) == 0, err.message, i);
    }
}

/* Of each thing that a view is made of. */
static void put_others(void)
{
    struct commitlog_group *group = NULL;
    const struct commitlog_group_offset offset = {topic, 1, OFFSET};
    struct commitlog_receipt receipt;
    struct commitlog_transaction *transaction = NULL;
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err), 0);
    commitlog_group_close(group);
    due_ms = now_ms() + INT64_C(1000000000);
    ck_assert_int_eq(delay(2, 1, due_ms, NONE, &receipt), 0);
    timer = receipt.position;
    ck_assert_int_eq(commitlog_transaction_begin(store, "p", 1, NULL, &transaction, &err), 0);
    ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    prepared = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
}

/* ---- what there is ---- */

static uint32_t number_of(const struct commitlog_message *message)
{
    char body[BODY];
    unsigned number = MESSAGES + TAIL;
    want(message->body.bytes == BODY && sscanf(message->body.data, "message %u", &number) == 1 &&
             number < MESSAGES + TAIL,
         "the body", number);
    make_body(body, number);
    want(memcmp(message->body.data, body, BODY) == 0, "the body", number);
    want(message->position == receipts[number].position, "the position", number);
    want(message->queue_offset == receipts[number].queue_offset, "the offset", number);
    want(message->store_time_ns == receipts[number].store_time_ns, "the time", number);
    return number;
}

/* Those from `number` on by so many, of which `count` are there, or would be. */
static void check_cursor(struct commitlog_cursor *cursor, int64_t number, int64_t step,
                         uint32_t count)
{
    struct commitlog_message messages[64];
    uint32_t got = 0;
    uint32_t all = 0;
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, 64, 0, &got, NULL)) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++, number += step, all++) {
            if (number == missing) {
                number += step;
                all++;
            }
            want(number_of(&messages[i]) == number, "the place", number);
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(all, count);
    commitlog_cursor_close(cursor);
}

/* How many of the numbers 0 ... count - 1 are `rest` modulo `by`. */
static uint32_t of_rest(uint32_t count, uint32_t rest, uint32_t by)
{
    return count / by + (rest < count % by ? 1 : 0);
}

static void check_messages(uint32_t count)
{
    struct commitlog_cursor *cursor = NULL;
    for (uint32_t q = 0; q < QUEUES; q++) {
        uint64_t offset = 0;
        const uint32_t middle = count / 2 / QUEUES * QUEUES + q;
        ck_assert_int_eq(
            commitlog_cursor_open(store, topic, q, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        check_cursor(cursor, q, QUEUES, of_rest(count, q, QUEUES));
        ck_assert_int_eq(commitlog_offset_by_time(store, topic, q, receipts[middle].store_time_ns,
                                                  COMMITLOG_LOWER, &offset),
                         0);
        ck_assert_uint_eq(offset, middle / QUEUES);
    }
    for (uint32_t key = 0; key < KEYS; key += 7) {
        const uint32_t found = of_rest(count, key, KEYS);
        ck_assert_int_eq(
            commitlog_cursor_open_key(store, topic, &key, sizeof(key), 0, INT64_MAX, &cursor, &err),
            0);
        check_cursor(cursor, (int64_t)(found - 1) * KEYS + key, -KEYS, found);
    }
}

static void check_log(uint32_t count)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    uint32_t number = 0;
    uint32_t got = 0;
    int32_t rc;
    ck_assert_int_eq(commitlog_cursor_open_log(store, 0, &cursor, &err), 0);
    while ((rc = commitlog_cursor_fetch(cursor, messages, 64, 0, &got, NULL)) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++) {
            number += number == missing ? 1 : 0;
            if (messages[i].kind == COMMITLOG_KIND_MESSAGE) {
                want(number_of(&messages[i]) == number, "the place in the log", number);
                number++;
            }
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(number, count);
    commitlog_cursor_close(cursor);
}

static void check_others(void)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 1};
    struct commitlog_timer_info waits = {.struct_bytes = sizeof(waits)};
    struct commitlog_transaction_info open = {.struct_bytes = sizeof(open)};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, OFFSET);
    commitlog_group_close(group);
    ck_assert_int_eq(commitlog_timer_at(store, 0, &waits), 0);
    ck_assert_uint_eq(waits.timer, timer);
    ck_assert_int_eq(waits.deliver_at_ms, due_ms);
    ck_assert_int_eq(commitlog_timer_at(store, 1, &waits), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_transaction_next(store, 0, &open), 0);
    ck_assert_uint_eq(open.transaction, prepared);
    ck_assert_uint_eq(open.prepared, 1);
    ck_assert_uint_eq(open.messages, 1);
    ck_assert_int_eq(commitlog_transaction_next(store, prepared, &open), COMMITLOG_ENOTFOUND);
}

/* The producer's last one is known, and stored once. */
static void check_producer(uint32_t count)
{
    const uint32_t last = (count - 1) / QUEUES * QUEUES;
    struct commitlog_receipt again;
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = NONE,
                                            .producer_id = PRODUCER,
                                            .sequence = last / QUEUES + 1};
    ck_assert_msg(commitlog_append_record(store, &record, 0, &again, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(again.duplicate, 1);
    ck_assert_uint_eq(again.position, receipts[last].position);
}

/* Opened without being watched, it has all of them, and is sound when it is closed. */
static void check_store(uint32_t count)
{
    struct commitlog_report *report = NULL;
    open_unwatched(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    check_messages(count);
    check_log(count);
    check_others();
    check_producer(count);
    close_well();
    struct commitlog_options *options = make_options(COMMITLOG_READ_ONLY);
    ck_assert_msg(commitlog_verify("/store", options, &report, &err) == COMMITLOG_OK, "%s",
                  err.message);
    commitlog_options_free(options);
    commitlog_report_free(report);
}

/* ---- what is watched ---- */

enum state { CLOSED, UNFOLDED, KILLED, POWERLESS, TORN, DAMAGED };
enum call { OPEN, OPEN_TO_READ, RECOVER, PLAN, VERIFY, REBUILD };

struct subject {
    const char *name;
    enum call call;
    enum state state;
    bool power; /* goes when it was cancelled */
};

static const struct subject subjects[] = {
    {"open, killed", OPEN, KILLED, false},
    {"open, after a power cut, and another one", OPEN, POWERLESS, true},
    {"open, torn", OPEN, TORN, false},
    {"open, damaged", OPEN, DAMAGED, true},
    {"open, views gone", OPEN, UNFOLDED, true},
    {"open to read, views gone", OPEN_TO_READ, UNFOLDED, false},
    {"recover, killed", RECOVER, KILLED, false},
    {"recover, after a power cut, and another one", RECOVER, POWERLESS, true},
    {"recover, torn", RECOVER, TORN, false},
    {"recover, damaged", RECOVER, DAMAGED, false},
    {"recover, closed", RECOVER, CLOSED, true},
    {"plan, torn", PLAN, TORN, false},
    {"verify, closed", VERIFY, CLOSED, false},
    {"verify, torn", VERIFY, TORN, false},
    {"rebuild, closed", REBUILD, CLOSED, true},
    {"rebuild, killed", REBUILD, KILLED, false},
};

enum { SUBJECTS = sizeof(subjects) / sizeof(subjects[0]) };

static int32_t call_watched(enum call call)
{
    struct commitlog_options *options =
        make_options(call == OPEN_TO_READ ? COMMITLOG_READ_ONLY : COMMITLOG_READ_WRITE);
    struct commitlog_report *report = NULL;
    int32_t rc;
    commitlog_options_set_progress(options, reports.progress);
    memset(&err, 0, sizeof(err));
    switch (call) {
    case OPEN:
    case OPEN_TO_READ:
        rc = commitlog_open("/store", options, &store, &err);
        ck_assert((rc == COMMITLOG_OK) == (store != NULL));
        break;
    case RECOVER:
    case PLAN:
        rc = commitlog_recover("/store", options, call == PLAN ? COMMITLOG_RECOVER_PLAN_ONLY : 0,
                               &report, &err);
        ck_assert((rc == COMMITLOG_OK) == (report != NULL));
        break;
    case VERIFY:
        rc = commitlog_verify("/store", options, &report, &err);
        ck_assert((rc == COMMITLOG_OK) == (report != NULL));
        break;
    case REBUILD:
    default:
        rc = commitlog_rebuild("/store", options, &err);
        break;
    }
    commitlog_report_free(report);
    commitlog_options_free(options);
    return rc;
}

/* All files of the store, names and bytes. */
static uint64_t disk_hash(void)
{
    static const char *const folders[] = {"/store", "/store/log", "/store/view"};
    uint64_t hash = 0;
    for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++) {
        const char *name = NULL;
        for (uint32_t i = 0; commitlog_fault_name(machine, folders[f], i, &name) == 0; i++) {
            char path[256];
            const void *data = NULL;
            uint64_t bytes = 0;
            (void)snprintf(path, sizeof(path), "%s/%s", folders[f], name);
            hash = clg_hash64(path, strlen(path), hash);
            if (commitlog_fault_content(machine, path, &data, &bytes) == 0) {
                hash = clg_hash64(data, bytes, hash);
            }
        }
    }
    return hash;
}

static void check_gave_back(void)
{
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_MAP), 0);
}

static void check_cancelled(int32_t rc, const struct subject *subject)
{
    ck_assert_msg(rc == COMMITLOG_EINTERRUPTED, "%s: %s at report %u of %u", subject->name,
                  commitlog_error_name(rc), reports.cancel_at, reports.count);
    ck_assert_int_eq(err.code, COMMITLOG_EINTERRUPTED);
    ck_assert_msg(strstr(err.message, "/store") != NULL, "%s: %s", subject->name, err.message);
    check_gave_back();
}

/* False: it was not cancelled. */
static bool cancel_at(const struct subject *subject, uint32_t number)
{
    const enum call call = subject->call;
    const bool changes = call == OPEN || call == RECOVER || call == REBUILD;
    const uint64_t before = changes ? 0 : disk_hash();
    ck_assert_int_eq(commitlog_progress_create(&reports.progress), 0);
    reports.count = 0;
    reports.cancel_at = number;
    int32_t rc = call_watched(call);
    const bool cancelled = reports.count >= number;
    if (!cancelled) {
        ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", subject->name, err.message);
        (void)commitlog_close(store, NULL);
        store = NULL;
        check_gave_back();
    } else {
        check_cancelled(rc, subject);
        ck_assert_uint_eq(reports.count, number); /* the last one */
        rc = call_watched(call);                  /* stays cancelled */
        check_cancelled(rc, subject);
        ck_assert_uint_eq(reports.count, number + 1);
    }
    uint64_t done = 1;
    uint64_t total = 0;
    commitlog_progress_get(reports.progress, &done, &total);
    ck_assert(done == reports.done && total == reports.total);
    ck_assert(changes || disk_hash() == before);
    commitlog_progress_free(reports.progress);
    reports.progress = NULL;
    return cancelled;
}

/* ---- a store in such a state ---- */

static void damage_one(void)
{
    char path[64];
    const uint64_t at = receipts[DAMAGED_ONE].position + BODY / 2;
    (void)snprintf(path, sizeof(path), "/store/log/%020llu.log",
                   (unsigned long long)(at / SEGMENT * SEGMENT));
    ck_assert_int_eq(commitlog_fault_flip(machine, path, at % SEGMENT, 1), 0);
    missing = DAMAGED_ONE;
    mode = COMMITLOG_RECOVER_SALVAGE;
}

static void make_state(enum state state)
{
    mode = COMMITLOG_RECOVER_TAIL;
    missing = UINT32_MAX;
    open_unwatched(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    put_numbers(0, OLD, NONE);
    put_others();
    step_all(); /* those are sealed, and recovery begins behind them */
    put_numbers(OLD, MESSAGES, NONE);
    if (state == KILLED) { /* the last ones are in the stage only */
        ck_assert_uint_lt(store_positions().written, receipts[MESSAGES - TAIL].position);
    } else {
        ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 0, &err), 0);
    }
    if (state == TORN) {
        put_numbers(MESSAGES, MESSAGES + TAIL, WRITTEN);
    }
    if (state == CLOSED || state == UNFOLDED) {
        close_well();
    } else if (state == TORN) {
        die(false);
        commitlog_fault_set_survival(machine, 50);
        commitlog_fault_power_cut(machine);
    } else {
        die(state != KILLED);
    }
    if (state == UNFOLDED) {
        forget_views();
    }
    if (state == DAMAGED) {
        damage_one();
    }
}

/* How many messages there are, when nothing is cancelled. */
static uint32_t count_messages(enum state state)
{
    uint64_t count = 0;
    open_unwatched(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    for (uint32_t q = 0; q < QUEUES; q++) {
        count += queue_end(q);
    }
    close_well();
    ck_assert(state == TORN ? count < MESSAGES + TAIL : count == MESSAGES);
    ck_assert_uint_ge(count, MESSAGES);
    return (uint32_t)count;
}

static struct commitlog_fault *base; /* what each begins with */
static uint32_t count_wanted;

static void begin(const struct subject *subject)
{
    make_state(subject->state);
    base = machine;
    ck_assert_int_eq(commitlog_fault_clone(base, 3, &machine), 0);
    count_wanted = count_messages(subject->state);
    commitlog_fault_free(machine);
    ck_assert_int_eq(commitlog_fault_clone(base, 3, &machine), 0);
}

static void end(void)
{
    check_store(count_wanted);
    check_gave_back();
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(a_call_that_is_cancelled_can_be_made_again)
{
    const struct subject *subject = &subjects[_i];
    uint32_t number = 0;
    bool more = true;
    begin(subject);
    while (more) {
        more = cancel_at(subject, ++number);
        if (more && subject->power) {
            commitlog_fault_power_cut(machine);
        }
        end();
        ck_assert_int_eq(commitlog_fault_clone(base, 3, &machine), 0);
    }
    ck_assert_msg(number > 2, "%s: hardly watched", subject->name);
    commitlog_fault_free(base);
    printf("%s: %u messages, %u reports\n", subject->name, count_wanted, number - 1);
}
END_TEST

START_TEST(a_call_may_be_cancelled_again_and_again)
{
    const struct subject *subject = &subjects[_i];
    uint32_t number = 1;
    begin(subject);
    while (cancel_at(subject, number)) {
        number++;
        if (subject->power) {
            commitlog_fault_power_cut(machine);
        }
    }
    ck_assert_uint_gt(number, 2);
    end();
    machine = base;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_call_that_is_cancelled_can_be_made_again, 0, SUBJECTS);
    tcase_add_loop_test(cases, a_call_may_be_cancelled_again_and_again, 0, SUBJECTS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
