/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stat.h - a statistic of the store by its name: commitlog_stats(3).
 *
 * Owns: nothing. Invariants: none. Threads: the loop's.
 */
#ifndef MINI_BROKER_STAT_H
#define MINI_BROKER_STAT_H

#include "broker.h"

/* 0 also where the library has none of this name. */
uint64_t stat_of(const struct broker *broker, const char *name);

#endif
