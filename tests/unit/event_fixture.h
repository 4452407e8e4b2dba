/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event_fixture.h -- whether a store's eventfd has been signalled since it was asked last.
 *
 * Owns: nothing; the descriptor is the store's.
 */
#ifndef TESTS_UNIT_EVENT_FIXTURE_H
#define TESTS_UNIT_EVENT_FIXTURE_H

#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static int32_t event_fd;

static inline bool event_is_signalled(void)
{
    struct pollfd ask = {.fd = event_fd, .events = POLLIN};
    uint64_t value = 0;
    const bool signalled = poll(&ask, 1, 0) == 1;
    if (signalled) {
        ck_assert_int_eq(read(event_fd, &value, sizeof(value)), (ssize_t)sizeof(value));
    }
    return signalled;
}

#endif
