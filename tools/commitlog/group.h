/*
 * group.h -- what the actions of `commitlog group` share: the group, the topic, what it committed.
 *
 * Owns: `struct group_run`, one per run.
 * Invariants: what only looks opens read-only and runs beside a writer; what changes a group holds
 *       the writer's lock, so nobody else commits meanwhile, and is durable when the command ends.
 * Threads and locks: the main thread.
 * Happy path: group_begin -> checks of usage -> group_open -> the action's work -> group_end.
 * Failure modes: reported here, with the exit code as result. No such group or topic is CLI_NO.
 */
#ifndef COMMITLOG_TOOL_GROUP_H
#define COMMITLOG_TOOL_GROUP_H

#include "cli.h"
#include "open.h"

struct group_run {
    struct cli cli;
    struct store store;
    char *name;                        /* --group, or NULL */
    char *topic_name;                  /* --topic, or NULL */
    int json;                          /* --json */
    int patience_ms;                   /* so long another writer is waited for */
    struct commitlog_group *group;     /* of `name` */
    struct commitlog_topic_info topic; /* of `topic_name` */
};

#define GROUP_OPTION(run)                                                                          \
    {                                                                                              \
        "group", 'g', POPT_ARG_STRING, &(run)->name, 0, "the group", "GROUP"                       \
    }
#define GROUP_TOPIC_OPTION(run)                                                                    \
    {                                                                                              \
        "topic", 't', POPT_ARG_STRING, &(run)->topic_name, 0, "the topic", "TOPIC"                 \
    }
#define GROUP_JSON_OPTION(run, text)                                                               \
    {                                                                                              \
        "json", 'j', POPT_ARG_NONE, &(run)->json, 0, text, NULL                                    \
    }

/* What must be given. */
enum { GROUP_NAMED = 1, GROUP_TOPIC_NAMED = 2 };

/* cli_parse, and usage errors for what is missing, or is no name; false: end with *status. */
bool group_begin(struct group_run *run, const struct cli_spec *spec, struct poptOption *table,
                 unsigned int needs, int argc, const char **argv, int *status);
/* Opens the store (STORE_READ or STORE_WRITE), then the group and the topic that were named. The
 * group is not opened with `flags` that make it: COMMITLOG_GROUP_CREATE is for group create. */
int group_open(struct group_run *run, int mode, uint32_t flags);
int group_end(struct group_run *run, int status);

/* Offsets that `group` has committed, one for each queue of the topic, in memory to be freed. NULL:
 * *status, after a report. */
struct commitlog_group_offset *group_committed(struct group_run *run, struct commitlog_group *group,
                                               const struct commitlog_topic_info *topic,
                                               int *status);

/* The actions: argv[0] is the action. */
int group_list(int argc, const char **argv);
int group_show(int argc, const char **argv);
int group_lag(int argc, const char **argv);
int group_gates(int argc, const char **argv);
int group_commit(int argc, const char **argv);
int group_reset(int argc, const char **argv);
int group_work(int argc, const char **argv);
int group_receive(int argc, const char **argv);
int group_ack(int argc, const char **argv);
int group_extend(int argc, const char **argv);
int group_nack(int argc, const char **argv);

#endif
