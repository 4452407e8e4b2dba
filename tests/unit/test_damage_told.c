/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_damage_told.c -- nobody passes damage without a word: what a writer's views leave out, what
 * lies behind more damage than is listed, what is only staged behind it, and segments that scrub
 * finds without a footer. And nothing sound behind it is called damaged.
 */
#include "support/run_suite.h"
#include "unit/damage_fixture.h"

enum { MANY = 1100 };

static uint32_t a;

static void own_setup(void)
{
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 2, &a, &err), 0);
}

static struct commitlog_receipt put_staged(void)
{
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(commitlog_append(store, a, 0, filling, SMALL, COMMITLOG_LEVEL_NONE, &receipt),
                     0);
    return receipt;
}

/* A sealed segment's message with the key has rotted; the derived file of that segment is gone
 * (or rotted, too). _i: 0 the file is there, 1 it is not; +2: a reader. */
START_TEST(a_writer_is_told_that_a_query_by_key_lacks_a_message)
{
    struct commitlog_receipt first = {0};
    for (uint32_t i = 0; i < KEYED; i++) {
        const struct commitlog_receipt r = put_keyed(a);
        first = i == 0 ? r : first;
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          first.end_position - 20, 1),
                     0);
    if ((_i & 1) != 0) {
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/view/00000000000000000000.key"),
                         0);
    }
    ck_assert_msg(store_open_by(read_only, (_i & 2) != 0 ? 1 : 0) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    for (uint32_t again = 0; again < 2; again++) {
        const struct told told = read_all(open_by_key(a), false);
        ck_assert_uint_eq(told.messages, KEYED - 1);
        ck_assert_uint_eq(told.damages, 1);
        /* The next one is told, too: no file was made in which nobody misses it. */
        close_store();
        ck_assert_msg(store_open_by(read_only, again) == 0, "%s", err.message);
        ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    }
}
END_TEST

/* The same for the first message of a queue. */
START_TEST(a_writer_is_told_that_a_queue_lacks_its_first_message)
{
    struct commitlog_cursor *cursor = NULL;
    const struct commitlog_receipt first = put_one(a, 1, SMALL);
    for (uint32_t i = 0; i < KEYED; i++) {
        (void)put_one(a, 1, SMALL);
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          first.end_position - 4, 1),
                     0);
    if ((_i & 1) != 0) {
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/view/00000000000000000000.cq"), 0);
    }
    ck_assert_msg(store_open_by(read_only, (_i & 2) != 0 ? 1 : 0) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, a, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    const struct told told = read_all(cursor, true);
    ck_assert_uint_eq(told.messages, KEYED);
    ck_assert_uint_eq(told.damages, 1);
}
END_TEST

/* A receiver is told, too, once: 0: of a message in the middle, 1: of the first. */
START_TEST(a_receiver_is_told_what_its_queue_lacks)
{
    struct commitlog_group *group = NULL;
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message messages[AT_A_TIME];
    struct commitlog_delivery deliveries[AT_A_TIME];
    struct commitlog_receipt spoiled = {0};
    uint32_t count = 0;
    uint32_t received = 0;
    uint32_t damages = 0;
    for (uint32_t i = 0; i < KEYED; i++) {
        const struct commitlog_receipt r = put_one(a, 1, SMALL);
        spoiled = i == (_i == 0 ? 2 : 0) ? r : spoiled;
    }
    for (uint32_t i = 0; i < KEYED; i++) {
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          spoiled.end_position - 4, 1),
                     0);
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/view/00000000000000000000.cq"), 0);
    ck_assert_msg(store_open_by(NULL, 0) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .visibility_ms = 1000000};
    ck_assert_int_eq(commitlog_receiver_open(group, a, &options, &receiver, &err), 0);
    for (;;) {
        int32_t rc = commitlog_receive(receiver, messages, deliveries, AT_A_TIME, 0, &count, &err);
        if (rc == COMMITLOG_EEND) {
            break;
        }
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED, "%s", err.message);
        damages += rc == COMMITLOG_EDAMAGED;
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            received += deliveries[i].queue == 1;
        }
    }
    ck_assert_uint_eq(received, KEYED - 1);
    ck_assert_uint_eq(damages, 1);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
}
END_TEST

/* Behind damage, where the rest is only staged, the cursor over the log of a reader in another
 * process finds the next record. */
START_TEST(behind_damage_a_reader_finds_what_is_staged)
{
    struct commitlog_store *writer = store;
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint64_t bound = 0;
    const struct commitlog_receipt spoiled = put_one(a, 0, SMALL);
    const struct commitlog_receipt next = put_staged();
    store = NULL;
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          spoiled.end_position - 4, 1),
                     0);
    ck_assert_int_eq(commitlog_cursor_open_log(store, spoiled.position, &cursor, &err), 0);
    /* As the page says: EDAMAGED, the bound is its position, seek past it. */
    uint64_t at = spoiled.position;
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    if (rc == COMMITLOG_EDAMAGED) {
        ck_assert_uint_eq(bound, at);
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    }
    ck_assert_msg(rc == COMMITLOG_OK, "%s at %llu", commitlog_error_name(rc),
                  (unsigned long long)bound);
    ck_assert_uint_eq(message.position, next.position);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = writer;
}
END_TEST

/* One segment that cannot be sealed (a header of it does not read when it is full) keeps scrub
 * from all that come after it. */
START_TEST(a_segment_without_footer_does_not_keep_scrub_from_the_others)
{
    static const uint64_t scrubs[][2] = {{COMMITLOG_OPT_SCRUB_BYTES_PER_S, UINT64_C(64) << 20}};
    uint64_t damages = 0;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    const struct commitlog_receipt first = put_one(a, 0, SMALL);
    (void)put_one(a, 0, SMALL);
    close_store();
    ck_assert_msg(store_open_by(scrubs, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    if (_i == 1) { /* a sector is silent while the segment is sealed */
        ck_assert_int_eq(commitlog_fault_bad_range(machine, "/store/log/00000000000000000000.log",
                                                   first.position, 48),
                         0);
    }
    struct commitlog_receipt spoiled = {0};
    for (uint32_t i = 0; i < 30; i++) {
        const struct commitlog_receipt r = put_one(a, 0, LARGE);
        if (r.position / segment_bytes == 3) {
            spoiled = r;
        }
        uint32_t wait = 0;
        ck_assert_int_eq(commitlog_step(store, 1000000, &wait), 0);
    }
    ck_assert_uint_gt(spoiled.position, 0);
    if (_i == 1) { /* it reads again */
        ck_assert_int_eq(
            commitlog_fault_bad_range(machine, "/store/log/00000000000000000000.log", 0, 0), 0);
    }
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000196608.log",
                                          spoiled.end_position - 196608 - 100, 1),
                     0);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t wait = 0;
        os->sleep_ns(os, INT64_C(100) * 1000000);
        ck_assert_int_eq(commitlog_step(store, 1000000, &wait), 0);
    }
    for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == 0; i++) {
        damages += damage.from_position == spoiled.position;
    }
    ck_assert_uint_eq(damages, 1);
}
END_TEST

/* Of each header nothing is left, and no view. */
static void spoil_headers(const struct commitlog_receipt *receipts, uint32_t count)
{
    static const uint8_t zeros[48];
    char path[128];
    const char *name = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t base = receipts[i].position / segment_bytes * segment_bytes;
        (void)snprintf(path, sizeof(path), "/store/log/%020llu.log", (unsigned long long)base);
        ck_assert_int_eq(
            commitlog_fault_write(machine, path, receipts[i].position - base, zeros, sizeof(zeros)),
            0);
    }
    while (commitlog_fault_name(machine, "/store/view", 0, &name) == 0) {
        (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
}

START_TEST(a_queue_that_lost_its_end_says_so_beside_much_damage)
{
    static struct commitlog_receipt receipts[MANY + 1];
    struct commitlog_cursor *cursor = NULL;
    for (uint32_t i = 0; i < MANY; i++) {
        receipts[i] = put_one(a, 0, SMALL);
        (void)put_one(a, 0, SMALL);
    }
    (void)put_one(a, 1, SMALL);
    receipts[MANY] = put_one(a, 1, SMALL);
    (void)put_one(a, 0, SMALL);
    close_store();
    spoil_headers(receipts, MANY + 1);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, a, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    const struct told told = read_all(cursor, true);
    ck_assert_uint_eq(told.messages, 1);
    ck_assert_uint_eq(told.damages, 1);
}
END_TEST

/* A range that is told may be of more than one record; each lost one lies in a range. */
START_TEST(over_all_queues_each_lost_message_lies_in_a_range_that_is_told)
{
    static struct commitlog_receipt receipts[MANY];
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint32_t told = 0;
    uint32_t in_range = 0;
    uint64_t next = 0;
    uint64_t bound = 0;
    uint64_t last = 0;
    int32_t rc;
    for (uint32_t i = 0; i < MANY; i++) {
        receipts[i] = put_one(a, 0, SMALL);
        (void)put_one(a, 0, SMALL);
    }
    close_store();
    spoil_headers(receipts, MANY);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, a, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                           &cursor, &err),
                     0);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound)) == COMMITLOG_OK ||
           rc == COMMITLOG_EDAMAGED) {
        if (rc == COMMITLOG_EDAMAGED) {
            ck_assert(told == 0 || bound > last);
            last = bound;
            told++;
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
            continue;
        }
        next = message.queue_offset + 1;
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
    ck_assert_uint_eq(next, 2 * MANY);
    ck_assert_uint_eq(told, 1024);
    for (uint32_t i = 0; i < MANY; i++) {
        bool found = false;
        for (uint32_t d = 0; !found && commitlog_damage_get(store, d, &damage) == 0; d++) {
            found = damage.from_position <= receipts[i].position &&
                    receipts[i].position < damage.to_position;
        }
        in_range += found;
    }
    ck_assert_uint_eq(in_range, MANY);
}
END_TEST

/* Damage that reaches over records that are there: past what is told a cursor goes on where it was,
 * 0: the log's, at its end, 1: that of all queues, between two records. */
START_TEST(damage_that_is_told_leads_neither_back_nor_over_what_is_sound)
{
    struct commitlog_message message;
    struct commitlog_damage damage;
    struct commitlog_cursor *cursor = NULL;
    uint64_t positions[4];
    uint32_t count = 0;
    uint32_t got = 0;
    uint32_t told = 0;
    uint64_t bound = 0;
    for (uint32_t i = 0; i < 4; i++) {
        positions[i] = put_one(a, i % 2, SMALL).position;
    }
    close_store();
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 0, &a, &err), 0);
    ck_assert_int_eq(_i == 0 ? commitlog_cursor_open_log(store, positions[0], &cursor, &err)
                             : commitlog_cursor_open(store, a, COMMITLOG_QUEUE_ALL,
                                                     COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
        if (rc == COMMITLOG_OK) {
            ck_assert_uint_lt(got, 4);
            ck_assert_uint_eq(message.position, positions[got]);
            got++;
        } else if (rc == COMMITLOG_EDAMAGED) {
            told++;
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        } else {
            ck_assert_int_eq(rc, COMMITLOG_EEND);
            break;
        }
        if (got == 2 && told == 0) {
            clg_damage_make(&damage, CLG_SEGMENT_DATA_START, 2 * segment_bytes, "of no segment");
            rc = clg_damage_list_add(&store->core->opening_damage, &damage);
            ck_assert(rc == 0 || rc == COMMITLOG_EEXIST);
        }
    }
    ck_assert_uint_eq(got, 4);
    ck_assert_uint_eq(told, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

static int32_t get_at(uint64_t position)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    const int32_t rc = commitlog_get(store, position, &message, &lease, &err);
    commitlog_lease_release(lease);
    return rc;
}

static uint32_t damages_named(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t count = 0;
    while (commitlog_damage_get(store, count, &damage) == COMMITLOG_OK) {
        count++;
    }
    return count;
}

/* Two records are damaged, in their header at a byte of _i: its state and size, a check, its
 * offset. */
START_TEST(inside_a_sound_record_behind_damage_none_begins)
{
    struct commitlog_receipt r[KEYED];
    for (uint32_t i = 0; i < KEYED; i++) {
        r[i] = put_one(a, 0, 200);
    }
    for (uint32_t i = 1; i < 6; i += 4) {
        ck_assert_int_eq(
            commitlog_fault_flip(machine, segment_path(0), r[i].position + 2 * (uint64_t)_i, 1), 0);
    }
    for (uint32_t i = 0; i < KEYED; i++) {
        if (i % 4 != 1) { /* sound, between or behind them */
            ck_assert_int_eq(get_at(r[i].position), COMMITLOG_OK);
            ck_assert_int_eq(get_at(r[i].position + 8), COMMITLOG_ENOTFOUND);
            ck_assert_int_eq(get_at(r[i].end_position - 8), COMMITLOG_ENOTFOUND);
        }
    }
    ck_assert_int_eq(get_at(r[KEYED - 1].position + 3), COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(damages_named(), 0);
    for (uint32_t i = 1; i < 6; i += 4) {
        ck_assert_int_eq(get_at(r[i].position), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(get_at(r[i].position + 8), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(get_at(r[i].end_position - 8), COMMITLOG_EDAMAGED);
    }
    ck_assert_uint_gt(damages_named(), 0);
}
END_TEST

/* Of a group's offsets, say, all is checked: the header tells where it ends, and what lies there.
 */
START_TEST(inside_a_record_whose_body_is_damaged_it_is_damage)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_group *group = NULL;
    const struct commitlog_group_offset offset = {a, 0, 1};
    (void)put_one(a, 0, SMALL);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_DURABLE, 0, &receipt, &err),
        0);
    const struct commitlog_receipt behind = put_one(a, 0, 200);
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0),
                                          receipt.position + CLG_RECORD_HEADER_BYTES, 1),
                     0);
    ck_assert_int_eq(get_at(behind.position + 8), COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(damages_named(), 0);
    ck_assert_int_eq(get_at(receipt.position + 8), COMMITLOG_EDAMAGED);
    commitlog_group_close(group);
}
END_TEST

/* Two at once: what a writer that died left unsealed is sealed by whoever comes first, here by a
 * retention that drops nothing. */
START_TEST(each_segment_that_damage_keeps_from_its_footer_is_told)
{
    const struct commitlog_retention keep = {.struct_bytes = sizeof(keep),
                                             .keep_bytes = UINT64_MAX};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_receipt spoiled[2] = {{0}};
    for (uint32_t i = 0; i < KEYED; i++) {
        const struct commitlog_receipt r = put_one(a, 0, LARGE);
        if (r.position / segment_bytes < 2) {
            spoiled[r.position / segment_bytes] = r;
        }
    }
    die(false);
    ck_assert_msg(store_open_by(NULL, 0) == 0, "%s", err.message);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(i * segment_bytes),
                                              spoiled[i].position % segment_bytes + 17, 1),
                         0);
    }
    ck_assert_int_eq(commitlog_retain(store, &keep, &retained, &err), 0);
    ck_assert_uint_eq(damages_named(), 2);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_damage_get(store, i, &damage), 0);
        ck_assert_uint_eq(damage.from_position, spoiled[i].position);
    }
}
END_TEST

/* A scrub that has no memory for a moment goes on where it was. */
START_TEST(a_scrub_without_memory_leaves_nothing_out)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_SCRUB_BYTES_PER_S, 20000}};
    static char big[6000];
    uint32_t wait_us = 0;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open_by(values, 1), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 30; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, big, sizeof(big), COMMITLOG_LEVEL_DURABLE, NULL), 0);
    }
    for (uint32_t i = 0; i < 20; i++) {
        ck_assert_int_eq(commitlog_step(store, 1, &wait_us), 0);
    }
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0), 50000, 0xff), 0);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    const uint64_t before = store_stat("damage_found");
    for (uint32_t round = 0; round < 8 && store_stat("damage_found") == before; round++) {
        os->sleep_ns(os, INT64_C(500000000));
        ck_assert_int_eq(
            commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, round == 2, ENOMEM, 0), 0);
        (void)commitlog_step(store, 1, &wait_us);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
    }
    ck_assert_uint_eq(store_stat("damage_found"), before + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage_told");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, own_setup, teardown);
    tcase_add_loop_test(cases, a_writer_is_told_that_a_query_by_key_lacks_a_message, 0, 4);
    tcase_add_loop_test(cases, a_writer_is_told_that_a_queue_lacks_its_first_message, 0, 4);
    tcase_add_loop_test(cases, a_receiver_is_told_what_its_queue_lacks, 0, 2);
    tcase_add_test(cases, behind_damage_a_reader_finds_what_is_staged);
    tcase_add_loop_test(cases, a_segment_without_footer_does_not_keep_scrub_from_the_others, 0, 2);
    tcase_add_test(cases, a_queue_that_lost_its_end_says_so_beside_much_damage);
    tcase_add_test(cases, over_all_queues_each_lost_message_lies_in_a_range_that_is_told);
    tcase_add_loop_test(cases, damage_that_is_told_leads_neither_back_nor_over_what_is_sound, 0, 2);
    tcase_add_loop_test(cases, inside_a_sound_record_behind_damage_none_begins, 0, 9);
    tcase_add_test(cases, inside_a_record_whose_body_is_damaged_it_is_damage);
    tcase_add_test(cases, each_segment_that_damage_keeps_from_its_footer_is_told);
    tcase_add_test(cases, a_scrub_without_memory_leaves_nothing_out);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
