/*
 * stats-page.c - prints the names of the statistics and histograms of a store, one a line.
 *
 * Used by tools/check/stats-page. The argument is a directory that is not there yet.
 */
#include <commitlog.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: stats-page DIR\n");
        return 2;
    }
    int32_t code = commitlog_open(argv[1], NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        fprintf(stderr, "stats-page: %s\n", err.message);
        return 1;
    }
    const char *name = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; (code = commitlog_stat(store, i, &name, &value)) == COMMITLOG_OK; i++)
        printf("%s\n", name);
    struct commitlog_histogram it = {.struct_bytes = sizeof it};
    for (uint32_t i = 0; code == COMMITLOG_ENOTFOUND && /* past the last */
                         commitlog_histogram_get(store, i, &it) == COMMITLOG_OK;
         i++)
        printf("%s\n", it.name);
    if (code == COMMITLOG_ENOTFOUND)
        code = commitlog_close(store, &err);
    return code == COMMITLOG_OK ? 0 : 1;
}
