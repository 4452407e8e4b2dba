/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.c - commitlog_get, but not for everybody all the time. See record.h.
 *
 * Happy path: get. Failure modes: no record begins there: for WRONG_TIMES as long as it took to
 * find out the connection gets none, and nobody does in a turn in which that took WRONG_TURN_NS.
 */
#include "record.h"

enum { WRONG_TIMES = 20, WRONG_TURN_NS = 2000000, WRONG_LEAST_NS = 100000000 };
enum { WRONG_QUICK_NS = 100000 }; /* found out at once: of that nobody need be kept */

int32_t record_get(struct connection *connection, int64_t position,
                   struct commitlog_message *out_message, struct commitlog_lease **out_lease)
{
    struct broker *broker = connection->broker;
    const uint64_t begin = uv_hrtime();
    if (position < 0)
        return COMMITLOG_ENOTFOUND;
    if (broker->wrong_turn != broker->turn) {
        broker->wrong_turn = broker->turn;
        broker->wrong_ns = 0;
    }
    if (broker->wrong_ns >= WRONG_TURN_NS || begin < connection->wrong_until_ns)
        return COMMITLOG_EBUSY;
    const int32_t code =
        commitlog_get(broker->store, (uint64_t)position, out_message, out_lease, NULL);
    if (code == COMMITLOG_ENOTFOUND || code == COMMITLOG_EDAMAGED) {
        const uint64_t took = uv_hrtime() - begin;
        const uint64_t rest = WRONG_TIMES * took;
        broker->wrong_ns += took;
        if (took > WRONG_QUICK_NS)
            connection->wrong_until_ns =
                begin + took + (rest > WRONG_LEAST_NS ? rest : (uint64_t)WRONG_LEAST_NS);
    }
    return code;
}
