/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stage_forged.c -- a live area that was made to cost as much as it can: what recovery spends
 * on it is bounded. Counted are the bytes that it hashes, the batches that it goes through and the
 * calls that it makes, for time is not the same on each machine.
 */
#include "unit/fault_fixture.h"

#include "base/bytes.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "log/live.h"
#include "recovery/stage.h"
#include "support/run_suite.h"

enum { RING = 1 << 18, SALT = 77, EPOCH = 3, LEVELS = 1500, MEMBERS = 1000 };

#define FROM CLG_SEGMENT_DATA_START
#define TO (FROM + RING)

static uint8_t area[CLG_LIVE_RING_AT + RING];
static struct clg_stage stage;
static struct clg_segment segment;
static const struct clg_scan_bounds any = {.epoch = 0, .time = INT64_MIN};

/* The bytes of the log, before they are laid into the ring. */
static uint8_t staged[RING];

static void forged_setup(void)
{
    setup();
    memset(staged, 0, sizeof(staged));
    segment = (struct clg_segment){.base = 0,
                                   .bytes = UINT64_C(16) << 20,
                                   .data_start = FROM,
                                   .data_end = (UINT64_C(16) << 20) - CLG_SEGMENT_FOOTER,
                                   .salt = SALT};
}

/* As after clg_stage_open: nothing but the size of the ring and the order of the positions bounds
 * what is looked at, and the ring holds what `staged` does. */
static void open_stage(uint64_t claimed)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    for (uint64_t i = 0; i < RING; i++) {
        area[CLG_LIVE_RING_AT + ((FROM + i) & (RING - 1))] = staged[i];
    }
    ck_assert_int_eq(commitlog_fault_write(machine, "/area", 0, area, sizeof(area)), 0);
    int dir = os->open_dir(os, "/");
    ck_assert_int_ge(dir, 0);
    stage = (struct clg_stage){.os = os,
                               .fd = os->open_at(os, dir, "area", CLG_OS_OPEN_READ, 0),
                               .header.ring_bytes = RING,
                               .header.ring_offset = CLG_LIVE_RING_AT,
                               .live.usable = true,
                               .live.engine = CLG_ENGINE_STAGED,
                               .live.epoch = EPOCH,
                               .live.written = FROM,
                               .live.claimed = claimed};
    ck_assert_int_ge(stage.fd, 0);
    (void)os->close(os, dir);
}

/* What a search from there on finds; UINT64_MAX: nothing before `to`. */
static uint64_t search(uint64_t from, uint64_t to)
{
    uint64_t found = 0;
    ck_assert_int_eq(clg_stage_search(&stage, &segment, &any, from, to, &found, &err), 0);
    return found == to ? UINT64_MAX : found;
}

/* A record of these bytes whose checks hold for what `staged` has behind its header. */
static void seal(uint64_t position, uint32_t size, uint8_t kind, uint8_t flags)
{
    uint8_t *record = staged + (position - FROM);
    const struct clg_record_header header = {.epoch = EPOCH,
                                             .queue_number = CLG_QUEUE_NONE,
                                             .durable_back = CLG_DURABLE_BACK_NONE,
                                             .kind = kind,
                                             .flags = flags};
    clg_record_encode_header(record, &header);
    clg_store_le32(record, clg_record_seal(record, size, clg_record_seed(SALT, position)));
}

/* The header of a batch of which these are the members, as it says. */
static void seal_batch(uint64_t position, uint32_t count, uint64_t member_bytes)
{
    const struct clg_batch batch = {.count = count, .member_bytes = member_bytes};
    clg_batch_encode(staged + (position - FROM) + CLG_RECORD_HEADER_BYTES, &batch);
    seal(position, CLG_RECORD_HEADER_BYTES + CLG_BATCH_BODY_BYTES, CLG_KIND_BATCH, 0);
}

/* Behind the bound one more look is over: it is the largest that there is. */
static void want_bounded(void)
{
    const uint64_t most = clg_scan_hash_most(RING);
    ck_assert_uint_ge(stage.hashed_bytes, most); /* or the area was not expensive at all */
    ck_assert_uint_le(stage.hashed_bytes, most + RING);
}

/* At each place a header that holds, of a record up to the end, whose last byte is another one. */
START_TEST(headers_without_a_body_are_not_hashed_for_ever)
{
    for (uint64_t at = FROM; at + 2 * CLG_RECORD_HEADER_BYTES < TO; at += CLG_RECORD_HEADER_BYTES) {
        seal(at, (uint32_t)(TO - at), CLG_KIND_MESSAGE, 0);
    }
    staged[RING - 1] ^= 1;
    open_stage(TO);
    ck_assert_uint_eq(search(FROM, TO), UINT64_MAX);
    want_bounded();
    const uint64_t spent = stage.hashed_bytes;
    ck_assert_uint_eq(search(FROM, TO), UINT64_MAX); /* nor are they by the next search */
    ck_assert_uint_eq(stage.hashed_bytes, spent);
    clg_stage_close(&stage);
}
END_TEST

/* Each batch lies in the body of the only whole member of the one before. */
START_TEST(batches_within_batches_are_not_gone_through_for_ever)
{
    const uint32_t header_bytes = CLG_RECORD_HEADER_BYTES + CLG_BATCH_BODY_BYTES;
    const uint32_t level_bytes = header_bytes + CLG_RECORD_HEADER_BYTES;
    const uint64_t end = TO - 2 * CLG_RECORD_HEADER_BYTES; /* zeros where the second should be */
    for (uint32_t level = LEVELS; level-- > 0;) {
        const uint64_t at = FROM + (uint64_t)level * level_bytes;
        const uint64_t member = at + header_bytes;
        seal(member, (uint32_t)(end - member), CLG_KIND_MESSAGE, CLG_RECORD_MEMBER);
        seal_batch(at, 2, TO - member);
    }
    open_stage(TO);
    const uint64_t allocs = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC);
    ck_assert_uint_eq(search(FROM, TO), UINT64_MAX);
    want_bounded();
    /* One for what each batch checks, and each hashed most of the ring. */
    ck_assert_uint_le(commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC) - allocs,
                      clg_scan_hash_most(RING) / (RING / 2));
    clg_stage_close(&stage);
}
END_TEST

/* Of a thousand members the last one is not whole: once they are gone through as a batch, and each
 * is looked at alone. */
START_TEST(a_batch_that_is_not_whole_is_gone_through_once)
{
    const uint32_t size = 2 * CLG_RECORD_HEADER_BYTES;
    const uint64_t members = FROM + CLG_RECORD_HEADER_BYTES + CLG_BATCH_BODY_BYTES;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        seal(members + (uint64_t)i * size, size, CLG_KIND_MESSAGE, CLG_RECORD_MEMBER);
    }
    staged[members - FROM + (uint64_t)MEMBERS * size - 1] ^= 1;
    seal_batch(FROM, MEMBERS, (uint64_t)MEMBERS * size);
    open_stage(TO);
    const uint64_t allocs = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC);
    const uint64_t reads = commitlog_fault_count(machine, COMMITLOG_FAULT_READ);
    ck_assert_uint_eq(search(FROM, TO), UINT64_MAX);
    ck_assert_uint_eq(stage.hashed_bytes, 2 * (uint64_t)MEMBERS * size + (members - FROM));
    ck_assert_uint_le(commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC) - allocs, 2);
    ck_assert_uint_le(commitlog_fault_count(machine, COMMITLOG_FAULT_READ) - reads, 4);
    clg_stage_close(&stage);
}
END_TEST

/* The writer says that it had claimed more than there is memory for: of one segment no more is
 * looked at than the ring holds. */
START_TEST(a_forged_claim_is_looked_at_for_one_ring)
{
    open_stage(UINT64_C(1) << 40);
    const uint64_t reads = commitlog_fault_count(machine, COMMITLOG_FAULT_READ);
    ck_assert_uint_eq(search(segment.data_start, segment.data_end), UINT64_MAX);
    /* The ring in two parts, and once more for the headers that reach over its end. */
    ck_assert_uint_le(commitlog_fault_count(machine, COMMITLOG_FAULT_READ) - reads, 4);
    clg_stage_close(&stage);
}
END_TEST

/* Reads of a salvage of a store whose last writer was killed, one durable message of it damaged;
 * its live area has this word there, 0: its own. */
static uint64_t reads_of_a_salvage(uint64_t claimed)
{
    const char *name = NULL;
    char path[128];
    uint8_t word[8];
    setup();
    segment_bytes = UINT64_C(16) << 20;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(20, COMMITLOG_LEVEL_DURABLE);
    store_put(20, COMMITLOG_LEVEL_NONE);
    die(false);
    flip_body(0, 5);
    ck_assert_int_eq(commitlog_fault_name(machine, "/shm", 0, &name), 0);
    (void)snprintf(path, sizeof(path), "/shm/%s", name);
    memcpy(word, &claimed, sizeof(word)); /* in the machine's own order */
    if (claimed != 0) {
        ck_assert_int_eq(commitlog_fault_write(machine, path,
                                               offsetof(struct clg_live_area, claimed), word,
                                               sizeof(word)),
                         0);
    }
    const uint64_t before = commitlog_fault_count(machine, COMMITLOG_FAULT_READ);
    ck_assert_msg(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL) == 0, "%s", err.message);
    const uint64_t reads = commitlog_fault_count(machine, COMMITLOG_FAULT_READ) - before;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 40);
    teardown();
    store = NULL;
    machine = NULL;
    return reads;
}

START_TEST(a_salvage_beside_a_forged_claim_reads_little_more)
{
    teardown();
    const uint64_t plain = reads_of_a_salvage(0);
    const uint64_t forged = reads_of_a_salvage(CLG_POSITION_MAX & ~UINT64_C(7));
    ck_assert_uint_le(forged, plain + 20);
    setup();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stage forged");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, forged_setup, teardown);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, headers_without_a_body_are_not_hashed_for_ever);
    tcase_add_test(all, batches_within_batches_are_not_gone_through_for_ever);
    tcase_add_test(all, a_batch_that_is_not_whole_is_gone_through_once);
    tcase_add_test(all, a_forged_claim_is_looked_at_for_one_ring);
    tcase_add_test(all, a_salvage_beside_a_forged_claim_reads_little_more);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
