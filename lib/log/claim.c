/*
 * claim.c -- the place of a record: position, store time, and what has to lie before it.
 *
 * Invariants: 1. a record never crosses a segment and leaves room for the pad that closes it, and,
 * where flushes end at blocks, in segment and ring for the filler up to the next block;
 *       2. before the first record of a topic in a segment lie the definitions of all its steps,
 * before the first record of a session its epoch start: no crash leaves a record without a name;
 *       3. a claim that fails has moved nothing but, at most, to the next segment, and written
 * nothing but, at most, some of 2.: all definitions of a topic or none, published.
 * Threads and locks: everything under claim_lock.
 * Happy path: clg_claim_prepare -> build at place(position) -> clg_claim_advance.
 * Failure modes: CLG_LOG_ROUTED_ANEW; COMMITLOG_EAGAIN (ring, or too many segments unsealed),
 * COMMITLOG_ENOSPC (no next segment), COMMITLOG_ETOOBIG; see commit_log.h.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "format/attributes.h"
#include "format/topic_record.h"
#include "log/commit_log_internal.h"

/* A wall clock that runs away from the monotonic one by more than this is held back; one that comes
 * back by more than this gives back what was held. */
#define CLAIM_JUMP_NS (INT64_C(3600) * CLG_OS_NS_PER_S)
/* Instead of bytes. */
#define CLAIM_ROUTED_ANEW UINT64_MAX

/* The wall clock, less what is held back, is an hour past the references, or before them: has it
 * jumped? One that went back further than was held is waited for, and the references stay: when it
 * is set right again, that is no jump forward. */
static int64_t claim_time_judge(struct clg_log *log, int64_t wall)
{
    int64_t held = log->held_back_ns;
    CLG_ASSERT(held >= 0);
    if (wall < log->wall_reference_ns && held == 0) {
        return wall;
    }
    int64_t mono = log->os->clock_mono_ns(log->os);
    int64_t jump = (wall - log->wall_reference_ns) - (mono - log->mono_reference_ns);
    if (jump > CLAIM_JUMP_NS) {
        held += jump;
    } else if (jump < -CLAIM_JUMP_NS) {
        /* What is left of no more than an hour is followed, like a jump of no more than that. */
        held = held + jump > CLAIM_JUMP_NS ? held + jump : 0;
    }
    wall -= held - log->held_back_ns;
    log->held_back_ns = held;
    if (wall >= log->wall_reference_ns) {
        log->wall_reference_ns = wall;
        log->mono_reference_ns = mono;
    }
    return wall;
}

int64_t clg_claim_time(struct clg_log *log)
{
    int64_t wall = log->os->clock_wall_ns(log->os) - log->held_back_ns;
    if (CLG_UNLIKELY((uint64_t)(wall - log->wall_reference_ns) > (uint64_t)CLAIM_JUMP_NS)) {
        wall = claim_time_judge(log, wall);
    }
    if (wall > log->last_time_ns) {
        log->last_time_ns = wall;
    }
    return log->last_time_ns;
}

void clg_claim_advance(struct clg_log *log, uint64_t bytes, uint32_t records, int64_t store_time)
{
    CLG_ASSERT(clg_is_aligned(bytes, CLG_RECORD_ALIGN));
    CLG_ASSERT(log->position + bytes <= log->active->data_end);
    if (log->tally.records == 0) {
        log->tally.first_time = store_time;
    }
    log->tally.records += records;
    log->tally.last_time = store_time;
    log->tally.epoch = log->epoch;
    log->position += bytes;
    if (log->position - log->last_mark >= log->mark_bytes) {
        uint64_t count = clg_load_relaxed_u64(&log->mark_count);
        log->last_mark = log->position;
        clg_store_relaxed_u64(&log->marks[count % CLG_MARKS_MAX], log->position);
        clg_store_release_u64(&log->mark_count, count + 1); /* ORDER(mark-1) release */
    }
}

void clg_claim_control(struct clg_log *log, uint8_t kind, uint32_t queue_number, const void *body,
                       uint64_t body_bytes)
{
    struct commitlog_slice slice = {body, (size_t)body_bytes};
    struct clg_append item = {.kind = kind,
                              .queue_number = queue_number,
                              .body = &slice,
                              .body_count = 1,
                              .body_bytes = body_bytes};
    int64_t now = clg_claim_time(log);
    uint8_t *record = log->engine->place(log, log->position);
    uint64_t check;
    clg_word_store(record, clg_record_build(log, record, log->position, &item, 0, 0, now, &check));
    clg_claim_advance(log, clg_append_bytes(&item), 1, now);
}

static void claim_write_epoch(struct clg_log *log)
{
    struct clg_epoch_start start = {log->start_position, log->session_id};
    uint8_t body[CLG_EPOCH_BODY_BYTES];
    clg_epoch_start_encode(body, &start);
    clg_claim_control(log, CLG_KIND_EPOCH, CLG_QUEUE_NONE, body, sizeof(body));
    log->epoch_written = true;
}

static uint32_t claim_definition_bytes(const struct clg_topic *topic)
{
    return clg_topic_steps(topic) *
           clg_record_bytes(0, clg_topic_definition_bytes(topic->name_bytes, 0));
}

struct clg_topic_definition clg_claim_definition(const struct clg_topic *topic, uint32_t step)
{
    const struct clg_topic_step is = clg_topic_step(topic, step);
    return (struct clg_topic_definition){.name = (const uint8_t *)topic->name,
                                         .name_bytes = topic->name_bytes,
                                         .first_queue = is.first_queue,
                                         .queue_count = is.queues,
                                         .growth_step = step,
                                         .closed = is.from >= clg_topic_routed(topic)};
}

static void claim_write_definitions(struct clg_log *log, struct clg_topic *topic)
{
    uint8_t body[CLG_TOPIC_FIXED_BYTES + CLG_TOPIC_NAME_MAX + 8];
    size_t bytes = (size_t)clg_topic_definition_bytes(topic->name_bytes, 0);
    CLG_ASSERT(bytes <= sizeof(body));
    for (uint32_t step = 0; step < clg_topic_steps(topic); step++) {
        struct clg_topic_definition definition = clg_claim_definition(topic, step);
        int rc = clg_topic_definition_encode(body, bytes, &definition, NULL);
        CLG_ASSERT(rc == COMMITLOG_OK);
        (void)rc;
        clg_claim_control(log, CLG_KIND_TOPIC, definition.first_queue, body, bytes);
    }
    topic->defined_end = topic->defined_base == UINT64_MAX ? log->position : topic->defined_end;
    topic->defined_base = log->active->base;
}

/* The topic whose definitions have to lie before it; NULL: none has. */
static struct clg_topic *claim_topic(const struct clg_log *log, const struct clg_append *item)
{
    if (!item->takes_offset) {
        /* What waits in no queue names one all the same, and the number is not to be another
         * topic's: there has to be a definition of it somewhere in the log. */
        bool first = item->topic != NULL && item->topic->defined_base == UINT64_MAX;
        return item->defined == NULL && first ? item->topic : item->defined;
    }
    if (CLG_LIKELY(item->topic != NULL)) {
        return item->topic; /* the queue was chosen of it a moment ago */
    }
    struct clg_topic *topic = clg_registry_owner(log->registry, item->queue_number, NULL);
    CLG_ASSERT(topic != NULL);
    return topic;
}

/* Was its queue chosen among those that there are? A topic grows and shrinks under this lock: what
 * is claimed behind lies where keys go from then on. */
static inline bool claim_is_routed(const struct clg_append *item)
{
    return item->topic == NULL || item->routed == clg_load_relaxed_u32(&item->topic->routed) ||
           CLG_PLANTED(GROWTH_UNROUTED);
}

/* Bytes of epoch start and definitions that must come first in the segment at `base`. Marks each
 * topic once. CLAIM_ROUTED_ANEW: a topic has grown or shrunk. */
static uint64_t claim_prelude_bytes(struct clg_log *log, const struct clg_append *items,
                                    uint32_t count, uint64_t base)
{
    bool written = log->epoch_written && base == log->active->base;
    uint64_t bytes = written ? 0 : clg_record_bytes(0, CLG_EPOCH_BODY_BYTES);
    log->ticket++;
    for (uint32_t i = 0; i < count; i++) {
        struct clg_topic *topic = claim_topic(log, &items[i]);
        if (CLG_UNLIKELY(!claim_is_routed(&items[i]))) {
            return CLAIM_ROUTED_ANEW;
        }
        if (topic != NULL && topic->defined_base != base && topic->claim_mark != log->ticket) {
            topic->claim_mark = log->ticket;
            bytes += claim_definition_bytes(topic);
        }
    }
    return bytes;
}

/* In the ring, and behind it for the filler. The pad that closes a segment asks when it is due. */
static bool claim_has_room(const struct clg_log *log, uint64_t bytes)
{
    uint64_t filler = log->flush_align_bytes > 0 ? clg_claim_tail(log) : 0;
    return log->engine->has_room(log, log->position + bytes + filler);
}

/* As far as there is room now. The segment takes all of it. */
static void claim_write_prelude(struct clg_log *log, const struct clg_append *items, uint32_t count)
{
    if (!log->epoch_written) {
        if (!claim_has_room(log, clg_record_bytes(0, CLG_EPOCH_BODY_BYTES))) {
            return;
        }
        claim_write_epoch(log);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct clg_topic *topic = claim_topic(log, &items[i]);
        if (topic != NULL && topic->defined_base != log->active->base) {
            if (!claim_has_room(log, claim_definition_bytes(topic))) {
                return;
            }
            claim_write_definitions(log, topic);
        }
    }
}

int64_t clg_claim_build_filler(struct clg_log *log, uint8_t *record, uint64_t position,
                               uint8_t kind, uint64_t bytes)
{
    CLG_ASSERT(bytes >= CLG_RECORD_MIN && bytes <= CLG_FILLER_MAX);
    CLG_ASSERT(clg_record_is_filler(kind));
    int64_t now = clg_claim_time(log);
    struct clg_record_header header = {
        .store_time = now,
        .epoch = log->epoch,
        .queue_number = CLG_QUEUE_NONE,
        .durable_back = clg_durable_back_encode(position, clg_live_load(&log->shared->durable)),
        .kind = kind};
    clg_record_encode_header(record, &header);
    uint64_t seed = clg_record_seed(log->active->salt, position);
    clg_word_store(record, clg_record_seal_header(record, (uint32_t)bytes, seed));
    return now;
}

/* The pad up to the end of the data: only its header is built, the rest stays zero on disk. */
static void claim_write_pad(struct clg_log *log)
{
    uint64_t bytes = log->active->data_end - log->position;
    uint8_t *record = log->engine->place(log, log->position);
    int64_t now = clg_claim_build_filler(log, record, log->position, CLG_KIND_PAD, bytes);
    clg_claim_advance(log, bytes, 1, now);
}

uint64_t clg_claim_align_bytes(const struct clg_log *log, uint64_t position)
{
    uint64_t align = log->flush_align_bytes;
    if (align == 0 || clg_is_aligned(position, align)) {
        return 0;
    }
    return clg_align_up(position + CLG_RECORD_MIN, align) - position;
}

void clg_claim_align(struct clg_log *log)
{
    uint64_t bytes = clg_claim_align_bytes(log, log->position);
    if (bytes > 0) {
        uint8_t *record = log->engine->place(log, log->position);
        CLG_ASSERT(log->engine->has_room(log, log->position + bytes));
        memset(record, 0, bytes);
        int64_t now = clg_claim_build_filler(log, record, log->position, CLG_KIND_HOLE, bytes);
        clg_claim_advance(log, bytes, 1, now);
    }
}

int clg_claim_take_next(struct clg_log *log, struct commitlog_error *err)
{
    if (log->next != NULL) {
        return COMMITLOG_OK;
    }
    CLG_ASSERT(log->supply != NULL);
    int rc = clg_segment_supply_take(log->supply, log->active->base + log->active->bytes,
                                     &log->next, err);
    if (rc != COMMITLOG_OK) {
        clg_wrap(err, "no next segment");
    }
    return rc;
}

int clg_claim_switch(struct clg_log *log, struct commitlog_error *err)
{
    uint64_t rolls = clg_load_relaxed_u64(&log->roll_count);
    if (rolls - clg_load_acquire_u64(&log->seal_count) >= CLG_ROLLS_MAX ||
        !log->engine->has_room(log, log->position + CLG_RECORD_MIN)) {
        return COMMITLOG_EAGAIN;
    }
    int rc = clg_claim_take_next(log, err);
    if (rc == COMMITLOG_OK) {
        rc = clg_segment_set_reserve(log->set, err);
    }
    uint8_t *map = NULL;
    if (rc == COMMITLOG_OK) {
        rc = log->engine->enter(log, log->next, &map, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_segment *old = log->active;
    struct clg_segment *next = log->next;
    struct clg_roll *roll = &log->rolls[rolls % CLG_ROLLS_MAX];
    roll->base = old->base;
    roll->pad_position = log->position;
    roll->data_end = old->data_end;
    claim_write_pad(log);
    roll->footer = log->tally;
    roll->footer.end = old->data_end;
    roll->complete = log->tally_complete;
    clg_segment_ref(next); /* one for the set, one for us */
    rc = clg_segment_set_append(log->set, next, err);
    CLG_ASSERT(rc == COMMITLOG_OK); /* room was reserved, the base is the next one */
    log->next = NULL;
    log->active = next;
    log->active_map = map;
    log->populated = next->data_start;
    log->position = next->data_start;
    memset(&log->tally, 0, sizeof(log->tally));
    log->tally_complete = true;
    log->epoch_written = false; /* each segment says where the session began */
    clg_store_release_u64(&log->active_base, next->base);
    clg_store_release_u64(&log->roll_count, rolls + 1); /* ORDER(roll-1) release */
    clg_publish(log);
    clg_segment_unref(old);
    struct clg_segment_plan plan;
    clg_segment_plan_after(next, log->segment_bytes, log->last_time_ns, log->epoch, &plan);
    clg_segment_supply_want(log->supply, &plan);
    return rc;
}

/* See last_room.c: where there is room, this is all. */
static inline int claim_keep_last(struct clg_log *log, const struct clg_append *items,
                                  uint64_t need, struct commitlog_error *err)
{
    uint64_t end = log->position + need + clg_claim_tail(log);
    if (items[0].takes_reserve || log->last_kept_bytes == 0 ||
        end + log->last_kept_bytes + clg_last_freeing_bytes(log) <= log->active->data_end) {
        return COMMITLOG_OK;
    }
    return clg_last_check(log, &items[0], end, err);
}

int clg_claim_check_size(const struct clg_log *log, uint64_t bytes, struct commitlog_error *err)
{
    uint64_t capacity = log->segment_bytes - CLG_SEGMENT_GAP - clg_claim_tail(log);
    if (bytes > capacity) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "%llu bytes do not fit one segment, which takes %llu",
                        (unsigned long long)bytes, (unsigned long long)capacity);
    }
    return COMMITLOG_OK;
}

int clg_claim_prepare(struct clg_log *log, const struct clg_append *items, uint32_t count,
                      uint64_t bytes, bool large, struct commitlog_error *err)
{
    CLG_ASSERT(count >= 1 && clg_is_aligned(bytes, CLG_RECORD_ALIGN));
    if (clg_load_acquire_u32(&log->latch) != 0) {
        return clg_log_failure(log, err);
    }
    const uint64_t tail = clg_claim_tail(log);
    uint64_t prelude = claim_prelude_bytes(log, items, count, log->active->base);
    if (CLG_UNLIKELY(prelude == CLAIM_ROUTED_ANEW)) {
        return CLG_LOG_ROUTED_ANEW;
    }
    if (prelude + bytes + tail > log->active->data_end - log->position) {
        uint64_t next_base = log->active->base + log->active->bytes;
        prelude = claim_prelude_bytes(log, items, count, next_base);
        if (prelude + bytes + tail > log->segment_bytes - CLG_SEGMENT_GAP) {
            return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                            "%llu bytes with %llu of topic definitions do not fit one segment",
                            (unsigned long long)bytes, (unsigned long long)prelude);
        }
        int rc = items[0].takes_reserve || log->last_kept_bytes == 0
                     ? COMMITLOG_OK
                     : clg_last_check_switch(log, &items[0], prelude + bytes + tail, err);
        if (rc == COMMITLOG_OK) {
            rc = clg_claim_switch(log, err);
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (prelude + bytes + tail > log->active->data_end - log->position) {
            /* One that was prepared with another size: the next but one is of ours. */
            return COMMITLOG_EAGAIN;
        }
    }
    int rc = claim_keep_last(log, items, prelude + bytes, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    bool has_room = claim_has_room(log, prelude + (large ? 0 : bytes));
    if (prelude > 0 && (has_room || !CLG_PLANTED(PRELUDE_WHOLE))) {
        /* Without room, too: definitions of many topics may be more than the ring takes at once,
         * and what goes ahead is not wanted again when the caller has made room. */
        claim_write_prelude(log, items, count);
    }
    if (!has_room) {
        clg_publish(log); /* or it could not be drained */
        return COMMITLOG_EAGAIN;
    }
    return COMMITLOG_OK;
}
