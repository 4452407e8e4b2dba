/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notices.c - NOTIFY_CONSUMER_IDS_CHANGED, once for each turn, connection and group. See notices.h.
 *
 * Happy path: changed, the turn ends, send. Failure modes: a connection does not read: it is owed
 * the notice, and members that are owed one are looked for now and then.
 */
#include "notices.h"

#include "codes.h"
#include "groups.h"
#include "reply.h"

#include <stdlib.h>

struct notices {
    struct audience *changed; /* a list both ways */
    bool owed;                /* some member is */
};

void notices_changed(struct broker *broker, struct audience *audience)
{
    struct notices *notices = broker->notices;
    const struct group *group = group_find(broker, audience->entry.name);
    if (audience->changed_at != NULL || (group != NULL && !group->notify))
        return;
    audience->changed_next = notices->changed;
    if (notices->changed != NULL)
        notices->changed->changed_at = &audience->changed_next;
    audience->changed_at = &notices->changed;
    notices->changed = audience;
}

void notices_forget(struct broker *broker, struct audience *audience)
{
    (void)broker;
    if (audience->changed_at == NULL)
        return;
    *audience->changed_at = audience->changed_next;
    if (audience->changed_next != NULL)
        audience->changed_next->changed_at = audience->changed_at;
    audience->changed_at = NULL;
}

/* All members, or those that are owed it. */
static void tell(struct broker *broker, const struct audience *audience, bool all)
{
    const uint64_t round = ++broker->round;
    for (struct member *member = audience->members; member != NULL; member = member_next(member)) {
        struct connection *connection = member->connection;
        if (connection->closed || (!all && !member->owed))
            continue;
        member->owed = connection->round != round && connection_is_behind(connection);
        broker->notices->owed |= member->owed;
        if (member->owed || connection->round == round)
            continue;
        connection->round = round;
        struct reply request = request_begin(connection, REQUEST_CONSUMERS_CHANGED);
        reply_text(&request, "consumerGroup", audience->entry.name);
        reply_end(&request, (struct text){0});
    }
}

void notices_send(struct broker *broker)
{
    struct notices *notices = broker->notices;
    while (notices->changed != NULL) {
        struct audience *audience = notices->changed;
        notices_forget(broker, audience);
        if (!broker->stopping)
            tell(broker, audience, true);
    }
}

void notices_again(struct broker *broker)
{
    const struct audience *audience = NULL;
    if (!broker->notices->owed || broker->stopping)
        return;
    broker->notices->owed = false;
    while ((audience = clients_next_consumers(broker, audience)) != NULL)
        tell(broker, audience, false);
}

bool notices_start(struct broker *broker)
{
    broker->notices = calloc(1, sizeof *broker->notices);
    return broker->notices != NULL;
}

void notices_stop(struct broker *broker)
{
    free(broker->notices);
    broker->notices = NULL;
}
