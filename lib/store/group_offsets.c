/* group_offsets.c -- what consumer groups have consumed: commit, fetch, reset, lag. See groups.h.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/expiry.h"
#include "store/gate.h"

/* So many entries at once need no memory of their own. */
#define OFFSETS_SMALL 32u

/* Sorted by queue number; mostly they come so. EINVAL: a queue twice. */
static int offsets_sort(struct clg_group_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct clg_group_entry entry = entries[i];
        uint32_t at = i;
        while (at > 0 && entries[at - 1].queue_number > entry.queue_number) {
            entries[at] = entries[at - 1];
            at--;
        }
        entries[at] = entry;
        if (at > 0 && entries[at - 1].queue_number == entry.queue_number) {
            return COMMITLOG_EINVAL;
        }
    }
    return COMMITLOG_OK;
}

/* The end of a queue as readers have it: all that is published counts. */
static int offsets_range(struct commitlog_store *store, uint32_t number, bool fold,
                         struct clg_lookup_range *out, struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = clg_fold_position(core->fold);
    int rc = fold ? clg_store_fold(store, &core, &visible, err) : COMMITLOG_OK;
    if (rc == COMMITLOG_OK) {
        rc = clg_lookup_range(core->fold, number, visible, out);
        rc = rc == COMMITLOG_OK
                 ? rc
                 : clg_fail(err, rc, 0, CLG_NO_POSITION, "where a queue begins and ends");
    }
    clg_core_unref(core);
    return rc;
}

static int offsets_check_end(struct commitlog_store *store, const struct clg_group_entry *entry,
                             struct commitlog_error *err)
{
    struct clg_lookup_range range = {0};
    int rc = offsets_range(store, entry->queue_number, false, &range, err);
    if (rc == COMMITLOG_OK && entry->offset > range.next) {
        rc = offsets_range(store, entry->queue_number, true, &range, err);
    }
    if (rc == COMMITLOG_OK && entry->offset > range.next) {
        return clg_fail(err, COMMITLOG_EBEYOND, 0, CLG_NO_POSITION,
                        "offset %llu is beyond the end of its queue, %llu",
                        (unsigned long long)entry->offset, (unsigned long long)range.next);
    }
    return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "commit offsets");
}

/* Sorts them. */
static int offsets_check(struct commitlog_store *store, struct clg_group_entry *entries,
                         uint32_t count, struct commitlog_error *err)
{
    if (offsets_sort(entries, count) != COMMITLOG_OK) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "a queue is named twice");
    }
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        rc = offsets_check_end(store, &entries[i], err);
    }
    return rc;
}

struct offsets_commit {
    struct commitlog_group *handle;
    uint32_t epoch;
    bool reset;   /* may move back */
    bool to_one;  /* a reset to an offset: what is gone is refused; else the first of all will do */
    bool to_end;  /* a reset to the end, */
    bool to_time; /* or to a time, in ns: as of when it is set, or it would take back commits */
    int64_t time_ns;
    struct clg_group_entry *entries; /* room for twice the count, see left */
    uint32_t count;
    uint32_t left; /* at entries + count: those that are to be written, of this attempt */
    uint64_t committed_position; /* nothing to be written: what says it already */
    struct commitlog_receipt receipt;
};

/* Those that are committed already fall out. */
static int offsets_compare(const struct clg_group *group, bool reset,
                           struct clg_group_entry *entries, uint32_t *count,
                           struct commitlog_error *err)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        const struct clg_group_entry entry = entries[i];
        const struct clg_group_offset *known = clg_group_find_offset(group, entry.queue_number);
        if (known != NULL && !reset && entry.offset < known->offset) {
            return clg_fail(err, COMMITLOG_ETOOSMALL, 0, CLG_NO_POSITION,
                            "group %s has committed %llu already, offset %llu lies before",
                            (const char *)group->name, (unsigned long long)known->offset,
                            (unsigned long long)entry.offset);
        }
        /* A reset also forgets what was given out. */
        if (known == NULL || reset || entry.offset != known->offset) {
            entries[kept++] = entry;
        }
    }
    *count = kept;
    return COMMITLOG_OK;
}

int clg_group_offsets_judge(const struct commitlog_group *handle, uint32_t epoch, bool reset,
                            bool was_judged, struct clg_group_entry *entries, uint32_t *count,
                            struct clg_group_change *out, uint64_t *out_last_position,
                            struct commitlog_error *err)
{
    CLG_ASSERT(clg_mutex_is_held(&handle->store->group_lock));
    const struct clg_group *group = clg_groups_find(handle, &handle->store->groups);
    if (group == NULL) {
        return clg_groups_not_found(handle, err);
    }
    if (epoch != 0 && epoch != group->epoch) {
        return clg_fail(err, COMMITLOG_EFENCED, 0, CLG_NO_POSITION,
                        "group %s is in epoch %u, the member in %u", handle->name, group->epoch,
                        epoch);
    }
    int rc = offsets_compare(group, reset, entries, count, err);
    if (rc == COMMITLOG_OK && !reset && !was_judged) {
        rc = clg_gate_check(handle->store, group, entries, *count, err);
    }
    *out = (struct clg_group_change){.name = (const uint8_t *)handle->name,
                                     .name_bytes = handle->name_bytes,
                                     .operation = reset ? CLG_GROUP_RESET : CLG_GROUP_OFFSETS,
                                     .epoch = group->epoch,
                                     .count = *count};
    *out_last_position = group->last_position;
    return rc;
}

/* Retention and expiry may have gone on since the offsets were placed; until the change is in the
 * group's table they do not. What has expired by a record that readers do not see yet will go, too,
 * whatever the group keeps: it was decided before, so that is where the queue begins. And what came
 * since may be consumed: ends, and times, are those of one position of the log, behind all that the
 * group has committed. */
static int offsets_place_again(const struct offsets_commit *commit, struct clg_group_entry *entries,
                               struct commitlog_error *err)
{
    struct commitlog_store *store = commit->handle->store;
    struct clg_core *core = store->core;
    int rc = clg_fold_run(core->fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, err);
    const uint64_t visible =
        clg_min_u64(clg_fold_position(core->fold), clg_store_visible(store, core));
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < commit->count; i++) {
        struct clg_group_entry *entry = &entries[i];
        struct clg_lookup_range range = {0};
        uint64_t first = 0;
        rc = clg_lookup_range(core->fold, entry->queue_number, visible, &range);
        if (rc == COMMITLOG_OK) {
            rc = clg_expiry_first(store, entry->queue_number, visible, &first);
            first = clg_max_u64(first, range.min);
        }
        if (rc == COMMITLOG_OK && commit->to_end) {
            entry->offset = range.next;
        } else if (rc == COMMITLOG_OK && commit->to_time) {
            rc = clg_lookup_time(core->fold, entry->queue_number, commit->time_ns, COMMITLOG_LOWER,
                                 visible, &entry->offset);
        }
        if (rc == COMMITLOG_OK && entry->offset < first && commit->to_one) {
            return clg_fail(err, COMMITLOG_ETOOSMALL, 0, CLG_NO_POSITION,
                            "offset %llu has just gone, the queue begins at %llu now",
                            (unsigned long long)entry->offset, (unsigned long long)first);
        }
        entry->offset = clg_max_u64(entry->offset, first);
    }
    return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "reset a group");
}

static int offsets_append_locked(struct offsets_commit *commit, struct commitlog_error *err)
{
    struct commitlog_store *store = commit->handle->store;
    struct clg_group_entry *left = commit->entries + commit->count;
    struct clg_group_change change;
    memcpy(left, commit->entries, commit->count * sizeof(*left));
    commit->left = commit->count;
    int rc = commit->reset ? offsets_place_again(commit, left, err) : COMMITLOG_OK;
    if (rc == COMMITLOG_OK) {
        rc = clg_group_offsets_judge(commit->handle, commit->epoch, commit->reset, false, left,
                                     &commit->left, &change, &commit->committed_position, err);
    }
    return rc != COMMITLOG_OK || commit->left == 0
               ? rc
               : clg_groups_append(store, &change, left, false, clg_store_until(store, 0),
                                   &commit->receipt, err);
}

/* COMMITLOG_ETIMEDOUT: there is no room now. What is judged is judged anew by the next attempt. */
static int offsets_commit_now(void *ctx, struct commitlog_error *err)
{
    struct offsets_commit *commit = ctx;
    struct commitlog_store *store = commit->handle->store;
    int rc =
        clg_topics_define_left(store, err); /* what names a queue does not overtake its topic */
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (commit->reset) {
        clg_mutex_lock(store->os, &store->expiry_lock);
    }
    clg_mutex_lock(store->os, &store->group_lock);
    rc = offsets_append_locked(commit, err);
    clg_mutex_unlock(store->os, &store->group_lock);
    if (commit->reset) {
        clg_mutex_unlock(store->os, &store->expiry_lock);
    }
    return rc;
}

/* Room is waited for until the one deadline, the level until the other. */
static int offsets_commit(struct offsets_commit *commit, uint32_t level,
                          struct clg_until room_until, struct clg_until until,
                          struct commitlog_error *err)
{
    struct commitlog_store *store = commit->handle->store;
    int rc = offsets_check(store, commit->entries, commit->count, err);
    if (rc == COMMITLOG_OK) {
        rc = clg_store_attempt(store, offsets_commit_now, commit, room_until, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    level = clg_append_level(store, level);
    if (commit->left == 0) {
        /* The record that says so may not have the level yet. */
        commit->receipt.position = commit->committed_position;
        commit->receipt.end_position = commit->committed_position + 1;
    }
    return clg_append_finish(store, level, 1, until, 0, &commit->receipt, err);
}

/* Room for so many entries: `small`, or allocated. */
static struct clg_group_entry *offsets_room(struct commitlog_store *store, uint32_t count,
                                            struct clg_group_entry *small)
{
    return count <= OFFSETS_SMALL ? small : clg_os_alloc_array(store->os, count, sizeof(*small));
}

static int offsets_number_at(const struct clg_core *core, uint32_t topic, uint32_t queue,
                             uint32_t *out_number, struct commitlog_error *err)
{
    int rc = clg_store_queue(core, topic, queue, out_number);
    return rc == COMMITLOG_OK ? rc
                              : clg_fail(err, rc, 0, CLG_NO_POSITION,
                                         "no topic %u with a queue %u is open", topic, queue);
}

/* A writer's: its core stays. */
static int offsets_number(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                          uint32_t *out_number, struct commitlog_error *err)
{
    CLG_ASSERT(!store->read_only);
    struct clg_core *core = clg_store_core(store);
    int rc = offsets_number_at(core, topic, queue, out_number, err);
    clg_core_unref(core);
    return rc;
}

static int offsets_take(struct commitlog_store *store, const struct commitlog_group_offset *offsets,
                        uint32_t count, struct clg_group_entry *entries,
                        struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        entries[i].offset = offsets[i].offset;
        rc = offsets_number(store, offsets[i].topic, offsets[i].queue, &entries[i].queue_number,
                            err);
    }
    return rc;
}

int clg_group_offsets_collect(struct commitlog_store *store,
                              const struct commitlog_group_offset *offsets, uint32_t count,
                              struct clg_group_entry *entries, struct commitlog_error *err)
{
    int rc = offsets_take(store, offsets, count, entries, err);
    return rc == COMMITLOG_OK ? offsets_check(store, entries, count, err) : rc;
}

int32_t commitlog_group_commit(struct commitlog_group *group, uint32_t epoch,
                               const struct commitlog_group_offset *offsets, uint32_t count,
                               uint32_t level, int32_t timeout_ms,
                               struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    if (group == NULL || offsets == NULL || count == 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "commit offsets: none given");
    }
    struct commitlog_store *store = group->store;
    int rc = clg_groups_enter_write(store, level, "commit offsets", err);
    if (rc == COMMITLOG_OK && count > CLG_GROUP_ENTRIES_MAX) {
        rc =
            clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                     "offsets of %u queues at once, %u are the most", count, CLG_GROUP_ENTRIES_MAX);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_group_entry small[OFFSETS_SMALL];
    struct clg_group_entry *entries = offsets_room(store, 2 * count, small);
    if (entries == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "commit offsets");
    }
    rc = offsets_take(store, offsets, count, entries, err);
    struct offsets_commit commit = {
        .handle = group, .epoch = epoch, .entries = entries, .count = count};
    if (rc == COMMITLOG_OK) {
        const struct clg_until until = clg_store_until(store, timeout_ms);
        rc = offsets_commit(&commit, level, until, until, err);
    }
    if (entries != small) {
        store->os->free(store->os, entries);
    }
    if (out_receipt != NULL && (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN)) {
        *out_receipt = commit.receipt;
    }
    return rc;
}

/* ---- fetch ---- */

struct offsets_fetch {
    struct commitlog_group *handle;
    const struct clg_group_entry *numbers;
    struct commitlog_group_offset *offsets;
    uint32_t count;
};

static int offsets_fill(void *ctx, const struct clg_group_table *table)
{
    struct offsets_fetch *fetch = ctx;
    const struct clg_group *group = clg_groups_find(fetch->handle, table);
    if (group == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    for (uint32_t i = 0; i < fetch->count; i++) {
        const struct clg_group_offset *known =
            clg_group_find_offset(group, fetch->numbers[i].queue_number);
        fetch->offsets[i].offset = known != NULL ? known->offset : UINT64_MAX;
    }
    return COMMITLOG_OK;
}

/* The numbers are of the core that is asked: at the next one another topic may have them. */
static int offsets_fetch(struct commitlog_store *store, struct clg_group_entry *numbers,
                         struct offsets_fetch *fetch, struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = store->read_only ? clg_store_fold_now(store, &core, &visible, err) : COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < fetch->count; i++) {
        const struct commitlog_group_offset *asked = &fetch->offsets[i];
        rc = offsets_number_at(core, asked->topic, asked->queue, &numbers[i].queue_number, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_look_at(store, core, offsets_fill, fetch);
        rc = rc == COMMITLOG_ENOTFOUND ? clg_groups_not_found(fetch->handle, err) : rc;
    }
    clg_core_unref(core);
    return rc;
}

int32_t commitlog_group_fetch(struct commitlog_group *group, struct commitlog_group_offset *offsets,
                              uint32_t count, struct commitlog_error *err)
{
    int rc = group == NULL || offsets == NULL || count == 0 ? COMMITLOG_EINVAL
                                                            : clg_store_enter(group->store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "fetch offsets");
    }
    struct commitlog_store *store = group->store;
    struct clg_group_entry small[OFFSETS_SMALL];
    struct clg_group_entry *numbers = offsets_room(store, count, small);
    if (numbers == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "fetch offsets");
    }
    struct offsets_fetch fetch = {
        .handle = group, .numbers = numbers, .offsets = offsets, .count = count};
    rc = offsets_fetch(store, numbers, &fetch, err);
    if (numbers != small) {
        store->os->free(store->os, numbers);
    }
    return rc;
}

/* ---- reset ---- */

/* Only an offset that is asked for may lie outside: where a time is may have become part of the
 * queue just now, or have gone, which is seen to when it is set. */
static int offsets_place(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                         uint32_t from, uint64_t value, struct clg_group_entry *out,
                         struct commitlog_error *err)
{
    struct clg_lookup_range range = {0};
    int rc = offsets_number(store, topic, queue, &out->queue_number, err);
    if (rc == COMMITLOG_OK && from == COMMITLOG_FROM_TIME) {
        rc = commitlog_offset_by_time(store, topic, queue, (int64_t)value, COMMITLOG_LOWER,
                                      &out->offset);
        return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "reset a group");
    }
    if (rc == COMMITLOG_OK) {
        rc = offsets_range(store, out->queue_number, true, &range, err);
    }
    out->offset = from == COMMITLOG_FROM_FIRST    ? range.min
                  : from == COMMITLOG_FROM_OFFSET ? value
                                                  : range.next;
    if (rc == COMMITLOG_OK && (out->offset < range.min || out->offset > range.next)) {
        rc = clg_fail(err, out->offset < range.min ? COMMITLOG_ETOOSMALL : COMMITLOG_EBEYOND, 0,
                      CLG_NO_POSITION, "queue %u has the offsets %llu to %llu, not %llu", queue,
                      (unsigned long long)range.min, (unsigned long long)range.next,
                      (unsigned long long)out->offset);
    }
    return rc;
}

/* Of one queue or all of the topic: [*first, *first + *count). */
static int offsets_queues(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                          uint32_t *first, uint32_t *count, struct commitlog_error *err)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    int rc = commitlog_topic_info(store, topic, &info);
    if (rc != COMMITLOG_OK || (queue != COMMITLOG_QUEUE_ALL && queue >= info.queues_total)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "no topic %u with a queue %u is open", topic, queue);
    }
    *first = queue == COMMITLOG_QUEUE_ALL ? 0 : queue;
    *count = queue == COMMITLOG_QUEUE_ALL ? info.queues_total : 1;
    return COMMITLOG_OK;
}

int32_t commitlog_group_reset(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                              uint32_t from, uint64_t value, uint32_t level,
                              struct commitlog_error *err)
{
    if (group == NULL || from > COMMITLOG_FROM_END || value > (uint64_t)INT64_MAX ||
        (queue == COMMITLOG_QUEUE_ALL && from == COMMITLOG_FROM_OFFSET)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "reset a group: place %u", from);
    }
    struct commitlog_store *store = group->store;
    int rc = clg_groups_enter_write(store, level, "reset a group", err);
    uint32_t first = 0;
    uint32_t left = 0;
    if (rc == COMMITLOG_OK) {
        rc = offsets_queues(store, topic, queue, &first, &left, err);
    }
    const struct clg_until until = clg_store_until(store, COMMITLOG_FOREVER);
    /* Many queues take several records: each is written whole. */
    while (rc == COMMITLOG_OK && left > 0) {
        uint32_t count = left < CLG_GROUP_ENTRIES_MAX ? left : CLG_GROUP_ENTRIES_MAX;
        struct clg_group_entry small[OFFSETS_SMALL];
        struct clg_group_entry *entries = offsets_room(store, 2 * count, small);
        if (entries == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "reset a group");
        }
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            rc = offsets_place(store, topic, first + i, from, value, &entries[i], err);
        }
        struct offsets_commit commit = {.handle = group,
                                        .reset = true,
                                        .to_one = from == COMMITLOG_FROM_OFFSET,
                                        .to_end = from == COMMITLOG_FROM_END,
                                        .to_time = from == COMMITLOG_FROM_TIME,
                                        .time_ns = (int64_t)value,
                                        .entries = entries,
                                        .count = count};
        if (rc == COMMITLOG_OK) {
            struct clg_until room = clg_store_until(store, CLG_GROUPS_ROOM_MS);
            room.interrupts = until.interrupts;
            rc = offsets_commit(&commit, level, room, until, err);
        }
        if (entries != small) {
            store->os->free(store->os, entries);
        }
        first += count;
        left -= count;
    }
    return rc;
}

/* ---- lag ---- */

static int lag_add(struct clg_core *core, uint32_t number, uint64_t offset, uint64_t visible,
                   struct commitlog_group_lag *lag)
{
    struct clg_lookup_range range = {0};
    int rc = clg_lookup_range(core->fold, number, visible, &range);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    uint64_t from = offset == UINT64_MAX ? range.min : clg_max_u64(offset, range.min);
    lag->queues++;
    lag->dropped += offset != UINT64_MAX && offset < range.min ? range.min - offset : 0;
    if (from >= range.next) {
        return COMMITLOG_OK;
    }
    lag->messages += range.next - from;
    struct clg_lookup_entry entry;
    uint32_t count = 0;
    uint64_t bound = 0;
    rc = clg_lookup_entries(core->fold, number, from, visible, &entry, 1, &count, &bound);
    if (rc == COMMITLOG_OK &&
        (lag->oldest_time_ns == 0 || entry.store_time < lag->oldest_time_ns)) {
        lag->oldest_time_ns = entry.store_time;
    }
    return rc == COMMITLOG_ETOOSMALL || rc == COMMITLOG_EEND ? COMMITLOG_OK : rc;
}

/* At the core of now, of which the number of the queue is. */
static int lag_ask_once(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                        struct clg_follow_reads *reads, struct commitlog_group_lag *lag,
                        bool *out_again, struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(group->store);
    struct commitlog_group_offset offset = {.topic = topic, .queue = queue};
    struct clg_group_entry number = {0};
    struct offsets_fetch fetch = {
        .handle = group, .numbers = &number, .offsets = &offset, .count = 1};
    uint64_t visible = 0;
    int rc = clg_store_fold_now(group->store, &core, &visible, err);
    *out_again = false;
    if (rc == COMMITLOG_OK) {
        rc = clg_store_queue(core, topic, queue, &number.queue_number);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_look_at(group->store, core, offsets_fill, &fetch);
    }
    if (rc == COMMITLOG_OK) {
        rc = lag_add(core, number.queue_number, offset.offset, visible, lag);
        *out_again = clg_follow_again(group->store, core->generation, reads, &rc);
    }
    clg_core_unref(core);
    return rc;
}

/* Of one queue; once more where the core is one whose files another writer has taken. */
static int lag_of_queue(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                        struct commitlog_group_lag *lag, struct commitlog_error *err)
{
    struct clg_follow_reads reads = {0};
    struct commitlog_group_lag sum;
    bool again;
    int rc;
    do {
        sum = *lag;
        rc = lag_ask_once(group, topic, queue, &reads, &sum, &again, err);
    } while (again);
    if (rc != COMMITLOG_OK) {
        return rc == COMMITLOG_ENOTFOUND ? clg_groups_not_found(group, err)
                                         : clg_fail(err, rc, 0, CLG_NO_POSITION, "lag of a group");
    }
    *lag = sum;
    return COMMITLOG_OK;
}

int32_t commitlog_group_lag(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                            struct commitlog_group_lag *out, struct commitlog_error *err)
{
    int rc = group == NULL || out == NULL ? COMMITLOG_EINVAL : clg_store_enter(group->store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "lag of a group");
    }
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    uint32_t first = 0;
    uint32_t count = 0;
    rc = offsets_queues(group->store, topic, queue, &first, &count, err);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "lag of a group");
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        rc = lag_of_queue(group, topic, first + i, &lag, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &lag, sizeof(lag));
    }
    return rc;
}
