/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_undefined_topics.c -- a topic that was opened while there was no room, and is named first by
 * what lies in none of its queues: it is there after a crash, with its message, and its number is
 * nobody else's. Nor is it when its definition is lost.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "support/run_suite.h"
#include "unit/raw_transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };
enum { AGE_MS = 1000, LATER_MS = 5000, LARGE = 100000, FILLING = 1000 };

static uint32_t others; /* a topic that has messages */
static struct commitlog_reservation *held;

/* ---- what names it first ---- */

static struct commitlog_record delayed_record(const struct commitlog_slice *body)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topic,
                                     .level = DURABLE,
                                     .body = body,
                                     .body_count = 1,
                                     .deliver_at_ms = now_ms() + LATER_MS};
}

static void name_by_delayed(size_t bytes)
{
    const struct commitlog_slice body = {filling, bytes};
    const struct commitlog_record record = delayed_record(&body);
    ck_assert_msg(commitlog_append_record(store, &record, 0, NULL, &err) == 0, "%s", err.message);
}

static void by_a_delayed_message(void)
{
    name_by_delayed(8);
}

static void by_a_large_one(void)
{
    name_by_delayed(LARGE);
}

static void by_one_in_a_batch(void)
{
    const struct commitlog_slice body = {filling, 8};
    struct commitlog_record records[2] = {delayed_record(&body), delayed_record(&body)};
    records[0].topic = others;
    records[0].deliver_at_ms = 0;
    ck_assert_int_eq(commitlog_append_batch(store, records, 2, 0, NULL, &err), 0);
}

static void by_a_transaction(void)
{
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(half(transaction, 0, 7, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    commitlog_transaction_close(transaction);
}

static void by_an_age(void)
{
    ck_assert_int_eq(commitlog_topic_expire_after(store, topic, AGE_MS, DURABLE, &err), 0);
}

static void by_growth(void)
{
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, DURABLE, &err), 0);
}

static void (*const names[])(void) = {by_a_delayed_message, by_a_transaction, by_an_age,
                                      by_one_in_a_batch,    by_a_large_one,   by_growth};
enum { NAMES = sizeof(names) / sizeof(names[0]), SIMPLE_NAMES = 3 };

/* ---- how it came to be without a definition ---- */

static void names_setup(void)
{
    setup();
    segment_bytes = 1 << 20;
    held = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "others", 6, 1, &others, &err), 0);
}

static bool is_defined(void)
{
    return clg_log_topic_is_defined(store->core->log,
                                    clg_registry_topic(&store->core->registry, topic));
}

static void fill_the_stage(void)
{
    struct commitlog_slice slice = {filling, 0};
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = others, .level = NONE};
    void *body = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &body, &err), 0);
    record.body = &slice;
    record.body_count = 1;
    for (size_t bytes = FILLING; bytes > 0; bytes /= 10) { /* nothing is drained behind it */
        int32_t rc = COMMITLOG_OK;
        slice.bytes = bytes;
        while (rc == COMMITLOG_OK) {
            rc = commitlog_append_record(store, &record, 0, NULL, &err);
        }
        ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
    }
}

static void open_without_room(void)
{
    fill_the_stage();
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert(!is_defined());
    ck_assert_int_eq(commitlog_abort(held), 0);
}

/* ---- what has become of it ---- */

static uint32_t public_topic(void)
{
    uint32_t number = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "public", 6, 1, &number, &err), 0);
    return number;
}

static uint64_t end_of(uint32_t which)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, which, 0, &info), 0);
    return info.next_offset;
}

static struct commitlog_topic_info about(uint32_t which)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_info(store, which, &info), 0);
    return info;
}

/* All that waits comes; of a transaction whose topic is lost a commit may be refused. */
static void let_it_come(bool known)
{
    struct commitlog_transaction_info open;
    if (open_count(&open) > 0) {
        struct commitlog_transaction *transaction = NULL;
        ck_assert_int_eq(commitlog_transaction_open(store, open.transaction, &transaction, &err),
                         0);
        int32_t rc = commit(transaction, NONE, NULL);
        ck_assert(rc == 0 || !known);
        commitlog_transaction_close(transaction);
    }
    pass_ms(2 * LATER_MS);
    step_all();
}

/* A new topic has none of its messages and not its age: what it is given it keeps. */
static void new_one_is_new(bool known)
{
    const uint32_t number = public_topic();
    ck_assert_uint_eq(about(number).keep_age_ms, 0);
    ck_assert_int_eq(commitlog_append(store, number, 0, "precious", 8, NONE, NULL), 0);
    let_it_come(known);
    ck_assert_uint_eq(end_of(number), 1);
    ck_assert_uint_eq(about(number).expired_below, 0);
}

static void the_process_dies(void)
{
    die(false);
}

static void the_power_goes(void)
{
    die(true);
}

static void it_is_closed(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static void (*const ways_to_die[])(void) = {the_process_dies, the_power_goes, it_is_closed};
enum { WAYS_TO_DIE = sizeof(ways_to_die) / sizeof(ways_to_die[0]) };

START_TEST(whatever_names_it_first_brings_its_definition)
{
    void (*const name)(void) = names[_i / (2 * WAYS_TO_DIE)];
    void (*const end)(void) = ways_to_die[_i / 2 % WAYS_TO_DIE];
    open_without_room();
    name();
    end();
    if (_i % 2 == 1) {
        forget_views();
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    new_one_is_new(true);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(end_of(topic), name == by_an_age || name == by_growth ? 0 : 1);
    ck_assert_uint_eq(about(topic).keep_age_ms, name == by_an_age ? AGE_MS : 0);
}
END_TEST

/* ---- its definition is lost ---- */

static void spoil_log(uint64_t from, uint64_t to)
{
    static const uint8_t junk[4096] = {1, 2, 3};
    ck_assert_uint_le(to - from, sizeof(junk));
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log", from,
                                           junk, to - from),
                     0);
}

static void append_others(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append(store, others, 0, filling, 50000, NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
}

/* With what names it in the same segment, or in the next one. */
static void lose_definition(void (*name)(void), bool same_segment)
{
    const uint64_t from = store_positions().claimed;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    const uint64_t to = store_positions().claimed;
    if (!same_segment) {
        append_others(30);
        ck_assert_uint_gt(store_positions().claimed, segment_bytes);
    }
    name();
    it_is_closed();
    forget_views();
    spoil_log(from, to);
    ck_assert_int_eq(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                     COMMITLOG_RECOVER_SALVAGE),
                     0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), COMMITLOG_ENOTFOUND);
}

START_TEST(a_number_that_something_names_is_nobody_elses_when_its_definition_is_lost)
{
    lose_definition(names[_i % SIMPLE_NAMES], _i / SIMPLE_NAMES == 0);
    new_one_is_new(false);
}
END_TEST

/* What names it is carried forward, as if its topic were there: it may be known again. */
START_TEST(retention_goes_on_and_the_number_stays_taken)
{
    struct commitlog_retained retained;
    lose_definition(names[_i], true);
    append_others(70);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_ge(retained.segments_dropped, 2);
    ck_assert_uint_gt(store_positions().first, 2 * segment_bytes);
    it_is_closed();
    forget_views();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    new_one_is_new(false);
}
END_TEST

/* ---- named by a group ---- */

static struct commitlog_group *keeping(void)
{
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    return group;
}

static uint64_t offset_of(uint32_t which)
{
    struct commitlog_group *group = keeping();
    struct commitlog_group_offset offset = {.topic = which};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    commitlog_group_close(group);
    return offset.offset;
}

static void commit_offset(struct commitlog_group *group)
{
    const struct commitlog_group_offset offset = {.topic = topic};
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, DURABLE, 0, NULL, &err), 0);
}

static void reset_offset(struct commitlog_group *group)
{
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, 0, DURABLE, &err), 0);
}

static void prepare_offset(struct commitlog_group *group)
{
    const struct commitlog_group_offset offset = {.topic = topic};
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    commitlog_transaction_close(transaction);
}

static void (*const group_names[])(struct commitlog_group *) = {commit_offset, reset_offset,
                                                                prepare_offset};
enum { GROUP_NAMES = sizeof(group_names) / sizeof(group_names[0]) };

/* A group that keeps a topic from its first offset on has said so of this one. */
START_TEST(an_offset_of_a_group_brings_the_definition)
{
    open_without_room();
    struct commitlog_group *group = keeping();
    group_names[_i / WAYS_TO_DIE](group);
    commitlog_group_close(group);
    ways_to_die[_i % WAYS_TO_DIE]();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    const uint32_t number = public_topic();
    let_it_come(true);
    ck_assert_uint_eq(offset_of(topic), 0);
    ck_assert_uint_eq(offset_of(number), UINT64_MAX);
}
END_TEST

START_TEST(where_a_group_begins_to_receive_brings_the_definition)
{
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    uint32_t count = 0;
    struct commitlog_group *group = keeping();
    fill_the_stage();
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, NULL, &receiver, &err), 0);
    ck_assert(!is_defined());
    ck_assert_int_eq(commitlog_abort(held), 0);
    ck_assert_int_eq(commitlog_receive(receiver, &message, &delivery, 1, 0, &count, &err),
                     COMMITLOG_EEND);
    ck_assert_uint_eq(offset_of(topic), 0);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    the_process_dies();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_msg(commitlog_topic_open(store, "t", 1, 0, &topic, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(offset_of(topic), 0);
}
END_TEST

/* ---- named by one while another one brings the definition ---- */

static struct {
    struct commitlog_os table;
    struct commitlog_group *group;
    pthread_t thread;
    _Atomic bool armed;
    _Atomic bool is_done;
} beside;

/* What is changed in the table from here on counts at once. */
static void beside_open(void)
{
    it_is_closed();
    memset(&beside, 0, sizeof(beside));
    beside.table = *commitlog_fault_os(machine);
    ck_assert_int_eq(
        store_open_with(&beside.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "others", 6, 1, &others, &err), 0);
    beside.group = keeping();
}

static void beside_is_known_after_a_power_cut(void)
{
    commitlog_group_close(beside.group);
    the_power_goes();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_msg(commitlog_topic_open(store, "t", 1, 0, &topic, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(offset_of(topic), 0);
}

static void *commit_beside(void *unused)
{
    topic = commitlog_topic_count(store) - 1; /* whoever lists them finds it */
    commit_offset(beside.group);
    atomic_store(&beside.is_done, true);
    return unused;
}

/* The definition is about to be made: somebody else commits, and comes as far as he comes. */
static void *beside_alloc(const struct commitlog_os *os, size_t size)
{
    if (store != NULL && clg_mutex_is_held(&store->growth_lock) &&
        atomic_exchange(&beside.armed, false)) {
        const struct timespec moment = {.tv_nsec = 1000000};
        ck_assert_int_eq(pthread_create(&beside.thread, NULL, commit_beside, NULL), 0);
        for (int i = 0; i < 200 && !atomic_load(&beside.is_done); i++) {
            (void)nanosleep(&moment, NULL);
        }
    }
    return commitlog_fault_os(machine)->alloc(os, size);
}

START_TEST(who_names_it_while_another_one_defines_it_has_the_definition_before_him)
{
    uint32_t epoch = 0;
    beside_open();
    beside.table.alloc = beside_alloc;
    open_without_room();
    atomic_store(&beside.armed, true);
    ck_assert_int_eq(commitlog_group_next_epoch(beside.group, NONE, &epoch, &err), 0);
    ck_assert_int_eq(pthread_join(beside.thread, NULL), 0);
    ck_assert(is_defined());
    beside_is_known_after_a_power_cut();
}
END_TEST

START_TEST(who_names_it_while_it_is_being_made_has_the_definition_before_him)
{
    uint32_t made = 0;
    beside_open();
    beside.table.alloc = beside_alloc;
    atomic_store(&beside.armed, true);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &made, &err), 0);
    ck_assert_int_eq(pthread_join(beside.thread, NULL), 0);
    ck_assert_uint_eq(made, topic);
    beside_is_known_after_a_power_cut();
}
END_TEST

/* What holds the log ends while somebody waits for room. */
static int beside_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                             uint32_t expected, int64_t timeout_ns, bool shared)
{
    if (atomic_exchange(&beside.armed, false)) {
        ck_assert_int_eq(commitlog_abort(held), 0);
    }
    return commitlog_fault_os(machine)->futex_wait(os, word, expected, timeout_ns, shared);
}

START_TEST(who_names_it_after_he_has_waited_for_room_has_the_definition_before_him)
{
    struct commitlog_group_offset offset = {0};
    beside_open();
    beside.table.futex_wait = beside_futex_wait;
    fill_the_stage();
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert(!is_defined());
    offset.topic = topic;
    atomic_store(&beside.armed, true);
    ck_assert_int_eq(
        commitlog_group_commit(beside.group, 0, &offset, 1, DURABLE, COMMITLOG_FOREVER, NULL, &err),
        0);
    ck_assert(!atomic_load(&beside.armed));
    beside_is_known_after_a_power_cut();
}
END_TEST

/* There is room for what names it, and none for the definition. */
START_TEST(what_is_smaller_than_the_definition_does_not_overtake_it)
{
    char name[COMMITLOG_TOPIC_NAME_MAX_BYTES];
    struct commitlog_slice slice = {filling, 8 + 24 * (size_t)_i};
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = others, .level = NONE};
    struct commitlog_group_offset offset = {0};
    void *body = NULL;
    struct commitlog_group *group = keeping();
    memset(name, 'n', sizeof(name));
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &body, &err), 0);
    record.body = &slice;
    record.body_count = 1;
    while (commitlog_append_record(store, &record, 0, NULL, &err) == 0) {
        slice.bytes = 264; /* less than the definition, more than what names it */
    }
    ck_assert_int_eq(commitlog_topic_open(store, name, sizeof(name), 1, &topic, &err), 0);
    ck_assert(!is_defined());
    offset.topic = topic;
    int32_t rc = commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err);
    ck_assert(rc == 0 || rc == COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(commitlog_abort(held), 0);
    commitlog_group_close(group);
    the_process_dies();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert(rc != 0 || commitlog_topic_open(store, name, sizeof(name), 0, &topic, &err) == 0);
}
END_TEST

/* ---- nobody names it, but what comes behind it is made durable ---- */

static void by_a_sync(void)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
}

static void by_a_durable_append(void)
{
    ck_assert_int_eq(commitlog_append(store, others, 0, "x", 1, DURABLE, NULL), 0);
}

static void by_a_durable_batch(void)
{
    const struct commitlog_slice body = {filling, 8};
    const struct commitlog_record records[2] = {
        {.struct_bytes = sizeof(*records), .topic = others, .body = &body, .body_count = 1},
        {.struct_bytes = sizeof(*records),
         .topic = others,
         .level = DURABLE,
         .body = &body,
         .body_count = 1}};
    ck_assert_int_eq(commitlog_append_batch(store, records, 2, 0, NULL, &err), 0);
}

static void (*const durable_ones[])(void) = {by_a_sync, by_a_durable_append, by_a_durable_batch};
enum { DURABLE_ONES = sizeof(durable_ones) / sizeof(durable_ones[0]) };

START_TEST(what_makes_durable_what_was_before_it_makes_the_topic_durable)
{
    open_without_room();
    durable_ones[_i / 2]();
    die(_i % 2 == 1);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_msg(commitlog_topic_open(store, "t", 1, 0, &topic, &err) == 0, "%s", err.message);
}
END_TEST

static Suite *undefined_topics_suite(void)
{
    Suite *suite = suite_create("undefined_topics");
    TCase *cases = tcase_create("topics without a definition");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, names_setup, teardown);
    tcase_add_loop_test(cases, whatever_names_it_first_brings_its_definition, 0,
                        2 * WAYS_TO_DIE * NAMES);
    tcase_add_loop_test(cases,
                        a_number_that_something_names_is_nobody_elses_when_its_definition_is_lost,
                        0, 2 * SIMPLE_NAMES);
    tcase_add_loop_test(cases, retention_goes_on_and_the_number_stays_taken, 0, SIMPLE_NAMES);
    tcase_add_loop_test(cases, an_offset_of_a_group_brings_the_definition, 0,
                        GROUP_NAMES * WAYS_TO_DIE);
    tcase_add_test(cases, where_a_group_begins_to_receive_brings_the_definition);
    tcase_add_test(cases, who_names_it_while_another_one_defines_it_has_the_definition_before_him);
    tcase_add_test(cases, who_names_it_while_it_is_being_made_has_the_definition_before_him);
    tcase_add_test(cases, who_names_it_after_he_has_waited_for_room_has_the_definition_before_him);
    tcase_add_loop_test(cases, what_is_smaller_than_the_definition_does_not_overtake_it, 0, 13);
    tcase_add_loop_test(cases, what_makes_durable_what_was_before_it_makes_the_topic_durable, 0,
                        2 * DURABLE_ONES);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(undefined_topics_suite());
}
