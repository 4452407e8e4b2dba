/* SPDX-License-Identifier: BSD-2-Clause */
/* bundle.c -- inputs of several files; see bundle.h. */
#include "bundle.h"

#include <string.h>

#include "base/bytes.h"
#include "check.h"

#define BUNDLE_FILE_HEADER 16u
#define BUNDLE_RUN_HEADER 4u
#define BUNDLE_RUN_MAX 65535u
/* Fewer zeros than this cost less than a new run. */
#define BUNDLE_GAP_MIN 8u

/* Larger ones cost time and show nothing new. */
static const uint32_t bundle_limits[FUZZ_KINDS] = {
    [FUZZ_LOG] = 128u << 10,       [FUZZ_CQ] = 32u << 10,  [FUZZ_KEY] = 32u << 10,
    [FUZZ_STATE] = 32u << 10,      [FUZZ_LOCK] = 6u << 10, [FUZZ_LIVE] = FUZZ_FILE_BYTES_MAX,
    [FUZZ_CHECKPOINT] = 12u << 10, [FUZZ_RECORD] = 4096,   [FUZZ_OTHER] = 8u << 10};

static uint8_t *bundle_block(uint32_t bytes)
{
    /* malloc(0) may be NULL, and a block of one byte would hide a read of it. */
    uint8_t *block = calloc(1, bytes == 0 ? 1 : bytes);
    FUZZ_CHECK(block != NULL);
    return block;
}

struct fuzz_file *fuzz_bundle_add(struct fuzz_bundle *bundle, uint8_t kind, uint64_t position,
                                  uint32_t bytes)
{
    FUZZ_CHECK(kind < FUZZ_KINDS && bytes <= FUZZ_FILE_BYTES_MAX);
    if (bundle->count == FUZZ_FILES_MAX) {
        return NULL;
    }
    struct fuzz_file *file = &bundle->files[bundle->count++];
    file->kind = kind;
    file->position = position;
    file->bytes = bytes;
    file->data = bundle_block(bytes);
    return file;
}

void fuzz_bundle_remove(struct fuzz_bundle *bundle, uint32_t index)
{
    FUZZ_CHECK(index < bundle->count);
    free(bundle->files[index].data);
    bundle->count--;
    memmove(&bundle->files[index], &bundle->files[index + 1],
            (bundle->count - index) * sizeof(bundle->files[0]));
}

struct fuzz_file *fuzz_bundle_find(struct fuzz_bundle *bundle, uint8_t kind)
{
    for (uint32_t i = 0; i < bundle->count; i++) {
        if (bundle->files[i].kind == kind) {
            return &bundle->files[i];
        }
    }
    return NULL;
}

void fuzz_file_resize(struct fuzz_file *file, uint32_t bytes)
{
    FUZZ_CHECK(bytes <= FUZZ_FILE_BYTES_MAX);
    uint8_t *block = bundle_block(bytes);
    memcpy(block, file->data, bytes < file->bytes ? bytes : file->bytes);
    free(file->data);
    file->data = block;
    file->bytes = bytes;
}

/* The runs of one file; returns how much of `data` they took. */
static size_t bundle_unpack_runs(const uint8_t *data, size_t bytes, uint32_t runs,
                                 struct fuzz_file *file)
{
    size_t used = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < runs && bytes - used >= BUNDLE_RUN_HEADER; i++) {
        uint32_t gap = clg_load_le16(data + used);
        size_t run = clg_load_le16(data + used + 2);
        used += BUNDLE_RUN_HEADER;
        run = run < bytes - used ? run : bytes - used;
        at = gap < file->bytes - at ? at + gap : file->bytes;
        uint32_t fits = run < file->bytes - at ? (uint32_t)run : file->bytes - at;
        if (fits > 0) {
            memcpy(file->data + at, data + used, fits);
        }
        at += fits;
        used += run;
    }
    return used;
}

void fuzz_bundle_unpack(const uint8_t *data, size_t bytes, struct fuzz_bundle *out)
{
    uint32_t left = FUZZ_BUNDLE_BYTES_MAX;
    size_t at = 8;
    memset(out, 0, sizeof(*out));
    if (bytes < 8) {
        return;
    }
    out->options = clg_load_le64(data);
    while (bytes - at >= BUNDLE_FILE_HEADER && out->count < FUZZ_FILES_MAX) {
        uint32_t runs = clg_load_le16(data + at + 2);
        uint32_t size = clg_load_le32(data + at + 4);
        uint8_t kind = data[at] % FUZZ_KINDS;
        uint32_t most = left < bundle_limits[kind] ? left : bundle_limits[kind];
        size = size < most ? size : most;
        left -= size;
        struct fuzz_file *file = fuzz_bundle_add(out, kind, clg_load_le64(data + at + 8), size);
        FUZZ_CHECK(file != NULL);
        at += BUNDLE_FILE_HEADER;
        at += bundle_unpack_runs(data + at, bytes - at, runs, file);
    }
}

/* How many zeros lie from `from` on, at most BUNDLE_RUN_MAX. Files are mostly zeros. */
static uint32_t bundle_zeros(const struct fuzz_file *file, uint32_t from)
{
    uint32_t most = file->bytes - from < BUNDLE_RUN_MAX ? file->bytes - from : BUNDLE_RUN_MAX;
    const uint8_t *at = file->data + from;
    uint32_t n = 0;
    while (most - n >= 64 && clg_is_zero(at + n, 64)) {
        n += 64;
    }
    while (n < most && at[n] == 0) {
        n++;
    }
    return n;
}

/* The end of the run that begins at `from`: before the next long row of zeros. */
static uint32_t bundle_run_end(const struct fuzz_file *file, uint32_t from)
{
    uint32_t zeros = 0;
    uint32_t at = from;
    while (at < file->bytes && at - from < BUNDLE_RUN_MAX && zeros < BUNDLE_GAP_MIN) {
        zeros = file->data[at] == 0 ? zeros + 1 : 0;
        at++;
    }
    return at - zeros;
}

/* Bytes written, or 0. A file without a run counts as its header alone. */
static size_t bundle_pack_file(const struct fuzz_file *file, uint8_t *out, size_t room)
{
    uint32_t runs = 0;
    uint32_t at = 0;
    size_t used = BUNDLE_FILE_HEADER;
    if (room < used) {
        return 0;
    }
    for (;;) {
        uint32_t begin = at + bundle_zeros(file, at);
        if (begin == file->bytes) {
            break;
        }
        uint32_t end = bundle_run_end(file, begin);
        uint32_t bytes = file->data[begin] == 0 ? 0 : end - begin;
        if (runs == UINT16_MAX || room - used < BUNDLE_RUN_HEADER + bytes) {
            return 0;
        }
        clg_store_le16(out + used, (uint16_t)(begin - at));
        clg_store_le16(out + used + 2, (uint16_t)bytes);
        memcpy(out + used + BUNDLE_RUN_HEADER, file->data + begin, bytes);
        used += BUNDLE_RUN_HEADER + bytes;
        at = begin + bytes;
        runs++;
    }
    out[0] = file->kind;
    out[1] = 0;
    clg_store_le16(out + 2, (uint16_t)runs);
    clg_store_le32(out + 4, file->bytes);
    clg_store_le64(out + 8, file->position);
    return used;
}

size_t fuzz_bundle_pack(const struct fuzz_bundle *bundle, uint8_t *out, size_t room)
{
    size_t used = 8;
    if (room < used) {
        return 0;
    }
    clg_store_le64(out, bundle->options);
    for (uint32_t i = 0; i < bundle->count; i++) {
        size_t bytes = bundle_pack_file(&bundle->files[i], out + used, room - used);
        if (bytes == 0) {
            return 0;
        }
        used += bytes;
    }
    return used;
}

void fuzz_bundle_free(struct fuzz_bundle *bundle)
{
    for (uint32_t i = 0; i < bundle->count; i++) {
        free(bundle->files[i].data);
    }
    bundle->count = 0;
}
