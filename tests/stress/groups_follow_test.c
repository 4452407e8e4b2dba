/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups_follow_test.c -- what readers of other processes see of consumer groups while a writer
 * changes them, after it was killed (-9), and after the next one has recovered.
 *
 * This process tells a writer process what to do, one thing at a time, and knows what must come of
 * it; a reader that stays open through all lives of the writer, and new ones, are asked after it.
 *
 * 1. Beside a live writer a reader sees each change as soon as it is made.
 * 2. The writer is killed. The reader still sees the last change, for it has seen it before; a new
 *    one sees the groups as they were at some moment since the last durable change.
 * 3. The next writer has recovered: all see the last change again, whatever its level was, and a
 *    member of an earlier epoch is still refused.
 * 4. The last writer closes: the same once more, also without the files that are derived.
 *
 * Environment: SEED, LIVES (of the writer, for each engine; default 4).
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"

enum { GROUPS = 3, QUEUES = 4, ORDERS = 120, HISTORY = ORDERS + 8, LIVES_MAX = 64 };

static const char *const names[GROUPS] = {"billing", "audit", "search"};

enum { DO_PUT, DO_OPEN, DO_COMMIT, DO_RESET, DO_EPOCH, DO_KEEP, DO_DELETE, DO_RETAIN, DO_CLOSE };

struct order {
    uint32_t what;
    uint32_t group;
    uint32_t queue;
    uint32_t level;
    uint32_t epoch;
    uint32_t flags;
    uint64_t offset;
};

struct group_state {
    bool exists;
    uint32_t epoch;
    uint32_t flags;
    uint64_t offsets[QUEUES]; /* UINT64_MAX: none */
};

struct state {
    struct group_state groups[GROUPS];
    uint64_t next[QUEUES];
};

struct scene {
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    uint64_t engine;
    struct rng rng;
    struct state now;
    struct state history[HISTORY]; /* since the last durable change, oldest first */
    uint32_t history_count;
    pid_t writer;
    int order_fd;
    int answer_fd;
    struct commitlog_store *reader;
};

static struct commitlog_store *store_open(const struct scene *scene, uint64_t access)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, scene->engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_DIR, &err),
             &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 64 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 64 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE, &err), &err);
    CHECK_OK(commitlog_open(scene->path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

/* ---- the writer process ---------------------------------------------------------------------- */

struct writing {
    struct commitlog_store *store;
    struct commitlog_group *groups[GROUPS]; /* NULL until the group was opened */
    uint32_t topic;
};

static int32_t writing_do(struct writing *w, const struct order *order)
{
    struct commitlog_group *group = w->groups[order->group];
    struct commitlog_group_offset offset = {w->topic, order->queue, order->offset};
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    static const char body[900];
    uint32_t epoch = 0;
    switch (order->what) {
    case DO_PUT:
        return commitlog_append(w->store, w->topic, order->queue, body, sizeof body, order->level,
                                NULL);
    case DO_OPEN:
        commitlog_group_close(group);
        w->groups[order->group] = NULL;
        return commitlog_group_open(w->store, names[order->group], strlen(names[order->group]),
                                    order->flags, &w->groups[order->group], NULL);
    case DO_COMMIT:
        return commitlog_group_commit(group, order->epoch, &offset, 1, order->level, -1, NULL,
                                      NULL);
    case DO_RESET:
        return commitlog_group_reset(group, w->topic, order->queue, COMMITLOG_FROM_OFFSET,
                                     order->offset, order->level, NULL);
    case DO_EPOCH:
        return commitlog_group_next_epoch(group, order->level, &epoch, NULL);
    case DO_KEEP:
        return commitlog_group_configure(group, order->flags, order->level, NULL);
    case DO_DELETE:
        return commitlog_group_delete(group, order->level, NULL);
    case DO_RETAIN:
        return commitlog_retain(w->store, &policy, NULL, NULL);
    default:
        return COMMITLOG_EINVAL;
    }
}

static _Noreturn void writer_run(const struct scene *scene, int order_fd, int answer_fd)
{
    struct writing w = {.store = store_open(scene, COMMITLOG_READ_WRITE)};
    struct commitlog_error err = {.message = ""};
    struct order order;
    CHECK_OK(commitlog_topic_open(w.store, "t", 1, QUEUES, &w.topic, &err), &err);
    for (int32_t rc = COMMITLOG_OK;;) {
        CHECK(write(answer_fd, &rc, sizeof rc) == sizeof rc);
        if (read(order_fd, &order, sizeof order) != sizeof order)
            _exit(1);
        if (order.what == DO_CLOSE)
            break;
        rc = writing_do(&w, &order);
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        commitlog_group_close(w.groups[g]);
    CHECK_OK(commitlog_close(w.store, &err), &err);
    _exit(0);
}

static int32_t writer_answer(struct scene *scene)
{
    int32_t rc = COMMITLOG_EINTERNAL;
    CHECK(read(scene->answer_fd, &rc, sizeof rc) == sizeof rc);
    return rc;
}

/* Returns when it has recovered the store. */
static void writer_start(struct scene *scene)
{
    int orders[2];
    int answers[2];
    CHECK(pipe(orders) == 0 && pipe(answers) == 0);
    fflush(stdout);
    scene->writer = fork();
    CHECK(scene->writer >= 0);
    if (scene->writer == 0) {
        close(orders[1]);
        close(answers[0]);
        prog_watchdog(120);
        writer_run(scene, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    scene->order_fd = orders[1];
    scene->answer_fd = answers[0];
    CHECK_RC(writer_answer(scene), COMMITLOG_OK);
}

static void writer_end(struct scene *scene, bool by_kill)
{
    const struct order order = {.what = DO_CLOSE};
    int status = 0;
    if (by_kill)
        CHECK(kill(scene->writer, SIGKILL) == 0);
    else
        CHECK(write(scene->order_fd, &order, sizeof order) == sizeof order);
    CHECK(waitpid(scene->writer, &status, 0) == scene->writer);
    CHECK(by_kill ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(scene->order_fd);
    close(scene->answer_fd);
}

/* ---- what must come of an order -------------------------------------------------------------- */

static int32_t state_commit(struct state *state, const struct order *order)
{
    struct group_state *group = &state->groups[order->group];
    uint64_t *offset = &group->offsets[order->queue];
    if (!group->exists)
        return order->offset > state->next[order->queue] ? COMMITLOG_EBEYOND : COMMITLOG_ENOTFOUND;
    if (order->offset > state->next[order->queue])
        return COMMITLOG_EBEYOND;
    if (order->epoch != 0 && order->epoch != group->epoch)
        return COMMITLOG_EFENCED;
    if (*offset != UINT64_MAX && order->offset < *offset)
        return COMMITLOG_ETOOSMALL;
    *offset = order->offset;
    return COMMITLOG_OK;
}

static int32_t state_apply(struct state *state, const struct order *order)
{
    struct group_state *group = &state->groups[order->group];
    switch (order->what) {
    case DO_PUT:
        state->next[order->queue]++;
        return COMMITLOG_OK;
    case DO_OPEN:
        if (!group->exists) {
            *group =
                (struct group_state){.exists = true, .flags = order->flags & COMMITLOG_GROUP_KEEP};
            memset(group->offsets, 0xff, sizeof group->offsets);
        }
        return COMMITLOG_OK;
    case DO_COMMIT:
        return state_commit(state, order);
    case DO_RETAIN:
        return COMMITLOG_OK;
    default:
        break;
    }
    if (!group->exists)
        return COMMITLOG_ENOTFOUND;
    if (order->what == DO_RESET)
        group->offsets[order->queue] = order->offset;
    else if (order->what == DO_EPOCH)
        group->epoch++;
    else if (order->what == DO_KEEP)
        group->flags = order->flags;
    else
        *group = (struct group_state){.exists = false};
    return COMMITLOG_OK;
}

/* ---- what a reader says ---------------------------------------------------------------------- */

/* To be consumed, and dropped before that, by what each queue says of itself. */
static void reader_sums(struct commitlog_store *store, uint32_t topic,
                        const struct commitlog_group_offset *offsets, uint64_t sums[2])
{
    sums[0] = sums[1] = 0;
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_queue_info(store, topic, q, &info), COMMITLOG_OK);
        uint64_t from = offsets[q].offset == UINT64_MAX ? info.first_offset : offsets[q].offset;
        sums[1] += from < info.first_offset ? info.first_offset - from : 0;
        from = from < info.first_offset ? info.first_offset : from;
        sums[0] += info.next_offset - from;
    }
}

/* A reader may find that another writer has come between any two calls: only what is the same
 * before and after is compared. */
static void reader_lag(struct commitlog_store *store, struct commitlog_group *group, uint32_t topic)
{
    struct commitlog_group_lag lag;
    struct commitlog_error err = {.message = ""};
    struct commitlog_group_offset offsets[2][QUEUES];
    uint64_t sums[2][2];
    int tries = 0;
    do {
        CHECK(tries++ < 100);
        lag = (struct commitlog_group_lag){.struct_bytes = sizeof lag};
        for (int i = 0; i < 2; i++) {
            for (uint32_t q = 0; q < QUEUES; q++)
                offsets[i][q] = (struct commitlog_group_offset){topic, q, 0};
            CHECK_OK(commitlog_group_fetch(group, offsets[i], QUEUES, &err), &err);
            reader_sums(store, topic, offsets[i], sums[i]);
            if (i == 0)
                CHECK_OK(commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, &err), &err);
        }
    } while (memcmp(sums[0], sums[1], sizeof sums[0]) != 0 ||
             memcmp(offsets[0], offsets[1], sizeof offsets[0]) != 0);
    CHECK(lag.queues == QUEUES);
    CHECKF(lag.messages == sums[0][0] && lag.dropped == sums[0][1],
           "lag %llu and %llu, not %llu, %llu", (unsigned long long)lag.messages,
           (unsigned long long)lag.dropped, (unsigned long long)sums[0][0],
           (unsigned long long)sums[0][1]);
    CHECK((lag.oldest_time_ns != 0) == (lag.messages > 0));
}

static void reader_group(struct commitlog_store *store, uint32_t g, uint32_t topic,
                         struct group_state *out)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    struct commitlog_group_offset offsets[QUEUES];
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_group_open(store, names[g], strlen(names[g]), 0, &group, &err);
    *out = (struct group_state){.exists = false};
    if (rc == COMMITLOG_ENOTFOUND)
        return;
    CHECK_OK(rc, &err);
    CHECK_RC(commitlog_group_info(group, &info), COMMITLOG_OK);
    *out = (struct group_state){.exists = true, .epoch = info.epoch, .flags = info.flags};
    for (uint32_t q = 0; q < QUEUES; q++)
        offsets[q] = (struct commitlog_group_offset){topic, q, 0};
    CHECK_OK(commitlog_group_fetch(group, offsets, QUEUES, &err), &err);
    uint32_t committed = 0;
    for (uint32_t q = 0; q < QUEUES; q++) {
        out->offsets[q] = offsets[q].offset;
        committed += offsets[q].offset != UINT64_MAX ? 1 : 0;
    }
    CHECK(info.queues == committed);
    reader_lag(store, group, topic);
    CHECK_RC(commitlog_group_commit(group, 0, offsets, 1, 0, 0, NULL, NULL), COMMITLOG_EMISUSE);
    commitlog_group_close(group);
}

static void reader_see(struct commitlog_store *store, struct state *out)
{
    uint32_t topic = 0;
    uint32_t listed = 0;
    uint32_t there = 0;
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    *out = (struct state){.next = {0}};
    CHECK_OK(commitlog_topic_open(store, "t", 1, 0, &topic, &err), &err);
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_queue_info queue = {.struct_bytes = sizeof queue};
        CHECK_RC(commitlog_queue_info(store, topic, q, &queue), COMMITLOG_OK);
        out->next[q] = queue.next_offset;
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        reader_group(store, g, topic, &out->groups[g]);
        there += out->groups[g].exists ? 1 : 0;
    }
    while (commitlog_group_at(store, listed, &info) == COMMITLOG_OK)
        listed++;
    CHECK(listed == there);
}

static bool state_same(const struct state *a, const struct state *b)
{
    bool same = memcmp(a->next, b->next, sizeof a->next) == 0;
    for (uint32_t g = 0; g < GROUPS; g++) {
        const struct group_state *x = &a->groups[g];
        const struct group_state *y = &b->groups[g];
        same = same && x->exists == y->exists &&
               (!x->exists || (x->epoch == y->epoch && x->flags == y->flags &&
                               memcmp(x->offsets, y->offsets, sizeof x->offsets) == 0));
    }
    return same;
}

static void check_now(struct scene *scene, struct commitlog_store *store, const char *when)
{
    struct state seen;
    reader_see(store, &seen);
    CHECKF(state_same(&seen, &scene->now), "%s a reader sees something else", when);
}

/* A reader looks for the next writer every now and then, not each time that it is asked. */
static void check_soon(struct scene *scene, struct commitlog_store *store)
{
    const int64_t until = clock_ms() + 20000;
    struct state seen;
    for (;;) {
        reader_see(store, &seen);
        if (state_same(&seen, &scene->now))
            break;
        CHECKF(clock_ms() < until, "a reader does not find the next writer");
        sleep_ms(5);
    }
}

/* One that was opened now: nothing after the kill, so what it sees need not be the last. */
static void check_new(struct scene *scene, bool last)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_ONLY);
    struct state seen;
    struct commitlog_error err = {.message = ""};
    bool found = false;
    reader_see(store, &seen);
    for (uint32_t i = last ? scene->history_count - 1 : 0; i < scene->history_count; i++)
        found = found || state_same(&seen, &scene->history[i]);
    CHECKF(found, "a new reader sees %s", last ? "something else" : "what never was");
    CHECK_OK(commitlog_close(store, &err), &err);
}

/* ---- the run --------------------------------------------------------------------------------- */

static void scene_order(struct scene *scene, const struct order *order)
{
    const struct state before = scene->now;
    int32_t expected = state_apply(&scene->now, order);
    CHECK(write(scene->order_fd, order, sizeof *order) == sizeof *order);
    int32_t rc = writer_answer(scene);
    CHECKF(rc == expected, "order %u: %s, expected %s", order->what, commitlog_error_name(rc),
           commitlog_error_name(expected));
    /* An offset that is committed already is not said again: its record is durable, not all. */
    const bool said = order->what != DO_COMMIT || !state_same(&before, &scene->now);
    if (rc == COMMITLOG_OK && order->level == COMMITLOG_LEVEL_DURABLE && said)
        scene->history_count = 0;
    CHECK(scene->history_count < HISTORY);
    scene->history[scene->history_count++] = scene->now;
}

/* Handles live as long as the writer: a group that is not there is made and deleted again. */
static void scene_open_groups(struct scene *scene)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        const bool there = scene->now.groups[g].exists;
        const struct order open = {.what = DO_OPEN, .group = g, .flags = COMMITLOG_GROUP_CREATE};
        const struct order drop = {.what = DO_DELETE, .group = g, .level = COMMITLOG_LEVEL_NONE};
        scene_order(scene, &open);
        if (!there)
            scene_order(scene, &drop);
    }
}

static struct order scene_draw(struct scene *scene)
{
    struct rng *rng = &scene->rng;
    static const uint32_t kinds[] = {DO_PUT,    DO_PUT,    DO_PUT,    DO_PUT,   DO_COMMIT,
                                     DO_COMMIT, DO_COMMIT, DO_COMMIT, DO_RESET, DO_EPOCH,
                                     DO_KEEP,   DO_DELETE, DO_OPEN,   DO_OPEN,  DO_RETAIN};
    struct order order = {.what = kinds[rng_below(rng, sizeof kinds / sizeof kinds[0])],
                          .group = (uint32_t)rng_below(rng, GROUPS),
                          .queue = (uint32_t)rng_below(rng, QUEUES),
                          .level = rng_chance(rng, 1, 8) ? COMMITLOG_LEVEL_DURABLE
                                                         : COMMITLOG_LEVEL_NONE};
    const struct group_state *group = &scene->now.groups[order.group];
    const uint64_t next = scene->now.next[order.queue];
    if (order.what == DO_OPEN) {
        order.flags = COMMITLOG_GROUP_CREATE | (rng_chance(rng, 1, 4) ? COMMITLOG_GROUP_KEEP : 0);
        order.level = COMMITLOG_LEVEL_NONE;
    } else if (order.what == DO_KEEP) {
        order.flags = rng_chance(rng, 1, 3) ? COMMITLOG_GROUP_KEEP : 0;
    } else if (order.what == DO_RESET) {
        order.offset = next; /* wherever the queue begins now */
    } else if (order.what == DO_RETAIN) {
        order.level = COMMITLOG_LEVEL_NONE;
    } else if (order.what == DO_COMMIT) {
        order.offset = rng_below(rng, next + 2);
        order.epoch = rng_chance(rng, 1, 2) ? (uint32_t)rng_below(rng, group->epoch + 2) : 0;
    }
    return order;
}

static void scene_life(struct scene *scene, uint32_t life)
{
    const struct order first = {.what = DO_PUT, .level = COMMITLOG_LEVEL_NONE};
    writer_start(scene);
    if (scene->reader == NULL)
        scene->reader = store_open(scene, COMMITLOG_READ_ONLY);
    if (life > 0) {
        check_now(scene, scene->reader, "after recovery");
        check_new(scene, true);
    }
    scene_open_groups(scene);
    scene_order(scene, &first);
    check_soon(scene, scene->reader);
    for (uint32_t i = 0; i < ORDERS; i++) {
        const struct order order = scene_draw(scene);
        /* The history goes on until something is durable. */
        const struct order durable = {
            .what = DO_PUT, .queue = order.queue, .level = COMMITLOG_LEVEL_DURABLE};
        scene_order(scene, scene->history_count > ORDERS / 2 ? &durable : &order);
        prog_step(life * ORDERS + i);
        if (rng_chance(&scene->rng, 1, 3))
            check_now(scene, scene->reader, "beside a live writer");
        if (rng_chance(&scene->rng, 1, 30))
            check_new(scene, true);
    }
    check_now(scene, scene->reader, "before the kill");
}

static void scene_run(uint64_t engine, uint64_t lives, uint64_t seed)
{
    static struct scene scene;
    struct commitlog_error err = {.message = ""};
    char view[DIRS_PATH_MAX];
    memset(&scene, 0, sizeof scene);
    dirs_make(scene.root, "groups-follow");
    path_join(scene.path, scene.root, "store");
    path_join(view, scene.path, "view");
    scene.engine = engine;
    rng_begin(&scene.rng, seed);
    for (uint32_t life = 0; life < lives; life++) {
        scene_life(&scene, life);
        writer_end(&scene, true);
        check_now(&scene, scene.reader, "after a kill");
        check_new(&scene, false);
    }
    writer_start(&scene);
    writer_end(&scene, false);
    check_now(&scene, scene.reader, "after the close");
    check_new(&scene, true);
    CHECK_OK(commitlog_close(scene.reader, &err), &err);
    dirs_remove(view);
    check_new(&scene, true);
    dirs_remove(scene.root);
}

int main(void)
{
    uint64_t seed = prog_begin("groups_follow_test");
    const uint64_t lives = prog_env("LIVES", 4);
    prog_watchdog(300);
    CHECK(lives > 0 && lives <= LIVES_MAX);
    scene_run(COMMITLOG_ENGINE_STAGED, lives, seed);
    scene_run(COMMITLOG_ENGINE_MMAP, lives, seed + 1);
    return prog_end();
}
