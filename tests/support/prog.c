/* SPDX-License-Identifier: BSD-2-Clause */
/* prog.c -- the frame of a test program; see prog.h. */
#define _GNU_SOURCE
#include "prog.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *prog_name = "test";
static uint64_t prog_seed;
static _Atomic uint64_t prog_count;
static _Atomic uint64_t prog_at;
static _Atomic uint64_t prog_skips;

uint64_t prog_begin(const char *name)
{
    prog_name = name;
    prog_seed = prog_env("SEED", (uint64_t)clock_wall_ns() % 1000000007U);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%s: seed %llu\n", name, (unsigned long long)prog_seed);
    return prog_seed;
}

int prog_end(void)
{
    uint64_t skips = atomic_load(&prog_skips);
    if (skips > 0)
        printf("%s: skipped: %llu\n", prog_name, (unsigned long long)skips);
    printf("checks: %llu\n", (unsigned long long)prog_checks());
    return prog_checks() > 0 ? 0 : 1;
}

static void watchdog_fired(int signal_number)
{
    static const char text[] = ": TIMED OUT, a call hangs (seed and step above or by TEST_ABORT)\n";
    char line[64];
    int length =
        snprintf(line, sizeof line, "step %llu", (unsigned long long)atomic_load(&prog_at));
    (void)signal_number;
    if (write(STDERR_FILENO, prog_name, strlen(prog_name)) < 0)
        abort();
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        abort();
    if (write(STDERR_FILENO, line, length > 0 ? (size_t)length : 0) < 0)
        abort();
    if (write(STDERR_FILENO, "\n", 1) < 0)
        abort();
    abort();
}

void prog_watchdog(uint64_t seconds)
{
    signal(SIGALRM, watchdog_fired);
    alarm((unsigned)prog_env("TEST_TIMEOUT", seconds));
}

void prog_skip(const char *name, const char *reason)
{
    atomic_fetch_add(&prog_skips, 1);
    printf("skip: %s: %s\n", name, reason);
}

void prog_step(uint64_t step)
{
    atomic_store_explicit(&prog_at, step, memory_order_relaxed);
}

void prog_seed_set(uint64_t seed)
{
    prog_seed = seed;
}

uint64_t prog_checks(void)
{
    return atomic_load(&prog_count);
}

void prog_checks_add(uint64_t count)
{
    atomic_fetch_add_explicit(&prog_count, count, memory_order_relaxed);
}

uint64_t prog_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    char *end = NULL;
    unsigned long long value = 0;
    if (text == NULL || *text == '\0')
        return otherwise;
    value = strtoull(text, &end, 0);
    return *end == '\0' ? (uint64_t)value : otherwise;
}

bool prog_env_is(const char *name)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' && strcmp(text, "0") != 0;
}

_Noreturn void prog_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "%s: FAILED %s:%d: %s: ", prog_name, file, line, what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (SEED=%llu, step %llu, pid %ld)\n", (unsigned long long)prog_seed,
            (unsigned long long)atomic_load(&prog_at), (long)getpid());
    fflush(stderr);
    if (prog_env_is("TEST_ABORT"))
        abort();
    _exit(1);
}

void rng_begin(struct rng *rng, uint64_t seed)
{
    rng->state = seed * 0x9e3779b97f4a7c15U + 1;
}

/* splitmix64: every state is good, which lets a seed be any number. */
uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t below)
{
    return rng_next(rng) % below;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + rng_below(rng, high - low + 1);
}

bool rng_chance(struct rng *rng, uint64_t times, uint64_t of)
{
    return rng_below(rng, of) < times;
}

void bytes_fill(void *out, size_t count, uint64_t seed)
{
    struct rng rng;
    uint8_t *at = out;
    rng_begin(&rng, seed);
    while (count > 0) {
        uint64_t word = rng_next(&rng);
        size_t take = count < sizeof word ? count : sizeof word;
        memcpy(at, &word, take);
        at += take;
        count -= take;
    }
}

uint64_t bytes_hash(const void *data, size_t count)
{
    const uint8_t *at = data;
    uint64_t hash = 0x84222325cbf29ce4U ^ count;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x9fb21c651e98df25U;
        hash ^= hash >> 29;
    }
    for (; count > 0; count--, at++)
        hash = (hash ^ *at) * 0x100000001b3U;
    return hash ^ (hash >> 32);
}

bool bytes_equal(const void *a, const void *b, size_t count)
{
    return count == 0 || memcmp(a, b, count) == 0;
}

void *need_alloc(size_t bytes)
{
    void *got = calloc(1, bytes > 0 ? bytes : 1);
    if (got == NULL)
        prog_fail(__FILE__, __LINE__, "calloc", "%zu bytes", bytes);
    return got;
}

void *need_grow(void *old, size_t bytes)
{
    void *got = realloc(old, bytes > 0 ? bytes : 1);
    if (got == NULL)
        prog_fail(__FILE__, __LINE__, "realloc", "%zu bytes", bytes);
    return got;
}

int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sleep_ms(int64_t ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}
