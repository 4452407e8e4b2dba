/*
 * bench.c -- `commitlog bench`: options, the list of parts, results.
 */
#include "bench.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "record_out.h"
#include "watch.h"

static const struct cli_spec bench_spec = {
    .command = "bench",
    .operands = "",
    .about =
        "Measures this machine in a directory of its own below --dir, which is removed at the "
        "end.\n"
        "Parts: queues (100,000 queues: open files, memory, rate), overhead (bytes per record),\n"
        "append (1 KiB and 128 bytes, one thread, level none), durable (one thread and many), "
        "read\n"
        "(back in order, every record verified), recover (reopen after kill -9), consume (offsets\n"
        "of groups, receive and acknowledge), deliver (delayed messages, transactions). Rates\n"
        "are the best of --runs; the median stands beside. All parts together need 8 GiB of disk.",
};

static const struct {
    const char *name;
    int (*run)(struct bench *bench);
} bench_parts[] = {
    {"queues", bench_queues},   {"overhead", bench_overhead}, {"append", bench_append},
    {"durable", bench_durable}, {"read", bench_read},         {"recover", bench_recover},
    {"consume", bench_consume}, {"deliver", bench_deliver},
};

enum { BENCH_PARTS = sizeof(bench_parts) / sizeof(bench_parts[0]) };

void bench_add(struct bench_values *values, double value)
{
    assert(values->count < BENCH_RUNS_MAX);
    values->values[values->count++] = value;
}

static int bench_compare(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* "1,612,345" or "6.71". */
static void bench_number(double value, char *text, size_t size)
{
    if (value < 1000) {
        (void)snprintf(text, size, "%.2f", value);
        return;
    }
    char digits[32];
    const int length = snprintf(digits, sizeof(digits), "%.0f", value);
    size_t used = 0;
    assert(length > 0);
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            text[used++] = ',';
        }
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

static void bench_report_text(struct bench *bench, const char *name, const char *unit, double best,
                              const double *median, int goal_kind, double goal)
{
    char number[48];
    bench_number(best, number, sizeof(number));
    (void)out_format(&bench->cli->out, "%-46s %12s %-10s", name, number, unit);
    if (median != NULL) {
        bench_number(*median, number, sizeof(number));
        (void)out_format(&bench->cli->out, "  median %s", number);
    }
    if (goal_kind != BENCH_INFO) {
        const bool met = goal_kind == BENCH_AT_LEAST ? best >= goal : best <= goal;
        bench_number(goal, number, sizeof(number));
        (void)out_format(&bench->cli->out, "  goal: at %s %s, %s",
                         goal_kind == BENCH_AT_LEAST ? "least" : "most", number,
                         met ? "met" : "NOT MET");
    }
    (void)out_text(&bench->cli->out, "\n");
}

static void bench_report_json(struct bench *bench, const char *name, const char *unit, double best,
                              double median, const struct bench_values *values, json_t *goal)
{
    char whole[2 * BENCH_NAME];
    json_t *runs = json_array();
    for (uint32_t i = 0; i < values->count; i++) {
        (void)json_array_append_new(runs, json_real(values->values[i]));
    }
    if (name[0] != ' ') {
        (void)snprintf(bench->head, sizeof(bench->head), "%s", name);
        (void)snprintf(whole, sizeof(whole), "%s", name);
    } else {
        (void)snprintf(whole, sizeof(whole), "%s: %s", bench->head, name + strspn(name, " "));
    }
    (void)record_print_value(
        &bench->cli->out, json_pack("{s:s, s:s, s:f, s:f, s:o, s:o}", "name", whole, "unit", unit,
                                    "best", best, "median", median, "goal", goal, "runs", runs));
}

void bench_report(struct bench *bench, const char *name, const char *unit,
                  const struct bench_values *values, int goal_kind, double goal)
{
    assert(bench != NULL && values != NULL && values->count > 0);
    double sorted[BENCH_RUNS_MAX];
    memcpy(sorted, values->values, sizeof(sorted));
    qsort(sorted, values->count, sizeof(sorted[0]), bench_compare);
    const bool least = goal_kind == BENCH_AT_MOST || strcmp(unit, "ms") == 0;
    const double best = sorted[least ? 0 : values->count - 1];
    const double median = (sorted[(values->count - 1) / 2] + sorted[values->count / 2]) / 2;
    if (bench->json) {
        bench_report_json(bench, name, unit, best, median, values,
                          goal_kind == BENCH_INFO ? json_null() : json_real(goal));
    } else {
        bench_report_text(bench, name, unit, best, values->count > 1 ? &median : NULL, goal_kind,
                          goal);
    }
    (void)out_flush(&bench->cli->out);
}

void bench_report_one(struct bench *bench, const char *name, const char *unit, double value,
                      int goal_kind, double goal)
{
    struct bench_values values = {.count = 0};
    bench_add(&values, value);
    bench_report(bench, name, unit, &values, goal_kind, goal);
}

int bench_fail(struct bench *bench, int32_t rc, const struct commitlog_error *err)
{
    return cli_fail(bench->cli, bench->directory, rc, err);
}

int bench_options(struct bench *bench, uint64_t segment_bytes, struct commitlog_options **options)
{
    struct store store;
    const int status = store_prepare(bench->cli, &store, STORE_WRITE_OR_CREATE, bench->given);
    commitlog_progress_free(store.progress);
    *options = store.options;
    if (status != CLI_DONE) {
        return status;
    }
    struct commitlog_error err = {0};
    commitlog_options_set_progress(store.options, NULL);
    /* Borrows, as a program that links the library has them: nobody cuts these files short. */
    int32_t rc = commitlog_options_set(store.options, COMMITLOG_OPT_BORROW, 1, &err);
    if (rc == COMMITLOG_OK && segment_bytes != 0 && bench->given->segment_size == NULL) {
        rc = commitlog_options_set(store.options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, &err);
    }
    return rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, &err);
}

int bench_open(struct bench *bench, const char *name, const struct commitlog_options *options,
               struct commitlog_store **store)
{
    char path[BENCH_PATH];
    struct commitlog_error err = {0};
    bench_path(bench, name, path, sizeof(path));
    const int32_t rc = commitlog_open(path, options, store, &err);
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(bench->cli, path, rc, &err);
}

int bench_close(struct bench *bench, struct commitlog_store *store)
{
    struct commitlog_error err = {0};
    const int32_t rc = commitlog_close(store, &err);
    return rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, &err);
}

int bench_topic(struct bench *bench, struct commitlog_store *store, const char *name,
                uint32_t queues, uint32_t *topic)
{
    struct commitlog_error err = {0};
    const int32_t rc = commitlog_topic_open(store, name, strlen(name), queues, topic, &err);
    return rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, &err);
}

static bool bench_wanted(const char *only, const char *name)
{
    if (only == NULL) {
        return true;
    }
    const size_t length = strlen(name);
    for (const char *at = only; (at = strstr(at, name)) != NULL; at += length) {
        const bool begins = at == only || at[-1] == ',';
        if (begins && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Every word of --only names a part. */
static bool bench_check_only(struct cli *cli, const char *only)
{
    for (const char *word = only; word != NULL;) {
        const size_t length = strcspn(word, ",");
        bool known = false;
        for (size_t i = 0; i < BENCH_PARTS; i++) {
            known = known || (strlen(bench_parts[i].name) == length &&
                              strncmp(bench_parts[i].name, word, length) == 0);
        }
        if (!known) {
            (void)cli_usage(cli, "--only: there is no part \"%.*s\"", (int)length, word);
            return false;
        }
        word = word[length] == ',' ? word + length + 1 : NULL;
    }
    return true;
}

static int bench_run(struct bench *bench, const char *below, const char *only, bool keep)
{
    int status = bench_make_directory(bench, below);
    if (status != CLI_DONE) {
        return status;
    }
    for (size_t i = 0; status == CLI_DONE && i < BENCH_PARTS; i++) {
        if (bench_wanted(only, bench_parts[i].name) && !watch_ended(bench->cli->watch)) {
            status = bench_parts[i].run(bench);
        }
    }
    if (keep) {
        cli_error(bench->cli, "kept: %s", bench->directory);
    } else {
        bench_remove(bench->directory);
    }
    return status == CLI_DONE ? watch_status(bench->cli->watch) : status;
}

struct bench_option_texts {
    char *records;
    char *runs;
    char *threads;
    char *seconds;
    char *topics;
    char *queues;
    char *each;
};

static bool bench_numbers(struct bench *bench, const struct bench_option_texts *t)
{
    const struct {
        const char *option;
        const char *text;
        uint64_t initial;
        uint64_t maximum;
        uint64_t *value;
    } all[] = {
        {"--records", t->records, 1000000, 1000000000, &bench->records},
        {"--runs", t->runs, 3, BENCH_RUNS_MAX, &bench->runs},
        {"--threads", t->threads, 16, 1024, &bench->threads},
        {"--seconds", t->seconds, 2, 3600, &bench->seconds},
        {"--topics", t->topics, 1000, 1000000, &bench->topics},
        {"--queues", t->queues, 100, COMMITLOG_TOPIC_QUEUES_MAX, &bench->queues},
        {"--each", t->each, 10, 1000000, &bench->each},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].value = all[i].initial;
        if (all[i].text != NULL &&
            !cli_number(bench->cli, all[i].option, all[i].text, 1, all[i].maximum, all[i].value)) {
            return false;
        }
    }
    return true;
}

int command_bench(int argc, const char **argv)
{
    char *below = NULL;
    char *only = NULL;
    char *writer = NULL;
    int keep = 0;
    int json = 0;
    int sync = 0;
    struct bench_option_texts t = {0};
    struct store_options given = {0};
    struct poptOption table[] = {
        {"dir", 'd', POPT_ARG_STRING, &below, 0, "where (default $TMPDIR or /var/tmp)", "DIR"},
        {"only", '\0', POPT_ARG_STRING, &only, 0, "these parts, separated by commas", "PART,..."},
        {"records", '\0', POPT_ARG_STRING, &t.records, 0, "records per run (default 1000000)", "N"},
        {"runs", '\0', POPT_ARG_STRING, &t.runs, 0, "runs per rate (default 3)", "N"},
        {"threads", '\0', POPT_ARG_STRING, &t.threads, 0, "many threads (default 16)", "N"},
        {"seconds", '\0', POPT_ARG_STRING, &t.seconds, 0, "of each durable run (default 2)", "N"},
        {"topics", '\0', POPT_ARG_STRING, &t.topics, 0, "part queues: topics (default 1000)", "N"},
        {"queues", '\0', POPT_ARG_STRING, &t.queues, 0, "queues per topic (default 100)", "N"},
        {"each", '\0', POPT_ARG_STRING, &t.each, 0, "records per queue (default 10)", "N"},
        {"keep", '\0', POPT_ARG_NONE, &keep, 0, "do not remove the stores", NULL},
        {"json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object per result", NULL},
        {"writer", '\0', POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &writer, 0, NULL, NULL},
        {"sync", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &sync, 0, NULL, NULL},
        STORE_OPTIONS(&given),
        CLI_TABLE_END,
    };
    struct cli cli;
    int status;
    if (!cli_parse(&cli, &bench_spec, table, argc, argv, &status)) {
        return status;
    }
    struct bench bench = {.cli = &cli, .json = json != 0, .given = &given};
    if (!bench_numbers(&bench, &t) || !bench_check_only(&cli, only)) {
        return cli_end(&cli, CLI_CANNOT);
    }
    if (writer != NULL) {
        return cli_end(&cli, bench_writer(&bench, writer, sync != 0));
    }
    const char *fallback = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp";
    watch_start(&cli, WATCH_OUTPUT);
    status = bench_run(&bench, below != NULL ? below : fallback, only, keep != 0);
    return cli_end(&cli, status);
}
