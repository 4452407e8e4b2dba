/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recovery_sim.c -- crashes by the thousand: a writer on a machine in memory, killed, cut or
 * failing at any call, recovered (with crashes inside recovery too), and compared with what it had
 * appended.
 *
 * Usage: recovery_sim [ROUNDS] [SEED]. Prints the seed of a failure; the same seed fails again.
 *
 * Checked after each recovery
 *   1. every acknowledged record is there, unchanged;
 *   2. the log is the beginning of what was appended: nothing returns, nothing is reordered;
 *   3. a crash is never called damage;
 *   4. after the death of the process alone nothing that was published is missing;
 *   5. what recovery serves survives a power cut right behind it;
 *   6. recovering again changes no byte under log/;
 *   7. behind the end all is zero, and the epoch is above every one before.
 * With one of the mistakes that tools/check/plants.tsv gives it planted in lib/ or in sim_writer.c,
 * it must fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "crash/sim_writer.h"

struct sim_stats {
    uint64_t crashes;
    uint64_t inside;
    uint64_t torn;
    uint64_t staged;
    uint64_t holes;
    uint64_t rewritten;
    uint64_t failed_syncs;
};

static uint64_t sim_seed;
static uint64_t sim_random(void)
{
    sim_seed = sim_seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return sim_seed >> 33;
}

/* Everything under log/, names and bytes; SIM_VERBOSE prints each file's. */
static uint64_t sim_log_hash(struct commitlog_fault *machine)
{
    uint64_t sum = 0;
    bool verbose = getenv("SIM_VERBOSE") != NULL;
    const char *name;
    for (uint32_t i = 0; commitlog_fault_name(machine, SIM_PATH "/log", i, &name) == 0; i++) {
        char path[300];
        const void *data;
        uint64_t bytes;
        (void)snprintf(path, sizeof(path), "%s/log/%s", SIM_PATH, name);
        if (commitlog_fault_content(machine, path, &data, &bytes) == 0) {
            uint64_t hash = clg_hash64(data, bytes, clg_hash64(path, strlen(path), 0));
            sum += hash;
            if (verbose) {
                (void)fprintf(stderr, "%s %llu bytes %016llx\n", path, (unsigned long long)bytes,
                              (unsigned long long)hash);
            }
        }
    }
    return sum;
}

/* A session: appends and flushes until something fails or it has had enough. */
static void sim_session(struct sim_writer *w, bool may_claim)
{
    uint32_t steps = 5 + (uint32_t)(sim_random() % 80);
    /* Records of one size lie where those of a dead session lay: a stale one would chain on. */
    bool same_size = sim_random() % 2 == 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < steps; i++) {
        uint64_t what = sim_random() % 100;
        if (what < 60) {
            rc = sim_append(w, sim_random(), same_size ? 200 : (uint32_t)(sim_random() % 1500));
        } else if (what < 68 && !same_size) {
            rc = sim_batch(w, sim_random(), 2 + (uint32_t)(sim_random() % 20));
        } else if (what < 78) {
            rc = sim_drain(w);
        } else if (what < 94) {
            rc = sim_flush(w);
        } else if (what < 97) {
            rc = sim_checkpoint(w, false);
        }
    }
    if (rc == 0 && may_claim && w->staged && sim_random() % 3 == 0) {
        rc = sim_claim(w, 100);
    } else if (rc == 0 && sim_random() % 6 == 0) {
        rc = sim_flush(w);
        if (rc == 0) {
            rc = sim_checkpoint(w, true);
        }
    }
    (void)rc;
}

static bool sim_crash(struct commitlog_fault *machine, struct sim_stats *stats, bool may_cut)
{
    stats->crashes++;
    if (may_cut && sim_random() % 2 == 0) {
        commitlog_fault_power_cut(machine);
        return true;
    }
    commitlog_fault_process_death(machine);
    return false;
}

static int sim_fail(const char *what, uint64_t seed, uint64_t round)
{
    (void)printf("FAILED: %s (seed %llu, round %llu)\n", what, (unsigned long long)seed,
                 (unsigned long long)round);
    return 1;
}

/* Recovers, with crashes inside; *power_cut: one of them was (or the one before). */
static int sim_recover(struct sim_writer *w, struct commitlog_fault *machine,
                       struct sim_history *history, bool *power_cut, struct sim_stats *stats)
{
    bool staged = sim_random() % 2 == 0;
    for (uint32_t i = 0; i < 6 && sim_random() % 3 == 0; i++) {
        commitlog_fault_cut_at(machine, 1 + sim_random() % 40);
        int rc = sim_open(w, machine, history, staged, COMMITLOG_RECOVER_TAIL);
        if (rc == COMMITLOG_EDAMAGED) {
            return rc;
        }
        sim_abandon(w);
        stats->inside++;
        *power_cut = sim_crash(machine, stats, true) || *power_cut;
    }
    uint64_t kept = history->published;
    int rc = sim_open(w, machine, history, staged, COMMITLOG_RECOVER_TAIL);
    history->published = kept;
    return rc;
}

/* Half of the time: recovers once more, after a power cut or the death of the process. The machine
 * keeps nothing unflushed at that cut: what was served must have been on the disk. */
static const char *sim_again(struct sim_writer *w, struct commitlog_fault *machine,
                             struct sim_history *history)
{
    uint64_t before = sim_log_hash(machine);
    if (sim_random() % 2 == 0) {
        return NULL;
    }
    sim_abandon(w);
    if (sim_random() % 2 == 0) {
        commitlog_fault_set_survival(machine, 0);
        commitlog_fault_power_cut(machine);
        commitlog_fault_set_survival(machine, 50);
    } else {
        commitlog_fault_process_death(machine);
    }
    if (sim_open(w, machine, history, false, COMMITLOG_RECOVER_TAIL) != 0) {
        return "recovering again failed";
    }
    const char *wrong = sim_check(w, false);
    if (wrong == NULL && sim_log_hash(machine) != before) {
        wrong = "recovering again changed the log";
    }
    sim_abandon(w);
    int rc = sim_open(w, machine, history, sim_random() % 2 == 0, COMMITLOG_RECOVER_TAIL);
    return wrong == NULL && rc != 0 ? "opening again failed" : wrong;
}

static int sim_round(uint64_t seed, uint64_t round, struct sim_history *history,
                     struct sim_stats *stats)
{
    struct commitlog_fault *machine;
    struct sim_writer w;
    sim_seed = seed * UINT64_C(1000003) + round;
    memset(history, 0, sizeof(*history));
    if (commitlog_fault_create(sim_random() + 1, &machine) != 0) {
        return sim_fail("no machine", seed, round);
    }
    commitlog_fault_set_sector(machine, sim_random() % 2 == 0 ? 512 : 4096);
    const char *wrong = NULL;
    bool power_cut = false;
    uint32_t epoch = 0;
    for (uint32_t session = 0; wrong == NULL && session < 5; session++) {
        int rc = sim_recover(&w, machine, history, &power_cut, stats);
        if (rc != 0) {
            wrong = rc == COMMITLOG_EDAMAGED ? "a crash was called damage" : "recovery failed";
            break;
        }
        stats->torn += w.result.summary.tail != COMMITLOG_TAIL_CLEAN;
        stats->staged += w.result.summary.records_from_stage;
        stats->holes += w.result.summary.holes_made;
        stats->rewritten += w.result.summary.bytes_rewritten;
        uint64_t published = history->published;
        wrong = sim_check(&w, false);
        if (wrong == NULL && w.epoch <= epoch) {
            wrong = "the epoch did not rise";
        }
        epoch = w.epoch;
        if (wrong == NULL && !power_cut && w.result.end < published && session > 0) {
            wrong = "a published record did not survive the process";
        }
        if (wrong == NULL) {
            history->acked = clg_max_u64(history->acked, w.result.end); /* it is served now */
            wrong = sim_again(&w, machine, history);
        }
        if (wrong != NULL) {
            break;
        }
        bool fails = sim_random() % 4 == 0;
        if (fails) {
            stats->failed_syncs++;
            (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1 + sim_random() % 6, 5, 0);
        } else if (sim_random() % 2 == 0) {
            commitlog_fault_cut_at(machine, 1 + sim_random() % 200);
        }
        sim_session(&w, true);
        bool dead = commitlog_fault_is_dead(machine) != 0;
        sim_abandon(&w);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 0, 5, 0);
        power_cut = sim_crash(machine, stats, true) || dead;
    }
    sim_abandon(&w);
    commitlog_fault_free(machine);
    return wrong == NULL ? 0 : sim_fail(wrong, seed, round);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 60;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t from = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    struct sim_history *history = malloc(sizeof(*history));
    struct sim_stats stats;
    memset(&stats, 0, sizeof(stats));
    int failed = history == NULL;
    for (uint64_t i = from; failed == 0 && i < from + rounds; i++) {
        failed = sim_round(seed, i, history, &stats);
    }
    free(history);
    (void)printf("%llu crashes, %llu inside recovery, %llu tails cut, %llu records from the stage, "
                 "%llu holes, %llu bytes rewritten, %llu failed flushes\n",
                 (unsigned long long)stats.crashes, (unsigned long long)stats.inside,
                 (unsigned long long)stats.torn, (unsigned long long)stats.staged,
                 (unsigned long long)stats.holes, (unsigned long long)stats.rewritten,
                 (unsigned long long)stats.failed_syncs);
    return failed;
}
