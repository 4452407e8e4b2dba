/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recovery_fixture.h -- a store written by hand on a machine in memory, and recovery on it.
 */
#ifndef TESTS_UNIT_RECOVERY_FIXTURE_H
#define TESTS_UNIT_RECOVERY_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "crash/sim_writer.h"

static struct commitlog_fault *machine;
static struct sim_history history;
static struct sim_writer writer;
static struct commitlog_damage damages[16];
static size_t damage_count;

static int note_line(void *ctx, const char *text)
{
    (void)ctx;
    return text == NULL;
}

static int note_damage(void *ctx, const struct commitlog_damage *damage)
{
    (void)ctx;
    if (damage_count < 16) {
        damages[damage_count] = *damage;
    }
    damage_count++;
    return 0;
}

static const struct clg_recovery_report report = {note_line, note_damage, NULL};

static void setup(void)
{
    memset(&history, 0, sizeof(history));
    memset(&writer, 0, sizeof(writer));
    damage_count = 0;
    ck_assert_int_eq(commitlog_fault_create(77, &machine), 0);
}

static void teardown(void)
{
    sim_abandon(&writer);
    commitlog_fault_free(machine);
}

static void start(bool staged)
{
    ck_assert_int_eq(sim_open(&writer, machine, &history, staged, COMMITLOG_RECOVER_TAIL), 0);
}

/* n records of 240 bytes, the last two in flushes of their own. */
static void fill(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(sim_append(&writer, i, 192), 0);
        if (i + 3 == n || i + 2 == n || i + 1 == n) {
            ck_assert_int_eq(sim_flush(&writer), 0);
        }
    }
}

static void die(bool power)
{
    sim_abandon(&writer);
    if (power) {
        commitlog_fault_power_cut(machine);
    } else {
        commitlog_fault_process_death(machine);
    }
}

static uint64_t log_hash(void)
{
    uint64_t sum = 0;
    const char *name;
    for (uint32_t i = 0; commitlog_fault_name(machine, SIM_PATH "/log", i, &name) == 0; i++) {
        char path[300];
        const void *data;
        uint64_t bytes;
        (void)snprintf(path, sizeof(path), "%s/log/%s", SIM_PATH, name);
        ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
        sum += clg_hash64(data, bytes, clg_hash64(path, strlen(path), 0));
    }
    return sum;
}

static void path_of(uint64_t position, char path[64], uint64_t *at)
{
    (void)snprintf(path, 64, SIM_PATH "/log/%020llu.log",
                   (unsigned long long)(position / SIM_SEGMENT_BYTES * SIM_SEGMENT_BYTES));
    *at = position % SIM_SEGMENT_BYTES;
}

static void flip(uint64_t position)
{
    char path[64];
    uint64_t at;
    path_of(position, path, &at);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, at, 4), 0);
}

/* Opens and recovers with a report; the set is dropped. */
static int run(uint32_t mode, bool read_only, struct clg_recovery_result *result)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    struct clg_store_dir_options dir_options = {.read_only = read_only,
                                                .create = COMMITLOG_CREATE_NEVER};
    struct clg_recovery_options options = {.mode = mode,
                                           .read_only = read_only,
                                           .segment_bytes = SIM_SEGMENT_BYTES,
                                           .session = 99,
                                           .report = &report};
    struct clg_store_dir dir;
    struct clg_segment_set set;
    struct commitlog_error err;
    clg_error_clear(&err);
    damage_count = 0;
    int rc = clg_store_dir_open(os, SIM_PATH, &dir_options, &dir, &err);
    if (rc != 0) {
        return rc;
    }
    clg_segment_set_init(&set, os);
    rc = clg_recovery_run(&dir, &options, &set, result, &err);
    clg_segment_unref(result->prepared);
    clg_segment_set_free(&set);
    clg_store_dir_close(&dir);
    return rc;
}

/* The headers from page `from` on are those of a file that had this name before. */
static void put_old_headers(const char *path, uint64_t from)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    struct clg_segment_header header;
    int fd = os->open_dir(os, SIM_PATH "/log");
    int file = os->open_at(os, fd, strrchr(path, '/') + 1, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(os->pread(os, file, page, sizeof(page), 0), (int64_t)sizeof(page));
    ck_assert_int_eq(clg_segment_header_decode(page, NULL, false, &header), 0);
    header.salt ^= 1;
    header.created--;
    clg_segment_header_encode(page, &header);
    for (; from < CLG_SEGMENT_DATA_START; from += sizeof(page)) {
        ck_assert_int_eq(os->pwrite(os, file, page, sizeof(page), from), (int64_t)sizeof(page));
    }
    ck_assert_int_eq(os->fsync(os, file), 0);
    (void)os->close(os, file);
    (void)os->close(os, fd);
}

static struct sim_record *record_at(uint32_t index)
{
    ck_assert_uint_lt(index, history.count);
    return &history.items[index];
}

#endif
