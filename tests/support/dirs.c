/* SPDX-License-Identifier: BSD-2-Clause */
/* dirs.c -- directories and files of a test; see dirs.h. */
#define _GNU_SOURCE
#include "dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prog.h"

#define NEED(condition, path)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            prog_fail(__FILE__, __LINE__, #condition, "%s: %s", path, strerror(errno));            \
    } while (0)

void path_join(char out[DIRS_PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(out, DIRS_PATH_MAX, "%s/%s", directory, name);
    NEED(length > 0 && length < DIRS_PATH_MAX, directory);
}

bool path_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

void dirs_make(char out[DIRS_PATH_MAX], const char *tag)
{
    const char *base = getenv("TEST_DIR");
    int length = 0;
    if (base == NULL || *base == '\0')
        base = getenv("TMPDIR");
    if (base == NULL || *base == '\0')
        base = "/tmp";
    length = snprintf(out, DIRS_PATH_MAX, "%s/commitlog-%s-%ld-XXXXXX", base, tag, (long)getpid());
    NEED(length > 0 && length < DIRS_PATH_MAX, base);
    NEED(mkdtemp(out) != NULL, out);
}

void dirs_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return;
    if (S_ISDIR(info.st_mode)) {
        struct name_list names;
        char child[DIRS_PATH_MAX];
        NEED(chmod(path, 0700) == 0, path);
        names = dirs_list(path, "");
        for (uint32_t i = 0; i < names.count; i++) {
            path_join(child, path, names.names[i]);
            dirs_remove(child);
        }
        names_free(&names);
        NEED(rmdir(path) == 0, path);
        return;
    }
    NEED(unlink(path) == 0, path);
}

void dirs_copy(const char *from, const char *to)
{
    struct name_list names = dirs_list(from, "");
    NEED(mkdir(to, 0700) == 0, to);
    for (uint32_t i = 0; i < names.count; i++) {
        char source[DIRS_PATH_MAX];
        char target[DIRS_PATH_MAX];
        struct stat info;
        path_join(source, from, names.names[i]);
        path_join(target, to, names.names[i]);
        NEED(lstat(source, &info) == 0, source);
        if (S_ISDIR(info.st_mode)) {
            dirs_copy(source, target);
        } else if (S_ISREG(info.st_mode)) {
            struct file_bytes file = file_read(source);
            file_write(target, file.data, file.size);
            file_free(&file);
        }
    }
    names_free(&names);
}

struct file_bytes file_read(const char *path)
{
    struct file_bytes file = {NULL, 0};
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0, path);
    NEED(fstat(fd, &info) == 0, path);
    file.data = need_alloc((size_t)info.st_size);
    while (file.size < (size_t)info.st_size) {
        ssize_t got = read(fd, file.data + file.size, (size_t)info.st_size - file.size);
        NEED(got >= 0, path);
        if (got == 0)
            break;
        file.size += (size_t)got;
    }
    close(fd);
    return file;
}

void file_free(struct file_bytes *file)
{
    free(file->data);
    file->data = NULL;
    file->size = 0;
}

void file_write(const char *path, const void *data, size_t size)
{
    const uint8_t *at = data;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    NEED(fd >= 0, path);
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        NEED(put > 0, path);
        at += put;
        size -= (size_t)put;
    }
    NEED(close(fd) == 0, path);
}

void file_patch(const char *path, uint64_t at, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    NEED(fd >= 0, path);
    NEED(pwrite(fd, data, size, (off_t)at) == (ssize_t)size, path);
    NEED(close(fd) == 0, path);
}

uint64_t file_size(const char *path)
{
    struct stat info;
    NEED(stat(path, &info) == 0, path);
    return (uint64_t)info.st_size;
}

static int names_order(const void *a, const void *b)
{
    return strcmp((const char *)a, (const char *)b);
}

struct name_list dirs_list(const char *path, const char *suffix)
{
    struct name_list list = {NULL, 0};
    size_t ends = strlen(suffix);
    DIR *dir = opendir(path);
    struct dirent *entry = NULL;
    NEED(dir != NULL, path);
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (length < ends || strcmp(entry->d_name + length - ends, suffix) != 0)
            continue;
        list.names = need_grow(list.names, (list.count + 1U) * sizeof *list.names);
        memcpy(list.names[list.count], entry->d_name, length + 1);
        list.count++;
    }
    closedir(dir);
    if (list.count > 1)
        qsort(list.names, list.count, sizeof *list.names, names_order);
    return list;
}

void names_free(struct name_list *list)
{
    free(list->names);
    list->names = NULL;
    list->count = 0;
}

uint64_t dirs_hash(const char *path)
{
    struct name_list names = dirs_list(path, "");
    uint64_t hash = names.count;
    for (uint32_t i = 0; i < names.count; i++) {
        char child[DIRS_PATH_MAX];
        struct stat info;
        path_join(child, path, names.names[i]);
        NEED(lstat(child, &info) == 0, child);
        hash = hash * 31 + bytes_hash(names.names[i], strlen(names.names[i]));
        if (S_ISDIR(info.st_mode)) {
            hash = hash * 31 + dirs_hash(child);
        } else if (S_ISREG(info.st_mode)) {
            struct file_bytes file = file_read(child);
            hash = hash * 31 + bytes_hash(file.data, file.size);
            file_free(&file);
        }
    }
    names_free(&names);
    return hash;
}

void store_live_remove(const char *path)
{
    static const char where[] = "/dev/shm/";
    char name[DIRS_PATH_MAX];
    struct file_bytes lock;
    path_join(name, path, "LIVE");
    dirs_remove(name);
    path_join(name, path, "LOCK");
    if (!path_exists(name))
        return;
    lock = file_read(name);
    for (size_t i = 0; i + sizeof where < lock.size; i++) {
        size_t length = 0;
        if (memcmp(lock.data + i, where, sizeof where - 1) != 0)
            continue;
        while (i + length < lock.size && length < sizeof name - 1 && lock.data[i + length] > ' ' &&
               lock.data[i + length] < 0x7f && lock.data[i + length] != '"')
            length++;
        memcpy(name, lock.data + i, length);
        name[length] = '\0';
        if (unlink(name) != 0 && errno != ENOENT)
            NEED(false, name);
        break;
    }
    file_free(&lock);
}
