/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_internal.h -- shared by facts.c, facts_names.c, facts_note.c, facts_owner.c, facts_scan.c
 * (records), facts_segments.c, facts_state.c.
 */
#ifndef CLG_RECOVERY_FACTS_INTERNAL_H
#define CLG_RECOVERY_FACTS_INTERNAL_H

#include "recovery/facts.h"
#include "recovery/stage.h"

/* Room for one more item in a growing array: 0 or ENOMEM. */
CLG_MUST_CHECK int clg_facts_grow(const struct commitlog_os *os, void **items, size_t count,
                                  size_t *room, size_t item_bytes, struct commitlog_error *err);

static inline void clg_facts_witness(struct clg_facts *facts, uint64_t position,
                                     enum clg_witness_source source)
{
    if (position > facts->witness) {
        facts->witness = position;
        facts->witness_source = source;
    }
}

/* Whose stage counts: of the session that wrote the newest checkpoint. NULL: LOCK alone decides,
 * for that slot may be the one that is lost. */
static inline const struct clg_checkpoint *clg_facts_newest(const struct clg_facts *facts)
{
    return facts->have_checkpoint && facts->bad_slots == 0 ? &facts->checkpoint : NULL;
}

/* The names in the directory, log/ and view/: the segments in order, temporary and foreign files;
 * whether there is anything that a store has. */
CLG_MUST_CHECK int clg_facts_list(struct clg_facts *facts, const struct clg_store_dir *dir,
                                  struct commitlog_error *err);
/* Opens them, and looks what those are of which no header is left. */
CLG_MUST_CHECK int clg_facts_open_segments(struct clg_facts *facts, const struct clg_store_dir *dir,
                                           const struct clg_facts_options *options,
                                           struct commitlog_error *err);
/* Scans from facts->scan_from on; files are open, facts->witness has what is known without records.
 */
CLG_MUST_CHECK int clg_facts_scan(struct clg_facts *facts, struct clg_stage *stage,
                                  const struct clg_facts_options *options,
                                  struct commitlog_error *err);
/* Where the views will begin to read: with the segment that was active in the newest .state of a
 * position up to `end` whose newest record is still in the log; with the first record if there is
 * none. */
uint64_t clg_facts_views_from(const struct clg_facts *facts, const struct clg_store_dir *dir,
                              uint64_t end);
/* Where CHECKPOINT has lost what it said: a .state is written when all it speaks of is durable. */
CLG_MUST_CHECK int clg_facts_ask_states(struct clg_facts *facts, const struct clg_store_dir *dir,
                                        struct commitlog_error *err);
/* Behind the end no file begins with a record. Otherwise files of different moments were put
 * together, and what lay between is missing. */
bool clg_facts_none_behind(const struct clg_facts *facts);
/* Forget what a scan found. */
void clg_facts_reset_scan(struct clg_facts *facts);

/* facts_note.c */

/* A record behind X: by queue, how many there are. */
void clg_facts_count_queue(struct clg_facts *facts, const struct clg_record_header *header);
/* The same for those in [from, to) of the stage, which were found there. */
CLG_MUST_CHECK int clg_facts_count_staged(struct clg_facts *facts, struct clg_stage *stage,
                                          const struct clg_segment *segment, uint64_t from,
                                          uint64_t to, struct commitlog_error *err);
/* [from, found->end) is in the stage alone. */
CLG_MUST_CHECK int clg_facts_add_staged(struct clg_facts *facts, uint64_t from,
                                        const struct clg_stage_found *found,
                                        struct commitlog_error *err);
CLG_MUST_CHECK int clg_facts_add_claim(struct clg_facts *facts, uint64_t position,
                                       const struct clg_record_header *header,
                                       enum clg_claim_source source, struct commitlog_error *err);

/* facts_owner.c. The checkpoint knows the store's UUID; without it the oldest segment that can say
 * it. *out_newer: none can, and one is of a newer version. What was not asked, because a call
 * failed, is no verdict on the store: then that error is returned. */
CLG_MUST_CHECK int clg_facts_uuid(struct clg_facts *facts, const struct clg_store_dir *dir,
                                  bool *out_newer, struct commitlog_error *err);
/* There is something, but nothing that says what store it is of: a failure. */
int clg_facts_nameless(const struct clg_facts *facts, bool newer, struct commitlog_error *err);
/* `code` is COMMITLOG_EFOREIGN for a segment, whose text `err` has: which file is the foreign one?
 */
int clg_facts_foreign(const struct clg_facts *facts, const struct clg_store_dir *dir, int code,
                      struct commitlog_error *err);

#endif
