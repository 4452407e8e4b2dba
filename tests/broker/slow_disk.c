/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slow_disk.c -- preloaded into the mini-broker: while there is a file $SLOW_DISK, fdatasync(2)
 * takes as long as it is there, and fsync(2) $SLOW_FSYNC_MS longer than usual.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd)
{
    const char *ms = getenv("SLOW_FSYNC_MS");
    if (ms != NULL) {
        (void)usleep((unsigned)atoi(ms) * 1000);
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    const char *path = getenv("SLOW_DISK");
    while (path != NULL && access(path, F_OK) == 0) {
        (void)usleep(10000);
    }
    return (int)syscall(SYS_fdatasync, fd);
}
