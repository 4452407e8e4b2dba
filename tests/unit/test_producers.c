/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_producers.c -- idempotent producers: what is stored once, and what is remembered of it. The
 * last test runs random appends and repetitions beside a model, on a machine in memory whose
 * process is killed and whose power goes at random.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/group_fixture.h"

#include "base/bytes.h"
#include "format/limits.h"
#include "format/producer_record.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { PRODUCERS = 5, REMEMBERED = CLG_PRODUCER_RECEIPTS };

static void producers_setup(void)
{
    setup();
    open_store();
}

static int32_t append(uint64_t id, uint32_t epoch, uint64_t sequence, uint32_t level,
                      struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {&sequence, sizeof(sequence)};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = (uint32_t)(id % QUEUES),
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1,
                                      .producer_id = id,
                                      .producer_epoch = epoch,
                                      .sequence = sequence};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

static void restart(bool power)
{
    if (power) {
        die(true);
    } else {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    open_store();
}

static uint64_t queue_end(uint32_t q)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, q, &info), 0);
    return info.next_offset;
}

START_TEST(bodies_say_what_they_were_made_of)
{
    uint8_t body[512];
    struct clg_producer_state out;
    struct clg_producer_state state = {
        .id = 7, .sequence = 9, .epoch = 2, .operation = CLG_PRODUCER_STATE, .count = 2};
    state.receipts[0] = (struct clg_producer_receipt){8192, 8264, 1, 5, 1};
    state.receipts[1] = (struct clg_producer_receipt){8264, 8336, 2, 6, 1};
    size_t bytes = clg_producer_state_bytes(2);
    clg_producer_state_encode(body, bytes, &state);
    ck_assert_int_eq(clg_producer_state_decode(body, bytes, &out), 0);
    ck_assert_uint_eq(out.sequence, 9);
    ck_assert_uint_eq(out.receipts[1].queue_offset, 2);
    for (size_t cut = 0; cut < bytes; cut++) {
        ck_assert_int_eq(clg_producer_state_decode(body, cut, &out), COMMITLOG_EDAMAGED);
    }
    for (size_t at = 0; at < bytes; at++) { /* any byte at its most is refused or harmless */
        uint8_t was = body[at];
        body[at] = 0xff;
        int rc = clg_producer_state_decode(body, bytes, &out);
        ck_assert(rc == 0 || rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EUNSUPPORTED);
        ck_assert(rc != 0 || out.count <= REMEMBERED);
        body[at] = was;
    }
    body[0] = 3;
    ck_assert_int_eq(clg_producer_state_decode(body, bytes, &out), COMMITLOG_EUNSUPPORTED);
    body[0] = CLG_PRODUCER_EXPIRE; /* has no receipts */
    ck_assert_int_eq(clg_producer_state_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
    struct clg_producer_mark mark = {1, 1, 0};
    clg_producer_mark_encode(body, &mark);
    ck_assert_int_eq(clg_producer_mark_decode(body, CLG_PRODUCER_ATTRIBUTE_BYTES, &mark), 0);
    clg_store_le64(body + 8, 0);
    ck_assert_int_eq(clg_producer_mark_decode(body, CLG_PRODUCER_ATTRIBUTE_BYTES, &mark),
                     COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(a_repetition_returns_the_first_receipt_with_the_level_asked_for)
{
    struct commitlog_receipt first = {0};
    struct commitlog_receipt again = {0};
    ck_assert_int_eq(append(1, 0, 1, 1, &first), 0);
    ck_assert_uint_eq(first.duplicate, 0);
    ck_assert_uint_lt(store_positions().durable, first.end_position);
    ck_assert_int_eq(append(1, 0, 1, COMMITLOG_LEVEL_DURABLE, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    ck_assert_uint_eq(again.position, first.position);
    ck_assert_uint_eq(again.queue_offset, first.queue_offset);
    ck_assert_int_eq(again.store_time_ns, first.store_time_ns);
    ck_assert_uint_eq(again.epoch, first.epoch);
    ck_assert_uint_eq(again.level, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_ge(store_positions().durable, first.end_position);
    ck_assert_uint_eq(queue_end(1), 1);
    restart(true);
    ck_assert_int_eq(append(1, 0, 1, 1, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    ck_assert_uint_eq(again.position, first.position);
    ck_assert_uint_eq(again.end_position, first.end_position);
    ck_assert_uint_eq(again.queue_offset, first.queue_offset);
    ck_assert_uint_eq(queue_end(1), 1);
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    ck_assert_int_eq(commitlog_get(store, first.position, &message, &lease, &err), 0);
    ck_assert_uint_eq(message.producer_id, 1);
    ck_assert_uint_eq(message.sequence, 1);
    commitlog_lease_release(lease);
}
END_TEST

START_TEST(what_does_not_follow_is_refused_and_changes_nothing)
{
    ck_assert_int_eq(append(1, 0, 2, 1, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(append(1, 0, 0, 1, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(append(1, 0, UINT64_MAX, 1, NULL), COMMITLOG_EINVAL);
    for (uint64_t i = 1; i <= 7; i++) {
        ck_assert_int_eq(append(1, 3, i, 1, NULL), 0);
    }
    ck_assert_int_eq(append(1, 3, 9, 1, NULL), COMMITLOG_EGAP);
    ck_assert_int_eq(append(1, 2, 8, 1, NULL), COMMITLOG_EFENCED);
    ck_assert_int_eq(append(1, 4, 8, 1, NULL), COMMITLOG_EGAP);
    ck_assert_int_eq(append(1, 3, 2, 1, NULL), COMMITLOG_EEXIST);
    ck_assert_int_eq(append(1, 3, 3, 1, NULL), 0);
    ck_assert_uint_eq(queue_end(1), 7);
    ck_assert_int_eq(append(1, 4, 1, 1, NULL), 0);
    ck_assert_int_eq(append(1, 3, 8, 1, NULL), COMMITLOG_EFENCED);
    ck_assert_uint_eq(queue_end(1), 8);
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .sequence = 4};
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, NULL, &err), COMMITLOG_EINVAL);
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    record.producer_id = 9;
    record.sequence = 1;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &body, &err),
                     COMMITLOG_EINVAL);
}
END_TEST

static void append_three(struct commitlog_record records[3], struct commitlog_receipt receipts[3])
{
    memset(records, 0, 3 * sizeof(*records));
    for (uint32_t i = 0; i < 3; i++) {
        records[i].struct_bytes = sizeof(records[i]);
        records[i].topic = topic;
        records[i].queue = i;
        records[i].level = 1;
        records[i].producer_id = 5;
        records[i].sequence = i + 1;
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, receipts, &err), 0);
}

START_TEST(a_batch_is_one_producers_and_is_repeated_whole)
{
    struct commitlog_record records[3];
    struct commitlog_receipt first[3];
    struct commitlog_receipt again[3];
    append_three(records, first);
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(again[i].duplicate, 1);
        ck_assert_uint_eq(again[i].position, first[i].position);
        ck_assert_uint_eq(queue_end(i), 1);
    }
    records[0].sequence = 3; /* the last one again, with two new ones */
    records[1].sequence = 4;
    records[2].sequence = 5;
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), COMMITLOG_EINVAL);
    records[0].sequence = 4;
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), COMMITLOG_EINVAL);
    records[1].sequence = 5;
    records[2].sequence = 6;
    records[2].producer_id = 6;
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), COMMITLOG_EINVAL);
    records[2].producer_id = 5;
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), 0);
    ck_assert_uint_eq(again[0].duplicate, 0);
    ck_assert_uint_eq(queue_end(0), 2);
}
END_TEST

/* The table that is folded from the log, or kept in .state, says of a batch what the writer did. */
START_TEST(the_receipts_of_a_batch_are_the_same_after_a_restart)
{
    struct commitlog_record records[3];
    struct commitlog_receipt first[3];
    struct commitlog_receipt again[3];
    append_three(records, first);
    if (_i > 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        forget_views();
        open_store();
    } else {
        restart(false);
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, again, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(again[i].duplicate, 1);
        ck_assert_uint_eq(again[i].position, first[i].position);
        ck_assert_uint_eq(again[i].end_position, first[i].end_position);
        ck_assert_uint_eq(again[i].queue_offset, first[i].queue_offset);
        ck_assert_int_eq(again[i].store_time_ns, first[i].store_time_ns);
        ck_assert_uint_eq(again[i].epoch, first[i].epoch);
    }
    ck_assert_int_eq(append(5, 0, 4, 1, &first[0]), 0); /* one by itself ends by itself */
    restart(false);
    ck_assert_int_eq(append(5, 0, 4, 1, &again[0]), 0);
    ck_assert_uint_eq(again[0].end_position, first[0].end_position);
}
END_TEST

START_TEST(what_is_remembered_outlives_the_segments)
{
    struct commitlog_receipt receipts[8] = {0};
    struct commitlog_receipt again;
    for (uint32_t i = 1; i <= 7; i++) {
        ck_assert_int_eq(append(1, 2, i, 1, &receipts[i]), 0);
    }
    put(0, 4000);
    ck_assert_uint_gt(retain_all().bytes_carried, 0);
    uint64_t end = store_positions().claimed;
    retain_all();
    ck_assert_uint_eq(store_positions().claimed, end);
    restart(false);
    forget_views();
    restart(false);
    ck_assert_int_eq(append(1, 2, 5, 1, &again), 0);
    ck_assert_uint_eq(again.position, receipts[5].position);
    ck_assert_uint_eq(again.queue_offset, receipts[5].queue_offset);
    ck_assert_int_eq(append(1, 2, 2, 1, &again), COMMITLOG_EEXIST);
    ck_assert_int_eq(append(1, 2, 9, 1, &again), COMMITLOG_EGAP);
    ck_assert_int_eq(append(1, 2, 8, 1, &again), 0);
}
END_TEST

static void step_all(void)
{
    uint32_t wait_ms = 0;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
    }
}

START_TEST(who_was_silent_is_forgotten_by_a_record)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(append(1, 0, 1, 1, NULL), 0);
    step_all();
    ck_assert_int_eq(append(1, 0, 2, 1, NULL), 0); /* seven days are the default */
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_PRODUCER_EXPIRE_MS, 1, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(append(2, 0, 1, 1, NULL), 0);
    const struct commitlog_os *os = commitlog_fault_os(machine);
    os->sleep_ns(os, INT64_C(2000000000));
    step_all();
    uint64_t end = store_positions().claimed;
    step_all();
    ck_assert_uint_eq(store_positions().claimed, end); /* once */
    ck_assert_int_eq(append(1, 0, 3, 1, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    forget_views();
    open_store();
    ck_assert_int_eq(append(1, 0, 3, 1, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(append(1, 0, 1, 1, NULL), 0);
}
END_TEST

/* Retention has stored again what was heard of the one before what the other has appended, behind
 * it: who folds the log meets it last. */
START_TEST(who_was_silent_longest_is_forgotten_first)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 2 * segment_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_options *options = NULL;
    const struct commitlog_os *os = commitlog_fault_os(machine);
    ck_assert_int_eq(append(1, 0, 1, 1, NULL), 0);
    os->sleep_ns(os, INT64_C(50000000000));
    put(0, 1000);
    ck_assert_int_eq(append(2, 0, 1, 1, NULL), 0);
    put(0, 1000);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_eq(retained.segments_dropped, 1);
    ck_assert_int_eq(append(1, 0, 1, 1, NULL), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    if (_i > 0) {
        forget_views();
    }
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_PRODUCER_EXPIRE_MS, 60000, NULL),
                     0);
    commitlog_options_set_os(options, os);
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    os->sleep_ns(os, INT64_C(30000000000));
    step_all();
    ck_assert_int_eq(append(2, 0, 2, 1, NULL), 0);
    ck_assert_int_eq(append(1, 0, 2, 1, NULL), COMMITLOG_ENOTFOUND);
}
END_TEST

/* ---- beside a model -------------------------------------------------------------------------- */

struct model_append {
    uint64_t end; /* of the log after it */
    uint64_t id;
    uint64_t sequence;
    uint32_t epoch;
    struct commitlog_receipt receipt;
};

static struct model_append history[4096];
static uint32_t history_count;
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

/* The n-th newest of this producer's newest epoch; NULL: there are not so many. */
static const struct model_append *model_newest(uint64_t id, uint32_t n)
{
    const struct model_append *newest = NULL;
    for (uint32_t i = history_count; i > 0; i--) {
        const struct model_append *one = &history[i - 1];
        if (one->id != id || (newest != NULL && one->epoch != newest->epoch)) {
            continue;
        }
        newest = newest == NULL ? one : newest;
        if (n-- == 0) {
            return one;
        }
    }
    return NULL;
}

static void model_append(uint64_t id)
{
    const struct model_append *last = model_newest(id, 0);
    uint32_t epoch = last == NULL ? draw(3) : last->epoch;
    uint64_t sequence = last == NULL ? 1 : last->sequence + 1;
    if (last != NULL && draw(10) == 0) {
        epoch++;
        sequence = 1;
    }
    struct model_append *one = &history[history_count];
    int32_t rc = append(id, epoch, sequence, draw(6) == 0 ? 3 : 1, &one->receipt);
    ck_assert_msg(rc == COMMITLOG_OK, "%d: %s", rc, err.message);
    ck_assert_uint_eq(one->receipt.duplicate, 0);
    one->id = id;
    one->epoch = epoch;
    one->sequence = sequence;
    one->end = store_positions().claimed;
    history_count++;
}

static void model_repeat(uint64_t id)
{
    uint32_t back = draw(REMEMBERED + 2);
    const struct model_append *one = model_newest(id, back);
    if (one == NULL) {
        return;
    }
    struct commitlog_receipt again = {0};
    int32_t rc = append(id, one->epoch, one->sequence, 1, &again);
    int32_t want = back < REMEMBERED ? COMMITLOG_OK : COMMITLOG_EEXIST;
    ck_assert_msg(rc == want, "producer %llu, %u back: %d, not %d: %s", (unsigned long long)id,
                  back, rc, want, err.message);
    if (rc == COMMITLOG_OK) {
        ck_assert_uint_eq(again.duplicate, 1);
        ck_assert_uint_eq(again.position, one->receipt.position);
        ck_assert_uint_eq(again.queue_offset, one->receipt.queue_offset);
        ck_assert_int_eq(again.store_time_ns, one->receipt.store_time_ns);
        ck_assert_uint_eq(again.epoch, one->receipt.epoch);
    }
}

static void model_refused(uint64_t id)
{
    const struct model_append *last = model_newest(id, 0);
    if (last == NULL) {
        ck_assert_int_eq(append(id, 0, 2 + draw(9), 1, NULL), COMMITLOG_ENOTFOUND);
        return;
    }
    ck_assert_int_eq(append(id, last->epoch, last->sequence + 2 + draw(9), 1, NULL),
                     COMMITLOG_EGAP);
    if (last->epoch > 0) {
        ck_assert_int_eq(append(id, last->epoch - 1, last->sequence + 1, 1, NULL),
                         COMMITLOG_EFENCED);
    }
}

static void model_restart(void)
{
    bool power = false;
    if (draw(3) == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        power = draw(2) == 0;
        die(power);
        commitlog_fault_set_survival(machine, draw(101));
    }
    if (draw(2) == 0) {
        forget_views();
    }
    open_store();
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    while (history_count > 0 && history[history_count - 1].end > recovery.end) {
        ck_assert(power);
        history_count--;
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_store();
    history_count = 0;
    for (uint32_t i = 0; i < steps && history_count < 4095; i++) {
        uint64_t id = 1 + draw(PRODUCERS);
        switch (draw(10)) {
        case 0:
            model_refused(id);
            break;
        case 1:
            put(draw(QUEUES), 1 + draw(200));
            break;
        case 2:
            if (draw(3) == 0) {
                (void)retain_all();
            }
            break;
        case 3:
            if (draw(6) == 0) {
                model_restart();
            }
            break;
        case 4:
        case 5:
        case 6:
            model_repeat(id);
            break;
        default:
            model_append(id);
            break;
        }
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(repetitions_are_known_whatever_happens)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 30);
    uint32_t steps = (uint32_t)prog_env("STEPS", 500);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("producers: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers");
    TCase *single = tcase_create("single");
    tcase_add_checked_fixture(single, producers_setup, teardown);
    tcase_add_test(single, bodies_say_what_they_were_made_of);
    tcase_add_test(single, a_repetition_returns_the_first_receipt_with_the_level_asked_for);
    tcase_add_test(single, what_does_not_follow_is_refused_and_changes_nothing);
    tcase_add_test(single, a_batch_is_one_producers_and_is_repeated_whole);
    tcase_add_loop_test(single, the_receipts_of_a_batch_are_the_same_after_a_restart, 0, 2);
    tcase_add_test(single, what_is_remembered_outlives_the_segments);
    tcase_add_test(single, who_was_silent_is_forgotten_by_a_record);
    tcase_add_loop_test(single, who_was_silent_longest_is_forgotten_first, 0, 2);
    suite_add_tcase(suite, single);
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, repetitions_are_known_whatever_happens);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
