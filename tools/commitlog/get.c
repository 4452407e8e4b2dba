/*
 * get.c -- `commitlog get` (one record by its position) and `commitlog query` (by key).
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "scan.h"
#include "watch.h"
#include "when.h"

static const struct cli_spec get_spec = {
    .command = "get",
    .operands = "DIR",
    .about =
        "Prints the body of the record that lies at a position of the log: one that --acks or\n"
        "--json printed. It only reads.",
};

/* Why there is nothing at `position`, and where there is something. */
static int get_fail(struct cli *cli, struct store *store, uint64_t position, int32_t rc)
{
    struct commitlog_positions kept = {.struct_bytes = sizeof(kept)};
    const bool outside = rc == COMMITLOG_ETOOSMALL || rc == COMMITLOG_EBEYOND;
    if (outside && commitlog_positions_get(store->handle, &kept) == COMMITLOG_OK) {
        cli_error(cli,
                  "%s: position %" PRIu64 " is %s: the log holds positions %" PRIu64 " to %" PRIu64,
                  cli->dir, position, commitlog_error_text(rc), kept.first, kept.visible);
        if (rc == COMMITLOG_EBEYOND) {
            (void)store_tell_damage(cli, store, position);
        }
    } else if (rc == COMMITLOG_EEXPIRED) {
        cli_error(cli,
                  "%s: position %" PRIu64 ": the message that this refers to is no longer kept",
                  cli->dir, position);
    } else {
        cli_error(cli, "%s: position %" PRIu64 ": %s", cli->dir, position,
                  rc == COMMITLOG_ENOTFOUND ? "no record begins here" : commitlog_error_text(rc));
    }
    return cli_status(rc);
}

static int get_run(struct cli *cli, struct store *store, uint64_t position, bool json)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    const int32_t rc = commitlog_get(store->handle, position, &message, &lease, NULL);
    if (rc != COMMITLOG_OK) {
        if (rc == COMMITLOG_EHOLE) {
            commitlog_lease_release(lease);
        }
        return get_fail(cli, store, position, rc);
    }
    struct record_names names = {.store = store->handle};
    const bool control = message.topic == UINT32_MAX;
    if (json) {
        (void)record_print_json(&cli->out, &names, &message, control);
    } else if (control && !record_is_waiting(&message)) {
        (void)record_print_line(&cli->out, &names, &message);
    } else {
        (void)record_print_body(&cli->out, &message);
    }
    commitlog_lease_release(lease);
    return CLI_DONE;
}

int command_get(int argc, const char **argv)
{
    char *at = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"at", '\0', POPT_ARG_STRING, &at, 0, "position of the record", "POSITION"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t position = 0;
    if (!cli_parse(&cli, &get_spec, table, argc, argv, &status)) {
        return status;
    }
    if (at == NULL) {
        return cli_end(&cli, cli_usage(&cli, "--at is missing: the record at which position?"));
    }
    if (!cli_number(&cli, "--at", at, 0, INT64_MAX, &position)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        status = get_run(&cli, &store, position, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

struct query_options {
    char *topic;
    char *key;
    char *since;
    char *until;
    char *max;
    int json;
    int64_t since_ns;
    int64_t until_ns;
    uint64_t max_count;
};

static const struct cli_spec query_spec = {
    .command = "query",
    .operands = "DIR",
    .about =
        "Prints the records of a topic that carry exactly this key, newest first; --since and\n"
        "--until bound the time at which they were stored. TIME is RFC 3339, Unix\n"
        "milliseconds or an age such as 10m. Exit status 1 when there is none. It only reads.",
};

static bool query_check(struct cli *cli, struct query_options *o)
{
    const int64_t now_ns = when_now_ns();
    o->until_ns = INT64_MAX;
    o->max_count = UINT64_MAX;
    if (o->topic == NULL || o->key == NULL) {
        (void)cli_usage(cli, "--topic and --key are both needed");
        return false;
    }
    if (o->since != NULL && !when_parse(o->since, now_ns, &o->since_ns)) {
        (void)cli_usage(cli, "--since: \"%s\" is neither RFC 3339 nor Unix ms nor an age like 10m",
                        o->since);
        return false;
    }
    if (o->until != NULL && !when_parse(o->until, now_ns, &o->until_ns)) {
        (void)cli_usage(cli, "--until: \"%s\" is neither RFC 3339 nor Unix ms nor an age like 10m",
                        o->until);
        return false;
    }
    return o->max == NULL || cli_number(cli, "--max", o->max, 0, INT64_MAX, &o->max_count);
}

static int query_run(struct cli *cli, struct store *store, const struct query_options *o)
{
    struct commitlog_error err = {0};
    uint32_t topic;
    int32_t rc = commitlog_topic_open(store->handle, o->topic, strlen(o->topic), 0, &topic, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return store_no_topic(cli, store, o->topic);
    }
    struct scan *scan = malloc(sizeof(*scan));
    if (scan == NULL) {
        cli_error(cli, "not enough memory");
        return CLI_CANNOT;
    }
    scan_begin(scan, cli, store, SCAN_KEY);
    scan->json = o->json != 0;
    scan->max = o->max_count;
    if (rc == COMMITLOG_OK) {
        rc = commitlog_cursor_open_key(store->handle, topic, o->key, strlen(o->key), o->since_ns,
                                       o->until_ns, &scan->cursor, &err);
    }
    int status = rc == COMMITLOG_OK ? scan_run(scan) : cli_fail(cli, cli->dir, rc, &err);
    if (status == CLI_DONE && scan->count == 0 && o->max_count > 0 && !watch_ended(cli->watch)) {
        cli_error(cli, "%s: no record of topic %s carries the key %s%s", cli->dir, o->topic, o->key,
                  o->since != NULL || o->until != NULL ? " in that time" : "");
        status = CLI_NO;
    }
    scan_end(scan);
    free(scan);
    return status;
}

int command_query(int argc, const char **argv)
{
    struct query_options o = {0};
    struct poptOption table[] = {
        {"topic", 't', POPT_ARG_STRING, &o.topic, 0, "topic to look in", "TOPIC"},
        {"key", 'k', POPT_ARG_STRING, &o.key, 0, "the key, exactly", "KEY"},
        {"since", '\0', POPT_ARG_STRING, &o.since, 0, "stored at or after TIME", "TIME"},
        {"until", '\0', POPT_ARG_STRING, &o.until, 0, "stored at or before TIME", "TIME"},
        {"max", 'n', POPT_ARG_STRING, &o.max, 0, "end after N records", "N"},
        {"json", 'j', POPT_ARG_NONE, &o.json, 0, "one JSON object per line", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &query_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!query_check(&cli, &o)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        status = query_run(&cli, &store, &o);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
