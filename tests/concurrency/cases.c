/* SPDX-License-Identifier: BSD-2-Clause */
/* cases.c -- what the threads of each case do. See cases.h. */
#include "cases.h"

#include <string.h>

#include "actors.h"
#include "cases_carry.h"
#include "cases_growth.h"
#include "cases_kept.h"
#include "cases_upkeep.h"
#include "scene.h"

static const struct scene_options options_staged = {.flush = COMMITLOG_FLUSH_NONE};
static const struct scene_options options_mapped = {.engine = COMMITLOG_ENGINE_MMAP,
                                                    .flush = COMMITLOG_FLUSH_NONE};
static const struct scene_options options_aligned = {.flush = COMMITLOG_FLUSH_NONE, .align = 4096};
static const struct scene_options options_durable = {.flush = COMMITLOG_FLUSH_NONE,
                                                     .visibility = COMMITLOG_VISIBLE_DURABLE};

static void begin_appenders(void)
{
    scene_open(&options_staged);
    weave_spawn("append-1", append_one, number(1));
    weave_spawn("append-2", append_one, number(2));
    weave_spawn("drain", drain, NULL);
}

static void begin_appenders_mapped(void)
{
    scene_open(&options_mapped);
    weave_spawn("append-1", append_one, number(1));
    weave_spawn("append-2", append_written, number(2));
    weave_spawn("sync", sync_all, NULL);
}

static void begin_reservations(void)
{
    scene_open(&options_staged);
    weave_spawn("commit", reserve_and_commit, number(1));
    weave_spawn("abort", reserve_and_abort, number(2));
    weave_spawn("written", append_written, number(3));
}

/* A thread that stands still between reserve and commit: where its claim begins, the log ends for
 * everybody, and appends without a level return all the same. */
static struct {
    bool aborts;
    bool claimed;
} stopped;

static void reserve_and_stop(void *arg)
{
    struct commitlog_reservation *it = scene_reserve(number_of(arg), COMMITLOG_LEVEL_NONE);
    stopped.claimed = true;
    weave_stop();
    stopped.claimed = false;
    if (stopped.aborts)
        scene_abort(it, number_of(arg));
    else
        scene_commit(it, number_of(arg), COMMITLOG_LEVEL_NONE);
}

static void append_while_stopped(void *arg)
{
    scene_append(number_of(arg), COMMITLOG_LEVEL_NONE);
    drain(NULL);
}

static void quiet_stopped(void)
{
    const struct clg_log *log = scene.log;
    uint64_t published = clg_log_published(log);
    const uint8_t *record = log->engine->place(log, published);
    WEAVE_CHECK(stopped.claimed && published < clg_log_claimed(log), "nothing stands still");
    WEAVE_CHECK(clg_record_state(clg_word_load(record)) == CLG_RECORD_CLAIMED,
                "published stops at %llu, where nothing is claimed", (unsigned long long)published);
    WEAVE_CHECK(clg_log_written(log) <= published && clg_log_durable(log) <= published,
                "drained or flushed past the claim");
}

static void begin_stopped_with(const struct scene_options *options, bool aborts)
{
    memset(&stopped, 0, sizeof stopped);
    stopped.aborts = aborts;
    scene_open(options);
    weave_spawn("stops", reserve_and_stop, number(1));
    weave_spawn("append", append_while_stopped, number(2));
    weave_spawn("durable", append_durable, number(3));
}

static void begin_stopped_commits(void)
{
    begin_stopped_with(&options_staged, false);
}

static void begin_stopped_aborts(void)
{
    begin_stopped_with(&options_staged, true);
}

static void begin_stopped_mapped(void)
{
    begin_stopped_with(&options_mapped, true);
}

static void begin_stopped_upkeep(void)
{
    memset(&stopped, 0, sizeof stopped);
    scene_open(&options_staged);
    weave_spawn("stops", reserve_and_stop, number(1));
    weave_spawn("append", append_one, number(2));
    weave_spawn("upkeep", upkeep_rounds, number(2));
}

static void begin_reader(void)
{
    scene_open(&options_staged);
    weave_spawn("append", append_two, number(1));
    weave_spawn("read", read_all, number(3));
}

static void begin_readers(void)
{
    scene_open(&options_staged);
    weave_spawn("append-1", append_one, number(1));
    weave_spawn("append-2", append_one, number(2));
    weave_spawn("read", read_all, number(3));
}

static void begin_reader_durable(void)
{
    scene_open(&options_durable);
    weave_spawn("durable", append_durable, number(1));
    weave_spawn("append", append_one, number(2));
    weave_spawn("read", read_all, number(2));
}

static void begin_flushers(void)
{
    scene_open(&options_staged);
    weave_spawn("durable-1", append_durable, number(1));
    weave_spawn("durable-2", append_durable, number(2));
    weave_spawn("durable-3", append_durable, number(3));
}

static void begin_flush_reserved(void)
{
    scene_open(&options_staged);
    weave_spawn("commit", reserve_and_commit, number(1));
    weave_spawn("durable", append_durable, number(2));
}

static void begin_flush_aligned(void)
{
    scene_open(&options_aligned);
    weave_spawn("durable-1", append_durable, number(1));
    weave_spawn("durable-2", append_durable, number(2));
}

/* Behind a claim that is open nothing is flushed: who is woken to lead, and has no more time to
 * wait for its end, leaves it to the others. */
static uint64_t flush_ends[3];

static void sync_upto(uint32_t which, int32_t timeout_ms)
{
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_sync(scene.store, flush_ends[which], timeout_ms, &err);
    WEAVE_CHECK(rc == COMMITLOG_OK || (timeout_ms >= 0 && rc == COMMITLOG_ETIMEDOUT), "sync: %s",
                err.message);
    WEAVE_CHECK(rc != COMMITLOG_OK || clg_log_durable(scene.log) >= flush_ends[which],
                "sync has returned too early");
}

static void sync_patiently(void *arg)
{
    sync_upto(number_of(arg), COMMITLOG_FOREVER);
}

static void sync_for_a_second(void *arg)
{
    sync_upto(number_of(arg), 1000);
}

static void commit_when_quiet(void *arg)
{
    weave_stop();
    scene_commit(arg, 1, COMMITLOG_LEVEL_NONE);
}

static void begin_flush_left(void)
{
    struct commitlog_reservation *held = NULL;
    scene_open(&options_staged);
    for (uint32_t i = 0; i < 3; i++) {
        scene_append(i + 2, COMMITLOG_LEVEL_NONE);
        flush_ends[i] = clg_log_claimed(scene.log);
        if (i == 0)
            held = scene_reserve(1, COMMITLOG_LEVEL_NONE);
    }
    weave_spawn("before", sync_patiently, number(0));
    weave_spawn("leaves", sync_for_a_second, number(1));
    weave_spawn("stays", sync_patiently, number(2));
    weave_spawn("commit", commit_when_quiet, held);
}

static void quiet_flush_left(void)
{
    WEAVE_CHECK(clg_log_durable(scene.log) == flush_ends[0], "what is published is not durable");
}

static void begin_batch(void)
{
    scene_open(&options_staged);
    weave_spawn("batch", append_batch, number(1));
    weave_spawn("drain", drain, NULL);
    weave_spawn("read", read_all, number(4));
}

static void begin_batch_looked_at(void)
{
    scene_open(&options_staged);
    weave_spawn("batch", append_batch, number(1));
    weave_spawn("look", look, number(3));
}

static void begin_batch_reserved(void)
{
    scene_open(&options_staged);
    weave_spawn("commit", reserve_and_commit, number(1));
    weave_spawn("batch", append_batch, number(2));
    weave_spawn("drain", drain, NULL);
}

/* One record fits, the second one begins the next segment. */
static void begin_roll(void)
{
    scene_open(&options_staged);
    scene_fill(160);
    sync_all(NULL);
    weave_spawn("append-1", append_one, number(1));
    weave_spawn("append-2", append_one, number(2));
    weave_spawn("written", append_written, number(3));
}

static void begin_roll_reserved(void)
{
    scene_open(&options_staged);
    scene_fill(160);
    sync_all(NULL);
    weave_spawn("commit", reserve_and_commit, number(1));
    weave_spawn("durable", append_durable, number(2));
    weave_spawn("read", read_all, number(scene.count + 2));
}

static void begin_roll_mapped(void)
{
    scene_open(&options_mapped);
    scene_fill(160);
    sync_all(NULL);
    weave_spawn("commit", reserve_and_commit, number(1));
    weave_spawn("append", append_one, number(2));
    weave_spawn("durable", append_durable, number(3));
}

static void begin_roll_upkeep(void)
{
    scene_open(&options_staged);
    scene_fill(160);
    weave_spawn("append-1", append_one, number(1));
    weave_spawn("append-2", append_one, number(2));
    weave_spawn("upkeep", upkeep_rounds, number(2));
}

static void begin_large(void)
{
    scene_open(&options_staged);
    weave_spawn("large", append_large, number(1));
    weave_spawn("append", append_one, number(2));
    weave_spawn("written", append_written, number(3));
}

static void begin_large_reserved(void)
{
    scene_open(&options_staged);
    weave_spawn("large", append_large, number(1));
    weave_spawn("commit", reserve_and_commit, number(2));
    weave_spawn("read", read_all, number(3));
}

static void commit_held(void *arg)
{
    scene_commit(arg, 1, COMMITLOG_LEVEL_NONE);
}

/* A claim is open, and behind it the ring is full but for one record: the others wait for room. */
static void begin_room(void)
{
    scene_open(&options_staged);
    struct commitlog_reservation *held = scene_reserve(1, COMMITLOG_LEVEL_NONE);
    scene_fill(160);
    weave_spawn("append-2", append_two, number(2));
    weave_spawn("append-3", append_two, number(3));
    weave_spawn("commit", commit_held, held);
}

/* A segment that can go. */
static void begin_filled(void)
{
    scene_open(&options_staged);
    scene_fill(160);
    scene_append_bytes(0, COMMITLOG_LEVEL_DURABLE, 1000);
    scene_step();
}

static void begin_retention(void)
{
    begin_filled();
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("append", append_one, number(1));
    weave_spawn("read", read_while_retained, number(scene.count + 1));
}

static void begin_retention_topic(void)
{
    begin_filled();
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("read", read_topic_while_retained, number(scene.count));
}

static void end_retention(void)
{
    scene_step();
    scene_close();
    scene_finish();
}

static void begin_follow(void)
{
    scene_open(&options_staged);
    weave_spawn("append", append_two, number(1));
    weave_spawn("follow", follow, number(3));
}

/* Followers that are woken or sleep for ever: no bound on a sleep hides a wake-up that is lost. */
static struct {
    bool appended;
    bool done;
} told;

static void begin_told(const struct scene_options *options)
{
    memset(&told, 0, sizeof told);
    scene_open(options);
    weave_patient();
}

static void follow_patiently(void *arg)
{
    follow(arg);
    told.done = true;
}

static void drain_when_quiet(void *arg)
{
    (void)arg;
    weave_stop();
    drain(NULL);
}

/* Who expects followers tells them at each append; else they wait for a drain. */
static void quiet_told(void)
{
    const struct clg_log *log = scene.log;
    bool expected = atomic_load(&log->listeners) != 0;
    WEAVE_CHECK(told.done || !expected, "a follower sleeps at %llu, told of %llu",
                (unsigned long long)clg_log_published(log),
                (unsigned long long)atomic_load(&log->announced));
}

static void begin_follow_told(void)
{
    begin_told(&options_staged);
    weave_spawn("append", append_two, number(1));
    weave_spawn("drain", drain_when_quiet, NULL);
    weave_spawn("follow", follow_patiently, number(3));
}

/* As after a drain that has found one asleep. */
static void begin_follow_expected(void)
{
    begin_follow_told();
    atomic_store(&scene.log->listeners, 16);
}

static void append_and_say(void *arg)
{
    append_one(arg);
    told.appended = true;
}

static void append_and_drain_twice(void *arg)
{
    append_one(arg);
    drain(NULL);
    weave_await(&told.appended);
    drain(NULL);
}

static void begin_follow_drained_with(const struct scene_options *options)
{
    begin_told(options);
    weave_spawn("drain", append_and_drain_twice, number(1));
    weave_spawn("append", append_and_say, number(2));
    weave_spawn("follow", follow, number(3));
}

static void begin_follow_drained(void)
{
    begin_follow_drained_with(&options_staged);
}

static void begin_follow_drained_mapped(void)
{
    begin_follow_drained_with(&options_mapped);
}

static void begin_follow_roll(void)
{
    scene_open(&options_staged);
    weave_spawn("append", append_segments, number(1));
    weave_spawn("follow", follow, number(6));
}

static void begin_follow_large(void)
{
    scene_open(&options_staged);
    weave_spawn("large", append_large, number(1));
    weave_spawn("append", append_one, number(2));
    weave_spawn("follow", follow, number(3));
}

static void begin_follow_retention(void)
{
    begin_filled();
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("follow", follow_while_retained, number(scene.count));
}

static void begin_verify_roll(void)
{
    scene_open(&options_staged);
    weave_spawn("append", append_segments, number(1));
    weave_spawn("upkeep", upkeep_rounds, number(2));
    weave_spawn("verify", verify, NULL);
}

static void begin_verify_retention(void)
{
    begin_filled();
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("append", append_durable, number(1));
    weave_spawn("verify", verify, NULL);
}

const struct weave_case race_cases[] = {
    {"appenders", begin_appenders, scene_step, NULL, scene_finish},
    {"appenders-mapped", begin_appenders_mapped, scene_step, NULL, scene_finish},
    {"reservations", begin_reservations, scene_step, NULL, scene_finish},
    {"stopped-commits", begin_stopped_commits, scene_step, quiet_stopped, scene_finish},
    {"stopped-aborts", begin_stopped_aborts, scene_step, quiet_stopped, scene_finish},
    {"stopped-mapped", begin_stopped_mapped, scene_step, quiet_stopped, scene_finish},
    {"stopped-upkeep", begin_stopped_upkeep, scene_step, quiet_stopped, scene_finish},
    {"reader", begin_reader, scene_step, NULL, scene_finish},
    {"reader-appenders", begin_readers, scene_step, NULL, scene_finish},
    {"reader-durable", begin_reader_durable, scene_step, NULL, scene_finish},
    {"flushers", begin_flushers, scene_step, NULL, scene_finish},
    {"flush-reserved", begin_flush_reserved, scene_step, NULL, scene_finish},
    {"flush-left", begin_flush_left, scene_step, quiet_flush_left, scene_finish},
    {"flush-aligned", begin_flush_aligned, scene_step, NULL, scene_finish},
    {"batch", begin_batch, scene_step, NULL, scene_finish},
    {"batch-looked-at", begin_batch_looked_at, scene_step, NULL, scene_finish},
    {"batch-reserved", begin_batch_reserved, scene_step, NULL, scene_finish},
    {"roll", begin_roll, scene_step, NULL, scene_finish},
    {"roll-reserved", begin_roll_reserved, scene_step, NULL, scene_finish},
    {"roll-mapped", begin_roll_mapped, scene_step, NULL, scene_finish},
    {"roll-upkeep", begin_roll_upkeep, scene_step, NULL, scene_finish},
    {"large", begin_large, scene_step, NULL, scene_finish},
    {"large-reserved", begin_large_reserved, scene_step, NULL, scene_finish},
    {"room", begin_room, scene_step, NULL, scene_finish},
    {"retention", begin_retention, scene_step, NULL, end_retention},
    {"retention-topic", begin_retention_topic, scene_step, NULL, end_retention},
    {"upkeep", begin_upkeep, scene_step, quiet_upkeep, scene_finish},
    {"upkeep-asleep", begin_upkeep_asleep, scene_step, quiet_upkeep, scene_finish},
    {"upkeep-durable", begin_upkeep_durable, scene_step, quiet_upkeep, scene_finish},
    {"upkeep-alone", begin_upkeep_alone, scene_step, quiet_upkeep, scene_finish},
    {"drainer", begin_drainer, scene_step, quiet_drainer, scene_finish},
    {"follow", begin_follow, scene_step, NULL, scene_finish},
    {"follow-told", begin_follow_told, scene_step, quiet_told, scene_finish},
    {"follow-expected", begin_follow_expected, scene_step, quiet_told, scene_finish},
    {"follow-drained", begin_follow_drained, scene_step, NULL, scene_finish},
    {"follow-mapped", begin_follow_drained_mapped, scene_step, NULL, scene_finish},
    {"follow-roll", begin_follow_roll, scene_step, NULL, scene_finish},
    {"follow-large", begin_follow_large, scene_step, NULL, scene_finish},
    {"follow-retention", begin_follow_retention, scene_step, NULL, end_retention},
    {"verify-roll", begin_verify_roll, scene_step, NULL, scene_finish},
    {"verify-retention", begin_verify_retention, scene_step, NULL, end_retention},
    {"close", begin_close, scene_step, NULL, scene_finish},
    {"grow-open", begin_grow_open, scene_step, NULL, end_grow},
    {"grow-undefined", begin_grow_undefined, scene_step, NULL, end_grow},
    {"grow-append", begin_grow_append, scene_step, NULL, end_grow},
    {"grow-retention", begin_grow_retention, scene_step, NULL, end_grow},
    {"kept-timer", begin_kept_timer, scene_step, NULL, end_kept},
    {"kept-transaction", begin_kept_transaction, scene_step, NULL, end_kept},
    {"kept-dead", begin_kept_dead, scene_step, NULL, end_kept},
    {"kept-reserved", begin_kept_reserved, scene_step, NULL, end_kept},
    {"carry-messages", begin_carry_messages, scene_step, NULL, end_carry},
    {"carry-topics", begin_carry_topics, scene_step, NULL, end_carry},
    {"carry-growth", begin_carry_growth, scene_step, NULL, end_carry},
    {"carry-groups", begin_carry_groups, scene_step, NULL, end_carry},
    {"carry-work", begin_carry_work, scene_step, NULL, end_carry},
    {"carry-timers", begin_carry_timers, scene_step, NULL, end_carry},
    {"carry-prepared", begin_carry_prepared, scene_step, NULL, end_carry},
    {"carry-reserved", begin_carry_reserved, scene_step, NULL, end_carry},
    {"carry-kept", begin_carry_reserved, scene_step, NULL, end_carry_kept},
};

uint32_t race_case_count(void)
{
    return sizeof race_cases / sizeof race_cases[0];
}
