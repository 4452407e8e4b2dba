/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reader_beside.c -- a reader beside a live writer whose live area it cannot open: what is
 * proven durable is served if the area is not there for it, and any other cause is told. And one
 * that can: it sees a topic grow, and believes nothing of a ring that changes while it copies.
 */
#include "base/bytes.h"
#include "format/record.h"
#include "log/commit_log_internal.h"
#include "store/store.h"
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { LARGE = 256 << 10, LARGE_SEGMENT = 4 << 20, LARGER = 3 << 20 };

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    int answer;     /* a negative errno in the place of the live area; 0: it is there */
    uint32_t opens; /* of the live area, that still succeed */
    uint32_t maps;  /* of files, that still succeed */
    bool overtakes; /* behind the next segment that the reader opens the writer drops it */
    uint8_t *lies; /* in the ring, from when the reader asks for memory for a copy; NULL: nothing */
    uint64_t lie;
} beside;

static struct commitlog_store *reader;

static int beside_open_at(const struct commitlog_os *os, int dirfd, const char *name,
                          uint32_t flags, uint32_t mode)
{
    (void)os;
    if (beside.answer != 0 && strncmp(name, "commitlog-", 10) == 0) {
        if (beside.opens == 0) {
            return beside.answer;
        }
        beside.opens--;
    }
    int fd = beside.under->open_at(beside.under, dirfd, name, flags, mode);
    if (beside.overtakes && fd >= 0 && strstr(name, ".log") != NULL) {
        const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
        beside.overtakes = false;
        store_put(3000, COMMITLOG_LEVEL_WRITTEN);
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    }
    return fd;
}

static int beside_map_twice(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                            uint32_t prot, void **out)
{
    (void)os;
    return beside.maps-- == 0 ? -ENOMEM
                              : beside.under->map_twice(beside.under, fd, at, size, prot, out);
}

/* A copy takes more at once than anything else. */
static void *beside_alloc(const struct commitlog_os *os, size_t size)
{
    (void)os;
    if (beside.lies != NULL && size >= LARGE) {
        memcpy(beside.lies, &beside.lie, sizeof(beside.lie));
        beside.lies = NULL;
    }
    return beside.under->alloc(beside.under, size);
}

static int32_t reader_open_as(struct commitlog_progress *progress, bool verifies)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_VERIFY_READS, verifies, NULL), 0);
    commitlog_options_set_os(options, &beside.table);
    commitlog_options_set_progress(options, progress);
    int32_t rc = commitlog_open("/store", options, &reader, &err);
    commitlog_options_free(options);
    return rc;
}

static int32_t reader_open_watched(struct commitlog_progress *progress)
{
    return reader_open_as(progress, true);
}

static int32_t reader_open(void)
{
    return reader_open_watched(NULL);
}

/* What the reader gets, and how it ends. */
static void reader_gets(uint64_t expected, int32_t end)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    uint32_t number = 0;
    uint32_t got = 0;
    uint64_t count = 0;
    int32_t rc;
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, number, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &got, NULL)) == COMMITLOG_OK) {
        count += got;
    }
    ck_assert_int_eq(rc, end);
    ck_assert_uint_eq(count, expected);
    commitlog_cursor_close(cursor);
}

/* A writer with 3 records that a checkpoint covers and 2 behind it. */
static void beside_begin(void)
{
    memset(&beside, 0, sizeof(beside));
    beside.under = commitlog_fault_os(machine);
    beside.table = *beside.under;
    beside.table.open_at = beside_open_at;
    beside.table.alloc = beside_alloc;
    beside.maps = UINT32_MAX;
    reader = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    store_put(2, COMMITLOG_LEVEL_DURABLE);
}

static void beside_setup(void)
{
    setup();
    beside_begin();
}

static void beside_setup_large(void)
{
    setup();
    segment_bytes = LARGE_SEGMENT;
    beside_begin();
}

static void beside_teardown(void)
{
    (void)commitlog_close(reader, NULL);
    teardown();
}

/* As in another mount namespace, with a /dev/shm of its own. */
START_TEST(beside_an_area_that_is_not_there_what_is_proven_durable_is_served)
{
    beside.answer = -ENOENT;
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    reader_gets(3, COMMITLOG_EUNRECOVERED);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000); /* it looks again */
    reader_gets(5, COMMITLOG_EUNRECOVERED);
    beside.answer = 0;
    store_put(1, COMMITLOG_LEVEL_NONE);
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(6, COMMITLOG_EEND);
}
END_TEST

/* It closes without a change to LOCK. */
START_TEST(a_writer_whose_area_was_not_there_is_seen_to_close)
{
    beside.answer = -ENOENT;
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    reader_gets(3, COMMITLOG_EUNRECOVERED);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(5, COMMITLOG_EEND);
}
END_TEST

/* Between two looks of a reader at how far the log goes, all that it knows of it is dropped. */
START_TEST(a_reader_that_retention_overtakes_begins_again)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    uint32_t number = 0;
    uint32_t got = 0;
    uint64_t bound = 0;
    int32_t rc = COMMITLOG_OK;
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(_i % 2 == 0 ? commitlog_cursor_open(reader, number, 0, COMMITLOG_FROM_FIRST, 0,
                                                         &cursor, &err)
                                 : commitlog_cursor_open_log(reader, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 1, 0, &got, NULL), 0);
    store_put(1000, COMMITLOG_LEVEL_WRITTEN);
    beside.overtakes = true;
    if (_i / 2 == 1) { /* it is another call that meets it */
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_queue_info(reader, number, 0, &info), 0);
        ck_assert(!beside.overtakes);
    }
    for (uint32_t i = 0; rc != COMMITLOG_EEND; i++) {
        rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &got, &bound);
        if (rc == COMMITLOG_ETOOSMALL) {
            rc = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound);
        }
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
        ck_assert_uint_lt(i, 1000);
    }
    ck_assert(!beside.overtakes);
    ck_assert_uint_gt(store_positions().first, 3 * segment_bytes);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor),
                      _i % 2 == 0 ? store_count() : store_positions().published);
    commitlog_cursor_close(cursor);
}
END_TEST

static void remove_lock(void)
{
    int dir = beside.under->open_dir(beside.under, "/store");
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(beside.under->unlink_at(beside.under, dir, "LOCK"), 0);
    (void)beside.under->close(beside.under, dir);
}

/* Which is for who knows that nobody writes. The file that the reader has open says nothing more.
 */
START_TEST(a_writer_is_seen_that_has_made_lock_anew)
{
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    reader_gets(5, COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    reader_gets(5, COMMITLOG_EEND);
    remove_lock();
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    store_put(1, COMMITLOG_LEVEL_NONE);
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(6, COMMITLOG_EEND);
}
END_TEST

/* The reader cannot see that somebody writes, only what becomes of it. */
START_TEST(a_writer_that_has_lost_its_lock_is_seen_to_close)
{
    beside.answer = -ENOENT;
    remove_lock();
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    reader_gets(4, COMMITLOG_EUNRECOVERED); /* the fifth says that these were durable */
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(5, COMMITLOG_EEND);
}
END_TEST

static int64_t passed_ms(int64_t since_ns)
{
    return (beside.under->clock_mono_ns(beside.under) - since_ns) / 1000000;
}

/* A reader that is not shown how far the writer is looks again and again; its time-out holds. */
START_TEST(beside_an_area_that_is_not_there_a_time_out_holds)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t number = 0;
    uint32_t got = 0;
    beside.answer = -ENOENT;
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(reader, number, 0, COMMITLOG_FROM_END, 0, &cursor, &err),
                     0);
    const int64_t began = beside.under->clock_mono_ns(beside.under);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 300, &got, NULL),
                     COMMITLOG_EUNRECOVERED);
    ck_assert_int_ge(passed_ms(began), 300);
    ck_assert_int_lt(passed_ms(began), 600);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Another writer has come: that is no reason to say that a position was reached. */
START_TEST(a_wait_that_meets_another_writer_goes_on)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    ck_assert_msg(reader_open() == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_positions_get(reader, &at), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_wait(reader, at.visible + 100000, 300), COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(commitlog_wait(reader, at.visible, 300), COMMITLOG_OK);
}
END_TEST

START_TEST(a_writer_of_another_user_is_named_as_the_cause)
{
    beside.answer = _i == 0 ? -EACCES : -EPERM;
    ck_assert_int_eq(reader_open(), COMMITLOG_EACCESS);
    ck_assert_int_eq(err.os_errno, -beside.answer);
    ck_assert_ptr_nonnull(strstr(err.message, "/commitlog-"));
    ck_assert_ptr_nonnull(strstr(err.message, "others run as that user or as root"));
}
END_TEST

/* Its recovery looks at the area first: that one succeeds. */
START_TEST(why_the_area_could_not_be_looked_at_is_told)
{
    static const struct {
        int answer;
        int32_t code;
    } rows[] = {{-EMFILE, COMMITLOG_ELIMIT},
                {-ENFILE, COMMITLOG_ELIMIT},
                {-EIO, COMMITLOG_EIO},
                {-ENOMEM, COMMITLOG_ENOMEM},
                {-ELOOP, COMMITLOG_ENOTDIR}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        beside.answer = rows[i].answer;
        beside.opens = 1;
        if (rows[i].answer == -EIO) { /* a read beside a writer is begun again many times */
            beside.opens = 0;
        }
        ck_assert_msg(reader_open() == rows[i].code, "%zu: %s", i, err.message);
        ck_assert_int_eq(err.os_errno, -rows[i].answer);
    }
    beside.answer = 0;
    beside.table.map_twice = beside_map_twice;
    beside.maps = 0;
    ck_assert_int_eq(reader_open(), COMMITLOG_ENOMEM);
    beside.maps = UINT32_MAX;
    ck_assert_int_eq(reader_open(), 0);
    reader_gets(5, COMMITLOG_EEND);
}
END_TEST

/* It has read what there was without a writer; then one of another user comes. */
START_TEST(a_reader_is_told_when_the_next_writer_is_of_another_user)
{
    die(false);
    beside.under = commitlog_fault_os(machine);
    beside.table = *beside.under;
    beside.table.open_at = beside_open_at;
    ck_assert_int_eq(reader_open(), 0);
    reader_gets(5, COMMITLOG_EEND);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    beside.answer = -EACCES;
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &topic, &err), COMMITLOG_EACCESS);
    ck_assert_ptr_nonnull(strstr(err.message, "belongs to the writer's user"));
}
END_TEST

/* Any number of threads may ask for it, and the reader finds the next writer meanwhile. */
START_TEST(what_the_open_of_a_reader_found_stays_as_it_was)
{
    struct commitlog_recovery before = {.struct_bytes = sizeof(before)};
    struct commitlog_recovery after = {.struct_bytes = sizeof(after)};
    ck_assert_int_eq(reader_open(), 0);
    reader_gets(5, COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_recovery_get(reader, &before), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(8, COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_recovery_get(reader, &after), 0);
    ck_assert_mem_eq(&before, &after, sizeof(before));
}
END_TEST

/* The opening was watched. What is cancelled later, or freed, is not the recovery by which the
 * reader finds the next writer. */
START_TEST(a_reader_has_no_use_for_the_progress_of_its_opening)
{
    struct commitlog_progress *progress = NULL;
    uint64_t done[2] = {0};
    uint64_t all[2] = {0};
    const bool beside_one = _i % 2 == 0;
    const bool freed = _i / 2 == 1;
    if (!beside_one) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    ck_assert_int_eq(commitlog_progress_create(&progress), 0);
    ck_assert_int_eq(reader_open_watched(progress), 0);
    reader_gets(5, COMMITLOG_EEND);
    commitlog_progress_cancel(progress);
    commitlog_progress_get(progress, &done[0], &all[0]);
    if (freed) {
        commitlog_progress_free(progress);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    beside.under->sleep_ns(beside.under, INT64_C(600) * 1000000);
    reader_gets(8, COMMITLOG_EEND);
    if (!freed) {
        commitlog_progress_get(progress, &done[1], &all[1]);
        ck_assert_uint_eq(done[1], done[0]);
        ck_assert_uint_eq(all[1], all[0]);
        commitlog_progress_free(progress);
    }
}
END_TEST

/* What its reader asks first after the growth is each of these, once. */
static int32_t ask_of_child(int what, struct commitlog_group *group)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    struct commitlog_group_offset offset = {.topic = topic, .queue = 1};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint8_t buffer[64];
    uint32_t count = 0;
    int32_t rc = COMMITLOG_OK;
    switch (what) {
    case 0:
        rc = commitlog_topic_info(reader, topic, &info);
        ck_assert_uint_eq(info.queues, 2);
        ck_assert_uint_eq(info.keep_age_ms, 100000);
        break;
    case 1:
        rc = commitlog_group_fetch(group, &offset, 1, &err);
        ck_assert_uint_eq(offset.offset, UINT64_MAX);
        break;
    case 2:
        rc = commitlog_group_lag(group, topic, 1, &lag, &err);
        ck_assert_uint_eq(lag.messages, 1);
        break;
    case 3:
        rc = commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, &err);
        ck_assert_uint_eq(lag.queues, 2);
        ck_assert_uint_eq(lag.messages, 6);
        break;
    case 4:
        rc = commitlog_cursor_open(reader, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
        commitlog_cursor_close(cursor);
        break;
    default:
        rc = commitlog_read_copy(reader, topic, 1, 0, buffer, sizeof(buffer), &message, 1, &count,
                                 NULL);
        ck_assert_uint_eq(count, 1);
        break;
    }
    return rc;
}

START_TEST(a_reader_sees_a_topic_grow_whatever_it_asks)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group *seen = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    ck_assert_int_eq(reader_open(), 0);
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(reader, "g", 1, 0, &seen, &err), 0);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, COMMITLOG_LEVEL_NONE, &err), 0);
    ck_assert_int_eq(commitlog_topic_expire_after(store, topic, 100000, COMMITLOG_LEVEL_NONE, &err),
                     0);
    ck_assert_int_eq(commitlog_append(store, topic, 1, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    int32_t rc = ask_of_child(_i, seen);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
    commitlog_group_close(seen);
    commitlog_group_close(group);
}
END_TEST

/* A writer holds the lock before it writes LOCK: what was read of the store in between is of the
 * session before, and whoever remembers LOCK as it is now would never look again. */
START_TEST(a_writer_that_writes_lock_meanwhile_is_another_moment)
{
    uint8_t page[CLG_LOCK_FILE_BYTES];
    ck_assert_int_eq(reader_open(), 0);
    struct clg_store_dir *dir = &reader->dir;
    ck_assert_int_eq(clg_store_dir_probe(dir, &err), 0);
    ck_assert(dir->writer_live);
    const struct clg_lock_file last = dir->last;
    ck_assert(!clg_store_dir_moved(dir, true, &last));
    struct clg_lock_file next = last;
    next.session++;
    ck_assert_int_eq(clg_lock_file_encode(page, &next), 0);
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/LOCK", 0, page, sizeof(page)), 0);
    ck_assert(clg_store_dir_moved(dir, true, &last));
    ck_assert(clg_store_dir_moved(dir, false, &next));
    ck_assert_int_eq(clg_lock_file_encode(page, &last), 0); /* the writer's own again */
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/LOCK", 0, page, sizeof(page)), 0);
}
END_TEST

/* Its writer has gone, another one has come and gone, too, and that cannot be looked at. */
START_TEST(a_wait_of_a_reader_tells_why_it_cannot_look)
{
    static const struct {
        uint32_t kind;
        int32_t os_errno;
        int32_t code;
    } why[] = {{COMMITLOG_FAULT_ALLOC, ENOMEM, COMMITLOG_ENOMEM},
               {COMMITLOG_FAULT_READ, EIO, COMMITLOG_EIO},
               {COMMITLOG_FAULT_OPEN, EACCES, COMMITLOG_EACCESS},
               {COMMITLOG_FAULT_OPEN, EMFILE, COMMITLOG_ELIMIT}};
    ck_assert_int_eq(reader_open(), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    const uint64_t end = store_positions().published;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_fail(machine, why[_i].kind, 1, why[_i].os_errno, 1), 0);
    ck_assert_int_eq(commitlog_wait(reader, end, 1000), why[_i].code);
    ck_assert_int_eq(commitlog_fault_fail(machine, why[_i].kind, 0, 0, 0), 0);
    ck_assert_int_eq(commitlog_wait(reader, end, 1000), COMMITLOG_ETIMEDOUT);
}
END_TEST

/* In the place of the first 8 bytes of a record: it would be larger, and its header would hold. */
static uint64_t lie_of(const uint8_t *record, uint64_t position)
{
    uint8_t header[CLG_RECORD_HEADER_BYTES];
    struct clg_segment *segment = NULL;
    uint64_t lie = 0;
    ck_assert_int_eq(clg_segment_set_pin(&store->core->set, position, &segment), 0);
    memcpy(header, record, sizeof(header));
    const uint64_t seed = clg_record_seed(segment->salt, position);
    clg_segment_unref(segment);
    const uint32_t word =
        clg_record_seal_check(header, LARGER, seed, clg_load_le64(header + CLG_RECORD_AT_CHECK));
    clg_store_le32(header + CLG_RECORD_AT_WORD, word);
    ck_assert(clg_record_verify_header(header, seed));
    memcpy(&lie, header, sizeof(lie));
    return lie;
}

/* The live area of a hostile writer, or of one whose memory is broken: between the look at how much
 * there is to copy and the copy the record becomes a larger one, with as little of it copied. */
START_TEST(a_record_that_grows_while_it_is_copied_is_not_believed)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    uint64_t truth = 0;
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_NONE, &receipt), 0);
    ck_assert_int_eq(reader_open_as(NULL, _i == 0), 0);
    ck_assert_int_eq(commitlog_get(reader, receipt.position, &message, &lease, &err), 0);
    commitlog_lease_release(lease);
    const struct clg_log *log = store->core->log;
    uint8_t *record = log->ring + (receipt.position & log->ring_mask);
    memcpy(&truth, record, sizeof(truth));
    beside.lie = lie_of(record, receipt.position);
    beside.lies = record;
    ck_assert_int_eq(commitlog_get(reader, receipt.position, &message, &lease, &err),
                     COMMITLOG_EDAMAGED);
    ck_assert_ptr_null(beside.lies);
    memcpy(record, &truth, sizeof(truth));
    ck_assert_int_eq(commitlog_get(reader, receipt.position, &message, &lease, &err), 0);
    ck_assert_uint_eq(message.body.bytes, 10);
    commitlog_lease_release(lease);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reader beside");
    TCase *cases = tcase_create("the live area");
    tcase_add_checked_fixture(cases, beside_setup, beside_teardown);
    tcase_add_test(cases, a_writer_whose_area_was_not_there_is_seen_to_close);
    tcase_add_loop_test(cases, a_reader_that_retention_overtakes_begins_again, 0, 4);
    tcase_add_test(cases, a_writer_is_seen_that_has_made_lock_anew);
    tcase_add_test(cases, a_writer_that_has_lost_its_lock_is_seen_to_close);
    tcase_add_test(cases, beside_an_area_that_is_not_there_what_is_proven_durable_is_served);
    tcase_add_test(cases, beside_an_area_that_is_not_there_a_time_out_holds);
    tcase_add_test(cases, a_wait_that_meets_another_writer_goes_on);
    tcase_add_loop_test(cases, a_wait_of_a_reader_tells_why_it_cannot_look, 0, 4);
    tcase_add_loop_test(cases, a_writer_of_another_user_is_named_as_the_cause, 0, 2);
    tcase_add_test(cases, why_the_area_could_not_be_looked_at_is_told);
    tcase_add_test(cases, a_reader_is_told_when_the_next_writer_is_of_another_user);
    tcase_add_test(cases, what_the_open_of_a_reader_found_stays_as_it_was);
    tcase_add_loop_test(cases, a_reader_has_no_use_for_the_progress_of_its_opening, 0, 4);
    tcase_add_loop_test(cases, a_reader_sees_a_topic_grow_whatever_it_asks, 0, 6);
    tcase_add_test(cases, a_writer_that_writes_lock_meanwhile_is_another_moment);
    suite_add_tcase(suite, cases);
    TCase *large = tcase_create("a large segment");
    tcase_add_checked_fixture(large, beside_setup_large, beside_teardown);
    tcase_add_loop_test(large, a_record_that_grows_while_it_is_copied_is_not_believed, 0, 2);
    suite_add_tcase(suite, large);
    return run_suite(suite);
}
