/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work-queue.c - jobs for several workers: some fail and come again, one always fails, and one
 * kills the worker that has it.
 *
 * Each worker is a thread with a receiver of its own. Prints who does what, and at the end a
 * summary. Exits with 1 if a job is lost, is done by two at once, comes before its time, or if the
 * dead letter does not say where it came from. Killed at any moment and started again, it also does
 * the jobs that the earlier run had left.
 *
 *   work-queue [DIR]        default: jobs.store
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    JOBS = 24,
    QUEUES = 4,
    WORKERS = 4,
    WORK_MS = 20,         /* what a job takes */
    VISIBILITY_MS = 1500, /* a worker that is silent for so long has lost its job */
    RETRY_MS = 100,
    MAX_ATTEMPTS = 3,
    LOOK_MS = 50,
    PATIENCE_MS = 20000 /* then something is lost */
};

/* What a job says: how it will go. */
static const char easy[] = "easy", flaky[] = "flaky", broken[] = "broken", deadly[] = "deadly";

struct job {
    const char *text;
    uint32_t queue;
    uint64_t offset;
    /* Under the lock. */
    uint32_t workers; /* that have it now */
    uint32_t done;
    int dead_letter;
    int64_t not_before_ms; /* by the monotonic clock */
};

struct worker {
    uint32_t number;
    pthread_t thread;
    int64_t asked_ms; /* when it asked for the job that it has, or earlier */
    uint32_t done;
    uint32_t given_back;
    int32_t code;
};

static struct job jobs[JOBS];
static struct worker workers[WORKERS];
static struct commitlog_store *store;
static struct commitlog_group *group;
static uint32_t topic;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock. */
static int somebody_died;
static int wrong;

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "work-queue: %s: %s\n", what,
            detailed ? err->message : commitlog_error_text(code));
    return code;
}

/* NULL: of an earlier run. */
static struct job *find(uint32_t queue, uint64_t offset)
{
    for (uint32_t i = 0; i < JOBS; i++)
        if (jobs[i].queue == queue && jobs[i].offset == offset)
            return &jobs[i];
    return NULL;
}

/* Under the lock. */
static void expect(int right, const struct job *job, const char *what)
{
    if (!right)
        fprintf(stderr, "work-queue: job %d is %s\n", (int)(job - jobs), what);
    wrong |= !right;
}

static void begin(struct job *job)
{
    pthread_mutex_lock(&lock);
    job->workers++;
    expect(job->workers == 1, job, "with two workers at once");
    expect(job->done == 0, job, "given out again, but was acknowledged");
    expect(clock_ms() >= job->not_before_ms, job, "given out before its time");
    pthread_mutex_unlock(&lock);
}

/* It may come again from not_before_ms on. */
static void end(struct job *job, int64_t not_before_ms)
{
    pthread_mutex_lock(&lock);
    job->workers--;
    job->not_before_ms = not_before_ms;
    pthread_mutex_unlock(&lock);
}

/* One of us only, or nobody would be left. */
static int may_die(void)
{
    pthread_mutex_lock(&lock);
    const int first = !somebody_died;
    somebody_died = 1;
    pthread_mutex_unlock(&lock);
    return first;
}

static int says(const struct commitlog_message *message, const char *text)
{
    return message->body.bytes == strlen(text) &&
           memcmp(message->body.data, text, message->body.bytes) == 0;
}

static void tell(const struct worker *worker, const struct job *job,
                 const struct commitlog_message *message, const struct commitlog_delivery *delivery,
                 const char *what)
{
    char name[32] = "a job of an earlier run";
    if (job != NULL)
        snprintf(name, sizeof name, "job %d", (int)(job - jobs));
    printf("worker %" PRIu32 ": %s, %.*s, attempt %" PRIu32 ": %s\n", worker->number, name,
           (int)message->body.bytes, (const char *)message->body.data, delivery->attempt, what);
    fflush(stdout);
}

/* COMMITLOG_ENOTFOUND: we took too long, and another one has it, or had it. */
static int32_t finish(struct worker *worker, struct commitlog_receiver *receiver, struct job *job,
                      const struct commitlog_delivery *delivery)
{
    struct commitlog_error err = {0};
    const int32_t code = commitlog_ack(receiver, delivery, 1, COMMITLOG_LEVEL_DURABLE, &err);
    if (code == COMMITLOG_ENOTFOUND)
        return COMMITLOG_OK;
    if (code != COMMITLOG_OK)
        return complain("acknowledge", code, &err);
    worker->done++;
    if (job != NULL) {
        pthread_mutex_lock(&lock);
        job->done++;
        expect(job->done == 1, job, "acknowledged twice");
        pthread_mutex_unlock(&lock);
    }
    return COMMITLOG_OK;
}

static int32_t give_back(struct worker *worker, struct commitlog_receiver *receiver,
                         const struct commitlog_delivery *delivery)
{
    struct commitlog_error err = {0};
    const int32_t code = commitlog_nack(receiver, delivery, 1, RETRY_MS, &err);
    if (code != COMMITLOG_OK && code != COMMITLOG_ENOTFOUND)
        return complain("give back", code, &err);
    worker->given_back++;
    return COMMITLOG_OK;
}

/* 1: the worker died of it. */
static int work(struct worker *worker, struct commitlog_receiver *receiver,
                const struct commitlog_message *message, const struct commitlog_delivery *delivery)
{
    struct job *job = find(delivery->queue, delivery->offset);
    const int fails = says(message, broken) || (says(message, flaky) && delivery->attempt == 1);
    const int dies = says(message, deadly) && delivery->attempt == 1 && may_die();
    if (job != NULL)
        begin(job);
    sleep_ms(WORK_MS);
    tell(worker, job, message, delivery, dies ? "dies" : fails ? "fails" : "done");
    /* The library's times are whole milliseconds: what is right may be almost one too early here.
     */
    if (job != NULL)
        end(job, dies    ? worker->asked_ms + VISIBILITY_MS - 1
                 : fails ? clock_ms() + RETRY_MS - 1
                         : 0);
    if (dies)
        return 1; /* with the job in its hands */
    worker->code =
        fails ? give_back(worker, receiver, delivery) : finish(worker, receiver, job, delivery);
    return 0;
}

/* All is done when the group has consumed the topic: what it has given up counts as done. */
static int finished(int32_t *code)
{
    struct commitlog_group_lag lag = {.struct_bytes = sizeof lag};
    struct commitlog_error err = {0};
    *code = commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, &err);
    if (*code != COMMITLOG_OK)
        complain("lag", *code, &err);
    return *code != COMMITLOG_OK || lag.messages == 0;
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct commitlog_receiver_options options = {0};
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    struct commitlog_error err = {0};
    uint32_t count = 0;
    int died = 0;
    const int64_t until_ms = clock_ms() + PATIENCE_MS;
    options.struct_bytes = sizeof options;
    options.max_attempts = MAX_ATTEMPTS;
    options.visibility_ms = VISIBILITY_MS;
    worker->code = commitlog_receiver_open(group, topic, &options, &receiver, &err);
    if (worker->code != COMMITLOG_OK)
        complain("open a receiver", worker->code, &err);
    while (!died && worker->code == COMMITLOG_OK && clock_ms() < until_ms) {
        worker->asked_ms = clock_ms();
        const int32_t code =
            commitlog_receive(receiver, &message, &delivery, 1, LOOK_MS, &count, &err);
        if (code == COMMITLOG_OK)
            died = work(worker, receiver, &message, &delivery);
        else if (code == COMMITLOG_EDAMAGED || code == COMMITLOG_EEXPIRED)
            complain("a job does not read, the next", code, &err); /* it is passed */
        else if (code != COMMITLOG_EEND)
            worker->code = complain("receive", code, &err);
        else if (finished(&worker->code))
            break;
    }
    commitlog_receiver_close(receiver);
    return NULL;
}

static int32_t append_jobs(void)
{
    int32_t code = COMMITLOG_OK;
    for (uint32_t i = 0; code == COMMITLOG_OK && i < JOBS; i++) {
        struct job *job = &jobs[i];
        struct commitlog_receipt receipt = {0};
        job->text = i == 8 ? deadly : i == 13 ? broken : i % 5 == 0 ? flaky : easy;
        job->queue = i % QUEUES;
        code = commitlog_append(store, topic, job->queue, job->text, strlen(job->text),
                                COMMITLOG_LEVEL_DURABLE, &receipt);
        job->offset = receipt.queue_offset;
    }
    return code == COMMITLOG_OK ? code : complain("append", code, NULL);
}

/* Everything by which the job could be appended again where it was. */
static void check_dead_letter(const struct commitlog_message *message)
{
    struct job *job = find(message->origin_queue, message->origin_offset);
    printf("dead letter: %.*s, was offset %" PRIu64 " of queue %" PRIu32 ", given out %" PRIu32
           " times, %s%s\n",
           (int)message->body.bytes, (const char *)message->body.data, message->origin_offset,
           message->origin_queue, message->attempts,
           message->reason == COMMITLOG_DEAD_REFUSED ? "refused" : "expired",
           job == NULL ? ", of an earlier run" : "");
    if (job == NULL)
        return;
    expect(!job->dead_letter, job, "two dead letters");
    expect(job->done == 0, job, "a dead letter, but was acknowledged");
    expect(message->origin_topic == topic && message->attempts == MAX_ATTEMPTS &&
               message->reason == COMMITLOG_DEAD_REFUSED && says(message, job->text),
           job, "a dead letter that does not say where it came from");
    job->dead_letter = 1;
}

static int32_t read_dead_letters(void)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[8];
    uint32_t dead_topic = 0, count = 0;
    int32_t code = commitlog_topic_open(store, "%DLQ%workers", 12, 0, &dead_topic, &err);
    if (code == COMMITLOG_ENOTFOUND) /* there are none: main says which is lost */
        return COMMITLOG_OK;
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(store, dead_topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    while (code == COMMITLOG_OK) {
        code = commitlog_cursor_fetch(cursor, messages, 8, 0, &count, NULL);
        for (uint32_t i = 0; code == COMMITLOG_OK && i < count; i++)
            check_dead_letter(&messages[i]);
    }
    commitlog_cursor_close(cursor);
    return code == COMMITLOG_EEND ? COMMITLOG_OK : complain("read dead letters", code, &err);
}

static void summarize(void)
{
    uint32_t done = 0, dead = 0, given_back = 0;
    for (uint32_t i = 0; i < JOBS; i++) {
        expect(jobs[i].done == 1 || jobs[i].dead_letter, &jobs[i], "lost");
        expect((jobs[i].text == broken) == (jobs[i].dead_letter != 0), &jobs[i],
               "not where it should have ended");
        done += jobs[i].done;
        dead += jobs[i].dead_letter != 0;
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        printf("worker %" PRIu32 ": %" PRIu32 " done, %" PRIu32 " failed\n", workers[i].number,
               workers[i].done, workers[i].given_back);
        given_back += workers[i].given_back;
    }
    printf("%d jobs: %" PRIu32 " done, %" PRIu32 " dead; given back %" PRIu32
           " times; workers that died: %d\n",
           (int)JOBS, done, dead, given_back, somebody_died);
}

static int32_t run(void)
{
    struct commitlog_error err = {0};
    uint32_t started = 0;
    int32_t code = commitlog_topic_open(store, "jobs", 4, QUEUES, &topic, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_group_open(store, "workers", 7, COMMITLOG_GROUP_CREATE, &group, &err);
    if (code != COMMITLOG_OK)
        return complain("topic and group", code, &err);
    code = append_jobs();
    for (uint32_t i = 0; code == COMMITLOG_OK && i < WORKERS; i++) {
        workers[i].number = i + 1;
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
            code = complain("start a thread", COMMITLOG_ELIMIT, NULL);
        started += code == COMMITLOG_OK;
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        code = code == COMMITLOG_OK ? workers[i].code : code;
    }
    if (code == COMMITLOG_OK)
        code = read_dead_letters();
    if (code == COMMITLOG_OK)
        summarize();
    return code;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "jobs.store", NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        complain("open", code, &err);
        return 1;
    }
    code = run();
    commitlog_group_close(group);
    const int32_t closed = commitlog_close(store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK && !wrong ? 0 : 1;
}
