/*
 * report.h -- prints what recovery and verification found.
 */
#ifndef COMMITLOG_TOOL_REPORT_H
#define COMMITLOG_TOOL_REPORT_H

#include <jansson.h>

#include "cli.h"

/* As text: the sentences a person wants, then each damaged range. */
void report_print_text(struct cli *cli, const struct commitlog_report *report, bool verify);
/* As one object: "result", the fields of the report, "damage", and "plan" (verify: "notes"). */
void report_print_json(struct cli *cli, const struct commitlog_report *report, int32_t result,
                       bool verify);
/* The damaged ranges alone, as sentences on standard output; returns how many. */
uint32_t report_print_damage(struct cli *cli, const struct commitlog_report *report);

#endif
