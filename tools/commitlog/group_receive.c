/*
 * group_receive.c -- `commitlog group receive`: messages are given out one by one.
 *
 * Invariants: what is acknowledged here was written to standard output before; whatever ends the
 *       command in between, a message may come twice and none is lost.
 * Threads and locks: the main thread; it holds the writer's lock, and the library's thread delivers
 *       what is delayed meanwhile.
 * Happy path: receive -> print -> flush -> acknowledge, until nothing is there, or so many.
 * Failure modes: what cannot be read was passed by the library, is named, and makes the exit
 *       code 1.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "group_receiver.h"
#include "record_out.h"
#include "watch.h"
#include "when.h"

enum { RECEIVE_PASSED_TOLD = 10, RECEIVE_AGAIN = -1 };

static const struct cli_spec receive_spec = {
    .command = "group receive",
    .operands = "DIR",
    .about =
        "Gives messages of a topic out to a group, one by one: prints \"QUEUE:OFFSET:ATTEMPT\",\n"
        "a tab and the body of each, or with --json one object. What is given out is nobody\n"
        "else's until its time is over; then it comes again, unless `commitlog group ack' has\n"
        "acknowledged it, or --ack at once. What was given out --max-attempts times goes to the\n"
        "dead letters. It ends when there is nothing to give out, or not within --wait.\n\n"
        "Examples:\n"
        "  commitlog group receive store -g billing -t orders --json | worker |\n"
        "      commitlog group ack store -g billing -t orders\n"
        "  commitlog group receive store -g audit -t orders --wait 1h --ack",
};

struct receive {
    struct group_run run;
    struct group_receiver options;
    char *max_text;
    char *wait_text;
    char *level_text;
    int ordered;
    int ack;
    uint64_t max;
    uint64_t wait_ms;
    uint32_t level;
    struct commitlog_receiver *receiver;
    struct record_names names;
    uint64_t count;
    uint64_t passed;
    struct commitlog_message messages[COMMITLOG_RECEIVE_MAX];
    struct commitlog_delivery deliveries[COMMITLOG_RECEIVE_MAX];
};

static bool receive_parse(struct receive *receive)
{
    struct cli *cli = &receive->run.cli;
    receive->max = UINT64_MAX;
    if (receive->max_text != NULL &&
        !cli_number(cli, "--max", receive->max_text, 0, INT64_MAX, &receive->max)) {
        return false;
    }
    if (receive->wait_text != NULL &&
        !group_duration(cli, "--wait", receive->wait_text, INT32_MAX, &receive->wait_ms)) {
        return false;
    }
    if (receive->level_text != NULL && receive->ack == 0) {
        (void)cli_usage(cli, "--level is that of --ack, which is missing");
        return false;
    }
    receive->options.flags = receive->ordered != 0 ? COMMITLOG_RECEIVE_ORDERED : 0;
    return cli_level(cli, receive->level_text, &receive->level) &&
           group_receiver_parse(cli, &receive->options);
}

static bool receive_print(struct receive *receive, uint32_t i)
{
    struct out *out = &receive->run.cli.out;
    const struct commitlog_delivery *delivery = &receive->deliveries[i];
    if (receive->run.json != 0) {
        return record_print_delivery(out, &receive->names, &receive->messages[i], delivery);
    }
    return out_format(out, "%" PRIu32 ":%" PRIu64 ":%" PRIu32 "\t", delivery->queue,
                      delivery->offset, delivery->attempt) &&
           record_print_body(out, &receive->messages[i]);
}

/* RECEIVE_AGAIN, or the exit code. */
static int receive_batch(struct receive *receive, uint32_t count)
{
    struct cli *cli = &receive->run.cli;
    struct commitlog_error err = {0};
    bool good = true;
    for (uint32_t i = 0; good && i < count; i++) {
        good = receive_print(receive, i);
    }
    if (!good || !out_flush(&cli->out)) { /* cli_end tells why the output failed */
        const bool signal = watch_status(cli->watch) != CLI_DONE;
        if (!signal) {
            cli_error(cli,
                      "%s: of %" PRIu32 " messages that were given out not all could be printed; "
                      "what is not acknowledged comes again when its time is over",
                      cli->dir, count);
        }
        return CLI_DONE;
    }
    receive->count += count;
    if (receive->ack == 0) {
        return RECEIVE_AGAIN;
    }
    const int32_t rc =
        commitlog_ack(receive->receiver, receive->deliveries, count, receive->level, &err);
    if (rc == COMMITLOG_OK || (rc == COMMITLOG_EUNKNOWN && watch_ended(cli->watch))) {
        return RECEIVE_AGAIN; /* a signal ended the wait: closing the store makes it durable */
    }
    return cli_fail(cli, cli->dir, rc, &err);
}

/* Where the log ends: to pass a message takes a record. */
static uint64_t receive_end(const struct receive *receive)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    return commitlog_positions_get(receive->run.store.handle, &positions) == COMMITLOG_OK
               ? positions.claimed
               : 0;
}

/* It is done now, and the next call goes on behind it. */
static void receive_passed(struct receive *receive, int32_t rc, const struct commitlog_error *err)
{
    struct cli *cli = &receive->run.cli;
    char place[64] = "of a message";
    receive->passed++;
    if (receive->passed > RECEIVE_PASSED_TOLD) {
        return;
    }
    if (err->code == rc && err->position != UINT64_MAX) {
        (void)snprintf(place, sizeof(place), "at position %" PRIu64, err->position);
    }
    if (rc == COMMITLOG_EDAMAGED) {
        cli_error(cli, "%s: damage %s: passed (commitlog verify names all of it)", cli->dir, place);
    } else if (rc == COMMITLOG_EEXPIRED) {
        cli_error(cli, "%s: %s: the message that this refers to is no longer kept: passed",
                  cli->dir, place);
    } else {
        cli_error(cli, "%s: %s: %s: passed", cli->dir, place, commitlog_error_text(rc));
    }
}

static bool receive_is_passed(const struct receive *receive, int32_t rc, uint64_t end_before)
{
    return (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EUNSUPPORTED) &&
           receive_end(receive) != end_before;
}

static int receive_loop(struct receive *receive)
{
    struct cli *cli = &receive->run.cli;
    int status = RECEIVE_AGAIN;
    while (status == RECEIVE_AGAIN && receive->count < receive->max) {
        struct commitlog_error err = {0};
        const uint64_t left = receive->max - receive->count;
        const uint32_t want = left < COMMITLOG_RECEIVE_MAX ? (uint32_t)left : COMMITLOG_RECEIVE_MAX;
        uint32_t count = 0;
        if (watch_ended(cli->watch)) {
            status = watch_status(cli->watch);
            break;
        }
        const uint64_t end = receive_end(receive);
        const int32_t rc =
            commitlog_receive(receive->receiver, receive->messages, receive->deliveries, want,
                              (int32_t)receive->wait_ms, &count, &err);
        if (rc == COMMITLOG_OK) {
            status = receive_batch(receive, count);
        } else if (rc == COMMITLOG_EEND) {
            status = CLI_DONE;
        } else if (receive_is_passed(receive, rc, end)) {
            receive_passed(receive, rc, &err);
        } else {
            status = cli_fail(cli, cli->dir, rc, &err);
        }
    }
    if (receive->passed > RECEIVE_PASSED_TOLD) {
        cli_error(cli, "%s: %" PRIu64 " messages in all that cannot be read", cli->dir,
                  receive->passed);
    }
    status = status == RECEIVE_AGAIN || status == CLI_ENDED ? CLI_DONE : status;
    return status == CLI_DONE && receive->passed > 0 ? CLI_NO : status;
}

static int receive_run(struct receive *receive)
{
    struct group_run *run = &receive->run;
    receive->names.store = run->store.handle;
    int status = group_receiver_open(run, &receive->options, &receive->receiver);
    if (status == CLI_DONE) {
        status = receive_loop(receive);
    }
    commitlog_receiver_close(receive->receiver);
    return status;
}

int group_receive(int argc, const char **argv)
{
    struct receive *receive = calloc(1, sizeof(*receive));
    if (receive == NULL) {
        return CLI_CANNOT;
    }
    struct poptOption table[] = {
        GROUP_OPTION(&receive->run),
        GROUP_TOPIC_OPTION(&receive->run),
        {"max", 'n', POPT_ARG_STRING, &receive->max_text, 0, "end after N messages", "N"},
        {"visibility", '\0', POPT_ARG_STRING, &receive->options.visibility, 0,
         "they come again when so long nobody has acknowledged them (default: 1m)", "DURATION"},
        GROUP_DEAD_OPTIONS(&receive->options),
        {"ordered", '\0', POPT_ARG_NONE, &receive->ordered, 0,
         "of each queue one message at a time", NULL},
        {"wait", '\0', POPT_ARG_STRING, &receive->wait_text, 0,
         "wait so long for a message when there is none (default: do not)", "DURATION"},
        {"ack", 'a', POPT_ARG_NONE, &receive->ack, 0,
         "acknowledge them once they are written to standard output", NULL},
        {"level", 'l', POPT_ARG_STRING, &receive->level_text, 0,
         "what that survives before the next ones are given out (default: durable)",
         "none|written|durable"},
        GROUP_JSON_OPTION(&receive->run, "one JSON object per message"),
        CLI_TABLE_END,
    };
    int status;
    if (group_begin(&receive->run, &receive_spec, table, GROUP_NAMED | GROUP_TOPIC_NAMED, argc,
                    argv, &status)) {
        if (!receive_parse(receive)) {
            status = cli_end(&receive->run.cli, CLI_CANNOT);
        } else {
            watch_start(&receive->run.cli, WATCH_OUTPUT);
            status = group_open(&receive->run, STORE_WRITE, 0);
            status = status == CLI_DONE ? receive_run(receive) : status;
            status = group_end(&receive->run, status);
        }
    }
    free(receive);
    return status;
}
