/*
 * append.c -- `commitlog append`: its options and its run; append_options.c has those that say what
 * the records are, append_lines.c the loop over the lines, append_store.c does the rest.
 */
#include <errno.h>
#include <stddef.h>

#include "append.h"
#include "bar.h"
#include "commands.h"
#include "lines.h"
#include "watch.h"
#include "when.h"

enum { APPEND_MS_NS = 1000000 };

struct append_command {
    struct append_options records;
    char *level;
    char *batch;
    char *delay;
    char *deliver_at;
    int acks;
};

static const struct cli_spec append_spec = {
    .command = "append",
    .operands = "DIR",
    .about =
        "Appends one record per line of standard input to the store in DIR, which is created when\n"
        "it is not there. With --jsonl each line is an object\n"
        "  {\"topic\",\"queue\",\"keys\":[],\"tag\",\"headers\":{},\"time_ms\",\"deliver_at_ms\",\n"
        "   \"body\" | \"body_base64\"}\n"
        "whose fields go before the options. A bad line is reported with its number and left out;\n"
        "the others are stored, and the exit status is 1.\n\n"
        "Examples:\n"
        "  journalctl -f | commitlog append /var/tmp/store --topic journal\n"
        "  commitlog read a --topic t --json | commitlog append b --jsonl --level none\n"
        "  echo 'to be paid' | commitlog append /var/tmp/store --topic reminders --delay 2h",
};

static bool append_level_options(struct append *append, const struct append_command *o)
{
    uint64_t batch = 0;
    if (!cli_level(append->cli, o->level, &append->level) ||
        (o->batch != NULL && !cli_number(append->cli, "--batch", o->batch, 1, 65536, &batch))) {
        return false;
    }
    append->batch = (uint32_t)batch;
    append->acks = o->acks != 0;
    return true;
}

/* --delay and --deliver-at; what rounds, rounds up: never early. */
static bool append_delay_options(struct append *append, const struct append_command *o)
{
    struct cli *cli = append->cli;
    const int64_t now_ns = when_now_ns();
    int64_t at_ns = 0;
    uint64_t ms = 0;
    if (o->delay != NULL && o->deliver_at != NULL) {
        (void)cli_usage(cli, "--delay and --deliver-at exclude each other");
        return false;
    }
    if (o->delay != NULL) {
        if (!when_parse_age(o->delay, &append->delay_ms)) {
            (void)cli_usage(cli, "--delay: \"%s\" is not a duration such as 500ms, 10s or 1h30m",
                            o->delay);
            return false;
        }
        ms = append->delay_ms;
        append->delayed = ms > 0;
        if (ms > (uint64_t)(RECORD_DELIVER_AT_MAX_MS - now_ns / APPEND_MS_NS)) {
            (void)cli_usage(cli, "--delay: %s ends behind " RECORD_DELIVER_AT_MAX_TEXT, o->delay);
            return false;
        }
    } else if (o->deliver_at != NULL) {
        if (when_parse_age(o->deliver_at, &ms)) {
            (void)cli_usage(cli, "--deliver-at: \"%s\" is no time (--delay %s waits so long)",
                            o->deliver_at, o->deliver_at);
            return false;
        }
        if (!when_parse(o->deliver_at, now_ns, &at_ns)) {
            (void)cli_usage(cli, "--deliver-at: \"%s\" is neither RFC 3339 nor Unix ms",
                            o->deliver_at);
            return false;
        }
        if (at_ns > RECORD_DELIVER_AT_MAX_MS * APPEND_MS_NS) {
            (void)cli_usage(cli, "--deliver-at: %s lies behind " RECORD_DELIVER_AT_MAX_TEXT,
                            o->deliver_at);
            return false;
        }
        append->defaults.deliver_at_ms = at_ns / APPEND_MS_NS + (at_ns % APPEND_MS_NS != 0);
    }
    return true;
}

static int append_status(const struct append *append, int status)
{
    const struct cli *cli = append->cli;
    if (status == CLI_ENDED) {
        return CLI_GONE;
    }
    if (status != CLI_DONE) {
        return status;
    }
    if (cli->out.error == EPIPE) {
        return CLI_GONE;
    }
    if (watch_ended(cli->watch)) {
        const int ended = watch_status(cli->watch);
        return ended != CLI_DONE ? ended : CLI_GONE;
    }
    return append->bad ? CLI_NO : CLI_DONE;
}

static int append_run(struct append *append, const struct store_options *given)
{
    struct cli *cli = append->cli;
    struct lines lines;
    struct bar bar;
    watch_start(cli, append->acks ? WATCH_OUTPUT : WATCH_SIGNALS);
    int status = store_open(cli, &append->store, STORE_WRITE_OR_CREATE, given);
    if (status == CLI_DONE) {
        status = append_begin(append);
    }
    if (status == CLI_DONE && !lines_init(&lines, 0, cli->watch)) {
        cli_error(cli, "not enough memory");
        status = CLI_CANNOT;
    }
    if (status == CLI_DONE) {
        bar_start(&bar, cli, "appending", NULL, append->acks);
        status = append_lines(append, &lines, &bar);
        bar_stop(&bar);
        lines_free(&lines);
    }
    return store_close(cli, &append->store, append_status(append, status));
}

int command_append(int argc, const char **argv)
{
    struct append_command o = {0};
    struct poptOption table[] = {
        APPEND_RECORD_OPTIONS(&o.records),
        {"level", 'l', POPT_ARG_STRING, &o.level, 0,
         "what an acknowledged record survives: this process, the same from the page cache, the "
         "machine (default)",
         "none|written|durable"},
        {"delay", '\0', POPT_ARG_STRING, &o.delay, 0,
         "deliver each record so long after its line was read, as 500ms, 10s or 1h30m", "DURATION"},
        {"deliver-at", '\0', POPT_ARG_STRING, &o.deliver_at, 0,
         "deliver the records at TIME: RFC 3339 or Unix milliseconds", "TIME"},
        {"batch", 'b', POPT_ARG_STRING, &o.batch, 0,
         "store N records at a time, all or none of them", "N"},
        {"acks", 'a', POPT_ARG_NONE, &o.acks, 0,
         "print \"POSITION QUEUE_OFFSET\" per record once its level is reached, or \"TIMER -\" "
         "if it waits for its time",
         NULL},
        STORE_OPTIONS(&o.records.store),
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &append_spec, table, argc, argv, &status)) {
        return status;
    }
    struct append append = {.cli = &cli};
    if (!append_take_options(&append, &o.records) || !append_level_options(&append, &o) ||
        !append_delay_options(&append, &o)) {
        status = CLI_CANNOT;
    } else {
        status = append_run(&append, &o.records.store);
    }
    append_free(&append);
    return cli_end(&cli, status);
}
