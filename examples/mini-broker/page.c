/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.c - the status page as HTML. See page.h.
 *
 * On a narrow screen each row of a table becomes a block: the name, then its numbers with their
 * words, which CSS takes from data-w.
 * Happy path: head, health, figures, tables. Failure modes: those of the buffer.
 */
#include "page.h"

#include "clients.h"
#include "connection.h"
#include "escape.h"
#include "ops.h"
#include "rates.h"

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<style>\n"
    ":root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--dim:#59636e;--line:#d1d9e0;"
    "--card:#f6f8fa;--link:#0550ae;--good:#116329;--bad:#a40e26}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--dim:#9198a1;"
    "--line:#3d444d;--card:#151b23;--link:#79b8ff;--good:#56d364;--bad:#ff8182}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:1rem;max-width:70rem;color:var(--fg);background:var(--bg);"
    "font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}\n"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .5rem}\n"
    "p{margin:.25rem 0}a{color:var(--link)}.dim{color:var(--dim)}\n"
    ".good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.5rem;"
    "margin:1rem 0}\n"
    "dl div{background:var(--card);border:1px solid var(--line);border-radius:.4rem;"
    "padding:.4rem .6rem}\n"
    "dt{color:var(--dim);font-size:.8rem}dd{margin:0;font-size:1.1rem;"
    "font-variant-numeric:tabular-nums}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;"
    "font-variant-numeric:tabular-nums}\n"
    "th{color:var(--dim);font-weight:500;font-size:.85rem;text-align:right}\n"
    "th,td{white-space:nowrap}\n"
    "th:first-child,td:first-child,.t{text-align:left;white-space:normal}\n"
    "@media(max-width:40em){thead{display:none}table,tbody{display:block}"
    "tr{display:flex;flex-wrap:wrap;gap:.1rem .9rem;padding:.4rem 0;"
    "border-bottom:1px solid var(--line)}"
    "td{border:0;padding:0;font-size:.95rem;white-space:normal}td:first-child{flex:0 0 "
    "100%;font-weight:600}"
    "td:empty{display:none}"
    "td[data-w]::before{content:attr(data-w) \" \";color:var(--dim);font-size:.85rem}}\n"
    "</style>\n";

/* ---- words and figures ----------------------------------------------------------------------- */

static void put_bytes(struct buffer *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    buffer_format(out, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void put_duration(struct buffer *out, int64_t ms)
{
    const int64_t seconds = ms < 0 ? 0 : ms / 1000;
    if (seconds < 60)
        buffer_format(out, "%lld s", (long long)seconds);
    else if (seconds < 3600)
        buffer_format(out, "%lld min %lld s", (long long)(seconds / 60), (long long)(seconds % 60));
    else if (seconds < 86400)
        buffer_format(out, "%lld h %lld min", (long long)(seconds / 3600),
                      (long long)(seconds / 60 % 60));
    else
        buffer_format(out, "%lld d %lld h", (long long)(seconds / 86400),
                      (long long)(seconds / 3600 % 24));
}

/* How long ago; nothing when it never was. */
static void put_age(struct buffer *out, const struct snapshot *snapshot, int64_t then_ms)
{
    if (then_ms <= 0)
        return;
    put_duration(out, snapshot->now_ms - then_ms);
    buffer_put_text(out, TEXT(" ago"));
}

static void put_rate(struct buffer *out, double rate)
{
    buffer_format(out, rate == 0 || rate >= 100 ? "%.0f/s" : "%.1f/s", rate);
}

static void put_u64(struct buffer *out, uint64_t value)
{
    buffer_format(out, "%llu", (unsigned long long)value);
}

static void figure(struct buffer *out, const char *word)
{
    buffer_format(out, "</dd></div>\n<div><dt>%s</dt><dd>", word);
}

/* Ends the cell before it. */
static void cell(struct buffer *out, const char *word)
{
    buffer_format(out, "</td><td data-w=\"%s\">", word);
}

static void put_more(struct buffer *out, size_t all, const char *what)
{
    if (all > PAGE_ROWS_MAX)
        buffer_format(out, "<p class=\"dim\">and %zu more %s</p>\n", all - PAGE_ROWS_MAX, what);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void put_head(struct buffer *out, const struct snapshot *snapshot, const char *what)
{
    const struct options *options = snapshot->broker->options;
    buffer_put_text(out, text_of(head));
    buffer_format(out, "<meta http-equiv=\"refresh\" content=\"%d\">\n<title>",
                  PAGE_REFRESH_SECONDS);
    escape_html(out, text_of(what));
    buffer_put_text(out, TEXT("</title></head><body>\n<h1>"));
    escape_html(out, text_of(what));
    buffer_put_text(out, TEXT("</h1>\n<p class=\"dim\">cluster "));
    escape_html(out, text_of(options->cluster));
    buffer_put_text(out, TEXT(" · at "));
    escape_html(out, text_of(options->advertise_text));
    buffer_format(out, " · mini-broker %s · up ", commitlog_version_text());
    put_duration(out, snapshot->now_ms - snapshot->broker->started_ms);
    buffer_put_text(out, TEXT("</p>\n"));
}

static void put_foot(struct buffer *out, const struct snapshot *snapshot)
{
    if (snapshot->left_out > 0)
        buffer_format(out, "<p class=\"dim\">%llu things are left out: there are too many</p>\n",
                      (unsigned long long)snapshot->left_out);
    buffer_format(out, "<p class=\"dim\">Every %d seconds anew.</p>\n</body></html>\n",
                  PAGE_REFRESH_SECONDS);
}

static void put_health(struct buffer *out, const struct snapshot *snapshot)
{
    if (snapshot->failure == COMMITLOG_OK && snapshot->full) {
        buffer_put_text(out, TEXT("<p>Store: <span class=\"bad\">full</span>: there is no room on "
                                  "the disk, and messages are refused until there is.</p>\n"));
    } else if (snapshot->failure == COMMITLOG_OK) {
        buffer_put_text(out, TEXT("<p>Store: <span class=\"good\">ok</span></p>\n"));
    } else {
        buffer_put_text(out, TEXT("<p>Store: <span class=\"bad\">failed</span>: "));
        escape_html(out, text_of(snapshot->failure_text));
        buffer_put_text(out, TEXT(". It takes nothing until the broker is started again.</p>\n"));
    }
    if (snapshot->broker->ops->reload_failed)
        buffer_put_text(out,
                        TEXT("<p><span class=\"bad\">The configuration has a mistake</span>, or "
                             "the accounts; what held before still does. The log says "
                             "more.</p>\n"));
}

static void put_figures(struct buffer *out, const struct snapshot *snapshot)
{
    const struct broker *broker = snapshot->broker;
    const struct commitlog_positions *at = &snapshot->positions;
    buffer_put_text(out, TEXT("<dl><div><dt>received</dt><dd>"));
    put_rate(out, rates_over(broker, RATES_PUT, RATE_SECONDS));
    figure(out, "delivered");
    put_rate(out, rates_over(broker, RATES_GET, RATE_SECONDS));
    figure(out, "received in all");
    put_u64(out, broker->put_count);
    figure(out, "delivered in all");
    put_u64(out, broker->get_count);
    figure(out, "connections");
    put_u64(out, connections_count(broker));
    figure(out, "pulls that wait");
    put_u64(out, snapshot->held);
    figure(out, "flush");
    buffer_put_text(out, broker->options->sync ? TEXT("sync") : TEXT("async"));
    figure(out, "log");
    put_bytes(out, at->published - at->first);
    figure(out, "not durable yet");
    put_bytes(out, at->published - at->durable);
    figure(out, "resident memory");
    put_bytes(out, snapshot->resident_bytes);
    figure(out, "disk free");
    put_bytes(out, snapshot->disk_free);
    buffer_put_text(out, TEXT(" of "));
    put_bytes(out, snapshot->disk_bytes);
    buffer_put_text(out, TEXT("</dd></div></dl>\n"));
}

static void put_topics(struct buffer *out, const struct snapshot *snapshot)
{
    buffer_put_text(out, TEXT("<h2>Topics</h2>\n<table><thead><tr><th>topic<th>queues<th>messages"
                              "<th>rate<th>last</tr></thead><tbody>\n"));
    for (size_t i = 0; i < snapshot->topic_count && i < PAGE_ROWS_MAX; i++) {
        const struct snapshot_topic *one = &snapshot->topics[i];
        const struct topic *topic = one->topic;
        buffer_put_text(out, TEXT("<tr><td><a href=\"/topic?name="));
        escape_query(out, topic->entry.name);
        buffer_put_text(out, TEXT("\">"));
        escape_html(out, topic->entry.name);
        buffer_put_text(out, TEXT("</a>"));
        if (topic->system)
            buffer_put_text(out, TEXT(" <span class=\"dim\">of the broker</span>"));
        cell(out, "queues");
        put_u64(out, topic_queues(topic));
        cell(out, "messages");
        put_u64(out, one->messages);
        cell(out, "rate");
        put_rate(out, one->rate);
        cell(out, "last");
        put_age(out, snapshot, one->last_ms);
        buffer_put_text(out, TEXT("</td></tr>\n"));
    }
    buffer_put_text(out, TEXT("</tbody></table>\n"));
    put_more(out, snapshot->topics_all, "topics");
}

static void put_lags(struct buffer *out, const struct snapshot *snapshot)
{
    buffer_put_text(out, TEXT("<h2>Consumer groups</h2>\n"));
    if (snapshot->lag_count == 0) {
        buffer_put_text(out, TEXT("<p class=\"dim\">None has consumed anything.</p>\n"));
        return;
    }
    buffer_put_text(out, TEXT("<table><thead><tr><th>group<th class=\"t\">topic<th>consumers<th>lag"
                              "<th>oldest</tr></thead><tbody>\n"));
    for (size_t i = 0; i < snapshot->lag_count && i < PAGE_ROWS_MAX; i++) {
        const struct snapshot_lag *lag = &snapshot->lags[i];
        const struct text group = lag->group->entry.name;
        const struct audience *audience = clients_consumers(snapshot->broker, group);
        buffer_put_text(out, TEXT("<tr><td>"));
        escape_html(out, group);
        buffer_put_text(out, TEXT("</td><td class=\"t\" data-w=\"of\">"));
        escape_html(out, lag->topic->entry.name);
        cell(out, "consumers");
        put_u64(out, audience == NULL ? 0 : audience->member_count);
        cell(out, "lag");
        put_u64(out, lag->messages);
        cell(out, "oldest");
        put_age(out, snapshot, lag->oldest_ms);
        buffer_put_text(out, TEXT("</td></tr>\n"));
    }
    buffer_put_text(out, TEXT("</tbody></table>\n"));
    put_more(out, snapshot->lag_count, "groups and topics");
}

static void put_queues(struct buffer *out, const struct snapshot *snapshot,
                       const struct snapshot_topic *one)
{
    buffer_put_text(out, TEXT("<h2>Queues</h2>\n"));
    if (one->queue_count == 0) {
        buffer_put_text(out, TEXT("<p class=\"dim\">Nothing was ever sent to it.</p>\n"));
        return;
    }
    buffer_put_text(out, TEXT("<table><thead><tr><th>queue<th>first<th>next<th>messages<th>last"
                              "</tr></thead><tbody>\n"));
    for (uint32_t queue = 0; queue < one->queue_count && queue < PAGE_ROWS_MAX; queue++) {
        const struct snapshot_queue *at = &snapshot->queues[one->queue + queue];
        buffer_format(out, "<tr><td>queue %u", queue);
        cell(out, "first");
        put_u64(out, at->first);
        cell(out, "next");
        put_u64(out, at->next);
        cell(out, "messages");
        put_u64(out, at->next - at->first);
        cell(out, "last");
        put_age(out, snapshot, at->last_ms);
        buffer_put_text(out, TEXT("</td></tr>\n"));
    }
    buffer_put_text(out, TEXT("</tbody></table>\n"));
    put_more(out, one->queue_count, "queues");
}

void page_put(struct buffer *out, const struct snapshot *snapshot)
{
    put_head(out, snapshot, snapshot->broker->options->name);
    put_health(out, snapshot);
    put_figures(out, snapshot);
    put_topics(out, snapshot);
    put_lags(out, snapshot);
    put_foot(out, snapshot);
}

void page_put_topic(struct buffer *out, const struct snapshot *snapshot)
{
    const struct snapshot_topic *one = &snapshot->topics[0];
    put_head(out, snapshot, one->topic->entry.name.data);
    buffer_put_text(out, TEXT("<p><a href=\"/\">all topics</a></p>\n"));
    put_health(out, snapshot);
    buffer_format(out,
                  "<p>%u queues to read, %u to write; %llu messages; %.1f a second received.</p>\n",
                  one->topic->read_queues, one->topic->write_queues,
                  (unsigned long long)one->messages, one->rate);
    put_queues(out, snapshot, one);
    put_lags(out, snapshot);
    put_foot(out, snapshot);
}
