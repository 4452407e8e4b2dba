/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group_gates.c -- `commitlog group gates`: which queues of a topic that grew a group may consume.
 */
#include <inttypes.h>

#include "group.h"
#include "record_out.h"
#include "watch.h"

static const struct cli_spec gates_spec = {
    .command = "group gates",
    .operands = "DIR",
    .about =
        "Prints, for each queue that a topic got when it grew, whether it is open for a group,\n"
        "and which queue the group has to consume, or had to, to which offset: UNTIL, 0 when\n"
        "nothing below is kept, - when the growth is not visible yet. --json prints one object\n"
        "per queue. It only reads.",
};

/* The library's word for "none": of a mark, that the growth is not visible yet. */
static json_t *gates_json(uint64_t value)
{
    return value == UINT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static bool gates_text(struct out *out, uint64_t value)
{
    return value == UINT64_MAX ? out_format(out, " %12s", "-")
                               : out_format(out, " %12" PRIu64, value);
}

static bool gates_print(struct group_run *run, uint32_t queue,
                        const struct commitlog_group_gate *gate)
{
    struct out *out = &run->cli.out;
    if (run->json != 0) {
        return record_print_value(
            out, json_pack("{s:I, s:b, s:I, s:o, s:o}", "queue", (json_int_t)queue, "open",
                           gate->open != 0, "parent", (json_int_t)gate->parent, "mark",
                           gates_json(gate->mark), "committed", gates_json(gate->committed)));
    }
    return out_format(out, "%6" PRIu32 "  %-4s %6" PRIu32, queue, gate->open != 0 ? "yes" : "no",
                      gate->parent) &&
           gates_text(out, gate->mark) && gates_text(out, gate->committed) && out_text(out, "\n");
}

static int gates_run(struct group_run *run)
{
    struct cli *cli = &run->cli;
    if (run->json == 0) {
        (void)out_format(&cli->out, "%6s  %-4s %6s %12s %12s\n", "QUEUE", "OPEN", "PARENT", "UNTIL",
                         "COMMITTED");
    }
    for (uint32_t queue = run->topic.step_queues[0];
         queue < run->topic.queues_total && !watch_ended(cli->watch); queue++) {
        struct commitlog_error err = {0};
        struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
        const int32_t rc = commitlog_group_gate(run->group, run->topic.topic, queue, &gate, &err);
        if (rc != COMMITLOG_OK) {
            return cli_fail(cli, cli->dir, rc, &err);
        }
        if (!gates_print(run, queue, &gate)) {
            break; /* standard output, which cli_end reports */
        }
    }
    return watch_status(cli->watch);
}

int group_gates(int argc, const char **argv)
{
    struct group_run run = {0};
    struct poptOption table[] = {
        GROUP_OPTION(&run),
        GROUP_TOPIC_OPTION(&run),
        GROUP_JSON_OPTION(&run, "one JSON object per queue"),
        CLI_TABLE_END,
    };
    int status;
    if (!group_begin(&run, &gates_spec, table, GROUP_NAMED | GROUP_TOPIC_NAMED, argc, argv,
                     &status)) {
        return status;
    }
    status = group_open(&run, STORE_LIST, 0);
    if (status == CLI_DONE) {
        status = gates_run(&run);
    }
    return group_end(&run, status);
}
