/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_groups_faults.c -- each call of a life in which groups are made, changed, deleted and
 * carried forward fails, once or for ever; then the process dies or the power goes. On a healthy
 * machine the groups are as they were behind one of the changes, none of those that their level
 * promised is missing, and they can be used again.
 */
#include "support/run_suite.h"
#include "unit/group_fixture.h"
#include "unit/promise_fixture.h"

enum { WIDE = 40, HALF = WIDE / 2, GROUPS = 2, MESSAGES = 8 };
enum { G, H };
enum { NONE = COMMITLOG_LEVEL_NONE, WRITTEN = COMMITLOG_LEVEL_WRITTEN };
enum { DURABLE = COMMITLOG_LEVEL_DURABLE, KEEP = COMMITLOG_GROUP_KEEP };

static const char *const names[GROUPS] = {"g", "h"};

struct state {
    bool there;
    uint32_t epoch;
    uint32_t flags;
    uint64_t offsets[WIDE];
};

/* The groups as they were behind so many changes. */
static struct {
    struct state groups[CHANGES_MAX + 1][GROUPS];
    bool is_whole; /* all messages are there that offsets are committed of */
    bool complete;
} life;

static struct commitlog_group *handles[GROUPS];

/* ---- what is done ---- */

enum what { MAKE, COMMIT, RESET, EPOCH, CONFIGURE, DELETE, FILL, RETAIN, REOPEN };

struct step {
    enum what what;
    uint32_t group;
    uint32_t queue; /* the first */
    uint32_t count;
    uint64_t value; /* offset, flags */
    uint32_t level;
};

static const struct step steps[] = {
    {MAKE, G, 0, 0, KEEP, NONE},
    {MAKE, H, 0, 0, 0, NONE},
    {COMMIT, G, 0, 3, 2, DURABLE},
    {EPOCH, G, 0, 0, 0, DURABLE},
    {COMMIT, H, 0, WIDE, 0, NONE}, /* so many that they need memory of their own */
    {COMMIT, G, 1, 2, 5, WRITTEN},
    {EPOCH, H, 0, 0, 0, NONE},
    {EPOCH, G, 0, 0, 0, NONE},
    {RETAIN, G, 0, 0, 0, NONE}, /* nothing goes: what is below offset 2 is in the first segment */
    {COMMIT, G, 0, 3, MESSAGES, NONE},
    {COMMIT, G, 1, 2, MESSAGES, DURABLE}, /* is, but not durably */
    {RESET, H, 3, 1, 4, DURABLE},
    {FILL, G, 0, 0, 0, NONE},
    {COMMIT, G, 3, 3, MESSAGES, DURABLE}, /* in the next segment */
    {RESET, G, 5, 1, 1, WRITTEN},
    {RESET, G, 5, 1, MESSAGES, NONE},
    {RETAIN, G, 0, 0, 0, NONE},
    {CONFIGURE, G, 0, 0, 0, DURABLE},
    {REOPEN, G, 0, 0, 0, NONE},
    {COMMIT, H, 1, 3, 6, NONE},
    {DELETE, H, 0, 0, 0, DURABLE},
    {MAKE, H, 0, 0, KEEP, NONE},
    {COMMIT, H, 2, 1, MESSAGES, NONE},
    {DELETE, G, 0, 0, 0, NONE},
    {MAKE, G, 0, 0, 0, NONE},
    {COMMIT, G, 4, 2, MESSAGES, DURABLE},
};

static void become(const struct step *step, struct state *state)
{
    switch (step->what) {
    case MAKE:
        if (!state->there) {
            memset(state, 0, sizeof(*state));
            memset(state->offsets, 0xff, sizeof(state->offsets));
            state->there = true;
            state->flags = (uint32_t)step->value;
        }
        break;
    case COMMIT:
    case RESET:
        for (uint32_t i = 0; i < step->count; i++) {
            state->offsets[step->queue + i] = step->value;
        }
        break;
    case EPOCH:
        state->epoch++;
        break;
    case CONFIGURE:
        state->flags = (uint32_t)step->value;
        break;
    case DELETE:
        memset(state, 0, sizeof(*state));
        break;
    case FILL:
    case RETAIN:
    case REOPEN:
        break;
    }
}

static int32_t commit(uint32_t group, uint32_t epoch, uint32_t queue, uint32_t count,
                      uint64_t offset, uint32_t level)
{
    struct commitlog_group_offset offsets[WIDE];
    for (uint32_t i = 0; i < count; i++) {
        offsets[i] = (struct commitlog_group_offset){topic, queue + i, offset};
    }
    return commitlog_group_commit(handles[group], epoch, offsets, count, level, 0, NULL, &err);
}

static int32_t change(const struct step *step, const struct state *state)
{
    struct commitlog_group *handle = handles[step->group];
    uint32_t epoch = 77;
    int32_t rc;
    switch (step->what) {
    case MAKE:
        commitlog_group_close(handle);
        handles[step->group] = NULL;
        return commitlog_group_open(store, names[step->group], 1,
                                    COMMITLOG_GROUP_CREATE | (uint32_t)step->value,
                                    &handles[step->group], &err);
    case COMMIT:
        return commit(step->group, state->epoch, step->queue, step->count, step->value,
                      step->level);
    case RESET:
        return commitlog_group_reset(handle, topic, step->queue, COMMITLOG_FROM_OFFSET, step->value,
                                     step->level, &err);
    case EPOCH:
        rc = commitlog_group_next_epoch(handle, step->level, &epoch, &err);
        ck_assert_uint_eq(epoch, rc == COMMITLOG_OK ? state->epoch + 1 : 77);
        return rc;
    case CONFIGURE:
        return commitlog_group_configure(handle, (uint32_t)step->value, step->level, &err);
    case DELETE:
        return commitlog_group_delete(handle, step->level, &err);
    case FILL:
    case RETAIN:
    case REOPEN:
    default:
        return COMMITLOG_OK;
    }
}

/* ---- what there is ---- */

/* False: it cannot be told. */
static bool look(uint32_t group, struct state *out)
{
    struct commitlog_group *handle = NULL;
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset offsets[WIDE];
    int32_t rc = commitlog_group_open(store, names[group], 1, 0, &handle, &err);
    memset(out, 0, sizeof(*out));
    if (rc != COMMITLOG_OK) {
        return rc == COMMITLOG_ENOTFOUND;
    }
    for (uint32_t i = 0; i < WIDE; i++) {
        offsets[i] = (struct commitlog_group_offset){topic, i, 0};
    }
    ck_assert_int_eq(commitlog_group_info(handle, &info), 0);
    for (uint32_t at = 0; at < WIDE; at += HALF) { /* without memory */
        ck_assert_int_eq(commitlog_group_fetch(handle, offsets + at, HALF, &err), 0);
    }
    commitlog_group_close(handle);
    out->there = true;
    out->epoch = info.epoch;
    out->flags = info.flags;
    for (uint32_t i = 0; i < WIDE; i++) {
        out->offsets[i] = offsets[i].offset;
    }
    return true;
}

static bool is_state(const struct state *a, const struct state *b)
{
    return a->there == b->there && a->epoch == b->epoch && a->flags == b->flags &&
           memcmp(a->offsets, b->offsets, sizeof(a->offsets)) == 0;
}

/* How many changes they are behind; no fewer than `kept`. */
static uint32_t find_change(const struct state *found)
{
    const uint32_t kept = promise_kept();
    uint32_t at = promised.count + 1;
    while (at > kept && !(is_state(&found[G], &life.groups[at - 1][G]) &&
                          is_state(&found[H], &life.groups[at - 1][H]))) {
        at--;
    }
    ck_assert_msg(at > kept,
                  "%s: g %u, epoch %u, flags %u, offsets %lld %lld; h %u, %u, %u: not as behind %u "
                  "to %u changes",
                  promised.power ? "power" : "process", found[G].there, found[G].epoch,
                  found[G].flags, (long long)found[G].offsets[0], (long long)found[G].offsets[5],
                  found[H].there, found[H].epoch, found[H].flags, kept, promised.count);
    return at - 1;
}

/* ---- the life ---- */

static void live_put(void)
{
    for (uint32_t i = 0; i < MESSAGES * QUEUES; i++) {
        int32_t rc = commitlog_append(store, topic, i % QUEUES, "0123456789", 10, NONE, NULL);
        promise_explained("put", rc);
        life.is_whole = life.is_whole && rc == COMMITLOG_OK;
    }
}

static bool live_open(void)
{
    int32_t rc = promise_open();
    rc = rc == COMMITLOG_OK ? promise_topic(WIDE) : rc;
    life.complete = life.complete && rc == COMMITLOG_OK;
    return rc == COMMITLOG_OK;
}

static void leave(void)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        commitlog_group_close(handles[g]);
        handles[g] = NULL;
    }
}

/* The store is closed and opened again; false: it is not open, or cannot be looked at. */
static bool live_reopen(void)
{
    struct state found[GROUPS];
    commitlog_group_close(handles[G]); /* and the other one behind the store */
    handles[G] = NULL;
    life.complete = promise_close() == COMMITLOG_OK && life.complete;
    leave();
    if (!live_open() || !look(G, &found[G]) || !look(H, &found[H])) {
        return false;
    }
    promised.count = find_change(found);
    promise_look();
    for (uint32_t g = 0; g < GROUPS; g++) {
        int32_t rc = commitlog_group_open(store, names[g], 1, 0, &handles[g], &err);
        ck_assert(each_call_explains(each_call_number, rc) ||
                  (rc == COMMITLOG_ENOTFOUND && !life.groups[promised.count][g].there));
        life.complete = life.complete && rc == COMMITLOG_OK;
    }
    return true;
}

/* The offset is none of the queue: not all was put there, or has gone; and readers of a store that
 * has failed, and a reset is one, have what is durable only. */
static bool is_outside(const struct step *step, int32_t rc)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    if (rc == COMMITLOG_ETOOSMALL && step->what == RESET) {
        return commitlog_queue_info(store, topic, step->queue, &info) == COMMITLOG_OK &&
               step->value < info.first_offset;
    }
    if (rc == COMMITLOG_EBEYOND && (step->what == RESET || !life.is_whole)) {
        return commitlog_queue_info(store, topic, step->queue, &info) == COMMITLOG_OK &&
               step->value > info.next_offset;
    }
    return false;
}

/* The one that made the group what it is: who commits what is committed waits for that only. */
static uint32_t last_change(uint32_t group)
{
    uint32_t at = promised.count;
    while (at > 0 && is_state(&life.groups[at][group], &life.groups[at - 1][group])) {
        at--;
    }
    return at;
}

/* A failure has changed nothing, now and later, unless it says that it may have. */
static void live_change(const struct step *step)
{
    struct state *now = life.groups[promised.count + 1];
    memcpy(now, life.groups[promised.count], sizeof(life.groups[0]));
    int32_t rc = change(step, &now[step->group]);
    ck_assert_msg(each_call_explains(each_call_number, rc) || is_outside(step, rc), "%u: %s: %s",
                  (unsigned)(step - steps), commitlog_error_name(rc), err.message);
    ck_assert(rc == COMMITLOG_OK || rc == err.code);
    life.complete = life.complete && rc == COMMITLOG_OK;
    if (each_call_number % 2 == 0 && rc != COMMITLOG_OK && rc != COMMITLOG_EUNKNOWN &&
        !is_outside(step, rc) && commitlog_failure(store, NULL) == COMMITLOG_OK) {
        rc = change(step, &now[step->group]); /* failed once */
        ck_assert_msg(rc == COMMITLOG_OK, "%u, again: %s: %s", (unsigned)(step - steps),
                      commitlog_error_name(rc), err.message);
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN) {
        become(step, &now[step->group]);
        if (!is_state(&now[step->group], &life.groups[promised.count][step->group])) {
            promise_add();
        }
    }
    promise_look();
    const uint32_t last = last_change(step->group);
    ck_assert(rc != COMMITLOG_OK || step->level != DURABLE ||
              promise_up_to(promised.durable) >= last);
    ck_assert(rc != COMMITLOG_OK || step->level != WRITTEN ||
              promise_up_to(promised.written) >= last);
    for (uint32_t g = 0; g < GROUPS; g++) {
        struct state found;
        ck_assert_msg(!look(g, &found) || is_state(&found, &life.groups[promised.count][g]),
                      "%u: %s", (unsigned)(step - steps), commitlog_error_name(rc));
    }
}

/* Whatever fails, it goes on as far as it can. */
static void live(void)
{
    memset(&life, 0, sizeof(life));
    promise_begin();
    life.is_whole = life.complete = true;
    bool open = live_open();
    if (open) {
        live_put();
    }
    for (size_t i = 0; open && i < sizeof(steps) / sizeof(steps[0]); i++) {
        const struct step *step = &steps[i];
        if (step->what == REOPEN) {
            open = live_reopen();
        } else if (step->what == FILL) {
            promise_fill(WIDE - 1);
        } else if (step->what == RETAIN) {
            life.complete = promise_retain(WIDE - 1) == COMMITLOG_OK && life.complete;
        } else if (step->what == MAKE || handles[step->group] != NULL) {
            live_change(step);
        }
    }
    if (store != NULL) {
        promise_look();
    }
}

/* ---- afterwards ---- */

static void before(uint64_t nth)
{
    promise_power(nth);
    if (nth % 2 == 0) {
        forget_views();
    }
}

static uint64_t check_queue(const struct state *state, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, queue, &info), 0);
    const uint64_t offset = state->there ? state->offsets[queue] : UINT64_MAX;
    ck_assert(offset == UINT64_MAX || offset <= info.next_offset);
    ck_assert(offset == UINT64_MAX || (state->flags & KEEP) == 0 || info.first_offset <= offset);
    return info.next_offset;
}

static void check_use(uint32_t group, const struct state *state)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset one = {topic, 0, 0};
    uint32_t epoch = 0;
    for (uint32_t q = 0; q < WIDE; q++) {
        (void)check_queue(state, q);
    }
    ck_assert_int_eq(commitlog_append(store, topic, 0, "0123456789", 10, DURABLE, NULL), 0);
    const uint64_t next = check_queue(state, 0);
    ck_assert_msg(commitlog_group_open(store, names[group], 1, COMMITLOG_GROUP_CREATE,
                                       &handles[group], &err) == COMMITLOG_OK,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_group_next_epoch(handles[group], DURABLE, &epoch, &err), 0);
    ck_assert_uint_eq(epoch, state->epoch + 1);
    ck_assert_int_eq(commit(group, epoch + 1, 0, 1, next, DURABLE), COMMITLOG_EFENCED);
    ck_assert(epoch == 1 || commit(group, epoch - 1, 0, 1, next, DURABLE) == COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(group, epoch, 0, 1, next + 1, DURABLE), COMMITLOG_EBEYOND);
    ck_assert_msg(commit(group, epoch, 0, 1, next, DURABLE) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commit(group, epoch, 0, 1, next - 1, DURABLE), COMMITLOG_ETOOSMALL);
    ck_assert_int_eq(commitlog_group_fetch(handles[group], &one, 1, &err), 0);
    ck_assert_uint_eq(one.offset, next);
    ck_assert_int_eq(commitlog_group_delete(handles[group], DURABLE, &err), 0);
    ck_assert_int_eq(commitlog_group_info(handles[group], &info), COMMITLOG_ENOTFOUND);
}

static void check(bool complete)
{
    struct state found[GROUPS];
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    uint32_t listed = 0;
    ck_assert_msg(commitlog_topic_open(store, "t", 1, WIDE, &topic, &err) == COMMITLOG_OK, "%s",
                  err.message);
    ck_assert(look(G, &found[G]) && look(H, &found[H]));
    const uint32_t is = find_change(found);
    ck_assert(!complete || (life.complete && is == promised.count && promise_has_dropped()));
    while (commitlog_group_at(store, listed, &info) == COMMITLOG_OK) {
        listed++;
    }
    ck_assert_uint_eq(listed, (found[G].there ? 1u : 0u) + (found[H].there ? 1u : 0u));
    check_use(G, &found[G]);
    check_use(H, &found[H]);
    leave();
}

START_TEST(each_call_may_fail)
{
    static const struct each_call calls = {
        .live = live, .leave = leave, .before = before, .check = check};
    promise_each_call_fails(&calls, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_may_fail, 0, PROMISE_CASES);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
