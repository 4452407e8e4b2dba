/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_supply.c -- see segment_supply.h.
 *
 * Invariants: wanted and ready exclude each other; a draft exists only while wanted; a failure with
 *       the final name already there is kept for good (the name may or may not be durable, and a
 *       second flush of the directory would answer OK either way).
 * Threads and locks: supply->lock; `takers` is raised before it is asked for, so that a step
 *       between two pieces sees it and leaves.
 * Happy path: begin, allocate, zeros in pieces with pauses, finish.
 * Failure modes: see segment_supply.h.
 */
#include "segment/segment_supply.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/order.h"

/* Some file systems write zeros to allocate: bound what one call may take. */
#define SUPPLY_ALLOCATE_BYTES (UINT64_C(64) << 20)
/* The device belongs to the appenders for at least as long as a piece took, and never less. */
#define SUPPLY_PAUSE_MIN_NS (INT64_C(1) * 1000 * 1000)
#define SUPPLY_PAUSE_MAX_NS (INT64_C(50) * 1000 * 1000)

void clg_segment_supply_init(struct clg_segment_supply *supply, const struct clg_segment_dir *dir,
                             bool prewrite)
{
    CLG_ASSERT(supply != NULL);
    CLG_ASSERT(!dir->read_only);
    *supply = (struct clg_segment_supply){.dir = dir};
    clg_store_relaxed_u32(&supply->prewrite, prewrite);
    clg_mutex_init(&supply->lock);
    clg_segment_draft_init(&supply->draft, dir);
}

void clg_segment_supply_set_prewrite(struct clg_segment_supply *supply, bool prewrite)
{
    const struct commitlog_os *os = supply->dir->os;
    clg_mutex_lock(os, &supply->lock);
    clg_store_relaxed_u32(&supply->prewrite, prewrite);
    clg_mutex_unlock(os, &supply->lock);
}

void clg_segment_supply_free(struct clg_segment_supply *supply)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(clg_load_relaxed_u32(&supply->takers) == 0);
    CLG_ASSERT(!clg_mutex_is_held(&supply->lock));
    clg_segment_draft_abort(&supply->draft);
    clg_segment_unref(supply->ready);
    os->free(os, supply->zeros);
    clg_segment_supply_init(supply, supply->dir, clg_segment_supply_prewrites(supply));
}

void clg_segment_supply_want(struct clg_segment_supply *supply, const struct clg_segment_plan *plan)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(clg_segment_size_ok(plan->bytes));
    clg_mutex_lock(os, &supply->lock);
    CLG_ASSERT(supply->ready == NULL || supply->ready->base == plan->base);
    bool same = supply->wanted && supply->plan.base == plan->base;
    if (supply->ready == NULL && !same) {
        clg_segment_draft_abort(&supply->draft);
        supply->plan = *plan;
        supply->wanted = true;
    }
    clg_mutex_unlock(os, &supply->lock);
}

void clg_segment_supply_give(struct clg_segment_supply *supply, struct clg_segment *segment)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(segment != NULL);
    clg_mutex_lock(os, &supply->lock);
    CLG_ASSERT(supply->ready == NULL);
    clg_segment_draft_abort(&supply->draft);
    supply->ready = segment;
    supply->wanted = false;
    clg_mutex_unlock(os, &supply->lock);
}

/* Under lock. Remember, drop what there is, pause. */
static void supply_failed(struct clg_segment_supply *supply, const struct commitlog_error *cause)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(clg_mutex_is_held(&supply->lock));
    CLG_ASSERT(cause->code < 0);
    bool final = supply->draft.named;
    clg_segment_draft_abort(&supply->draft);
    supply->failure = *cause;
    supply->retry_at_ns = final ? CLG_OS_FOREVER : clg_os_deadline(os, CLG_SUPPLY_RETRY_NS);
    if (cause->code == COMMITLOG_ENOSPC) {
        supply->refused++;
    }
}

/* Under lock: one piece of zeros; then the device gets a rest. */
static int supply_prewrite(struct clg_segment_supply *supply, struct commitlog_error *err)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(supply->draft.fd >= 0);
    if (supply->zeros == NULL) {
        supply->zeros = os->alloc(os, CLG_SUPPLY_PIECE_BYTES);
        if (supply->zeros == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, supply->plan.base, "a piece of zeros");
        }
    }
    int64_t before = os->clock_mono_ns(os);
    int rc = clg_segment_draft_prewrite(&supply->draft, supply->zeros, CLG_SUPPLY_PIECE_BYTES, err);
    int64_t after = os->clock_mono_ns(os);
    int64_t pause = after - before;
    pause = pause < SUPPLY_PAUSE_MIN_NS ? SUPPLY_PAUSE_MIN_NS : pause;
    pause = pause > SUPPLY_PAUSE_MAX_NS ? SUPPLY_PAUSE_MAX_NS : pause;
    supply->pause_until_ns = after + pause;
    CLG_ASSERT(supply->pause_until_ns > after);
    return rc;
}

/* Under lock, wanted: one bounded piece of work. */
static int supply_advance(struct clg_segment_supply *supply, bool prewrite, uint64_t allocate_max,
                          struct commitlog_error *err)
{
    struct clg_segment_draft *draft = &supply->draft;
    CLG_ASSERT(clg_mutex_is_held(&supply->lock));
    CLG_ASSERT(supply->wanted && supply->ready == NULL);
    struct commitlog_error local;
    clg_error_clear(&local);
    int rc;
    if (draft->fd < 0) {
        rc = clg_segment_draft_begin(draft, &supply->plan, &local);
    } else if (draft->allocated < draft->header.size) {
        rc = clg_segment_draft_allocate(draft, allocate_max, &local);
    } else if (prewrite && draft->prewritten < draft->header.size) {
        rc = supply_prewrite(supply, &local);
    } else {
        rc = clg_segment_draft_finish(draft, &supply->ready, &local);
        if (rc == 0) {
            supply->wanted = false;
            supply->retry_at_ns = 0;
            clg_error_clear(&supply->failure);
        }
    }
    if (rc != 0) {
        clg_wrap(&local, "next segment");
        supply_failed(supply, &local);
        if (err != NULL) {
            *err = local;
        }
    }
    return rc;
}

/* Under lock: 0 when there is something to do now, else how long to wait. */
static int64_t supply_wait_ns(const struct clg_segment_supply *supply, int64_t now)
{
    CLG_ASSERT(clg_mutex_is_held(&supply->lock));
    CLG_ASSERT(now >= 0);
    if (!supply->wanted || supply->retry_at_ns == CLG_OS_FOREVER) {
        return CLG_OS_FOREVER;
    }
    if (now < supply->retry_at_ns) {
        return supply->retry_at_ns - now;
    }
    if (now < supply->pause_until_ns) {
        return supply->pause_until_ns - now;
    }
    return 0;
}

int clg_segment_supply_step(struct clg_segment_supply *supply, int64_t budget_ns,
                            int64_t *out_wait_ns, struct commitlog_error *err)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(out_wait_ns != NULL);
    CLG_ASSERT(budget_ns >= 0);
    int64_t until = clg_os_deadline(os, budget_ns);
    int64_t wait;
    int rc = 0;
    bool more;
    do {
        if (clg_load_acquire_u32(&supply->takers) != 0) {
            wait = 0;
            break;
        }
        clg_mutex_lock(os, &supply->lock);
        wait = supply_wait_ns(supply, os->clock_mono_ns(os));
        if (wait == 0) {
            rc = supply_advance(supply, clg_segment_supply_prewrites(supply), SUPPLY_ALLOCATE_BYTES,
                                err);
            wait = supply_wait_ns(supply, os->clock_mono_ns(os));
        }
        clg_mutex_unlock(os, &supply->lock);
        more = rc == 0 && wait == 0 && os->clock_mono_ns(os) < until;
    } while (more);
    if (rc == 0) {
        *out_wait_ns = wait;
    }
    return rc;
}

void clg_segment_supply_retry(struct clg_segment_supply *supply)
{
    CLG_ASSERT(supply->dir != NULL);
    clg_mutex_lock(supply->dir->os, &supply->lock);
    if (supply->retry_at_ns != CLG_OS_FOREVER) { /* that one is final */
        supply->retry_at_ns = 0;
    }
    clg_mutex_unlock(supply->dir->os, &supply->lock);
}

bool clg_segment_supply_is_short(struct clg_segment_supply *supply)
{
    const struct commitlog_os *os = supply->dir->os;
    clg_mutex_lock(os, &supply->lock);
    bool is_short = supply->wanted && supply->failure.code == COMMITLOG_ENOSPC;
    CLG_ASSERT(supply->ready == NULL || !supply->wanted);
    clg_mutex_unlock(os, &supply->lock);
    return is_short;
}

bool clg_segment_supply_is_ready(struct clg_segment_supply *supply, uint64_t base)
{
    const struct commitlog_os *os = supply->dir->os;
    clg_mutex_lock(os, &supply->lock);
    bool ready = supply->ready != NULL && supply->ready->base == base;
    CLG_ASSERT(supply->ready == NULL || !supply->wanted);
    clg_mutex_unlock(os, &supply->lock);
    return ready;
}

/* Under lock, not ready. */
static int supply_make_now(struct clg_segment_supply *supply, uint64_t base,
                           struct commitlog_error *err)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(clg_mutex_is_held(&supply->lock));
    CLG_ASSERT(supply->ready == NULL);
    if (!supply->wanted || supply->plan.base != base) {
        return clg_fail(err, COMMITLOG_EINTERNAL, 0, base,
                        "next segment: %020" PRIu64 ".log was never asked for", base);
    }
    if (supply->failure.code != 0 && os->clock_mono_ns(os) < supply->retry_at_ns) {
        if (err != NULL) {
            *err = supply->failure;
        }
        return supply->failure.code;
    }
    int rc = 0;
    while (rc == 0 && supply->ready == NULL) {
        rc = supply_advance(supply, false, UINT64_MAX, err);
    }
    return rc;
}

/* Under lock, ready: one that was prepared by another process may have lost its blocks since. */
static int supply_reserve_ready(struct clg_segment_supply *supply, struct commitlog_error *err)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(clg_mutex_is_held(&supply->lock));
    if (supply->ready->reserved) {
        return 0;
    }
    if (supply->failure.code != 0 && os->clock_mono_ns(os) < supply->retry_at_ns) {
        return clg_error_give(err, supply->failure.code, &supply->failure);
    }
    struct commitlog_error own;
    clg_error_clear(&own);
    int rc = clg_segment_reserve(supply->ready, &own);
    if (rc != 0) {
        supply_failed(supply, &own);
        return clg_error_give(err, rc, &own);
    }
    supply->retry_at_ns = 0;
    clg_error_clear(&supply->failure);
    return 0;
}

int clg_segment_supply_take(struct clg_segment_supply *supply, uint64_t base,
                            struct clg_segment **out, struct commitlog_error *err)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(base <= CLG_POSITION_MAX);
    (void)clg_add_acqrel_u32(&supply->takers, 1);
    clg_mutex_lock(os, &supply->lock);
    int rc = 0;
    if (supply->ready != NULL && supply->ready->base != base) {
        rc = clg_fail(err, COMMITLOG_EINTERNAL, 0, base,
                      "next segment: %020" PRIu64 ".log is ready, %020" PRIu64 ".log was asked for",
                      supply->ready->base, base);
    } else if (supply->ready != NULL) {
        rc = supply_reserve_ready(supply, err);
        supply->made_ahead += rc == 0 ? 1 : 0;
    } else {
        rc = supply_make_now(supply, base, err);
        supply->made_late += rc == 0 ? 1 : 0;
    }
    if (rc == 0) {
        CLG_ASSERT(supply->ready->base == base);
        *out = supply->ready;
        supply->ready = NULL;
    }
    clg_mutex_unlock(os, &supply->lock);
    (void)clg_sub_acqrel_u32(&supply->takers, 1);
    return rc;
}

void clg_segment_supply_get_stats(struct clg_segment_supply *supply,
                                  struct clg_segment_supply_stats *out)
{
    const struct commitlog_os *os = supply->dir->os;
    CLG_ASSERT(out != NULL);
    clg_mutex_lock(os, &supply->lock);
    CLG_ASSERT(supply->failure.code <= 0);
    out->made_ahead = supply->made_ahead;
    out->made_late = supply->made_late;
    out->refused = supply->refused;
    out->ready_base = supply->ready != NULL ? supply->ready->base : CLG_NO_POSITION;
    out->failure = supply->failure.code;
    clg_mutex_unlock(os, &supply->lock);
}
