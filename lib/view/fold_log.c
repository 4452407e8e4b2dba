/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_log.c -- the open commit log as the fold's source. See fold_log.h.
 *
 * Invariants: the log never calls the fold; here the fold calls the log.
 * Threads and locks: peek and set_folded under the fold lock, published from any thread.
 * Happy path: clg_log_peek. Failure modes: those of clg_log_peek.
 */
#include "view/fold_log.h"

#include "base/invariant.h"

static int source_peek(void *ctx, uint64_t position, struct clg_record_view *out,
                       struct commitlog_error *err)
{
    CLG_ASSERT(ctx != NULL);
    CLG_ASSERT(out != NULL);
    return clg_log_peek(ctx, position, out, err);
}

static uint64_t source_published(void *ctx)
{
    return clg_log_published(ctx);
}

static uint64_t source_durable(void *ctx)
{
    return clg_log_durable(ctx);
}

static void source_set_folded(void *ctx, uint64_t position)
{
    CLG_ASSERT(ctx != NULL);
    clg_log_set_folded(ctx, position);
}

void clg_fold_attach_log(struct clg_fold *fold, struct clg_log *log)
{
    CLG_ASSERT(fold != NULL);
    CLG_ASSERT(log != NULL);
    const struct clg_fold_source source = {.ctx = log,
                                           .peek = source_peek,
                                           .published = source_published,
                                           .set_folded = source_set_folded,
                                           .durable = source_durable};
    clg_fold_attach(fold, &source);
}
