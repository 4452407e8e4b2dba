/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weave.h -- runs a few threads of real library code under every order of their steps.
 *
 * A thread is a coroutine. It gives way before each access to an atomic of the library (hooks.h)
 * and before each call of the operating system that another thread can notice (weave_os). Which
 * thread goes on is a choice; one run after the other walks the tree of choices, each from a new
 * store in a new machine of memory (commitlog_fault.h).
 *
 * What is walked: all orders with at most `bound` preemptions: switches away from a thread that
 * could have gone on. Where a thread cannot go on, each other one is tried, which costs nothing. A
 * wait that has a time-out may end by it at any moment, at the cost of one preemption; for nothing
 * when nobody else can go on. A preemption right before a step that no later step of another thread
 * conflicts with is left out: the same is reached by one before the next step that does.
 *
 * What is not walked: memory is sequentially consistent, so no effect of a weaker order is seen
 * but, with `delays`, that of a store that stays in the core's store buffer: until its thread's
 * next read-modify-write, full fence or system call the others do not see it, nor those behind it.
 * Data that is not atomic is taken to be protected by atomics: ThreadSanitizer looks at that.
 *
 * Invariants: same choices, same run: a run that differs from the one it repeats ends the program.
 * Threads: all on the one that calls.
 */
#ifndef TESTS_CONCURRENCY_WEAVE_H
#define TESTS_CONCURRENCY_WEAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

enum { WEAVE_THREADS = 6 };

struct weave_case {
    const char *name;
    void (*begin)(void); /* a new store and the threads; not scheduled */
    void (*step)(void);  /* before each step: what must hold at every moment */
    void (*quiet)(
        void);         /* only stopped threads can go on; they do so afterwards. NULL: none does */
    void (*end)(void); /* every thread has returned; closes what is open */
};

struct weave_limits {
    uint32_t bound;   /* preemptions */
    uint64_t most;    /* schedules; 0: as many as there are */
    int64_t until_ms; /* clock_ms; 0: no end */
    /* Of the tree: by the depth of the first preemption; what has none is in each. All parts
     * together are a little less than the whole, where a step turns out to be worth a preemption
     * only by schedules of another part: 3 parts of flush-left lack 22 of 6218, of roll-reserved 1
     * of 974. */
    uint64_t part;
    uint64_t parts; /* 1: all */
    bool delays;    /* stores may stay in a store buffer, which costs a preemption */
};

struct weave_result {
    uint64_t schedules;
    uint64_t steps;
    uint64_t longest; /* steps of one schedule */
    bool complete;    /* every schedule within the bound was run */
};

/* All schedules of the case within the limits. */
struct weave_result weave_explore(const struct weave_case *it, const struct weave_limits *limits);
/* Schedules drawn by the seed: random priorities, some of them changed on the way. */
struct weave_result weave_random(const struct weave_case *it, uint64_t seed, uint64_t from,
                                 uint64_t count, bool delays);

/* From `begin` or from a thread. */
void weave_spawn(const char *name, void (*fn)(void *arg), void *arg);
/* The calling thread stands still until no other one can go on, and `quiet` has been asked. */
void weave_stop(void);
/* The calling thread goes on when the flag is set, by another one of the case. */
void weave_await(const bool *flag);
/* A wait on a word that processes share ends by a wake only, not by its time-out. Until the end of
 * the run. */
void weave_patient(void);
/* Others come in only where a lock may be taken, by compare and swap, and no store is delayed: for
 * data that locks protect, in steps that are many. Until the end of the run. */
void weave_at_locks(void);
/* Steps there are of no interest (statistics). Until the end of the run. */
void weave_ignore(const volatile void *from, size_t bytes);
/* What a failure calls this address. */
void weave_name(const volatile void *at, const char *name);

/* `under` with waits, wakes, threads and sleep of ours, and a step before each call on files.
 * The result is valid until the next call. */
const struct commitlog_os *weave_os(const struct commitlog_os *under);

/* Prints the steps that led here, then fails. */
_Noreturn void weave_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define WEAVE_CHECK(condition, ...)                                                                \
    do {                                                                                           \
        prog_checks_add(1);                                                                        \
        if (!(condition))                                                                          \
            weave_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                               \
    } while (0)
/* As CHECK_RC, with the steps. */
#define WEAVE_RC(expression, expected)                                                             \
    do {                                                                                           \
        int32_t weave_rc_ = (expression);                                                          \
        WEAVE_CHECK(weave_rc_ == (expected), "%s: got %s, expected %s", #expression,               \
                    commitlog_error_name(weave_rc_), commitlog_error_name(expected));              \
    } while (0)
/* As WEAVE_RC for COMMITLOG_OK, and tells the message. */
#define WEAVE_OK(expression, err)                                                                  \
    do {                                                                                           \
        int32_t weave_rc_ = (expression);                                                          \
        WEAVE_CHECK(weave_rc_ == COMMITLOG_OK, "%s: %s: %s", #expression,                          \
                    commitlog_error_name(weave_rc_), (err)->message);                              \
    } while (0)

#endif
