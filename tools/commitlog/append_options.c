/*
 * append_options.c -- what the options say of the records to be appended: see append.h.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "append.h"

enum { APPEND_TAG_MAX_BYTES = 255, APPEND_KEY_MAX_BYTES = 4096 };

static bool append_topic_option(struct append *append, const struct append_options *o)
{
    struct cli *cli = append->cli;
    if (o->topic == NULL && !o->jsonl) {
        (void)cli_usage(cli, "--topic is missing: which topic shall the lines go to?");
        return false;
    }
    if (o->topic != NULL) {
        const size_t bytes = strlen(o->topic);
        if (bytes == 0 || bytes > COMMITLOG_TOPIC_NAME_MAX_BYTES) {
            (void)cli_usage(cli, "--topic: a name has 1 to %d bytes, this one %zu",
                            COMMITLOG_TOPIC_NAME_MAX_BYTES, bytes);
            return false;
        }
    }
    if (o->tag != NULL && strlen(o->tag) > APPEND_TAG_MAX_BYTES) {
        (void)cli_usage(cli, "--tag: a tag has at most %d bytes, this one %zu",
                        APPEND_TAG_MAX_BYTES, strlen(o->tag));
        return false;
    }
    append->defaults.topic = o->topic;
    append->defaults.tag = o->tag;
    return true;
}

static bool append_queue_options(struct append *append, const struct append_options *o)
{
    struct cli *cli = append->cli;
    uint64_t number = 8;
    if (o->queues != NULL &&
        !cli_number(cli, "--queues", o->queues, 1, COMMITLOG_TOPIC_QUEUES_MAX, &number)) {
        return false;
    }
    append->queues = (uint32_t)number;
    append->queues_given = o->queues != NULL;
    append->by_key = o->by_key != 0;
    append->defaults.queue = COMMITLOG_QUEUE_AUTO;
    if (o->queue != NULL) {
        if (!cli_number(cli, "--queue", o->queue, 0, COMMITLOG_TOPIC_QUEUES_MAX - 1, &number)) {
            return false;
        }
        append->defaults.queue = (uint32_t)number;
    }
    if (o->queue != NULL && o->by_key) {
        (void)cli_usage(cli, "--queue and --by-key exclude each other");
        return false;
    }
    if (o->by_key && !o->jsonl && o->keys == NULL) {
        (void)cli_usage(cli, "--by-key needs a key: add --key, or --jsonl with \"keys\"");
        return false;
    }
    return true;
}

/* --key as slices; owned by append until append_free. */
static bool append_key_options(struct append *append, const struct append_options *o)
{
    size_t count = 0;
    for (; o->keys != NULL && o->keys[count] != NULL; count++) {
        const size_t bytes = strlen(o->keys[count]);
        if (bytes == 0 || bytes > APPEND_KEY_MAX_BYTES) {
            (void)cli_usage(append->cli, "--key: a key has 1 to %d bytes, this one %zu",
                            APPEND_KEY_MAX_BYTES, bytes);
            return false;
        }
    }
    struct commitlog_slice *keys = calloc(count + 1, sizeof(*keys));
    if (keys == NULL) {
        cli_error(append->cli, "not enough memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct commitlog_slice){o->keys[i], strlen(o->keys[i])};
    }
    append->defaults.keys = keys;
    append->defaults.key_count = (uint32_t)count;
    return true;
}

bool append_take_options(struct append *append, const struct append_options *o)
{
    assert(append != NULL && o != NULL);
    append->jsonl = o->jsonl != 0;
    return append_topic_option(append, o) && append_queue_options(append, o) &&
           append_key_options(append, o);
}
