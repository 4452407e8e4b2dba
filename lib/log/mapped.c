/*
 * mapped.c -- the mmap engine: records are built in the segment's own shared map.
 *
 * Only on file systems where a store to an allocated page cannot fail (the store decides that at
 * open). Pages ahead of the tail are touched in small steps, so that appends do not fault.
 */
#include <inttypes.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"

#define MAPPED_AHEAD_BYTES (UINT64_C(4) << 20)
#define MAPPED_STEP_BYTES (UINT64_C(1) << 20)

static int mapped_enter(struct clg_log *log, struct clg_segment *segment, uint8_t **out_map,
                        struct commitlog_error *err)
{
    (void)log;
    int rc = clg_segment_reserve(segment, err);
    if (rc == COMMITLOG_OK && !segment->reserved) {
        /* The store has asked only about the segment that it began with. */
        rc = clg_fail(err, COMMITLOG_EIO, 0, segment->base,
                      "segment %020" PRIu64 ".log: its blocks are not reserved, and on a full "
                      "disk a store by the map would be SIGBUS: use engine = staged",
                      segment->base);
    }
    rc = rc == COMMITLOG_OK ? clg_segment_map_write(segment, out_map, err) : rc;
    /* The fold reads by the other one, which a file system that has given up may refuse later. */
    const uint8_t *map;
    return rc == COMMITLOG_OK ? clg_segment_map(segment, &map, err) : rc;
}

static bool mapped_has_room(const struct clg_log *log, uint64_t end)
{
    (void)log;
    (void)end;
    return true; /* claim.c has compared with the end of the segment */
}

static uint8_t *mapped_place(const struct clg_log *log, uint64_t position)
{
    CLG_ASSERT(log->active_map != NULL && clg_segment_holds(log->active, position));
    return log->active_map + (position - log->active->base);
}

const struct clg_engine clg_engine_mapped = {
    .enter = mapped_enter,
    .has_room = mapped_has_room,
    .place = mapped_place,
    .writes_through = true,
};

void clg_log_populate(struct clg_log *log)
{
    const struct commitlog_os *os = log->os;
    if (!log->engine->writes_through) {
        return;
    }
    if (!clg_mutex_trylock(&log->unmap_lock)) {
        return; /* what is sealed is no longer mapped for writing, and its range may be another's */
    }
    const uint64_t page = os->page_size(os);
    for (uint64_t done = 0; done < MAPPED_AHEAD_BYTES; done += MAPPED_STEP_BYTES) {
        clg_mutex_lock(os, &log->claim_lock);
        struct clg_segment *segment = log->active;
        clg_segment_ref(segment);
        uint8_t *map = log->active_map;
        uint64_t at = clg_max_u64(log->populated, log->position);
        uint64_t from = segment->base + clg_align_down(at - segment->base, page);
        uint64_t to = clg_min_u64(from + MAPPED_STEP_BYTES, segment->base + segment->bytes);
        bool due = at < log->position + MAPPED_AHEAD_BYTES && at < to;
        if (due) {
            log->populated = to;
        }
        clg_mutex_unlock(os, &log->claim_lock);
        if (due) {
            /* A kernel without it faults at the first store instead: slower, not wrong. */
            (void)os->advise(os, map + (from - segment->base), to - from,
                             CLG_OS_ADVISE_POPULATE_WRITE);
        }
        clg_segment_unref(segment);
        if (!due) {
            break;
        }
    }
    clg_mutex_unlock(os, &log->unmap_lock);
}
