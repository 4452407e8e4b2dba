/*
 * group.c -- `commitlog group`: its actions, and those that change the group itself. See group.h.
 */
#include "group.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"

/* Told before the input is read, and where there is nothing to do and no store is asked. */
static bool group_check_name(struct cli *cli, const char *option, const char *name, size_t most)
{
    const struct commitlog_slice bytes = {name, name == NULL ? 0 : strlen(name)};
    if (name == NULL || (bytes.bytes > 0 && bytes.bytes <= most && text_is_utf8(bytes))) {
        return true;
    }
    (void)cli_usage(cli, "%s: a name has 1 to %zu bytes of UTF-8", option, most);
    return false;
}

bool group_begin(struct group_run *run, const struct cli_spec *spec, struct poptOption *table,
                 unsigned int needs, int argc, const char **argv, int *status)
{
    assert(run != NULL && spec != NULL);
    if (!cli_parse(&run->cli, spec, table, argc, argv, status)) {
        return false;
    }
    if ((needs & GROUP_NAMED) != 0 && run->name == NULL) {
        (void)cli_usage(&run->cli, "which group? --group is missing");
    } else if ((needs & GROUP_TOPIC_NAMED) != 0 && run->topic_name == NULL) {
        (void)cli_usage(&run->cli, "which topic? --topic is missing");
    } else if (group_check_name(&run->cli, "--group", run->name, COMMITLOG_GROUP_NAME_MAX_BYTES) &&
               group_check_name(&run->cli, "--topic", run->topic_name,
                                COMMITLOG_TOPIC_NAME_MAX_BYTES)) {
        return true;
    }
    *status = cli_end(&run->cli, CLI_CANNOT);
    return false;
}

static int group_open_topic(struct group_run *run)
{
    struct commitlog_error err = {0};
    uint32_t number = 0;
    int32_t rc = commitlog_topic_open(run->store.handle, run->topic_name, strlen(run->topic_name),
                                      0, &number, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return store_no_topic(&run->cli, &run->store, run->topic_name);
    }
    run->topic = (struct commitlog_topic_info){.struct_bytes = sizeof(run->topic)};
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(run->store.handle, number, &run->topic);
    }
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(&run->cli, run->topic_name, rc, &err);
}

int group_open(struct group_run *run, int mode, uint32_t flags)
{
    assert(mode == STORE_LIST || mode == STORE_WRITE);
    struct cli *cli = &run->cli;
    struct commitlog_error err = {0};
    const struct store_options given = {.patience_ms = run->patience_ms};
    if (cli->watch == NULL) { /* who waits for input before has one */
        watch_start(cli, mode == STORE_LIST ? WATCH_OUTPUT : WATCH_SIGNALS);
    }
    int status = store_open(cli, &run->store, mode, &given);
    if (status == CLI_DONE && run->name != NULL) {
        const int32_t rc = commitlog_group_open(run->store.handle, run->name, strlen(run->name),
                                                flags, &run->group, &err);
        if (rc == COMMITLOG_ENOTFOUND) {
            status = store_no_group(cli, &run->store, run->name);
        } else if (rc != COMMITLOG_OK) {
            status = cli_fail(cli, cli->dir, rc, &err);
        }
    }
    return status == CLI_DONE && run->topic_name != NULL ? group_open_topic(run) : status;
}

int group_end(struct group_run *run, int status)
{
    commitlog_group_close(run->group);
    run->group = NULL;
    status = store_close(&run->cli, &run->store, status);
    return cli_end(&run->cli, status);
}

struct commitlog_group_offset *group_committed(struct group_run *run, struct commitlog_group *group,
                                               const struct commitlog_topic_info *topic,
                                               int *status)
{
    struct commitlog_error err = {0};
    struct commitlog_group_offset *offsets = calloc(topic->queues_total, sizeof(*offsets));
    if (offsets == NULL) {
        cli_error(&run->cli, "not enough memory");
        *status = CLI_CANNOT;
        return NULL;
    }
    for (uint32_t queue = 0; queue < topic->queues_total; queue++) {
        offsets[queue].topic = topic->topic;
        offsets[queue].queue = queue;
    }
    const int32_t rc = commitlog_group_fetch(group, offsets, topic->queues_total, &err);
    if (rc != COMMITLOG_OK) {
        *status = cli_fail(&run->cli, run->cli.dir, rc, &err);
        free(offsets);
        return NULL;
    }
    return offsets;
}

static const struct cli_spec create_spec = {
    .command = "group create",
    .operands = "DIR",
    .about = "Makes a group that has committed nothing; one that is there already is an error.\n"
             "With --keep, retention keeps what the group has not consumed yet.",
};

static int group_create(int argc, const char **argv)
{
    struct group_run run = {0};
    int keep = 0;
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        {"keep", '\0', POPT_ARG_NONE, &keep, 0, "retention keeps what it has not consumed", NULL},
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &create_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    /* Asked for below, as soon as it is known that the group is not there. */
    char *name = run.name;
    run.name = NULL;
    status = group_open(&run, STORE_WRITE, 0);
    run.name = name;
    if (status == CLI_DONE) {
        struct commitlog_error err = {0};
        const uint32_t flags = keep != 0 ? COMMITLOG_GROUP_KEEP : 0;
        int32_t rc =
            commitlog_group_open(run.store.handle, name, strlen(name), 0, &run.group, &err);
        if (rc == COMMITLOG_OK) {
            cli_error(&run.cli, "%s: there is a group %s already", run.cli.dir, name);
            return group_end(&run, CLI_CANNOT);
        }
        if (rc == COMMITLOG_ENOTFOUND) {
            rc = commitlog_group_open(run.store.handle, name, strlen(name),
                                      flags | COMMITLOG_GROUP_CREATE, &run.group, &err);
        }
        status = rc == COMMITLOG_OK ? CLI_DONE : cli_fail(&run.cli, run.cli.dir, rc, &err);
    }
    return group_end(&run, status);
}

static const struct cli_spec set_spec = {
    .command = "group set",
    .operands = "DIR",
    .about =
        "Changes a group: with --keep yes, retention keeps from now on what the group has not\n"
        "consumed yet; with --keep no, it does not.",
};

static int group_set(int argc, const char **argv)
{
    struct group_run run = {0};
    char *keep = NULL;
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        {"keep", '\0', POPT_ARG_STRING, &keep, 0, "retention keeps what it has not consumed",
         "yes|no"},
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &set_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    const bool yes = keep != NULL && strcmp(keep, "yes") == 0;
    if (!yes && (keep == NULL || strcmp(keep, "no") != 0)) {
        return cli_end(&run.cli, cli_usage(&run.cli, "--keep yes or --keep no is needed"));
    }
    status = group_open(&run, STORE_WRITE, 0);
    if (status == CLI_DONE) {
        struct commitlog_error err = {0};
        const int32_t rc = commitlog_group_configure(run.group, yes ? COMMITLOG_GROUP_KEEP : 0,
                                                     COMMITLOG_LEVEL_DEFAULT, &err);
        status = rc == COMMITLOG_OK ? CLI_DONE : cli_fail(&run.cli, run.cli.dir, rc, &err);
    }
    return group_end(&run, status);
}

static const struct cli_spec epoch_spec = {
    .command = "group epoch",
    .operands = "DIR",
    .about = "Begins the next epoch of a group and prints its number: members that give an\n"
             "earlier one when they commit are refused from now on.",
};

static int group_epoch(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_JSON_OPTION(&run, "the number in a JSON object"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &epoch_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_WRITE, 0);
    if (status == CLI_DONE) {
        struct commitlog_error err = {0};
        uint32_t epoch = 0;
        const int32_t rc =
            commitlog_group_next_epoch(run.group, COMMITLOG_LEVEL_DEFAULT, &epoch, &err);
        if (rc != COMMITLOG_OK) {
            status = cli_fail(&run.cli, run.cli.dir, rc, &err);
        } else if (run.json != 0) {
            (void)record_print_value(&run.cli.out, json_pack("{s:s, s:I}", "group", run.name,
                                                             "epoch", (json_int_t)epoch));
        } else {
            (void)out_format(&run.cli.out, "%" PRIu32 "\n", epoch);
        }
        if (rc == COMMITLOG_OK) {
            status =
                cli_done(&run.cli, "the epoch of group %s is %" PRIu32 " now", run.name, epoch);
        }
    }
    return group_end(&run, status);
}

static const struct cli_spec delete_spec = {
    .command = "group delete",
    .operands = "DIR",
    .about = "Forgets a group with all that it has committed. Messages stay.",
};

static int group_delete(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &delete_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_WRITE, 0);
    if (status == CLI_DONE) {
        struct commitlog_error err = {0};
        const int32_t rc = commitlog_group_delete(run.group, COMMITLOG_LEVEL_DEFAULT, &err);
        status = rc == COMMITLOG_OK ? CLI_DONE : cli_fail(&run.cli, run.cli.dir, rc, &err);
    }
    return group_end(&run, status);
}

static const struct cli_action group_actions[] = {
    {"list", group_list, "list the groups"},
    {"show", group_show, "print what a group has committed, queue by queue"},
    {"lag", group_lag, "print how much groups have yet to consume"},
    {"create", group_create, "make a group"},
    {"set", group_set, "let retention keep what a group has not consumed, or not"},
    {"gates", group_gates, "print which queues of a topic that grew are open for a group"},
    {"commit", group_commit, "commit offsets of a topic"},
    {"reset", group_reset, "set offsets forth or back: first, end, a time, an offset"},
    {"work", group_work, "print what was given out, and what is done ahead"},
    {"receive", group_receive, "give messages out, one by one"},
    {"ack", group_ack, "acknowledge what was given out"},
    {"extend", group_extend, "keep what was given out for longer"},
    {"nack", group_nack, "give back what was given out: it comes again"},
    {"epoch", group_epoch, "begin the next epoch: earlier members are refused"},
    {"delete", group_delete, "forget a group and its offsets"},
};

int command_group(int argc, const char **argv)
{
    static const struct cli_actions set = {
        .command = "group",
        .operands = "DIR [OPTION...]",
        .about = "Consumer groups: names under which consumers remember, for each queue, the\n"
                 "offset they consume next.",
        .actions = group_actions,
        .count = sizeof(group_actions) / sizeof(group_actions[0]),
    };
    return cli_run_action(&set, argc, argv);
}
