/* encode.c -- see encode.h. */
#include "store/encode.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/timer_record.h"
#include "group/queue_choice.h"
#include "store/store.h"
#include "store/timers.h"

int clg_store_queue(const struct clg_core *core, uint32_t topic, uint32_t queue,
                    uint32_t *out_number)
{
    const struct clg_topic *found = clg_registry_topic(&core->registry, topic);
    if (found == NULL || queue >= clg_topic_queues(found)) {
        return COMMITLOG_EINVAL;
    }
    *out_number = clg_topic_number(found, queue);
    return COMMITLOG_OK;
}

static uint32_t encode_choose_queue(struct commitlog_store *store, uint32_t queues,
                                    const struct commitlog_record *record)
{
    if (record->key_count == 0) {
        uint32_t turn = atomic_fetch_add_explicit(&store->round_robin, 1, memory_order_relaxed);
        return turn % queues;
    }
    return clg_queue_by_key(record->keys[0].data, record->keys[0].bytes, queues);
}

/* What there is to be said of a record besides what its caller says. */
struct encode_place {
    uint32_t queue_number;
    bool waits;                        /* for its time */
    struct clg_transaction_half *half; /* NULL: of no transaction */
};

/* Not by the sum of their sizes, which may be anything until each was looked at. */
static bool encode_is_plain(const struct commitlog_record *record, const struct encode_place *place)
{
    return (record->tag.bytes | record->key_count | record->header_count |
            (uint64_t)record->deliver_at_ms | record->producer_id | record->has_time) == 0 &&
           place->half == NULL;
}

static uint64_t encode_attribute_bytes(const struct commitlog_record *record,
                                       const struct encode_place *place)
{
    uint64_t bytes = record->tag.bytes > 0 ? CLG_ATTRIBUTE_HEADER_BYTES + record->tag.bytes : 0;
    for (uint32_t i = 0; i < record->key_count; i++) {
        bytes += CLG_ATTRIBUTE_HEADER_BYTES + record->keys[i].bytes;
    }
    for (uint32_t i = 0; i < record->header_count; i++) {
        bytes += CLG_ATTRIBUTE_HEADER_BYTES + 2 + record->headers[i].name.bytes +
                 record->headers[i].value.bytes;
    }
    bytes += place->half != NULL
                 ? CLG_ATTRIBUTE_HEADER_BYTES + clg_transaction_half_bytes(place->half)
                 : 0;
    bytes += record->deliver_at_ms != 0 ? CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES : 0;
    bytes +=
        record->producer_id != 0 ? CLG_ATTRIBUTE_HEADER_BYTES + CLG_PRODUCER_ATTRIBUTE_BYTES : 0;
    return bytes + (record->has_time != 0 ? CLG_ATTRIBUTE_HEADER_BYTES + 8u : 0);
}

static struct clg_producer_mark encode_mark(const struct commitlog_record *record)
{
    return (struct clg_producer_mark){
        .id = record->producer_id, .sequence = record->sequence, .epoch = record->producer_epoch};
}

static int encode_write_half(struct clg_attribute_writer *writer,
                             const struct clg_transaction_half *half)
{
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    clg_transaction_half_encode(value, half);
    return clg_attribute_add(writer, CLG_ATTRIBUTE_TRANSACTION | CLG_ATTRIBUTE_CRITICAL, value,
                             clg_transaction_half_bytes(half));
}

static int encode_write(struct clg_attribute_writer *writer, const struct commitlog_record *record,
                        const struct encode_place *place)
{
    int rc = COMMITLOG_OK;
    if (CLG_UNLIKELY(place->half != NULL)) { /* first, and nothing else that steers */
        rc = encode_write_half(writer, place->half);
    }
    if (record->deliver_at_ms != 0) { /* first, and the producer next: the fold looks only there */
        const struct clg_deliver_at at = {.due_ms = record->deliver_at_ms,
                                          .queue_number = place->queue_number};
        uint8_t value[CLG_DELIVER_AT_BYTES];
        clg_deliver_at_encode(value, &at);
        uint32_t critical = place->waits ? CLG_ATTRIBUTE_CRITICAL : 0;
        rc = clg_attribute_add(writer, (uint8_t)(CLG_ATTRIBUTE_DELIVER_AT | critical), value,
                               sizeof(value));
    }
    if (rc == COMMITLOG_OK && record->producer_id != 0) {
        const struct clg_producer_mark mark = encode_mark(record);
        uint8_t value[CLG_PRODUCER_ATTRIBUTE_BYTES];
        clg_producer_mark_encode(value, &mark);
        rc = clg_attribute_add(writer, CLG_ATTRIBUTE_PRODUCER, value, sizeof(value));
    }
    if (rc == COMMITLOG_OK && record->tag.bytes > 0) {
        rc = clg_attribute_add(writer, CLG_ATTRIBUTE_TAG, record->tag.data, record->tag.bytes);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < record->key_count; i++) {
        rc = clg_attribute_add(writer, CLG_ATTRIBUTE_KEY, record->keys[i].data,
                               record->keys[i].bytes);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < record->header_count; i++) {
        const struct commitlog_header *header = &record->headers[i];
        rc = clg_attribute_add_header(writer, header->name.data, header->name.bytes,
                                      header->value.data, header->value.bytes);
    }
    if (rc == COMMITLOG_OK && record->has_time != 0) {
        rc = clg_attribute_add_producer_time(writer, record->time_ms);
    }
    return rc;
}

static int encode_attributes(struct commitlog_store *store, const struct commitlog_record *record,
                             const struct encode_place *place, struct clg_encode_room *room,
                             struct clg_append *item, struct clg_encoded *out,
                             struct commitlog_error *err)
{
    out->allocated = NULL;
    if (encode_is_plain(record, place)) {
        return COMMITLOG_OK; /* the item has none */
    }
    uint64_t bytes = encode_attribute_bytes(record, place);
    if (bytes > CLG_ATTRIBUTES_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "tag, keys and headers: %llu bytes (at most %u)", (unsigned long long)bytes,
                        CLG_ATTRIBUTES_MAX);
    }
    uint8_t *at = room->at;
    if (bytes > room->bytes) {
        at = out->allocated = store->os->alloc(store->os, bytes);
        if (at == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "encode attributes");
        }
    }
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, at, bytes);
    int rc = encode_write(&writer, record, place);
    if (rc != COMMITLOG_OK) {
        clg_encoded_free(store, out);
        return clg_fail(err, rc, 0, CLG_NO_POSITION,
                        "a tag has at most %u bytes, a key 1 to %u, a header's name 1 to %u",
                        CLG_TAG_MAX, CLG_KEY_MAX, CLG_HEADER_NAME_MAX);
    }
    item->attributes = at;
    item->attribute_bytes = (uint32_t)writer.used;
    CLG_ASSERT(writer.used == bytes);
    if (out->allocated == NULL) {
        room->at += bytes;
        room->bytes -= bytes;
    }
    return COMMITLOG_OK;
}

/* Sums the pieces: COMMITLOG_EINVAL if one is missing. More than there can be is UINT64_MAX. */
static int encode_body_bytes(const struct commitlog_record *record, uint64_t *out)
{
    *out = 0;
    for (uint32_t i = 0; i < record->body_count; i++) {
        if (record->body == NULL || (record->body[i].data == NULL && record->body[i].bytes > 0)) {
            return COMMITLOG_EINVAL;
        }
        if (!clg_add_u64(*out, record->body[i].bytes, out)) {
            *out = UINT64_MAX;
        }
    }
    return COMMITLOG_OK;
}

static bool encode_slice_is_there(const struct commitlog_slice *slice)
{
    return slice->data != NULL || slice->bytes == 0;
}

static int encode_check(const struct commitlog_record *record, struct commitlog_error *err)
{
    bool good = record->level <= COMMITLOG_LEVEL_DURABLE && record->has_time <= 1 &&
                (record->key_count == 0 || record->keys != NULL) &&
                (record->header_count == 0 || record->headers != NULL) &&
                encode_slice_is_there(&record->tag) && record->reserved == 0 &&
                (record->producer_id != 0 ? record->sequence - 1 < CLG_PRODUCER_SEQUENCE_MAX
                                          : record->sequence == 0 && record->producer_epoch == 0);
    /* Before any of them is looked at: the arrays may well be shorter. */
    if (good && (record->key_count > CLG_RECORD_KEYS_MAX ||
                 record->header_count > CLG_ATTRIBUTES_MAX / CLG_ATTRIBUTE_HEADER_BYTES)) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "%u keys (at most %u) and %u headers", record->key_count,
                        CLG_RECORD_KEYS_MAX, record->header_count);
    }
    for (uint32_t i = 0; good && i < record->key_count; i++) {
        good = record->keys[i].data != NULL && record->keys[i].bytes > 0;
    }
    for (uint32_t i = 0; good && i < record->header_count; i++) {
        good = encode_slice_is_there(&record->headers[i].name) &&
               encode_slice_is_there(&record->headers[i].value);
    }
    return good ? COMMITLOG_OK
                : clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                           "level, has_time, a NULL array, a NULL tag, key or header with bytes, "
                           "an empty key, or the producer's sequence");
}

/* The caller's record as this version of the library has it: copied only if it is of another one.
 */
static int encode_view(const struct commitlog_record *given, struct commitlog_record *copy,
                       const struct commitlog_record **out, struct commitlog_error *err)
{
    *out = given;
    if (given != NULL && (given->struct_bytes == sizeof(*given) || given->struct_bytes == 0)) {
        return COMMITLOG_OK;
    }
    *out = copy;
    if (given == NULL || clg_copy_in(copy, sizeof(*copy), given) != COMMITLOG_OK) {
        (void)clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                       "record is NULL or of a newer version");
        return COMMITLOG_EINVAL;
    }
    return COMMITLOG_OK;
}

static int encode_item(struct commitlog_store *store, const struct commitlog_record *record,
                       size_t body_bytes, struct clg_transaction_half *half,
                       struct clg_encode_room *room, struct clg_append *item,
                       struct clg_encoded *out, struct commitlog_error *err)
{
    int rc = encode_check(record, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_topic *topic = clg_registry_topic(&store->core->registry, record->topic);
    uint32_t queues = topic == NULL ? 0 : clg_topic_routed(topic);
    if (topic == NULL || (record->queue != COMMITLOG_QUEUE_AUTO && record->queue >= queues)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "no topic has number %u, or it has no queue %u", record->topic,
                        record->queue);
    }
    uint64_t max = clg_option(&store->options, COMMITLOG_OPT_MAX_BODY_BYTES);
    if (body_bytes > max) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a body of %llu bytes, max_body_bytes is %llu",
                        (unsigned long long)body_bytes, (unsigned long long)max);
    }
    struct encode_place place = {.half = half};
    if (CLG_UNLIKELY(record->deliver_at_ms != 0)) {
        rc = clg_timers_check(store, record->deliver_at_ms, &place.waits, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
    memset(item, 0, sizeof(*item));
    uint32_t queue = record->queue == COMMITLOG_QUEUE_AUTO
                         ? encode_choose_queue(store, queues, record)
                         : record->queue;
    place.queue_number = clg_topic_number(topic, queue);
    if (CLG_UNLIKELY(half != NULL)) {
        half->queue_number = place.queue_number;
    }
    rc = encode_attributes(store, record, &place, room, item, out, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    bool queued = !place.waits && half == NULL;
    item->kind = half != NULL  ? CLG_KIND_TRANSACTION
                 : place.waits ? CLG_KIND_TIMER
                               : CLG_KIND_MESSAGE;
    item->queue_number = queued ? place.queue_number : CLG_QUEUE_NONE;
    item->takes_offset = queued;
    item->topic = topic; /* the caller's own choice is looked at again, too: there are fewer */
    item->routed = queues;
    item->body_bytes = body_bytes;
    out->level = record->level;
    out->is_auto = record->queue == COMMITLOG_QUEUE_AUTO;
    out->mark = encode_mark(record);
    return COMMITLOG_OK;
}

int clg_encode_reserved(struct commitlog_store *store, const struct commitlog_record *given,
                        size_t body_bytes, struct clg_encode_room *room, struct clg_append *item,
                        struct clg_encoded *out, struct commitlog_error *err)
{
    struct commitlog_record copy;
    const struct commitlog_record *record;
    int rc = encode_view(given, &copy, &record, err);
    if (rc == COMMITLOG_OK && (record->producer_id != 0 || record->deliver_at_ms != 0)) {
        /* Whether it is a repetition is known before it takes its place, and it may be aborted. */
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a reservation has no producer and no time to wait for: append the record");
    }
    return rc == COMMITLOG_OK ? encode_item(store, record, body_bytes, NULL, room, item, out, err)
                              : rc;
}

static int encode_given(struct commitlog_store *store, const struct commitlog_record *given,
                        struct clg_transaction_half *half, struct clg_encode_room *room,
                        struct clg_append *item, struct clg_encoded *out,
                        struct commitlog_error *err)
{
    struct commitlog_record copy;
    const struct commitlog_record *record;
    int rc = encode_view(given, &copy, &record, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    uint64_t bytes;
    rc = encode_body_bytes(record, &bytes);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "a piece of the body is NULL");
    }
    if (CLG_UNLIKELY(half != NULL) && (record->producer_id != 0 || record->deliver_at_ms != 0)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a message of a transaction has no producer id and no time to wait for");
    }
    rc = encode_item(store, record, bytes, half, room, item, out, err);
    if (rc == COMMITLOG_OK) {
        item->body = record->body;
        item->body_count = record->body_count;
        out->key_count = record->key_count;
    }
    return rc;
}

int clg_encode_route_again(struct commitlog_store *store, bool is_auto, struct clg_append *item,
                           struct commitlog_error *err)
{
    struct clg_attribute key;
    uint32_t queues = clg_topic_routed(item->topic);
    uint32_t queue = clg_registry_queue(&store->core->registry, item->queue_number)->index;
    CLG_ASSERT(item->kind == CLG_KIND_MESSAGE && item->takes_offset);
    if (is_auto) {
        bool has_key = clg_attributes_key(item->attributes, item->attribute_bytes, 0, &key) == 1;
        queue = has_key ? clg_queue_by_key(key.value, key.bytes, queues) : queue % queues;
    }
    if (queue >= queues) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "topic %s has shrunk: queue %u takes no records", item->topic->name, queue);
    }
    item->queue_number = clg_topic_number(item->topic, queue);
    item->routed = queues;
    return COMMITLOG_OK;
}

int clg_encode_record(struct commitlog_store *store, const struct commitlog_record *record,
                      struct clg_encode_room *room, struct clg_append *item,
                      struct clg_encoded *out, struct commitlog_error *err)
{
    return encode_given(store, record, NULL, room, item, out, err);
}

int clg_encode_half(struct commitlog_store *store, const struct commitlog_record *record,
                    struct clg_transaction_half *half, struct clg_encode_room *room,
                    struct clg_append *item, struct clg_encoded *out, struct commitlog_error *err)
{
    return encode_given(store, record, half, room, item, out, err);
}
