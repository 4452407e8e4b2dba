/* core.c -- a core: what one opening of the directory gave. See store.h. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log.h"
#include "store/progress.h"
#include "store/store.h"
#include "view/fold_log.h"

int clg_core_create(struct commitlog_store *store, struct clg_core **out)
{
    const struct commitlog_os *os = store->os;
    struct clg_core *core = os->alloc(os, sizeof(*core));
    if (core == NULL) {
        return COMMITLOG_ENOMEM;
    }
    core->os = os;
    core->store = store;
    clg_damage_list_init(&core->opening_damage, os);
    atomic_init(&core->refs, 1);
    clg_mutex_init(&core->refresh_lock);
    clg_segment_set_init(&core->set, os);
    core->live.fd = -1;
    core->live.dirfd = -1;
    int rc = clg_registry_init(&core->registry, os);
    if (rc != COMMITLOG_OK) {
        clg_segment_set_free(&core->set);
        os->free(os, core);
        return rc;
    }
    *out = core;
    return COMMITLOG_OK;
}

void clg_core_unref(struct clg_core *core)
{
    if (core == NULL || clg_sub_acqrel_u32(&core->refs, 1) != 1) {
        return;
    }
    clg_fold_free(core->fold);
    clg_log_free(core->log);
    clg_segment_set_free(&core->set);
    clg_registry_deinit(&core->registry);
    clg_live_close(&core->live, !core->keeps_live_file);
    clg_damage_list_deinit(&core->opening_damage);
    core->os->free(core->os, core);
}

struct clg_core *clg_store_core(struct commitlog_store *store)
{
    if (!store->read_only) {
        (void)clg_add_relaxed_u32(&store->core->refs, 1);
        return store->core;
    }
    clg_mutex_lock(store->os, &store->core_lock);
    struct clg_core *core = store->core;
    (void)clg_add_relaxed_u32(&core->refs, 1);
    clg_mutex_unlock(store->os, &store->core_lock);
    return core;
}

/* A reader goes on behind what does not verify, and a writer where a derived file is made again;
 * what is left out is known damage from then on. */
static void core_note_damage(void *ctx, uint64_t from, uint64_t to)
{
    struct clg_core *core = ctx;
    struct commitlog_damage damage;
    clg_damage_make(&damage, from, to, "records here fail their checks");
    int rc = clg_core_opening_damage(core, &damage);
    (void)rc;                                         /* no memory */
    clg_store_release_u32(&core->store->left_out, 1); /* ORDER(left-out-1) release */
}

static int core_open_fold(struct commitlog_store *store, struct clg_core *core,
                          const struct clg_recovery_result *result, struct commitlog_error *err)
{
    struct clg_fold_config config = {.os = store->os,
                                     .registry = &core->registry,
                                     .set = &core->set,
                                     .view_dirfd = store->dir.view_fd,
                                     .file_mode = store->dir.file_mode,
                                     .read_only = store->read_only,
                                     .index_keys = true,
                                     .skip_damage = store->read_only,
                                     .sees_durable = clg_store_is_durable_only(store)};
    memcpy(config.uuid, result->uuid, sizeof(config.uuid));
    int rc = clg_fold_create(&config, &core->fold, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_fold_opening opening = {
        .first = result->first,
        .end = store->read_only ? result->serve_end : result->end,
        /* What a writer goes on with its recovery has flushed. */
        .durable = store->read_only ? clg_live_load(&core->live.area->durable) : CLG_POSITION_MAX,
        .verified_from = result->verified_from,
        .may_map = clg_option(&store->options, COMMITLOG_OPT_BORROW) != 0,
        .progress = clg_progress_report,
        .progress_ctx = store->options.progress,
        .damage = core_note_damage,
        .damage_ctx = core};
    struct clg_fold_report report;
    memset(&report, 0, sizeof(report));
    rc = clg_fold_open(core->fold, &opening, &report, err);
    if (!clg_core_is_later(core)) {
        store->recovery.views_rebuilt = report.images_rebuilt;
    }
    return rc;
}

int clg_core_open(struct commitlog_store *store, struct clg_core *core,
                  const struct clg_recovery_result *result, struct commitlog_error *err)
{
    CLG_ASSERT(core->live.area != NULL);
    int rc = core_open_fold(store, core, result, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_log_config config = {
        .os = store->os,
        .set = &core->set,
        .supply = store->read_only ? NULL : &store->supply,
        .registry = &core->registry,
        .live = &core->live,
        .engine = core->live.header.engine == CLG_ENGINE_MMAP ? COMMITLOG_ENGINE_MMAP
                                                              : COMMITLOG_ENGINE_STAGED,
        .first = result->first,
        .end = result->end,
        .epoch = result->epoch,
        .last_time_ns = result->last_store_time,
        .session_id = core->writer_session,
        .segment_bytes = clg_option(&store->options, COMMITLOG_OPT_SEGMENT_BYTES),
        .flush_align_bytes = clg_option(&store->options, COMMITLOG_OPT_FLUSH_ALIGN_BYTES),
        .interrupts = &store->interrupts,
        .event_fd = clg_store_is_durable_only(store) ? &store->event_fd : NULL};
    rc = clg_log_open(&config, &core->log, err);
    if (rc == COMMITLOG_OK) {
        clg_fold_attach_log(core->fold, core->log);
    }
    return rc;
}
