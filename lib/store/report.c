/* report.c -- see report.h. */
#include "store/report.h"

#include <string.h>

#include "base/invariant.h"
#include "store/store.h"

/* Room for one more of `size` bytes; doubles. */
static int report_grow(const struct commitlog_os *os, void **items, size_t count, size_t *room,
                       size_t size)
{
    if (count < *room) {
        return COMMITLOG_OK;
    }
    size_t more = *room == 0 ? 16 : *room * 2;
    void *grown = clg_os_grow_array(os, *items, *room, more, size);
    if (grown == NULL) {
        return COMMITLOG_ENOMEM;
    }
    *items = grown;
    *room = more;
    return COMMITLOG_OK;
}

static int report_line(void *ctx, const char *text)
{
    struct commitlog_report *report = ctx;
    void *lines = report->lines;
    int rc =
        report_grow(report->os, &lines, report->line_count, &report->line_room, sizeof(char *));
    report->lines = lines;
    size_t bytes = strlen(text) + 1;
    char *copy = rc == COMMITLOG_OK ? report->os->alloc(report->os, bytes) : NULL;
    if (copy == NULL) {
        return COMMITLOG_ENOMEM;
    }
    memcpy(copy, text, bytes);
    report->lines[report->line_count++] = copy;
    return COMMITLOG_OK;
}

static int report_damage(void *ctx, const struct commitlog_damage *damage)
{
    struct commitlog_report *report = ctx;
    void *items = report->damage;
    int rc = report_grow(report->os, &items, report->damage_count, &report->damage_room,
                         sizeof(*damage));
    report->damage = items;
    if (rc == COMMITLOG_OK) {
        report->damage[report->damage_count] = *damage;
        report->damage[report->damage_count++].struct_bytes = sizeof(*damage);
    }
    return rc;
}

struct commitlog_report *clg_report_create(const struct commitlog_os *os)
{
    struct commitlog_report *report = os->alloc(os, sizeof(*report));
    if (report != NULL) {
        report->os = os;
        report->sink = (struct clg_recovery_report){report_line, report_damage, report};
    }
    return report;
}

void commitlog_report_free(struct commitlog_report *report)
{
    if (report == NULL) {
        return;
    }
    const struct commitlog_os *os = report->os;
    for (size_t i = 0; i < report->line_count; i++) {
        os->free(os, report->lines[i]);
    }
    os->free(os, report->lines);
    os->free(os, report->damage);
    os->free(os, report);
}

int32_t commitlog_report_recovery(const struct commitlog_report *report,
                                  struct commitlog_recovery *out)
{
    if (report == NULL || out == NULL) {
        return COMMITLOG_EINVAL;
    }
    struct commitlog_recovery recovery = report->recovery;
    recovery.struct_bytes = sizeof(recovery);
    clg_copy_out(out, &recovery, sizeof(recovery));
    return COMMITLOG_OK;
}

int32_t commitlog_report_damage(const struct commitlog_report *report, uint32_t index,
                                struct commitlog_damage *out)
{
    if (report == NULL || out == NULL) {
        return COMMITLOG_EINVAL;
    }
    if (index >= report->damage_count) {
        return COMMITLOG_ENOTFOUND;
    }
    clg_copy_out(out, &report->damage[index], sizeof(*out));
    return COMMITLOG_OK;
}

const char *commitlog_report_line(const struct commitlog_report *report, uint32_t index)
{
    return report != NULL && index < report->line_count ? report->lines[index] : NULL;
}
