/*
 * lines.h -- lines of standard input, with the knowledge whether the next one is there already.
 *
 * Owns: the buffer of standard input.
 * Invariants: a line is what lies before a line feed, any bytes; what follows the last line feed
 *       is a line too, unless it is empty. Memory is bounded: of a line longer than LINES_MAX_BYTES
 *       only the number is kept. Once the watch has ended, or `stopped` is set, nothing more is
 * read: the lines that are there already come, then LINES_WAIT. Threads and locks: one thread; it
 * waits in poll, also on the end of the watch. Failure modes: LINES_FAILED with errno in `error`.
 */
#ifndef COMMITLOG_TOOL_LINES_H
#define COMMITLOG_TOOL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch;

enum { LINES_MAX_BYTES = 256 * 1024 * 1024 };
enum {
    LINES_LINE,     /* *line, *length: valid until the next call */
    LINES_TOO_LONG, /* skipped */
    LINES_WAIT,     /* none complete yet: lines_wait before the next call */
    LINES_END,
    LINES_FAILED
};

struct lines {
    const struct watch *watch;
    int fd;
    int error;
    bool ended;       /* end of input */
    bool stopped;     /* set by the caller: read no more */
    uint64_t skipped; /* bytes left out of a line that is too long and has not ended */
    char *bytes;
    size_t capacity;
    size_t from;    /* first byte not yet returned */
    size_t scanned; /* no line feed in [from, scanned) */
    size_t to;
    uint64_t number;   /* of the line returned last, from 1 */
    uint64_t consumed; /* bytes read from the descriptor */
};

bool lines_init(struct lines *lines, int fd, const struct watch *watch);
void lines_free(struct lines *lines);
/* The next line; reads only what can be read without waiting. */
int lines_next(struct lines *lines, const char **line, size_t *length);
/* Waits for input; false: the watch ended, or no more is to be read. */
bool lines_wait(struct lines *lines);
/* Bytes that were read of a line whose end was not. */
uint64_t lines_unfinished(const struct lines *lines);

#endif
