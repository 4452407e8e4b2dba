/* SPDX-License-Identifier: BSD-2-Clause */
/* limits.c -- see limits.h. */
#include "store/limits.h"

#include "base/error.h"
#include "base/invariant.h"
#include "store/groups.h"

int32_t commitlog_limits_set(struct commitlog_store *store, const struct commitlog_limits *limits,
                             struct commitlog_error *err)
{
    struct commitlog_limits wanted;
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK && store->read_only) {
        rc = COMMITLOG_EMISUSE;
    }
    if (rc == COMMITLOG_OK &&
        (limits == NULL || clg_copy_in(&wanted, sizeof(wanted), limits) != 0 ||
         wanted.reserved != 0)) {
        rc = COMMITLOG_EINVAL;
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "set limits");
    }
    clg_store_relaxed_u64(&store->limit_unflushed_bytes, wanted.unflushed_bytes);
    clg_store_relaxed_u64(&store->limit_unconsumed_bytes, wanted.unconsumed_bytes);
    clg_store_relaxed_u32(&store->limits_on,
                          wanted.unflushed_bytes != 0 || wanted.unconsumed_bytes != 0 ? 1 : 0);
    return COMMITLOG_OK;
}

int32_t commitlog_limits_get(struct commitlog_store *store, struct commitlog_limits *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    const struct commitlog_limits limits = {
        .struct_bytes = sizeof(limits),
        .unflushed_bytes = clg_load_relaxed_u64(&store->limit_unflushed_bytes),
        .unconsumed_bytes = clg_load_relaxed_u64(&store->limit_unconsumed_bytes)};
    clg_copy_out(out, &limits, sizeof(limits));
    return COMMITLOG_OK;
}

static uint64_t limits_behind(uint64_t end, uint64_t position)
{
    return end > position ? end - position : 0;
}

static int limits_full(const char *what, uint64_t bytes, uint64_t most, struct commitlog_error *err)
{
    return clg_fail(err, COMMITLOG_EFULL, 0, CLG_NO_POSITION,
                    "%llu bytes of the log are not %s yet, the limit is %llu",
                    (unsigned long long)bytes, what, (unsigned long long)most);
}

/* Whoever is over the limit flushes: there may be no thread that does, and it bounds what waits. */
static int limits_flush(struct commitlog_store *store, struct clg_until until,
                        struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    const uint64_t most = clg_load_relaxed_u64(&store->limit_unflushed_bytes);
    const uint64_t end = clg_log_claimed(log);
    int rc = COMMITLOG_OK;
    if (most == 0 || limits_behind(end, clg_log_durable(log)) <= most) {
        return COMMITLOG_OK;
    }
    if (clg_os_left(store->os, until.mono_ns) != 0) {
        clg_count(store, CLG_COUNT_LIMIT_WAITS, 1);
        rc = clg_log_flush(log, end - most, until, err);
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ETIMEDOUT) {
        return rc;
    }
    const uint64_t bytes = limits_behind(end, clg_log_durable(log));
    return bytes <= most ? COMMITLOG_OK : limits_full("flushed", bytes, most, err);
}

/* As of now; what is kept in between is a bound, for consumers only go on, and a reset forgets it
 * (clg_groups_apply_item). */
static int limits_look(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    uint64_t position = UINT64_MAX;
    uint64_t published = clg_log_published(log);
    int rc = clg_fold_run(store->core->fold, published, 1024, CLG_FOLD_WAIT, true, err);
    if (rc == COMMITLOG_OK) {
        /* Not behind the lock: what a reset forgets meanwhile stays forgotten. */
        clg_mutex_lock(store->os, &store->group_lock);
        rc = clg_groups_unconsumed_from(store, &position, err);
        if (rc == COMMITLOG_OK) {
            clg_store_relaxed_u64(&store->unconsumed_from,
                                  position == UINT64_MAX ? published : position);
        }
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    return rc;
}

static int limits_consume(struct commitlog_store *store, struct clg_until until,
                          struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    bool looked = false;
    for (;;) {
        const uint64_t most = clg_load_relaxed_u64(&store->limit_unconsumed_bytes); /* may change */
        uint32_t ticket = clg_log_room_ticket(log);
        uint64_t bytes =
            limits_behind(clg_log_claimed(log), clg_load_relaxed_u64(&store->unconsumed_from));
        if (most == 0 || bytes <= most) {
            return COMMITLOG_OK;
        }
        int rc = clg_log_failure(log, err);
        if (rc == COMMITLOG_OK && looked) {
            clg_count(store, CLG_COUNT_LIMIT_WAITS, 1);
            rc = clg_log_wait_room(log, ticket, until);
        }
        if (rc == COMMITLOG_ETIMEDOUT) {
            return limits_full("consumed", bytes, most, err);
        }
        if (rc == COMMITLOG_EINTERRUPTED) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "append: interrupted");
        }
        rc = rc == COMMITLOG_OK ? limits_look(store, err) : rc;
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        looked = true;
    }
}

int clg_limits_wait_slow(struct commitlog_store *store, bool consumes, struct clg_until until,
                         struct commitlog_error *err)
{
    int rc = clg_log_failure(store->core->log, err);
    if (rc == COMMITLOG_OK) {
        rc = limits_flush(store, until, err);
    }
    return rc == COMMITLOG_OK && !consumes ? limits_consume(store, until, err) : rc;
}
