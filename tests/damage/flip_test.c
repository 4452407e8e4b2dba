/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flip_test.c -- the bits of a small store flipped in turn: each flip is detected or harmless.
 *
 * Detected: the open, a read or the verification says so with a code of the data kind. Harmless:
 * all answers are those of the pristine store. Nothing else is allowed: no other answer, no crash,
 * no hang. Read-only for each; for writing and in salvage mode for a share of them, on copies.
 * Blocks of 64 zero bytes are tried with one bit each KiB.
 *
 * Environment: SEED, EVERY (every n-th bit, default 3: an odd step meets each bit of a byte, and
 * the seed says with which it begins; 1: all, in two minutes), WRITE_EVERY (every n-th of those
 * also opened for writing, default 20), SALVAGE=0 (not in salvage mode), ONLY (part of a file's
 * path), TEST_DIR. Runs on /dev/shm if TEST_DIR is not set.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "small_store.h"

enum { FLIP_JOBS = 2, FLIP_BLOCK = 64 };

/* Shared with the children, so that a crash can be told. */
struct tally {
    _Atomic uint64_t flips, detected, harmless, written, salvaged, verified;
    struct {
        char file[DIRS_PATH_MAX];
        uint64_t at;
        uint32_t bit;
        const char *phase;
    } now[FLIP_JOBS];
};

struct flip {
    const char *store; /* private copy of this job */
    const char *scratch;
    const char *file;
    uint64_t at;
    uint32_t bit;
    const struct answers *pristine;
    const struct placed *places;
    uint32_t place_count;
    struct tally *tally;
    uint64_t seed;
    uint32_t job;
};

static void phase(struct flip *flip, const char *name)
{
    flip->tally->now[flip->job].phase = name;
}

static void judge(const struct flip *flip, const struct answers *got, const char *how)
{
    bool same = got->rc == COMMITLOG_OK && got->hash == flip->pristine->hash;
    CHECKF(same || small_is_damage(got->rc), "%s: %s byte %llu bit %u: %s in %s, %llu messages",
           how, flip->file, (unsigned long long)flip->at, flip->bit, commitlog_error_name(got->rc),
           got->where, (unsigned long long)got->messages);
    if (same)
        flip->tally->harmless++;
    else
        flip->tally->detected++;
}

/* verify must agree with the reads: what they refuse, it names. */
static void judge_verify(struct flip *flip, const struct answers *got)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    int32_t rc = commitlog_verify(flip->store, NULL, &report, &err);
    CHECKF(rc == COMMITLOG_OK || small_is_damage(rc), "verify: %s byte %llu bit %u: %s: %s",
           flip->file, (unsigned long long)flip->at, flip->bit, commitlog_error_name(rc),
           err.message);
    /* Without its newest checkpoint the log is sound, but what is durable is no longer proven: a
     * reader says so, and the next writer's recovery settles it. */
    bool unproven = got->rc == COMMITLOG_EUNRECOVERED && strstr(flip->file, "CHECKPOINT") != NULL;
    if (got->rc != COMMITLOG_OK && !unproven)
        CHECKF(rc != COMMITLOG_OK, "reads say %s in %s, verify says sound: %s byte %llu bit %u",
               commitlog_error_name(got->rc), got->where, flip->file, (unsigned long long)flip->at,
               flip->bit);
    if (rc == COMMITLOG_EDAMAGED)
        CHECK_RC(commitlog_report_damage(report, 0, &damage), COMMITLOG_OK);
    commitlog_report_free(report);
    flip->tally->verified++;
}

/* For writing: a refusal changes nothing, an acceptance loses nothing. */
static void judge_write(struct flip *flip)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct answers got;
    char log[DIRS_PATH_MAX];
    uint64_t before = 0;
    int32_t rc = 0;
    dirs_copy(flip->store, flip->scratch);
    path_join(log, flip->scratch, "log");
    before = dirs_hash(log);
    rc = commitlog_open(flip->scratch, options, &store, &err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_OK) {
        small_ask(store, &got);
        judge(flip, &got, "write");
        CHECK_RC(commitlog_close(store, &err), COMMITLOG_OK);
        small_answers(flip->scratch, &got);
        judge(flip, &got, "after the close");
    } else {
        CHECKF(small_is_damage(rc), "open for writing: %s byte %llu bit %u: %s", flip->file,
               (unsigned long long)flip->at, flip->bit, commitlog_error_name(rc));
        CHECKF(dirs_hash(log) == before, "a refused open changed the log: %s byte %llu bit %u",
               flip->file, (unsigned long long)flip->at, flip->bit);
    }
    dirs_remove(flip->scratch);
    flip->tally->written++;
}

/* Salvage keeps every record but the one (or the batch) that was hit, and nothing else appears. */
static void judge_salvage(struct flip *flip)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t gone = 0;
    uint64_t batch = 0;
    dirs_copy(flip->store, flip->scratch);
    CHECK_OK(commitlog_open(flip->scratch, options, &store, &err), &err);
    commitlog_options_free(options);
    for (uint32_t i = 0; i < flip->place_count; i++) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        int32_t rc = commitlog_get(store, flip->places[i].position, &message, &lease, &err);
        if (rc == COMMITLOG_OK) {
            CHECK(small_message_hash(&message) == flip->places[i].hash);
        } else if (batch == 0 || flip->places[i].batch_first != batch) {
            gone++;
            batch = flip->places[i].batch_first;
        }
        if (rc == COMMITLOG_OK || rc == COMMITLOG_EHOLE)
            commitlog_lease_release(lease);
    }
    CHECKF(gone <= 1, "salvage lost %u records: %s byte %llu bit %u", gone, flip->file,
           (unsigned long long)flip->at, flip->bit);
    CHECK_RC(commitlog_close(store, &err), COMMITLOG_OK);
    /* What salvage wrote down lets the store be opened again as usual. */
    options = small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    CHECK_OK(commitlog_open(flip->scratch, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_RC(commitlog_close(store, &err), COMMITLOG_OK);
    dirs_remove(flip->scratch);
    flip->tally->salvaged++;
}

static void flip_one(struct flip *flip, uint8_t byte, bool write)
{
    struct answers got;
    uint8_t changed = (uint8_t)(byte ^ (1U << flip->bit));
    file_patch(flip->file, flip->at, &changed, 1);
    phase(flip, "read");
    small_answers(flip->store, &got);
    judge(flip, &got, "read");
    phase(flip, "verify");
    judge_verify(flip, &got);
    if (write) {
        phase(flip, "write");
        judge_write(flip);
        phase(flip, "salvage");
        if (prog_env("SALVAGE", 1) != 0)
            judge_salvage(flip);
    }
    file_patch(flip->file, flip->at, &byte, 1);
    flip->tally->flips++;
}

static bool block_is_zero(const struct file_bytes *file, uint64_t at)
{
    for (uint64_t i = at - at % FLIP_BLOCK; i < file->size && i < at - at % FLIP_BLOCK + FLIP_BLOCK;
         i++)
        if (file->data[i] != 0)
            return false;
    return true;
}

static void flip_file(struct flip *flip, uint64_t every, uint64_t write_every)
{
    struct file_bytes file = file_read(flip->file);
    uint64_t counter = flip->seed % every;
    snprintf(flip->tally->now[flip->job].file, DIRS_PATH_MAX, "%s", flip->file);
    for (uint64_t at = 0; at < file.size; at++) {
        bool zero = block_is_zero(&file, at);
        if (zero && at % 1024 != 40)
            continue;
        for (uint32_t bit = zero ? 3 : 0; bit < (zero ? 4U : 8U); bit++) {
            if (counter++ % (every * FLIP_JOBS) != flip->job * every)
                continue;
            flip->at = at;
            flip->bit = bit;
            flip->tally->now[flip->job].at = at;
            flip->tally->now[flip->job].bit = bit;
            prog_step(counter);
            flip_one(flip, file.data[at], counter / (every * FLIP_JOBS) % write_every == 0);
        }
    }
    file_free(&file);
}

static void flip_tree(struct flip *flip, const char *directory, uint64_t every,
                      uint64_t write_every)
{
    static const char *const skipped[] = {"LOCK", "LIVE", "log", "view", "quarantine"};
    struct name_list names = dirs_list(directory, "");
    for (uint32_t i = 0; i < names.count; i++) {
        char file[DIRS_PATH_MAX];
        bool skip = false;
        for (size_t k = 0; k < sizeof skipped / sizeof skipped[0]; k++)
            skip = skip || strcmp(names.names[i], skipped[k]) == 0;
        if (skip)
            continue;
        path_join(file, directory, names.names[i]);
        if (getenv("ONLY") != NULL && strstr(file, getenv("ONLY")) == NULL)
            continue;
        flip->file = file;
        flip_file(flip, every, write_every);
    }
    names_free(&names);
}

/* One of the processes that share the work; each has its own copy of the store. */
static _Noreturn void job_run(struct flip *flip, const char *pristine, const char *root)
{
    char path[DIRS_PATH_MAX], scratch[DIRS_PATH_MAX], part[DIRS_PATH_MAX];
    char name[32];
    uint64_t every = prog_env("EVERY", 3);
    uint64_t write_every = prog_env("WRITE_EVERY", 20);
    uint64_t before = 0;
    snprintf(name, sizeof name, "copy-%u", flip->job);
    path_join(path, root, name);
    snprintf(name, sizeof name, "scratch-%u", flip->job);
    path_join(scratch, root, name);
    dirs_copy(pristine, path);
    before = dirs_hash(path);
    flip->store = path;
    flip->scratch = scratch;
    flip_tree(flip, path, every, write_every);
    path_join(part, path, "log");
    flip_tree(flip, part, every, write_every);
    path_join(part, path, "view");
    if (path_exists(part))
        flip_tree(flip, part, every, write_every);
    /* Reading never writes: after all flips are undone the store is what it was. */
    CHECK(dirs_hash(path) == before);
    _exit(0);
}

static void run_jobs(struct flip *flip, const char *pristine, const char *root)
{
    pid_t children[FLIP_JOBS];
    fflush(stdout);
    for (uint32_t i = 0; i < FLIP_JOBS; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            prog_watchdog(500);
            flip->job = i;
            job_run(flip, pristine, root);
        }
    }
    for (uint32_t i = 0; i < FLIP_JOBS; i++) {
        int status = 0;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0,
               "status %x while: %s, %s byte %llu bit %u", (unsigned)status,
               flip->tally->now[i].phase, flip->tally->now[i].file,
               (unsigned long long)flip->tally->now[i].at, flip->tally->now[i].bit);
    }
}

static void run_engine(uint64_t engine, uint64_t seed, struct tally *tally)
{
    static struct placed places[SMALL_POSITIONS_MAX];
    struct answers pristine;
    struct flip flip = {.pristine = &pristine, .places = places, .tally = tally, .seed = seed};
    char root[DIRS_PATH_MAX], path[DIRS_PATH_MAX];
    dirs_make(root, "flip");
    path_join(path, root, "store");
    small_make(path, engine, seed);
    small_answers(path, &pristine);
    CHECKF(pristine.rc == COMMITLOG_OK, "%s in %s", commitlog_error_name(pristine.rc),
           pristine.where);
    CHECK(pristine.messages > 100);
    flip.place_count = small_places(path, places);
    CHECK(flip.place_count == 36);
    run_jobs(&flip, path, root);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("flip_test");
    struct tally *tally =
        mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tally != MAP_FAILED);
    prog_watchdog(600);
    if (getenv("TEST_DIR") == NULL && access("/dev/shm", W_OK) == 0)
        CHECK(setenv("TEST_DIR", "/dev/shm", 1) == 0);
    run_engine(COMMITLOG_ENGINE_STAGED, seed, tally);
    printf("flips %llu: detected %llu, harmless %llu; for writing %llu, salvage %llu\n",
           (unsigned long long)tally->flips, (unsigned long long)tally->detected,
           (unsigned long long)tally->harmless, (unsigned long long)tally->written,
           (unsigned long long)tally->salvaged);
    CHECK(tally->flips > 0 && tally->detected > 0 && tally->verified == tally->flips);
    prog_checks_add(tally->flips * 2 + tally->written * 2 + tally->salvaged);
    return prog_end();
}
