/* commit_log.c -- opening, positions and the latch. See commit_log.h. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"

static void log_init_fields(struct clg_log *log, const struct clg_log_config *config)
{
    log->os = config->os;
    log->set = config->set;
    log->supply = config->supply;
    log->registry = config->registry;
    log->live = config->live;
    log->shared = config->live->area;
    log->ring = config->live->ring;
    log->ring_bytes = config->live->ring_bytes;
    log->ring_mask = config->live->ring_bytes > 0 ? config->live->ring_bytes - 1 : 0;
    log->engine = config->engine == COMMITLOG_ENGINE_MMAP ? &clg_engine_mapped : &clg_engine_stage;
    log->epoch = config->epoch;
    log->session_id = config->session_id;
    log->segment_bytes = config->segment_bytes;
    log->flush_align_bytes = config->flush_align_bytes;
    log->interrupts = config->interrupts;
    log->event_fd = config->event_fd;
    log->is_follower = config->supply == NULL;
    log->registry->is_claimed = !log->is_follower;
    log->first_floor = log->is_follower ? config->first : 0;
    clg_mutex_init(&log->claim_lock);
    clg_mutex_init(&log->drain_lock);
    clg_mutex_init(&log->leader);
    clg_mutex_init(&log->seal_lock);
    clg_mutex_init(&log->unmap_lock);
    clg_mutex_init(&log->latch_lock);
}

/* Appends that wait for no disk are drawn: to time each would cost up to half of what they do. So
 * are durable ones on persistent memory. Of all else each one is counted. */
static void log_set_rates(struct clg_log *log)
{
    const bool persists = log->engine->writes_through && log->active->write_synced;
    log->times_durable = !persists;
    for (uint32_t i = 0; i < log->live->histogram_count; i++) {
        bool drawn = i == CLG_HISTOGRAM_APPEND || i == CLG_HISTOGRAM_APPEND_WRITTEN ||
                     (i == CLG_HISTOGRAM_APPEND_DURABLE && persists);
        clg_store_relaxed_u64(&log->live->histograms[i].one_in,
                              drawn ? UINT64_C(1) << CLG_MEASURE_ONE_IN_LOG2 : 1);
    }
}

/* The log goes on at `end` in the last segment of the set, which lies there. */
static int log_enter(struct clg_log *log, const struct clg_log_config *config,
                     struct commitlog_error *err)
{
    struct clg_segment *active = NULL;
    int rc = clg_segment_set_pin(log->set, config->end, &active);
    if (rc != COMMITLOG_OK || config->end < active->data_start ||
        config->end + CLG_RECORD_MIN > active->data_end) {
        clg_segment_unref(active);
        return clg_fail(err, COMMITLOG_EINTERNAL, 0, config->end, "no active segment at the end");
    }
    log->active = active;
    rc = log->engine->enter(log, active, &log->active_map, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (!log->engine->writes_through) { /* else nothing drains, and nothing would let go of it */
        clg_segment_ref(active);
        log->drain_segment = active;
    }
    log->drained = config->end;
    log->position = config->end;
    log->start_position = config->end;
    log->last_mark = config->end;
    log->mark_bytes = clg_max_u64(CLG_MARK_BYTES, log->ring_bytes / 32);
    log->populated = config->end;
    log->tally_complete = config->end == active->data_start;
    log->last_time_ns = config->last_time_ns;
    log->wall_reference_ns = log->os->clock_wall_ns(log->os);
    log->mono_reference_ns = log->os->clock_mono_ns(log->os);
    atomic_store_explicit(&log->active_base, active->base, memory_order_relaxed);
    atomic_store_explicit(&log->announced, config->end, memory_order_relaxed);
    atomic_store_explicit(&log->folded, config->end, memory_order_relaxed);
    atomic_store_explicit(&log->ring_floor, config->end, memory_order_relaxed);
    struct clg_live_area *shared = log->shared;
    clg_live_store(&shared->first, config->first);
    clg_live_store(&shared->claimed, config->end);
    clg_live_store(&shared->published, config->end);
    clg_live_store(&shared->written, config->end);
    clg_live_store(&shared->durable, config->end);
    log_set_rates(log);
    clg_seal_adopt(log);
    struct clg_segment_plan plan;
    clg_segment_plan_after(active, log->segment_bytes, log->last_time_ns, log->epoch, &plan);
    clg_segment_supply_want(log->supply, &plan);
    return COMMITLOG_OK;
}

int clg_log_open(const struct clg_log_config *config, struct clg_log **out,
                 struct commitlog_error *err)
{
    CLG_ASSERT(config->live->area != NULL);
    struct clg_log *log = config->os->alloc(config->os, sizeof(*log));
    if (log == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "open the log");
    }
    log_init_fields(log, config);
    int rc = log->is_follower ? COMMITLOG_OK : log_enter(log, config, err);
    if (rc != COMMITLOG_OK) {
        clg_log_free(log);
        return rc;
    }
    *out = log;
    return COMMITLOG_OK;
}

void clg_log_free(struct clg_log *log)
{
    if (log == NULL) {
        return;
    }
    clg_segment_unref(log->active);
    clg_segment_unref(log->next); /* empty, in the directory: the next opening finds it */
    clg_segment_unref(log->drain_segment);
    log->os->free(log->os, log->zeros);
    clg_segment_unref(log->peek_segment);
    log->os->free(log->os, log->peek_buffer);
    log->os->free(log->os, log);
}

uint64_t clg_log_first(const struct clg_log *log)
{
    return clg_max_u64(log->first_floor, clg_live_load(&log->shared->first));
}

uint64_t clg_log_durable(const struct clg_log *log)
{
    return clg_live_load(&log->shared->durable);
}

uint64_t clg_log_written(const struct clg_log *log)
{
    return clg_live_load(&log->shared->written);
}

uint64_t clg_log_published(const struct clg_log *log)
{
    return clg_live_load(&log->shared->published); /* ORDER(publish-1) acquire */
}

uint64_t clg_log_claimed(const struct clg_log *log)
{
    return clg_live_load(&log->shared->claimed);
}

int64_t clg_log_last_time(struct clg_log *log)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    int64_t last = log->last_time_ns;
    clg_mutex_unlock(log->os, &log->claim_lock);
    return last;
}

int64_t clg_log_time(struct clg_log *log)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    int64_t now = clg_claim_time(log);
    clg_mutex_unlock(log->os, &log->claim_lock);
    return now;
}

int64_t clg_log_held_back(struct clg_log *log)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    int64_t held = log->held_back_ns;
    clg_mutex_unlock(log->os, &log->claim_lock);
    return held;
}

bool clg_log_times(const struct clg_log *log, uint32_t level)
{
    return level == COMMITLOG_LEVEL_DURABLE && log->times_durable;
}

void clg_log_measure(const struct clg_log *log, enum clg_histogram which, int64_t began_ns)
{
    clg_measure(log->live, which, clg_measure_ns(began_ns, log->os->clock_mono_ns(log->os)));
}

uint64_t clg_log_flushes(const struct clg_log *log)
{
    return clg_load_relaxed_u64(&log->shared->counters[CLG_LIVE_COUNT_FLUSHES]);
}

uint32_t clg_log_epoch(const struct clg_log *log)
{
    return log->epoch;
}

uint64_t clg_log_active_base(const struct clg_log *log)
{
    return clg_load_acquire_u64(&log->active_base);
}

void clg_log_set_first(struct clg_log *log, uint64_t first)
{
    CLG_ASSERT(first >= clg_log_first(log) && first <= clg_log_durable(log));
    clg_live_store(&log->shared->first, first);
}

void clg_log_set_folded(struct clg_log *log, uint64_t position)
{
    CLG_ASSERT(position >= clg_load_relaxed_u64(&log->folded));
    clg_store_release_u64(&log->folded, position); /* ORDER(room-1) release */
    clg_room_changed(log);
}

void clg_log_latch(struct clg_log *log, const struct commitlog_error *cause)
{
    CLG_ASSERT(cause->code < 0);
    clg_mutex_lock(log->os, &log->latch_lock);
    bool is_first = clg_load_relaxed_u32(&log->latch) == 0;
    if (is_first) {
        log->failure = *cause;
        clg_store_release_u32(&log->latch, 1); /* ORDER(latch-1) release */
    }
    clg_mutex_unlock(log->os, &log->latch_lock);
    if (!is_first) {
        return;
    }
    clg_store_release_u32(&log->shared->closed.flag, CLG_LIVE_FAILED);
    clg_wake_all(log);
    clg_live_wake(log->live);
}

bool clg_log_has_failed(const struct clg_log *log)
{
    return log->is_follower ? clg_load_acquire_u32(&log->shared->closed.flag) == CLG_LIVE_FAILED
                            : clg_load_acquire_u32(&log->latch) != 0; /* ORDER(latch-1) acquire */
}

int clg_log_failure(struct clg_log *log, struct commitlog_error *err)
{
    if (clg_load_acquire_u32(&log->latch) == 0) { /* ORDER(latch-1) acquire */
        return COMMITLOG_OK;
    }
    if (err != NULL) {
        *err = log->failure;
        clg_wrap(err, "failed before, reopen the store");
        err->code = COMMITLOG_EFAILED;
    }
    return COMMITLOG_EFAILED;
}

int clg_log_what_failed(const struct clg_log *log, struct commitlog_error *err)
{
    if (clg_load_acquire_u32(&log->latch) == 0) { /* ORDER(latch-1) acquire */
        return COMMITLOG_OK;
    }
    if (err != NULL) {
        *err = log->failure;
    }
    return log->failure.code;
}

void clg_log_invariants(const struct clg_log *log)
{
    uint64_t first = clg_log_first(log);
    uint64_t durable = clg_log_durable(log);
    uint64_t written = clg_log_written(log);
    uint64_t published = clg_log_published(log);
    uint64_t claimed = clg_log_claimed(log);
    CLG_ASSERT(first <= durable && durable <= written);
    CLG_ASSERT(written <= published && published <= claimed);
    (void)first;
    (void)durable;
    (void)written;
    (void)published;
    (void)claimed;
}
