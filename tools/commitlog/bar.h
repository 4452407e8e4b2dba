/*
 * bar.h -- a progress bar on stderr: only on a terminal, only after one second.
 *
 * Owns: one thread that draws; the line it draws on.
 * Invariants: nothing is drawn when stderr is no terminal, when the work ends within a second, or
 *       when the data itself goes to the same terminal; the line is empty again after bar_stop.
 * Threads and locks: `done`, `total` and `drawn` are atomic, relaxed: they only feed the eye.
 * Happy path: bar_start -> bar_set ... -> bar_stop.
 * Failure modes: no thread: no bar.
 */
#ifndef COMMITLOG_TOOL_BAR_H
#define COMMITLOG_TOOL_BAR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

struct cli;

struct bar {
    struct cli *cli;
    const char *label;
    const struct commitlog_progress *source; /* where the numbers come from, or NULL: bar_set */
    atomic_uint_fast64_t done;               /* bytes */
    atomic_uint_fast64_t total;              /* bytes, 0: not known */
    atomic_bool drawn;
    bool running;
    bool stop; /* under lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* `source` must outlive bar_stop. `data`: the command prints data to standard output. */
void bar_start(struct bar *bar, struct cli *cli, const char *label,
               const struct commitlog_progress *source, bool data);
void bar_set(struct bar *bar, uint64_t done, uint64_t total);
void bar_stop(struct bar *bar);
/* What to print before a line of text so that it does not mix with the bar; bar may be NULL. */
const char *bar_erase(struct bar *bar);

#endif
