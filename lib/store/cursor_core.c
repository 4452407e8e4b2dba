/*
 * cursor_core.c -- a cursor at a core: where its queues are there, and whether what it has read
 * still is, when the core was replaced; and damage that the opening found.
 */
#include "base/invariant.h"
#include "base/plant.h"
#include "store/cursor.h"
#include "view/lookup.h"

/* A sector that does not read holds up who goes on behind it no longer than that. */
#define CURSOR_UNSURE_MOST 3u

int clg_cursor_aim_at(struct commitlog_cursor *cursor, const struct clg_core *core, uint32_t topic,
                      uint32_t queue)
{
    const struct clg_topic *found = clg_registry_topic(&core->registry, topic);
    bool all = queue == COMMITLOG_QUEUE_ALL;
    if (found == NULL || (!all && queue >= clg_topic_queues(found))) {
        return found == NULL ? COMMITLOG_ENOTFOUND : COMMITLOG_EINVAL;
    }
    cursor->topic = topic;
    cursor->queue = clg_topic_number(found, all ? 0 : queue);
    cursor->queue_in_topic = queue;
    cursor->queues = all ? clg_topic_queues(found) : 1;
    return COMMITLOG_OK;
}

int clg_cursor_aim_anew(struct commitlog_cursor *cursor, const struct clg_core *core)
{
    if (cursor->generation == core->generation || cursor->kind == &clg_cursor_log) {
        return COMMITLOG_OK;
    }
    int rc = clg_cursor_aim_at(cursor, core, cursor->topic, cursor->queue_in_topic);
    return rc == COMMITLOG_OK ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

int clg_cursor_aim(struct commitlog_cursor *cursor, uint32_t topic, uint32_t queue,
                   struct commitlog_error *err)
{
    struct commitlog_store *store = cursor->store;
    struct clg_core *core = clg_store_core(store);
    int rc = clg_cursor_aim_at(cursor, core, topic, queue);
    if (rc != COMMITLOG_OK && store->read_only) { /* the topic may have come, or grown */
        uint64_t visible = 0;
        int folded = clg_store_fold_now(store, &core, &visible, err);
        rc = folded == COMMITLOG_OK ? clg_cursor_aim_at(cursor, core, topic, queue) : folded;
    }
    cursor->generation = core->generation;
    clg_core_unref(core);
    return rc;
}

/* The end as this cursor counts: of a queue that is not there 0. */
static uint64_t cursor_end(const struct commitlog_cursor *cursor, const struct clg_fetch *fetch,
                           bool is_there)
{
    struct clg_lookup_range range = {0};
    if (cursor->kind != &clg_cursor_queue) {
        return fetch->visible;
    }
    int rc = is_there ? clg_lookup_range(fetch->core->fold, cursor->queue, fetch->visible, &range)
                      : COMMITLOG_ENOTFOUND;
    return rc == COMMITLOG_OK ? range.next : 0;
}

/* What was given to it, or passed over, counts no more. */
static void cursor_place_here(struct commitlog_cursor *cursor)
{
    cursor->placed = cursor->next;
    cursor->placed_epoch = cursor->min_epoch;
}

/* Its topic, or its queue, is not there at this core; at the next one it may be. */
static int cursor_without_topic(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    const bool read_some = cursor->has_last;
    fetch->bound = cursor_end(cursor, fetch, false);
    if (fetch->core->unrecovered_bytes > 0) {
        return COMMITLOG_EEND; /* the next writer's recovery will tell: ask again */
    }
    cursor->has_last = false;
    if (read_some) {
        cursor_place_here(cursor);
    } else {
        fetch->bound = fetch->visible;
    }
    return read_some ? COMMITLOG_EROLLEDBACK : COMMITLOG_ENOTFOUND;
}

static int cursor_before(const struct commitlog_cursor *cursor, const struct clg_core *core,
                         uint64_t visible, uint64_t offset, struct clg_lookup_entry *out)
{
    uint32_t count = 0;
    uint64_t bound = 0;
    CLG_ASSERT(cursor->kind == &clg_cursor_queue && offset > 0);
    return clg_lookup_entries(core->fold, cursor->queue, offset - 1, visible, out, 1, &count,
                              &bound);
}

/* What lies before its place: of one queue its entry, else, at the end, the log's last record. */
static bool cursor_sees_before(struct commitlog_cursor *cursor, const struct clg_core *core,
                               uint64_t visible)
{
    if (cursor->kind != &clg_cursor_queue) {
        return clg_fold_last(core->fold, &cursor->last_position, &cursor->last_check) ==
                   cursor->next &&
               cursor->last_position != CLG_NO_POSITION;
    }
    struct clg_lookup_entry before = {.position = CLG_NO_POSITION};
    int rc = cursor->next == 0 ? COMMITLOG_ENOTFOUND
                               : cursor_before(cursor, core, visible, cursor->next, &before);
    cursor->last_position = before.position;
    cursor->last_check = before.header_check;
    return rc == COMMITLOG_OK && before.position != CLG_NO_POSITION;
}

void clg_cursor_stand(struct commitlog_cursor *cursor, const struct clg_core *core,
                      uint64_t visible)
{
    cursor_place_here(cursor);
    cursor->stands = cursor->store->read_only && cursor->kind != &clg_cursor_key &&
                     cursor_sees_before(cursor, core, visible);
}

/* What was read last, or else what it stands behind. That by what the queue, or its header, says of
 * it: the record may be the damaged one that was passed over. ETOOSMALL: there is nothing to
 * compare. */
static int cursor_find_last(struct commitlog_cursor *cursor, const struct clg_fetch *fetch,
                            struct clg_record_view *view, bool *gone)
{
    struct clg_lookup_entry before = {.position = CLG_NO_POSITION};
    int rc = COMMITLOG_ETOOSMALL;
    if (cursor->has_last || (cursor->stands && cursor->kind != &clg_cursor_queue)) {
        const bool verifies = cursor->reader.verifies;
        cursor->reader.verifies = verifies && cursor->has_last;
        rc = clg_reader_get(&cursor->reader, fetch->core->log, cursor->last_position,
                            fetch->visible, NULL, view, NULL);
        cursor->reader.verifies = verifies;
        *gone = rc == COMMITLOG_EBEYOND || rc == COMMITLOG_EDAMAGED ||
                (rc == COMMITLOG_OK && view->header.header_check != cursor->last_check);
    } else if (cursor->stands) {
        rc = cursor_before(cursor, fetch->core, fetch->visible, cursor->placed, &before);
        rc = rc == COMMITLOG_EEND ? COMMITLOG_EBEYOND : rc;
        *gone =
            rc == COMMITLOG_EBEYOND || (rc == COMMITLOG_OK && before.position != CLG_NO_POSITION &&
                                        (before.position != cursor->last_position ||
                                         before.header_check != cursor->last_check));
    }
    return rc;
}

/* Who has been given nothing goes back to its place, or to what retention has left behind that; and
 * whose last one retention has taken, to what it has left: all of that was passed over. */
static int cursor_go_back(struct commitlog_cursor *cursor, const struct clg_fetch *fetch)
{
    struct clg_lookup_range range = {.min = clg_log_first(fetch->core->log)};
    if (cursor->kind->resume == NULL) {
        return COMMITLOG_OK;
    }
    if (cursor->kind == &clg_cursor_queue) {
        int rc = clg_lookup_range(fetch->core->fold, cursor->queue, fetch->visible, &range);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
    const uint64_t place = cursor->has_last ? range.min : clg_max_u64(cursor->placed, range.min);
    if (place < cursor->next) {
        cursor->next = place;
        cursor->min_epoch = cursor->has_last ? 0 : cursor->placed_epoch;
    }
    return COMMITLOG_OK;
}

/* The core was replaced: is what was read last still there? If so, go on behind it, or else where
 * it was placed: what was passed over after it (other tags, control records) may have been cut and
 * written anew. */
int clg_cursor_check_core(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    if (cursor->generation == fetch->core->generation) {
        return COMMITLOG_OK;
    }
    /* A segment of the core before may have been put aside and made anew at the same place. */
    clg_reader_begin(&cursor->reader);
    cursor->pending = 0;
    clg_merge_close(cursor->merge);
    cursor->merge = NULL;
    struct clg_record_view view;
    int rc = clg_cursor_aim_anew(cursor, fetch->core);
    if (rc != COMMITLOG_OK) {
        return cursor_without_topic(cursor, fetch);
    }
    if (cursor->kind->renew != NULL) {
        cursor->kind->renew(cursor);
    }
    bool gone = false;
    rc = cursor_find_last(cursor, fetch, &view, &gone);
    if (rc == COMMITLOG_EBEYOND && fetch->core->unrecovered_bytes > 0) {
        fetch->bound = cursor_end(cursor, fetch, true);
        return COMMITLOG_EEND; /* the next writer's recovery will tell: ask again */
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ETOOSMALL && !gone &&
        cursor->unsure < CURSOR_UNSURE_MOST) {
        fetch->is_unsure = true;
        return rc; /* whether it is there is not known: ask again */
    }
    if (!gone && (!cursor->has_last || rc == COMMITLOG_ETOOSMALL)) {
        int back = cursor_go_back(cursor, fetch);
        if (back != COMMITLOG_OK) {
            return back;
        }
    }
    cursor->unsure = 0;
    cursor->generation = fetch->core->generation;
    cursor->stands = cursor->stands && !gone && !cursor->has_last;
    cursor->has_last = cursor->has_last && rc == COMMITLOG_OK && !gone;
    if (!cursor->has_last) {
        cursor_place_here(cursor);
    }
    if (CLG_PLANTED(READER_SKIPS) && cursor->kind == &clg_cursor_queue) {
        cursor->next++;
    }
    if (gone) {
        fetch->bound = cursor_end(cursor, fetch, true);
        return COMMITLOG_EROLLEDBACK;
    }
    if (cursor->has_last && cursor->kind->resume != NULL) {
        cursor->kind->resume(cursor, &view);
    }
    clg_reader_drop(&cursor->reader); /* what was read last was given by an earlier call */
    return COMMITLOG_OK;
}

int clg_cursor_cross(struct commitlog_cursor *cursor, struct clg_fetch *fetch, uint64_t upto)
{
    struct commitlog_damage damage;
    /* Offsets whose positions nobody knows lie nowhere: the queue's own cursor says them. */
    if (clg_damage_list_find(&fetch->core->opening_damage,
                             clg_max_u64(cursor->next, cursor->crossed), upto, false,
                             &damage) != COMMITLOG_OK) {
        return COMMITLOG_OK;
    }
    /* What was read before it goes out first; then the next call comes here again. */
    cursor->crossed = fetch->count == 0 ? damage.to_position : cursor->crossed;
    /* Whoever seeks past the bound is to go on where the cursor is, neither back nor over a sound
     * record that the damage reaches over. */
    const uint64_t here = cursor->next > CLG_RECORD_ALIGN ? cursor->next - CLG_RECORD_ALIGN : 0;
    fetch->bound =
        clg_max_u64(clg_max_u64(damage.from_position, here), clg_log_first(fetch->core->log));
    return COMMITLOG_EDAMAGED;
}

uint64_t clg_cursor_past(const struct commitlog_cursor *cursor, uint64_t visible, uint64_t position)
{
    return position > visible && position <= cursor->crossed ? visible : position;
}
