/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reader_follows.c -- a reader that follows a live writer goes on: when the next writer opens,
 * where a record has rotted that it has not looked at yet, and with fewer descriptors than
 * segments.
 */
#include "format/record.h"
#include "store/store.h"
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { FEW = 28 };

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    struct commitlog_group *group;
    uint64_t limit; /* of descriptors on the machine, that the reader meets */
    uint64_t end;   /* of the queue, that the reader has seen */
    uint64_t done;  /* of the group, that it has seen */
    uint32_t number;
    uint32_t looks;
} follows;

static struct commitlog_store *reader;

static void pass_ms(int64_t ms)
{
    follows.under->sleep_ns(follows.under, ms * CLG_OS_NS_PER_MS);
}

static int32_t reader_open(const struct commitlog_os *os)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, os);
    int32_t rc = commitlog_open("/store", options, &reader, &err);
    commitlog_options_free(options);
    return rc;
}

static void reader_begin(const struct commitlog_os *os)
{
    ck_assert_msg(reader_open(os) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &follows.number, &err), 0);
}

static void follows_setup(void)
{
    setup();
    memset(&follows, 0, sizeof(follows));
    follows.under = commitlog_fault_os(machine);
    follows.table = *follows.under;
    reader = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(5, COMMITLOG_LEVEL_DURABLE);
}

static void follows_teardown(void)
{
    commitlog_group_close(follows.group);
    (void)commitlog_close(reader, NULL);
    teardown();
}

static void step_all(void)
{
    uint32_t wait = 0;
    for (uint32_t i = 0; i < 50; i++) {
        ck_assert_int_ge(commitlog_step(store, 1000, &wait), 0);
    }
}

static void commit(struct commitlog_group *group, uint64_t next)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = next};
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_DURABLE, -1, NULL, &err), 0);
}

/* What it has seen it goes on seeing. */
static void reader_looks(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset offset = {.topic = follows.number, .queue = 0};
    struct commitlog_message message;
    uint8_t buffer[64];
    uint32_t count = 0;
    pass_ms(600);
    ck_assert_int_eq(commitlog_queue_info(reader, follows.number, 0, &info), 0);
    ck_assert_uint_ge(info.next_offset, follows.end);
    follows.end = info.next_offset;
    ck_assert_int_eq(commitlog_group_fetch(follows.group, &offset, 1, &err), 0);
    ck_assert_uint_ge(offset.offset, follows.done);
    follows.done = offset.offset;
    ck_assert_int_eq(commitlog_read_copy(reader, follows.number, 0, info.next_offset - 1, buffer,
                                         sizeof(buffer), &message, 1, &count, NULL),
                     0);
    follows.looks++;
}

static int looking_open_at(const struct commitlog_os *os, int dirfd, const char *name,
                           uint32_t flags, uint32_t mode)
{
    (void)os;
    reader_looks();
    return follows.under->open_at(follows.under, dirfd, name, flags, mode);
}

static int looking_rename_at(const struct commitlog_os *os, int from, const char *name, int to,
                             const char *new_name, bool replace)
{
    (void)os;
    reader_looks();
    return follows.under->rename_at(follows.under, from, name, to, new_name, replace);
}

static int64_t looking_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                              uint64_t at)
{
    (void)os;
    reader_looks();
    return follows.under->pwrite(follows.under, fd, buf, size, at);
}

/* Of a writer that was killed everything is still there, and a checkpoint says less. _i: 0 a reader
 * that followed it, 1 one that came when nobody wrote, 2 one that has not found its area either. */
START_TEST(while_the_next_writer_opens_a_reader_does_not_go_back)
{
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    commit(group, 3);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    store_put(6, COMMITLOG_LEVEL_DURABLE);
    commit(group, 9);
    commitlog_group_close(group);
    if (_i == 0) {
        reader_begin(follows.under);
    }
    ck_assert_int_eq(follows.under->unlock_file(follows.under, store->dir.lock_fd), 0);
    if (_i == 2) {
        ck_assert_int_eq(commitlog_fault_remove(machine, store->core->live.path), 0);
    }
    if (_i != 0) {
        reader_begin(follows.under);
    }
    ck_assert_int_eq(commitlog_group_open(reader, "g", 1, 0, &follows.group, &err), 0);
    reader_looks();
    ck_assert_uint_ge(follows.end, 10); /* the last record may be unproven */
    follows.table.open_at = looking_open_at;
    follows.table.rename_at = looking_rename_at;
    follows.table.pwrite = looking_pwrite;
    struct commitlog_store *killed = store;
    ck_assert_int_eq(
        store_open_with(&follows.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    follows.table = *follows.under;
    ck_assert_uint_gt(follows.looks, 10);
    reader_looks();
    ck_assert_uint_eq(follows.end, 11);
    ck_assert_uint_eq(follows.done, 9);
    (void)commitlog_close(killed, NULL);
}
END_TEST

/* What comes up to the end of the queue; EDAMAGED is told once for each of `damaged`. */
static void reader_goes_on(struct commitlog_cursor *cursor, uint32_t messages, uint32_t damaged)
{
    struct commitlog_message got[16];
    uint32_t count = 0;
    uint64_t bound = 0;
    int32_t rc = COMMITLOG_OK;
    for (uint32_t calls = 0; rc != COMMITLOG_EEND; calls++) {
        ck_assert_uint_lt(calls, 10);
        rc = commitlog_cursor_fetch(cursor, got, 16, 0, &count, &bound);
        if (rc == COMMITLOG_EDAMAGED) {
            ck_assert_uint_gt(damaged, 0);
            damaged--;
            rc = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1);
            ck_assert_int_eq(rc, COMMITLOG_OK);
        } else if (rc == COMMITLOG_OK) {
            ck_assert_uint_ge(messages, count);
            messages -= count;
        }
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    }
    ck_assert_uint_eq(messages, 0);
    ck_assert_uint_eq(damaged, 0);
}

/* _i: 0 in its body, 1 in its header. */
static void put_rotted(int where)
{
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
    const uint64_t at = receipt.position + (where == 0 ? CLG_RECORD_HEADER_BYTES + 2 : 2);
    ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0), at, 1), 0);
}

/* In what it has not looked at yet: as for a reader that opens now, they are left out and told. */
START_TEST(behind_records_that_have_rotted_a_reader_goes_on)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    reader_begin(follows.under);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, follows.number, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        0);
    reader_goes_on(cursor, 5, 0);
    put_rotted(_i);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    put_rotted(_i);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    reader_goes_on(cursor, 6, 2);
    put_rotted(_i);
    store_put(1, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_queue_info(reader, follows.number, 0, &info), 0);
    ck_assert_uint_eq(info.next_offset, store_count());
    reader_goes_on(cursor, 1, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

static int few_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                       uint32_t mode)
{
    (void)os;
    return commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN) >= follows.limit
               ? -EMFILE
               : follows.under->open_at(follows.under, dirfd, name, flags, mode);
}

/* It comes back when there are more segments than it may open. */
START_TEST(a_reader_that_is_far_behind_needs_few_descriptors)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    follows.table.open_at = few_open_at;
    follows.limit = UINT64_MAX;
    reader_begin(&follows.table);
    const uint64_t end = store_positions().claimed + 3 * FEW * segment_bytes;
    while (store_positions().claimed < end) {
        store_put(500, COMMITLOG_LEVEL_WRITTEN);
        step_all();
    }
    follows.limit = commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN) + FEW;
    for (uint32_t looks = 0; looks < 2; looks++) {
        store_put(1, COMMITLOG_LEVEL_NONE);
        ck_assert_int_eq(commitlog_queue_info(reader, follows.number, 0, &info), 0);
        ck_assert_uint_eq(info.next_offset, store_count());
    }
    pass_ms(6000);
    ck_assert_int_eq(commitlog_queue_info(reader, follows.number, 0, &info), 0);
}
END_TEST

/* Its topic was lost with the writer, and the next one has given its queue's number to another. */
START_TEST(a_group_has_no_offset_of_another_topic)
{
    struct commitlog_group *group = NULL;
    uint32_t other = 0;
    uint32_t number = 0;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    commitlog_group_close(group);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "lost", 4, 1, &other, &err), 0);
    ck_assert_int_eq(commitlog_append(store, other, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    reader_begin(follows.under);
    ck_assert_int_eq(commitlog_topic_open(reader, "lost", 4, 0, &number, &err), 0);
    ck_assert_int_eq(commitlog_group_open(reader, "g", 1, 0, &follows.group, &err), 0);
    end_with_what_is_durable();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &other, &err), 0);
    ck_assert_int_eq(commitlog_append(store, other, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    topic = other;
    commit(group, 1);
    commitlog_group_close(group);
    pass_ms(600);
    for (uint32_t i = 0; i < 2; i++) {
        struct commitlog_group_offset asked = {.topic = number, .queue = 0, .offset = 77};
        ck_assert_int_eq(commitlog_group_fetch(follows.group, &asked, 1, &err), COMMITLOG_EINVAL);
        ck_assert_uint_eq(asked.offset, 77);
    }
}
END_TEST

/* Where the queue ends is where it was placed. Then what lies before it is cut, and written anew.
 * _i: 1 with a tag that nothing has. */
START_TEST(a_cursor_that_was_only_placed_is_told_of_a_rollback)
{
    const struct commitlog_slice tag = {"none", 4};
    struct commitlog_message message[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint64_t bound = 0;
    store_put(6, COMMITLOG_LEVEL_NONE);
    reader_begin(follows.under);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, follows.number, 0, COMMITLOG_FROM_END, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, (uint32_t)_i), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), COMMITLOG_EEND);
    store_put((uint32_t)_i, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, 11), 0);
    end_with_what_is_durable();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(20, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound),
                     COMMITLOG_EROLLEDBACK);
    ck_assert_uint_eq(bound, 25);
    commitlog_cursor_close(cursor);
}
END_TEST

/* It stands behind a message that is there. _i: 0 and next comes one that it is given; 1 a tag lets
 * all be passed over; 2 and the message rots. */
START_TEST(a_cursor_that_was_only_placed_goes_on_beside_the_next_writer)
{
    const struct commitlog_slice tag = {"none", 4};
    struct commitlog_message message[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint64_t bound = 0;
    reader_begin(follows.under);
    const uint64_t rots = store_positions().published;
    store_put(1, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, follows.number, 0, COMMITLOG_FROM_OFFSET, 6, &cursor, &err),
        0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, _i > 0), 0);
    store_put(_i > 0 ? 3000 : 0, COMMITLOG_LEVEL_WRITTEN);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    if (_i == 2) {
        const uint64_t at = rots + CLG_RECORD_HEADER_BYTES + 2;
        ck_assert_int_eq(commitlog_fault_flip(machine, segment_path(0), at, 1), 0);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound),
                     _i > 0 ? COMMITLOG_EEND : COMMITLOG_OK);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), store_count());
    commitlog_cursor_close(cursor);
}
END_TEST

static void put_tagged(uint32_t count, const char *tag)
{
    struct commitlog_slice body = {"0123456789", 10};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = COMMITLOG_LEVEL_DURABLE,
                                            .body = &body,
                                            .body_count = 1,
                                            .tag = {tag, strlen(tag)}};
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append_record(store, &record, 0, NULL, &err), 0);
    }
}

/* What it passes over is of three sessions: it goes back, and the oldest is as sound as ever. */
START_TEST(a_cursor_over_the_log_passes_over_older_sessions_again)
{
    const struct commitlog_slice tag = {"wanted", 6};
    struct commitlog_message message[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint64_t bound = 0;
    put_tagged(1, "wanted");
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    reader_begin(follows.under);
    ck_assert_int_eq(commitlog_cursor_open_log(reader, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), 0);
    for (uint32_t session = 0; session < 3; session++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound),
                         COMMITLOG_EEND);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        store_put(2, COMMITLOG_LEVEL_DURABLE);
        pass_ms(600);
    }
    put_tagged(1, "wanted");
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), 0);
    ck_assert_uint_eq(got, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Of all queues of a topic, or over the log (_i: 1), where the log ends, as of one queue. */
START_TEST(a_cursor_that_was_placed_at_the_end_of_the_log_is_told_of_a_rollback)
{
    struct commitlog_message message[16];
    struct commitlog_cursor *cursor = NULL;
    uint32_t got = 0;
    uint64_t bound = 0;
    store_put(6, COMMITLOG_LEVEL_NONE);
    reader_begin(follows.under);
    int32_t rc = _i == 0 ? commitlog_cursor_open(reader, follows.number, COMMITLOG_QUEUE_ALL,
                                                 COMMITLOG_FROM_FIRST, 0, &cursor, &err)
                         : commitlog_cursor_open_log(reader, 0, &cursor, &err);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), COMMITLOG_EEND);
    end_with_what_is_durable();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(20, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound),
                     COMMITLOG_EROLLEDBACK);
    ck_assert_uint_eq(bound, store_positions().published);
    commitlog_cursor_close(cursor);
}
END_TEST

/* With the tag "wanted", from the first on. 0: one queue; 1: all of the topic; 2: the log. */
static struct commitlog_cursor *open_passing(int kind)
{
    const struct commitlog_slice tag = {"wanted", 6};
    struct commitlog_cursor *cursor = NULL;
    const uint32_t queue = kind == 0 ? 0 : COMMITLOG_QUEUE_ALL;
    int32_t rc = kind < 2 ? commitlog_cursor_open(reader, follows.number, queue,
                                                  COMMITLOG_FROM_FIRST, 0, &cursor, &err)
                          : commitlog_cursor_open_log(reader, 0, &cursor, &err);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), 0);
    return cursor;
}

static void retain_away(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    ck_assert_uint_gt(store_positions().first, segment_bytes);
}

/* It was given nothing yet (_i < 6), or what retention has taken. What it passed over was cut, and
 * other messages lie there: it is given those. _i % 3: as for open_passing; 3, 4, 5 from the end.
 */
START_TEST(what_is_written_where_a_cursor_had_passed_over_is_given)
{
    struct commitlog_message message[64];
    uint32_t got = 0;
    uint64_t bound = 0;
    reader_begin(follows.under);
    struct commitlog_cursor *cursor = open_passing(_i % 3);
    if (_i >= 6) {
        put_tagged(1, "wanted");
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 64, 0, &got, &bound), 0);
        store_put(3000, COMMITLOG_LEVEL_DURABLE);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 64, 0, &got, &bound),
                         COMMITLOG_EEND);
        retain_away();
    } else if (_i >= 3) {
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), 0);
    }
    const uint64_t cut = store_count();
    store_put(10, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 64, 0, &got, &bound), COMMITLOG_EEND);
    end_with_what_is_durable();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    put_tagged(30, "wanted");
    pass_ms(600);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 64, 0, &got, &bound), 0);
    ck_assert_uint_eq(message[0].queue_offset, cut);
    ck_assert_uint_eq(got, 30);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Retention has taken its place, and the next writer comes. */
START_TEST(who_has_passed_over_what_is_gone_does_not_go_back_there)
{
    struct commitlog_message message[16];
    uint32_t got = 0;
    uint64_t bound = 0;
    reader_begin(follows.under);
    struct commitlog_cursor *cursor = open_passing(_i);
    store_put(3000, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), COMMITLOG_EEND);
    retain_away();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, message, 16, 0, &got, &bound), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

static uint64_t reader_stat(const char *wanted)
{
    struct commitlog_store *writer = store;
    store = reader;
    const uint64_t value = store_stat(wanted);
    store = writer;
    return value;
}

/* What it has folded gives way to the writer's files. _i: 1 each of these is damaged at every
 * other look: what was folded stays, and is right. */
START_TEST(the_memory_of_a_reader_does_not_grow_with_what_is_written)
{
    enum { ROUNDS = 48, MOST = 200000 };
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    const char *name = NULL;
    char path[64];
    reader_begin(follows.under);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        store_put(900, COMMITLOG_LEVEL_DURABLE);
        step_all();
        for (uint32_t i = 0;
             _i == 1 && commitlog_fault_name(machine, "/store/view", i, &name) == COMMITLOG_OK;
             i++) {
            (void)snprintf(path, sizeof(path), "/store/view/%s", name);
            (void)commitlog_fault_flip(machine, path, 200, 1);
        }
        ck_assert_int_eq(commitlog_queue_info(reader, follows.number, 0, &info), 0);
        ck_assert_uint_eq(info.next_offset, store_count());
    }
    if (_i == 0) {
        ck_assert_uint_lt(reader_stat("view_memory_bytes"), MOST);
        ck_assert_uint_gt(reader_stat("view_mapped_bytes"), MOST);
    }
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(
        commitlog_cursor_open(reader, follows.number, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        0);
    struct commitlog_message got[16];
    uint32_t count = 0;
    uint64_t next = 0;
    int32_t rc = COMMITLOG_OK;
    while ((rc = commitlog_cursor_fetch(cursor, got, 16, 0, &count, NULL)) == COMMITLOG_OK) {
        ck_assert_uint_eq(got[0].queue_offset, next);
        next += count;
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(next, store_count());
    commitlog_cursor_close(cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reader follows");
    TCase *cases = tcase_create("beside a writer");
    tcase_add_checked_fixture(cases, follows_setup, follows_teardown);
    tcase_add_loop_test(cases, while_the_next_writer_opens_a_reader_does_not_go_back, 0, 3);
    tcase_add_loop_test(cases, behind_records_that_have_rotted_a_reader_goes_on, 0, 2);
    tcase_add_test(cases, a_reader_that_is_far_behind_needs_few_descriptors);
    tcase_add_test(cases, a_group_has_no_offset_of_another_topic);
    tcase_add_loop_test(cases, a_cursor_that_was_only_placed_is_told_of_a_rollback, 0, 2);
    tcase_add_loop_test(cases, a_cursor_that_was_only_placed_goes_on_beside_the_next_writer, 0, 3);
    tcase_add_test(cases, a_cursor_over_the_log_passes_over_older_sessions_again);
    tcase_add_loop_test(cases, a_cursor_that_was_placed_at_the_end_of_the_log_is_told_of_a_rollback,
                        0, 2);
    tcase_add_loop_test(cases, what_is_written_where_a_cursor_had_passed_over_is_given, 0, 9);
    tcase_add_loop_test(cases, who_has_passed_over_what_is_gone_does_not_go_back_there, 0, 3);
    tcase_add_loop_test(cases, the_memory_of_a_reader_does_not_grow_with_what_is_written, 0, 2);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
