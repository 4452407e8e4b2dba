/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h -- one segment file of an open store: descriptor, maps, references, footer.
 *
 * Invariants: 1. a file has its final size from before its name exists and is never truncated or
 *       punched, so a map of it never raises SIGBUS by our doing; 2. the map for reading covers the
 *       whole file, is made once and stays until the last reference goes, also after the file was
 *       unlinked; 3. a segment that is not sealed keeps one descriptor from its creation or opening
 *       on: all its writes and flushes go through that one, because the kernel reports a failed
 *       write-back per open file and only once; 4. a footer exists only if everything before it
 *       was durable when it was written.
 * Threads and locks: reference counting, pread, map and flags from any thread. `lock` covers the
 *       descriptor and the making of maps; it is a leaf. Writers of data, footer and cut are the
 *       caller's to serialise.
 * Happy path: clg_segment_create (segment_create.h) -> clg_segment_pwrite by the engine ->
 *       clg_segment_flush -> clg_segment_write_footer -> readers map or pread ->
 *       clg_segment_unlink -> last clg_segment_unref unmaps, closes and frees.
 * Failure modes: texts name file and position. clg_segment_open tells what is wrong with a file by
 *       enum clg_segment_state, also where it succeeds.
 */
#ifndef CLG_SEGMENT_SEGMENT_H
#define CLG_SEGMENT_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/error.h"
#include "format/record.h"
#include "format/segment_header.h"
#include "os/lock.h"
#include "os/os.h"

/* Where the segments of one store lie. The caller keeps it, and `fd` open, for as long as any
 * segment of it lives. */
struct clg_segment_dir {
    const struct commitlog_os *os;
    int fd; /* DIR/log */
    uint32_t file_mode;
    uint8_t uuid[CLG_UUID_BYTES];
    bool read_only; /* the store is: every file is opened for reading */
};

enum clg_segment_flag {
    CLG_SEGMENT_SEALED = 1,  /* footer there and verified, or written: fields below are final */
    CLG_SEGMENT_UNLINKED = 2 /* the name is gone; what is mapped stays */
};

struct clg_segment {
    const struct clg_segment_dir *dir;
    /* Fixed when the struct is handed out. */
    uint64_t base;
    uint64_t bytes;
    uint64_t data_start;
    uint64_t data_end;
    uint64_t salt;
    struct clg_segment_header header;
    /* The segment behind this one says that a session of this epoch began there. A record of a
     * lower one at or behind it was cut: who has it has an older image of the file. 0, 0: not
     * known. */
    uint64_t session_from;
    uint32_t session_epoch;
    bool reserved; /* blocks of the whole file are allocated: a write cannot find the disk full */
    /* All before this position was written once, be it with zeros; and nothing behind it, if that
     * is known. Who appends has them, under its own lock. */
    uint64_t prewritten;
    bool prewritten_known;

    /* Written by whoever seals, before the flag SEALED (release); readers load the flag first. */
    struct clg_segment_footer footer; /* ORDER(segment-sealed) */

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic uint32_t flags; /* enum clg_segment_flag */
    _Atomic uint64_t map;   /* 0 or address of the map for reading; ORDER(segment-map) */

    struct clg_mutex lock;
    int fd;             /* under lock; -1: closed. Constant as long as it is not sealed */
    uint32_t fd_users;  /* under lock; those inside a read, write or flush */
    bool fd_writable;   /* under lock */
    bool held_open;     /* under lock; the name is gone: the descriptor cannot be had again */
    uint8_t *write_map; /* mmap engine only; under lock, read by the engine that asked for it */
    /* Of the map for writing, as write_map. The file is on DAX and the kernel has promised
     * (MAP_SYNC) that what it knows of the file's blocks is durable before a store meets them:
     * stores are durable by os->persist. Anywhere else they are by clg_segment_flush only. */
    bool write_synced;

    /* Among those whose descriptor their set keeps open. Written under the set's lock, read
     * without: clg_segment_set_keep_open says why relaxed is enough. */
    _Atomic uint32_t kept_open;

    uint64_t file_bytes; /* real length when opened */
};

/* A record that verifies, but was cut by the session that began there. */
static inline bool clg_segment_is_ghost(const struct clg_segment *segment, uint64_t position,
                                        const struct clg_record_header *header)
{
    return header->epoch < segment->session_epoch && position >= segment->session_from &&
           !clg_record_is_filler(header->kind);
}

/* The file ended before its stated size when it was opened: pread only. */
static inline bool clg_segment_is_short(const struct clg_segment *segment)
{
    return segment->file_bytes < segment->bytes;
}

/* What opening found. A segment is handed out for those up to CLG_SEGMENT_SHORT. */
enum clg_segment_state {
    CLG_SEGMENT_GOOD,
    CLG_SEGMENT_ONE_COPY,   /* one header copy is bad, old or not for here: the other was used */
    CLG_SEGMENT_LONG,       /* bytes behind the stated size: ignored */
    CLG_SEGMENT_SHORT,      /* fewer bytes than stated: pread only, no map, no writes */
    CLG_SEGMENT_EMPTY,      /* both header pages are zero, or the file ends before them */
    CLG_SEGMENT_NO_HEADER,  /* both copies fail their checks */
    CLG_SEGMENT_DISAGREE,   /* both verify and differ, and neither is the newer one */
    CLG_SEGMENT_MISNAMED,   /* the header is intact and of another position */
    CLG_SEGMENT_OLD,        /* its successor names another one; found by recovery */
    CLG_SEGMENT_FOREIGN,    /* of another store */
    CLG_SEGMENT_NEWER,      /* written by a newer version */
    CLG_SEGMENT_UNREADABLE, /* EIO on both header pages */
    CLG_SEGMENT_NO_FILE,    /* no such name */
    CLG_SEGMENT_ODD,        /* a directory, link or pipe has its name: not ours, never touched */
    CLG_SEGMENT_LINKED,     /* the file has a second name: a write would change what that one is */
    CLG_SEGMENT_NOT_OPENED  /* the open itself failed: error says why */
};

/* Words for a state: "one header copy damaged". Static. */
const char *clg_segment_state_text(enum clg_segment_state state);

/*
 * Opens log/<base>.log by pread only. 0 with GOOD, ONE_COPY, LONG and SHORT: *out has one
 * reference. Otherwise a code: ENOTFOUND, EDAMAGED, EFOREIGN, EVERSION, EIO, EACCESS, ELIMIT,
 * ENOMEM. *state is set in every case. A footer that verifies makes it sealed; one that does not
 * is found by clg_segment_read_footer.
 */
CLG_MUST_CHECK int clg_segment_open(const struct clg_segment_dir *dir, uint64_t base, bool writable,
                                    struct clg_segment **out, enum clg_segment_state *state,
                                    struct commitlog_error *err);

/* The same for a file both of whose headers are gone, with a header put together from the
 * neighbours (the successor names its predecessor's salt). Nothing is written. */
CLG_MUST_CHECK int clg_segment_open_as(const struct clg_segment_dir *dir,
                                       const struct clg_segment_header *header, bool writable,
                                       struct clg_segment **out, enum clg_segment_state *state,
                                       struct commitlog_error *err);

/* Writes both header copies, one after the other with a flush between: at any moment one of them
 * is whole. For ONE_COPY and after clg_segment_open_as. */
CLG_MUST_CHECK int clg_segment_repair_header(struct clg_segment *segment,
                                             struct commitlog_error *err);

/* A struct around an open descriptor (taken over on success); for segment_create.c. */
CLG_MUST_CHECK int clg_segment_wrap_fd(const struct clg_segment_dir *dir,
                                       const struct clg_segment_header *header, int fd,
                                       bool writable, struct clg_segment **out,
                                       struct commitlog_error *err);

void clg_segment_ref(struct clg_segment *segment);
/* NULL is fine. The last one unmaps, closes and frees. */
void clg_segment_unref(struct clg_segment *segment);

uint32_t clg_segment_flags(const struct clg_segment *segment); /* acquire */
static inline bool clg_segment_holds(const struct clg_segment *segment, uint64_t position)
{
    return position >= segment->base && position - segment->base < segment->bytes;
}

/* Opened for reading only so far: get a descriptor for writing. Before any other thread uses it. */
CLG_MUST_CHECK int clg_segment_make_writable(struct clg_segment *segment,
                                             struct commitlog_error *err);

/* The whole file, for reading; *out is the byte at `base`. EDAMAGED for a short file. */
CLG_MUST_CHECK int clg_segment_map(struct clg_segment *segment, const uint8_t **out,
                                   struct commitlog_error *err);
/* The whole file, for writing, not inherited by fork; mmap engine. Gone with
 * clg_segment_unmap_write or the last reference. */
CLG_MUST_CHECK int clg_segment_map_write(struct clg_segment *segment, uint8_t **out,
                                         struct commitlog_error *err);
void clg_segment_unmap_write(struct clg_segment *segment);

/* Of one that could not be reserved when it was opened: once more, where the file system promises
 * blocks. 0: they are, or it does not. ENOSPC. */
CLG_MUST_CHECK int clg_segment_reserve(struct clg_segment *segment, struct commitlog_error *err);
/* All of [position, position + size) or an error: EIO, EDAMAGED (file ends before), EREVOKED (the
 * name is gone and nobody kept the descriptor), ELIMIT. Opens the file again if it was idle. */
CLG_MUST_CHECK int clg_segment_pread(struct clg_segment *segment, void *buf, size_t size,
                                     uint64_t position, struct commitlog_error *err);
/* Asks the device itself, not the cache, for the header that was read when the segment was opened:
 * 0 if a copy of it still reads, or a negative errno. */
CLG_MUST_CHECK int clg_segment_ask_device(struct clg_segment *segment);
/* As clg_segment_pread, the answer of the os table, no text: 0 or a negative errno. */
CLG_MUST_CHECK int clg_segment_pread_raw(struct clg_segment *segment, void *buf, size_t size,
                                         uint64_t position);
/* The first position at or behind `position` at which the file system cannot promise zeros, at the
 * most the end of the file. */
uint64_t clg_segment_next_data(struct clg_segment *segment, uint64_t position);
/* Behind [from, result) nothing lies before `to`: the file system promises zeros. To be asked
 * before any of it is read, because what the kernel then reads ahead of it, of nothing but reserved
 * blocks, counts as data from that moment on, so that each piece of an empty rest would lead to the
 * next. */
uint64_t clg_segment_data_limit(struct clg_segment *segment, uint64_t from, uint64_t to);
/* As much as there is before a failure or the end of the file: bytes read, or a negative errno when
 * not one could be. 0: the file ends here. */
CLG_MUST_CHECK int64_t clg_segment_pread_some(struct clg_segment *segment, void *buf, size_t size,
                                              uint64_t position);
/* All or an error. Only with a writable descriptor. The bytes are not durable yet. */
CLG_MUST_CHECK int clg_segment_pwrite(struct clg_segment *segment, const void *buf, size_t size,
                                      uint64_t position, struct commitlog_error *err);
/* fdatasync through the one descriptor; safe beside sealing and clg_segment_close_idle, which a
 * bare fdatasync of `fd` is not. After a failure nothing may be flushed again: latch. */
CLG_MUST_CHECK int clg_segment_flush(struct clg_segment *segment, struct commitlog_error *err);
/* Closes the descriptor of a sealed segment that nobody is reading; true if one was closed. */
bool clg_segment_close_idle(struct clg_segment *segment);

/* The footer page, then fdatasync, then SEALED. Everything in [data_start, data_end) must be
 * durable before the call: the footer is what recovery believes. */
CLG_MUST_CHECK int clg_segment_write_footer(struct clg_segment *segment,
                                            const struct clg_segment_footer *footer,
                                            struct commitlog_error *err);
/* Reads it from the file: 0, ENOTFOUND (page is zero), EDAMAGED, EIO. Does not set SEALED. */
CLG_MUST_CHECK int clg_segment_read_footer(struct clg_segment *segment,
                                           struct clg_segment_footer *out,
                                           struct commitlog_error *err);
/* Takes over a footer that was read and believed: sets SEALED. */
void clg_segment_set_sealed(struct clg_segment *segment, const struct clg_segment_footer *footer);

/* Takes the name away and marks it UNLINKED. Oldest first, after `first` is durable in the
 * checkpoint; clg_segment_dir_sync after. Missing already is fine (a crash between unlink and sync
 * may bring names back, or not). Maps of holders stay. */
CLG_MUST_CHECK int clg_segment_unlink(struct clg_segment *segment, struct commitlog_error *err);
CLG_MUST_CHECK int clg_segment_dir_sync(const struct clg_segment_dir *dir,
                                        struct commitlog_error *err);

/* Debug builds assert what the comments above say. */
void clg_segment_invariants(const struct clg_segment *segment);

#endif
