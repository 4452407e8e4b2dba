/*
 * reference_body.c -- bodies of references: see reference_body.h.
 */
#include "reference_body.h"

#include <assert.h>
#include <stddef.h>

#include "control_out.h"

/* What commitlog-format(5) says. */
enum {
    REFERENCE_AT_POSITION = 0, /* of a short one, with the reason in the low bits */
    REFERENCE_AT_ORIGIN = 16,
    REFERENCE_AT_QUEUE = 24,
    REFERENCE_AT_ATTEMPTS = 28,
    REFERENCE_AT_REASON = 30,
    REFERENCE_SAME_BYTES = 16, /* the origin is the original */
    REFERENCE_OTHER_BYTES = 24,
    REFERENCE_LONG_BYTES = 32,
    REFERENCE_REASON_MASK = 7
};

bool reference_body(const struct commitlog_message *message, struct reference_body *out)
{
    assert(message != NULL && out != NULL);
    const unsigned char *body = message->body.data;
    const size_t bytes = message->body.bytes;
    const bool whole = bytes == REFERENCE_LONG_BYTES;
    if (message->kind != COMMITLOG_KIND_REFERENCE || message->origin_position != 0 ||
        (!whole && bytes != REFERENCE_SAME_BYTES && bytes != REFERENCE_OTHER_BYTES)) {
        return false;
    }
    const uint64_t position = control_number(body + REFERENCE_AT_POSITION, 8);
    const uint64_t low = position & REFERENCE_REASON_MASK;
    *out = (struct reference_body){
        .position = position - low, .queue_number = UINT32_MAX, .reason = (uint32_t)low};
    out->origin = bytes == REFERENCE_SAME_BYTES ? out->position
                                                : control_number(body + REFERENCE_AT_ORIGIN, 8);
    if (whole) {
        out->queue_number = (uint32_t)control_number(body + REFERENCE_AT_QUEUE, 4);
        out->attempts = (uint32_t)control_number(body + REFERENCE_AT_ATTEMPTS, 2);
        out->reason = body[REFERENCE_AT_REASON];
    }
    return whole ? low == 0 : low == REFERENCE_TIMER || low == REFERENCE_TRANSACTION;
}
