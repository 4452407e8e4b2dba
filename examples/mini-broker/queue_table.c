/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_table.c - {"brokerName":"b","queueId":0,"topic":"t"}: as a key. See queue_table.h.
 */
#include "queue_table.h"

void queue_table_key(struct buffer *out, const struct broker *broker, const struct topic *topic,
                     uint32_t queue, bool first)
{
    if (!first)
        buffer_put_byte(out, ',');
    buffer_put_text(out, TEXT("{\"brokerName\":"));
    buffer_put_json(out, text_of(broker->options->name));
    buffer_format(out, ",\"queueId\":%u,\"topic\":", queue);
    buffer_put_json(out, topic->entry.name);
    buffer_put_text(out, TEXT("}:"));
}
