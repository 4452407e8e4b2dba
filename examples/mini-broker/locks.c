/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locks.c - LOCK_BATCH_MQ and UNLOCK_BATCH_MQ. See locks.h.
 *
 * Happy path: a table by "group NUL topic NUL queue"; the answer lists what is the client's now.
 * Failure modes: too many locks, no memory: a queue is not in the answer, and the client asks
 * again. Locks that ended long ago are dropped when there are many.
 */
#include "locks.h"

#include "codes.h"
#include "dispatch.h"
#include "json.h"
#include "reply.h"
#include "topics.h"

#include <stdlib.h>

enum { LOCK_MS = 60000, LOCKS_MAX = 100000, CLIENT_MAX = 512, SWEEP_MS = 1000 };

struct locks {
    struct table table;
    size_t sweep_at; /* at so many the table is looked through */
    int64_t swept_ms;
};

struct lock {
    struct table_entry entry;
    int64_t until_ms;
    size_t client_bytes;
    char client[CLIENT_MAX];
};

/* Empty: longer than any can be. */
static struct text lock_name(struct broker *broker, struct text group, const json_t *queue)
{
    struct buffer *out = &broker->scratch;
    if (group.bytes > GROUP_NAME_MAX ||
        json_text(queue, "topic").bytes > GROUP_NAME_MAX + sizeof RETRY_PREFIX)
        return (struct text){0};
    buffer_clear(out);
    buffer_put_text(out, group);
    buffer_put_byte(out, 0);
    buffer_put_text(out, json_text(queue, "topic"));
    buffer_put_byte(out, 0);
    buffer_put_i64(out, json_integer_value(json_object_get(queue, "queueId")));
    return buffer_text(out);
}

static void locks_sweep(struct locks *locks, int64_t now)
{
    struct table_entry *entry = table_next(&locks->table, NULL);
    while (entry != NULL) {
        struct lock *lock = (struct lock *)(void *)entry;
        entry = table_next(&locks->table, entry);
        if (lock->until_ms < now) {
            table_remove(&locks->table, &lock->entry);
            free(lock);
        }
    }
    const size_t next = locks->table.count * 2 + 1024;
    locks->sweep_at = next < LOCKS_MAX ? next : LOCKS_MAX;
    locks->swept_ms = now;
}

static struct lock *lock_make(struct locks *locks, struct text name, int64_t now)
{
    struct lock *lock = (struct lock *)(void *)table_find(&locks->table, name);
    if (lock != NULL)
        return lock;
    if (locks->table.count >= locks->sweep_at &&
        (locks->table.count < LOCKS_MAX || now - locks->swept_ms >= SWEEP_MS))
        locks_sweep(locks, now);
    if (name.bytes == 0 || locks->table.count >= LOCKS_MAX)
        return NULL;
    lock = calloc(1, sizeof *lock + name.bytes);
    if (lock == NULL)
        return NULL;
    memcpy(lock + 1, name.data, name.bytes);
    lock->entry.name = (struct text){(char *)(lock + 1), name.bytes};
    if (!table_insert(&locks->table, &lock->entry)) {
        free(lock);
        return NULL;
    }
    return lock;
}

/* True: the client has it now. */
static bool lock_take(struct lock *lock, struct text client, int64_t now)
{
    if (lock == NULL || client.bytes > CLIENT_MAX || client.bytes == 0)
        return false;
    if (lock->until_ms > now &&
        !text_equal((struct text){lock->client, lock->client_bytes}, client))
        return false;
    memcpy(lock->client, client.data, client.bytes);
    lock->client_bytes = client.bytes;
    lock->until_ms = now + LOCK_MS;
    return true;
}

void handle_lock(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    json_t *json = json_body_or_reply(connection, command, JSON_CLIENT_MAX, "list of queues");
    if (json == NULL)
        return;
    json_t *locked = json_array(), *queue;
    const int64_t now = (int64_t)uv_now(&broker->loop);
    size_t i;
    json_array_foreach(json_object_get(json, "mqSet"), i, queue)
    {
        const struct text name = lock_name(broker, json_text(json, "consumerGroup"), queue);
        if (lock_take(lock_make(broker->locks, name, now), json_text(json, "clientId"), now))
            json_array_append(locked, queue);
    }
    reply_json(connection, command, json_pack("{s:o}", "lockOKMQSet", locked));
    json_decref(json);
}

void handle_unlock(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    json_t *json = json_body_or_reply(connection, command, JSON_CLIENT_MAX, "list of queues");
    json_t *queue;
    if (json == NULL)
        return;
    const struct text client = json_text(json, "clientId");
    size_t i;
    json_array_foreach(json_object_get(json, "mqSet"), i, queue)
    {
        const struct text name = lock_name(broker, json_text(json, "consumerGroup"), queue);
        struct lock *lock = (struct lock *)(void *)table_find(&broker->locks->table, name);
        if (lock != NULL && text_equal((struct text){lock->client, lock->client_bytes}, client))
            lock->until_ms = 0;
    }
    json_decref(json);
    reply_ok(connection, command);
}

void locks_release_client(struct broker *broker, struct text group, struct text id)
{
    for (struct table_entry *entry = table_next(&broker->locks->table, NULL); entry != NULL;
         entry = table_next(&broker->locks->table, entry)) {
        struct lock *lock = (struct lock *)(void *)entry;
        if (entry->name.bytes > group.bytes && text_begins(entry->name, group) &&
            entry->name.data[group.bytes] == 0 &&
            text_equal((struct text){lock->client, lock->client_bytes}, id))
            lock->until_ms = 0;
    }
}

bool locks_start(struct broker *broker)
{
    broker->locks = calloc(1, sizeof *broker->locks);
    return broker->locks != NULL;
}

void locks_stop(struct broker *broker)
{
    struct locks *locks = broker->locks;
    if (locks == NULL)
        return;
    locks_sweep(locks, INT64_MAX);
    table_free(&locks->table);
    free(locks);
    broker->locks = NULL;
}
