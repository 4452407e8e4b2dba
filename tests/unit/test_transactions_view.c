/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_view.c -- the view of open transactions: records into its table, the table into
 * section 8 of .state and back, and sections that nobody saved.
 *
 * A section is handed over in a block of exactly its size. What the view takes of one that was
 * changed keeps the invariants and is saved and taken again as the same.
 *
 * SEED, STEPS and ROUNDS in the environment.
 */
#include "unit/transaction_shown_fixture.h"

#include <stdio.h>

#include "base/bytes.h"
#include "support/run_suite.h"
#include "view/transactions_view.h"

static const struct clg_view_ops *const ops = &clg_transactions_view_ops;

static struct clg_view *view_new(void)
{
    const struct clg_view_context context = {.os = &scarce, .view_dirfd = -1};
    struct clg_view *view = NULL;
    ck_assert_int_eq(ops->create(&context, 0, &view), 0);
    return view;
}

/* Of what is delivered every other one by reference. */
static void show_record(struct shown *out, const struct record *record)
{
    uint8_t kind = record->kind != RECORD_DELIVERED ? CLG_KIND_TRANSACTION
                   : record->position / 8 % 2 == 0  ? CLG_KIND_REFERENCE
                                                    : CLG_KIND_MESSAGE;
    show(out, kind, record->position, record->size, record->time_ms);
    if (record->kind == RECORD_HALF) {
        show_attribute(out, CLG_ATTRIBUTE_TRANSACTION | CLG_ATTRIBUTE_CRITICAL, record->body,
                       record->bytes);
        show_attribute(out, CLG_ATTRIBUTE_TAG, "tag", 3);
        show_body(out, "message", 7);
    } else if (record->kind == RECORD_MARK) {
        show_body(out, record->body, record->bytes);
    } else if (kind == CLG_KIND_REFERENCE) {
        show_reference(out, CLG_REFERENCE_TRANSACTION, record->transaction);
    } else {
        show_copy(out, record->transaction, record->transaction);
    }
}

/* What fails for want of memory may be applied again. */
static void fold(struct clg_view *view, uint32_t from)
{
    struct shown shown;
    for (uint32_t i = from; i < history_count; i++) {
        show_record(&shown, &history[i]);
        int rc = ops->apply(view, &shown.view);
        if (rc != 0) {
            ck_assert_int_eq(rc, COMMITLOG_ENOMEM);
            ck_assert_int_eq(ops->apply(view, &shown.view), 0);
        }
    }
}

static void check_view(const struct clg_view *view)
{
    check(clg_transactions_view_table(view));
    ck_assert_uint_eq(clg_transactions_view_contradictions(view), 0);
}

/* ---- sections ---------------------------------------------------------------------------------
 */

struct section {
    uint64_t bytes;
    uint8_t *data;
};

/* For the caller to free; nothing is written behind it. */
static struct section save(const struct clg_view *view)
{
    struct section section = {.bytes = ops->save_bytes(view)};
    section.data = need_alloc((size_t)section.bytes + 1);
    memset(section.data, 0xa5, (size_t)section.bytes + 1);
    ops->save(view, section.data, section.bytes);
    ck_assert_uint_eq(section.data[section.bytes], 0xa5);
    return section;
}

/* Refused, or taken: then it can be saved, and taken again as the same. */
static bool restore(const uint8_t *data, uint64_t bytes)
{
    struct clg_view *view = view_new();
    uint8_t *block = need_alloc((size_t)bytes + (bytes == 0));
    memcpy(block, data, (size_t)bytes);
    int rc = ops->restore(view, block, bytes, CLG_POSITION_MAX + 1);
    free(block);
    clg_transaction_table_invariants(clg_transactions_view_table(view));
    ck_assert(rc == 0 || rc == COMMITLOG_EDAMAGED);
    if (rc == 0) {
        struct clg_view *other = view_new();
        struct section saved = save(view);
        ck_assert_uint_le(saved.bytes, bytes);
        ck_assert_int_eq(ops->restore(other, saved.data, saved.bytes, CLG_POSITION_MAX + 1), 0);
        struct section again = save(other);
        ck_assert_uint_eq(again.bytes, saved.bytes);
        ck_assert_mem_eq(again.data, saved.data, saved.bytes);
        free(saved.data);
        free(again.data);
        ops->destroy(other);
    }
    ops->destroy(view);
    return rc == 0;
}

/* A log of so many records or some more, in the arrays: some messages are left at its end. */
static void write_log(uint64_t seed, uint32_t records)
{
    struct clg_transaction_table table;
    begin(seed);
    clg_transaction_table_init(&table, &scarce);
    while (history_count < records || table.messages < 10) {
        put_something(&table);
    }
    clg_transaction_table_deinit(&table);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(the_view_folds_what_the_records_say)
{
    uint64_t seed = prog_env("SEED", 1);
    uint64_t steps = prog_env("STEPS", 3000);
    printf("transactions view: SEED=%llu STEPS=%llu\n", (unsigned long long)seed,
           (unsigned long long)steps);
    begin(seed);
    struct clg_transaction_table table;
    struct clg_view *view = view_new();
    clg_transaction_table_init(&table, &scarce);
    for (uint32_t step = 0; step < steps && history_count < HISTORY - 1; step++) {
        const uint32_t from = history_count;
        put_something(&table);
        allocs_left = draw(4) == 0 ? draw(3) : UINT64_MAX;
        fold(view, from);
        allocs_left = UINT64_MAX;
        check_view(view);
        if (step % 50 == 0) { /* a new view that begins with what this one saved some time ago */
            struct section section = save(view);
            ops->reset(view);
            ck_assert_uint_eq(ops->save_bytes(view), 0);
            ck_assert_int_eq(ops->restore(view, section.data, section.bytes, log_end), 0);
            free(section.data);
            check_view(view);
            fold(view, draw(history_count));
            check_view(view);
        }
    }
    ck_assert_uint_ge(ops->memory(view), clg_transaction_table_memory(&table) / 2);
    clg_transaction_table_deinit(&table);
    ops->destroy(view);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

/* A first message, prepared, and offsets of one group. */
static const uint8_t saved_bytes[] = {1,    0,    0, 0, 1,   0, 0,    0, /* messages, groups */
                                      0,    0x20, 0, 0, 0,   0, 0,    0, 49, 0,    0, 0, 0, 0,
                                      0,    0, /* state: where, bytes */
                                      4,    0,    0, 0, 1,   0, 0,    0, 0,  0x20, 0, 0, 0, 0,
                                      0,    0,    7, 0, 0,   0, 0,    0, 0,  0,    9, 0, 0, 0,
                                      0,    0,    0, 0, 1,   0, 0,    0, 1,  0,    0, 0, 0, 0,
                                      0,    0,    0, 0, 0,   0, 'p',  0, 0,  0,    0, 0, 0, 0,
                                      0x40, 0x20, 0, 0, 0,   0, 0,    0, 56, 0,    0, 0, 0, 0,
                                      0,    0, /* offsets: where, bytes */
                                      5,    0,    0, 0, 0,   0, 0,    0, 0,  0x20, 0, 0, 0, 0,
                                      0,    0,    2, 0, 1,   0, 3,    0, 0,  0,    0, 0, 0, 0,
                                      1,    0,    0, 0, 'g', 0, 0,    0, 0,  0,    0, 0, 6, 0,
                                      0,    0,    0, 0, 0,   0, 5,    0, 0,  0,    0, 0, 0, 0,
                                      0,    0x20, 0, 0, 0,   0, 0,    0, 0,  0x20, 0, 0, 0, 0,
                                      0,    0,    2, 0, 0,   0, 0x40, 0, 0,  0};

START_TEST(a_section_is_saved_in_these_bytes)
{
    const struct clg_group_entry entry = {.queue_number = 6, .offset = 5};
    const struct clg_transaction_half half = {.queue_number = 2,
                                              .group = (const uint8_t *)"p",
                                              .group_bytes = 1,
                                              .prepared = true,
                                              .expire_at_ms = 9};
    const struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_OFFSETS,
                                              .transaction = 0x2000,
                                              .offsets = {.name = (const uint8_t *)"g",
                                                          .name_bytes = 1,
                                                          .operation = CLG_GROUP_OFFSETS,
                                                          .epoch = 3,
                                                          .count = 1}};
    struct shown shown;
    uint8_t bytes[BODY];
    begin(1);
    struct clg_view *view = view_new();
    show(&shown, CLG_KIND_TRANSACTION, 0x2000, 0x40, 7);
    clg_transaction_half_encode(bytes, &half);
    show_attribute(&shown, CLG_ATTRIBUTE_TRANSACTION, bytes, clg_transaction_half_bytes(&half));
    ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    show(&shown, CLG_KIND_TRANSACTION, 0x2040, 0x68, 8);
    ck_assert_int_eq(clg_transaction_mark_encode(bytes, &mark, &entry), 0);
    show_body(&shown, bytes, clg_transaction_mark_bytes(&mark));
    ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    struct section section = save(view);
    ck_assert_uint_eq(ops->state_id, 8);
    ck_assert_uint_eq(section.bytes, sizeof(saved_bytes));
    ck_assert_mem_eq(section.data, saved_bytes, sizeof(saved_bytes));
    ck_assert(restore(saved_bytes, sizeof(saved_bytes)));
    free(section.data);
    ops->destroy(view);
}
END_TEST

/* With another number at this place. */
static bool restore_with(size_t at, size_t width, uint64_t number)
{
    uint8_t section[sizeof(saved_bytes)];
    uint8_t bytes[8];
    memcpy(section, saved_bytes, sizeof(section));
    clg_store_le64(bytes, number);
    memcpy(section + at, bytes, width);
    return restore(section, sizeof(section));
}

START_TEST(each_number_of_a_section_has_its_bounds)
{
    static const struct {
        size_t at;
        size_t width;
        uint64_t number;
    } refused[] = {{0, 4, 0},
                   {0, 4, 2},
                   {0, 4, UINT32_MAX},
                   {4, 4, 0},
                   {4, 4, 2},
                   {4, 4, UINT32_MAX},
                   {8, 8, 0x1ff8}, /* where the state is said */
                   {8, 8, CLG_POSITION_MAX + 8},
                   {16, 4, 0},
                   {16, 4, 48},
                   {16, 4, 50},
                   {16, 4, UINT32_MAX},
                   {20, 4, 1},
                   {24, 4, CLG_TRANSACTION_COMMIT},
                   {28, 4, 0}, /* not prepared, and yet it ends */
                   {32, 8, 0},
                   {32, 8, 0x2008},
                   {68, 4, 1},
                   {80, 8, 0x1ff8}, /* and the offsets */
                   {80, 8, CLG_POSITION_MAX + 8},
                   {88, 4, 55},
                   {88, 4, 57},
                   {92, 4, 0x80000000},
                   {104, 8, 0},
                   {104, 8, 0x2008},
                   {104, 8, 0x1ff8},
                   {152, 8, 0}, /* the message */
                   {152, 8, 0x1ff8},
                   {152, 8, 0x2008},
                   {160, 8, 0x1ff8},
                   {160, 8, 0x2004},
                   {160, 8, CLG_POSITION_MAX + 8},
                   {160, 8, UINT64_MAX},
                   {168, 4, CLG_QUEUE_NONE},
                   {172, 4, 0},
                   {172, 4, 40},
                   {172, 4, 0x44}};
    uint8_t section[sizeof(saved_bytes)] = {0};
    begin(1);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_msg(!restore_with(refused[i].at, refused[i].width, refused[i].number),
                      "%llu at %zu", (unsigned long long)refused[i].number, refused[i].at);
    }
    ck_assert(restore_with(8, 8, UINT64_MAX)); /* of nobody */
    ck_assert(restore_with(8, 8, CLG_POSITION_MAX));
    ck_assert(restore_with(160, 8, CLG_POSITION_MAX));
    ck_assert(restore_with(60, 4, UINT32_MAX)); /* more than is left of it */
    ck_assert(restore_with(64, 4, UINT32_MAX));
    memcpy(section + 8, saved_bytes + 8, 72); /* a state alone */
    ck_assert(restore(section, 80));
    memcpy(section + 8, saved_bytes + 80, 72); /* offsets alone */
    ck_assert(!restore(section, 80));
    memcpy(section, saved_bytes, 80); /* two states, one in place of offsets */
    memcpy(section + 80, saved_bytes + 8, 72);
    section[0] = 0;
    ck_assert(!restore(section, 152));
}
END_TEST

/* A number that was none of a transaction got offsets; then a fold goes over the beginning of one
 * of that number again. */
START_TEST(one_that_begins_again_has_room)
{
    const struct clg_group_entry entry = {.queue_number = 6, .offset = 5};
    const struct clg_transaction_half half = {.group = (const uint8_t *)"one", .group_bytes = 3};
    const struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_OFFSETS,
                                              .transaction = 0x2000,
                                              .offsets = {.name = (const uint8_t *)"g",
                                                          .name_bytes = 1,
                                                          .operation = CLG_GROUP_OFFSETS,
                                                          .count = 1}};
    struct shown shown;
    uint8_t bytes[BODY];
    begin(1);
    struct clg_view *view = view_new();
    show(&shown, CLG_KIND_TRANSACTION, 0x3000, 0x68, 8);
    ck_assert_int_eq(clg_transaction_mark_encode(bytes, &mark, &entry), 0);
    show_body(&shown, bytes, clg_transaction_mark_bytes(&mark));
    ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    clg_transaction_half_encode(bytes, &half);
    for (int i = 0; i < 2; i++) {
        show(&shown, CLG_KIND_TRANSACTION, 0x2000, 0x40, 7);
        show_attribute(&shown, CLG_ATTRIBUTE_TRANSACTION, bytes, clg_transaction_half_bytes(&half));
        ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    }
    const struct clg_transaction *one =
        clg_transaction_find(clg_transactions_view_table(view), 0x2000);
    ck_assert(one != NULL && one->message_count == 1 && one->offset_count == 1);
    ops->destroy(view);
}
END_TEST

/* Nothing in it lies at or behind the position of the file. */
START_TEST(a_section_speaks_of_what_lies_before_it)
{
    static const struct {
        uint64_t end;
        int rc;
    } ends[] = {{0x2000, COMMITLOG_EDAMAGED},
                {0x2040, COMMITLOG_EDAMAGED},
                {0x2048, COMMITLOG_OK},
                {UINT64_MAX, COMMITLOG_OK}};
    begin(1);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct clg_view *view = view_new();
        ck_assert_msg(ops->restore(view, saved_bytes, sizeof(saved_bytes), ends[i].end) ==
                          ends[i].rc,
                      "%zu", i);
        ops->destroy(view);
    }
}
END_TEST

START_TEST(a_section_with_any_bit_flipped_is_refused_or_sound)
{
    uint64_t taken = 0;
    struct clg_view *view = NULL;
    struct section section = {0};
    for (uint32_t steps = 60; section.bytes <= 500; steps += 60) { /* some end with few open */
        ck_assert_uint_le(steps, 6000);
        if (view != NULL) {
            free(section.data);
            ops->destroy(view);
        }
        write_log(prog_env("SEED", 1), steps);
        view = view_new();
        fold(view, 0);
        section = save(view);
    }
    ck_assert(restore(section.data, section.bytes));
    for (uint64_t bit = 0; bit < section.bytes * 8; bit++) {
        section.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        taken += restore(section.data, section.bytes);
        section.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    printf("transactions view: %llu of %llu flipped bits are taken\n", (unsigned long long)taken,
           (unsigned long long)section.bytes * 8);
    ck_assert_uint_gt(taken, 0);
    free(section.data);
    ops->destroy(view);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

START_TEST(a_section_of_any_bytes_is_refused_or_sound)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     7,
                                     8,
                                     24,
                                     40,
                                     0x7fffffff,
                                     UINT32_MAX,
                                     CLG_POSITION_MAX,
                                     CLG_POSITION_MAX + 8,
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX - 7,
                                     UINT64_MAX};
    uint64_t rounds = prog_env("ROUNDS", 30000);
    write_log(prog_env("SEED", 1), 60);
    struct clg_view *view = view_new();
    fold(view, 0);
    struct section section = save(view);
    uint8_t *bytes = need_alloc((size_t)section.bytes * 2);
    for (uint64_t cut = 0; cut < section.bytes; cut++) {
        (void)restore(section.data, cut);
    }
    memcpy(bytes, section.data, (size_t)section.bytes);
    memcpy(bytes + section.bytes, section.data, (size_t)section.bytes);
    ck_assert(restore(bytes, section.bytes * 2)); /* all of it is said twice */
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t used = section.bytes;
        memcpy(bytes, section.data, (size_t)used);
        for (uint32_t n = 1 + draw(3); n > 0; n--) {
            const uint32_t width = draw(2) == 0 ? 4 : 8;
            uint8_t number[8];
            clg_store_le64(number, draw(3) == 0 ? rng_next(&rng) >> draw(64)
                                                : edges[draw(sizeof(edges) / sizeof(edges[0]))]);
            memcpy(bytes + draw((uint32_t)used / width) * width, number, width);
        }
        if (draw(8) == 0) {
            used = draw((uint32_t)used + 1);
        }
        (void)restore(bytes, used);
    }
    free(bytes);
    free(section.data);
    ops->destroy(view);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

START_TEST(a_restore_that_fails_for_want_of_memory_leaves_nothing)
{
    write_log(prog_env("SEED", 1), 200);
    struct clg_view *view = view_new();
    fold(view, 0);
    struct section section = save(view);
    int rc = COMMITLOG_ENOMEM;
    for (uint64_t nth = 0; rc != 0; nth++) {
        const uint64_t blocks = held_blocks;
        struct clg_view *other = view_new();
        allocs_left = nth;
        rc = ops->restore(other, section.data, section.bytes, CLG_POSITION_MAX + 1);
        allocs_left = UINT64_MAX;
        ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
        clg_transaction_table_invariants(clg_transactions_view_table(other));
        ops->reset(other);
        ck_assert_uint_eq(held_blocks, blocks + 1);
        ck_assert_int_eq(ops->restore(other, section.data, section.bytes, CLG_POSITION_MAX + 1), 0);
        check_view(other);
        ops->destroy(other);
        ck_assert_uint_eq(held_blocks, blocks);
        ck_assert(rc != 0 || nth > 5);
    }
    free(section.data);
    ops->destroy(view);
}
END_TEST

/* Two are open, 8192 and 8256; what is applied then leaves them as they are. */
static struct clg_view *view_with_two(void)
{
    struct clg_transaction_table table;
    begin(1);
    clg_transaction_table_init(&table, &scarce);
    put_first(&table);
    log_end = 8256;
    put_first(&table);
    clg_transaction_table_deinit(&table);
    struct clg_view *view = view_new();
    fold(view, 0);
    check_view(view);
    log_end = 16384;
    return view;
}

static void check_unchanged(struct clg_view *view, const struct shown *shown,
                            uint64_t contradictions)
{
    ck_assert_int_eq(ops->apply(view, &shown->view), 0);
    check(clg_transactions_view_table(view));
    ck_assert_uint_eq(clg_transactions_view_contradictions(view), contradictions);
}

START_TEST(what_contradicts_itself_is_counted_and_left_out)
{
    static const struct clg_transaction_half bad_halves[] = {
        {.transaction = 16384}, {.transaction = 16392}, {.transaction = 8192, .message = 16384}};
    static const struct clg_transaction_mark bad_marks[] = {
        {.operation = CLG_TRANSACTION_ROLLBACK, .transaction = 16384},
        {.operation = CLG_TRANSACTION_STATE, .transaction = 16392, .group = (const uint8_t *)""}};
    struct clg_view *view = view_with_two();
    struct shown shown;
    uint8_t bytes[BODY];
    uint64_t found = 0;
    for (uint32_t i = 0; i < 3; i++) {
        show(&shown, CLG_KIND_TRANSACTION, 16384, 64, log_ms);
        clg_transaction_half_encode(bytes, &bad_halves[i]);
        show_attribute(&shown, CLG_ATTRIBUTE_TRANSACTION, bytes,
                       clg_transaction_half_bytes(&bad_halves[i]));
        check_unchanged(view, &shown, ++found);
        shown.view.header.kind = CLG_KIND_MESSAGE; /* a copy of nothing, which is a message still */
        check_unchanged(view, &shown, found);
    }
    for (uint32_t i = 0; i < 2; i++) {
        show(&shown, CLG_KIND_TRANSACTION, 16384, 64, log_ms);
        ck_assert_int_eq(clg_transaction_mark_encode(bytes, &bad_marks[i], NULL), 0);
        show_body(&shown, bytes, clg_transaction_mark_bytes(&bad_marks[i]));
        check_unchanged(view, &shown, ++found);
    }
    show(&shown, CLG_KIND_TRANSACTION, 16384, 64, log_ms); /* a mark without bytes */
    check_unchanged(view, &shown, ++found);
    show_attribute(&shown, CLG_ATTRIBUTE_TAG, "tag", 3);
    check_unchanged(view, &shown, ++found);
    show(&shown, CLG_KIND_TRANSACTION, 16384, 64, log_ms); /* an attribute that is cut */
    show_copy(&shown, 8192, 8192);
    for (uint16_t cut = 1; cut < 24; cut++) {
        shown.view.header.attribute_bytes = cut;
        check_unchanged(view, &shown, ++found);
    }
    shown.attributes[3 + 4] = 0x10; /* a flag of a newer version */
    shown.view.header.attribute_bytes = 24;
    check_unchanged(view, &shown, ++found);
    ops->destroy(view);
}
END_TEST

START_TEST(only_what_delivers_ends_one)
{
    struct clg_view *view = view_with_two();
    struct shown shown;
    for (uint8_t reason = 1; reason <= CLG_REFERENCE_REFUSED; reason++) {
        if (reason != CLG_REFERENCE_TRANSACTION) {
            show(&shown, CLG_KIND_REFERENCE, 16384, 80, log_ms);
            show_reference(&shown, reason == CLG_REFERENCE_RETRY ? 4 : reason, 8192);
            check_unchanged(view, &shown, 0);
        }
    }
    show(&shown, CLG_KIND_REFERENCE, 16384, 80, log_ms);
    show_reference(&shown, CLG_REFERENCE_TRANSACTION, 8200); /* of one that is not open */
    check_unchanged(view, &shown, 0);
    shown.view.body_bytes--;
    check_unchanged(view, &shown, 0);
    show(&shown, CLG_KIND_MESSAGE, 16384, 80, log_ms);
    show_attribute(&shown, CLG_ATTRIBUTE_TAG, "tag", 3);
    show_copy(&shown, 8192, 8192); /* not the first one */
    check_unchanged(view, &shown, 0);
    shown.attributes[6] = CLG_ATTRIBUTE_KEY; /* not one at all: a key of these bytes */
    memmove(shown.attributes, shown.attributes + 6, 24);
    shown.view.header.attribute_bytes = 24;
    check_unchanged(view, &shown, 0);
    for (uint8_t kind = CLG_KIND_HOLE; kind <= CLG_KIND_WORK; kind++) {
        if (kind != CLG_KIND_TRANSACTION) {
            show(&shown, kind, 16384, 80, log_ms);
            show_copy(&shown, 8192, 8192);
            check_unchanged(view, &shown, 0);
        }
    }
    show(&shown, CLG_KIND_REFERENCE, 16384, 80, log_ms);
    show_reference(&shown, CLG_REFERENCE_TRANSACTION, 8192);
    ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    plain_end(8192);
    check_view(view);
    show(&shown, CLG_KIND_MESSAGE, 16384, 80, log_ms);
    show_copy(&shown, 8256, 8256);
    ck_assert_int_eq(ops->apply(view, &shown.view), 0);
    plain_end(8256);
    check_view(view);
    ops->destroy(view);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transactions view");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 240);
    tcase_add_test(all, the_view_folds_what_the_records_say);
    tcase_add_test(all, a_section_is_saved_in_these_bytes);
    tcase_add_test(all, each_number_of_a_section_has_its_bounds);
    tcase_add_test(all, one_that_begins_again_has_room);
    tcase_add_test(all, a_section_speaks_of_what_lies_before_it);
    tcase_add_test(all, a_section_with_any_bit_flipped_is_refused_or_sound);
    tcase_add_test(all, a_section_of_any_bytes_is_refused_or_sound);
    tcase_add_test(all, a_restore_that_fails_for_want_of_memory_leaves_nothing);
    tcase_add_test(all, what_contradicts_itself_is_counted_and_left_out);
    tcase_add_test(all, only_what_delivers_ends_one);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
