/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_delivery.c -- messages whose time has come: by reference, or whole. See timers.h.
 */
#include "store/timers.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/producer_record.h"
#include "format/timer_record.h"
#include "log/reader.h"
#include "store/reference.h"
#include "store/retain.h"

/* Upkeep delivers so many at once. */
#define TIMERS_PIECE 256u
/* A close does so many pieces at most: some ten milliseconds. */
#define TIMERS_LAST_PIECES 16
#define TIMERS_CARRY_ROOM_MS 1000
#define TIMERS_AGAIN_MS 30000

void clg_timers_reader(struct commitlog_store *store, struct clg_reader *reader)
{
    clg_reader_init(reader, store->os, clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    true);
}

/* Is it the message of this timer? What a .state says of it may be of another log. The table's time
 * is later than the message's where it could not be delivered. */
static bool timers_is_message(const struct clg_timer *timer, const struct clg_record_view *view)
{
    struct clg_deliver_at at;
    return view->header.kind == CLG_KIND_TIMER &&
           clg_attribute_is(view->attributes, view->header.attribute_bytes,
                            CLG_ATTRIBUTE_DELIVER_AT, CLG_DELIVER_AT_BYTES) &&
           clg_deliver_at_decode(view->attributes + CLG_ATTRIBUTE_HEADER_BYTES,
                                 CLG_DELIVER_AT_BYTES, &at) == COMMITLOG_OK &&
           timer->id == (at.id != 0 ? at.id : view->position) &&
           timer->queue_number == at.queue_number && timer->due_ms >= at.due_ms;
}

/* The message of a timer. COMMITLOG_EDAMAGED or COMMITLOG_ETOOSMALL: there is none. */
int clg_timers_read(struct commitlog_store *store, struct clg_reader *reader,
                    const struct clg_timer *timer, struct clg_record_view *out,
                    struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    clg_reader_begin(reader);
    int rc = clg_reader_get(reader, log, timer->position, clg_log_published(log), NULL, out, err);
    if (rc == COMMITLOG_EBEYOND) { /* behind an open reservation, or nowhere */
        rc = timer->position < clg_log_claimed(log) ? COMMITLOG_EAGAIN : COMMITLOG_EDAMAGED;
        return clg_fail(err, rc, 0, timer->position, "no timer lies there");
    }
    if (rc == COMMITLOG_OK && !timers_is_message(timer, out)) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, timer->position, "no timer lies there");
    }
    if (rc == COMMITLOG_OK &&
        clg_registry_owner(&store->core->registry, timer->queue_number, NULL) == NULL) {
        rc = clg_fail(err, COMMITLOG_ENOTFOUND, 0, timer->position,
                      "a timer for queue number %u, which no topic has", timer->queue_number);
    }
    return rc;
}

/* The message whole, as one that was delivered (kind message) or that waits still (kind timer). */
int clg_timers_append_copy(struct commitlog_store *store, const struct clg_timer *timer,
                           const struct clg_record_view *view, uint8_t kind, bool carry,
                           struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    const uint32_t bytes = view->header.attribute_bytes;
    struct clg_deliver_at at;
    bool waits = kind == CLG_KIND_TIMER;
    uint8_t *attributes = os->alloc(os, bytes);
    if (attributes == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, timer->position, "copy a timer's message");
    }
    CLG_ASSERT(bytes >= CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES);
    memcpy(attributes, view->attributes, bytes);
    int rc =
        clg_deliver_at_decode(attributes + CLG_ATTRIBUTE_HEADER_BYTES, CLG_DELIVER_AT_BYTES, &at);
    CLG_ASSERT(rc == COMMITLOG_OK); /* timers_read has */
    at.id = timer->id;
    attributes[0] = (uint8_t)(CLG_ATTRIBUTE_DELIVER_AT | (waits ? CLG_ATTRIBUTE_CRITICAL : 0));
    clg_deliver_at_encode(attributes + CLG_ATTRIBUTE_HEADER_BYTES, &at);
    struct commitlog_slice body = {view->body, view->body_bytes};
    const struct clg_append item = {.kind = kind,
                                    .queue_number = waits ? CLG_QUEUE_NONE : timer->queue_number,
                                    .takes_offset = !waits,
                                    .takes_reserve = carry,
                                    .takes_waiting = timer->position < clg_retain_next_end(store),
                                    .frees = true,
                                    .attributes = attributes,
                                    .attribute_bytes = bytes,
                                    .body = &body,
                                    .body_count = 1,
                                    .body_bytes = view->body_bytes};
    struct clg_until until = clg_store_until(store, carry ? TIMERS_CARRY_ROOM_MS : 0);
    rc = clg_store_append(store, &item, 1, until, receipt, err);
    os->free(os, attributes);
    return rc;
}

static int timers_append_reference(struct commitlog_store *store, const struct clg_timer *timer,
                                   const struct clg_record_view *view, struct commitlog_error *err)
{
    const struct clg_reference how = {
        .reason = CLG_REFERENCE_TIMER, .origin = timer->id, .origin_queue = CLG_QUEUE_NONE};
    struct clg_reference_item reference;
    struct commitlog_receipt receipt = {0};
    clg_reference_item(store, timer->queue_number, view, &how, &reference);
    reference.item.takes_waiting = timer->position < clg_retain_next_end(store);
    reference.item.frees = true;
    return clg_store_append(store, &reference.item, 1, clg_store_until(store, 0), &receipt, err);
}

int clg_timers_append_cancel(struct commitlog_store *store, const struct clg_timer *timer,
                             bool carry, struct clg_until until, struct commitlog_receipt *receipt,
                             struct commitlog_error *err)
{
    uint8_t bytes[CLG_TIMER_CANCEL_BYTES];
    clg_timer_cancel_encode(bytes, timer->id);
    struct commitlog_slice body = {bytes, sizeof(bytes)};
    const struct clg_append item = {.kind = CLG_KIND_TIMER,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .takes_reserve = carry,
                                    .takes_waiting = timer->position < clg_retain_next_end(store),
                                    .frees = true,
                                    .body = &body,
                                    .body_count = 1,
                                    .body_bytes = sizeof(bytes)};
    return clg_store_append(store, &item, 1, until, receipt, err);
}

/* The message of one is damaged or gone: it is given up, and that is said. */
int clg_timers_give_up(struct commitlog_store *store, const struct clg_timer *timer, bool carry,
                       struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    struct clg_until until = clg_store_until(store, carry ? TIMERS_CARRY_ROOM_MS : 0);
    clg_store_damage(store, store->core, timer->position, 0, CLG_QUEUE_NONE,
                     "a message that waits does not read");
    clg_wrap(err, "a delayed message cannot be delivered");
    clg_store_event(store, COMMITLOG_EVENT_ERROR, err);
    int rc = clg_timers_append_cancel(store, timer, carry, until, &receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_timer_remove(&store->timers, timer->id);
    }
    return rc;
}

/* What is wrong with this one may go by, and is nothing to the others: it is tried again later. */
static int timers_put_off(struct commitlog_store *store, const struct clg_timer *timer,
                          struct commitlog_error *err)
{
    int64_t again_ms = clg_log_time(store->core->log) / CLG_OS_NS_PER_MS + TIMERS_AGAIN_MS;
    struct clg_timer later = *timer;
    later.due_ms = again_ms < CLG_DELIVER_AT_MAX_MS ? again_ms : CLG_DELIVER_AT_MAX_MS;
    clg_timer_add(&store->timers, &later);
    clg_wrap(err, "a message that is due cannot be delivered now");
    clg_store_event(store, COMMITLOG_EVENT_WARNING, err);
    return COMMITLOG_OK;
}

/* One whose time has come. One whose message does not read is given up: it is damage, and said. */
static int timers_deliver_one(struct commitlog_store *store, struct clg_reader *reader,
                              const struct clg_timer *timer, struct commitlog_error *err)
{
    struct clg_record_view view;
    struct commitlog_receipt receipt = {0};
    int rc = clg_timers_read(store, reader, timer, &view, err);
    if (rc == COMMITLOG_EIO || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EUNSUPPORTED) {
        return timers_put_off(store, timer, err);
    }
    if (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_ETOOSMALL) {
        return clg_timers_give_up(store, timer, false, err);
    }
    if (rc == COMMITLOG_OK && clg_reference_is_short_lived(store, &view)) {
        rc = clg_timers_append_copy(store, timer, &view, CLG_KIND_MESSAGE, false, &receipt, err);
        clg_count(store, CLG_COUNT_TIMER_COPIES, rc == COMMITLOG_OK);
        if (rc == COMMITLOG_ETOOBIG) { /* segments have become smaller */
            rc = timers_append_reference(store, timer, &view, err);
        }
    } else if (rc == COMMITLOG_OK) {
        rc = timers_append_reference(store, timer, &view, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_timer_remove(&store->timers, timer->id);
        clg_count(store, CLG_COUNT_TIMERS_DELIVERED, 1);
    }
    return rc;
}

int clg_timers_deliver(struct commitlog_store *store, int64_t *out_wait_ns,
                       struct commitlog_error *err)
{
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    uint32_t delivered = 0;
    *out_wait_ns = INT64_MAX;
    clg_mutex_lock(store->os, &store->timer_lock);
    clg_timers_reader(store, &reader);
    struct clg_timer first;
    bool some = clg_timer_at(&store->timers, 0, &first);
    int64_t now = some ? clg_log_time(store->core->log) : 0;
    while (rc == COMMITLOG_OK && some && delivered < TIMERS_PIECE &&
           first.due_ms * CLG_OS_NS_PER_MS <= now + (CLG_PLANTED(TIMER_EARLY) ? 500000000 : 0)) {
        rc = timers_deliver_one(store, &reader, &first, err);
        delivered++;
        some = clg_timer_at(&store->timers, 0, &first);
    }
    if (some) {
        int64_t wait = first.due_ms * CLG_OS_NS_PER_MS - now;
        *out_wait_ns = wait > 0 ? wait : 0;
    }
    clg_reader_end(&reader);
    (void)clg_timers_note_due(store);
    clg_mutex_unlock(store->os, &store->timer_lock);
    return rc == COMMITLOG_ETIMEDOUT ? COMMITLOG_EAGAIN : rc;
}

void clg_timers_deliver_last(struct commitlog_store *store)
{
    struct commitlog_error ignored;
    int64_t wait_ns = 0;
    int rc = COMMITLOG_OK;
    clg_error_clear(&ignored);
    for (int i = 0; rc == COMMITLOG_OK && wait_ns == 0 && i < TIMERS_LAST_PIECES; i++) {
        rc = clg_timers_deliver(store, &wait_ns, &ignored);
    }
}
