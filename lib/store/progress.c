/* progress.c -- lets another thread watch and cancel a long call. */
#include "store/progress.h"

#include "base/order.h"
#include "os/os.h"

struct commitlog_progress {
    _Atomic uint64_t done;
    _Atomic uint64_t total;
    _Atomic uint32_t cancelled;
};

int32_t commitlog_progress_create(struct commitlog_progress **out)
{
    if (out == NULL) {
        return COMMITLOG_EINVAL;
    }
    const struct commitlog_os *os = clg_os_default();
    struct commitlog_progress *progress = os->alloc(os, sizeof(*progress));
    if (progress == NULL) {
        return COMMITLOG_ENOMEM;
    }
    *out = progress;
    return COMMITLOG_OK;
}

void commitlog_progress_free(struct commitlog_progress *progress)
{
    const struct commitlog_os *os = clg_os_default();
    os->free(os, progress);
}

void commitlog_progress_get(const struct commitlog_progress *progress, uint64_t *out_done_bytes,
                            uint64_t *out_total_bytes)
{
    if (progress != NULL && out_done_bytes != NULL && out_total_bytes != NULL) {
        *out_done_bytes = clg_load_relaxed_u64(&progress->done);
        *out_total_bytes = clg_load_relaxed_u64(&progress->total);
    }
}

void commitlog_progress_cancel(struct commitlog_progress *progress)
{
    if (progress != NULL) {
        clg_store_relaxed_u32(&progress->cancelled, 1);
    }
}

int clg_progress_report(void *progress_or_null, uint64_t done, uint64_t total)
{
    struct commitlog_progress *progress = progress_or_null;
    if (progress == NULL) {
        return 0;
    }
    clg_store_relaxed_u64(&progress->total, total);
    clg_store_relaxed_u64(&progress->done, done);
    return clg_load_relaxed_u32(&progress->cancelled) != 0;
}
