/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * powercut_sim.c -- the power goes, or the process is killed, at each call of each script that
 * changes something; of each such moment many outcomes: which sectors and names were on the disk.
 * Recovery then is cut, killed and failed itself, and what it makes of it is compared with what
 * was acknowledged.
 *
 * Environment: SEED; EVERY=n takes one moment in n on average (1: all of them); OUTCOMES=n of each
 * moment; PART=i PARTS=n runs the i-th part of n; SCRIPT, SETTING, CUT narrow it down to one
 * moment, as a failure names it; VERBOSE=1.
 * With one of the mistakes that tools/check/plants.tsv gives it planted in lib/, it must fail.
 */
#include <stdio.h>
#include <stdlib.h>

#include "aftermath.h"

typedef unsigned long long ull;

struct sim {
    uint64_t every;
    uint64_t outcomes;
    uint64_t part;
    uint64_t parts;
    uint64_t seed;
    uint64_t index; /* of all moments */
    uint64_t place; /* names the moment, whatever else runs */
    uint64_t cuts;
    struct rng rng;
    struct aftermath_stats stats;
    const struct setting *setting;
    const struct script *script;
    struct commitlog_fault *base;
    enum ledger_claim claim;
    struct ledger start;
    struct ledger ledger;
};

static bool sim_wants(const char *name, uint64_t value)
{
    uint64_t wanted = prog_env(name, UINT64_MAX);
    return wanted == UINT64_MAX || wanted == value;
}

/* The first outcomes of a moment are the extremes; the rest is drawn. */
static void sim_outcome(struct sim *sim, const struct run *run, uint64_t number)
{
    static const uint32_t survivals[] = {0, 100, 50, 10, 90, 50};
    struct commitlog_fault *copy = NULL;
    struct rng *rng = &sim->rng;
    enum ledger_claim claim = run->claim == LEDGER_POWER_CUT ? run->claim : run_killed(run);
    rng_begin(rng, sim->seed * 1000003 + sim->place * 1000 + number);
    CHECK_RC(commitlog_fault_clone(run->machine, rng_next(rng), &copy), COMMITLOG_OK);
    if (number % 4 == 3) {
        commitlog_fault_process_death(copy);
    } else {
        uint64_t kind = number < 2 ? number : rng_below(rng, 6);
        commitlog_fault_set_survival(copy, survivals[kind]);
        commitlog_fault_set_sector(copy, rng_chance(rng, 1, 2) ? 512 : 4096);
        commitlog_fault_power_cut(copy);
        commitlog_fault_set_survival(copy, 50);
        claim = LEDGER_POWER_CUT;
    }
    uint32_t inside = (uint32_t)rng_below(rng, 6);
    aftermath(copy, &sim->ledger, sim->setting, claim, rng, inside < 3 ? inside : 0, &sim->stats);
}

static void sim_cut(struct sim *sim, uint64_t cut)
{
    struct commitlog_fault *machine = NULL;
    struct run run;
    CHECK_RC(commitlog_fault_clone(sim->base, sim->seed, &machine), COMMITLOG_OK);
    sim->place = cut * 1000 + (uint64_t)(sim->script - scripts) * setting_count() +
                 (uint64_t)(sim->setting - settings);
    sim->ledger = sim->start;
    run_begin(&run, machine, sim->setting, sim->script->ops, &sim->ledger, sim->claim);
    commitlog_fault_cut_at(machine, cut);
    while (commitlog_fault_is_dead(machine) == 0 && run_step(&run)) {
    }
    if (commitlog_fault_is_dead(machine) == 0) {
        /* The moment lies in the close. */
        (void)run_close(&run);
    }
    for (uint64_t i = 0; i < sim->outcomes; i++) {
        sim_outcome(sim, &run, i);
    }
    sim->cuts++;
    (void)run_close(&run);
    commitlog_fault_free(machine);
}

static void sim_script(struct sim *sim)
{
    static struct ledger ledger;
    struct commitlog_fault *machine = NULL;
    struct run run;
    uint64_t before = sim->cuts;
    ledger_where("%s, %s, no cut", sim->script->name, sim->setting->name);
    sim->base = script_prepare(sim->script, sim->setting, &sim->start, sim->seed, &sim->claim);
    CHECK_RC(commitlog_fault_clone(sim->base, sim->seed, &machine), COMMITLOG_OK);
    ledger = sim->start;
    run_begin(&run, machine, sim->setting, sim->script->ops, &ledger, sim->claim);
    while (run_step(&run)) {
    }
    (void)run_close(&run);
    uint64_t changes = commitlog_fault_changes(machine);
    commitlog_fault_free(machine);
    for (uint64_t cut = 1; cut <= changes + 1; cut++) {
        struct rng draw;
        rng_begin(&draw, sim->seed * 31 + ++sim->index);
        if (!rng_chance(&draw, 1, sim->every) || sim->index % sim->parts != sim->part ||
            !sim_wants("CUT", cut)) {
            continue;
        }
        ledger_where("SCRIPT=%u SETTING=%u CUT=%llu (%s, %s)", (unsigned)(sim->script - scripts),
                     (unsigned)(sim->setting - settings), (ull)cut, sim->script->name,
                     sim->setting->name);
        if (prog_env_is("VERBOSE")) {
            printf("%s\n", ledger_place());
        }
        prog_step(sim->index);
        sim_cut(sim, cut);
    }
    commitlog_fault_free(sim->base);
    if (sim->every == 1) {
        printf("%s, %s: %llu moments\n", sim->script->name, sim->setting->name,
               (ull)(sim->cuts - before));
    }
}

int main(void)
{
    static struct sim sim;
    sim.seed = prog_begin("powercut_sim");
    sim.every = prog_env("EVERY", 12);
    sim.every = sim.every == 0 ? 1 : sim.every;
    sim.outcomes = prog_env("OUTCOMES", 8);
    sim.parts = prog_env("PARTS", 1);
    sim.part = prog_env("PART", 0) % sim.parts;
    prog_watchdog(sim.every == 1 ? 36000 : 550);
    for (uint32_t i = 0; i < setting_count(); i++) {
        for (uint32_t j = 0; j < script_count(); j++) {
            sim.setting = &settings[i];
            sim.script = &scripts[j];
            if (sim_wants("SETTING", i) && sim_wants("SCRIPT", j)) {
                sim_script(&sim);
            }
        }
    }
    printf("%llu of %llu moments, %llu outcomes, %llu crashes and %llu faults in recovery, %llu "
           "tails cut, %llu records from the stage, %llu holes\n",
           (ull)sim.cuts, (ull)sim.index, (ull)sim.stats.outcomes, (ull)sim.stats.inside,
           (ull)sim.stats.faults, (ull)sim.stats.torn, (ull)sim.stats.staged, (ull)sim.stats.holes);
    printf("figures: moments=%llu outcomes=%llu crashes_in_recovery=%llu faults_in_recovery=%llu "
           "torn_tails=%llu\n",
           (ull)sim.cuts, (ull)sim.stats.outcomes, (ull)sim.stats.inside, (ull)sim.stats.faults,
           (ull)sim.stats.torn);
    return prog_end();
}
