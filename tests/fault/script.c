/* SPDX-License-Identifier: BSD-2-Clause */
/* script.c -- the sequences and the settings. See script.h. */
#include "script.h"

#define NONE COMMITLOG_LEVEL_NONE
#define WRITTEN COMMITLOG_LEVEL_WRITTEN
#define DURABLE COMMITLOG_LEVEL_DURABLE

#define DO(kind)                                                                                   \
    {                                                                                              \
        OP_##kind, 0, 0, 0, 0, 0                                                                   \
    }
#define COUNT(kind, count)                                                                         \
    {                                                                                              \
        OP_##kind, 0, 0, 0, count, 0                                                               \
    }
#define TOPIC(topic)                                                                               \
    {                                                                                              \
        OP_TOPIC, topic, 0, 0, 0, 0                                                                \
    }
#define PUT(topic, queue, level, count, bytes)                                                     \
    {                                                                                              \
        OP_PUT, topic, queue, level, count, bytes                                                  \
    }
#define BATCH(topic, level, count, bytes)                                                          \
    {                                                                                              \
        OP_BATCH, topic, 0, level, count, bytes                                                    \
    }
#define RESERVED(kind, topic, queue, level, bytes)                                                 \
    {                                                                                              \
        OP_##kind, topic, queue, level, 1, bytes                                                   \
    }
#define ROLL(topic)                                                                                \
    {                                                                                              \
        OP_ROLL, topic, 0, NONE, 0, 3000                                                           \
    }

const struct script scripts[] = {
    {.name = "create",
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 1, 20), TOPIC(1), PUT(1, 1, NONE, 2, 300),
             PUT(0, 1, DURABLE, 1, 1000), DO(READ)}},
    {.name = "levels",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 3, 100), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, NONE, 3, 200), PUT(0, 1, WRITTEN, 2, 700),
             PUT(0, 0, DURABLE, 2, 0), PUT(0, 1, NONE, 2, 5000), DO(SYNC), DO(READ),
             PUT(0, 0, WRITTEN, 1, 60), PUT(0, 0, NONE, 2, 40), DO(CLOSE), DO(OPEN), TOPIC(0),
             PUT(0, 0, DURABLE, 1, 10)}},
    {.name = "roll",
     .before = {DO(OPEN), TOPIC(0), TOPIC(1), PUT(1, 0, DURABLE, 1, 100), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), ROLL(0), PUT(0, 1, DURABLE, 1, 100), COUNT(STEP, 2), ROLL(0),
             TOPIC(1), PUT(1, 0, WRITTEN, 1, 100), COUNT(STEP, 3), PUT(0, 0, NONE, 1, 9),
             DO(READ)}},
    {.name = "seal",
     .before = {DO(OPEN), TOPIC(0), ROLL(0), ROLL(0), PUT(0, 0, NONE, 1, 100), DO(KILL)},
     .ops = {DO(OPEN), TOPIC(0), COUNT(WAIT, 200), COUNT(STEP, 4), PUT(0, 0, DURABLE, 1, 100),
             ROLL(0), COUNT(STEP, 2), DO(CLOSE), DO(OPEN), DO(READ), TOPIC(0),
             PUT(0, 0, DURABLE, 1, 100)}},
    {.name = "checkpoint",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 3, 100), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, NONE, 2, 900), DO(CHECKPOINT), TOPIC(2),
             PUT(2, 0, NONE, 2, 90), COUNT(WAIT, 300), COUNT(STEP, 1), COUNT(WAIT, 300),
             COUNT(STEP, 1), PUT(0, 1, NONE, 1, 90), DO(CHECKPOINT), DO(CHECKPOINT),
             PUT(0, 1, NONE, 1, 90)}},
    {.name = "retain",
     .before = {DO(OPEN), TOPIC(1), PUT(1, 0, DURABLE, 2, 100), TOPIC(2), PUT(2, 1, NONE, 3, 50),
                TOPIC(0), ROLL(0), TOPIC(3), PUT(3, 0, NONE, 1, 50), ROLL(0), ROLL(0), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, NONE, 1, 100), COUNT(RETAIN, 2), TOPIC(1),
             PUT(1, 0, DURABLE, 1, 100), ROLL(0), COUNT(RETAIN, 1), DO(READ),
             PUT(0, 1, WRITTEN, 1, 100)}},
    {.name = "recover",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 2, 100), ROLL(0), TOPIC(1),
                PUT(1, 1, NONE, 3, 300), PUT(0, 1, WRITTEN, 2, 50), PUT(0, 0, NONE, 5, 700),
                DO(KILL)},
     .ops = {DO(OPEN), TOPIC(0), DO(READ), PUT(0, 0, DURABLE, 2, 100), TOPIC(1),
             PUT(1, 1, NONE, 1, 100)}},
    {.name = "recover-hold",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 2, 100), PUT(0, 1, NONE, 2, 100),
                RESERVED(HOLD, 0, 0, NONE, 400), PUT(0, 0, NONE, 3, 200), PUT(0, 1, NONE, 2, 30),
                DO(KILL)},
     .ops = {DO(OPEN), DO(READ), TOPIC(0), PUT(0, 0, DURABLE, 2, 100), PUT(0, 0, NONE, 1, 100)}},
    {.name = "recover-power",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 2, 100), ROLL(0), TOPIC(1),
                PUT(1, 1, DURABLE, 3, 300), PUT(0, 1, WRITTEN, 9, 500), PUT(0, 0, NONE, 20, 700),
                DO(POWER)},
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 2, 100), TOPIC(1), PUT(1, 1, NONE, 1, 100),
             DO(READ)}},
    {.name = "recover-retain",
     .before = {DO(OPEN), TOPIC(1), PUT(1, 0, DURABLE, 2, 100), TOPIC(0), ROLL(0), ROLL(0), ROLL(0),
                COUNT(STEP, 2), COUNT(RETAIN, 1), PUT(0, 0, NONE, 2, 100), DO(KILL)},
     .ops = {DO(OPEN), TOPIC(1), PUT(1, 0, DURABLE, 1, 100), TOPIC(0), PUT(0, 0, NONE, 1, 10)}},
    {.name = "batch",
     .before = {DO(OPEN), TOPIC(0), TOPIC(1), PUT(0, 0, DURABLE, 1, 100), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), TOPIC(1), BATCH(0, NONE, 5, 300), BATCH(1, DURABLE, 3, 100),
             RESERVED(COMMIT, 0, 1, DURABLE, 500), RESERVED(ABORT, 0, 1, NONE, 500),
             BATCH(0, WRITTEN, 12, 2000), PUT(0, 1, NONE, 1, 10), BATCH(0, NONE, 15, 2500),
             BATCH(1, NONE, 4, 100), DO(READ)}},
    {.name = "large",
     .before = {DO(OPEN), TOPIC(0), PUT(0, 0, DURABLE, 1, 100), DO(CLOSE)},
     .ops = {DO(OPEN), TOPIC(0), PUT(0, 0, NONE, 1, 40000), PUT(0, 0, DURABLE, 1, 45000),
             PUT(0, 1, NONE, 1, 10), RESERVED(COMMIT, 0, 0, WRITTEN, 20000),
             PUT(0, 1, WRITTEN, 1, 48500), DO(READ)}},
};

const struct setting settings[] = {
    {"staged", COMMITLOG_ENGINE_STAGED, COMMITLOG_FLUSH_ASYNC, 0, 0, COMMITLOG_LIVE_AUTO, 1},
    {"mmap", COMMITLOG_ENGINE_MMAP, COMMITLOG_FLUSH_ASYNC, 0, 0, COMMITLOG_LIVE_AUTO, 1},
    {"staged-aligned", COMMITLOG_ENGINE_STAGED, COMMITLOG_FLUSH_SYNC, 1, 4096, COMMITLOG_LIVE_DIR,
     0},
    {"mmap-sync", COMMITLOG_ENGINE_MMAP, COMMITLOG_FLUSH_SYNC, 1, 0, COMMITLOG_LIVE_DIR, 0},
    {"staged-private", COMMITLOG_ENGINE_STAGED, COMMITLOG_FLUSH_NONE, 0, 0, COMMITLOG_LIVE_PRIVATE,
     1},
};

uint32_t script_count(void)
{
    return (uint32_t)(sizeof(scripts) / sizeof(scripts[0]));
}

uint32_t setting_count(void)
{
    return (uint32_t)(sizeof(settings) / sizeof(settings[0]));
}

struct commitlog_options *setting_options(const struct setting *setting,
                                          struct commitlog_fault *machine)
{
    struct commitlog_options *options = NULL;
    const struct {
        int32_t id;
        uint64_t value;
    } values[] = {{COMMITLOG_OPT_SEGMENT_BYTES, SCRIPT_SEGMENT},
                  {COMMITLOG_OPT_STAGE_BYTES, 65536},
                  {COMMITLOG_OPT_THREAD, 0},
                  {COMMITLOG_OPT_ENGINE, setting->engine},
                  {COMMITLOG_OPT_FLUSH, setting->flush},
                  {COMMITLOG_OPT_PREWRITE, setting->prewrite},
                  {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, setting->align},
                  {COMMITLOG_OPT_LIVE_AREA, setting->live},
                  {COMMITLOG_OPT_BORROW, setting->borrow}};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        CHECK_RC(commitlog_options_set(options, values[i].id, values[i].value, NULL), COMMITLOG_OK);
    }
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    return options;
}
