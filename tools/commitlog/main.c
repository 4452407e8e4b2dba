/*
 * main.c -- the `commitlog` command: finds the subcommand and prints the list of them.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "commands.h"
#include "commitlog.h"

static const struct {
    const char *name;
    int (*run)(int argc, const char **argv);
    const char *summary;
} commands[] = {
    {"create", command_create, "make a new, empty store"},
    {"append", command_append, "append a record per line of standard input"},
    {"read", command_read, "print records of a topic in order, or follow it"},
    {"get", command_get, "print one record by its position"},
    {"query", command_query, "print records by their key, newest first"},
    {"topics", command_topics, "list topics, queues, offsets and times"},
    {"topic", command_topic, "let a topic grow, shrink back, or its messages expire"},
    {"group", command_group, "list, commit, reset consumer groups; receive, acknowledge"},
    {"timer", command_timer, "list and cancel messages that wait for their time"},
    {"tx", command_tx, "append all or nothing; list, commit, roll back transactions"},
    {"stat", command_stat, "print positions, counters and latencies"},
    {"verify", command_verify, "check every record and file, change nothing"},
    {"recover", command_recover, "put a store right whose writer died"},
    {"rebuild", command_rebuild, "build everything derived again from the log"},
    {"dump", command_dump, "print the records as they lie in the log"},
    {"retain", command_retain, "drop old segments"},
    {"bench", command_bench, "measure appending, reading and recovering"},
};

enum { MAIN_HELP_BYTES = 65536 };
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void main_usage(FILE *stream)
{
    fprintf(stream, "Usage: commitlog COMMAND DIR [OPTION...]\n\n"
                    "A message log in a directory: append records to topics, read them by queue\n"
                    "offset, position, time, key or tag.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(stream, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(
        stream,
        "\n`commitlog help COMMAND' tells the options of a command, `man 1 commitlog' all of\n"
        "it; `commitlog --version' prints the version.\n"
        "Exit status: 0 done; 1 not found, a bad input line, or damage; 2 wrong usage or cannot "
        "run.\n");
}

/* A descriptor 0, 1 or 2 that is closed would be given to a file of the store. The wrong direction
 * makes the use of it an error, as it would have been. */
static bool main_guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            const int got = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
            if (got != fd) {
                return false;
            }
        }
    }
    return true;
}

/* A mapped file of the store was cut short by somebody else, or its device fails: the mmap engine
 * writes through such a map. Nothing can be put right here, but it can be said. */
static void main_on_bus_error(int signal_number)
{
    static const char text[] = "commitlog: a file of the store was cut short by another program, "
                               "or its device failed; recover the store\n";
    (void)signal_number;
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)n;
    _exit(CLI_CANNOT);
}

int main(int argc, char **argv)
{
    assert(argc >= 0);
    if (!main_guard_descriptors()) {
        return CLI_CANNOT;
    }
    (void)setvbuf(stdout, NULL, _IOFBF, MAIN_HELP_BYTES); /* so that its end tells of a failure */
    (void)signal(SIGBUS, main_on_bus_error);
    (void)signal(SIGPIPE, SIG_IGN); /* a vanished reader is seen as EPIPE */
    (void)signal(SIGXFSZ, SIG_IGN); /* and a file that may not grow as EFBIG */
    if (argc < 2) {
        main_usage(stderr);
        return CLI_CANNOT;
    }
    static char help[] = "--help";
    if (strcmp(argv[1], "help") == 0 && argc > 2) { /* of a command, or of one of its actions */
        memmove(&argv[1], &argv[2], (size_t)(argc - 2) * sizeof(argv[0]));
        argv[argc - 1] = help;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        main_usage(stdout);
        return cli_help_end("commitlog");
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("commitlog %s\n", commitlog_version_text());
        return cli_help_end("commitlog");
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            /* popt reads the strings and changes none. */
            return commands[i].run(argc - 1, (const char **)(void *)(argv + 1));
        }
    }
    fprintf(stderr, "commitlog: \"%s\" is not a command\n", name);
    main_usage(stderr);
    return CLI_CANNOT;
}
