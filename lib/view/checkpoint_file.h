/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint_file.h -- DIR/CHECKPOINT: two slots, written in turn.
 *
 * Invariants: the newest slot that was ever durable is never written over; what a slot claims was
 *       durable before the slot was written (the caller's duty, asserted between its fields).
 * Threads and locks: one writer at a time. After open the descriptor stays, because the kernel
 *       reports a failed write-back once and per open file.
 * Happy path: clg_checkpoint_file_open (or create) -> read -> write ... -> close.
 * Failure modes: a failed write or flush is final for this descriptor: latch, never retry. Reading
 *       with one bad slot gives the other one; with none COMMITLOG_EDAMAGED, and the log alone
 *       decides.
 */
#ifndef CLG_VIEW_CHECKPOINT_FILE_H
#define CLG_VIEW_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "format/checkpoint.h"
#include "os/os.h"

#define CLG_CHECKPOINT_NAME "CHECKPOINT"

struct clg_checkpoint_file {
    const struct commitlog_os *os;
    int fd;            /* -1: closed */
    uint64_t sequence; /* of the newest valid slot; 0: none */
    bool failed;       /* a write or flush failed: nothing is written any more */
};

void clg_checkpoint_file_init(struct clg_checkpoint_file *file, const struct commitlog_os *os);
/* Existing file; ENOTFOUND. `writable` false: for clg_checkpoint_file_read only. */
CLG_MUST_CHECK int clg_checkpoint_file_open(struct clg_checkpoint_file *file, int dirfd,
                                            bool writable, struct commitlog_error *err);
/* New file with one slot (sequence is set to 1): temporary, flushed, renamed, directory flushed.
 * An existing one is replaced: it was found unusable. */
CLG_MUST_CHECK int clg_checkpoint_file_create(struct clg_checkpoint_file *file, int dirfd,
                                              uint32_t mode, struct clg_checkpoint *checkpoint,
                                              struct commitlog_error *err);
/* The newer valid slot. `uuid` may be NULL. ENOTFOUND (both zero), EDAMAGED, EVERSION, EFOREIGN. */
CLG_MUST_CHECK int clg_checkpoint_file_read(struct clg_checkpoint_file *file, const uint8_t *uuid,
                                            bool read_only, struct clg_checkpoint *out,
                                            struct commitlog_error *err);
/* Sets checkpoint->sequence to the next one, writes its slot, fdatasync. Not over a slot of another
 * writer: EFAILED. */
CLG_MUST_CHECK int clg_checkpoint_file_write(struct clg_checkpoint_file *file,
                                             struct clg_checkpoint *checkpoint,
                                             struct commitlog_error *err);
void clg_checkpoint_file_close(struct clg_checkpoint_file *file);
/* Beside a live writer: the first position that its file says now. Retention raises it before it
 * removes a segment, so what is missing below was dropped. Failures of open and read. */
CLG_MUST_CHECK int clg_checkpoint_first_now(const struct commitlog_os *os, int dirfd,
                                            const uint8_t *uuid, uint64_t *out_first,
                                            struct commitlog_error *err);

#endif
