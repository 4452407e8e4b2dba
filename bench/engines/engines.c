/* SPDX-License-Identifier: BSD-2-Clause */
/* engines.c -- all stores that a benchmark can be run with, in the order of the tables. */
#include "engines/engines.h"

const struct bench_engine *const bench_engines[] = {
    &bench_engine_commitlog,
    &bench_engine_commitlog_mmap,
    &bench_engine_limit_memory,
    &bench_engine_limit_pwrite,
    &bench_engine_limit_pwrite_recycled,
    &bench_engine_limit_fdatasync,
    NULL,
};
