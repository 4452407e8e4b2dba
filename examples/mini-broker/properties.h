/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * properties.h - properties of a message: name 0x01 value 0x02, again and again.
 *
 * Owns: nothing; what is found is a borrow. Invariants: text without a name, or without 0x01, is
 * passed over. Threads: any.
 */
#ifndef MINI_BROKER_PROPERTIES_H
#define MINI_BROKER_PROPERTIES_H

#include "buffer.h"

#include <commitlog.h>

enum { PROPERTIES_MAX_BYTES = 32767, PROPERTIES_HEADERS_MAX = 256 };

/* What the broker itself looks at; empty: not there. */
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
    /* Those that conditions may ask for. */
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
