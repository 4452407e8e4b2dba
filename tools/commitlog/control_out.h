/*
 * control_out.h -- what the bodies of control records say: of groups which, what, of which queues;
 * of topics what has expired.
 *
 * Owns: nothing; it reads the bytes that commitlog-format(5) describes.
 * Invariants: what does not decode whole, or is of a newer version, prints nothing. A queue is
 *       named by its number in the store, as the record names it. A line names so many entries and
 *       counts the others, an object has all.
 * Threads and locks: one thread.
 * Failure modes: false: standard output failed.
 */
#ifndef COMMITLOG_TOOL_CONTROL_OUT_H
#define COMMITLOG_TOOL_CONTROL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"
#include "out.h"

/* A whole number of so many bytes, as it lies in the log. */
uint64_t control_number(const unsigned char *bytes, size_t size);
/* "  group g  reset  #0 @5", "  group g  work  #0 @5-6 pending attempts 1 until 2026-...";
 * "  #0 below 8192 age 2d"; nothing of another record. */
bool control_put_line(struct out *out, const struct commitlog_message *message);
/* The same as fields of an object, each behind a comma. */
bool control_put_fields(struct out *out, const struct commitlog_message *message);

#endif
