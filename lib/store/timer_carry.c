/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_carry.c -- delayed messages under retention: what waits is stored again at the tail before
 * the segment that it lies in goes. See timers.h.
 */
#include "store/timers.h"

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "log/reader.h"

/* So many under the lock at once: appends of delayed messages get in between. */
#define CARRY_PIECE 256u

uint64_t clg_timers_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total,
                            uint64_t *largest)
{
    struct clg_timer timer;
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->timer_lock);
    for (uint32_t cursor = 0; clg_timer_next(&store->timers, &cursor, &timer);) {
        if (timer.position < end) {
            bytes += timer.size;
            *largest = clg_max_u64(*largest, timer.size);
        }
    }
    *out_total = store->timers.bytes;
    clg_mutex_unlock(store->os, &store->timer_lock);
    return bytes;
}

static int timers_carry_one(struct commitlog_store *store, struct clg_reader *reader,
                            const struct clg_timer *timer, uint64_t *bytes,
                            struct commitlog_error *err)
{
    struct clg_record_view view;
    struct commitlog_receipt receipt = {0};
    struct clg_timer carried = *timer;
    int rc = clg_timers_read(store, reader, timer, &view, err);
    if (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_ETOOSMALL) {
        return clg_timers_give_up(store, timer, true, err);
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND) { /* its topic may be known again */
        rc = clg_timers_append_copy(store, timer, &view, CLG_KIND_TIMER, true, &receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        carried.position = receipt.position;
        carried.size = (uint32_t)(receipt.end_position - receipt.position);
        clg_timer_add(&store->timers, &carried);
        *bytes += receipt.end_position - receipt.position;
        clg_count(store, CLG_COUNT_TIMER_COPIES, 1);
    } else if (rc != COMMITLOG_ETIMEDOUT) {
        clg_wrap(err, "retention: timer %llu", (unsigned long long)timer->id);
    }
    return rc;
}

int clg_timers_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                     struct commitlog_error *err)
{
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    uint32_t carried = 0;
    struct clg_timer timer;
    struct commitlog_error own; /* an event has a text, whatever the caller wants */
    clg_error_clear(&own);
    clg_timers_reader(store, &reader);
    clg_mutex_lock(store->os, &store->timer_lock);
    for (uint32_t cursor = 0;
         rc == COMMITLOG_OK && clg_timer_next(&store->timers, &cursor, &timer);) {
        if (timer.position < end && !CLG_PLANTED(TIMER_UNCARRIED)) {
            rc = timers_carry_one(store, &reader, &timer, out_bytes, &own);
            if (++carried % CARRY_PIECE == 0) { /* what is new meanwhile lies behind `end` */
                clg_mutex_unlock(store->os, &store->timer_lock);
                store->os->sleep_ns(store->os, 1); /* the lock is not fair */
                clg_mutex_lock(store->os, &store->timer_lock);
            }
        }
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    clg_reader_end(&reader);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: timers cannot be carried forward");
    }
    return clg_error_give(err, rc, &own);
}
