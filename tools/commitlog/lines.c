/*
 * lines.c -- standard input by lines: see lines.h.
 */
#include "lines.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { LINES_BUFFER_BYTES = 256 * 1024 };

bool lines_init(struct lines *lines, int fd, const struct watch *watch)
{
    assert(lines != NULL);
    *lines = (struct lines){.fd = fd, .watch = watch, .capacity = LINES_BUFFER_BYTES};
    lines->bytes = malloc(lines->capacity);
    return lines->bytes != NULL;
}

void lines_free(struct lines *lines)
{
    assert(lines != NULL);
    free(lines->bytes);
    lines->bytes = NULL;
}

static bool lines_ready(const struct lines *lines)
{
    struct pollfd wait = {.fd = lines->fd, .events = POLLIN};
    return poll(&wait, 1, 0) != 0; /* an error is for read to tell */
}

bool lines_wait(struct lines *lines)
{
    assert(!lines->ended);
    if (lines->stopped) {
        return false;
    }
    struct pollfd waits[2] = {
        {.fd = lines->fd, .events = POLLIN},
        {.fd = watch_fd(lines->watch), .events = POLLIN},
    };
    (void)poll(waits, 2, -1);
    return !watch_ended(lines->watch);
}

uint64_t lines_unfinished(const struct lines *lines)
{
    assert(lines != NULL);
    const char *from = lines->bytes + lines->from;
    const size_t bytes = lines->to - lines->from;
    return memchr(from, '\n', bytes) != NULL ? 0 : lines->skipped + bytes;
}

/* Makes room behind `to`: moves the rest to the front, or doubles the buffer, up to what holds the
 * longest line and its end. */
static bool lines_room(struct lines *lines)
{
    assert(lines->from <= lines->to && lines->to <= lines->capacity);
    if (lines->from > 0) {
        memmove(lines->bytes, lines->bytes + lines->from, lines->to - lines->from);
        lines->to -= lines->from;
        lines->scanned -= lines->from;
        lines->from = 0;
    }
    if (lines->to < lines->capacity) {
        return true;
    }
    const size_t most = (size_t)LINES_MAX_BYTES + LINES_BUFFER_BYTES;
    assert(lines->capacity < most); /* lines_next skips what is longer */
    const size_t capacity = lines->capacity < most / 2 ? lines->capacity * 2 : most;
    char *larger = realloc(lines->bytes, capacity);
    if (larger == NULL) {
        lines->error = ENOMEM;
        return false;
    }
    lines->bytes = larger;
    lines->capacity = capacity;
    return true;
}

/* One read; LINES_LINE: something came. */
static int lines_fill(struct lines *lines)
{
    if (lines->ended) {
        return LINES_END;
    }
    if (lines->stopped || watch_ended(lines->watch) || !lines_ready(lines)) {
        return LINES_WAIT;
    }
    if (!lines_room(lines)) {
        return LINES_FAILED;
    }
    const ssize_t count = read(lines->fd, lines->bytes + lines->to, lines->capacity - lines->to);
    if (count < 0) {
        if (errno == EINTR || errno == EAGAIN) {
            return LINES_WAIT;
        }
        lines->error = errno;
        return LINES_FAILED;
    }
    lines->ended = count == 0;
    lines->to += (size_t)count;
    lines->consumed += (uint64_t)count;
    return LINES_LINE;
}

static int lines_return(struct lines *lines, size_t end, const char **line, size_t *length)
{
    assert(end >= lines->from && end <= lines->to);
    *line = lines->bytes + lines->from;
    *length = end - lines->from;
    lines->from = end < lines->to ? end + 1 : end;
    lines->scanned = lines->from;
    lines->number++;
    const bool skipped = lines->skipped > 0 || *length > LINES_MAX_BYTES;
    lines->skipped = 0;
    return skipped ? LINES_TOO_LONG : LINES_LINE;
}

int lines_next(struct lines *lines, const char **line, size_t *length)
{
    assert(lines != NULL && line != NULL && length != NULL);
    for (;;) {
        const char *from = lines->bytes + lines->scanned;
        const char *feed = memchr(from, '\n', lines->to - lines->scanned);
        if (feed != NULL) {
            return lines_return(lines, (size_t)(feed - lines->bytes), line, length);
        }
        lines->scanned = lines->to;
        if (lines->to - lines->from > LINES_MAX_BYTES) {
            lines->skipped += lines->to - lines->from;
            lines->from = lines->to;
        }
        const int got = lines_fill(lines);
        if (got == LINES_END && (lines->from < lines->to || lines->skipped > 0)) {
            return lines_return(lines, lines->to, line, length);
        }
        if (got != LINES_LINE) {
            return got;
        }
    }
}
