/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_hash.c -- see log_hash.h. The layout is that of commitlog-format(5). The hash is libxxhash's
 * own, which chooses the widest instructions that the CPU has.
 */
#include "support/log_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "support/bench.h"

enum { DATA_START = 8192, FOOTER = 4096, WORD_STATE = 7, AT_KIND = 46 };
enum { KIND_MESSAGE = 1, KIND_PAD = 4 };

struct segment {
    const uint8_t *map;
    uint64_t bytes;
    uint64_t end; /* of its records; found by the first run */
};

struct log_hash {
    struct segment *segments;
    size_t count;
};

static volatile uint64_t sink; /* so that the hashes are wanted by somebody */

static void segment_map(struct segment *segment, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    segment->bytes = (uint64_t)status.st_size;
    void *map = mmap(NULL, segment->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        bench_die("%s: %s", path, strerror(errno));
    }
    segment->map = map;
    segment->end = DATA_START;
    (void)close(fd);
}

struct log_hash *log_hash_open(const char *directory)
{
    char pattern[BENCH_PATH_MAX + 16];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s/log/?*.log", directory);
    if (glob(pattern, 0, NULL, &found) != 0) {
        return NULL;
    }
    struct log_hash *log = bench_alloc(sizeof(*log));
    log->segments = bench_alloc(found.gl_pathc * sizeof(*log->segments));
    log->count = found.gl_pathc;
    for (size_t i = 0; i < log->count; i++) {
        segment_map(&log->segments[i], found.gl_pathv[i]);
    }
    globfree(&found);
    return log;
}

static uint64_t hash_records(struct segment *segment)
{
    uint64_t messages = 0;
    uint64_t at = DATA_START;
    while (at + AT_KIND < segment->bytes - FOOTER) {
        const uint8_t *record = segment->map + at;
        uint32_t word;
        memcpy(&word, record, sizeof(word));
        uint64_t bytes = word & ~(uint32_t)WORD_STATE;
        if (bytes == 0 || record[AT_KIND] == KIND_PAD) {
            break;
        }
        sink += XXH3_64bits_withSeed(record, bytes, at);
        messages += record[AT_KIND] == KIND_MESSAGE ? 1 : 0;
        at += bytes;
    }
    segment->end = at;
    return messages;
}

uint64_t log_hash_run(struct log_hash *log, bool whole)
{
    uint64_t messages = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct segment *segment = &log->segments[i];
        if (!whole) {
            messages += hash_records(segment);
        } else {
            sink += XXH3_64bits_withSeed(segment->map + DATA_START, segment->end - DATA_START, 0);
        }
    }
    return messages;
}

void log_hash_close(struct log_hash *log)
{
    for (size_t i = 0; log != NULL && i < log->count; i++) {
        (void)munmap((void *)(uintptr_t)log->segments[i].map, log->segments[i].bytes);
    }
    if (log != NULL) {
        free(log->segments);
        free(log);
    }
}
