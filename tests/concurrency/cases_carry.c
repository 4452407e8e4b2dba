/* SPDX-License-Identifier: BSD-2-Clause */
/* cases_carry.c -- retention beside what changes the state that it carries. See cases_carry.h. */
#include "cases_carry.h"

#include <stdio.h>
#include <string.h>

#include "actors.h"
#include "commitlog_fault.h"
#include "scene.h"
#include "shown.h"

enum { TIMES = 2, QUEUES = 8, LARGE = 25000, NONE = COMMITLOG_LEVEL_NONE };
enum { FOR_LONG_MS = 1000000000, SOME_MS = 3600000 };

enum kind { COMMITS, KEEPS, BEGINS, DELETED, GOES_BACK, RECEIVES, ACKS, SOLD, KINDS };
static const char *const kind_names[KINDS] = {"commits",   "keeps",    "begins", "deleted",
                                              "goes back", "receives", "acks",   "sold"};

/* So long that its definition does not fit where a reservation does. */
static const char name_of_idle[] =
    "idle, with a name that makes the record that carries its offsets forward longer than all "
    "others, so that the segment ends between a message that overtakes it and the record";

static const struct scene_options options_staged = {.flush = COMMITLOG_FLUSH_NONE};

struct produced {
    uint64_t producer;
    uint64_t sequence;
    struct commitlog_receipt receipt;
};

static struct {
    uint32_t idle;
    uint32_t jobs;
    uint32_t grows[TIMES];
    uint32_t shrinks[TIMES];
    uint32_t expires[TIMES];
    struct commitlog_group *groups[KINDS][TIMES];
    struct commitlog_group *late;
    struct commitlog_receiver *receivers[2 * TIMES];
    struct commitlog_delivery given[TIMES];
    struct commitlog_reservation *held[TIMES];
    struct produced produced[2 * TIMES];
    uint64_t timers[TIMES];
    uint64_t prepared[2 * TIMES];
    uint64_t active; /* its base, when the threads began */
    bool retained;
} carry;

static void (*const *does)(uint32_t time); /* what the second thread does; ends with NULL */

/* ---- one of each kind ------------------------------------------------------------------------ */

static const char *name_of(const char *kind, uint32_t time)
{
    static char room[64];
    (void)snprintf(room, sizeof room, "%s %u", kind, time);
    return room;
}

static void append(uint32_t topic, uint32_t queue)
{
    WEAVE_RC(commitlog_append(scene.store, topic, queue, "message", 7, NONE, NULL), COMMITLOG_OK);
}

static void append_idle(uint32_t time)
{
    append(carry.idle, time);
}

static void new_topic(uint32_t time)
{
    append(scene_topic(name_of("new", time), 2), 1);
}

static void grow(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_topic_grow(scene.store, carry.grows[time], 4, NONE, &err), &err);
}

static void shrink(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_topic_shrink(scene.store, carry.shrinks[time], 2, NONE, &err), &err);
}

static void expire(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_topic_expire_after(scene.store, carry.expires[time],
                                          UINT64_C(2) * FOR_LONG_MS, NONE, &err),
             &err);
}

static int32_t produce(struct commitlog_store *store, uint32_t topic, struct produced *it,
                       struct commitlog_error *err)
{
    const struct commitlog_slice body = {"produced", 8};
    struct commitlog_record record = scene_record(&body, topic);
    record.queue = 2;
    record.producer_id = it->producer;
    record.sequence = it->sequence;
    return commitlog_append_record(store, &record, COMMITLOG_FOREVER, &it->receipt, err);
}

static void produce_next(uint32_t producer)
{
    struct commitlog_error err = {.message = ""};
    struct produced *it = &carry.produced[producer];
    it->producer = producer + 1;
    it->sequence++;
    WEAVE_OK(produce(scene.store, carry.idle, it, &err), &err);
}

static void produce_new(uint32_t time)
{
    produce_next(TIMES + time);
}

static void commit_offset(struct commitlog_group *group, uint32_t queue, uint64_t to)
{
    const struct commitlog_group_offset offset = {carry.idle, queue, to};
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_commit(group, 0, &offset, 1, NONE, COMMITLOG_FOREVER, NULL, &err),
             &err);
}

static void commit_next(uint32_t time)
{
    commit_offset(carry.groups[COMMITS][time], 3, 2);
}

static void set_flags(struct commitlog_group *group, uint32_t flags)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_configure(group, flags, NONE, &err), &err);
}

static void keep(uint32_t time)
{
    set_flags(carry.groups[KEEPS][time], COMMITLOG_GROUP_KEEP);
}

static void next_epoch(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    uint32_t epoch = 0;
    WEAVE_OK(commitlog_group_next_epoch(carry.groups[BEGINS][time], NONE, &epoch, &err), &err);
}

static void delete_group(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_delete(carry.groups[DELETED][time], NONE, &err), &err);
}

static void reset(struct commitlog_group *group, uint32_t from)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_reset(group, carry.idle, COMMITLOG_QUEUE_ALL, from, 0, NONE, &err),
             &err);
}

static void go_back(uint32_t time)
{
    reset(carry.groups[GOES_BACK][time], COMMITLOG_FROM_FIRST);
}

static void take(struct commitlog_receiver *receiver, struct commitlog_delivery *out)
{
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t count = 0;
    WEAVE_OK(commitlog_receive(receiver, &message, out, 1, 0, &count, &err), &err);
}

static void receive(uint32_t time)
{
    struct commitlog_delivery unused;
    append(carry.jobs, 0); /* the others may have gone */
    take(carry.receivers[time], &unused);
}

static void ack(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_ack(carry.receivers[TIMES + time], &carry.given[time], 1, NONE, &err), &err);
}

static uint64_t delay(void)
{
    const struct commitlog_slice body = {"later", 5};
    struct commitlog_record record = scene_record(&body, carry.idle);
    struct commitlog_receipt receipt = {.position = 0};
    struct commitlog_error err = {.message = ""};
    record.deliver_at_ms = scene_now_ms() + FOR_LONG_MS;
    WEAVE_OK(commitlog_append_record(scene.store, &record, COMMITLOG_FOREVER, &receipt, &err),
             &err);
    return receipt.position;
}

static void delay_one(uint32_t time)
{
    (void)time;
    (void)delay();
}

static void cancel(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_timer_cancel(scene.store, carry.timers[time], NONE, &err), &err);
}

static uint64_t prepare(struct commitlog_group *group)
{
    const struct commitlog_slice body = {"half", 4};
    const struct commitlog_record record = scene_record(&body, carry.idle);
    const struct commitlog_group_offset offset = {carry.idle, 3, 2};
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_transaction_begin(scene.store, "p", 1, NULL, &transaction, &err), &err);
    WEAVE_OK(commitlog_transaction_append(transaction, &record, COMMITLOG_FOREVER, NULL, &err),
             &err);
    WEAVE_OK(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), &err);
    WEAVE_OK(commitlog_transaction_prepare(transaction, NONE, COMMITLOG_FOREVER, &err), &err);
    uint64_t number_of_it = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    return number_of_it;
}

static void prepare_one(uint32_t time)
{
    (void)prepare(carry.groups[COMMITS][time]);
}

static struct commitlog_transaction *prepared(uint32_t which)
{
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_transaction_open(scene.store, carry.prepared[which], &transaction, &err),
             &err);
    return transaction;
}

static void commit(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_transaction *it = prepared(time);
    WEAVE_OK(commitlog_transaction_commit(it, NONE, COMMITLOG_FOREVER, NULL, &err), &err);
    commitlog_transaction_close(it);
}

static void roll_back(uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_transaction *it = prepared(TIMES + time);
    WEAVE_OK(commitlog_transaction_rollback(it, NONE, COMMITLOG_FOREVER, &err), &err);
    commitlog_transaction_close(it);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void end_segment(uint32_t writer)
{
    uint64_t active = clg_log_active_base(scene.log);
    while (clg_log_active_base(scene.log) == active) {
        scene_append_bytes(writer, NONE, LARGE);
        scene_step();
    }
}

/* All of it, the segment ends, and all of it to others. */
static void meddle(void *arg)
{
    (void)arg;
    for (uint32_t time = 0; time < TIMES; time++) {
        if (time > 0)
            end_segment(1);
        for (uint32_t i = 0; does[i] != NULL; i++)
            does[i](time);
    }
}

static void retain(void *arg)
{
    retain_all(arg);
    carry.retained = true;
}

static void hold(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    for (uint32_t i = 0; i < TIMES; i++) {
        const struct commitlog_record record = {
            .struct_bytes = sizeof record, .topic = carry.idle, .queue = i, .level = NONE};
        void *place = NULL;
        WEAVE_OK(commitlog_reserve(scene.store, &record, 4, COMMITLOG_FOREVER, &carry.held[i],
                                   &place, &err),
                 &err);
        memcpy(place, "held", 4);
    }
    weave_await(&carry.retained);
    WEAVE_OK(commitlog_commit(carry.held[0], COMMITLOG_FOREVER, NULL, &err), &err);
    WEAVE_RC(commitlog_abort(carry.held[1]), COMMITLOG_OK);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void begin_topics(void)
{
    struct commitlog_error err = {.message = ""};
    carry.idle = scene_topic(name_of_idle, QUEUES);
    carry.jobs = scene_topic("jobs", 1);
    for (uint32_t i = 0; i < 2 * QUEUES; i++)
        append(carry.idle, i % QUEUES);
    for (uint32_t i = 0; i < 4; i++)
        append(carry.jobs, 0);
    for (uint32_t i = 0; i < TIMES; i++) {
        carry.grows[i] = scene_topic(name_of("grows", i), 2);
        carry.shrinks[i] = scene_topic(name_of("shrinks", i), 2);
        carry.expires[i] = scene_topic(name_of("expires", i), 1);
        append(carry.grows[i], 1);
        append(carry.shrinks[i], 1);
        WEAVE_OK(commitlog_topic_grow(scene.store, carry.shrinks[i], 4, NONE, &err), &err);
        append(carry.shrinks[i], 3);
        WEAVE_OK(
            commitlog_topic_expire_after(scene.store, carry.expires[i], FOR_LONG_MS, NONE, &err),
            &err);
        produce_next(i);
    }
}

static void begin_group(enum kind kind, uint32_t time)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_group *group = scene_group(name_of(kind_names[kind], time), 0);
    uint32_t epoch = 0;
    carry.groups[kind][time] = group;
    commit_offset(group, 3, 1);
    commit_offset(group, 4, 0);
    if (kind == BEGINS)
        WEAVE_OK(commitlog_group_next_epoch(group, NONE, &epoch, &err), &err);
}

/* The first is given out, the second done, and two are left. */
static void begin_work(struct commitlog_group *group, uint32_t which)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof options,
                                                       .visibility_ms = SOME_MS};
    struct commitlog_delivery second;
    struct commitlog_error err = {.message = ""};
    struct commitlog_receiver **receiver = &carry.receivers[which];
    WEAVE_OK(commitlog_receiver_open(group, carry.jobs, &options, receiver, &err), &err);
    take(*receiver, &carry.given[which % TIMES]);
    take(*receiver, &second);
    WEAVE_OK(commitlog_ack(*receiver, &second, 1, NONE, &err), &err);
}

/* All of it in the segment that goes; of the next one so many bytes are left. */
static void begin(void (*const *does_it)(uint32_t time), uint64_t left)
{
    memset(&carry, 0, sizeof carry);
    does = does_it;
    scene_open(&options_staged);
    weave_at_locks();
    begin_topics();
    carry.late = scene_group("late", 0);
    for (uint32_t i = 0; i < TIMES; i++) {
        for (uint32_t kind = 0; kind < KINDS; kind++)
            begin_group(kind, i);
        begin_work(carry.groups[RECEIVES][i], i);
        begin_work(carry.groups[ACKS][i], TIMES + i);
        carry.timers[i] = delay();
    }
    for (uint32_t i = 0; i < 2 * TIMES; i++)
        carry.prepared[i] = prepare(carry.groups[SOLD][i % TIMES]);
    CHECK(clg_log_active_base(scene.log) == scene.first_base);
    end_segment(0);
    scene_fill(left);
    carry.active = clg_log_active_base(scene.log);
    CHECK(carry.active == scene.first_base + SCENE_SEGMENT);
    sync_all(NULL);
    weave_spawn("retain", retain, NULL);
}

static void begin_carry(void (*const *does_it)(uint32_t time))
{
    begin(does_it, 6000);
    weave_spawn("meddle", meddle, NULL);
}

void begin_carry_messages(void)
{
    static void (*const all[])(uint32_t) = {append_idle, produce_next, produce_new, NULL};
    begin_carry(all);
}

void begin_carry_topics(void)
{
    static void (*const all[])(uint32_t) = {new_topic, expire, NULL};
    begin_carry(all);
}

void begin_carry_growth(void)
{
    static void (*const all[])(uint32_t) = {grow, shrink, NULL};
    begin_carry(all);
}

void begin_carry_groups(void)
{
    static void (*const all[])(uint32_t) = {commit_next,  keep,    next_epoch,
                                            delete_group, go_back, NULL};
    begin_carry(all);
}

void begin_carry_work(void)
{
    static void (*const all[])(uint32_t) = {receive, ack, NULL};
    begin_carry(all);
}

void begin_carry_timers(void)
{
    static void (*const all[])(uint32_t) = {delay_one, cancel, NULL};
    begin_carry(all);
}

void begin_carry_prepared(void)
{
    static void (*const all[])(uint32_t) = {prepare_one, commit, roll_back, NULL};
    begin_carry(all);
}

/* The reservations fit, the definition of the idle topic does not. */
void begin_carry_reserved(void)
{
    begin(NULL, 300);
    weave_spawn("hold", hold, NULL);
}

/* ---- in the end ------------------------------------------------------------------------------ */

static struct shown shown;

/* As anybody may after a close. */
static void lose(struct commitlog_fault *machine)
{
    const char *name = NULL;
    while (commitlog_fault_name(machine, "/store/view", 0, &name) == COMMITLOG_OK) {
        char path[128];
        (void)snprintf(path, sizeof path, "/store/view/%s", name);
        WEAVE_RC(commitlog_fault_remove(machine, path), COMMITLOG_OK);
    }
    WEAVE_RC(commitlog_fault_remove(machine, "/store/CHECKPOINT"), COMMITLOG_OK);
}

/* The next process finds what was shown, and knows the producers. */
static void check_next(const struct commitlog_os *os, const char *when)
{
    static struct shown found;
    struct commitlog_error err = {.message = ""};
    struct commitlog_store *store = scene_reopen(os);
    uint32_t topic = 0;
    shown_take(store, &found);
    shown_compare(&shown, &found, when);
    WEAVE_OK(commitlog_topic_open(store, name_of_idle, strlen(name_of_idle), 0, &topic, &err),
             &err);
    for (uint32_t i = 0; i < 2 * TIMES; i++) {
        struct produced again = carry.produced[i];
        if (again.sequence == 0)
            continue;
        WEAVE_OK(produce(store, topic, &again, &err), &err);
        WEAVE_CHECK(again.receipt.duplicate == 1 &&
                        again.receipt.position == carry.produced[i].receipt.position,
                    "%s: producer %u is not known", when, i);
    }
    WEAVE_OK(commitlog_close(store, &err), &err);
}

/* The process is killed here, and this one goes on. */
static void check_killed(void)
{
    struct commitlog_fault *machine = NULL;
    WEAVE_RC(commitlog_fault_clone(scene_machine(), 1, &machine), COMMITLOG_OK);
    commitlog_fault_process_death(machine);
    check_next(commitlog_fault_os(machine), "killed");
    commitlog_fault_free(machine);
}

static void check_all(void)
{
    shown_take(scene.store, &shown);
    check_killed();
    for (uint32_t i = 0; i < 2 * TIMES; i++)
        commitlog_receiver_close(carry.receivers[i]);
    for (uint32_t i = 0; i < KINDS * TIMES; i++)
        commitlog_group_close(carry.groups[i / TIMES][i % TIMES]);
    commitlog_group_close(carry.late);
    scene_close();
    lose(scene_machine());
    check_next(scene_os(), "without views");
    scene_finish();
}

/* All that was active when the threads began goes, and no more. */
static void drop_active(void)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < TIMES; i++)
        set_flags(carry.groups[KEEPS][i], 0);
    while (clg_log_active_base(scene.log) < carry.active + UINT64_C(2) * SCENE_SEGMENT) {
        scene_append_bytes(0, NONE, LARGE);
        scene_step();
    }
    sync_all(NULL);
    policy.keep_bytes = clg_log_active_base(scene.log) - carry.active;
    WEAVE_OK(commitlog_retain(scene.store, &policy, &retained, &err), &err);
    upkeep_rounds(number(2));
    WEAVE_CHECK(retained.first > carry.active + SCENE_SEGMENT &&
                    retained.first < carry.active + UINT64_C(2) * SCENE_SEGMENT,
                "first %llu", (unsigned long long)retained.first);
}

void end_carry(void)
{
    scene_step();
    drop_active();
    check_all();
}

void end_carry_kept(void)
{
    scene_step();
    set_flags(carry.late, COMMITLOG_GROUP_KEEP);
    reset(carry.late, COMMITLOG_FROM_FIRST);
    check_all();
}
