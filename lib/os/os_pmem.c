/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_pmem.c -- persistent memory through libpmem, when it is there at build time. See os.h.
 *
 * Invariants: the only file that sees libpmem.h. persist is called only for maps with the flag
 *       CLG_OS_MAP_SYNC. libpmem is never asked whether a map is persistent: of one that it did
 *       not make it says so only where PMEM_IS_PMEM_FORCE tells it to, which is on an ordinary
 *       disk, where flushing CPU caches makes nothing durable.
 * Threads and locks: none.
 * Happy path: persist, no system call.
 * Failure modes: without libpmem persist is -EOPNOTSUPP.
 */
#include "os/os_linux.h"

#include <errno.h>

#include "base/invariant.h"

#if defined(CLG_HAVE_PMEM)

#include <libpmem.h>

int clg_pmem_persist(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    pmem_persist(addr, size);
    return 0;
}

#else

int clg_pmem_persist(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return -EOPNOTSUPP;
}

#endif
