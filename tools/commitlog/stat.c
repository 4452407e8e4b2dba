/*
 * stat.c -- `commitlog stat`: positions, counters and distributions, once or each second.
 */
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "commands.h"
#include "open.h"
#include "stat_print.h"
#include "watch.h"

enum { STAT_PERIOD_MS = 1000 };

static const struct cli_spec stat_spec = {
    .command = "stat",
    .operands = "DIR",
    .about =
        "Prints the positions (first <= checkpointed <= durable <= written <= published <=\n"
        "claimed), the counters and the histograms of the store; beside a live writer they are\n"
        "the writer's, who does not notice. commitlog_stats(3) explains each. --watch prints each\n"
        "second until Ctrl-C what the last second brought, and all since the store was opened.\n"
        "It only reads.",
};

/* What is latched is told on stderr; the numbers are printed all the same. */
static int stat_failure(struct cli *cli, struct commitlog_store *store)
{
    struct commitlog_error err = {0};
    const int32_t failure = commitlog_failure(store, &err);
    return failure == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, failure, &err);
}

static int stat_once(struct cli *cli, struct commitlog_store *store, bool json)
{
    static struct stat_values now;
    const int status = stat_take(cli, store, &now);
    if (status != CLI_DONE) {
        return status;
    }
    if (json) {
        stat_print_json(cli, NULL, &now);
    } else {
        stat_print_text(cli, &now);
    }
    return stat_failure(cli, store);
}

static int stat_watch(struct cli *cli, struct commitlog_store *store, bool json)
{
    static struct stat_values values[2]; /* in turn */
    const bool redraw = !json && isatty(1) != 0;
    const struct stat_values *before = NULL;
    for (unsigned int turn = 0;; turn ^= 1) {
        struct stat_values *now = &values[turn];
        /* A reader that waits for nothing would go on showing a writer that has gone. */
        (void)commitlog_wait(store, INT64_MAX, 0);
        int status = stat_take(cli, store, now);
        if (status != CLI_DONE) {
            return status;
        }
        before = before != NULL && stat_is_same_session(before, now) ? before : NULL;
        if (json) {
            stat_print_json(cli, before, now);
        } else {
            (void)out_text(&cli->out, redraw ? "\033[H\033[2J" : "");
            stat_print_screen(cli, before, now);
            (void)out_text(&cli->out, redraw ? "" : "\n");
        }
        before = now;
        status = stat_failure(cli, store);
        if (status != CLI_DONE || !out_flush(&cli->out)) {
            return status;
        }
        if (watch_sleep(cli->watch, STAT_PERIOD_MS)) {
            return watch_status(cli->watch);
        }
    }
}

int command_stat(int argc, const char **argv)
{
    int json = 0;
    int watch = 0;
    struct poptOption table[] = {
        {"json", 'j', POPT_ARG_NONE, &json, 0, "as a JSON object", NULL},
        {"watch", 'w', POPT_ARG_NONE, &watch, 0, "again each second until Ctrl-C", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &stat_spec, table, argc, argv, &status)) {
        return status;
    }
    struct store store;
    watch_start(&cli, watch != 0 ? WATCH_OUTPUT | WATCH_NORMAL : WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        status = watch != 0 ? stat_watch(&cli, store.handle, json != 0)
                            : stat_once(&cli, store.handle, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
