/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.c -- a main for a fuzz target without a fuzzer: gives it each file named in the arguments,
 * and each file in the folders named there. Without arguments: the corpus kept for it, which is
 * fuzz/corpus/NAME, NAME being that of the program. "-" is standard input.
 *
 * Serves `make check`, whoever has a file that crashes, and AFL++: built with afl-clang-fast and
 * without arguments it takes inputs from afl-fuzz, many in one process. Prints the number of
 * inputs; what an input shows to be wrong ends the process, and the last line printed names it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fuzz.h"

#define REPLAY_BYTES_MAX ((size_t)4 << 20)

static unsigned long replay_count;

/* From a block of exactly the size, so that a sanitizer sees what is read beyond it. */
static int replay_bytes(const uint8_t *bytes, size_t count)
{
    uint8_t *data = malloc(count == 0 ? 1 : count);
    if (data == NULL) {
        return -1;
    }
    memcpy(data, bytes, count);
    int rc = LLVMFuzzerTestOneInput(data, count);
    replay_count++;
    free(data);
    return rc;
}

static int replay_stream(FILE *file, const char *path)
{
    uint8_t *room = malloc(REPLAY_BYTES_MAX);
    size_t bytes = room == NULL ? 0 : fread(room, 1, REPLAY_BYTES_MAX, file);
    int rc = room == NULL || ferror(file) ? -1 : 0;
    if (rc == 0) {
        (void)printf("%s\n", path);
        (void)fflush(stdout);
        rc = replay_bytes(room, bytes);
    }
    free(room);
    return rc;
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int rc = replay_stream(file, path);
    (void)fclose(file);
    return rc;
}

static int replay_path(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOTDIR ? replay_file(path) : (perror(path), -1);
    }
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        char name[1024];
        if (entry->d_name[0] == '.') {
            continue;
        }
        int bytes = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        rc = bytes < 0 || (size_t)bytes >= sizeof(name) ? -1 : replay_path(name);
    }
    (void)closedir(folder);
    return rc;
}

#ifdef __AFL_HAVE_MANUAL_CONTROL /* afl-clang-fast */
#define REPLAY_AFL_INPUTS 10000  /* of one process: what leaks or stays behind goes with it */
/* Its macros are not ours. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wextra-semi"
#pragma clang diagnostic ignored "-Wcast-qual"
#pragma clang diagnostic ignored "-Wpedantic"
#pragma clang diagnostic ignored "-Wconversion"
__AFL_FUZZ_INIT();

/* True: afl-fuzz gave inputs. */
static bool replay_afl(void)
{
    if (getenv("__AFL_SHM_ID") == NULL) {
        return false;
    }
    __AFL_INIT();
    const uint8_t *input = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(REPLAY_AFL_INPUTS)) {
        (void)replay_bytes(input, (size_t)__AFL_FUZZ_TESTCASE_LEN);
    }
    return true;
}
#pragma clang diagnostic pop
#else
static bool replay_afl(void)
{
    return false;
}
#endif

int main(int argc, char **argv)
{
    int rc = 0;
    if (argc < 2 && replay_afl()) {
        return 0;
    }
    if (argc < 2) {
        char corpus[256];
        const char *slash = strrchr(argv[0], '/');
        (void)snprintf(corpus, sizeof(corpus), "fuzz/corpus/%s",
                       slash == NULL ? argv[0] : slash + 1);
        rc = replay_path(corpus);
    }
    for (int i = 1; i < argc && rc == 0; i++) {
        rc = strcmp(argv[i], "-") == 0 ? replay_stream(stdin, "-") : replay_path(argv[i]);
    }
    if (rc != 0 || replay_count == 0) {
        (void)fprintf(stderr, "not every input could be replayed\n");
        return 1;
    }
    (void)printf("checks: %lu\n", replay_count);
    return 0;
}
