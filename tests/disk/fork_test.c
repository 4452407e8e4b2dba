/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork_test.c -- fork with open handles: every call in the child says so, and nothing that the
 * child does or does not do takes anything from the parent.
 *
 * The owner of the store is a process of its own (it is killed in some cases), its children are the
 * ones that misuse its handles. This process opens no store before all of them are gone, but to see
 * whether it is locked.
 *
 * Environment: SEED.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scratch.h"

enum { KB = 1024, BODY = 700, PUTS = 500 };

struct owner {
    struct scratch scratch;
    struct commitlog_cursor *cursor;
    struct commitlog_cursor *log;
    struct commitlog_lease *lease;
    struct commitlog_reservation *reservation;
    struct commitlog_message messages[16];
    uint8_t *place;
    uint64_t stored;
};

static pid_t forked(void)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        prog_watchdog(60);
    return pid;
}

static _Noreturn void leave(void)
{
    fflush(stdout);
    _exit(0);
}

static void reap(pid_t pid, const char *who)
{
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECKF(!WIFSIGNALED(status), "%s died of signal %d", who, WTERMSIG(status));
    CHECKF(WEXITSTATUS(status) == 0, "%s ended with %d", who, WEXITSTATUS(status));
}

static void put(struct owner *o)
{
    struct commitlog_receipt receipt = scratch_put(&o->scratch, 0, BODY, o->stored);
    CHECK(receipt.queue_offset == o->stored);
    o->stored++;
}

static void owner_begin(struct owner *o, const char *root, uint64_t engine)
{
    struct commitlog_record record = {.struct_bytes = sizeof record, .queue = 1};
    struct scratch *s = &o->scratch;
    void *place = NULL;
    uint32_t got = 0;
    memset(o, 0, sizeof *o);
    CHECK(setenv("TEST_DIR", root, 1) == 0);
    scratch_begin(s, "fork");
    scratch_set(s, COMMITLOG_OPT_ENGINE, engine);
    scratch_set(s, COMMITLOG_OPT_SEGMENT_BYTES, 64 * KB);
    scratch_set(s, COMMITLOG_OPT_THREAD, 1);
    scratch_open(s, 2);
    while (o->stored < PUTS)
        put(o);
    CHECK_OK(commitlog_cursor_open(s->store, s->topic, 0, 0, 0, &o->cursor, &s->err), &s->err);
    CHECK_OK(commitlog_cursor_open_log(s->store, 0, &o->log, &s->err), &s->err);
    CHECK_RC(commitlog_cursor_fetch(o->cursor, o->messages, 16, 0, &got, NULL), COMMITLOG_OK);
    CHECK_RC(commitlog_cursor_lease(o->cursor, &o->lease), COMMITLOG_OK);
    record.topic = s->topic;
    CHECK_OK(commitlog_reserve(s->store, &record, BODY, 0, &o->reservation, &place, &s->err),
             &s->err);
    o->place = place;
    memset(place, 7, BODY);
}

/* ---- the child ---------------------------------------------------------------------------------
 */

#define FORKED(call) CHECK_RC(call, COMMITLOG_EFORK)

static void child_appends(struct owner *o)
{
    struct commitlog_store *store = o->scratch.store;
    struct commitlog_slice slice = {"x", 1};
    struct commitlog_record record = {
        .struct_bytes = sizeof record, .body = &slice, .body_count = 1};
    struct commitlog_receipt receipt = {0};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.code = 0};
    uint32_t number = 77;
    void *place = NULL;
    FORKED(commitlog_append(store, 0, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, &receipt));
    FORKED(commitlog_append_record(store, &record, -1, &receipt, &err));
    CHECK(err.code == COMMITLOG_EFORK && err.message[0] != '\0');
    FORKED(commitlog_append_batch(store, &record, 1, -1, &receipt, &err));
    FORKED(commitlog_reserve(store, &record, 10, -1, &reservation, &place, &err));
    FORKED(commitlog_commit(o->reservation, -1, &receipt, &err));
    FORKED(commitlog_topic_open(store, "new", 3, 1, &number, &err));
    FORKED(commitlog_sync(store, UINT64_MAX, -1, &err));
    FORKED(commitlog_wait_durable(store, 0, -1));
    FORKED(commitlog_checkpoint(store, &err));
    CHECK(number == 77 && reservation == NULL && receipt.end_position == 0);
}

static void child_reads(struct owner *o)
{
    struct commitlog_store *store = o->scratch.store;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_lease *lease = NULL;
    struct commitlog_message message;
    struct commitlog_slice tag = {"t", 1};
    struct commitlog_error err;
    uint8_t buffer[2048];
    uint64_t number = 0;
    uint32_t got = 0;
    FORKED(commitlog_cursor_open(store, 0, 0, 0, 0, &cursor, &err));
    FORKED(commitlog_cursor_open_key(store, 0, "k", 1, 0, INT64_MAX, &cursor, &err));
    FORKED(commitlog_cursor_open_log(store, 0, &cursor, &err));
    FORKED(commitlog_cursor_fetch(o->cursor, &message, 1, -1, &got, &number));
    FORKED(commitlog_cursor_fetch(o->log, &message, 1, -1, &got, &number));
    FORKED(commitlog_cursor_seek(o->cursor, COMMITLOG_FROM_FIRST, 0));
    FORKED(commitlog_cursor_set_tags(o->cursor, &tag, 1));
    FORKED(commitlog_cursor_set_filter(o->cursor, NULL));
    FORKED(commitlog_cursor_lease(o->cursor, &lease));
    FORKED(commitlog_lease_check(o->lease));
    FORKED(commitlog_get(store, 8192, &message, &lease, &err));
    FORKED(commitlog_read_copy(store, 0, 0, 0, buffer, sizeof buffer, &message, 1, &got, &number));
    FORKED(commitlog_offset_by_time(store, 0, 0, 0, COMMITLOG_LOWER, &number));
    FORKED(commitlog_wait(store, 0, -1));
    CHECK(cursor == NULL && lease == NULL && got == 0);
    (void)commitlog_cursor_tell(o->cursor);
}

static void child_looks(struct owner *o)
{
    struct commitlog_store *store = o->scratch.store;
    struct commitlog_topic_info topic = {.struct_bytes = sizeof topic};
    struct commitlog_queue_info queue = {.struct_bytes = sizeof queue};
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct commitlog_recovery recovery = {.struct_bytes = sizeof recovery};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_event event = {.struct_bytes = sizeof event};
    struct commitlog_retention policy = {.struct_bytes = sizeof policy};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    struct commitlog_error err;
    const char *name = NULL;
    uint64_t number = 0;
    uint32_t wait_ms = 0;
    int32_t fd = -1;
    CHECK(commitlog_topic_count(store) == 0);
    FORKED(commitlog_topic_info(store, 0, &topic));
    FORKED(commitlog_queue_info(store, 0, 0, &queue));
    FORKED(commitlog_positions_get(store, &positions));
    FORKED(commitlog_recovery_get(store, &recovery));
    FORKED(commitlog_damage_get(store, 0, &damage));
    FORKED(commitlog_event_next(store, &event));
    FORKED(commitlog_event_fd(store, &fd));
    FORKED(commitlog_stat(store, 0, &name, &number));
    FORKED(commitlog_failure(store, &err));
    FORKED(commitlog_step(store, 1000, &wait_ms));
    FORKED(commitlog_retain(store, &policy, &retained, &err));
    FORKED(commitlog_interrupt(store));
    CHECK(fd == -1 && name == NULL);
}

/* The ends of handles: refused, or nothing; never a crash, never a change. */
static void child_closes(struct owner *o)
{
    struct commitlog_error err;
    FORKED(commitlog_abort(o->reservation));
    commitlog_lease_release(o->lease);
    commitlog_cursor_close(o->cursor);
    commitlog_cursor_close(o->log);
    FORKED(commitlog_close(o->scratch.store, &err));
}

/* A store of its own, beside the parent's, is what a child may have. */
static void child_opens(struct owner *o)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_open(o->scratch.path, o->scratch.options, &store, &err), COMMITLOG_ELOCKED);
    CHECK_RC(
        commitlog_options_set(o->scratch.options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL),
        COMMITLOG_OK);
    CHECK_OK(commitlog_open(o->scratch.path, o->scratch.options, &store, &err), &err);
    struct commitlog_queue_info queue = {.struct_bytes = sizeof queue};
    CHECK_RC(commitlog_queue_info(store, 0, 0, &queue), COMMITLOG_OK);
    CHECK(queue.next_offset == PUTS);
    CHECK_OK(commitlog_close(store, &err), &err);
}

/* ---- the owner ---------------------------------------------------------------------------------
 */

static void expect_open(const char *path, int32_t expected)
{
    struct commitlog_store *store = NULL;
    pid_t pid = forked(); /* a process that has nothing of the owner */
    if (pid == 0) {
        int32_t rc = commitlog_open(path, NULL, &store, NULL);
        CHECK_RC(rc, expected);
        if (rc == COMMITLOG_OK)
            CHECK_RC(commitlog_close(store, NULL), COMMITLOG_OK);
        leave();
    }
    reap(pid, "who looks at the lock");
}

static void owner_goes_on(struct owner *o)
{
    struct scratch *s = &o->scratch;
    struct commitlog_receipt receipt = {0};
    uint32_t got = 0;
    for (uint32_t i = 0; i < 20; i++)
        put(o);
    CHECK_RC(commitlog_lease_check(o->lease), COMMITLOG_OK);
    CHECK_RC(commitlog_cursor_fetch(o->cursor, o->messages, 16, 0, &got, NULL), COMMITLOG_OK);
    CHECK(got > 0 && o->messages[0].queue_offset == 16);
    CHECK_OK(commitlog_commit(o->reservation, 1000, &receipt, &s->err), &s->err);
    CHECK(receipt.queue_offset == 0);
    CHECK_OK(commitlog_sync(s->store, UINT64_MAX, 5000, &s->err), &s->err);
    CHECK(scratch_count(s, 0, 0) == o->stored && scratch_count(s, 1, 0) == 1);
    expect_open(s->path, COMMITLOG_ELOCKED);
}

static void case_misuse(const char *root, uint64_t engine)
{
    struct owner o;
    owner_begin(&o, root, engine);
    pid_t pid = forked();
    if (pid == 0) {
        child_appends(&o);
        child_reads(&o);
        child_looks(&o);
        child_closes(&o);
        child_opens(&o);
#if defined(__SANITIZE_ADDRESS__)
        leave(); /* its search for leaks waits for the parent's threads */
#endif
        exit(0); /* and everything that a normal end does */
    }
    reap(pid, "the child");
    pid = forked();
    if (pid == 0) {
        for (int fd = 3; fd < 256; fd++)
            close(fd);
        leave();
    }
    reap(pid, "the child that closes all");
    owner_goes_on(&o);
    commitlog_lease_release(o.lease);
    commitlog_cursor_close(o.cursor);
    commitlog_cursor_close(o.log);
    scratch_close(&o.scratch);
    expect_open(o.scratch.path, COMMITLOG_OK);
}

/* The owner dies. A child that lives on holds the lock, one that has become another program does
 * not; what was acknowledged at level none is there all the same. */
static void case_death(const char *root, uint64_t engine, bool executes)
{
    static struct owner o; /* only its path is known in this process */
    int pipe_fds[2];
    pid_t child = -1;
    char path[DIRS_PATH_MAX];
    CHECK(pipe(pipe_fds) == 0);
    pid_t owner = forked();
    if (owner == 0) {
        owner_begin(&o, root, engine);
        CHECK_RC(commitlog_abort(o.reservation), COMMITLOG_OK);
        child = forked();
        if (child == 0 && executes) {
            execlp("sleep", "sleep", "60", (char *)NULL);
            _exit(1);
        }
        if (child == 0)
            for (;;)
                pause();
        sleep_ms(executes ? 200 : 0);
        CHECK(write(pipe_fds[1], &child, sizeof child) == sizeof child);
        CHECK(write(pipe_fds[1], o.scratch.path, sizeof o.scratch.path) == sizeof o.scratch.path);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(owner, &status, 0) == owner && WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
    CHECK(read(pipe_fds[0], &child, sizeof child) == sizeof child);
    CHECK(read(pipe_fds[0], path, sizeof path) == sizeof path);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    if (!executes)
        expect_open(path, COMMITLOG_ELOCKED);
    else
        expect_open(path, COMMITLOG_OK);
    kill(child, SIGKILL);
    int64_t until = clock_ms() + 5000; /* not our child: it is gone when it is gone */
    struct scratch s;
    CHECK(setenv("TEST_DIR", root, 1) == 0);
    scratch_begin(&s, "fork-after");
    dirs_remove(s.path);
    memcpy(s.path, path, sizeof path);
    int32_t rc = COMMITLOG_ELOCKED;
    while ((rc = commitlog_open(path, NULL, &s.store, &s.err)) == COMMITLOG_ELOCKED &&
           clock_ms() < until)
        sleep_ms(5);
    CHECK_OK(rc, &s.err);
    CHECK_OK(commitlog_topic_open(s.store, "test", 4, 0, &s.topic, &s.err), &s.err);
    CHECK(scratch_count(&s, 0, 0) == PUTS);
    CHECK_OK(commitlog_close(s.store, &s.err), &s.err);
}

int main(void)
{
    prog_begin("fork_test");
    for (uint64_t engine = 0; engine < 2; engine++) {
        for (uint32_t i = 0; i < 3; i++) {
            char root[DIRS_PATH_MAX];
            dirs_make(root, "fork");
            pid_t pid = forked();
            if (pid == 0) {
                if (i == 0)
                    case_misuse(root, engine);
                else
                    case_death(root, engine, i == 2);
                leave();
            }
            reap(pid, "a case");
            dirs_remove(root);
        }
    }
    return prog_end();
}
