/*
 * append.c -- `commitlog append`: options and the loop over the lines; append_store.c does the
 * rest.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "append.h"
#include "bar.h"
#include "commands.h"
#include "lines.h"
#include "watch.h"
#include "when.h"

/* The shell's number for a program that lost the reader of its output (128 + SIGPIPE). */
enum { APPEND_GONE = 141 };

struct append_options {
    char *topic;
    char *queues;
    char *queue;
    char *tag;
    char *level;
    char *batch;
    char *delay;
    char *deliver_at;
    char **keys;
    int by_key;
    int jsonl;
    int acks;
    struct store_options store;
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

enum { APPEND_TAG_MAX_BYTES = 255, APPEND_KEY_MAX_BYTES = 4096, APPEND_MS_NS = 1000000 };

static bool append_topic_option(struct append *append, const struct append_options *o)
{
    struct cli *cli = append->cli;
    if (o->topic == NULL && !o->jsonl) {
        (void)cli_usage(cli, "--topic is missing: which topic shall the lines go to?");
        return false;
    }
    if (o->topic != NULL) {
        const size_t bytes = strlen(o->topic);
        if (bytes == 0 || bytes > COMMITLOG_TOPIC_NAME_MAX_BYTES) {
            (void)cli_usage(cli, "--topic: a name has 1 to %d bytes, this one %zu",
                            COMMITLOG_TOPIC_NAME_MAX_BYTES, bytes);
            return false;
        }
    }
    if (o->tag != NULL && strlen(o->tag) > APPEND_TAG_MAX_BYTES) {
        (void)cli_usage(cli, "--tag: a tag has at most %d bytes, this one %zu",
                        APPEND_TAG_MAX_BYTES, strlen(o->tag));
        return false;
    }
    append->defaults.topic = o->topic;
    append->defaults.tag = o->tag;
    return true;
}

static bool append_queue_options(struct append *append, const struct append_options *o)
{
    struct cli *cli = append->cli;
    uint64_t number = 8;
    if (o->queues != NULL &&
        !cli_number(cli, "--queues", o->queues, 1, COMMITLOG_TOPIC_QUEUES_MAX, &number)) {
        return false;
    }
    append->queues = (uint32_t)number;
    append->queues_given = o->queues != NULL;
    append->by_key = o->by_key != 0;
    append->defaults.queue = COMMITLOG_QUEUE_AUTO;
    if (o->queue != NULL) {
        if (!cli_number(cli, "--queue", o->queue, 0, COMMITLOG_TOPIC_QUEUES_MAX - 1, &number)) {
            return false;
        }
        append->defaults.queue = (uint32_t)number;
    }
    if (o->queue != NULL && o->by_key) {
        (void)cli_usage(cli, "--queue and --by-key exclude each other");
        return false;
    }
    if (o->by_key && !o->jsonl && o->keys == NULL) {
        (void)cli_usage(cli, "--by-key needs a key: add --key, or --jsonl with \"keys\"");
        return false;
    }
    return true;
}

static bool append_level_options(struct append *append, const struct append_options *o)
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
static bool append_delay_options(struct append *append, const struct append_options *o)
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
            (void)cli_usage(cli, "--delay: %s ends behind the year 2262", o->delay);
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
            (void)cli_usage(cli, "--deliver-at: %s lies behind the year 2262", o->deliver_at);
            return false;
        }
        append->defaults.deliver_at_ms = at_ns / APPEND_MS_NS + (at_ns % APPEND_MS_NS != 0);
    }
    return true;
}

/* --key as slices; owned by append until append_free. */
static bool append_key_options(struct append *append, const struct append_options *o)
{
    size_t count = 0;
    for (; o->keys != NULL && o->keys[count] != NULL; count++) {
        const size_t bytes = strlen(o->keys[count]);
        if (bytes == 0 || bytes > APPEND_KEY_MAX_BYTES) {
            (void)cli_usage(append->cli, "--key: a key has 1 to %d bytes, this one %zu",
                            APPEND_KEY_MAX_BYTES, bytes);
            return false;
        }
    }
    struct commitlog_slice *keys = calloc(count + 1, sizeof(*keys));
    if (keys == NULL) {
        cli_error(append->cli, "not enough memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct commitlog_slice){o->keys[i], strlen(o->keys[i])};
    }
    append->defaults.keys = keys;
    append->defaults.key_count = (uint32_t)count;
    return true;
}

/* One line of input; CLI_DONE: go on. */
static int append_line(struct append *append, int got, const struct lines *lines, const char *line,
                       size_t length, bool jsonl)
{
    if (got == LINES_TOO_LONG) {
        append_reject(append, lines->number, "longer than 256 MiB");
        return CLI_DONE;
    }
    struct record_in *in = append_place(append);
    if (append->delayed) {
        append->defaults.deliver_at_ms =
            (when_now_ns() + APPEND_MS_NS - 1) / APPEND_MS_NS + (int64_t)append->delay_ms;
    }
    const bool good = jsonl
                          ? record_in_json(in, &append->defaults, line, length)
                          : record_in_plain(in, &append->defaults, line, length, append->batch > 1);
    in->line = lines->number;
    if (!good || !append_check(append, in)) {
        append_reject(append, lines->number, in->reason);
        return CLI_DONE;
    }
    return append_add(append);
}

static int append_loop(struct append *append, struct lines *lines, struct bar *bar, bool jsonl)
{
    struct stat input;
    const uint64_t total =
        fstat(lines->fd, &input) == 0 && S_ISREG(input.st_mode) ? (uint64_t)input.st_size : 0;
    int status = CLI_DONE;
    while (status == CLI_DONE && !watch_ended(append->cli->watch)) {
        const char *line;
        size_t length;
        const int got = lines_next(lines, &line, &length);
        bar_set(bar, lines->consumed, total);
        if (got == LINES_LINE || got == LINES_TOO_LONG) {
            status = append_line(append, got, lines, line, length, jsonl);
        } else if (got == LINES_WAIT) {
            status = append_settle(append);
            if (status == CLI_DONE && !lines_wait(lines)) {
                break;
            }
        } else if (got == LINES_END) {
            break;
        } else {
            cli_error(append->cli, "standard input, line %llu: %s",
                      (unsigned long long)lines->number + 1, strerror(lines->error));
            status = CLI_CANNOT;
        }
    }
    /* What was read is stored and made durable whatever ended the loop. */
    const bool failed = status != CLI_DONE;
    int rest = failed ? CLI_DONE : append_end_batch(append);
    if (rest == CLI_DONE) {
        rest = append_settle(append);
    }
    return failed ? status : rest;
}

static int append_status(const struct append *append, int status)
{
    const struct cli *cli = append->cli;
    if (cli->out.error == EPIPE) {
        return APPEND_GONE;
    }
    if (status != CLI_DONE) {
        return status;
    }
    if (watch_ended(cli->watch)) {
        const int ended = watch_status(cli->watch);
        return ended != CLI_DONE ? ended : APPEND_GONE;
    }
    return append->bad ? CLI_NO : CLI_DONE;
}

static int append_run(struct append *append, const struct append_options *o)
{
    struct cli *cli = append->cli;
    struct lines lines;
    struct bar bar;
    watch_start(cli, append->acks ? WATCH_OUTPUT : WATCH_SIGNALS);
    int status = store_open(cli, &append->store, STORE_WRITE_OR_CREATE, &o->store);
    if (status != CLI_DONE) {
        return store_close(cli, &append->store, status);
    }
    status = append_begin(append);
    if (status == CLI_DONE && !lines_init(&lines, 0, cli->watch)) {
        cli_error(cli, "not enough memory");
        status = CLI_CANNOT;
    }
    if (status == CLI_DONE) {
        bar_start(&bar, cli, "appending", NULL, append->acks);
        status = append_status(append, append_loop(append, &lines, &bar, o->jsonl != 0));
        bar_stop(&bar);
        lines_free(&lines);
    }
    return store_close(cli, &append->store, status);
}

int command_append(int argc, const char **argv)
{
    struct append_options o = {0};
    struct poptOption table[] = {
        {"topic", 't', POPT_ARG_STRING, &o.topic, 0, "topic of the records", "TOPIC"},
        {"queues", '\0', POPT_ARG_STRING, &o.queues, 0,
         "queues of a topic that is created (default 8); an existing one must have as many", "N"},
        {"queue", 'q', POPT_ARG_STRING, &o.queue, 0,
         "queue of the records (default: by the first key, else in turn)", "N"},
        {"by-key", '\0', POPT_ARG_NONE, &o.by_key, 0,
         "queue by the first key; a record without a key is a bad line", NULL},
        {"key", 'k', POPT_ARG_ARGV, &o.keys, 0, "a key of the records (repeatable)", "KEY"},
        {"tag", '\0', POPT_ARG_STRING, &o.tag, 0, "tag of the records", "TAG"},
        {"level", 'l', POPT_ARG_STRING, &o.level, 0,
         "what an acknowledged record survives: this process, the same from the page cache, the "
         "machine (default)",
         "none|written|durable"},
        {"delay", '\0', POPT_ARG_STRING, &o.delay, 0,
         "deliver each record so long after its line was read, as 500ms, 10s or 1h30m", "DURATION"},
        {"deliver-at", '\0', POPT_ARG_STRING, &o.deliver_at, 0,
         "deliver the records at TIME: RFC 3339 or Unix milliseconds", "TIME"},
        {"jsonl", 'j', POPT_ARG_NONE, &o.jsonl, 0, "each line is a JSON object", NULL},
        {"batch", 'b', POPT_ARG_STRING, &o.batch, 0,
         "store N records at a time, all or none of them", "N"},
        {"acks", 'a', POPT_ARG_NONE, &o.acks, 0,
         "print \"POSITION QUEUE_OFFSET\" per record once its level is reached, or \"TIMER -\" "
         "if it waits for its time",
         NULL},
        STORE_OPTIONS(&o.store),
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &append_spec, table, argc, argv, &status)) {
        return status;
    }
    struct append append = {.cli = &cli};
    if (!append_topic_option(&append, &o) || !append_queue_options(&append, &o) ||
        !append_level_options(&append, &o) || !append_delay_options(&append, &o) ||
        !append_key_options(&append, &o)) {
        status = CLI_CANNOT;
    } else {
        status = append_run(&append, &o);
    }
    append_free(&append);
    return cli_end(&cli, status);
}
