/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * demo.c -- the two things that demo.sh cannot do with the commitlog command alone:
 *
 *   demo packages            the package database on standard input -> one JSON line per package
 *   demo lines NAME          any text on standard input             -> one JSON line per line
 *   demo compare DIR JSON ACKS   every acknowledged record, fetched from the store by its position,
 *                            against the line that was appended, byte for byte
 *
 * It uses the library through its public header only. Exit 0 when all is well, 1 otherwise.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "commitlog.h"

/* Said here: what a file is that ends where it cannot be read. */
static bool demo_complete(const char *what, FILE *file)
{
    if (file != NULL && !ferror(file)) {
        return true;
    }
    perror(what);
    return false;
}

/* One record as a line for `commitlog append --jsonl`; text that is no UTF-8 is left out. */
static bool demo_print(const char *topic, const char *key, const char *tag, const char *body,
                       size_t body_bytes)
{
    json_t *text = json_stringn(body, body_bytes);
    if (text == NULL || memchr(body, '\0', body_bytes) != NULL) {
        json_decref(text);
        return true;
    }
    json_t *record =
        json_pack("{s:s, s:[s], s:s, s:o}", "topic", topic, "keys", key, "tag", tag, "body", text);
    const bool good = record != NULL && json_dumpf(record, stdout, JSON_COMPACT) == 0;
    json_decref(record);
    return good && putchar('\n') != EOF;
}

/* Copies the value of "Name: value" when the line is that field. */
static void demo_field(const char *line, const char *name, char *value, size_t size)
{
    const size_t length = strlen(name);
    if (strncmp(line, name, length) == 0) {
        (void)snprintf(value, size, "%s", line + length);
        value[strcspn(value, "\n")] = '\0';
    }
}

static int demo_packages(void)
{
    char package[256] = "";
    char section[200] = "";
    char priority[64] = "";
    char *body = NULL;
    size_t body_bytes = 0;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool good = true;
    do {
        length = getline(&line, &room, stdin);
        if (length > 1) {
            char *larger = realloc(body, body_bytes + (size_t)length);
            if (larger == NULL) {
                good = false;
                break;
            }
            body = larger;
            memcpy(body + body_bytes, line, (size_t)length);
            body_bytes += (size_t)length;
            demo_field(line, "Package: ", package, sizeof(package));
            demo_field(line, "Section: ", section, sizeof(section));
            demo_field(line, "Priority: ", priority, sizeof(priority));
        } else if (body_bytes > 0) { /* an empty line, or the end, closes the stanza */
            good = demo_print(section[0] != '\0' ? section : "unknown", package, priority, body,
                              body_bytes);
            body_bytes = 0;
            package[0] = section[0] = priority[0] = '\0';
        }
    } while (good && length >= 0);
    good = demo_complete("standard input", stdin) && good;
    free(line);
    free(body);
    return good && fflush(stdout) == 0 ? 0 : 1;
}

static int demo_lines(const char *name)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool good = true;
    for (unsigned long number = 1; good && (length = getline(&line, &room, stdin)) >= 0; number++) {
        char key[300];
        (void)snprintf(key, sizeof(key), "%.255s:%lu", name, number);
        length -= length > 0 && line[length - 1] == '\n' ? 1 : 0;
        good = demo_print(name, key, "line", line, (size_t)length);
    }
    good = demo_complete("standard input", stdin) && good;
    free(line);
    return good && fflush(stdout) == 0 ? 0 : 1;
}

static bool demo_same(const char *what, uint64_t number, const json_t *text,
                      struct commitlog_slice found)
{
    const size_t bytes = json_string_length(text);
    if (found.bytes == bytes &&
        (bytes == 0 || memcmp(found.data, json_string_value(text), bytes) == 0)) {
        return true;
    }
    fprintf(stderr, "record %" PRIu64 ": the %s differs from what was appended\n", number, what);
    return false;
}

/* The record at the acknowledged position against the line that was appended. */
static bool demo_compare_one(struct commitlog_store *store, uint64_t number, const char *line,
                             uint64_t position, uint64_t queue_offset)
{
    struct commitlog_error err = {0};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
    struct commitlog_slice key = {NULL, 0};
    json_error_t bad;
    json_t *expected = json_loads(line, 0, &bad);
    int32_t rc = commitlog_get(store, position, &message, &lease, &err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(store, message.topic, &topic);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_message_key(&message, 0, &key);
    }
    if (rc != COMMITLOG_OK || expected == NULL) {
        fprintf(stderr, "record %" PRIu64 " at position %" PRIu64 ": %s\n", number, position,
                rc == COMMITLOG_OK ? bad.text
                : err.code == rc   ? err.message
                                   : commitlog_error_text(rc));
        commitlog_lease_release(lease);
        json_decref(expected);
        return false;
    }
    bool same = demo_same("body", number, json_object_get(expected, "body"), message.body);
    same = demo_same("tag", number, json_object_get(expected, "tag"), message.tag) && same;
    same =
        demo_same("key", number, json_array_get(json_object_get(expected, "keys"), 0), key) && same;
    same = demo_same("topic", number, json_object_get(expected, "topic"),
                     (struct commitlog_slice){topic.name, topic.name_bytes}) &&
           same;
    if (message.queue_offset != queue_offset) {
        fprintf(stderr, "record %" PRIu64 ": queue offset %" PRIu64 ", acknowledged %" PRIu64 "\n",
                number, message.queue_offset, queue_offset);
        same = false;
    }
    commitlog_lease_release(lease);
    json_decref(expected);
    return same;
}

static uint64_t demo_compare_all(struct commitlog_store *store, FILE *lines, FILE *acks,
                                 uint64_t *compared)
{
    uint64_t different = 0;
    char *line = NULL;
    char *ack = NULL;
    size_t line_room = 0;
    size_t ack_room = 0;
    ssize_t ack_length;
    *compared = 0;
    while ((ack_length = getline(&ack, &ack_room, acks)) > 0) {
        char *end;
        if (ack[ack_length - 1] != '\n') {
            break; /* the writer died while it printed this one */
        }
        const uint64_t position = strtoull(ack, &end, 10);
        const uint64_t queue_offset = strtoull(end, NULL, 10);
        if (getline(&line, &line_room, lines) <= 0) {
            fprintf(stderr, "more acknowledgements than lines\n");
            different++;
            break;
        }
        (*compared)++;
        different += demo_compare_one(store, *compared, line, position, queue_offset) ? 0 : 1;
    }
    free(line);
    free(ack);
    return different;
}

static int demo_compare(const char *directory, const char *lines_path, const char *acks_path)
{
    struct commitlog_error err = {0};
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    uint64_t compared = 0;
    uint64_t different = 1;
    int32_t rc = commitlog_options_create(&options);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_options_set(options, COMMITLOG_OPT_CREATE, COMMITLOG_CREATE_NEVER, &err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_open(directory, options, &store, &err);
    }
    commitlog_options_free(options);
    if (rc != COMMITLOG_OK) {
        fprintf(stderr, "%s: %s\n", directory,
                err.message[0] != '\0' ? err.message : commitlog_error_text(rc));
        return 1;
    }
    FILE *lines = fopen(lines_path, "re");
    bool good = demo_complete(lines_path, lines);
    FILE *acks = fopen(acks_path, "re");
    good = demo_complete(acks_path, acks) && good;
    if (good) {
        different = demo_compare_all(store, lines, acks, &compared);
        good = demo_complete(lines_path, lines) && demo_complete(acks_path, acks);
        printf("%" PRIu64 "\n", compared);
    }
    if (lines != NULL) {
        (void)fclose(lines);
    }
    if (acks != NULL) {
        (void)fclose(acks);
    }
    (void)commitlog_close(store, NULL);
    return good && different == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "packages") == 0) {
        return demo_packages();
    }
    if (argc == 3 && strcmp(argv[1], "lines") == 0) {
        return demo_lines(argv[2]);
    }
    if (argc == 5 && strcmp(argv[1], "compare") == 0) {
        return demo_compare(argv[2], argv[3], argv[4]);
    }
    fprintf(stderr, "usage: demo packages | demo lines NAME | demo compare DIR JSON ACKS\n");
    return 2;
}
