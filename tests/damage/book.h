/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * book.h -- every record of a store as it was appended, kept outside of it: place, content, level,
 * and what had been durable when it was claimed.
 *
 * Owns: the items, in the order of their positions, and the bytes of their bodies.
 * Invariants: 1. nothing here comes from the library but receipts and statuses; 2. a position is
 *       that of one item at most: what a crash took is struck out before its place is used again.
 * Failure modes: a message that is no item, or not as it was appended, is told to the caller.
 */
#ifndef TESTS_DAMAGE_BOOK_H
#define TESTS_DAMAGE_BOOK_H

#include "../support/prog.h"

enum {
    BOOK_ITEMS = 1024,
    BOOK_TOPICS = 3,
    BOOK_QUEUES = 3, /* at most, of a topic */
    BOOK_KEYS = 4,
    BOOK_TAGS = 3,
    BOOK_ARENA = 1 << 20,
    BOOK_NONE = 0xffff
};

struct book_item {
    uint64_t position;
    uint64_t end;
    uint64_t offset;
    int64_t store_time_ns;
    int64_t time_ms;    /* 0: the producer gave none */
    uint64_t witness;   /* the log up to here was durable when this was appended */
    uint64_t hull_from; /* of the whole batch, its header too; else as position and end */
    uint64_t hull_to;
    uint32_t body_at; /* in the arena */
    uint32_t body_bytes;
    uint32_t epoch;
    uint16_t topic;
    uint16_t queue;
    uint8_t keys[2]; /* 0: none, else number of the name; ascending places */
    uint8_t tag;     /* 0: none */
    bool has_header;
    bool is_hole; /* given up: its offset is used, nobody reads it */
};

struct book {
    struct book_item items[BOOK_ITEMS];
    uint32_t count;
    uint64_t next[BOOK_TOPICS][BOOK_QUEUES];
    uint64_t gone[BOOK_TOPICS][BOOK_QUEUES]; /* retention took the offsets below */
    uint64_t stored;                         /* acknowledged at any level up to here */
    uint64_t written;
    uint64_t durable;
    uint64_t first;
    uint64_t made; /* bodies so far: each has its own content */
    uint32_t arena_used;
    uint8_t arena[BOOK_ARENA];
};

/* Storage for what commitlog_append_record is given. */
struct book_draft {
    struct book_item item;
    struct commitlog_slice body;
    struct commitlog_slice keys[2];
    struct commitlog_header header;
};

void book_begin(struct book *book);
const char *book_topic_name(uint32_t topic, size_t *out_bytes);
uint32_t book_topic_queues(uint32_t topic);
/* The topic of this name, or BOOK_NONE. */
uint32_t book_topic_of(const char *name, size_t bytes);
struct commitlog_slice book_key(uint32_t key);

/* Draws a record with a body of so many bytes, for the topic that has this number now. */
void book_draw(struct book *book, struct rng *rng, uint32_t topic, uint32_t number, uint32_t bytes,
               struct book_draft *draft, struct commitlog_record *out);
/* What it takes in the log, as commitlog-format(5) says. */
uint64_t book_record_bytes(const struct commitlog_record *record);
/* It is stored where the receipt says. hull_from: end of the log before its batch, or before it. */
void book_store(struct book *book, const struct book_draft *draft,
                const struct commitlog_receipt *receipt);
/* The last `count` items were one batch, whose header began at `from` or behind it. */
void book_batch(struct book *book, uint32_t count);
void book_reached(struct book *book, uint64_t end, uint32_t level);

/* The item at a position, or NULL. */
const struct book_item *book_at(const struct book *book, uint64_t position);
/* First item whose position is not below. */
uint32_t book_from(const struct book *book, uint64_t position);
/* NULL, or what differs. topic: what the store's number stands for; BOOK_NONE: it has no name. */
const char *book_differs(const struct book *book, const struct book_item *item, uint32_t topic,
                         const struct commitlog_message *message);
/* A crash has taken everything from here on. */
void book_cut(struct book *book, uint64_t end);
/* Retention has taken everything before. */
void book_drop(struct book *book, uint64_t first);

#endif
