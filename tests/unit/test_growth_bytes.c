/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_bytes.c -- growth steps in definitions, in the registry, and in the view of topics:
 * what contradicts itself is left out, what is saved is what is restored, and no byte of a .state
 * is believed.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "support/run_suite.h"
#include "view/consume_queue.h"
#include "view/topics_view.h"

/* ---- definitions ---- */

static int growth_again(const struct clg_topic_definition *in, struct clg_topic_definition *out)
{
    const struct clg_topic_offset pair = {1, 5};
    uint8_t body[128];
    size_t bytes = (size_t)clg_topic_definition_bytes(in->name_bytes, in->pair_count);
    int rc = clg_topic_definition_encode(body, bytes, in, &pair);
    return rc == 0 ? clg_topic_definition_decode(body, bytes, out) : rc;
}

START_TEST(steps_have_bits_for_marks_and_for_closed)
{
    struct clg_topic_definition in = {.name = (const uint8_t *)"orders",
                                      .name_bytes = 6,
                                      .first_queue = 100,
                                      .queue_count = 8,
                                      .growth_step = 31,
                                      .pair_count = 1};
    struct clg_topic_definition out;
    uint8_t body[64];
    for (int i = 0; i < 3; i++) {
        in.marks = i == 1;
        in.closed = i == 2;
        ck_assert_int_eq(growth_again(&in, &out), 0);
        ck_assert_uint_eq(out.growth_step, 31);
        ck_assert(out.marks == in.marks && out.closed == in.closed);
    }
    in.marks = true; /* and closed */
    ck_assert_int_eq(growth_again(&in, &out), COMMITLOG_EINVAL);
    in.closed = false;
    in.growth_step = 0;
    ck_assert_int_eq(growth_again(&in, &out), COMMITLOG_EINVAL);
    in.marks = false;
    in.closed = true;
    ck_assert_int_eq(growth_again(&in, &out), COMMITLOG_EINVAL);
    in.closed = false;
    in.growth_step = 32;
    ck_assert_int_eq(growth_again(&in, &out), COMMITLOG_EINVAL);
    in.growth_step = 0;
    in.pair_count = 0;
    ck_assert_int_eq(clg_topic_definition_encode(body, 32, &in, NULL), 0);
    for (uint32_t bit = 5; bit < 32; bit++) { /* of no step that there can be */
        clg_store_le32(body + 8, UINT32_C(1) << bit);
        ck_assert_int_eq(clg_topic_definition_decode(body, 32, &out), COMMITLOG_EDAMAGED);
    }
    clg_store_le32(body + 8, UINT32_C(0xc0000001));
    ck_assert_int_eq(clg_topic_definition_decode(body, 32, &out), COMMITLOG_EDAMAGED);
    clg_store_le32(body + 8, UINT32_C(0x80000001));
    ck_assert_int_eq(clg_topic_definition_decode(body, 32, &out), 0);
    ck_assert(out.growth_step == 1 && out.marks && !out.closed);
}
END_TEST

/* ---- the registry ---- */

START_TEST(a_step_takes_numbers_of_its_own)
{
    struct clg_registry registry;
    struct clg_topic *topic = NULL;
    struct clg_topic *other = NULL;
    ck_assert_int_eq(clg_registry_init(&registry, clg_os_default()), 0);
    ck_assert_int_eq(clg_registry_add(&registry, "t", 1, UINT32_MAX, 2, &topic), 0);
    ck_assert_int_eq(clg_registry_add(&registry, "u", 1, UINT32_MAX, 3, &other), 0);
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, UINT32_MAX, 3), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 2, UINT32_MAX, 2), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, 4, 2), COMMITLOG_EEXIST);
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, UINT32_MAX, 2), 0);
    ck_assert_uint_eq(clg_topic_queues(topic), 2); /* not shown yet */
    /* An attempt that failed: the same again takes the same, another one others. */
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, UINT32_MAX, 2), 0);
    ck_assert_uint_eq(clg_registry_queue(&registry, 5)->owner, topic->id + 1);
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, UINT32_MAX, 4), 0);
    ck_assert_uint_eq(clg_registry_queue(&registry, 5)->owner, 0);
    clg_registry_show_step(&registry, topic, 1);
    clg_registry_show_step(&registry, topic, 1);
    ck_assert_uint_eq(clg_topic_queues(topic), 6);
    ck_assert_uint_eq(clg_topic_routed(topic), 2);
    clg_registry_route(topic, 1);
    ck_assert_uint_eq(clg_topic_routed(topic), 6);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t number = clg_topic_number(topic, i);
        ck_assert_uint_eq(number, i < 2 ? i : 7 + i - 2);
        ck_assert_uint_eq(clg_registry_queue(&registry, number)->owner, topic->id + 1);
        ck_assert_uint_eq(clg_registry_queue(&registry, number)->index, i);
        ck_assert_uint_eq(clg_topic_step_of(topic, i), i < 2 ? 0 : 1);
    }
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, 7, 4), 0); /* is there */
    ck_assert_int_eq(clg_registry_add_step(&registry, topic, 1, 8, 4), COMMITLOG_EEXIST);
    ck_assert_ptr_eq(clg_registry_same(&registry, "t", 1, 0, 2), topic);
    ck_assert_int_eq(clg_registry_add(&registry, "t", 1, UINT32_MAX, 2, &other), 0);
    ck_assert_ptr_eq(other, topic);
    uint32_t step = 2;
    for (int rc = 0; rc == 0 && step < 40; step += rc == 0 ? 1 : 0) {
        rc = clg_registry_add_step(&registry, topic, step, UINT32_MAX, clg_topic_queues(topic));
        if (rc == 0) {
            clg_registry_show_step(&registry, topic, step);
        }
    }
    ck_assert_uint_gt(step, 15);
    ck_assert_uint_le(clg_topic_queues(topic), CLG_TOPIC_QUEUES_MAX);
    clg_registry_deinit(&registry);
}
END_TEST

/* ---- the view ---- */

struct world {
    struct clg_registry registry;
    struct clg_view_segments segments;
    struct clg_view *view;
    uint64_t position;
};

static void world_begin(struct world *world)
{
    memset(world, 0, sizeof(*world));
    ck_assert_int_eq(clg_registry_init(&world->registry, clg_os_default()), 0);
    world->segments.active_base = 65536;
    world->position = 65536 + 4096;
    struct clg_view_context context = {
        .os = clg_os_default(), .registry = &world->registry, .segments = &world->segments};
    ck_assert_int_eq(clg_topics_view_ops.create(&context, 0, &world->view), 0);
}

static void world_end(struct world *world)
{
    clg_topics_view_ops.destroy(world->view);
    clg_registry_deinit(&world->registry);
}

enum { PLAIN, MARKS, CLOSED };

/* A definition of "t"; what it marks are queues 0 and 1, at these offsets. Returns whether it was
 * taken. */
static bool world_define(struct world *world, uint32_t step, uint32_t first, uint32_t queues,
                         int how, uint64_t mark)
{
    const struct clg_topic_offset pairs[] = {{0, mark}, {1, mark + 1}};
    struct clg_topic_definition definition = {.name = (const uint8_t *)"t",
                                              .name_bytes = 1,
                                              .first_queue = first,
                                              .queue_count = queues,
                                              .growth_step = step,
                                              .marks = how == MARKS,
                                              .closed = how == CLOSED,
                                              .pair_count = how == MARKS ? 2 : 0};
    uint8_t body[128];
    size_t bytes = (size_t)clg_topic_definition_bytes(1, definition.pair_count);
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &definition, pairs), 0);
    uint64_t before = clg_topics_contradictions(world->view);
    struct clg_record_view record = {.header = {.kind = CLG_KIND_TOPIC, .queue_number = first},
                                     .position = world->position,
                                     .next_position = world->position + 128,
                                     .segment_base = 65536,
                                     .body = body,
                                     .body_bytes = bytes};
    ck_assert_int_eq(world->view->ops->apply(world->view, &record), 0);
    world->position += 128;
    return clg_topics_contradictions(world->view) == before;
}

static struct clg_topic *world_topic(struct world *world)
{
    struct clg_topic *topic = NULL;
    ck_assert_int_eq(clg_registry_find(&world->registry, "t", 1, &topic), 0);
    return topic;
}

static void world_grow(struct world *world)
{
    ck_assert(world_define(world, 0, 0, 2, PLAIN, 0));
    ck_assert(world_define(world, 1, 10, 2, MARKS, 7));
    ck_assert(world_define(world, 2, 20, 8, MARKS, 9));
}

START_TEST(the_view_knows_steps_and_marks)
{
    struct world world;
    struct clg_topic_offset marks[CLG_GROWTH_STEPS_MAX];
    world_begin(&world);
    ck_assert(!world_define(&world, 1, 10, 2, MARKS, 7)); /* of no topic */
    ck_assert(world_define(&world, 0, 0, 2, PLAIN, 0));
    ck_assert(!world_define(&world, 2, 10, 2, PLAIN, 0)); /* no step 1 */
    ck_assert(!world_define(&world, 1, 10, 3, PLAIN, 0)); /* no whole factor */
    ck_assert(!world_define(&world, 1, 1, 2, PLAIN, 0));  /* its own numbers */
    ck_assert(world_define(&world, 1, 10, 2, MARKS, 7));
    ck_assert(world_define(&world, 1, 10, 2, PLAIN, 0)); /* of the next segment */
    ck_assert(!world_define(&world, 1, 11, 2, PLAIN, 0));
    ck_assert(world_define(&world, 2, 20, 8, MARKS, 9));
    struct clg_topic *topic = world_topic(&world);
    ck_assert_uint_eq(clg_topic_routed(topic), 12);
    ck_assert_uint_eq(clg_topics_marks(world.view, topic, 0, marks), 0);
    ck_assert_uint_eq(clg_topics_marks(world.view, topic, 3, marks), 1);
    ck_assert(marks[0].index == 1 && marks[0].next_offset == 8);
    ck_assert_uint_eq(clg_topics_marks(world.view, topic, 7, marks), 2);
    ck_assert(marks[0].index == 3 && marks[0].next_offset == 0); /* had no message */
    ck_assert(marks[1].index == 1 && marks[1].next_offset == 8);
    ck_assert_uint_eq(clg_topics_marks(world.view, topic, 8, marks), 1);
    ck_assert(marks[0].index == 0 && marks[0].next_offset == 9);
    ck_assert(world_define(&world, 1, 10, 2, CLOSED, 0));
    ck_assert_uint_eq(clg_topic_routed(topic), 2);
    ck_assert(world_define(&world, 2, 20, 8, CLOSED, 0));
    ck_assert_uint_eq(clg_topic_routed(topic), 2);
    ck_assert(world_define(&world, 1, 10, 2, MARKS, 30));
    ck_assert_uint_eq(clg_topic_routed(topic), 4);
    ck_assert_uint_eq(clg_topics_marks(world.view, topic, 3, marks), 1);
    ck_assert_uint_eq(marks[0].next_offset, 31);
    world_end(&world);
}
END_TEST

START_TEST(what_is_saved_is_restored)
{
    struct world world;
    struct world copy;
    struct clg_topic_offset a[CLG_GROWTH_STEPS_MAX];
    struct clg_topic_offset b[CLG_GROWTH_STEPS_MAX];
    world_begin(&world);
    world_grow(&world);
    ck_assert(world_define(&world, 2, 20, 8, CLOSED, 0));
    uint64_t bytes = world.view->ops->save_bytes(world.view);
    ck_assert_uint_eq(bytes, 32 + 2 * 24 + 4 * 16);
    uint8_t *saved = malloc(bytes);
    uint8_t *again = malloc(bytes);
    world.view->ops->save(world.view, saved, bytes);
    world_begin(&copy);
    ck_assert_int_eq(copy.view->ops->restore(copy.view, saved, bytes, UINT64_MAX), 0);
    ck_assert_uint_eq(copy.view->ops->save_bytes(copy.view), bytes);
    copy.view->ops->save(copy.view, again, bytes);
    ck_assert_mem_eq(saved, again, bytes);
    struct clg_topic *topic = world_topic(&copy);
    ck_assert_uint_eq(clg_topic_routed(topic), 4);
    ck_assert_uint_eq(clg_topic_queues(topic), 12);
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t count = clg_topics_marks(world.view, world_topic(&world), i, a);
        ck_assert_uint_eq(clg_topics_marks(copy.view, topic, i, b), count);
        for (uint32_t k = 0; k < count; k++) {
            ck_assert(a[k].index == b[k].index && a[k].next_offset == b[k].next_offset);
        }
    }
    world_end(&copy);
    free(saved);
    free(again);
    world_end(&world);
}
END_TEST

/* Every prefix and every byte changed: refused, or something that saves and restores alike. */
START_TEST(no_byte_of_a_state_is_believed)
{
    struct world world;
    world_begin(&world);
    world_grow(&world);
    uint64_t bytes = world.view->ops->save_bytes(world.view);
    uint8_t *saved = malloc(bytes);
    world.view->ops->save(world.view, saved, bytes);
    uint32_t refused = 0;
    for (uint64_t at = 0; at < 2 * bytes; at++) {
        uint64_t length = at < bytes ? at : bytes;
        for (uint32_t flip = 1; flip < 256; flip = at < bytes ? 256 : flip * 2) {
            uint8_t *broken = malloc(length + 1);
            memcpy(broken, saved, length);
            if (at >= bytes) {
                broken[at - bytes] ^= (uint8_t)flip;
            }
            struct world copy;
            world_begin(&copy);
            int rc = copy.view->ops->restore(copy.view, broken, length, UINT64_MAX);
            ck_assert(rc == 0 || rc == COMMITLOG_EDAMAGED);
            ck_assert(at >= bytes || rc == COMMITLOG_EDAMAGED || at == 0);
            if (rc == 0 && at > 0) {
                ck_assert_uint_eq(copy.view->ops->save_bytes(copy.view), length);
            }
            refused += rc != 0 ? 1 : 0;
            world_end(&copy);
            free(broken);
        }
    }
    ck_assert_uint_gt(refused, bytes);
    free(saved);
    world_end(&world);
}
END_TEST

/* Marks go when the record that said them has gone. */
START_TEST(marks_are_forgotten_with_their_record)
{
    struct world world;
    struct clg_topic_offset marks[CLG_GROWTH_STEPS_MAX];
    struct clg_view *queues = NULL;
    uint32_t ids[4];
    uint32_t count = 0;
    uint32_t next = 0;
    world_begin(&world);
    world_grow(&world);
    struct clg_view_context context = world.view->context;
    ck_assert_int_eq(clg_consume_queue_ops.create(&context, 1, &queues), 0);
    uint64_t bytes = world.view->ops->save_bytes(world.view);
    clg_topics_carry_list(world.view, queues, 0, 0, ids, 4, &count, &next, NULL);
    ck_assert_uint_eq(world.view->ops->save_bytes(world.view), bytes);
    world.segments.first = world.position;
    clg_topics_carry_list(world.view, queues, 0, 0, ids, 4, &count, &next, NULL);
    ck_assert_uint_eq(world.view->ops->save_bytes(world.view), bytes - 4 * 16);
    ck_assert_uint_eq(clg_topics_marks(world.view, world_topic(&world), 3, marks), 1);
    ck_assert_uint_eq(marks[0].next_offset, 0);
    clg_consume_queue_ops.destroy(queues);
    world_end(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth, its bytes");
    TCase *cases = tcase_create("bytes");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, steps_have_bits_for_marks_and_for_closed);
    tcase_add_test(cases, a_step_takes_numbers_of_its_own);
    tcase_add_test(cases, the_view_knows_steps_and_marks);
    tcase_add_test(cases, what_is_saved_is_restored);
    tcase_add_test(cases, no_byte_of_a_state_is_believed);
    tcase_add_test(cases, marks_are_forgotten_with_their_record);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
