/*
 * reserve.c -- an append in two steps: the caller writes the body in place.
 *
 * Between them the record's word says CLAIMED and its header is complete and checked, so that a
 * recovery which finds the writer dead in the middle knows size, queue and offset, and can make a
 * hole of it. `published` waits at the oldest reservation.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "log/commit_log_internal.h"

uint64_t clg_log_reserve_max(const struct clg_log *log)
{
    uint64_t limit = log->ring != NULL ? log->ring_bytes / 4 : log->segment_bytes / 4;
    if (log->flush_align_bytes != 0) {
        limit = clg_min_u64(limit, log->segment_bytes / 4); /* a filler lies before it, too */
    }
    return limit - CLG_RECORD_HEADER_BYTES - CLG_RECORD_ALIGN;
}

uint64_t clg_log_record_max(const struct clg_log *log)
{
    /* Before it lies the epoch start, behind it a pad. */
    return log->segment_bytes - CLG_SEGMENT_GAP - clg_record_bytes(0, CLG_EPOCH_BODY_BYTES) -
           2 * CLG_RECORD_HEADER_BYTES - CLG_RECORD_ALIGN - log->flush_align_bytes;
}

static void reserve_build(struct clg_log *log, const struct clg_append *item, uint32_t size,
                          struct clg_reserved *out)
{
    uint64_t position = log->position;
    uint8_t *record = log->engine->place(log, position);
    struct clg_queue *queue = clg_registry_queue(log->registry, item->queue_number);
    CLG_ASSERT(queue != NULL && item->takes_offset);
    int64_t now = clg_claim_time(log);
    uint8_t padding = clg_record_padding(item->attribute_bytes, item->body_bytes);
    if (item->attribute_bytes > 0) {
        memcpy(record + CLG_RECORD_HEADER_BYTES, item->attributes, item->attribute_bytes);
    }
    memset(record + size - padding, 0, padding);
    struct clg_record_header header = {
        .queue_offset = queue->next_offset++,
        .store_time = now,
        .epoch = log->epoch,
        .queue_number = item->queue_number,
        .durable_back = clg_durable_back_encode(position, clg_live_load(&log->shared->durable)),
        .attribute_bytes = (uint16_t)item->attribute_bytes,
        .kind = item->kind,
        .flags = padding};
    clg_record_encode_header(record, &header);
    (void)clg_record_seal_header(record, size, clg_record_seed(log->active->salt, position));
    clg_word_store(record, clg_record_word(size, CLG_RECORD_CLAIMED));
    out->position = position;
    out->bytes = size;
    out->record = record;
    out->salt = log->active->salt;
    out->receipt = (struct commitlog_receipt){.position = position,
                                              .end_position = position + size,
                                              .queue_offset = header.queue_offset,
                                              .store_time_ns = now,
                                              .epoch = log->epoch,
                                              .level = COMMITLOG_LEVEL_NONE};
    clg_claim_advance(log, size, 1, now);
    log->reserved++;
}

int clg_log_reserve(struct clg_log *log, const struct clg_append *item, struct clg_reserved *out,
                    uint8_t **out_body, struct commitlog_error *err)
{
    CLG_ASSERT(item->attribute_bytes + item->body_bytes <= clg_log_reserve_max(log));
    uint32_t size = clg_append_bytes(item);
    int rc = clg_claim_check_size(log, size, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_mutex_lock(log->os, &log->claim_lock);
    uint64_t filler = log->flush_align_bytes != 0 ? clg_claim_tail(log) : 0;
    rc = clg_claim_prepare(log, item, 1, size + filler, false, err);
    if (rc == COMMITLOG_OK) {
        if (!CLG_PLANTED(RESERVE_UNALIGNED)) {
            clg_claim_align(log); /* a flush may have to end before it */
        }
        clg_publish(log); /* definitions before it are published; walks only while others hold */
        reserve_build(log, item, size, out);
        clg_live_store(&log->shared->claimed, log->position);
        *out_body = out->record + CLG_RECORD_HEADER_BYTES + item->attribute_bytes;
    }
    clg_mutex_unlock(log->os, &log->claim_lock);
    clg_publish_wake(log);
    return rc;
}

static void reserve_end(struct clg_log *log, const struct clg_reserved *reserved, uint32_t word,
                        bool committed)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    CLG_ASSERT(log->reserved > 0);
    if (committed) {
        clg_append_count(log, 1, reserved->bytes);
    }
    clg_word_store(reserved->record, word);
    clg_publish(log); /* walks: others may still hold theirs */
    log->reserved--;
    if (log->reserved == 0) {
        clg_publish(log);
    }
    clg_mutex_unlock(log->os, &log->claim_lock);
    clg_publish_wake(log);
    clg_room_changed(log);
}

int clg_log_commit_reserved(struct clg_log *log, const struct clg_reserved *reserved,
                            struct commitlog_error *err)
{
    int rc = clg_log_failure(log, err);
    if (rc != COMMITLOG_OK) {
        clg_log_abort_reserved(log, reserved);
        return rc;
    }
    uint64_t seed = clg_record_seed(reserved->salt, reserved->position);
    uint32_t word = clg_record_seal(reserved->record, (uint32_t)reserved->bytes, seed);
    reserve_end(log, reserved, word, true);
    return COMMITLOG_OK;
}

/*
 * The header turns into a hole's in two stores, the check first: at any instant in between a
 * recovery that finds the word still CLAIMED can tell what was meant (clg_record_verify_claimed).
 */
void clg_log_abort_reserved(struct clg_log *log, const struct clg_reserved *reserved)
{
    uint8_t *record = reserved->record;
    /* What the caller wrote, or what the ring held before, is no business of the disk's. */
    memset(record + CLG_RECORD_HEADER_BYTES, 0, reserved->bytes - CLG_RECORD_HEADER_BYTES);
    struct clg_record_header header;
    clg_record_decode(record, &header);
    header.kind = CLG_KIND_HOLE;
    header.attribute_bytes = 0;
    header.flags = 0;
    header.check = 0;
    _Alignas(8) uint8_t hole[CLG_RECORD_HEADER_BYTES];
    clg_record_encode_header(hole, &header);
    uint64_t seed = clg_record_seed(reserved->salt, reserved->position);
    uint32_t word = clg_record_seal_header(hole, (uint32_t)reserved->bytes, seed);
    memcpy(record + CLG_RECORD_AT_HEADER_CHECK, hole + CLG_RECORD_AT_HEADER_CHECK, 4);
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(record + CLG_RECORD_AT_ATTRIBUTE_BYTES, hole + CLG_RECORD_AT_ATTRIBUTE_BYTES, 4);
    reserve_end(log, reserved, word, false);
}

/* The oldest of those that are open: `published` waits at it. */
static int reserve_oldest(const struct clg_log *log, struct clg_reserved *out,
                          struct commitlog_error *err)
{
    uint64_t position = clg_live_load(&log->shared->published);
    struct clg_segment *segment = NULL;
    int rc = clg_segment_set_pin(log->set, position, &segment);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, position, "give up a reservation");
    }
    bool elsewhere = log->engine->writes_through && segment != log->active;
    out->position = position;
    out->salt = segment->salt;
    out->record = elsewhere ? segment->write_map + (position - segment->base)
                            : log->engine->place(log, position);
    uint32_t word = clg_word_load(out->record);
    CLG_ASSERT(clg_record_state(word) == CLG_RECORD_CLAIMED);
    out->bytes = clg_record_size(word);
    clg_segment_unref(segment); /* the set holds it: it is not sealed yet */
    return COMMITLOG_OK;
}

int clg_log_abort_open(struct clg_log *log, struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK && log->reserved > 0) {
        struct clg_reserved oldest = {0};
        rc = reserve_oldest(log, &oldest, err);
        if (rc == COMMITLOG_OK) {
            clg_log_abort_reserved(log, &oldest);
        }
    }
    return rc;
}
