/*
 * reader.h -- records for whoever reads: verified, borrowed from a map or copied.
 *
 * Owns: between clg_reader_begin and the next one, a pin on every segment that a view points into
 *       and the memory of every copy.
 * Invariants: 1. a view is handed out only after the checks held (all of them with `verify`, the
 *       header's always; with `verify` and `expected` the body's and the index say of the header
 *       all that its own check would, see reader_check); 2. its pointers stay valid until
 *       clg_reader_begin, _end, a clg_reader_drop with no keep between or, after clg_reader_move,
 *       as long as the reader it was moved to; 3. headers are copied before they are checked, and
 *       only the copy is used.
 * Threads and locks: one thread at a time per reader; takes no lock of the log.
 * Failure modes: COMMITLOG_ETOOSMALL, _EBEYOND, _EDAMAGED, _EIO (copy mode), _ENOMEM, _ELIMIT.
 */
#ifndef CLG_LOG_READER_H
#define CLG_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "log/commit_log.h"
#include "log/record_view.h"

#define CLG_READER_PINS 16u

struct clg_reader_block; /* memory of copies, a list */

/* What an index says of a record. */
struct clg_reader_expected {
    uint32_t size;
    uint32_t header_check;
};

struct clg_reader {
    const struct commitlog_os *os;
    bool copies;   /* never points into a map */
    bool verifies; /* body checks too */
    bool random;   /* the caller's: of the next records nothing says that they follow the last */
    uint32_t pin_count;
    struct clg_segment *pins[CLG_READER_PINS];
    struct clg_reader_block *blocks; /* newest first */
    /* What the last keep found: all before it is handed out. */
    uint32_t kept_pins;
    bool has_spare; /* the one pin behind them is a drop's, and nothing points there */
    struct clg_reader_block *kept_block;
    uint64_t kept_used;
    uint8_t *lent; /* room for copies before blocks are asked for; NULL: none, or used up */
    uint64_t lent_bytes;
};

void clg_reader_init(struct clg_reader *reader, const struct commitlog_os *os, bool copies,
                     bool verifies);
/* A fresh reader's first copies go there, as far as they fit. It is not to be moved, nor begun
 * again while what was copied there is used. */
void clg_reader_lend(struct clg_reader *reader, void *memory, uint64_t bytes);
/* Gives up everything handed out before; keeps one block of memory. */
void clg_reader_begin(struct clg_reader *reader);
void clg_reader_end(struct clg_reader *reader);
/* What `from` has kept is `to`'s now; `from` is as after begin. `to` must be fresh. */
void clg_reader_move(struct clg_reader *from, struct clg_reader *to);

/* The record at `position`, which must lie in [first, limit). COMMITLOG_EAGAIN: more segments in
 * one batch than can be pinned; what was got so far is good. `expected` (NULL: nothing is known)
 * saves work and decides nothing: the caller compares. */
CLG_MUST_CHECK int clg_reader_get(struct clg_reader *reader, struct clg_log *log, uint64_t position,
                                  uint64_t limit, const struct clg_reader_expected *expected,
                                  struct clg_record_view *out, struct commitlog_error *err);
/* What was got so far is handed out. Without it a drop gives up all since the begin. */
void clg_reader_keep(struct clg_reader *reader);
/* Gives up what was got since the last keep, so that passing over records holds no more than one
 * segment and one block, however many they are. */
void clg_reader_drop(struct clg_reader *reader);
/* A hint: the record is about to be asked for. Never faults, never waits. */
void clg_reader_prefetch(const struct clg_reader *reader, uint64_t position, uint32_t size);
/* True if it holds a segment below `first`. */
bool clg_reader_reaches_below(const struct clg_reader *reader, uint64_t first);

#endif
