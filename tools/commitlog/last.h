/*
 * last.h -- finds where the last N records of a selection begin.
 *
 * Owns: nothing that outlives the call.
 * Invariants: the place is that of a record which matches the tags; with holes and filters too,
 *       exactly N records follow from there, or all when there are fewer. What is appended while it
 *       is searched comes on top.
 * Failure modes: as a read; reported here.
 */
#ifndef COMMITLOG_TOOL_LAST_H
#define COMMITLOG_TOOL_LAST_H

#include "open.h"

struct last {
    uint64_t position;
    uint64_t queue_offset;
    bool found; /* false: there is no matching record at all */
};

/* Queues [from, to) of the topic; tags as for commitlog_cursor_set_tags. */
int last_find(struct cli *cli, struct store *store, uint32_t topic, uint32_t from, uint32_t to,
              const struct commitlog_slice *tags, uint32_t tag_count, uint64_t count,
              struct last *last);

#endif
