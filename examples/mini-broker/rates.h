/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.h - messages a second, over the last ten.
 *
 * Owns: the counts of the last seconds, of the broker and of each topic. Threads: the loop's.
 */
#ifndef MINI_BROKER_RATES_H
#define MINI_BROKER_RATES_H

#include "broker.h"

struct rates *rates_start(const struct broker *broker);
void rates_stop(struct rates *rates);
/* Once a second, or so: what really passed is measured. */
void rates_tick(struct rates *rates);
double rates_received(const struct rates *rates);
double rates_delivered(const struct rates *rates);
double rates_of_topic(const struct rates *rates, struct text topic);

#endif
