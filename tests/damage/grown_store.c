/* SPDX-License-Identifier: BSD-2-Clause */
/* grown_store.c -- see grown_store.h. */
#include "grown_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

typedef unsigned long long ull;

enum { BATCH_MAX = 6, BODY_MAX = 30000 };

struct session {
    struct grown *grown;
    struct commitlog_store *store;
    uint32_t numbers[BOOK_TOPICS];
    struct commitlog_reservation *held;
    uint64_t segment_bytes;
};

static const char *const end_names[GROWN_ENDS] = {"closed", "idle-killed", "idle-cut", "killed",
                                                  "cut"};

const char *grown_end_name(enum grown_end end)
{
    return end_names[end];
}

bool grown_is_settled(const struct grown *grown)
{
    return grown->end <= GROWN_IDLE_CUT;
}

struct commitlog_options *grown_options(const struct grown *grown, struct commitlog_fault *machine,
                                        uint64_t access, uint64_t recovery)
{
    struct commitlog_options *options = NULL;
    const struct {
        int32_t id;
        uint64_t value;
    } values[] = {{COMMITLOG_OPT_STAGE_BYTES, 65536},     {COMMITLOG_OPT_THREAD, 0},
                  {COMMITLOG_OPT_FLUSH, grown->flush},    {COMMITLOG_OPT_ENGINE, grown->engine},
                  {COMMITLOG_OPT_LIVE_AREA, grown->live}, {COMMITLOG_OPT_BORROW, grown->borrow},
                  {COMMITLOG_OPT_ACCESS, access},         {COMMITLOG_OPT_RECOVERY, recovery}};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        CHECK_RC(commitlog_options_set(options, values[i].id, values[i].value, NULL), COMMITLOG_OK);
    }
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    return options;
}

/* ---- appends ------------------------------------------------------------------------------- */

static uint32_t session_level(struct session *session)
{
    static const uint32_t levels[] = {COMMITLOG_LEVEL_NONE, COMMITLOG_LEVEL_NONE,
                                      COMMITLOG_LEVEL_NONE, COMMITLOG_LEVEL_WRITTEN,
                                      COMMITLOG_LEVEL_DURABLE};
    return levels[rng_below(&session->grown->rng, 5)];
}

static uint32_t session_bytes(struct session *session)
{
    struct rng *rng = &session->grown->rng;
    uint64_t kind = rng_below(rng, 100);
    return (uint32_t)(kind < 60   ? rng_below(rng, 200)
                      : kind < 90 ? rng_below(rng, 2000)
                      : kind < 97 ? rng_below(rng, 8000)
                                  : rng_between(rng, 15000, BODY_MAX));
}

static void session_draw(struct session *session, uint32_t bytes, struct book_draft *draft,
                         struct commitlog_record *record)
{
    struct rng *rng = &session->grown->rng;
    uint32_t topic = (uint32_t)rng_below(rng, BOOK_TOPICS);
    struct commitlog_error err = {.message = ""};
    size_t name_bytes;
    const char *name = book_topic_name(topic, &name_bytes);
    if (session->numbers[topic] == BOOK_NONE) {
        CHECK_OK(commitlog_topic_open(session->store, name, name_bytes, book_topic_queues(topic),
                                      &session->numbers[topic], &err),
                 &err);
    }
    book_draw(&session->grown->book, rng, topic, session->numbers[topic], bytes, draft, record);
}

static void session_put(struct session *session, uint32_t bytes, uint32_t level)
{
    struct book *book = &session->grown->book;
    struct book_draft draft;
    struct commitlog_record record;
    struct commitlog_receipt receipt;
    struct commitlog_error err = {.message = ""};
    session_draw(session, bytes, &draft, &record);
    record.level = level;
    CHECK_OK(commitlog_append_record(session->store, &record, 1000, &receipt, &err), &err);
    CHECK(receipt.end_position - receipt.position == book_record_bytes(&record));
    book_store(book, &draft, &receipt);
    book_reached(book, receipt.end_position, receipt.level);
}

static void session_batch(struct session *session)
{
    struct book *book = &session->grown->book;
    struct book_draft drafts[BATCH_MAX];
    struct commitlog_record records[BATCH_MAX];
    struct commitlog_receipt receipts[BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count = (uint32_t)rng_between(&session->grown->rng, 2, BATCH_MAX);
    uint32_t level = session_level(session);
    for (uint32_t i = 0; i < count; i++) {
        session_draw(session, (uint32_t)rng_below(&session->grown->rng, 1500), &drafts[i],
                     &records[i]);
        records[i].level = level;
    }
    CHECK_OK(commitlog_append_batch(session->store, records, count, 1000, receipts, &err), &err);
    for (uint32_t i = 0; i < count; i++) {
        book_store(book, &drafts[i], &receipts[i]);
    }
    book_batch(book, count);
    book_reached(book, receipts[count - 1].end_position, receipts[0].level);
}

/* A reservation that is not committed uses up its place and its offset. There is no receipt: what
 * was claimed ends with it; what this had to append before it (epoch, topic, pad) is not of it. */
static void session_hole(struct session *session, bool hold)
{
    struct book *book = &session->grown->book;
    struct book_draft draft;
    struct commitlog_record record;
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_positions after = {.struct_bytes = sizeof(after)};
    void *body = NULL;
    uint32_t bytes = (uint32_t)rng_between(&session->grown->rng, 1, 1000);
    session_draw(session, bytes, &draft, &record);
    CHECK_OK(commitlog_reserve(session->store, &record, bytes, 1000, &reservation, &body, &err),
             &err);
    CHECK_RC(commitlog_positions_get(session->store, &after), COMMITLOG_OK);
    memset(body, 0x77, bytes);
    draft.item.is_hole = true;
    struct commitlog_receipt receipt = {.position = after.claimed - book_record_bytes(&record),
                                        .end_position = after.claimed,
                                        .queue_offset =
                                            book->next[draft.item.topic][draft.item.queue],
                                        .epoch = after.epoch};
    book_store(book, &draft, &receipt);
    if (hold) {
        session->held = reservation;
    } else {
        CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
    }
}

/* ---- the rest of a session ----------------------------------------------------------------- */

static void session_settle(struct session *session)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    CHECK_RC(commitlog_positions_get(session->store, &at), COMMITLOG_OK);
    book_reached(&session->grown->book, at.durable, COMMITLOG_LEVEL_DURABLE);
}

static void session_call(struct session *session)
{
    struct grown *grown = session->grown;
    struct commitlog_error err = {.message = ""};
    uint64_t kind = rng_below(&grown->rng, 8);
    uint32_t wait_ms = 0;
    if (kind == 0) {
        CHECK_OK(commitlog_sync(session->store, UINT64_MAX, 1000, &err), &err);
        session_settle(session);
    } else if (kind == 1) {
        CHECK_OK(commitlog_checkpoint(session->store, &err), &err);
        session_settle(session);
        grown->checkpointed = grown->book.durable;
    } else if (kind == 2) {
        struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                             .keep_bytes = 2 * session->segment_bytes};
        struct commitlog_retained done = {.struct_bytes = sizeof(done)};
        CHECK_OK(commitlog_retain(session->store, &policy, &done, &err), &err);
        book_drop(&grown->book, done.first);
    } else {
        CHECK_RC(commitlog_step(session->store, 1000, &wait_ms), COMMITLOG_OK);
        session_settle(session);
    }
}

static void grown_remember(struct grown *grown)
{
    if (grown->history_count == GROWN_HISTORY) {
        commitlog_fault_free(grown->history[1]);
        memmove(&grown->history[1], &grown->history[2],
                (GROWN_HISTORY - 2) * sizeof(grown->history[0]));
        memmove(&grown->history_session[1], &grown->history_session[2],
                (GROWN_HISTORY - 2) * sizeof(grown->history_session[0]));
        grown->history_count--;
    }
    CHECK_RC(commitlog_fault_clone(grown->machine, grown->seed + grown->history_count,
                                   &grown->history[grown->history_count]),
             COMMITLOG_OK);
    grown->history_session[grown->history_count++] = grown->sessions;
}

static void session_open(struct session *session, struct grown *grown)
{
    static const uint64_t sizes[] = {65536, 65536, 69632, 98304};
    struct commitlog_error err = {.message = ""};
    struct commitlog_options *options =
        grown_options(grown, grown->machine, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    memset(session, 0, sizeof(*session));
    session->grown = grown;
    session->segment_bytes = sizes[rng_below(&grown->rng, 4)];
    for (uint32_t i = 0; i < BOOK_TOPICS; i++) {
        session->numbers[i] = BOOK_NONE;
    }
    CHECK_OK(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, session->segment_bytes, &err),
        &err);
    CHECK_OK(
        commitlog_options_set(options, COMMITLOG_OPT_PREWRITE, rng_below(&grown->rng, 2), &err),
        &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH_ALIGN_BYTES,
                                   rng_chance(&grown->rng, 1, 4) ? 4096 : 0, &err),
             &err);
    CHECK_OK(commitlog_open(GROWN_PATH, options, &session->store, &err), &err);
    commitlog_options_free(options);
    CHECK_RC(commitlog_recovery_get(session->store, &recovery), COMMITLOG_OK);
    CHECKF(recovery.end >= grown->required, "seed %llu: lost: %llu of %llu", (ull)grown->seed,
           (ull)recovery.end, (ull)grown->required);
    grown->began[grown->sessions++] = recovery.end;
    book_cut(&grown->book, recovery.end);
    grown->book.stored = grown->book.written = grown->book.durable = recovery.end;
    grown->checkpointed = recovery.end;
}

/* The writer is gone: what it had open is closed on the machine that it leaves behind. */
static void session_die(struct session *session, bool power)
{
    struct grown *grown = session->grown;
    struct commitlog_fault *next = NULL;
    CHECK_RC(commitlog_fault_clone(grown->machine, rng_next(&grown->rng), &next), COMMITLOG_OK);
    if (session->held != NULL) {
        CHECK_RC(commitlog_abort(session->held), COMMITLOG_OK);
    }
    (void)commitlog_close(session->store, NULL);
    commitlog_fault_free(grown->machine);
    grown->machine = next;
    if (power) {
        static const uint32_t survivals[] = {0, 50, 50, 100, 10, 90};
        commitlog_fault_set_survival(next, survivals[rng_below(&grown->rng, 6)]);
        commitlog_fault_set_sector(next, rng_chance(&grown->rng, 1, 2) ? 512 : 4096);
        commitlog_fault_power_cut(next);
    } else {
        commitlog_fault_process_death(next);
    }
}

static void session_idle(struct session *session)
{
    const struct commitlog_os *os = commitlog_fault_os(session->grown->machine);
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    uint32_t wait_ms = 0;
    if (session->grown->flush == COMMITLOG_FLUSH_NONE) {
        CHECK_RC(commitlog_sync(session->store, UINT64_MAX, 1000, NULL), COMMITLOG_OK);
    }
    for (uint32_t i = 0; i < 20; i++) {
        CHECK_RC(commitlog_step(session->store, 1000, &wait_ms), COMMITLOG_OK);
        os->sleep_ns(os, 150 * CLG_OS_NS_PER_MS);
    }
    CHECK_RC(commitlog_positions_get(session->store, &at), COMMITLOG_OK);
    CHECKF(at.checkpointed == at.claimed, "seed %llu: idle, and checkpointed %llu of %llu",
           (ull)session->grown->seed, (ull)at.checkpointed, (ull)at.claimed);
    session_settle(session);
    session->grown->checkpointed = at.checkpointed;
}

/* What of the book survives this end, and what proves it without any record. */
static void session_end(struct session *session, enum grown_end end)
{
    struct grown *grown = session->grown;
    struct book *book = &grown->book;
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    bool shared = grown->live != COMMITLOG_LIVE_PRIVATE;
    struct commitlog_error err = {.message = ""};
    grown->end = end;
    if (end == GROWN_IDLE_KILLED || end == GROWN_IDLE_CUT) {
        session_idle(session);
    }
    if (end == GROWN_KILLED && rng_chance(&grown->rng, 1, 3)) {
        session_hole(session, true);
        for (uint64_t i = rng_below(&grown->rng, 4); i > 0; i--) {
            session_put(session, (uint32_t)rng_below(&grown->rng, 500), COMMITLOG_LEVEL_NONE);
        }
    }
    if (end == GROWN_CUT && rng_chance(&grown->rng, 1, 2)) { /* much that is not flushed */
        for (uint64_t i = rng_below(&grown->rng, 40); i > 0; i--) {
            session_put(session, (uint32_t)rng_below(&grown->rng, 1500), COMMITLOG_LEVEL_WRITTEN);
        }
    }
    CHECK_RC(commitlog_positions_get(session->store, &at), COMMITLOG_OK);
    if (end == GROWN_CLOSED) {
        book_reached(book, at.claimed, COMMITLOG_LEVEL_DURABLE);
        grown->checkpointed = at.claimed;
        CHECK_OK(commitlog_close(session->store, &err), &err);
    } else {
        session_die(session, end == GROWN_CUT || end == GROWN_IDLE_CUT);
    }
    grown->required = end == GROWN_KILLED ? shared ? book->stored : book->written : book->durable;
    grown->live_durable = end == GROWN_KILLED && shared ? book->durable : 0;
}

static void session_run(struct grown *grown, enum grown_end end)
{
    struct session session;
    session_open(&session, grown);
    uint64_t target = rng_between(&grown->rng, 20, 110);
    uint64_t remember = rng_below(&grown->rng, target);
    for (uint64_t i = 0; i < target; i++) {
        uint64_t kind = rng_below(&grown->rng, 20);
        if (i == remember) {
            grown_remember(grown);
        }
        if (kind < 14) {
            session_put(&session, session_bytes(&session), session_level(&session));
        } else if (kind < 17) {
            session_batch(&session);
        } else if (kind < 18) {
            session_hole(&session, false);
        } else {
            session_call(&session);
        }
    }
    session_end(&session, end);
}

/* Where the log ends when it is opened as it is. What was appended behind that, was not
 * acknowledged and is cut, stays in the book: some of it may lie on the disk, and verify. */
static void grown_find_end(struct grown *grown)
{
    struct commitlog_fault *copy = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    CHECK_RC(commitlog_fault_clone(grown->machine, 1, &copy), COMMITLOG_OK);
    struct commitlog_options *options =
        grown_options(grown, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    CHECK_OK(commitlog_open(GROWN_PATH, options, &store, &err), &err);
    commitlog_options_free(options);
    CHECK_RC(commitlog_recovery_get(store, &recovery), COMMITLOG_OK);
    CHECKF(recovery.end >= grown->required, "seed %llu: lost: %llu of %llu", (ull)grown->seed,
           (ull)recovery.end, (ull)grown->required);
    CHECK_OK(commitlog_close(store, &err), &err);
    commitlog_fault_free(copy);
    grown->log_end = recovery.end;
}

void grown_make(struct grown *grown, uint64_t seed)
{
    book_begin(&grown->book);
    grown->history_count = 0;
    grown->sessions = 0;
    grown->seed = seed;
    grown->required = 0;
    rng_begin(&grown->rng, seed);
    grown->engine = rng_chance(&grown->rng, 1, 3) ? COMMITLOG_ENGINE_MMAP : COMMITLOG_ENGINE_STAGED;
    static const uint32_t lives[] = {COMMITLOG_LIVE_DIR, COMMITLOG_LIVE_DIR, COMMITLOG_LIVE_TMPFS,
                                     COMMITLOG_LIVE_PRIVATE};
    grown->live = lives[rng_below(&grown->rng, 4)];
    grown->flush = rng_chance(&grown->rng, 1, 2) ? COMMITLOG_FLUSH_NONE : COMMITLOG_FLUSH_ASYNC;
    grown->borrow = rng_chance(&grown->rng, 1, 2) ? 1 : 0;
    CHECK_RC(commitlog_fault_create(seed, &grown->machine), COMMITLOG_OK);
    uint64_t sessions = rng_between(&grown->rng, 2, GROWN_SESSIONS);
    for (uint64_t i = 1; i < sessions; i++) {
        session_run(grown, (enum grown_end)rng_below(&grown->rng, GROWN_ENDS));
        grown_remember(grown);
    }
    session_run(grown, (enum grown_end)rng_below(&grown->rng, GROWN_ENDS));
    grown_find_end(grown);
}

void grown_free(struct grown *grown)
{
    commitlog_fault_free(grown->machine);
    for (uint32_t i = 0; i < grown->history_count; i++) {
        commitlog_fault_free(grown->history[i]);
    }
}
