/*
 * open.h -- opens the store of a command, with the options that any command may set.
 *
 * Owns: the store and the options object between store_open and store_close.
 * Invariants: commands that only read open read-only, so that they run beside a writer, and
 *       without borrows, so that a file cut short under them is an error and no SIGBUS.
 * Threads and locks: the main thread.
 * Happy path: store_open -> ... -> store_close.
 * Failure modes: reported here, with the exit code as result.
 */
#ifndef COMMITLOG_TOOL_OPEN_H
#define COMMITLOG_TOOL_OPEN_H

#include "cli.h"

/* Options of the store on the command line. */
struct store_options {
    char *segment_size;
    char *engine;
    char **others;   /* NAME=VALUE */
    int patience_ms; /* no option: so long another writer is waited for */
};

#define STORE_OPTIONS(o)                                                                           \
    {"segment-size",                                                                               \
     '\0',                                                                                         \
     POPT_ARG_STRING,                                                                              \
     &(o)->segment_size,                                                                           \
     0,                                                                                            \
     "size of the segments to come, 64K to 32G",                                                   \
     "SIZE"},                                                                                      \
        {"engine",     '\0', POPT_ARG_STRING, &(o)->engine, 0, "how records are written",          \
         "staged|mmap"},                                                                           \
    {                                                                                              \
        "option", 'o', POPT_ARG_ARGV, &(o)->others, 0,                                             \
            "any option of the library by its name, see commitlog-options(7)", "NAME=VALUE"        \
    }

struct store {
    struct commitlog_options *options;
    struct commitlog_progress *progress;
    struct commitlog_store *handle;
    bool told_unrecovered;
    bool lists; /* STORE_LIST */
};

/* STORE_LIST: to read, and damage that is known then makes what was printed incomplete. */
enum { STORE_READ, STORE_LIST, STORE_WRITE, STORE_CREATE, STORE_WRITE_OR_CREATE };

/* An options object for `mode`, for the calls that take a directory instead of a store. */
int store_prepare(struct cli *cli, struct store *store, int mode,
                  const struct store_options *given);
/* After the report of an open, or of what opens by itself, that failed so: what may be done. */
void store_hint(struct cli *cli, const struct store *store, int mode, int32_t code);
/* store_prepare and open; CLI_DONE: the store is open. Else the exit code after a report, or
 * CLI_ENDED when the command was ended meanwhile. */
int store_open(struct cli *cli, struct store *store, int mode, const struct store_options *given);
/* Bytes behind *end, the end of what is served, that only wait for a writer or a recovery. */
uint64_t store_unrecovered(const struct store *store, uint64_t *end);
/* Says once that there are such, and how to get them; true if there are. */
bool store_tell_unrecovered(struct cli *cli, struct store *store);
/* Says where damage is known that ends behind `from`; true if there is such. */
bool store_tell_damage(struct cli *cli, struct store *store, uint64_t from);
/* The report that a topic is not there, or not before that end; the exit code. */
int store_no_topic(struct cli *cli, struct store *store, const char *topic);
/* The same of a group. */
int store_no_group(struct cli *cli, struct store *store, const char *group);
/* Closes; `status` unless closing fails or a list is incomplete, which is reported. NULL handles
 * are fine. */
int store_close(struct cli *cli, struct store *store, int status);

#endif
