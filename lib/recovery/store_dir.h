/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_dir.h -- the directory of a store: its descriptors, its lock, who wrote last.
 *
 * Owns: the descriptors of DIR, log/, view/, quarantine/ and LOCK, and the writer's lock.
 * Invariants: 1. a writer holds the lock before one byte of the store is read; 2. below DIR no
 *       symbolic link is followed and nothing that another user owns is trusted; 3. LOCK keeps
 *       naming the live area of the last writer until recovery has used it up
 *       (clg_store_dir_write_lock), so a recovery that dies finds the same evidence again; 4. a
 *       reader creates nothing.
 * Threads and locks: one thread opens and closes; the descriptors may then be used by any.
 * Happy path: clg_store_dir_open -> clg_recovery_run -> clg_store_dir_write_lock -> ... -> close.
 * Failure modes: COMMITLOG_ENOTDIR (DIR, or something in it, is of another kind), ENOTFOUND,
 * EEXIST, EACCESS (owner, mode), ELOCKED (the text names the pid), EFORMAT (a directory with files
 * that are not ours), the codes of clg_fail_os. Everything opened is closed again.
 */
#ifndef CLG_RECOVERY_STORE_DIR_H
#define CLG_RECOVERY_STORE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "format/lock_file.h"
#include "os/os.h"
#include "segment/segment.h"

#define CLG_STORE_DIR_MODE 0700u
#define CLG_STORE_FILE_MODE 0600u

#define CLG_STORE_LOCK_NAME "LOCK"
#define CLG_STORE_CHECKPOINT_NAME "CHECKPOINT"
#define CLG_STORE_LOG_NAME "log"
#define CLG_STORE_VIEW_NAME "view"
#define CLG_STORE_QUARANTINE_NAME "quarantine"
#define CLG_STORE_LIVE_NAME "LIVE"

struct clg_store_dir_options {
    bool read_only;
    bool plan_only;     /* with the writer's lock, but nothing is created, LOCK included */
    uint32_t create;    /* COMMITLOG_CREATE_... ; a reader never creates */
    uint32_t file_mode; /* 0: CLG_STORE_FILE_MODE; directories get the x bits that match */
};

struct clg_store_dir {
    const struct commitlog_os *os;
    int dir_fd;
    int log_fd;        /* -1: not there (reader of a store that was never finished) */
    int view_fd;       /* -1: not there */
    int quarantine_fd; /* -1: not there */
    int lock_fd;       /* -1: not there (reader or plan) */
    bool read_only;
    bool plan_only;     /* as a reader: what is not there stays -1 */
    bool locked;        /* we hold the writer's lock */
    bool writer_live;   /* reader: another process holds it */
    bool last_known;    /* `last` was read and is intact */
    bool same_boot;     /* the last writer ran in this boot, or LOCK does not tell */
    int parent_flushed; /* 0: DIR's own name is durable; else why not, a negative errno */
    bool was_empty;     /* DIR had nothing in it but what an unfinished creation leaves */
    uint32_t file_mode;
    uint32_t dir_mode;
    uint64_t device; /* of DIR: the live area names them */
    uint64_t inode;
    uint8_t boot_id[CLG_BOOT_ID_BYTES];
    uint32_t owner;                     /* uid of DIR */
    struct clg_segment_dir segment_dir; /* uuid filled by recovery; segments point to it, so this
                                           struct stays where it is */
    struct clg_lock_file last; /* LOCK as the last writer left it; last.live_path is its area */
};

/*
 * Opens DIR and what is in it; a writer creates what is missing (crash-safe: each directory is
 * made, then its parent flushed) and takes the lock. *out is initialised only on success.
 */
CLG_MUST_CHECK int clg_store_dir_open(const struct commitlog_os *os, const char *path,
                                      const struct clg_store_dir_options *options,
                                      struct clg_store_dir *out, struct commitlog_error *err);

/* Opens a file in DIR: a descriptor; COMMITLOG_ENOTFOUND, without a text, if it is not there;
 * ENOTDIR for a directory, a link, a pipe. */
CLG_MUST_CHECK int clg_store_dir_open_file(const struct clg_store_dir *dir, const char *name,
                                           uint32_t flags, struct clg_os_stat *out,
                                           struct commitlog_error *err);

/* Releases the lock last. A closed one may be closed again. */
void clg_store_dir_close(struct clg_store_dir *dir);

/* Opens LOCK, if it is there. A reader probes it; others take it, and read what it says. */
CLG_MUST_CHECK int clg_store_dir_open_lock(struct clg_store_dir *dir, struct commitlog_error *err);

/* Reader: is a writer there now? Sets writer_live and re-reads LOCK. */
CLG_MUST_CHECK int clg_store_dir_probe(struct clg_store_dir *dir, struct commitlog_error *err);

/* Reader: probes, and says whether another writer has come since `dir` was probed before, when it
 * had `live` and `last`: what was read of the files since then is of two moments, and says nothing.
 * false also if that cannot be found out. */
bool clg_store_dir_moved(struct clg_store_dir *dir, bool live, const struct clg_lock_file *last);

/* Writer, before recovery: LOCK names this process, but still the session and the live area of the
 * last writer (when they are of this boot). Not flushed: after a power cut nothing in it counts. */
CLG_MUST_CHECK int clg_store_dir_take_over(struct clg_store_dir *dir, const uint8_t *uuid,
                                           struct commitlog_error *err);

/* Writer, after recovery, once its own live area is there: `live_path` absolute, or relative to
 * DIR ("LIVE"), or "" for private memory. */
CLG_MUST_CHECK int clg_store_dir_write_lock(struct clg_store_dir *dir, const uint8_t *uuid,
                                            uint64_t session, const char *live_path,
                                            struct commitlog_error *err);

/* Opens a file of another process for reading after checking type, owner and link count. `path`
 * absolute, or relative to DIR. Returns a descriptor, or: ENOTFOUND (gone), EFORMAT (no name that
 * we make), EFOREIGN (not the owner's alone, or root's), or the code of the failing call. */
CLG_MUST_CHECK int clg_store_dir_open_live(const struct clg_store_dir *dir, const char *path,
                                           struct commitlog_error *err);

#endif
