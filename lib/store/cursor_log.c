/* cursor_log.c -- the log as it lies. After damage, seek finds the next record that verifies. */
#include "base/error.h"
#include "base/invariant.h"
#include "segment/segment_scan.h"
#include "store/cursor.h"

static int log_read(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    while (fetch->count < fetch->max) {
        fetch->bound = fetch->visible;
        if (cursor->next >= fetch->visible) {
            if (cursor->next > fetch->visible) {
                return COMMITLOG_EBEYOND;
            }
            /* And what should follow? */
            const int crossed = clg_cursor_cross(cursor, fetch, UINT64_MAX);
            return crossed == COMMITLOG_OK ? COMMITLOG_EEND : crossed;
        }
        int rc = clg_cursor_take(cursor, fetch, cursor->next, UINT32_MAX, 0, NULL);
        if (rc == COMMITLOG_ETOOSMALL) {
            fetch->bound = clg_log_first(fetch->core->log);
        } else if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND) {
            fetch->bound = cursor->next;
        }
        if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND) {
            return rc;
        }
        bool taken = rc == COMMITLOG_OK;
        const struct commitlog_message *last = taken ? &fetch->messages[fetch->count - 1] : NULL;
        cursor->next = taken ? last->next_position : fetch->left_next;
        cursor->min_epoch = taken ? last->epoch : fetch->left_epoch;
    }
    return COMMITLOG_OK;
}

/* The first boundary at or behind `position` of records that are only staged: `written` is one. */
static uint64_t log_staged_from(struct commitlog_cursor *cursor, struct clg_core *core,
                                uint64_t position, uint64_t visible)
{
    struct clg_record_view view;
    uint64_t at = clg_min_u64(clg_log_written(core->log), visible);
    while (at < position) {
        if (clg_reader_get(&cursor->reader, core->log, at, visible, NULL, &view, NULL) !=
            COMMITLOG_OK) {
            return visible;
        }
        at = view.next_position;
    }
    return at;
}

/* The first record at or behind `position` that verifies, in its segment or a later one. A reader
 * cannot drain: what is not written yet no file has. */
static int log_resync(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t position,
                      uint64_t visible, uint32_t min_epoch, uint64_t *out)
{
    const uint64_t begin = position;
    const uint64_t written = clg_min_u64(clg_log_written(core->log), visible);
    while (position < written) {
        struct clg_segment *segment = NULL;
        int rc = clg_segment_set_pin(&core->set, position, &segment);
        if (rc != COMMITLOG_OK) {
            /* In a segment that is lost; perhaps another one follows. */
            segment = clg_segment_set_pin_after(&core->set, position);
            if (segment == NULL) {
                break;
            }
            position = segment->base;
        }
        uint64_t from = clg_max_u64(position, segment->data_start);
        uint64_t to = clg_min_u64(written, segment->data_end);
        struct clg_scan scan;
        struct clg_scan_search search = {0};
        clg_scan_init(&scan, segment, 0, CLG_SCAN_HEADER_ONLY);
        scan.min_epoch = min_epoch > scan.min_epoch ? min_epoch : scan.min_epoch;
        rc = from < to
                 ? clg_scan_resync(&scan, clg_align_up(from, CLG_RECORD_ALIGN), to, &search, NULL)
                 : COMMITLOG_ENOTFOUND;
        clg_scan_free(&scan);
        clg_segment_set_keep_open(&core->set, segment);
        position = segment->base + segment->bytes;
        clg_segment_unref(segment);
        if (rc == COMMITLOG_OK) {
            *out = search.found;
            return COMMITLOG_OK;
        }
        if (rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
            return rc;
        }
    }
    *out = log_staged_from(cursor, core, begin, visible);
    return COMMITLOG_OK;
}

/* A bound to be reported by the fetch, or a record. */
static bool log_has_place(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                          uint64_t position, uint32_t min_epoch)
{
    struct clg_record_view view;
    return position < clg_log_first(core->log) || position >= visible ||
           (clg_reader_get(&cursor->reader, core->log, position, visible, NULL, &view, NULL) ==
                COMMITLOG_OK &&
            view.header.epoch >= min_epoch);
}

static int log_seek(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                    uint32_t from, uint64_t value)
{
    /* Epochs never decrease: what lies behind damage is older only if it does not belong there. */
    const uint32_t min_epoch =
        from == COMMITLOG_FROM_OFFSET && value >= cursor->next ? cursor->min_epoch : 0;
    uint64_t next = from == COMMITLOG_FROM_FIRST ? clg_log_first(core->log)
                    : from == COMMITLOG_FROM_END ? visible
                                                 : clg_cursor_past(cursor, visible, value);
    int rc = COMMITLOG_OK;
    if (from != COMMITLOG_FROM_FIRST && from != COMMITLOG_FROM_END &&
        from != COMMITLOG_FROM_OFFSET) {
        return COMMITLOG_EINVAL;
    }
    if (from == COMMITLOG_FROM_OFFSET && !log_has_place(cursor, core, visible, value, min_epoch)) {
        rc = cursor->store->read_only ? COMMITLOG_OK
                                      : clg_log_drain(core->log, UINT64_MAX, UINT64_MAX, NULL);
        if (rc == COMMITLOG_OK) {
            rc = log_resync(cursor, core, value, visible, min_epoch, &next);
        }
    }
    if (rc == COMMITLOG_OK) {
        cursor->next = next;
        cursor->min_epoch = min_epoch;
    }
    return rc;
}

static void log_resume(struct commitlog_cursor *cursor, const struct clg_record_view *last)
{
    cursor->next = last->next_position;
    cursor->min_epoch = last->header.epoch; /* what was passed over comes once more */
}

const struct clg_cursor_kind clg_cursor_log = {
    .read = log_read, .seek = log_seek, .resume = log_resume};
