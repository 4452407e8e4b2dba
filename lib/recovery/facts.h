/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.h -- what recovery knows before it decides: everything read, nothing changed.
 *
 * Owns: struct clg_facts and its arrays.
 * Invariants: 1. read with pread only, never through a map, so a bad sector is an errno; 2. nothing
 *       is written; the same bytes give the same facts; 3. every record in [scan_from, prefix_end)
 *       was verified in full: checks, epoch and store time not decreasing, batches whole; 4. memory
 *       does not grow with the number of records (one window of 1 MiB, one record, and lists whose
 *       lengths are bounded by files, by CLG_FACTS_RANGES_MAX and by the stage).
 * Threads and locks: the calling thread only.
 * Happy path: clg_facts_collect -> clg_plan_make -> clg_run_plan, then clg_facts_free.
 * Failure modes: COMMITLOG_EINTERRUPTED (cancelled), ENOMEM, EVERSION, EFOREIGN, EFORMAT, and EIO
 *       for a file that cannot even be listed or opened. EIO on reading records is a fact.
 *
 * Time: headers and footers of all segments, then the bytes behind the checkpointed position.
 */
#ifndef CLG_RECOVERY_FACTS_H
#define CLG_RECOVERY_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "format/checkpoint.h"
#include "format/record.h"
#include "recovery/store_dir.h"
#include "segment/segment.h"

/* A log in more pieces than this is salvaged in several rounds. */
#define CLG_FACTS_RANGES_MAX 65536u
#define CLG_FACTS_NAME_MAX 64u
#define CLG_FACTS_QUEUES 64u
#define CLG_FACTS_STATES 8u

/* Returns non-zero to cancel. */
typedef int (*clg_progress_fn)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

struct clg_fact_segment {
    uint64_t base;
    uint64_t bytes;      /* stated size; without header: up to the next file, or as it is long */
    uint64_t file_bytes; /* 0: no such file (only a range can tell) */
    uint64_t used_end;   /* behind X: position behind its last byte that is not zero, or base */
    struct clg_segment *segment; /* NULL: no header and none could be put together */
    enum clg_segment_state state;
    int footer_code; /* 0, COMMITLOG_ENOTFOUND (not sealed), EDAMAGED, EIO */
    uint64_t footer_end;
    uint64_t records; /* whole: those in it */
    bool whole; /* the scan saw it from its first record to the end of its data, and all is sound */
    uint32_t views; /* of which kinds there is a view file: 1 << CLG_FILE_CQ, 1 << CLG_FILE_KEY */
    bool rebuilt;   /* segment was opened with a header put together from the neighbours */
    bool cut;       /* and its file is shorter than that says */
    bool nonzero;   /* no segment: something in the file. Else: something behind X */
    bool has_data;  /* no segment: something where records would lie, or it does not read */
    uint64_t session_from;  /* its first record says that a session of this epoch began there */
    uint32_t session_epoch; /* 0: it does not say */
};

enum clg_range_kind {
    CLG_RANGE_BODY,       /* the header verifies: size, queue and offset are known */
    CLG_RANGE_HEADER,     /* nothing verifies up to `to` */
    CLG_RANGE_UNREADABLE, /* EIO */
    CLG_RANGE_CLAIMED,    /* a claimed word that no writer dead in this boot explains */
    CLG_RANGE_BATCH,      /* a whole batch with something damaged in it */
    CLG_RANGE_MEMBER,     /* records that verify, of a batch of which the header does not */
    CLG_RANGE_SEGMENT     /* a whole segment: no header, or no file */
};

struct clg_fact_range {
    uint64_t from;
    uint64_t to;
    uint64_t queue_offset;
    uint32_t queue; /* CLG_QUEUE_NONE: not known */
    uint32_t epoch; /* of the record before it: a hole put there must not decrease it */
    int64_t store_time;
    enum clg_range_kind kind;
};

enum clg_claim_source { CLG_CLAIM_STAGE, CLG_CLAIM_MAP };

/* A record whose writer died between claim and commit. */
struct clg_fact_claim {
    uint64_t position;
    uint32_t size;
    enum clg_claim_source source;
    struct clg_record_header header;
};

/* [from, to) is not in the segment but verified in the stage. */
struct clg_fact_staged {
    uint64_t from;
    uint64_t to;
    uint64_t records;
};

enum clg_fact_where { CLG_WHERE_DIR, CLG_WHERE_LOG, CLG_WHERE_VIEW };

struct clg_fact_name {
    char name[CLG_FACTS_NAME_MAX];
    enum clg_fact_where where;
};

/* Valid records behind X, by queue; what does not fit is in cut_others. */
struct clg_fact_queue {
    uint32_t queue;
    uint64_t records;
    uint64_t from_offset;
    uint64_t to_offset;
};

enum clg_end_reason {
    CLG_END_ZERO,       /* the header there is zero */
    CLG_END_BAD,        /* bytes that do not verify */
    CLG_END_UNREADABLE, /* EIO: end_errno */
    CLG_END_CLAIMED,
    CLG_END_NO_SEGMENT /* behind the pad of the last segment */
};

enum clg_witness_source {
    CLG_WITNESS_NONE,
    CLG_WITNESS_CHECKPOINT,
    CLG_WITNESS_RECORD, /* a record before the end */
    CLG_WITNESS_BEHIND, /* a record behind it */
    CLG_WITNESS_FOOTER,
    CLG_WITNESS_LIVE,
    CLG_WITNESS_STATE
};

struct clg_live_facts {
    bool usable;     /* same boot, device, inode, UUID, session; positions in order */
    bool failed;     /* its writer had latched an error */
    bool unsound;    /* there, but it fails its checks: what only it had is lost */
    bool missing;    /* LOCK names it, and it is not there: the same */
    uint32_t engine; /* CLG_ENGINE_... */
    uint32_t epoch;
    uint64_t first;
    uint64_t durable;
    uint64_t written;
    uint64_t published;
    uint64_t claimed;
    uint64_t session;
};

struct clg_facts {
    const struct commitlog_os *os;
    /* the store */
    uint8_t uuid[CLG_UUID_BYTES];
    bool uuid_known;
    bool is_new; /* no segment, no checkpoint, nothing derived: creation to be finished */
    bool same_boot;
    bool writer_live;     /* a reader beside a live writer: no record was read */
    bool checkpoint_file; /* CHECKPOINT exists */
    bool have_checkpoint;
    bool clean; /* the checkpoint says clean and no newer slot can have been lost */
    uint32_t bad_slots;
    uint32_t unread_slots; /* of them: the device does not give the bytes, so W may be higher */
    struct clg_checkpoint checkpoint;
    struct clg_live_facts live;
    /* files */
    struct clg_fact_segment *segments; /* ascending base */
    size_t segment_count;
    size_t segment_room;
    struct clg_fact_name *tmp_names; /* ours, unfinished */
    size_t tmp_count;
    size_t tmp_room;
    uint64_t foreign_names;            /* in log/, not of our pattern: left alone */
    uint64_t states[CLG_FACTS_STATES]; /* positions of .state files; more are not looked at */
    uint32_t state_count;
    /* the scan */
    uint64_t first; /* first record's place: data start of the oldest segment that counts */
    uint64_t scan_from;
    uint64_t sure;       /* CHECKPOINT or the live area says durable up to here */
    bool straddled;      /* that is in the middle of a record: a hole that salvage has made */
    uint64_t straddling; /* where it begins */
    uint64_t prefix_end; /* X */
    enum clg_end_reason end_reason;
    int end_errno;
    const char *end_why;    /* a few words; static */
    uint64_t valid_end;     /* behind the last record that verifies anywhere */
    uint64_t unread_blocks; /* behind X, of 4096 bytes, that the device does not give */
    bool tail_zero;         /* nothing but zeros behind X, in all segments */
    bool is_outrun;         /* a record before X is later than what a clean close says was last */
    bool gap;               /* a segment is missing between first and the last one */
    uint64_t first_record;  /* the first position that the newest scanned record states; 0: none */
    bool first_told;        /* CHECKPOINT or the log itself says `first`, whatever the files do */
    uint64_t witness;       /* W */
    enum clg_witness_source witness_source;
    uint64_t bytes_scanned;
    uint64_t bytes_total;
    uint64_t records_scanned;      /* before X */
    uint64_t records_behind;       /* valid ones behind X */
    uint32_t max_epoch;            /* seen in any record, header or checkpoint */
    int64_t last_store_time;       /* of checkpoint, records, headers: none later may be lower */
    struct clg_fact_range *ranges; /* ascending, all >= X but for missing segments */
    size_t range_count;
    size_t range_room;
    bool more_ranges;
    struct clg_fact_claim *claims; /* ascending; behind X those of the stage */
    size_t claim_count;
    size_t claim_room;
    struct clg_fact_staged *staged; /* ascending, before X and behind it */
    size_t staged_count;
    size_t staged_room;
    struct clg_fact_queue cut_queues[CLG_FACTS_QUEUES];
    size_t cut_queue_count;
    uint64_t cut_others;
};

struct clg_facts_options {
    bool read_only;
    bool full;                /* scan from the first position, not from the checkpoint (verify) */
    clg_progress_fn progress; /* NULL: none */
    void *progress_ctx;
};

/* Segments are opened through dir->segment_dir, whose uuid is set here. */
CLG_MUST_CHECK int clg_facts_collect(struct clg_store_dir *dir,
                                     const struct clg_facts_options *options, struct clg_facts *out,
                                     struct commitlog_error *err);
void clg_facts_free(struct clg_facts *facts);

/* All of it lies before `first`: retention had been interrupted. */
bool clg_facts_is_below(const struct clg_facts *facts, const struct clg_fact_segment *fact);
/* No segment, and named as if it began in the middle of one: it takes nothing from that. */
bool clg_facts_is_stray(const struct clg_facts *facts, size_t index);
/* Behind all records and ranges something had been durable: from *out_from to facts->witness. */
bool clg_facts_lost_end(const struct clg_facts *facts, uint64_t *out_from);

/* What became of the live area of a writer that did not close, so that nobody can say what was only
 * in it, or that there was nothing; or of what it says was published, and may have been
 * acknowledged at a level that survives the process. NULL: nothing became of it. */
const char *clg_facts_live_lost(const struct clg_facts *facts);

/* Is this record of a later epoch or store time than a clean close says that there was? */
bool clg_facts_outruns(const struct clg_facts *facts, const struct clg_record_header *header);

/* What is the matter with CHECKPOINT. NULL: nothing, or a writer is there. *out_torn: a power cut
 * while a slot is written leaves that; else nothing but damage does. */
const char *clg_facts_checkpoint_wrong(const struct clg_facts *facts, bool *out_torn);

/* Segment that holds `position` (its header pages and footer too), or NULL. */
const struct clg_fact_segment *clg_facts_segment_at(const struct clg_facts *facts,
                                                    uint64_t position);

#endif
