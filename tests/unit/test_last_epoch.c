/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_last_epoch.c -- a store whose CHECKPOINT names another last epoch or store time than it did.
 * Where its epochs are used up no session of a writer can follow, what is there is read, and verify
 * says the same as the next writer. Where the newest record has a later one no writer appends below
 * it.
 */
#include "unit/fault_fixture.h"

#include "format/checkpoint.h"
#include "support/run_suite.h"

/* As after so many sessions: and with no store time above that. */
static void age(uint32_t epoch, int64_t store_time_most)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes), 0);
    int dir = os->open_dir(os, "/store");
    ck_assert_int_ge(dir, 0);
    int fd = os->open_at(os, dir, "CHECKPOINT", CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    ck_assert_int_ge(fd, 0);
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        uint8_t page[CLG_FORMAT_PAGE_BYTES];
        struct clg_checkpoint slot;
        ck_assert_int_eq(os->pread(os, fd, page, sizeof(page), i * sizeof(page)), sizeof(page));
        ck_assert_int_eq(clg_checkpoint_decode(page, i, NULL, true, &slot), 0);
        slot.epoch = epoch;
        if (slot.store_time > store_time_most) {
            slot.store_time = store_time_most;
        }
        clg_checkpoint_encode(page, &slot);
        ck_assert_int_eq(os->pwrite(os, fd, page, sizeof(page), i * sizeof(page)), sizeof(page));
    }
    (void)os->close(os, fd);
    (void)os->close(os, dir);
}

static struct commitlog_options *options_of(uint32_t access)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, NULL), 0);
    return options;
}

/* _i: sessions that are left. */
START_TEST(verify_says_what_the_next_writer_does)
{
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(100, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    age(UINT32_MAX - 1 - (uint32_t)_i, INT64_MAX);
    struct commitlog_options *reads = options_of(COMMITLOG_READ_ONLY);
    struct commitlog_options *writes = options_of(COMMITLOG_READ_WRITE);
    const int32_t verified = commitlog_verify("/store", reads, &report, &err);
    commitlog_report_free(report);
    ck_assert_int_eq(verified, _i == 0 ? COMMITLOG_ELIMIT : COMMITLOG_OK);
    report = NULL;
    const int32_t planned =
        commitlog_recover("/store", writes, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err);
    commitlog_report_free(report);
    ck_assert_int_eq(planned, verified);
    ck_assert_int_eq(commitlog_open("/store", reads, &store, &err), 0);
    ck_assert_uint_eq(store_count(), 100);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_open("/store", writes, &store, &err), verified);
    commitlog_options_free(writes);
    commitlog_options_free(reads);
}
END_TEST

static void close_store(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

/* Three sessions, and a CHECKPOINT of their last close with an epoch or a store time below theirs.
 */
static void make_outrun(bool epoch)
{
    for (int session = 1; session <= 3; session++) {
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        store_put(10, COMMITLOG_LEVEL_DURABLE);
        close_store();
    }
    age(epoch ? 1 : 3, epoch ? INT64_MAX : 1);
}

/* _i: 0 an epoch that is too low, 1 a store time. */
START_TEST(a_writer_is_not_let_below_the_newest_record)
{
    make_outrun(_i == 0);
    struct commitlog_options *reads = options_of(COMMITLOG_READ_ONLY);
    struct commitlog_options *writes = options_of(COMMITLOG_READ_WRITE);
    struct commitlog_options *strict = options_of(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(
        commitlog_options_set(strict, COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_STRICT, NULL), 0);
    struct commitlog_report *report = NULL;
    struct commitlog_damage range;
    ck_assert_int_eq(commitlog_open("/store", writes, &store, &err), COMMITLOG_EDAMAGED);
    ck_assert_uint_lt(err.position, UINT64_MAX);
    ck_assert_int_eq(commitlog_open("/store", reads, &store, &err), 0);
    ck_assert_uint_eq(store_count(), 30);
    close_store();
    ck_assert_int_eq(commitlog_verify("/store", reads, &report, &err), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(commitlog_report_damage(report, 0, &range), 0);
    commitlog_report_free(report);
    ck_assert_int_eq(commitlog_recover("/store", strict, 0, &report, &err), COMMITLOG_EDAMAGED);
    commitlog_report_free(report);
    ck_assert_int_eq(commitlog_recover("/store", writes, 0, &report, &err), 0);
    commitlog_report_free(report);
    ck_assert_int_eq(commitlog_verify("/store", reads, &report, &err), 0);
    commitlog_report_free(report);
    ck_assert_int_eq(commitlog_open("/store", writes, &store, &err), 0);
    store_put(10, COMMITLOG_LEVEL_DURABLE);
    close_store();
    ck_assert_int_eq(commitlog_open("/store", writes, &store, &err), 0);
    ck_assert_uint_eq(store_count(), 40);
    close_store();
    commitlog_options_free(strict);
    commitlog_options_free(writes);
    commitlog_options_free(reads);
}
END_TEST

/* _i: the same. */
START_TEST(a_store_that_is_rebuilt_opens)
{
    make_outrun(_i == 0);
    struct commitlog_options *writes = options_of(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_rebuild("/store", writes, &err), 0);
    ck_assert_int_eq(commitlog_open("/store", writes, &store, &err), 0);
    ck_assert_uint_eq(store_count(), 30);
    close_store();
    commitlog_options_free(writes);
}
END_TEST

static Suite *epoch_suite(void)
{
    Suite *suite = suite_create("last epoch");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, verify_says_what_the_next_writer_does, 0, 2);
    tcase_add_loop_test(all, a_writer_is_not_let_below_the_newest_record, 0, 2);
    tcase_add_loop_test(all, a_store_that_is_rebuilt_opens, 0, 2);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    return run_suite(epoch_suite());
}
