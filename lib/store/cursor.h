/*
 * cursor.h -- struct commitlog_cursor, for the files cursor*.c and lease.c only.
 *
 * cursor.c: what all kinds share. cursor_queue.c: one queue by offset. cursor_topic.c: all queues
 * of a topic in log order. cursor_key.c: by key, newest first. cursor_log.c: the log as it lies.
 * cursor_fill.c: what of it is asked for, into the caller's message.
 *
 * A kind is one function that reads from where the cursor stands without waiting: it fills
 * messages and moves, or says EEND; cursor.c waits and calls it again.
 */
#ifndef CLG_STORE_CURSOR_H
#define CLG_STORE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "filter/filter.h"
#include "log/reader.h"
#include "store/store.h"
#include "view/queue_merge.h"

#define CLG_CURSOR_ENTRIES 256u
#define CLG_CURSOR_COPY_ENTRIES 8u /* of commitlog_read_copy, on its stack */
#define CLG_CURSOR_FETCH_MAX 4096u

struct clg_cursor_tag {
    uint32_t hash;
    uint32_t bytes;
    const uint8_t *data;
};

/* One call's way through the layers. */
struct clg_fetch {
    struct clg_core *core;
    uint64_t visible;
    struct commitlog_message *messages;
    uint32_t max;
    uint32_t count;
    uint64_t bytes; /* of the bodies that were read */
    uint64_t bound;
    uint32_t passed;     /* messages left out, read or not */
    uint32_t left_epoch; /* of the one that was left out last, and where the next begins */
    uint64_t left_next;
    struct clg_until until;
    bool is_unsure; /* what was read last cannot be read: whether it is still there is not known */
};

struct clg_reference;

struct clg_cursor_kind {
    int (*read)(struct commitlog_cursor *cursor, struct clg_fetch *fetch);
    int (*seek)(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                uint32_t from, uint64_t value);
    /* To stand right behind `last`, which it delivered. NULL: stands by what it delivered anyway.
     */
    void (*resume)(struct commitlog_cursor *cursor, const struct clg_record_view *last);
    /* The caller has been told that what it stands at cannot be read: it goes on by itself. NULL:
     * it does not. */
    void (*pass)(struct commitlog_cursor *cursor);
    /* Forgets what it knew of the core before. NULL: nothing but what all kinds forget. */
    void (*renew)(struct commitlog_cursor *cursor);
    /* Is it what was asked for, besides tags and filter? NULL: whatever it is. */
    bool (*wants)(const struct commitlog_cursor *cursor, const struct commitlog_message *message);
};

/* Room of the caller's that messages are copied to. */
struct clg_cursor_copy {
    uint8_t *buffer;
    size_t room;
    size_t used;
    size_t needed; /* by the first that did not fit */
};

struct commitlog_cursor {
    struct commitlog_store *store;
    const struct clg_cursor_kind *kind;
    struct clg_reader reader;
    uint64_t generation; /* of the core it last read from */
    uint32_t topic;
    uint32_t queue; /* number in the store */
    uint32_t queue_in_topic;
    uint32_t queues; /* of the topic, for a merge; it may have grown */
    uint64_t next;   /* offset, or position in log order */
    /* What it saw last: whether a recovery has cut it shows when the core changes. */
    bool has_last;
    uint32_t unsure; /* fetches, one after the other, that could not read it */
    uint64_t last_position;
    uint32_t last_check;
    /* Where it was placed: who has been given nothing since goes back there at another core. */
    uint64_t placed;
    uint32_t placed_epoch; /* min_epoch then */
    bool stands;           /* a reader's: it saw last what lies before that, and was not given it */
    uint32_t min_epoch;    /* log order: no later record has a lower one; others: 0 */
    /* tags */
    uint8_t *tag_bytes;
    struct clg_cursor_tag *tags;
    uint32_t tag_count;
    struct commitlog_filter *filter; /* NULL: none; a reference of its own */
    uint32_t pass_limit;             /* of one fetch; 0: none */
    /* merge */
    struct clg_merge *merge;
    uint64_t crossed;    /* known damage before it was reported; one queue: not 0, that in front */
    uint64_t behind_end; /* one queue: 0, or 1 + the end behind which damage was reported */
    bool one_fetch;      /* by offset: of what lies in front of that nobody asks */
    struct clg_cursor_copy *copy; /* NULL: messages are borrows */
    /* key */
    struct clg_lookup_key query;
    uint8_t *key;
    size_t key_bytes;
    int64_t since_ns;
    int64_t until_ns;
    union {
        struct clg_lookup_entry *entries;
        struct clg_merge_entry *merged;
        uint64_t *positions;
    } scratch;
    uint32_t scratch_entries; /* CLG_CURSOR_ENTRIES, but in commitlog_read_copy */
    uint32_t pending;         /* key and merge: candidates of scratch not delivered yet */
    uint32_t pending_at;
};

extern const struct clg_cursor_kind clg_cursor_queue;
extern const struct clg_cursor_kind clg_cursor_topic;
extern const struct clg_cursor_kind clg_cursor_key;
extern const struct clg_cursor_kind clg_cursor_log;

/* Is every message of it wanted, and as a borrow? */
bool clg_cursor_takes_any(const struct commitlog_cursor *cursor);
/* One more is passed over. COMMITLOG_EAGAIN: not this one any more; EINTERRUPTED. */
CLG_MUST_CHECK int clg_cursor_pass(const struct commitlog_cursor *cursor, struct clg_fetch *fetch);
/* 1 if an entry with this tag hash can match, 0 if not. */
bool clg_cursor_wants_hash(const struct commitlog_cursor *cursor, uint32_t tag_hash);
/* Of zeros: a cursor without scratch, and without a reference to the store. Give its reader back.
 */
void clg_cursor_begin(struct commitlog_cursor *cursor, struct commitlog_store *store,
                      const struct clg_cursor_kind *kind);
/* To one queue of a topic, or COMMITLOG_QUEUE_ALL. ENOTFOUND: no such topic; EINVAL: no such queue.
 */
CLG_MUST_CHECK int clg_cursor_aim(struct commitlog_cursor *cursor, uint32_t topic, uint32_t queue,
                                  struct commitlog_error *err);
/* The same at this core, as it is now. */
CLG_MUST_CHECK int clg_cursor_aim_at(struct commitlog_cursor *cursor, const struct clg_core *core,
                                     uint32_t topic, uint32_t queue);
/* At another core its queues may have other numbers: those of a topic whose definition was lost
 * with its writer may be another topic's now. ENOTFOUND: this core has it no more. */
CLG_MUST_CHECK int clg_cursor_aim_anew(struct commitlog_cursor *cursor,
                                       const struct clg_core *core);
/* It was placed: who has read nothing yet stands behind what lies before the place. */
void clg_cursor_stand(struct commitlog_cursor *cursor, const struct clg_core *core,
                      uint64_t visible);
/* Before a read at fetch->core. EROLLEDBACK: what it read last, or stands behind, is gone;
 * ENOTFOUND: its topic is, and nothing was read; EEND: whether it is there the next writer's
 * recovery will tell. Others: that could not be read. */
CLG_MUST_CHECK int clg_cursor_check_core(struct commitlog_cursor *cursor, struct clg_fetch *fetch);
/* In log order: damage that the opening found lies between what was read last and `upto`: once. */
CLG_MUST_CHECK int clg_cursor_cross(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                                    uint64_t upto);
/* Where a seek to `position` leads: past damage behind the end, to the end, where it goes on. */
uint64_t clg_cursor_past(const struct commitlog_cursor *cursor, uint64_t visible,
                         uint64_t position);
/* The record at `position`, checked against what the index says of it, into the next message.
 * `expected` NULL: any. Unless it is 0, no message is touched. COMMITLOG_ENOTFOUND: not what was
 * asked for, left out: left_next and left_epoch are its; EAGAIN: no more pins, or as many were
 * passed over as may be; EDAMAGED, reported; ETOOBIG: no room for the copy; EINTERRUPTED: so many
 * were left out that somebody asked to end it. */
CLG_MUST_CHECK int clg_cursor_take(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                                   uint64_t position, uint32_t queue, uint64_t queue_offset,
                                   const struct clg_reader_expected *expected);
/* cursor_fill.c. 1: the next message is filled; 0: it is not asked for; else why not: EDAMAGED,
 * EUNSUPPORTED, ETOOBIG (no room for its copy). */
CLG_MUST_CHECK int clg_cursor_fill(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                                   const struct clg_record_view *view,
                                   const struct clg_reference *reference);

#endif
