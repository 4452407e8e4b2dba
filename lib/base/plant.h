/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plant.h -- mistakes that are built in on purpose, to show that the tests find them.
 *
 * Owns: CLG_PLANTED(NAME): 1 where the compiler was given -DCLG_PLANT_NAME, else 0.
 * Invariants: the constant is known to the compiler, which drops what it excludes: a library that
 *       was built without such a switch has nothing of it. What stands behind it is compiled and
 *       checked all the same. Each name is a row of tools/check/plants.tsv, with the mistake and
 *       the test that fails.
 * Threads and locks: none.
 * Happy path: 0 everywhere.
 * Failure modes: plants.sh builds with one switch after the other and wants to see a test fail.
 */
#ifndef CLG_BASE_PLANT_H
#define CLG_BASE_PLANT_H

/* -DCLG_PLANT_NAME makes CLG_PLANT_NAME 1, which pastes to the one word that is a macro: its comma
 * moves the 1 into second place. Any other name pastes to a word without meaning: 0 is second. */
#define CLG_PLANTED(NAME) PLANT_VALUE(CLG_PLANT_##NAME)
#define PLANT_VALUE(value) PLANT_PASTE(value)
#define PLANT_PASTE(value) PLANT_SPLIT(PLANT_COMMA_##value 1, 0, 0)
#define PLANT_SPLIT(...) PLANT_SECOND(__VA_ARGS__)
#define PLANT_SECOND(first, second, ...) (second)
#define PLANT_COMMA_1 0,

#endif
