/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_end.c -- commit and rollback. See transactions.h.
 *
 * A commit is one batch: for each message what delivers it in its queue, in the order in which they
 * were appended, then what groups have consumed. That the transaction has ended says each of the
 * references; one without messages says it by a mark.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/reference_record.h"
#include "format/topic_record.h"
#include "log/reader.h"
#include "store/reference.h"
#include "store/retain.h"
#include "store/transactions.h"

/* Messages that are only staged are copied to be read: mostly they are new, few and small. The
 * reader's own memory takes longer to get than the rest of a commit. */
#define COMMIT_LENT_BYTES 4096u

/* ---- commit ---- */

struct transaction_commit {
    struct commitlog_transaction *transaction;
    struct commitlog_store *store;
    struct clg_append *items;
    struct commitlog_slice *bodies;
    struct commitlog_receipt *receipts;
    uint8_t **memory;               /* of each item, or NULL */
    struct clg_group_item *changes; /* of consumer groups */
    uint32_t room;
    uint32_t count;
    uint32_t change_count;
    uint64_t bytes; /* of the batch */
    uint64_t copies;
    bool may_copy;
    bool has_offsets;
    bool is_next; /* one of its messages lies in the segment that goes next */
    uint8_t mark[CLG_TRANSACTION_MARK_BYTES];
    struct commitlog_receipt receipt;
};

static void commit_free(struct transaction_commit *commit)
{
    const struct commitlog_os *os = commit->store->os;
    for (uint32_t i = 0; commit->memory != NULL && i < commit->room; i++) {
        os->free(os, commit->memory[i]);
    }
    for (uint32_t i = 0; i < commit->change_count; i++) {
        clg_groups_free_item(commit->store, &commit->changes[i]);
    }
    os->free(os, commit->items);
    os->free(os, commit->bodies);
    os->free(os, commit->receipts);
    os->free(os, commit->memory);
    os->free(os, commit->changes);
    commit->items = NULL;
    commit->bodies = NULL;
    commit->receipts = NULL;
    commit->memory = NULL;
    commit->changes = NULL;
    commit->change_count = 0;
    commit->count = 0;
    commit->copies = 0;
}

static int commit_alloc(struct transaction_commit *commit, uint32_t messages, uint32_t changes,
                        struct commitlog_error *err)
{
    const struct commitlog_os *os = commit->store->os;
    size_t room = (size_t)messages + changes + 1;
    commit->room = (uint32_t)room;
    commit->bytes = clg_record_bytes(0, CLG_BATCH_BODY_BYTES);
    commit->items = clg_os_alloc_array(os, room, sizeof(*commit->items));
    commit->bodies = clg_os_alloc_array(os, room, sizeof(*commit->bodies));
    commit->receipts = clg_os_alloc_array(os, room, sizeof(*commit->receipts));
    commit->memory = clg_os_alloc_array(os, room, sizeof(*commit->memory));
    commit->changes = clg_os_alloc_array(os, (size_t)changes + 1, sizeof(*commit->changes));
    bool good = commit->items != NULL && commit->bodies != NULL && commit->receipts != NULL &&
                commit->memory != NULL && commit->changes != NULL;
    return good ? COMMITLOG_OK
                : clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "commit a transaction");
}

static uint64_t commit_item_bytes(const struct clg_append *item)
{
    return clg_record_bytes(item->attribute_bytes, item->body_bytes);
}

/* A reference, moved to memory of its size. */
static int commit_add_reference(struct transaction_commit *commit, uint64_t id,
                                const struct clg_transaction_message *message,
                                const struct clg_record_view *view, struct commitlog_error *err)
{
    const struct commitlog_os *os = commit->store->os;
    const struct clg_reference how = {
        .reason = CLG_REFERENCE_TRANSACTION, .origin = id, .origin_queue = CLG_QUEUE_NONE};
    struct clg_reference_item reference;
    clg_reference_item(commit->store, message->queue_number, view, &how, &reference);
    const size_t attribute_bytes = reference.item.attribute_bytes;
    const size_t body_bytes = reference.body.bytes;
    uint8_t *memory = os->alloc(os, body_bytes + attribute_bytes);
    if (memory == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "commit a transaction");
    }
    uint32_t at = commit->count++;
    memcpy(memory, reference.body_bytes, body_bytes);
    memcpy(memory + body_bytes, reference.attributes, attribute_bytes);
    commit->memory[at] = memory;
    commit->bodies[at] = (struct commitlog_slice){memory, body_bytes};
    commit->items[at] = reference.item;
    commit->items[at].attributes = memory + body_bytes;
    commit->items[at].body = &commit->bodies[at];
    commit->bytes += commit_item_bytes(&commit->items[at]);
    return COMMITLOG_OK;
}

/* A copy of what retention will soon take. COMMITLOG_ETOOBIG: it does not fit beside the others. */
static int commit_add_copy(struct transaction_commit *commit, uint64_t id,
                           const struct clg_transaction_message *message,
                           const struct clg_record_view *view, struct commitlog_error *err)
{
    const uint64_t most = clg_log_record_max(commit->store->core->log);
    uint32_t at = commit->count;
    uint64_t bytes = clg_record_bytes(view->header.attribute_bytes, view->body_bytes);
    if (bytes == 0 || commit->bytes + bytes > most) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, message->position, "copies in one batch");
    }
    int rc =
        clg_transactions_copy(commit->store, id, message, view, CLG_KIND_MESSAGE, true,
                              &commit->bodies[at], &commit->items[at], &commit->memory[at], err);
    if (rc == COMMITLOG_OK) {
        commit->count++;
        commit->copies++;
        commit->bytes += commit_item_bytes(&commit->items[at]);
    }
    return rc;
}

static int commit_add_messages(struct transaction_commit *commit,
                               const struct clg_transaction *open, struct commitlog_error *err)
{
    struct commitlog_store *store = commit->store;
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    _Alignas(64) uint8_t lent[COMMIT_LENT_BYTES];
    clg_reader_init(&reader, store->os, clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    true);
    clg_reader_lend(&reader, lent, sizeof(lent));
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < open->message_count; i++) {
        const struct clg_transaction_message *message = &open->messages[i];
        struct clg_record_view view;
        rc = clg_transactions_read(store, &reader, open->id, message, &view, err);
        if (rc == COMMITLOG_OK &&
            clg_registry_owner(&store->core->registry, message->queue_number, NULL) == NULL) {
            rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, message->position,
                          "a message for queue number %u, which no topic has",
                          message->queue_number);
        }
        if (rc == COMMITLOG_ETOOSMALL) { /* carry-forward keeps them: it is nowhere */
            rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, message->position,
                          "a message of transaction %llu is gone", (unsigned long long)open->id);
        }
        if (rc == COMMITLOG_EDAMAGED) {
            clg_store_damage(store, store->core, message->position, 0, CLG_QUEUE_NONE,
                             "a message of a transaction does not read");
        }
        if (rc != COMMITLOG_OK) {
            break;
        }
        rc = commit->may_copy && clg_reference_is_short_lived(store, &view)
                 ? commit_add_copy(commit, open->id, message, &view, err)
                 : commit_add_reference(commit, open->id, message, &view, err);
    }
    clg_reader_end(&reader);
    return rc;
}

/* What one consumer group has consumed. That of a handle is judged now; that of a prepared one was,
 * so what the group has consumed meanwhile, or all if it was deleted, falls out. */
static int commit_judge(const struct commitlog_group *group, bool prepared, uint32_t epoch,
                        struct clg_group_entry *entries, uint32_t *count,
                        struct clg_group_change *out, struct commitlog_error *err)
{
    const struct clg_group *known = clg_groups_find(group, &group->store->groups);
    uint32_t kept = 0;
    for (uint32_t i = 0; prepared && known != NULL && i < *count; i++) {
        const struct clg_group_offset *has = clg_group_find_offset(known, entries[i].queue_number);
        if (has == NULL || entries[i].offset > has->offset) {
            entries[kept++] = entries[i];
        }
    }
    *count = prepared ? kept : *count;
    if (prepared && kept == 0) {
        return COMMITLOG_OK;
    }
    return clg_transaction_judge(group, prepared ? 0 : epoch, prepared, entries, count, out, err);
}

static int commit_add_offsets(struct transaction_commit *commit,
                              const struct commitlog_group *group, bool prepared, uint32_t epoch,
                              const struct clg_group_entry *entries, uint32_t count,
                              struct commitlog_error *err)
{
    struct commitlog_store *store = commit->store;
    struct clg_group_item *item = &commit->changes[commit->change_count];
    struct clg_group_change change;
    struct clg_group_entry *kept = clg_os_alloc_array(store->os, count, sizeof(*kept));
    if (kept == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "commit a transaction");
    }
    memcpy(kept, entries, count * sizeof(*kept));
    int rc = commit_judge(group, prepared, epoch, kept, &count, &change, err);
    if (rc == COMMITLOG_OK && count > 0) {
        rc = clg_groups_make_item(store, &change, kept, item, err);
        if (rc == COMMITLOG_OK) {
            commit->items[commit->count++] = item->item;
            commit->change_count++;
        }
    }
    store->os->free(store->os, kept);
    return rc;
}

/* Those that the log has of a prepared one. */
static int commit_add_marks(struct transaction_commit *commit, const struct clg_transaction *open,
                            struct commitlog_error *err)
{
    struct commitlog_store *store = commit->store;
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < open->offset_count; i++) {
        struct clg_transaction_mark mark;
        struct commitlog_group group = {.store = store};
        rc = clg_transaction_mark_decode(open->offsets[i]->body, open->offsets[i]->bytes, &mark);
        CLG_ASSERT(rc == COMMITLOG_OK);
        const struct clg_group_change *change = &mark.offsets;
        if (clg_group_change_is_void(change)) {
            continue; /* the group was deleted, whichever there is of its name now */
        }
        struct clg_group_entry *entries =
            clg_os_alloc_array(store->os, change->count, sizeof(*entries));
        if (entries == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "commit a transaction");
        }
        for (uint32_t j = 0; j < change->count; j++) {
            entries[j] = clg_group_change_entry(change, j);
        }
        memcpy(group.name, change->name, change->name_bytes);
        group.name_bytes = change->name_bytes;
        group.hash = clg_group_name_hash(change->name, change->name_bytes);
        rc = commit_add_offsets(commit, &group, true, change->epoch, entries, change->count, err);
        store->os->free(store->os, entries);
    }
    return rc;
}

static int commit_add_parts(struct transaction_commit *commit, struct commitlog_error *err)
{
    const struct commitlog_transaction *transaction = commit->transaction;
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < transaction->part_count; i++) {
        const struct clg_transaction_part *part = &transaction->parts[i];
        rc = commit_add_offsets(commit, &part->group, false, part->epoch, part->entries,
                                part->count, err);
    }
    return rc;
}

/* One that is open, but has no messages. */
static void commit_add_mark(struct transaction_commit *commit, const struct clg_transaction *open)
{
    const struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_COMMIT,
                                              .transaction = open->id};
    uint32_t at = commit->count++;
    int rc = clg_transaction_mark_encode(commit->mark, &mark, NULL);
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    commit->bodies[at] = (struct commitlog_slice){commit->mark, sizeof(commit->mark)};
    commit->items[at] = (struct clg_append){.kind = CLG_KIND_TRANSACTION,
                                            .queue_number = CLG_QUEUE_NONE,
                                            .body = &commit->bodies[at],
                                            .body_count = 1,
                                            .body_bytes = sizeof(commit->mark)};
}

/* Damage may have taken a part of one that was prepared: salvage leaves the rest. */
static int commit_check_whole(const struct clg_transaction *open, struct commitlog_error *err)
{
    if (!open->prepared ||
        (open->message_count == open->whole_messages && open->offset_count == open->whole_groups)) {
        return COMMITLOG_OK;
    }
    return clg_fail(err, COMMITLOG_EDAMAGED, 0, open->id,
                    "of transaction %llu %u of %u messages and offsets of %u of %u groups are left",
                    (unsigned long long)open->id, open->message_count, open->whole_messages,
                    open->offset_count, open->whole_groups);
}

static bool commit_is_next(const struct transaction_commit *commit,
                           const struct clg_transaction *open)
{
    const uint64_t end = clg_retain_next_end(commit->store);
    for (uint32_t i = 0; i < open->message_count; i++) {
        if (open->messages[i].position < end) {
            return true;
        }
    }
    return false;
}

/* NULL: nothing of it is in the log. */
static int commit_build(struct transaction_commit *commit, const struct clg_transaction *open,
                        struct commitlog_error *err)
{
    const bool prepared = open != NULL && open->prepared;
    uint32_t changes = prepared ? open->offset_count : commit->transaction->part_count;
    int rc = open != NULL ? commit_check_whole(open, err) : COMMITLOG_OK;
    if (rc == COMMITLOG_OK) {
        rc = commit_alloc(commit, open != NULL ? open->message_count : 0, changes, err);
    }
    if (rc == COMMITLOG_OK && open != NULL) {
        rc = commit_add_messages(commit, open, err);
        commit->is_next = commit_is_next(commit, open);
    }
    if (rc == COMMITLOG_OK) {
        rc = prepared ? commit_add_marks(commit, open, err) : commit_add_parts(commit, err);
    }
    if (rc == COMMITLOG_OK && open != NULL && open->message_count == 0) {
        commit_add_mark(commit, open);
    }
    return rc;
}

static void commit_apply(struct transaction_commit *commit)
{
    struct commitlog_store *store = commit->store;
    for (uint32_t i = 0, at = 0; i < commit->count; i++) {
        if (commit->items[i].kind == CLG_KIND_GROUP) {
            clg_groups_apply_item(store, &commit->changes[at++], commit->receipts[i].position);
        }
    }
    if (commit->transaction->id != 0) {
        clg_transaction_end(&store->transactions, commit->transaction->id);
    }
    clg_count(store, CLG_COUNT_TRANSACTIONS_COMMITTED, 1);
    clg_count(store, CLG_COUNT_TRANSACTION_COPIES, commit->copies);
    bool messages = commit->items[0].takes_offset;
    commit->receipt = commit->receipts[messages ? 0 : commit->count - 1];
    commit->transaction->ended = true;
}

/* Retention may wait for its offsets, as for those that a group commits by itself, and for its
 * messages not to wait any more. */
static int commit_append(struct transaction_commit *commit, uint32_t from, uint32_t count,
                         struct commitlog_error *err)
{
    commit->items[from].frees = commit->has_offsets || commit->transaction->id != 0;
    commit->items[from].takes_waiting = commit->is_next;
    return clg_store_append(commit->store, commit->items + from, count,
                            clg_store_until(commit->store, 0), commit->receipts + from, err);
}

/* COMMITLOG_ETIMEDOUT: there is no room now, or a message cannot be read yet. */
static int commit_try(struct transaction_commit *commit, const struct clg_transaction *open,
                      struct commitlog_error *err)
{
    int rc = commit_build(commit, open, err);
    uint32_t first = CLG_PLANTED(TRANSACTION_HALF) && commit->count > 1 ? 1 : 0; /* in two pieces */
    if (rc != COMMITLOG_OK || commit->count == 0) { /* nothing to be said */
        commit->transaction->ended = commit->transaction->ended || rc == COMMITLOG_OK;
        return rc;
    }
    if (first > 0) {
        rc = commit_append(commit, 0, first, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commit_append(commit, first, commit->count - first, err);
    }
    if (rc == COMMITLOG_OK) {
        commit_apply(commit);
    }
    return rc;
}

static int commit_locked(struct transaction_commit *commit, struct commitlog_error *err)
{
    struct commitlog_transaction *transaction = commit->transaction;
    struct commitlog_store *store = commit->store;
    const struct clg_transaction *open =
        transaction->id == 0 ? NULL : clg_transaction_find(&store->transactions, transaction->id);
    if (transaction->ended || (transaction->id != 0 && open == NULL)) {
        return clg_transactions_not_open(transaction->id, err);
    }
    commit->may_copy = true;
    int rc = commit_try(commit, open, err);
    if (rc != COMMITLOG_ETOOBIG || open == NULL) {
        return rc;
    }
    /* Too much that is old for copies in one batch: if it fits by reference, that is stored again
     * by itself, and referred to there. */
    commit_free(commit);
    commit->may_copy = false;
    rc = commit_build(commit, open, err);
    const uint64_t most = clg_log_record_max(commit->store->core->log);
    if (rc == COMMITLOG_OK && commit->bytes > most) {
        rc = clg_fail(err, COMMITLOG_ETOOBIG, 0, open->id,
                      "transaction %llu takes %llu bytes to commit, a segment takes %llu",
                      (unsigned long long)open->id, (unsigned long long)commit->bytes,
                      (unsigned long long)most);
    }
    commit_free(commit);
    if (rc == COMMITLOG_OK) {
        rc = clg_transactions_renew(commit->store, transaction->id, err);
    }
    return rc == COMMITLOG_OK ? commit_try(commit, open, err) : rc;
}

/* Does it commit offsets? That does not change any more. */
static bool commit_has_offsets(const struct commitlog_transaction *transaction)
{
    struct commitlog_store *store = transaction->store;
    clg_mutex_lock(store->os, &store->transaction_lock);
    const struct clg_transaction *open =
        clg_transaction_find(&store->transactions, transaction->id);
    bool some = transaction->part_count > 0 || (open != NULL && open->offset_count > 0);
    clg_mutex_unlock(store->os, &store->transaction_lock);
    return some;
}

static int commit_now(void *ctx, struct commitlog_error *err)
{
    struct transaction_commit *commit = ctx;
    struct commitlog_store *store = commit->store;
    const bool has_offsets = commit_has_offsets(commit->transaction);
    commit->has_offsets = has_offsets;
    int defined = has_offsets ? clg_topics_define_left(store, err) : COMMITLOG_OK;
    if (defined != COMMITLOG_OK) {
        return defined;
    }
    if (has_offsets) {
        clg_mutex_lock(store->os, &store->group_lock);
    }
    clg_mutex_lock(store->os, &store->transaction_lock);
    int rc = commit_locked(commit, err);
    clg_mutex_unlock(store->os, &store->transaction_lock);
    commit_free(commit);
    if (has_offsets) {
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    return rc;
}

int32_t commitlog_transaction_commit(struct commitlog_transaction *transaction, uint32_t level,
                                     int32_t timeout_ms, struct commitlog_receipt *out_receipt,
                                     struct commitlog_error *err)
{
    int rc = clg_transaction_enter(transaction, level, "commit a transaction", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_store *store = transaction->store;
    struct transaction_commit commit = {.transaction = transaction, .store = store};
    struct clg_until until = clg_store_until(store, timeout_ms);
    rc = clg_store_attempt(store, commit_now, &commit, until, err);
    if (rc != COMMITLOG_OK || commit.receipt.end_position == 0) {
        /* Nothing but offsets that were committed already: their records may not have the level. */
        return rc != COMMITLOG_OK || !commit.has_offsets
                   ? rc
                   : clg_store_reach(store, clg_log_claimed(store->core->log),
                                     clg_append_level(store, level), until, err);
    }
    rc =
        clg_append_finish(store, clg_append_level(store, level), 1, until, 0, &commit.receipt, err);
    if (out_receipt != NULL) {
        *out_receipt = commit.receipt;
    }
    return rc;
}

/* ---- rollback ---- */

struct transaction_rollback {
    struct commitlog_transaction *transaction;
    struct commitlog_receipt receipt;
};

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int rollback_now(void *ctx, struct commitlog_error *err)
{
    struct transaction_rollback *rollback = ctx;
    struct commitlog_transaction *transaction = rollback->transaction;
    struct commitlog_store *store = transaction->store;
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->transaction_lock);
    bool open =
        transaction->id == 0 || clg_transaction_find(&store->transactions, transaction->id) != NULL;
    if (transaction->ended || !open) {
        rc = clg_transactions_not_open(transaction->id, err);
    } else if (transaction->id != 0) {
        /* On a full disk, too: it makes room for retention to go on. */
        rc = clg_transactions_roll_back(store, transaction->id, CLG_TRANSACTION_ASKED, true,
                                        clg_store_until(store, 0), &rollback->receipt, err);
    }
    transaction->ended = transaction->ended || rc == COMMITLOG_OK;
    clg_mutex_unlock(store->os, &store->transaction_lock);
    return rc;
}

int32_t commitlog_transaction_rollback(struct commitlog_transaction *transaction, uint32_t level,
                                       int32_t timeout_ms, struct commitlog_error *err)
{
    int rc = clg_transaction_enter(transaction, level, "roll a transaction back", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_store *store = transaction->store;
    struct transaction_rollback rollback = {.transaction = transaction};
    struct clg_until until = clg_store_until(store, timeout_ms);
    rc = clg_store_attempt(store, rollback_now, &rollback, until, err);
    if (rc != COMMITLOG_OK || rollback.receipt.end_position == 0) {
        return rc;
    }
    return clg_append_finish(store, clg_append_level(store, level), 1, until, 0, &rollback.receipt,
                             err);
}
