/* SPDX-License-Identifier: BSD-2-Clause */
/* peer.h -- the commands of the program `peer`; each returns its exit status. */
#ifndef TESTS_PEERS_PEER_H
#define TESTS_PEERS_PEER_H

#include "engine.h"

enum { PEER_DONE = 0, PEER_NO_OPEN = 4 };

/* flips.c: flips bits of a closed store, one at a time, and prints what came of it. */
int peer_flips(const struct engine *engine, const char *directory, const char *acks_path,
               uint64_t seed, uint64_t flips);

#endif
