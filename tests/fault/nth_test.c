/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nth_test.c -- each call of each script fails, with each error, once and for ever; so does each
 * allocation. Then the process dies, or the power goes, or the store is closed, and a healthy
 * machine must find what was acknowledged.
 *
 * Checked: no crash; nothing leaks; each status says what failed (EFAILED only once the store has
 * failed, which stays, and never for want of memory); close works; nothing acknowledged is lost,
 * nothing else appears, no crash is called damage; the store goes on afterwards.
 *
 * Environment: SEED; EVERY=n runs one fault in n on average (1: all of them, as with NTH), and
 * NTH_EVERY=n counts instead where EVERY is meant for other programs; ALL=1 tries all four ends of
 * each, not one drawn; PART=i PARTS=n runs the i-th part of n; SCRIPT, SETTING, KIND, ERRNO, EVER,
 * NTH narrow it down to one fault, as a failure names them; VERBOSE=1.
 */
#include <stdio.h>
#include <stdlib.h>

#include "aftermath.h"

typedef unsigned long long ull;

struct nth {
    uint64_t every;
    uint64_t part;
    uint64_t parts;
    uint64_t seed;
    uint64_t index; /* of all possible faults */
    uint64_t mine;  /* of this part */
    uint64_t injected;
    uint64_t struck;
    struct rng rng;
    struct aftermath_stats stats;
    const struct setting *setting;
    const struct script *script;
    struct commitlog_fault *base;
    enum ledger_claim claim;
    struct ledger start;
    struct ledger ledger;
};

enum nth_outcome { NTH_KILLED, NTH_CUT, NTH_CLOSED_CUT, NTH_CLOSED, NTH_OUTCOMES };

static bool nth_wants(const char *name, uint64_t value)
{
    uint64_t wanted = prog_env(name, UINT64_MAX);
    return wanted == UINT64_MAX || wanted == value;
}

/* The machine at this moment, dead. */
static void nth_crash(struct nth *nth, const struct run *run, enum nth_outcome outcome)
{
    struct commitlog_fault *copy = NULL;
    enum ledger_claim claim = run->claim == LEDGER_POWER_CUT ? run->claim : run_killed(run);
    CHECK_RC(commitlog_fault_clone(run->machine, rng_next(&nth->rng), &copy), COMMITLOG_OK);
    if (outcome == NTH_CUT || outcome == NTH_CLOSED_CUT) {
        commitlog_fault_set_survival(copy, (uint32_t)rng_below(&nth->rng, 3) * 50);
        commitlog_fault_power_cut(copy);
        claim = LEDGER_POWER_CUT;
    } else {
        commitlog_fault_process_death(copy);
    }
    uint32_t inside = rng_chance(&nth->rng, 1, 8) ? 1 : 0;
    aftermath(copy, &nth->ledger, nth->setting, claim, &nth->rng, inside, &nth->stats);
}

static void nth_run(struct nth *nth, const struct fault *fault)
{
    struct commitlog_fault *machine = NULL;
    struct run run;
    uint64_t place =
        (uint64_t)(nth->script - scripts) * setting_count() + (uint64_t)(nth->setting - settings);
    place = (place * COMMITLOG_FAULT_KINDS + fault->kind) * 2 + fault->for_ever;
    rng_begin(&nth->rng,
              nth->seed * 1000003 + place * 100000 + fault->nth * 200 + (uint64_t)fault->os_errno);
    CHECK_RC(commitlog_fault_clone(nth->base, nth->seed, &machine), COMMITLOG_OK);
    nth->ledger = nth->start;
    run_begin(&run, machine, nth->setting, nth->script->ops, &nth->ledger, nth->claim);
    run_fault(&run, fault);
    uint64_t stop_after = rng_below(&nth->rng, 12);
    while (run_step(&run)) {
        if (run_is_faulty(&run) && stop_after-- == 0) {
            break;
        }
    }
    bool all = prog_env_is("ALL");
    enum nth_outcome one = (enum nth_outcome)rng_below(&nth->rng, NTH_OUTCOMES);
    for (uint32_t i = NTH_KILLED; i <= NTH_CUT; i++) {
        if (all || one == i) {
            nth_crash(nth, &run, (enum nth_outcome)i);
        }
    }
    nth->injected++;
    (void)run_close(&run);
    nth->struck += run_is_faulty(&run);
    for (uint32_t i = NTH_CLOSED_CUT; i <= NTH_CLOSED; i++) {
        if (all || one == i) {
            nth_crash(nth, &run, (enum nth_outcome)i);
        }
    }
    commitlog_fault_free(machine);
}

static void nth_calls(struct nth *nth, uint32_t kind, uint64_t calls)
{
    struct fault fault = {.kind = kind};
    for (fault.nth = 1; fault.nth <= calls; fault.nth++) {
        for (uint32_t i = 0; fault_errno(kind, i, &fault.os_errno); i++) {
            for (fault.for_ever = 0; fault.for_ever <= 1; fault.for_ever++) {
                struct rng draw;
                rng_begin(&draw, nth->seed * 31 + ++nth->index);
                nth->mine += nth->index % nth->parts == nth->part;
                if (!rng_chance(&draw, 1, nth->every) || nth->index % nth->parts != nth->part ||
                    !nth_wants("NTH", fault.nth) || !nth_wants("EVER", fault.for_ever) ||
                    !nth_wants("ERRNO", (uint64_t)fault.os_errno)) {
                    continue;
                }
                ledger_where("SCRIPT=%u SETTING=%u KIND=%u NTH=%llu ERRNO=%d EVER=%u (%s, %s)",
                             (unsigned)(nth->script - scripts), (unsigned)(nth->setting - settings),
                             kind, (ull)fault.nth, fault.os_errno, fault.for_ever,
                             nth->script->name, nth->setting->name);
                if (prog_env_is("VERBOSE")) {
                    printf("%s\n", ledger_place());
                }
                prog_step(nth->index);
                nth_run(nth, &fault);
            }
        }
    }
}

static void nth_script(struct nth *nth)
{
    static struct ledger ledger;
    struct commitlog_fault *machine = NULL;
    uint64_t calls[COMMITLOG_FAULT_KINDS];
    struct run run;
    uint64_t before = nth->injected;
    ledger_where("%s, %s, no fault", nth->script->name, nth->setting->name);
    nth->base = script_prepare(nth->script, nth->setting, &nth->start, nth->seed, &nth->claim);
    /* Once without a fault: everything succeeds, and the calls are counted. */
    CHECK_RC(commitlog_fault_clone(nth->base, nth->seed, &machine), COMMITLOG_OK);
    ledger = nth->start;
    run_begin(&run, machine, nth->setting, nth->script->ops, &ledger, nth->claim);
    while (run_step(&run)) {
    }
    (void)run_close(&run);
    for (uint32_t kind = 1; kind < COMMITLOG_FAULT_KINDS; kind++) {
        calls[kind] = commitlog_fault_count(machine, kind);
    }
    commitlog_fault_free(machine);
    for (uint32_t kind = 1; kind < COMMITLOG_FAULT_KINDS; kind++) {
        if (nth_wants("KIND", kind)) {
            nth_calls(nth, kind, calls[kind]);
        }
    }
    commitlog_fault_free(nth->base);
    if (nth->every == 1) {
        printf("%s, %s: %llu faults\n", nth->script->name, nth->setting->name,
               (ull)(nth->injected - before));
    }
}

int main(void)
{
    static struct nth nth;
    nth.seed = prog_begin("nth_test");
    nth.every = prog_env("NTH_EVERY", prog_env("EVERY", prog_env("NTH", 0) == 0 ? 100 : 1));
    nth.every = nth.every == 0 ? 1 : nth.every;
    nth.parts = prog_env("PARTS", 1);
    nth.part = prog_env("PART", 0) % nth.parts;
    prog_watchdog(nth.every == 1 ? 36000 : 550);
    for (uint32_t i = 0; i < setting_count(); i++) {
        for (uint32_t j = 0; j < script_count(); j++) {
            nth.setting = &settings[i];
            nth.script = &scripts[j];
            if (nth_wants("SETTING", i) && nth_wants("SCRIPT", j)) {
                nth_script(&nth);
            }
        }
    }
    printf("%llu of %llu faults injected, %llu struck, %llu outcomes, %llu crashes and %llu faults "
           "in recovery, %llu tails cut, %llu records from the stage, %llu holes\n",
           (ull)nth.injected, (ull)nth.index, (ull)nth.struck, (ull)nth.stats.outcomes,
           (ull)nth.stats.inside, (ull)nth.stats.faults, (ull)nth.stats.torn, (ull)nth.stats.staged,
           (ull)nth.stats.holes);
    printf("figures: injected=%llu struck=%llu left_out=%llu crashes_in_recovery=%llu "
           "faults_in_recovery=%llu\n",
           (ull)nth.injected, (ull)nth.struck, (ull)(nth.mine - nth.injected),
           (ull)nth.stats.inside, (ull)nth.stats.faults);
    return prog_end();
}
