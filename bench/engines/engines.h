/* SPDX-License-Identifier: BSD-2-Clause */
/* engines.h -- one adapter a file. */
#ifndef BENCH_ENGINES_ENGINES_H
#define BENCH_ENGINES_ENGINES_H

#include "support/engine.h"

/* What engines that commit batches have in common: with batches of one record, nothing. */
#define LOST_OPEN "of each thread what is in no commit yet: up to the batch less one record"

extern const struct bench_engine bench_engine_commitlog;
extern const struct bench_engine bench_engine_commitlog_mmap;
extern const struct bench_engine bench_engine_commitlog_batch;
extern const struct bench_engine bench_engine_lmdb;
extern const struct bench_engine bench_engine_lmdb_1;
extern const struct bench_engine bench_engine_rocksdb;
extern const struct bench_engine bench_engine_rocksdb_batch;
extern const struct bench_engine bench_engine_rocksdb_vector;
extern const struct bench_engine bench_engine_leveldb;
extern const struct bench_engine bench_engine_leveldb_batch;
extern const struct bench_engine bench_engine_sqlite;
extern const struct bench_engine bench_engine_wiredtiger;
extern const struct bench_engine bench_engine_wiredtiger_1;
extern const struct bench_engine bench_engine_pmemlog;
extern const struct bench_engine bench_engine_limit_memory;
extern const struct bench_engine bench_engine_limit_pwrite;
extern const struct bench_engine bench_engine_limit_pwrite_recycled;
extern const struct bench_engine bench_engine_limit_fdatasync;

struct commitlog_store;
/* For what the interface of engines does not reach; NULL: the store is another engine's. */
struct commitlog_store *bench_commitlog_store(const struct bench_engine *engine, void *store);
/* A statistic of it by its name (commitlog_stats(3)). */
uint64_t bench_commitlog_stat(struct commitlog_store *store, const char *name);

#endif
