/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * edges_test.c -- sizes and moments where an append could go wrong by one.
 *
 * Records that just fit a segment and those that just do not, rolls at every distance from the
 * end, records larger than half the stage and than all of it, the largest batch, empty bodies, a
 * reservation that is held while others append, a full disk.
 *
 * Environment: SEED, ENGINE (0 or 1: only that one), ONLY (index of one part).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scratch.h"

enum { SEGMENT = 65536, STAGE = 65536 };

typedef unsigned long long ull;

static void begin(struct scratch *s, uint64_t engine)
{
    scratch_begin(s, "edges");
    scratch_set(s, COMMITLOG_OPT_ENGINE, engine);
}

static int32_t try_put(struct scratch *s, size_t bytes, struct commitlog_receipt *receipt)
{
    uint8_t *body = need_alloc(bytes);
    bytes_fill(body, bytes, bytes);
    int32_t rc =
        commitlog_append(s->store, s->topic, 0, body, bytes, COMMITLOG_LEVEL_NONE, receipt);
    free(body);
    return rc;
}

/* Around the largest body of an empty segment: taken or refused, never half of it; what is refused
 * leaves no trace, not even a pad or a new segment, however often it is tried. */
static void just_fits(uint64_t engine)
{
    struct scratch s;
    size_t largest = 0;
    begin(&s, engine);
    scratch_open(&s, 2);
    uint64_t offset = 0;
    for (size_t bytes = SEGMENT - 13000; bytes < SEGMENT - 12000; bytes += 4) {
        struct commitlog_receipt receipt;
        struct commitlog_positions before = scratch_positions(&s);
        uint32_t segments = scratch_segments(&s);
        int32_t rc = try_put(&s, bytes, &receipt);
        if (rc == COMMITLOG_OK) {
            CHECKF(largest == 0 || bytes == largest + 4, "%zu after %zu", bytes, largest);
            CHECK(receipt.queue_offset == offset);
            CHECK(scratch_is(&s, receipt.position, bytes, bytes));
            largest = bytes;
            offset++;
            continue;
        }
        CHECK_RC(rc, COMMITLOG_ETOOBIG);
        CHECKF(scratch_positions(&s).claimed == before.claimed,
               "a refused body of %zu bytes moved the log from %llu to %llu", bytes,
               (ull)before.claimed, (ull)scratch_positions(&s).claimed);
        CHECKF(scratch_segments(&s) == segments, "a refused body of %zu bytes made a segment",
               bytes);
    }
    CHECK(largest > 0 && largest < SEGMENT - 12004);
    CHECK(scratch_put(&s, 0, 0, 0).queue_offset == offset);
    scratch_close(&s);
    scratch_open(&s, 2);
    CHECK(scratch_count(&s, 0, 0) == offset + 1);
    scratch_end(&s);
}

/* Leaves every multiple of 8 up to 400 bytes free at the end of a segment, then goes on. */
static void every_distance(uint64_t engine)
{
    struct commitlog_receipt first, next, third;
    struct scratch s;
    uint32_t rolled_at_once = 0, stayed = 0;
    for (size_t back = 0; back < 400; back += 8) {
        size_t bytes = SEGMENT - 12288 - 760 + back; /* 760: epoch, definitions, header, pad */
        begin(&s, engine);
        scratch_open(&s, 2);
        first = scratch_put(&s, 0, bytes, 1);
        CHECK(first.position < SEGMENT);
        next = scratch_put(&s, 1, back % 3, 2);
        third = scratch_put(&s, 0, 200, 3);
        if (next.position > SEGMENT) {
            rolled_at_once++;
        } else {
            CHECK(next.position == first.end_position);
            stayed++;
        }
        for (uint32_t round = 0; round < 2; round++) {
            CHECK(scratch_is(&s, first.position, bytes, 1));
            CHECK(scratch_is(&s, next.position, back % 3, 2));
            CHECK(scratch_is(&s, third.position, 200, 3));
            CHECK(scratch_count(&s, 0, 0) == 2 && scratch_count(&s, 1, 0) == 1);
            scratch_close(&s);
            scratch_open(&s, 2);
        }
        scratch_end(&s);
    }
    CHECKF(stayed > 0, "rolled %u, stayed %u", rolled_at_once, stayed);
}

/* Around half the stage and the whole of it, mixed with small ones, at each level. */
static void larger_than_the_stage(uint64_t engine)
{
    static const size_t around[] = {STAGE / 4, STAGE / 2, STAGE, STAGE * 2, STAGE * 3};
    struct scratch s;
    struct commitlog_receipt receipts[60];
    size_t sizes[60];
    uint32_t count = 0;
    begin(&s, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, 4 * SEGMENT);
    scratch_open(&s, 2);
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        for (int64_t delta = -64; delta <= 8; delta += 8) {
            sizes[count] = (size_t)((int64_t)around[i] + delta);
            CHECK_RC(try_put(&s, sizes[count], &receipts[count]), COMMITLOG_OK);
            CHECK(scratch_is(&s, receipts[count].position, sizes[count], sizes[count]));
            if (++count % 3 == 0) {
                (void)scratch_put(&s, 1, 30, count);
            }
        }
    }
    CHECK(commitlog_sync(s.store, UINT64_MAX, COMMITLOG_FOREVER, &s.err) == COMMITLOG_OK);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < count; i++) {
            CHECK(receipts[i].queue_offset == i);
            CHECK(scratch_is(&s, receipts[i].position, sizes[i], sizes[i]));
        }
        CHECK(scratch_count(&s, 0, 0) == count);
        scratch_close(&s);
        scratch_open(&s, 2);
    }
    scratch_end(&s);
}

/* The most records a batch may have, all empty; one more is refused. */
static void largest_batch(uint64_t engine)
{
    const uint32_t most = 65536;
    struct commitlog_record *records = need_alloc((most + 1) * sizeof *records);
    struct commitlog_receipt *receipts = need_alloc(most * sizeof *receipts);
    struct scratch s;
    begin(&s, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, 8U << 20);
    scratch_open(&s, 2);
    for (uint32_t i = 0; i <= most; i++) {
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = s.topic;
        records[i].queue = i % 2;
        records[i].level = COMMITLOG_LEVEL_NONE;
    }
    int32_t rc =
        commitlog_append_batch(s.store, records, most + 1, COMMITLOG_FOREVER, NULL, &s.err);
    CHECKF(rc == COMMITLOG_EINVAL || rc == COMMITLOG_ETOOBIG, "%s", commitlog_error_name(rc));
    CHECK_OK(commitlog_append_batch(s.store, records, most, COMMITLOG_FOREVER, receipts, &s.err),
             &s.err);
    for (uint32_t i = 0; i < most; i++) {
        CHECK(receipts[i].queue_offset == i / 2);
        CHECK(i == 0 || receipts[i].position > receipts[i - 1].position);
    }
    for (uint32_t round = 0; round < 2; round++) {
        CHECK(scratch_count(&s, 0, 0) == most / 2 && scratch_count(&s, 1, 0) == most / 2);
        scratch_close(&s);
        scratch_open(&s, 2);
    }
    scratch_end(&s);
    free(records);
    free(receipts);
}

struct blocked {
    struct scratch *s;
    struct commitlog_reservation *reservation;
    _Atomic uint32_t done;
};

static void *append_until_done(void *arg)
{
    struct blocked *blocked = arg;
    for (uint32_t i = 0; i < 200; i++) {
        (void)scratch_put(blocked->s, 1, 1000, i);
        blocked->done = i + 1;
    }
    return NULL;
}

/* A held reservation lets others go on until the stage is full; then they wait, or time out with
 * nothing stored; its end lets them go on. */
static void held_reservation(uint64_t engine)
{
    struct scratch s;
    struct blocked blocked = {.s = &s};
    struct commitlog_record record = {.struct_bytes = sizeof record, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_slice body = {"twelve bytes", 12};
    struct commitlog_receipt receipt;
    void *place = NULL;
    pthread_t thread;
    begin(&s, engine);
    scratch_open(&s, 2);
    record.topic = s.topic;
    for (uint32_t end = 0; end < 2; end++) {
        CHECK_OK(commitlog_reserve(s.store, &record, 12, COMMITLOG_FOREVER, &blocked.reservation,
                                   &place, &s.err),
                 &s.err);
        blocked.done = 0;
        CHECK(pthread_create(&thread, NULL, append_until_done, &blocked) == 0);
        for (uint32_t i = 0; i < 100 && blocked.done <= 10; i++) {
            sleep_ms(100);
        }
        sleep_ms(100);
        if (engine == COMMITLOG_ENGINE_STAGED) {
            /* 200 KB do not fit a stage of 64 KiB. */
            CHECK(blocked.done > 10 && blocked.done < 70);
            struct commitlog_record big = record;
            struct commitlog_positions before = scratch_positions(&s);
            struct commitlog_slice pieces[1] = {{need_alloc(3000), 3000}};
            big.body = pieces;
            big.body_count = 1;
            CHECK_RC(commitlog_append_record(s.store, &big, 20, NULL, &s.err), COMMITLOG_ETIMEDOUT);
            CHECK(scratch_positions(&s).claimed == before.claimed);
            /* A size that can never fit is refused now, not after the wait. */
            pieces[0].bytes = 3000;
            struct commitlog_slice many[30];
            for (uint32_t i = 0; i < 30; i++) {
                many[i] = pieces[0];
            }
            big.body = many;
            big.body_count = 30;
            CHECK_RC(commitlog_append_record(s.store, &big, 20, NULL, &s.err), COMMITLOG_ETOOBIG);
            free((void *)(uintptr_t)pieces[0].data);
        }
        CHECK(scratch_queue(&s, 1).next_offset == 200 * end);
        memcpy(place, "twelve bytes", 12);
        if (end == 0) {
            CHECK_OK(commitlog_commit(blocked.reservation, COMMITLOG_FOREVER, &receipt, &s.err),
                     &s.err);
            CHECK(receipt.queue_offset == 0);
        } else {
            CHECK_RC(commitlog_abort(blocked.reservation), COMMITLOG_OK);
        }
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(blocked.done == 200);
        CHECK(scratch_count(&s, 1, 0) == 200 * (end + 1));
    }
    CHECK(scratch_queue(&s, 0).next_offset == 2 && scratch_count(&s, 0, 0) == 1);
    record.body = &body;
    record.body_count = 1;
    CHECK_OK(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, &receipt, &s.err),
             &s.err);
    CHECK(receipt.queue_offset == 2);
    scratch_end(&s);
}

/* Bodies that are copies of other records, raw from the file: none is ever taken for a record. */
static void bodies_that_look_like_records(uint64_t engine)
{
    struct scratch s;
    char name[DIRS_PATH_MAX];
    begin(&s, engine);
    scratch_open(&s, 2);
    for (uint32_t i = 0; i < 10; i++) {
        (void)scratch_put(&s, 0, 100, i);
    }
    scratch_close(&s);
    path_join(name, s.path, "log/00000000000000000000.log");
    struct file_bytes file = file_read(name);
    scratch_open(&s, 2);
    for (size_t size = 200; size < 20000; size = size * 2 + 8) {
        CHECK_RC(commitlog_append(s.store, s.topic, 1, file.data + 8192, size, COMMITLOG_LEVEL_NONE,
                                  NULL),
                 COMMITLOG_OK);
    }
    for (uint32_t round = 0; round < 2; round++) {
        CHECK(scratch_queue(&s, 0).next_offset == 10 && scratch_count(&s, 0, 0) == 10);
        CHECK(scratch_count(&s, 1, 0) == scratch_queue(&s, 1).next_offset);
        scratch_close(&s);
        scratch_open(&s, 2);
    }
    file_free(&file);
    scratch_end(&s);
}

/* Who makes topics on a full disk must not use up what retention needs. */
static void full_disk_topics(struct scratch *s)
{
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK; i++) {
        char name[32];
        uint32_t number = 0;
        int length = snprintf(name, sizeof name, "topic %u", i);
        CHECK(i < 100000);
        rc = commitlog_topic_open(s->store, name, (size_t)length, 1, &number, &s->err);
    }
    CHECK_RC(rc, COMMITLOG_ENOSPC);
}

/* In a file system of 3 MiB: an error that says so, nothing stored, reads go on, and once there
 * is room again appends go on by themselves. Exits 77 if no such file system can be had. */
static _Noreturn void full_disk_child(uint64_t engine)
{
    struct scratch s;
    struct commitlog_receipt receipt;
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    uint64_t stored = 0;
    int32_t rc = COMMITLOG_OK;
    char root[DIRS_PATH_MAX];
    dirs_make(root, "full");
    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", root, "tmpfs", 0, "size=3m") != 0) {
        dirs_remove(root);
        _exit(77);
    }
    CHECK(setenv("TEST_DIR", root, 1) == 0);
    begin(&s, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, 4 * SEGMENT);
    scratch_open(&s, 2);
    while (stored < 10000 && (rc = try_put(&s, 2000, &receipt)) == COMMITLOG_OK) {
        CHECK(receipt.queue_offset == stored);
        stored++;
    }
    CHECK_RC(rc, COMMITLOG_ENOSPC);
    CHECKF(stored > 300, "full after %llu records", (ull)stored);
    for (uint32_t i = 0; i < 50; i++) {
        CHECK_RC(try_put(&s, 2000, &receipt), COMMITLOG_ENOSPC);
    }
    full_disk_topics(&s);
    CHECK_RC(commitlog_failure(s.store, &s.err), COMMITLOG_OK);
    CHECK(scratch_queue(&s, 0).next_offset == stored && scratch_count(&s, 0, 0) == stored);
    CHECK_OK(commitlog_sync(s.store, UINT64_MAX, COMMITLOG_FOREVER, &s.err), &s.err);
    CHECK_OK(commitlog_retain(s.store, &policy, &out, &s.err), &s.err);
    CHECK(out.segments_dropped > 0);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK_RC(try_put(&s, 2000, &receipt), COMMITLOG_OK);
        CHECK(receipt.queue_offset == stored);
        stored++;
    }
    scratch_close(&s);
    scratch_open(&s, 2);
    CHECK(scratch_queue(&s, 0).next_offset == stored);
    CHECK(scratch_count(&s, 0, scratch_queue(&s, 0).first_offset) ==
          stored - scratch_queue(&s, 0).first_offset);
    scratch_end(&s);
    CHECK(umount(root) == 0);
    dirs_remove(root);
    _exit(0);
}

static void full_disk(uint64_t engine)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prog_watchdog(60);
        full_disk_child(engine);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        prog_skip("full disk", "may not mount a small file system here");
        return;
    }
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

int main(void)
{
    static void (*const parts[])(uint64_t) = {
        just_fits,        every_distance, larger_than_the_stage,        largest_batch,
        held_reservation, full_disk,      bodies_that_look_like_records};
    (void)prog_begin("edges_test");
    uint64_t only_engine = prog_env("ENGINE", 2);
    uint64_t only = prog_env("ONLY", UINT64_MAX);
    prog_watchdog(120);
    for (uint64_t engine = 0; engine < 2; engine++) {
        for (uint64_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            bool wanted =
                (only_engine == 2 || only_engine == engine) && (only == UINT64_MAX || only == i);
            prog_step(i);
            if (wanted) {
                parts[i](engine);
            }
        }
    }
    return prog_end();
}
