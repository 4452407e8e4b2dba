/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dirs.h -- directories and files of a test: a place of its own, whole-file reads and writes,
 * copies of a store, and the parts of a store by name.
 *
 * Owns: nothing but the directory made by dirs_make, removed by dirs_remove.
 * Failure modes: whatever the operating system refuses ends the program: a test cannot go on.
 */
#ifndef TESTS_SUPPORT_DIRS_H
#define TESTS_SUPPORT_DIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIRS_PATH_MAX = 512 };

struct file_bytes {
    uint8_t *data;
    size_t size;
};

struct name_list {
    char (*names)[DIRS_PATH_MAX]; /* sorted */
    uint32_t count;
};

/* A fresh empty directory below TEST_DIR, TMPDIR or /tmp, named after the tag and the process. */
void dirs_make(char out[DIRS_PATH_MAX], const char *tag);
/* Removes a tree, whatever is in it; no error if it is not there. */
void dirs_remove(const char *path);
/* Copies a tree of regular files and directories; the target must not exist. */
void dirs_copy(const char *from, const char *to);
void path_join(char out[DIRS_PATH_MAX], const char *directory, const char *name);
bool path_exists(const char *path);

struct file_bytes file_read(const char *path);
void file_free(struct file_bytes *file);
void file_write(const char *path, const void *data, size_t size);
void file_patch(const char *path, uint64_t at, const void *data, size_t size);
uint64_t file_size(const char *path);

/* Names of the files in a directory that end so ("" for all), sorted, without "." and "..". */
struct name_list dirs_list(const char *path, const char *suffix);
void names_free(struct name_list *list);

/* Every file of the tree, as "name\0bytes" in sorted order: equal hashes mean equal trees. */
uint64_t dirs_hash(const char *path);

/* Removes the live area of a store that nobody has open: DIR/LIVE, or the file that LOCK names. */
void store_live_remove(const char *path);

#endif
