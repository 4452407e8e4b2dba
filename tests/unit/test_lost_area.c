/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_area.c -- what is only in the live area of a writer that was killed. LOCK is not all
 * there is that names it; and where it cannot be had, that is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/fault_fixture.h"

#include "format/live_area.h"
#include "support/run_suite.h"

enum { LOCK_FLIPPED, LOCK_EMPTY, LOCK_GONE, LOCK_WAYS };

/* LOCK names nobody from now on. */
static void lose_lock(int way)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    if (way == LOCK_FLIPPED) {
        ck_assert_int_eq(commitlog_fault_flip(machine, "/store/LOCK", 110, 1), 0);
        return;
    }
    int dir = os->open_dir(os, "/store");
    ck_assert_int_ge(dir, 0);
    if (way == LOCK_GONE) {
        ck_assert_int_eq(os->unlink_at(os, dir, "LOCK"), 0);
    } else {
        int fd = os->open_at(os, dir, "LOCK", CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(os->ftruncate(os, fd, 0), 0);
        (void)os->close(os, fd);
    }
    (void)os->close(os, dir);
}

/* Of the live area of a store with this place for it. */
static const char *area_path(uint64_t place)
{
    static char path[300];
    const char *name = NULL;
    (void)snprintf(path, sizeof(path), "/store/LIVE");
    if (place == COMMITLOG_LIVE_TMPFS) {
        ck_assert_int_eq(commitlog_fault_name(machine, "/shm", 0, &name), 0);
        (void)snprintf(path, sizeof(path), "/shm/%s", name);
    }
    return path;
}

static uint64_t threads; /* an opening has upkeep's */

static int32_t open_with(const struct commitlog_os *os, uint64_t place, uint64_t mode)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, threads, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, place, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, mode, NULL), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, stage_bytes, NULL),
                     0);
    commitlog_options_set_os(options, os);
    int32_t rc = commitlog_open("/store", options, &store, &err);
    store = rc == COMMITLOG_OK ? store : NULL;
    commitlog_options_free(options);
    return rc;
}

static int32_t open_at(uint64_t place, uint64_t mode)
{
    return open_with(commitlog_fault_os(machine), place, mode);
}

static void die_staged(uint64_t place)
{
    ck_assert_msg(open_at(place, COMMITLOG_RECOVER_TAIL) == 0, "%s", err.message);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    store_put(5, COMMITLOG_LEVEL_NONE);
    die(false);
}

/* The area has a fixed name in each of its places, and says itself whose it is. A recovery that
 * dies must find it, too, although it has written LOCK. */
START_TEST(what_was_only_staged_survives_without_what_lock_says)
{
    const uint64_t place = _i / LOCK_WAYS == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    die_staged(place);
    lose_lock(_i % LOCK_WAYS);
    ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 8);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_ge(found.records_from_stage, 5);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_CLEAN);
}
END_TEST

static void recover_store(void)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_recover("/store", options, 0, &report, &err) == 0, "%s", err.message);
    commitlog_report_free(report);
    commitlog_options_free(options);
}

/* It is not left behind in memory. */
START_TEST(what_a_recovery_has_used_up_is_removed_without_what_lock_says)
{
    const char *name = NULL;
    die_staged(COMMITLOG_LIVE_TMPFS);
    lose_lock(_i);
    ck_assert_int_eq(commitlog_fault_name(machine, "/shm", 0, &name), COMMITLOG_OK);
    recover_store();
    ck_assert_int_ne(commitlog_fault_name(machine, "/shm", 0, &name), COMMITLOG_OK);
    ck_assert_int_eq(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT), 0);
    ck_assert_uint_eq(store_count(), 8);
}
END_TEST

/* The plan that comes before uses nothing up. */
START_TEST(what_was_only_staged_survives_a_rebuild_of_the_views)
{
    struct commitlog_options *options = NULL;
    die_staged(_i == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_rebuild("/store", options, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT), 0);
    ck_assert_uint_eq(store_count(), 8);
}
END_TEST

START_TEST(a_recovery_that_dies_leaves_the_area_to_be_found_again)
{
    die_staged(COMMITLOG_LIVE_TMPFS);
    lose_lock(LOCK_FLIPPED);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 1 + (uint64_t)_i, EIO, 0),
                     0);
    ck_assert_int_ne(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_fault_fail(machine, 0, 0, 0, 0), 0);
    die(false);
    ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 8);
}
END_TEST

/* Strict refuses; who goes on has what the log has, and is told. */
static void expect_loss_told(const char *why, uint32_t count)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    ck_assert_int_eq(verify_store_for(&found), COMMITLOG_OK);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_int_eq(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT), COMMITLOG_EDAMAGED);
    ck_assert_msg(strstr(err.message, why) != NULL, "%s", err.message);
    ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), count);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_UNPROVABLE);
}

/* What only it held is lost, and nobody can tell if there was any. */
START_TEST(an_area_that_is_there_but_damaged_is_not_passed_over_in_silence)
{
    const uint64_t place = _i % 2 == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    die_staged(place);
    if (_i / 2 == 1) {
        lose_lock(LOCK_FLIPPED);
    }
    ck_assert_int_eq(commitlog_fault_flip(machine, area_path(place), CLG_LIVE_AT_RING_BYTES, 1), 0);
    expect_loss_told("fails its checks", 3);
}
END_TEST

enum { AREA_REMOVED, AREA_OF_ANOTHER, AREA_OF_BEFORE, AREA_WAYS };

/* LOCK of this boot says that there is one; what has its place is of another directory, or of the
 * session before. Once that is told the store is sound. */
START_TEST(an_area_that_is_gone_is_not_passed_over_in_silence)
{
    const uint64_t place = _i / AREA_WAYS == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const void *data = NULL;
    uint64_t bytes = 0;
    die_staged(place);
    ck_assert_int_eq(commitlog_fault_content(machine, area_path(place), &data, &bytes), 0);
    uint8_t *before = malloc(bytes);
    ck_assert_ptr_nonnull(before);
    memcpy(before, data, bytes);
    ck_assert_int_eq(open_at(place, COMMITLOG_RECOVER_STRICT), 0);
    store_put(5, COMMITLOG_LEVEL_NONE);
    die(false);
    if (_i % AREA_WAYS == AREA_REMOVED) {
        ck_assert_int_eq(commitlog_fault_remove(machine, area_path(place)), 0);
    } else {
        if (_i % AREA_WAYS == AREA_OF_ANOTHER) {
            struct clg_live_header header;
            ck_assert_int_eq(clg_live_area_check(before, bytes, NULL, NULL, &header), 0);
            header.inode++;
            clg_live_header_encode(before, &header);
        }
        ck_assert_int_eq(commitlog_fault_write(machine, area_path(place), 0, before, bytes), 0);
    }
    free(before);
    expect_loss_told("is gone", 8);
    die(false);
    ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 8);
}
END_TEST

/* An opening that fails or dies has used the area up, or left it: it is not told as lost. _i: the
 * old place and the new, and how. */
START_TEST(no_opening_that_ends_early_makes_an_area_seem_gone)
{
    const uint64_t place = _i % 2 == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const uint64_t next_place = _i / 2 % 2 == 0 ? place : COMMITLOG_LIVE_DIR;
    static const uint32_t kinds[] = {COMMITLOG_FAULT_ANY, COMMITLOG_FAULT_ALLOC,
                                     COMMITLOG_FAULT_KINDS};
    const uint32_t kind = kinds[_i / 4];
    die_staged(place);
    struct commitlog_fault *base = machine;
    bool early = true;
    uint64_t nth = 1;
    for (; early; nth++) {
        struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
        ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
        if (kind == COMMITLOG_FAULT_KINDS) {
            commitlog_fault_cut_at(machine, nth);
        } else {
            ck_assert_int_eq(commitlog_fault_fail(machine, kind, nth,
                                                  kind == COMMITLOG_FAULT_ALLOC ? ENOMEM : EIO, 0),
                             0);
        }
        const uint64_t calls = commitlog_fault_count(machine, kind);
        (void)open_at(next_place, COMMITLOG_RECOVER_TAIL);
        early = kind == COMMITLOG_FAULT_KINDS ? commitlog_fault_is_dead(machine) != 0
                                              : commitlog_fault_count(machine, kind) >= calls + nth;
        struct commitlog_fault *next = NULL;
        ck_assert_int_eq(commitlog_fault_fail(machine, 0, 0, 0, 0), 0);
        ck_assert_int_eq(commitlog_fault_clone(machine, nth, &next), 0);
        die_on(next, false);
        ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL) == 0, "call %u: %s",
                      (unsigned)nth, err.message);
        ck_assert_uint_eq(store_count(), 8);
        ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
        ck_assert_msg(found.tail != COMMITLOG_TAIL_UNPROVABLE, "call %u", (unsigned)nth);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = base;
    ck_assert_uint_gt(nth, 10);
}
END_TEST

/* A writer that is looked at by a reader whenever it has written something. */
static struct commitlog_os looked_at;
static uint32_t looks;

static int64_t looked_at_pwrite(const struct commitlog_os *os, int fd, const void *data,
                                size_t bytes, uint64_t at)
{
    static const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    const struct commitlog_os *under = commitlog_fault_os(machine);
    (void)os;
    int64_t done = under->pwrite(under, fd, data, bytes, at);
    int32_t rc = store_open_by(read_only, 1); /* the writer has no handle yet, or is closing it */
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_ge(store_positions().durable, store_positions().first);
    ck_assert_int_eq(commitlog_close(store, NULL), 0);
    store = NULL;
    looks++;
    return done;
}

/* The machine as it is when the area has just got its name, and says nothing yet. */
static struct commitlog_os noted;
static struct commitlog_fault *named;

static int noted_rename_at(const struct commitlog_os *os, int from_dir, const char *from,
                           int to_dir, const char *to, bool noreplace)
{
    const struct commitlog_os *under = commitlog_fault_os(machine);
    (void)os;
    int rc = under->rename_at(under, from_dir, from, to_dir, to, noreplace);
    if (strcmp(to, "LIVE") == 0 || strncmp(to, "commitlog-", 10) == 0) {
        ck_assert_ptr_null(named);
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &named), 0);
    }
    return rc;
}

static void lose_lock_and_checkpoint(void)
{
    lose_lock(LOCK_FLIPPED);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
}

/* A writer dies while it opens, before its nth change (0: when its area has just got its name).
 * That area is not in the way of what the next writer has staged elsewhere, nor do readers follow
 * it. */
START_TEST(an_area_whose_writer_died_while_it_opened_is_nobodys)
{
    const uint64_t place = _i % 2 == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const uint64_t other = _i % 2 == 1 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const uint32_t staged = _i / 2 == 0 ? 0 : 5;
    ck_assert_int_eq(open_at(other, COMMITLOG_RECOVER_TAIL), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    struct commitlog_fault *base = machine;
    bool dead = true;
    for (uint64_t nth = 0; dead; nth++) {
        struct commitlog_fault *next = NULL;
        ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
        noted = *commitlog_fault_os(machine);
        noted.rename_at = noted_rename_at;
        named = NULL;
        commitlog_fault_cut_at(machine, nth);
        (void)open_with(&noted, place, COMMITLOG_RECOVER_TAIL);
        dead = nth == 0 || commitlog_fault_is_dead(machine) != 0;
        if (nth == 0) {
            ck_assert_ptr_nonnull(named);
            next = named;
        } else {
            commitlog_fault_free(named);
            ck_assert_int_eq(commitlog_fault_clone(machine, nth, &next), 0);
        }
        die_on(next, false);
        if (staged > 0) {
            ck_assert_msg(open_at(other, COMMITLOG_RECOVER_TAIL) == 0, "%s", err.message);
            store_put(staged, COMMITLOG_LEVEL_NONE);
            die(false);
        }
        lose_lock_and_checkpoint();
        looked_at = *commitlog_fault_os(machine);
        looked_at.pwrite = looked_at_pwrite;
        ck_assert_msg(open_with(&looked_at, COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL) == 0,
                      "call %u: %s", (unsigned)nth, err.message);
        ck_assert_uint_eq(store_count(), 3 + staged);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = base;
    ck_assert_uint_gt(looks, 0);
}
END_TEST

/* Who removes it: the next writer, which puts its own elsewhere, or a recovery. */
enum { AFTER_WRITER, AFTER_WRITER_NOWHERE, AFTER_RECOVERY, AFTER_WAYS };

/* With LOCK and CHECKPOINT it would be all that says where the log ended: too soon. */
START_TEST(an_area_whose_writer_died_while_it_opened_does_not_stay)
{
    const uint64_t place = _i / AFTER_WAYS == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const uint64_t other = _i / AFTER_WAYS == 1 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const char *name = NULL;
    const void *data = NULL;
    uint64_t bytes = 0;
    uint32_t left = 0;
    ck_assert_int_eq(open_at(other, COMMITLOG_RECOVER_TAIL), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    struct commitlog_fault *base = machine;
    bool dead = true;
    for (uint64_t nth = 1; dead; nth++) {
        struct commitlog_fault *next = NULL;
        ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
        commitlog_fault_cut_at(machine, nth);
        (void)open_at(place, COMMITLOG_RECOVER_TAIL);
        dead = commitlog_fault_is_dead(machine) != 0;
        ck_assert_int_eq(commitlog_fault_clone(machine, nth, &next), 0);
        die_on(next, false);
        left += commitlog_fault_name(machine, "/shm", 0, &name) == COMMITLOG_OK;
        left += commitlog_fault_content(machine, "/store/LIVE", &data, &bytes) == COMMITLOG_OK;
        if (_i % AFTER_WAYS == AFTER_RECOVERY) {
            recover_store();
        } else {
            ck_assert_int_eq(
                open_at(_i % AFTER_WAYS == AFTER_WRITER ? other : COMMITLOG_LIVE_PRIVATE,
                        COMMITLOG_RECOVER_TAIL),
                0);
            ck_assert_int_eq(commitlog_close(store, &err), 0);
            store = NULL;
        }
        ck_assert_int_ne(commitlog_fault_name(machine, "/shm", 0, &name), COMMITLOG_OK);
        ck_assert_int_ne(commitlog_fault_content(machine, "/store/LIVE", &data, &bytes),
                         COMMITLOG_OK);
        commitlog_fault_free(machine);
    }
    machine = base;
    ck_assert_uint_gt(left, 0);
}
END_TEST

static int no_thread(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                     const char *name, uint64_t *handle)
{
    (void)os;
    (void)fn;
    (void)arg;
    (void)name;
    (void)handle;
    return -EAGAIN;
}

/* LOCK names its area already, which goes with it. */
START_TEST(an_opening_that_gets_no_thread_loses_nothing)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    const char *name = NULL;
    die_staged(COMMITLOG_LIVE_TMPFS);
    noted = *commitlog_fault_os(machine);
    noted.thread_start = no_thread;
    threads = 1;
    ck_assert_int_eq(open_with(&noted, COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_TAIL),
                     COMMITLOG_ELIMIT);
    threads = 0;
    ck_assert_int_ne(commitlog_fault_name(machine, "/shm", 0, &name), COMMITLOG_OK);
    ck_assert_msg(open_at(COMMITLOG_LIVE_AUTO, COMMITLOG_RECOVER_STRICT) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), 8);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_CLEAN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost area");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, what_was_only_staged_survives_without_what_lock_says, 0,
                        2 * LOCK_WAYS);
    tcase_add_loop_test(all, what_a_recovery_has_used_up_is_removed_without_what_lock_says, 0,
                        LOCK_WAYS);
    tcase_add_loop_test(all, what_was_only_staged_survives_a_rebuild_of_the_views, 0, 2);
    tcase_add_loop_test(all, a_recovery_that_dies_leaves_the_area_to_be_found_again, 0, 4);
    tcase_add_loop_test(all, an_area_that_is_there_but_damaged_is_not_passed_over_in_silence, 0, 4);
    tcase_add_loop_test(all, an_area_that_is_gone_is_not_passed_over_in_silence, 0, 2 * AREA_WAYS);
    tcase_add_loop_test(all, no_opening_that_ends_early_makes_an_area_seem_gone, 0, 12);
    tcase_add_loop_test(all, an_area_whose_writer_died_while_it_opened_does_not_stay, 0,
                        2 * AFTER_WAYS);
    tcase_add_test(all, an_opening_that_gets_no_thread_loses_nothing);
    tcase_add_loop_test(all, an_area_whose_writer_died_while_it_opened_is_nobodys, 0, 4);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
