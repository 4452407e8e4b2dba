/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync_probe.c -- what the kernel says of a flush during which the file system gives up.
 *
 *     sync_probe run FILE mmap|pwrite kernel|library
 *                                    writes and flushes until something fails, prints a line
 *     sync_probe check FILE COUNT    are the first COUNT pieces there?
 *
 * Bare files: one thread fills the next piece of a preallocated file and flushes, by fdatasync
 * itself (kernel) or by the library's, which asks the file system afterwards (library); another
 * makes, flushes, renames and removes files beside it, so that the journal is busy. The line says
 *
 *     flushed=N by=...
 *
 * N: pieces whose flush returned 0; by: what ended it. If piece N - 1 is not there after a power
 * cut, it was called durable and was not.
 *
 * Owns: FILE and files beside it. Threads: `stop` tells the other one; nothing else is shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"

enum { PIECE_BYTES = 8192, PIECES = 2000, BESIDE_BYTES = 65536 };

static _Atomic bool stop;
static volatile sig_atomic_t flushed;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void on_bus(int number)
{
    char line[64];
    int length = snprintf(line, sizeof line, "flushed=%d by=SIGBUS\n", (int)flushed);
    (void)number;
    (void)!write(STDOUT_FILENO, line, (size_t)length);
    _exit(0);
}

static void *beside_main(void *arg)
{
    const char *path = arg;
    char first[512], second[512];
    snprintf(first, sizeof first, "%s.new", path);
    snprintf(second, sizeof second, "%s.beside", path);
    while (!atomic_load(&stop)) {
        int fd = open(first, O_RDWR | O_CREAT, 0600);
        bool done = fd >= 0 && fallocate(fd, 0, 0, BESIDE_BYTES) == 0 &&
                    pwrite(fd, path, 1, 0) == 1 && fsync(fd) == 0;
        if (fd >= 0)
            close(fd);
        if (!done || rename(first, second) != 0 || unlink(second) != 0)
            break;
    }
    return NULL;
}

static uint8_t mark(int piece)
{
    return (uint8_t)(piece % 251 + 1);
}

static int flush_kernel(const struct commitlog_os *os, int fd)
{
    (void)os;
    return fdatasync(fd);
}

static int run(const char *path, bool mapped, bool library)
{
    static uint8_t bytes[PIECE_BYTES];
    const struct commitlog_os *os = clg_os_default();
    int (*flush)(const struct commitlog_os *, int) = library ? os->fdatasync : flush_kernel;
    const char *by = "end";
    char named[512];
    uint8_t *map = NULL;
    pthread_t beside;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, (off_t)PIECE_BYTES * PIECES) != 0 || fsync(fd) != 0)
        die(path);
    map = mmap(NULL, (size_t)PIECE_BYTES * PIECES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || signal(SIGBUS, on_bus) == SIG_ERR)
        die("mmap");
    snprintf(named, sizeof named, "%s", path);
    if (pthread_create(&beside, NULL, beside_main, named) != 0)
        die("thread");
    puts("ready");
    fflush(stdout);
    for (int piece = 0; piece < PIECES; piece++) {
        memset(bytes, mark(piece), sizeof bytes);
        if (mapped) {
            memcpy(map + (size_t)piece * PIECE_BYTES, bytes, sizeof bytes);
        } else if (pwrite(fd, bytes, sizeof bytes, (off_t)piece * PIECE_BYTES) !=
                   (ssize_t)sizeof bytes) {
            by = "pwrite";
            break;
        }
        if (flush(os, fd) != 0) {
            by = "flush";
            break;
        }
        flushed = piece + 1;
    }
    printf("flushed=%d by=%s\n", (int)flushed, by);
    fflush(stdout);
    atomic_store(&stop, true);
    pthread_join(beside, NULL);
    return 0;
}

static int check(const char *path, int count)
{
    static uint8_t bytes[PIECE_BYTES];
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        die(path);
    for (int piece = 0; piece < count; piece++) {
        if (pread(fd, bytes, sizeof bytes, (off_t)piece * PIECE_BYTES) != (ssize_t)sizeof bytes)
            die("pread");
        for (size_t i = 0; i < sizeof bytes; i++) {
            if (bytes[i] != mark(piece)) {
                printf("piece %d of %d: byte %zu is %u, not %u\n", piece, count, i, bytes[i],
                       mark(piece));
                return 1;
            }
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "run") == 0)
        return run(argv[2], strcmp(argv[3], "mmap") == 0, strcmp(argv[4], "library") == 0);
    if (argc == 4 && strcmp(argv[1], "check") == 0)
        return check(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: sync_probe run FILE mmap|pwrite kernel|library | check FILE COUNT\n");
    return 2;
}
