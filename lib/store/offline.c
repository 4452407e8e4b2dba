/* offline.c -- recover, verify and rebuild a store by its path, without opening it for use. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "segment/segment_name.h"
#include "store/progress.h"
#include "store/report.h"
#include "store/store.h"
#include "upkeep/verify.h"

/* How often a store is looked at again because another writer has come. */
#define OFFLINE_WRITER_RACES 5

static int offline_options(const struct commitlog_options *given, struct commitlog_options *out,
                           struct commitlog_error *err)
{
    if (given != NULL) {
        *out = *given;
    } else {
        clg_options_init(out);
    }
    return clg_options_check(out, err);
}

static int offline_open_dir(const struct commitlog_options *options, const char *path,
                            bool read_only, bool plan_only, struct clg_store_dir *dir,
                            struct commitlog_error *err)
{
    struct clg_store_dir_options wanted = {
        .read_only = read_only,
        .plan_only = plan_only,
        .create = COMMITLOG_CREATE_NEVER,
        .file_mode = (uint32_t)clg_option(options, COMMITLOG_OPT_FILE_MODE)};
    return clg_store_dir_open(options->os, path, &wanted, dir, err);
}

/* Recovery, or only its plan, as `wanted` says; mode and progress are the options'. */
static int offline_recover(const struct commitlog_options *options, struct clg_store_dir *dir,
                           struct clg_recovery_options *wanted, struct commitlog_recovery *summary,
                           struct commitlog_error *err)
{
    const struct commitlog_os *os = options->os;
    const bool known = dir->last_known;
    const struct clg_lock_file last = dir->last; /* recovery writes its own */
    if (!wanted->plan_only) {
        clg_live_retire(os, dir->dir_fd, last.live_path, last.uuid);
    }
    struct clg_segment_set set;
    clg_segment_set_init(&set, os);
    struct clg_recovery_result result;
    memset(&result, 0, sizeof(result));
    wanted->mode = (uint32_t)clg_option(options, COMMITLOG_OPT_RECOVERY);
    wanted->progress = clg_progress_report;
    wanted->progress_ctx = options->progress;
    int rc = os->random(os, &wanted->session, sizeof(wanted->session));
    if (rc < 0) {
        rc = clg_fail_os(err, rc, CLG_NO_POSITION, "random session number");
    } else {
        rc = clg_recovery_run(dir, wanted, &set, &result, err);
    }
    if (rc == COMMITLOG_OK && !wanted->plan_only) {
        const struct clg_lock_file *used = known ? &last : &result.last;
        clg_live_discard(os, dir->dir_fd, used->live_path, used->uuid);
        clg_live_discard_unnamed(os, dir->dir_fd, result.uuid, dir->device, dir->inode, "");
    }
    *summary = result.summary;
    clg_segment_unref(result.prepared);
    clg_segment_set_free(&set);
    return rc;
}

/* The names of what is damaged, and what is missing in the queues, from what can still be read.
 * Best effort. */
static void offline_name_damage(const char *path, const struct commitlog_options *given,
                                struct commitlog_report *report)
{
    struct commitlog_options options = *given;
    struct commitlog_store *store = NULL;
    options.values[COMMITLOG_OPT_ACCESS] = COMMITLOG_READ_ONLY;
    options.values[COMMITLOG_OPT_CREATE] = COMMITLOG_CREATE_NEVER;
    options.values[COMMITLOG_OPT_RECOVERY] = COMMITLOG_RECOVER_TAIL;
    options.progress = NULL;
    int rc = report->damage_count > 0 ? commitlog_open(path, &options, &store, NULL)
                                      : COMMITLOG_ENOTFOUND;
    for (size_t i = 0; i < report->damage_count; i++) {
        if (rc == COMMITLOG_OK) {
            clg_store_name_damage(store, &report->damage[i]);
        } else {
            report->damage[i].queue = UINT32_MAX; /* a number of the store means nothing alone */
        }
    }
    if (rc == COMMITLOG_OK) {
        clg_store_report_lost(store, report);
    }
    (void)commitlog_close(store, NULL); /* a reader: nothing to be lost */
}

int32_t commitlog_recover(const char *path, const struct commitlog_options *given, uint32_t flags,
                          struct commitlog_report **out_report, struct commitlog_error *err)
{
    struct commitlog_options options;
    if (path == NULL || out_report == NULL ||
        (flags & ~(uint32_t)COMMITLOG_RECOVER_PLAN_ONLY) != 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "recover");
    }
    int rc = offline_options(given, &options, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_report *report = clg_report_create(options.os);
    if (report == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "recover %s", path);
    }
    struct clg_store_dir dir;
    int64_t began = options.os->clock_mono_ns(options.os);
    rc = offline_open_dir(&options, path, false, (flags & COMMITLOG_RECOVER_PLAN_ONLY) != 0, &dir,
                          err);
    bool opened = rc == COMMITLOG_OK; /* else the text names the store already */
    if (rc == COMMITLOG_OK) {
        struct clg_recovery_options wanted = {
            .plan_only = dir.plan_only, .close = true, .full = true, .report = &report->sink};
        rc = offline_recover(&options, &dir, &wanted, &report->recovery, err);
        report->recovery.duration_ns = (uint64_t)(options.os->clock_mono_ns(options.os) - began);
        clg_store_dir_close(&dir);
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED) {
        offline_name_damage(path, &options, report);
        *out_report = report;
    } else {
        commitlog_report_free(report);
    }
    if (rc != COMMITLOG_OK && opened) {
        clg_wrap(err, "recover store %s", path);
    }
    return rc;
}

/* One look at all of it. */
static int offline_verify_once(const struct commitlog_options *options, struct clg_store_dir *dir,
                               struct commitlog_report *report, struct commitlog_error *err)
{
    const struct commitlog_os *os = options->os;
    int64_t began = os->clock_mono_ns(os);
    struct clg_verify_counts counts;
    memset(&counts, 0, sizeof(counts));
    struct clg_verify_options wanted = {.report = &report->sink,
                                        .progress = clg_progress_report,
                                        .progress_ctx = options->progress};
    int rc = clg_verify_run(dir, &wanted, &counts, &report->recovery, err);
    report->recovery.records_scanned = counts.records;
    report->recovery.bytes_scanned = counts.bytes;
    report->recovery.damaged_ranges = report->damage_count;
    report->recovery.duration_ns = (uint64_t)(os->clock_mono_ns(os) - began);
    return rc;
}

/* Nothing bad is said of files that a writer has changed since: they are looked at again. */
static int offline_verify(const struct commitlog_options *options, struct clg_store_dir *dir,
                          struct commitlog_report **out, struct commitlog_error *err)
{
    for (int i = 0; i < OFFLINE_WRITER_RACES; i++) {
        struct commitlog_report *report = clg_report_create(options->os);
        if (report == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "report");
        }
        const bool live = dir->writer_live;
        const struct clg_lock_file last = dir->last;
        struct commitlog_error own;
        int rc = offline_verify_once(options, dir, report, &own);
        if (rc == COMMITLOG_OK || rc == COMMITLOG_EINTERRUPTED ||
            !clg_store_dir_moved(dir, live, &last)) {
            *out = report;
            return clg_error_give(err, rc, &own);
        }
        commitlog_report_free(report);
    }
    return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                    "writers come and go while the store is being read");
}

int32_t commitlog_verify(const char *path, const struct commitlog_options *given,
                         struct commitlog_report **out_report, struct commitlog_error *err)
{
    struct commitlog_options options;
    if (path == NULL || out_report == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "verify");
    }
    int rc = offline_options(given, &options, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_report *report = NULL;
    struct clg_store_dir dir;
    rc = offline_open_dir(&options, path, true, false, &dir, err);
    bool opened = rc == COMMITLOG_OK; /* else the text names the store already */
    if (rc == COMMITLOG_OK) {
        rc = offline_verify(&options, &dir, &report, err);
        clg_store_dir_close(&dir);
    }
    if (report != NULL && (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED)) {
        offline_name_damage(path, &options, report);
        *out_report = report;
    } else {
        commitlog_report_free(report);
    }
    if (rc != COMMITLOG_OK && opened) {
        clg_wrap(err, "verify store %s", path);
    }
    return rc;
}

struct offline_names {
    const struct commitlog_os *os;
    int dirfd;
    int rc;
};

/* Only names of our own pattern, only in DIR/view. */
static int offline_remove_view(void *ctx, const char *name, enum clg_os_type type)
{
    struct offline_names *names = ctx;
    struct clg_segment_name parsed;
    if (type == CLG_OS_FILE && clg_segment_name_parse(name, &parsed)) {
        int rc = names->os->unlink_at(names->os, names->dirfd, name);
        names->rc = rc < 0 ? rc : names->rc;
    }
    return 0;
}

static int offline_remove_views(const struct commitlog_os *os, const struct clg_store_dir *dir,
                                struct commitlog_error *err)
{
    struct offline_names names = {os, dir->view_fd, 0};
    int listed = os->list_dir(os, dir->view_fd, offline_remove_view, &names);
    if (listed >= 0 && names.rc >= 0) {
        listed = os->fsync(os, dir->view_fd);
    }
    int rc = listed < 0 ? listed : names.rc;
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "remove the derived files")
                  : COMMITLOG_OK;
}

int32_t commitlog_rebuild(const char *path, const struct commitlog_options *given,
                          struct commitlog_error *err)
{
    struct commitlog_options options;
    if (path == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "rebuild");
    }
    int rc = offline_options(given, &options, err);
    struct clg_store_dir dir;
    if (rc == COMMITLOG_OK) {
        rc = offline_open_dir(&options, path, false, false, &dir, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    /* A store that cannot be folded (newer, damaged) keeps what it has: without it, damage in a
     * sealed segment would keep out the next writer. And what is recovered by all of its records is
     * one that opens. */
    struct clg_recovery_options wanted = {.close = true, .full = true};
    struct commitlog_recovery ignored;
    rc = offline_recover(&options, &dir, &wanted, &ignored, err);
    if (rc == COMMITLOG_OK) {
        rc = offline_remove_views(options.os, &dir, err);
    }
    clg_store_dir_close(&dir);
    if (rc != COMMITLOG_OK) {
        clg_wrap(err, "rebuild store %s", path);
        return rc;
    }
    /* Opening folds the log; closing writes what it made of it. */
    options.values[COMMITLOG_OPT_ACCESS] = COMMITLOG_READ_WRITE;
    options.values[COMMITLOG_OPT_CREATE] = COMMITLOG_CREATE_NEVER;
    struct commitlog_store *store = NULL;
    rc = commitlog_open(path, &options, &store, err);
    return rc == COMMITLOG_OK ? commitlog_close(store, err) : rc;
}
