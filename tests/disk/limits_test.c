/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits_test.c -- a process that may not have what it asks for: files of a size, descriptors,
 * address space, locked memory, memory at all. It gets an error, and keeps what it had.
 *
 * Each case runs in a process of its own, so that the limits are its own and a death by a signal is
 * seen. What was acknowledged is kept in this process' pipe and compared after the limit is gone.
 *
 * Environment: SEED, CASE (only this one).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scratch.h"

enum { KB = 1024, MB = 1024 * KB, SEGMENT = 256 * KB, BODY = 4000, NOBODY = 65534 };
enum { SKIPPED = 77, FULL_PUTS = 400 };

typedef unsigned long long ull;

/* Sanitizers need the whole address space, and lock no memory. */
static void skip_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    _exit(SKIPPED);
#endif
}

static void limit(__rlimit_resource_t which, rlim_t value)
{
    struct rlimit both = {value, value};
    CHECK(setrlimit(which, &both) == 0);
}

static void begin(struct scratch *s, const char *root, uint64_t engine)
{
    CHECK(setenv("TEST_DIR", root, 1) == 0);
    scratch_begin(s, "limits");
    scratch_set(s, COMMITLOG_OPT_ENGINE, engine);
    scratch_set(s, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT);
    scratch_set(s, COMMITLOG_OPT_STAGE_BYTES, 64 * KB);
}

static int32_t try_put(struct scratch *s, uint64_t seed)
{
    uint8_t body[BODY];
    bytes_fill(body, sizeof body, seed);
    return commitlog_append(s->store, s->topic, 0, body, sizeof body, COMMITLOG_LEVEL_NONE, NULL);
}

static int32_t try_open(struct scratch *s, const char *path)
{
    s->store = NULL;
    int32_t rc = commitlog_open(path, s->options, &s->store, &s->err);
    if (rc == COMMITLOG_OK)
        CHECK_OK(commitlog_topic_open(s->store, "test", 4, 0, &s->topic, &s->err), &s->err);
    return rc;
}

/* Every message of the queue is what try_put made of the seeds 0, 1, 2, ... */
static void check_all(struct scratch *s, uint64_t count)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    uint8_t body[BODY];
    uint64_t next = 0;
    uint32_t got = 0;
    CHECK_OK(
        commitlog_cursor_open(s->store, s->topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s->err),
        &s->err);
    while (commitlog_cursor_fetch(cursor, messages, 64, 0, &got, NULL) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++, next++) {
            bytes_fill(body, sizeof body, next);
            CHECKF(messages[i].queue_offset == next && messages[i].body.bytes == BODY &&
                       memcmp(messages[i].body.data, body, BODY) == 0,
                   "message %llu", (ull)next);
        }
    }
    commitlog_cursor_close(cursor);
    CHECKF(next == count, "%llu of %llu messages", (ull)next, (ull)count);
}

static uint64_t fill_store(struct scratch *s, uint64_t count)
{
    uint32_t wait_ms = 0;
    scratch_open(s, 1);
    for (uint64_t i = 0; i < count; i++) {
        CHECK_RC(try_put(s, i), COMMITLOG_OK);
        if (i % 50 == 49) /* seals, and closes what it has sealed */
            CHECK_RC(commitlog_step(s->store, 1000, &wait_ms), COMMITLOG_OK);
    }
    return count;
}

static uint64_t statistic(struct scratch *s, const char *wanted)
{
    const char *name = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(s->store, i, &name, &value) == COMMITLOG_OK; i++)
        if (strcmp(name, wanted) == 0)
            return value;
    CHECKF(false, "no statistic %s", wanted);
    return 0;
}

static uint32_t descriptors_open(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- RLIMIT_FSIZE ------------------------------------------------------------------------------
 */

static void limit_files(rlim_t bytes)
{
    struct rlimit soft = {bytes, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_FSIZE, &soft) == 0);
}

/* The limit sinks under an open store: what is there can be used as far as it may be written. Its
 * signal would kill a host that does not expect it. */
static void case_file_size(const char *root, uint64_t engine)
{
    for (rlim_t bytes = SEGMENT - 1; bytes > 1000; bytes /= 4) {
        struct scratch s;
        uint32_t wait_ms = 0;
        int32_t rc = COMMITLOG_OK;
        begin(&s, root, engine);
        uint64_t stored = fill_store(&s, 20);
        limit_files(bytes);
        for (uint32_t i = 0; i < FULL_PUTS && rc == COMMITLOG_OK; i++)
            stored += (rc = try_put(&s, stored)) == COMMITLOG_OK;
        CHECKF(rc == COMMITLOG_ELIMIT || rc == COMMITLOG_EFAILED, "%s", commitlog_error_name(rc));
        for (uint32_t i = 0; i < 10; i++) {
            rc = commitlog_step(s.store, 1000, &wait_ms);
            CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EFAILED, "%s", commitlog_error_name(rc));
        }
        (void)(commitlog_close(s.store, NULL) == COMMITLOG_OK);
        limit_files(RLIM_INFINITY);
        CHECK_OK(try_open(&s, s.path), &s.err);
        check_all(&s, stored);
        scratch_end(&s);
    }
}

/* Another process has made larger segments than this one may write. */
static void case_file_size_open(const char *root, uint64_t engine)
{
    struct scratch s;
    char path[DIRS_PATH_MAX];
    uint64_t stored = 0;
    begin(&s, root, engine);
    stored = fill_store(&s, 50);
    CHECK_OK(commitlog_close(s.store, &s.err), &s.err);
    for (rlim_t bytes = SEGMENT - 1; bytes > 0; bytes /= 3) {
        limit_files(bytes);
        CHECK_RC(try_open(&s, s.path), COMMITLOG_ELIMIT);
        CHECKF(s.err.os_errno == EFBIG, "%s", s.err.message);
        path_join(path, root, "another");
        CHECK_RC(commitlog_open(path, s.options, &s.store, &s.err), COMMITLOG_ELIMIT);
        CHECKF(s.err.os_errno == EFBIG, "%s", s.err.message);
    }
    limit_files(64 * KB); /* who reads has a page of memory like that of a writer */
    scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY);
    CHECK_OK(try_open(&s, s.path), &s.err);
    check_all(&s, stored);
}

/* ---- RLIMIT_NOFILE -----------------------------------------------------------------------------
 */

/* Many segments, readers of each, few descriptors. */
static void case_descriptors(const char *root, uint64_t engine)
{
    struct scratch s;
    begin(&s, root, engine);
    limit(RLIMIT_NOFILE, 40);
    uint64_t stored = fill_store(&s, 3000); /* 46 segments, each with two view files */
    check_all(&s, stored);
    scratch_close(&s);
    for (uint64_t borrow = 0; borrow < 2; borrow++) {
        scratch_set(&s, COMMITLOG_OPT_BORROW, borrow);
        scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_WRITE);
        CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
        check_all(&s, stored);
        scratch_close(&s);
        scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY);
        CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
        check_all(&s, stored);
        scratch_close(&s);
    }
    scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_WRITE);
    scratch_set(&s, COMMITLOG_OPT_SCRUB_BYTES_PER_S, UINT64_C(1) << 30);
    CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t wait_ms = 0;
        CHECK_RC(commitlog_step(s.store, 1000, &wait_ms), COMMITLOG_OK);
        sleep_ms(wait_ms < 5 ? 1 : 5);
    }
    CHECKF(descriptors_open() < 25, "%u descriptors after a scrub", descriptors_open());
    scratch_close(&s);
    struct commitlog_report *report = NULL;
    CHECK_OK(commitlog_verify(s.path, NULL, &report, &s.err), &s.err);
    commitlog_report_free(report);
    for (uint64_t mode = 0; mode < 2; mode++) {
        char views[DIRS_PATH_MAX];
        path_join(views, s.path, "view");
        dirs_remove(views); /* everything is read again */
        scratch_set(&s, COMMITLOG_OPT_RECOVERY,
                    mode == 0 ? COMMITLOG_RECOVER_TAIL : COMMITLOG_RECOVER_SALVAGE);
        CHECK_OK(try_open(&s, s.path), &s.err);
        check_all(&s, stored);
        scratch_close(&s);
    }
    CHECK_OK(commitlog_rebuild(s.path, s.options, &s.err), &s.err);
}

/* From none at all up to enough: each open is an error, or works. */
static void case_descriptors_open(const char *root, uint64_t engine)
{
    struct scratch s;
    uint64_t stored = 0;
    uint32_t refused = 0, opened = 0;
    begin(&s, root, engine);
    stored = fill_store(&s, 300);
    scratch_close(&s);
    for (rlim_t count = 3; opened < 3; count++) {
        struct rlimit soft = {count, 256};
        CHECK(count < 200 && setrlimit(RLIMIT_NOFILE, &soft) == 0);
        int32_t rc = try_open(&s, s.path);
        if (rc != COMMITLOG_OK) {
            CHECKF(rc == COMMITLOG_ELIMIT, "%s: %s", commitlog_error_name(rc), s.err.message);
            refused++;
            continue;
        }
        opened++;
        for (uint32_t i = 0; i < 200; i++) {
            rc = try_put(&s, stored);
            stored += rc == COMMITLOG_OK;
            CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ELIMIT || rc == COMMITLOG_EFAILED,
                   "with %llu descriptors: %s", (ull)count, commitlog_error_name(rc));
        }
        (void)(commitlog_close(s.store, NULL) == COMMITLOG_OK);
    }
    CHECK(refused > 0);
    limit(RLIMIT_NOFILE, 256);
    CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
    check_all(&s, stored);
}

/* ---- RLIMIT_AS ---------------------------------------------------------------------------------
 */

static rlim_t address_space_used(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%llu", &pages) == 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void case_address_space(const char *root, uint64_t engine)
{
    skip_sanitized();
    struct scratch s;
    uint64_t stored = 0;
    uint32_t refused = 0, opened = 0;
    begin(&s, root, engine);
    stored = fill_store(&s, 300);
    scratch_close(&s);
    for (rlim_t more = 0; opened < 3; more += 256 * KB) {
        struct rlimit soft = {address_space_used() + more, RLIM_INFINITY};
        CHECK(more < 64 * MB && setrlimit(RLIMIT_AS, &soft) == 0);
        int32_t rc = try_open(&s, s.path);
        if (rc != COMMITLOG_OK) {
            CHECKF(rc == COMMITLOG_ENOMEM || rc == COMMITLOG_ELIMIT, "%s: %s",
                   commitlog_error_name(rc), s.err.message);
            refused++;
            continue;
        }
        opened++;
        for (uint32_t i = 0; i < 200; i++) {
            rc = try_put(&s, stored);
            stored += rc == COMMITLOG_OK;
            CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOMEM || rc == COMMITLOG_ELIMIT ||
                       rc == COMMITLOG_EFAILED,
                   "%s", commitlog_error_name(rc));
        }
        (void)(commitlog_close(s.store, NULL) == COMMITLOG_OK);
    }
    CHECK(refused > 0);
    limit(RLIMIT_AS, RLIM_INFINITY);
    CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
    check_all(&s, stored);
}

/* ---- locked memory -----------------------------------------------------------------------------
 */

static void become_nobody(const char *root)
{
    if (geteuid() == 0) { /* who may lock what he likes has no limit */
        CHECK(chown(root, NOBODY, NOBODY) == 0);
        CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    }
}

/* Refusals are counted, and fatal only where that was asked for. */
static void case_locked(const char *root, uint64_t engine)
{
    static const uint64_t modes[] = {COMMITLOG_MLOCK_NONE, COMMITLOG_MLOCK_STAGE,
                                     COMMITLOG_MLOCK_HOT, COMMITLOG_MLOCK_REQUIRED};
    struct scratch s;
    skip_sanitized();
    become_nobody(root);
    limit(RLIMIT_MEMLOCK, 4096);
    for (uint32_t i = 0; i < 4; i++) {
        begin(&s, root, engine);
        scratch_set(&s, COMMITLOG_OPT_MLOCK, modes[i]);
        if (modes[i] == COMMITLOG_MLOCK_REQUIRED) {
            CHECK_RC(commitlog_open(s.path, s.options, &s.store, &s.err), COMMITLOG_ELIMIT);
            CHECKF(strstr(s.err.message, "RLIMIT_MEMLOCK") != NULL, "%s", s.err.message);
            continue;
        }
        uint64_t stored = fill_store(&s, 100);
        uint32_t wait_ms = 0;
        for (uint32_t step = 0; step < 5; step++)
            CHECK_RC(commitlog_step(s.store, 10000, &wait_ms), COMMITLOG_OK);
        check_all(&s, stored);
        CHECKF((statistic(&s, "mlock_refused") > 0) == (modes[i] != COMMITLOG_MLOCK_NONE),
               "mode %llu: %llu refusals", (ull)modes[i], (ull)statistic(&s, "mlock_refused"));
        scratch_end(&s);
    }
}

/* ---- a control group ---------------------------------------------------------------------------
 */

static const char *group_path(void)
{
    static char path[DIRS_PATH_MAX];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "/sys/fs/cgroup/memory/commitlog-test-%ld", (long)getpid());
    return path;
}

static bool group_write(const char *name, uint64_t value)
{
    char path[DIRS_PATH_MAX];
    char text[32];
    path_join(path, group_path(), name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int length = snprintf(text, sizeof text, "%llu", (ull)value);
    bool done = fd >= 0 && write(fd, text, (size_t)length) == length;
    if (fd >= 0)
        close(fd);
    return done;
}

/* False: there is no such hierarchy here, or no right to use it. */
static bool group_begin(uint64_t bytes)
{
    if (mkdir(group_path(), 0700) != 0)
        return false;
    return group_write("memory.limit_in_bytes", bytes);
}

/* A store larger than the memory there is. */
static void case_group(const char *root, uint64_t engine)
{
    struct scratch s;
    CHECK(group_write("cgroup.procs", (uint64_t)getpid()));
    begin(&s, root, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, 8 * MB);
    uint64_t stored = fill_store(&s, 20000);
    check_all(&s, stored);
    scratch_close(&s);
    CHECK_RC(try_open(&s, s.path), COMMITLOG_OK);
    check_all(&s, stored);
    scratch_close(&s);
}

/* To lock more than the group has would not fail: the kernel would kill us. */
static void case_group_locked(const char *root, uint64_t engine)
{
    struct scratch s;
    uint32_t wait_ms = 0;
    CHECK(group_write("cgroup.procs", (uint64_t)getpid()));
    begin(&s, root, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, 64 * MB);
    scratch_set(&s, COMMITLOG_OPT_MLOCK, COMMITLOG_MLOCK_HOT);
    uint64_t stored = fill_store(&s, 1000);
    for (uint32_t step = 0; step < 5; step++)
        CHECK_RC(commitlog_step(s.store, 10000, &wait_ms), COMMITLOG_OK);
    check_all(&s, stored);
    CHECKF(statistic(&s, "mlock_refused") > 0, "64 MiB were locked in a group of 32");
    scratch_close(&s);
    begin(&s, root, engine);
    scratch_set(&s, COMMITLOG_OPT_MLOCK, COMMITLOG_MLOCK_REQUIRED);
    stored = fill_store(&s, 100);
    CHECKF(statistic(&s, "mlock_refused") == 0, "what fits is not refused");
    scratch_close(&s);
}

/* ---- main --------------------------------------------------------------------------------------
 */

struct limits_case {
    const char *name;
    void (*run)(const char *root, uint64_t engine);
    bool needs_group;
};

static const struct limits_case cases[] = {{"file size", case_file_size, false},
                                           {"file size, open", case_file_size_open, false},
                                           {"descriptors", case_descriptors, false},
                                           {"descriptors, open", case_descriptors_open, false},
                                           {"address space", case_address_space, false},
                                           {"locked memory", case_locked, false},
                                           {"group", case_group, true},
                                           {"group, locked", case_group_locked, true}};

static void case_run(const struct limits_case *one, uint64_t engine)
{
    static const char *const engines[] = {"staged", "mmap"};
    char root[DIRS_PATH_MAX];
    int status = 0;
    if (one->needs_group && !group_begin(32 * MB)) {
        rmdir(group_path());
        prog_skip(one->name, "no control group for memory");
        return;
    }
    dirs_make(root, "limits");
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prog_watchdog(60);
        one->run(root, engine);
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    dirs_remove(root);
    if (one->needs_group)
        CHECK(rmdir(group_path()) == 0);
    CHECKF(!WIFSIGNALED(status), "%s, %s: died of signal %d", one->name, engines[engine],
           WTERMSIG(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        prog_skip(one->name, "not under a sanitizer");
        return;
    }
    CHECKF(WEXITSTATUS(status) == 0, "%s, %s: ended with %d", one->name, engines[engine],
           WEXITSTATUS(status));
    printf("%-20s %-7s ok\n", one->name, engines[engine]);
}

int main(void)
{
    const char *only = getenv("CASE");
    prog_begin("limits_test");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t engine = 0; engine < 2; engine++)
            if (only == NULL || strcmp(only, cases[i].name) == 0)
                case_run(&cases[i], engine);
    return prog_end();
}
