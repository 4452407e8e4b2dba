/*
 * record_in.h -- reads one JSON line into a record to be appended.
 *
 * Owns: the memory of one record (the parsed JSON, decoded base64, arrays), until the next parse
 *       into the same place or record_in_free.
 * Invariants: a field of the line replaces the option of the same name, also when it is empty; a
 *       field that is null counts as absent. Unknown fields are refused, so that a misspelt one is
 *       not lost; what `read --json`, `group receive --json` and `tx show --json` add (position,
 *       queue_offset, store_time_ns, epoch, offset, attempt, attempts, reason, origin_...,
 *       transaction) is ignored.
 * Threads and locks: one thread.
 * Failure modes: false with a sentence in `reason`.
 */
#ifndef COMMITLOG_TOOL_RECORD_IN_H
#define COMMITLOG_TOOL_RECORD_IN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "commitlog.h"

/* The end of store times, in the year 2262. */
#define RECORD_DELIVER_AT_MAX_MS INT64_C(9223372036854)
#define RECORD_DELIVER_AT_MAX_TEXT "2262-04-11T23:47:16.854Z"

/* What the options give to every record. */
struct record_defaults {
    const char *topic; /* NULL: none */
    const char *tag;   /* NULL: none */
    const struct commitlog_slice *keys;
    uint32_t key_count;
    uint32_t queue;        /* or COMMITLOG_QUEUE_AUTO */
    int64_t deliver_at_ms; /* 0: at once */
};

struct record_in {
    uint64_t line;  /* its number, for errors */
    uint64_t bytes; /* of body and attributes, once it is checked */
    struct commitlog_slice topic;
    struct commitlog_slice body;
    struct commitlog_slice tag;
    struct commitlog_slice *keys;
    struct commitlog_header *headers;
    const struct commitlog_slice *used_keys; /* keys, or those of the options */
    uint32_t key_count;
    uint32_t header_count;
    uint32_t queue;
    uint32_t has_time;
    int64_t time_ms;
    int64_t deliver_at_ms;
    char *copy; /* body of a plain line that must outlive the input buffer */
    json_t *root;
    unsigned char *decoded; /* room for all base64 of the line */
    size_t decoded_used;
    char reason[200];
};

/* A plain line: the body as it is, all else from the options. `keep`: copy it. */
bool record_in_plain(struct record_in *in, const struct record_defaults *defaults, const char *line,
                     size_t length, bool keep);
/* A JSON line. */
bool record_in_json(struct record_in *in, const struct record_defaults *defaults, const char *line,
                    size_t length);
void record_in_free(struct record_in *in);

#endif
