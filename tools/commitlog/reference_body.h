/*
 * reference_body.h -- what a reference says as it lies in the log.
 *
 * Owns: nothing; it reads the bytes that commitlog-format(5) describes.
 * Invariants: what does not decode whole, or is of a newer version, says nothing.
 * Threads and locks: none.
 */
#ifndef COMMITLOG_TOOL_REFERENCE_BODY_H
#define COMMITLOG_TOOL_REFERENCE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

enum { REFERENCE_TIMER = 1, REFERENCE_TRANSACTION = 2 }; /* reasons beside COMMITLOG_DEAD_... */

struct reference_body {
    uint64_t position;     /* of the original */
    uint64_t origin;       /* the timer, the transaction, or of a dead letter the offset it had */
    uint32_t queue_number; /* of a dead letter, in the store */
    uint32_t attempts;     /* likewise */
    uint32_t reason;
};

/* False: it is no reference, or one that the library has followed. */
bool reference_body(const struct commitlog_message *message, struct reference_body *out);

#endif
