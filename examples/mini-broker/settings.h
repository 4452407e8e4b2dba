/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.h - the configuration file: one JSON object, options of the command line by name.
 *
 * Owns: nothing. Invariants: 1. a name stands there once; 2. every mistake in it is said, with the
 * file and the line, before the answer is false. Threads: one at a time.
 */
#ifndef MINI_BROKER_SETTINGS_H
#define MINI_BROKER_SETTINGS_H

#include "bytes.h"

enum { SETTINGS_BYTES_MAX = 1024 * 1024 };

struct setting { /* good for one call */
    const char *name;
    const char *value; /* "true" and "false" of what is */
    bool is_bool;
};

/* Gives `take` each of them, in the order of the file; it answers NULL, or what is wrong. */
bool settings_read(const char *path,
                   const char *(*take)(void *context, const struct setting *setting),
                   void *context);

#endif
