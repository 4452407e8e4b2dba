/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_large_pages.c -- a kernel with pages of 16 or 64 KiB: a file is mapped from a whole page of
 * it on, and what is advised or locked of a map begins at one.
 */
#include <sys/mman.h>

#include "base/bytes.h"
#include "format/live_area.h"
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { BODY = 4000, RECORDS = 1600 };

/* The machine with larger pages: its maps begin at one. Whatever such a kernel would refuse is
 * counted, since the library takes some refusals for a hint that was not heard. */
static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    size_t page;
    uint32_t twice;    /* files mapped twice in a row */
    uint32_t advised;  /* calls */
    uint32_t refused;  /* calls */
    int64_t passed_ns; /* what each look at the clock takes: no page is there at once */
} kernel;

static int kernel_refuse(void)
{
    kernel.refused++;
    return -EINVAL;
}

static size_t kernel_page_size(const struct commitlog_os *os)
{
    (void)os;
    return kernel.page;
}

/* Moves the maps, `count` of them of `size` in a row, to where a page begins. */
static void kernel_move(void **out, size_t size, size_t count)
{
    const size_t bytes = size * count;
    uint8_t *room = mmap(NULL, bytes + kernel.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(room != MAP_FAILED);
    const size_t before = (size_t)(clg_align_up((uintptr_t)room, kernel.page) - (uintptr_t)room);
    const size_t whole = (size_t)clg_align_up(bytes, kernel.under->page_size(kernel.under));
    for (size_t i = 0; i < count; i++) {
        ck_assert(mremap(clg_at(*out, i * size), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                         room + before + i * size) == room + before + i * size);
    }
    *out = room + before;
    if (before > 0) {
        ck_assert_int_eq(munmap(room, before), 0);
    }
    if (before + whole < bytes + kernel.page) {
        ck_assert_int_eq(munmap(room + before + whole, bytes + kernel.page - before - whole), 0);
    }
}

static int kernel_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                      uint32_t prot, uint32_t flags, void **out)
{
    (void)os;
    if (at % kernel.page != 0) {
        return kernel_refuse();
    }
    int rc = kernel.under->map(kernel.under, fd, at, size, prot, flags, out);
    if (rc >= 0) {
        kernel_move(out, size, 1);
    }
    return rc;
}

/* The second one has to begin where the first one ends. */
static int kernel_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                            uint32_t prot, void **out)
{
    (void)os;
    kernel.twice++;
    if (at % kernel.page != 0 || size % kernel.page != 0) {
        return kernel_refuse();
    }
    int rc = kernel.under->map_twice(kernel.under, fd, at, size, prot, out);
    if (rc >= 0) {
        kernel_move(out, size, 2);
    }
    return rc;
}

static bool kernel_begins_page(const void *addr)
{
    return (uintptr_t)addr % kernel.page == 0;
}

static int kernel_unmap(const struct commitlog_os *os, void *addr, size_t size)
{
    (void)os;
    return kernel_begins_page(addr) ? kernel.under->unmap(kernel.under, addr, size)
                                    : kernel_refuse();
}

static int kernel_protect(const struct commitlog_os *os, void *addr, size_t size, uint32_t prot)
{
    (void)os;
    return kernel_begins_page(addr) ? kernel.under->protect(kernel.under, addr, size, prot)
                                    : kernel_refuse();
}

static int kernel_advise(const struct commitlog_os *os, void *addr, size_t size,
                         enum clg_os_advice advice)
{
    (void)os;
    kernel.advised++;
    return kernel_begins_page(addr) ? kernel.under->advise(kernel.under, addr, size, advice)
                                    : kernel_refuse();
}

static int kernel_lock_pages(const struct commitlog_os *os, const void *addr, size_t size)
{
    (void)os;
    return kernel_begins_page(addr) ? kernel.under->lock_pages(kernel.under, addr, size)
                                    : kernel_refuse();
}

static int64_t kernel_clock(const struct commitlog_os *os)
{
    (void)os;
    kernel.passed_ns += CLG_OS_NS_PER_MS;
    return kernel.under->clock_mono_ns(kernel.under) + kernel.passed_ns;
}

static void pages_setup(void)
{
    setup();
    segment_bytes = UINT64_C(4) << 20;
    memset(&kernel, 0, sizeof(kernel));
    kernel.under = commitlog_fault_os(machine);
    kernel.table = *kernel.under;
    kernel.table.page_size = kernel_page_size;
    kernel.table.map = kernel_map;
    kernel.table.map_twice = kernel_map_twice;
    kernel.table.unmap = kernel_unmap;
    kernel.table.protect = kernel_protect;
    kernel.table.advise = kernel_advise;
    kernel.table.lock_pages = kernel_lock_pages;
    kernel.table.clock_mono_ns = kernel_clock;
}

static void pages_teardown(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0); /* before its table goes */
    store = NULL;
    teardown();
}

static const struct {
    size_t page;
    uint64_t engine;
    uint64_t stage;
} page_rows[] = {{16384, COMMITLOG_ENGINE_STAGED, CLG_RING_MIN},
                 {65536, COMMITLOG_ENGINE_STAGED, CLG_RING_MIN},
                 {65536, COMMITLOG_ENGINE_STAGED, CLG_RING_DEFAULT},
                 {16384, COMMITLOG_ENGINE_MMAP, CLG_RING_MIN},
                 {65536, COMMITLOG_ENGINE_MMAP, CLG_RING_MIN}};

/* Two segments of records of all sizes, and what upkeep does meanwhile. */
static void append_all(uint64_t *positions)
{
    static const uint8_t body[BODY];
    struct commitlog_receipt receipt;
    uint32_t wait_ms;
    for (uint32_t i = 0; i < RECORDS; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, 1 + i * 13 % BODY,
                                          COMMITLOG_LEVEL_WRITTEN, &receipt),
                         0);
        positions[i] = receipt.position;
        if (i % 64 == 0) {
            ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
        }
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
}

/* At random, each alone, and as if each had to come from the disk. */
static void read_all(const uint64_t *positions)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        uint32_t which = i * 977 % RECORDS;
        ck_assert_msg(commitlog_get(store, positions[which], &message, &lease, &err) == 0, "%s",
                      err.message);
        ck_assert_uint_eq(message.body.bytes, 1 + which * 13 % BODY);
        commitlog_lease_release(lease);
    }
}

START_TEST(a_store_opens_appends_reads_and_recovers)
{
    static uint64_t positions[RECORDS];
    kernel.page = page_rows[_i].page;
    stage_bytes = page_rows[_i].stage;
    ck_assert_msg(store_open_with(&kernel.table, page_rows[_i].engine, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    append_all(positions);
    read_all(positions);
    ck_assert_uint_eq(kernel.refused, 0);
    ck_assert_uint_eq(kernel.twice, page_rows[_i].engine == COMMITLOG_ENGINE_STAGED ? 1 : 0);
    ck_assert_uint_gt(kernel.advised, RECORDS / 2);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_msg(store_open_with(&kernel.table, page_rows[_i].engine, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_uint_eq(store_count(), RECORDS);
    read_all(positions);
    ck_assert_uint_eq(kernel.refused, 0);
}
END_TEST

/* The other one maps what the writer shows. */
START_TEST(so_does_a_reader_beside_it)
{
    struct commitlog_store *writer;
    kernel.page = page_rows[_i].page;
    ck_assert_int_eq(store_open_with(&kernel.table, page_rows[_i].engine, COMMITLOG_RECOVER_TAIL),
                     0);
    store_put(3, COMMITLOG_LEVEL_NONE);
    writer = store;
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, &kernel.table);
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_uint_eq(store_count(), 3);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = writer;
    ck_assert_uint_eq(kernel.refused, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large_pages");
    TCase *cases = tcase_create("cases");
    const int rows = (int)(sizeof(page_rows) / sizeof(page_rows[0]));
    tcase_add_checked_fixture(cases, pages_setup, pages_teardown);
    tcase_add_loop_test(cases, a_store_opens_appends_reads_and_recovers, 0, rows);
    tcase_add_loop_test(cases, so_does_a_reader_beside_it, 0, rows);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
