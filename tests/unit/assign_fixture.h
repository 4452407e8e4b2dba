/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign_fixture.h -- members with ids of all kinds, and assignments that are checked as they are
 * made.
 */
#ifndef TESTS_UNIT_ASSIGN_FIXTURE_H
#define TESTS_UNIT_ASSIGN_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group/assign.h"
#include "support/prog.h"

enum { STRATEGIES = 4, DRAWS = 150, MEMBERS_DRAWN = 40, QUEUES_DRAWN = 300 };

/* Members with their ids, and what they read. */
struct group {
    uint32_t count;
    uint32_t queues;
    struct commitlog_slice *members;
    uint8_t (*ids)[CLG_MEMBER_ID_MAX];
};

/* The id that number `name` has: short or long, random or alike, never that of another number. */
static size_t id_make(uint8_t *id, uint32_t name, uint64_t style)
{
    char text[16];
    size_t digits = (size_t)snprintf(text, sizeof text, "%u", name);
    size_t before = 0;
    if (style % 3 == 1) { /* alike, and as long as may be */
        before = CLG_MEMBER_ID_MAX - digits;
        memset(id, 'm', before);
    } else if (style % 3 == 2) { /* any bytes; what ends in another number's digits differs by ~ */
        before = (style >> 8) % 200 + 1;
        bytes_fill(id, before, style ^ name);
        id[before - 1] = '~';
    }
    memcpy(id + before, text, digits);
    return before + digits;
}

static void group_begin(struct group *group, uint32_t capacity, uint32_t queues)
{
    group->count = 0;
    group->queues = queues;
    group->members = need_alloc(capacity * sizeof group->members[0]);
    group->ids = need_alloc(capacity * sizeof group->ids[0]);
}

static void group_add(struct group *group, uint32_t name, uint64_t style)
{
    uint8_t *id = group->ids[group->count];
    group->members[group->count].bytes = id_make(id, name, style);
    group->members[group->count].data = id;
    group->count++;
}

static void group_end(struct group *group)
{
    free(group->members);
    free(group->ids);
}

static void group_draw(struct group *group, struct rng *rng)
{
    uint32_t count = (uint32_t)rng_between(rng, 1, rng_chance(rng, 1, 2) ? 5 : MEMBERS_DRAWN);
    uint64_t style = rng_next(rng);
    group_begin(group, MEMBERS_DRAWN + 1, (uint32_t)rng_between(rng, 1, QUEUES_DRAWN));
    for (uint32_t i = 0; i < count; i++) {
        group_add(group, i, style);
    }
}

static void draw_previous(uint32_t *previous, const struct group *group, struct rng *rng)
{
    uint32_t those = (uint32_t)rng_between(rng, 1, group->count); /* have all; the others none */
    for (uint32_t q = 0; q < group->queues; q++) {
        previous[q] = rng_chance(rng, 1, 5) ? CLG_MEMBER_NONE : (uint32_t)rng_below(rng, those);
    }
}

/* Assigns, and sees that every queue has exactly one member. */
static void assign(uint32_t strategy, const struct group *group, const uint32_t *previous,
                   uint32_t *out)
{
    struct commitlog_error err;
    memset(out, 0xee, group->queues * sizeof *out);
    int32_t rc = commitlog_assign(strategy, group->members, group->count, group->queues, previous,
                                  out, &err);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", rc == COMMITLOG_OK ? "" : err.message);
    for (uint32_t q = 0; q < group->queues; q++) {
        ck_assert_uint_lt(out[q], group->count);
    }
}

static void count(const struct group *group, const uint32_t *out, uint32_t *counts)
{
    memset(counts, 0, group->count * sizeof *counts);
    for (uint32_t q = 0; q < group->queues; q++) {
        if (out[q] != CLG_MEMBER_NONE) {
            counts[out[q]]++;
        }
    }
}

static void check_balanced(const struct group *group, const uint32_t *out)
{
    uint32_t counts[MEMBERS_DRAWN + 1];
    count(group, out, counts);
    for (uint32_t i = 0; i < group->count; i++) {
        ck_assert_uint_ge(counts[i], group->queues / group->count);
        ck_assert_uint_le(counts[i], (group->queues + group->count - 1) / group->count);
    }
}

#endif
