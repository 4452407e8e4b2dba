/* SPDX-License-Identifier: BSD-2-Clause */
/* states_files.c -- files that are missing, short, foreign, stale or left over; see states.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "states.h"

enum { PAGE = 4096, DATA = 8192 };

static void in_store(const struct states *states, const char *name, char out[DIRS_PATH_MAX])
{
    path_join(out, states->path, name);
}

static void file_cut(const char *path, uint64_t size)
{
    CHECK(truncate(path, (off_t)size) == 0);
}

static void file_zero(const char *path, uint64_t at, size_t size)
{
    uint8_t *zeros = need_alloc(size);
    file_patch(path, at, zeros, size);
    free(zeros);
}

/* End of the last byte of the file that is not zero. */
static uint64_t file_used(const char *path)
{
    struct file_bytes file = file_read(path);
    uint64_t used = file.size;
    while (used > 0 && file.data[used - 1] == 0)
        used--;
    file_free(&file);
    return used;
}

void states_checkpoint(struct states *states)
{
    static const uint8_t garbage[PAGE] = {0x5a, 0xa5, 1, 2, 3};
    char name[DIRS_PATH_MAX];
    states_fresh(states, "missing CHECKPOINT");
    in_store(states, "CHECKPOINT", name);
    dirs_remove(name);
    states_sound(states);

    states_fresh(states, "empty CHECKPOINT");
    file_cut(name, 0);
    states_sound(states);

    for (uint64_t slot = 0; slot < 2; slot++) {
        states_fresh(states, slot == 0 ? "first slot bad" : "second slot bad");
        file_patch(name, slot * PAGE + 32, garbage, 16);
        states_sound(states);
    }
    states_fresh(states, "both slots bad");
    file_patch(name, 32, garbage, 16);
    file_patch(name, PAGE + 32, garbage, 16);
    states_sound(states);

    states_fresh(states, "CHECKPOINT of zeros");
    file_zero(name, 0, 2 * PAGE);
    states_sound(states);

    states_fresh(states, "no view, no CHECKPOINT, no LOCK, no LIVE");
    dirs_remove(name);
    in_store(states, "view", name);
    dirs_remove(name);
    store_live_remove(states->path);
    in_store(states, "LOCK", name);
    dirs_remove(name);
    states_sound(states);
}

static void next_segment_name(const struct states *states, char out[DIRS_PATH_MAX])
{
    char log[DIRS_PATH_MAX], file[64];
    unsigned long long base = strtoull(states->segments.names[2], NULL, 10);
    path_join(log, states->path, "log");
    snprintf(file, sizeof file, "%020llu.log", base + SMALL_SEGMENT);
    path_join(out, log, file);
}

/* The only file of this kind in view/. */
static void only_view(const struct states *states, const char *suffix, char out[DIRS_PATH_MAX])
{
    char view[DIRS_PATH_MAX];
    in_store(states, "view", view);
    struct name_list names = dirs_list(view, suffix);
    CHECK(names.count == 1);
    path_join(out, view, names.names[0]);
    names_free(&names);
}

/* Garbage behind the last record, and in the header of the first one of a segment. */
static void spoil_tail_and(const struct states *states, uint32_t index)
{
    static const uint8_t garbage[64] = {0xde, 0xad, 0xbe, 0xef};
    char log[DIRS_PATH_MAX], path[DIRS_PATH_MAX];
    in_store(states, "log", log);
    struct name_list names = dirs_list(log, ".log");
    CHECK(index + 1 < names.count);
    path_join(path, log, names.names[names.count - 1]);
    file_patch(path, (file_used(path) + 7) / 8 * 8, garbage, sizeof garbage);
    path_join(path, log, names.names[index]);
    file_patch(path, DATA + 24, garbage, 4);
    names_free(&names);
}

/* An open takes the files of finished segments and looks at the segments only from the .state on
 * that it begins with: if it then finds damage, it has found it before the tail is cut. */
void states_below_views(struct states *states)
{
    char old[DIRS_PATH_MAX], newer[DIRS_PATH_MAX];
    states_fresh(states, "a torn tail, and damage below view files; no .state");
    only_view(states, ".state", old);
    dirs_remove(old);
    spoil_tail_and(states, 0);
    states_damaged(states, COMMITLOG_EDAMAGED);

    states_fresh(states, "a torn tail, and damage below view files; an old .state");
    only_view(states, ".state", old);
    struct file_bytes state = file_read(old);
    uint32_t active = states->segments.count - 1;
    small_extend(states->path, COMMITLOG_ENGINE_STAGED, 6, 27000);
    only_view(states, ".state", newer);
    CHECK(strcmp(old, newer) != 0);
    dirs_remove(newer);
    file_write(old, state.data, state.size);
    file_free(&state);
    spoil_tail_and(states, active + 1);
    states_damaged(states, COMMITLOG_EDAMAGED);
}

void states_tail(struct states *states)
{
    static const uint8_t garbage[64] = {0xde, 0xad, 0xbe, 0xef};
    static const uint8_t zeros[SMALL_SEGMENT];
    char last[DIRS_PATH_MAX], next[DIRS_PATH_MAX];
    uint64_t used = 0;

    states_fresh(states, "short last segment, all records there");
    states_segment(states, UINT32_MAX, last);
    used = file_used(last);
    CHECK(used > DATA && used < SMALL_SEGMENT);
    file_cut(last, (used + PAGE - 1) / PAGE * PAGE);
    states_sound(states);

    states_fresh(states, "short last segment, records gone");
    file_cut(last, used - 100);
    states_damaged(states, COMMITLOG_EDAMAGED);
    states_fresh(states, "last segment cut to its headers");
    file_cut(last, DATA);
    states_damaged(states, COMMITLOG_EDAMAGED);
    states_salvage(states, 24);

    states_fresh(states, "last acknowledged record zeroed");
    file_zero(last, used - 60, 60);
    states_damaged(states, COMMITLOG_EDAMAGED);

    states_fresh(states, "unacknowledged bytes behind the end");
    file_patch(last, (used + 7) / 8 * 8, garbage, sizeof garbage);
    states_sound(states);
    states_fresh(states, "unacknowledged bytes far behind the end");
    file_patch(last, (used + 2000) / 8 * 8, garbage, sizeof garbage);
    states_sound(states);

    next_segment_name(states, next);
    states_fresh(states, "empty file as the next segment");
    dirs_remove(next);
    file_write(next, zeros, 0);
    CHECK_RC(states_verify(states), COMMITLOG_OK);
    states_sound(states);
    states_fresh(states, "zeros as the next segment");
    dirs_remove(next);
    file_write(next, zeros, sizeof zeros);
    CHECK_RC(states_verify(states), COMMITLOG_OK);
    states_sound(states);
    states_fresh(states, "garbage as the next segment");
    dirs_remove(next);
    file_write(next, garbage, sizeof garbage);
    states_sound_or_damaged(states);
}

/* Behind the end, where no record is looked for, a file can be wrong all the same. */
static void segments_ahead(struct states *states)
{
    static const char *const names[] = {
        "a copy of a segment as the next one", "a copy of a segment far behind the end",
        "no bytes far behind the end", "a directory as the next one"};
    char one[DIRS_PATH_MAX], next[DIRS_PATH_MAX], log[DIRS_PATH_MAX];
    for (uint32_t i = 0; i < 4; i++) {
        struct file_bytes file;
        states_fresh(states, names[i]);
        states_segment(states, 1, one);
        next_segment_name(states, next);
        dirs_remove(next);
        path_join(log, states->path, "log");
        if (i == 1 || i == 2)
            path_join(next, log, "00000000000000458752.log");
        file = file_read(one);
        if (i < 3)
            file_write(next, file.data, i < 2 ? file.size : 0);
        else
            CHECK(mkdir(next, 0700) == 0);
        file_free(&file);
        states_damaged(states, COMMITLOG_EDAMAGED);
    }
}

void states_segments(struct states *states)
{
    char one[DIRS_PATH_MAX], two[DIRS_PATH_MAX], other[DIRS_PATH_MAX], from[DIRS_PATH_MAX];
    char foreign_log[DIRS_PATH_MAX];
    struct file_bytes file;
    char text[32];

    segments_ahead(states);
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "segment %u missing", i);
        states_fresh(states, text);
        states_segment(states, i, one);
        dirs_remove(one);
        states_damaged(states, COMMITLOG_EDAMAGED);
        states_salvage(states, 24);

        snprintf(text, sizeof text, "segment %u without headers", i);
        states_fresh(states, text);
        file_zero(one, 0, DATA);
        states_damaged(states, 0);

        snprintf(text, sizeof text, "segment %u without a header", i);
        states_fresh(states, text);
        file_zero(one, 0, PAGE);
        states_sound(states);
        states_fresh(states, text);
        file_zero(one, PAGE, PAGE);
        states_sound(states);
    }
    states_fresh(states, "two segments exchanged");
    states_segment(states, 0, one);
    states_segment(states, 1, two);
    path_join(other, states->root, "aside");
    CHECK(rename(one, other) == 0 && rename(two, one) == 0 && rename(other, two) == 0);
    states_damaged(states, 0);

    states_fresh(states, "a middle segment of another store");
    path_join(other, states->root, "other");
    small_make(other, COMMITLOG_ENGINE_STAGED, 4711);
    path_join(foreign_log, other, "log");
    path_join(from, foreign_log, states->segments.names[1]);
    file = file_read(from);
    file_write(two, file.data, file.size);
    states_damaged(states, 0);
    states_fresh(states, "the last segment of another store");
    states_segment(states, 2, two);
    file_write(two, file.data, file.size);
    states_damaged(states, 0);
    states_fresh(states, "a segment of another store as the next one");
    next_segment_name(states, two);
    dirs_remove(two);
    file_write(two, file.data, file.size);
    states_sound_or_damaged(states);
    file_free(&file);
    dirs_remove(other);

    states_fresh(states, "a sealed segment cut in the middle");
    states_segment(states, 1, two);
    file_cut(two, SMALL_SEGMENT / 2);
    states_damaged(states, COMMITLOG_EDAMAGED);
    states_fresh(states, "a sealed segment without its footer");
    file_zero(two, SMALL_SEGMENT - PAGE, PAGE);
    states_sound_or_damaged(states);
}

/* A footer stands behind records. It must not outlive them as they were, and what is wrong with it
 * must not stay in a store that was put right. */
void states_footers(struct states *states)
{
    char one[DIRS_PATH_MAX], text[64];
    uint8_t *noise = need_alloc(SMALL_SEGMENT);
    bytes_fill(noise, SMALL_SEGMENT, 7);
    states_fresh(states, "a store that was closed");
    states_recover(states, COMMITLOG_RECOVER_TAIL);
    states_sound(states);
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "segment %u of noise", i);
        states_fresh(states, text);
        states_segment(states, i, one);
        file_patch(one, 0, noise, SMALL_SEGMENT);
        states_damaged(states, 0);
        if (i < 2) { /* the last one has no successor that knows its salt */
            states_recover(states, COMMITLOG_RECOVER_SALVAGE);
            states_salvage(states, 24);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "several records of segment %u are one damaged range", i);
        states_fresh(states, text);
        states_segment(states, i, one);
        file_patch(one, SMALL_SEGMENT / 2, noise, 8 * PAGE / 2);
        states_recover(states, COMMITLOG_RECOVER_SALVAGE);
        states_salvage(states, 24);

        snprintf(text, sizeof text, "noise as the footer of segment %u", i);
        states_fresh(states, text);
        file_patch(one, SMALL_SEGMENT - PAGE, noise, PAGE);
        states_recover(states, COMMITLOG_RECOVER_TAIL);
        states_sound(states);
    }
    free(noise);
}

void states_leftovers(struct states *states)
{
    static const char *const places[] = {"log", "view", "", "quarantine"};
    static const char *const suffixes[] = {"00000000000000065536.log.tmp", "CHECKPOINT.tmp",
                                           "00000000000000000000.cq.tmp", "x.tmp"};
    char name[DIRS_PATH_MAX], parent[DIRS_PATH_MAX];
    states_fresh(states, "temporary files left over");
    for (size_t p = 0; p < 3; p++) {
        path_join(parent, states->path, places[p]);
        for (size_t s = 0; s < 4; s++) {
            path_join(name, parent, suffixes[s]);
            file_write(name, "left", 4);
        }
    }
    states_sound(states);
    path_join(parent, states->path, "log");
    path_join(name, parent, suffixes[0]);
    CHECKF(!path_exists(name), "%s is still there", name);

    states_fresh(states, "unknown files");
    path_join(parent, states->path, "log");
    path_join(name, parent, "README");
    file_write(name, "mine", 4);
    path_join(name, parent, "123.log");
    file_write(name, "mine", 4);
    path_join(name, states->path, "notes.txt");
    file_write(name, "mine", 4);
    states_sound(states);
    CHECK(path_exists(name));

    states_fresh(states, "LOCK of a dead process");
    path_join(name, states->path, "LOCK");
    file_write(name, "pid 999999 start 1 boot 0\n", 26);
    states_sound(states);
    states_fresh(states, "empty LOCK");
    file_cut(name, 0);
    states_sound(states);
    states_fresh(states, "stray views");
    path_join(parent, states->path, "view");
    path_join(name, parent, "00000000000099999744.cq");
    file_write(name, "stray", 5);
    path_join(name, parent, "00000000000000000000.key");
    file_write(name, "stray", 5);
    states_sound(states);
}

/* A derived file of each kind that is none, or is of absurd length: named by verify, and the store
 * is opened and answers without it. */
void states_odd_views(struct states *states)
{
    static const char *const kinds[] = {".cq", ".key", ".state"};
    static const char *const ways[] = {"1 TiB long", "of no bytes",   "a directory",  "a pipe",
                                       "a link",     "one byte more", "one byte less"};
    char view[DIRS_PATH_MAX], path[DIRS_PATH_MAX], aside[DIRS_PATH_MAX], name[64];
    path_join(view, states->path, "view");
    path_join(aside, states->root, "aside");
    for (uint32_t kind = 0; kind < 3; kind++) {
        for (uint32_t way = 0; way < 7; way++) {
            struct name_list files;
            snprintf(name, sizeof name, "a %s file that is %s", kinds[kind], ways[way]);
            states_fresh(states, name);
            files = dirs_list(view, kinds[kind]);
            CHECK(files.count > 0);
            path_join(path, view, files.names[0]);
            names_free(&files);
            dirs_remove(aside);
            if (way >= 2 && way <= 4)
                CHECK(rename(path, aside) == 0);
            if (way == 2)
                CHECK(mkdir(path, 0700) == 0);
            if (way == 3)
                CHECK(mkfifo(path, 0600) == 0);
            if (way == 4)
                CHECK(symlink(aside, path) == 0);
            if (way < 2)
                file_cut(path, way == 0 ? UINT64_C(1) << 40 : 0);
            if (way > 4)
                file_cut(path, file_size(path) + (way == 5 ? 1 : UINT64_MAX));
            CHECK_RC(states_verify(states), COMMITLOG_EDAMAGED);
            states_sound(states);
        }
    }
}

/* Segments below the first position come back, as after an unlink that was not synced. */
void states_retained(struct states *states)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct answers before, after;
    char first[DIRS_PATH_MAX];
    struct file_bytes file;
    states_fresh(states, "segments below the first position");
    states_segment(states, 0, first);
    file = file_read(first);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_OK);
    CHECK_OK(commitlog_retain(store, &policy, &out, &err), &err);
    CHECKF(out.segments_dropped == 2, "%u segments dropped", out.segments_dropped);
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECK(!path_exists(first));
    small_answers(states->path, &before);
    CHECK(before.rc == COMMITLOG_OK && before.messages < states->answers.messages);
    file_write(first, file.data, file.size);
    file_free(&file);
    small_answers(states->path, &after);
    CHECKF(after.rc == COMMITLOG_OK && after.hash == before.hash, "%s: %s", states->name,
           commitlog_error_name(after.rc));
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_OK);
    small_ask(store, &after);
    CHECK(after.rc == COMMITLOG_OK && after.hash == before.hash);
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECKF(!path_exists(first), "%s: not deleted again", states->name);
}

/* A live area of an earlier session is evidence for nothing. */
void states_live(struct states *states)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    struct file_bytes old;
    char live[DIRS_PATH_MAX];
    int status = 0;
    pid_t child = 0;
    states_fresh(states, "stale live area");
    path_join(live, states->path, "LIVE");
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        uint32_t topic = 0;
        CHECK_RC(
            states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
            COMMITLOG_OK);
        CHECK_OK(commitlog_topic_open(store, "alpha", 5, 0, &topic, &err), &err);
        for (uint32_t i = 0; i < 20; i++)
            CHECK_RC(
                commitlog_append(store, topic, 0, "staged only", 11, COMMITLOG_LEVEL_NONE, NULL),
                COMMITLOG_OK);
        (void)kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECKF(path_exists(live), "no %s", live);
    old = file_read(live);
    CHECK_RC(states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err),
             COMMITLOG_OK);
    CHECK_OK(commitlog_close(store, &err), &err);
    small_answers(states->path, &states->answers);
    CHECK(states->answers.rc == COMMITLOG_OK);
    file_write(live, old.data, old.size);
    states_sound(states);
    /* Garbage in its place is no better, and a short one. */
    bytes_fill(old.data, old.size, 5);
    file_write(live, old.data, old.size);
    small_answers(states->path, &states->answers);
    states_sound(states);
    file_write(live, old.data, 100);
    small_answers(states->path, &states->answers);
    states_sound(states);
    file_free(&old);
    small_answers(states->pristine, &states->answers);
}
