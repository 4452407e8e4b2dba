/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_fixture.h -- a store on a machine in memory, for tests that let calls fail, the process die
 * and the power go.
 *
 * Owns: the machine, the open store and its topic "t"; one test at a time.
 */
#ifndef TESTS_UNIT_FAULT_FIXTURE_H
#define TESTS_UNIT_FAULT_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog_fault.h"
#include "os/os.h"

static struct commitlog_fault *machine;
static struct commitlog_store *store;
static struct commitlog_error err;
static uint32_t topic;
static uint64_t segment_bytes;
static uint64_t stage_bytes;

static inline int32_t store_open_with(const struct commitlog_os *os, uint64_t engine,
                                      uint64_t recovery)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, stage_bytes, NULL),
                     0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, recovery, NULL), 0);
    commitlog_options_set_os(options, os);
    int32_t rc = commitlog_open("/store", options, &store, &err);
    commitlog_options_free(options);
    return rc;
}

static inline int32_t store_open(uint64_t engine)
{
    return store_open_with(commitlog_fault_os(machine), engine, COMMITLOG_RECOVER_TAIL);
}

static inline void store_put(uint32_t count, uint32_t level)
{
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, "0123456789", 10, level, NULL), 0);
    }
}

static inline uint64_t store_count(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    if (commitlog_topic_open(store, "t", 1, 0, &topic, &err) != COMMITLOG_OK ||
        commitlog_queue_info(store, topic, 0, &info) != COMMITLOG_OK) {
        return 0;
    }
    return info.next_offset;
}

static inline struct commitlog_positions store_positions(void)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    ck_assert_int_eq(commitlog_positions_get(store, &at), 0);
    return at;
}

static inline uint64_t store_stat(const char *wanted)
{
    const char *name = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++) {
        if (strcmp(name, wanted) == 0) {
            return value;
        }
    }
    ck_abort_msg("no statistic %s", wanted);
    return 0;
}

/* The machine goes on on `next`, as it was when that was made, without the process or the power;
 * what is open is closed on the old one. */
static inline void die_on(struct commitlog_fault *next, bool power)
{
    (void)commitlog_close(store, NULL);
    store = NULL;
    commitlog_fault_free(machine);
    machine = next;
    if (power) {
        commitlog_fault_set_survival(machine, 0);
        commitlog_fault_power_cut(machine);
    } else {
        commitlog_fault_process_death(machine);
    }
}

static inline void die(bool power)
{
    struct commitlog_fault *next = NULL;
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    die_on(next, power);
}

/* With these options, each an id and a value, instead of what it is otherwise. */
static inline int32_t store_open_by(const uint64_t (*values)[2], size_t count)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    const uint64_t fixed[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes},
                                 {COMMITLOG_OPT_STAGE_BYTES, stage_bytes},
                                 {COMMITLOG_OPT_THREAD, 0}};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)fixed[i][0], fixed[i][1], NULL),
                         0);
    }
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], NULL),
                         0);
    }
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_open("/store", options, &store, &err);
    commitlog_options_free(options);
    return rc;
}

/* And what it found, unless out is NULL. */
static inline int32_t verify_store_for(struct commitlog_recovery *out)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_verify("/store", options, &report, &err);
    if (out != NULL) {
        ck_assert_int_eq(commitlog_report_recovery(report, out), 0);
    }
    commitlog_report_free(report);
    commitlog_options_free(options);
    return rc;
}

static inline int32_t verify_store(void)
{
    return verify_store_for(NULL);
}

/* And what it says of itself, unless out is NULL. */
static inline int32_t store_recover(uint64_t mode, struct commitlog_recovery *out)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, mode, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_recover("/store", options, 0, &report, &err);
    if (rc == 0 && out != NULL) {
        ck_assert_int_eq(commitlog_report_recovery(report, out), 0);
    }
    commitlog_report_free(report);
    commitlog_options_free(options);
    return rc;
}

/* Of the segment that begins there; until the next call. */
static inline const char *segment_path(uint64_t base)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/store/log/%020llu.log", (unsigned long long)base);
    return path;
}

/* Where the body of the nth message of store_put is in the file, whose content is *out_data. */
static inline uint64_t find_body(const char *path, uint32_t nth, const uint8_t **out_data)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
    const uint8_t *at = data;
    for (uint32_t i = 0; i <= nth; i++) {
        at = memmem(at + 1, bytes - (size_t)(at + 1 - (const uint8_t *)data), "0123456789", 10);
        ck_assert_ptr_nonnull(at);
    }
    *out_data = data;
    return (uint64_t)(at - (const uint8_t *)data);
}

/* A bit of the nth message that store_put has put into the segment is another one. */
static inline void flip_body(uint64_t base, uint32_t nth)
{
    const uint8_t *data = NULL;
    uint64_t place = find_body(segment_path(base), nth, &data);
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(base), place, 1), 0);
}

static inline void setup(void)
{
    segment_bytes = 65536;
    stage_bytes = 65536;
    store = NULL;
    ck_assert_int_eq(commitlog_fault_create(7, &machine), 0);
}

static inline void teardown(void)
{
    (void)commitlog_close(store, NULL);
    commitlog_fault_free(machine);
}

/* What a writer had in shared memory goes with the machine's. */
static inline void lose_the_stage(void)
{
    const char *name = NULL;
    while (commitlog_fault_name(machine, "/shm", 0, &name) == COMMITLOG_OK) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/shm/%s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
}

/* The writer ends without being able to write what was appended last, and its stage goes, too: the
 * next one finds only what is durable. */
static inline void end_with_what_is_durable(void)
{
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 1, EIO, 1), 0);
    ck_assert_int_ne(commitlog_close(store, &err), COMMITLOG_OK);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 0, 0, 0), 0);
    lose_the_stage();
}

#endif
