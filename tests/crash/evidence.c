/* SPDX-License-Identifier: BSD-2-Clause */
/* evidence.c -- acknowledgements against a reopened store; see evidence.h. */
#include "evidence.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

struct found {
    uint64_t position;
    uint64_t hash;
    uint64_t bytes;
    int64_t time;
    uint32_t epoch;
    uint32_t kind; /* 0: nothing was read at this offset */
};

struct found_queue {
    struct found *entries;
    uint64_t count; /* the queue's next offset */
    uint64_t first;
};

struct check {
    struct found_queue queues[KILL_TOPICS][KILL_QUEUES];
    struct verdict *out;
    uint64_t batch;
    uint32_t batch_members;
    uint32_t batch_next;
};

size_t kill_topic_name(uint32_t index, char out[32])
{
    return (size_t)snprintf(out, 32, "kill/topic-%u", index);
}

void evidence_add(struct evidence *evidence, const struct ack *ack)
{
    if (evidence->count == evidence->room) {
        evidence->room = evidence->room * 2 + 1024;
        evidence->acks = need_grow(evidence->acks, evidence->room * sizeof *evidence->acks);
    }
    evidence->acks[evidence->count++] = *ack;
}

void evidence_free(struct evidence *evidence)
{
    free(evidence->acks);
    memset(evidence, 0, sizeof *evidence);
}

static void complain(struct verdict *out, uint64_t *counter, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct verdict *out, uint64_t *counter, const char *format, ...)
{
    va_list args;
    (*counter)++;
    if (out->first[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(out->first, sizeof out->first, format, args);
    va_end(args);
}

static bool body_proves(const struct commitlog_slice *body, struct body_head *head)
{
    uint8_t *expected = NULL;
    size_t rest = 0;
    bool proves = false;
    memset(head, 0, sizeof *head);
    if (body->bytes == 0)
        return true;
    if (body->bytes < sizeof *head)
        return false;
    memcpy(head, body->data, sizeof *head);
    if (head->magic != KILL_MAGIC || head->bytes != body->bytes)
        return false;
    rest = body->bytes - sizeof *head;
    expected = need_alloc(rest);
    bytes_fill(expected, rest, head->seed);
    proves = bytes_equal(expected, (const uint8_t *)body->data + sizeof *head, rest);
    free(expected);
    return proves;
}

static void batch_step(struct check *check, const struct body_head *head, uint64_t position)
{
    if (check->batch != 0 &&
        (head->batch != check->batch || head->batch_index != check->batch_next))
        complain(check->out, &check->out->broken, "batch %llx torn before %llu", (ull)check->batch,
                 (ull)position);
    if (head->batch == 0) {
        check->batch = 0;
        return;
    }
    if (check->batch == 0 && head->batch_index != 0)
        complain(check->out, &check->out->broken, "batch %llx begins with member %u at %llu",
                 (ull)head->batch, head->batch_index, (ull)position);
    check->batch = head->batch;
    check->batch_next = head->batch_index + 1;
    if (check->batch_next == head->batch_count)
        check->batch = 0;
}

/* Every record of the log: order, times, epochs, self-proving bodies, whole batches. */
static void check_log(struct check *check, struct commitlog_store *store)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[256];
    uint64_t next = 0;
    int64_t time = 0;
    uint32_t epoch = 0, got = 0;
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 256, 0, &got, NULL);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++) {
            const struct commitlog_message *m = &messages[i];
            struct body_head head;
            if (m->position < next || m->store_time_ns < time || m->epoch < epoch)
                complain(check->out, &check->out->broken, "order broken at %llu", (ull)m->position);
            next = m->next_position;
            time = m->store_time_ns;
            epoch = m->epoch;
            if (m->kind == COMMITLOG_KIND_MESSAGE && !body_proves(&m->body, &head))
                complain(check->out, &check->out->altered, "body at %llu", (ull)m->position);
            if (m->kind == COMMITLOG_KIND_MESSAGE)
                batch_step(check, &head, m->position);
        }
        prog_checks_add(got);
    }
    if (check->batch != 0)
        complain(check->out, &check->out->broken, "batch torn at the end");
    commitlog_cursor_close(cursor);
}

static void queue_read(struct check *check, struct commitlog_store *store, uint32_t number,
                       uint32_t topic, uint32_t queue)
{
    struct found_queue *list = &check->queues[topic][queue];
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[256];
    uint32_t got = 0;
    CHECK_RC(commitlog_queue_info(store, number, queue, &info), COMMITLOG_OK);
    list->first = info.first_offset;
    list->count = info.next_offset;
    list->entries = need_alloc(list->count * sizeof *list->entries);
    CHECK_OK(commitlog_cursor_open(store, number, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 256, 0, &got, NULL);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++) {
            const struct commitlog_message *m = &messages[i];
            struct found *entry = NULL;
            if (m->queue_offset >= list->count) {
                complain(check->out, &check->out->broken, "offset %llu beyond the end",
                         (ull)m->queue_offset);
                continue;
            }
            entry = &list->entries[m->queue_offset];
            if (entry->kind != 0)
                complain(check->out, &check->out->broken, "offset %llu twice",
                         (ull)m->queue_offset);
            *entry = (struct found){m->position,   bytes_hash(m->body.data, m->body.bytes),
                                    m->body.bytes, m->store_time_ns,
                                    m->epoch,      m->kind};
            check->out->found++;
        }
        prog_checks_add(got);
    }
    commitlog_cursor_close(cursor);
}

/* Offsets that no message was read at must be holes in the log, or the queue has a gap. */
static void check_gaps(struct check *check, struct commitlog_store *store, uint32_t *numbers)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_message message;
    uint32_t got = 0;
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK) {
        if (message.kind != COMMITLOG_KIND_HOLE || message.topic == UINT32_MAX)
            continue;
        for (uint32_t t = 0; t < KILL_TOPICS; t++) {
            if (numbers[t] != message.topic || message.queue >= KILL_QUEUES)
                continue;
            if (message.queue_offset < check->queues[t][message.queue].count)
                check->queues[t][message.queue].entries[message.queue_offset].kind = message.kind;
        }
    }
    commitlog_cursor_close(cursor);
    for (uint32_t t = 0; t < KILL_TOPICS; t++) {
        for (uint32_t q = 0; q < KILL_QUEUES; q++) {
            const struct found_queue *list = &check->queues[t][q];
            for (uint64_t n = list->first; n < list->count; n++)
                if (list->entries[n].kind == 0)
                    complain(check->out, &check->out->broken, "topic %u queue %u: gap at %llu", t,
                             q, (ull)n);
        }
    }
}

static void check_ack(struct check *check, const struct ack *ack, uint32_t least, uint64_t first)
{
    const struct found_queue *list = &check->queues[ack->topic][ack->queue];
    const struct found *entry = NULL;
    prog_checks_add(1);
    if (ack->position < first)
        return; /* retention */
    if (ack->offset >= list->count || list->entries[ack->offset].kind != COMMITLOG_KIND_MESSAGE) {
        if (ack->level >= least)
            complain(check->out, &check->out->lost,
                     "topic %u queue %u offset %llu at %llu level %u", ack->topic, ack->queue,
                     (ull)ack->offset, (ull)ack->position, ack->level);
        return;
    }
    entry = &list->entries[ack->offset];
    if (ack->level < least && entry->epoch != ack->epoch)
        return; /* lost, and the offset reused */
    if (entry->position != ack->position || entry->hash != ack->hash ||
        entry->bytes != ack->bytes || entry->time != ack->time || entry->epoch != ack->epoch)
        complain(check->out, &check->out->altered,
                 "topic %u queue %u offset %llu: at %llu, acknowledged at %llu", ack->topic,
                 ack->queue, (ull)ack->offset, (ull)entry->position, (ull)ack->position);
}

void evidence_check(const struct evidence *evidence, struct commitlog_store *store, uint32_t least,
                    uint32_t forget, struct verdict *out)
{
    struct check *check = need_alloc(sizeof *check);
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    uint32_t numbers[KILL_TOPICS];
    memset(out, 0, sizeof *out);
    check->out = out;
    CHECK_RC(commitlog_positions_get(store, &positions), COMMITLOG_OK);
    check_log(check, store);
    for (uint32_t t = 0; t < KILL_TOPICS; t++) {
        char name[32];
        size_t size = kill_topic_name(t, name);
        int32_t rc = commitlog_topic_open(store, name, size, 0, &numbers[t], NULL);
        if (rc == COMMITLOG_ENOTFOUND) {
            numbers[t] = UINT32_MAX; /* fails below if anything of it was acknowledged */
            continue;
        }
        CHECK_RC(rc, COMMITLOG_OK);
        for (uint32_t q = 0; q < KILL_QUEUES; q++)
            queue_read(check, store, numbers[t], t, q);
    }
    check_gaps(check, store, numbers);
    if (forget != UINT32_MAX) {
        const struct ack *ack = &evidence->acks[forget];
        check->queues[ack->topic][ack->queue].entries[ack->offset].kind = 0;
    }
    for (uint32_t i = 0; i < evidence->count; i++)
        check_ack(check, &evidence->acks[i], least, positions.first);
    for (uint32_t t = 0; t < KILL_TOPICS; t++)
        for (uint32_t q = 0; q < KILL_QUEUES; q++)
            free(check->queues[t][q].entries);
    free(check);
}
