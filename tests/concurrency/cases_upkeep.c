/* SPDX-License-Identifier: BSD-2-Clause */
/* cases_upkeep.c -- see cases_upkeep.h. */
#include "cases_upkeep.h"

#include "actors.h"
#include "scene.h"
#include "store/store.h"
#include "weave.h"

static const struct scene_options options_upkeep = {.flush = COMMITLOG_FLUSH_ASYNC, .thread = 1};
static const struct scene_options options_alone = {.flush = COMMITLOG_FLUSH_ASYNC};

/* The library's own threads, which sleep when there is nothing to do. Whoever closes comes last. */
static void close_when_quiet(void *arg)
{
    (void)arg;
    weave_stop();
    scene_check_queue();
    scene_close();
}

void quiet_upkeep(void)
{
    WEAVE_CHECK(clg_log_durable(scene.log) == clg_log_published(scene.log),
                "upkeep sleeps for ever, and [%llu, %llu) is not flushed",
                (unsigned long long)clg_log_durable(scene.log),
                (unsigned long long)clg_log_published(scene.log));
}

void begin_upkeep(void)
{
    scene_open(&options_upkeep);
    weave_spawn("append", append_two, number(1));
    weave_spawn("close", close_when_quiet, NULL);
}

/* While upkeep works off what the opening left, and falls asleep. */
static void append_after_nap(void *arg)
{
    scene_os()->sleep_ns(scene_os(), INT64_C(3600) * CLG_OS_NS_PER_S);
    append_one(arg);
}

void begin_upkeep_asleep(void)
{
    scene_open(&options_upkeep);
    weave_spawn("append", append_after_nap, number(1));
    weave_spawn("close", close_when_quiet, NULL);
}

void begin_upkeep_durable(void)
{
    scene_open(&options_upkeep);
    weave_spawn("append", append_one, number(1));
    weave_spawn("durable", append_durable, number(2));
    weave_spawn("close", close_when_quiet, NULL);
}

/* Closed as soon as the append has returned, wherever upkeep is. */
static bool close_may;

static void append_then_let_close(void *arg)
{
    append_one(arg);
    close_may = true;
}

static void close_at_once(void *arg)
{
    (void)arg;
    weave_await(&close_may);
    scene_check_queue();
    scene_close();
}

void begin_close(void)
{
    close_may = false;
    scene_open(&options_upkeep);
    weave_spawn("append", append_then_let_close, number(1));
    weave_spawn("close", close_at_once, NULL);
}

/* ---- one of the threads alone: what it leaves nobody else takes --------------------------------
 */

static struct clg_store_thread *alone;

static void append_written_after_nap(void *arg)
{
    scene_os()->sleep_ns(scene_os(), INT64_C(3600) * CLG_OS_NS_PER_S);
    append_written(arg);
    clg_thread_call(scene.store, &scene.store->upkeep); /* as the drainer would */
}

static void alone_runs(void *arg)
{
    if (arg == &scene.store->drainer) {
        clg_drainer_main(scene.store);
    } else {
        clg_services_main(scene.store);
    }
}

static void stop_when_quiet(void *arg)
{
    (void)arg;
    weave_stop();
    clg_store_release_u32(&scene.store->thread_stop, 1);
    clg_wake_word(scene_os(), &alone->word, false);
    scene.store->has_thread = false; /* for who closes */
}

static void begin_alone(const struct scene_options *options, bool drains)
{
    scene_open(options);
    alone = drains ? &scene.store->drainer : &scene.store->upkeep;
    scene.store->has_thread = true;
    weave_spawn(drains ? "drainer" : "upkeep", alone_runs, alone);
    weave_spawn("stop", stop_when_quiet, NULL);
}

void quiet_drainer(void)
{
    WEAVE_CHECK(clg_log_staged_bytes(scene.log) == 0,
                "the drainer sleeps for ever, and leaves %llu",
                (unsigned long long)clg_log_staged_bytes(scene.log));
}

void begin_drainer(void)
{
    begin_alone(&options_alone, true);
    weave_spawn("append", append_after_nap, number(1));
}

void begin_upkeep_alone(void)
{
    begin_alone(&options_alone, false);
    weave_spawn("append", append_written_after_nap, number(1));
}
