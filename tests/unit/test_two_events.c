/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_two_events.c -- killed, or told that a flush failed; opened again by one that believes the
 * cache; and then the power goes.
 */
#include "unit/fault_fixture.h"

#include "support/run_suite.h"

enum { MANY = 3000 };

static struct commitlog_fault *copy_of(const struct commitlog_fault *from, uint64_t seed)
{
    struct commitlog_fault *next = NULL;
    ck_assert_int_eq(commitlog_fault_clone(from, seed, &next), 0);
    return next;
}

/* The machine is as it was when `from` was made. */
static void go_on_with(const struct commitlog_fault *from, uint64_t seed)
{
    commitlog_fault_free(machine);
    machine = copy_of(from, seed);
}

static void power_goes(uint32_t survival)
{
    commitlog_fault_set_survival(machine, survival);
    commitlog_fault_power_cut(machine);
}

/* The process is killed at the nth change of what it is about to do; false: before that it is over.
 */
static bool killed(void)
{
    bool struck = commitlog_fault_is_dead(machine) != 0;
    die_on(copy_of(machine, 5), false);
    commitlog_fault_cut_at(machine, 0);
    return struck;
}

static void shut(void)
{
    (void)commitlog_close(store, NULL);
    store = NULL;
}

/* Closed, and a bit of the hundredth message of the second segment is another one. */
static struct commitlog_fault *damage_closed(void)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MANY, COMMITLOG_LEVEL_DURABLE);
    shut();
    flip_body(segment_bytes, 99);
    return copy_of(machine, 5);
}

/* A salvage is killed at any change. The store that opens then, and is closed as sound, is so
 * behind a power cut, too. */
START_TEST(a_salvage_that_was_killed_and_an_open)
{
    struct commitlog_fault *damage = damage_closed();
    uint32_t opened = 0;
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        go_on_with(damage, 5);
        commitlog_fault_cut_at(machine, nth);
        (void)store_recover(COMMITLOG_RECOVER_SALVAGE, NULL);
        struck = killed();
        if (store_open(COMMITLOG_ENGINE_STAGED) != 0) {
            continue; /* the damage is there yet, and is told */
        }
        store_put(1, COMMITLOG_LEVEL_DURABLE);
        shut();
        if (verify_store() != 0) {
            continue;
        }
        opened++;
        struct commitlog_fault *closed = copy_of(machine, 77);
        for (uint32_t survival = 0; survival <= 50; survival += 50) {
            go_on_with(closed, 78);
            power_goes(survival);
            ck_assert_msg(verify_store() == 0, "killed at change %llu, survival %u: %s",
                          (unsigned long long)nth, survival, err.message);
        }
        commitlog_fault_free(closed);
    }
    commitlog_fault_free(damage);
    ck_assert_uint_gt(opened, 1);
}
END_TEST

/* A flush of a salvage fails. The one that is done again, and says that all is well, does not rely
 * on a flush that says so because nothing is dirty any more. */
START_TEST(a_salvage_whose_flush_failed_is_written_again)
{
    struct commitlog_fault *damage = damage_closed();
    uint32_t failed = 0;
    for (uint64_t i = 0; i < 36; i++) {
        go_on_with(damage, 197 + i); /* of these none is written back by chance before */
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1 + i % 12, EIO, 0),
                         0);
        int32_t rc = store_recover(COMMITLOG_RECOVER_SALVAGE, NULL);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 0, 0, 0), 0);
        failed += rc != 0;
        die(false);
        if (store_recover(COMMITLOG_RECOVER_SALVAGE, NULL) != 0) {
            continue;
        }
        ck_assert_int_eq(verify_store(), 0);
        power_goes(0);
        ck_assert_msg(verify_store() == 0, "flush %llu failed: %s",
                      (unsigned long long)(1 + i % 12), err.message);
    }
    commitlog_fault_free(damage);
    ck_assert_uint_gt(failed, 5);
}
END_TEST

/* A store whose unflushed appends went over some segments, behind a power cut. */
static struct commitlog_fault *torn_over_segments(uint32_t written)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(20, COMMITLOG_LEVEL_DURABLE);
    store_put(written, COMMITLOG_LEVEL_WRITTEN);
    struct commitlog_fault *torn = copy_of(machine, 11);
    shut();
    commitlog_fault_free(machine);
    machine = torn;
    power_goes(60);
    return copy_of(machine, 1);
}

/* Names of log/ reach the disk in any order: a recovery that is killed while it removes the
 * segments behind a torn tail, and another one, leave no gap. */
START_TEST(unlinks_of_a_cut_make_no_gap)
{
    struct commitlog_fault *torn = torn_over_segments(4000);
    uint32_t cuts = 0;
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        go_on_with(torn, 5);
        commitlog_fault_cut_at(machine, nth);
        (void)store_open(COMMITLOG_ENGINE_STAGED);
        struck = killed();
        if (nth < 18 || nth > 26) {
            continue; /* that is when segments are removed */
        }
        struct commitlog_fault *again = copy_of(machine, 6);
        for (uint64_t change = 11; change < 16; change++) {
            go_on_with(again, 6);
            commitlog_fault_cut_at(machine, change);
            (void)store_open(COMMITLOG_ENGINE_STAGED);
            struct commitlog_fault *cut = copy_of(machine, 5);
            shut();
            for (uint64_t seed = 0; seed < 6; seed++) {
                go_on_with(cut, seed + 100);
                power_goes(50);
                ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0,
                              "killed at %llu, power at %llu, seed %llu: %s",
                              (unsigned long long)nth, (unsigned long long)change,
                              (unsigned long long)seed, err.message);
                shut();
                cuts++;
            }
            commitlog_fault_free(cut);
        }
        commitlog_fault_free(again);
    }
    commitlog_fault_free(torn);
    ck_assert_uint_gt(cuts, 100);
}
END_TEST

/* CHECKPOINT was removed, as it may be of a closed store, and the recovery that made it anew was
 * killed: its name is on the disk before the store relies on it. */
START_TEST(a_checkpoint_has_a_name_before_it_is_relied_on)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MANY, COMMITLOG_LEVEL_DURABLE);
    shut();
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    struct commitlog_fault *closed = copy_of(machine, 5);
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        struct commitlog_retention keep = {.struct_bytes = sizeof(keep),
                                           .keep_bytes = segment_bytes};
        struct commitlog_retained kept = {.struct_bytes = sizeof(kept)};
        go_on_with(closed, 5);
        commitlog_fault_cut_at(machine, nth);
        (void)store_recover(COMMITLOG_RECOVER_TAIL, NULL);
        struck = killed();
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        store_put(10, COMMITLOG_LEVEL_DURABLE);
        ck_assert_int_eq(commitlog_retain(store, &keep, &kept, &err), 0);
        ck_assert_uint_gt(kept.segments_dropped, 0);
        die(true);
        ck_assert_msg(commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes) == 0,
                      "killed at change %llu: no CHECKPOINT", (unsigned long long)nth);
    }
    commitlog_fault_free(closed);
}
END_TEST

/* Somebody has removed quarantine/; the recovery that made it anew was killed: it is on the disk
 * before what was copied to it is cut. */
START_TEST(quarantine_is_there_before_something_is_cut)
{
    struct commitlog_fault *torn = torn_over_segments(400);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = os->open_dir(os, "/store");
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->rmdir_at(os, fd, "quarantine"), 0);
    ck_assert_int_eq(os->fsync(os, fd), 0);
    (void)os->close(os, fd);
    commitlog_fault_free(torn);
    torn = copy_of(machine, 1);
    for (uint64_t nth = 1; nth < 5; nth++) {
        go_on_with(torn, 5);
        commitlog_fault_cut_at(machine, nth);
        (void)store_open(COMMITLOG_ENGINE_STAGED);
        (void)killed();
        struct commitlog_fault *again = copy_of(machine, 6);
        bool struck = true;
        for (uint64_t change = 1; struck; change++) {
            struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
            const char *name = NULL;
            go_on_with(again, 6);
            commitlog_fault_cut_at(machine, change);
            (void)store_open(COMMITLOG_ENGINE_STAGED);
            struck = commitlog_fault_is_dead(machine) != 0;
            die_on(copy_of(machine, 5 + change), true);
            bool kept = commitlog_fault_name(machine, "/store/quarantine", 0, &name) == 0;
            int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
            (void)commitlog_recovery_get(store, &found);
            shut();
            ck_assert_msg(rc != 0 || kept || found.tail != COMMITLOG_TAIL_CLEAN,
                          "killed at %llu, power at %llu: cut, and there is no copy",
                          (unsigned long long)nth, (unsigned long long)change);
        }
        commitlog_fault_free(again);
    }
    commitlog_fault_free(torn);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("two events");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_salvage_that_was_killed_and_an_open);
    tcase_add_test(tc, a_salvage_whose_flush_failed_is_written_again);
    tcase_add_test(tc, unlinks_of_a_cut_make_no_gap);
    tcase_add_test(tc, a_checkpoint_has_a_name_before_it_is_relied_on);
    tcase_add_test(tc, quarantine_is_there_before_something_is_cut);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
