/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_salvage_groups.c -- consumer groups after a salvage: messages or records of work are lost,
 * what lies behind them is not, and nothing that is appended or left is kept from a group.
 */
#include "unit/raw_transaction_fixture.h"

#include "store/work.h"
#include "support/run_suite.h"

enum { SENT = 6, KEPT = 2, NEW = 3 };

/* With assertions each change looks at all runs of its queue: that of a full one takes too long. */
#ifdef CLG_DEBUG
enum { FULL = 0 };
#else
enum { FULL = 1 };
#endif

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;
static struct commitlog_message messages[64];
static struct commitlog_delivery given[64];
static uint32_t count;
static struct commitlog_receipt receipts[SENT];

static void salvage_open(uint64_t engine, uint64_t recovery)
{
    ck_assert_msg(store_open_with(commitlog_fault_os(machine), engine, recovery) == 0, "%s",
                  err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
}

static void salvage_close(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    receiver = NULL;
    group = NULL;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static void salvage_teardown(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    receiver = NULL;
    group = NULL;
    teardown();
}

static void send(struct commitlog_receipt *out, uint32_t messages_of_it)
{
    for (uint32_t i = 0; i < messages_of_it; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, &out[i]),
            0);
    }
}

static void send_all(uint64_t engine)
{
    salvage_open(engine, COMMITLOG_RECOVER_TAIL);
    send(receipts, SENT);
}

static void lose_bytes(uint64_t from, uint64_t to)
{
    static const uint8_t junk[8192] = {1, 2, 3};
    ck_assert_uint_lt(to - from, sizeof(junk));
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log", from,
                                           junk, (size_t)(to - from)),
                     0);
}

static void reopen_after_lie(void)
{
    salvage_close();
    forget_views();
    salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL);
}

/* The messages but the first ones are lost; what was appended behind them is not. */
static void lose_messages(uint64_t engine, bool views)
{
    salvage_close();
    if (!views) {
        forget_views();
    }
    lose_bytes(receipts[KEPT].position, receipts[SENT - 1].end_position);
    salvage_open(engine, COMMITLOG_RECOVER_SALVAGE);
}

static void open_receiver(uint32_t flags)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .flags = flags, .visibility_ms = 60000};
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
}

static void commit_offset(uint64_t value)
{
    const struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = value};
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, 0, -1, NULL, &err), 0);
}

static uint64_t committed(void)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    return offset.offset;
}

static uint64_t contradictions(void)
{
    return store_stat("fold_contradictions");
}

static void want_given(uint64_t from, uint32_t number)
{
    ck_assert_msg(commitlog_receive(receiver, messages, given, 64, 0, &count, &err) == 0, "%s",
                  err.message);
    ck_assert_uint_eq(count, number);
    for (uint32_t i = 0; i < number; i++) {
        ck_assert_uint_eq(given[i].offset, from + i);
    }
}

static void want_nothing_given(void)
{
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 64, 0, &count, &err),
                     COMMITLOG_EEND);
}

/* New messages get offsets behind those that are lost, and the group gets them. */
static void want_new_from(uint64_t from)
{
    struct commitlog_receipt sent[NEW];
    send(sent, NEW);
    for (uint32_t i = 0; i < NEW; i++) {
        ck_assert_uint_eq(sent[i].queue_offset, from + i);
    }
}

/* Readers are told which are lost. */
static void want_lost(uint64_t from, uint64_t to)
{
    struct commitlog_cursor *cursor = NULL;
    uint64_t bound = 0;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 64, 0, &count, &bound), 0);
    ck_assert_uint_eq(count, from);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 64, 0, &count, &bound),
                     COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(bound, to - 1);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, to), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 64, 0, &count, &bound),
                     COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}

START_TEST(what_comes_after_committed_messages_that_are_lost_is_given_out)
{
    const uint64_t engine = (_i & 1) == 0 ? COMMITLOG_ENGINE_STAGED : COMMITLOG_ENGINE_MMAP;
    const bool views = (_i & 2) != 0;
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    send_all(engine);
    commit_offset(SENT);
    lose_messages(engine, views);
    ck_assert_uint_eq(committed(), SENT);
    ck_assert_uint_eq(queue_end(0), SENT);
    want_lost(KEPT, SENT);
    want_new_from(SENT);
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, NEW);
    open_receiver(0);
    want_given(SENT, NEW);
    ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
    ck_assert_uint_eq(committed(), SENT + NEW);
    salvage_close();
    if (!views) {
        forget_views();
    }
    salvage_open(engine, COMMITLOG_RECOVER_TAIL);
    ck_assert_uint_eq(queue_end(0), SENT + NEW);
}
END_TEST

/* Before anything new came, and when it is opened again and again. */
START_TEST(the_end_of_the_queue_is_where_groups_are)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(SENT);
    lose_messages(COMMITLOG_ENGINE_STAGED, true);
    for (int i = 0; i < 3; i++) {
        commit_offset(SENT);
        want_lost(KEPT, SENT);
        open_receiver(0);
        want_nothing_given();
        salvage_close();
        if (i == 1) {
            forget_views();
        }
        salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL);
    }
    want_new_from(SENT);
}
END_TEST

START_TEST(a_queue_that_lost_all_its_messages_goes_on_behind_them)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(SENT - 1);
    salvage_close();
    forget_views();
    lose_bytes(receipts[0].position, receipts[SENT - 1].end_position);
    salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE);
    want_new_from(SENT - 1);
    open_receiver(0);
    want_given(SENT - 1, NEW);
}
END_TEST

/* Also while something of another queue is not visible. */
START_TEST(a_raised_end_stays_where_only_what_is_durable_is_seen)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE},
                                  {COMMITLOG_OPT_VISIBILITY, COMMITLOG_VISIBLE_DURABLE}};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint64_t bound = 0;
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(SENT);
    lose_messages(COMMITLOG_ENGINE_STAGED, true);
    salvage_close();
    ck_assert_int_eq(store_open_by(values, 2), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 1, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    step_all(); /* folds it */
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    ck_assert_int_eq(commitlog_positions_get(store, &at), 0);
    ck_assert_uint_lt(at.visible, at.published);
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, SENT, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound),
                     COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

/* A queue of another topic has the number, else. */
START_TEST(a_topic_that_is_made_again_does_not_begin_where_groups_were)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(SENT);
    salvage_close();
    forget_views();
    lose_bytes(CLG_SEGMENT_DATA_START, receipts[SENT - 1].end_position);
    salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE);
    ck_assert_uint_eq(committed(), UINT64_MAX);
    want_new_from(0);
    open_receiver(0);
    want_given(0, NEW);
}
END_TEST

START_TEST(what_was_given_out_and_is_lost_is_not_mistaken_for_what_is_new)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    open_receiver(0);
    want_given(0, SENT);
    lose_messages(COMMITLOG_ENGINE_STAGED, _i == 1);
    want_new_from(SENT);
    open_receiver(0);
    want_given(SENT, NEW);
}
END_TEST

START_TEST(what_a_transaction_will_commit_is_not_given_again)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(0);
    const struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = SENT};
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, COMMITLOG_LEVEL_DURABLE, 0, &err),
                     0);
    commitlog_transaction_close(transaction);
    lose_messages(COMMITLOG_ENGINE_STAGED, _i == 1);
    want_new_from(SENT);
}
END_TEST

START_TEST(lost_messages_of_a_parent_do_not_close_its_children)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2 * QUEUES, COMMITLOG_LEVEL_DURABLE, &err),
                     0);
    put(QUEUES, 1);
    lose_messages(COMMITLOG_ENGINE_STAGED, _i == 1);
    ck_assert_uint_eq(queue_end(0), SENT);
    open_receiver(0);
    want_given(0, KEPT);
    ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 64, 0, &count, &err),
                     COMMITLOG_EDAMAGED); /* they are told, once */
    want_given(0, 1);
    ck_assert_uint_eq(given[0].queue, QUEUES);
}
END_TEST

static uint32_t damage_count(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t number = 0;
    while (commitlog_damage_get(store, number, &damage) == COMMITLOG_OK) {
        number++;
    }
    return number;
}

/* Of more than one receive gives out. By loops: in order, without view files, one at a time. */
START_TEST(a_run_of_lost_messages_is_told_once)
{
    enum { RUN = 100 };
    struct commitlog_receipt run[RUN];
    const uint32_t max = (_i & 4) != 0 ? 1 : 64;
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(SENT);
    send(run, RUN);
    want_new_from(SENT + RUN);
    salvage_close();
    if ((_i & 2) != 0) {
        forget_views();
    }
    lose_bytes(run[0].position, run[RUN - 1].end_position);
    salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE);
    open_receiver((_i & 1) != 0 ? COMMITLOG_RECEIVE_ORDERED : 0);
    const uint32_t known = damage_count();
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, max, 0, &count, &err),
                     COMMITLOG_EDAMAGED);
    ck_assert_ptr_nonnull(strstr(err.message, "100 messages"));
    ck_assert_uint_eq(damage_count(), known + 1);
    ck_assert_uint_eq(committed(), SENT + RUN);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, max, 0, &count, &err), 0);
    ck_assert_uint_eq(given[0].offset, SENT + RUN);
    ck_assert_uint_eq(damage_count(), known + 1);
}
END_TEST

/* Messages [first, first + 3) are given out; where the log says so. */
static void give_out(uint64_t first, uint64_t *from, uint64_t *to)
{
    *from = store_positions().published;
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 3, 0, &count, &err), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(given[0].offset, first);
    *to = store_positions().published;
}

/* In threes; of those whose bit is in `lost` the log does not know any more. A .state would. */
static void give_out_and_lose(uint32_t flags, uint32_t lost)
{
    uint64_t from[SENT / 3 + 1];
    uint64_t to[SENT / 3 + 1];
    send_all(COMMITLOG_ENGINE_STAGED);
    send(receipts, 3);
    commit_offset(0);
    open_receiver(0);
    for (uint32_t i = 0; i < SENT / 3 + 1; i++) {
        give_out(3 * i, &from[i], &to[i]);
    }
    salvage_close();
    for (uint32_t i = 0; i < SENT / 3 + 1; i++) {
        if ((lost >> i & 1) != 0) {
            lose_bytes(from[i], to[i]);
        }
    }
    forget_views();
    salvage_open(COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_SALVAGE);
    open_receiver(flags);
}

/* By loops: which of three records are lost. Not the last: nothing would be between. */
START_TEST(messages_whose_record_of_work_is_lost_come_again)
{
    const uint32_t lost = (uint32_t)_i;
    give_out_and_lose(0, lost);
    for (uint32_t i = 0; i < 2; i++) {
        if ((lost >> i & 1) != 0) {
            ck_assert_int_eq(commitlog_receive(receiver, messages, given, 3, 0, &count, &err), 0);
            ck_assert_uint_eq(count, 3);
            ck_assert_uint_eq(given[0].offset, 3 * i);
            ck_assert_uint_eq(given[0].attempt, 1);
            ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
        }
    }
    want_nothing_given(); /* the others are somebody's */
    ck_assert_uint_eq(committed(), lost == 3 ? 6 : lost == 1 ? 3 : 0);
    send(receipts, 1);
    want_given(9, 1);
    ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
    pass_ms(60001);
    while (commitlog_receive(receiver, messages, given, 64, 0, &count, &err) == 0) {
        ck_assert_uint_eq(given[0].attempt, 2);
        ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
    }
    ck_assert_uint_eq(committed(), 10);
}
END_TEST

START_TEST(in_order_they_come_in_their_place)
{
    give_out_and_lose(COMMITLOG_RECEIVE_ORDERED, 2);
    want_nothing_given(); /* what is before them is somebody's */
    pass_ms(60001);
    for (uint32_t i = 0; i < 9; i++) {
        want_given(i, 1);
        ck_assert_uint_eq(given[0].attempt, i / 3 == 1 ? 1 : 2);
        want_nothing_given();
        ck_assert_int_eq(commitlog_ack(receiver, given, 1, 0, &err), 0);
    }
    ck_assert_uint_eq(committed(), 9);
}
END_TEST

/* Runs of work that is done, with a message between each two. */
static void append_work_raw(uint64_t offset, uint32_t runs)
{
    enum { MOST = 512 };
    static struct clg_work_entry entries[MOST];
    static uint8_t body[MOST * CLG_WORK_ENTRY_BYTES + 64];
    struct clg_work_change change = {.name = (const uint8_t *)"g", .name_bytes = 1, .count = MOST};
    const size_t bytes = (size_t)clg_work_change_bytes(1, MOST);
    ck_assert_uint_le(bytes, sizeof(body));
    ck_assert_uint_eq(runs % MOST, 0);
    for (uint32_t done = 0; done < runs; done += MOST) {
        for (uint32_t i = 0; i < MOST; i++, offset += 2) {
            entries[i] =
                (struct clg_work_entry){.offset = offset, .count = 1, .state = CLG_WORK_DONE};
        }
        ck_assert_int_eq(clg_work_change_encode(body, bytes, &change, entries), 0);
        (void)append_raw(CLG_KIND_WORK, CLG_QUEUE_NONE, NULL, 0, body, bytes);
    }
}

/* Only when they are done it can ever get less. */
START_TEST(a_queue_full_of_work_gives_out_what_is_missing_in_it)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    commit_offset(0);
    append_work_raw(SENT + NEW, CLG_WORK_RUNS_LIMIT);
    reopen_after_lie();
    ck_assert_uint_eq(queue_end(0), SENT);
    open_receiver(0);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 1, 0, &count, &err), 0);
    ck_assert_uint_eq(given[0].offset, 0);
    want_nothing_given();
    ck_assert_int_eq(commitlog_ack(receiver, given, 1, 0, &err), 0);
    want_given(1, SENT - 1);
    ck_assert_int_eq(commitlog_ack(receiver, given, count, 0, &err), 0);
    ck_assert_uint_eq(committed(), SENT);
}
END_TEST

static uint64_t append_group_raw(uint32_t queue_number, uint64_t offset)
{
    uint8_t body[64];
    const struct clg_group_entry entry = {.queue_number = queue_number, .offset = offset};
    const struct clg_group_change change = {.name = (const uint8_t *)"liar",
                                            .name_bytes = 4,
                                            .operation = CLG_GROUP_OFFSETS,
                                            .epoch = 1,
                                            .count = 1};
    const size_t bytes = (size_t)clg_group_change_bytes(4, 1);
    ck_assert_uint_le(bytes, sizeof(body));
    ck_assert_int_eq(clg_group_change_encode(body, bytes, &change, &entry), 0);
    return append_raw(CLG_KIND_GROUP, CLG_QUEUE_NONE, NULL, 0, body, bytes);
}

/* No commit can have said it: there was no room in the log for so many messages. */
START_TEST(an_offset_that_was_never_given_out_takes_none_from_a_queue)
{
    const uint64_t offsets[] = {CLG_QUEUE_OFFSET_MAX, UINT64_C(1) << 60, CLG_POSITION_MAX / 48, 0};
    send_all(COMMITLOG_ENGINE_STAGED);
    for (uint64_t i = 0; i < 4; i++) {
        put(1, 1); /* an epoch begins with its first record */
        uint64_t most = SENT + (store_positions().published - receipts[SENT - 1].position) / 48;
        (void)append_group_raw(0, offsets[i] != 0 ? offsets[i] : most + 1);
        reopen_after_lie();
        ck_assert_uint_eq(contradictions(), 1);
        ck_assert_uint_eq(queue_end(0), SENT);
    }
    want_new_from(SENT);
    open_receiver(0);
    want_given(0, SENT + NEW);
}
END_TEST

/* As far as it can have been: the next message is shown, behind what is missing. */
START_TEST(an_offset_that_may_have_been_given_out_costs_no_message)
{
    send_all(COMMITLOG_ENGINE_STAGED);
    put(1, 20);
    uint64_t most = SENT + (store_positions().published - receipts[SENT - 1].position) / 48;
    ck_assert_uint_gt(most, SENT + 20);
    (void)append_group_raw(0, most);
    reopen_after_lie();
    ck_assert_uint_eq(queue_end(0), most);
    want_new_from(most);
    for (int i = 0; i < 2; i++) {
        struct commitlog_cursor *cursor = NULL;
        ck_assert_int_eq(
            commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, most, &cursor, &err), 0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 64, 0, &count, NULL), 0);
        ck_assert_uint_eq(count, NEW);
        ck_assert_uint_eq(messages[0].queue_offset, most);
        commitlog_cursor_close(cursor);
        ck_assert_uint_eq(contradictions(), 0);
        reopen_after_lie();
    }
}
END_TEST

/* What no topic can ever have is nobody's: topics are made as before. */
START_TEST(numbers_of_no_queue_take_none_from_new_topics)
{
    uint32_t other = 0;
    send_all(COMMITLOG_ENGINE_STAGED);
    (void)append_group_raw(UINT32_MAX - 1, 3);
    (void)append_group_raw(CLG_REGISTRY_CHUNK * CLG_REGISTRY_CHUNKS, 3);
    (void)append_group_raw(QUEUES + 100, 3);
    reopen_after_lie();
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &other, &err), 0);
    for (uint64_t i = 0; i < 2; i++) {
        struct commitlog_receipt receipt = {0};
        ck_assert_int_eq(
            commitlog_append(store, other, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
        ck_assert_uint_eq(receipt.queue_offset, i);
    }
    ck_assert_uint_eq(clg_registry_topic(&store->core->registry, other)->first_queue, QUEUES + 101);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups after a salvage");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, setup, salvage_teardown);
    tcase_add_loop_test(cases, what_comes_after_committed_messages_that_are_lost_is_given_out, 0,
                        4);
    tcase_add_test(cases, the_end_of_the_queue_is_where_groups_are);
    tcase_add_test(cases, a_queue_that_lost_all_its_messages_goes_on_behind_them);
    tcase_add_test(cases, a_raised_end_stays_where_only_what_is_durable_is_seen);
    tcase_add_test(cases, a_topic_that_is_made_again_does_not_begin_where_groups_were);
    tcase_add_loop_test(cases, what_was_given_out_and_is_lost_is_not_mistaken_for_what_is_new, 0,
                        2);
    tcase_add_loop_test(cases, what_a_transaction_will_commit_is_not_given_again, 0, 2);
    tcase_add_loop_test(cases, lost_messages_of_a_parent_do_not_close_its_children, 0, 2);
    tcase_add_loop_test(cases, a_run_of_lost_messages_is_told_once, 0, 8);
    tcase_add_test(cases, an_offset_that_was_never_given_out_takes_none_from_a_queue);
    tcase_add_test(cases, an_offset_that_may_have_been_given_out_costs_no_message);
    tcase_add_test(cases, numbers_of_no_queue_take_none_from_new_topics);
    tcase_add_loop_test(cases, messages_whose_record_of_work_is_lost_come_again, 0, 4);
    tcase_add_test(cases, in_order_they_come_in_their_place);
    tcase_add_loop_test(cases, a_queue_full_of_work_gives_out_what_is_missing_in_it, 0, FULL);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
