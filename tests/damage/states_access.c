/* SPDX-License-Identifier: BSD-2-Clause */
/* states_access.c -- versions, places that are no store, locks, rights; see states.h. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checksum.h"
#include "format/format.h"
#include "states.h"

enum { PAGE = 4096 };

/* Changes one word of a header page and makes its check right again: what a newer library writes.
 * The one place where a test needs the format itself; commitlog-format(5) is the authority. */
static void header_set(const char *path, uint64_t page_at, size_t at, uint32_t value)
{
    struct file_bytes file = file_read(path);
    uint8_t *page = file.data + page_at;
    uint64_t check = 0;
    CHECK(file.size >= page_at + PAGE);
    memcpy(page + at, &value, sizeof value);
    check = clg_hash64(page, PAGE - 8, 0);
    memcpy(page + PAGE - 8, &check, sizeof check);
    file_write(path, file.data, file.size);
    file_free(&file);
}

static void newer(struct states *states, const char *name, size_t at, uint32_t value)
{
    char path[DIRS_PATH_MAX];
    states_fresh(states, name);
    for (uint32_t i = 0; i < 3; i++) {
        states_segment(states, i, path);
        header_set(path, 0, at, value);
        header_set(path, PAGE, at, value);
    }
    states_damaged(states, COMMITLOG_EVERSION);
    states_fresh(states, name);
    states_segment(states, 1, path);
    header_set(path, 0, at, value);
    header_set(path, PAGE, at, value);
    states_damaged(states, COMMITLOG_EVERSION);
}

void states_versions(struct states *states)
{
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    newer(states, "a newer version", CLG_FILE_AT_VERSION, 2);
    newer(states, "an unknown incompatible flag", CLG_FILE_AT_INCOMPAT, 0x80000000U);
    states_fresh(states, "an unknown compatible flag");
    states_segment(states, 1, path);
    header_set(path, 0, CLG_FILE_AT_COMPAT, 4);
    header_set(path, PAGE, CLG_FILE_AT_COMPAT, 4);
    states_sound(states);
    states_fresh(states, "an unknown read-only-compatible flag");
    states_segment(states, 2, path);
    header_set(path, 0, CLG_FILE_AT_RO_COMPAT, 4);
    header_set(path, PAGE, CLG_FILE_AT_RO_COMPAT, 4);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_EVERSION);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_OK);
    CHECK_OK(commitlog_close(store, &err), &err);
    states_fresh(states, "CHECKPOINT of a newer version");
    path_join(path, states->path, "CHECKPOINT");
    header_set(path, 0, CLG_FILE_AT_VERSION, 2);
    header_set(path, PAGE, CLG_FILE_AT_VERSION, 2);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_EVERSION);
}

/* Opening `path` in both ways fails with `code`, and the message names the path. */
static void refused(const char *path, int32_t code, const char *what)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    for (uint64_t access = COMMITLOG_READ_WRITE; access <= COMMITLOG_READ_ONLY; access++) {
        int32_t rc = states_open(path, access, COMMITLOG_RECOVER_TAIL, &store, &err);
        CHECKF(rc == code, "%s: %s: %s", what, commitlog_error_name(rc), err.message);
        CHECKF(strstr(err.message, strrchr(path, '/') + 1) != NULL, "%s: \"%s\" names no file",
               what, err.message);
    }
}

static void places_themselves(struct states *states)
{
    char path[DIRS_PATH_MAX];
    path_join(path, states->root, "a-file");
    file_write(path, "text", 4);
    refused(path, COMMITLOG_ENOTDIR, "a file");
    CHECK(file_size(path) == 4);
    path_join(path, states->root, "a-link");
    CHECK(symlink(states->pristine, path) == 0);
    refused(path, COMMITLOG_ENOTDIR, "a symbolic link");
    path_join(path, states->root, "a-dangling-link");
    CHECK(symlink("/nowhere/at/all", path) == 0);
    refused(path, COMMITLOG_ENOTDIR, "a dangling link");
    path_join(path, states->root, "a-fifo");
    CHECK(mkfifo(path, 0600) == 0);
    refused(path, COMMITLOG_ENOTDIR, "a FIFO");
}

static void create_option(struct states *states)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    char path[DIRS_PATH_MAX];
    path_join(path, states->root, "not-there");
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_CREATE, COMMITLOG_CREATE_NEVER, &err),
             &err);
    CHECK_RC(commitlog_open(path, options, &store, &err), COMMITLOG_ENOTFOUND);
    CHECK(!path_exists(path));
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_CREATE, COMMITLOG_CREATE_ALWAYS, &err),
             &err);
    CHECK_RC(commitlog_open(states->pristine, options, &store, &err), COMMITLOG_EEXIST);
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    CHECK_OK(commitlog_close(store, &err), &err);
    store = NULL;
    CHECK_RC(commitlog_open(path, options, &store, &err), COMMITLOG_EEXIST);
    CHECK(store == NULL);
    commitlog_options_free(options);
    path_join(path, states->root, "nobody");
    CHECK_RC(states_open(path, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_ENOTFOUND);
    CHECK(!path_exists(path));
}

/* Salvage neither follows, copies nor removes what is not the store's: it says so and changes
 * nothing. With the thing out of the way it does its work. */
static void foreign_stays(struct states *states, const char *path)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    struct stat before;
    struct stat after;
    char quarantine[DIRS_PATH_MAX];
    struct name_list names;
    CHECK(lstat(path, &before) == 0);
    int32_t rc =
        states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE, &store, &err);
    CHECKF(rc == COMMITLOG_EDAMAGED, "%s, salvage: %s: %s", states->name, commitlog_error_name(rc),
           err.message);
    CHECKF(strstr(err.message, "move it out of log/") != NULL, "%s: \"%s\"", states->name,
           err.message);
    CHECKF(lstat(path, &after) == 0 && after.st_ino == before.st_ino, "%s: it is gone",
           states->name);
    path_join(quarantine, states->path, "quarantine");
    names = dirs_list(quarantine, "");
    CHECKF(names.count == 0, "%s: something is in quarantine/", states->name);
    names_free(&names);
    dirs_remove(path);
    states_salvage(states, 24);
}

/* Something that is not a regular file where a file of the store should be: no hang, no harm. */
static void wrong_kinds(struct states *states)
{
    static const char *const files[] = {"CHECKPOINT", "LOCK", "LIVE"};
    char path[DIRS_PATH_MAX];
    char aside[DIRS_PATH_MAX];
    struct commitlog_store *store = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err;
    for (uint32_t kind = 0; kind < 3; kind++) {
        states_fresh(states, kind == 0   ? "a FIFO as a segment"
                             : kind == 1 ? "a link as a segment"
                                         : "a directory as a segment");
        states_segment(states, 1, path);
        path_join(aside, states->root, "aside");
        dirs_remove(aside);
        CHECK(rename(path, aside) == 0);
        if (kind == 0)
            CHECK(mkfifo(path, 0600) == 0);
        if (kind == 1)
            CHECK(symlink(aside, path) == 0);
        if (kind == 2)
            CHECK(mkdir(path, 0700) == 0);
        int32_t rc =
            states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
        CHECKF(rc == COMMITLOG_EDAMAGED, "%s: %s", states->name, commitlog_error_name(rc));
        foreign_stays(states, path);
        for (size_t f = 0; f < 3; f++) {
            states_fresh(states, files[f]);
            path_join(path, states->path, files[f]);
            dirs_remove(path);
            if (kind == 0)
                CHECK(mkfifo(path, 0600) == 0);
            if (kind == 1)
                CHECK(symlink(aside, path) == 0);
            if (kind == 2)
                CHECK(mkdir(path, 0700) == 0);
            rc = states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store,
                             &err);
            if (rc == COMMITLOG_OK)
                CHECK_OK(commitlog_close(store, &err), &err);
            CHECKF(rc == COMMITLOG_ENOTDIR || (f == 2 && rc == COMMITLOG_OK), "%s, kind %u: %s: %s",
                   files[f], kind, commitlog_error_name(rc), err.message);
            if (f < 2) {
                refused(states->path, COMMITLOG_ENOTDIR, files[f]);
                CHECK_RC(commitlog_verify(states->path, NULL, &report, &err), COMMITLOG_ENOTDIR);
            }
        }
        CHECK(file_size(aside) == SMALL_SEGMENT);
        dirs_remove(aside);
    }
    states_fresh(states, "log is a link");
    path_join(path, states->path, "log");
    path_join(aside, states->root, "aside");
    CHECK(rename(path, aside) == 0 && symlink(aside, path) == 0);
    refused(states->path, COMMITLOG_ENOTDIR, "log is a link");
    CHECK(unlink(path) == 0);
    file_write(path, "text", 4);
    refused(states->path, COMMITLOG_ENOTDIR, "log is a file");
    dirs_remove(aside);
    states_fresh(states, "no log directory");
    dirs_remove(path);
    CHECK(small_is_damage(
        states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err)));
}

void states_places(struct states *states)
{
    places_themselves(states);
    create_option(states);
    wrong_kinds(states);
}

void states_locked(struct states *states)
{
    struct commitlog_store *store = NULL, *second = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err;
    struct answers got;
    char pid_text[32];
    int ready[2];
    char byte = 0;
    int status = 0;
    pid_t child = 0;
    states_fresh(states, "locked by another process");
    CHECK(pipe(ready) == 0);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_RC(
            states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
            COMMITLOG_OK);
        CHECK(write(ready[1], "r", 1) == 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &second, &err),
             COMMITLOG_ELOCKED);
    snprintf(pid_text, sizeof pid_text, "%ld", (long)child);
    CHECKF(strstr(err.message, pid_text) != NULL, "\"%s\" does not name %s", err.message, pid_text);
    CHECK_RC(commitlog_rebuild(states->path, NULL, &err), COMMITLOG_ELOCKED);
    CHECK_RC(commitlog_recover(states->path, NULL, 0, &report, &err), COMMITLOG_ELOCKED);
    small_answers(states->path, &got);
    CHECK(got.rc == COMMITLOG_OK && got.hash == states->answers.hash);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    states_sound(states);

    states_fresh(states, "locked by this process");
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_OK);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &second, &err),
             COMMITLOG_ELOCKED);
    CHECK_OK(commitlog_close(store, &err), &err);
    states_sound(states);
}

static void chmod_tree(const char *path, mode_t directory, mode_t file, uid_t owner)
{
    struct stat info;
    CHECK(lstat(path, &info) == 0);
    if (owner != 0)
        CHECK(chown(path, owner, (gid_t)owner) == 0);
    if (S_ISDIR(info.st_mode)) {
        struct name_list names = dirs_list(path, "");
        for (uint32_t i = 0; i < names.count; i++) {
            char child[DIRS_PATH_MAX];
            path_join(child, path, names.names[i]);
            chmod_tree(child, directory, file, owner);
        }
        names_free(&names);
    }
    CHECK(chmod(path, S_ISDIR(info.st_mode) ? directory : file) == 0);
}

/* Root may write anything, so the test is done as nobody. */
void states_read_only_directory(struct states *states)
{
    const uid_t nobody = 65534;
    int status = 0;
    pid_t child = 0;
    bool root = geteuid() == 0;
    states_fresh(states, "a directory that may not be written");
    chmod_tree(states->path, 0500, 0400, root ? nobody : 0);
    CHECK(chmod(states->root, 0755) == 0);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct commitlog_store *store = NULL;
        struct commitlog_error err;
        struct answers got;
        if (root)
            CHECK(setgid((gid_t)nobody) == 0 && setuid(nobody) == 0);
        CHECK_RC(
            states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
            COMMITLOG_EACCESS);
        small_answers(states->path, &got);
        CHECKF(got.rc == COMMITLOG_OK && got.hash == states->answers.hash, "read-only: %s in %s",
               commitlog_error_name(got.rc), got.where);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    chmod_tree(states->path, 0700, 0600, 0);
}
