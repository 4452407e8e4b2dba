/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * broker.h - what all parts of the broker share.
 *
 * Owns: one struct broker, made in main.c. Each part keeps its own state behind a pointer here.
 * Threads: the loop's thread only; durable.c has a second one that touches the store alone, and
 * those of lookup.c touch nothing here.
 */
#ifndef MINI_BROKER_BROKER_H
#define MINI_BROKER_BROKER_H

#include "buffer.h"
#include "options.h"
#include "table.h"

#include <commitlog.h>
#include <time.h>
#include <uv.h>

struct connection;

struct room {             /* room.c's */
    size_t refused_bytes; /* of the largest message that the full disk has not taken; 0: none */
    uint64_t tries;       /* of the store to make a segment, and that failed, */
    int64_t tried_ms;     /* and when they became so many */
};

struct broker {
    uv_loop_t loop;
    const struct options *options;
    struct commitlog_store *store;
    int64_t started_ms;
    bool stopping;
    bool write_wiped;         /* routes say that nothing is to be written here */
    struct buffer fields;     /* of the reply or request that is being written */
    struct buffer header;     /* and its header */
    struct buffer properties; /* of a message that is being stored */
    struct buffer scratch;    /* of whoever is at work; never across a call of another part */
    struct listeners *listeners;
    struct connections *connections;
    struct topics *topics;
    struct groups *groups;
    struct clients *clients;
    struct notices *notices;
    struct durable *durable;
    struct holds *holds;
    struct offsets *offsets;
    struct locks *locks;
    struct checks *checks; /* of transactions */
    struct namesrv *namesrv;
    struct acl *acl;       /* NULL: everybody may do everything */
    struct tls_setup *tls; /* NULL: none */
    struct join *join;     /* NULL: of no cluster but our own */
    struct config *config;
    struct ops *ops;
    struct rates *rates;
    struct counters *counters;
    size_t attributes_cost; /* of all topics */
    uint64_t put_count;     /* messages taken */
    uint64_t get_count;     /* messages given */
    uint64_t delayed_count; /* messages taken for later */
    uint64_t pulls_found;   /* that were answered with some */
    uint64_t pulls_missed;  /* with none */
    int32_t next_opaque;    /* of our own requests */
    uint64_t turn;          /* of the loop, from 1 on */
    uint64_t wrong_turn;    /* the last in which record.c was asked for what is none, */
    uint64_t wrong_ns;      /* and how long that took in it */
    uint64_t impatient_ns;  /* append.c: until then nothing waits for room in the store */
    struct room room;
    uint64_t round; /* of looking at each connection, or each group, once */
};

/* Milliseconds since 1970. */
static inline int64_t broker_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
