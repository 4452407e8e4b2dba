/* SPDX-License-Identifier: BSD-2-Clause */
/* engines.c -- all stores that a benchmark can be run with, in the order of the tables. */
#include "engines/engines.h"

#include <stddef.h>

const struct bench_engine *const bench_engines[] = {
    &bench_engine_commitlog,
    &bench_engine_commitlog_mmap,
    &bench_engine_commitlog_batch,
    &bench_engine_lmdb,
    &bench_engine_lmdb_1,
    &bench_engine_rocksdb,
    &bench_engine_rocksdb_batch,
    &bench_engine_rocksdb_vector,
    &bench_engine_leveldb,
    &bench_engine_leveldb_batch,
    &bench_engine_sqlite,
    &bench_engine_wiredtiger,
    &bench_engine_wiredtiger_1,
    &bench_engine_pmemlog,
    &bench_engine_limit_memory,
    &bench_engine_limit_pwrite,
    &bench_engine_limit_pwrite_recycled,
    &bench_engine_limit_fdatasync,
    NULL,
};
