/*
 * tx_append.c -- `commitlog tx append`: lines of standard input, all of them or none.
 *
 * Invariants: what is appended takes effect by one commit when the input has ended, and by nothing
 *       else; a bad line, a signal, a store or an input that fails: it is rolled back. Groups,
 *       topics and queues of offsets are looked up before a line is read.
 * Threads and locks: the main thread, with the writer's lock.
 * Happy path: open -> wait for input -> begin, offsets -> the loop of append -> commit or prepare.
 * Failure modes: reported here and in append_store.c.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "append.h"
#include "bar.h"
#include "lines.h"
#include "offset_in.h"
#include "record_out.h"
#include "text.h"
#include "tx.h"
#include "watch.h"
#include "when.h"

enum { TX_GROUP_MAX_BYTES = 255 };
/* 30 days. */
#define TX_SPAN_MAX_MS UINT64_C(2592000000)

struct tx_options {
    struct append_options records;
    char *producer_group;
    char *group;
    char **offsets;
    char *epoch;
    char *level;
    char *timeout;
    char *expire;
    int prepare;
    int json;
};

struct tx_append {
    struct append append;
    const struct tx_options *given;
    struct commitlog_transaction_options options;
    struct commitlog_group *group; /* of the offsets */
    struct commitlog_group_offset *offsets;
    struct commitlog_slice *topics; /* of the offsets; in `given` */
    uint32_t offset_count;
    uint32_t epoch;
    uint32_t level; /* of the commit or the prepare: records wait for none */
};

static const struct cli_spec append_spec = {
    .command = "tx append",
    .operands = "DIR",
    .about =
        "Appends one record per line of standard input, as `commitlog append' does, all in one\n"
        "transaction, and commits it when the input has ended: they take effect together. With\n"
        "--prepare it prints the transaction's number instead, and `commitlog tx commit' or\n"
        "`commitlog tx rollback' decides. After a bad line or a signal nothing takes effect.\n\n"
        "--group and --offset commit what a consumer group has consumed in the same transaction:\n"
        "  commitlog read s -t orders -q 0 --from 40 --max 9 --json | ./bill |\n"
        "    commitlog tx append s -t bills -p billing --group billing --offset orders/0=49",
};

/* ---- options --------------------------------------------------------------------------------- */

static bool tx_span(struct cli *cli, const char *option, const char *text, int64_t *ms)
{
    uint64_t span = 0;
    if (text == NULL) {
        return true;
    }
    if (!when_parse_age(text, &span) || span == 0 || span > TX_SPAN_MAX_MS) {
        (void)cli_usage(cli, "%s: \"%s\" is not a duration from 1ms to 30d", option, text);
        return false;
    }
    *ms = (int64_t)span;
    return true;
}

static bool tx_own_options(struct tx_append *tx)
{
    const struct tx_options *o = tx->given;
    struct cli *cli = tx->append.cli;
    if (o->producer_group == NULL) {
        (void)cli_usage(cli, "--producer-group is missing: who is asked how it ended?");
        return false;
    }
    const struct commitlog_slice name = {o->producer_group, strlen(o->producer_group)};
    if (name.bytes == 0 || name.bytes > TX_GROUP_MAX_BYTES || !text_is_utf8(name)) {
        (void)cli_usage(cli, "--producer-group: a name has 1 to %d bytes of UTF-8",
                        TX_GROUP_MAX_BYTES);
        return false;
    }
    if (o->expire != NULL && !o->prepare) {
        (void)cli_usage(cli, "--expire is for --prepare");
        return false;
    }
    tx->options.struct_bytes = sizeof(tx->options);
    return tx_span(cli, "--timeout", o->timeout, &tx->options.timeout_ms) &&
           tx_span(cli, "--expire", o->expire, &tx->options.prepared_ms) &&
           cli_level(cli, o->level, &tx->level);
}

/* --group, --offset and --epoch; the topics are found when the store is open. */
static bool tx_offset_options(struct tx_append *tx)
{
    const struct tx_options *o = tx->given;
    struct cli *cli = tx->append.cli;
    uint64_t epoch = 0;
    uint32_t count = 0;
    while (o->offsets != NULL && o->offsets[count] != NULL &&
           count <= COMMITLOG_GROUP_OFFSETS_MAX) {
        count++;
    }
    if ((o->group == NULL) != (count == 0)) {
        (void)cli_usage(cli, "--group and --offset need each other");
        return false;
    }
    if (count > COMMITLOG_GROUP_OFFSETS_MAX) {
        (void)cli_usage(cli, "--offset: at most %d of them", COMMITLOG_GROUP_OFFSETS_MAX);
        return false;
    }
    if (o->epoch != NULL && count == 0) {
        (void)cli_usage(cli, "--epoch is for --group and --offset");
        return false;
    }
    if (o->epoch != NULL && !cli_number(cli, "--epoch", o->epoch, 1, UINT32_MAX, &epoch)) {
        return false;
    }
    tx->epoch = (uint32_t)epoch;
    tx->offset_count = count;
    tx->offsets = calloc(count + 1, sizeof(*tx->offsets));
    tx->topics = calloc(count + 1, sizeof(*tx->topics));
    if (tx->offsets == NULL || tx->topics == NULL) {
        cli_error(cli, "not enough memory");
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!offset_parse(cli, o->offsets[i], &tx->topics[i], &tx->offsets[i])) {
            return false;
        }
    }
    return true;
}

/* ---- offsets --------------------------------------------------------------------------------- */

static int tx_find_queue(struct tx_append *tx, uint32_t i)
{
    struct cli *cli = tx->append.cli;
    struct store *store = &tx->append.store;
    const struct commitlog_slice topic = tx->topics[i];
    struct commitlog_group_offset *offset = &tx->offsets[i];
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_error err = {0};
    char name[COMMITLOG_TOPIC_NAME_MAX_BYTES + 1];
    (void)snprintf(name, sizeof(name), "%.*s", (int)topic.bytes, (const char *)topic.data);
    int32_t rc =
        commitlog_topic_open(store->handle, topic.data, topic.bytes, 0, &offset->topic, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return store_no_topic(cli, store, name);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(store->handle, offset->topic, &info);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, name, rc, &err);
    }
    if (offset->queue >= info.queues_total) {
        cli_error(cli, "%s: there is no queue %" PRIu32 ": the topic has %" PRIu32 " of them", name,
                  offset->queue, info.queues_total);
        return CLI_NO;
    }
    return CLI_DONE;
}

static int tx_find_offsets(struct tx_append *tx)
{
    struct cli *cli = tx->append.cli;
    struct store *store = &tx->append.store;
    struct commitlog_error err = {0};
    int status = CLI_DONE;
    if (tx->offset_count == 0) {
        return CLI_DONE;
    }
    const char *name = tx->given->group;
    const int32_t rc = commitlog_group_open(store->handle, name, strlen(name), 0, &tx->group, &err);
    if (rc != COMMITLOG_OK) {
        return rc == COMMITLOG_ENOTFOUND ? store_no_group(cli, store, name)
                                         : cli_fail(cli, cli->dir, rc, &err);
    }
    for (uint32_t i = 0; status == CLI_DONE && i < tx->offset_count; i++) {
        status = tx_find_queue(tx, i);
    }
    return status;
}

/* The group's offsets were refused, now or at the commit, or something else failed. */
static int tx_tell(struct tx_append *tx, int32_t code, const struct commitlog_error *err)
{
    struct cli *cli = tx->append.cli;
    for (uint32_t i = 0; i < tx->offset_count; i++) {
        if (offset_tell_refused(cli, tx->append.store.handle, tx->group, code, &tx->offsets[i])) {
            return cli_status(code);
        }
    }
    return cli_fail(cli, cli->dir, code, err);
}

/* ---- the transaction ------------------------------------------------------------------------- */

static int tx_begin(struct tx_append *tx)
{
    struct append *append = &tx->append;
    struct commitlog_error err = {0};
    const char *name = tx->given->producer_group;
    int32_t rc = commitlog_transaction_begin(append->store.handle, name, strlen(name), &tx->options,
                                             &append->transaction, &err);
    if (rc == COMMITLOG_OK && tx->offset_count > 0) {
        rc = commitlog_transaction_offsets(append->transaction, tx->group, tx->epoch, tx->offsets,
                                           tx->offset_count, &err);
    }
    return rc == COMMITLOG_OK ? CLI_DONE : tx_tell(tx, rc, &err);
}

/* Nobody but the library can have ended it. */
static void tx_tell_over(struct tx_append *tx)
{
    struct append *append = &tx->append;
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    const uint64_t number = commitlog_transaction_id(append->transaction);
    if (number != 0 &&
        (commitlog_transaction_next(append->store.handle, number - 1, &info) != COMMITLOG_OK ||
         info.transaction != number)) {
        cli_error(append->cli, "its time was over: --timeout gives it more than %s",
                  tx->given->timeout != NULL ? tx->given->timeout : "1m");
    }
}

static int tx_print(struct tx_append *tx, uint64_t messages)
{
    struct out *out = &tx->append.cli->out;
    const uint64_t number = commitlog_transaction_id(tx->append.transaction);
    const char *state = tx->given->prepare ? "prepared" : "committed";
    if (tx->given->json) {
        (void)record_print_value(out, json_pack("{s:I, s:s, s:I, s:I}", "transaction",
                                                (json_int_t)number, "state", state, "messages",
                                                (json_int_t)messages, "offsets",
                                                (json_int_t)tx->offset_count));
    } else if (tx->given->prepare) {
        (void)out_format(out, "%" PRIu64 "\n", number);
    }
    if (number == 0) { /* offsets alone need none */
        return cli_done(tx->append.cli, "the offsets are committed");
    }
    return cli_done(tx->append.cli, "transaction %" PRIu64 " is %s", number, state);
}

/* All lines were good. */
static int tx_finish(struct tx_append *tx, uint64_t messages)
{
    struct append *append = &tx->append;
    struct commitlog_error err = {0};
    if (messages == 0 && tx->offset_count == 0) {
        cli_error(append->cli, "standard input is empty: a transaction of nothing was not stored");
        return CLI_NO;
    }
    const int32_t rc =
        tx->given->prepare
            ? commitlog_transaction_prepare(append->transaction, tx->level, COMMITLOG_FOREVER, &err)
            : commitlog_transaction_commit(append->transaction, tx->level, COMMITLOG_FOREVER, NULL,
                                           &err);
    if (rc == COMMITLOG_OK) {
        return tx_print(tx, messages);
    }
    const char *become = tx->given->prepare ? "prepared" : "committed";
    const uint64_t number = commitlog_transaction_id(append->transaction);
    tx_tell_outcome(append->cli, number, become, rc);
    const int status = tx_tell(tx, rc, &err);
    tx_tell_over(tx);
    return status;
}

static int tx_lines(struct tx_append *tx, struct lines *lines)
{
    struct append *append = &tx->append;
    struct cli *cli = append->cli;
    struct bar bar;
    /* Its time begins when there is something to append. */
    (void)lines_wait(lines);
    int status = watch_ended(cli->watch) ? CLI_DONE : tx_begin(tx);
    if (status == CLI_DONE && !watch_ended(cli->watch)) {
        bar_start(&bar, cli, "appending", NULL, false);
        status = append_lines(append, lines, &bar);
        bar_stop(&bar);
        if (status != CLI_DONE) {
            tx_tell_over(tx);
        }
    }
    if (watch_ended(cli->watch)) {
        return watch_status(cli->watch);
    }
    return status == CLI_DONE ? tx_finish(tx, lines->number) : status;
}

static int tx_run(struct tx_append *tx)
{
    struct append *append = &tx->append;
    struct cli *cli = append->cli;
    struct lines lines;
    watch_start(cli, WATCH_SIGNALS);
    /* A store that is new has no group whose offsets could be committed. */
    int status =
        store_open(cli, &append->store, tx->offset_count == 0 ? STORE_WRITE_OR_CREATE : STORE_WRITE,
                   &tx->given->records.store);
    if (status == CLI_DONE) {
        status = tx_find_offsets(tx);
    }
    if (status == CLI_DONE) {
        status = append_begin(append);
    }
    if (status == CLI_DONE && !lines_init(&lines, 0, cli->watch)) {
        cli_error(cli, "not enough memory");
        status = CLI_CANNOT;
    } else if (status == CLI_DONE) {
        status = tx_lines(tx, &lines);
        lines_free(&lines);
    }
    /* Rolls back what is neither committed nor prepared. */
    commitlog_transaction_close(append->transaction);
    append->transaction = NULL;
    commitlog_group_close(tx->group);
    return store_close(cli, &append->store, status);
}

int tx_append(int argc, const char **argv)
{
    struct tx_options o = {0};
    struct poptOption table[] = {
        APPEND_RECORD_OPTIONS(&o.records),
        {"producer-group", 'p', POPT_ARG_STRING, &o.producer_group, 0,
         "who is asked how a transaction ended", "NAME"},
        {"group", 'g', POPT_ARG_STRING, &o.group, 0, "the consumer group of the offsets", "GROUP"},
        {"offset", '\0', POPT_ARG_ARGV, &o.offsets, 0,
         "a queue and the next offset to consume, committed too; may be repeated",
         "TOPIC/QUEUE=OFFSET"},
        {"epoch", 'e', POPT_ARG_STRING, &o.epoch, 0, "commit them as a member of this epoch", "N"},
        {"prepare", '\0', POPT_ARG_NONE, &o.prepare, 0,
         "do not commit: print the number, by which somebody commits or rolls back", NULL},
        {"timeout", '\0', POPT_ARG_STRING, &o.timeout, 0,
         "roll back when it is not committed or prepared so long after its first line (default 1m)",
         "DURATION"},
        {"expire", '\0', POPT_ARG_STRING, &o.expire, 0,
         "with --prepare: roll back when nobody has decided for so long (default 1d)", "DURATION"},
        {"level", 'l', POPT_ARG_STRING, &o.level, 0,
         "what the transaction survives when the command ends: this process, the same from the "
         "page cache, the machine (default)",
         "none|written|durable"},
        {"json", '\0', POPT_ARG_NONE, &o.json, 0, "number and state as a JSON object", NULL},
        STORE_OPTIONS(&o.records.store),
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &append_spec, table, argc, argv, &status)) {
        return status;
    }
    struct tx_append tx = {.append = {.cli = &cli, .level = COMMITLOG_LEVEL_NONE}, .given = &o};
    if (!append_take_options(&tx.append, &o.records) || !tx_own_options(&tx) ||
        !tx_offset_options(&tx)) {
        status = CLI_CANNOT;
    } else {
        status = tx_run(&tx);
    }
    append_free(&tx.append);
    free(tx.offsets);
    free(tx.topics);
    return cli_end(&cli, status);
}
