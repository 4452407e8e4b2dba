/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_faults.c -- each call that fails, once, in each thing that is done to a
 * transaction: it says so and has changed nothing, or that it does not know, and the next attempt
 * works; nothing leaks. And each call of a whole life with transactions fails, once or for ever;
 * then the process dies or the power goes: what was acknowledged is there, whole, and all else is
 * whole or not there.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE, CONSUMED = 3 };

static const struct {
    uint32_t kind;
    int32_t os_errno;
} faults[] = {{COMMITLOG_FAULT_ALLOC, ENOMEM},    {COMMITLOG_FAULT_OPEN, EMFILE},
              {COMMITLOG_FAULT_READ, EIO},        {COMMITLOG_FAULT_WRITE, EIO},
              {COMMITLOG_FAULT_WRITE, ENOSPC},    {COMMITLOG_FAULT_SYNC, EIO},
              {COMMITLOG_FAULT_ALLOCATE, ENOSPC}, {COMMITLOG_FAULT_MAP, ENOMEM},
              {COMMITLOG_FAULT_UNLINK, EIO},      {COMMITLOG_FAULT_SYNC_DIR, EIO}};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

static struct commitlog_group *group;
static struct commitlog_transaction_info info;

static int32_t add_offsets(struct commitlog_transaction *transaction, uint64_t offset)
{
    const struct commitlog_group_offset wanted = {topic, CONSUMED, offset};
    return commitlog_transaction_offsets(transaction, group, 0, &wanted, 1, &err);
}

static uint64_t fetch_offset(void)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = CONSUMED};
    ck_assert_msg(commitlog_group_fetch(group, &offset, 1, &err) == 0, "%s", err.message);
    return offset.offset;
}

/* ---- one call ---- */

enum {
    CALL_BEGIN,
    CALL_FIRST,
    CALL_MORE,
    CALL_OFFSETS,
    CALL_PREPARE,
    CALL_PREPARE_BARE, /* no messages */
    CALL_COMMIT,
    CALL_COMMIT_OLD, /* as copies */
    CALL_COMMIT_BARE,
    CALL_COMMIT_PREPARED,
    CALL_ROLLBACK,
    CALL_OPEN,
    CALL_CLOSE,
    CALL_EXPIRE,
    CALL_CARRY,
    CALLS
};

static struct {
    uint32_t call;
    struct commitlog_transaction *transaction;
    uint64_t id;
} scene;

/* Up to 200 bytes before the end of the segment: whatever comes next begins another. */
static void fill_segment(void)
{
    const uint64_t end = segment_bytes - 4096 - 48;
    while (store_positions().claimed % segment_bytes + 200 < end) {
        put(0, 1);
    }
}

static bool call_is_of_prepared(uint32_t call)
{
    return call == CALL_COMMIT_PREPARED || call == CALL_OPEN || call == CALL_EXPIRE ||
           call == CALL_CARRY;
}

/* All that comes before the call. */
static void make_scene(uint32_t call, bool at_end)
{
    const uint64_t no_borrow[2] = {COMMITLOG_OPT_BORROW, 0}; /* read by calls that can fail */
    scene.call = call;
    ck_assert_msg(store_open_by(&no_borrow, 1) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    put(CONSUMED, 4);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    scene.transaction = call == CALL_BEGIN ? NULL : begin_with(0, 0, 100000);
    bool bare = call == CALL_BEGIN || call == CALL_FIRST || call == CALL_PREPARE_BARE ||
                call == CALL_COMMIT_BARE;
    for (uint32_t i = 0; !bare && i < 3; i++) {
        ck_assert_int_eq(half(scene.transaction, 1 + i % 2, 70 + i, NONE, NULL), 0);
    }
    if (call == CALL_PREPARE || call == CALL_PREPARE_BARE || call == CALL_COMMIT ||
        call == CALL_COMMIT_OLD || call == CALL_COMMIT_BARE || call_is_of_prepared(call)) {
        ck_assert_int_eq(add_offsets(scene.transaction, 2), 0);
    }
    if (call_is_of_prepared(call)) {
        ck_assert_int_eq(commitlog_transaction_prepare(scene.transaction, NONE, 0, &err), 0);
    }
    scene.id = commitlog_transaction_id(scene.transaction);
    if (call == CALL_OPEN) {
        commitlog_transaction_close(scene.transaction);
        scene.transaction = NULL;
    }
    if (call == CALL_COMMIT_OLD || call == CALL_CARRY) {
        put(0, 2500);
        step_all();
    }
    if (call == CALL_EXPIRE) {
        pass_ms(200000);
    }
    if (at_end) {
        fill_segment();
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
}

static int32_t make_call(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    uint32_t wait_ms = 0;
    switch (scene.call) {
    case CALL_BEGIN:
        return commitlog_transaction_begin(store, "bank", 4, NULL, &scene.transaction, &err);
    case CALL_FIRST:
        return half(scene.transaction, 1, 70, DURABLE, NULL);
    case CALL_MORE:
        return half(scene.transaction, 2, 73, DURABLE, NULL);
    case CALL_OFFSETS:
        return add_offsets(scene.transaction, 2);
    case CALL_PREPARE:
    case CALL_PREPARE_BARE:
        return commitlog_transaction_prepare(scene.transaction, DURABLE, 0, &err);
    case CALL_COMMIT:
    case CALL_COMMIT_OLD:
    case CALL_COMMIT_BARE:
    case CALL_COMMIT_PREPARED:
        return commit(scene.transaction, DURABLE, NULL);
    case CALL_ROLLBACK:
        return commitlog_transaction_rollback(scene.transaction, DURABLE, 0, &err);
    case CALL_OPEN:
        return commitlog_transaction_open(store, scene.id, &scene.transaction, &err);
    case CALL_CLOSE:
        commitlog_transaction_close(scene.transaction);
        scene.transaction = NULL;
        return COMMITLOG_OK;
    case CALL_EXPIRE:
        for (int i = 0; i < 3; i++) {
            (void)commitlog_step(store, 100000, &wait_ms);
        }
        return COMMITLOG_OK;
    case CALL_CARRY:
    default:
        return commitlog_retain(store, &policy, NULL, &err);
    }
}

/* What the store shows of the transaction: enough to tell before from behind. */
struct shown {
    uint64_t ends[3];
    uint64_t offset;
    uint32_t open;
    uint32_t prepared;
    uint32_t messages;
};

static struct shown show(void)
{
    struct shown shown = {.offset = fetch_offset(), .open = open_count(&info)};
    for (uint32_t q = 0; q < 3; q++) {
        shown.ends[q] = q == 0 ? 0 : queue_end(q);
    }
    shown.prepared = shown.open > 0 ? info.prepared : 0;
    shown.messages = shown.open > 0 ? info.messages : 0;
    for (uint32_t i = 0; i < shown.messages; i++) {
        struct commitlog_transaction_message part = {.struct_bytes = sizeof(part)};
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        ck_assert_int_eq(commitlog_transaction_message(store, info.transaction, i, &part), 0);
        ck_assert_msg(commitlog_get(store, part.position, &message, &lease, &err) == 0, "%s",
                      err.message);
        commitlog_lease_release(lease);
    }
    return shown;
}

static bool is_same(const struct shown *a, const struct shown *b)
{
    return memcmp(a->ends, b->ends, sizeof(a->ends)) == 0 && a->offset == b->offset &&
           a->open == b->open && a->prepared == b->prepared && a->messages == b->messages;
}

static struct shown shown_behind(const struct shown *before)
{
    struct shown shown = *before;
    switch (scene.call) {
    case CALL_FIRST:
        shown.open = 1;
        shown.messages = 1;
        break;
    case CALL_MORE:
        shown.messages = 4;
        break;
    case CALL_PREPARE:
    case CALL_PREPARE_BARE:
        shown.open = 1;
        shown.prepared = 1;
        break;
    case CALL_COMMIT:
    case CALL_COMMIT_OLD:
    case CALL_COMMIT_BARE:
    case CALL_COMMIT_PREPARED:
        shown.ends[1] += scene.call == CALL_COMMIT_BARE ? 0 : 2;
        shown.ends[2] += scene.call == CALL_COMMIT_BARE ? 0 : 1;
        shown.offset = 2;
        break;
    default:
        break;
    }
    bool ends = scene.call == CALL_ROLLBACK || scene.call == CALL_CLOSE ||
                scene.call == CALL_EXPIRE || shown.offset == 2;
    if (ends) {
        shown.open = 0;
        shown.prepared = 0;
        shown.messages = 0;
    }
    return shown;
}

/* The process is gone and came back: what nobody can decide is over. */
static struct shown shown_later(const struct shown *shown)
{
    struct shown later = *shown;
    if (later.prepared == 0) {
        later.open = 0;
        later.messages = 0;
    }
    return later;
}

static void close_scene(void)
{
    commitlog_transaction_close(scene.transaction);
    commitlog_group_close(group);
    scene.transaction = NULL;
    group = NULL;
}

/* Another process, which has nothing but the files. */
static void come_back(void)
{
    struct commitlog_fault *next = NULL;
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    close_scene();
    (void)commitlog_close(store, NULL);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = next;
    commitlog_fault_process_death(machine);
    open_store();
    step_all();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
}

static bool is_expected(uint32_t kind, int32_t rc)
{
    switch (rc) {
    case COMMITLOG_OK:
        return true;
    case COMMITLOG_ENOMEM:
        return kind == COMMITLOG_FAULT_ALLOC || kind == COMMITLOG_FAULT_MAP;
    case COMMITLOG_ENOSPC:
        return kind == COMMITLOG_FAULT_WRITE || kind == COMMITLOG_FAULT_ALLOCATE;
    case COMMITLOG_EUNKNOWN:
    case COMMITLOG_EFAILED:
    case COMMITLOG_EIO:
    case COMMITLOG_EBUSY:
        return kind != COMMITLOG_FAULT_ALLOC;
    default:
        return false;
    }
}

/* Returns whether the call failed at all. */
static bool try_call(uint32_t call, bool at_end, uint32_t fault, uint64_t nth)
{
    const uint32_t kind = faults[fault].kind;
    make_scene(call, at_end);
    const struct shown before = show();
    const struct shown behind = shown_behind(&before);
    const uint64_t claimed = store_positions().claimed;
    const uint64_t calls = commitlog_fault_count(machine, kind);
    ck_assert_int_eq(commitlog_fault_fail(machine, kind, nth, faults[fault].os_errno, 0), 0);
    int32_t rc = make_call();
    bool struck = commitlog_fault_count(machine, kind) - calls >= nth;
    (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
    ck_assert_msg(is_expected(kind, rc), "call %u, kind %u, %u: %s: %s", call, kind, (unsigned)nth,
                  commitlog_error_name(rc), err.message);
    bool latched = commitlog_failure(store, NULL) != COMMITLOG_OK;
    bool upkeep = call == CALL_CLOSE || call == CALL_EXPIRE || call == CALL_CARRY;
    if (rc == COMMITLOG_ENOMEM && call != CALL_PREPARE && call != CALL_PREPARE_BARE && !upkeep) {
        ck_assert_uint_eq(store_positions().claimed, claimed);
    }
    struct shown after = {0};
    if (!latched && (rc != COMMITLOG_OK || upkeep)) {
        after = show();
        bool begun = call == CALL_PREPARE_BARE && after.open == 1 && after.prepared == 0;
        ck_assert_msg(is_same(&after, &before) || begun || upkeep, "call %u, kind %u, %u: %s", call,
                      kind, (unsigned)nth, commitlog_error_name(rc));
        rc = call == CALL_CLOSE ? rc : make_call();
        ck_assert_msg(rc == COMMITLOG_OK, "call %u, kind %u, %u, again: %s: %s", call, kind,
                      (unsigned)nth, commitlog_error_name(rc), err.message);
        step_all();
    }
    if (!latched) {
        after = show();
        ck_assert_msg(is_same(&after, &behind), "call %u, kind %u, %u is not done", call, kind,
                      (unsigned)nth);
    }
    const struct shown later = shown_later(&behind);
    const struct shown not = shown_later(&before);
    come_back();
    after = show();
    bool done = is_same(&after, &later);
    ck_assert_msg(done || (rc != COMMITLOG_OK && is_same(&after, &not )) || (latched && upkeep),
                  "call %u, kind %u, %u: done, but not later", call, kind, (unsigned)nth);
    ck_assert_msg(!done || rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN || is_same(&later, &not ),
                  "call %u, kind %u, %u: %s, and done", call, kind, (unsigned)nth,
                  commitlog_error_name(rc));
    close_scene();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    return struck;
}

START_TEST(each_call_says_so_and_can_be_made_again)
{
    struct commitlog_fault *base = machine;
    uint64_t struck = 0;
    for (uint32_t call = 0; call < CALLS; call++) {
        bool more = true;
        for (uint64_t nth = 1; more; nth++) {
            ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
            more = try_call(call, _i % 2 == 1, (uint32_t)_i / 2, nth);
            struck += more ? 1 : 0;
            commitlog_fault_free(machine);
        }
    }
    machine = base;
    printf("kind %u, errno %d%s: %u calls failed\n", faults[_i / 2].kind, faults[_i / 2].os_errno,
           _i % 2 == 0 ? "" : ", end of a segment", (unsigned)struck);
}
END_TEST

/* Not retention, which has bytes set aside for what it carries, nor what it may wait for: a commit
 * with offsets; the end of a handle is made up for later. */
START_TEST(a_full_disk_refuses_and_changes_nothing)
{
    const bool upkeep = _i == CALL_CLOSE || _i == CALL_EXPIRE || _i == CALL_CARRY;
    const bool stores_nothing = _i == CALL_BEGIN || _i == CALL_OFFSETS || _i == CALL_OPEN;
    const bool frees = _i == CALL_ROLLBACK || _i == CALL_COMMIT || _i == CALL_COMMIT_OLD ||
                       _i == CALL_COMMIT_BARE || _i == CALL_COMMIT_PREPARED;
    int32_t rc = COMMITLOG_OK;
    make_scene((uint32_t)_i, false);
    const struct shown before = show();
    const struct shown behind = shown_behind(&before);
    commitlog_fault_set_free(machine, 0);
    while (rc == COMMITLOG_OK) {
        rc = commitlog_append(store, topic, 0, "0123456789", 10, NONE, NULL);
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    rc = make_call();
    ck_assert_msg(rc == (upkeep || stores_nothing || frees ? COMMITLOG_OK : COMMITLOG_ENOSPC),
                  "%s: %s", commitlog_error_name(rc), err.message);
    struct shown after = show();
    ck_assert(is_same(&after, rc == COMMITLOG_OK ? &behind : &before) ||
              (upkeep && is_same(&after, &before)));
    commitlog_fault_set_free(machine, UINT64_MAX);
    pass_ms(2000);
    step_all();
    rc = rc == COMMITLOG_OK ? rc : make_call();
    ck_assert_msg(rc == COMMITLOG_OK, "again: %s: %s", commitlog_error_name(rc), err.message);
    after = show();
    ck_assert(is_same(&after, &behind));
    come_back();
    after = show();
    const struct shown later = shown_later(&behind);
    ck_assert(is_same(&after, &later));
    close_scene();
}
END_TEST

/* ---- a whole life ---- */

enum { COMMITTED, PREPARED, ROLLED_BACK, LEFT, BEGUN_PREPARED, DEALS };

/* Each has two messages, ten times its number and one more, in the queues 1 and 2; the one that
 * begins prepared has only the first. */
struct life {
    uint64_t ids[DEALS];
    bool tried[DEALS]; /* what its name says */
    bool done[DEALS];  /* the same, durably */
};

static uint32_t life_messages(uint32_t which)
{
    return which == BEGUN_PREPARED ? 1 : 2;
}

static void live_one(struct life *life, uint32_t which)
{
    struct commitlog_transaction *transaction = NULL;
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof(options),
        .flags = which == BEGUN_PREPARED ? COMMITLOG_TRANSACTION_PREPARED : 0};
    int32_t rc = commitlog_transaction_begin(store, "bank", 4, &options, &transaction, &err);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < life_messages(which); i++) {
        life->tried[which] = life->tried[which] || which == BEGUN_PREPARED;
        rc = half(transaction, 1 + i, which * 10 + i, DURABLE, NULL);
    }
    life->ids[which] = commitlog_transaction_id(transaction);
    if (rc == COMMITLOG_OK && which <= PREPARED) {
        rc = add_offsets(transaction, which == PREPARED ? 3 : 2);
    }
    if (rc == COMMITLOG_OK) {
        life->tried[which] = true;
        rc = which == COMMITTED     ? commit(transaction, DURABLE, NULL)
             : which == PREPARED    ? commitlog_transaction_prepare(transaction, DURABLE, 0, &err)
             : which == ROLLED_BACK ? commitlog_transaction_rollback(transaction, DURABLE, 0, &err)
                                    : COMMITLOG_OK;
    }
    life->done[which] = rc == COMMITLOG_OK;
    commitlog_transaction_close(transaction);
}

/* Whatever fails, it goes on as far as it can. */
static void live(struct life *life)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    uint32_t wait_ms;
    memset(life, 0, sizeof(*life));
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK ||
        commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err) != COMMITLOG_OK ||
        commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err) != 0) {
        return;
    }
    for (uint32_t i = 0; i < 4; i++) {
        (void)commitlog_append(store, topic, CONSUMED, "0123456789", 10, NONE, NULL);
    }
    for (uint32_t i = 0; i < DEALS; i++) {
        live_one(life, i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        (void)commitlog_append(store, topic, 0, "0123456789", 10, NONE, NULL);
    }
    (void)commitlog_retain(store, &policy, NULL, &err);
    for (int i = 0; i < 5; i++) {
        (void)commitlog_step(store, 100000, &wait_ms);
    }
}

/* How many messages of each there are to be read, in both queues; each once at the most. What the
 * segment that went took with it counts as read. */
static void count_messages(uint32_t seen[DEALS])
{
    memset(seen, 0, DEALS * sizeof(*seen));
    for (uint32_t q = 1; q <= 2; q++) {
        struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
        ck_assert_int_eq(commitlog_queue_info(store, topic, q, &queue), 0);
        ck_assert_uint_le(queue.next_offset, DEALS);
        seen[COMMITTED] += queue.first_offset > 0 ? 1 : 0; /* the only one that can be so old */
        for (uint64_t o = queue.first_offset; o < queue.next_offset; o++) {
            const uint32_t number = number_at(q, o, NULL);
            ck_assert_uint_lt(number, DEALS * 10);
            ck_assert_uint_eq(number % 10, q - 1);
            seen[number / 10]++;
        }
    }
}

static void decide(uint64_t id, bool commits)
{
    struct commitlog_transaction *transaction = NULL;
    ck_assert_msg(commitlog_transaction_open(store, id, &transaction, &err) == 0, "%s",
                  err.message);
    ck_assert_msg((commits ? commit(transaction, DURABLE, NULL) : roll_back(transaction)) == 0,
                  "%s", err.message);
    commitlog_transaction_close(transaction);
}

/* On a healthy machine, after a step. */
static void end(const struct life *life)
{
    uint32_t seen[DEALS];
    uint32_t messages[DEALS] = {0};
    bool listed[DEALS] = {false};
    uint64_t after = 0;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    info.struct_bytes = sizeof(info);
    while (commitlog_transaction_next(store, after, &info) == COMMITLOG_OK) {
        uint32_t which = 0;
        while (which < DEALS && life->ids[which] != info.transaction) {
            which++;
        }
        ck_assert_msg(which == PREPARED || which == BEGUN_PREPARED, "%u is open", which);
        ck_assert_uint_eq(info.prepared, 1);
        listed[which] = true;
        messages[which] = info.messages;
        after = info.transaction;
    }
    count_messages(seen);
    ck_assert(seen[COMMITTED] == 2 || (seen[COMMITTED] == 0 && !life->done[COMMITTED]));
    ck_assert(seen[COMMITTED] == 0 || life->tried[COMMITTED]);
    ck_assert(seen[PREPARED] == 0 && seen[ROLLED_BACK] == 0 && seen[LEFT] == 0);
    ck_assert_uint_eq(fetch_offset(), seen[COMMITTED] == 2 ? 2 : UINT64_MAX);
    for (uint32_t which = PREPARED; which < DEALS; which += BEGUN_PREPARED - PREPARED) {
        ck_assert(listed[which] ? life->tried[which] : !life->done[which]);
        ck_assert_uint_eq(messages[which], listed[which] ? life_messages(which) : 0);
        if (listed[which]) {
            decide(life->ids[which], true);
        }
    }
    count_messages(seen);
    ck_assert_uint_eq(seen[PREPARED], listed[PREPARED] ? 2 : 0);
    ck_assert_uint_eq(seen[BEGUN_PREPARED], messages[BEGUN_PREPARED]);
    ck_assert(!listed[PREPARED] || fetch_offset() == 3);
    ck_assert_uint_eq(open_count(&info), 0);
    commitlog_group_close(group);
    group = NULL;
}

START_TEST(each_call_of_a_life_may_fail)
{
    const uint32_t kind = faults[_i / 2].kind;
    struct commitlog_fault *base = machine;
    struct life life;
    uint64_t struck = 0;
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
        uint64_t before = commitlog_fault_count(machine, kind);
        (void)commitlog_fault_fail(machine, kind, nth, faults[_i / 2].os_errno, (uint32_t)_i % 2);
        live(&life);
        more = commitlog_fault_count(machine, kind) - before >= nth;
        struck += more ? 1 : 0;
        commitlog_group_close(group);
        group = NULL;
        die(nth % 3 == 0);
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        open_store();
        step_all();
        end(&life);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
        commitlog_fault_free(machine);
    }
    for (uint32_t i = 0; i < DEALS; i++) {
        ck_assert(life.done[i]); /* nothing failed */
    }
    machine = base;
    printf("kind %u, errno %d, %s: %u calls failed\n", kind, faults[_i / 2].os_errno,
           _i % 2 == 0 ? "once" : "for ever", (unsigned)struck);
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("transactions and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_says_so_and_can_be_made_again, 0, 2 * FAULTS);
    tcase_add_loop_test(cases, a_full_disk_refuses_and_changes_nothing, 0, CALLS);
    tcase_add_loop_test(cases, each_call_of_a_life_may_fail, 0, 2 * FAULTS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
