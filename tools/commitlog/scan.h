/*
 * scan.h -- the reading loop that read, query and dump share.
 *
 * Owns: one cursor and the array it fills.
 * Invariants: what is damaged is named on stderr and skipped, never printed, and so is a reference
 *       whose message is no longer kept; the exit code then is 1. Without `follow` the scan ends at
 * what was visible when it began, so that it ends also beside a writer that is faster. Before
 * anything waits, the output is flushed. Threads and locks: one thread; follow sleeps inside the
 * library until a record comes. Happy path: scan_begin -> scan_run -> scan_end. Failure modes:
 * reported here; the result is the exit code.
 */
#ifndef COMMITLOG_TOOL_SCAN_H
#define COMMITLOG_TOOL_SCAN_H

#include "bar.h"
#include "open.h"
#include "record_out.h"

enum { SCAN_CHUNK = 256, SCAN_DAMAGE_TOLD = 10, SCAN_UNREADABLE_MOST = 16 };

/* What a place of the cursor is, for messages and for going on behind damage. */
enum { SCAN_QUEUE, SCAN_LOG, SCAN_KEY };

struct scan {
    struct cli *cli;
    struct store *store;
    struct commitlog_cursor *cursor;
    struct record_names names;
    struct bar bar;
    int place; /* SCAN_... */
    bool json;
    bool log; /* control records too, in the form of dump */
    bool follow;
    bool begun;   /* its place was one: that it is no longer kept is not the caller's mistake */
    uint64_t max; /* records to print */
    uint64_t count;
    uint64_t begin; /* positions, for the bar */
    uint64_t end;   /* position where a scan without follow ends */
    bool told_hidden;
    uint64_t damaged;    /* places that were left out */
    uint64_t expired;    /* references that were left out */
    uint64_t expired_at; /* the last one */
    uint32_t unreadable; /* answers of EIO since the last record */
    int status;          /* CLI_NO once something was left out */
    struct commitlog_message messages[SCAN_CHUNK];
};

/* Takes the place of zeroed memory; the cursor comes later. */
void scan_begin(struct scan *scan, struct cli *cli, struct store *store, int place);
/* Reads until max, the end, a signal or a failure; returns the exit code. */
int scan_run(struct scan *scan);
void scan_end(struct scan *scan);

#endif
