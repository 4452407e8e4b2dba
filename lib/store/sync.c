/* sync.c -- durability on request. */
#include "base/error.h"
#include "store/store.h"

int32_t commitlog_sync(struct commitlog_store *store, uint64_t position, int32_t timeout_ms,
                       struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || store->read_only) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "sync");
    }
    struct clg_log *log = store->core->log;
    if (position == UINT64_MAX) {
        (void)clg_topics_define_left(store, NULL);
        position = clg_log_published(log);
    } else if (position > clg_log_claimed(log)) {
        return clg_fail(err, COMMITLOG_EBEYOND, 0, position, "sync beyond the end of the log");
    }
    return clg_log_flush(log, position, clg_store_until(store, timeout_ms), err);
}

int32_t commitlog_wait_durable(struct commitlog_store *store, uint64_t position, int32_t timeout_ms)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || store->read_only) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EMISUSE;
    }
    return clg_log_wait_durable(store->core->log, position, clg_store_until(store, timeout_ms));
}

int32_t commitlog_failure(struct commitlog_store *store, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "failure");
    }
    struct clg_core *core = clg_store_core(store);
    rc = clg_log_failure(core->log, err);
    clg_core_unref(core);
    return rc;
}
