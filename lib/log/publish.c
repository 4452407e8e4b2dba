/*
 * publish.c -- moves `published` over the contiguous committed records, and wakes who waits.
 *
 * Invariants: 1. everything before `published` is committed and will never change; 2. published
 *       stops at the oldest reservation; 3. it never stops inside a batch, because a batch is
 *       committed under the claim lock as a whole.
 * Threads and locks: clg_publish under claim_lock. Waking after it was released.
 * Lost wake-ups: a reader of this process announces itself in `waiters`, then looks at the
 *       position, then sleeps on the word it read before. The publisher stores the position, then
 *       looks at `waiters`. With a full fence on either side one of them sees the other:
 *       ORDER(wake-1). So it is with a nudge, for those who wait for one as well as for a position.
 * Followers write to nothing, so only the kernel knows whether one sleeps, and to ask it costs more
 *       than an append. Each drain tells them of what was published (so `written` is never left
 *       ahead of `announced`), and so do the appends while there are `listeners`: after somebody
 *       was found asleep, until PUBLISH_LISTENERS calls in a row have found nobody. The position
 *       that `announced` takes is loaded before the word changes, and stored when those who slept
 *       are woken: who has looked at a lower one sleeps on an older word, or on none.
 * Bounds: followers cost an append at most one system call, which wakes at most PUBLISH_WAKES of
 *       them. Nothing waits for what they do, or whether they live.
 */
#include <errno.h>

#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "base/probe.h"
#include "log/commit_log_internal.h"

static uint64_t publish_walk(const struct clg_log *log, uint64_t from)
{
    while (from < log->position) {
        const uint8_t *record;
        if (log->engine->writes_through && !clg_segment_holds(log->active, from)) {
            struct clg_segment *segment = NULL;
            if (clg_segment_set_pin(log->set, from, &segment) != COMMITLOG_OK) {
                break;
            }
            record = segment->write_map + (from - segment->base);
            clg_segment_unref(segment); /* the set holds it: it is not sealed yet */
        } else {
            record = log->engine->place(log, from);
        }
        uint32_t word = clg_word_load(record);
        if (clg_record_state(word) != CLG_RECORD_COMMITTED) {
            break;
        }
        from = clg_record_next(from, clg_record_size(word), record[CLG_RECORD_AT_KIND]);
    }
    return from;
}

void clg_publish(struct clg_log *log)
{
    struct clg_live_area *shared = log->shared;
    uint64_t published = clg_live_load(&shared->published);
    clg_live_store(&shared->claimed, log->position);
    uint32_t open = CLG_PLANTED(PUBLISH_PAST_CLAIM) ? 1 : 0;
    uint64_t end = log->reserved <= open ? log->position : publish_walk(log, published);
    CLG_ASSERT(end >= published && end <= log->position);
    if (end != published) {
        clg_live_store(&shared->published, end); /* ORDER(publish-1) release */
        if (log->engine->writes_through) {
            clg_live_store(&shared->written, end);
        }
    }
}

/* Many enough that a burst of records does not make the next one wait for a drain. */
#define PUBLISH_LISTENERS 16u
/* Each costs a microsecond or two; if there are more of them, a drain wakes them. */
#define PUBLISH_WAKES 8

static void publish_wake_own(const struct clg_log *log, struct clg_wake *wake)
{
    const struct commitlog_os *os = log->os;
    int64_t now = os->clock_mono_ns(os);
    uint32_t word = clg_add_acqrel_u32(&wake->word, 1) + 1; /* ORDER(wake-word) release side */
    /* Who is awake already finds the time of an earlier wake there, and does not count it. */
    clg_store_relaxed_u64(&wake->at_ns[word % CLG_WAKES_MAX], (uint64_t)now);
    CLG_PROBE1(wake, word);
    (void)os->futex_wake(os, &wake->word, INT32_MAX, false);
}

/* Tells at most `most` followers of what was published, unless they were told. */
static void publish_tell(struct clg_log *log, int32_t most)
{
    const struct commitlog_os *os = log->os;
    struct clg_live_wake *wake = &log->shared->wake;
    uint64_t published = clg_live_load(&log->shared->published);
    if (clg_load_acquire_u64(&log->announced) >= published) {
        return;
    }
    uint32_t word = clg_add_acqrel_u32(&wake->published, 1) + 1; /* ORDER(wake-word) release side */
    CLG_PROBE1(wake, word);
    int woken = os->futex_wake(os, &wake->published, most, true);
    uint32_t listeners = clg_load_relaxed_u32(&log->listeners);
    if (woken > 0) {
        clg_store_relaxed_u32(&log->listeners, PUBLISH_LISTENERS);
    } else if (listeners > 0) {
        clg_store_relaxed_u32(&log->listeners, listeners - 1);
    }
    if (woken < most) { /* else there may be more of them */
        published = CLG_PLANTED(TOLD_LATE) ? clg_live_load(&log->shared->published) : published;
        clg_raise_release_u64(&log->announced, published);
    }
}

void clg_announce(struct clg_log *log)
{
    publish_tell(log, INT32_MAX);
}

void clg_publish_wake(struct clg_log *log)
{
    clg_fence_seqcst_behind_rmw(); /* ORDER(wake-1) publisher; the claim lock was given back */
    if (clg_load_relaxed_u32(&log->published_wake.waiters) != 0) {
        publish_wake_own(log, &log->published_wake);
    }
    if (clg_load_relaxed_u32(&log->listeners) != 0) {
        publish_tell(log, PUBLISH_WAKES);
    }
}

void clg_wake_durable(struct clg_log *log)
{
    clg_fence_seqcst(); /* ORDER(wake-1) publisher */
    if (clg_load_relaxed_u32(&log->durable_wake.waiters) != 0) {
        publish_wake_own(log, &log->durable_wake);
    }
    clg_wake_word(log->os, &log->shared->wake.durable, true);
    int32_t fd =
        log->event_fd != NULL ? atomic_load_explicit(log->event_fd, memory_order_acquire) : -1;
    if (fd >= 0) {
        (void)log->os->eventfd_signal(log->os, fd);
    }
}

void clg_log_nudge(struct clg_log *log)
{
    struct clg_wake *const wakes[] = {&log->published_wake, &log->durable_wake};
    (void)clg_add_acqrel_u32(&log->nudges, 1);
    clg_fence_seqcst(); /* ORDER(wake-1) publisher */
    if (clg_load_relaxed_u32(&log->nudge_waiters) == 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(wakes) / sizeof(wakes[0]); i++) {
        if (clg_load_relaxed_u32(&wakes[i]->waiters) != 0) {
            publish_wake_own(log, wakes[i]);
        }
    }
}

uint32_t clg_log_nudges(const struct clg_log *log)
{
    return clg_load_acquire_u32(&log->nudges);
}

void clg_wake_all(struct clg_log *log)
{
    publish_wake_own(log, &log->published_wake);
    publish_wake_own(log, &log->durable_wake);
    clg_wake_word(log->os, &log->room_word, false);
    clg_flush_wake(log);
    if (log->is_follower) {
        const struct clg_live_wake *shared = &log->shared->wake;
        (void)log->os->futex_wake(log->os, &shared->published, INT32_MAX, true);
        (void)log->os->futex_wake(log->os, &shared->durable, INT32_MAX, true);
    }
}

/* A reader slept since `slept_ns` on the word `seen`: how long was it from the first wake to here?
 */
static void publish_woken(const struct clg_log *log, const struct clg_wake *wake, uint32_t seen,
                          int64_t slept_ns)
{
    int64_t woken = (int64_t)clg_load_relaxed_u64(&wake->at_ns[(seen + 1) % CLG_WAKES_MAX]);
    int64_t now = log->os->clock_mono_ns(log->os);
    if (woken >= slept_ns && woken <= now) {
        clg_measure(log->live, CLG_HISTOGRAM_WAKE_UP, clg_measure_ns(woken, now));
        CLG_PROBE1(woken, now - woken);
    }
}

void clg_room_changed(struct clg_log *log)
{
    clg_fence_seqcst(); /* ORDER(room-2): as wake-1 */
    if (clg_load_relaxed_u32(&log->room_waiters) != 0) {
        clg_wake_word(log->os, &log->room_word, false);
    }
}

uint32_t clg_log_room_ticket(const struct clg_log *log)
{
    return clg_load_acquire_u32(&log->room_word);
}

/* The ticket was read before room_waiters rose, so a change between the two would not have been
 * announced: bounded sleeps make that a delay, not a hang. */
#define ROOM_SLICE_NS (INT64_C(2) * CLG_OS_NS_PER_MS)

int clg_log_wait_room(struct clg_log *log, uint32_t ticket, struct clg_until until)
{
    const struct commitlog_os *os = log->os;
    if (clg_os_left(os, until.mono_ns) == 0) {
        return COMMITLOG_ETIMEDOUT;
    }
    if (clg_log_is_interrupted(log, until)) {
        return COMMITLOG_EINTERRUPTED;
    }
    (void)clg_add_acqrel_u32(&log->room_waiters, 1);
    clg_fence_seqcst(); /* ORDER(room-2) */
    int64_t slice = os->clock_mono_ns(os) + ROOM_SLICE_NS;
    int64_t end = until.mono_ns < slice ? until.mono_ns : slice;
    int rc = clg_wait_word(os, &log->room_word, ticket, end, false);
    (void)rc; /* changed or not: the caller tries again and comes back */
    (void)clg_sub_acqrel_u32(&log->room_waiters, 1);
    return clg_log_is_interrupted(log, until) ? COMMITLOG_EINTERRUPTED : COMMITLOG_OK;
}

static uint64_t publish_visible(const struct clg_log *log, bool durable_only)
{
    bool only = durable_only || clg_log_has_failed(log);
    return clg_live_load(only ? &log->shared->durable : &log->shared->published);
}

/* A follower cannot announce itself: it sleeps in slices and sees the writer end. */
#define FOLLOWER_SLICE_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)

/* One sleep on the word: 0, -ETIMEDOUT, or COMMITLOG_EAGAIN: the slice is over. */
static int publish_follow(const struct clg_log *log, const _Atomic uint32_t *word, uint32_t seen,
                          int64_t end_mono_ns)
{
    const struct commitlog_os *os = log->os;
    int64_t slice = os->clock_mono_ns(os) + FOLLOWER_SLICE_NS;
    bool last = end_mono_ns <= slice;
    int64_t left = clg_os_left(os, last ? end_mono_ns : slice);
    /* Once, whatever wakes it: an interrupt cannot change the word, which is the writer's. */
    int rc = left == 0 ? -ETIMEDOUT : os->futex_wait(os, word, seen, left, true);
    return rc != -ETIMEDOUT ? 0 : last ? rc : COMMITLOG_EAGAIN;
}

static int publish_sleep(const struct clg_log *log, const struct clg_wake *wake, uint32_t seen,
                         int64_t end_mono_ns)
{
    int64_t slept = log->os->clock_mono_ns(log->os);
    int rc = clg_wait_word(log->os, &wake->word, seen, end_mono_ns, false);
    if (rc == 0) {
        publish_woken(log, wake, seen, slept);
    }
    return rc;
}

/* NULL nudges: none is waited for. */
static bool publish_has_come(const struct clg_log *log, uint64_t position, const uint32_t *nudges,
                             bool durable_only)
{
    return publish_visible(log, durable_only) > position ||
           (nudges != NULL && clg_log_nudges(log) != *nudges);
}

static int publish_wait(struct clg_log *log, uint64_t position, const uint32_t *nudges,
                        bool durable_only, struct clg_until until)
{
    struct clg_wake *wake = durable_only ? &log->durable_wake : &log->published_wake;
    const struct clg_live_wake *shared = &log->shared->wake;
    const _Atomic uint32_t *word = !log->is_follower ? &wake->word
                                   : durable_only    ? &shared->durable
                                                     : &shared->published;
    int rc = COMMITLOG_OK;
    (void)clg_add_acqrel_u32(&wake->waiters, 1); /* a follower's own: nobody looks at it */
    for (;;) {
        clg_fence_seqcst(); /* ORDER(wake-1) waiter */
        uint32_t seen = clg_load_acquire_u32(word);
        if (publish_has_come(log, position, nudges, durable_only)) {
            break;
        }
        if (CLG_PLANTED(LOST_WAKE)) {
            seen = clg_load_acquire_u32(word);
        }
        if (clg_log_is_interrupted(log, until)) {
            rc = COMMITLOG_EINTERRUPTED;
            break;
        }
        if (clg_load_acquire_u32(&log->shared->closed.flag) != CLG_LIVE_OPEN) {
            rc = log->is_follower ? COMMITLOG_ECLOSED : clg_log_failure(log, NULL);
            break;
        }
        rc = log->is_follower ? publish_follow(log, word, seen, until.mono_ns)
                              : publish_sleep(log, wake, seen, until.mono_ns);
        if (rc == -ETIMEDOUT) {
            rc = publish_has_come(log, position, nudges, durable_only) ? COMMITLOG_OK
                                                                       : COMMITLOG_ETIMEDOUT;
            break;
        }
        if (rc != 0) {
            break; /* a follower looks whether the writer is still there */
        }
    }
    (void)clg_sub_acqrel_u32(&wake->waiters, 1);
    return rc;
}

int clg_log_wait_visible(struct clg_log *log, uint64_t position, bool durable_only,
                         struct clg_until until)
{
    return publish_wait(log, position, NULL, durable_only, until);
}

int clg_log_wait_nudged(struct clg_log *log, uint64_t position, uint32_t nudges, bool durable_only,
                        struct clg_until until)
{
    (void)clg_add_acqrel_u32(&log->nudge_waiters, 1); /* before the fence of ORDER(wake-1) waiter */
    int rc = publish_wait(log, position, &nudges, durable_only, until);
    (void)clg_sub_acqrel_u32(&log->nudge_waiters, 1);
    return rc;
}

int clg_log_wait_failed(struct clg_log *log, int rc, uint64_t position, struct commitlog_error *err)
{
    switch (rc) {
    case COMMITLOG_ETIMEDOUT:
        return clg_fail(err, rc, 0, position, "not reached within the time-out");
    case COMMITLOG_EINTERRUPTED:
        return clg_fail(err, rc, 0, position, "the wait was interrupted");
    default:
        return clg_log_failure(log, err);
    }
}

bool clg_log_is_interrupted(const struct clg_log *log, struct clg_until until)
{
    return clg_load_acquire_u32(log->interrupts) != until.interrupts;
}

struct clg_until clg_log_forever(const struct clg_log *log)
{
    return (struct clg_until){CLG_OS_FOREVER, clg_load_acquire_u32(log->interrupts)};
}
