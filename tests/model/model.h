/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h -- what a store must contain, as arrays in memory.
 *
 * Owns: every record ever claimed, in log order, and per queue the list of them. Shares no code
 *       with the library: an item is a seed for its content and the receipt it got.
 * Invariants: 1. items are in log order; offset n of a queue is the n-th item of that queue;
 *       2. every change goes through model_apply, so that a child process can send its changes to
 *       its parent and both models stay equal.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "../support/prog.h"

enum { MODEL_TOPICS_MAX = 6, MODEL_NAME_MAX = 255, MODEL_NONE = -1 };
#define MODEL_UNKNOWN UINT64_MAX

enum item_state { ITEM_PENDING, ITEM_MESSAGE, ITEM_HOLE };

struct item {
    uint64_t content; /* seed */
    uint64_t body_bytes;
    uint64_t offset;
    uint64_t position; /* MODEL_UNKNOWN for a hole not yet met in the log */
    uint64_t end;
    int64_t time; /* INT64_MIN while unknown */
    uint32_t topic;
    uint32_t queue;
    uint32_t epoch;
    uint32_t state;
    uint64_t batch; /* 0: none; the same number for all its members */
    bool maybe;     /* a claim that a crash may or may not have kept */
};

struct model_queue {
    uint32_t *items;
    uint32_t count;
    uint32_t room;
};

struct model_topic {
    uint64_t name_seed;
    uint32_t queues;
    bool defined; /* its definition is safe even without a record */
    struct model_queue *queue;
};

struct model {
    struct item *items;
    uint32_t count;
    uint32_t room;
    struct model_topic topics[MODEL_TOPICS_MAX];
    uint32_t topic_count;
    uint64_t first; /* first position kept */
    uint32_t safe;  /* items known to be at least written */
    uint32_t epoch; /* highest seen */
    uint64_t batches;
    int report_fd; /* where changes are sent, or -1 */
};

enum change_kind { CHANGE_TOPIC, CHANGE_ITEM, CHANGE_END, CHANGE_SAFE, CHANGE_FIRST };

/* One change, as it goes over a pipe: smaller than PIPE_BUF, hence whole or not at all. */
struct change {
    uint32_t kind;
    uint32_t index; /* of the item, for CHANGE_END */
    struct item item;
    uint64_t value; /* name seed, first, safe */
    uint32_t queues;
    uint32_t reserved;
};

void model_begin(struct model *model);
void model_free(struct model *model);
void model_apply(struct model *model, const struct change *change);

/* Shorthands that build a change and apply it. */
void model_topic_add(struct model *model, uint64_t name_seed, uint32_t queues);
uint32_t model_item_add(struct model *model, const struct item *item);
void model_item_end(struct model *model, uint32_t index, const struct item *item);
/* The first `count` items are written; `definitions`: so are those of all topics. */
void model_safe(struct model *model, uint32_t count, bool definitions);
void model_first(struct model *model, uint64_t first);

/* What a kill leaves: claims become holes (those at the very end perhaps nothing). */
void model_crash(struct model *model);
/* Forgets all items from index on. */
void model_cut(struct model *model, uint32_t index);
/* Not defined for sure, and without a record among the first `count` items. */
bool model_topic_may_be_missing(const struct model *model, uint32_t topic, uint32_t count);
/* With its records, and all that was appended after the first of them. */
void model_topic_remove(struct model *model, uint32_t topic);

/* Items that may be read: those before the first pending claim. */
uint32_t model_published(const struct model *model);
/* Index of the first item at or after the first position. */
uint32_t model_live_from(const struct model *model);
bool model_has_unknown(const struct model *model);
uint32_t model_pending(const struct model *model);

/* Bounds of a queue among the first `published` items: offsets [*first, *next). */
void model_bounds(const struct model *model, uint32_t topic, uint32_t queue, uint32_t published,
                  uint64_t *first, uint64_t *next);
const struct item *model_at(const struct model *model, uint32_t topic, uint32_t queue,
                            uint64_t offset);

size_t model_name(uint64_t name_seed, char out[MODEL_NAME_MAX + 1]);

#endif
