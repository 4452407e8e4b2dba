/*
 * dump.c -- `commitlog dump`: records as they lie in the log, control records, pads and holes too.
 */
#include <assert.h>
#include <stdlib.h>

#include "commands.h"
#include "scan.h"
#include "watch.h"

static const struct cli_spec dump_spec = {
    .command = "dump",
    .operands = "DIR",
    .about =
        "Prints one line per record: position, size, kind, store time, epoch, then topic/queue\n"
        "@offset, tag, keys, when a delayed message is due, what a reference refers to, where a\n"
        "dead letter was, what a record of a group says, and the size of the body. --json prints\n"
        "all of it and the body. It only reads.",
};

static int dump_run(struct cli *cli, struct store *store, uint64_t from, uint64_t max, bool json)
{
    struct commitlog_error err = {0};
    struct scan *scan = malloc(sizeof(*scan));
    if (scan == NULL) {
        cli_error(cli, "not enough memory");
        return CLI_CANNOT;
    }
    scan_begin(scan, cli, store, SCAN_LOG);
    scan->json = json;
    scan->log = true;
    scan->begun = from == 0;
    scan->max = max;
    const int32_t rc = commitlog_cursor_open_log(store->handle, from, &scan->cursor, &err);
    const int status = rc == COMMITLOG_OK ? scan_run(scan) : cli_fail(cli, cli->dir, rc, &err);
    scan_end(scan);
    free(scan);
    return status;
}

int command_dump(int argc, const char **argv)
{
    char *from = NULL;
    char *max = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"from", '\0', POPT_ARG_STRING, &from, 0, "begin at the record at this position",
         "POSITION"},
        {"max", 'n', POPT_ARG_STRING, &max, 0, "end after N records", "N"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per line", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t position = 0;
    uint64_t most = UINT64_MAX;
    if (!cli_parse(&cli, &dump_spec, table, argc, argv, &status)) {
        return status;
    }
    if ((from != NULL && !cli_number(&cli, "--from", from, 0, INT64_MAX, &position)) ||
        (max != NULL && !cli_number(&cli, "--max", max, 0, INT64_MAX, &most))) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        status = dump_run(&cli, &store, position, most, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
