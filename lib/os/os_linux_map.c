/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_map.c -- mappings: one, twice in a row, advice, locked pages. See os.h.
 *
 * Invariants: addresses and sizes are whole pages; the doubled map reserves its whole range first,
 *       so that MAP_FIXED can only replace what is ours.
 * Threads and locks: none.
 * Happy path: one mmap.
 * Failure modes: negative errno; a doubled map that fails half way leaves nothing mapped.
 */
#include "os/os_linux.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/invariant.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x080000
#endif

static int map_prot(uint32_t prot)
{
    int os_prot = PROT_NONE;
    CLG_ASSERT((prot & ~(uint32_t)(CLG_OS_PROT_READ | CLG_OS_PROT_WRITE)) == 0);
    os_prot |= (prot & CLG_OS_PROT_READ) != 0 ? PROT_READ : 0;
    os_prot |= (prot & CLG_OS_PROT_WRITE) != 0 ? PROT_WRITE : 0;
    return os_prot;
}

static int map_flags(uint32_t flags)
{
    int os_flags = 0;
    CLG_ASSERT(((flags & CLG_OS_MAP_SHARED) != 0) != ((flags & CLG_OS_MAP_PRIVATE) != 0));
    CLG_ASSERT((flags & CLG_OS_MAP_SYNC) == 0 || (flags & CLG_OS_MAP_SHARED) != 0);
    if ((flags & CLG_OS_MAP_SYNC) != 0) {
        /* Plain MAP_SHARED would ignore the flag it does not understand. */
        os_flags |= MAP_SHARED_VALIDATE | MAP_SYNC;
    } else {
        os_flags |= (flags & CLG_OS_MAP_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE;
    }
    os_flags |= (flags & CLG_OS_MAP_ANONYMOUS) != 0 ? MAP_ANONYMOUS : 0;
    os_flags |= (flags & CLG_OS_MAP_NORESERVE) != 0 ? MAP_NORESERVE : 0;
    os_flags |= (flags & CLG_OS_MAP_POPULATE) != 0 ? MAP_POPULATE : 0;
    return os_flags;
}

int clg_linux_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                  uint32_t flags, void **out)
{
    (void)os;
    CLG_ASSERT(size > 0);
    CLG_ASSERT(out != NULL);
    int use_fd = (flags & CLG_OS_MAP_ANONYMOUS) != 0 ? -1 : fd;
    void *addr = mmap(NULL, size, map_prot(prot), map_flags(flags), use_fd, (off_t)at);
    if (addr == MAP_FAILED) {
        return -errno;
    }
    *out = addr;
    return 0;
}

int clg_linux_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                        uint32_t prot, void **out)
{
    (void)os;
    CLG_ASSERT(size > 0 && fd >= 0);
    CLG_ASSERT(out != NULL);
    if (size > SIZE_MAX / 2) {
        return -EINVAL;
    }
    void *base =
        mmap(NULL, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return -errno;
    }
    for (size_t half = 0; half < 2; half++) {
        void *want = clg_at(base, half * size);
        void *got = mmap(want, size, map_prot(prot), MAP_SHARED | MAP_FIXED, fd, (off_t)at);
        if (got == MAP_FAILED) {
            int rc = -errno;
            (void)munmap(base, size * 2);
            return rc;
        }
        CLG_ASSERT(got == want);
    }
    *out = base;
    return 0;
}

int clg_linux_unmap(const struct commitlog_os *os, void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return munmap(addr, size) == 0 ? 0 : -errno;
}

int clg_linux_protect(const struct commitlog_os *os, void *addr, size_t size, uint32_t prot)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return mprotect(addr, size, map_prot(prot)) == 0 ? 0 : -errno;
}

int clg_linux_advise(const struct commitlog_os *os, void *addr, size_t size,
                     enum clg_os_advice advice)
{
    (void)os;
    static const int advices[] = {
        [CLG_OS_ADVISE_POPULATE_READ] = MADV_POPULATE_READ,
        [CLG_OS_ADVISE_POPULATE_WRITE] = MADV_POPULATE_WRITE,
        [CLG_OS_ADVISE_DONTFORK] = MADV_DONTFORK,
        [CLG_OS_ADVISE_WIPEONFORK] = MADV_WIPEONFORK,
        [CLG_OS_ADVISE_DONTNEED] = MADV_DONTNEED,
        [CLG_OS_ADVISE_WILLNEED] = MADV_WILLNEED,
        [CLG_OS_ADVISE_SEQUENTIAL] = MADV_SEQUENTIAL,
        [CLG_OS_ADVISE_RANDOM] = MADV_RANDOM,
        [CLG_OS_ADVISE_DONTDUMP] = MADV_DONTDUMP,
        [CLG_OS_ADVISE_HUGE] = MADV_HUGEPAGE,
    };
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(advice <= CLG_OS_ADVISE_HUGE);
    int rc;
    do {
        rc = madvise(addr, size, advices[advice]);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

int clg_linux_lock_pages(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    /* Half of what there is: more than all of it would be no error but the end of the process. */
    if (size > clg_linux_group_room() / 2) {
        return -ENOMEM;
    }
    return mlock(addr, size) == 0 ? 0 : -errno;
}

int clg_linux_unlock_pages(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    CLG_ASSERT(addr != NULL);
    CLG_ASSERT(size > 0);
    return munlock(addr, size) == 0 ? 0 : -errno;
}
