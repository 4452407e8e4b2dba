/*
 * tx_list.c -- `commitlog tx list` and `commitlog tx show`: transactions that have not ended, and
 * their messages.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "record_out.h"
#include "text.h"
#include "tx.h"
#include "watch.h"
#include "when.h"

enum { TX_MS_NS = 1000000, TX_MOVES_MAX = 4 };

/* ---- list ------------------------------------------------------------------------------------ */

/* "59m", "3s overdue"; how long an open one may take is known to its process alone. */
static void list_left(const struct commitlog_transaction_info *info, int64_t now_ms, char *text,
                      size_t size)
{
    char span[32];
    const int64_t left_ms = info->expires_at_ms - now_ms;
    when_span((uint64_t)(left_ms < 0 ? -left_ms : left_ms), span, sizeof(span));
    if (info->expires_at_ms == 0) {
        (void)snprintf(text, size, "-");
    } else {
        (void)snprintf(text, size, "%s%s", span, left_ms < 0 ? " overdue" : "");
    }
}

static bool list_print_row(struct cli *cli, const struct commitlog_transaction_info *info,
                           int64_t now_ms)
{
    char age[32];
    char left[48];
    char groups[16] = "-"; /* nothing is stored of them before the prepare */
    const int64_t age_ms = now_ms - info->begin_ms;
    const struct commitlog_slice group = {info->group, info->group_bytes};
    when_span(age_ms < 0 ? 0 : (uint64_t)age_ms, age, sizeof(age));
    list_left(info, now_ms, left, sizeof(left));
    if (info->prepared != 0) {
        (void)snprintf(groups, sizeof(groups), "%" PRIu32, info->offset_groups);
    }
    return out_format(&cli->out, "%-12" PRIu64 "  %-8s  ", info->transaction,
                      info->prepared != 0 ? "prepared" : "open") &&
           text_put_column(&cli->out, group, 20) &&
           out_format(&cli->out, " %8" PRIu32 " %12" PRIu64 " %6s  %-9s  %s\n", info->messages,
                      info->bytes, groups, age, left);
}

static json_t *list_number(bool known, int64_t number)
{
    return known ? json_integer((json_int_t)number) : json_null();
}

static bool list_print_object(struct cli *cli, const struct commitlog_transaction_info *info,
                              int64_t now_ms)
{
    const bool timed = info->expires_at_ms != 0;
    return record_print_value(
        &cli->out,
        json_pack("{s:I, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "transaction",
                  (json_int_t)info->transaction, "state", info->prepared != 0 ? "prepared" : "open",
                  "producer_group", info->group, "messages", (json_int_t)info->messages, "bytes",
                  (json_int_t)info->bytes, "offset_groups",
                  list_number(info->prepared != 0, info->offset_groups), "begin_ms",
                  (json_int_t)info->begin_ms, "age_ms", (json_int_t)(now_ms - info->begin_ms),
                  "expires_at_ms", list_number(timed, info->expires_at_ms), "left_ms",
                  list_number(timed, info->expires_at_ms - now_ms)));
}

/* By number, and that order stays: one that ends meanwhile moves no other. */
static int list_run(struct cli *cli, struct store *store, uint64_t limit, bool json)
{
    struct commitlog_transaction_info info = {0};
    const int64_t now_ms = when_now_ns() / TX_MS_NS;
    uint64_t shown = 0;
    uint64_t count = 0;
    bool good =
        json || out_format(&cli->out, "%-12s  %-8s  %-20s %8s %12s %6s  %-9s  %s\n", "TRANSACTION",
                           "STATE", "PRODUCER GROUP", "MESSAGES", "BYTES", "GROUPS", "AGE", "LEFT");
    while (good && !watch_ended(cli->watch)) {
        const uint64_t after = info.transaction;
        info = (struct commitlog_transaction_info){.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_transaction_next(store->handle, after, &info);
        if (rc == COMMITLOG_ENOTFOUND) {
            break;
        }
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, NULL);
        }
        assert(info.transaction > after);
        count++;
        if (count <= limit) {
            shown++;
            good =
                json ? list_print_object(cli, &info, now_ms) : list_print_row(cli, &info, now_ms);
        }
    }
    if (!json && good && shown < count) {
        (void)out_format(&cli->out, "%" PRIu64 " of %" PRIu64 " transactions\n", shown, count);
    } else if (!json && good) {
        (void)out_format(&cli->out, "%" PRIu64 " transaction%s\n", shown, shown == 1 ? "" : "s");
    }
    return watch_status(cli->watch);
}

static const struct cli_spec list_spec = {
    .command = "tx list",
    .operands = "DIR",
    .about =
        "Lists the transactions that have not ended, the oldest first: the number, open (still\n"
        "being written, or its process ended) or prepared, who its producer is, how many messages\n"
        "and bytes it has, of how many consumer groups it has offsets, how old it is, and, of a\n"
        "prepared one, in how long it is rolled back. --json prints one object per transaction.\n"
        "It only reads.",
};

int tx_list(int argc, const char **argv)
{
    char *limit = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"limit", 'n', POPT_ARG_STRING, &limit, 0, "only the N oldest", "N"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per transaction", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t most = UINT64_MAX;
    if (!cli_parse(&cli, &list_spec, table, argc, argv, &status)) {
        return status;
    }
    if (limit != NULL && !cli_number(&cli, "--limit", limit, 0, INT64_MAX, &most)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_LIST, NULL);
    if (status == CLI_DONE) {
        status = list_run(&cli, &store, most, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

/* ---- show ------------------------------------------------------------------------------------ */

struct show {
    struct cli *cli;
    struct store *store;
    struct record_names names;
    uint64_t number;
    bool json;
    int status; /* CLI_NO: a message was left out */
};

/* Retention may have moved a message since its place was asked for. */
static int32_t show_get(struct show *show, uint32_t index,
                        struct commitlog_transaction_message *where,
                        struct commitlog_message *message, struct commitlog_lease **lease)
{
    int32_t rc = COMMITLOG_ETOOSMALL;
    for (int i = 0; rc == COMMITLOG_ETOOSMALL && i < TX_MOVES_MAX; i++) {
        *where = (struct commitlog_transaction_message){.struct_bytes = sizeof(*where)};
        rc = commitlog_transaction_message(show->store->handle, show->number, index, where);
        if (rc != COMMITLOG_OK) {
            return rc == COMMITLOG_ENOTFOUND ? COMMITLOG_EEND : rc;
        }
        rc = commitlog_get(show->store->handle, where->position, message, lease, NULL);
    }
    return rc;
}

/* False: standard output failed. */
static bool show_print(struct show *show, const struct commitlog_transaction_message *where,
                       struct commitlog_message *message)
{
    struct out *out = &show->cli->out;
    if (!show->json) {
        return record_print_body(out, message);
    }
    message->topic = where->topic; /* where it is to go to */
    message->queue = where->queue;
    return record_print_json(out, &show->names, message, false);
}

static int show_messages(struct show *show, uint32_t *count)
{
    struct cli *cli = show->cli;
    for (*count = 0; !watch_ended(cli->watch); ++*count) {
        struct commitlog_transaction_message where;
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        const int32_t rc = show_get(show, *count, &where, &message, &lease);
        if (rc == COMMITLOG_EEND) {
            break;
        }
        if (rc == COMMITLOG_EDAMAGED) {
            cli_error(cli,
                      "%s: damage at position %" PRIu64
                      ": left out (commitlog verify names all of it)",
                      cli->dir, where.position);
            show->status = CLI_NO;
            continue;
        }
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, NULL);
        }
        const bool good = show_print(show, &where, &message);
        commitlog_lease_release(lease);
        if (!good) {
            break; /* cli_end tells why the output failed */
        }
    }
    return watch_status_of(cli->watch, show->status);
}

static int show_run(struct cli *cli, struct store *store, uint64_t number, bool json)
{
    struct show show = {
        .cli = cli, .store = store, .number = number, .json = json, .status = CLI_DONE};
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    uint32_t count = 0;
    const int32_t rc = commitlog_transaction_next(store->handle, number - 1, &info);
    if (rc == COMMITLOG_ENOTFOUND || (rc == COMMITLOG_OK && info.transaction != number)) {
        return tx_missing(cli, store, number);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, NULL);
    }
    show.names.store = store->handle;
    const int status = show_messages(&show, &count);
    if (status == CLI_DONE && count < info.messages && cli->out.error == 0 &&
        !watch_ended(cli->watch)) {
        cli_error(cli, "%s: transaction %" PRIu64 " ended meanwhile: %" PRIu32 " of its messages",
                  cli->dir, number, count);
        return CLI_NO;
    }
    return status;
}

static const struct cli_spec show_spec = {
    .command = "tx show",
    .operands = "DIR TRANSACTION",
    .about =
        "Prints the bodies of a transaction's messages, one per line, in the order in which they\n"
        "were appended, or with --json one object per line, which `append --jsonl' accepts.\n"
        "TRANSACTION is a number that `commitlog tx list' printed. It only reads.",
};

int tx_show(int argc, const char **argv)
{
    int json = 0;
    struct poptOption table[] = {
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per message", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t number = 0;
    if (!cli_parse(&cli, &show_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!cli_number(&cli, "TRANSACTION", cli.operand, 1, INT64_MAX, &number)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_LIST, NULL);
    if (status == CLI_DONE) {
        status = show_run(&cli, &store, number, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}
