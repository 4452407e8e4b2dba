/* SPDX-License-Identifier: BSD-2-Clause */
/* test_fault_boots.c -- the machine in memory: what of one boot is there in the next one. */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

static const char path[] = "/file";

static const void *content(uint64_t wanted_bytes)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
    ck_assert_uint_eq(bytes, wanted_bytes);
    return data;
}

static int file_of(const char *text)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int dir = os->open_dir(os, "/");
    int fd = os->open_at(os, dir, "file", CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE, 0600);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(clg_os_pwrite_all(os, fd, text, strlen(text), 0), 0);
    ck_assert_int_ge(os->fsync(os, fd), 0);
    ck_assert_int_ge(os->fsync(os, dir), 0);
    return fd;
}

START_TEST(a_map_of_the_boot_before_shows_nobody_what_is_stored_in_it)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint8_t *map = NULL;
    int fd = file_of("before");
    ck_assert_int_ge(os->map(os, fd, 0, 4096, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_SHARED, (void **)&map),
                     0);
    commitlog_fault_power_cut(machine);
    map[0] = 'X';
    ck_assert_mem_eq(content(6), "before", 6);
    ck_assert_int_ge(os->unmap(os, map, 4096), 0);
}
END_TEST

/* Of the process the caches are kept, and what was stored through the map. */
START_TEST(a_map_of_a_process_that_died_was_a_cache)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint8_t *map = NULL;
    int fd = file_of("before");
    ck_assert_int_ge(os->map(os, fd, 0, 4096, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_SHARED, (void **)&map),
                     0);
    map[0] = 'X';
    commitlog_fault_process_death(machine);
    ck_assert_mem_eq(content(6), "Xefore", 6);
    ck_assert_int_ge(os->unmap(os, map, 4096), 0);
}
END_TEST

START_TEST(a_file_that_was_cut_and_synced_stays_cut)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = file_of("0123456789");
    ck_assert_int_ge(os->ftruncate(os, fd, 4), 0);
    ck_assert_int_ge(os->fsync(os, fd), 0);
    ck_assert_int_ge(os->ftruncate(os, fd, 8), 0);
    ck_assert_int_ge(os->fsync(os, fd), 0);
    commitlog_fault_set_survival(machine, 0);
    commitlog_fault_power_cut(machine);
    ck_assert_mem_eq(content(8), "0123\0\0\0\0", 8);
}
END_TEST

START_TEST(a_file_that_was_cut_and_not_synced_is_as_it_was)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = file_of("0123456789");
    ck_assert_int_ge(os->ftruncate(os, fd, 4), 0);
    commitlog_fault_set_survival(machine, 0);
    commitlog_fault_power_cut(machine);
    ck_assert_mem_eq(content(10), "0123456789", 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("boots");
    TCase *cases = tcase_create("boots");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_map_of_the_boot_before_shows_nobody_what_is_stored_in_it);
    tcase_add_test(cases, a_map_of_a_process_that_died_was_a_cache);
    tcase_add_test(cases, a_file_that_was_cut_and_synced_stays_cut);
    tcase_add_test(cases, a_file_that_was_cut_and_not_synced_is_as_it_was);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
