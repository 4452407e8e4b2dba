/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delay.h - when a message is to be delivered.
 *
 * Owns: nothing. Threads: any.
 */
#ifndef MINI_BROKER_DELAY_H
#define MINI_BROKER_DELAY_H

#include "properties.h"

enum { DELAY_LEVEL_MAX = 18, DELAY_RETRY_FIRST = 3 };

/* A level counts, and not a time. */
bool delay_is_level(const struct properties *properties);
/* *out_ms: since 1970, 0: at once. False: what is asked for makes no sense. */
bool delay_of(const struct properties *properties, int64_t now_ms, int64_t *out_ms);

#endif
