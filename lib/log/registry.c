/* registry.c -- topics and queues as a claim sees them. See registry.h. */
#include "log/registry.h"

#include <string.h>

#include "base/invariant.h"
#include "base/order.h"
#include "format/attributes.h"
#include "format/limits.h"

#define REGISTRY_SLOTS_FIRST 64u
#define REGISTRY_NAMES_BYTES 32768u
#define REGISTRY_HUGE_BYTES (UINT64_C(2) << 20)

/* Names one behind the other: there may be millions of them, and none is ever given back. */
struct clg_registry_names {
    struct clg_registry_names *next;
    uint32_t used;
    char bytes[];
};

uint32_t clg_registry_topic_count(const struct clg_registry *registry)
{
    /* ORDER(registry-1) acquire */
    return clg_load_acquire_u32(&registry->topic_count);
}

/* Also one that is only kept. */
static struct clg_topic *registry_any(const struct clg_registry *registry, uint32_t id)
{
    CLG_ASSERT(id < clg_registry_topic_count(registry));
    return &registry->topics[id / CLG_REGISTRY_CHUNK][id % CLG_REGISTRY_CHUNK];
}

int clg_registry_init(struct clg_registry *registry, const struct commitlog_os *os)
{
    CLG_ASSERT(registry != NULL && os != NULL);
    memset(registry, 0, sizeof(*registry));
    registry->os = os;
    clg_mutex_init(&registry->lock);
    registry->slots = clg_os_alloc_array(os, REGISTRY_SLOTS_FIRST, sizeof(*registry->slots));
    if (registry->slots == NULL) {
        return COMMITLOG_ENOMEM;
    }
    registry->slot_count = REGISTRY_SLOTS_FIRST;
    return COMMITLOG_OK;
}

void clg_registry_deinit(struct clg_registry *registry)
{
    const struct commitlog_os *os = registry->os;
    if (os == NULL) {
        return;
    }
    while (registry->names != NULL) {
        struct clg_registry_names *next = registry->names->next;
        os->free(os, registry->names);
        registry->names = next;
    }
    uint32_t topics = clg_registry_topic_count(registry);
    for (uint32_t id = 0; id < topics; id++) {
        os->free(os, registry_any(registry, id)->growth);
    }
    for (uint32_t i = 0; i < CLG_REGISTRY_CHUNKS; i++) {
        os->free(os, registry->topics[i]);
        os->free(os, registry->queues[i]);
    }
    os->free(os, registry->slots);
    memset(registry, 0, sizeof(*registry));
}

uint32_t clg_registry_queue_count(const struct clg_registry *registry)
{
    return clg_load_acquire_u32(&registry->queue_count);
}

struct clg_topic *clg_registry_topic(const struct clg_registry *registry, uint32_t id)
{
    if (id >= clg_registry_topic_count(registry)) {
        return NULL;
    }
    struct clg_topic *topic = registry_any(registry, id);
    return clg_topic_queues(topic) > 0 ? topic : NULL;
}

struct clg_queue *clg_registry_queue(const struct clg_registry *registry, uint32_t number)
{
    if (number >= clg_registry_queue_count(registry)) {
        return NULL;
    }
    return &registry->queues[number / CLG_REGISTRY_CHUNK][number % CLG_REGISTRY_CHUNK];
}

struct clg_topic *clg_registry_owner(const struct clg_registry *registry, uint32_t number,
                                     uint32_t *out_index)
{
    const struct clg_queue *queue = clg_registry_queue(registry, number);
    struct clg_topic *topic =
        queue == NULL || queue->owner == 0 ? NULL : clg_registry_topic(registry, queue->owner - 1);
    if (topic != NULL && out_index != NULL) {
        *out_index = queue->index;
    }
    return topic;
}

void clg_registry_raise_next(struct clg_registry *registry, uint32_t number, uint64_t next)
{
    struct clg_queue *queue = clg_registry_queue(registry, number);
    if (queue != NULL && queue->next_offset < next) {
        queue->next_offset = next;
    }
}

void clg_registry_skip(struct clg_registry *registry, uint32_t numbers)
{
    clg_mutex_lock(registry->os, &registry->lock);
    if (registry->spoken_for < numbers) {
        registry->spoken_for = numbers;
    }
    clg_mutex_unlock(registry->os, &registry->lock);
}

struct clg_topic *clg_registry_same(const struct clg_registry *registry, const void *name,
                                    size_t name_bytes, uint32_t first_queue, uint32_t queues)
{
    CLG_ASSERT(registry != NULL && name != NULL);
    struct clg_topic *topic = clg_registry_owner(registry, first_queue, NULL);
    bool same = topic != NULL && topic->first_queue == first_queue &&
                clg_topic_step(topic, 0).queues == queues && topic->name_bytes == name_bytes &&
                memcmp(topic->name, name, name_bytes) == 0;
    return same ? topic : NULL;
}

struct clg_topic_step clg_topic_step(const struct clg_topic *topic, uint32_t step)
{
    const uint32_t queues = clg_topic_queues(topic); /* before the steps: of one alone if so */
    CLG_ASSERT(step < clg_topic_steps(topic));
    return clg_topic_steps(topic) > 1
               ? topic->growth->steps[step]
               : (struct clg_topic_step){.first_queue = topic->first_queue, .queues = queues};
}

uint32_t clg_topic_step_of(const struct clg_topic *topic, uint32_t index)
{
    uint32_t step = clg_topic_steps(topic) - 1;
    while (step > 0 && topic->growth->steps[step].from > index) {
        step--;
    }
    CLG_ASSERT(index < clg_topic_queues(topic));
    return step;
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t registry_slot(const struct clg_registry *registry, uint64_t hash, const void *name,
                              size_t name_bytes)
{
    CLG_ASSERT((registry->slot_count & (registry->slot_count - 1)) == 0);
    uint32_t mask = registry->slot_count - 1;
    uint32_t at = (uint32_t)hash & mask;
    while (registry->slots[at].topic != 0) {
        if (registry->slots[at].hash == (uint32_t)hash) {
            const struct clg_topic *topic = registry_any(registry, registry->slots[at].topic - 1);
            if (topic->name_hash == hash && topic->name_bytes == name_bytes &&
                memcmp(topic->name, name, name_bytes) == 0) {
                break;
            }
        }
        at = (at + 1) & mask;
    }
    return at;
}

/* An array that look-ups meet in any order; on huge pages from where it fills one. */
static void *registry_array(const struct commitlog_os *os, uint32_t count, size_t size, bool huge)
{
    void *array = clg_os_alloc_array(os, count, size);
    CLG_ASSERT(count > 0 && size > 0);
    if (array != NULL && huge) {
        (void)os->advise(os, array, count * size, CLG_OS_ADVISE_HUGE); /* a hint */
    }
    return array;
}

static int registry_grow_slots(struct clg_registry *registry)
{
    uint32_t count = clg_registry_topic_count(registry);
    if ((count + 1) * 2 <= registry->slot_count) {
        return COMMITLOG_OK;
    }
    const struct commitlog_os *os = registry->os;
    uint32_t slot_count = registry->slot_count * 2;
    bool huge = slot_count * sizeof(*registry->slots) >= REGISTRY_HUGE_BYTES;
    struct clg_registry_slot *slots =
        registry_array(os, slot_count, sizeof(*registry->slots), huge);
    if (slots == NULL) {
        return COMMITLOG_ENOMEM;
    }
    CLG_ASSERT(slot_count > count);
    for (uint32_t i = 0; i < registry->slot_count; i++) {
        if (registry->slots[i].topic != 0) {
            uint32_t at = registry->slots[i].hash & (slot_count - 1);
            while (slots[at].topic != 0) {
                at = (at + 1) & (slot_count - 1);
            }
            slots[at] = registry->slots[i];
        }
    }
    os->free(os, registry->slots);
    registry->slots = slots;
    registry->slot_count = slot_count;
    return COMMITLOG_OK;
}

int clg_registry_find(struct clg_registry *registry, const void *name, size_t name_bytes,
                      struct clg_topic **out)
{
    CLG_ASSERT(name != NULL && out != NULL);
    uint64_t hash = clg_topic_seed(name, name_bytes);
    clg_mutex_lock(registry->os, &registry->lock);
    uint32_t id = registry->slots[registry_slot(registry, hash, name, name_bytes)].topic;
    clg_mutex_unlock(registry->os, &registry->lock);
    struct clg_topic *topic = id == 0 ? NULL : clg_registry_topic(registry, id - 1);
    if (topic == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    *out = topic;
    return COMMITLOG_OK;
}

/* Chunks for all queues below `end`, for numbers may have been passed over and every number below
 * the count can be asked for, and for one more topic. */
static int registry_reserve(struct clg_registry *registry, uint32_t end)
{
    const struct commitlog_os *os = registry->os;
    CLG_ASSERT(end <= CLG_REGISTRY_CHUNK * CLG_REGISTRY_CHUNKS);
    for (uint32_t i = 0; i * CLG_REGISTRY_CHUNK < end; i++) {
        if (registry->queues[i] == NULL) {
            registry->queues[i] =
                registry_array(os, CLG_REGISTRY_CHUNK, sizeof(struct clg_queue), i > 0);
        }
        if (registry->queues[i] == NULL) {
            return COMMITLOG_ENOMEM;
        }
    }
    uint32_t chunk = clg_registry_topic_count(registry) / CLG_REGISTRY_CHUNK;
    if (registry->topics[chunk] == NULL) {
        registry->topics[chunk] =
            registry_array(os, CLG_REGISTRY_CHUNK, sizeof(struct clg_topic), chunk > 0);
    }
    return registry->topics[chunk] == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
}

/* Room for a name and its NUL; taken only by who moves `used`. */
static char *registry_name_room(struct clg_registry *registry, size_t bytes)
{
    const struct commitlog_os *os = registry->os;
    struct clg_registry_names *names = registry->names;
    CLG_ASSERT(bytes <= REGISTRY_NAMES_BYTES);
    if (names == NULL || bytes > REGISTRY_NAMES_BYTES - names->used) {
        names = os->alloc(os, sizeof(*names) + REGISTRY_NAMES_BYTES);
        if (names == NULL) {
            return NULL;
        }
        names->next = registry->names;
        registry->names = names;
    }
    CLG_ASSERT(bytes <= REGISTRY_NAMES_BYTES - names->used);
    return names->bytes + names->used;
}

/* The numbers are of the topic's queues from index `from` on. */
static void registry_own(struct clg_registry *registry, const struct clg_topic *topic,
                         uint32_t from, uint32_t first, uint32_t queues)
{
    for (uint32_t i = 0; i < queues; i++) {
        uint32_t number = first + i;
        struct clg_queue *queue =
            &registry->queues[number / CLG_REGISTRY_CHUNK][number % CLG_REGISTRY_CHUNK];
        queue->owner = topic->id + 1;
        queue->index = from + i;
    }
}

/* Its creation is known. */
static void registry_create(struct clg_registry *registry, struct clg_topic *topic, uint32_t first,
                            uint32_t queues)
{
    CLG_ASSERT(queues > 0 && clg_topic_queues(topic) == 0);
    topic->first_queue = first;
    registry_own(registry, topic, 0, first, queues);
    clg_store_relaxed_u32(&topic->routed, queues);
    clg_raise_release_u32(&registry->queue_count, first + queues); /* ORDER(registry-1) */
    clg_store_release_u32(&topic->queues, queues);                 /* ORDER(growth-1) */
}

/* With no queues: its name only. */
static int registry_insert(struct clg_registry *registry, const void *name, size_t name_bytes,
                           uint32_t first, uint32_t queues, struct clg_topic **out)
{
    uint32_t id = clg_registry_topic_count(registry);
    int rc = registry_reserve(registry, first + queues);
    if (rc == COMMITLOG_OK) {
        rc = registry_grow_slots(registry);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    char *copy = registry_name_room(registry, name_bytes + 1);
    if (copy == NULL) {
        return COMMITLOG_ENOMEM;
    }
    memcpy(copy, name, name_bytes);
    registry->names->used += (uint32_t)name_bytes + 1;
    struct clg_topic *topic = &registry->topics[id / CLG_REGISTRY_CHUNK][id % CLG_REGISTRY_CHUNK];
    CLG_ASSERT(topic->growth == NULL && topic->name == NULL);
    topic->id = id;
    topic->name_bytes = (uint32_t)name_bytes;
    topic->name_hash = clg_topic_seed(name, name_bytes);
    topic->defined_base = UINT64_MAX;
    topic->name = copy;
    if (queues > 0) {
        registry_create(registry, topic, first, queues);
    }
    registry->slots[registry_slot(registry, topic->name_hash, name, name_bytes)] =
        (struct clg_registry_slot){.topic = id + 1, .hash = (uint32_t)topic->name_hash};
    /* ORDER(registry-1): whoever sees the counts sees what they count. */
    clg_store_release_u32(&registry->topic_count, id + 1);
    *out = topic;
    return COMMITLOG_OK;
}

/* After retention a refold meets definitions in any order of their queue numbers. */
static bool registry_is_free(const struct clg_registry *registry, uint32_t first, uint32_t queues)
{
    for (uint32_t i = 0; i < queues; i++) {
        const struct clg_queue *queue = clg_registry_queue(registry, first + i);
        if (queue == NULL) {
            return true; /* beyond the highest number so far, and so are the rest */
        }
        if (queue->owner != 0) {
            return false;
        }
    }
    return true;
}

/* The lowest number that nothing has, nor any record. */
static uint32_t registry_next(const struct clg_registry *registry)
{
    uint32_t next = clg_registry_queue_count(registry);
    return next < registry->spoken_for ? registry->spoken_for : next;
}

int clg_registry_add(struct clg_registry *registry, const void *name, size_t name_bytes,
                     uint32_t first_queue, uint32_t queues, struct clg_topic **out)
{
    CLG_ASSERT(name_bytes >= 1 && name_bytes <= CLG_TOPIC_NAME_MAX && queues >= 1);
    uint64_t hash = clg_topic_seed(name, name_bytes);
    clg_mutex_lock(registry->os, &registry->lock);
    uint32_t id = registry->slots[registry_slot(registry, hash, name, name_bytes)].topic;
    struct clg_topic *kept = id != 0 ? registry_any(registry, id - 1) : NULL;
    int rc;
    if (kept != NULL && clg_topic_queues(kept) > 0) {
        struct clg_topic *topic = kept;
        bool same = clg_topic_step(topic, 0).queues == queues &&
                    (first_queue == UINT32_MAX || first_queue == topic->first_queue);
        rc = same ? COMMITLOG_OK : COMMITLOG_EEXIST;
        if (same) {
            *out = topic;
        }
    } else {
        uint32_t first = first_queue == UINT32_MAX ? registry_next(registry) : first_queue;
        if ((uint64_t)first + queues > (uint64_t)CLG_REGISTRY_CHUNK * CLG_REGISTRY_CHUNKS) {
            rc = COMMITLOG_ELIMIT;
        } else if (!registry_is_free(registry, first, queues)) {
            rc = COMMITLOG_EEXIST;
        } else if (kept != NULL) {
            rc = registry_reserve(registry, first + queues);
            if (rc == COMMITLOG_OK) {
                registry_create(registry, kept, first, queues);
                *out = kept;
            }
        } else {
            rc = registry_insert(registry, name, name_bytes, first, queues, out);
        }
    }
    clg_mutex_unlock(registry->os, &registry->lock);
    return rc;
}

int clg_registry_keep(struct clg_registry *registry, const struct clg_registry *before)
{
    const uint32_t count = clg_registry_topic_count(before);
    int rc = COMMITLOG_OK;
    CLG_ASSERT(clg_registry_topic_count(registry) == 0);
    clg_mutex_lock(registry->os, &registry->lock);
    for (uint32_t id = 0; rc == COMMITLOG_OK && id < count; id++) {
        const struct clg_topic *topic = registry_any(before, id);
        struct clg_topic *kept = NULL;
        rc = registry_insert(registry, topic->name, topic->name_bytes, 0, 0, &kept);
        CLG_ASSERT(rc != COMMITLOG_OK || kept->id == id);
    }
    clg_mutex_unlock(registry->os, &registry->lock);
    return rc;
}

int clg_registry_keep_queues(struct clg_registry *registry, const struct clg_registry *before)
{
    const uint32_t count = clg_registry_topic_count(before);
    int rc = COMMITLOG_OK;
    CLG_ASSERT(clg_registry_topic_count(registry) >= count);
    clg_mutex_lock(registry->os, &registry->lock);
    for (uint32_t id = 0; rc == COMMITLOG_OK && id < count; id++) {
        const struct clg_topic *topic = clg_registry_topic(before, id);
        const uint32_t queues = topic == NULL ? 0 : clg_topic_step(topic, 0).queues;
        struct clg_topic *kept = registry_any(registry, id);
        if (queues > 0 && clg_topic_queues(kept) == 0 &&
            registry_is_free(registry, topic->first_queue, queues)) {
            rc = registry_reserve(registry, topic->first_queue + queues);
            if (rc == COMMITLOG_OK) {
                registry_create(registry, kept, topic->first_queue, queues);
            }
        }
    }
    clg_mutex_unlock(registry->os, &registry->lock);
    return rc;
}

/* What is said of a step before it is given numbers. */
static int registry_check_step(const struct clg_topic *topic, uint32_t step, uint32_t queues)
{
    uint32_t have = clg_topic_queues(topic);
    if (step != clg_topic_steps(topic) || queues == 0 || queues % have != 0) {
        return COMMITLOG_EINVAL;
    }
    bool few = step < CLG_GROWTH_STEPS_MAX && queues <= CLG_TOPIC_QUEUES_MAX - have;
    return few ? COMMITLOG_OK : COMMITLOG_ELIMIT;
}

/* Its creation becomes the first one of its steps. */
static int registry_need_growth(struct clg_registry *registry, struct clg_topic *topic)
{
    const struct commitlog_os *os = registry->os;
    if (topic->growth != NULL) {
        return COMMITLOG_OK;
    }
    topic->growth = os->alloc(os, sizeof(*topic->growth));
    if (topic->growth == NULL) {
        return COMMITLOG_ENOMEM;
    }
    topic->growth->steps[0] = (struct clg_topic_step){.first_queue = topic->first_queue,
                                                      .queues = clg_topic_queues(topic)};
    return COMMITLOG_OK;
}

static int registry_add_step(struct clg_registry *registry, struct clg_topic *topic, uint32_t step,
                             uint32_t first_queue, uint32_t queues)
{
    int rc = registry_check_step(topic, step, queues);
    if (rc == COMMITLOG_OK) {
        rc = registry_need_growth(registry, topic);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_topic_step *next = &topic->growth->steps[step];
    bool kept = next->queues == queues; /* an attempt that failed had numbers already */
    uint32_t first = first_queue != UINT32_MAX ? first_queue
                     : kept                    ? next->first_queue
                                               : registry_next(registry);
    if (kept && first == next->first_queue) {
        return COMMITLOG_OK;
    }
    if ((uint64_t)first + queues > (uint64_t)CLG_REGISTRY_CHUNK * CLG_REGISTRY_CHUNKS) {
        return COMMITLOG_ELIMIT;
    }
    if (!registry_is_free(registry, first, queues)) {
        return COMMITLOG_EEXIST;
    }
    rc = registry_reserve(registry, first + queues);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < next->queues; i++) { /* those of an attempt are nobody's any more */
        clg_registry_queue(registry, next->first_queue + i)->owner = 0;
    }
    *next = (struct clg_topic_step){clg_topic_queues(topic), first, queues};
    registry_own(registry, topic, next->from, first, queues);
    /* ORDER(registry-1) */
    clg_raise_release_u32(&registry->queue_count, first + queues);
    return COMMITLOG_OK;
}

int clg_registry_add_step(struct clg_registry *registry, struct clg_topic *topic, uint32_t step,
                          uint32_t first_queue, uint32_t queues)
{
    CLG_ASSERT(step > 0);
    int rc;
    clg_mutex_lock(registry->os, &registry->lock);
    if (step < clg_topic_steps(topic)) {
        const struct clg_topic_step *there = &topic->growth->steps[step];
        bool same = there->first_queue == first_queue && there->queues == queues;
        rc = same ? COMMITLOG_OK : COMMITLOG_EEXIST;
    } else {
        rc = registry_add_step(registry, topic, step, first_queue, queues);
    }
    clg_mutex_unlock(registry->os, &registry->lock);
    return rc;
}

void clg_registry_show_step(struct clg_registry *registry, struct clg_topic *topic, uint32_t step)
{
    clg_mutex_lock(registry->os, &registry->lock);
    if (step == clg_topic_steps(topic)) {
        const struct clg_topic_step *next = &topic->growth->steps[step];
        CLG_ASSERT(next->queues > 0 && next->from == clg_topic_queues(topic));
        /* ORDER(growth-1) release: whoever sees a queue finds the step that has it. */
        clg_store_release_u32(&topic->grown, step);
        clg_store_release_u32(&topic->queues, next->from + next->queues);
    }
    clg_mutex_unlock(registry->os, &registry->lock);
}

void clg_registry_route(struct clg_topic *topic, uint32_t step)
{
    const struct clg_topic_step last = clg_topic_step(topic, step);
    /* ORDER(growth-1) release */
    clg_store_release_u32(&topic->routed, last.from + last.queues);
}
