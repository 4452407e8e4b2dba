/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * message_layout.h - a message in the layout that clients decode, which is the body of its record.
 *
 *    0  size of all i32              48  address and port of who sent it, 8 bytes or 20
 *    4  magic i32                     +  store time i64, ms
 *    8  CRC-32 of the body, 31 bits   +  address and port of the broker, 8 or 20
 *   12  queue i32                     +  how often it was tried again i32
 *   16  flag i32, the sender's        +  offset of the prepared transaction i64
 *   20  offset in the queue i64       +  length i32 and body
 *   28  position i64                  +  length i8 and topic
 *   36  sysFlag i32                   +  length i16 and properties
 *   40  time it was sent i64, ms
 *
 * Queue, offset, position and store time are known when the record is claimed, and differ where it
 * is delivered by reference; the prepared transaction is the record's own position: they are stored
 * as zeros, and set in the copy of the first bytes that a reader is sent.
 *
 * Owns: nothing. Invariants: nothing follows the properties, since decoders look for the next
 * message there. Threads: any.
 */
#ifndef MINI_BROKER_MESSAGE_LAYOUT_H
#define MINI_BROKER_MESSAGE_LAYOUT_H

#include "options.h"

#include <commitlog.h>

enum {
    LAYOUT_FIXED = 91,      /* all but body, topic, properties, and longer addresses */
    LAYOUT_PATCH_MAX = 108, /* what is sent as a copy: to the store time, or the prepared offset */
    LAYOUT_ID_MAX = 57,     /* an id as text, with its NUL */
    LAYOUT_TOPIC_MAX = 127  /* the largest length that a decoder of signed bytes can read */
};

struct layout {
    struct text body;
    struct text topic;      /* at most LAYOUT_TOPIC_MAX bytes */
    struct text properties; /* at most 32767 */
    uint32_t flag;
    uint32_t sys_flag; /* without the bits of the addresses */
    uint32_t reconsumed;
    uint32_t crc;
    uint32_t queue;
    int64_t born_ms;
    int64_t prepared_offset;
    struct host born;
    struct host stored;
};

size_t layout_bytes(const struct layout *layout);
void layout_write(const struct layout *layout, uint8_t *to);
/* False: not a body of this layout. All text is a borrow. */
bool layout_read(struct commitlog_slice body, struct layout *out);
/* Copies the first bytes of a message with all that only its record knows; how many, or 0 when it
 * is not of this layout. The rest of the body follows as it is. */
size_t layout_patch(const struct commitlog_message *message, uint8_t to[LAYOUT_PATCH_MAX]);

/* The id that clients call offsetMsgId: address, port and position in hexadecimal. */
size_t layout_id(const struct host *host, uint64_t position, char out[LAYOUT_ID_MAX]);

#endif
