/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * properties.h - properties of a message: name 0x01 value 0x02, again and again.
 *
 * Owns: nothing; what is found is a borrow. Invariants: 1. text without a name, or without 0x01, is
 * passed over; 2. all headers of PROPERTIES_MAX_BYTES have room. Threads: any.
 */
#ifndef MINI_BROKER_PROPERTIES_H
#define MINI_BROKER_PROPERTIES_H

#include "buffer.h"

#include <commitlog.h>

enum {
    PROPERTIES_MAX_BYTES = 32767,
    PROPERTIES_HEADERS_MAX = PROPERTIES_MAX_BYTES / 3 + 1 /* none is shorter than a name and 1, 2 */
};

/* What the broker itself looks at; empty: not there. It is large, so that no message needs memory
 * of its own: who handles many has a static one, of which only what is used is touched. */
struct properties {
    struct text keys;
    struct text tag;
    struct text unique;
    struct text wait;
    struct text delay_level;
    struct text delay_s;
    struct text delay_ms;
    struct text deliver_ms;
    struct text prepared; /* TRAN_MSG */
    struct text reply_to; /* REPLY_TO_CLIENT: it is a request */
    struct text pop;      /* POP_CK, which clients must not send */
    /* Those that conditions may ask for: all but the id and WAIT, which every message has. */
    uint32_t header_count;
    struct commitlog_header headers[PROPERTIES_HEADERS_MAX];
};

/* The next one of `rest`, which is moved on. */
bool properties_next(struct text *rest, struct text *name, struct text *value);
void properties_scan(struct text properties, struct properties *out);
struct text properties_find(struct text properties, const char *name);
/* Appends all but those with one of the names; names ends with NULL. */
void properties_copy_without(struct buffer *out, struct text properties, const char *const *names);
void properties_put(struct buffer *out, const char *name, struct text value);

#endif
