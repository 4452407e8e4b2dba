/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h -- one opening of the store: options drawn at random, operations, comparisons.
 *
 * Owns: the store handle and what hangs on it (reservations, cursors, leases).
 * Invariants: after each operation the model says exactly what the store holds; positions keep
 *       their order and never go back.
 * Happy path: session_open -> session_step ... -> session_close, or the process is killed.
 */
#ifndef TESTS_MODEL_SESSION_H
#define TESTS_MODEL_SESSION_H

#include "../support/dirs.h"
#include "reader.h"

enum { SESSION_PENDING_MAX = 3, SESSION_CURSORS_MAX = 3, SESSION_LEASES_MAX = 3 };

struct session_options {
    uint64_t engine, thread, flush, visibility, stage, segment, live, borrow, verify, align;
    uint64_t retain_bytes;
};

/* How the last writer ended. */
struct aftermath {
    bool crashed;   /* killed */
    bool recovered; /* and commitlog_recover has run since */
    bool may_lose;  /* what it had not written may be gone */
};

struct pending {
    struct commitlog_reservation *reservation;
    void *body;
    struct item item;
    uint32_t index; /* of the item in the model, UINT32_MAX while in private memory */
    uint32_t level;
};

struct held_cursor {
    struct commitlog_cursor *cursor;
    uint32_t topic;
    uint32_t queue; /* or COMMITLOG_QUEUE_ALL */
    uint32_t mask;
};

struct held_lease {
    struct commitlog_lease *lease;
    struct commitlog_message message;
    uint32_t index;
};

struct session {
    struct commitlog_store *store;
    struct model *model;
    const char *path;
    struct rng rng;
    struct session_options options;
    struct reader reader;
    struct commitlog_positions seen;
    struct pending pending[SESSION_PENDING_MAX];
    uint32_t pending_count;
    struct held_cursor cursors[SESSION_CURSORS_MAX];
    struct held_lease leases[SESSION_LEASES_MAX];
    uint32_t epoch; /* of this session's records, 0 before the first */
    uint32_t epoch_before;
};

void session_draw(struct session_options *out, struct rng *rng, uint64_t engine);
void session_open(struct session *session, const char *path, struct model *model, uint64_t seed,
                  const struct session_options *options, const struct aftermath *after);
void session_step(struct session *session);
void session_close(struct session *session);
/* Opens read-only and compares everything. */
void session_read_only(const char *path, struct model *model, struct rng *rng);

/* Positions keep their order, never go back, and agree with the model. */
void session_positions(struct session *session);
/* Makes all that is published visible, and says so to the reader. */
void session_refresh(struct session *session);

/* append.c */
void session_append(struct session *session);
void session_batch(struct session *session);
void session_reserve(struct session *session);
void session_end_one(struct session *session);
void session_sync(struct session *session);
void session_refused(struct session *session);

/* hold.c */
void session_cursor(struct session *session);
void session_lease(struct session *session);
void session_drop_held(struct session *session, bool closed);

#endif
