/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * moved_test.c -- the directory above an open store is renamed, and another store is put where it
 * was: writer, reader and upkeep go on in the one that they opened, and the other is not touched.
 *
 * Environment: SEED.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/scratch.h"

enum { KB = 1024, BODY = 700, PUTS = 600, SEGMENT = 64 * KB };

static void put_all(struct scratch *s, uint64_t seed)
{
    for (uint32_t i = 0; i < PUTS; i++) {
        uint32_t wait_ms = 0;
        (void)scratch_put(s, 0, BODY, seed + i);
        if (i % 50 == 49)
            CHECK_OK(commitlog_sync(s->store, UINT64_MAX, COMMITLOG_FOREVER, &s->err), &s->err);
        if (i % 100 == 99)
            CHECK_RC(commitlog_step(s->store, 1000, &wait_ms), COMMITLOG_OK);
    }
}

static void make_other(const char *path)
{
    struct scratch other = {.store = NULL};
    snprintf(other.path, sizeof other.path, "%s", path);
    CHECK_RC(commitlog_options_create(&other.options), COMMITLOG_OK);
    scratch_open(&other, 1);
    (void)scratch_text(&other, 0, "the other one", NULL, NULL);
    scratch_close(&other);
    commitlog_options_free(other.options);
}

static void case_moved(uint64_t engine)
{
    struct scratch s;
    char above[DIRS_PATH_MAX], moved[DIRS_PATH_MAX], path[DIRS_PATH_MAX];
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                               .keep_bytes = 4 * SEGMENT};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    scratch_begin(&s, "moved");
    path_join(above, s.root, "above");
    path_join(moved, s.root, "moved");
    CHECK(mkdir(above, 0777) == 0);
    path_join(s.path, above, "store");
    scratch_set(&s, COMMITLOG_OPT_ENGINE, engine);
    scratch_set(&s, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT);
    scratch_set(&s, COMMITLOG_OPT_STAGE_BYTES, 64 * KB);
    scratch_open(&s, 1);
    put_all(&s, 0);
    CHECK(rename(above, moved) == 0);
    CHECK(mkdir(above, 0777) == 0);
    snprintf(path, sizeof path, "%s", s.path);
    make_other(path);
    const uint64_t other = dirs_hash(path);
    put_all(&s, PUTS);
    CHECK_OK(commitlog_retain(s.store, &policy, &retained, &s.err), &s.err);
    CHECK(retained.segments_dropped > 0);
    put_all(&s, 2 * PUTS);
    CHECK(scratch_queue(&s, 0).next_offset == 3 * PUTS);
    const uint64_t first = scratch_queue(&s, 0).first_offset;
    CHECK(scratch_count(&s, 0, first) == 3 * PUTS - first);
    scratch_close(&s);
    CHECKF(dirs_hash(path) == other, "the store that lies where it was is not as it was");

    path_join(s.path, moved, "store");
    scratch_open(&s, 1);
    CHECK(scratch_queue(&s, 0).next_offset == 3 * PUTS);
    CHECK(scratch_count(&s, 0, first) == 3 * PUTS - first);
    scratch_end(&s);
}

int main(void)
{
    prog_begin("moved_test");
    case_moved(COMMITLOG_ENGINE_STAGED);
    case_moved(COMMITLOG_ENGINE_MMAP);
    return prog_end();
}
