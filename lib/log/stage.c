/*
 * stage.c -- the staged engine: records are built in the ring of the live area.
 *
 * The ring is addressed by position and mapped twice in a row, so every record is contiguous in
 * it. A byte may be overwritten by the one a ring length further on once it is in the segment
 * (written) and applied to the views (folded): until then it is the only, or the cheapest, copy.
 */
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"

static int stage_enter(struct clg_log *log, struct clg_segment *segment, uint8_t **out_map,
                       struct commitlog_error *err)
{
    (void)log;
    (void)segment;
    (void)err;
    *out_map = NULL;
    return COMMITLOG_OK;
}

static bool stage_has_room(const struct clg_log *log, uint64_t end)
{
    /* ORDER(room-1) acquire: whoever moved these has finished reading the bytes. */
    uint64_t low = clg_load_acquire_u64(&log->folded);
    uint64_t written = clg_live_load(&log->shared->written);
    if (written < low) {
        low = written;
    }
    return end <= low + log->ring_bytes;
}

static uint8_t *stage_place(const struct clg_log *log, uint64_t position)
{
    CLG_ASSERT(log->ring != NULL);
    return log->ring + (position & log->ring_mask);
}

const struct clg_engine clg_engine_stage = {
    .enter = stage_enter,
    .has_room = stage_has_room,
    .place = stage_place,
    .writes_through = false,
};
