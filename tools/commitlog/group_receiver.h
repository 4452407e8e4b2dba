/*
 * group_receiver.h -- the options of a receiver, for the actions that have one.
 *
 * Owns: nothing; the texts are those of the option table.
 * Invariants: what is wrong is told before the store is opened. The topic of dead letters that is
 *       named is made, with one queue, when it is not there.
 * Threads and locks: the main thread.
 * Failure modes: reported here.
 */
#ifndef COMMITLOG_TOOL_GROUP_RECEIVER_H
#define COMMITLOG_TOOL_GROUP_RECEIVER_H

#include "group.h"

/* Nothing comes again later: the end of store times, in the year 2262. */
#define GROUP_DURATION_MAX_MS UINT64_C(9223372036854)

struct group_receiver {
    char *visibility;   /* --visibility, or NULL: the library's */
    char *max_attempts; /* --max-attempts, or NULL: the library's */
    char *dead_topic;   /* --dead-topic, or NULL: "%DLQ%" and the group's name */
    /* what they mean */
    uint32_t flags; /* COMMITLOG_RECEIVE_... */
    uint32_t attempts;
    uint64_t visibility_ms;
};

#define GROUP_DEAD_OPTIONS(o)                                                                      \
    {"max-attempts",                                                                               \
     '\0',                                                                                         \
     POPT_ARG_STRING,                                                                              \
     &(o)->max_attempts,                                                                           \
     0,                                                                                            \
     "so often a message is given out (default: 16); none: there is no limit",                     \
     "N|none"},                                                                                    \
    {                                                                                              \
        "dead-topic", '\0', POPT_ARG_STRING, &(o)->dead_topic, 0,                                  \
            "where it goes then (default: %DLQ% and the name of the group)", "NAME"                \
    }

/* A DURATION of at most so long; reports and returns false. */
bool group_duration(struct cli *cli, const char *option, const char *text, uint64_t most_ms,
                    uint64_t *ms);
/* What the texts mean; reports and returns false. */
bool group_receiver_parse(struct cli *cli, struct group_receiver *options);
/* Of the run's group and topic; the exit code, after a report. */
int group_receiver_open(struct group_run *run, const struct group_receiver *options,
                        struct commitlog_receiver **receiver);

#endif
