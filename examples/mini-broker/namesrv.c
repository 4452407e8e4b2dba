/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * namesrv.c - put, get, delete and list of the name server's values. See namesrv.h.
 *
 * They are for settings such as the order of topics; no client keeps data here, so they live in
 * memory, KV_MAX of them, and KV_TOTAL_MAX bytes. Happy path: a table by "namespace NUL name".
 * Failure modes: too many, too large: REPLY_SYSTEM_ERROR; none: REPLY_NOT_FOUND.
 */
#include "namesrv.h"

#include "codes.h"
#include "dispatch.h"
#include "reply.h"

#include <stdlib.h>

enum { KV_MAX = 10000, KV_BYTES_MAX = 65536, KV_TOTAL_MAX = 16 * 1024 * 1024 };

struct namesrv {
    struct table table;
    size_t bytes; /* of all names and values */
};

struct kv {
    struct table_entry entry; /* "namespace NUL name" */
    struct text value;
};

/* In the scratch buffer. */
static struct text kv_name(struct broker *broker, const struct command *command)
{
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_put_text(out, command_text(command, "namespace"));
    buffer_put_byte(out, 0);
    buffer_put_text(out, command_text(command, "key"));
    return buffer_text(out);
}

static size_t kv_bytes(const struct table_entry *entry)
{
    return entry == NULL
               ? 0
               : entry->name.bytes + ((const struct kv *)(const void *)entry)->value.bytes;
}

/* In place of the old one, or NULL. */
static bool kv_has_room(const struct namesrv *namesrv, const struct table_entry *old, size_t bytes)
{
    return (old != NULL || namesrv->table.count < KV_MAX) && bytes < KV_BYTES_MAX &&
           namesrv->bytes - kv_bytes(old) + bytes <= KV_TOTAL_MAX;
}

static void kv_remove(struct namesrv *namesrv, struct table_entry *entry)
{
    if (entry == NULL)
        return;
    namesrv->bytes -= kv_bytes(entry);
    table_remove(&namesrv->table, entry);
    free(entry);
}

void handle_kv_put(struct connection *connection, const struct command *command)
{
    struct namesrv *namesrv = connection->broker->namesrv;
    const struct text name = kv_name(connection->broker, command);
    const struct text value = command_text(command, "value");
    struct table_entry *old = table_find(&namesrv->table, name);
    const size_t bytes = name.bytes + value.bytes;
    struct kv *kv = kv_has_room(namesrv, old, bytes) ? malloc(sizeof *kv + bytes) : NULL;
    if (kv == NULL) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "too many, or too large");
        return;
    }
    kv_remove(namesrv, old);
    char *at = (char *)(kv + 1);
    memcpy(at, name.data, name.bytes);
    if (value.bytes > 0)
        memcpy(at + name.bytes, value.data, value.bytes);
    kv->entry.name = (struct text){at, name.bytes};
    kv->value = (struct text){at + name.bytes, value.bytes};
    if (table_insert(&namesrv->table, &kv->entry)) {
        namesrv->bytes += bytes;
        reply_ok(connection, command);
    } else {
        free(kv);
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "no memory");
    }
}

void handle_kv_get(struct connection *connection, const struct command *command)
{
    const struct namesrv *namesrv = connection->broker->namesrv;
    const struct kv *kv = (const struct kv *)(const void *)table_find(
        &namesrv->table, kv_name(connection->broker, command));
    if (kv == NULL) {
        reply_error(connection, command, REPLY_NOT_FOUND, "No config item");
        return;
    }
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_text(&reply, "value", kv->value);
    reply_end(&reply, (struct text){0});
}

void handle_kv_delete(struct connection *connection, const struct command *command)
{
    struct namesrv *namesrv = connection->broker->namesrv;
    kv_remove(namesrv, table_find(&namesrv->table, kv_name(connection->broker, command)));
    reply_ok(connection, command);
}

void handle_kv_list(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct namesrv *namesrv = broker->namesrv;
    const struct text wanted = command_text(command, "namespace");
    struct buffer *out = &broker->scratch;
    const char *separator = "";
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"table\":{"));
    for (const struct table_entry *entry = table_next(&namesrv->table, NULL); entry != NULL;
         entry = table_next(&namesrv->table, entry)) {
        const char *end = memchr(entry->name.data, 0, entry->name.bytes);
        const struct text space = {entry->name.data, (size_t)(end - entry->name.data)};
        if (!text_equal(space, wanted))
            continue;
        buffer_put_text(out, text_of(separator));
        buffer_put_json(out, (struct text){end + 1, entry->name.bytes - space.bytes - 1});
        buffer_put_byte(out, ':');
        buffer_put_json(out, ((const struct kv *)(const void *)entry)->value);
        separator = ",";
    }
    buffer_put_text(out, TEXT("}}"));
    if (separator[0] == '\0')
        reply_error(connection, command, REPLY_NOT_FOUND, "No config item");
    else
        reply_body(connection, command, buffer_text(out));
}

bool namesrv_start(struct broker *broker)
{
    broker->namesrv = calloc(1, sizeof *broker->namesrv);
    return broker->namesrv != NULL;
}

void namesrv_stop(struct broker *broker)
{
    struct namesrv *namesrv = broker->namesrv;
    if (namesrv == NULL)
        return;
    struct table_entry *entry;
    while ((entry = table_next(&namesrv->table, NULL)) != NULL)
        kv_remove(namesrv, entry);
    table_free(&namesrv->table);
    free(namesrv);
    broker->namesrv = NULL;
}
