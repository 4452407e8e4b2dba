/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.c -- one store of the comparison, as writer and as checker; the shell has the disk.
 *
 *     peer ENGINE about
 *     peer ENGINE write DIR ACKS FIRST THREADS    appends records FIRST, FIRST + 1, ... to the end
 *                                                 of the disk's life
 *     peer ENGINE check DIR ACKS SERVED FIRST     reads back what was acknowledged, or served
 *     peer ENGINE each DIR ACKS                   the same where `check` dies: by processes that
 *                                                 may, each going on behind where the last died
 *     peer ENGINE fail DIR ACKS SERVED CTL KIND N AFTER
 *                                                 a request of the disk fails once; goes on with
 *                                                 AFTER appends behind the first that fails
 *     peer ENGINE again DIR ACKS SERVED           opens it in the same boot, reads, appends
 *     peer ENGINE full DIR ACKS BALLAST LEFT      fills the disk, goes on, makes room, goes on
 *     peer ENGINE fill DIR ACKS COUNT SESSIONS    a store that was closed each time
 *     peer ENGINE flips DIR ACKS SEED FLIPS       flips bits of it
 *
 * ACKS and SERVED are lists of numbers (records.h) on another disk: of records whose append has
 * returned success, and of such as were read and right after a failure. Only `fill` and `check`
 * close the store; the others die, as a program does whose machine dies.
 *
 * The last line of output is NAME=VALUE words. Exit status: 0 done, whatever was found; 4 the store
 * was not opened; 1 the test itself failed.
 *
 * Owns: the store while it runs. Threads: only `write` has several; `failed` is set by the first
 * that fails.
 */
#include "peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"
#include "records.h"

enum { THREADS_MAX = 16 };
enum { BEFORE_FAILURE = 100, ATTEMPTS_MAX = 400, AGAIN_APPENDS = 20 };
enum { FULL_APPENDS_MAX = 100000, FULL_MORE = 20, FREED_WAIT_MS = 15000, FREED_APPENDS = 50 };
enum { BALLAST_STEP = 64 * 1024 };

static const struct engine *const engines[] = {
    &engine_commitlog,     &engine_commitlog_mmap, &engine_sqlite,          &engine_lmdb,
    &engine_lmdb_writemap, &engine_rocksdb,        &engine_rocksdb_absolute};

static enum engine_answer append(const struct engine *engine, void *db, uint64_t seq, int acks)
{
    uint8_t body[RECORD_BYTES_MAX];
    size_t bytes = record_make(seq, body);
    enum engine_answer answer = engine->append(db, seq, body, bytes);
    if (answer == ENGINE_RIGHT)
        list_add(acks, seq);
    return answer;
}

static void *open_or_end(const struct engine *engine, const char *directory)
{
    void *db = NULL;
    if (engine->open(directory, false, &db) != ENGINE_RIGHT) {
        printf("%s\nopened=0\n", engine_message());
        fflush(stdout);
        _exit(PEER_NO_OPEN);
    }
    puts("open");
    fflush(stdout);
    return db;
}

static _Noreturn void die(void)
{
    fflush(stdout);
    _exit(PEER_DONE);
}

/* ---- write -------------------------------------------------------------------------------------
 */

struct writers {
    const struct engine *engine;
    void *db;
    int acks;
    _Atomic uint64_t next;
    _Atomic bool failed;
};

static void *writer_main(void *arg)
{
    struct writers *writers = arg;
    while (!atomic_load(&writers->failed)) {
        uint64_t seq = atomic_fetch_add(&writers->next, 1);
        if (append(writers->engine, writers->db, seq, writers->acks) == ENGINE_RIGHT)
            continue;
        if (!atomic_exchange(&writers->failed, true))
            printf("failed: %s\n", engine_message());
    }
    return NULL;
}

static _Noreturn void run_write(const struct engine *engine, char **words)
{
    struct writers writers = {.engine = engine, .acks = list_open(words[1])};
    uint32_t threads = (uint32_t)strtoul(words[3], NULL, 10);
    pthread_t ids[THREADS_MAX];
    CHECK(threads <= THREADS_MAX); /* none: only makes the store */
    writers.next = strtoull(words[2], NULL, 10);
    writers.db = open_or_end(engine, words[0]);
    for (uint32_t i = 0; i < threads; i++)
        CHECK(pthread_create(&ids[i], NULL, writer_main, &writers) == 0);
    for (uint32_t i = 0; i < threads; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    die();
}

/* ---- check -------------------------------------------------------------------------------------
 */

/* What an earlier reader was given and is not there any more. */
static uint64_t served_lost(const struct engine *engine, void *db, const struct list *acks,
                            const char *path)
{
    struct list served = list_load(path), seen = {need_alloc(8 + 8 * (size_t)served.count), 0};
    struct found found = {0, 0, 0, 0};
    uint64_t lost = 0;
    for (uint32_t i = 0; i < served.count; i++) {
        if (list_has(&seen, served.seqs[i]) || list_has(acks, served.seqs[i]))
            continue;
        seen.seqs[seen.count++] = served.seqs[i];
        lost += !record_read(engine, db, served.seqs[i], &found);
    }
    list_free(&served);
    list_free(&seen);
    return lost;
}

static int run_check(const struct engine *engine, char **words)
{
    struct list acks = list_load(words[1]), kept = {need_alloc(8 + 8 * (size_t)acks.count), 0};
    struct found found = {0, 0, 0, 0};
    uint64_t served = 0;
    uint32_t appends = 0;
    bool opened = true, reported = false;
    void *db = NULL;
    if (engine->open(words[0], false, &db) != ENGINE_RIGHT) {
        printf("open: %s\n", engine_message());
        opened = false;
        if (engine->open(words[0], true, &db) != ENGINE_RIGHT) {
            printf("open read-only: %s\n", engine_message());
            db = NULL;
        }
    }
    for (uint32_t i = 0; db != NULL && i < acks.count; i++)
        if (record_read(engine, db, acks.seqs[i], &found))
            kept.seqs[kept.count++] = acks.seqs[i];
    if (found.error > 0)
        printf("read: %s\n", engine_message());
    if (db == NULL)
        found.error = acks.count;
    else
        served = served_lost(engine, db, &acks, words[2]);
    if (db != NULL && engine->check(db) != ENGINE_RIGHT) {
        printf("check: %s\n", engine_message());
        reported = true;
    }
    list_replace(words[1], &kept);
    int fd = list_open(words[1]);
    uint64_t number = strtoull(words[3], NULL, 10);
    while (opened && appends < AGAIN_APPENDS &&
           append(engine, db, number + appends, fd) == ENGINE_RIGHT)
        appends++;
    if (db != NULL)
        engine->close(db);
    printf("opened=%d acknowledged=%u right=%llu missing=%llu wrong=%llu error=%llu reported=%d "
           "served_lost=%llu appends=%u\n",
           opened, acks.count, (unsigned long long)found.right, (unsigned long long)found.missing,
           (unsigned long long)found.wrong, (unsigned long long)found.error, reported,
           (unsigned long long)served, appends);
    return PEER_DONE;
}

/* ---- each --------------------------------------------------------------------------------------
 */

enum { EACH_UNKNOWN, EACH_RIGHT, EACH_OTHER };

/* What a reader has found out, in memory that outlives it. */
struct each {
    uint8_t *known; /* one for each of acks */
    uint8_t *opened;
};

static _Noreturn void each_child(const struct engine *engine, const char *directory,
                                 const struct list *acks, struct each each)
{
    struct found found = {0, 0, 0, 0};
    void *db = NULL;
    if (engine->open(directory, false, &db) != ENGINE_RIGHT &&
        engine->open(directory, true, &db) != ENGINE_RIGHT)
        _exit(PEER_NO_OPEN);
    *each.opened = 1;
    for (uint32_t i = 0; i < acks->count; i++)
        if (each.known[i] == EACH_UNKNOWN)
            each.known[i] =
                record_read(engine, db, acks->seqs[i], &found) ? EACH_RIGHT : EACH_OTHER;
    _exit(PEER_DONE);
}

static int run_each(const struct engine *engine, char **words)
{
    struct list acks = list_load(words[1]), kept = {need_alloc(8 + 8 * (size_t)acks.count), 0};
    uint8_t *shared =
        mmap(NULL, acks.count + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct each each = {shared + 1, shared};
    uint32_t first = 0, deaths = 0;
    bool goes_on = true;
    CHECK(shared != MAP_FAILED);
    while (goes_on && first < acks.count) {
        int status = 0;
        *each.opened = 0;
        fflush(stdout);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            each_child(engine, words[0], &acks, each);
        CHECK(waitpid(child, &status, 0) == child);
        CHECKF(!WIFEXITED(status) || WEXITSTATUS(status) != 1, "a reader failed itself");
        while (first < acks.count && each.known[first] != EACH_UNKNOWN)
            first++;
        goes_on = WIFSIGNALED(status) && *each.opened == 1; /* nobody gets further than the open */
        if (goes_on && first < acks.count)
            each.known[first] = EACH_OTHER; /* it died of this one */
        deaths += WIFSIGNALED(status);
    }
    for (uint32_t i = 0; i < acks.count; i++)
        if (each.known[i] == EACH_RIGHT)
            kept.seqs[kept.count++] = acks.seqs[i];
    list_replace(words[1], &kept);
    printf("acknowledged=%u right=%u deaths=%u\n", acks.count, kept.count, deaths);
    return PEER_DONE;
}

/* ---- a request fails ---------------------------------------------------------------------------
 */

static void ctl_write(const char *path, const char *kind, const char *number)
{
    char text[64];
    int bytes = snprintf(text, sizeof text, "fail %s %s 1\n", kind, number);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECKF(fd >= 0 && write(fd, text, (size_t)bytes) == bytes, "%s", path);
    close(fd);
}

/* Reads 1 ... last; what is right has been served. Returns how many were other than appended. */
static uint64_t serve(const struct engine *engine, void *db, uint64_t last, const char *path)
{
    struct found found = {0, 0, 0, 0};
    int fd = list_open(path);
    for (uint64_t seq = 1; seq <= last; seq++)
        if (record_read(engine, db, seq, &found))
            list_add(fd, seq);
    close(fd);
    return found.wrong;
}

static _Noreturn void run_fail(const struct engine *engine, char **words)
{
    void *db = open_or_end(engine, words[0]);
    int acks = list_open(words[1]);
    uint64_t attempts_max = strtoull(words[6], NULL, 10);
    uint64_t seq = 0, errors = 0, after = 0, attempts_after = 0;
    while (seq < BEFORE_FAILURE)
        CHECKF(append(engine, db, ++seq, acks) == ENGINE_RIGHT, "%s", engine_message());
    ctl_write(words[3], words[4], words[5]);
    while (seq < ATTEMPTS_MAX && (errors == 0 || attempts_after < attempts_max)) {
        enum engine_answer answer = append(engine, db, ++seq, acks);
        attempts_after += errors > 0;
        after += errors > 0 && answer == ENGINE_RIGHT;
        if (answer != ENGINE_RIGHT && errors++ == 0)
            printf("saw=1 %s\n", engine_message());
        fflush(stdout); /* it may die of the next */
    }
    uint64_t wrong = serve(engine, db, seq, words[2]);
    printf("saw=%d after=%llu errors=%llu wrong=%llu\n", errors > 0, (unsigned long long)after,
           (unsigned long long)errors, (unsigned long long)wrong);
    die();
}

static _Noreturn void run_again(const struct engine *engine, char **words)
{
    void *db = open_or_end(engine, words[0]);
    uint64_t wrong = serve(engine, db, ATTEMPTS_MAX, words[2]);
    int acks = list_open(words[1]);
    uint64_t appended = 0;
    while (appended < AGAIN_APPENDS &&
           append(engine, db, ATTEMPTS_MAX + 1 + appended, acks) == ENGINE_RIGHT)
        appended++;
    printf("opened=1 wrong=%llu appended=%llu\n", (unsigned long long)wrong,
           (unsigned long long)appended);
    die();
}

/* ---- a full disk -------------------------------------------------------------------------------
 */

/* Takes all space but `left` bytes. */
static void ballast_make(const char *path, uint64_t left)
{
    static uint8_t step[BALLAST_STEP];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t bytes = 0;
    CHECKF(fd >= 0, "%s", path);
    for (ssize_t got = 1; got > 0; bytes += got > 0 ? got : 0)
        got = write(fd, step, sizeof step);
    CHECK(fsync(fd) == 0 && bytes > (off_t)left && ftruncate(fd, bytes - (off_t)left) == 0);
    CHECK(fsync(fd) == 0 && close(fd) == 0);
    sync();
}

static uint64_t unreadable(const struct engine *engine, void *db, const char *acks_path)
{
    struct list acks = list_load(acks_path);
    struct found found = {0, 0, 0, 0};
    for (uint32_t i = 0; i < acks.count; i++)
        record_read(engine, db, acks.seqs[i], &found);
    list_free(&acks);
    return found.missing + found.wrong + found.error;
}

static _Noreturn void run_full(const struct engine *engine, char **words)
{
    void *db = open_or_end(engine, words[0]);
    int acks = list_open(words[1]);
    uint64_t seq = 0, freed = 0;
    bool full = false;
    while (seq < BEFORE_FAILURE)
        CHECKF(append(engine, db, ++seq, acks) == ENGINE_RIGHT, "%s", engine_message());
    ballast_make(words[2], strtoull(words[3], NULL, 10));
    while (!full && seq < FULL_APPENDS_MAX)
        full = append(engine, db, ++seq, acks) != ENGINE_RIGHT;
    CHECK(full);
    printf("full after %llu: %s\n", (unsigned long long)seq, engine_message());
    fflush(stdout);
    for (int i = 0; i < FULL_MORE; i++)
        (void)append(engine, db, ++seq, acks);
    uint64_t lost = unreadable(engine, db, words[1]);
    CHECK(unlink(words[2]) == 0);
    sync();
    int64_t begin = clock_ms();
    bool goes_on = false;
    while (!goes_on && clock_ms() - begin < FREED_WAIT_MS) {
        goes_on = append(engine, db, ++seq, acks) == ENGINE_RIGHT;
        if (!goes_on)
            sleep_ms(100);
    }
    int64_t waited = clock_ms() - begin;
    while (goes_on && freed < FREED_APPENDS && append(engine, db, ++seq, acks) == ENGINE_RIGHT)
        freed++;
    printf("full=1 unreadable=%llu goes_on=%d waited_ms=%lld\n", (unsigned long long)lost,
           freed == FREED_APPENDS, (long long)waited);
    die();
}

/* ---- main --------------------------------------------------------------------------------------
 */

static int run_fill(const struct engine *engine, char **words)
{
    uint64_t count = strtoull(words[2], NULL, 10), sessions = strtoull(words[3], NULL, 10);
    int acks = list_open(words[1]);
    for (uint64_t session = 0; session < sessions; session++) {
        void *db = open_or_end(engine, words[0]);
        for (uint64_t seq = session * count / sessions; seq < (session + 1) * count / sessions;
             seq++)
            CHECKF(append(engine, db, seq + 1, acks) == ENGINE_RIGHT, "%s", engine_message());
        CHECKF(engine->close(db) == ENGINE_RIGHT, "%s", engine_message());
    }
    return PEER_DONE;
}

static int run_about(const struct engine *engine)
{
    char version[ENGINE_MESSAGE_MAX];
    engine->version(version);
    printf("version=%s\nsetting=%s\n", version, engine->setting);
    return PEER_DONE;
}

int main(int argc, char **argv)
{
    const struct engine *engine = NULL;
    for (size_t i = 0; argc > 2 && i < sizeof engines / sizeof engines[0]; i++)
        if (strcmp(argv[1], engines[i]->name) == 0)
            engine = engines[i];
    CHECKF(engine != NULL, "usage: %s ENGINE COMMAND ..., see the head of peer.c", argv[0]);
    const char *command = argv[2];
    char **words = argv + 3;
    int given = argc - 3;
    if (strcmp(command, "about") == 0 && given == 0)
        return run_about(engine);
    if (strcmp(command, "write") == 0 && given == 4)
        run_write(engine, words);
    if (strcmp(command, "check") == 0 && given == 4)
        return run_check(engine, words);
    if (strcmp(command, "each") == 0 && given == 2)
        return run_each(engine, words);
    if (strcmp(command, "fail") == 0 && given == 7)
        run_fail(engine, words);
    if (strcmp(command, "again") == 0 && given == 3)
        run_again(engine, words);
    if (strcmp(command, "full") == 0 && given == 4)
        run_full(engine, words);
    if (strcmp(command, "fill") == 0 && given == 4)
        return run_fill(engine, words);
    CHECKF(strcmp(command, "flips") == 0 && given == 4, "no such command: %s", command);
    return peer_flips(engine, words[0], words[1], strtoull(words[2], NULL, 10),
                      strtoull(words[3], NULL, 10));
}
