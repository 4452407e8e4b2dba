/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment_supply.c -- lib/segment: the next segment made ahead, a full disk, and threads.
 */
#include "unit/segment_setup.h"

#include <pthread.h>
#include <sys/mount.h>

#include "base/order.h"
#include "segment/segment_scan.h"
#include "segment/segment_set.h"
#include "segment/segment_supply.h"
#include "support/run_suite.h"

static struct clg_segment_plan plan_at(uint64_t base, uint64_t bytes)
{
    return (struct clg_segment_plan){.base = base,
                                     .bytes = bytes,
                                     .epoch = 4,
                                     .predecessor_end = base == 0 ? 0 : base - 4096,
                                     .predecessor_salt = base == 0 ? 0 : 5};
}

START_TEST(the_supply_works_ahead_in_steps_and_hands_over)
{
    struct clg_segment_supply supply;
    clg_segment_supply_init(&supply, &world.dir, _i == 1);
    struct clg_segment_plan plan = plan_at(SMALL, 4u << 20);
    int64_t wait;
    OK(clg_segment_supply_step(&supply, 0, &wait, &err));
    ck_assert_int_eq(wait, CLG_OS_FOREVER);
    clg_segment_supply_want(&supply, &plan);
    uint32_t steps = 0;
    do {
        OK(clg_segment_supply_step(&supply, 0, &wait, &err));
        steps++;
        if (wait > 0 && wait != CLG_OS_FOREVER) {
            ck_assert_int_le(wait, 50 * CLG_OS_NS_PER_MS);
            world.os.sleep_ns(&world.os, wait);
        }
    } while (wait != CLG_OS_FOREVER);
    ck_assert_uint_ge(steps, _i == 1 ? 7 : 3);
    ck_assert(clg_segment_supply_is_ready(&supply, SMALL));
    uint64_t syncs = world.fsyncs;
    struct clg_segment *segment;
    OK(clg_segment_supply_take(&supply, SMALL, &segment, &err));
    ck_assert_uint_eq(world.fsyncs, syncs);
    ck_assert_uint_eq(segment->header.predecessor_salt, 5);
    ck_assert_uint_eq(segment->header.epoch, 4);
    struct clg_scan scan;
    uint64_t nonzero;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    OK(clg_scan_all_zero(&scan, segment->data_start, segment->base + segment->bytes, &nonzero,
                         &err));
    ck_assert_uint_eq(nonzero, segment->base + segment->bytes);
    clg_scan_free(&scan);
    struct clg_segment_supply_stats stats;
    clg_segment_supply_get_stats(&supply, &stats);
    ck_assert_uint_eq(stats.made_ahead, 1);
    clg_segment_unref(segment);
    clg_segment_supply_free(&supply);
}
END_TEST

START_TEST(zeros_that_are_not_wanted_any_more_are_not_written)
{
    struct clg_segment_supply supply;
    clg_segment_supply_init(&supply, &world.dir, true);
    struct clg_segment_plan plan = plan_at(SMALL, 64u << 20);
    int64_t wait = 0;
    uint32_t steps = 0;
    clg_segment_supply_want(&supply, &plan);
    while (wait != CLG_OS_FOREVER) {
        OK(clg_segment_supply_step(&supply, 0, &wait, &err));
        if (++steps == 6) { /* begun, allocated, some MiB of 64 written */
            clg_segment_supply_set_prewrite(&supply, false);
        }
        if (wait > 0 && wait != CLG_OS_FOREVER) {
            world.os.sleep_ns(&world.os, wait);
        }
    }
    ck_assert_uint_lt(steps, 12);
    ck_assert(clg_segment_supply_is_ready(&supply, SMALL));
    clg_segment_supply_free(&supply);
}
END_TEST

static int answer;

static int answer_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                             bool wait)
{
    (void)os;
    (void)fd;
    (void)at;
    (void)size;
    (void)wait;
    return answer;
}

/* A sandbox, say. But that a write has failed is told here, and then perhaps by nobody else. */
START_TEST(zeros_are_written_where_their_pace_cannot_be_set)
{
    static const int answers[] = {-EPERM, -ENOSYS, -EOPNOTSUPP, -EINVAL, -EIO, -ENOSPC};
    struct clg_segment_supply supply;
    struct clg_segment_plan plan = plan_at(0, 2u << 20);
    int64_t wait = 0;
    int rc = 0;
    answer = answers[_i];
    world.os.write_back = answer_write_back;
    clg_segment_supply_init(&supply, &world.dir, true);
    clg_segment_supply_want(&supply, &plan);
    while (rc == 0 && wait != CLG_OS_FOREVER) {
        rc = clg_segment_supply_step(&supply, 0, &wait, &err);
        if (rc == 0 && wait > 0 && wait != CLG_OS_FOREVER) {
            world.os.sleep_ns(&world.os, wait);
        }
    }
    if (answer == -EIO || answer == -ENOSPC) {
        ck_assert_int_eq(rc, answer == -EIO ? COMMITLOG_EIO : COMMITLOG_ENOSPC);
        ck_assert(!clg_segment_supply_is_ready(&supply, 0));
    } else {
        struct clg_segment *segment = NULL;
        ck_assert_msg(rc == 0, "%s", err.message);
        OK(clg_segment_supply_take(&supply, 0, &segment, &err));
        ck_assert_uint_eq(segment->prewritten, plan.bytes);
        clg_segment_unref(segment);
    }
    clg_segment_supply_free(&supply);
}
END_TEST

START_TEST(what_is_not_ready_is_finished_by_the_taker)
{
    struct clg_segment_supply supply;
    clg_segment_supply_init(&supply, &world.dir, true);
    struct clg_segment *segment;
    ck_assert_int_eq(clg_segment_supply_take(&supply, 0, &segment, &err), COMMITLOG_EINTERNAL);
    struct clg_segment_plan plan = plan_at(0, 4u << 20);
    clg_segment_supply_want(&supply, &plan);
    int64_t wait;
    for (int i = 0; i < _i; i++) {
        OK(clg_segment_supply_step(&supply, 0, &wait, &err));
    }
    OK(clg_segment_supply_take(&supply, 0, &segment, &err));
    ck_assert_uint_eq(segment->bytes, 4u << 20);
    struct clg_segment_plan next;
    clg_segment_plan_after(segment, SMALL, 9, 5, &next);
    ck_assert_uint_eq(next.base, 4u << 20);
    ck_assert_uint_eq(next.predecessor_end, (4u << 20) - 4096);
    ck_assert_uint_eq(next.predecessor_salt, segment->salt);
    clg_segment_unref(segment);
    /* Begun and never taken: nothing of it stays. */
    clg_segment_supply_want(&supply, &next);
    OK(clg_segment_supply_step(&supply, 0, &wait, &err));
    clg_segment_supply_free(&supply);
    struct name_list names = dirs_list(world.path, "");
    ck_assert_uint_eq(names.count, 1);
    names_free(&names);
}
END_TEST

START_TEST(a_full_disk_is_remembered_and_tried_again)
{
    struct clg_segment_supply supply;
    clg_segment_supply_init(&supply, &world.dir, false);
    struct clg_segment_plan plan = plan_at(0, SMALL);
    clg_segment_supply_want(&supply, &plan);
    world.fail_fallocate = -ENOSPC;
    struct clg_segment *segment;
    int64_t wait;
    ck_assert_int_eq(clg_segment_supply_step(&supply, CLG_OS_NS_PER_S, &wait, &err),
                     COMMITLOG_ENOSPC);
    struct name_list names = dirs_list(world.path, "");
    ck_assert_uint_eq(names.count, 0);
    names_free(&names);
    world.fail_fallocate = 0;
    ck_assert_int_eq(clg_segment_supply_take(&supply, 0, &segment, &err), COMMITLOG_ENOSPC);
    OK(clg_segment_supply_step(&supply, 0, &wait, &err));
    ck_assert_int_gt(wait, 0);
    ck_assert_int_le(wait, CLG_SUPPLY_RETRY_NS);
    world.os.sleep_ns(&world.os, wait + CLG_OS_NS_PER_MS);
    OK(clg_segment_supply_take(&supply, 0, &segment, &err));
    clg_segment_unref(segment);
    struct clg_segment_supply_stats stats;
    clg_segment_supply_get_stats(&supply, &stats);
    ck_assert_uint_eq(stats.refused, 1);
    ck_assert_int_eq(stats.failure, 0);
    clg_segment_supply_free(&supply);
}
END_TEST

START_TEST(a_failed_flush_of_the_directory_is_final)
{
    struct clg_segment_supply supply;
    clg_segment_supply_init(&supply, &world.dir, false);
    struct clg_segment_plan plan = plan_at(0, SMALL);
    clg_segment_supply_want(&supply, &plan);
    world.fail_fsync = -EIO;
    world.fail_fsync_from = 2; /* 1: the file */
    struct clg_segment *segment;
    ck_assert_int_eq(clg_segment_supply_take(&supply, 0, &segment, &err), COMMITLOG_EIO);
    world.fail_fsync = 0;
    world.os.sleep_ns(&world.os, CLG_SUPPLY_RETRY_NS + CLG_OS_NS_PER_MS);
    ck_assert_int_eq(clg_segment_supply_take(&supply, 0, &segment, &err), COMMITLOG_EIO);
    int64_t wait;
    OK(clg_segment_supply_step(&supply, 0, &wait, &err));
    ck_assert_int_eq(wait, CLG_OS_FOREVER);
    clg_segment_supply_free(&supply);
    char path[DIRS_PATH_MAX]; /* which the next session would trust */
    world_file(&world, 0, path);
    ck_assert(!path_exists(path));
}
END_TEST

START_TEST(a_really_full_disk_gives_its_blocks_back)
{
    struct world small;
    memset(&small, 0, sizeof(small));
    dirs_make(small.path, "full");
    if (mount("none", small.path, "tmpfs", 0, "size=1m") != 0) {
        printf("skipped: a full tmpfs needs the right to mount\n");
        dirs_remove(small.path);
        return;
    }
    world_begin_at(&small, small.path);
    struct clg_segment_plan plan = plan_at(0, 2u << 20);
    struct clg_segment *segment;
    ck_assert_int_eq(clg_segment_create(&small.dir, &plan, &segment, &err), COMMITLOG_ENOSPC);
    plan.bytes = 512u << 10;
    OK(clg_segment_create(&small.dir, &plan, &segment, &err));
    ck_assert(segment->reserved);
    clg_segment_unref(segment);
    clg_os_close_fd(&small.os, &small.dir.fd);
    ck_assert_int_eq(umount(small.path), 0);
    dirs_remove(small.path);
}
END_TEST

START_TEST(without_fallocate_the_size_is_final_and_nothing_is_promised)
{
    world.fail_fallocate = -EOPNOTSUPP;
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    ck_assert(!segment->reserved);
    char path[DIRS_PATH_MAX];
    world_file(&world, 0, path);
    ck_assert_uint_eq(file_size(path), SMALL);
    clg_segment_unref(segment);
}
END_TEST

/* ---- threads ---- */

struct traffic {
    struct clg_segment_set set;
    struct clg_segment_supply supply;
    _Atomic uint32_t stop;
    _Atomic uint32_t read;
};

static void *traffic_step(void *arg)
{
    struct traffic *t = arg;
    int64_t wait;
    while (clg_load_acquire_u32(&t->stop) == 0) {
        ck_assert_int_eq(clg_segment_supply_step(&t->supply, CLG_OS_NS_PER_MS, &wait, NULL), 0);
    }
    return NULL;
}

static void *traffic_read(void *arg)
{
    struct traffic *t = arg;
    while (clg_load_acquire_u32(&t->stop) == 0) {
        struct clg_segment *segment = clg_segment_set_pin_first(&t->set);
        const uint8_t *map;
        uint8_t byte;
        if (segment == NULL) {
            continue;
        }
        if (clg_segment_map(segment, &map, NULL) == 0 && map[0] == 0x89) {
            int rc = clg_segment_pread(segment, &byte, 1, segment->base, NULL);
            if (rc == 0 && byte == 0x89) {
                (void)clg_add_relaxed_u32(&t->read, 1);
            }
        }
        clg_segment_unref(segment);
    }
    return NULL;
}

START_TEST(readers_upkeep_and_a_writer_share_set_and_supply)
{
    struct traffic *t = calloc(1, sizeof(*t));
    clg_segment_set_init(&t->set, &world.os);
    clg_segment_supply_init(&t->supply, &world.dir, false);
    struct clg_segment_plan plan = plan_at(0, SMALL);
    clg_segment_supply_want(&t->supply, &plan);
    pthread_t threads[3];
    ck_assert_int_eq(pthread_create(&threads[0], NULL, traffic_step, t), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, traffic_read, t), 0);
    ck_assert_int_eq(pthread_create(&threads[2], NULL, traffic_read, t), 0);
    for (uint64_t i = 0; i < 100; i++) {
        struct clg_segment *segment;
        OK(clg_segment_supply_take(&t->supply, i * SMALL, &segment, &err));
        clg_segment_plan_after(segment, SMALL, 0, 1, &plan);
        clg_segment_supply_want(&t->supply, &plan);
        struct clg_segment_footer footer = {.end = segment->data_end, .records = 1};
        OK(clg_segment_write_footer(segment, &footer, &err));
        OK(clg_segment_set_append(&t->set, segment, &err));
        (void)clg_segment_set_close_idle(&t->set, 1);
        if (i >= 4) {
            struct clg_segment *oldest = clg_segment_set_remove_first(&t->set);
            OK(clg_segment_unlink(oldest, &err));
            clg_segment_unref(oldest);
        }
    }
    while (clg_load_acquire_u32(&t->read) < 10) {
        world.os.sleep_ns(&world.os, CLG_OS_NS_PER_MS);
    }
    clg_store_release_u32(&t->stop, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    clg_segment_supply_free(&t->supply);
    clg_segment_set_free(&t->set);
    free(t);
}
END_TEST

static Suite *supply_suite(void)
{
    Suite *suite = suite_create("segment supply");
    TCase *supply = tcase_create("supply");
    tcase_add_checked_fixture(supply, setup, teardown);
    tcase_set_timeout(supply, 60);
    tcase_add_loop_test(supply, the_supply_works_ahead_in_steps_and_hands_over, 0, 2);
    tcase_add_test(supply, zeros_that_are_not_wanted_any_more_are_not_written);
    tcase_add_loop_test(supply, zeros_are_written_where_their_pace_cannot_be_set, 0, 6);
    tcase_add_loop_test(supply, what_is_not_ready_is_finished_by_the_taker, 0, 4);
    tcase_add_test(supply, a_full_disk_is_remembered_and_tried_again);
    tcase_add_test(supply, a_failed_flush_of_the_directory_is_final);
    tcase_add_test(supply, a_really_full_disk_gives_its_blocks_back);
    tcase_add_test(supply, without_fallocate_the_size_is_final_and_nothing_is_promised);
    tcase_add_test(supply, readers_upkeep_and_a_writer_share_set_and_supply);
    suite_add_tcase(suite, supply);
    return suite;
}

int main(void)
{
    return run_suite(supply_suite());
}
