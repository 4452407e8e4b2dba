/* SPDX-License-Identifier: BSD-2-Clause */
/* queue_choice.c -- see queue_choice.h. */
#include "group/queue_choice.h"

#include "commitlog.h"

#include "base/checksum.h"
#include "base/invariant.h"

/* A load that keeps its queue from being chosen. */
#define CHOICE_NEVER UINT64_MAX

uint32_t clg_queue_by_key(const void *key, size_t key_bytes, uint32_t queues)
{
    CLG_ASSERT(queues > 0);
    CLG_ASSERT(key != NULL || key_bytes == 0);
    return (uint32_t)(clg_hash64(key, key_bytes, 0) % queues);
}

int32_t commitlog_queue_by_key(const void *key, size_t key_bytes, uint32_t queues,
                               uint32_t *out_queue)
{
    if ((key == NULL && key_bytes > 0) || queues == 0 || out_queue == NULL) {
        return COMMITLOG_EINVAL;
    }
    *out_queue = clg_queue_by_key(key, key_bytes, queues);
    return COMMITLOG_OK;
}

int32_t commitlog_queue_round_robin(uint64_t *turn, uint32_t queues, uint32_t *out_queue)
{
    if (turn == NULL || (uintptr_t)turn % sizeof(*turn) != 0 || queues == 0 || out_queue == NULL) {
        return COMMITLOG_EINVAL;
    }
    *out_queue = (uint32_t)(__atomic_fetch_add(turn, 1, __ATOMIC_RELAXED) % queues);
    return COMMITLOG_OK;
}

int32_t commitlog_queue_least_loaded(const uint64_t *loads, uint32_t queues, uint64_t start,
                                     uint32_t *out_queue)
{
    if (loads == NULL || queues == 0 || out_queue == NULL) {
        return COMMITLOG_EINVAL;
    }
    uint32_t queue = (uint32_t)(start % queues);
    uint32_t best = queue;
    for (uint32_t i = 0; i < queues; i++) {
        best = loads[queue] < loads[best] ? queue : best;
        queue = queue + 1 < queues ? queue + 1 : 0;
    }
    if (loads[best] == CHOICE_NEVER) {
        return COMMITLOG_ENOTFOUND;
    }
    *out_queue = best;
    return COMMITLOG_OK;
}
