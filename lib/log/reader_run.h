/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader_run.h -- records of one segment, one after another, each checked in line.
 *
 * What clg_reader_get looks up for every record (the bounds of the log, its segment, whether it is
 * only staged, where its bytes are) holds for all of a segment: clg_reader_run looks it up once.
 * What it checks of the record itself is checked here too, in the form for one that an index
 * vouches for (reader_check in reader.c), and false decides nothing: such a record is
 * clg_reader_get's, which finds out what it is and says so.
 *
 * Invariants: 1. as reader.h; 2. a run is used inside the call that made it, while its reader has
 *       the segment pinned; 3. its bounds were right when it was made and are from then on at worst
 *       too narrow, but for `first`: retention may pass it meanwhile, as it may a moment after any
 *       read, and the pin keeps the bytes.
 * Threads and locks: as reader.h.
 * Failure modes: none.
 */
#ifndef CLG_LOG_READER_RUN_H
#define CLG_LOG_READER_RUN_H

#include <string.h>

#include "base/bytes.h"
#include "log/reader.h"

struct clg_reader_run {
    const uint8_t *map; /* the byte at `base` */
    uint64_t base;
    uint64_t salt;
    uint64_t from; /* a record may begin in [from, to); none when they are equal */
    uint64_t to;
    uint64_t end;          /* and not reach beyond this */
    uint64_t session_from; /* as clg_segment_is_ghost has it */
    uint32_t session_epoch;
};

/* Of the segment that was pinned last. `limit` as for clg_reader_get. */
void clg_reader_run(const struct clg_reader *reader, struct clg_log *log, uint64_t limit,
                    struct clg_reader_run *out);

/* True: *header is the copy of a header that says what the index does, its parts fit in the record,
 * and *record is where it is. Nothing else of it is verified yet. */
static inline bool clg_reader_run_header(const struct clg_reader_run *run, uint64_t position,
                                         const struct clg_reader_expected *expected,
                                         struct clg_record_header *header, const uint8_t **record)
{
    if (position < run->from || position >= run->to || expected->size < CLG_RECORD_MIN ||
        expected->size > run->end - position || !clg_is_aligned(position, CLG_RECORD_ALIGN)) {
        return false;
    }
    uint8_t bytes[CLG_RECORD_HEADER_BYTES];
    *record = run->map + (position - run->base);
    memcpy(bytes, *record, sizeof(bytes));
    clg_record_decode(bytes, header);
    return header->word == clg_record_word(expected->size, CLG_RECORD_COMMITTED) &&
           header->header_check == expected->header_check &&
           (header->epoch >= run->session_epoch || position < run->session_from) &&
           CLG_RECORD_HEADER_BYTES + header->attribute_bytes +
                   (header->flags & CLG_RECORD_PADDING_MASK) <=
               expected->size &&
           !clg_record_is_filler(header->kind);
}

/* Behind clg_reader_run_header: all of the record holds. */
static inline bool clg_reader_run_verify(const struct clg_reader_run *run, uint64_t position,
                                         const struct clg_record_header *header,
                                         const uint8_t *record)
{
    return clg_record_verify_body(header, record, clg_record_seed(run->salt, position));
}

#endif
