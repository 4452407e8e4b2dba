/*
 * watch.h -- ends a command when a signal comes or when the reader of its pipe goes away.
 *
 * Owns: one thread that sleeps in poll on a signalfd and, if asked, on standard output; while it
 *       exists SIGINT, SIGTERM and SIGHUP are blocked in every thread.
 * Invariants: once watch_ended is true it stays true. The store is interrupted again and again
 *       until the command ends, so that a wait which began just after an interrupt ends too; and
 *       so is a write that waits for its reader.
 * Threads and locks: a mutex protects what is to be interrupted; `ended` is atomic. Only the thread
 *       that called watch_start calls watch_writes.
 * Happy path: watch_start -> watch_store or watch_progress -> ... -> watch_stop.
 * Failure modes: no thread or descriptor: the command runs without a watch, signals act as ever. A
 *       signal that comes a second or more after the first ends the process at once.
 */
#ifndef COMMITLOG_TOOL_WATCH_H
#define COMMITLOG_TOOL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

enum {
    WATCH_SIGNALS = 0,
    WATCH_OUTPUT = 1, /* end also when the reader of standard output is gone */
    WATCH_NORMAL = 2  /* a signal is the usual way to end this command: exit 0 */
};

/* Before the store is opened, so that the library's threads inherit the blocked signals. */
void watch_start(struct cli *cli, unsigned int flags);
void watch_stop(struct cli *cli);

/* What is to be interrupted; NULL before it is closed or freed. A NULL watch is fine. */
void watch_store(struct watch *watch, struct commitlog_store *store);
void watch_progress(struct watch *watch, struct commitlog_progress *progress);
/* True before and false after a write that may wait for a reader: at the end it is interrupted. */
void watch_writes(struct watch *watch, bool writing);

bool watch_ended(const struct watch *watch);
/* Exit code of a command that was ended: 128 + signal, 0 when its reader left. */
int watch_status(const struct watch *watch);
/* The same of one whose exit code so far is `status`: what it found stays found. */
int watch_status_of(const struct watch *watch, int status);
/* Becomes readable at the end; -1 without a watch. */
int watch_fd(const struct watch *watch);
/* Sleeps up to timeout_ms or until the end; true: ended. */
bool watch_sleep(const struct watch *watch, int timeout_ms);

#endif
