/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connection.h - the connections of clients: bytes in, requests out of them, replies back.
 *
 * Owns: the sockets, what was read of a frame that is not whole, what is to be sent.
 * Invariants: 1. one that is closed stays in memory until nobody refers to it; 2. nothing is read
 * while too much waits to be sent or answered, so its memory is bounded by CONNECTION_OUTPUT_MAX,
 * one answer and one frame; 3. leases are held CONNECTION_LEASE_MS, or so, then what they hold is
 * copied; 4. past CONNECTIONS_KEPT_MAX for all together, those are closed that have much, and have
 * had it for long, until so much is free that few who come have to be; 5. a frame is whole
 * CONNECTION_FRAME_MS after its first byte, or the connection is closed.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_CONNECTION_H
#define MINI_BROKER_CONNECTION_H

#include "broker.h"
#include "output.h"

enum {
    CONNECTION_OUTPUT_MAX = 4 * 1024 * 1024,
    CONNECTION_WAITING_MAX = 16384, /* requests not answered yet */
    CONNECTION_LEASE_MS = 500,
    CONNECTION_IDLE_MS = 120000,
    CONNECTION_FRAME_MS = 60000,
    CONNECTIONS_LEASED_MAX = 64 * 1024 * 1024, /* bytes, of all together */
    CONNECTIONS_KEPT_MAX = 256 * 1024 * 1024   /* likewise: waits to be sent, or read in part */
};

struct connection {
    uv_poll_t poll;
    struct broker *broker;
    struct connection *next, *previous;
    struct connection *next_dirty;
    struct connection *next_later;
    struct host host;
    char host_text[64];
    struct buffer input;
    struct output output;
    struct tls *tls; /* NULL: it is plain */
    int64_t heard_ms;
    int64_t part_ms;         /* since when a frame has not been whole; 0: there is none */
    int64_t stuck_ms;        /* since when the socket has been full; 0: it is not */
    int64_t taken_ms;        /* when it took bytes last */
    size_t leased;           /* of the output, as it was counted */
    size_t kept;             /* bytes of output and input, likewise */
    size_t told;             /* bytes that clients.c keeps of its heartbeats, */
    struct member *members;  /* and what it is of which groups, by them */
    size_t held;             /* bytes that hold.c keeps of its pulls */
    uint64_t round;          /* the last in which it was looked at */
    uint64_t wrong_until_ns; /* record.c gives it none before */
    uint32_t refs;
    uint32_t waiting;
    uint32_t last_reads; /* of one that has gone, so many more */
    int fd;
    int events; /* polled for */
    bool closed;
    bool gone; /* the other end is: what it said is read, and not answered */
    bool dirty;
    bool is_later; /* its frames wait for the next turn */
    bool begun;    /* the first byte has come */
    bool unread;   /* of what TLS has taken, something may be left */
    bool parted;   /* the broker stops: it was told that no more comes */
};

bool connections_start(struct broker *broker);
/* The broker stops: nothing more is read. */
void connections_leave(struct broker *broker);
/* Closes those that have taken all that they were answered. True: none is left. */
bool connections_left(struct broker *broker);
/* After connections_leave: closes those that are left. */
void connections_stop(struct broker *broker);
/* Takes over the socket, which was accepted from there. */
void connection_begin(struct broker *broker, int fd, const struct sockaddr_storage *peer);
/* Much memory was used for a moment: soon the system gets back what is free of it. */
void connections_trim(struct broker *broker);
uint32_t connections_count(const struct broker *broker);

struct connection *connection_ref(struct connection *connection);
void connection_unref(struct connection *connection);
/* At the end of the turn, what was put into the output is sent; if it failed, or was set to have,
 * the connection is closed then. No handler ends one at once, so none goes while it looks at many.
 */
struct output *connection_output(struct connection *connection);
/* Enough waits to be sent: what it did not ask for itself has to wait, too. */
bool connection_is_behind(const struct connection *connection);
/* One request less, or more, waits. */
void connection_waits(struct connection *connection, int change);

#endif
