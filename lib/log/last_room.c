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
#include "base/order.h"
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

static uint64_t last_wanted(const struct clg_log *log, const struct clg_append *item)
{
    return item->takes_waiting ? log->last_state_bytes
           : item->frees       ? log->last_kept_bytes
                               : log->last_kept_bytes + clg_last_freeing_bytes(log);
}

/* `left`: of what is held, behind the record. */
static int last_judge(struct clg_log *log, const struct clg_append *item, uint64_t left,
                      uint64_t more, uint64_t *out_spare, struct commitlog_error *err)
{
    const uint64_t wanted = last_wanted(log, item);
    const uint64_t kept = log->last_kept_bytes;
    *out_spare = left + more - clg_min_u64(wanted, left + more);
    if (left + more >= wanted) {
        return COMMITLOG_OK;
    }
    /* Retention cannot have what it needs in any case: there has to be less of it. */
    if (item->frees && last_held(log, log->position) + more < kept &&
        left >= log->last_state_bytes) {
        return COMMITLOG_OK;
    }
    clg_store_relaxed_u32(&log->last_refused, 1);
    return clg_fail(err, COMMITLOG_ENOSPC, 0, CLG_NO_POSITION,
                    "the disk has no more room than is kept for retention and messages that wait, "
                    "%llu bytes",
                    (unsigned long long)kept);
}

int clg_last_check(struct clg_log *log, const struct clg_append *item, uint64_t end,
                   struct commitlog_error *err)
{
    struct commitlog_error cause;
    uint64_t spare = 0;
    clg_error_clear(&cause);
    int rc = clg_claim_take_next(log, &cause);
    const uint64_t left = last_held(log, end);
    if (rc == COMMITLOG_OK && (left >= last_wanted(log, item) || end < log->last_asked_until)) {
        return COMMITLOG_OK;
    }
    const bool has_next = rc == COMMITLOG_OK;
    struct commitlog_error judged;
    int verdict = last_judge(log, item, left, has_next ? last_makeable(log) : 0, &spare, &judged);
    if (verdict == COMMITLOG_OK && has_next && !item->frees && !item->takes_waiting) {
        log->last_asked_until = end + clg_min_u64(log->segment_bytes / LAST_ASK_PART, spare);
    }
    /* Why there is no next segment says more than that it is wanted. */
    return verdict == COMMITLOG_OK ? COMMITLOG_OK
           : has_next              ? clg_error_give(err, verdict, &judged)
                                   : clg_error_give(err, rc, &cause);
}

int clg_last_check_switch(struct clg_log *log, const struct clg_append *item, uint64_t bytes,
                          struct commitlog_error *err)
{
    uint64_t spare = 0;
    int rc = clg_claim_take_next(log, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    const uint64_t next = log->next->data_end - log->next->data_start;
    const uint64_t left = next - clg_min_u64(bytes, next);
    if (left >= last_wanted(log, item)) {
        return COMMITLOG_OK;
    }
    return last_judge(log, item, left, last_makeable(log), &spare, err);
}

uint64_t clg_log_last_room(struct clg_log *log, uint64_t wanted)
{
    struct commitlog_error unused;
    clg_mutex_lock(log->os, &log->claim_lock);
    uint64_t bytes = last_held(log, log->position);
    if (bytes < wanted) { /* else the next one is upkeep's work */
        int rc = clg_claim_take_next(log, &unused);
        bytes = last_held(log, log->position);
        bytes += rc == COMMITLOG_OK ? last_makeable(log) : 0;
    }
    clg_mutex_unlock(log->os, &log->claim_lock);
    return bytes;
}

bool clg_log_take_last_refused(struct clg_log *log)
{
    return clg_load_relaxed_u32(&log->last_refused) != 0 &&
           clg_swap_acqrel_u32(&log->last_refused, 0) != 0;
}
