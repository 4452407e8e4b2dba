/*
 * group_receipt.c -- `commitlog group ack`, `extend` and `nack`: what was given out is done, kept
 * for longer, or given back.
 *
 * Invariants: deliveries from standard input are read to its end before the store is opened: what
 *       gives them out in the same pipe holds it until then. Which of them are not given out any
 *       more is found, and told in the order of the input, before any is changed: nobody else can
 *       change them meanwhile.
 * Threads and locks: the main thread, with the writer's lock.
 * Happy path: read or take -> check each -> sort -> so many at a time to the library.
 * Failure modes: reported here. What is not given out any more: CLI_NO, the others are changed.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliveries.h"
#include "group_receiver.h"
#include "record_out.h"
#include "watch.h"

/* RECEIPT_PATIENCE_MS: a pipe that ends early leaves a moment in which its beginning still has the
 * store. */
enum { RECEIPT_AT_ONCE = 2048, RECEIPT_PATIENCE_MS = 10000, RECEIPT_WHY_BYTES = 96 };
enum { RECEIPT_ACK, RECEIPT_EXTEND, RECEIPT_NACK };

struct receipt {
    struct group_run run;
    struct group_receiver options;
    int action; /* RECEIPT_... */
    char *level_text;
    char *delay_text;
    char *visibility_text;
    uint32_t level;
    uint64_t visibility_ms; /* extend */
    int64_t delay_ms;       /* nack; -1: the schedule */
    struct deliveries list;
    struct commitlog_group_offset *committed;
    json_t *missing; /* NULL: none is to be printed */
    size_t missing_count;
    struct commitlog_delivery batch[RECEIPT_AT_ONCE];
};

/* ---- which are given out -----------------------------------------------------------------------
 */

/* CLI_DONE and why[0] == '\0': it is given out for this attempt. */
static int receipt_check(struct receipt *receipt, const struct commitlog_delivery *what, char *why)
{
    struct group_run *run = &receipt->run;
    struct commitlog_error err = {0};
    struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
    why[0] = '\0';
    if (what->queue >= run->topic.queues_total) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "the topic has %" PRIu32 " queues only",
                       run->topic.queues_total);
        return CLI_DONE;
    }
    const uint64_t committed = receipt->committed[what->queue].offset;
    if (committed != UINT64_MAX && what->offset < committed) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "it is done already");
        return CLI_DONE;
    }
    const int32_t rc =
        commitlog_group_work(run->group, run->topic.topic, what->queue, what->offset, &info, &err);
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND) {
        return cli_fail(&run->cli, run->cli.dir, rc, &err);
    }
    if (rc == COMMITLOG_ENOTFOUND || info.offset > what->offset) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "nobody has received it");
    } else if (info.state != COMMITLOG_WORK_PENDING) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "it is done already");
    } else if (info.attempts > what->attempt) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "it is given out again, as attempt %" PRIu32,
                       info.attempts);
    } else if (info.attempts < what->attempt) {
        (void)snprintf(why, RECEIPT_WHY_BYTES, "the last attempt was %" PRIu32, info.attempts);
    }
    return CLI_DONE;
}

static int receipt_tell(struct receipt *receipt, const struct delivery *delivery, const char *why)
{
    struct cli *cli = &receipt->run.cli;
    const struct commitlog_delivery *what = &delivery->what;
    char text[DELIVERY_TEXT_BYTES];
    char line[32] = "";
    delivery_format(what, text);
    if (delivery->line != 0) {
        (void)snprintf(line, sizeof(line), "line %" PRIu64 ": ", delivery->line);
    }
    cli_error(cli, "%s%s is not given out: %s", line, text, why);
    receipt->missing_count++;
    if (receipt->missing != NULL &&
        json_array_append_new(receipt->missing,
                              json_pack("{s:I, s:I, s:I, s:s}", "queue", (json_int_t)what->queue,
                                        "offset", (json_int_t)what->offset, "attempt",
                                        (json_int_t)what->attempt, "why", why)) != 0) {
        cli_error(cli, "not enough memory");
        return CLI_CANNOT;
    }
    return CLI_DONE;
}

/* Leaves those that are given out in the list, each once. */
static int receipt_sift(struct receipt *receipt)
{
    struct group_run *run = &receipt->run;
    struct deliveries *list = &receipt->list;
    const size_t asked = list->count;
    size_t kept = 0;
    int status = CLI_DONE;
    receipt->committed = group_committed(run, run->group, &run->topic, &status);
    for (size_t i = 0; status == CLI_DONE && i < asked; i++) {
        char why[RECEIPT_WHY_BYTES];
        status = receipt_check(receipt, &list->items[i].what, why);
        if (status == CLI_DONE && why[0] != '\0') {
            status = receipt_tell(receipt, &list->items[i], why);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    free(receipt->committed);
    list->count = kept;
    deliveries_sort(list);
    if (status == CLI_DONE && receipt->missing_count > 0) {
        cli_error(&run->cli, "%s: %zu of %zu are not, or not any more, given out for this attempt",
                  run->cli.dir, receipt->missing_count, asked);
    }
    return status;
}

/* ---- the change --------------------------------------------------------------------------------
 */

static int32_t receipt_change(struct receipt *receipt, struct commitlog_receiver *receiver,
                              uint32_t count, struct commitlog_error *err)
{
    switch (receipt->action) {
    case RECEIPT_ACK:
        return commitlog_ack(receiver, receipt->batch, count, receipt->level, err);
    case RECEIPT_EXTEND:
        return commitlog_extend(receiver, receipt->batch, count, (int64_t)receipt->visibility_ms,
                                err);
    default:
        return commitlog_nack(receiver, receipt->batch, count, receipt->delay_ms, err);
    }
}

static int receipt_send(struct receipt *receipt, struct commitlog_receiver *receiver, size_t *done)
{
    struct cli *cli = &receipt->run.cli;
    const struct deliveries *list = &receipt->list;
    while (*done < list->count) {
        struct commitlog_error err = {0};
        const size_t left = list->count - *done;
        const uint32_t count = left < RECEIPT_AT_ONCE ? (uint32_t)left : RECEIPT_AT_ONCE;
        for (uint32_t i = 0; i < count; i++) {
            receipt->batch[i] = list->items[*done + i].what;
        }
        const int32_t rc = receipt_change(receipt, receiver, count, &err);
        if (rc != COMMITLOG_OK && (rc != COMMITLOG_EUNKNOWN || !watch_ended(cli->watch))) {
            const int status = cli_fail(cli, cli->dir, rc, &err);
            if (*done > 0) {
                cli_error(cli, "%s: the first %zu of %zu were changed", cli->dir, *done,
                          list->count);
            }
            return status;
        }
        *done += count; /* where a signal ended the wait, closing the store makes it durable */
    }
    return CLI_DONE;
}

static int receipt_print(struct receipt *receipt, size_t done)
{
    static const char *const names[] = {"acknowledged", "extended", "given_back"};
    static const char *const words[] = {"acknowledged", "extended", "given back"};
    struct group_run *run = &receipt->run;
    (void)record_print_value(&run->cli.out,
                             json_pack("{s:s, s:s, s:I, s:O}", "group", run->name, "topic",
                                       run->topic_name, names[receipt->action], (json_int_t)done,
                                       "missing", receipt->missing));
    return cli_done(&run->cli, "%zu are %s", done, words[receipt->action]);
}

static int receipt_run(struct receipt *receipt, size_t *done)
{
    struct group_run *run = &receipt->run;
    struct commitlog_receiver *receiver = NULL;
    int status = group_receiver_open(run, &receipt->options, &receiver);
    if (status == CLI_DONE) {
        status = receipt_sift(receipt);
    }
    if (status == CLI_DONE) {
        status = receipt_send(receipt, receiver, done);
    }
    commitlog_receiver_close(receiver);
    return status;
}

/* Behind the checks of usage. */
static int receipt_work(struct receipt *receipt)
{
    struct group_run *run = &receipt->run;
    struct cli *cli = &run->cli;
    size_t done = 0;
    int status = CLI_DONE;
    watch_start(cli, WATCH_SIGNALS);
    if (cli->operands == NULL || cli->operands[0] == NULL) {
        status = deliveries_read(&receipt->list, cli, run->topic_name);
        run->patience_ms = RECEIPT_PATIENCE_MS;
    }
    receipt->missing = run->json != 0 ? json_array() : NULL;
    const bool any = receipt->list.count > 0; /* nothing needs no store */
    if (status == CLI_DONE && any) {
        status = group_open(run, STORE_WRITE, 0);
        status = status == CLI_DONE ? receipt_run(receipt, &done) : status;
    }
    if (status == CLI_DONE) {
        status = run->json != 0 ? receipt_print(receipt, done) : CLI_DONE;
        if (receipt->missing_count > 0 || receipt->list.bad) {
            status = CLI_NO; /* what was found stays found */
        }
    }
    json_decref(receipt->missing);
    return any ? group_end(run, status) : cli_end(cli, status);
}

/* What the options of --delay and --visibility mean. */
static bool receipt_parse(struct receipt *receipt)
{
    struct cli *cli = &receipt->run.cli;
    uint64_t delay_ms = 0;
    receipt->delay_ms = -1;
    if (receipt->delay_text != NULL) {
        if (!group_duration(cli, "--delay", receipt->delay_text, GROUP_DURATION_MAX_MS,
                            &delay_ms)) {
            return false;
        }
        receipt->delay_ms = (int64_t)delay_ms;
    }
    if (receipt->action == RECEIPT_EXTEND && receipt->visibility_text == NULL) {
        (void)cli_usage(cli, "for how long? --visibility is missing");
        return false;
    }
    return receipt->visibility_text == NULL ||
           group_duration(cli, "--visibility", receipt->visibility_text, GROUP_DURATION_MAX_MS,
                          &receipt->visibility_ms);
}

/* What the three have in common; the options are those of `table`. */
static int receipt_action(struct receipt *receipt, const struct cli_spec *spec,
                          struct poptOption *table, int argc, const char **argv)
{
    struct group_run *run = &receipt->run;
    struct cli *cli = &run->cli;
    int status;
    if (!group_begin(run, spec, table, GROUP_NAMED | GROUP_TOPIC_NAMED, argc, argv, &status)) {
        return status;
    }
    const bool good =
        cli_level(cli, receipt->level_text, &receipt->level) && receipt_parse(receipt) &&
        group_receiver_parse(cli, &receipt->options) &&
        (cli->operands == NULL || deliveries_take(&receipt->list, cli, cli->operands));
    if (receipt->action != RECEIPT_NACK) {
        receipt->options.attempts = UINT32_MAX; /* nothing goes to the dead letters */
    }
    status = good ? receipt_work(receipt) : cli_end(cli, CLI_CANNOT);
    deliveries_free(&receipt->list);
    return status;
}

#define RECEIPT_OPERANDS "DIR [QUEUE:OFFSET:ATTEMPT...]"
#define RECEIPT_ABOUT                                                                              \
    "They are named as `commitlog group receive' printed them before the tab, or, without\n"       \
    "operands, on standard input, one a line, also as its JSON lines. Which are not given out\n"   \
    "for that attempt any more is told, and the exit status is 1; the others are changed."

static const struct cli_spec ack_spec = {
    .command = "group ack",
    .operands = RECEIPT_OPERANDS,
    .about = "Acknowledges messages: they are done and do not come again.\n" RECEIPT_ABOUT,
};

int group_ack(int argc, const char **argv)
{
    struct receipt *receipt = calloc(1, sizeof(*receipt));
    if (receipt == NULL) {
        return CLI_CANNOT;
    }
    struct poptOption table[] = {
        GROUP_OPTION(&receipt->run),
        GROUP_TOPIC_OPTION(&receipt->run),
        {"level", 'l', POPT_ARG_STRING, &receipt->level_text, 0,
         "what it survives before the command goes on (default: durable)", "none|written|durable"},
        GROUP_JSON_OPTION(&receipt->run, "one JSON object: how many, and which are missing"),
        CLI_TABLE_END,
    };
    receipt->action = RECEIPT_ACK;
    const int status = receipt_action(receipt, &ack_spec, table, argc, argv);
    free(receipt);
    return status;
}

static const struct cli_spec extend_spec = {
    .command = "group extend",
    .operands = RECEIPT_OPERANDS,
    .about = "Keeps messages for longer: they come again when --visibility is over from now on,\n"
             "if nobody has acknowledged them.\n" RECEIPT_ABOUT,
};

int group_extend(int argc, const char **argv)
{
    struct receipt *receipt = calloc(1, sizeof(*receipt));
    if (receipt == NULL) {
        return CLI_CANNOT;
    }
    struct poptOption table[] = {
        GROUP_OPTION(&receipt->run),
        GROUP_TOPIC_OPTION(&receipt->run),
        {"visibility", '\0', POPT_ARG_STRING, &receipt->visibility_text, 0,
         "they come again after so long", "DURATION"},
        GROUP_JSON_OPTION(&receipt->run, "one JSON object: how many, and which are missing"),
        CLI_TABLE_END,
    };
    receipt->action = RECEIPT_EXTEND;
    const int status = receipt_action(receipt, &extend_spec, table, argc, argv);
    free(receipt);
    return status;
}

static const struct cli_spec nack_spec = {
    .command = "group nack",
    .operands = RECEIPT_OPERANDS,
    .about = "Gives messages back: they come again after --delay, or after a time that grows with\n"
             "the attempt: 10s, 30s, 1m ... 2h. What was given out --max-attempts times goes to\n"
             "the dead letters.\n" RECEIPT_ABOUT,
};

int group_nack(int argc, const char **argv)
{
    struct receipt *receipt = calloc(1, sizeof(*receipt));
    if (receipt == NULL) {
        return CLI_CANNOT;
    }
    struct poptOption table[] = {
        GROUP_OPTION(&receipt->run),
        GROUP_TOPIC_OPTION(&receipt->run),
        {"delay", '\0', POPT_ARG_STRING, &receipt->delay_text, 0,
         "they come again after so long (default: the longer the more often)", "DURATION"},
        GROUP_DEAD_OPTIONS(&receipt->options),
        GROUP_JSON_OPTION(&receipt->run, "one JSON object: how many, and which are missing"),
        CLI_TABLE_END,
    };
    receipt->action = RECEIPT_NACK;
    const int status = receipt_action(receipt, &nack_spec, table, argc, argv);
    free(receipt);
    return status;
}
