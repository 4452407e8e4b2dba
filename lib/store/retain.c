/* retain.c -- see retain.h. */
#include "store/retain.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "format/topic_record.h"
#include "store/expiry.h"
#include "store/groups.h"
#include "store/producers.h"
#include "store/timers.h"
#include "store/transactions.h"
#include "upkeep/retention.h"

#define RETAIN_IDS 64u
#define RETAIN_RESERVATION_MS 100
#define RETAIN_RESERVE_MARGIN 8192u
/* Of a segment: where the session began, and, before it goes, from where on the log is kept. */
#define RETAIN_BEGIN_BYTES 256u

static int retain_fold_all(struct commitlog_store *store, struct commitlog_error *err)
{
    return clg_fold_run(store->core->fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, err);
}

/* Bytes of messages that wait, for their time or for the end of their transaction, before `end`, as
 * they are stored again: each segment that they take begins with the session, and ends where the
 * next one of them does not fit. */
static uint64_t retain_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total)
{
    uint64_t timers = 0;
    uint64_t transactions = 0;
    uint64_t largest = 0;
    uint64_t bytes = clg_timers_waiting(store, end, &timers, &largest);
    bytes += clg_transactions_waiting(store, end, &transactions, &largest);
    *out_total = timers + transactions;
    if (bytes > 0) {
        const uint64_t most = clg_log_record_max(store->core->log);
        const uint64_t lost = largest + RETAIN_BEGIN_BYTES;
        bytes += (bytes / (most > 2 * lost ? most - lost : most / 2) + 1) * lost;
    }
    return bytes;
}

/* Messages that wait may fill the segment that goes, for they move to the end only once for each
 * time that the whole log is replaced: but no more of them than half of the log. */
static int retain_check_waiting(struct commitlog_store *store, uint64_t end,
                                struct commitlog_error *err)
{
    uint64_t total = 0;
    uint64_t bytes = retain_waiting(store, end, &total);
    uint64_t kept = clg_segment_set_bytes(&store->core->set);
    if (bytes == 0 || total <= kept / 2) {
        return COMMITLOG_OK;
    }
    return clg_fail(
        err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
        "retention stopped: messages of %llu bytes wait for their time or for the end of "
        "a transaction, more than half of the %llu that are kept",
        (unsigned long long)total, (unsigned long long)kept);
}

static int retain_carry_cost(void *ctx, uint64_t base, uint64_t end, uint64_t *out_bytes)
{
    struct commitlog_store *store = ctx;
    int rc = retain_fold_all(store, NULL);
    uint32_t ids[RETAIN_IDS];
    uint32_t from = 0;
    uint64_t total = 0;
    while (rc == COMMITLOG_OK && from != UINT32_MAX) {
        uint32_t count = 0;
        uint64_t bytes = 0;
        rc = clg_fold_carry_list(store->core->fold, base, from, ids, RETAIN_IDS, &count, &from,
                                 &bytes);
        total += bytes;
    }
    total += clg_groups_carry_cost(store, end) + clg_producers_carry_cost(store, end) +
             clg_expiry_carry_cost(store, end);
    *out_bytes = total;
    return rc;
}

/* What is stored again on a full disk and does not get to the end takes the room away in which what
 * waits could be delivered, taken back or ended. */
static int retain_check_room(struct commitlog_store *store, uint64_t base, uint64_t end,
                             struct commitlog_error *err)
{
    uint64_t total = 0;
    uint64_t bytes = 0;
    int rc = retain_carry_cost(store, base, end, &bytes);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, base, "retention: cost of carrying forward");
    }
    bytes += retain_waiting(store, end, &total);
    uint64_t room = clg_log_last_room(store->core->log, bytes);
    return bytes <= room
               ? COMMITLOG_OK
               : clg_fail(err, COMMITLOG_ENOSPC, 0, base,
                          "retention stopped: %llu bytes of segment %020llu would be stored again, "
                          "the disk has room for %llu",
                          (unsigned long long)bytes, (unsigned long long)base,
                          (unsigned long long)room);
}

static int retain_define(struct commitlog_store *store, uint32_t id, uint64_t *bytes,
                         struct commitlog_error *err)
{
    struct clg_topic *topic = clg_registry_topic(&store->core->registry, id);
    CLG_ASSERT(topic != NULL);
    clg_mutex_lock(store->os, &store->growth_lock);
    uint64_t before = clg_log_claimed(store->core->log);
    int rc = clg_log_define_topic(store->core->log, topic, true, err);
    if (rc == COMMITLOG_EAGAIN) {
        rc = clg_store_make_room(store, err);
        if (rc == COMMITLOG_OK) {
            rc = clg_log_define_topic(store->core->log, topic, true, err);
        }
    }
    *bytes += clg_log_claimed(store->core->log) - before;
    clg_mutex_unlock(store->os, &store->growth_lock);
    if (rc == COMMITLOG_EAGAIN) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: topics cannot be carried forward");
    }
    return rc;
}

static int retain_carry(void *ctx, uint64_t base, uint64_t end, uint64_t *out_bytes,
                        struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    uint64_t bytes = 0;
    uint32_t ids[RETAIN_IDS];
    uint32_t from = 0;
    int rc = retain_fold_all(store, err);
    if (rc == COMMITLOG_OK) {
        rc = retain_check_waiting(store, end, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = retain_check_room(store, base, end, err);
    }
    while (rc == COMMITLOG_OK && from != UINT32_MAX) {
        uint32_t count = 0;
        rc = clg_fold_carry_list(store->core->fold, base, from, ids, RETAIN_IDS, &count, &from,
                                 NULL);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            rc = retain_define(store, ids[i], &bytes, err);
        }
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_carry(store, end, &bytes, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_producers_carry(store, end, &bytes, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_expiry_carry(store, end, &bytes, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_timers_carry(store, end, &bytes, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_transactions_carry(store, end, &bytes, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = retain_fold_all(store, err);
    }
    *out_bytes = bytes;
    return rc;
}

/* The lowest position that a group has yet to consume, in store->kept_from: it rises, unless a
 * group goes back or begins. Under the lock of groups. */
static int retain_ask_groups(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = clg_groups_kept_from(store, &store->kept_from, err);
    if (rc == COMMITLOG_OK) {
        store->kept_as_of = store->keep_changes;
    }
    return rc;
}

/* A group that is reset meanwhile either keeps the segment, or sees that it is gone. */
static int retain_claim(void *ctx, uint64_t *out_kept_from, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->group_lock);
    if (store->kept_as_of != store->keep_changes && !CLG_PLANTED(KEEP_OVERTAKEN)) {
        rc = retain_ask_groups(store, err);
    }
    *out_kept_from = store->kept_from;
    if (rc != COMMITLOG_OK) {
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    return rc;
}

static void retain_release(void *ctx)
{
    struct commitlog_store *store = ctx;
    clg_mutex_unlock(store->os, &store->group_lock);
}

static int retain_held(int rc, struct commitlog_error *err)
{
    return rc != COMMITLOG_ETIMEDOUT
               ? rc
               : clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                          "an open reservation holds the log: nothing can be dropped now");
}

static void retain_set_untold(struct commitlog_store *store, bool untold)
{
    clg_mutex_lock(store->os, &store->checkpoint_lock);
    store->checkpoint.first_untold = untold;
    clg_mutex_unlock(store->os, &store->checkpoint_lock);
}

/* The log says itself from where on it is kept. */
static int retain_append_first(void *ctx, uint64_t first, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    uint8_t body[CLG_FIRST_BODY_BYTES];
    clg_first_encode(body, first);
    struct commitlog_slice slice = {body, sizeof(body)};
    struct clg_append item = {.kind = CLG_KIND_FIRST,
                              .queue_number = CLG_QUEUE_NONE,
                              .takes_reserve = true,
                              .body = &slice,
                              .body_count = 1,
                              .body_bytes = sizeof(body)};
    struct commitlog_receipt receipt = {0};
    return retain_held(clg_store_append(store, &item, 1,
                                        clg_store_until(store, RETAIN_RESERVATION_MS), &receipt,
                                        err),
                       err);
}

/* Until the checkpoint says the same, each checkpoint says that no record does. */
static int retain_say_first(void *ctx, uint64_t first, struct commitlog_error *err)
{
    retain_set_untold(ctx, true);
    return retain_append_first(ctx, first, err);
}

/* Whoever comes to need what the record gave up does so behind this one, and what is durable of him
 * has this before it. */
static void retain_take_back_first(void *ctx)
{
    struct commitlog_store *store = ctx;
    struct commitlog_error unused;
    clg_mutex_lock(store->os, &store->checkpoint_lock);
    bool untold = store->checkpoint.first_untold;
    clg_mutex_unlock(store->os, &store->checkpoint_lock);
    if (untold && !CLG_PLANTED(FIRST_NOT_TAKEN_BACK) &&
        retain_append_first(store, clg_log_first(store->core->log), &unused) == COMMITLOG_OK) {
        retain_set_untold(store, false);
    }
}

void clg_retain_take_back_first(struct commitlog_store *store)
{
    retain_take_back_first(store);
}

/* Everything that was claimed, not only what is published: behind an open reservation lie the
 * records that were just carried forward, and no segment may go before they are durable. */
static int retain_flush(void *ctx, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    struct clg_log *log = store->core->log;
    if (CLG_PLANTED(CARRY_UNFLUSHED)) {
        return retain_fold_all(store, err);
    }
    int rc = retain_held(
        clg_log_flush(log, CLG_PLANTED(CARRY_HELD) ? clg_log_published(log) : clg_log_claimed(log),
                      clg_store_until(store, RETAIN_RESERVATION_MS), err),
        err);
    return rc == COMMITLOG_OK ? retain_fold_all(store, err) : rc;
}

int clg_retain_tell_first(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    struct commitlog_error unused;
    if (!store->checkpoint.first_untold || CLG_PLANTED(FIRST_UNTOLD)) {
        return COMMITLOG_OK;
    }
    int rc = retain_append_first(store, clg_log_first(log), &unused);
    if (rc == COMMITLOG_OK) {
        rc = retain_flush(store, &unused);
    }
    if (rc == COMMITLOG_OK) {
        store->checkpoint.first_untold = false;
        rc = clg_store_checkpoint(store, false, clg_log_first(log), &unused);
    }
    return rc == COMMITLOG_OK ? rc : clg_log_what_failed(log, err);
}

static int retain_checkpoint_first(void *ctx, uint64_t first, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    retain_set_untold(store, false);
    int rc = clg_store_checkpoint(store, false, first, err);
    if (rc == COMMITLOG_OK) {
        clg_fold_set_first(store->core->fold, first);
        clg_log_set_first(store->core->log, first);
        clg_core_damage_drop(store->core, first);
    }
    return rc;
}

static int retain_unlink(void *ctx, uint64_t base, uint64_t *out_held, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    struct clg_core *core = store->core;
    struct clg_segment *segment = clg_segment_set_pin_first(&core->set);
    if (segment == NULL || segment->base != base) {
        clg_segment_unref(segment);
        return COMMITLOG_OK; /* gone already */
    }
    int rc = clg_segment_unlink(segment, err);
    if (rc != COMMITLOG_OK) {
        clg_segment_unref(segment);
        return rc;
    }
    clg_segment_unref(clg_segment_set_remove_first(&core->set));
    *out_held = clg_load_acquire_u32(&segment->refs) > 1 ? segment->bytes : 0;
    clg_count(store, CLG_COUNT_RETAINED_SEGMENTS, 1);
    clg_count(store, CLG_COUNT_RETAINED_BYTES, segment->bytes);
    clg_segment_unref(segment);
    bool more = true;
    while (rc == COMMITLOG_OK && more) {
        rc = clg_fold_drop_one(core->fold, &more, err);
    }
    return rc;
}

/* The name of the next segment is flushed through the same descriptor, and the kernel tells a
 * failure once only: had it been told here, whoever has renamed that segment would hear that all is
 * well, and durable records would follow in a file without a name. So it is final. The views are
 * their own directory, in which nothing lies that the log does not have. */
static int retain_flush_dirs(void *ctx, struct commitlog_error *err)
{
    struct commitlog_store *store = ctx;
    struct commitlog_error cause;
    clg_error_clear(&cause);
    clg_segment_supply_retry(&store->supply);
    if (clg_segment_dir_sync(&store->dir.segment_dir, &cause) != COMMITLOG_OK) {
        clg_wrap(&cause, "retention");
        clg_log_latch(store->core->log, &cause);
        return clg_log_failure(store->core->log, err);
    }
    return clg_fold_sync_dir(store->core->fold, err);
}

static int retain_pause(void *ctx)
{
    struct commitlog_store *store = ctx;
    return clg_load_acquire_u32(&store->thread_stop) != 0;
}

static const struct clg_retention_ops retain_ops = {.carry_cost = retain_carry_cost,
                                                    .carry = retain_carry,
                                                    .claim = retain_claim,
                                                    .release = retain_release,
                                                    .append_first = retain_say_first,
                                                    .take_back_first = retain_take_back_first,
                                                    .flush = retain_flush,
                                                    .checkpoint_first = retain_checkpoint_first,
                                                    .unlink = retain_unlink,
                                                    .flush_dirs = retain_flush_dirs,
                                                    .pause = retain_pause};

/* The segments as the plan wants them; freed by the caller. One may have no footer though it is
 * full, because a header in it does not verify, or a writer before has left too many without: what
 * it holds is no younger than what follows it. */
static int retain_collect(struct commitlog_store *store, struct clg_retention_segment **out,
                          size_t *out_count, struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    uint32_t count = clg_segment_set_count(&core->set);
    struct clg_retention_segment *segments =
        clg_os_alloc_array(store->os, (size_t)count + 1, sizeof(*segments));
    if (segments == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "retention");
    }
    const uint64_t durable = clg_log_durable(core->log);
    uint32_t n = 0;
    for (; n < count; n++) {
        struct clg_segment *segment = clg_segment_set_pin_at(&core->set, n);
        if (segment == NULL) {
            break;
        }
        bool sealed = (clg_segment_flags(segment) & CLG_SEGMENT_SEALED) != 0;
        segments[n] = (struct clg_retention_segment){
            .base = segment->base,
            .size = segment->bytes,
            .last_time_ns = sealed ? segment->footer.last_time : INT64_MAX,
            .full = sealed || segment->base + segment->bytes <= durable};
        for (uint32_t i = n; sealed && i > 0 && segments[i - 1].last_time_ns == INT64_MAX; i--) {
            segments[i - 1].last_time_ns = segment->footer.first_time;
        }
        clg_segment_unref(segment);
    }
    *out = segments;
    *out_count = n;
    return COMMITLOG_OK;
}

/* Whoever refers to what lies there has appended it before we look, or delivers a copy. */
static void retain_announce(struct commitlog_store *store, uint64_t end)
{
    clg_store_release_u64(&store->retention_goes_below, end);
    clg_mutex_lock(store->os, &store->timer_lock);
    clg_mutex_unlock(store->os, &store->timer_lock);
    clg_mutex_lock(store->os, &store->transaction_lock);
    clg_mutex_unlock(store->os, &store->transaction_lock);
    clg_mutex_lock(store->os, &store->group_lock);
    clg_mutex_unlock(store->os, &store->group_lock);
}

static int retain_locked(struct commitlog_store *store, const struct commitlog_retention *policy,
                         struct commitlog_retained *out, struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    bool sealed = true;
    int rc = retain_fold_all(store, err);
    while (rc == COMMITLOG_OK && sealed) {
        rc = clg_store_seal(store, &sealed, err);
    }
    struct clg_retention_segment *segments = NULL;
    size_t count = 0;
    if (rc == COMMITLOG_OK) {
        rc = retain_collect(store, &segments, &count, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_os_fs_info fs = {0};
    int asked = store->os->fs_info(store->os, store->dir.dir_fd, &fs);
    struct clg_retention_input input = {.segments = segments,
                                        .count = count,
                                        .active_base = clg_log_active_base(core->log),
                                        .kept_from = UINT64_MAX,
                                        .now_ns = clg_log_time(core->log),
                                        .disk_free_bytes = asked < 0 ? UINT64_MAX : fs.free_bytes};
    struct clg_retention_policy wanted = {.keep_bytes = policy->keep_bytes,
                                          .keep_age_ns = policy->keep_age_ms * 1000000u,
                                          .free_bytes = policy->free_bytes};
    size_t drop = clg_retention_plan(&wanted, &input, NULL);
    bool held = false;
    if (drop > 0) { /* only now is it worth asking every group */
        retain_announce(store, segments[drop - 1].base + segments[drop - 1].size);
        /* Also what lies behind an open reservation: a delivery that a group has yet to consume. */
        rc = CLG_PLANTED(DELIVERY_UNSEEN) ? retain_fold_all(store, err) : retain_flush(store, err);
        if (rc == COMMITLOG_OK) {
            clg_mutex_lock(store->os, &store->group_lock);
            rc = retain_ask_groups(store, err);
            clg_mutex_unlock(store->os, &store->group_lock);
            input.kept_from = store->kept_from;
        }
        drop = rc == COMMITLOG_OK ? clg_retention_plan(&wanted, &input, &held) : 0;
    }
    if (drop > 0) {
        /* What an append was told a moment ago does not count: others may have made room since. */
        clg_segment_supply_retry(&store->supply);
        rc = clg_retention_run(&input, drop, &retain_ops, store, out, err);
        clg_count(store, CLG_COUNT_CARRIED_BYTES, out->bytes_carried);
    }
    if (drop > 0 || clg_log_take_last_refused(core->log)) {
        clg_retain_update_reserve(store);
    }
    clg_store_release_u64(&store->retention_goes_below, 0);
    if (held && out->kept_from == 0) {
        out->kept_from = input.kept_from;
    }
    store->os->free(store->os, segments);
    return rc;
}

int clg_retain_run(struct commitlog_store *store, const struct commitlog_retention *policy,
                   struct commitlog_retained *out, struct commitlog_error *err)
{
    memset(out, 0, sizeof(*out));
    out->struct_bytes = sizeof(*out);
    clg_mutex_lock(store->os, &store->retention_lock);
    retain_take_back_first(store); /* there was no room for it, the last time */
    int rc = retain_locked(store, policy, out, err);
    out->first = clg_log_first(store->core->log);
    clg_mutex_unlock(store->os, &store->retention_lock);
    return rc;
}

void clg_retain_update_reserve(struct commitlog_store *store)
{
    struct clg_segment *oldest = clg_segment_set_pin_first(&store->core->set);
    uint64_t debt = 0;
    uint64_t all = 0;
    if (oldest != NULL && oldest->base != clg_log_active_base(store->core->log) &&
        retain_carry_cost(store, oldest->base, oldest->base + oldest->bytes, &debt) !=
            COMMITLOG_OK) {
        debt = 0;
    }
    uint64_t waiting =
        oldest != NULL ? retain_waiting(store, oldest->base + oldest->bytes, &all) : 0;
    clg_segment_unref(oldest);
    clg_log_set_last_room(store->core->log, debt + RETAIN_RESERVE_MARGIN, waiting);
}

uint64_t clg_retain_next_end(struct commitlog_store *store)
{
    struct clg_segment *oldest = clg_segment_set_pin_first(&store->core->set);
    uint64_t end = oldest != NULL ? oldest->base + oldest->bytes : 0;
    clg_segment_unref(oldest);
    return end;
}

int32_t commitlog_retain(struct commitlog_store *store, const struct commitlog_retention *policy,
                         struct commitlog_retained *out, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    struct commitlog_retention wanted;
    if (rc == COMMITLOG_OK && (policy == NULL || store->read_only)) {
        rc = policy == NULL ? COMMITLOG_EINVAL : COMMITLOG_EMISUSE;
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_copy_in(&wanted, sizeof(wanted), policy);
    }
    if (rc == COMMITLOG_OK && wanted.keep_age_ms > INT64_MAX / CLG_OS_NS_PER_MS) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "retain: an age of %llu ms is longer than time",
                        (unsigned long long)wanted.keep_age_ms);
    }
    if (rc != COMMITLOG_OK || wanted.reserved != 0) {
        rc = rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "retain");
    }
    struct commitlog_retained retained;
    rc = clg_retain_run(store, &wanted, &retained, err);
    if (out != NULL) {
        clg_copy_out(out, &retained, sizeof(retained));
    }
    return rc;
}
