/*
 * cli.h -- what every subcommand shares: its name, its directory, its options, its errors.
 *
 * Owns: `struct cli`, one per run, and the exit codes.
 * Invariants: an error is one line on stderr, "commitlog CMD: where: what"; nothing else of the
 *       command but progress goes to stderr.
 * Threads and locks: the main thread; cli_error may also run while the bar's thread draws.
 * Happy path: cli_parse -> the command's work -> cli_end.
 * Failure modes: wrong usage ends with CLI_CANNOT before anything is opened.
 */
#ifndef COMMITLOG_TOOL_CLI_H
#define COMMITLOG_TOOL_CLI_H

#include <popt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"
#include "out.h"

/* Exit codes; a command ended by a signal exits with 128 + its number. */
enum { CLI_DONE = 0, CLI_NO = 1, CLI_CANNOT = 2 };

/* Done, but its result was to be told and the reader of standard output has gone; the shell's
 * number for a program that lost it (128 + SIGPIPE). */
enum { CLI_GONE = 141 };

/* No exit code: a call did not do what it was to do, because the command was ended by something
 * that is no failure, as when the reader of its output went away. cli_end makes CLI_DONE of it. */
enum { CLI_ENDED = -2 };

/* Where the first record of a store lies: commitlog-format(5). What is below was never one, and a
 * log that begins here has lost nothing at its beginning. */
#define CLI_FIRST_POSITION UINT64_C(8192)

struct bar;
struct watch;

struct cli {
    const char *command;      /* "append" */
    const char *dir;          /* the operand DIR, or NULL; owned by popt */
    const char *operand;      /* the one behind it, or NULL; likewise */
    const char *last_operand; /* the third one, or NULL; likewise */
    const char **operands;    /* those behind DIR when there may be any number, or NULL; likewise */
    poptContext popt;
    struct poptOption *table;
    struct watch *watch; /* signals and a vanished reader; NULL until watch_start */
    struct bar *bar;     /* the bar that may be on the screen, or NULL */
    struct out out;      /* standard output */
};

struct cli_spec {
    const char *command;
    const char *operands; /* "DIR", "DIR TIMER", "DIR X Y", "DIR [X...]", or "" when the command
                             takes none */
    const char *about;    /* paragraphs for --help */
};

/* A command that is made of actions: `commitlog COMMAND ACTION ...`. */
struct cli_action {
    const char *name;
    int (*run)(int argc, const char **argv); /* argv[0] is the action */
    const char *summary;
};

struct cli_actions {
    const char *command;
    const char *operands; /* of the actions */
    const char *about;
    const struct cli_action *actions;
    size_t count;
};

/* Runs the action that argv[1] names, or tells which there are; the exit code. */
int cli_run_action(const struct cli_actions *set, int argc, const char **argv);

/* The last entries of every option table. */
#define CLI_TABLE_END                                                                              \
    {"help", 'h', POPT_ARG_NONE, NULL, 'h', "show this help and exit", NULL},                      \
    {                                                                                              \
        NULL, '\0', 0, NULL, 0, NULL, NULL                                                         \
    }

/*
 * Parses argv with `table`; true: go on. False: end with *status (help was shown, or the usage is
 * wrong and has been reported). Option values are owned by cli until cli_end.
 */
bool cli_parse(struct cli *cli, const struct cli_spec *spec, struct poptOption *table, int argc,
               const char **argv, int *status);

/* Flushes standard output, ends the watch, frees what cli owns; returns the exit code. */
int cli_end(struct cli *cli, int status);
/* Writes out the help that was printed to stdout; the exit code, of a failure after a report. */
int cli_help_end(const char *command);

/* "commitlog CMD: <text>" on stderr. */
void cli_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Flushes the result of something that was done and does not go back; if nobody takes that, the
 * text says on stderr what was done. CLI_DONE (a failure other than a gone reader is for cli_end)
 * or CLI_GONE. */
int cli_done(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As cli_error, with the pointer to --help; returns CLI_CANNOT. */
int cli_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reports a failed call of the library on `what` (the directory or a topic); `err` may lack a
 * text. Returns the exit code that belongs to `code`, never CLI_DONE; or CLI_ENDED. */
int cli_fail(struct cli *cli, const char *what, int32_t code, const struct commitlog_error *err);

/* The exit code for a status of the library. */
int cli_status(int32_t code);

/* Parses a whole number in [minimum, maximum] given to `option`; reports and returns false. */
bool cli_number(struct cli *cli, const char *option, const char *text, uint64_t minimum,
                uint64_t maximum, uint64_t *value);
/* The same with an optional K, M, G or T (powers of 1024). */
bool cli_size(struct cli *cli, const char *option, const char *text, uint64_t *value);
/* False, after a report: `text`, which was given to `option` and is `ms` long, is longer than that.
 */
bool cli_not_longer(struct cli *cli, const char *option, const char *text, uint64_t ms,
                    uint64_t most_ms);
/* The level that --level names; NULL: durable. */
bool cli_level(struct cli *cli, const char *text, uint32_t *level);

#endif
