/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_model.c -- keyed messages, numbered per key, through growths and shrinks at random,
 * on a machine in memory whose process is killed and whose power goes, with views lost and
 * retention; a group that keeps to the gates consumes them meanwhile. Held against it: of every key
 * the group sees the numbers in order, each once per offset that is committed; every record lies in
 * the queue that its key had when it was appended, with its offset; what a recovered store says of
 * the topic is what was true at the end of its log.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/growth_fixture.h"

#include "support/prog.h"
#include "support/run_suite.h"

enum { HISTORY = 256 };

/* How many queues, and the end of the log when that became so. */
struct change {
    uint32_t queues;
    uint32_t total;
    uint64_t position;
};

static struct change history[HISTORY];
static uint32_t history_count;
static struct rng rng;
static uint64_t grown;
static uint64_t shrunk;
static uint64_t consumed;
static uint64_t closed;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

static uint32_t a_level(void)
{
    return draw(8) == 0 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
}

static struct change *now(void)
{
    return &history[history_count - 1];
}

static void changed(uint32_t queues)
{
    const uint32_t total = now()->total > queues ? now()->total : queues;
    ck_assert_uint_lt(history_count, HISTORY);
    history[history_count++] = (struct change){queues, total, store_positions().claimed};
}

static void check_topic(void)
{
    const struct commitlog_topic_info info = topic_info();
    ck_assert_msg(info.queues == now()->queues && info.queues_total == now()->total,
                  "%u of %u queues, not %u of %u", info.queues, info.queues_total, now()->queues,
                  now()->total);
}

static void step_grow(void)
{
    uint32_t queues = now()->queues * (2 + draw(2));
    const struct commitlog_topic_info info = topic_info();
    for (uint32_t i = 0; i < info.step_count; i++) { /* it shrank: back to what it was */
        if (info.step_queues[i] > now()->queues) {
            queues = info.step_queues[i];
            break;
        }
    }
    if (queues > QUEUES_MOST) {
        return;
    }
    int32_t rc = commitlog_topic_grow(store, topic, queues, a_level(), &err);
    ck_assert_msg(rc == COMMITLOG_OK, "grow to %u: %s", queues, err.message);
    changed(queues);
    grown++;
}

/* Has the group consumed all of the queues from this one on? */
static bool is_drained(uint32_t queues)
{
    bool drained = true;
    for (uint32_t i = 0; i < sent_count; i++) {
        drained = drained && (sent[i].queue < queues || sent[i].queue >= now()->queues ||
                              sent[i].consumed || sent[i].position < store_positions().first);
    }
    return drained;
}

static void step_shrink(void)
{
    const struct commitlog_topic_info info = topic_info();
    const uint32_t queues = info.step_queues[draw(info.step_count)];
    if (queues >= now()->queues) {
        return;
    }
    bool drained = is_drained(queues);
    int32_t rc = commitlog_topic_shrink(store, topic, queues, a_level(), &err);
    ck_assert_msg(rc == (drained ? COMMITLOG_OK : COMMITLOG_EBUSY), "shrink to %u: %d, %s", queues,
                  rc, err.message);
    if (rc == COMMITLOG_OK) {
        changed(queues);
        shrunk++;
    }
}

static void step_batch(void)
{
    struct letter_record letters[KEYS];
    struct commitlog_record records[KEYS];
    struct commitlog_receipt receipts[KEYS];
    uint32_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        if (draw(2) == 0) {
            letter_make(&letters[count], key, COMMITLOG_LEVEL_NONE);
            records[count] = letters[count].record;
            count++;
        }
    }
    if (count == 0) {
        return;
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, count, 0, receipts, &err),
                     COMMITLOG_OK);
    for (uint32_t i = 0; i < count; i++) {
        letter_sent(letters[i].letter.key, key_queue(letters[i].letter.key, now()->queues),
                    &receipts[i]);
    }
}

/* In two steps, in place or not, with a growth between them at times. */
static void step_reserve(void)
{
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    struct letter_record letter;
    const uint32_t key = draw(KEYS);
    const uint32_t before = now()->queues;
    void *body = NULL;
    letter_make(&letter, key, COMMITLOG_LEVEL_NONE);
    const bool large = draw(2) == 0;
    const size_t bytes = large ? stage_bytes / 3 : sizeof(letter.letter);
    ck_assert_int_eq(commitlog_reserve(store, &letter.record, bytes, 0, &reservation, &body, &err),
                     COMMITLOG_OK);
    memset(body, 0, bytes);
    memcpy(body, &letter.letter, sizeof(letter.letter));
    if (large && draw(2) == 0) {
        step_grow();
    }
    ck_assert_int_eq(commitlog_commit(reservation, 0, &receipt, &err), COMMITLOG_OK);
    letter_sent(key, key_queue(key, large ? now()->queues : before), &receipt);
}

static void step_consume(void)
{
    const uint32_t queue = draw(now()->total);
    const bool open = gate_of(queue).open != 0;
    const uint32_t done = consume(queue, 1 + draw(40));
    consumed += done;
    closed += open ? 0 : 1;
    if (!open && queue_info(queue).next_offset > 0) {
        const uint64_t had = committed(queue);
        if (had != queue_info(queue).next_offset) {
            ck_assert_int_eq(commit(queue, queue_info(queue).next_offset), COMMITLOG_EMISUSE);
        }
        ck_assert_uint_eq(committed(queue), had);
    }
}

static void step_retain(void)
{
    (void)retain_all();
    check_topic();
}

/* What the log has kept of the list. */
static void forget_beyond(uint64_t end)
{
    while (sent_count > 0 && sent[sent_count - 1].position >= end) {
        sent_count--;
        ck_assert_uint_eq(sent[sent_count].number + 1, key_next[sent[sent_count].key]);
        key_next[sent[sent_count].key]--;
    }
    while (now()->position > end) {
        history_count--;
        ck_assert_uint_gt(history_count, 0);
    }
}

static void step_restart(void)
{
    bool power = false;
    commitlog_group_close(group);
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
    const uint32_t known = sent_count;
    forget_beyond(recovery.end);
    ck_assert(power || known == sent_count);
    check_topic();
    check_letters();
    open_group();
    ck_assert_int_eq(commitlog_sync(store, store_positions().claimed, COMMITLOG_FOREVER, &err), 0);
    consumed_again();
}

static void step(void)
{
    switch (draw(16)) {
    case 0:
        if (draw(2) == 0) {
            step_grow();
        }
        break;
    case 1:
        step_shrink();
        break;
    case 2:
        if (draw(2) == 0) {
            step_retain();
        }
        break;
    case 3:
        if (draw(4) == 0) {
            step_restart();
        }
        break;
    case 4:
        ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
        break;
    case 5:
    case 6:
        step_batch();
        break;
    case 7:
        step_reserve();
        break;
    case 8:
        if (draw(4) == 0) {
            consume_all();
        }
        break;
    case 9:
    case 10:
        for (uint32_t i = draw(30); i > 0; i--) {
            ck_assert_int_eq(post(draw(KEYS), a_level()), COMMITLOG_OK);
        }
        break;
    default:
        step_consume();
        break;
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    letters_begin();
    open_store();
    open_group();
    ck_assert_int_eq(commit(0, 0), COMMITLOG_OK); /* it has begun before the topic can shrink */
    ck_assert_int_eq(commitlog_sync(store, store_positions().claimed, COMMITLOG_FOREVER, &err), 0);
    history[0] = (struct change){FIRST_QUEUES, FIRST_QUEUES, 0};
    history_count = 1;
    for (uint32_t i = 0; i < steps && history_count < HISTORY - 4; i++) {
        step();
    }
    consume_all();
    if (now()->queues > FIRST_QUEUES) { /* all is drained: it goes back to what it was */
        ck_assert_msg(shrink(FIRST_QUEUES) == COMMITLOG_OK, "%s", err.message);
        changed(FIRST_QUEUES);
        shrunk++;
    }
    step_restart();
    consume_all();
    check_letters();
    commitlog_group_close(group);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(every_key_is_in_order_whatever_happens)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 400);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("growth: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
    printf("grown %llu times, shrunk %llu; %llu consumed, %llu times not open\n",
           (unsigned long long)grown, (unsigned long long)shrunk, (unsigned long long)consumed,
           (unsigned long long)closed);
    ck_assert(grown > trials && (trials < 10 || shrunk > 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth beside a model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 600);
    tcase_add_test(random, every_key_is_in_order_whatever_happens);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
