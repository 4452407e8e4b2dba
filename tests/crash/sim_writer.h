/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_writer.h -- a minimal writer over the formats, for crash tests of recovery: it appends,
 * drains, flushes and rolls as the log does, and remembers what it appended.
 *
 * Not the library's own appender: a mistake there must not be able to hide one in recovery.
 */
#ifndef CLG_TESTS_SIM_WRITER_H
#define CLG_TESTS_SIM_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog_fault.h"
#include "recovery/recover.h"
#include "view/checkpoint_file.h"

#define SIM_PATH "/store"
#define SIM_SEGMENT_BYTES (UINT64_C(64) << 10)
#define SIM_RING_BYTES (UINT64_C(64) << 10)
#define SIM_HISTORY_MAX 20000u

struct sim_record {
    uint64_t position;
    uint64_t hash; /* of all its bytes */
    uint32_t size;
    uint8_t kind;
};

struct sim_history {
    struct sim_record items[SIM_HISTORY_MAX];
    uint32_t count;
    uint64_t published; /* end of the last one that a writer finished */
    uint64_t acked;     /* durable, and somebody was told */
};

struct sim_writer {
    const struct commitlog_os *os;
    struct sim_history *history;
    struct clg_store_dir dir;
    struct clg_segment_set set;
    struct clg_recovery_result result;
    struct clg_segment *active;
    struct clg_checkpoint_file checkpoint_file;
    struct clg_checkpoint checkpoint;
    bool open;
    bool staged;
    int live_fd;
    uint32_t epoch;
    int64_t time;
    uint64_t session;
    uint64_t position;
    uint64_t written;
    uint64_t durable;
    uint64_t records; /* in the active segment */
    uint64_t queue_offset;
    bool rolled; /* a segment was made: the next one exists when its pad is written */
};

/* Opens and recovers; the code of recovery. */
int sim_open(struct sim_writer *w, struct commitlog_fault *machine, struct sim_history *history,
             bool staged, uint32_t mode);
/* All return 0 or the first error, after which the writer is done for. */
int sim_append(struct sim_writer *w, uint64_t seed, uint32_t body_bytes);
int sim_batch(struct sim_writer *w, uint64_t seed, uint32_t count);
/* Claimed, and never committed. */
int sim_claim(struct sim_writer *w, uint32_t body_bytes);
int sim_drain(struct sim_writer *w);
int sim_flush(struct sim_writer *w);
int sim_checkpoint(struct sim_writer *w, bool clean);
/* Frees without a word to the disk, as a dying process does. */
void sim_abandon(struct sim_writer *w);

/* Walks the recovered log: is it the beginning of the history, and how far does it go? NULL, or
 * what is wrong. Cuts the history there. holes: records that may be holes now. */
const char *sim_check(struct sim_writer *w, bool holes_allowed);

#endif
