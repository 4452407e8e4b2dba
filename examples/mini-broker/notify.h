/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify.h - the sd_notify protocol: a word to the service manager, if there is one.
 *
 * Owns: nothing. Invariants: where NOTIFY_SOCKET is not set nothing happens. Threads: the loop's.
 */
#ifndef MINI_BROKER_NOTIFY_H
#define MINI_BROKER_NOTIFY_H

#include <stdint.h>

/* "READY=1" and its like, one a line. */
void notify(const char *state);
void notify_reloading(void);
/* How often to say WATCHDOG=1; 0: never. */
uint64_t notify_watchdog_ms(void);

#endif
