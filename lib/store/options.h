/*
 * options.h -- what a store is opened with: one table of ids, names, bounds and defaults.
 *
 * Invariants: every value in an options object lies within the bounds of its row. The same table
 *       checks what is set, prints itself (commitlog_option_info) and writes the man page.
 * Threads and locks: an options object is used by one thread at a time; a store keeps a copy.
 */
#ifndef CLG_STORE_OPTIONS_H
#define CLG_STORE_OPTIONS_H

#include <stdint.h>

#include "commitlog.h"

#include "os/os.h"

#define CLG_OPTIONS_MAX 25u /* ids are below; few enough to know them all */

struct commitlog_options {
    uint64_t values[CLG_OPTIONS_MAX]; /* by id */
    const struct commitlog_os *os;    /* of the objects, and of the stores opened with it */
    struct commitlog_progress *progress;
};

void clg_options_init(struct commitlog_options *options);
static inline uint64_t clg_option(const struct commitlog_options *options, uint32_t id)
{
    return options->values[id];
}
/* Combinations that no single row can refuse. */
int clg_options_check(const struct commitlog_options *options, struct commitlog_error *err);

#endif
