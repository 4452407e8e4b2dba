/* SPDX-License-Identifier: BSD-2-Clause */
/* spoil_files.c -- the files of a store, places in them, and what a change of them touches; see
 * spoil.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spoil.h"

/* RING_AT: where the stage begins in the live area, see commitlog-format(5). */
enum { PAGE = 4096, DATA = 8192, RING_AT = 65536 };

/* ---- the files of a store ------------------------------------------------------------------ */

bool file_get(struct commitlog_fault *machine, const char *path, struct store_file *out)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    if (commitlog_fault_content(machine, path, &data, &bytes) != COMMITLOG_OK) {
        return false;
    }
    (void)snprintf(out->path, sizeof(out->path), "%s", path);
    out->bytes = bytes;
    out->base = 0;
    out->data = need_alloc(bytes + 1);
    memcpy(out->data, data, bytes);
    return true;
}

void file_put(struct commitlog_fault *machine, const char *path, const void *data, uint64_t bytes)
{
    (void)commitlog_fault_resize(machine, path, 0);
    CHECK_RC(commitlog_fault_write(machine, path, 0, data, bytes), COMMITLOG_OK);
}

void file_drop(struct store_file *file)
{
    free(file->data);
    file->data = NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct store_file *)a)->path, ((const struct store_file *)b)->path);
}

static uint32_t files_in(struct commitlog_fault *machine, const char *directory,
                         struct store_file *out, uint32_t room)
{
    uint32_t count = 0;
    const char *name = NULL;
    char path[FILES_PATH];
    for (uint32_t i = 0; commitlog_fault_name(machine, directory, i, &name) == COMMITLOG_OK; i++) {
        (void)snprintf(path, sizeof(path), "%.40s/%.38s", directory, name);
        CHECK(count < room);
        if (file_get(machine, path, &out[count])) {
            out[count].base = strtoull(name, NULL, 10);
            count++;
        }
    }
    qsort(out, count, sizeof(*out), by_path);
    return count;
}

bool is_zero(const uint8_t *data, uint64_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

void files_read(struct commitlog_fault *machine, const struct grown *grown, struct store_files *out)
{
    const char *name = NULL;
    memset(out, 0, sizeof(*out));
    out->log_count = files_in(machine, GROWN_PATH "/log", out->log, FILES_MAX);
    out->view_count = files_in(machine, GROWN_PATH "/view", out->view, FILES_MAX * 3);
    if (grown->live == COMMITLOG_LIVE_DIR) {
        const void *data = NULL;
        uint64_t bytes = 0;
        (void)snprintf(out->live, sizeof(out->live), "%s", GROWN_PATH "/LIVE");
        if (commitlog_fault_content(machine, out->live, &data, &bytes) != COMMITLOG_OK) {
            out->live[0] = '\0';
        }
    } else if (commitlog_fault_name(machine, "/shm", 0, &name) == COMMITLOG_OK) {
        (void)snprintf(out->live, sizeof(out->live), "/shm/%.70s", name);
    }
    for (uint32_t i = 0; i < out->log_count; i++) {
        bool used =
            out->log[i].bytes > DATA && !is_zero(out->log[i].data + DATA, out->log[i].bytes - DATA);
        out->segments = used ? i + 1 : out->segments;
    }
    CHECK(out->segments > 0);
}

void files_free(struct store_files *files)
{
    for (uint32_t i = 0; i < files->log_count; i++) {
        file_drop(&files->log[i]);
    }
    for (uint32_t i = 0; i < files->view_count; i++) {
        file_drop(&files->view[i]);
    }
}

const struct store_file *files_segment(const struct store_files *files, uint64_t position)
{
    for (uint32_t i = 0; i < files->log_count; i++) {
        if (position >= files->log[i].base && position < files->log[i].base + files->log[i].bytes) {
            return &files->log[i];
        }
    }
    return NULL;
}

/* ---- what is touched ----------------------------------------------------------------------- */

/* What lies between items and before the end of the log are control records, fillers and pads. */
static bool has_control(const struct grown *grown, uint64_t from, uint64_t to)
{
    const struct book *book = &grown->book;
    while (from < to) {
        uint32_t next = book_from(book, from + 1);
        const struct book_item *item = next > 0 ? &book->items[next - 1] : NULL;
        const struct book_item *behind = next < book->count ? &book->items[next] : NULL;
        if (item != NULL && item->hull_to > from) {
            from = item->hull_to;
        } else if (behind != NULL && behind->hull_from <= from) {
            from = behind->hull_to;
        } else {
            return true;
        }
    }
    return false;
}

void spoil_range(const struct grown *grown, const struct store_file *file, uint64_t at,
                 uint64_t bytes, struct spoil *out)
{
    const struct book *book = &grown->book;
    uint64_t from = file->base + at;
    uint64_t to = from + bytes;
    out->log = true;
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        /* The body of a hole means nothing. */
        uint64_t end = item->is_hole ? item->end - item->body_bytes : item->hull_to;
        if (item->hull_from < to && end > from) {
            out->touched[i] = true;
            out->own[i] = out->own[i] || (item->position < to && item->end > from);
        }
    }
    from = file->base + (at > DATA ? at : DATA);
    to = at + bytes < file->bytes - PAGE ? at + bytes : file->bytes - PAGE;
    to = file->base + to < grown->log_end ? file->base + to : grown->log_end;
    out->control = out->control || has_control(grown, from, to);
}

/* A segment that is not what it was. */
static bool spoil_compare(const struct grown *grown, const struct store_file *before,
                          const uint8_t *after, uint64_t after_bytes, struct spoil *out)
{
    uint64_t at = 0;
    bool header[2] = {false, false};
    while (at < before->bytes) {
        uint64_t bytes = 0;
        while (at < before->bytes && at < after_bytes && before->data[at] == after[at]) {
            at++;
        }
        while (at + bytes < before->bytes &&
               (at + bytes >= after_bytes || before->data[at + bytes] != after[at + bytes])) {
            bytes++;
        }
        if (bytes > 0) {
            spoil_range(grown, before, at, bytes, out);
            for (uint32_t i = 0; i < 2; i++) {
                header[i] = header[i] || (at < (i + 1) * PAGE && at + bytes > i * PAGE);
            }
        }
        at += bytes;
    }
    out->log = out->log || after_bytes != before->bytes;
    return header[0] && header[1];
}

/* Of these positions the stage is not what it was; what log/ has, too, did not need it. */
static void spoil_staged(const struct grown *grown, const struct store_files *files, uint64_t from,
                         uint64_t to, struct spoil *out)
{
    for (uint32_t i = 0; i < grown->book.count; i++) {
        const struct book_item *item = &grown->book.items[i];
        const struct store_file *file = files_segment(files, item->position);
        if (item->hull_from < to && item->hull_to > from &&
            (file == NULL || is_zero(file->data + (item->position - file->base), 8))) {
            out->staged[i] = true;
        }
    }
    out->control = out->control || has_control(grown, from, to);
}

/* What a writer that was killed had in its stage alone: is it what it was? */
static void spoil_compare_stage(const struct grown *grown, const struct store_files *files,
                                struct commitlog_fault *machine, struct spoil *out)
{
    const void *content = NULL;
    uint64_t bytes = 0, after_bytes = 0, from = 0;
    if (files->live[0] == '\0' || grown->end != GROWN_KILLED ||
        grown->engine != COMMITLOG_ENGINE_STAGED ||
        commitlog_fault_content(grown->machine, files->live, &content, &bytes) != COMMITLOG_OK ||
        bytes <= RING_AT) {
        return;
    }
    const uint8_t *before = content;
    if (commitlog_fault_content(machine, files->live, &content, &after_bytes) != COMMITLOG_OK) {
        after_bytes = 0;
    }
    const uint8_t *after = content;
    bool unreadable = strcmp(out->bad_path, files->live) == 0;
    for (uint64_t position = grown->book.written; position <= grown->log_end; position++) {
        uint64_t at = RING_AT + position % (bytes - RING_AT);
        bool same = position == grown->log_end ||
                    (at < after_bytes && before[at] == after[at] &&
                     !(unreadable && at >= out->bad_at && at - out->bad_at < out->bad_bytes));
        if (same && from != 0) {
            spoil_staged(grown, files, from, position, out);
        }
        from = same ? 0 : from != 0 ? from : position;
    }
}

void spoil_find(const struct grown *grown, const struct store_files *files,
                struct commitlog_fault *machine, struct spoil *out)
{
    spoil_compare_stage(grown, files, machine, out);
    for (uint32_t i = 0; i < files->log_count; i++) {
        const void *data = NULL;
        uint64_t bytes = 0;
        if (commitlog_fault_content(machine, files->log[i].path, &data, &bytes) != COMMITLOG_OK) {
            bytes = 0;
        }
        out->headless[i] =
            spoil_compare(grown, &files->log[i], data, bytes, out) || out->headless[i];
    }
}

/* One that is being prepared has another name, and recovery reads nothing of it. */
static bool is_segment(const struct store_file *file)
{
    const size_t length = strlen(file->path);
    return length > 4 && strcmp(file->path + length - 4, ".log") == 0;
}

bool spoil_is_unknown(const struct spoil *spoil, const struct store_files *files, uint64_t position)
{
    for (uint32_t i = 0; i < files->log_count; i++) {
        const struct store_file *file = &files->log[i];
        if (position >= file->base && position < file->base + file->bytes) {
            bool followed = i + 1 < files->log_count && is_segment(&files->log[i + 1]);
            return spoil->headless[i] && (!followed || spoil->headless[i + 1]);
        }
    }
    return false;
}

bool spoil_leaves_nothing(const struct spoil *spoil, const struct store_files *files)
{
    for (uint32_t i = 0; i < files->log_count; i++) {
        if (is_segment(&files->log[i]) && !spoil->headless[i]) {
            return false;
        }
    }
    return spoil->checkpoint;
}

/* ---- places -------------------------------------------------------------------------------- */

const struct store_file *files_any_segment(const struct store_files *files, struct rng *rng)
{
    return &files->log[rng_below(rng, files->segments)];
}

static bool is_written(const struct store_file *file, uint64_t position)
{
    return !is_zero(file->data + (position - file->base), 8);
}

void spoil_place(const struct grown *grown, const struct store_files *files, struct rng *rng,
                 bool in_item, const struct store_file **out_file, uint64_t *out_at)
{
    const struct book *book = &grown->book;
    for (uint32_t tries = 0; in_item && tries < 1000 && book->count > 0; tries++) {
        const struct book_item *item = &book->items[rng_below(rng, book->count)];
        if (rng_chance(rng, 1, 2)) { /* by bytes, not by records */
            uint64_t from = book->items[0].position;
            uint64_t at = from + rng_below(rng, book->items[book->count - 1].end - from);
            uint32_t index = book_from(book, at + 1);
            item = &book->items[index - 1];
        }
        if (item->is_hole || item->end > grown->required) {
            continue;
        }
        *out_file = files_segment(files, item->position);
        if (*out_file == NULL || !is_written(*out_file, item->position)) {
            continue; /* only in the stage */
        }
        uint64_t bytes = item->end - item->position;
        uint64_t in = rng_below(rng, rng_chance(rng, 1, 2) && bytes > 64 ? 64 : bytes);
        *out_at = item->position + in - (*out_file)->base;
        return;
    }
    *out_file = files_any_segment(files, rng);
    *out_at = rng_below(rng, (*out_file)->bytes);
}
