/*
 * follow.c -- a reader's core: beside a live writer, or over a store that nobody writes.
 *
 * With a live writer: its live area is mapped read-only, segments are opened as they appear, and
 * the fold follows `published`. Without one, or beside one whose live area this process cannot see:
 * a private area whose positions are what recovery found proven. When a new writer session appears,
 * a new core is made. The topics that this handle has numbered keep their ids; their queues are
 * what the log says now, for it may have lost one's definition with its writer, and have given its
 * queue numbers to another one.
 *
 * Threads and locks: service_lock (idle in a reader) for the directory's state and the exchange;
 *       refresh_lock of the core for the set of segments.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "store/progress.h"
#include "store/store.h"
#include "view/checkpoint_file.h"

#define FOLLOW_TRIES 5
#define FOLLOW_MOVES 25
#define FOLLOW_DESCRIPTORS 4u
/* How often a read is begun again because a file is gone. */
#define FOLLOW_READS 16
/* How often a reader at the end looks whether its writer is still the one it follows. */
#define FOLLOW_POLL_NS (INT64_C(500) * CLG_OS_NS_PER_MS)
/* Beside one that runs, as its live area says: only for the case that nobody can say otherwise. */
#define FOLLOW_POLL_RUNS_NS (INT64_C(5000) * CLG_OS_NS_PER_MS)

static int follow_static_live(struct commitlog_store *store, struct clg_core *core,
                              const struct clg_recovery_result *result, struct commitlog_error *err)
{
    struct clg_live_header header = {.engine = CLG_ENGINE_MMAP, .epoch = result->epoch};
    memcpy(header.uuid, result->uuid, sizeof(header.uuid));
    struct clg_live_config config = {.os = store->os,
                                     .store_dirfd = store->dir.dir_fd,
                                     .header = &header,
                                     .place = COMMITLOG_LIVE_PRIVATE};
    int rc = clg_live_create(&core->live, &config, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_live_area *area = core->live.area;
    clg_live_store(&area->first, result->first);
    clg_live_store(&area->durable, result->serve_end);
    clg_live_store(&area->written, result->serve_end);
    clg_live_store(&area->published, result->serve_end);
    clg_live_store(&area->claimed, result->serve_end);
    clg_store_release_u32(&area->closed.flag, CLG_LIVE_CLOSED);
    return COMMITLOG_OK;
}

static int follow_recover(struct commitlog_store *store, struct clg_core *core,
                          struct clg_recovery_result *result, struct commitlog_error *err)
{
    struct clg_recovery_report sink = clg_core_recovery_sink(core);
    struct clg_recovery_options options = {
        .report = &sink,
        .mode = (uint32_t)clg_option(&store->options, COMMITLOG_OPT_RECOVERY),
        .read_only = true,
        .progress = clg_progress_report,
        .progress_ctx = store->options.progress};
    int rc = clg_recovery_run(&store->dir, &options, &core->set, result, err);
    if (!clg_core_is_later(core)) {
        store->recovery = result->summary;
    }
    return rc;
}

/* Maps the area of the writer that has the lock. EAGAIN: it is just opening or closing; ENOTFOUND:
 * it shows none, or not to us. */
static int follow_attach(struct commitlog_store *store, const struct clg_core *old,
                         struct clg_core *core, const struct clg_recovery_result *result,
                         bool last_try, struct commitlog_error *err)
{
    const struct clg_lock_file *last = &store->dir.last;
    int rc = clg_live_attach(&core->live, store->os, store->dir.dir_fd, last->live_path,
                             result->uuid, store->dir.boot_id, err);
    if (rc == COMMITLOG_OK && core->live.header.session != core->writer_session) {
        clg_live_close(&core->live, false);
        return COMMITLOG_EAGAIN; /* LOCK still names the writer before */
    }
    core->follows = rc == COMMITLOG_OK;
    if (rc != COMMITLOG_ENOTFOUND) {
        return rc;
    }
    /* The successor of the one that `old` has seen, or has seen dead, is still opening: before its
     * recovery has written LOCK, or before CHECKPOINT says what that has found. */
    const bool of_old = old != NULL && (old->follows || !old->saw_writer) &&
                        old->writer_session == core->writer_session;
    const bool no_checkpoint =
        old != NULL && store->dir.last_known && result->checkpoint.session != core->writer_session;
    if (of_old || no_checkpoint) {
        return COMMITLOG_EAGAIN;
    }
    /* Private, in a place that this process does not see (another mount namespace), gone with a
     * writer that has just closed, or to be named in LOCK in a moment. */
    return last_try ? rc : COMMITLOG_EAGAIN;
}

/* Of a writer that does not show how far it is, what CHECKPOINT says was durable can be served.
 * That its area could not be looked at is another matter, and the caller's to know. */
static bool follow_shows_none(int rc)
{
    return rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EFOREIGN || rc == COMMITLOG_EFORMAT ||
           rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EVERSION;
}

static int follow_kept(int rc, struct commitlog_error *err)
{
    return rc == COMMITLOG_OK
               ? COMMITLOG_OK
               : clg_fail(err, rc, 0, CLG_NO_POSITION, "keep the topics that are known");
}

static int follow_try(struct commitlog_store *store, const struct clg_core *old,
                      struct clg_core *core, bool last_try, struct commitlog_error *err)
{
    struct clg_recovery_result result;
    memset(&result, 0, sizeof(result));
    int rc = follow_recover(store, core, &result, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    core->writer_session = store->dir.last.session;
    core->lock = store->dir.last;
    core->checkpoint_sequence = result.checkpoint.sequence;
    core->saw_writer = result.writer_live != 0;
    bool closed = result.summary.clean_close != 0;
    if (result.writer_live) {
        rc = follow_attach(store, old, core, &result, last_try, err);
        /* CHECKPOINT says closed before a writer's area goes, and no longer once the next one can
         * append: what was there when it was read is everything. */
        if (rc != COMMITLOG_OK && closed) {
            rc = COMMITLOG_OK;
        } else if (rc != COMMITLOG_OK && !follow_shows_none(rc)) {
            return rc;
        }
    }
    if (!core->follows) {
        /* A writer that shows us no area, or that is still recovering: more than this may exist. */
        core->unrecovered_bytes = closed               ? 0
                                  : result.writer_live ? INT64_MAX
                                                       : result.unrecovered_bytes;
        rc = follow_static_live(store, core, &result, err);
    }
    if (rc == COMMITLOG_OK && old != NULL) {
        rc = follow_kept(clg_registry_keep(&core->registry, &old->registry), err);
    }
    rc = rc == COMMITLOG_OK ? clg_core_open(store, core, &result, err) : rc;
    if (rc == COMMITLOG_OK && old != NULL && core->unrecovered_bytes > 0) {
        /* What is not shown yet may define them: until the next writer's recovery tells. */
        rc = follow_kept(clg_registry_keep_queues(&core->registry, &old->registry), err);
    }
    return rc;
}

/* May it be that the failure is only a file that a writer, or its recovery, took away meanwhile?
 * One that died while it recovered has left its name in LOCK, and the session of the one before. */
static bool follow_files_move(struct commitlog_store *store, const struct clg_lock_file *before,
                              int rc)
{
    bool of_files = rc == COMMITLOG_EIO || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EDAMAGED ||
                    rc == COMMITLOG_ETOOSMALL;
    return of_files &&
           (store->dir.writer_live ||
            (clg_store_dir_probe(&store->dir, NULL) == COMMITLOG_OK &&
             (store->dir.writer_live || !clg_lock_file_same(&store->dir.last, before))));
}

static int follow_make(struct commitlog_store *store, const struct clg_core *old,
                       struct clg_core **out, struct commitlog_error *err)
{
    int rc = COMMITLOG_EAGAIN;
    int moves = 0;
    for (int i = 0; i < FOLLOW_TRIES && rc == COMMITLOG_EAGAIN; i++) {
        const struct clg_lock_file before = store->dir.last;
        struct clg_core *core = NULL;
        rc = clg_core_create(store, &core);
        if (rc != COMMITLOG_OK) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "read the store");
        }
        core->keeps_live_file = true; /* never ours */
        core->generation = old != NULL ? old->generation + 1 : 1;
        rc = follow_try(store, old, core, i + 1 == FOLLOW_TRIES, err);
        if (rc == COMMITLOG_OK) {
            clg_core_damage_anew(core);
            *out = core;
            return COMMITLOG_OK;
        }
        clg_core_unref(core);
        if (moves < FOLLOW_MOVES && follow_files_move(store, &before, rc)) {
            moves++;
            i--;
            rc = COMMITLOG_EAGAIN;
        }
        if (rc == COMMITLOG_EAGAIN) {
            store->os->sleep_ns(store->os, 10 * CLG_OS_NS_PER_MS);
            int probed = clg_store_dir_probe(&store->dir, err);
            rc = probed != COMMITLOG_OK ? probed : COMMITLOG_EAGAIN;
        }
    }
    return rc == COMMITLOG_EAGAIN ? clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                                             "the writer is just opening or closing: try again")
                                  : rc;
}

static void follow_looked(struct commitlog_store *store)
{
    atomic_store_explicit(&store->follow_checked_ns, store->os->clock_mono_ns(store->os),
                          memory_order_relaxed);
}

int clg_follow_open(struct commitlog_store *store, struct clg_core **out,
                    struct commitlog_error *err)
{
    follow_looked(store);
    return follow_make(store, NULL, out, err);
}

static int follow_open_segments(struct commitlog_store *store, struct clg_core *core,
                                uint64_t published, struct commitlog_error *err)
{
    uint64_t first = 0;
    uint64_t end = 0;
    int rc = clg_segment_set_range(&core->set, &first, &end);
    if (rc == COMMITLOG_OK && end < clg_log_first(core->log)) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, end, "retention has overtaken this reader");
    }
    while (rc == COMMITLOG_OK && end < published) {
        struct clg_segment *segment = NULL;
        enum clg_segment_state state;
        rc = clg_segment_open(&store->dir.segment_dir, end, false, &segment, &state, err);
        if (rc != COMMITLOG_OK) {
            /* No file: if not retention of this writer, then one that came after it, or worse. */
            if (end < clg_log_first(core->log)) {
                return clg_fail(err, COMMITLOG_ETOOSMALL, 0, end,
                                "retention has overtaken this reader");
            }
            return rc != COMMITLOG_ENOTFOUND
                       ? rc
                       : clg_fail(err, COMMITLOG_EIO, 0, end, "segment %020llu.log is gone",
                                  (unsigned long long)end);
        }
        uint64_t next = segment->base + segment->bytes;
        (void)clg_segment_close_idle(segment); /* there may be more than descriptors */
        rc = clg_segment_set_append(&core->set, segment, err);
        if (rc != COMMITLOG_OK) {
            clg_segment_unref(segment);
            return rc;
        }
        end = next;
    }
    return rc;
}

/* Descriptors of segments whose footer has appeared are not needed any more. All are asked: any
 * number may have come since the last look, and footers come as late as the writer's upkeep does.
 * Those that have theirs cost no call, as in clg_segment_set_close_idle. */
static void follow_note_sealed(struct clg_core *core)
{
    uint64_t durable = clg_log_durable(core->log);
    uint32_t count = clg_segment_set_count(&core->set);
    for (uint32_t i = 0; i < count; i++) {
        struct clg_segment *segment = clg_segment_set_pin_at(&core->set, i);
        struct clg_segment_footer footer;
        if (segment != NULL && (clg_segment_flags(segment) & CLG_SEGMENT_SEALED) == 0 &&
            segment->base + segment->bytes <= durable &&
            clg_segment_read_footer(segment, &footer, NULL) == COMMITLOG_OK) {
            clg_segment_set_sealed(segment, &footer);
        }
        clg_segment_unref(segment);
    }
    (void)clg_segment_set_close_idle(&core->set, FOLLOW_DESCRIPTORS);
}

/* COMMITLOG_ETOOSMALL: it is all that this core has, and nothing of it is dropped. */
static int follow_drop(struct clg_core *core, uint64_t first, struct commitlog_error *err)
{
    uint64_t begin = 0;
    uint64_t end = 0;
    int rc = clg_segment_set_range(&core->set, &begin, &end);
    if (rc == COMMITLOG_OK && end <= first) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, end, "retention has overtaken this reader");
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_fold_set_first(core->fold, first);
    clg_core_damage_drop(core, first);
    for (;;) {
        struct clg_segment *oldest = clg_segment_set_pin_first(&core->set);
        bool gone = oldest != NULL && oldest->base + oldest->bytes <= first;
        clg_segment_unref(oldest);
        if (!gone) {
            break;
        }
        clg_segment_unref(clg_segment_set_remove_first(&core->set));
    }
    bool more = true;
    while (more && clg_fold_drop_one(core->fold, &more, NULL) == COMMITLOG_OK) {
    }
    clg_lookup_trim_work(core->fold); /* a writer does when it saves */
    return COMMITLOG_OK;
}

int clg_follow_refresh(struct commitlog_store *store, struct clg_core *core,
                       struct commitlog_error *err)
{
    CLG_ASSERT(core->follows);
    uint64_t published = clg_log_published(core->log);
    uint64_t first = 0;
    uint64_t end = 0;
    clg_mutex_lock(store->os, &core->refresh_lock);
    int rc = clg_segment_set_range(&core->set, &first, &end);
    if (rc == COMMITLOG_OK && end < published) {
        rc = follow_open_segments(store, core, published, err);
        follow_note_sealed(core);
        if (!clg_core_lacks_records(core)) { /* else the files may say more, at other places */
            clg_fold_take_files(core->fold);
        }
    }
    uint64_t live_first = clg_log_first(core->log);
    if (rc == COMMITLOG_OK && first + CLG_SEGMENT_DATA_START < live_first) {
        rc = follow_drop(core, live_first, err);
    }
    clg_mutex_unlock(store->os, &core->refresh_lock);
    return rc;
}

/* Under service_lock. */
static int follow_replace(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_core *old = store->core;
    struct clg_core *core = NULL;
    uint64_t visible = 0;
    /* So that nobody who has `old` finds a topic in it that the new core numbers otherwise. */
    int folded = clg_store_fold_core(store, old, &visible, NULL);
    (void)folded; /* nor does anybody else get further */
    int rc = follow_make(store, old, &core, err);
    if (rc == COMMITLOG_OK) {
        clg_mutex_lock(store->os, &store->core_lock);
        store->core = core;
        clg_mutex_unlock(store->os, &store->core_lock);
        clg_core_unref(old);
    }
    return rc;
}

int clg_follow_restart(struct commitlog_store *store, const struct clg_core *old,
                       struct commitlog_error *err)
{
    clg_mutex_lock(store->os, &store->service_lock);
    int rc = clg_store_dir_probe(&store->dir, err);
    if (rc == COMMITLOG_OK && store->core == old) {
        rc = follow_replace(store, err);
    }
    clg_mutex_unlock(store->os, &store->service_lock);
    return rc;
}

int clg_follow_poll(struct commitlog_store *store, uint64_t generation, bool *out_replaced,
                    struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    /* Its successor retires the live area (live.h), if it can: the file may be gone, or elsewhere.
     */
    bool runs =
        core->follows && clg_load_acquire_u32(&core->live.area->closed.flag) == CLG_LIVE_OPEN;
    clg_core_unref(core);
    *out_replaced = false;
    const int64_t every = runs ? FOLLOW_POLL_RUNS_NS : FOLLOW_POLL_NS;
    int64_t now = store->os->clock_mono_ns(store->os);
    int64_t since = now - atomic_load_explicit(&store->follow_checked_ns, memory_order_relaxed);
    int rc = since < every ? COMMITLOG_OK : clg_follow_check(store, err);
    if (rc != COMMITLOG_OK) { /* who asks again at once is not to take the old end for the end */
        atomic_store_explicit(&store->follow_checked_ns, now - every, memory_order_relaxed);
    }
    rc = runs ? COMMITLOG_OK : rc; /* it shows how far it is, whatever LOCK is like */
    core = clg_store_core(store);
    *out_replaced = core->generation != generation;
    clg_core_unref(core);
    return rc;
}

/* Of a writer whose live area is not to be seen: does CHECKPOINT say more than when we looked? */
static bool follow_checkpoint_moved(struct commitlog_store *store, const struct clg_core *old)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint now;
    clg_checkpoint_file_init(&file, store->os);
    int rc = clg_checkpoint_file_open(&file, store->dir.dir_fd, false, NULL);
    if (rc == COMMITLOG_OK) {
        rc = clg_checkpoint_file_read(&file, NULL, true, &now, NULL);
        clg_checkpoint_file_close(&file);
    }
    return rc == COMMITLOG_OK && now.sequence != old->checkpoint_sequence;
}

static bool follow_area_is_there(struct commitlog_store *store)
{
    struct clg_live live;
    memset(&live, 0, sizeof(live));
    int rc = clg_live_attach(&live, store->os, store->dir.dir_fd, store->dir.last.live_path,
                             store->dir.segment_dir.uuid, store->dir.boot_id, NULL);
    if (rc == COMMITLOG_OK) {
        clg_live_close(&live, false);
    }
    return rc == COMMITLOG_OK;
}

/* As clg_follow_check; COMMITLOG_EBUSY: a writer is just opening or closing, and may take files
 * away. */
static int follow_look(struct commitlog_store *store, struct commitlog_error *err)
{
    follow_looked(store);
    clg_mutex_lock(store->os, &store->service_lock);
    int rc = clg_store_dir_probe(&store->dir, err);
    struct clg_core *old = store->core;
    bool live = store->dir.writer_live;
    bool untouched = clg_lock_file_same(&old->lock, &store->dir.last);
    /* A writer may also have come and gone between two looks, or died while it recovered; one that
     * shows us nothing may have written more, or its live area is to be seen now. */
    bool hidden = live && !old->follows;
    /* Nor does a writer need to be seen where LOCK is gone. */
    bool unsure = !old->follows && (live || old->unrecovered_bytes > 0);
    /* LOCK stays as it is when one closes, or dies. */
    bool came_or_went = !old->follows && old->saw_writer != live;
    bool changed = store->dir.last.session != old->writer_session ||
                   (!(live && old->follows) && !untouched) || came_or_went ||
                   (unsure && follow_checkpoint_moved(store, old)) ||
                   (hidden && follow_area_is_there(store));
    if (rc == COMMITLOG_OK && changed) {
        rc = follow_replace(store, err);
        follow_looked(store); /* it may have taken longer than until the next look */
    } else if (rc == COMMITLOG_OK && live && !untouched) {
        rc = COMMITLOG_EBUSY;
    }
    clg_mutex_unlock(store->os, &store->service_lock);
    return rc;
}

int clg_follow_check(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = follow_look(store, err);
    /* A writer that is still recovering has no live area yet: the old core goes on. */
    return rc == COMMITLOG_EBUSY ? COMMITLOG_OK : rc;
}

bool clg_follow_again(struct commitlog_store *store, uint64_t generation,
                      struct clg_follow_reads *reads, int *rc)
{
    if (!store->read_only || *rc != COMMITLOG_EIO || reads->count == FOLLOW_READS) {
        return false;
    }
    int looked = follow_look(store, NULL);
    struct clg_core *core = clg_store_core(store);
    uint64_t first = clg_log_first(core->log);
    /* At the same core once, and as long as retention is faster than the read. */
    bool again = core->generation != generation || reads->count == 0 || first != reads->first;
    clg_core_unref(core);
    *reads = (struct clg_follow_reads){.count = reads->count + 1, .first = first};
    *rc = looked == COMMITLOG_EBUSY ? looked : *rc;
    return again;
}
