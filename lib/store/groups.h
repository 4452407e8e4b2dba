/*
 * groups.h -- consumer groups as the public interface has them.
 *
 *   groups.c         handles, settings, epochs; how a change gets into the log
 *   group_offsets.c  commit, fetch, reset, lag
 *   group_carry.c    what retention asks: state to carry forward, messages to keep
 *
 * A writer keeps a table of its own, as of the last record that was appended: whether a change is
 * allowed is decided by it under `lock`, and the record is appended before the lock is given back.
 * So the order in the log is the order of the decisions, and the fold need not decide anything. The
 * view's table is the same thing as of what is folded: readers of other processes, .state, opening.
 *
 * Threads and locks: `lock` is taken before the fold's, the log's and the checkpoint's, after those
 * of retention and expiry. Retention holds it from the question what groups have yet to consume
 * until the raised first is what all see, over a short flush; expiry until its record is appended.
 */
#ifndef CLG_STORE_GROUPS_H
#define CLG_STORE_GROUPS_H

#include "store/store.h"

/* A change that is given no time-out waits no longer than this for room in the stage. */
#define CLG_GROUPS_ROOM_MS 5000

struct commitlog_group {
    struct commitlog_store *store;
    uint64_t hash;
    uint64_t birth; /* a writer's: which one of this name; 0: whichever there is */
    uint32_t name_bytes;
    char name[CLG_GROUP_NAME_MAX + 1]; /* ends in NUL */
};

/* A writer's table, from the views. */
CLG_MUST_CHECK int clg_groups_init(struct commitlog_store *store, struct commitlog_error *err);
void clg_groups_deinit(struct commitlog_store *store);

/* Calls `look` with the table that counts, under the lock that covers it; its result. A reader's is
 * that of the core: the numbers of queues are of that one alone. */
CLG_MUST_CHECK int clg_groups_look_at(struct commitlog_store *store, const struct clg_core *core,
                                      clg_fold_groups_fn look, void *ctx);
/* The same at the core of now. */
CLG_MUST_CHECK int clg_groups_look(struct commitlog_store *store, clg_fold_groups_fn look,
                                   void *ctx, struct commitlog_error *err);

/* 0, or why nothing can be changed: closed, read-only, level. */
CLG_MUST_CHECK int clg_groups_enter_write(struct commitlog_store *store, uint32_t level,
                                          const char *what, struct commitlog_error *err);
/* NULL: deleted. Under the lock, or inside a look. */
struct clg_group *clg_groups_find(const struct commitlog_group *handle,
                                  const struct clg_group_table *table);
CLG_MUST_CHECK int clg_groups_not_found(const struct commitlog_group *handle,
                                        struct commitlog_error *err);

/* Appends the change and applies it to the writer's table. Under the lock. `carry`: it may use the
 * stretch of a full disk that is kept for retention. */
CLG_MUST_CHECK int clg_groups_append(struct commitlog_store *store,
                                     const struct clg_group_change *change,
                                     const struct clg_group_entry *entries, bool carry,
                                     struct clg_until until, struct commitlog_receipt *receipt,
                                     struct commitlog_error *err);

/* The same in steps, for a batch with others: make, append, apply at its position, free. Stays
 * where it is until then. Under the lock. */
struct clg_group_item {
    struct clg_append item;
    struct commitlog_slice slice;
    struct clg_group_change change;
    uint8_t *body;
    uint8_t small[512]; /* one queue and the longest name need no memory of their own */
};
CLG_MUST_CHECK int clg_groups_make_item(struct commitlog_store *store,
                                        const struct clg_group_change *change,
                                        const struct clg_group_entry *entries,
                                        struct clg_group_item *out, struct commitlog_error *err);
void clg_groups_apply_item(struct commitlog_store *store, const struct clg_group_item *item,
                           uint64_t position);
void clg_groups_free_item(struct commitlog_store *store, struct clg_group_item *item);

/* group_offsets.c: what is asked for as entries, sorted, each within its queue. */
CLG_MUST_CHECK int clg_group_offsets_collect(struct commitlog_store *store,
                                             const struct commitlog_group_offset *offsets,
                                             uint32_t count, struct clg_group_entry *entries,
                                             struct commitlog_error *err);
/* May a member of this epoch (0: nobody's) commit them? `was_judged`: they were let through a gate.
 * Those that are committed already fall out of *count; *out: the change, and where the last one is
 * said. Under the lock. */
CLG_MUST_CHECK int clg_group_offsets_judge(const struct commitlog_group *handle, uint32_t epoch,
                                           bool reset, bool was_judged,
                                           struct clg_group_entry *entries, uint32_t *count,
                                           struct clg_group_change *out,
                                           uint64_t *out_last_position,
                                           struct commitlog_error *err);

/* group_carry.c: bytes of the records that clg_groups_carry would write now. */
uint64_t clg_groups_carry_cost(struct commitlog_store *store, uint64_t end);
/* Writes again what is last said by a record below `end`. */
CLG_MUST_CHECK int clg_groups_carry(struct commitlog_store *store, uint64_t end,
                                    uint64_t *out_bytes, struct commitlog_error *err);
/* The first position that a group with COMMITLOG_GROUP_KEEP has yet to consume; UINT64_MAX: none.
 * Everything is folded. Under the lock, for what is true without it may not be a moment later. */
CLG_MUST_CHECK int clg_groups_kept_from(struct commitlog_store *store, uint64_t *out_position,
                                        struct commitlog_error *err);
/* The same of the messages as they lie in their queues, whatever they refer to. Under the lock. */
CLG_MUST_CHECK int clg_groups_unconsumed_from(struct commitlog_store *store, uint64_t *out_position,
                                              struct commitlog_error *err);
/* Of one topic's messages only. Under the lock. */
CLG_MUST_CHECK int clg_groups_unconsumed_of(struct commitlog_store *store,
                                            const struct clg_topic *topic, uint64_t *out_position,
                                            struct commitlog_error *err);

#endif
