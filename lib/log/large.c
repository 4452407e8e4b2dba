/*
 * large.c -- records and batches of more than half the ring: from private memory straight into the
 * segment.
 *
 * Invariants: claimed only when the ring is drained and no reservation is open; no other claim is
 *       granted until the write is done, so written == published == claimed on both sides of it.
 *       The ring does not hold these positions: ring_floor says so before they are published, to
 *       the fold; readers, who go by `written`, see that what the ring has there is no such record.
 *       Where flushes end at blocks, so does it, by a filler that is written with it.
 * Threads and locks: drain_lock, then claim_lock, both held over the write.
 * Failure modes: COMMITLOG_EAGAIN while a reservation is open. A failed write is latched: whether
 *       its bytes are in the page cache nobody knows, so nothing may be written behind them.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"

static int large_write(struct clg_log *log, uint8_t *buffer, uint64_t bytes, uint64_t position,
                       struct commitlog_error *err)
{
    struct commitlog_error cause;
    clg_error_clear(&cause);
    int rc = clg_segment_pwrite(log->active, buffer, bytes, position, &cause);
    if (rc != COMMITLOG_OK) {
        clg_log_latch(log, &cause);
        return clg_log_failure(log, err);
    }
    return COMMITLOG_OK;
}

/* Behind the record the filler up to the next block: a flush may find no room for it in the ring,
 * because the fold is not there yet. As of a pad only its header is written. */
static int large_align(struct clg_log *log, uint64_t end, uint64_t bytes, int64_t *out_time,
                       struct commitlog_error *err)
{
    _Alignas(8) uint8_t header[CLG_RECORD_HEADER_BYTES];
    *out_time = clg_claim_build_filler(log, header, end, CLG_KIND_HOLE, bytes);
    return large_write(log, header, sizeof(header), end, err);
}

int clg_large_locked(struct clg_log *log, const struct clg_append *items, uint32_t count,
                     uint64_t bytes, uint8_t *buffer, uint8_t *checks,
                     struct commitlog_receipt *receipts, struct commitlog_error *err)
{
    CLG_ASSERT(clg_mutex_is_held(&log->drain_lock) && clg_mutex_is_held(&log->claim_lock));
    if (log->reserved > 0) {
        return COMMITLOG_EAGAIN;
    }
    int rc = clg_claim_prepare(log, items, count, bytes, true, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_publish(log); /* the definitions that precede it */
    rc = clg_drain_locked(log, UINT64_MAX, UINT64_MAX, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    uint64_t position = log->position;
    CLG_ASSERT(clg_live_load(&log->shared->written) == position);
    uint32_t word =
        clg_appender_build(log, buffer, position, items, count, bytes, checks, receipts);
    clg_word_store(buffer, word);
    /* The filler first: when it fails, nothing of the record is there. A kill behind the record
     * leaves, for recovery, a valid one. */
    const uint64_t filler = clg_claim_align_bytes(log, position + bytes);
    int64_t filler_time = 0;
    if (filler > 0) {
        rc = large_align(log, position + bytes, filler, &filler_time, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = large_write(log, buffer, bytes, position, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_claim_advance(log, bytes, count + (count > 1 ? 1u : 0u), receipts[0].store_time_ns);
    if (filler > 0) {
        clg_claim_advance(log, filler, 1, filler_time);
    }
    clg_store_release_u64(&log->ring_floor, log->position);
    clg_publish(log);
    clg_append_count_items(log, items, count, bytes);
    log->drained = log->position;
    clg_live_store(&log->shared->written, log->position);
    return COMMITLOG_OK;
}

int clg_large_append(struct clg_log *log, const struct clg_append *items, uint32_t count,
                     uint64_t bytes, uint8_t *checks, struct commitlog_receipt *receipts,
                     struct commitlog_error *err)
{
    const struct commitlog_os *os = log->os;
    CLG_ASSERT(log->ring != NULL && bytes > log->ring_bytes / 2);
    uint8_t *buffer = os->alloc(os, bytes);
    if (buffer == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "build %llu bytes",
                        (unsigned long long)bytes);
    }
    clg_mutex_lock(os, &log->drain_lock);
    clg_mutex_lock(os, &log->claim_lock);
    int rc = clg_large_locked(log, items, count, bytes, buffer, checks, receipts, err);
    clg_mutex_unlock(os, &log->claim_lock);
    clg_mutex_unlock(os, &log->drain_lock);
    os->free(os, buffer);
    clg_publish_wake(log);
    clg_announce(log); /* `written` has passed it: no drain will */
    return rc;
}
