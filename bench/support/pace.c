/* SPDX-License-Identifier: BSD-2-Clause */
/* pace.c -- see pace.h. */
#include "support/pace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/bench.h"

static const struct {
    const char *name;
    uint64_t ns;
} limits[PACE_LIMITS] = {{"2us", 2000}, {"20us", 20000}, {"1ms", 1000000}};

static struct rusage usage_now(void)
{
    struct rusage usage;
    bench_need(getrusage(RUSAGE_THREAD, &usage) == 0 ? 0 : errno, "getrusage");
    return usage;
}

/* Both are 0 where the kernel does not count it. */
static uint64_t queued_now_ns(void)
{
    unsigned long long queued = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file != NULL && fscanf(file, "%*u %llu", &queued) != 1) {
        queued = 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return queued;
}

static uint64_t steal_now_ns(void)
{
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/stat", "re");
    /* user, nice, system, idle, iowait, irq, softirq, steal */
    if (file != NULL && fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1) {
        ticks = 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return ticks * (BENCH_NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Returns when it is due, or at once if it is late; the time then. */
static uint64_t pace_wait(struct pace *pace, uint64_t due_ns)
{
    uint64_t began_ns = bench_now_ns();
    uint64_t now = began_ns;
    while (now < due_ns) {
        uint64_t next = bench_now_ns();
        uint64_t jump = next - now;
        if (jump > limits[0].ns) {
            for (unsigned i = 0; i < PACE_LIMITS; i++) {
                pace->stalls[i] += jump > limits[i].ns ? 1 : 0;
            }
            pace->stall_max_ns = jump > pace->stall_max_ns ? jump : pace->stall_max_ns;
            /* What happened here is not the next call's. */
            pace->usage = usage_now();
            next = bench_now_ns();
        }
        now = next;
    }
    pace->waited_ns += now - began_ns;
    return now;
}

static void pace_ask(struct pace *pace, uint64_t took_ns)
{
    struct rusage usage = usage_now();
    const struct rusage *before = &pace->usage;
    bool preempted = usage.ru_nivcsw != before->ru_nivcsw;
    bool slept = usage.ru_nvcsw != before->ru_nvcsw;
    bool faulted = usage.ru_minflt != before->ru_minflt || usage.ru_majflt != before->ru_majflt;
    for (unsigned i = 0; i < PACE_LIMITS; i++) {
        if (took_ns > limits[i].ns) {
            pace->slow[i].calls++;
            pace->slow[i].preempted += preempted ? 1 : 0;
            pace->slow[i].slept += slept ? 1 : 0;
            pace->slow[i].faulted += faulted ? 1 : 0;
        }
    }
    pace->usage = usage;
}

void pace_run(struct pace *pace, double rate, uint64_t from, uint64_t count,
              void (*call)(void *ctx, uint64_t number), void *ctx)
{
    double step_ns = (double)BENCH_NS_PER_SECOND / rate;
    memset(pace, 0, sizeof(*pace)); /* and every page of it is there */
    uint64_t queued_ns = queued_now_ns();
    uint64_t steal_ns = steal_now_ns();
    const struct rusage usage = usage_now();
    pace->usage = usage;
    uint64_t start_ns = bench_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t due_ns = start_ns + (uint64_t)((double)i * step_ns);
        uint64_t before_ns = pace_wait(pace, due_ns);
        call(ctx, from + i);
        uint64_t after_ns = bench_now_ns();
        uint64_t took_ns = after_ns - before_ns;
        pace->called_ns += took_ns;
        histogram_add(&pace->call, took_ns);
        histogram_add(&pace->scheduled, after_ns - due_ns);
        if (took_ns > limits[0].ns) {
            pace_ask(pace, took_ns);
        }
    }
    pace->wall_ns = bench_now_ns() - start_ns;
    struct rusage end = usage_now();
    pace->usage.ru_minflt = end.ru_minflt - usage.ru_minflt;
    pace->usage.ru_majflt = end.ru_majflt - usage.ru_majflt;
    pace->usage.ru_nvcsw = end.ru_nvcsw - usage.ru_nvcsw;
    pace->usage.ru_nivcsw = end.ru_nivcsw - usage.ru_nivcsw;
    pace->queued_ns = queued_now_ns() - queued_ns;
    pace->steal_ns = steal_now_ns() - steal_ns;
}

static void put_over(json_t *line, const char *what, const char *limit, const char *how,
                     uint64_t count)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s_over_%s%s", what, limit, how);
    bench_put_integer(line, name, count);
}

void pace_put(const struct pace *pace, json_t *line)
{
    double seconds = (double)pace->wall_ns / (double)BENCH_NS_PER_SECOND;
    bench_put(line, "ns", (double)pace->called_ns / (double)pace->call.total);
    bench_put(line, "reached_per_s", (double)pace->call.total / seconds);
    histogram_put_as(&pace->call, line, "call_");
    histogram_put_as(&pace->scheduled, line, "scheduled_");
    for (unsigned i = 0; i < PACE_LIMITS; i++) {
        const struct pace_slow *slow = &pace->slow[i];
        put_over(line, "call", limits[i].name, "", slow->calls);
        put_over(line, "call", limits[i].name, "_preempted", slow->preempted);
        put_over(line, "call", limits[i].name, "_slept", slow->slept);
        put_over(line, "call", limits[i].name, "_faulted", slow->faulted);
        put_over(line, "stall", limits[i].name, "", pace->stalls[i]);
    }
    bench_put_integer(line, "stall_max_ns", pace->stall_max_ns);
    /* Stalls come by themselves; in the calls there must be about this share of them. */
    bench_put(line, "called_share", (double)pace->called_ns / (double)pace->wall_ns);
    bench_put_integer(line, "minor_faults", (uint64_t)pace->usage.ru_minflt);
    bench_put_integer(line, "major_faults", (uint64_t)pace->usage.ru_majflt);
    bench_put_integer(line, "voluntary_switches", (uint64_t)pace->usage.ru_nvcsw);
    bench_put_integer(line, "involuntary_switches", (uint64_t)pace->usage.ru_nivcsw);
    bench_put_integer(line, "queued_ns", pace->queued_ns);
    bench_put_integer(line, "steal_ns", pace->steal_ns);
}
