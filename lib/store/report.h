/*
 * report.h -- struct commitlog_report: what a recovery or verification found, kept after it.
 *
 * Threads and locks: filled by the thread that made it, then constant.
 */
#ifndef CLG_STORE_REPORT_H
#define CLG_STORE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "recovery/recover.h"

struct commitlog_report {
    const struct commitlog_os *os;
    struct commitlog_recovery recovery;
    struct commitlog_damage *damage;
    size_t damage_count;
    size_t damage_room;
    char **lines;
    size_t line_count;
    size_t line_room;
    struct clg_recovery_report sink; /* hands lines and damage to this report */
};

struct commitlog_report *clg_report_create(const struct commitlog_os *os);

/* lost.c: adds the queue offsets that went with the damage in the report. Best effort. */
void clg_store_report_lost(struct commitlog_store *store, struct commitlog_report *report);

#endif
