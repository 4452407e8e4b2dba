/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits.h -- every maximum of the format, with its reason
 *
 * A length, count or offset read from a file is compared with one of these (and with the size of
 * what holds it) before it is used. Nothing here comes from a record.
 */
#ifndef CLG_FORMAT_LIMITS_H
#define CLG_FORMAT_LIMITS_H

#include <stdint.h>

/* Positions. Below 2^63, so that a language with signed integers only can hold one. */
#define CLG_POSITION_MAX UINT64_C(0x7ffffffffffff000)

/* Segments. Whole pages. The minimum leaves 52 KiB for records after the two header pages and
 * the footer; the maximum is what a 32-bit place in 8-byte units reaches. */
#define CLG_SEGMENT_ALIGN UINT64_C(4096)
#define CLG_SEGMENT_MIN (UINT64_C(64) << 10)
#define CLG_SEGMENT_MAX (UINT64_C(32) << 30)
#define CLG_SEGMENT_DEFAULT (UINT64_C(256) << 20)
#define CLG_SEGMENT_DATA_START UINT64_C(8192) /* header page and its copy */
#define CLG_SEGMENT_FOOTER UINT64_C(4096)     /* the last page */
/* From the end of a pad record to the first record of the next segment. */
#define CLG_SEGMENT_GAP (CLG_SEGMENT_FOOTER + CLG_SEGMENT_DATA_START)

/* Records. The word holds size and state in 32 bits. A record stays below 1 GiB, so that sums of
 * a few sizes fit 32 bits even where one is forgotten, and a language with 31-bit array lengths
 * can hold one. Fillers (hole, pad) have no body to hold and may use the whole range. */
#define CLG_RECORD_ALIGN 8u
#define CLG_RECORD_MIN 48u
#define CLG_RECORD_MAX UINT32_C(0x3ffffff8)
#define CLG_FILLER_MAX UINT32_C(0xfffffff8)

/* Attributes. The record header gives their bytes in 16 bits. */
#define CLG_ATTRIBUTES_MAX 65535u
/* One byte of length in most protocols that carry tags (AMQP short strings). */
#define CLG_TAG_MAX 255u
/* A key is compared byte by byte on look-up: long enough for any identifier or path. */
#define CLG_KEY_MAX 4096u
/* Each key costs an index entry: 64 bound what one record adds to the index (512 bytes). */
#define CLG_RECORD_KEYS_MAX 64u
#define CLG_HEADER_NAME_MAX 255u

/* Topics. A name fits one byte of length in every protocol; UTF-8 without NUL. */
#define CLG_TOPIC_NAME_MAX 255u
/* A definition that carries every queue's next offset (16 bytes each) stays below
 * CLG_RECORD_MAX: 2^24 queues are 256 MiB. */
#define CLG_TOPIC_QUEUES_MAX (UINT32_C(1) << 24)
#define CLG_GROWTH_STEPS_MAX 32u /* each step at least doubles */

/* Consumer groups. Names as those of topics. A record of offsets fits the smallest segment, beside
 * others: 2,048 entries are 32 KiB. */
#define CLG_GROUP_NAME_MAX 255u
#define CLG_GROUP_ENTRIES_MAX 2048u

/* Work of groups on single messages. A record of entries is at most twice one of offsets. */
#define CLG_WORK_ENTRIES_MAX 2048u
#define CLG_WORK_ATTEMPTS_MAX 65535u

/* Idempotent producers. So many appends of one are remembered with their receipts: as many as may
 * be under way at once (Kafka allows as many). Sequences stay below 2^63 as positions do. */
#define CLG_PRODUCER_RECEIPTS 5u
#define CLG_PRODUCER_SEQUENCE_MAX UINT64_C(0x7fffffffffffffff)
/* Each takes some 300 bytes of memory, twice in a writer. */
#define CLG_PRODUCERS_MAX 131072u

/* Store times are nanoseconds in 63 bits: nothing can be due later. */
#define CLG_DELIVER_AT_MAX_MS INT64_C(9223372036854)
#define CLG_AGE_MAX_MS UINT64_C(9223372036854)

/* Open transactions, and messages of one: what a batch may have. A time that is asked for ends. */
#define CLG_TRANSACTIONS_MAX 65536u
#define CLG_TRANSACTION_MESSAGES_MAX 65535u
#define CLG_TRANSACTION_PREPARED_MS INT64_C(86400000)
#define CLG_TRANSACTION_TIME_MAX_MS INT64_C(2592000000)

/* Queue numbers of a store: 0 to 2^32 - 2; the last value means "no queue". */
#define CLG_QUEUE_NONE UINT32_C(0xffffffff)
#define CLG_QUEUES_MAX UINT32_C(0xffffffff) /* number of queues, exclusive bound of numbers */
/* Queue offsets stay below 2^63 for the same reason as positions. */
#define CLG_QUEUE_OFFSET_MAX UINT64_C(0x7fffffffffffffff)

/* Batches. A batch lies in one segment, and a reader may hold the whole of it: its members'
 * bytes are bounded like one record's. The count bounds the work until a batch is decided. */
#define CLG_BATCH_COUNT_MAX (UINT32_C(1) << 20)
#define CLG_BATCH_BYTES_MAX ((uint64_t)CLG_RECORD_MAX)

/* Sealed view files: counts are 32-bit. A segment of 32 GiB holds at most 2^29.4 records. */
#define CLG_QUEUE_FILE_ENTRIES_MAX UINT32_C(0xffffffff)
#define CLG_KEY_FILE_ENTRIES_MAX UINT32_C(0xfffffffe)
/* A prefix directory of 2^24 + 1 words is 64 MiB, 1/8 of its entries at the most. */
#define CLG_KEY_PREFIX_BITS_MAX 24u

/* .state: sections are one per view, a few; the bound stops a hostile file. */
#define CLG_STATE_SECTIONS_MAX 256u

/* Stage ring: a power of two, whole huge pages at the top end. */
#define CLG_RING_MIN (UINT64_C(64) << 10)
#define CLG_RING_MAX (UINT64_C(1) << 30)
#define CLG_RING_DEFAULT (UINT64_C(4) << 20)

/* Path of the live area in LOCK: fits the page beside the other fields. */
#define CLG_LIVE_PATH_MAX 2048u

#endif
