/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_verify_views.c -- what verify says of derived files whose checks hold: that do not say what
 * the log says, of a later version, of a length that no log makes.
 */
#include "format/format.h"
#include "format/key_file.h"
#include "format/queue_file.h"
#include "format/state_file.h"
#include "support/run_suite.h"
#include "unit/damage_fixture.h"

static uint32_t a;

static void own_setup(void)
{
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 2, &a, &err), 0);
}

static size_t largest;
static const struct commitlog_os *under;

static void *watched_alloc(const struct commitlog_os *os, size_t size)
{
    (void)os;
    largest = size > largest ? size : largest;
    return size > (size_t)1 << 30 ? NULL : under->alloc(under, size);
}

/* A .state that is one long hole. */
START_TEST(verify_needs_no_memory_for_a_state_that_is_a_hole)
{
    const void *bytes = NULL;
    uint64_t size = 0;
    const char *name = NULL;
    char path[128] = "";
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    for (uint32_t i = 0; i < 10; i++) {
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0; i++) {
        if (strstr(name, ".state") != NULL) {
            (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        }
    }
    ck_assert_str_ne(path, "");
    ck_assert_int_eq(commitlog_fault_content(machine, path, &bytes, &size), 0);
    memcpy(header, bytes, sizeof(header));
    const uint64_t wanted = UINT64_C(512) << 20;
    clg_store_le64(header + CLG_STATE_AT_BYTES, wanted - sizeof(header));
    clg_format_finish(header, CLG_VIEW_HEADER_BYTES, 0);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, header, sizeof(header)), 0);
    ck_assert_int_eq(commitlog_fault_resize(machine, path, wanted), 0);
    under = commitlog_fault_os(machine);
    struct commitlog_os table = *under;
    table.alloc = watched_alloc;
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, &table);
    largest = 0;
    int32_t rc = commitlog_verify("/store", options, &report, &err);
    commitlog_report_free(report);
    commitlog_options_free(options);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    ck_assert_uint_lt(largest, (UINT64_C(32) << 20));
}
END_TEST

/* 0: it says hole of a message that is there; 1: its tag is not the message's. */
START_TEST(verify_finds_an_entry_that_says_what_its_message_does_not)
{
    static uint8_t file[1 << 20];
    const void *bytes = NULL;
    uint64_t size = 0;
    const char *path = "/store/view/00000000000000000000.cq";
    for (uint32_t i = 0; i < KEYED; i++) {
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(verify_store(), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &bytes, &size), 0);
    ck_assert_uint_le(size, sizeof(file));
    memcpy(file, bytes, size);
    const uint32_t queues = clg_load_le32(file + CLG_QUEUE_FILE_AT_QUEUES);
    const uint64_t entries = clg_load_le64(file + CLG_QUEUE_FILE_AT_ENTRIES);
    struct clg_view_segment id = {clg_load_le64(file + CLG_VIEW_AT_BASE),
                                  clg_load_le64(file + CLG_VIEW_AT_SALT),
                                  clg_load_le64(file + CLG_VIEW_AT_END)};
    uint8_t uuid[16];
    memcpy(uuid, file + CLG_FILE_AT_UUID, 16);
    struct clg_queue_entry entry;
    uint8_t *at = file + clg_queue_file_bytes(queues, 0);
    clg_queue_entry_decode(at, &entry);
    entry.flags |= _i == 0 ? CLG_QUEUE_ENTRY_HOLE : 0;
    entry.tag_hash ^= _i == 1;
    clg_queue_entry_encode(at, &entry);
    clg_queue_file_finish(file, queues, entries, &id, uuid);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, file, size), 0);
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
}
END_TEST

/* A file of no keys. */
START_TEST(verify_finds_a_key_file_that_lacks_a_message)
{
    static uint8_t file[1 << 20];
    const void *bytes = NULL;
    uint64_t size = 0;
    const char *path = "/store/view/00000000000000000000.key";
    for (uint32_t i = 0; i < KEYED; i++) {
        (void)put_keyed(a);
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    ck_assert_int_eq(commitlog_fault_content(machine, path, &bytes, &size), 0);
    memcpy(file, bytes, size);
    struct clg_view_segment id = {clg_load_le64(file + CLG_VIEW_AT_BASE),
                                  clg_load_le64(file + CLG_VIEW_AT_SALT),
                                  clg_load_le64(file + CLG_VIEW_AT_END)};
    uint8_t uuid[16];
    memcpy(uuid, file + CLG_FILE_AT_UUID, 16);
    clg_key_file_write(file, NULL, 0, &id, uuid); /* none at all */
    size = clg_key_file_bytes(0);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, file, size), 0);
    ck_assert_int_eq(commitlog_fault_resize(machine, path, size), 0);
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
}
END_TEST

/* Derived files of a later version are no damage. */
START_TEST(a_derived_file_of_a_later_version_is_no_damage)
{
    const char *const names[] = {"00000000000000000000.cq", "00000000000000000000.key", ".state"};
    const void *bytes = NULL;
    uint64_t size = 0;
    const char *name = NULL;
    char path[128] = "";
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    for (uint32_t i = 0; i < KEYED; i++) {
        (void)put_keyed(a);
        (void)put_one(a, 0, LARGE);
    }
    close_store();
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0; i++) {
        if (strstr(name, names[_i]) != NULL) {
            (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        }
    }
    ck_assert_int_eq(commitlog_fault_content(machine, path, &bytes, &size), 0);
    memcpy(header, bytes, sizeof(header));
    clg_store_le32(header + CLG_FILE_AT_VERSION, 2);
    clg_format_finish(header, CLG_VIEW_HEADER_BYTES, 0);
    ck_assert_int_eq(commitlog_fault_write(machine, path, 0, header, sizeof(header)), 0);
    ck_assert_int_eq(verify_store(), COMMITLOG_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify_views");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, own_setup, teardown);
    tcase_add_test(cases, verify_needs_no_memory_for_a_state_that_is_a_hole);
    tcase_add_loop_test(cases, verify_finds_an_entry_that_says_what_its_message_does_not, 0, 2);
    tcase_add_test(cases, verify_finds_a_key_file_that_lacks_a_message);
    tcase_add_loop_test(cases, a_derived_file_of_a_later_version_is_no_damage, 0, 3);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
