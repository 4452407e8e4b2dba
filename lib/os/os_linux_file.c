/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_file.c -- descriptors: open, read, write, reserve, lock. See os.h.
 *
 * Invariants: each function is one system call repeated while it fails with EINTR, fallocate for
 *       less at once; open is openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, or the same
 *       rules applied component by component where the kernel or a sandbox does not know that call.
 * Threads and locks: none.
 * Happy path: one system call.
 * Failure modes: negative errno; short counts are passed on. What RLIMIT_FSIZE forbids is -EFBIG
 *       and no signal: the kernel is not asked, because it would send SIGXFSZ to the host.
 */
#include "os/os_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/plant.h"

/* More than the kernel transfers at once anyway. */
#define FILE_TRANSFER_MAX ((size_t)1 << 30)
/* The largest folio of a page cache that is no huge page of a large file: an aligned power of two.
 */
#define FILE_FOLIO_MAX_BYTES (UINT64_C(2) << 20)
#define FILE_PIECES_MAX 16
/* Reserved between two signals, however fast they come. Whole pages of any kernel. */
#define FILE_RESERVE_MIN_BYTES (UINT64_C(64) << 10)
/* A concurrent rename on the path makes openat2 give up with EAGAIN; more often than this is not
 * chance. */
#define FILE_RACES_MAX 16

/* Not blocking: a FIFO in place of a file must not hang us; regular files take no notice. */
#define FILE_OPEN_ALWAYS (O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

static int file_open_flags(uint32_t flags)
{
    int os_flags = FILE_OPEN_ALWAYS;
    CLG_ASSERT((flags & (CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE)) != 0);
    CLG_ASSERT((flags & CLG_OS_OPEN_EXCLUSIVE) == 0 || (flags & CLG_OS_OPEN_CREATE) != 0);
    if ((flags & CLG_OS_OPEN_WRITE) == 0) {
        os_flags |= O_RDONLY;
    } else if ((flags & CLG_OS_OPEN_READ) == 0) {
        os_flags |= O_WRONLY;
    } else {
        os_flags |= O_RDWR;
    }
    os_flags |= (flags & CLG_OS_OPEN_CREATE) != 0 ? O_CREAT : 0;
    os_flags |= (flags & CLG_OS_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    os_flags |= (flags & CLG_OS_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    os_flags |= (flags & CLG_OS_OPEN_DIRECTORY) != 0 ? O_DIRECTORY : 0;
    os_flags |= (flags & CLG_OS_OPEN_DIRECT) != 0 ? O_DIRECT : 0;
    return os_flags;
}

int clg_linux_above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) {
        return fd;
    }
    int rc = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    rc = rc >= 0 ? rc : -errno;
    (void)close(fd);
    CLG_ASSERT(rc < 0 || rc > STDERR_FILENO);
    return rc;
}

static int file_openat(int dirfd, const char *name, int os_flags, uint32_t mode)
{
    int fd;
    do {
        fd = openat(dirfd, name, os_flags, (mode_t)mode);
    } while (fd < 0 && errno == EINTR);
    if (fd >= 0) {
        return fd;
    }
    int rc = -errno;
    struct stat st;
    /* O_DIRECTORY on a link says ENOTDIR; a link is ELOOP everywhere else: so it is here. */
    if (rc == -ENOTDIR && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(st.st_mode)) {
        rc = -ELOOP;
    }
    return rc;
}

/* One component of a relative name: not empty, not "..", no slash in it. */
static bool file_component_ok(const char *begin, size_t size)
{
    CLG_ASSERT(begin != NULL);
    return size > 0 && !(size == 2 && begin[0] == '.' && begin[1] == '.');
}

int clg_linux_parent_open(int dirfd, const char *name, const char **leaf)
{
    CLG_ASSERT(dirfd >= 0);
    CLG_ASSERT(name != NULL);
    int at = dirfd;
    for (;;) {
        char component[256];
        const char *slash = strchr(name, '/');
        size_t size = slash != NULL ? (size_t)(slash - name) : strlen(name);
        int rc = size >= sizeof(component)       ? -ENAMETOOLONG
                 : file_component_ok(name, size) ? 0
                                                 : -EINVAL;
        if (rc == 0 && slash == NULL) {
            *leaf = name;
            return at;
        }
        if (rc == 0) {
            memcpy(component, name, size);
            component[size] = '\0';
            rc = file_openat(at, component, FILE_OPEN_ALWAYS | O_RDONLY | O_DIRECTORY, 0);
        }
        clg_linux_parent_close(dirfd, at);
        if (rc < 0) {
            return rc;
        }
        at = rc;
        name += size + 1;
    }
}

void clg_linux_parent_close(int dirfd, int parent)
{
    CLG_ASSERT(parent >= 0);
    if (parent != dirfd) {
        (void)close(parent);
    }
}

int clg_linux_open_dir(const struct commitlog_os *os, const char *path)
{
    (void)os;
    CLG_ASSERT(path != NULL);
    int fd;
    do {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    return fd >= 0 ? clg_linux_above_standard(fd) : -errno;
}

int clg_linux_open_at_walk(int dirfd, const char *name, uint32_t flags, uint32_t mode)
{
    const char *leaf = NULL;
    CLG_ASSERT(name != NULL);
    int parent = clg_linux_parent_open(dirfd, name, &leaf);
    if (parent < 0) {
        return parent;
    }
    CLG_ASSERT(leaf != NULL);
    int fd = file_openat(parent, leaf, file_open_flags(flags), mode);
    clg_linux_parent_close(dirfd, parent);
    return clg_linux_above_standard(fd);
}

int clg_linux_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                      uint32_t mode)
{
    (void)os;
    CLG_ASSERT(dirfd >= 0);
    CLG_ASSERT(name != NULL);
    int os_flags = file_open_flags(flags);
    struct open_how how = {0};
    how.flags = (uint64_t)(uint32_t)os_flags;
    /* openat2 refuses a mode that would have no meaning. */
    how.mode = (flags & CLG_OS_OPEN_CREATE) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    int races = 0;
    for (;;) {
        long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
        if (fd >= 0) {
            return clg_linux_above_standard((int)fd);
        }
        if (errno == ENOSYS || errno == EPERM || errno == E2BIG || errno == ENOTDIR) {
            /* Not known here, or a sandbox that does not know it. EPERM may also be meant, then
             * the walk says it again; of ENOTDIR it tells whether it was a link. */
            return clg_linux_open_at_walk(dirfd, name, flags, mode);
        }
        if (errno == EAGAIN && ++races <= FILE_RACES_MAX) {
            continue;
        }
        if (errno != EINTR) {
            return errno == EXDEV ? -EINVAL : -errno;
        }
    }
}

int clg_linux_close(const struct commitlog_os *os, int fd)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    /* After EINTR the descriptor is gone on Linux; closing again could hit somebody else's. */
    if (close(fd) == 0 || errno == EINTR) {
        return 0;
    }
    return -errno;
}

static int64_t file_pread(int fd, void *buf, size_t size, uint64_t at)
{
    size_t ask = size < FILE_TRANSFER_MAX ? size : FILE_TRANSFER_MAX;
    ssize_t n;
    do {
        n = pread(fd, buf, ask, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? (int64_t)n : -errno;
}

/* The page cache reads a whole folio, of 64 KiB or more, and where one sector of it does not read
 * says so of its other blocks, too: without the folio they are read by themselves. */
int64_t clg_linux_pread(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX);
    int64_t n = file_pread(fd, buf, size, at);
    if (n == -EIO) {
        uint64_t from = at - at % FILE_FOLIO_MAX_BYTES;
        uint64_t bytes = at - from + size + FILE_FOLIO_MAX_BYTES;
        (void)posix_fadvise(fd, (off_t)from, (off_t)bytes, POSIX_FADV_DONTNEED);
        n = file_pread(fd, buf, size, at);
    }
    return n;
}

/* Only on file systems whose answer is known to take cached pages into account: elsewhere fresh
 * data has been reported as a hole (OpenZFS 2.2). */
int64_t clg_linux_next_data(const struct commitlog_os *os, int fd, uint64_t at)
{
    struct clg_os_fs_info info;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX);
    if (clg_linux_fs_info(os, fd, &info) < 0 || info.type == CLG_OS_FS_OTHER || info.network) {
        return (int64_t)at;
    }
    off_t found = lseek(fd, (off_t)at, SEEK_DATA);
    if (found < 0) {
        return errno == ENXIO ? INT64_MAX : (int64_t)at;
    }
    return (int64_t)found;
}

int64_t clg_linux_next_hole(const struct commitlog_os *os, int fd, uint64_t at)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX);
    off_t found = lseek(fd, (off_t)at, SEEK_HOLE);
    return found < 0 ? INT64_MAX : (int64_t)found;
}

static bool file_is_over_limit(uint64_t end)
{
    struct rlimit limit;
    CLG_ASSERT(end > 0);
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           end > limit.rlim_cur;
}

/* To grow a file is limited, not to have one that is larger. */
static bool file_grows_over_limit(int fd, uint64_t end)
{
    struct stat st;
    CLG_ASSERT(fd >= 0);
    return end > 0 && file_is_over_limit(end) && fstat(fd, &st) == 0 && (uint64_t)st.st_size < end;
}

int64_t clg_linux_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                         uint64_t at)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at < INT64_MAX);
    if (file_is_over_limit(at + 1)) { /* up to the limit the kernel writes, and counts short */
        return -EFBIG;
    }
    size_t ask = size < FILE_TRANSFER_MAX ? size : FILE_TRANSFER_MAX;
    ssize_t n;
    do {
        n = pwrite(fd, buf, ask, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? (int64_t)n : -errno;
}

int64_t clg_linux_pwritev(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                          size_t count, uint64_t at)
{
    (void)os;
    struct iovec iov[FILE_PIECES_MAX];
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(pieces != NULL && at < INT64_MAX);
    if (file_is_over_limit(at + 1)) {
        return -EFBIG;
    }
    size_t used = count < FILE_PIECES_MAX ? count : FILE_PIECES_MAX;
    size_t room = FILE_TRANSFER_MAX;
    for (size_t i = 0; i < used; i++) {
        size_t size = pieces[i].size < room ? pieces[i].size : room;
        /* iovec serves reads too, hence not const; pwritev only reads. */
        memcpy(&iov[i].iov_base, &pieces[i].data, sizeof(iov[i].iov_base));
        iov[i].iov_len = size;
        room -= size;
    }
    ssize_t n;
    do {
        n = pwritev(fd, iov, (int)used, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? (int64_t)n : -errno;
}

/* The system call itself, never posix_fallocate: its emulation writes a byte per block under the
 * feet of other writers and reserves nothing on a copy-on-write file.
 * The tmpfs of older kernels undoes all of it when a signal comes meanwhile, and where a timer
 * ticks that would be so each time: after each signal half as much is asked for at once. */
static int file_reserve(int fd, int mode, uint64_t at, uint64_t size)
{
    uint64_t piece = size;
    do {
        uint64_t ask = piece < size ? piece : size;
        if (fallocate(fd, mode, (off_t)at, (off_t)ask) == 0) {
            at += ask;
            size -= ask;
        } else if (errno != EINTR) {
            return -errno;
        } else if (piece > FILE_RESERVE_MIN_BYTES) {
            piece = clg_align_up(piece / 2, FILE_RESERVE_MIN_BYTES);
        }
    } while (size > 0);
    return 0;
}

int clg_linux_fallocate(const struct commitlog_os *os, int fd, enum clg_os_fallocate_mode mode,
                        uint64_t at, uint64_t size)
{
    (void)os;
    static const int modes[] = {
        [CLG_OS_FALLOCATE_EXTEND] = 0,
        [CLG_OS_FALLOCATE_KEEP_SIZE] = FALLOC_FL_KEEP_SIZE,
        [CLG_OS_FALLOCATE_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
        [CLG_OS_FALLOCATE_ZERO] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
    };
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(mode <= CLG_OS_FALLOCATE_ZERO);
    if (mode != CLG_OS_FALLOCATE_PUNCH && file_grows_over_limit(fd, at + size)) {
        return -EFBIG;
    }
    return file_reserve(fd, modes[mode], at, size);
}

int clg_linux_ftruncate(const struct commitlog_os *os, int fd, uint64_t size)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(size <= INT64_MAX);
    if (file_grows_over_limit(fd, size)) {
        return -EFBIG;
    }
    int rc;
    do {
        rc = ftruncate(fd, (off_t)size);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

int clg_linux_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                         bool wait)
{
    (void)os;
    unsigned int flags = SYNC_FILE_RANGE_WRITE;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX && size <= INT64_MAX);
    if (wait) {
        flags |= SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
    }
    int rc;
    do {
        rc = sync_file_range(fd, (off_t)at, (off_t)size, flags);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

int clg_linux_drop_cache(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX && size <= INT64_MAX);
    return -posix_fadvise(fd, (off_t)at, (off_t)size, POSIX_FADV_DONTNEED);
}

int clg_linux_lock_file(const struct commitlog_os *os, int fd, bool exclusive)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    int rc;
    do {
        rc = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    } while (rc < 0 && errno == EINTR);
    if (CLG_PLANTED(LOCK_DROPPED)) {
        struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK};
        (void)flock(fd, LOCK_UN);
        rc = fcntl(fd, F_SETLK, &lock);
    }
    CLG_STATIC_ASSERT(EWOULDBLOCK == EAGAIN, "one name for a lock that is taken");
    return rc == 0 ? 0 : -errno;
}

int clg_linux_unlock_file(const struct commitlog_os *os, int fd)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    return flock(fd, LOCK_UN) == 0 ? 0 : -errno;
}

int clg_linux_memory_file(const struct commitlog_os *os, const char *name, uint64_t size)
{
    CLG_ASSERT(name != NULL);
    CLG_ASSERT(size <= INT64_MAX);
    int fd = memfd_create(name, MFD_CLOEXEC);
    fd = fd >= 0 ? clg_linux_above_standard(fd) : -errno;
    if (fd < 0) {
        return fd;
    }
    int rc = clg_linux_ftruncate(os, fd, size);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}
