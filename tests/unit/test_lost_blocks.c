/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_blocks.c -- segments of a sparse copy have lost blocks that were reserved for them. On
 * a disk that is full they are refused before anything is claimed in them, and are of use again
 * when it is not.
 */
#include <stdio.h>

#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { PIECE = 10000, FREE = 256 * 1024 };

static uint8_t piece[PIECE];
static uint64_t stored;

static const char active_name[] = "00000000000000000000.log";
static const char next_name[] = "00000000000001048576.log";

static void blocks_setup(void)
{
    setup();
    segment_bytes = 1 << 20;
    memset(piece, 7, sizeof(piece));
    stored = 0;
}

static int32_t append_piece(uint32_t level)
{
    const struct commitlog_slice body = {piece, sizeof(piece)};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = level,
                                            .body = &body,
                                            .body_count = 1};
    int32_t rc = commitlog_append_record(store, &record, 0, NULL, &err);
    stored += rc == COMMITLOG_OK ? 1 : 0;
    return rc;
}

/* Closed, with a segment that is prepared. */
static void make_store(uint64_t engine)
{
    uint32_t wait_ms = 0;
    ck_assert_int_eq(store_open(engine), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(append_piece(COMMITLOG_LEVEL_DURABLE), 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
        commitlog_fault_os(machine)->sleep_ns(commitlog_fault_os(machine), CLG_OS_NS_PER_MS);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static uint64_t used_bytes(const uint8_t *bytes, uint64_t size)
{
    while (size > 0 && bytes[size - 1] == 0) {
        size--;
    }
    return size;
}

/* As cp --sparse=always. */
static void copy_sparse(const char *name)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    const void *data = NULL;
    uint64_t size = 0;
    char path[64];
    struct clg_os_stat stat;
    (void)snprintf(path, sizeof(path), "/store/log/%s", name);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &size), 0);
    const uint64_t used = used_bytes(data, size);
    uint8_t *bytes = malloc(used);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, data, used);
    int dir = os->open_dir(os, "/store/log");
    ck_assert_int_ge(dir, 0);
    int fd = os->open_at(
        os, dir, "copy",
        CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->ftruncate(os, fd, size), 0);
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, bytes, used, 0), 0);
    free(bytes);
    ck_assert_int_eq(os->fsync(os, fd), 0);
    ck_assert_int_eq(os->stat_fd(os, fd, &stat), 0);
    ck_assert_uint_eq(stat.size_bytes, segment_bytes);
    ck_assert_uint_lt(stat.allocated_bytes, segment_bytes - FREE);
    ck_assert_int_eq(os->rename_at(os, dir, "copy", dir, name, false), 0);
    ck_assert_int_eq(os->fsync(os, dir), 0);
    clg_os_close_fd(os, &fd);
    clg_os_close_fd(os, &dir);
}

static void reopen(uint64_t engine)
{
    ck_assert_msg(store_open(engine) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void all_is_there(uint64_t engine)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    die(true);
    reopen(engine);
    ck_assert_uint_eq(store_count(), stored);
}

/* For a tenth of a second nobody asks again. */
static void space_comes_back(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    commitlog_fault_set_free(machine, UINT64_MAX);
    os->sleep_ns(os, INT64_C(1000000000));
}

START_TEST(a_prepared_segment_that_lost_its_blocks_is_not_used_on_a_full_disk)
{
    const uint64_t engine = (uint64_t)_i;
    int32_t rc = COMMITLOG_OK;
    make_store(engine);
    copy_sparse(next_name);
    commitlog_fault_set_free(machine, FREE);
    reopen(engine);
    while (rc == COMMITLOG_OK) {
        rc = append_piece(COMMITLOG_LEVEL_WRITTEN);
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_OK);
    ck_assert_uint_lt(store_positions().claimed, segment_bytes);
    ck_assert_int_eq(append_piece(COMMITLOG_LEVEL_DURABLE), COMMITLOG_ENOSPC); /* still so */
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    space_comes_back();
    while (store_positions().claimed < segment_bytes) {
        ck_assert_int_eq(append_piece(COMMITLOG_LEVEL_DURABLE), 0);
    }
    all_is_there(engine);
}
END_TEST

/* An error that is none of room is told as it is. */
START_TEST(nor_when_its_blocks_cannot_be_asked_for)
{
    const uint64_t engine = (uint64_t)_i;
    int32_t rc = COMMITLOG_OK;
    make_store(engine);
    copy_sparse(next_name);
    commitlog_fault_set_free(machine, FREE);
    reopen(engine);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOCATE, 1, EIO, 1), 0);
    while (rc == COMMITLOG_OK) {
        rc = append_piece(COMMITLOG_LEVEL_WRITTEN);
    }
    ck_assert_int_eq(rc, COMMITLOG_EIO);
    ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_OK);
    ck_assert_uint_lt(store_positions().claimed, segment_bytes);
    ck_assert_int_eq(commitlog_fault_fail(machine, 0, 0, 0, 0), 0);
    space_comes_back();
    ck_assert_int_eq(append_piece(COMMITLOG_LEVEL_DURABLE), 0);
    all_is_there(engine);
}
END_TEST

START_TEST(an_active_segment_that_lost_its_blocks_is_not_mapped_on_a_full_disk)
{
    make_store(COMMITLOG_ENGINE_MMAP);
    copy_sparse(active_name);
    commitlog_fault_set_free(machine, FREE);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_MMAP), COMMITLOG_ENOSPC);
    ck_assert_ptr_null(store);
    commitlog_fault_set_free(machine, UINT64_MAX);
    reopen(COMMITLOG_ENGINE_MMAP);
    ck_assert_int_eq(append_piece(COMMITLOG_LEVEL_DURABLE), 0);
    all_is_there(COMMITLOG_ENGINE_MMAP);
}
END_TEST

static Suite *lost_blocks_suite(void)
{
    Suite *suite = suite_create("lost_blocks");
    TCase *cases = tcase_create("sparse copies");
    tcase_add_checked_fixture(cases, blocks_setup, teardown);
    tcase_add_loop_test(cases, a_prepared_segment_that_lost_its_blocks_is_not_used_on_a_full_disk,
                        0, 2);
    tcase_add_loop_test(cases, nor_when_its_blocks_cannot_be_asked_for, 0, 2);
    tcase_add_test(cases, an_active_segment_that_lost_its_blocks_is_not_mapped_on_a_full_disk);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(lost_blocks_suite());
}
