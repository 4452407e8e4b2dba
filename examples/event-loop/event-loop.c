/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event-loop.c - the store as one more descriptor of a poll() loop.
 *
 * Lines of standard input are appended; whatever becomes visible in the topic is printed, no
 * matter which thread appended it. The eventfd says "something is there"; the cursor is then
 * drained until COMMITLOG_EEND, because one event may stand for many messages. A line of more than
 * 4096 bytes becomes several messages.
 *
 *   printf 'one\ntwo\n' | event-loop [DIR]        default: lines.store
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FETCH = 32, LINE = 4096 };

struct loop {
    struct commitlog_store *store;
    struct commitlog_cursor *cursor;
    uint32_t topic;
    size_t held; /* bytes of an unfinished line */
    int cut;     /* what is held goes on a line whose beginning was appended */
    char line[LINE];
};

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "event-loop: %s: %s\n", what,
            detailed ? err->message : commitlog_error_text(code));
    return code;
}

/* Prints all that has become visible. */
static int32_t print_new(struct loop *loop)
{
    struct commitlog_message messages[FETCH];
    uint32_t count = 0;
    int32_t code;
    while ((code = commitlog_cursor_fetch(loop->cursor, messages, FETCH, 0, &count, NULL)) ==
           COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++)
            printf("%" PRIu64 ": %.*s\n", messages[i].queue_offset, (int)messages[i].body.bytes,
                   (const char *)messages[i].body.data);
    }
    if (code != COMMITLOG_EEND)
        return complain("fetch", code, NULL);
    if (fflush(stdout) != 0) { /* now: who waits in poll writes nothing */
        perror("event-loop: standard output");
        return COMMITLOG_EIO;
    }
    return COMMITLOG_OK;
}

static int32_t append_line(struct loop *loop, const char *text, size_t bytes)
{
    const int32_t code =
        commitlog_append(loop->store, loop->topic, 0, text, bytes, COMMITLOG_LEVEL_NONE, NULL);
    return code == COMMITLOG_OK ? code : complain("append", code, NULL);
}

/* Reads what standard input has, appends each full line. *out_end: no more will come. */
static int32_t take_input(struct loop *loop, int *out_end)
{
    const ssize_t got = read(STDIN_FILENO, loop->line + loop->held, LINE - loop->held);
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
        perror("event-loop: read");
        return COMMITLOG_EIO;
    }
    *out_end = got == 0;
    loop->held += got > 0 ? (size_t)got : 0;

    int32_t code = COMMITLOG_OK;
    size_t begin = 0;
    const char *newline;
    while (code == COMMITLOG_OK &&
           (newline = memchr(loop->line + begin, '\n', loop->held - begin)) != NULL) {
        const size_t bytes = (size_t)(newline - (loop->line + begin));
        if (bytes > 0 || !loop->cut) /* else it is the end of what was appended */
            code = append_line(loop, loop->line + begin, bytes);
        loop->cut = 0;
        begin += bytes + 1;
    }
    memmove(loop->line, loop->line + begin, loop->held - begin);
    loop->held -= begin;
    if (code == COMMITLOG_OK && loop->held > 0 && (*out_end || loop->held == LINE)) {
        code = append_line(loop, loop->line, loop->held); /* a last or an over-long line */
        loop->held = 0;
        loop->cut = 1;
    }
    return code;
}

static int32_t run_loop(struct loop *loop, int event_fd)
{
    struct pollfd polled[2] = {{STDIN_FILENO, POLLIN, 0}, {event_fd, POLLIN, 0}};
    int32_t code = COMMITLOG_OK;
    int end = 0;
    while (code == COMMITLOG_OK && !end) {
        if (poll(polled, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            perror("event-loop: poll");
            return COMMITLOG_EIO;
        }
        if (polled[1].revents != 0) {
            uint64_t events; /* how many is of no interest: the read makes it quiet again */
            if (read(event_fd, &events, sizeof events) > 0)
                code = print_new(loop);
        }
        if (code == COMMITLOG_OK && polled[0].revents != 0)
            code = take_input(loop, &end);
    }
    return code == COMMITLOG_OK ? print_new(loop) : code; /* what the last input brought */
}

static int32_t set_up(struct loop *loop, const char *path, int32_t *out_event_fd)
{
    struct commitlog_error err = {0};
    int32_t code = commitlog_open(path, NULL, &loop->store, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(loop->store, "lines", 5, 1, &loop->topic, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(loop->store, loop->topic, 0, COMMITLOG_FROM_END, 0,
                                     &loop->cursor, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_event_fd(loop->store, out_event_fd);
    return code == COMMITLOG_OK ? code : complain("set up", code, &err);
}

int main(int argc, char **argv)
{
    static struct loop loop;
    struct commitlog_error err = {0};
    int32_t event_fd = -1;
    int32_t code = set_up(&loop, argc > 1 ? argv[1] : "lines.store", &event_fd);
    if (code == COMMITLOG_OK)
        code = run_loop(&loop, event_fd); /* the descriptor belongs to the store */
    commitlog_cursor_close(loop.cursor);
    const int32_t closed = commitlog_close(loop.store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK ? 0 : 1;
}
