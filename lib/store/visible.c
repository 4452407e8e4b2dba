/* visible.c -- where the readers' log ends, and waiting for it to grow. */
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "store/store.h"

#define VISIBLE_FOLD_PIECE 1024u
#define VISIBLE_RESTARTS 8
/* Nobody writes: how often to look whether somebody does. */
#define VISIBLE_NO_WRITER_NS (INT64_C(100) * CLG_OS_NS_PER_MS)

bool clg_store_is_durable_only(const struct commitlog_store *store)
{
    return clg_option(&store->options, COMMITLOG_OPT_VISIBILITY) == COMMITLOG_VISIBLE_DURABLE;
}

uint64_t clg_store_visible(const struct commitlog_store *store, const struct clg_core *core)
{
    uint64_t durable = clg_log_durable(core->log);
    uint64_t published = clg_log_published(core->log);
    /* After a failed flush the cache may show what the disk does not have. */
    return clg_log_has_failed(core->log) || clg_store_is_durable_only(store) ? durable : published;
}

int clg_store_fold_core(struct commitlog_store *store, struct clg_core *core, uint64_t *out_visible,
                        struct commitlog_error *err)
{
    /* Before the segments are looked for: what is published later may lie in one more. */
    uint64_t visible = clg_store_visible(store, core);
    int rc = core->follows ? clg_follow_refresh(store, core, err) : COMMITLOG_OK;
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (clg_fold_position(core->fold) < visible) {
        rc = clg_fold_run(core->fold, visible, VISIBLE_FOLD_PIECE, CLG_FOLD_WAIT, true, err);
    }
    *out_visible = clg_min_u64(visible, clg_fold_position(core->fold));
    return rc;
}

/* A core made now begins behind what this one cannot fold: what retention has dropped, or, of what
 * is written, what does not verify. That once at a place: behind it there may be another one. */
static bool visible_begins_anew(const struct clg_core *core, int rc, uint64_t *stopped)
{
    const uint64_t folded = clg_fold_position(core->fold);
    if (!core->follows || (rc != COMMITLOG_ETOOSMALL && rc != COMMITLOG_EDAMAGED)) {
        return false;
    }
    if (rc == COMMITLOG_EDAMAGED && (folded >= clg_log_written(core->log) || folded == *stopped)) {
        return false;
    }
    *stopped = folded;
    return true;
}

int clg_store_fold(struct commitlog_store *store, struct clg_core **core, uint64_t *out_visible,
                   struct commitlog_error *err)
{
    struct clg_follow_reads reads = {0};
    uint64_t stopped = CLG_NO_POSITION;
    for (int tries = 0;; tries++) {
        int rc = clg_store_fold_core(store, *core, out_visible, err);
        bool again = tries < VISIBLE_RESTARTS && visible_begins_anew(*core, rc, &stopped);
        if (again) {
            rc = clg_follow_restart(store, *core, err);
            again = rc == COMMITLOG_OK;
        } else {
            again = clg_follow_again(store, (*core)->generation, &reads, &rc);
        }
        if (!again) {
            return rc != COMMITLOG_EBUSY ? rc
                                         : clg_fail(err, rc, 0, CLG_NO_POSITION,
                                                    "a writer is just opening or closing");
        }
        clg_core_unref(*core);
        *core = clg_store_core(store);
    }
}

int clg_store_fold_now(struct commitlog_store *store, struct clg_core **core, uint64_t *out_visible,
                       struct commitlog_error *err)
{
    bool replaced = false;
    int rc = store->read_only ? clg_follow_poll(store, (*core)->generation, &replaced, err)
                              : COMMITLOG_OK;
    if (rc != COMMITLOG_OK) {
        clg_wrap(err, "another writer has come");
        return rc;
    }
    if (replaced) {
        clg_core_unref(*core);
        *core = clg_store_core(store);
    }
    return clg_store_fold(store, core, out_visible, err);
}

struct clg_until clg_store_until(const struct commitlog_store *store, int32_t timeout_ms)
{
    int64_t ns = timeout_ms < 0 ? -1 : (int64_t)timeout_ms * CLG_OS_NS_PER_MS;
    return (struct clg_until){timeout_ms == 0 ? 0 : clg_os_deadline(store->os, ns),
                              clg_load_acquire_u32(&store->interrupts)};
}

/* One wait at the core of now. *out_again: look again, there is a reason to. */
static int visible_wait_once(struct commitlog_store *store, uint64_t position,
                             struct clg_until until, bool *out_again)
{
    struct clg_core *core = clg_store_core(store);
    int rc =
        clg_store_visible(store, core) > position
            ? COMMITLOG_OK
            : clg_log_wait_visible(core->log, position, clg_store_is_durable_only(store), until);
    *out_again = store->read_only && (rc == COMMITLOG_EAGAIN || rc == COMMITLOG_ECLOSED);
    if (*out_again) {
        /* It may have ended without a word, and its successor not have found its live area. */
        const bool closed = rc == COMMITLOG_ECLOSED;
        bool replaced = false;
        rc = closed ? clg_follow_check(store, NULL)
                    : clg_follow_poll(store, core->generation, &replaced, NULL);
        struct clg_core *now = clg_store_core(store);
        if (now != core) {
            *out_again = false; /* the caller looks again, at the new core */
        } else if (rc == COMMITLOG_OK && closed) {
            int64_t left = clg_os_left(store->os, until.mono_ns);
            store->os->sleep_ns(store->os,
                                left < VISIBLE_NO_WRITER_NS ? left : VISIBLE_NO_WRITER_NS);
            rc = clg_log_is_interrupted(core->log, until) ? COMMITLOG_EINTERRUPTED
                 : left == 0                              ? COMMITLOG_ETIMEDOUT
                                                          : COMMITLOG_OK;
        }
        clg_core_unref(now);
    }
    clg_core_unref(core);
    return rc;
}

int clg_store_wait(struct commitlog_store *store, uint64_t position, struct clg_until until)
{
    bool again;
    int rc;
    do {
        rc = visible_wait_once(store, position, until, &again);
    } while (rc == COMMITLOG_OK && again);
    return rc;
}

int32_t commitlog_wait(struct commitlog_store *store, uint64_t position, int32_t timeout_ms)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    const struct clg_until until = clg_store_until(store, timeout_ms);
    for (;;) {
        rc = clg_store_wait(store, position, until);
        struct clg_core *core = clg_store_core(store);
        bool reached = rc != COMMITLOG_OK || clg_store_visible(store, core) > position;
        clg_core_unref(core);
        if (reached) {
            return rc;
        }
        if (clg_os_left(store->os, until.mono_ns) == 0) {
            return COMMITLOG_ETIMEDOUT; /* another writer has come meanwhile */
        }
    }
}

int32_t commitlog_interrupt(struct commitlog_store *store)
{
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK) {
        struct clg_core *core = clg_store_core(store);
        (void)clg_add_acqrel_u32(&store->interrupts, 1);
        clg_wake_all(core->log);
        clg_core_unref(core);
    }
    return rc;
}

int32_t commitlog_event_fd(struct commitlog_store *store, int32_t *out_fd)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_fd == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    if (store->read_only) {
        return COMMITLOG_EUNSUPPORTED;
    }
    int32_t fd = atomic_load_explicit(&store->event_fd, memory_order_acquire);
    if (fd < 0) {
        int made = store->os->eventfd_create(store->os);
        if (made < 0) {
            return clg_error_from_errno(made);
        }
        int32_t expected = -1;
        fd = made;
        if (!atomic_compare_exchange_strong(&store->event_fd, &expected, made)) {
            clg_os_close_fd(store->os, &made);
            fd = expected;
        }
    }
    *out_fd = fd;
    return COMMITLOG_OK;
}

int32_t commitlog_positions_get(struct commitlog_store *store, struct commitlog_positions *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct clg_core *core = clg_store_core(store);
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    /* Lower ones first: each only grows, so the order holds for what was read. */
    positions.first = clg_log_first(core->log);
    clg_mutex_lock(store->os, &store->checkpoint_lock);
    positions.checkpointed = store->checkpoint.checkpointed;
    clg_mutex_unlock(store->os, &store->checkpoint_lock);
    positions.durable = clg_log_durable(core->log);
    positions.written = clg_log_written(core->log);
    positions.published = clg_log_published(core->log);
    positions.claimed = clg_log_claimed(core->log);
    positions.visible = clg_min_u64(clg_store_visible(store, core), positions.published);
    positions.epoch = store->read_only ? core->live.header.epoch : clg_log_epoch(core->log);
    clg_core_unref(core);
    if (positions.checkpointed < positions.first) {
        positions.checkpointed = positions.first;
    }
    clg_copy_out(out, &positions, sizeof(positions));
    return COMMITLOG_OK;
}
