/*
 * text.c -- JSON strings: see text.h.
 */
#include "text.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "base64.h"

enum { TEXT_PIECE = 3 * 4096 };

/* Bytes of the character at `at`, or 0 when it is none; `left` bytes are there. */
static size_t text_character(const unsigned char *at, size_t left)
{
    assert(left > 0);
    const unsigned char lead = at[0];
    size_t bytes;
    uint32_t code;
    uint32_t least;
    if (lead < 0x80) {
        return lead == 0 ? 0 : 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        bytes = 2;
        code = lead & 0x1fu;
        least = 0x80;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        bytes = 3;
        code = lead & 0x0fu;
        least = 0x800;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        bytes = 4;
        code = lead & 0x07u;
        least = 0x10000;
    } else {
        return 0;
    }
    if (left < bytes) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3fu);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least || code > 0x10ffff || surrogate ? 0 : bytes;
}

bool text_is_utf8(struct commitlog_slice bytes)
{
    assert(bytes.data != NULL || bytes.bytes == 0);
    const unsigned char *at = bytes.data;
    size_t left = bytes.bytes;
    while (left > 0) {
        const size_t character = text_character(at, left);
        if (character == 0) {
            return false;
        }
        at += character;
        left -= character;
    }
    return true;
}

size_t text_wild(const unsigned char *at, size_t left, bool utf8)
{
    assert(left > 0);
    if (utf8 && at[0] == 0xc2 && left > 1 && at[1] < 0xa0) {
        return 2; /* U+0080 to U+009F */
    }
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] >= 0x80 && !utf8) ? 1 : 0;
}

bool text_put_plain(struct out *out, struct commitlog_slice bytes)
{
    assert(out != NULL);
    const bool utf8 = text_is_utf8(bytes);
    const unsigned char *at = bytes.data;
    size_t begin = 0;
    bool good = true;
    for (size_t i = 0; good && i < bytes.bytes;) {
        size_t wild = text_wild(at + i, bytes.bytes - i, utf8);
        if (wild == 0) {
            i++;
            continue;
        }
        good = out_put(out, at + begin, i - begin);
        for (; good && wild > 0; wild--) {
            good = out_format(out, "\\x%02x", at[i++]);
        }
        begin = i;
    }
    return good && out_put(out, at + begin, bytes.bytes - begin);
}

/* How many characters text_put_plain makes of them. */
static size_t text_width(struct commitlog_slice bytes)
{
    const bool utf8 = text_is_utf8(bytes);
    const unsigned char *at = bytes.data;
    size_t width = 0;
    for (size_t i = 0; i < bytes.bytes;) {
        const size_t wild = text_wild(at + i, bytes.bytes - i, utf8);
        if (wild > 0) {
            width += wild * (sizeof("\\x00") - 1);
            i += wild;
        } else {
            width += (at[i] & 0xc0u) == 0x80 ? 0 : 1;
            i++;
        }
    }
    return width;
}

bool text_put_column(struct out *out, struct commitlog_slice bytes, size_t width)
{
    assert(width <= INT_MAX);
    const size_t used = text_width(bytes);
    return text_put_plain(out, bytes) &&
           out_format(out, "%*s", used < width ? (int)(width - used) : 0, "");
}

static bool text_put_escape(struct out *out, unsigned char byte)
{
    char text[8];
    int length;
    switch (byte) {
    case '\n':
        return out_put(out, "\\n", 2);
    case '\t':
        return out_put(out, "\\t", 2);
    case '\r':
        return out_put(out, "\\r", 2);
    case '"':
        return out_put(out, "\\\"", 2);
    case '\\':
        return out_put(out, "\\\\", 2);
    default:
        length = snprintf(text, sizeof(text), "\\u%04x", byte);
        assert(length == 6);
        return out_put(out, text, (size_t)length);
    }
}

bool text_put(struct out *out, struct commitlog_slice bytes)
{
    assert(out != NULL);
    assert(bytes.data != NULL || bytes.bytes == 0);
    const unsigned char *at = bytes.data;
    size_t from = 0;
    bool good = out_put(out, "\"", 1);
    for (size_t i = 0; i < bytes.bytes; i++) {
        if (at[i] < 0x20 || at[i] == '"' || at[i] == '\\') {
            good = good && out_put(out, at + from, i - from) && text_put_escape(out, at[i]);
            from = i + 1;
        }
    }
    if (from < bytes.bytes) {
        good = good && out_put(out, at + from, bytes.bytes - from);
    }
    return good && out_put(out, "\"", 1);
}

bool text_put_base64(struct out *out, struct commitlog_slice bytes)
{
    assert(out != NULL);
    assert(bytes.data != NULL || bytes.bytes == 0);
    char text[TEXT_PIECE / 3 * 4];
    const unsigned char *at = bytes.data;
    bool good = out_put(out, "\"", 1);
    for (size_t done = 0; good && done < bytes.bytes; done += TEXT_PIECE) {
        const size_t left = bytes.bytes - done;
        const size_t piece = left < TEXT_PIECE ? left : TEXT_PIECE;
        base64_encode(at + done, piece, text);
        good = out_put(out, text, base64_length(piece));
    }
    return good && out_put(out, "\"", 1);
}
