/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c -- fuzz target: a whole directory, read, verified, recovered, opened and written to.
 *
 * Input: a bundle; options: bits 0-1 recovery mode, 2 write engine, 3 borrowed reads, 4 a reader
 * beside the writer, 5 a rebuild, 6 upkeep with retention and scrub, 7 the live area in tmpfs, 8 a
 * body that fills segments; 9-12 which kind of call fails (0: none) in 13-15 which undertaking,
 * from 16-23 which of them on, 24-26 how, 27 for ever; 28-31 a file that has an unreadable sector
 * (0: none), 32-39 which one; 40 it does not read from the beginning, or a byte of it flips while a
 * writer is there; 41 a store that is not there is made; 42 a second writer comes; 43 time passes,
 * and what waited for it is delivered; 44 transactions are made, and ended in each way.
 *
 * Held: 1. reading, verifying and planning change no byte; 2. a record is served only if its
 * checks hold in the file it is served from, through a reference only if those of both hold and it
 * is the one that is meant; 3. a recovery that refuses damage changes no byte under log/ (salvage
 * does, and may still find that nothing can be made of it); 4. a second recovery changes none
 * either (a third, where a sector of the log does not read); 5. a store that opens for writing
 * takes records, a reader beside the writer sees them, and they are there when it is opened again
 * (as far as upkeep has not dropped them), and so is the offset that a consumer group commits, and
 * what it has been given of single messages; what waits comes in its time, and not after it was
 * cancelled; of a transaction all is there when it was committed, and before and else nothing; 6. a
 * call that fails is an error or nothing: what was undertaken gives back all memory, maps and
 * descriptors, and 2 to 5 hold after it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "commitlog.h"
#include "format/limits.h"
#include "support/check.h"
#include "support/disk.h"
#include "support/fuzz.h"
#include "support/groups.h"
#include "support/served.h"
#include "support/timers.h"
#include "support/transactions.h"
#include "support/work.h"

/* Hostile definitions may name a million queues. */
#define STORE_TOPICS_MAX 8u
#define STORE_QUEUES_MAX 8u
#define STORE_FETCHES_MAX 4096u
#define STORE_APPENDS 3u
/* Enough to roll twice. */
#define STORE_FILL_BYTES 12000u
#define STORE_FILL_APPENDS 12u
#define STORE_STEPS 24u

static const char store_topic_name[] = "fuzz";

struct store_run {
    struct fuzz_disk disk;
    uint64_t options;
    struct fuzz_bundle seen;       /* the files, for check 2 */
    char spoiled[FUZZ_PATH_BYTES]; /* a file that is to rot; "": none */
    uint64_t spoiled_at;
    uint32_t delivered; /* of the messages that store_append delays or commits */
    uint64_t prepared;  /* a transaction that it leaves so; 0: none */
    bool others;        /* others waited before it, and may come */
    bool writing;       /* a writer has the store open */
    bool failing;       /* a call of the machine is to fail */
    bool unreadable;    /* a sector of a segment does not read, also when it is written again */
    bool forgets;       /* half of CHECKPOINT does not read, also when it is written again */
};

enum store_option {
    STORE_BESIDE = 4,
    STORE_REBUILD,
    STORE_UPKEEP,
    STORE_TMPFS,
    STORE_FILL,
    STORE_FAULT_KIND,
    STORE_FAULT_WHERE = 13,
    STORE_FAULT_NTH = 16,
    STORE_FAULT_HOW = 24,
    STORE_FAULT_FOR_EVER = 27,
    STORE_BAD_FILE,
    STORE_BAD_SECTOR = 32,
    STORE_ROTS = 40,
    STORE_CREATES,
    STORE_SECOND,
    STORE_DELAYS,
    STORE_TRANSACTIONS
};

static uint32_t store_bits(const struct store_run *run, enum store_option first, uint32_t count)
{
    return (uint32_t)(run->options >> first & ((UINT64_C(1) << count) - 1));
}

static void store_set(struct commitlog_options *options, uint32_t id, uint64_t value)
{
    FUZZ_CHECK(commitlog_options_set(options, (int32_t)id, value, NULL) == COMMITLOG_OK);
}

static struct commitlog_options *store_options(struct store_run *run, uint32_t access)
{
    struct commitlog_options *options = NULL;
    FUZZ_CHECK(commitlog_options_create(&options) == COMMITLOG_OK);
    store_set(options, COMMITLOG_OPT_ACCESS, access);
    store_set(options, COMMITLOG_OPT_CREATE,
              store_bits(run, STORE_CREATES, 1) != 0 ? COMMITLOG_CREATE_IF_MISSING
                                                     : COMMITLOG_CREATE_NEVER);
    store_set(options, COMMITLOG_OPT_RECOVERY, run->options % 3);
    store_set(options, COMMITLOG_OPT_ENGINE, run->options >> 2 & 1);
    store_set(options, COMMITLOG_OPT_BORROW, run->options >> 3 & 1);
    store_set(options, COMMITLOG_OPT_SEGMENT_BYTES, CLG_SEGMENT_MIN);
    store_set(options, COMMITLOG_OPT_STAGE_BYTES, CLG_RING_MIN);
    store_set(options, COMMITLOG_OPT_THREAD, 0);
    store_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE);
    store_set(options, COMMITLOG_OPT_LIVE_AREA,
              store_bits(run, STORE_TMPFS, 1) != 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR);
    if (store_bits(run, STORE_UPKEEP, 1) != 0) {
        store_set(options, COMMITLOG_OPT_RETAIN_BYTES, 2 * CLG_SEGMENT_MIN);
        store_set(options, COMMITLOG_OPT_SCRUB_BYTES_PER_S, UINT64_C(1) << 40);
    }
    commitlog_options_set_os(options, &run->disk.os);
    return options;
}

/* What is on the disk now; nothing is written while a store is asked. */
static void store_look(struct store_run *run)
{
    fuzz_bundle_free(&run->seen);
    fuzz_disk_save(&run->disk, &run->seen);
}

static void store_message(struct store_run *run, const struct commitlog_message *message)
{
    struct commitlog_slice key;
    struct commitlog_header header;
    uint32_t n = 0;
    fuzz_served(&run->seen, run->writing, message);
    while (commitlog_message_key(message, n, &key) == COMMITLOG_OK) {
        FUZZ_CHECK(key.bytes <= message->attributes.bytes);
        n++;
    }
    FUZZ_CHECK(message->kind != COMMITLOG_KIND_MESSAGE || n == message->key_count);
    for (n = 0; commitlog_message_header(message, n, &header) == COMMITLOG_OK; n++) {
        FUZZ_CHECK(header.name.bytes + header.value.bytes <= message->attributes.bytes);
    }
}

/* To the end, over damage; the number of messages. */
static uint32_t store_cursor(struct store_run *run, struct commitlog_cursor *cursor, bool ordered)
{
    struct commitlog_message messages[16];
    uint32_t count = 0;
    uint32_t seen = 0;
    uint64_t bound = 0;
    uint64_t last = 0;
    for (uint32_t i = 0; i < STORE_FETCHES_MAX; i++) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, &bound);
        if ((rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED) && ordered &&
            bound < UINT64_MAX / 2) {
            if (commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1) != COMMITLOG_OK) {
                break;
            }
            continue;
        }
        if (rc == COMMITLOG_ETOOSMALL && ordered) {
            if (commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound) != COMMITLOG_OK) {
                break;
            }
            continue;
        }
        if (rc != COMMITLOG_OK) {
            break;
        }
        FUZZ_CHECK(count > 0 && count <= 16);
        for (uint32_t m = 0; m < count; m++) {
            FUZZ_CHECK(!ordered || seen + m == 0 || messages[m].queue_offset > last);
            last = messages[m].queue_offset;
            store_message(run, &messages[m]);
        }
        seen += count;
    }
    commitlog_cursor_close(cursor);
    return seen;
}

static void store_queue(struct store_run *run, struct commitlog_store *store, uint32_t topic,
                        uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    uint64_t offset;
    if (commitlog_queue_info(store, topic, queue, &info) == COMMITLOG_OK) {
        FUZZ_CHECK(info.first_offset <= info.next_offset);
        for (uint32_t bound = COMMITLOG_LOWER; bound <= COMMITLOG_UPPER; bound++) {
            (void)commitlog_offset_by_time(store, topic, queue, info.first_time_ns, bound, &offset);
            (void)commitlog_offset_by_time(store, topic, queue, info.last_time_ns, bound, &offset);
        }
    }
    if (commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, NULL) ==
        COMMITLOG_OK) {
        (void)store_cursor(run, cursor, true);
    }
}

static void store_topic(struct store_run *run, struct commitlog_store *store, uint32_t topic)
{
    static const char *const keys[] = {"key-0", "key-1", "k"};
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    if (commitlog_topic_info(store, topic, &info) != COMMITLOG_OK) {
        return;
    }
    FUZZ_CHECK(info.name_bytes > 0 && info.name[info.name_bytes] == '\0');
    for (uint32_t q = 0; q < info.queues_total && q < STORE_QUEUES_MAX; q++) {
        store_queue(run, store, topic, q);
    }
    for (uint32_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        if (commitlog_cursor_open_key(store, topic, keys[k], strlen(keys[k]), 0, INT64_MAX, &cursor,
                                      NULL) == COMMITLOG_OK) {
            (void)store_cursor(run, cursor, false);
        }
    }
    /* A cursor over all queues merges them: thousands of them are no small thing. */
    if (info.queues_total <= 1024 &&
        commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0, &cursor,
                              NULL) == COMMITLOG_OK) {
        (void)store_cursor(run, cursor, false);
    }
}

static void store_ask(struct store_run *run, struct commitlog_store *store)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t topics = commitlog_topic_count(store);
    store_look(run);
    for (uint32_t t = 0; t < topics && t < STORE_TOPICS_MAX; t++) {
        store_topic(run, store, t);
    }
    if (commitlog_cursor_open_log(store, 0, &cursor, NULL) == COMMITLOG_OK) {
        (void)store_cursor(run, cursor, false);
    }
    fuzz_groups_ask(store);
    fuzz_timers_ask(store);
    fuzz_transactions_ask(store);
    fuzz_work_ask(store);
    for (uint32_t i = 0; commitlog_damage_get(store, i, &damage) == COMMITLOG_OK; i++) {
        FUZZ_CHECK(memchr(damage.reason, '\0', sizeof(damage.reason)) != NULL);
    }
}

static void store_read(struct store_run *run)
{
    struct commitlog_options *options = store_options(run, COMMITLOG_READ_ONLY);
    struct commitlog_store *store = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t before = fuzz_disk_hash(&run->disk, "");
    fuzz_disk_set_exact(true);
    int32_t rc = commitlog_open(FUZZ_STORE, options, &store, &err);
    if (rc == COMMITLOG_OK) {
        store_ask(run, store);
        FUZZ_CHECK(commitlog_close(store, &err) == COMMITLOG_OK);
    } else {
        FUZZ_CHECK(store == NULL && err.code == rc && err.message[0] != '\0');
    }
    rc = commitlog_verify(FUZZ_STORE, options, &report, &err);
    FUZZ_CHECK(rc != COMMITLOG_EINTERNAL);
    commitlog_report_free(report);
    report = NULL;
    fuzz_disk_set_exact(false);
    (void)commitlog_recover(FUZZ_STORE, options, COMMITLOG_RECOVER_PLAN_ONLY, &report, &err);
    commitlog_report_free(report);
    FUZZ_CHECK(fuzz_disk_hash(&run->disk, "") == before);
    commitlog_options_free(options);
}

/* The session before was the last that a store can have. */
static bool store_is_spent(int32_t rc, const struct commitlog_error *err)
{
    return rc == COMMITLOG_ELIMIT && strstr(err->message, "no session of a writer") != NULL;
}

/* True: it was recovered. */
static bool store_recover(struct store_run *run)
{
    struct commitlog_options *options = store_options(run, COMMITLOG_READ_WRITE);
    struct commitlog_error err = {.message = ""};
    uint64_t before = fuzz_disk_hash(&run->disk, "/log");
    struct commitlog_report *report = NULL;
    int32_t rc = commitlog_recover(FUZZ_STORE, options, 0, &report, &err);
    commitlog_report_free(report);
    if (rc == COMMITLOG_EDAMAGED && run->options % 3 != COMMITLOG_RECOVER_SALVAGE) {
        FUZZ_CHECK(fuzz_disk_hash(&run->disk, "/log") == before);
    } else if (rc == COMMITLOG_OK) {
        /* A hole in a sector that still does not read is made anew, and once more as it was. */
        for (uint32_t i = 0; i < (run->unreadable ? 2 : 1); i++) {
            before = fuzz_disk_hash(&run->disk, "/log");
            report = NULL;
            int32_t again = commitlog_recover(FUZZ_STORE, options, 0, &report, &err);
            FUZZ_CHECK(again == COMMITLOG_OK || store_is_spent(again, &err));
            commitlog_report_free(report);
        }
        FUZZ_CHECK(fuzz_disk_hash(&run->disk, "/log") == before || run->forgets);
    }
    commitlog_options_free(options);
    return rc == COMMITLOG_OK;
}

/* Appends; the offset of the first, or false. */
static bool store_append(struct store_run *run, struct commitlog_store *store, uint64_t *first)
{
    static const uint8_t body[STORE_FILL_BYTES] = "appended";
    bool fills = store_bits(run, STORE_FILL, 1) != 0;
    struct commitlog_receipt receipt;
    uint32_t topic;
    if (commitlog_topic_open(store, store_topic_name, 4, 0, &topic, NULL) != COMMITLOG_OK &&
        commitlog_topic_open(store, store_topic_name, 4, 1, &topic, NULL) != COMMITLOG_OK) {
        return false;
    }
    for (uint32_t i = 0; i < (fills ? STORE_FILL_APPENDS : STORE_APPENDS); i++) {
        if (commitlog_append(store, topic, 0, body, fills ? sizeof(body) : 8,
                             COMMITLOG_LEVEL_DURABLE, &receipt) != COMMITLOG_OK) {
            return false;
        }
        *first = i == 0 ? receipt.queue_offset : *first;
        FUZZ_CHECK(receipt.queue_offset == *first + i);
    }
    if (!fuzz_groups_change(store, topic, *first) || !fuzz_work_change(store, topic, *first)) {
        return false;
    }
    run->delivered = 0;
    run->others = fuzz_timers_any(store);
    if (store_bits(run, STORE_DELAYS, 1) != 0 &&
        !fuzz_timers_change(store, &run->disk.os, topic, receipt.store_time_ns,
                            !run->failing && store_bits(run, STORE_BAD_FILE, 4) == 0,
                            &run->delivered)) {
        return false;
    }
    uint32_t committed = 0;
    if (store_bits(run, STORE_TRANSACTIONS, 1) != 0 &&
        !fuzz_transactions_change(store, topic, &committed, &run->prepared)) {
        return false;
    }
    run->delivered += committed;
    /* One that waits in the ring until the store is closed. */
    return commitlog_append(store, topic, 0, body, 8, COMMITLOG_LEVEL_NONE, &receipt) ==
           COMMITLOG_OK;
}

/* Check 5: all that was appended, from a store of any kind. */
static void store_appended(struct store_run *run, struct commitlog_store *store, uint64_t first)
{
    struct commitlog_cursor *cursor = NULL;
    uint32_t topic;
    uint32_t appends = store_bits(run, STORE_FILL, 1) != 0 ? STORE_FILL_APPENDS : STORE_APPENDS;
    store_look(run);
    FUZZ_CHECK(commitlog_topic_open(store, store_topic_name, 4, 0, &topic, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, first, &cursor,
                                     NULL) == COMMITLOG_OK);
    uint32_t seen = store_cursor(run, cursor, true);
    uint32_t expected = appends + run->delivered + 1;
    FUZZ_CHECK(seen == expected || (seen > expected && run->others) ||
               store_bits(run, STORE_UPKEEP, 1) != 0);
    fuzz_groups_changed(store, topic, first);
    if (store_bits(run, STORE_UPKEEP, 1) == 0) { /* retention forgets work with its messages */
        fuzz_work_changed(store, topic, first);
    }
    if (store_bits(run, STORE_TRANSACTIONS, 1) != 0) {
        fuzz_transactions_changed(store, topic, run->prepared);
    }
}

static void store_rot(const struct store_run *run)
{
    if (store_bits(run, STORE_ROTS, 1) != 0 && run->spoiled[0] != '\0') {
        (void)commitlog_fault_flip(run->disk.machine, run->spoiled, run->spoiled_at, 0x10);
    }
}

/* What a thread of the library would do. */
static void store_upkeep(struct store_run *run, struct commitlog_store *store)
{
    uint32_t wait_ms;
    if (store_bits(run, STORE_UPKEEP, 1) == 0) {
        return;
    }
    for (uint32_t i = 0; i < STORE_STEPS; i++) {
        if (commitlog_step(store, 1000000, &wait_ms) != COMMITLOG_OK) {
            return;
        }
    }
}

/* As receivers are given it. */
static void store_given(void *ctx, const struct commitlog_message *message)
{
    struct store_run *run = ctx;
    store_look(run);
    store_message(run, message);
}

/* True: all appends were acknowledged and the store was closed well. */
static bool store_session(struct store_run *run, const struct commitlog_options *options,
                          uint64_t *first)
{
    struct commitlog_store *store = NULL;
    struct commitlog_store *beside = NULL;
    struct commitlog_error err = {.message = ""};
    if (commitlog_open(FUZZ_STORE, options, &store, &err) != COMMITLOG_OK) {
        FUZZ_CHECK(store == NULL && err.message[0] != '\0');
        return false;
    }
    run->writing = true;
    store_ask(run, store);
    fuzz_work_receive(store, store_given, run);
    bool appended = store_append(run, store, first);
    if (store_bits(run, STORE_BESIDE, 1) != 0) {
        struct commitlog_options *reads = store_options(run, COMMITLOG_READ_ONLY);
        struct commitlog_report *report = NULL;
        if (commitlog_open(FUZZ_STORE, reads, &beside, &err) == COMMITLOG_OK) {
            store_ask(run, beside);
        }
        (void)commitlog_verify(FUZZ_STORE, reads, &report, &err);
        commitlog_report_free(report);
        commitlog_options_free(reads);
    }
    if (store_bits(run, STORE_SECOND, 1) != 0) {
        struct commitlog_store *second = NULL;
        FUZZ_CHECK(commitlog_open(FUZZ_STORE, options, &second, &err) != COMMITLOG_OK);
    }
    store_rot(run);
    store_upkeep(run, store);
    int32_t rc = commitlog_close(store, &err);
    /* What could not be drained stays in the ring, from where a reader has it. */
    run->writing = rc != COMMITLOG_OK;
    if (beside != NULL) {
        store_ask(run, beside);
        FUZZ_CHECK(commitlog_close(beside, &err) == COMMITLOG_OK);
    }
    run->writing = false;
    return appended && rc == COMMITLOG_OK;
}

static void store_write(struct store_run *run)
{
    struct commitlog_options *options = store_options(run, COMMITLOG_READ_WRITE);
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t first = 0;
    if (store_bits(run, STORE_REBUILD, 1) != 0) {
        FUZZ_CHECK(commitlog_rebuild(FUZZ_STORE, options, &err) != COMMITLOG_EINTERNAL);
    }
    bool appended = store_session(run, options, &first);
    /* A sector that does not read may lie where the records went. */
    if (appended && store_bits(run, STORE_BAD_FILE, 4) == 0) {
        int32_t rc = commitlog_open(FUZZ_STORE, options, &store, &err);
        if (!store_is_spent(rc, &err)) {
            FUZZ_CHECK(rc == COMMITLOG_OK);
            store_appended(run, store, first);
            FUZZ_CHECK(commitlog_close(store, &err) == COMMITLOG_OK);
        }
    }
    commitlog_options_free(options);
}

enum store_undertaking {
    STORE_OPEN_READ,
    STORE_VERIFY,
    STORE_PLAN,
    STORE_RECOVER,
    STORE_SALVAGE,
    STORE_SESSION,
    STORE_DO_REBUILD,
    STORE_ALL
};

static void store_undertake(struct store_run *run, enum store_undertaking what)
{
    uint32_t access = what == STORE_OPEN_READ ? COMMITLOG_READ_ONLY : COMMITLOG_READ_WRITE;
    struct commitlog_options *options = store_options(run, access);
    struct commitlog_store *store = NULL;
    struct commitlog_report *report = NULL;
    uint64_t first = 0;
    switch (what) {
    case STORE_OPEN_READ:
        if (commitlog_open(FUZZ_STORE, options, &store, NULL) == COMMITLOG_OK) {
            store_ask(run, store);
            (void)commitlog_close(store, NULL);
        }
        break;
    case STORE_VERIFY:
        (void)commitlog_verify(FUZZ_STORE, options, &report, NULL);
        break;
    case STORE_PLAN:
        (void)commitlog_recover(FUZZ_STORE, options, COMMITLOG_RECOVER_PLAN_ONLY, &report, NULL);
        break;
    case STORE_SALVAGE:
        store_set(options, COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE);
        (void)commitlog_recover(FUZZ_STORE, options, 0, &report, NULL);
        break;
    case STORE_RECOVER:
        (void)commitlog_recover(FUZZ_STORE, options, 0, &report, NULL);
        break;
    case STORE_DO_REBUILD:
        (void)commitlog_rebuild(FUZZ_STORE, options, NULL);
        break;
    case STORE_SESSION:
    case STORE_ALL:
        (void)store_session(run, options, &first);
        break;
    }
    commitlog_report_free(report);
    commitlog_options_free(options);
}

/* Check 6. */
static void store_fail(struct store_run *run)
{
    static const int32_t ways[] = {EIO, ENOSPC, EMFILE, EROFS, ENOMEM, EINTR, EACCES, 0};
    static const uint32_t held[] = {COMMITLOG_FAULT_ALLOC, COMMITLOG_FAULT_OPEN,
                                    COMMITLOG_FAULT_MAP};
    struct commitlog_fault *machine = run->disk.machine;
    uint32_t kind = store_bits(run, STORE_FAULT_KIND, 4);
    uint64_t before[3];
    if (kind == COMMITLOG_FAULT_ANY) {
        return;
    }
    int32_t how = ways[store_bits(run, STORE_FAULT_HOW, 3)];
    fuzz_disk_set_cheap(&run->disk, false);
    for (uint32_t i = 0; i < 3; i++) {
        before[i] = commitlog_fault_held(machine, held[i]);
    }
    /* What is interrupted for ever is tried for ever. */
    FUZZ_CHECK(commitlog_fault_fail(machine,
                                    kind < COMMITLOG_FAULT_KINDS ? kind : COMMITLOG_FAULT_ANY,
                                    1 + store_bits(run, STORE_FAULT_NTH, 8), how,
                                    store_bits(run, STORE_FAULT_FOR_EVER, 1) != 0 && how != EINTR &&
                                        how != 0) == COMMITLOG_OK);
    run->failing = true;
    store_undertake(run, (enum store_undertaking)store_bits(run, STORE_FAULT_WHERE, 3));
    run->failing = false;
    FUZZ_CHECK(commitlog_fault_fail(machine, 0, 0, 0, 0) == COMMITLOG_OK);
    for (uint32_t i = 0; i < 3; i++) {
        FUZZ_CHECK(commitlog_fault_held(machine, held[i]) == before[i]);
    }
    fuzz_disk_set_cheap(&run->disk, true);
}

/* A sector of a file that the device no longer gives. */
static void store_spoil(struct store_run *run, const struct fuzz_bundle *bundle)
{
    uint32_t index = store_bits(run, STORE_BAD_FILE, 4);
    run->forgets = false;
    run->unreadable = false;
    run->spoiled[0] = '\0';
    if (index == 0 || index > bundle->count) {
        return;
    }
    const struct fuzz_file *file = &bundle->files[index - 1];
    uint64_t sector = store_bits(run, STORE_BAD_SECTOR, 8) % (file->bytes / 4096u + 1);
    bool rots = store_bits(run, STORE_ROTS, 1) != 0;
    run->forgets = file->kind == FUZZ_CHECKPOINT && !rots;
    run->unreadable = file->kind == FUZZ_LOG && !rots;
    if (!fuzz_file_path(file, run->spoiled)) {
        run->spoiled[0] = '\0';
    } else if (!rots) {
        /* A second file of the same name was not taken: this is the first one then. */
        (void)commitlog_fault_bad_range(run->disk.machine, run->spoiled, sector * 4096u, 4096);
    }
    run->spoiled_at = sector * 4096u + 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store_run run;
    struct fuzz_bundle bundle;
    fuzz_bundle_unpack(data, size, &bundle);
    fuzz_disk_load(&run.disk, &bundle);
    run.options = bundle.options;
    store_spoil(&run, &bundle);
    fuzz_bundle_free(&bundle);
    store_read(&run);
    store_fail(&run);
    if (store_recover(&run)) {
        store_write(&run);
    }
    fuzz_bundle_free(&run.seen);
    fuzz_disk_free(&run.disk);
    return 0;
}
