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
        "nothing below is kept. --json prints one object per queue. It only reads.",
};

static bool gates_print(struct group_run *run, uint32_t queue,
                        const struct commitlog_group_gate *gate)
{
    const bool none = gate->committed == UINT64_MAX;
    if (run->json != 0) {
        json_t *committed = none ? json_null() : json_integer((json_int_t)gate->committed);
        return record_print_value(
            &run->cli.out, json_pack("{s:I, s:b, s:I, s:I, s:o}", "queue", (json_int_t)queue,
                                     "open", gate->open != 0, "parent", (json_int_t)gate->parent,
                                     "mark", (json_int_t)gate->mark, "committed", committed));
    }
    return out_format(&run->cli.out, "%6" PRIu32 "  %-4s %6" PRIu32 " %12" PRIu64, queue,
                      gate->open != 0 ? "yes" : "no", gate->parent, gate->mark) &&
           (none ? out_format(&run->cli.out, " %12s\n", "-")
                 : out_format(&run->cli.out, " %12" PRIu64 "\n", gate->committed));
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
    status = group_open(&run, STORE_READ, 0);
    if (status == CLI_DONE) {
        status = gates_run(&run);
    }
    return group_end(&run, status);
}
