/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases.h -- the cases of races_test: two or three threads on one store, each with one or two calls
 * of the public interface, chosen so that each meeting of claim, commit, publish, fold, drain,
 * flush, seal, retention, close, of readers here and in other processes, and of verify, is in one;
 * and of retention with each change of what it carries forward.
 */
#ifndef TESTS_CONCURRENCY_CASES_H
#define TESTS_CONCURRENCY_CASES_H

#include "weave.h"

extern const struct weave_case race_cases[];
uint32_t race_case_count(void);

#endif
