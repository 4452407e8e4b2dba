/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stat.c - see stat.h.
 *
 * Happy path: names are compared until it is found. Failure modes: none.
 */
#include "stat.h"

uint64_t stat_of(const struct broker *broker, const char *name)
{
    const char *found;
    uint64_t value;
    for (uint32_t i = 0; commitlog_stat(broker->store, i, &found, &value) == COMMITLOG_OK; i++) {
        if (strcmp(found, name) == 0)
            return value;
    }
    return 0;
}
