/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage_test.c -- damage of every kind at random places of grown stores: all that was acknowledged
 * is given as it was or named, salvage keeps the rest.
 *
 * Each store is grown by a seed (grown_store.h). Single bits are flipped in it, looked at and
 * flipped back; a share of them also in a copy that is opened for writing, and in one that is
 * salvaged. Of all other kinds (spoil.h) some are tried on copies, one at a time and two at once.
 * judge.h has the rules.
 *
 * Environment: SEED (1); FLIPS, in all (default 6000), and for each 100 of them TRIALS, other
 * damages (10), and PAIRS, two damages (10); PARTS and PART: of the stores, only each PARTS-th;
 * WRITE_SHARE and SALVAGE_SHARE, one in so many of the flips (12, 24); STORE and TRIAL: one store,
 * one trial only; KIND: one kind; ALL=1: print all violations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

typedef unsigned long long ull;

enum { FLIPS_A_STORE = 250, FOREIGN_EVERY = 20 };

struct program {
    uint64_t seed;
    uint64_t flips; /* for each store */
    uint64_t trials;
    uint64_t pairs;
    uint64_t write_every;
    uint64_t salvage_every;
    uint64_t only_trial;
    uint64_t only_kind;
    struct tally tally;
    struct rng rng; /* of one trial */
    struct bench bench;
    struct grown grown;
    struct grown foreign;
};

/* By queue and as it lies, always; one of the other ways. */
static uint32_t some_ways(struct rng *rng)
{
    return 1u << WAY_QUEUE | 1u << rng_below(rng, SURVEY_WAYS);
}

static bool is_acknowledged(const struct grown *grown, const struct spoil *spoil)
{
    for (uint32_t i = 0; i < grown->book.count; i++) {
        const struct book_item *item = &grown->book.items[i];
        if (spoil->touched[i] && !item->is_hole && item->end <= grown->required) {
            return true;
        }
    }
    return false;
}

static void count_flip(struct program *program, const struct trial *trial, bool acknowledged)
{
    struct tally *tally = &program->tally;
    enum grown_end end = program->grown.end;
    tally->flips++;
    if (!acknowledged) {
        return;
    }
    tally->flips_acknowledged++;
    tally->flips_of[end]++;
    if (trial->torn) {
        tally->torn_taken++;
        tally->torn_of[end]++;
    } else if (trial->opens_say) {
        tally->by_open++;
    } else if (trial->reads_say) {
        tally->by_read++;
    } else if (trial->verify_says) {
        tally->by_verify++;
    } else {
        tally->no_effect++; /* all ways have given every record as it was */
    }
}

static void flip_one(struct program *program, uint64_t number)
{
    static struct spoil spoil;
    struct trial trial;
    const struct store_file *file = NULL;
    uint64_t at = 0;
    struct grown *grown = &program->grown;
    uint32_t mask = 1u << rng_below(&program->rng, 8);
    spoil_place(grown, &program->bench.files, &program->rng, rng_chance(&program->rng, 9, 10),
                &file, &at);
    memset(&spoil, 0, sizeof(spoil));
    spoil.kind = SPOIL_FLIP;
    (void)snprintf(spoil.what, sizeof(spoil.what), "flip: %s byte %llu mask %u", file->path,
                   (ull)at, mask);
    spoil_range(grown, file, at, 1, &spoil);
    CHECK_RC(commitlog_fault_flip(grown->machine, file->path, at, mask), COMMITLOG_OK);
    trial_begin(&trial, &program->bench, grown->machine, &spoil, number, some_ways(&program->rng));
    trial_look(&trial);
    if (rng_chance(&program->rng, 1, program->write_every)) {
        trial_write(&trial);
    }
    if (rng_chance(&program->rng, 1, program->salvage_every)) {
        trial_salvage(&trial);
    }
    CHECK_RC(commitlog_fault_flip(grown->machine, file->path, at, mask), COMMITLOG_OK);
    count_flip(program, &trial, is_acknowledged(grown, &spoil));
}

static void spoil_one(struct program *program, uint64_t number)
{
    static struct spoil spoil;
    struct commitlog_fault *copy = NULL;
    struct trial trial;
    enum spoil_kind kind = (enum spoil_kind)rng_below(&program->rng, SPOIL_KINDS);
    if (program->only_kind != UINT64_MAX && kind != program->only_kind) {
        return;
    }
    CHECK_RC(commitlog_fault_clone(program->grown.machine, number, &copy), COMMITLOG_OK);
    if (spoil_apply(&program->grown, &program->bench.files, &program->foreign, copy, &program->rng,
                    kind, &spoil)) {
        trial_begin(&trial, &program->bench, copy, &spoil, number, SURVEY_EVERY_WAY);
        trial_look(&trial);
        trial_write(&trial);
        trial_salvage(&trial);
        program->tally.others++;
        program->tally.applied[kind]++;
    }
    commitlog_fault_free(copy);
}

/* Two at once: what one of them makes of the log must not hide the other. */
static void spoil_two(struct program *program, uint64_t number)
{
    /* Missing segments twice as often. */
    static const enum spoil_kind kinds[] = {
        SPOIL_FLIP,        SPOIL_GARBAGE,   SPOIL_ZERO_512, SPOIL_ZERO_4096, SPOIL_SWAP_INSIDE,
        SPOIL_SWAP_ACROSS, SPOIL_TRUNCATED, SPOIL_MISSING,  SPOIL_MISSING,   SPOIL_BAD_CHECKPOINT,
        SPOIL_BAD_LIVE,    SPOIL_OLD_VIEW,  SPOIL_BAD_VIEW,
    };
    const uint64_t count = sizeof(kinds) / sizeof(kinds[0]);
    static struct spoil spoil;
    struct commitlog_fault *copy = NULL;
    struct trial trial;
    const struct grown *grown = &program->grown;
    const struct store_files *files = &program->bench.files;
    enum spoil_kind one = kinds[rng_below(&program->rng, count)];
    enum spoil_kind other = kinds[rng_below(&program->rng, count)];
    /* In this order: what was cut off or is gone is not written to. */
    enum spoil_kind first = one < other ? one : other;
    enum spoil_kind second = one < other ? other : one;
    CHECK_RC(commitlog_fault_clone(grown->machine, number, &copy), COMMITLOG_OK);
    if ((first != SPOIL_TRUNCATED || second != SPOIL_TRUNCATED) &&
        spoil_apply(grown, files, &program->foreign, copy, &program->rng, first, &spoil) &&
        spoil_add(grown, files, &program->foreign, copy, &program->rng, second, &spoil)) {
        trial_begin(&trial, &program->bench, copy, &spoil, number, SURVEY_EVERY_WAY);
        /* Where nothing is left there are no records to be named. */
        if (!spoil_leaves_nothing(&spoil, files) || !trial_is_refused(&trial)) {
            trial_look(&trial);
            trial_write(&trial);
            trial_salvage(&trial);
        }
        program->tally.twos++;
    }
    commitlog_fault_free(copy);
}

static void program_store(struct program *program, uint64_t index)
{
    uint64_t seed = program->seed * UINT64_C(1000003) + index;
    grown_make(&program->grown, seed);
    bench_begin(&program->bench, &program->grown, &program->foreign, index, &program->tally);
    for (uint64_t i = 0; i < program->flips + program->trials + program->pairs; i++) {
        if (program->only_trial != UINT64_MAX && program->only_trial != i) {
            continue;
        }
        rng_begin(&program->rng, seed * 131 + i * UINT64_C(0x9e3779b97f4a7c15));
        if (i < program->flips && program->only_kind == UINT64_MAX) {
            flip_one(program, i);
        } else if (i >= program->flips && i < program->flips + program->trials) {
            spoil_one(program, i);
        } else if (i >= program->flips && program->only_kind == UINT64_MAX) {
            spoil_two(program, i);
        }
    }
    bench_end(&program->bench);
    grown_free(&program->grown);
}

static void program_tell(const struct tally *tally)
{
    uint64_t bad = 0;
    for (uint32_t i = 0; i < SPOIL_KINDS; i++) {
        if (tally->applied[i] > 0) {
            printf("%-22s %7llu: refused %llu to writers, %llu to readers; not salvaged %llu\n",
                   spoil_name((enum spoil_kind)i), (ull)tally->applied[i], (ull)tally->refused[i],
                   (ull)tally->reader_refused[i], (ull)tally->salvage_refused[i]);
        }
    }
    printf("flips in acknowledged data: %llu noticed when opened, %llu when read, %llu by verify, "
           "%llu without effect, %llu taken for a torn tail\n",
           (ull)tally->by_open, (ull)tally->by_read, (ull)tally->by_verify, (ull)tally->no_effect,
           (ull)tally->torn_taken);
    for (uint32_t i = 0; i < GROWN_ENDS; i++) {
        printf("  %-12s %8llu flips, %llu taken for a torn tail\n",
               grown_end_name((enum grown_end)i), (ull)tally->flips_of[i], (ull)tally->torn_of[i]);
    }
    printf("%llu opened for writing, %llu salvaged, %llu records given up\n",
           (ull)tally->opened_for_writing, (ull)tally->salvaged, (ull)tally->holes);
    for (uint32_t i = 0; i < VIOLATIONS; i++) {
        bad += tally->violations[i];
        if (tally->violations[i] > 0) {
            printf("violated: %s %llu times\n", violation_name((enum violation)i),
                   (ull)tally->violations[i]);
        }
    }
    const uint64_t *v = tally->violations;
    uint64_t unsettled = tally->flips_of[GROWN_KILLED] + tally->flips_of[GROWN_CUT];
    printf("figures: flips=%llu flips_acknowledged=%llu unnoticed=%llu torn_after_clean=%llu "
           "flips_unsettled=%llu torn_taken=%llu other_damage=%llu two_damages=%llu altered=%llu "
           "lost_by_salvage=%llu violations=%llu\n",
           (ull)tally->flips, (ull)tally->flips_acknowledged, (ull)v[VIOLATION_UNNOTICED],
           (ull)v[VIOLATION_TORN_CLEAN], (ull)unsettled, (ull)tally->torn_taken, (ull)tally->others,
           (ull)tally->twos, (ull)v[VIOLATION_ALTERED], (ull)v[VIOLATION_SALVAGE], (ull)bad);
}

static bool is_sound(const struct tally *tally)
{
    for (uint32_t i = 0; i < VIOLATIONS; i++) {
        if (tally->violations[i] > 0) {
            return false;
        }
    }
    return true;
}

int main(void)
{
    static struct program program;
    uint64_t parts = prog_env("PARTS", 1);
    uint64_t part = prog_env("PART", 0);
    uint64_t only = prog_env("STORE", UINT64_MAX);
    uint64_t stores = (prog_env("FLIPS", 6000) + FLIPS_A_STORE - 1) / FLIPS_A_STORE;
    uint64_t made = 0;
    uint64_t foreign = 0;
    /* The same stores each time: what another seed finds is for a row of the proof to find, not for
     * a build that has changed nothing. */
    CHECK(setenv("SEED", "1", 0) == 0);
    program.seed = prog_begin("damage_test");
    program.flips = FLIPS_A_STORE;
    program.trials = prog_env("TRIALS", 10) * FLIPS_A_STORE / 100;
    program.pairs = prog_env("PAIRS", 10) * FLIPS_A_STORE / 100;
    program.write_every = prog_env("WRITE_SHARE", 12);
    program.salvage_every = prog_env("SALVAGE_SHARE", 24);
    program.only_trial = prog_env("TRIAL", UINT64_MAX);
    program.only_kind = prog_env("KIND", UINT64_MAX);
    prog_watchdog(stores > 100 ? 7200 : 600);
    for (uint64_t i = 0; i < stores || i == only; i++) {
        if ((only == UINT64_MAX && i % parts != part) || (only != UINT64_MAX && i != only)) {
            continue;
        }
        if (made++ == 0 || foreign != i / FOREIGN_EVERY) {
            if (made > 1) {
                grown_free(&program.foreign);
            }
            foreign = i / FOREIGN_EVERY;
            grown_make(&program.foreign, ~program.seed * 31 + foreign);
        }
        program_store(&program, i);
    }
    if (made > 0) {
        grown_free(&program.foreign);
    }
    program_tell(&program.tally);
    prog_checks_add(program.tally.flips + program.tally.others + program.tally.twos);
    return prog_end() != 0 || !is_sound(&program.tally) ? 1 : 0;
}
