/* SPDX-License-Identifier: BSD-2-Clause */
/* transaction_record.c -- see transaction_record.h */
#include "format/transaction_record.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/attributes.h"
#include "format/format.h"
#include "format/topic_record.h"

#define HALF_AT_QUEUE 0u
#define HALF_AT_FLAGS 4u
#define HALF_AT_TRANSACTION 5u /* of one that is not the first */
#define HALF_AT_MESSAGE 13u
#define HALF_AT_EXPIRE 5u /* of the first: 8 bytes, if the flag says so; then the group */
#define HALF_FIRST 1u
#define HALF_PREPARED 2u
#define HALF_EXPIRES 4u
#define HALF_AGAIN 8u
#define HALF_MEMBER_BYTES 13u
#define HALF_AGAIN_BYTES 21u

#define MARK_AT_OPERATION 0u
#define MARK_AT_FLAGS 4u /* of a state: 1 prepared; of a rollback: its reason */
#define MARK_AT_TRANSACTION 8u
#define MARK_AT_PREPARE_EXPIRE 16u
#define MARK_AT_PREPARE_MESSAGES 24u
#define MARK_AT_PREPARE_GROUPS 28u
#define MARK_AT_BEGIN 16u
#define MARK_AT_EXPIRE 24u
#define MARK_AT_NAME_BYTES 32u
#define MARK_AT_MESSAGES 36u
#define MARK_AT_GROUPS 40u
#define MARK_AT_ZERO 44u
#define MARK_AT_NAME 48u
#define MARK_AT_OFFSETS 16u
#define MARK_PREPARED 1u

CLG_FORMAT_ASSERT(HALF_AT_QUEUE == 0u && HALF_AT_FLAGS == 4u && HALF_AT_TRANSACTION == 5u);
CLG_FORMAT_ASSERT(HALF_AT_MESSAGE == 13u && HALF_AT_EXPIRE == 5u);
CLG_FORMAT_ASSERT(HALF_FIRST == 1u && HALF_PREPARED == 2u && HALF_EXPIRES == 4u);
CLG_FORMAT_ASSERT(HALF_AGAIN == 8u);
CLG_FORMAT_ASSERT(HALF_MEMBER_BYTES == HALF_AT_TRANSACTION + 8u);
CLG_FORMAT_ASSERT(HALF_AGAIN_BYTES == HALF_AT_MESSAGE + 8u);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_HALF_BYTES_MAX == HALF_AT_EXPIRE + 8u + CLG_GROUP_NAME_MAX);
CLG_FORMAT_ASSERT(MARK_AT_OPERATION == 0u && MARK_AT_FLAGS == 4u && MARK_AT_TRANSACTION == 8u);
CLG_FORMAT_ASSERT(MARK_AT_PREPARE_EXPIRE == 16u && MARK_AT_BEGIN == 16u && MARK_AT_EXPIRE == 24u);
CLG_FORMAT_ASSERT(MARK_AT_PREPARE_MESSAGES == 24u && MARK_AT_PREPARE_GROUPS == 28u);
CLG_FORMAT_ASSERT(MARK_AT_NAME_BYTES == 32u && MARK_AT_MESSAGES == 36u && MARK_AT_GROUPS == 40u);
CLG_FORMAT_ASSERT(MARK_AT_ZERO == 44u && MARK_AT_NAME == MARK_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(MARK_AT_OFFSETS == CLG_TRANSACTION_MARK_BYTES && MARK_PREPARED == 1u);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_PREPARE_BYTES == MARK_AT_PREPARE_GROUPS + 4u);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_STATE_BYTES == MARK_AT_NAME);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_PREPARE == 1 && CLG_TRANSACTION_ROLLBACK == 2);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_COMMIT == 3 && CLG_TRANSACTION_STATE == 4);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_OFFSETS == 5);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_ASKED == 0 && CLG_TRANSACTION_EXPIRED == 1);
CLG_FORMAT_ASSERT(CLG_TRANSACTION_ORPHANED == 2 && CLG_TRANSACTION_UNREADABLE == 3);

/* A position of a record, not 0. */
static bool transaction_is_position(uint64_t position)
{
    return position != 0 && position <= CLG_POSITION_MAX && position % CLG_RECORD_ALIGN == 0;
}

static bool transaction_is_time(uint64_t ms)
{
    return ms <= (uint64_t)CLG_DELIVER_AT_MAX_MS;
}

/* ---- what a message says ---- */

size_t clg_transaction_half_bytes(const struct clg_transaction_half *in)
{
    if (in->transaction != 0) {
        return in->message != 0 ? HALF_AGAIN_BYTES : HALF_MEMBER_BYTES;
    }
    return HALF_AT_EXPIRE + (in->expire_at_ms != 0 ? 8u : 0) + in->group_bytes;
}

void clg_transaction_half_encode(uint8_t *value, const struct clg_transaction_half *in)
{
    uint8_t flags = 0;
    CLG_ASSERT(in->queue_number != CLG_QUEUE_NONE);
    clg_store_le32(value + HALF_AT_QUEUE, in->queue_number);
    if (in->transaction != 0) {
        CLG_ASSERT(transaction_is_position(in->transaction));
        flags = in->message != 0 ? HALF_AGAIN : 0;
        clg_store_le64(value + HALF_AT_TRANSACTION, in->transaction);
        if (in->message != 0) {
            CLG_ASSERT(in->message >= in->transaction && transaction_is_position(in->message));
            clg_store_le64(value + HALF_AT_MESSAGE, in->message);
        }
    } else {
        CLG_ASSERT(in->group_bytes >= 1 && in->group_bytes <= CLG_GROUP_NAME_MAX);
        CLG_ASSERT(in->expire_at_ms == 0 || in->prepared);
        uint8_t *at = value + HALF_AT_EXPIRE;
        flags = (uint8_t)(HALF_FIRST | (in->prepared ? HALF_PREPARED : 0));
        if (in->expire_at_ms != 0) {
            flags |= HALF_EXPIRES;
            clg_store_le64(at, (uint64_t)in->expire_at_ms);
            at += 8;
        }
        memcpy(at, in->group, in->group_bytes);
    }
    value[HALF_AT_FLAGS] = flags;
}

static int half_decode_first(const uint8_t *value, size_t bytes, uint8_t flags,
                             struct clg_transaction_half *out)
{
    size_t at = HALF_AT_EXPIRE;
    if ((flags & HALF_EXPIRES) != 0) {
        if ((flags & HALF_PREPARED) == 0 || bytes < at + 8) {
            return COMMITLOG_EDAMAGED;
        }
        uint64_t expire = clg_load_le64(value + at);
        if (expire == 0 || !transaction_is_time(expire)) {
            return COMMITLOG_EDAMAGED;
        }
        out->expire_at_ms = (int64_t)expire;
        at += 8;
    }
    out->prepared = (flags & HALF_PREPARED) != 0;
    out->group = value + at;
    out->group_bytes = (uint32_t)(bytes - at);
    return clg_topic_name_check(out->group, out->group_bytes) == COMMITLOG_OK ? COMMITLOG_OK
                                                                              : COMMITLOG_EDAMAGED;
}

static int half_decode_member(const uint8_t *value, size_t bytes, uint8_t flags,
                              struct clg_transaction_half *out)
{
    if (bytes != (flags == HALF_AGAIN ? HALF_AGAIN_BYTES : HALF_MEMBER_BYTES)) {
        return COMMITLOG_EDAMAGED;
    }
    out->transaction = clg_load_le64(value + HALF_AT_TRANSACTION);
    out->message = flags == HALF_AGAIN ? clg_load_le64(value + HALF_AT_MESSAGE) : 0;
    bool good = transaction_is_position(out->transaction) &&
                (flags != HALF_AGAIN ||
                 (transaction_is_position(out->message) && out->message >= out->transaction));
    return good ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

int clg_transaction_half_decode(const uint8_t *value, size_t bytes,
                                struct clg_transaction_half *out)
{
    struct clg_transaction_half in = {0};
    CLG_ASSERT(out != NULL);
    if (bytes < HALF_AT_TRANSACTION) {
        return COMMITLOG_EDAMAGED;
    }
    uint8_t flags = value[HALF_AT_FLAGS];
    if ((flags & ~(HALF_FIRST | HALF_PREPARED | HALF_EXPIRES | HALF_AGAIN)) != 0) {
        return COMMITLOG_EUNSUPPORTED;
    }
    in.queue_number = clg_load_le32(value + HALF_AT_QUEUE);
    int rc = COMMITLOG_EDAMAGED;
    if (in.queue_number != CLG_QUEUE_NONE && (flags & HALF_FIRST) != 0 &&
        (flags & HALF_AGAIN) == 0) {
        rc = half_decode_first(value, bytes, flags, &in);
    } else if (in.queue_number != CLG_QUEUE_NONE && (flags & ~HALF_AGAIN) == 0) {
        rc = half_decode_member(value, bytes, flags, &in);
    }
    if (rc == COMMITLOG_OK) {
        *out = in;
    }
    return rc;
}

int clg_transaction_half_first(const uint8_t *area, size_t bytes, struct clg_transaction_half *out,
                               size_t *out_taken)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute first;
    if (bytes == 0 || (area[0] & ~CLG_ATTRIBUTE_CRITICAL) != CLG_ATTRIBUTE_TRANSACTION) {
        return 0;
    }
    clg_attribute_iterator_init(&iterator, area, bytes);
    if (clg_attribute_next(&iterator, &first) != 1 ||
        clg_transaction_half_decode(first.value, first.bytes, out) != COMMITLOG_OK) {
        return COMMITLOG_EDAMAGED;
    }
    if (out_taken != NULL) {
        *out_taken = CLG_ATTRIBUTE_HEADER_BYTES + (size_t)first.bytes;
    }
    return 1;
}

/* ---- marks ---- */

size_t clg_transaction_mark_bytes(const struct clg_transaction_mark *in)
{
    switch (in->operation) {
    case CLG_TRANSACTION_PREPARE:
        return CLG_TRANSACTION_PREPARE_BYTES;
    case CLG_TRANSACTION_STATE:
        return CLG_TRANSACTION_STATE_BYTES + (size_t)in->group_bytes;
    case CLG_TRANSACTION_OFFSETS:
        return CLG_TRANSACTION_MARK_BYTES +
               (size_t)clg_group_change_bytes(in->offsets.name_bytes, in->offsets.count);
    default:
        return CLG_TRANSACTION_MARK_BYTES;
    }
}

int clg_transaction_mark_encode(uint8_t *body, const struct clg_transaction_mark *in,
                                const struct clg_group_entry *entries)
{
    CLG_ASSERT(in->operation >= CLG_TRANSACTION_PREPARE &&
               in->operation <= CLG_TRANSACTION_OFFSETS);
    CLG_ASSERT(in->transaction != 0 || in->operation == CLG_TRANSACTION_STATE);
    uint32_t flags = in->operation == CLG_TRANSACTION_STATE ? (in->prepared ? MARK_PREPARED : 0)
                     : in->operation == CLG_TRANSACTION_ROLLBACK ? in->reason
                                                                 : 0;
    clg_store_le32(body + MARK_AT_OPERATION, in->operation);
    clg_store_le32(body + MARK_AT_FLAGS, flags);
    clg_store_le64(body + MARK_AT_TRANSACTION, in->transaction);
    if (in->operation == CLG_TRANSACTION_PREPARE) {
        clg_store_le64(body + MARK_AT_PREPARE_EXPIRE, (uint64_t)in->expire_at_ms);
        clg_store_le32(body + MARK_AT_PREPARE_MESSAGES, in->messages);
        clg_store_le32(body + MARK_AT_PREPARE_GROUPS, in->groups);
    } else if (in->operation == CLG_TRANSACTION_STATE) {
        CLG_ASSERT(in->group_bytes <= CLG_GROUP_NAME_MAX);
        clg_store_le64(body + MARK_AT_BEGIN, (uint64_t)in->begin_ms);
        clg_store_le64(body + MARK_AT_EXPIRE, (uint64_t)in->expire_at_ms);
        CLG_ASSERT(in->prepared || (in->expire_at_ms == 0 && in->messages == 0 && in->groups == 0));
        clg_store_le32(body + MARK_AT_NAME_BYTES, in->group_bytes);
        clg_store_le32(body + MARK_AT_MESSAGES, in->messages);
        clg_store_le32(body + MARK_AT_GROUPS, in->groups);
        clg_store_le32(body + MARK_AT_ZERO, 0);
        memcpy(body + MARK_AT_NAME, in->group, in->group_bytes);
    } else if (in->operation == CLG_TRANSACTION_OFFSETS) {
        return clg_group_change_encode(
            body + MARK_AT_OFFSETS,
            (size_t)clg_group_change_bytes(in->offsets.name_bytes, in->offsets.count), &in->offsets,
            entries);
    }
    return COMMITLOG_OK;
}

static int mark_decode_state(const uint8_t *body, size_t bytes, uint32_t flags,
                             struct clg_transaction_mark *out)
{
    if ((flags & ~MARK_PREPARED) != 0) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (bytes < CLG_TRANSACTION_STATE_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t begin = clg_load_le64(body + MARK_AT_BEGIN);
    uint64_t expire = clg_load_le64(body + MARK_AT_EXPIRE);
    uint32_t name_bytes = clg_load_le32(body + MARK_AT_NAME_BYTES);
    out->prepared = (flags & MARK_PREPARED) != 0;
    out->messages = clg_load_le32(body + MARK_AT_MESSAGES);
    out->groups = clg_load_le32(body + MARK_AT_GROUPS);
    if (!transaction_is_time(begin) || !transaction_is_time(expire) ||
        name_bytes != bytes - CLG_TRANSACTION_STATE_BYTES || !clg_is_zero(body + MARK_AT_ZERO, 4) ||
        (!out->prepared && (expire != 0 || out->messages != 0 || out->groups != 0)) ||
        (name_bytes > 0 && clg_topic_name_check(body + MARK_AT_NAME, name_bytes) != COMMITLOG_OK)) {
        return COMMITLOG_EDAMAGED;
    }
    out->begin_ms = (int64_t)begin;
    out->expire_at_ms = (int64_t)expire;
    out->group = body + MARK_AT_NAME;
    out->group_bytes = name_bytes;
    return COMMITLOG_OK;
}

static int mark_decode_prepare(const uint8_t *body, size_t bytes, struct clg_transaction_mark *out)
{
    if (bytes != CLG_TRANSACTION_PREPARE_BYTES ||
        !transaction_is_time(clg_load_le64(body + MARK_AT_PREPARE_EXPIRE))) {
        return COMMITLOG_EDAMAGED;
    }
    out->expire_at_ms = (int64_t)clg_load_le64(body + MARK_AT_PREPARE_EXPIRE);
    out->messages = clg_load_le32(body + MARK_AT_PREPARE_MESSAGES);
    out->groups = clg_load_le32(body + MARK_AT_PREPARE_GROUPS);
    return COMMITLOG_OK;
}

static int mark_decode_offsets(const uint8_t *body, size_t bytes, struct clg_transaction_mark *out)
{
    int rc =
        clg_group_change_decode(body + MARK_AT_OFFSETS, bytes - MARK_AT_OFFSETS, &out->offsets);
    return rc == COMMITLOG_OK && out->offsets.operation != CLG_GROUP_OFFSETS ? COMMITLOG_EDAMAGED
                                                                             : rc;
}

void clg_transaction_mark_void(uint8_t *body, const struct clg_transaction_mark *decoded)
{
    CLG_ASSERT(decoded->operation == CLG_TRANSACTION_OFFSETS);
    clg_group_change_void(body + MARK_AT_OFFSETS, &decoded->offsets);
}

int clg_transaction_mark_decode(const uint8_t *body, size_t bytes, struct clg_transaction_mark *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes < CLG_TRANSACTION_MARK_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint32_t flags = clg_load_le32(body + MARK_AT_FLAGS);
    struct clg_transaction_mark in = {.operation = clg_load_le32(body + MARK_AT_OPERATION),
                                      .transaction = clg_load_le64(body + MARK_AT_TRANSACTION)};
    if (in.operation < CLG_TRANSACTION_PREPARE || in.operation > CLG_TRANSACTION_OFFSETS) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (!transaction_is_position(in.transaction) &&
        (in.transaction != 0 || in.operation != CLG_TRANSACTION_STATE)) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = COMMITLOG_OK;
    if (in.operation == CLG_TRANSACTION_STATE) {
        rc = mark_decode_state(body, bytes, flags, &in);
    } else if (in.operation == CLG_TRANSACTION_ROLLBACK) {
        in.reason = flags;
        rc = bytes != CLG_TRANSACTION_MARK_BYTES  ? COMMITLOG_EDAMAGED
             : flags > CLG_TRANSACTION_UNREADABLE ? COMMITLOG_EUNSUPPORTED
                                                  : COMMITLOG_OK;
    } else if (flags != 0) {
        rc = COMMITLOG_EUNSUPPORTED;
    } else if (in.operation == CLG_TRANSACTION_PREPARE) {
        rc = mark_decode_prepare(body, bytes, &in);
    } else if (in.operation == CLG_TRANSACTION_OFFSETS) {
        rc = mark_decode_offsets(body, bytes, &in);
    } else if (bytes != CLG_TRANSACTION_MARK_BYTES) {
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc == COMMITLOG_OK) {
        *out = in;
    }
    return rc;
}
