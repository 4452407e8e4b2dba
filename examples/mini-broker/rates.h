/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.h - how many messages were taken and given a second, lately.
 *
 * Owns: the two counts of the broker as they were at times before. Threads: the loop's.
 */
#ifndef MINI_BROKER_RATES_H
#define MINI_BROKER_RATES_H

#include "broker.h"

enum rates_of { RATES_PUT, RATES_GET };

bool rates_start(struct broker *broker);
void rates_stop(struct broker *broker);
/* A second, over the last so many seconds, 600 at most, or since the start if that is less. */
double rates_over(const struct broker *broker, enum rates_of which, uint32_t seconds);

#endif
