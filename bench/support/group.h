/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.h -- group commit for engines that have one writer at a time and none of their own: what
 * several threads wait for becomes durable by one commit.
 *
 * A thread stages records in its member, and commits. The first that comes when nobody leads takes
 * all members that wait, its own among them, lets the engine commit them (`apply`), and wakes the
 * others; who came meanwhile is led by one of them.
 *
 * Threads: a member is used by one thread at a time; a group by any number. One apply runs at a
 *          time, in the thread of the leader.
 */
#ifndef BENCH_SUPPORT_GROUP_H
#define BENCH_SUPPORT_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_staged {
    uint64_t offset;
    uint32_t queue;
    uint32_t bytes;
    uint8_t body[];
};

struct bench_member {
    uint8_t *staged; /* records, each from a multiple of 8 bytes on */
    size_t used;
    size_t room;
    uint64_t count;
    /* Below the lock of the group, while it waits. */
    struct bench_member *next;
    pthread_cond_t wake;
    bool done;
};

/* Commits what all members of the list have staged; `leader` is from bench_group_commit. */
typedef void (*bench_apply)(void *leader, const struct bench_member *members);

struct bench_group {
    pthread_mutex_t lock;
    struct bench_member *waiting; /* below lock */
    bool led;                     /* below lock: somebody applies */
    bench_apply apply;
};

void bench_group_open(struct bench_group *group, bench_apply apply);
void bench_group_close(struct bench_group *group);
void bench_member_open(struct bench_member *member);
void bench_member_close(struct bench_member *member);

/* Copies the record. */
void bench_stage(struct bench_member *member, uint32_t queue, uint64_t offset, const void *body,
                 size_t bytes);
/* The first record (after NULL), the next, NULL at the end. */
const struct bench_staged *bench_staged_next(const struct bench_member *member,
                                             const struct bench_staged *after);
void bench_member_clear(struct bench_member *member);
/* Returns when what the member had staged is committed; it is empty then. */
void bench_group_commit(struct bench_group *group, struct bench_member *member, void *leader);

#endif
