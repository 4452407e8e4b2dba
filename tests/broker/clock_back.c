/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock_back.c -- preloaded into the mini-broker: while there is a file $CLOCK_BACK, the clock of
 * the wall says an hour less.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const char *path = getenv("CLOCK_BACK");
    const int code = (int)syscall(SYS_clock_gettime, clock, out);
    if (code == 0 && clock == CLOCK_REALTIME && path != NULL && access(path, F_OK) == 0) {
        out->tv_sec -= 3600;
    }
    return code;
}
