/* SPDX-License-Identifier: BSD-2-Clause */
/* weave.c -- threads as coroutines, and the steps at which they give way. See weave.h. */
#define _GNU_SOURCE
#define WEAVE_NO_HOOKS
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hooks.h"
#include "weave_internal.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEAVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEAVE_ASAN 1
#endif
#ifdef WEAVE_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

struct weave weave;

/* ---- failures ------------------------------------------------------------------------------ */

enum { TRACE_STEPS = 120 };

static const char *trace_place(const volatile void *at, char *room, size_t bytes)
{
    for (uint32_t i = 0; i < weave.name_count; i++) {
        if (weave.names[i].at == at)
            return weave.names[i].name;
    }
    (void)snprintf(room, bytes, "%p", (void *)(uintptr_t)at);
    return room;
}

static void trace_print(void)
{
    if (weave.it == NULL)
        return;
    uint32_t from = weave.step_count > TRACE_STEPS ? weave.step_count - TRACE_STEPS : 0;
    fprintf(stderr, "case %s, schedule %llu%s, %u preemptions; the last steps:\n", weave.it->name,
            (unsigned long long)weave.run, weave.random ? " (random)" : "", weave.spent);
    for (uint32_t i = from; i < weave.step_count; i++) {
        const struct weave_step *step = &weave.steps[i];
        char room[32];
        fprintf(stderr, "  %5u %-10s %s %s\n", i, weave.threads[step->thread].name,
                step->kind == WEAVE_WRITE ? "writes" : "reads ", trace_place(step->at, room, 32));
    }
    for (uint32_t i = 0; i < weave.count; i++) {
        static const char *const states[] = {"is ready", "waits",      "joins",
                                             "awaits",   "is stopped", "has ended"};
        char room[32];
        const struct weave_thread *thread = &weave.threads[i];
        fprintf(stderr, "  %s%s %s %s\n", thread == weave.current ? "*" : "", thread->name,
                states[thread->state],
                thread->state == WEAVE_WAITS ? trace_place(thread->word, room, 32) : "");
    }
    weave.it = NULL; /* once */
}

_Noreturn void weave_fail(const char *file, int line, const char *what, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    trace_print();
    prog_fail(file, line, what, "%s", text);
}

/* An assertion of the library, which is on in what is compiled for this. */
static void trace_aborted(int number)
{
    (void)signal(number, SIG_DFL);
    trace_print();
    fprintf(stderr, "races_test: FAILED: the library ends the program, signal %d\n", number);
    (void)raise(number);
}

/* ---- switching ----------------------------------------------------------------------------- */

static void switch_begin(void **fake, const void *stack, size_t bytes)
{
#ifdef WEAVE_ASAN
    __sanitizer_start_switch_fiber(fake, stack, bytes);
#else
    (void)fake;
    (void)stack;
    (void)bytes;
#endif
}

static void switch_end(void *fake)
{
#ifdef WEAVE_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
    (void)fake;
#endif
}

static void switch_to(struct weave_thread *to)
{
    struct weave_thread *from = weave.current;
    if (from == to)
        return;
    bool ends = from != NULL && from->state == WEAVE_ENDED;
    void **fake = from == NULL ? &weave.main_fake : &from->fake_stack;
    ucontext_t *saved = from == NULL ? &weave.main : &from->context;
    weave.current = to;
    if (to != NULL)
        switch_begin(ends ? NULL : fake, to->stack, WEAVE_STACK);
    else
        switch_begin(ends ? NULL : fake, weave.main_stack, weave.main_stack_bytes);
    (void)swapcontext(saved, to != NULL ? &to->context : &weave.main);
    switch_end(*fake);
}

static void thread_main(void)
{
    struct weave_thread *thread = weave.current;
#ifdef WEAVE_ASAN
    const void *bottom = NULL;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &bytes);
    if (weave.main_stack == NULL) { /* the first one to run comes from there */
        weave.main_stack = bottom;
        weave.main_stack_bytes = bytes;
    }
#endif
    thread->fn(thread->arg);
    weave_drain(thread);
    thread->state = WEAVE_ENDED;
    for (uint32_t i = 0; i < weave.count; i++) {
        struct weave_thread *other = &weave.threads[i];
        if (other->state == WEAVE_JOINS && &weave.threads[other->joined] == thread)
            other->state = WEAVE_READY;
    }
    int32_t node;
    bool delay;
    switch_to(weave_choose(false, &node, &delay));
    abort();
}

void weave_spawn(const char *name, void (*fn)(void *arg), void *arg)
{
    CHECK(weave.count < WEAVE_THREADS);
    struct weave_thread *thread = &weave.threads[weave.count++];
    void *stack = thread->stack;
    if (stack == NULL) {
        stack = mmap(NULL, WEAVE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != MAP_FAILED);
    }
    memset(thread, 0, offsetof(struct weave_thread, buffer));
    thread->buffered = 0;
    thread->fake_stack = NULL;
    thread->stack = stack;
    thread->name = name;
    thread->fn = fn;
    thread->arg = arg;
    thread->priority = rng_next(&weave.rng) | (UINT64_C(1) << 63);
    CHECK(getcontext(&thread->context) == 0);
    thread->context.uc_stack.ss_sp = stack;
    thread->context.uc_stack.ss_size = WEAVE_STACK;
    thread->context.uc_link = NULL;
    makecontext(&thread->context, thread_main, 0);
}

/* ---- steps --------------------------------------------------------------------------------- */

int64_t weave_now(void)
{
    return weave.under->clock_mono_ns(&weave.os);
}

static bool point_is_ignored(const volatile void *at)
{
    for (uint32_t i = 0; i < weave.ignored_count; i++) {
        uintptr_t from = (uintptr_t)weave.ignored[i].from;
        if ((uintptr_t)at >= from && (uintptr_t)at < from + weave.ignored[i].bytes)
            return true;
    }
    return false;
}

static void point_check(void)
{
    if (weave.it->step != NULL) {
        weave.checking = true;
        weave.it->step();
        weave.checking = false;
    }
}

static void point_note(const volatile void *at, enum weave_kind kind, int32_t node)
{
    if (weave.step_count == WEAVE_STEPS)
        weave_fail(__FILE__, __LINE__, "steps", "no end of it: a thread goes round and round");
    weave.steps[weave.step_count++] =
        (struct weave_step){.at = weave_place(at),
                            .node = node,
                            .thread = (uint8_t)(weave.current - weave.threads),
                            .kind = (uint8_t)(kind == WEAVE_TAKE ? WEAVE_WRITE : kind)};
}

void weave_drain(struct weave_thread *thread)
{
    CHECK(thread == weave.current);
    for (uint32_t i = 0; i < thread->buffered; i++) {
        const struct weave_delayed *it = &thread->buffer[i];
        point_note(it->at, WEAVE_WRITE, -1); /* now the others see it */
        if (it->bytes == 4)
            atomic_store((volatile _Atomic uint32_t *)it->at, (uint32_t)it->value);
        else
            atomic_store((volatile _Atomic uint64_t *)it->at, it->value);
    }
    thread->buffered = 0;
}

bool weave_point(const volatile void *at, enum weave_kind kind, bool may_delay)
{
    struct weave_thread *self = weave.current;
    if (self == NULL || weave.checking || point_is_ignored(at))
        return false;
    if (kind == WEAVE_READ && self->last_read == at)
        return false; /* spinning: the same as one look */
    point_check();
    int32_t node = -1;
    bool delay = false;
    bool goes_on = weave.at_locks && kind != WEAVE_TAKE;
    struct weave_thread *next = goes_on ? self : weave_choose(may_delay, &node, &delay);
    if (next != self) {
        switch_to(next);
        node = -1;
        delay = false;
    }
    self->last_read = kind == WEAVE_READ ? at : NULL;
    point_note(at, kind, node);
    return delay;
}

void weave_block(void)
{
    struct weave_thread *self = weave.current;
    int32_t node;
    bool delay;
    self->last_read = NULL;
    point_check();
    switch_to(weave_choose(false, &node, &delay));
}

void weave_stop(void)
{
    weave_drain(weave.current);
    weave.current->state = WEAVE_STOPPED;
    weave_block();
}

void weave_await(const bool *flag)
{
    while (!*flag) {
        weave.current->state = WEAVE_AWAITS;
        weave.current->flag = flag;
        weave_block();
    }
}

void weave_patient(void)
{
    weave.patient = true;
}

void weave_at_locks(void)
{
    weave.at_locks = true;
}

void weave_ignore(const volatile void *from, size_t bytes)
{
    CHECK(weave.ignored_count < WEAVE_IGNORED);
    weave.ignored[weave.ignored_count].from = from;
    weave.ignored[weave.ignored_count++].bytes = bytes;
}

void weave_name(const volatile void *at, const char *name)
{
    CHECK(weave.name_count < WEAVE_NAMES);
    weave.names[weave.name_count].at = weave_place(at);
    weave.names[weave.name_count++].name = name;
}

/* One schedule, from a new store to its end. */
void weave_run(void)
{
    weave.count = 0;
    weave.queued = 0;
    weave.step_count = 0;
    weave.spent = 0;
    weave.ignored_count = 0;
    weave.patient = false;
    weave.at_locks = false;
    weave.name_count = 0;
    weave.map_count = 0;
    (void)signal(SIGABRT, trace_aborted);
    (void)signal(SIGSEGV, trace_aborted);
    weave.it->begin();
    int32_t node;
    bool delay;
    switch_to(weave_choose(false, &node, &delay));
    weave.it->end();
}

/* ---- what the hooks call ------------------------------------------------------------------- */

/* A store of this thread that it alone sees so far, the newest first. */
static bool buffer_find(const volatile void *at, uint64_t *value)
{
    const struct weave_thread *self = weave.current;
    for (uint32_t i = self != NULL && !weave.checking ? self->buffered : 0; i > 0; i--) {
        if (self->buffer[i - 1].at == at) {
            *value = self->buffer[i - 1].value;
            return true;
        }
    }
    return false;
}

static bool buffer_put(volatile void *at, uint64_t value, uint32_t bytes, bool delay)
{
    struct weave_thread *self = weave.current;
    if (self == NULL || weave.checking || (!delay && self->buffered == 0))
        return false;
    if (self->buffered == WEAVE_BUFFER) {
        weave_drain(self);
        return false;
    }
    self->buffer[self->buffered++] = (struct weave_delayed){at, value, bytes};
    return true;
}

static void buffer_end(void)
{
    if (weave.current != NULL && !weave.checking)
        weave_drain(weave.current);
}

void weave_fence(memory_order order)
{
    if (order == memory_order_seq_cst)
        buffer_end();
    atomic_thread_fence(order);
}

#define WEAVE_DEFINE(suffix, type)                                                                 \
    type weave_load_##suffix(const _Atomic type *at, memory_order order)                           \
    {                                                                                              \
        uint64_t value;                                                                            \
        if (buffer_find(at, &value))                                                               \
            return (type)value;                                                                    \
        (void)weave_point(at, WEAVE_READ, false);                                                  \
        (void)order;                                                                               \
        return atomic_load(at);                                                                    \
    }                                                                                              \
    void weave_store_##suffix(_Atomic type *at, type value, memory_order order)                    \
    {                                                                                              \
        bool weak = order != memory_order_seq_cst;                                                 \
        bool delay = weave_point(at, WEAVE_WRITE, weak);                                           \
        if (!weak)                                                                                 \
            buffer_end();                                                                          \
        if (!weak || !buffer_put(at, (uint64_t)value, sizeof value, delay))                        \
            atomic_store(at, value);                                                               \
    }                                                                                              \
    type weave_swap_##suffix(_Atomic type *at, type value)                                         \
    {                                                                                              \
        (void)weave_point(at, WEAVE_WRITE, false);                                                 \
        buffer_end();                                                                              \
        return atomic_exchange(at, value);                                                         \
    }                                                                                              \
    type weave_add_##suffix(_Atomic type *at, type value, memory_order order)                      \
    {                                                                                              \
        (void)order;                                                                               \
        (void)weave_point(at, WEAVE_WRITE, false);                                                 \
        buffer_end();                                                                              \
        return atomic_fetch_add(at, value);                                                        \
    }                                                                                              \
    type weave_sub_##suffix(_Atomic type *at, type value, memory_order order)                      \
    {                                                                                              \
        (void)order;                                                                               \
        (void)weave_point(at, WEAVE_WRITE, false);                                                 \
        buffer_end();                                                                              \
        return atomic_fetch_sub(at, value);                                                        \
    }                                                                                              \
    type weave_or_##suffix(_Atomic type *at, type value)                                           \
    {                                                                                              \
        (void)weave_point(at, WEAVE_WRITE, false);                                                 \
        buffer_end();                                                                              \
        return atomic_fetch_or(at, value);                                                         \
    }                                                                                              \
    type weave_and_##suffix(_Atomic type *at, type value)                                          \
    {                                                                                              \
        (void)weave_point(at, WEAVE_WRITE, false);                                                 \
        buffer_end();                                                                              \
        return atomic_fetch_and(at, value);                                                        \
    }                                                                                              \
    bool weave_cas_##suffix(_Atomic type *at, type *expected, type desired)                        \
    {                                                                                              \
        (void)weave_point(at, WEAVE_TAKE, false);                                                  \
        buffer_end();                                                                              \
        return atomic_compare_exchange_strong(at, expected, desired);                              \
    }

WEAVE_DEFINE(u32, uint32_t)
WEAVE_DEFINE(u64, uint64_t)
WEAVE_DEFINE(i32, int32_t)
WEAVE_DEFINE(i64, int64_t)
