/* message.c -- a record as the caller sees it: pointers into whatever holds the record. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/producer_record.h"
#include "format/timer_record.h"
#include "format/transaction_record.h"
#include "store/reference.h"

void clg_message_set_origin(const struct clg_core *core, const struct clg_reference *reference,
                            struct commitlog_message *message)
{
    bool dead =
        reference->reason == CLG_REFERENCE_EXPIRED || reference->reason == CLG_REFERENCE_REFUSED;
    message->origin_position = reference->position;
    if (reference->position != 0 &&
        message->transaction == message->position) { /* its first message says no number */
        message->transaction = reference->position;
    }
    if (!dead) {
        return;
    }
    message->reason = reference->reason;
    message->attempts = reference->attempts;
    message->origin_offset = reference->origin;
    const struct clg_topic *topic =
        clg_registry_owner(&core->registry, reference->origin_queue, &message->origin_queue);
    message->origin_topic = topic != NULL ? topic->id : message->origin_topic;
}

/* What of the attributes most messages have. */
struct message_common {
    struct commitlog_slice tag;
    uint32_t key_count;
    uint32_t header_count;
    bool more; /* than these */
};

/* All that can fail, before anything of the message is written. */
static int message_look(const struct clg_record_view *view, struct message_common *out)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    clg_attribute_iterator_init(&iterator, view->attributes, view->header.attribute_bytes);
    int rc;
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        switch (attribute.type) {
        case CLG_ATTRIBUTE_TAG:
            out->tag = (struct commitlog_slice){attribute.value, attribute.bytes};
            break;
        case CLG_ATTRIBUTE_KEY:
            out->key_count++;
            break;
        case CLG_ATTRIBUTE_HEADER:
            out->header_count++;
            break;
        case CLG_ATTRIBUTE_PRODUCER_TIME:
        case CLG_ATTRIBUTE_DELIVER_AT:
        case CLG_ATTRIBUTE_TRANSACTION:
        case CLG_ATTRIBUTE_ORIGIN:
        case CLG_ATTRIBUTE_PRODUCER:
            out->more = true;
            break;
        default:
            if (attribute.critical) {
                return COMMITLOG_EUNSUPPORTED;
            }
            break;
        }
    }
    return rc;
}

/* The others, of attributes that were looked at. */
static void message_decode(const struct clg_core *core, const struct clg_record_view *view,
                           struct commitlog_message *out)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    struct clg_producer_mark mark;
    struct clg_deliver_at waits;
    struct clg_reference origin;
    struct clg_transaction_half half;
    clg_attribute_iterator_init(&iterator, view->attributes, view->header.attribute_bytes);
    while (clg_attribute_next(&iterator, &attribute) == 1) {
        switch (attribute.type) {
        case CLG_ATTRIBUTE_PRODUCER_TIME:
            if (attribute.bytes == 8) {
                uint64_t ms = clg_load_le64(attribute.value);
                memcpy(&out->time_ms, &ms, sizeof(ms));
            }
            break;
        case CLG_ATTRIBUTE_DELIVER_AT:
            if (clg_deliver_at_decode(attribute.value, attribute.bytes, &waits) == COMMITLOG_OK) {
                out->deliver_at_ms = waits.due_ms;
            }
            break;
        case CLG_ATTRIBUTE_TRANSACTION:
            if (clg_transaction_half_decode(attribute.value, attribute.bytes, &half) ==
                COMMITLOG_OK) {
                out->transaction = half.transaction != 0           ? half.transaction
                                   : out->kind == CLG_KIND_MESSAGE ? 0
                                                                   : out->position;
            }
            break;
        case CLG_ATTRIBUTE_ORIGIN:
            if (clg_reference_decode_origin(attribute.value, attribute.bytes, &origin) ==
                COMMITLOG_OK) {
                clg_message_set_origin(core, &origin, out);
            }
            break;
        case CLG_ATTRIBUTE_PRODUCER:
            if (clg_producer_mark_decode(attribute.value, attribute.bytes, &mark) == COMMITLOG_OK) {
                out->producer_id = mark.id;
                out->sequence = mark.sequence;
                out->producer_epoch = mark.epoch;
            }
            break;
        default:
            break;
        }
    }
}

int clg_message_fill(const struct clg_core *core, const struct clg_record_view *view,
                     struct commitlog_message *out)
{
    /* Of holes and pads nothing is covered by a check. */
    bool empty = view->header.kind == CLG_KIND_HOLE || view->header.kind == CLG_KIND_PAD;
    struct message_common common = {.more = false};
    if (!empty && view->header.attribute_bytes > 0) {
        int rc = message_look(view, &common);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
    memset(out, 0, sizeof(*out));
    out->position = view->position;
    out->next_position = view->next_position;
    out->queue_offset = view->header.queue_offset;
    out->store_time_ns = view->header.store_time;
    out->time_ms = view->header.store_time / 1000000;
    out->epoch = view->header.epoch;
    out->kind = view->header.kind;
    out->queue = UINT32_MAX;
    out->origin_topic = UINT32_MAX;
    out->origin_queue = UINT32_MAX;
    bool has_queue = view->header.kind == CLG_KIND_MESSAGE ||
                     view->header.kind == CLG_KIND_REFERENCE || view->header.kind == CLG_KIND_HOLE;
    const struct clg_topic *topic =
        has_queue ? clg_registry_owner(&core->registry, view->header.queue_number, &out->queue)
                  : NULL;
    out->topic = topic != NULL ? topic->id : UINT32_MAX;
    if (empty) {
        return COMMITLOG_OK;
    }
    out->body = (struct commitlog_slice){view->body, view->body_bytes};
    out->attributes = (struct commitlog_slice){view->attributes, view->header.attribute_bytes};
    out->tag = common.tag;
    out->key_count = common.key_count;
    out->header_count = common.header_count;
    if (common.more) {
        message_decode(core, view, out);
    }
    return COMMITLOG_OK;
}

/* The caller may have made it or kept it himself. */
static bool message_is_there(const struct commitlog_message *message)
{
    return message != NULL && (message->attributes.data != NULL || message->attributes.bytes == 0);
}

int32_t commitlog_message_key(const struct commitlog_message *message, uint32_t index,
                              struct commitlog_slice *out_key)
{
    if (!message_is_there(message) || out_key == NULL) {
        return COMMITLOG_EINVAL;
    }
    struct clg_attribute key;
    int rc = clg_attributes_key(message->attributes.data, message->attributes.bytes, index, &key);
    if (rc != 1) {
        return rc == 0 ? COMMITLOG_ENOTFOUND : rc;
    }
    *out_key = (struct commitlog_slice){key.value, key.bytes};
    return COMMITLOG_OK;
}

int32_t commitlog_message_header(const struct commitlog_message *message, uint32_t index,
                                 struct commitlog_header *out_header)
{
    if (!message_is_there(message) || out_header == NULL) {
        return COMMITLOG_EINVAL;
    }
    struct clg_attribute_header header;
    int rc =
        clg_attributes_header(message->attributes.data, message->attributes.bytes, index, &header);
    if (rc != 1) {
        return rc == 0 ? COMMITLOG_ENOTFOUND : rc;
    }
    out_header->name = (struct commitlog_slice){header.name, header.name_bytes};
    out_header->value = (struct commitlog_slice){header.value, header.value_bytes};
    return COMMITLOG_OK;
}
