/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_dead_lost.c -- messages were given out for the last time and then the log lost them: there
 * is nothing to bury of them, they are done, and whoever asks for damage is told which they were.
 */
#include "support/run_suite.h"
#include "unit/receiver_fixture.h"
#include "unit/timer_fixture.h"

enum { SENT = 6, LOST_FROM = 2, LOST_TO = 5, LARGE = 8000, MANY = 24, QUEUE = 1 };

static struct commitlog_message messages[64];
static struct commitlog_delivery given[64];
static struct commitlog_receipt receipts[MANY];
static uint32_t count;

static void open_receiver(void)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = 1, .visibility_ms = 60000};
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_msg(open_receiver_with(&options) == 0, "%s", err.message);
}

static void dead_teardown(void)
{
    close_receiver();
    teardown();
}

static int32_t receive(void)
{
    return commitlog_receive(receiver, messages, given, 64, 0, &count, &err);
}

/* All are given out, which is durable, and the store is closed. */
static void give_out_and_close(uint32_t number, size_t bytes)
{
    static const char body[LARGE];
    open_store();
    open_receiver();
    for (uint32_t i = 0; i < number; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, QUEUE, body, bytes, COMMITLOG_LEVEL_DURABLE,
                                          &receipts[i]),
                         0);
    }
    ck_assert_int_eq(receive(), 0);
    ck_assert_uint_eq(count, number);
    close_receiver();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static void salvage(void)
{
    ck_assert_msg(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                  COMMITLOG_RECOVER_SALVAGE) == 0,
                  "%s", err.message);
    open_receiver();
}

static uint64_t committed(void)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = QUEUE};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    return offset.offset;
}

/* How many damages name this offset of the queue. */
static uint32_t times_told(uint64_t offset)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t times = 0;
    for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == COMMITLOG_OK; i++) {
        times += strcmp(damage.topic, "t") == 0 && damage.queue == QUEUE &&
                 damage.from_offset <= offset && offset < damage.to_offset;
    }
    return times;
}

/* [from, to) of `number` are lost, and the others are buried: each lost one has been told once. */
static void want_told(uint64_t from, uint64_t to, uint64_t number)
{
    struct commitlog_queue_info dead = {.struct_bytes = sizeof(dead)};
    uint64_t letters = 0;
    uint32_t dead_topic = 0;
    for (uint64_t offset = 0; offset < number; offset++) {
        const bool lost = from <= offset && offset < to;
        ck_assert_msg(times_told(offset) == (lost ? 1 : 0), "offset %llu was told %u times",
                      (unsigned long long)offset, times_told(offset));
    }
    ck_assert_uint_eq(committed(), number);
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead_topic, &err), 0);
    for (uint32_t q = 0; commitlog_queue_info(store, dead_topic, q, &dead) == COMMITLOG_OK; q++) {
        letters += dead.next_offset;
    }
    ck_assert_uint_eq(letters, number - (to - from));
}

/* By loops: their time is over, or they are given back; with view files, or without. */
START_TEST(lost_messages_whose_last_attempt_is_over_are_told)
{
    static const uint8_t junk[4096] = {1, 2, 3};
    give_out_and_close(SENT, 10);
    if ((_i & 2) != 0) {
        forget_views();
    }
    const uint64_t at = receipts[LOST_FROM].position;
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(0), at, junk,
                                           receipts[LOST_TO - 1].end_position - at),
                     0);
    salvage();
    for (uint64_t offset = 0; offset < SENT; offset++) {
        ck_assert_uint_eq(times_told(offset), 0); /* else nothing would be seen here */
    }
    if ((_i & 1) != 0) {
        ck_assert_int_eq(commitlog_nack(receiver, given, SENT, 0, &err), 0);
    } else {
        pass_ms(60001);
    }
    ck_assert_int_eq(receive(), COMMITLOG_EEND);
    want_told(LOST_FROM, LOST_TO, SENT);
    ck_assert_int_eq(receive(), COMMITLOG_EEND);
    want_told(LOST_FROM, LOST_TO, SENT);
}
END_TEST

/* Of a whole segment no entry is left that says so: the offsets are missing between its
 * neighbours. */
START_TEST(with_a_lost_segment_each_of_its_messages_is_told)
{
    uint64_t from = 0;
    uint64_t to = 0;
    give_out_and_close(MANY, LARGE);
    for (uint32_t i = 0; i < MANY; i++) {
        from += receipts[i].position < segment_bytes;
        to += receipts[i].position < 2 * segment_bytes;
    }
    ck_assert_uint_gt(to, from + 2);
    ck_assert_uint_lt(to, MANY);
    ck_assert_int_eq(commitlog_fault_remove(machine, segment_path(segment_bytes)), 0);
    forget_views();
    salvage();
    ck_assert_uint_eq(times_told(from), 0);
    pass_ms(60001);
    ck_assert_int_eq(receive(), COMMITLOG_EEND);
    want_told(from, to, MANY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead lost");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, dead_teardown);
    tcase_add_loop_test(all, lost_messages_whose_last_attempt_is_over_are_told, 0, 4);
    tcase_add_test(all, with_a_lost_segment_each_of_its_messages_is_told);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
