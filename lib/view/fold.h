/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold.h -- applies the records of the log to the views, in order.
 *
 * Owns: the list of views, the fold lock, the folded position, the finished segments' images.
 *
 * Invariants: 1. folded <= published; it never stops inside a batch; 2. every record before folded
 *       is in every view, none at or after it is shown by a look-up; 3. whoever publishes either
 *       folds it, or somebody who holds the lock at that moment looks at published again after
 *       unlocking: nothing published is left to chance; 4. an image is written only when its whole
 *       segment is durable, so that recovery never cuts below what a view file says.
 * Threads and locks: `lock` covers all memory of the views; it is taken before any lock of the log.
 *       `files` serialises upkeep's work on images (build, write, verify) and retention's drop; it
 *       is taken before `lock`. folded is read by anyone.
 * Happy path: clg_fold_create -> clg_fold_open -> clg_fold_run by appenders (TRY), readers (WAIT),
 *       the drainer; clg_fold_write_images by upkeep; clg_fold_drop by retention;
 *       clg_fold_save_state; clg_fold_free.
 * Failure modes: COMMITLOG_ENOMEM: nothing is lost, the same record is tried again by the next
 *       call. A record that contradicts what was folded before it (possible only after salvage or
 *       from a foreign writer) is counted and left out of the view, never stops the fold. A damaged
 *       or missing view file is rebuilt from its segment when it is first needed.
 */
#ifndef CLG_VIEW_FOLD_H
#define CLG_VIEW_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "format/topic_record.h"
#include "log/registry.h"
#include "os/lock.h"
#include "segment/segment_set.h"
#include "state/expiry_table.h"
#include "state/group_table.h"
#include "state/producer_table.h"
#include "state/timer_table.h"
#include "state/transaction_table.h"
#include "state/work_table.h"
#include "view/view.h"

struct clg_log;
struct clg_fold;

/* Where the fold takes records from once the store is open; fold_log.h makes it of a log. */
struct clg_fold_source {
    void *ctx;
    /* The record at a position < published; pointers hold until the next call. */
    int (*peek)(void *ctx, uint64_t position, struct clg_record_view *out,
                struct commitlog_error *err);
    uint64_t (*published)(void *ctx);
    void (*set_folded)(void *ctx, uint64_t position); /* may be NULL */
    uint64_t (*durable)(void *ctx);                   /* NULL: all of it is */
};

struct clg_fold_config {
    const struct commitlog_os *os;
    struct clg_registry *registry;
    struct clg_segment_set *set;
    uint8_t uuid[CLG_UUID_BYTES];
    int view_dirfd; /* DIR/view; -1: no files are read or written */
    uint32_t file_mode;
    bool read_only;    /* writes and removes no file */
    bool index_keys;   /* false: no key index is kept (queries answer EUNSUPPORTED) */
    bool skip_damage;  /* read-only over a damaged log: go on behind what does not verify */
    bool sees_durable; /* its readers see what is durable only: else, all that is folded */
};

CLG_MUST_CHECK int clg_fold_create(const struct clg_fold_config *config, struct clg_fold **out,
                                   struct commitlog_error *err);
/* NULL is fine. Nobody else may be in a call. */
void clg_fold_free(struct clg_fold *fold);

/* Called about every 100 ms of work; non-zero cancels (COMMITLOG_EINTERRUPTED). */
typedef int (*clg_fold_progress_fn)(void *ctx, uint64_t position, uint64_t end);

typedef void (*clg_fold_damage_fn)(void *ctx, uint64_t from, uint64_t to);

struct clg_fold_opening {
    uint64_t first;         /* of the log; records below are not shown */
    uint64_t end;           /* fold up to here: a record's position or the end of the log */
    uint64_t durable;       /* of that, what no power cut takes; what lies behind may go */
    uint64_t verified_from; /* the caller has just verified every record from here to `end` */
    bool may_map;           /* what was verified is read through maps */
    clg_fold_progress_fn progress; /* may be NULL */
    void *progress_ctx;
    clg_fold_damage_fn damage; /* with skip_damage: each range left out; may be NULL */
    void *damage_ctx;
};

/* What clg_fold_open did. */
struct clg_fold_report {
    uint64_t state_position; /* of the .state used; 0: none */
    uint64_t scanned_bytes;  /* of segments read */
    uint64_t records;        /* applied to at least one view */
    uint64_t damaged_ranges; /* skipped with skip_damage */
    uint64_t damaged_bytes;
    uint32_t images_loaded;
    uint32_t images_rebuilt;
    uint32_t state_refused; /* .state files that did not verify or did not agree */
};

/*
 * Everything up to opening->end: newest usable .state, view files, the rest from the segments by
 * pread. Sets the registry's topics and raises its next offsets. Once, before any other use. The
 * set must hold all segments of the log, the active one last.
 * COMMITLOG_EDAMAGED: a record before `end` does not verify (and not skip_damage).
 */
CLG_MUST_CHECK int clg_fold_open(struct clg_fold *fold, const struct clg_fold_opening *opening,
                                 struct clg_fold_report *report, struct commitlog_error *err);

/* From now on clg_fold_run takes records from here (copied). */
void clg_fold_attach(struct clg_fold *fold, const struct clg_fold_source *source);

enum clg_fold_how {
    CLG_FOLD_TRY, /* appender: if somebody else folds, leave it to him */
    CLG_FOLD_WAIT /* reader, drainer: until folded >= min(upto, published at entry) */
};

/*
 * Applies published records below `upto` (UINT64_MAX: all). TRY: at most budget records, and none
 * if the lock is taken. WAIT: pieces of `budget` records between which others get the lock, until
 * the goal is reached. Without may_seal it stops before the pad that ends a segment.
 */
CLG_MUST_CHECK int clg_fold_run(struct clg_fold *fold, uint64_t upto, uint32_t budget,
                                enum clg_fold_how how, bool may_seal, struct commitlog_error *err);

/* Everything before it is in the views. Any thread; acquire. */
uint64_t clg_fold_position(const struct clg_fold *fold);
/* Where that is, and the record before it; *out_position CLG_NO_POSITION: it is not known. */
uint64_t clg_fold_last(struct clg_fold *fold, uint64_t *out_position, uint32_t *out_check);
/* Published records are waiting behind a pad (only without may_seal). */
bool clg_fold_wants_seal(const struct clg_fold *fold);

/* Upkeep: builds or writes at most one image whose segment ends at or below `durable`.
 * *out_more: there is another one to do. With a read-only fold it only builds. */
CLG_MUST_CHECK int clg_fold_write_images(struct clg_fold *fold, uint64_t durable, bool *out_more,
                                         struct commitlog_error *err);
/* A reader's: what it has folded of finished segments gives way to the files that the writer has
 * made of them. Of a few segments, in turn; best effort. Only if nothing was left out: the files
 * say the same. */
void clg_fold_take_files(struct clg_fold *fold);
/* All images of segments before `position` are in files (or there is no directory). */
bool clg_fold_images_written(struct clg_fold *fold, uint64_t position);

/* Scrub: verifies every byte of the view files of the segment with this base and rebuilds a
 * damaged one. *out_rebuilt counts. COMMITLOG_ENOTFOUND: not a finished segment. */
CLG_MUST_CHECK int clg_fold_scrub(struct clg_fold *fold, uint64_t base, uint32_t *out_rebuilt,
                                  struct commitlog_error *err);

/* Retention: the first position rises; look-ups answer from there on at once. */
void clg_fold_set_first(struct clg_fold *fold, uint64_t first);
/* Forgets the finished segments with base < first and removes their view files, one segment per
 * call; *out_more: there are others. After the segment's own file is gone. The caller syncs the
 * directory (clg_fold_sync_dir) once at the end. */
CLG_MUST_CHECK int clg_fold_drop_one(struct clg_fold *fold, bool *out_more,
                                     struct commitlog_error *err);
CLG_MUST_CHECK int clg_fold_sync_dir(struct clg_fold *fold, struct commitlog_error *err);

/*
 * Topics whose control state must be written again before the segments with base <= `base` may go:
 * their newest definition, or the newest evidence of some queue's next offset (a record or a
 * carried pair), lies there. Starts at topic id `from`; fills up to max ids, fewer or none where
 * the look at the others would hold the lock for long; *out_next: where to go on, UINT32_MAX at
 * the end. A topic leaves the list once its new definition, with offsets, is
 * folded. *out_bytes (may be NULL): size of those definition records, the carry-forward debt.
 */
CLG_MUST_CHECK int clg_fold_carry_list(struct clg_fold *fold, uint64_t base, uint32_t from,
                                       uint32_t *ids, uint32_t max, uint32_t *out_count,
                                       uint32_t *out_next, uint64_t *out_bytes);

/* See clg_topics_steps. */
uint32_t clg_fold_topic_steps(struct clg_fold *fold, const struct clg_topic *topic,
                              uint64_t visible);
/* See clg_topics_marks. */
uint32_t clg_fold_marks(struct clg_fold *fold, const struct clg_topic *topic, uint32_t index,
                        struct clg_topic_offset *out);

/* Calls `look` with the consumer groups as of what is folded, under the fold lock; its result. */
typedef int (*clg_fold_groups_fn)(void *ctx, const struct clg_group_table *table);
CLG_MUST_CHECK int clg_fold_groups(struct clg_fold *fold, clg_fold_groups_fn look, void *ctx);
/* The same with the idempotent producers, the pending timers, the work of groups, the open
 * transactions, and what has expired. */
typedef int (*clg_fold_timers_fn)(void *ctx, const struct clg_timer_table *table);
CLG_MUST_CHECK int clg_fold_timers(struct clg_fold *fold, clg_fold_timers_fn look, void *ctx);
typedef int (*clg_fold_work_fn)(void *ctx, const struct clg_work_table *table);
CLG_MUST_CHECK int clg_fold_work(struct clg_fold *fold, clg_fold_work_fn look, void *ctx);
typedef int (*clg_fold_producers_fn)(void *ctx, const struct clg_producer_table *table);
CLG_MUST_CHECK int clg_fold_producers(struct clg_fold *fold, clg_fold_producers_fn look, void *ctx);
typedef int (*clg_fold_transactions_fn)(void *ctx, const struct clg_transaction_table *table);
CLG_MUST_CHECK int clg_fold_transactions(struct clg_fold *fold, clg_fold_transactions_fn look,
                                         void *ctx);
typedef int (*clg_fold_expiry_fn)(void *ctx, const struct clg_expiry_table *table);
CLG_MUST_CHECK int clg_fold_expiry(struct clg_fold *fold, clg_fold_expiry_fn look, void *ctx);

/* 0 once everything before `position` is durable: flushes, or refuses. */
typedef int (*clg_fold_reach_fn)(void *ctx, uint64_t position);

/* Writes view/<folded>.state and removes older ones. The state is that of the beginning of the
 * active segment. It is taken first and written after `reach` says that the records it comes from
 * are durable: beside busy appenders `durable` never catches up with `folded`. `epoch` of the
 * writer. Failures: those of reach and of writing; COMMITLOG_EMISUSE without a directory, and while
 * a record is half applied for want of memory. */
CLG_MUST_CHECK int clg_fold_save_state(struct clg_fold *fold, clg_fold_reach_fn reach, void *ctx,
                                       uint32_t epoch, uint64_t *out_position,
                                       struct commitlog_error *err);
/* The log has grown by ten times the size a .state would have since the last one, and a new one
 * would save work. */
bool clg_fold_state_due(struct clg_fold *fold);

struct clg_fold_stats {
    uint64_t folded;
    uint64_t records;           /* applied since opening */
    uint64_t contradictions;    /* records left out of a view */
    uint64_t timers;            /* that wait */
    uint64_t timer_bytes;       /* of their messages */
    uint64_t transactions;      /* open */
    uint64_t transaction_bytes; /* of their messages */
    uint64_t memory_bytes;      /* views, frozen data, images not yet written */
    uint64_t mapped_bytes;
    uint64_t images_written;
    uint64_t images_rebuilt;
    uint32_t segments;       /* finished ones known */
    uint32_t images_pending; /* built or frozen, not in a file */
};
void clg_fold_get_stats(struct clg_fold *fold, struct clg_fold_stats *out);

#endif
