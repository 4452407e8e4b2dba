/*
 * cli.c -- options, operands, errors and the end of a run: see cli.h.
 */
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bar.h"
#include "text.h"
#include "watch.h"
#include "when.h"

static void cli_say(struct cli *cli, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Names from the store and from the input may hold anything: it makes no line of its own, and tells
 * the terminal nothing. */
static void cli_tame(char *to, const char *from)
{
    size_t left = strlen(from);
    const bool utf8 = text_is_utf8((struct commitlog_slice){from, left});
    while (left > 0) {
        size_t wild = text_wild((const unsigned char *)from, left, utf8);
        if (wild == 0) {
            *to++ = *from++;
            left--;
        }
        for (; wild > 0; wild--, left--) {
            to += snprintf(to, sizeof("\\x00"), "\\x%02x", (unsigned char)*from++);
        }
    }
    *to = '\0';
}

static void cli_say(struct cli *cli, const char *format, va_list arguments)
{
    assert(cli != NULL);
    assert(format != NULL);
    va_list again;
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    const size_t room = length < 0 ? 1 : (size_t)length + 1;
    char *text = malloc(5 * room); /* a path may be long */
    if (text != NULL) {
        text[4 * room] = '\0';
        (void)vsnprintf(text + 4 * room, room, format, arguments);
        cli_tame(text, text + 4 * room);
    }
    watch_writes(cli->watch, true);
    fprintf(stderr, "%scommitlog %s: %s\n", bar_erase(cli->bar), cli->command,
            text != NULL ? text : format);
    watch_writes(cli->watch, false);
    free(text);
}

void cli_error(struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cli_say(cli, format, arguments);
    va_end(arguments);
}

int cli_done(struct cli *cli, const char *format, ...)
{
    assert(cli != NULL);
    if (out_flush(&cli->out)) {
        return CLI_DONE;
    }
    va_list arguments;
    va_start(arguments, format);
    cli_say(cli, format, arguments);
    va_end(arguments);
    return cli->out.error == EPIPE ? CLI_GONE : CLI_DONE;
}

int cli_usage(struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cli_say(cli, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try `commitlog %s --help'.\n", cli->command);
    return CLI_CANNOT;
}

int cli_status(int32_t code)
{
    assert(code <= 0);
    switch (code) {
    case COMMITLOG_OK:
    case COMMITLOG_EEND:
        return CLI_DONE;
    case COMMITLOG_EDAMAGED:
    case COMMITLOG_ENOTFOUND:
    case COMMITLOG_ETOOSMALL:
    case COMMITLOG_EBEYOND:
    case COMMITLOG_EROLLEDBACK:
    case COMMITLOG_EHOLE:
    case COMMITLOG_EEXPIRED:
    case COMMITLOG_EFENCED:
    case COMMITLOG_EUNRECOVERED:
        return CLI_NO;
    default:
        return CLI_CANNOT;
    }
}

int cli_fail(struct cli *cli, const char *what, int32_t code, const struct commitlog_error *err)
{
    assert(cli != NULL);
    assert(code < 0);
    if (code == COMMITLOG_EINTERRUPTED && watch_ended(cli->watch)) {
        const int ended = watch_status(cli->watch);
        return ended == CLI_DONE ? CLI_ENDED : ended;
    }
    const bool worded = err != NULL && err->code == code && err->message[0] != '\0';
    const char *text = worded ? err->message : commitlog_error_text(code);
    char place[40] = "";
    if (worded && err->position != UINT64_MAX && strstr(text, "position ") == NULL) {
        (void)snprintf(place, sizeof(place), " (position %llu)", (unsigned long long)err->position);
    }
    /* The library's sentence often names the directory already: not twice. */
    if (what == NULL || strstr(text, what) != NULL) {
        cli_error(cli, "%s%s", text, place);
    } else {
        cli_error(cli, "%s: %s%s", what, text, place);
    }
    if (strstr(text, "or make room") != NULL || strstr(text, "chmod go-w") != NULL) {
        return cli_status(code); /* what is to be done, and nothing else would do */
    }
    if (code == COMMITLOG_ENOSPC && strcmp(cli->command, "retain") == 0) {
        cli_error(cli, "the disk is full: there is no room for what is to be stored again; make "
                       "some outside of the store, then go on");
    } else if (code == COMMITLOG_ENOSPC) {
        cli_error(cli, "the disk is full: make room, then go on (`commitlog retain' drops old "
                       "segments; a new store needs room for one, see --segment-size)");
    } else if (code == COMMITLOG_EACCESS && worded && err->os_errno == EROFS) {
        cli_error(cli, "the file system is read-only: what only reads works on it");
    } else if (code == COMMITLOG_EACCESS && worded &&
               (err->os_errno == EACCES || err->os_errno == EPERM)) {
        cli_error(cli, "permission denied: ask the owner of the store, or run as that user");
    }
    return cli_status(code);
}

int cli_help_end(const char *command)
{
    if (fflush(stdout) == 0 || errno == EPIPE) {
        return CLI_DONE;
    }
    fprintf(stderr, "%s: standard output: %s\n", command, strerror(errno));
    return CLI_CANNOT;
}

static void cli_help(struct cli *cli, const struct cli_spec *spec)
{
    assert(cli->popt != NULL);
    poptPrintHelp(cli->popt, stdout, 0);
    printf("\n%s\n\nExit status: 0 done; 1 not found, a bad input line, or damage; 2 wrong usage "
           "or cannot run.\nThe manual: man 1 commitlog\n",
           spec->about);
}

/* The operands: exactly as many as the command takes, or as many as there are. */
static bool cli_operands(struct cli *cli, const struct cli_spec *spec, int *status)
{
    const char *operand = poptGetArg(cli->popt);
    if (spec->operands[0] != '\0') {
        if (operand == NULL || operand[0] == '\0') {
            *status = cli_usage(cli, "which store? The operand DIR is missing");
            return false;
        }
        cli->dir = operand;
        if (strstr(spec->operands, "...") != NULL) {
            cli->operands = poptGetArgs(cli->popt);
            return true;
        }
        operand = poptGetArg(cli->popt);
    }
    const char *second = strchr(spec->operands, ' ');
    if (second != NULL) {
        const char *third = strchr(second + 1, ' ');
        cli->operand = operand;
        cli->last_operand = third != NULL && operand != NULL ? poptGetArg(cli->popt) : NULL;
        if (operand == NULL || (third != NULL && cli->last_operand == NULL)) {
            const char *missing = operand == NULL ? second + 1 : third + 1;
            *status =
                cli_usage(cli, "the operand %.*s is missing", (int)strcspn(missing, " "), missing);
            return false;
        }
        operand = poptGetArg(cli->popt);
    }
    if (operand != NULL) {
        *status = cli_usage(cli, "unexpected operand \"%s\"", operand);
        return false;
    }
    return true;
}

/* In the value of an option popt puts a word of the command line in place of these, or looks for
 * one without an end: so it never sees them. */
static const char cli_popt_macro[] = "!#:+";

/* A byte that is in no argument, and no part of how options are written; 0: there is none. */
static char cli_free_byte(int argc, const char **argv)
{
    for (int byte = 1; byte <= UCHAR_MAX; byte++) {
        const bool written = byte >= ' ' && byte <= '~';
        int i = 0;
        while (!written && i < argc && strchr(argv[i], byte) == NULL) {
            i++;
        }
        if (i == argc) {
            return (char)byte;
        }
    }
    return '\0';
}

/* What the arguments are written in, and the values that popt made of them, is ours to change. */
static void cli_change(const char *text, char from, char to)
{
    for (char *at = (char *)(uintptr_t)text; at != NULL && (at = strchr(at, from)) != NULL; at++) {
        *at = to;
    }
}

/* Puts `hidden` in place of the first byte of each; false: nothing can be hidden. */
static bool cli_hide(int argc, const char **argv, char *hidden)
{
    *hidden = '\0';
    for (int i = 0; i < argc; i++) {
        for (char *at = (char *)(uintptr_t)argv[i]; (at = strstr(at, cli_popt_macro)) != NULL;) {
            *hidden = *hidden != '\0' ? *hidden : cli_free_byte(argc, argv);
            if (*hidden == '\0') {
                return false;
            }
            *at = *hidden;
        }
    }
    return true;
}

/* And back again, wherever popt has left it. */
static void cli_show(struct cli *cli, int argc, const char **argv, char hidden)
{
    if (hidden == '\0') {
        return;
    }
    for (int i = 0; i < argc; i++) {
        cli_change(argv[i], hidden, cli_popt_macro[0]);
    }
    for (const char **each = poptGetArgs(cli->popt); each != NULL && *each != NULL; each++) {
        cli_change(*each, hidden, cli_popt_macro[0]);
    }
    for (const struct poptOption *option = cli->table;
         option->longName != NULL || option->shortName != '\0'; option++) {
        const unsigned int kind = option->argInfo & POPT_ARG_MASK;
        if (option->arg != NULL && kind == POPT_ARG_STRING) {
            cli_change(*(char **)option->arg, hidden, cli_popt_macro[0]);
        }
        char **values =
            option->arg != NULL && kind == POPT_ARG_ARGV ? *(char ***)option->arg : NULL;
        for (; values != NULL && *values != NULL; values++) {
            cli_change(*values, hidden, cli_popt_macro[0]);
        }
    }
}

bool cli_parse(struct cli *cli, const struct cli_spec *spec, struct poptOption *table, int argc,
               const char **argv, int *status)
{
    assert(cli != NULL && spec != NULL && table != NULL && status != NULL);
    assert(argc >= 1);
    memset(cli, 0, sizeof(*cli));
    cli->command = spec->command;
    cli->table = table;
    if (!out_init(&cli->out, 1)) {
        cli_error(cli, "not enough memory");
        *status = CLI_CANNOT;
        return false;
    }
    char name[64];
    (void)snprintf(name, sizeof(name), "commitlog %s", spec->command);
    argv[0] = name;
    cli->popt = poptGetContext(name, argc, argv, table, 0);
    if (cli->popt == NULL) {
        cli_error(cli, "not enough memory");
        *status = cli_end(cli, CLI_CANNOT);
        return false;
    }
    if (spec->operands[0] != '\0') {
        char usage[64];
        (void)snprintf(usage, sizeof(usage), "%s [OPTION...]", spec->operands);
        poptSetOtherOptionHelp(cli->popt, usage); /* which copies it */
    }
    int rc;
    char hidden;
    if (!cli_hide(argc, argv, &hidden)) {
        *status = cli_end(cli, cli_usage(cli, "\"%s\" cannot be passed", cli_popt_macro));
        return false;
    }
    while ((rc = poptGetNextOpt(cli->popt)) >= 0) {
        if (rc == 'h') {
            cli_help(cli, spec);
            *status = cli_end(cli, cli_help_end(argv[0]));
            return false;
        }
    }
    cli_show(cli, argc, argv, hidden);
    if (rc < -1) {
        *status = cli_usage(cli, "%s: %s", poptBadOption(cli->popt, 0), poptStrerror(rc));
    } else if (cli_operands(cli, spec, status)) {
        return true;
    }
    *status = cli_end(cli, *status);
    return false;
}

static void cli_free_values(const struct poptOption *table)
{
    for (; table->longName != NULL || table->shortName != '\0'; table++) {
        const unsigned int kind = table->argInfo & POPT_ARG_MASK;
        if (table->arg == NULL) {
            continue;
        }
        if (kind == POPT_ARG_STRING) {
            char **value = table->arg;
            free(*value);
            *value = NULL;
        } else if (kind == POPT_ARG_ARGV) {
            char ***values = table->arg;
            for (char **each = *values; each != NULL && *each != NULL; each++) {
                free(*each);
            }
            free(*values);
            *values = NULL;
        }
    }
}

int cli_end(struct cli *cli, int status)
{
    assert(cli != NULL);
    status = status == CLI_ENDED ? CLI_DONE : status;
    if (!out_flush(&cli->out)) {
        /* Whoever read us has seen enough: that is an end, not an error. */
        if (cli->out.error == ECANCELED) {
            status = status == CLI_CANNOT ? status : watch_status_of(cli->watch, status);
        } else if (cli->out.error != EPIPE) {
            cli_error(cli, "standard output: %s", strerror(cli->out.error));
            status = CLI_CANNOT;
        }
    }
    watch_stop(cli);
    if (cli->popt != NULL) {
        poptFreeContext(cli->popt);
        cli->popt = NULL;
    }
    cli_free_values(cli->table);
    out_free(&cli->out);
    return status;
}

bool cli_number(struct cli *cli, const char *option, const char *text, uint64_t minimum,
                uint64_t maximum, uint64_t *value)
{
    assert(text != NULL && value != NULL);
    assert(minimum <= maximum);
    char *end = NULL;
    errno = 0;
    const bool digits = text[0] >= '0' && text[0] <= '9';
    const unsigned long long number = digits ? strtoull(text, &end, 10) : 0;
    if (!digits || *end != '\0') {
        (void)cli_usage(cli, "%s: \"%s\" is not a whole number", option, text);
        return false;
    }
    if (errno == ERANGE || number < minimum || number > maximum) {
        (void)cli_usage(cli, "%s: %s is not between %llu and %llu", option, text,
                        (unsigned long long)minimum, (unsigned long long)maximum);
        return false;
    }
    *value = number;
    return true;
}

bool cli_size(struct cli *cli, const char *option, const char *text, uint64_t *value)
{
    assert(text != NULL && value != NULL);
    char *end = NULL;
    errno = 0;
    const bool digits = text[0] >= '0' && text[0] <= '9';
    const unsigned long long number = digits ? strtoull(text, &end, 10) : 0;
    unsigned int shift = 0;
    if (digits && *end != '\0') {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, *end);
        shift = unit == NULL ? 0 : 10 * (unsigned int)(unit - units + 1);
        end += unit == NULL ? 0 : 1;
    }
    if (!digits || *end != '\0') {
        (void)cli_usage(cli, "%s: \"%s\" is not a size such as 4096, 64M or 2G", option, text);
        return false;
    }
    if (errno == ERANGE || number > ((uint64_t)INT64_MAX >> shift)) {
        (void)cli_usage(cli, "%s: %s is too large", option, text);
        return false;
    }
    *value = (uint64_t)number << shift;
    return true;
}

bool cli_not_longer(struct cli *cli, const char *option, const char *text, uint64_t ms,
                    uint64_t most_ms)
{
    char most[32];
    if (ms <= most_ms) {
        return true;
    }
    when_span(most_ms, most, sizeof(most));
    (void)cli_usage(cli, "%s: %s is longer than %s", option, text, most);
    return false;
}

bool cli_level(struct cli *cli, const char *text, uint32_t *level)
{
    static const char *const names[] = {"none", "written", "durable"};
    assert(level != NULL);
    *level = COMMITLOG_LEVEL_DURABLE;
    for (uint32_t i = 0; text != NULL; i++) {
        if (i == 3) {
            (void)cli_usage(cli, "--level: \"%s\" is not none, written or durable", text);
            return false;
        }
        if (strcmp(text, names[i]) == 0) {
            *level = COMMITLOG_LEVEL_NONE + i;
            break;
        }
    }
    return true;
}

static void cli_actions_usage(const struct cli_actions *set, FILE *stream)
{
    fprintf(stream, "Usage: commitlog %s ACTION %s\n\n%s\n\nActions:\n", set->command,
            set->operands, set->about);
    for (size_t i = 0; i < set->count; i++) {
        fprintf(stream, "  %-8s  %s\n", set->actions[i].name, set->actions[i].summary);
    }
    fprintf(stream, "\n`commitlog %s ACTION --help' tells the options of an action.\n",
            set->command);
}

int cli_run_action(const struct cli_actions *set, int argc, const char **argv)
{
    assert(argc >= 1);
    if (argc < 2) {
        cli_actions_usage(set, stderr);
        return CLI_CANNOT;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_actions_usage(set, stdout);
        return cli_help_end("commitlog");
    }
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(argv[1], set->actions[i].name) == 0) {
            return set->actions[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "commitlog %s: \"%s\" is not an action\n", set->command, argv[1]);
    cli_actions_usage(set, stderr);
    return CLI_CANNOT;
}
