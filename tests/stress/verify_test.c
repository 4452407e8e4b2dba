/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify_test.c -- a store is verified again and again while it is written: it is always sound.
 *
 * Small segments are filled, sealed and dropped by retention all the time, so each verification
 * meets files that are sealed, or gone, since it has listed them. Checkpoints are written at the
 * same time: none may know less of what was dropped than one before it.
 *
 * Environment: SEED, SECONDS (2 for each engine).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../support/dirs.h"
#include "../support/prog.h"

enum { WRITERS = 2, BODY_MAX = 3000 };

struct scene {
    struct commitlog_store *store;
    uint32_t topic;
    uint64_t seed;
    _Atomic bool end;
};

static void *write_main(void *arg)
{
    struct scene *scene = arg;
    uint8_t body[BODY_MAX];
    struct rng rng;
    rng_begin(&rng, scene->seed);
    bytes_fill(body, sizeof body, scene->seed);
    while (!atomic_load(&scene->end))
        CHECK_RC(commitlog_append(scene->store, scene->topic, 0, body,
                                  (size_t)rng_below(&rng, sizeof body), COMMITLOG_LEVEL_NONE, NULL),
                 COMMITLOG_OK);
    return NULL;
}

/* Its own checkpoints, against those of retention: what is dropped must stay so. */
static void *checkpoint_main(void *arg)
{
    struct scene *scene = arg;
    struct commitlog_error err = {.message = ""};
    while (!atomic_load(&scene->end))
        CHECK_OK(commitlog_checkpoint(scene->store, &err), &err);
    return NULL;
}

static void option_set(struct commitlog_options *options, int32_t id, uint64_t value)
{
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_options_set(options, id, value, &err), &err);
}

static void check_sound(const char *path)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    int32_t rc = commitlog_verify(path, NULL, &report, &err);
    if (rc == COMMITLOG_EDAMAGED && commitlog_report_damage(report, 0, &damage) == COMMITLOG_OK)
        printf("damage: [%llu, %llu): %s\n", (unsigned long long)damage.from_position,
               (unsigned long long)damage.to_position, damage.reason);
    commitlog_report_free(report);
    CHECK_OK(rc, &err);
}

static void run(uint64_t engine, uint64_t seed, int64_t ms)
{
    struct scene scene = {.seed = seed};
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    pthread_t ids[WRITERS + 1];
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    int64_t until = 0;
    uint64_t times = 0;
    dirs_make(root, "verify");
    path_join(path, root, "store");
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    option_set(options, COMMITLOG_OPT_ENGINE, engine);
    option_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 64 << 10);
    option_set(options, COMMITLOG_OPT_STAGE_BYTES, 64 << 10);
    option_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE);
    option_set(options, COMMITLOG_OPT_RETAIN_BYTES, 512 << 10);
    CHECK_OK(commitlog_open(path, options, &scene.store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(scene.store, "verify", 6, 1, &scene.topic, &err), &err);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&ids[i], NULL, write_main, &scene) == 0);
    CHECK(pthread_create(&ids[WRITERS], NULL, checkpoint_main, &scene) == 0);
    for (until = clock_ms() + ms; clock_ms() < until; times++) {
        prog_step(times);
        check_sound(path);
    }
    atomic_store(&scene.end, true);
    for (int i = 0; i <= WRITERS; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    CHECK_OK(commitlog_close(scene.store, &err), &err);
    check_sound(path);
    dirs_remove(root);
    printf("verified %llu times\n", (unsigned long long)times);
}

int main(void)
{
    uint64_t seed = prog_begin("verify_test");
    int64_t ms = (int64_t)prog_env("SECONDS", 2) * 1000;
    prog_watchdog(300);
    run(COMMITLOG_ENGINE_STAGED, seed, ms);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, ms);
    return prog_end();
}
