/*
 * transaction_out.c -- records of transactions: see transaction_out.h.
 */
#include "transaction_out.h"

#include <assert.h>
#include <inttypes.h>

#include "control_out.h"
#include "reference_body.h"
#include "text.h"
#include "when.h"

/* What commitlog-format(5) says. */
enum {
    ATTRIBUTE_TYPE = 0x7f,
    ATTRIBUTE_TRANSACTION = 9,
    ATTRIBUTE_HEADER = 3, /* type, u16 length */
    HALF_AT_FLAGS = 4,
    HALF_AT_TRANSACTION = 5,
    HALF_AT_MESSAGE = 13,
    HALF_AT_EXPIRE = 5,
    HALF_BYTES = 13,
    HALF_AGAIN_BYTES = 21,
    HALF_FIRST = 1,
    HALF_PREPARED = 2,
    HALF_EXPIRES = 4,
    HALF_AGAIN = 8,
    MARK_AT_OPERATION = 0,
    MARK_AT_FLAGS = 4,
    MARK_AT_TRANSACTION = 8,
    MARK_BYTES = 16,
    MARK_AT_PREPARE_EXPIRE = 16,
    MARK_AT_PREPARE_MESSAGES = 24,
    MARK_AT_PREPARE_GROUPS = 28,
    MARK_PREPARE_BYTES = 32,
    MARK_AT_BEGIN = 16,
    MARK_AT_EXPIRE = 24,
    MARK_AT_NAME_BYTES = 32,
    MARK_AT_MESSAGES = 36,
    MARK_AT_GROUPS = 40,
    MARK_STATE_BYTES = 48,
    MARK_PREPARE = 1,
    MARK_ROLLBACK = 2,
    MARK_COMMIT = 3,
    MARK_STATE = 4,
    MARK_OFFSETS = 5,
    MARK_REASONS = 4,
    NAME_MAX_BYTES = 255,
    TRANSACTION_MS_NS = 1000000
};

struct transaction_said {
    uint64_t number;
    uint64_t stored_at; /* of a message that was stored again: where it lay first; else 0 */
    uint32_t operation; /* MARK_..., 0: it is a message */
    uint32_t reason;    /* of a rollback */
    bool begins;        /* it says whose the transaction is */
    bool prepared;      /* and then, that it is prepared */
    bool counts;        /* it says how much the prepared one has: */
    uint32_t messages;
    uint32_t groups;               /* of which it has offsets */
    int64_t begin_ms;              /* of a state */
    int64_t expires_at_ms;         /* 0: not said */
    struct commitlog_slice name;   /* of the producer group, empty: not known */
    struct commitlog_slice change; /* of offsets: as the body of a group record */
};

static bool transaction_name(struct transaction_said *out, const unsigned char *name, size_t bytes)
{
    out->name = (struct commitlog_slice){name, bytes};
    return bytes <= NAME_MAX_BYTES && text_is_utf8(out->name);
}

/* ---- a message of one ------------------------------------------------------------------------ */

static bool transaction_decode_first(const unsigned char *value, size_t bytes, uint32_t flags,
                                     struct transaction_said *out)
{
    size_t at = HALF_AT_EXPIRE;
    if ((flags & HALF_EXPIRES) != 0) {
        if (bytes < at + 8) {
            return false;
        }
        out->expires_at_ms = (int64_t)control_number(value + at, 8);
        at += 8;
    }
    out->begins = true;
    out->prepared = (flags & HALF_PREPARED) != 0;
    return bytes > at && transaction_name(out, value + at, bytes - at);
}

/* Its first attribute says so, also of what was delivered whole. */
static bool transaction_is_half(const struct commitlog_message *message)
{
    const unsigned char *bytes = message->attributes.data;
    return message->attributes.bytes >= ATTRIBUTE_HEADER &&
           (bytes[0] & ATTRIBUTE_TYPE) == ATTRIBUTE_TRANSACTION;
}

static bool transaction_decode_half(const struct commitlog_message *message,
                                    struct transaction_said *out)
{
    assert(transaction_is_half(message));
    const struct commitlog_slice area = message->attributes;
    const unsigned char *bytes = area.data;
    const size_t length = (size_t)control_number(bytes + 1, 2);
    const unsigned char *value = bytes + ATTRIBUTE_HEADER;
    if (length < HALF_AT_TRANSACTION || length > area.bytes - ATTRIBUTE_HEADER) {
        return false;
    }
    const uint32_t flags = value[HALF_AT_FLAGS];
    *out = (struct transaction_said){.number = message->position};
    if ((flags & HALF_FIRST) != 0) {
        return (flags & ~(uint32_t)(HALF_FIRST | HALF_PREPARED | HALF_EXPIRES)) == 0 &&
               transaction_decode_first(value, length, flags, out);
    }
    if ((flags & ~(uint32_t)HALF_AGAIN) != 0 ||
        length != (flags == HALF_AGAIN ? HALF_AGAIN_BYTES : HALF_BYTES)) {
        return false;
    }
    out->number = control_number(value + HALF_AT_TRANSACTION, 8);
    out->stored_at = flags == HALF_AGAIN ? control_number(value + HALF_AT_MESSAGE, 8) : 0;
    return true;
}

/* ---- a mark ---------------------------------------------------------------------------------- */

static bool transaction_decode_state(const struct commitlog_message *message, uint32_t flags,
                                     struct transaction_said *out)
{
    const unsigned char *body = message->body.data;
    const size_t bytes = message->body.bytes;
    if (bytes < MARK_STATE_BYTES || flags > 1 ||
        control_number(body + MARK_AT_NAME_BYTES, 4) != bytes - MARK_STATE_BYTES) {
        return false;
    }
    out->begins = true;
    out->prepared = flags == 1;
    out->begin_ms = (int64_t)control_number(body + MARK_AT_BEGIN, 8);
    out->expires_at_ms = (int64_t)control_number(body + MARK_AT_EXPIRE, 8);
    out->counts = out->prepared;
    out->messages = (uint32_t)control_number(body + MARK_AT_MESSAGES, 4);
    out->groups = (uint32_t)control_number(body + MARK_AT_GROUPS, 4);
    if (out->number == 0) {
        out->number = message->position;
    }
    return bytes == MARK_STATE_BYTES ||
           transaction_name(out, body + MARK_STATE_BYTES, bytes - MARK_STATE_BYTES);
}

static bool transaction_decode_mark(const struct commitlog_message *message,
                                    struct transaction_said *out)
{
    const unsigned char *body = message->body.data;
    const size_t bytes = message->body.bytes;
    if (bytes < MARK_BYTES) {
        return false;
    }
    const uint32_t flags = (uint32_t)control_number(body + MARK_AT_FLAGS, 4);
    *out = (struct transaction_said){.number = control_number(body + MARK_AT_TRANSACTION, 8),
                                     .operation =
                                         (uint32_t)control_number(body + MARK_AT_OPERATION, 4)};
    switch (out->operation) {
    case MARK_PREPARE:
        if (bytes != MARK_PREPARE_BYTES) {
            return false;
        }
        out->expires_at_ms = (int64_t)control_number(body + MARK_AT_PREPARE_EXPIRE, 8);
        out->counts = true;
        out->messages = (uint32_t)control_number(body + MARK_AT_PREPARE_MESSAGES, 4);
        out->groups = (uint32_t)control_number(body + MARK_AT_PREPARE_GROUPS, 4);
        return flags == 0;
    case MARK_ROLLBACK:
        out->reason = flags;
        return flags < MARK_REASONS && bytes == MARK_BYTES;
    case MARK_COMMIT:
        return flags == 0 && bytes == MARK_BYTES;
    case MARK_STATE:
        return transaction_decode_state(message, flags, out);
    case MARK_OFFSETS:
        out->change = (struct commitlog_slice){body + MARK_BYTES, bytes - MARK_BYTES};
        return flags == 0;
    default:
        return false;
    }
}

static bool transaction_decode_reference(const struct commitlog_message *message,
                                         struct transaction_said *out)
{
    struct reference_body body;
    if (!reference_body(message, &body) || body.reason != REFERENCE_TRANSACTION) {
        return false;
    }
    *out = (struct transaction_said){.number = body.origin};
    return true;
}

static bool transaction_decode(const struct commitlog_message *message,
                               struct transaction_said *out)
{
    assert(message != NULL && out != NULL);
    switch (message->kind) {
    case COMMITLOG_KIND_MESSAGE:
        return transaction_is_half(message) && transaction_decode_half(message, out);
    case COMMITLOG_KIND_REFERENCE:
        return transaction_decode_reference(message, out);
    case COMMITLOG_KIND_TRANSACTION:
        return transaction_is_half(message) ? transaction_decode_half(message, out)
                                            : transaction_decode_mark(message, out);
    default:
        return false;
    }
}

uint64_t transaction_of(const struct commitlog_message *message)
{
    struct transaction_said said;
    return transaction_decode(message, &said) ? said.number : 0;
}

bool transaction_is_message(const struct commitlog_message *message)
{
    assert(message != NULL);
    return message->kind == COMMITLOG_KIND_TRANSACTION && transaction_is_half(message);
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *transaction_operation(const struct transaction_said *said)
{
    static const char *const names[] = {[MARK_PREPARE] = "prepare",
                                        [MARK_ROLLBACK] = "rollback",
                                        [MARK_COMMIT] = "commit",
                                        [MARK_STATE] = "state",
                                        [MARK_OFFSETS] = "offsets"};
    assert(said->operation >= MARK_PREPARE && said->operation <= MARK_OFFSETS);
    return names[said->operation];
}

static const char *transaction_reason(const struct transaction_said *said)
{
    static const char *const names[MARK_REASONS] = {"asked", "expired", "orphaned", "unreadable"};
    assert(said->reason < MARK_REASONS);
    return names[said->reason];
}

/* The offsets of a mark, as a group's record says them. */
static struct commitlog_message transaction_change(const struct transaction_said *said)
{
    return (struct commitlog_message){.kind = COMMITLOG_KIND_GROUP, .body = said->change};
}

static bool transaction_put_time(struct out *out, const char *word, int64_t time_ms)
{
    char text[32];
    if (time_ms == 0) {
        return true;
    }
    when_format(time_ms * TRANSACTION_MS_NS, text, sizeof(text));
    return out_format(out, " %s %s", word, text);
}

bool transaction_put_line(struct out *out, const struct commitlog_message *message)
{
    struct transaction_said said;
    if (!transaction_decode(message, &said)) {
        return true;
    }
    bool good = out_format(out, "  transaction %" PRIu64, said.number);
    if (said.stored_at != 0) {
        good = good && out_format(out, "  first at %" PRIu64, said.stored_at);
    }
    if (said.operation == MARK_OFFSETS) {
        const struct commitlog_message change = transaction_change(&said);
        return good && control_put_line(out, &change);
    }
    if (said.operation != 0) {
        good = good && out_format(out, "  %s", transaction_operation(&said));
    }
    if (said.operation == MARK_ROLLBACK) {
        good = good && out_format(out, " %s", transaction_reason(&said));
    }
    if (said.begins) {
        good = good &&
               out_text(out, said.name.bytes > 0 ? "  producer " : "  producer not known") &&
               text_put_plain(out, said.name) && out_text(out, said.prepared ? "  prepared" : "");
    }
    if (said.counts) {
        good = good && out_format(out, "  messages %" PRIu32 "  groups %" PRIu32, said.messages,
                                  said.groups);
    }
    return good && transaction_put_time(out, "since", said.begin_ms) &&
           transaction_put_time(out, "until", said.expires_at_ms);
}

bool transaction_put_fields(struct out *out, const struct commitlog_message *message, bool log)
{
    struct transaction_said said;
    if (!transaction_decode(message, &said) || (!log && !transaction_is_message(message))) {
        return true;
    }
    bool good = out_format(out, ",\"transaction\":%" PRIu64, said.number);
    if (!log) {
        return good;
    }
    if (said.stored_at != 0) {
        good = good && out_format(out, ",\"first_position\":%" PRIu64, said.stored_at);
    }
    if (said.operation == MARK_OFFSETS) {
        const struct commitlog_message change = transaction_change(&said);
        return good && control_put_fields(out, &change); /* with the operation */
    }
    if (said.operation != 0) {
        good = good && out_format(out, ",\"operation\":\"%s\"", transaction_operation(&said));
    }
    if (said.operation == MARK_ROLLBACK) {
        good = good && out_format(out, ",\"reason\":\"%s\"", transaction_reason(&said));
    }
    if (said.begins) {
        good = good && out_text(out, ",\"producer_group\":") &&
               (said.name.bytes > 0 ? text_put(out, said.name) : out_text(out, "null")) &&
               out_format(out, ",\"prepared\":%s", said.prepared ? "true" : "false");
    }
    if (said.counts) {
        good = good && out_format(out, ",\"messages\":%" PRIu32 ",\"offset_groups\":%" PRIu32,
                                  said.messages, said.groups);
    }
    if (said.begin_ms != 0) {
        good = good && out_format(out, ",\"begin_ms\":%" PRId64, said.begin_ms);
    }
    return good && (said.expires_at_ms == 0 ||
                    out_format(out, ",\"expires_at_ms\":%" PRId64, said.expires_at_ms));
}
