/* SPDX-License-Identifier: BSD-2-Clause */
/* aftermath.c -- see aftermath.h. */
#include "aftermath.h"

#include <errno.h>
#include <stdlib.h>

static const struct op aftermath_ops[] = {{OP_TOPIC, 0, 0, 0, 0, 0},
                                          {OP_PUT, 0, 0, COMMITLOG_LEVEL_DURABLE, 1, 100},
                                          {OP_BATCH, 0, 0, COMMITLOG_LEVEL_NONE, 3, 200},
                                          {OP_TOPIC, 1, 0, 0, 0, 0},
                                          {OP_PUT, 1, 1, COMMITLOG_LEVEL_WRITTEN, 1, 50},
                                          {OP_STEP, 0, 0, 0, 1, 0},
                                          {OP_PUT, 0, 1, COMMITLOG_LEVEL_NONE, 2, 30},
                                          {OP_END, 0, 0, 0, 0, 0}};

bool fault_errno(uint32_t kind, uint32_t index, int32_t *out_errno)
{
    static const int32_t numbers[] = {EIO, ENOSPC, EDQUOT, EINTR, EMFILE, EROFS, ENOMEM, 0};
    const uint32_t count = (uint32_t)(sizeof(numbers) / sizeof(numbers[0]));
    bool moves = kind == COMMITLOG_FAULT_READ || kind == COMMITLOG_FAULT_WRITE;
    if (kind == COMMITLOG_FAULT_ALLOC) {
        *out_errno = ENOMEM; /* there is but one way */
        return index == 0;
    }
    if (index >= count || (numbers[index] == 0 && !moves)) {
        return false;
    }
    *out_errno = numbers[index];
    return true;
}

static void aftermath_count(const struct run *run, struct aftermath_stats *stats)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    CHECK_RC(commitlog_recovery_get(run->store, &recovery), COMMITLOG_OK);
    CHECKF(recovery.tail != COMMITLOG_TAIL_DAMAGED && recovery.damaged_ranges == 0,
           "%s: a crash is called damage", ledger_place());
    stats->torn += recovery.tail != COMMITLOG_TAIL_CLEAN;
    stats->staged += recovery.records_from_stage;
    stats->holes += recovery.holes_made;
}

/* The writer of `run` dies; what it has open is closed on the machine it leaves behind. */
static void aftermath_die(struct run *run, struct rng *rng, bool power)
{
    struct commitlog_fault *next = NULL;
    CHECK_RC(commitlog_fault_clone(run->machine, rng_next(rng), &next), COMMITLOG_OK);
    struct ledger kept = *run->ledger;
    (void)run_close(run);
    *run->ledger = kept;
    commitlog_fault_free(run->machine);
    if (power) {
        static const uint32_t survivals[] = {0, 50, 100, 10, 90};
        commitlog_fault_set_survival(next, survivals[rng_below(rng, 5)]);
        commitlog_fault_set_sector(next, rng_chance(rng, 1, 2) ? 512 : 4096);
        commitlog_fault_power_cut(next);
    } else {
        commitlog_fault_process_death(next);
    }
    enum ledger_claim claim = run->claim;
    run_begin(run, next, run->setting, aftermath_ops, run->ledger, claim);
    if (power) {
        run->claim = LEDGER_POWER_CUT;
    }
}

/* A recovery that is cut, killed, or meets a call that fails. */
static void aftermath_inside(struct run *run, struct rng *rng, struct aftermath_stats *stats)
{
    struct fault fault = {0};
    if (rng_chance(rng, 1, 2)) {
        commitlog_fault_cut_at(run->machine, 1 + rng_below(rng, rng_chance(rng, 1, 2) ? 12 : 60));
    } else {
        fault.kind = (uint32_t)rng_between(rng, 1, COMMITLOG_FAULT_KINDS - 1);
        fault.nth = 1 + rng_below(rng, fault.kind == COMMITLOG_FAULT_ALLOC ? 60 : 25);
        fault.for_ever = rng_chance(rng, 1, 3);
        uint32_t count = 0;
        int32_t ignored;
        while (fault_errno(fault.kind, count, &ignored)) {
            count++;
        }
        (void)fault_errno(fault.kind, (uint32_t)rng_below(rng, count), &fault.os_errno);
        run_fault(run, &fault);
    }
    (void)run_open(run);
    bool dead = commitlog_fault_is_dead(run->machine) != 0;
    stats->inside += dead;
    stats->faults += !dead && run_is_faulty(run);
    aftermath_die(run, rng, rng_chance(rng, 1, 2));
}

void aftermath(struct commitlog_fault *machine, const struct ledger *ledger,
               const struct setting *setting, enum ledger_claim claim, struct rng *rng,
               uint32_t inside, struct aftermath_stats *stats)
{
    static struct ledger own;
    struct run run;
    own = *ledger;
    run_begin(&run, machine, setting, aftermath_ops, &own, claim);
    for (uint32_t i = 0; i < inside; i++) {
        aftermath_inside(&run, rng, stats);
    }
    (void)run_open(&run);
    aftermath_count(&run, stats);
    stats->outcomes++;
    while (run_step(&run)) {
    }
    /* Half of the programs close their store; the others die again. */
    if (rng_chance(rng, 1, 2)) {
        (void)run_close(&run);
    } else {
        aftermath_die(&run, rng, rng_chance(rng, 1, 2));
    }
    (void)run_open(&run);
    aftermath_count(&run, stats);
    (void)run_close(&run);
    commitlog_fault_free(run.machine);
}
