/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h -- places at which bpftrace, perf and SystemTap can be told what happens: USDT probes.
 *
 * Owns: CLG_PROBE0 ... CLG_PROBE4(name, values): a `nop`, and a note in the ELF file that says
 * where it is and where the values are. The provider is `commitlog`; commitlog(7) lists the names,
 *       examples/probes/ has scripts.
 * Invariants: 1. a value costs nothing if it is there anyway: none is computed for a probe alone;
 *       2. without <sys/sdt.h> (package systemtap-sdt-dev), or with -DCLG_NO_PROBES, nothing of
 *       them is compiled, and values are checked all the same.
 * Threads and locks: none.
 * Happy path: nobody looks: one byte that does nothing.
 * Failure modes: none; who traces pays for a trap at each pass.
 */
#ifndef CLG_BASE_PROBE_H
#define CLG_BASE_PROBE_H

#if defined(__has_include) && !defined(CLG_NO_PROBES)
#if __has_include(<sys/sdt.h>)
#define CLG_HAVE_PROBES 1
#endif
#endif

#if defined(CLG_HAVE_PROBES)
#include <sys/sdt.h>
#if defined(__clang__) /* its macros leave out arguments that C11 wants */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define CLG_PROBE1(name, a) DTRACE_PROBE1(commitlog, name, a)
#define CLG_PROBE2(name, a, b) DTRACE_PROBE2(commitlog, name, a, b)
#define CLG_PROBE3(name, a, b, c) DTRACE_PROBE3(commitlog, name, a, b, c)
#define CLG_PROBE4(name, a, b, c, d) DTRACE_PROBE4(commitlog, name, a, b, c, d)
#else
#define CLG_PROBE1(name, a) ((void)sizeof(a))
#define CLG_PROBE2(name, a, b) ((void)sizeof(a), (void)sizeof(b))
#define CLG_PROBE3(name, a, b, c) ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c))
#define CLG_PROBE4(name, a, b, c, d)                                                               \
    ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c), (void)sizeof(d))
#endif

#endif
