/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bundle.h -- an input as a few files with names that carry positions, and a word of options.
 *
 * Stores consist of files of 64 KiB and more that are mostly zeros. A bundle leaves long runs of
 * zeros out, so that inputs are short and a change of one byte hits something:
 *
 *   u64 options, then files, each:
 *     u8 kind, u8 room, u16 runs, u32 bytes of the file, u64 position
 *     runs: u16 zeros before it, u16 bytes, the bytes
 *
 * Owns: the layout above, and the blocks of an unpacked bundle.
 * Invariants: 1. any bytes unpack: what does not fit is clipped, what is missing is zero; 2. each
 *       file lies in a block of exactly its size, so that a read beyond its end is seen; 3. pack
 *       and unpack again gives the same files.
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_BUNDLE_H
#define FUZZ_SUPPORT_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_FILES_MAX 20u
#define FUZZ_FILE_BYTES_MAX (UINT32_C(256) << 10)
#define FUZZ_BUNDLE_BYTES_MAX (UINT32_C(1) << 20)

enum fuzz_kind {
    FUZZ_LOG,        /* log/<position>.log */
    FUZZ_CQ,         /* view/<position>.cq */
    FUZZ_KEY,        /* view/<position>.key */
    FUZZ_STATE,      /* view/<position>.state */
    FUZZ_CHECKPOINT, /* CHECKPOINT */
    FUZZ_LOCK,       /* LOCK */
    FUZZ_LIVE,       /* LIVE, or where LOCK says that the live area is, in tmpfs */
    FUZZ_RECORD,     /* a record at `position`, salt in the options; no file of a store */
    FUZZ_OTHER,      /* a name that is not finished, or not ours: enum fuzz_other is position % 8 */
    FUZZ_KINDS
};

enum fuzz_other {
    FUZZ_OTHER_LOG_TMP, /* of the file at position / 8 */
    FUZZ_OTHER_CQ_TMP,
    FUZZ_OTHER_KEY_TMP,
    FUZZ_OTHER_STATE_TMP,
    FUZZ_OTHER_CHECKPOINT_TMP,
    FUZZ_OTHER_FOREIGN,   /* log/x */
    FUZZ_OTHER_STRANGER,  /* x beside log/ */
    FUZZ_OTHER_DIRECTORY, /* a directory that has the name of a segment */
    FUZZ_OTHERS
};

struct fuzz_file {
    uint64_t position;
    uint8_t *data;
    uint32_t bytes;
    uint8_t kind; /* enum fuzz_kind */
};

struct fuzz_bundle {
    uint64_t options;
    uint32_t count;
    struct fuzz_file files[FUZZ_FILES_MAX];
};

void fuzz_bundle_unpack(const uint8_t *data, size_t bytes, struct fuzz_bundle *out);
/* Bytes written, or 0 when `room` is too small. */
size_t fuzz_bundle_pack(const struct fuzz_bundle *bundle, uint8_t *out, size_t room);
void fuzz_bundle_free(struct fuzz_bundle *bundle);

/* A new file of zeros at the end; NULL when the bundle is full. */
struct fuzz_file *fuzz_bundle_add(struct fuzz_bundle *bundle, uint8_t kind, uint64_t position,
                                  uint32_t bytes);
void fuzz_bundle_remove(struct fuzz_bundle *bundle, uint32_t index);
/* The first of a kind, or NULL. */
struct fuzz_file *fuzz_bundle_find(struct fuzz_bundle *bundle, uint8_t kind);
/* Another size: cut, or zeros behind. */
void fuzz_file_resize(struct fuzz_file *file, uint32_t bytes);

#endif
