/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.h -- the processes of the soak test as the driver sees them: started, stopped, killed,
 * watched, and told about when they end as they should not.
 *
 * Owns: the processes; all of them die with the driver.
 * Invariants: 1. a process ends by the signal that it was sent, or, if it was asked, by itself with
 *       status 0, or verify with 1, to name the CHECKPOINT that was taken away; 2. each of its
 *       threads gives a sign of life within HANG_MS of its running time;
 *       3. memory, descriptors, maps, files and room on the disk stay below the bounds of growth.c.
 * Failure modes: a violation is told once, with seed, round and the plan of the writer; everything
 *       is killed, the directory stays, status 1.
 */
#ifndef TESTS_SOAK_CREW_H
#define TESTS_SOAK_CREW_H

#include <sys/types.h>

#include "../support/dirs.h"
#include "book.h"
#include "plan.h"

enum { CREW_WRITER = 0 /* process n is follower n - 1 */, CREW_TOOL = BOOK_PROCESSES, CREW_SIZE };

struct member {
    pid_t pid;         /* 0: does not run */
    bool killed;       /* it was sent SIGKILL */
    bool may_end;      /* it was asked to end */
    int64_t wake_ms;   /* it is stopped until then; 0: it runs */
    int64_t die_ms;    /* when it is killed; 0: it is not */
    int64_t return_ms; /* when it is started again */
    uint64_t beats[BOOK_BEATS];
    int64_t beat_ms[BOOK_BEATS];
};

/* The highest that was seen since the last line of progress. */
struct growth {
    uint64_t writer_kib, follower_kib; /* anonymous memory */
    uint64_t rss_kib;                  /* of the largest process, shared pages and all */
    uint64_t descriptors, maps;
    uint64_t files, store_kib, quarantine_kib;
};

struct crew {
    struct book *book;
    struct member members[CREW_SIZE];
    struct plan plan;
    struct rng rng;
    struct growth growth;
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX]; /* of the store */
    char tool[DIRS_PATH_MAX]; /* the command */
    char doing[64];           /* what the command was asked */
    uint64_t seed;
    uint64_t round;
    uint64_t kills, stops, closes, tools, removals;
    uint64_t veteran_kib; /* anonymous memory of follower 0 when it was WARM_MS old; 0: not yet */
    int64_t veteran_ms;   /* when it was started */
    int64_t grown_ms;     /* when growth was last looked at */
};

void crew_start_writer(struct crew *crew, const struct plan *plan);
void crew_start_follower(struct crew *crew, uint32_t follower);
/* The command with up to two words behind the store's path; its output goes to a file. */
void crew_start_tool(struct crew *crew, const char *command, const char *option);

bool crew_runs(const struct crew *crew, uint32_t member);
void crew_kill(struct crew *crew, uint32_t member);
void crew_ask_close(struct crew *crew);
void crew_stop(struct crew *crew, uint32_t member, int64_t ms);
/* Waits for the end of a member that was killed or asked; the others go on. */
void crew_await(struct crew *crew, uint32_t member);
/* What is due now: ends, wake-ups, deaths and returns of followers, signs of life, growth. */
void crew_turn(struct crew *crew);
/* Kills all that still run. */
void crew_end(struct crew *crew);

_Noreturn void crew_violation(struct crew *crew, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void growth_look(struct crew *crew);
/* Whether quarantine/, which the library never empties, is to be emptied. */
bool growth_quarantine_full(const struct crew *crew);

#endif
