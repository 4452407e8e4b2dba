/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.c - find messages again: by key (newest first) and by time.
 *
 * A sensor's readings carry the sensor's name as key and "alarm" as tag where it applies.
 *
 *   keys [DIR]        default: sensors.store
 */
#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FETCH = 16 };

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "keys: %s: %s\n", what, detailed ? err->message : commitlog_error_text(code));
    return code;
}

static struct commitlog_slice slice(const char *text)
{
    const struct commitlog_slice out = {text, strlen(text)};
    return out;
}

/* One reading. The queue follows from the key, so a sensor's readings stay in order. */
static int32_t store_reading(struct commitlog_store *store, uint32_t topic, const char *sensor,
                             const char *value, int alarm, struct commitlog_receipt *out_receipt)
{
    const struct commitlog_slice body = slice(value);
    const struct commitlog_slice key = slice(sensor);
    struct commitlog_record record = {0};
    record.struct_bytes = sizeof record;
    record.topic = topic;
    record.queue = COMMITLOG_QUEUE_AUTO;
    record.level = COMMITLOG_LEVEL_WRITTEN;
    record.body = &body;
    record.body_count = 1;
    record.keys = &key;
    record.key_count = 1;
    if (alarm)
        record.tag = slice("alarm");

    struct commitlog_error err = {0};
    const int32_t code =
        commitlog_append_record(store, &record, COMMITLOG_FOREVER, out_receipt, &err);
    return code == COMMITLOG_OK ? code : complain("append", code, &err);
}

/* Prints what the cursor yields, closes it. */
static int32_t print_all(const char *title, struct commitlog_cursor *cursor)
{
    struct commitlog_message messages[FETCH];
    uint32_t count = 0;
    int32_t code;
    printf("%s\n", title);
    while ((code = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL)) ==
           COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            struct commitlog_slice key = {NULL, 0};
            if (commitlog_message_key(&messages[i], 0, &key) != COMMITLOG_OK)
                key = slice("(no key)");
            printf("  %.*s = %.*s (queue %" PRIu32 ", offset %" PRIu64 ")\n", (int)key.bytes,
                   (const char *)key.data, (int)messages[i].body.bytes,
                   (const char *)messages[i].body.data, messages[i].queue,
                   messages[i].queue_offset);
        }
    }
    commitlog_cursor_close(cursor);
    return code == COMMITLOG_EEND ? COMMITLOG_OK : complain("read", code, NULL);
}

/* Everything that one sensor has said, newest first. */
static int32_t by_key(struct commitlog_store *store, uint32_t topic, const char *sensor)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    const int32_t code = commitlog_cursor_open_key(store, topic, sensor, strlen(sensor), 0,
                                                   INT64_MAX, &cursor, &err);
    return code == COMMITLOG_OK ? print_all("by key:", cursor) : complain("query", code, &err);
}

/* All alarms of all queues since a moment, in the order of the log. */
static int32_t alarms_since(struct commitlog_store *store, uint32_t topic, int64_t since_ns)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    int32_t code = commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_TIME,
                                         (uint64_t)since_ns, &cursor, &err);
    if (code != COMMITLOG_OK)
        return complain("open a cursor", code, &err);
    const struct commitlog_slice tag = slice("alarm");
    code = commitlog_cursor_set_tags(cursor, &tag, 1);
    if (code != COMMITLOG_OK) {
        commitlog_cursor_close(cursor);
        return complain("set tags", code, NULL);
    }
    return print_all("alarms since this program began:", cursor);
}

static int32_t run(struct commitlog_store *store)
{
    struct commitlog_error err = {0};
    struct commitlog_receipt first, receipt;
    uint32_t topic = 0;
    int32_t code = commitlog_topic_open(store, "readings", 8, 4, &topic, &err);
    if (code != COMMITLOG_OK)
        return complain("topic", code, &err);
    code = store_reading(store, topic, "boiler", "61.0", 0, &first);
    if (code == COMMITLOG_OK)
        code = store_reading(store, topic, "attic", "19.5", 0, &receipt);
    if (code == COMMITLOG_OK)
        code = store_reading(store, topic, "boiler", "98.5", 1, &receipt);
    if (code == COMMITLOG_OK)
        code = by_key(store, topic, "boiler");
    if (code == COMMITLOG_OK)
        code = alarms_since(store, topic, first.store_time_ns);
    return code;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "sensors.store", NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        complain("open", code, &err);
        return 1;
    }
    code = run(store);
    const int32_t closed = commitlog_close(store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK ? 0 : 1;
}
