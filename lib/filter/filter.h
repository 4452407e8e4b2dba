/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter.h -- a condition over the headers of a message, compiled once and run on stored attributes
 *
 * Owns: struct commitlog_filter, one block of memory with terms, names and constants in it.
 * Invariants: 1. constant after it is made, but for the references; 2. a run reads only the
 *       attributes and the filter, writes only its own stack, and ends: each header of the message
 *       is looked at once, each term at most once; 3. what is untrusted (the attributes) is
 *       validated as it is passed, whether a term asks for it or not: the verdict on a damaged area
 *       does not depend on the filter.
 * Threads and locks: none; any number of threads may run it. References are atomic: who compiled it
 *       has one, each cursor has one, the last one frees it.
 * Happy path: compile, ref by each cursor, test for each message, unref.
 * Failure modes: compile: COMMITLOG_EINVAL, _ETOOBIG, _ENOMEM; test: COMMITLOG_EDAMAGED.
 */
#ifndef CLG_FILTER_FILTER_H
#define CLG_FILTER_FILTER_H

#include <stdatomic.h>

#include "commitlog.h"
#include "filter/program.h"

struct commitlog_filter {
    const struct commitlog_os *os;
    _Atomic uint32_t refs;
    uint16_t term_count;
    uint16_t name_count;
    uint16_t tag_slot;   /* NO_SLOT: the tag is not asked for */
    uint64_t name_marks; /* a bit for each name, by clg_filter_mark */
    const struct clg_filter_name *names;
    struct clg_filter_term terms[];
};

/* A bit that equal names share: most headers that no term asks for show a bit of their own. */
static inline uint64_t clg_filter_mark(const uint8_t *name, size_t bytes)
{
    return UINT64_C(1) << ((bytes * 7 + name[0] + (size_t)name[bytes - 1] * 3) & 63);
}

CLG_MUST_CHECK int clg_filter_compile(const struct commitlog_os *os, const void *text,
                                      size_t text_bytes, struct commitlog_filter **out,
                                      struct commitlog_error *err);
void clg_filter_ref(struct commitlog_filter *filter);
/* NULL is fine. */
void clg_filter_unref(struct commitlog_filter *filter);
/* 1, 0 or COMMITLOG_EDAMAGED. */
CLG_MUST_CHECK int clg_filter_match(const struct commitlog_filter *filter, const uint8_t *area,
                                    size_t bytes);

#endif
