/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_meanwhile.c -- what others do while a call of the system is under way, and before it comes
 * back: records that arrive during a flush or a drain, a reservation that is open during retention.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { RECORD = 1016, PIECE = 256 * 1024 }; /* no number of records fills a piece */

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    bool inside;
    uint64_t calls;
    uint64_t published; /* when the first call of interest began */
    uint64_t count;     /* of records */
    struct commitlog_fault *moment;
} during;

static void during_begin(void)
{
    memset(&during, 0, sizeof(during));
    during.under = commitlog_fault_os(machine);
    during.table = *during.under;
}

/* The disk has done its work, and before the call returns somebody else appends. */
static int during_fdatasync(const struct commitlog_os *os, int fd)
{
    (void)os;
    int rc = during.under->fdatasync(during.under, fd);
    if (store != NULL && during.calls++ == 0) {
        during.published = store_positions().published;
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "in between", 10, COMMITLOG_LEVEL_WRITTEN, NULL), 0);
    }
    return rc;
}

START_TEST(what_comes_while_a_flush_is_under_way_is_not_durable_with_it)
{
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    during_begin();
    during.table.fdatasync = during_fdatasync;
    ck_assert_int_eq(store_open_with(&during.table, (uint64_t)_i, COMMITLOG_RECOVER_TAIL), 0);
    store_put(1, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    ck_assert_uint_gt(during.calls, 0);
    ck_assert_uint_le(store_positions().durable, during.published);
    /* What is acknowledged now was flushed: a second flush there must be. */
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    uint64_t count = store_count();
    die(true);
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_uint_eq(store_count(), count);
}
END_TEST

/* The disk has done its work, and before the call returns another write of the store fails. */
static int during_fdatasync_fails(const struct commitlog_os *os, int fd)
{
    (void)os;
    int rc = during.under->fdatasync(during.under, fd);
    if (store != NULL && during.calls++ == 0) {
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 1, EIO, 0);
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "in between", 10, COMMITLOG_LEVEL_WRITTEN, NULL),
            COMMITLOG_EUNKNOWN);
        during.published = store_positions().durable;
    }
    return rc;
}

START_TEST(a_flush_that_comes_back_to_a_failed_store_moves_nothing)
{
    during_begin();
    during.table.fdatasync = during_fdatasync_fails;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(
        store_open_with(&during.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    store_put(1, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), COMMITLOG_EFAILED);
    ck_assert_uint_gt(during.calls, 0);
    ck_assert_uint_eq(store_positions().durable, during.published);
    ck_assert_int_eq(commitlog_wait_durable(store, store_positions().published, 0),
                     COMMITLOG_EFAILED);
    ck_assert_uint_eq(store_count(), 3);
}
END_TEST

/* A record of so many bytes in all. */
static void during_put(uint32_t bytes)
{
    uint8_t body[1024];
    memset(body, 0x55, sizeof(body));
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, body, bytes - 48, COMMITLOG_LEVEL_NONE, NULL), 0);
    during.count++;
}

static bool during_has_room(uint32_t bytes)
{
    struct commitlog_positions at = store_positions();
    return at.claimed + bytes < at.written + stage_bytes;
}

/* While a piece is written, others fill the stage to its end; the second time the process dies. */
static int64_t during_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                             uint64_t at)
{
    (void)os;
    if (store != NULL && !during.inside && size > 100000) {
        ck_assert(during.calls > 0 || (at + size) % PIECE == 0);
        during.inside = true;
        while (during_has_room(64)) {
            during_put(during_has_room(RECORD) ? RECORD : 64);
        }
        during.inside = false;
        if (during.calls++ == 1) {
            during.published = during.count;
            ck_assert_int_eq(commitlog_fault_clone(machine, 5, &during.moment), 0);
        }
    }
    return during.under->pwrite(during.under, fd, buf, size, at);
}

/* A stage that fills is drained in pieces by who appends. A piece ends where one of the file does,
 * within a record, and what counts as written before that record: of one that lay half in the
 * segment the other half could be overwritten, and neither were whole. */
START_TEST(what_counts_as_written_ends_at_a_record)
{
    segment_bytes = 4 << 20;
    stage_bytes = 1 << 20;
    during_begin();
    during.table.pwrite = during_pwrite;
    ck_assert_int_eq(
        store_open_with(&during.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    while (during.moment == NULL) {
        during_put(RECORD);
    }
    die_on(during.moment, false);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_ge(store_count(), during.published);
}
END_TEST

static bool during_is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Many zeros at once: where they go was nothing before. */
static int64_t during_zeros(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                            uint64_t at)
{
    (void)os;
    if (size > 100000 && during_is_zero(buf, size)) {
        uint8_t *before = malloc(size);
        ck_assert_ptr_nonnull(before);
        ck_assert_int_eq(during.under->pread(during.under, fd, before, size, at), (int64_t)size);
        ck_assert(during_is_zero(before, size));
        free(before);
        during.calls++;
    }
    return during.under->pwrite(during.under, fd, buf, size, at);
}

/* A disk that knows what was written, be it zeros. */
static int64_t during_next_data(const struct commitlog_os *os, int fd, uint64_t at)
{
    (void)os;
    return during.inside ? (int64_t)at : during.under->next_data(during.under, fd, at);
}

/* The first segment of a store was not prewritten: its zeros come in pieces of a MiB, with the
 * flush of what has come to where there are none, and none again in a store that is reopened. */
START_TEST(zeros_are_written_ahead_where_appends_wait_for_flushes)
{
    uint64_t count = 0;
    segment_bytes = 4 << 20;
    during_begin();
    during.table.pwrite = during_zeros;
    during.table.next_data = during_next_data;
    ck_assert_int_eq(
        store_open_with(&during.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    while (store_positions().written < segment_bytes + (segment_bytes >> 1)) {
        uint8_t body[32768];
        memset(body, 0x55, sizeof(body));
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, sizeof(body), COMMITLOG_LEVEL_DURABLE, NULL),
            0);
        count++;
        if (count == 64) {
            ck_assert_uint_eq(during.calls, 2); /* each a bit more than a MiB behind the other */
        }
    }
    ck_assert_uint_eq(during.calls, 4 + 2); /* nobody has prepared the second one */
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    during.inside = true; /* the disk has them */
    ck_assert_int_eq(
        store_open_with(&during.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_eq(during.calls, 4 + 2);
    die(true);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), count + 1);
}
END_TEST

/* A flush is under way, upkeep waits for it to flush what has come since, and is interrupted. */
static int during_fdatasync_steps(const struct commitlog_os *os, int fd)
{
    (void)os;
    if (store != NULL && !during.inside && during.calls++ == 0) {
        uint32_t wait_ms = 0;
        during.inside = true;
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "in between", 10, COMMITLOG_LEVEL_NONE, NULL), 0);
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
            during.under->sleep_ns(during.under, INT64_C(10000000000));
        }
        during.inside = false;
    }
    return during.under->fdatasync(during.under, fd);
}

static int during_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                             uint32_t expected, int64_t timeout_ns, bool shared)
{
    if (!during.inside) {
        return during.under->futex_wait(os, word, expected, timeout_ns, shared);
    }
    during.count++;
    ck_assert_int_eq(commitlog_interrupt(store), 0);
    return 0;
}

START_TEST(an_interrupt_does_not_make_upkeep_forget_what_is_not_flushed)
{
    uint32_t wait_ms = 0;
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    during_begin();
    during.table.fdatasync = during_fdatasync_steps;
    during.table.futex_wait = during_futex_wait;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(
        store_open_with(&during.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    during.calls = 0;
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_gt(during.count, 0); /* it waited, and was interrupted */
    ck_assert_uint_lt(store_positions().durable, store_positions().published);
    for (uint32_t i = 0; i < 3; i++) {
        during.under->sleep_ns(during.under, INT64_C(10000000000));
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    }
    ck_assert_uint_eq(store_positions().durable, store_positions().published);
    while (commitlog_event_next(store, &event) == 0) { /* nor is it an error of anybody's */
        ck_assert_int_ne(event.detail.code, COMMITLOG_EINTERRUPTED);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

/* Topic "t" is in the oldest segment only; what carries it forward lies behind a reservation. */
START_TEST(nothing_is_dropped_that_an_open_reservation_keeps_from_being_carried)
{
    static const uint8_t body[30000];
    struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 65536};
    struct commitlog_record record = {.struct_bytes = sizeof(record)};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_fault *next = NULL;
    void *place = NULL;
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_topic_open(store, "big", 3, 1, &record.topic, &err), 0);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_int_eq(commitlog_append(store, record.topic, 0, body, sizeof(body),
                                          COMMITLOG_LEVEL_DURABLE, NULL),
                         0);
    }
    ck_assert_int_eq(
        commitlog_reserve(store, &record, 100, COMMITLOG_FOREVER, &reservation, &place, &err), 0);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), COMMITLOG_EBUSY);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    ck_assert_int_eq(commitlog_abort(reservation), 0);
    die_on(next, true);
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_uint_eq(store_count(), 3);
}
END_TEST

static Suite *meanwhile_suite(void)
{
    Suite *suite = suite_create("meanwhile");
    TCase *cases = tcase_create("machine and store");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_comes_while_a_flush_is_under_way_is_not_durable_with_it, 0, 2);
    tcase_add_test(cases, a_flush_that_comes_back_to_a_failed_store_moves_nothing);
    tcase_add_test(cases, what_counts_as_written_ends_at_a_record);
    tcase_add_test(cases, zeros_are_written_ahead_where_appends_wait_for_flushes);
    tcase_add_test(cases, an_interrupt_does_not_make_upkeep_forget_what_is_not_flushed);
    tcase_add_loop_test(cases, nothing_is_dropped_that_an_open_reservation_keeps_from_being_carried,
                        0, 2);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(meanwhile_suite());
}
