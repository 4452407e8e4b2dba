/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_close.c -- what is in the store is there after a close, whatever was still open; and a
 * store that another writer has taken meanwhile is not written to any more.
 */
#include "unit/fault_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/dirs.h"
#include "support/run_suite.h"

enum { ENGINES = 2, OPEN = 4, BODY = 100 };

struct opened {
    struct commitlog_reservation *reservation;
    void *body;
};

static struct opened reserve(size_t bytes)
{
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct opened opened = {NULL, NULL};
    ck_assert_msg(
        commitlog_reserve(store, &record, bytes, 0, &opened.reservation, &opened.body, &err) == 0,
        "%s", err.message);
    return opened;
}

static void put(uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++, number++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, &number, sizeof(number), COMMITLOG_LEVEL_NONE, NULL),
            0);
    }
}

/* The numbers in queue 0, in order, are 0 to count - 1; its next offset. */
static uint64_t check_numbers(uint32_t count)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t got = 0;
    uint32_t number = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), 0);
        ck_assert_uint_eq(message.body.bytes, sizeof(number));
        memcpy(&number, message.body.data, sizeof(number));
        ck_assert_uint_eq(number, i);
    }
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    return store_count();
}

/* Records of others behind open reservations, in several segments. What is closed without an error
 * is durable, so the power goes then. */
START_TEST(what_lies_behind_open_reservations_is_kept)
{
    const uint64_t engine = (uint64_t)(_i % ENGINES);
    const uint32_t each = _i / ENGINES == 0 ? 3 : 900; /* 900 of 64 bytes: most of a segment */
    struct opened opened[OPEN];
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    stage_bytes = 1 << 20;
    ck_assert_int_eq(store_open(engine), 0);
    store_put(0, COMMITLOG_LEVEL_NONE);
    put(2, 0);
    for (uint32_t i = 0; i < OPEN; i++) {
        opened[i] = reserve(BODY);
        memset(opened[i].body, 'x', BODY / 2);
        put(each, 2 + i * each);
    }
    ck_assert_uint_lt(store_positions().published, store_positions().claimed);
    ck_assert_msg(commitlog_close(store, &err) == 0, "%s", err.message);
    store = NULL;
    for (uint32_t i = 0; i < OPEN; i++) { /* it was an abort: their handles are all that is left */
        ck_assert_int_eq(i % 2 == 0 ? commitlog_commit(opened[i].reservation, 0, NULL, &err)
                                    : commitlog_abort(opened[i].reservation),
                         COMMITLOG_ECLOSED);
    }
    die(true);
    ck_assert_int_eq(store_open(engine), 0);
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    ck_assert_uint_eq(recovery.clean_close, 1);
    ck_assert_uint_eq(check_numbers(2 + OPEN * each), 2 + OPEN * (each + 1));
}
END_TEST

/* A large one has no place in the log before it is committed. */
START_TEST(a_large_reservation_leaves_nothing)
{
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(0, COMMITLOG_LEVEL_NONE);
    struct opened large = reserve(40000);
    put(1, 0);
    memset(large.body, 'x', 40000);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_commit(large.reservation, 0, NULL, &err), COMMITLOG_ECLOSED);
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    ck_assert_uint_eq(check_numbers(1), 1);
}
END_TEST

/* A topic for whose definition an open reservation left no room, and which has no message. */
START_TEST(a_topic_that_was_only_made_is_kept)
{
    static const uint8_t body[10000];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    struct opened opened = reserve(BODY);
    for (struct commitlog_slice part = {body, sizeof(body)}; part.bytes > 0;) {
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = topic,
                                                .level = COMMITLOG_LEVEL_NONE,
                                                .body = &part,
                                                .body_count = 1};
        if (commitlog_append_record(store, &record, 0, NULL, &err) != 0) {
            part.bytes /= 2; /* until nothing fits any more */
        }
    }
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 3, &topic, &err), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_abort(opened.reservation), COMMITLOG_ECLOSED);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 0, &topic, &err), 0);
}
END_TEST

static void open_with_area(uint64_t place)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, place, NULL), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
}

/* Live areas, wherever they are. */
static uint32_t areas(void)
{
    const char *name = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/shm", i, &name) == 0; i++) {
        count += strncmp(name, "commitlog-", 10) == 0;
    }
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store", i, &name) == 0; i++) {
        count += strcmp(name, "LIVE") == 0;
    }
    return count;
}

/* What a killed writer has left is of no use to anybody once the next one has it in the segments,
 * wherever that one keeps its own. */
START_TEST(a_live_area_that_was_recovered_does_not_stay)
{
    static const uint64_t places[][2] = {{COMMITLOG_LIVE_TMPFS, COMMITLOG_LIVE_DIR},
                                         {COMMITLOG_LIVE_TMPFS, COMMITLOG_LIVE_PRIVATE},
                                         {COMMITLOG_LIVE_DIR, COMMITLOG_LIVE_TMPFS},
                                         {COMMITLOG_LIVE_DIR, COMMITLOG_LIVE_PRIVATE},
                                         {COMMITLOG_LIVE_TMPFS, COMMITLOG_LIVE_TMPFS}};
    open_with_area(places[_i % 5][0]);
    store_put(3, COMMITLOG_LEVEL_NONE);
    die(false);
    if (_i >= 5) { /* then it is found by its name */
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/LOCK"), 0);
    }
    ck_assert_uint_eq(areas(), 1);
    open_with_area(places[_i % 5][1]);
    ck_assert_uint_eq(areas(), places[_i % 5][1] == COMMITLOG_LIVE_PRIVATE ? 0 : 1);
    ck_assert_uint_eq(store_count(), 3);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(areas(), 0);
}
END_TEST

/* Somebody has removed LOCK, and a second writer came. The first one sees it at its next
 * checkpoint, and leaves the second one's alone. */
START_TEST(a_writer_that_was_overtaken_stops)
{
    struct commitlog_store *second = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    struct commitlog_store *first = store;
    ck_assert_int_eq(commitlog_fault_remove(machine, "/store/LOCK"), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    second = store;
    ck_assert_int_eq(commitlog_checkpoint(first, &err), COMMITLOG_EFAILED);
    ck_assert_ptr_nonnull(strstr(err.message, "another writer"));
    ck_assert_int_eq(commitlog_append(first, topic, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
                     COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_close(first, &err), COMMITLOG_EFAILED);
    store = second;
    store_put(2, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(second, &err), 0);
    store = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 5);
}
END_TEST

static uint64_t writer_start; /* as it sees itself */

static bool starts_alike(pid_t pid)
{
    const struct commitlog_os *os = clg_os_default();
    uint64_t start = 0;
    ck_assert_int_eq(os->pid_start(os, pid, &start), 0);
    return start == writer_start;
}

/* A process that has the store open for writing; what it appends stays in its stage. */
static pid_t start_writer(const char *path, uint64_t place, int in[2])
{
    int out[2];
    char ready = 0;
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct commitlog_options *options = NULL;
        (void)close(in[1]);
        (void)commitlog_options_create(&options);
        (void)commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL);
        (void)commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, place, NULL);
        int32_t rc = commitlog_open(path, options, &store, &err);
        rc = rc == 0 ? commitlog_topic_open(store, "t", 1, 1, &topic, &err) : rc;
        rc = rc == 0 ? commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL) : rc;
        ready = rc == 0 ? 'y' : 'n';
        const struct commitlog_os *os = clg_os_default();
        uint64_t start = 0;
        rc = os->pid_start(os, getpid(), &start) == 0 ? rc : -1;
        rc = write(out[1], &start, sizeof(start)) == sizeof(start) ? rc : -1;
        rc = write(out[1], &ready, 1) == 1 && read(in[0], &ready, 1) >= 0 ? rc : -1;
        rc = rc == 0 ? commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL) : rc;
        rc = rc == 0 ? commitlog_close(store, &err) : rc;
        _exit(rc == 0 ? 0 : 1);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    ck_assert_int_eq(read(out[0], &writer_start, sizeof(writer_start)), sizeof(writer_start));
    ck_assert_int_eq(read(out[0], &ready, 1), 1);
    (void)close(out[0]);
    ck_assert_int_eq(ready, 'y');
    return pid;
}

/* LOCK is removed beside a writer. Nobody takes the store from it; once it is gone it is open to
 * the next one, with all that it has acknowledged. */
START_TEST(a_writer_whose_lock_was_removed_is_not_overtaken)
{
    const uint64_t place = _i % 2 == 0 ? COMMITLOG_LIVE_TMPFS : COMMITLOG_LIVE_DIR;
    const bool killed = _i / 2 == 1;
    char path[DIRS_PATH_MAX];
    char lock[DIRS_PATH_MAX];
    char number[16];
    struct commitlog_report *report = NULL;
    int in[2];
    int status = 0;
    dirs_make(path, "close");
    pid_t pid = start_writer(path, place, in);
    if (!starts_alike(pid)) {
        printf("skip: the emulator tells a process another start of itself than it tells others\n");
        (void)kill(pid, SIGKILL);
        (void)close(in[1]);
        (void)waitpid(pid, &status, 0);
        dirs_remove(path);
        return;
    }
    (void)snprintf(number, sizeof(number), " %d ", (int)pid);
    path_join(lock, path, "LOCK");
    ck_assert_int_eq(unlink(lock), 0);
    for (uint32_t i = 0; i < 2; i++) { /* the first one makes an empty one */
        ck_assert_int_eq(commitlog_open(path, NULL, &store, &err), COMMITLOG_ELOCKED);
        ck_assert_ptr_nonnull(strstr(err.message, number));
    }
    ck_assert_int_eq(commitlog_recover(path, NULL, 0, &report, &err), COMMITLOG_ELOCKED);
    commitlog_report_free(report);
    if (killed) {
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
    }
    (void)close(in[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(killed || status == 0);
    ck_assert_msg(commitlog_open(path, NULL, &store, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), killed ? 1 : 2);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    dirs_remove(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("close");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_lies_behind_open_reservations_is_kept, 0, 2 * ENGINES);
    tcase_add_loop_test(cases, a_large_reservation_leaves_nothing, 0, ENGINES);
    tcase_add_test(cases, a_topic_that_was_only_made_is_kept);
    tcase_add_loop_test(cases, a_live_area_that_was_recovered_does_not_stay, 0, 10);
    tcase_add_test(cases, a_writer_that_was_overtaken_stops);
    tcase_add_loop_test(cases, a_writer_whose_lock_was_removed_is_not_overtaken, 0, 4);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
