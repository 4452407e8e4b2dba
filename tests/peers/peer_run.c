/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_run.c -- one engine of the comparison writes, is checked, or loses a bit.
 *
 *   peer_run list                           name, version and setting of each engine
 *   peer_run write ENGINE DIR ACKS COUNT    appends until COUNT records are there; after an error
 *                                           it goes on, as a program that has not understood:
 *                                           TRIES (20) more errors end it, with status 4
 *   peer_run check ENGINE DIR ACKS          every record of ACKS; status 0 if all are there
 *   peer_run flip DIR SEED                  one bit of a file, in a block that has something in it
 *
 * ACKS has a byte for each record, in the order of their numbers, and is not on the disk that
 * fails: what append said of it. What is checked is opened for writing, or, when that is refused,
 * for reading only, as somebody would who wants the rest of his data.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/prog.h"
#include "peer.h"

enum { ACK_DURABLE = 'd', ACK_AFTER_ERROR = 'a' };
enum { FLIP_BLOCK = 4096, FLIP_FILES = 256 };

static const struct peer *const peers[] = {&peer_commitlog, &peer_sqlite, &peer_lmdb,
                                           &peer_lmdb_writemap, &peer_rocksdb};
enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "peer_run: %s: %s\n", what, strerror(errno));
    exit(2);
}

static const struct peer *peer_named(const char *name)
{
    for (size_t i = 0; i < PEERS; i++) {
        if (strcmp(peers[i]->name, name) == 0) {
            return peers[i];
        }
    }
    fprintf(stderr, "peer_run: no engine is called %s\n", name);
    exit(2);
}

static size_t body_make(uint64_t number, uint8_t body[PEER_BODY_MAX])
{
    struct rng rng;
    rng_begin(&rng, number * 77 + 5);
    size_t bytes = rng_between(&rng, 100, PEER_BODY_MAX);
    bytes_fill(body, bytes, number + 1);
    return bytes;
}

static uint64_t acks_count(int acks)
{
    struct stat stat;
    if (fstat(acks, &stat) != 0) {
        give_up("acknowledgements");
    }
    return (uint64_t)stat.st_size;
}

static int peer_write(const struct peer *peer, const char *dir, const char *acks_path,
                      uint64_t count)
{
    char why[PEER_WHY_BYTES] = "";
    uint8_t body[PEER_BODY_MAX];
    uint64_t errors = 0;
    int acks = open(acks_path, O_RDWR | O_CREAT | O_APPEND, 0600);
    if (acks < 0 || (mkdir(dir, 0700) != 0 && errno != EEXIST)) {
        give_up(dir);
    }
    void *store = peer->open(dir, false, why);
    if (store == NULL) {
        printf("open: %s\n", why);
        return 3;
    }
    puts("open");
    fflush(stdout);
    uint64_t tries = prog_env("TRIES", 20);
    for (uint64_t number = acks_count(acks); number < count && errors <= tries;) {
        size_t bytes = body_make(number, body);
        bool good = peer->append(store, number, body, bytes, why);
        if (!good && errors++ == 0) {
            printf("error at %llu: %s\n", (unsigned long long)number, why);
            fflush(stdout);
        }
        if (good) {
            char ack = errors == 0 ? ACK_DURABLE : ACK_AFTER_ERROR;
            if (write(acks, &ack, 1) != 1) {
                give_up(acks_path);
            }
            number++;
        } else {
            sleep_ms(prog_env("PAUSE_MS", 0) > 0 ? (int64_t)prog_env("PAUSE_MS", 0) : 1);
        }
    }
    peer->close(store);
    printf("end: %llu records, %llu errors\n", (unsigned long long)acks_count(acks),
           (unsigned long long)errors);
    return errors > tries ? 4 : 0;
}

static int peer_check(const struct peer *peer, const char *dir, const char *acks_path)
{
    char why[PEER_WHY_BYTES] = "";
    char open_why[PEER_WHY_BYTES] = "";
    uint8_t body[PEER_BODY_MAX];
    uint8_t found_body[PEER_BODY_MAX];
    unsigned long long found = 0, missing = 0, altered = 0, errors = 0;
    int acks = open(acks_path, O_RDONLY);
    if (acks < 0) {
        give_up(acks_path);
    }
    uint64_t count = acks_count(acks);
    void *store = peer->open(dir, false, open_why);
    bool refused = store == NULL;
    if (refused) {
        store = peer->open(dir, true, why);
    }
    for (uint64_t number = 0; number < count; number++) {
        size_t bytes = body_make(number, body);
        size_t found_bytes = 0;
        enum peer_answer answer =
            store == NULL ? PEER_ERROR : peer->read(store, number, found_body, &found_bytes, why);
        bool same = found_bytes == bytes && memcmp(body, found_body, bytes) == 0;
        found += answer == PEER_FOUND && same;
        altered += answer == PEER_FOUND && !same;
        missing += answer == PEER_NOT_THERE;
        errors += answer == PEER_ERROR;
    }
    if (store != NULL) {
        peer->close(store);
    }
    printf("acknowledged=%llu found=%llu missing=%llu altered=%llu errors=%llu refused=%d\n",
           (unsigned long long)count, found, missing, altered, errors, refused);
    if (refused || errors > 0) {
        printf("says: %s\n", refused ? open_why : why);
    }
    return found == count && !refused ? 0 : 1;
}

struct flip_file {
    char path[4096];
    uint64_t blocks; /* with something in them */
};

static bool block_used(int fd, uint64_t block)
{
    char bytes[FLIP_BLOCK];
    ssize_t n = pread(fd, bytes, sizeof(bytes), (off_t)(block * FLIP_BLOCK));
    return n > 0 && (bytes[0] != 0 || memcmp(bytes, bytes + 1, (size_t)n - 1) != 0);
}

static void flip_list(const char *dir, struct flip_file *files, size_t *count)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    struct stat stat;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        struct flip_file *file = &files[*count];
        if (entry->d_name[0] == '.' || *count == FLIP_FILES) {
            continue;
        }
        (void)snprintf(file->path, sizeof(file->path), "%s/%s", dir, entry->d_name);
        if (lstat(file->path, &stat) != 0) {
            give_up(file->path);
        }
        if (S_ISDIR(stat.st_mode)) {
            char below[4096];
            (void)snprintf(below, sizeof(below), "%s", file->path);
            flip_list(below, files, count);
        } else if (S_ISREG(stat.st_mode)) {
            int fd = open(file->path, O_RDONLY);
            file->blocks = 0;
            for (uint64_t i = 0; i * FLIP_BLOCK < (uint64_t)stat.st_size; i++) {
                file->blocks += block_used(fd, i);
            }
            (void)close(fd);
            *count += file->blocks > 0;
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    }
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct flip_file *)a)->path, ((const struct flip_file *)b)->path);
}

static int flip(const char *dir, uint64_t seed)
{
    static struct flip_file files[FLIP_FILES + 1];
    struct rng rng;
    struct stat stat;
    size_t count = 0;
    uint64_t blocks = 0;
    size_t at = 0;
    flip_list(dir, files, &count);
    qsort(files, count, sizeof(files[0]), compare_paths);
    for (size_t i = 0; i < count; i++) {
        blocks += files[i].blocks;
    }
    if (blocks == 0) {
        give_up("no files with anything in them");
    }
    rng_begin(&rng, seed);
    uint64_t left = rng_below(&rng, blocks);
    for (; left >= files[at].blocks; at++) {
        left -= files[at].blocks;
    }
    int fd = open(files[at].path, O_RDWR);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        give_up(files[at].path);
    }
    uint64_t block = 0;
    for (; !block_used(fd, block) || left-- > 0; block++) {
    }
    uint64_t begin = block * FLIP_BLOCK;
    uint64_t bytes = (uint64_t)stat.st_size - begin;
    uint64_t place = begin + rng_below(&rng, bytes < FLIP_BLOCK ? bytes : FLIP_BLOCK);
    uint8_t byte;
    if (pread(fd, &byte, 1, (off_t)place) != 1) {
        give_up(files[at].path);
    }
    byte ^= (uint8_t)(1u << rng_below(&rng, 8));
    if (pwrite(fd, &byte, 1, (off_t)place) != 1) {
        give_up(files[at].path);
    }
    (void)close(fd);
    printf("%s %llu\n", files[at].path, (unsigned long long)place);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < PEERS; i++) {
            printf("%s|%s|%s\n", peers[i]->name, peers[i]->version(), peers[i]->setting);
        }
        return 0;
    }
    if (argc == 6 && strcmp(argv[1], "write") == 0) {
        return peer_write(peer_named(argv[2]), argv[3], argv[4], strtoull(argv[5], NULL, 10));
    }
    if (argc == 5 && strcmp(argv[1], "check") == 0) {
        return peer_check(peer_named(argv[2]), argv[3], argv[4]);
    }
    if (argc == 4 && strcmp(argv[1], "flip") == 0) {
        return flip(argv[2], strtoull(argv[3], NULL, 10));
    }
    fprintf(stderr, "usage: see the head of tests/peers/peer_run.c\n");
    return 2;
}
