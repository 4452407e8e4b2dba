/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - the port of operators: / and /topic for people, /metrics, /health.
 *
 * Owns: the daemon of libmicrohttpd, its connections, answers that are used again. Invariants:
 * 1. nothing can be changed through it; 2. a connection has one request, of at most
 * HTTP_REQUEST_BYTES, and HTTP_SECONDS_MAX to live; 3. there are at most HTTP_CONNECTIONS_MAX, and
 * of one address half of them; 4. what is costly is made once for all who ask within HTTP_REUSE_MS.
 * Threads: the loop's; libmicrohttpd is used without any of its own.
 */
#ifndef MINI_BROKER_HTTP_H
#define MINI_BROKER_HTTP_H

#include "broker.h"

enum {
    HTTP_CONNECTIONS_MAX = 32,
    HTTP_REQUEST_BYTES = 16384, /* its line and headers, and the headers of the answer */
    HTTP_IDLE_SECONDS = 10,
    HTTP_SECONDS_MAX = 20,
    HTTP_REUSE_MS = 250
};

/* NULL and a line in the log: cannot. */
struct http *http_start(struct broker *broker, const struct sockaddr_storage *address);
void http_stop(struct http *http);
/* Once a second, or so. */
void http_tick(struct http *http);
/* About itself. NULL: there is no such port. */
void http_put_metrics(struct buffer *out, const struct http *http);

#endif
