/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.h -- the oracle for all that the library decides itself: when a delayed message comes, who
 * works on which message and how often, whether a transaction takes effect, which queue of a topic
 * that grew a group may read, and what groups have committed. Shared memory beside the book.
 *
 * Owns: a line for each timer, transaction, message to be worked on and committed offset, and what
 *       was last begun of it.
 * Invariants: 1. what is about to be asked of the library is noted before the call, what came of it
 *       after the call has returned, so a kill leaves two answers at most; 2. nothing here comes
 *       from the library but answers and receipts; 3. a line is used again only when its message
 *       was seen, or can never come; 4. what the audit has seen counts when its offset is
 *       committed: both or neither outlive a kill.
 * Threads: timers, transactions and groups belong to one thread of the writer each, work is under
 *       the lock of its desk (clerk.h); states that the audit changes too are atomics. Between
 *       lives the check of a new writer puts in order what was begun (settle.h).
 */
#ifndef TESTS_SOAK_LEDGER_H
#define TESTS_SOAK_LEDGER_H

#include <stdatomic.h>

#include "../support/prog.h"

enum {
    LEDGER_THREADS = 3, /* of the writer */
    LEDGER_KEYS = 8,    /* of each thread, in the topic that grows */
    LEDGER_STEPS = 4,   /* of the topic that grows */
    LEDGER_GROWN = 24,  /* queues it has in the end */
    LEDGER_TIMERS = 32, /* of each thread */
    LEDGER_DEALS = 24,  /* transactions of each thread */
    LEDGER_DEAL_MAX = 6,
    LEDGER_CELLS = 4096, /* of each queue that is worked on; a ring */
    LEDGER_ATTEMPTS = 3,
    LEDGER_BATCH = 4,     /* queues whose offsets are committed at once */
    LEDGER_FETCH = 48,    /* messages of one queue between two commits */
    LEDGER_AUDIT = 0,     /* the group that keeps what it has not seen; of thread 0 */
    LEDGER_BODY_MAX = 360 /* letter and filling */
};

enum ledger_topic {
    LEDGER_GROWS,
    LEDGER_LATER,
    LEDGER_WORK,
    LEDGER_DEAL_A, /* transactions have messages in both */
    LEDGER_DEAL_B,
    LEDGER_DEAD, /* letters of the work */
    LEDGER_TOPICS
};

enum { LEDGER_QUEUES = LEDGER_GROWN + 2 + 2 + 2 + 2 + 1 };

/* At the front of each body; the rest is computed from it. */
struct letter {
    uint64_t magic;
    uint64_t serial; /* of the line; of a key its number, from 1 on */
    uint32_t topic;
    uint32_t thread;
    uint32_t line; /* timer, transaction or key */
    uint16_t index;
    uint16_t count; /* messages of the transaction */
    uint32_t bytes; /* of the body */
    uint32_t reserved;
};

enum later_state {
    LATER_FREE,
    LATER_BEGUN, /* it may or may not be stored */
    LATER_WAITS,
    LATER_CANCELLING,
    LATER_DUE,       /* a cancel came too late */
    LATER_CANCELLED, /* must never come */
    LATER_SEEN
};

struct later {
    _Atomic uint64_t serial;
    _Atomic uint64_t handle; /* 0: not known */
    int64_t at_ms;
    _Atomic uint32_t state;
};

enum deal_state {
    DEAL_FREE,
    DEAL_OPEN,
    DEAL_PREPARING,
    DEAL_PREPARED,
    DEAL_COMMITTING,
    DEAL_COMMITTED,
    DEAL_ROLLING,
    DEAL_NEVER /* must never come */
};

struct deal {
    _Atomic uint64_t serial;
    uint64_t id;
    uint32_t count;
    uint32_t queue;  /* of the topic that grows, whose offset it commits for its thread's group */
    uint64_t offset; /* UINT64_MAX: none */
    bool prepared;   /* it was, when it was last decided upon */
    _Atomic uint32_t state;
    _Atomic uint32_t seen; /* a bit for each message */
};

enum cell_state { CELL_FRESH, CELL_OUT, CELL_DONE };

struct cell {
    uint64_t serial;
    int64_t from_ms; /* it comes again between these two */
    int64_t to_ms;
    uint32_t attempt;
    uint8_t acking; /* an acknowledgement is under way; of one that is done: or it is dead */
    uint8_t moving; /* another time is under way */
    uint8_t dead;   /* its dead letter was seen */
    uint8_t state;
};

struct work {
    uint64_t next[2];  /* offset */
    uint64_t floor[2]; /* all below is done */
    uint64_t serial;
    uint32_t putting; /* 1 + queue */
    uint32_t receiving;
    int64_t receive_ms;
    struct cell cells[2][LEDGER_CELLS];
};

/* What the audit has seen and not yet committed. */
struct mark {
    uint64_t serial;
    uint8_t topic;
    uint8_t thread;
    uint16_t line;
    uint16_t index;
    uint16_t reserved;
};

struct moved {
    uint32_t place; /* ledger_place */
    uint64_t offset;
};

struct group_line {
    uint32_t epoch;
    uint32_t epoch_begun;            /* 1: the next one */
    uint32_t ordered;                /* 0: it was set back, so its keys need not rise */
    uint32_t reset_begun;            /* of whichever queue */
    uint64_t offsets[LEDGER_QUEUES]; /* committed; UINT64_MAX: none */
    uint64_t seen[LEDGER_THREADS][LEDGER_KEYS];
    /* What is being committed. */
    uint64_t next_seen[LEDGER_THREADS][LEDGER_KEYS];
    struct moved moved[LEDGER_BATCH];
    struct mark marks[LEDGER_BATCH * LEDGER_FETCH];
    uint32_t mark_count;
    _Atomic uint32_t moved_count; /* 0: nothing is */
};

struct keyed {
    _Atomic uint64_t acked[LEDGER_KEYS];
    _Atomic uint64_t begun[LEDGER_KEYS]; /* what is in flight goes so far */
};

enum ledger_count {
    LEDGER_KEYED,
    LEDGER_GREW,
    LEDGER_SHRANK,
    LEDGER_CLOSED, /* a queue that its group may not read yet */
    LEDGER_CONSUMED,
    LEDGER_COMMITS,
    LEDGER_FENCED,
    LEDGER_RESETS,
    LEDGER_TIMED,
    LEDGER_CAME,
    LEDGER_CANCELLED,
    LEDGER_PUT,
    LEDGER_OUT,
    LEDGER_AGAIN, /* given out a second or third time */
    LEDGER_ACKED,
    LEDGER_NACKED,
    LEDGER_BURIED, /* dead letters */
    LEDGER_COMMITTED,
    LEDGER_ROLLED,
    LEDGER_PREPARED,    /* and left so */
    LEDGER_ASKED,       /* found prepared by a later act or life, and decided */
    LEDGER_OPEN_KILLED, /* found begun by the check after a kill */
    LEDGER_SETTLED,     /* checks after an open */
    LEDGER_WITNESSED,   /* messages that followers have looked at */
    LEDGER_WHOLE,       /* transactions, by them */
    LEDGER_COUNTS
};

struct ledger {
    uint64_t seed;
    _Atomic uint32_t ready;  /* topics and groups are made */
    _Atomic uint32_t acting; /* threads that have begun something; a kill is best then */
    uint32_t queues;         /* of the topic that grows */
    uint32_t queues_begun;   /* as many as it is getting; 0: it stays */
    struct keyed keyed[LEDGER_THREADS];
    struct later laters[LEDGER_THREADS][LEDGER_TIMERS];
    struct deal deals[LEDGER_THREADS][LEDGER_DEALS];
    struct group_line groups[LEDGER_THREADS];
    struct work work;
    _Atomic uint64_t counts[LEDGER_COUNTS];
};

/* By the driver, before it forks. */
struct ledger *ledger_make(uint64_t seed);

/* ---- topics and queues ----------------------------------------------------------------------- */

const char *ledger_name(uint32_t topic);
/* Queues that it is made with. */
uint32_t ledger_queues(uint32_t topic);
/* LEDGER_TOPICS: none of these. */
uint32_t ledger_topic(const char *name);
uint32_t ledger_place(uint32_t topic, uint32_t queue);
void ledger_unplace(uint32_t place, uint32_t *out_topic, uint32_t *out_queue);
/* The queues of the topic that grows, step by step. */
uint32_t ledger_step(uint32_t step);

/* ---- letters --------------------------------------------------------------------------------- */

/* Makes the body; letter: topic, thread, line, serial, index, count. */
size_t letter_make(const struct ledger *ledger, const struct letter *letter,
                   uint8_t out[LEDGER_BODY_MAX]);
/* Whether the body is whole and of one of these; ends the program if not. */
void letter_check(const struct ledger *ledger, const struct commitlog_message *message,
                  struct letter *out);

void ledger_count(struct ledger *ledger, enum ledger_count which, uint64_t more);
uint64_t ledger_counted(const struct ledger *ledger, enum ledger_count which);
/* Two lines. */
void ledger_tell(const struct ledger *ledger);
/* Ends the program if something was never tried. */
void ledger_enough(const struct ledger *ledger);

#endif
