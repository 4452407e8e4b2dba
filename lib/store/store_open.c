/*
 * store_open.c -- commitlog_open and commitlog_close. The order is told in store.h.
 *
 * Failure modes: whatever was opened is given back in reverse order by store_teardown, which takes
 *       a store in any state of completion.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "segment/segment_scan.h"
#include "store/expiry.h"
#include "store/groups.h"
#include "store/producers.h"
#include "store/progress.h"
#include "store/retain.h"
#include "store/store.h"
#include "store/timers.h"
#include "store/transactions.h"
#include "store/work.h"

void clg_store_ref(struct commitlog_store *store)
{
    (void)clg_add_relaxed_u32(&store->refs, 1);
}

void clg_store_unref(struct commitlog_store *store)
{
    if (clg_sub_acqrel_u32(&store->refs, 1) != 1) {
        return;
    }
    const struct commitlog_os *os = store->os;
    if (store->fork_page != NULL) {
        (void)os->unmap(os, (void *)(uintptr_t)store->fork_page, os->page_size(os));
    }
    clg_damage_list_deinit(&store->damage);
    clg_reservations_deinit(store);
    os->free(os, store);
}

static int store_map_fork_page(struct commitlog_store *store)
{
    const struct commitlog_os *os = store->os;
    void *page = NULL;
    size_t bytes = os->page_size(os);
    int rc = os->map(os, -1, 0, bytes, CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                     CLG_OS_MAP_PRIVATE | CLG_OS_MAP_ANONYMOUS, &page);
    if (rc < 0) {
        return rc;
    }
    uint32_t here = 1;
    memcpy(page, &here, sizeof(here));
    store->fork_page = page;
    return os->advise(os, page, bytes, CLG_OS_ADVISE_WIPEONFORK);
}

static int store_create(const struct commitlog_options *options, struct commitlog_store **out,
                        struct commitlog_error *err)
{
    struct commitlog_options defaults;
    if (options == NULL) {
        clg_options_init(&defaults);
        options = &defaults;
    }
    int rc = clg_options_check(options, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    const struct commitlog_os *os = options->os;
    struct commitlog_store *store = os->alloc(os, sizeof(*store));
    if (store == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "open the store");
    }
    store->os = os;
    store->options = *options;
    store->read_only = clg_option(options, COMMITLOG_OPT_ACCESS) == COMMITLOG_READ_ONLY;
    atomic_init(&store->refs, 1);
    atomic_init(&store->event_fd, -1);
    store->checkpoint_file.fd = -1;
    store->counters = store->own_counters;
    clg_damage_list_init(&store->damage, os);
    rc = store_map_fork_page(store);
    if (rc < 0) {
        clg_store_unref(store);
        return clg_fail_os(err, rc, CLG_NO_POSITION, "map a page that tells a fork");
    }
    *out = store;
    return COMMITLOG_OK;
}

/* Gives back everything but the memory of the handle. */
static void store_teardown(struct commitlog_store *store)
{
    const struct commitlog_os *os = store->os;
    clg_segment_unref(store->services.hot);
    store->services.hot = NULL;
    int fd = atomic_exchange(&store->event_fd, -1);
    clg_os_close_fd(os, &fd);
    clg_groups_deinit(store);
    clg_producers_deinit(store);
    clg_timers_deinit(store);
    clg_work_deinit(store);
    clg_append_deinit(store);
    clg_transactions_deinit(store);
    clg_expiry_deinit(store);
    clg_core_unref(store->core);
    store->core = NULL;
    store->counters = store->own_counters;
    if (store->supply_is_open) {
        clg_segment_supply_free(&store->supply);
        store->supply_is_open = false;
    }
    if (store->checkpoint_file.fd >= 0) {
        clg_checkpoint_file_close(&store->checkpoint_file);
    }
    if (store->dir_is_open) {
        clg_store_dir_close(&store->dir);
        store->dir_is_open = false;
    }
}

static int store_open_dir(struct commitlog_store *store, const char *path,
                          struct commitlog_error *err)
{
    struct clg_store_dir_options options = {
        .read_only = store->read_only,
        .create = (uint32_t)clg_option(&store->options, COMMITLOG_OPT_CREATE),
        .file_mode = (uint32_t)clg_option(&store->options, COMMITLOG_OPT_FILE_MODE)};
    int rc = clg_store_dir_open(store->os, path, &options, &store->dir, err);
    store->dir_is_open = rc == COMMITLOG_OK;
    return rc;
}

static int store_recover(struct commitlog_store *store, struct clg_core *core,
                         struct clg_recovery_result *result, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    int rc = os->random(os, &core->writer_session, sizeof(core->writer_session));
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "random session number");
    }
    struct clg_recovery_report sink = clg_core_recovery_sink(core);
    uint32_t mode = (uint32_t)clg_option(&store->options, COMMITLOG_OPT_RECOVERY);
    bool salvage = mode == COMMITLOG_RECOVER_SALVAGE;
    struct clg_recovery_options options = {
        .report = &sink,
        /* What salvage gives up is not given out again: where that ends, perhaps only the live area
         * says, which will be replaced before the views are there. */
        .defer_checkpoint = !salvage,
        .mode = mode,
        .full = salvage, /* who salvages wants everything mended that can be, wherever it lies */
        .segment_bytes = clg_option(&store->options, COMMITLOG_OPT_SEGMENT_BYTES),
        .session = core->writer_session,
        .progress = clg_progress_report,
        .progress_ctx = store->options.progress};
    int64_t began = os->clock_mono_ns(os);
    rc = clg_recovery_run(&store->dir, &options, &core->set, result, err);
    clg_count(store, CLG_COUNT_RECOVERY_NS, (uint64_t)(os->clock_mono_ns(os) - began));
    store->recovery = result->summary;
    store->recovery.epoch = result->epoch;
    store->recovery.first = result->first;
    if (clg_option(&store->options, COMMITLOG_OPT_SEGMENT_BYTES) == 0) {
        /* As the writer before had it, or the default of a new store. */
        store->options.values[COMMITLOG_OPT_SEGMENT_BYTES] = result->checkpoint.segment_bytes;
    }
    return rc;
}

/* A store into a page of the file must not be able to fail. On btrfs it can, also where the blocks
 * are reserved and written in place: each first store needs metadata. On a full disk it raises
 * SIGBUS, or two pages under one store take turns for ever. */
static int store_check_engine(struct commitlog_store *store, struct clg_core *core,
                              struct commitlog_error *err)
{
    if (clg_option(&store->options, COMMITLOG_OPT_ENGINE) != COMMITLOG_ENGINE_MMAP) {
        return COMMITLOG_OK;
    }
    const struct commitlog_os *os = store->os;
    struct clg_segment *active = clg_segment_set_pin_last(&core->set);
    struct clg_os_fs_info fs;
    int rc = active != NULL ? os->fs_info(os, active->fd, &fs) : -1;
    if (rc < 0) {
        clg_segment_unref(active);
        return clg_fail_os(err, rc, CLG_NO_POSITION, "ask for the file system");
    }
    bool safe = !fs.network && (fs.type == CLG_OS_FS_EXT || fs.type == CLG_OS_FS_XFS ||
                                fs.type == CLG_OS_FS_TMPFS);
    rc = safe ? clg_segment_reserve(active, err) : COMMITLOG_OK;
    safe = safe && (rc != COMMITLOG_OK || active->reserved);
    clg_segment_unref(active);
    if (!safe) {
        return clg_fail(err, COMMITLOG_EUNSUPPORTED, 0, CLG_NO_POSITION,
                        "the mmap engine is not safe on this file system (type %llx); "
                        "use engine = staged",
                        (unsigned long long)fs.magic);
    }
    return rc; /* where blocks are promised they must be had */
}

/* Segments that a process with another limit has made: what cannot be written is not begun. */
static int store_check_file_size(struct commitlog_store *store, struct clg_core *core,
                                 struct commitlog_error *err)
{
    uint64_t limit = UINT64_MAX;
    struct clg_segment *active = clg_segment_set_pin_last(&core->set);
    int rc = store->os->limit(store->os, CLG_OS_LIMIT_FILE_SIZE, &limit);
    if (rc >= 0 && active != NULL && active->bytes > limit) {
        rc = clg_fail(err, COMMITLOG_ELIMIT, EFBIG, active->base,
                      "the last segment has %llu bytes, and the process may write files of %llu",
                      (unsigned long long)active->bytes, (unsigned long long)limit);
    }
    clg_segment_unref(active);
    return rc == COMMITLOG_ELIMIT ? rc : COMMITLOG_OK; /* a limit that is not known is none */
}

/* What a fallback costs is said once. */
static void store_report_live(struct commitlog_store *store, struct clg_core *core, uint32_t wanted)
{
    struct commitlog_error detail;
    clg_error_clear(&detail);
    if (wanted == COMMITLOG_LIVE_AUTO && core->live.place == COMMITLOG_LIVE_PRIVATE) {
        (void)clg_fail(&detail, COMMITLOG_EUNSUPPORTED, 0, CLG_NO_POSITION,
                       "no shared memory for the live area: other processes cannot follow, and "
                       "appends of level none die with this process");
        clg_store_event(store, COMMITLOG_EVENT_WARNING, &detail);
    } else if (wanted == COMMITLOG_LIVE_AUTO && core->live.place == COMMITLOG_LIVE_DIR) {
        (void)clg_fail(&detail, COMMITLOG_EUNSUPPORTED, 0, CLG_NO_POSITION,
                       "no tmpfs for the live area: it lies in the store, where the kernel writes "
                       "it back");
        clg_store_event(store, COMMITLOG_EVENT_WARNING, &detail);
    }
    struct clg_segment *active = clg_segment_set_pin_last(&core->set);
    if (active != NULL && !active->reserved) {
        (void)clg_fail(&detail, COMMITLOG_EUNSUPPORTED, 0, active->base,
                       "no space is reserved for the last segment: a full disk fails the store "
                       "instead of an append");
        clg_store_event(store, COMMITLOG_EVENT_WARNING, &detail);
    }
    clg_segment_unref(active);
}

static int store_create_live(struct commitlog_store *store, struct clg_core *core,
                             const struct clg_recovery_result *result, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    uint64_t mlock = clg_option(&store->options, COMMITLOG_OPT_MLOCK);
    bool mapped = clg_option(&store->options, COMMITLOG_OPT_ENGINE) == COMMITLOG_ENGINE_MMAP;
    int64_t pid = os->pid(os);
    struct clg_live_header header = {
        .device = store->dir.device,
        .inode = store->dir.inode,
        .session = core->writer_session,
        .ring_bytes = mapped ? 0 : clg_option(&store->options, COMMITLOG_OPT_STAGE_BYTES),
        .created = os->clock_wall_ns(os),
        .pid = (uint32_t)pid,
        .engine = mapped ? CLG_ENGINE_MMAP : CLG_ENGINE_STAGED,
        .epoch = result->epoch};
    (void)os->pid_start(os, pid, &header.start_time);
    memcpy(header.uuid, result->uuid, sizeof(header.uuid));
    memcpy(header.boot_id, store->dir.boot_id, sizeof(header.boot_id));
    struct clg_live_config config = {
        .os = os,
        .store_dirfd = store->dir.dir_fd,
        .header = &header,
        .place = (uint32_t)clg_option(&store->options, COMMITLOG_OPT_LIVE_AREA),
        .lock_pages = mlock != COMMITLOG_MLOCK_NONE};
    int rc = clg_live_create(&core->live, &config, err);
    if (rc == COMMITLOG_OK) {
        for (uint32_t i = 0; i < CLG_COUNTERS; i++) { /* what there is so far */
            clg_store_relaxed_u64(&core->live.area->counters[i],
                                  clg_load_relaxed_u64(&store->own_counters[i]));
        }
        store->counters = core->live.area->counters;
        store_report_live(store, core, config.place);
    }
    if (rc == COMMITLOG_OK && mlock != COMMITLOG_MLOCK_NONE && !core->live.is_locked) {
        clg_count(store, CLG_COUNT_MLOCK_REFUSED, 1);
        if (mlock == COMMITLOG_MLOCK_REQUIRED) {
            return clg_fail(err, COMMITLOG_ELIMIT, 0, CLG_NO_POSITION,
                            "the stage cannot be locked in memory: raise RLIMIT_MEMLOCK, or give "
                            "the control group more");
        }
    }
    return rc;
}

static void store_open_supply(struct commitlog_store *store, struct clg_recovery_result *result)
{
    uint64_t prewrite = clg_option(&store->options, COMMITLOG_OPT_PREWRITE);
    uint64_t flush = clg_option(&store->options, COMMITLOG_OPT_FLUSH);
    clg_segment_supply_init(
        &store->supply, &store->dir.segment_dir,
        prewrite == COMMITLOG_PREWRITE_YES ||
            (prewrite == COMMITLOG_PREWRITE_AUTO && flush == COMMITLOG_FLUSH_SYNC));
    store->supply_is_open = true;
    if (result->prepared != NULL) {
        clg_segment_supply_give(&store->supply, result->prepared);
        result->prepared = NULL;
    }
}

/* What is appended with an epoch or a store time below that of the record before it would be
 * refused by all who read it later. Recovery has not looked at what a clean CHECKPOINT vouches for;
 * the views know the newest record of it. One that does not read is no verdict. */
static int store_check_newest(struct clg_core *core, const struct clg_recovery_result *result,
                              struct commitlog_error *err)
{
    struct clg_segment *segment = NULL;
    struct clg_record_header header;
    uint64_t newest = CLG_NO_POSITION;
    uint32_t check = 0;
    (void)clg_fold_last(core->fold, &newest, &check);
    if (newest == CLG_NO_POSITION ||
        clg_segment_set_pin(&core->set, newest, &segment) != COMMITLOG_OK) {
        return COMMITLOG_OK;
    }
    bool reads = clg_scan_read_header(segment, newest, &header);
    clg_segment_unref(segment);
    return !reads || (header.epoch <= result->epoch && header.store_time <= result->last_store_time)
               ? COMMITLOG_OK
               : clg_fail(err, COMMITLOG_EDAMAGED, 0, newest,
                          "the newest record is of epoch %u and store time %lld, and CHECKPOINT "
                          "says that there was none above %u and %lld: commitlog_recover reads "
                          "them all",
                          header.epoch, (long long)header.store_time, result->epoch - 1,
                          (long long)result->last_store_time);
}

/* The raised epoch is durable before anything can be appended. It was not written before the views
 * were there, because until then the open could still be refused. */
static int store_open_checkpoint(struct commitlog_store *store,
                                 const struct clg_recovery_result *result,
                                 struct commitlog_error *err)
{
    if (result->checkpoint_wrong != NULL) {
        struct commitlog_error detail;
        clg_error_clear(&detail);
        (void)clg_fail(&detail, COMMITLOG_EDAMAGED, 0, result->end,
                       "%s: it is written anew, and what the log and view/ say has decided",
                       result->checkpoint_wrong);
        clg_store_event(store, COMMITLOG_EVENT_WARNING, &detail);
    }
    clg_checkpoint_file_init(&store->checkpoint_file, store->os);
    int rc = clg_checkpoint_file_open(&store->checkpoint_file, store->dir.dir_fd, true, err);
    if (rc == COMMITLOG_OK) {
        rc = clg_checkpoint_file_read(&store->checkpoint_file, result->uuid, false,
                                      &store->checkpoint, err);
    }
    if (rc == COMMITLOG_OK && store->checkpoint.sequence < result->checkpoint.sequence) {
        rc = clg_fail(err, COMMITLOG_EIO, 0, CLG_NO_POSITION,
                      "CHECKPOINT: the newest slot does not read twice");
    }
    if (rc == COMMITLOG_OK && result->checkpoint_pending) {
        store->checkpoint = result->checkpoint;
        rc = clg_checkpoint_file_write(&store->checkpoint_file, &store->checkpoint, err);
    }
    return rc;
}

/* Followers find our area from here on, by LOCK. That of the writer before goes if ours did not
 * take its place: nobody would know its name any more. */
static int store_name_area(struct commitlog_store *store, const uint8_t uuid[CLG_UUID_BYTES],
                           const struct clg_lock_file *last, struct commitlog_error *err)
{
    const char *path = store->core->live.path;
    int rc = clg_store_dir_write_lock(&store->dir, uuid, store->core->writer_session, path, err);
    if (rc == COMMITLOG_OK && strcmp(last->live_path, path) != 0) {
        clg_live_discard(store->os, store->dir.dir_fd, last->live_path, last->uuid);
    }
    if (rc == COMMITLOG_OK) {
        clg_live_discard_unnamed(store->os, store->dir.dir_fd, uuid, store->dir.device,
                                 store->dir.inode, path);
    }
    return rc;
}

/* An opening that failed has recovered everything, and its area goes. LOCK does not name what is
 * not there: that would mean a loss. */
static void store_unname_area(struct commitlog_store *store, const uint8_t uuid[CLG_UUID_BYTES])
{
    struct clg_core *core = store->core;
    if (!core->keeps_live_file && strcmp(store->dir.last.live_path, core->live.path) == 0) {
        core->keeps_live_file = clg_store_dir_write_lock(&store->dir, uuid, core->writer_session,
                                                         "", NULL) != COMMITLOG_OK;
    }
}

static int store_open_writer(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_core *core = NULL;
    int rc = clg_core_create(store, &core);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "open the store");
    }
    store->core = core;
    core->keeps_live_file = true; /* until it is ours */
    struct clg_recovery_result result;
    memset(&result, 0, sizeof(result));
    /* The lock is ours, so its writer is gone; recovery reads the area all the same. Before that,
     * because a recovery that dies may already have cleared the name in LOCK. */
    const bool known = store->dir.last_known;
    const struct clg_lock_file last = store->dir.last; /* recovery writes its own */
    clg_live_retire(store->os, store->dir.dir_fd, last.live_path, last.uuid);
    rc = store_recover(store, core, &result, err);
    if (rc == COMMITLOG_OK) {
        store_open_supply(store, &result);
        rc = store_check_engine(store, core, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = store_check_file_size(store, core, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = store_create_live(store, core, &result, err);
        core->keeps_live_file = rc != COMMITLOG_OK;
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_core_open(store, core, &result, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = store_check_newest(core, &result, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_producers_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_timers_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_work_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_transactions_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_expiry_init(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = store_open_checkpoint(store, &result, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_log_align(core->log, err); /* followers find us by LOCK */
    }
    if (rc == COMMITLOG_OK) {
        rc = store_name_area(store, result.uuid, known ? &last : &result.last, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_retain_tell_first(store, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_services_start(store, err);
    }
    if (rc != COMMITLOG_OK) {
        store_unname_area(store, result.uuid);
    }
    return rc;
}

int32_t commitlog_open(const char *path, const struct commitlog_options *options,
                       struct commitlog_store **out_store, struct commitlog_error *err)
{
    if (path == NULL || out_store == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "path or out_store is NULL");
    }
    struct commitlog_store *store = NULL;
    int rc = store_create(options, &store, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    int64_t began = store->os->clock_mono_ns(store->os);
    rc = store_open_dir(store, path, err);
    if (rc == COMMITLOG_OK) {
        rc = store->read_only ? clg_follow_open(store, &store->core, err)
                              : store_open_writer(store, err);
    }
    if (rc != COMMITLOG_OK) {
        if (store->dir_is_open) { /* else the text names it already */
            clg_wrap(err, "open store %s", path);
        }
        store_teardown(store);
        clg_store_unref(store);
        return rc;
    }
    store->recovery.duration_ns = (uint64_t)(store->os->clock_mono_ns(store->os) - began);
    clg_count(store, CLG_COUNT_OPEN_NS, store->recovery.duration_ns);
    store->options.progress = NULL; /* the caller's, for this call; a reader may recover again */
    *out_store = store;
    return COMMITLOG_OK;
}

static int store_is_durable(void *ctx, uint64_t position)
{
    return clg_log_durable(ctx) >= position ? COMMITLOG_OK : COMMITLOG_EMISUSE;
}

/* Everything durable, sealed, in view files; then the clean checkpoint. */
static int store_settle(struct commitlog_store *store, struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    int rc =
        clg_log_flush(core->log, clg_log_published(core->log), clg_log_forever(core->log), err);
    bool more = rc == COMMITLOG_OK;
    while (rc == COMMITLOG_OK && more) {
        rc = clg_store_seal(store, &more, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    /* Derived files are a gain, not a duty: a failure costs the next opening some time. */
    uint64_t durable = clg_log_durable(core->log);
    uint64_t state = 0;
    more =
        clg_fold_run(core->fold, UINT64_MAX, UINT32_MAX, CLG_FOLD_WAIT, true, NULL) == COMMITLOG_OK;
    while (more && clg_fold_write_images(core->fold, durable, &more, NULL) == COMMITLOG_OK) {
    }
    if (clg_fold_save_state(core->fold, store_is_durable, core->log, clg_log_epoch(core->log),
                            &state, NULL) == COMMITLOG_OK) {
        store->checkpoint.state_position = state;
    }
    return clg_store_checkpoint(store, true, clg_log_first(core->log), err);
}

int32_t commitlog_close(struct commitlog_store *store, struct commitlog_error *err)
{
    if (store == NULL) {
        return COMMITLOG_OK;
    }
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "close the store");
    }
    if (!store->read_only) {
        clg_services_stop(store);
        rc = clg_log_failure(store->core->log, err);
        if (rc == COMMITLOG_OK && !CLG_PLANTED(CLOSE_FORGETS_CLAIMS)) {
            /* Else what was appended behind them would end with this process. */
            rc = clg_log_abort_open(store->core->log, err);
        }
        if (rc == COMMITLOG_OK) {
            clg_retain_take_back_first(store);
            (void)clg_topics_define_left(store, NULL);
            clg_timers_deliver_last(store);
            clg_transactions_expire_last(store);
            rc = store_settle(store, err);
        }
        store->core->keeps_live_file = rc != COMMITLOG_OK;
        clg_store_release_u32(&store->core->live.area->closed.flag,
                              rc == COMMITLOG_OK ? CLG_LIVE_CLOSED : CLG_LIVE_FAILED);
        clg_live_wake(&store->core->live);
    }
    clg_store_release_u32(&store->closed, 1);
    store_teardown(store);
    clg_store_unref(store);
    return rc;
}
