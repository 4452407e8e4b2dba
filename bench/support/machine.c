/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.c -- see machine.h. */
#include "support/machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/bench.h"

enum { TREE_FILES = 32, KIB = 1024, LINE_BYTES = 256 };

/* nftw hands no context to what it calls. */
static _Thread_local uint64_t tree_total;

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

void machine_warm(uint64_t bytes)
{
    if (bytes == 0) {
        return;
    }
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        bench_die("no %llu bytes to warm up with: %s", (unsigned long long)bytes, strerror(errno));
    }
    for (uint64_t at = 0; at < bytes; at += page_bytes()) {
        *(volatile uint8_t *)(memory + at) = 1;
    }
    (void)munmap(memory, bytes);
}

static uint64_t cached_bytes(int fd, uint64_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    uint64_t pages = (bytes + page_bytes() - 1) / page_bytes();
    uint64_t cached = 0;
    unsigned char *in_memory = bench_alloc(pages);
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || mincore(map, bytes, in_memory) != 0) {
        bench_die("mincore: %s", strerror(errno));
    }
    for (uint64_t i = 0; i < pages; i++) {
        cached += (in_memory[i] & 1u) != 0 ? page_bytes() : 0;
    }
    (void)munmap(map, bytes);
    free(in_memory);
    return cached;
}

static int evict_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind != FTW_F || !S_ISREG(status->st_mode)) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) { /* a dirty page stays */
        bench_die("%s: %s", path, strerror(errno));
    }
    bench_need(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), path);
    tree_total += cached_bytes(fd, (uint64_t)status->st_size);
    (void)close(fd);
    return 0;
}

uint64_t machine_evict(const char *directory)
{
    tree_total = 0;
    if (nftw(directory, evict_one, TREE_FILES, FTW_PHYS | FTW_MOUNT) != 0) {
        bench_die("%s: %s", directory, strerror(errno));
    }
    return tree_total;
}

uint64_t machine_memory_bytes(void)
{
    char line[LINE_BYTES];
    uint64_t sum = 0;
    unsigned found = 0;
    (void)malloc_trim(0);
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL) {
        bench_die("/proc/self/status: %s", strerror(errno));
    }
    while (fgets(line, sizeof(line), status) != NULL) {
        unsigned long long kib = 0;
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1 ||
            sscanf(line, "RssShmem: %llu kB", &kib) == 1) {
            sum += kib * KIB;
            found++;
        }
    }
    (void)fclose(status);
    bench_need(found == 2 ? 0 : EPROTO, "/proc/self/status");
    return sum;
}

static int count_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)path;
    (void)status;
    (void)place;
    tree_total += kind == FTW_F ? 1 : 0;
    return 0;
}

uint64_t machine_files(const char *directory)
{
    tree_total = 0;
    (void)nftw(directory, count_one, TREE_FILES, FTW_PHYS | FTW_MOUNT);
    return tree_total;
}

uint64_t machine_descriptors(void)
{
    uint64_t count = 0;
    DIR *open_ones = opendir("/proc/self/fd");
    if (open_ones == NULL) {
        bench_die("/proc/self/fd: %s", strerror(errno));
    }
    for (struct dirent *one = readdir(open_ones); one != NULL; one = readdir(open_ones)) {
        count += one->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(open_ones);
    return count - 1; /* that of the directory itself */
}
