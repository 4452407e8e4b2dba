/* SPDX-License-Identifier: BSD-2-Clause */
/* records.c -- the records of the comparison and lists of their numbers; see records.h. */
#include "records.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"

static _Thread_local char said[ENGINE_MESSAGE_MAX] = "";

void engine_said(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
}

const char *engine_message(void)
{
    return said;
}

size_t record_make(uint64_t seq, uint8_t *out)
{
    struct rng rng;
    rng_begin(&rng, seq ^ 0x9ee5);
    size_t bytes = (size_t)rng_between(&rng, RECORD_BYTES_MIN, RECORD_BYTES_MAX);
    bytes_fill(out, bytes, seq);
    return bytes;
}

struct list list_load(const char *path)
{
    struct list list = {NULL, 0};
    if (!path_exists(path))
        return list;
    struct file_bytes file = file_read(path);
    list.count = (uint32_t)(file.size / sizeof(uint64_t));
    list.seqs = need_alloc(file.size + 1);
    memcpy(list.seqs, file.data, list.count * sizeof(uint64_t));
    file_free(&file);
    return list;
}

void list_free(struct list *list)
{
    free(list->seqs);
    *list = (struct list){NULL, 0};
}

int list_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECKF(fd >= 0, "%s", path);
    return fd;
}

void list_add(int fd, uint64_t seq)
{
    CHECK(write(fd, &seq, sizeof seq) == (ssize_t)sizeof seq);
}

bool list_has(const struct list *list, uint64_t seq)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->seqs[i] == seq)
            return true;
    return false;
}

void list_replace(const char *path, const struct list *list)
{
    file_write(path, list->seqs, list->count * sizeof(uint64_t));
}

bool record_read(const struct engine *engine, void *db, uint64_t seq, struct found *found)
{
    static _Thread_local uint8_t got[ENGINE_BODY_MAX], expected[RECORD_BYTES_MAX];
    size_t bytes = 0, expected_bytes = record_make(seq, expected);
    enum engine_answer answer = engine->read(db, seq, got, &bytes);
    if (answer == ENGINE_MISSING)
        found->missing++;
    else if (answer == ENGINE_ERROR)
        found->error++;
    else if (bytes != expected_bytes || memcmp(got, expected, bytes) != 0)
        found->wrong++;
    else
        found->right++;
    return answer == ENGINE_RIGHT && bytes == expected_bytes && memcmp(got, expected, bytes) == 0;
}
