/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_slot.c -- the newest slot of CHECKPOINT is lost, and the other one is of before the
 * last thing that the writer did: what else says so counts.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "format/checkpoint.h"
#include "support/run_suite.h"

/* The newest slot of CHECKPOINT fails its check from now on; what it said, and what the other says.
 */
static void lose_newest_slot(struct clg_checkpoint *newest, struct clg_checkpoint *other)
{
    struct clg_checkpoint slots[CLG_CHECKPOINT_SLOTS];
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes), 0);
    ck_assert_uint_ge(bytes, 2 * CLG_FORMAT_PAGE_BYTES);
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        const uint8_t *page = (const uint8_t *)data + (size_t)i * CLG_FORMAT_PAGE_BYTES;
        ck_assert_int_eq(clg_checkpoint_decode(page, i, NULL, true, &slots[i]), 0);
    }
    const uint32_t at = slots[0].sequence > slots[1].sequence ? 0 : 1;
    *newest = slots[at];
    *other = slots[1 - at];
    ck_assert_int_eq(
        commitlog_fault_flip(machine, "/store/CHECKPOINT", at * CLG_FORMAT_PAGE_BYTES + 100, 1), 0);
}

START_TEST(where_the_log_begins_is_known_without_the_slot_that_retention_wrote)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct clg_checkpoint newest;
    struct clg_checkpoint other;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3000, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    const struct commitlog_positions before = store_positions();
    ck_assert_uint_gt(before.first, segment_bytes);
    die(_i == 1);
    lose_newest_slot(&newest, &other);
    ck_assert_uint_lt(other.first, newest.first);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(store_positions().first, before.first);
    ck_assert_uint_eq(store_count(), 3000);
}
END_TEST

enum { NAME_BYTES = 32 };

/* Of /store/log: how many there are, and the last. */
static uint32_t log_names(char out[NAME_BYTES])
{
    const char *name = NULL;
    uint32_t count = 0;
    out[0] = '\0';
    while (commitlog_fault_name(machine, "/store/log", count, &name) == COMMITLOG_OK) {
        ck_assert_uint_lt(strlen(name), NAME_BYTES);
        if (strcmp(name, out) > 0) {
            (void)snprintf(out, NAME_BYTES, "%s", name);
        }
        count++;
    }
    return count;
}

/* CHECKPOINT is lost, which verify says, and with the newest segment the record that says where the
 * log begins, since its file is empty. What else of such a store is called sound is not refused a
 * moment later, and what is refused has all its files still. _i: segments prepared ahead that are
 * gone, too. */
START_TEST(verify_and_recovery_are_of_one_opinion_without_the_record_of_the_first)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 400000};
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    char name[NAME_BYTES];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    ck_assert_uint_gt(store_positions().first, segment_bytes);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int dir = os->open_dir(os, "/store/log");
    ck_assert_int_ge(dir, 0);
    for (int i = 0; i < _i; i++) {
        ck_assert_uint_gt(log_names(name), 3);
        ck_assert_int_eq(os->unlink_at(os, dir, name), 0);
    }
    const uint32_t before = log_names(name);
    int fd = os->open_at(os, dir, name, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->ftruncate(os, fd, 0), 0);
    (void)os->close(os, fd);
    (void)os->close(os, dir);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, os);
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    ck_assert_int_eq(commitlog_verify("/store", options, &report, &err), COMMITLOG_EDAMAGED);
    uint32_t others = 0;
    bool told = false;
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == COMMITLOG_OK; i++) {
        const bool lost = strcmp(damage.reason, "there is no CHECKPOINT") == 0;
        told = told || lost;
        others += lost ? 0 : 1;
    }
    ck_assert(told);
    commitlog_report_free(report);
    report = NULL;
    const int32_t recovered = commitlog_recover("/store", options, 0, &report, &err);
    commitlog_report_free(report);
    commitlog_options_free(options);
    ck_assert_msg((others == 0) == (recovered == COMMITLOG_OK),
                  "verify: %u more damages, recover: %s", others, commitlog_error_name(recovered));
    ck_assert(recovered == COMMITLOG_OK || log_names(name) == before);
}
END_TEST

/* Nothing says any more what the store was, if salvage puts these files aside. */
START_TEST(salvage_does_not_take_the_last_files_away)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    char name[NAME_BYTES];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(100, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    const uint32_t files = log_names(name);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int dir = os->open_dir(os, "/store/log");
    ck_assert_int_ge(dir, 0);
    for (uint32_t i = 1; i < files; i++) { /* those that were prepared ahead */
        ck_assert_int_eq(os->unlink_at(os, dir, name), 0);
        (void)log_names(name);
    }
    ck_assert_int_eq(os->rename_at(os, dir, name, dir, "00000000000006553600.log", false), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE, NULL), 0);
    commitlog_options_set_os(options, os);
    ck_assert_int_eq(commitlog_recover("/store", options, 0, &report, &err), COMMITLOG_EDAMAGED);
    commitlog_report_free(report);
    commitlog_options_free(options);
    ck_assert_uint_eq(log_names(name), 1);
    ck_assert_int_eq(os->rename_at(os, dir, name, dir, "00000000000000000000.log", false), 0);
    (void)os->close(os, dir);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 100);
}
END_TEST

/* Beside the writer that has dropped them. Its next checkpoint makes the slot good. */
START_TEST(what_was_dropped_is_no_damage_to_a_reader_beside_the_writer)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_store *reader = NULL;
    struct clg_checkpoint newest;
    struct clg_checkpoint other;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3000, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    lose_newest_slot(&newest, &other);
    ck_assert_uint_lt(other.first, newest.first);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_open("/store", options, &reader, &err) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_damage_get(reader, 0, &damage), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_close(reader, &err), 0);
    int32_t rc = commitlog_verify("/store", options, &report, &err);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    commitlog_report_free(report);
    commitlog_options_free(options);
}
END_TEST

/* The other slot is of the session before: LOCK and the live area itself name the one that died. */
START_TEST(what_was_only_staged_survives_without_the_slot_of_its_session)
{
    struct clg_checkpoint newest;
    struct clg_checkpoint other;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(5, COMMITLOG_LEVEL_NONE);
    die(false);
    lose_newest_slot(&newest, &other);
    ck_assert_uint_ne(newest.session, other.session);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 8);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_gt(found.records_from_stage, 5);
}
END_TEST

/* Closed, the slot that says so lost, and the last message: that its place was durable only a
 * .state says. */
static struct commitlog_fault *lose_slot_and_last(uint64_t *out_end)
{
    struct clg_checkpoint newest;
    struct clg_checkpoint other;
    struct commitlog_fault *lost = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(100, COMMITLOG_LEVEL_DURABLE);
    *out_end = store_positions().published;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    lose_newest_slot(&newest, &other);
    ck_assert_uint_lt(other.durable, *out_end);
    flip_body(0, 99);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &lost), 0);
    return lost;
}

/* A salvage is killed at any change, without the power or (_i) with it. It writes over the slot,
 * and what opens behind it has to know that one was lost: it refuses, or the place is kept. */
START_TEST(a_killed_salvage_does_not_hide_that_a_slot_was_lost)
{
    uint64_t end = 0;
    struct commitlog_fault *lost = lose_slot_and_last(&end);
    uint32_t refused = 0;
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        struct commitlog_fault *next = NULL;
        commitlog_fault_free(machine);
        ck_assert_int_eq(commitlog_fault_clone(lost, 5, &machine), 0);
        commitlog_fault_cut_at(machine, nth);
        (void)store_recover(COMMITLOG_RECOVER_SALVAGE, NULL);
        struck = commitlog_fault_is_dead(machine) != 0;
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
        die_on(next, _i == 1);
        commitlog_fault_cut_at(machine, 0);
        const int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
        ck_assert_msg(rc == 0 || rc == COMMITLOG_EDAMAGED, "%s", err.message);
        refused += rc != 0;
        ck_assert_msg(rc != 0 || store_positions().published >= end,
                      "killed at change %llu: what was durable is given out again",
                      (unsigned long long)nth);
        (void)commitlog_close(store, NULL);
        store = NULL;
    }
    commitlog_fault_free(lost);
    ck_assert_uint_gt(refused, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost slot");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, where_the_log_begins_is_known_without_the_slot_that_retention_wrote, 0,
                        2);
    tcase_add_loop_test(all, verify_and_recovery_are_of_one_opinion_without_the_record_of_the_first,
                        0, 3);
    tcase_add_test(all, salvage_does_not_take_the_last_files_away);
    tcase_add_test(all, what_was_dropped_is_no_damage_to_a_reader_beside_the_writer);
    tcase_add_test(all, what_was_only_staged_survives_without_the_slot_of_its_session);
    tcase_add_loop_test(all, a_killed_salvage_does_not_hide_that_a_slot_was_lost, 0, 2);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
