/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.c -- fuzz target: one record, as a reader meets it: header, bounds, checks, attributes,
 * and the bodies of the control records.
 *
 * Input: a bundle with records. Attributes and body are also taken apart when no check holds: who
 * wrote the record may have been another program.
 *
 * Held: what is taken apart lies inside the record; what is sound, written again, is the same
 * bytes, and does not fit where one byte is missing; a flipped bit of a whole record is seen.
 */
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "format/attributes.h"
#include "format/group_record.h"
#include "format/producer_record.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "format/timer_record.h"
#include "format/tombstone_record.h"
#include "format/topic_record.h"
#include "format/transaction_record.h"
#include "format/work_record.h"
#include "state/expiry_table.h"
#include "state/group_table.h"
#include "state/transaction_table.h"
#include "state/work_table.h"
#include "support/bundle.h"
#include "support/check.h"
#include "support/fuzz.h"

/* One attribute as the library itself would write it. */
static int record_attribute_add(struct clg_attribute_writer *writer,
                                const struct clg_attribute *attribute,
                                const struct clg_attribute_header *header)
{
    int64_t time_ms;
    uint8_t critical = attribute->critical ? CLG_ATTRIBUTE_CRITICAL : 0;
    switch (attribute->type | critical) {
    case CLG_ATTRIBUTE_HEADER:
        return clg_attribute_add_header(writer, header->name, header->name_bytes, header->value,
                                        header->value_bytes);
    case CLG_ATTRIBUTE_PRODUCER_TIME:
        time_ms = (int64_t)clg_load_le64(attribute->value);
        return clg_attribute_add_producer_time(writer, time_ms);
    default:
        return clg_attribute_add(writer, attribute->type | critical, attribute->value,
                                 attribute->bytes);
    }
}

/* Sound attributes, written again into a block of `room` bytes. */
static int record_attributes_again(const uint8_t *area, size_t bytes, size_t room)
{
    uint8_t *block = malloc(room == 0 ? 1 : room);
    struct clg_attribute_writer writer;
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    uint32_t headers = 0;
    int rc = 0;
    FUZZ_CHECK(block != NULL);
    clg_attribute_writer_init(&writer, block, room);
    clg_attribute_iterator_init(&iterator, area, bytes);
    while (rc == 0 && clg_attribute_next(&iterator, &attribute) == 1) {
        struct clg_attribute_header header = {0};
        if (attribute.type == CLG_ATTRIBUTE_HEADER) {
            FUZZ_CHECK(clg_attributes_header(area, bytes, headers++, &header) == 1);
        }
        rc = record_attribute_add(&writer, &attribute, &header);
    }
    FUZZ_CHECK(rc != 0 || (writer.used == bytes && memcmp(block, area, bytes) == 0));
    free(block);
    return rc;
}

static void record_deliver_at(const struct clg_attribute *attribute, bool sound)
{
    struct clg_deliver_at at;
    uint8_t again[CLG_DELIVER_AT_BYTES];
    int rc = clg_deliver_at_decode(attribute->value, attribute->bytes, &at);
    FUZZ_CHECK(rc == 0 || (rc == COMMITLOG_EDAMAGED && !sound));
    if (rc == 0) {
        clg_deliver_at_encode(again, &at);
        FUZZ_CHECK(memcmp(again, attribute->value, sizeof(again)) == 0);
    }
}

static void record_origin(const struct clg_attribute *attribute, bool sound)
{
    struct clg_reference origin;
    uint8_t again[CLG_REFERENCE_BODY_BYTES_MAX];
    int rc = clg_reference_decode_origin(attribute->value, attribute->bytes, &origin);
    FUZZ_CHECK(rc == 0 || !sound);
    if (rc == 0) {
        FUZZ_CHECK(origin.position == 0 && origin.header_check == 0 && origin.tag_hash == 0);
    }
    if (rc == 0 && clg_reference_bytes(&origin) == sizeof(again)) { /* a record says it shorter */
        clg_reference_encode(again, &origin);
        FUZZ_CHECK(memcmp(again + CLG_REFERENCE_ORIGIN_AT, attribute->value,
                          CLG_REFERENCE_ORIGIN_BYTES) == 0);
    }
}

/* Applied twice, it says the same. */
static void record_half_apply(const struct clg_transaction_half *half)
{
    struct clg_transaction_table table;
    const uint64_t position = CLG_POSITION_MAX;
    clg_transaction_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < 2; i++) {
        FUZZ_CHECK(clg_transaction_prepare_message(
                       &table, half->transaction != 0 ? half->transaction : position) == 0);
        clg_transaction_apply_half(&table, half, position, CLG_RECORD_MIN, INT64_C(1) << 40);
        clg_transaction_table_invariants(&table);
        FUZZ_CHECK(table.count == 1 && table.messages == 1 && table.bytes == CLG_RECORD_MIN);
        const struct clg_transaction *open = clg_transaction_next(&table, 0);
        FUZZ_CHECK(open->id == (half->transaction != 0 ? half->transaction : position));
        FUZZ_CHECK(open->prepared == half->prepared && open->group_bytes == half->group_bytes);
    }
    clg_transaction_table_deinit(&table);
}

static void record_half(const struct clg_attribute *attribute, bool sound)
{
    struct clg_transaction_half half;
    uint8_t again[CLG_TRANSACTION_HALF_BYTES_MAX];
    int rc = clg_transaction_half_decode(attribute->value, attribute->bytes, &half);
    FUZZ_CHECK(rc == 0 || !sound);
    if (rc == 0) {
        FUZZ_CHECK(clg_transaction_half_bytes(&half) == attribute->bytes);
        FUZZ_CHECK(attribute->bytes <= sizeof(again));
        clg_transaction_half_encode(again, &half);
        FUZZ_CHECK(memcmp(again, attribute->value, attribute->bytes) == 0);
        record_half_apply(&half);
    }
}

static void record_attributes(const uint8_t *area, size_t bytes)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    struct clg_attribute_header header;
    int64_t time_ms;
    uint64_t sum = 0;
    uint32_t keys = 0;
    uint32_t tags = 0;
    int rc;
    int verdict = clg_attributes_check(area, bytes);
    clg_attribute_iterator_init(&iterator, area, bytes);
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        FUZZ_CHECK(attribute.value >= area && attribute.bytes <= bytes);
        if (attribute.type == CLG_ATTRIBUTE_DELIVER_AT) {
            record_deliver_at(&attribute, verdict == 0);
        } else if (attribute.type == CLG_ATTRIBUTE_ORIGIN) {
            record_origin(&attribute, verdict == 0);
        } else if (attribute.type == CLG_ATTRIBUTE_TRANSACTION) {
            record_half(&attribute, verdict == 0);
        }
        sum += clg_hash64(attribute.value, attribute.bytes, attribute.type);
        keys += attribute.type == CLG_ATTRIBUTE_KEY;
        tags += attribute.type == CLG_ATTRIBUTE_TAG;
    }
    FUZZ_CHECK(rc == 0 || rc == COMMITLOG_EDAMAGED);
    if (verdict == 0) {
        FUZZ_CHECK(rc == 0 && keys <= CLG_RECORD_KEYS_MAX && tags <= 1);
        FUZZ_CHECK(clg_attributes_tag(area, bytes, &attribute) == (int)tags);
        FUZZ_CHECK(clg_attributes_key(area, bytes, keys, &attribute) == 0);
        FUZZ_CHECK(record_attributes_again(area, bytes, bytes) == 0);
        FUZZ_CHECK(bytes == 0 || record_attributes_again(area, bytes, bytes - 1) != 0);
    }
    for (uint32_t i = 0; clg_attributes_key(area, bytes, i, &attribute) == 1; i++) {
        sum += clg_key_hash(sum, attribute.value, attribute.bytes);
    }
    for (uint32_t i = 0; clg_attributes_header(area, bytes, i, &header) == 1; i++) {
        sum += clg_hash64(header.name, header.name_bytes, 0);
        sum += clg_hash64(header.value, header.value_bytes, sum);
    }
    if (clg_attributes_tag(area, bytes, &attribute) == 1) {
        FUZZ_CHECK(clg_tag_hash(attribute.value, attribute.bytes) != 0 || attribute.bytes == 0);
    }
    (void)clg_attributes_producer_time(area, bytes, &time_ms);
}

static void record_topic(const uint8_t *body, size_t bytes)
{
    struct clg_topic_definition definition;
    struct clg_topic_offset pair;
    struct clg_topic_offset *pairs;
    uint32_t before = 0;
    if (clg_topic_definition_decode(body, bytes, &definition) != 0) {
        return;
    }
    FUZZ_CHECK(clg_topic_name_check(definition.name, definition.name_bytes) == 0);
    FUZZ_CHECK(clg_topic_definition_bytes(definition.name_bytes, definition.pair_count) == bytes);
    uint8_t *again = malloc(bytes);
    pairs = malloc((definition.pair_count + 1u) * sizeof(*pairs));
    FUZZ_CHECK(again != NULL && pairs != NULL);
    for (uint32_t i = 0; i < definition.pair_count; i++) {
        clg_topic_definition_pair(&definition, i, &pair);
        FUZZ_CHECK(pair.index < definition.queue_count && (i == 0 || pair.index > before));
        FUZZ_CHECK(pair.next_offset <= CLG_QUEUE_OFFSET_MAX);
        before = pair.index;
        pairs[i] = pair;
    }
    FUZZ_CHECK(clg_topic_definition_encode(again, bytes, &definition, pairs) == 0 &&
               memcmp(again, body, bytes) == 0);
    free(again);
    free(pairs);
}

static void record_group(const uint8_t *body, size_t bytes)
{
    struct clg_group_change change;
    uint32_t before = 0;
    if (clg_group_change_decode(body, bytes, &change) != 0) {
        return;
    }
    FUZZ_CHECK(clg_topic_name_check(change.name, change.name_bytes) == 0);
    FUZZ_CHECK(clg_group_change_bytes(change.name_bytes, change.count) == bytes);
    FUZZ_CHECK((change.count > 0) ==
               (change.operation == CLG_GROUP_OFFSETS || change.operation == CLG_GROUP_RESET));
    uint8_t *again = malloc(bytes);
    struct clg_group_entry *entries = malloc((change.count + 1u) * sizeof(*entries));
    FUZZ_CHECK(again != NULL && entries != NULL);
    for (uint32_t i = 0; i < change.count; i++) {
        entries[i] = clg_group_change_entry(&change, i);
        FUZZ_CHECK(i == 0 || entries[i].queue_number > before);
        FUZZ_CHECK(entries[i].offset <= CLG_QUEUE_OFFSET_MAX);
        before = entries[i].queue_number;
    }
    FUZZ_CHECK(clg_group_change_encode(again, bytes, &change, entries) == 0 &&
               memcmp(again, body, bytes) == 0);
    free(again);
    free(entries);
}

/* Applied twice, it says the same. */
static void record_work_apply(const struct clg_work_change *change)
{
    struct clg_work_table table;
    const struct clg_work_entry last = clg_work_change_entry(change, change->count - 1);
    clg_work_table_init(&table, clg_os_default());
    uint32_t runs = 0;
    for (uint32_t i = 0; i < 2; i++) {
        FUZZ_CHECK(clg_work_table_prepare(&table, change) == 0);
        clg_work_table_apply(&table, change);
        const struct clg_work_queue *queue = clg_work_table_find(
            &table, change->name, change->name_bytes,
            clg_group_name_hash(change->name, change->name_bytes), last.queue_number);
        FUZZ_CHECK(queue != NULL && queue->run_count >= 1 && (i == 0 || queue->run_count == runs));
        runs = queue->run_count;
        clg_work_queue_invariants(queue);
        for (uint32_t end = 0; end < 2; end++) {
            const struct clg_work_run *run =
                clg_work_queue_at(queue, last.offset + end * (last.count - 1u));
            FUZZ_CHECK(run != NULL && run->state == last.state && run->attempts == last.attempts &&
                       run->visible_at_ms == last.visible_at_ms);
        }
    }
    clg_work_table_deinit(&table);
}

static void record_work(const uint8_t *body, size_t bytes)
{
    struct clg_work_change change;
    if (clg_work_change_decode(body, bytes, &change) != 0) {
        return;
    }
    FUZZ_CHECK(clg_topic_name_check(change.name, change.name_bytes) == 0);
    FUZZ_CHECK(clg_work_change_bytes(change.name_bytes, change.count) == bytes);
    uint8_t *again = malloc(bytes);
    struct clg_work_entry *entries = malloc(change.count * sizeof(*entries));
    FUZZ_CHECK(again != NULL && entries != NULL);
    for (uint32_t i = 0; i < change.count; i++) {
        entries[i] = clg_work_change_entry(&change, i);
        FUZZ_CHECK(entries[i].count > 0 && entries[i].queue_number != CLG_QUEUE_NONE);
        FUZZ_CHECK(entries[i].offset + entries[i].count - 1 <= CLG_QUEUE_OFFSET_MAX);
        FUZZ_CHECK((entries[i].attempts > 0) == (entries[i].state == CLG_WORK_PENDING));
    }
    FUZZ_CHECK(clg_work_change_encode(again, bytes, &change, entries) == 0 &&
               memcmp(again, body, bytes) == 0);
    record_work_apply(&change);
    free(again);
    free(entries);
}

static void record_timer(const uint8_t *body, size_t bytes)
{
    struct clg_reference reference;
    uint8_t again[CLG_REFERENCE_BODY_BYTES_MAX];
    uint64_t id = 0;
    if (clg_reference_decode(body, bytes, &reference) == 0 &&
        clg_reference_bytes(&reference) == bytes) { /* it may be said longer */
        clg_reference_encode(again, &reference);
        FUZZ_CHECK(memcmp(again, body, bytes) == 0);
    }
    if (clg_timer_cancel_decode(body, bytes, &id) == 0) {
        clg_timer_cancel_encode(again, id);
        FUZZ_CHECK(bytes == CLG_TIMER_CANCEL_BYTES && memcmp(again, body, bytes) == 0);
    }
}

/* Twice, as a half. */
static void record_mark_apply(const struct clg_transaction_mark *mark, const uint8_t *body,
                              size_t bytes)
{
    struct clg_transaction_table table;
    const bool begins =
        mark->operation == CLG_TRANSACTION_STATE || mark->operation == CLG_TRANSACTION_OFFSETS;
    clg_transaction_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < 2; i++) {
        FUZZ_CHECK(clg_transaction_prepare_mark(&table, mark, CLG_POSITION_MAX, bytes) == 0);
        clg_transaction_apply_mark(&table, mark, body, bytes, CLG_POSITION_MAX);
        clg_transaction_table_invariants(&table);
        FUZZ_CHECK(table.count == begins && table.messages == 0);
        const struct clg_transaction *open = clg_transaction_next(&table, 0);
        FUZZ_CHECK(!begins ||
                   open->offset_count == (mark->operation == CLG_TRANSACTION_OFFSETS ? 1 : 0));
        FUZZ_CHECK(!begins ||
                   (open->whole_messages == mark->messages && open->whole_groups == mark->groups));
    }
    clg_transaction_table_deinit(&table);
}

static void record_transaction(const uint8_t *body, size_t bytes)
{
    struct clg_transaction_mark mark;
    if (clg_transaction_mark_decode(body, bytes, &mark) != 0) {
        return;
    }
    FUZZ_CHECK(clg_transaction_mark_bytes(&mark) == bytes);
    const uint32_t count = mark.offsets.count;
    uint8_t *again = malloc(bytes);
    struct clg_group_entry *entries = malloc((count + 1u) * sizeof(*entries));
    FUZZ_CHECK(again != NULL && entries != NULL);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = clg_group_change_entry(&mark.offsets, i);
    }
    FUZZ_CHECK(clg_transaction_mark_encode(again, &mark, entries) == 0 &&
               memcmp(again, body, bytes) == 0);
    record_mark_apply(&mark, body, bytes);
    free(again);
    free(entries);
}

/* Applied twice, it says the same, and what it says of the position never less. */
static void record_tombstone(const uint8_t *body, size_t bytes)
{
    struct clg_tombstone said;
    struct clg_expiry_table table;
    uint8_t again[CLG_TOMBSTONE_BYTES];
    if (clg_tombstone_decode(body, bytes, &said) != 0) {
        return;
    }
    clg_tombstone_encode(again, &said);
    FUZZ_CHECK(bytes == sizeof(again) && memcmp(again, body, bytes) == 0);
    clg_expiry_table_init(&table, clg_os_default());
    const struct clg_tombstone other = {said.first_queue, 1, 8192};
    const struct clg_tombstone *all[] = {&said, &other, &said, &said};
    for (uint32_t i = 0; i < 4; i++) {
        FUZZ_CHECK(clg_expiry_table_prepare(&table) == 0);
        clg_expiry_table_apply(&table, all[i], CLG_POSITION_MAX - 8 * (4 - i), CLG_POSITION_MAX);
    }
    const struct clg_expiry *row = clg_expiry_find(&table, said.first_queue);
    FUZZ_CHECK(table.count == 1 && row != NULL && row->age_ms == said.age_ms);
    FUZZ_CHECK(row->below >= said.below && row->below >= other.below);
    clg_expiry_table_deinit(&table);
}

static void record_bodies(const uint8_t *body, size_t bytes)
{
    struct clg_epoch_start start;
    struct clg_batch batch;
    uint64_t first;
    uint8_t again[CLG_BATCH_BODY_BYTES];
    record_topic(body, bytes);
    record_group(body, bytes);
    record_work(body, bytes);
    record_timer(body, bytes);
    record_transaction(body, bytes);
    record_tombstone(body, bytes);
    if (clg_epoch_start_decode(body, bytes, &start) == 0) {
        clg_epoch_start_encode(again, &start);
        FUZZ_CHECK(memcmp(again, body, CLG_EPOCH_BODY_BYTES) == 0);
    }
    if (clg_first_decode(body, bytes, &first) == 0) {
        clg_first_encode(again, first);
        FUZZ_CHECK(memcmp(again, body, CLG_FIRST_BODY_BYTES) == 0);
    }
    if (clg_batch_decode(body, bytes, &batch) == 0) {
        FUZZ_CHECK(batch.count > 0 && batch.count <= CLG_BATCH_COUNT_MAX);
        FUZZ_CHECK(batch.member_bytes <= CLG_BATCH_BYTES_MAX);
        clg_batch_encode(again, &batch);
        FUZZ_CHECK(memcmp(again, body, CLG_BATCH_BODY_BYTES) == 0);
    }
}

/* What the fold takes out of the first attributes, before anybody has looked at the others. */
static void record_mark(const struct clg_record_header *header, const uint8_t *area)
{
    struct clg_producer_mark mark;
    const uint8_t *value = clg_producer_find_mark(header, area);
    (void)clg_attributes_steer(area, header->attribute_bytes);
    if (value != NULL) {
        FUZZ_CHECK(value >= area &&
                   value + CLG_PRODUCER_ATTRIBUTE_BYTES <= area + header->attribute_bytes);
        (void)clg_producer_mark_decode(value, CLG_PRODUCER_ATTRIBUTE_BYTES, &mark);
    }
}

static void record_one(const struct fuzz_file *file, uint64_t salt)
{
    struct clg_record_header header;
    uint8_t again[CLG_RECORD_HEADER_BYTES];
    uint64_t durable = 0;
    if (file->bytes < CLG_RECORD_HEADER_BYTES) {
        return;
    }
    uint64_t seed = clg_record_seed(salt, file->position);
    clg_record_decode(file->data, &header);
    memcpy(again, file->data, 4);
    clg_record_encode_header(again, &header);
    FUZZ_CHECK(memcmp(again, file->data, sizeof(again)) == 0);
    if (clg_durable_back_decode(file->position, header.durable_back, &durable)) {
        FUZZ_CHECK(durable <= file->position);
    }
    (void)clg_record_verify_claimed(file->data, seed);
    if (!clg_record_check_bounds(&header, file->bytes)) {
        return;
    }
    bool whole = clg_record_verify_header(file->data, seed);
    if (whole) {
        whole = clg_record_verify_body(&header, file->data, seed);
    }
    if (clg_record_is_filler(header.kind)) {
        return;
    }
    const uint8_t *body = clg_record_body(&header, file->data);
    record_attributes(clg_record_attributes(file->data), header.attribute_bytes);
    record_mark(&header, clg_record_attributes(file->data));
    record_bodies(body, clg_record_body_bytes(&header));
    if (whole) { /* a flipped bit in it must be seen */
        file->data[CLG_RECORD_HEADER_BYTES - 1] ^= 0x80u;
        FUZZ_CHECK(!clg_record_verify_header(file->data, seed));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bundle bundle;
    fuzz_bundle_unpack(data, size, &bundle);
    for (uint32_t i = 0; i < bundle.count; i++) {
        record_one(&bundle.files[i], bundle.options);
    }
    fuzz_bundle_free(&bundle);
    return 0;
}
