/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup.h - the address of a name, asked for in a thread that nobody has to wait for.
 *
 * getaddrinfo(3) can take minutes, and cannot be told to stop. libuv's own threads would be joined
 * at the end of the process, and there are so few that two names keep all others waiting.
 *
 * Owns: the question and its answer, shared by the loop and the thread; the last one frees it.
 * Invariants: 1. a question is taken once, or forgotten; 2. `wake` is not touched after
 * lookup_forget. Threads: the loop's calls; one of its own for each question.
 */
#ifndef MINI_BROKER_LOOKUP_H
#define MINI_BROKER_LOOKUP_H

#include "bytes.h"

#include <netdb.h>
#include <stdbool.h>
#include <uv.h>

struct lookup;

enum { LOOKUP_HOST_MAX = 256, LOOKUP_PORT_MAX = 8 };

/* "host", "host:80", "1.2.3.4:80", "[::1]:80". False: it is none of them. */
bool lookup_parse(struct text item, unsigned port_else, char out_host[LOOKUP_HOST_MAX],
                  char out_port[LOOKUP_PORT_MAX]);
/* An address in digits, which needs no thread; NULL: it is none. */
struct addrinfo *lookup_numeric(const char *host, const char *port);
/* Sends `wake` when there is an answer. NULL: no memory, or no thread. */
struct lookup *lookup_begin(const char *host, const char *port, uv_async_t *wake);
/* False: there is none yet. Else the question is gone: *out_found is the caller's, or NULL and
 * *out_why says why. */
bool lookup_take(struct lookup *lookup, struct addrinfo **out_found, const char **out_why);
void lookup_forget(struct lookup *lookup);

#endif
