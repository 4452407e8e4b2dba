/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_damage_mended.c -- what a reader says of damage that the store has no longer, because the
 * file came back from a copy, or because retention has dropped it.
 */
#include "support/run_suite.h"
#include "unit/damage_fixture.h"

enum { FILL = 20 };

static const char spoiled[] = "/store/log/00000000000000065536.log";
static struct commitlog_store *reader;

/* By the reader: of queue 1, in which the oldest message is the only one, and by a key of nobody.
 */
static uint32_t damages_told(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_store *writer = store;
    uint32_t number = 0;
    store = reader;
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &number, &err), 0);
    ck_assert_int_eq(
        commitlog_cursor_open(store, number, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    uint32_t told = read_all(cursor, true).damages;
    told += read_all(open_by_key(number), false).damages;
    store = writer;
    return told;
}

static bool is_listed(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    return commitlog_damage_get(reader, 0, &damage) == COMMITLOG_OK;
}

/* A reader of a store in whose second segment a message has rotted. */
static void mended_setup(void)
{
    uint32_t a = 0;
    setup();
    ck_assert_uint_eq(segment_bytes, 65536); /* its name is `spoiled` */
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 2, &a, &err), 0);
    (void)put_one(a, 1, SMALL);
    for (uint32_t i = 0; i < FILL; i++) {
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(commitlog_fault_flip(machine, spoiled, 30000, 1), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/view/00000000000000065536.cq"), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/view/00000000000000065536.key"), 0);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    reader = store;
    store = NULL;
    ck_assert_uint_gt(damages_told(), 0);
    ck_assert(is_listed());
}

static void mended_teardown(void)
{
    (void)commitlog_close(reader, NULL);
    reader = NULL;
    teardown();
}

static void append_more(void)
{
    uint32_t a = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 2, &a, &err), 0);
    (void)put_one(a, 0, LARGE);
    pass_ms(6000); /* the reader looks for the next writer */
    (void)damages_told();
}

START_TEST(what_came_back_is_no_damage_in_the_next_session)
{
    ck_assert_int_eq(commitlog_fault_flip(machine, spoiled, 30000, 1), 0);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    append_more();
    ck_assert_uint_eq(damages_told(), 0);
    ck_assert(!is_listed());
}
END_TEST

START_TEST(what_rots_meanwhile_is_damage_in_the_next_session)
{
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    append_more();
    ck_assert_uint_gt(damages_told(), 0);
    ck_assert(is_listed());
}
END_TEST

START_TEST(what_retention_drops_is_no_damage_any_more)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    append_more();
    ck_assert(is_listed());
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    ck_assert_uint_gt(store_positions().first, 2 * segment_bytes);
    (void)damages_told(); /* it follows */
    ck_assert_uint_eq(damages_told(), 0);
    ck_assert(!is_listed());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage_mended");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, mended_setup, mended_teardown);
    tcase_add_test(cases, what_came_back_is_no_damage_in_the_next_session);
    tcase_add_test(cases, what_rots_meanwhile_is_damage_in_the_next_session);
    tcase_add_test(cases, what_retention_drops_is_no_damage_any_more);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
