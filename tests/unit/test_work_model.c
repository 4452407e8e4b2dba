/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_model.c -- random work of two receivers on a machine in memory, beside a model that
 * knows for each message who has it, until when, for which attempt, or that it is done or dead.
 * The process is killed, the power goes (after a sync: what is lost then is another test's), views
 * are forgotten, retention takes what is consumed.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/timer_fixture.h"

#include "support/prog.h"
#include "support/run_suite.h"

enum { OFFSETS = 4000, ATTEMPTS = 3, VISIBILITY_MS = 60000, RECEIVERS = 2 };

enum cell_state { FRESH, PENDING, DONE, DEAD };

struct cell {
    enum cell_state state;
    uint32_t attempt;
    int64_t until_ms;
};

static struct cell cells[QUEUES][OFFSETS];
static uint64_t ends[QUEUES];
static uint32_t dead_seen; /* in the topic of dead letters, so far */
static bool ordered;
static struct rng rng;
static struct commitlog_group *group;
static struct commitlog_receiver *receivers[RECEIVERS];

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

static void open_all(void)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .flags =
                                                           ordered ? COMMITLOG_RECEIVE_ORDERED : 0,
                                                       .max_attempts = ATTEMPTS,
                                                       .visibility_ms = VISIBILITY_MS};
    open_store();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receivers[i], &err), 0);
    }
}

static void close_handles(void)
{
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        commitlog_receiver_close(receivers[i]);
    }
    commitlog_group_close(group);
}

static void random_restart(void)
{
    uint32_t how = draw(3);
    close_handles();
    if (how == 2) {
        ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    }
    if (how == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        die(how == 2);
    }
    if (draw(2) == 0) {
        forget_views();
    }
    open_all();
}

/* What the store's clock has reached at the least, and at the most: it runs on with each call. */
static struct {
    int64_t before_ms;
    int64_t after_ms;
} at;

/* Whoever was given out ATTEMPTS times and whose time is over may be dead by now. */
static void check_given(const struct commitlog_delivery *given, const struct commitlog_message *m)
{
    ck_assert_uint_lt(given->queue, QUEUES);
    ck_assert_uint_lt(given->offset, ends[given->queue]);
    ck_assert_uint_eq(m->queue, given->queue);
    ck_assert_uint_eq(m->queue_offset, given->offset);
    struct cell *cell = &cells[given->queue][given->offset];
    ck_assert_msg(cell->state == FRESH || (cell->state == PENDING && cell->until_ms <= at.after_ms),
                  "queue %u offset %llu is given out in state %u", given->queue,
                  (unsigned long long)given->offset, cell->state);
    ck_assert_uint_eq(given->attempt, cell->attempt + 1);
    ck_assert_uint_le(given->attempt, ATTEMPTS);
    for (uint64_t o = 0; ordered && o < given->offset; o++) {
        const struct cell *other = &cells[given->queue][o];
        ck_assert(other->state == DONE || other->state == DEAD ||
                  (other->state == PENDING && other->attempt == ATTEMPTS));
    }
    cell->state = PENDING;
    cell->attempt = given->attempt;
    cell->until_ms = at.before_ms + VISIBILITY_MS;
}

/* New ones in the topic of dead letters: each was given out often enough, and only once is there.
 */
static void check_dead(void)
{
    uint32_t dead = 0;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    if (commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err) != COMMITLOG_OK) {
        ck_assert_uint_eq(dead_seen, 0);
        return;
    }
    ck_assert_int_eq(
        commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_OFFSET, dead_seen, &cursor, &err), 0);
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        ck_assert_uint_eq(message.origin_topic, topic);
        ck_assert_uint_eq(message.attempts, ATTEMPTS);
        struct cell *cell = &cells[message.origin_queue][message.origin_offset];
        ck_assert_msg(cell->state == PENDING && cell->attempt == ATTEMPTS,
                      "queue %u offset %llu is dead in state %u, attempt %u", message.origin_queue,
                      (unsigned long long)message.origin_offset, cell->state, cell->attempt);
        cell->state = DEAD;
        dead_seen++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}

/* All below the committed offset is over, and what it stands at is not. */
static void check_committed(void)
{
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_group_offset offset = {.topic = topic, .queue = q};
        ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
        if (offset.offset == UINT64_MAX) {
            continue;
        }
        uint64_t expected = 0;
        while (expected < ends[q] &&
               (cells[q][expected].state == DONE || cells[q][expected].state == DEAD)) {
            expected++;
        }
        ck_assert_msg(offset.offset == expected, "queue %u: %llu is committed, not %llu", q,
                      (unsigned long long)offset.offset, (unsigned long long)expected);
    }
}

static uint32_t random_receive(void)
{
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t count = 0;
    at.before_ms = now_ms();
    int32_t rc = commitlog_receive(receivers[draw(RECEIVERS)], messages, given, 1 + draw(8), 0,
                                   &count, &err);
    at.after_ms = now_ms();
    ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s", err.message);
    check_dead();
    for (uint32_t i = 0; i < count; i++) {
        check_given(&given[i], &messages[i]);
    }
    return count;
}

/* Some that were given out, of all queues, by whichever receiver; some of an older attempt. */
static uint32_t draw_given(struct commitlog_delivery *given, uint32_t max, bool *stale)
{
    uint32_t count = 0;
    *stale = false;
    for (uint32_t tries = 0; tries < 40 && count < max; tries++) {
        uint32_t q = draw(QUEUES);
        if (ends[q] == 0) {
            continue;
        }
        uint64_t o = draw((uint32_t)ends[q]);
        const struct cell *cell = &cells[q][o];
        bool twice = false;
        for (uint32_t i = 0; i < count; i++) {
            twice = twice || (given[i].queue == q && given[i].offset == o);
        }
        if (twice || cell->state == FRESH || (cell->state != PENDING && draw(20) != 0)) {
            continue;
        }
        bool old = cell->state != PENDING || (cell->attempt > 1 && draw(10) == 0);
        *stale = *stale || old;
        given[count++] = (struct commitlog_delivery){
            .offset = o,
            .queue = q,
            .attempt = old && cell->state == PENDING ? cell->attempt - 1 : cell->attempt};
    }
    return count;
}

static bool is_current(const struct commitlog_delivery *given)
{
    const struct cell *cell = &cells[given->queue][given->offset];
    return cell->state == PENDING && cell->attempt == given->attempt;
}

static void random_receipt(void)
{
    struct commitlog_delivery given[40];
    bool stale = false;
    uint32_t what = draw(4);
    uint32_t count = draw_given(given, 1 + draw(40), &stale);
    if (count == 0) {
        return;
    }
    struct commitlog_receiver *receiver = receivers[draw(RECEIVERS)];
    int64_t ms = draw(100000);
    at.before_ms = now_ms();
    int32_t rc = what <= 1   ? commitlog_ack(receiver, given, count, draw(4), &err)
                 : what == 2 ? commitlog_extend(receiver, given, count, ms, &err)
                             : commitlog_nack(receiver, given, count, ms, &err);
    ck_assert_msg(rc == (stale ? COMMITLOG_ENOTFOUND : COMMITLOG_OK), "%u: %s", what, err.message);
    for (uint32_t i = 0; i < count; i++) {
        struct cell *cell = &cells[given[i].queue][given[i].offset];
        if (!is_current(&given[i])) {
            continue;
        }
        if (what <= 1) {
            cell->state = DONE;
        } else if (what == 2 || cell->attempt < ATTEMPTS) {
            cell->until_ms = at.before_ms + ms;
        }
    }
    check_dead(); /* those given back for the last time */
}

static void random_put(void)
{
    uint32_t q = draw(QUEUES);
    uint32_t count = draw(30);
    if (ends[q] + count < OFFSETS) {
        put(q, count);
        ends[q] += count;
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    memset(cells, 0, sizeof(cells));
    memset(ends, 0, sizeof(ends));
    dead_seen = 0;
    ordered = draw(3) == 0;
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_all();
    for (uint32_t i = 0; i < steps; i++) {
        switch (draw(12)) {
        case 0:
        case 1:
            random_put();
            break;
        case 2:
            pass_ms(draw(50000));
            break;
        case 3:
            if (draw(6) == 0) {
                random_restart();
            }
            break;
        case 4:
            if (draw(6) == 0) {
                const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                                           .keep_bytes = 1};
                int32_t rc = commitlog_retain(store, &policy, NULL, &err);
                ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "%s", err.message);
            }
            break;
        case 5:
        case 6:
        case 7:
            random_receipt();
            break;
        default:
            (void)random_receive();
            break;
        }
        if (i % 20 == 0) {
            check_committed();
        }
    }
    random_restart();
    for (uint32_t idle = 0; idle < 3;) { /* nobody acknowledges any more: all of them end */
        pass_ms(120000);
        idle = random_receive() == 0 ? idle + 1 : 0;
    }
    check_committed();
    for (uint32_t q = 0; q < QUEUES; q++) {
        for (uint64_t o = 0; o < ends[q]; o++) {
            ck_assert_msg(cells[q][o].state == DONE || cells[q][o].state == DEAD,
                          "queue %u offset %llu ends in state %u", q, (unsigned long long)o,
                          cells[q][o].state);
        }
    }
    ck_assert_uint_gt(dead_seen, 0);
    close_handles();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(work_is_what_the_model_says)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 600);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("work: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work beside a model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, work_is_what_the_model_says);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
