/*
 * bench_recover.c -- how long a store takes to open again after kill -9 of its writer.
 *
 * A second process of this program appends and kills itself; then this one opens. Once all was
 * flushed before the kill, so that the open only scans and folds; once nothing was asked to be
 * flushed, so that it also rewrites what the disk may lack.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "watch.h"
#include "when.h"

enum { BENCH_BODY = 1024 };

int bench_writer(struct bench *bench, const char *path, bool sync)
{
    assert(bench != NULL && path != NULL);
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {0};
    char body[BENCH_BODY];
    uint32_t topic = 0;
    memset(body, 'r', sizeof(body));
    const int status = bench_options(bench, 0, &options);
    if (status != CLI_DONE) {
        return status;
    }
    int32_t rc = commitlog_open(path, options, &store, &err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_open(store, "bench", 5, 1, &topic, &err);
    }
    for (uint64_t i = 0; rc == COMMITLOG_OK && i < bench->records; i++) {
        rc = commitlog_append(store, topic, 0, body, sizeof(body), COMMITLOG_LEVEL_NONE, NULL);
    }
    if (rc == COMMITLOG_OK && sync) {
        rc = commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err);
    }
    if (rc != COMMITLOG_OK) {
        return cli_fail(bench->cli, path, rc, &err);
    }
    (void)raise(SIGKILL);
    return CLI_CANNOT;
}

/* Runs this program again as the writer; it has to die by SIGKILL. */
static int bench_spawn_writer(struct bench *bench, const char *path, bool sync)
{
    char records[32];
    (void)snprintf(records, sizeof(records), "%" PRIu64, bench->records);
    const struct store_options *given = bench->given;
    const char *arguments[64] = {"commitlog", "bench", "--records", records, "--writer", path};
    size_t count = 6;
    if (sync) {
        arguments[count++] = "--sync";
    }
    if (given->segment_size != NULL) {
        arguments[count++] = "--segment-size";
        arguments[count++] = given->segment_size;
    }
    if (given->engine != NULL) {
        arguments[count++] = "--engine";
        arguments[count++] = given->engine;
    }
    for (char **other = given->others; other != NULL && *other != NULL && count < 60; other++) {
        arguments[count++] = "--option";
        arguments[count++] = *other;
    }
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    pid_t pid = 0;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    /* posix_spawn copies the strings and changes none. */
    const int failed = posix_spawn(&pid, "/proc/self/exe", NULL, &attributes,
                                   (char *const *)(uintptr_t)arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) {
        cli_error(bench->cli, "cannot start the writer: %s", strerror(failed));
        return CLI_CANNOT;
    }
    int how = 0;
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
    }
    if (!WIFSIGNALED(how) || WTERMSIG(how) != SIGKILL) {
        cli_error(bench->cli, "the writer ended before it could be killed");
        return CLI_CANNOT;
    }
    return CLI_DONE;
}

/* Opens the dead writer's store; every record must be there. */
static int bench_reopen(struct bench *bench, const char *name, double *seconds,
                        struct commitlog_recovery *recovery)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    uint32_t topic = 0;
    int status = bench_options(bench, 0, &options);
    const double begin = when_clock();
    if (status == CLI_DONE) {
        status = bench_open(bench, name, options, &store);
    }
    *seconds = when_clock() - begin;
    commitlog_options_free(options);
    if (status != CLI_DONE) {
        return status;
    }
    *recovery = (struct commitlog_recovery){.struct_bytes = sizeof(*recovery)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    int32_t rc = commitlog_recovery_get(store, recovery);
    status = bench_topic(bench, store, "bench", 0, &topic);
    if (rc == COMMITLOG_OK && status == CLI_DONE) {
        rc = commitlog_queue_info(store, topic, 0, &info);
    }
    if (rc != COMMITLOG_OK) {
        status = bench_fail(bench, rc, NULL);
    } else if (status == CLI_DONE && info.next_offset != bench->records) {
        cli_error(bench->cli, "%" PRIu64 " records were appended, %" PRIu64 " are there after it",
                  bench->records, info.next_offset);
        status = CLI_NO;
    }
    const int closed = bench_close(bench, store);
    return status != CLI_DONE ? status : closed;
}

static int bench_recover_case(struct bench *bench, bool sync)
{
    struct bench_values open_ms = {.count = 0};
    struct bench_values rewritten = {.count = 0};
    struct bench_values scanned = {.count = 0};
    char path[BENCH_PATH];
    bench_path(bench, "recover", path, sizeof(path));
    for (uint64_t run = 0; run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        struct commitlog_recovery recovery;
        double seconds = 0;
        int status = bench_spawn_writer(bench, path, sync);
        if (status == CLI_DONE) {
            status = bench_reopen(bench, "recover", &seconds, &recovery);
        }
        bench_remove(path);
        if (status != CLI_DONE) {
            return status;
        }
        bench_add(&open_ms, seconds * 1e3);
        bench_add(&rewritten, (double)recovery.bytes_rewritten / 1048576);
        bench_add(&scanned, (double)recovery.bytes_scanned / 1048576);
    }
    if (open_ms.count == 0) {
        return CLI_DONE;
    }
    if (sync) {
        bench_report(bench, "reopen after kill -9, all flushed: scan and fold", "ms", &open_ms,
                     BENCH_AT_MOST, 150);
        bench_report(bench, "  scanned", "MiB", &scanned, BENCH_INFO, 0);
        return CLI_DONE;
    }
    bench_report(bench, "reopen after kill -9, nothing flushed", "ms", &open_ms, BENCH_INFO, 0);
    bench_report(bench, "  rewritten and flushed in that time", "MiB", &rewritten, BENCH_INFO, 0);
    return CLI_DONE;
}

int bench_recover(struct bench *bench)
{
    assert(bench != NULL);
    const int status = bench_recover_case(bench, true);
    return status != CLI_DONE ? status : bench_recover_case(bench, false);
}
