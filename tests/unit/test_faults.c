/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_faults.c -- the public interface on a machine in memory whose calls fail: one test for each
 * thing that the fault programs have found, and what the machine itself promises them.
 */
#include "unit/fault_fixture.h"

#include "format/checkpoint.h"
#include "support/run_suite.h"

START_TEST(what_is_held_is_counted_and_given_back_by_close)
{
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_gt(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    ck_assert_uint_gt(commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN), 0);
    ck_assert_uint_gt(commitlog_fault_held(machine, COMMITLOG_FAULT_MAP), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_MAP), 0);
}
END_TEST

START_TEST(a_copy_of_a_dead_machine_is_of_the_moment_of_its_death)
{
    struct commitlog_fault *copy = NULL;
    const void *before;
    const void *after;
    uint64_t bytes;
    uint64_t more;
    static const char path[] = "/store/log/00000000000000000000.log";
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_MMAP), 0);
    store_put(1, COMMITLOG_LEVEL_NONE);
    commitlog_fault_cut_at(machine, 1);
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, "not durable", 11, COMMITLOG_LEVEL_DURABLE, NULL),
        COMMITLOG_EUNKNOWN);
    ck_assert_uint_eq(commitlog_fault_is_dead(machine), 1);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &before, &bytes), 0);
    ck_assert_int_eq(commitlog_fault_clone(machine, 3, &copy), 0);
    ck_assert_int_eq(commitlog_fault_content(copy, path, &after, &more), 0);
    ck_assert_uint_eq(bytes, more);
    /* The record had been stored before the flush, which is the call that the power met. */
    ck_assert_mem_eq(before, after, (size_t)bytes);
    commitlog_fault_free(copy);
    ck_assert_int_ne(commitlog_close(store, NULL), 0);
    store = NULL;
}
END_TEST

START_TEST(content_is_written_cut_and_removed_on_the_disk_too)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    const char *name = NULL;
    uint64_t changes = commitlog_fault_changes(machine);
    commitlog_fault_set_survival(machine, 0);
    ck_assert_int_eq(commitlog_fault_write(machine, "/file", 3, "abc", 3), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, "/file", 4, "x", 1), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, "/none/file", 0, "abc", 3),
                     COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_fault_write(machine, "/file/file", 0, "abc", 3), COMMITLOG_ENOTDIR);
    ck_assert_int_eq(commitlog_fault_write(machine, "/shm", 0, "abc", 3), COMMITLOG_EINVAL);
    commitlog_fault_power_cut(machine);
    ck_assert_int_eq(commitlog_fault_content(machine, "/file", &data, &bytes), 0);
    ck_assert_uint_eq(bytes, 6);
    ck_assert_mem_eq(data, "\0\0\0axc", 6);
    ck_assert_int_eq(commitlog_fault_resize(machine, "/file", 4), 0);
    ck_assert_int_eq(commitlog_fault_resize(machine, "/file", 8), 0);
    commitlog_fault_power_cut(machine);
    ck_assert_int_eq(commitlog_fault_content(machine, "/file", &data, &bytes), 0);
    ck_assert_uint_eq(bytes, 8);
    ck_assert_mem_eq(data, "\0\0\0a\0\0\0\0", 8);
    ck_assert_int_eq(commitlog_fault_resize(machine, "/other", 4), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/file"), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/file"), COMMITLOG_ENOTFOUND);
    commitlog_fault_power_cut(machine);
    ck_assert_int_eq(commitlog_fault_name(machine, "/", 0, &name), 0);
    ck_assert_str_eq(name, "shm");
    ck_assert_int_eq(commitlog_fault_name(machine, "/", 1, &name), COMMITLOG_ENOTFOUND);
    commitlog_fault_set_free(machine, 4096);
    ck_assert_int_eq(commitlog_fault_write(machine, "/file", 4000, "abc", 3), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, "/file", 5000, "abc", 3), COMMITLOG_ENOSPC);
    ck_assert_uint_eq(commitlog_fault_changes(machine), changes);
}
END_TEST

START_TEST(an_epoch_that_was_served_does_not_come_again)
{
    /* Each flush of a directory during the creation fails once; the next open succeeds, and what
     * it serves is on the disk, the name of CHECKPOINT too. */
    commitlog_fault_set_survival(machine, 0);
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC_DIR, (uint64_t)_i + 1, EIO, 0);
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK) {
        die(false);
        commitlog_fault_set_survival(machine, 0);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    }
    uint32_t epoch = store_positions().epoch;
    die(true);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_gt(store_positions().epoch, epoch);
}
END_TEST

START_TEST(an_epoch_does_not_come_again_when_its_slot_does_not_read)
{
    /* Four sessions, so that both slots are used; then each read of an open fails once. */
    struct commitlog_fault *origin = NULL;
    bool struck = true;
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        store_put(2, COMMITLOG_LEVEL_DURABLE);
        die(false);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    uint32_t epoch = store_positions().epoch;
    die(true);
    origin = machine;
    for (uint64_t nth = 1; struck; nth++) {
        ck_assert_int_eq(commitlog_fault_clone(origin, nth, &machine), 0);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, nth, EIO, 0);
        if (store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK) {
            ck_assert_uint_gt(store_positions().epoch, epoch);
        }
        struck = commitlog_fault_count(machine, COMMITLOG_FAULT_READ) >= nth;
        (void)commitlog_close(store, NULL);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = origin;
}
END_TEST

/* The slot of the newest session is gone for good, and no record tells of that session. */
START_TEST(an_epoch_does_not_come_again_when_its_slot_is_lost)
{
    uint64_t newest = 0;
    const void *content;
    uint64_t bytes;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        if (i == 0) {
            store_put(2, COMMITLOG_LEVEL_DURABLE);
        }
        die(false);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    uint32_t epoch = store_positions().epoch;
    die(true);
    ck_assert_int_eq(commitlog_fault_content(machine, "/store/CHECKPOINT", &content, &bytes), 0);
    ck_assert_uint_ge(bytes, 2 * CLG_FORMAT_PAGE_BYTES);
    for (uint64_t slot = 0; slot < 2; slot++) {
        struct clg_checkpoint checkpoint;
        const uint8_t *page = (const uint8_t *)content + slot * CLG_FORMAT_PAGE_BYTES;
        ck_assert_int_eq(clg_checkpoint_decode(page, (uint32_t)slot, NULL, false, &checkpoint), 0);
        newest = checkpoint.epoch == epoch ? slot : newest;
    }
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/CHECKPOINT",
                                          newest * CLG_FORMAT_PAGE_BYTES + 100, 0xff),
                     0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_gt(store_positions().epoch, epoch);
}
END_TEST

START_TEST(close_makes_everything_durable_without_memory)
{
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 1, ENOMEM, 1);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, "abc", 3, COMMITLOG_LEVEL_NONE, NULL),
                         0);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
    die(true);
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_uint_eq(store_count(), 3);
}
END_TEST

/* The fold of a writer needs no map that a file system which has given up could refuse, or answer
 * with SIGBUS: the mmap engine has it from the moment on that it enters a segment, and the staged
 * one does without, also where a large record is not in the ring. */
START_TEST(what_is_appended_is_folded_when_nothing_can_be_mapped)
{
    uint8_t large[40000] = {0}; /* more than half the ring */
    stage_bytes = 65536;
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_MAP, 1, EROFS, 1);
    store_put(2, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, large, sizeof(large), COMMITLOG_LEVEL_NONE, NULL), 0);
    store_put(1, COMMITLOG_LEVEL_NONE);
    ck_assert_uint_eq(store_count(), 4);
}
END_TEST

/* Each call of an open after a kill fails for ever for want of descriptors: that is what the open
 * says, and what was acknowledged, in the stage too, is there afterwards. */
static void without_descriptors(uint32_t kind, uint64_t engine, bool checkpoint_lost)
{
    struct commitlog_fault *origin = NULL;
    bool struck = true;
    ck_assert_int_eq(store_open(engine), 0);
    store_put(4, COMMITLOG_LEVEL_DURABLE);
    store_put(3, COMMITLOG_LEVEL_NONE);
    die(false);
    for (uint64_t at = 100; checkpoint_lost && at < 8192; at += 4096) {
        ck_assert_int_eq(commitlog_fault_flip(machine, "/store/CHECKPOINT", at, 0xff), 0);
    }
    origin = machine;
    for (uint64_t nth = 1; struck; nth++) {
        ck_assert_int_eq(commitlog_fault_clone(origin, nth, &machine), 0);
        (void)commitlog_fault_fail(machine, kind, nth, EMFILE, nth % 2 == 0);
        int32_t rc = store_open(engine);
        struck = commitlog_fault_count(machine, kind) >= nth;
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_ELIMIT, "kind %u, call %u: %s: %s",
                      kind, (unsigned)nth, commitlog_error_name(rc), err.message);
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        if (rc != COMMITLOG_OK) {
            ck_assert_int_eq(store_open(engine), 0);
        }
        ck_assert_uint_eq(store_count(), 7);
        ck_assert_int_eq(commitlog_close(store, NULL), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = origin;
}

START_TEST(want_of_descriptors_is_not_damage)
{
    static const uint32_t kinds[] = {COMMITLOG_FAULT_OPEN, COMMITLOG_FAULT_READ,
                                     COMMITLOG_FAULT_STAT};
    without_descriptors(kinds[_i / 2], (uint64_t)_i % 2, false);
}
END_TEST

/* Then the headers of the segments are asked what store this is. */
START_TEST(want_of_descriptors_is_not_damage_when_checkpoint_is)
{
    static const uint32_t kinds[] = {COMMITLOG_FAULT_OPEN, COMMITLOG_FAULT_READ,
                                     COMMITLOG_FAULT_STAT};
    without_descriptors(kinds[_i / 2], (uint64_t)_i % 2, true);
}
END_TEST

START_TEST(a_device_that_reads_nothing_loses_nothing)
{
    struct commitlog_fault *origin = NULL;
    const uint32_t count = _i < 2 ? 500 : 3; /* many blocks, and one: that could be a torn write */
    bool struck = true;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(count, COMMITLOG_LEVEL_DURABLE);
    die(_i % 2 == 1);
    origin = machine;
    for (uint64_t nth = 1; struck; nth++) {
        ck_assert_int_eq(commitlog_fault_clone(origin, nth, &machine), 0);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, nth, EIO, 1);
        int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
        struck = commitlog_fault_count(machine, COMMITLOG_FAULT_READ) >= nth;
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_EIO || rc == COMMITLOG_EDAMAGED);
        die(false);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        ck_assert_uint_eq(store_count(), count);
        ck_assert_int_eq(commitlog_close(store, NULL), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = origin;
}
END_TEST

/* No witness says that they were durable: a sector that a torn write left, on a device that reads.
 */
START_TEST(one_block_that_does_not_read_above_the_witness_is_cut)
{
    static const char *const path = "/store/log/00000000000000000000.log";
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    die(true);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 8192, 4096), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    ck_assert_uint_eq(recovery.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_uint_eq(recovery.end, 8192);
}
END_TEST

/* The kth change of an open meets the death of the machine, or its kth read fails once and then it
 * dies; nothing unflushed is on the disk. */
static void open_and_lose_power(const struct commitlog_fault *origin, bool reads, uint64_t k,
                                uint64_t count)
{
    struct commitlog_fault *next = NULL;
    ck_assert_int_eq(commitlog_fault_clone(origin, k, &machine), 0);
    commitlog_fault_cut_at(machine, reads ? 0 : k);
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_READ, reads ? k : 0, EIO, 0);
    (void)store_open(COMMITLOG_ENGINE_STAGED);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    (void)commitlog_close(store, NULL);
    store = NULL;
    commitlog_fault_free(machine);
    machine = next;
    commitlog_fault_set_survival(machine, 0);
    commitlog_fault_power_cut(machine);
    int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(store_count(), count);
    ck_assert_int_eq(commitlog_close(store, NULL), 0);
    store = NULL;
    commitlog_fault_free(machine);
}

START_TEST(a_retention_that_was_killed_is_no_gap_after_a_power_cut)
{
    enum { COUNT = 3500 };
    struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 65536};
    struct commitlog_fault *origin = NULL;
    struct commitlog_fault *killed = NULL;
    bool dead = true;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(COUNT, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_close(store, NULL), 0);
    store = NULL;
    origin = machine;
    for (uint64_t n = 1; dead; n++) {
        ck_assert_int_eq(commitlog_fault_clone(origin, n, &machine), 0);
        commitlog_fault_set_survival(machine, 0);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        commitlog_fault_cut_at(machine, n);
        (void)commitlog_retain(store, &policy, NULL, NULL);
        dead = commitlog_fault_is_dead(machine) != 0;
        die(false);
        killed = machine;
        commitlog_fault_set_survival(killed, 0);
        for (uint64_t k = 1; k <= 24; k++) {
            open_and_lose_power(killed, false, k, COUNT);
            open_and_lose_power(killed, true, k, COUNT);
        }
        commitlog_fault_free(killed);
    }
    machine = origin;
}
END_TEST

START_TEST(a_topic_that_is_not_in_the_log_is_not_created)
{
    /* Each allocation fails once: a topic that was opened all the same is durable with the rest. */
    bool struck = true;
    struct commitlog_fault *origin = machine;
    for (uint64_t nth = 1; struck; nth++) {
        ck_assert_int_eq(commitlog_fault_clone(origin, nth, &machine), 0);
        ck_assert_int_eq(store_open((uint64_t)_i), 0);
        uint64_t before = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 0);
        int32_t rc = commitlog_topic_open(store, "t", 1, 1, &topic, &err);
        struck = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC) >= before + nth;
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_ENOMEM);
        if (rc == COMMITLOG_ENOMEM) { /* again, and now it is there */
            ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
        }
        ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
        die(true);
        ck_assert_int_eq(store_open((uint64_t)_i), 0);
        ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
        ck_assert_int_eq(commitlog_close(store, NULL), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    machine = origin;
}
END_TEST

/* Its only definition, behind the end of no witness, is damaged, and salvage makes a hole of it. */
START_TEST(a_new_topic_gets_no_messages_of_one_that_was_lost)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    const void *content;
    uint64_t bytes;
    uint64_t offset = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "of old", 6, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    }
    die(false);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &content, &bytes), 0);
    const uint8_t *name = memmem(content, (size_t)bytes, "of old", 6);
    ck_assert_ptr_nonnull(name);
    offset = (uint64_t)(name - (const uint8_t *)content);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, offset, 0xff), 0);
    ck_assert_int_eq(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                     COMMITLOG_RECOVER_SALVAGE),
                     0);
    ck_assert_int_eq(commitlog_topic_open(store, "of old", 6, 0, &topic, &err),
                     COMMITLOG_ENOTFOUND);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    die(false);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 1);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.queue_offset, 0);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_creation_says_why_the_directory_above_cannot_be_flushed)
{
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC_DIR, 1, ENOSPC, 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_ENOSPC);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_ENOSPC);
    ck_assert_int_eq(err.os_errno, ENOSPC);
}
END_TEST

/* A directory that is writable below one that is not (a volume of a container, or of a service
 * whose other files are protected): on ext4 that refuses to have its times set, which follows a
 * flush. */
START_TEST(a_creation_needs_no_right_to_change_the_directory_above)
{
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC_DIR, 1, ENOSPC, 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_ENOSPC);
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC_DIR, 1, EROFS, 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
}
END_TEST

/* What salvage has learnt of the live area is not lost when the open fails behind it, at whatever
 * allocation: not even if the device then loses the repairs too. */
START_TEST(a_salvage_that_fails_gives_no_position_again)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    static const uint8_t zeros[65536 - 12288 - 4096];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(200, COMMITLOG_LEVEL_DURABLE);
    uint64_t durable = store_positions().durable;
    ck_assert_uint_gt(durable, 16384);
    die(false);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 12288, zeros, 4096), 0);
    struct commitlog_fault *damaged = machine;
    int32_t rc = COMMITLOG_ENOMEM;
    uint32_t failed = 0;
    for (uint64_t nth = 1; rc != COMMITLOG_OK; nth++) {
        struct commitlog_receipt receipt;
        machine = NULL;
        ck_assert_int_eq(commitlog_fault_clone(damaged, nth, &machine), 0);
        const struct commitlog_os *os = commitlog_fault_os(machine);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 1);
        rc = store_open_with(os, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0);
        if (rc != COMMITLOG_OK) {
            failed++;
            ck_assert_int_eq(commitlog_fault_write(machine, path, 12288, zeros, sizeof(zeros)), 0);
            ck_assert_int_eq(
                store_open_with(os, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE), 0);
        }
        ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, &receipt),
            0);
        ck_assert_msg(receipt.position >= durable, "allocation %llu: %llu, durable was %llu",
                      (unsigned long long)nth, (unsigned long long)receipt.position,
                      (unsigned long long)durable);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        commitlog_fault_free(machine);
    }
    ck_assert_uint_gt(failed, 10);
    machine = damaged;
}
END_TEST

/* Of a writer that appended nothing only CHECKPOINT knows. */
START_TEST(an_epoch_that_a_record_has_does_not_come_again_without_checkpoint)
{
    uint32_t had = 0;
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        const uint32_t epoch = store_positions().epoch;
        ck_assert_uint_gt(epoch, had);
        if (i % 3 == 0) {
            store_put(1, COMMITLOG_LEVEL_NONE);
            had = epoch;
        }
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 2);
}
END_TEST

/* The next segment's name is flushed through the descriptor that was told of the failure. */
START_TEST(a_retention_that_cannot_flush_the_log_directory_fails_the_store)
{
    static const char body[1000] = "";
    const struct commitlog_retention keep = {.struct_bytes = sizeof(keep), .keep_bytes = 131072};
    struct commitlog_retained dropped = {.struct_bytes = sizeof(dropped)};
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(1, COMMITLOG_LEVEL_NONE);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, sizeof(body), COMMITLOG_LEVEL_WRITTEN, NULL),
            0);
    }
    uint32_t worked = 0;
    (void)commitlog_step(store, 1000000, &worked); /* the next segment is there */
    commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC_DIR, 1, EIO, 0);
    ck_assert_int_eq(commitlog_retain(store, &keep, &dropped, &err), COMMITLOG_EFAILED);
    ck_assert_ptr_nonnull(strstr(err.message, "flush of the directory log"));
    ck_assert_uint_eq(dropped.segments_dropped, 1);
    ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL),
                     COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_close(store, NULL), COMMITLOG_EFAILED);
    store = NULL;
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_uint_eq(store_count(), 301);
}
END_TEST

static Suite *faults_suite(void)
{
    Suite *suite = suite_create("faults");
    TCase *cases = tcase_create("machine and store");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_is_held_is_counted_and_given_back_by_close, 0, 2);
    tcase_add_test(cases, content_is_written_cut_and_removed_on_the_disk_too);
    tcase_add_test(cases, a_copy_of_a_dead_machine_is_of_the_moment_of_its_death);
    tcase_add_loop_test(cases, an_epoch_that_was_served_does_not_come_again, 0, 10);
    tcase_add_test(cases, an_epoch_does_not_come_again_when_its_slot_does_not_read);
    tcase_add_test(cases, an_epoch_does_not_come_again_when_its_slot_is_lost);
    tcase_add_test(cases, an_epoch_that_a_record_has_does_not_come_again_without_checkpoint);
    tcase_add_test(cases, a_new_topic_gets_no_messages_of_one_that_was_lost);
    tcase_add_loop_test(cases, close_makes_everything_durable_without_memory, 0, 2);
    tcase_add_loop_test(cases, what_is_appended_is_folded_when_nothing_can_be_mapped, 0, 2);
    tcase_add_loop_test(cases, want_of_descriptors_is_not_damage, 0, 6);
    tcase_add_loop_test(cases, want_of_descriptors_is_not_damage_when_checkpoint_is, 0, 6);
    tcase_add_loop_test(cases, a_device_that_reads_nothing_loses_nothing, 0, 4);
    tcase_add_test(cases, one_block_that_does_not_read_above_the_witness_is_cut);
    tcase_add_test(cases, a_retention_that_was_killed_is_no_gap_after_a_power_cut);
    tcase_add_loop_test(cases, a_retention_that_cannot_flush_the_log_directory_fails_the_store, 0,
                        2);
    tcase_add_loop_test(cases, a_topic_that_is_not_in_the_log_is_not_created, 0, 2);
    tcase_add_test(cases, a_creation_says_why_the_directory_above_cannot_be_flushed);
    tcase_add_test(cases, a_creation_needs_no_right_to_change_the_directory_above);
    tcase_add_test(cases, a_salvage_that_fails_gives_no_position_again);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(faults_suite());
}
