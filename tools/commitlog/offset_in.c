/*
 * offset_in.c -- offsets that a group is to commit: see offset_in.h.
 */
#include "offset_in.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool offset_parse(struct cli *cli, const char *text, struct commitlog_slice *topic,
                  struct commitlog_group_offset *out)
{
    assert(text != NULL && out != NULL);
    char queue_text[24];
    uint64_t queue = 0;
    const char *equals = strrchr(text, '=');
    const char *from = text;
    for (const char *at = text; topic != NULL && equals != NULL && at < equals; at++) {
        from = *at == '/' ? at + 1 : from; /* a name may have slashes, a number has none */
    }
    if (equals == NULL || (size_t)(equals - from) >= sizeof(queue_text) ||
        (topic != NULL && from - text < 2)) {
        (void)cli_usage(cli, "--offset: \"%s\" is not %sQUEUE=OFFSET", text,
                        topic != NULL ? "TOPIC/" : "");
        return false;
    }
    (void)snprintf(queue_text, sizeof(queue_text), "%.*s", (int)(equals - from), from);
    if (!cli_number(cli, "--offset QUEUE", queue_text, 0, COMMITLOG_TOPIC_QUEUES_MAX - 1, &queue) ||
        !cli_number(cli, "--offset OFFSET", equals + 1, 0, INT64_MAX, &out->offset)) {
        return false;
    }
    out->queue = (uint32_t)queue;
    if (topic != NULL) {
        *topic = (struct commitlog_slice){text, (size_t)(from - text) - 1};
    }
    return true;
}

/* The library does not say which of the queues it was; nobody has changed them since. */
bool offset_tell_refused(struct cli *cli, struct commitlog_store *store,
                         struct commitlog_group *group, int32_t code,
                         const struct commitlog_group_offset *wanted)
{
    struct commitlog_group_offset known = {.topic = wanted->topic, .queue = wanted->queue};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
    if ((code != COMMITLOG_EBEYOND && code != COMMITLOG_ETOOSMALL) ||
        commitlog_topic_info(store, wanted->topic, &topic) != COMMITLOG_OK ||
        commitlog_group_fetch(group, &known, 1, NULL) != COMMITLOG_OK) {
        return false;
    }
    const uint64_t committed = known.offset;
    if (committed != UINT64_MAX && wanted->offset < committed) {
        cli_error(cli,
                  "%s/%" PRIu32 ": offset %" PRIu64 " lies before %" PRIu64 ", which is committed "
                  "already (commitlog group reset goes back)",
                  topic.name, wanted->queue, wanted->offset, committed);
        return true;
    }
    if (commitlog_queue_info(store, wanted->topic, wanted->queue, &info) == COMMITLOG_OK &&
        wanted->offset > info.next_offset) {
        cli_error(cli,
                  "%s/%" PRIu32 ": offset %" PRIu64 " is beyond the end: %" PRIu64 " to %" PRIu64
                  " can be committed",
                  topic.name, wanted->queue, wanted->offset,
                  committed != UINT64_MAX ? committed : info.first_offset, info.next_offset);
        return true;
    }
    return false;
}
