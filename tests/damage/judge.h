/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge.h -- opens, reads, verifies and salvages a store with one damage in it, and says whether
 * each answer is one that may be given.
 *
 * Owns: the counts.
 * Invariants: 1. what is given is identical to what was appended; 2. what was acknowledged is given
 *       or named, by every way of access: the way itself, the store's list of damage, the report;
 *       or it may be taken for a torn tail, which is where no record behind it, no checkpoint and
 *       no live area witnesses that it had been durable; 3. what the damage does not touch is
 *       given; 4. a refusal changes nothing; reading and planning never do.
 * Failure modes: what breaks a rule is printed with what to run to see it again, and counted.
 */
#ifndef TESTS_DAMAGE_JUDGE_H
#define TESTS_DAMAGE_JUDGE_H

#include "spoil.h"
#include "survey.h"

enum violation {
    VIOLATION_ALTERED,     /* a record differs, was never appended, twice, out of order */
    VIOLATION_UNNOTICED,   /* acknowledged, not given, and nothing says so */
    VIOLATION_TORN,        /* taken for a torn tail though it is witnessed */
    VIOLATION_TORN_CLEAN,  /* the same after a clean close or an idle checkpoint */
    VIOLATION_UNSERVED,    /* not touched, and not given */
    VIOLATION_FALSE_ALARM, /* nothing that means anything has changed, and it is refused */
    VIOLATION_SALVAGE,     /* salvage refuses, loses what is not touched, or does not tell */
    VIOLATION_CHANGED,     /* something wrote that must not */
    VIOLATION_OTHER,
    VIOLATIONS
};

struct tally {
    uint64_t violations[VIOLATIONS];
    uint64_t flips;
    uint64_t flips_acknowledged;
    uint64_t by_open; /* of those: who notices first */
    uint64_t by_read;
    uint64_t by_verify;
    uint64_t no_effect;
    uint64_t torn_taken;
    uint64_t torn_of[GROWN_ENDS];
    uint64_t flips_of[GROWN_ENDS];
    uint64_t others;
    uint64_t twos; /* two damages at once */
    uint64_t applied[SPOIL_KINDS];
    uint64_t refused[SPOIL_KINDS];
    uint64_t reader_refused[SPOIL_KINDS];
    uint64_t opened_for_writing;
    uint64_t salvaged;
    uint64_t salvage_refused[SPOIL_KINDS];
    uint64_t holes; /* records that salvage gave up, all of them touched */
};

/* A store and what it answers undamaged. */
struct bench {
    struct grown *grown;
    const struct grown *foreign;
    struct store_files files;
    struct survey reader; /* read-only */
    struct survey writer; /* recovered */
    uint64_t index;       /* of the store, for whom wants to see it again */
    struct tally *tally;
};

/* One damage, its witnesses, and what came of it. */
struct trial {
    struct bench *bench;
    const struct spoil *spoil;
    struct commitlog_fault *machine;
    uint64_t number;
    bool missing[BOOK_ITEMS]; /* a reader was not given it by its queue */
    uint64_t proof;           /* the log up to here is witnessed as durable, whatever was touched */
    uint32_t ways;
    bool harmless;  /* must be opened, and give everything */
    bool opens_say; /* an open refuses, or knows of damage before a read */
    bool reads_say;
    bool verify_says;
    bool torn; /* something acknowledged is taken for a torn tail */
};

const char *violation_name(enum violation violation);
void bench_begin(struct bench *bench, struct grown *grown, const struct grown *foreign,
                 uint64_t index, struct tally *tally);
void bench_end(struct bench *bench);
void trial_begin(struct trial *trial, struct bench *bench, struct commitlog_fault *machine,
                 const struct spoil *spoil, uint64_t number, uint32_t ways);
/* Read-only, verify, and the plan of a recovery: nothing changes. */
void trial_look(struct trial *trial);
/* Opens a copy for writing. */
void trial_write(struct trial *trial);
/* Salvages a copy. */
void trial_salvage(struct trial *trial);
/* Is it called damaged by readers, writers and salvage? Nothing changes. */
bool trial_is_refused(struct trial *trial);

#endif
