/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash.c -- how fast are the copy and the checksum that every append pays for?
 *
 * The checksum is the library's own function (lib/base/checksum.h), with its choice of
 * instructions. Records come from the 256 KiB that the bodies of all programs are cut from, so
 * they are hot, as what an application has just made is; copies go around a ring of 4 MiB, as
 * into libcommitlog's stage. The bytes of a rate are those of the records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

#include "support/bench.h"

enum { RING_BYTES = 4 << 20, SOURCES = 256, ROUNDS_MAX = 1001 };

struct ground {
    uint8_t *ring;
    const uint8_t *sources[SOURCES];
    uint64_t sum; /* of what was computed */
};

static volatile uint64_t kept; /* so that nothing of it can be left out */

/* `count` records of `bytes`, one after the other. */
typedef void (*work)(struct ground *ground, uint32_t bytes, uint64_t count);

static uint8_t *target(const struct ground *ground, uint32_t bytes, uint64_t i)
{
    return ground->ring + i % (RING_BYTES / bytes) * bytes;
}

static void copy(struct ground *ground, uint32_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        memcpy(target(ground, bytes, i), ground->sources[i % SOURCES], bytes);
        __asm__ volatile("" ::: "memory"); /* the copy has been made */
    }
}

static void hash(struct ground *ground, uint32_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        ground->sum += clg_hash64(ground->sources[i % SOURCES], bytes, i);
    }
}

static void copy_hash(struct ground *ground, uint32_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *at = target(ground, bytes, i);
        memcpy(at, ground->sources[i % SOURCES], bytes);
        ground->sum += clg_hash64(at, bytes, i);
    }
}

static const struct {
    const char *name;
    work run;
} works[] = {{"copy", copy}, {"hash", hash}, {"copy_hash", copy_hash}};
static const uint32_t sizes[] = {128, 1024, 4096};
enum { WORKS = sizeof(works) / sizeof(works[0]), SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

/* Each round does everything once, so that a disturbed moment is not one row's. */
static void measure(struct ground *ground, uint64_t bytes_each, unsigned rounds, json_t *line)
{
    static double ns[WORKS][SIZES][ROUNDS_MAX];
    char name[64];
    for (unsigned round = 0; round <= rounds; round++) {
        for (unsigned w = 0; w < WORKS; w++) {
            for (unsigned s = 0; s < SIZES; s++) {
                uint64_t count = bytes_each / sizes[s];
                uint64_t began = bench_now_ns();
                works[w].run(ground, sizes[s], count);
                /* The first is the warm-up; the second takes its place. */
                ns[w][s][round == 0 ? 0 : round - 1] =
                    (double)(bench_now_ns() - began) / (double)count;
            }
        }
    }
    for (unsigned w = 0; w < WORKS; w++) {
        for (unsigned s = 0; s < SIZES; s++) {
            double each = median(ns[w][s], rounds);
            (void)snprintf(name, sizeof(name), "%s_%u_ns", works[w].name, sizes[s]);
            bench_put(line, name, each);
            (void)snprintf(name, sizeof(name), "%s_%u_gb_per_s", works[w].name, sizes[s]);
            bench_put(line, name, (double)sizes[s] / each); /* bytes a nanosecond */
        }
    }
}

int main(int argc, const char **argv)
{
    struct bench bench = {.threads = 0};
    int rounds = 11;
    long long bytes_each = 64 << 20;
    const struct poptOption more[] = {
        {"rounds", '\0', POPT_ARG_INT, &rounds, 0, "of which the median is told", "N"},
        {"bytes-each", '\0', POPT_ARG_LONGLONG, &bytes_each, 0, "that each size has in a round",
         "N"},
        POPT_TABLEEND};
    bench_begin(&bench, argc, argv, 0, more, "how fast are the copy and the checksum?");
    if (rounds < 1 || rounds > ROUNDS_MAX || bytes_each < sizes[SIZES - 1]) {
        bench_die("a number is out of range");
    }
    bench_pin(&bench, 0);
    struct ground ground = {.ring = bench_alloc(RING_BYTES)};
    for (unsigned i = 0; i < SOURCES; i++) {
        ground.sources[i] = bench_body(i, sizes[SIZES - 1]);
    }
    json_t *line = bench_line(&bench);
    bench_need(json_object_set_new(
                   line, "hash",
                   json_sprintf("XXH3 %s", clg_hash_variant_name(clg_hash_variant_chosen()))),
               "JSON");
    measure(&ground, (uint64_t)bytes_each, (unsigned)rounds, line);
    kept = ground.sum;
    bench_end(&bench);
    bench_print(line);
    free(ground.ring);
    return EXIT_SUCCESS;
}
