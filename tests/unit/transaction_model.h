/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_model.h -- what a store with transactions must show, kept beside it: of each queue
 * its messages in order, of each transaction what it has and how it stands, of each consumer group
 * what it has committed.
 *
 * Owns: what transaction_fixture.h owns, and the model, which knows what receipts said, and no
 *       more: nothing in it comes from the library.
 * Invariants: 1. `end` of whatever was stored is a position at or behind its last byte, before the
 *       next record: a log that ends there or later has it, any other has not; 2. what ended
 *       without effect and was never prepared stays over, whatever is lost: nobody can decide it.
 */
#ifndef TESTS_UNIT_TRANSACTION_MODEL_H
#define TESTS_UNIT_TRANSACTION_MODEL_H

#include "unit/transaction_fixture.h"

#include "support/prog.h"

enum { TOPICS = 3, PLACES = 9, GROUPS = 2, KEYS = 5, BODY_MAX = 2048 };
enum { DEALS = 1000, PARTS = 24, ENTRIES = 6000, NOTES = 8000, NAMES = 3, HANDLES = 8 };

static const char *const topic_names[TOPICS] = {"t", "u", "v"};
static const uint32_t topic_queues[TOPICS] = {QUEUES, 2, 1};
static const char *const producer_names[NAMES] = {"bank", "shop", "a longer name of a producer"};

enum deal_state {
    DEAL_NEW,       /* nothing of it is stored */
    DEAL_OPEN,      /* it ends with its handle */
    DEAL_PREPARED,  /* it outlives its process */
    DEAL_COMMITTED, /* all of it has taken effect */
    DEAL_OVER       /* nothing of it ever will */
};

/* A time that is known to lie between, or exactly when it has been told. */
struct span {
    int64_t low_ms;
    int64_t high_ms;
};

struct part {
    uint64_t end;
    uint32_t place;
};

/* A transaction. */
struct deal {
    struct commitlog_transaction *handle;
    enum deal_state state;
    uint32_t producer;
    uint32_t count;
    bool begins_prepared; /* by its message, the only one */
    uint64_t id;
    uint64_t prepared_end; /* of the mark; 0: none says so */
    uint64_t ended_end;    /* of its commit, or of its rollback when it was asked for */
    int64_t timeout_ms;
    int64_t prepared_ms;
    struct span begins;
    struct span expires;
    uint64_t offsets[GROUPS][PLACES]; /* UINT64_MAX: none */
    struct part parts[PARTS];
};

/* A message in its queue: of a transaction, or of none (0). */
struct entry {
    uint64_t end;
    uint64_t origin; /* where the message lay at the commit */
    uint32_t deal;
    uint32_t index;
};

struct note {
    uint64_t end;
    uint64_t offset;
    uint32_t group;
    uint32_t place;
};

static struct deal deals[DEALS]; /* 0 is none */
static uint32_t deal_count;
static struct deal *held[HANDLES]; /* those that have a handle */
static struct entry entries[PLACES][ENTRIES];
static uint32_t counts[PLACES];
static struct note notes[NOTES]; /* of offsets committed, in order */
static uint32_t note_count;
static uint32_t plain_count;
static uint32_t topics[TOPICS];
static struct commitlog_group *groups[GROUPS];
static uint64_t engine;
static uint64_t borrow;
static struct rng rng;

/* What has come to pass, over all trials: nothing is tested that never does. */
static struct {
    uint64_t committed;
    uint64_t lost;     /* commits behind the end of the log */
    uint64_t survived; /* prepared, over a restart */
    uint64_t expired;
    uint64_t moved;  /* messages carried forward */
    uint64_t copied; /* messages delivered as copies */
    uint64_t gone;   /* to which a reference leads no more */
    uint64_t within; /* ends in the middle of a call that was not done */
} figures;

static inline uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

/* ---- the store ---- */

static inline void open_all(void)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ENGINE, engine}, {COMMITLOG_OPT_BORROW, borrow}};
    ck_assert_msg(store_open_by(values, 2) == COMMITLOG_OK, "%s", err.message);
    for (uint32_t t = 0; t < TOPICS; t++) {
        ck_assert_int_eq(
            commitlog_topic_open(store, topic_names[t], 1, topic_queues[t], &topics[t], &err), 0);
    }
    topic = topics[0];
    for (uint32_t g = 0; g < GROUPS; g++) {
        ck_assert_int_eq(commitlog_group_open(store, g == 0 ? "one" : "two", 3,
                                              COMMITLOG_GROUP_CREATE, &groups[g], &err),
                         0);
    }
}

static inline void close_handles(void)
{
    for (uint32_t i = 0; i < HANDLES; i++) {
        if (held[i] != NULL) {
            commitlog_transaction_close(held[i]->handle);
            held[i] = NULL;
        }
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        commitlog_group_close(groups[g]);
    }
}

/* ---- places and bodies ---- */

static inline uint32_t place_topic(uint32_t place)
{
    return place < QUEUES ? 0 : place < QUEUES + 2 ? 1 : 2;
}

static inline uint32_t place_queue(uint32_t place)
{
    return place < QUEUES ? place : place < QUEUES + 2 ? place - QUEUES : 0;
}

static inline uint32_t body_mix(uint32_t deal, uint32_t index)
{
    uint64_t mixed = (deal * UINT64_C(0x9e3779b97f4a7c15) + index) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(mixed >> 33);
}

/* KEYS: it has no key. */
static inline uint32_t body_key(uint32_t deal, uint32_t index)
{
    return body_mix(deal, index) / 64 % (KEYS + 1);
}

/* Says whose it is and where it belongs; every byte follows from that. */
static inline uint32_t body_make(uint32_t deal, uint32_t index, uint32_t place,
                                 uint8_t out[BODY_MAX])
{
    const uint32_t words[] = {deal, index, place};
    const uint32_t mixed = body_mix(deal, index);
    uint32_t bytes = (uint32_t)sizeof(words) + mixed % (mixed % 16 == 0 ? 2000 : 60);
    memcpy(out, words, sizeof(words));
    bytes_fill(out + sizeof(words), bytes - sizeof(words), mixed);
    return bytes;
}

static inline void check_body(const struct commitlog_message *message, uint32_t deal,
                              uint32_t index, uint32_t place)
{
    uint8_t body[BODY_MAX];
    const uint32_t bytes = body_make(deal, index, place, body);
    ck_assert_msg(message->body.bytes == bytes && memcmp(message->body.data, body, bytes) == 0,
                  "message %u of transaction %u has another body", index, deal);
    ck_assert_uint_eq(message->key_count, body_key(deal, index) < KEYS ? 1 : 0);
    ck_assert(message->tag.bytes == 1 && memcmp(message->tag.data, "x", 1) == 0);
}

/* ---- what happens ---- */

static inline uint64_t committed_offset(uint32_t group, uint32_t place)
{
    uint64_t offset = UINT64_MAX;
    for (uint32_t i = 0; i < note_count; i++) {
        offset = notes[i].group == group && notes[i].place == place ? notes[i].offset : offset;
    }
    return offset;
}

static inline void model_add_offset(uint32_t group, uint32_t place, uint64_t offset, uint64_t end)
{
    ck_assert_uint_lt(note_count, NOTES);
    notes[note_count++] =
        (struct note){.end = end, .offset = offset, .group = group, .place = place};
}

static inline void model_add_entry(uint32_t place, uint32_t deal, uint32_t index, uint64_t end,
                                   uint64_t origin)
{
    ck_assert_uint_lt(counts[place], ENTRIES);
    entries[place][counts[place]++] =
        (struct entry){.end = end, .origin = origin, .deal = deal, .index = index};
}

static inline void model_commit(struct deal *deal, uint64_t end, const uint64_t origins[PARTS])
{
    for (uint32_t i = 0; i < deal->count; i++) {
        model_add_entry(deal->parts[i].place, (uint32_t)(deal - deals), i, end, origins[i]);
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t p = 0; p < PLACES; p++) {
            const uint64_t known = committed_offset(g, p); /* of a prepared one it may be further */
            if (deal->offsets[g][p] != UINT64_MAX &&
                (known == UINT64_MAX || deal->offsets[g][p] > known)) {
                model_add_offset(g, p, deal->offsets[g][p], end);
            }
        }
    }
    deal->state = DEAL_COMMITTED;
    deal->ended_end = end;
    figures.committed++;
}

/* The process is gone, and the log ends there. */
static inline void model_restart_deal(struct deal *deal, uint64_t log_end)
{
    bool is_final = deal->ended_end == 0 ? deal->state == DEAL_OVER : deal->ended_end <= log_end;
    deal->handle = NULL;
    if (is_final) {
        return;
    }
    while (deal->count > 0 && deal->parts[deal->count - 1].end > log_end) {
        deal->count--;
    }
    bool prepared = deal->prepared_end != 0 ? deal->prepared_end <= log_end
                                            : deal->begins_prepared && deal->count > 0;
    figures.lost += deal->state == DEAL_COMMITTED ? 1 : 0;
    figures.survived += prepared ? 1 : 0;
    deal->state = prepared ? DEAL_PREPARED : DEAL_OVER;
    deal->ended_end = 0;
}

static inline void model_restart(uint64_t log_end)
{
    for (uint32_t p = 0; p < PLACES; p++) {
        while (counts[p] > 0 && entries[p][counts[p] - 1].end > log_end) {
            counts[p]--;
        }
    }
    while (note_count > 0 && notes[note_count - 1].end > log_end) {
        note_count--;
    }
    for (uint32_t i = 1; i <= deal_count; i++) {
        model_restart_deal(&deals[i], log_end);
    }
}

static inline bool deal_is_ended(const struct deal *deal)
{
    return deal->state == DEAL_COMMITTED || deal->state == DEAL_OVER;
}

static inline bool deal_is_open(const struct deal *deal)
{
    return deal->id != 0 && (deal->state == DEAL_OPEN || deal->state == DEAL_PREPARED);
}

/* ---- what calls have to return ---- */

/* Whether it can still be changed: 0, or what every such call says. */
static inline int32_t change_status(const struct deal *deal)
{
    return deal_is_ended(deal)            ? COMMITLOG_ENOTFOUND
           : deal->state == DEAL_PREPARED ? COMMITLOG_EMISUSE
                                          : COMMITLOG_OK;
}

/* How a commit of these would be judged now. */
static inline int32_t offset_status(uint32_t group, uint32_t place, uint64_t offset)
{
    const uint64_t known = committed_offset(group, place);
    return offset > counts[place]                  ? COMMITLOG_EBEYOND
           : known != UINT64_MAX && offset < known ? COMMITLOG_ETOOSMALL
                                                   : COMMITLOG_OK;
}

/* Those of a prepared one were judged when it was prepared. */
static inline int32_t parts_status(const struct deal *deal)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t p = 0; p < PLACES; p++) {
            const uint64_t known = committed_offset(g, p);
            if (deal->offsets[g][p] != UINT64_MAX && known != UINT64_MAX &&
                deal->offsets[g][p] < known) {
                return COMMITLOG_ETOOSMALL;
            }
        }
    }
    return COMMITLOG_OK;
}

static inline int32_t commit_status(const struct deal *deal)
{
    return deal_is_ended(deal)            ? COMMITLOG_ENOTFOUND
           : deal->state == DEAL_PREPARED ? COMMITLOG_OK
                                          : parts_status(deal);
}

#endif
