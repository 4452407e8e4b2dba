/*
 * open.c -- opening and closing the store of a command: see open.h.
 */
#include "open.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "watch.h"
#include "when.h"

enum { STORE_LOCKED_MS = 20 };

static int store_set(struct cli *cli, struct store *store, const char *name, const char *value,
                     const char *option)
{
    struct commitlog_error err = {0};
    const int32_t rc = commitlog_options_set_text(store->options, name, value, &err);
    if (rc == COMMITLOG_OK) {
        return CLI_DONE;
    }
    return cli_usage(cli, "%s: %s", option,
                     err.message[0] != '\0' ? err.message : commitlog_error_text(rc));
}

static int store_set_other(struct cli *cli, struct store *store, const char *pair)
{
    assert(pair != NULL);
    char name[64];
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair || (size_t)(equals - pair) >= sizeof(name)) {
        return cli_usage(cli, "--option: \"%s\" is not NAME=VALUE", pair);
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - pair), pair);
    if (strcmp(name, "access") == 0 || strcmp(name, "borrow") == 0 || strcmp(name, "create") == 0) {
        return cli_usage(cli, "--option: %s is for the command to decide", name);
    }
    char option[80];
    (void)snprintf(option, sizeof(option), "--option %s", name);
    return store_set(cli, store, name, equals + 1, option);
}

static bool store_reads(int mode)
{
    return mode == STORE_READ || mode == STORE_LIST;
}

/* What the mode fixes; set after the user's options, which cannot change it. */
static int32_t store_set_mode(struct store *store, int mode, struct commitlog_error *err)
{
    static const uint64_t create[] = {
        [STORE_READ] = COMMITLOG_CREATE_NEVER,
        [STORE_LIST] = COMMITLOG_CREATE_NEVER,
        [STORE_WRITE] = COMMITLOG_CREATE_NEVER,
        [STORE_CREATE] = COMMITLOG_CREATE_ALWAYS,
        [STORE_WRITE_OR_CREATE] = COMMITLOG_CREATE_IF_MISSING,
    };
    assert(mode >= STORE_READ && mode <= STORE_WRITE_OR_CREATE);
    int32_t rc = commitlog_options_set(store->options, COMMITLOG_OPT_CREATE, create[mode], err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_options_set(store->options, COMMITLOG_OPT_ACCESS,
                                   store_reads(mode) ? COMMITLOG_READ_ONLY : COMMITLOG_READ_WRITE,
                                   err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_options_set(store->options, COMMITLOG_OPT_BORROW, 0, err);
    }
    return rc;
}

int store_prepare(struct cli *cli, struct store *store, int mode, const struct store_options *given)
{
    assert(cli != NULL && store != NULL);
    *store = (struct store){.lists = mode == STORE_LIST};
    struct commitlog_error err = {0};
    int32_t rc = commitlog_options_create(&store->options);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_progress_create(&store->progress);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, NULL);
    }
    int status = CLI_DONE;
    if (given != NULL && given->segment_size != NULL) {
        status = store_set(cli, store, "segment_bytes", given->segment_size, "--segment-size");
    }
    if (status == CLI_DONE && given != NULL && given->engine != NULL) {
        status = store_set(cli, store, "engine", given->engine, "--engine");
    }
    char **other = given == NULL ? NULL : given->others;
    for (; status == CLI_DONE && other != NULL && *other != NULL; other++) {
        status = store_set_other(cli, store, *other);
    }
    if (status != CLI_DONE) {
        return status;
    }
    rc = store_set_mode(store, mode, &err);
    commitlog_options_set_progress(store->options, store->progress);
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, rc, &err);
}

/* What recovery cut, or found damaged and put right, is never kept quiet. */
static void store_tell_recovery(struct cli *cli, struct store *store)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    while (commitlog_event_next(store->handle, &event) == COMMITLOG_OK) {
        if (event.detail.code == COMMITLOG_EDAMAGED) {
            cli_error(cli, "%s: %s", cli->dir, event.detail.message);
        }
    }
    if (commitlog_recovery_get(store->handle, &recovery) != COMMITLOG_OK ||
        recovery.bytes_cut == 0) {
        return;
    }
    char amount[32];
    when_amount(recovery.bytes_cut, amount, sizeof(amount));
    cli_error(cli,
              "%s: the last writer did not close the store: %s behind position %llu were cut and "
              "kept in %s/quarantine (%s)",
              cli->dir, amount, (unsigned long long)recovery.end, cli->dir,
              recovery.tail == COMMITLOG_TAIL_TORN ? "never acknowledged as durable"
                                                   : "nothing proves that they were durable");
}

uint64_t store_unrecovered(const struct store *store, uint64_t *end)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    assert(store != NULL && end != NULL);
    *end = 0;
    if (commitlog_recovery_get(store->handle, &recovery) != COMMITLOG_OK ||
        commitlog_positions_get(store->handle, &positions) != COMMITLOG_OK) {
        return 0;
    }
    *end = positions.published;
    return recovery.end > positions.published ? recovery.end - positions.published : 0;
}

bool store_tell_unrecovered(struct cli *cli, struct store *store)
{
    uint64_t end;
    const uint64_t bytes = store_unrecovered(store, &end);
    if (bytes > 0 && !store->told_unrecovered) {
        struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
        const bool damaged = commitlog_recovery_get(store->handle, &recovery) == COMMITLOG_OK &&
                             recovery.tail == COMMITLOG_TAIL_DAMAGED;
        char amount[32];
        when_amount(bytes, amount, sizeof(amount));
        store->told_unrecovered = true;
        cli_error(cli,
                  "%s: the last writer did not close the store: %s of records behind position %llu "
                  "await recovery%s%s%s",
                  cli->dir, amount, (unsigned long long)end,
                  damaged ? ", which damage keeps from being done: see `commitlog verify "
                          : "; `commitlog recover ",
                  cli->dir, damaged ? "'" : "' or the next writer makes them readable");
    }
    return bytes > 0;
}

bool store_tell_damage(struct cli *cli, struct store *store, uint64_t from)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint64_t first = UINT64_MAX;
    uint64_t count = 0;
    for (uint32_t i = 0; commitlog_damage_get(store->handle, i, &damage) == COMMITLOG_OK; i++) {
        if (damage.to_position > from) {
            first = damage.from_position < first ? damage.from_position : first;
            count++;
        }
        damage = (struct commitlog_damage){.struct_bytes = sizeof(damage)};
    }
    if (count > 0 && first != UINT64_MAX) {
        cli_error(cli, "%s: damage at position %llu%s: left out (commitlog verify names all of it)",
                  cli->dir, (unsigned long long)first, count > 1 ? " and others" : "");
    } else if (count > 0) {
        cli_error(cli, "%s: damage: left out (commitlog verify names all of it)", cli->dir);
    }
    return count > 0;
}

int store_no_topic(struct cli *cli, struct store *store, const char *topic)
{
    uint64_t end;
    if (store_unrecovered(store, &end) > 0) {
        cli_error(cli, "%s: there is no topic %s before position %llu", cli->dir, topic,
                  (unsigned long long)end);
    } else {
        cli_error(cli, "%s: there is no topic %s (commitlog topics %s lists them)", cli->dir, topic,
                  cli->dir);
    }
    if (!store->lists) { /* else store_close does */
        (void)store_tell_damage(cli, store, 0);
    }
    return CLI_NO;
}

int store_no_group(struct cli *cli, struct store *store, const char *group)
{
    uint64_t end;
    if (store_unrecovered(store, &end) > 0) {
        cli_error(cli, "%s: there is no group %s before position %llu", cli->dir, group,
                  (unsigned long long)end);
    } else {
        cli_error(cli, "%s: there is no group %s (commitlog group list %s lists them)", cli->dir,
                  group, cli->dir);
    }
    return CLI_NO;
}

/* There is something for it to do in a store that is new; whoever wants another one has lost
 * theirs, or named the wrong directory. */
static bool store_may_be_new(const char *command)
{
    static const char *const commands[] = {"read", "topics", "stat", "group create"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(command, commands[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A store is made in a directory that is there. */
static bool store_has_parent(const char *dir)
{
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/') {
        length--;
    }
    while (length > 0 && dir[length - 1] != '/') {
        length--;
    }
    char *parent = length > 0 ? strndup(dir, length) : NULL; /* none: the working directory */
    const bool there = parent == NULL || access(parent, F_OK) == 0;
    free(parent);
    return there;
}

/* What may be done when recovery refuses. When salvage does, its text says what has to be done
 * first, if anything can. */
static void store_hint_refused(struct cli *cli, const struct store *store)
{
    uint64_t how = COMMITLOG_RECOVER_TAIL;
    (void)commitlog_options_get(store->options, COMMITLOG_OPT_RECOVERY, &how);
    if (how == COMMITLOG_RECOVER_STRICT) {
        cli_error(cli,
                  "nothing was changed; strict refuses more than damage, `commitlog recover %s' "
                  "nothing else",
                  cli->dir);
    } else if (how != COMMITLOG_RECOVER_SALVAGE) {
        cli_error(cli,
                  "nothing was changed; `commitlog verify %s' names the damage, `commitlog recover "
                  "%s --mode salvage' keeps all that is sound",
                  cli->dir, cli->dir);
    }
}

void store_hint(struct cli *cli, const struct store *store, int mode, int32_t code)
{
    if (code == COMMITLOG_EDAMAGED && !store_reads(mode)) {
        store_hint_refused(cli, store);
    } else if (code == COMMITLOG_ENOTFOUND && store_may_be_new(cli->command) &&
               store_has_parent(cli->dir)) {
        cli_error(cli, "`commitlog create %s' makes a new store, and so does append", cli->dir);
    }
}

/* Opens; while another writer holds the store, for so long. */
static int32_t store_open_patiently(struct cli *cli, struct store *store, int patience_ms,
                                    struct commitlog_error *err)
{
    int32_t rc = commitlog_open(cli->dir, store->options, &store->handle, err);
    const double until = when_clock() + (double)patience_ms / 1000;
    while (rc == COMMITLOG_ELOCKED && when_clock() < until &&
           !watch_sleep(cli->watch, STORE_LOCKED_MS)) {
        *err = (struct commitlog_error){0};
        rc = commitlog_open(cli->dir, store->options, &store->handle, err);
    }
    return rc;
}

int store_open(struct cli *cli, struct store *store, int mode, const struct store_options *given)
{
    const int status = store_prepare(cli, store, mode, given);
    if (status != CLI_DONE) {
        return status;
    }
    struct commitlog_error err = {0};
    struct bar bar;
    watch_progress(cli->watch, store->progress);
    bar_start(&bar, cli, "opening", store->progress, false);
    const int32_t rc =
        store_open_patiently(cli, store, given == NULL ? 0 : given->patience_ms, &err);
    bar_stop(&bar);
    watch_progress(cli->watch, NULL);
    if (rc != COMMITLOG_OK) {
        const int failed = cli_fail(cli, cli->dir, rc, &err);
        store_hint(cli, store, mode, rc);
        store->handle = NULL;
        /* "Not found" is for records: a store that is not there means: cannot run. */
        return rc == COMMITLOG_ENOTFOUND ? CLI_CANNOT : failed;
    }
    watch_store(cli->watch, store->handle);
    if (!store_reads(mode)) {
        store_tell_recovery(cli, store);
    } else {
        (void)store_tell_unrecovered(cli, store);
    }
    return CLI_DONE;
}

int store_close(struct cli *cli, struct store *store, int status)
{
    assert(cli != NULL && store != NULL);
    watch_store(cli->watch, NULL);
    watch_progress(cli->watch, NULL);
    if (store->handle != NULL && store->lists && store_tell_damage(cli, store, 0)) {
        status = status == CLI_DONE || status == CLI_ENDED ? CLI_NO : status;
    }
    if (store->handle != NULL) {
        struct commitlog_error err = {0};
        const int32_t rc = commitlog_close(store->handle, &err);
        if (rc != COMMITLOG_OK) {
            const int failed = cli_fail(cli, cli->dir, rc, &err);
            /* It cannot be known that all is stored: worse than a signal, whose number is higher.
             */
            status = failed == CLI_CANNOT || failed > status ? failed : status;
        }
    }
    commitlog_options_free(store->options);
    commitlog_progress_free(store->progress);
    *store = (struct store){0};
    return status;
}
