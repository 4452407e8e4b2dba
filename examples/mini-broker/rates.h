/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.h - how many messages were taken and given a second, lately, and in all until each morning.
 *
 * Owns: the counts of the broker as they were at times before. Invariants: a day begins where the
 * time zone of the process says so. Threads: the loop's.
 */
#ifndef MINI_BROKER_RATES_H
#define MINI_BROKER_RATES_H

#include "broker.h"

enum rates_of {
    RATES_PUT,
    RATES_GET,
    RATES_FOUND,     /* pulls that were given something */
    RATES_MISSED,    /* and that were not */
    RATES_DELAYED,   /* messages for later, taken */
    RATES_DELIVERED, /* and delivered */
    RATES_COUNT
};

bool rates_start(struct broker *broker);
void rates_stop(struct broker *broker);
/* A second, over the last so many seconds, 600 at most, or since the start if that is less. */
double rates_over(const struct broker *broker, enum rates_of which, uint32_t seconds);
/* Since the start of the broker until the last midnight, or the one before; 0: it was later. */
uint64_t rates_until_morning(const struct broker *broker, enum rates_of which, bool yesterday);

#endif
