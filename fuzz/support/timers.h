/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers.h -- what a store of any kind says of the messages that wait in it, and two of our own.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_TIMERS_H
#define FUZZ_SUPPORT_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

/* Asks for what waits, and checks that the answers agree. */
void fuzz_timers_ask(struct commitlog_store *store);
/* Some wait: they may come at any time, and may keep others from it. */
bool fuzz_timers_any(struct commitlog_store *store);
/* Two messages to queue 0 of the topic that wait, one of which is then cancelled; time passes on
 * the machine, and upkeep delivers. `after_ns`: a store time of this session. `sound`: of the
 * machine nothing fails. *delivered: how many messages of the queue these became, 1 or, if any were
 * there before them, 0. False: some of it was refused. */
bool fuzz_timers_change(struct commitlog_store *store, const struct commitlog_os *os,
                        uint32_t topic, int64_t after_ns, bool sound, uint32_t *delivered);

#endif
