/*
 * append_store.c -- checking, storing, flushing and acknowledging records: see append.h.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "append.h"
#include "record_out.h"
#include "watch.h"
#include "when.h"

/* Of a record; attributes: 3 bytes before each, 2 more in a header, together less than 64 KiB. */
enum {
    APPEND_ATTRIBUTE = 3,
    APPEND_HEADER_NAME = 2,
    APPEND_DELIVER_AT = 24,
    APPEND_ATTRIBUTES_MAX = 65535,
    APPEND_NAME_MAX = 255,
    APPEND_KEY_MAX = 4096,
    APPEND_KEYS_MAX = 64,
    APPEND_MS_NS = 1000000,
    APPEND_BATCH_MAX = 1024 * 1024 * 1024 /* of any batch, however large the segments are */
};

/* Has the topic so many queues, or had it before it grew or shrank? */
static bool append_has_had(const struct commitlog_topic_info *info, uint64_t queues)
{
    bool had = info->queues == queues;
    for (uint32_t i = 0; i < info->step_count && !had; i++) {
        had = info->step_queues[i] == queues;
    }
    return had;
}

/* A topic or queue that does not fit is a mistake in the call, found before any line is read. */
static int append_check_options(struct append *append)
{
    struct cli *cli = append->cli;
    const char *name = append->defaults.topic;
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info), .queues = append->queues};
    uint32_t topic;
    if (name == NULL) {
        return CLI_DONE;
    }
    struct commitlog_error err = {0};
    int32_t rc = commitlog_topic_open(append->store.handle, name, strlen(name), 0, &topic, &err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_info(append->store.handle, topic, &info);
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND) {
        return cli_fail(cli, cli->dir, rc, &err);
    }
    if (append->queues_given && !append_has_had(&info, append->queues)) {
        cli_error(cli,
                  "%s: topic %s has %" PRIu32 " queues, not %" PRIu32
                  ": leave --queues away, or name another topic",
                  cli->dir, name, info.queues, append->queues);
        return CLI_CANNOT;
    }
    if (append->defaults.queue != COMMITLOG_QUEUE_AUTO && append->defaults.queue >= info.queues) {
        cli_error(cli, "%s: topic %s has no queue %" PRIu32 ", only 0 to %" PRIu32, cli->dir, name,
                  append->defaults.queue, info.queues - 1);
        return CLI_CANNOT;
    }
    return CLI_DONE;
}

int append_begin(struct append *append)
{
    assert(append != NULL && append->store.handle != NULL);
    const size_t places = append->batch == 0 ? 1 : append->batch;
    append->records = calloc(places, sizeof(*append->records));
    append->prepared = calloc(places, sizeof(*append->prepared));
    append->receipts = calloc(places, sizeof(*append->receipts));
    append->pending = calloc(APPEND_PENDING + places, sizeof(*append->pending));
    if (append->records == NULL || append->prepared == NULL || append->receipts == NULL ||
        append->pending == NULL) {
        cli_error(append->cli, "not enough memory");
        return CLI_CANNOT;
    }
    uint64_t segment = 0;
    int32_t rc = commitlog_options_get(append->store.options, COMMITLOG_OPT_MAX_BODY_BYTES,
                                       &append->body_max_bytes);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_options_get(append->store.options, COMMITLOG_OPT_SEGMENT_BYTES, &segment);
    }
    append->batch_max_bytes =
        segment == 0 || segment > APPEND_BATCH_MAX ? APPEND_BATCH_MAX : segment;
    if (rc != COMMITLOG_OK) {
        return cli_fail(append->cli, append->cli->dir, rc, NULL);
    }
    return append_check_options(append);
}

void append_free(struct append *append)
{
    assert(append != NULL);
    const size_t places = append->batch == 0 ? 1 : append->batch;
    for (size_t i = 0; append->records != NULL && i < places; i++) {
        record_in_free(&append->records[i]);
    }
    free(append->records);
    free(append->prepared);
    free(append->receipts);
    free(append->pending);
    /* Ours: append_take_options made it; const only for those who read it. */
    free((void *)(uintptr_t)append->defaults.keys);
}

struct record_in *append_place(struct append *append)
{
    assert(append->gathered < (append->batch == 0 ? 1 : append->batch));
    return &append->records[append->gathered];
}

int append_reject(struct append *append, uint64_t line, const char *reason)
{
    const bool whole = append->transaction != NULL;
    cli_error(append->cli, "standard input, line %llu: %s: %s", (unsigned long long)line, reason,
              whole ? "the transaction is rolled back" : "not stored");
    append->bad = true;
    return whole ? CLI_NO : CLI_DONE;
}

/* Looks the topic up without creating it; false: there is none. */
static bool append_find_topic(struct append *append, const struct record_in *in)
{
    const struct commitlog_topic_info *known = &append->topic;
    if (append->topic_valid && known->name_bytes == in->topic.bytes &&
        memcmp(known->name, in->topic.data, in->topic.bytes) == 0) {
        return true;
    }
    uint32_t topic;
    append->topic_valid = false;
    if (commitlog_topic_open(append->store.handle, in->topic.data, in->topic.bytes, 0, &topic,
                             NULL) == COMMITLOG_OK) {
        append->topic = (struct commitlog_topic_info){.struct_bytes = sizeof(append->topic)};
        append->topic_valid =
            commitlog_topic_info(append->store.handle, topic, &append->topic) == COMMITLOG_OK;
    }
    return append->topic_valid;
}

static bool append_no(struct record_in *in, const char *reason)
{
    (void)snprintf(in->reason, sizeof(in->reason), "%s", reason);
    return false;
}

/* What commitlog_append(3) allows; checked here so that one bad record does not fail its batch. */
static bool append_check_parts(struct record_in *in)
{
    if (in->tag.bytes > APPEND_NAME_MAX) {
        return append_no(in, "a tag has at most 255 bytes");
    }
    if (in->key_count > APPEND_KEYS_MAX) {
        return append_no(in, "a record has at most 64 keys");
    }
    for (uint32_t i = 0; i < in->key_count; i++) {
        if (in->used_keys[i].bytes == 0 || in->used_keys[i].bytes > APPEND_KEY_MAX) {
            return append_no(in, "a key has 1 to 4096 bytes");
        }
    }
    for (uint32_t i = 0; i < in->header_count; i++) {
        if (in->headers[i].name.bytes == 0 || in->headers[i].name.bytes > APPEND_NAME_MAX) {
            return append_no(in, "the name of a header has 1 to 255 bytes");
        }
    }
    return true;
}

static bool append_check_sizes(const struct append *append, struct record_in *in)
{
    size_t attributes = in->tag.bytes > 0 ? APPEND_ATTRIBUTE + in->tag.bytes : 0;
    attributes += in->has_time != 0 ? APPEND_ATTRIBUTE + sizeof(int64_t) : 0;
    attributes += in->deliver_at_ms != 0 ? APPEND_ATTRIBUTE + APPEND_DELIVER_AT : 0;
    for (uint32_t i = 0; i < in->key_count; i++) {
        attributes += APPEND_ATTRIBUTE + in->used_keys[i].bytes;
    }
    for (uint32_t i = 0; i < in->header_count; i++) {
        attributes += APPEND_ATTRIBUTE + APPEND_HEADER_NAME + in->headers[i].name.bytes +
                      in->headers[i].value.bytes;
    }
    if (attributes > APPEND_ATTRIBUTES_MAX) {
        (void)snprintf(in->reason, sizeof(in->reason),
                       "tag, keys and headers take %zu bytes, %d at most", attributes,
                       APPEND_ATTRIBUTES_MAX);
        return false;
    }
    if (in->body.bytes > append->body_max_bytes) {
        (void)snprintf(in->reason, sizeof(in->reason),
                       "the body has %zu bytes, %llu at most (--option max_body_bytes=)",
                       in->body.bytes, (unsigned long long)append->body_max_bytes);
        return false;
    }
    in->bytes = in->body.bytes + attributes;
    return true;
}

/* In a transaction: a time that has passed delays nothing, and another cannot be kept. */
static bool append_check_at_once(struct record_in *in)
{
    if (in->deliver_at_ms > when_now_ns() / APPEND_MS_NS) {
        return append_no(in, "a message of a transaction cannot have \"deliver_at_ms\"");
    }
    in->deliver_at_ms = 0;
    return true;
}

bool append_check(struct append *append, struct record_in *in)
{
    assert(append != NULL && in != NULL);
    if (in->topic.bytes == 0 || in->topic.bytes > COMMITLOG_TOPIC_NAME_MAX_BYTES ||
        memchr(in->topic.data, '\0', in->topic.bytes) != NULL) {
        return append_no(in, in->topic.data == NULL
                                 ? "neither \"topic\" nor --topic"
                                 : "a topic's name has 1 to 255 bytes of UTF-8 without NUL");
    }
    if (append->by_key && in->queue == COMMITLOG_QUEUE_AUTO && in->key_count == 0) {
        return append_no(in, "no key, which --by-key needs");
    }
    if (append->transaction != NULL && !append_check_at_once(in)) {
        return false;
    }
    if (!append_check_parts(in) || !append_check_sizes(append, in)) {
        return false;
    }
    const bool found = append_find_topic(append, in);
    const uint32_t queues = found ? append->topic.queues : append->queues;
    if (found && append->queues_given && !append_has_had(&append->topic, append->queues)) {
        (void)snprintf(in->reason, sizeof(in->reason), "topic %.60s has %u queues, not %u",
                       append->topic.name, queues, append->queues);
        return false;
    }
    if (in->queue != COMMITLOG_QUEUE_AUTO && in->queue >= queues) {
        (void)snprintf(in->reason, sizeof(in->reason),
                       "there is no queue %u: topic %.60s has %u, from 0", in->queue,
                       found ? append->topic.name : "(new)", queues);
        return false;
    }
    return true;
}

/* The record as the library wants it; creates the topic when this is its first. */
static int32_t append_prepare(struct append *append, const struct record_in *in,
                              struct commitlog_record *record, struct commitlog_error *err)
{
    if (!append_find_topic(append, in)) {
        uint32_t topic;
        const int32_t rc = commitlog_topic_open(append->store.handle, in->topic.data,
                                                in->topic.bytes, append->queues, &topic, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (!append_find_topic(append, in)) {
            return COMMITLOG_EINTERNAL;
        }
    }
    *record = (struct commitlog_record){
        .struct_bytes = sizeof(*record),
        .topic = append->topic.topic,
        .queue = in->queue,
        /* durable comes by one flush for many: append_settle */
        .level = append->level == COMMITLOG_LEVEL_DURABLE ? COMMITLOG_LEVEL_NONE : append->level,
        .body = &in->body,
        .body_count = 1,
        .key_count = in->key_count,
        .keys = in->used_keys,
        .tag = in->tag,
        .headers = in->headers,
        .header_count = in->header_count,
        .has_time = in->has_time,
        .time_ms = in->time_ms,
        .deliver_at_ms = in->deliver_at_ms,
    };
    return COMMITLOG_OK;
}

/* Prints what has reached its level: each line leaves by a write of its own. */
static void append_acknowledge(struct append *append)
{
    struct out *out = &append->cli->out;
    for (uint32_t i = 0; append->acks && i < append->pending_count; i++) {
        const struct append_ack *ack = &append->pending[i];
        if (ack->waits) {
            (void)out_format(out, "%llu -\n", (unsigned long long)ack->position);
        } else {
            (void)out_format(out, "%llu %llu\n", (unsigned long long)ack->position,
                             (unsigned long long)ack->queue_offset);
        }
        if (!out_flush(out)) {
            break; /* cli_end tells why; append_lines reads no more and stores what was read */
        }
    }
    append->pending_count = 0;
    append->pending_bytes = 0;
}

/* The end of the watch interrupts every wait, again and again; what was read is stored and made
 * durable all the same, but for a transaction, which is rolled back. */
static bool append_again(const struct append *append, int32_t rc)
{
    return rc == COMMITLOG_EINTERRUPTED && append->transaction == NULL &&
           watch_ended(append->cli->watch);
}

static int32_t append_sync(struct append *append, uint64_t position, struct commitlog_error *err)
{
    int32_t rc;
    do {
        *err = (struct commitlog_error){0};
        rc = commitlog_sync(append->store.handle, position, COMMITLOG_FOREVER, err);
    } while (append_again(append, rc));
    return rc;
}

/* Lines `first` to `last` are in the store and may be gone after a crash: nobody can say. */
static void append_tell_unsure(struct append *append, uint64_t first, uint64_t last)
{
    assert(first <= last);
    if (first == last) {
        cli_error(append->cli,
                  "standard input: line %" PRIu64 " is stored, and nobody knows whether it will "
                  "last; the lines from %" PRIu64 " on are not stored",
                  first, last + 1);
    } else {
        cli_error(append->cli,
                  "standard input: the lines %" PRIu64 " to %" PRIu64 " are stored, and nobody "
                  "knows whether they will last; those from %" PRIu64 " on are not stored",
                  first, last, last + 1);
    }
}

int append_settle(struct append *append)
{
    assert(append != NULL);
    if (append->pending_count == 0) {
        return CLI_DONE;
    }
    if (append->level == COMMITLOG_LEVEL_DURABLE) {
        struct commitlog_error err = {0};
        const int32_t rc = append_sync(append, append->pending_end, &err);
        if (rc != COMMITLOG_OK) {
            append_tell_unsure(append, append->pending[0].line,
                               append->pending[append->pending_count - 1].line);
            append->pending_count = 0;
            return cli_fail(append->cli, append->cli->dir, rc, &err);
        }
    }
    append_acknowledge(append);
    return CLI_DONE;
}

/* A time that had passed when the record was stored delayed nothing: only the record tells. */
static bool append_waits(struct append *append, const struct record_in *in,
                         const struct commitlog_receipt *receipt)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    if (!append->acks || in->deliver_at_ms == 0 ||
        commitlog_get(append->store.handle, receipt->position, &message, &lease, NULL) !=
            COMMITLOG_OK) {
        return false;
    }
    const bool waits = message.kind == COMMITLOG_KIND_TIMER;
    commitlog_lease_release(lease);
    return waits;
}

static void append_note(struct append *append, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct commitlog_receipt *receipt = &append->receipts[i];
        append->pending[append->pending_count++] =
            (struct append_ack){receipt->position, receipt->queue_offset, append->records[i].line,
                                append_waits(append, &append->records[i], receipt)};
        append->pending_end = receipt->end_position;
        append->pending_bytes += append->records[i].body.bytes;
    }
}

/* A failure that is the fault of the records leaves them out; any other ends the run. */
static int append_failed(struct append *append, int32_t rc, bool stored,
                         const struct commitlog_error *err)
{
    const struct record_in *first = &append->records[0];
    const struct record_in *last = &append->records[append->gathered - 1];
    const char *text = err->message[0] != '\0' ? err->message : commitlog_error_text(rc);
    if (!stored && (rc == COMMITLOG_EINVAL || rc == COMMITLOG_ETOOBIG || rc == COMMITLOG_EEXIST ||
                    rc == COMMITLOG_EUNSUPPORTED)) {
        if (first == last) {
            return append_reject(append, first->line, text);
        }
        cli_error(append->cli, "standard input, batch of lines %llu to %llu: %s: not stored",
                  (unsigned long long)first->line, (unsigned long long)last->line, text);
        append->bad = true;
        return CLI_DONE;
    }
    if (append->transaction != NULL) {
        cli_error(append->cli, "standard input, line %llu: the transaction is rolled back",
                  (unsigned long long)first->line);
    } else if (stored) {
        /* Those that wait for a flush come first; they are not sure either. */
        append_tell_unsure(
            append, append->pending_count > 0 ? append->pending[0].line : first->line, last->line);
        append->pending_count = 0;
    } else {
        cli_error(append->cli, "standard input: the lines from %llu on are not stored",
                  (unsigned long long)first->line);
    }
    return cli_fail(append->cli, append->cli->dir, rc, err);
}

/* Stores what is prepared: one record, or a batch. */
static int32_t append_put_prepared(struct append *append, uint32_t count,
                                   struct commitlog_error *err)
{
    if (append->transaction != NULL) {
        assert(count == 1);
        return commitlog_transaction_append(append->transaction, append->prepared,
                                            COMMITLOG_FOREVER, append->receipts, err);
    }
    return append->batch == 0
               ? commitlog_append_record(append->store.handle, append->prepared, COMMITLOG_FOREVER,
                                         append->receipts, err)
               : commitlog_append_batch(append->store.handle, append->prepared, count,
                                        COMMITLOG_FOREVER, append->receipts, err);
}

/* *stored: they are in the log, whatever is returned. */
static int32_t append_put(struct append *append, uint32_t count, bool *stored,
                          struct commitlog_error *err)
{
    int32_t rc;
    *stored = false;
    do {
        *err = (struct commitlog_error){0};
        rc = COMMITLOG_OK;
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            rc = append_prepare(append, &append->records[i], &append->prepared[i], err);
        }
        if (rc == COMMITLOG_OK) {
            rc = append_put_prepared(append, count, err);
            *stored = rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN;
            if (rc == COMMITLOG_EUNKNOWN && append->transaction == NULL &&
                watch_ended(append->cli->watch)) {
                /* The wait for the level was interrupted: a flush reaches any level. */
                rc = append_sync(append, append->receipts[count - 1].end_position, err);
            }
        }
    } while (!*stored && append_again(append, rc));
    return rc;
}

/* The end of a batch that is left out. */
static void append_end_refused(struct append *append)
{
    if (append->refused > 0) {
        cli_error(append->cli,
                  "standard input, batch of lines %" PRIu64 " to %" PRIu64
                  ": more than a segment takes, which is less than %" PRIu64 " bytes: not stored",
                  append->refused_from, append->refused_to, append->batch_max_bytes);
        append->bad = true;
        append->refused = 0;
    }
}

int append_end_batch(struct append *append)
{
    assert(append != NULL);
    const uint32_t count = append->gathered;
    struct commitlog_error err = {0};
    append->gathered_bytes = 0;
    append_end_refused(append);
    if (count == 0) {
        return CLI_DONE;
    }
    bool stored;
    const int32_t rc = append_put(append, count, &stored, &err);
    const int status = rc == COMMITLOG_OK ? CLI_DONE : append_failed(append, rc, stored, &err);
    append->gathered = 0;
    if (rc != COMMITLOG_OK) {
        return status;
    }
    if (append->pending_count == 0) {
        append->pending_since = when_clock();
    }
    append_note(append, count);
    const bool full =
        append->pending_count >= APPEND_PENDING || append->pending_bytes >= APPEND_PENDING_BYTES;
    const bool old = append->level == COMMITLOG_LEVEL_DURABLE &&
                     when_clock() - append->pending_since >= (double)APPEND_PENDING_MS / 1000;
    if (append->level != COMMITLOG_LEVEL_DURABLE || full || old) {
        return append_settle(append);
    }
    return CLI_DONE;
}

/* A batch is in memory until it is complete: one that no segment takes is not gathered to its end.
 * What comes of it still is dropped too, or the next batch would begin in the middle. */
static bool append_refuses(struct append *append, uint64_t line)
{
    if (append->refused == 0 && append->gathered_bytes <= append->batch_max_bytes) {
        return false;
    }
    append->refused_from = append->refused == 0 ? append->records[0].line : append->refused_from;
    append->refused_to = line;
    append->refused += append->gathered;
    for (uint32_t i = 0; i < append->gathered; i++) {
        record_in_free(&append->records[i]);
    }
    append->gathered = 0;
    if (append->refused >= append->batch) {
        append->gathered_bytes = 0;
        append_end_refused(append);
    }
    return true;
}

int append_add(struct append *append)
{
    const struct record_in *in = append_place(append);
    append->gathered++;
    append->gathered_bytes += in->bytes;
    if (append->batch > 1 && append_refuses(append, in->line)) {
        return CLI_DONE;
    }
    return append->gathered >= (append->batch == 0 ? 1 : append->batch) ? append_end_batch(append)
                                                                        : CLI_DONE;
}
