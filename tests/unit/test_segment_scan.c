/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment_scan.c -- lib/segment: every verdict of the scan, batches, the search behind damage.
 */
#include "unit/segment_fixture.h"

#include "format/attributes.h"
#include "format/producer_record.h"
#include "segment/segment_scan.h"
#include "support/run_suite.h"

static struct world world;
static struct clg_segment *segment;
static struct scribe pen;

static void setup(void)
{
    world_begin(&world);
    segment = world_create(&world, SMALL, SMALL);
    pen = scribe_at(segment);
}

static void teardown(void)
{
    clg_segment_unref(segment);
    segment = NULL;
    world_end(&world);
}

/* Steps until something is not OK; returns how many were. */
static uint64_t walk(struct clg_scan *scan, struct clg_scan_record *last)
{
    struct commitlog_error err;
    uint64_t n = 0;
    do {
        int rc = clg_scan_step(scan, last, &err);
        ck_assert_msg(rc == 0, "%s", err.message);
        n += last->verdict == CLG_SCAN_OK ? 1 : 0;
    } while (last->verdict == CLG_SCAN_OK);
    return n;
}

static uint64_t walk_new(enum clg_scan_mode mode, struct clg_scan_record *last)
{
    struct clg_scan scan;
    clg_scan_init(&scan, segment, 0, mode);
    uint64_t n = walk(&scan, last);
    struct clg_scan_record again;
    ck_assert_int_eq(clg_scan_step(&scan, &again, NULL), 0);
    ck_assert_int_eq(again.verdict, last->verdict);
    ck_assert_uint_eq(again.position, last->position);
    ck_assert_uint_eq(scan.records, n);
    clg_scan_free(&scan);
    return n;
}

START_TEST(records_come_in_order_with_their_bytes_up_to_the_free_word)
{
    uint64_t at[3] = {scribe_message(&pen, 0), scribe_message(&pen, 5), scribe_message(&pen, 900)};
    struct clg_scan scan;
    clg_scan_init(&scan, segment, 0, (enum clg_scan_mode)_i);
    struct clg_scan_record record;
    uint32_t sizes[3] = {0, 5, 900};
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
        ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
        ck_assert_uint_eq(record.position, at[i]);
        ck_assert_uint_eq(record.header.queue_offset, i);
        ck_assert_uint_eq(record.body_bytes, sizes[i]);
        ck_assert_ptr_nonnull(record.body);
        for (uint32_t j = 0; j < sizes[i]; j++) {
            ck_assert_uint_eq(record.body[j], (uint8_t)(j * 7u + sizes[i]));
        }
    }
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    ck_assert(record.header_zero);
    ck_assert_uint_eq(record.position, pen.at);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_pad_is_a_record_and_behind_it_is_the_end)
{
    scribe_message(&pen, 100);
    uint64_t pad = pen.at;
    scribe_pad(&pen);
    struct clg_scan scan;
    clg_scan_init(&scan, segment, pad, CLG_SCAN_FULL);
    struct clg_scan_record record;
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
    ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
    ck_assert_uint_eq(record.header.kind, CLG_KIND_PAD);
    ck_assert_uint_eq(walk(&scan, &record), 0);
    ck_assert_int_eq(record.verdict, CLG_SCAN_END);
    ck_assert_uint_eq(record.position, segment->data_end);
    clg_scan_free(&scan);
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 2);
}
END_TEST

START_TEST(a_flipped_body_is_seen_in_full_mode_only_and_names_its_place)
{
    scribe_message(&pen, 10);
    uint64_t at = scribe_message(&pen, 400);
    scribe_message(&pen, 10);
    world_flip(segment, at + 48 + 200);
    struct clg_scan_record record;
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 1);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BODY);
    ck_assert_uint_eq(record.position, at);
    ck_assert_uint_eq(record.header.queue_offset, 1);
    ck_assert_uint_eq(record.next_position, at + record.size);
    ck_assert_ptr_null(record.body);
    ck_assert_uint_eq(walk_new(CLG_SCAN_HEADER_ONLY, &record), 3);
}
END_TEST

/* A message from whose first attribute state is built; also too long to be loaded whole for its
 * header. */
static uint64_t put_marked(uint32_t body_bytes, uint8_t type)
{
    const struct clg_producer_mark mark = {.id = 5, .sequence = 6, .epoch = 7};
    uint8_t area[CLG_ATTRIBUTE_HEADER_BYTES + CLG_PRODUCER_ATTRIBUTE_BYTES] = {
        type, CLG_PRODUCER_ATTRIBUTE_BYTES};
    clg_producer_mark_encode(area + CLG_ATTRIBUTE_HEADER_BYTES, &mark);
    uint32_t size = clg_record_bytes(sizeof(area), body_bytes);
    uint8_t *record = calloc(1, size);
    ck_assert_ptr_nonnull(record);
    struct clg_record_header header = {.queue_offset = pen.offset++,
                                       .store_time = pen.time++,
                                       .epoch = pen.epoch,
                                       .attribute_bytes = sizeof(area),
                                       .kind = CLG_KIND_MESSAGE,
                                       .flags = clg_record_padding(sizeof(area), body_bytes),
                                       .durable_back = CLG_DURABLE_BACK_NONE};
    clg_record_encode_header(record, &header);
    memcpy(record + CLG_RECORD_HEADER_BYTES, area, sizeof(area));
    uint64_t at = pen.at;
    clg_store_le32(record, clg_record_seal(record, size, clg_record_seed(segment->salt, at)));
    ck_assert_int_eq(clg_segment_pwrite(segment, record, size, at, NULL), 0);
    free(record);
    pen.at += size;
    return at;
}

START_TEST(a_flipped_mark_is_seen_in_both_modes)
{
    const uint32_t bodies[] = {10, 2 * CLG_SCAN_SMALL_BYTES};
    clg_segment_unref(segment);
    segment = world_create(&world, 2 * SMALL, 8 * SMALL);
    pen = scribe_at(segment);
    scribe_message(&pen, 10);
    uint64_t at =
        put_marked(bodies[_i % 2], _i < 2 ? CLG_ATTRIBUTE_PRODUCER : CLG_ATTRIBUTE_DELIVER_AT);
    scribe_message(&pen, 10);
    struct clg_scan_record record;
    ck_assert_uint_eq(walk_new(CLG_SCAN_HEADER_ONLY, &record), 3);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    world_flip(segment, at + CLG_RECORD_HEADER_BYTES + CLG_ATTRIBUTE_HEADER_BYTES);
    for (int mode = 0; mode < 2; mode++) {
        ck_assert_uint_eq(walk_new((enum clg_scan_mode)mode, &record), 1);
        ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BODY);
        ck_assert_uint_eq(record.position, at);
        ck_assert_ptr_null(record.attributes);
    }
}
END_TEST

START_TEST(a_flipped_bit_anywhere_in_the_header_is_seen_in_both_modes)
{
    uint64_t at = scribe_message(&pen, 40);
    world_flip(segment, at + (uint64_t)_i);
    struct clg_scan_record record;
    for (int mode = 0; mode < 2; mode++) {
        ck_assert_uint_eq(walk_new((enum clg_scan_mode)mode, &record), 0);
        ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_HEADER);
        ck_assert_uint_eq(record.size, 0);
        ck_assert_str_ne(record.why, "");
    }
}
END_TEST

START_TEST(a_torn_record_whose_second_page_did_not_arrive_fails)
{
    while (pen.at < segment->data_start + 3000) {
        scribe_message(&pen, 500);
    }
    uint64_t at = scribe_message(&pen, 3000);
    uint8_t zeros[2048] = {0};
    uint64_t page = clg_align_up(at, 4096);
    ck_assert_int_eq(clg_segment_pwrite(segment, zeros, sizeof(zeros), page, NULL), 0);
    struct clg_scan_record record;
    walk_new(CLG_SCAN_FULL, &record);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BODY);
    ck_assert_uint_eq(record.position, at);
    /* And with the first page missing: the word is free, what is behind is not zero. */
    uint8_t head[48] = {0};
    ck_assert_int_eq(clg_segment_pwrite(segment, head, 4, at, NULL), 0);
    walk_new(CLG_SCAN_FULL, &record);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    ck_assert(!record.header_zero);
}
END_TEST

START_TEST(a_claimed_header_is_told_from_damage)
{
    uint8_t record[128] = {0};
    struct clg_record_header header = {.queue_offset = 3,
                                       .store_time = 3000,
                                       .epoch = 2,
                                       .queue_number = 9,
                                       .kind = CLG_KIND_MESSAGE,
                                       .durable_back = CLG_DURABLE_BACK_NONE};
    clg_record_encode_header(record, &header);
    (void)clg_record_seal_header(record, 128, clg_record_seed(segment->salt, pen.at));
    clg_store_le32(record, clg_record_word(128, CLG_RECORD_CLAIMED));
    ck_assert_int_eq(clg_segment_pwrite(segment, record, 128, pen.at, NULL), 0);
    struct clg_scan_record found;
    walk_new(CLG_SCAN_FULL, &found);
    ck_assert_int_eq(found.verdict, CLG_SCAN_CLAIMED);
    ck_assert_uint_eq(found.size, 128);
    ck_assert_uint_eq(found.header.queue_number, 9);
    world_flip(segment, pen.at + 36);
    walk_new(CLG_SCAN_FULL, &found);
    ck_assert_int_eq(found.verdict, CLG_SCAN_BAD_HEADER);
}
END_TEST

START_TEST(epoch_and_store_time_never_go_down)
{
    scribe_message(&pen, 8);
    struct scribe before = pen;
    pen.epoch = 1;
    scribe_message(&pen, 8);
    struct clg_scan_record record;
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 1);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_HEADER);
    pen = before;
    pen.time -= 2;
    scribe_message(&pen, 8);
    ck_assert_uint_eq(walk_new(CLG_SCAN_HEADER_ONLY, &record), 1);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_HEADER);
    pen = before;
    pen.epoch = 9;
    scribe_message(&pen, 8);
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 2);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
}
END_TEST

START_TEST(the_highest_witness_is_kept)
{
    pen.durable = segment->data_start;
    scribe_message(&pen, 8);
    uint64_t second = scribe_message(&pen, 8);
    pen.durable = second;
    scribe_message(&pen, 8);
    struct clg_scan scan;
    struct clg_scan_record record;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    ck_assert_uint_eq(walk(&scan, &record), 3);
    ck_assert_uint_eq(scan.witnessed, second);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_record_that_leaves_no_room_for_a_pad_is_refused)
{
    uint32_t room = (uint32_t)(segment->data_end - pen.at);
    scribe_message(&pen, room - 48 - 40);
    struct clg_scan_record record;
    walk_new(CLG_SCAN_FULL, &record);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_HEADER);
    pen = scribe_at(segment);
    scribe_message(&pen, room - 48 - 48);
    scribe_pad(&pen);
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 2);
    ck_assert_int_eq(record.verdict, CLG_SCAN_END);
}
END_TEST

START_TEST(a_bad_sector_is_a_verdict_and_spares_its_neighbours)
{
    while (pen.at < segment->data_start + 9000) {
        scribe_message(&pen, 1000);
    }
    world.bad_from = CLG_SEGMENT_DATA_START + 4096;
    world.bad_to = world.bad_from + 4096;
    world.bad_whole = _i == 1;
    struct clg_scan_record record;
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 3);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_READ);
    ck_assert_int_eq(record.os_errno, EIO);
    struct clg_scan scan;
    struct clg_scan_search search;
    clg_scan_init(&scan, segment, record.position, CLG_SCAN_FULL);
    ck_assert_int_eq(clg_scan_resync(&scan, record.position, segment->data_end, &search, NULL), 0);
    ck_assert_uint_eq(search.unreadable, 1);
    ck_assert_uint_eq(search.first_unreadable, segment->base + world.bad_from);
    ck_assert_uint_ge(search.found, segment->base + world.bad_to);
    clg_scan_seek(&scan, search.found);
    walk(&scan, &record);
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    ck_assert_uint_eq(record.position, pen.at);
    uint64_t end;
    ck_assert_int_eq(clg_scan_all_zero(&scan, segment->data_start, segment->data_end, &end, NULL),
                     0);
    ck_assert_int_eq(
        clg_scan_all_zero(&scan, segment->base + world.bad_from, segment->data_end, &end, NULL),
        COMMITLOG_EIO);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_whole_batch_is_handed_out_and_bounded)
{
    scribe_message(&pen, 8);
    uint64_t at = scribe_batch(&pen, 5);
    uint64_t end = pen.at;
    scribe_message(&pen, 8);
    struct clg_scan scan;
    struct clg_scan_record record;
    clg_scan_init(&scan, segment, at, (enum clg_scan_mode)_i);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
        ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
        ck_assert_uint_eq(record.batch_end, end);
        ck_assert_ptr_nonnull(record.body);
    }
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
    ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
    ck_assert_uint_eq(record.batch_end, 0);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_batch_that_is_half_there_is_not_handed_out_at_all)
{
    scribe_message(&pen, 8);
    uint64_t at = scribe_batch(&pen, 5);
    uint64_t last = pen.at - clg_record_bytes(0, 14);
    uint8_t zeros[64] = {0};
    ck_assert_int_eq(clg_segment_pwrite(segment, zeros, 64, last, NULL), 0);
    struct clg_scan_record record;
    for (int mode = 0; mode < 2; mode++) {
        ck_assert_uint_eq(walk_new((enum clg_scan_mode)mode, &record), 1);
        ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BATCH);
        ck_assert_uint_eq(record.position, at);
        ck_assert_uint_eq(record.fault_position, last);
        ck_assert_int_eq(record.fault, CLG_SCAN_FREE);
        ck_assert_uint_eq(record.batch_end, pen.at);
    }
}
END_TEST

START_TEST(a_batch_member_of_another_batch_is_seen_by_the_sum)
{
    uint64_t at = scribe_batch(&pen, 3);
    uint8_t record[256];
    uint8_t body[64] = {0};
    uint32_t size;
    struct scribe other = scribe_at(segment);
    uint64_t member = at + clg_record_bytes(0, CLG_BATCH_BODY_BYTES);
    (void)scribe_build(&other, member, CLG_KIND_MESSAGE, body, 10, record, &size);
    ck_assert_int_eq(clg_segment_pwrite(segment, record, size, member, NULL), 0);
    struct clg_scan_record found;
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &found), 0);
    ck_assert_int_eq(found.verdict, CLG_SCAN_BAD_BATCH);
    ck_assert_int_eq(found.fault, CLG_SCAN_OK);
    /* A member damaged in its body: full mode. */
    pen = scribe_at(segment);
    scribe_batch(&pen, 3);
    world_flip(segment, member + 50);
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &found), 0);
    ck_assert_int_eq(found.fault, CLG_SCAN_BAD_BODY);
}
END_TEST

START_TEST(the_search_finds_the_next_record_behind_damage)
{
    uint64_t first = scribe_message(&pen, 1000);
    uint64_t second = scribe_message(&pen, 1000);
    world_flip(segment, first + 1);
    struct clg_scan scan;
    struct clg_scan_search search;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    ck_assert_int_eq(clg_scan_resync(&scan, first, segment->data_end, &search, NULL), 0);
    ck_assert_uint_eq(search.found, second);
    ck_assert(!search.all_zero);
    ck_assert_int_eq(clg_scan_resync(&scan, second + 8, segment->data_end, &search, NULL),
                     COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(search.found, segment->data_end);
    ck_assert_int_eq(clg_scan_resync(&scan, pen.at, segment->data_end, &search, NULL),
                     COMMITLOG_ENOTFOUND);
    ck_assert(search.all_zero);
    /* A header that holds over a body that does not: only full mode goes on. */
    world_flip(segment, second + 100);
    clg_scan_seek(&scan, first);
    ck_assert_int_eq(clg_scan_resync(&scan, first, segment->data_end, &search, NULL),
                     COMMITLOG_ENOTFOUND);
    clg_scan_free(&scan);
    clg_scan_init(&scan, segment, 0, CLG_SCAN_HEADER_ONLY);
    ck_assert_int_eq(clg_scan_resync(&scan, first, segment->data_end, &search, NULL), 0);
    ck_assert_uint_eq(search.found, second);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_record_of_an_older_epoch_is_no_place_to_go_on)
{
    scribe_message(&pen, 8);
    uint64_t at = scribe_message(&pen, 8);
    struct clg_scan scan;
    struct clg_scan_search search;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    scan.min_epoch = 3;
    ck_assert_int_eq(clg_scan_resync(&scan, at, segment->data_end, &search, NULL),
                     COMMITLOG_ENOTFOUND);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(a_record_copied_to_another_place_or_segment_fails)
{
    uint64_t at = scribe_message(&pen, 100);
    uint8_t bytes[152];
    ck_assert_int_eq(clg_segment_pread(segment, bytes, sizeof(bytes), at, NULL), 0);
    ck_assert_int_eq(clg_segment_pwrite(segment, bytes, sizeof(bytes), pen.at, NULL), 0);
    struct clg_scan_record record;
    ck_assert_uint_eq(walk_new(CLG_SCAN_FULL, &record), 1);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_HEADER);
}
END_TEST

START_TEST(zeros_and_the_last_byte_that_is_none_are_found)
{
    struct clg_scan scan;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    uint64_t from = segment->data_start;
    uint64_t to = segment->data_end;
    uint64_t at;
    ck_assert_int_eq(clg_scan_all_zero(&scan, from, to, &at, NULL), 0);
    ck_assert_uint_eq(at, to);
    ck_assert_int_eq(clg_scan_last_nonzero(&scan, from, to, &at, NULL), 0);
    ck_assert_uint_eq(at, from);
    clg_scan_free(&scan);
    uint8_t one = 1;
    ck_assert_int_eq(clg_segment_pwrite(segment, &one, 1, from + 20001, NULL), 0);
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    ck_assert_int_eq(clg_scan_all_zero(&scan, from, to, &at, NULL), 0);
    ck_assert_uint_eq(at, from + 20001);
    ck_assert_int_eq(clg_scan_last_nonzero(&scan, from, to, &at, NULL), 0);
    ck_assert_uint_eq(at, from + 20008);
    clg_scan_free(&scan);
}
END_TEST

/* A salvage asks for each of its many damaged ranges whether it is zeros. */
START_TEST(of_a_small_part_no_more_than_its_blocks_is_read)
{
    const uint64_t from = scribe_message(&pen, 5);
    struct clg_scan scan;
    uint64_t at = 0;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    const uint64_t before = world.read_bytes;
    ck_assert_int_eq(clg_scan_all_zero(&scan, from, from + CLG_RECORD_MIN, &at, NULL), 0);
    ck_assert_uint_lt(at, from + CLG_RECORD_ALIGN);
    ck_assert_uint_le(world.read_bytes - before, 2 * CLG_SCAN_BLOCK_BYTES);
    clg_scan_free(&scan);
}
END_TEST

START_TEST(records_larger_than_the_window_are_hopped_over_or_read_whole)
{
    struct clg_segment *big = world_create(&world, 10 * SMALL, UINT64_C(16) << 20);
    struct scribe s = scribe_at(big);
    scribe_message(&s, 3u << 20);
    scribe_message(&s, 100);
    uint64_t at = scribe_message(&s, (5u << 20) + 3);
    scribe_message(&s, 100);
    struct clg_scan scan;
    struct clg_scan_record record;
    clg_scan_init(&scan, big, 0, CLG_SCAN_FULL);
    ck_assert_uint_eq(walk(&scan, &record), 4);
    clg_scan_free(&scan);
    clg_scan_init(&scan, big, 0, CLG_SCAN_HEADER_ONLY);
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
    ck_assert_ptr_null(record.body);
    ck_assert_uint_eq(record.body_bytes, 3u << 20);
    ck_assert_uint_eq(walk(&scan, &record), 3);
    ck_assert_uint_le(scan.buffer_bytes, CLG_SCAN_WINDOW_BYTES + 4096);
    clg_scan_free(&scan);
    world_flip(big, at + (4u << 20));
    clg_scan_init(&scan, big, 0, CLG_SCAN_FULL);
    ck_assert_uint_eq(walk(&scan, &record), 2);
    ck_assert_int_eq(record.verdict, CLG_SCAN_BAD_BODY);
    clg_scan_free(&scan);
    clg_scan_init(&scan, big, 0, CLG_SCAN_FULL);
    world.fail_alloc = 1;
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), COMMITLOG_ENOMEM);
    world.fail_alloc = 0;
    ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
    ck_assert_int_eq(record.verdict, CLG_SCAN_OK);
    clg_scan_free(&scan);
    clg_segment_unref(big);
}
END_TEST

START_TEST(a_file_made_to_cost_hours_is_refused_in_seconds)
{
    /* Headers that hold, each over a body of megabytes that does not. */
    struct clg_segment *big = world_create(&world, 10 * SMALL, UINT64_C(8) << 20);
    uint32_t size = 4u << 20;
    for (uint64_t i = 0; i < 60; i++) {
        uint8_t record[48] = {0};
        uint64_t at = big->data_start + i * 48;
        struct clg_record_header header = {.store_time = 3000,
                                           .epoch = 2,
                                           .kind = CLG_KIND_MESSAGE,
                                           .check = 1,
                                           .durable_back = CLG_DURABLE_BACK_NONE};
        clg_record_encode_header(record, &header);
        uint32_t word = clg_record_seal_header(record, size, clg_record_seed(big->salt, at));
        clg_store_le32(record, word);
        ck_assert_int_eq(clg_segment_pwrite(big, record, 48, at, NULL), 0);
    }
    struct clg_scan scan;
    struct clg_scan_search search;
    struct commitlog_error err;
    clg_scan_init(&scan, big, 0, CLG_SCAN_FULL);
    ck_assert_int_eq(clg_scan_resync(&scan, big->data_start, big->data_end, &search, &err),
                     COMMITLOG_EDAMAGED);
    clg_scan_free(&scan);
    clg_segment_unref(big);
}
END_TEST

START_TEST(random_bytes_never_verify_and_never_crash)
{
    uint8_t bytes[4096];
    uint64_t seed = 42;
    for (uint64_t at = segment->data_start; at < segment->data_end; at += sizeof(bytes)) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i] = (uint8_t)(seed >> 56);
        }
        ck_assert_int_eq(clg_segment_pwrite(segment, bytes, sizeof(bytes), at, NULL), 0);
    }
    struct clg_scan scan;
    struct clg_scan_record record;
    struct clg_scan_search search;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    for (uint64_t at = segment->data_start; at < segment->data_end; at += 8) {
        clg_scan_seek(&scan, at);
        ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
        ck_assert_int_ne(record.verdict, CLG_SCAN_OK);
    }
    ck_assert_int_eq(clg_scan_resync(&scan, segment->data_start, segment->data_end, &search, NULL),
                     COMMITLOG_ENOTFOUND);
    clg_scan_free(&scan);
}
END_TEST

static Suite *scan_suite(void)
{
    Suite *suite = suite_create("segment scan");
    TCase *walks = tcase_create("walk");
    tcase_add_checked_fixture(walks, setup, teardown);
    tcase_set_timeout(walks, 60);
    tcase_add_loop_test(walks, records_come_in_order_with_their_bytes_up_to_the_free_word, 0, 2);
    tcase_add_test(walks, a_pad_is_a_record_and_behind_it_is_the_end);
    tcase_add_test(walks, a_flipped_body_is_seen_in_full_mode_only_and_names_its_place);
    tcase_add_loop_test(walks, a_flipped_mark_is_seen_in_both_modes, 0, 4);
    tcase_add_loop_test(walks, a_flipped_bit_anywhere_in_the_header_is_seen_in_both_modes, 0, 48);
    tcase_add_test(walks, a_torn_record_whose_second_page_did_not_arrive_fails);
    tcase_add_test(walks, a_claimed_header_is_told_from_damage);
    tcase_add_test(walks, epoch_and_store_time_never_go_down);
    tcase_add_test(walks, the_highest_witness_is_kept);
    tcase_add_test(walks, a_record_that_leaves_no_room_for_a_pad_is_refused);
    tcase_add_loop_test(walks, a_bad_sector_is_a_verdict_and_spares_its_neighbours, 0, 2);
    tcase_add_loop_test(walks, a_whole_batch_is_handed_out_and_bounded, 0, 2);
    tcase_add_test(walks, a_batch_that_is_half_there_is_not_handed_out_at_all);
    tcase_add_test(walks, a_batch_member_of_another_batch_is_seen_by_the_sum);
    tcase_add_test(walks, the_search_finds_the_next_record_behind_damage);
    tcase_add_test(walks, a_record_of_an_older_epoch_is_no_place_to_go_on);
    tcase_add_test(walks, a_record_copied_to_another_place_or_segment_fails);
    tcase_add_test(walks, zeros_and_the_last_byte_that_is_none_are_found);
    tcase_add_test(walks, of_a_small_part_no_more_than_its_blocks_is_read);
    tcase_add_test(walks, records_larger_than_the_window_are_hopped_over_or_read_whole);
    tcase_add_test(walks, a_file_made_to_cost_hours_is_refused_in_seconds);
    tcase_add_test(walks, random_bytes_never_verify_and_never_crash);
    suite_add_tcase(suite, walks);
    return suite;
}

int main(void)
{
    return run_suite(scan_suite());
}
