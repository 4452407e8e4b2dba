/* timers.c -- see timers.h. */
#include "store/timers.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/reference_record.h"
#include "format/timer_record.h"
#include "log/reader.h"

/* Upkeep delivers so many at once. */
#define TIMERS_PIECE 256u
/* A close does so many pieces at most: some ten milliseconds. */
#define TIMERS_LAST_PIECES 16
#define TIMERS_CARRY_ROOM_MS 1000
#define TIMERS_HASHES_BYTES (CLG_ATTRIBUTE_HEADER_BYTES + 8u * CLG_RECORD_KEYS_MAX)

/* When the first one is due, for upkeep to look at without the lock; true: sooner than before. */
static bool timers_note_due(struct commitlog_store *store)
{
    struct clg_timer first;
    bool some = clg_timer_at(&store->timers, 0, &first);
    uint64_t due_ms = some ? (uint64_t)first.due_ms : UINT64_MAX;
    uint64_t before = clg_load_relaxed_u64(&store->timer_due_ms);
    clg_store_relaxed_u64(&store->timer_due_ms, due_ms);
    return due_ms < before;
}

bool clg_timers_have_changed(const struct commitlog_store *store)
{
    return clg_load_relaxed_u64(&store->timer_due_ms) != store->timer_seen_ms;
}

static int timers_take(void *ctx, const struct clg_timer_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_timer_table_copy(&store->timers, table);
}

int clg_timers_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_timer_table_init(&store->timers, store->os);
    int rc = clg_fold_timers(store->core->fold, timers_take, store);
    (void)timers_note_due(store);
    return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "timers: out of memory");
}

void clg_timers_deinit(struct commitlog_store *store)
{
    if (store->timers.os != NULL) {
        clg_timer_table_deinit(&store->timers);
    }
}

int clg_timers_check(struct commitlog_store *store, int64_t due_ms, bool *out_waits,
                     struct commitlog_error *err)
{
    if (due_ms < 0) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, CLG_NO_POSITION,
                        "deliver_at_ms %lld is before 1970", (long long)due_ms);
    }
    if (due_ms > CLG_DELIVER_AT_MAX_MS) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "deliver_at_ms %lld is behind the end of store times", (long long)due_ms);
    }
    *out_waits = due_ms * CLG_OS_NS_PER_MS > clg_log_time(store->core->log);
    return COMMITLOG_OK;
}

/* When and where to, of an item that waits; what encode.c has put first. */
static bool timers_mark(const struct clg_append *item, struct clg_deliver_at *out)
{
    return item->kind == CLG_KIND_TIMER && item->attribute_bytes > CLG_ATTRIBUTE_HEADER_BYTES &&
           clg_deliver_at_decode(item->attributes + CLG_ATTRIBUTE_HEADER_BYTES,
                                 CLG_DELIVER_AT_BYTES, out) == COMMITLOG_OK;
}

int clg_timers_append(struct commitlog_store *store, const struct clg_append *items, uint32_t count,
                      int64_t deadline_mono_ns, struct commitlog_receipt *receipts,
                      struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    struct clg_deliver_at at;
    clg_mutex_lock(store->os, &store->timer_lock);
    rc = clg_timer_table_prepare(&store->timers, count);
    if (rc != COMMITLOG_OK) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "a timer");
    } else {
        rc = clg_store_append(store, items, count, deadline_mono_ns, receipts, err);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        if (timers_mark(&items[i], &at)) {
            const struct clg_timer timer = {
                .id = receipts[i].position,
                .position = receipts[i].position,
                .due_ms = at.due_ms,
                .queue_number = at.queue_number,
                .size = (uint32_t)(receipts[i].end_position - receipts[i].position)};
            clg_timer_add(&store->timers, &timer);
        }
    }
    if (rc == COMMITLOG_OK && timers_note_due(store)) {
        clg_fence_seqcst(); /* ORDER(timer-1): the time is there before the thread's word is read */
        clg_services_notify(store, COMMITLOG_LEVEL_NONE);
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    return rc;
}

/* ---- delivery ---- */

static void timers_reader(struct commitlog_store *store, struct clg_reader *reader)
{
    clg_reader_init(reader, store->os, clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    true);
}

/* The message of a timer. */
static int timers_read(struct commitlog_store *store, struct clg_reader *reader,
                       const struct clg_timer *timer, struct clg_record_view *out,
                       struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    clg_reader_begin(reader);
    int rc = clg_reader_get(reader, log, timer->position, clg_log_published(log), NULL, out, err);
    if (rc == COMMITLOG_OK && out->header.kind != CLG_KIND_TIMER) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, timer->position, "no timer lies there");
    }
    return rc;
}

/* The message whole, as one that was delivered (kind message) or that waits still (kind timer). */
static int timers_append_copy(struct commitlog_store *store, const struct clg_timer *timer,
                              const struct clg_record_view *view, uint8_t kind, bool carry,
                              struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    const uint32_t bytes = view->header.attribute_bytes;
    const struct clg_deliver_at at = {
        .due_ms = timer->due_ms, .id = timer->id, .queue_number = timer->queue_number};
    bool waits = kind == CLG_KIND_TIMER;
    uint8_t *attributes = os->alloc(os, bytes);
    if (attributes == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, timer->position, "copy a timer's message");
    }
    CLG_ASSERT(bytes >= CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES);
    memcpy(attributes, view->attributes, bytes);
    attributes[0] = (uint8_t)(CLG_ATTRIBUTE_DELIVER_AT | (waits ? CLG_ATTRIBUTE_CRITICAL : 0));
    clg_deliver_at_encode(attributes + CLG_ATTRIBUTE_HEADER_BYTES, &at);
    struct commitlog_slice body = {view->body, view->body_bytes};
    const struct clg_append item = {.kind = kind,
                                    .queue_number = waits ? CLG_QUEUE_NONE : timer->queue_number,
                                    .takes_offset = !waits,
                                    .takes_reserve = carry,
                                    .attributes = attributes,
                                    .attribute_bytes = bytes,
                                    .body = &body,
                                    .body_count = 1,
                                    .body_bytes = view->body_bytes};
    int64_t deadline = clg_store_deadline(store, carry ? TIMERS_CARRY_ROOM_MS : 0);
    int rc = clg_store_append(store, &item, 1, deadline, receipt, err);
    os->free(os, attributes);
    return rc;
}

/* An attribute with the hashes of the message's keys in the topic of the queue; bytes of it. */
static uint32_t timers_key_hashes(struct commitlog_store *store, uint32_t queue_number,
                                  const struct clg_record_view *view,
                                  uint8_t out[TIMERS_HASHES_BYTES])
{
    const struct clg_queue *queue = clg_registry_queue(&store->core->registry, queue_number);
    if (queue == NULL || queue->owner == 0) {
        return 0;
    }
    const struct clg_topic *topic = clg_registry_topic(&store->core->registry, queue->owner - 1);
    uint8_t hashes[8 * CLG_RECORD_KEYS_MAX];
    uint32_t count = 0;
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    clg_attribute_iterator_init(&iterator, view->attributes, view->header.attribute_bytes);
    while (count < CLG_RECORD_KEYS_MAX && clg_attribute_next(&iterator, &attribute) == 1) {
        if (attribute.type == CLG_ATTRIBUTE_KEY) {
            uint64_t hash = clg_key_hash(topic->name_hash, attribute.value, attribute.bytes);
            clg_store_le64(hashes + 8 * (size_t)count++, hash);
        }
    }
    if (count == 0) {
        return 0;
    }
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, out, TIMERS_HASHES_BYTES);
    int rc = clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY_HASHES, hashes, 8 * (size_t)count);
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    return (uint32_t)writer.used;
}

static int timers_append_reference(struct commitlog_store *store, const struct clg_timer *timer,
                                   const struct clg_record_view *view, struct commitlog_error *err)
{
    struct clg_attribute tag = {0};
    bool tagged = clg_attributes_tag(view->attributes, view->header.attribute_bytes, &tag) == 1;
    const struct clg_reference reference = {.position = timer->position,
                                            .header_check = view->header.header_check,
                                            .tag_hash =
                                                tagged ? clg_tag_hash(tag.value, tag.bytes) : 0,
                                            .reason = CLG_REFERENCE_TIMER,
                                            .origin = timer->id,
                                            .origin_queue = CLG_QUEUE_NONE};
    uint8_t bytes[CLG_REFERENCE_BODY_BYTES];
    uint8_t attributes[TIMERS_HASHES_BYTES];
    clg_reference_encode(bytes, &reference);
    struct commitlog_slice body = {bytes, sizeof(bytes)};
    const struct clg_append item = {
        .kind = CLG_KIND_REFERENCE,
        .queue_number = timer->queue_number,
        .takes_offset = true,
        .attributes = attributes,
        .attribute_bytes = timers_key_hashes(store, timer->queue_number, view, attributes),
        .body = &body,
        .body_count = 1,
        .body_bytes = sizeof(bytes)};
    struct commitlog_receipt receipt = {0};
    return clg_store_append(store, &item, 1, clg_store_deadline(store, 0), &receipt, err);
}

/* In the older half of what is kept, and not in the segment that retention never takes. */
static bool timers_is_old(const struct clg_log *log, uint64_t position)
{
    uint64_t first = clg_log_first(log);
    return position < clg_log_active_base(log) &&
           position < first + (clg_log_claimed(log) - first) / 2;
}

static int timers_append_cancel(struct commitlog_store *store, uint64_t id, int64_t deadline,
                                bool carry, struct commitlog_receipt *receipt,
                                struct commitlog_error *err)
{
    uint8_t bytes[CLG_TIMER_CANCEL_BYTES];
    clg_timer_cancel_encode(bytes, id);
    struct commitlog_slice body = {bytes, sizeof(bytes)};
    const struct clg_append item = {.kind = CLG_KIND_TIMER,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .takes_reserve = carry,
                                    .body = &body,
                                    .body_count = 1,
                                    .body_bytes = sizeof(bytes)};
    return clg_store_append(store, &item, 1, deadline, receipt, err);
}

/* Its message does not read, and will not: that is damage, and is said; nothing waits any more. */
static int timers_give_up(struct commitlog_store *store, const struct clg_timer *timer,
                          int64_t deadline, bool carry, struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    clg_store_damage(store, store->core, timer->position, 0, CLG_QUEUE_NONE,
                     "a message that waits does not read");
    clg_wrap(err, "a message that waits is given up");
    clg_store_event(store, COMMITLOG_EVENT_ERROR, err);
    return timers_append_cancel(store, timer->id, deadline, carry, &receipt, err);
}

static bool timers_is_lost(int rc)
{
    return rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_ETOOSMALL;
}

/* One whose time has come. */
static int timers_deliver_one(struct commitlog_store *store, struct clg_reader *reader,
                              const struct clg_timer *timer, struct commitlog_error *err)
{
    struct clg_record_view view;
    struct commitlog_receipt receipt = {0};
    int rc = timers_read(store, reader, timer, &view, err);
    bool lost = timers_is_lost(rc);
    if (rc == COMMITLOG_EBEYOND) {
        return COMMITLOG_EAGAIN; /* behind an open reservation: not to be read yet */
    }
    if (lost) {
        rc = timers_give_up(store, timer, clg_store_deadline(store, 0), false, err);
    } else if (rc == COMMITLOG_OK && timers_is_old(store->core->log, timer->position)) {
        rc = timers_append_copy(store, timer, &view, CLG_KIND_MESSAGE, false, &receipt, err);
        clg_count(store, CLG_COUNT_TIMER_COPIES, rc == COMMITLOG_OK);
    } else if (rc == COMMITLOG_OK) {
        rc = timers_append_reference(store, timer, &view, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_timer_remove(&store->timers, timer->id);
        clg_count(store, CLG_COUNT_TIMERS_DELIVERED, !lost);
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
    timers_reader(store, &reader);
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
    (void)timers_note_due(store);
    store->timer_seen_ms = clg_load_relaxed_u64(&store->timer_due_ms);
    clg_mutex_unlock(store->os, &store->timer_lock);
    if (delivered > 0) {
        clg_store_announce(store);
    }
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

int32_t commitlog_timer_cancel(struct commitlog_store *store, uint64_t timer, uint32_t level,
                               struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK && store->read_only) {
        rc = COMMITLOG_EMISUSE;
    } else if (rc == COMMITLOG_OK && level > COMMITLOG_LEVEL_DURABLE) {
        rc = COMMITLOG_EINVAL;
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "cancel a timer");
    }
    struct commitlog_receipt receipt = {0};
    int64_t deadline = clg_store_deadline(store, COMMITLOG_FOREVER);
    clg_mutex_lock(store->os, &store->timer_lock);
    if (!clg_timer_find(&store->timers, timer, NULL)) {
        rc = clg_fail(err, COMMITLOG_ENOTFOUND, 0, timer,
                      "no message waits that was stored at %llu: delivered, cancelled or never",
                      (unsigned long long)timer);
    } else {
        rc = timers_append_cancel(store, timer, deadline, false, &receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_timer_remove(&store->timers, timer);
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    return rc == COMMITLOG_OK ? clg_append_finish(store, clg_append_level(store, level), 1,
                                                  deadline, 0, &receipt, err)
                              : rc;
}

/* ---- what is asked of them ---- */

struct timers_ask {
    uint32_t index;
    struct clg_timer timer;
};

static int timers_look(void *ctx, const struct clg_timer_table *table)
{
    struct timers_ask *ask = ctx;
    return clg_timer_at(table, ask->index, &ask->timer) ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

/* The writer's table, or what is folded of the log. *core: of which the answer speaks. */
static int timers_ask_core(struct commitlog_store *store, struct clg_core **core,
                           struct timers_ask *ask)
{
    if (!store->read_only) {
        clg_mutex_lock(store->os, &store->timer_lock);
        int rc = timers_look(ask, &store->timers);
        clg_mutex_unlock(store->os, &store->timer_lock);
        return rc;
    }
    uint64_t visible = 0;
    int rc = clg_store_fold_now(store, core, &visible, NULL);
    return rc == COMMITLOG_OK ? clg_fold_timers((*core)->fold, timers_look, ask) : rc;
}

static void timers_fill_info(const struct clg_registry *registry, const struct clg_timer *timer,
                             struct commitlog_timer_info *out)
{
    const struct clg_queue *queue = clg_registry_queue(registry, timer->queue_number);
    *out = (struct commitlog_timer_info){.struct_bytes = sizeof(*out),
                                         .topic = UINT32_MAX,
                                         .queue = UINT32_MAX,
                                         .timer = timer->id,
                                         .position = timer->position,
                                         .deliver_at_ms = timer->due_ms};
    if (queue != NULL && queue->owner != 0) {
        out->topic = queue->owner - 1;
        out->queue = timer->queue_number - clg_registry_topic(registry, out->topic)->first_queue;
    }
}

int32_t commitlog_timer_at(struct commitlog_store *store, uint32_t index,
                           struct commitlog_timer_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct timers_ask ask = {.index = index};
    struct clg_core *core = clg_store_core(store);
    rc = timers_ask_core(store, &core, &ask);
    if (rc == COMMITLOG_OK) {
        struct commitlog_timer_info info;
        timers_fill_info(&core->registry, &ask.timer, &info);
        clg_copy_out(out, &info, sizeof(info));
    }
    clg_core_unref(core);
    return rc;
}

int64_t commitlog_delay_level_ms(uint32_t level)
{
    static const int32_t seconds[] = {0,   1,   5,   10,  30,  60,   120,  180,  240, 300,
                                      360, 420, 480, 540, 600, 1200, 1800, 3600, 7200};
    const uint32_t last = sizeof(seconds) / sizeof(seconds[0]) - 1;
    return (int64_t)seconds[level < last ? level : last] * 1000;
}

/* ---- retention ---- */

uint64_t clg_timers_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total)
{
    struct clg_timer timer;
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->timer_lock);
    for (uint32_t cursor = 0; clg_timer_next(&store->timers, &cursor, &timer);) {
        bytes += timer.position < end ? timer.size : 0;
    }
    *out_total = store->timers.bytes;
    clg_mutex_unlock(store->os, &store->timer_lock);
    return bytes;
}

static int timers_carry_one(struct commitlog_store *store, struct clg_reader *reader,
                            const struct clg_timer *timer, uint64_t *bytes,
                            struct commitlog_error *err)
{
    struct clg_record_view view;
    struct commitlog_receipt receipt = {0};
    struct clg_timer carried = *timer;
    int rc = timers_read(store, reader, timer, &view, err);
    if (timers_is_lost(rc)) {
        int64_t deadline = clg_store_deadline(store, TIMERS_CARRY_ROOM_MS);
        rc = timers_give_up(store, timer, deadline, true, err);
        if (rc == COMMITLOG_OK) {
            clg_timer_remove(&store->timers, timer->id);
        }
        return rc;
    }
    if (rc == COMMITLOG_OK) {
        rc = timers_append_copy(store, timer, &view, CLG_KIND_TIMER, true, &receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        carried.position = receipt.position;
        carried.size = (uint32_t)(receipt.end_position - receipt.position);
        clg_timer_add(&store->timers, &carried);
        *bytes += receipt.end_position - receipt.position;
        clg_count(store, CLG_COUNT_TIMER_COPIES, 1);
    }
    return rc;
}

int clg_timers_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                     struct commitlog_error *err)
{
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    struct clg_timer timer;
    timers_reader(store, &reader);
    clg_mutex_lock(store->os, &store->timer_lock);
    for (uint32_t cursor = 0;
         rc == COMMITLOG_OK && clg_timer_next(&store->timers, &cursor, &timer);) {
        if (timer.position < end && !CLG_PLANTED(TIMER_UNCARRIED)) {
            rc = timers_carry_one(store, &reader, &timer, out_bytes, err);
        }
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    clg_reader_end(&reader);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: timers cannot be carried forward");
    }
    return rc;
}
