/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * survey.h -- what an open store gives of the records in a book, and what it says of the others:
 * by every way there is to read.
 *
 * Owns: nothing.
 * Invariants: a mark says what was seen, not what is right; what must never be, whatever was done
 *       to the store, is in `wrong`: a record that differs or was never appended, one that comes
 *       twice or out of order, a status that no read may have.
 */
#ifndef TESTS_DAMAGE_SURVEY_H
#define TESTS_DAMAGE_SURVEY_H

#include "book.h"

enum survey_way {
    WAY_QUEUE, /* each queue, by a cursor */
    WAY_LOG,   /* the log as it lies */
    WAY_ALL,   /* each topic, in the order of the log */
    WAY_KEY,   /* each key of each topic */
    WAY_GET,   /* each record by its position */
    WAY_COPY,  /* each queue, copied */
    SURVEY_WAYS
};

enum { SURVEY_EVERY_WAY = (1 << SURVEY_WAYS) - 1 };

enum survey_mark {
    MARK_SEEN = 1,
    MARK_NAMED = 2,    /* a read said that it is damaged, or cannot be read */
    MARK_UNPROVEN = 4, /* COMMITLOG_EUNRECOVERED from here on */
    MARK_HOLE = 8      /* COMMITLOG_EHOLE */
};

struct survey {
    uint8_t marks[SURVEY_WAYS][BOOK_ITEMS];
    bool listed[BOOK_ITEMS]; /* in the store's list of known damage, after all reads */
    bool known[BOOK_TOPICS]; /* the topic has a name in this store */
    uint32_t ways;           /* bits: those that were gone */
    uint32_t ranges;         /* in that list */
    uint32_t listed_at_open; /* ranges in it before the first read */
    uint64_t said;           /* reads that said damage */
    uint64_t end;            /* of the log, as its cursor told */
    char wrong[240];         /* the first, or "" */
};

const char *survey_way_name(uint32_t way);
void survey_store(const struct book *book, struct commitlog_store *store, uint32_t ways,
                  struct survey *out);
/* Marks the items that a range of damage names. */
void survey_list(const struct book *book, const struct commitlog_damage *damage, bool *listed);
/* Whether an item was delivered, or the store said that it was not, by this way. */
bool survey_seen(const struct survey *survey, uint32_t way, uint32_t item);
bool survey_named(const struct survey *survey, uint32_t way, uint32_t item);
/* Whether this way leads to the item at all. */
bool survey_leads(uint32_t way, const struct book_item *item);

#endif
