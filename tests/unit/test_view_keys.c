/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_view_keys.c -- the key index by itself: equal hashes, hot keys, hostile files; and
 * CHECKPOINT.
 */
#include "unit/view_fixture.h"

#include <time.h>

#include "support/run_suite.h"
#include "view/checkpoint_file.h"
#include "view/fold_internal.h"
#include "view/key_internal.h"

static struct town *town;

static void setup(void)
{
    town = malloc(sizeof(*town));
    town_begin(town, 7);
}

static void teardown(void)
{
    town_end(town);
    free(town);
}

/* The view alone; segments are ended by hand. */
struct bare {
    struct clg_view_segments segments;
    struct clg_view *view;
};

static void bare_begin(struct bare *b)
{
    memset(b, 0, sizeof(*b));
    b->segments.items = calloc(128, sizeof(*b->segments.items));
    b->segments.room = 128;
    b->segments.active_first_time = INT64_MIN;
    b->segments.active_last_time = INT64_MAX;
    struct clg_view_context context = {.os = &town->os,
                                       .registry = &town->registry,
                                       .segments = &b->segments,
                                       .uuid = town->dir.uuid,
                                       .view_dirfd = -1,
                                       .index_keys = true};
    TOWN_OK(town, clg_key_index_ops.create(&context, 2, &b->view));
}

static void bare_end(struct bare *b)
{
    for (uint32_t i = 0; i < b->segments.count; i++) {
        clg_view_slot_clear(b->view, &b->segments.items[i].slots[2]);
    }
    b->view->ops->destroy(b->view);
    free(b->segments.items);
}

static void bare_seal(struct bare *b, uint64_t bytes, bool build)
{
    struct clg_view_item *item = &b->segments.items[b->segments.count++];
    item->id = (struct clg_view_segment){
        .base = b->segments.active_base, .salt = 1, .end = b->segments.active_base + bytes - 4096};
    item->first_time = (int64_t)b->segments.active_base;
    item->last_time = (int64_t)(b->segments.active_base + bytes) - 1;
    void *reserved = b->view->ops->reserve(b->view);
    ck_assert_ptr_nonnull(reserved);
    b->view->ops->freeze(b->view, item, reserved);
    if (build) {
        struct clg_image image;
        TOWN_OK(town, b->view->ops->build(b->view, item, &image));
        TOWN_OK(town, b->view->ops->install(b->view, item, &image, CLG_SLOT_MEMORY));
        TOWN_OK(town, b->view->ops->verify(b->view, item));
    }
    b->segments.active_base += bytes;
}

static uint32_t bare_count(struct bare *b, uint64_t hash, uint64_t before, uint32_t max)
{
    struct clg_lookup_key query;
    uint64_t last = before;
    uint32_t total = 0;
    uint64_t positions[64];
    clg_lookup_key_init(&query, 0, hash, INT64_MIN, INT64_MAX, before);
    for (;;) {
        uint32_t count = 0;
        TOWN_OK(town, clg_key_index_next(b->view, &query, positions, max, &count));
        for (uint32_t i = 0; i < count; i++) {
            WANT(positions[i] < last);
            last = positions[i];
        }
        total += count;
        if (count < max) {
            return total;
        }
    }
}

/* Hashes that agree in the bits a file keeps, and hashes that agree wholly. */
START_TEST(equal_and_nearly_equal_hashes)
{
    struct bare b;
    bare_begin(&b);
    const uint64_t bytes = UINT64_C(1) << 20;
    const uint64_t one = UINT64_C(0x1234567800000001);
    const uint64_t near = UINT64_C(0x1234567800000002);
    for (uint32_t segment = 0; segment < 6; segment++) {
        for (uint32_t i = 0; i < 1000; i++) {
            uint32_t place = 1024 + i * 8;
            uint64_t hash = i % 3 == 0 ? one : i % 3 == 1 ? near : town_random(town);
            TOWN_OK(town, clg_key_index_add(b.view, hash, place));
            TOWN_OK(town, clg_key_index_add(b.view, hash, place)); /* twice on one record */
        }
        if (segment < 5) {
            bare_seal(&b, bytes, segment % 2 == 0);
        }
    }
    /* In memory exactly; from a file both, for the caller to compare: 3 x 334 + 3 x (334 + 333). */
    for (uint32_t max = 1; max < 64; max += 9) {
        WANT_EQ(bare_count(&b, one, UINT64_MAX, max), 3 * 334 + 3 * 667);
        WANT_EQ(bare_count(&b, near, UINT64_MAX, max), 3 * 333 + 3 * 667);
    }
    WANT_EQ(bare_count(&b, one, 1024 * 8, 7), 0);
    WANT_EQ(bare_count(&b, one, 1024 * 8 + 1, 7), 1);
    WANT_EQ(bare_count(&b, one, bytes, 7), 667);
    WANT_EQ(bare_count(&b, UINT64_C(0xffffffffffffffff), UINT64_MAX, 7), 0);
    bare_end(&b);
}
END_TEST

/* One key on every record: no step of a query walks over what earlier steps delivered. */
START_TEST(a_hot_key_is_linear)
{
    struct bare b;
    bare_begin(&b);
    const uint32_t records = 200000;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < records; i++) {
            TOWN_OK(town, clg_key_index_add(b.view, 42, 1024 + i * 6));
        }
        if (round < 2) {
            bare_seal(&b, UINT64_C(16) << 20, round == 0);
        }
    }
    WANT_EQ(bare_count(&b, 42, UINT64_MAX, 64), records * 3);
    bare_end(&b);
}
END_TEST

START_TEST(a_miss_over_a_hundred_segments_is_cheap)
{
    struct bare b;
    bare_begin(&b);
    for (uint32_t segment = 0; segment < 100; segment++) {
        for (uint32_t i = 0; i < 5000; i++) {
            TOWN_OK(town, clg_key_index_add(b.view, town_random(town), 1024 + i * 8));
        }
        bare_seal(&b, UINT64_C(1) << 20, true);
    }
    struct timespec from;
    struct timespec to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (uint32_t i = 0; i < 200; i++) {
        WANT_EQ(bare_count(&b, town_random(town), UINT64_MAX, 8), 0);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    double us = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
    printf("a miss over 100 segments: %.1f us\n", us / 200);
    /* Outside the window no file is touched. */
    struct clg_lookup_key query;
    uint64_t positions[8];
    uint32_t count = 1;
    b.view->context.segments->active_first_time = INT64_MAX;
    clg_lookup_key_init(&query, 0, 1, INT64_MAX, INT64_MAX, UINT64_MAX);
    TOWN_OK(town, clg_key_index_next(b.view, &query, positions, 8, &count));
    WANT_EQ(count, 0);
    bare_end(&b);
}
END_TEST

/* Random bytes behind a good header: wrong answers at worst, and a rebuild. */
START_TEST(a_hostile_key_file_stays_in_bounds)
{
    town_define(town, 8, false);
    town_open(town, true);
    for (uint32_t i = 0; i < 900; i++) {
        (void)town_message(town, i % 8, 1, 1 + i % 7, 300);
    }
    town_fold(town);
    town_write_images(town);
    uint64_t state = 0;
    TOWN_OK(town,
            clg_fold_save_state(town->fold, town_reach, &town->published, 1, &state, &town->err));
    town_close(town);
    char path[DIRS_PATH_MAX];
    char file[DIRS_PATH_MAX];
    path_join(path, town->path, "view");
    struct name_list names = dirs_list(path, ".key");
    struct name_list queues = dirs_list(path, ".cq");
    for (uint32_t i = 0; i < names.count; i++) {
        path_join(file, path, names.names[i]);
        uint64_t size = file_size(file);
        for (uint64_t at = 256; at < size; at++) {
            uint8_t byte = (uint8_t)town_random(town);
            file_patch(file, at, &byte, 1);
        }
        path_join(file, path, queues.names[i]);
        size = file_size(file);
        for (uint64_t at = 256 + 64 * 8; at < size; at++) { /* entries only: not read at opening */
            uint8_t byte = (uint8_t)town_random(town);
            file_patch(file, at, &byte, 1);
        }
    }
    town_open(town, true);
    for (uint32_t i = 0; i < 2000; i++) {
        struct clg_lookup_key query;
        uint64_t positions[16];
        uint32_t count = 0;
        clg_lookup_key_init(&query, 0, town_random(town), INT64_MIN, INT64_MAX, UINT64_MAX);
        TOWN_OK(town, clg_lookup_key_next(town->fold, &query, UINT64_MAX, positions, 16, &count));
        struct clg_lookup_entry entries[16];
        uint64_t bound = 0;
        int rc = clg_lookup_entries(town->fold, i % 8, town_below(town, 120), UINT64_MAX, entries,
                                    16, &count, &bound);
        WANT(rc == 0 || rc == COMMITLOG_EEND || rc == COMMITLOG_EBEYOND);
        rc = clg_lookup_time(town->fold, i % 8, (int64_t)town_random(town), COMMITLOG_LOWER,
                             UINT64_MAX, &bound);
        WANT_EQ(rc, 0);
    }
    /* The scrub finds all of it; afterwards the answers are right again. */
    for (uint64_t base = 0; base < town->active->base; base += TOWN_SEGMENT) {
        uint32_t rebuilt;
        TOWN_OK(town, clg_fold_scrub(town->fold, base, &rebuilt, &town->err));
    }
    town_check(town, 8, 7);
    names_free(&names);
    names_free(&queues);
}
END_TEST

START_TEST(checkpoint_slots_take_turns)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint point = {.first = 8192,
                                   .checkpointed = 8192,
                                   .durable = 8192,
                                   .segment_bytes = TOWN_SEGMENT,
                                   .epoch = 1};
    memcpy(point.uuid, town->dir.uuid, sizeof(point.uuid));
    clg_checkpoint_file_init(&file, &town->os);
    WANT_EQ(clg_checkpoint_file_open(&file, town->view_fd, true, &town->err), COMMITLOG_ENOTFOUND);
    TOWN_OK(town, clg_checkpoint_file_create(&file, town->view_fd, 0600, &point, &town->err));
    struct clg_checkpoint got;
    for (uint32_t i = 0; i < 9; i++) {
        point.durable += 48;
        TOWN_OK(town, clg_checkpoint_file_write(&file, &point, &town->err));
        TOWN_OK(town, clg_checkpoint_file_read(&file, point.uuid, false, &got, &town->err));
        WANT_EQ(got.sequence, i + 2);
        WANT_EQ(got.durable, point.durable);
    }
    clg_checkpoint_file_close(&file);
    char path[DIRS_PATH_MAX];
    char name[DIRS_PATH_MAX];
    path_join(path, town->path, "view");
    path_join(name, path, CLG_CHECKPOINT_NAME);
    /* The newest slot torn: the one before answers, and its place is written next. */
    uint8_t junk = 0x77;
    file_patch(name, (uint64_t)clg_checkpoint_slot(10) * 4096 + 90, &junk, 1);
    TOWN_OK(town, clg_checkpoint_file_open(&file, town->view_fd, true, &town->err));
    TOWN_OK(town, clg_checkpoint_file_read(&file, point.uuid, false, &got, &town->err));
    WANT_EQ(got.sequence, 9);
    TOWN_OK(town, clg_checkpoint_file_write(&file, &point, &town->err));
    WANT_EQ(point.sequence, 10);
    TOWN_OK(town, clg_checkpoint_file_read(&file, point.uuid, false, &got, &town->err));
    WANT_EQ(got.sequence, 10);
    file_patch(name, 70, &junk, 1);
    file_patch(name, 4096 + 70, &junk, 1);
    WANT_EQ(clg_checkpoint_file_read(&file, point.uuid, false, &got, &town->err),
            COMMITLOG_EDAMAGED);
    clg_checkpoint_file_close(&file);
}
END_TEST

static int failing_fdatasync(const struct commitlog_os *os, int fd)
{
    (void)os;
    (void)fd;
    return -5;
}

START_TEST(a_failed_checkpoint_is_final)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint point = {.first = 8192,
                                   .checkpointed = 8192,
                                   .durable = 8192,
                                   .segment_bytes = TOWN_SEGMENT,
                                   .epoch = 1};
    clg_checkpoint_file_init(&file, &town->os);
    TOWN_OK(town, clg_checkpoint_file_create(&file, town->view_fd, 0600, &point, &town->err));
    town->os.fdatasync = failing_fdatasync;
    WANT_EQ(clg_checkpoint_file_write(&file, &point, &town->err), COMMITLOG_EIO);
    town->os.fdatasync = clg_os_default()->fdatasync;
    WANT_EQ(clg_checkpoint_file_write(&file, &point, &town->err), COMMITLOG_EFAILED);
    clg_checkpoint_file_close(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view keys");
    TCase *tc = tcase_create("keys");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, equal_and_nearly_equal_hashes);
    tcase_add_test(tc, a_hot_key_is_linear);
    tcase_add_test(tc, a_miss_over_a_hundred_segments_is_cheap);
    tcase_add_test(tc, a_hostile_key_file_stays_in_bounds);
    tcase_add_test(tc, checkpoint_slots_take_turns);
    tcase_add_test(tc, a_failed_checkpoint_is_final);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
