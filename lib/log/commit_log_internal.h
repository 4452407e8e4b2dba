/*
 * commit_log_internal.h -- struct clg_log, for the files of lib/log only.
 *
 * Who writes what: fields are grouped by the lock that guards them, each group on its own cache
 * line. Positions live in the live area (live.h), so that other processes see them; this process
 * reads them there too.
 */
#ifndef CLG_LOG_COMMIT_LOG_INTERNAL_H
#define CLG_LOG_COMMIT_LOG_INTERNAL_H

#include "format/topic_record.h"
#include "log/commit_log.h"
#include "log/engine.h"
#include "log/live.h"
#include "log/measure.h"

/* Pieces of a drain: larger ones leave the second-level cache, smaller ones pay the system call. */
#define CLG_DRAIN_PIECE_BYTES (UINT64_C(256) << 10)
/* Record boundaries remembered for the drain, one per ring / 32 or 128 KiB of log. */
#define CLG_MARKS_MAX 64u
#define CLG_MARK_BYTES (UINT64_C(128) << 10)
/* Closed segments that may wait for drain and footer before a claim has to. */
#define CLG_ROLLS_MAX 64u
/* Wake-ups whose time is remembered: as many as may follow while a reader comes to. */
#define CLG_WAKES_MAX 64u
#define CLG_LINE _Alignas(64) /* what os->alloc gives */

/* Readers of this process that sleep until a position rises, and wake each other by nothing. */
struct clg_wake {
    CLG_LINE _Atomic uint32_t word;
    _Atomic uint32_t waiters;
    /* When the word became what it is, by its low bits: for those who were woken by that. */
    _Atomic uint64_t at_ns[CLG_WAKES_MAX];
};

/* A segment that was closed by its pad. */
struct clg_roll {
    uint64_t base;
    uint64_t pad_position;
    uint64_t data_end;
    bool complete; /* the tally counts every record of it */
    struct clg_segment_footer footer;
};

/* Where those sleep who wait for a flush: the members of a group in the one of the group's bit. */
struct clg_flush_sleep {
    _Atomic uint32_t word; /* changes with each flush, when the latch closes and by an interrupt */
    _Atomic uint32_t sleepers;
};
enum { CLG_FLUSH_GROUPS = 2, CLG_FLUSH_NEVER_LEADS = 2, CLG_FLUSH_SLEEPS = 3 };

struct clg_log {
    const struct commitlog_os *os;
    struct clg_segment_set *set;
    struct clg_segment_supply *supply;
    struct clg_registry *registry;
    struct clg_live *live;
    struct clg_live_area *shared; /* live->area */
    const struct clg_engine *engine;
    uint8_t *ring;
    uint64_t ring_mask; /* ring bytes - 1; 0 without a ring */
    uint64_t ring_bytes;
    uint32_t epoch;
    uint64_t session_id;
    uint64_t segment_bytes; /* of those to be made */
    uint64_t flush_align_bytes;
    const _Atomic uint32_t *interrupts; /* the store's count */
    const _Atomic int32_t *event_fd;    /* NULL: nobody wants to know what is durable */
    bool is_follower;
    bool times_durable; /* each append of that level is timed, not only one in 64 */
    /* Follower: what CHECKPOINT said when the segments were listed. Retention makes it durable
     * before it stores it in the live area, and what lies below is not in the set. */
    uint64_t first_floor;

    /* claim_lock */
    CLG_LINE struct clg_mutex claim_lock;
    uint64_t position;          /* next to be claimed; == live claimed */
    uint64_t start_position;    /* end of the log when this session began */
    struct clg_segment *active; /* with a reference */
    struct clg_segment *next;   /* taken from the supply already; with a reference, or NULL */
    uint8_t *active_map;        /* mmap engine */
    uint64_t populated;         /* mmap engine: pages touched up to here */
    int64_t last_time_ns;
    int64_t wall_reference_ns; /* pair of clocks: tells a jump of the wall clock */
    int64_t mono_reference_ns;
    int64_t held_back_ns; /* subtracted from the wall clock: by so much it jumped */
    uint64_t ticket;      /* of the claim; marks topics */
    /* last_room.c: what retention needs room for, and of that state; the file system need not be
     * asked again before the log ends here */
    uint64_t last_kept_bytes;
    uint64_t last_state_bytes;
    uint64_t last_asked_until;
    _Atomic uint32_t last_refused; /* set under the lock */
    uint32_t reserved;             /* claims that are not committed yet */
    bool epoch_written;
    struct clg_segment_footer tally; /* of the active segment so far */
    bool tally_complete;
    struct clg_roll rolls[CLG_ROLLS_MAX];
    uint64_t mark_bytes; /* distance of marks; at most 32 lie in the ring */
    uint64_t last_mark;
    _Atomic uint64_t marks[CLG_MARKS_MAX];
    _Atomic uint64_t mark_count;  /* ORDER(mark-1) release */
    _Atomic uint64_t roll_count;  /* written under claim_lock, ORDER(roll-1) release */
    _Atomic uint64_t seal_count;  /* written under seal_lock */
    _Atomic uint64_t active_base; /* of `active`, for those without the lock */

    /* drain_lock */
    CLG_LINE struct clg_mutex drain_lock;
    struct clg_segment *drain_segment; /* holds `written`; with a reference; mmap engine: NULL */
    uint64_t drained;                  /* the segment has all before it; at or behind `written` */
    uint8_t *zeros;                    /* allocated when first needed */
    uint64_t drain_count;              /* rolls drained */
    uint64_t drain_mark;               /* marks passed */
    uint64_t small_drains;             /* writes of less than a page: some of them are timed */

    /* flush leader */
    CLG_LINE struct clg_mutex leader;
    struct clg_mutex seal_lock;
    struct clg_mutex unmap_lock; /* no segment loses its map for writing */
    uint64_t flushed_records;    /* appended before the last flush began; under leader */
    int64_t flush_ns;            /* what the last one took; under leader */
    uint32_t flush_company;      /* who waited for a flush when it began; under leader */
    /* Target of the flush that is under way, or was the last; its lowest bit: that of the group
     * which it is for. Written under leader. */
    _Atomic uint64_t flush_aim;
    struct clg_flush_sleep flush_sleeps[CLG_FLUSH_SLEEPS];

    /* room: changes when drained, folded, committed or sealed */
    CLG_LINE _Atomic uint32_t room_word;
    _Atomic uint32_t room_waiters;
    _Atomic uint64_t folded;
    _Atomic uint64_t ring_floor; /* positions below are not in the ring; before `published` */

    /* readers: see publish.c */
    struct clg_wake published_wake;
    struct clg_wake durable_wake;
    CLG_LINE _Atomic uint32_t nudges;
    _Atomic uint32_t nudge_waiters;      /* who also waits on one of the words above */
    CLG_LINE _Atomic uint32_t listeners; /* appends that are still to tell followers */
    _Atomic uint64_t announced;          /* followers were told of what is before; only grows */

    /* 0: good. 1: failed, ORDER(latch-1); set under latch_lock, the innermost of all, and under it
     * `durable` moves: never again once somebody was told that the store has failed. */
    CLG_LINE _Atomic uint32_t latch;
    struct clg_mutex latch_lock;
    struct commitlog_error failure;

    /* peek, under the fold lock */
    struct clg_segment *peek_segment;
    uint8_t *peek_buffer;
    uint64_t peek_room;

    /* Any reader, relaxed: hints, see reader_meet. */
    _Atomic uint32_t random_reads;
    _Atomic uint32_t cold_reads; /* so many of the next ones ask before they look */
};

/* last_room.c: under claim_lock */
uint64_t clg_last_freeing_bytes(const struct clg_log *log);
/* May a record, or the batch that begins with this one, end there? Asked where that is near the end
 * of the active segment. */
CLG_MUST_CHECK int clg_last_check(struct clg_log *log, const struct clg_append *item, uint64_t end,
                                  struct commitlog_error *err);
/* May it be the first of the next segment, of so many bytes with what belongs to it? */
CLG_MUST_CHECK int clg_last_check_switch(struct clg_log *log, const struct clg_append *item,
                                         uint64_t bytes, struct commitlog_error *err);
/* claim.c: under claim_lock */
CLG_MUST_CHECK int clg_claim_take_next(struct clg_log *log, struct commitlog_error *err);
int64_t clg_claim_time(struct clg_log *log);
/* COMMITLOG_ETOOBIG for what no segment could take; before any wait for room. */
int clg_claim_check_size(const struct clg_log *log, uint64_t bytes, struct commitlog_error *err);
/* Makes [position, position + bytes) lie in the active segment with all that must precede it
 * (pad and switch, epoch start, definitions of the topics of these items). `large`: the record
 * itself will not be built in the ring. COMMITLOG_EAGAIN, _ENOSPC, _ETOOBIG. */
int clg_claim_prepare(struct clg_log *log, const struct clg_append *items, uint32_t count,
                      uint64_t bytes, bool large, struct commitlog_error *err);
/* What a claim leaves of its segment: for a pad, or for the filler up to the next block and a pad
 * behind it. */
static inline uint64_t clg_claim_tail(const struct clg_log *log)
{
    return CLG_RECORD_MIN + log->flush_align_bytes;
}
/* The header of a filler of `bytes` at `position`, built at `record`. Returns its time. */
int64_t clg_claim_build_filler(struct clg_log *log, uint8_t *record, uint64_t position,
                               uint8_t kind, uint64_t bytes);
/* The filler from `position` up to a block, where flushes end there; 0: none is needed. */
uint64_t clg_claim_align_bytes(const struct clg_log *log, uint64_t position);
/* Writes it. Behind a claim there is room for it. */
void clg_claim_align(struct clg_log *log);
/* Closes the active segment and moves to the next one. COMMITLOG_EAGAIN, _ENOSPC. */
int clg_claim_switch(struct clg_log *log, struct commitlog_error *err);
/* Counts records into the tally and moves the position behind them. */
void clg_claim_advance(struct clg_log *log, uint64_t bytes, uint32_t records, int64_t store_time);
/* Header and payload of one record at `record`, sealed; returns the word, not stored yet. member:
 * 0 or CLG_RECORD_MEMBER. */
uint32_t clg_record_build(struct clg_log *log, uint8_t *record, uint64_t position,
                          const struct clg_append *item, uint8_t member, uint64_t queue_offset,
                          int64_t store_time, uint64_t *out_check);
void clg_word_store(uint8_t *record, uint32_t word);
uint32_t clg_word_load(const uint8_t *record);
uint32_t clg_append_bytes(const struct clg_append *item);
/* What a definition of the topic's step says, without pairs. */
struct clg_topic_definition clg_claim_definition(const struct clg_topic *topic, uint32_t step);
/* One control record of one piece at the tail: build, commit, advance. Room was checked. */
void clg_claim_control(struct clg_log *log, uint8_t kind, uint32_t queue_number, const void *body,
                       uint64_t body_bytes);

/* publish.c. clg_publish under claim_lock; clg_publish_wake after unlocking. */
void clg_publish(struct clg_log *log);
void clg_publish_wake(struct clg_log *log);
void clg_room_changed(struct clg_log *log);
/* Wakes the followers for what was published, unless they were told already. */
void clg_announce(struct clg_log *log);
/* Wakes the readers who wait for `durable`, of this process and of others. */
void clg_wake_durable(struct clg_log *log);

/* flush.c: wakes everybody who waits for a flush. */
void clg_flush_wake(struct clg_log *log);

/* large.c; the second one under drain_lock and claim_lock, with room for the record in `buffer` */
int clg_large_append(struct clg_log *log, const struct clg_append *items, uint32_t count,
                     uint64_t bytes, uint8_t *checks, struct commitlog_receipt *receipts,
                     struct commitlog_error *err);
int clg_large_locked(struct clg_log *log, const struct clg_append *items, uint32_t count,
                     uint64_t bytes, uint8_t *buffer, uint8_t *checks,
                     struct commitlog_receipt *receipts, struct commitlog_error *err);
/* appender.c: into the ring or the mapped segment, under claim_lock. */
int clg_appender_locked(struct clg_log *log, const struct clg_append *items, uint32_t count,
                        uint64_t bytes, uint8_t *checks, struct commitlog_receipt *receipts,
                        struct commitlog_error *err);
/* appender.c: builds count items (with a batch header if count > 1) at `at`, whose first byte has
 * the log position `position`; everything committed but the first record's word, returned.
 * checks: room for 8 bytes per item, for a batch. */
uint32_t clg_appender_build(struct clg_log *log, uint8_t *at, uint64_t position,
                            const struct clg_append *items, uint32_t count, uint64_t bytes,
                            uint8_t *checks, struct commitlog_receipt *receipts);
/* Counts user records, not control records. Under claim_lock. */
void clg_append_count(struct clg_log *log, uint32_t count, uint64_t bytes);
/* Of these, those of users that have a place in a queue. */
void clg_append_count_items(struct clg_log *log, const struct clg_append *items, uint32_t count,
                            uint64_t bytes);

/* seal.c: what the writers before left unsealed is to be sealed. Before there are other threads. */
void clg_seal_adopt(struct clg_log *log);

/* drain.c: under drain_lock */
int clg_drain_locked(struct clg_log *log, uint64_t upto, uint64_t max_bytes,
                     struct commitlog_error *err);
/* Behind a drain and before a flush: zeros where the segment has none yet. */
int clg_drain_prewrite(struct clg_log *log, struct commitlog_error *err);

static inline uint64_t clg_record_next(uint64_t position, uint64_t bytes, uint8_t kind)
{
    return position + bytes + (kind == CLG_KIND_PAD ? CLG_SEGMENT_GAP : 0);
}

void clg_log_invariants(const struct clg_log *log);

#endif
