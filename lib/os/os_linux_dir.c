/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_dir.c -- names and file systems: stat, rename, remove, list, probe. See os.h.
 *
 * Invariants: names are resolved from a directory descriptor without following links; renaming with
 *       noreplace never destroys what has the new name, on any file system.
 * Threads and locks: none.
 * Happy path: one system call, between two cheap ones when the name has a directory in it.
 * Failure modes: negative errno; a probe that the file system does not answer is "no".
 */
#include "os/os_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/invariant.h"

#define DIR_MAGIC_EXT 0xef53u
#define DIR_MAGIC_XFS 0x58465342u
#define DIR_MAGIC_BTRFS 0x9123683eu
#define DIR_MAGIC_TMPFS 0x01021994u
#define DIR_STATX_ATTR_DAX 0x00200000u

static const char dir_shm[] = "/dev/shm";

static const uint32_t dir_network_magics[] = {
    0x6969u,     /* NFS */
    0x517bu,     /* SMB */
    0xff534d42u, /* CIFS */
    0xfe534d42u, /* SMB 2 and later */
    0x00c36400u, /* Ceph */
    0x65735546u, /* FUSE: cannot know what is behind it */
    0x01021997u, /* 9P */
    0x5346414fu, /* AFS */
    0x47504653u, /* GPFS */
    0x0bd00bd0u, /* Lustre */
};

static void dir_fill_stat(const struct stat *st, struct clg_os_stat *out)
{
    CLG_ASSERT(st->st_size >= 0);
    CLG_ASSERT(st->st_blocks >= 0);
    out->size_bytes = (uint64_t)st->st_size;
    out->allocated_bytes = (uint64_t)st->st_blocks * 512u;
    out->device = (uint64_t)st->st_dev;
    out->inode = (uint64_t)st->st_ino;
    out->links = (uint64_t)st->st_nlink;
    out->mtime_ns = (int64_t)st->st_mtim.tv_sec * CLG_OS_NS_PER_S + (int64_t)st->st_mtim.tv_nsec;
    out->mode = (uint32_t)st->st_mode & 07777u;
    out->uid = (uint32_t)st->st_uid;
    out->type = S_ISREG(st->st_mode)   ? CLG_OS_FILE
                : S_ISDIR(st->st_mode) ? CLG_OS_DIRECTORY
                : S_ISLNK(st->st_mode) ? CLG_OS_SYMLINK
                                       : CLG_OS_OTHER;
}

int clg_linux_stat_fd(const struct commitlog_os *os, int fd, struct clg_os_stat *out)
{
    (void)os;
    struct stat st;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(out != NULL);
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    dir_fill_stat(&st, out);
    return 0;
}

int clg_linux_stat_at(const struct commitlog_os *os, int dirfd, const char *name,
                      struct clg_os_stat *out)
{
    (void)os;
    struct stat st;
    const char *leaf = NULL;
    CLG_ASSERT(out != NULL);
    int parent = clg_linux_parent_open(dirfd, name, &leaf);
    if (parent < 0) {
        return parent;
    }
    int rc = fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
    clg_linux_parent_close(dirfd, parent);
    if (rc == 0) {
        dir_fill_stat(&st, out);
    }
    return rc;
}

enum clg_os_fs clg_linux_fs_type(uint32_t magic)
{
    switch (magic) {
    case DIR_MAGIC_EXT:
        return CLG_OS_FS_EXT;
    case DIR_MAGIC_XFS:
        return CLG_OS_FS_XFS;
    case DIR_MAGIC_BTRFS:
        return CLG_OS_FS_BTRFS;
    case DIR_MAGIC_TMPFS:
        return CLG_OS_FS_TMPFS;
    default:
        return CLG_OS_FS_OTHER;
    }
}

static bool dir_fs_is_network(uint32_t magic)
{
    for (size_t i = 0; i < sizeof(dir_network_magics) / sizeof(dir_network_magics[0]); i++) {
        if (dir_network_magics[i] == magic) {
            return true;
        }
    }
    return false;
}

int clg_linux_fs_info(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out)
{
    (void)os;
    struct statfs fs;
    struct statx stx;
    int inode_flags = 0;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(out != NULL);
    int rc;
    do {
        rc = fstatfs(fd, &fs);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        return -errno;
    }
    struct clg_os_fs_info info = {0};
    uint32_t magic = (uint32_t)fs.f_type;
    info.type = clg_linux_fs_type(magic);
    info.network = dir_fs_is_network(magic);
    info.magic = magic;
    uint64_t block = fs.f_frsize > 0 ? (uint64_t)fs.f_frsize : (uint64_t)fs.f_bsize;
    info.total_bytes = (uint64_t)fs.f_blocks * block;
    info.free_bytes = (uint64_t)fs.f_bavail * block;
    if (statx(fd, "", AT_EMPTY_PATH, 0, &stx) == 0) {
        info.dax = (stx.stx_attributes & DIR_STATX_ATTR_DAX) != 0;
    }
    if (info.type == CLG_OS_FS_BTRFS && ioctl(fd, FS_IOC_GETFLAGS, &inode_flags) == 0) {
        info.nocow = (inode_flags & FS_NOCOW_FL) != 0;
    }
    *out = info;
    return 0;
}

int clg_linux_set_nocow(const struct commitlog_os *os, int fd)
{
    (void)os;
    int inode_flags = 0;
    CLG_ASSERT(fd >= 0);
    if (ioctl(fd, FS_IOC_GETFLAGS, &inode_flags) < 0) {
        return -errno;
    }
    if ((inode_flags & FS_NOCOW_FL) != 0) {
        return 0;
    }
    inode_flags |= FS_NOCOW_FL;
    CLG_ASSERT((inode_flags & FS_NOCOW_FL) != 0);
    return ioctl(fd, FS_IOC_SETFLAGS, &inode_flags) == 0 ? 0 : -errno;
}

/* A hard link refuses a name that is taken as atomically as RENAME_NOREPLACE does. A crash between
 * the two calls leaves both names on one file, and so does a failure of the second one, which is
 * none of the whole: the file has its new name. Whoever removes temporary names copes with it. */
static int dir_link_noreplace(int from_parent, const char *from, int to_parent, const char *to)
{
    CLG_ASSERT(from != NULL);
    CLG_ASSERT(to != NULL);
    if (linkat(from_parent, from, to_parent, to, 0) < 0) {
        return -errno;
    }
    (void)unlinkat(from_parent, from, 0);
    return 0;
}

static int dir_rename(int from_parent, const char *from, int to_parent, const char *to,
                      bool noreplace)
{
    CLG_ASSERT(from != NULL);
    CLG_ASSERT(to != NULL);
    unsigned int flags = noreplace ? RENAME_NOREPLACE : 0;
    if (!noreplace) {
        return renameat(from_parent, from, to_parent, to) == 0 ? 0 : -errno;
    }
    if (renameat2(from_parent, from, to_parent, to, flags) == 0) {
        return 0;
    }
    if (errno == EINVAL || errno == ENOSYS) {
        return dir_link_noreplace(from_parent, from, to_parent, to);
    }
    return -errno;
}

int clg_linux_rename_at(const struct commitlog_os *os, int from_dirfd, const char *from,
                        int to_dirfd, const char *to, bool noreplace)
{
    (void)os;
    const char *from_leaf = NULL;
    const char *to_leaf = NULL;
    int from_parent = clg_linux_parent_open(from_dirfd, from, &from_leaf);
    if (from_parent < 0) {
        return from_parent;
    }
    int to_parent = clg_linux_parent_open(to_dirfd, to, &to_leaf);
    int rc = to_parent;
    if (to_parent >= 0) {
        CLG_ASSERT(from_leaf != NULL);
        CLG_ASSERT(to_leaf != NULL);
        rc = dir_rename(from_parent, from_leaf, to_parent, to_leaf, noreplace);
        clg_linux_parent_close(to_dirfd, to_parent);
    }
    clg_linux_parent_close(from_dirfd, from_parent);
    return rc;
}

static int dir_remove(int dirfd, const char *name, int flags)
{
    const char *leaf = NULL;
    CLG_ASSERT(name != NULL);
    int parent = clg_linux_parent_open(dirfd, name, &leaf);
    if (parent < 0) {
        return parent;
    }
    CLG_ASSERT(leaf != NULL);
    int rc = unlinkat(parent, leaf, flags) == 0 ? 0 : -errno;
    clg_linux_parent_close(dirfd, parent);
    return rc;
}

int clg_linux_unlink_at(const struct commitlog_os *os, int dirfd, const char *name)
{
    (void)os;
    CLG_ASSERT(dirfd >= 0);
    return dir_remove(dirfd, name, 0);
}

int clg_linux_rmdir_at(const struct commitlog_os *os, int dirfd, const char *name)
{
    (void)os;
    CLG_ASSERT(dirfd >= 0);
    return dir_remove(dirfd, name, AT_REMOVEDIR);
}

int clg_linux_mkdir_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t mode)
{
    (void)os;
    const char *leaf = NULL;
    CLG_ASSERT(name != NULL);
    int parent = clg_linux_parent_open(dirfd, name, &leaf);
    if (parent < 0) {
        return parent;
    }
    CLG_ASSERT(leaf != NULL);
    int rc = mkdirat(parent, leaf, (mode_t)mode) == 0 ? 0 : -errno;
    clg_linux_parent_close(dirfd, parent);
    return rc;
}

int clg_linux_mkdir_path(const struct commitlog_os *os, const char *path, uint32_t mode)
{
    (void)os;
    CLG_ASSERT(path != NULL);
    CLG_ASSERT((mode & ~07777u) == 0);
    return mkdir(path, (mode_t)mode) == 0 ? 0 : -errno;
}

static enum clg_os_type dir_entry_type(int fd, const struct dirent *entry)
{
    struct stat st;
    struct clg_os_stat out = {0};
    CLG_ASSERT(fd >= 0);
    switch (entry->d_type) {
    case DT_REG:
        return CLG_OS_FILE;
    case DT_DIR:
        return CLG_OS_DIRECTORY;
    case DT_LNK:
        return CLG_OS_SYMLINK;
    case DT_UNKNOWN:
        break; /* some file systems do not say */
    default:
        return CLG_OS_OTHER;
    }
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return CLG_OS_OTHER;
    }
    dir_fill_stat(&st, &out);
    return out.type;
}

int clg_linux_list_dir(const struct commitlog_os *os, int dirfd, clg_os_list_fn fn, void *fn_ctx)
{
    (void)os;
    CLG_ASSERT(dirfd >= 0);
    CLG_ASSERT(fn != NULL);
    /* A description of its own: reading moves an offset that a duplicate would share. */
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    int rc = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            rc = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            rc = fn(fn_ctx, entry->d_name, dir_entry_type(fd, entry));
        }
    }
    (void)closedir(dir);
    return rc;
}

int clg_linux_tmpfs_dir(const struct commitlog_os *os, char *path, size_t path_size)
{
    (void)os;
    struct statfs fs;
    CLG_ASSERT(path != NULL);
    CLG_ASSERT(path_size > 0);
    if (statfs(dir_shm, &fs) < 0 || (uint32_t)fs.f_type != DIR_MAGIC_TMPFS ||
        access(dir_shm, W_OK | X_OK) < 0) {
        return -ENOENT;
    }
    if (path_size < sizeof(dir_shm)) {
        return -ENAMETOOLONG;
    }
    memcpy(path, dir_shm, sizeof(dir_shm));
    return 0;
}
