/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.c - a member of a consumer group: each message at least once, whatever happens to it.
 *
 *   group DIR TOPIC GROUP [MS]      MS: how long it takes to process a message, default 0
 *
 * Prints "QUEUE OFFSET BODY" for each message that the group has not consumed, in batches, and
 * commits a batch when all of it is printed. Killed at any moment and started again, it goes on at
 * the last commit: what it prints a second time is at most the batch that was not committed. The
 * same when it cannot print. It ends when there is nothing left. A member that is started meanwhile
 * by another thread of the process would begin the next epoch; the commits of this one are then
 * refused, and it ends.
 *
 * When the topic has grown (commitlog topic grow), the records of some keys go on in new queues.
 * Such a queue is not open for the group before it has consumed the parent to the mark, where the
 * parent ended then; so this asks before it reads one, and each key's messages come in order. What
 * it is told goes to standard error: "queue 2 waits for queue 0 to be consumed to 7", and later
 * "queue 2 is open".
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 16, QUEUES_MAX = 64 };

struct member {
    struct commitlog_store *store;
    struct commitlog_group *group;
    struct commitlog_topic_info topic;
    uint32_t epoch;
    long pause_ms;
    struct commitlog_cursor *cursors[QUEUES_MAX];      /* NULL: the queue was not open yet */
    bool waits[QUEUES_MAX];                            /* that was said */
    struct commitlog_group_offset offsets[QUEUES_MAX]; /* the next to be consumed */
};

/* The group is made by who comes first; with KEEP, retention waits for it. Its members are others
 * from now on. */
static int32_t join_group(struct member *member, const char *name, struct commitlog_error *err)
{
    int32_t code =
        commitlog_group_open(member->store, name, strlen(name),
                             COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &member->group, err);
    if (code == COMMITLOG_OK)
        code = commitlog_group_next_epoch(member->group, COMMITLOG_LEVEL_NONE, &member->epoch, err);
    for (uint32_t i = 0; i < member->topic.queues_total; i++) {
        member->offsets[i].topic = member->topic.topic;
        member->offsets[i].queue = i;
    }
    if (code == COMMITLOG_OK)
        code =
            commitlog_group_fetch(member->group, member->offsets, member->topic.queues_total, err);
    return code;
}

/* May the group read this queue? A queue that the topic was created with, always. Once one is open
 * it stays so, unless the group is reset, or the topic shrinks and grows again: only a thread of
 * this process could let it, and then the gate would be looked at behind each fetch, too. */
static int32_t ask_gate(struct member *member, uint32_t queue, bool *out_open,
                        struct commitlog_error *err)
{
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    const int32_t code =
        commitlog_group_gate(member->group, member->topic.topic, queue, &gate, err);
    if (code != COMMITLOG_OK)
        return code;
    *out_open = gate.open == 1;
    if (gate.open == 0 && !member->waits[queue])
        fprintf(stderr,
                "queue %" PRIu32 " waits for queue %" PRIu32 " to be consumed to %" PRIu64 "\n",
                queue, gate.parent, gate.mark);
    if (gate.open == 1 && member->waits[queue])
        fprintf(stderr, "queue %" PRIu32 " is open\n", queue);
    member->waits[queue] = gate.open == 0;
    return COMMITLOG_OK;
}

/* A cursor where the group has stopped. */
static int32_t open_cursor(struct member *member, uint32_t queue, struct commitlog_error *err)
{
    const uint64_t offset = member->offsets[queue].offset;
    const uint32_t from = offset == UINT64_MAX ? COMMITLOG_FROM_FIRST : COMMITLOG_FROM_OFFSET;
    const int32_t code = commitlog_cursor_open(member->store, member->topic.topic, queue, from,
                                               from == COMMITLOG_FROM_FIRST ? 0 : offset,
                                               &member->cursors[queue], err);
    if (code == COMMITLOG_OK && from == COMMITLOG_FROM_FIRST)
        member->offsets[queue].offset = commitlog_cursor_tell(member->cursors[queue]);
    return code;
}

/* False: it could not be done, so it must come again. Here, that nobody takes what is printed. */
static bool process(const struct member *member, const struct commitlog_message *message)
{
    const struct timespec pause = {member->pause_ms / 1000, member->pause_ms % 1000 * 1000000};
    if (member->pause_ms > 0)
        nanosleep(&pause, NULL);
    const int printed =
        printf("%" PRIu32 " %" PRIu64 " %.*s\n", message->queue, message->queue_offset,
               (int)message->body.bytes, (const char *)message->body.data);
    if (printed > 0 && fflush(stdout) == 0)
        return true;
    perror("group: standard output");
    return false;
}

/* Up to a batch of one queue. */
static int32_t consume_queue(struct member *member, uint32_t queue, uint32_t *out_count,
                             struct commitlog_error *err)
{
    struct commitlog_message messages[BATCH];
    uint64_t bound = 0;
    int32_t code = COMMITLOG_OK;
    *out_count = 0;
    if (member->cursors[queue] == NULL) {
        bool is_open = false;
        code = ask_gate(member, queue, &is_open, err);
        if (code == COMMITLOG_OK && is_open)
            code = open_cursor(member, queue, err);
        if (code != COMMITLOG_OK || !is_open)
            return code;
    }
    struct commitlog_cursor *cursor = member->cursors[queue];
    code = commitlog_cursor_fetch(cursor, messages, BATCH, 0, out_count, &bound);
    if (code == COMMITLOG_ETOOSMALL) { /* dropped by retention before the group had KEEP */
        code = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound);
        if (code == COMMITLOG_OK)
            code = commitlog_cursor_fetch(cursor, messages, BATCH, 0, out_count, &bound);
    }
    for (uint32_t i = 0; code == COMMITLOG_OK && i < *out_count; i++) {
        if (!process(member, &messages[i]))
            code = COMMITLOG_EIO;
    }
    if (code == COMMITLOG_OK)
        member->offsets[queue].offset = commitlog_cursor_tell(cursor);
    return code == COMMITLOG_EEND ? COMMITLOG_OK : code;
}

/* Queue by queue; a commit when a batch of one has been processed. Level none survives that this
 * process is killed; what is lost with the machine is consumed again. The last round finds nothing
 * in any queue that is open; then every mark is reached, and none is left that is not. */
static int32_t consume(struct member *member, struct commitlog_error *err)
{
    uint32_t seen = 1;
    while (seen > 0) {
        seen = 0;
        for (uint32_t queue = 0; queue < member->topic.queues_total; queue++) {
            uint32_t count = 0;
            int32_t code = consume_queue(member, queue, &count, err);
            if (code == COMMITLOG_OK && count > 0)
                code = commitlog_group_commit(member->group, member->epoch, &member->offsets[queue],
                                              1, COMMITLOG_LEVEL_NONE, -1, NULL, err);
            if (code != COMMITLOG_OK) /* COMMITLOG_EFENCED: others have taken over */
                return code;
            seen += count;
        }
    }
    return COMMITLOG_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: group DIR TOPIC GROUP [MS]\n");
        return 2;
    }
    struct commitlog_error err = {0};
    struct member member = {.topic = {.struct_bytes = sizeof member.topic}};
    uint32_t topic = 0;
    member.pause_ms = argc > 4 ? strtol(argv[4], NULL, 10) : 0;

    int32_t code = commitlog_open(argv[1], NULL, &member.store, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(member.store, argv[2], strlen(argv[2]), 0, &topic, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_info(member.store, topic, &member.topic);
    if (code == COMMITLOG_OK && member.topic.queues_total > QUEUES_MAX)
        code = COMMITLOG_ETOOBIG;
    if (code == COMMITLOG_OK)
        code = join_group(&member, argv[3], &err);
    if (code == COMMITLOG_OK)
        code = consume(&member, &err);
    if (code != COMMITLOG_OK)
        fprintf(stderr, "group: %s\n", err.code == code ? err.message : commitlog_error_text(code));

    for (uint32_t i = 0; i < QUEUES_MAX; i++)
        commitlog_cursor_close(member.cursors[i]);
    commitlog_group_close(member.group);
    const int32_t closed = commitlog_close(member.store, &err);
    if (closed != COMMITLOG_OK)
        fprintf(stderr, "group: %s\n", err.message);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK ? 0 : 1;
}
