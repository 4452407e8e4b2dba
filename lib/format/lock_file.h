/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_file.h -- content of LOCK: who writes, and where its live area is
 *
 * The lock itself is the kernel's; this is a hint for readers and for the error message of the
 * one who comes second. It is rewritten in place by the holder, so a reader may see it torn: the
 * check tells, and the reader tries again.
 */
#ifndef CLG_FORMAT_LOCK_FILE_H
#define CLG_FORMAT_LOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"
#include "format/live_area.h"

#define CLG_LOCK_FILE_BYTES CLG_FORMAT_PAGE_BYTES

#define CLG_LOCK_AT_START_TIME 64u
#define CLG_LOCK_AT_SESSION 72u
#define CLG_LOCK_AT_BOOT_ID 80u
#define CLG_LOCK_AT_PID 96u
#define CLG_LOCK_AT_PATH_BYTES 100u
#define CLG_LOCK_AT_PATH 104u

struct clg_lock_file {
    uint64_t start_time; /* of the process: tells a reused pid */
    uint64_t session;
    uint32_t pid;
    uint8_t uuid[CLG_UUID_BYTES];
    uint8_t boot_id[CLG_BOOT_ID_BYTES];
    char live_path[CLG_LIVE_PATH_MAX + 1u]; /* NUL-terminated; empty: private memory, no area */
};

/* Written by the same opening of the store. A writer that is killed while it recovers leaves its
 * number beside the session of the one before. */
static inline bool clg_lock_file_same(const struct clg_lock_file *a, const struct clg_lock_file *b)
{
    return a->session == b->session && a->pid == b->pid && a->start_time == b->start_time;
}

/* 0 or COMMITLOG_EINVAL (path too long). */
int clg_lock_file_encode(uint8_t page[CLG_LOCK_FILE_BYTES], const struct clg_lock_file *lock);

/* COMMITLOG_ENOTFOUND: empty or all zero, nobody has written yet. `uuid` may be NULL. */
int clg_lock_file_decode(const uint8_t *page, uint64_t bytes, const uint8_t *uuid,
                         struct clg_lock_file *lock);

#endif
