/*
 * deliveries.c -- reading what was given out: see deliveries.h.
 */
#include "deliveries.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "watch.h"

enum { DELIVERY_ATTEMPT_MAX = 65535, DELIVERY_REASON_BYTES = 200, DELIVERY_PARTS = 3 };

void delivery_format(const struct commitlog_delivery *delivery, char *text)
{
    (void)snprintf(text, DELIVERY_TEXT_BYTES, "%" PRIu32 ":%" PRIu64 ":%" PRIu32, delivery->queue,
                   delivery->offset, delivery->attempt);
}

/* Three numbers below 2^63, if they are in their ranges. */
static bool delivery_set(struct commitlog_delivery *out, const uint64_t numbers[DELIVERY_PARTS])
{
    if (numbers[0] >= COMMITLOG_TOPIC_QUEUES_MAX || numbers[2] == 0 ||
        numbers[2] > DELIVERY_ATTEMPT_MAX) {
        return false;
    }
    *out = (struct commitlog_delivery){
        .queue = (uint32_t)numbers[0], .offset = numbers[1], .attempt = (uint32_t)numbers[2]};
    return true;
}

static bool delivery_from_text(const char *text, size_t length, struct commitlog_delivery *out)
{
    uint64_t numbers[DELIVERY_PARTS] = {0};
    size_t at = 0;
    for (size_t part = 0; part < DELIVERY_PARTS; part++) {
        const size_t begin = at;
        for (; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
            const uint64_t digit = (uint64_t)(text[at] - '0');
            if (numbers[part] > (INT64_MAX - digit) / 10) {
                return false;
            }
            numbers[part] = numbers[part] * 10 + digit;
        }
        if (at == begin) {
            return false;
        }
        if (part + 1 < DELIVERY_PARTS && (at == length || text[at++] != ':')) {
            return false;
        }
    }
    return at == length && delivery_set(out, numbers);
}

static bool delivery_from_object(const json_t *root, const char *topic,
                                 struct commitlog_delivery *out, char *reason)
{
    static const char *const names[DELIVERY_PARTS] = {"queue", "offset", "attempt"};
    uint64_t numbers[DELIVERY_PARTS];
    const json_t *of = json_object_get(root, "topic");
    if (of != NULL && (!json_is_string(of) || strcmp(json_string_value(of), topic) != 0)) {
        (void)snprintf(reason, DELIVERY_REASON_BYTES, "it is of another topic");
        return false;
    }
    for (size_t part = 0; part < DELIVERY_PARTS; part++) {
        const json_t *value = json_object_get(root, names[part]);
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            (void)snprintf(reason, DELIVERY_REASON_BYTES, "\"%s\" is %s", names[part],
                           value == NULL ? "missing" : "not a whole number");
            return false;
        }
        numbers[part] = (uint64_t)json_integer_value(value);
    }
    (void)snprintf(reason, DELIVERY_REASON_BYTES, "a number is outside its range");
    return delivery_set(out, numbers);
}

static bool delivery_from_line(const char *line, size_t length, const char *topic,
                               struct commitlog_delivery *out, char *reason)
{
    if (length == 0 || line[0] != '{') {
        /* Not taken with a body behind it: its next line could be any delivery that it names. */
        const char *tab = memchr(line, '\t', length);
        const bool body = tab != NULL && delivery_from_text(line, (size_t)(tab - line), out);
        (void)snprintf(reason, DELIVERY_REASON_BYTES, "%s",
                       body ? "a body follows: give what is before the tab, or the lines of --json"
                            : "neither QUEUE:OFFSET:ATTEMPT nor a JSON object");
        return delivery_from_text(line, length, out);
    }
    json_error_t error;
    json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL) {
        (void)snprintf(reason, DELIVERY_REASON_BYTES, "not JSON: %.100s (column %d)", error.text,
                       error.column);
        return false;
    }
    const bool good = delivery_from_object(root, topic, out, reason);
    json_decref(root);
    return good;
}

static bool deliveries_add(struct deliveries *list, struct cli *cli,
                           const struct commitlog_delivery *what, uint64_t line)
{
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? 256 : list->room * 2;
        struct delivery *items = realloc(list->items, room * sizeof(*items));
        if (items == NULL) {
            cli_error(cli, "not enough memory");
            return false;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (struct delivery){*what, line};
    return true;
}

bool deliveries_take(struct deliveries *list, struct cli *cli, const char *const *operands)
{
    assert(list != NULL && operands != NULL);
    for (; *operands != NULL; operands++) {
        struct commitlog_delivery what;
        if (!delivery_from_text(*operands, strlen(*operands), &what)) {
            (void)cli_usage(cli, "\"%s\" is not QUEUE:OFFSET:ATTEMPT", *operands);
            return false;
        }
        if (!deliveries_add(list, cli, &what, 0)) {
            return false;
        }
    }
    return true;
}

static int deliveries_line(struct deliveries *list, struct cli *cli, const char *topic, int got,
                           const struct lines *lines, const char *line, size_t length)
{
    struct commitlog_delivery what;
    char reason[DELIVERY_REASON_BYTES] = "longer than 256 MiB";
    if (got != LINES_TOO_LONG && delivery_from_line(line, length, topic, &what, reason)) {
        return deliveries_add(list, cli, &what, lines->number) ? CLI_DONE : CLI_CANNOT;
    }
    list->bad = true;
    cli_error(cli, "line %" PRIu64 ": %s: left out", lines->number, reason);
    return CLI_DONE;
}

int deliveries_read(struct deliveries *list, struct cli *cli, const char *topic)
{
    assert(list != NULL && topic != NULL);
    struct lines lines;
    if (!lines_init(&lines, 0, cli->watch)) {
        cli_error(cli, "not enough memory");
        return CLI_CANNOT;
    }
    int status = CLI_DONE;
    int got = LINES_WAIT;
    while (status == CLI_DONE && got != LINES_END) {
        const char *line;
        size_t length;
        got = lines_next(&lines, &line, &length);
        if (got == LINES_LINE || got == LINES_TOO_LONG) {
            status = deliveries_line(list, cli, topic, got, &lines, line, length);
        } else if (got == LINES_WAIT && !lines_wait(&lines)) {
            status = watch_status(cli->watch);
            break;
        } else if (got == LINES_FAILED) {
            cli_error(cli, "standard input, line %" PRIu64 ": %s", lines.number + 1,
                      strerror(lines.error));
            status = CLI_CANNOT;
        }
    }
    lines_free(&lines);
    return status;
}

static int deliveries_compare(const void *left, const void *right)
{
    const struct commitlog_delivery *a = &((const struct delivery *)left)->what;
    const struct commitlog_delivery *b = &((const struct delivery *)right)->what;
    if (a->queue != b->queue) {
        return a->queue < b->queue ? -1 : 1;
    }
    if (a->offset != b->offset) {
        return a->offset < b->offset ? -1 : 1;
    }
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

void deliveries_sort(struct deliveries *list)
{
    size_t kept = 0;
    if (list->count == 0) {
        return;
    }
    qsort(list->items, list->count, sizeof(*list->items), deliveries_compare);
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || deliveries_compare(&list->items[kept - 1], &list->items[i]) != 0) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

void deliveries_free(struct deliveries *list)
{
    free(list->items);
    *list = (struct deliveries){0};
}
