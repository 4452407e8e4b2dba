/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_view_queue.c -- consume queues and fold against a naive model.
 */
#include "unit/view_fixture.h"

#include "support/run_suite.h"
#include "view/fold_internal.h"
#include "view/queue_internal.h"

static struct town *town;

static uint64_t test_seed(void)
{
    const char *text = getenv("SEED");
    return text != NULL ? strtoull(text, NULL, 0) : 20260101;
}

static void setup(void)
{
    town = malloc(sizeof(*town));
    town_begin(town, test_seed());
}

static void teardown(void)
{
    town_end(town);
    free(town);
}

/* Random traffic over `queues` queues of four topics; some queues are rare, so that their links
 * leap over many segments. */
static void traffic(struct town *t, uint32_t queues, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        uint64_t kind = town_below(t, 100);
        uint32_t queue = (uint32_t)town_below(t, queues);
        if (queue % 4 == 3 && town_below(t, 40) != 0) {
            queue--;
        }
        if (kind < 5) {
            town_hole(t, queue);
        } else if (kind < 8 && queue + 4 < queues) {
            (void)town_batch(t, queue, 4);
        } else {
            (void)town_message(t, queue, (uint32_t)town_below(t, 4), (uint32_t)town_below(t, 9),
                               (uint32_t)town_below(t, 900));
        }
    }
}

START_TEST(live_fold_follows_the_model)
{
    town_define(town, 16, false);
    town_open(town, true);
    for (uint32_t round = 0; round < 60; round++) {
        traffic(town, 16, 60);
        town_fold(town);
        if (round % 3 == 0) {
            bool more = false;
            TOWN_OK(town, clg_fold_write_images(town->fold, town->published, &more, &town->err));
        }
        town_check(town, 16, 9);
    }
    town_write_images(town);
    town_check(town, 16, 9);
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.contradictions, 0);
    ck_assert_uint_gt(stats.segments, 20);
    ck_assert_uint_eq(stats.images_pending, 0);
    ck_assert_uint_eq(stats.images_written, stats.segments * 2);
}
END_TEST

START_TEST(retention_drops_segments_under_the_model)
{
    town_define(town, 16, false);
    town_open(town, true);
    for (uint32_t round = 0; round < 60; round++) {
        traffic(town, 16, 80);
        town_fold(town);
        town_write_images(town);
        if (clg_segment_set_count(&town->set) > 6) {
            town_drop_oldest(town);
        }
        town_check(town, 16, 9);
    }
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_le(stats.segments, 6);
    struct name_list names;
    char path[DIRS_PATH_MAX];
    path_join(path, town->path, "view");
    names = dirs_list(path, ".cq");
    ck_assert_uint_eq(names.count, stats.segments);
    names_free(&names);
}
END_TEST

/* Each way of opening gives the same answers as the live fold. */
START_TEST(reopening_from_any_files_is_the_same)
{
    town_define(town, 16, false);
    town_open(town, true);
    for (uint32_t round = 0; round < 24; round++) {
        traffic(town, 16, 100);
        town_fold(town);
        town_write_images(town);
        uint64_t state;
        if (round % 5 == 4) {
            TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &state,
                                              &town->err));
        }
        if (round % 7 == 6) {
            town_define(town, 16, true);
            town_fold(town);
            town_drop_oldest(town);
        }
        town_close(town);
        char path[DIRS_PATH_MAX];
        char file[DIRS_PATH_MAX];
        path_join(path, town->path, "view");
        struct name_list names = dirs_list(path, "");
        if (names.count > 0 && round % 3 == 0) { /* one file is gone */
            path_join(file, path, names.names[town_below(town, names.count)]);
            ck_assert_int_eq(remove(file), 0);
        } else if (names.count > 0 && round % 3 == 1) { /* one byte of the head differs */
            path_join(file, path, names.names[town_below(town, names.count)]);
            struct file_bytes bytes = file_read(file);
            uint64_t at = town_below(town, 256);
            uint8_t changed = bytes.data[at] ^ 0x40;
            file_free(&bytes);
            file_patch(file, at, &changed, 1);
        }
        names_free(&names);
        town_open(town, town_below(town, 4) != 0);
        ck_assert_uint_eq(clg_fold_position(town->fold), town->published);
        town_check(town, 16, 9);
        for (uint32_t q = 0; q < 16; q++) {
            ck_assert_uint_eq(clg_registry_queue(&town->registry, q)->next_offset,
                              town->queues[q].next);
        }
        town_close(town);
        town_open(town, true);
        town_check(town, 16, 9);
    }
}
END_TEST

START_TEST(a_state_file_saves_the_scan)
{
    town_define(town, 16, false);
    town_open(town, true);
    traffic(town, 16, 3000);
    town_fold(town);
    town_write_images(town);
    ck_assert(clg_fold_state_due(town->fold));
    uint64_t position = 0;
    uint64_t durable = town->published - 8;
    ck_assert_int_eq(
        clg_fold_save_state(town->fold, town_reach, &durable, 1, &position, &town->err),
        COMMITLOG_EMISUSE);
    TOWN_OK(town, clg_fold_save_state(town->fold, town_reach, &town->published, 1, &position,
                                      &town->err));
    ck_assert_uint_eq(position, town->published);
    ck_assert(!clg_fold_state_due(town->fold));
    town_close(town);
    town_open(town, true);
    ck_assert_uint_eq(town->report.state_position, position);
    ck_assert_uint_le(town->report.scanned_bytes, TOWN_SEGMENT);
    ck_assert_uint_eq(town->report.images_rebuilt, 0);
    town_check(town, 16, 9);
    traffic(town, 16, 500);
    town_fold(town);
    town_write_images(town);
    town_check(town, 16, 9);
    town_close(town);
    /* A state whose newest record is not in this log is refused. */
    char path[DIRS_PATH_MAX];
    char file[DIRS_PATH_MAX];
    path_join(path, town->path, "view");
    struct name_list names = dirs_list(path, ".state");
    ck_assert_uint_eq(names.count, 1);
    path_join(file, path, names.names[0]);
    struct file_bytes bytes = file_read(file);
    uint8_t changed = bytes.data[bytes.size - 20] ^ 1;
    file_patch(file, bytes.size - 20, &changed, 1);
    file_free(&bytes);
    names_free(&names);
    town_open(town, true);
    ck_assert_uint_eq(town->report.state_position, 0);
    ck_assert_uint_eq(town->report.state_refused, 1);
    ck_assert_uint_gt(town->report.images_loaded, 20);
    town_check(town, 16, 9);
}
END_TEST

/* The first entry of a mapped file leads into its segment's header, below every record: found when
 * it is used, though the file was sound when it was opened. */
static void stray_entry_is_found(const char *name, const char *dir)
{
    static const uint8_t nowhere[4];
    struct clg_fold_stats before;
    struct clg_fold_stats after;
    char path[DIRS_PATH_MAX];
    path_join(path, dir, name);
    struct file_bytes file = file_read(path);
    const uint8_t *directory = file.data + CLG_VIEW_HEADER_BYTES;
    uint32_t queues = clg_load_le32(file.data + CLG_QUEUE_FILE_AT_QUEUES);
    uint32_t queue = clg_load_le32(directory + CLG_QUEUE_DIRECTORY_AT_QUEUE);
    uint64_t offset = clg_load_le64(directory + CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET);
    clg_fold_get_stats(town->fold, &before);
    file_patch(path,
               CLG_VIEW_HEADER_BYTES + (uint64_t)queues * CLG_QUEUE_DIRECTORY_BYTES +
                   CLG_QUEUE_ENTRY_AT_PLACE,
               nowhere, sizeof(nowhere));
    struct clg_lookup_entry got;
    uint32_t count = 0;
    uint64_t bound = 0;
    const struct town_queue *q = &town->queues[queue];
    TOWN_OK(town,
            clg_lookup_entries(town->fold, queue, offset, UINT64_MAX, &got, 1, &count, &bound));
    town_check_entry(&got, &q->entries[offset - q->entries[0].offset]);
    clg_fold_get_stats(town->fold, &after);
    ck_assert_uint_eq(after.images_rebuilt, before.images_rebuilt + 1);
    file_free(&file);
}

START_TEST(damaged_images_are_rebuilt_on_use_and_by_scrub)
{
    town_define(town, 16, false);
    town_open(town, true);
    traffic(town, 16, 2000);
    town_fold(town);
    town_write_images(town);
    uint64_t state;
    TOWN_OK(town,
            clg_fold_save_state(town->fold, town_reach, &town->published, 1, &state, &town->err));
    town_close(town);
    char path[DIRS_PATH_MAX];
    path_join(path, town->path, "view");
    struct name_list names = dirs_list(path, ".cq");
    ck_assert_uint_gt(names.count, 10);
    for (uint32_t i = 0; i < names.count; i += 2) { /* in the directory: found when opened */
        char file[DIRS_PATH_MAX];
        path_join(file, path, names.names[i]);
        uint8_t junk = 0xee;
        file_patch(file, 256 + 20, &junk, 1);
    }
    town_open(town, true);
    ck_assert_uint_ne(town->report.state_position, 0);
    town_check(town, 16, 9);
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_ge(stats.images_rebuilt, names.count / 2);
    town_write_images(town);
    town_check(town, 16, 9);
    stray_entry_is_found(names.names[2], path);
    town_write_images(town);
    /* In the entries: only a scrub finds it. */
    char file[DIRS_PATH_MAX];
    path_join(file, path, names.names[1]);
    uint8_t junk = 0x55;
    file_patch(file, file_size(file) - 9, &junk, 1);
    uint32_t rebuilt = 0;
    uint32_t total = 0;
    for (uint64_t base = 0; base < town->active->base; base += TOWN_SEGMENT) {
        TOWN_OK(town, clg_fold_scrub(town->fold, base, &rebuilt, &town->err));
        total += rebuilt;
    }
    ck_assert_uint_eq(total, 1);
    ck_assert_int_eq(clg_fold_scrub(town->fold, town->active->base, &rebuilt, &town->err),
                     COMMITLOG_ENOTFOUND);
    town_write_images(town);
    town_check(town, 16, 9);
    names_free(&names);
}
END_TEST

/* Jumps: every ordinal's link leads where the numbering says. */
START_TEST(jump_links_are_those_of_the_numbering)
{
    town_topic(town, "one", 0, 1, false);
    town_open(town, true);
    while (clg_segment_set_count(&town->set) < 70) {
        (void)town_message(town, 0, 1, 1, 2000);
    }
    town_fold(town);
    town_write_images(town);
    struct clg_consume_queue *cq = clg_queue_of(town->fold->views[CLG_VIEW_QUEUES]);
    for (uint32_t i = 0; i < town->fold->segments.count; i++) {
        struct clg_queue_link link = {.base = i * TOWN_SEGMENT, .index = 0};
        struct clg_queue_part part;
        TOWN_OK(town, clg_queue_part_at(cq, 0, &link, &part));
        ck_assert_uint_eq(part.ordinal, i);
        if (i > 0) {
            ck_assert_uint_eq(part.prev.base, (i - 1) * TOWN_SEGMENT);
            ck_assert_uint_eq(part.jump.base, clg_queue_jump_ordinal(i) * TOWN_SEGMENT);
        }
    }
    town_check(town, 1, 1);
}
END_TEST

START_TEST(a_batch_is_folded_whole)
{
    town_define(town, 16, false);
    town_open(town, true);
    uint64_t before = town->published;
    (void)town_batch(town, 0, 12);
    TOWN_OK(town, clg_fold_run(town->fold, before + 100, 1, CLG_FOLD_TRY, true, &town->err));
    ck_assert_uint_eq(clg_fold_position(town->fold), town->published);
    town_check(town, 16, 5);
    /* Out of memory in the middle: nothing of it is seen, nothing comes twice. */
    for (int64_t fail = 0; fail < 8; fail++) {
        before = town->published;
        (void)town_batch(town, 0, 12);
        town->fail_alloc_in = fail;
        int rc = clg_fold_run(town->fold, UINT64_MAX, 100, CLG_FOLD_TRY, true, &town->err);
        if (rc == COMMITLOG_ENOMEM) {
            ck_assert_uint_eq(clg_fold_position(town->fold), before);
            for (uint32_t q = 0; q < 12; q++) {
                struct clg_lookup_range range;
                TOWN_OK(town, clg_lookup_range(town->fold, q, UINT64_MAX, &range));
                ck_assert_uint_eq(range.next, town->queues[q].next - 1);
            }
        }
        town->fail_alloc_in = -1;
        town_fold(town);
        town_check(town, 16, 5);
    }
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.contradictions, 0);
}
END_TEST

START_TEST(every_allocation_may_fail_while_folding)
{
    town_define(town, 16, false);
    town_open(town, true);
    uint32_t failures = 0;
    for (uint32_t round = 0; round < 150; round++) {
        traffic(town, 16, 25);
        town->fail_alloc_in = (int64_t)town_below(town, 12);
        int rc = clg_fold_run(town->fold, UINT64_MAX, 1000, CLG_FOLD_WAIT, true, &town->err);
        ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
        failures += rc != 0 ? 1 : 0;
        bool more;
        rc = clg_fold_write_images(town->fold, town->published, &more, &town->err);
        ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
        town->fail_alloc_in = -1;
        /* Whoever looks up before it is tried again. */
        town_check_below(town, 16, 9, clg_fold_position(town->fold));
        town_fold(town);
        town_check(town, 16, 9);
    }
    ck_assert_uint_gt(failures, 5);
}
END_TEST

START_TEST(a_pad_waits_for_upkeep)
{
    town_define(town, 16, false);
    town_open(town, true);
    traffic(town, 16, 400);
    TOWN_OK(town,
            clg_fold_run(town->fold, UINT64_MAX, UINT32_MAX, CLG_FOLD_TRY, false, &town->err));
    ck_assert(clg_fold_wants_seal(town->fold));
    ck_assert_uint_lt(clg_fold_position(town->fold), TOWN_SEGMENT);
    town_fold(town);
    ck_assert(!clg_fold_wants_seal(town->fold));
    town_check(town, 16, 9);
}
END_TEST

START_TEST(carry_forward_lists_what_retention_would_lose)
{
    town_topic(town, "busy", 0, 4, false);
    town_topic(town, "idle", 4, 4, false);
    town_topic(town, "never", 8, 4, false);
    town_open(town, true);
    (void)town_message(town, 5, 0, 0, 10);
    while (clg_segment_set_count(&town->set) < 4) {
        bool fresh = town->at == town->active->data_start;
        if (fresh) {
            town_topic(town, "busy", 0, 4, false);
        }
        (void)town_message(town, (uint32_t)town_below(town, 4), 0, 0, 1000);
    }
    town_topic(town, "busy", 0, 4, false);
    for (uint32_t i = 0; i < 4; i++) {
        (void)town_message(town, i, 0, 0, 10);
    }
    town_fold(town);
    uint32_t ids[8];
    uint32_t count = 0;
    uint32_t next = 0;
    uint64_t bytes = 0;
    TOWN_OK(town, clg_fold_carry_list(town->fold, 0, 0, ids, 8, &count, &next, &bytes));
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(ids[0], 1);
    ck_assert_uint_eq(ids[1], 2);
    ck_assert_uint_eq(next, UINT32_MAX);
    ck_assert_uint_gt(bytes, 100);
    town_topic(town, "idle", 4, 4, true);
    town_topic(town, "never", 8, 4, true);
    town_fold(town);
    TOWN_OK(town, clg_fold_carry_list(town->fold, 0, 0, ids, 8, &count, &next, &bytes));
    ck_assert_uint_eq(count, 0);
    town_write_images(town);
    town_drop_oldest(town);
    town_check(town, 12, 1);
    /* The offsets of the idle queue go on, also when everything is folded anew. */
    town_close(town);
    town_open(town, false);
    ck_assert_uint_eq(clg_registry_queue(&town->registry, 5)->next_offset, 1);
    (void)town_message(town, 5, 0, 0, 10);
    town_fold(town);
    town_check(town, 12, 1);
    town_drop_oldest(town);
    TOWN_OK(town,
            clg_fold_carry_list(town->fold, TOWN_SEGMENT * 2, 0, ids, 8, &count, &next, NULL));
    ck_assert_uint_eq(count, 0);
    TOWN_OK(town,
            clg_fold_carry_list(town->fold, town->active->base, 0, ids, 8, &count, &next, NULL));
    ck_assert_uint_eq(count, 3);
}
END_TEST

START_TEST(lost_offsets_read_as_holes_without_a_place)
{
    town_define(town, 16, false);
    town_open(town, true);
    for (uint32_t i = 0; i < 3; i++) {
        (void)town_message(town, 0, 0, 0, 500);
    }
    town->queues[0].next += 5; /* five records that the log does not have any more */
    (void)town_message(town, 0, 0, 0, 10);
    town_fold(town);
    struct clg_lookup_entry got[16];
    uint32_t count = 0;
    uint64_t bound;
    TOWN_OK(town, clg_lookup_entries(town->fold, 0, 0, UINT64_MAX, got, 16, &count, &bound));
    ck_assert_uint_eq(count, 9);
    for (uint32_t i = 0; i < count; i++) {
        bool lost = i >= 3 && i < 8;
        ck_assert_uint_eq(got[i].queue_offset, i);
        ck_assert_int_eq(got[i].position == CLG_NO_POSITION, lost);
        ck_assert_uint_eq(got[i].flags, lost ? CLG_QUEUE_ENTRY_HOLE : 0);
    }
    /* Across the end of a segment nothing is stored for them. */
    town_pad(town);
    town->queues[0].next += 100000;
    (void)town_message(town, 0, 0, 0, 10);
    town_fold(town);
    town_write_images(town);
    TOWN_OK(town, clg_lookup_entries(town->fold, 0, 8, UINT64_MAX, got, 16, &count, &bound));
    ck_assert_uint_eq(count, 16);
    ck_assert_uint_ne(got[0].position, CLG_NO_POSITION);
    ck_assert_uint_eq(got[15].position, CLG_NO_POSITION);
    ck_assert_uint_eq(got[15].queue_offset + got[15].lost, 100009);
    TOWN_OK(town, clg_lookup_entries(town->fold, 0, 100009, UINT64_MAX, got, 16, &count, &bound));
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_ne(got[0].position, CLG_NO_POSITION);
    /* More than can have been there: left out. */
    town->queues[0].next += 1000000;
    (void)town_message(town, 0, 0, 0, 10);
    town_fold(town);
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.contradictions, 1);
}
END_TEST

START_TEST(merge_is_the_log_order)
{
    town_define(town, 16, false);
    town_open(town, true);
    traffic(town, 16, 500);
    town_fold(town);
    struct clg_merge *merge = NULL;
    TOWN_OK(town, clg_merge_open(town->fold, &town->os, 4, 8, 0, &merge));
    uint32_t at = 0;
    for (uint32_t round = 0; round < 40; round++) {
        struct clg_merge_entry got[50];
        uint32_t count = 0;
        uint64_t skipped = 0;
        uint64_t visible = round % 4 == 0 ? town->published / 2 : UINT64_MAX;
        TOWN_OK(town, clg_merge_next(merge, visible, got, 1 + (uint32_t)town_below(town, 50),
                                     &count, &skipped));
        ck_assert_uint_eq(skipped, 0);
        for (uint32_t i = 0; i < count; i++) {
            while (town->log[at].queue < 4 || town->log[at].queue >= 12) {
                at++;
            }
            ck_assert_uint_eq(got[i].queue, town->log[at].queue);
            town_check_entry(&got[i].entry, &town->log[at]);
            at++;
        }
        traffic(town, 16, 20);
        town_fold(town);
    }
    ck_assert_uint_gt(at, 300);
    clg_merge_seek(merge, town->published / 2);
    struct clg_merge_entry one;
    uint32_t count = 0;
    TOWN_OK(town, clg_merge_next(merge, UINT64_MAX, &one, 1, &count, NULL));
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_ge(one.entry.position, town->published / 2);
    clg_merge_close(merge);
}
END_TEST

START_TEST(many_queues_stay_small)
{
    uint32_t queues = getenv("SLOW") != NULL ? 1000000 : 100000;
    uint32_t each = getenv("SLOW") != NULL ? 1 : 10;
    struct clg_view_segments segments = {.active_base = 0};
    struct clg_view_context context = {.os = &town->os,
                                       .registry = &town->registry,
                                       .segments = &segments,
                                       .uuid = town->dir.uuid,
                                       .view_dirfd = -1};
    struct clg_view *view = NULL;
    TOWN_OK(town, clg_consume_queue_ops.create(&context, 1, &view));
    uint64_t position = CLG_SEGMENT_DATA_START;
    for (uint32_t round = 0; round < each; round++) {
        for (uint32_t q = 0; q < queues; q++) {
            struct clg_record_view record = {.position = position,
                                             .next_position = position + 48,
                                             .segment_base = 0,
                                             .header = {.word = 48 | CLG_RECORD_COMMITTED,
                                                        .kind = CLG_KIND_MESSAGE,
                                                        .queue_number = q,
                                                        .queue_offset = round,
                                                        .store_time = (int64_t)position}};
            TOWN_OK(town, view->ops->apply(view, &record));
            position += 48;
        }
    }
    printf("%u queues x %u entries: %llu bytes\n", queues, each,
           (unsigned long long)view->ops->memory(view));
    ck_assert_uint_lt(view->ops->memory(view), UINT64_C(250) << 20);
    struct clg_view_item item = {.id = {.base = 0, .salt = 1, .end = position}};
    void *reserved = view->ops->reserve(view);
    ck_assert_ptr_nonnull(reserved);
    view->ops->freeze(view, &item, reserved);
    struct clg_image image;
    TOWN_OK(town, view->ops->build(view, &item, &image));
    TOWN_OK(town, view->ops->install(view, &item, &image, CLG_SLOT_MEMORY));
    TOWN_OK(town, view->ops->verify(view, &item));
    clg_view_slot_clear(view, &item.slots[1]);
    view->ops->destroy(view);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view queue");
    TCase *tc = tcase_create("model");
    printf("SEED=%llu\n", (unsigned long long)test_seed());
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, live_fold_follows_the_model);
    tcase_add_test(tc, retention_drops_segments_under_the_model);
    tcase_add_test(tc, reopening_from_any_files_is_the_same);
    tcase_add_test(tc, a_state_file_saves_the_scan);
    tcase_add_test(tc, damaged_images_are_rebuilt_on_use_and_by_scrub);
    tcase_add_test(tc, jump_links_are_those_of_the_numbering);
    tcase_add_test(tc, a_batch_is_folded_whole);
    tcase_add_test(tc, every_allocation_may_fail_while_folding);
    tcase_add_test(tc, a_pad_waits_for_upkeep);
    tcase_add_test(tc, carry_forward_lists_what_retention_would_lose);
    tcase_add_test(tc, lost_offsets_read_as_holes_without_a_place);
    tcase_add_test(tc, merge_is_the_log_order);
    tcase_add_test(tc, many_queues_stay_small);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
