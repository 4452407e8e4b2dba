/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_upkeep.c -- lib/upkeep: list of damage, retention's plan and order, scrub.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/sim_writer.h"
#include "support/run_suite.h"
#include "upkeep/damage_list.h"
#include "upkeep/retention.h"
#include "upkeep/scrub.h"

/* ---- damage list ---------------------------------------------------------------------------- */

START_TEST(damage_is_kept_in_order_and_once)
{
    struct clg_damage_list list;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t at = (i * 7 % 20) * 1000;
        clg_damage_make(&damage, at, at + 500, "test");
        ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    }
    clg_damage_make(&damage, 3100, 3200, "inside a known one");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_EEXIST);
    ck_assert_uint_eq(clg_damage_list_count(&list), 20);
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(clg_damage_list_get(&list, i, &damage), 0);
        ck_assert_uint_eq(damage.from_position, i * 1000);
        ck_assert_uint_eq(damage.struct_bytes, sizeof(damage));
    }
    ck_assert_int_eq(clg_damage_list_get(&list, 20, &damage), COMMITLOG_ENOTFOUND);
    clg_damage_list_drop_below(&list, 5200);
    ck_assert_uint_eq(clg_damage_list_count(&list), 15);
    clg_damage_list_deinit(&list);
}
END_TEST

/* Whatever was dropped before it, and past what lies nowhere or is of one queue. */
START_TEST(damage_is_found_by_where_it_lies)
{
    struct clg_damage_list list;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    clg_damage_make_lost(&damage, 3, 5);
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    for (uint64_t at = 1000; at <= 4000; at += 1000) {
        clg_damage_make(&damage, at, at + 500, "test");
        damage.queue = at == 3000 ? 7 : UINT32_MAX;
        ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    }
    clg_damage_list_drop_below(&list, 1500);
    ck_assert_int_eq(clg_damage_list_find(&list, 0, 2000, false, &damage), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(clg_damage_list_find(&list, 0, 2001, false, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 2000);
    ck_assert_int_eq(clg_damage_list_find(&list, 2500, UINT64_MAX, false, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 3000);
    ck_assert_int_eq(clg_damage_list_find(&list, 2500, UINT64_MAX, true, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 4000);
    ck_assert_int_eq(clg_damage_list_find(&list, 4500, UINT64_MAX, false, &damage),
                     COMMITLOG_ENOTFOUND);
    clg_damage_list_deinit(&list);
}
END_TEST

START_TEST(a_list_takes_the_place_of_another_however_its_ranges_came)
{
    struct clg_damage_list list;
    struct clg_damage_list from;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    clg_damage_list_init(&from, clg_os_default());
    clg_damage_make(&damage, 100, 110, "mended since");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    clg_damage_make(&damage, 10, 20, "narrow");
    ck_assert_int_eq(clg_damage_list_add(&from, &damage), 0);
    clg_damage_make(&damage, 5, 30, "around it");
    ck_assert_int_eq(clg_damage_list_add(&from, &damage), 0);
    ck_assert_int_eq(clg_damage_list_assign(&list, &from), 0);
    ck_assert_uint_eq(clg_damage_list_count(&list), 1);
    ck_assert_int_eq(clg_damage_list_get(&list, 0, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 5);
    ck_assert_uint_eq(damage.to_position, 30);
    clg_damage_list_deinit(&from);
    clg_damage_list_deinit(&list);
}
END_TEST

START_TEST(the_list_is_bounded)
{
    struct clg_damage_list list;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    for (uint64_t i = 0; i < CLG_DAMAGE_MAX; i++) {
        clg_damage_make(&damage, i * 10, i * 10 + 5, "test");
        ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    }
    clg_damage_make(&damage, 1, 2, "one more");
    damage.from_position = UINT64_C(1) << 40;
    damage.to_position = damage.from_position + 1;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_ELIMIT);
    /* It is told all the same: the nearest one reaches over it. */
    ck_assert_uint_eq(clg_damage_list_count(&list), CLG_DAMAGE_MAX);
    ck_assert_int_eq(clg_damage_list_get(&list, CLG_DAMAGE_MAX - 1, &damage), 0);
    ck_assert_uint_eq(damage.from_position, (CLG_DAMAGE_MAX - 1) * 10);
    ck_assert_uint_eq(damage.to_position, (UINT64_C(1) << 40) + 1);
    clg_damage_make(&damage, 27, 28, "between");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_ELIMIT);
    ck_assert_int_eq(clg_damage_list_get(&list, 2, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 20);
    ck_assert_uint_eq(damage.to_position, 28);
    clg_damage_list_deinit(&list);
}
END_TEST

START_TEST(what_has_a_position_has_room_in_a_full_list)
{
    struct clg_damage_list list;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    for (uint64_t i = 0; i < CLG_DAMAGE_MAX; i++) {
        clg_damage_make_lost(&damage, i * 10, i * 10 + 5);
        damage.queue = 1;
        ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    }
    clg_damage_make_lost(&damage, 1, 2);
    damage.queue = 2;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_ELIMIT);
    clg_damage_make(&damage, 16, 24, "placed");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_ELIMIT);
    ck_assert_uint_eq(clg_damage_list_count(&list), CLG_DAMAGE_MAX);
    ck_assert_int_eq(clg_damage_list_get(&list, 0, &damage), 0);
    ck_assert_uint_eq(damage.from_position, 16);
    ck_assert_str_eq(damage.reason, "placed");
    ck_assert_int_eq(clg_damage_list_get(&list, 1, &damage), 0);
    ck_assert_uint_eq(damage.from_offset, 0);
    clg_damage_list_deinit(&list);
}
END_TEST

START_TEST(lost_offsets_have_no_positions_and_are_known_by_their_queue)
{
    struct clg_damage_list list;
    struct commitlog_damage damage;
    clg_damage_list_init(&list, clg_os_default());
    clg_damage_make_lost(&damage, 10, 20);
    damage.queue = 3;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    damage.from_offset = 12;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), COMMITLOG_EEXIST);
    damage.queue = 4;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    (void)snprintf(damage.topic, sizeof(damage.topic), "other");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    damage.to_offset = 21;
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    /* They hide no place in the log, and come behind those. */
    clg_damage_make(&damage, UINT64_MAX - 100, UINT64_MAX - 52, "test");
    ck_assert_int_eq(clg_damage_list_add(&list, &damage), 0);
    ck_assert_int_eq(clg_damage_list_get(&list, 0, &damage), 0);
    ck_assert_uint_eq(damage.from_position, UINT64_MAX - 100);
    ck_assert_int_eq(clg_damage_list_get(&list, 1, &damage), 0);
    ck_assert_uint_eq(damage.from_position, UINT64_MAX);
    ck_assert_uint_eq(damage.to_position, UINT64_MAX);
    ck_assert_uint_eq(damage.from_offset, 10);
    clg_damage_list_deinit(&list);
}
END_TEST

/* ---- retention ------------------------------------------------------------------------------ */

#define SIZE 65536u

static struct clg_retention_segment segments[6];
static struct clg_retention_input input;

static void setup(void)
{
    for (size_t i = 0; i < 6; i++) {
        segments[i] = (struct clg_retention_segment){
            .base = i * SIZE, .size = SIZE, .last_time_ns = (int64_t)(i + 1) * 1000, .full = i < 4};
    }
    /* 4 is active, 5 prepared. */
    input = (struct clg_retention_input){.segments = segments,
                                         .count = 6,
                                         .active_base = 4 * SIZE,
                                         .kept_from = UINT64_MAX,
                                         .now_ns = 10000,
                                         .disk_free_bytes = 1000};
}

START_TEST(each_policy_drops_whole_segments_oldest_first)
{
    struct clg_retention_policy none = {0, 0, 0};
    ck_assert_uint_eq(clg_retention_plan(&none, &input, NULL), 0);
    struct clg_retention_policy bytes = {3 * SIZE, 0, 0};
    ck_assert_uint_eq(clg_retention_plan(&bytes, &input, NULL), 2);
    struct clg_retention_policy age = {0, 8500, 0};
    ck_assert_uint_eq(clg_retention_plan(&age, &input, NULL), 1);
    struct clg_retention_policy space = {0, 0, SIZE + 1000};
    ck_assert_uint_eq(clg_retention_plan(&space, &input, NULL), 1);
    struct clg_retention_policy all = {1, 1, UINT64_MAX};
    ck_assert_uint_eq(clg_retention_plan(&all, &input, NULL), 4); /* never the active one */
    segments[1].full = false;
    ck_assert_uint_eq(clg_retention_plan(&all, &input, NULL), 1);
    input.now_ns = 500; /* a clock that went back */
    segments[1].full = true;
    ck_assert_uint_eq(clg_retention_plan(&age, &input, NULL), 0);
    bool held = true;
    ck_assert_uint_eq(clg_retention_plan(&bytes, &input, &held), 2);
    ck_assert(!held);
    input.kept_from = 2 * SIZE;
    ck_assert_uint_eq(clg_retention_plan(&bytes, &input, &held), 2);
    ck_assert(!held);
    input.kept_from = 2 * SIZE - 8;
    ck_assert_uint_eq(clg_retention_plan(&bytes, &input, &held), 1);
    ck_assert(held);
}
END_TEST

struct trace {
    char text[200];
    uint64_t cost;
    uint64_t kept_from;
    char fail_at;
};

static int trace_note(struct trace *trace, char what)
{
    size_t used = strlen(trace->text);
    ck_assert_uint_lt(used, sizeof(trace->text) - 1);
    trace->text[used] = what;
    return what == trace->fail_at ? COMMITLOG_EIO : 0;
}

static int op_cost(void *ctx, uint64_t base, uint64_t end, uint64_t *out)
{
    struct trace *trace = ctx;
    ck_assert_uint_lt(base, end);
    *out = trace->cost;
    return 0;
}

static int op_carry(void *ctx, uint64_t base, uint64_t end, uint64_t *out,
                    struct commitlog_error *err)
{
    (void)base;
    (void)end;
    (void)err;
    *out = 10;
    return trace_note(ctx, 'c');
}

static int op_claim(void *ctx, uint64_t *out_kept_from, struct commitlog_error *err)
{
    struct trace *trace = ctx;
    (void)err;
    *out_kept_from = trace->kept_from;
    return trace_note(ctx, '(');
}

static void op_release(void *ctx)
{
    (void)trace_note(ctx, ')');
}

static int op_first(void *ctx, uint64_t first, struct commitlog_error *err)
{
    (void)err;
    ck_assert_uint_eq(first % SIZE, 8192);
    return trace_note(ctx, 'r');
}

static int op_flush(void *ctx, struct commitlog_error *err)
{
    (void)err;
    return trace_note(ctx, 'f');
}

static int op_checkpoint(void *ctx, uint64_t first, struct commitlog_error *err)
{
    (void)err;
    (void)first;
    return trace_note(ctx, 'k');
}

static int op_unlink(void *ctx, uint64_t base, uint64_t *held, struct commitlog_error *err)
{
    (void)err;
    (void)base;
    *held = 3;
    return trace_note(ctx, 'u');
}

static int op_dirs(void *ctx, struct commitlog_error *err)
{
    (void)err;
    return trace_note(ctx, 'd');
}

static const struct clg_retention_ops ops = {.carry_cost = op_cost,
                                             .carry = op_carry,
                                             .claim = op_claim,
                                             .release = op_release,
                                             .append_first = op_first,
                                             .flush = op_flush,
                                             .checkpoint_first = op_checkpoint,
                                             .unlink = op_unlink,
                                             .flush_dirs = op_dirs};

START_TEST(nothing_goes_before_what_replaces_it_is_durable)
{
    struct trace trace = {.cost = 100, .kept_from = UINT64_MAX};
    struct commitlog_retained out;
    ck_assert_int_eq(clg_retention_run(&input, 2, &ops, &trace, &out, NULL), 0);
    ck_assert_str_eq(trace.text, "cf(rfk)udcf(rfk)ud");
    ck_assert_uint_eq(out.segments_dropped, 2);
    ck_assert_uint_eq(out.bytes_carried, 20);
    ck_assert_uint_eq(out.bytes_held, 6);
    ck_assert_uint_eq(out.first, 2 * SIZE + 8192);
}
END_TEST

START_TEST(what_somebody_has_come_to_need_stays)
{
    struct trace trace = {.cost = 100, .kept_from = SIZE + 8};
    struct commitlog_retained out;
    ck_assert_int_eq(clg_retention_run(&input, 3, &ops, &trace, &out, NULL), 0);
    ck_assert_str_eq(trace.text, "cf(rfk)udcf()");
    ck_assert_uint_eq(out.segments_dropped, 1);
    ck_assert_uint_eq(out.kept_from, SIZE + 8);
    ck_assert_uint_eq(out.first, SIZE + 8192);
}
END_TEST

START_TEST(a_failure_stops_before_the_unlink)
{
    static const char steps[] = "cf(rk";
    struct trace trace = {.cost = 100, .kept_from = UINT64_MAX, .fail_at = steps[_i]};
    struct commitlog_retained out;
    ck_assert_int_eq(clg_retention_run(&input, 2, &ops, &trace, &out, NULL), COMMITLOG_EIO);
    ck_assert_ptr_null(strchr(trace.text, 'u'));
    ck_assert_uint_eq(out.segments_dropped, 0);
}
END_TEST

START_TEST(carrying_more_than_half_is_not_worth_it)
{
    struct trace trace = {.cost = SIZE / 2 + 1};
    struct commitlog_retained out;
    ck_assert_int_eq(clg_retention_run(&input, 2, &ops, &trace, &out, NULL), COMMITLOG_EBUSY);
    ck_assert_str_eq(trace.text, "");
}
END_TEST

/* ---- scrub ---------------------------------------------------------------------------------- */

static uint32_t found;
static struct commitlog_damage last;

static void note_damage(void *ctx, const struct commitlog_damage *damage)
{
    (void)ctx;
    found++;
    last = *damage;
}

START_TEST(scrub_finds_a_flip_in_small_steps)
{
    struct commitlog_fault *machine;
    static struct sim_history history;
    struct sim_writer writer;
    memset(&history, 0, sizeof(history));
    ck_assert_int_eq(commitlog_fault_create(3, &machine), 0);
    ck_assert_int_eq(sim_open(&writer, machine, &history, false, COMMITLOG_RECOVER_TAIL), 0);
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_int_eq(sim_append(&writer, i, 200), 0);
    }
    uint64_t at = history.items[100].position;
    ck_assert_int_eq(
        commitlog_fault_flip(machine, SIM_PATH "/log/00000000000000000000.log", at + 100, 1), 0);
    struct clg_segment *segment = clg_segment_set_pin_first(&writer.set);
    struct clg_scrub scrub;
    clg_scrub_init(&scrub, writer.os, 0);
    ck_assert_int_eq((int)clg_scrub_wait_ms(&scrub), -1);
    clg_scrub_init(&scrub, writer.os, 100000);
    bool done = false;
    uint32_t steps = 0;
    found = 0;
    while (!done) {
        writer.os->sleep_ns(writer.os, 100 * CLG_OS_NS_PER_MS);
        uint64_t before = scrub.bytes_done;
        ck_assert_int_eq(clg_scrub_step(&scrub, segment, note_damage, NULL, &done, NULL), 0);
        /* The closing pad is one record, whatever its size. */
        ck_assert(done || scrub.bytes_done - before <= 10000 + 2000);
        steps++;
        ck_assert_uint_lt(steps, 100);
    }
    ck_assert_uint_gt(steps, 4);
    ck_assert_uint_eq(found, 1);
    ck_assert_uint_eq(last.from_position, at);
    ck_assert_uint_eq(last.queue, 3);
    ck_assert_uint_eq(scrub.position, SIM_SEGMENT_BYTES);
    clg_segment_unref(segment);
    sim_abandon(&writer);
    commitlog_fault_free(machine);
}
END_TEST

static Suite *upkeep_suite(void)
{
    Suite *suite = suite_create("upkeep");
    TCase *all = tcase_create("upkeep");
    tcase_add_checked_fixture(all, setup, NULL);
    tcase_add_test(all, damage_is_kept_in_order_and_once);
    tcase_add_test(all, damage_is_found_by_where_it_lies);
    tcase_add_test(all, the_list_is_bounded);
    tcase_add_test(all, a_list_takes_the_place_of_another_however_its_ranges_came);
    tcase_add_test(all, what_has_a_position_has_room_in_a_full_list);
    tcase_add_test(all, lost_offsets_have_no_positions_and_are_known_by_their_queue);
    tcase_add_test(all, each_policy_drops_whole_segments_oldest_first);
    tcase_add_test(all, nothing_goes_before_what_replaces_it_is_durable);
    tcase_add_test(all, what_somebody_has_come_to_need_stays);
    tcase_add_loop_test(all, a_failure_stops_before_the_unlink, 0, 5);
    tcase_add_test(all, carrying_more_than_half_is_not_worth_it);
    tcase_add_test(all, scrub_finds_a_flip_in_small_steps);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    return run_suite(upkeep_suite());
}
