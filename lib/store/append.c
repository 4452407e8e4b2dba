/*
 * append.c -- appends as the public interface has them: validate, make room, append, fold, reach
 * the level.
 *
 * Invariants: 1. everything is validated before anything is claimed; 2. a failure other than
 *       COMMITLOG_EUNKNOWN has stored nothing; 3. nothing here allocates for a record whose
 *       attributes fit the stack buffer.
 * Threads and locks: any thread; no lock of its own.
 */
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "base/probe.h"
#include "store/encode.h"
#include "store/limits.h"
#include "store/producers.h"
#include "store/store.h"
#include "store/timers.h"

/* An appender folds in runs: the lock, the segment and the view's code are fetched once for them,
 * and the records are still in the nearest cache. Readers fold what they need themselves. */
#define APPEND_FOLD_BYTES (UINT64_C(16) << 10)
#define APPEND_FOLD_BUDGET 512u
/* Where the drainer folds, and an appender helps it: not for long at a time. */
#define APPEND_FOLD_HELP_BUDGET 64u
#define APPEND_FOLD_HELP_BYTES (UINT64_C(1) << 20) /* mmap engine; of a ring a quarter */
#define APPEND_ROOM_FOLD 4096u
#define APPEND_UNSEALED_MAX 32u
/* Records of a batch whose memory the store keeps for the next, below 1 MiB; and what each adds to
 * the room for the attributes of all. */
#define APPEND_BATCH_KEPT 3072u
#define APPEND_BATCH_ATTRIBUTES 96u

int clg_store_make_room(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    int rc = clg_fold_run(core->fold, UINT64_MAX, APPEND_ROOM_FOLD, CLG_FOLD_WAIT, true, err);
    if (rc == COMMITLOG_OK) {
        rc = clg_log_drain(core->log, UINT64_MAX, UINT64_MAX, err);
    }
    bool sealed = clg_log_unsealed(core->log) > APPEND_UNSEALED_MAX;
    while (rc == COMMITLOG_OK && sealed) {
        rc = clg_store_seal(store, &sealed, err);
    }
    return rc;
}

/* With a thread this is its work, because it may have to allocate, and fresh memory is a page fault
 * for each 4 KiB. What it falls behind is bounded: beyond that each appender folds more than it
 * adds, and beyond twice that the end of a segment, too. */
static void append_fold(struct commitlog_store *store)
{
    struct clg_core *core = store->core;
    uint64_t published = clg_log_published(core->log);
    uint64_t behind = published - clg_min_u64(published, clg_fold_position(core->fold));
    if (behind < APPEND_FOLD_BYTES) {
        return;
    }
    uint32_t budget = APPEND_FOLD_BUDGET;
    bool may_seal = true;
    if (store->has_thread) {
        uint64_t leave =
            core->live.ring_bytes > 0 ? core->live.ring_bytes / 4 : APPEND_FOLD_HELP_BYTES;
        if (behind < leave) {
            return;
        }
        budget = APPEND_FOLD_HELP_BUDGET;
        may_seal = behind > 2 * leave;
    }
    /* Out of memory is not this append's failure: the record is stored and folded later. */
    int rc = clg_fold_run(core->fold, UINT64_MAX, budget, CLG_FOLD_TRY, may_seal, NULL);
    (void)rc;
}

void clg_append_published(struct commitlog_store *store)
{
    clg_thread_notify(store);
    clg_store_announce(store);
    append_fold(store);
}

int clg_store_wait_room(struct commitlog_store *store, uint32_t ticket, struct clg_until until,
                        struct commitlog_error *err)
{
    int rc = clg_log_wait_room(store->core->log, ticket, until);
    return rc == COMMITLOG_OK ? rc
                              : clg_fail(err, rc, 0, CLG_NO_POSITION,
                                         "no room in the stage: a reservation is open too long");
}

int clg_store_attempt(struct commitlog_store *store, clg_attempt_fn attempt, void *ctx,
                      struct clg_until until, struct commitlog_error *err)
{
    struct commitlog_error own; /* of attempts that are not the last nobody is told */
    int rc;
    do {
        uint32_t ticket = clg_log_room_ticket(store->core->log);
        clg_error_clear(&own);
        rc = attempt(ctx, &own);
        if (rc != COMMITLOG_ETIMEDOUT) {
            return clg_error_give(err, rc, &own);
        }
        rc = clg_store_wait_room(store, ticket, until, err);
    } while (rc == COMMITLOG_OK);
    return rc;
}

int clg_store_append(struct commitlog_store *store, const struct clg_append *items, uint32_t count,
                     struct clg_until until, struct commitlog_receipt *receipts,
                     struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    int64_t waiting_ns = 0;
    for (;;) {
        uint32_t ticket = clg_log_room_ticket(log);
        int rc = clg_log_append(log, items, count, receipts, err);
        if (rc == COMMITLOG_EAGAIN) {
            rc = clg_store_make_room(store, err);
            if (rc != COMMITLOG_OK) {
                return rc;
            }
            rc = clg_log_append(log, items, count, receipts, err);
        }
        if (rc == COMMITLOG_OK) {
            if (waiting_ns != 0) {
                clg_log_measure(log, CLG_HISTOGRAM_ROOM_WAIT, waiting_ns);
            }
            clg_append_published(store);
            return COMMITLOG_OK;
        }
        if (rc != COMMITLOG_EAGAIN) {
            clg_count(store, CLG_COUNT_ENOSPC, rc == COMMITLOG_ENOSPC);
            return rc;
        }
        clg_count(store, CLG_COUNT_ROOM_WAITS, 1);
        waiting_ns = waiting_ns != 0 ? waiting_ns : store->os->clock_mono_ns(store->os);
        CLG_PROBE1(room__wait, clg_log_staged_bytes(log));
        rc = clg_store_wait_room(store, ticket, until, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
}

int clg_store_reach(struct commitlog_store *store, uint64_t end, uint32_t level,
                    struct clg_until until, struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    int rc = COMMITLOG_OK;
    if (level == COMMITLOG_LEVEL_DURABLE && !CLG_PLANTED(ACK_EARLY)) {
        rc = clg_log_flush(log, end, until, err);
    } else if (level == COMMITLOG_LEVEL_WRITTEN) {
        while (rc == COMMITLOG_OK && clg_log_written(log) < end) {
            uint64_t published = clg_log_published(log);
            if (published >= end) { /* which may be within a record that is there already */
                rc = clg_log_drain(log, published, UINT64_MAX, err);
                continue;
            }
            rc = clg_log_wait_visible(log, published, false, until);
            if (rc != COMMITLOG_OK) {
                rc = clg_log_wait_failed(log, rc, end, err);
            }
        }
    }
    if (rc != COMMITLOG_OK) {
        clg_wrap(err, "stored, but the level was not reached");
        if (err != NULL) {
            err->code = COMMITLOG_EUNKNOWN;
        }
        return COMMITLOG_EUNKNOWN;
    }
    return COMMITLOG_OK;
}

uint32_t clg_append_level(const struct commitlog_store *store, uint32_t level)
{
    if (level != COMMITLOG_LEVEL_DEFAULT) {
        return level;
    }
    return clg_option(&store->options, COMMITLOG_OPT_FLUSH) == COMMITLOG_FLUSH_SYNC
               ? COMMITLOG_LEVEL_DURABLE
               : COMMITLOG_LEVEL_NONE;
}

int64_t clg_append_begin_level(const struct commitlog_store *store, uint32_t level,
                               int64_t began_ns)
{
    const struct commitlog_os *os = store->os;
    CLG_ASSERT(level != COMMITLOG_LEVEL_DEFAULT);
    if (CLG_LIKELY(level == COMMITLOG_LEVEL_NONE) || began_ns != 0 ||
        !clg_log_times(store->core->log, level)) {
        return began_ns;
    }
    return os->clock_mono_ns(os);
}

/* Apart, so that what most appends do stays small. */
static CLG_NOINLINE void append_measure(const struct commitlog_store *store, uint32_t level,
                                        int64_t began_ns)
{
    clg_log_measure(store->core->log,
                    level == COMMITLOG_LEVEL_DURABLE   ? CLG_HISTOGRAM_APPEND_DURABLE
                    : level == COMMITLOG_LEVEL_WRITTEN ? CLG_HISTOGRAM_APPEND_WRITTEN
                                                       : CLG_HISTOGRAM_APPEND,
                    began_ns);
}

/* What follows a stored append of any kind. */
int clg_append_finish(struct commitlog_store *store, uint32_t level, uint32_t count,
                      struct clg_until until, int64_t began_ns, struct commitlog_receipt *receipts,
                      struct commitlog_error *err)
{
    CLG_ASSERT(level != COMMITLOG_LEVEL_DEFAULT);
    uint64_t end = receipts[0].end_position;
    for (uint32_t i = 1; i < count; i++) { /* of a repetition each has its own */
        end = clg_max_u64(end, receipts[i].end_position);
    }
    int rc = clg_store_reach(store, end, level, until, err);
    if (rc == COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            receipts[i].level = level;
        }
    }
    if (CLG_UNLIKELY(began_ns != 0) && rc == COMMITLOG_OK) {
        append_measure(store, level, began_ns);
    }
    return rc;
}

/* By way of whatever has to decide on them first. */
static int append_items(struct commitlog_store *store, const struct clg_append *items,
                        uint32_t count, const struct clg_producer_mark *mark,
                        struct clg_until until, struct commitlog_receipt *receipts,
                        struct commitlog_error *err)
{
    if (CLG_UNLIKELY(mark->id != 0)) {
        return clg_producers_append(store, items, count, mark, until, receipts, err);
    }
    return clg_timers_append_any(store, items, count, until, receipts, err);
}

/* For limits, unless it is a repetition of what is stored. */
static int append_wait(struct commitlog_store *store, const struct clg_producer_mark *mark,
                       struct clg_until until, struct commitlog_error *err)
{
    bool repeats =
        CLG_UNLIKELY(clg_limits_hold(store)) && mark->id != 0 && clg_producers_know(store, mark);
    return repeats ? COMMITLOG_OK : clg_limits_wait(store, false, until, err);
}

static int append_enter(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "append");
    }
    if (store->read_only) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "append: the store is open read-only");
    }
    return COMMITLOG_OK;
}

int32_t commitlog_append(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                         const void *body, size_t body_bytes, uint32_t level,
                         struct commitlog_receipt *out_receipt)
{
    struct commitlog_slice slice = {body, body_bytes};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = queue,
                                      .level = level,
                                      .body = &slice,
                                      .body_count = 1};
    return commitlog_append_record(store, &record, COMMITLOG_FOREVER, out_receipt, NULL);
}

static int append_record(struct commitlog_store *store, const struct commitlog_record *record,
                         int32_t timeout_ms, struct commitlog_receipt *out_receipt,
                         struct commitlog_error *err)
{
    int64_t began = clg_append_begin(store);
    uint8_t attributes[CLG_ENCODE_STACK_BYTES];
    struct clg_append item;
    struct clg_encoded encoded;
    struct commitlog_receipt receipt = {0};
    struct clg_until until = clg_store_until(store, timeout_ms);
    uint32_t level;
    int rc;
    do {
        struct clg_encode_room room = {attributes, sizeof(attributes)};
        rc = clg_encode_record(store, record, &room, &item, &encoded, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        level = clg_append_level(store, encoded.level);
        if (level == COMMITLOG_LEVEL_DURABLE) {
            (void)clg_topics_define_left(store, NULL); /* it makes durable what was before it */
        }
        began = clg_append_begin_level(store, level, began);
        rc = append_wait(store, &encoded.mark, until, err);
        if (rc == COMMITLOG_OK) {
            rc = append_items(store, &item, 1, &encoded.mark, until, &receipt, err);
        }
        clg_encoded_free(store, &encoded);
    } while (CLG_UNLIKELY(rc == CLG_LOG_ROUTED_ANEW));
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    rc = clg_append_finish(store, level, 1, until, began, &receipt, err);
    if (out_receipt != NULL) {
        *out_receipt = receipt;
    }
    return rc;
}

int32_t commitlog_append_record(struct commitlog_store *store,
                                const struct commitlog_record *record, int32_t timeout_ms,
                                struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    int rc = append_enter(store, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    CLG_PROBE1(append__begin, store);
    rc = append_record(store, record, timeout_ms, out_receipt, err);
    CLG_PROBE2(append__end, store, rc);
    return rc;
}

/* What a batch is encoded into: arrays of its length, in one piece of memory. */
struct append_batch {
    struct clg_append *items;
    struct clg_encoded *encoded;
    struct commitlog_receipt *receipts;
    uint8_t *attributes;
    uint32_t count;
    bool kept; /* the store's piece, which is locked */
    void *memory;
};

static size_t batch_bytes(uint32_t count)
{
    return (size_t)count * (sizeof(struct clg_append) + sizeof(struct clg_encoded) +
                            sizeof(struct commitlog_receipt) + APPEND_BATCH_ATTRIBUTES);
}

/* Fresh memory for each batch would be page faults, which cost more than the appends. */
static bool batch_take(struct commitlog_store *store, uint32_t count, struct append_batch *out)
{
    const struct commitlog_os *os = store->os;
    out->count = count;
    out->kept = count <= APPEND_BATCH_KEPT && clg_mutex_trylock(&store->batch_lock);
    if (!out->kept) {
        out->memory = os->alloc(os, batch_bytes(count));
    } else if (store->batch_records < count) {
        uint32_t records = (uint32_t)clg_min_u64(2 * (uint64_t)count, APPEND_BATCH_KEPT);
        os->free(os, store->batch_memory);
        store->batch_memory = os->alloc(os, batch_bytes(records));
        store->batch_records = store->batch_memory != NULL ? records : 0;
    }
    if (out->kept) {
        out->memory = store->batch_memory;
    }
    if (out->memory == NULL) {
        return false;
    }
    out->items = out->memory;
    out->encoded = (struct clg_encoded *)(void *)(out->items + count);
    out->receipts = (struct commitlog_receipt *)(void *)(out->encoded + count);
    out->attributes = (uint8_t *)(out->receipts + count);
    return true;
}

static void batch_give(struct commitlog_store *store, struct append_batch *batch)
{
    if (batch->kept) {
        clg_mutex_unlock(store->os, &store->batch_lock);
    } else {
        store->os->free(store->os, batch->memory);
    }
}

void clg_append_deinit(struct commitlog_store *store)
{
    store->os->free(store->os, store->batch_memory);
}

/* All members encoded, or nothing. */
static int append_encode_batch(struct commitlog_store *store,
                               const struct commitlog_record *records, struct append_batch *batch,
                               uint32_t *out_level, struct commitlog_error *err)
{
    const uint8_t *at = (const uint8_t *)records;
    size_t stride = records[0].struct_bytes != 0 ? records[0].struct_bytes : sizeof(*records);
    struct clg_encode_room room = {batch->attributes,
                                   (size_t)batch->count * APPEND_BATCH_ATTRIBUTES};
    uint32_t level = 0;
    for (uint32_t i = 0; i < batch->count; i++, at += stride) {
        const struct commitlog_record *record = (const struct commitlog_record *)(const void *)at;
        struct clg_encoded *encoded = &batch->encoded[i];
        int rc = clg_encode_record(store, record, &room, &batch->items[i], encoded, err);
        if (rc != COMMITLOG_OK) {
            clg_wrap(err, "record %u of the batch", i);
            for (uint32_t j = 0; j < i; j++) {
                clg_encoded_free(store, &batch->encoded[j]);
            }
            return rc;
        }
        uint32_t wanted = clg_append_level(store, encoded->level);
        level = wanted > level ? wanted : level;
    }
    *out_level = level;
    return COMMITLOG_OK;
}

static int append_batch(struct commitlog_store *store, const struct commitlog_record *records,
                        struct clg_until until, struct append_batch *batch,
                        struct commitlog_error *err)
{
    const struct clg_producer_mark *mark = &batch->encoded[0].mark;
    uint32_t level = 0;
    int64_t began = clg_append_begin(store);
    int rc;
    do {
        rc = append_encode_batch(store, records, batch, &level, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (level == COMMITLOG_LEVEL_DURABLE) {
            (void)clg_topics_define_left(store, NULL);
        }
        began = clg_append_begin_level(store, level, began);
        rc = clg_producers_check(batch->encoded, batch->count, err);
        if (rc == COMMITLOG_OK) {
            rc = append_wait(store, mark, until, err);
        }
        if (rc == COMMITLOG_OK) {
            rc = append_items(store, batch->items, batch->count, mark, until, batch->receipts, err);
        }
        for (uint32_t i = 0; i < batch->count; i++) {
            clg_encoded_free(store, &batch->encoded[i]);
        }
    } while (CLG_UNLIKELY(rc == CLG_LOG_ROUTED_ANEW));
    if (rc == COMMITLOG_OK) {
        clg_count(store, CLG_COUNT_BATCHES, batch->receipts[0].duplicate == 0);
        rc = clg_append_finish(store, level, batch->count, until, began, batch->receipts, err);
    }
    return rc;
}

int32_t commitlog_append_batch(struct commitlog_store *store,
                               const struct commitlog_record *records, uint32_t count,
                               int32_t timeout_ms, struct commitlog_receipt *out_receipts,
                               struct commitlog_error *err)
{
    struct append_batch batch;
    int rc = append_enter(store, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (records == NULL || count == 0 || count > CLG_BATCH_RECORDS_MAX) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a batch has 1 to %u records, not %u", CLG_BATCH_RECORDS_MAX, count);
    }
    CLG_PROBE1(append__begin, store);
    if (!batch_take(store, count, &batch)) {
        rc = clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a batch of %u records", count);
    } else {
        rc = append_batch(store, records, clg_store_until(store, timeout_ms), &batch, err);
        if (out_receipts != NULL && (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN)) {
            memcpy(out_receipts, batch.receipts, count * sizeof(*out_receipts));
        }
    }
    batch_give(store, &batch);
    CLG_PROBE2(append__end, store, rc);
    return rc;
}
