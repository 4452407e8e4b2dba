/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_two_damages.c -- two things are wrong at once: each is named, by a reader, by verify and by
 * a plan, and who refuses to write changes nothing.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "format/limits.h"
#include "support/run_suite.h"

enum { OLDEST_MISSING = 1, RECORD_WRONG = 2, HEADER_WRONG = 4, LAST_HEADLESS = 8, CASES = 16 };

/* Damages are told in order: all up to here is named, when it begins where they are asked for. */
static void add_damage(uint64_t *named, const struct commitlog_damage *damage)
{
    if (damage->from_position <= *named && damage->to_position > *named &&
        damage->to_position != UINT64_MAX)
        *named = damage->to_position;
}

static void check_named(uint64_t named, uint64_t end)
{
    ck_assert_msg(named >= end, "nothing names %llu of %llu", (unsigned long long)named,
                  (unsigned long long)end);
}

static void check_reader(uint64_t from, uint64_t end)
{
    const uint64_t how[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint64_t named = from;
    ck_assert_int_eq(store_open_by(how, 1), COMMITLOG_OK);
    for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == COMMITLOG_OK; i++) {
        add_damage(&named, &damage);
    }
    check_named(named, end);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_OK);
    store = NULL;
}

static void check_report(struct commitlog_report *report, uint64_t from, uint64_t end)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint64_t named = from;
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == COMMITLOG_OK; i++) {
        add_damage(&named, &damage);
    }
    commitlog_report_free(report);
    check_named(named, end);
}

/* The newest segments are missing; _i: what is wrong besides. */
START_TEST(a_lost_end_is_named_beside_other_damage)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    const uint64_t end = store_positions().published;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    const uint64_t lost = 6 * segment_bytes;
    ck_assert_uint_gt(end, lost + 2 * segment_bytes);
    for (uint64_t base = lost;
         commitlog_fault_remove(machine, segment_path(base)) == COMMITLOG_OK;) {
        base += segment_bytes;
    }
    if ((_i & OLDEST_MISSING) != 0)
        ck_assert_int_eq(commitlog_fault_remove(machine, segment_path(0)), 0);
    if ((_i & RECORD_WRONG) != 0)
        ck_assert_int_eq(
            commitlog_fault_flip(machine, segment_path(2 * segment_bytes), segment_bytes / 2, 4),
            0);
    if ((_i & HEADER_WRONG) != 0) /* then all of the log is looked at */
        ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(3 * segment_bytes), 20, 1), 0);
    if ((_i & LAST_HEADLESS) != 0) {
        ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(lost - segment_bytes), 20, 1),
                         0);
        ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(lost - segment_bytes), 4116, 1),
                         0);
    }
    const uint64_t from = lost + CLG_SEGMENT_DATA_START;
    check_reader(from, end);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_verify("/store", options, &report, &err), COMMITLOG_EDAMAGED);
    check_report(report, from, end);
    ck_assert_int_eq(
        commitlog_recover("/store", options, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err),
        COMMITLOG_EDAMAGED);
    check_report(report, from, end);
    commitlog_options_free(options);
}
END_TEST

/* Without CHECKPOINT the log itself says where it begins, also when its tail is torn. */
START_TEST(a_lost_beginning_is_named_beside_a_torn_tail)
{
    const uint64_t how[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    const uint64_t end = store_positions().published;
    const uint64_t last = end / segment_bytes * segment_bytes;
    die(false);
    ck_assert_uint_gt(end - last, segment_bytes / 2);
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(last), segment_bytes / 2, 1), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, segment_path(0)), 0);
    ck_assert_int_eq(store_open_by(how, 1), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_damage_get(store, 0, &damage), COMMITLOG_OK);
    ck_assert_uint_eq(damage.from_position, 0);
    ck_assert_uint_eq(damage.to_position, segment_bytes);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_OK);
    store = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
}
END_TEST

/* With the newest .state the views would have begun behind the damage. */
START_TEST(a_refusal_for_a_bad_state_has_cut_nothing)
{
    char path[64];
    const char *name = NULL;
    const void *data = NULL;
    uint64_t bytes = 0;
    uint32_t states = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(10, COMMITLOG_LEVEL_DURABLE);
    store_put(100, COMMITLOG_LEVEL_WRITTEN);
    const uint64_t end = store_positions().published;
    const uint64_t last = end / segment_bytes * segment_bytes;
    die(false);
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0; i++) {
        if (strstr(name, ".state") != NULL) {
            (void)snprintf(path, sizeof(path), "/store/view/%s", name);
            states++;
        }
    }
    ck_assert_uint_eq(states, 1);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, bytes - 1, 1), 0);
    /* The header of a record, which the views read. */
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0), segment_bytes / 2 + 24, 1), 0);
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(last), end - last - 100, 1), 0);
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(last), &data, &bytes), 0);
    void *before = malloc(bytes);
    ck_assert_ptr_nonnull(before);
    memcpy(before, data, bytes);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(last), &data, &bytes), 0);
    ck_assert(memcmp(before, data, bytes) == 0);
    free(before);
}
END_TEST

/* That are given, one after the other. */
static uint32_t messages_given(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    uint32_t given = 0;
    int32_t rc = COMMITLOG_OK;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    while (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED) {
        uint32_t count = 0;
        uint64_t bound = 0;
        rc = commitlog_cursor_fetch(cursor, messages, 64, 0, &count, &bound);
        given += rc == COMMITLOG_OK ? count : 0;
        if (rc == COMMITLOG_EDAMAGED) {
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    return given;
}

static uint32_t read_given(void)
{
    const uint64_t how[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    ck_assert_msg(store_open_by(how, 1) == COMMITLOG_OK, "%s", err.message);
    const uint32_t given = messages_given();
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_OK);
    store = NULL;
    return given;
}

/* Of a file that was cut short the rest is read, also where the neighbours have to say what its
 * header was. */
START_TEST(what_is_left_of_a_cut_file_without_its_header_is_given)
{
    enum { PUT = 3000 };
    const char *path = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(PUT, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_uint_gt(store_positions().published, 3 * segment_bytes);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    path = segment_path(segment_bytes);
    ck_assert_int_eq(commitlog_fault_resize(machine, path, segment_bytes / 2), 0);
    const uint32_t given = read_given();
    ck_assert_uint_lt(given, PUT);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, 20, 1), 0);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, 4116, 1), 0);
    ck_assert_uint_eq(read_given(), given);
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_msg(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                  COMMITLOG_RECOVER_SALVAGE) == 0,
                  "%s", err.message);
    ck_assert_uint_eq(messages_given(), given);
    ck_assert_uint_eq(store_count(), PUT);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(verify_store(), COMMITLOG_OK);
}
END_TEST

static Suite *two_damages_suite(void)
{
    Suite *suite = suite_create("two damages");
    TCase *two = tcase_create("two");
    tcase_add_checked_fixture(two, setup, teardown);
    tcase_add_loop_test(two, a_lost_end_is_named_beside_other_damage, 0, CASES);
    tcase_add_test(two, a_lost_beginning_is_named_beside_a_torn_tail);
    tcase_add_test(two, a_refusal_for_a_bad_state_has_cut_nothing);
    tcase_add_test(two, what_is_left_of_a_cut_file_without_its_header_is_given);
    suite_add_tcase(suite, two);
    return suite;
}

int main(void)
{
    return run_suite(two_damages_suite());
}
