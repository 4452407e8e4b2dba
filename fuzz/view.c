/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.c -- fuzz target: the view files .cq, .key and .state, opened, verified and asked.
 *
 * Input: a bundle; each file is read as what its kind says. What verify accepts must answer
 * without damage; what it refuses must answer something all the same, within the file.
 */
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "format/key_file.h"
#include "format/queue_file.h"
#include "format/state_file.h"
#include "support/bundle.h"
#include "support/check.h"
#include "support/fuzz.h"
#include "view/groups_view.h"
#include "view/timers_view.h"
#include "view/transactions_view.h"
#include "view/work_view.h"

#define VIEW_LOOKS 64u
#define VIEW_TIMER_BYTES 32u
#define VIEW_WORK_BYTES 16u /* in front of a name */
#define VIEW_RUN_BYTES 32u

static void view_queue_of(const struct clg_queue_file *queues, uint32_t index, bool sound)
{
    struct clg_queue_directory directory;
    struct clg_queue_directory found;
    struct clg_queue_entry entry;
    uint32_t at = 0;
    int rc = clg_queue_file_directory(queues, index, &directory);
    FUZZ_CHECK(!sound || rc == 0);
    if (rc != 0) {
        return;
    }
    (void)clg_queue_jump_ordinal(directory.ordinal);
    rc = clg_queue_file_find(queues, directory.queue, &found, &at);
    FUZZ_CHECK(!sound || (rc == 0 && at == index && found.first_offset == directory.first_offset));
    for (uint32_t i = 0; i < directory.count && i < VIEW_LOOKS; i++) {
        uint64_t offset =
            directory.first_offset + (i % 2 == 0 ? i / 2 : directory.count - 1u - i / 2);
        rc = clg_queue_file_entry(queues, &directory, offset, &entry);
        FUZZ_CHECK(rc != COMMITLOG_ENOTFOUND);
    }
    if (directory.first_offset > 0) {
        FUZZ_CHECK(clg_queue_file_entry(queues, &directory, directory.first_offset - 1, &entry) !=
                   0);
    }
}

static void view_queue_file(const struct fuzz_file *file)
{
    struct clg_queue_file queues;
    struct clg_queue_directory directory;
    if (clg_queue_file_open(&queues, file->data, file->bytes, NULL, NULL) != 0) {
        return;
    }
    FUZZ_CHECK(clg_queue_file_bytes(queues.queue_count, queues.entry_count) == file->bytes);
    bool sound = clg_queue_file_verify_directory(&queues) == 0;
    (void)clg_queue_file_verify_entries(&queues);
    for (uint32_t i = 0; i < queues.queue_count && i < VIEW_LOOKS; i++) {
        view_queue_of(&queues, i, sound);
    }
    FUZZ_CHECK(clg_queue_file_directory(&queues, queues.queue_count, &directory) ==
               COMMITLOG_ENOTFOUND);
    (void)clg_queue_file_find(&queues, (uint32_t)file->position, &directory, NULL);
}

static void view_key_file(const struct fuzz_file *file)
{
    struct clg_key_file keys;
    struct clg_key_cursor cursor;
    uint32_t place;
    if (clg_key_file_open(&keys, file->data, file->bytes, NULL, NULL) != 0) {
        return;
    }
    bool sound = clg_key_file_verify(&keys) == 0;
    for (uint32_t i = 0; i < VIEW_LOOKS; i++) {
        /* Hashes of entries that are there, with every prefix that may be theirs, and others. */
        uint64_t hash = clg_hash64(&i, sizeof(i), file->position);
        if (keys.entry_count > 0 && i % 4 != 0) {
            uint64_t kept =
                clg_load_le32(keys.entries + (size_t)(i % keys.entry_count) * CLG_KEY_ENTRY_BYTES);
            hash = (hash & ~(UINT64_MAX >> keys.prefix_bits)) | kept << 32 >> keys.prefix_bits;
        }
        int rc = clg_key_file_find(&keys, hash, &cursor);
        FUZZ_CHECK(!sound || rc == 0);
        uint32_t last = UINT32_MAX;
        for (uint32_t n = 0; rc == 0 && n < VIEW_LOOKS && clg_key_cursor_next(&cursor, &place);
             n++) {
            FUZZ_CHECK(!sound || place <= last);
            FUZZ_CHECK(clg_view_place_ok(&keys.segment, place, 48));
            last = place;
        }
    }
}

/* Each timer that is saved stood in what was taken, but that its size may be rounded up; how they
 * are sorted is the view's own affair. */
static void view_timers(const struct clg_state_section *section, const uint8_t *saved,
                        uint64_t bytes)
{
    const uint32_t line = VIEW_TIMER_BYTES;
    FUZZ_CHECK(bytes == section->bytes && bytes % line == 0);
    for (uint64_t at = 0; at < bytes; at += line) {
        uint64_t from = 0;
        while (from < bytes && memcmp(section->data + from, saved + at, line - 4) != 0) {
            from += line;
        }
        FUZZ_CHECK(from < bytes);
        uint32_t size = clg_load_le32(section->data + from + line - 4);
        uint32_t kept = clg_load_le32(saved + at + line - 4);
        FUZZ_CHECK(kept >= size && kept - size <= size / 32768);
    }
}

/* Runs of work as they are saved: they ascend, and neighbours differ. */
static void view_runs(const uint8_t *saved, uint64_t bytes)
{
    const uint8_t *at = saved;
    while (at < saved + bytes) {
        uint32_t count = clg_load_le32(at + 8);
        at += clg_align_up(VIEW_WORK_BYTES + (uint64_t)clg_load_le32(at + 4), 8);
        FUZZ_CHECK(count > 0 && (uint64_t)count * VIEW_RUN_BYTES <= (uint64_t)(saved + bytes - at));
        for (uint32_t i = 0; i < count; i++, at += VIEW_RUN_BYTES) {
            uint64_t end = i == 0 ? 0 : clg_load_le64(at - 32) + clg_load_le32(at - 16);
            bool same =
                i > 0 && memcmp(at - 24, at + 8, 8) == 0 && memcmp(at - 12, at + 20, 8) == 0;
            uint64_t joined =
                i == 0 ? 0 : (uint64_t)clg_load_le32(at - 16) + clg_load_le32(at + 16);
            FUZZ_CHECK(clg_load_le64(at) >= end && clg_load_le32(at + 16) > 0);
            FUZZ_CHECK(!same || clg_load_le64(at) > end || joined > UINT32_MAX);
        }
    }
}

/* What the view takes it can save, and takes again as the same. */
static void view_restore(const struct clg_view_ops *ops, const struct clg_state_section *section)
{
    const struct clg_view_context context = {.os = clg_os_default(), .view_dirfd = -1};
    struct clg_view *view = NULL;
    struct clg_view *again = NULL;
    FUZZ_CHECK(ops->create(&context, 0, &view) == 0 && ops->create(&context, 0, &again) == 0);
    if (ops->restore(view, section->data, section->bytes, UINT64_MAX) == 0) {
        uint64_t bytes = ops->save_bytes(view);
        /* An offset that stood there twice is one now; a run that another one splits is two. */
        FUZZ_CHECK(bytes <= section->bytes * (ops == &clg_work_view_ops ? 2 : 1));
        uint8_t *saved = malloc((size_t)bytes + 1);
        uint8_t *twice = malloc((size_t)bytes + 1);
        FUZZ_CHECK(saved != NULL && twice != NULL);
        ops->save(view, saved, bytes);
        FUZZ_CHECK(ops->restore(again, saved, bytes, UINT64_MAX) == 0 &&
                   ops->save_bytes(again) == bytes);
        ops->save(again, twice, bytes);
        FUZZ_CHECK(memcmp(saved, twice, (size_t)bytes) == 0);
        if (ops == &clg_transactions_view_ops) {
            clg_transaction_table_invariants(clg_transactions_view_table(view));
        } else if (ops == &clg_timers_view_ops) {
            view_timers(section, saved, bytes);
        } else if (ops == &clg_work_view_ops) {
            view_runs(saved, bytes);
        }
        free(saved);
        free(twice);
    }
    ops->destroy(view);
    ops->destroy(again);
}

static void view_state_file(const struct fuzz_file *file)
{
    struct clg_state_file state;
    struct clg_state_section section;
    uint64_t sum = 0;
    if (clg_state_file_open(&state, file->data, file->bytes, NULL) != 0) {
        return;
    }
    for (uint32_t id = 0; id < 16; id++) {
        if (clg_state_file_find(&state, id, &section) == 0) {
            FUZZ_CHECK(section.data >= state.sections && section.bytes <= state.section_bytes);
            sum += clg_hash64(section.data, (size_t)section.bytes, sum);
            if (id == clg_groups_view_ops.state_id) {
                view_restore(&clg_groups_view_ops, &section);
            } else if (id == clg_timers_view_ops.state_id) {
                view_restore(&clg_timers_view_ops, &section);
            } else if (id == clg_work_view_ops.state_id) {
                view_restore(&clg_work_view_ops, &section);
            } else if (id == clg_transactions_view_ops.state_id) {
                view_restore(&clg_transactions_view_ops, &section);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bundle bundle;
    fuzz_bundle_unpack(data, size, &bundle);
    for (uint32_t i = 0; i < bundle.count; i++) {
        const struct fuzz_file *file = &bundle.files[i];
        if (file->kind == FUZZ_CQ) {
            view_queue_file(file);
        } else if (file->kind == FUZZ_KEY) {
            view_key_file(file);
        } else {
            view_state_file(file);
        }
    }
    fuzz_bundle_free(&bundle);
    return 0;
}
