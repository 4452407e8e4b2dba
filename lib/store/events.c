/* events.c -- what happened, in a bounded ring that the caller empties; and known damage. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "store/store.h"

void clg_store_event(struct commitlog_store *store, uint32_t severity,
                     const struct commitlog_error *detail)
{
    struct clg_event_ring *ring = &store->events;
    clg_mutex_lock(store->os, &ring->lock);
    if (ring->head - ring->tail == CLG_EVENTS_MAX) {
        ring->tail++;
        ring->lost++;
    }
    struct commitlog_event *event = &ring->items[ring->head % CLG_EVENTS_MAX];
    event->struct_bytes = sizeof(*event);
    event->severity = severity;
    event->time_ns = store->os->clock_wall_ns(store->os);
    event->lost = 0;
    event->detail = *detail;
    ring->head++;
    clg_mutex_unlock(store->os, &ring->lock);
}

int32_t commitlog_event_next(struct commitlog_store *store, struct commitlog_event *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct clg_event_ring *ring = &store->events;
    clg_mutex_lock(store->os, &ring->lock);
    if (ring->head == ring->tail) {
        rc = COMMITLOG_EEND;
    } else {
        struct commitlog_event event = ring->items[ring->tail % CLG_EVENTS_MAX];
        event.lost = ring->lost;
        ring->lost = 0;
        ring->tail++;
        clg_copy_out(out, &event, sizeof(event));
    }
    clg_mutex_unlock(store->os, &ring->lock);
    return rc;
}

/* False: no topic has a queue of this number. */
static bool events_name_queue(struct clg_core *core, uint32_t queue_number,
                              struct commitlog_damage *damage)
{
    damage->queue = UINT32_MAX;
    const struct clg_topic *topic =
        clg_registry_owner(&core->registry, queue_number, &damage->queue);
    if (topic == NULL) {
        return false;
    }
    (void)snprintf(damage->topic, sizeof(damage->topic), "%s", topic->name);
    return true;
}

static void events_add_damage(struct commitlog_store *store, const struct commitlog_damage *damage)
{
    if (clg_damage_list_add(&store->damage, damage) != COMMITLOG_OK) {
        return; /* known already, or counted by the list */
    }
    clg_count(store, CLG_COUNT_DAMAGE, 1);
    struct commitlog_error detail;
    clg_error_clear(&detail);
    (void)clg_fail(&detail, COMMITLOG_EDAMAGED, 0, damage->from_position,
                   "%s (topic '%s', queue %u)", damage->reason, damage->topic, damage->queue);
    clg_store_event(store, COMMITLOG_EVENT_ERROR, &detail);
}

void clg_store_damage(struct commitlog_store *store, struct clg_core *core, uint64_t position,
                      uint64_t queue_offset, uint32_t queue_number, const char *reason)
{
    struct commitlog_damage damage;
    clg_damage_make(&damage, position, position + CLG_RECORD_MIN, reason);
    if (events_name_queue(core, queue_number, &damage)) {
        damage.from_offset = queue_offset;
        damage.to_offset = queue_offset + 1;
    }
    events_add_damage(store, &damage);
}

void clg_store_damage_found(struct commitlog_store *store, struct clg_core *core,
                            const struct commitlog_damage *found)
{
    struct commitlog_damage damage = *found;
    if (found->queue != UINT32_MAX && !events_name_queue(core, found->queue, &damage)) {
        damage.from_offset = 0;
        damage.to_offset = 0;
    }
    events_add_damage(store, &damage);
}

void clg_store_lost(struct commitlog_store *store, struct clg_core *core, uint32_t queue_number,
                    uint64_t from_offset, uint64_t to_offset)
{
    struct commitlog_damage damage;
    clg_damage_make_lost(&damage, from_offset, to_offset);
    if (events_name_queue(core, queue_number, &damage)) {
        events_add_damage(store, &damage);
    }
}

int clg_core_opening_damage(struct clg_core *core, const struct commitlog_damage *damage)
{
    int known = clg_damage_list_add(&core->store->damage, damage);
    int rc = clg_damage_list_add(&core->opening_damage, damage);
    clg_count(core->store, CLG_COUNT_DAMAGE, known == COMMITLOG_OK);
    return known == COMMITLOG_ENOMEM || rc == COMMITLOG_ENOMEM ? COMMITLOG_ENOMEM : COMMITLOG_OK;
}

void clg_core_damage_anew(struct clg_core *core)
{
    /* No memory for it: what is known stays. */
    (void)clg_damage_list_assign(&core->store->damage, &core->opening_damage);
}

void clg_core_damage_drop(struct clg_core *core, uint64_t first)
{
    clg_damage_list_drop_below(&core->opening_damage, first);
    clg_damage_list_drop_below(&core->store->damage, first);
}

bool clg_core_lacks_records(struct clg_core *core)
{
    bool may = core->store->read_only ||
               clg_load_acquire_u32(&core->store->left_out) != 0; /* ORDER(left-out-1) acquire */
    return may && clg_damage_list_count(&core->opening_damage) > 0;
}

bool clg_core_lacks_between(struct clg_core *core, uint64_t from, uint64_t to)
{
    struct commitlog_damage damage;
    return clg_damage_list_find(&core->opening_damage, from, to, true, &damage) == COMMITLOG_OK;
}

int clg_core_lost_front(struct clg_core *core, uint32_t queue_number, uint64_t visible,
                        const struct clg_lookup_range *range, bool *out_lost)
{
    struct clg_lookup_entry first = {.position = visible};
    uint32_t count = 0;
    uint64_t bound = 0;
    int rc = COMMITLOG_OK;
    *out_lost = false;
    if (range->min == 0 || !clg_core_lacks_records(core)) {
        return COMMITLOG_OK;
    }
    if (range->min < range->next) {
        rc = clg_lookup_entries(core->fold, queue_number, range->min, visible, &first, 1, &count,
                                &bound);
    }
    *out_lost = rc == COMMITLOG_OK && clg_core_lacks_between(core, 0, first.position);
    return rc == COMMITLOG_ETOOSMALL ? COMMITLOG_OK : rc; /* retention, just now */
}

static int events_take_damage(void *ctx, const struct commitlog_damage *damage)
{
    return clg_core_opening_damage(ctx, damage);
}

static int events_take_line(void *ctx, const char *text)
{
    (void)ctx; /* commitlog_recover gives the plan to who asks for it */
    (void)text;
    return COMMITLOG_OK;
}

struct clg_recovery_report clg_core_recovery_sink(struct clg_core *core)
{
    return (struct clg_recovery_report){events_take_line, events_take_damage, core};
}

/* Recovery knows queues by number only; names come from the log that was folded since. */
void clg_store_name_damage(struct commitlog_store *store, struct commitlog_damage *damage)
{
    if (damage->queue == UINT32_MAX || damage->topic[0] != '\0') {
        return;
    }
    struct clg_core *core = clg_store_core(store);
    (void)events_name_queue(core, damage->queue, damage);
    clg_core_unref(core);
}

int32_t commitlog_damage_get(struct commitlog_store *store, uint32_t index,
                             struct commitlog_damage *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct commitlog_damage damage;
    rc = clg_damage_list_get(&store->damage, index, &damage);
    if (rc == COMMITLOG_OK) {
        damage.struct_bytes = sizeof(damage);
        clg_store_name_damage(store, &damage);
        clg_copy_out(out, &damage, sizeof(damage));
    }
    return rc;
}

int32_t commitlog_recovery_get(struct commitlog_store *store, struct commitlog_recovery *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct commitlog_recovery recovery = store->recovery;
    recovery.struct_bytes = sizeof(recovery);
    clg_copy_out(out, &recovery, sizeof(recovery));
    return COMMITLOG_OK;
}
