/*
 * offset_in.h -- offsets that a group is to commit: as text, and why one is refused.
 *
 * Threads and locks: none.
 * Failure modes: reported here.
 */
#ifndef COMMITLOG_TOOL_OFFSET_IN_H
#define COMMITLOG_TOOL_OFFSET_IN_H

#include "cli.h"

/* "QUEUE=OFFSET" into both; with `topic`, "TOPIC/QUEUE=OFFSET", whose topic stays part of the text.
 * False: reported as wrong usage of --offset. */
bool offset_parse(struct cli *cli, const char *text, struct commitlog_slice *topic,
                  struct commitlog_group_offset *out);
/* Of a commit that failed with `code`: tells it if this offset is the reason. False: it is none
 * that one can see. */
bool offset_tell_refused(struct cli *cli, struct commitlog_store *store,
                         struct commitlog_group *group, int32_t code,
                         const struct commitlog_group_offset *wanted);

#endif
