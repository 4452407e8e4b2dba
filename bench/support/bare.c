/* SPDX-License-Identifier: BSD-2-Clause */
/* bare.c -- see bare.h */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/bare.h"
#include "support/bench.h"

int bare_open(const char *directory, uint64_t bytes)
{
    char path[BENCH_PATH_MAX + 16];
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

void bare_write(int fd, uint64_t bytes, size_t piece_bytes)
{
    uint8_t *piece = bench_alloc(piece_bytes);
    memcpy(piece, bench_body(0, BENCH_BODY_MAX), BENCH_BODY_MAX);
    for (uint64_t at = 0; at < bytes;) {
        uint64_t left = bytes - at;
        size_t size = left < piece_bytes ? (size_t)left : piece_bytes;
        ssize_t written = pwrite(fd, piece, size, (off_t)at);
        if (written <= 0) {
            bench_die("pwrite: %s", strerror(errno));
        }
        at += (uint64_t)written;
    }
    free(piece);
}
