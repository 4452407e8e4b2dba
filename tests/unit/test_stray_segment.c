/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stray_segment.c -- a file that is named as if a segment began in the middle of another one,
 * and is no segment: readers find what they find without it, and writers refuse.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "base/checksum.h"
#include "format/checkpoint.h"
#include "format/limits.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { PATH_BYTES = 64 };
enum {
    CASE_FAR = 1,      /* a name far behind the end is there, too */
    CASE_AT_END = 2,   /* it is named into the last page of the segment */
    CASE_LOST = 4,     /* the newest segments are missing */
    CASE_RETAINED = 8, /* and the oldest were dropped */
    CASE_DEAD = 16     /* the writer did not close */
};

static void put_file(uint64_t base, uint8_t byte, uint64_t bytes)
{
    static uint8_t data[65536];
    ck_assert_uint_le(bytes, sizeof(data));
    memset(data, byte, sizeof(data));
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(base), 0, data, bytes), 0);
}

/* Those from `from` on, `count` at most. */
static void drop_files(uint64_t from, uint64_t count)
{
    while (count-- > 0 && commitlog_fault_remove(machine, segment_path(from)) == COMMITLOG_OK) {
        from += segment_bytes;
    }
}

struct found {
    int32_t code;
    uint64_t first, end, damages;
    uint64_t sum;   /* of where they are */
    uint64_t count; /* of messages, if asked for */
};

static struct found look_at_store(void)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct found found = {
        .code = COMMITLOG_OK, .first = store_positions().first, .end = store_positions().published};
    while (commitlog_damage_get(store, (uint32_t)found.damages, &damage) == COMMITLOG_OK) {
        const uint64_t at[] = {damage.from_position, damage.to_position};
        found.sum = clg_hash64(at, sizeof(at), found.sum);
        found.damages++;
    }
    return found;
}

/* What a reader finds, on a copy. */
static struct found look(void)
{
    struct commitlog_fault *kept = machine;
    const uint64_t how[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    ck_assert_int_eq(commitlog_fault_clone(kept, 5, &machine), 0);
    struct found found = {.code = store_open_by(how, 1)};
    if (found.code == COMMITLOG_OK) {
        found = look_at_store();
        ck_assert_int_eq(commitlog_close(store, &err), 0);
    }
    store = NULL;
    commitlog_fault_free(machine);
    machine = kept;
    return found;
}

/* Of log/ and CHECKPOINT. */
static uint64_t store_sum(void)
{
    const void *data = NULL;
    const char *name = NULL;
    uint64_t bytes = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/log", i, &name) == COMMITLOG_OK;
         i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof(path), "/store/log/%s", name);
        ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
        sum += clg_hash64(data, bytes, clg_hash64(path, strlen(path), 0));
    }
    if (commitlog_fault_content(machine, "/store/CHECKPOINT", &data, &bytes) == COMMITLOG_OK)
        sum += clg_hash64(data, bytes, 1);
    return sum;
}

/* How many damages verify names, and how many of them are such a file at `base`. */
static uint64_t verified(uint64_t base, uint64_t *named)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t count = 0;
    *named = 0;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    const int32_t rc = commitlog_verify("/store", options, &report, &err);
    for (; commitlog_report_damage(report, count, &damage) == COMMITLOG_OK; count++) {
        *named += damage.from_position == base && damage.to_position == base &&
                  strstr(damage.reason, "named into another segment") != NULL;
    }
    ck_assert_int_eq(rc, count > 0 ? COMMITLOG_EDAMAGED : COMMITLOG_OK);
    commitlog_report_free(report);
    commitlog_options_free(options);
    return count;
}

/* In which position its first segment begins, and where its records end. */
static uint64_t made_first, made_end;

static void make_store(bool retained, bool dead)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 300000};
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(9000, COMMITLOG_LEVEL_WRITTEN);
    if (retained)
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
    made_first = store_positions().first / segment_bytes * segment_bytes;
    made_end = store_positions().published;
    ck_assert_uint_eq(made_first > 0, retained);
    if (dead)
        die(false);
    else
        ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

/* What salvage leaves, on a copy. */
static struct found look_salvaged(void)
{
    struct commitlog_fault *kept = machine;
    ck_assert_int_eq(commitlog_fault_clone(kept, 5, &machine), 0);
    const int32_t code = store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                         COMMITLOG_RECOVER_SALVAGE);
    ck_assert_msg(code == COMMITLOG_OK, "%s", err.message);
    struct found found = look_at_store();
    found.count = store_count();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(verify_store(), COMMITLOG_OK);
    commitlog_fault_free(machine);
    machine = kept;
    return found;
}

static void check_same(const struct found *with, const struct found *without, bool damages_too)
{
    ck_assert_int_eq(with->code, without->code);
    ck_assert_uint_eq(with->first, without->first);
    ck_assert_uint_eq(with->end, without->end);
    ck_assert_uint_ge(with->damages, without->damages);
    ck_assert(!damages_too || (with->damages == without->damages && with->sum == without->sum));
    ck_assert_uint_eq(with->count, without->count);
}

/* These become files. A reader takes no notice of them; a writer refuses, for one may be a segment
 * that somebody gave a wrong name, and changes nothing; salvage moves them away and no record. */
static void check_taken_for_nothing(const uint64_t *strays, uint64_t count, uint8_t byte,
                                    uint64_t bytes, bool looks_further)
{
    const struct found without = look();
    const struct found salvaged_without = look_salvaged();
    uint64_t named;
    const uint64_t others = verified(0, &named);
    const bool only = others == 0 && without.damages == 0;
    for (uint64_t i = 0; i < count; i++) {
        put_file(strays[i], byte, bytes);
    }
    const struct found with = look();
    check_same(&with, &without, !looks_further);
    const uint64_t sum = store_sum();
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t all = verified(strays[i], &named);
        ck_assert(looks_further || all == others + count);
        ck_assert_uint_eq(named, 1);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_msg(!only || strstr(err.message, "is named into another segment") != NULL, "%s",
                  err.message);
    ck_assert(store_sum() == sum);
    const struct found salvaged = look_salvaged();
    check_same(&salvaged, &salvaged_without, !looks_further);
}

/* _i: which of the things at the top are so. */
START_TEST(takes_nothing_from_the_segment_it_is_named_into)
{
    make_store((_i & CASE_RETAINED) != 0, (_i & CASE_DEAD) != 0);
    if ((_i & CASE_LOST) != 0)
        drop_files(made_first + 2 * segment_bytes, UINT64_MAX);
    if ((_i & CASE_FAR) != 0)
        put_file(made_first + 100 * segment_bytes, 0, 0);
    const struct found found = look();
    ck_assert_int_eq(found.code, 0);
    ck_assert(found.damages == 0 || (_i & CASE_LOST) != 0);
    const uint64_t in = (_i & CASE_AT_END) != 0 ? segment_bytes - 4096 : 4096;
    check_taken_for_nothing(&(uint64_t){made_first + segment_bytes + in}, 1, 0xa5, 65536, false);
}
END_TEST

/* Not where the log ends. */
START_TEST(strict_recovery_says_where_it_lies)
{
    const uint64_t how[][2] = {{COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_STRICT}};
    make_store(false, false);
    const uint64_t base = made_first + 4096;
    put_file(base, 0xa5, 65536);
    ck_assert_int_eq(store_open_by(how, 1), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(err.position, base);
}
END_TEST

static bool is_there(uint64_t base)
{
    const void *data = NULL;
    uint64_t bytes = 0;
    return commitlog_fault_content(machine, segment_path(base), &data, &bytes) == COMMITLOG_OK;
}

/* Segments missing, CHECKPOINT damaged or gone. True: a bit in a segment is wrong, too. */
static bool spoil(struct rng *rng)
{
    const uint64_t segments = (made_end - made_first) / segment_bytes;
    if (rng_chance(rng, 1, 3))
        drop_files(made_first + rng_below(rng, segments) * segment_bytes, rng_between(rng, 1, 3));
    for (uint64_t slot = 0; slot < CLG_CHECKPOINT_SLOTS; slot++) {
        if (rng_chance(rng, 1, 3))
            ck_assert_int_eq(commitlog_fault_flip(machine, "/store/CHECKPOINT",
                                                  slot * CLG_FORMAT_PAGE_BYTES + rng_below(rng, 64),
                                                  1),
                             0);
    }
    if (rng_chance(rng, 1, 8))
        (void)commitlog_fault_remove(machine, "/store/CHECKPOINT");
    const bool flipped = rng_chance(rng, 1, 4);
    if (flipped)
        (void)commitlog_fault_flip(
            machine, segment_path(made_first + rng_below(rng, segments) * segment_bytes),
            rng_between(rng, CLG_SEGMENT_DATA_START, segment_bytes - 1), 1);
    return flipped;
}

START_TEST(whatever_else_is_wrong)
{
    const uint64_t seed = prog_env("SEED", 1);
    const uint64_t trials = prog_env("TRIALS", 50);
    struct commitlog_fault *whole = machine;
    uint64_t refused = 0;
    for (uint64_t trial = 0; trial < trials; trial++) {
        struct rng rng;
        rng_begin(&rng, seed + trial);
        ck_assert_int_eq(commitlog_fault_create(7, &machine), 0);
        const bool dead = rng_chance(&rng, 1, 2);
        make_store(rng_chance(&rng, 1, 2), dead);
        /* When not all files are good, records before the checkpoint and those that no writer has
         * recovered are looked at, too, and behind the first that fails records alone. */
        const bool looks_further = spoil(&rng);
        uint64_t strays[3];
        uint64_t count = 0;
        for (uint64_t i = rng_between(&rng, 1, 3); i > 0; i--) {
            const uint64_t in =
                made_first +
                rng_below(&rng, (made_end - made_first) / segment_bytes) * segment_bytes;
            const uint64_t base = in + 4096 * rng_between(&rng, 1, segment_bytes / 4096 - 1);
            bool again = !is_there(in);
            for (uint64_t k = 0; k < count; k++) {
                again = again || strays[k] == base;
            }
            if (!again)
                strays[count++] = base;
        }
        const uint64_t sizes[] = {0, 4096, 65536};
        const uint8_t byte = rng_chance(&rng, 1, 3) ? 0 : 0xa5;
        if (count > 0)
            check_taken_for_nothing(strays, count, byte, sizes[rng_below(&rng, 3)], looks_further);
        refused += count > 0;
        commitlog_fault_free(machine);
    }
    machine = whole;
    printf("stray segments: SEED=%llu TRIALS=%llu: %llu refused\n", (unsigned long long)seed,
           (unsigned long long)trials, (unsigned long long)refused);
}
END_TEST

static Suite *stray_suite(void)
{
    Suite *suite = suite_create("stray segment");
    TCase *stray = tcase_create("stray");
    tcase_set_timeout(stray, 300);
    tcase_add_checked_fixture(stray, setup, teardown);
    tcase_add_loop_test(stray, takes_nothing_from_the_segment_it_is_named_into, 0, 32);
    tcase_add_test(stray, strict_recovery_says_where_it_lies);
    tcase_add_test(stray, whatever_else_is_wrong);
    suite_add_tcase(suite, stray);
    return suite;
}

int main(void)
{
    return run_suite(stray_suite());
}
