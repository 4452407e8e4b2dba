/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers_random.c -- what waits, through random retention, cancels, crashes and .state files
 * of some time ago: the writer's table and the view's are what was done. And records that nobody
 * writes, which do no harm to who delivers, reads or opens.
 *
 * SEED and TRIALS in the environment.
 */
#include "support/run_suite.h"
#include "unit/raw_timer_fixture.h"

/* ---- retention, cancels, crashes: the tables --------------------------------------------------
 */

enum { WAITING = 3000 };

static struct {
    uint64_t id;
    uint64_t end;   /* of the log behind it */
    uint64_t ended; /* the same behind its cancel; 0: none */
    int64_t due_ms;
} waiting[WAITING];
static uint32_t waiting_count;
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

static int take_fold_table(void *ctx, const struct clg_timer_table *table)
{
    struct clg_timer timer;
    struct clg_timer same;
    ck_assert_uint_eq(table->count, store->timers.count);
    ck_assert_uint_eq(table->bytes, store->timers.bytes);
    for (uint32_t cursor = 0; clg_timer_next(table, &cursor, &timer);) {
        ck_assert(clg_timer_find(&store->timers, timer.id, &same));
        ck_assert_mem_eq(&timer, &same, sizeof(timer));
    }
    (void)ctx;
    return 0;
}

/* What waits is what should, whole, in the writer's table and in the view's. */
static void check_waiting(void)
{
    uint32_t expected = 0;
    ck_assert_int_eq(clg_fold_run(store->core->fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, &err),
                     0);
    ck_assert_int_eq(clg_fold_timers(store->core->fold, take_fold_table, NULL), 0);
    clg_timer_table_invariants(&store->timers);
    for (uint32_t i = 0; i < waiting_count; i++) {
        struct clg_timer timer;
        bool waits = waiting[i].end != UINT64_MAX && waiting[i].ended == 0;
        bool found = clg_timer_find(&store->timers, waiting[i].id, &timer);
        expected += waits;
        if (!waits) {
            continue;
        }
        ck_assert_msg(found, "timer %u is not there", i);
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        ck_assert_msg(commitlog_get(store, timer.position, &message, &lease, &err) == 0, "%s",
                      err.message);
        ck_assert_int_eq(message.deliver_at_ms, waiting[i].due_ms);
        ck_assert_uint_ge(message.body.bytes, sizeof(i));
        ck_assert_mem_eq(message.body.data, &i, sizeof(i));
        commitlog_lease_release(lease);
    }
    ck_assert_uint_eq(store->timers.count, expected);
}

static void one_more_waits(bool batch)
{
    struct commitlog_receipt receipts[3];
    uint32_t numbers[3];
    struct commitlog_slice bodies[3][2];
    struct commitlog_record records[3];
    uint32_t count = batch ? 3 : 1;
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = waiting_count + i;
        bodies[i][0] = (struct commitlog_slice){&numbers[i], sizeof(numbers[i])};
        bodies[i][1] = (struct commitlog_slice){filling, draw(10) == 0 ? draw(20000) : draw(50)};
        waiting[numbers[i]].due_ms = now_ms() + 1000000000 + draw(100000);
        records[i] = (struct commitlog_record){.struct_bytes = sizeof(records[i]),
                                               .topic = topic,
                                               .queue = draw(QUEUES),
                                               .level = draw(5) == 0 ? 3 : 1,
                                               .body = bodies[i],
                                               .body_count = 2,
                                               .deliver_at_ms = waiting[numbers[i]].due_ms};
    }
    int32_t rc = batch ? commitlog_append_batch(store, records, count, 0, receipts, &err)
                       : commitlog_append_record(store, records, 0, receipts, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    for (uint32_t i = 0; i < count; i++) {
        waiting[numbers[i]].id = receipts[i].position;
        waiting[numbers[i]].end = receipts[i].end_position;
        waiting[numbers[i]].ended = 0;
    }
    waiting_count += count;
}

static uint8_t *old_state;
static uint64_t old_state_bytes;
static char old_state_path[128];

/* A .state of some time ago comes back: what it was before the last save. */
static void keep_state(void)
{
    const char *name = NULL;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0; i++) {
        const void *data = NULL;
        if (strstr(name, ".state") == NULL) {
            continue;
        }
        (void)snprintf(old_state_path, sizeof(old_state_path), "/store/view/%s", name);
        ck_assert_int_eq(commitlog_fault_content(machine, old_state_path, &data, &old_state_bytes),
                         0);
        free(old_state);
        old_state = malloc(old_state_bytes + 1);
        memcpy(old_state, data, old_state_bytes);
        return;
    }
}

static void bring_state_back(void)
{
    if (old_state != NULL && old_state_bytes > 0) {
        (void)commitlog_fault_remove(machine, old_state_path);
        (void)commitlog_fault_write(machine, old_state_path, 0, old_state, old_state_bytes);
    }
}

static uint32_t states_back;
static uint64_t carried_bytes;

static void random_restart(void)
{
    if (draw(3) == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        commitlog_fault_set_survival(machine, draw(101));
        die(draw(2) == 0);
    }
    uint32_t views = draw(4);
    if (views == 0) {
        forget_views();
    } else if (views == 1) {
        bring_state_back();
        states_back += old_state != NULL;
    } else if (views == 2) {
        keep_state();
    }
    open_store();
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    for (uint32_t i = 0; i < waiting_count; i++) {
        waiting[i].ended = waiting[i].ended > recovery.end ? 0 : waiting[i].ended;
        if (waiting[i].end > recovery.end) {
            waiting[i].end = UINT64_MAX;
            waiting[i].id = UINT64_MAX;
        }
    }
    check_waiting();
}

static void random_life(uint64_t seed)
{
    struct commitlog_retained retained;
    rng_begin(&rng, seed);
    waiting_count = 0;
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    free(old_state);
    old_state = NULL;
    open_store();
    for (uint32_t step = 0; step < 400 && waiting_count < WAITING - 3; step++) {
        uint32_t one = waiting_count > 0 ? draw(waiting_count) : 0;
        switch (draw(12)) {
        case 0:
        case 1:
        case 2:
            if (waiting_count > 0 && waiting[one].end != UINT64_MAX && waiting[one].ended == 0) {
                ck_assert_int_eq(
                    commitlog_timer_cancel(store, waiting[one].id, draw(2) * 2 + 1, &err), 0);
                waiting[one].ended = store_positions().claimed;
            }
            break;
        case 3:
        case 4:
            put(draw(QUEUES), draw(900));
            break;
        case 5: {
            int32_t rc = retain(draw(3) * 65536 + 1, &retained);
            ck_assert(rc == 0 || rc == COMMITLOG_EBUSY);
            carried_bytes += retained.bytes_carried;
            break;
        }
        case 6:
            step_all();
            break;
        case 7:
            if (draw(4) == 0) {
                random_restart();
            }
            break;
        case 8:
            one_more_waits(true);
            break;
        default:
            one_more_waits(false);
            break;
        }
    }
    random_restart();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(the_tables_are_what_was_done)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    segment_bytes = 65536;
    stage_bytes = 65536;
    for (uint32_t i = 0; i < trials; i++) {
        random_life(seed + i);
    }
    printf("timers, edges: SEED=%u TRIALS=%u: %u old states, %u bytes carried\n", (unsigned)seed,
           trials, states_back, (unsigned)carried_bytes);
}
END_TEST

/* ---- records that nobody writes -------------------------------------------------------------- */

static uint64_t hostile_position(void)
{
    uint64_t end = store_positions().claimed;
    switch (draw(8)) {
    case 0:
        return end;
    case 1:
        return end + 8 * (uint64_t)draw(100);
    case 2:
        return 8 * (uint64_t)draw(2000);
    case 3:
        return rng_next(&rng) % (CLG_POSITION_MAX / 8) * 8;
    case 4:
        return rng_next(&rng); /* not a position */
    default: {
        struct clg_timer timer;
        uint32_t count = store->timers.count;
        return count > 0 && clg_timer_at(&store->timers, draw(count), &timer) ? timer.position
                                                                              : end / 16 * 8;
    }
    }
}

static void hostile_delivery(uint8_t value[CLG_DELIVER_AT_BYTES])
{
    static const uint32_t queues[] = {0, 1, 5, 6, 7, 4000, UINT32_MAX - 1, UINT32_MAX};
    int64_t due = draw(10) == 0 ? (int64_t)rng_next(&rng) : now_ms() - 20 + draw(3000);
    clg_store_le64(value, (uint64_t)due);
    clg_store_le64(value + 8, draw(2) == 0 ? 0 : hostile_position());
    clg_store_le32(value + 16, queues[draw(8)]);
    clg_store_le32(value + 20, draw(30) == 0);
}

static uint32_t hostile_attributes(uint8_t *out, size_t room)
{
    uint8_t value[CLG_DELIVER_AT_BYTES + 8 * 4];
    size_t used = 0;
    for (uint32_t count = draw(4); count > 0; count--) {
        uint8_t type = (uint8_t)(1 + draw(9));
        uint16_t bytes = (uint16_t)draw(sizeof(value));
        for (size_t i = 0; i < sizeof(value); i++) {
            value[i] = (uint8_t)draw(256);
        }
        if (draw(2) == 0) {
            type = CLG_ATTRIBUTE_DELIVER_AT;
            bytes = draw(10) == 0 ? bytes : CLG_DELIVER_AT_BYTES;
            hostile_delivery(value);
        }
        if (used + CLG_ATTRIBUTE_HEADER_BYTES + bytes > room) {
            break;
        }
        out[used] = (uint8_t)(type | (draw(2) << 7));
        clg_store_le16(out + used + 1, bytes);
        memcpy(out + used + CLG_ATTRIBUTE_HEADER_BYTES, value, bytes);
        used += CLG_ATTRIBUTE_HEADER_BYTES + (size_t)bytes;
    }
    return (uint32_t)used;
}

static void append_hostile(void)
{
    static const uint8_t kinds[] = {CLG_KIND_TIMER, CLG_KIND_TIMER, CLG_KIND_REFERENCE,
                                    CLG_KIND_REFERENCE, CLG_KIND_MESSAGE};
    uint8_t kind = kinds[draw(5)];
    uint8_t attributes[200];
    uint8_t body[CLG_REFERENCE_BODY_BYTES_MAX];
    uint32_t bytes = draw(10) == 0            ? draw(sizeof(body))
                     : kind == CLG_KIND_TIMER ? 16
                                              : 8 * (2 + draw(3));
    uint64_t reason = bytes < 32 ? draw(6) : 0; /* of the short ones in the position */
    memset(body, 0, sizeof(body));
    if (kind == CLG_KIND_REFERENCE) {
        clg_store_le64(body, hostile_position() | reason);
        clg_store_le32(body + 8, (uint32_t)rng_next(&rng));
        clg_store_le64(body + 16, hostile_position());
        body[30] = (uint8_t)draw(6);
        struct clg_timer timer;
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        if (draw(2) == 0 && clg_timer_at(&store->timers, 0, &timer) &&
            commitlog_get(store, timer.position, &message, &lease, &err) == 0) {
            clg_store_le64(body, timer.position | reason); /* with the check it has: it is served */
            clg_store_le32(body + 8, clg_load_le32((const uint8_t *)message.attributes.data -
                                                   CLG_RECORD_HEADER_BYTES + 4));
            commitlog_lease_release(lease);
        }
    } else {
        clg_store_le32(body, 1);
        clg_store_le64(body + 8, hostile_position());
    }
    struct commitlog_slice slice = {body, bytes};
    bool queued = kind != CLG_KIND_TIMER;
    (void)append_raw(
        &(struct clg_append){.kind = kind,
                             .queue_number = queued ? draw(QUEUES) : CLG_QUEUE_NONE,
                             .takes_offset = queued,
                             .attributes = attributes,
                             .attribute_bytes = hostile_attributes(attributes, sizeof(attributes)),
                             .body = &slice,
                             .body_count = 1,
                             .body_bytes = bytes});
}

static uint32_t served;
static uint32_t expired;

static void read_with(struct commitlog_cursor *cursor, bool seeks)
{
    struct commitlog_message messages[5];
    uint32_t count = 0;
    uint64_t bound = 0;
    int32_t rc = COMMITLOG_OK;
    for (int i = 0; i < 20000 && rc != COMMITLOG_EEND; i++) {
        rc = commitlog_cursor_fetch(cursor, messages, 1 + draw(5), 0, &count, &bound);
        for (uint32_t m = 0; rc == COMMITLOG_OK && m < count; m++) {
            served += messages[m].origin_position != 0;
            uint8_t sum = 0;
            for (size_t b = 0; b < messages[m].body.bytes; b++) {
                sum ^= ((const uint8_t *)messages[m].body.data)[b];
            }
            filling[0] = sum;
        }
        expired += rc == COMMITLOG_EEXPIRED;
        if (rc != COMMITLOG_OK && rc != COMMITLOG_EEND && seeks) {
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        }
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
}

static void read_all_ways(void)
{
    struct commitlog_cursor *cursor = NULL;
    store->options.values[COMMITLOG_OPT_BORROW] = draw(2);
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, draw(QUEUES), COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        0);
    read_with(cursor, true);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &cursor, &err),
                     0);
    read_with(cursor, true);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    read_with(cursor, false);
}

static void hostile_life(uint64_t seed)
{
    struct commitlog_retained retained;
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_store();
    for (uint32_t step = 0; step < 300; step++) {
        switch (draw(16)) {
        case 0:
            pass_ms(draw(1000));
            step_all();
            break;
        case 1:
            put(draw(QUEUES), draw(300));
            break;
        case 2:
            (void)retain(1 + draw(4) * 65536, &retained);
            break;
        case 3:
            ck_assert_int_eq(delay_bytes(draw(QUEUES), draw(100), now_ms() + draw(500), 1, NULL),
                             0);
            break;
        case 4:
            if (draw(5) == 0) {
                read_all_ways();
            }
            break;
        case 5:
            if (draw(5) == 0) {
                die(draw(2) == 0);
                if (draw(2) == 0) {
                    forget_views();
                }
                open_store();
            }
            break;
        default:
            append_hostile();
            break;
        }
    }
    pass_ms(5000);
    step_all();
    read_all_ways();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(hostile_records_do_no_harm)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    segment_bytes = 65536;
    stage_bytes = 65536;
    for (uint32_t i = 0; i < trials; i++) {
        hostile_life(seed + i);
    }
    printf("hostile: %u served by reference, %u expired\n", served, expired);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers at random");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, the_tables_are_what_was_done);
    tcase_add_test(random, hostile_records_do_no_harm);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
