/* SPDX-License-Identifier: BSD-2-Clause */
/* spoil.c -- see spoil.h. */
#include "spoil.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum { PAGE = 4096, GARBAGE_MAX = 6000 };

static const char *const spoil_names[SPOIL_KINDS] = {"flip",
                                                     "garbage",
                                                     "zero-512",
                                                     "zero-4096",
                                                     "swap-inside",
                                                     "swap-across",
                                                     "stale-page",
                                                     "truncated",
                                                     "extended",
                                                     "missing",
                                                     "copy-elsewhere",
                                                     "copy-next",
                                                     "exchanged",
                                                     "foreign-segment",
                                                     "old-segment",
                                                     "old-checkpoint",
                                                     "foreign-checkpoint",
                                                     "bad-checkpoint",
                                                     "old-live",
                                                     "foreign-live",
                                                     "bad-live",
                                                     "old-view",
                                                     "foreign-view",
                                                     "bad-view",
                                                     "unreadable-segment",
                                                     "unreadable-checkpoint",
                                                     "unreadable-view",
                                                     "unreadable-live"};

const char *spoil_name(enum spoil_kind kind)
{
    return spoil_names[kind];
}

/* ---- kinds --------------------------------------------------------------------------------- */

struct work {
    const struct grown *grown;
    const struct store_files *files;
    const struct grown *foreign;
    struct commitlog_fault *machine;
    struct rng *rng;
    struct spoil *out;
};

static void spoil_says(struct work *work, const char *path, uint64_t at, uint64_t bytes)
{
    (void)snprintf(work->out->what, sizeof(work->out->what), "%s: %s [%llu, %llu)",
                   spoil_names[work->out->kind], path, (ull)at, (ull)(at + bytes));
}

static void overwrite(struct work *work, const struct store_file *file, uint64_t at,
                      const void *data, uint64_t bytes)
{
    bytes = at + bytes > file->bytes ? file->bytes - at : bytes;
    spoil_says(work, file->path, at, bytes);
    CHECK_RC(commitlog_fault_write(work->machine, file->path, at, data, bytes), COMMITLOG_OK);
}

static bool spoil_bytes(struct work *work)
{
    static const uint8_t zeros[PAGE];
    uint8_t garbage[GARBAGE_MAX];
    const struct store_file *file = NULL;
    uint64_t at = 0;
    uint64_t page = work->out->kind == SPOIL_ZERO_512 ? 512 : PAGE;
    spoil_place(work->grown, work->files, work->rng, rng_chance(work->rng, 3, 4), &file, &at);
    if (work->out->kind == SPOIL_FLIP) {
        uint8_t byte = (uint8_t)(file->data[at] ^ (1u << rng_below(work->rng, 8)));
        overwrite(work, file, at, &byte, 1);
    } else if (work->out->kind == SPOIL_GARBAGE) {
        uint64_t bytes = rng_between(work->rng, 1, rng_chance(work->rng, 1, 2) ? 64 : GARBAGE_MAX);
        bytes_fill(garbage, bytes, rng_next(work->rng));
        overwrite(work, file, at, garbage, bytes);
    } else {
        overwrite(work, file, at - at % page, zeros, page);
    }
    return true;
}

static bool spoil_swap(struct work *work)
{
    const struct store_file *a = NULL;
    const struct store_file *b = NULL;
    uint64_t at = 0;
    uint64_t other = 0;
    uint64_t page = rng_chance(work->rng, 1, 3) ? 512 : PAGE;
    spoil_place(work->grown, work->files, work->rng, true, &a, &at);
    b = work->out->kind == SPOIL_SWAP_INSIDE ? a : files_any_segment(work->files, work->rng);
    other = rng_below(work->rng, b->bytes);
    if (work->out->kind == SPOIL_SWAP_ACROSS && rng_chance(work->rng, 1, 2)) {
        other = at; /* the same place of another file */
    }
    at -= at % page;
    other -= other % page;
    if (a->bytes < at + page || b->bytes < other + page) {
        return false;
    }
    overwrite(work, b, other, a->data + at, page);
    overwrite(work, a, at, b->data + other, page);
    return true;
}

/* Nobody can tell that a record is one that a recovery has cut since when it lies where, or behind
 * where, the next session began, and nothing of that session is left before it to contradict: it
 * verifies, and is of the session before. Not tried. */
static bool is_tellable(const struct grown *grown, const struct store_file *old, uint64_t at,
                        uint64_t bytes, uint32_t session)
{
    for (uint32_t i = session; i < grown->sessions; i++) {
        uint64_t began = grown->began[i] - old->base;
        bool inside = grown->began[i] >= old->base && began >= at && began < at + bytes;
        if (inside && !is_zero(old->data + began, at + bytes - began)) {
            return false;
        }
    }
    return true;
}

/* A page with something in it that is no more: that of an older session, if there is one. */
static uint64_t written_page(struct work *work, const struct store_file *file,
                             const struct store_file *old, uint64_t page, uint64_t otherwise)
{
    uint64_t seen = 0;
    for (uint64_t at = 0; at + page <= file->bytes && at + page <= old->bytes; at += page) {
        bool gone =
            !is_zero(old->data + at, page) && memcmp(old->data + at, file->data + at, page) != 0;
        if (gone && rng_below(work->rng, ++seen) == 0) {
            otherwise = at;
        }
    }
    return otherwise;
}

/* A page, or a whole segment, as it was in an earlier state of this store. */
static bool spoil_older(struct work *work)
{
    const struct store_file *file = NULL;
    const struct grown *grown = work->grown;
    bool whole = work->out->kind == SPOIL_OLD_SEGMENT;
    bool done = false;
    uint64_t at = 0;
    for (uint32_t tries = 0; tries < 30 && grown->history_count > 0 && !done; tries++) {
        struct store_file old;
        uint64_t page = rng_chance(work->rng, 1, 3) ? 512 : PAGE;
        uint64_t which = rng_below(work->rng, grown->history_count);
        spoil_place(grown, work->files, work->rng, rng_chance(work->rng, 3, 4), &file, &at);
        if (!file_get(grown->history[which], file->path, &old)) {
            continue;
        }
        old.base = file->base;
        at = whole ? 0 : at - at % page;
        if (!whole && rng_chance(work->rng, 1, 2)) {
            at = written_page(work, file, &old, page, at);
        }
        page = whole ? file->bytes : page;
        done = old.bytes == file->bytes && memcmp(old.data + at, file->data + at, page) != 0 &&
               is_tellable(grown, &old, at, page, grown->history_session[which]);
        if (done) {
            overwrite(work, file, at, old.data + at, page);
        }
        file_drop(&old);
    }
    return done;
}

static bool spoil_length(struct work *work)
{
    const struct store_file *file = files_any_segment(work->files, work->rng);
    uint8_t garbage[PAGE];
    uint64_t bytes = rng_below(work->rng, file->bytes);
    if (rng_chance(work->rng, 1, 4)) {
        bytes -= bytes % 4096;
    }
    if (work->out->kind == SPOIL_TRUNCATED) {
        CHECK_RC(commitlog_fault_resize(work->machine, file->path, bytes), COMMITLOG_OK);
        spoil_says(work, file->path, bytes, file->bytes - bytes);
        return true;
    }
    bytes = rng_between(work->rng, 1, PAGE);
    memset(garbage, 0, sizeof(garbage));
    if (rng_chance(work->rng, 1, 2)) {
        bytes_fill(garbage, bytes, rng_next(work->rng));
    }
    CHECK_RC(commitlog_fault_write(work->machine, file->path, file->bytes, garbage, bytes),
             COMMITLOG_OK);
    spoil_says(work, file->path, file->bytes, bytes);
    work->out->log = true;
    return true;
}

static bool spoil_names_of(struct work *work)
{
    const struct store_files *files = work->files;
    const struct store_file *file = files_any_segment(files, work->rng);
    const struct store_file *last = &files->log[files->log_count - 1];
    char path[FILES_PATH];
    uint64_t base = last->base + last->bytes;
    if (work->out->kind == SPOIL_MISSING) {
        spoil_says(work, file->path, 0, file->bytes);
        return commitlog_fault_remove(work->machine, file->path) == COMMITLOG_OK;
    }
    if (work->out->kind == SPOIL_EXCHANGED) {
        const struct store_file *other = files_any_segment(files, work->rng);
        file_put(work->machine, file->path, other->data, other->bytes);
        file_put(work->machine, other->path, file->data, file->bytes);
        spoil_says(work, file->path, other->base, other->bytes);
        return file != other;
    }
    if (work->out->kind == SPOIL_COPY_ELSEWHERE) {
        base = rng_below(work->rng, base + 300000);
        base -= rng_chance(work->rng, 3, 4) ? base % 4096 : 0;
    } else if (rng_chance(work->rng, 1, 2)) { /* in place of the one that was prepared */
        base = files->log[files->segments - 1].base + files->log[files->segments - 1].bytes;
    }
    (void)snprintf(path, sizeof(path), GROWN_PATH "/log/%020llu.log", (ull)base);
    for (uint32_t i = 0; i < files->segments; i++) {
        if (files->log[i].base == base) {
            return false;
        }
    }
    file_put(work->machine, path, file->data, file->bytes);
    spoil_says(work, path, file->base, file->bytes);
    work->out->log = true;
    return true;
}

static bool spoil_foreign_segment(struct work *work)
{
    const struct store_file *file = files_any_segment(work->files, work->rng);
    struct store_file other;
    char path[FILES_PATH];
    uint64_t base = file->base;
    (void)snprintf(path, sizeof(path), "%s", file->path);
    if (rng_chance(work->rng, 1, 6)) { /* behind the end */
        const struct store_file *last = &work->files->log[work->files->log_count - 1];
        base = last->base + last->bytes;
        (void)snprintf(path, sizeof(path), GROWN_PATH "/log/%020llu.log", (ull)base);
    }
    if (!file_get(work->foreign->machine, path, &other)) {
        const char *name = NULL;
        char any[FILES_PATH];
        CHECK_RC(commitlog_fault_name(work->foreign->machine, GROWN_PATH "/log", 0, &name),
                 COMMITLOG_OK);
        (void)snprintf(any, sizeof(any), GROWN_PATH "/log/%.40s", name);
        CHECK(file_get(work->foreign->machine, any, &other));
    }
    file_put(work->machine, path, other.data, other.bytes);
    spoil_says(work, path, 0, other.bytes);
    (void)snprintf(work->out->foreign_path, sizeof(work->out->foreign_path), "%s", path);
    work->out->log = true;
    file_drop(&other);
    return true;
}

/* A file that is not in log/: as it was earlier, that of another store, or with damage. */
static bool spoil_aside(struct work *work, const char *path, bool old, bool foreign)
{
    const struct grown *grown = work->grown;
    struct store_file own;
    struct store_file other = {.data = NULL};
    if (path[0] == '\0' || !file_get(work->machine, path, &own)) {
        return false;
    }
    if (own.bytes == 0) {
        file_drop(&own);
        return false;
    }
    bool done = true;
    spoil_says(work, path, 0, own.bytes);
    if (old || foreign) {
        struct commitlog_fault *from =
            foreign                    ? work->foreign->machine
            : grown->history_count > 0 ? grown->history[rng_below(work->rng, grown->history_count)]
                                       : NULL;
        done = from != NULL && file_get(from, path, &other) &&
               (other.bytes != own.bytes || memcmp(other.data, own.data, own.bytes) != 0);
        if (done) {
            file_put(work->machine, path, other.data, other.bytes);
        }
        if (foreign && work->out->checkpoint) {
            (void)snprintf(work->out->foreign_path, sizeof(work->out->foreign_path), "%s", path);
        }
    } else {
        uint8_t garbage[PAGE];
        uint64_t at = rng_below(work->rng, own.bytes);
        uint64_t bytes = rng_between(work->rng, 1, 512);
        bytes_fill(garbage, sizeof(garbage), rng_next(work->rng));
        switch (rng_below(work->rng, 6)) {
        case 0:
            CHECK_RC(commitlog_fault_remove(work->machine, path), COMMITLOG_OK);
            break;
        case 1:
            CHECK_RC(commitlog_fault_resize(work->machine, path, at), COMMITLOG_OK);
            break;
        case 2:
            memset(garbage, 0, sizeof(garbage));
            CHECK_RC(commitlog_fault_write(work->machine, path, at - at % PAGE, garbage,
                                           own.bytes < PAGE ? own.bytes : PAGE),
                     COMMITLOG_OK);
            break;
        case 3:
            CHECK_RC(commitlog_fault_write(work->machine, path, at, garbage, bytes), COMMITLOG_OK);
            break;
        default:
            CHECK_RC(commitlog_fault_flip(work->machine, path, at, 1u << rng_below(work->rng, 8)),
                     COMMITLOG_OK);
        }
        spoil_says(work, path, at, bytes);
    }
    file_drop(&own);
    free(other.data);
    return done;
}

static bool spoil_unreadable(struct work *work, const char *path, uint64_t bytes)
{
    uint64_t unit = PAGE; /* what a system does not get from a device, whatever its sectors */
    uint64_t count = rng_chance(work->rng, 2, 3) ? 1 : rng_between(work->rng, 1, 8);
    uint64_t at = 0;
    const struct store_file *file = NULL;
    if (path == NULL) {
        spoil_place(work->grown, work->files, work->rng, rng_chance(work->rng, 3, 4), &file, &at);
        path = file->path;
    } else if (path[0] == '\0' || bytes == 0) {
        return false;
    } else {
        at = rng_below(work->rng, bytes);
    }
    at -= at % unit;
    CHECK_RC(commitlog_fault_bad_range(work->machine, path, at, unit * count), COMMITLOG_OK);
    (void)snprintf(work->out->bad_path, sizeof(work->out->bad_path), "%s", path);
    work->out->bad_at = at;
    work->out->bad_bytes = unit * count;
    spoil_says(work, path, at, unit * count);
    if (file != NULL) {
        uint64_t to = at + unit * count > file->bytes ? file->bytes : at + unit * count;
        spoil_range(work->grown, file, at, to - at, work->out);
        work->out->headless[file - work->files->log] = at < PAGE && to > PAGE;
    }
    return true;
}

static const struct store_file *any_view(struct work *work)
{
    static const struct store_file none;
    uint32_t count = work->files->view_count;
    return count == 0 ? &none : &work->files->view[rng_below(work->rng, count)];
}

static bool spoil_other_file(struct work *work)
{
    static const char checkpoint[] = GROWN_PATH "/CHECKPOINT";
    enum spoil_kind kind = work->out->kind;
    bool old = kind == SPOIL_OLD_CHECKPOINT || kind == SPOIL_OLD_LIVE || kind == SPOIL_OLD_VIEW;
    bool foreign = kind == SPOIL_FOREIGN_CHECKPOINT || kind == SPOIL_FOREIGN_LIVE ||
                   kind == SPOIL_FOREIGN_VIEW;
    const struct store_file *view = any_view(work);
    if (kind == SPOIL_UNREADABLE_CHECKPOINT) {
        work->out->checkpoint = true;
        return spoil_unreadable(work, checkpoint, 8192);
    }
    if (kind == SPOIL_UNREADABLE_VIEW) {
        work->out->view = true;
        return spoil_unreadable(work, view->path, view->bytes);
    }
    if (kind == SPOIL_UNREADABLE_LIVE) {
        work->out->live = true;
        return spoil_unreadable(work, work->files->live, 69632);
    }
    if (kind >= SPOIL_OLD_CHECKPOINT && kind <= SPOIL_BAD_CHECKPOINT) {
        work->out->checkpoint = true;
        return spoil_aside(work, checkpoint, old, foreign);
    }
    if (kind >= SPOIL_OLD_LIVE && kind <= SPOIL_BAD_LIVE) {
        work->out->live = true;
        return spoil_aside(work, work->files->live, old, foreign);
    }
    work->out->view = true;
    return spoil_aside(work, view->path, old, foreign);
}

static bool spoil_do(struct work *work)
{
    switch (work->out->kind) {
    case SPOIL_FLIP:
    case SPOIL_GARBAGE:
    case SPOIL_ZERO_512:
    case SPOIL_ZERO_4096:
        return spoil_bytes(work);
    case SPOIL_SWAP_INSIDE:
    case SPOIL_SWAP_ACROSS:
        return spoil_swap(work);
    case SPOIL_STALE_PAGE:
    case SPOIL_OLD_SEGMENT:
        return spoil_older(work);
    case SPOIL_TRUNCATED:
    case SPOIL_EXTENDED:
        return spoil_length(work);
    case SPOIL_MISSING:
    case SPOIL_COPY_ELSEWHERE:
    case SPOIL_COPY_NEXT:
    case SPOIL_EXCHANGED:
        return spoil_names_of(work);
    case SPOIL_FOREIGN_SEGMENT:
        return spoil_foreign_segment(work);
    case SPOIL_UNREADABLE_SEGMENT:
        return spoil_unreadable(work, NULL, 0);
    case SPOIL_OLD_CHECKPOINT:
    case SPOIL_FOREIGN_CHECKPOINT:
    case SPOIL_BAD_CHECKPOINT:
    case SPOIL_OLD_LIVE:
    case SPOIL_FOREIGN_LIVE:
    case SPOIL_BAD_LIVE:
    case SPOIL_OLD_VIEW:
    case SPOIL_FOREIGN_VIEW:
    case SPOIL_BAD_VIEW:
    case SPOIL_UNREADABLE_CHECKPOINT:
    case SPOIL_UNREADABLE_VIEW:
    case SPOIL_UNREADABLE_LIVE:
    case SPOIL_KINDS:
        break;
    }
    return spoil_other_file(work);
}

bool spoil_apply(const struct grown *grown, const struct store_files *files,
                 const struct grown *foreign, struct commitlog_fault *machine, struct rng *rng,
                 enum spoil_kind kind, struct spoil *out)
{
    struct work work = {grown, files, foreign, machine, rng, out};
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    if (!spoil_do(&work)) {
        return false;
    }
    spoil_find(grown, files, machine, out);
    return true;
}

bool spoil_add(const struct grown *grown, const struct store_files *files,
               const struct grown *foreign, struct commitlog_fault *machine, struct rng *rng,
               enum spoil_kind kind, struct spoil *out)
{
    static struct spoil before;
    before = *out;
    if (!spoil_apply(grown, files, foreign, machine, rng, kind, out)) {
        *out = before;
        return false;
    }
    /* What is wrong in log/ was found again. */
    out->checkpoint = out->checkpoint || before.checkpoint;
    out->live = out->live || before.live;
    out->view = out->view || before.view;
    out->kind = out->kind > before.kind ? out->kind : before.kind;
    size_t length = strlen(out->what);
    (void)snprintf(out->what + length, sizeof(out->what) - length, "; %.150s", before.what);
    return true;
}
