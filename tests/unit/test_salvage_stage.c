/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_salvage_stage.c -- a writer was killed and what it had flushed is damaged: a salvage keeps
 * what only its stage has, at whatever call it is stopped; what views had of a salvaged segment
 * does not come back; and what was lost of published records is told.
 */
#include "unit/fault_fixture.h"

#include "base/bytes.h"
#include "format/live_area.h"
#include "format/record.h"
#include "format/segment_header.h"
#include "format/topic_record.h"
#include "support/run_suite.h"

enum { DURABLE = 20, STAGED = 20, ALL = DURABLE + STAGED, WRITTEN = 5, BATCH = 10, MANY = 3000 };

static const char body[] = "0123456789";
static const char big[6000];

/* Messages that read, over those that do not: each has this body. */
static uint64_t read_bodies(const char *bytes, size_t size)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    uint32_t got = 0;
    uint64_t bound = 0;
    uint64_t all = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 32, 0, &got, &bound);
        if (rc == COMMITLOG_EEND || rc == COMMITLOG_EUNRECOVERED) {
            break;
        }
        for (uint32_t i = 0; rc == 0 && i < got; i++) {
            ck_assert_uint_eq(messages[i].body.bytes, size);
            ck_assert_int_eq(memcmp(messages[i].body.data, bytes, size), 0);
        }
        all += rc == 0 ? got : 0;
        if (rc != 0) {
            ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        }
    }
    commitlog_cursor_close(cursor);
    return all;
}

static uint64_t read_all(void)
{
    return read_bodies(body, sizeof(body) - 1);
}

static void close_store(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

/* Killed with STAGED messages that only its stage has, behind DURABLE ones. */
static void kill_staged(uint32_t level)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    store_put(STAGED, level);
    die(false);
}

/* And the nth of those is damaged. */
static void kill_and_damage(uint32_t level, uint32_t nth)
{
    kill_staged(level);
    flip_body(0, nth);
}

static void swap_segments(uint64_t one, uint64_t other)
{
    static uint8_t kept[65536];
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(one), &data, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof(kept));
    memcpy(kept, data, sizeof(kept));
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(other), &data, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof(kept));
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(one), 0, data, bytes), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(other), 0, kept, bytes), 0);
}

/* The last durable one too: then nothing valid follows it in the file. */
static const uint32_t damaged[] = {5, DURABLE - 1, 0};

START_TEST(salvage_keeps_what_only_the_stage_has)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    kill_and_damage(COMMITLOG_LEVEL_NONE, damaged[_i]);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, &found), 0);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_DAMAGED);
    ck_assert_uint_eq(found.records_from_stage, STAGED);
    ck_assert_uint_eq(found.records_cut, 0);
    ck_assert_uint_eq(found.damaged_ranges, 1);
    ck_assert_uint_eq(found.holes_made, 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), ALL - 1);
    ck_assert_uint_eq(store_count(), ALL);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* Where the nth message that was staged, drained since or not, is in the live area. */
static uint64_t find_staged(uint32_t nth, char path[static 128], const uint8_t **out_area)
{
    const char *name = NULL;
    ck_assert_int_eq(commitlog_fault_name(machine, "/shm", 0, &name), 0);
    (void)snprintf(path, 128, "/shm/%s", name);
    return find_body(path, nth, out_area) - CLG_RECORD_HEADER_BYTES;
}

/* A bit of its body, or of its header. */
static void flip_staged(uint32_t nth, bool header)
{
    const uint8_t *area = NULL;
    char path[128];
    uint64_t place = find_staged(nth, path, &area) + (header ? 0 : CLG_RECORD_HEADER_BYTES);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, place, 1), 0);
}

/* It says that something was durable before the log began; its checks are right. */
static void forge_staged(uint32_t nth)
{
    _Alignas(8) uint8_t record[128];
    struct clg_record_header header;
    struct clg_segment_header segment;
    const uint8_t *area = NULL;
    const void *file = NULL;
    uint64_t bytes = 0;
    char path[128];
    uint64_t place = find_staged(nth, path, &area);
    uint64_t position = place - clg_load_le64(area + CLG_LIVE_AT_RING_OFFSET);
    clg_record_decode(area + place, &header);
    uint32_t size = clg_record_size(header.word);
    ck_assert_uint_le(size, sizeof(record));
    memcpy(record, area + place, size);
    header.durable_back = UINT32_MAX - 1;
    clg_record_encode_header(record, &header);
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(0), &file, &bytes), 0);
    ck_assert_int_eq(clg_segment_header_decode(file, NULL, true, &segment), 0);
    clg_store_le32(record, clg_record_seal(record, size, clg_record_seed(segment.salt, position)));
    ck_assert_int_eq(commitlog_fault_write(machine, path, place, record, size), 0);
}

/* The first one too: then nothing verifies where the stage begins. */
START_TEST(the_stage_may_be_damaged_as_well)
{
    const uint32_t nth = DURABLE + (_i / 2 == 0 ? 0 : 7);
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    kill_and_damage(COMMITLOG_LEVEL_NONE, _i / 4 == 0 ? 5 : DURABLE - 1);
    flip_staged(nth, _i % 2 == 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, &found), 0);
    ck_assert_uint_eq(found.records_from_stage, STAGED - 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), ALL - 2);
    ck_assert_uint_eq(store_count(), ALL);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* What no scan of a segment would take is not restored into one: the next opening would find
 * damage there. */
START_TEST(what_is_restored_can_be_read)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    const uint64_t mode = _i == 0 ? COMMITLOG_RECOVER_SALVAGE : COMMITLOG_RECOVER_TAIL;
    kill_staged(COMMITLOG_LEVEL_NONE);
    forge_staged(DURABLE + 7);
    ck_assert_int_eq(store_recover(mode, &found), 0);
    ck_assert_uint_eq(found.records_from_stage, _i == 0 ? STAGED - 1 : 7);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_STRICT, &found), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), DURABLE + (_i == 0 ? STAGED - 1 : 7));
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

START_TEST(opening_with_salvage_keeps_it_too)
{
    kill_and_damage(COMMITLOG_LEVEL_NONE, damaged[_i]);
    ck_assert_int_eq(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                     COMMITLOG_RECOVER_SALVAGE),
                     0);
    ck_assert_uint_eq(read_all(), ALL - 1);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_eq(store_count(), ALL + 1);
}
END_TEST

/* Headers and bodies are zeros: where the records go on behind them only the stage says. */
START_TEST(headers_may_be_gone_before_the_stage)
{
    static const uint8_t zeros[512];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    uint64_t at = store_positions().durable & ~UINT64_C(511);
    store_put(STAGED, COMMITLOG_LEVEL_NONE);
    die(false);
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(0), at, zeros, sizeof(zeros)), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    uint64_t read = read_all();
    ck_assert_uint_ge(read, STAGED);
    ck_assert_uint_lt(read, ALL);
    ck_assert_uint_eq(store_count(), ALL);
}
END_TEST

/* The stage over the end of a segment, and in one whose file has nothing yet. */
START_TEST(the_stage_may_go_on_in_the_next_segment)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    uint32_t sent = DURABLE;
    while (store_positions().durable < segment_bytes - 3 * sizeof(big)) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, big, sizeof(big), COMMITLOG_LEVEL_DURABLE, NULL), 0);
        sent++;
    }
    while (store_positions().published < segment_bytes + 4 * sizeof(big)) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, big, sizeof(big), COMMITLOG_LEVEL_NONE, NULL), 0);
        sent++;
    }
    die(false);
    flip_body(0, 5);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), sent);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* What is left of the log begins behind a part of what the stage alone has: all files before the
 * last are missing, or two have each other's names. How many messages the stage has. */
static uint32_t kill_and_lose_front(bool names)
{
    uint32_t staged = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    while (store_positions().durable < 2 * segment_bytes - 3 * sizeof(big)) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, big, sizeof(big), COMMITLOG_LEVEL_DURABLE, NULL), 0);
    }
    while (store_positions().published < 2 * segment_bytes) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, big, sizeof(big), COMMITLOG_LEVEL_NONE, NULL), 0);
        staged++;
    }
    die(false);
    if (names) {
        swap_segments(0, segment_bytes);
    } else {
        ck_assert_int_eq(commitlog_fault_remove(machine, segment_path(0)), 0);
        ck_assert_int_eq(commitlog_fault_remove(machine, segment_path(segment_bytes)), 0);
    }
    return staged;
}

START_TEST(the_stage_may_begin_in_a_segment_that_is_gone)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    const uint32_t staged = kill_and_lose_front(_i == 1);
    ck_assert_uint_gt(staged, 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, &found), 0);
    ck_assert_uint_ge(found.records_from_stage, staged);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_bodies(big, sizeof(big)), staged);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* Killed at any call and done again: the same. */
START_TEST(salvage_may_be_killed_at_any_call)
{
    struct commitlog_fault *damage = NULL;
    uint32_t staged = 0;
    if (_i == 0) {
        kill_and_damage(COMMITLOG_LEVEL_NONE, 5);
    } else {
        staged = kill_and_lose_front(_i == 2);
    }
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &damage), 0);
    bool struck = true;
    uint32_t kills = 0;
    for (uint64_t nth = 1; struck; nth++) {
        struct commitlog_fault *next = NULL;
        commitlog_fault_free(machine);
        machine = NULL;
        ck_assert_int_eq(commitlog_fault_clone(damage, 5, &machine), 0);
        commitlog_fault_cut_at(machine, nth);
        int32_t rc = store_recover(COMMITLOG_RECOVER_SALVAGE, NULL);
        struck = commitlog_fault_is_dead(machine) != 0;
        ck_assert(struck || rc == 0);
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
        die_on(next, false);
        ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        if (_i == 0) {
            ck_assert_uint_eq(read_all(), ALL - 1);
        } else {
            ck_assert_uint_eq(read_bodies(big, sizeof(big)), staged);
        }
        close_store();
        kills++;
    }
    commitlog_fault_free(damage);
    ck_assert_uint_gt(kills, 10);
}
END_TEST

/* Readers are served what is proven, and no more. */
START_TEST(a_reader_is_not_led_into_the_stage)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    kill_and_damage(COMMITLOG_LEVEL_NONE, 5);
    ck_assert_int_eq(store_open_by(values, 1), 0);
    ck_assert_uint_eq(read_all(), DURABLE - 1);
    ck_assert_uint_eq(store_count(), DURABLE);
}
END_TEST

/* A message of level written, and in the mmap engine each, is in the file before it is
 * acknowledged: it was not torn by the death of its writer. */
START_TEST(published_records_that_fail_are_not_called_torn)
{
    const uint64_t engine = _i == 0 ? COMMITLOG_ENGINE_STAGED : COMMITLOG_ENGINE_MMAP;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    ck_assert_int_eq(store_open(engine), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    store_put(STAGED, _i == 0 ? COMMITLOG_LEVEL_WRITTEN : COMMITLOG_LEVEL_NONE);
    die(false);
    flip_body(0, DURABLE + 5);
    ck_assert_int_eq(store_open_with(commitlog_fault_os(machine), engine, COMMITLOG_RECOVER_STRICT),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(store_open(engine), 0);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_uint_eq(found.records_cut, STAGED - 6);
    ck_assert_uint_eq(read_all(), DURABLE + 5);
}
END_TEST

/* In the file, in the stage, and of these a batch. */
static void kill_and_damage_written(void)
{
    struct commitlog_record batch[BATCH];
    struct commitlog_slice slice = {body, sizeof(body) - 1};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(DURABLE, COMMITLOG_LEVEL_DURABLE);
    store_put(WRITTEN, COMMITLOG_LEVEL_WRITTEN);
    store_put(STAGED, COMMITLOG_LEVEL_NONE);
    for (uint32_t i = 0; i < BATCH; i++) {
        batch[i] = (struct commitlog_record){.struct_bytes = sizeof(batch[i]),
                                             .topic = topic,
                                             .level = COMMITLOG_LEVEL_NONE,
                                             .body = &slice,
                                             .body_count = 1};
    }
    ck_assert_int_eq(commitlog_append_batch(store, batch, BATCH, 0, NULL, &err), 0);
    die(false);
    flip_body(0, DURABLE + 1);
}

/* One member of it does not verify: none of the others is read without it. */
START_TEST(half_a_batch_of_the_stage_is_none)
{
    kill_and_damage_written();
    flip_staged(DURABLE + WRITTEN + STAGED + (uint32_t)_i * (BATCH - 1), false);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), DURABLE + WRITTEN - 1 + STAGED);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* The default mode ends the log before it: nothing of what is behind is lost for good. */
START_TEST(what_is_cut_of_the_stage_goes_to_quarantine)
{
    const uint32_t spoiled = _i > 0;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    const char *name = NULL;
    uint32_t bodies = 0;
    kill_and_damage_written();
    if (spoiled > 0) {
        flip_staged(DURABLE + WRITTEN + (_i == 1 ? 0 : 3), false);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_eq(found.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_uint_eq(found.records_cut,
                      WRITTEN - 2 + STAGED - spoiled + BATCH + 1); /* and its header */
    ck_assert_uint_eq(read_all(), DURABLE + 1);
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/quarantine", i, &name) == 0; i++) {
        char path[128];
        const void *data = NULL;
        uint64_t bytes = 0;
        (void)snprintf(path, sizeof(path), "/store/quarantine/%s", name);
        ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
        const uint8_t *end = (const uint8_t *)data + bytes;
        for (const uint8_t *at = data; at != NULL && at < end; bodies += at != NULL) {
            at = memmem(at + 1, (size_t)(end - at - 1), body, sizeof(body) - 1);
        }
    }
    ck_assert_uint_eq(bodies, WRITTEN - 2 + STAGED - spoiled + BATCH);
}
END_TEST

START_TEST(a_plan_counts_what_it_cuts_by_queue)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    char wanted[96];
    const char *line = NULL;
    bool told = false;
    kill_and_damage_written();
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(
        commitlog_recover("/store", options, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err), 0);
    (void)snprintf(wanted, sizeof(wanted), "queue #0: %d valid records, offsets %d to %d",
                   WRITTEN - 2 + STAGED + BATCH, DURABLE + 2,
                   DURABLE + WRITTEN + STAGED + BATCH - 1);
    for (uint32_t i = 0; (line = commitlog_report_line(report, i)) != NULL; i++) {
        told = told || strstr(line, wanted) != NULL;
    }
    commitlog_report_free(report);
    commitlog_options_free(options);
    ck_assert_msg(told, "no line says: %s", wanted);
}
END_TEST

/* Also where nothing that had been durable is damaged. */
START_TEST(each_hole_that_salvage_makes_is_told)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    kill_and_damage_written();
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, &found), 0);
    ck_assert_uint_eq(found.holes_made, 1);
    ck_assert_uint_eq(found.damaged_ranges, 1);
    ck_assert_uint_eq(found.records_from_stage, STAGED + BATCH + 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), DURABLE + WRITTEN + STAGED + BATCH - 1);
}
END_TEST

/* Flushed before the holes are written: a power cut does not bring back the view file of a segment
 * whose records are holes now. */
START_TEST(views_of_a_salvaged_segment_do_not_come_back)
{
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MANY, COMMITLOG_LEVEL_DURABLE);
    close_store();
    flip_body(segment_bytes, 100);
    ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
    commitlog_fault_set_survival(machine, 0);
    commitlog_fault_power_cut(machine);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), MANY - 1);
    close_store();
    ck_assert_int_eq(verify_store(), 0);
}
END_TEST

/* Killed at any call, done again, and then the power goes: the second one flushes what the first
 * one has left in the cache. */
START_TEST(a_salvage_that_is_done_again_is_durable)
{
    struct commitlog_fault *damage = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MANY, COMMITLOG_LEVEL_DURABLE);
    close_store();
    flip_body(segment_bytes, 100);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &damage), 0);
    bool struck = true;
    for (uint64_t nth = 1; struck; nth++) {
        struct commitlog_fault *next = NULL;
        commitlog_fault_free(machine);
        machine = NULL;
        ck_assert_int_eq(commitlog_fault_clone(damage, 5, &machine), 0);
        commitlog_fault_cut_at(machine, nth);
        (void)store_recover(COMMITLOG_RECOVER_SALVAGE, NULL);
        struck = commitlog_fault_is_dead(machine) != 0;
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
        die_on(next, false);
        ck_assert_int_eq(store_recover(COMMITLOG_RECOVER_SALVAGE, NULL), 0);
        commitlog_fault_set_survival(machine, 0);
        commitlog_fault_power_cut(machine);
        ck_assert_msg(verify_store() == 0, "killed at change %llu: %s", (unsigned long long)nth,
                      err.message);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        ck_assert_uint_eq(read_all(), MANY - 1);
        close_store();
    }
    commitlog_fault_free(damage);
}
END_TEST

/* What has the name of a view file and is none keeps no store from being opened. */
START_TEST(a_directory_in_the_place_of_a_view_is_left_alone)
{
    static const uint8_t torn[64] = {1, 2, 3};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(MANY, COMMITLOG_LEVEL_DURABLE);
    const uint64_t end = store_positions().published;
    const uint64_t base = end / segment_bytes * segment_bytes;
    die(false);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    int fd = os->open_dir(os, "/store/view");
    char name[64];
    (void)snprintf(name, sizeof(name), "%020llu.cq", (unsigned long long)base);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->mkdir_at(os, fd, name, 0755), 0);
    (void)os->close(os, fd);
    ck_assert_int_eq(
        commitlog_fault_write(machine, segment_path(base), end - base, torn, sizeof(torn)), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), MANY);
}
END_TEST

/* A record that says where the log begins, and means a place behind itself. */
START_TEST(no_record_says_that_the_log_begins_behind_it)
{
    uint8_t record[CLG_RECORD_HEADER_BYTES + 8] = {0};
    struct clg_record_header header = {.store_time = INT64_MAX / 2,
                                       .epoch = 9,
                                       .queue_number = CLG_QUEUE_NONE,
                                       .durable_back = CLG_DURABLE_BACK_NONE,
                                       .kind = CLG_KIND_FIRST};
    struct clg_segment_header segment;
    const void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3000, COMMITLOG_LEVEL_DURABLE);
    const uint64_t end = store_positions().published;
    const uint64_t base = end / segment_bytes * segment_bytes;
    close_store();
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(base), &data, &bytes), 0);
    ck_assert_int_eq(clg_segment_header_decode(data, NULL, true, &segment), 0);
    clg_record_encode_header(record, &header);
    clg_first_encode(record + CLG_RECORD_HEADER_BYTES, UINT64_C(1) << 40);
    clg_store_le32(record,
                   clg_record_seal(record, sizeof(record), clg_record_seed(segment.salt, end)));
    ck_assert_int_eq(
        commitlog_fault_write(machine, segment_path(base), end - base, record, sizeof(record)), 0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(read_all(), 3000);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("salvage and stage");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, salvage_keeps_what_only_the_stage_has, 0, 3);
    tcase_add_loop_test(tc, the_stage_may_be_damaged_as_well, 0, 8);
    tcase_add_loop_test(tc, what_is_restored_can_be_read, 0, 2);
    tcase_add_loop_test(tc, opening_with_salvage_keeps_it_too, 0, 3);
    tcase_add_test(tc, headers_may_be_gone_before_the_stage);
    tcase_add_test(tc, the_stage_may_go_on_in_the_next_segment);
    tcase_add_loop_test(tc, the_stage_may_begin_in_a_segment_that_is_gone, 0, 2);
    tcase_add_loop_test(tc, salvage_may_be_killed_at_any_call, 0, 3);
    tcase_add_test(tc, a_reader_is_not_led_into_the_stage);
    tcase_add_loop_test(tc, published_records_that_fail_are_not_called_torn, 0, 2);
    tcase_add_test(tc, views_of_a_salvaged_segment_do_not_come_back);
    tcase_add_loop_test(tc, half_a_batch_of_the_stage_is_none, 0, 2);
    tcase_add_loop_test(tc, what_is_cut_of_the_stage_goes_to_quarantine, 0, 3);
    tcase_add_test(tc, a_plan_counts_what_it_cuts_by_queue);
    tcase_add_test(tc, each_hole_that_salvage_makes_is_told);
    tcase_add_test(tc, a_salvage_that_is_done_again_is_durable);
    tcase_add_test(tc, a_directory_in_the_place_of_a_view_is_left_alone);
    tcase_add_test(tc, no_record_says_that_the_log_begins_behind_it);
    Suite *suite = suite_create("salvage_stage");
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
