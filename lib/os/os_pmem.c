/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_pmem.c -- persistent memory through libpmem, when it is there at build time. See os.h.
 *
 * Invariants: the only file that sees libpmem.h. persist is called only for ranges that is_pmem
 *       approved: elsewhere flushing CPU caches makes nothing durable.
 * Threads and locks: none.
 * Happy path: is_pmem 1 -> persist, no system call.
 * Failure modes: without libpmem is_pmem is always 0 and persist -EOPNOTSUPP.
 */
#include "os/os_linux.h"

#include <errno.h>

#include "base/invariant.h"

#if defined(CLG_HAVE_PMEM)

#include <libpmem.h>

int clg_pmem_is_pmem(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return pmem_is_pmem(addr, size) != 0 ? 1 : 0;
}

int clg_pmem_persist(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(pmem_is_pmem(addr, size) != 0);
    pmem_persist(addr, size);
    return 0;
}

#else

int clg_pmem_is_pmem(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return 0;
}

int clg_pmem_persist(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return -EOPNOTSUPP;
}

#endif
