/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flips.c -- one bit of a closed store is flipped, the store is opened and read, and so again.
 *
 * The bit is in a file that holds acknowledged records, in a part of it that is not only zeros;
 * each such byte is as likely as every other. The store is looked at by a process of its own, which
 * may die of it or never end. What came of a flip is the worst of: died      a signal, or no end
 * within the limit wrong     a read returned other bytes than were appended, as if they were right
 *     silent    a record is not there, and neither the open nor a read nor the check said anything
 *     detected  the open, a read or the check says that something is wrong
 *     harmless  every record is right and nothing is said
 *
 * Where a normal open refuses, the store is opened read-only, and the records counted that are out
 * of reach then: `more` flips cost more than one record, `most` is the highest number.
 *
 * Owns: DIR.flipped, the copy that is damaged; DIR is only read. One thread, and one child.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"
#include "peer.h"
#include "records.h"

enum { BLOCK_BYTES = 4096, FILES_MAX = 64, NEEDLE_BYTES = 48, LIMIT_S = 20, KINDS_MAX = 8 };

/* A block that is not only zeros, of a file that has acknowledged records. */
struct block {
    uint32_t file;
    uint32_t bytes;
    uint64_t at;
};

struct places {
    char names[FILES_MAX][ENGINE_PATH_MAX]; /* below DIR */
    uint32_t files;
    struct block *blocks;
    uint32_t count;
};

struct verdict {
    struct found found;
    bool refused;
    bool reported; /* by open, read or check */
    bool checked;  /* and by the check or the open alone */
};

struct outcome {
    char kind[16]; /* of file: the end of its name */
    uint64_t flips, detected, harmless, wrong, wrong_checked, silent, died, more, most;
};

/* ---- places ------------------------------------------------------------------------------------
 */

static bool holds_records(const uint8_t *data, size_t bytes, const struct list *acks)
{
    uint8_t body[RECORD_BYTES_MAX];
    for (uint32_t i = 0; i < acks->count; i += 8) {
        record_make(acks->seqs[i], body);
        if (memmem(data, bytes, body, NEEDLE_BYTES) != NULL)
            return true;
    }
    return false;
}

static void blocks_add(struct places *places, const uint8_t *data, uint64_t at, uint64_t bytes)
{
    static const uint8_t zeros[BLOCK_BYTES];
    for (uint64_t i = 0; i < bytes; i += BLOCK_BYTES) {
        uint32_t part = (uint32_t)(bytes - i < BLOCK_BYTES ? bytes - i : BLOCK_BYTES);
        if (memcmp(data + i, zeros, part) == 0)
            continue;
        places->blocks = need_grow(places->blocks, (places->count + 1) * sizeof(struct block));
        places->blocks[places->count++] = (struct block){places->files, part, at + i};
    }
}

static void file_add(struct places *places, const char *root, const char *name,
                     const struct list *acks)
{
    char path[2 * ENGINE_PATH_MAX];
    bool holds = false;
    uint32_t before = places->count;
    snprintf(path, sizeof path, "%s/%s", root, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECKF(fd >= 0 && places->files < FILES_MAX, "%s", path);
    off_t from = lseek(fd, 0, SEEK_DATA), to = 0;
    for (; from >= 0; from = lseek(fd, to, SEEK_DATA)) {
        to = lseek(fd, from, SEEK_HOLE);
        size_t bytes = (size_t)(to - from);
        uint8_t *data = need_alloc(bytes);
        CHECK(pread(fd, data, bytes, from) == (ssize_t)bytes);
        holds = holds || holds_records(data, bytes, acks);
        blocks_add(places, data, (uint64_t)from, bytes);
        free(data);
    }
    close(fd);
    if (holds)
        snprintf(places->names[places->files++], ENGINE_PATH_MAX, "%s", name);
    else
        places->count = before;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void places_find(struct places *places, const char *root, const char *below,
                        const struct list *acks)
{
    char path[2 * ENGINE_PATH_MAX], name[ENGINE_PATH_MAX];
    struct dirent **entries = NULL;
    snprintf(path, sizeof path, "%s/%s", root, below);
    int count = scandir(path, &entries, NULL, by_name);
    CHECKF(count >= 0, "%s", path);
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        struct stat found;
        bool own = strcmp(entry, ".") != 0 && strcmp(entry, "..") != 0;
        CHECK(snprintf(name, sizeof name, "%s%s%s", below, below[0] ? "/" : "", entry) <
              (int)sizeof name);
        snprintf(path, sizeof path, "%s/%s", root, name);
        if (own && lstat(path, &found) == 0 && S_ISDIR(found.st_mode))
            places_find(places, root, name, acks);
        else if (own && S_ISREG(found.st_mode))
            file_add(places, root, name, acks);
        free(entries[i]);
    }
    free(entries);
}

/* ---- one flip ----------------------------------------------------------------------------------
 */

/* A copy keeps the holes: a map may be much larger than what is in it. */
static void copy_make(const char *from, const char *to)
{
    dirs_remove(to);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execlp("cp", "cp", "-a", from, to, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void bit_flip(const char *root, const char *name, uint64_t at, uint8_t mask)
{
    char path[2 * ENGINE_PATH_MAX];
    uint8_t byte = 0;
    snprintf(path, sizeof path, "%s/%s", root, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECKF(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1, "%s", path);
    byte ^= mask;
    CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1 && close(fd) == 0);
}

static _Noreturn void look(const struct engine *engine, const char *directory,
                           const struct list *acks, int out)
{
    struct verdict verdict = {.refused = false};
    void *db = NULL;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    alarm(LIMIT_S);
    if (engine->open(directory, false, &db) != ENGINE_RIGHT) {
        verdict.refused = verdict.reported = verdict.checked = true;
        if (engine->open(directory, true, &db) != ENGINE_RIGHT)
            db = NULL;
    }
    for (uint32_t i = 0; db != NULL && i < acks->count; i++)
        record_read(engine, db, acks->seqs[i], &verdict.found);
    if (db == NULL)
        verdict.found.error = acks->count;
    if (db != NULL && engine->check(db) != ENGINE_RIGHT)
        verdict.checked = true;
    verdict.reported = verdict.checked || verdict.found.error > 0;
    if (db != NULL)
        engine->close(db);
    CHECK(write(out, &verdict, sizeof verdict) == (ssize_t)sizeof verdict);
    _exit(0);
}

/* False: the process died, or had to be ended. */
static bool look_apart(const struct engine *engine, const char *directory, const struct list *acks,
                       struct verdict *out)
{
    int ends[2], status = 0;
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        look(engine, directory, acks, ends[1]);
    close(ends[1]);
    ssize_t got = read(ends[0], out, sizeof *out);
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(!WIFEXITED(status) || WEXITSTATUS(status) != 1, "the reader of a flip failed itself");
    return got == (ssize_t)sizeof *out && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void outcome_add(struct outcome *outcome, bool lived, const struct verdict *verdict)
{
    uint64_t out_of_reach = verdict->found.missing + verdict->found.error + verdict->found.wrong;
    outcome->flips++;
    if (!lived) {
        outcome->died++;
        return;
    }
    if (verdict->found.wrong > 0) {
        outcome->wrong++;
        outcome->wrong_checked += verdict->checked;
    } else if (verdict->found.missing > 0 && !verdict->reported) {
        outcome->silent++;
    } else if (verdict->reported) {
        outcome->detected++;
    } else {
        outcome->harmless++;
    }
    outcome->more += out_of_reach > 1;
    if (out_of_reach > outcome->most)
        outcome->most = out_of_reach;
}

static void outcome_print(const char *what, const struct outcome *outcome)
{
    printf("%s=%s flips=%llu detected=%llu harmless=%llu wrong=%llu wrong_checked=%llu "
           "silent=%llu died=%llu more=%llu most=%llu\n",
           what, outcome->kind, (unsigned long long)outcome->flips,
           (unsigned long long)outcome->detected, (unsigned long long)outcome->harmless,
           (unsigned long long)outcome->wrong, (unsigned long long)outcome->wrong_checked,
           (unsigned long long)outcome->silent, (unsigned long long)outcome->died,
           (unsigned long long)outcome->more, (unsigned long long)outcome->most);
}

/* By the end of the file's name: records.db, data.mdb, sst, log; a segment of commitlog is "seg".
 */
static struct outcome *outcome_of(struct outcome *kinds, const char *name)
{
    const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    const char *end = strrchr(last, '.') ? strrchr(last, '.') + 1 : last;
    for (uint32_t i = 0; i < KINDS_MAX; i++) {
        if (kinds[i].flips == 0)
            snprintf(kinds[i].kind, sizeof kinds[i].kind, "%.15s", end);
        if (strcmp(kinds[i].kind, end) == 0)
            return &kinds[i];
    }
    CHECKF(false, "more kinds of files than expected: %s", name);
    return NULL;
}

int peer_flips(const struct engine *engine, const char *directory, const char *acks_path,
               uint64_t seed, uint64_t flips)
{
    struct places *places = need_alloc(sizeof *places);
    struct outcome kinds[KINDS_MAX], all = {.kind = "all"};
    struct list acks = list_load(acks_path);
    struct verdict verdict;
    char copy[ENGINE_PATH_MAX];
    struct rng rng;
    rng_begin(&rng, seed);
    memset(places, 0, sizeof *places);
    memset(kinds, 0, sizeof kinds);
    snprintf(copy, sizeof copy, "%s.flipped", directory);
    /* Nothing flipped: everything must be right, or the rest says nothing. */
    copy_make(directory, copy);
    CHECK(look_apart(engine, copy, &acks, &verdict) && !verdict.reported);
    CHECK(verdict.found.right == acks.count && acks.count > 0);
    places_find(places, directory, "", &acks);
    CHECK(places->count > 0);
    for (uint64_t i = 0; i < flips; i++) {
        const struct block *block = &places->blocks[rng_below(&rng, places->count)];
        uint64_t at = block->at + rng_below(&rng, block->bytes);
        uint8_t mask = (uint8_t)(1u << rng_below(&rng, 8));
        memset(&verdict, 0, sizeof verdict);
        copy_make(directory, copy);
        bit_flip(copy, places->names[block->file], at, mask);
        bool lived = look_apart(engine, copy, &acks, &verdict);
        outcome_add(&all, lived, &verdict);
        outcome_add(outcome_of(kinds, places->names[block->file]), lived, &verdict);
        if (prog_env_is("V"))
            printf("%s at %llu mask %u: lived %d refused %d reported %d right %llu missing %llu "
                   "wrong %llu error %llu\n",
                   places->names[block->file], (unsigned long long)at, mask, lived, verdict.refused,
                   verdict.reported, (unsigned long long)verdict.found.right,
                   (unsigned long long)verdict.found.missing,
                   (unsigned long long)verdict.found.wrong,
                   (unsigned long long)verdict.found.error);
    }
    dirs_remove(copy);
    for (uint32_t i = 0; i < KINDS_MAX && kinds[i].flips > 0; i++)
        outcome_print("file", &kinds[i]);
    outcome_print("file", &all);
    list_free(&acks);
    free(places->blocks);
    free(places);
    return PEER_DONE;
}
