/* SPDX-License-Identifier: BSD-2-Clause */
/* direct.c -- see direct.h. */
#include "support/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "support/bench.h"

enum { DIRECT_FETCH = 1024 };

void direct_need(int32_t code, const char *what, const struct commitlog_error *err)
{
    if (code != COMMITLOG_OK) {
        bench_die("%s: %s: %s", what, commitlog_error_name(code),
                  err != NULL ? err->message : commitlog_error_text(code));
    }
}

bool direct_is(const struct bench_engine *engine, const char **out)
{
    bool mapped = engine == &bench_engine_commitlog_mmap;
    *out = mapped ? "mmap" : "staged";
    return mapped || engine == &bench_engine_commitlog;
}

static void options_add(struct commitlog_options *options, char *text)
{
    struct commitlog_error err = {.message = ""};
    char *rest = NULL;
    for (char *at = strtok_r(text, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(at, '=');
        if (value == NULL) {
            bench_die("option %s: NAME=VALUE is needed", at);
        }
        *value++ = '\0';
        direct_need(commitlog_options_set_text(options, at, value, &err), at, &err);
    }
}

struct commitlog_store *direct_open(const char *directory, const char *options_text)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    direct_need(commitlog_options_create(&options), "options", NULL);
    if (options_text != NULL) {
        char *text = strdup(options_text);
        bench_need(text != NULL ? 0 : ENOMEM, "options");
        options_add(options, text);
        free(text);
    }
    direct_need(commitlog_open(directory, options, &store, &err), "open", &err);
    commitlog_options_free(options);
    return store;
}

uint32_t direct_topic(struct commitlog_store *store, const char *name, uint32_t queues)
{
    uint32_t topic = 0;
    struct commitlog_error err = {.message = ""};
    direct_need(commitlog_topic_open(store, name, strlen(name), queues, &topic, &err), name, &err);
    return topic;
}

void direct_close(struct commitlog_store *store)
{
    struct commitlog_error err = {.message = ""};
    direct_need(commitlog_close(store, &err), "close", &err);
}

void direct_check(struct commitlog_store *store, uint32_t topic, uint64_t count, uint32_t bytes)
{
    static struct commitlog_message messages[DIRECT_FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t seen = 0;
    uint32_t got = 0;
    int32_t rc;
    direct_need(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                "cursor", &err);
    while ((rc = commitlog_cursor_fetch(cursor, messages, DIRECT_FETCH, 0, &got, NULL)) ==
           COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++, seen++) {
            const struct commitlog_message *message = &messages[i];
            if (message->queue_offset != seen || message->body.bytes != bytes ||
                memcmp(message->body.data, bench_body(seen, bytes), bytes) != 0) {
                bench_die("record %llu is not what was appended", (unsigned long long)seen);
            }
        }
    }
    if (rc != COMMITLOG_EEND || seen != count) {
        bench_die("%llu records of %llu: %s", (unsigned long long)seen, (unsigned long long)count,
                  commitlog_error_name(rc));
    }
    commitlog_cursor_close(cursor);
}
