/*
 * retain.h -- retention of an open store: the plan and order are upkeep/retention.h's, the hands
 * are here.
 */
#ifndef CLG_STORE_RETAIN_H
#define CLG_STORE_RETAIN_H

#include "commitlog.h"

#include "store/store.h"

/* *out is filled also on failure. COMMITLOG_EBUSY: carrying would cost too much of what is freed.
 */
CLG_MUST_CHECK int clg_retain_run(struct commitlog_store *store,
                                  const struct commitlog_retention *policy,
                                  struct commitlog_retained *out, struct commitlog_error *err);
/* After a salvage that gave up the beginning of the log, or a writer that died before what it said
 * to go was gone: appends the record that says where the log begins. No room: CHECKPOINT goes on
 * saying it alone. */
CLG_MUST_CHECK int clg_retain_tell_first(struct commitlog_store *store,
                                         struct commitlog_error *err);
/* If retention has said that a segment goes, and it stays: says so, if there is room. */
void clg_retain_take_back_first(struct commitlog_store *store);
/* Room that user appends leave on a full disk: the debt of the oldest segment and a margin. */
void clg_retain_update_reserve(struct commitlog_store *store);
/* Where the segment ends that goes next. Room is kept for all that waits before it, and what ends
 * its wait may take of that (takes_waiting): on a full disk retention may be waiting for just this.
 */
uint64_t clg_retain_next_end(struct commitlog_store *store);

#endif
