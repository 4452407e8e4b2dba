/*
 * live.h -- the live area: memory in which the writer shows its positions and its stage.
 *
 * Owns: the file behind it (on tmpfs by the store's UUID, or DIR/LIVE, or none), the map of all
 *       before the ring and the double map of the ring.
 * Invariants: 1. only the writer maps it writable; 2. every byte is allocated before it is mapped,
 *       so that a full disk is an error of create and never a signal; 3. the file appears under
 *       its name complete; 4. a writer that closes says so in `closed` and removes the file.
 * Threads and locks: create, attach and close by one thread; the positions are atomics, release by
 *       the writer, acquire by everybody: ORDER(live-1).
 * Failure modes: create falls back from tmpfs to DIR/LIVE to private memory when it may
 *       (COMMITLOG_LIVE_AUTO); else the error of the operating system.
 */
#ifndef CLG_LOG_LIVE_H
#define CLG_LOG_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "format/live_area.h"
#include "os/os.h"

#define CLG_LIVE_NAME_BYTES 96u

struct clg_live {
    const struct commitlog_os *os;
    struct clg_live_area *area; /* NULL: not there */
    struct clg_live_histogram *histograms;
    uint32_t histogram_count; /* that we know; 0: not there, or of a writer without them */
    uint8_t *ring;            /* mapped twice in a row; NULL when ring_bytes is 0 */
    uint64_t ring_bytes;
    struct clg_live_header header;
    int fd;
    int dirfd; /* of the directory that holds the file; -1 for private memory */
    bool owns_dirfd;
    bool writable;
    bool is_locked;                   /* its pages are locked in memory */
    uint32_t place;                   /* COMMITLOG_LIVE_TMPFS, _DIR or _PRIVATE */
    char name[CLG_LIVE_NAME_BYTES];   /* in dirfd */
    char path[CLG_LIVE_PATH_MAX + 1]; /* as LOCK says it: absolute, "LIVE", or "" */
};

struct clg_live_config {
    const struct commitlog_os *os;
    int store_dirfd;
    const struct clg_live_header *header; /* ring_bytes set; where what lies is filled in */
    uint32_t place;                       /* COMMITLOG_LIVE_... */
    bool lock_pages;
};

CLG_MUST_CHECK int clg_live_create(struct clg_live *live, const struct clg_live_config *config,
                                   struct commitlog_error *err);

/* Where the file of an area is on tmpfs, for the directory of its store. -errno: there is none. */
CLG_MUST_CHECK int clg_live_tmpfs_path(const struct commitlog_os *os,
                                       char path[CLG_LIVE_PATH_MAX + 1],
                                       const uint8_t uuid[CLG_UUID_BYTES], uint64_t device,
                                       uint64_t inode);

/* Maps the area that LOCK names, read-only. COMMITLOG_ENOTFOUND: there is none (any more), or none
 * that this process can see; EFOREIGN, EFORMAT, EDAMAGED, EVERSION: there is something else, or an
 * area that we do not know; any other code: why it could not be looked at. */
CLG_MUST_CHECK int clg_live_attach(struct clg_live *live, const struct commitlog_os *os,
                                   int store_dirfd, const char *path,
                                   const uint8_t uuid[CLG_UUID_BYTES],
                                   const uint8_t boot_id[CLG_BOOT_ID_BYTES],
                                   struct commitlog_error *err);

/* Wakes all followers: the writer is gone, or has failed. What it says of that is stored before. */
void clg_live_wake(const struct clg_live *live);

/* The area of the writer before, of which nothing is changed but this: says in it that its writer
 * is gone and wakes those who follow, so that nobody has to look from time to time. Best effort. */
void clg_live_retire(const struct commitlog_os *os, int store_dirfd, const char *path,
                     const uint8_t uuid[CLG_UUID_BYTES]);

/* Removes the file of that area, once recovery has put into the segments what it had to say. */
void clg_live_discard(const struct commitlog_os *os, int store_dirfd, const char *path,
                      const uint8_t uuid[CLG_UUID_BYTES]);
/* And those of this store's directory that lie where a writer puts one, but not at `keep`: of
 * writers that died while they opened, and that LOCK has never named. They say where the log ended
 * then, to whoever has lost LOCK and CHECKPOINT. */
void clg_live_discard_unnamed(const struct commitlog_os *os, int store_dirfd,
                              const uint8_t uuid[CLG_UUID_BYTES], uint64_t device, uint64_t inode,
                              const char *keep);

/* Unmaps. A writer that closed in good order sets remove_file. */
void clg_live_close(struct clg_live *live, bool remove_file);

static inline uint64_t clg_live_load(const struct clg_live_line *line)
{
    /* ORDER(live-1) acquire */
    return atomic_load_explicit(&line->value, memory_order_acquire);
}

static inline void clg_live_store(struct clg_live_line *line, uint64_t value)
{
    /* ORDER(live-1) release */
    atomic_store_explicit(&line->value, value, memory_order_release);
}

#endif
