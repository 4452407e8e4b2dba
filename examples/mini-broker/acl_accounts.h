/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acl_accounts.h - the file of accounts, and what each may.
 *
 * Owns: struct accounts and what is in it; secrets are kept as the start of an HMAC alone.
 * Invariants: 1. a file is taken whole or not at all; 2. a name that no field has is a mistake, for
 * it may be a right that was meant otherwise. Threads: one at a time.
 */
#ifndef MINI_BROKER_ACL_ACCOUNTS_H
#define MINI_BROKER_ACL_ACCOUNTS_H

#include "command.h"

enum { ACCOUNT_SIGNATURE_BYTES = 28 };

struct account;
struct accounts;

/* NULL, and a line in the log: cannot be read, or is not what it should be. */
struct accounts *accounts_read(const char *path);
void accounts_free(struct accounts *accounts);

/* NULL: there is none. */
const struct account *accounts_find(const struct accounts *accounts, struct text access_key);
/* That of the request's AccessKey, if the signature is its own; else NULL. */
const struct account *accounts_verify(const struct accounts *accounts,
                                      const struct command *command);

/* The one that is there, if there is one alone; else NULL. */
const struct account *accounts_only(const struct accounts *accounts);
struct text account_key(const struct account *account);
/* What a request with these fields and this body has to have as its Signature. False: no memory. */
bool account_sign(const struct account *account, const struct command *command,
                  char out[ACCOUNT_SIGNATURE_BYTES + 1]);

bool account_is_admin(const struct account *account);
bool account_has_group(const struct account *account, struct text group);
bool account_may_read(const struct account *account, struct text topic);
bool account_may_write(const struct account *account, struct text topic);

#endif
