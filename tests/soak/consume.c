/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * consume.c -- a thread consumes as its group: keeps to the gates, commits offsets, begins epochs,
 * resets; see clerk.h.
 *
 * The audit keeps in the store what it has not seen, so it is given everything once and in order:
 * of each key number by number. The others may lose what retention takes, and are set back.
 */
#include <stdlib.h>
#include <string.h>

#include "clerk.h"

typedef unsigned long long ull;

struct pass {
    struct clerk *clerk;
    struct group_line *line;
    struct moved moved[LEDGER_BATCH];
    uint32_t count;
};

/* ---- what was read --------------------------------------------------------------------------- */

static void mark_add(struct group_line *line, const struct mark *mark)
{
    for (uint32_t i = 0; i < line->mark_count; i++)
        CHECKF(memcmp(&line->marks[i], mark, sizeof *mark) != 0,
               "topic %u: message %u/%u/%llu comes twice", mark->topic, mark->thread, mark->line,
               (ull)mark->serial);
    CHECK(line->mark_count < LEDGER_BATCH * LEDGER_FETCH);
    line->marks[line->mark_count++] = *mark;
}

static void take_keyed(const struct pass *pass, const struct letter *letter,
                       const struct commitlog_message *message)
{
    uint64_t *seen = &pass->line->next_seen[letter->thread][letter->line];
    CHECK(letter->line < LEDGER_KEYS);
    CHECKF(letter->serial <=
               atomic_load(&pass->clerk->desk->ledger->keyed[letter->thread].begun[letter->line]),
           "key %u-%u: number %llu was never begun", letter->thread, letter->line,
           (ull)letter->serial);
    CHECKF(pass->clerk->thread == LEDGER_AUDIT ? letter->serial == *seen + 1
                                               : letter->serial > *seen || !pass->line->ordered,
           "group %u, key %u-%u: number %llu in queue %u offset %llu behind number %llu",
           pass->clerk->thread, letter->thread, letter->line, (ull)letter->serial, message->queue,
           (ull)message->queue_offset, (ull)*seen);
    *seen = letter->serial;
}

static void take(const struct pass *pass, uint32_t topic, const struct commitlog_message *message)
{
    struct desk *desk = pass->clerk->desk;
    struct letter letter;
    struct mark mark;
    memset(&mark, 0, sizeof mark);
    letter_check(desk->ledger, message, &letter);
    CHECKF(letter.topic == (topic == LEDGER_DEAD ? (uint32_t)LEDGER_WORK : topic),
           "of topic %u in topic %u at %llu", letter.topic, topic, (ull)message->position);
    mark = (struct mark){.serial = letter.serial,
                         .topic = (uint8_t)topic,
                         .thread = (uint8_t)letter.thread,
                         .line = (uint16_t)letter.line,
                         .index = letter.index};
    if (topic == LEDGER_GROWS) {
        take_keyed(pass, &letter, message);
        return;
    }
    if (topic == LEDGER_LATER) {
        later_check(desk->ledger, &letter, message);
    } else if (topic == LEDGER_DEAD) {
        CHECK(pthread_mutex_lock(&desk->work) == 0);
        work_dead_check(desk, &letter, message);
        CHECK(pthread_mutex_unlock(&desk->work) == 0);
        mark.thread = (uint8_t)message->origin_queue;
        mark.line = (uint16_t)(message->origin_offset % LEDGER_CELLS);
    } else {
        deal_check(desk->ledger, &letter, message);
    }
    mark_add(pass->line, &mark);
}

/* ---- a queue --------------------------------------------------------------------------------- */

/* What is not open cannot be committed, unless retention or the growth has opened it just now:
 * true, and it is committed. Only before the pass has taken anything, for all that is promoted with
 * it. */
static bool opened_meanwhile(const struct pass *pass, uint32_t queue)
{
    struct clerk *clerk = pass->clerk;
    struct group_line *line = pass->line;
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    const struct commitlog_group_offset at = {atomic_load(&clerk->desk->numbers[LEDGER_GROWS]),
                                              queue, 0};
    struct commitlog_error err = {.message = ""};
    line->moved[0] = (struct moved){ledger_place(LEDGER_GROWS, queue), 0};
    atomic_store(&line->moved_count, 1);
    int32_t rc =
        commitlog_group_commit(clerk->group, 0, &at, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err);
    if (rc == COMMITLOG_EMISUSE || !call_done(rc, &err, "commit")) {
        atomic_store(&line->moved_count, 0);
        return false;
    }
    desk_firm(clerk->desk);
    consume_promote(clerk->desk->ledger, clerk->thread);
    CHECK_OK(commitlog_group_gate(clerk->group, at.topic, queue, &gate, &err), &err);
    CHECKF(gate.open != 0, "group %u: queue %u is not open, and was committed", clerk->thread,
           queue);
    return true;
}

/* Whether the group may read it, which has to agree with what it has committed. */
static bool is_open(const struct pass *pass, uint32_t queue)
{
    const struct desk *desk = pass->clerk->desk;
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    const uint32_t topic = atomic_load(&desk->numbers[LEDGER_GROWS]);
    struct commitlog_error err = {.message = ""};
    uint64_t parent = 0;
    CHECK_RC(commitlog_topic_info(desk_store(desk), topic, &info), COMMITLOG_OK);
    if (queue >= info.queues_total)
        return false;
    CHECK_OK(commitlog_group_gate(pass->clerk->group, topic, queue, &gate, &err), &err);
    if (gate.parent == UINT32_MAX) {
        CHECK(gate.open == 1 && queue < ledger_step(0));
        return true;
    }
    CHECK(queue >= ledger_step(0) && gate.parent < queue);
    parent = pass->line->offsets[ledger_place(LEDGER_GROWS, gate.parent)];
    parent = parent == UINT64_MAX ? 0 : parent;
    CHECKF(gate.open != 0 ? parent >= gate.mark : parent < gate.mark,
           "group %u: queue %u is %s; its parent %u is consumed to %llu, the mark is %llu",
           pass->clerk->thread, queue, gate.open != 0 ? "open" : "not open", gate.parent,
           (ull)parent, (ull)gate.mark);
    if (gate.open != 0)
        return true;
    ledger_count(desk->ledger, LEDGER_CLOSED, 1);
    return pass->count == 0 &&
           pass->line->offsets[ledger_place(LEDGER_GROWS, queue)] == UINT64_MAX &&
           opened_meanwhile(pass, queue);
}

/* Asked behind the fetch: between the first look and that the topic may have shrunk and grown
 * again, and then what came is not in order. */
static bool still_open(const struct pass *pass, uint32_t queue)
{
    const struct desk *desk = pass->clerk->desk;
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_group_gate(pass->clerk->group, atomic_load(&desk->numbers[LEDGER_GROWS]),
                                  queue, &gate, &err),
             &err);
    ledger_count(desk->ledger, LEDGER_CLOSED, gate.open == 0);
    return gate.open != 0;
}

static struct commitlog_cursor *cursor_open(const struct pass *pass, uint32_t topic, uint32_t queue,
                                            uint64_t from)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_cursor_open(desk_store(pass->clerk->desk),
                                   atomic_load(&pass->clerk->desk->numbers[topic]), queue,
                                   COMMITLOG_FROM_OFFSET, from, &cursor, &err),
             &err);
    return cursor;
}

static void consume_queue(struct pass *pass, uint32_t place)
{
    struct commitlog_message messages[LEDGER_FETCH];
    struct commitlog_cursor *cursor = NULL;
    uint32_t topic = 0, queue = 0, got = 0;
    uint64_t bound = 0, next = pass->line->offsets[place];
    bool audit = pass->clerk->thread == LEDGER_AUDIT;
    int32_t rc = 0;
    ledger_unplace(place, &topic, &queue);
    if (topic == LEDGER_GROWS && !is_open(pass, queue))
        return;
    next = next == UINT64_MAX ? 0 : next;
    cursor = cursor_open(pass, topic, queue, next);
    rc = commitlog_cursor_fetch(cursor, messages, LEDGER_FETCH, 0, &got, &bound);
    while (rc == COMMITLOG_ETOOSMALL && !audit) { /* retention was faster */
        CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
        rc = commitlog_cursor_fetch(cursor, messages, LEDGER_FETCH, 0, &got, &bound);
    }
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_EINTERRUPTED,
           "group %u, topic %u queue %u at %llu: %s, bound %llu", pass->clerk->thread, topic, queue,
           (ull)next, commitlog_error_name(rc), (ull)bound);
    if (rc == COMMITLOG_OK && topic == LEDGER_GROWS && !still_open(pass, queue))
        rc = COMMITLOG_EEND;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < got; i++) {
        CHECK(messages[i].queue == queue && messages[i].queue_offset >= next);
        next = messages[i].queue_offset + 1;
        take(pass, topic, &messages[i]);
    }
    if (rc == COMMITLOG_OK) {
        pass->moved[pass->count++] = (struct moved){place, next};
        ledger_count(pass->clerk->desk->ledger, LEDGER_CONSUMED, got);
    }
    commitlog_cursor_close(cursor);
}

/* ---- offsets --------------------------------------------------------------------------------- */

void consume_promote(struct ledger *ledger, uint32_t group)
{
    struct group_line *line = &ledger->groups[group];
    uint32_t count = atomic_load(&line->moved_count);
    for (uint32_t i = 0; i < count; i++)
        line->offsets[line->moved[i].place] = line->moved[i].offset;
    memcpy(line->seen, line->next_seen, sizeof line->seen);
    for (uint32_t i = 0; i < line->mark_count; i++) {
        const struct mark *mark = &line->marks[i];
        if (mark->topic == LEDGER_LATER) {
            atomic_store(&ledger->laters[mark->thread][mark->line].state, LATER_SEEN);
            ledger_count(ledger, LEDGER_CAME, 1);
        } else if (mark->topic == LEDGER_DEAD) {
            ledger->work.cells[mark->thread][mark->line].dead = 1;
            ledger_count(ledger, LEDGER_BURIED, 1);
        } else {
            atomic_fetch_or(&ledger->deals[mark->thread][mark->line].seen, 1u << mark->index);
        }
    }
    atomic_store(&line->moved_count, 0);
}

static void commit(struct pass *pass)
{
    struct clerk *clerk = pass->clerk;
    struct group_line *line = pass->line;
    struct commitlog_group_offset offsets[LEDGER_BATCH];
    struct commitlog_error err = {.message = ""};
    uint32_t epoch = rng_chance(clerk->rng, 1, 3) ? line->epoch : 0;
    int32_t rc = 0;
    for (uint32_t i = 0; i < pass->count; i++) {
        uint32_t topic = 0;
        ledger_unplace(pass->moved[i].place, &topic, &offsets[i].queue);
        offsets[i].topic = atomic_load(&clerk->desk->numbers[topic]);
        offsets[i].offset = pass->moved[i].offset;
        line->moved[i] = pass->moved[i];
    }
    if (rng_chance(clerk->rng, 1, 10)) { /* a member that is none any more */
        uint32_t other = line->epoch > 1 ? line->epoch - 1 : line->epoch + 1;
        CHECK_RC(commitlog_group_commit(clerk->group, other, offsets, pass->count,
                                        COMMITLOG_LEVEL_NONE, 0, NULL, NULL),
                 COMMITLOG_EFENCED);
        ledger_count(clerk->desk->ledger, LEDGER_FENCED, 1);
    }
    atomic_store(&line->moved_count, pass->count);
    rc = commitlog_group_commit(clerk->group, epoch, offsets, pass->count,
                                rng_chance(clerk->rng, 1, 60) ? COMMITLOG_LEVEL_DURABLE
                                                              : COMMITLOG_LEVEL_NONE,
                                COMMITLOG_FOREVER, NULL, &err);
    if (!call_done(rc, &err, "commit")) {
        atomic_store(&line->moved_count, 0);
        return;
    }
    desk_firm(clerk->desk);
    if (clerk->thread == LEDGER_AUDIT) /* dead letters are work's */
        CHECK(pthread_mutex_lock(&clerk->desk->work) == 0);
    consume_promote(clerk->desk->ledger, clerk->thread);
    if (clerk->thread == LEDGER_AUDIT)
        CHECK(pthread_mutex_unlock(&clerk->desk->work) == 0);
    ledger_count(clerk->desk->ledger, LEDGER_COMMITS, 1);
    offsets[0].offset = pass->moved[0].offset - 1;
    CHECK_RC(
        commitlog_group_commit(clerk->group, 0, offsets, 1, COMMITLOG_LEVEL_NONE, 0, NULL, NULL),
        COMMITLOG_ETOOSMALL);
}

void consume_act(struct clerk *clerk)
{
    struct pass pass = {.clerk = clerk, .line = &clerk->desk->ledger->groups[clerk->thread]};
    struct group_line *line = pass.line;
    uint32_t places =
        clerk->thread == LEDGER_AUDIT ? (uint32_t)LEDGER_QUEUES : (uint32_t)LEDGER_GROWN;
    uint32_t place = (uint32_t)rng_below(clerk->rng, places);
    memcpy(line->next_seen, line->seen, sizeof line->seen);
    line->mark_count = 0;
    for (uint32_t i = 0; i < places && pass.count < LEDGER_BATCH; i++) {
        uint32_t topic = 0, queue = 0;
        ledger_unplace(place, &topic, &queue);
        if (topic != LEDGER_WORK)
            consume_queue(&pass, place);
        place = (place + 7) % places;
    }
    if (pass.count > 0)
        commit(&pass);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void next_epoch(struct clerk *clerk)
{
    struct group_line *line = &clerk->desk->ledger->groups[clerk->thread];
    struct commitlog_error err = {.message = ""};
    uint32_t epoch = 0;
    line->epoch_begun = 1;
    if (call_done(commitlog_group_next_epoch(clerk->group, COMMITLOG_LEVEL_NONE, &epoch, &err),
                  &err, "epoch")) {
        desk_firm(clerk->desk);
        CHECKF(epoch == line->epoch + 1, "epoch %u behind %u", epoch, line->epoch);
        line->epoch = epoch;
    }
    line->epoch_begun = 0;
}

static void fetch_all(struct clerk *clerk, struct commitlog_group_offset *offsets, uint32_t *count)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    uint32_t number = atomic_load(&clerk->desk->numbers[LEDGER_GROWS]);
    CHECK_RC(commitlog_topic_info(desk_store(clerk->desk), number, &info), COMMITLOG_OK);
    CHECK(info.queues_total <= LEDGER_GROWN);
    *count = info.queues_total;
    for (uint32_t q = 0; q < *count; q++)
        offsets[q] = (struct commitlog_group_offset){number, q, 0};
    CHECK_OK(commitlog_group_fetch(clerk->group, offsets, *count, &err), &err);
}

/* Back to the front of a queue, or over everything to the end. */
static void reset(struct clerk *clerk)
{
    struct group_line *line = &clerk->desk->ledger->groups[clerk->thread];
    struct commitlog_group_offset offsets[LEDGER_GROWN];
    struct commitlog_error err = {.message = ""};
    bool to_end = rng_chance(clerk->rng, 1, 2);
    uint32_t count = 0;
    line->reset_begun = 1;
    line->ordered = 0;
    if (call_done(commitlog_group_reset(
                      clerk->group, atomic_load(&clerk->desk->numbers[LEDGER_GROWS]),
                      to_end ? (uint32_t)COMMITLOG_QUEUE_ALL : (uint32_t)rng_below(clerk->rng, 2),
                      to_end ? COMMITLOG_FROM_END : COMMITLOG_FROM_FIRST, 0, COMMITLOG_LEVEL_NONE,
                      &err),
                  &err, "reset")) {
        desk_firm(clerk->desk);
        ledger_count(clerk->desk->ledger, LEDGER_RESETS, 1);
        fetch_all(clerk, offsets, &count);
        for (uint32_t q = 0; q < count; q++)
            line->offsets[ledger_place(LEDGER_GROWS, q)] = offsets[q].offset;
        memset(line->seen, 0, sizeof line->seen);
        line->ordered = to_end;
    }
    line->reset_begun = 0;
}

void consume_other(struct clerk *clerk)
{
    const struct group_line *line = &clerk->desk->ledger->groups[clerk->thread];
    struct commitlog_group_offset offsets[LEDGER_GROWN];
    uint32_t count = 0;
    uint64_t draw = rng_below(clerk->rng, 20);
    if (draw == 0) {
        next_epoch(clerk);
    } else if (draw == 1 && clerk->thread != LEDGER_AUDIT) {
        reset(clerk);
    } else {
        fetch_all(clerk, offsets, &count);
        for (uint32_t q = 0; q < count; q++)
            CHECKF(offsets[q].offset == line->offsets[ledger_place(LEDGER_GROWS, q)],
                   "group %u queue %u: %llu is committed, not %llu", clerk->thread, q,
                   (ull)offsets[q].offset, (ull)line->offsets[ledger_place(LEDGER_GROWS, q)]);
    }
}
