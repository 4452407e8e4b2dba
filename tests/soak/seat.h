/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seat.h -- a process before the store: its handle, the numbers its topics have there, and look-ups
 * of records that the book says are visible to it.
 *
 * Owns: nothing; the store is opened and closed by whoever sits there.
 * Threads: a seat may be used by any number of threads, each with its own random numbers.
 */
#ifndef TESTS_SOAK_SEAT_H
#define TESTS_SOAK_SEAT_H

#include "item.h"

struct seat {
    struct book *book;
    struct commitlog_store *store;
    _Atomic uint32_t numbers[BOOK_TOPICS]; /* UINT32_MAX: not known yet */
    bool follower;
    bool durable_only; /* it reads with visibility = durable */
};

/* What was true before a read: what it must find, and whose absence the check of afterwards may
 * excuse. */
struct moment {
    uint32_t life;    /* 0: no writer appends */
    uint32_t epoch;   /* of the writer */
    uint64_t visible; /* as that writer had seen it */
    bool shared;      /* others can follow it */
};

void seat_begin(struct seat *seat, struct book *book, struct commitlog_store *store);
/* The library's number of a topic of the book; UINT32_MAX if it is not there. */
uint32_t seat_number(struct seat *seat, uint32_t topic);
/* The other way; BOOK_TOPICS if it is none of ours. */
uint32_t seat_topic(struct seat *seat, uint32_t number);
void seat_positions(struct seat *seat, struct commitlog_positions *out);

struct moment moment_now(const struct seat *seat);
/* Whether all through the read the seat was at the writer of that moment: then it must have seen
 * what was visible. For the writer itself always true. */
bool moment_holds(struct seat *seat, const struct moment *moment);

/* Whether the message is the one that was acknowledged so; ends the program if not. */
void seat_compare(const struct commitlog_message *message, const struct item_head *head,
                  const struct note *note);

/* Looks one acknowledged record up by position, offset, time, key and tag. */
void seat_probe(struct seat *seat, struct rng *rng);

#endif
