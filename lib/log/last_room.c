/*
 * last_room.c -- what is kept of a disk that is full, for what frees it again: retention, which has
 * to append before it can drop anything, and what retention waits for.
 *
 * Room is what is left of the active segment, the next one if it is there, and those that the file
 * system could yet hold. Retention needs all that it would have to store again before the oldest
 * segment goes: state, at most half of it, and messages that wait, all of it or, for they grow when
 * they are stored again, more. Where segments are made smaller than they were, that is many of
 * them.
 *
 * Invariants: 1. what users append, the topics that they make included, leaves that room and a
 *       stretch more; 2. the stretch is for what lets retention go on (`frees`): else messages
 * filled it to where a group that keeps them could not say that it has consumed them; 3. where
 * there is not enough room for retention in any case, what frees takes of it: then there is less to
 *       be stored again.
 * Threads and locks: everything under claim_lock.
 * Failure modes: COMMITLOG_ENOSPC, or what else keeps the next segment from being made.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "log/commit_log_internal.h"

/* Of a segment: some ten thousand commits, or deliveries. */
#define LAST_FREEING_PART 8u
#define LAST_FREEING_MOST (UINT64_C(1) << 20)
/* Of a segment: the file system is not asked for each record. */
#define LAST_ASK_PART 64u

uint64_t clg_last_freeing_bytes(const struct clg_log *log)
{
    return clg_min_u64(log->segment_bytes / LAST_FREEING_PART, LAST_FREEING_MOST);
}

void clg_log_set_last_room(struct clg_log *log, uint64_t state_bytes, uint64_t waiting_bytes)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    /* Never so much that a small segment would take no record at all; but for what waits: then the
     * next one is there, or nothing is appended. */
    log->last_state_bytes = clg_min_u64(state_bytes, log->segment_bytes / 4);
    log->last_kept_bytes = log->last_state_bytes + waiting_bytes;
    log->last_asked_until = 0;
    clg_mutex_unlock(log->os, &log->claim_lock);
}

/* In the segments that are there. */
static uint64_t last_held(const struct clg_log *log, uint64_t end)
{
    CLG_ASSERT(end <= log->active->data_end);
    uint64_t bytes = log->active->data_end - end;
    return log->next != NULL ? bytes + log->next->data_end - log->next->data_start : bytes;
}

/* In those that the file system has room for; as much as one wants if it cannot say. */
static uint64_t last_makeable(const struct clg_log *log)
{
    struct clg_os_fs_info fs;
    if (log->os->fs_info(log->os, log->supply->dir->fd, &fs) < 0) {
        return CLG_POSITION_MAX;
    }
    return fs.free_bytes / log->segment_bytes * (log->segment_bytes - CLG_SEGMENT_GAP);
}

int clg_last_check(struct clg_log *log, uint64_t end, bool frees, struct commitlog_error *err)
{
    const uint64_t kept = log->last_kept_bytes;
    const uint64_t wanted = kept + (frees ? 0 : clg_last_freeing_bytes(log));
    struct commitlog_error cause;
    clg_error_clear(&cause);
    int rc = clg_claim_take_next(log, &cause);
    if (rc == COMMITLOG_OK && (last_held(log, end) >= wanted || end < log->last_asked_until)) {
        return COMMITLOG_OK;
    }
    uint64_t more = rc == COMMITLOG_OK ? last_makeable(log) : 0;
    if (last_held(log, end) + more >= wanted) {
        log->last_asked_until = end + log->segment_bytes / LAST_ASK_PART;
        return COMMITLOG_OK;
    }
    if (frees && last_held(log, log->position) + more < kept &&
        last_held(log, end) >= log->last_state_bytes) {
        return COMMITLOG_OK;
    }
    if (rc == COMMITLOG_OK) {
        rc =
            clg_fail(&cause, COMMITLOG_ENOSPC, 0, CLG_NO_POSITION,
                     "the disk has no more room than is kept for retention and messages that wait, "
                     "%llu bytes",
                     (unsigned long long)kept);
    }
    return clg_error_give(err, rc, &cause);
}

uint64_t clg_log_last_room(struct clg_log *log)
{
    struct commitlog_error unused;
    clg_mutex_lock(log->os, &log->claim_lock);
    int rc = clg_claim_take_next(log, &unused);
    uint64_t bytes = last_held(log, log->position);
    bytes += rc == COMMITLOG_OK ? last_makeable(log) : 0;
    clg_mutex_unlock(log->os, &log->claim_lock);
    return bytes;
}
