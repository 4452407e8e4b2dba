/* topics.c -- topics and queues by name and number. */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/topic_record.h"
#include "store/expiry.h"
#include "store/store.h"

static int topics_create(struct commitlog_store *store, const char *name, size_t name_bytes,
                         uint32_t queues, struct clg_topic **out, struct commitlog_error *err)
{
    if (store->read_only) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "create topic %.*s: the store is open read-only", (int)name_bytes, name);
    }
    int rc = clg_log_failure(store->core->log, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    rc = clg_registry_add(&store->core->registry, name, name_bytes, UINT32_MAX, queues, out);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "create topic %.*s with %u queues",
                        (int)name_bytes, name, queues);
    }
    return COMMITLOG_OK;
}

/* The definition is part of the log as soon as the topic can be used, or else who made it is told:
 * what is flushed afterwards would not have it. Only when an open reservation leaves no room in the
 * stage, what names the topic first brings it along: its first record, or clg_topics_define_left.
 */
int clg_topics_define_locked(struct commitlog_store *store, struct clg_topic *topic,
                             struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    CLG_ASSERT(clg_mutex_is_held(&store->growth_lock));
    if (!clg_log_topic_is_defined(store->core->log, topic)) {
        rc = clg_log_define_topic(store->core->log, topic, false, err);
        if (rc == COMMITLOG_EAGAIN) {
            rc = clg_store_make_room(store, err);
            if (rc == COMMITLOG_OK) {
                rc = clg_log_define_topic(store->core->log, topic, false, err);
            }
        }
    }
    if (rc != COMMITLOG_OK) { /* who lists the topics finds it; ORDER(undefined-1) release */
        clg_store_release_u32(&store->topics_undefined, 1);
    }
    return rc;
}

static int topics_define(struct commitlog_store *store, struct clg_topic *topic,
                         struct commitlog_error *err)
{
    clg_mutex_lock(store->os, &store->growth_lock); /* its steps stay as they are */
    int rc = clg_topics_define_locked(store, topic, err);
    clg_mutex_unlock(store->os, &store->growth_lock);
    if (rc == COMMITLOG_OK) {
        clg_append_published(store);
    }
    return rc == COMMITLOG_EAGAIN ? COMMITLOG_OK : rc;
}

/* It says that nothing is left only when all of them are in the log: whoever passes by that has
 * them before him. Who comes while another one is at it waits for him. */
int clg_topics_define_left(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    struct clg_registry *registry = &store->core->registry;
    /* ORDER(undefined-1) acquire, ORDER(creating-1) acquire */
    if (CLG_LIKELY(clg_load_acquire_u32(&store->topics_undefined) == 0 &&
                   clg_load_acquire_u32(&store->topics_creating) == 0)) {
        return COMMITLOG_OK;
    }
    clg_mutex_lock(store->os, &store->growth_lock);
    if (clg_load_relaxed_u32(&store->topics_undefined) != 0 ||
        clg_load_relaxed_u32(&store->topics_creating) != 0) {
        const uint32_t count = clg_registry_topic_count(registry);
        for (uint32_t id = store->topics_defined; id < count && rc == COMMITLOG_OK; id++) {
            struct clg_topic *topic = clg_registry_topic(registry, id);
            rc = topic != NULL ? clg_topics_define_locked(store, topic, NULL) : rc;
            if (rc == COMMITLOG_OK && topic != NULL && id == store->topics_defined) {
                store->topics_defined++;
            }
        }
        if (rc == COMMITLOG_OK) { /* else again next time; ORDER(undefined-1) release */
            clg_store_release_u32(&store->topics_undefined, 0);
        }
    }
    clg_mutex_unlock(store->os, &store->growth_lock);
    clg_append_published(store);
    return rc != COMMITLOG_EAGAIN ? COMMITLOG_OK
                                  : clg_fail(err, COMMITLOG_ETIMEDOUT, 0, CLG_NO_POSITION,
                                             "no room in the stage for the definition of a topic");
}

/* Whoever opens a topic as he always did goes on doing so when it grows. */
static bool topics_has_had(const struct clg_topic *topic, uint32_t queues)
{
    bool found = false;
    for (uint32_t i = 0; i < clg_topic_steps(topic) && !found; i++) {
        const struct clg_topic_step step = clg_topic_step(topic, i);
        found = step.from + step.queues == queues;
    }
    return found;
}

int32_t commitlog_topic_open(struct commitlog_store *store, const char *name, size_t name_bytes,
                             uint32_t queues, uint32_t *out_topic, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "open topic");
    }
    if (name == NULL || out_topic == NULL || queues > COMMITLOG_TOPIC_QUEUES_MAX ||
        clg_topic_name_check((const uint8_t *)name, name_bytes) != COMMITLOG_OK) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a topic's name is 1 to 255 bytes of UTF-8 without NUL, "
                        "its queues at most %u",
                        COMMITLOG_TOPIC_QUEUES_MAX);
    }
    struct clg_core *core = clg_store_core(store);
    struct clg_topic *topic = NULL;
    uint64_t visible = 0;
    if (store->read_only) {
        rc = clg_store_fold_now(store, &core, &visible, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_registry_find(&core->registry, name, name_bytes, &topic);
    }
    const bool creates = rc == COMMITLOG_ENOTFOUND && queues > 0 && !store->read_only;
    if (creates) { /* before others can see it; ORDER(creating-1) release */
        (void)clg_add_acqrel_u32(&store->topics_creating, 1);
    }
    if (rc == COMMITLOG_ENOTFOUND && queues > 0) {
        rc = topics_create(store, name, name_bytes, queues, &topic, err);
    } else if (rc == COMMITLOG_ENOTFOUND) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "no topic is named %.*s", (int)name_bytes, name);
    }
    if (rc == COMMITLOG_OK && queues > 0 && !topics_has_had(topic, queues)) {
        rc = clg_fail(err, COMMITLOG_EEXIST, 0, CLG_NO_POSITION, "topic %s has %u queues, not %u",
                      topic->name, clg_topic_routed(topic), queues);
    }
    if (rc == COMMITLOG_OK && !store->read_only && !clg_log_topic_is_defined(core->log, topic)) {
        rc = topics_define(store, topic, err);
    }
    if (creates) { /* it is in the log now, or left */
        (void)clg_sub_acqrel_u32(&store->topics_creating, 1);
    }
    if (rc == COMMITLOG_OK) {
        *out_topic = topic->id;
    }
    clg_core_unref(core);
    return rc;
}

uint32_t commitlog_topic_count(struct commitlog_store *store)
{
    if (clg_store_enter(store) != COMMITLOG_OK) {
        return 0;
    }
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = clg_store_fold_now(store, &core, &visible, NULL);
    (void)rc; /* what is known is counted */
    uint32_t count = clg_registry_topic_count(&core->registry);
    clg_core_unref(core);
    return count;
}

/* Of what a record says that may not be visible yet: as those have it who read now. */
static uint64_t topics_expired(struct commitlog_store *store, struct clg_core *core,
                               const struct clg_topic *topic, uint64_t said)
{
    const uint64_t first = clg_log_first(core->log);
    uint64_t visible = 0;
    if (said <= first) {
        return 0; /* all of it is gone, if there was anything */
    }
    int rc = clg_store_fold_core(store, core, &visible, NULL);
    if (rc != COMMITLOG_OK) { /* what is known is told */
        visible = clg_min_u64(clg_store_visible(store, core), clg_fold_position(core->fold));
    }
    const uint64_t expired = clg_lookup_expired(core->fold, topic->first_queue, visible);
    return expired > first ? expired : 0;
}

int32_t commitlog_topic_info(struct commitlog_store *store, uint32_t topic,
                             struct commitlog_topic_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct clg_core *core = clg_store_core(store);
    if (store->read_only) { /* it may have grown, or its messages expire otherwise */
        uint64_t visible = 0;
        rc = clg_store_fold_now(store, &core, &visible, NULL);
        (void)rc; /* what is known is told */
    }
    const struct clg_topic *found = clg_registry_topic(&core->registry, topic);
    if (found != NULL) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof(info),
                                            .topic = topic,
                                            .queues = clg_topic_routed(found),
                                            .name_bytes = found->name_bytes,
                                            .queues_total = clg_topic_queues(found),
                                            .step_count = clg_topic_steps(found)};
        const struct clg_expiry expiry = clg_expiry_of(store, core, found);
        info.keep_age_ms = expiry.age_ms;
        info.expired_below = topics_expired(store, core, found, expiry.below);
        for (uint32_t i = 0; i < info.step_count; i++) {
            const struct clg_topic_step step = clg_topic_step(found, i);
            info.step_queues[i] = step.from + step.queues;
        }
        memcpy(info.name, found->name, found->name_bytes);
        clg_copy_out(out, &info, sizeof(info));
    }
    clg_core_unref(core);
    return found != NULL ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

/* What is asked of one queue: of its ends, or, with `range` NULL, which offset a time has. */
struct queue_question {
    struct clg_lookup_range *range;
    int64_t time_ns;
    uint32_t bound;
    uint64_t *out_offset;
};

/* At the core of now; once more where that is one whose files another writer has taken. */
static int queue_ask(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                     const struct queue_question *ask)
{
    struct clg_follow_reads reads = {0};
    bool again;
    int rc;
    do {
        struct clg_core *core = clg_store_core(store);
        uint64_t visible = 0;
        uint32_t number = 0;
        rc = clg_store_fold_now(store, &core, &visible, NULL);
        if (rc == COMMITLOG_OK) {
            rc = clg_store_queue(core, topic, queue, &number);
        }
        again = false;
        if (rc == COMMITLOG_OK) {
            rc = ask->range != NULL ? clg_lookup_range(core->fold, number, visible, ask->range)
                                    : clg_lookup_time(core->fold, number, ask->time_ns, ask->bound,
                                                      visible, ask->out_offset);
            again = clg_follow_again(store, core->generation, &reads, &rc);
        }
        clg_core_unref(core);
    } while (again);
    return rc;
}

int32_t commitlog_queue_info(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                             struct commitlog_queue_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct clg_lookup_range range = {0};
    rc = queue_ask(store, topic, queue, &(struct queue_question){.range = &range});
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info),
                                        .first_offset = range.min,
                                        .next_offset = range.next,
                                        .first_time_ns = range.first_time,
                                        .last_time_ns = range.last_time};
    clg_copy_out(out, &info, sizeof(info));
    return COMMITLOG_OK;
}

int32_t commitlog_offset_by_time(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                                 int64_t time_ns, uint32_t bound, uint64_t *out_offset)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_offset == NULL || bound > COMMITLOG_UPPER) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    uint64_t offset = 0;
    rc = queue_ask(
        store, topic, queue,
        &(struct queue_question){.time_ns = time_ns, .bound = bound, .out_offset = &offset});
    if (rc == COMMITLOG_OK) {
        *out_offset = offset;
    }
    return rc;
}
