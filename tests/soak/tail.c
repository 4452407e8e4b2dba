/* SPDX-License-Identifier: BSD-2-Clause */
/* tail.c -- one cursor of a follower; see tail.h. */
#include "tail.h"

#include <string.h>

#include "clerk.h"

typedef unsigned long long ull;

enum { LOOK_BEHIND = 32 };

static bool of_log(const struct tail *tail)
{
    return tail->topic == TAIL_LOG;
}

static bool of_queue(const struct tail *tail)
{
    return !of_log(tail) && tail->queue != COMMITLOG_QUEUE_ALL;
}

static bool covers(const struct tail *tail, uint32_t lane)
{
    uint32_t topic = 0, queue = 0;
    book_place(lane, &topic, &queue);
    return of_log(tail) ||
           (topic == tail->topic && (tail->queue == COMMITLOG_QUEUE_ALL || tail->queue == queue));
}

/* Offsets that were passed over: holes, or, behind a gap of retention, what it took. */
static void passed_over(struct tail *tail, uint32_t lane, uint64_t from, uint64_t to, bool gap)
{
    struct commitlog_positions now = {.first = 0};
    uint64_t offset = 0;
    if (gap)
        seat_positions(tail->seat, &now);
    CHECKF(!book_missed(tail->seat->book, lane, from, to, now.first, UINT64_MAX, &offset),
           "lane %u: from %llu to %llu, but %llu was acknowledged (log from %llu)", lane, (ull)from,
           (ull)to, (ull)offset, (ull)now.first);
}

static void track_step(struct tail *tail, uint32_t lane, const struct commitlog_message *message)
{
    struct track *track = &tail->tracks[lane];
    ull offset = (ull)message->queue_offset;
    if (track->known) {
        CHECKF(message->queue_offset >= track->next && message->position >= track->position &&
                   message->store_time_ns >= track->time_ns && message->epoch >= track->epoch,
               "lane %u: offset %llu at %llu, epoch %u, after %llu before %llu, epoch %u", lane,
               offset, (ull)message->position, message->epoch, (ull)track->next,
               (ull)track->position, track->epoch);
        if (message->queue_offset > track->next)
            passed_over(tail, lane, track->next, message->queue_offset, track->gap);
        CHECKF(!of_log(tail) || track->gap || message->queue_offset == track->next,
               "lane %u: the log has %llu after %llu", lane, offset, (ull)track->next);
    }
    *track = (struct track){.next = message->queue_offset + 1,
                            .position = message->next_position,
                            .time_ns = message->store_time_ns,
                            .epoch = message->epoch,
                            .known = true};
}

static void take_message(struct tail *tail, uint32_t topic, uint32_t lane,
                         const struct commitlog_message *message, struct item_head *out_head)
{
    struct book *book = tail->seat->book;
    struct note note;
    item_check(book, message, topic, out_head);
    if (out_head->bytes > 0 && out_head->life == atomic_load(&book->life))
        CHECKF(book_begun(book, out_head->thread, out_head->serial) ||
                   atomic_load(&book->life) != out_head->life, /* the next one has just begun */
               "record %u/%u/%u was never begun", out_head->life, out_head->thread,
               out_head->serial);
    if (book_find(book, lane, message->queue_offset, &note)) {
        seat_compare(message, out_head, &note);
        book_count(book, BOOK_COMPARED, 1);
    }
    book_count(book, BOOK_READ, 1);
}

static void take(struct tail *tail, const struct commitlog_message *message)
{
    uint32_t topic = tail->topic, lane = 0;
    struct item_head head = {0};
    bool of_lane = message->kind == COMMITLOG_KIND_MESSAGE ||
                   (message->kind == COMMITLOG_KIND_HOLE && message->topic != UINT32_MAX);
    if (of_lane) {
        topic = seat_topic(tail->seat, message->topic);
        of_lane = topic < BOOK_TOPICS || !desk_owns(tail->seat, message->topic);
    }
    if (of_lane) {
        CHECKF(topic < BOOK_TOPICS && message->queue < book_queues(topic),
               "topic %u queue %u at %llu", message->topic, message->queue, (ull)message->position);
        lane = book_lane(topic, message->queue);
        CHECKF(covers(tail, lane), "lane %u in the cursor of topic %u queue %u", lane, tail->topic,
               tail->queue);
    }
    if (message->kind == COMMITLOG_KIND_MESSAGE && of_lane)
        take_message(tail, topic, lane, message, &head);
    else
        CHECKF(of_log(tail), "kind %u at %llu", message->kind, (ull)message->position);
    if (of_log(tail))
        order_step(&tail->order, message, &head);
    if (of_lane) {
        track_step(tail, lane, message);
        if (of_queue(tail))
            atomic_store(&tail->seat->book->resume[tail->follower][lane],
                         message->queue_offset + 1);
    }
}

/* At the end: nothing that was visible to the writer before the call may be missing. */
static void at_end(struct tail *tail, const struct moment *moment, uint64_t bound)
{
    struct book *book = tail->seat->book;
    struct commitlog_positions now;
    uint64_t missed = 0, first = 0;
    bool strict = moment_holds(tail->seat, moment);
    book_count(book, strict ? BOOK_STRICT : BOOK_EXCUSED, 1);
    if (!strict)
        return;
    seat_positions(tail->seat, &now);
    if (of_log(tail))
        order_end(&tail->order);
    if (!of_queue(tail))
        CHECKF(bound >= moment->visible, "the end is %llu, the writer had seen %llu", (ull)bound,
               (ull)moment->visible);
    for (uint32_t lane = 0; lane < BOOK_LANES; lane++) {
        const struct track *track = &tail->tracks[lane];
        uint64_t next = of_queue(tail) ? bound : track->next;
        if (!covers(tail, lane) || !(track->known || of_queue(tail)))
            continue;
        first = track->gap && now.first > track->position ? now.first : track->position;
        CHECKF(
            !book_missed(book, lane, next, next + LOOK_BEHIND, first, moment->visible, &missed),
            "topic %u queue %u, lane %u ends at %llu (bound %llu), but %llu was acknowledged and "
            "visible to %llu; here first %llu, durable %llu, published %llu, epoch %u",
            tail->topic, tail->queue, lane, (ull)next, (ull)bound, (ull)missed,
            (ull)moment->visible, (ull)now.first, (ull)now.durable, (ull)now.published, now.epoch);
    }
}

/* Retention was faster: on at the bound. */
static void too_small(struct tail *tail, uint64_t bound)
{
    uint64_t asked = commitlog_cursor_tell(tail->cursor);
    CHECKF(bound >= asked, "too small at %llu: the first is %llu", (ull)asked, (ull)bound);
    for (uint32_t lane = 0; lane < BOOK_LANES; lane++)
        tail->tracks[lane].gap = true;
    order_begin(&tail->order);
    if (of_queue(tail)) {
        uint32_t lane = book_lane(tail->topic, tail->queue);
        passed_over(tail, lane, tail->tracks[lane].known ? tail->tracks[lane].next : bound, bound,
                    true);
    }
    /* A writer that is just closing may hold what it needs: the next fetch leads here again. */
    int32_t rc = commitlog_cursor_seek(tail->cursor, COMMITLOG_FROM_OFFSET, bound);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "seek %llu: %s", (ull)bound,
           commitlog_error_text(rc));
}

int32_t tail_step(struct tail *tail, int32_t timeout_ms)
{
    struct moment moment = moment_now(tail->seat);
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    uint64_t bound = 0;
    int32_t rc = commitlog_cursor_fetch(tail->cursor, tail->messages, TAIL_FETCH, timeout_ms,
                                        &tail->got, &bound);
    if (rc != COMMITLOG_OK)
        tail->got = 0;
    for (uint32_t i = 0; i < tail->got; i++)
        take(tail, &tail->messages[i]);
    if (rc == COMMITLOG_EEND)
        at_end(tail, &moment, bound);
    else if (rc == COMMITLOG_ETOOSMALL)
        too_small(tail, bound);
    else if (rc == COMMITLOG_EBEYOND && tail->seat->durable_only)
        tail->got = 0; /* it had read more when it had the other visibility */
    else if (rc != COMMITLOG_OK && rc != COMMITLOG_EUNRECOVERED && rc != COMMITLOG_EBUSY) {
        (void)commitlog_damage_get(tail->seat->store, 0, &damage);
        CHECKF(false, "topic %u queue %u at %llu: %s, bound %llu, damage %s [%llu, %llu)",
               tail->topic, tail->queue, (ull)commitlog_cursor_tell(tail->cursor),
               commitlog_error_name(rc), (ull)bound, damage.reason, (ull)damage.from_position,
               (ull)damage.to_position);
    }
    return rc;
}

bool tail_begin(struct tail *tail, struct seat *seat, uint32_t follower, uint32_t topic,
                uint32_t queue, struct rng *rng)
{
    static const uint32_t starts[] = {COMMITLOG_FROM_FIRST, COMMITLOG_FROM_END,
                                      COMMITLOG_FROM_TIME};
    uint32_t from = starts[rng_below(rng, 3)];
    uint64_t value = (uint64_t)(clock_wall_ns() - (int64_t)rng_below(rng, 3000000000));
    struct commitlog_error err = {.message = ""};
    memset(tail, 0, sizeof *tail);
    tail->seat = seat;
    tail->topic = topic;
    tail->queue = queue;
    tail->follower = follower;
    if (of_log(tail)) {
        CHECK_OK(commitlog_cursor_open_log(seat->store, 0, &tail->cursor, &err), &err);
        return true;
    }
    if (seat_number(seat, topic) == UINT32_MAX)
        return false;
    if (of_queue(tail)) {
        uint32_t lane = book_lane(topic, queue);
        uint64_t resume = atomic_load(&seat->book->resume[follower][lane]);
        if (resume > 0 && rng_chance(rng, 2, 3)) {
            from = COMMITLOG_FROM_OFFSET;
            value = resume;
            tail->tracks[lane].next = resume;
            tail->tracks[lane].known = true;
        }
    }
    CHECK_OK(commitlog_cursor_open(seat->store, seat_number(seat, topic), queue, from, value,
                                   &tail->cursor, &err),
             &err);
    return true;
}

void tail_end(struct tail *tail)
{
    commitlog_cursor_close(tail->cursor);
    tail->cursor = NULL;
    tail->got = 0;
}
