/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - "2026-01-31T12:00:00.123Z info text". See log.h.
 *
 * Happy path: format, one write. Failure modes: a line that is too long is cut; a standard error
 * that cannot be written is none of our business.
 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static _Atomic int log_up_to = LOG_INFO; /* enum log_level; nothing else hangs on it: relaxed */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_up_to, (int)level, memory_order_relaxed);
}

int log_level_of(const char *name, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum log_level)i;
            return 1;
        }
    }
    return 0;
}

int log_seldom(struct log_seldom *seldom, int64_t now_ms, uint64_t *out_count)
{
    *out_count = ++seldom->count;
    if (seldom->said_ms != 0 && now_ms - seldom->said_ms < LOG_SELDOM_MS)
        return 0;
    *seldom = (struct log_seldom){.said_ms = now_ms + 1};
    return 1;
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&log_up_to, memory_order_relaxed))
        return;
    char line[1024];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, 64, "%Y-%m-%dT%H:%M:%S", &parts);
    used +=
        (size_t)snprintf(line + used, 32, ".%03dZ %s ", (int)(now.tv_nsec / 1000000), names[level]);
    va_list list;
    va_start(list, format);
    const int text = vsnprintf(line + used, sizeof line - used - 1, format, list);
    va_end(list);
    if (text > 0)
        used += (size_t)text;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < 0x20)
            line[i] = '?'; /* names come from the network */
    }
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}
