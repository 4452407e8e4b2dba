/* SPDX-License-Identifier: BSD-2-Clause */
/* group.c -- see group.h. */
#include "support/group.h"

#include <stdlib.h>
#include <string.h>

#include "support/bench.h"

void bench_group_open(struct bench_group *group, bench_apply apply)
{
    *group = (struct bench_group){.apply = apply};
    bench_need(pthread_mutex_init(&group->lock, NULL), "mutex");
}

void bench_group_close(struct bench_group *group)
{
    (void)pthread_mutex_destroy(&group->lock);
}

void bench_member_open(struct bench_member *member)
{
    *member = (struct bench_member){.staged = NULL};
    bench_need(pthread_cond_init(&member->wake, NULL), "condition");
}

void bench_member_close(struct bench_member *member)
{
    (void)pthread_cond_destroy(&member->wake);
    free(member->staged);
}

void bench_member_clear(struct bench_member *member)
{
    member->used = 0;
    member->count = 0;
}

static size_t staged_bytes(size_t body_bytes)
{
    return sizeof(struct bench_staged) + (body_bytes + 7) / 8 * 8;
}

void bench_stage(struct bench_member *member, uint32_t queue, uint64_t offset, const void *body,
                 size_t bytes)
{
    size_t end = member->used + staged_bytes(bytes);
    if (end > member->room) {
        member->room = end * 2;
        member->staged = realloc(member->staged, member->room);
        if (member->staged == NULL) {
            bench_die("no memory for %zu bytes", member->room);
        }
    }
    struct bench_staged *record = (void *)&member->staged[member->used];
    *record = (struct bench_staged){.offset = offset, .queue = queue, .bytes = (uint32_t)bytes};
    memcpy(record->body, body, bytes);
    member->used = end;
    member->count++;
}

const struct bench_staged *bench_staged_next(const struct bench_member *member,
                                             const struct bench_staged *after)
{
    size_t at = after == NULL ? 0
                              : (size_t)((const uint8_t *)after - member->staged) +
                                    staged_bytes(after->bytes);
    return at < member->used ? (const void *)&member->staged[at] : NULL;
}

/* Called and left with the lock; the member waits, and nobody leads. */
static void lead(struct bench_group *group, void *leader)
{
    struct bench_member *members = group->waiting;
    group->waiting = NULL;
    group->led = true;
    (void)pthread_mutex_unlock(&group->lock);
    group->apply(leader, members);
    (void)pthread_mutex_lock(&group->lock);
    group->led = false;
    while (members != NULL) {
        struct bench_member *member = members;
        members = member->next; /* before it is woken: it may come again at once */
        member->done = true;
        (void)pthread_cond_signal(&member->wake);
    }
    if (group->waiting != NULL) {
        (void)pthread_cond_signal(&group->waiting->wake);
    }
}

void bench_group_commit(struct bench_group *group, struct bench_member *member, void *leader)
{
    if (member->count == 0) {
        return;
    }
    (void)pthread_mutex_lock(&group->lock);
    member->done = false;
    member->next = group->waiting;
    group->waiting = member;
    while (!member->done) {
        if (group->led) {
            (void)pthread_cond_wait(&member->wake, &group->lock);
        } else {
            lead(group, leader);
        }
    }
    (void)pthread_mutex_unlock(&group->lock);
    bench_member_clear(member);
}
