/* SPDX-License-Identifier: BSD-2-Clause */
/* hold.c -- cursors and leases that live over appends and retention; see session.h. */
#include <string.h>

#include "session.h"

typedef unsigned long long ull;

static void cursor_begin(struct session *session, struct held_cursor *held)
{
    struct commitlog_error err = {.message = ""};
    struct rng *rng = &session->rng;
    uint32_t from = COMMITLOG_FROM_FIRST;
    held->topic = (uint32_t)rng_below(rng, session->model->topic_count);
    held->queue = (uint32_t)rng_below(rng, session->model->topics[held->topic].queues);
    if (rng_chance(rng, 1, 3))
        held->queue = COMMITLOG_QUEUE_ALL;
    held->mask = rng_chance(rng, 1, 3) ? (uint32_t)rng_below(rng, 32) : 0;
    if (rng_chance(rng, 1, 3))
        from = COMMITLOG_FROM_END;
    CHECK_OK(commitlog_cursor_open(session->store, session->reader.numbers[held->topic],
                                   held->queue, from, 0, &held->cursor, &err),
             &err);
    reader_set_tags(held->cursor, held->mask);
}

/* Whether the item is one that this cursor returns; *lost when it was, before retention. */
static bool cursor_takes(const struct held_cursor *held, const struct item *item)
{
    return item->topic == held->topic && item->state == ITEM_MESSAGE &&
           (held->queue == COMMITLOG_QUEUE_ALL || item->queue == held->queue) &&
           reader_tag_matches(item, held->mask);
}

static uint64_t item_place(const struct held_cursor *held, const struct item *item)
{
    return held->queue == COMMITLOG_QUEUE_ALL ? item->position : item->offset;
}

/* Index of the next item that the cursor returns from `place` on, among the published ones. */
static uint32_t cursor_next(const struct session *session, const struct held_cursor *held,
                            uint64_t place)
{
    const struct model *model = session->model;
    uint32_t i = 0;
    for (; i < session->reader.published; i++)
        if (item_place(held, &model->items[i]) >= place && cursor_takes(held, &model->items[i]))
            break;
    return i;
}

/* A record of the queue (of the topic, in log order) in front of first, at or behind the place. */
static bool cursor_lost(const struct session *session, const struct held_cursor *held,
                        uint64_t place)
{
    const struct model *model = session->model;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct item *item = &model->items[i];
        if (item->position < model->first && item->topic == held->topic &&
            (held->queue == COMMITLOG_QUEUE_ALL || item->queue == held->queue) &&
            item_place(held, item) >= place)
            return true;
    }
    return false;
}

static void cursor_too_small(struct session *session, struct held_cursor *held, uint64_t bound)
{
    uint64_t first = 0, next = 0;
    if (held->queue == COMMITLOG_QUEUE_ALL) {
        CHECK(bound >= session->model->first);
    } else {
        model_bounds(session->model, held->topic, held->queue, session->reader.published, &first,
                     &next);
        CHECKF(bound == first, "bound %llu, expected %llu", (ull)bound, (ull)first);
    }
    CHECK_RC(commitlog_cursor_seek(held->cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
    CHECK(commitlog_cursor_tell(held->cursor) == bound);
}

static void cursor_go_on(struct session *session, struct held_cursor *held)
{
    struct commitlog_message messages[8];
    uint32_t max = (uint32_t)rng_between(&session->rng, 1, 8);
    uint32_t got = 0;
    uint64_t bound = 0;
    uint64_t place = commitlog_cursor_tell(held->cursor);
    uint32_t at = cursor_next(session, held, place);
    bool lost = cursor_lost(session, held, place);
    int32_t rc = commitlog_cursor_fetch(held->cursor, messages, max, 0, &got, &bound);
    if (rc == COMMITLOG_ETOOSMALL) {
        CHECK(lost || (held->queue == COMMITLOG_QUEUE_ALL && place < session->model->first));
        cursor_too_small(session, held, bound);
        return;
    }
    CHECKF(!lost, "place %llu is gone, but the fetch said %s", (ull)place,
           commitlog_error_name(rc));
    if (at == session->reader.published) {
        CHECK_RC(rc, COMMITLOG_EEND);
        return;
    }
    CHECK_RC(rc, COMMITLOG_OK);
    CHECK(got >= 1 && got <= max);
    for (uint32_t i = 0; i < got; i++) {
        CHECK(at < session->reader.published);
        reader_message(&session->reader, &session->model->items[at], &messages[i]);
        place = item_place(held, &session->model->items[at]) + 1;
        at = cursor_next(session, held, place);
    }
    CHECK(commitlog_cursor_tell(held->cursor) >= place);
}

void session_cursor(struct session *session)
{
    uint32_t which = (uint32_t)rng_below(&session->rng, SESSION_CURSORS_MAX);
    struct held_cursor *held = &session->cursors[which];
    session_refresh(session);
    if (held->cursor == NULL) {
        cursor_begin(session, held);
    } else if (rng_chance(&session->rng, 1, 20)) {
        commitlog_cursor_close(held->cursor);
        held->cursor = NULL;
        return;
    }
    for (uint32_t i = 0; i < 3; i++)
        cursor_go_on(session, held);
}

static void lease_begin(struct session *session, struct held_lease *held)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t live = model_live_from(session->model);
    const struct item *item = NULL;
    uint32_t got = 0;
    if (live >= session->reader.published)
        return;
    held->index = (uint32_t)rng_between(&session->rng, live, session->reader.published - 1);
    item = &session->model->items[held->index];
    if (item->state != ITEM_MESSAGE)
        return;
    if (rng_chance(&session->rng, 1, 2)) {
        CHECK_OK(commitlog_get(session->store, item->position, &held->message, &held->lease, &err),
                 &err);
        return;
    }
    CHECK_OK(commitlog_cursor_open(session->store, session->reader.numbers[item->topic],
                                   item->queue, COMMITLOG_FROM_OFFSET, item->offset, &cursor, &err),
             &err);
    CHECK_RC(commitlog_cursor_fetch(cursor, &held->message, 1, 0, &got, NULL), COMMITLOG_OK);
    CHECK_RC(commitlog_cursor_lease(cursor, &held->lease), COMMITLOG_OK);
    /* The cursor goes on, and is closed: neither touches what the lease holds. */
    {
        struct commitlog_message next;
        (void)commitlog_cursor_fetch(cursor, &next, 1, 0, &got, NULL);
    }
    commitlog_cursor_close(cursor);
}

void session_lease(struct session *session)
{
    uint32_t which = (uint32_t)rng_below(&session->rng, SESSION_LEASES_MAX);
    struct held_lease *held = &session->leases[which];
    session_refresh(session);
    if (held->lease == NULL)
        lease_begin(session, held);
    for (uint32_t i = 0; i < SESSION_LEASES_MAX; i++) {
        const struct item *item = &session->model->items[session->leases[i].index];
        if (session->leases[i].lease == NULL)
            continue;
        reader_message(&session->reader, item, &session->leases[i].message);
        CHECK_RC(commitlog_lease_check(session->leases[i].lease),
                 item->position < session->model->first ? COMMITLOG_EREVOKED : COMMITLOG_OK);
    }
    if (held->lease != NULL && rng_chance(&session->rng, 1, 6)) {
        commitlog_lease_release(held->lease);
        held->lease = NULL;
    }
}

void session_drop_held(struct session *session, bool closed)
{
    for (uint32_t i = 0; i < SESSION_CURSORS_MAX; i++) {
        struct held_cursor *held = &session->cursors[i];
        struct commitlog_message message;
        uint32_t got = 0;
        if (held->cursor == NULL)
            continue;
        if (closed)
            CHECK_RC(commitlog_cursor_fetch(held->cursor, &message, 1, 0, &got, NULL),
                     COMMITLOG_ECLOSED);
        commitlog_cursor_close(held->cursor);
        held->cursor = NULL;
    }
    for (uint32_t i = 0; i < SESSION_LEASES_MAX; i++) {
        struct held_lease *held = &session->leases[i];
        if (held->lease == NULL)
            continue;
        if (closed)
            CHECK_RC(commitlog_lease_check(held->lease), COMMITLOG_ECLOSED);
        commitlog_lease_release(held->lease);
        held->lease = NULL;
    }
}
