/*
 * out.c -- buffered output: see out.h.
 */
#include "out.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

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

/* One write, out of which the watch gets us when it ends; a failure is told by errno. */
static ssize_t out_try(const struct out *out, const char *bytes, size_t count)
{
    watch_writes(out->watch, true);
    const ssize_t written = write(out->fd, bytes, count);
    const int error = errno;
    watch_writes(out->watch, false);
    errno = error;
    return written;
}

/* Whoever gave us the descriptor has set it not to block: until it takes more, or the end. */
static void out_wait(const struct out *out)
{
    struct pollfd waits[2] = {
        {.fd = out->fd, .events = POLLOUT},
        {.fd = watch_fd(out->watch), .events = POLLIN},
    };
    (void)poll(waits, 2, -1);
}

static bool out_write(struct out *out, const char *bytes, size_t count)
{
    assert(out->error == 0);
    while (count > 0) {
        const ssize_t written = out_try(out, bytes, count);
        if (written < 0 && errno == EAGAIN) {
            out_wait(out);
        } else if (written < 0 && errno != EINTR) {
            out->error = errno;
            return false;
        }
        bytes += written > 0 ? written : 0;
        count -= written > 0 ? (size_t)written : 0;
        if (count > 0 && watch_ended(out->watch)) {
            out->error = ECANCELED; /* the reader is too slow for our end */
            return false;
        }
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
