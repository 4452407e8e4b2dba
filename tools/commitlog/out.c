/*
 * out.c -- buffered output: see out.h.
 */
#include "out.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUT_BYTES = 65536 };

bool out_init(struct out *out, int fd)
{
    assert(out != NULL);
    assert(fd >= 0);
    *out = (struct out){.fd = fd, .capacity = OUT_BYTES};
    out->bytes = malloc(OUT_BYTES);
    return out->bytes != NULL;
}

void out_free(struct out *out)
{
    assert(out != NULL);
    free(out->bytes);
    out->bytes = NULL;
    out->used = 0;
}

static bool out_write(struct out *out, const char *bytes, size_t count)
{
    assert(out->error == 0);
    while (count > 0) {
        const ssize_t written = write(out->fd, bytes, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            out->error = errno;
            return false;
        }
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

bool out_flush(struct out *out)
{
    assert(out != NULL);
    assert(out->used <= out->capacity);
    if (out->error != 0) {
        return false;
    }
    const size_t used = out->used;
    out->used = 0;
    return out_write(out, out->bytes, used);
}

bool out_put(struct out *out, const void *bytes, size_t count)
{
    assert(out != NULL);
    assert(bytes != NULL || count == 0);
    if (out->error != 0) {
        return false;
    }
    if (count > out->capacity - out->used && !out_flush(out)) {
        return false;
    }
    if (count > out->capacity) {
        return out_write(out, bytes, count);
    }
    if (count > 0) {
        memcpy(out->bytes + out->used, bytes, count);
        out->used += count;
    }
    return true;
}

bool out_text(struct out *out, const char *text)
{
    assert(text != NULL);
    return out_put(out, text, strlen(text));
}

bool out_format(struct out *out, const char *format, ...)
{
    assert(format != NULL);
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < sizeof(text));
    return out_put(out, text, (size_t)length);
}
