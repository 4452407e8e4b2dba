/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * each_call_fixture.h -- a life of a store, begun again and again until no call of a kind is left
 * that has not failed in it, once and for ever; then the process dies or the power goes, and the
 * store is opened on a healthy machine.
 *
 * Owns: what fault_fixture.h owns. A life keeps what it did in variables of its test.
 */
#ifndef TESTS_UNIT_EACH_CALL_FIXTURE_H
#define TESTS_UNIT_EACH_CALL_FIXTURE_H

#include <stdio.h>

#include "unit/fault_fixture.h"

struct each_call {
    void (*live)(void);
    void (*leave)(void); /* closes what the life has open beside the store; NULL: nothing */
    /* Before the store is opened again: the nth call had failed; NULL: nothing. */
    void (*before)(uint64_t nth);
    /* The store is open. Complete: nothing failed, so all of it was done. */
    void (*check)(bool complete);
};

static const struct {
    uint32_t kind;
    int32_t os_errno;
} each_call_faults[] = {{COMMITLOG_FAULT_ALLOC, ENOMEM},    {COMMITLOG_FAULT_OPEN, EMFILE},
                        {COMMITLOG_FAULT_READ, EIO},        {COMMITLOG_FAULT_WRITE, EIO},
                        {COMMITLOG_FAULT_WRITE, ENOSPC},    {COMMITLOG_FAULT_SYNC, EIO},
                        {COMMITLOG_FAULT_SYNC_DIR, EIO},    {COMMITLOG_FAULT_RENAME, EIO},
                        {COMMITLOG_FAULT_MAKE, ENOSPC},     {COMMITLOG_FAULT_MAP, ENOMEM},
                        {COMMITLOG_FAULT_LOCK, EIO},        {COMMITLOG_FAULT_STAT, EIO},
                        {COMMITLOG_FAULT_ALLOCATE, ENOSPC}, {COMMITLOG_FAULT_UNLINK, EIO}};

/* The cases of a loop test: two for each kind. */
enum {
    EACH_CALL_CASES = 2 * sizeof(each_call_faults) / sizeof(each_call_faults[0]),
    EACH_CALL_CASES_WITHOUT_FILES = EACH_CALL_CASES - 4
};

/* What a call may return of which a call of lib/os has failed as in this case, or did before. */
static inline bool each_call_explains(int number, int32_t rc)
{
    const uint32_t kind = each_call_faults[number / 2].kind;
    const bool writes = kind == COMMITLOG_FAULT_WRITE || kind == COMMITLOG_FAULT_SYNC ||
                        kind == COMMITLOG_FAULT_SYNC_DIR;
    switch (rc) {
    case COMMITLOG_ENOMEM:
        return each_call_faults[number / 2].os_errno == ENOMEM;
    case COMMITLOG_ELIMIT:
        return kind == COMMITLOG_FAULT_OPEN;
    case COMMITLOG_ENOSPC:
        return each_call_faults[number / 2].os_errno == ENOSPC;
    case COMMITLOG_EIO:
        return each_call_faults[number / 2].os_errno == EIO;
    case COMMITLOG_EFAILED:
    case COMMITLOG_EUNKNOWN:
        return writes;
    default:
        return rc == COMMITLOG_OK;
    }
}

static inline void each_call_gave_back(void)
{
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_OPEN), 0);
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_MAP), 0);
}

static inline void each_call_fails(const struct each_call *calls, int number)
{
    const uint32_t kind = each_call_faults[number / 2].kind;
    const int32_t os_errno = each_call_faults[number / 2].os_errno;
    struct commitlog_fault *base = machine;
    uint64_t struck = 0;
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        struct commitlog_fault *next = NULL; /* as it is then: what closes is not to be seen */
        ck_assert_int_eq(commitlog_fault_clone(base, nth, &machine), 0);
        uint64_t before = commitlog_fault_count(machine, kind);
        (void)commitlog_fault_fail(machine, kind, nth, os_errno, (uint32_t)number % 2);
        calls->live();
        more = commitlog_fault_count(machine, kind) - before >= nth;
        struck += more ? 1 : 0;
        ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
        if (calls->leave != NULL) {
            calls->leave();
        }
        (void)commitlog_close(store, NULL);
        store = NULL;
        each_call_gave_back();
        die_on(next, nth % 3 == 0);
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        if (calls->before != NULL) {
            calls->before(nth);
        }
        ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "call %u: %s",
                      (unsigned)nth, err.message);
        calls->check(!more);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        each_call_gave_back();
        commitlog_fault_free(machine);
    }
    machine = base;
    ck_assert_uint_gt(struck, 0);
    printf("kind %u, errno %d, %s: %u calls failed\n", kind, os_errno,
           number % 2 == 0 ? "once" : "for ever", (unsigned)struck);
}

#endif
