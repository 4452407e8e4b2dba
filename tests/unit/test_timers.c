/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers.c -- delayed messages: never early, once, and not after a cancel. The last test runs
 * random appends, cancels and waits on a machine in memory whose clock is its own, whose process is
 * killed and whose power goes at random.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/group_fixture.h"

#include "support/prog.h"

enum { MESSAGES = 2000, MS = 1000000 };

static void timers_setup(void)
{
    setup();
    open_store();
}

static int64_t now_ms(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    return os->clock_wall_ns(os) / MS;
}

static void pass_ms(int64_t ms)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    os->sleep_ns(os, ms * MS);
}

static void step_all(void)
{
    uint32_t wait_ms = 0;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    }
}

static int32_t delay(uint32_t queue, uint32_t number, int64_t due_ms, uint32_t level,
                     struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {&number, sizeof(number)};
    struct commitlog_slice key = {"key", 3};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = queue,
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .tag = {"late", 4},
                                      .headers = &header,
                                      .header_count = 1,
                                      .deliver_at_ms = due_ms};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

static uint64_t queue_end(uint32_t q)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, q, &info), 0);
    return info.next_offset;
}

static void restart(bool power)
{
    if (power) {
        die(true);
    } else {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    open_store();
}

START_TEST(a_message_comes_when_it_is_due_and_whole)
{
    struct commitlog_receipt receipt;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_slice key;
    struct commitlog_header header;
    struct commitlog_slice tag = {"late", 4};
    uint32_t count = 0;
    int64_t due = now_ms() + 1000;
    ck_assert_msg(delay(2, 77, due, 1, &receipt) == 0, "%s", err.message);
    step_all();
    ck_assert_uint_eq(queue_end(2), 0);
    pass_ms(due - now_ms() - 1);
    step_all();
    ck_assert_uint_eq(queue_end(2), 0);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    pass_ms(2);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 2, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_int_ge(message.store_time_ns, due * MS);
    ck_assert_int_eq(message.deliver_at_ms, due);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    ck_assert_uint_eq(message.queue, 2);
    ck_assert_uint_eq(message.queue_offset, 0);
    ck_assert_uint_eq(message.body.bytes, 4);
    ck_assert_uint_eq(*(const uint8_t *)message.body.data, 77);
    ck_assert_int_eq(commitlog_message_key(&message, 0, &key), 0);
    ck_assert_mem_eq(key.data, "key", 3);
    ck_assert_int_eq(commitlog_message_header(&message, 0, &header), 0);
    ck_assert_mem_eq(header.value.data, "value", 5);
    commitlog_cursor_close(cursor);
    struct commitlog_lease *lease = NULL;
    ck_assert_int_eq(commitlog_get(store, message.position, &message, &lease, &err), 0);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    ck_assert_uint_eq(message.body.bytes, 4);
    commitlog_lease_release(lease);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.queue, 2);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    commitlog_cursor_close(cursor);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

START_TEST(a_time_that_has_passed_is_none)
{
    const int64_t times[] = {1, now_ms() - 1, now_ms()};
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(delay(1, i, times[i], 1, &receipt), 0);
        ck_assert_uint_eq(receipt.queue_offset, i);
        ck_assert_uint_eq(queue_end(1), i + 1);
        ck_assert_int_eq(commitlog_get(store, receipt.position, &message, &lease, &err), 0);
        ck_assert_uint_eq(message.kind, COMMITLOG_KIND_MESSAGE);
        ck_assert_int_eq(message.deliver_at_ms, times[i]);
        ck_assert_uint_eq(message.origin_position, 0);
        commitlog_lease_release(lease);
    }
    step_all();
    ck_assert_uint_eq(queue_end(1), 3);
    restart(true);
    step_all();
    ck_assert_uint_le(queue_end(1), 3);
}
END_TEST

START_TEST(times_that_cannot_be_are_refused)
{
    uint64_t end = store_positions().claimed;
    ck_assert_int_eq(delay(0, 1, -5, 1, NULL), COMMITLOG_ETOOSMALL);
    ck_assert_int_eq(delay(0, 1, INT64_C(9223372036855), 1, NULL), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(delay(0, 1, INT64_MAX, 1, NULL), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(store_positions().claimed, end);
    ck_assert_int_eq(delay(0, 1, INT64_C(9223372036854), 1, NULL), 0);
}
END_TEST

START_TEST(those_that_wait_are_told)
{
    struct commitlog_receipt receipts[3];
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    const int64_t now = now_ms();
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(delay(i, i, now + 3000 - (int64_t)i * 1000, 3, &receipts[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        uint64_t seen = 0;
        for (uint32_t index = 0; index < 3; index++) {
            ck_assert_int_eq(commitlog_timer_at(store, index, &info), 0);
            ck_assert_uint_eq(info.topic, topic);
            ck_assert_uint_lt(info.queue, 3);
            ck_assert_uint_eq(info.timer, receipts[info.queue].position);
            ck_assert_uint_eq(info.position, info.timer);
            ck_assert_int_eq(info.deliver_at_ms, now + 3000 - (int64_t)info.queue * 1000);
            ck_assert(index != 0 || info.queue == 2);
            seen |= 1u << info.queue;
        }
        ck_assert_uint_eq(seen, 7);
        ck_assert_int_eq(commitlog_timer_at(store, 3, &info), COMMITLOG_ENOTFOUND);
        restart(i == 0);
    }
    ck_assert_int_eq(commitlog_timer_at(store, 0, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_timer_cancel(store, receipts[2].position, 1, &err), 0);
    ck_assert_int_eq(commitlog_timer_at(store, 0, &info), 0);
    ck_assert_uint_eq(info.queue, 1);
}
END_TEST

START_TEST(the_levels_are_those_of_rocketmq)
{
    static const int64_t seconds[] = {0,   1,   5,   10,  30,  60,   120,  180,  240,  300,
                                      360, 420, 480, 540, 600, 1200, 1800, 3600, 7200, 7200};
    for (uint32_t level = 0; level < 20; level++) {
        ck_assert_int_eq(commitlog_delay_level_ms(level), seconds[level] * 1000);
    }
    ck_assert_int_eq(commitlog_delay_level_ms(UINT32_MAX), 7200000);
}
END_TEST

START_TEST(what_is_cancelled_never_comes)
{
    struct commitlog_receipt one;
    struct commitlog_receipt other;
    ck_assert_int_eq(delay(0, 1, now_ms() + 100, 1, &one), 0);
    ck_assert_int_eq(delay(0, 2, now_ms() + 100, 1, &other), 0);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 9, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position + 8, 1, &err), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, COMMITLOG_LEVEL_DURABLE, &err), 0);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), COMMITLOG_ENOTFOUND);
    restart(true);
    pass_ms(200);
    step_all();
    ck_assert_uint_eq(queue_end(0), 1);
    ck_assert_int_eq(commitlog_timer_cancel(store, other.position, 1, &err), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(what_waits_is_carried_and_keeps_its_handle)
{
    struct commitlog_receipt one;
    struct commitlog_receipt other;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_int_eq(delay(3, 1, now_ms() + 100000, 1, &one), 0);
    ck_assert_int_eq(delay(3, 2, now_ms() + 100000, 1, &other), 0);
    put(0, 4000);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.bytes_carried, 0);
    restart(false);
    forget_views();
    restart(false);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), 0);
    put(0, 4000);
    pass_ms(200000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    put(0, 8000); /* the reference outlives what it refers to, or is a copy: never another record */
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, 3, &info), 0);
    ck_assert_uint_eq(info.next_offset, 1);
}
END_TEST

static uint32_t fill_with_delayed(uint64_t bytes)
{
    struct commitlog_receipt receipt;
    uint64_t end = store_positions().claimed + bytes;
    uint32_t count = 0;
    while (store_positions().claimed < end) {
        ck_assert_int_eq(delay(1, count++, now_ms() + 100000, 1, &receipt), 0);
    }
    return count;
}

/* A segment of nothing else may go; but the log stays twice as large as what waits. */
START_TEST(what_waits_may_be_half_of_the_log)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint32_t count = fill_with_delayed(70000);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), COMMITLOG_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.message, "delayed messages"));
    ck_assert_uint_eq(retained.segments_dropped, 0);
    for (int i = 0; i < 60 && retained.segments_dropped == 0; i++) {
        put(0, 1000);
        int32_t rc = commitlog_retain(store, &policy, &retained, &err);
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY);
    }
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.bytes_carried, 30000);
    restart(true);
    pass_ms(200000);
    for (int i = 0; i < 20 && queue_end(1) < count; i++) {
        step_all();
    }
    ck_assert_uint_eq(queue_end(1), count);
}
END_TEST

START_TEST(a_reference_whose_original_is_gone_is_expired)
{
    struct commitlog_receipt one;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint32_t count = 0;
    uint64_t bound = 0;
    put(0, 4000);
    ck_assert_int_eq(delay(3, 1, now_ms() + 1000, 1, &one), 0); /* in the newer half */
    put(0, 1300);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_gt(retained.first, one.position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    ck_assert_msg(rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EEND, "%d", rc);
    if (rc == COMMITLOG_EEXPIRED) {
        ck_assert_uint_eq(bound, 0);
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound),
                         COMMITLOG_EEND);
    }
    commitlog_cursor_close(cursor);
}
END_TEST

static int32_t delay_once(uint64_t sequence, int64_t due_ms, struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {"once", 4};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = 4,
                                      .level = COMMITLOG_LEVEL_DURABLE,
                                      .body = &body,
                                      .body_count = 1,
                                      .producer_id = 11,
                                      .sequence = sequence,
                                      .producer_epoch = 1,
                                      .deliver_at_ms = due_ms};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

/* Its producer gives it again before and after it was delivered, at once or later, to a store that
 * was opened again: it is the same timer. What carry-forward stores again is nobody's append. */
START_TEST(a_producer_may_repeat_what_waits)
{
    struct commitlog_receipt first;
    struct commitlog_receipt again;
    struct commitlog_retained retained;
    const int64_t due = now_ms() + 1000;
    ck_assert_int_eq(delay_once(1, due, &first), 0);
    ck_assert_uint_eq(first.duplicate, 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(delay_once(1, due + i, &again) == 0, "%s", err.message);
        ck_assert_uint_eq(again.duplicate, 1);
        ck_assert_uint_eq(again.position, first.position);
        if (i == 0) {
            put(0, 3000);
            retained = retain_all();
            ck_assert_uint_gt(retained.bytes_carried, 0);
        } else {
            forget_views();
            restart(i == 2);
        }
    }
    pass_ms(5000);
    step_all();
    ck_assert_uint_eq(queue_end(4), 1);
    ck_assert_int_eq(delay_once(1, due, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    ck_assert_int_eq(delay_once(2, 1, &again), 0); /* has passed: at once, and is known too */
    ck_assert_uint_eq(again.duplicate, 0);
    restart(true);
    ck_assert_int_eq(delay_once(2, 1, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    step_all();
    ck_assert_uint_eq(queue_end(4), 2);
}
END_TEST

/* ---- whatever happens ------------------------------------------------------------------------ */

struct sent {
    int64_t due_ms;
    uint64_t handle;
    uint64_t end;   /* of the log behind it */
    uint64_t ended; /* the same behind its cancel; 0: none */
    uint32_t queue;
    bool lost;
};

static struct sent sent[MESSAGES];
static uint32_t sent_count;
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

/* Reads all queues: each message at most once, not before its time, not after its cancel. */
static uint32_t check_queues(void)
{
    static uint8_t seen[MESSAGES];
    uint32_t found = 0;
    memset(seen, 0, sizeof(seen));
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message messages[16];
        uint32_t count = 0;
        int32_t rc;
        ck_assert_int_eq(
            commitlog_cursor_open(store, topic, q, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, NULL)) == 0) {
            for (uint32_t i = 0; i < count; i++) {
                uint32_t number;
                if (messages[i].body.bytes != sizeof(number)) {
                    continue; /* of put() */
                }
                memcpy(&number, messages[i].body.data, sizeof(number));
                ck_assert_uint_lt(number, sent_count);
                ck_assert_msg(seen[number]++ == 0, "message %u twice", number);
                ck_assert_int_ge(messages[i].store_time_ns, sent[number].due_ms * MS);
                ck_assert_uint_eq(q, sent[number].queue);
                ck_assert_msg(!sent[number].lost && sent[number].ended == 0,
                              "message %u was cancelled or lost, and is there", number);
                found++;
            }
        }
        ck_assert_msg(rc == COMMITLOG_EEND, "%d", rc);
        commitlog_cursor_close(cursor);
    }
    return found;
}

static void random_restart(void)
{
    bool power = false;
    if (draw(3) == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        power = draw(2) == 0;
        die(power);
        commitlog_fault_set_survival(machine, draw(101));
    }
    if (draw(2) == 0) {
        forget_views();
    }
    open_store();
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    for (uint32_t i = 0; i < sent_count; i++) {
        sent[i].lost = sent[i].lost || sent[i].end > recovery.end;
        sent[i].ended = sent[i].ended > recovery.end ? 0 : sent[i].ended;
        ck_assert(power || !sent[i].lost || sent[i].end == UINT64_MAX);
        sent[i].end = sent[i].lost ? UINT64_MAX : sent[i].end; /* its place is another's now */
    }
}

static void random_delay(void)
{
    struct sent *one = &sent[sent_count];
    struct commitlog_receipt receipt;
    *one = (struct sent){.due_ms = now_ms() + draw(3000), .queue = draw(QUEUES)};
    ck_assert_msg(delay(one->queue, sent_count, one->due_ms, draw(5) == 0 ? 3 : 1, &receipt) == 0,
                  "%s", err.message);
    one->handle = receipt.position;
    one->end = store_positions().claimed;
    sent_count++;
}

static void random_cancel(void)
{
    if (sent_count == 0) {
        return;
    }
    struct sent *one = &sent[draw(sent_count)];
    if (one->lost || one->ended != 0) {
        return;
    }
    int32_t rc = commitlog_timer_cancel(store, one->handle, draw(5) == 0 ? 3 : 1, &err);
    if (rc == COMMITLOG_OK) {
        one->ended = store_positions().claimed;
    } else {
        ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
        ck_assert_int_le(one->due_ms, now_ms());
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_store();
    sent_count = 0;
    for (uint32_t i = 0; i < steps && sent_count < MESSAGES; i++) {
        switch (draw(10)) {
        case 0:
            random_cancel();
            break;
        case 1:
            pass_ms(draw(1500));
            break;
        case 2:
            step_all();
            break;
        case 3:
            put(draw(QUEUES), draw(60));
            break;
        case 4:
            if (draw(8) == 0) {
                random_restart();
            }
            break;
        case 5:
            if (draw(6) == 0) {
                (void)check_queues();
            }
            break;
        default:
            random_delay();
            break;
        }
    }
    random_restart();
    pass_ms(10000);
    for (int i = 0; i < 20; i++) {
        step_all();
    }
    uint32_t expected = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        expected += !sent[i].lost && sent[i].ended == 0 ? 1 : 0;
    }
    uint32_t found = check_queues();
    ck_assert_msg(found == expected, "%u of %u came (seed %llu)", found, expected,
                  (unsigned long long)seed);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(each_comes_once_and_none_early_whatever_happens)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 400);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("timers: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers");
    TCase *single = tcase_create("single");
    tcase_add_checked_fixture(single, timers_setup, teardown);
    tcase_add_test(single, a_message_comes_when_it_is_due_and_whole);
    tcase_add_test(single, a_time_that_has_passed_is_none);
    tcase_add_test(single, times_that_cannot_be_are_refused);
    tcase_add_test(single, those_that_wait_are_told);
    tcase_add_test(single, the_levels_are_those_of_rocketmq);
    tcase_add_test(single, what_is_cancelled_never_comes);
    tcase_add_test(single, what_waits_is_carried_and_keeps_its_handle);
    tcase_add_test(single, what_waits_may_be_half_of_the_log);
    tcase_add_test(single, a_reference_whose_original_is_gone_is_expired);
    tcase_add_test(single, a_producer_may_repeat_what_waits);
    suite_add_tcase(suite, single);
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, each_comes_once_and_none_early_whatever_happens);
    suite_add_tcase(suite, random);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
