/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transaction_record.c -- what a message says of its transaction, and the marks: known bytes,
 * round trips at every limit, and any bytes.
 *
 * SEED and STEPS in the environment.
 */
#include "unit/transaction_record_fixture.h"

#include <stdio.h>

#include "format/attributes.h"
#include "support/prog.h"
#include "support/run_suite.h"

#define LAST_MS CLG_DELIVER_AT_MAX_MS
#define LAST_POSITION CLG_POSITION_MAX

/* ---- round trips ------------------------------------------------------------------------------
 */

static void check_same_half(const struct clg_transaction_half *is,
                            const struct clg_transaction_half *want)
{
    ck_assert_uint_eq(is->transaction, want->transaction);
    ck_assert_uint_eq(is->message, want->message);
    ck_assert_int_eq(is->expire_at_ms, want->expire_at_ms);
    ck_assert_uint_eq(is->queue_number, want->queue_number);
    ck_assert(is->prepared == want->prepared);
    ck_assert_uint_eq(is->group_bytes, want->group_bytes);
    if (want->group_bytes > 0) {
        ck_assert_mem_eq(is->group, want->group, want->group_bytes);
    }
}

static void round_half(const struct clg_transaction_half *half, uint8_t *value)
{
    struct clg_transaction_half out;
    size_t bytes = clg_transaction_half_bytes(half);
    ck_assert_uint_le(bytes, CLG_TRANSACTION_HALF_BYTES_MAX);
    memset(value, 0xa5, bytes);
    clg_transaction_half_encode(value, half);
    ck_assert_int_eq(decode_half(value, bytes), 0);
    ck_assert_int_eq(clg_transaction_half_decode(value, bytes, &out), 0);
    check_same_half(&out, half);
}

START_TEST(each_form_of_a_message_has_these_bytes)
{
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    for (size_t i = 0; i < HALVES; i++) {
        ck_assert_uint_eq(clg_transaction_half_bytes(&halves[i].half), halves[i].bytes);
        round_half(&halves[i].half, value);
        ck_assert_mem_eq(value, halves[i].value, halves[i].bytes);
    }
}
END_TEST

START_TEST(messages_say_what_they_were_made_of_at_every_limit)
{
    static const uint32_t queues[] = {0, 1, CLG_QUEUE_NONE - 1};
    static const int64_t times[] = {0, 1, LAST_MS};
    static const uint32_t names[] = {1, 2, NAME_MAX_BYTES};
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    uint8_t name[NAME_MAX_BYTES];
    memset(name, 'n', sizeof(name));
    for (size_t q = 0; q < 3; q++) {
        for (size_t i = 0; i < 18; i++) { /* the first: name, time, prepared */
            const struct clg_transaction_half first = {.queue_number = queues[q],
                                                       .group = name,
                                                       .group_bytes = names[i % 3],
                                                       .expire_at_ms = times[i / 3 % 3],
                                                       .prepared = i >= 9};
            if (first.prepared || first.expire_at_ms == 0) {
                round_half(&first, value);
            }
        }
        static const uint64_t positions[] = {8, 8192, LAST_POSITION - 8, LAST_POSITION};
        for (size_t i = 0; i < 16; i++) {
            const struct clg_transaction_half other = {
                .queue_number = queues[q],
                .transaction = positions[i / 4],
                .message = positions[i % 4] < positions[i / 4] ? 0 : positions[i % 4]};
            round_half(&other, value);
        }
    }
    const struct clg_transaction_half longest = {
        .group = name, .group_bytes = NAME_MAX_BYTES, .expire_at_ms = 1, .prepared = true};
    ck_assert_uint_eq(clg_transaction_half_bytes(&longest), CLG_TRANSACTION_HALF_BYTES_MAX);
}
END_TEST

static void check_same_mark(const struct clg_transaction_mark *is,
                            const struct clg_transaction_mark *want)
{
    ck_assert_uint_eq(is->transaction, want->transaction);
    ck_assert_uint_eq(is->operation, want->operation);
    ck_assert_uint_eq(is->reason, want->reason);
    ck_assert(is->prepared == want->prepared);
    ck_assert_int_eq(is->begin_ms, want->begin_ms);
    ck_assert_int_eq(is->expire_at_ms, want->expire_at_ms);
    ck_assert_uint_eq(is->messages, want->messages);
    ck_assert_uint_eq(is->groups, want->groups);
    ck_assert_uint_eq(is->group_bytes, want->group_bytes);
    if (want->group_bytes > 0) {
        ck_assert_mem_eq(is->group, want->group, want->group_bytes);
    }
    ck_assert_uint_eq(is->offsets.operation, want->offsets.operation);
    ck_assert_uint_eq(is->offsets.epoch, want->offsets.epoch);
    ck_assert_uint_eq(is->offsets.count, want->offsets.count);
    ck_assert_uint_eq(is->offsets.name_bytes, want->offsets.name_bytes);
    if (want->offsets.name_bytes > 0) {
        ck_assert_mem_eq(is->offsets.name, want->offsets.name, want->offsets.name_bytes);
    }
}

static void round_mark(const struct clg_transaction_mark *mark,
                       const struct clg_group_entry *of_offsets, uint8_t *body)
{
    struct clg_transaction_mark out;
    size_t bytes = clg_transaction_mark_bytes(mark);
    memset(body, 0xa5, bytes);
    ck_assert_int_eq(clg_transaction_mark_encode(body, mark, of_offsets), 0);
    ck_assert_int_eq(clg_transaction_mark_decode(body, bytes, &out), 0);
    check_same_mark(&out, mark);
    for (uint32_t i = 0; i < out.offsets.count; i++) {
        const struct clg_group_entry entry = clg_group_change_entry(&out.offsets, i);
        ck_assert_uint_eq(entry.queue_number, of_offsets[i].queue_number);
        ck_assert_uint_eq(entry.offset, of_offsets[i].offset);
    }
}

START_TEST(each_mark_has_these_bytes)
{
    uint8_t body[BYTES_MAX];
    for (size_t i = 0; i < MARKS; i++) {
        ck_assert_uint_eq(clg_transaction_mark_bytes(&marks[i].mark), marks[i].bytes);
        round_mark(&marks[i].mark, entries, body);
        ck_assert_mem_eq(body, marks[i].body, marks[i].bytes);
        ck_assert_int_eq(decode_mark(body, marks[i].bytes), 0);
    }
}
END_TEST

START_TEST(marks_say_what_they_were_made_of_at_every_limit)
{
    static const uint64_t positions[] = {8, LAST_POSITION};
    static const int64_t times[] = {0, 1, LAST_MS};
    static const uint32_t parts[] = {0, 1, UINT32_MAX};
    static uint8_t body[65536];
    struct clg_group_entry many[CLG_GROUP_ENTRIES_MAX];
    uint8_t name[NAME_MAX_BYTES];
    memset(name, 'n', sizeof(name));
    for (uint32_t i = 0; i < CLG_GROUP_ENTRIES_MAX; i++) {
        many[i] = (struct clg_group_entry){.queue_number = i * 3, .offset = INT64_MAX - i};
    }
    for (size_t i = 0; i < 36; i++) {
        struct clg_transaction_mark mark = {.transaction = positions[i % 2],
                                            .operation = CLG_TRANSACTION_PREPARE,
                                            .expire_at_ms = times[i / 2 % 3],
                                            .messages = parts[i % 3],
                                            .groups = parts[i / 3 % 3]};
        round_mark(&mark, NULL, body);
        mark.operation = CLG_TRANSACTION_STATE;
        mark.begin_ms = times[i / 6 % 3];
        mark.prepared = i >= 18;
        if (!mark.prepared) {
            mark.expire_at_ms = mark.messages = mark.groups = 0;
        }
        mark.group = name;
        for (uint32_t n = 0; n <= NAME_MAX_BYTES; n += n == 0 ? 1 : NAME_MAX_BYTES - 1) {
            mark.group_bytes = n;
            round_mark(&mark, NULL, body);
        }
        mark.transaction = 0;
        round_mark(&mark, NULL, body);
    }
    for (uint32_t reason = 0; reason <= CLG_TRANSACTION_UNREADABLE; reason++) {
        const struct clg_transaction_mark mark = {
            .transaction = 8, .operation = CLG_TRANSACTION_ROLLBACK, .reason = reason};
        round_mark(&mark, NULL, body);
    }
    for (uint32_t i = 0; i < 4; i++) {
        const struct clg_transaction_mark mark = {
            .transaction = LAST_POSITION,
            .operation = CLG_TRANSACTION_OFFSETS,
            .offsets = {.name = name,
                        .name_bytes = i % 2 == 0 ? 1 : NAME_MAX_BYTES,
                        .operation = CLG_GROUP_OFFSETS,
                        .epoch = i % 2 == 0 ? 0 : UINT32_MAX,
                        .count = i / 2 == 0 ? 1 : CLG_GROUP_ENTRIES_MAX}};
        round_mark(&mark, many, body);
    }
}
END_TEST

/* ---- any bytes --------------------------------------------------------------------------------
 */

/* decode_half and decode_mark hold what is taken to what is encoded again. */
START_TEST(every_flipped_bit_is_refused_or_means_something)
{
    uint8_t bytes[96];
    for (size_t form = 0; form < HALVES + MARKS; form++) {
        bool half = form < HALVES;
        size_t count = half ? halves[form].bytes : marks[form - HALVES].bytes;
        memcpy(bytes, half ? halves[form].value : marks[form - HALVES].body, count);
        for (size_t bit = 0; bit < 8 * count; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            (void)(half ? decode_half(bytes, count) : decode_mark(bytes, count));
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}
END_TEST

START_TEST(random_bytes_are_read_within_their_bounds)
{
    uint64_t seed = prog_env("SEED", 1);
    uint64_t steps = prog_env("STEPS", 200000);
    uint64_t taken[2] = {0};
    struct rng rng;
    printf("transaction record: SEED=%llu STEPS=%llu\n", (unsigned long long)seed,
           (unsigned long long)steps);
    rng_begin(&rng, seed);
    for (uint64_t step = 0; step < steps; step++) {
        uint8_t bytes[128];
        size_t form = (size_t)rng_below(&rng, HALVES + MARKS);
        bool half = form < HALVES;
        bytes_fill(bytes, sizeof(bytes), rng_next(&rng));
        size_t count = (size_t)rng_below(&rng, sizeof(bytes));
        if (!rng_chance(&rng, 1, 4)) { /* mostly one that is known, with a few other bytes */
            count = half ? halves[form].bytes : marks[form - HALVES].bytes;
            memcpy(bytes, half ? halves[form].value : marks[form - HALVES].body, count);
            for (uint64_t n = rng_below(&rng, 4); n > 0; n--) {
                size_t at = (size_t)rng_below(&rng, count);
                bytes[at] =
                    rng_chance(&rng, 1, 2) ? (uint8_t)rng_next(&rng) : (uint8_t)rng_below(&rng, 10);
            }
            count = rng_chance(&rng, 1, 4) ? (size_t)rng_below(&rng, count + 1) : count;
        }
        int rc = half ? decode_half(bytes, count) : decode_mark(bytes, count);
        taken[half] += rc == COMMITLOG_OK;
    }
    ck_assert_uint_gt(taken[0], steps / 20);
    ck_assert_uint_gt(taken[1], steps / 20);
}
END_TEST

START_TEST(attributes_hold_at_most_one_that_is_sound)
{
    uint8_t area[64];
    struct clg_attribute_writer writer;
    for (size_t form = 0; form < HALVES; form++) {
        for (uint8_t critical = 0; critical <= 0x80; critical = (uint8_t)(critical + 0x80)) {
            const uint8_t type = (uint8_t)(9 | critical);
            clg_attribute_writer_init(&writer, area, sizeof(area));
            ck_assert_int_eq(
                clg_attribute_add(&writer, type, halves[form].value, halves[form].bytes), 0);
            ck_assert_int_eq(clg_attributes_check(area, writer.used), 0);
            ck_assert(clg_attributes_steer(area, writer.used));
            size_t one = writer.used;
            ck_assert_int_eq(
                clg_attribute_add(&writer, type, halves[form].value, halves[form].bytes), 0);
            ck_assert_int_eq(clg_attributes_check(area, writer.used), COMMITLOG_EDAMAGED);
            clg_store_le32(area + 3, CLG_QUEUE_NONE);
            ck_assert_int_eq(clg_attributes_check(area, one), COMMITLOG_EDAMAGED);
            ck_assert_int_eq(clg_attribute_add(&writer, type, area + 3, halves[form].bytes),
                             COMMITLOG_EINVAL);
            if (critical == 0x80) {
                break;
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transaction record");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, each_form_of_a_message_has_these_bytes);
    tcase_add_test(all, messages_say_what_they_were_made_of_at_every_limit);
    tcase_add_test(all, each_mark_has_these_bytes);
    tcase_add_test(all, marks_say_what_they_were_made_of_at_every_limit);
    tcase_add_test(all, every_flipped_bit_is_refused_or_means_something);
    tcase_add_test(all, random_bytes_are_read_within_their_bounds);
    tcase_add_test(all, attributes_hold_at_most_one_that_is_sound);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
