/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_table.c -- work of groups on single messages, beside plain arrays; and records of it.
 *
 * Applying again, in order, all records since any moment must change nothing: that is what a fold
 * does that begins with an older .state.
 *
 * SEED and STEPS in the environment.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/group_record.h"
#include "state/group_table.h"
#include "state/work_table.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { GROUPS = 2, QUEUES = 2, OFFSETS = 300, HISTORY = 400, BODY = 2048 };

struct cell {
    uint32_t state; /* 0: nothing known */
    uint32_t attempts;
    int64_t visible_at_ms;
};

struct record {
    bool group;
    size_t bytes;
    uint8_t body[BODY];
};

static const char *const names[GROUPS] = {"one", "another"};
static struct cell cells[GROUPS][QUEUES][OFFSETS];
static uint64_t floors[GROUPS][QUEUES];
static struct record history[HISTORY];
static uint32_t history_count;
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

static void apply(struct clg_work_table *table, const struct record *record)
{
    struct clg_work_change work;
    struct clg_group_change group;
    if (record->group) {
        ck_assert_int_eq(clg_group_change_decode(record->body, record->bytes, &group), 0);
        clg_work_table_apply_group(table, &group);
    } else {
        ck_assert_int_eq(clg_work_change_decode(record->body, record->bytes, &work), 0);
        ck_assert_int_eq(clg_work_table_prepare(table, &work), 0);
        clg_work_table_apply(table, &work);
    }
}

static const struct clg_work_queue *find(const struct clg_work_table *table, uint32_t g, uint32_t q)
{
    uint32_t bytes = (uint32_t)strlen(names[g]);
    return clg_work_table_find(table, names[g], bytes, clg_group_name_hash(names[g], bytes), q + 7);
}

static void check(const struct clg_work_table *table)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t q = 0; q < QUEUES; q++) {
            const struct clg_work_queue *queue = find(table, g, q);
            if (queue != NULL) {
                clg_work_queue_invariants(queue);
            }
            for (uint32_t o = 0; o < OFFSETS; o++) {
                const struct cell *cell = &cells[g][q][o];
                const struct clg_work_run *run = queue == NULL ? NULL : clg_work_queue_at(queue, o);
                ck_assert_msg((run != NULL) == (cell->state != 0), "group %u queue %u offset %u", g,
                              q, o);
                if (run != NULL) {
                    ck_assert_uint_eq(run->state, cell->state);
                    ck_assert_uint_eq(run->attempts, cell->attempts);
                    ck_assert_int_eq(run->visible_at_ms, cell->visible_at_ms);
                }
            }
        }
    }
}

static struct record *next_record(void)
{
    if (history_count == HISTORY) {
        memmove(&history[0], &history[HISTORY / 2], (HISTORY / 2) * sizeof(history[0]));
        history_count = HISTORY / 2;
    }
    return &history[history_count++];
}

static void give_out_or_finish(struct clg_work_table *table)
{
    struct record *record = next_record();
    struct clg_work_entry entries[8];
    uint32_t g = draw(GROUPS);
    struct clg_work_change change = {.name = (const uint8_t *)names[g],
                                     .name_bytes = (uint32_t)strlen(names[g]),
                                     .count = 1 + draw(8)};
    for (uint32_t i = 0; i < change.count; i++) {
        uint32_t q = draw(QUEUES);
        uint64_t offset = floors[g][q] + draw((uint32_t)(OFFSETS - floors[g][q]));
        bool done = draw(2) == 0;
        entries[i] = (struct clg_work_entry){
            .offset = offset,
            .visible_at_ms = done ? 0 : draw(3),
            .queue_number = q + 7,
            .count = 1 + draw(OFFSETS - (uint32_t)offset < 12 ? OFFSETS - (uint32_t)offset : 12),
            .attempts = done ? 0 : 1 + draw(2),
            .state = done ? CLG_WORK_DONE : CLG_WORK_PENDING};
        for (uint32_t o = 0; o < entries[i].count; o++) {
            cells[g][q][offset + o] = (struct cell){.state = entries[i].state,
                                                    .attempts = entries[i].attempts,
                                                    .visible_at_ms = entries[i].visible_at_ms};
        }
    }
    record->group = false;
    record->bytes = (size_t)clg_work_change_bytes(change.name_bytes, change.count);
    ck_assert_uint_le(record->bytes, BODY);
    ck_assert_int_eq(clg_work_change_encode(record->body, record->bytes, &change, entries), 0);
    apply(table, record);
}

static void commit(struct clg_work_table *table, uint32_t operation)
{
    struct record *record = next_record();
    uint32_t g = draw(GROUPS);
    uint32_t q = draw(QUEUES);
    uint64_t offset = operation == CLG_GROUP_RESET ? draw(OFFSETS)
                      : floors[g][q] < OFFSETS - 1
                          ? floors[g][q] + draw((uint32_t)(OFFSETS - floors[g][q]) / 4 + 1)
                          : OFFSETS - 1;
    const struct clg_group_entry entry = {.queue_number = q + 7, .offset = offset};
    const struct clg_group_change change = {.name = (const uint8_t *)names[g],
                                            .name_bytes = (uint32_t)strlen(names[g]),
                                            .operation = operation,
                                            .count = operation == CLG_GROUP_DELETE ? 0 : 1};
    record->group = true;
    record->bytes = (size_t)clg_group_change_bytes(change.name_bytes, change.count);
    ck_assert_int_eq(clg_group_change_encode(record->body, record->bytes, &change, &entry), 0);
    if (operation == CLG_GROUP_DELETE) {
        memset(cells[g], 0, sizeof(cells[g]));
        memset(floors[g], 0, sizeof(floors[g]));
    } else {
        uint64_t end = operation == CLG_GROUP_RESET ? OFFSETS : offset;
        memset(cells[g][q], 0, (size_t)end * sizeof(struct cell));
        floors[g][q] = offset;
    }
    apply(table, record);
}

START_TEST(the_table_does_what_plain_arrays_do)
{
    struct clg_work_table table;
    uint64_t seed = prog_env("SEED", 1);
    uint64_t steps = prog_env("STEPS", 20000);
    printf("work table: SEED=%llu STEPS=%llu\n", (unsigned long long)seed,
           (unsigned long long)steps);
    rng_begin(&rng, seed);
    clg_work_table_init(&table, clg_os_default());
    for (uint64_t step = 1; step <= steps; step++) {
        uint32_t what = draw(100);
        if (what < 80) {
            give_out_or_finish(&table);
        } else if (what < 97) {
            commit(&table, CLG_GROUP_OFFSETS);
        } else {
            commit(&table, what < 99 ? CLG_GROUP_RESET : CLG_GROUP_DELETE);
        }
        if (step % 20 == 0) {
            check(&table);
        }
        if (step % 100 == 0) { /* as if a fold had begun with an older .state */
            for (uint32_t i = draw(history_count); i < history_count; i++) {
                apply(&table, &history[i]);
            }
            check(&table);
        }
        if (step % 500 == 0) {
            struct clg_work_table copy;
            clg_work_table_init(&copy, clg_os_default());
            ck_assert_int_eq(clg_work_table_copy(&copy, &table), 0);
            clg_work_table_deinit(&table);
            table = copy;
            check(&table);
        }
    }
    ck_assert_uint_gt(clg_work_table_memory(&table), 0);
    clg_work_table_deinit(&table);
}
END_TEST

START_TEST(runs_that_say_the_same_are_one)
{
    struct clg_work_table table;
    uint8_t body[256];
    clg_work_table_init(&table, clg_os_default());
    for (uint64_t offset = 0; offset < 1000; offset++) {
        const uint64_t at = offset * 7 % 1000; /* in no order */
        const struct clg_work_entry entry = {
            .offset = at, .queue_number = 7, .count = 1, .state = CLG_WORK_DONE};
        struct clg_work_change change = {
            .name = (const uint8_t *)"one", .name_bytes = 3, .count = 1};
        size_t bytes = (size_t)clg_work_change_bytes(3, 1);
        ck_assert_int_eq(clg_work_change_encode(body, bytes, &change, &entry), 0);
        ck_assert_int_eq(clg_work_change_decode(body, bytes, &change), 0);
        ck_assert_int_eq(clg_work_table_prepare(&table, &change), 0);
        clg_work_table_apply(&table, &change);
    }
    const struct clg_work_queue *queue = find(&table, 0, 0);
    ck_assert_uint_eq(queue->run_count, 1);
    ck_assert_uint_eq(queue->runs[0].count, 1000);
    clg_work_table_deinit(&table);
}
END_TEST

static void apply_entries(struct clg_work_table *table, const struct clg_work_entry *entries,
                          uint32_t count)
{
    struct clg_work_change change = {
        .name = (const uint8_t *)"one", .name_bytes = 3, .count = count};
    const size_t bytes = (size_t)clg_work_change_bytes(3, count);
    uint8_t *body = malloc(bytes);
    ck_assert_ptr_nonnull(body);
    ck_assert_int_eq(clg_work_change_encode(body, bytes, &change, entries), 0);
    ck_assert_int_eq(clg_work_change_decode(body, bytes, &change), 0);
    ck_assert_int_eq(clg_work_table_prepare(table, &change), 0);
    clg_work_table_apply(table, &change);
    free(body);
}

/* As many entries as there can be, of so many queues in turn: each splits a run of its queue in
 * three. */
START_TEST(there_is_room_for_what_a_change_makes_of_each_queue_and_not_much_more)
{
    static struct clg_work_entry entries[CLG_WORK_ENTRIES_MAX];
    const uint32_t queues = UINT32_C(1) << (_i % 12);
    const bool descending = _i >= 12;
    struct clg_work_table table;
    clg_work_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < queues; i++) {
        entries[i] = (struct clg_work_entry){.queue_number = i + 7,
                                             .count = 2 * CLG_WORK_ENTRIES_MAX + 1,
                                             .visible_at_ms = 5,
                                             .attempts = 1,
                                             .state = CLG_WORK_PENDING};
    }
    apply_entries(&table, entries, queues);
    for (uint32_t i = 0; i < CLG_WORK_ENTRIES_MAX; i++) {
        const uint32_t at = descending ? CLG_WORK_ENTRIES_MAX - 1 - i : i;
        entries[i] = (struct clg_work_entry){.offset = 2 * (at / queues) + 1,
                                             .queue_number = at % queues + 7,
                                             .count = 1,
                                             .state = CLG_WORK_DONE};
    }
    apply_entries(&table, entries, CLG_WORK_ENTRIES_MAX);
    const uint32_t runs = 2 * (CLG_WORK_ENTRIES_MAX / queues) + 1;
    uint32_t room = 8;
    while (room < runs) {
        room *= 2;
    }
    ck_assert_uint_eq(table.count, queues);
    for (uint32_t i = 0; i < queues; i++) {
        ck_assert_uint_eq(table.queues[i]->run_count, runs);
        ck_assert_uint_eq(table.queues[i]->run_room, room);
        ck_assert_uint_eq(table.queues[i]->run_more, 0);
    }
    clg_work_table_deinit(&table);
}
END_TEST

static uint32_t allocations_left;

static void *scarce_alloc(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    return clg_os_default()->alloc(clg_os_default(), bytes);
}

/* What was counted of a change that did not go through is no part of the next. */
START_TEST(a_change_for_which_there_is_no_memory_leaves_nothing_behind)
{
    enum { EACH = 4, OF = 3 };
    struct clg_work_entry entries[EACH * OF];
    uint8_t body[1024];
    struct commitlog_os os = *clg_os_default();
    struct clg_work_table table;
    struct clg_work_change change = {
        .name = (const uint8_t *)"one", .name_bytes = 3, .count = EACH * OF};
    const size_t bytes = (size_t)clg_work_change_bytes(3, EACH * OF);
    for (uint32_t i = 0; i < EACH * OF; i++) {
        entries[i] = (struct clg_work_entry){
            .offset = 2 * i, .queue_number = 7 + i % OF, .count = 1, .state = CLG_WORK_DONE};
    }
    ck_assert_int_eq(clg_work_change_encode(body, bytes, &change, entries), 0);
    ck_assert_int_eq(clg_work_change_decode(body, bytes, &change), 0);
    os.alloc = scarce_alloc;
    clg_work_table_init(&table, &os);
    uint32_t failed = 0;
    for (allocations_left = 0; clg_work_table_prepare(&table, &change) != COMMITLOG_OK; failed++) {
        for (uint32_t i = 0; i < table.count; i++) {
            ck_assert_uint_eq(table.queues[i]->run_more, 0);
        }
        allocations_left = failed % 2 == 0 ? 1 : 2;
    }
    ck_assert_uint_ge(failed, OF);
    clg_work_table_apply(&table, &change);
    ck_assert_uint_eq(table.count, OF);
    for (uint32_t i = 0; i < OF; i++) {
        ck_assert_uint_eq(table.queues[i]->run_count, EACH);
        ck_assert_uint_eq(table.queues[i]->run_room, 2 * EACH);
    }
    clg_work_table_deinit(&table);
}
END_TEST

START_TEST(bodies_say_what_they_were_made_of)
{
    uint8_t body[256];
    const struct clg_work_entry in[2] = {
        {.offset = 5,
         .visible_at_ms = 1700000000123,
         .queue_number = 3,
         .count = 9,
         .attempts = 65535,
         .state = CLG_WORK_PENDING},
        {.offset = CLG_QUEUE_OFFSET_MAX, .queue_number = 3, .count = 1, .state = CLG_WORK_DONE}};
    const struct clg_work_change change = {
        .name = (const uint8_t *)"group", .name_bytes = 5, .count = 2};
    struct clg_work_change out;
    size_t bytes = (size_t)clg_work_change_bytes(5, 2);
    ck_assert_uint_eq(bytes, 16 + 64);
    ck_assert_int_eq(clg_work_change_encode(body, bytes, &change, in), 0);
    ck_assert_int_eq(clg_work_change_decode(body, bytes, &out), 0);
    ck_assert_uint_eq(out.name_bytes, 5);
    ck_assert_mem_eq(out.name, "group", 5);
    for (uint32_t i = 0; i < 2; i++) {
        const struct clg_work_entry entry = clg_work_change_entry(&out, i);
        ck_assert_mem_eq(&entry, &in[i], sizeof(entry));
    }
    for (size_t i = 0; i < bytes; i++) { /* whatever one byte becomes, it is refused or in bounds */
        for (uint32_t bit = 0; bit < 8; bit++) {
            body[i] ^= (uint8_t)(1u << bit);
            if (clg_work_change_decode(body, bytes, &out) == 0) {
                for (uint32_t k = 0; k < out.count; k++) {
                    const struct clg_work_entry entry = clg_work_change_entry(&out, k);
                    ck_assert_uint_ge(entry.count, 1);
                    ck_assert(entry.state == CLG_WORK_PENDING || entry.state == CLG_WORK_DONE);
                    ck_assert_uint_le(entry.attempts, 65535);
                    ck_assert(entry.offset + entry.count - 1 <= CLG_QUEUE_OFFSET_MAX);
                }
            }
            body[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t cut = 0; cut < bytes; cut++) {
        ck_assert_int_ne(clg_work_change_decode(body, cut, &out), 0);
    }
    clg_store_le32(body + 16 + 28, 3);
    ck_assert_int_eq(clg_work_change_decode(body, bytes, &out), COMMITLOG_EUNSUPPORTED);
    clg_store_le32(body + 16 + 28, CLG_WORK_DONE); /* done has no attempts */
    ck_assert_int_eq(clg_work_change_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work table");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, the_table_does_what_plain_arrays_do);
    tcase_add_test(all, runs_that_say_the_same_are_one);
    tcase_add_loop_test(all, there_is_room_for_what_a_change_makes_of_each_queue_and_not_much_more,
                        0, 24);
    tcase_add_test(all, a_change_for_which_there_is_no_memory_leaves_nothing_behind);
    tcase_add_test(all, bodies_say_what_they_were_made_of);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
