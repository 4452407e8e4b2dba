/* SPDX-License-Identifier: BSD-2-Clause */
/* bare.c -- see bare.h */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/bare.h"
#include "support/bench.h"

static uint8_t piece[BARE_PIECE_MAX];

int bare_open(const char *directory, uint64_t bytes)
{
    char path[BENCH_PATH_MAX + 16];
    for (size_t at = 0; at < sizeof(piece); at += BENCH_BODY_MAX) {
        memcpy(piece + at, bench_body(0, BENCH_BODY_MAX), BENCH_BODY_MAX);
    }
    (void)snprintf(path, sizeof(path), "%s/bare", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    bench_need(unlink(path) == 0 ? 0 : errno, "unlink");
    bench_need(posix_fallocate(fd, 0, (off_t)bytes), "fallocate");
    bench_need(fsync(fd) == 0 ? 0 : errno, "fsync");
    return fd;
}

void bare_put(int fd, const uint8_t *from, size_t bytes, uint64_t at)
{
    while (bytes > 0) {
        ssize_t wrote = pwrite(fd, from, bytes, (off_t)at);
        if (wrote < 0) {
            bench_die("pwrite: %s", strerror(errno));
        }
        from += wrote;
        at += (uint64_t)wrote;
        bytes -= (size_t)wrote;
    }
}

void bare_write(int fd, uint64_t bytes, size_t piece_bytes)
{
    for (uint64_t at = 0; at < bytes; at += piece_bytes) {
        uint64_t left = bytes - at;
        bare_put(fd, piece, left < piece_bytes ? (size_t)left : piece_bytes, at);
    }
}
