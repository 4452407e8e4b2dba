/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_scan.h -- the records of one segment in order, each with a verdict.
 *
 * For recovery, verify, scrub and the command: reads by pread into its own buffer, never through a
 * map, so that a bad sector is an answer and not a signal, and what was checked is what is used.
 *
 * Modes: HEADER_ONLY hops by verified headers. Header and attributes are at hand, the body only if
 * the record has at most CLG_SCAN_SMALL_BYTES. Control records are checked whole, and messages with
 * a producer's mark, because state is built from them; other messages are not. FULL checks every
 * byte, and a batch as one unit before its first record is handed out.
 *
 * A record is valid if its checks hold for this salt and position, its parts fit the segment (with
 * room for a pad behind it, or a pad that ends exactly at the data's end), its epoch and store time
 * are not below those of the record before, and its durable-back does not reach below 0.
 *
 * Invariants: a verdict other than OK does not move the scan: asked again it answers the same.
 *       Memory is one buffer, at most the largest record of this segment.
 * Threads and locks: one thread at a time per scan.
 * Happy path: init -> step until a verdict other than OK -> free.
 * Failure modes: step returns a code only for want of memory; all that is wrong with the data is a
 *       verdict.
 */
#ifndef CLG_SEGMENT_SEGMENT_SCAN_H
#define CLG_SEGMENT_SEGMENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/record.h"
#include "segment/segment.h"

#define CLG_SCAN_WINDOW_BYTES (UINT64_C(1) << 20)
#define CLG_SCAN_SMALL_BYTES UINT32_C(65536)
#define CLG_SCAN_BLOCK_BYTES UINT64_C(4096)

enum clg_scan_mode { CLG_SCAN_HEADER_ONLY, CLG_SCAN_FULL };

enum clg_scan_verdict {
    CLG_SCAN_OK,
    CLG_SCAN_END,        /* at the data's end, behind the closing pad */
    CLG_SCAN_FREE,       /* the word is 0: nothing was written here, or it did not arrive */
    CLG_SCAN_CLAIMED,    /* a whole claimed header: the writer died before it committed */
    CLG_SCAN_BAD_HEADER, /* fails its header check, or fits badly: see `why` */
    CLG_SCAN_BAD_BODY,   /* the header holds, the bytes behind it do not */
    CLG_SCAN_BAD_BATCH,  /* a batch header that holds, members that do not all */
    CLG_SCAN_BAD_MEMBER, /* records that hold, of a batch of which the header does not */
    CLG_SCAN_BAD_READ    /* the device does not give the bytes: os_errno */
};

struct clg_scan_record {
    enum clg_scan_verdict verdict;
    int os_errno;    /* BAD_READ, positive */
    const char *why; /* a few words, static; "" for OK */
    uint64_t position;
    uint64_t next_position; /* position + size; = position unless a header was understood */
    uint32_t size;          /* 0 unless a header was understood: never FREE, END, BAD_HEADER */
    bool header_zero;       /* FREE: all 48 bytes are zero */
    struct clg_record_header header; /* decoded, meaningful with size > 0 */
    /* Into the scan's buffer, until the next call on it; NULL when not loaded. Only for OK. */
    const uint8_t *attributes;
    const uint8_t *body;
    size_t body_bytes; /* of the record, loaded or not */
    /* Batches: [position, batch_end) is one unit. 0 outside of one. BAD_MEMBER: up to where members
     * follow each other. */
    uint64_t batch_end;
    uint64_t fault_position;     /* BAD_BATCH: the member that failed; otherwise = position */
    enum clg_scan_verdict fault; /* BAD_BATCH: its verdict, OK if only the sums disagree */
};

/* What the next record must not be below. */
struct clg_scan_bounds {
    uint32_t epoch;
    int64_t time;
};

/* Why a header that passes its check cannot be at this place of the segment; NULL: it can. Its size
 * is one that clg_record_check_bounds allows there. */
const char *clg_scan_misfit(const struct clg_segment *segment, const struct clg_scan_bounds *bounds,
                            const struct clg_record_header *header, uint64_t position);
/* To what may follow this record. */
void clg_scan_raise(struct clg_scan_bounds *bounds, const struct clg_record_header *header);

/* How much a search in this many bytes may hash: true records end it, so only forged or overlapping
 * headers spend that, and a file that was made for it must not cost hours. */
static inline uint64_t clg_scan_hash_most(uint64_t bytes)
{
    return (UINT64_C(64) << 20) + bytes * 16;
}

struct clg_scan {
    struct clg_segment *segment; /* borrowed */
    const struct commitlog_os *os;
    enum clg_scan_mode mode;
    uint64_t next; /* where the next step looks */
    /* What the next record must not be below; the caller may set them before the first step. */
    uint32_t min_epoch;
    int64_t min_time;
    /* Highest durable position a valid record of this scan has witnessed; 0: none. */
    uint64_t witnessed;
    uint64_t records;     /* OK so far */
    uint64_t batch_end;   /* members before it were verified with their batch */
    uint64_t members_end; /* records before it may be members: the same, until a caller who wants
                           * the members verified once more sets batch_end to 0 */

    uint8_t *buffer; /* NULL for one over a map */
    uint64_t buffer_bytes;
    const uint8_t *window; /* the buffer, or the map */
    uint64_t window_at;    /* position of window[0] */
    uint64_t window_bytes; /* valid from there */
    uint64_t read_ahead;   /* bytes to ask for at once */
    uint64_t searched;     /* bytes of bodies that searches of this scan have hashed */
    /* Behind data_to there is only a hole, as a search from data_from on found; 0: not known. */
    uint64_t data_from;
    uint64_t data_to;
};

/* Starts at `position` (0: the start of the data). min_epoch and min_time begin at the segment
 * header's own; a position in the middle of a batch is the caller's mistake: its members fail
 * there. No failure: the buffer comes with the first step. */
void clg_scan_init(struct clg_scan *scan, struct clg_segment *segment, uint64_t position,
                   enum clg_scan_mode mode);
/* From now on without copies, through the segment's map: a block that does not read is SIGBUS, so
 * only for what was read a moment ago, by callers that may use maps at all. */
CLG_MUST_CHECK int clg_scan_use_map(struct clg_scan *scan, struct commitlog_error *err);
void clg_scan_free(struct clg_scan *scan);
/* Go on elsewhere, e.g. behind damage; epoch and time bounds stay. What was read ahead is
 * forgotten: after a write to the segment, seek before the next step or search. */
void clg_scan_seek(struct clg_scan *scan, uint64_t position);
/* The same with what was read: nothing was written since. */
void clg_scan_skip(struct clg_scan *scan, uint64_t position);

/* Where what fails to verify ends, as far as its header says that; 0: it does not. */
uint64_t clg_scan_damage_end(const struct clg_scan_record *record);
/* It is one record, and of which queue and offset its header says. */
bool clg_scan_damage_is_one(const struct clg_scan_record *record);

/* The next record: 0 and a verdict, or COMMITLOG_ENOMEM. */
CLG_MUST_CHECK int clg_scan_step(struct clg_scan *scan, struct clg_scan_record *out,
                                 struct commitlog_error *err);

/* What the header of a committed record says to be durable, whether the rest of it verifies or not;
 * of one that the end of a short file cuts, with zeros for what is missing. 0: no header verifies,
 * or it says nothing. */
uint64_t clg_scan_header_durable(const struct clg_scan_record *record);

struct clg_scan_search {
    uint64_t found;            /* a valid record, or `to` */
    uint64_t unreadable;       /* blocks of 4096 bytes skipped because of EIO */
    uint64_t first_unreadable; /* position of the first of them; CLG_NO_POSITION */
    bool all_zero;             /* every byte read in [from, found) is zero */
    uint64_t said_durable; /* the most that clg_scan_header_durable says of what was passed over */
};

/*
 * The first position p in [from, to), on steps of 8 bytes, at which a committed record verifies:
 * header, epoch and time against the scan's bounds, in FULL mode its body too. Costs a load and a
 * compare per step where nothing is; unreadable blocks are skipped and counted. Does not move the
 * scan. COMMITLOG_ENOTFOUND: none (search is filled); COMMITLOG_EDAMAGED: a file made to cost hours
 * (bodies hashed for many times the range without a match); COMMITLOG_ENOMEM.
 */
CLG_MUST_CHECK int clg_scan_resync(struct clg_scan *scan, uint64_t from, uint64_t to,
                                   struct clg_scan_search *search, struct commitlog_error *err);

/* Is [from, to) all zero? *first_nonzero is `to` then. COMMITLOG_EIO: a block does not read. */
CLG_MUST_CHECK int clg_scan_all_zero(struct clg_scan *scan, uint64_t from, uint64_t to,
                                     uint64_t *first_nonzero, struct commitlog_error *err);
/* One past the last byte of [from, to) that is not zero, in steps of 8; `from` if there is none.
 * Unreadable blocks count as not zero. */
CLG_MUST_CHECK int clg_scan_last_nonzero(struct clg_scan *scan, uint64_t from, uint64_t to,
                                         uint64_t *end, struct commitlog_error *err);

/* A record begins there, by its header alone: what does not read is none. Any position, as a file
 * may say it. */
bool clg_scan_read_header(struct clg_segment *segment, uint64_t position,
                          struct clg_record_header *out);
/* And has this header check. */
bool clg_scan_is_record(struct clg_segment *segment, uint64_t position, uint32_t header_check);

const char *clg_scan_verdict_text(enum clg_scan_verdict verdict);

#endif
