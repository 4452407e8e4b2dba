/* cursor_queue.c -- one queue, by offset. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "log/reader_run.h"
#include "store/cursor.h"

#define QUEUE_COPY_BYTES 4096u
/* Records that are on their way from memory while one is checked. */
#define QUEUE_AHEAD 8u
/* Each time retention has to have passed anew: that it overtakes one record so often is a lie. */
#define QUEUE_REFUSED_MOST 8u

/* Offsets that the log lost: nothing says what they were. The bound is the last of the run, so that
 * one seek past it passes all. */
static int queue_lost(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                      const struct clg_lookup_entry *entries, uint32_t count)
{
    uint32_t run = 1;
    while (run < count && entries[run].position == CLG_NO_POSITION) {
        run++;
    }
    fetch->bound = entries[run - 1].queue_offset + entries[run - 1].lost - 1;
    clg_store_lost(cursor->store, fetch->core, cursor->queue, cursor->next, fetch->bound + 1);
    return COMMITLOG_EDAMAGED;
}

/* The record of the first entry. 0: go on with the next one; else why not. */
static int queue_take(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                      const struct clg_lookup_entry *entry, uint32_t count)
{
    CLG_ASSERT(entry->queue_offset == cursor->next && count > 0);
    if (entry->position == CLG_NO_POSITION) {
        return queue_lost(cursor, fetch, entry, count);
    }
    if ((entry->flags & CLG_QUEUE_ENTRY_HOLE) != 0) {
        cursor->next++;
        return COMMITLOG_OK;
    }
    if (!clg_cursor_wants_hash(cursor, entry->tag_hash)) {
        int passed = clg_cursor_pass(cursor, fetch);
        fetch->bound = cursor->next;
        cursor->next += passed == COMMITLOG_OK;
        return passed;
    }
    int rc = clg_cursor_take(cursor, fetch, entry->position, cursor->queue, entry->queue_offset,
                             &(struct clg_reader_expected){entry->size, entry->header_check});
    if (rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND) {
        cursor->next++;
        return COMMITLOG_OK;
    }
    bool no_room = rc == COMMITLOG_ETOOBIG && cursor->copy != NULL;
    fetch->bound = no_room ? cursor->copy->needed : cursor->next;
    return rc;
}

static void queue_run(const struct commitlog_cursor *cursor, const struct clg_fetch *fetch,
                      struct clg_reader_run *out)
{
    if (clg_cursor_takes_any(cursor)) {
        clg_reader_run(&cursor->reader, fetch->core->log, fetch->visible, out);
    }
}

/* The common case: a message without attributes, which lies in the segment of the one before it, to
 * a cursor that wants them all. False: it is another case. */
static bool queue_take_plain(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                             const struct clg_reader_run *run, const struct clg_lookup_entry *entry)
{
    const struct clg_reader_expected expected = {entry->size, entry->header_check};
    struct clg_record_header header;
    const uint8_t *record = NULL;
    if (entry->flags != 0 ||
        !clg_reader_run_header(run, entry->position, &expected, &header, &record) ||
        header.kind != CLG_KIND_MESSAGE || header.attribute_bytes != 0 ||
        header.queue_number != cursor->queue || header.queue_offset != entry->queue_offset ||
        !clg_reader_run_verify(run, entry->position, &header, record)) {
        return false;
    }
    size_t bytes = clg_record_body_bytes(&header);
    const uint8_t *body = clg_record_body(&header, record);
    fetch->messages[fetch->count++] =
        (struct commitlog_message){.position = entry->position,
                                   .next_position = entry->position + entry->size,
                                   .queue_offset = header.queue_offset,
                                   .store_time_ns = header.store_time,
                                   .time_ms = header.store_time / 1000000,
                                   .topic = cursor->topic,
                                   .queue = cursor->queue_in_topic,
                                   .epoch = header.epoch,
                                   .kind = header.kind,
                                   .origin_topic = UINT32_MAX,
                                   .origin_queue = UINT32_MAX,
                                   .body = {body, bytes},
                                   .attributes = {body, 0}};
    fetch->bytes += bytes;
    cursor->has_last = true;
    cursor->last_position = entry->position;
    cursor->last_check = header.header_check;
    cursor->next++;
    return true;
}

/* What lies before the first offset there is was dropped by retention, or is lost. Said once. */
static int queue_front(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    struct clg_lookup_range range;
    bool lost = false;
    if (cursor->crossed != 0 || !clg_core_lacks_records(fetch->core)) {
        return COMMITLOG_OK;
    }
    int rc = clg_lookup_range(fetch->core->fold, cursor->queue, fetch->visible, &range);
    if (rc != COMMITLOG_OK || cursor->next > range.min ||
        (cursor->next == range.min && cursor->one_fetch)) {
        return rc;
    }
    rc = clg_core_lost_front(fetch->core, cursor->queue, fetch->visible, &range, &lost);
    if (rc != COMMITLOG_OK || !lost) {
        return rc;
    }
    bool dropped = clg_log_first(fetch->core->log) > CLG_SEGMENT_DATA_START;
    clg_store_lost(cursor->store, fetch->core, cursor->queue,
                   dropped ? clg_min_u64(cursor->next, range.min - 1) : 0, range.min);
    cursor->crossed = 1;
    fetch->bound = range.min - 1;
    return COMMITLOG_EDAMAGED;
}

/* The end; but where the opening found damage behind the last record, there may have been more, and
 * nothing behind it says how many. Said once, by each call of commitlog_read_copy. Before a tail
 * that is not recovered it is not the end: COMMITLOG_EUNRECOVERED says so, and nobody passes it
 * over. */
static int queue_end(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    struct clg_lookup_range range;
    struct clg_lookup_entry last = {.position = 0};
    uint32_t count = 0;
    uint64_t bound = 0;
    if (fetch->count > 0 || fetch->core->unrecovered_bytes > 0 ||
        cursor->behind_end == cursor->next + 1 || !clg_core_lacks_records(fetch->core)) {
        return COMMITLOG_EEND;
    }
    int rc = clg_lookup_range(fetch->core->fold, cursor->queue, fetch->visible, &range);
    if (rc == COMMITLOG_OK && range.min < range.next) {
        rc = clg_lookup_entries(fetch->core->fold, cursor->queue, range.next - 1, fetch->visible,
                                &last, 1, &count, &bound);
    }
    if (rc != COMMITLOG_OK || cursor->next != range.next || last.position == CLG_NO_POSITION ||
        !clg_core_lacks_between(fetch->core, last.position + 1, UINT64_MAX)) {
        return COMMITLOG_EEND; /* or retention was there just now */
    }
    cursor->behind_end = cursor->next + 1;
    fetch->bound = cursor->next;
    return COMMITLOG_EDAMAGED;
}

static int queue_read(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    int front = queue_front(cursor, fetch);
    if (front != COMMITLOG_OK) {
        return front;
    }
    struct clg_lookup_entry *entries = cursor->scratch.entries;
    uint64_t refused_at = UINT64_MAX;
    uint32_t refused = 0;
    cursor->reader.random = !cursor->has_last; /* opened or moved just now */
    while (fetch->count < fetch->max) {
        struct clg_reader_run run = {.map = NULL};
        uint32_t want = fetch->max - fetch->count;
        uint32_t count = 0;
        fetch->bound = cursor->next;
        int rc = clg_lookup_entries(
            fetch->core->fold, cursor->queue, cursor->next, fetch->visible, entries,
            want < cursor->scratch_entries ? want : cursor->scratch_entries, &count, &fetch->bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            if (i + QUEUE_AHEAD < count) {
                clg_reader_prefetch(&cursor->reader, entries[i + QUEUE_AHEAD].position,
                                    entries[i + QUEUE_AHEAD].size);
            }
            if (!queue_take_plain(cursor, fetch, &run, &entries[i])) {
                rc = queue_take(cursor, fetch, &entries[i], count - i);
                cursor->reader.random = false;
                queue_run(cursor, fetch, &run);
            }
        }
        if (rc == COMMITLOG_ETOOSMALL && cursor->next >= fetch->bound) {
            refused = cursor->next == refused_at ? refused + 1 : 0;
            refused_at = cursor->next;
            if (refused > QUEUE_REFUSED_MOST) { /* what says where the log begins, or the index */
                return COMMITLOG_EDAMAGED;
            }
            /* Retention passed between index and record, perhaps beyond what was visible when the
             * call began: ask again, the index says it now. */
            rc = clg_store_fold(cursor->store, &fetch->core, &fetch->visible, NULL);
            if (rc == COMMITLOG_OK && fetch->core->generation != cursor->generation) {
                return COMMITLOG_EEND; /* of this core: cursor.c begins again at the other one */
            }
        } else if (rc == COMMITLOG_EEND) {
            return queue_end(cursor, fetch);
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
    return COMMITLOG_OK;
}

static int queue_seek(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                      uint32_t from, uint64_t value)
{
    struct clg_lookup_range range;
    if (from == COMMITLOG_FROM_OFFSET) { /* whether it is there is the fetch's to say */
        /* Past the damage that was reported at the end: the queue goes on where it ended. */
        bool at_end = value != 0 && value == cursor->behind_end && cursor->next == value - 1;
        cursor->next = at_end ? value - 1 : value;
        return COMMITLOG_OK;
    }
    int rc = clg_lookup_range(core->fold, cursor->queue, visible, &range);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    switch (from) {
    case COMMITLOG_FROM_FIRST:
        cursor->next = range.min;
        return COMMITLOG_OK;
    case COMMITLOG_FROM_END:
        cursor->next = range.next;
        return COMMITLOG_OK;
    case COMMITLOG_FROM_TIME: /* untouched if it fails */
        if (value > INT64_MAX) {
            return COMMITLOG_EINVAL;
        }
        return clg_lookup_time(core->fold, cursor->queue, (int64_t)value, COMMITLOG_LOWER, visible,
                               &cursor->next);
    default:
        return COMMITLOG_EINVAL;
    }
}

static void queue_resume(struct commitlog_cursor *cursor, const struct clg_record_view *last)
{
    CLG_ASSERT(last->header.queue_offset < cursor->next);
    cursor->next = last->header.queue_offset + 1;
}

const struct clg_cursor_kind clg_cursor_queue = {
    .read = queue_read, .seek = queue_seek, .resume = queue_resume};

int32_t commitlog_read_copy(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                            uint64_t offset, void *buffer, size_t buffer_bytes,
                            struct commitlog_message *messages, uint32_t max, uint32_t *out_count,
                            uint64_t *out_bound)
{
    if (messages == NULL || out_count == NULL || max == 0 || queue == COMMITLOG_QUEUE_ALL ||
        (buffer == NULL && buffer_bytes > 0)) {
        return COMMITLOG_EINVAL;
    }
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    /* A record or two; what does not fit is allocated. No message points there: it is copied on. */
    uint8_t copies[QUEUE_COPY_BYTES];
    struct clg_lookup_entry entries[CLG_CURSOR_COPY_ENTRIES];
    struct clg_cursor_copy copy = {.buffer = buffer, .room = buffer_bytes};
    struct commitlog_cursor cursor = {
        .next = offset, .placed = offset, .one_fetch = true, .copy = &copy};
    clg_cursor_begin(&cursor, store, &clg_cursor_queue);
    cursor.reader.copies = true;
    clg_reader_lend(&cursor.reader, copies, sizeof(copies));
    cursor.scratch.entries = entries;
    cursor.scratch_entries = CLG_CURSOR_COPY_ENTRIES;
    rc = clg_cursor_aim(&cursor, topic, queue, NULL);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_cursor_fetch(&cursor, messages, max, 0, out_count, out_bound);
    }
    clg_reader_end(&cursor.reader);
    return rc;
}
