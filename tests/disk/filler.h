/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filler.h -- the other files on the disk: they take what is free, and give it back.
 *
 * Owns: everything in one directory on the file system of the store, made by filler_begin.
 * Failure modes: what should not fail ends the program; a full disk is what is looked for.
 */
#ifndef TESTS_DISK_FILLER_H
#define TESTS_DISK_FILLER_H

#include "../support/dirs.h"
#include "../support/prog.h"

struct filler {
    char path[DIRS_PATH_MAX];
    uint32_t files;
};

void filler_begin(struct filler *filler, const char *path);
/* One large file, so that about so many bytes stay free. */
void filler_leave(struct filler *filler, uint64_t bytes);
/* Empty files, so that about so many more can be made. */
void filler_leave_inodes(struct filler *filler, uint64_t inodes);
/* Takes everything, to the last block; with `inodes` to the last inode instead. */
void filler_take_all(struct filler *filler, bool inodes);
/* Removes all of it. */
void filler_release(struct filler *filler);

#endif
