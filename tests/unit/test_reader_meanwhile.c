/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reader_meanwhile.c -- a reader opens a store whose writer was killed, and at each of its
 * reads, and before each file that it opens, the next writer comes: what was read before and what
 * is read behind it are of two moments, and nothing of it may be taken for damage, or for missing.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { COMES_AND_STAYS, COMES_AND_CLOSES, FAILS_TO_RECOVER, WAYS };

static const char filling[8000];

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    struct commitlog_os others; /* the next writer's: another process */
    uint64_t reads;             /* of the reader, and files that it opens */
    uint64_t at;                /* at which of them the writer comes */
    int way;
    bool inside;
    struct commitlog_store *writer;
    uint64_t acknowledged; /* of topic "t" */
} come;

static void come_append(uint32_t count, size_t bytes, uint32_t level)
{
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, filling, bytes, level, NULL), 0);
        come.acknowledged++;
    }
}

/* The next writer recovers what is staged in front of the end of a segment, and goes on in others;
 * or it fails, as one that is killed, behind its first write to the log. */
static void come_now(void)
{
    struct commitlog_store *reader = store;
    const uint32_t topic_of_reader = topic;
    store = NULL;
    if (come.way == FAILS_TO_RECOVER) {
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1 + come.at % 4, EIO, 1);
        (void)store_open_with(&come.others, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 0, 0, 0);
    } else {
        ck_assert_msg(
            store_open_with(&come.others, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
            "%s", err.message);
        come_append(20, sizeof(filling), COMMITLOG_LEVEL_DURABLE);
    }
    if (come.way == COMES_AND_STAYS) {
        come.writer = store;
    } else {
        (void)commitlog_close(store, NULL);
    }
    store = reader;
    topic = topic_of_reader;
}

static int64_t others_pid(const struct commitlog_os *os)
{
    return come.under->pid(os) + 1;
}

static void come_perhaps(void)
{
    if (!come.inside && ++come.reads == come.at) {
        come.inside = true;
        come_now();
        come.inside = false;
    }
}

static int come_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                        uint32_t mode)
{
    (void)os;
    come_perhaps();
    return come.under->open_at(come.under, dirfd, name, flags, mode);
}

static int64_t come_pread(const struct commitlog_os *os, int fd, void *buf, size_t size,
                          uint64_t at)
{
    (void)os;
    come_perhaps();
    return come.under->pread(come.under, fd, buf, size, at);
}

static struct commitlog_options *reader_options(void)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, &come.table);
    return options;
}

static int32_t reader_open(void)
{
    struct commitlog_options *options = reader_options();
    int32_t rc = commitlog_open("/store", options, &store, &err);
    commitlog_options_free(options);
    return rc;
}

static void reader_check(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    uint64_t count = 0;
    uint32_t got = 0;
    int32_t rc = COMMITLOG_OK;
    ck_assert_msg(commitlog_damage_get(store, 0, &damage) == COMMITLOG_ENOTFOUND,
                  "read %llu: %s [%llu, %llu)", (unsigned long long)come.at, damage.reason,
                  (unsigned long long)damage.from_position, (unsigned long long)damage.to_position);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &cursor, &err),
                     0);
    const bool comes = come.way != FAILS_TO_RECOVER && come.reads >= come.at;
    for (int looks = 0; looks == 0 || (comes && count < come.acknowledged && looks < 3); looks++) {
        while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &got, NULL)) == COMMITLOG_OK) {
            count += got;
        }
        ck_assert_msg(rc == COMMITLOG_EEND || rc == COMMITLOG_EUNRECOVERED, "read %llu: %s",
                      (unsigned long long)come.at, commitlog_error_name(rc));
        /* It looks for the next writer now and then. */
        come.under->sleep_ns(come.under, INT64_C(600) * 1000000);
    }
    ck_assert(!comes || count == come.acknowledged);
    commitlog_cursor_close(cursor);
}

static void reader_reads(void)
{
    ck_assert_msg(reader_open() == 0, "read %llu: %s", (unsigned long long)come.at, err.message);
    reader_check();
    (void)commitlog_close(store, NULL);
    store = NULL;
}

static void reader_verifies(void)
{
    struct commitlog_options *options = reader_options();
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    int32_t rc = commitlog_verify("/store", options, &report, &err);
    if (report != NULL) {
        (void)commitlog_report_damage(report, 0, &damage);
    }
    ck_assert_msg(rc == COMMITLOG_OK, "read %llu: %s: %s [%llu, %llu)", (unsigned long long)come.at,
                  err.message, damage.reason, (unsigned long long)damage.from_position,
                  (unsigned long long)damage.to_position);
    commitlog_report_free(report);
    commitlog_options_free(options);
}

/* The writer comes at the first read, at the second, and so on; what was left of the one before is
 * in its file, or in memory. */
static void at_each_read(int way, bool staged, void (*look)(void))
{
    struct commitlog_fault *killed = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    come.acknowledged = 0;
    come_append(7, sizeof(filling), COMMITLOG_LEVEL_DURABLE);
    for (uint32_t wait_ms = 0; wait_ms == 0;) { /* the next segment is prepared */
        ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
    }
    come_append(staged ? 3 : 0, 100, COMMITLOG_LEVEL_NONE);
    die(false);
    killed = machine;
    const uint64_t acknowledged = come.acknowledged;
    memset(&come, 0, sizeof(come));
    do {
        come.at++;
        come.reads = 0;
        come.way = way;
        come.acknowledged = acknowledged;
        ck_assert_int_eq(commitlog_fault_clone(killed, come.at, &machine), 0);
        come.under = commitlog_fault_os(machine);
        come.table = *come.under;
        come.table.pread = come_pread;
        come.table.open_at = come_open_at;
        come.others = *come.under;
        come.others.pid = others_pid;
        look();
        (void)commitlog_close(come.writer, NULL);
        come.writer = NULL;
        commitlog_fault_free(machine);
    } while (come.reads >= come.at);
    ck_assert_uint_gt(come.at, 10);
    machine = killed;
}

START_TEST(a_writer_that_comes_while_a_reader_opens_is_no_damage)
{
    at_each_read(_i / 2, _i % 2 != 0, reader_reads);
}
END_TEST

START_TEST(a_writer_that_comes_while_the_store_is_verified_is_no_damage)
{
    at_each_read(_i / 2, _i % 2 != 0, reader_verifies);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reader meanwhile");
    TCase *cases = tcase_create("opening");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_writer_that_comes_while_a_reader_opens_is_no_damage, 0, 2 * WAYS);
    tcase_add_loop_test(cases, a_writer_that_comes_while_the_store_is_verified_is_no_damage, 0,
                        2 * WAYS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
