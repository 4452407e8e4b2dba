/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_format_files.c -- header pages: segment, footer, checkpoint, live area, LOCK.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "commitlog.h"
#include "format/checkpoint.h"
#include "format/live_area.h"
#include "format/lock_file.h"
#include "format/segment_header.h"
#include "support/run_suite.h"

#define PAGE CLG_FORMAT_PAGE_BYTES

static const uint8_t uuid[CLG_UUID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t other[CLG_UUID_BYTES] = {9};

static void flip(uint8_t *bytes, size_t bit)
{
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* Give a forged page a valid check. */
static void reseal(uint8_t *page, uint64_t seed)
{
    clg_store_le64(page + PAGE - 8, clg_hash64(page, PAGE - 8, seed));
}

static struct clg_segment_header sample_segment(void)
{
    struct clg_segment_header header = {.base = 1u << 20,
                                        .size = 1u << 18,
                                        .salt = 0x1234567890abcdefu,
                                        .predecessor_end = (1u << 20) - 4096,
                                        .predecessor_salt = 7,
                                        .first_time = -1,
                                        .created = 1700,
                                        .epoch = 3,
                                        .algorithm = CLG_CHECK_XXH3_64};
    memcpy(header.uuid, uuid, sizeof(uuid));
    return header;
}

static void segment_page(uint8_t *page)
{
    struct clg_segment_header in = sample_segment();
    clg_segment_header_encode(page, &in);
}

static int segment_decode(const uint8_t *page)
{
    struct clg_segment_header out;
    return clg_segment_header_decode(page, uuid, false, &out);
}

START_TEST(segment_round_trip)
{
    uint8_t page[PAGE];
    struct clg_segment_header out;
    segment_page(page);
    ck_assert_int_eq(clg_segment_header_decode(page, uuid, false, &out), 0);
    ck_assert_uint_eq(out.base, 1u << 20);
    ck_assert_uint_eq(out.size, 1u << 18);
    ck_assert_uint_eq(out.salt, 0x1234567890abcdefu);
    ck_assert_uint_eq(out.predecessor_end, (1u << 20) - 4096);
    ck_assert_uint_eq(out.predecessor_salt, 7);
    ck_assert_int_eq(out.first_time, -1);
    ck_assert_int_eq(out.created, 1700);
    ck_assert_uint_eq(out.epoch, 3);
    ck_assert_mem_eq(out.uuid, uuid, sizeof(uuid));
    ck_assert_uint_eq(clg_segment_data_start(&out), (1u << 20) + 8192);
    ck_assert_uint_eq(clg_segment_data_end(&out), (1u << 20) + (1u << 18) - 4096);
    ck_assert_int_eq(clg_segment_header_decode(page, NULL, false, &out), 0);
    ck_assert_int_eq(clg_segment_header_decode(page, other, false, &out), COMMITLOG_EFOREIGN);
}
END_TEST

START_TEST(segment_every_bit_is_covered)
{
    uint8_t page[PAGE];
    segment_page(page);
    for (size_t bit = 0; bit < PAGE * 8; bit++) {
        flip(page, bit);
        int rc = segment_decode(page);
        ck_assert_msg(rc == (bit < 64 ? COMMITLOG_EFORMAT : COMMITLOG_EDAMAGED), "bit %zu", bit);
        flip(page, bit);
    }
    memset(page, 0, PAGE);
    ck_assert_int_eq(segment_decode(page), COMMITLOG_EFORMAT);
}
END_TEST

static int segment_forged64(uint32_t at, uint64_t value)
{
    uint8_t page[PAGE];
    segment_page(page);
    clg_store_le64(page + at, value);
    reseal(page, 0);
    return segment_decode(page);
}

static int segment_forged32(uint32_t at, uint32_t value)
{
    uint8_t page[PAGE];
    segment_page(page);
    clg_store_le32(page + at, value);
    reseal(page, 0);
    return segment_decode(page);
}

START_TEST(segment_forged_fields_are_refused)
{
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, 0), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, 61440), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, 65536), 0);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, 65544), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, UINT64_C(32) << 30), 0);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_SIZE, (UINT64_C(32) << 30) + 4096),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_BASE, UINT64_MAX - 4095), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_BASE, 0), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_BASE, (1u << 20) + 8), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged64(CLG_SEGMENT_AT_PREDECESSOR_END, 3), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(segment_forged32(CLG_SEGMENT_AT_ALGORITHM, 2), COMMITLOG_EVERSION);
    ck_assert_int_eq(segment_forged32(CLG_FILE_AT_VERSION, 2), COMMITLOG_EVERSION);
    ck_assert_int_eq(segment_forged32(CLG_FILE_AT_COMPAT, 1u << 31), 0);
    ck_assert_int_eq(segment_forged32(CLG_FILE_AT_INCOMPAT, 1), COMMITLOG_EVERSION);
    ck_assert_int_eq(segment_forged32(CLG_FILE_AT_RO_COMPAT, 1), COMMITLOG_EVERSION);
    static const uint32_t sizes[] = {0, 64, 71, 4088, 4100, 8192, UINT32_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ck_assert_int_eq(segment_forged32(CLG_FILE_AT_HEADER_BYTES, sizes[i]), COMMITLOG_EDAMAGED);
    }
    ck_assert_int_eq(clg_format_check_flags(1, 0, true), 0);
    ck_assert_int_eq(clg_format_check_flags(1, 0, false), COMMITLOG_EVERSION);
    ck_assert_int_eq(clg_format_check_flags(0, 1, true), COMMITLOG_EVERSION);
}
END_TEST

START_TEST(common_header_of_another_size)
{
    /* A newer version with a shorter header is newer, not damaged. */
    uint8_t page[PAGE];
    struct clg_file_header out;
    memset(page, 0, sizeof(page));
    clg_format_begin(page, 128, CLG_MAGIC_SEGMENT, uuid);
    clg_store_le32(page + CLG_FILE_AT_VERSION, 2);
    clg_format_finish(page, 128, 0);
    ck_assert_int_eq(segment_decode(page), COMMITLOG_EVERSION);
    clg_store_le32(page + CLG_FILE_AT_VERSION, 1);
    clg_format_finish(page, 128, 0);
    ck_assert_int_eq(segment_decode(page), COMMITLOG_EDAMAGED);
    for (size_t cut = 0; cut < 128; cut++) {
        uint8_t *copy = malloc(cut + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, page, cut);
        ck_assert_int_eq(
            clg_format_decode(copy + 1, cut, 128, CLG_MAGIC_SEGMENT, 0, NULL, true, &out),
            COMMITLOG_EDAMAGED);
        free(copy);
    }
}
END_TEST

START_TEST(footer)
{
    uint8_t page[PAGE];
    struct clg_segment_header header = sample_segment();
    struct clg_segment_footer in = {.end = clg_segment_data_end(&header),
                                    .records = 12,
                                    .first_time = 5,
                                    .last_time = 6,
                                    .epoch = 4};
    struct clg_segment_footer out;
    memset(page, 0, PAGE);
    ck_assert_int_eq(clg_segment_footer_decode(page, &header, &out), COMMITLOG_ENOTFOUND);
    clg_segment_footer_encode(page, &header, &in);
    ck_assert_int_eq(clg_segment_footer_decode(page, &header, &out), 0);
    ck_assert_uint_eq(out.end, in.end);
    ck_assert_uint_eq(out.records, 12);
    ck_assert_int_eq(out.first_time, 5);
    ck_assert_int_eq(out.last_time, 6);
    ck_assert_uint_eq(out.epoch, 4);
    for (size_t bit = 0; bit < PAGE * 8; bit++) {
        flip(page, bit);
        ck_assert_msg(clg_segment_footer_decode(page, &header, &out) == COMMITLOG_EDAMAGED,
                      "bit %zu", bit);
        flip(page, bit);
    }
    /* Of another segment: by salt, by base, by size. */
    struct clg_segment_header wrong = header;
    wrong.salt ^= 1;
    ck_assert_int_eq(clg_segment_footer_decode(page, &wrong, &out), COMMITLOG_EDAMAGED);
    wrong = header;
    wrong.base += 4096;
    ck_assert_int_eq(clg_segment_footer_decode(page, &wrong, &out), COMMITLOG_EDAMAGED);
    wrong = header;
    wrong.size += 4096;
    ck_assert_int_eq(clg_segment_footer_decode(page, &wrong, &out), COMMITLOG_EDAMAGED);
}
END_TEST

static struct clg_checkpoint sample_checkpoint(uint64_t sequence)
{
    struct clg_checkpoint checkpoint = {.sequence = sequence,
                                        .first = 8192,
                                        .checkpointed = 16384,
                                        .durable = 24576,
                                        .state_position = 16384,
                                        .segment_bytes = CLG_SEGMENT_DEFAULT,
                                        .session = 5,
                                        .store_time = 99,
                                        .epoch = 2,
                                        .clean = (sequence & 2) != 0};
    memcpy(checkpoint.uuid, uuid, sizeof(uuid));
    return checkpoint;
}

static void put_slot(uint8_t *file, uint64_t sequence)
{
    struct clg_checkpoint checkpoint = sample_checkpoint(sequence);
    clg_checkpoint_encode(file + (size_t)clg_checkpoint_slot(sequence) * PAGE, &checkpoint);
}

START_TEST(checkpoint_choice)
{
    uint8_t file[CLG_CHECKPOINT_BYTES] = {0};
    struct clg_checkpoint out;
    ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), COMMITLOG_ENOTFOUND);
    put_slot(file, 1);
    ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), 0);
    ck_assert_uint_eq(out.sequence, 1);
    ck_assert(!out.clean);
    put_slot(file, 2);
    ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), 0);
    ck_assert_uint_eq(out.sequence, 2);
    ck_assert(out.clean);
    ck_assert_uint_eq(out.first, 8192);
    ck_assert_uint_eq(out.checkpointed, 16384);
    ck_assert_uint_eq(out.durable, 24576);
    ck_assert_uint_eq(out.state_position, 16384);
    ck_assert_uint_eq(out.segment_bytes, CLG_SEGMENT_DEFAULT);
    ck_assert_uint_eq(out.session, 5);
    ck_assert_int_eq(out.store_time, 99);
    ck_assert_uint_eq(out.epoch, 2);
    for (size_t bit = 0; bit < PAGE * 8; bit++) {
        flip(file, bit); /* slot 0 holds sequence 2 */
        ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), 0);
        ck_assert_uint_eq(out.sequence, 1);
        flip(file, bit);
    }
    ck_assert_int_eq(clg_checkpoint_choose(file, other, false, &out), COMMITLOG_EFOREIGN);
    /* A newer library's slot is never passed over. */
    clg_store_le32(file + CLG_FILE_AT_VERSION, 2);
    reseal(file, 0);
    ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), COMMITLOG_EVERSION);
    memset(file, 0xa5, sizeof(file));
    ck_assert_int_eq(clg_checkpoint_choose(file, uuid, false, &out), COMMITLOG_EDAMAGED);
}
END_TEST

static int checkpoint_forged(uint32_t at, uint64_t value)
{
    uint8_t file[CLG_CHECKPOINT_BYTES] = {0};
    struct clg_checkpoint out;
    put_slot(file, 2);
    clg_store_le64(file + at, value);
    reseal(file, 0);
    return clg_checkpoint_decode(file, 0, uuid, false, &out);
}

START_TEST(checkpoint_forged_fields_are_refused)
{
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEQUENCE, 3), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEQUENCE, 0), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEQUENCE, 4), 0);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEQUENCE, CLG_CHECKPOINT_SEQUENCE_MAX), 0);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEQUENCE, UINT64_MAX - 1),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_FIRST, 16392), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_FIRST, 8193), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_FIRST, 8200), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_FIRST, 12288), 0);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_CHECKPOINTED, 24584), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_DURABLE, UINT64_MAX - 7),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_STATE_POSITION, 24584),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_SEGMENT_BYTES, 1), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(checkpoint_forged(CLG_CHECKPOINT_AT_CLEAN, 2), COMMITLOG_EDAMAGED);
}
END_TEST

static struct clg_live_header sample_live(void)
{
    struct clg_live_header header = {.device = 1,
                                     .inode = 2,
                                     .session = 3,
                                     .start_time = 4,
                                     .ring_bytes = CLG_RING_DEFAULT,
                                     .ring_offset = CLG_LIVE_RING_AT,
                                     .area_bytes = CLG_LIVE_RING_AT + CLG_RING_DEFAULT,
                                     .created = 5,
                                     .pid = 6,
                                     .engine = CLG_ENGINE_STAGED,
                                     .epoch = 7,
                                     .histograms = CLG_HISTOGRAMS};
    memcpy(header.uuid, uuid, sizeof(uuid));
    memset(header.boot_id, 0x5a, sizeof(header.boot_id));
    return header;
}

static int live_forged(uint32_t at, uint64_t value)
{
    uint8_t page[PAGE];
    struct clg_live_header in = sample_live();
    struct clg_live_header out;
    clg_live_header_encode(page, &in);
    clg_store_le64(page + at, value);
    reseal(page, 0);
    return clg_live_area_check(page, in.area_bytes, uuid, in.boot_id, &out);
}

START_TEST(live_area)
{
    uint8_t page[PAGE];
    struct clg_live_header in = sample_live();
    struct clg_live_header out;
    uint64_t bytes = in.area_bytes;
    clg_live_header_encode(page, &in);
    ck_assert_int_eq(clg_live_area_check(page, bytes, uuid, in.boot_id, &out), 0);
    ck_assert_uint_eq(out.device, 1);
    ck_assert_uint_eq(out.inode, 2);
    ck_assert_uint_eq(out.session, 3);
    ck_assert_uint_eq(out.start_time, 4);
    ck_assert_int_eq(out.created, 5);
    ck_assert_uint_eq(out.pid, 6);
    ck_assert_uint_eq(out.engine, CLG_ENGINE_STAGED);
    ck_assert_uint_eq(out.epoch, 7);
    ck_assert_uint_eq(out.histograms, CLG_HISTOGRAMS);
    ck_assert_uint_eq(out.ring_bytes, CLG_RING_DEFAULT);
    ck_assert_int_eq(clg_live_area_check(page, bytes, uuid, uuid, &out), COMMITLOG_EFOREIGN);
    ck_assert_int_eq(clg_live_area_check(page, bytes, other, NULL, &out), COMMITLOG_EFOREIGN);
    ck_assert_int_eq(clg_live_area_check(page, bytes - 1, uuid, NULL, &out), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_live_area_check(page, 100, uuid, NULL, &out), COMMITLOG_EDAMAGED);
    for (size_t bit = 0; bit < PAGE * 8; bit++) {
        flip(page, bit);
        ck_assert_int_ne(clg_live_area_check(page, bytes, uuid, in.boot_id, &out), 0);
        flip(page, bit);
    }
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_RING_BYTES, CLG_RING_DEFAULT + 4096),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_RING_BYTES, UINT64_MAX), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_RING_OFFSET, 0), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_AREA_BYTES, UINT64_MAX), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_PID, UINT64_C(9) << 32 | 6), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_HISTOGRAMS, 12), 0); /* its ring lies there too */
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_HISTOGRAMS, 13), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_HISTOGRAMS, CLG_LIVE_HISTOGRAMS_MAX + 1),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(live_forged(CLG_LIVE_AT_HISTOGRAMS, UINT32_MAX), COMMITLOG_EDAMAGED);
    in.engine = CLG_ENGINE_MMAP;
    in.ring_bytes = 0;
    in.area_bytes = CLG_LIVE_RING_AT;
    clg_live_header_encode(page, &in);
    ck_assert_int_eq(clg_live_area_check(page, CLG_LIVE_RING_AT, uuid, in.boot_id, &out), 0);
}
END_TEST

/* It is mapped by itself, from there on, also with pages of 64 KiB. */
START_TEST(the_ring_lies_on_a_page_however_many_histograms_there_are)
{
    for (uint32_t histograms = 0; histograms <= CLG_LIVE_HISTOGRAMS_MAX; histograms++) {
        uint8_t page[PAGE];
        struct clg_live_header in = sample_live();
        struct clg_live_header out;
        const uint64_t end = CLG_LIVE_HISTOGRAMS_AT + histograms * CLG_LIVE_HISTOGRAM_BYTES;
        in.histograms = histograms;
        in.ring_offset = clg_live_ring_offset(histograms);
        in.area_bytes = in.ring_offset + in.ring_bytes;
        ck_assert_uint_eq(in.ring_offset % 65536, 0);
        ck_assert_uint_ge(in.ring_offset, end);
        ck_assert_uint_lt(in.ring_offset, end + 65536);
        clg_live_header_encode(page, &in);
        ck_assert_int_eq(clg_live_area_check(page, in.area_bytes, uuid, in.boot_id, &out), 0);
        ck_assert_uint_eq(out.ring_offset, in.ring_offset);
    }
    ck_assert_uint_eq(clg_live_ring_offset(CLG_HISTOGRAMS), CLG_LIVE_RING_AT);
}
END_TEST

START_TEST(lock_file)
{
    uint8_t page[CLG_LOCK_FILE_BYTES];
    struct clg_lock_file in;
    struct clg_lock_file out;
    memset(&in, 0, sizeof(in));
    in.pid = 4711;
    in.start_time = 12;
    in.session = 13;
    memcpy(in.uuid, uuid, sizeof(uuid));
    memset(in.live_path, 'p', CLG_LIVE_PATH_MAX);
    ck_assert_int_eq(clg_lock_file_encode(page, &in), 0);
    ck_assert_int_eq(clg_lock_file_decode(page, sizeof(page), uuid, &out), 0);
    ck_assert_uint_eq(out.pid, 4711);
    ck_assert_uint_eq(out.start_time, 12);
    ck_assert_uint_eq(out.session, 13);
    ck_assert_str_eq(out.live_path, in.live_path);
    for (size_t bit = 0; bit < PAGE * 8; bit++) {
        flip(page, bit);
        ck_assert_int_ne(clg_lock_file_decode(page, sizeof(page), uuid, &out), 0);
        flip(page, bit);
    }
    for (size_t cut = 1; cut < sizeof(page); cut += 97) {
        uint8_t *copy = malloc(cut);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, page, cut);
        ck_assert_int_eq(clg_lock_file_decode(copy, cut, uuid, &out), COMMITLOG_EDAMAGED);
        free(copy);
    }
    ck_assert_int_eq(clg_lock_file_decode(page, 0, uuid, &out), COMMITLOG_ENOTFOUND);
    clg_store_le32(page + CLG_LOCK_AT_PATH_BYTES, CLG_LIVE_PATH_MAX + 1);
    reseal(page, 0);
    ck_assert_int_eq(clg_lock_file_decode(page, sizeof(page), uuid, &out), COMMITLOG_EDAMAGED);
    in.live_path[CLG_LIVE_PATH_MAX] = 'p';
    ck_assert_int_eq(clg_lock_file_encode(page, &in), COMMITLOG_EINVAL);
    memset(page, 0, sizeof(page));
    ck_assert_int_eq(clg_lock_file_decode(page, sizeof(page), uuid, &out), COMMITLOG_ENOTFOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format_files");
    TCase *pages = tcase_create("pages");
    tcase_set_timeout(pages, 120);
    tcase_add_test(pages, segment_round_trip);
    tcase_add_test(pages, segment_every_bit_is_covered);
    tcase_add_test(pages, segment_forged_fields_are_refused);
    tcase_add_test(pages, common_header_of_another_size);
    tcase_add_test(pages, footer);
    tcase_add_test(pages, checkpoint_choice);
    tcase_add_test(pages, checkpoint_forged_fields_are_refused);
    tcase_add_test(pages, live_area);
    tcase_add_test(pages, the_ring_lies_on_a_page_however_many_histograms_there_are);
    tcase_add_test(pages, lock_file);
    suite_add_tcase(suite, pages);
    return run_suite(suite);
}
