/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_internal.h -- the key index's memory, for its own files only.
 *
 *   key_active.c  the table of the active segment
 *   key_sealed.c  freeze, build, install, check
 *   key_index.c   apply, queries
 *
 * Invariants: an entry's index never changes while its table lives.
 * Threads and locks: as key_index.h. Happy path, failure modes: in the files above.
 */
#ifndef CLG_VIEW_KEY_INTERNAL_H
#define CLG_VIEW_KEY_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "format/key_file.h"
#include "view/key_index.h"

#define CLG_KEY_TABLES 64u /* chosen by the top 6 bits of the hash */
#define CLG_KEY_CHUNK 4096u
#define CLG_KEY_SLOTS_FIRST 16u

struct clg_key_entry {
    uint64_t hash;
    uint32_t place;
    uint32_t older; /* index + 1 of the next older entry of this hash; 0: none */
};

struct clg_key_slots {
    uint32_t *slots; /* index + 1 of the newest entry of a hash; 0: free */
    uint32_t room;   /* power of two, or 0 */
    uint32_t used;
};

struct clg_key_table {
    struct clg_key_slots tables[CLG_KEY_TABLES];
    struct clg_key_entry **chunks;
    uint32_t chunk_room;
    uint32_t count;
    uint64_t bytes;
};

struct clg_key_index {
    struct clg_view view;
    struct clg_key_table table; /* of the active segment */
    uint64_t frozen_bytes;
    uint64_t contradictions;
};

/* slot->data */
struct clg_key_slot {
    bool frozen;
    struct clg_key_table table; /* frozen */
    struct clg_key_file file;   /* else */
};

static inline struct clg_key_index *clg_key_of(struct clg_view *view)
{
    return (struct clg_key_index *)view;
}

/* key_active.c */
CLG_MUST_CHECK int clg_key_table_add(const struct commitlog_os *os, struct clg_key_table *table,
                                     uint64_t hash, uint32_t place);
/* Index + 1 of the newest entry of this hash, 0: none. */
uint32_t clg_key_table_newest(const struct clg_key_table *table, uint64_t hash);
const struct clg_key_entry *clg_key_table_entry(const struct clg_key_table *table, uint32_t index);
void clg_key_table_free(const struct commitlog_os *os, struct clg_key_table *table);

/* key_sealed.c */
void *clg_key_reserve(const struct clg_view *view);
void clg_key_freeze(struct clg_view *view, struct clg_view_item *item, void *reserved);
int clg_key_build(struct clg_view *view, const struct clg_view_item *item, struct clg_image *out);
int clg_key_install(struct clg_view *view, struct clg_view_item *item, struct clg_image *image,
                    enum clg_view_slot_state state);
int clg_key_check(struct clg_view *view, const struct clg_view_segment *id,
                  const struct clg_image_file *file);
int clg_key_verify(struct clg_view *view, const struct clg_view_item *item);
void clg_key_release(struct clg_view *view, struct clg_view_slot *slot);

#endif
