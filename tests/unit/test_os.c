/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os.c -- lib/os: the default table, the helpers over any table.
 */
#include "unit/os_fixture.h"

#include <errno.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "os/os_linux.h"
#include "support/run_suite.h"

/* ---- memory ---------------------------------------------------------------------------------- */

START_TEST(allocated_memory_is_zero_and_on_a_line_of_its_own)
{
    for (size_t size = 1; size < 300; size += 13) {
        uint8_t *p = (uint8_t *)os->alloc(os, size);
        ck_assert_ptr_nonnull(p);
        ck_assert(clg_is_aligned((uintptr_t)p, 64));
        ck_assert(clg_is_zero(p, size));
        memset(p, 0xff, size);
        os->free(os, p);
    }
    os->free(os, NULL);
    ck_assert_ptr_null(clg_os_alloc_array(os, SIZE_MAX / 2, 16));
}
END_TEST

START_TEST(a_grown_array_keeps_its_items_and_ends_in_zeros)
{
    uint32_t *p = (uint32_t *)clg_os_grow_array(os, NULL, 0, 3, sizeof(uint32_t));
    ck_assert_ptr_nonnull(p);
    p[0] = 1;
    p[1] = 2;
    p[2] = 3;
    ck_assert_ptr_null(clg_os_grow_array(os, p, 3, SIZE_MAX, sizeof(uint32_t)));
    ck_assert_uint_eq(p[2], 3);
    p = (uint32_t *)clg_os_grow_array(os, p, 3, 100, sizeof(uint32_t));
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p[0] + p[1] + p[2], 6);
    ck_assert(clg_is_zero(p + 3, 97 * sizeof(uint32_t)));
    os->free(os, p);
}
END_TEST

/* ---- names ----------------------------------------------------------------------------------- */

START_TEST(descriptors_close_on_exec)
{
    int fd = create("a");
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_ne(fcntl(dir, F_GETFD) & FD_CLOEXEC, 0);
    clg_os_close_fd(os, &fd);
    ck_assert_int_eq(fd, -1);
    clg_os_close_fd(os, &fd);
}
END_TEST

/* A program that was started with them closed writes to them all the same. */
START_TEST(the_standard_descriptors_are_left_to_the_program)
{
    int saved[3];
    int made[6] = {-1, -1, -1, -1, -1, -1};
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 20);
        (void)close(i);
    }
    const uint32_t flags = CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE;
    made[0] = os->open_at(os, dir, "a", flags, 0600);
    made[1] = clg_linux_open_at_walk(dir, "a", flags, 0600);
    made[2] = os->open_dir(os, "/");
    made[3] = os->memory_file(os, "a", 4096);
    made[4] = os->eventfd_create(os);
    made[5] = os->open_at(os, dir, "a", CLG_OS_OPEN_READ, 0);
    for (int i = 0; i < 3; i++) {
        if (saved[i] >= 0) {
            (void)dup2(saved[i], i);
            (void)close(saved[i]);
        }
    }
    for (int i = 0; i < 6; i++) {
        ck_assert_int_gt(made[i], 2);
        ck_assert_int_ne(fcntl(made[i], F_GETFD) & FD_CLOEXEC, 0);
        clg_os_close_fd(os, &made[i]);
    }
}
END_TEST

/* With openat2 (0) and with the walk that replaces it (1). */
static int open_either(int walk, const char *name, uint32_t flags)
{
    return walk ? clg_linux_open_at_walk(dir, name, flags, 0600)
                : os->open_at(os, dir, name, flags, 0600);
}

START_TEST(a_symbolic_link_is_refused_at_every_place_of_a_name)
{
    const uint32_t create_flags = CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE;
    int fd = create("target");
    clg_os_close_fd(os, &fd);
    ck_assert_int_eq(os->mkdir_at(os, dir, "real", 0700), 0);
    ck_assert_int_eq(symlinkat("target", dir, "link"), 0);
    ck_assert_int_eq(symlinkat("real", dir, "dirlink"), 0);
    ck_assert_int_eq(symlinkat("nowhere", dir, "dangling"), 0);
    ck_assert_int_eq(open_either(_i, "link", CLG_OS_OPEN_READ), -ELOOP);
    ck_assert_int_eq(open_either(_i, "dangling", create_flags), -ELOOP);
    ck_assert_int_eq(open_either(_i, "dirlink", CLG_OS_OPEN_READ | CLG_OS_OPEN_DIRECTORY), -ELOOP);
    ck_assert_int_eq(open_either(_i, "dirlink/x", create_flags), -ELOOP);
    ck_assert_int_eq(os->unlink_at(os, dir, "dirlink/x"), -ELOOP);
    ck_assert_int_eq(os->mkdir_at(os, dir, "dirlink/x", 0700), -ELOOP);
    ck_assert_int_eq(os->rename_at(os, dir, "target", dir, "dirlink/x", true), -ELOOP);
    fd = open_either(_i, "real/x", create_flags);
    ck_assert_int_ge(fd, 0);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(a_name_cannot_leave_the_directory)
{
    static const char *const bad[] = {"..", "../x", "a/../../x", "/etc/passwd"};
    ck_assert_int_eq(os->mkdir_at(os, dir, "a", 0700), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(open_either(_i, bad[i], CLG_OS_OPEN_READ), -EINVAL);
        ck_assert_int_eq(os->unlink_at(os, dir, bad[i]), -EINVAL);
    }
}
END_TEST

START_TEST(exclusive_creation_refuses_what_is_there)
{
    const uint32_t flags = CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE;
    int fd = create("a");
    clg_os_close_fd(os, &fd);
    ck_assert_int_eq(symlinkat("nowhere", dir, "l"), 0);
    ck_assert_int_eq(os->open_at(os, dir, "a", flags, 0600), -EEXIST);
    int rc = os->open_at(os, dir, "l", flags, 0600);
    ck_assert(rc == -EEXIST || rc == -ELOOP);
    ck_assert_int_eq(os->open_at(os, dir, "none", CLG_OS_OPEN_READ, 0), -ENOENT);
}
END_TEST

START_TEST(rename_with_noreplace_keeps_the_other_file)
{
    int a = create("a");
    int b = create("b");
    ck_assert_int_eq(clg_os_pwrite_all(os, a, "A", 1, 0), 0);
    ck_assert_int_eq(clg_os_pwrite_all(os, b, "BB", 2, 0), 0);
    ck_assert_int_eq(os->rename_at(os, dir, "a", dir, "b", true), -EEXIST);
    struct clg_os_stat st;
    ck_assert_int_eq(os->stat_at(os, dir, "b", &st), 0);
    ck_assert_uint_eq(st.size_bytes, 2);
    ck_assert_int_eq(os->stat_at(os, dir, "a", &st), 0);
    ck_assert_int_eq(os->rename_at(os, dir, "a", dir, "c", true), 0);
    ck_assert_int_eq(os->rename_at(os, dir, "c", dir, "b", false), 0);
    ck_assert_int_eq(os->stat_at(os, dir, "b", &st), 0);
    ck_assert_uint_eq(st.size_bytes, 1);
    ck_assert_int_eq(os->stat_at(os, dir, "a", &st), -ENOENT);
    clg_os_close_fd(os, &a);
    clg_os_close_fd(os, &b);
}
END_TEST

struct listing {
    int files;
    int directories;
    int links;
    int stop_after;
};

static int list_count(void *ctx, const char *name, enum clg_os_type type)
{
    struct listing *seen = (struct listing *)ctx;
    ck_assert(name[0] != '.');
    seen->files += type == CLG_OS_FILE;
    seen->directories += type == CLG_OS_DIRECTORY;
    seen->links += type == CLG_OS_SYMLINK;
    return --seen->stop_after == 0 ? 7 : 0;
}

START_TEST(a_listing_has_every_name_once_and_can_be_stopped)
{
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "f%d", i);
        int fd = create(name);
        clg_os_close_fd(os, &fd);
    }
    ck_assert_int_eq(os->mkdir_at(os, dir, "d", 0700), 0);
    ck_assert_int_eq(symlinkat("f0", dir, "l"), 0);
    for (int round = 0; round < 2; round++) {
        struct listing seen = {0, 0, 0, -1};
        ck_assert_int_eq(os->list_dir(os, dir, list_count, &seen), 0);
        ck_assert_int_eq(seen.files, 5);
        ck_assert_int_eq(seen.directories, 1);
        ck_assert_int_eq(seen.links, 1);
    }
    struct listing seen = {0, 0, 0, 3};
    ck_assert_int_eq(os->list_dir(os, dir, list_count, &seen), 7);
    ck_assert_int_eq(seen.files + seen.directories + seen.links, 3);
}
END_TEST

START_TEST(stat_tells_what_it_is)
{
    struct clg_os_stat st;
    int fd = create("a");
    ck_assert_int_eq(os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, 65536), 0);
    ck_assert_int_eq(os->stat_fd(os, fd, &st), 0);
    ck_assert_uint_eq(st.size_bytes, 65536);
    ck_assert_uint_ge(st.allocated_bytes, 65536);
    ck_assert_uint_eq(st.links, 1);
    ck_assert_uint_eq(st.mode, 0600);
    ck_assert_int_eq(st.type, CLG_OS_FILE);
    ck_assert_int_eq((int64_t)st.uid, os->uid(os));
    ck_assert_int_eq(os->stat_fd(os, dir, &st), 0);
    ck_assert_int_eq(st.type, CLG_OS_DIRECTORY);
    ck_assert_int_eq(symlinkat("a", dir, "l"), 0);
    ck_assert_int_eq(os->stat_at(os, dir, "l", &st), 0);
    ck_assert_int_eq(st.type, CLG_OS_SYMLINK);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(the_file_system_is_named_and_has_a_size)
{
    struct clg_os_fs_info info;
    char path[64];
    ck_assert_int_eq(os->fs_info(os, dir, &info), 0);
    ck_assert_uint_gt(info.total_bytes, 0);
    ck_assert_uint_le(info.free_bytes, info.total_bytes);
    if (os->tmpfs_dir(os, path, sizeof(path)) < 0) {
        printf("skip: no tmpfs at /dev/shm\n");
        return;
    }
    int shm = os->open_dir(os, path);
    ck_assert_int_ge(shm, 0);
    ck_assert_int_eq(os->fs_info(os, shm, &info), 0);
    ck_assert_int_eq(info.type, CLG_OS_FS_TMPFS);
    ck_assert(!info.network && !info.dax);
    clg_os_close_fd(os, &shm);
    ck_assert_int_eq(os->tmpfs_dir(os, path, 3), -ENAMETOOLONG);
}
END_TEST

/* ---- bytes of files -------------------------------------------------------------------------- */

START_TEST(what_is_written_is_read_and_the_end_is_seen)
{
    char buf[16] = {0};
    int fd = create("a");
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, "hello", 5, 4096), 0);
    ck_assert_int_eq(clg_os_pread_all(os, fd, buf, 5, 4096), 0);
    ck_assert_mem_eq(buf, "hello", 5);
    ck_assert_int_eq(clg_os_pread_all(os, fd, buf, 6, 4096), -ENODATA);
    ck_assert_int_eq(clg_os_pread_most(os, fd, buf, 6, 4096), 5);
    ck_assert_int_eq(os->pread(os, fd, buf, 6, 9999), 0);
    ck_assert_int_eq(os->fdatasync(os, fd), 0);
    ck_assert_int_eq(os->fsync(os, dir), 0);
    ck_assert_int_eq(os->write_back(os, fd, 0, 8192, true), 0);
    ck_assert_int_eq(os->drop_cache(os, fd, 0, 8192), 0);
    ck_assert_int_eq(os->ftruncate(os, fd, 4098), 0);
    ck_assert_int_eq(clg_os_pread_most(os, fd, buf, 6, 4096), 2);
    clg_os_close_fd(os, &fd);
    ck_assert_int_eq(os->pread(os, 9999, buf, 1, 0), -EBADF);
}
END_TEST

START_TEST(a_punched_range_reads_as_zeros)
{
    uint8_t page[4096];
    struct clg_os_stat st;
    int fd = create("a");
    memset(page, 0x5a, sizeof(page));
    for (uint64_t at = 0; at < 3 * sizeof(page); at += sizeof(page)) {
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, page, sizeof(page), at), 0);
    }
    int rc = os->fallocate(os, fd, CLG_OS_FALLOCATE_PUNCH, sizeof(page), sizeof(page));
    if (rc == -EOPNOTSUPP) {
        printf("skip: no holes on this file system\n");
    } else {
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(clg_os_pread_all(os, fd, page, sizeof(page), sizeof(page)), 0);
        ck_assert(clg_is_zero(page, sizeof(page)));
        ck_assert_int_eq(os->stat_fd(os, fd, &st), 0);
        ck_assert_uint_eq(st.size_bytes, 3 * sizeof(page));
    }
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(fresh_data_is_never_taken_for_a_hole)
{
    const uint64_t bytes = 8u << 20;
    uint8_t byte = 1;
    int fd = create("a");
    int rc = os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, bytes);
    if (rc == -EOPNOTSUPP) {
        printf("skip: no fallocate on this file system\n");
        clg_os_close_fd(os, &fd);
        return;
    }
    ck_assert_int_eq(rc, 0);
    /* Not flushed: the blocks are still marked as never written. */
    for (uint64_t at = 0; at < bytes; at += 1u << 20) {
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, &byte, 1, at + 5000), 0);
        int64_t found = os->next_data(os, fd, at);
        ck_assert_int_ge(found, (int64_t)at);
        ck_assert_int_le(found, (int64_t)at + 5000);
        ck_assert_int_le(os->next_data(os, fd, at + 4999), (int64_t)at + 5000);
    }
    ck_assert(os->next_data(os, fd, bytes) >= (int64_t)bytes);
    ck_assert_int_gt(os->next_hole(os, fd, 5000), 5000);
    ck_assert_int_eq(os->next_hole(os, fd, bytes), INT64_MAX);
    clg_os_close_fd(os, &fd);
}
END_TEST

/* A table over the default one that moves at most `most` bytes a call, then fails or stalls. */
struct stingy {
    size_t most;
    int calls;
    int fail_at; /* call number that returns `answer`; 0 never */
    int64_t answer;
};

static bool stingy_answers(const struct commitlog_os *self, int64_t *answer, size_t *most)
{
    struct stingy *s = (struct stingy *)self->ctx;
    *most = s->most;
    *answer = s->answer;
    return ++s->calls == s->fail_at;
}

static int64_t stingy_pwrite(const struct commitlog_os *self, int fd, const void *buf, size_t size,
                             uint64_t at)
{
    int64_t answer;
    size_t most;
    if (stingy_answers(self, &answer, &most)) {
        return answer;
    }
    return os->pwrite(os, fd, buf, size < most ? size : most, at);
}

static int64_t stingy_pread(const struct commitlog_os *self, int fd, void *buf, size_t size,
                            uint64_t at)
{
    int64_t answer;
    size_t most;
    if (stingy_answers(self, &answer, &most)) {
        return answer;
    }
    return os->pread(os, fd, buf, size < most ? size : most, at);
}

static int64_t stingy_pwritev(const struct commitlog_os *self, int fd,
                              const struct clg_piece *pieces, size_t count, uint64_t at)
{
    int64_t answer;
    size_t most;
    if (stingy_answers(self, &answer, &most)) {
        return answer;
    }
    ck_assert_uint_gt(count, 0);
    size_t size = pieces[0].size < most ? pieces[0].size : most;
    /* Sometimes a bit of the second piece too: a short write ends anywhere. */
    if (size == pieces[0].size && count > 1 && pieces[1].size > 1) {
        struct clg_piece two[2] = {pieces[0], {pieces[1].data, 1}};
        return os->pwritev(os, fd, two, 2, at);
    }
    return os->pwrite(os, fd, pieces[0].data, size, at);
}

static struct commitlog_os stingy_table(struct stingy *s)
{
    struct commitlog_os table = *os;
    table.ctx = s;
    table.pwrite = stingy_pwrite;
    table.pread = stingy_pread;
    table.pwritev = stingy_pwritev;
    return table;
}

START_TEST(short_transfers_are_continued)
{
    char text[101];
    char back[101];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('A' + i % 26);
    }
    int fd = create("a");
    for (size_t most = 1; most < 9; most += 3) {
        struct stingy s = {most, 0, 0, 0};
        struct commitlog_os table = stingy_table(&s);
        memset(back, 0, sizeof(back));
        ck_assert_int_eq(clg_os_pwrite_all(&table, fd, text, sizeof(text), most), 0);
        ck_assert_int_eq(s.calls, (int)((sizeof(text) + most - 1) / most));
        ck_assert_int_eq(clg_os_pread_all(&table, fd, back, sizeof(back), most), 0);
        ck_assert_mem_eq(back, text, sizeof(text));
    }
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(scattered_pieces_arrive_whole_however_the_writes_are_cut)
{
    static char text[400];
    char back[400];
    struct clg_piece pieces[40];
    int fd = create("a");
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 7);
    }
    for (size_t most = 1; most <= 64; most *= 4) {
        size_t at = 0;
        size_t count = 0;
        for (; count < 39 && at < sizeof(text); count++) {
            size_t size = (count * 5) % 23; /* some are empty */
            size = size < sizeof(text) - at ? size : sizeof(text) - at;
            pieces[count].data = text + at;
            pieces[count].size = size;
            at += size;
        }
        struct stingy s = {most, 0, 0, 0};
        struct commitlog_os table = stingy_table(&s);
        ck_assert_int_eq(clg_os_pwritev_all(&table, fd, pieces, count, 10), 0);
        memset(back, 0, sizeof(back));
        ck_assert_int_eq(clg_os_pread_all(os, fd, back, at, 10), 0);
        ck_assert_mem_eq(back, text, at);
        ck_assert_int_eq(os->ftruncate(os, fd, 0), 0);
        ck_assert_int_eq(clg_os_pwritev_all(os, fd, pieces, count, 10), 0);
        ck_assert_int_eq(clg_os_pread_all(os, fd, back, at, 10), 0);
        ck_assert_mem_eq(back, text, at);
    }
    ck_assert_int_eq(clg_os_pwritev_all(os, fd, NULL, 0, 0), 0);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(an_error_in_the_middle_comes_out_and_no_progress_is_one)
{
    char text[10] = "123456789";
    struct clg_piece pieces[2] = {{text, 5}, {text, 5}};
    int fd = create("a");
    for (int fail_at = 1; fail_at <= 3; fail_at++) {
        struct stingy s = {3, 0, fail_at, -ENOSPC};
        struct commitlog_os table = stingy_table(&s);
        ck_assert_int_eq(clg_os_pwrite_all(&table, fd, text, 10, 0), -ENOSPC);
        ck_assert_int_eq(s.calls, fail_at);
    }
    struct stingy none = {3, 0, 2, 0};
    struct commitlog_os table = stingy_table(&none);
    ck_assert_int_eq(clg_os_pwrite_all(&table, fd, text, 10, 0), -EIO);
    none.calls = 0;
    ck_assert_int_eq(clg_os_pwritev_all(&table, fd, pieces, 2, 0), -EIO);
    none.calls = 0;
    none.answer = -EIO;
    ck_assert_int_eq(clg_os_pwritev_all(&table, fd, pieces, 2, 0), -EIO);
    none.calls = 0;
    ck_assert_int_eq(clg_os_pread_all(&table, fd, text, 6, 0), -EIO);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(a_lock_is_refused_to_a_second_description)
{
    int a = create("LOCK");
    int b = os->open_at(os, dir, "LOCK", CLG_OS_OPEN_READ, 0);
    ck_assert_int_ge(b, 0);
    ck_assert_int_eq(os->lock_file(os, a, true), 0);
    ck_assert_int_eq(os->lock_file(os, b, true), -EAGAIN);
    ck_assert_int_eq(os->lock_file(os, b, false), -EAGAIN);
    ck_assert_int_eq(os->unlock_file(os, a), 0);
    ck_assert_int_eq(os->lock_file(os, b, false), 0);
    ck_assert_int_eq(os->lock_file(os, a, false), 0);
    ck_assert_int_eq(os->lock_file(os, a, true), -EAGAIN);
    clg_os_close_fd(os, &b);
    ck_assert_int_eq(os->lock_file(os, a, true), 0);
    clg_os_close_fd(os, &a);
}
END_TEST

/* The lock is its description's, not its process's: who opens the file and closes it again, as a
 * backup in the same program may, has not given it up. */
START_TEST(a_lock_outlives_another_description_that_is_closed)
{
    int a = create("LOCK");
    int b = os->open_at(os, dir, "LOCK", CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    int status = 0;
    ck_assert_int_ge(b, 0);
    ck_assert_int_eq(os->lock_file(os, a, true), 0);
    clg_os_close_fd(os, &b);
    pid_t child = fork();
    if (child == 0) {
        b = os->open_at(os, dir, "LOCK", CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
        _exit(b >= 0 && os->lock_file(os, b, true) == -EAGAIN ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    clg_os_close_fd(os, &a);
}
END_TEST

static Suite *os_suite(void)
{
    Suite *suite = suite_create("os");
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, setup, teardown);
    tcase_add_test(memory, allocated_memory_is_zero_and_on_a_line_of_its_own);
    tcase_add_test(memory, a_grown_array_keeps_its_items_and_ends_in_zeros);
    suite_add_tcase(suite, memory);
    TCase *names = tcase_create("names");
    tcase_add_checked_fixture(names, setup, teardown);
    tcase_add_test(names, descriptors_close_on_exec);
    tcase_add_test(names, the_standard_descriptors_are_left_to_the_program);
    tcase_add_loop_test(names, a_symbolic_link_is_refused_at_every_place_of_a_name, 0, 2);
    tcase_add_loop_test(names, a_name_cannot_leave_the_directory, 0, 2);
    tcase_add_test(names, exclusive_creation_refuses_what_is_there);
    tcase_add_test(names, rename_with_noreplace_keeps_the_other_file);
    tcase_add_test(names, a_listing_has_every_name_once_and_can_be_stopped);
    tcase_add_test(names, stat_tells_what_it_is);
    tcase_add_test(names, the_file_system_is_named_and_has_a_size);
    suite_add_tcase(suite, names);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, what_is_written_is_read_and_the_end_is_seen);
    tcase_add_test(files, a_punched_range_reads_as_zeros);
    tcase_add_test(files, fresh_data_is_never_taken_for_a_hole);
    tcase_add_test(files, short_transfers_are_continued);
    tcase_add_test(files, scattered_pieces_arrive_whole_however_the_writes_are_cut);
    tcase_add_test(files, an_error_in_the_middle_comes_out_and_no_progress_is_one);
    tcase_add_test(files, a_lock_is_refused_to_a_second_description);
    tcase_add_test(files, a_lock_outlives_another_description_that_is_closed);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return run_suite(os_suite());
}
