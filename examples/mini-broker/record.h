/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - one record of the store, by a position that a client says.
 *
 * Owns: nothing. Invariants: where no record begins the store looks through a whole segment to say
 * so; that takes a turn once, and a small part of the time of a connection. Threads: the loop's.
 */
#ifndef MINI_BROKER_RECORD_H
#define MINI_BROKER_RECORD_H

#include "connection.h"

/* As commitlog_get. EBUSY: not now, for there was a wrong one a moment ago. */
int32_t record_get(struct connection *connection, int64_t position,
                   struct commitlog_message *out_message, struct commitlog_lease **out_lease);

#endif
