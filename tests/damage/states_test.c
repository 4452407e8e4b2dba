/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states_test.c -- the named states in which recovery may find a directory.
 *
 * For each the outcome is fixed: the same answers as before, or a distinct error and nothing
 * changed. Environment: SEED, ONLY (index of one group), VERBOSE=1.
 */
#include <stdio.h>

#include "states.h"

int main(void)
{
    static void (*const groups[])(struct states *) = {
        states_checkpoint,   states_tail,
        states_segments,     states_leftovers,
        states_live,         states_versions,
        states_places,       states_locked,
        states_retained,     states_read_only_directory,
        states_footers,      states_served,
        states_odd_views,    states_copied,
        states_future_views, states_lost,
        states_below_views};
    struct states states;
    uint64_t seed = prog_begin("states_test");
    uint64_t only = prog_env("ONLY", UINT64_MAX);
    prog_watchdog(120);
    states_begin(&states, seed);
    for (uint64_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        prog_step(i);
        if (only == UINT64_MAX || only == i)
            groups[i](&states);
    }
    states_end(&states);
    return prog_end();
}
