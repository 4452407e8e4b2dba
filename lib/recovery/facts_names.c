/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_names.c -- the names in a store's directory, log/ and view/. See facts.h.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"

struct facts_listing {
    struct clg_facts *facts;
    enum clg_fact_where where;
    struct commitlog_error *err;
    int rc;
};

static int facts_add_name(struct facts_listing *listing, const char *name)
{
    struct clg_facts *facts = listing->facts;
    CLG_ASSERT(name != NULL);
    if (strlen(name) >= CLG_FACTS_NAME_MAX) {
        return 0; /* no name that we make is that long */
    }
    void *items = facts->tmp_names;
    listing->rc = clg_facts_grow(facts->os, &items, facts->tmp_count, &facts->tmp_room,
                                 sizeof(*facts->tmp_names), listing->err);
    facts->tmp_names = items;
    if (listing->rc == 0) {
        struct clg_fact_name *item = &facts->tmp_names[facts->tmp_count++];
        memcpy(item->name, name, strlen(name) + 1);
        item->where = listing->where;
    }
    return listing->rc != 0;
}

static int facts_add_segment(struct facts_listing *listing, uint64_t base)
{
    struct clg_facts *facts = listing->facts;
    void *items = facts->segments;
    listing->rc = clg_facts_grow(facts->os, &items, facts->segment_count, &facts->segment_room,
                                 sizeof(*facts->segments), listing->err);
    facts->segments = items;
    if (listing->rc != 0) {
        return 1;
    }
    size_t at = facts->segment_count;
    CLG_ASSERT(at < facts->segment_room);
    /* Directories are often listed in order: insertion is cheap then. */
    while (at > 0 && facts->segments[at - 1].base > base) {
        facts->segments[at] = facts->segments[at - 1];
        at--;
    }
    memset(&facts->segments[at], 0, sizeof(facts->segments[at]));
    facts->segments[at].base = base;
    facts->segment_count++;
    return 0;
}

/* The segment with this base, among those that are listed; or NULL. */
static struct clg_fact_segment *facts_find(struct clg_facts *facts, uint64_t base)
{
    size_t low = 0;
    size_t high = facts->segment_count;
    CLG_ASSERT(high <= facts->segment_room);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (facts->segments[middle].base < base) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CLG_ASSERT(low <= facts->segment_count);
    return low < facts->segment_count && facts->segments[low].base == base ? &facts->segments[low]
                                                                           : NULL;
}

static int facts_list_name(void *ctx, const char *name, enum clg_os_type type)
{
    struct facts_listing *listing = ctx;
    struct clg_segment_name parsed;
    CLG_ASSERT(listing->rc == 0);
    CLG_ASSERT(name != NULL);
    if (listing->where == CLG_WHERE_DIR) {
        return strcmp(name, "CHECKPOINT.tmp") == 0 && type == CLG_OS_FILE
                   ? facts_add_name(listing, name)
                   : 0;
    }
    if (!clg_segment_name_parse(name, &parsed)) {
        listing->facts->foreign_names += listing->where == CLG_WHERE_LOG;
        return 0;
    }
    if (parsed.temporary) {
        return type == CLG_OS_FILE ? facts_add_name(listing, name) : 0;
    }
    if (listing->where == CLG_WHERE_LOG) {
        if (parsed.kind == CLG_FILE_LOG && parsed.position % CLG_SEGMENT_ALIGN == 0) {
            return facts_add_segment(listing, parsed.position);
        }
        listing->facts->is_new = false; /* no segment begins there, but it may have been one */
        listing->facts->foreign_names++;
        return 0;
    }
    listing->facts->is_new = false; /* something derived: there was a store */
    if (parsed.kind == CLG_FILE_STATE) {
        if (listing->facts->state_count < CLG_FACTS_STATES) {
            listing->facts->states[listing->facts->state_count++] = parsed.position;
        }
        return 0;
    }
    struct clg_fact_segment *fact = facts_find(listing->facts, parsed.position);
    if (fact != NULL) {
        fact->views |= UINT32_C(1) << parsed.kind;
    }
    return 0;
}

static int facts_list(struct clg_facts *facts, int fd, enum clg_fact_where where, const char *what,
                      struct commitlog_error *err)
{
    struct facts_listing listing = {facts, where, err, 0};
    CLG_ASSERT(what != NULL);
    if (fd < 0) {
        return 0;
    }
    int rc = facts->os->list_dir(facts->os, fd, facts_list_name, &listing);
    CLG_ASSERT(listing.rc <= 0);
    if (listing.rc != 0) {
        return listing.rc;
    }
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "list %s", what) : 0;
}

/* A name that is made while a directory is listed may be missing from the list although one that
 * was made after it is in it. Beside a writer the list is made twice: what lies below the last
 * segment of the first one was there before the second began. What lies above is the writer's
 * progress. */
static int facts_list_log(struct clg_facts *facts, const struct clg_store_dir *dir,
                          struct commitlog_error *err)
{
    size_t names = facts->tmp_count;
    int rc = facts_list(facts, dir->log_fd, CLG_WHERE_LOG, "log/", err);
    if (rc != 0 || !facts->writer_live || facts->segment_count == 0) {
        return rc;
    }
    uint64_t last = facts->segments[facts->segment_count - 1].base;
    facts->segment_count = 0;
    facts->foreign_names = 0;
    facts->tmp_count = names;
    rc = facts_list(facts, dir->log_fd, CLG_WHERE_LOG, "log/", err);
    while (facts->segment_count > 0 && facts->segments[facts->segment_count - 1].base > last) {
        facts->segment_count--; /* nothing is open yet */
    }
    return rc;
}

int clg_facts_list(struct clg_facts *facts, const struct clg_store_dir *dir,
                   struct commitlog_error *err)
{
    CLG_ASSERT(dir->dir_fd >= 0);
    CLG_ASSERT(facts->is_new);
    int rc = facts_list(facts, dir->dir_fd, CLG_WHERE_DIR, "the directory", err);
    if (rc == 0) {
        rc = facts_list_log(facts, dir, err);
    }
    return rc == 0 ? facts_list(facts, dir->view_fd, CLG_WHERE_VIEW, "view/", err) : rc;
}
