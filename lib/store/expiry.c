/* SPDX-License-Identifier: BSD-2-Clause */
/* expiry.c -- see expiry.h. */
#include "store/expiry.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/groups.h"
#include "view/lookup.h"

#define EXPIRY_ROOM_MS 5000
#define EXPIRY_CARRY_ROOM_MS 1000
/* Of its age a message may be given for so much longer; each look that finds something appends a
 * record. */
#define EXPIRY_PART 100
#define EXPIRY_LOOK_LEAST_NS (INT64_C(1) * CLG_OS_NS_PER_S)
#define EXPIRY_LOOK_MOST_NS (INT64_C(3600) * CLG_OS_NS_PER_S)
/* Until a topic whose segments do not read is tried again. */
#define EXPIRY_AGAIN_NS (INT64_C(30) * CLG_OS_NS_PER_S)
/* Queues that one round of upkeep looks at, those of the last topic on top. */
#define EXPIRY_LOOKS 4096u

static int expiry_take(void *ctx, const struct clg_expiry_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_expiry_table_copy(&store->expiry, table);
}

int clg_expiry_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_expiry_table_init(&store->expiry, store->os);
    int rc = clg_fold_expiry(store->core->fold, expiry_take, store);
    return rc == COMMITLOG_OK
               ? rc
               : clg_fail(err, rc, 0, CLG_NO_POSITION, "what has expired: out of memory");
}

void clg_expiry_deinit(struct commitlog_store *store)
{
    if (store->expiry.os != NULL) {
        clg_expiry_table_deinit(&store->expiry);
    }
}

/* The topic that it names has to be somewhere in the log: NULL if it is. */
static struct clg_topic *expiry_undefined(struct commitlog_store *store, uint32_t first_queue)
{
    struct clg_topic *topic = clg_registry_owner(&store->core->registry, first_queue, NULL);
    return topic == NULL || clg_log_topic_is_defined(store->core->log, topic) ? NULL : topic;
}

static int expiry_append(struct commitlog_store *store, const struct clg_tombstone *said,
                         bool carry, struct clg_until until, struct commitlog_receipt *receipt,
                         struct commitlog_error *err)
{
    uint8_t body[CLG_TOMBSTONE_BYTES];
    struct commitlog_slice slice = {body, sizeof(body)};
    const struct clg_append item = {.kind = CLG_KIND_TOMBSTONE,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .takes_reserve = carry,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = sizeof(body),
                                    .defined = expiry_undefined(store, said->first_queue)};
    CLG_ASSERT(clg_mutex_is_held(&store->expiry_lock));
    clg_tombstone_encode(body, said);
    int rc = clg_expiry_table_prepare(&store->expiry);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "what has expired: out of memory");
    }
    rc = clg_store_append(store, &item, 1, until, receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_expiry_table_apply(&store->expiry, said, receipt->position, CLG_POSITION_MAX);
    }
    return rc;
}

/* ---- which messages are older ---------------------------------------------------------------- */

/* Raises *below over the messages of the queue that can be seen and were stored before `cut_ns`. */
static int expiry_look_queue(struct clg_fold *fold, uint32_t number, uint64_t visible,
                             int64_t cut_ns, uint64_t *below)
{
    struct clg_lookup_range range = {0};
    struct clg_lookup_entry last;
    uint64_t end = 0;
    uint64_t bound = 0;
    uint32_t count = 0;
    int rc = clg_lookup_range(fold, number, visible, &range);
    if (rc != COMMITLOG_OK || range.min == range.next || range.first_time >= cut_ns) {
        return rc == COMMITLOG_ENOTFOUND ? COMMITLOG_OK : rc;
    }
    rc = clg_lookup_time(fold, number, cut_ns, COMMITLOG_LOWER, visible, &end);
    if (rc == COMMITLOG_OK && end > range.min) {
        rc = clg_lookup_entries(fold, number, end - 1, visible, &last, 1, &count, &bound);
    }
    if (rc == COMMITLOG_OK && count > 0) {
        /* Of an offset that the log has lost only the segment before it is known. */
        *below = clg_max_u64(*below, last.position == CLG_NO_POSITION
                                         ? last.segment_base
                                         : last.position + CLG_RECORD_ALIGN);
    }
    return rc == COMMITLOG_ETOOSMALL ? COMMITLOG_OK : rc; /* retention was faster */
}

/* What of the topic's messages was stored before `cut_ns`; 0: nothing. */
static int expiry_find(struct commitlog_store *store, const struct clg_topic *topic, int64_t cut_ns,
                       uint64_t *out_below, struct commitlog_error *err)
{
    struct clg_fold *fold = store->core->fold;
    const uint32_t queues = clg_topic_queues(topic);
    uint64_t below = 0;
    int rc = clg_fold_run(fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, err);
    /* What nobody has had a chance to read does not expire, however old it is. */
    const uint64_t visible =
        clg_min_u64(clg_fold_position(fold), clg_store_visible(store, store->core));
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < queues; i++) {
        rc = expiry_look_queue(fold, clg_topic_number(topic, i), visible, cut_ns, &below);
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "what of topic %s has expired", topic->name);
    }
    *out_below = below;
    return COMMITLOG_OK;
}

/* Lets expire what of the topic's messages was stored before `cut_ns`, if no group has yet to
 * consume it: none comes to that before the record that says so is appended. *out_said: one was.
 * COMMITLOG_ETIMEDOUT: there is no room now. */
static int expiry_raise(struct commitlog_store *store, const struct clg_topic *topic,
                        int64_t cut_ns, const struct clg_expiry *is, bool *out_said,
                        struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct clg_tombstone said = {topic->first_queue, is->age_ms, 0};
    const uint64_t before = is->below;
    const struct clg_until until = clg_store_until(store, 0);
    uint64_t kept_from = UINT64_MAX;
    *out_said = false;
    int rc = expiry_find(store, topic, cut_ns, &said.below, err);
    if (rc != COMMITLOG_OK || said.below <= before) {
        return rc;
    }
    clg_mutex_lock(store->os, &store->group_lock);
    rc = clg_groups_unconsumed_of(store, topic, &kept_from, err);
    said.below = clg_min_u64(said.below, kept_from);
    if (rc == COMMITLOG_OK && said.below > before) {
        rc = expiry_append(store, &said, false, until, receipt, err);
        *out_said = rc == COMMITLOG_OK;
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static int expiry_look(struct commitlog_store *store, uint32_t row, int64_t now_ns,
                       const struct clg_topic *topic, struct commitlog_error *err)
{
    const struct clg_expiry is = store->expiry.rows[row];
    const int64_t age_ns = (int64_t)is.age_ms * CLG_OS_NS_PER_MS;
    struct commitlog_receipt receipt = {0};
    bool said = false;
    int rc = expiry_raise(store, topic, now_ns - age_ns, &is, &said, &receipt, err);
    if (rc == COMMITLOG_OK) {
        int64_t again_ns = age_ns / EXPIRY_PART;
        again_ns = again_ns < EXPIRY_LOOK_LEAST_NS  ? EXPIRY_LOOK_LEAST_NS
                   : again_ns > EXPIRY_LOOK_MOST_NS ? EXPIRY_LOOK_MOST_NS
                                                    : again_ns;
        store->expiry.rows[row].look_ns = now_ns + again_ns;
    }
    return rc;
}

/* What is wrong with this one is nothing to the others. */
static int expiry_put_off(struct commitlog_store *store, uint32_t row, int64_t now_ns,
                          const struct commitlog_error *err)
{
    clg_store_event(store, COMMITLOG_EVENT_WARNING, err);
    store->expiry.rows[row].look_ns = now_ns + EXPIRY_AGAIN_NS;
    return COMMITLOG_OK;
}

int clg_expiry_run(struct commitlog_store *store, int64_t *out_wait_ns, struct commitlog_error *err)
{
    const struct clg_registry *registry = &store->core->registry;
    int rc = COMMITLOG_OK;
    uint32_t looks = 0;
    *out_wait_ns = INT64_MAX;
    clg_mutex_lock(store->os, &store->expiry_lock);
    const int64_t now_ns = store->expiry.count > 0 ? clg_log_time(store->core->log) : 0;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < store->expiry.count; i++) {
        const struct clg_expiry is = store->expiry.rows[i]; /* the rows may move */
        const struct clg_topic *topic = clg_registry_owner(registry, is.first_queue, NULL);
        if (is.age_ms == 0 || topic == NULL) { /* its definition was lost */
            continue;
        }
        if (is.look_ns <= now_ns && looks < EXPIRY_LOOKS) {
            looks += clg_topic_queues(topic);
            rc = expiry_look(store, i, now_ns, topic, err);
            rc = rc == COMMITLOG_EIO || rc == COMMITLOG_EDAMAGED
                     ? expiry_put_off(store, i, now_ns, err)
                     : rc;
        }
        const int64_t look_ns = store->expiry.rows[i].look_ns;
        int64_t wait_ns = look_ns > now_ns ? look_ns - now_ns : 0;
        *out_wait_ns = wait_ns < *out_wait_ns ? wait_ns : *out_wait_ns;
    }
    clg_mutex_unlock(store->os, &store->expiry_lock);
    return rc == COMMITLOG_ETIMEDOUT ? COMMITLOG_EAGAIN : rc;
}

/* ---- retention ------------------------------------------------------------------------------- */

/* What had expired goes with the record that says so, for it lies before it. */
static bool expiry_needs_carry(const struct clg_expiry *row, uint64_t end)
{
    CLG_ASSERT(row->below <= row->position);
    return row->position < end && row->age_ms > 0;
}

uint64_t clg_expiry_carry_cost(struct commitlog_store *store, uint64_t end)
{
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->expiry_lock);
    for (uint32_t i = 0; i < store->expiry.count; i++) {
        bytes += expiry_needs_carry(&store->expiry.rows[i], end)
                     ? clg_record_bytes(0, CLG_TOMBSTONE_BYTES)
                     : 0;
    }
    clg_mutex_unlock(store->os, &store->expiry_lock);
    return bytes;
}

int clg_expiry_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                     struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->expiry_lock);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < store->expiry.count; i++) {
        const struct clg_expiry *row = &store->expiry.rows[i];
        const struct clg_tombstone said = {row->first_queue, row->age_ms, row->below};
        struct commitlog_receipt receipt = {0};
        if (!expiry_needs_carry(row, end)) {
            continue;
        }
        rc = expiry_append(store, &said, true, clg_store_until(store, EXPIRY_CARRY_ROOM_MS),
                           &receipt, err);
        *out_bytes += rc == COMMITLOG_OK ? receipt.end_position - receipt.position : 0;
    }
    clg_mutex_unlock(store->os, &store->expiry_lock);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: what has expired cannot be carried "
                        "forward");
    }
    return rc;
}

/* ---- the interface --------------------------------------------------------------------------- */

struct expiry_question {
    uint32_t first_queue;
    struct clg_expiry answer;
};

static int expiry_answer(void *ctx, const struct clg_expiry_table *table)
{
    struct expiry_question *question = ctx;
    const struct clg_expiry *row = clg_expiry_find(table, question->first_queue);
    if (row != NULL) {
        question->answer = *row;
    }
    return COMMITLOG_OK;
}

struct clg_expiry clg_expiry_of(struct commitlog_store *store, struct clg_core *core,
                                const struct clg_topic *topic)
{
    struct expiry_question question = {.first_queue = topic->first_queue};
    if (store->read_only) {
        (void)(clg_fold_expiry(core->fold, expiry_answer, &question) == COMMITLOG_OK);
        return question.answer;
    }
    clg_mutex_lock(store->os, &store->expiry_lock);
    (void)(expiry_answer(&question, &store->expiry) == COMMITLOG_OK);
    clg_mutex_unlock(store->os, &store->expiry_lock);
    return question.answer;
}

int clg_expiry_first(struct commitlog_store *store, uint32_t queue_number, uint64_t visible,
                     uint64_t *out_offset)
{
    CLG_ASSERT(clg_mutex_is_held(&store->expiry_lock));
    const struct clg_topic *topic = clg_registry_owner(&store->core->registry, queue_number, NULL);
    const struct clg_expiry *row =
        topic == NULL ? NULL : clg_expiry_find(&store->expiry, topic->first_queue);
    if (row == NULL || row->below == 0) {
        *out_offset = 0;
        return COMMITLOG_OK;
    }
    return clg_lookup_position(store->core->fold, queue_number, row->below, visible, out_offset);
}

struct expiry_change {
    struct commitlog_store *store;
    const struct clg_topic *topic;
    bool sets_age;
    uint64_t age_ms;
    int64_t before_ns; /* if it does not */
    struct commitlog_receipt receipt;
};

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int expiry_attempt(void *ctx, struct commitlog_error *err)
{
    struct expiry_change *change = ctx;
    struct commitlog_store *store = change->store;
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->expiry_lock);
    const struct clg_expiry none = {0};
    const struct clg_expiry *row = clg_expiry_find(&store->expiry, change->topic->first_queue);
    const struct clg_expiry is = row != NULL ? *row : none;
    bool said = false;
    if (!change->sets_age) {
        rc = expiry_raise(store, change->topic, change->before_ns, &is, &said, &change->receipt,
                          err);
    } else if (change->age_ms != is.age_ms) {
        const struct clg_tombstone age = {change->topic->first_queue, change->age_ms, is.below};
        rc = expiry_append(store, &age, false, clg_store_until(store, 0), &change->receipt, err);
        said = rc == COMMITLOG_OK;
    }
    if (rc == COMMITLOG_OK && !said && is.position > 0) { /* before, maybe not at this level */
        change->receipt.position = is.position;
        change->receipt.end_position = is.position + 1;
    }
    clg_mutex_unlock(store->os, &store->expiry_lock);
    return rc;
}

static int expiry_change(struct commitlog_store *store, uint32_t topic,
                         struct expiry_change *change, uint32_t level, struct commitlog_error *err)
{
    int rc = clg_groups_enter_write(store, level, "let messages of a topic expire", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    change->store = store;
    change->topic = clg_registry_topic(&store->core->registry, topic);
    if (change->topic == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "no topic has number %u", topic);
    }
    if (change->age_ms > CLG_AGE_MAX_MS) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "an age of %llu ms is longer than time",
                        (unsigned long long)change->age_ms);
    }
    struct clg_until until = clg_store_until(store, EXPIRY_ROOM_MS);
    rc = clg_store_attempt(store, expiry_attempt, change, until, err);
    if (rc != COMMITLOG_OK || change->receipt.end_position == 0) {
        return rc; /* nothing has expired, and nothing was said */
    }
    until.mono_ns = CLG_OS_FOREVER;
    return clg_append_finish(store, clg_append_level(store, level), 1, until, 0, &change->receipt,
                             err);
}

int32_t commitlog_topic_expire_after(struct commitlog_store *store, uint32_t topic,
                                     uint64_t keep_age_ms, uint32_t level,
                                     struct commitlog_error *err)
{
    struct expiry_change change = {.sets_age = true, .age_ms = keep_age_ms};
    return expiry_change(store, topic, &change, level, err);
}

int32_t commitlog_topic_expire(struct commitlog_store *store, uint32_t topic, int64_t before_ns,
                               uint32_t level, struct commitlog_error *err)
{
    struct expiry_change change = {.before_ns = before_ns};
    return expiry_change(store, topic, &change, level, err);
}
