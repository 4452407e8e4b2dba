/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.c -- names, letters and counts of the second oracle; see ledger.h. */
#define _GNU_SOURCE
#include "ledger.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef unsigned long long ull;

#define LETTER_MAGIC UINT64_C(0x72657474656c2d73)

static const struct {
    const char *name;
    uint32_t queues;
    uint32_t first; /* place */
} topics[LEDGER_TOPICS] = {{"grows", 2, 0},
                           {"later", 2, LEDGER_GROWN},
                           {"work", 2, LEDGER_GROWN + 2},
                           {"deal-a", 2, LEDGER_GROWN + 4},
                           {"deal-b", 2, LEDGER_GROWN + 6},
                           {"%DLQ%workers", 1, LEDGER_GROWN + 8}};
static const uint32_t steps[LEDGER_STEPS] = {2, 4, 12, LEDGER_GROWN};
static const char *const count_names[LEDGER_COUNTS] = {
    "keyed",          "grown",       "shrunk",    "gates_closed", "consumed",
    "offset_commits", "fenced",      "resets",    "delayed",      "delivered",
    "cancelled",      "put",         "given_out", "again",        "acked",
    "given_back",     "dead",        "committed", "rolled",       "prepared",
    "asked",          "found_begun", "settled",   "witnessed",    "whole"};

struct ledger *ledger_make(uint64_t seed)
{
    struct ledger *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(ledger != MAP_FAILED);
    ledger->seed = seed;
    for (uint32_t g = 0; g < LEDGER_THREADS; g++) {
        ledger->groups[g].ordered = 1;
        for (uint32_t place = 0; place < LEDGER_QUEUES; place++)
            ledger->groups[g].offsets[place] = UINT64_MAX;
    }
    return ledger;
}

const char *ledger_name(uint32_t topic)
{
    CHECK(topic < LEDGER_TOPICS);
    return topics[topic].name;
}

uint32_t ledger_queues(uint32_t topic)
{
    CHECK(topic < LEDGER_TOPICS);
    return topics[topic].queues;
}

uint32_t ledger_topic(const char *name)
{
    uint32_t topic = 0;
    while (topic < LEDGER_TOPICS && strcmp(topics[topic].name, name) != 0)
        topic++;
    return topic;
}

uint32_t ledger_place(uint32_t topic, uint32_t queue)
{
    CHECKF(topic < LEDGER_TOPICS &&
               queue < (topic == LEDGER_GROWS ? (uint32_t)LEDGER_GROWN : topics[topic].queues),
           "topic %u queue %u", topic, queue);
    return topics[topic].first + queue;
}

void ledger_unplace(uint32_t place, uint32_t *out_topic, uint32_t *out_queue)
{
    uint32_t topic = LEDGER_TOPICS - 1;
    CHECK(place < LEDGER_QUEUES);
    while (topics[topic].first > place)
        topic--;
    *out_topic = topic;
    *out_queue = place - topics[topic].first;
}

uint32_t ledger_step(uint32_t step)
{
    CHECK(step < LEDGER_STEPS);
    return steps[step];
}

/* ---- letters --------------------------------------------------------------------------------- */

static uint64_t letter_seed(const struct ledger *ledger, const struct letter *letter)
{
    return ledger->seed ^ letter->serial << 20 ^ (uint64_t)letter->line << 12 ^
           (uint64_t)letter->thread << 8 ^ (uint64_t)letter->topic << 4 ^ letter->index;
}

size_t letter_make(const struct ledger *ledger, const struct letter *letter,
                   uint8_t out[LEDGER_BODY_MAX])
{
    struct letter whole = *letter;
    struct rng rng;
    rng_begin(&rng, letter_seed(ledger, letter));
    whole.magic = LETTER_MAGIC;
    whole.bytes = (uint32_t)rng_between(&rng, sizeof whole, LEDGER_BODY_MAX);
    memcpy(out, &whole, sizeof whole);
    bytes_fill(out + sizeof whole, whole.bytes - sizeof whole, rng_next(&rng));
    return whole.bytes;
}

void letter_check(const struct ledger *ledger, const struct commitlog_message *message,
                  struct letter *out)
{
    uint8_t body[LEDGER_BODY_MAX];
    size_t bytes = 0;
    CHECKF(message->body.bytes >= sizeof *out, "a letter of %zu bytes at %llu", message->body.bytes,
           (ull)message->position);
    memcpy(out, message->body.data, sizeof *out);
    CHECKF(out->magic == LETTER_MAGIC && out->topic < LEDGER_TOPICS &&
               out->thread < LEDGER_THREADS && out->reserved == 0,
           "no letter at %llu", (ull)message->position);
    bytes = letter_make(ledger, out, body);
    CHECKF(message->body.bytes == bytes && bytes_equal(message->body.data, body, bytes),
           "the letter %u/%u/%llu at %llu is not whole", out->thread, out->line, (ull)out->serial,
           (ull)message->position);
}

/* ---- counts ---------------------------------------------------------------------------------- */

void ledger_count(struct ledger *ledger, enum ledger_count which, uint64_t more)
{
    atomic_fetch_add_explicit(&ledger->counts[which], more, memory_order_relaxed);
}

uint64_t ledger_counted(const struct ledger *ledger, enum ledger_count which)
{
    return atomic_load_explicit(&ledger->counts[which], memory_order_relaxed);
}

void ledger_tell(const struct ledger *ledger)
{
    printf("semantics:");
    for (uint32_t i = 0; i < LEDGER_COUNTS; i++)
        printf(" %s=%llu", count_names[i], (ull)ledger_counted(ledger, (enum ledger_count)i));
    printf("\n");
}

void ledger_enough(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < LEDGER_COUNTS; i++)
        CHECKF(ledger_counted(ledger, (enum ledger_count)i) > 0, "%s: nothing was tried",
               count_names[i]);
}
