/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make_work.c -- fills a store with work queues; make-golden.sh compiles and runs it.
 *
 *   make_work STORE    messages that were given out one by one: pending for a hundred years, done
 *                      ahead, committed, given back, longer than was said at first; holes; dead
 *                      letters by reference and as copies, of messages, delayed ones and dead
 *                      letters; a group that was reset, and one that was deleted; closed
 *
 * make does not build it: the files it made are what counts. It is kept to tell how.
 */
#include "maker.h"
#include <time.h>

enum { FILL_BYTES = 50000, OFFSETS = 32, MOST = 64, SHORT_MS = 20 };

#define CENTURY_MS (INT64_C(100) * 365 * 86400000)
#define YEAR_2023_MS INT64_C(1700000000000)

/* A topic of which a group works on queue 0, and the attempts that each message was given for. */
struct worker {
    struct commitlog_receiver *receiver;
    uint32_t attempts[OFFSETS];
};

static void put_text(struct commitlog_store *store, uint32_t number, uint32_t queue,
                     const char *body)
{
    struct commitlog_record record = {.topic = number, .queue = queue};
    put(store, &record, text(body));
}

/* With all that a message can have; delayed if due_ms is not 0. */
static void put_whole(struct commitlog_store *store, uint32_t number, const char *body,
                      uint64_t sequence, int64_t due_ms)
{
    const struct commitlog_slice keys[] = {text("alpha"), text("beta"), text("alpha")};
    const struct commitlog_header header = {text("trace"), {"\0\377", 2}};
    struct commitlog_record record = {.topic = number,
                                      .keys = keys,
                                      .key_count = 3,
                                      .tag = text("red"),
                                      .headers = &header,
                                      .header_count = 1,
                                      .has_time = 1,
                                      .time_ms = YEAR_2023_MS,
                                      .producer_id = 7,
                                      .producer_epoch = 1,
                                      .sequence = sequence,
                                      .deliver_at_ms = due_ms};
    put(store, &record, text(body));
}

static void put_hole(struct commitlog_store *store, uint32_t number)
{
    struct commitlog_record record = {
        .struct_bytes = sizeof record, .topic = number, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.message = ""};
    void *place = NULL;
    need(commitlog_reserve(store, &record, 8, COMMITLOG_FOREVER, &reservation, &place, &err), &err,
         "reserve");
    memset(place, 0, 8);
    need(commitlog_abort(reservation), &err, "abort");
}

/* Two do not fit one segment. */
static void fill(struct commitlog_store *store, uint32_t number, uint32_t segments)
{
    static const uint8_t zeros[FILL_BYTES];
    for (uint32_t i = 0; i < segments; i++) {
        struct commitlog_record record = {.topic = number};
        put(store, &record, (struct commitlog_slice){zeros, FILL_BYTES});
    }
}

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until none waits. */
static void deliver(struct commitlog_store *store)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    uint32_t ignored;
    do {
        wait_ms(1);
        need(commitlog_step(store, 1000, &ignored), &err, "step");
    } while (commitlog_timer_at(store, 0, &info) == COMMITLOG_OK);
}

/* ---- work ---- */

static struct commitlog_group *group(struct commitlog_store *store, const char *name)
{
    struct commitlog_group *made = NULL;
    struct commitlog_error err = {.message = ""};
    need(commitlog_group_open(store, name, strlen(name), COMMITLOG_GROUP_CREATE, &made, &err), &err,
         name);
    return made;
}

static struct worker work(struct commitlog_group *of, uint32_t number, uint32_t max_attempts,
                          uint32_t dead_topic, int64_t visibility_ms)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof options,
        .flags = dead_topic == UINT32_MAX ? 0 : COMMITLOG_RECEIVE_DEAD_TOPIC,
        .max_attempts = max_attempts,
        .dead_topic = dead_topic,
        .visibility_ms = visibility_ms};
    struct worker worker = {.receiver = NULL};
    struct commitlog_error err = {.message = ""};
    need(commitlog_receiver_open(of, number, &options, &worker.receiver, &err), &err, "receiver");
    return worker;
}

/* One call: of one queue what is there, up to `max`; how many came. */
static uint32_t receive(struct worker *worker, uint32_t max)
{
    static struct commitlog_message messages[MOST];
    struct commitlog_delivery deliveries[MOST];
    struct commitlog_error err = {.message = ""};
    uint32_t count = 0;
    int32_t rc = commitlog_receive(worker->receiver, messages, deliveries, max, 0, &count, &err);
    if (rc == COMMITLOG_EEND) {
        return 0;
    }
    need(rc, &err, "receive");
    for (uint32_t i = 0; i < count && deliveries[i].queue == 0; i++) {
        worker->attempts[deliveries[i].offset] = deliveries[i].attempt;
    }
    return count;
}

static void receive_all(struct worker *worker)
{
    while (receive(worker, MOST) > 0) {
    }
}

static struct commitlog_delivery delivery(const struct worker *worker, uint64_t offset)
{
    return (struct commitlog_delivery){.offset = offset, .attempt = worker->attempts[offset]};
}

static void ack(const struct worker *worker, uint64_t first, uint32_t count)
{
    struct commitlog_delivery deliveries[OFFSETS];
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < count; i++) {
        deliveries[i] = delivery(worker, first + i);
    }
    need(commitlog_ack(worker->receiver, deliveries, count, COMMITLOG_LEVEL_DURABLE, &err), &err,
         "ack");
}

static void nack(const struct worker *worker, uint64_t offset, int64_t delay_ms)
{
    const struct commitlog_delivery back = delivery(worker, offset);
    struct commitlog_error err = {.message = ""};
    need(commitlog_nack(worker->receiver, &back, 1, delay_ms, &err), &err, "nack");
}

static void put_jobs(struct commitlog_store *store, uint32_t jobs)
{
    put_text(store, jobs, 0, "committed");
    put_text(store, jobs, 0, "pending, and extended");
    put_whole(store, jobs, "refused, then dead as a copy", 1, 0);
    put_text(store, jobs, 0, "done ahead");
    put_whole(store, jobs, "delayed, refused, then dead as a copy", 2, now_ms() + SHORT_MS);
    deliver(store);
    put_hole(store, jobs);
    put_text(store, jobs, 0, "done ahead, behind a hole");
    put_text(store, jobs, 0, "given back for a hundred years");
    put_text(store, jobs, 0, "pending");
    for (uint32_t i = 0; i < 4; i++) {
        put_text(store, jobs, 1, "another queue");
    }
}

/* Offsets 0 to 8: of two, which lie in the older half of the log then, copies are dead letters. */
static void work_on_first(struct commitlog_store *store, struct commitlog_group *workers,
                          uint32_t jobs, uint32_t filled)
{
    struct worker worker = work(workers, jobs, 2, UINT32_MAX, CENTURY_MS);
    struct commitlog_error err = {.message = ""};
    receive_all(&worker);
    ack(&worker, 0, 1);
    ack(&worker, 3, 1);
    ack(&worker, 6, 1);
    const struct commitlog_delivery longer = delivery(&worker, 1);
    need(commitlog_extend(worker.receiver, &longer, 1, CENTURY_MS + 86400000, &err), &err,
         "extend");
    nack(&worker, 2, 0);
    nack(&worker, 4, 0);
    nack(&worker, 7, CENTURY_MS);
    receive_all(&worker);
    fill(store, filled, 3);
    nack(&worker, 2, 0);
    nack(&worker, 4, 0);
    commitlog_receiver_close(worker.receiver);
}

/* Offsets 9 to 12, in the newest segment: references are dead letters, in a topic that is given. */
static void work_on_second(struct commitlog_store *store, struct commitlog_group *workers,
                           uint32_t jobs, uint32_t dead)
{
    put_whole(store, jobs, "its time ran out, dead by reference", 3, 0);
    put_whole(store, jobs, "delayed, its time ran out, dead by reference", 4, now_ms() + SHORT_MS);
    deliver(store);
    put_text(store, jobs, 0, "refused, dead by reference");
    put_text(store, jobs, 0, "acknowledged the second time");
    struct worker worker = work(workers, jobs, 2, dead, 1);
    for (uint32_t attempt = 0; attempt < 2; attempt++) {
        receive(&worker, MOST);
        wait_ms(SHORT_MS);
    }
    nack(&worker, 11, 0);
    ack(&worker, 12, 1);
    receive(&worker, MOST);
    commitlog_receiver_close(worker.receiver);
}

/* All that one group has done is forgotten, and another group. */
static void work_on_others(struct commitlog_store *store, uint32_t jobs)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_group *others = group(store, "gr\303\266\303\237e");
    struct commitlog_group *gone = group(store, "gone");
    struct worker worker = work(others, jobs, UINT32_MAX, UINT32_MAX, CENTURY_MS);
    receive_all(&worker);
    ack(&worker, 0, 3);
    ack(&worker, 6, 2);
    need(commitlog_group_reset(others, jobs, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                               COMMITLOG_LEVEL_DURABLE, &err),
         &err, "reset");
    receive(&worker, 3);
    ack(&worker, 2, 1);
    commitlog_receiver_close(worker.receiver);
    worker = work(gone, jobs, 0, UINT32_MAX, CENTURY_MS);
    receive_all(&worker);
    ack(&worker, 1, 2);
    need(commitlog_group_delete(gone, COMMITLOG_LEVEL_DURABLE, &err), &err, "delete");
    commitlog_receiver_close(worker.receiver);
    commitlog_group_close(gone);
    commitlog_group_close(others);
}

/* Dead letters that are given out once and refused. */
static void work_on_dead(struct commitlog_store *store, uint32_t dead, uint32_t buried)
{
    struct commitlog_group *undertakers = group(store, "undertakers");
    struct worker worker = work(undertakers, dead, 1, buried, CENTURY_MS);
    receive_all(&worker);
    nack(&worker, 0, 0);
    nack(&worker, 1, 0);
    commitlog_receiver_close(worker.receiver);
    commitlog_group_close(undertakers);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "make_work: see the head of make_work.c\n");
        return 2;
    }
    struct commitlog_store *store = open_store(argv[1], COMMITLOG_ENGINE_STAGED, 0);
    const uint32_t filled = topic(store, "filled", 1);
    const uint32_t jobs = topic(store, "jobs", 2);
    const uint32_t dead = topic(store, "dead", 1);
    struct commitlog_group *workers = group(store, "workers");
    put_jobs(store, jobs);
    work_on_first(store, workers, jobs, filled);
    work_on_second(store, workers, jobs, dead);
    work_on_others(store, jobs);
    commitlog_group_close(workers);
    const uint32_t buried = topic(store, "buried", 1);
    work_on_dead(store, dead, buried);
    fill(store, filled, 4);
    work_on_dead(store, topic(store, "%DLQ%workers", 0), buried); /* copies of copies */
    fill(store, filled, 1);
    close_store(store);

    store = open_store(argv[1], COMMITLOG_ENGINE_MMAP, 0);
    workers = group(store, "workers");
    put_text(store, jobs, 0, "given out in the second session");
    put_text(store, jobs, 0, "never given out");
    struct worker worker = work(workers, jobs, 0, UINT32_MAX, CENTURY_MS);
    receive(&worker, 1);
    ack(&worker, 13, 1);
    commitlog_receiver_close(worker.receiver);
    commitlog_group_close(workers);
    close_store(store);
    return 0;
}
