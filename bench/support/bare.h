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

enum { BARE_PIECE_MAX = 1024 * 1024 };

/* A new file in the directory with its blocks allocated and flushed, as a segment has them. It has
 * no name any more: it goes when it is closed. */
int bare_open(const char *directory, uint64_t bytes);

/* So many bytes from the beginning of the file, in pieces of at most BARE_PIECE_MAX. What they are
 * was made by bare_open: nothing else is within the caller's clock. */
void bare_write(int fd, uint64_t bytes, size_t piece_bytes);

/* One pwrite, or as many as it takes. */
void bare_put(int fd, const uint8_t *from, size_t bytes, uint64_t at);

#endif
