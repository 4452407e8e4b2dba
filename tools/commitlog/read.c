/*
 * read.c -- `commitlog read`: records of a topic in order, once or for ever.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "last.h"
#include "scan.h"
#include "watch.h"
#include "when.h"

enum { READ_TAGS_MAX = 64, READ_SHOWN_BYTES = 72 };

struct read_options {
    char *topic;
    char *queue;
    char *from;
    char *since;
    char *last;
    char *max;
    char *tag;
    char *where;
    int follow;
    int json;
    /* what they mean */
    uint64_t queue_number;
    uint64_t from_offset;
    int64_t since_ns;
    uint64_t last_count;
    uint64_t max_count;
    struct commitlog_slice tags[READ_TAGS_MAX];
    uint32_t tag_count;
    struct commitlog_filter *filter; /* freed by command_read */
};

static const struct cli_spec read_spec = {
    .command = "read",
    .operands = "DIR",
    .about =
        "Prints the bodies of a topic's records, one per line, or with --json one object per "
        "line,\n"
        "which `append --jsonl' accepts. Without --queue: all queues in the order of the log. It\n"
        "only reads, and works beside a process that appends. TIME is RFC 3339, Unix milliseconds\n"
        "or an age such as 10m. EXPRESSION compares headers, as commitlog_filter(3) says.\n\n"
        "Examples:\n"
        "  commitlog read /var/tmp/store --topic journal --last 10 --follow\n"
        "  commitlog read /var/tmp/store --topic orders --queue 3 --from 1000 --max 20 --json\n"
        "  commitlog read /var/tmp/store --topic orders --where \"price > 100 AND region = 'eu'\"",
};

/* "a || b" into tags; false: reported. The text must outlive them. */
static bool read_tags(struct cli *cli, struct read_options *o)
{
    for (const char *rest = o->tag; rest != NULL;) {
        const char *bars = strstr(rest, "||");
        size_t length = bars == NULL ? strlen(rest) : (size_t)(bars - rest);
        const size_t blanks = strspn(rest, " ");
        const char *tag = rest + (blanks < length ? blanks : length);
        length -= (size_t)(tag - rest);
        while (length > 0 && tag[length - 1] == ' ') {
            length--;
        }
        if (length == 0 || o->tag_count == READ_TAGS_MAX) {
            (void)cli_usage(cli, "--tag: \"%s\" is not 1 to %d tags joined by ||", o->tag,
                            READ_TAGS_MAX);
            return false;
        }
        o->tags[o->tag_count++] = (struct commitlog_slice){tag, length};
        rest = bars == NULL ? NULL : bars + 2;
    }
    return true;
}

/* The text around the column, and a mark below it; a byte that is no ASCII is one column too. */
static void read_show(struct cli *cli, const char *text, uint64_t column)
{
    char shown[READ_SHOWN_BYTES + 1];
    const size_t length = strlen(text);
    const size_t at = (size_t)column - 1;
    assert(column >= 1 && at <= length);
    const size_t begin = at > READ_SHOWN_BYTES * 3 / 4 ? at - READ_SHOWN_BYTES * 3 / 4 : 0;
    size_t bytes = 0;
    while (bytes < READ_SHOWN_BYTES && begin + bytes < length) {
        const char c = text[begin + bytes];
        shown[bytes++] = c >= ' ' && c <= '~' ? c : '?';
    }
    shown[bytes] = '\0';
    cli_error(cli, "  %s", shown);
    (void)cli_usage(cli, "  %*s^", (int)(at - begin), "");
}

static bool read_where(struct cli *cli, struct read_options *o)
{
    struct commitlog_error err = {0};
    if (o->where == NULL) {
        return true;
    }
    const int32_t rc = commitlog_filter_compile(o->where, strlen(o->where), &o->filter, &err);
    if (rc == COMMITLOG_OK) {
        return true;
    }
    cli_error(cli, "--where: %s", err.message);
    if (err.position != UINT64_MAX) {
        read_show(cli, o->where, err.position);
    }
    return false;
}

static bool read_check(struct cli *cli, struct read_options *o)
{
    o->max_count = UINT64_MAX;
    if (o->topic == NULL) {
        (void)cli_usage(cli, "--topic is missing (commitlog topics DIR lists them)");
        return false;
    }
    const int begins = (o->from != NULL) + (o->since != NULL) + (o->last != NULL);
    if (begins > 1) {
        (void)cli_usage(cli, "--from, --since and --last exclude each other");
        return false;
    }
    if (o->from != NULL && o->queue == NULL) {
        (void)cli_usage(cli, "--from is an offset in a queue: it needs --queue");
        return false;
    }
    if (o->since != NULL && !when_parse(o->since, when_now_ns(), &o->since_ns)) {
        (void)cli_usage(cli, "--since: \"%s\" is neither RFC 3339 nor Unix ms nor an age like 10m",
                        o->since);
        return false;
    }
    return (o->queue == NULL || cli_number(cli, "--queue", o->queue, 0,
                                           COMMITLOG_TOPIC_QUEUES_MAX - 1, &o->queue_number)) &&
           (o->from == NULL || cli_number(cli, "--from", o->from, 0, INT64_MAX, &o->from_offset)) &&
           (o->last == NULL || cli_number(cli, "--last", o->last, 0, INT64_MAX, &o->last_count)) &&
           (o->max == NULL || cli_number(cli, "--max", o->max, 0, INT64_MAX, &o->max_count)) &&
           read_tags(cli, o) && read_where(cli, o);
}

/* The place to begin at, as the cursor wants it. */
static int read_begin(struct cli *cli, struct store *store, const struct read_options *o,
                      const struct commitlog_topic_info *topic, uint32_t *from, uint64_t *value)
{
    *from = COMMITLOG_FROM_FIRST;
    *value = 0;
    if (o->from != NULL) {
        *from = COMMITLOG_FROM_OFFSET;
        *value = o->from_offset;
    } else if (o->since != NULL) {
        *from = COMMITLOG_FROM_TIME;
        *value = (uint64_t)o->since_ns;
    } else if (o->last != NULL && o->last_count == 0) {
        *from = COMMITLOG_FROM_END;
    } else if (o->last != NULL) {
        const uint32_t queue = (uint32_t)o->queue_number;
        const struct last_selection selection = {o->tags, o->tag_count, o->filter};
        struct last last;
        const int status = last_find(cli, store, topic->topic, o->queue == NULL ? 0 : queue,
                                     o->queue == NULL ? topic->queues_total : queue + 1, &selection,
                                     o->last_count, &last);
        if (status != CLI_DONE) {
            return status;
        }
        *from = last.found ? COMMITLOG_FROM_OFFSET : COMMITLOG_FROM_FIRST;
        *value = o->queue == NULL ? last.position : last.queue_offset;
    }
    return CLI_DONE;
}

static int read_topic(struct cli *cli, struct store *store, const struct read_options *o,
                      struct commitlog_topic_info *info)
{
    struct commitlog_error err = {0};
    uint32_t topic;
    int32_t rc = commitlog_topic_open(store->handle, o->topic, strlen(o->topic), 0, &topic, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return store_no_topic(cli, store, o->topic);
    }
    *info = (struct commitlog_topic_info){.struct_bytes = sizeof(*info)};
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(store->handle, topic, info);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, &err);
    }
    if (o->queue != NULL && o->queue_number >= info->queues_total) {
        cli_error(cli, "%s: topic %s has no queue %s, only 0 to %u", cli->dir, o->topic, o->queue,
                  info->queues_total - 1);
        return CLI_NO;
    }
    return CLI_DONE;
}

static int read_run(struct cli *cli, struct store *store, const struct read_options *o)
{
    struct commitlog_topic_info topic;
    uint32_t from = COMMITLOG_FROM_FIRST;
    uint64_t value = 0;
    int status = read_topic(cli, store, o, &topic);
    if (status != CLI_DONE) {
        return status;
    }
    struct scan *scan = malloc(sizeof(*scan));
    if (scan == NULL) {
        cli_error(cli, "not enough memory");
        return CLI_CANNOT;
    }
    scan_begin(scan, cli, store, o->queue == NULL ? SCAN_LOG : SCAN_QUEUE);
    scan->json = o->json != 0;
    scan->follow = o->follow != 0;
    scan->begun = o->from == NULL;
    scan->max = o->max_count;
    status = read_begin(cli, store, o, &topic, &from, &value);
    if (status == CLI_DONE) {
        struct commitlog_error err = {0};
        int32_t rc = commitlog_cursor_open(store->handle, topic.topic,
                                           o->queue == NULL ? COMMITLOG_QUEUE_ALL
                                                            : (uint32_t)o->queue_number,
                                           from, value, &scan->cursor, &err);
        if (rc == COMMITLOG_OK) {
            rc = last_select(scan->cursor,
                             &(const struct last_selection){o->tags, o->tag_count, o->filter});
        }
        status = rc == COMMITLOG_OK ? scan_run(scan) : cli_fail(cli, cli->dir, rc, &err);
    }
    scan_end(scan);
    free(scan);
    return status;
}

int command_read(int argc, const char **argv)
{
    struct read_options o = {0};
    struct poptOption table[] = {
        {"topic", 't', POPT_ARG_STRING, &o.topic, 0, "topic to read", "TOPIC"},
        {"queue", 'q', POPT_ARG_STRING, &o.queue, 0, "one queue (default: all, in log order)", "N"},
        {"from", '\0', POPT_ARG_STRING, &o.from, 0, "begin at this offset of the queue", "OFFSET"},
        {"since", '\0', POPT_ARG_STRING, &o.since, 0, "begin at the first stored at or after TIME",
         "TIME"},
        {"last", '\0', POPT_ARG_STRING, &o.last, 0, "begin N records before the end", "N"},
        {"max", 'n', POPT_ARG_STRING, &o.max, 0, "end after N records", "N"},
        {"tag", '\0', POPT_ARG_STRING, &o.tag, 0, "only records with one of these tags",
         "\"A || B\""},
        {"where", 'w', POPT_ARG_STRING, &o.where, 0, "only records whose headers match",
         "EXPRESSION"},
        {"follow", 'f', POPT_ARG_NONE, &o.follow, 0, "wait for more at the end", NULL},
        {"json", 'j', POPT_ARG_NONE, &o.json, 0, "one JSON object per line", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &read_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!read_check(&cli, &o)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, o.follow ? WATCH_OUTPUT | WATCH_NORMAL : WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        status = read_run(&cli, &store, &o);
    }
    status = store_close(&cli, &store, status);
    commitlog_filter_free(o.filter);
    return cli_end(&cli, status);
}
