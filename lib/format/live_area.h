/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * live_area.h -- layout of the memory that the writer shares with other processes
 *
 * A file on tmpfs (or DIR/LIVE): header page, one line per shared position, counters, 4 KiB for
 * each histogram, then the stage ring. The header page is encoded like every other file's
 * (little-endian, with a check) and does not change after the area is made. All that follows is in
 * the machine's own byte order and never leaves it.
 *
 * How many histograms there are is said by the header. A writer of another version may have more
 * or fewer: the first ones are the same, and the ring lies behind the last. It is mapped by itself,
 * so it begins at a multiple of 64 KiB: no kernel for which the library is built has larger pages.
 *
 * Who writes: the writer process only. Other processes map it read-only; after a crash recovery
 * reads it as evidence. Values read from it are validated like those of any file.
 *
 * Orders: every position is stored with release and loaded with acquire order; the tags are with
 * the code in lib/log. One line is 128 bytes, because processors fetch lines in pairs.
 */
#ifndef CLG_FORMAT_LIVE_AREA_H
#define CLG_FORMAT_LIVE_AREA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/histogram.h"
#include "base/invariant.h"
#include "format/format.h"
#include "format/limits.h"

#define CLG_BOOT_ID_BYTES 16u
#define CLG_LIVE_LINE_BYTES 128u
#define CLG_LIVE_COUNTERS 1024u
#define CLG_LIVE_SHARED_AT 4096u
#define CLG_LIVE_COUNTERS_AT 8192u
#define CLG_LIVE_HISTOGRAMS_AT 16384u
#define CLG_LIVE_HISTOGRAM_BYTES 4096u
#define CLG_LIVE_HISTOGRAMS_MAX 64u
#define CLG_LIVE_RING_ALIGN 65536u
/* In the areas that we make. */
#define CLG_LIVE_RING_AT 65536u

#define CLG_LIVE_AT_BOOT_ID 64u
#define CLG_LIVE_AT_DEVICE 80u
#define CLG_LIVE_AT_INODE 88u
#define CLG_LIVE_AT_SESSION 96u
#define CLG_LIVE_AT_START_TIME 104u
#define CLG_LIVE_AT_RING_BYTES 112u
#define CLG_LIVE_AT_RING_OFFSET 120u
#define CLG_LIVE_AT_AREA_BYTES 128u
#define CLG_LIVE_AT_CREATED 136u
#define CLG_LIVE_AT_PID 144u
#define CLG_LIVE_AT_ENGINE 148u
#define CLG_LIVE_AT_EPOCH 152u
#define CLG_LIVE_AT_HISTOGRAMS 156u

#define CLG_ENGINE_STAGED 1u /* ring present */
#define CLG_ENGINE_MMAP 2u   /* no ring: ring_bytes 0 */

#define CLG_LIVE_OPEN 0u   /* values of `closed` */
#define CLG_LIVE_CLOSED 1u /* the writer closed the store */
#define CLG_LIVE_FAILED 2u /* the writer latched an error; positions are final */

struct clg_live_line {
    _Alignas(CLG_LIVE_LINE_BYTES) _Atomic uint64_t value;
};

/* Changed and woken by the writer when others are to look again; waited for by futex. */
struct clg_live_wake {
    _Alignas(CLG_LIVE_LINE_BYTES) _Atomic uint32_t published; /* it rose */
    _Atomic uint32_t durable;                                 /* it rose */
};

struct clg_live_closed {
    _Alignas(CLG_LIVE_LINE_BYTES) _Atomic uint32_t flag;
};

enum { /* counters of the log itself; 0 to 15, on a line of their own, are the claim lock's */
       CLG_LIVE_COUNT_APPENDS = 0,
       CLG_LIVE_COUNT_APPENDED_BYTES = 1,
       CLG_LIVE_COUNT_FLUSHES = 16
};

enum clg_histogram { /* what is measured; only added to at the end */
                     CLG_HISTOGRAM_APPEND,
                     CLG_HISTOGRAM_APPEND_WRITTEN,
                     CLG_HISTOGRAM_APPEND_DURABLE,
                     CLG_HISTOGRAM_ROOM_WAIT,
                     CLG_HISTOGRAM_DRAIN,
                     CLG_HISTOGRAM_FLUSH,
                     CLG_HISTOGRAM_FLUSH_BYTES,
                     CLG_HISTOGRAM_FLUSH_RECORDS,
                     CLG_HISTOGRAM_WAKE_UP,
                     CLG_HISTOGRAMS
};

struct clg_live_area {
    uint8_t header[CLG_FORMAT_PAGE_BYTES];
    struct clg_live_line first;
    struct clg_live_line durable;
    struct clg_live_line written;
    struct clg_live_line published;
    struct clg_live_line claimed;
    struct clg_live_wake wake;
    struct clg_live_closed closed;
    uint8_t room[CLG_LIVE_COUNTERS_AT - CLG_LIVE_SHARED_AT - 7u * CLG_LIVE_LINE_BYTES];
    /* Statistics: the log's own, and the store's (enum clg_counter). */
    _Alignas(CLG_LIVE_LINE_BYTES) _Atomic uint64_t counters[CLG_LIVE_COUNTERS];
};

/* Each word is written by relaxed additions of any thread of the writer, so a reader gets
 * none in part, and none that is wrong by more than the values just being counted. */
struct clg_live_histogram {
    _Alignas(CLG_LIVE_LINE_BYTES) _Atomic uint64_t one_in; /* one value in so many is counted */
    _Atomic uint64_t max;
    _Atomic uint64_t sum;
    uint64_t room[5];
    _Atomic uint64_t buckets[CLG_HISTOGRAM_BUCKETS];
    uint64_t more_room[7];
};

CLG_STATIC_ASSERT(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "plain atomics");
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, first) == 4096);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, durable) == 4224);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, written) == 4352);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, published) == 4480);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, claimed) == 4608);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, wake.published) == 4736);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, wake.durable) == 4740);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, closed) == 4864);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_area, counters) == 8192 && CLG_LIVE_COUNTERS == 1024u);
CLG_FORMAT_ASSERT(sizeof(struct clg_live_area) == CLG_LIVE_HISTOGRAMS_AT);
CLG_FORMAT_ASSERT(CLG_LIVE_HISTOGRAMS_AT == 16384u && CLG_LIVE_RING_ALIGN == 65536u);
CLG_FORMAT_ASSERT(CLG_LIVE_RING_AT % CLG_LIVE_RING_ALIGN == 0);
CLG_FORMAT_ASSERT(CLG_LIVE_HISTOGRAMS_AT + CLG_HISTOGRAMS * CLG_LIVE_HISTOGRAM_BYTES <=
                  CLG_LIVE_RING_AT);
CLG_FORMAT_ASSERT(CLG_RING_MIN % CLG_LIVE_RING_ALIGN == 0); /* it is mapped twice in a row */
CLG_FORMAT_ASSERT(sizeof(struct clg_live_histogram) == CLG_LIVE_HISTOGRAM_BYTES);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_histogram, max) == 8);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_histogram, sum) == 16);
CLG_FORMAT_ASSERT(offsetof(struct clg_live_histogram, buckets) == 64);
CLG_FORMAT_ASSERT(CLG_HISTOGRAM_BUCKETS == 497u && CLG_HISTOGRAMS == 9);
CLG_FORMAT_ASSERT(CLG_LIVE_OPEN == 0u && CLG_LIVE_CLOSED == 1u && CLG_LIVE_FAILED == 2u);
CLG_FORMAT_ASSERT(CLG_ENGINE_STAGED == 1u && CLG_ENGINE_MMAP == 2u);

struct clg_live_header {
    uint64_t device; /* of the store directory */
    uint64_t inode;
    uint64_t session;
    uint64_t start_time;  /* of the writer process, as the kernel gives it */
    uint64_t ring_bytes;  /* power of two, or 0 */
    uint64_t ring_offset; /* clg_live_ring_offset(histograms) */
    uint64_t area_bytes;  /* ring_offset + ring_bytes */
    int64_t created;
    uint32_t pid;
    uint32_t engine;
    uint32_t epoch;
    uint32_t histograms;
    uint8_t uuid[CLG_UUID_BYTES];
    uint8_t boot_id[CLG_BOOT_ID_BYTES];
};

static inline uint64_t clg_live_ring_offset(uint32_t histograms)
{
    return clg_align_up(CLG_LIVE_HISTOGRAMS_AT + (uint64_t)histograms * CLG_LIVE_HISTOGRAM_BYTES,
                        CLG_LIVE_RING_ALIGN);
}

/* With the path behind it. */
#define CLG_LIVE_UNREADABLE                                                                        \
    "the live area belongs to the writer's user: while it has the store open, or if it died, "     \
    "others run as that user or as root: open %s"

/* Is an area of this user's that of a writer? Root may write to any store, and nobody else can make
 * a file of root's. */
static inline bool clg_live_owner_ok(uint32_t area_uid, uint32_t store_uid)
{
    return area_uid == store_uid || area_uid == 0;
}

void clg_live_header_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                            const struct clg_live_header *header);

/* `page` is a private copy of the first page of an area that is `bytes` long; `uuid` and `boot_id`
 * may be NULL. Codes of clg_format_decode; COMMITLOG_EFOREIGN also for another boot: nothing in
 * the area can be used then. */
int clg_live_area_check(const void *page, uint64_t bytes, const uint8_t *uuid,
                        const uint8_t *boot_id, struct clg_live_header *header);

#endif
