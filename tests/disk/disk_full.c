/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_full.c -- one store on one small disk that fills up, again and again.
 *
 *     disk_full DIR ACKS WAY ENGINE FLUSH PREWRITE SEED
 *
 * DIR is on the small disk, ACKS (what was acknowledged) on another. WAY is how the disk fills:
 *     appends    by the store's own appends
 *     others     another file takes everything while the store is small
 *     inodes     there are blocks, but no inodes
 *     late       as `others`, on a file system that cannot reserve space (ext2), or cannot reserve
 *                what it needs to use that (btrfs with data and metadata in the same blocks)
 *     naive      the control: a mapped sparse file, no library; must die of SIGBUS
 *     unmounted  what a later mount of the same disk must still show, after all of the above
 *
 * A first process fills the disk and holds the library to what it says: COMMITLOG_ENOSPC with its
 * errno before anything is stored, for appends of every kind; nothing is latched; sync, checkpoint,
 * verify and reads go on, here and in a live read-only process; retention frees space although it
 * must append; appends then go on without another open, and once more when the other files are
 * gone. Then the disk is filled to the last block, and the process killed. A second one opens the
 * store on the full disk, several times: it recovers, or says ENOSPC and spoils nothing. A third
 * one opens it with space, loses nothing, appends, closes, and leaves a store that verifies.
 *
 * Exit status: 0 as promised; 1 not as promised; 3 somebody died of SIGBUS; 5 something that was
 * acknowledged is missing or differs.
 *
 * Owns: DIR/store, DIR/filler. Threads: the first process has a second one that appends while it
 *       is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "full_session.h"

enum { TOPICS_MAX = 5000, WATCHDOG_S = 60 };
enum { FREE_BYTES = 12 * KB * KB, FREE_INODES = 60 };

/* ---- a full disk -------------------------------------------------------------------------------
 */

/* Who makes topics on a full disk must not take what retention needs. */
static void fill_with_topics(struct session *s)
{
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < TOPICS_MAX; i++) {
        char name[32];
        uint32_t number = 0;
        int length = snprintf(name, sizeof name, "more/%llu/%u",
                              (unsigned long long)rng_below(&s->rng, UINT32_MAX), i);
        rc = commitlog_topic_open(s->store, name, (size_t)length, 1, &number, &s->err);
    }
    if (rc != COMMITLOG_ENOSPC)
        must_hold(s, rc, "making topics on a full disk");
    CHECKF(rc == COMMITLOG_ENOSPC, "%u topics are made on a full disk", TOPICS_MAX);
    CHECK(s->err.os_errno == ENOSPC || s->err.os_errno == EDQUOT);
}

static void check_verify(const struct world *world)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    int32_t rc = commitlog_verify(world->store_path, NULL, &report, &err);
    if (rc == COMMITLOG_EDAMAGED && commitlog_report_damage(report, 0, &damage) == COMMITLOG_OK)
        printf("damage: [%llu, %llu): %s\n", (unsigned long long)damage.from_position,
               (unsigned long long)damage.to_position, damage.reason);
    commitlog_report_free(report);
    CHECK_OK(rc, &err);
}

static void check_full(struct session *s, struct peer *peer, bool topics)
{
    for (uint32_t i = 0; i < REFUSALS; i++) {
        int32_t rc = i % 3 == 0   ? put_batch(s, LARGE)
                     : i % 3 == 1 ? put_reserved(s, LARGE)
                                  : put_one(s, LARGE);
        session_step(s);
        if (rc != COMMITLOG_OK) /* a small one may still fit */
            check_refusal(s, rc);
    }
    settle(s);
    must_hold(s, commitlog_checkpoint(s->store, &s->err), "a checkpoint of a full store");
    if (topics)
        fill_with_topics(s);
    sleep_ms(s->steps ? 0 : 30); /* upkeep meets the full disk too */
    for (uint32_t i = 0; i < 20; i++)
        session_step(s);
    must_hold(s, commitlog_checkpoint(s->store, &s->err), "a checkpoint of a full store");
    compare(s, "the full store");
    peer_ask(peer);
    check_verify(s->world);
    must_hold(s, commitlog_failure(s->store, &s->err), "a full store");
}

/* Drops three segments, or all but one where a few is all there was room for. What came before must
 * be gone, and no more. It may stop early, when the reader still has mapped what is gone, and what
 * it carries forward needs a new segment. */
static void retain_some(struct session *s, struct peer *peer)
{
    struct commitlog_positions before = {.struct_bytes = sizeof before};
    struct commitlog_positions after = {.struct_bytes = sizeof after};
    struct commitlog_retained done = {.struct_bytes = sizeof done};
    struct commitlog_retention policy = {.struct_bytes = sizeof policy};
    const uint64_t segment = s->world->segment_bytes;
    uint64_t expected = 0, dropped = 0;
    int32_t rc = COMMITLOG_OK;
    CHECK_RC(commitlog_positions_get(s->store, &before), COMMITLOG_OK);
    policy.keep_bytes = before.claimed - before.first;
    policy.keep_bytes = policy.keep_bytes > 4 * segment ? policy.keep_bytes - 3 * segment : segment;
    expected = (before.claimed - policy.keep_bytes) / segment - before.first / segment;
    CHECKF(expected > 0, "the disk is full with %llu bytes in the log",
           (unsigned long long)(before.claimed - before.first));
    do {
        rc = commitlog_retain(s->store, &policy, &done, &s->err);
        if (rc != COMMITLOG_ENOSPC || done.segments_dropped == 0)
            must_hold(s, rc, "retention on a full disk");
        dropped += done.segments_dropped;
        settle(s);
        peer_ask(peer); /* what it has mapped is free once it has looked */
    } while (rc != COMMITLOG_OK);
    CHECK_RC(commitlog_positions_get(s->store, &after), COMMITLOG_OK);
    CHECKF(dropped >= expected, "%llu segments dropped, not %llu: first was %llu, claimed %llu",
           (unsigned long long)dropped, (unsigned long long)expected,
           (unsigned long long)before.first, (unsigned long long)before.claimed);
    CHECKF(after.first > before.first && after.first - before.first <= 5 * segment,
           "first went from %llu to %llu", (unsigned long long)before.first,
           (unsigned long long)after.first);
}

static void *hammer(void *arg)
{
    struct session *s = arg;
    for (;;) {
        int32_t rc = put(s);
        if (rc != COMMITLOG_OK)
            check_refusal(s, rc);
    }
    return NULL;
}

static _Noreturn void hammer_and_die(struct session *s)
{
    pthread_t id;
    uint64_t wait_ms = rng_below(&s->rng, 30);
    CHECK(pthread_create(&id, NULL, hammer, s) == 0);
    sleep_ms((int64_t)wait_ms);
    kill(getpid(), SIGKILL);
    abort();
}

/* ---- the processes -----------------------------------------------------------------------------
 */

/* With one large file at first, which is what is removed later. */
static void world_leave(struct world *world)
{
    if (world->inodes)
        filler_leave_inodes(&world->filler, FREE_INODES);
    else
        filler_leave(&world->filler, FREE_BYTES);
}

/* Fills the disk, by ourselves alone or while others do. */
static void become_full(struct session *s)
{
    struct world *world = s->world;
    bool others = world->late || strcmp(world->way, "others") == 0;
    if (others && !fill(s, 5 * world->segment_bytes + world->segment_bytes / 2))
        filler_take_all(&world->filler, false);
    fill(s, UINT64_MAX / 2);
}

static _Noreturn void process_first(struct world *world, struct peer *peer)
{
    struct session s;
    CHECK_OK(session_begin(&s, world, world->seed), &s.err);
    CHECK(session_topics(s.store, true, s.topics) == 0);
    CHECK(!fill(&s, world->segment_bytes / 2));
    settle(&s);
    peer_ask(peer);
    become_full(&s);
    if (is_latched(&s))
        latched_and_die(&s);
    check_full(&s, peer, true);
    for (uint32_t i = 0; i < 2; i++) {
        retain_some(&s, peer);
        /* Of the inodes that are freed, view files take some. */
        check_resumes(&s, world->segment_bytes / 2, !world->late);
        fill(&s, UINT64_MAX / 2);
        if (is_latched(&s))
            latched_and_die(&s);
        check_full(&s, peer, false);
    }
    filler_release(&world->filler);
    check_resumes(&s, 4 * world->segment_bytes, true);
    settle(&s);
    peer_ask(peer);
    if (world->inodes)
        filler_leave_inodes(&world->filler, 1);
    else
        filler_leave(&world->filler, 2 * world->segment_bytes);
    fill(&s, UINT64_MAX / 2);
    filler_take_all(&world->filler, world->inodes);
    fill(&s, UINT64_MAX / 2);
    if (is_latched(&s))
        latched_and_die(&s);
    compare(&s, "the store, full again");
    hammer_and_die(&s);
}

static void read_unrecovered(const struct world *world)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL),
             COMMITLOG_OK);
    CHECK_OK(commitlog_open(world->store_path, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_close(store, &err), &err);
}

static _Noreturn void process_reopen(struct world *world)
{
    struct session s;
    struct rng rng;
    rng_begin(&rng, world->seed ^ 0x2e0);
    for (uint32_t i = 0; i < 3; i++) {
        read_unrecovered(world);
        check_verify(world);
        int32_t rc = session_begin(&s, world, rng_next(&rng));
        if (rc != COMMITLOG_OK) {
            CHECKF(rc == COMMITLOG_ENOSPC && s.err.os_errno == ENOSPC,
                   "open on a full disk: %s, errno %d: %s", commitlog_error_name(rc),
                   s.err.os_errno, s.err.message);
            printf("note: no open on the full disk: %s\n", s.err.message);
            continue;
        }
        printf("reopened\n");
        compare(&s, "reopened on the full disk");
        CHECK(session_topics(s.store, false, s.topics) == 0);
        fill(&s, world->segment_bytes);
        if (i == 2)
            break; /* and dies as it is */
        rc = commitlog_close(s.store, &s.err);
        CHECKF(rc == COMMITLOG_OK || (world->late && rc != COMMITLOG_OK), "close: %s",
               s.err.message);
    }
    fflush(stdout);
    _exit(0);
}

static _Noreturn void process_last(struct world *world)
{
    struct session s;
    CHECK_OK(session_begin(&s, world, world->seed ^ 0x1a57), &s.err);
    compare(&s, "reopened with space");
    CHECK(session_topics(s.store, false, s.topics) == 0);
    CHECK(!fill(&s, world->segment_bytes * 2));
    compare(&s, "at last");
    check_verify(world);
    CHECK_OK(commitlog_close(s.store, &s.err), &s.err);
    check_verify(world);
    fflush(stdout);
    _exit(0);
}

static pid_t process_fork(void)
{
    pid_t pid = -1;
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        prog_watchdog(WATCHDOG_S);
    }
    return pid;
}

/* ---- main --------------------------------------------------------------------------------------
 */

/* What a store without reservations does on a full disk; whoever looks for SIGBUS must see it. */
static _Noreturn void process_naive(struct world *world)
{
    char path[DIRS_PATH_MAX];
    const size_t bytes = 4 * KB * KB;
    CHECK(snprintf(path, sizeof path, "%s.sparse", world->store_path) < (int)sizeof path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    filler_take_all(&world->filler, false);
    for (size_t at = 0; at < bytes; at += 4 * KB)
        ((volatile uint8_t *)map)[at] = 1;
    _exit(0);
}

static int run_unmounted(struct world *world)
{
    struct session s;
    check_verify(world);
    CHECK_OK(session_begin(&s, world, world->seed), &s.err);
    compare(&s, "mounted again");
    CHECK_OK(commitlog_close(s.store, &s.err), &s.err);
    return 0;
}

/* Where a store into a page of a file can raise SIGBUS, there is no such store. */
static int run_refused(struct world *world)
{
    struct session s;
    struct commitlog_options *options = options_make(world, world->seed);
    CHECK_RC(session_begin(&s, world, world->seed), COMMITLOG_EUNSUPPORTED);
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_DIR, NULL),
             COMMITLOG_OK);
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, COMMITLOG_ENGINE_STAGED, NULL),
             COMMITLOG_OK);
    if (world->btrfs)
        CHECK_RC(commitlog_open(world->store_path, options, &s.store, NULL),
                 COMMITLOG_EUNSUPPORTED);
    commitlog_options_free(options);
    puts("refused");
    return 0;
}

static int run(struct world *world)
{
    struct peer peer;
    pid_t writer = -1;
    int status = 0;
    if ((world->late || world->btrfs) && strcmp(world->engine, "mmap") == 0)
        return run_refused(world);
    world_leave(world);
    peer_begin(&peer, world->store_path, world->acks_path);
    writer = process_fork();
    if (writer == 0)
        process_first(world, &peer);
    status = process_wait(writer);
    peer_end(&peer);
    peer_judge(status, true, "the writer");
    writer = process_fork();
    if (writer == 0)
        process_reopen(world);
    peer_judge(process_wait(writer), false, "who opens the store on a full disk");
    filler_release(&world->filler);
    writer = process_fork();
    if (writer == 0)
        process_last(world);
    peer_judge(process_wait(writer), false, "who opens the store with space");
    return 0;
}

int main(int argc, char **argv)
{
    static struct world world;
    char path[DIRS_PATH_MAX];
    struct statfs system;
    pid_t naive = -1;
    CHECKF(argc == 8, "usage: %s DIR ACKS WAY ENGINE FLUSH PREWRITE SEED", argv[0]);
    path_join(world.store_path, argv[1], "store");
    path_join(path, argv[1], "filler");
    world.acks_path = argv[2];
    world.way = argv[3];
    world.engine = argv[4];
    world.flush = strcmp(argv[5], "sync") == 0    ? COMMITLOG_FLUSH_SYNC
                  : strcmp(argv[5], "async") == 0 ? COMMITLOG_FLUSH_ASYNC
                                                  : COMMITLOG_FLUSH_NONE;
    world.prewrite = strcmp(argv[6], "yes") == 0;
    world.seed = strtoull(argv[7], NULL, 0);
    world.segment_bytes = (world.seed % 2 == 0 ? 256 : 512) * KB;
    world.late = strcmp(world.way, "late") == 0;
    world.inodes = strcmp(world.way, "inodes") == 0;
    prog_seed_set(world.seed);
    prog_watchdog(3 * WATCHDOG_S);
    filler_begin(&world.filler, path);
    CHECK(statfs(path, &system) == 0);
    world.btrfs = (uint64_t)system.f_type == BTRFS_SUPER_MAGIC;
    if (strcmp(world.way, "unmounted") == 0)
        return run_unmounted(&world);
    if (strcmp(world.way, "naive") != 0)
        return run(&world);
    naive = process_fork();
    if (naive == 0)
        process_naive(&world);
    peer_judge(process_wait(naive), false, "the control");
    return 0;
}
