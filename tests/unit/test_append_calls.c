/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_append_calls.c -- what an append calls of lib/os in its own thread, when it does not wait
 * and there is room: it reads a clock, and nothing else. No memory is asked for, nothing is locked
 * by the kernel, written or woken.
 *
 * A staged append that is to be written writes, and tells those who follow: once each.
 */
#include "support/run_suite.h"
#include "unit/counted_fixture.h"

enum { ROUNDS = 40, BATCH = 3, SEGMENT = 1 << 20 };
enum { NONE = COMMITLOG_LEVEL_NONE, WRITTEN = COMMITLOG_LEVEL_WRITTEN };

/* Views fold in an appender's thread where there is no other, but not after so little. */
enum { UNFOLDED = 16384 };

enum shape {
    SHORT,      /* commitlog_append */
    FULL,       /* everything that a record can have */
    IN_TURN,    /* no key: the queues take turns */
    IDEMPOTENT, /* of a producer that is known */
    IN_A_BATCH,
    RESERVED, /* written in place */
    SHAPES
};

static uint64_t sequence; /* of the producer */

static void open_counted(uint64_t engine, uint64_t thread)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT},
                                  {COMMITLOG_OPT_STAGE_BYTES, SEGMENT},
                                  {COMMITLOG_OPT_ENGINE, engine},
                                  {COMMITLOG_OPT_THREAD, thread},
                                  {COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE}};
    struct commitlog_options *options = NULL;
    sequence = 0;
    counted_fill();
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], &err),
                         0);
    }
    commitlog_options_set_os(options, &counted);
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == COMMITLOG_OK, "%s",
                  err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 4, &topic, &err), 0);
}

static int32_t reserved(struct commitlog_record *record, struct commitlog_receipt *receipt)
{
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    record->body_count = 0;
    int32_t rc = commitlog_reserve(store, record, 10, COMMITLOG_FOREVER, &reservation, &body, &err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    memcpy(body, "0123456789", 10);
    return commitlog_commit(reservation, COMMITLOG_FOREVER, receipt, &err);
}

static int32_t append(enum shape shape, uint32_t level)
{
    static const struct commitlog_slice body[] = {{"01234", 5}, {"56789", 5}};
    static const struct commitlog_slice keys[] = {{"key", 3}, {"another", 7}};
    static const struct commitlog_header headers[] = {{{"price", 5}, {"10", 2}},
                                                      {{"region", 6}, {"eu", 2}}};
    struct commitlog_receipt receipts[BATCH];
    struct commitlog_record records[BATCH] = {{.struct_bytes = sizeof(records[0]),
                                               .topic = topic,
                                               .queue = 1,
                                               .level = level,
                                               .body = body,
                                               .body_count = 2}};
    struct commitlog_record *record = &records[0];
    switch (shape) {
    case FULL:
        record->queue = COMMITLOG_QUEUE_AUTO;
        record->keys = keys;
        record->key_count = 2;
        record->tag = keys[1];
        record->headers = headers;
        record->header_count = 2;
        record->has_time = 1;
        record->time_ms = 1234567890;
        break;
    case IN_TURN:
        record->queue = COMMITLOG_QUEUE_AUTO;
        break;
    case IDEMPOTENT:
        record->producer_id = 7;
        record->sequence = ++sequence;
        break;
    case IN_A_BATCH:
        records[1] = records[2] = records[0];
        return commitlog_append_batch(store, records, BATCH, COMMITLOG_FOREVER, receipts, &err);
    case RESERVED:
        return reserved(record, receipts);
    case SHORT:
    case SHAPES:
    default:
        return commitlog_append(store, topic, 1, "0123456789", 10, level, receipts);
    }
    return commitlog_append_record(store, record, COMMITLOG_FOREVER, receipts, &err);
}

static uint64_t messages(void)
{
    uint64_t count = 0;
    for (uint32_t q = 0; q < 4; q++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_queue_info(store, topic, q, &info), 0); /* folds */
        count += info.next_offset;
    }
    return count;
}

/* Memory that is used again is there, all is written and folded, and there is room. */
static void warm_up(void)
{
    for (uint32_t shape = 0; shape < SHAPES; shape++) {
        for (int i = 0; i < ROUNDS; i++) {
            ck_assert_msg(append((enum shape)shape, NONE) == COMMITLOG_OK, "%s", err.message);
        }
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    (void)messages();
    ck_assert_uint_lt(store_positions().claimed % SEGMENT, SEGMENT / 2);
}

/* What of lib/os is called by so many appends: in `calls`. */
static uint32_t appends_call(enum shape shape, uint32_t level)
{
    const uint64_t before = messages();
    const uint64_t begin = store_positions().claimed;
    int32_t rc = COMMITLOG_OK;
    counted_begin();
    for (int i = 0; rc == COMMITLOG_OK && i < ROUNDS; i++) {
        rc = append(shape, level);
    }
    const uint32_t all = counted_end();
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_lt(store_positions().claimed - begin, UNFOLDED);
    ck_assert_uint_eq(messages() - before, shape == IN_A_BATCH ? ROUNDS * BATCH : ROUNDS);
    return all;
}

/* Each takes the time once. The other clock times some of them; and a producer's has a deadline. */
static uint32_t clocks(enum shape shape)
{
    const uint32_t walls = COUNTED_CALLS(clock_wall_ns);
    const uint32_t monos = COUNTED_CALLS(clock_mono_ns);
    ck_assert_uint_eq(walls, ROUNDS);
    ck_assert_uint_lt(monos, ROUNDS / 2 + (shape == IDEMPOTENT ? ROUNDS : 0));
    return walls + monos;
}

START_TEST(an_append_that_does_not_wait_calls_nothing)
{
    const uint64_t engine = _i == 0 ? COMMITLOG_ENGINE_STAGED : COMMITLOG_ENGINE_MMAP;
    const uint32_t highest = engine == COMMITLOG_ENGINE_MMAP ? WRITTEN : NONE;
    open_counted(engine, 0);
    warm_up();
    for (uint32_t level = COMMITLOG_LEVEL_DEFAULT; level <= highest; level++) {
        for (uint32_t shape = 0; shape < SHAPES; shape++) {
            const uint32_t all = appends_call((enum shape)shape, level);
            ck_assert_msg(all == clocks((enum shape)shape),
                          "shape %u, level %u: %u calls, the last was %s", shape, level, all,
                          calls.last);
        }
    }
}
END_TEST

START_TEST(a_staged_append_that_is_written_writes_once_and_tells_once)
{
    open_counted(COMMITLOG_ENGINE_STAGED, 0);
    warm_up();
    for (uint32_t shape = 0; shape < SHAPES; shape++) {
        const uint32_t all = appends_call((enum shape)shape, WRITTEN);
        ck_assert_uint_eq(COUNTED_CALLS(pwrite), ROUNDS);
        ck_assert_uint_eq(COUNTED_CALLS(futex_wake), ROUNDS);
        ck_assert_msg(all == clocks((enum shape)shape) + 2 * ROUNDS,
                      "shape %u: %u calls, the last was %s", shape, all, calls.last);
    }
}
END_TEST

/* Beside the library's thread, which it may have to wake, or to wait for at a lock. */
START_TEST(an_append_beside_the_thread_allocates_and_writes_nothing)
{
    const uint64_t engine = _i == 0 ? COMMITLOG_ENGINE_STAGED : COMMITLOG_ENGINE_MMAP;
    open_counted(engine, 1);
    warm_up();
    for (uint32_t shape = 0; shape < SHAPES; shape++) {
        const uint32_t all = appends_call((enum shape)shape, NONE);
        const uint32_t waking = COUNTED_CALLS(futex_wake) + COUNTED_CALLS(futex_wait);
        ck_assert_msg(all == clocks((enum shape)shape) + waking,
                      "shape %u: %u calls, the last was %s", shape, all, calls.last);
    }
}
END_TEST

/* More at once than a store keeps the memory of. */
START_TEST(reservations_open_at_once_use_memory_again)
{
    enum { OPEN = 70, KEPT = 64 };
    struct commitlog_reservation *open[OPEN];
    open_counted(COMMITLOG_ENGINE_STAGED, 0);
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    warm_up(); /* leaves one */
    for (uint32_t round = 0; round < 3; round++) {
        counted_begin();
        for (uint32_t i = 0; i < OPEN; i++) {
            void *body = NULL;
            ck_assert_int_eq(commitlog_reserve(store, &record, 1, 0, &open[i], &body, &err), 0);
            *(char *)body = 'x';
        }
        (void)counted_end();
        ck_assert_uint_eq(COUNTED_CALLS(alloc), round == 0 ? OPEN - 1 : OPEN - KEPT);
        counted_begin();
        for (uint32_t i = 0; i < OPEN; i++) {
            struct commitlog_reservation *ended = open[(i * 3) % OPEN];
            ck_assert_int_eq(
                i % 2 == 0 ? commitlog_commit(ended, 0, NULL, &err) : commitlog_abort(ended), 0);
        }
        (void)counted_end();
        ck_assert_uint_eq(COUNTED_CALLS(free), OPEN - KEPT);
    }
}
END_TEST

/* Whoever ends a reservation twice is told, at least for as long as nobody has it anew. */
START_TEST(a_reservation_that_has_ended_does_not_end_again)
{
    struct commitlog_reservation *ended = NULL, *other = NULL;
    void *body = NULL;
    open_counted(COMMITLOG_ENGINE_STAGED, 0);
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    ck_assert_int_eq(commitlog_reserve(store, &record, 1, 0, &ended, &body, &err), 0);
    ck_assert_int_eq(commitlog_commit(ended, 0, NULL, &err), 0);
    ck_assert_int_eq(commitlog_commit(ended, 0, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_abort(ended), COMMITLOG_EINVAL);
    ck_assert_uint_eq(messages(), 1);
    ck_assert_int_eq(commitlog_reserve(store, &record, 1, 0, &ended, &body, &err), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 1, 0, &other, &body, &err), 0);
    ck_assert_ptr_ne(ended, other);
    ck_assert_int_eq(commitlog_abort(ended), 0);
    ck_assert_int_eq(commitlog_commit(other, 0, NULL, &err), 0);
    ck_assert_uint_eq(messages(), 3); /* the aborted one has its offset */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls of appends");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, an_append_that_does_not_wait_calls_nothing, 0, 2);
    tcase_add_test(cases, a_staged_append_that_is_written_writes_once_and_tells_once);
    tcase_add_loop_test(cases, an_append_beside_the_thread_allocates_and_writes_nothing, 0, 2);
    tcase_add_test(cases, reservations_open_at_once_use_memory_again);
    tcase_add_test(cases, a_reservation_that_has_ended_does_not_end_again);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
