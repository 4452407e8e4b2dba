/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment_header.c -- lib/segment: what a header page and its copy are worth.
 */
#include "support/run_suite.h"
#include "unit/segment_setup.h"

#include <sys/stat.h>

static enum clg_segment_state open_state(uint64_t base, int *rc)
{
    struct clg_segment *segment = NULL;
    enum clg_segment_state state;
    *rc = clg_segment_open(&world.dir, base, false, &segment, &state, &err);
    clg_segment_unref(segment);
    return state;
}

/* The name is there when it is looked at, and gone when it is opened. */
static int gone_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                        uint32_t mode)
{
    (void)os;
    (void)dirfd;
    (void)name;
    (void)flags;
    (void)mode;
    return -ENOENT;
}

START_TEST(a_file_that_goes_while_it_is_opened_is_no_file)
{
    int rc;
    clg_segment_unref(world_create(&world, 0, SMALL));
    world.os.open_at = gone_open_at;
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_NO_FILE);
    ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(each_damage_of_the_headers_has_its_verdict)
{
    char path[DIRS_PATH_MAX];
    char other[DIRS_PATH_MAX];
    char temporary[DIRS_PATH_MAX + 8];
    uint8_t junk = 0x77;
    int rc;
    clg_segment_unref(world_create(&world, 0, SMALL));
    world_file(&world, 0, path);
    file_patch(path, 100, &junk, 1);
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_ONE_COPY);
    ck_assert_int_eq(rc, 0);
    file_patch(path, 4096 + 100, &junk, 1);
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_NO_HEADER);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    uint8_t zeros[8192] = {0};
    file_patch(path, 0, zeros, sizeof(zeros));
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_EMPTY);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_NO_FILE);
    ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
    clg_segment_unref(world_create(&world, SMALL, SMALL));
    world_file(&world, SMALL, path);
    world_file(&world, 2 * SMALL, other);
    ck_assert_int_eq(link(path, other), 0);
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_LINKED);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    ck_assert_int_eq(rename(other, temporary), 0);
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_GOOD);
    ck_assert_int_eq(link(path, other), 0);
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_LINKED);
    ck_assert_int_eq(unlink(temporary), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(open_state(2 * SMALL, &rc), CLG_SEGMENT_MISNAMED);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    ck_assert_int_eq(rename(other, path), 0);
    world.dir.uuid[0] ^= 1;
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_FOREIGN);
    ck_assert_int_eq(rc, COMMITLOG_EFOREIGN);
    world.dir.uuid[0] ^= 1;
    world.bad_to = 8192;
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_UNREADABLE);
    ck_assert_int_eq(rc, COMMITLOG_EIO);
    world.bad_to = 4096;
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_ONE_COPY);
    world.bad_to = 0;
    ck_assert_int_eq(truncate(path, (off_t)SMALL + 4096), 0);
    ck_assert_int_eq(open_state(SMALL, &rc), CLG_SEGMENT_LONG);
    ck_assert_int_eq(symlink(path, other), 0);
    ck_assert_int_eq(open_state(2 * SMALL, &rc), CLG_SEGMENT_ODD);
    ck_assert_int_eq(unlink(other), 0);
    ck_assert_int_eq(mkfifo(other, 0600), 0);
    ck_assert_int_eq(open_state(2 * SMALL, &rc), CLG_SEGMENT_ODD);
    ck_assert_int_eq(unlink(other), 0);
    ck_assert_int_eq(mkdir(other, 0700), 0);
    ck_assert_int_eq(open_state(2 * SMALL, &rc), CLG_SEGMENT_ODD);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
}
END_TEST

/* A page that a disk did not write: what was there before, sound and of this very place. */
START_TEST(an_old_header_copy_gives_way_to_the_newer_one)
{
    char path[DIRS_PATH_MAX];
    world_file(&world, 0, path);
    struct clg_segment_plan plan = {.base = 0, .bytes = 2 * SMALL, .epoch = 1};
    struct clg_segment *segment;
    OK(clg_segment_create(&world.dir, &plan, &segment, &err));
    clg_segment_unref(segment);
    struct file_bytes old = file_read(path);
    ck_assert_int_eq(unlink(path), 0);
    plan.bytes = SMALL;
    for (plan.epoch = 1; plan.epoch <= 2; plan.epoch++) { /* later, and of a later session */
        OK(clg_segment_create(&world.dir, &plan, &segment, &err));
        uint64_t salt = segment->salt;
        clg_segment_unref(segment);
        struct file_bytes now = file_read(path);
        for (uint64_t at = 0; at < CLG_SEGMENT_DATA_START; at += CLG_FORMAT_PAGE_BYTES) {
            file_patch(path, at, old.data, CLG_FORMAT_PAGE_BYTES);
            enum clg_segment_state state;
            OK(clg_segment_open(&world.dir, 0, true, &segment, &state, &err));
            ck_assert_int_eq(state, CLG_SEGMENT_ONE_COPY);
            ck_assert_uint_eq(segment->salt, salt);
            ck_assert_uint_eq(segment->bytes, SMALL);
            clg_segment_unref(segment);
            file_patch(path, at, now.data, CLG_FORMAT_PAGE_BYTES);
        }
        file_free(&now);
        ck_assert_int_eq(unlink(path), 0);
    }
    file_free(&old);
}
END_TEST

/* And one that was written to the wrong place. */
START_TEST(a_header_copy_of_another_segment_is_no_copy)
{
    char path[DIRS_PATH_MAX];
    int rc;
    clg_segment_unref(world_create(&world, SMALL, SMALL));
    world_file(&world, SMALL, path);
    struct file_bytes other = file_read(path);
    clg_segment_unref(world_create(&world, 0, SMALL));
    world_file(&world, 0, path);
    struct file_bytes now = file_read(path);
    for (uint64_t at = 0; at < CLG_SEGMENT_DATA_START; at += CLG_FORMAT_PAGE_BYTES) {
        file_patch(path, at, other.data, CLG_FORMAT_PAGE_BYTES);
        ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_ONE_COPY);
        ck_assert_int_eq(rc, 0);
        file_patch(path, at, now.data, CLG_FORMAT_PAGE_BYTES);
    }
    file_free(&now);
    file_free(&other);
}
END_TEST

START_TEST(headers_are_repaired_from_one_copy_or_from_the_neighbours)
{
    char path[DIRS_PATH_MAX];
    uint8_t junk[8192];
    memset(junk, 0x33, sizeof(junk));
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct clg_segment_header header = segment->header;
    clg_segment_unref(segment);
    world_file(&world, 0, path);
    file_patch(path, 0, junk, 4096);
    enum clg_segment_state state;
    OK(clg_segment_open(&world.dir, 0, true, &segment, &state, &err));
    OK(clg_segment_repair_header(segment, &err));
    clg_segment_unref(segment);
    int rc;
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_GOOD);
    file_patch(path, 0, junk, sizeof(junk));
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_NO_HEADER);
    OK(clg_segment_open_as(&world.dir, &header, true, &segment, &state, &err));
    OK(clg_segment_repair_header(segment, &err));
    clg_segment_unref(segment);
    ck_assert_int_eq(open_state(0, &rc), CLG_SEGMENT_GOOD);
}
END_TEST

static Suite *header_suite(void)
{
    Suite *suite = suite_create("segment header");
    TCase *headers = tcase_create("copies");
    tcase_add_checked_fixture(headers, setup, teardown);
    tcase_add_test(headers, a_file_that_goes_while_it_is_opened_is_no_file);
    tcase_add_test(headers, each_damage_of_the_headers_has_its_verdict);
    tcase_add_test(headers, an_old_header_copy_gives_way_to_the_newer_one);
    tcase_add_test(headers, a_header_copy_of_another_segment_is_no_copy);
    tcase_add_test(headers, headers_are_repaired_from_one_copy_or_from_the_neighbours);
    suite_add_tcase(suite, headers);
    return suite;
}

int main(void)
{
    return run_suite(header_suite());
}
