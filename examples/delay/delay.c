/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delay.c - reminders: messages that are stored now and come later, one of them taken back.
 *
 * Prints what waits, and then each reminder when it arrives, with how many milliseconds late.
 * Exits with 1 if one is early, missing, doubled, or comes although it was taken back. Killed at
 * any moment and started again, it also prints what came since the earlier run has printed one. The
 * same when it cannot print.
 *
 *   delay [DIR]        default: reminders.store
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATIENCE_MS = 10000, AFTERWARDS_MS = 200, FETCH = 8 };

struct reminder {
    const char *text;
    int64_t delay_ms; /* 0: that of the level */
    uint32_t level;   /* one of RocketMQ's delay levels */
    int taken_back;
    /* filled in as it goes */
    int64_t due_ms;
    uint64_t timer;
    uint32_t arrivals;
};

static struct reminder reminders[] = {
    {.text = "leave for the train", .delay_ms = 1400},
    {.text = "tea is ready", .delay_ms = 200},
    {.text = "buy milk", .delay_ms = 400, .taken_back = 1},
    {.text = "call back", .level = 1}, /* 1 s */
    {.text = "look out of the window", .delay_ms = 600},
};
enum { REMINDERS = sizeof reminders / sizeof reminders[0] };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "delay: %s: %s\n", what, detailed ? err->message : commitlog_error_text(code));
    return code;
}

/* From the return on the reminder is on the disk, and will come whatever happens to us. */
static int32_t schedule(struct commitlog_store *store, uint32_t topic, struct reminder *reminder)
{
    const struct commitlog_slice body = {reminder->text, strlen(reminder->text)};
    const int64_t delay_ms =
        reminder->level > 0 ? commitlog_delay_level_ms(reminder->level) : reminder->delay_ms;
    struct commitlog_receipt receipt;
    struct commitlog_record record = {0};
    reminder->due_ms = now_ms() + delay_ms;
    record.struct_bytes = sizeof record;
    record.topic = topic;
    record.level = COMMITLOG_LEVEL_DURABLE;
    record.body = &body;
    record.body_count = 1;
    record.deliver_at_ms = reminder->due_ms;

    struct commitlog_error err = {0};
    const int32_t code = commitlog_append_record(store, &record, PATIENCE_MS, &receipt, &err);
    if (code != COMMITLOG_OK)
        return complain("append", code, &err);
    reminder->timer = receipt.position; /* the handle: for the cancel, and to know it again */
    return COMMITLOG_OK;
}

static void list_waiting(struct commitlog_store *store)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof info};
    for (uint32_t i = 0; commitlog_timer_at(store, i, &info) == COMMITLOG_OK; i++)
        printf("waits: timer %" PRIu64 ", due in %" PRId64 " ms\n", info.timer,
               info.deliver_at_ms - now_ms());
    fflush(stdout);
}

static int32_t take_back(struct commitlog_store *store, const struct reminder *reminder)
{
    struct commitlog_error err = {0};
    const int32_t code =
        commitlog_timer_cancel(store, reminder->timer, COMMITLOG_LEVEL_DURABLE, &err);
    if (code == COMMITLOG_ENOTFOUND) { /* the disk took longer than that */
        fprintf(stderr, "delay: \"%s\" has come before it was taken back\n", reminder->text);
        return code;
    }
    if (code != COMMITLOG_OK)
        return complain("cancel", code, &err);
    printf("taken back: %s\n", reminder->text);
    return COMMITLOG_OK;
}

/* A delivered message says where the message lies that was appended: that is the handle, as long as
 * retention has not moved it. */
static struct reminder *find(const struct commitlog_message *message)
{
    for (uint32_t i = 0; i < REMINDERS; i++)
        if (reminders[i].timer == message->origin_position)
            return &reminders[i];
    return NULL;
}

/* COMMITLOG_EIO: nobody takes what is printed, so it must come again. */
static int32_t receive(const struct commitlog_message *message, int *out_wrong)
{
    struct reminder *reminder = find(message);
    const int64_t late_ms = now_ms() - message->deliver_at_ms;
    const int printed = printf("%s: %.*s, %" PRId64 " ms late\n",
                               reminder != NULL ? "arrived" : "of an earlier run",
                               (int)message->body.bytes, (const char *)message->body.data, late_ms);
    if (printed < 0 || fflush(stdout) != 0) {
        perror("delay: standard output");
        return COMMITLOG_EIO;
    }
    if (reminder == NULL)
        return COMMITLOG_OK;
    reminder->arrivals++;
    const int early = message->store_time_ns < reminder->due_ms * 1000000;
    const int doubled = reminder->arrivals > 1;
    if (early || doubled || reminder->taken_back)
        fprintf(stderr, "delay: \"%s\" is %s\n", reminder->text,
                early     ? "early"
                : doubled ? "doubled"
                          : "not taken back");
    *out_wrong |= early || doubled || reminder->taken_back;
    return COMMITLOG_OK;
}

static uint32_t count_missing(void)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < REMINDERS; i++)
        missing += !reminders[i].taken_back && reminders[i].arrivals == 0;
    return missing;
}

/* The queue, read on from where the last run stopped printing: what it left waiting comes when it
 * is due, and may have come already. */
struct printed {
    struct commitlog_group *group;
    struct commitlog_group_offset next;
    struct commitlog_cursor *cursor;
};

static int32_t read_on(struct commitlog_store *store, uint32_t topic, struct printed *printed,
                       struct commitlog_error *err)
{
    int32_t code =
        commitlog_group_open(store, "printed", 7, COMMITLOG_GROUP_CREATE, &printed->group, err);
    printed->next = (struct commitlog_group_offset){.topic = topic};
    if (code == COMMITLOG_OK)
        code = commitlog_group_fetch(printed->group, &printed->next, 1, err);
    const int first = printed->next.offset == UINT64_MAX; /* nothing was ever printed */
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(store, topic, 0,
                                     first ? COMMITLOG_FROM_FIRST : COMMITLOG_FROM_OFFSET,
                                     first ? 0 : printed->next.offset, &printed->cursor, err);
    return code;
}

static int32_t note_printed(struct printed *printed)
{
    struct commitlog_error err = {0};
    printed->next.offset = commitlog_cursor_tell(printed->cursor);
    const int32_t code = commitlog_group_commit(printed->group, 0, &printed->next, 1,
                                                COMMITLOG_LEVEL_WRITTEN, PATIENCE_MS, NULL, &err);
    return code == COMMITLOG_OK ? code : complain("commit", code, &err);
}

/* Until all have arrived, and a moment longer: what should not come has its chance. */
static int32_t wait_for_all(struct printed *printed, int *out_wrong)
{
    struct commitlog_message messages[FETCH];
    uint32_t count = 0;
    int32_t code = COMMITLOG_OK;
    while (code == COMMITLOG_OK) {
        code =
            commitlog_cursor_fetch(printed->cursor, messages, FETCH,
                                   count_missing() > 0 ? PATIENCE_MS : AFTERWARDS_MS, &count, NULL);
        for (uint32_t i = 0; code == COMMITLOG_OK && i < count; i++)
            if (receive(&messages[i], out_wrong) != COMMITLOG_OK)
                return COMMITLOG_EIO;
        if (code == COMMITLOG_OK && note_printed(printed) != COMMITLOG_OK)
            return COMMITLOG_EFAILED;
    }
    if (code != COMMITLOG_EEND)
        return complain("fetch", code, NULL);
    for (uint32_t i = 0; i < REMINDERS; i++)
        if (!reminders[i].taken_back && reminders[i].arrivals == 0)
            fprintf(stderr, "delay: \"%s\" is missing\n", reminders[i].text);
    *out_wrong |= count_missing() > 0;
    return COMMITLOG_OK;
}

static int32_t run(struct commitlog_store *store, int *out_wrong)
{
    struct commitlog_error err = {0};
    struct printed printed = {0};
    uint32_t topic = 0;
    int32_t code = commitlog_topic_open(store, "reminders", 9, 1, &topic, &err);
    if (code != COMMITLOG_OK)
        return complain("topic", code, &err);
    code = read_on(store, topic, &printed, &err);
    if (code != COMMITLOG_OK)
        complain("read on", code, &err);
    for (uint32_t i = 0; code == COMMITLOG_OK && i < REMINDERS; i++)
        code = schedule(store, topic, &reminders[i]);
    if (code == COMMITLOG_OK)
        list_waiting(store);
    for (uint32_t i = 0; code == COMMITLOG_OK && i < REMINDERS; i++)
        if (reminders[i].taken_back)
            code = take_back(store, &reminders[i]);
    if (code == COMMITLOG_OK)
        code = wait_for_all(&printed, out_wrong);
    commitlog_cursor_close(printed.cursor);
    commitlog_group_close(printed.group);
    return code;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    int wrong = 0;
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "reminders.store", NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        complain("open", code, &err);
        return 1;
    }
    code = run(store, &wrong);
    const int32_t closed = commitlog_close(store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK && !wrong ? 0 : 1;
}
