/*
 * group_receiver.c -- options of a receiver: see group_receiver.h.
 */
#include "group_receiver.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "when.h"

enum { RECEIVER_ATTEMPTS_MAX = 65534 };

bool group_duration(struct cli *cli, const char *option, const char *text, uint64_t most_ms,
                    uint64_t *ms)
{
    assert(text != NULL && ms != NULL);
    if (!when_parse_age(text, ms)) {
        (void)cli_usage(cli, "%s: \"%s\" is not a duration such as 500ms, 10s or 1h30m", option,
                        text);
        return false;
    }
    return cli_not_longer(cli, option, text, *ms, most_ms);
}

bool group_receiver_parse(struct cli *cli, struct group_receiver *options)
{
    uint64_t attempts = 0;
    if (options->visibility != NULL) {
        if (!group_duration(cli, "--visibility", options->visibility, GROUP_DURATION_MAX_MS,
                            &options->visibility_ms)) {
            return false;
        }
        if (options->visibility_ms == 0) {
            (void)cli_usage(cli, "--visibility: at least 1ms is needed");
            return false;
        }
    }
    if (options->max_attempts != NULL && strcmp(options->max_attempts, "none") == 0) {
        attempts = UINT32_MAX;
    } else if (options->max_attempts != NULL &&
               !cli_number(cli, "--max-attempts", options->max_attempts, 1, RECEIVER_ATTEMPTS_MAX,
                           &attempts)) {
        return false;
    }
    if (options->dead_topic != NULL && attempts == UINT32_MAX) {
        (void)cli_usage(cli, "--dead-topic and --max-attempts none exclude each other");
        return false;
    }
    options->attempts = (uint32_t)attempts;
    return true;
}

/* One that is there has as many queues as it has. */
static int32_t receiver_dead_topic(struct group_run *run, const char *name, uint32_t *topic,
                                   struct commitlog_error *err)
{
    const int32_t rc = commitlog_topic_open(run->store.handle, name, strlen(name), 0, topic, err);
    return rc == COMMITLOG_ENOTFOUND
               ? commitlog_topic_open(run->store.handle, name, strlen(name), 1, topic, err)
               : rc;
}

int group_receiver_open(struct group_run *run, const struct group_receiver *options,
                        struct commitlog_receiver **receiver)
{
    assert(run->group != NULL && run->topic_name != NULL);
    struct commitlog_error err = {0};
    struct commitlog_receiver_options given = {.struct_bytes = sizeof(given),
                                               .flags = options->flags,
                                               .max_attempts = options->attempts,
                                               .visibility_ms = (int64_t)options->visibility_ms};
    if (options->dead_topic != NULL) {
        const int32_t rc = receiver_dead_topic(run, options->dead_topic, &given.dead_topic, &err);
        if (rc != COMMITLOG_OK) {
            return cli_fail(&run->cli, options->dead_topic, rc, &err);
        }
        given.flags |= COMMITLOG_RECEIVE_DEAD_TOPIC;
    }
    const int32_t rc =
        commitlog_receiver_open(run->group, run->topic.topic, &given, receiver, &err);
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(&run->cli, run->topic_name, rc, &err);
}
