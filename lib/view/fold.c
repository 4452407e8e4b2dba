/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold.c -- the fold lock, and the step that takes records from the log into the views.
 *
 * Invariants: folded moves only over whole batches. Between unlocking and leaving, published is
 *       read again behind a full fence. An appender publishes, fences, fails to get the lock and
 *       leaves: then the holder's second look comes after, and sees what was published.
 * Threads and locks: as fold.h.
 * Happy path: clg_fold_run -> fold_step -> peek, clg_fold_apply, at a pad clg_fold_end_segment.
 * Failure modes: the first failing view stops the step; `applied` and `resume_view` remember where,
 *       so the next call does not apply anything twice.
 */
#include "view/fold.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "view/consume_queue.h"
#include "view/expiry_view.h"
#include "view/fold_internal.h"
#include "view/groups_view.h"
#include "view/key_index.h"
#include "view/producers_view.h"
#include "view/timers_view.h"
#include "view/topics_view.h"
#include "view/transactions_view.h"
#include "view/work_view.h"

int clg_fold_create(const struct clg_fold_config *config, struct clg_fold **out,
                    struct commitlog_error *err)
{
    const struct commitlog_os *os = config->os;
    CLG_ASSERT(config->registry != NULL);
    CLG_ASSERT(config->set != NULL);
    struct clg_fold *fold = os->alloc(os, sizeof(*fold));
    if (fold == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "views: out of memory");
    }
    fold->config = *config;
    fold->last_position = CLG_NO_POSITION;
    fold->segments.active_first_time = INT64_MAX;
    fold->segments.active_last_time = INT64_MIN;
    const struct clg_view_context context = {.os = os,
                                             .registry = config->registry,
                                             .segments = &fold->segments,
                                             .uuid = fold->config.uuid,
                                             .view_dirfd = config->view_dirfd,
                                             .file_mode = config->file_mode,
                                             .index_keys = config->index_keys};
    fold->view_count = CLG_VIEW_COUNT;
    for (uint32_t i = 0; i < CLG_VIEW_COUNT; i++) {
        if (i == CLG_VIEW_KEYS && !config->index_keys) {
            continue;
        }
        if (clg_fold_views[i]->create(&context, i, &fold->views[i]) != 0) {
            clg_fold_free(fold);
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "views: out of memory");
        }
        for (uint32_t kind = 0; kind < CLG_VIEW_KINDS; kind++) {
            bool takes = clg_view_takes(clg_fold_views[i], kind);
            bool plain = (clg_fold_views[i]->attribute_kinds & CLG_VIEW_TAKES(kind)) == 0;
            fold->takers[kind] |= takes ? 1u << i : 0;
            fold->plain_takers[kind] |= takes && plain ? 1u << i : 0;
        }
    }
    *out = fold;
    return 0;
}

void clg_fold_free(struct clg_fold *fold)
{
    if (fold == NULL) {
        return;
    }
    const struct commitlog_os *os = fold->config.os;
    CLG_ASSERT(!clg_mutex_is_held(&fold->lock));
    CLG_ASSERT(!clg_mutex_is_held(&fold->files));
    clg_fold_clear_segments(fold);
    for (uint32_t i = 0; i < fold->view_count; i++) {
        if (fold->views[i] != NULL) {
            fold->views[i]->ops->destroy(fold->views[i]);
        }
    }
    os->free(os, fold->segments.items);
    os->free(os, fold);
}

void clg_fold_attach(struct clg_fold *fold, const struct clg_fold_source *source)
{
    CLG_ASSERT(source->peek != NULL);
    CLG_ASSERT(source->published != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    fold->source = *source;
    fold->attached = true;
    clg_mutex_unlock(fold->config.os, &fold->lock);
}

uint64_t clg_fold_position(const struct clg_fold *fold)
{
    return clg_load_acquire_u64(&fold->folded); /* ORDER(folded-1) acquire */
}

uint64_t clg_fold_last(struct clg_fold *fold, uint64_t *out_position, uint32_t *out_check)
{
    CLG_ASSERT(out_position != NULL && out_check != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    *out_position = fold->last_position;
    *out_check = fold->last_header_check;
    uint64_t folded = clg_load_relaxed_u64(&fold->folded);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return folded;
}

bool clg_fold_wants_seal(const struct clg_fold *fold)
{
    return clg_load_acquire_u32(&fold->wants_seal) != 0;
}

static void fold_note(struct clg_fold *fold, const struct clg_record_view *record)
{
    struct clg_view_segments *segments = &fold->segments;
    CLG_ASSERT(record->next_position > record->position);
    if (record->header.kind != CLG_KIND_PAD) {
        int64_t time = record->header.store_time;
        segments->active_first_time =
            segments->active_first_time < time ? segments->active_first_time : time;
        segments->active_last_time =
            segments->active_last_time > time ? segments->active_last_time : time;
    }
    fold->last_position = record->position;
    fold->last_header_check = record->header.header_check;
    fold->records++;
}

uint64_t clg_fold_durable(const struct clg_fold *fold)
{
    const struct clg_fold_source *source = &fold->source;
    return source->durable != NULL ? source->durable(source->ctx) : CLG_POSITION_MAX;
}

int clg_fold_apply(struct clg_fold *fold, const struct clg_record_view *record, uint32_t mask)
{
    uint32_t from = record->position == fold->applied ? fold->resume_view : 0;
    CLG_ASSERT(from < CLG_VIEW_COUNT);
    CLG_ASSERT(record->position >= record->segment_base);
    const uint32_t kind = record->header.kind;
    if (CLG_UNLIKELY(kind == CLG_KIND_TOMBSTONE) && fold->attached && fold->config.sees_durable) {
        fold->segments.durable = clg_fold_durable(fold);
    }
    const uint32_t *of = record->header.attribute_bytes > 0 ? fold->takers : fold->plain_takers;
    uint32_t takers = kind < CLG_VIEW_KINDS ? of[kind] & ~((1u << from) - 1u) : 0;
    for (; takers != 0; takers &= takers - 1u) { /* topics first */
        const uint32_t i = (uint32_t)__builtin_ctz(takers);
        struct clg_view *view = fold->views[i];
        int rc = 0;
        if ((mask & (1u << i)) != 0) {
            rc = view->ops->apply(view, record);
        } else if (view->ops->apply_control != NULL) {
            rc = view->ops->apply_control(view, record);
        }
        if (rc != 0) {
            fold->applied = record->position;
            fold->resume_view = i;
            return rc;
        }
    }
    fold_note(fold, record);
    fold->applied = record->next_position;
    fold->resume_view = 0;
    return 0;
}

/* Unless a repetition has it already: a failure leaves the record half applied. */
static int fold_record(struct clg_fold *fold, const struct clg_record_view *record,
                       struct commitlog_error *err)
{
    if (record->position < fold->applied) {
        return 0;
    }
    int rc = clg_fold_apply(fold, record, clg_fold_all());
    CLG_ASSERT(rc <= 0);
    return rc == 0 ? 0
                   : clg_fail(err, rc, 0, record->position, "fold: the views do not take a record");
}

/* The members of a batch; those applied before a failure are passed over. */
static int fold_batch(struct clg_fold *fold, const struct clg_record_view *header, uint64_t *next,
                      struct commitlog_error *err)
{
    struct clg_batch batch;
    uint64_t position = header->next_position;
    if (clg_batch_decode(header->body, header->body_bytes, &batch) != 0) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, header->position, "fold: batch header");
    }
    uint64_t end = position + batch.member_bytes;
    CLG_ASSERT(end > position);
    while (position < end) {
        struct clg_record_view member;
        int rc = fold->source.peek(fold->source.ctx, position, &member, err);
        if (rc == 0) {
            rc = fold_record(fold, &member, err);
        }
        if (rc != 0) {
            return rc;
        }
        CLG_ASSERT(member.next_position > position);
        position = member.next_position;
    }
    *next = position;
    return 0;
}

static int fold_pad(struct clg_fold *fold, const struct clg_record_view *pad,
                    struct commitlog_error *err)
{
    struct clg_segment *segment = NULL;
    CLG_ASSERT(pad->header.kind == CLG_KIND_PAD);
    int rc = clg_segment_set_pin(fold->config.set, pad->position, &segment);
    if (rc != 0) {
        return clg_fail(err, rc, 0, pad->position, "fold: no segment holds the pad");
    }
    const struct clg_view_segment id = {
        .base = segment->base, .salt = segment->salt, .end = segment->data_end};
    clg_segment_unref(segment);
    if (fold->segments.active_base != id.base) {
        /* To a reader the log is a file like any other: it may begin again, but not trust this. */
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, pad->position,
                        "fold: segment %020llu ends, %020llu had begun",
                        (unsigned long long)id.base,
                        (unsigned long long)fold->segments.active_base);
    }
    rc = clg_fold_end_segment(fold, &id);
    if (rc != 0) {
        return clg_fail(err, rc, 0, pad->position, "fold: end of segment %020llu",
                        (unsigned long long)id.base);
    }
    CLG_ASSERT(pad->next_position >= id.end);
    fold->segments.active_base = pad->next_position - CLG_SEGMENT_DATA_START;
    clg_store_release_u32(&fold->wants_seal, 0);
    return 0;
}

/* One record or one whole batch at *position. 1: stopped before a pad. */
static int fold_one(struct clg_fold *fold, uint64_t *position, bool may_seal,
                    struct commitlog_error *err)
{
    struct clg_record_view record;
    int rc = fold->source.peek(fold->source.ctx, *position, &record, err);
    if (rc != 0) {
        return rc;
    }
    CLG_ASSERT(record.position == *position);
    bool pad = record.header.kind == CLG_KIND_PAD;
    if (pad && !may_seal) {
        clg_store_release_u32(&fold->wants_seal, 1);
        return 1;
    }
    uint64_t next = record.next_position;
    bool batch = record.header.kind == CLG_KIND_BATCH;
    rc = fold_record(fold, &record, err);
    if (rc == 0 && batch) {
        rc = fold_batch(fold, &record, &next, err);
    }
    if (rc == 0 && pad) {
        rc = fold_pad(fold, &record, err);
    }
    if (rc == 0) {
        CLG_ASSERT(next > *position);
        *position = next;
    }
    return rc;
}

/* Up to *budget records below goal, under the lock. *stopped: a pad is in the way. */
static int fold_step(struct clg_fold *fold, uint64_t goal, uint32_t *budget, bool may_seal,
                     bool *stopped, struct commitlog_error *err)
{
    uint64_t position = clg_load_relaxed_u64(&fold->folded);
    uint64_t begin = position;
    int rc = 0;
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    while (rc == 0 && position<goal && * budget> 0) {
        rc = fold_one(fold, &position, may_seal, err);
        (*budget)--;
    }
    if (position > begin) {
        clg_store_release_u64(&fold->folded, position); /* ORDER(folded-1) release */
        if (fold->source.set_folded != NULL) {
            fold->source.set_folded(fold->source.ctx, position);
        }
    }
    *stopped = rc == 1;
    return rc == 1 ? 0 : rc;
}

static uint64_t fold_published(const struct clg_fold *fold)
{
    return fold->source.published(fold->source.ctx);
}

/* Whoever gets the lock folds for all; see the file's head for why nothing is forgotten. */
static int fold_try(struct clg_fold *fold, uint64_t upto, uint32_t budget, bool may_seal,
                    struct commitlog_error *err)
{
    bool stopped = false;
    int rc = 0;
    CLG_ASSERT(fold->attached);
    /* ORDER(fold-1): what this thread published is ordered before its look at the lock. */
    clg_fence_seqcst();
    while (rc == 0 && !stopped && budget > 0) {
        uint64_t goal = clg_min_u64(upto, fold_published(fold));
        if (clg_fold_position(fold) >= goal || !clg_mutex_trylock(&fold->lock)) {
            break;
        }
        rc = fold_step(fold, goal, &budget, may_seal, &stopped, err);
        clg_mutex_unlock(fold->config.os, &fold->lock);
        /* ORDER(fold-1): the unlocking is ordered before the next look at published. */
        clg_fence_seqcst();
    }
    return rc;
}

int clg_fold_run(struct clg_fold *fold, uint64_t upto, uint32_t budget, enum clg_fold_how how,
                 bool may_seal, struct commitlog_error *err)
{
    CLG_ASSERT(budget > 0);
    CLG_ASSERT(fold->attached);
    if (how == CLG_FOLD_WAIT) {
        uint64_t goal = clg_min_u64(upto, fold_published(fold));
        bool stopped = false;
        while (!stopped && clg_fold_position(fold) < goal) {
            uint32_t piece = budget;
            clg_mutex_lock(fold->config.os, &fold->lock);
            int rc = fold_step(fold, goal, &piece, may_seal, &stopped, err);
            clg_mutex_unlock(fold->config.os, &fold->lock);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return fold_try(fold, upto, budget, may_seal, err);
}

int clg_fold_carry_list(struct clg_fold *fold, uint64_t base, uint32_t from, uint32_t *ids,
                        uint32_t max, uint32_t *out_count, uint32_t *out_next, uint64_t *out_bytes)
{
    CLG_ASSERT(ids != NULL);
    CLG_ASSERT(out_count != NULL && out_next != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    clg_topics_carry_list(fold->views[CLG_VIEW_TOPICS], fold->views[CLG_VIEW_QUEUES], base, from,
                          ids, max, out_count, out_next, out_bytes);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return 0;
}

uint32_t clg_fold_topic_steps(struct clg_fold *fold, const struct clg_topic *topic,
                              uint64_t visible)
{
    CLG_ASSERT(topic != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    uint32_t steps = clg_topics_steps(fold->views[CLG_VIEW_TOPICS], topic, visible);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return steps;
}

uint32_t clg_fold_marks(struct clg_fold *fold, const struct clg_topic *topic, uint32_t index,
                        struct clg_topic_offset *out)
{
    CLG_ASSERT(topic != NULL && out != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    uint32_t count = clg_topics_marks(fold->views[CLG_VIEW_TOPICS], topic, index, out);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return count;
}

int clg_fold_groups(struct clg_fold *fold, clg_fold_groups_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_groups_view_table(fold->views[CLG_VIEW_GROUPS]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_fold_producers(struct clg_fold *fold, clg_fold_producers_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_producers_view_table(fold->views[CLG_VIEW_PRODUCERS]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_fold_timers(struct clg_fold *fold, clg_fold_timers_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_timers_view_table(fold->views[CLG_VIEW_TIMERS]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_fold_work(struct clg_fold *fold, clg_fold_work_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_work_view_table(fold->views[CLG_VIEW_WORK]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_fold_transactions(struct clg_fold *fold, clg_fold_transactions_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_transactions_view_table(fold->views[CLG_VIEW_TRANSACTIONS]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_fold_expiry(struct clg_fold *fold, clg_fold_expiry_fn look, void *ctx)
{
    CLG_ASSERT(look != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    int rc = look(ctx, clg_expiry_view_table(fold->views[CLG_VIEW_EXPIRY]));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

void clg_fold_set_first(struct clg_fold *fold, uint64_t first)
{
    clg_mutex_lock(fold->config.os, &fold->lock);
    CLG_ASSERT(fold->segments.room >= fold->segments.count);
    if (first > fold->segments.first) {
        fold->segments.first = first;
    }
    CLG_ASSERT(fold->segments.first >= first);
    clg_mutex_unlock(fold->config.os, &fold->lock);
}

static void fold_count_images(const struct clg_fold *fold, struct clg_fold_stats *out)
{
    CLG_ASSERT(fold->segments.start + fold->segments.count <= fold->segments.room);
    for (uint32_t i = 0; i < fold->segments.count; i++) {
        const struct clg_view_item *item = clg_view_segments_at(&fold->segments, i);
        for (uint32_t v = 0; v < CLG_VIEWS_MAX; v++) {
            const struct clg_view_slot *slot = &item->slots[v];
            bool memory = slot->state == CLG_SLOT_MEMORY;
            CLG_ASSERT(!memory || slot->image.bytes != NULL);
            out->images_pending += memory || slot->state == CLG_SLOT_FROZEN ? 1 : 0;
            out->memory_bytes += memory ? slot->image.size : 0;
            out->mapped_bytes += slot->state == CLG_SLOT_MAPPED ? slot->image.size : 0;
        }
    }
}

void clg_fold_get_stats(struct clg_fold *fold, struct clg_fold_stats *out)
{
    struct clg_fold_stats stats = {0};
    CLG_ASSERT(out != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    stats.folded = clg_load_relaxed_u64(&fold->folded);
    stats.records = fold->records;
    stats.images_written = fold->images_written;
    stats.images_rebuilt = fold->images_rebuilt;
    stats.segments = fold->segments.count;
    stats.memory_bytes = sizeof(*fold) + fold->segments.room * sizeof(struct clg_view_item);
    for (uint32_t i = 0; i < fold->view_count; i++) {
        if (fold->views[i] != NULL) {
            stats.memory_bytes += fold->views[i]->ops->memory(fold->views[i]);
        }
    }
    stats.contradictions =
        clg_topics_contradictions(fold->views[CLG_VIEW_TOPICS]) +
        clg_consume_queue_contradictions(fold->views[CLG_VIEW_QUEUES]) +
        clg_groups_view_contradictions(fold->views[CLG_VIEW_GROUPS]) +
        clg_producers_view_contradictions(fold->views[CLG_VIEW_PRODUCERS]) +
        clg_timers_view_contradictions(fold->views[CLG_VIEW_TIMERS]) +
        clg_work_view_contradictions(fold->views[CLG_VIEW_WORK]) +
        clg_transactions_view_contradictions(fold->views[CLG_VIEW_TRANSACTIONS]) +
        clg_expiry_view_contradictions(fold->views[CLG_VIEW_EXPIRY]);
    stats.timers = clg_timers_view_table(fold->views[CLG_VIEW_TIMERS])->count;
    stats.timer_bytes = clg_timers_view_table(fold->views[CLG_VIEW_TIMERS])->bytes;
    const struct clg_transaction_table *open =
        clg_transactions_view_table(fold->views[CLG_VIEW_TRANSACTIONS]);
    stats.transactions = open->count;
    stats.transaction_bytes = open->bytes;
    if (fold->views[CLG_VIEW_KEYS] != NULL) {
        stats.contradictions += clg_key_index_contradictions(fold->views[CLG_VIEW_KEYS]);
    }
    fold_count_images(fold, &stats);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    CLG_ASSERT(stats.memory_bytes > 0);
    *out = stats;
}
