/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prog.h -- the frame of a test program: seed, counted checks, random numbers, bytes.
 *
 * Owns: the count of checks and of skips, the seed, and the way a program ends.
 * Invariants: 1. everything random comes from the seed, which is printed first and taken from
 *       SEED; 2. a failed check ends the process at once with status 1 after naming the seed and
 *       the step; 3. nothing here comes from the library under test.
 * Threads: checks may be counted by any number of threads; a `struct rng` belongs to one.
 */
#ifndef TESTS_SUPPORT_PROG_H
#define TESTS_SUPPORT_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

struct rng {
    uint64_t state;
};

/* Prints "NAME: seed N"; N is SEED from the environment or drawn from the clock. */
uint64_t prog_begin(const char *name);
/* Prints "checks: N", returns the exit status. */
int prog_end(void);
/* A part that cannot run here; printed and counted. */
void prog_skip(const char *name, const char *reason);
/* Ends the process with a message after so many seconds; TEST_TIMEOUT replaces them. */
void prog_watchdog(uint64_t seconds);
/* What the failing message calls "step". */
void prog_step(uint64_t step);
/* Replaces the seed that a failure names (a program that runs several). */
void prog_seed_set(uint64_t seed);
uint64_t prog_checks(void);
void prog_checks_add(uint64_t count);
/* Number from the environment, or `otherwise`. */
uint64_t prog_env(const char *name, uint64_t otherwise);
bool prog_env_is(const char *name);

_Noreturn void prog_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define CHECK(condition) CHECKF(condition, "%s", "")
#define CHECKF(condition, ...)                                                                     \
    do {                                                                                           \
        prog_checks_add(1);                                                                        \
        if (!(condition))                                                                          \
            prog_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                \
    } while (0)
#define CHECK_RC(expression, expected)                                                             \
    do {                                                                                           \
        int32_t check_rc_ = (expression);                                                          \
        prog_checks_add(1);                                                                        \
        if (check_rc_ != (expected))                                                               \
            prog_fail(__FILE__, __LINE__, #expression, "got %s, expected %s",                      \
                      commitlog_error_name(check_rc_), commitlog_error_name(expected));            \
    } while (0)
/* As CHECK_RC for 0, and tells the message of a struct commitlog_error. */
#define CHECK_OK(expression, err)                                                                  \
    do {                                                                                           \
        int32_t check_rc_ = (expression);                                                          \
        prog_checks_add(1);                                                                        \
        if (check_rc_ != COMMITLOG_OK)                                                             \
            prog_fail(__FILE__, __LINE__, #expression, "got %s: %s",                               \
                      commitlog_error_name(check_rc_), (err)->message);                            \
    } while (0)

void rng_begin(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* 0 ... below - 1; below > 0. */
uint64_t rng_below(struct rng *rng, uint64_t below);
/* low ... high, both included. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* True `times` in `of`. */
bool rng_chance(struct rng *rng, uint64_t times, uint64_t of);

/* Bytes that only this seed gives. */
void bytes_fill(void *out, size_t count, uint64_t seed);
uint64_t bytes_hash(const void *data, size_t count);
bool bytes_equal(const void *a, const void *b, size_t count);
/* malloc and friends that end the program rather than return NULL. */
void *need_alloc(size_t bytes);
void *need_grow(void *old, size_t bytes);

int64_t clock_ms(void);
int64_t clock_wall_ns(void);
void sleep_ms(int64_t ms);

#endif
