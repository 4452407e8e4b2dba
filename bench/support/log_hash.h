/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_hash.h -- the limit of verified reading: plain XXH3 over the segment files of libcommitlog,
 * mapped, and nothing else done.
 */
#ifndef BENCH_SUPPORT_LOG_HASH_H
#define BENCH_SUPPORT_LOG_HASH_H

#include <stdbool.h>
#include <stdint.h>

struct log_hash;

/* Maps DIR/log/?*.log. NULL: there is none, so it is another engine's directory. */
struct log_hash *log_hash_open(const char *directory);
/* Hashes each record by itself, or, `whole`, those of a segment as one input. The messages among
 * them; 0 with `whole`. Other records are a few of each segment. */
uint64_t log_hash_run(struct log_hash *log, bool whole);
void log_hash_close(struct log_hash *log);

#endif
