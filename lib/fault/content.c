/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * content.c -- looking at files and spoiling them behind the back of the programs. See machine.h.
 *
 * What is written here is on the disk and in the cache at once, and counts as no call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

static struct fault_inode *content_file(struct commitlog_fault *m, const char *path)
{
    int64_t at = clg_fault_lookup(m, path);
    CLG_ASSERT(at < (int64_t)m->inode_count);
    CLG_ASSERT(path != NULL);
    return at < 0 || m->inodes[at].is_dir ? NULL : &m->inodes[at];
}

int32_t commitlog_fault_flip(struct commitlog_fault *machine, const char *path, uint64_t at,
                             uint32_t mask)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    struct fault_inode *inode = content_file(machine, path);
    int32_t code = COMMITLOG_ENOTFOUND;
    uint8_t byte;
    if (inode != NULL && at < inode->size &&
        clg_os_pread_all(machine->real, inode->memory_fd, &byte, 1, at) >= 0) {
        byte ^= (uint8_t)mask;
        code = clg_os_pwrite_all(machine->real, inode->memory_fd, &byte, 1, at) < 0 ? COMMITLOG_EIO
                                                                                    : COMMITLOG_OK;
        if (at < inode->disk_size) {
            inode->disk[at] ^= (uint8_t)mask;
        }
    }
    CLG_ASSERT(code <= 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return code;
}

int32_t commitlog_fault_bad_range(struct commitlog_fault *machine, const char *path, uint64_t at,
                                  uint64_t bytes)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    struct fault_inode *inode = content_file(machine, path);
    if (inode != NULL) {
        inode->bad_at = at;
        inode->bad_bytes = bytes;
    }
    CLG_ASSERT(machine->inode_count > 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return inode != NULL ? COMMITLOG_OK : COMMITLOG_ENOTFOUND;
}

int32_t commitlog_fault_content(struct commitlog_fault *machine, const char *path,
                                const void **out_data, uint64_t *out_bytes)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    struct fault_inode *inode = content_file(machine, path);
    int32_t code = COMMITLOG_ENOTFOUND;
    if (inode != NULL) {
        uint8_t *grown = realloc(machine->content, inode->size + 1);
        code = COMMITLOG_ENOMEM;
        if (grown != NULL) {
            machine->content = grown;
            code = clg_os_pread_all(machine->real, inode->memory_fd, grown, inode->size, 0) < 0
                       ? COMMITLOG_EIO
                       : COMMITLOG_OK;
        }
        if (code == COMMITLOG_OK) {
            *out_data = grown;
            *out_bytes = inode->size;
        }
    }
    CLG_ASSERT(code <= 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return code;
}

int32_t commitlog_fault_name(struct commitlog_fault *machine, const char *dir_path, uint32_t index,
                             const char **out_name)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(out_name != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    int64_t at = clg_fault_lookup(machine, dir_path);
    int32_t code = COMMITLOG_ENOTFOUND;
    if (at >= 0 && machine->inodes[at].is_dir && index < machine->inodes[at].entries.count) {
        *out_name = machine->inodes[at].entries.items[index].name;
        code = COMMITLOG_OK;
    }
    (void)pthread_mutex_unlock(&machine->lock);
    return code;
}

static int32_t content_code(int rc)
{
    CLG_ASSERT(rc <= 0);
    switch (rc) {
    case 0:
        return COMMITLOG_OK;
    case -ENOSPC:
        return COMMITLOG_ENOSPC;
    case -ENOMEM:
        return COMMITLOG_ENOMEM;
    case -ENOENT:
        return COMMITLOG_ENOTFOUND;
    case -ENOTDIR:
        return COMMITLOG_ENOTDIR;
    case -EISDIR:
    case -ENAMETOOLONG:
        return COMMITLOG_EINVAL;
    default:
        return COMMITLOG_EIO;
    }
}

/* The directory that the last name of a path is in, and that name: index or -errno. */
static int64_t content_parent(struct commitlog_fault *m, const char *path, const char **out_name)
{
    const char *slash = strrchr(path, '/');
    CLG_ASSERT(slash != NULL);
    CLG_ASSERT(out_name != NULL);
    *out_name = slash + 1;
    size_t bytes = (size_t)(slash - path);
    char *parent = malloc(bytes + 1);
    if (parent == NULL) {
        return -ENOMEM;
    }
    memcpy(parent, path, bytes);
    parent[bytes] = '\0';
    int64_t at = clg_fault_lookup(m, parent);
    free(parent);
    if (at >= 0 && !m->inodes[at].is_dir) {
        at = -ENOTDIR;
    }
    return strlen(*out_name) > FAULT_NAME_MAX ? -ENAMETOOLONG : at;
}

/* A file of no bytes, whose name is on the disk. */
static int content_make(struct commitlog_fault *m, const char *path)
{
    const char *name = NULL;
    uint32_t made = 0;
    int64_t parent = content_parent(m, path, &name);
    if (parent < 0) {
        return (int)parent;
    }
    CLG_ASSERT(parent < (int64_t)m->inode_count);
    int rc = clg_fault_inode_new(m, false, 0600, &made);
    if (rc < 0) {
        return rc;
    }
    struct fault_inode *dir = &m->inodes[parent];
    m->inodes[made].tmpfs = dir->tmpfs;
    rc = clg_fault_dir_change(dir, name, made, NULL);
    if (rc >= 0) {
        rc = clg_fault_journal_apply(m, dir, FAULT_JOURNAL_ALL);
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* The file has at least (exact: just) so many bytes in both of its contents. */
static int content_size(struct commitlog_fault *m, struct fault_inode *inode, uint64_t bytes,
                        bool exact)
{
    int rc = clg_fault_allocate(m, inode, bytes);
    CLG_ASSERT(!inode->is_dir);
    if (rc >= 0 && (exact || bytes > inode->size)) {
        rc = clg_fault_resize(m, inode, bytes);
    }
    if (rc >= 0) {
        rc = clg_fault_grow_disk(inode, bytes);
    }
    if (rc >= 0 && exact) {
        inode->disk_size = bytes;
    }
    CLG_ASSERT(rc < 0 || inode->size >= bytes);
    return rc;
}

int32_t commitlog_fault_write(struct commitlog_fault *machine, const char *path, uint64_t at,
                              const void *data, uint64_t bytes)
{
    if (machine == NULL || path == NULL || path[0] != '/' || (data == NULL && bytes > 0) ||
        at > UINT64_MAX / 2 || bytes > UINT64_MAX / 2) {
        return COMMITLOG_EINVAL;
    }
    (void)pthread_mutex_lock(&machine->lock);
    int rc = 0;
    if (clg_fault_lookup(machine, path) < 0) {
        rc = content_make(machine, path);
    }
    struct fault_inode *inode = rc < 0 ? NULL : content_file(machine, path);
    rc = rc >= 0 && inode == NULL ? -EISDIR : rc;
    if (rc >= 0) {
        rc = content_size(machine, inode, at + bytes, false);
    }
    if (rc >= 0 && bytes > 0) {
        rc = clg_os_pwrite_all(machine->real, inode->memory_fd, data, bytes, at);
        memcpy(inode->disk + at, data, bytes);
        clg_fault_touch(inode, at, bytes);
    }
    CLG_ASSERT(rc <= 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return content_code(rc);
}

int32_t commitlog_fault_resize(struct commitlog_fault *machine, const char *path, uint64_t bytes)
{
    if (machine == NULL || path == NULL || bytes > UINT64_MAX / 2) {
        return COMMITLOG_EINVAL;
    }
    (void)pthread_mutex_lock(&machine->lock);
    struct fault_inode *inode = content_file(machine, path);
    int rc = inode == NULL ? -ENOENT : content_size(machine, inode, bytes, true);
    CLG_ASSERT(rc <= 0);
    CLG_ASSERT(rc < 0 || inode->size == bytes);
    (void)pthread_mutex_unlock(&machine->lock);
    return content_code(rc);
}

int32_t commitlog_fault_remove(struct commitlog_fault *machine, const char *path)
{
    if (machine == NULL || path == NULL || path[0] != '/') {
        return COMMITLOG_EINVAL;
    }
    (void)pthread_mutex_lock(&machine->lock);
    const char *name = NULL;
    int64_t parent = content_parent(machine, path, &name);
    int rc = parent < 0 ? (int)parent : content_file(machine, path) == NULL ? -ENOENT : 0;
    if (rc >= 0) {
        CLG_ASSERT(parent < (int64_t)machine->inode_count);
        struct fault_inode *dir = &machine->inodes[parent];
        rc = clg_fault_dir_change(dir, NULL, 0, name);
        if (rc >= 0) {
            rc = clg_fault_journal_apply(machine, dir, FAULT_JOURNAL_ALL);
        }
        clg_fault_inode_collect(machine);
    }
    CLG_ASSERT(rc <= 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return content_code(rc);
}
