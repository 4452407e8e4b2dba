/*
 * group_show.c -- `commitlog group list, show, lag`: what groups there are and how far they are.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"
#include "when.h"

/* A name in a column of so many characters, and a blank. */
static bool show_put_name(struct out *out, const char *name, size_t width)
{
    return text_put_column(out, (struct commitlog_slice){name, strlen(name)}, width) &&
           out_text(out, " ");
}

static const char *show_keep(const struct commitlog_group_info *info)
{
    return (info->flags & COMMITLOG_GROUP_KEEP) != 0 ? "yes" : "no";
}

static json_t *show_info_object(const struct commitlog_group_info *info)
{
    return json_pack("{s:s, s:I, s:b, s:I}", "group", info->name, "epoch", (json_int_t)info->epoch,
                     "keep", (info->flags & COMMITLOG_GROUP_KEEP) != 0, "queues",
                     (json_int_t)info->queues);
}

/* ---- list ------------------------------------------------------------------------------------ */

static const struct cli_spec list_spec = {
    .command = "group list",
    .operands = "DIR",
    .about = "Lists the groups: epoch, whether retention keeps what they have not consumed, and\n"
             "of how many queues they have committed an offset. --json prints one object per\n"
             "group. It only reads.",
};

static int list_run(struct group_run *run)
{
    struct cli *cli = &run->cli;
    if (run->json == 0) {
        (void)out_format(&cli->out, "%-20s %10s  %-4s %8s\n", "GROUP", "EPOCH", "KEEP", "QUEUES");
    }
    for (uint32_t i = 0; !watch_ended(cli->watch); i++) {
        struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_group_at(run->store.handle, i, &info);
        if (rc == COMMITLOG_ENOTFOUND) {
            break;
        }
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, NULL);
        }
        if (run->json != 0) {
            (void)record_print_value(&cli->out, show_info_object(&info));
        } else if (show_put_name(&cli->out, info.name, 20)) {
            (void)out_format(&cli->out, "%10" PRIu32 "  %-4s %8" PRIu32 "\n", info.epoch,
                             show_keep(&info), info.queues);
        }
    }
    return watch_status(cli->watch);
}

int group_list(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_JSON_OPTION(&run, "one JSON object per group"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &list_spec, table, 0, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_LIST, 0);
    if (status == CLI_DONE) {
        status = list_run(&run);
    }
    return group_end(&run, status);
}

/* ---- show ------------------------------------------------------------------------------------ */

static const struct cli_spec show_spec = {
    .command = "group show",
    .operands = "DIR",
    .about = "Prints a group, and for each queue of which it has committed an offset: the next\n"
             "offset it consumes, the first that is kept, the next to be given, and how many\n"
             "messages it has yet to consume. --json prints one object. It only reads.",
};

static uint64_t show_left(uint64_t offset, const struct commitlog_queue_info *queue)
{
    const uint64_t from = offset > queue->first_offset ? offset : queue->first_offset;
    return queue->next_offset > from ? queue->next_offset - from : 0;
}

static bool show_queue(struct group_run *run, const struct commitlog_topic_info *topic,
                       const struct commitlog_group_offset *offset,
                       const struct commitlog_queue_info *queue, json_t *list)
{
    const uint64_t left = show_left(offset->offset, queue);
    if (list != NULL) {
        return json_array_append_new(
                   list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "topic", topic->name, "queue",
                                   (json_int_t)offset->queue, "offset", (json_int_t)offset->offset,
                                   "first_offset", (json_int_t)queue->first_offset, "next_offset",
                                   (json_int_t)queue->next_offset, "messages", (json_int_t)left)) ==
               0;
    }
    return show_put_name(&run->cli.out, topic->name, 20) &&
           out_format(&run->cli.out,
                      "%6" PRIu32 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n",
                      offset->queue, offset->offset, queue->first_offset, queue->next_offset, left);
}

static int show_topic(struct group_run *run, const struct commitlog_topic_info *topic, json_t *list)
{
    int status = CLI_DONE;
    struct commitlog_group_offset *offsets = group_committed(run, run->group, topic, &status);
    for (uint32_t i = 0; offsets != NULL && status == CLI_DONE && i < topic->queues_total; i++) {
        struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
        if (offsets[i].offset == UINT64_MAX) {
            continue;
        }
        const int32_t rc = commitlog_queue_info(run->store.handle, topic->topic, i, &queue);
        if (rc != COMMITLOG_OK) {
            status = cli_fail(&run->cli, run->cli.dir, rc, NULL);
        } else if (!show_queue(run, topic, &offsets[i], &queue, list)) {
            break; /* standard output, which cli_end reports */
        }
    }
    free(offsets);
    return status;
}

static int show_run(struct group_run *run)
{
    struct cli *cli = &run->cli;
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    int32_t rc = commitlog_group_info(run->group, &info);
    if (rc != COMMITLOG_OK) {
        return rc == COMMITLOG_ENOTFOUND ? store_no_group(&run->cli, &run->store, run->name)
                                         : cli_fail(cli, cli->dir, rc, NULL);
    }
    json_t *list = run->json != 0 ? json_array() : NULL;
    if (run->json == 0) {
        (void)out_text(&cli->out, "group ");
        (void)text_put_plain(&cli->out, (struct commitlog_slice){info.name, info.name_bytes});
        (void)out_format(&cli->out, ", epoch %" PRIu32 ", retention %s what it has not consumed\n",
                         info.epoch,
                         (info.flags & COMMITLOG_GROUP_KEEP) != 0 ? "keeps" : "does not keep");
        (void)out_format(&cli->out, "%-20s %6s %12s %12s %12s %12s\n", "TOPIC", "QUEUE",
                         "COMMITTED", "FIRST", "NEXT", "MESSAGES");
    }
    int status = CLI_DONE;
    const uint32_t topics = commitlog_topic_count(run->store.handle);
    for (uint32_t i = 0; status == CLI_DONE && i < topics && !watch_ended(cli->watch); i++) {
        struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
        rc = commitlog_topic_info(run->store.handle, i, &topic);
        status =
            rc == COMMITLOG_OK ? show_topic(run, &topic, list) : cli_fail(cli, cli->dir, rc, NULL);
    }
    if (run->json != 0 && status == CLI_DONE && !watch_ended(cli->watch)) {
        json_t *object = show_info_object(&info);
        if (json_object_set_new(object, "offsets", list) != 0) {
            json_decref(object);
            object = NULL; /* no memory */
        }
        (void)record_print_value(&cli->out, object);
    } else {
        json_decref(list);
    }
    return status == CLI_DONE ? watch_status(cli->watch) : status;
}

int group_show(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_JSON_OPTION(&run, "one JSON object"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &show_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_LIST, 0);
    if (status == CLI_DONE) {
        status = show_run(&run);
    }
    return group_end(&run, status);
}

/* ---- lag ------------------------------------------------------------------------------------- */

static const struct cli_spec lag_spec = {
    .command = "group lag",
    .operands = "DIR",
    .about =
        "Prints how many messages groups have yet to consume: of one group with --group, of one\n"
        "topic with --topic, else of all; where not both are given, only where the group has\n"
        "committed an offset. In a topic, all messages of a queue without an offset count.\n"
        "DROPPED is what retention took, or what expired, before it was consumed. --json prints\n"
        "one object per group and topic. It only reads.",
};

static bool lag_print(struct group_run *run, const char *group,
                      const struct commitlog_topic_info *topic,
                      const struct commitlog_group_lag *lag)
{
    if (run->json != 0) {
        return record_print_value(
            &run->cli.out, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "group", group, "topic",
                                     topic->name, "queues", (json_int_t)lag->queues, "messages",
                                     (json_int_t)lag->messages, "dropped", (json_int_t)lag->dropped,
                                     "oldest_time_ns", (json_int_t)lag->oldest_time_ns));
    }
    char oldest[32];
    when_format(lag->oldest_time_ns, oldest, sizeof(oldest));
    return show_put_name(&run->cli.out, group, 20) &&
           show_put_name(&run->cli.out, topic->name, 20) &&
           out_format(&run->cli.out, "%6" PRIu32 " %12" PRIu64 " %12" PRIu64 "  %s\n", lag->queues,
                      lag->messages, lag->dropped, oldest);
}

/* `always`: also when the group has committed nothing there. */
static int lag_topic(struct group_run *run, struct commitlog_group *group, const char *name,
                     const struct commitlog_topic_info *topic, bool always)
{
    int status = CLI_DONE;
    bool any = always;
    if (!always) {
        struct commitlog_group_offset *offsets = group_committed(run, group, topic, &status);
        for (uint32_t i = 0; offsets != NULL && !any && i < topic->queues_total; i++) {
            any = offsets[i].offset != UINT64_MAX;
        }
        free(offsets);
    }
    if (status != CLI_DONE || !any) {
        return status;
    }
    struct commitlog_error err = {0};
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    const int32_t rc = commitlog_group_lag(group, topic->topic, COMMITLOG_QUEUE_ALL, &lag, &err);
    if (rc != COMMITLOG_OK) {
        return cli_fail(&run->cli, run->cli.dir, rc, &err);
    }
    (void)lag_print(run, name, topic, &lag);
    return CLI_DONE;
}

static int lag_group(struct group_run *run, struct commitlog_group *group, const char *name)
{
    if (run->topic_name != NULL) {
        return lag_topic(run, group, name, &run->topic, run->name != NULL);
    }
    int status = CLI_DONE;
    const uint32_t topics = commitlog_topic_count(run->store.handle);
    for (uint32_t i = 0; status == CLI_DONE && i < topics && !watch_ended(run->cli.watch); i++) {
        struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
        const int32_t rc = commitlog_topic_info(run->store.handle, i, &topic);
        status = rc == COMMITLOG_OK ? lag_topic(run, group, name, &topic, false)
                                    : cli_fail(&run->cli, run->cli.dir, rc, NULL);
    }
    return status;
}

static int lag_run(struct group_run *run)
{
    struct cli *cli = &run->cli;
    if (run->json == 0) {
        (void)out_format(&cli->out, "%-20s %-20s %6s %12s %12s  %s\n", "GROUP", "TOPIC", "QUEUES",
                         "MESSAGES", "DROPPED", "OLDEST STORED");
    }
    if (run->name != NULL) {
        return lag_group(run, run->group, run->name);
    }
    int status = CLI_DONE;
    for (uint32_t i = 0; status == CLI_DONE && !watch_ended(cli->watch); i++) {
        struct commitlog_error err = {0};
        struct commitlog_group *group = NULL;
        struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
        int32_t rc = commitlog_group_at(run->store.handle, i, &info);
        if (rc == COMMITLOG_ENOTFOUND) {
            break;
        }
        if (rc == COMMITLOG_OK) {
            rc = commitlog_group_open(run->store.handle, info.name, info.name_bytes, 0, &group,
                                      &err);
        }
        if (rc == COMMITLOG_ENOTFOUND) {
            continue; /* deleted meanwhile */
        }
        status = rc == COMMITLOG_OK ? lag_group(run, group, info.name)
                                    : cli_fail(cli, cli->dir, rc, &err);
        commitlog_group_close(group);
    }
    return status == CLI_DONE ? watch_status(cli->watch) : status;
}

int group_lag(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_TOPIC_OPTION(&run),
        GROUP_JSON_OPTION(&run, "one JSON object per group and topic"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &lag_spec, table, 0, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_LIST, 0);
    if (status == CLI_DONE) {
        status = lag_run(&run);
    }
    return group_end(&run, status);
}
