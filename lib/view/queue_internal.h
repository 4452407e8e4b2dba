/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_internal.h -- the consume queue's memory, for its own files only.
 *
 *   consume_queue.c  heads, apply, save and restore
 *   queue_active.c   the arena and chunks of the active segment
 *   queue_sealed.c   freeze, link, build, install, check
 *   queue_walk.c     parts, walks along the links, look-ups
 *
 * Invariants: chunks are immutable but for the free room behind the last entry; a frozen slot owns
 *       the arena its chunks lie in.
 * Threads and locks: as consume_queue.h.
 * Happy path, failure modes: in the files above.
 */
#ifndef CLG_VIEW_QUEUE_INTERNAL_H
#define CLG_VIEW_QUEUE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "format/queue_file.h"
#include "view/consume_queue.h"

/* 2 MiB: all chunks but the first are on huge pages, and of the first only what is used takes
 * memory. */
#define CLG_HEADS_PER_CHUNK 32768u
#define CLG_HEAD_CHUNKS (CLG_REGISTRY_CHUNK * CLG_REGISTRY_CHUNKS / CLG_HEADS_PER_CHUNK)

#define CLG_CHUNK_FIRST_ROOM 2u
#define CLG_CHUNK_MAX_ROOM 1024u

/* Index of a link that says: search the segments below, one by one. Made where a segment was
 * rebuilt alone, without the links of its neighbours. */
#define CLG_LINK_SEARCH UINT32_MAX

struct clg_queue_block {
    struct clg_queue_block *next;
    uint32_t used;
    uint32_t size;
};

struct clg_queue_arena {
    struct clg_queue_block *blocks; /* newest first */
    uint64_t bytes;
};

/* Entries in the encoding of the file. Linked like the files of a queue: prev and one jump. */
struct clg_queue_chunk {
    const struct clg_queue_chunk *prev;
    const struct clg_queue_chunk *jump;
    uint32_t first; /* index of entries[0] among the queue's entries of this segment */
    uint32_t room;
    uint32_t ordinal;
    uint32_t zero;
    uint8_t entries[];
};

/* Zeros until something is said about the queue, which sets `used` and the links. */
struct clg_queue_head {
    CLG_ALIGN_LINE uint64_t next; /* folded: the offset the next record should have */
    uint64_t first;               /* of the first active entry; with count > 0 */
    struct clg_queue_chunk *last; /* newest chunk; with count > 0 */
    uint64_t link_base;           /* newest finished segment with entries; CLG_LINK_NONE */
    uint64_t carried_base;        /* newest segment with a carried pair; CLG_LINK_NONE */
    uint32_t link_index;
    uint32_t link_ordinal;
    uint32_t count; /* active entries */
    uint32_t used;  /* not 0: something was ever said about this queue; else not to be looked at */
};

struct clg_queue_heads {
    struct clg_queue_head heads[CLG_HEADS_PER_CHUNK];
    uint64_t touched[CLG_HEADS_PER_CHUNK / 64]; /* has active entries */
};

struct clg_consume_queue {
    struct clg_view view;
    struct clg_queue_arena arena;
    uint64_t used_heads;
    uint64_t touched_heads;
    uint64_t active_entries;
    uint64_t frozen_bytes;
    uint64_t contradictions;
    uint32_t numbers; /* highest queue number with a head in use + 1 */
    struct clg_queue_heads *chunks[CLG_HEAD_CHUNKS];
};

struct clg_queue_frozen_entry {
    struct clg_queue_directory directory; /* as it will be in the file */
    const struct clg_queue_chunk *last;
};

/* slot->data. FROZEN: entries and arena; MEMORY and MAPPED: file. */
struct clg_queue_slot {
    bool frozen;
    struct clg_queue_file file;
    struct clg_queue_arena arena;
    struct clg_queue_frozen_entry *queues; /* behind this struct, in the same block */
    uint32_t queue_count;
    uint32_t linked; /* jumps of queues [0, linked) are filled */
    uint64_t entry_count;
    uint64_t bytes;
};

/* A queue's entries in one segment, wherever they are. */
struct clg_queue_part {
    uint64_t base;
    uint64_t first; /* offset of entry 0 */
    uint64_t jump_end;
    struct clg_queue_link prev;
    struct clg_queue_link jump;
    const uint8_t *flat; /* or NULL: in chunks */
    const struct clg_queue_chunk *last;
    uint32_t count;
    uint32_t ordinal;
    uint32_t queue;
};

static inline struct clg_consume_queue *clg_queue_of(struct clg_view *view)
{
    return (struct clg_consume_queue *)view;
}

static inline const struct clg_consume_queue *clg_queue_of_const(const struct clg_view *view)
{
    return (const struct clg_consume_queue *)view;
}

/* queue_active.c */

/* Appends one encoded entry with offset head->first + head->count (first is set by the caller when
 * count is 0). COMMITLOG_ENOMEM: nothing changed. */
CLG_MUST_CHECK int clg_queue_active_append(struct clg_consume_queue *cq,
                                           struct clg_queue_head *head,
                                           const uint8_t entry[CLG_QUEUE_ENTRY_BYTES]);
void clg_queue_arena_free(const struct commitlog_os *os, struct clg_queue_arena *arena);
/* Entry i of those that end with chunk `last`. */
const uint8_t *clg_queue_chunk_entry(const struct clg_queue_chunk *last, uint32_t i);
/* Chunk that holds entry i. */
const struct clg_queue_chunk *clg_queue_chunk_find(const struct clg_queue_chunk *last, uint32_t i);

/* consume_queue.c; NULL: nothing was ever said about this queue. */
struct clg_queue_head *clg_queue_head_find(const struct clg_consume_queue *cq, uint32_t queue);
/* A finished segment's directory entry becomes the queue's newest link. */
CLG_MUST_CHECK int clg_queue_raise(struct clg_consume_queue *cq,
                                   const struct clg_queue_directory *directory, uint64_t base,
                                   uint32_t index);

/* queue_sealed.c */
void *clg_queue_reserve(const struct clg_view *view);
void clg_queue_freeze(struct clg_view *view, struct clg_view_item *item, void *reserved);
int clg_queue_link_some(struct clg_view *view, struct clg_view_item *item, uint32_t budget);
int clg_queue_build(struct clg_view *view, const struct clg_view_item *item, struct clg_image *out);
int clg_queue_install(struct clg_view *view, struct clg_view_item *item, struct clg_image *image,
                      enum clg_view_slot_state state);
int clg_queue_check(struct clg_view *view, const struct clg_view_segment *id,
                    const struct clg_image_file *file);
int clg_queue_advance(struct clg_view *view, struct clg_view_item *item);
int clg_queue_verify(struct clg_view *view, const struct clg_view_item *item);
void clg_queue_release(struct clg_view *view, struct clg_view_slot *slot);
void clg_queue_detach_links(struct clg_view *view, struct clg_view_item *item);

/* queue_walk.c */

/* A value in a verified file contradicts its bounds: the slot is NONE from now on. */
int clg_queue_part_damaged(struct clg_view *view, struct clg_view_item *item);
/* The part a link leads to. ENOTFOUND: it leads nowhere (any more). */
CLG_MUST_CHECK int clg_queue_part_at(struct clg_consume_queue *cq, uint32_t queue,
                                     const struct clg_queue_link *link, struct clg_queue_part *out);

#endif
