/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * namesrv.h - names and values that clients keep at the name server.
 *
 * Owns: them, in memory. Threads: the loop's.
 */
#ifndef MINI_BROKER_NAMESRV_H
#define MINI_BROKER_NAMESRV_H

#include "broker.h"

bool namesrv_start(struct broker *broker);
void namesrv_stop(struct broker *broker);

#endif
