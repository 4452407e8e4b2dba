/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topic_rates.h - messages a second of each topic, over the last ten.
 *
 * Owns: the counts of the last seconds. Threads: the loop's.
 */
#ifndef MINI_BROKER_TOPIC_RATES_H
#define MINI_BROKER_TOPIC_RATES_H

#include "broker.h"

struct topic_rates *topic_rates_start(const struct broker *broker);
void topic_rates_stop(struct topic_rates *rates);
/* Once a second, or so: what really passed is measured. */
void topic_rates_tick(struct topic_rates *rates);
double topic_rate(const struct topic_rates *rates, struct text topic);

#endif
