/* SPDX-License-Identifier: BSD-2-Clause */
/* timers.c -- messages that wait in a store of any kind; see timers.h. */
#include "timers.h"

#include <string.h>

#include "check.h"
#include "os/os.h"

/* Hostile records may make thousands. */
#define TIMERS_MAX 8u
#define TIMERS_DELAY_MS 1000
#define TIMERS_STEPS 4u
#define TIMERS_LAST_MS INT64_C(9223372036854)

static const char timers_body[] = "delayed!";

static void timers_ask_one(struct commitlog_store *store, const struct commitlog_timer_info *info)
{
    struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    FUZZ_CHECK(info->timer != 0 && info->deliver_at_ms >= 0);
    FUZZ_CHECK((info->topic == UINT32_MAX) == (info->queue == UINT32_MAX));
    if (info->topic != UINT32_MAX) {
        FUZZ_CHECK(info->topic < commitlog_topic_count(store));
        FUZZ_CHECK(commitlog_topic_info(store, info->topic, &topic) != COMMITLOG_OK ||
                   info->queue < topic.queues_total);
    }
    /* A state file may lie about where it is. */
    if (commitlog_get(store, info->position, &message, &lease, NULL) == COMMITLOG_OK) {
        FUZZ_CHECK(message.position == info->position);
    }
    commitlog_lease_release(lease);
}

void fuzz_timers_ask(struct commitlog_store *store)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    int64_t first_ms = 0;
    for (uint32_t i = 0; i < TIMERS_MAX && commitlog_timer_at(store, i, &info) == COMMITLOG_OK;
         i++) {
        first_ms = i == 0 ? info.deliver_at_ms : first_ms;
        FUZZ_CHECK(info.deliver_at_ms >= first_ms);
        timers_ask_one(store, &info);
    }
}

static bool timers_append(struct commitlog_store *store, uint32_t topic, int64_t due_ms,
                          uint64_t *timer)
{
    struct commitlog_slice body = {timers_body, sizeof(timers_body) - 1};
    struct commitlog_slice key = {"k", 1};
    struct commitlog_receipt receipt;
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = COMMITLOG_LEVEL_DURABLE,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = 1,
                                            .tag = {"tag", 3},
                                            .deliver_at_ms = due_ms};
    int32_t rc = commitlog_append_record(store, &record, -1, &receipt, NULL);
    *timer = receipt.position;
    return rc == COMMITLOG_OK;
}

/* Until then, and until upkeep has been there. */
static bool timers_await(struct commitlog_store *store, const struct commitlog_os *os,
                         int64_t due_ms)
{
    const int64_t due_ns = due_ms * CLG_OS_NS_PER_MS;
    const int64_t now = os->clock_wall_ns(os);
    uint32_t wait_ms = 0;
    if (now < due_ns) {
        os->sleep_ns(os, due_ns - now);
    }
    for (uint32_t i = 0; i < TIMERS_STEPS; i++) {
        if (commitlog_step(store, 1000000, &wait_ms) != COMMITLOG_OK) {
            return false;
        }
    }
    return true;
}

bool fuzz_timers_any(struct commitlog_store *store)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    return commitlog_timer_at(store, 0, &info) != COMMITLOG_ENOTFOUND;
}

bool fuzz_timers_change(struct commitlog_store *store, const struct commitlog_os *os,
                        uint32_t topic, int64_t after_ns, bool sound, uint32_t *delivered)
{
    const uint32_t level = COMMITLOG_LEVEL_DURABLE;
    const int64_t due_ms = after_ns / CLG_OS_NS_PER_MS + TIMERS_DELAY_MS;
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    uint64_t kept = 0;
    uint64_t gone = 0;
    uint32_t wait_ms = 0;
    bool others = fuzz_timers_any(store);
    *delivered = 0;
    if (due_ms > TIMERS_LAST_MS - TIMERS_DELAY_MS) {
        return true;
    }
    if (!timers_append(store, topic, due_ms, &kept) ||
        !timers_append(store, topic, due_ms, &gone) ||
        commitlog_timer_cancel(store, gone, level, NULL) != COMMITLOG_OK) {
        return false;
    }
    FUZZ_CHECK(commitlog_timer_cancel(store, gone, level, NULL) == COMMITLOG_ENOTFOUND);
    if (commitlog_step(store, 0, &wait_ms) != COMMITLOG_OK) {
        return false;
    }
    if (!others) { /* it is not delivered yet */
        FUZZ_CHECK(commitlog_timer_at(store, 0, &info) == COMMITLOG_OK && info.timer == kept);
        FUZZ_CHECK(info.topic == topic && info.queue == 0 && info.deliver_at_ms == due_ms);
    }
    if (!timers_await(store, os, due_ms)) {
        return false;
    }
    int32_t rc = commitlog_timer_cancel(store, kept, level, NULL);
    *delivered = rc == COMMITLOG_ENOTFOUND;
    /* On a disk that is full it waits. */
    FUZZ_CHECK(*delivered != 0 || others || !sound || rc == COMMITLOG_ENOSPC);
    return *delivered != 0 || rc == COMMITLOG_OK;
}
