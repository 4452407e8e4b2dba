/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill_test.c -- kill -9 again and again: nothing that was acknowledged is gone or different.
 *
 * This process is the checker: it forks the writer, takes its acknowledgements from a pipe, kills
 * it at a random moment (sometimes while it recovers), reopens and compares everything it was ever
 * told. The checker proves on each store that it would notice: a record hidden from it must make
 * it complain, and so must a changed hash.
 *
 * Environment: SEED, ROUNDS (kills per variant, default 10), VARIANT (only this one),
 * COMMITLOG_TEST_DROP_ACK=1 (hides a record in earnest: the program must fail), KEEP=1.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "evidence.h"
#include "kill_writer.h"

enum { KB = 1024 };

static const struct kill_variant variants[] = {
    {"staged", COMMITLOG_ENGINE_STAGED, 4096 * KB, 4096 * KB, COMMITLOG_FLUSH_ASYNC,
     COMMITLOG_LIVE_AUTO, 1, 20000},
    {"mmap", COMMITLOG_ENGINE_MMAP, 4096 * KB, 4096 * KB, COMMITLOG_FLUSH_ASYNC,
     COMMITLOG_LIVE_AUTO, 1, 20000},
    {"staged-small", COMMITLOG_ENGINE_STAGED, 64 * KB, 64 * KB, COMMITLOG_FLUSH_NONE,
     COMMITLOG_LIVE_DIR, 1, 40000},
    {"mmap-small", COMMITLOG_ENGINE_MMAP, 64 * KB, 64 * KB, COMMITLOG_FLUSH_NONE,
     COMMITLOG_LIVE_DIR, 1, 40000},
    {"staged-step", COMMITLOG_ENGINE_STAGED, 256 * KB, 128 * KB, COMMITLOG_FLUSH_SYNC,
     COMMITLOG_LIVE_AUTO, 0, 60000},
    {"mmap-step", COMMITLOG_ENGINE_MMAP, 256 * KB, 128 * KB, COMMITLOG_FLUSH_SYNC,
     COMMITLOG_LIVE_DIR, 0, 60000},
    {"staged-private", COMMITLOG_ENGINE_STAGED, 128 * KB, 64 * KB, COMMITLOG_FLUSH_ASYNC,
     COMMITLOG_LIVE_PRIVATE, 1, 20000}};

/* Takes acknowledgements until the pipe ends or the time is over. */
static void take_acks(struct evidence *evidence, int fd, int64_t until_ms)
{
    static struct ack room[512];
    static size_t filled;
    if (until_ms == 0)
        filled = 0; /* a new pipe */
    for (;;) {
        int64_t left = until_ms - clock_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t got = 0;
        if (until_ms <= 0 || left <= 0)
            return;
        if (poll(&wait, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        got = read(fd, (char *)room + filled, sizeof room - filled);
        CHECK(got >= 0);
        if (got == 0)
            return;
        filled += (size_t)got;
        for (size_t i = 0; i < filled / sizeof room[0]; i++)
            evidence_add(evidence, &room[i]);
        if (filled % sizeof room[0] != 0)
            memmove(room, (char *)room + filled - filled % sizeof room[0], filled % sizeof room[0]);
        filled %= sizeof room[0];
    }
}

/* One life of the writer; the acknowledgements that got out before the kill are evidence. */
static void writer_life(struct evidence *evidence, const char *path,
                        const struct kill_variant *variant, uint64_t seed, int64_t life_ms)
{
    int fds[2];
    int status = 0;
    pid_t child = 0;
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(fds[0]);
        kill_writer_run(path, variant, seed, fds[1]);
    }
    close(fds[1]);
    take_acks(evidence, fds[0], 0);
    take_acks(evidence, fds[0], clock_ms() + life_ms);
    CHECK(kill(child, SIGKILL) == 0);
    take_acks(evidence, fds[0], INT64_MAX);
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "writer status %x", status);
    close(fds[0]);
}

/* A recovery that is killed inside must not matter. */
static void recovery_killed(const char *path, const struct kill_variant *variant, int64_t life_us)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct commitlog_options *options = kill_options(variant);
        struct commitlog_store *store = NULL;
        (void)commitlog_open(path, options, &store, NULL);
        for (;;)
            pause();
    }
    usleep((useconds_t)life_us);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "recovery status %x", status);
}

static void recovery_twice(const char *path)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_recovery found = {.struct_bytes = sizeof found};
    char log[DIRS_PATH_MAX];
    uint64_t before = 0;
    path_join(log, path, "log");
    before = dirs_hash(log);
    CHECK_OK(commitlog_recover(path, NULL, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err), &err);
    commitlog_report_free(report);
    CHECK(dirs_hash(log) == before);
    CHECK_OK(commitlog_recover(path, NULL, 0, &report, &err), &err);
    commitlog_report_free(report);
    before = dirs_hash(log);
    CHECK_OK(commitlog_recover(path, NULL, 0, &report, &err), &err);
    CHECK_RC(commitlog_report_recovery(report, &found), COMMITLOG_OK);
    CHECK(found.bytes_cut == 0 && found.holes_made == 0 && found.records_from_stage == 0);
    commitlog_report_free(report);
    CHECK(dirs_hash(log) == before);
}

static void check_verdict(const struct verdict *verdict)
{
    CHECKF(verdict->lost == 0, "%llu lost: %s", (unsigned long long)verdict->lost, verdict->first);
    CHECKF(verdict->altered == 0, "%llu altered: %s", (unsigned long long)verdict->altered,
           verdict->first);
    CHECKF(verdict->broken == 0, "%llu broken: %s", (unsigned long long)verdict->broken,
           verdict->first);
}

/* The checker against itself. */
static void check_checker(struct evidence *evidence, struct commitlog_store *store, uint32_t least,
                          struct rng *rng)
{
    struct verdict verdict;
    uint32_t victim = 0;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    if (evidence->count == 0)
        return;
    CHECK_RC(commitlog_positions_get(store, &positions), COMMITLOG_OK);
    victim = (uint32_t)rng_below(rng, evidence->count);
    if (evidence->acks[victim].level < least || evidence->acks[victim].position < positions.first)
        return;
    evidence_check(evidence, store, least, victim, &verdict);
    CHECKF(verdict.lost == 1, "a hidden record was not missed (%llu)",
           (unsigned long long)verdict.lost);
    evidence->acks[victim].hash ^= UINT64_C(1) << rng_below(rng, 64);
    evidence_check(evidence, store, least, UINT32_MAX, &verdict);
    CHECKF(verdict.altered == 1, "a changed record was not noticed (%llu)",
           (unsigned long long)verdict.altered);
}

static void reopen_and_check(struct evidence *evidence, const char *path,
                             const struct kill_variant *variant, struct rng *rng, bool last)
{
    struct commitlog_options *options = kill_options(variant);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_recovery found = {.struct_bytes = sizeof found};
    struct verdict verdict;
    uint32_t least =
        variant->live == COMMITLOG_LIVE_PRIVATE ? COMMITLOG_LEVEL_WRITTEN : COMMITLOG_LEVEL_NONE;
    uint32_t forget = UINT32_MAX;
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_RC(commitlog_recovery_get(store, &found), COMMITLOG_OK);
    CHECK(found.tail != COMMITLOG_TAIL_DAMAGED && found.damaged_ranges == 0);
    if (prog_env_is("COMMITLOG_TEST_DROP_ACK") && evidence->count > 0)
        forget = evidence->count / 2;
    evidence_check(evidence, store, least, forget, &verdict);
    check_verdict(&verdict);
    if (last)
        check_checker(evidence, store, least, rng);
    CHECK_OK(commitlog_close(store, &err), &err);
}

static void run_variant(const struct kill_variant *variant, uint64_t seed, uint64_t rounds)
{
    struct evidence evidence = {NULL, 0, 0};
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    struct rng rng;
    rng_begin(&rng, seed);
    dirs_make(root, "kill");
    path_join(path, root, "store");
    for (uint64_t round = 0; round < rounds; round++) {
        /* Mostly into the full load; some lives end while the store is being opened. */
        int64_t life = rng_chance(&rng, 1, 5) ? (int64_t)rng_below(&rng, 8)
                                              : (int64_t)rng_between(&rng, 10, 120);
        prog_step(round);
        writer_life(&evidence, path, variant, seed * 1000 + round, life);
        for (uint64_t i = rng_below(&rng, 3); i > 0; i--)
            recovery_killed(path, variant, (int64_t)rng_below(&rng, 12000));
        if (!path_exists(path))
            continue; /* killed before there was anything */
        if (rng_chance(&rng, 1, 2) && evidence.count > 0)
            recovery_twice(path);
        reopen_and_check(&evidence, path, variant, &rng, round + 1 == rounds);
    }
    printf("%-16s %llu kills, %u acknowledged records\n", variant->name, (unsigned long long)rounds,
           evidence.count);
    CHECKF(evidence.count > 0, "%s: nothing was acknowledged", variant->name);
    evidence_free(&evidence);
    if (!prog_env_is("KEEP"))
        dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("kill_test");
    uint64_t rounds = prog_env("ROUNDS", 10);
    uint64_t only = prog_env("VARIANT", UINT64_MAX);
    prog_watchdog(400);
    for (uint64_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (only == UINT64_MAX || only == i)
            run_variant(&variants[i], seed + i, rounds);
    return prog_end();
}
