/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commitlog.h - an embeddable message log: one commit log for all topics,
 * consume queues and a key index folded from it.
 *
 * The whole public interface, from simple to expert:
 *
 *   1  rules for every function        6  read: cursors, queries, leases
 *   2  versions and errors             7  wait and follow
 *   3  options                         8  look at a store: positions, statistics
 *   4  open, close, topics             9  upkeep: retention, checkpoint, scrub
 *   5  append                         10  recovery, verification, damage
 *                                     11  choice of queues, shares of members
 *                                     12  consumer groups
 *                                     13  messages for later
 *                                     14  work: message by message
 *                                     15  transactions
 *
 * commitlog(7) tells the ideas and the caveats, commitlog-format(5) is the
 * authority for the bytes on disk, section 3 has a page with an example for
 * each group of functions.
 */
#ifndef COMMITLOG_H
#define COMMITLOG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define COMMITLOG_API __attribute__((visibility("default")))
#else
#define COMMITLOG_API
#endif

/* ------------------------------------------------------------------------ *
 * 1  Rules for every function
 *
 * - Returns 0 (COMMITLOG_OK) or a negative COMMITLOG_E... code. Nothing else
 *   is ever returned by a function of type int32_t unless its comment says so.
 * - Outputs come last (before `err`) and are untouched when the call fails,
 *   unless the comment names a status with which they are filled; receipts are
 *   filled with COMMITLOG_EUNKNOWN, too. Of an array that is filled, entries
 *   behind the number given are untouched.
 * - `err` may be NULL. It is written only on failure and owned by the caller.
 * - Handles are opaque. Every _close/_free/_release accepts NULL.
 * - Threads: a store may be used by any number of threads at once. A cursor,
 *   a lease, a reservation and an options object by one thread at a time, no
 *   matter which. No call has an affinity to a thread, none uses errno.
 * - Text is UTF-8 given as pointer and length; NUL is needed only where there
 *   is no length: `path`, `name_text` and `value_text`.
 * - Positions, offsets, sizes and times stay below 2^63.
 * - Times: `_ns` and `_ms` are since 1970-01-01 UTC unless they are time-outs.
 *   A time-out in ms: 0 tries once, COMMITLOG_FOREVER waits for ever.
 * - Public structs that may grow begin with `struct_bytes`: set it to the size
 *   you compiled with, or 0 for the size the library has. Of a struct that you
 *   fill, fields that the library does not know must be zero; zero is the
 *   default of every field. Of one that the library fills, no more than
 *   struct_bytes bytes are written.
 * - The library installs no signal handler, prints nothing, exits never and
 *   keeps no global state. After fork() the child must not use the parent's
 *   handles: calls on a store, and on what belongs to one, then return
 *   COMMITLOG_EFORK; those that return no code return 0 or do nothing,
 *   commitlog_cursor_tell and commitlog_transaction_id what they know. Options,
 *   progress objects, filters and reports work in the child.
 * ------------------------------------------------------------------------ */

enum { COMMITLOG_FOREVER = -1 };

/* ------------------------------------------------------------------------ *
 * 2  Versions and errors
 * ------------------------------------------------------------------------ */

enum {
    COMMITLOG_VERSION_MAJOR = 0,
    COMMITLOG_VERSION_MINOR = 1,
    COMMITLOG_VERSION_PATCH = 0
};

/* Version of the running library: major * 1000000 + minor * 1000 + patch. */
COMMITLOG_API uint32_t commitlog_version_number(void);
/* The same as text, "0.1.0"; static. */
COMMITLOG_API const char *commitlog_version_text(void);
/* 0 when the running library offers what a program built for major.minor
 * needs, COMMITLOG_EUNSUPPORTED otherwise. */
COMMITLOG_API int32_t commitlog_version_check(uint32_t major, uint32_t minor);

/* Values are never reused. Bands of a hundred tell the kind. */
enum {
    COMMITLOG_OK = 0,
    /* the call is wrong: nothing happened */
    COMMITLOG_EINVAL = -1,       /* an argument is out of range */
    COMMITLOG_EMISUSE = -2,      /* not allowed in this state or mode */
    COMMITLOG_ECLOSED = -3,      /* the store of this handle was closed */
    COMMITLOG_EBUSY = -4,        /* something else holds what is needed */
    COMMITLOG_EFORK = -5,        /* the handle belongs to the parent process */
    COMMITLOG_ETOOBIG = -6,      /* a stated maximum is exceeded */
    COMMITLOG_EUNSUPPORTED = -7, /* this build, file system or record cannot */
    COMMITLOG_EEXIST = -8,       /* it is there already, or differs */
    /* the environment: nothing happened unless the text says so */
    COMMITLOG_ENOMEM = -100,
    COMMITLOG_EIO = -101,
    COMMITLOG_ENOSPC = -102,  /* disk or quota full; resumes by itself */
    COMMITLOG_EACCESS = -103, /* permission, owner, read-only file system */
    COMMITLOG_ELOCKED = -104, /* another writer; the text names its pid */
    COMMITLOG_ELIMIT = -105,  /* a limit of the process (files, memory) */
    COMMITLOG_ENOTDIR = -106, /* a file or a symbolic link instead of a store */
    /* the data on disk */
    COMMITLOG_EDAMAGED = -200,     /* acknowledged data fails its check */
    COMMITLOG_EFORMAT = -201,      /* not a commitlog store or file */
    COMMITLOG_EVERSION = -202,     /* written by a newer version */
    COMMITLOG_EUNRECOVERED = -203, /* not proven durable, writer not running */
    COMMITLOG_EFOREIGN = -204,     /* a file of another store */
    /* control: not failures */
    COMMITLOG_ENOTFOUND = -300,
    COMMITLOG_EAGAIN = -301,
    COMMITLOG_ETIMEDOUT = -302,
    COMMITLOG_EEND = -303,         /* at the end: nothing there yet */
    COMMITLOG_ETOOSMALL = -304,    /* before the first record kept */
    COMMITLOG_EBEYOND = -305,      /* beyond the end */
    COMMITLOG_EROLLEDBACK = -306,  /* recovery cut what the cursor had seen */
    COMMITLOG_EREVOKED = -307,     /* retention overrode the lease */
    COMMITLOG_EINTERRUPTED = -308, /* commitlog_interrupt or a cancel */
    COMMITLOG_EHOLE = -309,        /* a hole: an aborted append, or what salvage
                                      made of damage: nothing to read here */
    COMMITLOG_EEXPIRED = -310,     /* a reference whose original is gone */
    COMMITLOG_EFENCED = -311,      /* the group is in another epoch, or the
                                      producer in a newer one */
    COMMITLOG_EGAP = -312,         /* the producer's sequence before is missing */
    COMMITLOG_EFULL = -313,        /* commitlog_limits_set: too much waits */
    /* the store */
    COMMITLOG_EFAILED = -400,  /* a write or flush failed before: reopen */
    COMMITLOG_EUNKNOWN = -401, /* stored, level not reached: may appear later */
    COMMITLOG_EINTERNAL = -402 /* an invariant broke: please report */
};

struct commitlog_error {
    int32_t code;      /* one of the above */
    int32_t os_errno;  /* errno behind it, 0 when there is none */
    uint64_t position; /* position in the log, UINT64_MAX when there is none;
                          of a filter's text the column */
    char message[240]; /* one sentence: what, where, what to do; ends in NUL */
};

/* Name ("COMMITLOG_EINVAL") and short text of a code; static, never NULL. */
COMMITLOG_API const char *commitlog_error_name(int32_t code);
COMMITLOG_API const char *commitlog_error_text(int32_t code);
/* All codes, for bindings: index 0 ... count - 1. */
COMMITLOG_API uint32_t commitlog_error_count(void);
COMMITLOG_API int32_t commitlog_error_at(uint32_t index);

/* ------------------------------------------------------------------------ *
 * 3  Options
 *
 * An options object is copied by commitlog_open: it may be freed or reused at
 * once. Values are checked when they are set, combinations at open.
 * ------------------------------------------------------------------------ */

struct commitlog_options;

enum { /* value of COMMITLOG_OPT_ACCESS */
    COMMITLOG_READ_WRITE = 0, /* one process */
    COMMITLOG_READ_ONLY = 1   /* any number, also beside a writer */
};
enum { /* value of COMMITLOG_OPT_CREATE */
    COMMITLOG_CREATE_IF_MISSING = 0,
    COMMITLOG_CREATE_NEVER = 1,
    COMMITLOG_CREATE_ALWAYS = 2 /* an existing store is COMMITLOG_EEXIST */
};
enum { COMMITLOG_ENGINE_STAGED = 0, COMMITLOG_ENGINE_MMAP = 1 };
enum { /* value of COMMITLOG_OPT_FLUSH */
    COMMITLOG_FLUSH_SYNC = 0,  /* appends wait for the disk by default */
    COMMITLOG_FLUSH_ASYNC = 1, /* flushed by interval and bytes */
    COMMITLOG_FLUSH_NONE = 2   /* not by time or bytes: by who asks for it, and
                                  by seal, checkpoint, retention and close */
};
enum { /* value of COMMITLOG_OPT_VISIBILITY */
    COMMITLOG_VISIBLE_PUBLISHED = 0, /* readers see records at once */
    COMMITLOG_VISIBLE_DURABLE = 1    /* only what no crash can take away */
};
enum { /* value of COMMITLOG_OPT_RECOVERY */
    COMMITLOG_RECOVER_TAIL = 0,   /* cut a torn tail, refuse damage */
    COMMITLOG_RECOVER_STRICT = 1, /* refuse any anomaly */
    COMMITLOG_RECOVER_SALVAGE = 2 /* damaged ranges become recorded holes */
};
enum { /* value of COMMITLOG_OPT_LIVE_AREA */
    COMMITLOG_LIVE_AUTO = 0,   /* tmpfs, else DIR/LIVE, else private */
    COMMITLOG_LIVE_TMPFS = 1,
    COMMITLOG_LIVE_DIR = 2,
    COMMITLOG_LIVE_PRIVATE = 3 /* no followers, level none dies with us */
};
enum { /* value of COMMITLOG_OPT_MLOCK */
    COMMITLOG_MLOCK_NONE = 0,
    COMMITLOG_MLOCK_STAGE = 1,     /* best effort, refusals counted */
    COMMITLOG_MLOCK_HOT = 2,       /* stage and active segment */
    COMMITLOG_MLOCK_REQUIRED = 3   /* as HOT; a refusal fails the open */
};
enum { /* value of COMMITLOG_OPT_PREWRITE */
    COMMITLOG_PREWRITE_NO = 0,
    COMMITLOG_PREWRITE_YES = 1,
    COMMITLOG_PREWRITE_AUTO = 2    /* flush = sync, while flushes are frequent */
};

enum { /* option ids; the name of each is the text in the comment */
    COMMITLOG_OPT_ACCESS = 1,             /* "access" */
    COMMITLOG_OPT_CREATE = 2,             /* "create" */
    COMMITLOG_OPT_SEGMENT_BYTES = 3,      /* "segment_bytes" 64K-32G, 0 as before */
    COMMITLOG_OPT_ENGINE = 4,             /* "engine" */
    COMMITLOG_OPT_STAGE_BYTES = 5,        /* "stage_bytes" 64K-1G, 4M */
    COMMITLOG_OPT_FLUSH = 6,              /* "flush" */
    COMMITLOG_OPT_FLUSH_INTERVAL_MS = 7,  /* "flush_interval_ms" async, 10 */
    COMMITLOG_OPT_FLUSH_BYTES = 8,        /* "flush_bytes" async, 16M */
    COMMITLOG_OPT_FLUSH_ALIGN_BYTES = 9,  /* "flush_align_bytes" 0 or 4096 */
    COMMITLOG_OPT_VISIBILITY = 10,        /* "visibility" */
    COMMITLOG_OPT_RECOVERY = 11,          /* "recovery" */
    COMMITLOG_OPT_MAX_BODY_BYTES = 12,    /* "max_body_bytes" 4M */
    COMMITLOG_OPT_THREAD = 13,            /* "thread" 1: library's upkeep */
    COMMITLOG_OPT_LIVE_AREA = 14,         /* "live_area" */
    COMMITLOG_OPT_MLOCK = 15,             /* "mlock" */
    COMMITLOG_OPT_BORROW = 16,            /* "borrow" 0: reads copy by pread */
    COMMITLOG_OPT_VERIFY_READS = 17,      /* "verify_reads" 1 */
    COMMITLOG_OPT_PREWRITE = 18,          /* "prewrite" 0 no 1 yes 2 auto */
    COMMITLOG_OPT_RETAIN_BYTES = 19,      /* "retain_bytes" 0 = no limit */
    COMMITLOG_OPT_RETAIN_AGE_MS = 20,     /* "retain_age_ms" 0 = no limit */
    COMMITLOG_OPT_RETAIN_FREE_BYTES = 21, /* "retain_free_bytes" 0 = off */
    COMMITLOG_OPT_SCRUB_BYTES_PER_S = 22, /* "scrub_bytes_per_s" 0 = off */
    COMMITLOG_OPT_FILE_MODE = 23,         /* "file_mode" 0600 */
    COMMITLOG_OPT_PRODUCER_EXPIRE_MS = 24 /* "producer_expire_ms" 7 days */
};

enum { COMMITLOG_OPTION_U64 = 0, COMMITLOG_OPTION_CHOICE = 1 };

struct commitlog_option_info {
    int32_t id;
    uint32_t type;        /* COMMITLOG_OPTION_... */
    uint64_t minimum;
    uint64_t maximum;
    uint64_t initial;
    const char *name;     /* static */
    const char *unit;     /* "bytes", "ms", "" ...; static */
    const char *choices;  /* "sync|async|none" by value, or ""; static */
    const char *summary;  /* one line; static */
};

COMMITLOG_API int32_t commitlog_options_create(struct commitlog_options **out);
COMMITLOG_API void commitlog_options_free(struct commitlog_options *options);
COMMITLOG_API int32_t commitlog_options_set(struct commitlog_options *options,
    int32_t id, uint64_t value, struct commitlog_error *err);
/* By name, value as text: a number with an optional K, M, G or T (powers of
 * 1024), or a choice. COMMITLOG_ENOTFOUND: no such option. */
COMMITLOG_API int32_t commitlog_options_set_text(
    struct commitlog_options *options, const char *name_text,
    const char *value_text, struct commitlog_error *err);
COMMITLOG_API int32_t commitlog_options_get(
    const struct commitlog_options *options, int32_t id, uint64_t *out_value);
/* The table of all options: index 0, 1, ... until COMMITLOG_ENOTFOUND. */
COMMITLOG_API int32_t commitlog_option_info(uint32_t index,
    struct commitlog_option_info *out);

/* Replaces system calls, clock and allocator; for fault injection and tests
 * (commitlog_fault.h). NULL is the default. It must outlive the store, the
 * handles of it that are released later, and each report made with it. */
struct commitlog_os;
COMMITLOG_API void commitlog_options_set_os(struct commitlog_options *options,
    const struct commitlog_os *os);

/* Watches and cancels a long open, recovery or verification from another
 * thread. Owned by the caller, must outlive the call it is given to. */
struct commitlog_progress;
COMMITLOG_API int32_t commitlog_progress_create(
    struct commitlog_progress **out);
COMMITLOG_API void commitlog_progress_free(struct commitlog_progress *progress);
/* Bytes done and to do; any thread, any time. */
COMMITLOG_API void commitlog_progress_get(
    const struct commitlog_progress *progress, uint64_t *out_done_bytes,
    uint64_t *out_total_bytes);
/* The watched call ends soon with COMMITLOG_EINTERRUPTED. */
COMMITLOG_API void commitlog_progress_cancel(
    struct commitlog_progress *progress);
COMMITLOG_API void commitlog_options_set_progress(
    struct commitlog_options *options, struct commitlog_progress *progress);

/* ------------------------------------------------------------------------ *
 * 4  Open, close, topics
 * ------------------------------------------------------------------------ */

struct commitlog_store;

/*
 * Opens the store in directory `path`; options NULL = all defaults. Recovers
 * first when the last writer did not close it (commitlog_recovery_get tells
 * what was done). On COMMITLOG_EDAMAGED nothing was modified: open read-only
 * to read the rest, or with recovery = salvage.
 * Errors: ELOCKED, EACCESS, ENOTDIR, ENOTFOUND (create never, read-only, or no
 * directory to create it in), EEXIST (create always), EFORMAT, EVERSION,
 * EFOREIGN, EDAMAGED, ENOSPC, ENOMEM, ELIMIT, EIO, EINVAL, EUNSUPPORTED (mmap
 * engine on an unsafe file system), EINTERRUPTED; read-only also EBUSY (a
 * writer is just opening or closing).
 */
COMMITLOG_API int32_t commitlog_open(const char *path,
    const struct commitlog_options *options, struct commitlog_store **out_store,
    struct commitlog_error *err);

/*
 * Flushes everything, writes a clean checkpoint, releases the lock. The handle
 * is gone whatever is returned; cursors, leases and reservations of it stay
 * valid memory and answer COMMITLOG_ECLOSED. An open reservation becomes a
 * hole, and the memory of its body is gone. No other call may be running on
 * the store.
 * Errors: EFAILED (a write or a flush failed, before or now: err->os_errno),
 * ENOMEM (a segment could not be finished; all is durable), EFORK.
 */
COMMITLOG_API int32_t commitlog_close(struct commitlog_store *store,
    struct commitlog_error *err);

/* Ends every call of this store that has begun and waits, or would wait again,
 * with COMMITLOG_EINTERRUPTED, also one that is just between two sleeps; later
 * ones wait again. Ends a fetch too that passes over many messages which do not
 * match. */
COMMITLOG_API int32_t commitlog_interrupt(struct commitlog_store *store);

enum {
    COMMITLOG_TOPIC_NAME_MAX_BYTES = 255,
    COMMITLOG_TOPIC_QUEUES_MAX = 1048576,
    COMMITLOG_TOPIC_STEPS_MAX = 32
};

/*
 * Finds the topic of this name, or creates it with `queues` queues when it is
 * not there and queues > 0. The number in *out_topic is valid for this open
 * store only. A topic that exists and never had that number of queues is
 * COMMITLOG_EEXIST unless queues is 0. Creating appends the definition at level
 * none: sync makes it durable, and so does any later durable append.
 * Errors: EINVAL (name not 1-255 bytes of UTF-8 without NUL), ENOTFOUND,
 * EEXIST, EMISUSE (create on a read-only store), ELIMIT, ENOMEM, ENOSPC, EIO,
 * EACCESS, EINTERRUPTED, EFAILED; read-only also EBUSY.
 */
COMMITLOG_API int32_t commitlog_topic_open(struct commitlog_store *store,
    const char *name, size_t name_bytes, uint32_t queues, uint32_t *out_topic,
    struct commitlog_error *err);

struct commitlog_topic_info {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queues;       /* that COMMITLOG_QUEUE_AUTO chooses among */
    uint32_t name_bytes;
    char name[256];        /* ends in NUL */
    uint32_t queues_total; /* that can be read: more than `queues` once it shrank */
    uint32_t step_count;   /* 1: it never grew */
    uint32_t step_queues[COMMITLOG_TOPIC_STEPS_MAX]; /* queues there were with
                              each step: [0] when it was created */
    uint64_t keep_age_ms;   /* its messages expire at this age; 0: they do not */
    uint64_t expired_below; /* those stored before this position have expired
                               for who reads now; 0: none that is kept */
};
COMMITLOG_API uint32_t commitlog_topic_count(struct commitlog_store *store);
/* Topics 0 ... count - 1, in no promised order. ENOTFOUND: none has this
 * number, or a reader knew one that is lost with its writer. */
COMMITLOG_API int32_t commitlog_topic_info(struct commitlog_store *store,
    uint32_t topic, struct commitlog_topic_info *out);

/*
 * The topic grows to `queues` queues, a multiple of those that it has. What is
 * there stays where it is, with its offset. From one position of the log on the
 * records of a key lie in a queue q + i * n if they lay in q of n before, and
 * none of them does before that position: q is the parent of the queues n and
 * above that keys move to. A group may read those when it has consumed their
 * parent so far: commitlog_group_gate. With the number that it has already
 * only the level is reached.
 * Errors, with which nothing has changed: EINVAL (no topic of this number; no
 * multiple; it shrank and had another number before), ETOOBIG (more than
 * COMMITLOG_TOPIC_QUEUES_MAX; or a segment is too small for the record), ELIMIT
 * (COMMITLOG_TOPIC_STEPS_MAX; queues of the store; no next segment), EMISUSE
 * (read-only), ENOMEM, ENOSPC, EIO, EACCESS, ETIMEDOUT (an open reservation
 * holds the log), EINTERRUPTED, EFAILED; EUNKNOWN (it has grown, level not
 * reached).
 */
COMMITLOG_API int32_t commitlog_topic_grow(struct commitlog_store *store,
    uint32_t topic, uint32_t queues, uint32_t level,
    struct commitlog_error *err);
/*
 * Keys go to the first `queues` queues only, a number that the topic had before
 * it grew. The others must be drained: each group that has committed an offset
 * of the topic has consumed them to their ends, and no message waits to be
 * delivered to them. They stay, can be read, and are used again if it grows.
 * Errors as commitlog_topic_grow; EINVAL (it never had that number); EBUSY (not
 * drained: the text names what).
 */
COMMITLOG_API int32_t commitlog_topic_shrink(struct commitlog_store *store,
    uint32_t topic, uint32_t queues, uint32_t level,
    struct commitlog_error *err);

/*
 * Messages expire: the first offset of their queue rises over them, and to
 * cursors, receivers, groups and searches by key they are as if retention had
 * taken them. Their bytes stay in the log until it does, and are there to
 * commitlog_get and to cursors over the log. What a group with
 * COMMITLOG_GROUP_KEEP has yet to consume does not expire. A message that waits,
 * for its time or for its transaction, is as old as its delivery.
 *
 * commitlog_topic_expire_after: by themselves, when they were stored keep_age_ms
 * ago (0: not any more), as upkeep finds them: at the latest a second, or a
 * hundredth of that time up to an hour, later. commitlog_topic_expire: now,
 * those that were stored before a time (INT64_MAX: all). Either way only what
 * can be seen expires.
 * Both are records of the log: they survive the process, and expiring does not
 * go back, whatever the clock does. Readers see it once they see the record:
 * with visibility = durable when it is durable.
 *
 * Errors, with which nothing has changed: EINVAL (no topic of this number; an
 * age of more than 9223372036854 ms), EMISUSE (read-only), ENOMEM, ENOSPC, EIO,
 * EACCESS, ELIMIT, ETIMEDOUT (an open reservation holds the log), EINTERRUPTED,
 * EDAMAGED (a segment needed to find them does not read), EFAILED; EUNKNOWN
 * (done, level not reached).
 */
COMMITLOG_API int32_t commitlog_topic_expire_after(
    struct commitlog_store *store, uint32_t topic, uint64_t keep_age_ms,
    uint32_t level, struct commitlog_error *err);
COMMITLOG_API int32_t commitlog_topic_expire(struct commitlog_store *store,
    uint32_t topic, int64_t before_ns, uint32_t level,
    struct commitlog_error *err);

struct commitlog_queue_info {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t first_offset;  /* first one kept; = next_offset when empty */
    uint64_t next_offset;   /* the visible end */
    int64_t first_time_ns;  /* store time of the first kept, or 0 */
    int64_t last_time_ns;   /* store time of the last visible, or 0 */
};
COMMITLOG_API int32_t commitlog_queue_info(struct commitlog_store *store,
    uint32_t topic, uint32_t queue, struct commitlog_queue_info *out);

/* ------------------------------------------------------------------------ *
 * 5  Append
 * ------------------------------------------------------------------------ */

enum { /* level of durability of one append */
    COMMITLOG_LEVEL_DEFAULT = 0, /* durable with flush = sync, else none */
    COMMITLOG_LEVEL_NONE = 1,    /* survives this process */
    COMMITLOG_LEVEL_WRITTEN = 2, /* in the page cache of the segment */
    COMMITLOG_LEVEL_DURABLE = 3  /* survives the machine */
};

struct commitlog_slice {
    const void *data; /* NULL allowed with bytes 0 */
    size_t bytes;
};

struct commitlog_header {
    struct commitlog_slice name;
    struct commitlog_slice value;
};

struct commitlog_receipt {
    uint64_t position;
    uint64_t end_position; /* sync and wait to here for this record */
    uint64_t queue_offset;
    int64_t store_time_ns;
    uint32_t epoch;
    uint32_t level;     /* the level reached */
    uint32_t duplicate; /* 1: stored before, by the same producer and sequence */
    uint32_t reserved;
};

/* What is appended: pointers are only read during the call. */
struct commitlog_record {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue; /* 0 ... queues - 1, or COMMITLOG_QUEUE_AUTO */
    uint32_t level; /* COMMITLOG_LEVEL_... */
    const struct commitlog_slice *body; /* pieces, joined in order */
    uint32_t body_count;
    uint32_t key_count;
    const struct commitlog_slice *keys;
    struct commitlog_slice tag; /* 0 bytes: none */
    const struct commitlog_header *headers;
    uint32_t header_count;
    uint32_t has_time; /* 1: time_ms is the producer's time */
    int64_t time_ms;
    uint64_t producer_id;    /* 0: appended again if it is given again */
    uint64_t sequence;       /* of the producer: 1, 2, 3, ... in each epoch */
    uint32_t producer_epoch; /* a higher one shuts out those before it */
    uint32_t reserved;
    int64_t deliver_at_ms; /* since 1970; 0: at once. See "Delay" */
};

/*
 * Idempotent producers: a record with a producer_id is stored once. When it is
 * given again, also to a store that was opened again, the receipt is that of the
 * first time, marked duplicate, once it has the level asked for now. The last 5
 * records of a producer are remembered with their receipts. Producers that were
 * silent longer than producer_expire_ms are forgotten, and beyond 131,072 of
 * them the one that was silent longest. Other errors of an append then:
 * EGAP (the sequence before was not stored, or a new epoch begins with another
 * sequence than 1), EFENCED (the producer has a newer epoch), EEXIST (stored so
 * long ago that its receipt is forgotten), ENOTFOUND (sequence not 1, and the
 * producer is not known: begin with 1, in a new epoch if there was one before).
 * The records of a batch are all of one producer, in sequence, or of none.
 * commitlog_reserve takes none (EINVAL).
 */

/* By the first key, as commitlog_queue_by_key; without a key the queues take
 * turns. */
enum { COMMITLOG_QUEUE_AUTO = 0x7fffffff };

/*
 * Appends one record: the hot path, without keys or headers. out_receipt may
 * be NULL. Waits for the level as long as it takes.
 * Errors: EINVAL, ETOOBIG (a body above max_body_bytes; or it does not fit a
 * segment), EMISUSE (read-only), ENOSPC (nothing stored),
 * EIO, EACCESS, ELIMIT (nothing stored: no next segment could be created),
 * ENOMEM, EINTERRUPTED, EFAILED (nothing stored), EUNKNOWN (stored, level not
 * reached; the receipt is filled), ECLOSED, EFORK.
 */
COMMITLOG_API int32_t commitlog_append(struct commitlog_store *store,
    uint32_t topic, uint32_t queue, const void *body, size_t body_bytes,
    uint32_t level, struct commitlog_receipt *out_receipt);

/* The same for a full record. timeout_ms bounds the wait for room in the
 * stage (ETIMEDOUT, nothing stored), for a limit (EFULL, nothing stored) and
 * for the level (EUNKNOWN, stored). ETOOBIG also: more than 64 keys, a key
 * above 4,096 bytes, a tag or a header's name above 255, tag, keys, headers and
 * time above 65,535 together as they are stored: 3 bytes more each, a header 5,
 * the time 11; a producer takes 23 of them, a time of delivery 27. EINVAL also:
 * an empty key or name of a header, or NULL with bytes. */
COMMITLOG_API int32_t commitlog_append_record(struct commitlog_store *store,
    const struct commitlog_record *record, int32_t timeout_ms,
    struct commitlog_receipt *out_receipt, struct commitlog_error *err);

/*
 * Appends `count` records (1 ... 65536) as one: over all their topics they
 * are visible, written, durable and recovered together or not at all. They
 * must fit one segment (ETOOBIG). The level is the highest any asks for.
 * out_receipts: count entries, or NULL.
 */
COMMITLOG_API int32_t commitlog_append_batch(struct commitlog_store *store,
    const struct commitlog_record *records, uint32_t count, int32_t timeout_ms,
    struct commitlog_receipt *out_receipts, struct commitlog_error *err);

/*
 * Zero copy: takes the place of a record whose body of body_bytes the caller
 * then writes at *out_body, and ends with commit or abort. record->body is
 * ignored. Until then later records are stored but neither visible nor
 * durable, so end it soon: an append that has to wait for it longer than its
 * time-out returns. Records over a quarter of the stage (engine mmap: of a
 * segment; flush_align_bytes: of the smaller of both) are built in private
 * memory and take their place at commit.
 * Errors: as append_record, but for EUNKNOWN and those of a producer or a time
 * of delivery, which are EINVAL here.
 */
struct commitlog_reservation;
COMMITLOG_API int32_t commitlog_reserve(struct commitlog_store *store,
    const struct commitlog_record *record, size_t body_bytes,
    int32_t timeout_ms, struct commitlog_reservation **out_reservation,
    void **out_body, struct commitlog_error *err);
/* Both end the reservation whatever they return. An aborted record leaves a
 * hole: its place and queue offset are used up, readers skip it. Errors of
 * commit: EUNKNOWN, EFAILED; from private memory, nothing stored: ENOSPC,
 * ETIMEDOUT, EINTERRUPTED, EIO, EACCESS, ELIMIT, ENOMEM, ETOOBIG, EINVAL (the
 * topic has shrunk). */
COMMITLOG_API int32_t commitlog_commit(
    struct commitlog_reservation *reservation, int32_t timeout_ms,
    struct commitlog_receipt *out_receipt, struct commitlog_error *err);
COMMITLOG_API int32_t commitlog_abort(
    struct commitlog_reservation *reservation);

/*
 * Back-pressure: while so many bytes of the log are claimed but not durable, or
 * lie behind the first message that a consumer group with COMMITLOG_GROUP_KEEP
 * has yet to consume, appends wait until their time-out and are then refused
 * with COMMITLOG_EFULL: nothing is stored. 0, the default: no limit. An append
 * that finds too much unflushed flushes. Threads that append at the same moment
 * go beyond a limit once. Who appends to a transaction that has offsets does
 * not wait for what is not consumed. Where what is not consumed cannot be
 * looked up, an append fails with EIO, EDAMAGED or ENOMEM. Any time, any
 * thread; not stored. EINVAL, EMISUSE (read-only).
 */
struct commitlog_limits {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t unflushed_bytes;
    uint64_t unconsumed_bytes;
};
COMMITLOG_API int32_t commitlog_limits_set(struct commitlog_store *store,
    const struct commitlog_limits *limits, struct commitlog_error *err);
COMMITLOG_API int32_t commitlog_limits_get(struct commitlog_store *store,
    struct commitlog_limits *out);

/* Makes everything before `position` durable (UINT64_MAX: all that is
 * published now). EFAILED, ETIMEDOUT, EINTERRUPTED, EBEYOND (more than was
 * claimed), EMISUSE (read-only). */
COMMITLOG_API int32_t commitlog_sync(struct commitlog_store *store,
    uint64_t position, int32_t timeout_ms, struct commitlog_error *err);
/* Waits until others have made it durable; flushes nothing itself. EFAILED,
 * ETIMEDOUT, EINTERRUPTED, EMISUSE (read-only). */
COMMITLOG_API int32_t commitlog_wait_durable(struct commitlog_store *store,
    uint64_t position, int32_t timeout_ms);

/* ------------------------------------------------------------------------ *
 * 6  Read
 *
 * A cursor fills an array of the caller with messages whose pointers are
 * borrows: valid until the next call on the same cursor (or its close), and
 * unaffected by retention. A lease keeps them longer. A borrow points into a
 * mapping: it can raise SIGBUS if someone truncates the file or a sector
 * dies; with the option borrow = 0 reads copy into memory of the cursor
 * and return COMMITLOG_EIO instead.
 * ------------------------------------------------------------------------ */

enum { /* kind of a record in the log */
    COMMITLOG_KIND_MESSAGE = 1,
    COMMITLOG_KIND_REFERENCE = 2,
    COMMITLOG_KIND_HOLE = 3,
    COMMITLOG_KIND_PAD = 4,
    COMMITLOG_KIND_BATCH = 5,
    COMMITLOG_KIND_TOPIC = 6,
    COMMITLOG_KIND_EPOCH = 7,
    COMMITLOG_KIND_FIRST = 8,
    COMMITLOG_KIND_TRANSACTION = 9, /* a message of one, or what becomes of it */
    COMMITLOG_KIND_TIMER = 10, /* a message that waits, or what ends it */
    COMMITLOG_KIND_GROUP = 11,
    COMMITLOG_KIND_PRODUCER = 12,
    COMMITLOG_KIND_TOMBSTONE = 13, /* messages of a topic have expired */
    COMMITLOG_KIND_WORK = 14
};

struct commitlog_message {
    uint64_t position;
    uint64_t next_position; /* where the next record begins */
    uint64_t queue_offset;
    int64_t store_time_ns;
    int64_t time_ms;  /* producer's time; store time / 10^6 when not given */
    uint32_t topic;   /* UINT32_MAX for control records */
    uint32_t queue;   /* within the topic */
    uint32_t epoch;
    uint32_t kind;
    struct commitlog_slice body;
    struct commitlog_slice tag;
    struct commitlog_slice attributes; /* encoded: see the functions below */
    uint32_t key_count;
    uint32_t header_count;
    uint64_t producer_id; /* 0: none */
    uint64_t sequence;
    uint32_t producer_epoch;
    uint32_t reserved;
    int64_t deliver_at_ms;    /* 0: it was not delayed */
    uint64_t origin_position; /* of the message, if this refers to it; else 0 */
    uint64_t origin_offset;   /* these five of a dead letter: where it was */
    uint32_t origin_topic;    /* UINT32_MAX: it is none, or not known */
    uint32_t origin_queue;
    uint32_t attempts;        /* how often it was given out */
    uint32_t reason;          /* COMMITLOG_DEAD_*; 0: it is none */
    uint64_t transaction;     /* that it was appended to; 0: to none */
};

enum { /* why a message is a dead letter */
    COMMITLOG_DEAD_EXPIRED = 4, /* its time ran out once more */
    COMMITLOG_DEAD_REFUSED = 5  /* it was given back once more */
};

/* Key or header by index; COMMITLOG_ENOTFOUND past the last. Borrows. */
COMMITLOG_API int32_t commitlog_message_key(
    const struct commitlog_message *message, uint32_t index,
    struct commitlog_slice *out_key);
COMMITLOG_API int32_t commitlog_message_header(
    const struct commitlog_message *message, uint32_t index,
    struct commitlog_header *out_header);

struct commitlog_cursor;

enum { COMMITLOG_QUEUE_ALL = 0x7ffffffe };
enum { /* where to begin, in place of an offset */
    COMMITLOG_FROM_FIRST = 0,
    COMMITLOG_FROM_OFFSET = 1,
    COMMITLOG_FROM_TIME = 2, /* first with store time >= time_ns */
    COMMITLOG_FROM_END = 3   /* only what comes after this call */
};

/*
 * Cursor over one queue, or over all queues of the topic in log order
 * (COMMITLOG_QUEUE_ALL; then FROM_OFFSET takes a position in the log).
 * `value` is the offset, the position or the time in ns.
 * Errors: EINVAL, ENOTFOUND (no such topic), ENOMEM, EIO, ELIMIT; read-only,
 * where the end is the newest writer's, also what opening the store yields.
 * ETOOSMALL and EBEYOND come from the first fetch.
 */
COMMITLOG_API int32_t commitlog_cursor_open(struct commitlog_store *store,
    uint32_t topic, uint32_t queue, uint32_t from, uint64_t value,
    struct commitlog_cursor **out_cursor, struct commitlog_error *err);
/* Newest first: the live messages of the topic that carry exactly this key
 * and whose store time lies in [since_ns, until_ns]; none twice. EINVAL also: an
 * empty key; ETOOBIG: one above 4,096 bytes. */
COMMITLOG_API int32_t commitlog_cursor_open_key(struct commitlog_store *store,
    uint32_t topic, const void *key, size_t key_bytes, int64_t since_ns,
    int64_t until_ns, struct commitlog_cursor **out_cursor,
    struct commitlog_error *err);
/* Every record of the log as it lies, control records, pads and holes too,
 * from `position` (a record's) or from the first (0). */
COMMITLOG_API int32_t commitlog_cursor_open_log(struct commitlog_store *store,
    uint64_t position, struct commitlog_cursor **out_cursor,
    struct commitlog_error *err);
COMMITLOG_API void commitlog_cursor_close(struct commitlog_cursor *cursor);

/* Only messages with one of these tags (exactly, not by hash); count 0: all.
 * The tags are copied. EINVAL (an empty tag, NULL), ETOOBIG (one above 255
 * bytes), ENOMEM. */
COMMITLOG_API int32_t commitlog_cursor_set_tags(struct commitlog_cursor *cursor,
    const struct commitlog_slice *tags, uint32_t count);

/*
 * A filter is a condition over the headers of a message, in the part of SQL92
 * that RocketMQ has: "price > 100 AND region IN ('eu', 'us')". A header that is
 * missing is NULL, what is compared with it is unknown, and unknown is no
 * match. commitlog_filter(3) has the grammar, and what each comparison means.
 * Compiled once, it is never changed: any number of threads and cursors may use
 * it at once.
 */
struct commitlog_filter;

enum {
    COMMITLOG_FILTER_TEXT_MAX_BYTES = 16384,
    COMMITLOG_FILTER_COMPARISONS_MAX = 1024, /* BETWEEN: 2; IN: one each */
    COMMITLOG_FILTER_HEADERS_MAX = 64,       /* different ones */
    COMMITLOG_FILTER_DEPTH_MAX = 64          /* ( and NOT open at once */
};

/*
 * Errors: EINVAL (what is wrong is in err->message, and where is the column in
 * err->position: 1 is the first byte), ETOOBIG (one of the maxima, likewise),
 * ENOMEM.
 */
COMMITLOG_API int32_t commitlog_filter_compile(const void *text,
    size_t text_bytes, struct commitlog_filter **out_filter,
    struct commitlog_error *err);
/* A cursor that has it keeps it. */
COMMITLOG_API void commitlog_filter_free(struct commitlog_filter *filter);
/*
 * 1 if the message matches, 0 if not or if it is unknown. Reads only
 * message->attributes, copies and allocates nothing.
 * Errors: EINVAL (NULL), EDAMAGED (the attributes contradict themselves).
 */
COMMITLOG_API int32_t commitlog_filter_test(
    const struct commitlog_filter *filter,
    const struct commitlog_message *message);
/* Only messages that match, besides having one of the tags; NULL: all. The
 * cursor shares the filter: it may be freed at once. */
COMMITLOG_API int32_t commitlog_cursor_set_filter(
    struct commitlog_cursor *cursor, struct commitlog_filter *filter);

/* How many messages that do not match one fetch passes over; 0, which is the
 * default: any number. For who must not be kept by a rare tag: see EAGAIN. */
COMMITLOG_API int32_t commitlog_cursor_set_pass_limit(
    struct commitlog_cursor *cursor, uint32_t messages);

/*
 * Fills up to `max` messages (max <= 4096 per call) and moves behind them;
 * waits up to timeout_ms for the first. Holes are skipped; *out_count > 0 on
 * success. Statuses, with *out_bound (may be NULL) filled, but for EINVAL, ECLOSED
 * and EFORK:
 *   ETOOSMALL   the place is before the first kept: bound = the first offset
 *   EEND        at the end, nothing within the time-out: bound = the end
 *   EBEYOND     the place is beyond the end: bound = the end
 *   EROLLEDBACK what the cursor had read was cut by recovery: bound = the end
 *   ENOTFOUND   so was its topic, or its queue: bound = the log's end
 *   EDAMAGED    the record fails its checks: bound = its offset or position;
 *               commitlog_cursor_seek past it to go on
 *   EUNSUPPORTED the record has a part that only a newer library knows and
 *               that must not be ignored: bound as for EDAMAGED
 *   EEXPIRED    it refers to a message that is gone: bound as for EDAMAGED. A
 *               cursor by key passes such
 *   EAGAIN      as many as the pass limit allows were passed over, and none
 *               matched: bound = where the next fetch goes on
 *   EBUSY       read-only: a writer is just opening or closing, and has taken
 *               away what this reader had found: try again
 *   EUNRECOVERED, EINTERRUPTED, EIO, ENOMEM, ELIMIT, ECLOSED, EFORK, EFAILED;
 *               read-only also EACCESS, EVERSION, EFORMAT
 * For a key query the end is EEND.
 */
COMMITLOG_API int32_t commitlog_cursor_fetch(struct commitlog_cursor *cursor,
    struct commitlog_message *messages, uint32_t max, int32_t timeout_ms,
    uint32_t *out_count, uint64_t *out_bound);
/* Next offset (position for log order) to be read. */
COMMITLOG_API uint64_t commitlog_cursor_tell(
    const struct commitlog_cursor *cursor);
/* `from` and `value`, and the errors, as for commitlog_cursor_open, with which
 * it stays where it was. */
COMMITLOG_API int32_t commitlog_cursor_seek(struct commitlog_cursor *cursor,
    uint32_t from, uint64_t value);

/*
 * A lease takes over the borrows of the last fetch; the cursor can go on.
 * When retention has removed what it points to, the pointers stay valid until
 * the release, and commitlog_lease_check returns COMMITLOG_EREVOKED.
 */
struct commitlog_lease;
COMMITLOG_API int32_t commitlog_cursor_lease(struct commitlog_cursor *cursor,
    struct commitlog_lease **out_lease);
COMMITLOG_API int32_t commitlog_lease_check(
    const struct commitlog_lease *lease);
COMMITLOG_API void commitlog_lease_release(struct commitlog_lease *lease);

/* One record by its position; the lease holds the borrows of *out_message.
 * ENOTFOUND: none begins there, it lies inside one, or between two segments.
 * EDAMAGED: what lies there
 * does not verify. ETOOSMALL, EBEYOND, EHOLE (filled), EUNSUPPORTED, EEXPIRED,
 * EUNRECOVERED, EIO, ENOMEM, ELIMIT; read-only also EBUSY. */
COMMITLOG_API int32_t commitlog_get(struct commitlog_store *store,
    uint64_t position, struct commitlog_message *out_message,
    struct commitlog_lease **out_lease, struct commitlog_error *err);

/* Copies up to max messages of one queue from `offset` into `buffer`, the
 * pointers of messages[] into it; no borrow, no cursor. As many as fit; when
 * not even the first fits: ETOOBIG with *out_bound = the bytes it needs.
 * Statuses as commitlog_cursor_fetch with time-out 0. */
COMMITLOG_API int32_t commitlog_read_copy(struct commitlog_store *store,
    uint32_t topic, uint32_t queue, uint64_t offset, void *buffer,
    size_t buffer_bytes, struct commitlog_message *messages, uint32_t max,
    uint32_t *out_count, uint64_t *out_bound);

enum {
    COMMITLOG_LOWER = 0, /* smallest offset with time >= t, else the end */
    COMMITLOG_UPPER = 1  /* largest offset with time <= t, else ENOTFOUND */
};
COMMITLOG_API int32_t commitlog_offset_by_time(struct commitlog_store *store,
    uint32_t topic, uint32_t queue, int64_t time_ns, uint32_t bound,
    uint64_t *out_offset);

/* ------------------------------------------------------------------------ *
 * 7  Wait and follow
 *
 * commitlog_cursor_fetch waits by itself. These are for the rest.
 * ------------------------------------------------------------------------ */

/* Waits until the visible end of the log is beyond `position`. ETIMEDOUT,
 * EINTERRUPTED, ECLOSED, EFAILED (nothing can come); read-only, where it looks
 * for another writer, also EIO, EBUSY, EACCESS, ENOMEM, ELIMIT and what else
 * opening the store yields. */
COMMITLOG_API int32_t commitlog_wait(struct commitlog_store *store,
    uint64_t position, int32_t timeout_ms);
/* An eventfd, owned by the store, that becomes readable when records become
 * visible; read it, then fetch until EEND. Not for read-only stores, whose
 * writer is another process: EUNSUPPORTED. */
COMMITLOG_API int32_t commitlog_event_fd(struct commitlog_store *store,
    int32_t *out_fd);

/* ------------------------------------------------------------------------ *
 * 8  Look at a store
 * ------------------------------------------------------------------------ */

struct commitlog_positions { /* first <= checkpointed <= ... <= claimed */
    uint32_t struct_bytes;
    uint32_t epoch;
    uint64_t first;
    uint64_t checkpointed; /* read-only: always first */
    uint64_t durable;
    uint64_t written;
    uint64_t published;
    uint64_t claimed;
    uint64_t visible;
};
COMMITLOG_API int32_t commitlog_positions_get(struct commitlog_store *store,
    struct commitlog_positions *out);

/* Statistics: names and values by index until COMMITLOG_ENOTFOUND. Counters
 * only grow; gauges are marked in commitlog_stats(3). In a read-only store
 * beside a live writer they are the writer's, but for those of segments, of
 * what is folded, of views, timers and open transactions. */
COMMITLOG_API int32_t commitlog_stat(struct commitlog_store *store,
    uint32_t index, const char **out_name, uint64_t *out_value);

/*
 * Distributions of durations and sizes since the store was opened: index 0, 1,
 * ... until COMMITLOG_ENOTFOUND. commitlog_stats(3) lists them. In a read-only
 * store beside a live writer they are the writer's, who is not stopped for it.
 * Every bucket only grows: subtract those of an earlier call for what came in
 * between. The values of a bucket differ by at most a sixteenth.
 */
enum { COMMITLOG_HISTOGRAM_BUCKETS = 497 };
struct commitlog_histogram {
    uint32_t struct_bytes;
    uint32_t one_in;  /* one value in so many is counted; 1: each */
    const char *name; /* static */
    const char *unit; /* "ns", "bytes" or "records"; static */
    uint64_t count;   /* all buckets together */
    uint64_t sum;     /* of the values counted */
    uint64_t max;     /* the largest of them */
    uint64_t buckets[497];
};
COMMITLOG_API int32_t commitlog_histogram_get(struct commitlog_store *store,
    uint32_t index, struct commitlog_histogram *out);
/* The smallest value of a bucket; the next one's bounds it. UINT64_MAX behind
 * the last. */
COMMITLOG_API uint64_t commitlog_histogram_floor(uint32_t bucket);
/* The value that so many of a million do not exceed (999000: 99.9 %), from
 * buckets and max; 0 when the buckets are empty. */
COMMITLOG_API uint64_t commitlog_histogram_quantile(
    const struct commitlog_histogram *histogram, uint32_t millionths);

enum { COMMITLOG_EVENT_INFO = 0, COMMITLOG_EVENT_WARNING = 1,
       COMMITLOG_EVENT_ERROR = 2 };
struct commitlog_event {
    uint32_t struct_bytes;
    uint32_t severity;
    int64_t time_ns;
    uint64_t lost; /* events overwritten before this one */
    struct commitlog_error detail;
};
/* Takes the oldest event from a ring of 256; EEND when there is none. */
COMMITLOG_API int32_t commitlog_event_next(struct commitlog_store *store,
    struct commitlog_event *out);

/* The latched failure of the store, or COMMITLOG_OK. */
COMMITLOG_API int32_t commitlog_failure(struct commitlog_store *store,
    struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 9  Upkeep
 *
 * With the option thread = 1 (default) two library threads do it: one folds and
 * drains, the other prepares segments, flushes, seals, checkpoints, retains
 * and scrubs. With thread = 0 the caller does the same by commitlog_step.
 * ------------------------------------------------------------------------ */

/* Does due work for about budget_us; *out_wait_ms: when to call again at the
 * latest. EBUSY with thread = 1. */
COMMITLOG_API int32_t commitlog_step(struct commitlog_store *store,
    uint32_t budget_us, uint32_t *out_wait_ms);
COMMITLOG_API int32_t commitlog_checkpoint(struct commitlog_store *store,
    struct commitlog_error *err);

struct commitlog_retention {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t keep_bytes; /* 0: no limit */
    uint64_t keep_age_ms; /* by store time; 0: no limit */
    uint64_t free_bytes; /* free space wanted on the disk; 0: none */
};
struct commitlog_retained {
    uint32_t struct_bytes;
    uint32_t segments_dropped;
    uint64_t bytes_dropped;
    uint64_t bytes_carried; /* control state appended again */
    uint64_t first;         /* the new first position */
    uint64_t bytes_held;    /* dropped, but kept mapped by leases */
    uint64_t kept_from;     /* more would go, but from here on a group with
                               COMMITLOG_GROUP_KEEP has to consume; else 0 */
};
/* Drops whole segments, oldest first, never the active one. *out (may be NULL)
 * tells what was done, also when it fails on the way. */
COMMITLOG_API int32_t commitlog_retain(struct commitlog_store *store,
    const struct commitlog_retention *policy, struct commitlog_retained *out,
    struct commitlog_error *err);

/* Drops everything derived (view/) of the store in `path` and folds the log
 * again. Needs the writer's lock. The options are those of commitlog_open, but
 * for access and create. */
COMMITLOG_API int32_t commitlog_rebuild(const char *path,
    const struct commitlog_options *options, struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 10  Recovery, verification, damage
 * ------------------------------------------------------------------------ */

enum { /* what recovery found at the end of the log */
    COMMITLOG_TAIL_CLEAN = 0,      /* zeros from there on, as far as was looked:
                                      behind the end of a closed store only
                                      commitlog_recover looks */
    COMMITLOG_TAIL_TORN = 1,       /* unacknowledged bytes cut */
    COMMITLOG_TAIL_UNPROVABLE = 2, /* cut; may have been acknowledged in the
                                      last moments, no witness says so; or the
                                      dead writer's live area is damaged, or
                                      says that more had been published */
    COMMITLOG_TAIL_DAMAGED = 3     /* acknowledged data fails or is gone, or may
                                      be: only salvage modifies anything */
};

struct commitlog_recovery {
    uint32_t struct_bytes;
    uint32_t tail;          /* COMMITLOG_TAIL_... */
    uint32_t clean_close;   /* 1: the last writer had closed the store */
    uint32_t same_boot;     /* 1: the last writer died in this boot */
    uint32_t epoch;         /* of this session */
    uint32_t quarantined;   /* files written to quarantine/ */
    uint64_t first;
    uint64_t witness;       /* W: highest position known durable */
    uint64_t end;           /* X: end of what is kept */
    uint64_t bytes_scanned;
    uint64_t records_scanned;
    uint64_t bytes_cut;
    uint64_t records_cut;   /* valid ones among what was cut, if their writer
                             * may have been done with them */
    uint64_t bytes_rewritten;
    uint64_t records_from_stage;
    uint64_t holes_made;
    uint64_t views_rebuilt;
    uint64_t duration_ns;
    uint64_t damaged_ranges;
};
/* What the open of this store did. */
COMMITLOG_API int32_t commitlog_recovery_get(struct commitlog_store *store,
    struct commitlog_recovery *out);

struct commitlog_damage {
    uint32_t struct_bytes;
    uint32_t queue;         /* UINT32_MAX when not known */
    uint64_t from_position; /* [from, to) */
    uint64_t to_position;   /* both UINT64_MAX: offsets of a queue that the log
                               has lost, nothing says from which positions */
    uint64_t from_offset;   /* queue offsets concerned, when known */
    uint64_t to_offset;
    char topic[256];        /* "" when not known */
    char reason[128];
};
/* Damage known so far, from open, reads and scrub, 1024 ranges at most; index
 * until ENOTFOUND. */
COMMITLOG_API int32_t commitlog_damage_get(struct commitlog_store *store,
    uint32_t index, struct commitlog_damage *out);

/* A report that outlives the call that made it. */
struct commitlog_report;
COMMITLOG_API void commitlog_report_free(struct commitlog_report *report);
COMMITLOG_API int32_t commitlog_report_recovery(
    const struct commitlog_report *report, struct commitlog_recovery *out);
COMMITLOG_API int32_t commitlog_report_damage(
    const struct commitlog_report *report, uint32_t index,
    struct commitlog_damage *out);
/* The plan, line by line; NULL past the last. Lives as long as the report. */
COMMITLOG_API const char *commitlog_report_line(
    const struct commitlog_report *report, uint32_t index);

enum { COMMITLOG_RECOVER_PLAN_ONLY = 1 };
/*
 * Recovers the store in `path` without opening it, and leaves it as closed; one
 * that was closed, with nothing to mend and only zeros behind its end, is not
 * changed. Options give mode (recovery), file_mode, os and progress. With
 * PLAN_ONLY nothing is modified. The report is made also on COMMITLOG_EDAMAGED.
 */
COMMITLOG_API int32_t commitlog_recover(const char *path,
    const struct commitlog_options *options, uint32_t flags,
    struct commitlog_report **out_report, struct commitlog_error *err);
/*
 * Verifies every record and every derived file, read-only; on a live store up
 * to what is written. A torn tail is sound. EDAMAGED: the report names each
 * range.
 */
COMMITLOG_API int32_t commitlog_verify(const char *path,
    const struct commitlog_options *options,
    struct commitlog_report **out_report, struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 11  Choice of queues, shares of members
 *
 * Functions of their arguments: no store, no state, any thread. What they
 * compute from keys and ids is the same on every machine and in every version;
 * commitlog_queue_by_key(3) and commitlog_assign(3) say how to compute it in
 * another language.
 * ------------------------------------------------------------------------ */

/*
 * The queue of a key: XXH3-64 of the key (seed 0) modulo the number of queues.
 * When n queues become k * n, the keys of queue q go to the queues q + i * n,
 * 0 <= i < k, and no others do. COMMITLOG_QUEUE_AUTO does the same.
 * Errors: EINVAL (key NULL but not empty, no queues, out_queue NULL).
 */
COMMITLOG_API int32_t commitlog_queue_by_key(const void *key, size_t key_bytes,
    uint32_t queues, uint32_t *out_queue);
/*
 * The queues in turn: takes *turn modulo the number of queues and adds one to
 * it, atomically, so that any number of threads may share one turn, also in
 * shared memory. It begins at whatever the caller put there, 0 for instance.
 * Errors: EINVAL (turn NULL or not aligned to 8, no queues, out_queue NULL).
 */
COMMITLOG_API int32_t commitlog_queue_round_robin(uint64_t *turn,
    uint32_t queues, uint32_t *out_queue);
/*
 * The queue with the smallest of loads[0 ... queues - 1], in whatever unit. Of
 * equal ones the first from queue start modulo queues on, round the end: give a
 * number that differs from call to call, or everybody takes the same. A queue
 * whose load is UINT64_MAX is not chosen.
 * Errors: EINVAL (loads NULL, no queues, out_queue NULL), ENOTFOUND (all loads
 * are UINT64_MAX).
 */
COMMITLOG_API int32_t commitlog_queue_least_loaded(const uint64_t *loads,
    uint32_t queues, uint64_t start, uint32_t *out_queue);

enum { COMMITLOG_GROUP_MEMBERS_MAX = 65536 };
enum { /* strategy of commitlog_assign; m members, sorted by id */
    COMMITLOG_ASSIGN_AVERAGE = 0, /* contiguous, the first ones have one more */
    COMMITLOG_ASSIGN_CIRCLE = 1,  /* queue q to member q modulo m */
    COMMITLOG_ASSIGN_CONSISTENT_HASH = 2, /* by a ring: a member that comes or
                                             goes moves its own queues only */
    COMMITLOG_ASSIGN_STICKY = 3   /* as few changes as equal shares allow */
};
/*
 * Shares the queues of a topic out to the members of a group: every queue to
 * one member. Members are told apart by ids of 1-255 bytes; in which order they
 * are listed does not change who gets what, so that each member can compute it
 * by itself. Shares differ by at most one queue, except by consistent hash.
 *
 * previous, for STICKY only, is by queue the index in members of who has it,
 * UINT32_MAX for nobody (a new queue, a member that left); NULL: nobody has any,
 * which gives the shares of AVERAGE. Everybody must give the same. It may be the
 * same array as out_member_of_queue, which takes queue_count indices.
 *
 * For m members the time grows as m log m + queue_count, by consistent hash as
 * (m + queue_count) log m. It needs 8 bytes of memory a member, by consistent
 * hash 2 KiB, until it returns.
 * Errors: EUNSUPPORTED (no such strategy), EINVAL (members or result NULL, no
 * member, no queue, an id that is not 1-255 bytes, two equal ids, an index in
 * previous that is no member's: the text of err says which), ETOOBIG (over
 * COMMITLOG_GROUP_MEMBERS_MAX or COMMITLOG_TOPIC_QUEUES_MAX), ENOMEM.
 */
COMMITLOG_API int32_t commitlog_assign(uint32_t strategy,
    const struct commitlog_slice *members, uint32_t member_count,
    uint32_t queue_count, const uint32_t *previous,
    uint32_t *out_member_of_queue, struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 12  Consumer groups
 *
 * A group is a name under which consumers remember, for each queue, the offset
 * they will consume next. What they commit is a record of the log: it survives
 * what its level survives, moves with the log and needs no file of its own. An
 * offset never moves back unless it is reset. Any thread of the process that
 * has the store open for writing commits; readers see it.
 * ------------------------------------------------------------------------ */

struct commitlog_group;

enum { COMMITLOG_GROUP_NAME_MAX_BYTES = 255 };
enum { /* flags of commitlog_group_open and commitlog_group_configure */
    COMMITLOG_GROUP_KEEP = 1,  /* retention keeps what it has not consumed */
    COMMITLOG_GROUP_CREATE = 2 /* open only: make it when it is not there */
};

/*
 * A handle to the group of this name; with CREATE the group is made when it is
 * not there, with KEEP or without, at level none. An existing one keeps its own
 * flags. The handle may be used by any number of threads; it stays good when
 * the group is deleted and made again.
 * Errors: EINVAL (name not 1-255 bytes of UTF-8 without NUL, unknown flag),
 * ENOTFOUND, ENOMEM; of one that is made, EMISUSE (read-only), ENOSPC,
 * EIO, EACCESS, ELIMIT, ETIMEDOUT, EINTERRUPTED, EFAILED.
 */
COMMITLOG_API int32_t commitlog_group_open(struct commitlog_store *store,
    const char *name, size_t name_bytes, uint32_t flags,
    struct commitlog_group **out_group, struct commitlog_error *err);
/* Frees the handle; before or after the store is closed. */
COMMITLOG_API void commitlog_group_close(struct commitlog_group *group);

struct commitlog_group_info {
    uint32_t struct_bytes;
    uint32_t epoch;      /* 0 until commitlog_group_next_epoch */
    uint32_t flags;      /* COMMITLOG_GROUP_KEEP */
    uint32_t queues;     /* for so many it has committed an offset */
    uint32_t name_bytes;
    char name[256];      /* ends in NUL */
};
/* ENOTFOUND: deleted. */
COMMITLOG_API int32_t commitlog_group_info(struct commitlog_group *group,
    struct commitlog_group_info *out);
/* The groups there are: index 0, 1, ... until ENOTFOUND, in no promised order;
 * one that is made or deleted meanwhile may shift them. */
COMMITLOG_API int32_t commitlog_group_at(struct commitlog_store *store,
    uint32_t index, struct commitlog_group_info *out);

/* Sets the flags. Errors: EINVAL, ENOTFOUND, EMISUSE (read-only), ENOMEM,
 * ENOSPC, EIO, EACCESS, ELIMIT, ETIMEDOUT (no room in the stage), EINTERRUPTED,
 * EFAILED, EUNKNOWN (stored, level not reached). */
COMMITLOG_API int32_t commitlog_group_configure(struct commitlog_group *group,
    uint32_t flags, uint32_t level, struct commitlog_error *err);
/*
 * Begins the next epoch: what its members are, and who of them has which queue,
 * is decided anew. Members give their epoch when they commit, and from now on
 * those of an earlier one are refused. Errors as commitlog_group_configure;
 * ELIMIT also: there are no more numbers.
 */
COMMITLOG_API int32_t commitlog_group_next_epoch(struct commitlog_group *group,
    uint32_t level, uint32_t *out_epoch, struct commitlog_error *err);
/* Forgets the group with its offsets. Errors as commitlog_group_configure. */
COMMITLOG_API int32_t commitlog_group_delete(struct commitlog_group *group,
    uint32_t level, struct commitlog_error *err);

struct commitlog_group_offset {
    uint32_t topic;
    uint32_t queue;
    uint64_t offset; /* next to be consumed; UINT64_MAX: the group has none */
};

enum { COMMITLOG_GROUP_OFFSETS_MAX = 2048 };

/*
 * Commits the offsets of up to COMMITLOG_GROUP_OFFSETS_MAX queues, all or none,
 * in one record. `epoch` is that of the member, or 0 for one who is not fenced.
 * What is committed already is not written again; *out_receipt (may be NULL) is
 * then that of the newest record of the group, of whatever kind, with position,
 * level and as end_position position + 1 only.
 * Errors, nothing is changed then: EINVAL (no topic or queue of this number, a
 * queue twice), ENOTFOUND (no such group), EFENCED (`epoch` is not the group's),
 * ETOOSMALL (an offset below the one committed: commitlog_group_reset),
 * EBEYOND (an offset beyond the end of its queue), EMISUSE (a queue that is not
 * open for the group: commitlog_group_gate; read-only), ETOOBIG, ENOMEM,
 * ENOSPC, EIO, EACCESS, ELIMIT, ETIMEDOUT, EINTERRUPTED, EFAILED; EUNKNOWN
 * (stored, level not reached).
 */
COMMITLOG_API int32_t commitlog_group_commit(struct commitlog_group *group,
    uint32_t epoch, const struct commitlog_group_offset *offsets,
    uint32_t count, uint32_t level, int32_t timeout_ms,
    struct commitlog_receipt *out_receipt, struct commitlog_error *err);
/* Fills in the committed offset of each queue. EINVAL, ENOTFOUND. */
COMMITLOG_API int32_t commitlog_group_fetch(struct commitlog_group *group,
    struct commitlog_group_offset *offsets, uint32_t count,
    struct commitlog_error *err);
/*
 * Sets the offset of one queue, or of all of the topic (COMMITLOG_QUEUE_ALL; not
 * FROM_OFFSET), to the place that COMMITLOG_FROM_... and `value` name, forth or
 * back. It fences nobody: whoever consumes meanwhile commits on from where he
 * is, so begin the next epoch first. Errors: EINVAL, ENOTFOUND, ETOOSMALL and
 * EBEYOND (offset outside the queue), as commitlog_group_configure.
 */
COMMITLOG_API int32_t commitlog_group_reset(struct commitlog_group *group,
    uint32_t topic, uint32_t queue, uint32_t from, uint64_t value,
    uint32_t level, struct commitlog_error *err);

struct commitlog_group_gate {
    uint32_t struct_bytes;
    uint32_t open;      /* 1: the group may read and commit; 0: not yet */
    uint32_t parent;    /* queue to be consumed first, or that was; UINT32_MAX:
                           none, the topic was created with this queue */
    uint32_t reserved;
    uint64_t mark;      /* to this offset of it; 0: nothing below is kept;
                           UINT64_MAX: the growth is not visible yet */
    uint64_t committed; /* the group's there; UINT64_MAX: none */
};
/*
 * May the group consume this queue? One that the topic was created with, always;
 * one that came when it grew, when its parent is open and the offset that the
 * group committed there has reached the mark, the parent's end at that growth,
 * or nothing below the mark is kept any more. Then every key's records are
 * consumed in order. Commits and receivers keep to it by themselves. Also on a
 * read-only store. EINVAL, ENOTFOUND.
 */
COMMITLOG_API int32_t commitlog_group_gate(struct commitlog_group *group,
    uint32_t topic, uint32_t queue, struct commitlog_group_gate *out,
    struct commitlog_error *err);

struct commitlog_group_lag {
    uint32_t struct_bytes;
    uint32_t queues;        /* counted */
    uint64_t messages;      /* to be consumed; of a queue without offset, all */
    uint64_t dropped;       /* by retention, or expired, before they were
                               consumed */
    int64_t oldest_time_ns; /* store time of the oldest one; 0: none */
};
/* Of one queue, or of all of the topic (COMMITLOG_QUEUE_ALL) together. EINVAL,
 * ENOTFOUND. */
COMMITLOG_API int32_t commitlog_group_lag(struct commitlog_group *group,
    uint32_t topic, uint32_t queue, struct commitlog_group_lag *out,
    struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 13  Messages for later
 *
 * Delay: a record with deliver_at_ms is stored at once, at the level asked
 * for, and lies in no queue. When the store's clock has reached that time, and
 * never before, upkeep delivers it: a record of 64 bytes or more in its queue
 * refers to it and is read in its place. A crash may deliver it twice. A time
 * that has passed is as none: the record lies in its queue at once.
 *
 * The receipt of one that waits has queue_offset 0; its position is the handle
 * of the timer, which keeps it while the log moves on. Retention stores again
 * what waits. Any distance is good until the end of store times, in the year
 * 2262 (ETOOBIG; ETOOSMALL: before 1970). Without the library's threads,
 * commitlog_step delivers; its out_wait_ms knows the timers of that moment.
 * ------------------------------------------------------------------------ */

/* Ends a timer: its message will never be delivered. ENOTFOUND: it does not
 * wait any more, or never did. EINVAL, EMISUSE, ENOSPC, EIO, EACCESS, ELIMIT,
 * EINTERRUPTED, EFAILED, EUNKNOWN (stored, level not reached). */
COMMITLOG_API int32_t commitlog_timer_cancel(struct commitlog_store *store,
    uint64_t timer, uint32_t level, struct commitlog_error *err);

struct commitlog_timer_info {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue;
    uint32_t reserved;
    uint64_t timer;    /* the handle */
    uint64_t position; /* of its message now, for commitlog_get */
    int64_t deliver_at_ms;
};
/* The timers that wait: index 0 is due first, then 1, 2, ... until ENOTFOUND in
 * no promised order; one that comes or goes meanwhile may shift them. */
COMMITLOG_API int32_t commitlog_timer_at(struct commitlog_store *store,
    uint32_t index, struct commitlog_timer_info *out);

/* RocketMQ's delay levels 1 to 18, in milliseconds: 1, 5, 10, 30 s, 1 to 10, 20,
 * 30 min, 1, 2 h. 0 is no delay; above 18 is as 18. */
COMMITLOG_API int64_t commitlog_delay_level_ms(uint32_t level);

/* ------------------------------------------------------------------------ *
 * 14  Work: message by message
 *
 * A receiver takes messages of a topic for a group one by one instead of in
 * order by offset: any number of threads of the process that has the store open
 * for writing share the work, each with a receiver of its own. What one is given
 * is nobody else's until its time runs out; it is acknowledged, or given back,
 * or comes again when the time is over. After max_attempts it goes to a topic of
 * dead letters, by reference. What was given out, how often and until when is in
 * the log, and survives what the log survives; a message may come twice, none is
 * lost.
 *
 * All that lies below the group's committed offset is done: the lag of the group
 * counts from it, retention may go by it, and commitlog_group_reset begins anew.
 * Do not commit offsets of a queue that receivers work on.
 * ------------------------------------------------------------------------ */

struct commitlog_receiver;

enum { COMMITLOG_RECEIVE_MAX = 64 };
enum { /* flags of a receiver */
    COMMITLOG_RECEIVE_ORDERED = 1,   /* of each queue one message at a time */
    COMMITLOG_RECEIVE_DEAD_TOPIC = 2 /* dead_topic says where dead letters go */
};

struct commitlog_receiver_options {
    uint32_t struct_bytes;
    uint32_t flags;
    uint32_t max_attempts;  /* 0: 16; UINT32_MAX: no limit; else at most 65,534 */
    uint32_t dead_topic;    /* without the flag: "%DLQ%" and the group's name,
                               which is made with one queue when it is needed */
    int64_t visibility_ms;  /* 0: 60,000 */
};

/* What was given out; the caller's to keep or to send elsewhere. */
struct commitlog_delivery {
    uint64_t offset;
    uint32_t queue;
    uint32_t attempt; /* 1: the first time */
};

/*
 * A receiver for the group and the topic; options NULL: all defaults. Queues of
 * which the group has committed no offset begin at their first message. One
 * thread at a time uses a receiver. Close it before or after the store.
 * Errors: EINVAL, EMISUSE (read-only), ETOOBIG (the group's name leaves no room
 * for "%DLQ%"), ENOMEM, EFAILED.
 */
COMMITLOG_API int32_t commitlog_receiver_open(struct commitlog_group *group,
    uint32_t topic, const struct commitlog_receiver_options *options,
    struct commitlog_receiver **out_receiver, struct commitlog_error *err);
COMMITLOG_API void commitlog_receiver_close(
    struct commitlog_receiver *receiver);

/*
 * Fills up to max messages (64 are the most) of one queue, and in the same
 * places what to acknowledge them by. Pointers in them are good until the next
 * receive, or the close, of this receiver. Waits until there is something; for
 * room in the stage, in which that is put down, no longer, and at most 5 s.
 * EEND: nothing until the time was over; EINVAL, EINTERRUPTED, ETIMEDOUT (no
 * room in the stage), ENOTFOUND (the group is gone), ENOMEM, ENOSPC, EIO,
 * EACCESS, ELIMIT, EEXIST (the dead topic), EFAILED. EDAMAGED, EEXPIRED,
 * EUNSUPPORTED: a message that cannot be read was passed, err names it; the
 * next call goes on.
 */
COMMITLOG_API int32_t commitlog_receive(struct commitlog_receiver *receiver,
    struct commitlog_message *messages, struct commitlog_delivery *deliveries,
    uint32_t max, int32_t timeout_ms, uint32_t *out_count,
    struct commitlog_error *err);

/*
 * Done with these, at the level asked for. ENOTFOUND: one at least was not, or
 * not any more, given out for this attempt; the others are done. EINVAL,
 * ETOOBIG (more than 2,048), EMISUSE, ENOMEM, ENOSPC, EIO, EACCESS, ELIMIT,
 * ETIMEDOUT (no room in the stage), EINTERRUPTED, EFAILED, EUNKNOWN.
 */
COMMITLOG_API int32_t commitlog_ack(struct commitlog_receiver *receiver,
    const struct commitlog_delivery *deliveries, uint32_t count, uint32_t level,
    struct commitlog_error *err);
/* They stay the receiver's for visibility_ms from now on: said at level none, as
 * is what is given back. Errors as above, but for EUNKNOWN. */
COMMITLOG_API int32_t commitlog_extend(struct commitlog_receiver *receiver,
    const struct commitlog_delivery *deliveries, uint32_t count,
    int64_t visibility_ms, struct commitlog_error *err);
/* Gives them back: they come again after delay_ms; -1: after RocketMQ's delay
 * for the attempt, commitlog_delay_level_ms(2 + attempt): 10 s, 30 s, 1 min ...
 * 2 h. One that was given out max_attempts times goes to the dead letters. */
COMMITLOG_API int32_t commitlog_nack(struct commitlog_receiver *receiver,
    const struct commitlog_delivery *deliveries, uint32_t count,
    int64_t delay_ms, struct commitlog_error *err);

enum { /* state of work */
    COMMITLOG_WORK_PENDING = 1, /* given out; it comes again at visible_at_ms */
    COMMITLOG_WORK_DONE = 2     /* but not yet something before it */
};

/* `count` messages of a queue, above the committed offset, of which the group
 * has the same to say. */
struct commitlog_work_info {
    uint32_t struct_bytes;
    uint32_t state;
    uint64_t offset;
    uint32_t count;
    uint32_t attempts;     /* given out so often; 0: done */
    int64_t visible_at_ms; /* since 1970; 0: done */
};

/* The first such run that ends behind `offset`; to go on, offset + count of it.
 * Also on a read-only store. ENOTFOUND: there is none, or no such group; EINVAL;
 * the errors of commitlog_group_fetch. */
COMMITLOG_API int32_t commitlog_group_work(struct commitlog_group *group,
    uint32_t topic, uint32_t queue, uint64_t offset,
    struct commitlog_work_info *out, struct commitlog_error *err);

/* ------------------------------------------------------------------------ *
 * 15  Transactions
 *
 * Messages of any topics, and offsets of consumer groups, that take effect
 * together or not at all. What is appended to a transaction is stored at once
 * and lies in no queue; the commit is one batch of records, 64 bytes or more for
 * each message, that refer to them: readers see all of it or nothing, whatever
 * crashes. A transaction that is prepared outlives its process: it is listed,
 * with its producer group and age, until somebody decides. One that is not is
 * rolled back when its handle is closed or its process ends. None stays for
 * ever: when its time is over it is rolled back, and an event says so.
 *
 * Its number is the position of its first record, which it keeps while retention
 * moves its messages. Any number of transactions (65,536 at a time) go on beside
 * one another; a handle is used by one thread at a time.
 * ------------------------------------------------------------------------ */

struct commitlog_transaction;

enum { COMMITLOG_TRANSACTIONS_MAX = 65536 };
enum { /* flags of a transaction */
    COMMITLOG_TRANSACTION_PREPARED = 1 /* by its message, the only one: no
                                          other, and no offsets (EMISUSE) */
};

struct commitlog_transaction_options {
    uint32_t struct_bytes;
    uint32_t flags;
    int64_t timeout_ms;  /* from the first record to prepare or commit;
                            0: 60,000 */
    int64_t prepared_ms; /* then until it is decided; 0: 86,400,000, a day */
};                       /* both at most 2,592,000,000, 30 days (ETOOBIG) */

/*
 * A handle to a new transaction of the producer group (1-255 bytes of UTF-8
 * without NUL: who is asked how it ended); options NULL: all defaults. Nothing
 * is stored yet. Errors: EINVAL, ETOOBIG, EMISUSE (read-only), ENOMEM, EFAILED.
 */
COMMITLOG_API int32_t commitlog_transaction_begin(struct commitlog_store *store,
    const char *group, size_t group_bytes,
    const struct commitlog_transaction_options *options,
    struct commitlog_transaction **out_transaction,
    struct commitlog_error *err);
/* A handle to a prepared one, by its number, to commit or roll back: nothing is
 * appended by it (EMISUSE). ENOTFOUND: none has this number; EMISUSE (not
 * prepared; read-only), EINVAL, ENOMEM, EFAILED. */
COMMITLOG_API int32_t commitlog_transaction_open(struct commitlog_store *store,
    uint64_t transaction, struct commitlog_transaction **out_transaction,
    struct commitlog_error *err);
/* Frees the handle, and rolls back what is neither prepared nor committed. It
 * may be called after the store is closed, which has rolled back then. */
COMMITLOG_API void commitlog_transaction_close(
    struct commitlog_transaction *transaction);
/* Its number, 0 until something of it is stored. */
COMMITLOG_API uint64_t commitlog_transaction_id(
    const struct commitlog_transaction *transaction);

/*
 * Stores a message of the transaction, at record->level. The receipt's
 * queue_offset is 0: it has none before the commit. Errors: as
 * commitlog_append_record; also EINVAL (the record has a producer or a time to
 * be delivered at), ETOOBIG (one more would not fit a segment at the commit, or
 * it is the 65,536th), EMISUSE (prepared), ENOTFOUND
 * (committed or rolled back, its time was over, say), ELIMIT (as many as may be
 * open are).
 */
COMMITLOG_API int32_t commitlog_transaction_append(
    struct commitlog_transaction *transaction,
    const struct commitlog_record *record, int32_t timeout_ms,
    struct commitlog_receipt *out_receipt, struct commitlog_error *err);
/*
 * The commit will commit these offsets of the group, too: of up to
 * COMMITLOG_GROUP_OFFSETS_MAX queues in all. They are looked at now and at the
 * commit as commitlog_group_commit would, with its errors, and nothing is stored
 * before prepare or commit. EMISUSE: prepared; ENOTFOUND: it has ended, or no such
 * group; EINVAL also: another epoch than for the same group before.
 */
COMMITLOG_API int32_t commitlog_transaction_offsets(
    struct commitlog_transaction *transaction, struct commitlog_group *group,
    uint32_t epoch, const struct commitlog_group_offset *offsets,
    uint32_t count, struct commitlog_error *err);

/* From now on it outlives the process. Its offsets are judged here for the last
 * time: at the commit, what a group has consumed meanwhile, or all of a group
 * that was deleted, falls out. Errors: EMISUSE (prepared already; a queue is
 * not open for the group any more), ENOTFOUND (it has ended), EFENCED (also:
 * the group was deleted) and ETOOSMALL for offsets, ETOOBIG, ENOMEM, ENOSPC,
 * EIO, EACCESS, ELIMIT, ETIMEDOUT, EINTERRUPTED, EFAILED: not prepared, but
 * what was written of it may be listed; EUNKNOWN (stored, level not
 * reached). */
COMMITLOG_API int32_t commitlog_transaction_prepare(
    struct commitlog_transaction *transaction, uint32_t level,
    int32_t timeout_ms, struct commitlog_error *err);
/*
 * All of it takes effect. *out_receipt (may be NULL) is that of the first
 * message, in its queue, with the end_position of all; of one without messages
 * that of the last record written, and untouched if there was nothing to write:
 * it is empty, or all its offsets were committed already.
 * Errors, with which nothing takes effect: ENOTFOUND (it has ended); not
 * prepared, EMISUSE (a queue is not open for the group any more), EFENCED
 * (also: the group was deleted) and ETOOSMALL for offsets; EDAMAGED and EIO (a
 * message does not read, or not all that was prepared is left: it can be rolled
 * back), ETOOBIG (segments are smaller than they were), EIO, EACCESS, ELIMIT
 * (no next segment), ENOMEM, ENOSPC, ETIMEDOUT, EINTERRUPTED, EFAILED; EUNKNOWN
 * (stored, level not reached).
 */
COMMITLOG_API int32_t commitlog_transaction_commit(
    struct commitlog_transaction *transaction, uint32_t level,
    int32_t timeout_ms, struct commitlog_receipt *out_receipt,
    struct commitlog_error *err);
/* None of it will ever take effect. ENOTFOUND (it has ended), ENOSPC, EIO,
 * EACCESS, ELIMIT, ETIMEDOUT, EINTERRUPTED, EFAILED, EUNKNOWN (stored, level
 * not reached). */
COMMITLOG_API int32_t commitlog_transaction_rollback(
    struct commitlog_transaction *transaction, uint32_t level,
    int32_t timeout_ms, struct commitlog_error *err);

struct commitlog_transaction_info {
    uint32_t struct_bytes;
    uint32_t prepared; /* 0: still being written, or about to be rolled back */
    uint64_t transaction;  /* its number */
    int64_t begin_ms;      /* store time of its first record, since 1970 */
    int64_t expires_at_ms; /* then it is rolled back; 0: not prepared, and of
                              another process */
    uint64_t bytes;        /* of its messages, as they lie in the log */
    uint32_t messages;
    uint32_t offset_groups; /* prepared: consumer groups it has offsets of */
    uint32_t group_bytes;
    char group[256]; /* of its producer; ends in NUL */
};
/* The one with the lowest number above `after` (0: the oldest) of those of which
 * something is stored. ENOTFOUND: that was the last. */
COMMITLOG_API int32_t commitlog_transaction_next(struct commitlog_store *store,
    uint64_t after, struct commitlog_transaction_info *out);

struct commitlog_transaction_message {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue;
    uint32_t reserved;
    uint64_t position; /* for commitlog_get */
};
/* The messages of one, in the order they were appended: index 0, 1, ... until
 * ENOTFOUND, which it is too when the transaction has ended. */
COMMITLOG_API int32_t commitlog_transaction_message(
    struct commitlog_store *store, uint64_t transaction, uint32_t index,
    struct commitlog_transaction_message *out);

#ifdef __cplusplus
}
#endif

#endif /* COMMITLOG_H */
