/*
 * last.h -- finds where the last N records of a selection begin.
 *
 * Owns: nothing that outlives the call.
 * Invariants: the place is that of a record which matches the selection; with holes and filters,
 *       and however they are spread over the queues, exactly N records follow from there, or all
 *       when there are fewer. What is appended while it is searched comes on top. No record is read
 *       twice, but the first of each window.
 * Failure modes: what is damaged or does not read is left out, for the reading to name; others as
 *       of a read, reported here.
 */
#ifndef COMMITLOG_TOOL_LAST_H
#define COMMITLOG_TOOL_LAST_H

#include "open.h"

/* What a cursor is restricted to. */
struct last_selection {
    const struct commitlog_slice *tags; /* as for commitlog_cursor_set_tags */
    uint32_t tag_count;
    struct commitlog_filter *filter; /* NULL: none */
};

struct last {
    uint64_t position;
    uint64_t queue_offset;
    bool found; /* false: there is no matching record at all */
};

int32_t last_select(struct commitlog_cursor *cursor, const struct last_selection *selection);
/* Queues [from, to) of the topic. */
int last_find(struct cli *cli, struct store *store, uint32_t topic, uint32_t from, uint32_t to,
              const struct last_selection *selection, uint64_t count, struct last *last);

#endif
