/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.h - what is still to be sent on a connection: copies and borrows, in order.
 *
 * Owns: the copies, and a share of each holding that a borrow lies in.
 * Invariants: 1. `bytes` is the sum of all pieces, `borrowed` that of those whose holding has a
 * lease; 2. bytes that were handed over are sent in order, or never. Threads: one at a time.
 */
#ifndef MINI_BROKER_OUTPUT_H
#define MINI_BROKER_OUTPUT_H

#include "bytes.h"

#include <commitlog.h>

struct holding { /* memory that pieces point into */
    uint32_t refs;
    size_t room; /* of `data`; 0: it is a lease */
    size_t used;
    struct commitlog_lease *lease;
    uint8_t data[];
};

struct piece {
    const uint8_t *data;
    size_t bytes;
    struct holding *holding;
};

struct output {
    struct piece *pieces; /* those from `first` on, `count` of them */
    size_t first;
    size_t count;
    size_t room;
    size_t bytes;
    size_t borrowed;
    bool failed; /* no memory: what is here cannot be sent any more */
};

/* Takes over the lease; NULL: no memory, and the lease is released. */
struct holding *holding_of_lease(struct commitlog_lease *lease);
void holding_release(struct holding *holding);

void output_free(struct output *output);
void output_copy(struct output *output, const void *data, size_t bytes);
/* Takes a share of the holding. */
void output_borrow(struct output *output, const void *data, size_t bytes, struct holding *holding);
/* 1: all is sent, 0: the socket is full, -1: it is broken. */
int output_write(struct output *output, int fd);
/* The first bytes, at most so many, as a copy; how many. Then they may be dropped. */
size_t output_peek(const struct output *output, uint8_t *to, size_t room);
void output_drop(struct output *output, size_t bytes);
/* Copies what is borrowed, and gives the leases back. */
void output_detach(struct output *output);

#endif
