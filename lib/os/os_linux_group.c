/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_group.c -- how much memory the control groups of this process leave to be locked.
 *
 * To lock more than a group has is no error: the kernel kills the process. So it is asked before.
 * What counts is what the kernel cannot take back by itself; the page cache it can.
 *
 * Invariants: a group that cannot be seen or read limits nothing; every group above counts too.
 * Threads and locks: none.
 * Happy path: /proc/self/cgroup names the group, three small files of it tell the rest.
 * Failure modes: none; no answer is UINT64_MAX.
 */
#include "os/os_linux.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/invariant.h"

#define GROUP_PATH_MAX 1024
#define GROUP_TEXT_MAX 8192
/* More is what the first version of the interface says for "no limit". */
#define GROUP_LIMIT_MAX (UINT64_C(1) << 62)

struct group_kind {
    const char *root;
    const char *limit;
    const char *rest[3]; /* lines of memory.stat: what stays in memory */
};

static const struct group_kind group_first = {
    "/sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    {"\ntotal_rss ", "\ntotal_shmem ", "\ntotal_unevictable "}};
static const struct group_kind group_second = {
    "/sys/fs/cgroup", "memory.max", {"\nanon ", "\nshmem ", "\nunevictable "}};

static bool group_read(const char *directory, const char *name, char *text, size_t size)
{
    char path[GROUP_PATH_MAX + 64];
    CLG_ASSERT(size > 1);
    text[0] = '\n'; /* every line begins behind one */
    text[1] = '\0';
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    CLG_ASSERT(length > 0);
    return (size_t)length < sizeof(path) && clg_linux_read_text(path, text + 1, size - 1) >= 0;
}

static uint64_t group_number(const char *text, const char *key)
{
    CLG_ASSERT(text != NULL);
    CLG_ASSERT(key != NULL);
    const char *at = strstr(text, key);
    return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

/* Of one group; those above have their own. */
static uint64_t group_room(const struct group_kind *kind, const char *directory)
{
    char text[GROUP_TEXT_MAX];
    CLG_ASSERT(directory[0] == '/');
    if (!group_read(directory, kind->limit, text, sizeof(text)) || text[1] < '0' || text[1] > '9') {
        return UINT64_MAX; /* "max" */
    }
    uint64_t limit = strtoull(text + 1, NULL, 10);
    if (limit >= GROUP_LIMIT_MAX || !group_read(directory, "memory.stat", text, sizeof(text))) {
        return UINT64_MAX;
    }
    uint64_t used = 0;
    for (size_t i = 0; i < sizeof(kind->rest) / sizeof(kind->rest[0]); i++) {
        used += group_number(text, kind->rest[i]);
    }
    CLG_ASSERT(limit < GROUP_LIMIT_MAX);
    return limit > used ? limit - used : 0;
}

/* The path in a line "NUMBER:CONTROLLERS:PATH" of the kind; NULL: another line. */
static const char *group_path(const char *line, const struct group_kind *kind)
{
    const char *controllers = strchr(line, ':');
    const char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    CLG_ASSERT(kind != NULL);
    if (path == NULL) {
        return NULL;
    }
    char list[256];
    int length =
        snprintf(list, sizeof(list), ",%.*s,", (int)(path - controllers - 1), controllers + 1);
    CLG_ASSERT(length > 0);
    bool is_memory = strstr(list, ",memory,") != NULL;
    bool is_second = strcmp(list, ",,") == 0 && strncmp(line, "0:", 2) == 0;
    return (kind == &group_first ? is_memory : is_second) ? path + 1 : NULL;
}

/* From the group up to the root of what can be seen. */
static uint64_t group_walk(const struct group_kind *kind, const char *path)
{
    char directory[GROUP_PATH_MAX];
    uint64_t room = UINT64_MAX;
    int length = snprintf(directory, sizeof(directory), "%s%s", kind->root, path);
    CLG_ASSERT(length > 0);
    if ((size_t)length >= sizeof(directory)) {
        return room;
    }
    size_t root_size = strlen(kind->root);
    for (;;) {
        room = clg_min_u64(room, group_room(kind, directory));
        char *slash = strrchr(directory, '/');
        CLG_ASSERT(slash != NULL);
        if (strlen(directory) <= root_size) {
            return room;
        }
        *slash = '\0';
    }
}

uint64_t clg_linux_group_room(void)
{
    char text[GROUP_TEXT_MAX];
    uint64_t room = UINT64_MAX;
    if (clg_linux_read_text("/proc/self/cgroup", text, sizeof(text)) < 0) {
        return room;
    }
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        const struct group_kind *kinds[] = {&group_first, &group_second};
        for (size_t i = 0; i < 2; i++) {
            const char *path = group_path(line, kinds[i]);
            if (path != NULL) {
                room = clg_min_u64(room, group_walk(kinds[i], path));
            }
        }
        line = end == NULL ? NULL : end + 1;
    }
    return room;
}
