/* SPDX-License-Identifier: BSD-2-Clause */
/* assign.c -- the public function: checks, work memory, one of the strategies. See assign.h. */
#include "group/assign.h"

#include "base/error.h"
#include "base/invariant.h"
#include "os/os.h"

CLG_STATIC_ASSERT(CLG_MEMBERS_MAX == COMMITLOG_GROUP_MEMBERS_MAX, "as commitlog.h says");

typedef void (*assign_strategy)(const struct clg_assignment *assignment, uint32_t *out);

static const assign_strategy assign_strategies[] = {
    [COMMITLOG_ASSIGN_AVERAGE] = clg_assign_average,
    [COMMITLOG_ASSIGN_CIRCLE] = clg_assign_circle,
    [COMMITLOG_ASSIGN_CONSISTENT_HASH] = clg_assign_hash,
    [COMMITLOG_ASSIGN_STICKY] = clg_assign_sticky,
};
#define ASSIGN_STRATEGIES (sizeof(assign_strategies) / sizeof(assign_strategies[0]))

static int assign_check_counts(const struct clg_assignment *assignment, struct commitlog_error *err)
{
    if (assignment->member_count == 0 || assignment->queue_count == 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "%u queues for %u members: there must be some of both",
                        assignment->queue_count, assignment->member_count);
    }
    if (assignment->member_count > CLG_MEMBERS_MAX ||
        assignment->queue_count > COMMITLOG_TOPIC_QUEUES_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "%u queues for %u members: at most %u and %u", assignment->queue_count,
                        assignment->member_count, (unsigned)COMMITLOG_TOPIC_QUEUES_MAX,
                        CLG_MEMBERS_MAX);
    }
    return COMMITLOG_OK;
}

static int assign_check_members(const struct clg_assignment *assignment,
                                struct commitlog_error *err)
{
    for (uint32_t i = 0; i < assignment->member_count; i++) {
        const struct commitlog_slice *id = &assignment->members[i];
        if (id->data == NULL || id->bytes == 0 || id->bytes > CLG_MEMBER_ID_MAX) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                            "the id of member %u has %zu bytes%s: 1 to %u", i, id->bytes,
                            id->data == NULL ? " at NULL" : "", CLG_MEMBER_ID_MAX);
        }
    }
    return COMMITLOG_OK;
}

static int assign_check_previous(const struct clg_assignment *assignment,
                                 struct commitlog_error *err)
{
    for (uint32_t queue = 0; assignment->previous != NULL && queue < assignment->queue_count;
         queue++) {
        uint32_t member = assignment->previous[queue];
        if (member != CLG_MEMBER_NONE && member >= assignment->member_count) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                            "queue %u was member %u's, of %u members", queue, member,
                            assignment->member_count);
        }
    }
    return COMMITLOG_OK;
}

/* Orders the members in the memory given, then assigns. */
static int assign_run(uint32_t strategy, const struct clg_assignment *assignment, uint32_t *out,
                      struct commitlog_error *err)
{
    uint32_t first = 0;
    uint32_t twice = 0;
    if (!clg_members_order(assignment, &first, &twice)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "members %u and %u have the same id", first, twice);
    }
    assign_strategies[strategy](assignment, out);
    return COMMITLOG_OK;
}

int32_t commitlog_assign(uint32_t strategy, const struct commitlog_slice *members,
                         uint32_t member_count, uint32_t queue_count, const uint32_t *previous,
                         uint32_t *out_member_of_queue, struct commitlog_error *err)
{
    struct clg_assignment assignment = {
        .members = members, .member_count = member_count, .queue_count = queue_count};
    if (strategy >= ASSIGN_STRATEGIES) {
        return clg_fail(err, COMMITLOG_EUNSUPPORTED, 0, CLG_NO_POSITION,
                        "this library has no strategy %u", strategy);
    }
    if (members == NULL || out_member_of_queue == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "members or the result is NULL");
    }
    assignment.previous = strategy == COMMITLOG_ASSIGN_STICKY ? previous : NULL;
    int rc = assign_check_counts(&assignment, err);
    rc = rc != COMMITLOG_OK ? rc : assign_check_members(&assignment, err);
    rc = rc != COMMITLOG_OK ? rc : assign_check_previous(&assignment, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    size_t ring_words = strategy == COMMITLOG_ASSIGN_CONSISTENT_HASH
                            ? (size_t)2 * CLG_RING_POINTS * member_count
                            : 0;
    const struct commitlog_os *os = clg_os_default();
    uint64_t *memory = clg_os_alloc_array(os, ring_words + member_count, sizeof(*memory));
    if (memory == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION,
                        "no memory to assign queues to %u members", member_count);
    }
    assignment.ring = memory;
    assignment.order = (uint32_t *)(memory + ring_words);
    assignment.spare = assignment.order + member_count;
    rc = assign_run(strategy, &assignment, out_member_of_queue, err);
    os->free(os, memory);
    return rc;
}
