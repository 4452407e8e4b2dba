/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_recovery_files.c -- lib/recovery on files: stores written by hand on a machine in memory,
 * damaged, opened in each mode.
 */
#include <check.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "recovery_fixture.h"
#include "segment/segment_create.h"
#include "segment/segment_scan.h"
#include "support/run_suite.h"
#include "upkeep/verify.h"

START_TEST(a_flip_in_acknowledged_data_is_named_and_nothing_is_modified)
{
    struct clg_recovery_result result;
    start(false);
    fill(20);
    die(true);
    flip(record_at(5)->position + 100);
    uint64_t before = log_hash();
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(result.summary.tail, COMMITLOG_TAIL_DAMAGED);
    ck_assert_uint_ge(damage_count, 1);
    ck_assert_uint_eq(damages[0].from_position, record_at(5)->position);
    ck_assert_uint_eq(damages[0].to_position, record_at(6)->position);
    ck_assert_uint_eq(damages[0].queue, 3);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_STRICT, false, &result), COMMITLOG_EDAMAGED);
    ck_assert(log_hash() == before);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert_uint_eq(result.serve_end, history.acked);
    ck_assert(log_hash() == before);
}
END_TEST

/* The header is hit: nothing is known of the record but its place. */
START_TEST(salvage_makes_a_hole_and_keeps_the_rest)
{
    struct clg_recovery_result result;
    start(false);
    fill(20);
    int64_t last = writer.time - 1;
    die(true);
    flip(record_at(5)->position + (uint64_t)_i);
    flip(record_at(9)->position + 60);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_SALVAGE, false, &result), 0);
    ck_assert_uint_eq(result.end, history.acked);
    ck_assert_int_ge(result.last_store_time, last); /* no later record may be older than it */
    ck_assert_uint_eq(result.summary.holes_made, 2);
    ck_assert_uint_ge(result.summary.quarantined, 2);
    uint64_t before = log_hash();
    ck_assert_int_eq(sim_open(&writer, machine, &history, false, COMMITLOG_RECOVER_STRICT), 0);
    ck_assert_ptr_null(sim_check(&writer, true));
    ck_assert(log_hash() == before);
}
END_TEST

START_TEST(a_flip_behind_the_last_witness_is_an_unprovable_tail)
{
    struct clg_recovery_result result;
    start(false);
    fill(10);
    die(true);
    uint64_t last = record_at(9)->position;
    flip(last + 70);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.summary.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_uint_eq(result.end, last);
    const char *name;
    ck_assert_int_eq(commitlog_fault_name(machine, SIM_PATH "/quarantine", 0, &name), 0);
}
END_TEST

START_TEST(an_idle_checkpoint_makes_the_same_flip_damage)
{
    struct clg_recovery_result result;
    start(false);
    fill(10);
    ck_assert_int_eq(sim_checkpoint(&writer, false), 0);
    die(true);
    flip(record_at(9)->position + 70);
    uint64_t before = log_hash();
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(result.summary.tail, COMMITLOG_TAIL_DAMAGED);
    ck_assert(log_hash() == before);
    struct clg_store_dir dir;
    struct clg_store_dir_options dir_options = {.read_only = true,
                                                .create = COMMITLOG_CREATE_NEVER};
    struct clg_verify_options options = {.report = &report};
    struct clg_verify_counts counts;
    struct commitlog_recovery summary;
    damage_count = 0;
    ck_assert_int_eq(
        clg_store_dir_open(commitlog_fault_os(machine), SIM_PATH, &dir_options, &dir, NULL), 0);
    ck_assert_int_eq(clg_verify_run(&dir, &options, &counts, &summary, NULL), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(damage_count, 1);
    ck_assert_uint_eq(damages[0].from_position, record_at(9)->position);
    clg_store_dir_close(&dir);
}
END_TEST

START_TEST(a_batch_is_cut_whole)
{
    struct clg_recovery_result result;
    start(false);
    fill(4);
    uint64_t begin = writer.position;
    ck_assert_int_eq(sim_batch(&writer, 5, 10), 0);
    ck_assert_int_eq(sim_flush(&writer), 0);
    uint64_t end = writer.position;
    die(true);
    flip(end - 20);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, begin);
}
END_TEST

START_TEST(a_damaged_batch_becomes_holes_of_its_members)
{
    struct clg_recovery_result result;
    start(false);
    fill(4);
    ck_assert_int_eq(sim_batch(&writer, 5, 10), 0);
    uint64_t end = writer.position;
    fill(4);
    die(true);
    flip(end - 20);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_SALVAGE, false, &result), 0);
    ck_assert_uint_eq(result.summary.holes_made, 11);
    ck_assert_uint_eq(result.end, history.acked);
}
END_TEST

/* Many segments: what is lost in the middle. 0 a file, 1 both headers, 2 one header, 3 a footer;
 * 4 both headers are old, 5 one is. */
START_TEST(a_middle_segment_is_hurt)
{
    struct clg_recovery_result result;
    char path[64];
    uint64_t at;
    start(false);
    fill(800);
    ck_assert_uint_gt(writer.position, 2 * SIM_SEGMENT_BYTES);
    die(true);
    path_of(SIM_SEGMENT_BYTES, path, &at);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    if (_i == 0) {
        int fd = os->open_dir(os, SIM_PATH "/log");
        ck_assert_int_eq(os->unlink_at(os, fd, strrchr(path, '/') + 1), 0);
        (void)os->close(os, fd);
    } else if (_i >= 4) {
        put_old_headers(path, _i == 4 ? 0 : CLG_FORMAT_PAGE_BYTES);
    } else if (_i == 3) {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, SIM_SEGMENT_BYTES - 4096 + 80, 1), 0);
    } else {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, 80, 1), 0);
        if (_i == 1) {
            ck_assert_int_eq(commitlog_fault_flip(machine, path, 4096 + 80, 1), 0);
        }
    }
    int expected = _i < 2 || _i == 4 ? COMMITLOG_EDAMAGED : 0;
    ck_assert_int_eq(run(COMMITLOG_RECOVER_STRICT, false, &result), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), expected);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_SALVAGE, false, &result), 0);
    ck_assert_uint_eq(result.end, history.acked);
    if (_i > 0) { /* the neighbours knew the header: not one record is lost */
        ck_assert_uint_eq(result.summary.holes_made, 0);
    }
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, history.acked);
}
END_TEST

START_TEST(without_checkpoint_and_live_area_the_log_is_the_same)
{
    struct clg_recovery_result result;
    start(true);
    fill(600);
    ck_assert_int_eq(sim_checkpoint(&writer, true), 0);
    die(false);
    uint64_t before = log_hash();
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = os->open_dir(os, SIM_PATH);
    ck_assert_int_eq(os->unlink_at(os, fd, "CHECKPOINT"), 0);
    ck_assert_int_eq(os->unlink_at(os, fd, "LOCK"), 0);
    (void)os->close(os, fd);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, history.acked);
    ck_assert_uint_eq(result.epoch, 2);
    ck_assert(log_hash() == before);
}
END_TEST

START_TEST(a_lost_newest_slot_is_not_a_clean_close)
{
    struct clg_recovery_result result;
    start(false);
    fill(5);
    ck_assert_int_eq(sim_checkpoint(&writer, true), 0);
    fill(5);
    ck_assert_int_eq(sim_checkpoint(&writer, false), 0);
    fill(5);
    die(true);
    /* Sequence 1 was the creation's, 2 clean, 3 in slot 1. */
    ck_assert_int_eq(commitlog_fault_flip(machine, SIM_PATH "/CHECKPOINT", 4096 + 100, 1), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.summary.clean_close, 0);
    ck_assert_uint_eq(result.end, history.acked);
}
END_TEST

START_TEST(a_first_position_inside_a_segment_is_that_of_its_first_record)
{
    struct clg_recovery_result result;
    start(false);
    fill(100);
    ck_assert_uint_ge(history.acked, CLG_SEGMENT_DATA_START + CLG_SEGMENT_ALIGN);
    ck_assert_uint_lt(history.acked, SIM_SEGMENT_BYTES);
    /* Nobody drops half of a segment; what is no multiple of a page is not even a CHECKPOINT. */
    writer.checkpoint.first = CLG_SEGMENT_DATA_START + CLG_SEGMENT_ALIGN;
    ck_assert_int_eq(sim_checkpoint(&writer, false), 0);
    die(false);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert_uint_eq(result.first, CLG_SEGMENT_DATA_START);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.first, CLG_SEGMENT_DATA_START);
    ck_assert_uint_eq(result.checkpoint.first, CLG_SEGMENT_DATA_START);
    ck_assert_uint_eq(result.end, history.acked);
}
END_TEST

START_TEST(segments_that_overlap_are_for_somebody_to_decide)
{
    struct clg_recovery_result result;
    struct clg_segment_header header;
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    start(false);
    fill(600);
    ck_assert_int_eq(sim_checkpoint(&writer, true), 0);
    die(false);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    char path[64];
    uint64_t at;
    path_of(0, path, &at);
    int dir = os->open_dir(os, SIM_PATH "/log");
    int fd = os->open_at(os, dir, strrchr(path, '/') + 1, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    ck_assert_int_eq(clg_os_pread_all(os, fd, page, sizeof(page), 0), 0);
    ck_assert_int_eq(clg_segment_header_decode(page, NULL, true, &header), 0);
    header.size *= 2;
    clg_segment_header_encode(page, &header);
    for (uint32_t copy = 0; copy < 2; copy++) {
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, page, sizeof(page), copy * sizeof(page)), 0);
    }
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(os->close(os, dir), 0);
    uint64_t before = log_hash();
    for (uint32_t mode = COMMITLOG_RECOVER_TAIL; mode <= COMMITLOG_RECOVER_SALVAGE; mode++) {
        ck_assert_int_eq(run(mode, true, &result), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(run(mode, false, &result), COMMITLOG_EDAMAGED);
        ck_assert(log_hash() == before);
    }
}
END_TEST

START_TEST(only_what_retention_had_dropped_is_left)
{
    struct clg_recovery_result result = {0};
    char path[64];
    uint64_t at;
    start(false);
    fill(600);
    writer.checkpoint.first = SIM_SEGMENT_BYTES + CLG_SEGMENT_DATA_START;
    ck_assert_int_eq(sim_checkpoint(&writer, false), 0);
    die(false);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = os->open_dir(os, SIM_PATH "/log");
    for (uint64_t base = SIM_SEGMENT_BYTES; base < history.published; base += SIM_SEGMENT_BYTES) {
        path_of(base, path, &at);
        ck_assert_int_eq(os->unlink_at(os, fd, strrchr(path, '/') + 1), 0);
    }
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(result.first, SIM_SEGMENT_BYTES + CLG_SEGMENT_DATA_START);
    ck_assert_uint_eq(result.end, result.first);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    /* Above every position that was ever given out. */
    ck_assert_int_eq(run(COMMITLOG_RECOVER_SALVAGE, false, &result), 0);
    ck_assert_uint_ge(result.first, history.published);
    ck_assert_uint_eq(result.end, result.first);
}
END_TEST

/* What is missing of the last record may be zeros: extended, the file would hold a witness. */
START_TEST(a_cut_file_is_refused_before_it_is_extended)
{
    static const uint8_t zeros[CLG_RECORD_HEADER_BYTES];
    struct clg_recovery_result result;
    start(false);
    fill(20);
    die(false);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    char path[64];
    uint64_t at;
    path_of(record_at(19)->position, path, &at);
    int dir = os->open_dir(os, SIM_PATH "/log");
    int fd = os->open_at(os, dir, strrchr(path, '/') + 1, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    /* A record of 192 zeros, sound, that ends the file in the middle of them. */
    uint8_t record[CLG_RECORD_HEADER_BYTES + 192];
    uint64_t salt;
    ck_assert_int_eq(clg_os_pread_all(os, fd, &salt, sizeof(salt), CLG_SEGMENT_AT_SALT), 0);
    ck_assert_int_eq(clg_os_pread_all(os, fd, record, sizeof(record), at), 0);
    ck_assert_uint_eq(record_at(19)->size, sizeof(record));
    memset(record + CLG_RECORD_HEADER_BYTES, 0, 192);
    (void)clg_record_seal(record, sizeof(record),
                          clg_record_seed(clg_load_le64(&salt), record_at(19)->position));
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, record, sizeof(record), at), 0);
    ck_assert_int_eq(os->ftruncate(os, fd, at + CLG_RECORD_HEADER_BYTES + 40), 0);
    /* Nothing before it says how far the log was durable. */
    for (uint32_t i = 10; i < 19; i++) {
        path_of(record_at(i)->position, path, &at);
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, zeros, sizeof(zeros), at), 0);
    }
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(os->close(os, dir), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    uint64_t before = log_hash();
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    ck_assert(log_hash() == before);
}
END_TEST

START_TEST(a_file_of_another_store_is_refused)
{
    struct clg_recovery_result result;
    struct commitlog_fault *other;
    start(false);
    fill(400);
    die(true);
    ck_assert_int_eq(commitlog_fault_create(5, &other), 0);
    struct sim_writer stranger;
    struct sim_history *elsewhere = calloc(1, sizeof(*elsewhere));
    ck_assert_ptr_nonnull(elsewhere);
    ck_assert_int_eq(sim_open(&stranger, other, elsewhere, false, COMMITLOG_RECOVER_TAIL), 0);
    sim_abandon(&stranger);
    const void *data;
    uint64_t bytes;
    ck_assert_int_eq(
        commitlog_fault_content(other, SIM_PATH "/log/00000000000000000000.log", &data, &bytes), 0);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int dir = os->open_dir(os, SIM_PATH "/log");
    int fd = os->open_at(os, dir, "00000000000000000000.log", CLG_OS_OPEN_WRITE, 0);
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, data, bytes, 0), 0);
    (void)os->close(os, fd);
    (void)os->close(os, dir);
    commitlog_fault_free(other);
    free(elsewhere);
    for (uint32_t mode = 0; mode < 3; mode++) {
        ck_assert_int_eq(run(mode, false, &result), COMMITLOG_EFOREIGN);
    }
}
END_TEST

START_TEST(without_room_for_quarantine_nothing_is_cut)
{
    struct clg_recovery_result result;
    start(false);
    fill(10);
    die(true);
    flip(record_at(9)->position + 70);
    uint64_t before = log_hash();
    commitlog_fault_set_free(machine, 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_ENOSPC);
    ck_assert(log_hash() == before);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    commitlog_fault_set_free(machine, UINT64_MAX);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
}
END_TEST

START_TEST(an_unreadable_acknowledged_place_is_damage)
{
    struct clg_recovery_result result;
    char path[64];
    uint64_t at;
    start(false);
    fill(60);
    die(true);
    path_of(record_at(20)->position, path, &at);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, at / 4096 * 4096, 4096), 0);
    uint64_t end = history.acked;
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert_uint_eq(result.end, end);
}
END_TEST

/* The segment after the active one is dirty and goes; the empty one behind it goes too, and must
 * not be handed to the writer as its next. */
START_TEST(an_empty_segment_behind_a_dirty_one_is_not_the_next)
{
    struct clg_recovery_result result;
    struct clg_segment_plan plan;
    struct clg_segment *first = NULL;
    struct clg_segment *second = NULL;
    const char *name;
    start(false);
    fill(20);
    clg_segment_plan_after(writer.active, SIM_SEGMENT_BYTES, writer.time, writer.epoch, &plan);
    ck_assert_int_eq(clg_segment_create(&writer.dir.segment_dir, &plan, &first, NULL), 0);
    clg_segment_plan_after(first, SIM_SEGMENT_BYTES, writer.time, writer.epoch, &plan);
    ck_assert_int_eq(clg_segment_create(&writer.dir.segment_dir, &plan, &second, NULL), 0);
    ck_assert_int_eq(clg_segment_pwrite(first, "torn", 4, first->data_start + 100, NULL), 0);
    clg_segment_unref(first);
    clg_segment_unref(second);
    die(false);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_ptr_null(result.prepared);
    ck_assert_int_eq(commitlog_fault_name(machine, SIM_PATH "/log", 0, &name), 0);
    ck_assert_int_eq(commitlog_fault_name(machine, SIM_PATH "/log", 1, &name), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(what_was_only_staged_survives_the_process)
{
    struct clg_recovery_result result;
    start(true);
    fill(5);
    for (uint64_t i = 0; i < 60; i++) {
        ck_assert_int_eq(sim_append(&writer, i, 300), 0);
    }
    ck_assert_int_eq(sim_claim(&writer, 64), 0);
    ck_assert_int_eq(sim_append(&writer, 2, 300), 0);
    uint64_t end = writer.position;
    die(false);
    uint64_t calls = commitlog_fault_count(machine, COMMITLOG_FAULT_ANY);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, end);
    ck_assert_uint_eq(result.summary.records_from_stage, 61);
    ck_assert_uint_eq(result.summary.holes_made, 1);
    ck_assert_uint_eq(result.summary.tail, COMMITLOG_TAIL_CLEAN);
    /* Not one by one. */
    ck_assert_uint_lt(commitlog_fault_count(machine, COMMITLOG_FAULT_ANY) - calls, 120);
}
END_TEST

START_TEST(a_stage_of_another_boot_is_not_believed)
{
    struct clg_recovery_result result;
    start(true);
    fill(5);
    uint64_t end = writer.position;
    ck_assert_int_eq(sim_append(&writer, 1, 300), 0);
    die(true);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, end);
}
END_TEST

START_TEST(the_second_writer_is_told_who_the_first_is)
{
    struct clg_recovery_result result;
    start(false);
    struct clg_store_dir dir;
    struct clg_store_dir_options options = {.create = COMMITLOG_CREATE_NEVER};
    struct commitlog_error err;
    char pid[32];
    ck_assert_int_eq(clg_store_dir_open(writer.os, SIM_PATH, &options, &dir, &err),
                     COMMITLOG_ELOCKED);
    (void)snprintf(pid, sizeof(pid), "process %lld", (long long)writer.os->pid(writer.os));
    ck_assert_ptr_nonnull(strstr(err.message, pid));
    /* A reader comes in and sees that somebody writes. */
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert(result.writer_live);
}
END_TEST

START_TEST(a_directory_with_other_things_is_left_alone)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int root = os->open_dir(os, "/");
    ck_assert_int_eq(os->mkdir_at(os, root, "home", 0700), 0);
    int home = os->open_dir(os, "/home");
    int fd = os->open_at(os, home, "letter", CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE, 0600);
    (void)os->close(os, fd);
    struct clg_store_dir dir;
    struct clg_store_dir_options options = {.create = COMMITLOG_CREATE_IF_MISSING};
    ck_assert_int_eq(clg_store_dir_open(os, "/home", &options, &dir, NULL), COMMITLOG_EFORMAT);
    ck_assert_int_eq(clg_store_dir_open(os, "/home/letter", &options, &dir, NULL),
                     COMMITLOG_ENOTDIR);
    options.create = COMMITLOG_CREATE_NEVER;
    ck_assert_int_eq(clg_store_dir_open(os, "/nowhere", &options, &dir, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(clg_store_dir_open(os, "/nowhere/.", &options, &dir, NULL),
                     COMMITLOG_ENOTFOUND);
    options.create = COMMITLOG_CREATE_ALWAYS;
    ck_assert_int_eq(clg_store_dir_open(os, "/new", &options, &dir, NULL), 0);
    clg_store_dir_close(&dir);
    (void)os->close(os, home);
    (void)os->close(os, root);
}
END_TEST

/* Every call of a recovery that cuts, restores and makes a hole fails once. */
START_TEST(each_call_of_a_recovery_may_fail)
{
    struct clg_recovery_result result;
    start(true);
    fill(300);
    ck_assert_int_eq(sim_append(&writer, 1, 300), 0);
    ck_assert_int_eq(sim_claim(&writer, 64), 0);
    die(_i % 2 == 0);
    uint32_t kind = 1 + (uint32_t)_i / 2;
    uint64_t expected = 0;
    uint64_t expected_hash = 0;
    uint64_t n = 1;
    for (bool struck = true; struck; n++) {
        struct commitlog_fault *original = machine;
        ck_assert_int_eq(commitlog_fault_clone(original, n, &machine), 0);
        uint64_t before = commitlog_fault_count(machine, kind);
        (void)commitlog_fault_fail(machine, kind, n, EIO, 0);
        int rc = run(COMMITLOG_RECOVER_TAIL, false, &result);
        struck = commitlog_fault_count(machine, kind) - before >= n;
        ck_assert_int_ne(rc, COMMITLOG_EINTERNAL);
        (void)commitlog_fault_fail(machine, kind, 0, EIO, 0);
        ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
        if (expected == 0) {
            expected = result.end;
            expected_hash = log_hash();
        }
        ck_assert_uint_eq(result.end, expected);
        ck_assert(log_hash() == expected_hash);
        commitlog_fault_free(machine);
        machine = original;
    }
    ck_assert_uint_gt(n, 1);
}
END_TEST

START_TEST(a_header_that_cannot_be_repaired_is_the_devices_failure)
{
    struct clg_recovery_result result;
    char path[64];
    uint64_t at;
    start(false);
    fill(20);
    die(true);
    path_of(0, path, &at);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 4096, 4096), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), COMMITLOG_EIO);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, true, &result), 0);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 0, 0), 0);
    ck_assert_int_eq(run(COMMITLOG_RECOVER_TAIL, false, &result), 0);
    ck_assert_uint_eq(result.end, history.acked);
}
END_TEST

static Suite *files_suite(void)
{
    Suite *suite = suite_create("recovery files");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, a_flip_in_acknowledged_data_is_named_and_nothing_is_modified);
    tcase_add_loop_test(files, salvage_makes_a_hole_and_keeps_the_rest, 0, 48);
    tcase_add_test(files, a_flip_behind_the_last_witness_is_an_unprovable_tail);
    tcase_add_test(files, an_idle_checkpoint_makes_the_same_flip_damage);
    tcase_add_test(files, a_batch_is_cut_whole);
    tcase_add_test(files, a_damaged_batch_becomes_holes_of_its_members);
    tcase_add_loop_test(files, a_middle_segment_is_hurt, 0, 6);
    tcase_add_test(files, without_checkpoint_and_live_area_the_log_is_the_same);
    tcase_add_test(files, a_lost_newest_slot_is_not_a_clean_close);
    tcase_add_test(files, segments_that_overlap_are_for_somebody_to_decide);
    tcase_add_test(files, only_what_retention_had_dropped_is_left);
    tcase_add_test(files, a_cut_file_is_refused_before_it_is_extended);
    tcase_add_test(files, a_first_position_inside_a_segment_is_that_of_its_first_record);
    tcase_add_test(files, a_file_of_another_store_is_refused);
    tcase_add_test(files, without_room_for_quarantine_nothing_is_cut);
    tcase_add_test(files, an_unreadable_acknowledged_place_is_damage);
    tcase_add_test(files, a_header_that_cannot_be_repaired_is_the_devices_failure);
    tcase_add_test(files, an_empty_segment_behind_a_dirty_one_is_not_the_next);
    tcase_add_test(files, what_was_only_staged_survives_the_process);
    tcase_add_test(files, a_stage_of_another_boot_is_not_believed);
    tcase_add_test(files, the_second_writer_is_told_who_the_first_is);
    tcase_add_test(files, a_directory_with_other_things_is_left_alone);
    tcase_add_loop_test(files, each_call_of_a_recovery_may_fail, 0,
                        2 * (COMMITLOG_FAULT_KINDS - 1));
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return run_suite(files_suite());
}
