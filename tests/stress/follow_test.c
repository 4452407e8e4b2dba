/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow_test.c -- readers in other processes beside a writer that comes and goes.
 *
 * 1. Followers read every queue while a writer process appends; it is killed (-9) and started
 *    again several times. The n-th record of a queue has serial n: a follower must see each once,
 *    in order, whole. With retention it may be told "too small", and goes on at the bound.
 * 2. A waiting follower is woken by an append; waits end by time-out, interrupt and eventfd.
 * 3. An idle follower makes no system call but its bounded wait (counted by strace).
 *
 * Environment: SEED, ROUNDS (lives of the writer, default 16), ONLY (1, 2 or 3), WAIT_PER_S (most
 * waits per second that an idle follower may begin, default 12).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "load.h"

enum { QUEUES = 3, FOLLOWERS = QUEUES + 1, LAST_WRITER = 99, WAIT_S = 2 };

struct scene {
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    uint64_t engine;
    uint64_t live;
    bool retain;
    bool unthreaded;
};

static struct commitlog_store *store_open(const struct scene *scene, uint64_t access)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, scene->engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, scene->live, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 64 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_THREAD, !scene->unthreaded, &err), &err);
    CHECK_OK(commitlog_open(scene->path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

static uint32_t topic_of(struct commitlog_store *store, uint32_t queues)
{
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    CHECK_OK(commitlog_topic_open(store, "follow", 6, queues, &topic, &err), &err);
    return topic;
}

static uint64_t queue_end(struct commitlog_store *store, uint32_t topic, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_queue_info(store, topic, queue, &info), COMMITLOG_OK);
    return info.next_offset;
}

static void append_load(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                        uint32_t writer, uint64_t serial, struct rng *rng, uint32_t level)
{
    uint8_t body[LOAD_BODY_MAX];
    struct commitlog_receipt receipt = {0};
    size_t bytes =
        (size_t)rng_between(rng, LOAD_HEAD_BYTES, rng_chance(rng, 1, 20) ? LOAD_BODY_MAX : 200);
    load_fill(body, bytes, writer, queue, serial, rng_next(rng));
    CHECK_RC(commitlog_append(store, topic, queue, body, bytes, level, &receipt), COMMITLOG_OK);
    CHECKF(receipt.queue_offset == serial, "offset %llu, expected %llu",
           (unsigned long long)receipt.queue_offset, (unsigned long long)serial);
}

/* The writer continues where the log ends; `last`: ends each queue with a mark, and closes. */
static _Noreturn void writer_run(const struct scene *scene, uint64_t seed, bool last)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_WRITE);
    struct commitlog_error err = {.message = ""};
    uint32_t topic = topic_of(store, QUEUES);
    uint64_t next[QUEUES];
    struct rng rng;
    rng_begin(&rng, seed);
    for (uint32_t q = 0; q < QUEUES; q++)
        next[q] = queue_end(store, topic, q);
    for (uint64_t i = 0; !last || i < 500; i++) {
        uint32_t queue = (uint32_t)rng_below(&rng, QUEUES);
        uint32_t level = rng_chance(&rng, 1, 30) ? COMMITLOG_LEVEL_WRITTEN : COMMITLOG_LEVEL_NONE;
        append_load(store, topic, queue, 1, next[queue]++, &rng, level);
        /* In bursts, so that followers are at the end again and again. */
        if (rng_chance(&rng, 1, 60))
            sleep_ms((int64_t)rng_below(&rng, 4));
        if (scene->retain && rng_chance(&rng, 1, 2000)) {
            struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                                 .keep_bytes = 600 << 10};
            struct commitlog_retained out = {.struct_bytes = sizeof out};
            CHECK_OK(commitlog_retain(store, &policy, &out, &err), &err);
        }
    }
    for (uint32_t q = 0; q < QUEUES; q++)
        append_load(store, topic, q, LAST_WRITER, next[q], &rng, COMMITLOG_LEVEL_DURABLE);
    CHECK_OK(commitlog_close(store, &err), &err);
    _exit(0);
}

struct follower {
    uint64_t next[QUEUES]; /* serial expected */
    bool ended[QUEUES];
    uint64_t taken;
    bool gaps_allowed;
};

static void follower_take(struct follower *follower, const struct commitlog_message *message)
{
    struct load_head head;
    uint32_t queue = message->queue;
    CHECK(queue < QUEUES && !follower->ended[queue]);
    CHECKF(load_proves(message, &head), "body at %llu", (unsigned long long)message->position);
    CHECKF(head.serial == message->queue_offset, "serial %llu at offset %llu",
           (unsigned long long)head.serial, (unsigned long long)message->queue_offset);
    if (follower->gaps_allowed)
        CHECK(head.serial >= follower->next[queue]);
    else
        CHECKF(head.serial == follower->next[queue], "queue %u: serial %llu, expected %llu", queue,
               (unsigned long long)head.serial, (unsigned long long)follower->next[queue]);
    follower->next[queue] = head.serial + 1;
    follower->ended[queue] = head.writer == LAST_WRITER;
    follower->taken++;
}

static bool follower_done(const struct follower *follower, uint32_t queue)
{
    if (queue < QUEUES)
        return follower->ended[queue];
    for (uint32_t q = 0; q < QUEUES; q++)
        if (!follower->ended[q])
            return false;
    return true;
}

/* queue QUEUES: all of them in log order. */
static _Noreturn void follower_run(const struct scene *scene, uint32_t queue)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_ONLY);
    struct commitlog_error err = {.message = ""};
    uint32_t topic = topic_of(store, 0);
    struct follower follower = {.gaps_allowed = scene->retain};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    int64_t silent_since = clock_ms();
    prog_watchdog(100);
    CHECK_OK(commitlog_cursor_open(store, topic, queue < QUEUES ? queue : COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (!follower_done(&follower, queue)) {
        uint32_t got = 0;
        uint64_t bound = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 32, 200, &got, &bound);
        if (rc == COMMITLOG_OK) {
            for (uint32_t i = 0; i < got; i++)
                follower_take(&follower, &messages[i]);
            silent_since = clock_ms();
        } else if (rc == COMMITLOG_ETOOSMALL) {
            CHECK(scene->retain);
            CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
        } else if (rc == COMMITLOG_EUNRECOVERED) {
            sleep_ms(5); /* the writer is dead: what it left in the stage is not served */
        } else {
            struct commitlog_damage damage = {.struct_bytes = sizeof damage};
            (void)commitlog_damage_get(store, 0, &damage);
            CHECKF(rc == COMMITLOG_EEND, "queue %u at %llu: %s, bound %llu, damage %s [%llu, %llu)",
                   queue, (unsigned long long)commitlog_cursor_tell(cursor),
                   commitlog_error_name(rc), (unsigned long long)bound, damage.reason,
                   (unsigned long long)damage.from_position,
                   (unsigned long long)damage.to_position);
        }
        CHECKF(clock_ms() - silent_since < 20000, "no record for 20 s at %llu: %s",
               (unsigned long long)commitlog_cursor_tell(cursor), commitlog_error_name(rc));
    }
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECK(follower.taken > 100);
    _exit(0);
}

static void expect_exit(pid_t child, const char *what)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", what, (unsigned)status);
}

static void follow_lives(const struct scene *scene, uint64_t seed, uint64_t rounds)
{
    pid_t followers[FOLLOWERS];
    struct rng rng;
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_WRITE);
    struct commitlog_error err = {.message = ""};
    rng_begin(&rng, seed);
    append_load(store, topic_of(store, QUEUES), 0, 1, 0, &rng, COMMITLOG_LEVEL_DURABLE);
    CHECK_OK(commitlog_close(store, &err), &err);
    fflush(stdout);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        followers[i] = fork();
        CHECK(followers[i] >= 0);
        if (followers[i] == 0)
            follower_run(scene, i);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        int status = 0;
        pid_t writer = fork();
        CHECK(writer >= 0);
        prog_step(round);
        if (writer == 0)
            writer_run(scene, seed + round, false);
        /* Most die while they open, or soon after: followers then have nobody to follow. */
        if (round % 4 == 0)
            sleep_ms((int64_t)rng_between(&rng, 30, 250));
        else
            usleep((useconds_t)rng_below(&rng, 20000));
        CHECK(kill(writer, SIGKILL) == 0);
        CHECK(waitpid(writer, &status, 0) == writer);
        CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "writer: %x", (unsigned)status);
    }
    {
        pid_t writer = fork();
        CHECK(writer >= 0);
        if (writer == 0)
            writer_run(scene, seed + rounds, true);
        expect_exit(writer, "last writer");
    }
    for (uint32_t i = 0; i < FOLLOWERS; i++)
        expect_exit(followers[i], "follower");
    prog_checks_add(rounds + FOLLOWERS);
}

/* ---- waits ---- */

struct late {
    struct commitlog_store *store;
    uint32_t topic;
    int32_t interrupt; /* 1: interrupt instead of append */
};

static void *late_main(void *arg)
{
    struct late *late = arg;
    struct rng rng;
    rng_begin(&rng, 1);
    sleep_ms(150);
    if (late->interrupt == 1)
        CHECK_RC(commitlog_interrupt(late->store), COMMITLOG_OK);
    else
        CHECK_RC(
            commitlog_append(late->store, late->topic, 0, "late", 4, COMMITLOG_LEVEL_NONE, NULL),
            COMMITLOG_OK);
    return NULL;
}

static void waits_in_process(const struct scene *scene)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_WRITE);
    struct late late = {store, topic_of(store, QUEUES), 0};
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    struct pollfd event = {.fd = -1, .events = POLLIN};
    uint32_t got = 0;
    int64_t begin = 0;
    pthread_t thread;
    CHECK_OK(commitlog_cursor_open(store, late.topic, 0, COMMITLOG_FROM_END, 0, &cursor, &err),
             &err);
    begin = clock_ms();
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 60, &got, NULL), COMMITLOG_EEND);
    CHECK(clock_ms() - begin >= 55);
    for (late.interrupt = 0; late.interrupt <= 1; late.interrupt++) {
        while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK)
            continue;
        CHECK(pthread_create(&thread, NULL, late_main, &late) == 0);
        CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, COMMITLOG_FOREVER, &got, NULL),
                 late.interrupt == 1 ? COMMITLOG_EINTERRUPTED : COMMITLOG_OK);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_RC(commitlog_positions_get(store, &now), COMMITLOG_OK);
        CHECK(pthread_create(&thread, NULL, late_main, &late) == 0);
        CHECK_RC(commitlog_wait(store, now.visible, COMMITLOG_FOREVER),
                 late.interrupt == 1 ? COMMITLOG_EINTERRUPTED : COMMITLOG_OK);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK)
        continue;
    CHECK_RC(commitlog_event_fd(store, &event.fd), COMMITLOG_OK);
    {
        uint64_t drained = 0;
        if (poll(&event, 1, 0) == 1)
            CHECK(read(event.fd, &drained, sizeof drained) > 0);
        CHECK(poll(&event, 1, 50) == 0);
        late.interrupt = 0;
        CHECK(pthread_create(&thread, NULL, late_main, &late) == 0);
        CHECK(poll(&event, 1, 10000) == 1);
        CHECK(read(event.fd, &drained, sizeof drained) == (ssize_t)sizeof drained);
        CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_OK);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
}

/* A follower that waits for 20 s is back as soon as another process appends. */
static void wake_over_processes(const struct scene *scene)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_WRITE);
    struct commitlog_error err = {.message = ""};
    uint32_t topic = topic_of(store, QUEUES);
    struct rng rng;
    pid_t child = 0;
    int ready[2];
    char byte = 0;
    uint64_t end = queue_end(store, topic, 1);
    rng_begin(&rng, 3);
    append_load(store, topic, 1, 1, end, &rng, COMMITLOG_LEVEL_DURABLE);
    CHECK(pipe(ready) == 0);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct commitlog_store *mine = store_open(scene, COMMITLOG_READ_ONLY);
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message message;
        int32_t fd = -1;
        uint32_t got = 0;
        CHECK_RC(commitlog_positions_get(store,
                                         &(struct commitlog_positions){
                                             .struct_bytes = sizeof(struct commitlog_positions)}),
                 COMMITLOG_EFORK);
        CHECK_RC(commitlog_append(store, topic, 1, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
                 COMMITLOG_EFORK);
        CHECK_RC(commitlog_event_fd(mine, &fd), COMMITLOG_EUNSUPPORTED);
        CHECK_OK(
            commitlog_cursor_open(mine, topic_of(mine, 0), 1, COMMITLOG_FROM_END, 0, &cursor, &err),
            &err);
        CHECK(write(ready[1], "r", 1) == 1);
        CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 20000, &got, NULL), COMMITLOG_OK);
        CHECK(message.queue_offset == end + 1);
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    sleep_ms(200);
    {
        int64_t begin = clock_ms();
        append_load(store, topic, 1, 1, end + 1, &rng, COMMITLOG_LEVEL_NONE);
        expect_exit(child, "waiting follower");
        CHECKF(clock_ms() - begin < 500, "woken after %lld ms", (long long)(clock_ms() - begin));
        printf("woken after %lld ms\n", (long long)(clock_ms() - begin));
    }
    close(ready[0]);
    close(ready[1]);
    CHECK_OK(commitlog_close(store, &err), &err);
}

static _Noreturn void told_child(const struct scene *scene, int answers)
{
    struct commitlog_store *mine = store_open(scene, COMMITLOG_READ_ONLY);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    CHECK_OK(
        commitlog_cursor_open(mine, topic_of(mine, 0), 1, COMMITLOG_FROM_END, 0, &cursor, &err),
        &err);
    for (;;) {
        CHECK(write(answers, "r", 1) == 1);
        CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 20000, &got, NULL), COMMITLOG_OK);
    }
}

/* Without the library's thread nothing drains what is appended at level none. Once a follower was
 * found asleep the appends themselves wake it, long before its sleep would have ended by itself. */
static void told_by_appends(const struct scene *scene)
{
    struct scene unthreaded = *scene;
    struct commitlog_error err = {.message = ""};
    struct rng rng;
    int answers[2];
    char byte = 0;
    int64_t least_ms = INT64_MAX;
    unthreaded.unthreaded = true;
    struct commitlog_store *store = store_open(&unthreaded, COMMITLOG_READ_WRITE);
    uint32_t topic = topic_of(store, QUEUES);
    uint64_t end = queue_end(store, topic, 1);
    rng_begin(&rng, 4);
    append_load(store, topic, 1, 1, end++, &rng, COMMITLOG_LEVEL_DURABLE);
    CHECK(pipe(answers) == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        told_child(scene, answers[1]);
    CHECK(read(answers[0], &byte, 1) == 1); /* it is there, and will be asleep in a moment */
    for (int i = 0; i < 5; i++) {
        sleep_ms(100);
        int64_t begin = clock_ms();
        append_load(store, topic, 1, 1, end++, &rng,
                    i == 0 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE);
        CHECK(read(answers[0], &byte, 1) == 1);
        int64_t took = clock_ms() - begin;
        least_ms = i > 0 && took < least_ms ? took : least_ms;
    }
    CHECKF(least_ms < 500, "told after %lld ms", (long long)least_ms);
    printf("told after %lld ms\n", (long long)least_ms);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    close(answers[0]);
    close(answers[1]);
    CHECK_OK(commitlog_close(store, &err), &err);
}

/* ---- idle ---- */

static int idle_run(const char *path)
{
    struct scene scene = {.engine = COMMITLOG_ENGINE_STAGED, .live = COMMITLOG_LIVE_AUTO};
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    snprintf(scene.path, sizeof scene.path, "%s", path);
    store = store_open(&scene, COMMITLOG_READ_ONLY);
    CHECK_OK(
        commitlog_cursor_open(store, topic_of(store, 0), 0, COMMITLOG_FROM_END, 0, &cursor, &err),
        &err);
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 10, &got, NULL), COMMITLOG_EEND);
    CHECK(write(STDERR_FILENO, "IDLE-BEGIN\n", 11) == 11);
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, WAIT_S * 1000, &got, NULL),
             COMMITLOG_EEND);
    CHECK(write(STDERR_FILENO, "IDLE-END\n", 9) == 9);
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    return 0;
}

/* Counts the lines of the trace between the two marks. */
static void trace_count(const char *trace, uint64_t *waits, uint64_t *others, char *other)
{
    FILE *file = fopen(trace, "r");
    char line[1024];
    bool inside = false;
    CHECK(file != NULL);
    *waits = *others = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, "IDLE-END") != NULL)
            inside = false;
        if (inside && strstr(line, "futex(") != NULL)
            (*waits)++;
        if (inside && strstr(line, "futex(") == NULL && strstr(line, "resumed>") == NULL) {
            (*others)++;
            snprintf(other, 200, "%.190s", line);
        }
        if (strstr(line, "IDLE-BEGIN") != NULL)
            inside = true;
    }
    fclose(file);
}

static void idle_follower(const struct scene *scene)
{
    struct commitlog_store *store = store_open(scene, COMMITLOG_READ_WRITE);
    struct commitlog_error err = {.message = ""};
    char trace[DIRS_PATH_MAX], self[DIRS_PATH_MAX], other[200] = "";
    uint64_t waits = 0, others = 0, most = prog_env("WAIT_PER_S", 12) * WAIT_S;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    int status = 0;
    pid_t child = 0;
    struct rng rng;
    uint32_t topic = topic_of(store, QUEUES);
    CHECK(length > 0);
    self[length] = '\0';
    rng_begin(&rng, 9);
    append_load(store, topic, 0, 1, queue_end(store, topic, 0), &rng, COMMITLOG_LEVEL_DURABLE);
    path_join(trace, scene->root, "trace");
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* The leak check traces too, and only one can; ASAN_OPTIONS says other things. */
        CHECK(setenv("LSAN_OPTIONS", "detect_leaks=0", 1) == 0);
        execlp("strace", "strace", "-f", "-qq", "-o", trace, self, "--idle", scene->path,
               (char *)NULL);
        _exit(errno == ENOENT ? 77 : 78);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_OK(commitlog_close(store, &err), &err);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        prog_skip("idle follower", "strace is not installed");
        return;
    }
    if (!path_exists(trace) || file_size(trace) == 0) {
        prog_skip("idle follower", "strace may not trace here");
        return;
    }
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "traced follower: %x", (unsigned)status);
    trace_count(trace, &waits, &others, other);
    printf("idle follower: %llu waits and %llu other system calls in %d s\n",
           (unsigned long long)waits, (unsigned long long)others, WAIT_S);
    CHECKF(others == 0, "%llu system calls that are no wait, such as %s",
           (unsigned long long)others, other);
    CHECKF(waits >= 1 && waits <= most, "%llu waits", (unsigned long long)waits);
}

static void run_scene(uint64_t engine, uint64_t live, bool retain, uint64_t seed,
                      void (*fn)(const struct scene *))
{
    struct scene scene = {.engine = engine, .live = live, .retain = retain};
    dirs_make(scene.root, "follow");
    path_join(scene.path, scene.root, "store");
    if (fn != NULL)
        fn(&scene);
    else
        follow_lives(&scene, seed, prog_env("ROUNDS", 16));
    dirs_remove(scene.root);
}

int main(int argc, char **argv)
{
    uint64_t seed = 0, only = 0;
    if (argc == 3 && strcmp(argv[1], "--idle") == 0)
        return idle_run(argv[2]);
    seed = prog_begin("follow_test");
    only = prog_env("ONLY", 0);
    prog_watchdog(150);
    for (uint64_t engine = 0; engine < 2; engine++) {
        if (only == 0 || only == 1) {
            run_scene(engine, COMMITLOG_LIVE_AUTO, false, seed, NULL);
            run_scene(engine, COMMITLOG_LIVE_DIR, true, seed + 7, NULL);
        }
        if (only == 0 || only == 2) {
            run_scene(engine, COMMITLOG_LIVE_AUTO, false, seed, waits_in_process);
            run_scene(engine, COMMITLOG_LIVE_AUTO, false, seed, wake_over_processes);
            run_scene(engine, COMMITLOG_LIVE_AUTO, false, seed, told_by_appends);
        }
        if (only == 0 || only == 3)
            run_scene(engine, COMMITLOG_LIVE_AUTO, false, seed, idle_follower);
    }
    return prog_end();
}
