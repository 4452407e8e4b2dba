/* SPDX-License-Identifier: BSD-2-Clause */
/* cache.c -- see cache.h. */
#include "support/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/bench.h"

enum { CACHE_FILES = 32 };

static _Thread_local uint64_t resident_bytes;

static uint64_t resident(int fd, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (bytes + page - 1) / page;
    uint64_t count = 0;
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    unsigned char *there = bench_alloc(pages);
    if (map == MAP_FAILED || mincore(map, bytes, there) != 0) {
        bench_die("what is in the page cache: %s", strerror(errno));
    }
    for (size_t i = 0; i < pages; i++) {
        count += there[i] & 1u;
    }
    free(there);
    (void)munmap(map, bytes);
    return count * page;
}

static int drop(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind != FTW_F || status->st_size == 0) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    /* Only what is clean can go. */
    bench_need(fdatasync(fd) == 0 ? 0 : errno, path);
    bench_need(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), path);
    resident_bytes += resident(fd, (size_t)status->st_size);
    (void)close(fd);
    return 0;
}

uint64_t bench_uncache(const char *directory)
{
    resident_bytes = 0;
    if (nftw(directory, drop, CACHE_FILES, FTW_PHYS | FTW_MOUNT) != 0) {
        bench_die("%s: %s", directory, strerror(errno));
    }
    return resident_bytes;
}
