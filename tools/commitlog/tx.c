/*
 * tx.c -- `commitlog tx`: its actions, and those that decide what becomes of a transaction. See
 * tx.h.
 */
#include "tx.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "record_out.h"
#include "transaction_out.h"
#include "watch.h"

int tx_missing(struct cli *cli, struct store *store, uint64_t number)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    char why[64] = "none began there";
    const int32_t rc = commitlog_get(store->handle, number, &message, &lease, NULL);
    const uint64_t found = rc == COMMITLOG_OK ? transaction_of(&message) : 0;
    if (found == number) {
        (void)snprintf(why, sizeof(why), "it was committed or rolled back");
    } else if (found != 0) {
        (void)snprintf(why, sizeof(why), "what lies there is of transaction %" PRIu64, found);
    } else if (number < CLI_FIRST_POSITION) {
        (void)snprintf(why, sizeof(why), "there is no record there");
    } else if (rc == COMMITLOG_ETOOSMALL) {
        (void)snprintf(why, sizeof(why), "what lay there is no longer kept");
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EHOLE) {
        commitlog_lease_release(lease);
    }
    cli_error(cli, "%s: there is no transaction %" PRIu64 ": %s (commitlog tx list %s lists them)",
              cli->dir, number, why, cli->dir);
    return CLI_NO;
}

void tx_tell_outcome(struct cli *cli, uint64_t number, const char *become, int32_t code)
{
    assert(code < 0);
    if (code == COMMITLOG_EUNKNOWN) {
        cli_error(cli,
                  "transaction %" PRIu64 " is %s, but nobody knows whether that reached the disk",
                  number, become);
    } else {
        cli_error(cli, "transaction %" PRIu64 " is not %s", number, become);
    }
}

/* ---- commit and rollback --------------------------------------------------------------------- */

static const struct cli_spec commit_spec = {
    .command = "tx commit",
    .operands = "DIR TRANSACTION...",
    .about = "Commits prepared transactions: each takes effect as a whole, its messages and the\n"
             "offsets of consumer groups. TRANSACTION is a number that `commitlog tx append\n"
             "--prepare' or `commitlog tx list' printed. One that has ended, or never was, is\n"
             "told; the others are committed, and the exit status is 1.",
};

static const struct cli_spec rollback_spec = {
    .command = "tx rollback",
    .operands = "DIR TRANSACTION...",
    .about = "Rolls prepared transactions back: nothing of them ever takes effect. TRANSACTION is\n"
             "a number that `commitlog tx append --prepare' or `commitlog tx list' printed. One\n"
             "that has ended, or never was, is told; the others are rolled back, and the exit\n"
             "status is 1.",
};

static int decide_one(struct cli *cli, struct store *store, uint64_t number, bool commit,
                      uint32_t level, bool json)
{
    struct commitlog_error err = {0};
    struct commitlog_transaction *transaction = NULL;
    const char *become = commit ? "committed" : "rolled back";
    int32_t rc = commitlog_transaction_open(store->handle, number, &transaction, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return tx_missing(cli, store, number);
    }
    if (rc == COMMITLOG_OK) {
        rc = commit
                 ? commitlog_transaction_commit(transaction, level, COMMITLOG_FOREVER, NULL, &err)
                 : commitlog_transaction_rollback(transaction, level, COMMITLOG_FOREVER, &err);
        commitlog_transaction_close(transaction);
    }
    if (rc != COMMITLOG_OK) {
        tx_tell_outcome(cli, number, become, rc);
        return cli_fail(cli, cli->dir, rc, &err);
    }
    if (json) {
        (void)record_print_value(&cli->out,
                                 json_pack("{s:I, s:b}", "transaction", (json_int_t)number,
                                           commit ? "committed" : "rolled_back", 1));
    }
    return cli_done(cli, "transaction %" PRIu64 " is %s", number, become);
}

/* One that is not there leaves the others, and so does a reader that is not; any other failure ends
 * the run. */
static int decide_all(struct cli *cli, struct store *store, bool commit, uint32_t level, bool json)
{
    int status = CLI_DONE;
    for (const char **each = cli->operands; *each != NULL && !watch_ended(cli->watch); each++) {
        uint64_t number = 0;
        if (!cli_number(cli, "TRANSACTION", *each, 1, INT64_MAX, &number)) {
            return CLI_CANNOT;
        }
        const int one = decide_one(cli, store, number, commit, level, json);
        if (one > CLI_NO && one != CLI_GONE) {
            return one;
        }
        status = one == CLI_DONE || status == CLI_NO ? status : one;
    }
    return watch_ended(cli->watch) ? watch_status(cli->watch) : status;
}

static int decide(const struct cli_spec *spec, bool commit, int argc, const char **argv)
{
    static char no_thread[] = "thread=0";
    char *others[] = {no_thread, NULL};
    const struct store_options given = {.others = others};
    char *level_text = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"level", 'l', POPT_ARG_STRING, &level_text, 0,
         "what the decision survives when the command ends (default: durable)",
         "none|written|durable"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per transaction", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t number = 0;
    uint32_t level = COMMITLOG_LEVEL_DURABLE;
    if (!cli_parse(&cli, spec, table, argc, argv, &status)) {
        return status;
    }
    bool good = cli_level(&cli, level_text, &level);
    if (good && (cli.operands == NULL || cli.operands[0] == NULL)) {
        (void)cli_usage(&cli, "the operand TRANSACTION is missing");
        good = false;
    }
    for (const char **each = cli.operands; good && *each != NULL; each++) {
        good = cli_number(&cli, "TRANSACTION", *each, 1, INT64_MAX, &number);
    }
    if (!good) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_WRITE, &given);
    if (status == CLI_DONE) {
        status = decide_all(&cli, &store, commit, level, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

static int tx_commit(int argc, const char **argv)
{
    return decide(&commit_spec, true, argc, argv);
}

static int tx_rollback(int argc, const char **argv)
{
    return decide(&rollback_spec, false, argc, argv);
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct cli_action tx_actions[] = {
    {"append", tx_append, "append lines of standard input, all of them or none"},
    {"list", tx_list, "list the transactions that have not ended"},
    {"show", tx_show, "print the messages of one"},
    {"commit", tx_commit, "let prepared ones take effect"},
    {"rollback", tx_rollback, "let prepared ones never take effect"},
};

int command_tx(int argc, const char **argv)
{
    static const struct cli_actions set = {
        .command = "tx",
        .operands = "DIR [OPTION...]",
        .about = "Transactions: messages of any topics, and offsets of consumer groups, that\n"
                 "take effect together or not at all.",
        .actions = tx_actions,
        .count = sizeof(tx_actions) / sizeof(tx_actions[0]),
    };
    return cli_run_action(&set, argc, argv);
}
