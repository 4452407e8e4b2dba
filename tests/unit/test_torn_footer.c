/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_torn_footer.c -- the power goes while a segment is being sealed: that is no damage, and a
 * footer that has rotted is.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "format/segment_header.h"
#include "support/run_suite.h"

enum { SECTOR = 512, SECTORS = CLG_FORMAT_PAGE_BYTES / SECTOR };

/* The nth segment, and the page of its footer. */
static const uint8_t *footer_of(uint32_t n, char path[64])
{
    const void *data = NULL;
    uint64_t bytes = 0;
    (void)snprintf(path, 64, "/store/log/%020llu.log", (unsigned long long)(n * segment_bytes));
    ck_assert_int_eq(commitlog_fault_content(machine, path, &data, &bytes), 0);
    ck_assert_uint_eq(bytes, segment_bytes);
    return (const uint8_t *)data + segment_bytes - CLG_FORMAT_PAGE_BYTES;
}

static bool is_sealed(uint32_t n)
{
    static const uint8_t zeros[CLG_FORMAT_PAGE_BYTES];
    char path[64];
    return memcmp(footer_of(n, path), zeros, sizeof(zeros)) != 0;
}

static void lose_sectors(uint32_t n, uint32_t mask)
{
    static const uint8_t zeros[SECTOR];
    char path[64];
    (void)footer_of(n, path);
    for (uint32_t i = 0; i < SECTORS; i++) {
        uint64_t at = segment_bytes - CLG_FORMAT_PAGE_BYTES + (uint64_t)i * SECTOR;
        if ((mask >> i & 1) != 0) {
            ck_assert_int_eq(commitlog_fault_write(machine, path, at, zeros, SECTOR), 0);
        }
    }
}

/* Two segments that are sealed and a third one; then the power goes. */
static void two_sealed(void)
{
    uint32_t wait_ms = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1700, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    for (uint32_t i = 0; i < 100 && !is_sealed(1); i++) {
        ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
        commitlog_fault_os(machine)->sleep_ns(commitlog_fault_os(machine), 10000000);
    }
    ck_assert(is_sealed(0) && is_sealed(1) && !is_sealed(2));
    die(true);
}

/* The first sector has what the footer says, the last one its check. */
START_TEST(a_footer_of_which_a_power_cut_left_some_sectors_is_no_damage)
{
    static const uint32_t lost[] = {1, 1u << (SECTORS - 1), 0xfe};
    two_sealed();
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    lose_sectors(1, lost[_i]);
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 1700);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
}
END_TEST

START_TEST(whatever_a_power_cut_leaves_of_it_is_no_damage)
{
    struct commitlog_fault *next = NULL;
    uint32_t torn = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1000, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    for (uint64_t at = 1; at < 12; at++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            uint32_t wait_ms = 0;
            char path[64];
            ck_assert_int_eq(commitlog_fault_clone(machine, at * 100 + seed, &next), 0);
            die_on(next, false);
            ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
            ck_assert_int_eq(commitlog_fault_clone(machine, 9, &next), 0);
            commitlog_fault_cut_at(machine, at);
            for (uint32_t i = 0; i < 20; i++) {
                (void)commitlog_step(store, 1000, &wait_ms);
                commitlog_fault_os(machine)->sleep_ns(commitlog_fault_os(machine), 10000000);
            }
            (void)commitlog_close(store, NULL);
            store = NULL;
            commitlog_fault_power_cut(machine);
            struct clg_segment_header header;
            struct clg_segment_footer footer;
            const uint8_t *page = footer_of(0, path);
            ck_assert_int_eq(
                clg_segment_header_decode(page - (segment_bytes - CLG_FORMAT_PAGE_BYTES), NULL,
                                          true, &header),
                0);
            torn += clg_segment_footer_decode(page, &header, &footer) == COMMITLOG_EDAMAGED;
            ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
            commitlog_fault_free(machine);
            machine = next;
        }
    }
    ck_assert_uint_gt(torn, 0);
}
END_TEST

/* A bit in a sector, or a sector that is lost where a later segment is sealed, or in a store that
 * was closed. */
START_TEST(what_has_rotted_is_damage)
{
    char path[64];
    two_sealed();
    if (_i == 2) {
        ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    if (_i == 0) {
        (void)footer_of(1, path);
        lose_sectors(1, 1u << (SECTORS - 1));
        ck_assert_int_eq(
            commitlog_fault_flip(machine, path,
                                 segment_bytes - CLG_FORMAT_PAGE_BYTES + CLG_FOOTER_AT_RECORDS, 1),
            0);
    } else {
        lose_sectors(_i == 1 ? 0 : 1, 1u << (SECTORS - 1));
    }
    ck_assert_int_eq(verify_store(), COMMITLOG_EDAMAGED);
}
END_TEST

/* A writer beside the verification is at it: some readings find some sectors, the next all. */
static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    uint8_t whole[CLG_FORMAT_PAGE_BYTES];
    uint32_t reads;
    uint32_t until;
} sealing;

static int64_t read_while_sealed(const struct commitlog_os *os, int fd, void *buf, size_t size,
                                 uint64_t at)
{
    (void)os;
    const uint64_t footer_at = segment_bytes - CLG_FORMAT_PAGE_BYTES;
    int64_t rc = sealing.under->pread(sealing.under, fd, buf, size, at);
    const bool is_torn = rc > 0 && at == footer_at && clg_is_zero(buf, SECTOR) &&
                         !clg_is_zero((const uint8_t *)buf + SECTOR, size - SECTOR);
    if (is_torn && ++sealing.reads == sealing.until) {
        char path[64];
        (void)footer_of(1, path);
        ck_assert_int_eq(
            commitlog_fault_write(machine, path, footer_at, sealing.whole, sizeof(sealing.whole)),
            0);
    }
    return rc;
}

START_TEST(a_footer_that_is_written_meanwhile_is_no_damage)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    char path[64];
    memset(&sealing, 0, sizeof(sealing));
    sealing.until = (uint32_t)_i;
    two_sealed();
    memcpy(sealing.whole, footer_of(1, path), sizeof(sealing.whole));
    lose_sectors(1, 1);
    sealing.under = commitlog_fault_os(machine);
    sealing.table = *sealing.under;
    sealing.table.pread = read_while_sealed;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, &sealing.table);
    ck_assert_msg(commitlog_verify("/store", options, &report, &err) == COMMITLOG_OK, "%s",
                  err.message);
    ck_assert_uint_eq(sealing.reads, sealing.until);
    commitlog_report_free(report);
    commitlog_options_free(options);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("torn footer");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, a_footer_of_which_a_power_cut_left_some_sectors_is_no_damage, 0, 3);
    tcase_add_test(all, whatever_a_power_cut_leaves_of_it_is_no_damage);
    tcase_add_loop_test(all, a_footer_that_is_written_meanwhile_is_no_damage, 1, 3);
    tcase_add_loop_test(all, what_has_rotted_is_damage, 0, 3);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
