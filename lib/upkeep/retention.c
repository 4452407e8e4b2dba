/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * retention.c -- which segments go, and the order in which they do. See retention.h.
 */
#include "upkeep/retention.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/limits.h"

/* Full, before the active one, and followed by something. */
static bool retention_may_go(const struct clg_retention_input *input, size_t i)
{
    CLG_ASSERT(i < input->count);
    const struct clg_retention_segment *segment = &input->segments[i];
    CLG_ASSERT(i == 0 || input->segments[i - 1].base < segment->base);
    return segment->full && segment->base < input->active_base && i + 1 < input->count;
}

static bool retention_too_old(const struct clg_retention_policy *policy,
                              const struct clg_retention_input *input, size_t i)
{
    int64_t last = input->segments[i].last_time_ns;
    CLG_ASSERT(i < input->count);
    if (policy->keep_age_ns == 0 || last >= input->now_ns) {
        return false; /* a clock that went back makes nothing old */
    }
    CLG_ASSERT(input->now_ns > last);
    return (uint64_t)input->now_ns - (uint64_t)last > policy->keep_age_ns;
}

size_t clg_retention_plan(const struct clg_retention_policy *policy,
                          const struct clg_retention_input *input, bool *out_held)
{
    uint64_t kept = 0;
    bool held = false;
    uint64_t disk_free = input->disk_free_bytes;
    CLG_ASSERT(policy != NULL);
    for (size_t i = 0; i < input->count; i++) {
        /* What is prepared behind the active one holds nothing yet. */
        kept += input->segments[i].base <= input->active_base ? input->segments[i].size : 0;
    }
    size_t drop = 0;
    while (drop < input->count && retention_may_go(input, drop)) {
        bool too_much = policy->keep_bytes != 0 && kept > policy->keep_bytes;
        bool too_full = policy->free_bytes != 0 && disk_free < policy->free_bytes;
        if (!too_much && !too_full && !retention_too_old(policy, input, drop)) {
            break;
        }
        held = input->segments[drop].base + input->segments[drop].size > input->kept_from;
        if (held) {
            break;
        }
        kept -= input->segments[drop].size;
        disk_free += input->segments[drop].size;
        drop++;
    }
    CLG_ASSERT(drop == 0 || drop < input->count);
    if (out_held != NULL) {
        *out_held = held;
    }
    return drop;
}

/* From the record that says so on the segment counts as gone, so whether it may go is asked before
 * that, and does not change until everybody sees it. */
static int retention_raise_first(uint64_t end, uint64_t first, const struct clg_retention_ops *ops,
                                 void *ctx, struct commitlog_retained *out,
                                 struct commitlog_error *err)
{
    uint64_t kept_from = UINT64_MAX;
    int rc = ops->claim != NULL ? ops->claim(ctx, &kept_from, err) : 0;
    if (rc != 0) {
        return rc;
    }
    out->kept_from = end > kept_from ? kept_from : 0;
    if (out->kept_from == 0) {
        rc = ops->append_first(ctx, first, err);
        rc = rc == 0 ? ops->flush(ctx, err) : rc;
        if (rc == 0 && !CLG_PLANTED(UNLINK_EARLY)) {
            rc = ops->checkpoint_first(ctx, first, err);
        }
        if (rc != 0 && ops->take_back_first != NULL) {
            ops->take_back_first(ctx);
        }
        out->first = rc == 0 ? first : out->first;
    }
    if (ops->release != NULL) {
        ops->release(ctx);
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Everything that makes the segment superfluous, before it goes; out->kept_from: it stays. */
static int retention_prepare(const struct clg_retention_segment *segment, uint64_t next_base,
                             const struct clg_retention_ops *ops, void *ctx,
                             struct commitlog_retained *out, struct commitlog_error *err)
{
    uint64_t end = segment->base + segment->size;
    uint64_t first = next_base + CLG_SEGMENT_DATA_START;
    uint64_t cost = 0;
    uint64_t carried = 0;
    CLG_ASSERT(end <= next_base);
    int rc = ops->carry_cost(ctx, segment->base, end, &cost);
    if (rc != 0) {
        return clg_fail(err, rc, 0, segment->base, "retention: cost of carrying forward");
    }
    if (cost > segment->size / 2) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, segment->base,
                        "retention stopped at segment %020" PRIu64 ": %" PRIu64
                        " bytes of live state would be written to free %" PRIu64,
                        segment->base, cost, segment->size);
    }
    if (!CLG_PLANTED(NO_CARRY)) {
        rc = ops->carry(ctx, segment->base, end, &carried, err);
    }
    out->bytes_carried += carried;
    if (rc == 0) {
        rc = ops->flush(ctx, err);
    }
    return rc == 0 ? retention_raise_first(end, first, ops, ctx, out, err) : rc;
}

int clg_retention_run(const struct clg_retention_input *input, size_t drop,
                      const struct clg_retention_ops *ops, void *ctx,
                      struct commitlog_retained *out, struct commitlog_error *err)
{
    memset(out, 0, sizeof(*out));
    out->struct_bytes = sizeof(*out);
    CLG_ASSERT(drop == 0 || drop < input->count);
    if (input->count > 0) {
        out->first = input->segments[0].base + CLG_SEGMENT_DATA_START;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < drop; i++) {
        const struct clg_retention_segment *segment = &input->segments[i];
        uint64_t held = 0;
        if (!retention_may_go(input, i)) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, segment->base,
                            "retention: segment %020" PRIu64 " is in use", segment->base);
        }
        if (i > 0 && ops->pause != NULL && ops->pause(ctx) != 0) {
            return clg_fail(err, COMMITLOG_EINTERRUPTED, 0, segment->base,
                            "retention was interrupted");
        }
        rc = retention_prepare(segment, input->segments[i + 1].base, ops, ctx, out, err);
        if (rc == 0 && out->kept_from != 0) {
            break; /* somebody has come to need it */
        }
        if (rc == 0) {
            rc = ops->unlink(ctx, segment->base, &held, err);
        }
        if (rc == 0 && CLG_PLANTED(UNLINK_EARLY)) {
            rc = ops->checkpoint_first(ctx, out->first, err);
        }
        if (rc == 0) {
            out->segments_dropped++;
            out->bytes_dropped += segment->size;
            out->bytes_held += held;
            rc = ops->flush_dirs(ctx, err);
        }
    }
    CLG_ASSERT(out->segments_dropped <= drop);
    return rc;
}
