/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_internal.h -- the fold's own memory, for its files only.
 *
 *   fold.c          create, run, stats
 *   fold_views.c    the list of views
 *   fold_segments.c end of a segment, rebuild of one, repair
 *   fold_files.c    upkeep: write, scrub, drop
 *   fold_open.c     what happens when a store opens
 *   fold_ends.c     there: queues go on behind all that is named
 *   fold_state.c    the .state file
 *   lookup.c        questions
 *
 * Invariants, threads and locks, happy path, failure modes: as fold.h.
 */
#ifndef CLG_VIEW_FOLD_INTERNAL_H
#define CLG_VIEW_FOLD_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "segment/segment_scan.h"
#include "view/fold.h"

enum {
    CLG_VIEW_TOPICS,
    CLG_VIEW_QUEUES,
    CLG_VIEW_KEYS,
    CLG_VIEW_GROUPS,
    CLG_VIEW_PRODUCERS,
    CLG_VIEW_TIMERS,
    CLG_VIEW_WORK,
    CLG_VIEW_TRANSACTIONS,
    CLG_VIEW_EXPIRY,
    CLG_VIEW_COUNT
};

struct clg_fold {
    struct clg_fold_config config;
    struct clg_mutex files; /* upkeep's image work and drops; before lock */
    struct clg_mutex lock;

    /* Written under lock, read by anyone. ORDER(folded-1): release after the views changed. */
    _Atomic uint64_t folded;
    _Atomic uint32_t wants_seal;

    /* All under lock. */
    struct clg_view *views[CLG_VIEWS_MAX]; /* NULL: not kept (key index switched off) */
    uint32_t view_count;
    uint32_t takers[CLG_VIEW_KINDS];       /* of records of this kind: views, a bit each */
    uint32_t plain_takers[CLG_VIEW_KINDS]; /* of those without attributes */
    struct clg_view_segments segments;
    struct clg_fold_source source;
    bool attached;
    /* Where a failed apply goes on: records before `applied` are in all views, the one at it in
     * the views before `resume_view`. */
    uint64_t applied;
    uint32_t resume_view;
    uint64_t last_position; /* newest record folded; CLG_NO_POSITION: none */
    uint32_t last_header_check;
    uint64_t state_position; /* of the newest .state written or used; 0: none */
    uint64_t state_active_base;
    uint64_t records;
    uint64_t images_written;
    uint64_t images_rebuilt;
    uint64_t take_from;        /* reader, under files: segments whose files are looked for next */
    clg_fold_damage_fn damage; /* of the opening: what rebuilding a file leaves out is told, too */
    void *damage_ctx;
};

/* In the order in which a record is applied: topics first, they name what the others index. */
extern const struct clg_view_ops *const clg_fold_views[CLG_VIEW_COUNT];

/* fold.c: one record into the views of `mask`; others get apply_control. */
CLG_MUST_CHECK int clg_fold_apply(struct clg_fold *fold, const struct clg_record_view *record,
                                  uint32_t mask);

/* The log's of now; CLG_POSITION_MAX before it is attached, and of a source that cannot tell. */
uint64_t clg_fold_durable(const struct clg_fold *fold);

/* fold_segments.c */

/* The item of a finished segment, made at the end of the list if it is not there. */
CLG_MUST_CHECK int clg_fold_item_need(struct clg_fold *fold, const struct clg_view_segment *id,
                                      struct clg_view_item **out);
/* The active segment ended: freezes what every view has of it. ENOMEM: nothing changed, and it can
 * be repeated. The caller sets the new active_base. */
CLG_MUST_CHECK int clg_fold_end_segment(struct clg_fold *fold, const struct clg_view_segment *id);
void clg_fold_clear_segments(struct clg_fold *fold);
/* Makes every slot that is NONE again from its segment; *out_rebuilt counts. */
CLG_MUST_CHECK int clg_fold_repair(struct clg_fold *fold, uint32_t *out_rebuilt,
                                   struct commitlog_error *err);

/* Damage is skipped when asked: ranges and bytes are counted. */
struct clg_fold_scan {
    struct clg_segment *segment;
    uint64_t end; /* position to stop at */
    enum clg_scan_mode mode;
    uint64_t verified_from; /* header only from here on */
    bool may_map;           /* and through the map: clg_scan_use_map */
    bool skip_damage;
    int (*apply)(void *ctx, const struct clg_record_view *record);
    void *ctx;
    uint64_t records;
    uint64_t damaged_ranges;
    uint64_t damaged_bytes;
    bool unreadable;           /* some of it did not read: the device may yet give it */
    clg_fold_damage_fn damage; /* NULL: nobody wants to know */
    void *damage_ctx;
    bool padded; /* the closing pad was seen */
};
CLG_MUST_CHECK int clg_fold_scan(const struct commitlog_os *os, struct clg_fold_scan *scan,
                                 struct commitlog_error *err);

/* fold_state.c. 0: views, segments and active_base are as of the state; else all is reset. */
CLG_MUST_CHECK int clg_fold_restore_state(struct clg_fold *fold, uint64_t position);
void clg_fold_reset(struct clg_fold *fold);

/* fold_ends.c: after all was folded up to `end`. */
CLG_MUST_CHECK int clg_fold_reach_ends(struct clg_fold *fold, uint64_t end);

static inline uint32_t clg_fold_all(void)
{
    return (1u << CLG_VIEW_COUNT) - 1u;
}

#endif
