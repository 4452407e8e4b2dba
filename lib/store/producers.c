/* producers.c -- see producers.h. */
#include "store/producers.h"

#include "base/error.h"
#include "base/invariant.h"
#include "store/timers.h"

#define PRODUCERS_ROOM_MS 1000
/* Upkeep ends so many at once. */
#define PRODUCERS_EXPIRE_PIECE 64u
#define PRODUCERS_WAIT_LEAST_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)

static int producers_take(void *ctx, const struct clg_producer_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_producer_table_copy(&store->producers, table);
}

int clg_producers_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_producer_table_init(&store->producers, store->os);
    int rc = clg_fold_producers(store->core->fold, producers_take, store);
    return rc == COMMITLOG_OK ? rc
                              : clg_fail(err, rc, 0, CLG_NO_POSITION, "producers: out of memory");
}

void clg_producers_deinit(struct commitlog_store *store)
{
    if (store->producers.os != NULL) {
        clg_producer_table_deinit(&store->producers);
    }
}

int clg_producers_check(const struct clg_encoded *encoded, uint32_t count,
                        struct commitlog_error *err)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct clg_producer_mark *mark = &encoded[i].mark;
        if (mark->id != encoded[0].mark.id || mark->epoch != encoded[0].mark.epoch ||
            (mark->id != 0 && mark->sequence != encoded[0].mark.sequence + i)) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                            "record %u: a batch is of one producer, in sequence, or of none", i);
        }
    }
    return COMMITLOG_OK;
}

static int producers_refuse(enum clg_producer_verdict verdict, const struct clg_producer_mark *mark,
                            struct commitlog_error *err)
{
    const unsigned long long id = mark->id;
    const unsigned long long sequence = mark->sequence;
    switch (verdict) {
    case CLG_PRODUCER_FENCED:
        return clg_fail(err, COMMITLOG_EFENCED, 0, CLG_NO_POSITION,
                        "producer %llu has a newer epoch than %u", id, mark->epoch);
    case CLG_PRODUCER_GAP:
        return clg_fail(err, COMMITLOG_EGAP, 0, CLG_NO_POSITION,
                        "producer %llu: sequence %llu does not follow what is stored", id,
                        sequence);
    case CLG_PRODUCER_UNKNOWN:
        return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION,
                        "producer %llu is not known: begin with sequence 1, not %llu", id,
                        sequence);
    case CLG_PRODUCER_NEW:
    case CLG_PRODUCER_REPEATED:
    case CLG_PRODUCER_FORGOTTEN:
    default:
        return clg_fail(err, COMMITLOG_EEXIST, 0, CLG_NO_POSITION,
                        "producer %llu: sequence %llu was stored long ago, its receipt is "
                        "forgotten",
                        id, sequence);
    }
}

static int producers_append_state(struct commitlog_store *store,
                                  const struct clg_producer_state *state, bool carry,
                                  struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    uint8_t body[CLG_PRODUCER_FIXED_BYTES + CLG_PRODUCER_RECEIPTS * CLG_PRODUCER_ENTRY_BYTES];
    size_t bytes = clg_producer_state_bytes(state->count);
    clg_producer_state_encode(body, bytes, state);
    struct commitlog_slice slice = {body, bytes};
    const struct clg_append item = {.kind = CLG_KIND_PRODUCER,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .takes_reserve = carry,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = bytes};
    int rc =
        clg_store_append(store, &item, 1, clg_store_until(store, PRODUCERS_ROOM_MS), receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_producer_apply_state(&store->producers, state, receipt->position);
    }
    return rc;
}

static int producers_expire_one(struct commitlog_store *store, const struct clg_producer *producer,
                                struct commitlog_error *err)
{
    const struct clg_producer_state state = {.id = producer->state.id,
                                             .sequence = producer->state.sequence,
                                             .epoch = producer->state.epoch,
                                             .operation = CLG_PRODUCER_EXPIRE};
    struct commitlog_receipt receipt = {0};
    return producers_append_state(store, &state, false, &receipt, err);
}

/* A new one beyond the most takes the place of those that were silent longest, once it is stored:
 * an append that fails forgets nobody. Best effort: the next one comes here again. */
static void producers_drop_most(struct commitlog_store *store)
{
    int rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK && store->producers.count > CLG_PRODUCERS_MAX) {
        rc = producers_expire_one(store, clg_producer_oldest(&store->producers), NULL);
    }
}

static int producers_append_new(struct commitlog_store *store, const struct clg_append *items,
                                uint32_t count, const struct clg_producer_mark *first,
                                struct clg_until until, struct commitlog_receipt *receipts,
                                struct commitlog_error *err)
{
    int rc = clg_producer_table_prepare(&store->producers, first->id);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "a new producer");
    }
    rc = clg_timers_append_any(store, items, count, until, receipts, err);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        struct clg_producer_mark mark = *first;
        mark.sequence += i;
        const struct clg_producer_receipt known = {.position = receipts[i].position,
                                                   .end_position = receipts[i].end_position,
                                                   .queue_offset = receipts[i].queue_offset,
                                                   .store_time = receipts[i].store_time_ns,
                                                   .epoch = receipts[i].epoch};
        clg_producer_apply_mark(&store->producers, &mark, &known);
    }
    producers_drop_most(store);
    return rc;
}

/* Every record of it was stored before, with this receipt, or it is refused. */
static int producers_repeat(struct commitlog_store *store, uint32_t count,
                            const struct clg_producer_mark *first,
                            struct commitlog_receipt *receipts, struct commitlog_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        struct clg_producer_mark mark = *first;
        struct clg_producer_receipt known;
        mark.sequence += i;
        enum clg_producer_verdict verdict = clg_producer_judge(&store->producers, &mark, &known);
        if (verdict == CLG_PRODUCER_NEW) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                            "the first %u records of the batch are stored, the others not: a "
                            "repeated batch is the same as the first time",
                            i);
        }
        if (verdict != CLG_PRODUCER_REPEATED) {
            return producers_refuse(verdict, &mark, err);
        }
        receipts[i] = (struct commitlog_receipt){.position = known.position,
                                                 .end_position = known.end_position,
                                                 .queue_offset = known.queue_offset,
                                                 .store_time_ns = known.store_time,
                                                 .epoch = known.epoch,
                                                 .level = COMMITLOG_LEVEL_NONE,
                                                 .duplicate = 1};
    }
    return COMMITLOG_OK;
}

bool clg_producers_know(struct commitlog_store *store, const struct clg_producer_mark *mark)
{
    struct clg_producer_receipt known;
    CLG_ASSERT(mark->id != 0);
    clg_mutex_lock(store->os, &store->producer_lock);
    bool knows = clg_producer_judge(&store->producers, mark, &known) == CLG_PRODUCER_REPEATED;
    clg_mutex_unlock(store->os, &store->producer_lock);
    return knows;
}

struct producers_append {
    struct commitlog_store *store;
    const struct clg_append *items;
    uint32_t count;
    const struct clg_producer_mark *first;
    struct commitlog_receipt *receipts;
};

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int producers_append_now(void *ctx, struct commitlog_error *err)
{
    const struct producers_append *append = ctx;
    struct commitlog_store *store = append->store;
    struct clg_producer_receipt known;
    CLG_ASSERT(append->first->id != 0 && append->count > 0);
    clg_mutex_lock(store->os, &store->producer_lock);
    enum clg_producer_verdict verdict =
        clg_producer_judge(&store->producers, append->first, &known);
    int rc;
    if (verdict == CLG_PRODUCER_NEW) {
        rc = producers_append_new(store, append->items, append->count, append->first,
                                  clg_store_until(store, 0), append->receipts, err);
    } else {
        rc = producers_repeat(store, append->count, append->first, append->receipts, err);
    }
    clg_mutex_unlock(store->os, &store->producer_lock);
    return rc;
}

int clg_producers_append(struct commitlog_store *store, const struct clg_append *items,
                         uint32_t count, const struct clg_producer_mark *first,
                         struct clg_until until, struct commitlog_receipt *receipts,
                         struct commitlog_error *err)
{
    struct producers_append append = {
        .store = store, .items = items, .count = count, .first = first, .receipts = receipts};
    return clg_store_attempt(store, producers_append_now, &append, until, err);
}

int clg_producers_expire(struct commitlog_store *store, int64_t expire_ns, int64_t *out_wait_ns,
                         struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    const int64_t now = clg_log_time(store->core->log);
    int64_t wait = INT64_MAX;
    clg_mutex_lock(store->os, &store->producer_lock);
    for (uint32_t i = 0; rc == COMMITLOG_OK; i++) {
        const struct clg_producer *oldest = clg_producer_oldest(&store->producers);
        if (oldest == NULL) {
            break;
        }
        if (now - oldest->heard_time <= expire_ns) {
            wait = expire_ns - (now - oldest->heard_time) + 1;
            wait = wait > PRODUCERS_WAIT_LEAST_NS ? wait : PRODUCERS_WAIT_LEAST_NS;
            break;
        }
        if (i == PRODUCERS_EXPIRE_PIECE) {
            wait = 0;
            break;
        }
        rc = producers_expire_one(store, oldest, err);
    }
    clg_mutex_unlock(store->os, &store->producer_lock);
    *out_wait_ns = rc == COMMITLOG_OK ? wait : PRODUCERS_WAIT_LEAST_NS;
    return rc;
}

uint64_t clg_producers_carry_cost(struct commitlog_store *store, uint64_t end)
{
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->producer_lock);
    for (const struct clg_producer *one = clg_producer_oldest(&store->producers); one != NULL;
         one = clg_producer_next(&store->producers, one)) {
        bytes += clg_producer_told_from(one) < end
                     ? CLG_RECORD_MIN + clg_producer_state_bytes(one->state.count)
                     : 0;
    }
    clg_mutex_unlock(store->os, &store->producer_lock);
    return bytes;
}

int clg_producers_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                        struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->producer_lock);
    for (const struct clg_producer *one = clg_producer_oldest(&store->producers);
         rc == COMMITLOG_OK && one != NULL; one = clg_producer_next(&store->producers, one)) {
        if (clg_producer_told_from(one) >= end) {
            continue;
        }
        const struct clg_producer_state state = one->state;
        struct commitlog_receipt receipt = {0};
        rc = producers_append_state(store, &state, true, &receipt, err);
        *out_bytes += receipt.end_position - receipt.position;
    }
    clg_mutex_unlock(store->os, &store->producer_lock);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: producers cannot be carried forward");
    }
    return rc;
}
