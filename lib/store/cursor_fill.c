/*
 * cursor_fill.c -- from a record to the caller's message: is it asked for, and does its copy fit?
 *
 * Of a call that fails the caller sees nothing, so his place is written only once it is sure:
 * without a selection at once, with one elsewhere first.
 */
#include <string.h>

#include "store/cursor.h"
#include "store/reference.h"

static bool cursor_wants_tag(const struct commitlog_cursor *cursor,
                             const struct commitlog_slice *tag)
{
    for (uint32_t i = 0; i < cursor->tag_count; i++) {
        if (cursor->tags[i].bytes == tag->bytes &&
            memcmp(cursor->tags[i].data, tag->data, tag->bytes) == 0) {
            return true;
        }
    }
    return cursor->tag_count == 0;
}

/* 1, 0, or that the attributes contradict themselves. */
static int cursor_wants(const struct commitlog_cursor *cursor,
                        const struct commitlog_message *message)
{
    if (!cursor_wants_tag(cursor, &message->tag) ||
        (cursor->kind->wants != NULL && !cursor->kind->wants(cursor, message))) {
        return 0;
    }
    return cursor->filter != NULL ? commitlog_filter_test(cursor->filter, message) : 1;
}

/* The borrowed parts of a message move into the caller's buffer. */
static int cursor_copy(struct clg_cursor_copy *copy, struct commitlog_message *message)
{
    size_t bytes = message->attributes.bytes + message->body.bytes;
    if (bytes > copy->room - copy->used) {
        copy->needed = bytes;
        return COMMITLOG_ETOOBIG;
    }
    if (copy->buffer == NULL) { /* and nothing to copy */
        message->attributes.data = NULL;
        message->body.data = NULL;
        return 1;
    }
    uint8_t *at = copy->buffer + copy->used;
    const uint8_t *old = message->attributes.data;
    if (message->attributes.bytes > 0) {
        memcpy(at, message->attributes.data, message->attributes.bytes);
    }
    if (message->body.bytes > 0) {
        memcpy(at + message->attributes.bytes, message->body.data, message->body.bytes);
    }
    if (message->tag.bytes > 0) {
        message->tag.data = at + ((const uint8_t *)message->tag.data - old);
    }
    message->attributes.data = at;
    message->body.data = at + message->attributes.bytes;
    copy->used += bytes;
    return 1;
}

bool clg_cursor_takes_any(const struct commitlog_cursor *cursor)
{
    return cursor->tag_count == 0 && cursor->filter == NULL && cursor->kind->wants == NULL &&
           cursor->copy == NULL;
}

int clg_cursor_fill(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                    const struct clg_record_view *view, const struct clg_reference *reference)
{
    struct commitlog_message candidate;
    bool any = clg_cursor_takes_any(cursor);
    struct commitlog_message *message = any ? &fetch->messages[fetch->count] : &candidate;
    int rc = clg_message_fill(fetch->core, view, message);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_message_set_origin(fetch->core, reference, message);
    if (any) {
        return 1;
    }
    int wanted = cursor_wants(cursor, &candidate);
    if (wanted == 1 && cursor->copy != NULL) {
        wanted = cursor_copy(cursor->copy, &candidate);
    }
    if (wanted == 1) {
        fetch->messages[fetch->count] = candidate;
    }
    return wanted;
}
