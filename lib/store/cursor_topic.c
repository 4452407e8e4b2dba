/* cursor_topic.c -- all queues of a topic in log order: a merge of their entries by position. */
#include "base/error.h"
#include "base/invariant.h"
#include "store/cursor.h"

/* All that lies below `visible` is in queues that there are now. */
static int topic_open_merge(struct commitlog_cursor *cursor, struct clg_core *core)
{
    const struct clg_topic *topic = clg_registry_topic(&core->registry, cursor->topic);
    CLG_ASSERT(topic != NULL);
    const uint32_t queues = clg_topic_queues(topic);
    if (cursor->merge != NULL && cursor->queues == queues) {
        return COMMITLOG_OK;
    }
    clg_merge_close(cursor->merge); /* it has grown: from here on with all of them */
    cursor->merge = NULL;
    cursor->pending = 0;
    cursor->queues = queues;
    return clg_merge_open_topic(core->fold, cursor->store->os, topic, queues, cursor->next,
                                &cursor->merge);
}

/* `expired`: what lies below has, since it was looked up. */
static int topic_take(struct commitlog_cursor *cursor, struct clg_fetch *fetch,
                      const struct clg_merge_entry *merged, uint64_t expired)
{
    const struct clg_lookup_entry *entry = &merged->entry;
    bool is_there = (entry->flags & CLG_QUEUE_ENTRY_HOLE) == 0 && entry->position >= expired;
    int rc = clg_cursor_cross(cursor, fetch, entry->position);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (is_there && !clg_cursor_wants_hash(cursor, entry->tag_hash)) {
        rc = clg_cursor_pass(cursor, fetch);
    } else if (is_there) {
        rc = clg_cursor_take(cursor, fetch, entry->position, merged->queue, entry->queue_offset,
                             &(struct clg_reader_expected){entry->size, entry->header_check});
    }
    if (rc == COMMITLOG_ENOTFOUND) {
        rc = COMMITLOG_OK; /* other tags */
    }
    if (rc == COMMITLOG_OK) {
        cursor->next = entry->position + entry->size;
    } else {
        fetch->bound = entry->position;
        cursor->next = entry->position;
    }
    if (rc == COMMITLOG_ETOOSMALL) { /* retention, just now: what is kept begins there */
        fetch->bound = clg_max_u64(entry->position, clg_log_first(fetch->core->log));
    }
    return rc;
}

static int topic_read(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    fetch->bound = fetch->visible;
    if (cursor->next < clg_log_first(fetch->core->log) && cursor->next != 0) {
        fetch->bound = clg_log_first(fetch->core->log);
        return COMMITLOG_ETOOSMALL;
    }
    if (cursor->next > fetch->visible) {
        return COMMITLOG_EBEYOND;
    }
    int rc = topic_open_merge(cursor, fetch->core);
    const uint64_t expired = clg_lookup_expired(fetch->core->fold, cursor->queue, fetch->visible);
    while (rc == COMMITLOG_OK && fetch->count < fetch->max) {
        if (cursor->pending == 0) {
            uint64_t skipped = 0;
            cursor->pending_at = 0;
            rc = clg_merge_next(cursor->merge, fetch->visible, cursor->scratch.merged,
                                CLG_CURSOR_ENTRIES, &cursor->pending, &skipped);
            fetch->bound = rc == COMMITLOG_OK ? fetch->bound : cursor->next;
            if (rc == COMMITLOG_OK && cursor->pending == 0) {
                rc = clg_cursor_cross(cursor, fetch, UINT64_MAX); /* and what should follow */
                if (rc != COMMITLOG_OK) {
                    return rc;
                }
                cursor->next = cursor->next > fetch->visible ? cursor->next : fetch->visible;
                return COMMITLOG_EEND;
            }
        }
        if (rc == COMMITLOG_OK) {
            rc = topic_take(cursor, fetch, &cursor->scratch.merged[cursor->pending_at], expired);
        }
        if (rc == COMMITLOG_OK) {
            cursor->pending--;
            cursor->pending_at++;
        }
    }
    return rc;
}

/* Where the first record of a queue from an offset on lies, behind what was lost or is gone
 * meanwhile; *out is untouched if there is none. */
static int topic_position_from(struct clg_core *core, uint32_t queue, uint64_t offset,
                               uint64_t visible, uint64_t *out)
{
    for (;;) {
        struct clg_lookup_entry entry;
        uint32_t count = 0;
        uint64_t bound = 0;
        int rc = clg_lookup_entries(core->fold, queue, offset, visible, &entry, 1, &count, &bound);
        if (rc == COMMITLOG_ETOOSMALL && bound > offset) {
            offset = bound;
            continue;
        }
        if (rc != COMMITLOG_OK) {
            return rc == COMMITLOG_EEND || rc == COMMITLOG_EBEYOND ? COMMITLOG_OK : rc;
        }
        if (entry.position != CLG_NO_POSITION) {
            *out = entry.position;
            return COMMITLOG_OK;
        }
        offset = entry.queue_offset + clg_max_u64(entry.lost, 1);
    }
}

/* Store time never decreases along the log: the first position of that time is the least of the
 * queues' own. */
static int topic_position_of_time(struct commitlog_cursor *cursor, struct clg_core *core,
                                  uint64_t visible, int64_t time_ns, uint64_t *out)
{
    const struct clg_topic *topic = clg_registry_topic(&core->registry, cursor->topic);
    uint64_t least = visible;
    for (uint32_t i = 0; i < clg_topic_queues(topic); i++) {
        const uint32_t number = clg_topic_number(topic, i);
        uint64_t offset = 0;
        uint64_t position = visible;
        int rc = clg_lookup_time(core->fold, number, time_ns, COMMITLOG_LOWER, visible, &offset);
        if (rc == COMMITLOG_OK) {
            rc = topic_position_from(core, number, offset, visible, &position);
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        least = clg_min_u64(least, position);
    }
    *out = least;
    return COMMITLOG_OK;
}

static int topic_seek(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                      uint32_t from, uint64_t value)
{
    uint64_t next = value;
    int rc = COMMITLOG_OK;
    switch (from) {
    case COMMITLOG_FROM_FIRST:
        next = clg_log_first(core->log);
        break;
    case COMMITLOG_FROM_OFFSET:
        next = clg_cursor_past(cursor, visible, value);
        break;
    case COMMITLOG_FROM_END:
        next = visible;
        break;
    case COMMITLOG_FROM_TIME:
        if (value > INT64_MAX) {
            return COMMITLOG_EINVAL;
        }
        rc = topic_position_of_time(cursor, core, visible, (int64_t)value, &next);
        break;
    default:
        return COMMITLOG_EINVAL;
    }
    if (rc == COMMITLOG_OK) {
        cursor->next = next;
        clg_merge_close(cursor->merge);
        cursor->merge = NULL;
    }
    return rc;
}

static void topic_resume(struct commitlog_cursor *cursor, const struct clg_record_view *last)
{
    cursor->next = last->next_position;
}

const struct clg_cursor_kind clg_cursor_topic = {
    .read = topic_read, .seek = topic_seek, .resume = topic_resume};
