/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * full_session.h -- one open store on a disk that gets full: appends of every kind, noted when they
 * are acknowledged, held to what is said about refusals when they are not.
 *
 * Owns: the open store. Threads: one at a time for each session.
 */
#ifndef TESTS_DISK_FULL_SESSION_H
#define TESTS_DISK_FULL_SESSION_H

#include "filler.h"
#include "peer.h"

enum { KB = 1024, LARGE = 60000, SMALL = 2500, REFUSALS = 20 };

struct world {
    char store_path[DIRS_PATH_MAX];
    const char *acks_path;
    const char *way;
    const char *engine;
    uint64_t flush, prewrite, segment_bytes, seed;
    struct filler filler;
    bool late;   /* the file system promises nothing: a full disk may be a failed write */
    bool btrfs;  /* where a store to a page can fail, reserved or not */
    bool inodes; /* these are what is missing */
};

struct session {
    struct world *world;
    struct commitlog_store *store;
    uint32_t topics[KILL_TOPICS];
    struct commitlog_error err;
    struct rng rng;
    uint64_t batches, stored_bytes;
    int acks_fd;
    bool steps; /* no thread of the library */
};

struct commitlog_options *options_make(const struct world *world, uint64_t seed);
/* Opens the store with options of this seed; the result of the open. */
int32_t session_begin(struct session *s, struct world *world, uint64_t seed);
/* One round of upkeep, where the library has no thread. */
void session_step(struct session *s);
/* With visibility = durable a record is seen once it is that. */
void settle(struct session *s);
/* The store against all that was acknowledged; see peer_compare. */
void compare(struct session *s, const char *who);

int32_t put_batch(struct session *s, size_t limit);
int32_t put_reserved(struct session *s, size_t limit);
int32_t put_one(struct session *s, size_t limit);
int32_t put(struct session *s);
/* Nothing was stored, and it says why. A file system that promises nothing may fail for good. */
void check_refusal(struct session *s, int32_t rc);
bool is_latched(struct session *s);
/* A write that failed is final here: nothing more succeeds, nothing that is not durable is shown.
 */
_Noreturn void latched_and_die(struct session *s);
/* Goes on if `rc` is COMMITLOG_OK. A file system that promises nothing may have latched the store
 * meanwhile: then that is what is looked at, and the process ends. */
void must_hold(struct session *s, int32_t rc, const char *what);
/* Appends until there is no room, `bytes` at most. True: the disk is full. */
bool fill(struct session *s, uint64_t bytes);
/* Space for so many bytes has come back: appends succeed again by themselves, soon. */
void check_resumes(struct session *s, uint64_t bytes, bool must);

#endif
