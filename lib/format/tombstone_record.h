/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tombstone_record.h -- messages of a topic expire: those stored before a position are given to
 * nobody any more; and how old its messages become before that is said by itself.
 *
 * The body of a record of kind tombstone, 24 bytes. Each says all that there is to say of its
 * topic: the age of the newest one counts, and of the positions the highest. The topic is named by
 * the number of its first queue, which no other topic ever has.
 */
#ifndef CLG_FORMAT_TOMBSTONE_RECORD_H
#define CLG_FORMAT_TOMBSTONE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define CLG_TOMBSTONE_BYTES 24u

struct clg_tombstone {
    uint32_t first_queue;
    uint64_t age_ms; /* 0: its messages do not expire by themselves */
    uint64_t below;  /* position: those stored before it have expired; 0: none */
};

void clg_tombstone_encode(uint8_t body[CLG_TOMBSTONE_BYTES], const struct clg_tombstone *in);
/* 0 or COMMITLOG_EDAMAGED. */
int clg_tombstone_decode(const uint8_t *body, size_t bytes, struct clg_tombstone *out);

#endif
