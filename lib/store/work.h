/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work.h -- what groups do with single messages: the writer's table, and how a change gets into the
 * log.
 *
 *   work.c      the table, changes
 *   receiver.c  handles; who is given what
 *   receipt.c   acknowledged, extended, given back
 *   dead.c      to the dead letters
 *
 * As for groups a writer decides by a table of its own, under the lock of groups, and appends the
 * record before the lock is given back; the view's table is the same as of what is folded.
 *
 * Retention has nothing to carry forward: a record of work lies behind every message that it names,
 * so when it goes, they have gone.
 *
 * Threads and locks: group_lock.
 */
#ifndef CLG_STORE_WORK_H
#define CLG_STORE_WORK_H

#include "log/reader.h"
#include "store/groups.h"

/* Runs of one queue: beyond it nothing new is given out of the queue until some are done. */
#define CLG_WORK_RUNS_LIMIT 65536u
#define CLG_WORK_MAX_ATTEMPTS 16u
#define CLG_WORK_VISIBILITY_MS 60000

struct commitlog_receiver {
    struct commitlog_store *store;
    struct commitlog_group group; /* a copy of the caller's handle */
    struct clg_reader reader;
    uint32_t topic;
    uint32_t turn; /* queue that is asked first */
    uint32_t max_attempts;
    uint32_t dead_topic; /* UINT32_MAX: not given */
    uint32_t dead_turn;  /* queue of it that the next one goes to */
    bool has_dead;       /* dead_topic is open */
    int64_t visibility_ms;
    bool ordered;
    /* What a receive is about to give out: the caller sees it once the record that says so is
     * there.
     */
    struct commitlog_delivery deliveries[COMMITLOG_RECEIVE_MAX];
    struct commitlog_message messages[]; /* as many */
};

CLG_MUST_CHECK int clg_work_init(struct commitlog_store *store, struct commitlog_error *err);
void clg_work_deinit(struct commitlog_store *store);

/* Appends the entries, behind `before` in one batch if there is one, and applies them to the
 * writer's table; receipts: of each of the two. Under the lock, with which it waits so long for
 * room in the stage, here and below: 0 where the caller waits for room without it
 * (clg_store_attempt), as where a time was taken that is to begin when it is stored. */
CLG_MUST_CHECK int clg_work_append(struct commitlog_store *store, const uint8_t *name,
                                   uint32_t name_bytes, const struct clg_work_entry *entries,
                                   uint32_t count, const struct clg_append *before, int32_t room_ms,
                                   struct commitlog_receipt *receipts, struct commitlog_error *err);
/* NULL: nothing is known of it. Under the lock. */
struct clg_work_queue *clg_work_find(const struct commitlog_receiver *receiver,
                                     uint32_t queue_number);
/* The group has consumed up to these offsets. Under the lock; the group is there. */
CLG_MUST_CHECK int clg_work_commit(const struct commitlog_receiver *receiver,
                                   const struct clg_group_entry *offsets, uint32_t count,
                                   int32_t room_ms, struct commitlog_receipt *receipt,
                                   struct commitlog_error *err);
/* The same, and the entries, beyond these offsets: all or nothing. One of the counts may be 0. */
CLG_MUST_CHECK int clg_work_commit_with(const struct commitlog_receiver *receiver,
                                        const struct clg_group_entry *offsets,
                                        uint32_t offset_count, const struct clg_work_entry *entries,
                                        uint32_t count, int32_t room_ms,
                                        struct commitlog_receipt *receipt,
                                        struct commitlog_error *err);
/* Commits what is done from the committed offset on. Under the lock. */
CLG_MUST_CHECK int clg_work_settle(const struct commitlog_receiver *receiver, uint32_t queue_number,
                                   int32_t room_ms, struct commitlog_receipt *receipt,
                                   struct commitlog_error *err);

/* dead.c: the messages [offset, offset + count), whose attempts are over, to the dead letters; they
 * are done then. Under the lock; the topic is there. */
CLG_MUST_CHECK int clg_work_bury(struct commitlog_receiver *receiver, uint32_t queue_number,
                                 uint64_t offset, uint32_t count, uint32_t attempts, uint8_t reason,
                                 int32_t room_ms, struct commitlog_error *err);
/* At the opening: does the topic exist that was given, or can it have its name? */
CLG_MUST_CHECK int clg_work_check_dead_topic(struct commitlog_receiver *receiver,
                                             struct commitlog_error *err);
/* Opens or makes the topic. Not under the lock. */
CLG_MUST_CHECK int clg_work_make_dead_topic(struct commitlog_receiver *receiver,
                                            struct commitlog_error *err);

#endif
