/*
 * bench_host.c -- directories of the benchmark, and what the kernel says about this process.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

int bench_make_directory(struct bench *bench, const char *below)
{
    assert(bench != NULL && below != NULL);
    const int length =
        snprintf(bench->directory, sizeof(bench->directory), "%s/commitlog-bench-XXXXXX", below);
    if (length < 0 || (size_t)length >= sizeof(bench->directory) - 64 ||
        mkdtemp(bench->directory) == NULL) {
        cli_error(bench->cli, "%s: cannot make a directory for the benchmark: %s", below,
                  strerror(errno));
        bench->directory[0] = '\0';
        return CLI_CANNOT;
    }
    return CLI_DONE;
}

void bench_path(const struct bench *bench, const char *name, char *path, size_t size)
{
    const int length = snprintf(path, size, "%s/%s", bench->directory, name);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}

static int bench_remove_one(const char *path, const struct stat *status, int kind,
                            struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void bench_remove(const char *path)
{
    assert(path != NULL && path[0] != '\0');
    (void)nftw(path, bench_remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

uint64_t bench_files_bytes(const char *path)
{
    uint64_t bytes = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode)) {
            bytes += (uint64_t)status.st_size;
        }
    }
    closedir(directory);
    return bytes;
}

uint64_t bench_open_files(void)
{
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(directory);
    return count - 1; /* without the one that counted */
}

uint64_t bench_memory_bytes(void)
{
    uint64_t bytes = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            bytes += strtoull(line + 8, NULL, 10) * 1024;
        } else if (strncmp(line, "RssShmem:", 9) == 0) {
            bytes += strtoull(line + 9, NULL, 10) * 1024;
        }
    }
    (void)fclose(file);
    return bytes;
}
