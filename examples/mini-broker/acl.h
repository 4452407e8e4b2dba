/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acl.h - who may ask for what: accounts, and the signatures that RocketMQ's clients put on
 * requests.
 *
 * Owns: the accounts of --acl. Invariants: 1. with --acl nothing is handled that is not signed by
 * an account whose rights cover it; 2. what no rule names is for administrators; 3. a signature is
 * compared in constant time, and an account that is not there takes as long as one that is; 4. no
 * secret gets into the log. Threads: the loop's.
 */
#ifndef MINI_BROKER_ACL_H
#define MINI_BROKER_ACL_H

#include "command.h"
#include "connection.h"

/* Nothing without --acl. */
bool acl_start(struct broker *broker);
void acl_stop(struct broker *broker);
/* Reads the file again. False: it cannot be read, and changes nothing. */
bool acl_reload(struct broker *broker);

/* False: it was refused, and is answered. */
bool acl_admits(struct connection *connection, const struct command *command);
/* For what a handler finds out late: may who sent this read, or write to, that topic? */
bool acl_may_read(const struct broker *broker, const struct command *command, struct text topic);
bool acl_may_write(const struct broker *broker, const struct command *command, struct text topic);
/* May the account with this key, who is there still? */
bool acl_key_may_write(const struct broker *broker, struct text access_key, struct text topic);

#endif
