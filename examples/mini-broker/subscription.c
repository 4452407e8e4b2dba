/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * subscription.c - "TagA || TagB", "*", or "price > 3". See subscription.h.
 *
 * Happy path: one block of memory for the names, one for the tags, a compiled filter. Failure
 * modes: NULL with err.
 */
#include "subscription.h"

#include "tags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAGS_MAX = 1024, ALLOCATIONS_COST = 96 };
enum { FILTER_COST = 256, COMPARISON_COST = 96, COMPARISON_TEXT = 2 /* bytes, at least */ };

static struct text trim(struct text text)
{
    while (text.bytes > 0 && text.data[0] == ' ') {
        text.data++;
        text.bytes--;
    }
    while (text.bytes > 0 && text.data[text.bytes - 1] == ' ')
        text.bytes--;
    return text;
}

/* The next part of a list with "||" between, which is cut off in front. */
static bool next_tag(struct text *rest, struct text *out)
{
    if (rest->data == NULL)
        return false;
    const char *bar = memmem(rest->data, rest->bytes, "||", 2);
    const size_t bytes = bar == NULL ? rest->bytes : (size_t)(bar - rest->data);
    *out = trim((struct text){rest->data, bytes});
    *rest = bar == NULL ? (struct text){0} : (struct text){bar + 2, rest->bytes - bytes - 2};
    return true;
}

static bool parse_tags(struct subscription *subscription)
{
    const struct text all = trim(subscription->expression);
    if (all.bytes == 0 || text_equal(all, TEXT("*")))
        return true;
    struct text rest = all, tag;
    uint32_t count = 0, longs = 0;
    while (next_tag(&rest, &tag)) {
        count += tag.bytes > 0;
        longs += tag_is_long(tag);
    }
    if (count > TAGS_MAX)
        return false;
    subscription->tags_bytes = count * sizeof *subscription->tags + longs * TAG_SUBSTITUTE_BYTES;
    subscription->tags = malloc(subscription->tags_bytes + 1);
    if (subscription->tags == NULL)
        return false;
    char *substitute = (char *)(subscription->tags + count);
    rest = all;
    while (next_tag(&rest, &tag)) {
        if (tag.bytes == 0)
            continue;
        const struct text stored = tag_stored(tag, substitute);
        substitute += tag_is_long(tag) ? TAG_SUBSTITUTE_BYTES : 0;
        subscription->tags[subscription->tag_count++] =
            (struct commitlog_slice){stored.data, stored.bytes};
    }
    return true;
}

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$';
}

/* The next word, or what is in quotes, as a whole, or one character of something else. */
static struct text next_token(struct text *rest)
{
    size_t bytes = 1;
    const char quote = rest->data[0];
    if (quote == '\'' || quote == '"') { /* one that is written twice begins another token */
        const char *end = memchr(rest->data + 1, quote, rest->bytes - 1);
        bytes = end == NULL ? rest->bytes : (size_t)(end - rest->data) + 1;
    }
    while (in_name(quote) && bytes < rest->bytes && in_name(rest->data[bytes]))
        bytes++;
    const struct text token = {rest->data, bytes};
    rest->data += bytes;
    rest->bytes -= bytes;
    return token;
}

static bool is_name(struct text token, struct text name)
{
    const bool quoted = token.bytes == name.bytes + 2 && token.data[0] == '"';
    return text_equal(token, name) ||
           (quoted && text_equal((struct text){token.data + 1, name.bytes}, name));
}

/* The store has no comparison with KEYS, but one with a header of that name, which is in quotes. */
static int32_t compile(struct text condition, struct commitlog_filter **out,
                       struct commitlog_error *err)
{
    struct buffer text = {0};
    int32_t code = COMMITLOG_OK;
    while (condition.bytes > 0 && code == COMMITLOG_OK) {
        const struct text token = next_token(&condition);
        if (is_name(token, TEXT("UNIQ_KEY")) || is_name(token, TEXT("WAIT"))) {
            code = err->code = COMMITLOG_EINVAL;
            (void)snprintf(err->message, sizeof err->message,
                           "UNIQ_KEY and WAIT cannot be in a condition: query by key instead");
        }
        buffer_put_text(&text, text_equal(token, TEXT("KEYS")) ? TEXT("\"KEYS\"") : token);
    }
    if (code == COMMITLOG_OK)
        code = text.failed ? COMMITLOG_ENOMEM
                           : commitlog_filter_compile(text.data, text.used, out, err);
    buffer_free(&text);
    return code;
}

struct subscription *subscription_new(struct text topic, struct text expression, bool sql,
                                      int64_t version, struct commitlog_error *err)
{
    struct subscription *made = calloc(1, sizeof *made + topic.bytes + expression.bytes + 2);
    err->code = COMMITLOG_ENOMEM;
    if (made == NULL)
        return NULL;
    char *at = (char *)(made + 1);
    if (topic.bytes > 0)
        memcpy(at, topic.data, topic.bytes);
    made->entry.name = (struct text){at, topic.bytes};
    at += topic.bytes + 1;
    if (expression.bytes > 0)
        memcpy(at, expression.data, expression.bytes);
    made->expression = (struct text){at, expression.bytes};
    made->version = version;
    made->sql = sql;
    const bool made_it =
        sql ? compile(made->expression, &made->filter, err) == COMMITLOG_OK : parse_tags(made);
    if (!made_it) {
        subscription_free(made);
        return NULL;
    }
    return made;
}

/* The store does not say what a compiled condition takes: as much as so many comparisons can. */
static size_t filter_cost(size_t bytes)
{
    const size_t most = COMMITLOG_FILTER_COMPARISONS_MAX;
    const size_t comparisons = bytes / COMPARISON_TEXT < most ? bytes / COMPARISON_TEXT : most;
    return FILTER_COST + bytes + comparisons * COMPARISON_COST;
}

void subscription_keep(struct subscription *subscription, char *data)
{
    subscription->data = data;
    subscription->cost = sizeof *subscription + subscription->entry.name.bytes +
                         subscription->expression.bytes + subscription->tags_bytes +
                         (subscription->sql ? filter_cost(subscription->expression.bytes) : 0) +
                         (data == NULL ? 0 : strlen(data)) + ALLOCATIONS_COST;
}

void subscription_free(struct subscription *subscription)
{
    if (subscription == NULL)
        return;
    commitlog_filter_free(subscription->filter);
    free(subscription->data);
    free(subscription->tags);
    free(subscription);
}
