/*
 * group_carry.c -- consumer groups under retention: their state is written again at the tail before
 * the segment that says it goes, and messages stay that a group has yet to consume. See groups.h.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/groups.h"
#include "store/reference.h"

/* Offsets in one record: small enough for a stack, and for any stage. */
#define CARRY_ENTRIES 128u
#define CARRY_ROOM_MS 1000
#define KEPT_ENTRIES 64u

static bool carry_needs_settings(const struct clg_group *group, uint64_t end)
{
    return group->position < end;
}

uint64_t clg_groups_carry_cost(struct commitlog_store *store, uint64_t end)
{
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->group_lock);
    for (uint32_t g = 0; g < store->groups.count; g++) {
        const struct clg_group *group = store->groups.groups[g];
        uint32_t offsets = 0;
        for (uint32_t i = 0; i < group->offset_count; i++) {
            offsets += group->offsets[i].position < end ? 1 : 0;
        }
        uint64_t settings = CLG_RECORD_MIN + clg_group_change_bytes(group->name_bytes, 0);
        bytes += carry_needs_settings(group, end) ? settings : 0;
        bytes += (offsets + CARRY_ENTRIES - 1) / CARRY_ENTRIES * settings +
                 (uint64_t)offsets * CLG_GROUP_ENTRY_BYTES;
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return bytes;
}

static int carry_change(struct commitlog_store *store, const struct clg_group *group,
                        uint32_t operation, const struct clg_group_entry *entries, uint32_t count,
                        uint64_t *bytes, struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    struct clg_group_change change = {.name = group->name,
                                      .name_bytes = group->name_bytes,
                                      .operation = operation,
                                      .epoch = group->epoch,
                                      .flags = operation == CLG_GROUP_SETTINGS ? group->flags : 0,
                                      .count = count};
    int rc = clg_groups_append(store, &change, entries, true, clg_store_until(store, CARRY_ROOM_MS),
                               &receipt, err);
    if (rc == COMMITLOG_OK) {
        *bytes += receipt.end_position - receipt.position;
    }
    return rc;
}

/* The next entries below `end` from *at on, by ascending queue number within the record. */
static uint32_t carry_take(const struct clg_group *group, uint64_t end, uint32_t *at,
                           struct clg_group_entry *entries)
{
    uint32_t count = 0;
    for (; *at < group->offset_count && count < CARRY_ENTRIES; (*at)++) {
        const struct clg_group_offset *offset = &group->offsets[*at];
        if (offset->position >= end) {
            continue;
        }
        uint32_t place = count++;
        while (place > 0 && entries[place - 1].queue_number > offset->queue_number) {
            entries[place] = entries[place - 1];
            place--;
        }
        entries[place] = (struct clg_group_entry){.queue_number = offset->queue_number,
                                                  .offset = offset->offset};
    }
    return count;
}

static int carry_group(struct commitlog_store *store, const struct clg_group *group, uint64_t end,
                       uint64_t *bytes, struct commitlog_error *err)
{
    struct clg_group_entry entries[CARRY_ENTRIES];
    int rc = COMMITLOG_OK;
    if (carry_needs_settings(group, end)) {
        rc = carry_change(store, group, CLG_GROUP_SETTINGS, NULL, 0, bytes, err);
    }
    uint32_t at = 0;
    uint32_t count = rc == COMMITLOG_OK ? carry_take(group, end, &at, entries) : 0;
    while (rc == COMMITLOG_OK && count > 0) {
        rc = carry_change(store, group, CLG_GROUP_OFFSETS, entries, count, bytes, err);
        count = carry_take(group, end, &at, entries);
    }
    return rc;
}

/* Nobody commits meanwhile: what is written here is not older than what is there. */
int clg_groups_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                     struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->group_lock);
    for (uint32_t g = 0; rc == COMMITLOG_OK && g < store->groups.count; g++) {
        rc = carry_group(store, store->groups.groups[g], end, out_bytes, err);
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: groups cannot be carried forward");
    }
    return rc;
}

/* Where the first segment ends: what lies before it keeps all. */
static uint64_t kept_first_end(struct clg_core *core)
{
    struct clg_segment *segment = clg_segment_set_pin_first(&core->set);
    uint64_t end = segment == NULL ? 0 : segment->base + segment->bytes;
    clg_segment_unref(segment);
    return end;
}

/* The lowest original that is still there and that what is unconsumed refers to, if it is below
 * *position. Each entry is looked at, each reference is read: asked only when a segment is about to
 * go. */
static int kept_from_originals(struct commitlog_store *store, uint32_t queue_number, uint64_t from,
                               uint64_t visible, uint64_t *position)
{
    struct clg_core *core = store->core;
    struct clg_lookup_entry entries[KEPT_ENTRIES];
    struct clg_reader reader;
    const uint64_t first = clg_log_first(core->log);
    const uint64_t enough = kept_first_end(core);
    int rc = COMMITLOG_OK;
    clg_reader_init(&reader, store->os, true, true);
    while (rc == COMMITLOG_OK && *position >= enough) {
        uint32_t count = 0;
        uint64_t bound = 0;
        rc = clg_lookup_entries(core->fold, queue_number, from, visible, entries, KEPT_ENTRIES,
                                &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            const struct clg_lookup_entry *entry = &entries[i];
            from = entry->queue_offset + clg_max_u64(1, entry->lost);
            if ((entry->flags & CLG_QUEUE_ENTRY_REFERENCE) != 0) {
                uint64_t original = 0;
                rc = clg_store_original(&reader, core, visible, entry->position, &original);
                *position = original >= first ? clg_min_u64(*position, original) : *position;
            }
        }
    }
    clg_reader_end(&reader);
    return rc == COMMITLOG_EEND ? COMMITLOG_OK : rc;
}

static int kept_from_queue(struct commitlog_store *store, uint32_t queue_number, uint64_t offset,
                           uint64_t visible, bool originals, uint64_t *position)
{
    struct clg_core *core = store->core;
    struct clg_lookup_range range = {0};
    int rc = clg_lookup_range(core->fold, queue_number, visible, &range);
    uint64_t from = clg_max_u64(offset, range.min);
    if (rc == COMMITLOG_ENOTFOUND || (rc == COMMITLOG_OK && from >= range.next)) {
        return COMMITLOG_OK; /* all is consumed */
    }
    struct clg_lookup_entry entry;
    uint32_t count = 0;
    uint64_t bound = 0;
    if (rc == COMMITLOG_OK) {
        rc = clg_lookup_entries(core->fold, queue_number, from, visible, &entry, 1, &count, &bound);
    }
    if (rc == COMMITLOG_OK) {
        /* Of an offset the log has lost, only its place among the others is known. */
        *position = clg_min_u64(*position, entry.position == CLG_NO_POSITION ? entry.segment_base
                                                                             : entry.position);
        rc = originals ? kept_from_originals(store, queue_number, from, visible, position)
                       : COMMITLOG_OK;
    }
    return rc == COMMITLOG_EEND ? COMMITLOG_OK : rc;
}

/* Of the queues before it in its line, is `index` the nearest one that the group has committed? */
static bool kept_is_nearest(const struct clg_group *group, const struct clg_topic *topic,
                            uint32_t index, uint32_t child)
{
    uint32_t at = child;
    do {
        if (clg_group_find_offset(group, clg_topic_number(topic, at)) != NULL) {
            return false;
        }
        at %= clg_topic_step(topic, clg_topic_step_of(topic, at)).from;
    } while (at != index);
    return true;
}

/* A group that consumes a queue will consume those that its keys went to when the topic grew, from
 * the first message on: it has not begun them. */
static int kept_from_children(struct commitlog_store *store, const struct clg_group *group,
                              uint32_t queue_number, uint64_t visible, bool originals,
                              uint64_t *position)
{
    const struct clg_registry *registry = &store->core->registry;
    uint32_t index = 0;
    const struct clg_topic *topic = clg_registry_owner(registry, queue_number, &index);
    if (topic == NULL) {
        return COMMITLOG_OK;
    }
    const struct clg_topic_step step = clg_topic_step(topic, clg_topic_step_of(topic, index));
    const uint32_t queues = clg_topic_queues(topic);
    int rc = COMMITLOG_OK;
    for (uint32_t child = index + step.from + step.queues; rc == COMMITLOG_OK && child < queues;
         child += step.from + step.queues) {
        if (kept_is_nearest(group, topic, index, child)) {
            rc = kept_from_queue(store, clg_topic_number(topic, child), 0, visible, originals,
                                 position);
        }
    }
    return rc;
}

/* `topic`: NULL, or the only one that is asked for. */
static int kept_from(struct commitlog_store *store, const struct clg_topic *topic, bool originals,
                     uint64_t *out_position, struct commitlog_error *err)
{
    uint64_t position = UINT64_MAX;
    struct clg_core *core = store->core;
    uint64_t visible = clg_fold_position(core->fold);
    int rc = COMMITLOG_OK;
    CLG_ASSERT(clg_mutex_is_held(&store->group_lock));
    for (uint32_t g = 0; rc == COMMITLOG_OK && g < store->groups.count; g++) {
        const struct clg_group *group = store->groups.groups[g];
        for (uint32_t i = 0;
             (group->flags & CLG_GROUP_KEEP) != 0 && rc == COMMITLOG_OK && i < group->offset_count;
             i++) {
            const struct clg_group_offset *known = &group->offsets[i];
            if (topic != NULL &&
                clg_registry_owner(&core->registry, known->queue_number, NULL) != topic) {
                continue;
            }
            rc = kept_from_queue(store, known->queue_number, known->offset, visible, originals,
                                 &position);
            if (rc == COMMITLOG_OK) {
                rc = kept_from_children(store, group, known->queue_number, visible, originals,
                                        &position);
            }
        }
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "what groups have yet to consume");
    }
    *out_position = position;
    return COMMITLOG_OK;
}

int clg_groups_kept_from(struct commitlog_store *store, uint64_t *out_position,
                         struct commitlog_error *err)
{
    return kept_from(store, NULL, true, out_position, err);
}

int clg_groups_unconsumed_from(struct commitlog_store *store, uint64_t *out_position,
                               struct commitlog_error *err)
{
    return kept_from(store, NULL, false, out_position, err);
}

int clg_groups_unconsumed_of(struct commitlog_store *store, const struct clg_topic *topic,
                             uint64_t *out_position, struct commitlog_error *err)
{
    CLG_ASSERT(topic != NULL);
    return kept_from(store, topic, false, out_position, err);
}
