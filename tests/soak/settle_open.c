/* SPDX-License-Identifier: BSD-2-Clause */
/* settle_open.c -- timers and transactions after an open; see settle.h. */
#include <string.h>

#include "settle.h"

typedef unsigned long long ull;

enum { PASSES = 50 /* upkeep moves and delivers meanwhile */ };

/* ---- timers ---------------------------------------------------------------------------------- */

struct whereabouts {
    bool listed[LEDGER_THREADS][LEDGER_TIMERS];
    bool came[LEDGER_THREADS][LEDGER_TIMERS];
};

static void later_came(struct desk *desk, uint32_t topic, const struct commitlog_message *message,
                       void *context)
{
    struct whereabouts *found = context;
    struct letter letter;
    letter_check(desk->ledger, message, &letter);
    CHECK(letter.topic == topic);
    later_check(desk->ledger, &letter, message);
    CHECKF(!found->came[letter.thread][letter.line], "delayed message %u/%u/%llu comes twice",
           letter.thread, letter.line, (ull)letter.serial);
    found->came[letter.thread][letter.line] = true;
}

/* False: it has just moved, or ended. */
static bool later_listed(struct desk *desk, const struct commitlog_timer_info *info,
                         struct whereabouts *found)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct letter letter;
    int32_t rc = commitlog_get(desk_store(desk), info->position, &message, &lease, NULL);
    if (rc != COMMITLOG_OK) {
        CHECKF(rc == COMMITLOG_ETOOSMALL || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EBEYOND,
               "timer %llu at %llu: %s", (ull)info->timer, (ull)info->position,
               commitlog_error_name(rc));
        return false;
    }
    letter_check(desk->ledger, &message, &letter);
    commitlog_lease_release(lease);
    CHECK(letter.topic == LEDGER_LATER && letter.line < LEDGER_TIMERS);
    struct later *later = &desk->ledger->laters[letter.thread][letter.line];
    uint32_t state = atomic_load(&later->state);
    uint64_t handle = atomic_load(&later->handle);
    CHECKF(letter.serial == later->serial && info->deliver_at_ms == later->at_ms &&
               info->queue == letter.serial % 2 && (handle == 0 || handle == info->timer) &&
               (state == LATER_BEGUN || state == LATER_WAITS || state == LATER_CANCELLING ||
                state == LATER_DUE),
           "timer %llu of message %u/%u/%llu waits; the last one is %llu, in state %u, timer %llu",
           (ull)info->timer, letter.thread, letter.line, (ull)letter.serial, (ull)later->serial,
           state, (ull)handle);
    atomic_store(&later->handle, info->timer);
    found->listed[letter.thread][letter.line] = true;
    return true;
}

static void laters_find(struct desk *desk, struct whereabouts *found)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; commitlog_timer_at(desk_store(desk), i, &info) == COMMITLOG_OK; i++)
        (void)later_listed(desk, &info, found);
    CHECK_OK(commitlog_sync(desk_store(desk), UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
    memset(found->came, 0, sizeof found->came);
    settle_unseen(desk, LEDGER_LATER, later_came, found);
}

/* Whether it is clear what has become of each. */
static bool laters_judge(struct desk *desk, const struct whereabouts *found, bool last)
{
    for (uint32_t t = 0; t < LEDGER_THREADS; t++) {
        for (uint32_t i = 0; i < LEDGER_TIMERS; i++) {
            const struct later *later = &desk->ledger->laters[t][i];
            uint32_t state = atomic_load(&later->state);
            bool owed = state == LATER_WAITS || state == LATER_DUE;
            bool begun = state == LATER_BEGUN || state == LATER_CANCELLING;
            if (found->listed[t][i] || found->came[t][i] || !(owed || begun))
                continue;
            CHECKF(!last || !owed, "LOST delayed message %u/%u/%llu, due at %lld, in state %u", t,
                   i, (ull)later->serial, (long long)later->at_ms, state);
            if (!last)
                return false;
        }
    }
    return true;
}

void settle_laters(struct desk *desk)
{
    static struct whereabouts found;
    memset(&found, 0, sizeof found);
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        laters_find(desk, &found);
        if (laters_judge(desk, &found, pass + 1 == PASSES))
            break;
    }
    for (uint32_t t = 0; t < LEDGER_THREADS; t++) {
        for (uint32_t i = 0; i < LEDGER_TIMERS; i++) {
            struct later *later = &desk->ledger->laters[t][i];
            uint32_t state = atomic_load(&later->state);
            if (state != LATER_BEGUN && state != LATER_CANCELLING && state != LATER_DUE)
                continue;
            if (state != LATER_DUE)
                ledger_count(desk->ledger, LEDGER_OPEN_KILLED, 1);
            if (found.came[t][i])
                atomic_store(&later->state, LATER_DUE);
            else if (found.listed[t][i])
                atomic_store(&later->state, LATER_WAITS);
            else
                atomic_store(&later->state, state == LATER_BEGUN ? LATER_FREE : LATER_CANCELLED);
        }
    }
}

/* ---- transactions ---------------------------------------------------------------------------- */

struct bargains {
    uint32_t came[LEDGER_THREADS][LEDGER_DEALS]; /* a bit for each message */
    bool prepared[LEDGER_THREADS][LEDGER_DEALS]; /* listed so */
};

static void deal_came(struct desk *desk, uint32_t topic, const struct commitlog_message *message,
                      void *context)
{
    struct bargains *found = context;
    struct letter letter;
    letter_check(desk->ledger, message, &letter);
    CHECK(letter.topic == topic);
    deal_check(desk->ledger, &letter, message);
    uint32_t *came = &found->came[letter.thread][letter.line];
    CHECKF((*came & 1u << letter.index) == 0, "message %u of transaction %u/%u/%llu comes twice",
           letter.index, letter.thread, letter.line, (ull)letter.serial);
    *came |= 1u << letter.index;
}

/* All its messages are as they were appended. */
static void deal_listed(struct desk *desk, uint32_t thread, uint32_t index)
{
    const struct deal *deal = &desk->ledger->deals[thread][index];
    struct commitlog_transaction_message part = {.struct_bytes = sizeof part};
    uint32_t tries = 0;
    for (uint32_t i = 0; i < deal->count;) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        struct letter letter;
        CHECK_RC(commitlog_transaction_message(desk_store(desk), deal->id, i, &part), COMMITLOG_OK);
        int32_t rc = commitlog_get(desk_store(desk), part.position, &message, &lease, NULL);
        if (rc != COMMITLOG_OK) { /* retention has just moved it */
            CHECKF(++tries < PASSES, "transaction %llu message %u at %llu: %s", (ull)deal->id, i,
                   (ull)part.position, commitlog_error_name(rc));
            CHECK_RC(commitlog_sync(desk_store(desk), UINT64_MAX, COMMITLOG_FOREVER, NULL),
                     COMMITLOG_OK);
            continue;
        }
        letter_check(desk->ledger, &message, &letter);
        commitlog_lease_release(lease);
        CHECKF(letter.thread == thread && letter.line == index && letter.serial == deal->serial &&
                   letter.index == i,
               "message %u of transaction %llu is %u/%u/%llu %u", i, (ull)deal->id, letter.thread,
               letter.line, (ull)letter.serial, letter.index);
        i++;
    }
    CHECK_RC(commitlog_transaction_message(desk_store(desk), deal->id, deal->count, &part),
             COMMITLOG_ENOTFOUND);
}

static void deals_list(struct desk *desk, struct bargains *found)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof info};
    uint64_t after = 0;
    while (commitlog_transaction_next(desk_store(desk), after, &info) == COMMITLOG_OK) {
        bool known = false;
        after = info.transaction;
        for (uint32_t t = 0; info.prepared != 0 && t < LEDGER_THREADS; t++) {
            for (uint32_t i = 0; i < LEDGER_DEALS; i++) {
                const struct deal *deal = &desk->ledger->deals[t][i];
                if (deal->id != info.transaction)
                    continue;
                known = true;
                found->prepared[t][i] = true;
                CHECKF(info.messages == deal->count && strcmp(info.group, "makers") == 0,
                       "transaction %llu of %s has %u messages, not %u", (ull)deal->id, info.group,
                       info.messages, deal->count);
                deal_listed(desk, t, i);
            }
        }
        CHECKF(info.prepared == 0 || known, "transaction %llu is prepared: nobody's",
               (ull)info.transaction);
    }
}

static uint32_t deal_outcome(const struct deal *deal, uint32_t state, bool all, bool prepared)
{
    switch (state) {
    case DEAL_PREPARING:
        return prepared ? DEAL_PREPARED : DEAL_NEVER;
    case DEAL_COMMITTING:
        return all ? DEAL_COMMITTED : prepared ? DEAL_PREPARED : DEAL_NEVER;
    case DEAL_ROLLING:
        return prepared && deal->prepared ? DEAL_PREPARED : DEAL_NEVER;
    case DEAL_OPEN:
        return DEAL_NEVER;
    default:
        return state;
    }
}

static void deal_settle(struct desk *desk, uint32_t thread, uint32_t index,
                        const struct bargains *found)
{
    struct deal *deal = &desk->ledger->deals[thread][index];
    uint32_t state = atomic_load(&deal->state);
    uint32_t there = found->came[thread][index] | atomic_load(&deal->seen);
    bool prepared = found->prepared[thread][index];
    bool all = deal->count > 0 && there == (1u << deal->count) - 1;
    bool may_be = state == DEAL_COMMITTING || state == DEAL_COMMITTED;
    bool may_wait = state == DEAL_PREPARED || state == DEAL_PREPARING ||
                    (deal->prepared && (state == DEAL_COMMITTING || state == DEAL_ROLLING));
    bool must_wait =
        state == DEAL_PREPARED || (deal->prepared && state == DEAL_COMMITTING && there == 0);
    CHECKF(there == 0 || (may_be && all),
           "transaction %u/%u/%llu in state %u: of %u messages these are there: %x", thread, index,
           (ull)deal->serial, state, deal->count, there);
    CHECKF(state != DEAL_COMMITTED || all, "LOST transaction %u/%u/%llu, which was committed",
           thread, index, (ull)deal->serial);
    CHECKF(prepared ? may_wait && there == 0 : !must_wait,
           "transaction %u/%u/%llu in state %u is%s prepared", thread, index, (ull)deal->serial,
           state, prepared ? "" : " not");
    if (state == DEAL_OPEN || state == DEAL_PREPARING || state == DEAL_COMMITTING ||
        state == DEAL_ROLLING)
        ledger_count(desk->ledger, LEDGER_OPEN_KILLED, 1);
    uint32_t outcome = deal_outcome(deal, state, all, prepared);
    deal->prepared = outcome == DEAL_PREPARED || deal->prepared;
    atomic_store(&deal->state, outcome);
}

void settle_deals(struct desk *desk)
{
    static struct bargains found;
    memset(&found, 0, sizeof found);
    deals_list(desk, &found);
    settle_unseen(desk, LEDGER_DEAL_A, deal_came, &found);
    settle_unseen(desk, LEDGER_DEAL_B, deal_came, &found);
    for (uint32_t t = 0; t < LEDGER_THREADS; t++)
        for (uint32_t i = 0; i < LEDGER_DEALS; i++)
            deal_settle(desk, t, i, &found);
}
