/*
 * reference.c -- the record that a reference delivers.
 *
 * The original is read and verified like any record; that it is the one the reference means, its
 * size and header check say. One that is gone, or is another, is expired.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "format/reference_record.h"
#include "store/store.h"

int clg_store_resolve(struct clg_reader *reader, const struct clg_core *core, uint64_t visible,
                      struct clg_record_view *view, uint64_t *out_origin,
                      struct commitlog_error *err)
{
    struct clg_reference reference;
    struct clg_record_view original;
    CLG_ASSERT(view->header.kind == CLG_KIND_REFERENCE);
    int rc = clg_reference_decode(view->body, view->body_bytes, &reference);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, view->position, "reference does not decode");
    }
    if (reference.position >= view->position) { /* "beyond the end" is not what the caller is */
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, view->position,
                        "reference to %llu, which does not lie before it",
                        (unsigned long long)reference.position);
    }
    *out_origin = reference.position;
    rc = clg_reader_get(reader, core->log, reference.position, visible, NULL, &original, err);
    bool same =
        rc == COMMITLOG_OK && original.header.header_check == reference.header_check &&
        (original.header.kind == CLG_KIND_MESSAGE || original.header.kind == CLG_KIND_TIMER);
    if (rc == COMMITLOG_ETOOSMALL || (rc == COMMITLOG_OK && !same)) {
        return clg_fail(err, COMMITLOG_EEXPIRED, 0, view->position,
                        "the message that this refers to, at %llu, is gone",
                        (unsigned long long)reference.position);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    view->attributes = original.attributes;
    view->header.attribute_bytes = original.header.attribute_bytes;
    view->body = original.body;
    view->body_bytes = original.body_bytes;
    return COMMITLOG_OK;
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
