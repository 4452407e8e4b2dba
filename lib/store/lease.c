/* SPDX-License-Identifier: BSD-2-Clause */
/* lease.c -- what keeps a borrow longer than its cursor, and single records by their position. */
#include "base/bytes.h"
#include "base/error.h"
#include "segment/segment_scan.h"
#include "store/cursor.h"
#include "store/reference.h"

struct commitlog_lease {
    struct commitlog_store *store;
    struct clg_reader reader;
};

static int lease_create(struct commitlog_store *store, struct commitlog_lease **out)
{
    struct commitlog_lease *lease = store->os->alloc(store->os, sizeof(*lease));
    if (lease == NULL) {
        return COMMITLOG_ENOMEM;
    }
    lease->store = store;
    clg_store_ref(store);
    clg_reader_init(&lease->reader, store->os,
                    clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    clg_option(&store->options, COMMITLOG_OPT_VERIFY_READS) != 0);
    lease->reader.random = true;
    *out = lease;
    return COMMITLOG_OK;
}

int32_t commitlog_cursor_lease(struct commitlog_cursor *cursor, struct commitlog_lease **out_lease)
{
    if (cursor == NULL || out_lease == NULL) {
        return COMMITLOG_EINVAL;
    }
    int rc = clg_store_enter(cursor->store);
    struct commitlog_lease *lease = NULL;
    if (rc == COMMITLOG_OK) {
        rc = lease_create(cursor->store, &lease);
    }
    if (rc == COMMITLOG_OK) {
        clg_reader_move(&cursor->reader, &lease->reader);
        *out_lease = lease;
    }
    return rc;
}

int32_t commitlog_lease_check(const struct commitlog_lease *lease)
{
    if (lease == NULL) {
        return COMMITLOG_EINVAL;
    }
    int rc = clg_store_enter(lease->store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_core *core = clg_store_core(lease->store);
    bool revoked = clg_reader_reaches_below(&lease->reader, clg_log_first(core->log));
    clg_core_unref(core);
    return revoked ? COMMITLOG_EREVOKED : COMMITLOG_OK;
}

void commitlog_lease_release(struct commitlog_lease *lease)
{
    if (lease == NULL || *(volatile const uint32_t *)lease->store->fork_page == 0) {
        return;
    }
    struct commitlog_store *store = lease->store;
    clg_reader_end(&lease->reader);
    store->os->free(store->os, lease);
    clg_store_unref(store);
}

/* Boundaries of records that are only staged, from the one where the drain stopped. */
static bool get_walks_over(struct commitlog_store *store, struct clg_core *core, uint64_t position,
                           uint64_t visible)
{
    struct clg_reader reader;
    struct clg_record_view view;
    clg_reader_init(&reader, store->os, true, false);
    uint64_t at = clg_log_written(core->log);
    int rc = at <= position ? COMMITLOG_OK : COMMITLOG_EAGAIN;
    while (rc == COMMITLOG_OK && at < position) {
        clg_reader_begin(&reader);
        rc = clg_reader_get(&reader, core->log, at, visible, NULL, &view, NULL);
        at = rc == COMMITLOG_OK ? view.next_position : at;
    }
    clg_reader_end(&reader);
    return at > position;
}

/* Behind what does not verify; no further than behind `position`. */
static int get_pass_damage(struct clg_scan *scan, const struct clg_scan_record *record,
                           uint64_t position)
{
    uint64_t to = clg_scan_damage_end(record);
    if (to == 0) {
        struct clg_scan_search search = {0};
        const uint64_t behind = clg_align_down(position, CLG_RECORD_ALIGN) + CLG_RECORD_ALIGN;
        int rc = clg_scan_resync(scan, record->position + CLG_RECORD_ALIGN, behind, &search, NULL);
        if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
            return rc;
        }
        to = rc == COMMITLOG_OK ? search.found : behind;
    }
    clg_scan_skip(scan, to);
    return COMMITLOG_OK;
}

/* The same of those that the segment has, past what does not verify before them: that is not what
 * was asked for. */
static int get_scans_over(struct clg_core *core, struct clg_segment *segment, uint64_t position,
                          bool *out_over)
{
    struct clg_scan scan;
    struct clg_scan_record record = {.verdict = CLG_SCAN_OK};
    int rc = COMMITLOG_OK;
    clg_scan_init(&scan, segment, 0, CLG_SCAN_HEADER_ONLY);
    while (rc == COMMITLOG_OK && scan.next < position && record.verdict != CLG_SCAN_END) {
        rc = clg_scan_step(&scan, &record, NULL);
        if (rc == COMMITLOG_OK && record.verdict != CLG_SCAN_OK && record.verdict != CLG_SCAN_END) {
            rc = get_pass_damage(&scan, &record, position);
        }
    }
    *out_over = record.verdict == CLG_SCAN_OK && scan.next > position;
    clg_scan_free(&scan);
    clg_segment_set_keep_open(&core->set, segment);
    return rc;
}

/* No record could be read at `position`: was one, or does none begin there? */
static int get_judge(struct commitlog_store *store, struct clg_core *core, uint64_t position,
                     uint64_t visible)
{
    struct clg_segment *segment = NULL;
    int rc = COMMITLOG_OK;
    if (clg_segment_set_pin(&core->set, position, &segment) != COMMITLOG_OK) {
        return COMMITLOG_EDAMAGED;
    }
    bool between = position < segment->data_start || position >= segment->data_end;
    if (!between && position >= clg_log_written(core->log)) {
        between = get_walks_over(store, core, position, visible);
    } else if (!between) {
        rc = get_scans_over(core, segment, position, &between);
    }
    clg_segment_unref(segment);
    return rc != COMMITLOG_OK ? rc : between ? COMMITLOG_ENOTFOUND : COMMITLOG_EDAMAGED;
}

/* The position and why, in place of what the layers below said when they did not know that. */
static int get_fail(struct commitlog_error *err, int rc, uint64_t position, uint64_t first,
                    uint64_t visible)
{
    const char *why =
        rc == COMMITLOG_ENOTFOUND ? "no record begins here" : commitlog_error_text(rc);
    if (rc == COMMITLOG_ETOOSMALL || rc == COMMITLOG_EBEYOND) {
        return clg_fail(err, rc, 0, position,
                        "get position %llu: %s: the log holds positions %llu to %llu",
                        (unsigned long long)position, why, (unsigned long long)first,
                        (unsigned long long)visible);
    }
    if (err != NULL && err->code == rc && err->message[0] != '\0') {
        clg_wrap(err, "get position %llu", (unsigned long long)position);
        return rc;
    }
    return clg_fail(err, rc, 0, position, "get position %llu: %s", (unsigned long long)position,
                    why);
}

/* At the core of now, whose generation goes to *out_generation. */
static int get_once(struct commitlog_store *store, struct clg_reader *reader, uint64_t position,
                    struct commitlog_message *out_message, uint64_t *out_generation,
                    struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    struct clg_record_view view;
    clg_error_clear(err);
    clg_reader_begin(reader); /* what an earlier try has pinned may be of another core */
    int rc = clg_store_fold(store, &core, &visible, err);
    if (rc == COMMITLOG_OK) {
        rc = clg_reader_get(reader, core->log, position, visible, NULL, &view, err);
        if (rc == COMMITLOG_EDAMAGED) {
            rc = get_judge(store, core, position, visible);
        } else if (rc == COMMITLOG_EBEYOND && position - visible < core->unrecovered_bytes) {
            rc = COMMITLOG_EUNRECOVERED;
        }
        if (rc == COMMITLOG_EDAMAGED) {
            clg_store_damage(store, core, position, 0, UINT32_MAX, "record fails its check");
        }
    }
    struct clg_reference reference = {0};
    if (rc == COMMITLOG_OK && view.header.kind == CLG_KIND_REFERENCE) {
        rc = clg_store_resolve(reader, core, visible, &view, &reference, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_message_fill(core, &view, out_message);
    }
    if (rc == COMMITLOG_OK) {
        clg_message_set_origin(core, &reference, out_message);
    }
    if (rc == COMMITLOG_OK && out_message->kind == COMMITLOG_KIND_HOLE) {
        rc = COMMITLOG_EHOLE;
    }
    if (rc != COMMITLOG_OK) {
        (void)get_fail(err, rc, position, clg_log_first(core->log), visible);
    }
    *out_generation = core->generation;
    clg_core_unref(core);
    return rc;
}

int32_t commitlog_get(struct commitlog_store *store, uint64_t position,
                      struct commitlog_message *out_message, struct commitlog_lease **out_lease,
                      struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_message == NULL || out_lease == NULL) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL, 0, position,
                        rc != COMMITLOG_OK ? "get" : "get: a place for the result is NULL");
    }
    struct commitlog_lease *lease = NULL;
    rc = lease_create(store, &lease);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, position, "get");
    }
    struct commitlog_error cause;
    struct commitlog_message message;
    bool again = false;
    struct clg_follow_reads reads = {0};
    do {
        uint64_t generation = 0;
        rc = get_once(store, &lease->reader, position, &message, &generation, &cause);
        again = clg_follow_again(store, generation, &reads, &rc);
        if (store->read_only && (rc == COMMITLOG_EBEYOND || rc == COMMITLOG_EUNRECOVERED)) {
            int polled = clg_follow_poll(store, generation, &again, NULL);
            rc = polled != COMMITLOG_OK ? polled : rc;
        }
    } while (again); /* another writer has come: it may have it */
    if (rc != COMMITLOG_OK && cause.code != rc) {
        (void)clg_fail(&cause, rc, 0, position, "get position %llu: %s",
                       (unsigned long long)position, commitlog_error_text(rc));
    }
    if (rc != COMMITLOG_OK && err != NULL) {
        *err = cause;
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EHOLE) {
        commitlog_lease_release(lease);
        return rc;
    }
    *out_message = message;
    *out_lease = lease;
    return rc;
}
