/* SPDX-License-Identifier: BSD-2-Clause */
/* clerk.c -- what a thread of the writer does beside plain appends; see clerk.h. */
#define _GNU_SOURCE
#include "clerk.h"

#include <stdio.h>
#include <string.h>

enum { VISIBILITY_MS = 120 };

const char *const workers_name = "workers";

void group_name(uint32_t group, char out[24])
{
    if (group == LEDGER_AUDIT)
        snprintf(out, 24, "audit");
    else
        snprintf(out, 24, "reader-%u", group);
}

struct commitlog_store *desk_store(const struct desk *desk)
{
    return desk->seat->store;
}

bool call_done(int32_t rc, const struct commitlog_error *err, const char *what)
{
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN || rc == COMMITLOG_ETIMEDOUT ||
               rc == COMMITLOG_EINTERRUPTED,
           "%s: %s: %s", what, commitlog_error_name(rc), err->message);
    return rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN;
}

void desk_firm(const struct desk *desk)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_positions now;
    int32_t rc = COMMITLOG_EINTERRUPTED;
    if (!desk->firm)
        return;
    /* Not only what is published: a reservation that is open may lie before it. */
    seat_positions(desk->seat, &now);
    while (rc == COMMITLOG_EINTERRUPTED)
        rc = commitlog_sync(desk_store(desk), now.claimed, COMMITLOG_FOREVER, &err);
    CHECKF(rc == COMMITLOG_OK, "sync: %s: %s", commitlog_error_name(rc), err.message);
}

struct commitlog_group *group_open(struct commitlog_store *store, const char *name, uint32_t flags)
{
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_group_open(store, name, strlen(name), flags, &group, &err), &err);
    return group;
}

bool desk_owns(struct seat *seat, uint32_t number)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_topic_info(seat->store, number, &info), COMMITLOG_OK);
    return ledger_topic(info.name) < LEDGER_TOPICS;
}

/* ---- the desk -------------------------------------------------------------------------------- */

/* Each group begins at the front of what it is to see all of. */
static void group_make(struct desk *desk, uint32_t index)
{
    struct group_line *line = &desk->ledger->groups[index];
    struct commitlog_group_offset offsets[LEDGER_QUEUES];
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    char name[24];
    uint32_t count = 0;
    bool audit = index == LEDGER_AUDIT;
    group_name(index, name);
    group = group_open(desk_store(desk), name,
                       COMMITLOG_GROUP_CREATE | (audit ? COMMITLOG_GROUP_KEEP : 0));
    for (uint32_t topic = 0; topic < LEDGER_TOPICS; topic++) {
        for (uint32_t q = 0; q < ledger_queues(topic); q++) {
            if (topic == LEDGER_WORK || (!audit && topic != LEDGER_GROWS))
                continue;
            line->offsets[ledger_place(topic, q)] = 0;
            offsets[count++] =
                (struct commitlog_group_offset){atomic_load(&desk->numbers[topic]), q, 0};
        }
    }
    CHECK_OK(commitlog_group_commit(group, 0, offsets, count, COMMITLOG_LEVEL_NONE,
                                    COMMITLOG_FOREVER, NULL, &err),
             &err);
    commitlog_group_close(group);
}

void desk_open(struct desk *desk, struct seat *seat, bool firm)
{
    struct ledger *ledger = seat->book->ledger;
    struct commitlog_group *workers = NULL;
    struct commitlog_error err = {.message = ""};
    desk->seat = seat;
    desk->ledger = ledger;
    desk->firm = firm;
    atomic_store(&ledger->acting, 0);
    CHECK(pthread_mutex_init(&desk->work, NULL) == 0);
    for (uint32_t topic = 0; topic < LEDGER_TOPICS; topic++) {
        uint32_t number = 0;
        const char *name = ledger_name(topic);
        CHECK_OK(commitlog_topic_open(seat->store, name, strlen(name), ledger_queues(topic),
                                      &number, &err),
                 &err);
        atomic_store(&desk->numbers[topic], number);
    }
    if (atomic_load(&ledger->ready) != 0)
        return;
    for (uint32_t i = 0; i < LEDGER_THREADS; i++)
        group_make(desk, i);
    workers = group_open(seat->store, workers_name, COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP);
    CHECK_OK(commitlog_group_reset(workers, atomic_load(&desk->numbers[LEDGER_WORK]),
                                   COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                   COMMITLOG_LEVEL_NONE, &err),
             &err);
    commitlog_group_close(workers);
    ledger->queues = ledger_step(0);
    desk_firm(desk);
    atomic_store(&ledger->ready, 1);
}

/* ---- clerks ---------------------------------------------------------------------------------- */

void clerk_begin(struct clerk *clerk, struct desk *desk, uint32_t thread, struct rng *rng)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof options,
                                                       .max_attempts = LEDGER_ATTEMPTS,
                                                       .visibility_ms = VISIBILITY_MS};
    struct commitlog_group *workers = group_open(desk_store(desk), workers_name, 0);
    struct commitlog_error err = {.message = ""};
    char name[24];
    *clerk = (struct clerk){.desk = desk, .thread = thread, .rng = rng};
    group_name(thread, name);
    clerk->group = group_open(desk_store(desk), name, 0);
    CHECK_OK(commitlog_receiver_open(workers, atomic_load(&desk->numbers[LEDGER_WORK]), &options,
                                     &clerk->receiver, &err),
             &err);
    commitlog_group_close(workers);
}

void clerk_end(struct clerk *clerk)
{
    commitlog_receiver_close(clerk->receiver);
    commitlog_group_close(clerk->group);
}

static void act(struct clerk *clerk)
{
    uint64_t draw = rng_below(clerk->rng, 1000);
    /* The audit has all of it to see, and alone. */
    uint64_t consuming = clerk->thread == LEDGER_AUDIT ? 450 : 150;
    if (atomic_load(&clerk->desk->pause) != 0 && draw >= 300) {
        if (clerk->thread == LEDGER_AUDIT && draw >= 600)
            keyed_shrink(clerk);
        else
            consume_act(clerk);
    } else if (draw < consuming)
        consume_act(clerk);
    else if (draw < consuming + 30)
        consume_other(clerk);
    else if (clerk->thread == LEDGER_AUDIT && draw < consuming + 40)
        keyed_grow(clerk);
    else if (draw < 650)
        keyed_act(clerk);
    else if (draw < 750)
        later_act(clerk);
    else if (draw < 850)
        deal_act(clerk);
    else
        work_act(clerk);
}

void clerk_act(struct clerk *clerk)
{
    atomic_fetch_add(&clerk->desk->ledger->acting, 1);
    act(clerk);
    atomic_fetch_sub(&clerk->desk->ledger->acting, 1);
}

void clerk_catch_up(struct clerk *clerk)
{
    consume_act(clerk);
    work_catch_up(clerk);
}
