/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_clock.c -- the two clocks. See os.h.
 *
 * Every append takes the wall clock, and to ask the kernel's page for it is a fifth of what an
 * append of 128 bytes costs. So a thread that asks again within CLOCK_ASK_NS is told what it was
 * told then, and the time since by the processor's counter, which costs half.
 *
 * Invariants: 1. whatever the counter does (it jumps, it differs between processors), a time that
 *       was counted is less than CLOCK_ASK_NS beyond one that was asked for; 2. where it runs
 *       evenly, as it says that it does, no time is before the one that the kernel would have said:
 *       who takes the time, appends and then looks for what came since, finds it; and it is less
 *       than half a microsecond ahead; 3. without such a counter, or where it takes long to ask,
 *       the kernel is asked each time.
 * Threads and locks: any thread; what was asked last is each thread's own. The rate is measured
 *       once, by whoever comes first, ORDER(clock-rate).
 * Happy path: no system call.
 * Failure modes: none. A wall clock that is set is seen CLOCK_ASK_NS later.
 */
#include "os/os_linux.h"

#include <time.h>

#include "base/invariant.h"
#include "base/order.h"

static int64_t clock_ask(clockid_t id)
{
    struct timespec now = {0};
    int rc = clock_gettime(id, &now);
    CLG_ASSERT(rc == 0);
    CLG_ASSERT(now.tv_sec >= 0);
    (void)rc;
    return (int64_t)now.tv_sec * CLG_OS_NS_PER_S + (int64_t)now.tv_nsec;
}

int64_t clg_linux_clock_mono_ns(const struct commitlog_os *os)
{
    (void)os;
    return clock_ask(CLOCK_BOOTTIME); /* a machine that slept is older: its clock did not jump */
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <x86intrin.h>

#define CLOCK_ASK_NS UINT64_C(20000)
/* The rate is measured over so long, once: readings that are CLOCK_PAIR_NS from true spoil it by
 * 0.01 %, and by that a time that was counted, by 2 ns; that the clock is slewed, by 10 more. Over
 * longer the machine may have slept. */
#define CLOCK_MEASURE_NS (INT64_C(10) * CLG_OS_NS_PER_MS)
#define CLOCK_MEASURE_MOST_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)
#define CLOCK_PAIR_NS INT64_C(500)
#define CLOCK_AHEAD_NS 16
/* When within so much of CLOCK_ASK_NS the kernel was asked is not known. */
#define CLOCK_NEAR_PART 64u
/* A clock that takes so many times too long is not one that the kernel answers by the counter. */
#define CLOCK_LONG_MOST 1000u
#define CLOCK_RATE_BITS 32u
/* Of a counter of 0.1 to 10 GHz: ticks in CLOCK_ASK_NS. */
#define CLOCK_TICKS_MIN (CLOCK_ASK_NS / 10u)
#define CLOCK_TICKS_MAX (CLOCK_ASK_NS * 10u)

enum clock_state { CLOCK_NEW, CLOCK_MEASURES, CLOCK_BEGUN, CLOCK_KNOWN, CLOCK_NONE };

static struct {
    /* enum clock_state. Who makes it CLOCK_MEASURES has the rest; ORDER(clock-rate) */
    _Atomic uint32_t state;
    uint64_t began_ticks;
    int64_t began_ns;
    uint32_t long_ones; /* pairs that were no moment */
    uint64_t rate;      /* nanoseconds a tick, times 2^32; constant once it is known */
    uint64_t ask_ticks;
} clock_rate;

static _Thread_local struct {
    uint64_t ticks;
    int64_t wall_ns;
    uint64_t good_ticks; /* 0: it was not asked yet, or there is no rate */
} clock_asked;

static bool clock_has_steady_ticks(void)
{
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1u << 8)) != 0;
}

/* What both said at one moment. False: it was a long one. */
static bool clock_pair(uint64_t *out_ticks, int64_t *out_ns)
{
    const int64_t before = clg_linux_clock_mono_ns(NULL);
    *out_ticks = __rdtsc();
    *out_ns = clg_linux_clock_mono_ns(NULL);
    const bool good = *out_ns - before < CLOCK_PAIR_NS;
    clock_rate.long_ones += good ? 0 : 1;
    return good;
}

static enum clock_state clock_begun(void)
{
    return clock_pair(&clock_rate.began_ticks, &clock_rate.began_ns) ? CLOCK_BEGUN : CLOCK_NEW;
}

static enum clock_state clock_measured(void)
{
    uint64_t ticks = 0;
    int64_t ns = 0;
    bool good = clock_pair(&ticks, &ns);
    ticks -= clock_rate.began_ticks;
    ns -= clock_rate.began_ns;
    if (!good || ns < CLOCK_MEASURE_NS) {
        return CLOCK_BEGUN; /* later */
    }
    if (ns > CLOCK_MEASURE_MOST_NS) {
        return clock_begun();
    }
    const double per_ns = (double)ticks / (double)ns;
    clock_rate.ask_ticks = (uint64_t)((double)CLOCK_ASK_NS * per_ns);
    if (clock_rate.ask_ticks < CLOCK_TICKS_MIN || clock_rate.ask_ticks > CLOCK_TICKS_MAX) {
        return CLOCK_NONE;
    }
    clock_rate.rate = (uint64_t)((double)(UINT64_C(1) << CLOCK_RATE_BITS) / per_ns);
    return CLOCK_KNOWN;
}

/* One step of measuring, if it is this thread that takes it. */
static void clock_measure(uint32_t state)
{
    enum clock_state next = CLOCK_NONE;
    if (state == CLOCK_MEASURES || !clg_cas_acqrel_u32(&clock_rate.state, &state, CLOCK_MEASURES)) {
        return;
    }
    if (state == CLOCK_BEGUN) {
        next = clock_measured();
    } else if (clock_has_steady_ticks()) {
        next = clock_begun();
    }
    next = clock_rate.long_ones < CLOCK_LONG_MOST ? next : CLOCK_NONE;
    clg_store_release_u32(&clock_rate.state, next); /* ORDER(clock-rate) release */
}

static CLG_NOINLINE int64_t clock_ask_wall(void)
{
    /* ORDER(clock-rate) acquire */
    const uint32_t state = clg_load_acquire_u32(&clock_rate.state);
    if (state < CLOCK_KNOWN) {
        clock_measure(state);
    }
    const uint64_t before = __rdtsc();
    clock_asked.wall_ns = clock_ask(CLOCK_REALTIME);
    const uint64_t took = __rdtsc() - before;
    const bool near = state == CLOCK_KNOWN && took < clock_rate.ask_ticks / CLOCK_NEAR_PART;
    clock_asked.ticks = before; /* at the earliest: what is counted from here is not too little */
    clock_asked.good_ticks = near ? clock_rate.ask_ticks : 0;
    return clock_asked.wall_ns;
}

int64_t clg_linux_clock_wall_ns(const struct commitlog_os *os)
{
    (void)os;
    const uint64_t since = __rdtsc() - clock_asked.ticks;
    if (CLG_UNLIKELY(since >= clock_asked.good_ticks)) {
        return clock_ask_wall();
    }
    return clock_asked.wall_ns + CLOCK_AHEAD_NS +
           (int64_t)(since * clock_rate.rate >> CLOCK_RATE_BITS);
}

#else

int64_t clg_linux_clock_wall_ns(const struct commitlog_os *os)
{
    (void)os;
    return clock_ask(CLOCK_REALTIME);
}

#endif
