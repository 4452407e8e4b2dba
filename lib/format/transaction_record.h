/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_record.h -- a message of a transaction, and what becomes of the transaction.
 *
 * A record of kind transaction with the attribute CLG_ATTRIBUTE_TRANSACTION (critical, the first
 * one) is the message itself, with its other attributes and its body; it lies in no queue until the
 * commit refers to it. The first message of a transaction begins it: it says whose it is, and its
 * position is the number of the transaction. A message keeps as its id the position where it was
 * first stored, wherever carry-forward stores it again.
 *
 * Without that attribute the record is a mark. A commit needs none: the references that deliver the
 * messages say the number of the transaction, and are one batch. Only one without messages is ended
 * by a mark.
 *
 * Every record says what is true from it on, as those of groups do.
 */
#ifndef CLG_FORMAT_TRANSACTION_RECORD_H
#define CLG_FORMAT_TRANSACTION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/group_record.h"
#include "format/limits.h"

#define CLG_TRANSACTION_HALF_BYTES_MAX (13u + CLG_GROUP_NAME_MAX) /* of an attribute's value */

/* What a message says of its transaction. */
struct clg_transaction_half {
    uint64_t transaction;  /* 0: the first message, whose own position it is */
    uint64_t message;      /* its id; 0: its own position. Not 0: stored again, or delivered */
    int64_t expire_at_ms;  /* of the first, prepared: when it is rolled back; 0: after a day */
    const uint8_t *group;  /* of the first: the producer group; into the value when decoded */
    uint32_t group_bytes;  /* of the first: 1 to CLG_GROUP_NAME_MAX */
    uint32_t queue_number; /* where to */
    bool prepared;         /* of the first, which is the only one then */
};

size_t clg_transaction_half_bytes(const struct clg_transaction_half *in);
/* `value` has that many bytes. */
void clg_transaction_half_encode(uint8_t *value, const struct clg_transaction_half *in);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: a form of a newer version. */
int clg_transaction_half_decode(const uint8_t *value, size_t bytes,
                                struct clg_transaction_half *out);

/* The first attribute of an area, if it says of what transaction: 1, 0, or COMMITLOG_EDAMAGED.
 * *out_taken (may be NULL): bytes of it there. */
int clg_transaction_half_first(const uint8_t *area, size_t bytes, struct clg_transaction_half *out,
                               size_t *out_taken);

enum clg_transaction_operation {
    CLG_TRANSACTION_PREPARE = 1,  /* it outlives its process, until expire_at_ms */
    CLG_TRANSACTION_ROLLBACK = 2, /* nothing of it is left */
    CLG_TRANSACTION_COMMIT = 3,   /* the same, of one without messages: the rest is in the batch */
    CLG_TRANSACTION_STATE = 4,    /* all that is known of it but messages and offsets */
    CLG_TRANSACTION_OFFSETS = 5   /* its commit commits these offsets of a consumer group */
};

enum clg_transaction_reason { /* of a rollback */
                              CLG_TRANSACTION_ASKED = 0,
                              CLG_TRANSACTION_EXPIRED = 1, /* its time was over */
                              CLG_TRANSACTION_ORPHANED =
                                  2, /* not prepared, and its process is gone */
                              CLG_TRANSACTION_UNREADABLE =
                                  3 /* a message of it cannot be kept: it does not read */
};

struct clg_transaction_mark {
    uint64_t transaction; /* its number; of a state that begins one 0: the mark's own position */
    uint32_t operation;
    uint32_t reason;      /* of a rollback */
    bool prepared;        /* of a state */
    int64_t begin_ms;     /* of a state: store time when it began */
    int64_t expire_at_ms; /* these three of prepare and, when prepared, of a state; else 0 */
    uint32_t messages;    /* so many it has: fewer are left where salvage made holes of some */
    uint32_t groups;      /* of so many consumer groups it has offsets */
    const uint8_t *group; /* of a state; into the body when decoded */
    uint32_t group_bytes; /* 0: who began it is not known */
    struct clg_group_change offsets; /* of offsets; epoch: the member's, 0 for none */
};

#define CLG_TRANSACTION_MARK_BYTES 16u /* of rollback, commit; before a group's change */
#define CLG_TRANSACTION_PREPARE_BYTES 32u
#define CLG_TRANSACTION_STATE_BYTES 48u /* and the name */

size_t clg_transaction_mark_bytes(const struct clg_transaction_mark *in);
/* `body` has that many bytes; `entries` are those of in->offsets. 0 or COMMITLOG_EINVAL. */
int clg_transaction_mark_encode(uint8_t *body, const struct clg_transaction_mark *in,
                                const struct clg_group_entry *entries);
/* Its offsets, which `decoded` was made of, commit nothing any more. */
void clg_transaction_mark_void(uint8_t *body, const struct clg_transaction_mark *decoded);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: an operation of a newer version. */
int clg_transaction_mark_decode(const uint8_t *body, size_t bytes,
                                struct clg_transaction_mark *out);

#endif
