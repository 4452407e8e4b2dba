/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_view_hostile.c -- view files that are one long hole: small on the disk, and of counts for
 * which there is no memory; or that speak of what is behind them. They are made again from the log,
 * whatever they say.
 */
#include "unit/view_fixture.h"

#include <unistd.h>

#include "format/format.h"
#include "format/group_record.h"
#include "format/key_file.h"
#include "format/producer_record.h"
#include "format/queue_file.h"
#include "format/state_file.h"
#include "support/run_suite.h"

#define HOSTILE_ALLOC_MAX (UINT64_C(512) << 20)

static struct town *town;
static size_t largest; /* that was asked for */

/* As a machine that does not promise memory that it does not have. */
static void *hostile_alloc(const struct commitlog_os *os, size_t size)
{
    largest = size > largest ? size : largest;
    return size > HOSTILE_ALLOC_MAX ? NULL : town_alloc(os, size);
}

static void setup(void)
{
    town = calloc(1, sizeof(*town));
    town_begin(town, 1);
    town->os.alloc = hostile_alloc;
    town_define(town, 16, false);
    town_open(town, true);
    for (uint32_t i = 0; i < 2000; i++) {
        (void)town_message(town, i % 16, i % 3, i % 7, i % 200);
    }
    town_fold(town);
    town_write_images(town);
}

static void teardown(void)
{
    town_end(town);
    free(town);
}

/* The nth oldest of them. */
static void hostile_path(char path[DIRS_PATH_MAX], const char *ending, uint32_t nth)
{
    char dir[DIRS_PATH_MAX];
    path_join(dir, town->path, "view");
    struct name_list names = dirs_list(dir, ending);
    ck_assert_uint_gt(names.count, nth);
    path_join(path, dir, names.names[nth]);
    names_free(&names);
}

static void hostile_read(const char *path, uint8_t header[CLG_VIEW_HEADER_BYTES])
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(header, 1, CLG_VIEW_HEADER_BYTES, file), CLG_VIEW_HEADER_BYTES);
    (void)fclose(file);
}

static bool hostile_write(const char *path, uint8_t header[CLG_VIEW_HEADER_BYTES], uint64_t bytes)
{
    clg_format_finish(header, CLG_VIEW_HEADER_BYTES, 0);
    file_patch(path, 0, header, CLG_VIEW_HEADER_BYTES);
    if (truncate(path, (off_t)bytes) != 0) {
        printf("skip: the file system has no files of %llu bytes\n", (unsigned long long)bytes);
        return false;
    }
    return true;
}

START_TEST(a_directory_of_more_queues_than_records_is_made_again)
{
    char path[DIRS_PATH_MAX];
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    const uint32_t counts = UINT32_MAX - 1;
    town_close(town);
    hostile_path(path, ".cq", 0);
    hostile_read(path, header);
    clg_store_le64(header + CLG_QUEUE_FILE_AT_ENTRIES, counts);
    clg_store_le32(header + CLG_QUEUE_FILE_AT_QUEUES, counts);
    if (!hostile_write(path, header, clg_queue_file_bytes(counts, counts))) {
        return;
    }
    town_open(town, true);
    town_check(town, 16, 9);
    town_write_images(town);
    ck_assert_uint_lt(file_size(path), TOWN_SEGMENT);
    town_check(town, 16, 9);
}
END_TEST

/* Each file is right by itself. */
START_TEST(files_that_contradict_each_other_are_made_again)
{
    char path[DIRS_PATH_MAX];
    struct clg_fold_stats stats;
    struct clg_lookup_entry found;
    uint64_t bound = 0;
    uint32_t count = 0;
    town_close(town);
    hostile_path(path, ".cq", 0);
    struct file_bytes file = file_read(path);
    const uint32_t queues = clg_load_le32(file.data + CLG_QUEUE_FILE_AT_QUEUES);
    const uint64_t salt = clg_load_le64(file.data + CLG_VIEW_AT_SALT);
    uint8_t *directory = file.data + CLG_VIEW_HEADER_BYTES;
    ck_assert_uint_gt(queues, 0);
    for (uint32_t i = 0; i < queues; i++) {
        uint8_t *entry = directory + i * CLG_QUEUE_DIRECTORY_BYTES;
        uint8_t *first = entry + CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET;
        clg_store_le64(first, clg_load_le64(first) + 50); /* where the third one is, say */
    }
    clg_store_le64(file.data + CLG_QUEUE_FILE_AT_DIRECTORY_CHECK,
                   clg_hash64(directory, (size_t)queues * CLG_QUEUE_DIRECTORY_BYTES, salt));
    clg_format_finish(file.data, CLG_VIEW_HEADER_BYTES, 0);
    file_patch(path, 0, file.data, file.size);
    file_free(&file);
    town_open(town, true);
    ck_assert_uint_eq(town->report.images_rebuilt, 0);
    TOWN_OK(town, clg_lookup_entries(town->fold, 0, 5, town->published, &found, 1, &count, &bound));
    ck_assert_uint_eq(count, 1);
    town_check(town, 16, 9);
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_gt(stats.images_rebuilt, 0);
}
END_TEST

START_TEST(a_state_of_more_bytes_than_the_log_is_not_read)
{
    char path[DIRS_PATH_MAX];
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    uint64_t position = 0;
    const uint64_t bytes = UINT64_C(400) << 20; /* for this there would be memory */
    TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position,
                                      &town->err));
    town_close(town);
    hostile_path(path, ".state", 0);
    hostile_read(path, header);
    clg_store_le64(header + CLG_STATE_AT_BYTES, bytes - CLG_VIEW_HEADER_BYTES);
    if (!hostile_write(path, header, bytes)) {
        return;
    }
    town_open(town, true);
    ck_assert_uint_eq(town->report.state_refused, 1);
    ck_assert_uint_eq(town->report.state_position, 0);
    ck_assert_uint_lt(largest, bytes);
    town_check(town, 16, 9);
}
END_TEST

/* No more queues than records have room, and for each no more lost offsets than that. */
START_TEST(counts_are_bounded_by_the_segment)
{
    uint8_t header[CLG_VIEW_HEADER_BYTES] = {0};
    const uint8_t uuid[CLG_UUID_BYTES] = {1};
    const struct clg_view_segment segment = {.base = 0, .salt = 7, .end = TOWN_SEGMENT - 4096};
    const uint64_t records = segment.end / CLG_RECORD_MIN;
    const struct {
        uint64_t queues;
        uint64_t entries;
        int rc;
    } queues[] = {{0, 0, 0},
                  {1, 2 * records, 0},
                  {1, 2 * records + 1, COMMITLOG_EDAMAGED},
                  {records, records, 0},
                  {records, records * (records + 1), 0},
                  {records, records * (records + 1) + 1, COMMITLOG_EDAMAGED},
                  {records + 1, records + 1, COMMITLOG_EDAMAGED}};
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        struct clg_queue_file file;
        clg_view_header_begin(header, CLG_MAGIC_QUEUE_FILE, &segment, uuid);
        clg_store_le64(header + CLG_QUEUE_FILE_AT_ENTRIES, queues[i].entries);
        clg_store_le32(header + CLG_QUEUE_FILE_AT_QUEUES, (uint32_t)queues[i].queues);
        clg_format_finish(header, sizeof(header), 0);
        uint64_t bytes = clg_queue_file_bytes((uint32_t)queues[i].queues, queues[i].entries);
        ck_assert_int_eq(clg_queue_file_open(&file, header, bytes, &segment, uuid), queues[i].rc);
    }
    for (uint32_t more = 0; more < 2; more++) {
        struct clg_key_file file;
        const uint64_t entries = segment.end + more;
        clg_view_header_begin(header, CLG_MAGIC_KEY_FILE, &segment, uuid);
        clg_store_le64(header + CLG_KEY_FILE_AT_ENTRIES, entries);
        clg_store_le32(header + CLG_KEY_FILE_AT_PREFIX_BITS, 0);
        clg_format_finish(header, sizeof(header), 0);
        uint64_t bytes = sizeof(header) + 8 + entries * CLG_KEY_ENTRY_BYTES;
        ck_assert_int_eq(clg_key_file_open(&file, header, bytes, &segment, uuid),
                         more > 0 ? COMMITLOG_EDAMAGED : 0);
    }
}
END_TEST

static void hostile_control(uint8_t kind, const uint8_t *body, size_t bytes)
{
    const struct clg_record_header header = {.kind = kind, .queue_number = CLG_QUEUE_NONE};
    town_room(town, bytes + 64);
    (void)town_write(town, header, NULL, body, (uint32_t)bytes, NULL);
    town->published = town->at;
}

/* What carries a producer forward whose one append ended there. */
static void hostile_producer(uint64_t end)
{
    uint8_t body[128];
    const struct clg_producer_state producer = {
        .id = 7,
        .sequence = 1,
        .epoch = 1,
        .operation = CLG_PRODUCER_STATE,
        .count = 1,
        .receipts = {{.position = CLG_SEGMENT_DATA_START, .end_position = end, .epoch = 1}}};
    clg_producer_state_encode(body, clg_producer_state_bytes(1), &producer);
    hostile_control(CLG_KIND_PRODUCER, body, clg_producer_state_bytes(1));
}

/* A group with settings and an offset, and a producer with one append. */
static void hostile_owners(void)
{
    uint8_t body[128];
    const struct clg_group_entry entry = {.queue_number = 0, .offset = 5};
    struct clg_group_change change = {
        .name = (const uint8_t *)"g", .name_bytes = 1, .operation = CLG_GROUP_SETTINGS, .epoch = 1};
    size_t bytes = (size_t)clg_group_change_bytes(1, 0);
    TOWN_OK(town, clg_group_change_encode(body, bytes, &change, NULL));
    hostile_control(CLG_KIND_GROUP, body, bytes);
    change.operation = CLG_GROUP_OFFSETS;
    change.count = 1;
    bytes = (size_t)clg_group_change_bytes(1, 1);
    TOWN_OK(town, clg_group_change_encode(body, bytes, &change, &entry));
    hostile_control(CLG_KIND_GROUP, body, bytes);
    hostile_producer(town->at);
    town_fold(town);
}

/* The word `at` of the section becomes `value`, and all checks agree. */
static void hostile_state(const char *path, uint32_t section, uint64_t at, uint64_t value)
{
    struct file_bytes file = file_read(path);
    struct clg_state_file state;
    struct clg_state_section found;
    TOWN_OK(town, clg_state_file_open(&state, file.data, file.size, town->dir.uuid));
    TOWN_OK(town, clg_state_file_find(&state, section, &found));
    ck_assert_uint_le(at + 8, found.bytes);
    clg_store_le64(file.data + (found.data - file.data) + at, value);
    clg_store_le64(file.data + CLG_STATE_AT_BODY_CHECK,
                   clg_hash64(file.data + CLG_VIEW_HEADER_BYTES, file.size - CLG_VIEW_HEADER_BYTES,
                              state.info.position));
    clg_format_finish(file.data, CLG_VIEW_HEADER_BYTES, 0);
    file_patch(path, 0, file.data, file.size);
    file_free(&file);
}

/* Where groups_view.c and producers_view.c have positions. */
START_TEST(a_state_that_speaks_of_records_behind_it_is_not_read)
{
    enum { GROUPS = 4, PRODUCERS = 5, ENTRY = 16 + CLG_PRODUCER_FIXED_BYTES };
    const struct {
        uint32_t section;
        uint32_t at;
        uint64_t most; /* less than the state's position */
    } words[] = {{GROUPS, 16, 8},
                 {GROUPS, 24, 8},
                 {GROUPS, 48 + 16, 8},
                 {PRODUCERS, 0, 8},
                 {PRODUCERS, ENTRY + 8, 0}};
    char path[DIRS_PATH_MAX];
    uint64_t position = 0;
    hostile_owners();
    TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position,
                                      &town->err));
    town_close(town);
    ck_assert_uint_eq(position, town->published);
    hostile_path(path, ".state", 0);
    struct file_bytes good = file_read(path);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        for (uint32_t ahead = 0; ahead < 2; ahead++) {
            hostile_state(path, words[i].section, words[i].at,
                          position - words[i].most + (uint64_t)ahead * 8);
            town_open(town, true);
            ck_assert_msg(town->report.state_refused == ahead, "word %zu, ahead %u", i, ahead);
            ck_assert_uint_eq(town->report.state_position, ahead > 0 ? 0 : position);
            town_close(town);
            file_patch(path, 0, good.data, good.size);
        }
    }
    hostile_state(path, GROUPS, 16, CLG_NO_POSITION); /* no settings were seen */
    town_open(town, true);
    ck_assert_uint_eq(town->report.state_refused, 0);
    town_check(town, 16, 9);
    file_free(&good);
}
END_TEST

/* Nor would a state be that is made of it. */
START_TEST(a_producer_that_remembers_what_is_behind_it_is_not_known)
{
    struct clg_fold_stats stats;
    hostile_producer(town->at + 8);
    town_fold(town);
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.contradictions, 1);
    hostile_producer(town->at);
    town_fold(town);
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.contradictions, 1);
}
END_TEST

static Suite *hostile_suite(void)
{
    Suite *suite = suite_create("hostile view files");
    TCase *cases = tcase_create("holes");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_directory_of_more_queues_than_records_is_made_again);
    tcase_add_test(cases, files_that_contradict_each_other_are_made_again);
    tcase_add_test(cases, a_state_of_more_bytes_than_the_log_is_not_read);
    tcase_add_test(cases, counts_are_bounded_by_the_segment);
    tcase_add_test(cases, a_state_that_speaks_of_records_behind_it_is_not_read);
    tcase_add_test(cases, a_producer_that_remembers_what_is_behind_it_is_not_known);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(hostile_suite());
}
