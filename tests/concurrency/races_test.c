/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * races_test.c -- claim, commit, publish, fold, drain, flush: every order of a few threads' steps.
 *
 * The real library, all of it, compiled with hooks.h so that the scheduler of weave.h sees every
 * access to an atomic and every call on a file. Each case is a store of memory and two or three
 * threads that do one or two things each through the public interface; scene.h says what must hold
 * at every step and in the end. A wait that nobody will end, though the case lets everybody go, is
 * a lost wake-up and fails. What weave.h says is not walked is left to ThreadSanitizer
 * (tests/stress) and to machines with weaker memory.
 *
 * Without PARTS every bound on preemptions is walked, from 0 to BOUND; then schedules are drawn at
 * random, without a bound. What is found wrong is printed with the steps that led there; the same
 * CASE, BOUND and PART, or SEED, CASE and RUN, lead there again.
 *
 * Environment: SEED; BOUND (default 1: a minute or two; 2 is some hundred times as much); SHARES=0
 * (of the cases with the most all schedules, too: five minutes); PART, PARTS (of the schedules of
 * BOUND); SECONDS (for all walks together: those that do not come to their end say so; default 0:
 * no end); CASE (a part of the name); DRAWS (how many are drawn of each case, default 100; of each
 * PART others); RUN (only this one of them); DELAYS=0 or 1 (store buffers: only without, only with
 * them).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/prog.h"
#include "cases.h"

static struct {
    uint64_t schedules;
    uint64_t random;
    uint64_t cases;
    uint64_t complete; /* walks that were, up to the last bound */
    int64_t until_ms;  /* of all walks; 0: no end */
    uint64_t walks_left;
} total;

/* When the next walk ends: what time is left is shared by those that are left. 0: no end. */
static int64_t walk_until(void)
{
    int64_t now = clock_ms();
    int64_t left = total.until_ms > now ? total.until_ms - now : 1;
    CHECK(total.walks_left > 0);
    return total.until_ms == 0 ? 0 : now + left / (int64_t)total.walks_left--;
}

/* These have so many schedules that a run walks one share of them, which the seed draws. */
static const struct {
    const char *name;
    uint64_t shares;
} large_cases[] = {
    {"upkeep", 5}, {"upkeep-asleep", 11}, {"upkeep-durable", 31},
    {"close", 3},  {"kept-reserved", 2},
};

static uint64_t shares_of(const struct weave_case *it)
{
    for (size_t i = 0; i < sizeof(large_cases) / sizeof(large_cases[0]); i++) {
        if (strcmp(large_cases[i].name, it->name) == 0)
            return prog_env("SHARES", 1) != 0 ? large_cases[i].shares : 1;
    }
    return 1;
}

static void choose_part(const struct weave_case *it, uint64_t seed, struct weave_limits *limits)
{
    limits->parts = prog_env("PARTS", shares_of(it));
    limits->part = prog_env("PART", seed % limits->parts);
    CHECKF(limits->part < limits->parts, "PART=%llu", (unsigned long long)limits->part);
}

static void walk_case(const struct weave_case *it, uint64_t seed, bool delays)
{
    uint64_t last = prog_env("BOUND", 1);
    struct weave_limits limits = {.delays = delays, .until_ms = walk_until()};
    choose_part(it, seed, &limits);
    uint32_t done = 0;
    bool any = false;
    struct weave_result result = {0};
    for (uint64_t bound = prog_env("PARTS", 1) > 1 ? last : 0; bound <= last; bound++) {
        limits.bound = (uint32_t)bound;
        result = weave_explore(it, &limits);
        total.schedules += result.schedules;
        if (!result.complete)
            break;
        done = limits.bound;
        any = true;
    }
    total.complete += result.complete;
    printf("  %-17s %-7s %6llu steps; ", it->name, delays ? "delayed" : "",
           (unsigned long long)result.longest);
    if (limits.parts > 1)
        printf("part %llu of %llu, ", (unsigned long long)limits.part,
               (unsigned long long)limits.parts);
    if (any)
        printf("all schedules with up to %u preemptions%s", done, result.complete ? "" : ", ");
    if (result.complete)
        printf(": %llu\n", (unsigned long long)result.schedules);
    else
        printf("%llu of those with %u\n", (unsigned long long)result.schedules, limits.bound);
}

static void run_case(const struct weave_case *it, uint64_t seed)
{
    uint64_t delays = prog_env("DELAYS", 2);
    uint64_t count = prog_env("DRAWS", 100);
    uint64_t only = prog_env("RUN", UINT64_MAX);
    if (only == UINT64_MAX && delays != 1)
        walk_case(it, seed, false);
    if (only == UINT64_MAX && delays != 0)
        walk_case(it, seed, true);
    uint64_t from = only == UINT64_MAX ? prog_env("PART", 0) * count : only;
    struct weave_result drawn =
        weave_random(it, seed, from, only == UINT64_MAX ? count : 1, delays != 0);
    total.random += drawn.schedules;
    total.cases++;
}

int main(void)
{
    uint64_t seed = prog_begin("races_test");
    const char *wanted = getenv("CASE") != NULL ? getenv("CASE") : "";
    prog_watchdog(3600);
    uint64_t chosen = 0;
    for (uint32_t i = 0; i < race_case_count(); i++)
        chosen += strstr(race_cases[i].name, wanted) != NULL;
    CHECKF(chosen > 0, "CASE=%s", wanted);
    uint64_t seconds = prog_env("SECONDS", 0);
    total.until_ms = seconds == 0 ? 0 : clock_ms() + (int64_t)seconds * 1000;
    total.walks_left = chosen * (prog_env("DELAYS", 2) == 2 ? 2 : 1);
    for (uint32_t i = 0; i < race_case_count(); i++) {
        if (strstr(race_cases[i].name, wanted) != NULL)
            run_case(&race_cases[i], seed);
    }
    printf("figures: schedules=%llu random_schedules=%llu cases=%llu complete=%llu violations=0\n",
           (unsigned long long)total.schedules, (unsigned long long)total.random,
           (unsigned long long)total.cases, (unsigned long long)total.complete);
    return prog_end();
}
