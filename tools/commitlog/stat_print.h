/*
 * stat_print.h -- statistics as text for people and as JSON for programs.
 *
 * Owns: nothing; prints to cli->out.
 * Threads and locks: one thread.
 * Failure modes: those of out.h, which remembers them.
 */
#ifndef COMMITLOG_TOOL_STAT_PRINT_H
#define COMMITLOG_TOOL_STAT_PRINT_H

#include "stat_values.h"

/* Everything there is, one number a line. */
void stat_print_text(struct cli *cli, const struct stat_values *now);
/* What changes, for a screen: rates and distributions of the time since `before` (NULL: nothing
 * yet) and of all since the store was opened. */
void stat_print_screen(struct cli *cli, const struct stat_values *before,
                       const struct stat_values *now);
/* One object on one line; with `before` it has "interval" too. */
void stat_print_json(struct cli *cli, const struct stat_values *before,
                     const struct stat_values *now);

#endif
