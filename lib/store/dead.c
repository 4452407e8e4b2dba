/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dead.c -- what was given out too often goes to the dead letters. See work.h.
 *
 * One batch for each message: what delivers it there, and that it is done here; so it is in one
 * place at any moment, whatever happens. A reference delivers it, or a copy if retention will soon
 * take the original; both say where it was, how often it was given out, and why it is dead.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/queue_file.h"
#include "format/transaction_record.h"
#include "store/reference.h"
#include "store/work.h"

/* As a format; the name is RocketMQ's. */
#define DEAD_PREFIX "%%DLQ%%"
#define DEAD_PREFIX_BYTES 5u
#define DEAD_LOOKUPS 64u

static int dead_use_topic(struct commitlog_receiver *receiver, uint32_t topic)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    int rc = commitlog_topic_info(receiver->store, topic, &info);
    if (rc == COMMITLOG_OK) {
        receiver->dead_topic = topic;
        receiver->has_dead = true;
    }
    return rc;
}

int clg_work_check_dead_topic(struct commitlog_receiver *receiver, struct commitlog_error *err)
{
    if (receiver->max_attempts == UINT32_MAX) {
        return COMMITLOG_OK;
    }
    if (receiver->dead_topic != UINT32_MAX) {
        int rc = dead_use_topic(receiver, receiver->dead_topic);
        return rc == COMMITLOG_OK
                   ? rc
                   : clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                              "open a receiver: no topic %u for dead letters is open",
                              receiver->dead_topic);
    }
    return receiver->group.name_bytes + DEAD_PREFIX_BYTES <= CLG_TOPIC_NAME_MAX
               ? COMMITLOG_OK
               : clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                          "open a receiver: give a topic for the dead letters, for " DEAD_PREFIX
                          "%s would have too long a name",
                          receiver->group.name);
}

int clg_work_make_dead_topic(struct commitlog_receiver *receiver, struct commitlog_error *err)
{
    char name[DEAD_PREFIX_BYTES + CLG_GROUP_NAME_MAX + 1];
    size_t bytes = DEAD_PREFIX_BYTES + (size_t)receiver->group.name_bytes;
    uint32_t topic = 0;
    CLG_ASSERT(!receiver->has_dead && bytes <= CLG_TOPIC_NAME_MAX);
    (void)snprintf(name, sizeof(name), DEAD_PREFIX "%s", receiver->group.name);
    struct commitlog_error own;
    int rc = commitlog_topic_open(receiver->store, name, bytes, 0, &topic, &own);
    if (rc == COMMITLOG_ENOTFOUND) {
        rc = commitlog_topic_open(receiver->store, name, bytes, 1, &topic, &own);
    }
    struct clg_topic *undefined = NULL;
    if (rc == COMMITLOG_ENOSPC && clg_registry_find(&receiver->store->core->registry, name, bytes,
                                                    &undefined) == COMMITLOG_OK) {
        /* It is there, but for its definition, which its first letter brings along: that has room
         * on a full disk where users find none, for retention may be waiting for it. */
        topic = undefined->id;
        rc = COMMITLOG_OK;
    }
    return rc == COMMITLOG_OK ? dead_use_topic(receiver, topic) : clg_error_give(err, rc, &own);
}

/* What says of a copy where it was before: this time says it anew. */
static uint32_t dead_skip(const struct clg_record_view *original)
{
    const uint32_t bytes = CLG_ATTRIBUTE_HEADER_BYTES + CLG_REFERENCE_ORIGIN_BYTES;
    bool is_copy = original->header.attribute_bytes >= bytes &&
                   (original->attributes[0] & ~CLG_ATTRIBUTE_CRITICAL) == CLG_ATTRIBUTE_ORIGIN;
    return is_copy ? bytes : 0;
}

/* A half says its transaction and its id by where it lies: of a copy it has to name them. Bytes of
 * the value, 0: it is none; *out_was: that the attribute takes in the original. */
static size_t dead_half(const struct clg_record_view *original,
                        uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX], size_t *out_was)
{
    struct clg_transaction_half half;
    *out_was = 0;
    if (original->header.kind != CLG_KIND_TRANSACTION ||
        clg_transaction_half_first(original->attributes, original->header.attribute_bytes, &half,
                                   out_was) != 1) {
        *out_was = 0;
        return 0;
    }
    half.transaction = half.transaction != 0 ? half.transaction : original->position;
    half.message = half.message != 0 ? half.message : original->position;
    clg_transaction_half_encode(value, &half);
    return clg_transaction_half_bytes(&half);
}

/* The whole message, with where it was in front of its own attributes: so nobody takes it for an
 * append of its producer, nor for a delivery of its timer. *out_attributes is the caller's to free.
 * COMMITLOG_ETOOBIG: no room for that; COMMITLOG_ENOMEM. */
static int dead_copy(struct commitlog_store *store, const struct clg_record_view *original,
                     const struct clg_reference *how, struct commitlog_slice *body,
                     struct clg_append *out, uint8_t **out_attributes)
{
    const struct commitlog_os *os = store->os;
    uint8_t reference[CLG_REFERENCE_BODY_BYTES_MAX];
    struct clg_attribute_writer writer;
    uint8_t half[CLG_TRANSACTION_HALF_BYTES_MAX];
    size_t was = 0;
    const size_t half_bytes = dead_half(original, half, &was);
    const size_t skip = dead_skip(original) + was; /* one of them at most */
    const size_t own = original->header.attribute_bytes - skip;
    size_t bytes = CLG_ATTRIBUTE_HEADER_BYTES + CLG_REFERENCE_ORIGIN_BYTES + own +
                   (half_bytes > 0 ? CLG_ATTRIBUTE_HEADER_BYTES + half_bytes : 0);
    if (bytes > CLG_ATTRIBUTES_MAX) {
        return COMMITLOG_ETOOBIG;
    }
    uint8_t *attributes = os->alloc(os, bytes);
    if (attributes == NULL) {
        return COMMITLOG_ENOMEM;
    }
    CLG_ASSERT(clg_reference_bytes(how) == sizeof(reference));
    clg_reference_encode(reference, how);
    clg_attribute_writer_init(&writer, attributes, bytes);
    int rc = clg_attribute_add(&writer, CLG_ATTRIBUTE_ORIGIN, reference + CLG_REFERENCE_ORIGIN_AT,
                               CLG_REFERENCE_ORIGIN_BYTES);
    if (rc == COMMITLOG_OK && half_bytes > 0) {
        rc = clg_attribute_add(&writer, CLG_ATTRIBUTE_TRANSACTION | CLG_ATTRIBUTE_CRITICAL, half,
                               half_bytes);
    }
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    if (own > 0) {
        memcpy(attributes + writer.used, original->attributes + skip, own);
    }
    *body = (struct commitlog_slice){original->body, original->body_bytes};
    *out = (struct clg_append){.kind = CLG_KIND_MESSAGE,
                               .takes_offset = true,
                               .attributes = attributes,
                               .attribute_bytes = (uint32_t)bytes,
                               .body = body,
                               .body_count = 1,
                               .body_bytes = original->body_bytes};
    *out_attributes = attributes;
    return COMMITLOG_OK;
}

/* What delivers it there, and that it is done here. */
static int dead_append(struct commitlog_receiver *receiver, const struct clg_record_view *original,
                       const struct clg_reference *how, int32_t room_ms,
                       struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    const struct commitlog_group *group = &receiver->group;
    const struct clg_work_entry entry = {.offset = how->origin,
                                         .queue_number = how->origin_queue,
                                         .count = 1,
                                         .state = CLG_WORK_DONE};
    struct clg_reference_item reference;
    struct commitlog_slice body;
    struct clg_append copy;
    struct commitlog_receipt receipts[2] = {{0}};
    uint8_t *copied = NULL;
    const struct clg_topic *topic =
        clg_registry_topic(&store->core->registry, receiver->dead_topic);
    uint32_t queue_number = clg_topic_number(topic, receiver->dead_turn % clg_topic_routed(topic));
    int rc = clg_reference_is_short_lived(store, original)
                 ? dead_copy(store, original, how, &body, &copy, &copied)
                 : COMMITLOG_ETOOBIG;
    if (rc == COMMITLOG_ENOMEM) {
        return clg_fail(err, rc, 0, original->position, "a copy of a dead letter");
    }
    if (rc == COMMITLOG_OK) {
        copy.queue_number = queue_number;
        rc = clg_work_append(store, (const uint8_t *)group->name, group->name_bytes, &entry, 1,
                             &copy, room_ms, receipts, err);
    }
    if (rc == COMMITLOG_ETOOBIG) { /* not copied, or too large for one segment with the rest */
        clg_reference_item(store, queue_number, original, how, &reference);
        rc = clg_work_append(store, (const uint8_t *)group->name, group->name_bytes, &entry, 1,
                             &reference.item, room_ms, receipts, err);
    }
    store->os->free(store->os, copied);
    receiver->dead_turn += rc == COMMITLOG_OK ? 1 : 0;
    return rc;
}

static int dead_one(struct commitlog_receiver *receiver, struct clg_reader *reader,
                    const struct clg_lookup_entry *found, const struct clg_reference *how,
                    int32_t room_ms, struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    struct clg_core *core = store->core;
    struct clg_record_view view;
    int rc = COMMITLOG_EHOLE;
    bool hole = found->position == CLG_NO_POSITION || (found->flags & CLG_QUEUE_ENTRY_HOLE) != 0;
    clg_reader_begin(reader);
    if (!hole) {
        rc = clg_reference_read(reader, core, clg_log_published(core->log), how->origin_queue,
                                found, &view, err);
    }
    if (rc == COMMITLOG_EDAMAGED) {
        clg_store_damage(store, core, found->position, 0, CLG_QUEUE_NONE, "a dead letter");
    } else if (found->position == CLG_NO_POSITION) {
        clg_store_lost(store, core, how->origin_queue, how->origin, how->origin + 1);
    }
    if (rc == COMMITLOG_OK) {
        return dead_append(receiver, &view, how, room_ms, err);
    }
    if (rc != COMMITLOG_EHOLE && rc != COMMITLOG_EDAMAGED && rc != COMMITLOG_ETOOSMALL &&
        rc != COMMITLOG_EEXPIRED && rc != COMMITLOG_EUNSUPPORTED) {
        return rc;
    }
    const struct clg_work_entry entry = {.offset = how->origin,
                                         .queue_number = how->origin_queue,
                                         .count = 1,
                                         .state = CLG_WORK_DONE};
    struct commitlog_receipt receipt = {0};
    return clg_work_append(store, (const uint8_t *)receiver->group.name, receiver->group.name_bytes,
                           &entry, 1, NULL, room_ms, &receipt, err);
}

/* Those before `first` that retention has taken: nothing is left to be buried, they are done. */
static int dead_gone(struct commitlog_receiver *receiver, uint32_t queue_number, uint64_t offset,
                     uint64_t end, uint64_t first, int32_t room_ms, struct commitlog_error *err)
{
    CLG_ASSERT(offset < first && offset < end);
    const struct clg_work_entry entry = {.offset = offset,
                                         .queue_number = queue_number,
                                         .count = (uint32_t)(clg_min_u64(first, end) - offset),
                                         .state = CLG_WORK_DONE};
    struct commitlog_receipt receipt = {0};
    return clg_work_append(receiver->store, (const uint8_t *)receiver->group.name,
                           receiver->group.name_bytes, &entry, 1, NULL, room_ms, &receipt, err);
}

int clg_work_bury(struct commitlog_receiver *receiver, uint32_t queue_number, uint64_t offset,
                  uint32_t count, uint32_t attempts, uint8_t reason, int32_t room_ms,
                  struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    struct clg_lookup_entry found[DEAD_LOOKUPS];
    struct clg_reader reader;
    uint32_t found_count = 0;
    uint64_t bound = 0;
    CLG_ASSERT(receiver->has_dead);
    int rc = clg_lookup_entries(store->core->fold, queue_number, offset,
                                clg_fold_position(store->core->fold), found,
                                count < DEAD_LOOKUPS ? count : DEAD_LOOKUPS, &found_count, &bound);
    if (rc == COMMITLOG_ETOOSMALL) {
        rc = dead_gone(receiver, queue_number, offset, offset + count, bound, room_ms, err);
    } else if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "look up the dead letter of offset %llu",
                        (unsigned long long)offset);
    }
    clg_reader_init(&reader, store->os, true, true);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < found_count; i++) {
        const struct clg_reference how = {.reason = reason,
                                          .origin = found[i].queue_offset,
                                          .origin_queue = queue_number,
                                          .attempts = (uint16_t)attempts};
        rc = found[i].queue_offset < offset + count
                 ? dead_one(receiver, &reader, &found[i], &how, room_ms, err)
                 : COMMITLOG_OK;
    }
    clg_reader_end(&reader);
    struct commitlog_receipt receipt = {0};
    return rc == COMMITLOG_OK ? clg_work_settle(receiver, queue_number, room_ms, &receipt, err)
                              : rc;
}
