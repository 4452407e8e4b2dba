/*
 * checkpoint.c -- what CHECKPOINT says of an open store.
 *
 * Written at seal, when the traffic pauses, by retention and at close; it claims as checkpointed
 * what is durable: those records were built by this session or verified by recovery.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "store/store.h"

int clg_store_checkpoint(struct commitlog_store *store, bool clean, uint64_t first,
                         struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    clg_mutex_lock(store->os, &store->checkpoint_lock);
    int rc = clg_log_failure(log, err);
    if (rc == COMMITLOG_OK) {
        struct clg_checkpoint next = store->checkpoint;
        uint64_t durable = clg_log_durable(log);
        CLG_ASSERT(first <= durable);
        /* Retention may have moved it since the caller looked, and dropped what lies before. */
        next.first = clg_max_u64(first, store->checkpoint.first);
        next.checkpointed = durable;
        next.durable = durable;
        next.segment_bytes = clg_option(&store->options, COMMITLOG_OPT_SEGMENT_BYTES);
        next.session = store->core->writer_session;
        next.store_time = clg_log_last_time(log);
        next.epoch = clg_log_epoch(log);
        next.clean = clean;
        struct commitlog_error cause;
        clg_error_clear(&cause);
        rc = clg_checkpoint_file_write(&store->checkpoint_file, &next, &cause);
        if (rc == COMMITLOG_OK) {
            store->checkpoint = next;
            clg_count(store, CLG_COUNT_CHECKPOINTS, 1);
        } else {
            clg_wrap(&cause, "checkpoint");
            clg_log_latch(log, &cause);
            rc = clg_log_failure(log, err);
        }
    }
    clg_mutex_unlock(store->os, &store->checkpoint_lock);
    return rc;
}

int32_t commitlog_checkpoint(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || store->read_only) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "checkpoint");
    }
    struct clg_log *log = store->core->log;
    rc = clg_log_flush(log, clg_log_published(log), clg_log_forever(log), err);
    return rc == COMMITLOG_OK ? clg_store_checkpoint(store, false, clg_log_first(log), err) : rc;
}
