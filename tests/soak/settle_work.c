/* SPDX-License-Identifier: BSD-2-Clause */
/* settle_work.c -- keys of the topic that grows, and work, after an open; see settle.h. */
#include <stdio.h>
#include <string.h>

#include "settle.h"

typedef unsigned long long ull;

enum { FETCH = 64, SLACK_MS = 20, VISIBILITY_MS = 120 };

/* ---- the topic that grows -------------------------------------------------------------------- */

struct keys {
    struct commitlog_topic_info info;
    uint64_t last[LEDGER_THREADS][LEDGER_KEYS];
    bool met[LEDGER_THREADS][LEDGER_KEYS];
    bool behind[LEDGER_THREADS][LEDGER_KEYS]; /* one that the audit has not consumed was met */
};

/* The library may have put it there: by one of the numbers of queues that the topic has had. */
static bool may_lie(const struct keys *keys, const struct letter *letter, uint32_t queue)
{
    char name[16];
    size_t bytes = (size_t)snprintf(name, sizeof name, "%u-%u", letter->thread, letter->line);
    for (uint32_t step = 0; step < keys->info.step_count; step++) {
        uint32_t place = 0;
        CHECK_RC(commitlog_queue_by_key(name, bytes, keys->info.step_queues[step], &place),
                 COMMITLOG_OK);
        if (place == queue)
            return true;
    }
    return false;
}

static void key_take(struct desk *desk, struct keys *keys, const struct commitlog_message *message)
{
    const struct group_line *audit = &desk->ledger->groups[LEDGER_AUDIT];
    uint64_t committed = audit->offsets[ledger_place(LEDGER_GROWS, message->queue)];
    struct letter letter;
    letter_check(desk->ledger, message, &letter);
    CHECK(letter.topic == LEDGER_GROWS && letter.line < LEDGER_KEYS);
    const uint32_t t = letter.thread, k = letter.line;
    bool consumed = committed != UINT64_MAX && message->queue_offset < committed;
    CHECKF(!keys->met[t][k] || letter.serial == keys->last[t][k] + 1,
           "key %u-%u: number %llu in queue %u behind number %llu", t, k, (ull)letter.serial,
           message->queue, (ull)keys->last[t][k]);
    CHECKF(!consumed || !keys->behind[t][k],
           "key %u-%u: number %llu in queue %u is consumed, not all before it", t, k,
           (ull)letter.serial, message->queue);
    CHECKF(consumed == (letter.serial <= audit->seen[t][k]),
           "key %u-%u: number %llu is at queue %u offset %llu, which is committed to %llu; the "
           "group has seen %llu",
           t, k, (ull)letter.serial, message->queue, (ull)message->queue_offset, (ull)committed,
           (ull)audit->seen[t][k]);
    CHECKF(may_lie(keys, &letter, message->queue), "key %u-%u: number %llu lies in queue %u", t, k,
           (ull)letter.serial, message->queue);
    keys->behind[t][k] = !consumed;
    keys->met[t][k] = true;
    keys->last[t][k] = letter.serial;
}

static void keys_read(struct desk *desk, struct keys *keys)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    int32_t rc = COMMITLOG_OK;
    CHECK_OK(commitlog_cursor_open(desk_store(desk), atomic_load(&desk->numbers[LEDGER_GROWS]),
                                   COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (rc == COMMITLOG_OK || rc == COMMITLOG_ETOOSMALL) {
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, NULL);
        if (rc == COMMITLOG_ETOOSMALL) { /* retention of the background: once more */
            memset(keys->met, 0, sizeof keys->met);
            memset(keys->behind, 0, sizeof keys->behind);
            CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0), COMMITLOG_OK);
        }
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < got; i++)
            key_take(desk, keys, &messages[i]);
    }
    CHECKF(rc == COMMITLOG_EEND, "the topic that grows: %s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
}

static void queues_settle(struct desk *desk, struct keys *keys)
{
    struct ledger *ledger = desk->ledger;
    keys->info.struct_bytes = sizeof keys->info;
    CHECK_RC(commitlog_topic_info(desk_store(desk), atomic_load(&desk->numbers[LEDGER_GROWS]),
                                  &keys->info),
             COMMITLOG_OK);
    CHECKF(keys->info.queues == ledger->queues ||
               (ledger->queues_begun != 0 && keys->info.queues == ledger->queues_begun),
           "the topic has %u queues; it was told %u, and was being told %u", keys->info.queues,
           ledger->queues, ledger->queues_begun);
    ledger->queues = keys->info.queues;
    ledger->queues_begun = 0;
    for (uint32_t q = 0; q < keys->info.queues_total; q++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        uint64_t committed = ledger->groups[LEDGER_AUDIT].offsets[ledger_place(LEDGER_GROWS, q)];
        CHECK_RC(commitlog_queue_info(desk_store(desk), atomic_load(&desk->numbers[LEDGER_GROWS]),
                                      q, &info),
                 COMMITLOG_OK);
        CHECKF(committed == UINT64_MAX || info.next_offset >= committed,
               "queue %u ends at %llu, and was read to %llu", q, (ull)info.next_offset,
               (ull)committed);
    }
}

void settle_keyed(struct desk *desk)
{
    static struct keys keys;
    struct ledger *ledger = desk->ledger;
    memset(&keys, 0, sizeof keys);
    queues_settle(desk, &keys);
    keys_read(desk, &keys);
    for (uint32_t t = 0; t < LEDGER_THREADS; t++) {
        for (uint32_t k = 0; k < LEDGER_KEYS; k++) {
            uint64_t acked = atomic_load(&ledger->keyed[t].acked[k]);
            uint64_t begun = atomic_load(&ledger->keyed[t].begun[k]);
            uint64_t last = keys.last[t][k];
            if (!keys.met[t][k]) /* retention may have taken what was consumed */
                last = ledger->groups[LEDGER_AUDIT].seen[t][k];
            CHECKF(
                last >= acked && last <= begun,
                "key %u-%u ends with number %llu; %llu was acknowledged, %llu begun; the audit has "
                "seen %llu, the log %s",
                t, k, (ull)last, (ull)acked, (ull)begun,
                (ull)ledger->groups[LEDGER_AUDIT].seen[t][k],
                keys.met[t][k] ? "has some" : "has none");
            if (begun != acked)
                ledger_count(ledger, LEDGER_OPEN_KILLED, 1);
            atomic_store(&ledger->keyed[t].acked[k], last);
            atomic_store(&ledger->keyed[t].begun[k], last);
        }
    }
}

/* ---- work ------------------------------------------------------------------------------------ */

struct toil {
    struct commitlog_group *group;
    uint64_t committed[2];
    bool dead[2][LEDGER_CELLS]; /* as letters that the audit has not seen */
};

static void dead_came(struct desk *desk, uint32_t topic, const struct commitlog_message *message,
                      void *context)
{
    struct toil *toil = context;
    struct letter letter;
    (void)topic;
    letter_check(desk->ledger, message, &letter);
    work_dead_check(desk, &letter, message);
    bool *dead = &toil->dead[message->origin_queue][message->origin_offset % LEDGER_CELLS];
    CHECKF(!*dead, "queue %u offset %llu is dead twice", message->origin_queue,
           (ull)message->origin_offset);
    *dead = true;
}

/* What the library says of one message. */
static enum cell_state cell_found(struct desk *desk, const struct toil *toil, uint32_t queue,
                                  uint64_t offset, struct commitlog_work_info *out)
{
    struct commitlog_error err = {.message = ""};
    memset(out, 0, sizeof *out);
    out->struct_bytes = sizeof *out;
    if (offset < toil->committed[queue])
        return CELL_DONE;
    int32_t rc = commitlog_group_work(toil->group, atomic_load(&desk->numbers[LEDGER_WORK]), queue,
                                      offset, out, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND, "work: %s", err.message);
    if (rc != COMMITLOG_OK || out->offset > offset)
        return CELL_FRESH;
    return out->state == COMMITLOG_WORK_DONE ? CELL_DONE : CELL_OUT;
}

/* Out now: again, or since it was asked for when the process died. */
static void cell_out(struct work *work, struct cell *cell, const struct commitlog_work_info *found,
                     uint32_t queue, uint64_t offset)
{
    bool again = work->receiving != 0 && cell->state != CELL_DONE &&
                 found->attempts == cell->attempt + 1 &&
                 found->visible_at_ms + SLACK_MS >= work->receive_ms + VISIBILITY_MS;
    bool same = cell->state == CELL_OUT && found->attempts == cell->attempt &&
                (cell->moving != 0 || (found->visible_at_ms + SLACK_MS >= cell->from_ms &&
                                       found->visible_at_ms <= cell->to_ms + SLACK_MS));
    CHECKF(again || same,
           "queue %u offset %llu is out, attempt %u until %lld; it was in state %u, attempt %u "
           "until %lld to %lld",
           queue, (ull)offset, found->attempts, (long long)found->visible_at_ms, cell->state,
           cell->attempt, (long long)cell->from_ms, (long long)cell->to_ms);
    cell->state = CELL_OUT;
    cell->attempt = found->attempts;
    cell->from_ms = found->visible_at_ms;
    cell->to_ms = found->visible_at_ms;
    cell->acking = 0;
}

static void cell_settle(struct desk *desk, struct toil *toil, uint32_t queue, uint64_t offset)
{
    struct work *work = &desk->ledger->work;
    struct cell *cell = &work->cells[queue][offset % LEDGER_CELLS];
    struct commitlog_work_info info;
    enum cell_state found = cell_found(desk, toil, queue, offset, &info);
    bool dead = cell->dead != 0 || toil->dead[queue][offset % LEDGER_CELLS];
    if (found == CELL_OUT) {
        CHECKF(!dead, "queue %u offset %llu is out, and dead", queue, (ull)offset);
        cell_out(work, cell, &info, queue, offset);
    } else if (found == CELL_FRESH) {
        CHECKF(cell->state == CELL_FRESH, "queue %u offset %llu in state %u, attempt %u, is fresh",
               queue, (ull)offset, cell->state, cell->attempt);
    } else {
        CHECKF(cell->state == CELL_DONE || cell->acking != 0 || dead,
               "queue %u offset %llu is done: it was in state %u, attempt %u", queue, (ull)offset,
               cell->state, cell->attempt);
        if (cell->state == CELL_OUT && !dead)
            cell->state = CELL_DONE;
        cell->acking = cell->state == CELL_DONE && dead ? 1 : 0; /* the letter is yet to be seen */
    }
    cell->moving = 0;
}

/* What was put when the process died, or a hole in its place. */
static void ends_settle(struct desk *desk, struct toil *toil)
{
    struct work *work = &desk->ledger->work;
    for (uint32_t q = 0; q < 2; q++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_queue_info(desk_store(desk), atomic_load(&desk->numbers[LEDGER_WORK]), q,
                                      &info),
                 COMMITLOG_OK);
        CHECKF(info.next_offset == work->next[q] ||
                   (work->putting == 1 + q && info.next_offset == work->next[q] + 1),
               "queue %u ends at %llu, not at %llu", q, (ull)info.next_offset, (ull)work->next[q]);
        if (info.next_offset == work->next[q])
            continue;
        ledger_count(desk->ledger, LEDGER_OPEN_KILLED, 1);
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message message;
        struct commitlog_error err = {.message = ""};
        uint32_t got = 0;
        CHECK_OK(commitlog_cursor_open(desk_store(desk), atomic_load(&desk->numbers[LEDGER_WORK]),
                                       q, COMMITLOG_FROM_OFFSET, work->next[q], &cursor, &err),
                 &err);
        int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL);
        CHECK(rc == COMMITLOG_OK || rc == COMMITLOG_EEND);
        work->cells[q][work->next[q] % LEDGER_CELLS] = (struct cell){
            .serial = work->serial, .state = rc == COMMITLOG_OK ? CELL_FRESH : CELL_DONE};
        commitlog_cursor_close(cursor);
        work->next[q]++;
    }
    work->putting = 0;
    (void)toil;
}

void settle_work(struct desk *desk)
{
    static struct toil toil;
    struct work *work = &desk->ledger->work;
    struct commitlog_error err = {.message = ""};
    memset(&toil, 0, sizeof toil);
    toil.group = group_open(desk_store(desk), workers_name, 0);
    ends_settle(desk, &toil);
    for (uint32_t q = 0; q < 2; q++) {
        struct commitlog_group_offset at = {atomic_load(&desk->numbers[LEDGER_WORK]), q, 0};
        CHECK_OK(commitlog_group_fetch(toil.group, &at, 1, &err), &err);
        CHECKF(at.offset <= work->next[q], "queue %u is done to %llu, and ends at %llu", q,
               (ull)at.offset, (ull)work->next[q]);
        toil.committed[q] = at.offset;
    }
    settle_unseen(desk, LEDGER_DEAD, dead_came, &toil);
    for (uint32_t q = 0; q < 2; q++)
        for (uint64_t o = work->floor[q]; o < work->next[q]; o++)
            cell_settle(desk, &toil, q, o);
    work->receiving = 0;
    commitlog_group_close(toil.group);
}
