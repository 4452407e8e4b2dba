/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * use.c -- the public header first and alone, in a file that is C99, C11 and C++ at once.
 *
 * Names every function of the interface, so that a declaration that one of the languages does not
 * take, or a function that the library does not have, ends the build.
 */
#include "commitlog.h"

#include <stdio.h>
#include <string.h>

typedef void (*any_function)(void);

#define ENTRY(name)                                                                                \
    {                                                                                              \
#name, (any_function)name                                                                  \
    }

static const struct {
    const char *name;
    any_function function;
} table[] = {
#include "entries.h" /* of each function an ENTRY: check-headers.sh writes it from the header */
};

/* Sizes and places that a binding in another language writes down by hand. */
static int layout(void)
{
    struct commitlog_record record;
    memset(&record, 0, sizeof record);
    record.struct_bytes = (uint32_t)sizeof record;
    return sizeof(struct commitlog_error) == 256 && sizeof(struct commitlog_slice) == 16 &&
           sizeof(struct commitlog_receipt) == 48 && sizeof(struct commitlog_message) == 184 &&
           record.struct_bytes == 112;
}

int main(void)
{
    unsigned checks = 0;
    size_t i;
    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].function == NULL || strncmp(table[i].name, "commitlog_", 10) != 0)
            return 1;
        checks++;
    }
    if (!layout()) {
        printf("sizes: error %u slice %u receipt %u message %u record %u\n",
               (unsigned)sizeof(struct commitlog_error), (unsigned)sizeof(struct commitlog_slice),
               (unsigned)sizeof(struct commitlog_receipt),
               (unsigned)sizeof(struct commitlog_message),
               (unsigned)sizeof(struct commitlog_record));
        return 1;
    }
    checks++;
    if (commitlog_version_check(COMMITLOG_VERSION_MAJOR, COMMITLOG_VERSION_MINOR) != COMMITLOG_OK)
        return 1;
    checks++;
    printf("checks: %u\n", checks);
    return 0;
}
