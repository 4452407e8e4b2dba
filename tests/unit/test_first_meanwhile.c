/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_first_meanwhile.c -- retention that ends when the log says that a segment goes, and the
 * checkpoint does not yet: the segment is kept, and stays when CHECKPOINT, or a slot of it, is
 * lost.
 *
 * 0, 1: the writer is killed, the power goes; 2, 3: a reservation is open, and retention says
 * EBUSY.
 */
#include "format/topic_record.h"
#include "store/store.h"
#include "support/run_suite.h"
#include "unit/group_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE };

static struct commitlog_os meddling;
static bool armed;
static bool reserves;
static struct commitlog_fault *moment;

/* A slot of CHECKPOINT: nothing else of this size is written while retention runs here. */
static int64_t meddling_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                               uint64_t at)
{
    if (armed && size == 4096 && at <= 4096 && memcmp((const char *)buf + 1, "CLGCHKT", 7) == 0) {
        armed = false;
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &moment), 0);
    }
    return commitlog_fault_os(machine)->pwrite(os, fd, buf, size, at);
}

static struct commitlog_reservation *reservation;

/* What was carried forward is durable now, and somebody begins a message. */
static int meddling_fdatasync(const struct commitlog_os *os, int fd)
{
    int rc = commitlog_fault_os(machine)->fdatasync(os, fd);
    if (reserves) {
        const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
        void *body = NULL;
        reserves = false;
        ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &body, &err), 0);
        memcpy(body, "reserved", 8);
    }
    return rc;
}

static struct commitlog_queue_info info(void)
{
    struct commitlog_queue_info out = {.struct_bytes = sizeof(out)};
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &out), 0);
    return out;
}

static void spoil_newest_slot(void)
{
    const void *slots = NULL;
    uint64_t bytes = 0;
    uint64_t sequence[2];
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &slots, &bytes), 0);
    ck_assert_uint_eq(bytes, 2 * 4096);
    memcpy(&sequence[0], (const char *)slots + 64, 8);
    memcpy(&sequence[1], (const char *)slots + 4096 + 64, 8);
    uint64_t at = sequence[1] > sequence[0] ? 4096 : 0;
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/CHECKPOINT", at + 512, "torn", 4), 0);
}

START_TEST(a_segment_that_was_not_dropped_stays_when_the_checkpoint_is_lost)
{
    static const uint8_t body[20000];
    meddling = *commitlog_fault_os(machine);
    meddling.pwrite = meddling_pwrite;
    meddling.fdatasync = meddling_fdatasync;
    ck_assert_int_eq(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL),
                     0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    uint32_t idle = 0; /* is carried forward */
    ck_assert_int_eq(commitlog_topic_open(store, "idle", 4, 1, &idle, &err), 0);
    ck_assert_int_eq(commitlog_append(store, idle, 0, "x", 1, NONE, NULL), 0);
    for (uint32_t i = 0; i < 5; i++) { /* two in a segment */
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body), NONE, NULL), 0);
    }
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 2 * segment_bytes};
    uint32_t wait_ms = 0;
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    const uint64_t count = _i >= 2 ? 6 : 5;
    if (_i >= 2) {
        /* Nobody dies: the message that somebody has begun keeps the segment. */
        reserves = true;
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), COMMITLOG_EBUSY);
        ck_assert(!reserves);
        ck_assert_int_eq(commitlog_commit(reservation, COMMITLOG_FOREVER, NULL, &err), 0);
    } else {
        armed = true;
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
        ck_assert(!armed);
        die_on(moment, _i == 1);
        /* The writer died before anything was dropped. */
        ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    }
    /* All is there. */
    ck_assert_uint_eq(info().first_offset, 0);
    ck_assert_uint_eq(info().next_offset, count);
    /* Somebody comes to need it, and is told that he has it. */
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0,
                                           COMMITLOG_LEVEL_DURABLE, &err),
                     0);
    ck_assert_uint_eq(retain_all().segments_dropped, 0); /* the group keeps it */
    commitlog_group_close(group);
    if (_i == 3) { /* the power goes, and of CHECKPOINT the slot that was written last is torn */
        die(true);
        spoil_newest_slot();
    } else {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
        forget_views();
    }
    /* commitlog(7): "the next open for writing finds the same store". */
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(info().first_offset, 0);
    ck_assert_uint_eq(info().next_offset, count);
}
END_TEST

static void say_first(uint64_t first)
{
    uint8_t body[CLG_FIRST_BODY_BYTES];
    clg_first_encode(body, first);
    const struct commitlog_slice slice = {body, sizeof(body)};
    const struct clg_append item = {.kind = CLG_KIND_FIRST,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = sizeof(body)};
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(clg_store_append(store, &item, 1, clg_store_until(store, 0), &receipt, &err),
                     0);
}

/* What takes it back need not be in the file when the writer is killed. */
START_TEST(the_newest_counts_also_where_it_is_only_staged)
{
    static const uint8_t body[20000];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body), NONE, NULL), 0);
    }
    say_first(segment_bytes + CLG_SEGMENT_DATA_START);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    say_first(CLG_SEGMENT_DATA_START);
    die(false);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(info().first_offset, 0);
    ck_assert_uint_eq(info().next_offset, 5);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("first_meanwhile");
    TCase *tc = tcase_create("first");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_segment_that_was_not_dropped_stays_when_the_checkpoint_is_lost, 0, 4);
    tcase_add_test(tc, the_newest_counts_also_where_it_is_only_staged);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(make_suite());
}
