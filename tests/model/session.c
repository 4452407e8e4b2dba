/* SPDX-License-Identifier: BSD-2-Clause */
/* session.c -- one opening of the store; see session.h. */
#include "session.h"

#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

void session_draw(struct session_options *out, struct rng *rng, uint64_t engine)
{
    static const uint64_t stages[] = {65536, 65536, 131072, 4194304};
    static const uint64_t segments[] = {65536, 65536, 131072, 262144};
    memset(out, 0, sizeof *out);
    out->engine = engine;
    out->thread = rng_below(rng, 2);
    out->flush = rng_below(rng, 3);
    out->visibility =
        rng_chance(rng, 1, 4) ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED;
    out->stage = stages[rng_below(rng, 4)];
    out->segment = segments[rng_below(rng, 4)];
    out->live = rng_chance(rng, 1, 8)   ? COMMITLOG_LIVE_PRIVATE
                : rng_chance(rng, 1, 2) ? COMMITLOG_LIVE_AUTO
                                        : COMMITLOG_LIVE_DIR;
    out->borrow = rng_chance(rng, 3, 4);
    out->verify = rng_chance(rng, 3, 4);
    out->align = rng_chance(rng, 1, 4) ? 4096 : 0;
    /* Background retention only where it happens at a known moment: in a step. */
    if (out->thread == 0 && rng_chance(rng, 1, 4))
        out->retain_bytes = 4 * out->segment;
}

static void options_fill(struct commitlog_options *options, const struct session_options *from)
{
    struct commitlog_error err = {.message = ""};
    const struct {
        int32_t id;
        uint64_t value;
    } all[] = {{COMMITLOG_OPT_ENGINE, from->engine},
               {COMMITLOG_OPT_THREAD, from->thread},
               {COMMITLOG_OPT_FLUSH, from->flush},
               {COMMITLOG_OPT_VISIBILITY, from->visibility},
               {COMMITLOG_OPT_STAGE_BYTES, from->stage},
               {COMMITLOG_OPT_SEGMENT_BYTES, from->segment},
               {COMMITLOG_OPT_LIVE_AREA, from->live},
               {COMMITLOG_OPT_BORROW, from->borrow},
               {COMMITLOG_OPT_VERIFY_READS, from->verify},
               {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, from->align},
               {COMMITLOG_OPT_RETAIN_BYTES, from->retain_bytes}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint64_t back = 0;
        CHECK_OK(commitlog_options_set(options, all[i].id, all[i].value, &err), &err);
        CHECK_RC(commitlog_options_get(options, all[i].id, &back), COMMITLOG_OK);
        CHECK(back == all[i].value);
    }
}

/* Claims at the very end of a killed log may be kept as holes or not be there at all. */
static void settle_claims(struct session *session)
{
    struct model *model = session->model;
    while (model->count > 0 && model->items[model->count - 1].maybe) {
        struct item *item = &model->items[model->count - 1];
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_queue_info(session->store, session->reader.numbers[item->topic],
                                      item->queue, &info),
                 COMMITLOG_OK);
        if (info.next_offset > item->offset)
            break;
        model_cut(model, model->count - 1);
    }
    for (uint32_t i = 0; i < model->count; i++)
        model->items[i].maybe = false;
}

/* With a private stage a kill takes away what was not written: a suffix, and no part of a batch. */
static void settle_loss(struct session *session)
{
    struct model *model = session->model;
    uint32_t survivors = 0;
    uint32_t end = model_live_from(model);
    session->reader.published = model->count;
    reader_log(&session->reader, &survivors);
    end += survivors;
    CHECKF(end >= model->safe, "%u items survive, %u had been written", end, model->safe);
    if (end > 0 && end < model->count && model->items[end].batch != 0)
        CHECKF(model->items[end - 1].batch != model->items[end].batch, "a batch cut at item %u",
               end);
    model_cut(model, end);
}

/* Where a new log begins is the format's business, and what a call that failed half-way dropped is
 * the library's. */
static void learn_first(struct session *session)
{
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    CHECK_RC(commitlog_positions_get(session->store, &now), COMMITLOG_OK);
    model_first(session->model, now.first);
}

static void check_recovery(struct session *session, const struct aftermath *after)
{
    struct commitlog_recovery report = {.struct_bytes = sizeof report};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    CHECK_RC(commitlog_recovery_get(session->store, &report), COMMITLOG_OK);
    if (after->crashed && !after->recovered)
        CHECK(report.clean_close == 0);
    if (prog_env_is("VERBOSE"))
        printf(
            "    recovery: tail %u clean %u boot %u witness %llu end %llu cut %llu (%llu records) "
            "from stage %llu holes %llu views %llu\n",
            report.tail, report.clean_close, report.same_boot, (ull)report.witness, (ull)report.end,
            (ull)report.bytes_cut, (ull)report.records_cut, (ull)report.records_from_stage,
            (ull)report.holes_made, (ull)report.views_rebuilt);
    CHECK(report.tail != COMMITLOG_TAIL_DAMAGED && report.damaged_ranges == 0);
    if (!after->may_lose)
        CHECKF(report.tail != COMMITLOG_TAIL_UNPROVABLE && report.records_cut == 0,
               "%llu bytes cut", (ull)report.bytes_cut);
    CHECK(report.first == session->model->first);
    CHECK(report.end >= report.witness && report.end >= report.first);
    CHECK(report.epoch > session->epoch_before || session->epoch_before == 0);
    CHECK_RC(commitlog_damage_get(session->store, 0, &damage), COMMITLOG_ENOTFOUND);
}

void session_open(struct session *session, const char *path, struct model *model, uint64_t seed,
                  const struct session_options *options, const struct aftermath *after)
{
    struct commitlog_options *set = NULL;
    struct commitlog_error err = {.message = ""};
    memset(session, 0, sizeof *session);
    session->path = path;
    session->model = model;
    session->options = *options;
    session->epoch_before = model->epoch;
    rng_begin(&session->rng, seed);
    CHECK_RC(commitlog_options_create(&set), COMMITLOG_OK);
    options_fill(set, options);
    CHECK_OK(commitlog_open(path, set, &session->store, &err), &err);
    commitlog_options_free(set);
    session->reader.store = session->store;
    session->reader.model = model;
    session->reader.rng = &session->rng;
    session->seen.struct_bytes = sizeof session->seen;
    if (model->count == 0 && model->first == 0)
        learn_first(session);
    check_recovery(session, after);
    reader_topics(&session->reader, after->crashed, after->may_lose ? model->safe : model->count);
    if (after->crashed)
        settle_claims(session);
    if (after->may_lose)
        settle_loss(session);
    /* What an open has accepted is on the disk. */
    model_safe(model, model->count, true);
    CHECK_RC(commitlog_positions_get(session->store, &session->seen), COMMITLOG_OK);
    session_positions(session);
    CHECK(session->seen.durable == session->seen.claimed);
    session_refresh(session);
    reader_everything(&session->reader);
}

void session_positions(struct session *session)
{
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    const struct commitlog_positions *old = &session->seen;
    const struct model *model = session->model;
    uint32_t published = model_published(model);
    CHECK_RC(commitlog_positions_get(session->store, &now), COMMITLOG_OK);
    CHECK(now.first <= now.checkpointed && now.checkpointed <= now.durable);
    CHECK(now.durable <= now.written && now.written <= now.published);
    CHECK(now.published <= now.claimed);
    CHECK(now.first >= old->first && now.checkpointed >= old->checkpointed);
    CHECK(now.durable >= old->durable && now.written >= old->written);
    CHECK(now.published >= old->published && now.claimed >= old->claimed);
    CHECK(now.visible >= old->visible);
    CHECK(now.first == model->first);
    if (session->options.visibility == COMMITLOG_VISIBLE_PUBLISHED)
        CHECK(now.visible == now.published);
    else
        CHECK(now.visible <= now.durable);
    if (published > 0 && model->items[published - 1].position != MODEL_UNKNOWN)
        CHECKF(now.published >= model->items[published - 1].end, "published %llu, item to %llu",
               (ull)now.published, (ull)model->items[published - 1].end);
    for (uint32_t i = published; i < model->count; i++)
        if (model->items[i].position != MODEL_UNKNOWN)
            CHECKF(now.published <= model->items[i].position, "%llu is published over a claim",
                   (ull)now.published);
    session->seen = now;
}

void session_refresh(struct session *session)
{
    struct commitlog_error err = {.message = ""};
    session->reader.published = model_published(session->model);
    if (session->options.visibility == COMMITLOG_VISIBLE_DURABLE) {
        CHECK_OK(commitlog_sync(session->store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
        model_safe(session->model, session->reader.published, false);
    }
    if (model_has_unknown(session->model))
        reader_log(&session->reader, NULL);
}

/* Asks for a topic by name: there, new, or with another number of queues. */
static void step_topic(struct session *session)
{
    struct model *model = session->model;
    struct commitlog_error err = {.message = ""};
    char name[MODEL_NAME_MAX + 1];
    char other[MODEL_NAME_MAX + 1];
    uint64_t name_seed = rng_next(&session->rng);
    uint32_t queues = (uint32_t)rng_between(&session->rng, 1, 5);
    uint32_t number = UINT32_MAX;
    size_t size = 0;
    if (model->topic_count > 0) {
        uint32_t t = (uint32_t)rng_below(&session->rng, model->topic_count);
        size = model_name(model->topics[t].name_seed, name);
        CHECK_RC(commitlog_topic_open(session->store, name, size, model->topics[t].queues + 1,
                                      &number, &err),
                 COMMITLOG_EEXIST);
        CHECK_OK(commitlog_topic_open(session->store, name, size, model->topics[t].queues, &number,
                                      &err),
                 &err);
        CHECK(number == session->reader.numbers[t]);
    }
    CHECK_RC(commitlog_topic_open(session->store, "no such topic", 13, 0, &number, &err),
             COMMITLOG_ENOTFOUND);
    if (model->topic_count == MODEL_TOPICS_MAX)
        return;
    size = model_name(name_seed, name);
    for (uint32_t t = 0; t < model->topic_count; t++)
        if (model_name(model->topics[t].name_seed, other) == size && memcmp(name, other, size) == 0)
            return;
    CHECK_OK(commitlog_topic_open(session->store, name, size, queues, &number, &err), &err);
    session->reader.numbers[model->topic_count] = number;
    model_topic_add(model, name_seed, queues);
}

static uint64_t log_bytes(const char *path)
{
    char log[DIRS_PATH_MAX], file[DIRS_PATH_MAX];
    struct name_list names;
    uint64_t bytes = 0;
    path_join(log, path, "log");
    names = dirs_list(log, ".log");
    for (uint32_t i = 0; i < names.count; i++) {
        path_join(file, log, names.names[i]);
        bytes += file_size(file);
    }
    names_free(&names);
    return bytes;
}

static void step_retain(struct session *session)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct commitlog_error err = {.message = ""};
    uint64_t size = session->seen.claimed - session->seen.first;
    int32_t rc = 0;
    session_refresh(session);
    switch (rng_below(&session->rng, 4)) {
    case 0:
    case 1:
        policy.keep_bytes = rng_between(&session->rng, 1, size + 65536);
        break;
    case 2:
        policy.keep_age_ms = rng_between(&session->rng, 1, 200);
        break;
    default:
        policy.keep_bytes = size + (1U << 30);
        break;
    }
    rc = commitlog_retain(session->store, &policy, &out, &err);
    if (model_pending(session->model) > 0 && (rc == COMMITLOG_ETIMEDOUT || rc == COMMITLOG_EBUSY)) {
        /* What it must carry forward cannot be durable while a claim in front of it is open. */
        learn_first(session);
        return;
    }
    CHECK_OK(rc, &err);
    CHECK(out.first >= session->model->first);
    CHECK((out.segments_dropped > 0) == (out.first > session->model->first));
    CHECK((out.segments_dropped > 0) == (out.bytes_dropped > 0));
    if (policy.keep_bytes > 0 && out.segments_dropped > 0)
        CHECKF(log_bytes(session->path) + out.bytes_dropped > policy.keep_bytes,
               "%u segments of %llu bytes dropped, %llu left, limit %llu", out.segments_dropped,
               (ull)out.bytes_dropped, (ull)log_bytes(session->path), (ull)policy.keep_bytes);
    model_first(session->model, out.first);
}

/* Background work of a store without a thread; retention by its options happens here. */
static void step_upkeep(struct session *session)
{
    uint32_t wait_ms = UINT32_MAX;
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    uint32_t budget = (uint32_t)rng_below(&session->rng, 2000);
    session_refresh(session);
    if (session->options.thread == 1) {
        CHECK_RC(commitlog_step(session->store, budget, &wait_ms), COMMITLOG_EBUSY);
        return;
    }
    CHECK_RC(commitlog_step(session->store, budget, &wait_ms), COMMITLOG_OK);
    CHECK_RC(commitlog_positions_get(session->store, &now), COMMITLOG_OK);
    if (session->options.retain_bytes == 0)
        CHECK(now.first == session->model->first);
    model_first(session->model, now.first);
}

static void step_look(struct session *session)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_event event = {.struct_bytes = sizeof event};
    uint64_t visible = session->seen.visible;
    if (session->pending_count == 0 || session->options.visibility == COMMITLOG_VISIBLE_PUBLISHED) {
        session_refresh(session);
        session_positions(session);
        visible = session->seen.visible;
        CHECK_RC(commitlog_wait(session->store, visible, 0), COMMITLOG_ETIMEDOUT);
        if (visible > session->model->first)
            CHECK_RC(commitlog_wait(session->store, visible - 1, 0), COMMITLOG_OK);
    }
    CHECK_RC(commitlog_failure(session->store, &err), COMMITLOG_OK);
    while (commitlog_event_next(session->store, &event) == COMMITLOG_OK)
        CHECKF(event.severity < COMMITLOG_EVENT_ERROR, "%s", event.detail.message);
    if (rng_chance(&session->rng, 1, 3))
        return;
    if (commitlog_verify(session->path, NULL, &report, &err) == COMMITLOG_EDAMAGED)
        (void)commitlog_report_damage(report, 0, &damage);
    CHECKF(err.code == COMMITLOG_OK, "%s: %s at [%llu, %llu)", err.message, damage.reason,
           (ull)damage.from_position, (ull)damage.to_position);
    CHECK_RC(commitlog_report_damage(report, 0, &damage), COMMITLOG_ENOTFOUND);
    commitlog_report_free(report);
}

void session_read_only(const char *path, struct model *model, struct rng *rng)
{
    struct commitlog_options *set = NULL;
    struct commitlog_error err = {.message = ""};
    struct reader reader = {.model = model, .rng = rng, .published = model_published(model)};
    uint32_t number = 0;
    CHECK_RC(commitlog_options_create(&set), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(set, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err), &err);
    CHECK_OK(commitlog_open(path, set, &reader.store, &err), &err);
    commitlog_options_free(set);
    CHECK_RC(commitlog_topic_open(reader.store, "never made", 10, 3, &number, &err),
             COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_append(reader.store, 0, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
             COMMITLOG_EMISUSE);
    reader_topics(&reader, false, model->count);
    reader_everything(&reader);
    CHECK_OK(commitlog_close(reader.store, &err), &err);
}

/* A follower in this process, beside the writer: sees all that is published. */
static void step_follow(struct session *session)
{
    session_refresh(session);
    /* A topic without a record is not in the log yet. */
    for (uint32_t t = 0; t < session->model->topic_count; t++)
        if (model_topic_may_be_missing(session->model, t, session->reader.published))
            return;
    /* A private live area has no followers. */
    if (session->options.live == COMMITLOG_LIVE_PRIVATE)
        return;
    session_read_only(session->path, session->model, &session->rng);
}

void session_step(struct session *session)
{
    uint64_t draw = rng_below(&session->rng, 200);
    struct commitlog_error err = {.message = ""};
    if (prog_env("VERBOSE", 0) >= 2)
        printf("      draw %llu: items %u first %llu claimed %llu\n", (ull)draw,
               session->model->count, (ull)session->model->first, (ull)session->seen.claimed);
    if (session->model->topic_count == 0 || draw < 4) {
        step_topic(session);
    } else if (draw < 90) {
        session_append(session);
    } else if (draw < 105) {
        session_batch(session);
    } else if (draw < 113) {
        session_reserve(session);
    } else if (draw < 130) {
        session_end_one(session);
    } else if (draw < 134) {
        session_sync(session);
    } else if (draw < 136) {
        CHECK_OK(commitlog_checkpoint(session->store, &err), &err);
    } else if (draw < 140) {
        step_retain(session);
    } else if (draw < 150) {
        step_upkeep(session);
    } else if (draw < 156) {
        session_refused(session);
    } else if (draw < 158) {
        step_look(session);
    } else if (draw < 159) {
        step_follow(session);
    } else if (draw < 170) {
        session_cursor(session);
    } else if (draw < 178) {
        session_lease(session);
    } else {
        session_refresh(session);
        reader_some(&session->reader);
    }
    session_positions(session);
}

void session_close(struct session *session)
{
    struct commitlog_error err = {.message = ""};
    bool hold = rng_chance(&session->rng, 1, 2);
    while (session->pending_count > 0)
        session_end_one(session);
    session_refresh(session);
    reader_everything(&session->reader);
    if (!hold)
        session_drop_held(session, false);
    CHECK_OK(commitlog_close(session->store, &err), &err);
    if (hold)
        session_drop_held(session, true);
    session->store = NULL;
    model_safe(session->model, session->model->count, true);
}
