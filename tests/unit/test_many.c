/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_many.c -- topics and queues by the thousand: names, numbers, offsets on both sides of the
 *                places where one array ends and the next begins.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/registry.h"
#include "support/run_suite.h"
#include "support/scratch.h"
#include "unit/view_fixture.h"

enum {
    TOPICS = (int)CLG_REGISTRY_CHUNK + 1000,
    CARRIED = 6000, /* more than one look at them takes */
    WIDE = 70000,   /* queues, in more than two arrays of heads */
    NAME_BYTES = 32
};

static struct clg_registry registry;
static struct scratch s;
static struct town *town;

/* The default table, but for the number of allocations that still succeed. */
static struct commitlog_os failing;
static uint32_t allocs_left;

static void *failing_alloc(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    if (allocs_left == 0) {
        return NULL;
    }
    allocs_left--;
    return clg_os_default()->alloc(clg_os_default(), bytes);
}

static struct clg_topic *add(const char *name, uint32_t first, uint32_t queues)
{
    struct clg_topic *topic = NULL;
    ck_assert_int_eq(clg_registry_add(&registry, name, strlen(name), first, queues, &topic), 0);
    ck_assert_ptr_nonnull(topic);
    return topic;
}

static const char *name_of(char *name, uint32_t i)
{
    (void)snprintf(name, NAME_BYTES, "topic-%u", i);
    return name;
}

START_TEST(each_topic_is_found_by_name_by_id_and_by_its_first_queue)
{
    char name[NAME_BYTES];
    ck_assert_int_eq(clg_registry_init(&registry, clg_os_default()), 0);
    for (uint32_t i = 0; i < TOPICS; i++) {
        const struct clg_topic *topic = add(name_of(name, i), UINT32_MAX, 1 + i % 2);
        ck_assert_uint_eq(topic->id, i);
    }
    for (uint32_t i = 0; i < TOPICS; i++) {
        struct clg_topic *topic = NULL;
        (void)name_of(name, i);
        ck_assert_int_eq(clg_registry_find(&registry, name, strlen(name), &topic), 0);
        ck_assert_ptr_eq(topic, clg_registry_topic(&registry, i));
        ck_assert_str_eq(topic->name, name);
        ck_assert_uint_eq(clg_registry_queue(&registry, topic->first_queue)->owner, i + 1);
        ck_assert_ptr_eq(
            clg_registry_same(&registry, name, strlen(name), topic->first_queue, topic->queues),
            topic);
    }
    ck_assert_ptr_null(clg_registry_topic(&registry, TOPICS));
    struct clg_topic *none = NULL;
    ck_assert_int_eq(clg_registry_find(&registry, "topic", 5, &none), COMMITLOG_ENOTFOUND);
    clg_registry_deinit(&registry);
}
END_TEST

START_TEST(the_same_topic_has_the_same_name_number_and_shape)
{
    ck_assert_int_eq(clg_registry_init(&registry, clg_os_default()), 0);
    const struct clg_topic *topic = add("one", 10, 4);
    ck_assert_ptr_eq(clg_registry_same(&registry, "one", 3, 10, 4), topic);
    ck_assert_ptr_null(clg_registry_same(&registry, "two", 3, 10, 4));
    ck_assert_ptr_null(clg_registry_same(&registry, "one", 2, 10, 4));
    ck_assert_ptr_null(clg_registry_same(&registry, "one", 3, 10, 5));
    ck_assert_ptr_null(clg_registry_same(&registry, "one", 3, 11, 4)); /* its second queue */
    ck_assert_ptr_null(clg_registry_same(&registry, "one", 3, 9, 4));  /* nobody's */
    ck_assert_ptr_null(clg_registry_same(&registry, "one", 3, 14, 4)); /* beyond all */
    clg_registry_deinit(&registry);
}
END_TEST

START_TEST(without_memory_no_topic_is_added_and_later_it_is)
{
    char name[NAME_BYTES];
    failing = *clg_os_default();
    failing.alloc = failing_alloc;
    allocs_left = UINT32_MAX;
    ck_assert_int_eq(clg_registry_init(&registry, &failing), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        struct clg_topic *topic = NULL;
        (void)name_of(name, i);
        for (uint32_t allow = 0; topic == NULL; allow++) {
            allocs_left = allow;
            int rc = clg_registry_add(&registry, name, strlen(name), UINT32_MAX, 1, &topic);
            ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
            ck_assert_uint_eq(clg_registry_topic_count(&registry), rc == 0 ? i + 1 : i);
            ck_assert_uint_lt(allow, 8);
        }
        ck_assert_str_eq(topic->name, name);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        struct clg_topic *topic = NULL;
        (void)name_of(name, i);
        ck_assert_int_eq(clg_registry_find(&registry, name, strlen(name), &topic), 0);
        ck_assert_uint_eq(topic->id, i);
    }
    clg_registry_deinit(&registry);
}
END_TEST

static void views_remove(void)
{
    char view[DIRS_PATH_MAX];
    path_join(view, s.path, "view");
    dirs_remove(view);
}

START_TEST(offsets_go_on_in_queues_far_apart)
{
    static const uint32_t queues[] = {0, 1, 4095, 4096, 32767, 32768, 65535, 65536, WIDE - 1};
    enum { COUNT = sizeof(queues) / sizeof(queues[0]) };
    scratch_begin(&s, "many-queues");
    scratch_open(&s, WIDE);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 2 * COUNT; i++) {
            uint64_t offset = scratch_put(&s, queues[i % COUNT], 3000, i).queue_offset;
            ck_assert_uint_eq(offset, 2 * round + i / COUNT);
        }
        scratch_close(&s);
        if (round == 1) {
            views_remove();
        }
        scratch_open(&s, WIDE);
        for (uint32_t i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(scratch_count(&s, queues[i], 0), 2 * round + 2);
        }
        ck_assert_uint_eq(scratch_queue(&s, 2).next_offset, 0);
        ck_assert_uint_eq(scratch_queue(&s, 65534).next_offset, 0);
    }
    scratch_end(&s);
}
END_TEST

START_TEST(retention_carries_forward_thousands_of_topics)
{
    char name[NAME_BYTES];
    scratch_begin(&s, "many-topics");
    scratch_open(&s, 1);
    uint32_t topic = 0;
    struct commitlog_receipt receipt;
    /* None of them has a record, but for the last: what has to be carried lies behind much that has
     * not, once the others were defined again. */
    for (uint32_t i = 0; i < CARRIED; i++) {
        (void)name_of(name, i);
        CHECK_OK(commitlog_topic_open(s.store, name, strlen(name), 1, &topic, &s.err), &s.err);
        (void)scratch_put(&s, 0, 300, i);
    }
    ck_assert_int_eq(
        commitlog_append(s.store, topic, 0, "body", 4, COMMITLOG_LEVEL_DEFAULT, &receipt), 0);
    for (uint32_t i = 0; i < 400; i++) {
        (void)scratch_put(&s, 0, 4000, i);
    }
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1000000};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    CHECK_OK(commitlog_retain(s.store, &policy, &out, &s.err), &s.err);
    ck_assert_uint_gt(scratch_queue(&s, 0).first_offset, CARRIED);
    for (uint32_t round = 0; round < 2; round++) {
        scratch_close(&s);
        views_remove();
        scratch_open(&s, 1);
        for (uint32_t i = 0; i < CARRIED; i++) {
            (void)name_of(name, i);
            CHECK_OK(commitlog_topic_open(s.store, name, strlen(name), 0, &topic, &s.err), &s.err);
        }
        ck_assert_int_eq(
            commitlog_append(s.store, topic, 0, "body", 4, COMMITLOG_LEVEL_DEFAULT, &receipt), 0);
        ck_assert_uint_eq(receipt.queue_offset, 1 + round);
    }
    scratch_end(&s);
}
END_TEST

enum { LATE_FIRST = 16, LATE_TOPICS = 200 };

/* Once, while an allocation is made: more topics and queues than a little room to spare has. */
static void *late_alloc(const struct commitlog_os *os, size_t bytes)
{
    town->os.alloc = town_alloc;
    for (uint32_t i = 0; i < LATE_TOPICS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "late-%u", i);
        town_topic(town, name, LATE_FIRST + i, 1, false);
        (void)town_message(town, LATE_FIRST + i, 0, 0, 50);
    }
    town_fold(town);
    return town_alloc(os, bytes);
}

START_TEST(a_state_that_grows_while_room_is_made_for_it_is_whole)
{
    town = malloc(sizeof(*town));
    town_begin(town, 1);
    town_define(town, LATE_FIRST, false);
    town_open(town, true);
    for (uint32_t i = 0; i < 100; i++) {
        (void)town_message(town, i % LATE_FIRST, 0, 0, 50);
    }
    town_fold(town);
    uint64_t before = town->published;
    uint64_t position = 0;
    town->os.alloc = late_alloc;
    TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position,
                                      &town->err));
    ck_assert_uint_gt(town->published, before);
    ck_assert_uint_eq(position, town->published);
    town_write_images(town);
    town_close(town);
    town_open(town, true);
    ck_assert_uint_eq(town->report.state_position, position);
    ck_assert_uint_eq(clg_registry_topic_count(&town->registry), 4 + LATE_TOPICS);
    town_check(town, LATE_FIRST + LATE_TOPICS, 3);
    /* Without memory for the room nothing is written and nothing is held. */
    town->fail_alloc_in = 0;
    ck_assert_int_eq(
        clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position, &town->err),
        COMMITLOG_ENOMEM);
    town->fail_alloc_in = -1;
    TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position,
                                      &town->err));
    town_end(town);
    free(town);
}
END_TEST

static Suite *many_suite(void)
{
    Suite *suite = suite_create("many");
    TCase *many = tcase_create("many");
    tcase_set_timeout(many, 120);
    tcase_add_test(many, each_topic_is_found_by_name_by_id_and_by_its_first_queue);
    tcase_add_test(many, the_same_topic_has_the_same_name_number_and_shape);
    tcase_add_test(many, without_memory_no_topic_is_added_and_later_it_is);
    tcase_add_test(many, offsets_go_on_in_queues_far_apart);
    tcase_add_test(many, retention_carries_forward_thousands_of_topics);
    tcase_add_test(many, a_state_that_grows_while_room_is_made_for_it_is_whole);
    suite_add_tcase(suite, many);
    return suite;
}

int main(void)
{
    return run_suite(many_suite());
}
