/*
 * out.h -- buffered output to a descriptor that remembers its first failure.
 *
 * Owns: the buffer of standard output.
 * Invariants: after a failure nothing more is written; bytes leave in the order they came. Once the
 *       watch has ended, what would have to wait for a reader is given up, not waited for.
 * Threads and locks: one thread, that which started the watch.
 * Happy path: out_put ... out_flush before anything that waits.
 * Failure modes: `error` holds the errno; EPIPE means that the reader is gone, and ECANCELED that
 *       the watch ended while a reader was waited for: neither is an error of the command.
 */
#ifndef COMMITLOG_TOOL_OUT_H
#define COMMITLOG_TOOL_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct watch;

struct out {
    struct watch *watch; /* of the command, or NULL; set by watch_start */
    int fd;
    int error; /* errno of the first failed write, or 0 */
    size_t used;
    size_t capacity;
    char *bytes;
};

bool out_init(struct out *out, int fd);
void out_free(struct out *out);
/* False once a write has failed. */
bool out_put(struct out *out, const void *bytes, size_t count);
bool out_text(struct out *out, const char *text);
bool out_format(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool out_flush(struct out *out);

#endif
