/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_host.c -- who and where we are: random bytes, boot, process, limits. See os.h.
 *
 * Invariants: (boot id, pid, start time) names a process for ever: pids come round, their start
 *       times do not within a boot.
 * Threads and locks: none.
 * Happy path: one small file of /proc, or one system call.
 * Failure modes: negative errno; what /proc says in a form that we do not know is -EPROTO.
 */
#include "os/os_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/invariant.h"

/* The fields of /proc/PID/stat that follow the name in brackets: state is 3, start time 22. */
#define HOST_STAT_STATE 3
#define HOST_STAT_START 22

int clg_linux_random(const struct commitlog_os *os, void *buf, size_t size)
{
    (void)os;
    size_t done = 0;
    CLG_ASSERT(buf != NULL || size == 0);
    while (done < size) {
        ssize_t n = getrandom(clg_at(buf, done), size - done, 0);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    CLG_ASSERT(done == size);
    return 0;
}

int clg_linux_read_text(const char *path, char *text, size_t text_size)
{
    CLG_ASSERT(path != NULL);
    CLG_ASSERT(text_size > 1);
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return -errno;
    }
    size_t have = 0;
    int rc = 0;
    while (have < text_size - 1) {
        ssize_t n = read(fd, text + have, text_size - 1 - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        have += (size_t)n;
    }
    (void)close(fd);
    text[have] = '\0';
    return rc;
}

static int host_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int clg_linux_boot_id(const struct commitlog_os *os, uint8_t id[16])
{
    (void)os;
    char text[64];
    uint8_t parsed[16] = {0};
    size_t digits = 0;
    CLG_ASSERT(id != NULL);
    int rc = clg_linux_read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text));
    if (rc < 0) {
        return rc;
    }
    for (const char *p = text; *p != '\0' && digits < 32; p++) {
        int digit = host_hex(*p);
        if (digit >= 0) {
            parsed[digits / 2] = (uint8_t)(parsed[digits / 2] << 4 | digit);
            digits++;
        }
    }
    if (digits != 32) {
        return -EPROTO;
    }
    CLG_ASSERT(!clg_is_zero(parsed, sizeof(parsed)));
    memcpy(id, parsed, sizeof(parsed));
    return 0;
}

int64_t clg_linux_pid(const struct commitlog_os *os)
{
    (void)os;
    return (int64_t)getpid();
}

int64_t clg_linux_uid(const struct commitlog_os *os)
{
    (void)os;
    return (int64_t)geteuid();
}

/* The text of the given field; NULL if there are not so many. The name may contain anything, so
 * fields are counted from its last closing bracket. */
static const char *host_stat_field(const char *text, int field)
{
    CLG_ASSERT(field >= HOST_STAT_STATE);
    const char *p = strrchr(text, ')');
    for (int at = HOST_STAT_STATE - 1; p != NULL && at < field; at++) {
        p = strchr(p, ' ');
        p = p != NULL ? p + 1 : NULL;
    }
    CLG_ASSERT(p == NULL || p > text);
    return p;
}

int clg_linux_pid_start(const struct commitlog_os *os, int64_t pid, uint64_t *start)
{
    (void)os;
    char path[48];
    char text[1024];
    CLG_ASSERT(start != NULL);
    if (pid <= 0) {
        return -ESRCH;
    }
    (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    int rc = clg_linux_read_text(path, text, sizeof(text));
    if (rc == -ENOENT) {
        return access("/proc/self/stat", F_OK) == 0 ? -ESRCH : -ENOENT;
    }
    if (rc < 0) {
        return rc;
    }
    const char *state = host_stat_field(text, HOST_STAT_STATE);
    const char *field = host_stat_field(text, HOST_STAT_START);
    if (state == NULL || field == NULL) {
        return -EPROTO;
    }
    if (*state == 'Z' || *state == 'X') {
        return -ESRCH;
    }
    uint64_t ticks = 0;
    for (; *field >= '0' && *field <= '9'; field++) {
        ticks = ticks * 10 + (uint64_t)(*field - '0');
    }
    CLG_ASSERT(*field == ' ');
    *start = ticks;
    return 0;
}

int clg_linux_limit(const struct commitlog_os *os, enum clg_os_limit which, uint64_t *out)
{
    (void)os;
    struct rlimit limit;
    CLG_ASSERT(which <= CLG_OS_LIMIT_OPEN_FILES);
    CLG_ASSERT(out != NULL);
    int rc = which == CLG_OS_LIMIT_FILE_SIZE ? getrlimit(RLIMIT_FSIZE, &limit)
             : which == CLG_OS_LIMIT_MEMLOCK ? getrlimit(RLIMIT_MEMLOCK, &limit)
                                             : getrlimit(RLIMIT_NOFILE, &limit);
    if (rc < 0) {
        return -errno;
    }
    *out = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit.rlim_cur;
    return 0;
}

size_t clg_linux_page_size(const struct commitlog_os *os)
{
    (void)os;
    long size = sysconf(_SC_PAGESIZE);
    CLG_ASSERT(size > 0);
    CLG_ASSERT(clg_is_power_of_two((uint64_t)size));
    return (size_t)size;
}

int clg_linux_cpu_count(const struct commitlog_os *os)
{
    (void)os;
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    CLG_ASSERT(count < INT32_MAX);
    return count > 0 ? (int)count : 1;
}
