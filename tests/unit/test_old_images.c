/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_old_images.c -- a segment file is replaced by an older image of itself, with records that a
 * recovery has cut since: they verify there, and must not come back.
 */
#include "support/run_suite.h"
#include "unit/group_fixture.h"

static const char path[] = "/store/log/00000000000000000000.log";
static uint8_t image[65536];

/* Messages that say who appended them. */
static void put_as(char who, uint32_t count, uint32_t level)
{
    char body[100];
    memset(body, who, sizeof(body));
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body), level, NULL), 0);
    }
}

static void take_image(void)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof(image));
    memcpy(image, data, sizeof(image));
}

/* Reads all there is, over damage; how many are of this one. */
static uint32_t count_of(char who, bool *out_damaged)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t found = 0;
    uint32_t count = 0;
    uint64_t bound = 0;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    for (int i = 0; i < 5000; i++) {
        int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
        if (rc == COMMITLOG_OK) {
            found += ((const char *)message.body.data)[0] == who ? 1 : 0;
        } else if (rc == COMMITLOG_EDAMAGED) {
            *out_damaged = true;
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        } else {
            ck_assert_int_eq(rc, COMMITLOG_EEND);
            break;
        }
    }
    commitlog_cursor_close(cursor);
    return found;
}

static int32_t open_reading(void)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_open("/store", options, &store, &err);
    commitlog_options_free(options);
    return rc;
}

START_TEST(what_a_recovery_cut_does_not_come_back_with_an_old_image)
{
    bool damaged = false;
    open_store();
    put_as('a', 20, COMMITLOG_LEVEL_DURABLE);
    put_as('g', 30, COMMITLOG_LEVEL_WRITTEN); /* will be cut */
    take_image();
    die(true);
    open_store();
    ck_assert_uint_eq(count_of('g', &damaged), 0);
    put_as('b', 1500, COMMITLOG_LEVEL_DURABLE); /* two segments more */
    uint32_t held = count_of('b', &damaged);
    ck_assert_uint_eq(held, 1500);
    ck_assert(!damaged);
    die(false);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, image, sizeof(image)), 0);
    forget_views();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(open_reading(), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(count_of('g', &damaged), 0);
    ck_assert_uint_eq(count_of('a', &damaged), 20);
    ck_assert(damaged);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                     COMMITLOG_RECOVER_SALVAGE),
                     0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(count_of('g', &damaged), 0);
    ck_assert_uint_eq(count_of('a', &damaged), 20);
    ck_assert_uint_gt(count_of('b', &damaged), 800);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
}
END_TEST

/* As a copy has it that was begun before the writer went on and ended after: the end is a clean
 * one, and behind it is a segment of records. */
START_TEST(what_lies_behind_a_clean_end_is_no_segment_to_be_used)
{
    static uint8_t checkpoint[2 * 4096];
    const void *data = NULL;
    uint64_t bytes = 0;
    bool damaged = false;
    open_store();
    put_as('a', 20, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    take_image();
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof(checkpoint));
    memcpy(checkpoint, data, sizeof(checkpoint));
    open_store();
    put_as('b', 500, COMMITLOG_LEVEL_DURABLE); /* into the second segment */
    die(true);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, image, sizeof(image)), 0);
    ck_assert_int_eq(
        commitlog_fault_write(machine, "/store/CHECKPOINT", 0, checkpoint, sizeof(checkpoint)), 0);
    forget_views();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(open_reading(), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(count_of('a', &damaged), 20);
    ck_assert_uint_gt(count_of('b', &damaged), 10);
    ck_assert(damaged);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("old images");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, what_a_recovery_cut_does_not_come_back_with_an_old_image);
    tcase_add_test(all, what_lies_behind_a_clean_end_is_no_segment_to_be_used);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
