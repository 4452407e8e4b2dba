/*
 * store.h -- struct commitlog_store: wires the layers, owns the order in which they live and die.
 *
 * A core is everything folded from one opening of the directory: segments, registry, live area,
 * log, views. A writer has one for its whole life. A reader replaces it when the writer it follows
 * is gone or another one has come, so each call works on a reference to the core it began with.
 *
 * Life:  open:  directory + lock -> recovery -> live area -> views -> log -> LOCK -> threads
 *        close: threads -> flush, seal, images, state -> clean checkpoint -> live area -> lock
 *
 * Threads and locks: `core` is constant in a writer; in a reader it is exchanged under core_lock.
 *       checkpoint_lock covers the CHECKPOINT file and what it says; service_lock admits one step
 *       of upkeep at a time. Order: service > retention > group, producer > timer, transaction >
 *       checkpoint > fold's > log's.
 */
#ifndef CLG_STORE_STORE_H
#define CLG_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "format/attributes.h"
#include "log/commit_log.h"
#include "log/live.h"
#include "log/measure.h"
#include "log/reader.h"
#include "recovery/recover.h"
#include "recovery/store_dir.h"
#include "store/options.h"
#include "upkeep/damage_list.h"
#include "upkeep/scrub.h"
#include "view/checkpoint_file.h"
#include "view/fold.h"
#include "view/lookup.h"

#define CLG_EVENTS_MAX 256u

struct clg_core {
    const struct commitlog_os *os;
    struct commitlog_store *store; /* whose it is */
    _Atomic uint32_t refs;
    uint64_t generation; /* of this store: a cursor sees that its core was replaced */
    struct clg_segment_set set;
    struct clg_registry registry;
    struct clg_live live;
    struct clg_log *log;
    struct clg_fold *fold;
    bool follows;         /* reader beside a live writer */
    bool saw_writer;      /* reader: there was one when the core was made */
    bool keeps_live_file; /* a writer that failed leaves its stage as evidence */
    uint64_t writer_session;
    struct clg_lock_file lock;     /* reader: LOCK when the core was made, */
    uint64_t checkpoint_sequence;  /* and the newest of CHECKPOINT */
    uint64_t unrecovered_bytes;    /* reader without a writer: behind its end, not proven durable */
    struct clg_mutex refresh_lock; /* reader: new segments, raised first */
    /* What its opening found that the views leave out, or that a salvage made holes of: cursors say
     * where it is missing. */
    struct clg_damage_list opening_damage;
};

/* A reader's that took the place of another: the store has been open, and others may be asking what
 * its open found. */
static inline bool clg_core_is_later(const struct clg_core *core)
{
    return core->generation > 1;
}

struct clg_event_ring {
    struct clg_mutex lock;
    struct commitlog_event items[CLG_EVENTS_MAX];
    uint64_t head; /* next to be written */
    uint64_t tail; /* next to be read */
    uint64_t lost;
};

/* How soon upkeep looks again while there is traffic; and how long without any it is near. */
#define CLG_THREAD_NEAR_NS (INT64_C(1) * CLG_OS_NS_PER_MS)
#define CLG_THREAD_LINGER_NS (INT64_C(5) * CLG_OS_NS_PER_MS)

/* A thread of the library. It goes round by round, and comes back soon while there is traffic; then
 * it sleeps until it is due, or is woken: threads.c. */
struct clg_store_thread {
    uint64_t handle;
    bool runs;
    uint64_t seen_position;  /* published, as its last round saw it, */
    int64_t seen_ns;         /* and since when */
    _Atomic uint32_t called; /* 1: something is due that its last round did not know of */
    _Atomic uint32_t word;   /* 1: it sleeps, and has to be woken */
};

/* Upkeep: who is due when. Under service_lock. */
struct clg_services {
    int64_t flush_at_ns;
    int64_t idle_since_ns;
    int64_t retain_at_ns;
    int64_t expire_at_ns;       /* 0: there was no producer */
    uint64_t idle_position;     /* published when the traffic was last seen */
    uint64_t idle_checkpointed; /* published at the last idle checkpoint */
    uint64_t scrub_base;
    int64_t held_back_ns;       /* of the clock, as reported last */
    uint64_t prewrite_position; /* where the last judgement about prewriting began, and how */
    uint64_t prewrite_flushes;  /* many flushes there had been by then */
    struct clg_scrub scrub;
    struct clg_segment *hot; /* locked in memory */
};

/* Where they lie in the live area. What readers count is apart from what appenders do. */
enum clg_counter {
    CLG_COUNT_APPENDS = CLG_LIVE_COUNT_APPENDS, /* these two: counted under the claim lock */
    CLG_COUNT_APPENDED_BYTES = CLG_LIVE_COUNT_APPENDED_BYTES,
    CLG_COUNT_FLUSHES = CLG_LIVE_COUNT_FLUSHES, /* by the log */
    CLG_COUNT_BATCHES,
    CLG_COUNT_ROOM_WAITS,
    CLG_COUNT_CHECKPOINTS,
    CLG_COUNT_RETAINED_SEGMENTS,
    CLG_COUNT_RETAINED_BYTES,
    CLG_COUNT_CARRIED_BYTES,
    CLG_COUNT_DAMAGE,
    CLG_COUNT_MLOCK_REFUSED,
    CLG_COUNT_ENOSPC,
    CLG_COUNT_OPEN_NS, /* set once */
    CLG_COUNT_RECOVERY_NS,
    CLG_COUNT_TIMERS_DELIVERED,
    CLG_COUNT_TIMER_COPIES, /* delivered or carried, not by reference */
    CLG_COUNT_TRANSACTIONS_COMMITTED,
    CLG_COUNT_TRANSACTIONS_ROLLED_BACK,
    CLG_COUNT_TRANSACTION_COPIES, /* delivered or carried, not by reference */
    CLG_COUNT_LIMIT_WAITS,
    CLG_COUNT_READS = 32,
    CLG_COUNT_READ_BYTES,
    CLG_COUNTERS
};

struct commitlog_store {
    const struct commitlog_os *os;
    _Atomic uint32_t refs; /* the handle, cursors, leases, reservations */
    _Atomic uint32_t closed;
    _Atomic uint32_t interrupts; /* commitlog_interrupt; of all cores, which may change meanwhile */
    const uint32_t *fork_page;   /* 1 here, 0 in a child: MADV_WIPEONFORK */
    struct commitlog_options options;
    bool read_only;
    struct clg_store_dir dir;
    bool dir_is_open;
    struct clg_mutex core_lock;
    struct clg_core *core;
    struct clg_segment_supply supply;
    bool supply_is_open;
    struct commitlog_recovery recovery; /* of the open, and as it is from then on */
    struct clg_damage_list damage;      /* all that is known, opening_damage included */
    _Atomic uint32_t left_out;          /* 1: a view leaves out records, though this is no reader */
    struct clg_event_ring events;
    struct clg_mutex checkpoint_lock;
    struct clg_checkpoint_file checkpoint_file;
    struct clg_checkpoint checkpoint; /* as last written */
    struct clg_mutex retention_lock;
    _Atomic uint64_t
        retention_goes_below;       /* it is about to take what lies there: nothing refers to it */
    uint64_t kept_from;             /* by groups; under retention_lock */
    uint64_t kept_as_of;            /* of `keep_changes`; the same */
    struct clg_mutex growth_lock;   /* which steps a topic has; before group_lock */
    struct clg_mutex expiry_lock;   /* before group_lock */
    struct clg_expiry_table expiry; /* a writer's, under expiry_lock: expiry.h */
    struct clg_mutex group_lock;
    struct clg_group_table groups; /* a writer's, under group_lock: groups.h */
    struct clg_work_table work;    /* the same: work.h */
    uint64_t keep_changes; /* of groups that need what they had no need of, maybe; the same */
    struct clg_mutex producer_lock;
    struct clg_producer_table producers; /* a writer's, under producer_lock: producers.h */
    struct clg_mutex timer_lock;
    struct clg_timer_table timers; /* a writer's, under timer_lock: timers.h */
    _Atomic uint64_t timer_due_ms; /* of the first; UINT64_MAX: none */
    struct clg_mutex transaction_lock;
    struct clg_transaction_table transactions; /* a writer's, under the lock: transactions.h */
    _Atomic uint64_t transaction_due_ms;       /* upkeep has to look; UINT64_MAX: never */
    _Atomic uint32_t limits_on;                /* back-pressure: limits.h */
    _Atomic uint64_t limit_unflushed_bytes;
    _Atomic uint64_t limit_unconsumed_bytes;
    _Atomic uint64_t unconsumed_from; /* not beyond what groups have yet to consume */
    struct clg_mutex batch_lock;      /* who finds it taken allocates: append.c */
    void *batch_memory;               /* of a batch of so many records; the next one's, too */
    uint32_t batch_records;
    struct {
        struct clg_mutex lock; /* as batch_lock */
        struct commitlog_reservation *first;
        uint32_t count;
    } reservations; /* of handles that have ended, for the next: reservation.c */
    struct clg_mutex service_lock;
    struct clg_services services;
    struct clg_store_thread upkeep;  /* services.c; its `seen` also for commitlog_step */
    struct clg_store_thread drainer; /* drainer.c; the same */
    bool has_thread;                 /* both of them */
    _Atomic uint32_t thread_stop;
    _Atomic int32_t event_fd;          /* -1: nobody asked */
    _Atomic uint32_t topics_undefined; /* 1: there was no room for the definition of some topic */
    _Atomic uint32_t topics_creating;  /* so many are being made: others may see them already */
    uint32_t topics_defined;           /* those of lower ids are; under growth_lock */
    _Atomic uint32_t round_robin;
    _Atomic int64_t follow_checked_ns;           /* monotonic; reader */
    _Atomic uint64_t held_bytes;                 /* by leases whose segments were dropped */
    _Atomic uint64_t own_counters[CLG_COUNTERS]; /* enum clg_counter */
    _Atomic uint64_t *counters; /* a writer's lie in its live area, where others see them */
};

static inline void clg_count(struct commitlog_store *store, enum clg_counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&store->counters[which], n, memory_order_relaxed);
}

/* Output structs begin with the size their user was compiled with; 0 means ours. */
void clg_copy_out(void *out, const void *filled, uint32_t bytes);
/* Input structs: fields beyond ours must be zero. Copies what there is over zeros. */
CLG_MUST_CHECK int clg_copy_in(void *ours, uint32_t bytes, const void *in);
/* 0, or why no call may go on: NULL, another process's, closed. */
static inline int clg_store_enter(const struct commitlog_store *store)
{
    if (CLG_UNLIKELY(store == NULL)) {
        return COMMITLOG_EINVAL;
    }
    if (CLG_UNLIKELY(*(volatile const uint32_t *)store->fork_page == 0)) {
        return COMMITLOG_EFORK;
    }
    return clg_load_relaxed_u32(&store->closed) != 0 ? COMMITLOG_ECLOSED : COMMITLOG_OK;
}
/* A reference to the core of now; give it back with clg_core_unref. */
struct clg_core *clg_store_core(struct commitlog_store *store);
void clg_core_unref(struct clg_core *core);
void clg_store_ref(struct commitlog_store *store);
void clg_store_unref(struct commitlog_store *store);

/* core.c */
CLG_MUST_CHECK int clg_core_create(struct commitlog_store *store, struct clg_core **out);
/* Opens views and log over what recovery left in core->set. `live` is in place. */
CLG_MUST_CHECK int clg_core_open(struct commitlog_store *store, struct clg_core *core,
                                 const struct clg_recovery_result *result,
                                 struct commitlog_error *err);

/* follow.c: a reader's core */
CLG_MUST_CHECK int clg_follow_open(struct commitlog_store *store, struct clg_core **out,
                                   struct commitlog_error *err);
/* New segments, raised first. */
CLG_MUST_CHECK int clg_follow_refresh(struct commitlog_store *store, struct clg_core *core,
                                      struct commitlog_error *err);
/* The writer that was followed is gone, or one has come: replaces store->core. */
CLG_MUST_CHECK int clg_follow_check(struct commitlog_store *store, struct commitlog_error *err);
/* One call that may read more than once; zero at its begin. */
struct clg_follow_reads {
    int count;
    uint64_t first;
};
/*
 * Whether a read that failed with *rc at the core of this generation is to be begun again, at the
 * core of now. In a reader a file that cannot be opened may be one that retention has just removed,
 * or that was removed by a writer of whom the core knows nothing: one that came later, or whose
 * live area is private. If it is just opening or closing, *rc becomes COMMITLOG_EBUSY.
 */
bool clg_follow_again(struct commitlog_store *store, uint64_t generation,
                      struct clg_follow_reads *reads, int *rc);
/* A new core in place of `old`, which cannot go on, unless somebody has made one already. */
CLG_MUST_CHECK int clg_follow_restart(struct commitlog_store *store, const struct clg_core *old,
                                      struct commitlog_error *err);
/* The same, at most twice a second: for calls that find nothing new at the core of `generation`. */
CLG_MUST_CHECK int clg_follow_poll(struct commitlog_store *store, uint64_t generation,
                                   bool *out_replaced, struct commitlog_error *err);

/* visible.c */
/* As clg_store_fold, at this core, which it stays. ETOOSMALL: retention was faster. */
CLG_MUST_CHECK int clg_store_fold_core(struct commitlog_store *store, struct clg_core *core,
                                       uint64_t *out_visible, struct commitlog_error *err);
/* Where the readers' log ends; everything before it is folded. A reader that retention has
 * overtaken begins anew: *core (a reference) is exchanged for another one. */
CLG_MUST_CHECK int clg_store_fold(struct commitlog_store *store, struct clg_core **core,
                                  uint64_t *out_visible, struct commitlog_error *err);
/* The same for calls that ask how things are, or where the end is: a reader first looks, at most
 * twice a second, whether another writer has come, for nothing would ever tell one that only asks.
 * If it cannot look, that is the answer, and it looks again the next time. */
CLG_MUST_CHECK int clg_store_fold_now(struct commitlog_store *store, struct clg_core **core,
                                      uint64_t *out_visible, struct commitlog_error *err);
uint64_t clg_store_visible(const struct commitlog_store *store, const struct clg_core *core);
bool clg_store_is_durable_only(const struct commitlog_store *store);
/* Behind a publication: where readers see only what is durable, the flush says so (clg_log_config).
 */
static inline void clg_store_announce(struct commitlog_store *store)
{
    int32_t fd = atomic_load_explicit(&store->event_fd, memory_order_acquire);
    if (CLG_UNLIKELY(fd >= 0) && !clg_store_is_durable_only(store)) {
        (void)store->os->eventfd_signal(store->os, fd);
    }
}
/* Waits until visible > position. Statuses of commitlog_wait. */
CLG_MUST_CHECK int clg_store_wait(struct commitlog_store *store, uint64_t position,
                                  struct clg_until until);
/* How long to rest where something is due by the store's clock in `left_ns`. No longer than a
 * second: a wall clock that is set forward, or a machine that was suspended, makes it due earlier.
 * And no less than one millisecond: while a wall clock that was set back catches up, the store's
 * stands still. */
static inline int64_t clg_store_clocked_rest_ns(int64_t left_ns)
{
    const int64_t most_ns = 1000 * CLG_OS_NS_PER_MS;
    return left_ns <= 0                 ? 0
           : left_ns < CLG_OS_NS_PER_MS ? CLG_OS_NS_PER_MS
           : left_ns < most_ns          ? left_ns
                                        : most_ns;
}
/* Once for each public call: see struct clg_until. */
struct clg_until clg_store_until(const struct commitlog_store *store, int32_t timeout_ms);

/* threads.c; what the thread runs is given the store, and ends when thread_stop is set. */
CLG_MUST_CHECK int clg_thread_start(struct commitlog_store *store, struct clg_store_thread *thread,
                                    void (*fn)(void *arg), const char *name,
                                    struct commitlog_error *err);
void clg_thread_stop(struct commitlog_store *store, struct clg_store_thread *thread);
/* A round begins: what it was called for is looked at. */
void clg_thread_begin(struct clg_store_thread *thread);
/* Notes where the log ends. How long until it has to look at that again: soon, while there is
 * traffic, or CLG_OS_FOREVER. *out_moved: more was published since the last round. */
int64_t clg_thread_look(const struct commitlog_store *store, struct clg_store_thread *thread,
                        int64_t now_ns, bool *out_moved);
/* Unless it was called, or more was published, since. */
void clg_thread_sleep(struct commitlog_store *store, struct clg_store_thread *thread,
                      int64_t wait_ns);
/* Something is due that it cannot see. */
void clg_thread_call(struct commitlog_store *store, struct clg_store_thread *thread);

static inline void clg_thread_wake(struct commitlog_store *store, struct clg_store_thread *thread)
{
    if (CLG_UNLIKELY(clg_load_relaxed_u32(&thread->word) != 0) &&
        clg_swap_acqrel_u32(&thread->word, 0) != 0) {
        (void)store->os->futex_wake(store->os, &thread->word, 1, false);
    }
}

/* Behind an append. ORDER(thread-1): the full fence stands behind the publication, in
 * clg_publish_wake. */
static inline void clg_thread_notify(struct commitlog_store *store)
{
    clg_thread_wake(store, &store->drainer);
}

/* services.c */
CLG_MUST_CHECK int clg_services_start(struct commitlog_store *store, struct commitlog_error *err);
void clg_services_stop(struct commitlog_store *store);
/* Of its thread. */
void clg_services_main(void *arg);
/* A writer's: clg_log_seal of what is durable or can be made so; where damage keeps a segment from
 * its footer is told, whoever seals. */
CLG_MUST_CHECK int clg_store_seal(struct commitlog_store *store, bool *out_sealed,
                                  struct commitlog_error *err);
/* drainer.c: 0: there is more; CLG_OS_FOREVER: nothing will be left unless somebody appends; or in
 * how many nanoseconds to come back. */
int64_t clg_drainer_step(struct commitlog_store *store);
/* Of its thread. */
void clg_drainer_main(void *arg);
/* checkpoint.c */
CLG_MUST_CHECK int clg_store_checkpoint(struct commitlog_store *store, bool clean, uint64_t first,
                                        struct commitlog_error *err);
/* topics.c: the definitions for which there was no room when their topics were made, and of those
 * that are being made: before what names queues without being a message of one, before what makes
 * all before it durable, and at close. COMMITLOG_ETIMEDOUT: there is no room for one now; what
 * names queues is to wait, in an attempt. Takes growth_lock. */
int clg_topics_define_left(struct commitlog_store *store, struct commitlog_error *err);
/* One of them, in a stage that has room. COMMITLOG_EAGAIN: it has none. Under growth_lock. */
CLG_MUST_CHECK int clg_topics_define_locked(struct commitlog_store *store, struct clg_topic *topic,
                                            struct commitlog_error *err);

/* events.c */
void clg_store_event(struct commitlog_store *store, uint32_t severity,
                     const struct commitlog_error *detail);
/* What the opening found. COMMITLOG_ENOMEM: it is not in the lists. */
int clg_core_opening_damage(struct clg_core *core, const struct commitlog_damage *damage);
/* Are records of the log missing in the views: those of opening_damage? */
bool clg_core_lacks_records(struct clg_core *core);
/* Some of any queue in [from, to)? */
bool clg_core_lacks_between(struct clg_core *core, uint64_t from, uint64_t to);
/* From now on nothing is known but what the opening of this core found: a reader's, which takes the
 * place of another one, and tries that came to nothing. */
void clg_core_damage_anew(struct clg_core *core);
/* Retention has dropped what lies below. */
void clg_core_damage_drop(struct clg_core *core, uint64_t first);
/* Are they what lay before the first offset that the queue has? Else retention dropped it. */
CLG_MUST_CHECK int clg_core_lost_front(struct clg_core *core, uint32_t queue_number,
                                       uint64_t visible, const struct clg_lookup_range *range,
                                       bool *out_lost);
/* Takes what recovery reports as damaged into the lists. */
struct clg_recovery_report clg_core_recovery_sink(struct clg_core *core);
/* Topic and queue in it for a queue number of the store, where the log tells. */
void clg_store_name_damage(struct commitlog_store *store, struct commitlog_damage *damage);
/* What the scrub found: its queue is a number of the store, or UINT32_MAX. */
void clg_store_damage_found(struct commitlog_store *store, struct clg_core *core,
                            const struct commitlog_damage *found);
/* A record that fails its checks on a read. */
void clg_store_damage(struct commitlog_store *store, struct clg_core *core, uint64_t position,
                      uint64_t queue_offset, uint32_t queue_number, const char *reason);
/* Offsets of a queue that a read found lost: which positions they had is not known. */
void clg_store_lost(struct commitlog_store *store, struct clg_core *core, uint32_t queue_number,
                    uint64_t from_offset, uint64_t to_offset);

/* append.c: makes room after COMMITLOG_EAGAIN, by folding, draining, sealing. */
CLG_MUST_CHECK int clg_store_make_room(struct commitlog_store *store, struct commitlog_error *err);
/* Waits until there may be room again since the ticket was taken. */
CLG_MUST_CHECK int clg_store_wait_room(struct commitlog_store *store, uint32_t ticket,
                                       struct clg_until until, struct commitlog_error *err);
/* Calls `attempt`, which appends without waiting, until it is not COMMITLOG_ETIMEDOUT, or the
 * deadline has passed. Room is waited for outside of it, for who can make some may want its lock.
 */
typedef int (*clg_attempt_fn)(void *ctx, struct commitlog_error *err);
CLG_MUST_CHECK int clg_store_attempt(struct commitlog_store *store, clg_attempt_fn attempt,
                                     void *ctx, struct clg_until until,
                                     struct commitlog_error *err);
/* Appends, waiting for room until the deadline; then as clg_append_published. */
CLG_MUST_CHECK int clg_store_append(struct commitlog_store *store, const struct clg_append *items,
                                    uint32_t count, struct clg_until until,
                                    struct commitlog_receipt *receipts,
                                    struct commitlog_error *err);
/* Brings what ends at `end` to `level`. COMMITLOG_EUNKNOWN if that fails. */
CLG_MUST_CHECK int clg_store_reach(struct commitlog_store *store, uint64_t end, uint32_t level,
                                   struct clg_until until, struct commitlog_error *err);

/* Behind each publication: wakes and tells who waits for it, and folds a bounded piece if the
 * thread is behind and nobody else is at it. */
void clg_append_published(struct commitlog_store *store);
/* What the store keeps for batches, and for reservations: of these some may be open still when it
 * is closed. */
void clg_append_deinit(struct commitlog_store *store);
void clg_reservations_deinit(struct commitlog_store *store);
/* LEVEL_DEFAULT resolved. */
uint32_t clg_append_level(const struct commitlog_store *store, uint32_t level);
/* When an append began that is to be timed whatever its level; 0: it is not. */
static inline int64_t clg_append_begin(const struct commitlog_store *store)
{
    const struct commitlog_os *os = store->os;
    uint64_t appends = clg_load_relaxed_u64(&store->counters[CLG_COUNT_APPENDS]);
    return CLG_UNLIKELY(clg_measure_is_drawn(appends, CLG_MEASURE_ONE_IN_LOG2))
               ? os->clock_mono_ns(os)
               : 0;
}
/* The same once the level is known: those that wait for a disk are all timed. */
int64_t clg_append_begin_level(const struct commitlog_store *store, uint32_t level,
                               int64_t began_ns);
/* What follows a stored append: upkeep's wake-up, the level, statistics. */
CLG_MUST_CHECK int clg_append_finish(struct commitlog_store *store, uint32_t level, uint32_t count,
                                     struct clg_until until, int64_t began_ns,
                                     struct commitlog_receipt *receipts,
                                     struct commitlog_error *err);

/* message.c: fills the caller's struct from a record; untouched when it fails: EDAMAGED,
 * EUNSUPPORTED. */
CLG_MUST_CHECK int clg_message_fill(const struct clg_core *core, const struct clg_record_view *view,
                                    struct commitlog_message *out);
/* Number of a topic's queue, or an error for arguments out of range. */
CLG_MUST_CHECK int clg_store_queue(const struct clg_core *core, uint32_t topic, uint32_t queue,
                                   uint32_t *out_number);

#endif
