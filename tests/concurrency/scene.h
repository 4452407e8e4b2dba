/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scene.h -- the store of one schedule, what its threads were told, and what must hold.
 *
 * At every step (scene_step): first <= durable <= written <= published <= claimed, and none goes
 * back; what `published` has passed is committed, batches as a whole; what `written` has passed is
 * in the file as such; what `durable` has passed is on the disk. Each piece that is written to a
 * segment begins and ends between records or batches and has no claim in it that is not committed.
 * An append of level durable that returns has its bytes on the disk. In the end
 * (scene_finish) the queue has every record once, at the offset of its receipt, and each thread's
 * in the order in which they were appended.
 *
 * Invariants: it looks at the library's state and at the machine's disk, it changes neither.
 */
#ifndef TESTS_CONCURRENCY_SCENE_H
#define TESTS_CONCURRENCY_SCENE_H

#include "../support/prog.h"
#include "log/commit_log_internal.h"
#include "weave.h"

enum { SCENE_SEGMENT = 65536, SCENE_RING = 65536, SCENE_RECORDS = 64, SCENE_WRITERS = 8 };

struct scene_options {
    uint64_t engine;
    uint64_t flush; /* COMMITLOG_FLUSH_...; none: only what the threads do themselves */
    uint64_t visibility;
    uint64_t thread;
    uint64_t align;
};

struct scene_body {
    uint32_t writer;
    uint32_t serial;
};

struct scene_record {
    struct scene_body body;
    uint64_t offset;
    bool is_hole; /* aborted */
};

struct scene {
    struct commitlog_store *store;
    struct clg_log *log;
    uint32_t topic;
    uint64_t first_base; /* of the segment that was active when the case began */
    struct scene_record records[SCENE_RECORDS];
    uint32_t count;
    uint32_t serials[SCENE_WRITERS];
};

extern struct scene scene;

/* A new store, with one record in it already: epoch and definition are written. */
void scene_open(const struct scene_options *options);
void scene_step(void);
/* The machine's, for a second opening of "/store". */
const struct commitlog_os *scene_os(void);
struct commitlog_fault *scene_machine(void);
/* "/store" once more, after its writer is gone, in the machine of this table. */
struct commitlog_store *scene_reopen(const struct commitlog_os *os);
int64_t scene_now_ms(void);
uint32_t scene_topic(const char *name, uint32_t queues);
/* Made with these flags if it is not there. */
struct commitlog_group *scene_group(const char *name, uint32_t flags);
/* Of level none, to the first queue. */
struct commitlog_record scene_record(const struct commitlog_slice *body, uint32_t topic);
/* One record of this writer; its receipt is checked and kept. */
void scene_append(uint32_t writer, uint32_t level);
/* With a body of so many bytes. */
void scene_append_bytes(uint32_t writer, uint32_t level, size_t bytes);
void scene_batch(uint32_t writer, uint32_t count, uint32_t level);
struct commitlog_reservation *scene_reserve(uint32_t writer, uint32_t level);
void scene_commit(struct commitlog_reservation *reservation, uint32_t writer, uint32_t level);
void scene_abort(struct commitlog_reservation *reservation, uint32_t writer);
/* Outside of threads: appends until no more than `bytes` are left in the active segment. */
void scene_fill(uint64_t bytes);
/* How many records the queue shows now. */
uint64_t scene_visible(void);
/* Compares the queue with the receipts; scene_finish also closes the store. */
void scene_check_queue(void);
void scene_close(void);
void scene_finish(void);

#endif
