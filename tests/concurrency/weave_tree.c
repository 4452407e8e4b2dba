/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weave_tree.c -- the tree of choices, and which part of it is walked. See weave.h.
 *
 * A run follows the choices that are given and takes the first of each that comes after. From the
 * deepest choice that has another one to try, the next run goes that way. The first choice is
 * always to let the running thread go on, and taking another one spends a preemption; before it is
 * taken, the step that came next must have conflicted with a later one of another thread, in some
 * run that went on there.
 */
#include <stdio.h>
#include <string.h>

#include "weave_internal.h"

static void choice_add(struct weave_node *node, const struct weave_thread *thread, uint8_t cost,
                       bool delay)
{
    CHECK(node->count < WEAVE_CHOICES);
    node->choices[node->count++] = (struct weave_choice){
        .thread = (uint8_t)(thread - weave.threads), .cost = cost, .delay = delay};
}

static void choices_timed(struct weave_node *node, bool any_ready)
{
    const struct weave_thread *first = NULL;
    for (uint32_t i = 0; i < weave.count; i++) {
        const struct weave_thread *it = &weave.threads[i];
        if (it->state != WEAVE_WAITS || it->deadline == INT64_MAX)
            continue;
        if (any_ready)
            choice_add(node, it, 1, false);
        else if (first == NULL || it->deadline < first->deadline)
            first = it;
    }
    if (first != NULL)
        choice_add(node, first, 0, false);
}

static void choices_collect(struct weave_node *node, bool may_delay)
{
    const struct weave_thread *self = weave.current;
    uint32_t at = self != NULL ? (uint32_t)(self - weave.threads) : weave.count - 1;
    bool goes_on = self != NULL && self->state == WEAVE_READY;
    memset(node, 0, sizeof *node);
    node->goes_on = goes_on;
    if (goes_on) {
        choice_add(node, self, 0, false);
        if (may_delay && weave.delays && self->buffered == 0)
            choice_add(node, self, 1, true);
    }
    for (uint32_t i = 1; i <= weave.count; i++) {
        struct weave_thread *it = &weave.threads[(at + i) % weave.count];
        if (it->state == WEAVE_AWAITS && *it->flag)
            it->state = WEAVE_READY;
        if (it != self && it->state == WEAVE_READY)
            choice_add(node, it, goes_on ? 1 : 0, false);
        else if (it == self && !goes_on && it->state == WEAVE_READY)
            choice_add(node, it, 0, false);
    }
    choices_timed(node, node->count > 0);
}

/* Nobody can go on: those who stopped do, after they were seen to hold up what they may. */
static bool choices_release(void)
{
    bool any = false;
    for (uint32_t i = 0; i < weave.count; i++)
        any = any || weave.threads[i].state == WEAVE_STOPPED;
    if (any && weave.it->quiet != NULL) {
        weave.checking = true;
        weave.it->quiet();
        weave.checking = false;
    }
    for (uint32_t i = 0; i < weave.count; i++) {
        if (weave.threads[i].state == WEAVE_STOPPED)
            weave.threads[i].state = WEAVE_READY;
        else if (!any && weave.threads[i].state != WEAVE_ENDED)
            weave_fail(__FILE__, __LINE__, "wait", "%s waits for ever", weave.threads[i].name);
    }
    return any;
}

static uint8_t choose_at_random(const struct weave_node *node)
{
    uint8_t best = 0;
    if (node->goes_on && rng_chance(&weave.rng, 1, 48))
        weave.current->priority = rng_next(&weave.rng) >> 1;
    for (uint8_t i = 0; i < node->count; i++) {
        const struct weave_choice *it = &node->choices[i];
        bool timed = weave.threads[it->thread].state == WEAVE_WAITS;
        if ((timed || it->delay) && rng_chance(&weave.rng, 1, it->delay ? 12 : 64))
            return i;
        if (!timed && !it->delay &&
            (weave.threads[node->choices[best].thread].state == WEAVE_WAITS ||
             weave.threads[it->thread].priority >
                 weave.threads[node->choices[best].thread].priority))
            best = i;
    }
    return best;
}

static void choose_time_out(struct weave_thread *thread)
{
    int64_t now = weave_now();
    if (thread->deadline > now)
        weave.under->sleep_ns(&weave.os, thread->deadline - now);
    thread->timed_out = true;
    thread->state = WEAVE_READY;
}

/* What this run, or the one before it, takes here. */
static uint8_t choose_taken(const struct weave_node *now, int32_t *out_node)
{
    if (now->count == 1)
        return 0;
    if (weave.random)
        return choose_at_random(now);
    CHECKF(weave.node_count < WEAVE_NODES, "%u choices in one run", weave.node_count);
    struct weave_node *node = &weave.nodes[weave.node_count];
    if (weave.node_count < weave.replay) {
        CHECKF(node->count == now->count &&
                   memcmp(node->choices, now->choices, sizeof now->choices) == 0,
               "case %s, schedule %llu: another run than the one it repeats", weave.it->name,
               (unsigned long long)weave.run);
    } else {
        *node = *now;
        node->spent = weave.spent;
    }
    *out_node = (int32_t)weave.node_count++;
    return node->taken;
}

struct weave_thread *weave_choose(bool may_delay, int32_t *out_node, bool *out_delay)
{
    struct weave_node now;
    *out_node = -1;
    do {
        bool all = true;
        for (uint32_t i = 0; i < weave.count; i++)
            all = all && weave.threads[i].state == WEAVE_ENDED;
        if (all)
            return NULL;
        choices_collect(&now, may_delay);
    } while (now.count == 0 && choices_release());
    uint8_t taken = choose_taken(&now, out_node);
    const struct weave_choice *choice = &now.choices[taken];
    struct weave_thread *thread = &weave.threads[choice->thread];
    weave.spent += choice->cost;
    if (thread->state == WEAVE_WAITS)
        choose_time_out(thread);
    *out_delay = choice->delay;
    return thread;
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* Which threads read and wrote an address, behind the step that is looked at. */
enum { SEEN_SLOTS = 4096 };
struct seen {
    const volatile void *at;
    uint32_t readers;
    uint32_t writers;
    uint64_t run;
};

static struct seen *seen_find(const volatile void *at, uint64_t run)
{
    static struct seen slots[SEEN_SLOTS];
    uint64_t hash = (uint64_t)(uintptr_t)at * 0x9e3779b97f4a7c15U;
    for (uint64_t i = hash >> 52, tries = 0;; i++, tries++) {
        struct seen *slot = &slots[i % SEEN_SLOTS];
        CHECK(tries < SEEN_SLOTS);
        if (slot->run != run) {
            *slot = (struct seen){.at = at, .run = run};
            return slot;
        }
        if (slot->at == at)
            return slot;
    }
}

static void tree_mark_conflicts(void)
{
    static uint64_t run;
    run++;
    for (uint32_t i = weave.step_count; i > 0; i--) {
        const struct weave_step *step = &weave.steps[i - 1];
        struct seen *seen = seen_find(step->at, run);
        uint32_t self = 1u << step->thread;
        uint32_t against =
            step->kind == WEAVE_WRITE ? seen->readers | seen->writers : seen->writers;
        if (step->node >= 0 && (step->kind == WEAVE_READ_SHARED || (against & ~self) != 0))
            weave.nodes[step->node].conflicts = true;
        if (step->kind == WEAVE_WRITE)
            seen->writers |= self;
        else
            seen->readers |= self;
    }
}

static bool tree_may_take(const struct weave_node *node, uint8_t choice, uint32_t depth,
                          const struct weave_limits *limits)
{
    uint32_t cost = node->choices[choice].cost;
    if (node->spent == 0 && cost > 0 && depth % limits->parts != limits->part)
        return false;
    if (node->spent + cost > limits->bound)
        return false;
    return cost == 0 || !node->goes_on || node->conflicts;
}

/* The next choices to be given; false: there are none. */
static bool tree_next(const struct weave_limits *limits)
{
    for (uint32_t depth = weave.node_count; depth > 0; depth--) {
        struct weave_node *node = &weave.nodes[depth - 1];
        for (uint8_t i = node->taken + 1; i < node->count; i++) {
            if (tree_may_take(node, i, depth - 1, limits)) {
                node->taken = i;
                weave.replay = depth;
                return true;
            }
        }
    }
    return false;
}

static void result_add(struct weave_result *result)
{
    result->schedules++;
    result->steps += weave.step_count;
    if (weave.step_count > result->longest)
        result->longest = weave.step_count;
}

static void walk_begin(const struct weave_case *it, bool delays)
{
    weave.it = it;
    weave.delays = delays;
    weave.replay = 0;
    weave.random = false;
    weave.run = 0;
}

struct weave_result weave_explore(const struct weave_case *it, const struct weave_limits *limits)
{
    struct weave_result result = {0};
    walk_begin(it, limits->delays);
    for (;;) {
        weave.node_count = 0;
        weave.run = result.schedules;
        prog_step(weave.run);
        weave_run();
        tree_mark_conflicts();
        result_add(&result);
        bool same = weave.at_locks && limits->delays; /* as without */
        if (same || !tree_next(limits)) {
            result.complete = true;
            break;
        }
        if (result.schedules == limits->most ||
            (limits->until_ms != 0 && clock_ms() >= limits->until_ms))
            break;
    }
    weave.it = NULL;
    return result;
}

struct weave_result weave_random(const struct weave_case *it, uint64_t seed, uint64_t from,
                                 uint64_t count, bool delays)
{
    struct weave_result result = {.complete = true};
    walk_begin(it, delays);
    weave.random = true;
    for (uint64_t i = from; i < from + count; i++) {
        weave.node_count = 0;
        weave.run = i;
        rng_begin(&weave.rng, seed ^ (i * 0xd1342543de82ef95U));
        prog_step(i);
        weave_run();
        result_add(&result);
    }
    weave.it = NULL;
    return result;
}
