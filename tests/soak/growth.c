/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growth.c -- memory, descriptors, maps, files and room on the disk stay bounded; see crew.h.
 *
 * The bounds are generous: what a process of this test was seen to need, several times over. What
 * they are there for is what grows without end. Follower 0 lives long, so it has a closer bound: of
 * what it may grow by once it is warm.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crew.h"

typedef unsigned long long ull;

enum {
    ANON_MAX_KIB = 48 * 1024, /* a writer, which also holds the book's copy of its check */
    /* Follower 0, after WARM_MS. What followers hold goes up and down with what waits and is out,
     * to this much in runs of ten minutes: one that had little then may get there. */
    VETERAN_USUAL_KIB = 10 * 1024,
    VETERAN_MORE_MAX_KIB = 6 * 1024,
    WARM_MS = 15000,
    DESCRIPTORS_MAX = 256, /* one for each segment, while a store is opened */
    MAPS_MAX = 700,
    /* PLAN_KEEP_BYTES, what is appended until retention runs, and segments made ahead. */
    STORE_MAX_KIB = 24 * 1024,
    FILES_MAX = 1200, /* three for each of the smallest segments in that room */
    QUARANTINE_MAX_KIB = 8 * 1024
};

static void raise_to(uint64_t *place, uint64_t value)
{
    *place = *place < value ? value : *place;
}

/* A number of kB in /proc/PID/status, 0 if the process has just ended. */
static uint64_t status_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static uint64_t directory_count(const char *path)
{
    DIR *directory = opendir(path);
    uint64_t count = 0;
    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count >= 2 ? count - 2 : 0;
}

static uint64_t lines_count(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t lines = 0;
    int c = 0;
    if (file == NULL)
        return 0;
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static size_t text_read(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, room - 1) : 0;
    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

static void process_look(struct crew *crew, uint32_t member)
{
    struct growth *growth = &crew->growth;
    pid_t pid = crew->members[member].pid;
    char path[64], text[4096];
    uint64_t anon = 0, descriptors = 0, maps = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    text_read(path, text, sizeof text);
    anon = status_kib(text, "RssAnon:");
    raise_to(member == CREW_WRITER ? &growth->writer_kib : &growth->follower_kib, anon);
    raise_to(&growth->rss_kib, status_kib(text, "VmRSS:"));
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    descriptors = directory_count(path);
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    maps = lines_count(path);
    raise_to(&growth->descriptors, descriptors);
    raise_to(&growth->maps, maps);
    if (prog_env("GROWTH", 1) == 0)
        return;
    if (anon > ANON_MAX_KIB || descriptors > DESCRIPTORS_MAX || maps > MAPS_MAX)
        crew_violation(crew,
                       "process %u (0: the writer) has %llu KiB, %llu descriptors, %llu maps; at "
                       "most %d, %d, %d",
                       member, (ull)anon, (ull)descriptors, (ull)maps, ANON_MAX_KIB,
                       DESCRIPTORS_MAX, MAPS_MAX);
    if (member != 1 || clock_ms() - crew->veteran_ms < WARM_MS)
        return;
    if (crew->veteran_kib == 0)
        crew->veteran_kib = anon > VETERAN_USUAL_KIB ? anon : VETERAN_USUAL_KIB;
    if (anon > crew->veteran_kib + VETERAN_MORE_MAX_KIB)
        crew_violation(crew, "follower 0 has %llu KiB after %lld ms; at most %llu and %d more",
                       (ull)anon, (long long)(clock_ms() - crew->veteran_ms),
                       (ull)crew->veteran_kib, VETERAN_MORE_MAX_KIB);
}

/* Blocks and files below a directory of the store; both are taken away while they are counted. */
static void directory_look(const char *store, const char *name, uint64_t *kib, uint64_t *files)
{
    char path[DIRS_PATH_MAX];
    DIR *directory = NULL;
    struct dirent *entry = NULL;
    path_join(path, store, name);
    directory = opendir(path);
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL) {
        struct stat info;
        if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(info.st_mode))
            continue;
        *kib += (uint64_t)info.st_blocks / 2;
        (*files)++;
    }
    closedir(directory);
}

static void store_look(struct crew *crew)
{
    struct growth *growth = &crew->growth;
    uint64_t kib = 0, files = 0, quarantine = 0, cut = 0;
    directory_look(crew->path, ".", &kib, &files);
    directory_look(crew->path, "log", &kib, &files);
    directory_look(crew->path, "view", &kib, &files);
    directory_look(crew->path, "quarantine", &quarantine, &cut);
    raise_to(&growth->store_kib, kib);
    raise_to(&growth->files, files);
    raise_to(&growth->quarantine_kib, quarantine);
    if (kib > STORE_MAX_KIB || files > FILES_MAX)
        crew_violation(crew, "the store has %llu KiB in %llu files, at most %d in %d", (ull)kib,
                       (ull)files, STORE_MAX_KIB, FILES_MAX);
}

void growth_look(struct crew *crew)
{
    for (uint32_t i = 0; i < BOOK_PROCESSES; i++)
        if (crew->members[i].pid != 0)
            process_look(crew, i);
    store_look(crew);
}

bool growth_quarantine_full(const struct crew *crew)
{
    uint64_t kib = 0, files = 0;
    directory_look(crew->path, "quarantine", &kib, &files);
    return kib > QUARANTINE_MAX_KIB;
}
