/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * item.h -- a record of the soak test: who made it (life, thread, serial) is at the front of its
 * body, and everything else of it is computed from that.
 *
 * Invariants: 1. the same names give the same record in every process; 2. a record without a body
 *       names nobody and carries nothing: only a note tells whose it is.
 */
#ifndef TESTS_SOAK_ITEM_H
#define TESTS_SOAK_ITEM_H

#include "../model/content.h"
#include "book.h"

enum { ITEM_BATCH_MAX = 6 };

struct item_head {
    uint64_t magic;
    uint32_t life;
    uint32_t serial;
    uint32_t bytes;       /* of the body, this included */
    uint32_t batch_first; /* serial of the batch's first record */
    uint16_t batch_count; /* 0: in no batch */
    uint8_t thread;
    uint8_t topic; /* of the book */
    uint8_t queue;
    uint8_t reserved[3];
};

struct item {
    struct item_head head;
    struct content content;
};

/* head: life, serial, batch, thread, topic, queue; `bytes` of the body, 0 or at least the head. */
void item_make(struct item *out, const struct book *book, const struct item_head *head,
               size_t bytes);
void item_free(struct item *item);

/* Whether the message is whole and where it belongs; ends the program if not. *out gets its head,
 * with serial 0 if it has no body. topic: of the book. */
void item_check(const struct book *book, const struct commitlog_message *message, uint32_t topic,
                struct item_head *out);
/* The content that a message with this head has; content_free. */
void item_content(const struct book *book, const struct item_head *head, struct content *out);

#endif
