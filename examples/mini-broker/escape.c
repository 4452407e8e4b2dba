/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * escape.c - character by character. See escape.h.
 *
 * Happy path: most characters are as they are. Failure modes: those of the buffer.
 */
#include "escape.h"

/* How many bytes the character here has; 0: it is none, or a control character. */
static size_t character(const uint8_t *at, size_t bytes)
{
    const size_t count = utf8_character(at, bytes);
    const bool control = (count == 1 && (at[0] < 0x20 || at[0] == 0x7f)) ||
                         (count == 2 && at[0] == 0xc2 && at[1] < 0xa0);
    return control ? 0 : count;
}

static const char *html(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static const char *label(uint8_t c)
{
    return c == '\\' ? "\\\\" : c == '"' ? "\\\"" : NULL;
}

static void escape(struct buffer *out, struct text text, const char *(*special)(uint8_t c))
{
    const uint8_t *at = (const uint8_t *)text.data;
    size_t left = text.bytes;
    while (left > 0) {
        size_t count = character(at, left);
        const char *instead = count == 1 ? special(*at) : NULL;
        if (count == 0) {
            instead = REPLACEMENT;
            count = 1;
        }
        if (instead != NULL)
            buffer_put_text(out, text_of(instead));
        else
            buffer_put(out, at, count);
        at += count;
        left -= count;
    }
}

void escape_html(struct buffer *out, struct text text)
{
    escape(out, text, html);
}

void escape_label(struct buffer *out, struct text text)
{
    escape(out, text, label);
}

void escape_query(struct buffer *out, struct text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const uint8_t c = (uint8_t)text.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '-' || c == '_' || c == '.')
            buffer_put_byte(out, c);
        else
            buffer_format(out, "%%%02X", c);
    }
}
