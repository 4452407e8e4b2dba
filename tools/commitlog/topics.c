/*
 * topics.c -- `commitlog topics`: topics, their queues, first and next offset, time range.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"
#include "when.h"

static const struct cli_spec topics_spec = {
    .command = "topics",
    .operands = "DIR",
    .about = "Lists topics and queues: the first offset kept, the next to be given, and the store\n"
             "times of the first and the last record; of a topic that has grown also how, and of\n"
             "one whose messages expire at what age. --json prints one object per topic. It only\n"
             "reads.",
};

static bool topics_print_queue(struct cli *cli, const struct commitlog_topic_info *topic,
                               uint32_t queue, const struct commitlog_queue_info *info)
{
    char first[32];
    char last[32];
    when_format(info->first_time_ns, first, sizeof(first));
    when_format(info->last_time_ns, last, sizeof(last));
    return text_put_column(&cli->out, (struct commitlog_slice){topic->name, strlen(topic->name)},
                           20) &&
           out_format(&cli->out, " %6" PRIu32 " %12" PRIu64 " %12" PRIu64 "  %-24s  %s\n", queue,
                      info->first_offset, info->next_offset, first, last);
}

static json_t *topics_queue_object(uint32_t queue, const struct commitlog_queue_info *info)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "queue", (json_int_t)queue, "first_offset",
                     (json_int_t)info->first_offset, "next_offset", (json_int_t)info->next_offset,
                     "first_time_ns", (json_int_t)info->first_time_ns, "last_time_ns",
                     (json_int_t)info->last_time_ns);
}

/* How many queues there were with each step, and among how many keys go. */
static bool topics_print_steps(struct cli *cli, const struct commitlog_topic_info *topic)
{
    bool good =
        text_put_plain(&cli->out, (struct commitlog_slice){topic->name, strlen(topic->name)}) &&
        out_format(&cli->out, " was created with %" PRIu32 " queues", topic->step_queues[0]);
    for (uint32_t i = 1; good && i < topic->step_count; i++) {
        good = out_format(&cli->out, "%s%" PRIu32, i == 1 ? ", grew to " : ", ",
                          topic->step_queues[i]);
    }
    return good &&
           (topic->queues == topic->queues_total ||
            out_format(&cli->out, "; keys go to %" PRIu32, topic->queues)) &&
           out_text(&cli->out, "\n");
}

static json_t *topics_steps_array(const struct commitlog_topic_info *topic)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < topic->step_count; i++) {
        (void)json_array_append_new(list, json_integer((json_int_t)topic->step_queues[i]));
    }
    return list;
}

static bool topics_print_expiry(struct cli *cli, const struct commitlog_topic_info *topic)
{
    char age[48];
    when_age(topic->keep_age_ms, age, sizeof(age));
    return text_put_plain(&cli->out, (struct commitlog_slice){topic->name, strlen(topic->name)}) &&
           out_format(&cli->out, " keeps its messages for %s\n", age);
}

/* One topic; `json`: collects its queues into an object. */
static int topics_print(struct cli *cli, struct commitlog_store *store,
                        const struct commitlog_topic_info *topic, bool json)
{
    json_t *list = json ? json_array() : NULL;
    json_int_t records = 0;
    int64_t first_ns = 0;
    int64_t last_ns = 0;
    if (!json && topic->step_count > 1 && !topics_print_steps(cli, topic)) {
        return CLI_DONE;
    }
    if (!json && topic->keep_age_ms > 0 && !topics_print_expiry(cli, topic)) {
        return CLI_DONE;
    }
    for (uint32_t queue = 0; queue < topic->queues_total; queue++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_queue_info(store, topic->topic, queue, &info);
        if (rc != COMMITLOG_OK) {
            json_decref(list);
            return cli_fail(cli, cli->dir, rc, NULL);
        }
        records += (json_int_t)(info.next_offset - info.first_offset);
        if (info.first_time_ns != 0 && (first_ns == 0 || info.first_time_ns < first_ns)) {
            first_ns = info.first_time_ns;
        }
        last_ns = info.last_time_ns > last_ns ? info.last_time_ns : last_ns;
        if (json) {
            (void)json_array_append_new(list, topics_queue_object(queue, &info));
        } else if (!topics_print_queue(cli, topic, queue, &info)) {
            return CLI_DONE;
        }
    }
    if (json) {
        json_t *object =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "topic", topic->name, "queues",
                      (json_int_t)topic->queues, "records", records, "first_time_ns",
                      (json_int_t)first_ns, "last_time_ns", (json_int_t)last_ns, "queue", list);
        if (topic->step_count > 1) {
            (void)json_object_set_new(object, "steps", topics_steps_array(topic));
        }
        if (topic->keep_age_ms > 0 || topic->expired_below > 0) {
            (void)json_object_set_new(object, "keep_age_ms",
                                      json_integer((json_int_t)topic->keep_age_ms));
            (void)json_object_set_new(object, "expired_below",
                                      json_integer((json_int_t)topic->expired_below));
        }
        (void)record_print_value(&cli->out, object);
    }
    return CLI_DONE;
}

static int topics_run(struct cli *cli, struct commitlog_store *store, bool json)
{
    const uint32_t count = commitlog_topic_count(store);
    int status = CLI_DONE;
    if (!json) {
        (void)out_format(&cli->out, "%-20s %6s %12s %12s  %-24s  %s\n", "TOPIC", "QUEUE", "FIRST",
                         "NEXT", "FIRST STORED", "LAST STORED");
    }
    for (uint32_t i = 0; status == CLI_DONE && i < count && !watch_ended(cli->watch); i++) {
        struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
        const int32_t rc = commitlog_topic_info(store, i, &topic);
        status = rc == COMMITLOG_OK ? topics_print(cli, store, &topic, json)
                                    : cli_fail(cli, cli->dir, rc, NULL);
    }
    return status == CLI_DONE ? watch_status(cli->watch) : status;
}

int command_topics(int argc, const char **argv)
{
    int json = 0;
    struct poptOption table[] = {
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per topic", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &topics_spec, table, argc, argv, &status)) {
        return status;
    }
    struct store store;
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_LIST, NULL);
    if (status == CLI_DONE) {
        status = topics_run(&cli, store.handle, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
