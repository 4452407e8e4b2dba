/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reference.h -- records that deliver another: read in its place, and made.
 *
 * Owns: nothing; the memory of an item that is appended is the caller's.
 * Threads and locks: none of its own.
 */
#ifndef CLG_STORE_REFERENCE_H
#define CLG_STORE_REFERENCE_H

#include "format/attributes.h"
#include "format/reference_record.h"
#include "store/store.h"
#include "view/lookup.h"

#define CLG_REFERENCE_HASHES_BYTES (CLG_ATTRIBUTE_HEADER_BYTES + 8u * CLG_RECORD_KEYS_MAX)

/* Attributes and body of what the reference delivers, in place of its own. *out_reference says what
 * it refers to, also when that does not read. COMMITLOG_EEXPIRED: it is gone. Else as
 * clg_reader_get. */
CLG_MUST_CHECK int clg_store_resolve(struct clg_reader *reader, const struct clg_core *core,
                                     uint64_t visible, struct clg_record_view *view,
                                     struct clg_reference *out_reference,
                                     struct commitlog_error *err);
/* What the reference at `position` refers to; UINT64_MAX: nothing that could be kept. */
CLG_MUST_CHECK int clg_store_original(struct clg_reader *reader, const struct clg_core *core,
                                      uint64_t visible, uint64_t position, uint64_t *out_original);
/* The record of the queue's entry, or the one that it refers to, as it lies. COMMITLOG_ETOOSMALL or
 * COMMITLOG_EEXPIRED: gone. */
CLG_MUST_CHECK int clg_reference_read(struct clg_reader *reader, const struct clg_core *core,
                                      uint64_t visible, uint32_t queue_number,
                                      const struct clg_lookup_entry *entry,
                                      struct clg_record_view *out, struct commitlog_error *err);
/* What a reference says of where a message came from; nothing if it is all zeros. */
void clg_message_set_origin(const struct clg_core *core, const struct clg_reference *reference,
                            struct commitlog_message *message);

/* A reference that can be appended; stays where it is until then. */
struct clg_reference_item {
    struct clg_append item;
    struct commitlog_slice body;
    uint8_t body_bytes[CLG_REFERENCE_BODY_BYTES_MAX];
    uint8_t attributes[CLG_REFERENCE_HASHES_BYTES];
};

/* To `original`, from the queue; `how` says reason, origin and attempts. */
void clg_reference_item(struct commitlog_store *store, uint32_t queue_number,
                        const struct clg_record_view *original, const struct clg_reference *how,
                        struct clg_reference_item *out);
/* What retention is about to take; or it is in the older half of what is kept, by bytes and not in
 * the segment that retention never takes, or by age: better delivered as a copy. */
bool clg_reference_is_short_lived(struct commitlog_store *store,
                                  const struct clg_record_view *original);

#endif
