/*
 * commit_log.h -- the commit log of an open store: positions, append, drain, flush, peek.
 *
 * The way of a message by file name:
 *   appender.c   sizes the record, asks for its place, builds it
 *   claim.c      position, queue offset, store time, definitions, switch to the next segment
 *   stage.c      the ring it is built in (staged engine)   mapped.c  or the segment itself (mmap)
 *   large.c      records too large for the ring: straight into the segment
 *   publish.c    moves `published` over the contiguous committed records, wakes readers
 *   drain.c      stage -> segment by pwrite; moves `written`
 *   seal.c       footer of a segment that is full and durable
 *   flush.c      group commit: a waiting appender leads, fdatasync; moves `durable`
 *   live.c       the live area where other processes see all that
 *   reserve.c    the same in two steps, with the caller writing the body in place
 *   peek.c       back to the fold   reader.c  back to readers, verified
 *
 * Invariants: first <= durable <= written <= published <= claimed; each only grows. Nothing at or
 *       beyond `published` is drained or flushed. Bytes of the ring at p are overwritten only when
 *       written > p and folded > p. A record lies in one segment; a segment ends with a pad.
 * Threads and locks (a later one may be taken while holding an earlier one, never the reverse):
 *       flush.leader > drain_lock > claim_lock > latch_lock; before the leader seal_lock; between
 *       that and claim_lock unmap_lock. The view layer's fold lock is taken before any of these, or
 *       alone.
 * Failure modes: COMMITLOG_EAGAIN (no room; the caller folds, then clg_log_wait_room),
 *       COMMITLOG_ENOSPC (no next segment, nothing claimed), COMMITLOG_EFAILED (latched).
 */
#ifndef CLG_LOG_COMMIT_LOG_H
#define CLG_LOG_COMMIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "format/live_area.h"
#include "log/record_view.h"
#include "log/registry.h"
#include "os/lock.h"
#include "os/os.h"
#include "segment/segment_set.h"
#include "segment/segment_supply.h"

struct clg_engine; /* engine.h */
struct clg_live;   /* live.h */

struct clg_log_config {
    const struct commitlog_os *os;
    struct clg_segment_set *set;       /* recovered; the last one is the active one */
    struct clg_segment_supply *supply; /* NULL for a follower */
    struct clg_registry *registry;
    struct clg_live *live;
    uint32_t engine; /* COMMITLOG_ENGINE_... */
    uint64_t first;  /* positions as recovery left them; all before `end` is durable */
    uint64_t end;
    uint32_t epoch; /* of this writer session */
    int64_t last_time_ns;
    uint64_t session_id;
    uint64_t segment_bytes; /* of segments to be made */
    uint64_t flush_align_bytes;
    const _Atomic uint32_t *interrupts; /* of the store: outlives the log */
    const _Atomic int32_t *event_fd;    /* so does this, told when `durable` moves; or NULL */
};

struct clg_log; /* commit_log_internal.h */

/* Until when a call may wait, in whatever many waits: made when it begins, passed to all of them.
 */
struct clg_until {
    int64_t mono_ns;     /* clg_os_deadline */
    uint32_t interrupts; /* how many there had been: another one ends it */
};

/* Of a claim: the topic has grown or shrunk since the queue was chosen. Nothing was claimed; choose
 * again. Never returned to a user. */
#define CLG_LOG_ROUTED_ANEW (-1000)

/* What one record is made of; pointers are only read during the call. */
struct clg_append {
    uint8_t kind;
    uint32_t queue_number; /* the header's queue number; UINT32_MAX for control records */
    bool takes_offset;     /* claims the queue's next offset, needs its topic's definition */
    /* last_room.c, of a full disk: of retention, for which room is kept; what ends a wait in the
     * segment that goes next; what lets retention go on, for which there is a stretch more. */
    bool takes_reserve;
    bool takes_waiting;
    bool frees;
    uint32_t routed; /* queues of `topic` when its queue was chosen */
    /* Its queue was chosen among so many of this one: refused if it has others now. NULL: it is
     * for no queue, or for that one whatever happens. */
    struct clg_topic *topic;
    struct clg_topic *defined; /* its definitions come first; NULL: those of the queue's topic */
    const uint8_t *attributes;
    uint32_t attribute_bytes;
    const struct commitlog_slice *body;
    uint32_t body_count;
    uint64_t body_bytes; /* sum of the pieces */
};

CLG_MUST_CHECK int clg_log_open(const struct clg_log_config *config, struct clg_log **out,
                                struct commitlog_error *err);
/* Frees; the caller has synced. The segment set, supply, registry, live area are the caller's. */
void clg_log_free(struct clg_log *log);

/*
 * Appends count records as one (count 1: a plain record; more: a batch with its header). Never
 * waits for room. receipts: one per record, filled but for the level.
 * COMMITLOG_EAGAIN: no room now; none of them was claimed, but definitions of their topics may have
 * been written: what is left of those is less with each attempt. CLG_LOG_ROUTED_ANEW.
 */
CLG_MUST_CHECK int clg_log_append(struct clg_log *log, const struct clg_append *items,
                                  uint32_t count, struct commitlog_receipt *receipts,
                                  struct commitlog_error *err);

/* Is there a definition of it in the log? Not before the first attempt that succeeded. */
bool clg_log_topic_is_defined(struct clg_log *log, const struct clg_topic *topic);
/* Where its first definition ends; 0: it was there when the log was opened. */
uint64_t clg_log_topic_defined_end(struct clg_log *log, const struct clg_topic *topic);
/* Writes a topic's definition at the tail, with the next offsets of its queues when
 * `with_offsets` (carry-forward). COMMITLOG_EAGAIN as above. */
CLG_MUST_CHECK int clg_log_define_topic(struct clg_log *log, struct clg_topic *topic,
                                        bool with_offsets, struct commitlog_error *err);

/*
 * grow.c: one record that says where keys go from its position on. EAGAIN as above.
 * Grows by `step`, which has numbers (clg_registry_add_step) or was shrunk away; the record says
 * where each parent stands.
 */
CLG_MUST_CHECK int clg_log_grow_topic(struct clg_log *log, struct clg_topic *topic, uint32_t step,
                                      struct commitlog_receipt *receipt,
                                      struct commitlog_error *err);
/* Shrinks to the steps before `step`, unless the next offsets of the queues that go have changed
 * since their sum was `sum`: COMMITLOG_EBUSY. */
CLG_MUST_CHECK int clg_log_shrink_topic(struct clg_log *log, struct clg_topic *topic, uint32_t step,
                                        uint64_t sum, struct commitlog_receipt *receipt,
                                        struct commitlog_error *err);
/* The next offsets of the topic's queues [from, to), and their sum. `next` may be NULL. */
uint64_t clg_log_next_offsets(struct clg_log *log, const struct clg_topic *topic, uint32_t from,
                              uint32_t to, uint64_t *next);
/* Position of the newest growth or shrink of a topic that has grown. */
uint64_t clg_log_topic_changed_at(struct clg_log *log, const struct clg_topic *topic);

/* Zero copy. *out_body has body_bytes bytes; attributes are written already. */
struct clg_reserved {
    uint64_t position;
    uint64_t bytes; /* of the whole record */
    uint8_t *record;
    struct commitlog_receipt receipt;
    uint64_t salt;
};
CLG_MUST_CHECK int clg_log_reserve(struct clg_log *log, const struct clg_append *item,
                                   struct clg_reserved *out, uint8_t **out_body,
                                   struct commitlog_error *err);
/* COMMITLOG_EFAILED: the store has failed meanwhile, and it was aborted. */
CLG_MUST_CHECK int clg_log_commit_reserved(struct clg_log *log, const struct clg_reserved *reserved,
                                           struct commitlog_error *err);
void clg_log_abort_reserved(struct clg_log *log, const struct clg_reserved *reserved);
/* All that are open, because the store is being closed: nobody commits or aborts any meanwhile. */
CLG_MUST_CHECK int clg_log_abort_open(struct clg_log *log, struct commitlog_error *err);
/* Largest body_bytes + attribute bytes that clg_log_reserve takes. */
uint64_t clg_log_reserve_max(const struct clg_log *log);
/* The same for one that is appended: what a segment takes. */
uint64_t clg_log_record_max(const struct clg_log *log);

/* After COMMITLOG_EAGAIN: take a ticket, try again, and if that fails too wait for the ticket to
 * change (drained, folded, committed or sealed meanwhile) or `until`. */
uint32_t clg_log_room_ticket(const struct clg_log *log);
CLG_MUST_CHECK int clg_log_wait_room(struct clg_log *log, uint32_t ticket, struct clg_until until);
/* Bytes that wait for a drain; with the mmap engine, of which followers were not told yet. */
uint64_t clg_log_staged_bytes(const struct clg_log *log);

/* Moves staged bytes into segments up to `upto` (bounded by published), as far as one budget of
 * `max_bytes` goes (UINT64_MAX: all). */
CLG_MUST_CHECK int clg_log_drain(struct clg_log *log, uint64_t upto, uint64_t max_bytes,
                                 struct commitlog_error *err);

/* Group commit: returns when durable >= upto. Leads the flush itself if nobody does.
 * COMMITLOG_ETIMEDOUT, COMMITLOG_EINTERRUPTED, COMMITLOG_EFAILED. */
CLG_MUST_CHECK int clg_log_flush(struct clg_log *log, uint64_t upto, struct clg_until until,
                                 struct commitlog_error *err);
/* Where flushes end at blocks, so does the log from here on: before anybody is told what of it is
 * durable, its last block is filled and flushed. By one thread, once appends are allowed. */
CLG_MUST_CHECK int clg_log_align(struct clg_log *log, struct commitlog_error *err);
/* Writes the footer of the oldest closed segment that is durable (flushing it first when `force`).
 * *out_sealed: one was, or got none for the damage at *out_damage, which is CLG_NO_POSITION
 * otherwise. Footers are what recovery believes, so they come after the flush. */
CLG_MUST_CHECK int clg_log_seal(struct clg_log *log, bool force, bool *out_sealed,
                                uint64_t *out_damage, struct commitlog_error *err);
/* Closed segments that wait for their footer. */
uint32_t clg_log_unsealed(const struct clg_log *log);
/* Touches pages ahead of the tail (mmap engine), a few MiB at the most. */
void clg_log_populate(struct clg_log *log);
/* Waits for others to do it. */
CLG_MUST_CHECK int clg_log_wait_durable(struct clg_log *log, uint64_t upto, struct clg_until until);
/* Waits until published (durable_only: durable) is beyond `position`. */
CLG_MUST_CHECK int clg_log_wait_visible(struct clg_log *log, uint64_t position, bool durable_only,
                                        struct clg_until until);
/* The same, or until there were other nudges than `nudges`, which were counted before whatever was
 * looked at: a writer may show more of what is published long since. */
CLG_MUST_CHECK int clg_log_wait_nudged(struct clg_log *log, uint64_t position, uint32_t nudges,
                                       bool durable_only, struct clg_until until);
uint32_t clg_log_nudges(const struct clg_log *log);
/* After what they look at has changed. */
void clg_log_nudge(struct clg_log *log);
/* Puts into words why a wait for `position` ended with rc: time-out, interrupt, failed store. */
CLG_MUST_CHECK int clg_log_wait_failed(struct clg_log *log, int rc, uint64_t position,
                                       struct commitlog_error *err);
/* Once there has been an interrupt: every waiter looks, and ends with COMMITLOG_EINTERRUPTED. */
void clg_wake_all(struct clg_log *log);
bool clg_log_is_interrupted(const struct clg_log *log, struct clg_until until);
/* Of waits of our own: until it is done, or the next interrupt. */
struct clg_until clg_log_forever(const struct clg_log *log);

/* Positions: any thread, acquire. */
uint64_t clg_log_first(const struct clg_log *log);
uint64_t clg_log_durable(const struct clg_log *log);
uint64_t clg_log_written(const struct clg_log *log);
uint64_t clg_log_published(const struct clg_log *log);
uint64_t clg_log_claimed(const struct clg_log *log);
uint32_t clg_log_epoch(const struct clg_log *log);
int64_t clg_log_last_time(struct clg_log *log);
/* The store time that an append would get now. */
int64_t clg_log_time(struct clg_log *log);
/* How far the wall clock is held back since it ran away from the monotonic one; 0: it did not, or
 * came back. */
int64_t clg_log_held_back(struct clg_log *log);
/* What retention will have to append before it can drop the oldest segment, of state and of
 * messages that wait: user records leave as much room on the disk (last_room.c). */
void clg_log_set_last_room(struct clg_log *log, uint64_t state_bytes, uint64_t waiting_bytes);
/* As far as can be said, how much could be appended before the disk is full; no more than `wanted`
 * need be counted. */
uint64_t clg_log_last_room(struct clg_log *log, uint64_t wanted);
/* Somebody was refused because of what is kept, since this was asked: it may be less by now. */
bool clg_log_take_last_refused(struct clg_log *log);
/* fdatasync calls so far. */
uint64_t clg_log_flushes(const struct clg_log *log);
/* Statistics (measure.h). Is every append of this level timed? */
bool clg_log_times(const struct clg_log *log, uint32_t level);
/* Counts what has taken until now. */
void clg_log_measure(const struct clg_log *log, enum clg_histogram which, int64_t began_ns);
/* Retention raised the first position. */
void clg_log_set_first(struct clg_log *log, uint64_t first);
/* The fold has applied everything before `position`: its ring bytes may go. */
void clg_log_set_folded(struct clg_log *log, uint64_t position);
/* Base of the active segment (claim side), for "never the active one". */
uint64_t clg_log_active_base(const struct clg_log *log);

/*
 * The record at `position` (< published) for the fold: not verified, because this process wrote it
 * or recovery verified it. In a follower: verified, and copied if it is only staged. The view's
 * pointers hold until the next peek. Only under the fold lock, positions not below folded.
 * COMMITLOG_EDAMAGED in a follower.
 */
CLG_MUST_CHECK int clg_log_peek(struct clg_log *log, uint64_t position, struct clg_record_view *out,
                                struct commitlog_error *err);

/* The latch: the first call wins; every later append fails, durable moves no more. */
void clg_log_latch(struct clg_log *log, const struct commitlog_error *cause);
/* Of a follower: has its writer's? Then only what is durable is to be seen. */
bool clg_log_has_failed(const struct clg_log *log);
/* 0, or the latched failure. */
int clg_log_failure(struct clg_log *log, struct commitlog_error *err);
/* The same for who opens the store, before whom nobody has used it: what has failed just now. */
int clg_log_what_failed(const struct clg_log *log, struct commitlog_error *err);

#endif
