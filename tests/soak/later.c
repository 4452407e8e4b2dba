/* SPDX-License-Identifier: BSD-2-Clause */
/* later.c -- messages that come later, or never since they were cancelled; see clerk.h. */
#include "clerk.h"

typedef unsigned long long ull;

void later_check(const struct ledger *ledger, const struct letter *letter,
                 const struct commitlog_message *message)
{
    CHECK(letter->line < LEDGER_TIMERS);
    const struct later *later = &ledger->laters[letter->thread][letter->line];
    uint32_t state = atomic_load(&later->state);
    CHECKF(letter->serial == later->serial && (state == LATER_BEGUN || state == LATER_WAITS ||
                                               state == LATER_CANCELLING || state == LATER_DUE),
           "delayed message %u/%u/%llu comes at %llu; the last one is %llu, in state %u",
           letter->thread, letter->line, (ull)letter->serial, (ull)message->position,
           (ull)later->serial, state);
    CHECKF(message->store_time_ns >= later->at_ms * 1000000,
           "delayed message %u/%u/%llu is there %lld us before its time", letter->thread,
           letter->line, (ull)letter->serial,
           (long long)(later->at_ms * 1000 - message->store_time_ns / 1000));
}

static void begin(struct clerk *clerk, uint32_t index)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct later *later = &ledger->laters[clerk->thread][index];
    struct letter letter = {
        .topic = LEDGER_LATER, .thread = clerk->thread, .line = index, .serial = later->serial + 1};
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    uint8_t bytes[LEDGER_BODY_MAX];
    struct commitlog_slice body = {bytes, letter_make(ledger, &letter, bytes)};
    uint32_t expected = LATER_BEGUN;
    later->serial = letter.serial;
    atomic_store(&later->handle, 0);
    later->at_ms = clock_wall_ns() / 1000000 + (int64_t)(rng_chance(clerk->rng, 1, 8)
                                                             ? rng_between(clerk->rng, 500, 4000)
                                                             : rng_between(clerk->rng, 1, 300));
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic =
                                                atomic_load(&clerk->desk->numbers[LEDGER_LATER]),
                                            .queue = (uint32_t)(letter.serial % 2),
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1,
                                            .deliver_at_ms = later->at_ms};
    atomic_store(&later->state, LATER_BEGUN);
    if (!call_done(commitlog_append_record(desk_store(clerk->desk), &record, COMMITLOG_FOREVER,
                                           &receipt, &err),
                   &err, "delayed append")) {
        atomic_store(&later->state, LATER_FREE);
        return;
    }
    atomic_store(&later->handle, receipt.position);
    desk_firm(clerk->desk);
    ledger_count(ledger, LEDGER_TIMED, 1);
    (void)atomic_compare_exchange_strong(&later->state, &expected, LATER_WAITS);
}

static void cancel(struct clerk *clerk, struct later *later)
{
    struct commitlog_error err = {.message = ""};
    uint32_t expected = LATER_WAITS;
    uint64_t handle = atomic_load(&later->handle);
    int32_t rc = 0;
    if (!atomic_compare_exchange_strong(&later->state, &expected, LATER_CANCELLING))
        return;
    rc = commitlog_timer_cancel(desk_store(clerk->desk), handle, COMMITLOG_LEVEL_NONE, &err);
    expected = LATER_CANCELLING;
    if (rc == COMMITLOG_ENOTFOUND) {
        (void)atomic_compare_exchange_strong(&later->state, &expected, LATER_DUE);
    } else if (call_done(rc, &err, "cancel")) {
        desk_firm(clerk->desk);
        CHECKF(atomic_compare_exchange_strong(&later->state, &expected, LATER_CANCELLED),
               "timer %llu was cancelled, and has come", (ull)handle);
        CHECK_RC(
            commitlog_timer_cancel(desk_store(clerk->desk), handle, COMMITLOG_LEVEL_NONE, NULL),
            COMMITLOG_ENOTFOUND);
        ledger_count(clerk->desk->ledger, LEDGER_CANCELLED, 1);
    } else {
        (void)atomic_compare_exchange_strong(&later->state, &expected, LATER_WAITS);
    }
}

void later_act(struct clerk *clerk)
{
    uint32_t index = (uint32_t)rng_below(clerk->rng, LEDGER_TIMERS);
    struct later *later = &clerk->desk->ledger->laters[clerk->thread][index];
    uint32_t state = atomic_load(&later->state);
    if (state == LATER_FREE || state == LATER_CANCELLED || state == LATER_SEEN)
        begin(clerk, index);
    else if (state == LATER_WAITS && rng_chance(clerk->rng, 1, 3))
        cancel(clerk, later);
}
