/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h -- compares what a store answers with what the model says, by every way of reading.
 *
 * Owns: nothing; a `struct reader` names a store, the model and the topic numbers of that store.
 * Invariants: each function fails the program at the first difference. The store must not change
 *       while one runs, and `published` items must be visible.
 */
#ifndef TESTS_MODEL_READER_H
#define TESTS_MODEL_READER_H

#include "content.h"
#include "model.h"

struct reader {
    struct commitlog_store *store;
    struct model *model;
    struct rng *rng;
    uint32_t numbers[MODEL_TOPICS_MAX]; /* of the topics, in this store */
    uint32_t published;                 /* items that are visible */
};

/* Looks the topics up by name. One that is missing fails, unless `lossy` and nothing of it is among
 * the first `safe` items: then the model forgets it, and what came after its first record. */
void reader_topics(struct reader *reader, bool lossy, uint32_t safe);

/* Walks the whole log: order, times, epochs, exactly the items; learns the places of holes. With
 * `count` not NULL the items found from the first live one are counted and may be fewer. */
void reader_log(struct reader *reader, uint32_t *count);

void reader_queue(struct reader *reader, uint32_t topic, uint32_t queue);
void reader_all_queues(struct reader *reader, uint32_t topic);
void reader_copy(struct reader *reader, uint32_t topic, uint32_t queue);
void reader_times(struct reader *reader, uint32_t topic, uint32_t queue);
void reader_key(struct reader *reader, uint32_t topic);
void reader_positions(struct reader *reader, uint32_t rounds);
/* One of the above at random / all of them over everything. */
void reader_some(struct reader *reader);
void reader_everything(struct reader *reader);

void reader_message(const struct reader *reader, const struct item *item,
                    const struct commitlog_message *message);
/* Number of a tag that the item has, among those of the mask; a mask of 0 takes every item. */
bool reader_tag_matches(const struct item *item, uint32_t tag_mask);
/* Sets the tags of the mask on a cursor. */
void reader_set_tags(struct commitlog_cursor *cursor, uint32_t tag_mask);

#endif
