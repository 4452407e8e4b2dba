/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stray_segment.c -- a file that is named as if a segment began in the middle of another one,
 * and is no segment: readers find what they find without it, and writers refuse.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "base/checksum.h"
#include "format/limits.h"
#include "support/run_suite.h"

enum { NAME_BYTES = 32 };
enum {
    CASE_FAR = 1,      /* a name far behind the end is there, too */
    CASE_AT_END = 2,   /* it is named into the last page of the segment */
    CASE_LOST = 4,     /* the newest segments are missing */
    CASE_RETAINED = 8, /* and the oldest were dropped */
    CASE_DEAD = 16     /* the writer did not close */
};

static void log_name(uint64_t base, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%020llu.log", (unsigned long long)base);
}

static void put_file(uint64_t base, uint8_t byte, uint64_t bytes)
{
    static uint8_t data[65536];
    const struct commitlog_os *os = commitlog_fault_os(machine);
    char name[NAME_BYTES];
    log_name(base, name);
    ck_assert_uint_le(bytes, sizeof(data));
    memset(data, byte, sizeof(data));
    int dir = os->open_dir(os, "/store/log");
    int fd =
        os->open_at(os, dir, name, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, data, bytes, 0), 0);
    (void)os->close(os, fd);
    (void)os->close(os, dir);
}

/* Those from `from` on. */
static void drop_files(uint64_t from)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    char first[NAME_BYTES];
    const char *name = NULL;
    uint32_t at = 0;
    log_name(from, first);
    int dir = os->open_dir(os, "/store/log");
    while (commitlog_fault_name(machine, "/store/log", at, &name) == COMMITLOG_OK) {
        char copy[NAME_BYTES];
        (void)snprintf(copy, sizeof(copy), "%s", name);
        if (strcmp(copy, first) < 0)
            at++;
        else
            ck_assert_int_eq(os->unlink_at(os, dir, copy), 0);
    }
    (void)os->close(os, dir);
}

struct found {
    int32_t code;
    uint64_t first, end, damages;
    uint64_t from, to; /* of the first of them */
};

/* What a reader finds, on a copy. */
static struct found look(void)
{
    struct commitlog_fault *copy = NULL;
    struct commitlog_fault *kept = machine;
    const uint64_t how[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    ck_assert_int_eq(commitlog_fault_clone(kept, 5, &copy), 0);
    machine = copy;
    struct found found = {.code = store_open_by(how, 1)};
    if (found.code == COMMITLOG_OK) {
        found.first = store_positions().first;
        found.end = store_positions().published;
        while (commitlog_damage_get(store, (uint32_t)found.damages, &damage) == COMMITLOG_OK) {
            if (found.damages++ == 0) {
                found.from = damage.from_position;
                found.to = damage.to_position;
            }
        }
        ck_assert_int_eq(commitlog_close(store, &err), 0);
    }
    store = NULL;
    machine = kept;
    commitlog_fault_free(copy);
    return found;
}

static uint64_t log_sum(void)
{
    const void *data = NULL;
    const char *name = NULL;
    uint64_t bytes = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/log", i, &name) == COMMITLOG_OK;
         i++) {
        char path[2 * NAME_BYTES];
        (void)snprintf(path, sizeof(path), "/store/log/%s", name);
        ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
        sum += clg_hash64(data, bytes, clg_hash64(path, strlen(path), 0));
    }
    return sum;
}

/* verify names the file where it is, and nothing else that is not said without it. */
static void check_named(uint64_t base, uint64_t others)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint64_t named = 0;
    uint64_t count = 0;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_verify("/store", options, &report, &err), COMMITLOG_EDAMAGED);
    for (; commitlog_report_damage(report, (uint32_t)count, &damage) == COMMITLOG_OK; count++) {
        named += damage.from_position == base && damage.to_position == base &&
                 strstr(damage.reason, "named into another segment") != NULL;
    }
    ck_assert_uint_eq(named, 1);
    ck_assert_uint_eq(count - named, others);
    commitlog_report_free(report);
    commitlog_options_free(options);
}

static uint64_t verify_damages(void)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    (void)verify_store_for(&found);
    return found.damaged_ranges;
}

/* _i: which of the things at the top are so. A reader takes no notice; a writer refuses, for it may
 * be a segment that somebody gave a wrong name, and changes nothing. */
START_TEST(takes_nothing_from_the_segment_it_is_named_into)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 300000};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    if ((_i & CASE_RETAINED) != 0)
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    const uint64_t first = store_positions().first / segment_bytes * segment_bytes;
    ck_assert_uint_eq(first > 0, (_i & CASE_RETAINED) != 0);
    if ((_i & CASE_DEAD) != 0)
        die(false);
    else
        ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    if ((_i & CASE_LOST) != 0)
        drop_files(first + 2 * segment_bytes);
    if ((_i & CASE_FAR) != 0)
        put_file(first + 100 * segment_bytes, 0, 0);
    const struct found without = look();
    ck_assert_int_eq(without.code, 0);
    ck_assert(without.damages == 0 || (_i & CASE_LOST) != 0);
    const uint64_t others = verify_damages();
    const uint64_t stray =
        first + segment_bytes + ((_i & CASE_AT_END) != 0 ? segment_bytes - 4096 : 4096);
    put_file(stray, 0xa5, 65536);
    const struct found with = look();
    ck_assert_int_eq(with.code, 0);
    ck_assert_uint_eq(with.first, without.first);
    ck_assert_uint_eq(with.end, without.end);
    ck_assert_uint_eq(with.damages, without.damages);
    ck_assert_uint_eq(with.from, without.from);
    ck_assert_uint_eq(with.to, without.to);
    const uint64_t sum = log_sum();
    check_named(stray, others);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_msg(strstr(err.message, "is named into another segment") != NULL, "%s", err.message);
    ck_assert(log_sum() == sum);
}
END_TEST

static Suite *stray_suite(void)
{
    Suite *suite = suite_create("stray segment");
    TCase *stray = tcase_create("stray");
    tcase_add_checked_fixture(stray, setup, teardown);
    tcase_add_loop_test(stray, takes_nothing_from_the_segment_it_is_named_into, 0, 32);
    suite_add_tcase(suite, stray);
    return suite;
}

int main(void)
{
    return run_suite(stray_suite());
}
