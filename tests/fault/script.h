/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * script.h -- the operation sequences of the fault tests, and one run of such a sequence on a
 * machine that may fail at any call.
 *
 * Owns: the table of scripts and of settings; during a run the open store and what was held back
 *       at each step.
 * Invariants: 1. a script has a part before the faults, which ends with a store that nobody has
 *       open, and a part under them, which begins with an open; 2. a run goes on after an error,
 *       as a program would that tries again; 3. every status is one that the fault explains.
 * Happy path: script_prepare, then for each fault run_begin, run_step until it is false, run_close.
 */
#ifndef TESTS_FAULT_SCRIPT_H
#define TESTS_FAULT_SCRIPT_H

#include "commitlog_fault.h"
#include "ledger.h"

enum { SCRIPT_SEGMENT = 65536, SCRIPT_OPS = 24 };

enum op_kind {
    OP_END,
    OP_OPEN,
    OP_TOPIC,
    OP_PUT,    /* count records of bytes, at a level */
    OP_BATCH,  /* count records as one, at a level */
    OP_COMMIT, /* a reservation that is committed */
    OP_ABORT,  /* one that is not */
    OP_HOLD,   /* one that is still open when the process dies */
    OP_ROLL,   /* records of 3000 bytes until a segment begins */
    OP_SYNC,
    OP_WAIT, /* the clock moves on by count milliseconds */
    OP_STEP, /* upkeep, count rounds */
    OP_CHECKPOINT,
    OP_RETAIN, /* keeps count segments */
    OP_READ,
    OP_CLOSE,
    OP_KILL, /* only before the faults */
    OP_POWER /* only before the faults */
};

struct op {
    uint8_t kind;
    uint8_t topic;
    uint8_t queue;
    uint8_t level;
    uint32_t count;
    uint32_t bytes;
};

struct script {
    const char *name;
    struct op before[SCRIPT_OPS];
    struct op ops[SCRIPT_OPS];
};

/* Options of all stores of a run. */
struct setting {
    const char *name;
    uint32_t engine;
    uint32_t flush;
    uint32_t prewrite;
    uint32_t align;
    uint32_t live;
    uint32_t borrow;
};

extern const struct script scripts[];
extern const struct setting settings[];
uint32_t script_count(void);
uint32_t setting_count(void);
/* The caller's to free. */
struct commitlog_options *setting_options(const struct setting *setting,
                                          struct commitlog_fault *machine);

/* The one fault of a run; kind 0: none, only the statuses of a dead machine. */
struct fault {
    uint32_t kind;
    uint64_t nth;
    int32_t os_errno;
    uint32_t for_ever;
};

struct run {
    struct commitlog_fault *machine;
    const struct setting *setting;
    const struct op *ops;
    struct ledger *ledger;
    struct fault fault;
    struct commitlog_store *store;
    struct commitlog_reservation *held;
    uint32_t numbers[LEDGER_TOPICS];
    uint32_t known;          /* bit: the topic has a number in this open store */
    uint32_t at;             /* the op that comes next */
    uint64_t fault_base;     /* calls of the kind when the fault was set */
    enum ledger_claim claim; /* what the next open must find */
    bool is_private;         /* the live area could not be shared, and an event has said so */
    bool latched;
};

/* A machine with the state before the faults, on which nothing is open, its ledger, and what the
 * next open must find. */
struct commitlog_fault *script_prepare(const struct script *script, const struct setting *setting,
                                       struct ledger *ledger, uint64_t seed,
                                       enum ledger_claim *out_claim);
/* claim: what the first open must find. */
void run_begin(struct run *run, struct commitlog_fault *machine, const struct setting *setting,
               const struct op *ops, struct ledger *ledger, enum ledger_claim claim);
/* From now on this fault may happen; kind 0: none. */
void run_fault(struct run *run, const struct fault *fault);
/* Whether it has happened, or the machine is dead: only then may a call fail. */
bool run_is_faulty(const struct run *run);
/* One op; false at the end of the script. */
bool run_step(struct run *run);
/* Opens, and compares the store with the ledger. */
int32_t run_open(struct run *run);
/* Ends what is open; afterwards the machine holds nothing of it. */
int32_t run_close(struct run *run);
/* The claim on a store whose writer was killed. */
enum ledger_claim run_killed(const struct run *run);

#endif
