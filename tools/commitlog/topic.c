/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topic.c -- `commitlog topic grow`, `shrink` and `expire`: how many queues a topic has, and how
 * long its messages are given.
 *
 * Invariants: all hold the writer's lock; what they have changed is durable when they end.
 * Threads and locks: the main thread.
 * Happy path: one record. Failure modes: reported here, with the exit code as result. No such topic
 *       is CLI_NO.
 */
#include <inttypes.h>
#include <string.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"
#include "when.h"

static const struct cli_spec grow_spec = {
    .command = "topic grow",
    .operands = "DIR TOPIC QUEUES",
    .about =
        "Lets a topic grow to QUEUES queues, a multiple of what it has. Records that are there\n"
        "stay where they are; from now on the keys of a queue go to it and to new queues,\n"
        "which a group may consume once it has consumed the old one so far (commitlog group\n"
        "gates).",
};

static const struct cli_spec shrink_spec = {
    .command = "topic shrink",
    .operands = "DIR TOPIC QUEUES",
    .about =
        "Lets keys go to the first QUEUES queues of a topic only, a number that it had before\n"
        "it grew. All groups must have consumed the other queues to their ends, and no message\n"
        "may wait to be delivered to them. They stay, and can be read.",
};

static const struct cli_spec expire_spec = {
    .command = "topic expire",
    .operands = "DIR TOPIC",
    .about =
        "Lets messages of a topic expire: by themselves at an age, now those before a time; one\n"
        "of the two at least is needed. They are given to nobody any more, and go when retention\n"
        "takes their segment. What a group that keeps has yet to consume does not expire.",
};

typedef int32_t (*topic_change_fn)(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                                   uint32_t level, struct commitlog_error *err);

/* The topic that the operand names; the exit code. */
static int topic_find(struct cli *cli, struct store *store, uint32_t *out)
{
    struct commitlog_error err = {0};
    const char *name = cli->operand;
    const int32_t rc = commitlog_topic_open(store->handle, name, strlen(name), 0, out, &err);
    return rc == COMMITLOG_OK          ? CLI_DONE
           : rc == COMMITLOG_ENOTFOUND ? store_no_topic(cli, store, name)
                                       : cli_fail(cli, cli->dir, rc, &err);
}

/* What is said of it after the change that ended with rc; the exit code. */
static int topic_changed(struct cli *cli, struct store *store, uint32_t topic, int32_t rc,
                         const struct commitlog_error *err, struct commitlog_topic_info *out)
{
    *out = (struct commitlog_topic_info){.struct_bytes = sizeof(*out)};
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(store->handle, topic, out);
    }
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, rc, err);
}

static int topic_run(struct cli *cli, struct store *store, topic_change_fn change, uint32_t queues,
                     bool json)
{
    struct commitlog_error err = {0};
    struct commitlog_topic_info info;
    uint32_t topic = 0;
    int status = topic_find(cli, store, &topic);
    if (status == CLI_DONE) {
        const int32_t rc = change(store->handle, topic, queues, COMMITLOG_LEVEL_DURABLE, &err);
        status = topic_changed(cli, store, topic, rc, &err, &info);
    }
    if (status != CLI_DONE) {
        return status;
    }
    if (json) {
        (void)record_print_value(&cli->out,
                                 json_pack("{s:s, s:I, s:I}", "topic", info.name, "queues",
                                           (json_int_t)info.queues, "queues_total",
                                           (json_int_t)info.queues_total));
    }
    return cli_done(cli, "topic %s has %" PRIu32 " queues now, %" PRIu32 " in all", info.name,
                    info.queues, info.queues_total);
}

static int topic_change(const struct cli_spec *spec, topic_change_fn change, int argc,
                        const char **argv)
{
    int json = 0;
    struct poptOption table[] = {
        {"json", 'j', POPT_ARG_NONE, &json, 0, "how many queues there are as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t queues = 0;
    if (!cli_parse(&cli, spec, table, argc, argv, &status)) {
        return status;
    }
    if (!cli_number(&cli, "QUEUES", cli.last_operand, 1, COMMITLOG_TOPIC_QUEUES_MAX, &queues)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_WRITE, NULL);
    if (status == CLI_DONE) {
        status = topic_run(&cli, &store, change, (uint32_t)queues, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

static int topic_grow(int argc, const char **argv)
{
    return topic_change(&grow_spec, commitlog_topic_grow, argc, argv);
}

static int topic_shrink(int argc, const char **argv)
{
    return topic_change(&shrink_spec, commitlog_topic_shrink, argc, argv);
}

struct topic_expiry {
    const char *after; /* as given, or NULL */
    const char *before;
    uint64_t age_ms;
    int64_t before_ns;
    int json;
};

static bool topic_read_expiry(struct cli *cli, struct topic_expiry *expiry)
{
    if (expiry->after == NULL && expiry->before == NULL) {
        (void)cli_usage(cli, "--after or --before is missing");
        return false;
    }
    if (expiry->after != NULL && strcmp(expiry->after, "none") != 0 &&
        (!when_parse_age(expiry->after, &expiry->age_ms) || expiry->age_ms == 0)) {
        (void)cli_usage(cli, "--after: \"%s\" is not an age such as 12h or 7d, or none",
                        expiry->after);
        return false;
    }
    if (!cli_not_longer(cli, "--after", expiry->after, expiry->age_ms, WHEN_SPAN_MAX_MS)) {
        return false;
    }
    if (expiry->before != NULL && strcmp(expiry->before, "now") == 0) {
        expiry->before_ns = INT64_MAX; /* all that there are */
    } else if (expiry->before != NULL &&
               !when_parse(expiry->before, when_now_ns(), &expiry->before_ns)) {
        (void)cli_usage(cli, "--before: \"%s\" is not a time, an age, or now", expiry->before);
        return false;
    }
    return true;
}

static int topic_run_expiry(struct cli *cli, struct store *store, const struct topic_expiry *expiry)
{
    struct commitlog_error err = {0};
    struct commitlog_topic_info info;
    uint32_t topic = 0;
    int status = topic_find(cli, store, &topic);
    if (status != CLI_DONE) {
        return status;
    }
    int32_t rc = COMMITLOG_OK;
    if (expiry->after != NULL) {
        rc = commitlog_topic_expire_after(store->handle, topic, expiry->age_ms,
                                          COMMITLOG_LEVEL_DURABLE, &err);
    }
    if (rc == COMMITLOG_OK && expiry->before != NULL) {
        rc = commitlog_topic_expire(store->handle, topic, expiry->before_ns,
                                    COMMITLOG_LEVEL_DURABLE, &err);
    }
    status = topic_changed(cli, store, topic, rc, &err, &info);
    if (status == CLI_DONE && expiry->json != 0) {
        (void)record_print_value(&cli->out,
                                 json_pack("{s:s, s:I, s:I}", "topic", info.name, "keep_age_ms",
                                           (json_int_t)info.keep_age_ms, "expired_below",
                                           (json_int_t)info.expired_below));
        status = cli_done(cli,
                          "topic %s: its messages expire at %" PRIu64
                          " ms (0: not by themselves), those below position %" PRIu64 " have",
                          info.name, info.keep_age_ms, info.expired_below);
    }
    return status;
}

static int topic_expire(int argc, const char **argv)
{
    struct topic_expiry expiry = {0};
    struct poptOption table[] = {
        {"after", 'a', POPT_ARG_STRING, &expiry.after, 0,
         "from now on at this age (12h, 7d), or none: not by themselves any more", "AGE"},
        {"before", 'b', POPT_ARG_STRING, &expiry.before, 0,
         "now, those stored before it: a time, an age, or now", "TIME"},
        {"json", 'j', POPT_ARG_NONE, &expiry.json, 0, "what is so then as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &expire_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!topic_read_expiry(&cli, &expiry)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_WRITE, NULL);
    if (status == CLI_DONE) {
        status = topic_run_expiry(&cli, &store, &expiry);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

static const struct cli_action topic_actions[] = {
    {"grow", topic_grow, "more queues: a multiple of what there are"},
    {"shrink", topic_shrink, "fewer queues, as before it grew"},
    {"expire", topic_expire, "its messages are not given any more: at an age, before a time"},
};

int command_topic(int argc, const char **argv)
{
    static const struct cli_actions set = {
        .command = "topic",
        .operands = "DIR TOPIC [QUEUES] [OPTION...]",
        .about = "How many queues a topic has, and how long its messages are given (commitlog\n"
                 "topics DIR lists both).",
        .actions = topic_actions,
        .count = sizeof(topic_actions) / sizeof(topic_actions[0]),
    };
    return cli_run_action(&set, argc, argv);
}
