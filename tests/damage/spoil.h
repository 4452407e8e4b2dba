/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spoil.h -- one damage of each kind, or two, at a random place of a store that nobody has open,
 * and which records they touch.
 *
 * Owns: struct store_files, the log as it was before the damage.
 * Invariants: what is touched is found by comparing bytes, not by what the kind meant to do.
 */
#ifndef TESTS_DAMAGE_SPOIL_H
#define TESTS_DAMAGE_SPOIL_H

#include "grown_store.h"

enum spoil_kind {
    SPOIL_FLIP,
    SPOIL_GARBAGE,
    SPOIL_ZERO_512,
    SPOIL_ZERO_4096,
    SPOIL_SWAP_INSIDE,
    SPOIL_SWAP_ACROSS,
    SPOIL_STALE_PAGE,
    SPOIL_TRUNCATED,
    SPOIL_EXTENDED,
    SPOIL_MISSING,
    SPOIL_COPY_ELSEWHERE,
    SPOIL_COPY_NEXT,
    SPOIL_EXCHANGED,
    SPOIL_FOREIGN_SEGMENT,
    SPOIL_OLD_SEGMENT,
    SPOIL_OLD_CHECKPOINT,
    SPOIL_FOREIGN_CHECKPOINT,
    SPOIL_BAD_CHECKPOINT, /* missing, short, flipped, zeroed */
    SPOIL_OLD_LIVE,
    SPOIL_FOREIGN_LIVE,
    SPOIL_BAD_LIVE,
    SPOIL_OLD_VIEW,
    SPOIL_FOREIGN_VIEW,
    SPOIL_BAD_VIEW,
    SPOIL_UNREADABLE_SEGMENT,
    SPOIL_UNREADABLE_CHECKPOINT,
    SPOIL_UNREADABLE_VIEW,
    SPOIL_UNREADABLE_LIVE,
    SPOIL_KINDS
};

enum { FILES_MAX = 24, FILES_PATH = 80 };

struct store_file {
    char path[FILES_PATH];
    uint64_t base; /* of a segment */
    uint64_t bytes;
    uint8_t *data;
};

struct store_files {
    struct store_file log[FILES_MAX];
    uint32_t log_count;
    struct store_file view[FILES_MAX * 3];
    uint32_t view_count;
    char live[FILES_PATH]; /* "": none */
    uint32_t segments;     /* of log[]: those that hold records */
};

struct spoil {
    enum spoil_kind kind;
    char what[320];
    char bad_path[FILES_PATH]; /* a part of it cannot be read; "" */
    uint64_t bad_at;
    uint64_t bad_bytes;
    char foreign_path[FILES_PATH]; /* it is of another store; "" */
    bool own[BOOK_ITEMS];          /* some byte of the item is not what it was */
    bool touched[BOOK_ITEMS];      /* of the item, or of its batch */
    bool staged[BOOK_ITEMS];       /* of its batch in the stage, which alone had it */
    bool log;                      /* something in log/ is not what it was */
    bool checkpoint;
    bool live;
    bool view;
    bool control; /* a byte of a record that is no item: definitions, first, epoch, pad */
    bool headless[FILES_MAX]; /* of store_files.log: both headers are not what they were */
};

const char *spoil_name(enum spoil_kind kind);
void files_read(struct commitlog_fault *machine, const struct grown *grown,
                struct store_files *out);
void files_free(struct store_files *files);
/* A copy of one file; false if it is not there. */
bool file_get(struct commitlog_fault *machine, const char *path, struct store_file *out);
void file_drop(struct store_file *file);
/* The file is this from now on. */
void file_put(struct commitlog_fault *machine, const char *path, const void *data, uint64_t bytes);
/* One that holds records. */
const struct store_file *files_any_segment(const struct store_files *files, struct rng *rng);
/* Whether nothing says any more what the salt of this segment was: its headers are gone, and no
 * successor names it. */
bool spoil_is_unknown(const struct spoil *spoil, const struct store_files *files,
                      uint64_t position);
/* CHECKPOINT and the headers of all segments: at most an older slot says what the store was. */
bool spoil_leaves_nothing(const struct spoil *spoil, const struct store_files *files);
bool is_zero(const uint8_t *data, uint64_t bytes);
/* The segment that a position is in, or NULL. */
const struct store_file *files_segment(const struct store_files *files, uint64_t position);

/* Spoils a machine that is as grown->machine; false if this store has nothing of the kind. */
bool spoil_apply(const struct grown *grown, const struct store_files *files,
                 const struct grown *foreign, struct commitlog_fault *machine, struct rng *rng,
                 enum spoil_kind kind, struct spoil *out);
/* One more damage of such a machine; false: there is nothing of the kind, *out is as it was. */
bool spoil_add(const struct grown *grown, const struct store_files *files,
               const struct grown *foreign, struct commitlog_fault *machine, struct rng *rng,
               enum spoil_kind kind, struct spoil *out);
/* Where a bit may be flipped: path and byte. in_item: one of an acknowledged message. */
void spoil_place(const struct grown *grown, const struct store_files *files, struct rng *rng,
                 bool in_item, const struct store_file **out_file, uint64_t *out_at);
/* What has changed in log/, and what that touches. */
void spoil_find(const struct grown *grown, const struct store_files *files,
                struct commitlog_fault *machine, struct spoil *out);
/* What a change of [at, at + bytes) of a segment touches. */
void spoil_range(const struct grown *grown, const struct store_file *file, uint64_t at,
                 uint64_t bytes, struct spoil *out);

#endif
