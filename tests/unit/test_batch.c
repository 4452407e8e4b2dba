/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_batch.c -- the memory that a batch is encoded into is the next one's, too: batches of all
 * sizes and attributes, one after the other and at once, are read back as they were given.
 */
#include <pthread.h>
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "../support/scratch.h"
#include "support/run_suite.h"

enum { HEADER_MAX = 1500, BODY_MAX = 40, THREADS = 3, ROUNDS = 60 };

static struct scratch scratch;
static bool has_large; /* headers */

/* Record i of a queue: body and header follow from both. */
struct made {
    struct commitlog_slice body;
    struct commitlog_slice key;
    struct commitlog_header header;
    char body_text[BODY_MAX];
    char key_text[BODY_MAX];
};

static char fill[HEADER_MAX + 256];

/* Of the large ones, each eighth, each is far more than a record adds to the room of its batch. */
static size_t header_bytes(uint32_t queue, uint64_t i)
{
    return has_large && i % 8 == 5 ? HEADER_MAX - (i + queue) % 500 : (i * 13 + queue) % 60;
}

static struct commitlog_record make(struct made *made, uint32_t number, uint32_t queue, uint64_t i)
{
    const int body =
        snprintf(made->body_text, BODY_MAX, "body %u/%llu", queue, (unsigned long long)i);
    const int key = snprintf(made->key_text, BODY_MAX, "key %llu", (unsigned long long)i);
    made->body = (struct commitlog_slice){made->body_text, (size_t)body};
    made->key = (struct commitlog_slice){made->key_text, (size_t)key};
    made->header = (struct commitlog_header){{"h", 1}, {fill + i % 200, header_bytes(queue, i)}};
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = number,
                                     .queue = queue,
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .body = &made->body,
                                     .body_count = 1,
                                     .keys = &made->key,
                                     .key_count = i % 3 == 0 ? 1 : 0,
                                     .headers = &made->header,
                                     .header_count = i % 4 == 1 ? 1 : 0};
}

static void put_batch(struct commitlog_store *into, uint32_t number, uint32_t queue, uint64_t from,
                      uint32_t count)
{
    struct commitlog_error why = {0};
    struct made *made = calloc(count, sizeof(*made));
    struct commitlog_record *records = calloc(count, sizeof(*records));
    struct commitlog_receipt *receipts = calloc(count, sizeof(*receipts));
    ck_assert(made != NULL && records != NULL && receipts != NULL);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = make(&made[i], number, queue, from + i);
    }
    ck_assert_msg(commitlog_append_batch(into, records, count, COMMITLOG_FOREVER, receipts, &why) ==
                      COMMITLOG_OK,
                  "%s", why.message);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(receipts[i].queue_offset, from + i);
        ck_assert_uint_eq(receipts[i].level, COMMITLOG_LEVEL_NONE);
    }
    free(made);
    free(records);
    free(receipts);
}

static void check_slice(const struct commitlog_slice *is, const struct commitlog_slice *wanted)
{
    ck_assert_uint_eq(is->bytes, wanted->bytes);
    ck_assert_mem_eq(is->data, wanted->data, wanted->bytes);
}

/* All of the queue, and nothing else. */
static void check_queue(uint32_t queue, uint64_t count)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    uint64_t i = 0;
    uint32_t got = 0;
    ck_assert_int_eq(commitlog_cursor_open(scratch.store, scratch.topic, queue,
                                           COMMITLOG_FROM_FIRST, 0, &cursor, &scratch.err),
                     0);
    while (commitlog_cursor_fetch(cursor, messages, 64, 0, &got, NULL) == COMMITLOG_OK) {
        for (uint32_t at = 0; at < got; at++, i++) {
            struct made made;
            struct commitlog_slice key;
            struct commitlog_header header;
            const struct commitlog_record wanted = make(&made, scratch.topic, queue, i);
            ck_assert_uint_eq(messages[at].queue_offset, i);
            check_slice(&messages[at].body, &made.body);
            ck_assert_uint_eq(messages[at].key_count, wanted.key_count);
            ck_assert_uint_eq(messages[at].header_count, wanted.header_count);
            if (wanted.key_count > 0) {
                ck_assert_int_eq(commitlog_message_key(&messages[at], 0, &key), 0);
                check_slice(&key, &made.key);
            }
            if (wanted.header_count > 0) {
                ck_assert_int_eq(commitlog_message_header(&messages[at], 0, &header), 0);
                check_slice(&header.value, &made.header.value);
            }
        }
    }
    ck_assert_uint_eq(i, count);
    commitlog_cursor_close(cursor);
}

static void begin(void)
{
    for (size_t i = 0; i < sizeof(fill); i++) {
        fill[i] = (char)('a' + i * 7 % 26);
    }
    has_large = true;
    scratch_begin(&scratch, "batch");
    scratch_set(&scratch, COMMITLOG_OPT_STAGE_BYTES, 8u << 20);
    scratch_set(&scratch, COMMITLOG_OPT_SEGMENT_BYTES, 16u << 20);
    scratch_open(&scratch, THREADS);
}

static void end(void)
{
    scratch_end(&scratch);
}

/* More than the store keeps memory for, among those that it does. */
START_TEST(batches_of_all_sizes_are_read_back)
{
    static const uint32_t sizes[] = {1, 2, 40, 3, 3071, 3072, 3073, 7, 5000, 1, 300, 2, 3072, 64};
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put_batch(scratch.store, scratch.topic, 0, count, sizes[i]);
        count += sizes[i];
    }
    check_queue(0, count);
}
END_TEST

static void *put_many(void *at)
{
    const uint32_t queue = *(const uint32_t *)at;
    uint64_t count = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint32_t size = 1 + (i * 37 + queue * 11) % 90;
        put_batch(scratch.store, scratch.topic, queue, count, size);
        count += size;
    }
    return NULL;
}

START_TEST(batches_of_several_threads_share_nothing)
{
    pthread_t threads[THREADS];
    uint32_t queues[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        queues[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, put_many, &queues[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        uint64_t count = 0;
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            count += 1 + (round * 37 + i * 11) % 90;
        }
        check_queue(i, count);
    }
}
END_TEST

/* Fresh memory would be a page fault for each of its pages: more than the appends cost. */
START_TEST(a_batch_that_is_no_larger_allocates_nothing)
{
    has_large = false;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(0, COMMITLOG_LEVEL_NONE);
    put_batch(store, topic, 0, 0, 20);
    const uint64_t before = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC);
    put_batch(store, topic, 0, 20, 20);
    put_batch(store, topic, 0, 40, 11);
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC), before);
    put_batch(store, topic, 0, 51, 60); /* and a larger one once */
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC), before + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *files = tcase_create("files");
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(files, 60);
    tcase_add_checked_fixture(files, begin, end);
    tcase_add_test(files, batches_of_all_sizes_are_read_back);
    tcase_add_test(files, batches_of_several_threads_share_nothing);
    suite_add_tcase(suite, files);
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_test(faults, a_batch_that_is_no_larger_allocates_nothing);
    suite_add_tcase(suite, faults);
    return run_suite(suite);
}
