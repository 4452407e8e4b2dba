/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beside.h -- a process that runs beside the one that measures; what both see: bench_shared.
 *
 * It is started before anything else: no thread, no open store that it would have half of.
 *
 * Failure: when it dies before its end, the one that measures dies at once, wherever it waits; and
 *          the other way round.
 */
#ifndef BENCH_SUPPORT_BESIDE_H
#define BENCH_SUPPORT_BESIDE_H

/* At most one at a time. */
void beside_start(void (*run)(void *ctx), void *ctx);
/* Waits until it has come to its end. */
void beside_end(void);

#endif
