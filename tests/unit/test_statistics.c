/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_statistics.c -- histograms: their arithmetic, what is counted when, and live areas of other
 * versions and of nobody's friends.
 *
 * Beside a writer at work: tests/stress/statistics_test.c.
 */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/histogram.h"
#include "format/live_area.h"
#include "log/measure.h"
#include "support/run_suite.h"
#include "support/scratch.h"

enum { MANY = 1000 };

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "statistics");
}

static void teardown(void)
{
    scratch_end(&s);
}

static struct commitlog_histogram *histogram(struct commitlog_store *store, const char *name)
{
    static struct commitlog_histogram out;
    for (uint32_t i = 0;; i++) {
        memset(&out, 0, sizeof out);
        ck_assert_msg(commitlog_histogram_get(store, i, &out) == COMMITLOG_OK, "no %s", name);
        if (strcmp(out.name, name) == 0) {
            return &out;
        }
    }
}

static uint64_t statistic(struct commitlog_store *store, const char *name)
{
    const char *found;
    uint64_t value;
    for (uint32_t i = 0;; i++) {
        ck_assert_msg(commitlog_stat(store, i, &found, &value) == COMMITLOG_OK, "no %s", name);
        if (strcmp(found, name) == 0) {
            return value;
        }
    }
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static void check_value(uint64_t value)
{
    uint32_t bucket = clg_histogram_bucket(value);
    ck_assert_uint_lt(bucket, COMMITLOG_HISTOGRAM_BUCKETS);
    ck_assert_uint_le(commitlog_histogram_floor(bucket), value);
    if (bucket + 1 < COMMITLOG_HISTOGRAM_BUCKETS) {
        uint64_t width = commitlog_histogram_floor(bucket + 1) - commitlog_histogram_floor(bucket);
        ck_assert_uint_gt(commitlog_histogram_floor(bucket + 1), value);
        ck_assert_msg(width == 1 || width * 16 <= value, "width %llu at %llu",
                      (unsigned long long)width, (unsigned long long)value);
    }
}

START_TEST(a_value_lies_in_its_bucket_which_is_narrow)
{
    struct rng rng;
    rng_begin(&rng, 7);
    for (uint64_t value = 0; value < 5000; value++) {
        check_value(value);
    }
    for (uint32_t bit = 0; bit < 64; bit++) {
        check_value(UINT64_C(1) << bit);
        check_value((UINT64_C(1) << bit) - 1);
        check_value((UINT64_C(1) << bit) + 1);
        for (int i = 0; i < 1000; i++) {
            check_value(rng_next(&rng) >> bit);
        }
    }
    check_value(UINT64_MAX);
}
END_TEST

START_TEST(buckets_follow_each_other_without_a_gap)
{
    ck_assert_uint_eq(commitlog_histogram_floor(0), 0);
    for (uint32_t i = 1; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        uint64_t floor = commitlog_histogram_floor(i);
        ck_assert_uint_eq(clg_histogram_bucket(floor), i);
        ck_assert_uint_eq(clg_histogram_bucket(floor - 1), i - 1);
    }
    ck_assert_uint_eq(commitlog_histogram_floor(COMMITLOG_HISTOGRAM_BUCKETS - 1), UINT64_C(1)
                                                                                      << 34);
    ck_assert_uint_eq(commitlog_histogram_floor(COMMITLOG_HISTOGRAM_BUCKETS), UINT64_MAX);
    ck_assert_uint_eq(commitlog_histogram_floor(UINT32_MAX), UINT64_MAX);
}
END_TEST

static int compare_u64(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Against the values themselves, sorted. */
START_TEST(a_quantile_is_that_of_the_sorted_values_to_a_sixteenth)
{
    static const uint32_t asked[] = {0, 1, 10000, 500000, 900000, 990000, 999000, 999999, 1000000};
    struct rng rng;
    rng_begin(&rng, (uint64_t)_i + 1);
    uint64_t count = rng_between(&rng, 1, 3000);
    uint64_t *values = need_alloc(count * sizeof *values);
    struct commitlog_histogram all = {.struct_bytes = sizeof all};
    for (uint64_t i = 0; i < count; i++) {
        values[i] = rng_next(&rng) >> rng_between(&rng, 31, 63);
        all.buckets[clg_histogram_bucket(values[i])]++;
        all.max = values[i] > all.max ? values[i] : all.max;
    }
    qsort(values, count, sizeof *values, compare_u64);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        uint64_t rank = (count * asked[i] + 999999) / 1000000;
        uint64_t exact = values[rank == 0 ? 0 : rank - 1];
        uint64_t got = commitlog_histogram_quantile(&all, asked[i]);
        ck_assert_msg(got >= exact && got - exact <= exact / 16, "%u: %llu for %llu", asked[i],
                      (unsigned long long)got, (unsigned long long)exact);
    }
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 1000000), all.max);
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, UINT32_MAX), all.max);
    free(values);
}
END_TEST

START_TEST(sums_of_hostile_counts_saturate)
{
    struct commitlog_histogram all = {.struct_bytes = sizeof all, .max = UINT64_MAX};
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 500000), 0);
    ck_assert_uint_eq(commitlog_histogram_quantile(NULL, 500000), 0);
    for (uint32_t i = 0; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        all.buckets[i] = UINT64_MAX;
    }
    ck_assert_uint_eq(clg_histogram_total(all.buckets), UINT64_MAX);
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 0), 0);
    (void)commitlog_histogram_quantile(&all, 999999);
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 1000000), 0);
    memset(all.buckets, 0, sizeof all.buckets);
    all.buckets[COMMITLOG_HISTOGRAM_BUCKETS - 1] = 1;
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 1), UINT64_MAX);
    all.max = 0; /* behind its bucket, as it may be for a moment */
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 1), UINT64_C(1) << 34);
    all.struct_bytes = 8; /* of a program that knows none of it */
    ck_assert_uint_eq(commitlog_histogram_quantile(&all, 1), 0);
}
END_TEST

/* ---- what is counted --------------------------------------------------------------------------
 */

static void check_histogram(const struct commitlog_histogram *it)
{
    uint64_t count = 0;
    uint64_t least = 0;
    for (uint32_t i = 0; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        count += it->buckets[i];
        least += it->buckets[i] * commitlog_histogram_floor(i);
    }
    ck_assert_uint_eq(it->count, count);
    ck_assert_uint_ge(it->sum, least);
    ck_assert_uint_le(it->sum - least, least / 16 + 1);
    ck_assert_uint_le(it->max, it->sum);
    ck_assert(count == 0 || it->buckets[clg_histogram_bucket(it->max)] > 0);
}

/* Of `count` appends, each so many after the one before. */
static uint64_t drawn_of(uint64_t count, uint64_t apart)
{
    uint64_t drawn = 0;
    for (uint64_t i = 0; i < count; i++) {
        drawn += i * apart * UINT64_C(0x9e3779b97f4a7c15) >> 58 == 0;
    }
    return drawn;
}

START_TEST(one_append_in_64_is_timed_in_whatever_rhythm)
{
    scratch_open(&s, 4);
    for (uint64_t i = 0; i < 64 * MANY; i++) {
        (void)scratch_put(&s, (uint32_t)(i % 4), 10, i);
    }
    struct commitlog_histogram *append = histogram(s.store, "append");
    check_histogram(append);
    ck_assert_uint_eq(statistic(s.store, "appends"), UINT64_C(64) * MANY);
    ck_assert_uint_eq(append->one_in, 64);
    ck_assert_uint_eq(append->count, drawn_of(64 * MANY, 1));
    ck_assert_uint_ge(append->count, MANY - 5);
    ck_assert_uint_le(append->count, MANY + 5);
    for (uint64_t rhythm = 1; rhythm <= 200; rhythm++) { /* every 64th, say, is special */
        uint64_t drawn = drawn_of(64 * 5000, rhythm);
        ck_assert_msg(drawn >= 4800 && drawn <= 5200, "every %u: %u", (unsigned)rhythm,
                      (unsigned)drawn);
    }
}
END_TEST

static void put_level(uint32_t level, uint32_t times)
{
    struct commitlog_receipt receipt;
    for (uint32_t i = 0; i < times; i++) {
        ck_assert_int_eq(commitlog_append(s.store, s.topic, 0, "body", 4, level, &receipt),
                         COMMITLOG_OK);
    }
}

START_TEST(every_append_that_waits_for_the_disk_is_timed_and_every_flush_counted)
{
    scratch_open(&s, 1);
    uint64_t durable = scratch_positions(&s).durable;
    put_level(COMMITLOG_LEVEL_WRITTEN, 30);
    put_level(COMMITLOG_LEVEL_NONE, 5);
    put_level(COMMITLOG_LEVEL_DURABLE, 20);
    ck_assert_uint_eq(histogram(s.store, "append_written")->count, drawn_of(30, 1));
    ck_assert_uint_eq(histogram(s.store, "append_written")->one_in, 64);
    ck_assert_uint_eq(histogram(s.store, "append_durable")->count, 20);
    ck_assert_uint_eq(statistic(s.store, "appends"), 55);
    struct commitlog_histogram flush = *histogram(s.store, "flush");
    struct commitlog_histogram bytes = *histogram(s.store, "flush_bytes");
    struct commitlog_histogram records = *histogram(s.store, "flush_records");
    ck_assert_uint_eq(flush.count, 20);
    ck_assert_uint_eq(statistic(s.store, "flushes"), 20);
    ck_assert_uint_eq(bytes.count, 20);
    ck_assert_uint_eq(bytes.sum, scratch_positions(&s).durable - durable);
    ck_assert_uint_eq(records.count, 20);
    ck_assert_uint_eq(records.sum, 55);
    ck_assert_uint_eq(records.max, 36);
    ck_assert_str_eq(flush.unit, "ns");
    ck_assert_str_eq(bytes.unit, "bytes");
    ck_assert_str_eq(records.unit, "records");
    check_histogram(&flush);
    check_histogram(&bytes);
    check_histogram(&records);
    struct commitlog_histogram *drain = histogram(s.store, "drain");
    check_histogram(drain);
    ck_assert_uint_eq(drain->count % 8, 0);
    ck_assert_uint_ge(drain->count, 32); /* about 50, one in 8 of them eight times */
    ck_assert_uint_le(drain->count, 72);
    ck_assert_uint_gt(statistic(s.store, "open_ns"), statistic(s.store, "recovery_ns"));
    ck_assert_uint_gt(statistic(s.store, "recovery_ns"), 0);
}
END_TEST

static struct clg_live_histogram shared_page;

static void *count_many(void *live)
{
    for (uint64_t i = 0; i < 200 * MANY; i++) {
        clg_measure(live, CLG_HISTOGRAM_APPEND, i % 3);
    }
    return NULL;
}

START_TEST(threads_that_count_at_once_lose_nothing)
{
    struct clg_live live = {.histograms = &shared_page, .histogram_count = 1, .writable = true};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, &live), 0);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    uint64_t count = 0;
    for (uint32_t i = 0; i < 3; i++) {
        count += atomic_load(&shared_page.buckets[i]);
    }
    ck_assert_uint_eq(count, 4 * 200 * MANY);
    ck_assert_uint_eq(atomic_load(&shared_page.sum), count - 4);
    ck_assert_uint_eq(atomic_load(&shared_page.max), 2);
}
END_TEST

START_TEST(a_batch_and_a_commit_are_one_call_each)
{
    struct commitlog_slice body = {"body", 4};
    struct commitlog_record records[3];
    struct commitlog_receipt receipts[3];
    scratch_open(&s, 1);
    memset(records, 0, sizeof records);
    for (int i = 0; i < 3; i++) {
        records[i] = (struct commitlog_record){.struct_bytes = sizeof records[i],
                                               .topic = s.topic,
                                               .level = COMMITLOG_LEVEL_DURABLE,
                                               .body = &body,
                                               .body_count = 1};
    }
    ck_assert_int_eq(
        commitlog_append_batch(s.store, records, 3, COMMITLOG_FOREVER, receipts, &s.err), 0);
    ck_assert_uint_eq(histogram(s.store, "append_durable")->count, 1);
    struct commitlog_reservation *reservation = NULL;
    void *at = NULL;
    ck_assert_int_eq(
        commitlog_reserve(s.store, records, 4, COMMITLOG_FOREVER, &reservation, &at, &s.err), 0);
    memcpy(at, "body", 4);
    ck_assert_int_eq(commitlog_commit(reservation, COMMITLOG_FOREVER, receipts, &s.err), 0);
    ck_assert_uint_eq(histogram(s.store, "append_durable")->count, 2);
    ck_assert_uint_eq(histogram(s.store, "flush_records")->max, 3);
}
END_TEST

START_TEST(wrong_arguments_and_smaller_structs_are_answered)
{
    struct commitlog_histogram out = {.struct_bytes = 24, .sum = 77};
    scratch_open(&s, 1);
    put_level(COMMITLOG_LEVEL_DURABLE, 1);
    ck_assert_int_eq(commitlog_histogram_get(NULL, 0, &out), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_histogram_get(s.store, 0, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_histogram_get(s.store, 0, &out), COMMITLOG_OK);
    ck_assert_uint_eq(out.struct_bytes, 24);
    ck_assert_uint_eq(out.sum, 77); /* no more than was asked for */
    ck_assert_str_eq(out.name, "append");
    ck_assert_int_eq(commitlog_histogram_get(s.store, CLG_HISTOGRAMS, &out), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_histogram_get(s.store, UINT32_MAX, &out), COMMITLOG_ENOTFOUND);
}
END_TEST

/* ---- live areas of others ----------------------------------------------------------------------
 */

static char live_path[DIRS_PATH_MAX];

/* A writer in another process that appends `count` records, says so and stays until killed. */
static pid_t writer_start(uint32_t count)
{
    int pipes[2];
    char byte = 0;
    scratch_set(&s, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_DIR);
    scratch_set(&s, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE);
    path_join(live_path, s.path, "LIVE");
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        scratch_open(&s, 1);
        for (uint32_t i = 0; i < count; i++) {
            (void)scratch_put(&s, 0, 100, i);
        }
        (void)!write(pipes[1], "x", 1);
        for (;;) {
            (void)pause();
        }
    }
    close(pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    return pid;
}

static void writer_kill(pid_t pid)
{
    int status;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* The live area as a version with so many histograms would have made it. */
static void live_rewrite(uint32_t histograms)
{
    struct file_bytes old = file_read(live_path);
    struct clg_live_header header;
    ck_assert_int_eq(clg_live_area_check(old.data, old.size, NULL, NULL, &header), 0);
    uint64_t old_ring = header.ring_offset;
    uint32_t kept = histograms < header.histograms ? histograms : header.histograms;
    header.histograms = histograms;
    header.ring_offset = clg_live_ring_offset(histograms);
    header.area_bytes = header.ring_offset + header.ring_bytes;
    uint8_t *bytes = calloc(1, header.area_bytes);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, old.data, CLG_LIVE_HISTOGRAMS_AT + (size_t)kept * CLG_LIVE_HISTOGRAM_BYTES);
    clg_live_header_encode(bytes, &header);
    memcpy(bytes + header.ring_offset, old.data + old_ring, header.ring_bytes);
    (void)unlink(live_path);
    file_write(live_path, bytes, header.area_bytes);
    ck_assert_int_eq(chmod(live_path, 0600), 0);
    free(bytes);
    file_free(&old);
}

static const uint32_t live_versions[] = {0, 1, CLG_HISTOGRAMS - 1, CLG_HISTOGRAMS + 3,
                                         CLG_LIVE_HISTOGRAMS_MAX};

START_TEST(a_reader_takes_what_an_older_or_newer_writer_shows)
{
    uint32_t histograms = live_versions[_i];
    uint32_t known = histograms < CLG_HISTOGRAMS ? histograms : CLG_HISTOGRAMS;
    pid_t pid = writer_start(130);
    live_rewrite(histograms);
    scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY);
    scratch_open(&s, 0);
    ck_assert_uint_eq(statistic(s.store, "appends"), 130);
    ck_assert_uint_eq(scratch_count(&s, 0, 0), 130); /* out of the ring */
    struct commitlog_histogram out;
    for (uint32_t i = 0; i <= CLG_HISTOGRAMS; i++) {
        memset(&out, 0, sizeof out);
        ck_assert_int_eq(commitlog_histogram_get(s.store, i, &out),
                         i < known ? COMMITLOG_OK : COMMITLOG_ENOTFOUND);
        ck_assert(i > 0 || known == 0 || out.count == drawn_of(130, 1));
    }
    scratch_close(&s);
    writer_kill(pid);
}
END_TEST

START_TEST(recovery_takes_the_stage_of_an_older_or_newer_writer)
{
    pid_t pid = writer_start(130);
    writer_kill(pid);
    live_rewrite(live_versions[_i]);
    scratch_open(&s, 1);
    ck_assert_uint_eq(scratch_count(&s, 0, 0), 130);
    struct commitlog_recovery recovery = {.struct_bytes = sizeof recovery};
    ck_assert_int_eq(commitlog_recovery_get(s.store, &recovery), COMMITLOG_OK);
    ck_assert_uint_gt(recovery.records_from_stage, 100);
    ck_assert_uint_eq(histogram(s.store, "append")->one_in, 64); /* the area is ours again */
}
END_TEST

START_TEST(whatever_a_hostile_writer_shows_is_only_a_number)
{
    pid_t pid = writer_start(3);
    struct file_bytes live = file_read(live_path);
    struct rng rng;
    rng_begin(&rng, (uint64_t)_i);
    for (size_t at = CLG_LIVE_COUNTERS_AT; at < CLG_LIVE_RING_AT; at += 8) {
        clg_store_le64(live.data + at,
                       _i == 0 ? UINT64_MAX : rng_next(&rng) >> rng_below(&rng, 64));
    }
    if (_i == 1) {
        memset(live.data + CLG_LIVE_HISTOGRAMS_AT, 0, 8); /* one in none */
    }
    (void)unlink(live_path);
    file_write(live_path, live.data, live.size);
    ck_assert_int_eq(chmod(live_path, 0600), 0);
    file_free(&live);
    scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY);
    scratch_open(&s, 0);
    struct commitlog_histogram out = {.struct_bytes = sizeof out};
    for (uint32_t i = 0; commitlog_histogram_get(s.store, i, &out) == COMMITLOG_OK; i++) {
        ck_assert_uint_gt(out.one_in, 0);
        ck_assert_uint_le(out.count, INT64_MAX);
        ck_assert_uint_le(out.sum, INT64_MAX);
        ck_assert_uint_le(out.max, INT64_MAX);
        for (uint32_t millionths = 0; millionths <= 1000000; millionths += 1000) {
            (void)commitlog_histogram_quantile(&out, millionths);
        }
    }
    scratch_close(&s);
    writer_kill(pid);
}
END_TEST

static Suite *statistics_suite(void)
{
    Suite *suite = suite_create("statistics");
    const int versions = sizeof live_versions / sizeof live_versions[0];
    TCase *arithmetic = tcase_create("arithmetic");
    tcase_add_test(arithmetic, a_value_lies_in_its_bucket_which_is_narrow);
    tcase_add_test(arithmetic, buckets_follow_each_other_without_a_gap);
    tcase_add_loop_test(arithmetic, a_quantile_is_that_of_the_sorted_values_to_a_sixteenth, 0, 50);
    tcase_add_test(arithmetic, sums_of_hostile_counts_saturate);
    suite_add_tcase(suite, arithmetic);
    TCase *counted = tcase_create("counted");
    tcase_add_checked_fixture(counted, setup, teardown);
    tcase_set_timeout(counted, 60);
    tcase_add_test(counted, one_append_in_64_is_timed_in_whatever_rhythm);
    tcase_add_test(counted, every_append_that_waits_for_the_disk_is_timed_and_every_flush_counted);
    tcase_add_test(counted, threads_that_count_at_once_lose_nothing);
    tcase_add_test(counted, a_batch_and_a_commit_are_one_call_each);
    tcase_add_test(counted, wrong_arguments_and_smaller_structs_are_answered);
    suite_add_tcase(suite, counted);
    TCase *others = tcase_create("live areas of others");
    tcase_add_checked_fixture(others, setup, teardown);
    tcase_set_timeout(others, 60);
    tcase_add_loop_test(others, a_reader_takes_what_an_older_or_newer_writer_shows, 0, versions);
    tcase_add_loop_test(others, recovery_takes_the_stage_of_an_older_or_newer_writer, 0, versions);
    tcase_add_loop_test(others, whatever_a_hostile_writer_shows_is_only_a_number, 0, 5);
    suite_add_tcase(suite, others);
    return suite;
}

int main(void)
{
    return run_suite(statistics_suite());
}
