/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c -- the public functions of commitlog_fault.h: rules, power, damage, looking inside.
 */
#include "fault/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

uint64_t clg_fault_random(struct commitlog_fault *m)
{
    CLG_ASSERT(m->seed != 0);
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    CLG_ASSERT(m->seed != 0);
    return (m->seed * UINT64_C(0x2545f4914f6cdd1d)) >> 16;
}

struct commitlog_fault *clg_fault_of(const struct commitlog_os *os)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(os->ctx != NULL);
    return os->ctx;
}

int clg_fault_enter(struct commitlog_fault *m, uint32_t kind, bool change)
{
    CLG_ASSERT(kind < COMMITLOG_FAULT_KINDS);
    m->counts[kind]++;
    m->counts[COMMITLOG_FAULT_ANY]++;
    if (m->dead) {
        return kind == COMMITLOG_FAULT_ALLOC ? 0 : -EIO;
    }
    if (change) {
        m->changes++;
        if (m->cut_at != 0 && m->changes >= m->cut_at) {
            if (commitlog_fault_clone(m, m->seed, &m->frozen) != COMMITLOG_OK) {
                m->frozen = NULL; /* a later clone says so */
            }
            m->dead = true;
            return -EIO;
        }
    }
    bool same = m->rule_kind == COMMITLOG_FAULT_ANY || m->rule_kind == kind;
    if (!same || m->rule_left == 0) {
        return 0;
    }
    if (m->rule_left > 1) {
        m->rule_left--;
        return 0;
    }
    if (!m->rule_for_ever) {
        m->rule_left = 0;
    }
    CLG_ASSERT(m->rule_errno >= 0);
    return m->rule_errno == 0 ? 1 : -m->rule_errno;
}

void clg_fault_write_back(struct commitlog_fault *m)
{
    CLG_ASSERT(m->inode_count > 0);
    if (clg_fault_random(m) % 8 != 0) {
        return;
    }
    uint32_t at = (uint32_t)(clg_fault_random(m) % m->inode_count);
    struct fault_inode *inode = &m->inodes[at];
    if (!inode->used || inode->tmpfs) {
        return;
    }
    if (inode->is_dir) {
        (void)clg_fault_journal_apply(m, inode, FAULT_JOURNAL_OLDEST);
    } else {
        (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE);
    }
    CLG_ASSERT(m->inodes[0].used);
}

int32_t commitlog_fault_create(uint64_t seed, struct commitlog_fault **out_machine)
{
    if (out_machine == NULL) {
        return COMMITLOG_EINVAL;
    }
    struct commitlog_fault *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return COMMITLOG_ENOMEM;
    }
    m->real = clg_os_default();
    m->seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    m->survival = 50;
    m->sector = FAULT_SECTOR;
    m->free_bytes = UINT64_MAX;
    m->clock_ns = INT64_C(1700000000) * CLG_OS_NS_PER_S;
    m->boot = 1;
    clg_fault_fill_table(m);
    uint32_t root;
    uint32_t shm;
    if (pthread_mutex_init(&m->lock, NULL) != 0 || clg_fault_inode_new(m, true, 0755, &root) < 0 ||
        clg_fault_inode_new(m, true, 01777, &shm) < 0 ||
        clg_fault_dir_change(&m->inodes[root], FAULT_TMPFS_NAME, shm, NULL) < 0 ||
        clg_fault_journal_apply(m, &m->inodes[root], FAULT_JOURNAL_ALL) < 0) {
        commitlog_fault_free(m);
        return COMMITLOG_ENOMEM;
    }
    CLG_ASSERT(root == 0);
    m->inodes[shm].tmpfs = true;
    *out_machine = m;
    return COMMITLOG_OK;
}

void commitlog_fault_free(struct commitlog_fault *machine)
{
    if (machine == NULL) {
        return;
    }
    CLG_ASSERT(machine->inode_count <= machine->inode_room);
    for (uint32_t i = 0; i < machine->inode_count; i++) {
        if (machine->inodes[i].used) {
            clg_fault_inode_free(machine, &machine->inodes[i]);
        }
    }
    commitlog_fault_free(machine->frozen);
    free(machine->inodes);
    free(machine->content);
    CLG_ASSERT(machine->used_bytes == 0);
    (void)pthread_mutex_destroy(&machine->lock);
    free(machine);
}

const struct commitlog_os *commitlog_fault_os(struct commitlog_fault *machine)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(machine->table.ctx == machine);
    return &machine->table;
}

uint64_t commitlog_fault_count(const struct commitlog_fault *machine, uint32_t kind)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(machine->counts[0] >= machine->counts[COMMITLOG_FAULT_READ]);
    return kind < COMMITLOG_FAULT_KINDS ? machine->counts[kind] : 0;
}

uint64_t commitlog_fault_held(const struct commitlog_fault *machine, uint32_t kind)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(kind < COMMITLOG_FAULT_KINDS);
    return kind == COMMITLOG_FAULT_ALLOC  ? machine->held_allocs
           : kind == COMMITLOG_FAULT_OPEN ? machine->held_fds
           : kind == COMMITLOG_FAULT_MAP  ? machine->held_bytes
                                          : 0;
}

int32_t commitlog_fault_fail(struct commitlog_fault *machine, uint32_t kind, uint64_t nth,
                             int32_t os_errno, uint32_t for_ever)
{
    if (machine == NULL || kind >= COMMITLOG_FAULT_KINDS || os_errno < 0) {
        return COMMITLOG_EINVAL;
    }
    (void)pthread_mutex_lock(&machine->lock);
    machine->rule_kind = kind;
    machine->rule_left = nth;
    machine->rule_errno = os_errno;
    machine->rule_for_ever = for_ever != 0;
    CLG_ASSERT(machine->rule_errno >= 0);
    (void)pthread_mutex_unlock(&machine->lock);
    return COMMITLOG_OK;
}

void commitlog_fault_cut_at(struct commitlog_fault *machine, uint64_t nth)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    machine->cut_at = nth == 0 ? 0 : machine->changes + nth;
    CLG_ASSERT(machine->cut_at == 0 || machine->cut_at > machine->changes);
    (void)pthread_mutex_unlock(&machine->lock);
}

uint32_t commitlog_fault_is_dead(const struct commitlog_fault *machine)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(!machine->dead || machine->cut_at != 0);
    return machine->dead ? 1 : 0;
}

uint64_t commitlog_fault_changes(const struct commitlog_fault *machine)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(machine->changes <= machine->counts[COMMITLOG_FAULT_ANY]);
    return machine->changes;
}

static void machine_void_fds(struct commitlog_fault *m)
{
    CLG_ASSERT(m->inodes[0].used);
    for (size_t i = 0; i < FAULT_FDS; i++) {
        m->fds[i].is_void = m->fds[i].used;
    }
    for (uint32_t i = 0; i < m->inode_count; i++) {
        m->inodes[i].handles = 0;
        m->inodes[i].lock_owner = -1;
        m->inodes[i].lock_shared = 0;
    }
    commitlog_fault_free(m->frozen);
    m->frozen = NULL;
    m->dead = false;
    m->cut_at = 0;
    m->rule_left = 0;
    CLG_ASSERT(!m->dead);
}

/* What was in memory only: everything below the directory on tmpfs. */
static void machine_forget_tmpfs(struct commitlog_fault *m)
{
    CLG_ASSERT(m->inode_count > 1);
    for (uint32_t i = 0; i < m->inode_count; i++) {
        struct fault_inode *inode = &m->inodes[i];
        if (inode->used && inode->tmpfs && inode->is_dir) {
            inode->entries.count = 0;
            inode->disk_entries.count = 0;
            inode->journal_count = 0;
        }
    }
    CLG_ASSERT(m->inodes[1].tmpfs);
}

void commitlog_fault_power_cut(struct commitlog_fault *machine)
{
    struct commitlog_fault *m = machine;
    CLG_ASSERT(m != NULL);
    (void)pthread_mutex_lock(&m->lock);
    machine_forget_tmpfs(m);
    for (uint32_t i = 0; i < m->inode_count; i++) {
        struct fault_inode *inode = &m->inodes[i];
        if (!inode->used || inode->tmpfs) {
            continue;
        }
        if (inode->is_dir) {
            (void)clg_fault_journal_apply(m, inode, FAULT_JOURNAL_CHANCE);
            (void)clg_fault_list_copy(&inode->entries, &inode->disk_entries);
        } else {
            (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE);
            (void)clg_fault_reload(m, inode);
        }
    }
    machine_void_fds(m);
    clg_fault_inode_collect(m);
    m->boot++;
    m->clock_ns += CLG_OS_NS_PER_S;
    CLG_ASSERT(!m->dead);
    (void)pthread_mutex_unlock(&m->lock);
}

void commitlog_fault_process_death(struct commitlog_fault *machine)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    machine_void_fds(machine);
    clg_fault_inode_collect(machine);
    CLG_ASSERT(!machine->dead);
    (void)pthread_mutex_unlock(&machine->lock);
}

void commitlog_fault_set_survival(struct commitlog_fault *machine, uint32_t percent)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(percent <= 100);
    machine->survival = percent > 100 ? 100 : percent;
}

void commitlog_fault_set_sector(struct commitlog_fault *machine, uint32_t bytes)
{
    CLG_ASSERT(machine != NULL);
    CLG_ASSERT(bytes == 512 || bytes == 4096);
    machine->sector = bytes == 4096 ? 4096 : FAULT_SECTOR;
}

void commitlog_fault_drop_caches(struct commitlog_fault *machine)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    CLG_ASSERT(machine->inode_count > 0);
    for (uint32_t i = 0; i < machine->inode_count; i++) {
        struct fault_inode *inode = &machine->inodes[i];
        if (inode->used && !inode->is_dir && !inode->tmpfs) {
            (void)clg_fault_sync_file(machine, inode, FAULT_SYNC_REVERT);
        }
    }
    (void)pthread_mutex_unlock(&machine->lock);
}

void commitlog_fault_set_free(struct commitlog_fault *machine, uint64_t bytes)
{
    CLG_ASSERT(machine != NULL);
    (void)pthread_mutex_lock(&machine->lock);
    /* Kept as the size of the disk. */
    machine->free_bytes =
        bytes > UINT64_MAX - machine->used_bytes ? UINT64_MAX : machine->used_bytes + bytes;
    CLG_ASSERT(machine->free_bytes >= machine->used_bytes);
    (void)pthread_mutex_unlock(&machine->lock);
}

static int machine_clone_file(struct commitlog_fault *to, struct fault_inode *copy,
                              const struct fault_inode *inode)
{
    CLG_ASSERT(!inode->is_dir);
    int rc = clg_fault_resize(to, copy, inode->size);
    uint8_t *bytes = malloc(inode->size + 1);
    if (rc >= 0 && bytes != NULL) {
        rc = clg_os_pread_all(to->real, inode->memory_fd, bytes, inode->size, 0);
        if (rc >= 0 && inode->size > 0) {
            rc = clg_os_pwrite_all(to->real, copy->memory_fd, bytes, inode->size, 0);
        }
    }
    free(bytes);
    if (inode->disk_size > 0) {
        copy->disk = malloc(inode->disk_size);
        if (copy->disk == NULL) {
            return -ENOMEM;
        }
        memcpy(copy->disk, inode->disk, inode->disk_size);
        copy->disk_size = inode->disk_size;
    }
    uint64_t sectors = clg_min_u64(copy->lost_room, inode->lost_room);
    if (sectors > 0) {
        memcpy(copy->lost, inode->lost, sectors * sizeof(*copy->lost));
    }
    copy->allocated = inode->allocated;
    to->used_bytes += copy->allocated;
    CLG_ASSERT(copy->size == inode->size || rc < 0);
    return bytes == NULL ? -ENOMEM : rc;
}

static int machine_clone_dir(struct fault_inode *copy, const struct fault_inode *inode)
{
    CLG_ASSERT(inode->is_dir);
    int rc = clg_fault_list_copy(&copy->entries, &inode->entries);
    if (rc >= 0) {
        rc = clg_fault_list_copy(&copy->disk_entries, &inode->disk_entries);
    }
    if (rc >= 0 && inode->journal_count > 0) {
        copy->journal = malloc(inode->journal_count * sizeof(*copy->journal));
        if (copy->journal == NULL) {
            return -ENOMEM;
        }
        memcpy(copy->journal, inode->journal, inode->journal_count * sizeof(*copy->journal));
        copy->journal_count = inode->journal_count;
        copy->journal_room = inode->journal_count;
    }
    CLG_ASSERT(copy->journal_count <= copy->journal_room);
    return rc;
}

/* Inode by inode at the same index, so that all references hold. */
static int machine_clone_inodes(struct commitlog_fault *to, const struct commitlog_fault *from)
{
    CLG_ASSERT(to->inode_count == 0);
    for (uint32_t i = 0; i < from->inode_count; i++) {
        const struct fault_inode *inode = &from->inodes[i];
        uint32_t at;
        int rc = clg_fault_inode_new(to, !inode->used || inode->is_dir, inode->mode, &at);
        if (rc < 0) {
            return rc;
        }
        CLG_ASSERT(at == i);
        to->inodes[at].tmpfs = inode->tmpfs;
        to->inodes[at].number = inode->number;
        to->inodes[at].bad_at = inode->bad_at;
        to->inodes[at].bad_bytes = inode->bad_bytes;
        if (!inode->used) {
            continue; /* an empty directory that nothing names: collected later */
        }
        rc = inode->is_dir ? machine_clone_dir(&to->inodes[at], inode)
                           : machine_clone_file(to, &to->inodes[at], inode);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int32_t commitlog_fault_clone(const struct commitlog_fault *machine, uint64_t seed,
                              struct commitlog_fault **out_machine)
{
    CLG_ASSERT(machine != NULL);
    struct commitlog_fault *m;
    machine = machine->dead ? machine->frozen : machine;
    int32_t code = machine == NULL ? COMMITLOG_ENOMEM : commitlog_fault_create(seed, &m);
    if (code != COMMITLOG_OK) {
        return code;
    }
    for (uint32_t i = 0; i < m->inode_count; i++) {
        clg_fault_inode_free(m, &m->inodes[i]);
    }
    m->inode_count = 0;
    int rc = machine_clone_inodes(m, machine);
    m->survival = machine->survival;
    m->sector = machine->sector;
    m->free_bytes = machine->free_bytes;
    m->clock_ns = machine->clock_ns;
    m->boot = machine->boot;
    m->next_number = machine->next_number;
    if (rc < 0) {
        commitlog_fault_free(m);
        return COMMITLOG_ENOMEM;
    }
    clg_fault_inode_collect(m);
    CLG_ASSERT(m->inode_count == machine->inode_count);
    *out_machine = m;
    return COMMITLOG_OK;
}
