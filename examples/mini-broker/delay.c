/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delay.c - DELAY is a level of 1 to 18; TIMER_DELAY_SEC, TIMER_DELAY_MS and TIMER_DELIVER_MS any
 * time, which a level overrules; level 0 is none. See delay.h.
 *
 * Happy path: the time, which the store keeps. Failure modes: no number, or a time out of reach.
 */
#include "delay.h"

#include "command.h"

#define DELAY_MOST_MS (INT64_C(366) * 86400 * 1000 * 10)

bool delay_is_level(const struct properties *properties)
{
    int64_t value;
    return text_to_i64(properties->delay_level, &value) && value > 0;
}

bool delay_of(const struct properties *properties, int64_t now_ms, int64_t *out_ms)
{
    int64_t value;
    *out_ms = 0;
    if (properties->delay_level.bytes > 0) {
        if (!text_to_i64(properties->delay_level, &value))
            return false;
        if (value > DELAY_LEVEL_MAX)
            value = DELAY_LEVEL_MAX;
        if (value > 0) {
            *out_ms = now_ms + commitlog_delay_level_ms((uint32_t)value);
            return true;
        }
    }
    if (properties->delay_s.bytes > 0) {
        if (!text_to_i64(properties->delay_s, &value) || value > DELAY_MOST_MS / 1000)
            return false;
        value = value < 0 ? 0 : now_ms + value * 1000;
    } else if (properties->delay_ms.bytes > 0) {
        if (!text_to_i64(properties->delay_ms, &value) || value > DELAY_MOST_MS)
            return false;
        value += now_ms;
    } else if (properties->deliver_ms.bytes > 0) {
        if (!text_to_i64(properties->deliver_ms, &value) || value > now_ms + DELAY_MOST_MS)
            return false;
    } else {
        return true;
    }
    *out_ms = value > now_ms ? value : 0;
    return true;
}
