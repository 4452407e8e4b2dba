/* stats.c -- counters and gauges by name. One table; commitlog_stats(3) explains each. */
#include "base/error.h"
#include "base/order.h"
#include "store/store.h"

struct stats_gauges {
    struct clg_fold_stats fold;
    struct clg_segment_supply_stats supply;
    uint64_t segments;
    uint64_t segment_bytes;
    uint64_t staged_bytes;
};

static const struct {
    enum clg_counter which;
    const char *name;
} stats_counters[] = {
    {CLG_COUNT_APPENDS, "appends"},
    {CLG_COUNT_APPENDED_BYTES, "appended_bytes"},
    {CLG_COUNT_BATCHES, "batches"},
    {CLG_COUNT_READS, "reads"},
    {CLG_COUNT_READ_BYTES, "read_bytes"},
    {CLG_COUNT_ROOM_WAITS, "room_waits"},
    {CLG_COUNT_FLUSHES, "flushes"},
    {CLG_COUNT_CHECKPOINTS, "checkpoints"},
    {CLG_COUNT_RETAINED_SEGMENTS, "retained_segments"},
    {CLG_COUNT_RETAINED_BYTES, "retained_bytes"},
    {CLG_COUNT_CARRIED_BYTES, "carried_bytes"},
    {CLG_COUNT_DAMAGE, "damage_found"},
    {CLG_COUNT_MLOCK_REFUSED, "mlock_refused"},
    {CLG_COUNT_ENOSPC, "appends_refused_no_space"},
    {CLG_COUNT_OPEN_NS, "open_ns"},
    {CLG_COUNT_RECOVERY_NS, "recovery_ns"},
    {CLG_COUNT_LIMIT_WAITS, "limit_waits"},
    {CLG_COUNT_TIMERS_DELIVERED, "timers_delivered"},
    {CLG_COUNT_TIMER_COPIES, "timer_copies"},
    {CLG_COUNT_TRANSACTIONS_COMMITTED, "transactions_committed"},
    {CLG_COUNT_TRANSACTIONS_ROLLED_BACK, "transactions_rolled_back"},
    {CLG_COUNT_TRANSACTION_COPIES, "transaction_copies"},
};

#define STATS_COUNTERS (uint32_t)(sizeof(stats_counters) / sizeof(stats_counters[0]))

static void stats_collect(struct commitlog_store *store, struct stats_gauges *out)
{
    struct clg_core *core = clg_store_core(store);
    clg_fold_get_stats(core->fold, &out->fold);
    if (store->supply_is_open) {
        clg_segment_supply_get_stats(&store->supply, &out->supply);
    }
    out->segments = clg_segment_set_count(&core->set);
    out->segment_bytes = clg_segment_set_bytes(&core->set);
    out->staged_bytes = clg_log_staged_bytes(core->log);
    clg_core_unref(core);
}

int32_t commitlog_stat(struct commitlog_store *store, uint32_t index, const char **out_name,
                       uint64_t *out_value)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_name == NULL || out_value == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    if (index < STATS_COUNTERS) {
        *out_name = stats_counters[index].name;
        const enum clg_counter which = stats_counters[index].which;
        struct clg_core *core = clg_store_core(store);
        *out_value = clg_load_relaxed_u64(core->follows ? &core->live.area->counters[which]
                                                        : &store->counters[which]);
        clg_core_unref(core);
        return COMMITLOG_OK;
    }
    struct stats_gauges gauges = {0};
    stats_collect(store, &gauges);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"staged_bytes", gauges.staged_bytes},
        {"segments", gauges.segments},
        {"segment_bytes", gauges.segment_bytes},
        {"segments_made_ahead", gauges.supply.made_ahead},
        {"segments_made_late", gauges.supply.made_late},
        {"segments_refused_no_space", gauges.supply.refused},
        {"folded_position", gauges.fold.folded},
        {"folded_records", gauges.fold.records},
        {"fold_contradictions", gauges.fold.contradictions},
        {"view_memory_bytes", gauges.fold.memory_bytes},
        {"view_mapped_bytes", gauges.fold.mapped_bytes},
        {"view_files_written", gauges.fold.images_written},
        {"view_files_rebuilt", gauges.fold.images_rebuilt},
        {"view_files_pending", gauges.fold.images_pending},
        {"timers_waiting", gauges.fold.timers},
        {"timers_waiting_bytes", gauges.fold.timer_bytes},
        {"transactions_open", gauges.fold.transactions},
        {"transactions_open_bytes", gauges.fold.transaction_bytes},
    };
    if (index - STATS_COUNTERS >= sizeof(rows) / sizeof(rows[0])) {
        return COMMITLOG_ENOTFOUND;
    }
    *out_name = rows[index - STATS_COUNTERS].name;
    *out_value = rows[index - STATS_COUNTERS].value;
    return COMMITLOG_OK;
}
