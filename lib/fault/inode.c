/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inode.c -- files with two contents and directories with a journal. See machine.h.
 */
#include "fault/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/invariant.h"

#define FAULT_PIECE 32768u

int clg_fault_inode_new(struct commitlog_fault *m, bool is_dir, uint32_t mode, uint32_t *out)
{
    uint32_t at = 0;
    CLG_ASSERT(out != NULL);
    while (at < m->inode_count && m->inodes[at].used) {
        at++;
    }
    if (at == m->inode_room) {
        uint32_t room = m->inode_room == 0 ? 64 : m->inode_room * 2;
        struct fault_inode *grown = realloc(m->inodes, room * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        m->inodes = grown;
        m->inode_room = room;
    }
    struct fault_inode *inode = &m->inodes[at];
    memset(inode, 0, sizeof(*inode));
    inode->memory_fd = -1;
    inode->lock_owner = -1;
    if (!is_dir) {
        int fd = m->real->memory_file(m->real, "fault", 0);
        if (fd < 0) {
            return fd;
        }
        inode->memory_fd = fd;
    }
    inode->used = true;
    inode->is_dir = is_dir;
    inode->mode = mode;
    inode->number = ++m->next_number;
    if (at == m->inode_count) {
        m->inode_count++;
    }
    *out = at;
    CLG_ASSERT(m->inode_count <= m->inode_room);
    return 0;
}

void clg_fault_inode_free(struct commitlog_fault *m, struct fault_inode *inode)
{
    CLG_ASSERT(inode->used);
    CLG_ASSERT(m->used_bytes >= inode->allocated);
    m->used_bytes -= inode->allocated;
    if (inode->memory_fd >= 0) {
        (void)m->real->close(m->real, inode->memory_fd);
    }
    free(inode->disk);
    free(inode->lost);
    free(inode->entries.items);
    free(inode->disk_entries.items);
    free(inode->journal);
    memset(inode, 0, sizeof(*inode));
    inode->memory_fd = -1;
}

static bool inode_in_list(const struct fault_list *list, uint32_t index)
{
    CLG_ASSERT(list->count <= list->room);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].inode == index) {
            return true;
        }
    }
    CLG_ASSERT(list->items != NULL || list->count == 0);
    return false;
}

/* Named by any directory, in any content or in a journal; or open. */
static bool inode_is_wanted(const struct commitlog_fault *m, uint32_t index)
{
    CLG_ASSERT(index < m->inode_count);
    if (index == 0 || m->inodes[index].handles > 0) {
        return true;
    }
    for (uint32_t i = 0; i < m->inode_count; i++) {
        const struct fault_inode *dir = &m->inodes[i];
        if (!dir->used || !dir->is_dir) {
            continue;
        }
        if (inode_in_list(&dir->entries, index) || inode_in_list(&dir->disk_entries, index)) {
            return true;
        }
        for (size_t j = 0; j < dir->journal_count; j++) {
            if (dir->journal[j].entry.name[0] != '\0' && dir->journal[j].entry.inode == index) {
                return true;
            }
        }
    }
    CLG_ASSERT(m->inodes[index].handles == 0);
    return false;
}

void clg_fault_inode_collect(struct commitlog_fault *m)
{
    CLG_ASSERT(m->inode_count > 0);
    for (uint32_t i = 1; i < m->inode_count; i++) {
        if (m->inodes[i].used && !inode_is_wanted(m, i)) {
            clg_fault_inode_free(m, &m->inodes[i]);
        }
    }
    CLG_ASSERT(m->inodes[0].used);
}

int clg_fault_allocate(struct commitlog_fault *m, struct fault_inode *inode, uint64_t bytes)
{
    CLG_ASSERT(!inode->is_dir);
    uint64_t wanted = clg_align_up(bytes, 4096);
    if (inode->tmpfs || wanted <= inode->allocated) {
        return 0;
    }
    uint64_t more = wanted - inode->allocated;
    if (m->free_bytes != UINT64_MAX &&
        (m->used_bytes > m->free_bytes || more > m->free_bytes - m->used_bytes)) {
        return -ENOSPC;
    }
    inode->allocated = wanted;
    m->used_bytes += more;
    CLG_ASSERT(m->used_bytes >= inode->allocated);
    return 0;
}

int clg_fault_resize(struct commitlog_fault *m, struct fault_inode *inode, uint64_t size)
{
    CLG_ASSERT(!inode->is_dir);
    uint64_t sectors = (size + FAULT_SECTOR - 1) / FAULT_SECTOR;
    if (sectors > inode->lost_room) {
        uint64_t *grown = realloc(inode->lost, sectors * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        memset(grown + inode->lost_room, 0, (sectors - inode->lost_room) * sizeof(*grown));
        inode->lost = grown;
        inode->lost_room = sectors;
    }
    int rc = m->real->ftruncate(m->real, inode->memory_fd, size);
    if (rc >= 0) {
        inode->size = size;
    }
    CLG_ASSERT(inode->lost_room >= sectors);
    return rc;
}

void clg_fault_touch(struct fault_inode *inode, uint64_t at, uint64_t size)
{
    CLG_ASSERT(!inode->is_dir);
    CLG_ASSERT(at + size <= inode->size);
    for (uint64_t i = at / FAULT_SECTOR; size > 0 && i <= (at + size - 1) / FAULT_SECTOR; i++) {
        inode->lost[i] = 0;
    }
}

bool clg_fault_has_lost(const struct fault_inode *inode, uint64_t at, uint64_t size)
{
    bool lost = false;
    CLG_ASSERT(!inode->is_dir);
    CLG_ASSERT(at + size <= inode->size);
    for (uint64_t i = at / FAULT_SECTOR; size > 0 && i <= (at + size - 1) / FAULT_SECTOR; i++) {
        lost = lost || inode->lost[i] != 0;
    }
    return lost;
}

int clg_fault_grow_disk(struct fault_inode *inode, uint64_t size)
{
    CLG_ASSERT(!inode->is_dir);
    if (size <= inode->disk_size) {
        return 0;
    }
    uint8_t *grown = realloc(inode->disk, size);
    if (grown == NULL) {
        return -ENOMEM;
    }
    memset(grown + inode->disk_size, 0, size - inode->disk_size);
    inode->disk = grown;
    inode->disk_size = size;
    CLG_ASSERT(inode->disk != NULL);
    return 0;
}

/* A sector that a failed sync has lost is clean to the kernel until it is written again, which
 * through a map is seen by its content only. */
static bool inode_is_lost(uint64_t *lost, const uint8_t *seen, uint64_t bytes)
{
    CLG_ASSERT(bytes <= FAULT_SECTOR);
    if (*lost != 0 && *lost != (clg_hash64(seen, bytes, 0) | 1)) {
        *lost = 0;
    }
    CLG_ASSERT(seen != NULL);
    return *lost != 0;
}

/* One unit of a file: `seen` is what programs see of it. What goes by chance goes as a whole. */
static int inode_sync_unit(struct commitlog_fault *m, struct fault_inode *inode, uint64_t at,
                           const uint8_t *seen, uint64_t bytes, enum fault_sync how)
{
    int goes = how == FAULT_SYNC_ALL ? 1 : how == FAULT_SYNC_CHANCE ? -1 : 0;
    int rc = 0;
    CLG_ASSERT(at + bytes <= inode->size);
    CLG_ASSERT(at + bytes <= inode->disk_size);
    for (uint64_t i = 0; rc >= 0 && i < bytes; i += FAULT_SECTOR) {
        uint64_t *lost = &inode->lost[(at + i) / FAULT_SECTOR];
        uint64_t part = clg_min_u64(FAULT_SECTOR, bytes - i);
        if (memcmp(seen + i, inode->disk + at + i, part) == 0) {
            *lost = 0;
        } else if (inode_is_lost(lost, seen + i, part)) {
            if (how == FAULT_SYNC_REVERT) {
                *lost = 0;
                rc = clg_os_pwrite_all(m->real, inode->memory_fd, inode->disk + at + i, part,
                                       at + i);
            }
        } else if (how == FAULT_SYNC_FAILED) {
            *lost = clg_hash64(seen + i, part, 0) | 1;
        } else {
            goes = goes < 0 ? clg_fault_random(m) % 100 < m->survival : goes;
            if (goes > 0) {
                memcpy(inode->disk + at + i, seen + i, part);
            }
        }
    }
    return rc;
}

/* Sizes travel with the first sector that does: as metadata of the same journal would. */
int clg_fault_sync_file(struct commitlog_fault *m, struct fault_inode *inode, enum fault_sync how)
{
    CLG_ASSERT(!inode->is_dir);
    bool all = how == FAULT_SYNC_ALL;
    bool size_goes = all || (how == FAULT_SYNC_CHANCE && clg_fault_random(m) % 100 < m->survival);
    if (size_goes && clg_fault_grow_disk(inode, inode->size) < 0) {
        return -ENOMEM;
    }
    if (size_goes) { /* a file that was cut, too */
        inode->disk_size = inode->size;
    }
    uint64_t unit = how == FAULT_SYNC_CHANCE ? m->sector : FAULT_SECTOR;
    uint64_t end = clg_min_u64(inode->size, inode->disk_size);
    CLG_ASSERT(unit % FAULT_SECTOR == 0 && FAULT_PIECE % unit == 0);
    uint8_t buffer[FAULT_PIECE];
    int rc = 0;
    for (uint64_t at = 0; rc >= 0 && at < end; at += FAULT_PIECE) {
        uint64_t bytes = clg_min_u64(FAULT_PIECE, end - at);
        rc = clg_os_pread_all(m->real, inode->memory_fd, buffer, bytes, at);
        for (uint64_t i = 0; rc >= 0 && i < bytes; i += unit) {
            rc = inode_sync_unit(m, inode, at + i, buffer + i, clg_min_u64(unit, bytes - i), how);
        }
    }
    return rc;
}

/* After a power cut: programs see what the disk has, in other memory than before: who has mapped
 * the old one is of the boot before. */
int clg_fault_reload(struct commitlog_fault *m, struct fault_inode *inode)
{
    CLG_ASSERT(!inode->is_dir);
    int rc = m->real->memory_file(m->real, "fault", 0);
    if (rc >= 0) {
        (void)m->real->close(m->real, inode->memory_fd);
        inode->memory_fd = rc;
        rc = clg_fault_resize(m, inode, inode->disk_size);
    }
    if (rc >= 0 && inode->disk_size > 0) {
        rc = clg_os_pwrite_all(m->real, inode->memory_fd, inode->disk, inode->disk_size, 0);
        memset(inode->lost, 0, inode->lost_room * sizeof(*inode->lost));
    }
    inode->handles = 0;
    inode->lock_owner = -1;
    inode->lock_shared = 0;
    CLG_ASSERT(rc < 0 || inode->size == inode->disk_size);
    return rc;
}

const struct fault_entry *clg_fault_list_find(const struct fault_list *list, const char *name)
{
    CLG_ASSERT(name != NULL);
    CLG_ASSERT(list->count <= list->room);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

void clg_fault_list_remove(struct fault_list *list, const char *name)
{
    CLG_ASSERT(name != NULL);
    CLG_ASSERT(list->count <= list->room);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            memmove(&list->items[i], &list->items[i + 1],
                    (list->count - i - 1) * sizeof(*list->items));
            list->count--;
            return;
        }
    }
}

int clg_fault_list_set(struct fault_list *list, const char *name, uint32_t inode)
{
    CLG_ASSERT(strlen(name) <= FAULT_NAME_MAX);
    clg_fault_list_remove(list, name);
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 16 : list->room * 2;
        struct fault_entry *grown = realloc(list->items, room * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        list->items = grown;
        list->room = room;
    }
    struct fault_entry *entry = &list->items[list->count++];
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->name, name, strlen(name));
    entry->inode = inode;
    CLG_ASSERT(list->count <= list->room);
    return 0;
}

int clg_fault_list_copy(struct fault_list *to, const struct fault_list *from)
{
    CLG_ASSERT(to != from);
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        int rc = clg_fault_list_set(to, from->items[i].name, from->items[i].inode);
        if (rc < 0) {
            return rc;
        }
    }
    CLG_ASSERT(to->count == from->count);
    return 0;
}

int clg_fault_dir_change(struct fault_inode *dir, const char *name, uint32_t inode,
                         const char *removed)
{
    CLG_ASSERT(dir->is_dir);
    CLG_ASSERT(name != NULL || removed != NULL);
    if (dir->journal_count == dir->journal_room) {
        size_t room = dir->journal_room == 0 ? 16 : dir->journal_room * 2;
        struct fault_change *grown = realloc(dir->journal, room * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        dir->journal = grown;
        dir->journal_room = room;
    }
    struct fault_change *change = &dir->journal[dir->journal_count++];
    memset(change, 0, sizeof(*change));
    if (removed != NULL) {
        memcpy(change->removed, removed, strlen(removed));
        clg_fault_list_remove(&dir->entries, removed);
    }
    if (name == NULL) {
        return 0;
    }
    memcpy(change->entry.name, name, strlen(name));
    change->entry.inode = inode;
    return clg_fault_list_set(&dir->entries, name, inode);
}

int clg_fault_journal_apply(struct commitlog_fault *m, struct fault_inode *dir,
                            enum fault_journal how)
{
    CLG_ASSERT(dir->is_dir);
    size_t done = 0;
    while (done < dir->journal_count && (how != FAULT_JOURNAL_OLDEST || done == 0)) {
        const struct fault_change *change = &dir->journal[done];
        bool survives = how != FAULT_JOURNAL_CHANCE || clg_fault_random(m) % 100 < m->survival;
        done++;
        if (!survives) {
            continue;
        }
        if (change->removed[0] != '\0') {
            clg_fault_list_remove(&dir->disk_entries, change->removed);
        }
        if (change->entry.name[0] != '\0') {
            int rc =
                clg_fault_list_set(&dir->disk_entries, change->entry.name, change->entry.inode);
            if (rc < 0) {
                return rc;
            }
        }
    }
    dir->journal_count -= done;
    if (dir->journal_count > 0) {
        memmove(dir->journal, dir->journal + done, dir->journal_count * sizeof(*dir->journal));
    }
    CLG_ASSERT(how == FAULT_JOURNAL_OLDEST || dir->journal_count == 0);
    return 0;
}
