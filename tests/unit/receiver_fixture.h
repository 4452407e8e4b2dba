/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * receiver_fixture.h -- one receiver of group "g" on the topic of group_fixture.h.
 *
 * Owns: group and receiver, until close_receiver.
 */
#ifndef TESTS_UNIT_RECEIVER_FIXTURE_H
#define TESTS_UNIT_RECEIVER_FIXTURE_H

#include "unit/group_fixture.h"

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;

static inline int32_t open_receiver_with(const struct commitlog_receiver_options *options)
{
    int32_t rc = commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err);
    return rc == COMMITLOG_OK ? commitlog_receiver_open(group, topic, options, &receiver, &err)
                              : rc;
}

static inline void close_receiver(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    receiver = NULL;
    group = NULL;
}

#endif
