/*
 * appender.c -- building records, and the ordinary append.
 *
 * Claim, copy, hash, commit and publish happen inside one short lock: measured as fast as outside
 * it (the machines we have share a core between two threads), and nobody ever waits for another
 * producer's copy. Reservations (reserve.c) and records too large for the ring (large.c) are apart.
 */
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "format/topic_record.h"
#include "log/commit_log_internal.h"

#define APPENDER_CHECKS_ON_STACK 64u

void clg_word_store(uint8_t *record, uint32_t word)
{
    CLG_ASSERT(((uintptr_t)record & 3u) == 0);
    /* ORDER(word-1) release: who sees the word sees the record. */
    atomic_store_explicit((_Atomic uint32_t *)(void *)record, CLG_LE32(word), memory_order_release);
}

uint32_t clg_word_load(const uint8_t *record)
{
    /* ORDER(word-1) acquire */
    uint32_t word =
        atomic_load_explicit((const _Atomic uint32_t *)(const void *)record, memory_order_acquire);
    return CLG_LE32(word);
}

uint32_t clg_append_bytes(const struct clg_append *item)
{
    return clg_record_bytes(item->attribute_bytes, item->body_bytes);
}

uint32_t clg_record_build(struct clg_log *log, uint8_t *record, uint64_t position,
                          const struct clg_append *item, uint8_t member, uint64_t queue_offset,
                          int64_t store_time, uint64_t *out_check)
{
    uint32_t size = clg_append_bytes(item);
    uint8_t padding = clg_record_padding(item->attribute_bytes, item->body_bytes);
    CLG_ASSERT(size >= CLG_RECORD_MIN && clg_is_aligned(position, CLG_RECORD_ALIGN));
    uint8_t *at = record + CLG_RECORD_HEADER_BYTES;
    if (item->attribute_bytes > 0) {
        memcpy(at, item->attributes, item->attribute_bytes);
        at += item->attribute_bytes;
    }
    for (uint32_t i = 0; i < item->body_count; i++) {
        if (item->body[i].bytes > 0) {
            memcpy(at, item->body[i].data, item->body[i].bytes);
            at += item->body[i].bytes;
        }
    }
    memset(at, 0, padding);
    CLG_ASSERT(at + padding == record + size);
    struct clg_record_header header = {
        .queue_offset = queue_offset,
        .store_time = store_time,
        .epoch = log->epoch,
        .queue_number = item->queue_number,
        .durable_back = clg_durable_back_encode(position, clg_live_load(&log->shared->durable)),
        .attribute_bytes = (uint16_t)item->attribute_bytes,
        .kind = item->kind,
        .flags = padding | member};
    clg_record_encode_header(record, &header);
    uint32_t word = clg_record_seal(record, size, clg_record_seed(log->active->salt, position));
    *out_check = clg_load_le64(record + CLG_RECORD_AT_CHECK);
    return word;
}

static uint64_t appender_take_offset(struct clg_log *log, const struct clg_append *item)
{
    if (!item->takes_offset) {
        return 0;
    }
    struct clg_queue *queue = clg_registry_queue(log->registry, item->queue_number);
    CLG_ASSERT(queue != NULL);
    return queue->next_offset++;
}

uint32_t clg_appender_build(struct clg_log *log, uint8_t *at, uint64_t position,
                            const struct clg_append *items, uint32_t count, uint64_t bytes,
                            uint8_t *checks, struct commitlog_receipt *receipts)
{
    CLG_ASSERT(count >= 1 && bytes > 0);
    int64_t now = clg_claim_time(log);
    const uint32_t header_bytes = count > 1 ? clg_record_bytes(0, CLG_BATCH_BODY_BYTES) : 0;
    const uint8_t member = count > 1 ? CLG_RECORD_MEMBER : 0;
    uint64_t used = header_bytes;
    uint32_t first_word = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = appender_take_offset(log, &items[i]);
        uint64_t check;
        uint32_t word = clg_record_build(log, at + used, position + used, &items[i], member, offset,
                                         now, &check);
        if (count > 1) {
            clg_word_store(at + used, word);
            clg_store_le64(checks + 8 * (size_t)i, check);
        } else {
            first_word = word;
        }
        receipts[i] = (struct commitlog_receipt){.position = position + used,
                                                 .end_position = position + bytes,
                                                 .queue_offset = offset,
                                                 .store_time_ns = now,
                                                 .epoch = log->epoch,
                                                 .level = COMMITLOG_LEVEL_NONE};
        used += clg_record_size(word);
    }
    CLG_ASSERT(used == bytes);
    if (count > 1) {
        struct clg_batch batch = {count, bytes - header_bytes,
                                  clg_hash64(checks, 8 * (size_t)count, 0)};
        uint8_t body[CLG_BATCH_BODY_BYTES];
        clg_batch_encode(body, &batch);
        struct commitlog_slice slice = {body, sizeof(body)};
        struct clg_append header = {.kind = CLG_KIND_BATCH,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = sizeof(body)};
        uint64_t check;
        first_word = clg_record_build(log, at, position, &header, 0, 0, now, &check);
    }
    return first_word;
}

void clg_append_count(struct clg_log *log, uint32_t count, uint64_t bytes)
{
    CLG_ASSERT(clg_mutex_is_held(&log->claim_lock));
    /* Under the lock a plain addition does, at a fifth of an atomic one's cost. */
    _Atomic uint64_t *counters = log->shared->counters;
    clg_store_relaxed_u64(&counters[CLG_LIVE_COUNT_APPENDS],
                          clg_load_relaxed_u64(&counters[CLG_LIVE_COUNT_APPENDS]) + count);
    clg_store_relaxed_u64(&counters[CLG_LIVE_COUNT_APPENDED_BYTES],
                          clg_load_relaxed_u64(&counters[CLG_LIVE_COUNT_APPENDED_BYTES]) + bytes);
}

void clg_append_count_items(struct clg_log *log, const struct clg_append *items, uint32_t count,
                            uint64_t bytes)
{
    uint32_t counted = 0;
    for (uint32_t i = 0; i < count; i++) {
        counted += items[i].takes_offset;
    }
    if (counted > 0) {
        clg_append_count(log, counted, bytes);
    }
}

/* Once the ring is half full its appender helps to drain it, unless somebody does already. */
static int appender_help_drain(struct clg_log *log, struct commitlog_error *err)
{
    if (clg_log_staged_bytes(log) < log->ring_bytes / 2 || !clg_mutex_trylock(&log->drain_lock)) {
        return COMMITLOG_OK;
    }
    int rc = clg_drain_locked(log, UINT64_MAX, CLG_DRAIN_PIECE_BYTES, err);
    clg_mutex_unlock(log->os, &log->drain_lock);
    return rc;
}

static inline int appender_locked(struct clg_log *log, const struct clg_append *items,
                                  uint32_t count, uint64_t bytes, uint8_t *checks,
                                  struct commitlog_receipt *receipts, struct commitlog_error *err)
{
    CLG_ASSERT(clg_mutex_is_held(&log->claim_lock));
    int rc = clg_claim_prepare(log, items, count, bytes, false, err);
    if (rc == COMMITLOG_OK) {
        uint8_t *at = log->engine->place(log, log->position);
        uint32_t word =
            clg_appender_build(log, at, log->position, items, count, bytes, checks, receipts);
        clg_word_store(at, word);
        if (CLG_PLANTED(HALF_BATCH) && count > 1 && log->reserved == 0) { /* member by member */
            clg_live_store(&log->shared->claimed, log->position + bytes);
            clg_live_store(&log->shared->published, receipts[1].position);
        }
        clg_claim_advance(log, bytes, count + (count > 1 ? 1u : 0u), receipts[0].store_time_ns);
        clg_publish(log);
        clg_append_count_items(log, items, count, bytes);
    }
    return rc;
}

static int appender_append(struct clg_log *log, const struct clg_append *items, uint32_t count,
                           uint64_t bytes, uint8_t *checks, struct commitlog_receipt *receipts,
                           struct commitlog_error *err)
{
    if (log->ring != NULL && bytes > log->ring_bytes / 2) {
        return clg_large_append(log, items, count, bytes, checks, receipts, err);
    }
    clg_mutex_lock(log->os, &log->claim_lock);
    int rc = appender_locked(log, items, count, bytes, checks, receipts, err);
    clg_mutex_unlock(log->os, &log->claim_lock);
    clg_publish_wake(log);
    if (rc == COMMITLOG_OK && log->ring != NULL) {
        /* A failing drain is latched; the record itself is stored in the stage. */
        (void)appender_help_drain(log, NULL);
    }
    return rc;
}

int clg_appender_locked(struct clg_log *log, const struct clg_append *items, uint32_t count,
                        uint64_t bytes, uint8_t *checks, struct commitlog_receipt *receipts,
                        struct commitlog_error *err)
{
    return appender_locked(log, items, count, bytes, checks, receipts, err);
}

int clg_log_append(struct clg_log *log, const struct clg_append *items, uint32_t count,
                   struct commitlog_receipt *receipts, struct commitlog_error *err)
{
    CLG_ASSERT(count >= 1 && receipts != NULL);
    uint64_t bytes = count > 1 ? clg_record_bytes(0, CLG_BATCH_BODY_BYTES) : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = clg_append_bytes(&items[i]);
        if (size == 0 || (bytes += size) > CLG_BATCH_BYTES_MAX) {
            return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                            "a record or batch of more than %u bytes", CLG_RECORD_MAX);
        }
    }
    int sized = clg_claim_check_size(log, bytes, err);
    if (sized != COMMITLOG_OK) {
        return sized;
    }
    uint8_t on_stack[8 * APPENDER_CHECKS_ON_STACK];
    uint8_t *checks = on_stack;
    if (count > APPENDER_CHECKS_ON_STACK) {
        checks = log->os->alloc(log->os, 8 * (size_t)count);
        if (checks == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a batch of %u records",
                            count);
        }
    }
    int rc = appender_append(log, items, count, bytes, checks, receipts, err);
    if (checks != on_stack) {
        log->os->free(log->os, checks);
    }
    return rc;
}
