/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topic.c -- `commitlog topic grow` and `commitlog topic shrink`: how many queues a topic has.
 *
 * Invariants: both hold the writer's lock; what they have changed is durable when they end.
 * Threads and locks: the main thread.
 * Happy path: one record. Failure modes: reported here, with the exit code as result. No such topic
 *       is CLI_NO.
 */
#include <string.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"

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

typedef int32_t (*topic_change_fn)(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                                   uint32_t level, struct commitlog_error *err);

static int topic_run(struct cli *cli, struct store *store, topic_change_fn change, uint32_t queues,
                     bool json)
{
    struct commitlog_error err = {0};
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    const char *name = cli->operand;
    uint32_t topic = 0;
    int32_t rc = commitlog_topic_open(store->handle, name, strlen(name), 0, &topic, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return store_no_topic(cli, store, name);
    }
    if (rc == COMMITLOG_OK) {
        rc = change(store->handle, topic, queues, COMMITLOG_LEVEL_DURABLE, &err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(store->handle, topic, &info);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, &err);
    }
    if (json) {
        (void)record_print_value(&cli->out,
                                 json_pack("{s:s, s:I, s:I}", "topic", info.name, "queues",
                                           (json_int_t)info.queues, "queues_total",
                                           (json_int_t)info.queues_total));
    }
    return CLI_DONE;
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

static const struct cli_action topic_actions[] = {
    {"grow", topic_grow, "more queues: a multiple of what there are"},
    {"shrink", topic_shrink, "fewer queues, as before it grew"},
};

int command_topic(int argc, const char **argv)
{
    static const struct cli_actions set = {
        .command = "topic",
        .operands = "DIR TOPIC QUEUES [OPTION...]",
        .about = "How many queues a topic has (commitlog topics DIR lists them).",
        .actions = topic_actions,
        .count = sizeof(topic_actions) / sizeof(topic_actions[0]),
    };
    return cli_run_action(&set, argc, argv);
}
