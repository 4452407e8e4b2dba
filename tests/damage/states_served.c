/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states_served.c -- what readers give, and say, when a whole segment is lost; see states.h.
 *
 * However it was lost: every cursor says so once, with its beginning, and serves all the rest; the
 * list of known damage and the report of verify name it to its end, with the lost offsets.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "states.h"

enum { WAYS = 7, FETCHES_MAX = 200, FIRST = 8192 };

static const char *const way_names[WAYS] = {"missing",         "of no bytes", "of 100 bytes",
                                            "a directory",     "a pipe",      "a link",
                                            "of a second name"};

/* Something that holds no segment gets the name of one. Zeros of full size are not among it: their
 * header can be put together, and each record fails by itself. */
static void lose(struct states *states, int way, const char *path)
{
    uint8_t garbage[100];
    char aside[DIRS_PATH_MAX];
    path_join(aside, states->root, "aside");
    dirs_remove(aside);
    if (way == 5 || way == 6)
        CHECK(rename(path, aside) == 0);
    else
        dirs_remove(path);
    bytes_fill(garbage, sizeof garbage, 7);
    if (way == 1 || way == 2)
        file_write(path, garbage, way == 1 ? 0 : sizeof garbage);
    if (way == 3)
        CHECK(mkdir(path, 0700) == 0);
    if (way == 4)
        CHECK(mkfifo(path, 0600) == 0);
    if (way == 5)
        CHECK(symlink(aside, path) == 0);
    if (way == 6)
        CHECK(link(aside, path) == 0);
}

struct lost {
    struct states *states;
    struct commitlog_store *store;
    uint64_t from; /* positions of the segment */
    uint64_t to;
    uint64_t begin; /* what cursors call it: the first position of all is that of a record */
    struct placed places[SMALL_POSITIONS_MAX];
    bool seen[SMALL_POSITIONS_MAX];
    uint32_t count;
};

static void forget(struct lost *lost)
{
    memset(lost->seen, 0, sizeof lost->seen);
}

static void see(struct lost *lost, const struct commitlog_message *message)
{
    if (message->kind != COMMITLOG_KIND_MESSAGE)
        return;
    for (uint32_t i = 0; i < lost->count; i++) {
        if (lost->places[i].position != message->position)
            continue;
        CHECKF(lost->places[i].hash == small_message_hash(message) && !lost->seen[i],
               "%s: another record at %llu, or twice", lost->states->name,
               (unsigned long long)message->position);
        lost->seen[i] = true;
        return;
    }
    CHECKF(false, "%s: a record at %llu that never was", lost->states->name,
           (unsigned long long)message->position);
}

static bool is_gone(const struct lost *lost, const struct placed *place)
{
    return place->position >= lost->from && place->position < lost->to;
}

/* All messages but those of the segment were seen. */
static void saw_the_rest(const struct lost *lost, const char *how)
{
    for (uint32_t i = 0; i < lost->count; i++) {
        CHECKF(lost->seen[i] == !is_gone(lost, &lost->places[i]),
               "%s, %s: the record at %llu was%s read", lost->states->name, how,
               (unsigned long long)lost->places[i].position, lost->seen[i] ? "" : " not");
    }
}

/* Reads to the end, past damage by `step`; returns how often damage was said, *bound where last. */
static uint32_t read_all(struct lost *lost, struct commitlog_cursor *cursor, uint64_t step,
                         uint64_t *bound)
{
    struct commitlog_message messages[16];
    uint32_t said = 0;
    for (int i = 0; i < FETCHES_MAX; i++) {
        uint32_t got = 0;
        uint64_t at = UINT64_MAX;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &got, &at);
        for (uint32_t m = 0; rc == COMMITLOG_OK && m < got; m++)
            see(lost, &messages[m]);
        if (rc == COMMITLOG_EEND) {
            commitlog_cursor_close(cursor);
            return said;
        }
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED, "%s: %s", lost->states->name,
               commitlog_error_name(rc));
        if (rc == COMMITLOG_EDAMAGED) {
            said++;
            *bound = at;
            if (step > 0)
                CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, at + step),
                         COMMITLOG_OK);
        }
    }
    CHECKF(false, "%s: no end", lost->states->name);
    return said;
}

static void all_queues(struct lost *lost, const char *how)
{
    forget(lost);
    for (uint32_t t = 0; t < commitlog_topic_count(lost->store); t++) {
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_error err = {.message = ""};
        uint64_t bound = 0;
        uint32_t said = 0;
        CHECK_OK(commitlog_cursor_open(lost->store, t, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                       &cursor, &err),
                 &err);
        said = read_all(lost, cursor, 1, &bound);
        CHECKF(said == 1 && bound == lost->begin, "%s, %s: topic %u: said %u times, at %llu",
               lost->states->name, how, t, said, (unsigned long long)bound);
    }
    saw_the_rest(lost, how);
}

static void each_queue(struct lost *lost)
{
    uint32_t said = 0;
    forget(lost);
    for (uint32_t t = 0; t < commitlog_topic_count(lost->store); t++) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_topic_info(lost->store, t, &info), COMMITLOG_OK);
        for (uint32_t q = 0; q < info.queues; q++) {
            struct commitlog_cursor *cursor = NULL;
            struct commitlog_error err = {.message = ""};
            uint64_t bound = 0;
            CHECK_OK(
                commitlog_cursor_open(lost->store, t, q, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                &err);
            said += read_all(lost, cursor, 1, &bound);
        }
    }
    saw_the_rest(lost, "each queue");
    CHECKF(said > 0, "%s: no queue lost anything", lost->states->name);
}

static void by_key(struct lost *lost)
{
    for (uint32_t t = 0; t < commitlog_topic_count(lost->store); t++) {
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_error err = {.message = ""};
        uint64_t bound = 0;
        uint32_t said = 0;
        forget(lost);
        CHECK_OK(commitlog_cursor_open_key(lost->store, t, "no such key", 11, 0, INT64_MAX, &cursor,
                                           &err),
                 &err);
        said = read_all(lost, cursor, 0, &bound);
        CHECKF(said == 1 && bound == lost->begin, "%s: query of topic %u: said %u times, at %llu",
               lost->states->name, t, said, (unsigned long long)bound);
    }
}

static void as_it_lies(struct lost *lost)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t bound = 0;
    uint32_t said = 0;
    forget(lost);
    CHECK_OK(commitlog_cursor_open_log(lost->store, 0, &cursor, &err), &err);
    said = read_all(lost, cursor, 8, &bound);
    CHECKF(said == 1 && bound >= lost->from && bound < lost->to, "%s: the log: %u times, at %llu",
           lost->states->name, said, (unsigned long long)bound);
    saw_the_rest(lost, "the log");
}

/* [from, to) of the log, or offsets of a named queue whose positions nobody knows. */
static bool is_named(const struct lost *lost, const struct commitlog_damage *damage)
{
    if (damage->from_position != UINT64_MAX) {
        CHECKF(damage->from_position < damage->to_position && damage->to_position <= lost->to &&
                   damage->from_position >= lost->from,
               "%s: damage [%llu, %llu)", lost->states->name,
               (unsigned long long)damage->from_position, (unsigned long long)damage->to_position);
        return damage->from_position == lost->from && damage->to_position == lost->to;
    }
    CHECKF(damage->to_position == UINT64_MAX && damage->topic[0] != '\0' &&
               damage->queue < UINT32_MAX && damage->from_offset < damage->to_offset,
           "%s: damage of topic \"%s\", queue %u, offsets [%llu, %llu)", lost->states->name,
           damage->topic, damage->queue, (unsigned long long)damage->from_offset,
           (unsigned long long)damage->to_offset);
    return false;
}

static uint64_t damage_found(struct commitlog_store *store)
{
    const char *name = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++)
        if (strcmp(name, "damage_found") == 0)
            return value;
    return 0;
}

static void known(struct lost *lost)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    uint32_t whole = 0;
    for (uint32_t i = 0; commitlog_damage_get(lost->store, i, &damage) == COMMITLOG_OK; i++)
        whole += is_named(lost, &damage);
    CHECKF(whole == 1, "%s: known %u times", lost->states->name, whole);
    CHECKF(damage_found(lost->store) > 0, "%s: damage_found is 0", lost->states->name);
}

/* Of the messages of the segment, but for a queue's last ones, verify names the offsets. */
static void verified(struct lost *lost)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    uint64_t offsets = 0, needed = 0, gone = 0;
    uint32_t whole = 0;
    CHECK_RC(commitlog_verify(lost->states->path, NULL, &report, &err), COMMITLOG_EDAMAGED);
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == COMMITLOG_OK; i++) {
        whole += is_named(lost, &damage);
        if (damage.from_position == UINT64_MAX)
            offsets += damage.to_offset - damage.from_offset;
    }
    commitlog_report_free(report);
    CHECKF(whole == 1, "%s: verify names it %u times", lost->states->name, whole);
    for (uint32_t i = 0; i < lost->count; i++) {
        bool more = false;
        for (uint32_t later = i + 1; later < lost->count; later++)
            more = more || (lost->places[later].queue == lost->places[i].queue &&
                            !is_gone(lost, &lost->places[later]));
        gone += is_gone(lost, &lost->places[i]);
        needed += is_gone(lost, &lost->places[i]) && more;
    }
    /* The hole of the segment has an offset, too. */
    CHECKF(offsets >= needed && offsets <= gone + 1,
           "%s: verify names %llu offsets of %llu to %llu", lost->states->name,
           (unsigned long long)offsets, (unsigned long long)needed, (unsigned long long)gone + 1);
}

void states_served(struct states *states)
{
    struct lost *lost = need_alloc(sizeof *lost);
    struct commitlog_error err;
    memset(lost, 0, sizeof *lost);
    lost->states = states;
    lost->count = small_places(states->pristine, lost->places);
    for (uint32_t index = 0; index < 2; index++) {
        for (int way = 0; way < WAYS; way++) {
            char name[64], path[DIRS_PATH_MAX];
            snprintf(name, sizeof name, "segment %u is %s", index, way_names[way]);
            states_fresh(states, name);
            states_segment(states, index, path);
            lost->from = strtoull(states->segments.names[index], NULL, 10);
            lost->to = lost->from + SMALL_SEGMENT;
            lost->begin = lost->from > 0 ? lost->from : FIRST;
            lose(states, way, path);
            CHECK_RC(states_open(states->path, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL,
                                 &lost->store, &err),
                     COMMITLOG_OK);
            known(lost);
            all_queues(lost, "all queues");
            each_queue(lost);
            all_queues(lost, "all queues again");
            by_key(lost);
            as_it_lies(lost);
            known(lost);
            CHECK_OK(commitlog_close(lost->store, &err), &err);
            verified(lost);
        }
    }
    free(lost);
}
