/*
 * repair.c -- `commitlog verify`, `recover` and `rebuild`: calls on a directory with a progress
 * bar.
 */
#include <assert.h>
#include <string.h>

#include "bar.h"
#include "commands.h"
#include "open.h"
#include "report.h"
#include "watch.h"

static const struct cli_spec verify_spec = {
    .command = "verify",
    .operands = "DIR",
    .about =
        "Checks every record and every derived file and changes nothing; beside a live writer up\n"
        "to what is written. A torn tail is sound: the writer died while it wrote. Damage: each\n"
        "range is named, and the exit status is 1.",
};

static const struct cli_spec recover_spec = {
    .command = "recover",
    .operands = "DIR",
    .about = "Puts a store right whose writer died, as every open for writing does, and reports "
             "what it\n"
             "did. Nothing is deleted: what is cut goes to DIR/quarantine.\n"
             "  tail     cut what was never acknowledged as durable; refuse damage (default)\n"
             "  strict   refuse any anomaly\n"
             "  salvage  keep all that is sound; damaged ranges become holes on record",
};

static const struct cli_spec rebuild_spec = {
    .command = "rebuild",
    .operands = "DIR",
    .about = "Drops everything derived (DIR/view) and builds it again from the log.",
};

/* Runs `call` on the directory with a bar and Ctrl-C; its report, if any, goes to *report. */
static int32_t repair_run(struct cli *cli, struct store *store, const char *label,
                          int32_t (*call)(const struct cli *, struct store *, uint32_t,
                                          struct commitlog_report **, struct commitlog_error *),
                          uint32_t flags, struct commitlog_report **report,
                          struct commitlog_error *err)
{
    struct bar bar;
    watch_progress(cli->watch, store->progress);
    bar_start(&bar, cli, label, store->progress, false);
    const int32_t rc = call(cli, store, flags, report, err);
    bar_stop(&bar);
    watch_progress(cli->watch, NULL);
    return rc;
}

static int32_t repair_verify(const struct cli *cli, struct store *store, uint32_t flags,
                             struct commitlog_report **report, struct commitlog_error *err)
{
    assert(flags == 0);
    return commitlog_verify(cli->dir, store->options, report, err);
}

static int32_t repair_recover(const struct cli *cli, struct store *store, uint32_t flags,
                              struct commitlog_report **report, struct commitlog_error *err)
{
    return commitlog_recover(cli->dir, store->options, flags, report, err);
}

static int32_t repair_rebuild(const struct cli *cli, struct store *store, uint32_t flags,
                              struct commitlog_report **report, struct commitlog_error *err)
{
    assert(flags == 0 && report == NULL);
    return commitlog_rebuild(cli->dir, store->options, err);
}

/* Prints the report and turns the result into an exit code. */
static int repair_tell(struct cli *cli, const struct store *store,
                       const struct commitlog_report *report, int32_t rc,
                       const struct commitlog_error *err, bool json, bool verify)
{
    if (report != NULL && json) {
        report_print_json(cli, report, rc, verify);
    } else if (report != NULL) {
        report_print_text(cli, report, verify);
    }
    if (rc == COMMITLOG_OK) {
        return CLI_DONE;
    }
    (void)out_flush(&cli->out);
    const int status = cli_fail(cli, cli->dir, rc, err);
    if (!verify) {
        store_hint(cli, store, STORE_WRITE, rc);
    }
    return rc == COMMITLOG_ENOTFOUND ? CLI_CANNOT : status;
}

int command_verify(int argc, const char **argv)
{
    int json = 0;
    struct poptOption table[] = {
        {"json", 'j', POPT_ARG_NONE, &json, 0, "the report as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &verify_spec, table, argc, argv, &status)) {
        return status;
    }
    struct store store;
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {0};
    watch_start(&cli, WATCH_SIGNALS); /* its exit status is a finding, whoever reads the report */
    status = store_prepare(&cli, &store, STORE_READ, NULL);
    if (status == CLI_DONE) {
        const int32_t rc = repair_run(&cli, &store, "verifying", repair_verify, 0, &report, &err);
        status = repair_tell(&cli, &store, report, rc, &err, json != 0, true);
    }
    commitlog_report_free(report);
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

static bool recover_mode(struct cli *cli, const char *mode, uint64_t *value)
{
    static const struct {
        const char *name;
        uint64_t value;
    } modes[] = {{"tail", COMMITLOG_RECOVER_TAIL},
                 {"strict", COMMITLOG_RECOVER_STRICT},
                 {"salvage", COMMITLOG_RECOVER_SALVAGE}};
    *value = COMMITLOG_RECOVER_TAIL;
    if (mode == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            *value = modes[i].value;
            return true;
        }
    }
    (void)cli_usage(cli, "--mode: \"%s\" is not strict, tail or salvage", mode);
    return false;
}

int command_recover(int argc, const char **argv)
{
    char *mode = NULL;
    int plan = 0;
    int json = 0;
    struct poptOption table[] = {
        {"mode", 'm', POPT_ARG_STRING, &mode, 0, "what to do about what is wrong (default tail)",
         "strict|tail|salvage"},
        {"plan", 'p', POPT_ARG_NONE, &plan, 0, "only say what would be done", NULL},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "the report as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t value;
    if (!cli_parse(&cli, &recover_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!recover_mode(&cli, mode, &value)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {0};
    watch_start(&cli, WATCH_SIGNALS);
    status = store_prepare(&cli, &store, STORE_WRITE, NULL);
    if (status == CLI_DONE) {
        int32_t rc = commitlog_options_set(store.options, COMMITLOG_OPT_RECOVERY, value, &err);
        if (rc == COMMITLOG_OK) {
            rc = repair_run(&cli, &store, "recovering", repair_recover,
                            plan != 0 ? COMMITLOG_RECOVER_PLAN_ONLY : 0, &report, &err);
        }
        status = repair_tell(&cli, &store, report, rc, &err, json != 0, false);
    }
    commitlog_report_free(report);
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

int command_rebuild(int argc, const char **argv)
{
    struct poptOption table[] = {
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &rebuild_spec, table, argc, argv, &status)) {
        return status;
    }
    struct store store;
    struct commitlog_error err = {0};
    watch_start(&cli, WATCH_SIGNALS);
    status = store_prepare(&cli, &store, STORE_WRITE, NULL);
    if (status == CLI_DONE) {
        const int32_t rc = repair_run(&cli, &store, "rebuilding", repair_rebuild, 0, NULL, &err);
        status = repair_tell(&cli, &store, NULL, rc, &err, false, false);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
