/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attr.h -- compiler attributes and the two CPU hints that have no C spelling.
 *
 * Owns: nothing; only names for what gcc and clang both understand.
 * Invariants: a macro here never changes what a correct program does, so any of them may be empty.
 * Threads and locks: none.
 * Happy path: include it, mark a function.
 * Failure modes: a compiler without the attribute gets an empty macro and loses only a diagnosis.
 */
#ifndef CLG_BASE_ATTR_H
#define CLG_BASE_ATTR_H

#if !defined(__GNUC__) && !defined(__clang__)
#error "libcommitlog needs gcc or clang"
#endif

/* The result reports a failure: ignoring it is a bug the compiler must name. */
#define CLG_MUST_CHECK __attribute__((warn_unused_result))
/* Out of the hot path: placed away from it, and its callers' branches predicted away from it. */
#define CLG_COLD __attribute__((cold))
/* Never merged into the caller, e.g. because the file was compiled for other instructions. */
#define CLG_NOINLINE __attribute__((noinline))
#define CLG_NORETURN __attribute__((noreturn))
#define CLG_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define CLG_UNUSED __attribute__((unused))
#define CLG_LIKELY(x) __builtin_expect(!!(x), 1)
#define CLG_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A field that other cores hammer gets a line, and its neighbour's prefetched line, of its own. */
#define CLG_CACHE_LINE 64
#define CLG_ALIGN_LINE _Alignas(CLG_CACHE_LINE)

/* Tell the core that this is a spin loop: frees the sibling thread, saves the exit mispredict. */
static inline void clg_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
