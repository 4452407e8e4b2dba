/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_slot.c -- the newest slot of CHECKPOINT is lost, and the other one is of before the
 * last thing that the writer did: what else says so counts.
 */
#include "unit/fault_fixture.h"

#include "format/checkpoint.h"

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

int main(void)
{
    Suite *suite = suite_create("lost slot");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, where_the_log_begins_is_known_without_the_slot_that_retention_wrote, 0,
                        2);
    tcase_add_test(all, what_was_only_staged_survives_without_the_slot_of_its_session);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
