/* groups.c -- handles of consumer groups, their settings and epochs. See groups.h. */
#include "store/groups.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/topic_record.h"
#include "store/transactions.h"

static int groups_take(void *ctx, const struct clg_group_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_group_table_copy(&store->groups, table);
}

int clg_groups_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_group_table_init(&store->groups, store->os);
    int rc = clg_fold_groups(store->core->fold, groups_take, store);
    return rc == COMMITLOG_OK
               ? rc
               : clg_fail(err, rc, 0, CLG_NO_POSITION, "consumer groups: out of memory");
}

void clg_groups_deinit(struct commitlog_store *store)
{
    if (store->groups.os != NULL) {
        clg_group_table_deinit(&store->groups);
    }
}

int clg_groups_look_at(struct commitlog_store *store, const struct clg_core *core,
                       clg_fold_groups_fn look, void *ctx)
{
    if (store->read_only) {
        return clg_fold_groups(core->fold, look, ctx);
    }
    clg_mutex_lock(store->os, &store->group_lock);
    int rc = look(ctx, &store->groups);
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

int clg_groups_look(struct commitlog_store *store, clg_fold_groups_fn look, void *ctx,
                    struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = store->read_only ? clg_store_fold_now(store, &core, &visible, err) : COMMITLOG_OK;
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_look_at(store, core, look, ctx);
    }
    clg_core_unref(core);
    return rc;
}

int clg_groups_enter_write(struct commitlog_store *store, uint32_t level, const char *what,
                           struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK && store->read_only) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "%s: the store is open read-only", what);
    }
    if (rc == COMMITLOG_OK && level > COMMITLOG_LEVEL_DURABLE) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "%s: level %u", what, level);
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "%s", what);
    }
    /* What is written may name queues of topics by number: no other topic is to have them. */
    (void)clg_topics_define_left(store, NULL);
    /* Of one that failed queues end where they are durable: it is not for the caller to wonder. */
    return clg_log_failure(store->core->log, err);
}

struct clg_group *clg_groups_find(const struct commitlog_group *handle,
                                  const struct clg_group_table *table)
{
    struct clg_group *group =
        clg_group_table_find(table, handle->name, handle->name_bytes, handle->hash);
    bool other = group != NULL && handle->birth != 0 && handle->birth != group->birth;
    return other ? NULL : group;
}

int clg_groups_not_found(const struct commitlog_group *handle, struct commitlog_error *err)
{
    return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION, "no group is named %s",
                    handle->name);
}

int clg_groups_make_item(struct commitlog_store *store, const struct clg_group_change *change,
                         const struct clg_group_entry *entries, struct clg_group_item *out,
                         struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    size_t bytes = (size_t)clg_group_change_bytes(change->name_bytes, change->count);
    out->body = bytes <= sizeof(out->small) ? out->small : os->alloc(os, bytes);
    CLG_ASSERT(clg_mutex_is_held(&store->group_lock));
    if (out->body == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a change of a group");
    }
    int rc = clg_group_change_encode(out->body, bytes, change, entries);
    if (rc == COMMITLOG_OK) { /* its pointers lead into the body */
        rc = clg_group_change_decode(out->body, bytes, &out->change);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_group_table_prepare(&store->groups, &out->change);
    }
    if (rc != COMMITLOG_OK) {
        clg_groups_free_item(store, out);
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "a change of a group");
    }
    out->slice = (struct commitlog_slice){out->body, bytes};
    out->item = (struct clg_append){.kind = CLG_KIND_GROUP,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .body = &out->slice,
                                    .body_count = 1,
                                    .body_bytes = bytes};
    return COMMITLOG_OK;
}

/* May the group need, after the change, messages that it had no need of? Consumers only go on. */
static bool groups_may_need_more(const struct clg_group_table *table,
                                 const struct clg_group_change *change)
{
    const struct clg_group *group =
        clg_group_table_find(table, change->name, change->name_bytes,
                             clg_group_name_hash(change->name, change->name_bytes));
    bool more = group == NULL || change->operation != CLG_GROUP_OFFSETS;
    for (uint32_t i = 0; !more && i < change->count; i++) {
        const struct clg_group_entry entry = clg_group_change_entry(change, i);
        more = clg_group_find_offset(group, entry.queue_number) == NULL; /* it begins there */
    }
    return more;
}

void clg_groups_apply_item(struct commitlog_store *store, const struct clg_group_item *item,
                           uint64_t position)
{
    CLG_ASSERT(clg_mutex_is_held(&store->group_lock));
    if (groups_may_need_more(&store->groups, &item->change)) {
        store->keep_changes++;
        clg_store_relaxed_u64(&store->unconsumed_from, 0);
    }
    clg_group_table_apply(&store->groups, &item->change, position);
    clg_work_table_apply_group(&store->work, &item->change);
    clg_log_nudge(store->core->log);
}

void clg_groups_free_item(struct commitlog_store *store, struct clg_group_item *item)
{
    if (item->body != item->small) {
        store->os->free(store->os, item->body);
    }
    item->body = NULL;
}

int clg_groups_append(struct commitlog_store *store, const struct clg_group_change *change,
                      const struct clg_group_entry *entries, bool carry, struct clg_until until,
                      struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct clg_group_item item;
    int rc = clg_groups_make_item(store, change, entries, &item, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    item.item.takes_reserve = carry;
    item.item.frees = true;
    rc = clg_store_append(store, &item.item, 1, until, receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_groups_apply_item(store, &item, receipt->position);
    }
    clg_groups_free_item(store, &item);
    return rc;
}

/* A record of settings, as `edit` says under the lock. */
struct groups_edit {
    struct commitlog_group *handle;
    uint32_t operation;
    bool must_exist;
    bool must_not_exist; /* one that exists is left as it is */
    bool sets_flags;
    uint32_t flags;
    bool next_epoch;
    uint32_t epoch; /* out */
    struct commitlog_receipt receipt;
};

/* A delete is one with what it takes from the open transactions: none is prepared, nor stored again
 * by retention, between the two. */
static int groups_append_edit(struct commitlog_store *store, const struct clg_group_change *change,
                              struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const struct clg_until until = clg_store_until(store, 0);
    if (change->operation != CLG_GROUP_DELETE) {
        return clg_groups_append(store, change, NULL, false, until, receipt, err);
    }
    clg_mutex_lock(store->os, &store->transaction_lock);
    int rc = clg_groups_append(store, change, NULL, false, until, receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_transaction_void_offsets(&store->transactions, change);
    }
    clg_mutex_unlock(store->os, &store->transaction_lock);
    return rc;
}

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int groups_edit_now(void *ctx, struct commitlog_error *err)
{
    struct groups_edit *edit = ctx;
    struct commitlog_group *handle = edit->handle;
    struct commitlog_store *store = handle->store;
    clg_mutex_lock(store->os, &store->group_lock);
    const struct clg_group *group = clg_groups_find(handle, &store->groups);
    int rc = COMMITLOG_OK;
    bool append = true;
    if (group == NULL && edit->must_exist) {
        rc = clg_groups_not_found(handle, err);
    } else if (group != NULL && edit->next_epoch && group->epoch == UINT32_MAX) {
        rc = clg_fail(err, COMMITLOG_ELIMIT, 0, CLG_NO_POSITION, "group %s has no more epochs",
                      handle->name);
    } else if (group != NULL && edit->must_not_exist) {
        append = false;
    }
    if (rc == COMMITLOG_OK && append) {
        struct clg_group_change change = {.name = (const uint8_t *)handle->name,
                                          .name_bytes = handle->name_bytes,
                                          .operation = edit->operation,
                                          .epoch = (group != NULL ? group->epoch : 0) +
                                                   (edit->next_epoch ? 1 : 0),
                                          .flags = edit->operation == CLG_GROUP_DELETE ? 0
                                                   : edit->sets_flags                  ? edit->flags
                                                                      : group->flags};
        edit->epoch = change.epoch;
        rc = groups_append_edit(store, &change, &edit->receipt, err);
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

static int groups_edit(struct groups_edit *edit, uint32_t level, struct commitlog_error *err)
{
    struct commitlog_store *store = edit->handle->store;
    struct clg_until until = clg_store_until(store, CLG_GROUPS_ROOM_MS);
    int rc = clg_store_attempt(store, groups_edit_now, edit, until, err);
    return rc == COMMITLOG_OK && edit->receipt.end_position > 0
               ? clg_append_finish(store, clg_append_level(store, level), 1, until, 0,
                                   &edit->receipt, err)
               : rc;
}

static int groups_check_exists(void *ctx, const struct clg_group_table *table)
{
    return clg_groups_find(ctx, table) != NULL ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

int32_t commitlog_group_open(struct commitlog_store *store, const char *name, size_t name_bytes,
                             uint32_t flags, struct commitlog_group **out_group,
                             struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "open group");
    }
    const uint32_t known = COMMITLOG_GROUP_KEEP | COMMITLOG_GROUP_CREATE;
    if (name == NULL || out_group == NULL || (flags & ~known) != 0 ||
        clg_topic_name_check((const uint8_t *)name, name_bytes) != COMMITLOG_OK) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a group's name is 1 to 255 bytes of UTF-8 without NUL");
    }
    const struct commitlog_os *os = store->os;
    struct commitlog_group *handle = os->alloc(os, sizeof(*handle));
    if (handle == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "open group");
    }
    memcpy(handle->name, name, name_bytes);
    handle->name_bytes = (uint32_t)name_bytes;
    handle->hash = clg_group_name_hash(name, name_bytes);
    handle->birth = 0;
    handle->store = store;
    rc = clg_groups_look(store, groups_check_exists, handle, err);
    if (rc == COMMITLOG_ENOTFOUND && (flags & COMMITLOG_GROUP_CREATE) != 0) {
        struct groups_edit edit = {.handle = handle,
                                   .operation = CLG_GROUP_SETTINGS,
                                   .must_not_exist = true,
                                   .sets_flags = true,
                                   .flags = flags & COMMITLOG_GROUP_KEEP};
        rc = clg_groups_enter_write(store, COMMITLOG_LEVEL_NONE, "create group", err);
        if (rc == COMMITLOG_OK) {
            rc = groups_edit(&edit, COMMITLOG_LEVEL_NONE, err);
        }
    } else if (rc == COMMITLOG_ENOTFOUND) {
        rc = clg_groups_not_found(handle, err);
    }
    if (rc != COMMITLOG_OK) {
        os->free(os, handle);
        return rc;
    }
    clg_store_ref(store);
    *out_group = handle;
    return COMMITLOG_OK;
}

void commitlog_group_close(struct commitlog_group *group)
{
    if (group == NULL || clg_store_enter(group->store) == COMMITLOG_EFORK) {
        return; /* the parent's memory */
    }
    struct commitlog_store *store = group->store;
    store->os->free(store->os, group);
    clg_store_unref(store);
}

/* NULL handle: the one at `index`. */
struct groups_ask {
    const struct commitlog_group *handle;
    uint32_t index;
    struct commitlog_group_info info;
};

static int groups_fill_info(void *ctx, const struct clg_group_table *table)
{
    struct groups_ask *ask = ctx;
    const struct clg_group *group = ask->handle != NULL ? clg_groups_find(ask->handle, table)
                                    : ask->index < table->count ? table->groups[ask->index]
                                                                : NULL;
    if (group == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    ask->info = (struct commitlog_group_info){.struct_bytes = sizeof(ask->info),
                                              .epoch = group->epoch,
                                              .flags = group->flags & CLG_GROUP_KEEP,
                                              .queues = group->offset_count,
                                              .name_bytes = group->name_bytes};
    memcpy(ask->info.name, group->name, group->name_bytes);
    return COMMITLOG_OK;
}

int32_t commitlog_group_info(struct commitlog_group *group, struct commitlog_group_info *out)
{
    int rc = group == NULL ? COMMITLOG_EINVAL : clg_store_enter(group->store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct groups_ask ask = {.handle = group};
    rc = clg_groups_look(group->store, groups_fill_info, &ask, NULL);
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &ask.info, sizeof(ask.info));
    }
    return rc;
}

int32_t commitlog_group_at(struct commitlog_store *store, uint32_t index,
                           struct commitlog_group_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct groups_ask ask = {.index = index};
    rc = clg_groups_look(store, groups_fill_info, &ask, NULL);
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &ask.info, sizeof(ask.info));
    }
    return rc;
}

int32_t commitlog_group_configure(struct commitlog_group *group, uint32_t flags, uint32_t level,
                                  struct commitlog_error *err)
{
    if (group == NULL || (flags & ~(uint32_t)COMMITLOG_GROUP_KEEP) != 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "configure group: flags %u",
                        flags);
    }
    int rc = clg_groups_enter_write(group->store, level, "configure group", err);
    struct groups_edit edit = {.handle = group,
                               .operation = CLG_GROUP_SETTINGS,
                               .must_exist = true,
                               .sets_flags = true,
                               .flags = flags};
    return rc == COMMITLOG_OK ? groups_edit(&edit, level, err) : rc;
}

int32_t commitlog_group_next_epoch(struct commitlog_group *group, uint32_t level,
                                   uint32_t *out_epoch, struct commitlog_error *err)
{
    if (group == NULL || out_epoch == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "next epoch of a group");
    }
    int rc = clg_groups_enter_write(group->store, level, "next epoch of a group", err);
    struct groups_edit edit = {
        .handle = group, .operation = CLG_GROUP_SETTINGS, .must_exist = true, .next_epoch = true};
    if (rc == COMMITLOG_OK) {
        rc = groups_edit(&edit, level, err);
    }
    if (rc == COMMITLOG_OK) {
        *out_epoch = edit.epoch;
    }
    return rc;
}

int32_t commitlog_group_delete(struct commitlog_group *group, uint32_t level,
                               struct commitlog_error *err)
{
    if (group == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "delete group");
    }
    int rc = clg_groups_enter_write(group->store, level, "delete group", err);
    struct groups_edit edit = {.handle = group, .operation = CLG_GROUP_DELETE, .must_exist = true};
    return rc == COMMITLOG_OK ? groups_edit(&edit, level, err) : rc;
}
