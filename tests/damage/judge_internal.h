/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge_internal.h -- shared by judge.c (rules, and what changes nothing) and judge_write.c (what
 * changes a copy).
 */
#ifndef TESTS_DAMAGE_JUDGE_INTERNAL_H
#define TESTS_DAMAGE_JUDGE_INTERNAL_H

#include "judge.h"

/* The last survey: one at a time is judged, and it is large. */
extern struct survey trial_got;

/* A rule is broken: told and counted. */
void trial_violate(struct trial *trial, enum violation violation, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct commitlog_options *trial_options(const struct trial *trial, struct commitlog_fault *machine,
                                        uint64_t access, uint64_t recovery);
int32_t trial_open(const struct trial *trial, struct commitlog_fault *machine, uint64_t access,
                   uint64_t recovery, struct commitlog_store **out, struct commitlog_error *err);
/* Closes, and nothing of it is left on the machine. */
void trial_close(struct trial *trial, struct commitlog_fault *machine,
                 struct commitlog_store *store, const char *who);

/* A status of the kind that says something of the data. */
bool trial_is_data(int32_t rc);
/* A status with which an open or a verification may refuse this damage. */
bool trial_may_refuse(const struct trial *trial, int32_t rc);
/* The item was acknowledged, and survives this end of the store. */
bool trial_requires(const struct trial *trial, const struct book_item *item);
/* Nothing witnesses that it had been durable: it may be taken for a torn tail. */
bool trial_may_cut(const struct trial *trial, const struct book_item *item);
/* The definition of its topic is lost: the log has it, but no queue; and keys are looked up by the
 * name of the topic that was known where they lie. By what trial_got knows. */
bool trial_is_nameless(const struct trial *trial, const struct book_item *item, uint32_t way);
/* Nothing verifies any more where it lies. */
bool trial_is_unknown(const struct trial *trial, const struct book_item *item);
/* trial_got against what the undamaged store gave. end: where the log ends now, as far as it is
 * served. */
void trial_judge(struct trial *trial, const struct survey *before, uint64_t end, const char *who);

#endif
