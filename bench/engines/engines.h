/* SPDX-License-Identifier: BSD-2-Clause */
/* engines.h -- one adapter a file. */
#ifndef BENCH_ENGINES_ENGINES_H
#define BENCH_ENGINES_ENGINES_H

#include "support/engine.h"

extern const struct bench_engine bench_engine_commitlog;
extern const struct bench_engine bench_engine_commitlog_mmap;

#endif
