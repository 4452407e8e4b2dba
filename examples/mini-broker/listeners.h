/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listeners.h - the ports at which clients arrive.
 *
 * Owns: the listening sockets. Invariants: while there are no descriptors, nobody is accepted and
 * nothing is polled for it; --connections are not exceeded. Threads: the loop's.
 */
#ifndef MINI_BROKER_LISTENERS_H
#define MINI_BROKER_LISTENERS_H

#include "broker.h"

bool listeners_start(struct broker *broker);
/* Nobody is accepted any more. */
void listeners_stop(struct broker *broker);
/* Listens there; false and a line in the log: cannot. */
bool listeners_add(struct broker *broker, const struct sockaddr_storage *address, const char *what);

#endif
