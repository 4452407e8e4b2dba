/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup.h -- questions to the views: by queue offset, by time, in log order, by key.
 *
 * Every function takes `visible`, the position at which the caller's view of the log ends: records
 * at or behind it are not shown, nor is what is not folded yet (the caller runs the fold first).
 * Results are copies; the caller pins the segment of a position and reads the record there. A
 * queue entry carries the record's header check: the reader compares, so a stale entry is found.
 *
 * What has expired (expiry_view.h) is answered like what retention took, once the record that says
 * so lies before `visible`.
 *
 * Invariants: the entries of a queue between its min and next are contiguous. An offset the log
 *       lost (salvage) reads as a hole of size 0 at CLG_NO_POSITION.
 * Threads and locks: any thread; each call takes the fold lock once, for O(log segments) plus the
 *       entries asked for, and longer only if a view file turns out damaged: it is rebuilt.
 * Happy path: clg_fold_run(WAIT) -> clg_lookup_range -> clg_lookup_entries -> read the records.
 * Failure modes: COMMITLOG_ETOOSMALL, EEND, EBEYOND with the bound; COMMITLOG_EIO or EDAMAGED when
 *       a segment needed for a rebuild does not read; outputs are untouched on those.
 */
#ifndef CLG_VIEW_LOOKUP_H
#define CLG_VIEW_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/error.h" /* CLG_NO_POSITION */
#include "format/record.h"
#include "view/fold.h"

struct clg_lookup_entry {
    uint64_t queue_offset;
    uint64_t position; /* CLG_NO_POSITION: a lost offset */
    uint64_t segment_base;
    uint64_t lost; /* a lost offset: so many from this one on are; 0: not lost */
    int64_t store_time;
    uint32_t size;
    uint32_t tag_hash;
    uint32_t header_check;
    uint32_t flags; /* CLG_QUEUE_ENTRY_HOLE, CLG_QUEUE_ENTRY_REFERENCE */
};

/* Does the record that was found there say the same? An entry may lie. */
static inline bool clg_lookup_agrees(const struct clg_lookup_entry *entry, uint32_t queue,
                                     const struct clg_record_header *header)
{
    return header->header_check == entry->header_check && header->queue_number == queue &&
           header->queue_offset == entry->queue_offset;
}

struct clg_lookup_range {
    uint64_t min;       /* first offset kept; = next when there is none */
    uint64_t next;      /* the visible end */
    int64_t first_time; /* of the entries at min and next - 1; 0 when empty */
    int64_t last_time;
};

/* A queue that never had a record is 0, 0. COMMITLOG_ENOTFOUND: no queue of this number. */
CLG_MUST_CHECK int clg_lookup_range(struct clg_fold *fold, uint32_t queue, uint64_t visible,
                                    struct clg_lookup_range *out);

/*
 * Up to max entries from `offset` on: *out_count > 0 and 0; or ETOOSMALL (*out_bound = min), EEND
 * (offset = next), EBEYOND (*out_bound = next).
 */
CLG_MUST_CHECK int clg_lookup_entries(struct clg_fold *fold, uint32_t queue, uint64_t offset,
                                      uint64_t visible, struct clg_lookup_entry *entries,
                                      uint32_t max, uint32_t *out_count, uint64_t *out_bound);

/* Forgets the work of groups on messages below the first of their queue, which has gone with
 * retention, or has expired. As far as it goes: what cannot be found out now stays for the next
 * time, and those who ask leave it out by themselves. */
void clg_lookup_trim_work(struct clg_fold *fold);

/* COMMITLOG_LOWER: smallest offset with time >= t, else next. COMMITLOG_UPPER: largest with
 * time <= t, else COMMITLOG_ENOTFOUND. */
CLG_MUST_CHECK int clg_lookup_time(struct clg_fold *fold, uint32_t queue, int64_t time_ns,
                                   uint32_t bound, uint64_t visible, uint64_t *out_offset);

/* Messages of this queue's topic below this position have expired; 0: none. For who has looked some
 * up before. */
uint64_t clg_lookup_expired(struct clg_fold *fold, uint32_t queue, uint64_t visible);

/* Smallest offset whose record lies at or behind `position`, else next. */
CLG_MUST_CHECK int clg_lookup_position(struct clg_fold *fold, uint32_t queue, uint64_t position,
                                       uint64_t visible, uint64_t *out_offset);

/*
 * Candidates for a key: positions of records whose key hash agrees (nearly always the key itself
 * does; the caller compares), newest first, each once. Segments outside [since, until] are
 * skipped; the caller compares the record's time. `visible`, from which the query goes down, says
 * here what has expired: it may have risen. *out_count < max: there are no more.
 */
struct clg_lookup_key {
    uint64_t hash;  /* clg_key_hash(topic's name_hash, key) */
    uint32_t queue; /* any one of the topic's: what has expired is not given */
    int64_t since_ns;
    int64_t until_ns;
    uint64_t before;     /* goes on below this position; starts as the visible end */
    uint64_t hint_base;  /* where the last call stopped in the table in memory; starts as */
    uint32_t hint_entry; /* CLG_NO_POSITION, 0 */
};
void clg_lookup_key_init(struct clg_lookup_key *query, uint32_t queue, uint64_t hash,
                         int64_t since_ns, int64_t until_ns, uint64_t visible);
CLG_MUST_CHECK int clg_lookup_key_next(struct clg_fold *fold, struct clg_lookup_key *query,
                                       uint64_t visible, uint64_t *positions, uint32_t max,
                                       uint32_t *out_count);

#endif
