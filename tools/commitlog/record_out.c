/*
 * record_out.c -- printing of records: see record_out.h.
 */
#include "record_out.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "control_out.h"
#include "reference_body.h"
#include "text.h"
#include "transaction_out.h"
#include "when.h"

/* What commitlog-format(5) says. */
enum {
    RECORD_OBJECT_HEADERS = 64,
    RECORD_PAD_GAP = 12288, /* from a pad's end to the next record */
    RECORD_CANCEL_BYTES = 16,
    RECORD_CANCEL_AT_TIMER = 8,
    RECORD_DELIVER_AT = 5, /* attribute: type, u16 length, value */
    RECORD_DELIVER_AT_BYTES = 24,
    RECORD_DELIVER_AT_TIMER = 8, /* in its value */
    RECORD_ATTRIBUTE_HEADER = 3,
    RECORD_ATTRIBUTE_TYPE = 0x7f,
    RECORD_MS_NS = 1000000
};

const char *record_topic(struct record_names *names, uint32_t topic)
{
    assert(names != NULL && names->store != NULL);
    if (!names->valid || names->info.topic != topic) {
        names->info = (struct commitlog_topic_info){.struct_bytes = sizeof(names->info)};
        names->valid = topic != UINT32_MAX &&
                       commitlog_topic_info(names->store, topic, &names->info) == COMMITLOG_OK;
    }
    return names->valid ? names->info.name : "";
}

const char *record_kind(uint32_t kind)
{
    static const char *const kinds[] = {
        [COMMITLOG_KIND_MESSAGE] = "message", [COMMITLOG_KIND_REFERENCE] = "reference",
        [COMMITLOG_KIND_HOLE] = "hole",       [COMMITLOG_KIND_PAD] = "pad",
        [COMMITLOG_KIND_BATCH] = "batch",     [COMMITLOG_KIND_TOPIC] = "topic",
        [COMMITLOG_KIND_EPOCH] = "epoch",     [COMMITLOG_KIND_FIRST] = "first",
        [COMMITLOG_KIND_GROUP] = "group",     [COMMITLOG_KIND_PRODUCER] = "producer",
        [COMMITLOG_KIND_TIMER] = "timer",     [COMMITLOG_KIND_TOMBSTONE] = "tombstone",
        [COMMITLOG_KIND_WORK] = "work",       [COMMITLOG_KIND_TRANSACTION] = "transaction",
    };
    const bool known = kind < sizeof(kinds) / sizeof(kinds[0]) && kinds[kind] != NULL;
    return known ? kinds[kind] : "other";
}

bool record_is_waiting(const struct commitlog_message *message)
{
    return (message->kind == COMMITLOG_KIND_TIMER && message->deliver_at_ms != 0) ||
           transaction_is_message(message);
}

static uint64_t record_number_at(struct commitlog_slice bytes, size_t at)
{
    assert(at + 8 <= bytes.bytes);
    uint64_t number = 0;
    for (size_t i = 8; i-- > 0;) {
        number = number << 8 | ((const unsigned char *)bytes.data)[at + i];
    }
    return number;
}

/* What is stored again has it in its first attribute. */
uint64_t record_timer(const struct commitlog_message *message)
{
    const struct commitlog_slice area = message->attributes;
    const unsigned char *bytes = area.data;
    if (message->kind != COMMITLOG_KIND_MESSAGE && message->kind != COMMITLOG_KIND_TIMER) {
        return 0;
    }
    if (area.bytes < RECORD_ATTRIBUTE_HEADER + RECORD_DELIVER_AT_BYTES ||
        (bytes[0] & RECORD_ATTRIBUTE_TYPE) != RECORD_DELIVER_AT ||
        bytes[1] != RECORD_DELIVER_AT_BYTES || bytes[2] != 0) {
        return 0;
    }
    const uint64_t id = record_number_at(area, RECORD_ATTRIBUTE_HEADER + RECORD_DELIVER_AT_TIMER);
    return id == 0 && message->kind == COMMITLOG_KIND_TIMER ? message->position : id;
}

/* The handle of the timer that this cancels; 0: it is no cancel. */
static uint64_t record_cancels(const struct commitlog_message *message)
{
    const bool cancel = message->kind == COMMITLOG_KIND_TIMER && message->deliver_at_ms == 0 &&
                        message->body.bytes == RECORD_CANCEL_BYTES;
    return cancel ? record_number_at(message->body, RECORD_CANCEL_AT_TIMER) : 0;
}

/* Where the message of a reference lies: what the library has followed, or, as it lies in the log,
 * its body says. */
static uint64_t record_origin(const struct commitlog_message *message)
{
    struct reference_body body;
    return reference_body(message, &body) ? body.position : message->origin_position;
}

/* Of a dead letter, where it was and why it is here. */
struct record_dead {
    uint64_t offset;
    uint32_t topic;        /* UINT32_MAX: not known */
    uint32_t queue;        /* of the topic, or else */
    uint32_t queue_number; /* in the store; UINT32_MAX: not known */
    uint32_t attempts;
    uint32_t reason;
};

static const char *record_reason(uint32_t reason)
{
    return reason == COMMITLOG_DEAD_EXPIRED   ? "expired"
           : reason == COMMITLOG_DEAD_REFUSED ? "refused"
                                              : "other";
}

/* What the library says of it, or, of a reference as it lies in the log, its body; false: it is no
 * dead letter. */
static bool record_dead(const struct commitlog_message *message, struct record_dead *dead)
{
    struct reference_body body;
    if (reference_body(message, &body)) {
        *dead = (struct record_dead){.offset = body.origin,
                                     .topic = UINT32_MAX,
                                     .queue = UINT32_MAX,
                                     .queue_number = body.queue_number,
                                     .attempts = body.attempts,
                                     .reason = body.reason};
        return dead->reason == COMMITLOG_DEAD_EXPIRED || dead->reason == COMMITLOG_DEAD_REFUSED;
    }
    *dead = (struct record_dead){.offset = message->origin_offset,
                                 .topic = message->origin_topic,
                                 .queue = message->origin_queue,
                                 .queue_number = UINT32_MAX,
                                 .attempts = message->attempts,
                                 .reason = message->reason};
    return dead->reason != 0;
}

uint64_t record_size(const struct commitlog_message *message)
{
    assert(message != NULL && message->next_position > message->position);
    const uint64_t gap = message->kind == COMMITLOG_KIND_PAD ? RECORD_PAD_GAP : 0;
    assert(message->next_position - message->position > gap);
    return message->next_position - message->position - gap;
}

bool record_print_body(struct out *out, const struct commitlog_message *message)
{
    assert(message != NULL);
    return out_put(out, message->body.data, message->body.bytes) && out_put(out, "\n", 1);
}

/* "text", or {"base64":"..."}. */
static bool record_put_string(struct out *out, struct commitlog_slice bytes)
{
    if (text_is_utf8(bytes)) {
        return text_put(out, bytes);
    }
    return out_text(out, "{\"base64\":") && text_put_base64(out, bytes) && out_put(out, "}", 1);
}

static bool record_put_number(struct out *out, const char *field, uint64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return out_text(out, field) && out_put(out, digits + at, sizeof(digits) - at);
}

/* The producer's time may lie before 1970. */
static bool record_put_time(struct out *out, int64_t time_ms)
{
    const uint64_t size = time_ms < 0 ? 0 - (uint64_t)time_ms : (uint64_t)time_ms;
    return record_put_number(out, time_ms < 0 ? ",\"time_ms\":-" : ",\"time_ms\":", size);
}

static bool record_put_keys(struct out *out, const struct commitlog_message *message)
{
    bool good = out_text(out, ",\"keys\":[");
    struct commitlog_slice key;
    for (uint32_t i = 0; commitlog_message_key(message, i, &key) == COMMITLOG_OK; i++) {
        good = good && (i == 0 || out_put(out, ",", 1)) && record_put_string(out, key);
    }
    return good && out_put(out, "]", 1);
}

static bool record_same(struct commitlog_slice left, struct commitlog_slice right)
{
    return left.bytes == right.bytes &&
           (left.bytes == 0 || memcmp(left.data, right.data, left.bytes) == 0);
}

/* An object holds them when every name is text, none occurs twice and they are not too many. */
static bool record_headers_fit_object(const struct commitlog_message *message)
{
    struct commitlog_header header;
    struct commitlog_header other;
    if (message->header_count > RECORD_OBJECT_HEADERS) {
        return false; /* finding each costs a walk over those before it */
    }
    for (uint32_t i = 0; commitlog_message_header(message, i, &header) == COMMITLOG_OK; i++) {
        if (!text_is_utf8(header.name)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (commitlog_message_header(message, j, &other) == COMMITLOG_OK &&
                record_same(header.name, other.name)) {
                return false;
            }
        }
    }
    return true;
}

static bool record_put_headers(struct out *out, const struct commitlog_message *message)
{
    const bool object = record_headers_fit_object(message);
    bool good = out_text(out, object ? ",\"headers\":{" : ",\"headers\":[");
    struct commitlog_header header;
    for (uint32_t i = 0; commitlog_message_header(message, i, &header) == COMMITLOG_OK; i++) {
        good = good && (i == 0 || out_put(out, ",", 1)) && (object || out_put(out, "[", 1)) &&
               record_put_string(out, header.name) && out_put(out, object ? ":" : ",", 1) &&
               record_put_string(out, header.value) && (object || out_put(out, "]", 1));
    }
    return good && out_put(out, object ? "}" : "]", 1);
}

static bool record_put_place(struct out *out, struct record_names *names,
                             const struct commitlog_message *message)
{
    if (message->topic == UINT32_MAX) {
        return out_text(out, ",\"topic\":null,\"queue\":null,\"queue_offset\":null");
    }
    const char *topic = record_topic(names, message->topic);
    return out_text(out, ",\"topic\":") &&
           text_put(out, (struct commitlog_slice){topic, strlen(topic)}) &&
           record_put_number(out, ",\"queue\":", message->queue) &&
           (transaction_is_message(message) /* which has none before the commit */
                ? out_text(out, ",\"queue_offset\":null")
                : record_put_number(out, ",\"queue_offset\":", message->queue_offset));
}

/* "  due 2024-05-01T12:00:00.000Z", of what was stored again "  timer 8336" too; "  cancels 8336",
 * "  refers to 8336". */
static bool record_put_delay(struct out *out, const struct commitlog_message *message)
{
    const uint64_t timer = record_timer(message);
    const uint64_t cancels = record_cancels(message);
    const uint64_t origin = record_origin(message);
    bool good = true;
    if (timer != 0 && timer != message->position) {
        good = good && record_put_number(out, "  timer ", timer);
    }
    if (message->deliver_at_ms != 0) {
        char due[32];
        when_format(message->deliver_at_ms * RECORD_MS_NS, due, sizeof(due));
        good = good && out_format(out, "  due %s", due);
    }
    if (cancels != 0) {
        good = good && record_put_number(out, "  cancels ", cancels);
    }
    return good && (origin == 0 || record_put_number(out, "  refers to ", origin));
}

/* Left out where they say nothing. */
static bool record_put_delay_json(struct out *out, const struct commitlog_message *message,
                                  bool log)
{
    const uint64_t timer = log ? record_timer(message) : 0;
    const uint64_t cancels = log ? record_cancels(message) : 0;
    const uint64_t origin = record_origin(message);
    return (message->deliver_at_ms == 0 ||
            record_put_number(out, ",\"deliver_at_ms\":", (uint64_t)message->deliver_at_ms)) &&
           (origin == 0 || record_put_number(out, ",\"origin_position\":", origin)) &&
           (timer == 0 || record_put_number(out, ",\"timer\":", timer)) &&
           (cancels == 0 || record_put_number(out, ",\"cancels\":", cancels));
}

/* "  expired orders/0 @5 attempts 3"; of a queue whose topic is not known, "#0". */
static bool record_put_dead(struct out *out, struct record_names *names,
                            const struct commitlog_message *message)
{
    struct record_dead dead;
    if (!record_dead(message, &dead)) {
        return true;
    }
    bool good = out_format(out, "  %s ", record_reason(dead.reason));
    if (dead.topic != UINT32_MAX) {
        const char *topic = record_topic(names, dead.topic);
        good = good && text_put_plain(out, (struct commitlog_slice){topic, strlen(topic)}) &&
               out_format(out, "/%" PRIu32, dead.queue);
    } else if (dead.queue_number != UINT32_MAX) {
        good = good && out_format(out, "#%" PRIu32, dead.queue_number);
    } else {
        good = good && out_put(out, "-", 1);
    }
    return good && out_format(out, " @%" PRIu64 " attempts %" PRIu32, dead.offset, dead.attempts);
}

static bool record_put_dead_json(struct out *out, struct record_names *names,
                                 const struct commitlog_message *message)
{
    struct record_dead dead;
    bool good = true;
    if (!record_dead(message, &dead)) {
        return true;
    }
    if (dead.topic != UINT32_MAX) {
        const char *topic = record_topic(names, dead.topic);
        good = out_text(out, ",\"origin_topic\":") &&
               text_put(out, (struct commitlog_slice){topic, strlen(topic)}) &&
               record_put_number(out, ",\"origin_queue\":", dead.queue);
    } else if (dead.queue_number != UINT32_MAX) {
        good = record_put_number(out, ",\"origin_queue_number\":", dead.queue_number);
    } else {
        good = out_text(out, ",\"origin_topic\":null,\"origin_queue\":null");
    }
    return good && record_put_number(out, ",\"origin_offset\":", dead.offset) &&
           record_put_number(out, ",\"attempts\":", dead.attempts) &&
           out_format(out, ",\"reason\":\"%s\"", record_reason(dead.reason));
}

bool record_print_line(struct out *out, struct record_names *names,
                       const struct commitlog_message *message)
{
    char when[32];
    when_format(message->store_time_ns, when, sizeof(when));
    bool good =
        out_format(out, "%-12" PRIu64 " %8" PRIu64 "  %-11s %s epoch %" PRIu32, message->position,
                   record_size(message), record_kind(message->kind), when, message->epoch);
    if (message->topic != UINT32_MAX) {
        const char *topic = record_topic(names, message->topic);
        good = good && out_text(out, "  ") &&
               text_put_plain(out, (struct commitlog_slice){topic, strlen(topic)}) &&
               out_format(out, "/%" PRIu32 " @%" PRIu64, message->queue, message->queue_offset);
    }
    if (message->tag.bytes > 0) {
        good = good && out_text(out, "  tag ") && text_put_plain(out, message->tag);
    }
    struct commitlog_slice key;
    for (uint32_t i = 0; commitlog_message_key(message, i, &key) == COMMITLOG_OK; i++) {
        good = good && out_text(out, "  key ") && text_put_plain(out, key);
    }
    return good && record_put_delay(out, message) && record_put_dead(out, names, message) &&
           control_put_line(out, message) && transaction_put_line(out, message) &&
           out_format(out, "  body %zu\n", message->body.bytes);
}

static bool record_put_object(struct out *out, struct record_names *names,
                              const struct commitlog_message *message,
                              const struct commitlog_delivery *delivery, bool log)
{
    assert(names != NULL && message != NULL);
    assert(message->next_position > message->position);
    bool good = record_put_number(out, "{\"position\":", message->position);
    if (log) {
        good = good && out_format(out, ",\"kind\":\"%s\",\"size\":%" PRIu64,
                                  record_kind(message->kind), record_size(message));
    }
    good = good && record_put_place(out, names, message);
    if (delivery != NULL) {
        good = good && record_put_number(out, ",\"offset\":", delivery->offset) &&
               record_put_number(out, ",\"attempt\":", delivery->attempt);
    }
    good =
        good && record_put_number(out, ",\"store_time_ns\":", (uint64_t)message->store_time_ns) &&
        record_put_time(out, message->time_ms) && record_put_delay_json(out, message, log) &&
        record_put_dead_json(out, names, message) && (!log || control_put_fields(out, message)) &&
        transaction_put_fields(out, message, log) &&
        record_put_number(out, ",\"epoch\":", message->epoch) && record_put_keys(out, message) &&
        out_text(out, ",\"tag\":") && record_put_string(out, message->tag) &&
        record_put_headers(out, message);
    if (text_is_utf8(message->body)) {
        good = good && out_text(out, ",\"body\":") && text_put(out, message->body);
    } else {
        good = good && out_text(out, ",\"body_base64\":") && text_put_base64(out, message->body);
    }
    return good && out_put(out, "}\n", 2);
}

bool record_print_json(struct out *out, struct record_names *names,
                       const struct commitlog_message *message, bool log)
{
    return record_put_object(out, names, message, NULL, log);
}

bool record_print_delivery(struct out *out, struct record_names *names,
                           const struct commitlog_message *message,
                           const struct commitlog_delivery *delivery)
{
    assert(delivery != NULL);
    return record_put_object(out, names, message, delivery, false);
}

static int record_dump(const char *text, size_t length, void *data)
{
    return out_put(data, text, length) ? 0 : -1;
}

bool record_print_value(struct out *out, json_t *value)
{
    assert(out != NULL);
    if (value == NULL) {
        out->error = out->error != 0 ? out->error : ENOMEM;
        return false;
    }
    const int rc = json_dump_callback(value, record_dump, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    if (rc != 0) {
        out->error = out->error != 0 ? out->error : ENOMEM;
        return false;
    }
    return out_put(out, "\n", 1);
}
