/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment.c -- lib/segment: names, files, set, quarantine, cut.
 */
#include "unit/segment_setup.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "segment/quarantine.h"
#include "segment/segment_cut.h"
#include "segment/segment_scan.h"
#include "segment/segment_set.h"
#include "support/run_suite.h"

/* ---- names ---- */

START_TEST(names_are_exact_or_not_ours)
{
    char name[CLG_SEGMENT_NAME_BYTES];
    struct clg_segment_name parsed;
    uint64_t positions[] = {0, 4096, UINT64_C(1) << 40, CLG_POSITION_MAX};
    for (size_t i = 0; i < 4; i++) {
        for (int kind = 0; kind < CLG_FILE_KINDS; kind++) {
            clg_segment_name_make(name, (enum clg_segment_file)kind, positions[i]);
            ck_assert(clg_segment_name_parse(name, &parsed));
            ck_assert_uint_eq(parsed.position, positions[i]);
            ck_assert_int_eq((int)parsed.kind, kind);
            ck_assert(!parsed.temporary);
            clg_segment_name_make_temp(name, (enum clg_segment_file)kind, positions[i]);
            ck_assert(clg_segment_name_parse(name, &parsed));
            ck_assert(parsed.temporary);
        }
    }
    const char *others[] = {"",
                            ".log",
                            "0.log",
                            "00000000000000004096.LOG",
                            "00000000000000004096.log ",
                            "000000000000000040960.log",
                            "99999999999999999999.log",
                            "18446744073709551615.log",
                            "+0000000000000004096.log",
                            "00000000000000004096",
                            "00000000000000004096.log.tmp2",
                            "00000000000000004096.tmp"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_msg(!clg_segment_name_parse(others[i], &parsed), "%s", others[i]);
    }
}
END_TEST

/* ---- one file ---- */

START_TEST(a_new_segment_is_whole_named_and_opens_again)
{
    struct clg_segment *made = world_create(&world, 0, SMALL);
    char path[DIRS_PATH_MAX];
    world_file(&world, 0, path);
    ck_assert_uint_eq(file_size(path), SMALL);
    uint64_t salt = made->salt;
    ck_assert_uint_ne(salt, 0);
    clg_segment_unref(made);
    struct name_list names = dirs_list(world.path, "");
    ck_assert_uint_eq(names.count, 1);
    names_free(&names);
    struct clg_segment *opened;
    enum clg_segment_state state;
    OK(clg_segment_open(&world.dir, 0, true, &opened, &state, &err));
    ck_assert_int_eq(state, CLG_SEGMENT_GOOD);
    ck_assert_uint_eq(opened->salt, salt);
    ck_assert_uint_eq(clg_segment_flags(opened), 0);
    clg_segment_unref(opened);
    struct clg_segment_plan plan = {.base = 0, .bytes = SMALL};
    ck_assert_int_eq(clg_segment_create(&world.dir, &plan, &opened, &err), COMMITLOG_EEXIST);
    names = dirs_list(world.path, ".tmp");
    ck_assert_uint_eq(names.count, 0);
    names_free(&names);
}
END_TEST

START_TEST(a_temporary_file_left_by_a_crash_is_begun_again)
{
    char name[CLG_SEGMENT_NAME_BYTES];
    char path[DIRS_PATH_MAX];
    static uint8_t junk[SMALL];
    clg_segment_name_make_temp(name, CLG_FILE_LOG, 0);
    path_join(path, world.path, name);
    memset(junk, 0x77, sizeof(junk));
    file_write(path, junk, sizeof(junk));
    clg_segment_unref(world_create(&world, 0, SMALL));
    ck_assert(!path_exists(path));
    world_file(&world, 0, path);
    struct file_bytes file = file_read(path);
    ck_assert_uint_eq(file.size, SMALL);
    for (uint64_t at = CLG_SEGMENT_DATA_START; at < file.size; at++) {
        ck_assert_uint_eq(file.data[at], 0); /* nothing of what was there */
    }
    file_free(&file);
}
END_TEST

START_TEST(a_short_file_is_readable_up_to_its_end_and_never_mapped)
{
    char path[DIRS_PATH_MAX];
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    while (pen.at < 24000) {
        scribe_message(&pen, 1000);
    }
    clg_segment_unref(segment);
    world_file(&world, 0, path);
    ck_assert_int_eq(truncate(path, 20000), 0);
    enum clg_segment_state state;
    OK(clg_segment_open(&world.dir, 0, true, &segment, &state, &err));
    ck_assert_int_eq(state, CLG_SEGMENT_SHORT);
    const uint8_t *map;
    ck_assert_int_eq(clg_segment_map(segment, &map, &err), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_segment_make_writable(segment, &err), COMMITLOG_EMISUSE);
    ck_assert_int_eq(clg_segment_cut(segment, segment->data_start, &err), COMMITLOG_EMISUSE);
    uint8_t bytes[64];
    ck_assert_int_eq(clg_segment_pread(segment, bytes, 64, 19990, &err), COMMITLOG_EDAMAGED);
    struct clg_scan scan;
    struct clg_scan_record record;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    do {
        OK(clg_scan_step(&scan, &record, &err));
    } while (record.verdict == CLG_SCAN_OK);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_READ);
    ck_assert_int_eq(record.os_errno, ENODATA);
    ck_assert_uint_gt(scan.records, 5);
    struct clg_scan_search search;
    ck_assert_int_eq(clg_scan_resync(&scan, record.position + 8, segment->data_end, &search, &err),
                     COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(search.unreadable, 0); /* what the file lacks is as good as zeros */
    ck_assert(!search.all_zero);
    clg_scan_seek(&scan, 19992);
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_int_ne(record.verdict, CLG_SCAN_FREE); /* the rest of a body */
    clg_scan_seek(&scan, 20000);
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    ck_assert(record.header_zero);
    clg_scan_free(&scan);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_footer_seals_and_a_damaged_one_does_not)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct clg_segment_footer footer;
    ck_assert_int_eq(clg_segment_read_footer(segment, &footer, &err), COMMITLOG_ENOTFOUND);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 10);
    scribe_pad(&pen);
    OK(clg_segment_flush(segment, &err));
    struct clg_segment_footer in = {
        .end = segment->data_end, .records = 2, .first_time = 2000, .last_time = 2001, .epoch = 2};
    OK(clg_segment_write_footer(segment, &in, &err));
    ck_assert_uint_eq(clg_segment_flags(segment), CLG_SEGMENT_SEALED);
    clg_segment_unref(segment);
    enum clg_segment_state state;
    OK(clg_segment_open(&world.dir, 0, false, &segment, &state, &err));
    ck_assert_uint_eq(clg_segment_flags(segment), CLG_SEGMENT_SEALED);
    ck_assert_uint_eq(segment->footer.records, 2);
    OK(clg_segment_make_writable(segment, &err));
    world_flip(segment, segment->data_end + 80);
    ck_assert_int_eq(clg_segment_read_footer(segment, &footer, &err), COMMITLOG_EDAMAGED);
    /* A cut takes the footer too. */
    OK(clg_segment_cut(segment, segment->data_start, &err));
    ck_assert_int_eq(clg_segment_read_footer(segment, &footer, &err), COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(clg_segment_flags(segment), 0);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(maps_show_what_is_written_and_idle_descriptors_come_back)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    const uint8_t *map;
    uint8_t *write_map;
    OK(clg_segment_map(segment, &map, &err));
    OK(clg_segment_map_write(segment, &write_map, &err));
    write_map[9000] = 0x42;
    ck_assert_uint_eq(map[9000], 0x42);
    clg_segment_unmap_write(segment);
    ck_assert(!clg_segment_close_idle(segment)); /* not sealed: keeps its descriptor */
    struct clg_segment_footer footer = {.end = segment->data_end, .records = 1};
    OK(clg_segment_write_footer(segment, &footer, &err));
    ck_assert(clg_segment_close_idle(segment));
    ck_assert_int_eq(segment->fd, -1);
    uint8_t byte = 0;
    OK(clg_segment_pread(segment, &byte, 1, 9000, &err));
    ck_assert_uint_eq(byte, 0x42);
    ck_assert_int_eq(clg_segment_pwrite(segment, &byte, 1, 9000, &err), COMMITLOG_EMISUSE);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_failed_flush_is_reported_with_the_file)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    world.fail_fsync = -EIO;
    ck_assert_int_eq(clg_segment_flush(segment, &err), COMMITLOG_EIO);
    ck_assert_ptr_nonnull(strstr(err.message, "00000000000000000000.log"));
    ck_assert_int_eq(err.os_errno, EIO);
    world.fail_fsync = 0;
    clg_segment_unref(segment);
}
END_TEST

/* ---- the set ---- */

START_TEST(the_set_pins_by_position_and_knows_its_gaps)
{
    struct clg_segment_set set;
    clg_segment_set_init(&set, &world.os);
    struct clg_segment *found;
    ck_assert_int_eq(clg_segment_set_pin(&set, 0, &found), COMMITLOG_EBEYOND);
    uint64_t bases[] = {2, 3, 4, 6, 7};
    for (size_t i = 0; i < 5; i++) {
        OK(clg_segment_set_append(&set, world_create(&world, bases[i] * SMALL, SMALL), &err));
    }
    struct clg_segment *low = world_create(&world, 5 * SMALL, SMALL);
    ck_assert_int_eq(clg_segment_set_append(&set, low, &err), COMMITLOG_EINVAL);
    clg_segment_unref(low);
    clg_segment_set_invariants(&set);
    ck_assert_int_eq(clg_segment_set_pin(&set, 2 * SMALL - 1, &found), COMMITLOG_ETOOSMALL);
    ck_assert_int_eq(clg_segment_set_pin(&set, 5 * SMALL + 1, &found), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(clg_segment_set_pin(&set, 8 * SMALL, &found), COMMITLOG_EBEYOND);
    for (size_t i = 0; i < 5; i++) {
        for (uint64_t in = 0; in < SMALL; in += SMALL - 1) {
            OK(clg_segment_set_pin(&set, bases[i] * SMALL + in, &found));
            ck_assert_uint_eq(found->base, bases[i] * SMALL);
            clg_segment_unref(found);
        }
    }
    struct clg_segment_gap gap;
    ck_assert(clg_segment_set_find_gap(&set, 0, &gap));
    ck_assert_uint_eq(gap.from, 5 * SMALL);
    ck_assert_uint_eq(gap.to, 6 * SMALL);
    ck_assert(!clg_segment_set_find_gap(&set, 6 * SMALL, &gap));
    found = clg_segment_set_pin_after(&set, 4 * SMALL);
    ck_assert_uint_eq(found->base, 6 * SMALL);
    clg_segment_unref(found);
    ck_assert_ptr_null(clg_segment_set_pin_after(&set, 7 * SMALL));
    ck_assert_uint_eq(clg_segment_set_bytes(&set), 5 * SMALL);
    clg_segment_set_free(&set);
}
END_TEST

START_TEST(an_unlinked_segment_stays_readable_while_pinned)
{
    struct clg_segment_set set;
    clg_segment_set_init(&set, &world.os);
    for (uint64_t i = 0; i < 200; i++) { /* the array is moved down and grown on the way */
        struct clg_segment *made = world_create(&world, i * SMALL, SMALL);
        uint8_t mark = (uint8_t)i;
        OK(clg_segment_pwrite(made, &mark, 1, made->data_start, &err));
        OK(clg_segment_set_append(&set, made, &err));
        if (i < 3) {
            continue;
        }
        struct clg_segment *pinned;
        OK(clg_segment_set_pin(&set, (i - 3) * SMALL, &pinned));
        const uint8_t *map;
        OK(clg_segment_map(pinned, &map, &err));
        struct clg_segment *oldest = clg_segment_set_remove_first(&set);
        ck_assert_ptr_eq(oldest, pinned);
        OK(clg_segment_unlink(oldest, &err));
        clg_segment_unref(oldest);
        OK(clg_segment_dir_sync(&world.dir, &err));
        char path[DIRS_PATH_MAX];
        world_file(&world, (i - 3) * SMALL, path);
        ck_assert(!path_exists(path));
        ck_assert_uint_eq(map[CLG_SEGMENT_DATA_START], (uint8_t)(i - 3));
        OK(clg_segment_pread(pinned, &mark, 1, pinned->data_start, &err));
        ck_assert_uint_eq(mark, (uint8_t)(i - 3));
        ck_assert_uint_eq(clg_segment_flags(pinned), CLG_SEGMENT_UNLINKED);
        clg_segment_unref(pinned);
        clg_segment_set_invariants(&set);
    }
    ck_assert_uint_eq(clg_segment_set_count(&set), 3);
    clg_segment_set_free(&set);
}
END_TEST

/* ---- quarantine and cut ---- */

START_TEST(quarantine_keeps_bytes_and_never_replaces)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 5000);
    struct clg_quarantine quarantine = {
        .os = &world.os, .dirfd = world.dir.fd, .epoch = 3, .file_mode = 0600};
    struct clg_quarantine_copy copy;
    OK(clg_quarantine_range(&quarantine, segment, segment->data_start, pen.at, "tail", &copy,
                            &err));
    ck_assert_str_eq(copy.name, "0000000003-00000000000000008192.tail");
    ck_assert_uint_eq(copy.bytes, pen.at - segment->data_start);
    char path[DIRS_PATH_MAX];
    path_join(path, world.path, copy.name);
    struct file_bytes file = file_read(path);
    ck_assert_uint_eq(file.size, copy.bytes);
    uint8_t *bytes = malloc(file.size);
    OK(clg_segment_pread(segment, bytes, file.size, segment->data_start, &err));
    ck_assert_int_eq(memcmp(bytes, file.data, file.size), 0);
    free(bytes);
    file_free(&file);
    world.bad_from = 8192;
    world.bad_to = 8193;
    world.bad_whole = true;
    OK(clg_quarantine_range(&quarantine, segment, segment->data_start, pen.at, "tail", &copy,
                            &err));
    ck_assert_str_eq(copy.name, "0000000003-00000000000000008192.tail.2");
    ck_assert_uint_eq(copy.unreadable, 4096);
    world.bad_to = 0;
    OK(clg_quarantine_bytes(&quarantine, 8, "abc", 3, "stage", &copy, &err));
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, 0);
    OK(clg_quarantine_file(&quarantine, world.dir.fd, name, 0, "segment", &copy, &err));
    ck_assert_uint_eq(copy.bytes, SMALL);
    world.fail_fsync = -ENOSPC;
    ck_assert_int_eq(clg_quarantine_bytes(&quarantine, 16, "abc", 3, "stage", &copy, &err),
                     COMMITLOG_ENOSPC);
    world.fail_fsync = 0;
    struct name_list names = dirs_list(world.path, "");
    ck_assert_uint_eq(names.count, 5);
    names_free(&names);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_cut_leaves_zeros_is_flushed_and_can_be_repeated)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 1000);
    uint64_t at = pen.at;
    scribe_message(&pen, 1000);
    scribe_pad(&pen);
    world.fail_zero_range = _i == 1 ? -EOPNOTSUPP : 0;
    struct clg_scan scan;
    struct clg_scan_record record;
    for (int again = 0; again < 2; again++) {
        uint64_t syncs = world.fsyncs;
        OK(clg_segment_cut(segment, at, &err));
        ck_assert_uint_eq(world.fsyncs, syncs + 2);
        clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
        OK(clg_scan_step(&scan, &record, &err));
        ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
        OK(clg_scan_step(&scan, &record, &err));
        ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
        uint64_t first;
        OK(clg_scan_all_zero(&scan, at, segment->base + segment->bytes, &first, &err));
        ck_assert_uint_eq(first, segment->base + segment->bytes);
        clg_scan_free(&scan);
    }
    world.fail_fsync = -EIO;
    ck_assert_int_eq(clg_segment_cut(segment, at, &err), COMMITLOG_EIO);
    world.fail_fsync = 0;
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_rewrite_writes_the_same_bytes_and_flushes)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 9000);
    uint64_t hash = dirs_hash(world.path);
    uint64_t writes = world.writes;
    uint64_t syncs = world.fsyncs;
    OK(clg_segment_rewrite(segment, segment->data_start, pen.at, &err));
    ck_assert_uint_gt(world.writes, writes);
    ck_assert_uint_eq(world.fsyncs, syncs + 1);
    ck_assert_uint_eq(dirs_hash(world.path), hash);
    world.bad_from = 8192;
    world.bad_to = 8200;
    ck_assert_int_eq(clg_segment_rewrite(segment, segment->data_start, pen.at, &err),
                     COMMITLOG_EIO);
    world.bad_to = 0;
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_rewrite_through_the_cache_is_believed_only_if_all_is_well)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 9000);
    uint64_t hash = dirs_hash(world.path);
    const uint64_t from = CLG_SEGMENT_DATA_START;
    const uint64_t to = clg_align_up(pen.at, CLG_FORMAT_PAGE_BYTES);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    OK(clg_segment_pread(segment, page, sizeof(page), from, &err));
    uint64_t writes = world.writes;
    OK(clg_segment_rewrite_begin(segment, page, from, from + sizeof(page), &err));
    OK(clg_segment_rewrite_begin(segment, NULL, from + sizeof(page), to, &err));
    ck_assert_uint_eq(world.writes, writes + 2);
    ck_assert(!clg_segment_rewrite_end(segment, from, pen.at)); /* a block counts as unwritten */
    world.written = -EIO;
    ck_assert(!clg_segment_rewrite_end(segment, from, pen.at));
    world.written = 1;
    ck_assert(clg_segment_rewrite_end(segment, from, pen.at));
    world.fail_fsync = -EIO;
    ck_assert(!clg_segment_rewrite_end(segment, from, pen.at));
    world.fail_fsync = 0;
    ck_assert_uint_eq(dirs_hash(world.path), hash);
    world.bad_to = 8200;
    ck_assert_int_eq(clg_segment_rewrite_begin(segment, NULL, from, to, &err), COMMITLOG_EIO);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(a_hole_over_damage_or_a_claim_lets_the_scan_go_on)
{
    struct clg_segment *segment = world_create(&world, 0, SMALL);
    struct scribe pen = scribe_at(segment);
    scribe_message(&pen, 100);
    uint64_t bad = scribe_message(&pen, 1000);
    scribe_message(&pen, 100);
    uint64_t pad = pen.at;
    scribe_pad(&pen);
    world_flip(segment, bad + 500);
    world_flip(segment, pad + 20);
    struct clg_scan scan;
    struct clg_scan_record record;
    clg_scan_init(&scan, segment, bad, CLG_SCAN_FULL);
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BODY);
    OK(clg_segment_write_hole(segment, bad, record.size, &record.header, &err));
    uint32_t rest = (uint32_t)(segment->data_end - pad);
    record.header.store_time += 5;
    OK(clg_segment_write_hole(segment, pad, rest, &record.header, &err));
    clg_scan_seek(&scan, bad);
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
    ck_assert_uint_eq(record.header.kind, CLG_KIND_HOLE);
    ck_assert_uint_eq(record.header.queue_offset, 1);
    ck_assert_uint_eq(record.header.queue_number, 7);
    OK(clg_scan_step(&scan, &record, &err));
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_uint_eq(record.header.kind, CLG_KIND_PAD);
    OK(clg_scan_step(&scan, &record, &err));
    ck_assert_int_eq(record.verdict, CLG_SCAN_END);
    clg_scan_free(&scan);
    clg_segment_unref(segment);
}
END_TEST

static uint32_t open_of(struct clg_segment *const *segments, uint32_t count)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < count; i++) {
        open += segments[i]->fd >= 0 ? 1 : 0;
    }
    return open;
}

START_TEST(the_set_keeps_the_descriptors_that_were_opened_last)
{
    enum { COUNT = CLG_SEGMENT_SET_KEPT + 5 };
    struct clg_segment_set set;
    struct clg_segment *segments[COUNT];
    uint8_t byte = 0;
    clg_segment_set_init(&set, &world.os);
    for (uint32_t i = 0; i < COUNT; i++) {
        segments[i] = world_create(&world, (uint64_t)i * SMALL, SMALL);
        struct clg_segment_footer footer = {.end = segments[i]->data_end, .records = 1};
        OK(clg_segment_write_footer(segments[i], &footer, &err));
        ck_assert(clg_segment_close_idle(segments[i]));
        OK(clg_segment_set_append(&set, segments[i], &err));
    }
    for (uint32_t i = 0; i < 3 * COUNT; i++) { /* more than once around */
        struct clg_segment *segment = segments[i % COUNT];
        OK(clg_segment_pread(segment, &byte, 1, segment->data_start, &err));
        clg_segment_set_keep_open(&set, segment);
        ck_assert_int_ge(segment->fd, 0);
        uint32_t most = i < CLG_SEGMENT_SET_KEPT ? i + 1 : CLG_SEGMENT_SET_KEPT;
        ck_assert_uint_eq(open_of(segments, COUNT), most);
    }
    /* One that goes takes its descriptor along; its place is given to another. */
    OK(clg_segment_unlink(segments[0], &err));
    clg_segment_unref(clg_segment_set_remove_first(&set));
    for (uint32_t i = 1; i < 2 * COUNT - 1; i++) {
        struct clg_segment *segment = segments[i < COUNT ? i : i - COUNT + 1];
        OK(clg_segment_pread(segment, &byte, 1, segment->data_start, &err));
        clg_segment_set_keep_open(&set, segment);
        ck_assert_uint_le(open_of(segments + 1, COUNT - 1), CLG_SEGMENT_SET_KEPT);
    }
    clg_segment_set_free(&set);
}
END_TEST

START_TEST(an_empty_rest_is_hardly_read)
{
    const uint64_t bytes = UINT64_C(64) << 20;
    struct clg_segment *segment = world_create(&world, 0, bytes);
    struct scribe pen = scribe_at(segment);
    struct clg_scan scan;
    struct clg_scan_record record;
    struct clg_scan_search search;
    if (clg_segment_next_data(segment, bytes / 2) == bytes / 2) {
        printf("skip: this file system does not tell what is empty\n");
        clg_segment_unref(segment);
        return;
    }
    for (int i = 0; i < 4000; i++) { /* so many that the kernel gets used to reading on */
        scribe_message(&pen, 1000);
    }
    (void)world.os.drop_cache(&world.os, segment->fd, 0, bytes);
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    do {
        OK(clg_scan_step(&scan, &record, &err));
    } while (record.verdict == CLG_SCAN_OK);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    /* What the kernel has read ahead of the scan counts as data, and how far it went depends on the
     * device and on what else the machine does. What it reads ahead of the search must not. */
    const uint64_t limit = clg_segment_data_limit(segment, scan.next, segment->data_end);
    if (limit > segment->data_end - (UINT64_C(16) << 20)) {
        printf("skip: the kernel has read ahead to %" PRIu64 " of %" PRIu64 "\n", limit, bytes);
    }
    uint64_t before = world.read_bytes;
    ck_assert_int_eq(clg_scan_resync(&scan, scan.next, segment->data_end, &search, &err),
                     COMMITLOG_ENOTFOUND);
    ck_assert(search.all_zero);
    ck_assert_uint_le(world.read_bytes - before, limit - scan.next + (UINT64_C(2) << 20));
    clg_scan_free(&scan);
    clg_segment_unref(segment);
}
END_TEST

static Suite *segment_suite(void)
{
    Suite *suite = suite_create("segment");
    TCase *files = tcase_create("file");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_set_timeout(files, 60);
    tcase_add_test(files, names_are_exact_or_not_ours);
    tcase_add_test(files, a_new_segment_is_whole_named_and_opens_again);
    tcase_add_test(files, a_temporary_file_left_by_a_crash_is_begun_again);
    tcase_add_test(files, a_short_file_is_readable_up_to_its_end_and_never_mapped);
    tcase_add_test(files, a_footer_seals_and_a_damaged_one_does_not);
    tcase_add_test(files, maps_show_what_is_written_and_idle_descriptors_come_back);
    tcase_add_test(files, a_failed_flush_is_reported_with_the_file);
    tcase_add_test(files, the_set_pins_by_position_and_knows_its_gaps);
    tcase_add_test(files, the_set_keeps_the_descriptors_that_were_opened_last);
    tcase_add_test(files, an_unlinked_segment_stays_readable_while_pinned);
    tcase_add_test(files, quarantine_keeps_bytes_and_never_replaces);
    tcase_add_loop_test(files, a_cut_leaves_zeros_is_flushed_and_can_be_repeated, 0, 2);
    tcase_add_test(files, a_rewrite_writes_the_same_bytes_and_flushes);
    tcase_add_test(files, an_empty_rest_is_hardly_read);
    tcase_add_test(files, a_rewrite_through_the_cache_is_believed_only_if_all_is_well);
    tcase_add_test(files, a_hole_over_damage_or_a_claim_lets_the_scan_go_on);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return run_suite(segment_suite());
}
