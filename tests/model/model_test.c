/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_test.c -- long random histories of a store against a model in memory.
 *
 * A history is a row of sessions; each is run here or in a child process, ends with a clean close
 * or with kill -9, and is followed by losing derived files or not. After each everything that the
 * next session reads must be what the model says.
 *
 * Environment: SEED, OPS (operations per session, default 150), SESSIONS (per history, default 10),
 * HISTORIES (default 4 per engine), ENGINE (0 or 1: only that one), KEEP=1 (leaves the store).
 * A failure names the seed of its history: SEED=that HISTORIES=1 ENGINE=that replays it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session.h"

enum session_end { END_CLOSE, END_CHILD_CLOSE, END_CHILD_KILL };

struct history {
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    struct model model;
    struct rng rng;
    uint64_t engine;
    uint64_t ops;
    struct aftermath after;
};

static void run_ops(struct session *session, uint64_t ops)
{
    for (uint64_t i = 0; i < ops; i++) {
        prog_step(i);
        session_step(session);
    }
}

/* The child: reports every change, then closes or dies in the middle of everything. */
static _Noreturn void child_run(struct history *history, const struct session_options *options,
                                uint64_t seed, bool kill_self, int fd)
{
    struct session session;
    uint64_t ops = kill_self ? seed % (history->ops + 1) : history->ops;
    prog_watchdog(120);
    history->model.report_fd = -1;
    session_open(&session, history->path, &history->model, seed, options, &history->after);
    history->model.report_fd = fd;
    run_ops(&session, ops);
    if (kill_self) {
        (void)kill(getpid(), SIGKILL);
        pause();
    }
    session_close(&session);
    _exit(0);
}

/* The parent's model follows by the child's reports. What the open settled is settled here too. */
static void parent_follow(struct history *history, int fd)
{
    struct change change;
    size_t filled = 0;
    for (;;) {
        ssize_t got = read(fd, (char *)&change + filled, sizeof change - filled);
        CHECK(got >= 0);
        if (got == 0)
            break;
        filled += (size_t)got;
        if (filled < sizeof change)
            continue;
        model_apply(&history->model, &change);
        filled = 0;
    }
    CHECKF(filled == 0, "%zu bytes of a report", filled);
}

static void run_child(struct history *history, const struct session_options *options, uint64_t seed,
                      bool kill_self)
{
    int fds[2];
    int status = 0;
    pid_t child = 0;
    CHECK(pipe(fds) == 0);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(fds[0]);
        child_run(history, options, seed, kill_self, fds[1]);
    }
    close(fds[1]);
    parent_follow(history, fds[0]);
    close(fds[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (kill_self)
        CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "child status %x", status);
    else
        CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child status %x", status);
}

static void remove_in(const char *path, const char *directory, struct rng *rng, bool all)
{
    char parent[DIRS_PATH_MAX];
    char child[DIRS_PATH_MAX];
    struct name_list names;
    path_join(parent, path, directory);
    if (!path_exists(parent))
        return;
    names = dirs_list(parent, "");
    for (uint32_t i = 0; i < names.count; i++) {
        if (!all && !rng_chance(rng, 1, names.count))
            continue;
        path_join(child, parent, names.names[i]);
        dirs_remove(child);
    }
    names_free(&names);
}

/* Everything here is derived: the next open must not miss it. */
static void lose_files(struct history *history, bool clean)
{
    struct rng *rng = &history->rng;
    char name[DIRS_PATH_MAX];
    struct commitlog_error err = {.message = ""};
    uint64_t draw = rng_below(rng, 8);
    if (draw < 2)
        return;
    if (draw == 2) {
        CHECK_OK(commitlog_rebuild(history->path, NULL, &err), &err);
        history->after.recovered = true; /* by the way */
        return;
    }
    if (draw <= 4)
        remove_in(history->path, "view", rng, false);
    if (draw >= 5)
        remove_in(history->path, "view", rng, true);
    if (draw == 5) {
        path_join(name, history->path, "view");
        dirs_remove(name);
    }
    if (!clean)
        return;
    if (draw == 4 || draw >= 6) {
        path_join(name, history->path, "CHECKPOINT");
        dirs_remove(name);
    }
    if (draw == 3 || draw >= 6)
        store_live_remove(history->path);
    if (draw == 7) {
        path_join(name, history->path, "LOCK");
        dirs_remove(name);
    }
}

/* Recovery by itself, before the open: the plan changes nothing, the second run has nothing left.
 */
static void recover_first(struct history *history)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    char log[DIRS_PATH_MAX];
    uint64_t before = 0;
    path_join(log, history->path, "log");
    before = dirs_hash(log);
    CHECK_OK(commitlog_recover(history->path, NULL, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err),
             &err);
    commitlog_report_free(report);
    CHECK(dirs_hash(log) == before);
    CHECK_OK(commitlog_recover(history->path, NULL, 0, &report, &err), &err);
    commitlog_report_free(report);
    before = dirs_hash(log);
    CHECK_OK(commitlog_recover(history->path, NULL, 0, &report, &err), &err);
    commitlog_report_free(report);
    CHECK(dirs_hash(log) == before);
    CHECK_OK(commitlog_verify(history->path, NULL, &report, &err), &err);
    commitlog_report_free(report);
}

static void run_session(struct history *history, uint32_t number)
{
    struct session session;
    struct session_options options;
    uint64_t seed = rng_next(&history->rng);
    enum session_end end = (enum session_end)rng_below(&history->rng, 3);
    session_draw(&options, &history->rng, history->engine);
    if (prog_env_is("VERBOSE"))
        printf("  session %u: end %d engine %llu thread %llu flush %llu visibility %llu stage %llu "
               "segment %llu live %llu retain %llu items %u\n",
               number, end, (unsigned long long)options.engine, (unsigned long long)options.thread,
               (unsigned long long)options.flush, (unsigned long long)options.visibility,
               (unsigned long long)options.stage, (unsigned long long)options.segment,
               (unsigned long long)options.live, (unsigned long long)options.retain_bytes,
               history->model.count);
    if (end == END_CLOSE || number == 0) {
        session_open(&session, history->path, &history->model, seed, &options, &history->after);
        run_ops(&session, history->ops);
        session_close(&session);
        end = END_CLOSE;
    } else {
        /* The child settles what a crash left open; so that the parent need not, it opens first. */
        if (history->after.crashed) {
            session_open(&session, history->path, &history->model, seed, &options, &history->after);
            session_close(&session);
            memset(&history->after, 0, sizeof history->after);
        }
        run_child(history, &options, seed, end == END_CHILD_KILL);
    }
    memset(&history->after, 0, sizeof history->after);
    history->after.crashed = end == END_CHILD_KILL;
    history->after.may_lose = history->after.crashed && options.live == COMMITLOG_LIVE_PRIVATE;
    if (history->after.crashed)
        model_crash(&history->model);
    if (!history->after.crashed && rng_chance(&history->rng, 1, 3))
        session_read_only(history->path, &history->model, &history->rng);
    if (history->after.crashed && !history->after.may_lose && rng_chance(&history->rng, 1, 3)) {
        recover_first(history);
        history->after.recovered = true;
        lose_files(history, false);
        return;
    }
    lose_files(history, !history->after.crashed);
}

static void run_history(uint64_t seed, uint64_t engine)
{
    struct history history = {.engine = engine, .ops = prog_env("OPS", 150)};
    struct session session;
    struct session_options options;
    uint64_t sessions = prog_env("SESSIONS", 10);
    printf("history: SEED=%llu HISTORIES=1 ENGINE=%llu\n", (unsigned long long)seed,
           (unsigned long long)engine);
    prog_seed_set(seed);
    prog_watchdog(300);
    rng_begin(&history.rng, seed);
    dirs_make(history.root, "model");
    path_join(history.path, history.root, "store");
    model_begin(&history.model);
    for (uint32_t i = 0; i < sessions; i++)
        run_session(&history, i);
    session_draw(&options, &history.rng, engine);
    session_open(&session, history.path, &history.model, seed, &options, &history.after);
    session_close(&session);
    store_live_remove(history.path);
    model_free(&history.model);
    if (!prog_env_is("KEEP"))
        dirs_remove(history.root);
}

int main(void)
{
    uint64_t seed = prog_begin("model_test");
    uint64_t histories = prog_env("HISTORIES", 4);
    uint64_t only = prog_env("ENGINE", 2);
    for (uint64_t i = 0; i < histories; i++)
        for (uint64_t engine = 0; engine < 2; engine++)
            if (only == 2 || only == engine)
                run_history(seed + i, engine);
    return prog_end();
}
