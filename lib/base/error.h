/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h -- fill and wrap the caller-owned `struct commitlog_error`.
 *
 * Owns: the text of an error while it travels up, and the table of codes behind the public
 *       commitlog_error_name, _text, _count and _at.
 * Invariants: every function accepts err == NULL; the returned code does not depend on err; a
 *       message is always terminated and, when it is too long, cut: what was put in front of it, a
 *       long path perhaps, and then its end; so that the reason stays.
 * Threads and locks: none; the struct belongs to the caller's thread.
 * Happy path: `return clg_fail(err, COMMITLOG_EDAMAGED, 0, p, "record: check mismatch");` below,
 *       `clg_wrap(err, "segment %020llu", base);` above: "segment 0...: record: check mismatch".
 * Failure modes: none.
 */
#ifndef CLG_BASE_ERROR_H
#define CLG_BASE_ERROR_H

#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"

/* The position field of an error that is not about a place in the log. */
#define CLG_NO_POSITION UINT64_MAX

/* Fill *err (if any) and return code, which is negative. os_errno is 0 or a positive errno. */
CLG_COLD int clg_fail(struct commitlog_error *err, int code, int os_errno, uint64_t position,
                      const char *fmt, ...) CLG_PRINTF(5, 6);

/* As clg_fail for a negative errno from the os table: maps it to a code, names it in the text. */
CLG_COLD int clg_fail_os(struct commitlog_error *err, int rc, uint64_t position, const char *fmt,
                         ...) CLG_PRINTF(4, 5);

/* Put "fmt: " in front of the message: what was being done when it happened. */
CLG_COLD void clg_wrap(struct commitlog_error *err, const char *fmt, ...) CLG_PRINTF(2, 3);

/* The code for a negative errno, without text. */
int clg_error_from_errno(int rc);

/* "ENOSPC" for 28 (sign ignored); "errno" for one that has no entry. */
const char *clg_errno_name(int os_errno);

/* What was tried in between told *own: the caller's *err learns of it when rc is a failure. */
int clg_error_give(struct commitlog_error *err, int rc, const struct commitlog_error *own);

/* Back to "no error": code 0, position CLG_NO_POSITION, empty message. */
void clg_error_clear(struct commitlog_error *err);

#endif
