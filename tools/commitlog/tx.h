/*
 * tx.h -- what the actions of `commitlog tx` share.
 *
 * Invariants: list and show open read-only and run beside a writer. commit and rollback hold the
 *       writer's lock, and open the store without upkeep, so that it does not end the very
 *       transaction that they are to decide.
 * Threads and locks: the main thread.
 * Failure modes: reported here, with the exit code as result. A transaction that is not there, or
 *       not any more, is CLI_NO.
 */
#ifndef COMMITLOG_TOOL_TX_H
#define COMMITLOG_TOOL_TX_H

#include "cli.h"
#include "open.h"

/* No transaction has this number: the report, with the reason as far as the log still tells, and
 * the exit code. */
int tx_missing(struct cli *cli, struct store *store, uint64_t number);
/* Says first of a call that failed whether it is nonetheless what it was to `become`: "committed",
 * "prepared". */
void tx_tell_outcome(struct cli *cli, uint64_t number, const char *become, int32_t code);

/* The actions: argv[0] is the action. */
int tx_append(int argc, const char **argv);
int tx_list(int argc, const char **argv);
int tx_show(int argc, const char **argv);

#endif
