/*
 * services.c -- upkeep: everything that is due, by threads of the library or by commitlog_step.
 *
 * In order of urgency: fold and drain what appenders left (drainer.c, which has a thread of its
 * own), prepare the next segment, flush by policy, seal, write images, checkpoint, state,
 * retention, scrub. Each is one bounded piece; the loop comes back for more.
 *
 * Threads and locks: one step at a time under service_lock.
 * Failure modes: a failure is latched by the layer it happened in, or reported as an event and
 *       tried again.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "store/expiry.h"
#include "store/producers.h"
#include "store/retain.h"
#include "store/store.h"
#include "store/timers.h"
#include "store/transactions.h"

#define SERVICE_IDLE_NS (INT64_C(100) * CLG_OS_NS_PER_MS)
#define SERVICE_RETAIN_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)
/* A clock that was set must not keep upkeep from what is due for longer. */
#define SERVICE_EXPIRE_MOST_NS (INT64_C(60000) * CLG_OS_NS_PER_MS)
#define SERVICE_SUPPLY_NS (INT64_C(2) * CLG_OS_NS_PER_MS)
#define SERVICE_DESCRIPTORS 4u
/* On ext4 with a journal zeros save a flush about half a millisecond, which is what writing this
 * many of them costs. */
#define SERVICE_PREWRITE_FLUSH_BYTES (UINT64_C(1) << 20)
#define SERVICE_PREWRITE_JUDGE_BYTES (UINT64_C(4) << 20)

struct service_step {
    struct commitlog_store *store;
    struct clg_core *core;
    int64_t now;
    int64_t next; /* when to come back, monotonic */
    bool again;   /* at once */
};

static void service_due(struct service_step *step, int64_t at)
{
    step->next = at < step->next ? at : step->next;
}

static void service_report(struct service_step *step, int rc, const struct commitlog_error *err)
{
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EFAILED) {
        clg_store_event(step->store, COMMITLOG_EVENT_WARNING, err);
    }
}

/* With a thread of its own that is its business. */
static void service_drain(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    if (store->has_thread) {
        return;
    }
    if (clg_log_staged_bytes(step->core->log) > 0) {
        store->drainer.seen_ns = step->now;
    }
    int64_t wait = clg_drainer_step(store);
    step->again = step->again || wait == 0;
    if (wait != CLG_OS_FOREVER) {
        service_due(step, step->now + wait);
    } else if (step->now - store->drainer.seen_ns < CLG_THREAD_LINGER_NS) {
        service_due(step, step->now + CLG_THREAD_NEAR_NS); /* more comes in a moment */
    }
}

/* Whatever an append makes due, and nobody says: bytes to flush, a full segment, one to prepare. */
static void service_look(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    bool moved = false;
    int64_t wait = clg_thread_look(store, &store->upkeep, step->now, &moved);
    if (moved) { /* by this round, or drained by those who waited: it may not be folded */
        clg_thread_call(store, &store->drainer);
    }
    if (wait != CLG_OS_FOREVER && store->has_thread) {
        service_due(step, step->now + wait);
    }
}

/* Retention and expiry append behind all that is done for an append. A thread sees it before it
 * sleeps; without one nobody would. */
static void service_look_back(struct service_step *step)
{
    const struct commitlog_store *store = step->store;
    if (!store->has_thread && clg_log_published(step->core->log) != store->upkeep.seen_position) {
        service_due(step, step->now + CLG_THREAD_NEAR_NS);
    }
}

static void service_flush(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct clg_log *log = step->core->log;
    uint64_t published = clg_log_published(log);
    uint64_t pending = published - clg_log_durable(log);
    if (clg_option(&store->options, COMMITLOG_OPT_FLUSH) != COMMITLOG_FLUSH_ASYNC) {
        return;
    }
    struct clg_services *services = &store->services;
    if (pending == 0) {
        services->flush_at_ns = 0;
        return;
    }
    int64_t interval =
        (int64_t)clg_option(&store->options, COMMITLOG_OPT_FLUSH_INTERVAL_MS) * CLG_OS_NS_PER_MS;
    if (services->flush_at_ns == 0) {
        services->flush_at_ns = step->now + interval;
    }
    bool full = pending >= clg_option(&store->options, COMMITLOG_OPT_FLUSH_BYTES);
    if (full || step->now >= services->flush_at_ns) {
        int rc = clg_log_flush(log, published, clg_log_forever(log), NULL);
        (void)rc; /* latched */
        services->flush_at_ns = 0;
        service_due(step, step->now + interval);
    } else {
        service_due(step, services->flush_at_ns);
    }
}

int clg_store_seal(struct commitlog_store *store, bool *out_sealed, struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    uint64_t damage = CLG_NO_POSITION;
    int rc = clg_log_seal(core->log, true, out_sealed, &damage, err);
    if (damage != CLG_NO_POSITION) {
        clg_store_damage(store, core, damage, 0, UINT32_MAX, "record fails its check");
    }
    return rc;
}

static void service_seal(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct commitlog_error err;
    clg_error_clear(&err);
    bool sealed = false;
    int rc = clg_store_seal(store, &sealed, &err);
    service_report(step, rc, &err);
    if (!sealed) {
        return;
    }
    step->again = true;
    (void)clg_segment_set_close_idle(&step->core->set, SERVICE_DESCRIPTORS);
    rc = clg_store_checkpoint(store, false, clg_log_first(step->core->log), &err);
    service_report(step, rc, &err);
    clg_retain_update_reserve(store);
}

/* prewrite = auto: zeros make flushes cheap and cost a second write of everything. They are worth
 * it while flushes are frequent, judged over stretches of the log. */
static void service_judge_prewrite(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct clg_services *services = &store->services;
    if (clg_option(&store->options, COMMITLOG_OPT_PREWRITE) != COMMITLOG_PREWRITE_AUTO ||
        clg_option(&store->options, COMMITLOG_OPT_FLUSH) != COMMITLOG_FLUSH_SYNC) {
        return;
    }
    uint64_t published = clg_log_published(step->core->log);
    uint64_t bytes = published - services->prewrite_position;
    if (services->prewrite_position == 0 || bytes >= SERVICE_PREWRITE_JUDGE_BYTES) {
        uint64_t flushes = clg_log_flushes(step->core->log);
        bool frequent =
            services->prewrite_position == 0 ||
            flushes - services->prewrite_flushes >= bytes / SERVICE_PREWRITE_FLUSH_BYTES;
        services->prewrite_position = published;
        services->prewrite_flushes = flushes;
        clg_segment_supply_set_prewrite(&store->supply, frequent);
    }
}

static void service_supply(struct service_step *step)
{
    service_judge_prewrite(step);
    if (clg_log_take_last_refused(step->core->log)) { /* what waited may have ended by now */
        clg_retain_update_reserve(step->store);
    }
    struct commitlog_error err;
    clg_error_clear(&err);
    int64_t wait = CLG_OS_FOREVER;
    int rc = clg_segment_supply_step(&step->store->supply, SERVICE_SUPPLY_NS, &wait, &err);
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOSPC) {
        service_report(step, rc, &err);
    }
    if (wait != CLG_OS_FOREVER) {
        service_due(step, step->now + wait);
    }
}

static int service_reach(void *ctx, uint64_t position)
{
    return clg_log_flush(ctx, position, clg_log_forever(ctx), NULL);
}

static void service_images(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct clg_core *core = step->core;
    struct commitlog_error err;
    clg_error_clear(&err);
    bool more = false;
    /* Of what is freed the next segment is first: view files can wait, appends cannot. */
    if (clg_segment_supply_is_short(&store->supply)) {
        return;
    }
    uint64_t durable = clg_log_durable(core->log);
    service_report(step, clg_fold_write_images(core->fold, durable, &more, &err), &err);
    step->again = step->again || more;
    if (!more && clg_fold_state_due(core->fold)) {
        uint64_t position = 0;
        int rc = clg_fold_save_state(core->fold, service_reach, core->log, clg_log_epoch(core->log),
                                     &position, &err);
        if (rc == COMMITLOG_OK) {
            clg_mutex_lock(store->os, &store->checkpoint_lock);
            store->checkpoint.state_position = position;
            clg_mutex_unlock(store->os, &store->checkpoint_lock);
        } else if (rc != COMMITLOG_EMISUSE) { /* a record is half applied: later */
            service_report(step, rc, &err);
        }
    }
}

/* When the traffic pauses: flush, and say in the checkpoint that all is durable. Without it bit
 * rot in the last records could not be told from a torn tail. */
static void service_idle(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct clg_services *services = &store->services;
    struct clg_log *log = step->core->log;
    uint64_t published = clg_log_published(log);
    if (published != services->idle_position) {
        services->idle_position = published;
        services->idle_since_ns = step->now;
    }
    if (published == services->idle_checkpointed) {
        return;
    }
    int64_t due = services->idle_since_ns + SERVICE_IDLE_NS;
    if (step->now < due) {
        service_due(step, due);
        return;
    }
    struct commitlog_error err;
    clg_error_clear(&err);
    bool flushes = clg_option(&store->options, COMMITLOG_OPT_FLUSH) != COMMITLOG_FLUSH_NONE;
    int rc = flushes ? clg_log_flush(log, published, clg_log_forever(log), &err) : COMMITLOG_OK;
    if (rc == COMMITLOG_OK) {
        rc = clg_store_checkpoint(store, false, clg_log_first(log), &err);
    }
    if (rc == COMMITLOG_EINTERRUPTED) { /* somebody ended the waits of all */
        service_due(step, step->now + SERVICE_IDLE_NS);
        return;
    }
    service_report(step, rc, &err);
    services->idle_checkpointed = published;
}

static void service_retain(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct commitlog_retention policy = {
        .struct_bytes = sizeof(policy),
        .keep_bytes = clg_option(&store->options, COMMITLOG_OPT_RETAIN_BYTES),
        .keep_age_ms = clg_option(&store->options, COMMITLOG_OPT_RETAIN_AGE_MS),
        .free_bytes = clg_option(&store->options, COMMITLOG_OPT_RETAIN_FREE_BYTES)};
    if (policy.keep_bytes == 0 && policy.keep_age_ms == 0 && policy.free_bytes == 0) {
        return;
    }
    if (step->now >= store->services.retain_at_ns) {
        struct commitlog_error err;
        struct commitlog_retained retained;
        clg_error_clear(&err);
        int rc = clg_retain_run(store, &policy, &retained, &err);
        service_report(step, rc, &err);
        store->services.retain_at_ns = step->now + SERVICE_RETAIN_NS;
    }
    service_due(step, store->services.retain_at_ns);
}

static void service_expire(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    uint64_t expire_ms = clg_option(&store->options, COMMITLOG_OPT_PRODUCER_EXPIRE_MS);
    if (expire_ms == 0) {
        return;
    }
    if (step->now >= store->services.expire_at_ns) {
        struct commitlog_error err;
        clg_error_clear(&err);
        int64_t wait_ns = 0;
        int rc = clg_producers_expire(store, (int64_t)(expire_ms * 1000000u), &wait_ns, &err);
        service_report(step, rc, &err);
        if (wait_ns == INT64_MAX) { /* nothing is due until one appends, which makes a round */
            store->services.expire_at_ns = 0;
            return;
        }
        wait_ns = wait_ns < SERVICE_EXPIRE_MOST_NS ? wait_ns : SERVICE_EXPIRE_MOST_NS;
        store->services.expire_at_ns = step->now + wait_ns;
    }
    service_due(step, store->services.expire_at_ns);
}

/* What is due by the store's clock. */
static void service_clocked(struct service_step *step,
                            int (*run)(struct commitlog_store *store, int64_t *out_wait_ns,
                                       struct commitlog_error *err))
{
    struct commitlog_error err;
    clg_error_clear(&err);
    int64_t wait_ns = 0;
    int rc = run(step->store, &wait_ns, &err);
    if (rc == COMMITLOG_EAGAIN) { /* no room in the stage: an open reservation */
        wait_ns = CLG_THREAD_NEAR_NS;
    } else if (rc != COMMITLOG_OK) {
        service_report(step, rc, &err);
        wait_ns = SERVICE_RETAIN_NS;
    }
    step->again = step->again || wait_ns == 0;
    if (wait_ns != INT64_MAX) {
        service_due(step, step->now + clg_store_clocked_rest_ns(wait_ns));
    }
}

static void service_scrub_damage(void *ctx, const struct commitlog_damage *damage)
{
    struct commitlog_store *store = ctx;
    clg_store_damage_found(store, store->core, damage);
}

static void service_scrub(struct service_step *step)
{
    struct commitlog_store *store = step->store;
    struct clg_scrub *scrub = &store->services.scrub;
    if (scrub->bytes_per_s == 0) {
        return;
    }
    struct clg_segment *segment = clg_segment_set_pin_after(
        &step->core->set, store->services.scrub_base == 0 ? 0 : store->services.scrub_base - 1);
    if (store->services.scrub_base == 0) {
        clg_segment_unref(segment);
        segment = clg_segment_set_pin_first(&step->core->set);
    }
    /* One that could not be sealed is read like the others. */
    if (segment == NULL || segment->base >= clg_log_active_base(step->core->log) ||
        segment->data_end > clg_log_durable(step->core->log)) {
        store->services.scrub_base = 0; /* from the beginning again */
    } else {
        store->services.scrub_base = segment->base;
        bool done = false;
        struct commitlog_error err;
        clg_error_clear(&err);
        int rc = clg_scrub_step(scrub, segment, service_scrub_damage, store, &done, &err);
        service_report(step, rc, &err);
        /* Without memory or a descriptor nothing was read: the next time it goes on there. */
        const bool later = rc == COMMITLOG_ENOMEM || rc == COMMITLOG_ELIMIT;
        if (done || (rc != COMMITLOG_OK && !later)) {
            uint32_t rebuilt = 0;
            (void)(clg_fold_scrub(step->core->fold, segment->base, &rebuilt, NULL) == COMMITLOG_OK);
            store->services.scrub_base = segment->base + segment->bytes;
            (void)clg_segment_close_idle(segment);
        }
    }
    clg_segment_unref(segment);
    int64_t wait = clg_scrub_wait_ms(scrub);
    if (wait >= 0) {
        service_due(step, step->now + (wait + 1) * CLG_OS_NS_PER_MS);
    }
}

/* mlock = hot: the active segment's pages, so that readers of the tail never wait for a disk. */
static int service_lock_hot(struct commitlog_store *store)
{
    struct clg_services *services = &store->services;
    if (clg_option(&store->options, COMMITLOG_OPT_MLOCK) < COMMITLOG_MLOCK_HOT) {
        return COMMITLOG_OK;
    }
    uint64_t base = clg_log_active_base(store->core->log);
    if (services->hot != NULL && services->hot->base == base) {
        return COMMITLOG_OK;
    }
    struct clg_segment *segment = NULL;
    const uint8_t *map = NULL;
    if (clg_segment_set_pin(&store->core->set, base, &segment) != COMMITLOG_OK) {
        return COMMITLOG_OK;
    }
    int rc = COMMITLOG_OK;
    if (clg_segment_map(segment, &map, NULL) != COMMITLOG_OK ||
        store->os->lock_pages(store->os, map, segment->bytes) < 0) {
        clg_count(store, CLG_COUNT_MLOCK_REFUSED, 1);
        rc = COMMITLOG_ELIMIT;
    }
    struct clg_segment *old = services->hot;
    if (old != NULL && clg_segment_map(old, &map, NULL) == COMMITLOG_OK) {
        (void)store->os->unlock_pages(store->os, map, old->bytes);
    }
    clg_segment_unref(old);
    services->hot = segment;
    return rc;
}

static void service_clock(struct service_step *step)
{
    int64_t held = clg_log_held_back(step->core->log);
    if (held != step->store->services.held_back_ns) {
        step->store->services.held_back_ns = held;
        struct commitlog_error err;
        clg_error_clear(&err);
        if (held > 0) {
            (void)clg_fail(&err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                           "the wall clock jumped: store time is held back by %lld s until the "
                           "clock is set right or the store is opened again",
                           (long long)(held / CLG_OS_NS_PER_S));
        } else {
            (void)clg_fail(&err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                           "the wall clock was set right: store time follows it again");
        }
        clg_store_event(step->store, COMMITLOG_EVENT_WARNING, &err);
    }
}

/* One round; *out_wait_ns: CLG_OS_FOREVER when nothing will be due by itself. */
static void service_round(struct commitlog_store *store, int64_t *out_wait_ns)
{
    clg_mutex_lock(store->os, &store->service_lock);
    clg_thread_begin(&store->upkeep);
    struct service_step step = {.store = store,
                                .core = store->core,
                                .now = store->os->clock_mono_ns(store->os),
                                .next = CLG_OS_FOREVER};
    if (!clg_log_has_failed(step.core->log)) {
        /* What is delivered is to be drained and flushed, too. */
        service_clocked(&step, clg_timers_deliver);
        service_clocked(&step, clg_transactions_expire);
        service_clocked(&step, clg_expiry_run);
        service_look(&step);
        service_drain(&step);
        service_supply(&step); /* before a flush: that may take as long as to fill a segment */
        service_flush(&step);
        service_seal(&step);
        service_images(&step);
        service_idle(&step);
        service_retain(&step);
        service_expire(&step);
        service_scrub(&step);
        (void)service_lock_hot(store);
        service_clock(&step);
        service_look_back(&step);
    }
    clg_mutex_unlock(store->os, &store->service_lock);
    int64_t now = store->os->clock_mono_ns(store->os);
    *out_wait_ns = step.again                    ? 0
                   : step.next == CLG_OS_FOREVER ? CLG_OS_FOREVER
                   : step.next > now             ? step.next - now
                                                 : 0;
}

void clg_services_main(void *arg)
{
    struct commitlog_store *store = arg;
    while (clg_load_acquire_u32(&store->thread_stop) == 0) {
        int64_t wait_ns = 0;
        service_round(store, &wait_ns);
        if (clg_log_has_failed(store->core->log)) {
            wait_ns = SERVICE_RETAIN_NS; /* nothing to do but to be stopped */
        }
        if (wait_ns > 0) {
            clg_thread_sleep(store, &store->upkeep, wait_ns);
        }
    }
}

int clg_services_start(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_services *services = &store->services;
    services->idle_position = clg_log_published(store->core->log);
    services->idle_checkpointed = services->idle_position;
    store->upkeep.seen_position = services->idle_position;
    store->drainer.seen_position = services->idle_position;
    clg_scrub_init(&services->scrub, store->os,
                   clg_option(&store->options, COMMITLOG_OPT_SCRUB_BYTES_PER_S));
    clg_retain_update_reserve(store);
    if (service_lock_hot(store) != COMMITLOG_OK &&
        clg_option(&store->options, COMMITLOG_OPT_MLOCK) == COMMITLOG_MLOCK_REQUIRED) {
        return clg_fail(err, COMMITLOG_ELIMIT, 0, CLG_NO_POSITION,
                        "the active segment cannot be locked in memory: raise RLIMIT_MEMLOCK");
    }
    if (clg_option(&store->options, COMMITLOG_OPT_THREAD) == 0) {
        return COMMITLOG_OK;
    }
    store->has_thread = true; /* before one of them looks */
    /* Upkeep last: it delivers, which an opening that fails must not have done. */
    int rc = clg_thread_start(store, &store->drainer, clg_drainer_main, "commitlog-drain", err);
    if (rc == COMMITLOG_OK) {
        rc = clg_thread_start(store, &store->upkeep, clg_services_main, "commitlog", err);
    }
    if (rc != COMMITLOG_OK) {
        clg_services_stop(store);
    }
    return rc;
}

void clg_services_stop(struct commitlog_store *store)
{
    if (!store->has_thread) {
        return;
    }
    clg_store_release_u32(&store->thread_stop, 1);
    clg_thread_stop(store, &store->upkeep);
    clg_thread_stop(store, &store->drainer);
    store->has_thread = false;
}

int32_t commitlog_step(struct commitlog_store *store, uint32_t budget_us, uint32_t *out_wait_ms)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_wait_ms == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    if (store->read_only) {
        return COMMITLOG_EMISUSE;
    }
    if (store->has_thread) {
        return COMMITLOG_EBUSY;
    }
    int64_t until = store->os->clock_mono_ns(store->os) + (int64_t)budget_us * 1000;
    int64_t wait_ns = 0;
    do {
        service_round(store, &wait_ns);
    } while (wait_ns == 0 && store->os->clock_mono_ns(store->os) < until);
    int64_t ms = wait_ns == CLG_OS_FOREVER ? UINT32_MAX : wait_ns / CLG_OS_NS_PER_MS;
    rc = clg_log_failure(store->core->log, NULL);
    if (rc == COMMITLOG_OK) {
        *out_wait_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    }
    return rc;
}
