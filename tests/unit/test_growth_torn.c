/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_torn.c -- of the definitions that begin a segment a crash has kept some only: the
 * others are written again there, before retention takes the segment that had them.
 */
#include "unit/raw_timer_fixture.h"

#include "format/topic_record.h"
#include "support/run_suite.h"

enum { OLD = 4, NEW = 8, CHILD = 5 };

/* As a claim writes it. */
static void define_raw(uint32_t step)
{
    struct clg_topic *found = clg_registry_topic(&store->core->registry, topic);
    const struct clg_topic_step is = clg_topic_step(found, step);
    const struct clg_topic_definition definition = {.name = (const uint8_t *)"grown",
                                                    .name_bytes = 5,
                                                    .first_queue = is.first_queue,
                                                    .queue_count = is.queues,
                                                    .growth_step = step};
    uint8_t body[64];
    size_t bytes = (size_t)clg_topic_definition_bytes(5, 0);
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &definition, NULL), 0);
    struct commitlog_slice slice = {body, bytes};
    (void)append_raw(&(struct clg_append){.kind = CLG_KIND_TOPIC,
                                          .queue_number = is.first_queue,
                                          .body = &slice,
                                          .body_count = 1,
                                          .body_bytes = bytes});
}

static void open_grown(void)
{
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "grown", 5, 0, &topic, &err), 0);
}

static void again(bool views)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    if (!views) {
        forget_views();
    }
    open_grown();
}

/* Fills segments without a record of the topic. */
static void roll(void)
{
    uint32_t other = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &other, &err), 0);
    for (int i = 0; i < 2500; i++) {
        ck_assert_int_eq(commitlog_append(store, other, 0, "0123456789", 10, 1, NULL), 0);
    }
}

/* The segments before this position go, and it stays. */
static void retain_before(uint64_t position)
{
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    for (uint64_t keep = 65536 * 20; keep > 0; keep -= 65536) {
        const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                                   .keep_bytes = keep};
        if (store_positions().first + 65536 > position / 65536 * 65536) {
            break;
        }
        ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    }
    ck_assert_uint_gt(retained.first, 65536);
    ck_assert_uint_le(retained.first, position);
}

/* _i: the steps that were kept, a bit each; and whether views are there. */
START_TEST(what_is_missing_of_its_definitions_is_written_again)
{
    struct commitlog_receipt receipt;
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "grown", 5, OLD, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 1, "a", 1, 1, NULL), 0);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, NEW, 1, &err), 0);
    roll();
    for (uint32_t step = 0; step < 2; step++) {
        if ((_i & (1 << step)) != 0) {
            define_raw(step);
        }
    }
    again((_i & 4) != 0);
    /* Nothing but the definitions is left to be carried. */
    ck_assert_int_eq(commitlog_append(store, topic, 1, "a", 1, 1, NULL), 0);
    ck_assert_int_eq(commitlog_append(store, topic, CHILD, "b", 1, 3, &receipt), 0);
    roll();
    retain_before(receipt.position);
    for (int i = 0; i < 2; i++) {
        again(i != 0);
        ck_assert_int_eq(commitlog_topic_info(store, topic, &info), 0);
        ck_assert_uint_eq(info.queues, NEW);
        ck_assert_uint_eq(info.queues_total, NEW);
        ck_assert_int_eq(commitlog_queue_info(store, topic, CHILD, &queue), 0);
        ck_assert_uint_eq(queue.next_offset, 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth, torn");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_is_missing_of_its_definitions_is_written_again, 0, 8);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
