/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_groups_model.c -- random calls to consumer groups beside a model, on a machine in memory
 * whose process is killed and whose power goes at random. Every change is remembered with the end
 * of the log after it, so what a recovered store must say is known exactly: the changes below its
 * end.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/group_fixture.h"

#include "support/prog.h"
#include "support/run_suite.h"

enum { GROUPS = 4, HISTORY = 4096, NAMES = 8 };

struct model_group {
    bool exists;
    uint32_t epoch;
    uint32_t flags;
    uint64_t offsets[QUEUES];
};

struct model {
    struct model_group groups[GROUPS];
    uint64_t position; /* end of the log when this became true */
};

static struct model history[HISTORY];
static uint32_t history_count;
static struct commitlog_group *handles[GROUPS];
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

static struct model *now(void)
{
    return &history[history_count - 1];
}

/* A change was made: what was true stays in the history. */
static struct model_group *change(uint32_t g)
{
    ck_assert_uint_lt(history_count, HISTORY);
    history[history_count] = *now();
    history_count++;
    now()->position = store_positions().claimed;
    return &now()->groups[g];
}

static void check_model(void)
{
    uint32_t found = 0;
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    for (uint32_t g = 0; g < GROUPS; g++) {
        const struct model_group *want = &now()->groups[g];
        found += want->exists ? 1 : 0;
        int32_t rc = commitlog_group_info(handles[g], &info);
        ck_assert_msg(rc == (want->exists ? COMMITLOG_OK : COMMITLOG_ENOTFOUND),
                      "group %u: %d, exists %d", g, rc, want->exists);
        if (!want->exists) {
            continue;
        }
        ck_assert_uint_eq(info.epoch, want->epoch);
        ck_assert_uint_eq(info.flags, want->flags);
        struct commitlog_group_offset offsets[QUEUES];
        for (uint32_t q = 0; q < QUEUES; q++) {
            offsets[q] = (struct commitlog_group_offset){topic, q, 0};
        }
        ck_assert_int_eq(commitlog_group_fetch(handles[g], offsets, QUEUES, &err), 0);
        for (uint32_t q = 0; q < QUEUES; q++) {
            ck_assert_msg(offsets[q].offset == want->offsets[q], "group %u queue %u: %llu not %llu",
                          g, q, (unsigned long long)offsets[q].offset,
                          (unsigned long long)want->offsets[q]);
        }
    }
    uint32_t listed = 0;
    while (commitlog_group_at(store, listed, &info) == COMMITLOG_OK) {
        listed++;
    }
    ck_assert_uint_eq(listed, found);
}

static void open_handles(void)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        char name[NAMES];
        int length = snprintf(name, sizeof(name), "g%u", g);
        bool exists = now()->groups[g].exists;
        if (!exists) { /* a handle to a group that is not there, by way of one that is */
            ck_assert_int_eq(commitlog_group_open(store, name, (size_t)length,
                                                  COMMITLOG_GROUP_CREATE, &handles[g], &err),
                             0);
            ck_assert_int_eq(commitlog_group_delete(handles[g], 1, &err), 0);
        } else {
            ck_assert_msg(commitlog_group_open(store, name, (size_t)length, 0, &handles[g], &err) ==
                              COMMITLOG_OK,
                          "%s", err.message);
        }
    }
    ck_assert_int_eq(commitlog_sync(store, store_positions().claimed, COMMITLOG_FOREVER, &err), 0);
}

static void close_handles(void)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        commitlog_group_close(handles[g]);
        handles[g] = NULL;
    }
}

static uint64_t queue_end(uint32_t q)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, q, &info), 0);
    return info.next_offset;
}

static uint32_t a_level(void)
{
    return draw(8) == 0 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
}

static void step_commit(uint32_t g)
{
    const struct model_group *group_now = &now()->groups[g];
    struct commitlog_group_offset offsets[QUEUES];
    uint32_t count = 0;
    int32_t want = group_now->exists ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
    bool below = false;
    bool moved = false;
    bool beyond = false;
    for (uint32_t q = 0; q < QUEUES; q++) {
        if (draw(3) != 0) {
            continue;
        }
        uint64_t end = queue_end(q);
        uint64_t from = group_now->offsets[q] == UINT64_MAX ? 0 : group_now->offsets[q];
        uint64_t offset = draw(12) == 0
                              ? (uint64_t)draw(60)
                              : from + (end > from ? draw((uint32_t)(end - from) + 1) : 0);
        beyond = beyond || offset > end;
        below = below || (group_now->offsets[q] != UINT64_MAX && offset < group_now->offsets[q]);
        moved = moved || offset != group_now->offsets[q];
        offsets[count++] = (struct commitlog_group_offset){topic, q, offset};
    }
    uint32_t epoch = draw(3) == 0 ? draw(4) : 0;
    bool fenced = epoch != 0 && epoch != group_now->epoch;
    want = count == 0           ? COMMITLOG_EINVAL
           : beyond             ? COMMITLOG_EBEYOND
           : !group_now->exists ? COMMITLOG_ENOTFOUND
           : fenced             ? COMMITLOG_EFENCED
           : below              ? COMMITLOG_ETOOSMALL
                                : COMMITLOG_OK;
    int32_t rc =
        commitlog_group_commit(handles[g], epoch, offsets, count, a_level(), 0, NULL, &err);
    ck_assert_msg(rc == want, "commit: %d, not %d: %s", rc, want, err.message);
    if (rc == COMMITLOG_OK && moved) {
        struct model_group *changed = change(g);
        for (uint32_t i = 0; i < count; i++) {
            changed->offsets[offsets[i].queue] = offsets[i].offset;
        }
    }
}

static void step_edit(uint32_t g)
{
    bool exists = now()->groups[g].exists;
    int32_t want = exists ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
    uint32_t epoch = 0;
    switch (draw(4)) {
    case 0: {
        uint32_t flags = draw(4) == 0 ? COMMITLOG_GROUP_KEEP : 0;
        ck_assert_int_eq(commitlog_group_configure(handles[g], flags, a_level(), &err), want);
        if (exists) {
            change(g)->flags = flags;
        }
        break;
    }
    case 1:
        ck_assert_int_eq(commitlog_group_next_epoch(handles[g], a_level(), &epoch, &err), want);
        if (exists) {
            change(g)->epoch++;
            ck_assert_uint_eq(epoch, now()->groups[g].epoch);
        }
        break;
    case 2:
        if (draw(4) == 0) {
            ck_assert_int_eq(commitlog_group_delete(handles[g], a_level(), &err), want);
            if (exists) {
                change(g)->exists = false;
            }
        }
        break;
    default: {
        uint32_t q = draw(QUEUES);
        uint64_t end = queue_end(q);
        ck_assert_int_eq(
            commitlog_group_reset(handles[g], topic, q, COMMITLOG_FROM_END, 0, a_level(), &err),
            want);
        if (exists && now()->groups[g].offsets[q] != end) {
            change(g)->offsets[q] = end;
        }
        break;
    }
    }
}

static void step_create(uint32_t g)
{
    char name[NAMES];
    int length = snprintf(name, sizeof(name), "g%u", g);
    struct commitlog_group *made = NULL;
    ck_assert_int_eq(
        commitlog_group_open(store, name, (size_t)length, COMMITLOG_GROUP_CREATE, &made, &err), 0);
    commitlog_group_close(made);
    if (!now()->groups[g].exists) {
        struct model_group *changed = change(g);
        *changed = (struct model_group){.exists = true};
        memset(changed->offsets, 0xff, sizeof(changed->offsets));
    }
}

/* The end of the process, in one of several ways, and what the next one finds. */
static void step_restart(void)
{
    bool power = false;
    if (draw(3) == 0) {
        close_handles();
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        power = draw(2) == 0;
        close_handles();
        die(power);
        commitlog_fault_set_survival(machine, draw(101));
    }
    if (draw(2) == 0) {
        forget_views();
    }
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "%s", err.message);
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    uint32_t known = history_count;
    while (now()->position > recovery.end) {
        ck_assert_msg(power, "a process died, and %llu is lost",
                      (unsigned long long)now()->position);
        history_count--;
    }
    if (history_count < known) {
        ck_assert_uint_gt(history_count, 0);
    }
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    open_handles();
    check_model();
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_store();
    history_count = 1;
    memset(&history[0], 0, sizeof(history[0]));
    open_handles();
    history[0].position = 0;
    for (uint32_t i = 0; i < steps && history_count < HISTORY - 8; i++) {
        uint32_t g = draw(GROUPS);
        switch (draw(12)) {
        case 0:
            step_create(g);
            break;
        case 1:
            step_edit(g);
            break;
        case 2:
            (void)retain_all();
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
            put(draw(QUEUES), 1 + draw(200));
            break;
        default:
            step_commit(g);
            break;
        }
        if (draw(8) == 0) {
            check_model();
        }
    }
    step_restart();
    close_handles();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(groups_are_what_the_model_says_whatever_happens)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 30);
    uint32_t steps = (uint32_t)prog_env("STEPS", 400);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("groups: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups beside a model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, groups_are_what_the_model_says_whatever_happens);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
