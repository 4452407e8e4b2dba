/*
 * scan.c -- the reading loop: see scan.h.
 */
#include "scan.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "watch.h"

enum { SCAN_AGAIN = -1, SCAN_UNRECOVERED_MS = 1000 };

void scan_begin(struct scan *scan, struct cli *cli, struct store *store, int place)
{
    assert(scan != NULL && cli != NULL && store->handle != NULL);
    memset(scan, 0, sizeof(*scan));
    scan->cli = cli;
    scan->store = store;
    scan->place = place;
    scan->names.store = store->handle;
    scan->max = UINT64_MAX;
    scan->end = UINT64_MAX;
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    if (commitlog_positions_get(store->handle, &positions) == COMMITLOG_OK) {
        scan->begin = positions.first;
        scan->end = positions.visible;
    }
}

void scan_end(struct scan *scan)
{
    assert(scan != NULL);
    commitlog_cursor_close(scan->cursor);
    scan->cursor = NULL;
}

static bool scan_print(struct scan *scan, const struct commitlog_message *message)
{
    scan->count++;
    if (scan->json) {
        return record_print_json(&scan->cli->out, &scan->names, message, scan->log);
    }
    if (scan->log) {
        return record_print_line(&scan->cli->out, &scan->names, message);
    }
    return record_print_body(&scan->cli->out, message);
}

/* SCAN_AGAIN, or the exit code. */
static int scan_print_all(struct scan *scan, uint32_t count)
{
    assert(count <= SCAN_CHUNK);
    for (uint32_t i = 0; i < count; i++) {
        const struct commitlog_message *message = &scan->messages[i];
        if (!scan->follow && scan->place != SCAN_KEY && message->position >= scan->end) {
            return scan->status;
        }
        if (!scan_print(scan, message)) {
            return scan->status; /* cli_end tells why the output failed */
        }
        if (scan->place != SCAN_KEY) {
            bar_set(&scan->bar, message->next_position - scan->begin,
                    scan->follow ? 0 : scan->end - scan->begin);
        }
    }
    return scan->count >= scan->max ? scan->status : SCAN_AGAIN;
}

/* Where the log goes on behind damage that begins at `position`: records are 8-byte aligned, and
 * the cursor finds the next one that is sound. */
static uint64_t scan_behind(struct scan *scan, uint64_t position)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    for (uint32_t i = 0; commitlog_damage_get(scan->store->handle, i, &damage) == COMMITLOG_OK;
         i++) {
        if (damage.from_position <= position && position < damage.to_position) {
            return damage.to_position;
        }
        damage = (struct commitlog_damage){.struct_bytes = sizeof(damage)};
    }
    return position + 8;
}

static int scan_damaged(struct scan *scan, uint64_t bound)
{
    const bool queue = scan->place == SCAN_QUEUE;
    scan->status = CLI_NO;
    scan->damaged++;
    if (scan->damaged <= SCAN_DAMAGE_TOLD) {
        cli_error(scan->cli,
                  "%s: damage at %s %" PRIu64 ": left out (commitlog verify names all of it)",
                  scan->cli->dir, queue ? "offset" : "position", bound);
    }
    if (scan->place == SCAN_KEY) {
        return SCAN_AGAIN; /* the cursor goes on by itself */
    }
    const uint64_t next = queue ? bound + 1 : scan_behind(scan, bound);
    const int32_t rc = commitlog_cursor_seek(scan->cursor, COMMITLOG_FROM_OFFSET, next);
    return rc == COMMITLOG_OK ? SCAN_AGAIN : cli_fail(scan->cli, scan->cli->dir, rc, NULL);
}

/* A reference that outlives its message: retention has dropped that, and would drop this next. */
static int scan_expired(struct scan *scan, uint64_t bound)
{
    const bool queue = scan->place == SCAN_QUEUE;
    const bool again = scan->expired > 0 && scan->expired_at == bound;
    scan->status = CLI_NO;
    if (!again) {
        scan->expired++;
        scan->expired_at = bound;
        if (scan->expired <= SCAN_DAMAGE_TOLD) {
            cli_error(scan->cli,
                      "%s: %s %" PRIu64
                      ": the message that this refers to is no longer kept: left out",
                      scan->cli->dir, queue ? "offset" : "position", bound);
        }
    }
    if (scan->place == SCAN_KEY) {
        if (again) { /* a cursor by key cannot be told to pass it */
            cli_error(scan->cli, "%s: what is older than position %" PRIu64 " is not looked at",
                      scan->cli->dir, bound);
            return CLI_NO;
        }
        return SCAN_AGAIN;
    }
    const int32_t rc =
        commitlog_cursor_seek(scan->cursor, COMMITLOG_FROM_OFFSET, bound + (queue ? 1 : 8));
    return rc == COMMITLOG_OK ? SCAN_AGAIN : cli_fail(scan->cli, scan->cli->dir, rc, NULL);
}

/* The cursor's place is no longer kept, or was never: an error, but for one that had begun. */
static int scan_too_small(struct scan *scan, uint64_t bound)
{
    const char *what = scan->place == SCAN_LOG ? "position" : "offset";
    if (scan->place == SCAN_LOG && bound == CLI_FIRST_POSITION) {
        cli_error(scan->cli, "%s: there is no record before position %" PRIu64, scan->cli->dir,
                  bound);
    } else {
        cli_error(scan->cli,
                  "%s: what lies before %s %" PRIu64 " was dropped by retention, or has expired",
                  scan->cli->dir, what, bound);
    }
    if (scan->begun &&
        commitlog_cursor_seek(scan->cursor, COMMITLOG_FROM_OFFSET, bound) == COMMITLOG_OK) {
        scan->status = CLI_NO;
        return SCAN_AGAIN;
    }
    return CLI_NO;
}

/* Nobody proved that the rest is durable, and its writer does not run; or a writer is there that
 * is still opening the store, or whose memory no other process can see. */
static int scan_unrecovered(struct scan *scan)
{
    if (!store_tell_unrecovered(scan->cli, scan->store) && !scan->told_hidden) {
        scan->told_hidden = true;
        cli_error(scan->cli,
                  "%s: a process has the store open for writing and does not show what it appends: "
                  "more records may follow once it has written them or closed the store",
                  scan->cli->dir);
    }
    if (!scan->follow || !out_flush(&scan->cli->out) ||
        watch_sleep(scan->cli->watch, SCAN_UNRECOVERED_MS)) {
        return scan->status;
    }
    return SCAN_AGAIN;
}

/* A status other than OK; SCAN_AGAIN, or the exit code. */
static int scan_status(struct scan *scan, int32_t rc, uint64_t bound)
{
    assert(rc != COMMITLOG_OK);
    switch (rc) {
    case COMMITLOG_EEND:
        return scan->follow ? SCAN_AGAIN : scan->status;
    case COMMITLOG_EDAMAGED:
        return scan_damaged(scan, bound);
    case COMMITLOG_EIO: /* of a sector, perhaps: then what lies behind it is read */
        if (bound != commitlog_cursor_tell(scan->cursor) ||
            ++scan->unreadable > SCAN_UNREADABLE_MOST) { /* not a sector: the device */
            return cli_fail(scan->cli, scan->cli->dir, rc, NULL);
        }
        return scan_damaged(scan, bound);
    case COMMITLOG_EEXPIRED:
        return scan_expired(scan, bound);
    case COMMITLOG_ETOOSMALL:
        return scan_too_small(scan, bound);
    case COMMITLOG_EUNRECOVERED:
        return scan_unrecovered(scan);
    case COMMITLOG_EINTERRUPTED:
        return watch_ended(scan->cli->watch) ? watch_status_of(scan->cli->watch, scan->status)
                                             : SCAN_AGAIN;
    case COMMITLOG_EBEYOND:
        cli_error(scan->cli, "%s: beyond the end, which is %s %" PRIu64, scan->cli->dir,
                  scan->place == SCAN_LOG ? "position" : "offset", bound);
        return CLI_NO;
    case COMMITLOG_EROLLEDBACK:
        cli_error(scan->cli, "%s: recovery cut what was printed last; the end now is %s %" PRIu64,
                  scan->cli->dir, scan->place == SCAN_LOG ? "position" : "offset", bound);
        return CLI_NO;
    default:
        return cli_fail(scan->cli, scan->cli->dir, rc, NULL);
    }
}

static int scan_loop(struct scan *scan)
{
    int status = scan->max == 0 ? CLI_DONE : SCAN_AGAIN;
    while (status == SCAN_AGAIN) {
        if (watch_ended(scan->cli->watch)) {
            return watch_status_of(scan->cli->watch, scan->status);
        }
        const uint64_t left = scan->max - scan->count;
        const uint32_t want = left < SCAN_CHUNK ? (uint32_t)left : SCAN_CHUNK;
        uint32_t count = 0;
        uint64_t bound = 0;
        int32_t rc = commitlog_cursor_fetch(scan->cursor, scan->messages, want, 0, &count, &bound);
        scan->begun = scan->begun || rc == COMMITLOG_OK || rc == COMMITLOG_EEND ||
                      rc == COMMITLOG_EUNRECOVERED;
        if (rc == COMMITLOG_EEND && scan->follow) {
            if (!out_flush(&scan->cli->out)) {
                return scan->status;
            }
            rc = commitlog_cursor_fetch(scan->cursor, scan->messages, want, COMMITLOG_FOREVER,
                                        &count, &bound);
        }
        scan->unreadable = rc == COMMITLOG_OK ? 0 : scan->unreadable;
        status = rc == COMMITLOG_OK ? scan_print_all(scan, count) : scan_status(scan, rc, bound);
    }
    return status;
}

int scan_run(struct scan *scan)
{
    assert(scan != NULL && scan->cursor != NULL);
    bar_start(&scan->bar, scan->cli, "reading", NULL, true);
    const int status = scan_loop(scan);
    bar_stop(&scan->bar);
    if (scan->damaged > SCAN_DAMAGE_TOLD) {
        cli_error(scan->cli, "%s: damage at %" PRIu64 " places in all", scan->cli->dir,
                  scan->damaged);
    }
    if (scan->expired > SCAN_DAMAGE_TOLD) {
        cli_error(scan->cli, "%s: %" PRIu64 " references in all whose messages are no longer kept",
                  scan->cli->dir, scan->expired);
    }
    return status;
}
