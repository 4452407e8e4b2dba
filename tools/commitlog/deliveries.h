/*
 * deliveries.h -- what was given out, as text: "QUEUE:OFFSET:ATTEMPT", or the line that `group
 * receive --json` printed.
 *
 * Owns: the list of a run.
 * Invariants: one that does not parse whole is refused, never guessed. Of an object the fields
 *       queue, offset and attempt count, and topic when it is there: that of another topic is
 *       refused.
 * Threads and locks: one thread; reading waits in lines_wait.
 * Failure modes: reported here.
 */
#ifndef COMMITLOG_TOOL_DELIVERIES_H
#define COMMITLOG_TOOL_DELIVERIES_H

#include "cli.h"

/* Room for a delivery as text. */
enum { DELIVERY_TEXT_BYTES = 48 };

struct delivery {
    struct commitlog_delivery what;
    uint64_t line; /* of the input, from 1; 0: an operand */
};

struct deliveries {
    struct delivery *items;
    size_t count;
    size_t room;
    bool bad; /* a line was left out */
};

void delivery_format(const struct commitlog_delivery *delivery, char *text);
/* All operands; false: one is none, or there is no memory. */
bool deliveries_take(struct deliveries *list, struct cli *cli, const char *const *operands);
/* Standard input to its end; bad lines are told and left out. CLI_DONE, or the exit code: a signal,
 * no memory, or a failing input. */
int deliveries_read(struct deliveries *list, struct cli *cli, const char *topic);
/* By queue, offset and attempt; one that is named twice stays once. */
void deliveries_sort(struct deliveries *list);
void deliveries_free(struct deliveries *list);

#endif
