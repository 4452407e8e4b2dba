/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment_forged.c -- lib/segment: batches that were made to cost as much as they can. Counted
 * are the bytes that a scan reads, for each of these records ends in another block than the one
 * before, so that none is hashed without being read.
 */
#include "unit/segment_fixture.h"

#include "segment/segment_scan.h"
#include "support/run_suite.h"

enum { LEVELS = 100 };

static struct world world;
static struct clg_segment *segment;

static void setup(void)
{
    world_begin(&world);
    segment = world_create(&world, 0, UINT64_C(8) << 20);
}

static void teardown(void)
{
    clg_segment_unref(segment);
    segment = NULL;
    world_end(&world);
}

/* A header that holds, of a member of so many bytes, which do not. */
static void put_member(uint64_t at, uint64_t size)
{
    uint8_t record[CLG_RECORD_HEADER_BYTES] = {0};
    const struct clg_record_header header = {.store_time = 3000,
                                             .epoch = 2,
                                             .kind = CLG_KIND_MESSAGE,
                                             .flags = CLG_RECORD_MEMBER,
                                             .check = 1,
                                             .durable_back = CLG_DURABLE_BACK_NONE};
    clg_record_encode_header(record, &header);
    clg_store_le32(
        record, clg_record_seal_header(record, (uint32_t)size, clg_record_seed(segment->salt, at)));
    ck_assert_int_eq(clg_segment_pwrite(segment, record, sizeof(record), at, NULL), 0);
}

/* Each batch says that it ends soon behind its header, and the member there that it has megabytes:
 * it belongs to no batch of that size, and the next batch begins within it. So the file is gone
 * through once for all of them and not once for each. */
START_TEST(a_member_that_is_larger_than_its_batch_is_not_read)
{
    struct scribe pen = scribe_at(segment);
    struct clg_scan scan;
    struct clg_scan_record record;
    uint8_t body[CLG_BATCH_BODY_BYTES];
    const struct clg_batch batch = {.count = 2, .member_bytes = 2 * CLG_RECORD_HEADER_BYTES};
    uint32_t batches = 0;
    clg_batch_encode(body, &batch);
    pen.time = 3000;
    for (uint64_t i = 0; i < LEVELS; i++) {
        pen.time = 3000;
        (void)scribe_put(&pen, CLG_KIND_BATCH, body, sizeof(body));
        const uint64_t end = (UINT64_C(4) << 20) + i * CLG_SCAN_BLOCK_BYTES;
        put_member(pen.at, end - pen.at);
        pen.at += batch.member_bytes;
    }
    clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
    const uint64_t before = world.read_bytes;
    for (;;) {
        ck_assert_int_eq(clg_scan_step(&scan, &record, NULL), 0);
        if (record.verdict != CLG_SCAN_BAD_BATCH) {
            break;
        }
        batches++;
        clg_scan_skip(&scan, clg_scan_damage_end(&record));
    }
    ck_assert_int_eq(record.verdict, CLG_SCAN_FREE);
    ck_assert_uint_eq(batches, LEVELS);
    ck_assert_uint_le(world.read_bytes - before, 2 * segment->bytes);
    clg_scan_free(&scan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment forged");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, a_member_that_is_larger_than_its_batch_is_not_read);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
