/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * receiver.c -- messages are given out one by one: which, to whom, until when. See work.h.
 *
 * Of a queue, what was given out before and whose time is over comes first, in the order of the
 * offsets; then what nobody was given yet. What lies between, before what was given out, was never
 * given out as far as anybody knows: salvage has lost the record. It comes in its place.
 * What is given is read first, under the lock, so that the record that says so names exactly what
 * was read, and holes and what does not read are done.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/queue_file.h"
#include "format/topic_record.h"
#include "store/gate.h"
#include "store/reference.h"
#include "store/work.h"

int32_t commitlog_receiver_open(struct commitlog_group *group, uint32_t topic,
                                const struct commitlog_receiver_options *options,
                                struct commitlog_receiver **out_receiver,
                                struct commitlog_error *err)
{
    const uint32_t known = COMMITLOG_RECEIVE_ORDERED | COMMITLOG_RECEIVE_DEAD_TOPIC;
    struct commitlog_receiver_options wanted = {.struct_bytes = sizeof(wanted)};
    if (group == NULL || out_receiver == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "open a receiver");
    }
    struct commitlog_store *store = group->store;
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    int rc = clg_groups_enter_write(store, COMMITLOG_LEVEL_NONE, "open a receiver", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (options != NULL) {
        rc = clg_copy_in(&wanted, sizeof(wanted), options);
    }
    if (rc != COMMITLOG_OK || (wanted.flags & ~known) != 0 ||
        (wanted.max_attempts >= CLG_WORK_ATTEMPTS_MAX && wanted.max_attempts != UINT32_MAX) ||
        ((wanted.flags & COMMITLOG_RECEIVE_DEAD_TOPIC) != 0 && wanted.dead_topic == UINT32_MAX) ||
        wanted.visibility_ms < 0 || wanted.visibility_ms > CLG_DELIVER_AT_MAX_MS ||
        commitlog_topic_info(store, topic, &info) != COMMITLOG_OK) {
        return clg_fail(err, rc == COMMITLOG_OK ? COMMITLOG_EINVAL : rc, 0, CLG_NO_POSITION,
                        "open a receiver: an option, or no topic %u is open", topic);
    }
    struct commitlog_receiver *receiver = store->os->alloc(
        store->os, sizeof(*receiver) + COMMITLOG_RECEIVE_MAX * sizeof(struct commitlog_message));
    if (receiver == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "open a receiver");
    }
    *receiver = (struct commitlog_receiver){
        .store = store,
        .group = *group,
        .topic = topic,
        .max_attempts = wanted.max_attempts == 0 ? CLG_WORK_MAX_ATTEMPTS : wanted.max_attempts,
        .dead_topic =
            (wanted.flags & COMMITLOG_RECEIVE_DEAD_TOPIC) != 0 ? wanted.dead_topic : UINT32_MAX,
        .visibility_ms = wanted.visibility_ms == 0 ? CLG_WORK_VISIBILITY_MS : wanted.visibility_ms,
        .ordered = (wanted.flags & COMMITLOG_RECEIVE_ORDERED) != 0};
    clg_reader_init(&receiver->reader, store->os,
                    clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0, true);
    rc = clg_work_check_dead_topic(receiver, err);
    if (rc != COMMITLOG_OK) {
        store->os->free(store->os, receiver);
        return rc;
    }
    clg_store_ref(store);
    *out_receiver = receiver;
    return COMMITLOG_OK;
}

void commitlog_receiver_close(struct commitlog_receiver *receiver)
{
    if (receiver == NULL || clg_store_enter(receiver->store) == COMMITLOG_EFORK) {
        return; /* the parent's memory */
    }
    struct commitlog_store *store = receiver->store;
    clg_reader_end(&receiver->reader);
    store->os->free(store->os, receiver);
    clg_store_unref(store);
}

/* ---- one call ---- */

/* What is read of a queue before it is given out. */
struct receive_take {
    struct commitlog_receiver *receiver;
    struct clg_core *core;
    uint64_t visible;
    int64_t now_ms;
    int64_t soonest_ms; /* out: when something comes back; INT64_MAX: nothing will by itself */
    uint32_t max;
    uint32_t count; /* out: of the receiver's messages and deliveries */
    struct clg_work_entry entries[2 * COMMITLOG_RECEIVE_MAX];
    uint32_t entry_count;
    bool wants_topic; /* out: of dead letters, before anything else */
    bool has_more;    /* out: pieces enough for one hold of the lock, and nothing given out */
};

/* Dead letters, say, of millions of messages whose attempts are over. */
#define RECEIVE_PIECES 16u

static int64_t receive_until(const struct receive_take *take)
{
    int64_t visibility_ms = take->receiver->visibility_ms;
    return visibility_ms > CLG_DELIVER_AT_MAX_MS - take->now_ms ? CLG_DELIVER_AT_MAX_MS
                                                                : take->now_ms + visibility_ms;
}

/* One more of the same kind lengthens the last entry. */
static void receive_note(struct receive_take *take, uint32_t queue_number, uint64_t offset,
                         uint64_t count, uint32_t attempts)
{
    struct clg_work_entry *last =
        take->entry_count == 0 ? NULL : &take->entries[take->entry_count - 1];
    CLG_ASSERT(count <= UINT32_MAX);
    if (last != NULL && last->attempts == attempts && last->offset + last->count == offset &&
        count <= UINT32_MAX - last->count) {
        last->count += (uint32_t)count;
        return;
    }
    CLG_ASSERT(take->entry_count < 2 * COMMITLOG_RECEIVE_MAX);
    take->entries[take->entry_count++] =
        (struct clg_work_entry){.offset = offset,
                                .visible_at_ms = attempts == 0 ? 0 : receive_until(take),
                                .queue_number = queue_number,
                                .count = (uint32_t)count,
                                .attempts = attempts,
                                .state = attempts == 0 ? CLG_WORK_DONE : CLG_WORK_PENDING};
}

/* 0: one more message; else why this one cannot be read. */
static int receive_read(struct receive_take *take, uint32_t queue_number,
                        const struct clg_lookup_entry *entry, uint32_t attempts,
                        struct commitlog_error *err)
{
    struct commitlog_receiver *receiver = take->receiver;
    struct commitlog_message *message = &receiver->messages[take->count];
    struct clg_record_view view;
    struct clg_reference reference = {0};
    int rc = clg_reader_get(&receiver->reader, take->core->log, entry->position, take->visible,
                            NULL, &view, err);
    if (rc == COMMITLOG_OK && !clg_lookup_agrees(entry, queue_number, &view.header)) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, entry->position,
                      "record and queue entry disagree");
    }
    if (rc == COMMITLOG_OK && view.header.kind == CLG_KIND_REFERENCE) {
        rc =
            clg_store_resolve(&receiver->reader, take->core, take->visible, &view, &reference, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_message_fill(take->core, &view, message);
        if (rc == COMMITLOG_OK) {
            clg_message_set_origin(take->core, &reference, message);
        } else {
            rc = clg_fail(err, rc, 0, entry->position, "attributes of a message");
        }
    }
    if (rc == COMMITLOG_EDAMAGED) {
        clg_store_damage(receiver->store, take->core,
                         reference.position != 0 ? reference.position : entry->position, 0,
                         CLG_QUEUE_NONE, "a message that was to be given out");
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_reader_keep(&receiver->reader);
    receiver->deliveries[take->count] = (struct commitlog_delivery){
        .offset = entry->queue_offset, .queue = message->queue, .attempt = attempts};
    take->count++;
    return COMMITLOG_OK;
}

static bool receive_is_unreadable(int rc)
{
    return rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EUNSUPPORTED;
}

/* Where a run of lost offsets ends that goes on at `to`: in a segment each has an entry of its own,
 * they are told as one. What does not look up is for the next call to tell. */
static uint64_t receive_lost_end(const struct receive_take *take, uint32_t queue_number,
                                 uint64_t to, uint64_t end)
{
    struct clg_lookup_entry found[COMMITLOG_RECEIVE_MAX];
    bool lost = to < end;
    while (lost) {
        const uint64_t from = to;
        uint32_t count = 0;
        uint64_t bound = 0;
        int rc = clg_lookup_entries(take->core->fold, queue_number, to, take->visible, found,
                                    COMMITLOG_RECEIVE_MAX, &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && lost && i < count; i++) {
            lost = found[i].position == CLG_NO_POSITION;
            const uint64_t run = lost ? clg_max_u64(found[i].lost, 1) : 0;
            to = clg_max_u64(to, found[i].queue_offset + run);
        }
        lost = lost && to > from && to < end; /* files may lie */
    }
    return clg_min_u64(to, end);
}

/* Offsets that the log has lost are done, and told. */
static int receive_lost(struct receive_take *take, uint32_t queue_number, uint64_t offset,
                        uint64_t to, uint64_t end, struct commitlog_error *err)
{
    const uint64_t most = clg_min_u64(end, offset + UINT32_MAX / 2);
    const uint64_t count = receive_lost_end(take, queue_number, to, most) - offset;
    receive_note(take, queue_number, offset, count, 0);
    clg_store_lost(take->receiver->store, take->core, queue_number, offset, offset + count);
    return clg_fail(err, COMMITLOG_EDAMAGED, 0, CLG_NO_POSITION,
                    "the log has lost %" PRIu64 " messages of this queue from offset %" PRIu64,
                    count, offset);
}

/* The first `most` of [offset, end), as far as it goes: what is read is given out, holes are done;
 * of what is lost, all. */
static int receive_range(struct receive_take *take, uint32_t queue_number, uint64_t offset,
                         uint64_t end, uint32_t most, uint32_t attempt, struct commitlog_error *err)
{
    struct clg_lookup_entry found[COMMITLOG_RECEIVE_MAX];
    uint32_t found_count = 0;
    uint64_t bound = 0;
    int rc = clg_lookup_entries(take->core->fold, queue_number, offset, take->visible, found,
                                most < take->max ? most : take->max, &found_count, &bound);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "receive: look up offset %" PRIu64, offset);
    }
    clg_reader_begin(&take->receiver->reader);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < found_count && offset < end; i++) {
        if (found[i].queue_offset < offset) {
            continue; /* files that lie: it is among what was lost before it */
        }
        const bool ahead = found[i].queue_offset > offset; /* the same: nothing is there */
        if (ahead || found[i].position == CLG_NO_POSITION) {
            uint64_t to = ahead ? found[i].queue_offset : offset + clg_max_u64(found[i].lost, 1);
            return take->count > 0 /* the next call begins with it, and tells */
                       ? COMMITLOG_OK
                       : receive_lost(take, queue_number, offset, to, end, err);
        }
        if ((found[i].flags & CLG_QUEUE_ENTRY_HOLE) != 0) {
            receive_note(take, queue_number, offset, 1, 0);
        } else {
            rc = receive_read(take, queue_number, &found[i], attempt, take->count > 0 ? NULL : err);
            if (rc != COMMITLOG_OK && take->count > 0) {
                return COMMITLOG_OK; /* the next call begins with it, and tells */
            }
            bool given = rc == COMMITLOG_OK;
            if (given || receive_is_unreadable(rc)) {
                receive_note(take, queue_number, offset, 1, given ? attempt : 0);
            }
        }
        offset++;
    }
    return rc;
}

/* What of the queue can be given out now. */
struct receive_choice {
    struct clg_work_run run; /* state 0: was never given out */
    bool found;
};

/* [from, to), which no run covers, as far as it is there. */
static void receive_choose_new(uint64_t from, uint64_t to, const struct clg_lookup_range *range,
                               struct receive_choice *out)
{
    uint64_t end = clg_min_u64(to, range->next);
    if (from < end) {
        out->found = true;
        out->run.offset = from;
        out->run.count = (uint32_t)clg_min_u64(end - from, UINT32_MAX);
    }
}

static void receive_choose(struct receive_take *take, const struct clg_work_queue *queue,
                           uint64_t committed, const struct clg_lookup_range *range,
                           struct receive_choice *out)
{
    const uint32_t run_count = queue == NULL ? 0 : queue->run_count;
    const bool full = run_count >= CLG_WORK_RUNS_LIMIT;
    bool pending = false;
    uint64_t next = committed;
    *out = (struct receive_choice){.found = false};
    for (uint32_t i = 0; i < run_count; i++) {
        const struct clg_work_run *run = &queue->runs[i];
        /* Of a full queue, too, if nobody has anything before it: else it would stay full. */
        if (CLG_UNLIKELY(run->offset > next) && !(pending && (full || take->receiver->ordered))) {
            receive_choose_new(next, run->offset, range, out);
            return;
        }
        next = clg_max_u64(next, run->offset + run->count);
        if (run->state != CLG_WORK_PENDING) {
            continue;
        }
        if (run->offset >= range->next) {
            return; /* a flush has failed, and what is not durable is not shown any more */
        }
        if (run->visible_at_ms <= take->now_ms + (CLG_PLANTED(WORK_EARLY) ? 5000 : 0) &&
            !(take->receiver->ordered && pending)) {
            *out = (struct receive_choice){.run = *run, .found = true};
            return;
        }
        if (!(take->receiver->ordered && pending) && run->visible_at_ms < take->soonest_ms) {
            take->soonest_ms = run->visible_at_ms;
        }
        pending = true;
    }
    if (!full && !(pending && take->receiver->ordered)) {
        receive_choose_new(next, range->next, range, out);
    }
}

/* The group begins at the first offset there is, or goes on there because retention has passed; or
 * what was before is lost, which is told. */
static int receive_begin(struct receive_take *take, uint32_t queue_number,
                         const struct clg_lookup_range *range, struct commitlog_error *err)
{
    const struct clg_group_entry begin = {.queue_number = queue_number, .offset = range->min};
    struct commitlog_receipt ignored = {0};
    bool lost = false;
    int rc = clg_core_lost_front(take->core, queue_number, take->visible, range, &lost);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "receive: what was before the first message");
    }
    rc = clg_work_commit(take->receiver, &begin, 1, 0, &ignored, err);
    return rc != COMMITLOG_OK || !lost
               ? rc
               : clg_fail(err, COMMITLOG_EDAMAGED, 0, CLG_NO_POSITION,
                          "the log has lost messages of this queue before offset %" PRIu64,
                          range->min);
}

/* COMMITLOG_EAGAIN: look at this queue again. */
static int receive_queue(struct receive_take *take, uint32_t queue_number,
                         struct commitlog_error *err)
{
    struct commitlog_receiver *receiver = take->receiver;
    struct commitlog_store *store = receiver->store;
    const struct clg_group *group = clg_groups_find(&receiver->group, &store->groups);
    if (group == NULL) {
        return clg_groups_not_found(&receiver->group, err);
    }
    struct clg_gate gate;
    int rc = clg_gate_look(take->core, take->visible, group, queue_number, &gate);
    struct clg_lookup_range range = {0};
    if (rc == COMMITLOG_OK && gate.open) {
        rc = clg_lookup_range(take->core->fold, queue_number, take->visible, &range);
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "receive: where a queue begins and ends");
    }
    if (!gate.open) {
        return COMMITLOG_OK; /* not before its parents are consumed so far */
    }
    const struct clg_group_offset *known = clg_group_find_offset(group, queue_number);
    if (known == NULL || known->offset < range.min) {
        rc = receive_begin(take, queue_number, &range, err);
    }
    if (rc == COMMITLOG_OK) { /* what is done may begin just there */
        struct commitlog_receipt ignored = {0};
        rc = clg_work_settle(receiver, queue_number, 0, &ignored, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    known = clg_group_find_offset(group, queue_number);
    struct receive_choice choice;
    receive_choose(take, clg_work_find(receiver, queue_number), known->offset, &range, &choice);
    if (!choice.found) {
        return COMMITLOG_OK;
    }
    if (choice.run.attempts >= receiver->max_attempts && !receiver->has_dead) {
        take->wants_topic = true;
        return COMMITLOG_OK;
    }
    if (choice.run.attempts >= receiver->max_attempts) {
        uint32_t count = choice.run.count < take->max ? choice.run.count : take->max;
        rc = clg_work_bury(receiver, queue_number, choice.run.offset, count, choice.run.attempts,
                           COMMITLOG_DEAD_EXPIRED, 0, err);
        return rc == COMMITLOG_OK ? COMMITLOG_EAGAIN : rc;
    }
    uint32_t most = receiver->ordered ? 1 : choice.run.count;
    uint32_t attempt = choice.run.attempts < CLG_WORK_ATTEMPTS_MAX ? choice.run.attempts + 1u
                                                                   : CLG_WORK_ATTEMPTS_MAX;
    int read = receive_range(take, queue_number, choice.run.offset,
                             choice.run.offset + choice.run.count, most, attempt, err);
    if (read != COMMITLOG_OK && !receive_is_unreadable(read)) {
        return read == COMMITLOG_ETOOSMALL ? COMMITLOG_EAGAIN : read; /* retention, just now */
    }
    struct commitlog_receipt receipt = {0};
    if (take->entry_count > 0) {
        rc = clg_work_append(store, group->name, group->name_bytes, take->entries,
                             take->entry_count, NULL, 0, &receipt, err);
    }
    if (rc != COMMITLOG_OK) {
        take->count = 0;
        return rc;
    }
    /* They are given out, whatever becomes of this: else the next receive does it. */
    struct commitlog_error unused;
    int settled = clg_work_settle(receiver, queue_number, 0, &receipt, &unused);
    (void)settled;
    return take->count > 0 ? COMMITLOG_OK : read != COMMITLOG_OK ? read : COMMITLOG_EAGAIN;
}

/* All queues, from the one whose turn it is. */
static int receive_round(struct receive_take *take, struct commitlog_error *err)
{
    struct commitlog_receiver *receiver = take->receiver;
    struct commitlog_store *store = receiver->store;
    clg_mutex_lock(store->os, &store->group_lock);
    /* Again: another receiver may have given out what was not there the first time. */
    int rc = clg_store_fold(store, &take->core, &take->visible, err);
    take->now_ms = clg_log_time(store->core->log) / CLG_OS_NS_PER_MS;
    const struct clg_topic *topic = clg_registry_topic(&take->core->registry, receiver->topic);
    const uint32_t queues = clg_topic_queues(topic);
    uint32_t pieces = 0;
    for (uint32_t i = 0; rc == COMMITLOG_OK && take->count == 0 && !take->wants_topic && i < queues;
         i++) {
        uint32_t queue = (receiver->turn + i) % queues;
        do {
            take->entry_count = 0;
            rc = receive_queue(take, clg_topic_number(topic, queue), err);
        } while (rc == COMMITLOG_EAGAIN && ++pieces < RECEIVE_PIECES);
        if (rc == COMMITLOG_EAGAIN) {
            take->has_more = true;
            receiver->turn = queue;
            rc = COMMITLOG_OK;
            break;
        }
        /* A bad sector of one stops no other, nor does one whose dead letters have no topic. */
        if (take->count > 0 || rc != COMMITLOG_OK || take->wants_topic) {
            receiver->turn = (queue + 1) % queues;
        }
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

/* COMMITLOG_ETIMEDOUT: there is no room now. The time of what is given out begins when it is
 * stored, so it is chosen anew when there is. */
static int receive_once(void *ctx, struct commitlog_error *err)
{
    struct receive_take *take = ctx;
    struct commitlog_store *store = take->receiver->store;
    take->count = 0;
    take->wants_topic = false;
    take->has_more = false;
    take->core = clg_store_core(store);
    take->soonest_ms = INT64_MAX;
    int rc = clg_store_fold(store, &take->core, &take->visible, err);
    if (rc == COMMITLOG_OK) {
        rc = receive_round(take, err);
    }
    clg_core_unref(take->core);
    return rc;
}

/* Until there may be more to give out. The tables by which it is decided change with a record that
 * need not be visible, behind an open reservation or before it is durable: so each change is a
 * nudge, too. */
static int receive_wait(const struct receive_take *take, uint32_t nudges, struct clg_until until)
{
    struct commitlog_store *store = take->receiver->store;
    struct clg_core *core = clg_store_core(store);
    if (take->soonest_ms != INT64_MAX) {
        int64_t wait_ns = take->soonest_ms * CLG_OS_NS_PER_MS - clg_log_time(core->log);
        int64_t back = clg_os_deadline(store->os, clg_store_clocked_rest_ns(wait_ns));
        until.mono_ns = back < until.mono_ns ? back : until.mono_ns;
    }
    int rc = clg_log_wait_nudged(core->log, take->visible, nudges, clg_store_is_durable_only(store),
                                 until);
    clg_core_unref(core);
    return rc;
}

/* Room is waited for no longer than messages are, and by who waits long for these no longer than by
 * other calls. */
static struct clg_until receive_room_until(const struct commitlog_store *store,
                                           struct clg_until until)
{
    const struct clg_until room = clg_store_until(store, CLG_GROUPS_ROOM_MS);
    until.mono_ns = room.mono_ns < until.mono_ns ? room.mono_ns : until.mono_ns;
    return until;
}

static int receive_define(void *ctx, struct commitlog_error *err)
{
    return clg_topics_define_left(ctx, err);
}

int32_t commitlog_receive(struct commitlog_receiver *receiver, struct commitlog_message *messages,
                          struct commitlog_delivery *deliveries, uint32_t max, int32_t timeout_ms,
                          uint32_t *out_count, struct commitlog_error *err)
{
    if (receiver == NULL || messages == NULL || deliveries == NULL || max == 0 ||
        out_count == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "receive");
    }
    struct commitlog_store *store = receiver->store;
    const struct clg_until until = clg_store_until(store, timeout_ms);
    bool is_late = false;
    for (;;) {
        struct receive_take take = {
            .receiver = receiver, .max = max < COMMITLOG_RECEIVE_MAX ? max : COMMITLOG_RECEIVE_MAX};
        int rc = clg_store_enter(store);
        if (rc != COMMITLOG_OK) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "receive");
        }
        /* Where the group begins names a queue. */
        rc = clg_store_attempt(store, receive_define, store, receive_room_until(store, until), err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        const uint32_t nudges = clg_log_nudges(store->core->log); /* before it is looked at */
        rc = clg_store_attempt(store, receive_once, &take, receive_room_until(store, until), err);
        if (rc == COMMITLOG_OK && take.wants_topic) {
            rc = clg_work_make_dead_topic(receiver, err);
            if (rc == COMMITLOG_OK) {
                continue;
            }
        }
        if (rc == COMMITLOG_OK && take.count > 0) {
            memcpy(messages, receiver->messages, take.count * sizeof(*messages));
            memcpy(deliveries, receiver->deliveries, take.count * sizeof(*deliveries));
            *out_count = take.count;
        }
        if (rc != COMMITLOG_OK || take.count > 0) {
            return rc;
        }
        /* Where others go on publishing there is always something to look at again. */
        rc = clg_log_is_interrupted(store->core->log, until) ? COMMITLOG_EINTERRUPTED
             : take.has_more                                 ? COMMITLOG_OK
             : is_late                                       ? COMMITLOG_ETIMEDOUT
                                                             : receive_wait(&take, nudges, until);
        is_late = clg_os_left(store->os, until.mono_ns) == 0;
        if (rc == COMMITLOG_ETIMEDOUT && is_late) {
            return clg_fail(err, COMMITLOG_EEND, 0, CLG_NO_POSITION,
                            "receive: nothing came in time");
        }
        if (rc != COMMITLOG_OK && rc != COMMITLOG_ETIMEDOUT) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "receive");
        }
    }
}
