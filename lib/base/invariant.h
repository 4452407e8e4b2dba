/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * invariant.h -- assertions: what a programmer believes, checked in debug builds.
 *
 * Owns: CLG_ASSERT (aborts when CLG_DEBUG is defined, else compiled but never evaluated) and
 *       CLG_STATIC_ASSERT.
 * Invariants: a library does not abort its host, so a release build never evaluates the
 *       expression; it must be free of side effects. Bytes that come from a file or from shared
 *       memory are validated with an error code, never asserted.
 * Threads and locks: none.
 * Happy path: the expression is true.
 * Failure modes: debug build: expression, file and line on stderr, then abort().
 */
#ifndef CLG_BASE_INVARIANT_H
#define CLG_BASE_INVARIANT_H

#include "base/attr.h"

/* Present in every build so that debug and release objects may be mixed in one program. */
CLG_NORETURN CLG_COLD void clg_assert_failed(const char *expression, const char *file, int line);

#if defined(CLG_DEBUG)
#define CLG_ASSERT(x) (CLG_LIKELY(x) ? (void)0 : clg_assert_failed(#x, __FILE__, __LINE__))
#else
/* sizeof keeps the names "used" and the expression compiling without evaluating it. */
#define CLG_ASSERT(x) ((void)sizeof((x) ? 1 : 0))
#endif

#define CLG_STATIC_ASSERT(x, why) _Static_assert(x, why)

#endif
