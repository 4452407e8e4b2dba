/* SPDX-License-Identifier: BSD-2-Clause */
/* states_copies.c -- directories that are copies, or of which one part is of another time than the
 * rest; see states.h. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "states.h"

enum { COPIES_BEFORE = 3, COPIES_AFTER = 40, COPIES_BODY = 3000 };

/* With the live area where it lies by default: on tmpfs, beside that of every other store. */
static struct commitlog_store *copies_open(const char *path, const char *what)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_AUTO, NULL),
             COMMITLOG_OK);
    int32_t rc = commitlog_open(path, options, &store, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: %s: %s", what, commitlog_error_name(rc), err.message);
    commitlog_options_free(options);
    return store;
}

static void copies_put(struct commitlog_store *store, uint32_t count, uint32_t level)
{
    struct commitlog_error err = {.message = ""};
    uint8_t body[COPIES_BODY];
    uint32_t topic = 0;
    CHECK_OK(commitlog_topic_open(store, "alpha", 5, 0, &topic, &err), &err);
    for (uint32_t i = 0; i < count; i++) {
        bytes_fill(body, sizeof body, 500 + i);
        CHECK_RC(commitlog_append(store, topic, 0, body, 1 + i % sizeof body, level, NULL),
                 COMMITLOG_OK);
    }
}

/* A process with the store open that goes on when it is told to, and is never closed. */
static pid_t copies_writer(const char *path, const char *copy)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct commitlog_store *store = copies_open(path, "the writer");
        copies_put(store, COPIES_BEFORE, COMMITLOG_LEVEL_DURABLE);
        dirs_copy(path, copy);
        copies_put(store, COPIES_AFTER, COMMITLOG_LEVEL_DURABLE);
        copies_put(store, COPIES_AFTER, COMMITLOG_LEVEL_NONE);
        (void)raise(SIGSTOP);
        _exit(1); /* it is killed */
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    return child;
}

/* A copy has the UUID of its original, and LOCK in it names the original's live area. */
void states_copied(struct states *states)
{
    char copy[DIRS_PATH_MAX];
    struct answers got;
    struct commitlog_error err = {.message = ""};
    int status = 0;
    path_join(copy, states->root, "copy");
    dirs_remove(copy);
    states_fresh(states, "a copy made beside a writer");
    pid_t writer = copies_writer(states->path, copy);
    /* What the original's writer has staged or made durable since is not the copy's. */
    struct commitlog_store *store = copies_open(copy, states->name);
    small_ask(store, &got);
    CHECKF(got.rc == COMMITLOG_OK, "%s: %s in %s", states->name, commitlog_error_name(got.rc),
           got.where);
    CHECK(got.messages > states->answers.messages);
    copies_put(store, 1, COMMITLOG_LEVEL_DURABLE);
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECK(kill(writer, SIGKILL) == 0 && waitpid(writer, &status, 0) == writer);

    states->name = "the original of a copy that was opened beside its writer";
    store = copies_open(states->path, states->name);
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_recovery recovery = {.struct_bytes = sizeof recovery};
    CHECK_RC(commitlog_recovery_get(store, &recovery), COMMITLOG_OK);
    CHECKF(recovery.records_from_stage >= COPIES_AFTER, "%s: %llu records from the stage",
           states->name, (unsigned long long)recovery.records_from_stage);
    CHECK_RC(commitlog_queue_info(store, 0, 0, &info), COMMITLOG_OK);
    CHECK(info.next_offset >= COPIES_BEFORE + 2 * COPIES_AFTER);
    CHECK_OK(commitlog_close(store, &err), &err);
    dirs_remove(copy);
}

/* Fills the last segment and goes on in the next one; then the process dies, or closes. */
static void copies_roll(const struct states *states, const char *path, bool closes, uint32_t count,
                        size_t bytes)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct commitlog_store *store = copies_open(path, states->name);
        struct commitlog_error err = {.message = ""};
        uint32_t topic = 0;
        uint8_t *body = need_alloc(bytes);
        CHECK_OK(commitlog_topic_open(store, "beta", 4, 0, &topic, &err), &err);
        for (uint32_t i = 0; i < count; i++)
            CHECK_RC(
                commitlog_append(store, topic, i % 2, body, bytes, COMMITLOG_LEVEL_DURABLE, NULL),
                COMMITLOG_OK);
        free(body);
        if (!closes)
            (void)kill(getpid(), SIGKILL);
        CHECK_OK(commitlog_close(store, &err), &err);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(closes ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status));
}

/* The log is older than its views, as if a disk had kept the ones and not the other: what they say
 * of the last segment is of records that never were, and others are written in their places. */
void states_future_views(struct states *states)
{
    char view[DIRS_PATH_MAX], future[DIRS_PATH_MAX], bare[DIRS_PATH_MAX];
    char bare_view[DIRS_PATH_MAX];
    struct answers with, without;
    path_join(view, states->path, "view");
    path_join(future, states->root, "future");
    path_join(bare, states->root, "bare");
    path_join(bare_view, bare, "view");
    states_fresh(states, "views of a later time");
    copies_roll(states, states->path, true, 60, 2000);
    dirs_remove(future);
    dirs_copy(view, future);
    states_fresh(states, states->name);
    dirs_remove(view);
    dirs_copy(future, view);
    states_sound(states);

    states_fresh(states, "views of a later time, and a writer that is killed");
    dirs_remove(view);
    dirs_copy(future, view);
    copies_roll(states, states->path, false, 45, 3000);
    dirs_remove(bare);
    dirs_copy(states->path, bare);
    dirs_remove(bare_view);
    for (uint32_t i = 0; i < 2; i++) {
        struct commitlog_error err = {.message = ""};
        struct commitlog_store *store = copies_open(i == 0 ? bare : states->path, states->name);
        small_ask(store, i == 0 ? &without : &with);
        CHECK_OK(commitlog_close(store, &err), &err);
    }
    CHECKF(without.rc == COMMITLOG_OK, "%s: %s", states->name, commitlog_error_name(without.rc));
    CHECKF(with.rc == COMMITLOG_OK && with.hash == without.hash,
           "%s: %s in %s, %llu messages, without them %llu", states->name,
           commitlog_error_name(with.rc), with.where, (unsigned long long)with.messages,
           (unsigned long long)without.messages);
    dirs_remove(bare);
    dirs_remove(future);
}
