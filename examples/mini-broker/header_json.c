/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header_json.c - the header as JSON: sloppy in, standard out. See command.h.
 *
 * Owns: nothing. Invariants: 1. nothing outside the header is read or written; 2. an escape is
 * never longer once it is resolved, so text is resolved where it stands; 3. nothing nests deeper
 * than DEPTH_MAX. Accepted besides JSON: names and values without quotes, single quotes, numbers
 * and booleans where text is meant, nested values that nobody asked for.
 * Happy path: one pass, no memory taken. Failure modes: false, and the connection is closed.
 */
#include "codes.h"
#include "command.h"
#include "frame.h"

enum { DEPTH_MAX = 16 };

struct scan {
    char *at;
    char *end;
};

static void scan_blank(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

/* Passes over this character if it is next. */
static bool scan_is(struct scan *scan, char c)
{
    scan_blank(scan);
    if (scan->at >= scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static int scan_hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* Behind "\u": four digits, and the other half of a surrogate pair if there is one. */
static bool scan_unicode(struct scan *scan, char **to)
{
    if (scan->end - scan->at < 4)
        return false;
    int code = scan_hex4(scan->at);
    if (code < 0)
        return false;
    scan->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && scan->end - scan->at >= 6 && scan->at[0] == '\\' &&
        scan->at[1] == 'u') {
        const int low = scan_hex4(scan->at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            scan->at += 6;
        }
    }
    if (code >= 0xd800 && code < 0xe000)
        code = '?'; /* half of a pair, as Java writes it */
    *to = put_utf8(*to, (unsigned)code);
    return true;
}

static bool scan_escape(struct scan *scan, char **to)
{
    if (scan->at >= scan->end)
        return false;
    const char c = *scan->at++;
    static const char from[] = "nrtbf", into[] = "\n\r\t\b\f";
    if (c == 'u')
        return scan_unicode(scan, to);
    const char *known = memchr(from, c, sizeof from - 1);
    *(*to)++ = known != NULL ? into[known - from] : c;
    return true;
}

static bool scan_quoted(struct scan *scan, char quote, struct text *out)
{
    char *const begin = scan->at;
    while (scan->at < scan->end && *scan->at != quote && *scan->at != '\\')
        scan->at++; /* the usual case: nothing to resolve */
    char *to = scan->at;
    while (scan->at < scan->end) {
        const char c = *scan->at++;
        if (c == quote) {
            *out = (struct text){begin, (size_t)(to - begin)};
            return true;
        }
        if (c != '\\')
            *to++ = c;
        else if (!scan_escape(scan, &to))
            return false;
    }
    return false;
}

/* Text, or a bare word: a number, true, a name without quotes. */
static bool scan_scalar(struct scan *scan, struct text *out, bool *out_quoted)
{
    scan_blank(scan);
    if (scan->at >= scan->end)
        return false;
    const char first = *scan->at;
    *out_quoted = first == '"' || first == '\'';
    if (*out_quoted) {
        scan->at++;
        return scan_quoted(scan, first, out);
    }
    char *const begin = scan->at;
    while (scan->at < scan->end && strchr(",:{}[]\"' \t\r\n", *scan->at) == NULL)
        scan->at++;
    *out = (struct text){begin, (size_t)(scan->at - begin)};
    return out->bytes > 0;
}

static bool scan_skip(struct scan *scan)
{
    char closing[DEPTH_MAX];
    int depth = 0;
    struct text ignored;
    bool quoted;
    do {
        scan_blank(scan);
        if (scan->at >= scan->end)
            return false;
        const char c = *scan->at;
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return false;
            closing[depth++] = c == '{' ? '}' : ']';
            scan->at++;
        } else if (depth > 0 && (c == '}' || c == ']')) {
            if (closing[--depth] != c)
                return false;
            scan->at++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            scan->at++;
        } else if (!scan_scalar(scan, &ignored, &quoted)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

/* A scalar; null and what nests are no text, and *out_there is false. */
static bool scan_value(struct scan *scan, struct text *out, bool *out_there)
{
    bool quoted = false;
    scan_blank(scan);
    *out = (struct text){0};
    *out_there = false;
    if (scan->at < scan->end && (*scan->at == '{' || *scan->at == '['))
        return scan_skip(scan);
    if (!scan_scalar(scan, out, &quoted))
        return false;
    *out_there = quoted || !text_equal(*out, TEXT("null"));
    return true;
}

static bool scan_fields(struct scan *scan, struct command *out)
{
    if (!scan_is(scan, '{')) {
        struct text ignored;
        bool there;
        return scan_value(scan, &ignored, &there); /* null */
    }
    while (!scan_is(scan, '}')) {
        struct text name, value;
        bool quoted, there;
        if (!scan_scalar(scan, &name, &quoted) || !scan_is(scan, ':') ||
            !scan_value(scan, &value, &there))
            return false;
        if (there && !command_add(out, name, value))
            return false;
        if (!scan_is(scan, ',')) {
            scan_blank(scan);
            if (scan->at >= scan->end || *scan->at != '}')
                return false;
        }
    }
    return true;
}

static void take_member(struct command *out, struct text name, struct text value)
{
    int64_t number;
    if (text_equal(name, TEXT("remark"))) {
        out->remark = value;
    } else if (text_equal(name, TEXT("language"))) {
        out->language = language_number(value);
    } else if (text_to_i64(value, &number) && number >= INT32_MIN && number <= INT32_MAX) {
        if (text_equal(name, TEXT("code")))
            out->code = (int32_t)number;
        else if (text_equal(name, TEXT("version")))
            out->version = (int32_t)number;
        else if (text_equal(name, TEXT("opaque")))
            out->opaque = (int32_t)number;
        else if (text_equal(name, TEXT("flag")))
            out->flag = (int32_t)number;
    }
}

bool header_json_decode(uint8_t *header, size_t bytes, struct command *out)
{
    struct scan scan = {(char *)header, (char *)header + bytes};
    command_init(out);
    out->type = HEADER_JSON;
    if (!scan_is(&scan, '{'))
        return false;
    while (!scan_is(&scan, '}')) {
        struct text name, value;
        bool quoted, there = false;
        if (!scan_scalar(&scan, &name, &quoted) || !scan_is(&scan, ':'))
            return false;
        if (text_equal(name, TEXT("extFields"))) {
            if (!scan_fields(&scan, out))
                return false;
        } else if (!scan_value(&scan, &value, &there)) {
            return false;
        }
        if (there)
            take_member(out, name, value);
        if (!scan_is(&scan, ',')) {
            scan_blank(&scan);
            if (scan.at >= scan.end || *scan.at != '}')
                return false;
        }
    }
    return true;
}

void header_json_field(struct buffer *fields, struct text name, struct text value)
{
    if (fields->used > 0)
        buffer_put_byte(fields, ',');
    buffer_put_json(fields, name);
    buffer_put_byte(fields, ':');
    buffer_put_json(fields, value);
}

void header_json_encode(struct buffer *out, const struct header_out *header, struct text fields)
{
    buffer_put_text(out, TEXT("{\"code\":"));
    buffer_put_i64(out, header->code);
    buffer_put_text(out, TEXT(",\"extFields\":{"));
    buffer_put_text(out, fields);
    buffer_put_text(out, TEXT("},\"flag\":"));
    buffer_put_i64(out, header->flag);
    buffer_put_text(out, TEXT(",\"language\":\"OTHER\",\"opaque\":"));
    buffer_put_i64(out, header->opaque);
    if (header->remark.bytes > 0) {
        buffer_put_text(out, TEXT(",\"remark\":"));
        buffer_put_json(out, header->remark);
    }
    buffer_put_text(out, TEXT(",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":"));
    buffer_put_i64(out, BROKER_VERSION);
    buffer_put_byte(out, '}');
}
