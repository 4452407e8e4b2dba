/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill_writer.h -- the process that is killed: threads that append in every way and report.
 *
 * Owns: its store. Reports each acknowledged record by one write to a pipe, smaller than PIPE_BUF.
 */
#ifndef TESTS_CRASH_KILL_WRITER_H
#define TESTS_CRASH_KILL_WRITER_H

#include "../support/prog.h"

struct kill_variant {
    const char *name;
    uint64_t engine, segment, stage, flush, live, thread;
    uint64_t body_max;
};

struct commitlog_options *kill_options(const struct kill_variant *variant);

/* Opens the store and appends until it is killed; never returns. */
_Noreturn void kill_writer_run(const char *path, const struct kill_variant *variant, uint64_t seed,
                               int report_fd);

#endif
