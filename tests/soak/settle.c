/* SPDX-License-Identifier: BSD-2-Clause */
/* settle.c -- what groups have committed, and the frame of the check; see settle.h. */
#include "settle.h"

#include <string.h>

typedef unsigned long long ull;

enum { FETCH = 64 };

void settle_unseen(struct desk *desk, uint32_t topic, settle_take *take, void *context)
{
    const struct group_line *audit = &desk->ledger->groups[LEDGER_AUDIT];
    struct commitlog_message messages[FETCH];
    struct commitlog_error err = {.message = ""};
    for (uint32_t q = 0; q < ledger_queues(topic); q++) {
        struct commitlog_cursor *cursor = NULL;
        uint32_t got = 0;
        int32_t rc = COMMITLOG_OK;
        CHECK_OK(commitlog_cursor_open(desk_store(desk), atomic_load(&desk->numbers[topic]), q,
                                       COMMITLOG_FROM_OFFSET,
                                       audit->offsets[ledger_place(topic, q)], &cursor, &err),
                 &err);
        while ((rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, NULL)) ==
               COMMITLOG_OK)
            for (uint32_t i = 0; i < got; i++)
                take(desk, topic, &messages[i], context);
        CHECKF(rc == COMMITLOG_EEND, "topic %u queue %u at %llu: %s", topic, q,
               (ull)commitlog_cursor_tell(cursor), commitlog_error_name(rc));
        commitlog_cursor_close(cursor);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* The offset being committed there; UINT64_MAX: none. */
static uint64_t moved_to(const struct group_line *line, uint32_t place)
{
    for (uint32_t i = 0; i < atomic_load(&line->moved_count); i++)
        if (line->moved[i].place == place)
            return line->moved[i].offset;
    return UINT64_MAX;
}

static void settle_epoch(struct group_line *line, struct commitlog_group *group, uint32_t index)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_group_info(group, &info), COMMITLOG_OK);
    CHECKF(info.epoch == line->epoch || (line->epoch_begun != 0 && info.epoch == line->epoch + 1),
           "group %u: epoch %u, it was %u", index, info.epoch, line->epoch);
    CHECK(info.flags == (index == LEDGER_AUDIT ? (uint32_t)COMMITLOG_GROUP_KEEP : 0));
    line->epoch = info.epoch;
    line->epoch_begun = 0;
}

static void settle_reset(struct group_line *line, const uint64_t found[LEDGER_QUEUES])
{
    for (uint32_t q = 0; q < LEDGER_GROWN; q++)
        line->offsets[ledger_place(LEDGER_GROWS, q)] = found[ledger_place(LEDGER_GROWS, q)];
    memset(line->seen, 0, sizeof line->seen);
    line->ordered = 0;
    line->reset_begun = 0;
}

static void settle_offsets(struct desk *desk, uint32_t index, const uint64_t found[LEDGER_QUEUES])
{
    struct group_line *line = &desk->ledger->groups[index];
    uint32_t moved = 0, stayed = 0, begun = atomic_load(&line->moved_count);
    if (line->reset_begun != 0) {
        settle_reset(line, found);
        return;
    }
    for (uint32_t place = 0; place < LEDGER_QUEUES; place++) {
        uint64_t to = moved_to(line, place);
        CHECKF(found[place] == line->offsets[place] || (to != UINT64_MAX && found[place] == to),
               "group %u, place %u: %llu is committed; it was told %llu, and was being told %llu",
               index, place, (ull)found[place], (ull)line->offsets[place], (ull)to);
        moved += to != UINT64_MAX && to != line->offsets[place] && found[place] == to;
        stayed += to != UINT64_MAX && to != line->offsets[place] && found[place] != to;
    }
    CHECKF(moved == 0 || stayed == 0, "group %u: %u offsets of one commit are there, %u are not",
           index, moved, stayed);
    if (begun > 0)
        ledger_count(desk->ledger, LEDGER_OPEN_KILLED, 1);
    if (begun > 0 && stayed == 0) /* again, if it died in the middle of that */
        consume_promote(desk->ledger, index);
    atomic_store(&line->moved_count, 0);
}

void settle_groups(struct desk *desk)
{
    for (uint32_t i = 0; i < LEDGER_THREADS; i++) {
        uint64_t found[LEDGER_QUEUES];
        struct commitlog_error err = {.message = ""};
        struct commitlog_group *group = NULL;
        char name[24];
        group_name(i, name);
        group = group_open(desk_store(desk), name, 0);
        settle_epoch(&desk->ledger->groups[i], group, i);
        for (uint32_t place = 0; place < LEDGER_QUEUES; place++) {
            struct commitlog_topic_info info = {.struct_bytes = sizeof info};
            struct commitlog_group_offset at = {.offset = UINT64_MAX};
            uint32_t topic = 0;
            ledger_unplace(place, &topic, &at.queue);
            at.topic = atomic_load(&desk->numbers[topic]);
            CHECK_RC(commitlog_topic_info(desk_store(desk), at.topic, &info), COMMITLOG_OK);
            if (at.queue < info.queues_total)
                CHECK_OK(commitlog_group_fetch(group, &at, 1, &err), &err);
            found[place] = at.offset;
        }
        settle_offsets(desk, i, found);
        commitlog_group_close(group);
    }
}

void ledger_settle(struct desk *desk)
{
    struct commitlog_error err = {.message = ""};
    settle_groups(desk);
    /* Where only what is durable is visible: all of it. */
    CHECK_OK(commitlog_sync(desk_store(desk), UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
    settle_laters(desk);
    book_beat(desk->seat->book, 0, 0);
    settle_deals(desk);
    settle_keyed(desk);
    settle_work(desk);
    book_beat(desk->seat->book, 0, 0);
    ledger_count(desk->ledger, LEDGER_SETTLED, 1);
}
