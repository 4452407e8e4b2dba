/* SPDX-License-Identifier: BSD-2-Clause */
/* work.c -- work on single messages in a store of any kind; see work.h. */
#include "work.h"

#include <string.h>

#include "check.h"

/* Hostile records may name thousands. */
#define WORK_GROUPS_MAX 4u
#define WORK_TOPICS_MAX 4u
#define WORK_QUEUES_MAX 4u
#define WORK_RUNS_MAX 64u
#define WORK_ROUNDS 4u
#define WORK_AT_ONCE 4u
#define WORK_OTHERS_MAX 16u
#define WORK_ATTEMPTS 2u
#define WORK_VISIBILITY_MS INT64_C(1000000000)

static const char work_group[] = "work";
static const char work_dead[] = "%DLQ%work";

/* ---- of any kind ---- */

static void work_ask_queue(struct commitlog_group *group, uint32_t topic, uint32_t queue)
{
    struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
    uint64_t offset = 0;
    for (uint32_t i = 0; i < WORK_RUNS_MAX; i++) {
        if (commitlog_group_work(group, topic, queue, offset, &info, NULL) != COMMITLOG_OK) {
            return;
        }
        FUZZ_CHECK(info.count > 0 && info.offset + info.count > offset);
        FUZZ_CHECK(i == 0 || info.offset >= offset);
        FUZZ_CHECK(info.state == COMMITLOG_WORK_PENDING || info.state == COMMITLOG_WORK_DONE);
        FUZZ_CHECK((info.attempts > 0) == (info.state == COMMITLOG_WORK_PENDING));
        FUZZ_CHECK(info.visible_at_ms >= 0);
        offset = info.offset + info.count;
    }
}

typedef void (*work_topic_fn)(struct commitlog_group *group, uint32_t topic, uint32_t queues,
                              void *ctx);

/* Each group that is there with each topic. */
static void work_each(struct commitlog_store *store, work_topic_fn call, void *ctx)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    for (uint32_t i = 0; i < WORK_GROUPS_MAX && commitlog_group_at(store, i, &info) == COMMITLOG_OK;
         i++) {
        struct commitlog_group *group = NULL;
        if (commitlog_group_open(store, info.name, info.name_bytes, 0, &group, NULL) !=
            COMMITLOG_OK) {
            continue;
        }
        uint32_t topics = commitlog_topic_count(store);
        for (uint32_t t = 0; t < topics && t < WORK_TOPICS_MAX; t++) {
            struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
            if (commitlog_topic_info(store, t, &topic) == COMMITLOG_OK) {
                call(group, t, topic.queues_total, ctx);
            }
        }
        commitlog_group_close(group);
    }
}

static void work_ask_topic(struct commitlog_group *group, uint32_t topic, uint32_t queues,
                           void *ctx)
{
    (void)ctx;
    for (uint32_t q = 0; q < queues && q < WORK_QUEUES_MAX; q++) {
        work_ask_queue(group, topic, q);
    }
}

void fuzz_work_ask(struct commitlog_store *store)
{
    work_each(store, work_ask_topic, NULL);
}

struct work_check {
    fuzz_work_fn call;
    void *ctx;
};

static bool work_belongs(const struct commitlog_message *message,
                         const struct commitlog_delivery *delivery, uint32_t topic)
{
    return message->topic == topic && message->queue == delivery->queue &&
           message->queue_offset == delivery->offset;
}

/* Just given out, so nobody can have it done. */
static void work_answer(struct commitlog_receiver *receiver,
                        const struct commitlog_delivery *delivery, uint32_t how)
{
    int32_t rc = COMMITLOG_OK;
    if (how == 0) {
        rc = commitlog_ack(receiver, delivery, 1, COMMITLOG_LEVEL_NONE, NULL);
    } else if (how == 1) {
        rc = commitlog_nack(receiver, delivery, 1, 0, NULL);
    } else if (how == 2) {
        rc = commitlog_extend(receiver, delivery, 1, WORK_VISIBILITY_MS, NULL);
    }
    FUZZ_CHECK(rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EINTERNAL && rc != COMMITLOG_EINVAL);
}

static void work_receive_topic(struct commitlog_group *group, uint32_t topic, uint32_t queues,
                               void *ctx)
{
    const struct work_check *check = ctx;
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = WORK_ATTEMPTS,
                                                       .visibility_ms = WORK_VISIBILITY_MS};
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message messages[WORK_AT_ONCE];
    struct commitlog_delivery deliveries[WORK_AT_ONCE];
    if (commitlog_receiver_open(group, topic, &options, &receiver, NULL) != COMMITLOG_OK) {
        return;
    }
    for (uint32_t round = 0; round < WORK_ROUNDS; round++) {
        uint32_t count = 0;
        int32_t rc =
            commitlog_receive(receiver, messages, deliveries, WORK_AT_ONCE, 0, &count, NULL);
        FUZZ_CHECK(rc != COMMITLOG_EINTERNAL && rc != COMMITLOG_EINVAL);
        FUZZ_CHECK(count <= WORK_AT_ONCE && (count > 0) == (rc == COMMITLOG_OK));
        for (uint32_t i = 0; i < count; i++) {
            FUZZ_CHECK(work_belongs(&messages[i], &deliveries[i], topic));
            FUZZ_CHECK(messages[i].queue < queues);
            FUZZ_CHECK(deliveries[i].attempt >= 1 && deliveries[i].attempt <= WORK_ATTEMPTS);
            FUZZ_CHECK(i == 0 || deliveries[i].offset > deliveries[i - 1].offset);
            check->call(check->ctx, &messages[i]);
        }
        for (uint32_t i = 0; i < count; i++) {
            work_answer(receiver, &deliveries[i], (i + round) % 4);
        }
    }
    commitlog_receiver_close(receiver);
}

void fuzz_work_receive(struct commitlog_store *store, fuzz_work_fn check, void *ctx)
{
    struct work_check with = {.call = check, .ctx = ctx};
    work_each(store, work_receive_topic, &with);
}

/* ---- our own ---- */

/* Of queue 0; what is given of other queues stays where it is. */
static bool work_give(struct commitlog_receiver *receiver, uint32_t topic, uint32_t max,
                      uint64_t offset, uint32_t attempt, struct commitlog_delivery *deliveries)
{
    struct commitlog_message messages[2];
    for (uint32_t round = 0; round < WORK_OTHERS_MAX; round++) {
        uint32_t count = 0;
        int32_t rc = commitlog_receive(receiver, messages, deliveries, max, 0, &count, NULL);
        if (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EUNSUPPORTED ||
            (rc == COMMITLOG_OK && deliveries[0].queue != 0)) {
            continue;
        }
        if (rc != COMMITLOG_OK) {
            FUZZ_CHECK(rc != COMMITLOG_EEND);
            return false;
        }
        FUZZ_CHECK(count >= 1 && count <= max);
        for (uint32_t i = 0; i < count; i++) {
            FUZZ_CHECK(work_belongs(&messages[i], &deliveries[i], topic));
            FUZZ_CHECK(deliveries[i].queue == 0 && deliveries[i].offset == offset + i);
            FUZZ_CHECK(deliveries[i].attempt == attempt);
        }
        return count == max;
    }
    return false;
}

static bool work_do(struct commitlog_receiver *receiver, uint32_t topic, uint64_t first)
{
    struct commitlog_delivery given[2];
    if (!work_give(receiver, topic, 2, first, 1, given) ||
        commitlog_ack(receiver, &given[1], 1, COMMITLOG_LEVEL_DURABLE, NULL) != COMMITLOG_OK ||
        commitlog_nack(receiver, given, 1, 0, NULL) != COMMITLOG_OK) {
        return false;
    }
    FUZZ_CHECK(commitlog_ack(receiver, &given[1], 1, COMMITLOG_LEVEL_NONE, NULL) ==
               COMMITLOG_ENOTFOUND);
    if (!work_give(receiver, topic, 1, first, 2, given) ||
        commitlog_nack(receiver, given, 1, 0, NULL) != COMMITLOG_OK) {
        return false;
    }
    return work_give(receiver, topic, 1, first + 2, 1, given);
}

bool fuzz_work_change(struct commitlog_store *store, uint32_t topic, uint64_t first)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = WORK_ATTEMPTS,
                                                       .visibility_ms = WORK_VISIBILITY_MS};
    struct commitlog_group *group = NULL;
    struct commitlog_receiver *receiver = NULL;
    bool done = commitlog_group_open(store, work_group, sizeof(work_group) - 1,
                                     COMMITLOG_GROUP_CREATE, &group, NULL) == COMMITLOG_OK &&
                commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, first,
                                      COMMITLOG_LEVEL_NONE, NULL) == COMMITLOG_OK &&
                commitlog_receiver_open(group, topic, &options, &receiver, NULL) == COMMITLOG_OK &&
                work_do(receiver, topic, first);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    return done;
}

static void work_check_letter(struct commitlog_store *store, uint32_t topic, uint64_t first)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message letter;
    uint32_t dead = 0;
    uint32_t count = 0;
    uint64_t bound = 0;
    FUZZ_CHECK(commitlog_topic_open(store, work_dead, sizeof(work_dead) - 1, 0, &dead, NULL) ==
               COMMITLOG_OK);
    int32_t rc = commitlog_queue_info(store, dead, 0, &info);
    if (rc == COMMITLOG_EDAMAGED) {
        return; /* a state that says less than the log, and all the checks hold: it went on there */
    }
    FUZZ_CHECK(rc == COMMITLOG_OK && info.next_offset > 0);
    FUZZ_CHECK(commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_OFFSET, info.next_offset - 1,
                                     &cursor, NULL) == COMMITLOG_OK);
    rc = commitlog_cursor_fetch(cursor, &letter, 1, 0, &count, &bound);
    if (rc == COMMITLOG_EDAMAGED) { /* the same, where the log says that there were more */
        commitlog_cursor_close(cursor);
        return;
    }
    FUZZ_CHECK(rc == COMMITLOG_OK);
    FUZZ_CHECK(letter.reason == COMMITLOG_DEAD_REFUSED && letter.attempts == WORK_ATTEMPTS);
    FUZZ_CHECK(letter.origin_topic == topic && letter.origin_queue == 0);
    FUZZ_CHECK(letter.origin_offset == first);
    commitlog_cursor_close(cursor);
}

void fuzz_work_changed(struct commitlog_store *store, uint32_t topic, uint64_t first)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic};
    struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
    FUZZ_CHECK(commitlog_group_open(store, work_group, sizeof(work_group) - 1, 0, &group, NULL) ==
               COMMITLOG_OK);
    FUZZ_CHECK(commitlog_group_fetch(group, &offset, 1, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(offset.offset == first + 2);
    FUZZ_CHECK(commitlog_group_work(group, topic, 0, 0, &info, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(info.offset == first + 2 && info.count == 1 && info.attempts == 1);
    commitlog_group_close(group);
    work_check_letter(store, topic, first);
}
