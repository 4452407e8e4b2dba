/* timers.c -- see timers.h. */
#include "store/timers.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/producer_record.h"
#include "format/reference_record.h"
#include "format/timer_record.h"
#include "log/reader.h"

/* When the first one is due, for upkeep to look at without the lock; true: sooner than before. */
bool clg_timers_note_due(struct commitlog_store *store)
{
    struct clg_timer first;
    bool some = clg_timer_at(&store->timers, 0, &first);
    uint64_t due_ms = some ? (uint64_t)first.due_ms : UINT64_MAX;
    uint64_t before = clg_load_relaxed_u64(&store->timer_due_ms);
    clg_store_relaxed_u64(&store->timer_due_ms, due_ms);
    return due_ms < before;
}

static int timers_take(void *ctx, const struct clg_timer_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_timer_table_copy(&store->timers, table);
}

int clg_timers_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_timer_table_init(&store->timers, store->os);
    int rc = clg_fold_timers(store->core->fold, timers_take, store);
    (void)clg_timers_note_due(store);
    return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "timers: out of memory");
}

void clg_timers_deinit(struct commitlog_store *store)
{
    if (store->timers.os != NULL) {
        clg_timer_table_deinit(&store->timers);
    }
}

int clg_timers_check(struct commitlog_store *store, int64_t due_ms, bool *out_waits,
                     struct commitlog_error *err)
{
    if (due_ms < 0) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, CLG_NO_POSITION,
                        "deliver_at_ms %lld is before 1970", (long long)due_ms);
    }
    if (due_ms > CLG_DELIVER_AT_MAX_MS) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "deliver_at_ms %lld is behind the end of store times", (long long)due_ms);
    }
    *out_waits = due_ms * CLG_OS_NS_PER_MS > clg_log_time(store->core->log);
    return COMMITLOG_OK;
}

/* When and where to, of an item that waits; what encode.c has put first. */
static bool timers_mark(const struct clg_append *item, struct clg_deliver_at *out)
{
    return item->kind == CLG_KIND_TIMER && item->attribute_bytes > CLG_ATTRIBUTE_HEADER_BYTES &&
           clg_deliver_at_decode(item->attributes + CLG_ATTRIBUTE_HEADER_BYTES,
                                 CLG_DELIVER_AT_BYTES, out) == COMMITLOG_OK;
}

struct timers_append {
    struct commitlog_store *store;
    const struct clg_append *items;
    uint32_t count;
    struct commitlog_receipt *receipts;
};

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int timers_append_now(void *ctx, struct commitlog_error *err)
{
    const struct timers_append *append = ctx;
    struct commitlog_store *store = append->store;
    const struct clg_append *items = append->items;
    struct commitlog_receipt *receipts = append->receipts;
    const uint32_t count = append->count;
    int rc = COMMITLOG_OK;
    struct clg_deliver_at at;
    clg_mutex_lock(store->os, &store->timer_lock);
    rc = clg_timer_table_prepare(&store->timers, count);
    if (rc != COMMITLOG_OK) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "a timer");
    } else {
        rc = clg_store_append(store, items, count, clg_store_until(store, 0), receipts, err);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        if (timers_mark(&items[i], &at)) {
            const struct clg_timer timer = {
                .id = receipts[i].position,
                .position = receipts[i].position,
                .due_ms = at.due_ms,
                .queue_number = at.queue_number,
                .size = clg_record_bytes(
                    items[i].attribute_bytes,
                    items[i].body_bytes)}; /* its receipt has the end of its batch */
            clg_timer_add(&store->timers, &timer);
        }
    }
    if (rc == COMMITLOG_OK && clg_timers_note_due(store)) {
        clg_thread_call(store, &store->upkeep);
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    return rc;
}

int clg_timers_append(struct commitlog_store *store, const struct clg_append *items, uint32_t count,
                      struct clg_until until, struct commitlog_receipt *receipts,
                      struct commitlog_error *err)
{
    struct timers_append append = {
        .store = store, .items = items, .count = count, .receipts = receipts};
    return clg_store_attempt(store, timers_append_now, &append, until, err);
}

/* ---- cancel ---- */

struct timers_cancel {
    struct commitlog_store *store;
    uint64_t timer;
    struct commitlog_receipt receipt;
};

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int timers_cancel_now(void *ctx, struct commitlog_error *err)
{
    struct timers_cancel *cancel = ctx;
    struct commitlog_store *store = cancel->store;
    const uint64_t timer = cancel->timer;
    struct clg_timer known;
    int rc;
    clg_mutex_lock(store->os, &store->timer_lock);
    if (!clg_timer_find(&store->timers, timer, &known)) {
        rc = clg_fail(err, COMMITLOG_ENOTFOUND, 0, timer,
                      "no message waits that was stored at %llu: delivered, cancelled or never",
                      (unsigned long long)timer);
    } else {
        rc = clg_timers_append_cancel(store, &known, false, clg_store_until(store, 0),
                                      &cancel->receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_timer_remove(&store->timers, timer);
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    return rc;
}

int32_t commitlog_timer_cancel(struct commitlog_store *store, uint64_t timer, uint32_t level,
                               struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK && store->read_only) {
        rc = COMMITLOG_EMISUSE;
    } else if (rc == COMMITLOG_OK && level > COMMITLOG_LEVEL_DURABLE) {
        rc = COMMITLOG_EINVAL;
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "cancel a timer");
    }
    struct timers_cancel cancel = {.store = store, .timer = timer};
    struct clg_until until = clg_store_until(store, COMMITLOG_FOREVER);
    rc = clg_store_attempt(store, timers_cancel_now, &cancel, until, err);
    return rc == COMMITLOG_OK ? clg_append_finish(store, clg_append_level(store, level), 1, until,
                                                  0, &cancel.receipt, err)
                              : rc;
}

/* ---- what is asked of them ---- */

struct timers_ask {
    uint32_t index;
    struct clg_timer timer;
};

static int timers_look(void *ctx, const struct clg_timer_table *table)
{
    struct timers_ask *ask = ctx;
    return clg_timer_at(table, ask->index, &ask->timer) ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

/* The writer's table, or what is folded of the log. *core: of which the answer speaks. */
static int timers_ask_core(struct commitlog_store *store, struct clg_core **core,
                           struct timers_ask *ask)
{
    if (!store->read_only) {
        clg_mutex_lock(store->os, &store->timer_lock);
        int rc = timers_look(ask, &store->timers);
        clg_mutex_unlock(store->os, &store->timer_lock);
        return rc;
    }
    uint64_t visible = 0;
    int rc = clg_store_fold_now(store, core, &visible, NULL);
    return rc == COMMITLOG_OK ? clg_fold_timers((*core)->fold, timers_look, ask) : rc;
}

static void timers_fill_info(const struct clg_registry *registry, const struct clg_timer *timer,
                             struct commitlog_timer_info *out)
{
    *out = (struct commitlog_timer_info){.struct_bytes = sizeof(*out),
                                         .queue = UINT32_MAX,
                                         .timer = timer->id,
                                         .position = timer->position,
                                         .deliver_at_ms = timer->due_ms};
    const struct clg_topic *topic = clg_registry_owner(registry, timer->queue_number, &out->queue);
    out->topic = topic != NULL ? topic->id : UINT32_MAX;
}

int32_t commitlog_timer_at(struct commitlog_store *store, uint32_t index,
                           struct commitlog_timer_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct timers_ask ask = {.index = index};
    struct clg_core *core = clg_store_core(store);
    rc = timers_ask_core(store, &core, &ask);
    if (rc == COMMITLOG_OK) {
        struct commitlog_timer_info info;
        timers_fill_info(&core->registry, &ask.timer, &info);
        clg_copy_out(out, &info, sizeof(info));
    }
    clg_core_unref(core);
    return rc;
}

int64_t commitlog_delay_level_ms(uint32_t level)
{
    static const int32_t seconds[] = {0,   1,   5,   10,  30,  60,   120,  180,  240, 300,
                                      360, 420, 480, 540, 600, 1200, 1800, 3600, 7200};
    const uint32_t last = sizeof(seconds) / sizeof(seconds[0]) - 1;
    return (int64_t)seconds[level < last ? level : last] * 1000;
}
