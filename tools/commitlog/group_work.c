/*
 * group_work.c -- `commitlog group work`: what was given out of a group's messages, and what is
 * done ahead of others.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"
#include "when.h"

enum { WORK_MS_NS = 1000000 };

static const struct cli_spec work_spec = {
    .command = "group work",
    .operands = "DIR",
    .about =
        "Prints what a group was given out and has not done yet, and what it has done ahead of\n"
        "something else: by topic and queue the offsets, how often they were given out, when they\n"
        "come again, and in how long or since when. Of one topic with --topic, else of all. The\n"
        "last line counts the messages. --json prints one object. It only reads.",
};

struct work_totals {
    uint64_t pending; /* messages, those that are overdue among them */
    uint64_t overdue;
    uint64_t done;
};

struct work_print {
    struct group_run *run;
    json_t *list; /* NULL: lines */
    int64_t now_ms;
    struct work_totals totals;
};

static bool work_object(struct work_print *print, const struct commitlog_topic_info *topic,
                        uint32_t queue, const struct commitlog_work_info *info)
{
    const bool pending = info->state == COMMITLOG_WORK_PENDING;
    json_t *object = json_pack(
        "{s:s, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "topic", topic->name, "queue",
        (json_int_t)queue, "state", pending ? "pending" : "done", "offset",
        (json_int_t)info->offset, "count", (json_int_t)info->count, "attempts",
        (json_int_t)info->attempts, "visible_at_ms",
        pending ? json_integer((json_int_t)info->visible_at_ms) : json_null(), "wait_ms",
        pending ? json_integer((json_int_t)(info->visible_at_ms - print->now_ms)) : json_null());
    return json_array_append_new(print->list, object) == 0;
}

static bool work_row(struct work_print *print, const struct commitlog_topic_info *topic,
                     uint32_t queue, const struct commitlog_work_info *info)
{
    struct out *out = &print->run->cli.out;
    char offsets[48];
    int used = snprintf(offsets, sizeof(offsets), "%" PRIu64, info->offset);
    assert(used > 0 && (size_t)used < sizeof(offsets));
    if (info->count > 1) {
        (void)snprintf(offsets + used, sizeof(offsets) - (size_t)used, "-%" PRIu64,
                       info->offset + info->count - 1);
    }
    if (!text_put_column(out, (struct commitlog_slice){topic->name, strlen(topic->name)}, 20) ||
        !out_format(out, " %6" PRIu32 "  %-7s %20s ", queue,
                    info->state == COMMITLOG_WORK_PENDING ? "pending" : "done", offsets)) {
        return false;
    }
    if (info->state != COMMITLOG_WORK_PENDING) {
        return out_format(out, "%8s  %-24s  -\n", "-", "-");
    }
    char again[32];
    char span[32];
    const int64_t wait_ms = info->visible_at_ms - print->now_ms;
    when_format(info->visible_at_ms * WORK_MS_NS, again, sizeof(again));
    when_span((uint64_t)(wait_ms < 0 ? -wait_ms : wait_ms), span, sizeof(span));
    return out_format(out, "%8" PRIu32 "  %-24s  %s%s%s\n", info->attempts, again,
                      wait_ms < 0 ? "" : "in ", span, wait_ms < 0 ? " overdue" : "");
}

static void work_count(struct work_print *print, const struct commitlog_work_info *info)
{
    if (info->state != COMMITLOG_WORK_PENDING) {
        print->totals.done += info->count;
        return;
    }
    print->totals.pending += info->count;
    if (info->visible_at_ms <= print->now_ms) {
        print->totals.overdue += info->count;
    }
}

/* From the committed offset on: below it all is done. */
static int work_queue(struct work_print *print, const struct commitlog_topic_info *topic,
                      uint32_t queue, uint64_t offset)
{
    struct cli *cli = &print->run->cli;
    while (!watch_ended(cli->watch)) {
        struct commitlog_error err = {0};
        struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc =
            commitlog_group_work(print->run->group, topic->topic, queue, offset, &info, &err);
        if (rc == COMMITLOG_ENOTFOUND) {
            break;
        }
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, &err);
        }
        work_count(print, &info);
        offset = info.offset + info.count;
        if (print->list != NULL) {
            if (!work_object(print, topic, queue, &info)) {
                cli_error(cli, "not enough memory");
                return CLI_CANNOT;
            }
        } else if (!work_row(print, topic, queue, &info)) {
            break; /* standard output, which cli_end reports */
        }
    }
    return CLI_DONE;
}

/* Nothing was given out of a queue of which the group has committed no offset. */
static int work_topic(struct work_print *print, const struct commitlog_topic_info *topic)
{
    struct group_run *run = print->run;
    int status = CLI_DONE;
    struct commitlog_group_offset *offsets = group_committed(run, run->group, topic, &status);
    for (uint32_t i = 0; offsets != NULL && status == CLI_DONE && i < topic->queues_total; i++) {
        if (offsets[i].offset != UINT64_MAX) {
            status = work_queue(print, topic, i, offsets[i].offset);
        }
    }
    free(offsets);
    return status;
}

static int work_topics(struct work_print *print)
{
    struct group_run *run = print->run;
    struct cli *cli = &run->cli;
    if (run->topic_name != NULL) {
        return work_topic(print, &run->topic);
    }
    int status = CLI_DONE;
    const uint32_t topics = commitlog_topic_count(run->store.handle);
    for (uint32_t i = 0; status == CLI_DONE && i < topics && !watch_ended(cli->watch); i++) {
        struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
        const int32_t rc = commitlog_topic_info(run->store.handle, i, &topic);
        status = rc == COMMITLOG_OK ? work_topic(print, &topic) : cli_fail(cli, cli->dir, rc, NULL);
    }
    return status;
}

static int work_run(struct group_run *run)
{
    struct cli *cli = &run->cli;
    struct work_print print = {.run = run, .now_ms = when_now_ns() / WORK_MS_NS};
    if (run->json != 0) {
        print.list = json_array();
    } else {
        (void)out_format(&cli->out, "%-20s %6s  %-7s %20s %8s  %-24s  %s\n", "TOPIC", "QUEUE",
                         "STATE", "OFFSETS", "ATTEMPTS", "COMES AGAIN", "WAITS");
    }
    const int status = work_topics(&print);
    const struct work_totals *totals = &print.totals;
    if (status != CLI_DONE || watch_ended(cli->watch)) {
        json_decref(print.list);
    } else if (run->json != 0) {
        (void)record_print_value(&cli->out,
                                 json_pack("{s:s, s:I, s:I, s:I, s:o}", "group", run->name,
                                           "pending", (json_int_t)totals->pending, "overdue",
                                           (json_int_t)totals->overdue, "done_ahead",
                                           (json_int_t)totals->done, "work", print.list));
    } else {
        (void)out_format(
            &cli->out, "%" PRIu64 " pending, %" PRIu64 " of them overdue; %" PRIu64 " done ahead\n",
            totals->pending, totals->overdue, totals->done);
    }
    return status == CLI_DONE ? watch_status(cli->watch) : status;
}

int group_work(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_TOPIC_OPTION(&run),
        GROUP_JSON_OPTION(&run, "one JSON object"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &work_spec, table, GROUP_NAMED, argc, argv, &status)) {
        return status;
    }
    status = group_open(&run, STORE_LIST, 0);
    if (status == CLI_DONE) {
        status = work_run(&run);
    }
    return group_end(&run, status);
}
