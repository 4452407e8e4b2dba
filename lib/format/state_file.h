/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state_file.h -- the .state container: the fold of all small state at one position
 *
 * Layout: header (256 bytes), then sections: u32 id, u32 zero, u64 length, bytes, zeros to a
 * multiple of 8. One section per view; what is in it is the view's own. An unknown section is
 * skipped. A check over all sections is in the header.
 *
 * The file is derived: any doubt about it, and the log is folded again.
 */
#ifndef CLG_FORMAT_STATE_FILE_H
#define CLG_FORMAT_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"

#define CLG_STATE_SECTION_HEADER_BYTES 16u

#define CLG_STATE_AT_POSITION 64u
#define CLG_STATE_AT_BYTES 72u
#define CLG_STATE_AT_BODY_CHECK 80u
#define CLG_STATE_AT_EPOCH 88u
#define CLG_STATE_AT_SECTIONS 92u

/* The first section is the fold's own: which segments stood before the active one, and the newest
 * record folded. */
#define CLG_STATE_FOLD_ID 1u
#define CLG_STATE_FOLD_BYTES 40u
#define CLG_STATE_FOLD_AT_ACTIVE 0u
#define CLG_STATE_FOLD_AT_SALT 8u
#define CLG_STATE_FOLD_AT_LAST 16u
#define CLG_STATE_FOLD_AT_LAST_CHECK 24u
#define CLG_STATE_FOLD_AT_COUNT 28u
#define CLG_STATE_FOLD_AT_ZERO 32u
#define CLG_STATE_ITEM_BYTES 40u
#define CLG_STATE_ITEM_AT_BASE 0u
#define CLG_STATE_ITEM_AT_SALT 8u
#define CLG_STATE_ITEM_AT_END 16u
#define CLG_STATE_ITEM_AT_OLDEST 24u
#define CLG_STATE_ITEM_AT_NEWEST 32u

struct clg_state_info {
    uint64_t position; /* records before it are in the state */
    uint32_t epoch;
    uint8_t uuid[CLG_UUID_BYTES];
};

struct clg_state_writer {
    uint8_t *out;
    uint64_t room;
    uint64_t used;
    uint32_t sections;
};

struct clg_state_section {
    const uint8_t *data;
    uint64_t bytes;
    uint32_t id;
};

struct clg_state_file {
    const uint8_t *sections;
    uint64_t section_bytes;
    struct clg_state_info info;
    uint32_t section_count;
};

/* Can a state of a log of so many bytes be as long? Asked before room is made for all of it: a file
 * may be one long hole. What a state has comes from records that are kept. */
bool clg_state_file_can_be(uint64_t file_bytes, uint64_t log_bytes);

/* What a section of `bytes` takes in the file; the file takes CLG_VIEW_HEADER_BYTES more. */
uint64_t clg_state_section_bytes(uint64_t bytes);

/* `room` at least CLG_VIEW_HEADER_BYTES. */
void clg_state_writer_init(struct clg_state_writer *writer, uint8_t *out, uint64_t room);

/* Add a section and return where its `bytes` go; NULL if they do not fit. */
uint8_t *clg_state_writer_section(struct clg_state_writer *writer, uint32_t id, uint64_t bytes);

/* Write the header; returns the size of the file. */
uint64_t clg_state_writer_finish(struct clg_state_writer *writer,
                                 const struct clg_state_info *info);

/* Verify everything: header, check, the chain of sections. */
int clg_state_file_open(struct clg_state_file *out, const uint8_t *file, uint64_t bytes,
                        const uint8_t *uuid);

/* The section with this id: 0 or COMMITLOG_ENOTFOUND. */
int clg_state_file_find(const struct clg_state_file *file, uint32_t id,
                        struct clg_state_section *section);

#endif
