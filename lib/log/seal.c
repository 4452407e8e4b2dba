/*
 * seal.c -- the footer of a segment that is full, once all of it is durable.
 *
 * The tally of a segment that this session did not begin is not known: its records are counted
 * here, by their headers. So are those of the segments that a writer before left without a footer.
 * One that turns out to be damaged gets none, and whoever seals is told where.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"
#include "segment/segment_scan.h"

uint32_t clg_log_unsealed(const struct clg_log *log)
{
    return (uint32_t)(clg_load_acquire_u64(&log->roll_count) -
                      clg_load_acquire_u64(&log->seal_count));
}

void clg_seal_adopt(struct clg_log *log)
{
    uint64_t count = 0;
    struct clg_segment *segment = clg_segment_set_pin_first(log->set);
    while (segment != NULL && segment != log->active && count < CLG_ROLLS_MAX / 2) {
        /* One that cannot be opened for writing now stays as it is: it costs no record. */
        if ((clg_segment_flags(segment) & CLG_SEGMENT_SEALED) == 0 &&
            clg_segment_make_writable(segment, NULL) == COMMITLOG_OK) {
            log->rolls[count++] =
                (struct clg_roll){.base = segment->base, .data_end = segment->data_end};
        }
        uint64_t base = segment->base;
        clg_segment_unref(segment);
        segment = clg_segment_set_pin_after(log->set, base);
    }
    clg_segment_unref(segment);
    log->drain_count = count;
    clg_store_release_u64(&log->roll_count, count);
}

static int seal_count(struct clg_segment *segment, struct clg_segment_footer *footer,
                      struct commitlog_error *err)
{
    struct clg_scan scan;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_HEADER_ONLY);
    struct clg_scan_record record;
    int rc;
    while ((rc = clg_scan_step(&scan, &record, err)) == COMMITLOG_OK &&
           record.verdict == CLG_SCAN_OK) {
        if (footer->records++ == 0) {
            footer->first_time = record.header.store_time;
        }
        footer->last_time = record.header.store_time;
        footer->epoch = record.header.epoch;
    }
    clg_scan_free(&scan);
    if (rc == COMMITLOG_OK && record.verdict != CLG_SCAN_END) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, record.os_errno, record.position,
                      "count the records of the segment: %s", record.why);
    }
    return rc;
}

/* What the footer is to say: COMMITLOG_EDAMAGED, _ENOMEM, _EIO and other failures to read if the
 * records are to be counted. */
static int seal_tally(struct clg_segment *segment, const struct clg_roll *roll,
                      struct clg_segment_footer *footer, struct commitlog_error *err)
{
    *footer = roll->footer;
    if (roll->complete) {
        return COMMITLOG_OK;
    }
    *footer = (struct clg_segment_footer){.end = roll->data_end};
    return seal_count(segment, footer, err);
}

static int seal_write(struct clg_log *log, struct clg_segment *segment,
                      const struct clg_segment_footer *footer, struct commitlog_error *err)
{
    CLG_ASSERT(footer->end == segment->data_end);
    int rc = clg_segment_write_footer(segment, footer, err);
    if (rc == COMMITLOG_OK) {
        clg_mutex_lock(log->os, &log->unmap_lock);
        clg_segment_unmap_write(segment);
        clg_mutex_unlock(log->os, &log->unmap_lock);
    }
    return rc;
}

/* Under seal_lock. Only what the count says may be passed over or tried again: once the footer is
 * being written, a failure of whatever kind is final, for a second flush would call it a success.
 */
static int seal_oldest(struct clg_log *log, uint64_t *out_damage, struct commitlog_error *err)
{
    uint64_t count = clg_load_relaxed_u64(&log->seal_count);
    const struct clg_roll *roll = &log->rolls[count % CLG_ROLLS_MAX];
    struct clg_segment *segment = NULL;
    struct clg_segment_footer footer;
    struct commitlog_error cause;
    clg_error_clear(&cause);
    int rc = clg_segment_set_pin(log->set, roll->base, &segment);
    if (rc == COMMITLOG_OK) {
        rc = seal_tally(segment, roll, &footer, &cause);
        if (rc != COMMITLOG_OK && rc != COMMITLOG_EDAMAGED) {
            clg_segment_unref(segment);
            return clg_error_give(err, rc, &cause); /* nothing was written: tried again */
        }
        if (rc == COMMITLOG_EDAMAGED) {
            /* A device that does not give the bytes is no verdict on them: readers are told, and
             * the next opening tries to seal it again. */
            if (cause.os_errno == 0) {
                *out_damage = cause.position;
            }
            rc = COMMITLOG_OK;
        } else if (rc == COMMITLOG_OK) {
            rc = seal_write(log, segment, &footer, &cause);
        }
        clg_segment_unref(segment);
    } else if (roll->base < clg_log_first(log)) {
        rc = COMMITLOG_OK; /* retention was faster */
    } else {
        rc = clg_fail(&cause, COMMITLOG_EINTERNAL, 0, roll->base, "no segment to seal");
    }
    if (rc != COMMITLOG_OK) {
        clg_wrap(&cause, "seal");
        clg_log_latch(log, &cause);
        return clg_log_failure(log, err);
    }
    clg_store_release_u64(&log->seal_count, count + 1);
    clg_room_changed(log);
    return COMMITLOG_OK;
}

int clg_log_seal(struct clg_log *log, bool force, bool *out_sealed, uint64_t *out_damage,
                 struct commitlog_error *err)
{
    const struct commitlog_os *os = log->os;
    *out_sealed = false;
    *out_damage = CLG_NO_POSITION;
    clg_mutex_lock(os, &log->seal_lock);
    int rc = clg_log_failure(log, err);
    if (rc == COMMITLOG_OK && clg_log_unsealed(log) > 0) {
        uint64_t count = clg_load_relaxed_u64(&log->seal_count);
        uint64_t end = log->rolls[count % CLG_ROLLS_MAX].data_end + CLG_SEGMENT_GAP;
        if (force && clg_live_load(&log->shared->durable) < end &&
            clg_live_load(&log->shared->published) >= end) {
            rc = clg_log_flush(log, end, clg_log_forever(log), err);
        }
        if (rc == COMMITLOG_OK && clg_live_load(&log->shared->durable) >= end) {
            rc = seal_oldest(log, out_damage, err);
            *out_sealed = rc == COMMITLOG_OK;
        }
    }
    clg_mutex_unlock(os, &log->seal_lock);
    return rc;
}
