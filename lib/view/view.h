/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h -- what a view of the log is: the functions each one implements, and the segments whose
 *           data it answers from.
 *
 * A view is a deterministic function of the log. It keeps what the active segment adds in memory;
 * when that segment ends it freezes it (quick, under the fold lock), an immutable image is built
 * from the frozen data (slow, without the lock) and later written to view/<base>.<extension>.
 * A new view is one file with a table of these functions and one line in fold_views.c.
 *
 * Invariants: 1. apply is called in log order, each record of the kinds it takes once; 2. a slot's
 *       data is immutable from freeze on, so build may read it without the lock; 3. an image says
 *       the same as the frozen data it was built from, at the same indices, so links into it stay
 *       good; 4. nothing here is trusted over the log: what does not verify is made again.
 * Threads and locks: every function but build is called under the fold lock. build is called for
 *       a slot in state FROZEN, which only the same caller may change.
 * Happy path: create -> restore -> adopt or apply per segment -> apply live; at a pad freeze;
 *       upkeep: build, install, write, install the map; retention: drop.
 * Failure modes: COMMITLOG_ENOMEM leaves the view as it was, and the same record may be applied
 *       again. COMMITLOG_EDAMAGED from adopt, restore or a look-up: the caller rebuilds.
 */
#ifndef CLG_VIEW_VIEW_H
#define CLG_VIEW_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "format/queue_file.h" /* struct clg_view_segment */
#include "log/record_view.h"
#include "log/registry.h"
#include "os/os.h"
#include "segment/segment_name.h"
#include "view/image.h"

#define CLG_VIEWS_MAX 9u
#define CLG_VIEW_KINDS 32u /* of a kind from here on no view knows */
#define CLG_VIEW_TAKES(kind) (UINT32_C(1) << (kind))

enum clg_view_slot_state {
    CLG_SLOT_NONE,    /* nothing usable: rebuild from the segment */
    CLG_SLOT_ON_DISK, /* a file of this name was listed; not opened yet */
    CLG_SLOT_FROZEN,  /* data in memory, no image yet */
    CLG_SLOT_MEMORY,  /* image in memory, not in a file */
    CLG_SLOT_MAPPED   /* image mapped from its file */
};

struct clg_view_slot {
    enum clg_view_slot_state state;
    struct clg_image image; /* MEMORY, MAPPED */
    void *data;             /* the view's own; freed by its release */
    bool written; /* MEMORY: no file is to be written: it is there and was not mapped, or not all of
                     the segment reads */
    uint32_t failures; /* NONE: of rebuilding it, by a segment that does not read; and not again */
    int64_t retry_at_ns; /* before then */
};

/* One finished segment. */
struct clg_view_item {
    struct clg_view_segment id;
    int64_t
        first_time;    /* store times of its records lie in [first_time, last_time]; these may be */
    int64_t last_time; /* wider than the records, up to the whole range when unknown */
    struct clg_view_slot slots[CLG_VIEWS_MAX];
};

/* Finished segments in order of base, shared by all views. */
struct clg_view_segments {
    struct clg_view_item *items; /* [start, start + count) */
    uint32_t start;
    uint32_t count;
    uint32_t room;
    uint64_t first; /* retention's first position: what lies below is not answered from */
    /* For control records that count once they are, as of the last such record; CLG_POSITION_MAX
     * where readers see all that is folded. */
    uint64_t durable;
    uint64_t active_base;
    int64_t active_first_time; /* of the active segment's records; INT64_MAX: none yet */
    int64_t active_last_time;
};

/* What a view gets when it is made. Outlives the view. */
struct clg_view_context {
    const struct commitlog_os *os;
    struct clg_registry *registry;
    struct clg_view_segments *segments;
    const uint8_t *uuid; /* 16 bytes */
    int view_dirfd;      /* -1: no files */
    uint32_t file_mode;
    bool index_keys;
};

struct clg_view;

struct clg_view_ops {
    const char *name;
    uint32_t state_id;          /* section of .state; 0: keeps nothing there */
    uint32_t kinds;             /* of the records it is given, a bit each */
    uint32_t attribute_kinds;   /* of which those without attributes mean nothing to it */
    bool sealed;                /* has data per segment */
    enum clg_segment_file file; /* if so: the kind of its file */

    int (*create)(const struct clg_view_context *context, uint32_t slot, struct clg_view **out);
    void (*destroy)(struct clg_view *view);
    /* Forgets everything but the segments' slots. */
    void (*reset)(struct clg_view *view);
    int (*apply)(struct clg_view *view, const struct clg_record_view *record); /* of `kinds` */
    /* The same for a control record of a segment whose data came from its file: only what the
     * file does not hold. NULL: the file holds all. */
    int (*apply_control)(struct clg_view *view, const struct clg_record_view *record);

    /* The rest is NULL when the view is not sealed. */

    /* The active segment ended. What its slot will need, in one block for freeze or os->free; NULL:
     * out of memory. */
    void *(*reserve)(const struct clg_view *view);
    /* Its data moves into the slot (state FROZEN), with what was reserved. Cannot fail: either all
     * views have ended a segment or none. */
    void (*freeze)(struct clg_view *view, struct clg_view_item *item, void *reserved);
    /* Completes frozen data with what has to be looked up in older segments, `budget` pieces per
     * call: 1 while there is more, 0 when done. NULL: nothing to complete. */
    int (*link)(struct clg_view *view, struct clg_view_item *item, uint32_t budget);
    /* The image of a frozen slot. Reads only the slot. */
    int (*build)(struct clg_view *view, const struct clg_view_item *item, struct clg_image *out);
    /* The image (verified already, or built here) replaces what the slot holds and belongs to it
     * from now on. Touches nothing but the slot. */
    int (*install)(struct clg_view *view, struct clg_view_item *item, struct clg_image *image,
                   enum clg_view_slot_state state);
    /* Verifies, by pread, what look-ups will rely on: header and directory. */
    int (*check)(struct clg_view *view, const struct clg_view_segment *id,
                 const struct clg_image_file *file);
    /* The slot's data counts as applied: what comes next continues from it. In log order. */
    int (*advance)(struct clg_view *view, struct clg_view_item *item);
    /* Every byte of an installed image verified: 0 or COMMITLOG_EDAMAGED. For scrub. */
    int (*verify)(struct clg_view *view, const struct clg_view_item *item);
    /* Frees slot->data; the image is freed by the caller. */
    void (*release)(struct clg_view *view, struct clg_view_slot *slot);
    /* The frozen data was made from one segment alone (rebuild): marks what depends on the
     * segments before it as unknown. NULL: nothing does. */
    void (*detach_links)(struct clg_view *view, struct clg_view_item *item);

    /* State as of the beginning of the active segment. NULL with state_id 0. */
    uint64_t (*save_bytes)(const struct clg_view *view);
    void (*save)(const struct clg_view *view, uint8_t *out, uint64_t bytes);
    /* Of records below `upto`; a state that names others is COMMITLOG_EDAMAGED. */
    int (*restore)(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto);

    uint64_t (*memory)(const struct clg_view *view);
};

static inline bool clg_view_takes(const struct clg_view_ops *ops, uint32_t kind)
{
    return kind < CLG_VIEW_KINDS && (ops->kinds & CLG_VIEW_TAKES(kind)) != 0;
}

/* First member of every view. */
struct clg_view {
    const struct clg_view_ops *ops;
    struct clg_view_context context;
    uint32_t slot;
};

/* The finished segment with exactly this base, or NULL (dropped, active, none). */
struct clg_view_item *clg_view_segments_find(const struct clg_view_segments *segments,
                                             uint64_t base);
/* Index (0 = oldest) of the newest finished segment with base < limit; UINT32_MAX: none. */
uint32_t clg_view_segments_below(const struct clg_view_segments *segments, uint64_t limit);
static inline struct clg_view_item *clg_view_segments_at(const struct clg_view_segments *segments,
                                                         uint32_t index)
{
    return &segments->items[segments->start + index];
}

/* Makes the slot's data usable: opens and maps the file if it is only listed. 0, or
 * COMMITLOG_EDAMAGED after which the slot is NONE and must be rebuilt. ENOMEM, EIO, ELIMIT. */
CLG_MUST_CHECK int clg_view_slot_open(struct clg_view *view, struct clg_view_item *item);

/* Frees everything a slot holds; NONE afterwards. */
void clg_view_slot_clear(struct clg_view *view, struct clg_view_slot *slot);

#endif
