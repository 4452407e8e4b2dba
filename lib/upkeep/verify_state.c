/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify_state.c -- the .state files, each by itself: header, length, checks. See verify.h.
 *
 * Whether the state is that of the log only a fold can tell, and an open compares it with the
 * segments before it is used; a file that says what it never said is found here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/state_file.h"
#include "format/view_header.h"
#include "segment/segment_name.h"
#include "upkeep/verify_internal.h"

struct verify_states {
    struct clg_verify *v;
    uint64_t first;
    int rc;
};

static int verify_state_say(struct verify_states *s, uint64_t position, const char *reason)
{
    char text[100];
    CLG_ASSERT(reason != NULL);
    (void)snprintf(text, sizeof(text), "view/%020" PRIu64 ".state: %s", position, reason);
    return clg_verify_say(s->v, clg_min_u64(s->first, position), position, text);
}

/* What a later version has written is made again by this one, and is no damage. */
static int verify_state_refused(struct verify_states *s, uint64_t position, int rc)
{
    char text[100];
    if (rc != COMMITLOG_EVERSION) {
        return verify_state_say(s, position, "fails its check");
    }
    (void)snprintf(text, sizeof(text),
                   "view/%020" PRIu64 ".state: of a later version, not looked at", position);
    return clg_verify_note(s->v, text);
}

/* The length that the header gives, checked by nobody yet: before room is made for all of it. */
static bool verify_state_length(const struct commitlog_os *os, int fd, uint64_t bytes)
{
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    CLG_ASSERT(fd >= 0);
    if (bytes < sizeof(header) || clg_os_pread_all(os, fd, header, sizeof(header), 0) < 0) {
        return false;
    }
    return clg_load_le64(header + CLG_STATE_AT_BYTES) == bytes - sizeof(header);
}

static int verify_state_read(struct verify_states *s, int fd, uint64_t position, uint64_t size)
{
    const struct commitlog_os *os = s->v->dir->os;
    struct clg_state_file state;
    if (!verify_state_length(os, fd, size)) {
        return verify_state_say(s, position, "is not as long as its header says");
    }
    if (!clg_state_file_can_be(size, position > s->first ? position - s->first : 0)) {
        return verify_state_say(s, position, "is larger than what its log can say");
    }
    uint8_t *bytes = os->alloc(os, size);
    if (bytes == NULL) {
        return clg_fail(s->v->err, COMMITLOG_ENOMEM, ENOMEM, position,
                        "not enough memory to verify view/%020" PRIu64 ".state", position);
    }
    int rc = clg_os_pread_all(os, fd, bytes, size, 0);
    if (rc < 0) {
        rc = verify_state_say(s, position, "cannot be read");
    } else {
        rc = clg_state_file_open(&state, bytes, size, s->v->dir->segment_dir.uuid);
        rc = rc == 0 && state.info.position != position ? COMMITLOG_EDAMAGED : rc;
        rc = rc == 0 ? 0 : verify_state_refused(s, position, rc);
    }
    os->free(os, bytes);
    s->v->counts->view_files++;
    return rc != 0 ? rc : clg_verify_tick(s->v, size);
}

static int verify_state_one(struct verify_states *s, const char *name, uint64_t position)
{
    const struct commitlog_os *os = s->v->dir->os;
    struct clg_os_stat stat;
    int rc = os->stat_at(os, s->v->dir->view_fd, name, &stat);
    if (rc == -ENOENT) {
        return 0; /* beside a writer, which keeps the newest */
    }
    if (rc >= 0 && stat.type != CLG_OS_FILE) {
        return verify_state_say(s, position, "is not a file: move it away");
    }
    if (rc < 0 || stat.size_bytes == 0) {
        return verify_state_say(s, position, "is not a file with something in it");
    }
    int fd = os->open_at(os, s->v->dir->view_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : verify_state_say(s, position, "cannot be opened");
    }
    rc = verify_state_read(s, fd, position, stat.size_bytes);
    clg_os_close_fd(os, &fd);
    CLG_ASSERT(rc <= 0);
    return rc;
}

static int verify_state_name(void *ctx, const char *name, enum clg_os_type type)
{
    struct verify_states *s = ctx;
    struct clg_segment_name parsed;
    (void)type; /* what is no file is named, too */
    CLG_ASSERT(s->rc == 0);
    if (clg_segment_name_parse(name, &parsed) && parsed.kind == CLG_FILE_STATE &&
        !parsed.temporary) {
        s->rc = verify_state_one(s, name, parsed.position);
    }
    return s->rc != 0;
}

int clg_verify_states(struct clg_verify *v, uint64_t first)
{
    const struct commitlog_os *os = v->dir->os;
    struct verify_states s = {.v = v, .first = first};
    CLG_ASSERT(first >= CLG_SEGMENT_DATA_START);
    int rc = v->dir->view_fd >= 0 ? os->list_dir(os, v->dir->view_fd, verify_state_name, &s) : 0;
    CLG_ASSERT(s.rc <= 0);
    if (s.rc == 0 && rc < 0) {
        return clg_fail_os(v->err, rc, CLG_NO_POSITION, "list view/");
    }
    return s.rc;
}
