/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint.c -- fuzz target: the two slots of CHECKPOINT, and LOCK.
 *
 * Input: a bundle; the first 8192 bytes of a file are slots, the whole of it is a LOCK.
 */
#include <string.h>

#include "commitlog.h"

#include "format/checkpoint.h"
#include "format/lock_file.h"
#include "support/bundle.h"
#include "support/check.h"
#include "support/fuzz.h"

static void checkpoint_slot(const uint8_t *slot, uint32_t index)
{
    struct clg_checkpoint checkpoint;
    uint8_t again[CLG_FORMAT_PAGE_BYTES];
    struct clg_checkpoint decoded;
    if (clg_checkpoint_decode(slot, index, NULL, true, &checkpoint) != 0) {
        return;
    }
    FUZZ_CHECK(checkpoint.first <= checkpoint.checkpointed);
    FUZZ_CHECK(checkpoint.checkpointed <= checkpoint.durable);
    FUZZ_CHECK(checkpoint.state_position <= checkpoint.durable);
    FUZZ_CHECK(clg_checkpoint_slot(checkpoint.sequence) == index);
    clg_checkpoint_encode(again, &checkpoint);
    FUZZ_CHECK(clg_checkpoint_decode(again, index, checkpoint.uuid, false, &decoded) == 0);
    FUZZ_CHECK(decoded.durable == checkpoint.durable && decoded.clean == checkpoint.clean);
}

static void checkpoint_file(const struct fuzz_file *file)
{
    struct clg_checkpoint chosen;
    struct clg_checkpoint slots[CLG_CHECKPOINT_SLOTS];
    int codes[CLG_CHECKPOINT_SLOTS];
    if (file->bytes < CLG_CHECKPOINT_BYTES) {
        return;
    }
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        const uint8_t *slot = file->data + (size_t)i * CLG_FORMAT_PAGE_BYTES;
        checkpoint_slot(slot, i);
        codes[i] = clg_checkpoint_decode(slot, i, NULL, false, &slots[i]);
    }
    int rc = clg_checkpoint_choose(file->data, NULL, false, &chosen);
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        if (codes[i] == COMMITLOG_EVERSION) {
            FUZZ_CHECK(rc == COMMITLOG_EVERSION);
        } else if (codes[i] == 0 && rc == 0) {
            FUZZ_CHECK(chosen.sequence >= slots[i].sequence);
        }
    }
    if (rc == 0) {
        FUZZ_CHECK(codes[clg_checkpoint_slot(chosen.sequence)] == 0);
    }
}

static void checkpoint_lock(const struct fuzz_file *file)
{
    struct clg_lock_file lock;
    uint8_t page[CLG_LOCK_FILE_BYTES];
    struct clg_lock_file again;
    if (clg_lock_file_decode(file->data, file->bytes, NULL, &lock) != 0) {
        return;
    }
    FUZZ_CHECK(memchr(lock.live_path, '\0', sizeof(lock.live_path)) != NULL);
    FUZZ_CHECK(clg_lock_file_encode(page, &lock) == 0);
    FUZZ_CHECK(clg_lock_file_decode(page, sizeof(page), lock.uuid, &again) == 0);
    FUZZ_CHECK(strcmp(again.live_path, lock.live_path) == 0 && again.pid == lock.pid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bundle bundle;
    fuzz_bundle_unpack(data, size, &bundle);
    for (uint32_t i = 0; i < bundle.count; i++) {
        checkpoint_file(&bundle.files[i]);
        checkpoint_lock(&bundle.files[i]);
    }
    fuzz_bundle_free(&bundle);
    return 0;
}
