/* SPDX-License-Identifier: BSD-2-Clause */
/* salts.c -- see salts.h. */
#include "salts.h"

#include "format/limits.h"

static bool salts_header(const struct fuzz_file *file, uint32_t copy,
                         struct clg_segment_header *header)
{
    return clg_segment_header_decode(file->data + copy * CLG_FORMAT_PAGE_BYTES, NULL, true,
                                     header) == 0 &&
           header->base == file->position;
}

const struct fuzz_file *fuzz_segment_of(const struct fuzz_bundle *seen, uint64_t position,
                                        struct clg_segment_header *header)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct fuzz_file *file = &seen->files[i];
        if (file->kind != FUZZ_LOG || position < file->position ||
            position - file->position >= file->bytes || file->bytes < CLG_SEGMENT_DATA_START) {
            continue;
        }
        if ((salts_header(file, 0, header) || salts_header(file, 1, header)) &&
            position - header->base < header->size) {
            return file;
        }
    }
    return NULL;
}

uint32_t fuzz_salts(const struct fuzz_bundle *seen, const struct fuzz_file *file,
                    uint64_t salts[FUZZ_SALTS_MAX])
{
    struct clg_segment_header header;
    uint32_t count = 0;
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct fuzz_file *other = &seen->files[i];
        if (other->kind != FUZZ_LOG || other->bytes < CLG_SEGMENT_DATA_START) {
            continue;
        }
        for (uint32_t copy = 0; copy < 2 && count < FUZZ_SALTS_MAX; copy++) {
            if (!salts_header(other, copy, &header)) {
                continue;
            }
            if (other == file) {
                salts[count++] = header.salt;
            } else if (header.base > file->position) {
                salts[count++] = header.predecessor_salt;
            }
        }
    }
    return count;
}
