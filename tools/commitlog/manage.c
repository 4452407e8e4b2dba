/*
 * manage.c -- `commitlog create` and `commitlog retain`.
 */
#include <assert.h>
#include <inttypes.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "watch.h"
#include "when.h"

static const struct cli_spec create_spec = {
    .command = "create",
    .operands = "DIR",
    .about = "Makes a new, empty store; one that is there already is an error. `commitlog append'\n"
             "makes a store by itself when there is none.",
};

int command_create(int argc, const char **argv)
{
    struct store_options o = {0};
    struct poptOption table[] = {
        STORE_OPTIONS(&o),
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &create_spec, table, argc, argv, &status)) {
        return status;
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_CREATE, &o);
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

static const struct cli_spec retain_spec = {
    .command = "retain",
    .operands = "DIR",
    .about =
        "Drops whole segments, oldest first and never the active one, until the limits hold. What\n"
        "is still needed from them (topics, next offsets) is appended again first. Prints what "
        "was\n"
        "dropped.",
};

/* What was dropped, also before a failure whose status is given. */
static int retain_tell(struct cli *cli, const struct commitlog_retained *done, const char *amount,
                       int status)
{
    const int told = cli_done(
        cli, "dropped %" PRIu32 " segment%s, %s; the first position kept is %" PRIu64,
        done->segments_dropped, done->segments_dropped == 1 ? "" : "s", amount, done->first);
    return status == CLI_DONE ? told : status;
}

static int retain_run(struct cli *cli, struct store *store,
                      const struct commitlog_retention *policy, bool json)
{
    struct commitlog_error err = {0};
    struct commitlog_retained done = {.struct_bytes = sizeof(done)};
    const int32_t rc = commitlog_retain(store->handle, policy, &done, &err);
    int status = CLI_DONE;
    if (rc != COMMITLOG_OK) {
        status = cli_fail(cli, cli->dir, rc, &err);
        if (done.segments_dropped == 0) {
            return status;
        }
    }
    char amount[32];
    when_amount(done.bytes_dropped, amount, sizeof(amount));
    if (json) {
        (void)record_print_value(
            &cli->out,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "segments_dropped",
                      (json_int_t)done.segments_dropped, "bytes_dropped",
                      (json_int_t)done.bytes_dropped, "bytes_carried",
                      (json_int_t)done.bytes_carried, "bytes_held", (json_int_t)done.bytes_held,
                      "first", (json_int_t)done.first, "kept_from", (json_int_t)done.kept_from));
        return retain_tell(cli, &done, amount, status);
    }
    (void)out_format(&cli->out,
                     "dropped %" PRIu32 " segment%s, %s; appended again %" PRIu64
                     " bytes of state; the first position kept is %" PRIu64 "\n",
                     done.segments_dropped, done.segments_dropped == 1 ? "" : "s", amount,
                     done.bytes_carried, done.first);
    if (done.kept_from != 0) {
        (void)out_format(&cli->out,
                         "more would go, but a group has yet to consume what lies from position "
                         "%" PRIu64 " on (commitlog group lag)\n",
                         done.kept_from);
    }
    return retain_tell(cli, &done, amount, status);
}

int command_retain(int argc, const char **argv)
{
    char *bytes = NULL;
    char *age = NULL;
    char *space = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"bytes", '\0', POPT_ARG_STRING, &bytes, 0, "keep at most this much", "SIZE"},
        {"age", '\0', POPT_ARG_STRING, &age, 0,
         "keep what was stored within this time, as 12h or 7d", "AGE"},
        {"free", '\0', POPT_ARG_STRING, &space, 0, "drop until this much of the disk is free",
         "SIZE"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "what was dropped as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &retain_spec, table, argc, argv, &status)) {
        return status;
    }
    struct commitlog_retention policy = {.struct_bytes = sizeof(policy)};
    bool good = true;
    if (bytes == NULL && age == NULL && space == NULL) {
        (void)cli_usage(&cli, "at least one of --bytes, --age and --free is needed");
        good = false;
    }
    good = good && (bytes == NULL || cli_size(&cli, "--bytes", bytes, &policy.keep_bytes)) &&
           (space == NULL || cli_size(&cli, "--free", space, &policy.free_bytes));
    if (good && age != NULL && !when_parse_age(age, &policy.keep_age_ms)) {
        (void)cli_usage(&cli, "--age: \"%s\" is not an age such as 12h or 7d", age);
        good = false;
    }
    good = good && cli_not_longer(&cli, "--age", age, policy.keep_age_ms, WHEN_SPAN_MAX_MS);
    /* 0 means "no limit" to the library; the smallest limit says what the user means. */
    policy.keep_bytes += bytes != NULL && policy.keep_bytes == 0 ? 1 : 0;
    policy.keep_age_ms += age != NULL && policy.keep_age_ms == 0 ? 1 : 0;
    if (!good) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_WRITE, NULL);
    if (status == CLI_DONE) {
        status = retain_run(&cli, &store, &policy, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
