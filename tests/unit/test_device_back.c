/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_device_back.c -- a device that does not answer for a moment, and then does: what was asked
 * for meanwhile is EIO, and nothing is the worse for it. And what headers tell of the log before
 * them, when what they are of was torn.
 */
#include "unit/fault_fixture.h"

#include "format/checkpoint.h"
#include "format/record.h"
#include "support/run_suite.h"

enum { COUNT = 300, BODY = 1000, FETCH = 64 };

static void device_setup(void)
{
    static const char body[BODY];
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, BODY, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static void open_as(uint64_t access)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_BORROW, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, NULL), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_SCRUB_BYTES_PER_S, 100000000, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
}

static uint32_t read_queue(uint32_t queue)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint32_t count = 0;
    int32_t rc;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    while ((rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL)) == 0) {
        ck_assert_uint_eq(messages[0].queue_offset, got); /* there is one queue */
        got += count;
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    return got;
}

/* All of it, by queue and over all queues, and no damage is known. */
static uint32_t read_all(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    const uint32_t got = read_queue(0);
    ck_assert_uint_eq(read_queue(COMMITLOG_QUEUE_ALL), got);
    ck_assert_int_eq(commitlog_damage_get(store, 0, &damage), COMMITLOG_ENOTFOUND);
    return got;
}

/* Who asked while it was silent is not asked again within a second. */
static void seconds_pass(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    os->sleep_ns(os, INT64_C(2000000000));
}

START_TEST(what_is_asked_for_meanwhile_is_an_error_and_there_again_later)
{
    static uint8_t buffer[16 * BODY];
    struct commitlog_message messages[8];
    uint32_t count = 0;
    open_as(_i == 0 ? COMMITLOG_READ_WRITE : COMMITLOG_READ_ONLY);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, 1, EIO, 1), 0);
    ck_assert_int_eq(
        commitlog_read_copy(store, topic, 0, 0, buffer, sizeof(buffer), messages, 8, &count, NULL),
        COMMITLOG_EIO);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, 0, 0, 0), 0);
    seconds_pass();
    ck_assert_uint_eq(read_all(), COUNT);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    open_as(COMMITLOG_READ_WRITE);
    ck_assert_uint_eq(read_all(), COUNT);
    ck_assert_uint_eq(store_count(), COUNT);
}
END_TEST

START_TEST(upkeep_that_scrubs_meanwhile_spoils_no_file)
{
    uint32_t wait_ms = 0;
    open_as(COMMITLOG_READ_WRITE);
    ck_assert_uint_eq(read_all(), COUNT); /* all files are open */
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, 1, EIO, 1), 0);
    for (uint32_t i = 0; i < 200; i++) {
        (void)commitlog_step(store, 1000, &wait_ms);
        commitlog_fault_os(machine)->sleep_ns(commitlog_fault_os(machine), 100000000);
    }
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, 0, 0, 0), 0);
    seconds_pass();
    for (uint32_t i = 0; i < 20; i++) {
        (void)commitlog_step(store, 1000, &wait_ms);
    }
    ck_assert_uint_eq(read_queue(0), COUNT);
    (void)commitlog_close(store, &err);
    store = NULL;
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    open_as(COMMITLOG_READ_WRITE);
    ck_assert_uint_eq(read_all(), COUNT);
    ck_assert_uint_eq(store_count(), COUNT);
}
END_TEST

static int32_t read_at(uint64_t offset)
{
    static uint8_t buffer[2 * BODY];
    struct commitlog_message message;
    uint32_t count = 0;
    return commitlog_read_copy(store, topic, 0, offset, buffer, sizeof(buffer), &message, 1, &count,
                               NULL);
}

/* A sector that never reads again, and with it the queue file of its segment is lost: the rest of
 * the segment is there after a while, and other segments at once. */
START_TEST(a_dead_sector_hides_its_segment_for_seconds_and_no_other_one)
{
    static const char log_path[] = "/store/log/00000000000000000000.log";
    static const char queue_path[] = "/store/view/00000000000000000000.cq";
    enum { DEAD_AT = 20000, SOUND = 40, LATER = 250 };
    const void *data = NULL;
    uint64_t bytes = 0;
    open_as(_i == 0 ? COMMITLOG_READ_WRITE : COMMITLOG_READ_ONLY);
    ck_assert_int_eq(commitlog_fault_remove(machine, queue_path), 0);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, log_path, DEAD_AT, 512), 0);
    ck_assert_int_eq(read_at(LATER), COMMITLOG_OK);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(read_at(0), COMMITLOG_EIO);
        ck_assert_int_eq(read_at(LATER), COMMITLOG_OK);
        seconds_pass();
    }
    ck_assert_int_eq(read_at(0), COMMITLOG_OK);
    ck_assert_int_eq(read_at(SOUND), COMMITLOG_OK);
    (void)commitlog_close(store, &err);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_content(machine, queue_path, &data, &bytes),
                     COMMITLOG_ENOTFOUND); /* nothing less than all is written */
}
END_TEST

/* Its queue file is lost, and there is no memory to make it anew: that is said, and it is there
 * when there is memory again. */
START_TEST(memory_that_fails_while_a_file_is_made_anew_is_told)
{
    static const char queue_path[] = "/store/view/00000000000000000000.cq";
    uint64_t nth = 0;
    int32_t rc = COMMITLOG_ENOMEM;
    for (uint32_t failures = 0; rc != COMMITLOG_OK; failures++) {
        ck_assert_uint_lt(failures, 100);
        open_as(_i == 0 ? COMMITLOG_READ_WRITE : COMMITLOG_READ_ONLY);
        (void)commitlog_fault_remove(machine, queue_path);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, ++nth, ENOMEM, 0), 0);
        rc = read_at(0);
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_ENOMEM);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
        ck_assert_int_eq(read_at(0), COMMITLOG_OK);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    ck_assert_uint_gt(nth, 3);
}
END_TEST

static int no_fallocate(const struct commitlog_os *os, int fd, enum clg_os_fallocate_mode mode,
                        uint64_t at, uint64_t size)
{
    (void)os;
    (void)fd;
    (void)mode;
    (void)at;
    (void)size;
    return -EOPNOTSUPP;
}

/* Segments grow by ftruncate then, and no block is promised: the log goes on all the same. */
START_TEST(without_fallocate_the_log_goes_on_over_segments)
{
    static const char body[BODY];
    uint32_t wait_ms = 0;
    struct commitlog_os table = *commitlog_fault_os(machine);
    table.fallocate = no_fallocate;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        (void)commitlog_step(store, 1000, &wait_ms); /* makes segments ahead */
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, BODY, COMMITLOG_LEVEL_WRITTEN, NULL), 0);
    }
    ck_assert_uint_eq(read_all(), 2 * COUNT);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_uint_eq(store_count(), 2 * COUNT);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

/* A store into a block that a full disk does not have would be SIGBUS: the map is refused before
 * anything is claimed, and what is there goes on being read. */
START_TEST(the_mmap_engine_enters_no_segment_without_reserved_blocks)
{
    static const char body[BODY];
    struct commitlog_os table = *commitlog_fault_os(machine);
    int32_t rc = COMMITLOG_OK;
    uint32_t done = 0;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_MMAP, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    table.fallocate = no_fallocate;
    for (; rc == COMMITLOG_OK && done < COUNT; done += rc == COMMITLOG_OK) {
        rc = commitlog_append(store, topic, 0, body, BODY, COMMITLOG_LEVEL_WRITTEN, NULL);
    }
    ck_assert_int_eq(rc, COMMITLOG_EIO);
    ck_assert_uint_gt(done, 0);
    ck_assert_uint_eq(read_all(), COUNT + done);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), COUNT + done);
    ck_assert_int_eq(commitlog_append(store, topic, 0, body, BODY, COMMITLOG_LEVEL_DURABLE, NULL),
                     0);
}
END_TEST

static struct {
    const struct commitlog_os *under;
    int answer; /* to a read; 0: what there is */
    uint32_t refused;
} silent;

static int64_t silent_pread(const struct commitlog_os *os, int fd, void *buf, size_t size,
                            uint64_t at)
{
    (void)os;
    silent.refused += silent.answer != 0;
    return silent.answer != 0 ? silent.answer
                              : silent.under->pread(silent.under, fd, buf, size, at);
}

/* The segments that a killed writer left are counted before they are sealed. A call that fails is
 * no verdict on them, and nothing was written that had to hold. */
START_TEST(a_read_that_fails_while_sealing_is_tried_again)
{
    uint32_t wait_ms = 0;
    silent.under = commitlog_fault_os(machine);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(5000, COMMITLOG_LEVEL_NONE);
    die(false);
    silent.under = commitlog_fault_os(machine);
    struct commitlog_os table = *silent.under;
    table.pread = silent_pread;
    silent.answer = 0;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    silent.refused = 0;
    silent.answer = -ESTALE;
    for (int i = 0; i < 10; i++) {
        (void)commitlog_step(store, 1000, &wait_ms);
    }
    ck_assert_uint_gt(silent.refused, 0);
    silent.answer = 0;
    store_put(10, COMMITLOG_LEVEL_DURABLE);
    for (int i = 0; i < 10; i++) {
        (void)commitlog_step(store, 1000, &wait_ms);
    }
    ck_assert_uint_eq(store_count(), COUNT + 5010);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

/* Two blocks that do not read are no more than a torn write may leave, however often what is
 * searched ends at the stage. */
START_TEST(blocks_behind_the_stage_are_counted_once)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(20, COMMITLOG_LEVEL_DURABLE);
    store_put(1, COMMITLOG_LEVEL_WRITTEN);
    store_put(20, COMMITLOG_LEVEL_NONE);
    die(false);
    static uint8_t blocks[8192];
    const uint8_t *file = NULL;
    memset(blocks, 1, sizeof(blocks));
    const uint64_t header = find_body(segment_path(0), 20, &file) - CLG_RECORD_HEADER_BYTES;
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0), header + 8, 1), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(0), 40960, blocks, sizeof(blocks)),
                     0);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, segment_path(0), 40960, sizeof(blocks)), 0);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_ge(store_count(), 20);
}
END_TEST

/* ---- what headers say of the log before them ---- */

enum { LARGE = 20000, TORN = 4096, SECTOR = 512 };

static const char log_path[] = "/store/log/00000000000000000000.log";

static void append_large(uint32_t count, struct commitlog_receipt *last)
{
    static const char body[LARGE];
    const struct commitlog_slice slice = {body, LARGE};
    struct commitlog_record records[2];
    struct commitlog_receipt receipts[2];
    for (uint32_t i = 0; i < count; i++) {
        records[i] = (struct commitlog_record){.struct_bytes = sizeof(records[i]),
                                               .topic = topic,
                                               .level = COMMITLOG_LEVEL_WRITTEN,
                                               .body = &slice,
                                               .body_count = 1};
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, count, 0, receipts, &err), 0);
    *last = receipts[count - 1];
}

/* The record in front is acknowledged and has rotted; the one behind it was torn by the cut. Its
 * header is there, and says that the one in front was durable. */
START_TEST(a_torn_record_says_that_the_one_before_it_was_durable)
{
    static const uint8_t zeros[TORN];
    struct commitlog_receipt before = {0};
    struct commitlog_receipt torn = {0};
    segment_bytes = 1 << 20;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, zeros, BODY, COMMITLOG_LEVEL_DURABLE, &before), 0);
    }
    append_large((uint32_t)_i + 1, &torn);
    commitlog_fault_set_survival(machine, 100);
    commitlog_fault_power_cut(machine);
    (void)commitlog_close(store, NULL);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_flip(machine, log_path, before.position + 300, 1), 0);
    uint64_t at = (torn.end_position - TORN) / SECTOR * SECTOR;
    static const uint8_t others[SECTOR] = {1}; /* not what was to be there */
    ck_assert_int_eq(commitlog_fault_write(machine, log_path, at, others, SECTOR), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(an_epoch_that_cannot_rise_is_refused)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    uint8_t file[CLG_CHECKPOINT_SLOTS * CLG_FORMAT_PAGE_BYTES];
    struct clg_checkpoint checkpoint;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof(file));
    memcpy(file, data, sizeof(file));
    ck_assert_int_eq(clg_checkpoint_choose(file, NULL, false, &checkpoint), 0);
    checkpoint.epoch = UINT32_MAX;
    clg_checkpoint_encode(file + CLG_FORMAT_PAGE_BYTES * clg_checkpoint_slot(checkpoint.sequence),
                          &checkpoint);
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/CHECKPOINT", 0, file, sizeof(file)), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_ELIMIT);
    open_as(COMMITLOG_READ_ONLY);
    ck_assert_uint_eq(read_all(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device back");
    TCase *cases = tcase_create("device");
    tcase_add_checked_fixture(cases, device_setup, teardown);
    tcase_add_loop_test(cases, what_is_asked_for_meanwhile_is_an_error_and_there_again_later, 0, 2);
    tcase_add_test(cases, upkeep_that_scrubs_meanwhile_spoils_no_file);
    tcase_add_loop_test(cases, a_dead_sector_hides_its_segment_for_seconds_and_no_other_one, 0, 2);
    tcase_add_loop_test(cases, memory_that_fails_while_a_file_is_made_anew_is_told, 0, 2);
    tcase_add_test(cases, without_fallocate_the_log_goes_on_over_segments);
    tcase_add_test(cases, the_mmap_engine_enters_no_segment_without_reserved_blocks);
    tcase_add_test(cases, a_read_that_fails_while_sealing_is_tried_again);
    suite_add_tcase(suite, cases);
    TCase *headers = tcase_create("headers");
    tcase_add_checked_fixture(headers, setup, teardown);
    tcase_add_loop_test(headers, a_torn_record_says_that_the_one_before_it_was_durable, 0, 2);
    tcase_add_test(headers, blocks_behind_the_stage_are_counted_once);
    tcase_add_test(headers, an_epoch_that_cannot_rise_is_refused);
    suite_add_tcase(suite, headers);
    return run_suite(suite);
}
