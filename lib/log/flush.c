/*
 * flush.c -- group commit: a waiting appender leads, the others are the next group.
 *
 * Whoever finds nobody leading drains the stage and calls fdatasync itself; those who arrive in
 * the meantime wait, and when it is done one of them leads for all (leader and followers: for one
 * writer nearly twice as fast as a flusher thread, equal for many).
 *
 * Invariants: 1. the target is read before the flush begins: nothing published later is
 *       acknowledged by it; 2. segments are flushed oldest first, each through its one descriptor;
 *       3. after the first failure nothing is flushed again (the second fsync says OK and the data
 *       is gone) and durable never moves; 4. with flush_align_bytes durable lies at a block, from
 *       clg_log_align on.
 * Threads and locks: leader > drain_lock; no claim_lock but for the filler that aligns a flush.
 *
 * Who sleeps where: there are two groups, in turn. Who finds a leader at work reads its aim: either
 * the flush that is under way covers him, or the next one does. Behind a flush all of its group are
 * woken, and one of the other, to lead; the rest of those sleep on until his flush is done. Nobody
 * is forgotten by that:
 *   - each word changes behind each flush, and is read before the lock of the leader is tried: who
 *     could not get it sleeps only if that leader has not woken anybody yet;
 *   - in the wrong group one is woken too early, never too late: an aim that is out of date is that
 *     of the flush before, which did not cover him, so he is counted to the one under way;
 *   - who is woken to lead, leads, or somebody else does already. He leaves without it only when
 *     he was covered by a flush of his group, behind which all of that are woken, or when all are:
 *     by the latch or an interrupt. A time-out is never his: the word has changed; but where he
 *     waits for others to publish what he needs, it may be, and he wakes all before he goes.
 * ORDER(flush-1): a sleeper counts himself, then looks at the word (as does the kernel); who wakes
 * changes the word, then looks at the count. With a full fence on either side one sees the other.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "base/probe.h"
#include "log/commit_log_internal.h"

/* What a leader gives to those who were woken by the flush before, so that they append again and
 * join him: otherwise they just miss him, and half of all threads are in each group. Only where
 * several wait, and where a flush takes so much longer that it cannot be felt: a timer may be late
 * by 50 us. */
#define FLUSH_GATHER_NS (INT64_C(20) * 1000)
#define FLUSH_GATHER_FROM_NS (INT64_C(100) * 1000)

/* Zeros pay where appends wait for flushes, not where the library flushes a lot at once. */
#define FLUSH_SMALL_BYTES (UINT64_C(256) << 10)

/* A device that may spoil the block it is writing gets whole blocks: a filler record ends at the
 * next block, so that no later flush rewrites this one. Each claim has left room for it, and an
 * open reservation, at which `published` waits, begins at a block. */
static void flush_align(struct clg_log *log)
{
    uint64_t bytes = clg_claim_align_bytes(log, log->position);
    if (bytes == 0 || log->reserved > 0) {
        return;
    }
    if (log->position + bytes + CLG_RECORD_MIN > log->active->data_end) {
        /* Where the log was entered, of a store that did not align: the pad is the filler, if there
         * is a next segment. If not, nothing is claimed here, because it would need this room. */
        int rc = clg_claim_switch(log, NULL);
        (void)rc;
        return;
    }
    clg_claim_align(log);
    clg_publish(log);
}

/* Under leader: what is published, and ends where a block does. Both under one lock, or somebody
 * appends in between. */
static uint64_t flush_target(struct clg_log *log)
{
    if (log->flush_align_bytes == 0) {
        return clg_live_load(&log->shared->published);
    }
    clg_mutex_lock(log->os, &log->claim_lock);
    flush_align(log);
    uint64_t target = clg_live_load(&log->shared->published);
    clg_mutex_unlock(log->os, &log->claim_lock);
    clg_publish_wake(log);
    return target;
}

/* A segment on persistent memory needs no system call: its stores are pushed out of the caches.
 * Only where the kernel has promised that this is enough: no flush is asked for after that. */
static int flush_one(struct clg_log *log, struct clg_segment *segment, uint64_t from,
                     uint64_t target, struct commitlog_error *err)
{
    const struct commitlog_os *os = log->os;
    const uint8_t *map = log->engine->writes_through ? segment->write_map : NULL;
    if (map != NULL && segment->write_synced) {
        uint64_t end = clg_min_u64(target, segment->data_end);
        int rc = os->persist(os, map + (from - segment->base), end - from);
        return rc < 0 ? clg_fail_os(err, rc, from, "persist segment %llu",
                                    (unsigned long long)segment->base)
                      : COMMITLOG_OK;
    }
    (void)clg_add_relaxed_u64(&log->shared->counters[CLG_LIVE_COUNT_FLUSHES], 1);
    uint64_t bytes = clg_min_u64(target, segment->data_end) - from;
    int64_t began = os->clock_mono_ns(os);
    CLG_PROBE2(flush__begin, from, bytes);
    int rc = clg_segment_flush(segment, err);
    CLG_PROBE3(flush__end, from, bytes, rc);
    if (rc == COMMITLOG_OK) {
        log->flush_ns = os->clock_mono_ns(os) - began;
        clg_measure(log->live, CLG_HISTOGRAM_FLUSH, clg_measure_ns(0, log->flush_ns));
        clg_measure(log->live, CLG_HISTOGRAM_FLUSH_BYTES, bytes);
    }
    return rc;
}

static int flush_segments(struct clg_log *log, uint64_t from, uint64_t target,
                          struct commitlog_error *err)
{
    while (from < target) {
        struct clg_segment *segment = NULL;
        int rc = clg_segment_set_pin(log->set, from, &segment);
        if (rc != COMMITLOG_OK) {
            return clg_fail(err, COMMITLOG_EINTERNAL, 0, from, "no segment to flush");
        }
        rc = CLG_PLANTED(ROLL_UNFLUSHED) && segment->data_end < target
                 ? COMMITLOG_OK
                 : flush_one(log, segment, from, target, err);
        uint64_t next = segment->data_end + CLG_SEGMENT_GAP;
        clg_segment_unref(segment);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        from = next;
    }
    return COMMITLOG_OK;
}

/* Under leader. */
static void flush_gather(struct clg_log *log)
{
    if (log->flush_company > 1 && log->flush_ns >= FLUSH_GATHER_FROM_NS) {
        log->os->sleep_ns(log->os, FLUSH_GATHER_NS);
    }
    log->flush_company = 0;
    for (uint32_t i = 0; i < CLG_FLUSH_GROUPS; i++) {
        log->flush_company += clg_load_relaxed_u32(&log->flush_sleeps[i].sleepers);
    }
}

/* Under leader: what is flushed now is for the group that has been waiting while the last was. */
static void flush_take_aim(struct clg_log *log, uint64_t target)
{
    uint64_t group = clg_load_relaxed_u64(&log->flush_aim) & 1u;
    CLG_ASSERT(clg_is_aligned(target, CLG_RECORD_ALIGN));
    clg_store_release_u64(&log->flush_aim, target | (group ^ 1u)); /* ORDER(flush-aim) release */
}

/* What a flush that was under way when the store failed has brought to the disk is not told. */
static int flush_moves(struct clg_log *log, uint64_t target, struct commitlog_error *err)
{
    clg_mutex_lock(log->os, &log->latch_lock);
    bool good = clg_load_relaxed_u32(&log->latch) == 0;
    if (good || CLG_PLANTED(DURABLE_LATE)) {
        clg_live_store(&log->shared->durable, target);
    }
    clg_mutex_unlock(log->os, &log->latch_lock);
    return good ? COMMITLOG_OK : clg_log_failure(log, err);
}

/* Under leader. */
static int flush_lead(struct clg_log *log, struct commitlog_error *err)
{
    flush_gather(log);
    uint64_t durable = clg_live_load(&log->shared->durable);
    uint64_t target = flush_target(log);
    /* A moment later: what was just appended may be counted here, and is then not in the next. */
    uint64_t records = clg_load_relaxed_u64(&log->shared->counters[CLG_LIVE_COUNT_APPENDS]);
    CLG_ASSERT(target >= durable);
    if (target == durable) {
        return clg_log_failure(log, err);
    }
    flush_take_aim(log, target);
    int rc = clg_log_drain(log, target, UINT64_MAX, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (target - durable <= FLUSH_SMALL_BYTES) {
        rc = clg_drain_prewrite(log, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
    if (clg_load_acquire_u32(&log->latch) != 0) {
        return clg_log_failure(log, err);
    }
    struct commitlog_error cause;
    clg_error_clear(&cause);
    if (CLG_PLANTED(DURABLE_EARLY)) {
        clg_live_store(&log->shared->durable, target);
    }
    uint64_t flushes = clg_load_relaxed_u64(&log->shared->counters[CLG_LIVE_COUNT_FLUSHES]);
    rc = flush_segments(log, durable, target, &cause);
    if (rc != COMMITLOG_OK && !CLG_PLANTED(FLUSH_IGNORED)) {
        clg_log_latch(log, &cause);
        return clg_log_failure(log, err);
    }
    target = CLG_PLANTED(TARGET_LATE) ? clg_live_load(&log->shared->published) : target;
    rc = flush_moves(log, target, err);
    if (rc == COMMITLOG_OK &&
        clg_load_relaxed_u64(&log->shared->counters[CLG_LIVE_COUNT_FLUSHES]) != flushes) {
        clg_measure(log->live, CLG_HISTOGRAM_FLUSH_RECORDS, records - log->flushed_records);
        log->flushed_records = records;
    }
    return rc;
}

static void flush_change_words(struct clg_log *log)
{
    for (uint32_t i = 0; i < CLG_FLUSH_SLEEPS; i++) {
        (void)clg_add_acqrel_u32(&log->flush_sleeps[i].word, 1);
    }
    clg_fence_seqcst(); /* ORDER(flush-1) waker */
}

static void flush_wake(struct clg_log *log, uint64_t which, int32_t count)
{
    struct clg_flush_sleep *sleep = &log->flush_sleeps[which];
    if (clg_load_relaxed_u32(&sleep->sleepers) != 0) {
        (void)log->os->futex_wake(log->os, &sleep->word, count, false);
    }
}

void clg_flush_wake(struct clg_log *log)
{
    flush_change_words(log);
    for (uint32_t i = 0; i < CLG_FLUSH_SLEEPS; i++) {
        flush_wake(log, i, INT32_MAX);
    }
}

/* Behind a flush that was for this group. */
static void flush_done(struct clg_log *log, uint64_t group)
{
    flush_change_words(log);
    flush_wake(log, group ^ 1u, 1); /* who leads next: the device is idle until then */
    flush_wake(log, group, INT32_MAX);
    flush_wake(log, CLG_FLUSH_NEVER_LEADS, INT32_MAX);
    clg_wake_durable(log);
}

static int flush_sleep(struct clg_log *log, uint64_t which, uint32_t seen, struct clg_until until)
{
    struct clg_flush_sleep *sleep = &log->flush_sleeps[which];
    CLG_PROBE1(flush__wait__begin, seen);
    (void)clg_add_acqrel_u32(&sleep->sleepers, 1);
    clg_fence_seqcst(); /* ORDER(flush-1) sleeper */
    int rc = clg_wait_word(log->os, &sleep->word, seen, until.mono_ns, false);
    (void)clg_sub_acqrel_u32(&sleep->sleepers, 1);
    CLG_PROBE1(flush__wait__end, seen);
    return rc == -ETIMEDOUT ? COMMITLOG_ETIMEDOUT : COMMITLOG_EAGAIN;
}

/* Leads once, or waits for who does. COMMITLOG_EAGAIN: look again. */
static int flush_turn(struct clg_log *log, uint64_t upto, const uint32_t *seen,
                      struct clg_until until, struct commitlog_error *err)
{
    if (clg_mutex_trylock(&log->leader)) {
        int rc = flush_lead(log, err);
        uint64_t group =
            clg_load_relaxed_u64(&log->flush_aim) & 1u; /* the next leader changes it */
        clg_mutex_unlock(log->os, &log->leader);
        flush_done(log, group);
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EAGAIN;
    }
    uint64_t aim = clg_load_acquire_u64(&log->flush_aim); /* ORDER(flush-aim) acquire */
    uint64_t group = upto <= (aim & ~UINT64_C(1)) ? aim & 1u : (aim & 1u) ^ 1u;
    return flush_sleep(log, group, seen[group], until);
}

int clg_log_align(struct clg_log *log, struct commitlog_error *err)
{
    clg_mutex_lock(log->os, &log->leader);
    int rc = flush_lead(log, err);
    clg_mutex_unlock(log->os, &log->leader);
    return rc == COMMITLOG_EFAILED ? clg_log_what_failed(log, err) : rc;
}

int clg_log_flush(struct clg_log *log, uint64_t upto, struct clg_until until,
                  struct commitlog_error *err)
{
    for (;;) {
        const uint32_t seen[CLG_FLUSH_GROUPS] = {clg_load_acquire_u32(&log->flush_sleeps[0].word),
                                                 clg_load_acquire_u32(&log->flush_sleeps[1].word)};
        if (clg_live_load(&log->shared->durable) >= upto) {
            return COMMITLOG_OK;
        }
        int rc = clg_log_failure(log, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (clg_log_is_interrupted(log, until)) {
            return clg_log_wait_failed(log, COMMITLOG_EINTERRUPTED, upto, err);
        }
        uint64_t published = clg_live_load(&log->shared->published);
        if (published < upto && clg_live_load(&log->shared->durable) == published) {
            rc = clg_log_wait_visible(log, published, false, until);
            if (rc != COMMITLOG_OK) {
                clg_flush_wake(log); /* he may have been woken to lead */
                return clg_log_wait_failed(log, rc, upto, err);
            }
            continue;
        }
        rc = flush_turn(log, upto, seen, until, err);
        if (rc == COMMITLOG_ETIMEDOUT) {
            return clg_log_wait_failed(log, rc, upto, err);
        }
        if (rc != COMMITLOG_OK && rc != COMMITLOG_EAGAIN) {
            return rc;
        }
    }
}

int clg_log_wait_durable(struct clg_log *log, uint64_t upto, struct clg_until until)
{
    for (;;) {
        uint32_t seen = clg_load_acquire_u32(&log->flush_sleeps[CLG_FLUSH_NEVER_LEADS].word);
        if (clg_live_load(&log->shared->durable) >= upto) {
            return COMMITLOG_OK;
        }
        if (clg_load_acquire_u32(&log->latch) != 0) {
            return COMMITLOG_EFAILED;
        }
        if (clg_log_is_interrupted(log, until)) {
            return COMMITLOG_EINTERRUPTED;
        }
        if (flush_sleep(log, CLG_FLUSH_NEVER_LEADS, seen, until) == COMMITLOG_ETIMEDOUT) {
            return COMMITLOG_ETIMEDOUT;
        }
    }
}
