/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aftermath.h -- what follows a crash: recovery, crashes and faults inside of it, the comparison
 * with what was acknowledged, and a program that goes on.
 */
#ifndef TESTS_FAULT_AFTERMATH_H
#define TESTS_FAULT_AFTERMATH_H

#include "script.h"

struct aftermath_stats {
    uint64_t outcomes; /* crashed stores that were recovered and compared */
    uint64_t inside;   /* cuts and kills inside a recovery */
    uint64_t faults;   /* calls of a recovery that failed */
    uint64_t torn;     /* stores whose tail was cut */
    uint64_t staged;   /* records that came from the stage */
    uint64_t holes;
};

/* The machine has just died by `claim`, and is freed. inside: at most so many crashes or faults
 * before a recovery is left alone. The ledger is not changed. */
void aftermath(struct commitlog_fault *machine, const struct ledger *ledger,
               const struct setting *setting, enum ledger_claim claim, struct rng *rng,
               uint32_t inside, struct aftermath_stats *stats);
/* One of the errors a call can have, by index; false past the last. 0: a short read or write. */
bool fault_errno(uint32_t kind, uint32_t index, int32_t *out_errno);

#endif
