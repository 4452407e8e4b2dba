/*
 * stat_print.c -- see stat_print.h.
 */
#include "stat_print.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "record_out.h"
#include "text.h"
#include "when.h"

enum { STAT_POSITIONS = 7, STAT_CELL = 32 };

struct stat_position {
    const char *name;
    uint64_t value;
};

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

/* "1.25 us": three digits, so that a column is easy to read. */
static void stat_duration(uint64_t ns, char *text, size_t size)
{
    static const struct {
        double ns;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        const double value = (double)ns / units[i].ns;
        if (value >= 0.9995) {
            const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
            (void)snprintf(text, size, "%.*f %s", digits, value, units[i].unit);
            return;
        }
    }
    (void)snprintf(text, size, "%" PRIu64 " ns", ns);
}

static void stat_cell(const struct commitlog_histogram *histogram, uint64_t value, char *text,
                      size_t size)
{
    if (strcmp(histogram->unit, "ns") == 0) {
        stat_duration(value, text, size);
    } else if (strcmp(histogram->unit, "bytes") == 0) {
        when_amount(value, text, size);
    } else {
        (void)snprintf(text, size, "%" PRIu64, value);
    }
}

static void stat_heading(struct cli *cli, const char *title)
{
    (void)out_format(&cli->out, "\n%-24s %12s", title, "counted");
    for (int i = 0; i < STAT_QUANTILES; i++) {
        (void)out_format(&cli->out, " %10s", stat_quantile_names[i]);
    }
    (void)out_format(&cli->out, " %10s\n", "max");
}

static void stat_row(struct cli *cli, const struct commitlog_histogram *histogram)
{
    char cell[STAT_CELL];
    char name[48];
    if (histogram->count == 0) {
        return;
    }
    (void)snprintf(name, sizeof(name), histogram->one_in > 1 ? "%s (1 in %" PRIu32 ")" : "%s",
                   histogram->name, histogram->one_in);
    (void)out_format(&cli->out, "%-24s %12" PRIu64, name, histogram->count);
    for (int i = 0; i < STAT_QUANTILES; i++) {
        stat_cell(histogram, commitlog_histogram_quantile(histogram, stat_quantiles[i]), cell,
                  sizeof(cell));
        (void)out_format(&cli->out, " %10s", cell);
    }
    stat_cell(histogram, histogram->max, cell, sizeof(cell));
    (void)out_format(&cli->out, " %10s\n", cell);
}

static void stat_table(struct cli *cli, const char *title, const struct stat_values *before,
                       const struct stat_values *now)
{
    stat_heading(cli, title);
    for (uint32_t i = 0; i < now->histogram_count; i++) {
        struct commitlog_histogram between;
        if (before == NULL) {
            stat_row(cli, &now->histograms[i]);
        } else {
            stat_between(before, now, i, &between);
            stat_row(cli, &between);
        }
    }
}

static void stat_head(struct cli *cli, const struct stat_values *now)
{
    char amount[STAT_CELL];
    when_amount(now->positions.published - now->positions.first, amount, sizeof(amount));
    (void)out_text(&cli->out, "store          ");
    (void)text_put_plain(&cli->out, (struct commitlog_slice){cli->dir, strlen(cli->dir)});
    (void)out_format(&cli->out, "\nepoch          %" PRIu32 "\nkept           %s\n",
                     now->positions.epoch, amount);
}

void stat_print_text(struct cli *cli, const struct stat_values *now)
{
    struct stat_position list[STAT_POSITIONS];
    stat_list(&now->positions, list);
    stat_head(cli, now);
    for (int i = 0; i < STAT_POSITIONS; i++) {
        (void)out_format(&cli->out, "%-14s %" PRIu64 "\n", list[i].name, list[i].value);
    }
    (void)out_text(&cli->out, "\n");
    for (uint32_t i = 0; i < now->counter_count; i++) {
        (void)out_format(&cli->out, "%-32s %" PRIu64 "\n", now->counters[i].name,
                         now->counters[i].value);
    }
    stat_table(cli, "since the store was opened", NULL, now);
}

static const char *const stat_rates[] = {"appends",    "appended_bytes", "batches",
                                         "reads",      "read_bytes",     "flushes",
                                         "room_waits", "checkpoints"};
enum { STAT_RATES = sizeof(stat_rates) / sizeof(stat_rates[0]) };

static void stat_rate_row(struct cli *cli, const struct stat_values *before,
                          const struct stat_values *now, const char *name)
{
    const struct stat_values nothing = {.counter_count = 0};
    char rate[STAT_CELL] = "-";
    char total[STAT_CELL];
    const bool bytes = strstr(name, "bytes") != NULL;
    const uint64_t all = stat_grown(&nothing, now, name);
    if (all == 0 && strcmp(name, stat_rates[0]) != 0) {
        return; /* a screen is small */
    }
    if (before != NULL && now->clock > before->clock) {
        const double per_s = (double)stat_grown(before, now, name) / (now->clock - before->clock);
        if (bytes) {
            when_amount((uint64_t)(per_s + 0.5), rate, sizeof(rate));
        } else {
            (void)snprintf(rate, sizeof(rate), "%.0f", per_s);
        }
    }
    if (bytes) {
        when_amount(all, total, sizeof(total));
    } else {
        (void)snprintf(total, sizeof(total), "%" PRIu64, all);
    }
    (void)out_format(&cli->out, "%-24s %12s %16s\n", name, rate, total);
}

void stat_print_screen(struct cli *cli, const struct stat_values *before,
                       const struct stat_values *now)
{
    const struct commitlog_positions *p = &now->positions;
    stat_head(cli, now);
    (void)out_format(&cli->out,
                     "published      %" PRIu64 "\nto be written  %" PRIu64
                     "\nto be flushed  %" PRIu64 "\n",
                     p->published, p->published - p->written, p->published - p->durable);
    (void)out_format(&cli->out, "\n%-24s %12s %16s\n", "", "a second", "in all");
    for (int i = 0; i < STAT_RATES; i++) {
        stat_rate_row(cli, before, now, stat_rates[i]);
    }
    if (before != NULL) {
        char title[48];
        (void)snprintf(title, sizeof(title), "last %.1f s", now->clock - before->clock);
        stat_table(cli, title, before, now);
    }
    stat_table(cli, "since the store was opened", NULL, now);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

/* Takes `value`; false: no memory. */
static bool stat_put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static bool stat_put_number(json_t *object, const char *name, uint64_t value)
{
    return stat_put(object, name, json_integer((json_int_t)value));
}

static json_t *stat_json_histogram(const struct commitlog_histogram *histogram)
{
    json_t *object = json_object();
    bool good = stat_put(object, "unit", json_string(histogram->unit)) &&
                stat_put_number(object, "one_in", histogram->one_in) &&
                stat_put_number(object, "count", histogram->count) &&
                stat_put_number(object, "sum", histogram->sum);
    for (int i = 0; good && i < STAT_QUANTILES; i++) {
        good = stat_put_number(object, stat_quantile_names[i],
                               commitlog_histogram_quantile(histogram, stat_quantiles[i]));
    }
    if (!good || !stat_put_number(object, "max", histogram->max)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *stat_json_histograms(const struct stat_values *before, const struct stat_values *now)
{
    json_t *object = json_object();
    for (uint32_t i = 0; i < now->histogram_count; i++) {
        struct commitlog_histogram it = now->histograms[i];
        if (before != NULL) {
            stat_between(before, now, i, &it);
        }
        if (!stat_put(object, it.name, stat_json_histogram(&it))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *stat_json_interval(const struct stat_values *before, const struct stat_values *now)
{
    json_t *object = json_object();
    json_t *grown = json_object();
    bool good = stat_put(object, "seconds", json_real(now->clock - before->clock));
    for (int i = 0; good && i < STAT_RATES; i++) {
        good = stat_put_number(grown, stat_rates[i], stat_grown(before, now, stat_rates[i]));
    }
    good = stat_put(object, "counters", grown) && good;
    if (!good || !stat_put(object, "histograms", stat_json_histograms(before, now))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

void stat_print_json(struct cli *cli, const struct stat_values *before,
                     const struct stat_values *now)
{
    struct stat_position list[STAT_POSITIONS];
    json_t *object = json_object();
    json_t *counters = json_object();
    bool good = stat_put(object, "time_ns", json_integer(now->time_ns)) &&
                stat_put_number(object, "epoch", now->positions.epoch);
    stat_list(&now->positions, list);
    for (int i = 0; good && i < STAT_POSITIONS; i++) {
        good = stat_put_number(object, list[i].name, list[i].value);
    }
    for (uint32_t i = 0; good && i < now->counter_count; i++) {
        good = stat_put_number(counters, now->counters[i].name, now->counters[i].value);
    }
    good = stat_put(object, "counters", counters) && good;
    good = good && stat_put(object, "histograms", stat_json_histograms(NULL, now));
    if (good && before != NULL) {
        good = stat_put(object, "interval", stat_json_interval(before, now));
    }
    if (!good) {
        json_decref(object);
        object = NULL;
    }
    (void)record_print_value(&cli->out, object);
}
