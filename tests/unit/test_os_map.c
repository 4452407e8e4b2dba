/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os_map.c -- lib/os: mappings, and what the host says about itself.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "os/os.h"
#include "support/run_suite.h"

static const struct commitlog_os *os;

static void setup(void)
{
    os = clg_os_default();
}

/* Run by an emulator of another CPU, which does not know every advice. */
static bool emulated(void)
{
    const char *runner = getenv("RUNNER");
    return runner != NULL && runner[0] != '\0';
}

/* ---- maps ------------------------------------------------------------------------------------ */

START_TEST(a_doubled_map_is_contiguous_and_one_memory)
{
    const size_t size = 4 * os->page_size(os);
    void *base = NULL;
    int fd = os->memory_file(os, "ring", size);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->map_twice(os, fd, 0, size, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE, &base),
                     0);
    volatile uint8_t *ring = (volatile uint8_t *)base;
    for (size_t i = 0; i < 2 * size; i += 509) {
        uint8_t mark = (uint8_t)(i / 7 + 1);
        ring[i] = mark;
        ck_assert_uint_eq(ring[i < size ? i + size : i - size], mark);
    }
    memcpy(clg_at(base, size - 4), "wrapping", 8); /* across the seam */
    ck_assert_mem_eq(base, "ping", 4);
    ck_assert_int_eq(os->unmap(os, base, 2 * size), 0);
    /* Both halves are gone: the range can be had again, whole. */
    ck_assert_int_eq(os->map_twice(os, 9999, 0, size, CLG_OS_PROT_READ, &base), -EBADF);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(a_shared_map_shows_writes_and_takes_advice)
{
    const size_t size = 2 * os->page_size(os);
    void *view = NULL;
    void *area = NULL;
    int fd = os->memory_file(os, "a", 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->ftruncate(os, fd, size), 0);
    ck_assert_int_eq(os->map(os, fd, 0, size, CLG_OS_PROT_READ, CLG_OS_MAP_SHARED, &view), 0);
    ck_assert_int_lt(os->map(os, fd, 0, size, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_SHARED | CLG_OS_MAP_SYNC, &area),
                     0); /* refused, not ignored */
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, "seen", 4, 100), 0);
    ck_assert_mem_eq(clg_at(view, 100), "seen", 4);
    ck_assert_int_eq(os->advise(os, view, size, CLG_OS_ADVISE_SEQUENTIAL), 0);
    ck_assert_int_eq(os->advise(os, view, size, CLG_OS_ADVISE_DONTFORK), 0);
    ck_assert_int_eq(os->unmap(os, view, size), 0);
    ck_assert_int_eq(os->map(os, -1, 0, size, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_PRIVATE | CLG_OS_MAP_ANONYMOUS, &area),
                     0);
    int rc = os->advise(os, area, size, CLG_OS_ADVISE_POPULATE_WRITE);
    ck_assert(rc == 0 || rc == -EINVAL);
    if (os->lock_pages(os, area, size) == 0) {
        ck_assert_int_eq(os->unlock_pages(os, area, size), 0);
    }
    ck_assert_int_eq(os->protect(os, area, size, CLG_OS_PROT_READ), 0);
    ck_assert_int_eq(os->unmap(os, area, size), 0);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(a_page_can_tell_the_child_that_it_is_one)
{
    const size_t size = os->page_size(os);
    void *page = NULL;
    int status = 0;
    ck_assert_int_eq(os->map(os, -1, 0, size, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_PRIVATE | CLG_OS_MAP_ANONYMOUS, &page),
                     0);
    if (os->advise(os, page, size, CLG_OS_ADVISE_WIPEONFORK) < 0) {
        printf("skip: no MADV_WIPEONFORK\n");
        return;
    }
    *(volatile uint8_t *)page = 1;
    (void)fflush(stdout);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(*(volatile uint8_t *)page == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && emulated()) {
        printf("skip: the emulator does not wipe pages on fork\n");
    } else {
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(*(volatile uint8_t *)page, 1);
    ck_assert_int_eq(os->unmap(os, page, size), 0);
}
END_TEST

/* ---- host ------------------------------------------------------------------------------------ */

START_TEST(a_process_is_known_by_its_start_and_a_dead_one_is_gone)
{
    uint64_t mine = 0;
    uint64_t again = 0;
    uint64_t other = 77;
    int to_child[2];
    ck_assert_int_eq(os->pid_start(os, os->pid(os), &mine), 0);
    ck_assert_int_eq(os->pid_start(os, os->pid(os), &again), 0);
    ck_assert_uint_eq(mine, again);
    ck_assert_int_eq(pipe(to_child), 0);
    (void)fflush(stdout);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char c;
        (void)close(to_child[1]);
        _exit(read(to_child[0], &c, 1) == 0 ? 0 : 1); /* until the parent closes */
    }
    (void)close(to_child[0]);
    ck_assert_int_eq(os->pid_start(os, child, &other), 0);
    ck_assert_uint_ge(other, mine);
    (void)close(to_child[1]);
    siginfo_t info;
    /* Wait until it is a zombie, without burying it. */
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(os->pid_start(os, child, &other), -ESRCH);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(os->pid_start(os, child, &other), -ESRCH);
    ck_assert_int_eq(os->pid_start(os, 0, &other), -ESRCH);
}
END_TEST

START_TEST(the_host_answers)
{
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    uint64_t limit = 0;
    struct rlimit want;
    ck_assert_int_eq(os->boot_id(os, a), 0);
    ck_assert_int_eq(os->boot_id(os, b), 0);
    ck_assert_mem_eq(a, b, 16);
    ck_assert_int_eq(os->random(os, a, 16), 0);
    ck_assert_int_eq(os->random(os, b, 16), 0);
    ck_assert_mem_ne(a, b, 16);
    ck_assert_int_eq(os->limit(os, CLG_OS_LIMIT_OPEN_FILES, &limit), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &want), 0);
    ck_assert(limit == (uint64_t)want.rlim_cur || want.rlim_cur == RLIM_INFINITY);
    ck_assert_int_eq(os->limit(os, CLG_OS_LIMIT_FILE_SIZE, &limit), 0);
    ck_assert_int_eq(os->limit(os, CLG_OS_LIMIT_MEMLOCK, &limit), 0);
    ck_assert_int_ge(os->cpu_count(os), 1);
    ck_assert(clg_is_power_of_two(os->page_size(os)));
    ck_assert_int_eq(os->pid(os), getpid());
}
END_TEST

/* Written from end to end, advised or not: what lies around it stays its neighbours'. */
START_TEST(large_memory_is_zero_and_huge_pages_fit_into_it)
{
    static const size_t sizes[] = {131071, 131072, 300001, 2097151, 2097152, 5000000};
    uint8_t *kept[6];
    for (size_t i = 0; i < 6; i++) {
        kept[i] = (uint8_t *)os->alloc(os, sizes[i]);
        ck_assert_ptr_nonnull(kept[i]);
        ck_assert(clg_is_aligned((uintptr_t)kept[i], 64));
        if (sizes[i] >= 2097152) {
            ck_assert(clg_is_aligned((uintptr_t)kept[i], 2097152));
            int rc = os->advise(os, kept[i], sizes[i], CLG_OS_ADVISE_HUGE);
            ck_assert(rc == 0 || rc == -EINVAL); /* a kernel without them */
        }
        ck_assert(clg_is_zero(kept[i], sizes[i]));
        memset(kept[i], (int)(i + 1), sizes[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(kept[i][0], i + 1);
        ck_assert_uint_eq(kept[i][sizes[i] - 1], i + 1);
        os->free(os, kept[i]);
    }
    ck_assert_ptr_null(os->alloc(os, SIZE_MAX - 64));
}
END_TEST

static Suite *map_suite(void)
{
    Suite *suite = suite_create("os_map");
    TCase *maps = tcase_create("maps");
    tcase_add_checked_fixture(maps, setup, NULL);
    tcase_add_test(maps, large_memory_is_zero_and_huge_pages_fit_into_it);
    tcase_add_test(maps, a_doubled_map_is_contiguous_and_one_memory);
    tcase_add_test(maps, a_shared_map_shows_writes_and_takes_advice);
    tcase_add_test(maps, a_page_can_tell_the_child_that_it_is_one);
    suite_add_tcase(suite, maps);
    TCase *host = tcase_create("host");
    tcase_add_checked_fixture(host, setup, NULL);
    tcase_add_test(host, a_process_is_known_by_its_start_and_a_dead_one_is_gone);
    tcase_add_test(host, the_host_answers);
    suite_add_tcase(suite, host);
    return suite;
}

int main(void)
{
    return run_suite(map_suite());
}
