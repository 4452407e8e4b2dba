/*
 * engine.h -- where a record is built: the small interface between claims and the two engines.
 *
 * staged (stage.c): in the ring of the live area; drain.c moves it into the segment by pwrite.
 * mmap (mapped.c): in the writable map of the segment itself; there is nothing to drain.
 *
 * Threads and locks: every function under the claim lock.
 */
#ifndef CLG_LOG_ENGINE_H
#define CLG_LOG_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "segment/segment.h"

struct clg_log;

struct clg_engine {
    /* All that can fail before the segment becomes the active one. *out_map: see place. */
    int (*enter)(struct clg_log *log, struct clg_segment *segment, uint8_t **out_map,
                 struct commitlog_error *err);
    /* May bytes be built up to `end`? False: the caller gets COMMITLOG_EAGAIN. */
    bool (*has_room)(const struct clg_log *log, uint64_t end);
    /* Where the byte at `position` of the active segment is built. */
    uint8_t *(*place)(const struct clg_log *log, uint64_t position);
    /* Is what was published also written at once? */
    bool writes_through;
};

extern const struct clg_engine clg_engine_stage;
extern const struct clg_engine clg_engine_mapped;

#endif
