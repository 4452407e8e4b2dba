/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reload.c - the command line and the file are parsed as at the start, and compared with what
 * runs, option by option, as texts. See reload.h.
 *
 * Happy path: parse, compare, copy what can change. Failure modes: a file with a mistake: lines of
 * the log say what and where; all stays.
 */
#include "reload.h"

#include "log.h"

static bool changes_while_running(const char *name)
{
    static const char *const names[] = {
        "log",         "flush",          "no-auto-topics", "checks", "check-interval",
        "connections", "unflushed-bytes"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Says what is different. True: and can change now. */
static bool compare(const char *name, const char *was, const char *is)
{
    static const char nothing[] = "as if it were not given";
    if (was == NULL && is == NULL)
        return false;
    if (was != NULL && is != NULL && strcmp(was, is) == 0)
        return false;
    if (!changes_while_running(name)) {
        log_line(LOG_WARN, "reload: %s: %s needs a restart", name, is == NULL ? nothing : is);
        return false;
    }
    log_line(LOG_INFO, "reload: %s: %s, was %s", name, is == NULL ? nothing : is,
             was == NULL ? "not given" : was);
    return true;
}

bool reload(struct options *running)
{
    struct options fresh;
    if (options_parse(running->argc, running->argv, &fresh) != OPTIONS_RUN) {
        log_line(LOG_ERROR, "reload: nothing has changed");
        options_free(&fresh);
        return false;
    }
    unsigned changed = 0;
    for (unsigned i = 0; options_name(i) != NULL; i++) {
        if (!compare(options_name(i), running->given[i], fresh.given[i]))
            continue;
        char *was = running->given[i];
        running->given[i] = fresh.given[i];
        fresh.given[i] = was;
        changed++;
    }
    running->log_level = fresh.log_level;
    running->sync = fresh.sync;
    running->auto_topics = fresh.auto_topics;
    running->transaction_check_ms = fresh.transaction_check_ms;
    running->transaction_checks = fresh.transaction_checks;
    running->connections = fresh.connections;
    running->unflushed_bytes = fresh.unflushed_bytes;
    options_free(&fresh);
    log_line(LOG_INFO, "reload: %u options have changed", changed);
    return true;
}
