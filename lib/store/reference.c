/*
 * reference.c -- the record that a reference delivers.
 *
 * The original is read and verified like any record; that it is the one the reference means, its
 * size and header check say. One that is gone, or is another, is expired.
 */
#include "store/reference.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/reference_record.h"

static bool reference_is_same(const struct clg_reference *reference,
                              const struct clg_record_view *original)
{
    return original->header.header_check == reference->header_check &&
           (original->header.kind == CLG_KIND_MESSAGE || original->header.kind == CLG_KIND_TIMER ||
            original->header.kind == CLG_KIND_TRANSACTION);
}

/* What the reference in `view` refers to, as it lies; *out_reference also when it does not read. */
static int reference_follow(struct clg_reader *reader, const struct clg_core *core,
                            uint64_t visible, const struct clg_record_view *view,
                            struct clg_reference *out_reference, struct clg_record_view *out,
                            struct commitlog_error *err)
{
    struct clg_reference reference;
    const uint64_t from = view->position;
    CLG_ASSERT(view->header.kind == CLG_KIND_REFERENCE);
    int rc = clg_reference_decode(view->body, view->body_bytes, &reference);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, from, "reference does not decode");
    }
    if (reference.position >= from) { /* "beyond the end" is not what the caller is */
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, from,
                        "reference to %llu, which does not lie before it",
                        (unsigned long long)reference.position);
    }
    *out_reference = reference;
    rc = clg_reader_get(reader, core->log, reference.position, visible, NULL, out, err);
    if (rc == COMMITLOG_ETOOSMALL || (rc == COMMITLOG_OK && !reference_is_same(&reference, out))) {
        return clg_fail(err, COMMITLOG_EEXPIRED, 0, from,
                        "the message that this refers to, at %llu, is gone",
                        (unsigned long long)reference.position);
    }
    return rc;
}

int clg_store_resolve(struct clg_reader *reader, const struct clg_core *core, uint64_t visible,
                      struct clg_record_view *view, struct clg_reference *out_reference,
                      struct commitlog_error *err)
{
    struct clg_record_view original = {0};
    int rc = reference_follow(reader, core, visible, view, out_reference, &original, err);
    if (rc == COMMITLOG_OK) {
        view->attributes = original.attributes;
        view->header.attribute_bytes = original.header.attribute_bytes;
        view->body = original.body;
        view->body_bytes = original.body_bytes;
    }
    return rc;
}

int clg_store_original(struct clg_reader *reader, const struct clg_core *core, uint64_t visible,
                       uint64_t position, uint64_t *out_original)
{
    struct clg_reference reference;
    struct clg_record_view view;
    *out_original = UINT64_MAX;
    clg_reader_begin(reader);
    int rc = clg_reader_get(reader, core->log, position, visible, NULL, &view, NULL);
    if (rc == COMMITLOG_OK && view.header.kind == CLG_KIND_REFERENCE &&
        clg_reference_decode(view.body, view.body_bytes, &reference) == COMMITLOG_OK) {
        *out_original = reference.position;
    }
    return rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_ETOOSMALL ? COMMITLOG_OK : rc;
}

int clg_reference_read(struct clg_reader *reader, const struct clg_core *core, uint64_t visible,
                       uint32_t queue_number, const struct clg_lookup_entry *entry,
                       struct clg_record_view *out, struct commitlog_error *err)
{
    struct clg_reference reference;
    struct clg_record_view view;
    int rc = clg_reader_get(reader, core->log, entry->position, visible, NULL, &view, err);
    if (rc == COMMITLOG_OK && !clg_lookup_agrees(entry, queue_number, &view.header)) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, entry->position,
                      "record and queue entry disagree");
    }
    if (rc == COMMITLOG_OK && view.header.kind == CLG_KIND_REFERENCE) {
        return reference_follow(reader, core, visible, &view, &reference, out, err);
    }
    *out = view;
    return rc;
}

/* An attribute with the hashes of the message's keys in the topic of the queue; bytes of it. */
static uint32_t reference_key_hashes(struct commitlog_store *store, uint32_t queue_number,
                                     const struct clg_record_view *view,
                                     uint8_t out[CLG_REFERENCE_HASHES_BYTES])
{
    const struct clg_topic *topic = clg_registry_owner(&store->core->registry, queue_number, NULL);
    if (topic == NULL) {
        return 0;
    }
    uint8_t hashes[8 * CLG_RECORD_KEYS_MAX];
    uint32_t count = 0;
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    clg_attribute_iterator_init(&iterator, view->attributes, view->header.attribute_bytes);
    while (count < CLG_RECORD_KEYS_MAX && clg_attribute_next(&iterator, &attribute) == 1) {
        if (attribute.type == CLG_ATTRIBUTE_KEY) {
            uint64_t hash = clg_key_hash(topic->name_hash, attribute.value, attribute.bytes);
            clg_store_le64(hashes + 8 * (size_t)count++, hash);
        }
    }
    if (count == 0) {
        return 0;
    }
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, out, CLG_REFERENCE_HASHES_BYTES);
    int rc = clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY_HASHES, hashes, 8 * (size_t)count);
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    return (uint32_t)writer.used;
}

void clg_reference_item(struct commitlog_store *store, uint32_t queue_number,
                        const struct clg_record_view *original, const struct clg_reference *how,
                        struct clg_reference_item *out)
{
    struct clg_attribute tag = {0};
    struct clg_reference reference = *how;
    bool tagged =
        clg_attributes_tag(original->attributes, original->header.attribute_bytes, &tag) == 1;
    reference.position = original->position;
    reference.header_check = original->header.header_check;
    reference.tag_hash = tagged ? clg_tag_hash(tag.value, tag.bytes) : 0;
    clg_reference_encode(out->body_bytes, &reference);
    out->body = (struct commitlog_slice){out->body_bytes, clg_reference_bytes(&reference)};
    out->item = (struct clg_append){
        .kind = CLG_KIND_REFERENCE,
        .queue_number = queue_number,
        .takes_offset = true,
        .attributes = out->attributes,
        .attribute_bytes = reference_key_hashes(store, queue_number, original, out->attributes),
        .body = &out->body,
        .body_count = 1,
        .body_bytes = out->body.bytes};
}

bool clg_reference_is_short_lived(struct commitlog_store *store,
                                  const struct clg_record_view *original)
{
    const struct clg_log *log = store->core->log;
    uint64_t position = original->position;
    uint64_t first = clg_log_first(log);
    uint64_t keep_ms = clg_option(&store->options, COMMITLOG_OPT_RETAIN_AGE_MS);
    if (keep_ms != 0) {
        int64_t age_ns = clg_log_time(store->core->log) - original->header.store_time;
        if (age_ns >= 0 && (uint64_t)(age_ns / CLG_OS_NS_PER_MS) > keep_ms / 2) {
            return true;
        }
    }
    return position < clg_load_acquire_u64(&store->retention_goes_below) ||
           (position < clg_log_active_base(log) &&
            position < first + (clg_log_claimed(log) - first) / 2);
}
