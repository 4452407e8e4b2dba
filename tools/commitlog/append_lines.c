/*
 * append_lines.c -- the loop over the lines of standard input: see append.h.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "append.h"
#include "bar.h"
#include "lines.h"
#include "watch.h"
#include "when.h"

enum { APPEND_MS_NS = 1000000 };

/* One line of input; CLI_DONE: go on. */
static int append_line(struct append *append, int got, const struct lines *lines, const char *line,
                       size_t length)
{
    if (got == LINES_TOO_LONG) {
        return append_reject(append, lines->number, "longer than 256 MiB");
    }
    struct record_in *in = append_place(append);
    if (append->delayed) {
        append->defaults.deliver_at_ms =
            (when_now_ns() + APPEND_MS_NS - 1) / APPEND_MS_NS + (int64_t)append->delay_ms;
    }
    const bool good = append->jsonl
                          ? record_in_json(in, &append->defaults, line, length)
                          : record_in_plain(in, &append->defaults, line, length, append->batch > 1);
    in->line = lines->number;
    if (!good || !append_check(append, in)) {
        return append_reject(append, lines->number, in->reason);
    }
    return append_add(append);
}

/* Of a line that is there in part nobody knows what it would have become. */
static void append_tell_unfinished(struct append *append, const struct lines *lines)
{
    const uint64_t bytes = lines_unfinished(lines);
    if (bytes > 0 && append->transaction == NULL) {
        cli_error(append->cli,
                  "standard input, line %llu: unfinished, not stored; bytes of it that were read: "
                  "%llu",
                  (unsigned long long)lines->number + 1, (unsigned long long)bytes);
    }
}

int append_lines(struct append *append, struct lines *lines, struct bar *bar)
{
    assert(append != NULL && lines != NULL && bar != NULL);
    struct stat input;
    const uint64_t total =
        fstat(lines->fd, &input) == 0 && S_ISREG(input.st_mode) ? (uint64_t)input.st_size : 0;
    int status = CLI_DONE;
    int input_status = CLI_DONE;
    /* A signal ends the reading: the lines that were read before it still come. A transaction is
     * rolled back, so nothing of it is worth storing. */
    while (status == CLI_DONE &&
           (append->transaction == NULL || !watch_ended(append->cli->watch))) {
        const char *line;
        size_t length;
        const int got = lines_next(lines, &line, &length);
        bar_set(bar, lines->consumed, total);
        if (got == LINES_LINE || got == LINES_TOO_LONG) {
            status = append_line(append, got, lines, line, length);
            lines->stopped = append->cli->out.error != 0; /* nobody takes acknowledgements */
        } else if (got == LINES_WAIT) {
            status = append_settle(append);
            lines->stopped = append->cli->out.error != 0;
            if (status == CLI_DONE && !lines_wait(lines)) {
                append_tell_unfinished(append, lines);
                break;
            }
        } else if (got == LINES_END) {
            break;
        } else {
            cli_error(append->cli, "standard input, line %llu: %s",
                      (unsigned long long)lines->number + 1, strerror(lines->error));
            input_status = CLI_CANNOT;
            break;
        }
    }
    /* What was read is stored and made durable whatever ended the loop, but for a batch behind a
     * failure of the store. */
    const bool failed = status != CLI_DONE;
    int rest = failed ? CLI_DONE : append_end_batch(append);
    if (rest == CLI_DONE) {
        rest = append_settle(append);
    }
    return failed ? status : rest != CLI_DONE ? rest : input_status;
}
