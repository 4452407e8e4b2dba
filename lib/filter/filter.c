/* SPDX-License-Identifier: BSD-2-Clause */
/* filter.c -- making and freeing filters, and what of them is public: see filter.h. */
#include "filter/filter.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "filter/parser.h"
#include "format/limits.h"

/* What points into the draft's bytes points to the same place of their copy. */
static const uint8_t *filter_moved(const struct clg_filter_draft *draft, const uint8_t *bytes,
                                   const uint8_t *old)
{
    return old == NULL ? NULL : bytes + (old - draft->bytes);
}

/* One block: the filter with its terms, the names, the bytes. */
static struct commitlog_filter *filter_make(const struct clg_filter_draft *draft)
{
    size_t terms_bytes = draft->term_count * sizeof(struct clg_filter_term);
    size_t names_bytes = draft->name_count * sizeof(struct clg_filter_name);
    struct commitlog_filter *filter =
        draft->os->alloc(draft->os, sizeof(*filter) + terms_bytes + names_bytes + draft->used + 1);
    if (filter == NULL) {
        return NULL;
    }
    struct clg_filter_name *names = (void *)((uint8_t *)filter->terms + terms_bytes);
    uint8_t *bytes = (uint8_t *)names + names_bytes;
    memcpy(bytes, draft->bytes, draft->used);
    filter->os = draft->os;
    clg_store_relaxed_u32(&filter->refs, 1);
    filter->term_count = (uint16_t)draft->term_count;
    filter->name_count = (uint16_t)draft->name_count;
    filter->tag_slot = CLG_FILTER_NO_SLOT;
    filter->names = names;
    for (uint32_t i = 0; i < draft->name_count; i++) {
        names[i].data = filter_moved(draft, bytes, draft->names[i].data);
        names[i].bytes = draft->names[i].bytes;
        if (names[i].bytes == 0) {
            filter->tag_slot = (uint16_t)i;
        } else {
            filter->name_marks |= clg_filter_mark(names[i].data, names[i].bytes);
        }
    }
    for (uint32_t i = 0; i < draft->term_count; i++) {
        struct clg_filter_constant *constant = &filter->terms[i].constant;
        filter->terms[i] = draft->terms[i];
        constant->data = filter_moved(draft, bytes, constant->data);
        constant->decimal.at = filter_moved(draft, bytes, constant->decimal.at);
        constant->decimal.end = filter_moved(draft, bytes, constant->decimal.end);
    }
    return filter;
}

int clg_filter_compile(const struct commitlog_os *os, const void *text, size_t text_bytes,
                       struct commitlog_filter **out, struct commitlog_error *err)
{
    struct clg_filter_draft draft;
    if (text_bytes > COMMITLOG_FILTER_TEXT_MAX_BYTES) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, COMMITLOG_FILTER_TEXT_MAX_BYTES + 1,
                        "column %d: a filter has at most %d bytes",
                        COMMITLOG_FILTER_TEXT_MAX_BYTES + 1, COMMITLOG_FILTER_TEXT_MAX_BYTES);
    }
    int rc = clg_draft_init(&draft, os, (uint32_t)text_bytes);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "compile a filter of %zu bytes", text_bytes);
    }
    rc = clg_filter_parse(&draft, text, (uint32_t)text_bytes, err);
    if (rc == COMMITLOG_OK) {
        clg_draft_link(&draft);
        struct commitlog_filter *filter = filter_make(&draft);
        if (filter != NULL) {
            *out = filter;
        } else {
            rc = clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION,
                          "compile a filter of %zu bytes", text_bytes);
        }
    }
    clg_draft_free(&draft);
    return rc;
}

void clg_filter_ref(struct commitlog_filter *filter)
{
    uint32_t before = clg_add_relaxed_u32(&filter->refs, 1);
    CLG_ASSERT(before > 0 && before < UINT32_MAX);
    (void)before;
}

void clg_filter_unref(struct commitlog_filter *filter)
{
    if (filter == NULL) {
        return;
    }
    /* Acquire and release: what other owners did with it lies before the free. */
    uint32_t before = clg_sub_acqrel_u32(&filter->refs, 1);
    CLG_ASSERT(before > 0);
    if (before == 1) {
        filter->os->free(filter->os, filter);
    }
}

int32_t commitlog_filter_compile(const void *text, size_t text_bytes,
                                 struct commitlog_filter **out_filter, struct commitlog_error *err)
{
    if (out_filter == NULL || (text == NULL && text_bytes > 0)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "compile a filter: NULL");
    }
    return clg_filter_compile(clg_os_default(), text, text_bytes, out_filter, err);
}

void commitlog_filter_free(struct commitlog_filter *filter)
{
    clg_filter_unref(filter);
}

int32_t commitlog_filter_test(const struct commitlog_filter *filter,
                              const struct commitlog_message *message)
{
    if (filter == NULL || message == NULL ||
        (message->attributes.data == NULL && message->attributes.bytes > 0)) {
        return COMMITLOG_EINVAL;
    }
    if (message->attributes.bytes > CLG_ATTRIBUTES_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    return clg_filter_match(filter, message->attributes.data, message->attributes.bytes);
}
