/* SPDX-License-Identifier: BSD-2-Clause */
/* full_session.c -- one open store on a disk that gets full; see full_session.h. */
#define _GNU_SOURCE
#include "full_session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN_MS = 5000 };

/* ---- the store ---------------------------------------------------------------------------------
 */

struct commitlog_options *options_make(const struct world *world, uint64_t seed)
{
    static const uint64_t stages[] = {64 * KB, 256 * KB, 1024 * KB};
    struct commitlog_options *options = NULL;
    struct rng rng;
    uint64_t visible = 0;
    rng_begin(&rng, seed);
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_RC(commitlog_options_set_text(options, "engine", world->engine, NULL), COMMITLOG_OK);
    visible = rng_chance(&rng, 1, 4) ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED;
    const uint64_t values[][2] = {
        {COMMITLOG_OPT_FLUSH, world->flush},
        {COMMITLOG_OPT_PREWRITE, world->prewrite},
        {COMMITLOG_OPT_SEGMENT_BYTES, world->segment_bytes},
        {COMMITLOG_OPT_STAGE_BYTES, stages[rng_below(&rng, 3)]},
        {COMMITLOG_OPT_VISIBILITY, world->flush == COMMITLOG_FLUSH_SYNC ? visible : 0},
        {COMMITLOG_OPT_LIVE_AREA,
         rng_chance(&rng, 1, 3) && !world->btrfs ? COMMITLOG_LIVE_DIR : COMMITLOG_LIVE_TMPFS},
        {COMMITLOG_OPT_THREAD, rng_chance(&rng, 3, 4)}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        CHECK_RC(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], NULL),
                 COMMITLOG_OK);
    return options;
}

int32_t session_begin(struct session *s, struct world *world, uint64_t seed)
{
    struct commitlog_options *options = options_make(world, seed);
    uint64_t thread = 0;
    int32_t rc = COMMITLOG_OK;
    memset(s, 0, sizeof *s);
    s->world = world;
    rng_begin(&s->rng, seed ^ 0xd15c);
    CHECK_RC(commitlog_options_get(options, COMMITLOG_OPT_THREAD, &thread), COMMITLOG_OK);
    s->steps = thread == 0;
    rc = commitlog_open(world->store_path, options, &s->store, &s->err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_OK)
        s->acks_fd = acks_open(world->acks_path, "");
    return rc;
}

void session_step(struct session *s)
{
    uint32_t wait_ms = 0;
    if (!s->steps)
        return;
    int32_t rc = commitlog_step(s->store, 1000, &wait_ms);
    CHECKF(rc == COMMITLOG_OK || (s->world->late && rc == COMMITLOG_EFAILED), "a step answers %s",
           commitlog_error_name(rc));
}

bool is_latched(struct session *s)
{
    return commitlog_failure(s->store, NULL) != COMMITLOG_OK;
}

_Noreturn void latched_and_die(struct session *s)
{
    uint64_t position = 0;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; i < REFUSALS; i++) {
        rc = put(s);
        CHECKF(rc == COMMITLOG_EFAILED, "%s after a failed write", commitlog_error_name(rc));
    }
    CHECK_RC(commitlog_positions_get(s->store, &positions), COMMITLOG_OK);
    rc = commitlog_sync(s->store, UINT64_MAX, 1000, NULL);
    CHECKF(rc == (positions.durable < positions.published ? COMMITLOG_EFAILED : COMMITLOG_OK),
           "sync after a failed write: %s", commitlog_error_name(rc));
    position = positions.durable;
    if (position < positions.published) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        rc = commitlog_get(s->store, position, &message, &lease, NULL);
        CHECKF(rc == COMMITLOG_EFAILED || rc == COMMITLOG_EBEYOND, "read above durable: %s",
               commitlog_error_name(rc));
    }
    printf("latched\n");
    fflush(stdout);
    kill(getpid(), SIGKILL);
    abort();
}

/* Where nothing can be reserved a write may fail long after its append was answered, in whatever is
 * called next. That is an end, and only that: not even there may a store fail for nothing. */
void must_hold(struct session *s, int32_t rc, const char *what)
{
    struct commitlog_error why = {.message = ""};
    if (rc == COMMITLOG_OK)
        return;
    if (s->world->late && commitlog_failure(s->store, &why) != COMMITLOG_OK) {
        CHECKF(why.os_errno == ENOSPC, "%s: latched: %s", what, why.message);
        latched_and_die(s);
    }
    CHECKF(rc == COMMITLOG_OK, "%s: %s: %s", what, commitlog_error_name(rc), s->err.message);
}

void settle(struct session *s)
{
    must_hold(s, commitlog_sync(s->store, UINT64_MAX, COMMITLOG_FOREVER, &s->err), "sync");
}

void compare(struct session *s, const char *who)
{
    settle(s);
    peer_compare(s->store, s->world->acks_path, COMMITLOG_LEVEL_NONE, who);
}

/* ---- appends -----------------------------------------------------------------------------------
 */

static void acknowledge(struct session *s, uint32_t topic, uint32_t queue, const uint8_t *body,
                        size_t bytes, const struct commitlog_receipt *receipt)
{
    struct ack ack = {receipt->position,
                      receipt->queue_offset,
                      bytes_hash(body, bytes),
                      bytes,
                      receipt->store_time_ns,
                      topic,
                      queue,
                      receipt->level,
                      receipt->epoch};
    acks_write(s->acks_fd, &ack, 1);
    s->stored_bytes += bytes;
}

int32_t put_batch(struct session *s, size_t limit)
{
    enum { MEMBERS = 3 };
    uint8_t *bodies[MEMBERS];
    struct commitlog_slice slices[MEMBERS];
    struct commitlog_record records[MEMBERS];
    struct commitlog_receipt receipts[MEMBERS];
    uint64_t batch = s->world->seed << 24 | ++s->batches;
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        slices[i].bytes = session_body(&s->rng, limit / MEMBERS, batch, MEMBERS, i, &bodies[i]);
        slices[i].data = bodies[i];
        records[i] = (struct commitlog_record){.struct_bytes = sizeof records[i],
                                               .topic = s->topics[i],
                                               .queue = i,
                                               .body = &slices[i],
                                               .body_count = 1};
    }
    int32_t rc =
        commitlog_append_batch(s->store, records, MEMBERS, COMMITLOG_FOREVER, receipts, &s->err);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (rc == COMMITLOG_OK)
            acknowledge(s, i, i, bodies[i], slices[i].bytes, &receipts[i]);
        free(bodies[i]);
    }
    return rc;
}

int32_t put_reserved(struct session *s, size_t limit)
{
    struct commitlog_record record = {.struct_bytes = sizeof record, .topic = s->topics[0]};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    uint8_t *body = NULL;
    void *place = NULL;
    size_t bytes = session_body(&s->rng, limit, 0, 0, 0, &body);
    int32_t rc = commitlog_reserve(s->store, &record, bytes, COMMITLOG_FOREVER, &reservation,
                                   &place, &s->err);
    if (rc == COMMITLOG_OK) {
        memcpy(place, body, bytes);
        rc = commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &s->err);
        if (rc == COMMITLOG_OK)
            acknowledge(s, 0, 0, body, bytes, &receipt);
    }
    free(body);
    return rc;
}

int32_t put_one(struct session *s, size_t limit)
{
    static const uint32_t levels[] = {COMMITLOG_LEVEL_DEFAULT, COMMITLOG_LEVEL_DEFAULT,
                                      COMMITLOG_LEVEL_DEFAULT, COMMITLOG_LEVEL_NONE,
                                      COMMITLOG_LEVEL_WRITTEN};
    uint32_t topic = (uint32_t)rng_below(&s->rng, KILL_TOPICS);
    struct commitlog_receipt receipt = {0};
    struct commitlog_slice slice;
    uint8_t *body = NULL;
    slice.bytes = session_body(&s->rng, limit, 0, 0, 0, &body);
    slice.data = body;
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = s->topics[topic],
                                      .queue = (uint32_t)rng_below(&s->rng, KILL_QUEUES),
                                      .level = levels[rng_below(&s->rng, 5)],
                                      .body = &slice,
                                      .body_count = 1};
    if (rng_chance(&s->rng, 1, 40))
        record.level = COMMITLOG_LEVEL_DURABLE;
    int32_t rc = commitlog_append_record(s->store, &record, COMMITLOG_FOREVER, &receipt, &s->err);
    if (rc == COMMITLOG_OK)
        acknowledge(s, topic, record.queue, body, slice.bytes, &receipt);
    free(body);
    return rc;
}

int32_t put(struct session *s)
{
    size_t limit = rng_chance(&s->rng, 1, 3) ? LARGE : SMALL;
    uint64_t draw = rng_below(&s->rng, 12);
    session_step(s);
    return draw == 0 ? put_batch(s, limit) : draw == 1 ? put_reserved(s, limit) : put_one(s, limit);
}

void check_refusal(struct session *s, int32_t rc)
{
    if (s->world->late && (rc == COMMITLOG_EFAILED || rc == COMMITLOG_EUNKNOWN)) {
        CHECK_RC(commitlog_failure(s->store, &s->err), COMMITLOG_EFAILED);
        CHECKF(s->err.os_errno == ENOSPC, "latched: %s", s->err.message);
        return;
    }
    CHECKF(rc == COMMITLOG_ENOSPC, "on a full disk an append answers %s: %s",
           commitlog_error_name(rc), s->err.message);
    CHECKF(s->err.code == rc && (s->err.os_errno == ENOSPC || s->err.os_errno == EDQUOT),
           "errno %d: %s", s->err.os_errno, s->err.message);
    int32_t failure = commitlog_failure(s->store, &s->err);
    CHECKF(failure == COMMITLOG_OK, "a full disk is latched: %s", s->err.message);
}

bool fill(struct session *s, uint64_t bytes)
{
    uint64_t until = s->stored_bytes + bytes;
    while (s->stored_bytes < until) {
        int32_t rc = put(s);
        if (rc != COMMITLOG_OK) {
            check_refusal(s, rc);
            return true;
        }
    }
    return false;
}

void check_resumes(struct session *s, uint64_t bytes, bool must)
{
    int64_t until = clock_ms() + AGAIN_MS;
    uint64_t enough = s->stored_bytes + bytes;
    while (s->stored_bytes < enough) {
        int32_t rc = put(s);
        if (rc == COMMITLOG_OK)
            continue;
        check_refusal(s, rc);
        if (is_latched(s))
            must_hold(s, rc, "an append");
        if (!must && clock_ms() >= until)
            return;
        CHECKF(clock_ms() < until, "%llu bytes are missing, and appends do not resume: %s",
               (unsigned long long)(enough - s->stored_bytes), s->err.message);
        sleep_ms(5);
    }
}
