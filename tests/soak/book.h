/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * book.h -- the oracle of the soak test: shared memory of the driver, which outlives every process
 * that is killed, and in which the writer notes what it was told and the readers look it up.
 *
 * Owns: for each queue ("lane") the last BOOK_SLOTS acknowledgements, found by queue offset; for
 *       each thread of the writer the serials of its last operation; the identity of the running
 *       writer and how far it has seen the log visible; where followers stand; heartbeats; counts.
 * Invariants: 1. a note is written after the call that it is about has returned; 2. a stamp that is
 *       offset + 1 belongs to a complete note; 3. `life` rises by one before each writer's first
 *       append, and with the serial of its thread it names a record once and for all; 4. nothing
 *       here comes from the library but receipts and positions, so nothing of it can repair it.
 * Threads: a lane's slot is written by the thread that was given the offset, and by the check after
 *       a crash, when nobody appends; read by everybody: stamp, copy, stamp again. The rest are
 *       atomics.
 */
#ifndef TESTS_SOAK_BOOK_H
#define TESTS_SOAK_BOOK_H

#include <stdatomic.h>

#include "../support/prog.h"
#include "ledger.h"

enum {
    BOOK_WIDE = 3,   /* topics with BOOK_QUEUES queues; the others have one */
    BOOK_QUEUES = 3, /* of a wide topic */
    BOOK_TOPICS = 12,
    BOOK_LANES = BOOK_WIDE * BOOK_QUEUES + BOOK_TOPICS - BOOK_WIDE,
    BOOK_SLOTS = 16384,
    BOOK_THREADS = 3,   /* of the writer, that append */
    BOOK_FOLLOWERS = 4, /* processes */
    BOOK_PROCESSES = 1 + BOOK_FOLLOWERS,
    BOOK_BEATS = BOOK_THREADS + 2 /* of one process: its threads, its main, its upkeep */
};

struct note {
    uint64_t position;
    uint64_t end;
    int64_t time_ns;
    uint32_t life;
    uint32_t serial;
    uint32_t bytes;
    uint32_t epoch;
    uint8_t thread;
    uint8_t level;
    uint8_t must; /* a recovery has kept it: it stays until retention takes it */
    uint8_t reserved[5];
};

struct slot {
    _Atomic uint64_t stamp; /* queue offset + 1; 0: empty, or being written */
    struct note note;
};

/* The last operation of a thread: what may be in the log without being acknowledged. */
struct operation {
    _Atomic uint64_t serials; /* first serial << 16 | how many */
    _Atomic uint32_t empty;   /* 1 + the topic of an append without a body, which names nobody */
};

enum book_count {
    BOOK_APPENDED,
    BOOK_ACKNOWLEDGED,
    BOOK_REFUSED,
    BOOK_READ,     /* by followers */
    BOOK_COMPARED, /* with a note, by followers */
    BOOK_PROBES,   /* look-ups of a known record by each way */
    BOOK_STRICT,   /* ends of a queue that were held against what the writer had seen visible */
    BOOK_CHECKED,  /* records compared after an open */
    BOOK_OPENS,    /* of writers */
    BOOK_FOLLOWED, /* opens of followers */
    BOOK_RETAINED, /* segments */
    BOOK_BYTES,    /* of bodies appended */
    BOOK_EXCUSED,  /* probes and ends that proved nothing: retention, a writer that died */
    BOOK_COUNTS
};

struct book {
    uint64_t seed;
    struct ledger *ledger;    /* what the library decides itself: ledger.h */
    _Atomic uint32_t life;    /* of the last writer that appended */
    _Atomic uint32_t alive;   /* the same while it runs, 0 as soon as it is to be killed */
    _Atomic uint32_t private; /* its live area is private: level none dies with it */
    _Atomic uint32_t epoch;   /* of the last writer that has opened the store */
    _Atomic uint32_t told;    /* the last epoch that a receipt named */
    _Atomic uint32_t bare;    /* CHECKPOINT is gone since that writer */
    _Atomic uint32_t clean;   /* it has closed the store, and nobody has touched it since */
    _Atomic uint32_t ask_close;
    _Atomic uint64_t first;     /* the first position of the log, as the writer has last seen it */
    _Atomic uint64_t published; /* as the writer has seen them: readers must, too */
    _Atomic uint64_t durable;
    _Atomic uint64_t counts[BOOK_COUNTS];
    _Atomic uint64_t beats[BOOK_PROCESSES][BOOK_BEATS];  /* 0: no such thread now */
    _Atomic uint64_t resume[BOOK_FOLLOWERS][BOOK_LANES]; /* next offset of a follower; 0: none */
    _Atomic uint64_t ends[BOOK_LANES];                   /* behind the highest offset noted */
    struct operation operations[BOOK_THREADS];
    struct slot lanes[BOOK_LANES][BOOK_SLOTS];
};

/* Made by the driver before it forks; the others inherit it. */
struct book *book_make(uint64_t seed);

/* ---- topics and lanes ------------------------------------------------------------------------ */

uint32_t book_queues(uint32_t topic);
uint32_t book_lane(uint32_t topic, uint32_t queue);
void book_place(uint32_t lane, uint32_t *out_topic, uint32_t *out_queue);
size_t book_name(uint32_t topic, char out[32]);
/* The topic of that name, BOOK_TOPICS if it is none of ours. */
uint32_t book_topic(const char *name);

/* ---- notes ----------------------------------------------------------------------------------- */

void book_note(struct book *book, uint32_t lane, uint64_t offset, const struct note *note);
void book_forget(struct book *book, uint32_t lane, uint64_t offset);
/* Its record must be there from now on. The note is never away meanwhile: who checks may be killed
 * at any moment. */
void book_keep(struct book *book, uint32_t lane, uint64_t offset);
/* False if there is no note of this offset (any more). */
bool book_find(const struct book *book, uint32_t lane, uint64_t offset, struct note *out);
/* The slot of another offset, a later one, has taken this one's place. */
bool book_overtaken(const struct book *book, uint32_t lane, uint64_t offset);
/* An offset in [from, to) that was acknowledged for a record that begins at or behind `first` and
 * ends at or before `visible`; false if there is none. */
bool book_missed(const struct book *book, uint32_t lane, uint64_t from, uint64_t to, uint64_t first,
                 uint64_t visible, uint64_t *out_offset);

/* ---- the writer ------------------------------------------------------------------------------ */

void book_begin(struct book *book, uint32_t thread, uint32_t serial, uint32_t count,
                uint32_t empty_topic);
/* Whether the serial is one of the thread's last operation. */
bool book_in_flight(const struct book *book, uint32_t thread, uint32_t serial);
/* Whether the thread has begun with this serial in the life of now. */
bool book_begun(const struct book *book, uint32_t thread, uint32_t serial);
bool book_empty_in_flight(const struct book *book, uint32_t topic);

void book_count(struct book *book, enum book_count which, uint64_t more);
uint64_t book_counted(const struct book *book, enum book_count which);
void book_beat(struct book *book, uint32_t process, uint32_t thread);
/* The thread has ended, or waits for what may take for ever. */
void book_rest(struct book *book, uint32_t process, uint32_t thread);
void book_raise(_Atomic uint64_t *place, uint64_t value);

#endif
