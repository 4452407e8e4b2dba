/* SPDX-License-Identifier: BSD-2-Clause */
/* plan.c -- the life of one writer; see plan.h. */
#define _GNU_SOURCE
#include "plan.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define KB UINT64_C(1024)

static bool may_lock(uint64_t bytes)
{
    struct rlimit limit = {0, 0};
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

void plan_draw(struct plan *out, uint64_t seed)
{
    static const uint64_t segments[] = {64 * KB, 64 * KB, 128 * KB, 256 * KB, PLAN_SEGMENT_MAX};
    static const uint64_t stages[] = {64 * KB, 64 * KB, 256 * KB, PLAN_STAGE_MAX};
    static const uint64_t locks[] = {COMMITLOG_MLOCK_NONE, COMMITLOG_MLOCK_STAGE,
                                     COMMITLOG_MLOCK_HOT, COMMITLOG_MLOCK_REQUIRED};
    struct rng rng;
    rng_begin(&rng, seed);
    memset(out, 0, sizeof *out);
    out->seed = seed;
    out->engine = rng_below(&rng, 2);
    out->segment = segments[rng_below(&rng, 5)];
    out->stage = stages[rng_below(&rng, 4)];
    out->flush = rng_below(&rng, 3);
    out->flush_interval_ms = rng_between(&rng, 1, 40);
    out->flush_bytes = rng_chance(&rng, 1, 2) ? 64 * KB : 16 * KB * KB;
    out->align = rng_chance(&rng, 1, 4) ? UINT64_C(4096) : 0;
    out->visibility =
        rng_chance(&rng, 1, 4) ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED;
    out->live = rng_chance(&rng, 1, 8) ? (uint64_t)COMMITLOG_LIVE_PRIVATE : rng_below(&rng, 3);
    /* The live area and the hot segments, with room for what is beside them. */
    out->mlock = locks[rng_below(&rng, may_lock(4 * KB * KB) ? 4 : 3)];
    out->mlock = rng_chance(&rng, 1, 2) ? (uint64_t)COMMITLOG_MLOCK_NONE : out->mlock;
    out->borrow = rng_chance(&rng, 3, 4);
    out->verify_reads = rng_chance(&rng, 3, 4);
    out->prewrite = rng_below(&rng, 3);
    out->thread = rng_chance(&rng, 2, 3);
    out->retain_bytes = rng_chance(&rng, 1, 2) ? rng_between(&rng, 2, 16) * 256 * KB : 0;
    out->retain_age_ms = rng_chance(&rng, 1, 6) ? rng_between(&rng, 300, 4000) : 0;
    out->scrub = rng_chance(&rng, 1, 3) ? 256 * KB << rng_below(&rng, 4) : 0;
    out->topics = rng_next(&rng) | 1;
    out->pace = (enum plan_pace)rng_below(&rng, 3);
    out->end = rng_chance(&rng, 7, 10)  ? PLAN_KILL
               : rng_chance(&rng, 3, 4) ? PLAN_CLOSE
                                        : PLAN_KILL_CLOSING;
    out->life_ms = rng_chance(&rng, 1, 8)    ? (int64_t)rng_below(&rng, 20)
                   : rng_chance(&rng, 1, 10) ? (int64_t)rng_between(&rng, 4000, 15000)
                                             : (int64_t)rng_between(&rng, 30, 2000);
}

void plan_hurry(struct plan *plan, struct rng *rng)
{
    plan->end = PLAN_KILL;
    plan->life_ms = (int64_t)rng_below(rng, 12);
}

struct commitlog_options *plan_options(const struct plan *plan)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    const struct {
        int32_t id;
        uint64_t value;
    } all[] = {{COMMITLOG_OPT_ENGINE, plan->engine},
               {COMMITLOG_OPT_SEGMENT_BYTES, plan->segment},
               {COMMITLOG_OPT_STAGE_BYTES, plan->stage},
               {COMMITLOG_OPT_FLUSH, plan->flush},
               {COMMITLOG_OPT_FLUSH_INTERVAL_MS, plan->flush_interval_ms},
               {COMMITLOG_OPT_FLUSH_BYTES, plan->flush_bytes},
               {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, plan->align},
               {COMMITLOG_OPT_VISIBILITY, plan->visibility},
               {COMMITLOG_OPT_LIVE_AREA, plan->live},
               {COMMITLOG_OPT_MLOCK, plan->mlock},
               {COMMITLOG_OPT_BORROW, plan->borrow},
               {COMMITLOG_OPT_VERIFY_READS, plan->verify_reads},
               {COMMITLOG_OPT_PREWRITE, plan->prewrite},
               {COMMITLOG_OPT_THREAD, plan->thread},
               {COMMITLOG_OPT_RETAIN_BYTES, plan->retain_bytes},
               {COMMITLOG_OPT_RETAIN_AGE_MS, plan->retain_age_ms},
               {COMMITLOG_OPT_SCRUB_BYTES_PER_S, plan->scrub},
               {COMMITLOG_OPT_MAX_BODY_BYTES, PLAN_BODY_MAX}};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK_OK(commitlog_options_set(options, all[i].id, all[i].value, &err), &err);
    return options;
}

void plan_tell(const struct plan *plan, char out[400])
{
    static const char *const ends[] = {"killed", "closed", "killed while it closes"};
    static const char *const paces[] = {"trickle", "steady", "bursts"};
    snprintf(out, 400,
             "engine %d segment %d stage %d flush %d interval %d bytes %d align %d visibility %d "
             "live %d mlock %d borrow %d verify %d prewrite %d thread %d retain %d/%d ms scrub %d, "
             "%s, %s after %d ms",
             (int)plan->engine, (int)plan->segment, (int)plan->stage, (int)plan->flush,
             (int)plan->flush_interval_ms, (int)plan->flush_bytes, (int)plan->align,
             (int)plan->visibility, (int)plan->live, (int)plan->mlock, (int)plan->borrow,
             (int)plan->verify_reads, (int)plan->prewrite, (int)plan->thread,
             (int)plan->retain_bytes, (int)plan->retain_age_ms, (int)plan->scrub, paces[plan->pace],
             ends[plan->end], (int)plan->life_ms);
}
