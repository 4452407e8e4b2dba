/*
 * timer.c -- `commitlog timer list` and `commitlog timer cancel`: messages that wait for their
 * time.
 *
 * Invariants: list opens read-only and runs beside a writer; its order is that of the due times,
 *       then of the handles. cancel holds the writer's lock, and opens the store without upkeep, so
 *       that it does not deliver the very message that it is to cancel.
 * Threads and locks: the main thread.
 * Happy path: list: all timers into memory, sorted, printed. cancel: one record.
 * Failure modes: reported here, with the exit code as result. A timer that does not wait is CLI_NO.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "open.h"
#include "record_out.h"
#include "text.h"
#include "watch.h"
#include "when.h"

enum { TIMER_MS_NS = 1000000, TIMER_WALKS_MAX = 4 };

/* ---- list ------------------------------------------------------------------------------------ */

struct timer_table {
    struct commitlog_timer_info *infos;
    size_t count;
    size_t capacity;
};

static bool timer_add(struct timer_table *table, const struct commitlog_timer_info *info)
{
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity == 0 ? 256 : table->capacity * 2;
        struct commitlog_timer_info *infos =
            realloc(table->infos, capacity * sizeof(*table->infos));
        if (infos == NULL) {
            return false;
        }
        table->infos = infos;
        table->capacity = capacity;
    }
    table->infos[table->count++] = *info;
    return true;
}

/* By due time, then handle; of one that was seen twice, where its message was carried to first. */
static int timer_compare(const void *left, const void *right)
{
    const struct commitlog_timer_info *a = left;
    const struct commitlog_timer_info *b = right;
    if (a->deliver_at_ms != b->deliver_at_ms) {
        return a->deliver_at_ms < b->deliver_at_ms ? -1 : 1;
    }
    if (a->timer != b->timer) {
        return a->timer < b->timer ? -1 : 1;
    }
    return (a->position < b->position) - (a->position > b->position);
}

static void timer_sort(struct timer_table *table)
{
    size_t kept = 0;
    if (table->count == 0) {
        return;
    }
    qsort(table->infos, table->count, sizeof(*table->infos), timer_compare);
    for (size_t i = 0; i < table->count; i++) {
        if (kept == 0 || table->infos[kept - 1].timer != table->infos[i].timer) {
            table->infos[kept++] = table->infos[i];
        }
    }
    table->count = kept;
}

static uint64_t timer_visible(struct commitlog_store *store)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    return commitlog_positions_get(store, &positions) == COMMITLOG_OK ? positions.visible : 0;
}

static int timer_walk(struct cli *cli, struct commitlog_store *store, struct timer_table *table)
{
    for (uint32_t i = 0; !watch_ended(cli->watch); i++) {
        struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_timer_at(store, i, &info);
        if (rc == COMMITLOG_ENOTFOUND) {
            break;
        }
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, NULL);
        }
        if (!timer_add(table, &info)) {
            cli_error(cli, "not enough memory");
            return CLI_CANNOT;
        }
    }
    return CLI_DONE;
}

/* A delivery moves the others: one could slip by a single walk beside a writer. So there are more
 * of them then, and what any of them has seen is listed. */
static int timer_collect(struct cli *cli, struct commitlog_store *store, struct timer_table *table)
{
    int status = CLI_DONE;
    uint64_t before = timer_visible(store);
    for (int walks = 0; status == CLI_DONE && walks < TIMER_WALKS_MAX; walks++) {
        status = timer_walk(cli, store, table);
        const uint64_t after = timer_visible(store);
        if (after == before) {
            break;
        }
        before = after;
    }
    timer_sort(table);
    return status;
}

static bool timer_print_row(struct cli *cli, const struct commitlog_timer_info *info,
                            const char *topic, int64_t wait_ms)
{
    char due[32];
    char span[32];
    char wait[48];
    char queue[16] = "-";
    when_format(info->deliver_at_ms * TIMER_MS_NS, due, sizeof(due));
    when_span((uint64_t)(wait_ms < 0 ? -wait_ms : wait_ms), span, sizeof(span));
    (void)snprintf(wait, sizeof(wait), wait_ms < 0 ? "%s overdue" : "in %s", span);
    const struct commitlog_slice name = {topic[0] != '\0' ? topic : "-",
                                         topic[0] != '\0' ? strlen(topic) : 1};
    if (topic[0] != '\0') {
        (void)snprintf(queue, sizeof(queue), "%" PRIu32, info->queue);
    }
    return out_format(&cli->out, "%-12" PRIu64 "  %-24s  %-14s  ", info->timer, due, wait) &&
           text_put_column(&cli->out, name, 20) &&
           out_format(&cli->out, " %6s %12" PRIu64 "\n", queue, info->position);
}

static bool timer_print_object(struct cli *cli, const struct commitlog_timer_info *info,
                               const char *topic, int64_t wait_ms)
{
    const bool known = topic[0] != '\0';
    return record_print_value(
        &cli->out, json_pack("{s:I, s:I, s:I, s:o, s:o, s:I}", "timer", (json_int_t)info->timer,
                             "deliver_at_ms", (json_int_t)info->deliver_at_ms, "wait_ms",
                             (json_int_t)wait_ms, "topic", known ? json_string(topic) : json_null(),
                             "queue", known ? json_integer((json_int_t)info->queue) : json_null(),
                             "position", (json_int_t)info->position));
}

static int timer_print(struct cli *cli, struct commitlog_store *store,
                       const struct timer_table *table, uint64_t limit, bool json)
{
    struct record_names names = {.store = store};
    const int64_t now_ms = when_now_ns() / TIMER_MS_NS;
    const size_t shown = limit < table->count ? (size_t)limit : table->count;
    bool good = true;
    if (!json) {
        good = out_format(&cli->out, "%-12s  %-24s  %-14s  %-20s %6s %12s\n", "TIMER", "DUE",
                          "WAITS", "TOPIC", "QUEUE", "POSITION");
    }
    for (size_t i = 0; good && i < shown && !watch_ended(cli->watch); i++) {
        const struct commitlog_timer_info *info = &table->infos[i];
        const char *topic = record_topic(&names, info->topic);
        const int64_t wait_ms = info->deliver_at_ms - now_ms;
        good = json ? timer_print_object(cli, info, topic, wait_ms)
                    : timer_print_row(cli, info, topic, wait_ms);
    }
    if (!json && good && shown < table->count) {
        (void)out_format(&cli->out, "%zu of %zu timers\n", shown, table->count);
    } else if (!json && good) {
        (void)out_format(&cli->out, "%zu timer%s\n", shown, shown == 1 ? "" : "s");
    }
    return watch_status(cli->watch);
}

static const struct cli_spec list_spec = {
    .command = "timer list",
    .operands = "DIR",
    .about =
        "Lists the messages that wait for their time, by that time: the handle of the timer, when\n"
        "it is due, in how long or since when, where the message goes, and where it lies now, for\n"
        "`commitlog get'. --json prints one object per timer. It only reads.",
};

static int timer_list(int argc, const char **argv)
{
    char *limit = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"limit", 'n', POPT_ARG_STRING, &limit, 0, "only the N that are due first", "N"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per timer", NULL},
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
    struct timer_table timers = {0};
    watch_start(&cli, WATCH_OUTPUT);
    status = store_open(&cli, &store, STORE_LIST, NULL);
    if (status == CLI_DONE) {
        status = timer_collect(&cli, store.handle, &timers);
    }
    if (status == CLI_DONE) {
        status = timer_print(&cli, store.handle, &timers, most, json != 0);
    }
    free(timers.infos);
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static const struct cli_spec cancel_spec = {
    .command = "timer cancel",
    .operands = "DIR TIMER",
    .about = "Ends a timer: its message will not be delivered. TIMER is the handle that\n"
             "`commitlog append --acks' and `commitlog timer list' print. Exit status 1 when no\n"
             "message waits under it: it was delivered, or cancelled, or never delayed.",
};

/* Why no message waits under this handle, as far as the log still tells. */
static int timer_missing(struct cli *cli, struct store *store, uint64_t timer)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    char why[64] = "there is no message that was delayed";
    const int32_t rc = commitlog_get(store->handle, timer, &message, &lease, NULL);
    const uint64_t handle = rc == COMMITLOG_OK ? record_timer(&message) : 0;
    if (handle == timer) {
        (void)snprintf(why, sizeof(why), "it was delivered or cancelled");
    } else if (handle != 0) {
        (void)snprintf(why, sizeof(why), "what lies there is of timer %" PRIu64, handle);
    } else if (timer < CLI_FIRST_POSITION) {
        (void)snprintf(why, sizeof(why), "there is no record there");
    } else if (rc == COMMITLOG_ETOOSMALL) {
        (void)snprintf(why, sizeof(why), "what lay there is no longer kept");
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EHOLE) {
        commitlog_lease_release(lease);
    }
    cli_error(cli, "%s: no timer %" PRIu64 " waits: %s (commitlog timer list %s lists them)",
              cli->dir, timer, why, cli->dir);
    return CLI_NO;
}

static int timer_cancel_run(struct cli *cli, struct store *store, uint64_t timer, uint32_t level,
                            bool json)
{
    struct commitlog_error err = {0};
    const int32_t rc = commitlog_timer_cancel(store->handle, timer, level, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        return timer_missing(cli, store, timer);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, &err);
    }
    if (json) {
        (void)record_print_value(
            &cli->out, json_pack("{s:I, s:b}", "timer", (json_int_t)timer, "cancelled", 1));
    }
    return cli_done(cli, "timer %" PRIu64 " is cancelled", timer);
}

static int timer_cancel(int argc, const char **argv)
{
    static char no_thread[] = "thread=0";
    char *others[] = {no_thread, NULL};
    const struct store_options given = {.others = others};
    char *level_text = NULL;
    int json = 0;
    struct poptOption table[] = {
        {"level", 'l', POPT_ARG_STRING, &level_text, 0,
         "what the cancellation survives when it is acknowledged (default: durable)",
         "none|written|durable"},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "what was cancelled as a JSON object", NULL},
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    uint64_t timer = 0;
    uint32_t level = COMMITLOG_LEVEL_DURABLE;
    if (!cli_parse(&cli, &cancel_spec, table, argc, argv, &status)) {
        return status;
    }
    if (!cli_number(&cli, "TIMER", cli.operand, 1, INT64_MAX, &timer) ||
        !cli_level(&cli, level_text, &level)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    struct store store;
    watch_start(&cli, WATCH_SIGNALS);
    status = store_open(&cli, &store, STORE_WRITE, &given);
    if (status == CLI_DONE) {
        status = timer_cancel_run(&cli, &store, timer, level, json != 0);
    }
    status = store_close(&cli, &store, status);
    return cli_end(&cli, status);
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct cli_action timer_actions[] = {
    {"list", timer_list, "list the messages that wait, by their time"},
    {"cancel", timer_cancel, "end a timer: its message is not delivered"},
};

int command_timer(int argc, const char **argv)
{
    static const struct cli_actions set = {
        .command = "timer",
        .operands = "DIR [OPTION...]",
        .about = "Delayed messages: `commitlog append --delay' stores them, and a process that\n"
                 "has the store open for writing delivers each when its time has come.",
        .actions = timer_actions,
        .count = sizeof(timer_actions) / sizeof(timer_actions[0]),
    };
    return cli_run_action(&set, argc, argv);
}
