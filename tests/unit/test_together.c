/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_together.c -- everything that is done with messages, together and at random: topics that
 * grow, shrink and expire, groups, receivers, delayed messages, transactions, retention. Whenever
 * the process dies, three answer the same to all that can be asked: the writer before, the next one
 * by what its views say, and the next one by the log alone. After a power cut the last two do, and
 * the writer before when its log ended where it ends now. And what groups keep can be read as
 * before, whatever retention and expiry do.
 *
 * SEED, TRIALS.
 */
#include "support/run_suite.h"
#include "unit/together_fixture.h"

enum { HANDLES = 4, TIMERS = 64, TRIALS = 12, STEPS = 600, MOMENTS = 6 };
enum { NONE = COMMITLOG_LEVEL_NONE };

static uint64_t seed;
static uint64_t now_trial;
static uint32_t topics[2];
static struct commitlog_group *groups[GROUPS];
static struct commitlog_receiver *receiver;
static struct commitlog_transaction *handles[HANDLES];
static uint64_t timers[TIMERS];
static struct commitlog_delivery given[256];
static uint32_t given_count;

static uint32_t below(uint32_t most)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % most);
}

/* ---- what is done ---- */

static void take_handles(void)
{
    for (uint32_t t = 0; t < 2; t++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "t%u", t);
        int32_t rc = commitlog_topic_open(store, name, 2, 2, &topics[t], &err);
        ck_assert_msg(rc == 0, "%s", err.message);
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "g%u", g);
        ck_assert_int_eq(
            commitlog_group_open(store, name, 2,
                                 COMMITLOG_GROUP_CREATE | (g == 1 ? 1u : 0u) * COMMITLOG_GROUP_KEEP,
                                 &groups[g], &err),
            0);
    }
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = 2, .visibility_ms = 5000};
    ck_assert_int_eq(commitlog_receiver_open(groups[2], topics[0], &options, &receiver, &err), 0);
}

static void give_handles(void)
{
    commitlog_receiver_close(receiver);
    receiver = NULL;
    for (uint32_t g = 0; g < GROUPS; g++) {
        commitlog_group_close(groups[g]);
        groups[g] = NULL;
    }
    for (uint32_t h = 0; h < HANDLES; h++) {
        commitlog_transaction_close(handles[h]);
        handles[h] = NULL;
    }
    given_count = 0;
}

static struct commitlog_record make_record(struct commitlog_slice *body,
                                           struct commitlog_slice *key)
{
    static char filling[2000];
    static char name[2];
    name[0] = (char)('a' + below(8));
    *body = (struct commitlog_slice){filling, 10 + below(below(4) == 0 ? 1500 : 200)};
    *key = (struct commitlog_slice){name, 1};
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topics[below(2)],
                                     .queue = COMMITLOG_QUEUE_AUTO,
                                     .level = NONE,
                                     .body = body,
                                     .body_count = 1,
                                     .keys = key,
                                     .key_count = 1};
}

static void do_append(void)
{
    struct commitlog_slice body;
    struct commitlog_slice key;
    struct commitlog_receipt receipt;
    for (uint32_t i = below(20); i > 0; i--) {
        struct commitlog_record record = make_record(&body, &key);
        bool waits = below(6) == 0;
        record.deliver_at_ms = waits ? now_ms() + 1 + below(20000) : 0;
        if (commitlog_append_record(store, &record, 0, &receipt, &err) == 0 && waits) {
            timers[below(TIMERS)] = receipt.position;
        }
    }
}

static void do_producer(void)
{
    struct commitlog_slice body;
    struct commitlog_slice key;
    struct commitlog_record records[4];
    const uint32_t p = below(PRODUCERS);
    const uint32_t count = 1 + below(4);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = make_record(&body, &key);
        records[i].producer_id = p + 1;
        records[i].producer_epoch = producers[p].epoch;
        records[i].sequence = producers[p].sequence + 1 + i;
        records[i].deliver_at_ms = below(6) == 0 ? now_ms() + 1 + below(20000) : 0;
    }
    int32_t rc = commitlog_append_batch(store, records, count, 0, NULL, &err);
    if (rc == COMMITLOG_OK) {
        producers[p].sequence += count;
    } else if (rc == COMMITLOG_EGAP || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EFENCED ||
               rc == COMMITLOG_EEXIST || rc == COMMITLOG_EINVAL) {
        producers[p].epoch++; /* a power cut took what it had */
        producers[p].sequence = 0;
    }
}

static struct commitlog_group_offset some_offset(uint32_t g)
{
    struct commitlog_topic_info about = {.struct_bytes = sizeof(about)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset offset = {.topic = topics[g == 2 ? 1 : below(2)]};
    ck_assert_int_eq(commitlog_topic_info(store, offset.topic, &about), 0);
    offset.queue = below(about.queues_total);
    ck_assert_int_eq(commitlog_queue_info(store, offset.topic, offset.queue, &info), 0);
    offset.offset = below(2) == 0 ? info.next_offset
                                  : info.first_offset +
                                        below((uint32_t)(info.next_offset - info.first_offset) + 1);
    return offset;
}

static void do_group(void)
{
    uint32_t g = below(GROUPS);
    uint32_t epoch = 0;
    struct commitlog_group_offset offset = some_offset(g);
    switch (below(24)) {
    case 0:
        (void)commitlog_group_delete(groups[g], NONE, &err);
        break;
    case 1:
        (void)commitlog_group_reset(groups[g], offset.topic, COMMITLOG_QUEUE_ALL,
                                    below(2) == 0 ? COMMITLOG_FROM_FIRST : COMMITLOG_FROM_END, 0,
                                    NONE, &err);
        break;
    case 2:
        (void)commitlog_group_reset(groups[g], offset.topic, offset.queue, COMMITLOG_FROM_OFFSET,
                                    offset.offset, NONE, &err);
        break;
    case 3:
        (void)commitlog_group_next_epoch(groups[g], NONE, &epoch, &err);
        break;
    case 4:
        (void)commitlog_group_configure(groups[g], below(2), NONE, &err);
        break;
    case 5:
        commitlog_group_close(groups[g]);
        groups[g] = NULL;
        ck_assert_int_eq(commitlog_group_open(store,
                                              g == 0   ? "g0"
                                              : g == 1 ? "g1"
                                                       : "g2",
                                              2, COMMITLOG_GROUP_CREATE, &groups[g], &err),
                         0);
        break;
    default:
        (void)commitlog_group_commit(groups[g], 0, &offset, 1, NONE, 0, NULL, &err);
        break;
    }
}

static void do_work(void)
{
    struct commitlog_message messages[8];
    uint32_t count = 0;
    if (given_count + 8 > 256) {
        given_count = 0;
    }
    if (commitlog_receive(receiver, messages, given + given_count, 1 + below(8), 0, &count, &err) ==
        COMMITLOG_OK) {
        given_count += count;
    }
    for (uint32_t i = below(6); i > 0 && given_count > 0; i--) {
        struct commitlog_delivery one = given[below(given_count)];
        uint32_t how = below(8);
        (void)(how == 0   ? commitlog_nack(receiver, &one, 1, below(3000), &err)
               : how == 1 ? commitlog_extend(receiver, &one, 1, below(20000), &err)
                          : commitlog_ack(receiver, &one, 1, NONE, &err));
    }
}

static void do_transaction(void)
{
    struct commitlog_slice body;
    struct commitlog_slice key;
    struct commitlog_transaction **handle = &handles[below(HANDLES)];
    if (*handle == NULL) {
        const struct commitlog_transaction_options options = {
            .struct_bytes = sizeof(options),
            .flags = below(4) == 0 ? COMMITLOG_TRANSACTION_PREPARED : 0,
            .timeout_ms = 100000,
            .prepared_ms = 50000 + below(500000)};
        ck_assert_int_eq(commitlog_transaction_begin(store, "shop", 4, &options, handle, &err), 0);
    }
    for (uint32_t i = below(4); i > 0; i--) {
        struct commitlog_record record = make_record(&body, &key);
        (void)commitlog_transaction_append(*handle, &record, 0, NULL, &err);
    }
    uint32_t g = below(GROUPS);
    struct commitlog_group_offset offset = some_offset(g);
    if (below(3) == 0) {
        (void)commitlog_transaction_offsets(*handle, groups[g], 0, &offset, 1, &err);
    }
    int32_t rc = COMMITLOG_EAGAIN;
    switch (below(8)) {
    case 0:
    case 1:
        (void)commitlog_transaction_prepare(*handle, NONE, 0, &err);
        break;
    case 2:
        rc = commitlog_transaction_commit(*handle, NONE, 0, NULL, &err);
        break;
    case 3:
        rc = commitlog_transaction_rollback(*handle, NONE, 0, &err);
        break;
    case 4:
        rc = 0;
        break;
    default:
        break;
    }
    if (rc != COMMITLOG_EAGAIN) {
        commitlog_transaction_close(*handle);
        *handle = NULL;
    }
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    if (below(12) == 0 && commitlog_transaction_next(store, 0, &info) == 0 && info.prepared) {
        struct commitlog_transaction *prepared = NULL;
        ck_assert_int_eq(commitlog_transaction_open(store, info.transaction, &prepared, &err), 0);
        (void)(below(3) > 0 ? commitlog_transaction_commit(prepared, NONE, 0, NULL, &err)
                            : commitlog_transaction_rollback(prepared, NONE, 0, &err));
        commitlog_transaction_close(prepared);
    }
}

static void do_topic(void)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    uint32_t t = topics[below(2)];
    ck_assert_int_eq(commitlog_topic_info(store, t, &info), 0);
    switch (below(5)) {
    case 0:
        if (info.queues < 16) {
            (void)commitlog_topic_grow(store, t, info.queues * (2 + below(2)), NONE, &err);
        }
        break;
    case 1:
        (void)commitlog_topic_shrink(store, t, info.step_queues[below(info.step_count)], NONE,
                                     &err);
        break;
    case 2:
        (void)commitlog_topic_expire_after(store, t, below(3) * 20000, NONE, &err);
        break;
    case 3:
        (void)commitlog_topic_expire(store, t, (now_ms() - below(60000)) * MS, NONE, &err);
        break;
    default:
        (void)commitlog_timer_cancel(store, timers[below(TIMERS)], NONE, &err);
        break;
    }
}

static void do_upkeep(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = segment_bytes * (1 + below(4))};
    uint32_t wait_ms = 0;
    pass_ms(below(4) == 0 ? 5000 : 100);
    for (uint32_t i = below(6); i > 0; i--) {
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    }
    if (below(3) == 0) {
        (void)commitlog_retain(store, &policy, NULL, &err);
    }
}

/* ---- what groups keep ---- */

enum { QUEUES_MOST = 64, OFFSETS_MOST = 4096 };

static struct {
    uint64_t low; /* UINT64_MAX: nothing is kept */
    uint64_t next;
    bool was_read[OFFSETS_MOST];
} kept[2][QUEUES_MOST];

static uint64_t group_offset(struct commitlog_group *group, uint32_t t, uint32_t q)
{
    struct commitlog_group_offset offset = {.topic = t, .queue = q};
    return commitlog_group_fetch(group, &offset, 1, &err) == 0 ? offset.offset : UINT64_MAX;
}

/* From where on the group keeps the queue: it has committed it, or a queue that it descends from.
 */
static uint64_t kept_by(struct commitlog_group *group, uint32_t t, uint32_t q)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    uint64_t offset = group_offset(group, t, q);
    ck_assert_int_eq(commitlog_topic_info(store, t, &info), 0);
    for (uint32_t s = info.step_count; offset == UINT64_MAX && s > 1; s--) {
        if (q >= info.step_queues[s - 2]) {
            q %= info.step_queues[s - 2];
            offset = group_offset(group, t, q) != UINT64_MAX ? 0 : UINT64_MAX;
        }
    }
    return offset;
}

static void read_kept(uint32_t t, uint32_t q, bool again)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message m;
    uint32_t count = 0;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topics[t], q, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    for (uint64_t i = 0; i < kept[t][q].next - kept[t][q].low && i < OFFSETS_MOST; i++) {
        int32_t rc = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, kept[t][q].low + i);
        rc = rc == 0 ? commitlog_cursor_fetch(cursor, &m, 1, 0, &count, NULL) : rc;
        ck_assert_msg(!again || !kept[t][q].was_read[i] || rc == 0,
                      "trial %llu: t%u/%u: %llu is kept, but %s", (unsigned long long)now_trial, t,
                      q, (unsigned long long)(kept[t][q].low + i), commitlog_error_name(rc));
        kept[t][q].was_read[i] = rc == 0;
    }
    commitlog_cursor_close(cursor);
}

static void note_kept(void)
{
    struct commitlog_group_info about = {.struct_bytes = sizeof(about)};
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_queue_info range = {.struct_bytes = sizeof(range)};
    for (uint32_t t = 0; t < 2; t++) {
        ck_assert_int_eq(commitlog_topic_info(store, topics[t], &info), 0);
        for (uint32_t q = 0; q < QUEUES_MOST; q++) {
            kept[t][q].low = UINT64_MAX;
            for (uint32_t g = 0; g < GROUPS && q < info.queues_total; g++) {
                if (commitlog_group_info(groups[g], &about) == 0 && about.flags != 0) {
                    uint64_t low = kept_by(groups[g], topics[t], q);
                    kept[t][q].low = low < kept[t][q].low ? low : kept[t][q].low;
                }
            }
            if (kept[t][q].low != UINT64_MAX) {
                ck_assert_int_eq(commitlog_queue_info(store, topics[t], q, &range), 0);
                kept[t][q].next = range.next_offset;
                kept[t][q].low =
                    kept[t][q].low < range.first_offset ? range.first_offset : kept[t][q].low;
                kept[t][q].low =
                    kept[t][q].low > range.next_offset ? range.next_offset : kept[t][q].low;
                read_kept(t, q, false);
            }
        }
    }
}

static void check_kept(void)
{
    for (uint32_t t = 0; t < 2; t++) {
        for (uint32_t q = 0; q < QUEUES_MOST; q++) {
            if (kept[t][q].low != UINT64_MAX) {
                read_kept(t, q, true);
            }
        }
    }
}

static void do_something(void)
{
    uint32_t what = below(20);
    if (what < 2) {
        do_producer();
    } else if (what < 9) {
        do_append();
    } else if (what < 12) {
        do_group();
    } else if (what < 14) {
        do_work();
    } else if (what < 17) {
        do_transaction();
    } else if (what < 18) {
        note_kept();
        do_topic();
        check_kept();
    } else {
        note_kept();
        do_upkeep();
        check_kept();
    }
}

/* ---- and died ---- */

static void open_again(void)
{
    int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
}

static void check_death(uint64_t trial)
{
    struct commitlog_fault *next = NULL;
    struct commitlog_fault *bare = NULL;
    char *before = tell();
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &bare), 0);
    give_handles();
    die_on(next, false);
    open_again();
    char *by_views = tell();
    compare("by its views", before, by_views, trial);
    die_on(bare, false);
    forget_views();
    open_again();
    char *by_log = tell();
    compare("by the log alone", before, by_log, trial);
    take_handles();
    free(before);
    free(by_views);
    free(by_log);
}

/* What a cut took would be stored anew by being asked for. */
static void forget_producers(void)
{
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        producers[p].sequence = 0;
        producers[p].epoch++;
    }
}

static void cut_power(struct commitlog_fault *next, uint32_t survival)
{
    (void)commitlog_close(store, NULL);
    store = NULL;
    commitlog_fault_free(machine);
    machine = next;
    commitlog_fault_set_survival(machine, survival);
    commitlog_fault_power_cut(machine);
}

/* All that could be asked when the log ended there. */
static struct moment {
    uint64_t end;
    char *text;
    uint8_t producers[sizeof(producers)];
} moments[MOMENTS + 1];
static uint32_t moment_count;

static void note_moment(void)
{
    struct moment *now = &moments[moment_count++];
    now->end = store_positions().claimed;
    now->text = tell();
    memcpy(now->producers, producers, sizeof(producers));
}

static void free_moments(void)
{
    while (moment_count > 0) {
        free(moments[--moment_count].text);
    }
}

/* The log ends where it ended at one of the moments: what was said then is said now. Between two of
 * the same end time may have changed it without a record: either will do. */
static void check_moments(uint64_t durable, uint64_t trial)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    const char *other = NULL;
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    ck_assert_uint_ge(recovery.end, durable);
    for (uint32_t i = moment_count; i > 0 && moments[i - 1].end >= recovery.end; i--) {
        if (moments[i - 1].end == recovery.end) {
            memcpy(producers, moments[i - 1].producers, sizeof(producers));
            char *is = tell();
            if (strcmp(moments[i - 1].text, is) == 0) {
                other = NULL;
                free(is);
                break;
            }
            other = other == NULL ? moments[i - 1].text : other;
            free(is);
        }
    }
    if (other != NULL) {
        compare("as of the moment at which the log ended there", other, tell(), trial);
    }
}

static void check_power_cut(uint64_t trial)
{
    struct commitlog_fault *next = NULL;
    struct commitlog_fault *bare = NULL;
    const uint32_t survival = below(3) * 50;
    const uint64_t cut_seed = below(1000000);
    if (below(2) == 0) {
        ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
        note_moment();
    }
    for (uint32_t i = below(MOMENTS); i > 0; i--) {
        do_something();
        note_moment();
    }
    const uint64_t durable = store_positions().durable;
    ck_assert_int_eq(commitlog_fault_clone(machine, cut_seed, &next), 0);
    ck_assert_int_eq(commitlog_fault_clone(machine, cut_seed, &bare), 0);
    give_handles();
    cut_power(next, survival);
    open_again();
    check_moments(durable, trial);
    forget_producers();
    char *by_views = tell();
    cut_power(bare, survival);
    forget_views();
    open_again();
    char *by_log = tell();
    compare("after a power cut", by_views, by_log, trial);
    free_moments();
    take_handles();
    free(by_views);
    free(by_log);
}

START_TEST(everything_together_is_the_same_after_a_death)
{
    const char *first = getenv("SEED");
    const uint64_t trial = (first != NULL ? strtoull(first, NULL, 10) : 1ull) * 1000 + (unsigned)_i;
    seed = trial;
    now_trial = trial;
    memset(producers, 0, sizeof(producers));
    for (int i = 0; i < 10; i++) {
        (void)below(2);
    }
    open_again();
    take_handles();
    for (uint32_t step = 0; step < STEPS; step++) {
        do_something();
        if (below(60) == 0) {
            give_handles();
            ck_assert_int_eq(commitlog_close(store, &err), 0);
            open_again();
            take_handles();
        }
        if (below(50) == 0) {
            check_death(trial);
        }
        if (below(60) == 0) {
            check_power_cut(trial);
        }
    }
    check_death(trial);
    give_handles();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("together");
    TCase *cases = tcase_create("cases");
    const char *trials = getenv("TRIALS");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, everything_together_is_the_same_after_a_death, 0,
                        trials != NULL ? atoi(trials) : TRIALS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
