/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deal.c -- transactions over two topics, and with an offset of what a reader consumed: committed,
 * rolled back, closed, or left prepared and decided later, by this process or the next; see
 * clerk.h.
 */
#include <string.h>

#include "clerk.h"

typedef unsigned long long ull;

static const char maker[] = "makers";

void deal_check(const struct ledger *ledger, const struct letter *letter,
                const struct commitlog_message *message)
{
    CHECK(letter->line < LEDGER_DEALS && letter->index < letter->count);
    const struct deal *deal = &ledger->deals[letter->thread][letter->line];
    uint32_t state = atomic_load(&deal->state);
    CHECKF(letter->serial == deal->serial && letter->count == deal->count &&
               (state == DEAL_COMMITTING || state == DEAL_COMMITTED) &&
               (atomic_load(&deal->seen) & 1u << letter->index) == 0,
           "message %u of transaction %u/%u/%llu comes at %llu; the last one is %llu, in state %u, "
           "seen %x",
           letter->index, letter->thread, letter->line, (ull)letter->serial, (ull)message->position,
           (ull)deal->serial, state, atomic_load(&deal->seen));
    CHECKF(message->transaction == deal->id, "transaction %llu at %llu, not %llu",
           (ull)message->transaction, (ull)message->position, (ull)deal->id);
}

static bool append_all(struct clerk *clerk, struct commitlog_transaction *transaction,
                       struct deal *deal, uint32_t index)
{
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < deal->count; i++) {
        struct letter letter = {.topic = i % 2 == deal->serial % 2 ? LEDGER_DEAL_A : LEDGER_DEAL_B,
                                .thread = clerk->thread,
                                .line = index,
                                .serial = deal->serial,
                                .index = (uint16_t)i,
                                .count = (uint16_t)deal->count};
        uint8_t bytes[LEDGER_BODY_MAX];
        struct commitlog_slice body = {bytes, letter_make(clerk->desk->ledger, &letter, bytes)};
        const struct commitlog_record record = {
            .struct_bytes = sizeof record,
            .topic = atomic_load(&clerk->desk->numbers[letter.topic]),
            .queue = (uint32_t)rng_below(clerk->rng, 2),
            .level = COMMITLOG_LEVEL_NONE,
            .body = &body,
            .body_count = 1};
        if (!call_done(
                commitlog_transaction_append(transaction, &record, COMMITLOG_FOREVER, NULL, &err),
                &err, "transaction append"))
            return false;
        deal->id = commitlog_transaction_id(transaction);
    }
    return true;
}

/* What the group would commit by itself: all of a queue that it may read. */
static bool add_offset(struct clerk *clerk, struct commitlog_transaction *transaction,
                       struct deal *deal)
{
    struct group_line *line = &clerk->desk->ledger->groups[clerk->thread];
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    struct commitlog_group_offset offset = {.topic =
                                                atomic_load(&clerk->desk->numbers[LEDGER_GROWS]),
                                            .queue = (uint32_t)rng_below(clerk->rng, 2)};
    CHECK_RC(commitlog_queue_info(desk_store(clerk->desk), offset.topic, offset.queue, &info),
             COMMITLOG_OK);
    offset.offset = info.next_offset;
    if (offset.offset < line->offsets[offset.queue])
        return true; /* more was visible to another life */
    if (!call_done(
            commitlog_transaction_offsets(transaction, clerk->group, line->epoch, &offset, 1, &err),
            &err, "transaction offsets"))
        return false;
    deal->queue = offset.queue;
    deal->offset = offset.offset;
    memcpy(line->next_seen, line->seen, sizeof line->seen);
    line->mark_count = 0;
    line->moved[0] = (struct moved){ledger_place(LEDGER_GROWS, offset.queue), offset.offset};
    return true;
}

static void commit(struct clerk *clerk, struct commitlog_transaction *transaction,
                   struct deal *deal)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct group_line *line = &ledger->groups[clerk->thread];
    struct commitlog_error err = {.message = ""};
    bool moves = deal->offset != UINT64_MAX;
    int32_t rc = 0;
    atomic_store(&deal->state, DEAL_COMMITTING);
    if (moves)
        atomic_store(&line->moved_count, 1);
    rc = commitlog_transaction_commit(
        transaction, rng_chance(clerk->rng, 1, 40) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE,
        COMMITLOG_FOREVER, NULL, &err);
    if (call_done(rc, &err, "transaction commit")) {
        desk_firm(clerk->desk);
        if (moves)
            consume_promote(ledger, clerk->thread);
        atomic_store(&deal->state, DEAL_COMMITTED);
        ledger_count(ledger, LEDGER_COMMITTED, 1);
        return;
    }
    if (moves)
        atomic_store(&line->moved_count, 0);
    atomic_store(&deal->state, deal->prepared ? DEAL_PREPARED : DEAL_ROLLING);
}

static void rollback(struct clerk *clerk, struct commitlog_transaction *transaction,
                     struct deal *deal)
{
    struct commitlog_error err = {.message = ""};
    atomic_store(&deal->state, DEAL_ROLLING);
    if (call_done(commitlog_transaction_rollback(transaction, COMMITLOG_LEVEL_NONE,
                                                 COMMITLOG_FOREVER, &err),
                  &err, "rollback")) {
        desk_firm(clerk->desk);
        atomic_store(&deal->state, DEAL_NEVER);
        ledger_count(clerk->desk->ledger, LEDGER_ROLLED, 1);
    } else if (deal->prepared) {
        atomic_store(&deal->state, DEAL_PREPARED);
    }
}

static void prepare(struct clerk *clerk, struct commitlog_transaction *transaction,
                    struct deal *deal)
{
    struct commitlog_error err = {.message = ""};
    atomic_store(&deal->state, DEAL_PREPARING);
    if (!call_done(commitlog_transaction_prepare(transaction, COMMITLOG_LEVEL_NONE,
                                                 COMMITLOG_FOREVER, &err),
                   &err, "prepare"))
        return;
    desk_firm(clerk->desk);
    deal->prepared = true;
    atomic_store(&deal->state, DEAL_PREPARED);
    if (rng_chance(clerk->rng, 1, 3))
        commit(clerk, transaction, deal);
    else
        ledger_count(clerk->desk->ledger, LEDGER_PREPARED, 1);
}

static void begin(struct clerk *clerk, uint32_t index)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct deal *deal = &ledger->deals[clerk->thread][index];
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t draw = rng_below(clerk->rng, 20);
    uint32_t state = 0;
    deal->serial++;
    deal->id = 0;
    deal->count = (uint32_t)rng_between(clerk->rng, 1, LEDGER_DEAL_MAX);
    deal->offset = UINT64_MAX;
    deal->prepared = false;
    atomic_store(&deal->seen, 0);
    atomic_store(&deal->state, DEAL_OPEN);
    CHECK_OK(commitlog_transaction_begin(desk_store(clerk->desk), maker, strlen(maker), NULL,
                                         &transaction, &err),
             &err);
    if (append_all(clerk, transaction, deal, index)) {
        if (draw < 9) {
            if (clerk->thread == LEDGER_AUDIT || draw < 4 || add_offset(clerk, transaction, deal))
                commit(clerk, transaction, deal);
        } else if (draw < 11)
            rollback(clerk, transaction, deal);
        else if (draw < 19)
            prepare(clerk, transaction, deal);
    }
    /* The close rolls back what is neither prepared nor committed. */
    state = atomic_load(&deal->state);
    if (state == DEAL_OPEN || state == DEAL_PREPARING)
        atomic_store(&deal->state, DEAL_ROLLING);
    commitlog_transaction_close(transaction);
    if (atomic_load(&deal->state) == DEAL_ROLLING)
        atomic_store(&deal->state, DEAL_NEVER);
}

/* Prepared by an earlier act, maybe of a process that was killed. */
static void decide(struct clerk *clerk, struct deal *deal)
{
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_transaction_open(desk_store(clerk->desk), deal->id, &transaction, &err),
             &err);
    if (rng_chance(clerk->rng, 2, 3))
        commit(clerk, transaction, deal);
    else
        rollback(clerk, transaction, deal);
    commitlog_transaction_close(transaction);
    ledger_count(clerk->desk->ledger, LEDGER_ASKED, 1);
}

void deal_act(struct clerk *clerk)
{
    uint32_t index = (uint32_t)rng_below(clerk->rng, LEDGER_DEALS);
    struct deal *deal = &clerk->desk->ledger->deals[clerk->thread][index];
    uint32_t state = atomic_load(&deal->state);
    if (state == DEAL_FREE || state == DEAL_NEVER ||
        (state == DEAL_COMMITTED && atomic_load(&deal->seen) == (1u << deal->count) - 1))
        begin(clerk, index);
    else if (state == DEAL_PREPARED && rng_chance(clerk->rng, 1, 2))
        decide(clerk, deal);
}
