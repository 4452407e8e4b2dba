/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states.h -- what the tests of named directory states share: a fresh copy of a store, an open
 * with its expected outcome, and comparison with the pristine answers.
 */
#ifndef TESTS_DAMAGE_STATES_H
#define TESTS_DAMAGE_STATES_H

#include "small_store.h"

struct states {
    char root[DIRS_PATH_MAX];
    char pristine[DIRS_PATH_MAX]; /* three segments, closed */
    char path[DIRS_PATH_MAX];     /* the copy that a test may spoil */
    struct answers answers;
    struct name_list segments; /* of the pristine store */
    const char *name;          /* of the running test */
};

void states_begin(struct states *states, uint64_t seed);
void states_end(struct states *states);
/* A fresh copy, and the name that a failure tells. */
void states_fresh(struct states *states, const char *name);
/* Path of the index-th segment of the copy; UINT32_MAX: the last one. */
void states_segment(const struct states *states, uint32_t index, char out[DIRS_PATH_MAX]);

int32_t states_open(const char *path, uint64_t access, uint64_t recovery,
                    struct commitlog_store **out, struct commitlog_error *err);

/* Opens for writing, read-only and again: the answers are the pristine ones. */
void states_sound(struct states *states);
/* Opening for writing fails with `code` (0: any code of the data kind) and changes nothing in
 * log/; verify fails; a read-only open, if it succeeds, answers or says damage. */
void states_damaged(struct states *states, int32_t code);
/* Either of the two, but nothing in between. */
void states_sound_or_damaged(struct states *states);
/* What verify says: sound or a kind of damage. */
int32_t states_verify(const struct states *states);
/* Salvage opens, and at least `least` of the messages are the pristine ones. */
void states_salvage(struct states *states, uint32_t least);

/* commitlog_recover in this mode leaves a store that verify calls sound and that says it was
 * closed; once more, it does nothing, and no byte of any file changes. */
void states_recover(struct states *states, uint64_t mode);

/* states_files.c, states_copies.c, states_access.c, states_served.c, states_lost.c: the tests. */
void states_checkpoint(struct states *states);
void states_tail(struct states *states);
void states_below_views(struct states *states);
void states_segments(struct states *states);
void states_footers(struct states *states);
void states_leftovers(struct states *states);
void states_odd_views(struct states *states);
void states_retained(struct states *states);
void states_live(struct states *states);
void states_copied(struct states *states);
void states_future_views(struct states *states);
void states_versions(struct states *states);
void states_places(struct states *states);
void states_locked(struct states *states);
void states_read_only_directory(struct states *states);
void states_served(struct states *states);
void states_lost(struct states *states);

#endif
