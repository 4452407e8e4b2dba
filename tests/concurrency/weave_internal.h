/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weave_internal.h -- the state of the scheduler; see weave.h. weave.c has the threads and their
 * steps, weave_tree.c the choices, weave_os.c the calls of the library.
 */
#ifndef TESTS_CONCURRENCY_WEAVE_INTERNAL_H
#define TESTS_CONCURRENCY_WEAVE_INTERNAL_H

#include <ucontext.h>

#include "../support/prog.h"
#include "weave.h"

enum {
    WEAVE_STACK = 512 << 10,
    WEAVE_STEPS = 1 << 16,
    WEAVE_NODES = 1 << 15,
    WEAVE_BUFFER = 32,
    WEAVE_IGNORED = 8,
    WEAVE_NAMES = 64,
    WEAVE_MAPS = 64
};

enum weave_state {
    WEAVE_READY,
    WEAVE_WAITS,   /* for a word to be woken, for a time, or both */
    WEAVE_JOINS,   /* for the end of a thread */
    WEAVE_AWAITS,  /* for a flag of the case */
    WEAVE_STOPPED, /* until nobody else can go on */
    WEAVE_ENDED
};

/* A store that the others do not see yet. */
struct weave_delayed {
    volatile void *at;
    uint64_t value;
    uint32_t bytes;
};

struct weave_thread {
    const char *name;
    void (*fn)(void *arg);
    void *arg;
    enum weave_state state;
    const volatile void *word; /* WAITS; NULL: sleeps */
    int64_t deadline;          /* INT64_MAX: none */
    uint64_t queued;           /* order of the waiters */
    bool timed_out;
    uint32_t joined;
    const bool *flag;
    const volatile void *last_read; /* the step before was this read */
    uint64_t priority;
    struct weave_delayed buffer[WEAVE_BUFFER];
    uint32_t buffered;
    ucontext_t context;
    void *stack;
    void *fake_stack; /* AddressSanitizer's */
};

enum weave_kind {
    WEAVE_READ,
    WEAVE_READ_SHARED, /* of a file that is also mapped: conflicts with who knows what */
    WEAVE_WRITE,
    WEAVE_TAKE /* a write that may take a lock */
};

struct weave_step {
    const volatile void *at;
    int32_t node; /* where another thread could have been put before it; -1: nowhere */
    uint8_t thread;
    uint8_t kind;
};

/* What can come next: a thread that is ready, or the time-out of one that waits. */
struct weave_choice {
    uint8_t thread;
    uint8_t cost;
    bool delay; /* the thread's store, which comes next, is put off */
};

enum { WEAVE_CHOICES = 2 * WEAVE_THREADS };

struct weave_node {
    struct weave_choice choices[WEAVE_CHOICES];
    uint8_t count;
    uint8_t taken;
    bool conflicts; /* the step that follows choice 0 does, with a later one of another thread */
    bool goes_on;   /* choice 0 is the thread that was running */
    uint32_t spent; /* preemptions before it */
};

/* Bytes of a file, mapped; again from the beginning after `period`. */
struct weave_map {
    const void *address;
    uint64_t bytes;
    uint64_t period;
    uint64_t inode; /* plus one */
    uint64_t at;
    bool writes;
};

struct weave {
    const struct weave_case *it;
    struct weave_thread threads[WEAVE_THREADS];
    uint32_t count;
    struct weave_thread *current; /* NULL: not scheduled */
    ucontext_t main;
    void *main_fake;
    const void *main_stack;
    size_t main_stack_bytes;
    uint64_t queued;
    struct commitlog_os os;
    const struct commitlog_os *under;

    struct weave_step steps[WEAVE_STEPS];
    uint32_t step_count;
    struct weave_node nodes[WEAVE_NODES];
    uint32_t node_count;
    uint32_t replay; /* choices of this many nodes are given */
    uint32_t spent;
    bool delays;
    bool checking; /* in `step` or `quiet`: what they look at is no step */

    bool random;
    struct rng rng;
    uint64_t run; /* number of the schedule */
    uint32_t next_change;

    struct {
        const volatile uint8_t *from;
        size_t bytes;
    } ignored[WEAVE_IGNORED];
    uint32_t ignored_count;
    bool patient;
    bool at_locks;
    struct {
        const volatile void *at;
        const char *name;
    } names[WEAVE_NAMES];
    uint32_t name_count;
    struct weave_map maps[WEAVE_MAPS];
    uint32_t map_count;
};

extern struct weave weave;

/* weave.c */
/* The current thread is about to do this; others may come before it. True: its store is put off. */
bool weave_point(const volatile void *at, enum weave_kind kind, bool may_delay);
/* The current thread cannot go on: its state says why. Returns when it can. */
void weave_block(void);
void weave_drain(struct weave_thread *thread);
void weave_run(void);
int64_t weave_now(void);

/* weave_os.c */
const volatile void *weave_place(const volatile void *at);

/* weave_tree.c */
/* Whose turn it is; NULL: everybody has ended. *out_delay as weave_point. */
struct weave_thread *weave_choose(bool may_delay, int32_t *out_node, bool *out_delay);

#endif
