/*
 * transaction_out.h -- what records say of transactions: whose message it is, what becomes of one.
 *
 * Owns: nothing; it reads the bytes that commitlog-format(5) describes.
 * Invariants: what does not decode whole, or is of a newer version, is of no transaction and prints
 *       nothing.
 * Threads and locks: one thread.
 * Failure modes: false: standard output failed.
 */
#ifndef COMMITLOG_TOOL_TRANSACTION_OUT_H
#define COMMITLOG_TOOL_TRANSACTION_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"
#include "out.h"

/* The number of the transaction that this is a message of, delivers a message of, or says something
 * of; 0: none. */
uint64_t transaction_of(const struct commitlog_message *message);
/* A message of a transaction, in no queue: not a mark. */
bool transaction_is_message(const struct commitlog_message *message);
/* "  transaction 8336  producer billing", "  transaction 8336  rollback asked"; nothing of another
 * record. */
bool transaction_put_line(struct out *out, const struct commitlog_message *message);
/* The same as fields of an object, each behind a comma; without `log` only the number, of a message
 * in no queue. */
bool transaction_put_fields(struct out *out, const struct commitlog_message *message, bool log);

#endif
