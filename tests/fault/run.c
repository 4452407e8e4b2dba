/* SPDX-License-Identifier: BSD-2-Clause */
/* run.c -- one run of a script: each op, and whether its status is explained. See script.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "script.h"

#define RUN_PATH "/store"

typedef unsigned long long ull;

static uint8_t run_buffer[SCRIPT_SEGMENT];

/* ---- faults -------------------------------------------------------------------------------- */

void run_fault(struct run *run, const struct fault *fault)
{
    run->fault = *fault;
    run->fault_base = commitlog_fault_count(run->machine, fault->kind);
    CHECK_RC(commitlog_fault_fail(run->machine, fault->kind, fault->kind == 0 ? 0 : fault->nth,
                                  fault->os_errno, fault->for_ever),
             COMMITLOG_OK);
}

static bool run_has_struck(const struct run *run)
{
    return run->fault.kind != 0 &&
           commitlog_fault_count(run->machine, run->fault.kind) >= run->fault_base + run->fault.nth;
}

bool run_is_faulty(const struct run *run)
{
    return run_has_struck(run) || commitlog_fault_is_dead(run->machine) != 0;
}

/* Comparing must not meet the fault, nor count for it. */
static uint64_t run_pause(struct run *run)
{
    (void)commitlog_fault_fail(run->machine, 0, 0, 0, 0);
    return commitlog_fault_count(run->machine, run->fault.kind);
}

static void run_resume(struct run *run, uint64_t paused_at)
{
    const struct fault *fault = &run->fault;
    uint64_t now = commitlog_fault_count(run->machine, fault->kind);
    uint64_t done = paused_at - run->fault_base;
    uint64_t left = done < fault->nth ? fault->nth - done : fault->for_ever != 0 ? 1 : 0;
    run->fault_base += now - paused_at;
    (void)commitlog_fault_fail(run->machine, fault->kind, fault->kind == 0 ? 0 : left,
                               fault->os_errno, fault->for_ever);
}

static int32_t run_base_code(const struct run *run)
{
    if (run->fault.kind == COMMITLOG_FAULT_ALLOC) {
        return COMMITLOG_ENOMEM;
    }
    switch (run->fault.os_errno) {
    case 0:
        return COMMITLOG_OK;
    case ENOSPC:
    case EDQUOT:
        return COMMITLOG_ENOSPC;
    case EMFILE:
        return COMMITLOG_ELIMIT;
    case EROFS:
        return COMMITLOG_EACCESS;
    case ENOMEM:
        return COMMITLOG_ENOMEM;
    default:
        return COMMITLOG_EIO;
    }
}

/* A sector that does not read is as one that fails its check. */
static bool run_sector_died(const struct run *run)
{
    bool reads = run->fault.kind == COMMITLOG_FAULT_READ || run->fault.kind == COMMITLOG_FAULT_OPEN;
    return run_has_struck(run) && reads && run->fault.os_errno == EIO;
}

/* A status is right if it says what failed, or that the store has failed before. */
static void run_explain(const struct run *run, int32_t code, const char *what,
                        const struct commitlog_error *err)
{
    if (code == COMMITLOG_OK) {
        static const struct commitlog_error untouched;
        CHECKF(err == NULL || memcmp(err, &untouched, sizeof(*err)) == 0, "%s: %s: %s, and err: %s",
               ledger_place(), what, commitlog_error_name(code), err->message);
        return;
    }
    bool dead = commitlog_fault_is_dead(run->machine) != 0;
    const char *text = err != NULL ? err->message : "";
    CHECKF(run_is_faulty(run), "%s: %s fails without a fault: %s %s", ledger_place(), what,
           commitlog_error_name(code), text);
    bool own = run_has_struck(run) && code == run_base_code(run);
    bool unread = dead || run_sector_died(run);
    bool right = own || (unread && (code == COMMITLOG_EIO || code == COMMITLOG_EDAMAGED)) ||
                 ((code == COMMITLOG_EFAILED || code == COMMITLOG_EUNKNOWN) && run->latched);
    CHECKF(right, "%s: %s: %s is not the right error: %s", ledger_place(), what,
           commitlog_error_name(code), text);
    CHECKF(err == NULL || (err->code == code && text[0] != '\0'), "%s: %s: no words",
           ledger_place(), what);
    CHECKF(err == NULL || err->os_errno == 0 || dead || err->os_errno == run->fault.os_errno,
           "%s: %s: errno %d: %s", ledger_place(), what, err->os_errno, text);
}

/* What was latched stays, and says why. */
static void run_look(struct run *run)
{
    struct commitlog_error err = {0};
    if (run->store == NULL) {
        return;
    }
    int32_t rc = commitlog_failure(run->store, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EFAILED, "%s: failure is %s", ledger_place(),
           commitlog_error_name(rc));
    CHECKF(rc != COMMITLOG_OK || !run->latched, "%s: a failure is forgotten", ledger_place());
    run->latched = rc != COMMITLOG_OK;
    if (run->latched) {
        CHECKF(run->fault.kind != COMMITLOG_FAULT_ALLOC || !run_has_struck(run),
               "%s: out of memory is final: %s", ledger_place(), err.message);
        run_explain(run, rc, "failure", &err);
    }
}

/* ---- open and close ------------------------------------------------------------------------ */

enum ledger_claim run_killed(const struct run *run)
{
    bool dies = run->is_private || run->setting->live == COMMITLOG_LIVE_PRIVATE;
    return dies && run->setting->engine == COMMITLOG_ENGINE_STAGED ? LEDGER_PRIVATE : LEDGER_KILLED;
}

void run_begin(struct run *run, struct commitlog_fault *machine, const struct setting *setting,
               const struct op *ops, struct ledger *ledger, enum ledger_claim claim)
{
    memset(run, 0, sizeof(*run));
    run->machine = machine;
    run->setting = setting;
    run->ops = ops;
    run->ledger = ledger;
    run->claim = claim;
}

/* A live area that nobody shares is a loss of safety, which must be told. */
static void run_events(struct run *run)
{
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    while (commitlog_event_next(run->store, &event) == COMMITLOG_OK) {
        if (strncmp(event.detail.message, "no shared memory", 16) == 0) {
            run->is_private = true;
        }
    }
}

/* VERBOSE: what an open did. */
static void run_tell(const struct run *run, int32_t code, const struct commitlog_error *err)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    if (!prog_env_is("VERBOSE")) {
        return;
    }
    if (code == COMMITLOG_OK && commitlog_recovery_get(run->store, &recovery) == COMMITLOG_OK) {
        printf("  open: tail %u, witness %llu, end %llu, cut %llu bytes, %llu from the stage\n",
               recovery.tail, (ull)recovery.witness, (ull)recovery.end, (ull)recovery.bytes_cut,
               (ull)recovery.records_from_stage);
    } else {
        printf("  open: %s\n", err->message);
    }
}

int32_t run_open(struct run *run)
{
    struct commitlog_error err = {0};
    struct commitlog_options *options = setting_options(run->setting, run->machine);
    run->latched = false;
    run->known = 0;
    int32_t rc = commitlog_open(RUN_PATH, options, &run->store, &err);
    commitlog_options_free(options);
    run_tell(run, rc, &err);
    run_explain(run, rc, "open", &err);
    CHECKF((rc == COMMITLOG_OK) == (run->store != NULL), "%s: open", ledger_place());
    if (run_sector_died(run)) {
        run->claim = LEDGER_POWER_CUT; /* what nobody proves durable, recovery may take for torn */
    }
    run->is_private = false;
    if (rc == COMMITLOG_OK) {
        run_events(run);
    }
    if (rc == COMMITLOG_OK && commitlog_fault_is_dead(run->machine) == 0) {
        uint64_t paused_at = run_pause(run);
        ledger_compare(run->ledger, run->store, run->claim);
        run_resume(run, paused_at);
        run->claim = run_killed(run);
    }
    run_look(run);
    return rc;
}

static void run_check_held(const struct run *run)
{
    uint64_t allocs = commitlog_fault_held(run->machine, COMMITLOG_FAULT_ALLOC);
    uint64_t fds = commitlog_fault_held(run->machine, COMMITLOG_FAULT_OPEN);
    uint64_t bytes = commitlog_fault_held(run->machine, COMMITLOG_FAULT_MAP);
    CHECKF(allocs == 0 && fds == 0 && bytes == 0,
           "%s: leaked: %llu allocations, %llu descriptors, %llu bytes mapped", ledger_place(),
           (ull)allocs, (ull)fds, (ull)bytes);
}

int32_t run_close(struct run *run)
{
    struct commitlog_error err = {0};
    bool had_failed = run->latched;
    if (run->held != NULL) {
        CHECK_RC(commitlog_abort(run->held), COMMITLOG_OK);
    }
    run->held = NULL;
    int32_t rc = commitlog_close(run->store, &err);
    run->latched = run->latched || rc == COMMITLOG_EFAILED;
    if (run->store != NULL) {
        run_explain(run, rc, "close", &err);
        CHECKF(rc != COMMITLOG_OK || !had_failed, "%s: close hides a failure", ledger_place());
    }
    if (rc == COMMITLOG_OK && run->store != NULL) {
        ledger_settled(run->ledger);
    }
    run->store = NULL;
    run->latched = false;
    run_check_held(run);
    return rc;
}

/* ---- appends ------------------------------------------------------------------------------- */

static struct ledger_item run_content(struct run *run, uint32_t topic, uint32_t queue,
                                      uint32_t bytes, uint8_t *out)
{
    struct ledger_item item = {.topic = (uint16_t)topic, .queue = (uint16_t)queue, .bytes = bytes};
    ledger_body(run->ledger, out, bytes);
    item.hash = bytes_hash(out, bytes);
    if (topic == 0 && run->ledger->made % 2 == 0) {
        item.key = (uint8_t)(1 + run->ledger->made % LEDGER_KEYS);
    }
    return item;
}

static struct commitlog_record run_record(const struct run *run, const struct ledger_item *item,
                                          uint32_t level, const struct commitlog_slice *body,
                                          struct commitlog_slice *key)
{
    key->data = ledger_key_name(item->key, &key->bytes);
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = run->numbers[item->topic],
                                      .queue = item->queue,
                                      .level = level,
                                      .body = body,
                                      .body_count = 1,
                                      .keys = key,
                                      .key_count = item->key != 0 ? 1 : 0};
    return record;
}

/* The ledger learns what the status says. had_failed: before the call. */
static bool run_appended(struct run *run, int32_t rc, const struct commitlog_error *err,
                         bool had_failed, const struct ledger_item *items, uint32_t count,
                         const struct commitlog_receipt *receipts)
{
    run_look(run);
    run_explain(run, rc, "append", err);
    CHECKF(!had_failed || rc == COMMITLOG_EFAILED, "%s: append to a failed store: %s",
           ledger_place(), commitlog_error_name(rc));
    CHECKF(rc != COMMITLOG_EUNKNOWN || run->latched, "%s: unknown without a failure",
           ledger_place());
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EUNKNOWN) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        ledger_store(run->ledger, &receipts[i], &items[i]);
    }
    if (rc == COMMITLOG_OK) {
        CHECKF(!run->latched || receipts[0].level < COMMITLOG_LEVEL_DURABLE,
               "%s: durable in a failed store", ledger_place());
        ledger_reached(run->ledger, receipts[count - 1].end_position, receipts[0].level);
    }
    return rc == COMMITLOG_OK;
}

static bool run_put(struct run *run, const struct op *op, struct commitlog_receipt *receipt)
{
    struct commitlog_error err = {0};
    struct commitlog_slice body = {run_buffer, op->bytes};
    struct commitlog_slice key;
    struct ledger_item item = run_content(run, op->topic, op->queue, op->bytes, run_buffer);
    struct commitlog_record record = run_record(run, &item, op->level, &body, &key);
    bool had_failed = run->latched;
    int32_t rc = commitlog_append_record(run->store, &record, COMMITLOG_FOREVER, receipt, &err);
    return run_appended(run, rc, &err, had_failed, &item, 1, receipt);
}

static void run_puts(struct run *run, const struct op *op)
{
    struct commitlog_receipt receipt;
    for (uint32_t i = 0; i < op->count; i++) {
        (void)run_put(run, op, &receipt);
    }
}

static void run_roll(struct run *run, const struct op *op)
{
    struct commitlog_receipt receipt;
    uint64_t before = UINT64_MAX;
    bool more = true;
    for (uint32_t i = 0; more && i < 2 * SCRIPT_SEGMENT / op->bytes; i++) {
        more = run_put(run, op, &receipt);
        uint64_t segment = more ? receipt.position / SCRIPT_SEGMENT : 0;
        more = more && (before == UINT64_MAX || segment == before);
        before = segment;
    }
}

static void run_batch(struct run *run, const struct op *op)
{
    enum { MOST = 16 };
    struct commitlog_error err = {0};
    struct ledger_item items[MOST];
    struct commitlog_record records[MOST];
    struct commitlog_slice bodies[MOST];
    struct commitlog_slice keys[MOST];
    struct commitlog_receipt receipts[MOST];
    uint8_t *at = run_buffer;
    uint32_t batch = ++run->ledger->batches;
    for (uint32_t i = 0; i < op->count; i++, at += op->bytes) {
        items[i] = run_content(run, op->topic, i % LEDGER_QUEUES, op->bytes, at);
        items[i].batch = batch;
        bodies[i] = (struct commitlog_slice){at, op->bytes};
        records[i] = run_record(run, &items[i], op->level, &bodies[i], &keys[i]);
    }
    bool had_failed = run->latched;
    int32_t rc =
        commitlog_append_batch(run->store, records, op->count, COMMITLOG_FOREVER, receipts, &err);
    (void)run_appended(run, rc, &err, had_failed, items, op->count, receipts);
}

/* A reservation that is not committed uses up its place all the same. */
static void run_use_up(struct run *run, struct ledger_item *item, uint64_t before, uint8_t state)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    CHECK_RC(commitlog_positions_get(run->store, &at), COMMITLOG_OK);
    struct commitlog_receipt receipt = {.position = before,
                                        .end_position = at.claimed,
                                        .queue_offset =
                                            run->ledger->topics[item->topic].next[item->queue],
                                        .epoch = at.epoch};
    item->state = state;
    ledger_store(run->ledger, &receipt, item);
}

static void run_reserve(struct run *run, const struct op *op)
{
    struct commitlog_error err = {0};
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt;
    struct commitlog_slice key;
    void *body = NULL;
    struct ledger_item item = run_content(run, op->topic, op->queue, op->bytes, run_buffer);
    struct commitlog_record record = run_record(run, &item, op->level, NULL, &key);
    record.body_count = 0;
    bool had_failed = run->latched;
    CHECK_RC(commitlog_positions_get(run->store, &at), COMMITLOG_OK);
    int32_t rc = commitlog_reserve(run->store, &record, op->bytes, COMMITLOG_FOREVER, &reservation,
                                   &body, &err);
    if (rc != COMMITLOG_OK) {
        (void)run_appended(run, rc, &err, had_failed, &item, 0, NULL);
        return;
    }
    memcpy(body, run_buffer, op->bytes);
    if (op->kind == OP_COMMIT) {
        rc = commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &err);
        (void)run_appended(run, rc, &err, false, &item, 1, &receipt);
    } else {
        run_use_up(run, &item, at.claimed, op->kind == OP_HOLD ? LEDGER_RESERVED : LEDGER_HOLE);
        if (op->kind == OP_HOLD) {
            run->held = reservation;
        } else {
            CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
        }
    }
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void run_topic(struct run *run, const struct op *op)
{
    struct commitlog_error err = {0};
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    struct ledger_topic *own = &run->ledger->topics[op->topic];
    size_t bytes;
    const char *name = ledger_topic_name(op->topic, &bytes);
    int32_t rc = commitlog_topic_open(run->store, name, bytes, LEDGER_QUEUES,
                                      &run->numbers[op->topic], &err);
    run_look(run);
    run_explain(run, rc, "topic", &err);
    if (rc == COMMITLOG_OK) {
        run->known |= 1u << op->topic;
        CHECK_RC(commitlog_positions_get(run->store, &at), COMMITLOG_OK);
        if (own->end == UINT64_MAX) {
            own->end = at.claimed;
            ledger_reached(run->ledger, own->end, COMMITLOG_LEVEL_NONE);
        }
    }
}

static void run_retain(struct run *run, const struct op *op)
{
    struct commitlog_error err = {0};
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                         .keep_bytes = (uint64_t)op->count * SCRIPT_SEGMENT};
    struct commitlog_retained done = {.struct_bytes = sizeof(done)};
    CHECK_RC(commitlog_positions_get(run->store, &at), COMMITLOG_OK);
    run->ledger->first_allowed = at.claimed;
    int32_t rc = commitlog_retain(run->store, &policy, &done, &err);
    run_look(run);
    run_explain(run, rc, "retain", &err);
    if (rc == COMMITLOG_OK) {
        CHECKF(done.first >= run->ledger->first && done.first <= at.claimed, "%s: first",
               ledger_place());
        run->ledger->first = done.first;
    }
}

/* What is read is right; when nothing failed, all is read. */
static void run_read(struct run *run)
{
    int32_t rc = ledger_glance(run->ledger, run->store);
    run_look(run);
    run_explain(run, rc, "read", NULL);
    if (rc == COMMITLOG_OK && !run->latched && run->held == NULL) {
        uint64_t paused_at = run_pause(run);
        ledger_compare(run->ledger, run->store, LEDGER_LIVE);
        run_resume(run, paused_at);
    }
}

static void run_call(struct run *run, const struct op *op)
{
    struct commitlog_error err = {0};
    int32_t rc = COMMITLOG_OK;
    uint32_t wait_ms = 0;
    if (op->kind == OP_SYNC) {
        rc = commitlog_sync(run->store, UINT64_MAX, COMMITLOG_FOREVER, &err);
    } else if (op->kind == OP_CHECKPOINT) {
        rc = commitlog_checkpoint(run->store, &err);
    } else {
        for (uint32_t i = 0; i < op->count; i++) {
            rc = commitlog_step(run->store, 1000, &wait_ms);
            run_look(run);
            run_explain(run, rc, "step", NULL);
        }
        return;
    }
    run_look(run);
    run_explain(run, rc, op->kind == OP_SYNC ? "sync" : "checkpoint", &err);
    if (rc == COMMITLOG_OK) {
        ledger_settled(run->ledger);
    }
}

/* The old handles are closed on the old machine: nothing of that reaches the new one. */
static void run_die(struct run *run, bool power)
{
    struct commitlog_fault *next = NULL;
    CHECK_RC(commitlog_fault_clone(run->machine, run->ledger->made + 17, &next), COMMITLOG_OK);
    struct ledger *kept = need_alloc(sizeof(*kept));
    *kept = *run->ledger;
    (void)run_close(run);
    *run->ledger = *kept;
    free(kept);
    commitlog_fault_free(run->machine);
    run->machine = next;
    if (power) {
        commitlog_fault_power_cut(next);
    } else {
        commitlog_fault_process_death(next);
    }
    run->claim = power ? LEDGER_POWER_CUT : run_killed(run);
}

static void run_op(struct run *run, const struct op *op)
{
    bool appends = op->kind >= OP_PUT && op->kind <= OP_ROLL;
    const struct commitlog_os *os = commitlog_fault_os(run->machine);
    if (appends && (run->known & (1u << op->topic)) == 0) {
        run_topic(run, op);
        if ((run->known & (1u << op->topic)) == 0) {
            return;
        }
    }
    switch ((enum op_kind)op->kind) {
    case OP_TOPIC:
        run_topic(run, op);
        break;
    case OP_PUT:
        run_puts(run, op);
        break;
    case OP_BATCH:
        run_batch(run, op);
        break;
    case OP_COMMIT:
    case OP_ABORT:
    case OP_HOLD:
        run_reserve(run, op);
        break;
    case OP_ROLL:
        run_roll(run, op);
        break;
    case OP_SYNC:
    case OP_STEP:
    case OP_CHECKPOINT:
        run_call(run, op);
        break;
    case OP_WAIT:
        os->sleep_ns(os, (int64_t)op->count * CLG_OS_NS_PER_MS);
        break;
    case OP_RETAIN:
        run_retain(run, op);
        break;
    case OP_READ:
        run_read(run);
        break;
    case OP_CLOSE:
        (void)run_close(run);
        break;
    case OP_KILL:
    case OP_POWER:
        run_die(run, op->kind == OP_POWER);
        break;
    case OP_END:
    case OP_OPEN:
        break;
    }
}

/* A program that could not open its store tries again. */
bool run_step(struct run *run)
{
    const struct op *op = &run->ops[run->at];
    if (op->kind == OP_END) {
        return false;
    }
    run->at++;
    if (run->store == NULL && op->kind != OP_CLOSE) {
        (void)run_open(run);
    }
    if (run->store != NULL) {
        run_op(run, op);
    }
    return true;
}

struct commitlog_fault *script_prepare(const struct script *script, const struct setting *setting,
                                       struct ledger *ledger, uint64_t seed,
                                       enum ledger_claim *out_claim)
{
    struct commitlog_fault *machine = NULL;
    struct run run;
    ledger_begin(ledger);
    CHECK_RC(commitlog_fault_create(seed, &machine), COMMITLOG_OK);
    run_begin(&run, machine, setting, script->before, ledger, LEDGER_KILLED);
    run.claim = run_killed(&run);
    while (run_step(&run)) {
    }
    CHECKF(run.store == NULL, "%s: open behind the part before the faults", script->name);
    *out_claim = run.claim;
    return run.machine;
}
