/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reload.h - the configuration file once more.
 *
 * Owns: nothing. Invariants: all of what can change does, or nothing; what needs a restart stays as
 * it is, and the log says so. Threads: the loop's.
 */
#ifndef MINI_BROKER_RELOAD_H
#define MINI_BROKER_RELOAD_H

#include "options.h"

/* False: there is a mistake in it, and nothing has changed. */
bool reload(struct options *running);

#endif
