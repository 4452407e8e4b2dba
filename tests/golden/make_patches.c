/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make_patches.c -- what version 1 does not write itself; make-golden.sh compiles and runs it.
 *
 *   make_patches boot STORE      another boot in LOCK: of no machine, so that none is the same
 *   make_patches patches STORE   prints patches of clean for sparse.py: headers of newer versions
 *                                and with unknown flags, records of an unknown kind and with
 *                                unknown attributes, with the checks that belong to them
 *
 * make does not build it: the files it made are what counts. It is kept to tell how.
 */
#define XXH_INLINE_ALL
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    PAGE = 4096,
    AT_VERSION = 8,
    AT_COMPAT = 32,
    AT_RO_COMPAT = 36,
    AT_INCOMPAT = 40,
    AT_BOOT = 80,
    AT_ALGORITHM = 124
};

static void change_boot(const char *store)
{
    char path[1024];
    uint8_t page[PAGE];
    snprintf(path, sizeof path, "%s/LOCK", store);
    FILE *file = fopen(path, "r+b");
    if (file == NULL || fread(page, 1, PAGE, file) != PAGE) {
        perror(path);
        exit(1);
    }
    for (uint8_t i = 0; i < 16; i++) {
        page[AT_BOOT + i] = i;
    }
    uint64_t check = XXH3_64bits_withSeed(page, PAGE - 8, 0);
    for (uint32_t i = 0; i < 8; i++, check >>= 8) {
        page[PAGE - 8 + i] = (uint8_t)check;
    }
    if (fseek(file, 0, SEEK_SET) != 0 || fwrite(page, 1, PAGE, file) != PAGE || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void print_bytes(const char *name, const char *file, long at, uint64_t value, uint32_t bytes)
{
    printf("%s: %s %ld ", name, file, at);
    for (uint32_t i = 0; i < bytes; i++) {
        printf("%02x", (unsigned)(value >> 8 * i & 0xff));
    }
    printf("\n");
}

static uint64_t number_at(const uint8_t *at)
{
    uint64_t value = 0;
    for (uint32_t i = 8; i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

static uint64_t seed_at(uint64_t salt, uint64_t position)
{
    uint64_t x = salt + position * 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Seed of the check of a header; a footer knows base and salt of its segment. */
static uint64_t header_seed(const uint8_t *header, long at)
{
    if (memcmp(header + 1, "CLGSEGF", 7) != 0) {
        return 0;
    }
    return seed_at(number_at(header + 72), number_at(header + 64) + (uint64_t)at);
}

/* The header of `bytes` at `at` of a file, one u32 of it replaced, and its check. */
static void print_patch(const char *store, const char *name, const char *file, long at,
                        uint32_t bytes, uint32_t field, uint32_t value)
{
    char path[1024];
    uint8_t header[PAGE];
    snprintf(path, sizeof path, "%s/%s", store, file);
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, at, SEEK_SET) != 0 || fread(header, 1, bytes, in) != bytes) {
        fprintf(stderr, "%s: cannot read %u bytes at %ld\n", path, bytes, at);
        exit(1);
    }
    fclose(in);
    const uint64_t seed = header_seed(header, at);
    for (uint32_t i = 0; i < 4; i++) {
        header[field + i] = (uint8_t)(value >> 8 * i);
    }
    print_bytes(name, file, at + (long)field, value, 4);
    print_bytes(name, file, at + (long)bytes - 8, XXH3_64bits_withSeed(header, bytes - 8, seed), 8);
}

enum { RECORDS_AT = 8192, RECORD_HEADER = 48, AT_KIND = 46 };

/* One byte of a record replaced, and its checks: the first record that contains the text, the first
 * of its bytes from `from` on that is `old`; its kind is so only if it is that itself. */
static void print_record(const char *store, const char *name, const char *file, const char *what,
                         uint32_t from, uint8_t old, uint8_t new)
{
    static uint8_t segment[65536];
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", store, file);
    FILE *in = fopen(path, "rb");
    if (in == NULL || fread(segment, 1, sizeof segment, in) != sizeof segment) {
        perror(path);
        exit(1);
    }
    fclose(in);
    uint32_t at = RECORDS_AT;
    uint32_t size = (uint32_t)number_at(segment + at) & ~7U;
    while (memmem(segment + at, size, what, strlen(what)) == NULL ||
           (from == AT_KIND && segment[at + AT_KIND] != old)) {
        at += size;
        size = (uint32_t)number_at(segment + at) & ~7U;
    }
    uint8_t *record = segment + at;
    while (record[from] != old) {
        from++;
    }
    record[from] = new;
    const uint64_t seed =
        seed_at(number_at(segment + 80), number_at(segment + 64) + at) ^ (size + 5);
    const uint64_t check = XXH3_64bits_withSeed(record + 16, size - 16, seed);
    for (uint32_t i = 0; i < 8; i++) {
        record[8 + i] = (uint8_t)(check >> 8 * i);
    }
    print_bytes(name, file, (long)(at + from), new, 1);
    print_bytes(name, file, (long)at + 8, check, 8);
    print_bytes(name, file, (long)at + 4, XXH3_64bits_withSeed(record + 8, 40, seed), 4);
}

static void print_segment(const char *store, const char *name, const char *file, uint32_t field,
                          uint32_t value)
{
    print_patch(store, name, file, 0, PAGE, field, value);
    print_patch(store, name, file, PAGE, PAGE, field, value);
}

static void print_patches(const char *store)
{
    static const char first[] = "log/00000000000000000000.log";
    static const char last[] = "log/00000000000000458752.log";
    static const char queue[] = "view/00000000000000065536.cq";
    static const char keys[] = "view/00000000000000065536.key";
    static const char state[] = "view/00000000000000475360.state";
    const struct {
        const char *name;
        uint32_t at;
    } flags[] = {
        {"compatible", AT_COMPAT}, {"read-only", AT_RO_COMPAT}, {"incompatible", AT_INCOMPAT}};
    print_segment(store, "version-first", first, AT_VERSION, 2);
    print_segment(store, "version-last", last, AT_VERSION, 2);
    print_patch(store, "version-copy", first, PAGE, PAGE, AT_VERSION, 2);
    print_patch(store, "version-footer", first, 65536 - PAGE, PAGE, AT_VERSION, 2);
    print_segment(store, "algorithm", first, AT_ALGORITHM, 2);
    print_patch(store, "version-slot-0", "CHECKPOINT", 0, PAGE, AT_VERSION, 2);
    print_patch(store, "version-slot-1", "CHECKPOINT", PAGE, PAGE, AT_VERSION, 2);
    print_patch(store, "version-lock", "LOCK", 0, PAGE, AT_VERSION, 2);
    print_patch(store, "version-queue", queue, 0, 256, AT_VERSION, 2);
    print_patch(store, "version-key", keys, 0, 256, AT_VERSION, 2);
    print_patch(store, "version-state", state, 0, 256, AT_VERSION, 2);
    for (uint32_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-first", flags[i].name);
        print_segment(store, name, first, flags[i].at, 1);
        snprintf(name, sizeof name, "%s-last", flags[i].name);
        print_segment(store, name, last, flags[i].at, 1U << 31);
        snprintf(name, sizeof name, "%s-checkpoint", flags[i].name);
        print_patch(store, name, "CHECKPOINT", 0, PAGE, flags[i].at, 1);
        print_patch(store, name, "CHECKPOINT", PAGE, PAGE, flags[i].at, 1);
        snprintf(name, sizeof name, "%s-queue", flags[i].name);
        print_patch(store, name, queue, 0, 256, flags[i].at, 1);
    }
    print_record(store, "kind", first, "", AT_KIND, 5, 250);
    print_record(store, "attribute", first, "tag, keys", RECORD_HEADER, 1, 0x21);
    print_record(store, "critical", first, "tag, keys", RECORD_HEADER, 1, 0xa1);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "boot") == 0) {
        change_boot(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "patches") == 0) {
        print_patches(argv[2]);
    } else {
        fprintf(stderr, "make_patches: see the head of make_patches.c\n");
        return 2;
    }
    return 0;
}
