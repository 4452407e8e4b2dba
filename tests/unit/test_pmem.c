/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pmem.c -- the mmap engine on a machine that grants MAP_SYNC, and on those that do not: by
 * what durable appends are made durable. Nothing here says that they are: that needs the hardware.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"
#include "os/os.h"
#include "support/dirs.h"
#include "support/run_suite.h"

#define APPENDS 5u

enum { GRANTED, REFUSED, NO_LIBPMEM };

static struct commitlog_os os;
static struct commitlog_store *store;
static struct commitlog_error err;
static char path[DIRS_PATH_MAX];
static uint32_t topic;
static int machine;
static int persist_rc;
static uint32_t persists;
static uint64_t persisted;
static uint32_t flushes;

static int pmem_map(const struct commitlog_os *table, int fd, uint64_t at, size_t size,
                    uint32_t prot, uint32_t flags, void **out)
{
    (void)table;
    const struct commitlog_os *real = clg_os_default();
    if ((flags & CLG_OS_MAP_SYNC) != 0 && machine == REFUSED) {
        return -EOPNOTSUPP;
    }
    return real->map(real, fd, at, size, prot, flags & ~(uint32_t)CLG_OS_MAP_SYNC, out);
}

static int pmem_persist(const struct commitlog_os *table, const void *addr, size_t size)
{
    (void)table;
    ck_assert_ptr_nonnull(addr);
    persists++;
    persisted += size;
    return machine == NO_LIBPMEM ? -EOPNOTSUPP : persist_rc;
}

static int pmem_fdatasync(const struct commitlog_os *table, int fd)
{
    (void)table;
    flushes++;
    return clg_os_default()->fdatasync(clg_os_default(), fd);
}

static bool pmem_open(int which)
{
    struct commitlog_options *options = NULL;
    machine = which;
    os = *clg_os_default();
    os.map = pmem_map;
    os.persist = pmem_persist;
    os.fdatasync = pmem_fdatasync;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, &os);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 65536, NULL), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ENGINE, COMMITLOG_ENGINE_MMAP, NULL), 0);
    int32_t rc = commitlog_open(path, options, &store, &err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_EUNSUPPORTED) {
        printf("skip: %s\n", err.message);
        return false;
    }
    ck_assert_msg(rc == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    return true;
}

static int32_t pmem_append(void)
{
    return commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, NULL);
}

static void pmem_append_some(void)
{
    ck_assert_int_eq(pmem_append(), 0); /* and the definition of the topic */
    persists = 0;
    persisted = 0;
    flushes = 0;
    for (uint32_t i = 0; i < APPENDS; i++) {
        ck_assert_int_eq(pmem_append(), 0);
    }
}

static void setup(void)
{
    persist_rc = 0;
    store = NULL;
    dirs_make(path, "pmem");
}

static void teardown(void)
{
    (void)commitlog_close(store, NULL);
    dirs_remove(path);
}

START_TEST(on_a_synced_map_each_durable_append_is_persisted_and_nothing_flushed)
{
    if (pmem_open(GRANTED)) {
        struct commitlog_positions from = {.struct_bytes = sizeof(from)};
        struct commitlog_positions to = {.struct_bytes = sizeof(to)};
        ck_assert_int_eq(pmem_append(), 0);
        ck_assert_int_eq(commitlog_positions_get(store, &from), 0);
        persisted = 0;
        for (uint32_t i = 0; i < APPENDS; i++) {
            ck_assert_int_eq(pmem_append(), 0);
        }
        ck_assert_int_eq(commitlog_positions_get(store, &to), 0);
        ck_assert_uint_eq(persisted, to.durable - from.durable);
        pmem_append_some();
        ck_assert_uint_eq(persists, APPENDS);
        ck_assert_uint_eq(flushes, 0);
    }
}
END_TEST

START_TEST(on_an_ordinary_map_each_durable_append_is_flushed)
{
    if (pmem_open(REFUSED)) {
        pmem_append_some();
        ck_assert_uint_eq(persists, 0);
        ck_assert_uint_ge(flushes, APPENDS);
    }
}
END_TEST

START_TEST(without_libpmem_a_synced_map_is_flushed)
{
    if (pmem_open(NO_LIBPMEM)) {
        pmem_append_some();
        ck_assert_uint_eq(persists, 0);
        ck_assert_uint_ge(flushes, APPENDS);
    }
}
END_TEST

/* To flush what could not be persisted would be the second try that no flush gets. */
START_TEST(a_persist_that_fails_is_final)
{
    if (pmem_open(GRANTED)) {
        pmem_append_some();
        persist_rc = -EIO;
        ck_assert_int_ne(pmem_append(), 0);
        persist_rc = 0;
        flushes = 0;
        ck_assert_int_eq(pmem_append(), COMMITLOG_EFAILED);
        ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_EFAILED);
        ck_assert_uint_eq(flushes, 0);
    }
}
END_TEST

/* A segment that is full goes over to the next, whose map is as synced. */
START_TEST(each_segment_is_mapped_for_itself)
{
    static const char body[8000] = "";
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    if (pmem_open(GRANTED)) {
        pmem_append_some();
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body),
                                              COMMITLOG_LEVEL_DURABLE, NULL),
                             0);
        }
        ck_assert_int_eq(commitlog_positions_get(store, &at), 0);
        ck_assert_uint_gt(at.durable, 2 * 65536);
        pmem_append_some();
        ck_assert_uint_eq(persists, APPENDS);
        ck_assert_uint_eq(flushes, 0);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        ck_assert(pmem_open(REFUSED));
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &info), 0);
        ck_assert_uint_eq(info.next_offset, 2 * (APPENDS + 1) + 20);
    }
}
END_TEST

static Suite *pmem_suite(void)
{
    Suite *suite = suite_create("persistent memory");
    TCase *cases = tcase_create("synced maps");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, on_a_synced_map_each_durable_append_is_persisted_and_nothing_flushed);
    tcase_add_test(cases, on_an_ordinary_map_each_durable_append_is_flushed);
    tcase_add_test(cases, without_libpmem_a_synced_map_is_flushed);
    tcase_add_test(cases, a_persist_that_fails_is_final);
    tcase_add_test(cases, each_segment_is_mapped_for_itself);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(pmem_suite());
}
