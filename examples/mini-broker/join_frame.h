/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_frame.h - a request to a name server as it goes out.
 *
 * Owns: nothing. Threads: the loop's.
 */
#ifndef MINI_BROKER_JOIN_FRAME_H
#define MINI_BROKER_JOIN_FRAME_H

#include "acl_accounts.h"
#include "broker.h"
#include "command.h"

/* The whole of it in place of what `frame` has, signed by the one account; NULL: not signed. False:
 * no memory, or more than can be: fields, or bytes. */
bool join_frame(struct broker *broker, const struct accounts *accounts, struct command *request,
                struct buffer *frame);

#endif
