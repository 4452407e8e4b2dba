/*
 * record_out.h -- prints a record, as text or as one JSON object per line.
 *
 * Owns: the JSON form of a record, which record_in.h reads back byte for byte:
 *       - a string that is UTF-8 without NUL is a JSON string, any other {"base64":"..."}; the body
 *         alone has a name for that, "body_base64";
 *       - headers are an object when every name is such a string, none occurs twice and there are
 *         at most 64, else an array of [name, value] pairs; their order is kept;
 *       - transaction is there for a message of one that lies in no queue;
 *       - deliver_at_ms and origin_position are there when they are not 0, and of a dead letter
 *         where it was, how often it was given out, and why it is one.
 * Threads and locks: one thread.
 * Failure modes: false: standard output failed (out.error) or no memory (out.error = ENOMEM).
 */
#ifndef COMMITLOG_TOOL_RECORD_OUT_H
#define COMMITLOG_TOOL_RECORD_OUT_H

#include <jansson.h>

#include "cli.h"

/* Remembers the name of the topic last asked for. */
struct record_names {
    struct commitlog_store *store;
    struct commitlog_topic_info info;
    bool valid;
};

/* Name of a topic of an open store; "" for control records and unknown numbers. */
const char *record_topic(struct record_names *names, uint32_t topic);
/* "message", "hole", ... */
const char *record_kind(uint32_t kind);
/* A message that waits for its time or for its transaction, or has waited: it lies in no queue. */
bool record_is_waiting(const struct commitlog_message *message);
/* The handle of the timer that this makes, carries or delivers whole; 0: none. */
uint64_t record_timer(const struct commitlog_message *message);
/* Bytes that it takes in the log. */
uint64_t record_size(const struct commitlog_message *message);

/* The body and a line feed. */
bool record_print_body(struct out *out, const struct commitlog_message *message);
/* One line that tells of a record, control records too, as dump prints it. */
bool record_print_line(struct out *out, struct record_names *names,
                       const struct commitlog_message *message);
/* One JSON object and a line feed; `log`: with kind and size, as dump prints it. */
bool record_print_json(struct out *out, struct record_names *names,
                       const struct commitlog_message *message, bool log);
/* The same of a message that was given out, with offset and attempt: with its queue, what
 * acknowledges it. */
bool record_print_delivery(struct out *out, struct record_names *names,
                           const struct commitlog_message *message,
                           const struct commitlog_delivery *delivery);

/* A JSON value on a line of its own; takes `value`, which may be NULL (no memory). */
bool record_print_value(struct out *out, json_t *value);

#endif
