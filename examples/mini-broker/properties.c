/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * properties.c - see properties.h.
 *
 * Happy path: one pass finds all that the broker looks at, and what is the application's. Failure
 * modes: of more bytes than PROPERTIES_MAX_BYTES, not all headers are seen: who stores refuses
 * them.
 */
#include "properties.h"

#include <stddef.h>

static const struct {
    struct text name;
    size_t at; /* in struct properties; SIZE_MAX: of no interest here */
} known[] = {
    {{"KEYS", sizeof "KEYS" - 1}, offsetof(struct properties, keys)},
    {{"TAGS", sizeof "TAGS" - 1}, offsetof(struct properties, tag)},
    {{"UNIQ_KEY", sizeof "UNIQ_KEY" - 1}, offsetof(struct properties, unique)},
    {{"WAIT", sizeof "WAIT" - 1}, offsetof(struct properties, wait)},
    {{"DELAY", sizeof "DELAY" - 1}, offsetof(struct properties, delay_level)},
    {{"TIMER_DELAY_SEC", sizeof "TIMER_DELAY_SEC" - 1}, offsetof(struct properties, delay_s)},
    {{"TIMER_DELAY_MS", sizeof "TIMER_DELAY_MS" - 1}, offsetof(struct properties, delay_ms)},
    {{"TIMER_DELIVER_MS", sizeof "TIMER_DELIVER_MS" - 1}, offsetof(struct properties, deliver_ms)},
    {{"TRAN_MSG", sizeof "TRAN_MSG" - 1}, offsetof(struct properties, prepared)},
    {{"PGROUP", sizeof "PGROUP" - 1}, SIZE_MAX},
    {{"REPLY_TO_CLIENT", sizeof "REPLY_TO_CLIENT" - 1}, offsetof(struct properties, reply_to)},
    {{"POP_CK", sizeof "POP_CK" - 1}, offsetof(struct properties, pop)},
    {{"CLUSTER", sizeof "CLUSTER" - 1}, SIZE_MAX},
    {{"MSG_REGION", sizeof "MSG_REGION" - 1}, SIZE_MAX},
    {{"TRACE_ON", sizeof "TRACE_ON" - 1}, SIZE_MAX},
    {{"INSTANCE_ID", sizeof "INSTANCE_ID" - 1}, SIZE_MAX},
};

bool properties_next(struct text *rest, struct text *name, struct text *value)
{
    while (rest->bytes > 0) {
        const char *end = memchr(rest->data, 2, rest->bytes);
        const size_t bytes = end == NULL ? rest->bytes : (size_t)(end - rest->data);
        const char *middle = memchr(rest->data, 1, bytes);
        if (middle != NULL) {
            *name = (struct text){rest->data, (size_t)(middle - rest->data)};
            *value = (struct text){middle + 1, bytes - name->bytes - 1};
        }
        const size_t passed = end == NULL ? bytes : bytes + 1;
        rest->data += passed;
        rest->bytes -= passed;
        if (middle != NULL && name->bytes > 0)
            return true;
    }
    return false;
}

static void scan_one(struct text name, struct text value, struct properties *out)
{
    bool header = name.bytes <= 255;
    if (name.data[0] >= 'A' && name.data[0] <= 'Z') {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (!text_equal(name, known[i].name))
                continue;
            if (known[i].at != SIZE_MAX)
                *(struct text *)(void *)((char *)out + known[i].at) = value;
            header = known[i].at != offsetof(struct properties, unique) &&
                     known[i].at != offsetof(struct properties, wait);
        }
    }
    if (header && out->header_count < PROPERTIES_HEADERS_MAX)
        out->headers[out->header_count++] =
            (struct commitlog_header){{name.data, name.bytes}, {value.data, value.bytes}};
}

void properties_scan(struct text properties, struct properties *out)
{
    struct text name, value;
    memset(out, 0, offsetof(struct properties, headers));
    while (properties_next(&properties, &name, &value))
        scan_one(name, value, out);
}

struct text properties_find(struct text properties, const char *wanted)
{
    struct text name, value;
    while (properties_next(&properties, &name, &value)) {
        if (text_equal(name, text_of(wanted)))
            return value;
    }
    return (struct text){0};
}

void properties_put(struct buffer *out, const char *name, struct text value)
{
    if (out->used > 0 && out->data[out->used - 1] != 2)
        buffer_put_byte(out, 2);
    buffer_put_text(out, text_of(name));
    buffer_put_byte(out, 1);
    buffer_put_text(out, value);
    buffer_put_byte(out, 2);
}

void properties_copy_without(struct buffer *out, struct text properties, const char *const *names)
{
    struct text name, value;
    while (properties_next(&properties, &name, &value)) {
        bool wanted = true;
        for (size_t i = 0; names[i] != NULL; i++)
            wanted = wanted && !text_equal(name, text_of(names[i]));
        if (!wanted)
            continue;
        buffer_put_text(out, name);
        buffer_put_byte(out, 1);
        buffer_put_text(out, value);
        buffer_put_byte(out, 2);
    }
}
