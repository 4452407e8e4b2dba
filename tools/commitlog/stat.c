/*
 * stat.c -- `commitlog stat`: positions and counters, once or each second.
 */
#include <assert.h>
#include <inttypes.h>
#include <unistd.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "watch.h"
#include "when.h"

enum { STAT_PERIOD_MS = 1000 };

static const struct cli_spec stat_spec = {
    .command = "stat",
    .operands = "DIR",
    .about =
        "Prints the positions (first <= checkpointed <= durable <= written <= published <=\n"
        "claimed) and the counters of the store; beside a live writer they are the writer's.\n"
        "commitlog_stats(3) explains each. --watch prints them each second until Ctrl-C. It only\n"
        "reads.",
};

struct stat_position {
    const char *name;
    uint64_t value;
};

enum { STAT_POSITIONS = 7 };

static void stat_list(const struct commitlog_positions *p, struct stat_position *list)
{
    const struct stat_position all[STAT_POSITIONS] = {
        {"first", p->first},     {"checkpointed", p->checkpointed}, {"durable", p->durable},
        {"written", p->written}, {"published", p->published},       {"claimed", p->claimed},
        {"visible", p->visible},
    };
    for (int i = 0; i < STAT_POSITIONS; i++) {
        list[i] = all[i];
    }
}

static void stat_print_text(struct cli *cli, struct commitlog_store *store,
                            const struct commitlog_positions *positions)
{
    struct stat_position list[STAT_POSITIONS];
    char amount[32];
    stat_list(positions, list);
    when_amount(positions->published - positions->first, amount, sizeof(amount));
    (void)out_text(&cli->out, "store          ");
    (void)out_text(&cli->out, cli->dir);
    (void)out_format(&cli->out, "\nepoch          %" PRIu32 "\nkept           %s\n",
                     positions->epoch, amount);
    for (int i = 0; i < STAT_POSITIONS; i++) {
        (void)out_format(&cli->out, "%-14s %" PRIu64 "\n", list[i].name, list[i].value);
    }
    (void)out_text(&cli->out, "\n");
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++) {
        (void)out_format(&cli->out, "%-32s %" PRIu64 "\n", name, value);
    }
}

static void stat_print_json(struct cli *cli, struct commitlog_store *store,
                            const struct commitlog_positions *positions)
{
    struct stat_position list[STAT_POSITIONS];
    json_t *object = json_object();
    json_t *counters = json_object();
    int bad = json_object_set_new(object, "time_ns", json_integer(when_now_ns()));
    bad |= json_object_set_new(object, "epoch", json_integer(positions->epoch));
    stat_list(positions, list);
    for (int i = 0; i < STAT_POSITIONS; i++) {
        bad |= json_object_set_new(object, list[i].name, json_integer((json_int_t)list[i].value));
    }
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++) {
        bad |= json_object_set_new(counters, name, json_integer((json_int_t)value));
    }
    bad |= json_object_set_new(object, "counters", counters);
    if (bad != 0) {
        json_decref(object);
        object = NULL;
    }
    (void)record_print_value(&cli->out, object);
}

/* What is latched is told on stderr; the numbers are printed all the same. */
static int stat_print(struct cli *cli, struct commitlog_store *store, bool json)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    const int32_t rc = commitlog_positions_get(store, &positions);
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, NULL);
    }
    if (json) {
        stat_print_json(cli, store, &positions);
    } else {
        stat_print_text(cli, store, &positions);
    }
    struct commitlog_error err = {0};
    const int32_t failure = commitlog_failure(store, &err);
    return failure == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, failure, &err);
}

static int stat_watch(struct cli *cli, struct commitlog_store *store, bool json)
{
    const bool redraw = !json && isatty(1) != 0;
    for (;;) {
        if (redraw) {
            (void)out_text(&cli->out, "\033[H\033[2J");
        }
        const int status = stat_print(cli, store, json);
        if (!json && !redraw) {
            (void)out_text(&cli->out, "\n");
        }
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
                            : stat_print(&cli, store.handle, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
