/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.h - the status page, for people with a browser, on a telephone too.
 *
 * Owns: nothing. Invariants: 1. all is in the page: no script, no other resource; 2. every name is
 * escaped; 3. a table has at most PAGE_ROWS_MAX rows, and says how many more there would be.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_PAGE_H
#define MINI_BROKER_PAGE_H

#include "snapshot.h"

enum { PAGE_ROWS_MAX = 500, PAGE_REFRESH_SECONDS = 5 };

void page_put(struct buffer *out, const struct snapshot *snapshot);
/* Of the one topic that the snapshot has: its queues, its groups. */
void page_put_topic(struct buffer *out, const struct snapshot *snapshot);

#endif
