/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.h -- what a program was told about its appends, kept outside of the store, and the
 * comparison of a store with it.
 *
 * Owns: one item for each record that was stored as far as anybody was told, in the order of the
 *       log; how far the log was acknowledged at each level.
 * Invariants: 1. an append that failed leaves no item and uses no offset; 2. items are in the order
 *       of their positions; 3. nothing here comes from the library but receipts and statuses.
 * Happy path: ledger_store for each receipt, ledger_reached for each acknowledgement; after a crash
 *       ledger_compare with the reopened store, which also forgets what the crash took.
 * Failure modes: any difference ends the test and says which.
 */
#ifndef TESTS_FAULT_LEDGER_H
#define TESTS_FAULT_LEDGER_H

#include "../support/prog.h"

enum { LEDGER_ITEMS = 1024, LEDGER_TOPICS = 6, LEDGER_QUEUES = 2, LEDGER_KEYS = 3 };

enum ledger_state {
    LEDGER_MESSAGE,  /* stored, at least in the stage */
    LEDGER_RESERVED, /* claimed and never ended: a crash makes it a hole, or takes it */
    LEDGER_HOLE      /* its offset is used up */
};

struct ledger_item {
    uint64_t position;
    uint64_t end;
    uint64_t offset;
    uint64_t hash;
    uint32_t bytes;
    uint32_t batch; /* items of one batch share a number; 0: none */
    uint16_t topic;
    uint16_t queue;
    uint8_t key; /* 0: none */
    uint8_t state;
    bool seen;
};

struct ledger_topic {
    uint64_t end; /* the log behind its definition; UINT64_MAX: nobody was told that it is there */
    uint64_t next[LEDGER_QUEUES];
};

struct ledger {
    struct ledger_item items[LEDGER_ITEMS];
    uint32_t count;
    uint32_t batches;
    struct ledger_topic topics[LEDGER_TOPICS];
    uint64_t made;    /* bodies made so far: each has its own content */
    uint64_t stored;  /* the log up to here was acknowledged at some level */
    uint64_t written; /* at level written, or a higher one */
    uint64_t durable;
    uint64_t first;         /* the first position, as retention told it */
    uint64_t first_allowed; /* retention was not asked for more than this */
    uint32_t epoch;
};

/* How much of it a store has to have. */
enum ledger_claim {
    LEDGER_LIVE,     /* everything: the writer that appended it is asked */
    LEDGER_KILLED,   /* what survives the process */
    LEDGER_PRIVATE,  /* the same without a shared live area */
    LEDGER_POWER_CUT /* what was durable */
};

void ledger_begin(struct ledger *ledger);
/* The name of the topic with this index, and its length. */
const char *ledger_topic_name(uint32_t topic, size_t *out_bytes);
const char *ledger_key_name(uint32_t key, size_t *out_bytes);
/* A body that no other record has; the caller's buffer. */
void ledger_body(struct ledger *ledger, void *out, size_t bytes);
/* One more record, as its receipt says; checks the offset and the order. */
void ledger_store(struct ledger *ledger, const struct commitlog_receipt *receipt,
                  const struct ledger_item *content);
void ledger_reached(struct ledger *ledger, uint64_t end, uint32_t level);
/* Everything so far is durable: a close that succeeded, a checkpoint. */
void ledger_settled(struct ledger *ledger);
/* Whether the store has what it must have and nothing else. Afterwards the ledger says what the
 * store has, and takes all of it for durable: so it is after a recovery, but not with LEDGER_LIVE.
 */
void ledger_compare(struct ledger *ledger, struct commitlog_store *store, enum ledger_claim claim);
/* Reads every queue of a store that may fail at any read: what comes must be right. Returns the
 * first status other than COMMITLOG_EEND. */
int32_t ledger_glance(struct ledger *ledger, struct commitlog_store *store);

/* What a failing check names: set by who knows. */
void ledger_where(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *ledger_place(void);

#endif
