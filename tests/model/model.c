/* SPDX-License-Identifier: BSD-2-Clause */
/* model.c -- what a store must contain; see model.h. */
#define _GNU_SOURCE
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void model_begin(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->report_fd = -1;
}

static void model_topic_free(struct model_topic *topic)
{
    for (uint32_t q = 0; q < topic->queues; q++)
        free(topic->queue[q].items);
    free(topic->queue);
    memset(topic, 0, sizeof *topic);
}

void model_free(struct model *model)
{
    for (uint32_t t = 0; t < model->topic_count; t++)
        model_topic_free(&model->topics[t]);
    free(model->items);
    model_begin(model);
}

static void queue_push(struct model_queue *queue, uint32_t index)
{
    if (queue->count == queue->room) {
        queue->room = queue->room * 2 + 16;
        queue->items = need_grow(queue->items, queue->room * sizeof *queue->items);
    }
    queue->items[queue->count++] = index;
}

static void apply_item(struct model *model, const struct item *item)
{
    struct model_topic *topic = &model->topics[item->topic];
    CHECKF(item->topic < model->topic_count && item->queue < topic->queues, "topic %u queue %u",
           item->topic, item->queue);
    CHECKF(item->offset == topic->queue[item->queue].count, "queue offset %llu, expected %u",
           (unsigned long long)item->offset, topic->queue[item->queue].count);
    if (model->count == model->room) {
        model->room = model->room * 2 + 64;
        model->items = need_grow(model->items, model->room * sizeof *model->items);
    }
    model->items[model->count] = *item;
    queue_push(&topic->queue[item->queue], model->count);
    model->count++;
    if (item->epoch > model->epoch)
        model->epoch = item->epoch;
    if (item->batch > model->batches)
        model->batches = item->batch;
}

static void apply_end(struct model *model, uint32_t index, const struct item *item)
{
    CHECK(index < model->count);
    CHECKF(model->items[index].offset == item->offset, "item %u", index);
    model->items[index] = *item;
    if (item->epoch > model->epoch)
        model->epoch = item->epoch;
}

void model_apply(struct model *model, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_TOPIC: {
        struct model_topic *topic = &model->topics[model->topic_count];
        CHECK(model->topic_count < MODEL_TOPICS_MAX);
        topic->name_seed = change->value;
        topic->queues = change->queues;
        topic->defined = false;
        topic->queue = need_alloc(change->queues * sizeof *topic->queue);
        model->topic_count++;
        break;
    }
    case CHANGE_ITEM:
        apply_item(model, &change->item);
        break;
    case CHANGE_END:
        apply_end(model, change->index, &change->item);
        break;
    case CHANGE_SAFE:
        if (change->value > model->safe)
            model->safe = (uint32_t)change->value;
        if (change->queues == 1)
            for (uint32_t t = 0; t < model->topic_count; t++)
                model->topics[t].defined = true;
        break;
    case CHANGE_FIRST:
        CHECK(change->value >= model->first);
        model->first = change->value;
        break;
    default:
        prog_fail(__FILE__, __LINE__, "change", "kind %u", change->kind);
    }
    if (model->report_fd >= 0)
        CHECK(write(model->report_fd, change, sizeof *change) == (ssize_t)sizeof *change);
}

void model_topic_add(struct model *model, uint64_t name_seed, uint32_t queues)
{
    struct change change = {.kind = CHANGE_TOPIC, .value = name_seed, .queues = queues};
    model_apply(model, &change);
}

uint32_t model_item_add(struct model *model, const struct item *item)
{
    struct change change = {.kind = CHANGE_ITEM, .item = *item};
    model_apply(model, &change);
    return model->count - 1;
}

void model_item_end(struct model *model, uint32_t index, const struct item *item)
{
    struct change change = {.kind = CHANGE_END, .index = index, .item = *item};
    model_apply(model, &change);
}

void model_safe(struct model *model, uint32_t count, bool definitions)
{
    struct change change = {.kind = CHANGE_SAFE, .value = count, .queues = definitions};
    model_apply(model, &change);
}

void model_first(struct model *model, uint64_t first)
{
    struct change change = {.kind = CHANGE_FIRST, .value = first};
    model_apply(model, &change);
}

void model_crash(struct model *model)
{
    bool trailing = true;
    for (uint32_t i = model->count; i-- > 0;) {
        struct item *item = &model->items[i];
        if (item->state != ITEM_PENDING) {
            trailing = false;
            continue;
        }
        item->state = ITEM_HOLE;
        item->maybe = trailing;
    }
}

void model_cut(struct model *model, uint32_t index)
{
    while (model->count > index) {
        struct item *item = &model->items[--model->count];
        struct model_queue *queue = &model->topics[item->topic].queue[item->queue];
        CHECK(queue->items[queue->count - 1] == model->count);
        queue->count--;
    }
    if (model->safe > model->count)
        model->safe = model->count;
}

bool model_topic_may_be_missing(const struct model *model, uint32_t topic, uint32_t count)
{
    if (model->topics[topic].defined)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (model->items[i].topic == topic)
            return false;
    return true;
}

void model_topic_remove(struct model *model, uint32_t topic)
{
    uint32_t index = 0;
    while (index < model->count && model->items[index].topic != topic)
        index++;
    model_cut(model, index);
    model_topic_free(&model->topics[topic]);
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].topic > topic)
            model->items[i].topic--;
    for (uint32_t t = topic; t + 1 < model->topic_count; t++)
        model->topics[t] = model->topics[t + 1];
    model->topic_count--;
    memset(&model->topics[model->topic_count], 0, sizeof model->topics[0]);
}

uint32_t model_published(const struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].state == ITEM_PENDING)
            return i;
    return model->count;
}

uint32_t model_live_from(const struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].position >= model->first)
            return i;
    return model->count;
}

bool model_has_unknown(const struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].state == ITEM_HOLE && model->items[i].position == MODEL_UNKNOWN)
            return true;
    return false;
}

uint32_t model_pending(const struct model *model)
{
    uint32_t pending = 0;
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].state == ITEM_PENDING)
            pending++;
    return pending;
}

void model_bounds(const struct model *model, uint32_t topic, uint32_t queue, uint32_t published,
                  uint64_t *first, uint64_t *next)
{
    const struct model_queue *list = &model->topics[topic].queue[queue];
    uint32_t end = list->count;
    uint32_t begin = 0;
    while (end > 0 && list->items[end - 1] >= published)
        end--;
    while (begin < end && model->items[list->items[begin]].position < model->first)
        begin++;
    *first = begin;
    *next = end;
}

const struct item *model_at(const struct model *model, uint32_t topic, uint32_t queue,
                            uint64_t offset)
{
    const struct model_queue *list = &model->topics[topic].queue[queue];
    CHECK(offset < list->count);
    return &model->items[list->items[offset]];
}

/* Names from one byte to the longest, and some that are not ASCII. */
size_t model_name(uint64_t name_seed, char out[MODEL_NAME_MAX + 1])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz./_-0123456789";
    struct rng rng;
    size_t size = 0;
    rng_begin(&rng, name_seed);
    size = rng_chance(&rng, 1, 5) ? MODEL_NAME_MAX : (size_t)rng_between(&rng, 1, 30);
    for (size_t i = 0; i < size; i++)
        out[i] = digits[rng_below(&rng, sizeof digits - 1)];
    if (size >= 2 && rng_chance(&rng, 1, 4))
        memcpy(out, "\xc3\xa4", 2);
    out[size] = '\0';
    return size;
}
