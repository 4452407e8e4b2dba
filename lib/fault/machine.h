/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h -- the state behind commitlog_fault.h: inodes with two contents, directories with a
 * journal, descriptors, one rule for failures.
 *
 * Owns: what a machine consists of. A file's content as programs see it lies in a memory file, so
 *       that it can be mapped; its content on the disk is a plain buffer. A sector is dirty when
 *       the two differ, unless a failed sync has marked it lost: then the kernel believes it clean,
 *       and so it does when it is written again through the cache (ext4 writes the block then, but
 *       leaves it marked as never written). Dropped from the cache, zeroed by fallocate or written
 *       directly it is as before.
 * Invariants: 1. only a sync, a random write-back or a power cut copies to the disk; 2. the disk
 *       entries of a directory change only by its journal, oldest operation first; 3. descriptors
 *       given out are >= FAULT_FD_FIRST, so they are told apart from those of the real system.
 * Threads and locks: `lock` around every call of the table and of the public functions.
 */
#ifndef CLG_FAULT_MACHINE_H
#define CLG_FAULT_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog_fault.h"
#include "os/os.h"

#define FAULT_FD_FIRST (1 << 20)
#define FAULT_FDS 4096u
#define FAULT_SECTOR 512u
#define FAULT_NAME_MAX 255u
#define FAULT_TMPFS_NAME "shm"

struct fault_entry {
    char name[FAULT_NAME_MAX + 1];
    uint32_t inode;
};

struct fault_list {
    struct fault_entry *items;
    size_t count;
    size_t room;
};

/* One change of a directory that is not on the disk yet: the name goes, or leads to the inode. */
struct fault_change {
    struct fault_entry entry; /* added or replaced; name "" : nothing */
    char removed[FAULT_NAME_MAX + 1];
};

struct fault_inode {
    bool used;
    bool is_dir;
    bool tmpfs;
    uint32_t mode;
    uint32_t handles; /* open descriptors */
    uint64_t number;
    /* file */
    int memory_fd;
    uint64_t size;
    uint64_t allocated;
    uint8_t *disk;
    uint64_t disk_size;
    uint64_t *lost; /* of each sector: hash of what differs, but the kernel believes clean; or 0 */
    uint64_t lost_room;
    uint64_t bad_at;
    uint64_t bad_bytes;
    int32_t lock_owner; /* fd with the exclusive lock, -1 */
    uint32_t lock_shared;
    /* directory */
    struct fault_list entries;
    struct fault_list disk_entries;
    struct fault_change *journal;
    size_t journal_count;
    size_t journal_room;
};

struct fault_fd {
    bool used;
    bool is_void; /* from before a power cut or the death of the process */
    bool writable;
    bool direct; /* writes go past the cache */
    bool shared; /* holds a shared lock */
    uint32_t inode;
};

struct commitlog_fault {
    struct commitlog_os table; /* ctx points back here */
    const struct commitlog_os *real;
    pthread_mutex_t lock;
    uint64_t seed;
    struct fault_inode *inodes; /* 0 is the root */
    uint32_t inode_count;
    uint32_t inode_room;
    struct fault_fd fds[FAULT_FDS];
    uint64_t counts[COMMITLOG_FAULT_KINDS];
    uint64_t changes;
    uint64_t cut_at; /* value of changes at which the power goes; 0: never */
    bool dead;
    uint32_t rule_kind;
    uint64_t rule_left; /* calls until the rule strikes; 0: no rule */
    int32_t rule_errno;
    bool rule_for_ever;
    bool rule_struck;
    uint32_t survival;
    uint32_t sector;
    uint64_t free_bytes;
    uint64_t used_bytes;
    int64_t clock_ns;
    uint64_t boot;
    uint64_t next_number;
    uint8_t *content;               /* what commitlog_fault_content gave out */
    struct commitlog_fault *frozen; /* the machine at the moment the power went, while dead */
    uint64_t held_allocs;
    uint64_t held_fds;
    uint64_t held_bytes; /* mapped */
};

/* machine.c */
uint64_t clg_fault_random(struct commitlog_fault *m);
/* The verdict on a call: 0 go on, -errno fail, 1 short write. change: it alters something. */
int clg_fault_enter(struct commitlog_fault *m, uint32_t kind, bool change);
struct commitlog_fault *clg_fault_of(const struct commitlog_os *os);
/* Some sectors and names reach the disk by themselves. */
void clg_fault_write_back(struct commitlog_fault *m);

/* inode.c */
int clg_fault_inode_new(struct commitlog_fault *m, bool is_dir, uint32_t mode, uint32_t *out);
void clg_fault_inode_free(struct commitlog_fault *m, struct fault_inode *inode);
void clg_fault_inode_collect(struct commitlog_fault *m);
int clg_fault_resize(struct commitlog_fault *m, struct fault_inode *inode, uint64_t size);
/* The content on the disk has at least so many bytes: 0 or -ENOMEM. */
int clg_fault_grow_disk(struct fault_inode *inode, uint64_t size);
/* Room on the disk for [0, bytes) of the file: 0 or -ENOSPC. */
int clg_fault_allocate(struct commitlog_fault *m, struct fault_inode *inode, uint64_t bytes);
/* The sectors that touch [at, at + size) were changed past the cache: no longer lost. */
void clg_fault_touch(struct fault_inode *inode, uint64_t at, uint64_t size);
/* Behind a sync: did a failed one leave a sector of them behind? */
bool clg_fault_has_lost(const struct fault_inode *inode, uint64_t at, uint64_t size);
enum fault_sync { FAULT_SYNC_ALL, FAULT_SYNC_FAILED, FAULT_SYNC_CHANCE, FAULT_SYNC_REVERT };
/* Walks the dirty sectors: all to the disk; all lost; each by chance; lost ones revert. */
int clg_fault_sync_file(struct commitlog_fault *m, struct fault_inode *inode, enum fault_sync how);
int clg_fault_reload(struct commitlog_fault *m, struct fault_inode *inode);
int clg_fault_list_set(struct fault_list *list, const char *name, uint32_t inode);
void clg_fault_list_remove(struct fault_list *list, const char *name);
const struct fault_entry *clg_fault_list_find(const struct fault_list *list, const char *name);
int clg_fault_list_copy(struct fault_list *to, const struct fault_list *from);
/* Changes the directory and notes it in the journal. entry or removed may be NULL. */
int clg_fault_dir_change(struct fault_inode *dir, const char *name, uint32_t inode,
                         const char *removed);
enum fault_journal { FAULT_JOURNAL_ALL, FAULT_JOURNAL_CHANCE, FAULT_JOURNAL_OLDEST };
int clg_fault_journal_apply(struct commitlog_fault *m, struct fault_inode *dir,
                            enum fault_journal how);

/* handle.c */
void clg_fault_lock(struct commitlog_fault *m);
int64_t clg_fault_unlock(struct commitlog_fault *m, int64_t result);
/* NULL for one that is closed or void. */
struct fault_fd *clg_fault_fd_of(struct commitlog_fault *m, int fd);
struct fault_inode *clg_fault_inode_of(struct commitlog_fault *m, int fd);
int clg_fault_fd_new(struct commitlog_fault *m, uint32_t inode, bool writable);
/* One component: the inode's index or -errno. */
int64_t clg_fault_step(struct commitlog_fault *m, uint32_t dir, const char *name);
/* The directory that a name is in, or NULL and *rc. Names have one component. */
struct fault_inode *clg_fault_dir(struct commitlog_fault *m, int dirfd, const char *name, int *rc);
void clg_fault_drop_lock(struct commitlog_fault *m, int fd);

/* fault_os.c, fault_file.c, fault_dir.c */
void clg_fault_fill_table(struct commitlog_fault *m);
void clg_fault_fill_files(struct commitlog_os *t);
void clg_fault_fill_dirs(struct commitlog_os *t);
/* Inode at a path from the root: index or -errno. */
int64_t clg_fault_lookup(struct commitlog_fault *m, const char *path);

#endif
