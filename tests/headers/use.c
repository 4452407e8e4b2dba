/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * use.c -- the public header first and alone, in a file that is C99, C11 and C++ at once.
 *
 * Names every function of the interface, so that a declaration that one of the languages does not
 * take, or a function that the library does not have, ends the build.
 */
#include "commitlog.h"

#include <stdio.h>
#include <string.h>

typedef void (*any_function)(void);

#define ENTRY(name)                                                                                \
    {                                                                                              \
#name, (any_function)name                                                                  \
    }

static const struct {
    const char *name;
    any_function function;
} table[] = {ENTRY(commitlog_version_number),
             ENTRY(commitlog_version_text),
             ENTRY(commitlog_version_check),
             ENTRY(commitlog_error_name),
             ENTRY(commitlog_error_text),
             ENTRY(commitlog_error_count),
             ENTRY(commitlog_error_at),
             ENTRY(commitlog_options_create),
             ENTRY(commitlog_options_free),
             ENTRY(commitlog_options_set),
             ENTRY(commitlog_options_set_text),
             ENTRY(commitlog_options_get),
             ENTRY(commitlog_option_info),
             ENTRY(commitlog_options_set_os),
             ENTRY(commitlog_progress_create),
             ENTRY(commitlog_progress_free),
             ENTRY(commitlog_progress_get),
             ENTRY(commitlog_progress_cancel),
             ENTRY(commitlog_options_set_progress),
             ENTRY(commitlog_open),
             ENTRY(commitlog_close),
             ENTRY(commitlog_interrupt),
             ENTRY(commitlog_topic_open),
             ENTRY(commitlog_topic_count),
             ENTRY(commitlog_topic_info),
             ENTRY(commitlog_queue_info),
             ENTRY(commitlog_append),
             ENTRY(commitlog_append_record),
             ENTRY(commitlog_append_batch),
             ENTRY(commitlog_reserve),
             ENTRY(commitlog_commit),
             ENTRY(commitlog_abort),
             ENTRY(commitlog_sync),
             ENTRY(commitlog_wait_durable),
             ENTRY(commitlog_message_key),
             ENTRY(commitlog_message_header),
             ENTRY(commitlog_cursor_open),
             ENTRY(commitlog_cursor_open_key),
             ENTRY(commitlog_cursor_open_log),
             ENTRY(commitlog_cursor_close),
             ENTRY(commitlog_cursor_set_tags),
             ENTRY(commitlog_filter_compile),
             ENTRY(commitlog_filter_free),
             ENTRY(commitlog_filter_test),
             ENTRY(commitlog_cursor_set_filter),
             ENTRY(commitlog_cursor_set_pass_limit),
             ENTRY(commitlog_cursor_fetch),
             ENTRY(commitlog_cursor_tell),
             ENTRY(commitlog_cursor_seek),
             ENTRY(commitlog_cursor_lease),
             ENTRY(commitlog_lease_check),
             ENTRY(commitlog_lease_release),
             ENTRY(commitlog_get),
             ENTRY(commitlog_read_copy),
             ENTRY(commitlog_offset_by_time),
             ENTRY(commitlog_wait),
             ENTRY(commitlog_event_fd),
             ENTRY(commitlog_positions_get),
             ENTRY(commitlog_stat),
             ENTRY(commitlog_event_next),
             ENTRY(commitlog_failure),
             ENTRY(commitlog_step),
             ENTRY(commitlog_checkpoint),
             ENTRY(commitlog_retain),
             ENTRY(commitlog_rebuild),
             ENTRY(commitlog_recovery_get),
             ENTRY(commitlog_damage_get),
             ENTRY(commitlog_report_free),
             ENTRY(commitlog_report_recovery),
             ENTRY(commitlog_report_damage),
             ENTRY(commitlog_report_line),
             ENTRY(commitlog_recover),
             ENTRY(commitlog_verify),
             ENTRY(commitlog_queue_by_key),
             ENTRY(commitlog_queue_round_robin),
             ENTRY(commitlog_queue_least_loaded),
             ENTRY(commitlog_assign)};

/* Sizes and places that a binding in another language writes down by hand. */
static int layout(void)
{
    struct commitlog_record record;
    memset(&record, 0, sizeof record);
    record.struct_bytes = (uint32_t)sizeof record;
    return sizeof(struct commitlog_error) == 256 && sizeof(struct commitlog_slice) == 16 &&
           sizeof(struct commitlog_receipt) == 48 && sizeof(struct commitlog_message) == 184 &&
           record.struct_bytes == 112;
}

int main(void)
{
    unsigned checks = 0;
    size_t i;
    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].function == NULL || strncmp(table[i].name, "commitlog_", 10) != 0)
            return 1;
        checks++;
    }
    if (!layout()) {
        printf("sizes: error %u slice %u receipt %u message %u record %u\n",
               (unsigned)sizeof(struct commitlog_error), (unsigned)sizeof(struct commitlog_slice),
               (unsigned)sizeof(struct commitlog_receipt),
               (unsigned)sizeof(struct commitlog_message),
               (unsigned)sizeof(struct commitlog_record));
        return 1;
    }
    checks++;
    if (commitlog_version_check(COMMITLOG_VERSION_MAJOR, COMMITLOG_VERSION_MINOR) != COMMITLOG_OK)
        return 1;
    checks++;
    printf("checks: %u\n", checks);
    return 0;
}
