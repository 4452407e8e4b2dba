/* SPDX-License-Identifier: BSD-2-Clause */
/* judge.c -- see judge.h. */
#include "judge_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum { TOLD_MAX = 40 };

static const char *const violation_names[VIOLATIONS] = {
    "altered",          "unnoticed", "torn-but-witnessed",
    "torn-after-clean", "unserved",  "false-alarm",
    "salvage",          "changed",   "other"};

/* One survey at a time is judged: 10 KB that need not be on the stack. */
struct survey trial_got;

const char *violation_name(enum violation violation)
{
    return violation_names[violation];
}

void trial_violate(struct trial *trial, enum violation violation, const char *format, ...)
{
    static uint32_t told;
    const struct grown *grown = trial->bench->grown;
    va_list args;
    trial->bench->tally->violations[violation]++;
    if (told++ >= TOLD_MAX && !prog_env_is("ALL")) {
        return;
    }
    va_start(args, format);
    printf("VIOLATION STORE=%llu TRIAL=%llu (%s, engine %u, live %u; %s; required %llu, proof "
           "%llu): %s: ",
           (ull)trial->bench->index, (ull)trial->number, grown_end_name(grown->end), grown->engine,
           grown->live, trial->spoil->what, (ull)grown->required, (ull)trial->proof,
           violation_names[violation]);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

bool trial_is_data(int32_t rc)
{
    return rc <= -200 && rc > -300;
}

bool trial_may_refuse(const struct trial *trial, int32_t rc)
{
    return trial_is_data(rc) || (rc == COMMITLOG_EIO && trial->spoil->bad_path[0] != '\0');
}

/* ---- the undamaged store ------------------------------------------------------------------- */

struct commitlog_options *trial_options(const struct trial *trial, struct commitlog_fault *machine,
                                        uint64_t access, uint64_t recovery)
{
    struct commitlog_options *options =
        grown_options(trial->bench->grown, machine, access, recovery);
    if (trial->spoil->bad_path[0] != '\0') { /* through a map it would be SIGBUS */
        CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_BORROW, 0, NULL), COMMITLOG_OK);
    }
    return options;
}

int32_t trial_open(const struct trial *trial, struct commitlog_fault *machine, uint64_t access,
                   uint64_t recovery, struct commitlog_store **out, struct commitlog_error *err)
{
    struct commitlog_options *options = trial_options(trial, machine, access, recovery);
    *out = NULL;
    memset(err, 0, sizeof(*err));
    int32_t rc = commitlog_open(GROWN_PATH, options, out, err);
    commitlog_options_free(options);
    return rc;
}

void trial_close(struct trial *trial, struct commitlog_fault *machine,
                 struct commitlog_store *store, const char *who)
{
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_close(store, &err);
    if (rc != COMMITLOG_OK) {
        trial_violate(trial, VIOLATION_OTHER, "%s: close: %s", who, err.message);
    }
    if (commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC) != 0 ||
        commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN) != 0 ||
        commitlog_fault_held(machine, COMMITLOG_FAULT_MAP) != 0) {
        trial_violate(trial, VIOLATION_OTHER, "%s: something leaks", who);
    }
}

static void bench_survey(struct bench *bench, uint64_t access, struct survey *out)
{
    struct spoil none = {.what = "no damage"};
    struct trial trial = {.bench = bench, .spoil = &none};
    struct commitlog_fault *copy = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    CHECK_RC(commitlog_fault_clone(bench->grown->machine, 1, &copy), COMMITLOG_OK);
    int32_t rc = trial_open(&trial, copy, access, COMMITLOG_RECOVER_TAIL, &store, &err);
    CHECKF(rc == COMMITLOG_OK, "STORE=%llu: %s", (ull)bench->index, err.message);
    survey_store(&bench->grown->book, store, SURVEY_EVERY_WAY, out);
    CHECKF(out->wrong[0] == '\0' && out->ranges == 0, "STORE=%llu undamaged: %u ranges, %s",
           (ull)bench->index, out->ranges, out->wrong);
    CHECK_RC(commitlog_close(store, NULL), COMMITLOG_OK);
    commitlog_fault_free(copy);
}

void bench_begin(struct bench *bench, struct grown *grown, const struct grown *foreign,
                 uint64_t index, struct tally *tally)
{
    bench->grown = grown;
    bench->foreign = foreign;
    bench->index = index;
    bench->tally = tally;
    files_read(grown->machine, grown, &bench->files);
    bench_survey(bench, COMMITLOG_READ_ONLY, &bench->reader);
    bench_survey(bench, COMMITLOG_READ_WRITE, &bench->writer);
    for (uint32_t i = 0; i < grown->book.count; i++) {
        for (uint32_t way = 0; way < SURVEY_WAYS; way++) {
            const struct book_item *item = &grown->book.items[i];
            bool kept = survey_leads(way, item) && item->position < grown->log_end;
            CHECKF(kept == survey_seen(&bench->writer, way, i),
                   "STORE=%llu undamaged: %llu is%s found by %s", (ull)index, (ull)item->position,
                   kept ? " not" : "", survey_way_name(way));
        }
    }
}

void bench_end(struct bench *bench)
{
    files_free(&bench->files);
}

/* ---- what may be ---------------------------------------------------------------------------- */

/* It lies in the stage alone, and that is what was spoiled. */
static bool is_staged_away(const struct trial *trial, const struct book_item *item)
{
    const struct grown *grown = trial->bench->grown;
    return trial->spoil->live && grown->end == GROWN_KILLED && item->end > grown->book.written;
}

/* Only a witness that was not touched itself counts. */
static uint64_t trial_proof(const struct trial *trial)
{
    const struct grown *grown = trial->bench->grown;
    uint64_t proof = trial->spoil->checkpoint ? 0 : grown->checkpointed;
    if (!trial->spoil->live && grown->live_durable > proof) {
        proof = grown->live_durable;
    }
    for (uint32_t i = 0; i < grown->book.count; i++) {
        const struct book_item *item = &grown->book.items[i];
        if (!trial->spoil->touched[i] && !item->is_hole && item->witness > proof &&
            item->position < grown->log_end && !trial_is_unknown(trial, item) &&
            !is_staged_away(trial, item)) {
            proof = item->witness;
        }
    }
    return proof;
}

static bool any_touched(const struct trial *trial)
{
    return memchr(trial->spoil->touched, 1, trial->bench->grown->book.count) != NULL;
}

void trial_begin(struct trial *trial, struct bench *bench, struct commitlog_fault *machine,
                 const struct spoil *spoil, uint64_t number, uint32_t ways)
{
    memset(trial, 0, sizeof(*trial));
    trial->bench = bench;
    trial->spoil = spoil;
    trial->machine = machine;
    trial->number = number;
    trial->ways = ways;
    trial->proof = trial_proof(trial);
    bool bytes_only = spoil->kind <= SPOIL_STALE_PAGE;
    bool headless = memchr(spoil->headless, 1, sizeof(spoil->headless)) != NULL;
    trial->harmless = !any_touched(trial) && !spoil->control && !headless &&
                      spoil->bad_path[0] == '\0' &&
                      (bytes_only || (!spoil->log && !spoil->checkpoint && !spoil->live));
    prog_step(number);
}

/* Whether it must be there after this end of the store. */
bool trial_requires(const struct trial *trial, const struct book_item *item)
{
    const struct grown *grown = trial->bench->grown;
    uint64_t required = grown->required;
    /* The stage was evidence, and is that of the session which CHECKPOINT names. */
    if ((trial->spoil->live || trial->spoil->checkpoint) && grown->end == GROWN_KILLED) {
        required = grown->book.written < required ? grown->book.written : required;
    }
    return item->end <= required;
}

bool trial_may_cut(const struct trial *trial, const struct book_item *item)
{
    return item->hull_to > trial->proof;
}

/* The definition of its topic is lost: the log has it, but no queue; and keys are looked up by the
 * name of the topic that was known where they lie. */
bool trial_is_nameless(const struct trial *trial, const struct book_item *item, uint32_t way)
{
    return trial->spoil->control && (!trial_got.known[item->topic] || way == WAY_KEY);
}

/* Nothing verifies any more where it lies. */
bool trial_is_unknown(const struct trial *trial, const struct book_item *item)
{
    return spoil_is_unknown(trial->spoil, &trial->bench->files, item->position);
}

/* Not given. end: where the log ends now, as far as it is served. */
static void judge_missing(struct trial *trial, uint32_t i, uint32_t way, uint64_t end, bool named,
                          const char *who)
{
    const struct book_item *item = &trial->bench->grown->book.items[i];
    bool touched = trial->spoil->touched[i] || trial_is_unknown(trial, item);
    bool cut = item->position >= end;
    if (named && touched) {
        trial->reads_say = true;
        return;
    }
    if (trial_is_nameless(trial, item, way) && (trial_got.ranges > 0 || trial_got.said > 0)) {
        return; /* and that is said */
    }
    if ((trial_got.marks[way][i] & MARK_UNPROVEN) != 0) {
        trial->reads_say = true;
        return;
    }
    if (cut && trial_may_cut(trial, item)) {
        trial->torn = trial->torn || trial_requires(trial, item);
        return;
    }
    if (!trial_requires(trial, item) && !touched && cut) {
        return;
    }
    if (cut && trial_requires(trial, item) && !named) {
        trial_violate(trial,
                      grown_is_settled(trial->bench->grown) ? VIOLATION_TORN_CLEAN : VIOLATION_TORN,
                      "%s, by %s: %llu is cut off at %llu", who, survey_way_name(way),
                      (ull)item->position, (ull)end);
    } else if (touched) {
        trial_violate(trial, VIOLATION_UNNOTICED, "%s, by %s: nothing said of %llu", who,
                      survey_way_name(way), (ull)item->position);
    } else {
        trial_violate(trial, VIOLATION_UNSERVED, "%s, by %s: %llu is sound and not given (%s)", who,
                      survey_way_name(way), (ull)item->position, named ? "named" : "not named");
    }
}

void trial_judge(struct trial *trial, const struct survey *before, uint64_t end, const char *who)
{
    const struct book *book = &trial->bench->grown->book;
    if (trial_got.wrong[0] != '\0') {
        trial_violate(trial, VIOLATION_ALTERED, "%s: %s", who, trial_got.wrong);
    }
    for (uint32_t way = 0; way < SURVEY_WAYS; way++) {
        uint64_t told = 0;
        for (uint32_t i = 0; (trial_got.ways & (1u << way)) != 0 && i < book->count; i++) {
            /* Unless the damage has brought it back, as a device might have kept it. */
            bool kept =
                trial->spoil->kind == SPOIL_STALE_PAGE || trial->spoil->kind == SPOIL_OLD_SEGMENT;
            if (before == &trial->bench->writer && survey_seen(&trial_got, way, i) &&
                !survey_seen(before, way, i) && !kept) {
                trial_violate(trial, VIOLATION_ALTERED, "%s, by %s: %llu was cut, and is back", who,
                              survey_way_name(way), (ull)book->items[i].position);
            }
            if (!survey_seen(before, way, i) || survey_seen(&trial_got, way, i)) {
                continue;
            }
            bool reads = before == &trial->bench->reader && way == WAY_QUEUE;
            trial->missing[i] =
                trial->missing[i] || (reads && trial_got.known[book->items[i].topic]);
            uint64_t count = trial->bench->tally->violations[VIOLATION_UNSERVED];
            judge_missing(trial, i, way, end, survey_named(&trial_got, way, i), who);
            told += trial->bench->tally->violations[VIOLATION_UNSERVED] - count;
            if (told > 3) {
                break; /* the same for all the rest */
            }
        }
    }
    trial->opens_say = trial->opens_say || trial_got.listed_at_open > 0;
    trial->reads_say = trial->reads_say || trial_got.said > 0;
}

/* ---- without a change ------------------------------------------------------------------------ */

/* Something is left to be served. */
static bool any_sound(const struct trial *trial)
{
    const struct book *book = &trial->bench->grown->book;
    for (uint32_t i = 0; i < book->count; i++) {
        if (!trial->spoil->touched[i] && !trial_is_unknown(trial, &book->items[i])) {
            return true;
        }
    }
    return false;
}

static void look_read_only(struct trial *trial)
{
    struct tally *tally = trial->bench->tally;
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    int32_t rc = trial_open(trial, trial->machine, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL,
                            &store, &err);
    if (rc == COMMITLOG_OK) {
        struct commitlog_positions at = {.struct_bytes = sizeof(at)};
        survey_store(&trial->bench->grown->book, store, trial->ways, &trial_got);
        CHECK_RC(commitlog_positions_get(store, &at), COMMITLOG_OK);
        trial_judge(trial, &trial->bench->reader, at.visible, "reader");
        trial_close(trial, trial->machine, store, "reader");
        return;
    }
    tally->reader_refused[trial->spoil->kind]++;
    trial->opens_say = true;
    if (!trial_may_refuse(trial, rc) || err.message[0] == '\0') {
        trial_violate(trial, VIOLATION_OTHER, "reader: %s: %s", commitlog_error_name(rc),
                      err.message);
    } else if (trial->harmless) {
        trial_violate(trial, VIOLATION_FALSE_ALARM, "reader: %s: %s", commitlog_error_name(rc),
                      err.message);
    } else if (any_sound(trial) &&
               (trial->spoil->kind <= SPOIL_TRUNCATED || trial->spoil->kind == SPOIL_MISSING)) {
        trial_violate(trial, VIOLATION_UNSERVED, "reader: %s: %s", commitlog_error_name(rc),
                      err.message);
    }
}

static void look_verify(struct trial *trial)
{
    static bool listed[BOOK_ITEMS];
    const struct book *book = &trial->bench->grown->book;
    struct commitlog_options *options =
        trial_options(trial, trial->machine, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_verify(GROWN_PATH, options, &report, &err);
    commitlog_options_free(options);
    memset(listed, 0, sizeof(listed[0]) * book->count);
    for (uint32_t i = 0;
         report != NULL && commitlog_report_damage(report, i, &damage) == COMMITLOG_OK; i++) {
        survey_list(book, &damage, listed);
    }
    commitlog_report_free(report);
    trial->verify_says = rc != COMMITLOG_OK;
    if (rc != COMMITLOG_OK && (!trial_may_refuse(trial, rc) || err.message[0] == '\0')) {
        trial_violate(trial, VIOLATION_OTHER, "verify: %s: %s", commitlog_error_name(rc),
                      err.message);
    } else if (rc != COMMITLOG_OK && trial->harmless && !trial->spoil->view && !trial->spoil->log) {
        trial_violate(trial, VIOLATION_FALSE_ALARM, "verify: %s: %s", commitlog_error_name(rc),
                      err.message);
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EDAMAGED) {
        return; /* it has said that and why it cannot look */
    }
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        bool hit = trial->spoil->own[i] || (trial->spoil->touched[i] && trial->missing[i]);
        if (hit && !item->is_hole && trial_requires(trial, item) &&
            !(rc == COMMITLOG_EDAMAGED && listed[i]) && !trial_may_cut(trial, item)) {
            trial_violate(trial, VIOLATION_UNNOTICED, "verify does not name %llu (%s)",
                          (ull)item->position, commitlog_error_name(rc));
        }
    }
}

static void look_plan(struct trial *trial)
{
    struct commitlog_options *options =
        trial_options(trial, trial->machine, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL);
    struct commitlog_report *report = NULL;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_recover(GROWN_PATH, options, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED) {
        CHECK(report != NULL);
        CHECK_RC(commitlog_report_recovery(report, &found), COMMITLOG_OK);
        if (rc == COMMITLOG_EDAMAGED && commitlog_report_line(report, 0) == NULL) {
            trial_violate(trial, VIOLATION_OTHER, "the plan refuses without a line");
        }
    }
    commitlog_report_free(report);
    trial->verify_says = trial->verify_says || rc != COMMITLOG_OK;
    if (rc != COMMITLOG_OK && (!trial_may_refuse(trial, rc) || err.message[0] == '\0')) {
        trial_violate(trial, VIOLATION_OTHER, "plan: %s: %s", commitlog_error_name(rc),
                      err.message);
    } else if (rc != COMMITLOG_OK && trial->harmless) {
        trial_violate(trial, VIOLATION_FALSE_ALARM, "plan: %s: %s", commitlog_error_name(rc),
                      err.message);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < trial->bench->grown->book.count; i++) {
        const struct book_item *item = &trial->bench->grown->book.items[i];
        if (item->position < found.end || item->is_hole || !trial_requires(trial, item)) {
            continue;
        }
        trial->torn = true;
        if (!trial_may_cut(trial, item)) {
            trial_violate(trial,
                          grown_is_settled(trial->bench->grown) ? VIOLATION_TORN_CLEAN
                                                                : VIOLATION_TORN,
                          "the plan cuts %llu off at %llu", (ull)item->position, (ull)found.end);
        }
    }
}

/* A flush alters nothing. */
static uint64_t changes_of(const struct commitlog_fault *machine)
{
    return commitlog_fault_changes(machine) - commitlog_fault_count(machine, COMMITLOG_FAULT_SYNC) -
           commitlog_fault_count(machine, COMMITLOG_FAULT_SYNC_DIR);
}

void trial_look(struct trial *trial)
{
    static void (*const looks[])(struct trial *) = {look_read_only, look_verify, look_plan};
    static const char *const names[] = {"a reader", "verify", "a plan"};
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t changes = changes_of(trial->machine);
        looks[i](trial);
        if (changes_of(trial->machine) != changes) {
            trial_violate(trial, VIOLATION_CHANGED, "%s has changed something", names[i]);
        }
    }
}
