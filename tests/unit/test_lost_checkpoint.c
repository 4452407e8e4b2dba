/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_checkpoint.c -- CHECKPOINT is damaged, or gone: verify says so, who opens the store is
 * told, and the newest .state says how far the log was durable.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "format/checkpoint.h"
#include "support/run_suite.h"

enum { MESSAGES = 100 };

enum how { GONE, BOTH, ZEROS, EMPTY, ONE, OLDER };
enum { HOWS = OLDER + 1 };

static const char checkpoint[] = "/store/CHECKPOINT";
static const char *const said[HOWS] = {"there is no CHECKPOINT",
                                       "both slots of CHECKPOINT are damaged",
                                       "CHECKPOINT says nothing",
                                       "both slots of CHECKPOINT are damaged",
                                       NULL,
                                       NULL};

/* Which slot is the newer one? */
static uint32_t newest_slot(void)
{
    struct clg_checkpoint slots[CLG_CHECKPOINT_SLOTS];
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, checkpoint, &data, &bytes), 0);
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        const uint8_t *page = (const uint8_t *)data + (size_t)i * CLG_FORMAT_PAGE_BYTES;
        ck_assert_int_eq(clg_checkpoint_decode(page, i, NULL, true, &slots[i]), 0);
    }
    return slots[0].sequence > slots[1].sequence ? 0 : 1;
}

static void spoil(enum how how)
{
    static const uint8_t zeros[CLG_CHECKPOINT_SLOTS * CLG_FORMAT_PAGE_BYTES];
    switch (how) {
    case GONE:
        ck_assert_int_eq(commitlog_fault_remove(machine, checkpoint), 0);
        break;
    case BOTH:
        ck_assert_int_eq(commitlog_fault_flip(machine, checkpoint, 100, 1), 0);
        ck_assert_int_eq(commitlog_fault_flip(machine, checkpoint, CLG_FORMAT_PAGE_BYTES + 100, 1),
                         0);
        break;
    case ZEROS:
        ck_assert_int_eq(commitlog_fault_write(machine, checkpoint, 0, zeros, sizeof(zeros)), 0);
        break;
    case EMPTY:
        ck_assert_int_eq(commitlog_fault_resize(machine, checkpoint, 0), 0);
        break;
    case ONE:
    case OLDER:
        ck_assert_int_eq(
            commitlog_fault_flip(
                machine, checkpoint,
                (how == ONE ? newest_slot() : 1 - newest_slot()) * CLG_FORMAT_PAGE_BYTES + 100, 1),
            0);
        break;
    }
}

/* A store of two sessions that was closed: the older slot knows nothing of what the second wrote.
 */
static void make_store(void)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MESSAGES - 1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static bool report_has(const struct commitlog_report *report, const char *text)
{
    const char *line = NULL;
    bool found = false;
    for (uint32_t i = 0; (line = commitlog_report_line(report, i)) != NULL; i++) {
        found = found || strstr(line, text) != NULL;
    }
    return found;
}

START_TEST(verify_tells_it_and_who_opens_is_told)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    const char *text = said[_i];
    make_store();
    spoil((enum how)_i);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    const int32_t rc = commitlog_verify("/store", options, &report, &err);
    ck_assert_int_eq(rc, text != NULL ? COMMITLOG_EDAMAGED : COMMITLOG_OK);
    if (text != NULL) {
        ck_assert_int_eq(commitlog_report_damage(report, 0, &damage), COMMITLOG_OK);
        ck_assert_str_eq(damage.reason, text);
        ck_assert_int_eq(commitlog_report_damage(report, 1, &damage), COMMITLOG_ENOTFOUND);
    } else { /* a power cut can leave one slot so */
        ck_assert(report_has(report, "a slot of CHECKPOINT is damaged, or the power went"));
    }
    ck_assert(!report_has(report, "the last writer did not close"));
    commitlog_report_free(report);
    commitlog_options_free(options);

    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    bool told = false;
    while (commitlog_event_next(store, &event) == COMMITLOG_OK) {
        told = told || (text != NULL && event.severity == COMMITLOG_EVENT_WARNING &&
                        strncmp(event.detail.message, text, strlen(text)) == 0);
    }
    ck_assert(told == (text != NULL));
    ck_assert_uint_eq(store_count(), MESSAGES);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(verify_store(), COMMITLOG_OK);
}
END_TEST

/* Nothing else says that the last messages were durable: the older slot is of before them. */
START_TEST(a_reader_is_given_what_a_state_proves)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    make_store();
    spoil((enum how)_i);
    ck_assert_msg(store_open_by(values, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_eq(found.witness, found.end);
    ck_assert_uint_eq(store_count(), MESSAGES);
}
END_TEST

/* Only the name, or only a copy with a bit flipped: that proves nothing. */
START_TEST(a_state_that_fails_its_check_proves_nothing)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    const char *name = NULL;
    char path[64];
    uint32_t states = 0;
    make_store();
    spoil(ONE);
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0; i++) {
        if (strstr(name, ".state") != NULL) {
            (void)snprintf(path, sizeof(path), "/store/view/%s", name);
            states++;
        }
    }
    ck_assert_uint_eq(states, 1);
    if (_i < 2) {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, _i == 0 ? 20 : 300, 1), 0);
    } else if (_i == 2) {
        ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 0, 4096), 0);
    } else {
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
        ck_assert_int_eq(
            commitlog_fault_os(machine)->mkdir_path(commitlog_fault_os(machine), path, 0755), 0);
    }
    ck_assert_msg(store_open_by(values, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_lt(found.witness, found.end);
    ck_assert_uint_lt(store_count(), MESSAGES);
}
END_TEST

/* Each open that fails while CHECKPOINT does not tell: an answer, and no descriptor too many. */
START_TEST(a_state_that_cannot_be_opened_proves_nothing)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    make_store();
    spoil(ONE);
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        const uint64_t before = commitlog_fault_count(machine, COMMITLOG_FAULT_OPEN);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_OPEN, nth, EMFILE, 0), 0);
        const int32_t rc = store_open_by(values, 1);
        struck = commitlog_fault_count(machine, COMMITLOG_FAULT_OPEN) - before >= nth;
        ck_assert(rc == COMMITLOG_OK ? store_count() <= MESSAGES : store == NULL);
        ck_assert_int_eq(commitlog_fault_fail(machine, 0, 0, 0, 0), 0);
        (void)commitlog_close(store, NULL);
        store = NULL;
        ck_assert_uint_lt(nth, 100);
    }
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN), 0);
}
END_TEST

/* And the last record with it: what a .state knows to be missing is damage, not a torn tail. */
START_TEST(what_a_state_knows_to_be_missing_is_not_cut)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    static const char first_segment[] = "/store/log/00000000000000000000.log";
    make_store();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    const uint64_t end = store_positions().published;
    ck_assert_uint_lt(end, segment_bytes);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    spoil((enum how)_i);
    ck_assert_int_eq(commitlog_fault_flip(machine, first_segment, end - 12, 1), 0);
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_msg(store_open_with(os, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE) == 0,
                  "%s", err.message);
    ck_assert_uint_ge(store_positions().published, end); /* its place is not given out again */
    ck_assert_uint_eq(store_count(), MESSAGES);          /* a hole has its offset */
}
END_TEST

/* Of the log nothing is left, but what was derived of it: nobody says that there is no store, nor
 * makes one. */
START_TEST(without_any_of_the_log_it_is_damaged)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    const char *name = NULL;
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    char path[100];
    make_store();
    ck_assert_int_eq(commitlog_fault_name(machine, "/store/view", 0, &name), 0);
    spoil(GONE);
    while (commitlog_fault_name(machine, "/store/log", 0, &name) == COMMITLOG_OK) {
        (void)snprintf(path, sizeof(path), "/store/log/%.60s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
    for (uint32_t mode = COMMITLOG_RECOVER_TAIL; mode <= COMMITLOG_RECOVER_SALVAGE; mode++) {
        ck_assert_int_eq(store_open_with(os, COMMITLOG_ENGINE_STAGED, mode), COMMITLOG_EDAMAGED);
        ck_assert_msg(strstr(err.message, "no log") != NULL, "%s", err.message);
    }
    ck_assert_int_eq(store_open_by(values, 1), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(commitlog_fault_name(machine, "/store/log", 0, &name), COMMITLOG_ENOTFOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost CHECKPOINT");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, verify_tells_it_and_who_opens_is_told, 0, HOWS);
    tcase_add_loop_test(all, a_reader_is_given_what_a_state_proves, 0, HOWS);
    tcase_add_loop_test(all, a_state_that_fails_its_check_proves_nothing, 0, 4);
    tcase_add_test(all, a_state_that_cannot_be_opened_proves_nothing);
    tcase_add_loop_test(all, what_a_state_knows_to_be_missing_is_not_cut, 0, HOWS);
    tcase_add_test(all, without_any_of_the_log_it_is_damaged);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
