/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.c - commitlog_get, but not for everybody all the time. See record.h.
 *
 * Happy path: get. Failure modes: no record begins there: for WRONG_TIMES as long as it took to
 * find out the connection gets none, and nobody does in this turn.
 */
#include "record.h"

enum { WRONG_TIMES = 20 };

int32_t record_get(struct connection *connection, int64_t position,
                   struct commitlog_message *out_message, struct commitlog_lease **out_lease)
{
    struct broker *broker = connection->broker;
    const uint64_t begin = uv_hrtime();
    if (position < 0)
        return COMMITLOG_ENOTFOUND;
    if (broker->wrong_turn == broker->turn || begin < connection->wrong_until_ns)
        return COMMITLOG_EBUSY;
    const int32_t code =
        commitlog_get(broker->store, (uint64_t)position, out_message, out_lease, NULL);
    if (code == COMMITLOG_ENOTFOUND || code == COMMITLOG_EDAMAGED) {
        const uint64_t end = uv_hrtime();
        broker->wrong_turn = broker->turn;
        connection->wrong_until_ns = end + WRONG_TIMES * (end - begin);
    }
    return code;
}
