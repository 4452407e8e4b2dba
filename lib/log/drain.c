/*
 * drain.c -- stage to segment: pwrite in pieces of 256 KiB, then `written` moves.
 *
 * A piece ends where the file's next one begins, though that is mostly within a record: pages that
 * are written as a whole and aligned cost the kernel little more than half of what others cost.
 *
 * Invariants: 1. never beyond `published`: a claimed word is never written; 2. `written` is always
 *       the boundary of a record or batch, at or before `drained`, where the last piece ended: of a
 *       record that lay half in the segment and half in the ring, the first half in the ring could
 *       be overwritten and a crash would lose it. So that of which a piece has taken only a half
 *       stays in the ring as a whole, where recovery finds it, until the next piece has the rest;
 *       3. of a pad only its header is written, the rest of the segment stays zero; 4. the bytes of
 *       a piece are not overwritten meanwhile, because room in the ring is counted from `written`.
 * Threads and locks: one drain at a time under drain_lock: flush leader, the drainer, an appender
 *       whose ring is half full, a large record.
 * Failure modes: a failed write is latched; `written` does not move.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "base/probe.h"
#include "log/commit_log_internal.h"

/* Zeros that are written at once: more would be felt as a pause, fewer would let more flushes
 * convert blocks. */
#define DRAIN_PREWRITE_BYTES (UINT64_C(1) << 20)

/* The pad that closes the drain's segment, if it was written yet. */
static const struct clg_roll *drain_roll(const struct clg_log *log)
{
    /* ORDER(roll-1) acquire */
    if (log->drain_count == clg_load_acquire_u64(&log->roll_count)) {
        return NULL;
    }
    const struct clg_roll *roll = &log->rolls[log->drain_count % CLG_ROLLS_MAX];
    CLG_ASSERT(roll->base == log->drain_segment->base);
    return roll;
}

static int drain_next_segment(struct clg_log *log)
{
    struct clg_segment *next = clg_segment_set_pin_after(log->set, log->drain_segment->base);
    if (next == NULL) {
        return COMMITLOG_EINTERNAL; /* the switch appends to the set before it publishes */
    }
    clg_segment_unref(log->drain_segment);
    log->drain_segment = next;
    log->drain_count++;
    return COMMITLOG_OK;
}

/* The last boundary known up to `stop`, or `written` if there is none: a mark. */
static uint64_t drain_boundary(struct clg_log *log, uint64_t written, uint64_t stop)
{
    uint64_t count = clg_load_acquire_u64(&log->mark_count); /* ORDER(mark-1) acquire */
    for (; log->drain_mark < count; log->drain_mark++) {
        uint64_t mark = clg_load_relaxed_u64(&log->marks[log->drain_mark % CLG_MARKS_MAX]);
        if (mark > stop) {
            break;
        }
        written = clg_max_u64(written, mark);
    }
    return CLG_PLANTED(DRAIN_SPLIT) ? stop : written;
}

static int drain_write(struct clg_log *log, uint64_t from, uint64_t bytes,
                       struct commitlog_error *err)
{
    const struct commitlog_os *os = log->os;
    const bool small = bytes < CLG_MEASURE_SMALL_BYTES;
    const bool timed =
        !small || clg_measure_is_drawn(log->small_drains++, CLG_MEASURE_SMALL_ONE_IN_LOG2);
    int64_t began = timed ? os->clock_mono_ns(os) : 0;
    CLG_PROBE2(drain__begin, from, bytes);
    int rc = clg_segment_pwrite(log->drain_segment, log->ring + (from & log->ring_mask), bytes,
                                from, err);
    CLG_PROBE2(drain__end, from + bytes, rc);
    if (timed && rc == COMMITLOG_OK) {
        clg_measure_times(log->live, CLG_HISTOGRAM_DRAIN,
                          clg_measure_ns(began, os->clock_mono_ns(os)),
                          small ? UINT64_C(1) << CLG_MEASURE_SMALL_ONE_IN_LOG2 : 1);
    }
    return rc;
}

/* One piece, up to where the file's next one begins. *written moves to the last boundary before
 * that, or over the edge of the segment. */
static int drain_piece(struct clg_log *log, uint64_t target, uint64_t *written,
                       struct commitlog_error *err)
{
    struct clg_segment *segment = log->drain_segment;
    const struct clg_roll *roll = drain_roll(log);
    const uint64_t from = log->drained;
    uint64_t in_file = clg_align_up(from + 1 - segment->base, CLG_DRAIN_PIECE_BYTES);
    uint64_t stop = clg_min_u64(segment->base + in_file, target);
    bool closes = roll != NULL && stop > roll->pad_position;
    if (closes) {
        stop = roll->pad_position + CLG_RECORD_HEADER_BYTES;
    }
    CLG_ASSERT(stop > from && from >= segment->data_start && stop <= segment->data_end);
    int rc = drain_write(log, from, stop - from, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    log->drained = stop;
    uint64_t boundary = drain_boundary(log, *written, stop);
    *written = stop == target ? target : boundary;
    if (closes) {
        log->drained = *written = segment->data_end + CLG_SEGMENT_GAP;
        rc = drain_next_segment(log);
        rc = rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, stop, "no segment follows");
    }
    return rc;
}

int clg_drain_locked(struct clg_log *log, uint64_t upto, uint64_t max_bytes,
                     struct commitlog_error *err)
{
    CLG_ASSERT(clg_mutex_is_held(&log->drain_lock));
    if (log->engine->writes_through) {
        /* Nothing to move, but followers in other processes are to be told all the same. */
        uint64_t published = clg_live_load(&log->shared->published);
        /* clg_publish stores `published` first: whoever holds the claim lock may still be about to
         * store this, or more, and a flush of `published` must not find `written` behind it. */
        clg_raise_release_u64(&log->shared->written.value, published);
        clg_announce(log);
        return COMMITLOG_OK;
    }
    if (clg_load_acquire_u32(&log->latch) != 0) {
        return clg_log_failure(log, err);
    }
    uint64_t target =
        clg_min_u64(upto, clg_live_load(CLG_PLANTED(DRAIN_PAST_CLAIM) ? &log->shared->claimed
                                                                      : &log->shared->published));
    CLG_ASSERT(clg_is_aligned(target, CLG_RECORD_ALIGN)); /* where a record ends, invariant 2 */
    const uint64_t from = clg_live_load(&log->shared->written);
    uint64_t written = from;
    /* Not from `written`: of a record of more than max_bytes each call has to write the next part.
     */
    const uint64_t began = log->drained;
    int rc = COMMITLOG_OK;
    struct commitlog_error cause;
    clg_error_clear(&cause);
    while (rc == COMMITLOG_OK && written < target && log->drained - began < max_bytes) {
        if (log->drained >= target) {
            written = target; /* written already, behind a boundary that was not known then */
        } else {
            rc = drain_piece(log, target, &written, &cause);
        }
        if (rc == COMMITLOG_OK) {
            clg_live_store(&log->shared->written, written); /* ORDER(room-1) release */
        }
    }
    if (rc != COMMITLOG_OK) {
        clg_wrap(&cause, "drain the stage");
        clg_log_latch(log, &cause);
        return clg_log_failure(log, err);
    }
    if (written != from) {
        clg_room_changed(log);
        clg_announce(log);
    }
    return COMMITLOG_OK;
}

int clg_log_drain(struct clg_log *log, uint64_t upto, uint64_t max_bytes,
                  struct commitlog_error *err)
{
    clg_mutex_lock(log->os, &log->drain_lock);
    int rc = clg_drain_locked(log, upto, max_bytes, err);
    clg_mutex_unlock(log->os, &log->drain_lock);
    return rc;
}

/* A segment that the supply did not prewrite, as the first of a store, or not to its end, gets its
 * zeros here, just before the writer needs them: when what was drained has come to where nothing
 * was written before, the flush that follows has to convert its blocks anyway, and converts these
 * with them, so that the next flushes of a MiB have none to convert. They go where no record is:
 * behind `drained`, and all that writes records or zeros there holds drain_lock. They change
 * nothing that could be read, since that reads as zeros already. */
int clg_drain_prewrite(struct clg_log *log, struct commitlog_error *err)
{
    if (log->engine->writes_through || !clg_segment_supply_prewrites(log->supply)) {
        return COMMITLOG_OK;
    }
    struct commitlog_error cause;
    clg_error_clear(&cause);
    int rc = COMMITLOG_OK;
    clg_mutex_lock(log->os, &log->drain_lock);
    struct clg_segment *segment = log->drain_segment;
    uint64_t from = clg_align_up(log->drained, CLG_FORMAT_PAGE_BYTES);
    uint64_t to = clg_min_u64(from + DRAIN_PREWRITE_BYTES, segment->data_end);
    if (log->drained > segment->prewritten && segment->reserved && from < to) {
        /* A session before this one may have done it. One that has not has none of those behind it
         * either, and is not asked again: tmpfs looks at all pages up to the next that has data. */
        if (!segment->prewritten_known) {
            uint64_t last = to - CLG_FORMAT_PAGE_BYTES;
            segment->prewritten_known = clg_segment_next_data(segment, last) != last;
        }
        if (segment->prewritten_known && log->zeros == NULL) {
            log->zeros = log->os->alloc(log->os, DRAIN_PREWRITE_BYTES);
        }
        if (segment->prewritten_known && log->zeros != NULL) {
            rc = clg_segment_pwrite(segment, log->zeros, to - from, from, &cause);
        }
        segment->prewritten = to;
    }
    clg_mutex_unlock(log->os, &log->drain_lock);
    if (rc != COMMITLOG_OK) {
        clg_wrap(&cause, "write zeros");
        clg_log_latch(log, &cause);
        return clg_log_failure(log, err);
    }
    return COMMITLOG_OK;
}

uint64_t clg_log_staged_bytes(const struct clg_log *log)
{
    if (log->is_follower && log->engine->writes_through) {
        return 0; /* the writer's own business */
    }
    uint64_t done = log->engine->writes_through ? clg_load_relaxed_u64(&log->announced)
                                                : clg_live_load(&log->shared->written);
    uint64_t published = clg_live_load(&log->shared->published);
    return published > done ? published - done : 0;
}
