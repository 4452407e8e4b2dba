/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_expiry_model.c -- messages of a topic expire by age and by word, at random, on a machine in
 * memory whose process is killed and whose power goes, with views lost and retention. Held against
 * it: what is told of the topic agrees with the store times of its messages and with what a group
 * that keeps has yet to consume; every way to read gives exactly what has not expired; another
 * topic is left alone.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/timer_fixture.h"

#include "support/prog.h"
#include "support/run_suite.h"

enum { MESSAGES = 16384, TOPICS = 2, SPARE_MS = 1000, KEEPS_QUEUE = 2 };

struct stored {
    uint32_t topic; /* 0 expires */
    uint32_t queue;
    uint64_t offset;
    uint64_t position;
    int64_t time_ns;
    bool keyed;
};

static struct stored all[MESSAGES];
static uint32_t count;
static uint32_t topics[TOPICS];
static struct commitlog_group *keeper;
static uint64_t keeper_offset;
static uint64_t age_ms;
static int64_t cut_ns; /* messages that were stored before it, and no others, may have expired */
static uint64_t below; /* as it was last told */
static uint64_t durable;
static struct rng rng;
static uint64_t expirations;
static uint64_t held;

static uint32_t draw(uint32_t limit)
{
    return (uint32_t)(rng_next(&rng) % limit);
}

static struct commitlog_topic_info info_of(uint32_t which)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_info(store, topics[which], &info), 0);
    return info;
}

static void synced(void)
{
    ck_assert_int_eq(commitlog_sync(store, store_positions().claimed, COMMITLOG_FOREVER, &err), 0);
    durable = store_positions().claimed;
}

static bool is_there(const struct stored *one)
{
    return one->position >= store_positions().first && (one->topic > 0 || one->position >= below);
}

/* The first message of the group's queue that it has yet to consume; messages in front of it were
 * stored before. */
static uint64_t kept_from(void)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].topic == 0 && all[i].queue == KEEPS_QUEUE && all[i].offset >= keeper_offset) {
            return all[i].position;
        }
    }
    return UINT64_MAX;
}

/* What is told now may be, seen from before; and all that must have expired by then has. */
static void check_told(int64_t must_ns)
{
    const struct commitlog_topic_info info = info_of(0);
    const uint64_t first = store_positions().first;
    const uint64_t told = info.expired_below > below ? info.expired_below : below;
    const uint64_t kept = kept_from();
    ck_assert_uint_eq(info.keep_age_ms, age_ms);
    ck_assert(info.expired_below >= below || info.expired_below == 0);
    ck_assert(info.expired_below > 0 || below <= first);
    for (uint32_t i = 0; i < count; i++) {
        const struct stored *one = &all[i];
        if (one->topic > 0 || one->position < first) {
            continue;
        }
        if (one->position >= below && one->position < told) {
            ck_assert_msg(one->time_ns < cut_ns && one->position < kept,
                          "position %llu expired, %lld ms too early, kept from %lld",
                          (unsigned long long)one->position,
                          (long long)(one->time_ns - cut_ns) / MS, (long long)kept);
            expirations++;
        }
        bool must = one->time_ns < must_ns && one->position < kept;
        ck_assert_msg(!must || one->position < told, "position %llu has not expired",
                      (unsigned long long)one->position);
        held += one->time_ns < must_ns && one->position >= kept ? 1 : 0;
    }
    ck_assert_uint_eq(info_of(1).expired_below, 0);
    below = told;
}

static void check_queue(uint32_t which, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t n = 0;
    uint32_t i = 0;
    uint64_t bound = 0;
    while (i < count && (all[i].topic != which || all[i].queue != queue || !is_there(&all[i]))) {
        i++;
    }
    ck_assert_int_eq(commitlog_queue_info(store, topics[which], queue, &info), 0);
    if (i == count) {
        ck_assert_uint_eq(info.first_offset, info.next_offset);
        ck_assert_int_eq(info.first_time_ns, 0);
    } else {
        ck_assert_uint_eq(info.first_offset, all[i].offset);
        ck_assert_int_eq(info.first_time_ns, all[i].time_ns);
    }
    if (info.first_offset > 0) {
        ck_assert_int_eq(commitlog_cursor_open(store, topics[which], queue, COMMITLOG_FROM_OFFSET,
                                               info.first_offset - 1, &cursor, &err),
                         0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &n, &bound),
                         COMMITLOG_ETOOSMALL);
        ck_assert_uint_eq(bound, info.first_offset);
        commitlog_cursor_close(cursor);
    }
    uint64_t offset = UINT64_MAX;
    ck_assert_int_eq(
        commitlog_offset_by_time(store, topics[which], queue, 0, COMMITLOG_LOWER, &offset), 0);
    ck_assert_uint_eq(offset, info.first_offset);
}

static void check_all_queues(uint32_t which)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t n = 0;
    uint32_t at = 0;
    int32_t rc;
    ck_assert_int_eq(commitlog_cursor_open(store, topics[which], COMMITLOG_QUEUE_ALL,
                                           COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &n, NULL)) == 0) {
        while (at < count && (all[at].topic != which || !is_there(&all[at]))) {
            at++;
        }
        ck_assert_uint_lt(at, count);
        ck_assert_uint_eq(message.position, all[at].position);
        ck_assert_uint_eq(message.queue_offset, all[at].offset);
        at++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    while (at < count && (all[at].topic != which || !is_there(&all[at]))) {
        at++;
    }
    ck_assert_uint_eq(at, count);
    commitlog_cursor_close(cursor);
}

static void check_key(uint32_t which)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t n = 0;
    uint32_t at = count;
    int32_t rc;
    ck_assert_int_eq(
        commitlog_cursor_open_key(store, topics[which], "key", 3, 0, INT64_MAX, &cursor, &err), 0);
    do {
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &n, NULL);
        while (at > 0 &&
               (all[at - 1].topic != which || !all[at - 1].keyed || !is_there(&all[at - 1]))) {
            at--;
        }
        ck_assert(rc == COMMITLOG_EEND || (rc == 0 && at > 0));
        if (rc == 0) {
            ck_assert_uint_eq(message.position, all[--at].position);
        }
    } while (rc == 0);
    ck_assert_uint_eq(at, 0);
    commitlog_cursor_close(cursor);
}

static void check(int64_t must_ns)
{
    check_told(must_ns);
    for (uint32_t which = 0; which < TOPICS; which++) {
        for (uint32_t queue = 0; queue < QUEUES; queue++) {
            check_queue(which, queue);
        }
        check_all_queues(which);
        check_key(which);
    }
}

static void step_put(void)
{
    static uint8_t bytes[4096];
    const uint32_t which = draw(3) == 0 ? 1 : 0;
    const struct commitlog_slice body = {bytes, 1 + draw(draw(4) == 0 ? sizeof(bytes) : 100)};
    const struct commitlog_slice key = {"key", 3};
    const bool keyed = draw(2) == 0;
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topics[which],
                                            .queue = draw(QUEUES),
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = keyed ? 1 : 0};
    struct commitlog_receipt receipt;
    if (count == MESSAGES) {
        return;
    }
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, &receipt, &err), 0);
    all[count++] = (struct stored){
        which, record.queue, receipt.queue_offset, receipt.position, receipt.store_time_ns, keyed};
}

/* After upkeep has looked, all must have expired that is older by more than what is promised. */
static void step_age(void)
{
    const uint64_t part_ms = age_ms / 100 < SPARE_MS ? SPARE_MS : age_ms / 100;
    step_all();
    const int64_t now_ns = now_ms() * MS;
    const int64_t oldest_ns = now_ns - (int64_t)age_ms * MS;
    cut_ns = age_ms > 0 && oldest_ns + MS > cut_ns ? oldest_ns + MS : cut_ns;
    check(age_ms > 0 ? oldest_ns - (int64_t)(part_ms + 1) * MS : INT64_MIN);
}

static void step_set(void)
{
    age_ms = draw(4) == 0 ? 0 : 1 + draw(300000);
    ck_assert_int_eq(commitlog_topic_expire_after(
                         store, topics[0], age_ms,
                         draw(2) == 0 ? COMMITLOG_LEVEL_NONE : COMMITLOG_LEVEL_DURABLE, &err),
                     0);
    synced(); /* that it is known of */
}

static void step_expire(void)
{
    const struct stored *one = count > 0 ? &all[draw(count)] : NULL;
    const int64_t before_ns = draw(8) == 0 || one == NULL ? now_ms() * MS : one->time_ns;
    cut_ns = before_ns > cut_ns ? before_ns : cut_ns;
    ck_assert_int_eq(
        commitlog_topic_expire(store, topics[0], before_ns, COMMITLOG_LEVEL_DURABLE, &err), 0);
    synced();
    check(before_ns);
}

static void step_consume(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topics[0], KEEPS_QUEUE, &info), 0);
    uint64_t to = keeper_offset + draw(20);
    to = to > info.next_offset ? info.next_offset : to;
    if (to > keeper_offset) {
        const struct commitlog_group_offset offset = {topics[0], KEEPS_QUEUE, to};
        ck_assert_int_eq(
            commitlog_group_commit(keeper, 0, &offset, 1, COMMITLOG_LEVEL_DURABLE, 0, NULL, &err),
            0);
        keeper_offset = to;
        synced();
    }
}

static void opened(void)
{
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topics[0], &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, QUEUES, &topics[1], &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "k", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &keeper,
                                          &err),
                     0);
}

static void step_restart(void)
{
    commitlog_group_close(keeper);
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
    opened();
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    ck_assert_uint_ge(recovery.end, durable);
    while (count > 0 && all[count - 1].position >= recovery.end) {
        ck_assert(power);
        count--;
    }
    if (power && below > durable) {
        /* What said so may be lost, where nothing made it durable; nothing new is said by that. */
        below = 0;
    }
    const struct commitlog_topic_info info = info_of(0);
    if (power && info.expired_below < below) {
        below = info.expired_below;
    }
    check(INT64_MIN);
    synced();
}

static void step_retain(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 65536 * (1 + draw(3))};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    int32_t rc = commitlog_retain(store, &policy, &retained, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    check(INT64_MIN);
}

static void step(void)
{
    switch (draw(40)) {
    case 0:
        step_restart();
        break;
    case 1:
        step_retain();
        break;
    case 2:
        step_set();
        break;
    case 3:
    case 4:
        step_expire();
        break;
    case 5:
    case 6:
        pass_ms(draw(100000));
        step_age();
        break;
    case 7:
    case 8:
        step_consume();
        break;
    default:
        pass_ms(draw(200));
        step_put();
        break;
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    count = 0;
    keeper_offset = 0;
    age_ms = 0;
    cut_ns = INT64_MIN;
    below = 0;
    open_store();
    opened();
    const struct commitlog_group_offset none = {topics[0], KEEPS_QUEUE, 0};
    ck_assert_int_eq(
        commitlog_group_commit(keeper, 0, &none, 1, COMMITLOG_LEVEL_DURABLE, 0, NULL, &err), 0);
    synced();
    for (uint32_t i = 0; i < steps; i++) {
        step();
    }
    step_restart();
    commitlog_group_close(keeper);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(what_has_expired_is_given_to_nobody_and_nothing_else)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 400);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("expiry: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
    printf("%llu messages expired, %llu times one was held for a group\n",
           (unsigned long long)expirations, (unsigned long long)held);
    ck_assert(expirations > 0 && held > 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry beside a model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 600);
    tcase_add_test(random, what_has_expired_is_given_to_nobody_and_nothing_else);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
