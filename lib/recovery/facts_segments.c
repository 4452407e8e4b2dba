/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_segments.c -- the files of segments: headers, footers, and what neighbours know of a header
 * that is gone. See facts.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/topic_record.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"

#define FACTS_READ_BYTES (64u * 1024u)

/* A file without a header: how long is it, and is there anything in it? */
static int facts_raw_file(struct clg_facts *facts, const struct clg_store_dir *dir,
                          struct clg_fact_segment *fact, struct commitlog_error *err)
{
    const struct commitlog_os *os = facts->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, fact->base);
    CLG_ASSERT(fact->segment == NULL);
    struct clg_os_stat stat;
    int rc = os->stat_at(os, dir->log_fd, name, &stat);
    if (rc < 0 || stat.type != CLG_OS_FILE) {
        fact->nonzero = true; /* a link, a directory: never touched */
        return 0;
    }
    fact->file_bytes = stat.size_bytes;
    int fd = os->open_at(os, dir->log_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        fact->nonzero = true;
        fact->has_data = true;
        return 0;
    }
    uint8_t *buffer = os->alloc(os, FACTS_READ_BYTES);
    if (buffer == NULL) {
        clg_os_close_fd(os, &fd);
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, fact->base, "recovery");
    }
    for (uint64_t at = 0; at < stat.size_bytes && !fact->has_data;) {
        if (at > 0) { /* a file may be nothing but a hole of any size */
            int64_t data = os->next_data(os, fd, at);
            at = data < 0 ? at : (uint64_t)data;
        }
        if (at >= stat.size_bytes) {
            break;
        }
        size_t bytes = at == 0 ? CLG_SEGMENT_DATA_START : FACTS_READ_BYTES;
        int64_t n = os->pread(os, fd, buffer, bytes, at);
        bool zero = n >= 0 && clg_is_zero(buffer, (size_t)n);
        fact->nonzero = fact->nonzero || !zero;
        fact->has_data = !zero && (n < 0 || at > 0);
        if (n <= 0) {
            break;
        }
        at += (uint64_t)n;
    }
    os->free(os, buffer);
    clg_os_close_fd(os, &fd);
    CLG_ASSERT(fd == -1);
    return 0;
}

/* What its first record, an epoch's start or the repetition of one, says of where a session began.
 */
static void facts_read_session(struct clg_fact_segment *fact)
{
    uint8_t bytes[CLG_RECORD_HEADER_BYTES + CLG_EPOCH_BODY_BYTES];
    const struct clg_segment *segment = fact->segment;
    struct clg_record_header header;
    struct clg_epoch_start start;
    CLG_STATIC_ASSERT(sizeof(bytes) % CLG_RECORD_ALIGN == 0, "without padding");
    if (clg_segment_pread(fact->segment, bytes, sizeof(bytes), segment->data_start, NULL) != 0) {
        return;
    }
    clg_record_decode(bytes, &header);
    uint64_t seed = clg_record_seed(segment->salt, segment->data_start);
    if (header.word == clg_record_word(sizeof(bytes), CLG_RECORD_COMMITTED) &&
        header.kind == CLG_KIND_EPOCH && header.attribute_bytes == 0 &&
        clg_record_check_bounds(&header, segment->bytes) && clg_record_verify_header(bytes, seed) &&
        clg_record_verify_body(&header, bytes, seed) &&
        clg_epoch_start_decode(bytes + CLG_RECORD_HEADER_BYTES, CLG_EPOCH_BODY_BYTES, &start) ==
            COMMITLOG_OK) {
        fact->session_from = start.predecessor_end;
        fact->session_epoch = header.epoch;
    }
}

static int facts_open_one(struct clg_facts *facts, const struct clg_store_dir *dir,
                          struct clg_fact_segment *fact, bool writable, struct commitlog_error *err)
{
    struct commitlog_error why;
    clg_error_clear(&why);
    CLG_ASSERT(fact->segment == NULL);
    int rc = clg_segment_open(&dir->segment_dir, fact->base, writable, &fact->segment, &fact->state,
                              &why);
    fact->footer_code = COMMITLOG_ENOTFOUND;
    if (rc == 0) {
        fact->bytes = fact->segment->bytes;
        fact->file_bytes = fact->segment->file_bytes;
        facts_read_session(fact);
        if ((clg_segment_flags(fact->segment) & CLG_SEGMENT_SEALED) != 0) {
            fact->footer_code = 0;
            fact->footer_end = fact->segment->footer.end;
            clg_facts_witness(facts, fact->footer_end, CLG_WITNESS_FOOTER);
        } else if (fact->state != CLG_SEGMENT_SHORT) {
            struct clg_segment_footer footer;
            fact->footer_code = clg_segment_read_footer(fact->segment, &footer, NULL);
            if (fact->footer_code == 0) {
                /* A live writer has sealed it since it was opened: it counts as it was then. */
                fact->footer_code = COMMITLOG_ENOTFOUND;
            }
        }
        if (fact->segment->header.epoch > facts->max_epoch) {
            facts->max_epoch = fact->segment->header.epoch;
        }
        /* A prepared segment may promise more than the records that are left of its session. */
        if (fact->segment->header.first_time > facts->last_store_time) {
            facts->last_store_time = fact->segment->header.first_time;
        }
        return 0;
    }
    if (fact->state == CLG_SEGMENT_FOREIGN || fact->state == CLG_SEGMENT_NEWER ||
        fact->state == CLG_SEGMENT_NOT_OPENED || rc == COMMITLOG_ENOMEM) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    fact->segment = NULL;
    return facts_raw_file(facts, dir, fact, err);
}

/* A file that had this name before, put back by a copy or by a disk that did not write: the
 * successor names another salt, and is the younger of the two. */
static bool facts_is_old(const struct clg_facts *facts, size_t i)
{
    const struct clg_fact_segment *fact = &facts->segments[i];
    const struct clg_fact_segment *next = fact + 1;
    CLG_ASSERT(i < facts->segment_count);
    if (i + 1 == facts->segment_count || fact->segment == NULL || next->segment == NULL ||
        fact->base + fact->bytes != next->base) {
        return false;
    }
    const struct clg_segment_header *mine = &fact->segment->header;
    const struct clg_segment_header *after = &next->segment->header;
    return after->predecessor_salt != 0 && after->predecessor_salt != mine->salt &&
           (mine->epoch < after->epoch ||
            (mine->epoch == after->epoch && mine->created <= after->created));
}

/* What the neighbours know of a header that is gone: the successor names this one's salt. */
static void facts_rebuild(struct clg_facts *facts, const struct clg_store_dir *dir, size_t i,
                          bool writable)
{
    struct clg_fact_segment *fact = &facts->segments[i];
    CLG_ASSERT(fact->segment == NULL);
    if (i + 1 >= facts->segment_count || facts->segments[i + 1].segment == NULL ||
        (fact->state != CLG_SEGMENT_EMPTY && fact->state != CLG_SEGMENT_NO_HEADER &&
         fact->state != CLG_SEGMENT_OLD && fact->state != CLG_SEGMENT_UNREADABLE)) {
        return;
    }
    const struct clg_segment_header *next = &facts->segments[i + 1].segment->header;
    struct clg_segment_header header;
    memset(&header, 0, sizeof(header));
    header.base = fact->base;
    header.size = next->base - fact->base;
    if (!clg_segment_size_ok(header.size) ||
        next->predecessor_end != next->base - CLG_SEGMENT_FOOTER ||
        fact->file_bytes <= CLG_SEGMENT_DATA_START || /* a shorter one than stated has some of it */
        (i > 0 && facts->segments[i - 1].base + facts->segments[i - 1].bytes > fact->base)) {
        return;
    }
    header.salt = next->predecessor_salt;
    header.epoch = 1;
    header.algorithm = CLG_CHECK_XXH3_64;
    memcpy(header.uuid, facts->uuid, CLG_UUID_BYTES);
    if (i > 0 && facts->segments[i - 1].segment != NULL) {
        const struct clg_segment_header *prev = &facts->segments[i - 1].segment->header;
        header.predecessor_end = prev->base + prev->size - CLG_SEGMENT_FOOTER;
        header.predecessor_salt = prev->salt;
        header.first_time = prev->first_time;
        header.epoch = prev->epoch;
    }
    enum clg_segment_state state;
    if (clg_segment_open_as(&dir->segment_dir, &header, writable, &fact->segment, &state, NULL) !=
        0) {
        fact->segment = NULL;
        return;
    }
    fact->rebuilt = true;
    fact->cut = state == CLG_SEGMENT_SHORT;
    fact->bytes = header.size;
    facts_read_session(fact);
    struct clg_segment_footer footer;
    fact->footer_code =
        fact->cut ? COMMITLOG_ENOTFOUND : clg_segment_read_footer(fact->segment, &footer, NULL);
    if (fact->footer_code == 0) {
        fact->footer_end = footer.end;
        clg_facts_witness(facts, footer.end, CLG_WITNESS_FOOTER);
    }
    CLG_ASSERT(fact->segment->base == fact->base);
}

/* Headers that pass their checks, of which one goes beyond where the next begins: which of the two
 * files does not belong here, nobody can say but who put it there. */
static int facts_overlap(const struct clg_facts *facts, struct commitlog_error *err)
{
    const struct clg_fact_segment *before = NULL;
    CLG_ASSERT(facts->segment_count == 0 || facts->segments != NULL);
    for (size_t i = 0; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        if (fact->segment == NULL) {
            continue;
        }
        if (before != NULL && before->base + before->bytes > fact->base) {
            return clg_fail(err, COMMITLOG_EDAMAGED, 0, fact->base,
                            "segments %020" PRIu64 ".log (%" PRIu64 " bytes) and "
                            "%020" PRIu64 ".log overlap: move the wrong one out of log/",
                            before->base, before->bytes, fact->base);
        }
        before = fact;
    }
    return 0;
}

static int facts_open_all(struct clg_facts *facts, const struct clg_store_dir *dir,
                          const struct clg_facts_options *options, struct commitlog_error *err)
{
    CLG_ASSERT(facts->uuid_known);
    uint64_t sure = facts->have_checkpoint ? facts->checkpoint.checkpointed : 0;
    for (size_t i = 0; i < facts->segment_count; i++) {
        struct clg_fact_segment *fact = &facts->segments[i];
        bool last = i + 1 == facts->segment_count;
        /* Only what may have to be written: everything behind the checkpoint. */
        bool writable = !options->read_only && (last || facts->segments[i + 1].base > sure);
        int rc = facts_open_one(facts, dir, fact, writable, err);
        if (rc != 0) {
            return rc == COMMITLOG_EFOREIGN ? clg_facts_foreign(facts, dir, rc, err) : rc;
        }
        if (fact->segment == NULL) {
            uint64_t bytes = !last ? facts->segments[i + 1].base - fact->base
                                   : clg_align_down(fact->file_bytes, CLG_SEGMENT_ALIGN);
            /* No segment is smaller: one that ended where its data would begin, because its file or
             * the way to the next name is that short, would count as one below `first`. */
            fact->bytes = clg_max_u64(bytes, CLG_SEGMENT_MIN);
        } else if (!writable) {
            (void)clg_segment_close_idle(fact->segment);
        }
    }
    return 0;
}

int clg_facts_open_segments(struct clg_facts *facts, const struct clg_store_dir *dir,
                            const struct clg_facts_options *options, struct commitlog_error *err)
{
    uint64_t sure = facts->have_checkpoint ? facts->checkpoint.checkpointed : 0;
    int rc = facts_open_all(facts, dir, options, err);
    rc = rc == 0 ? facts_overlap(facts, err) : rc;
    for (size_t i = rc == 0 ? facts->segment_count : 0; i-- > 0;) {
        struct clg_fact_segment *fact = &facts->segments[i];
        if (facts_is_old(facts, i)) {
            clg_segment_unref(fact->segment);
            fact->segment = NULL;
            fact->state = CLG_SEGMENT_OLD;
            fact->footer_code = COMMITLOG_ENOTFOUND;
            fact->nonzero = true;
        }
        if (fact->segment == NULL) {
            facts_rebuild(facts, dir, i,
                          !options->read_only && (i + 1 == facts->segment_count ||
                                                  facts->segments[i + 1].base > sure));
        }
        const struct clg_fact_segment *next = fact + 1;
        if (i + 1 < facts->segment_count && fact->segment != NULL && next->segment != NULL &&
            fact->base + fact->bytes == next->base) {
            fact->segment->session_from = next->session_from;
            fact->segment->session_epoch = next->session_epoch;
        }
    }
    return rc;
}

bool clg_facts_is_stray(const struct clg_facts *facts, size_t index)
{
    CLG_ASSERT(index < facts->segment_count);
    size_t before = index;
    while (before > 0 && facts->segments[before - 1].segment == NULL) {
        before--;
    }
    const struct clg_fact_segment *good = before > 0 ? &facts->segments[before - 1] : NULL;
    return facts->segments[index].segment == NULL && good != NULL &&
           facts->segments[index].base < good->base + good->bytes;
}
