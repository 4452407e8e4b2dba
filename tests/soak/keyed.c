/* SPDX-License-Identifier: BSD-2-Clause */
/* keyed.c -- messages with keys, numbered by key, for a topic that grows and shrinks; see clerk.h.
 */
#include <stdio.h>

#include "clerk.h"

enum { BATCH_MAX = 4 };

struct draft {
    uint8_t body[LEDGER_BODY_MAX];
    char name[16];
    struct commitlog_slice piece;
    struct commitlog_slice key;
};

static void draft_make(struct clerk *clerk, struct draft *draft, struct commitlog_record *record)
{
    const struct desk *desk = clerk->desk;
    struct keyed *keyed = &desk->ledger->keyed[clerk->thread];
    uint32_t key = (uint32_t)rng_below(clerk->rng, LEDGER_KEYS);
    struct letter letter = {.topic = LEDGER_GROWS,
                            .thread = clerk->thread,
                            .line = key,
                            .serial = atomic_fetch_add(&keyed->begun[key], 1) + 1};
    draft->piece.data = draft->body;
    draft->piece.bytes = letter_make(desk->ledger, &letter, draft->body);
    draft->key.data = draft->name;
    draft->key.bytes =
        (size_t)snprintf(draft->name, sizeof draft->name, "%u-%u", clerk->thread, key);
    *record = (struct commitlog_record){.struct_bytes = sizeof *record,
                                        .topic = atomic_load(&desk->numbers[LEDGER_GROWS]),
                                        .queue = COMMITLOG_QUEUE_AUTO,
                                        .level = COMMITLOG_LEVEL_NONE,
                                        .body = &draft->piece,
                                        .body_count = 1,
                                        .keys = &draft->key,
                                        .key_count = 1};
}

/* All that was begun is there, or none of it. */
static void settle(struct clerk *clerk, bool stored)
{
    struct keyed *keyed = &clerk->desk->ledger->keyed[clerk->thread];
    for (uint32_t k = 0; k < LEDGER_KEYS; k++) {
        if (stored)
            atomic_store(&keyed->acked[k], atomic_load(&keyed->begun[k]));
        else
            atomic_store(&keyed->begun[k], atomic_load(&keyed->acked[k]));
    }
}

void keyed_act(struct clerk *clerk)
{
    struct draft drafts[BATCH_MAX];
    struct commitlog_record records[BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count =
        rng_chance(clerk->rng, 1, 3) ? (uint32_t)rng_between(clerk->rng, 1, BATCH_MAX) : 1;
    int32_t timeout = rng_chance(clerk->rng, 1, 8) ? 5 : COMMITLOG_FOREVER;
    int32_t rc = 0;
    if (atomic_load(&clerk->desk->pause) != 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        draft_make(clerk, &drafts[i], &records[i]);
    rc = count == 1
             ? commitlog_append_record(desk_store(clerk->desk), records, timeout, NULL, &err)
             : commitlog_append_batch(desk_store(clerk->desk), records, count, timeout, NULL, &err);
    if (call_done(rc, &err, "keyed append")) {
        desk_firm(clerk->desk);
        settle(clerk, true);
        ledger_count(clerk->desk->ledger, LEDGER_KEYED, count);
    } else {
        settle(clerk, false);
    }
}

/* The number of queues as it has come out. */
static void changed(struct clerk *clerk, int32_t rc, uint32_t queues)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN) {
        desk_firm(clerk->desk);
        ledger->queues = queues;
    }
    ledger->queues_begun = 0;
    CHECK_RC(commitlog_topic_info(desk_store(clerk->desk),
                                  atomic_load(&clerk->desk->numbers[LEDGER_GROWS]), &info),
             COMMITLOG_OK);
    CHECKF(info.queues == ledger->queues, "%u queues, not %u", info.queues, ledger->queues);
}

void keyed_grow(struct clerk *clerk)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct commitlog_error err = {.message = ""};
    uint32_t step = 0;
    int32_t rc = 0;
    while (step < LEDGER_STEPS && ledger_step(step) <= ledger->queues)
        step++;
    if (step == LEDGER_STEPS) {
        atomic_store(&clerk->desk->pause, 400);
        return;
    }
    ledger->queues_begun = ledger_step(step);
    rc = commitlog_topic_grow(desk_store(clerk->desk),
                              atomic_load(&clerk->desk->numbers[LEDGER_GROWS]), ledger_step(step),
                              COMMITLOG_LEVEL_NONE, &err);
    if (call_done(rc, &err, "grow"))
        ledger_count(ledger, LEDGER_GREW, 1);
    changed(clerk, rc, ledger_step(step));
}

/* Refused until all that lies in its queues is consumed by all: so nothing is appended meanwhile.
 */
void keyed_shrink(struct clerk *clerk)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct commitlog_error err = {.message = ""};
    uint32_t queues = ledger_step((uint32_t)rng_below(clerk->rng, LEDGER_STEPS - 1));
    int32_t rc = 0;
    ledger->queues_begun = queues;
    rc = commitlog_topic_shrink(desk_store(clerk->desk),
                                atomic_load(&clerk->desk->numbers[LEDGER_GROWS]), queues,
                                COMMITLOG_LEVEL_NONE, &err);
    atomic_fetch_sub(&clerk->desk->pause, 1);
    if (rc != COMMITLOG_EBUSY && call_done(rc, &err, "shrink")) {
        ledger_count(ledger, LEDGER_SHRANK, 1);
        atomic_store(&clerk->desk->pause, 0);
    }
    changed(clerk, rc, queues);
}
