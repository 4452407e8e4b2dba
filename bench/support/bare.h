/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bare.h -- a file written by nothing but pwrite: what a log is measured against.
 *
 * Failure: bench_die.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>

/* A new file in the directory with its blocks allocated and flushed, as a segment has them. It has
 * no name any more: it goes when it is closed. */
int bare_open(const char *directory, uint64_t bytes);

/* From the beginning of the file, in pieces. */
void bare_write(int fd, uint64_t bytes, size_t piece_bytes);

#endif
