/* SPDX-License-Identifier: BSD-2-Clause */
/* judge_write.c -- a damaged store opened for writing, and salvaged; see judge.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge_internal.h"

typedef unsigned long long ull;

static uint64_t log_hash(struct commitlog_fault *machine)
{
    const char *name = NULL;
    uint64_t hash = 1;
    for (uint32_t i = 0; commitlog_fault_name(machine, GROWN_PATH "/log", i, &name) == COMMITLOG_OK;
         i++) {
        char path[FILES_PATH];
        const void *data = NULL;
        uint64_t bytes = 0;
        if (strstr(name, ".tmp") != NULL) {
            continue; /* never was a segment, and goes */
        }
        (void)snprintf(path, sizeof(path), GROWN_PATH "/log/%.60s", name);
        CHECK_RC(commitlog_fault_content(machine, path, &data, &bytes), COMMITLOG_OK);
        hash += bytes_hash(name, strlen(path)) * 31 + bytes_hash(data, bytes);
    }
    return hash;
}

/* One more record has its own place, and goes on with the offsets. */
static void write_more(struct trial *trial, struct commitlog_store *store, uint64_t end,
                       const char *who)
{
    const struct book *book = &trial->bench->grown->book;
    struct commitlog_error err = {.message = ""};
    struct commitlog_receipt receipt;
    uint32_t number = 0;
    size_t bytes;
    const char *name = book_topic_name(0, &bytes);
    int32_t rc = commitlog_topic_open(store, name, bytes, book_topic_queues(0), &number, &err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_append(store, number, 0, "more", 4, COMMITLOG_LEVEL_DURABLE, &receipt);
    }
    if (rc != COMMITLOG_OK) {
        trial_violate(trial, VIOLATION_OTHER, "%s: append: %s %s", who, commitlog_error_name(rc),
                      err.message);
        return;
    }
    uint64_t least = 0;
    bool known = trial_got.known[0]; /* else it is a new topic of this name */
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        if (known && item->position < trial->bench->grown->log_end && item->topic == 0 &&
            item->queue == 0 && !item->is_hole && item->end <= end && !trial->spoil->touched[i] &&
            !trial->spoil->staged[i] && !trial_is_unknown(trial, item)) {
            least = item->offset + 1;
        }
    }
    if (receipt.position < end || receipt.position < trial->proof || receipt.queue_offset < least) {
        trial_violate(trial, VIOLATION_ALTERED,
                      "%s: position %llu or offset %llu is given out again", who,
                      (ull)receipt.position, (ull)receipt.queue_offset);
    }
}

static void write_refused(struct trial *trial, struct commitlog_fault *copy, uint64_t before,
                          int32_t rc, const struct commitlog_error *err)
{
    trial->bench->tally->refused[trial->spoil->kind]++;
    trial->opens_say = true;
    if (!trial_may_refuse(trial, rc) || err->message[0] == '\0') {
        trial_violate(trial, VIOLATION_OTHER, "writer: %s: %s", commitlog_error_name(rc),
                      err->message);
    } else if (trial->harmless) {
        trial_violate(trial, VIOLATION_FALSE_ALARM, "writer: %s: %s", commitlog_error_name(rc),
                      err->message);
    }
    if (trial_is_data(rc) && log_hash(copy) != before) {
        trial_violate(trial, VIOLATION_CHANGED, "writer: refused, and log/ has changed: %s",
                      err->message);
    }
}

static void write_accepted(struct trial *trial, struct commitlog_fault *copy,
                           struct commitlog_store *store)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    struct commitlog_error err;
    trial->bench->tally->opened_for_writing++;
    CHECK_RC(commitlog_recovery_get(store, &found), COMMITLOG_OK);
    survey_store(&trial->bench->grown->book, store, trial->ways, &trial_got);
    trial_judge(trial, &trial->bench->writer, found.end, "writer");
    write_more(trial, store, found.end, "writer");
    trial_close(trial, copy, store, "writer");
    /* The store goes on: it opens again, and is not said to be worse than it was. */
    int32_t rc =
        trial_open(trial, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    if (rc != COMMITLOG_OK) {
        if (trial->spoil->bad_path[0] == '\0' || !trial_may_refuse(trial, rc)) {
            trial_violate(trial, VIOLATION_OTHER, "after the writer: %s", err.message);
        }
        return;
    }
    CHECK_RC(commitlog_recovery_get(store, &found), COMMITLOG_OK);
    trial_close(trial, copy, store, "after the writer");
}

void trial_write(struct trial *trial)
{
    struct commitlog_fault *copy = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    CHECK_RC(commitlog_fault_clone(trial->machine, trial->number, &copy), COMMITLOG_OK);
    uint64_t before = log_hash(copy);
    int32_t rc =
        trial_open(trial, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    if (rc == COMMITLOG_OK) {
        write_accepted(trial, copy, store);
    } else {
        write_refused(trial, copy, before, rc, &err);
    }
    commitlog_fault_free(copy);
}

bool trial_is_refused(struct trial *trial)
{
    static const uint64_t access[] = {COMMITLOG_READ_ONLY, COMMITLOG_READ_WRITE,
                                      COMMITLOG_READ_WRITE};
    static const uint64_t recovery[] = {COMMITLOG_RECOVER_TAIL, COMMITLOG_RECOVER_TAIL,
                                        COMMITLOG_RECOVER_SALVAGE};
    bool refused = true;
    for (uint32_t i = 0; refused && i < sizeof(access) / sizeof(access[0]); i++) {
        struct commitlog_fault *copy = NULL;
        struct commitlog_store *store = NULL;
        struct commitlog_error err;
        CHECK_RC(commitlog_fault_clone(trial->machine, trial->number, &copy), COMMITLOG_OK);
        uint64_t before = log_hash(copy);
        int32_t rc = trial_open(trial, copy, access[i], recovery[i], &store, &err);
        refused = rc == COMMITLOG_EDAMAGED && err.message[0] != '\0' && log_hash(copy) == before;
        if (rc == COMMITLOG_OK) {
            trial_close(trial, copy, store, "not refused");
        }
        commitlog_fault_free(copy);
    }
    return refused;
}

/* ---- salvage --------------------------------------------------------------------------------- */

static bool salvaged_asked(const struct trial *trial, const struct book_item *item, uint32_t way)
{
    return (trial_got.ways & (1u << way)) != 0 && survey_leads(way, item) &&
           item->position < trial->bench->grown->log_end && !trial_is_nameless(trial, item, way);
}

/* Of each batch all members are given, or none. (A record that lies in what had not read, and reads
 * later, is found by its position.) */
static void judge_batches(struct trial *trial, const char *who)
{
    const struct book *book = &trial->bench->grown->book;
    const uint32_t ways = trial->spoil->bad_path[0] == '\0' ? SURVEY_WAYS : WAY_GET;
    for (uint32_t way = 0; way < ways; way++) {
        uint32_t first = BOOK_ITEMS; /* the first one of its batch that this way leads to */
        for (uint32_t i = 0; i < book->count; i++) {
            const struct book_item *item = &book->items[i];
            if (!salvaged_asked(trial, item, way)) {
                continue;
            }
            if (first == BOOK_ITEMS || book->items[first].hull_from != item->hull_from) {
                first = i;
            }
            if (survey_seen(&trial_got, way, first) != survey_seen(&trial_got, way, i)) {
                trial_violate(trial, VIOLATION_SALVAGE,
                              "%s, by %s: a part of the batch at %llu: of %llu and %llu one", who,
                              survey_way_name(way), (ull)item->hull_from,
                              (ull)book->items[first].position, (ull)item->position);
            }
        }
    }
}

static void judge_salvaged(struct trial *trial, uint64_t end, const char *who)
{
    const struct book *book = &trial->bench->grown->book;
    if (trial_got.wrong[0] != '\0') {
        trial_violate(trial, VIOLATION_ALTERED, "%s: %s", who, trial_got.wrong);
    }
    judge_batches(trial, who);
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        bool gone = false;
        for (uint32_t way = 0; way < SURVEY_WAYS; way++) {
            if (!salvaged_asked(trial, item, way) || survey_seen(&trial_got, way, i)) {
                continue;
            }
            gone = true;
            bool lost = item->position >= end && !trial_requires(trial, item); /* by its end */
            if (lost || trial->spoil->touched[i] || trial->spoil->staged[i] ||
                trial_is_unknown(trial, item)) {
                continue;
            }
            trial_violate(trial, VIOLATION_SALVAGE, "%s, by %s: %llu is sound and gone", who,
                          survey_way_name(way), (ull)item->position);
        }
        trial->bench->tally->holes += gone;
        /* What did not read was salvaged once before, and reported then. */
        if (gone && trial_requires(trial, item) && !trial_may_cut(trial, item) &&
            !trial_got.listed[i] && strcmp(who, "salvage") == 0 &&
            trial->spoil->bad_path[0] == '\0') {
            trial_violate(trial, VIOLATION_SALVAGE, "%s: %llu is gone, and not reported", who,
                          (ull)item->position);
        }
    }
}

static void salvage_again(struct trial *trial, struct commitlog_fault *copy, uint64_t end)
{
    struct commitlog_store *store = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err;
    int32_t rc =
        trial_open(trial, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    if (rc != COMMITLOG_OK) {
        trial_violate(trial, VIOLATION_SALVAGE, "after salvage: %s: %s", commitlog_error_name(rc),
                      err.message);
        return;
    }
    survey_store(&trial->bench->grown->book, store, trial->ways, &trial_got);
    judge_salvaged(trial, end, "after salvage");
    write_more(trial, store, end, "after salvage");
    trial_close(trial, copy, store, "after salvage");
    struct commitlog_options *options =
        trial_options(trial, copy, COMMITLOG_READ_ONLY, COMMITLOG_RECOVER_TAIL);
    rc = commitlog_verify(GROWN_PATH, options, &report, &err);
    commitlog_options_free(options);
    if (rc != COMMITLOG_OK) {
        struct commitlog_damage first = {.struct_bytes = sizeof(first)};
        (void)commitlog_report_damage(report, 0, &first);
        trial_violate(trial, VIOLATION_SALVAGE, "verify after salvage: %s: %s: %s",
                      commitlog_error_name(rc), err.message, first.reason);
    }
    commitlog_report_free(report);
}

/* What the text asks for, or what a copy of a failing disk looks like: zeros where it did not read.
 */
static void salvage_help(struct trial *trial, struct commitlog_fault *copy, int32_t rc,
                         const struct commitlog_error *err)
{
    const struct spoil *spoil = trial->spoil;
    if (rc != COMMITLOG_OK) {
        trial->bench->tally->salvage_refused[spoil->kind]++;
    }
    if (spoil->foreign_path[0] != '\0' && rc == COMMITLOG_EFOREIGN) {
        if (strstr(err->message, strrchr(spoil->foreign_path, '/') + 1) == NULL) {
            trial_violate(trial, VIOLATION_SALVAGE, "salvage names no foreign file: %s",
                          err->message);
        }
        CHECK_RC(commitlog_fault_remove(copy, spoil->foreign_path), COMMITLOG_OK);
    } else if (spoil->bad_path[0] != '\0' && (rc == COMMITLOG_OK || trial_may_refuse(trial, rc))) {
        uint8_t *zeros = need_alloc(spoil->bad_bytes);
        const void *data = NULL;
        uint64_t bytes = 0;
        memset(zeros, 0, spoil->bad_bytes);
        (void)commitlog_fault_bad_range(copy, spoil->bad_path, 0, 0);
        if (commitlog_fault_content(copy, spoil->bad_path, &data, &bytes) == COMMITLOG_OK &&
            rc != COMMITLOG_OK && spoil->bad_at < bytes) {
            bytes -= spoil->bad_at;
            bytes = bytes < spoil->bad_bytes ? bytes : spoil->bad_bytes;
            CHECK_RC(commitlog_fault_write(copy, spoil->bad_path, spoil->bad_at, zeros, bytes),
                     COMMITLOG_OK);
        }
        free(zeros);
    } else if (rc != COMMITLOG_OK) {
        trial_violate(trial, VIOLATION_SALVAGE, "salvage: %s: %s", commitlog_error_name(rc),
                      err->message);
    }
}

/* Where the log ended when it was opened. */
static uint64_t salvage_end(struct commitlog_store *store)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    CHECK_RC(commitlog_recovery_get(store, &found), COMMITLOG_OK);
    return found.end;
}

/* `before`: where a salvage before this one ended it, and began a session of its own. */
static void salvage_judge(struct trial *trial, struct commitlog_fault *copy,
                          struct commitlog_store *store, uint64_t before)
{
    const uint64_t own = salvage_end(store);
    const uint64_t end = own < before ? own : before;
    trial->bench->tally->salvaged++;
    survey_store(&trial->bench->grown->book, store, trial->ways, &trial_got);
    judge_salvaged(trial, end, "salvage");
    trial_close(trial, copy, store, "salvage");
    salvage_again(trial, copy, end);
}

void trial_salvage(struct trial *trial)
{
    struct commitlog_fault *copy = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    uint64_t before = UINT64_MAX;
    CHECK_RC(commitlog_fault_clone(trial->machine, trial->number, &copy), COMMITLOG_OK);
    int32_t rc =
        trial_open(trial, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE, &store, &err);
    if (rc != COMMITLOG_OK || trial->spoil->bad_path[0] != '\0') {
        if (rc == COMMITLOG_OK) {
            before = salvage_end(store);
            trial_close(trial, copy, store, "salvage");
        }
        salvage_help(trial, copy, rc, &err);
        rc = trial_open(trial, copy, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE, &store, &err);
    }
    if (rc == COMMITLOG_OK) {
        salvage_judge(trial, copy, store, before);
    } else {
        trial_violate(trial, VIOLATION_SALVAGE, "salvage, helped: %s: %s", commitlog_error_name(rc),
                      err.message);
    }
    commitlog_fault_free(copy);
}
