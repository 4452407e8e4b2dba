/*
 * group_offsets.c -- `commitlog group commit` and `commitlog group reset`.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "offset_in.h"
#include "record_out.h"
#include "text.h"
#include "when.h"

/* What was committed and what is: one row for each queue that changed. */
static void offsets_print(struct group_run *run, const struct commitlog_group_offset *before,
                          const struct commitlog_group_offset *after)
{
    struct out *out = &run->cli.out;
    char was[24] = "-";
    if (before->offset != UINT64_MAX) {
        (void)snprintf(was, sizeof(was), "%" PRIu64, before->offset);
    }
    if (run->json != 0) {
        json_t *old =
            before->offset == UINT64_MAX ? json_null() : json_integer((json_int_t)before->offset);
        (void)record_print_value(out, json_pack("{s:s, s:s, s:I, s:o, s:I}", "group", run->name,
                                                "topic", run->topic.name, "queue",
                                                (json_int_t)after->queue, "offset_before", old,
                                                "offset", (json_int_t)after->offset));
        return;
    }
    (void)text_put_column(out, (struct commitlog_slice){run->topic.name, strlen(run->topic.name)},
                          20);
    (void)out_format(out, " %6" PRIu32 " %12s %12" PRIu64 "\n", after->queue, was, after->offset);
}

static int offsets_print_changed(struct group_run *run, const struct commitlog_group_offset *before)
{
    int status = CLI_DONE;
    struct commitlog_group_offset *after = group_committed(run, run->group, &run->topic, &status);
    if (after == NULL) {
        return status;
    }
    if (run->json == 0) {
        (void)out_format(&run->cli.out, "%-20s %6s %12s %12s\n", "TOPIC", "QUEUE", "BEFORE", "NOW");
    }
    for (uint32_t i = 0; i < run->topic.queues_total; i++) {
        if (after[i].offset != before[i].offset) {
            offsets_print(run, &before[i], &after[i]);
        }
    }
    free(after);
    return cli_done(&run->cli, "the offsets of group %s are set (commitlog group show)", run->name);
}

/* ---- commit ---------------------------------------------------------------------------------- */

static int commit_fail(struct group_run *run, const struct commitlog_group_offset *wanted,
                       uint32_t count, int32_t code, const struct commitlog_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (offset_tell_refused(&run->cli, run->store.handle, run->group, code, &wanted[i])) {
            return cli_status(code);
        }
    }
    return cli_fail(&run->cli, run->topic_name, code, err);
}

static const struct cli_spec commit_spec = {
    .command = "group commit",
    .operands = "DIR",
    .about = "Commits the next offset to consume of one or more queues of a topic, all or none.\n"
             "An offset below the one committed, or beyond the end of the queue, is refused, and\n"
             "so is an --epoch that is not the group's.",
};

static int commit_run(struct group_run *run, struct commitlog_group_offset *offsets, uint32_t count,
                      uint32_t epoch)
{
    struct cli *cli = &run->cli;
    struct commitlog_error err = {0};
    for (uint32_t i = 0; i < count; i++) {
        offsets[i].topic = run->topic.topic;
        if (offsets[i].queue >= run->topic.queues_total) {
            cli_error(cli, "%s: there is no queue %" PRIu32 ": the topic has %" PRIu32 " of them",
                      run->topic_name, offsets[i].queue, run->topic.queues_total);
            return CLI_NO;
        }
    }
    const int32_t rc = commitlog_group_commit(run->group, epoch, offsets, count,
                                              COMMITLOG_LEVEL_DEFAULT, -1, NULL, &err);
    return rc == COMMITLOG_OK ? CLI_DONE : commit_fail(run, offsets, count, rc, &err);
}

int group_commit(int argc, const char **argv)
{
    struct group_run run = {0};
    char **texts = NULL;
    char *epoch_text = NULL;
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_TOPIC_OPTION(&run),
        {"offset", 'o', POPT_ARG_ARGV, &texts, 0,
         "a queue and the next offset to consume; may be repeated", "QUEUE=OFFSET"},
        {"epoch", 'e', POPT_ARG_STRING, &epoch_text, 0, "commit as a member of this epoch", "N"},
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &commit_spec, table, GROUP_NAMED | GROUP_TOPIC_NAMED, argc, argv,
                     &status)) {
        return status;
    }
    uint32_t count = 0;
    while (texts != NULL && texts[count] != NULL && count <= COMMITLOG_GROUP_OFFSETS_MAX) {
        count++;
    }
    struct commitlog_group_offset offsets[COMMITLOG_GROUP_OFFSETS_MAX];
    uint64_t epoch = 0;
    if (count == 0 || count > COMMITLOG_GROUP_OFFSETS_MAX) {
        (void)cli_usage(&run.cli, "1 to %d times --offset QUEUE=OFFSET are needed",
                        COMMITLOG_GROUP_OFFSETS_MAX);
        return cli_end(&run.cli, CLI_CANNOT);
    }
    memset(offsets, 0, sizeof(offsets));
    bool good =
        epoch_text == NULL || cli_number(&run.cli, "--epoch", epoch_text, 1, UINT32_MAX, &epoch);
    for (uint32_t i = 0; good && i < count; i++) {
        good = offset_parse(&run.cli, texts[i], NULL, &offsets[i]);
    }
    if (!good) {
        return cli_end(&run.cli, CLI_CANNOT);
    }
    status = group_open(&run, STORE_WRITE, 0);
    if (status == CLI_DONE) {
        status = commit_run(&run, offsets, count, (uint32_t)epoch);
    }
    return group_end(&run, status);
}

/* ---- reset ----------------------------------------------------------------------------------- */

static const struct cli_spec reset_spec = {
    .command = "group reset",
    .operands = "DIR",
    .about =
        "Sets the offsets of a group, forth or back: of one queue with --queue, else of all\n"
        "of the topic. --to first, --to end, --to OFFSET (of one queue), or --since TIME: the\n"
        "first message stored then or later. Prints what was and what is. It fences nobody:\n"
        "`commitlog group epoch' does.",
};

struct reset_place {
    uint32_t queue;
    uint32_t from; /* COMMITLOG_FROM_... */
    uint64_t value;
};

static bool reset_parse(struct cli *cli, const char *queue, const char *to, const char *since,
                        struct reset_place *out)
{
    uint64_t number = 0;
    int64_t time_ns = 0;
    *out = (struct reset_place){.queue = COMMITLOG_QUEUE_ALL, .from = COMMITLOG_FROM_FIRST};
    if (queue != NULL) {
        if (!cli_number(cli, "--queue", queue, 0, COMMITLOG_TOPIC_QUEUES_MAX - 1, &number)) {
            return false;
        }
        out->queue = (uint32_t)number;
    }
    if ((to == NULL) == (since == NULL)) {
        (void)cli_usage(cli, "one of --to and --since is needed");
        return false;
    }
    if (since != NULL) {
        if (!when_parse(since, when_now_ns(), &time_ns)) {
            (void)cli_usage(cli, "--since: \"%s\" is not a time", since);
            return false;
        }
        out->from = COMMITLOG_FROM_TIME;
        out->value = (uint64_t)time_ns;
    } else if (strcmp(to, "end") == 0) {
        out->from = COMMITLOG_FROM_END;
    } else if (strcmp(to, "first") != 0) {
        out->from = COMMITLOG_FROM_OFFSET;
        if (queue == NULL) {
            (void)cli_usage(cli, "--to OFFSET needs --queue; first and end do not");
            return false;
        }
        return cli_number(cli, "--to", to, 0, INT64_MAX, &out->value);
    }
    return true;
}

static int reset_run(struct group_run *run, const struct reset_place *place)
{
    struct cli *cli = &run->cli;
    if (place->queue != COMMITLOG_QUEUE_ALL && place->queue >= run->topic.queues_total) {
        cli_error(cli, "%s: there is no queue %" PRIu32 ": the topic has %" PRIu32 " of them",
                  run->topic_name, place->queue, run->topic.queues_total);
        return CLI_NO;
    }
    int status = CLI_DONE;
    struct commitlog_error err = {0};
    struct commitlog_group_offset *before = group_committed(run, run->group, &run->topic, &status);
    if (before == NULL) {
        return status;
    }
    const int32_t rc =
        commitlog_group_reset(run->group, run->topic.topic, place->queue, place->from, place->value,
                              COMMITLOG_LEVEL_DEFAULT, &err);
    status = rc == COMMITLOG_OK ? offsets_print_changed(run, before)
                                : cli_fail(cli, run->topic_name, rc, &err);
    free(before);
    return status;
}

int group_reset(int argc, const char **argv)
{
    struct group_run run = {0};
    char *queue = NULL;
    char *to = NULL;
    char *since = NULL;
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_TOPIC_OPTION(&run),
        {"queue", 'q', POPT_ARG_STRING, &queue, 0, "one queue of it; without: all", "N"},
        {"to", '\0', POPT_ARG_STRING, &to, 0, "the place to consume next", "first|end|OFFSET"},
        {"since", '\0', POPT_ARG_STRING, &since, 0, "the first message stored then or later",
         "TIME"},
        GROUP_JSON_OPTION(&run, "one JSON object per queue that changed"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &reset_spec, table, GROUP_NAMED | GROUP_TOPIC_NAMED, argc, argv,
                     &status)) {
        return status;
    }
    struct reset_place place;
    if (!reset_parse(&run.cli, queue, to, since, &place)) {
        return cli_end(&run.cli, CLI_CANNOT);
    }
    status = group_open(&run, STORE_WRITE, 0);
    if (status == CLI_DONE) {
        status = reset_run(&run, &place);
    }
    return group_end(&run, status);
}
