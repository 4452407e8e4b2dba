/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - lines of the operator's log, to standard error.
 *
 * Owns: the level below which nothing is said. Invariants: one line, one write. Threads: any.
 */
#ifndef MINI_BROKER_LOG_H
#define MINI_BROKER_LOG_H

#include <stdint.h>

enum { LOG_SELDOM_MS = 1000 };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* False: no such level. */
int log_level_of(const char *name, enum log_level *out);
/* For lines that strangers can cause: true once in LOG_SELDOM_MS, with how often it was asked
 * since.
 */
struct log_seldom {
    int64_t said_ms;
    uint64_t count;
};
int log_seldom(struct log_seldom *seldom, int64_t now_ms, uint64_t *out_count);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
