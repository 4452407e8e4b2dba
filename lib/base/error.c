/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.c -- the table of error codes, and the text of an error on its way up. See error.h.
 *
 * Invariants: the table has every code of commitlog.h once, in the order of the header (tested);
 *       its texts say what the program should do or know, not only what happened.
 * Threads and locks: constant data only.
 * Happy path: fill below, wrap on the way up.
 * Failure modes: a message that does not fit is cut, at a whole UTF-8 character: what was put in
 *       front of it down to ERROR_OUTER_BYTES, and then its end.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"

enum { ERROR_OUTER_BYTES = 64 };

struct error_entry {
    int32_t code;
    const char *name;
    const char *text;
};

#define ERROR_ENTRY(code, text)                                                                    \
    {                                                                                              \
        code, #code, text                                                                          \
    }

static const struct error_entry error_table[] = {
    ERROR_ENTRY(COMMITLOG_OK, "success"),
    ERROR_ENTRY(COMMITLOG_EINVAL, "an argument is out of range"),
    ERROR_ENTRY(COMMITLOG_EMISUSE, "not allowed in this state or mode"),
    ERROR_ENTRY(COMMITLOG_ECLOSED, "the store of this handle was closed"),
    ERROR_ENTRY(COMMITLOG_EBUSY, "something else holds what is needed"),
    ERROR_ENTRY(COMMITLOG_EFORK, "the handle belongs to the parent process"),
    ERROR_ENTRY(COMMITLOG_ETOOBIG, "larger than the stated maximum"),
    ERROR_ENTRY(COMMITLOG_EUNSUPPORTED, "this build, file system or record cannot do that"),
    ERROR_ENTRY(COMMITLOG_EEXIST, "it is there already, or differs"),
    ERROR_ENTRY(COMMITLOG_ENOMEM, "out of memory"),
    ERROR_ENTRY(COMMITLOG_EIO, "input/output error"),
    ERROR_ENTRY(COMMITLOG_ENOSPC, "no space left on the disk or in the quota"),
    ERROR_ENTRY(COMMITLOG_EACCESS, "permission denied or read-only file system"),
    ERROR_ENTRY(COMMITLOG_ELOCKED, "another writer has the store open"),
    ERROR_ENTRY(COMMITLOG_ELIMIT, "a limit of the process is reached"),
    ERROR_ENTRY(COMMITLOG_ENOTDIR, "a file or a symbolic link where a directory is needed"),
    ERROR_ENTRY(COMMITLOG_EDAMAGED, "stored data fails its check"),
    ERROR_ENTRY(COMMITLOG_EFORMAT, "not a commitlog store or file"),
    ERROR_ENTRY(COMMITLOG_EVERSION, "written by a newer version"),
    ERROR_ENTRY(COMMITLOG_EUNRECOVERED, "not proven durable, and no running writer says more"),
    ERROR_ENTRY(COMMITLOG_EFOREIGN, "a file of another store"),
    ERROR_ENTRY(COMMITLOG_ENOTFOUND, "not found"),
    ERROR_ENTRY(COMMITLOG_EAGAIN, "not now, try again"),
    ERROR_ENTRY(COMMITLOG_ETIMEDOUT, "the time given was not enough"),
    ERROR_ENTRY(COMMITLOG_EEND, "at the end: nothing there yet"),
    ERROR_ENTRY(COMMITLOG_ETOOSMALL, "before the first record that is kept"),
    ERROR_ENTRY(COMMITLOG_EBEYOND, "beyond the end"),
    ERROR_ENTRY(COMMITLOG_EROLLEDBACK, "recovery cut what was read before"),
    ERROR_ENTRY(COMMITLOG_EREVOKED, "retention overrode the lease"),
    ERROR_ENTRY(COMMITLOG_EINTERRUPTED, "interrupted or cancelled by the program"),
    ERROR_ENTRY(COMMITLOG_EHOLE, "a hole: an aborted append, or what salvage made of damage"),
    ERROR_ENTRY(COMMITLOG_EEXPIRED, "a reference whose original is gone"),
    ERROR_ENTRY(COMMITLOG_EFENCED, "a newer epoch has begun: this one is shut out"),
    ERROR_ENTRY(COMMITLOG_EGAP, "the producer's record before this one is missing"),
    ERROR_ENTRY(COMMITLOG_EFULL, "too many bytes are not flushed or not consumed"),
    ERROR_ENTRY(COMMITLOG_EFAILED, "a write or flush failed before: close and open again"),
    ERROR_ENTRY(COMMITLOG_EUNKNOWN, "stored, but the level was not reached: it may appear later"),
    ERROR_ENTRY(COMMITLOG_EINTERNAL, "an internal invariant does not hold: please report it"),
};

#define ERROR_COUNT ((uint32_t)(sizeof(error_table) / sizeof(error_table[0])))

struct errno_entry {
    int number;
    const char *name;
    int32_t code;
};

#define ERRNO_ENTRY(number, code)                                                                  \
    {                                                                                              \
        number, #number, code                                                                      \
    }

static const struct errno_entry errno_table[] = {
    ERRNO_ENTRY(ENOSPC, COMMITLOG_ENOSPC),
    ERRNO_ENTRY(EDQUOT, COMMITLOG_ENOSPC),
    ERRNO_ENTRY(ENOMEM, COMMITLOG_ENOMEM),
    ERRNO_ENTRY(EROFS, COMMITLOG_EACCESS),
    ERRNO_ENTRY(EACCES, COMMITLOG_EACCESS),
    ERRNO_ENTRY(EPERM, COMMITLOG_EACCESS),
    ERRNO_ENTRY(EMFILE, COMMITLOG_ELIMIT),
    ERRNO_ENTRY(ENFILE, COMMITLOG_ELIMIT),
    ERRNO_ENTRY(EFBIG, COMMITLOG_ELIMIT),
    ERRNO_ENTRY(ENOTDIR, COMMITLOG_ENOTDIR),
    ERRNO_ENTRY(ELOOP, COMMITLOG_ENOTDIR),
    ERRNO_ENTRY(ENOENT, COMMITLOG_EIO),
    ERRNO_ENTRY(EEXIST, COMMITLOG_EIO),
    ERRNO_ENTRY(EIO, COMMITLOG_EIO),
    ERRNO_ENTRY(EAGAIN, COMMITLOG_EIO),
    ERRNO_ENTRY(EBADF, COMMITLOG_EIO),
    ERRNO_ENTRY(EBUSY, COMMITLOG_EIO),
    ERRNO_ENTRY(EINVAL, COMMITLOG_EIO),
    ERRNO_ENTRY(EISDIR, COMMITLOG_EIO),
    ERRNO_ENTRY(EMLINK, COMMITLOG_EIO),
    ERRNO_ENTRY(ENAMETOOLONG, COMMITLOG_EINVAL),
    ERRNO_ENTRY(ENODATA, COMMITLOG_EIO),
    ERRNO_ENTRY(ENODEV, COMMITLOG_EIO),
    ERRNO_ENTRY(ENOSYS, COMMITLOG_EUNSUPPORTED),
    ERRNO_ENTRY(ENOTEMPTY, COMMITLOG_EIO),
    ERRNO_ENTRY(ENXIO, COMMITLOG_EIO),
    ERRNO_ENTRY(EOPNOTSUPP, COMMITLOG_EUNSUPPORTED),
    ERRNO_ENTRY(ESTALE, COMMITLOG_EIO),
    ERRNO_ENTRY(ESRCH, COMMITLOG_EIO),
    ERRNO_ENTRY(ETIMEDOUT, COMMITLOG_EIO),
    ERRNO_ENTRY(EXDEV, COMMITLOG_EIO),
    ERRNO_ENTRY(EINTR, COMMITLOG_EIO),
    ERRNO_ENTRY(ENOTTY, COMMITLOG_EUNSUPPORTED),
    ERRNO_ENTRY(EOVERFLOW, COMMITLOG_EIO),
};

static const struct error_entry *error_find(int32_t code)
{
    for (uint32_t i = 0; i < ERROR_COUNT; i++) {
        if (error_table[i].code == code) {
            return &error_table[i];
        }
    }
    return NULL;
}

static const struct errno_entry *errno_find(int number)
{
    for (size_t i = 0; i < sizeof(errno_table) / sizeof(errno_table[0]); i++) {
        if (errno_table[i].number == number) {
            return &errno_table[i];
        }
    }
    return NULL;
}

/* A cut may have split a character: drop its beginning, so that the text stays valid UTF-8. */
static void error_trim(char *text)
{
    size_t end = strlen(text);
    size_t lead = end;
    while (lead > 0 && end - lead < 3 && ((uint8_t)text[lead - 1] & 0xc0u) == 0x80u) {
        lead--;
    }
    if (lead == 0) {
        return;
    }
    uint8_t first = (uint8_t)text[lead - 1];
    size_t need = first >= 0xf0u ? 4 : first >= 0xe0u ? 3 : first >= 0xc0u ? 2 : 1;
    if (need > end - lead + 1) {
        text[lead - 1] = '\0';
    }
}

/* Format into the message from its beginning; cut and terminated. */
CLG_PRINTF(2, 0)
static void error_format(struct commitlog_error *err, const char *fmt, va_list args)
{
    CLG_ASSERT(err != NULL);
    CLG_ASSERT(fmt != NULL);
    int n = vsnprintf(err->message, sizeof(err->message), fmt, args);
    if (n < 0) {
        err->message[0] = '\0';
    } else if ((size_t)n >= sizeof(err->message)) {
        error_trim(err->message);
    }
}

/* Append ": " and the text; cut and terminated. When both do not fit, what is there is cut first:
 * it ends in a path, which the caller knows; the text is the reason, which nobody else tells. */
static void error_append(struct commitlog_error *err, const char *text)
{
    CLG_ASSERT(err != NULL);
    CLG_ASSERT(text != NULL);
    size_t have = strlen(err->message);
    const char *between = have > 0 && text[0] != '\0' ? ": " : "";
    if (have > ERROR_OUTER_BYTES && have + strlen(between) + strlen(text) >= sizeof(err->message)) {
        err->message[ERROR_OUTER_BYTES] = '\0';
        error_trim(err->message);
        have = strlen(err->message);
        between = "...: ";
    }
    int n = snprintf(err->message + have, sizeof(err->message) - have, "%s%s", between, text);
    if (n < 0) {
        err->message[have] = '\0';
    } else if ((size_t)n >= sizeof(err->message) - have) {
        error_trim(err->message);
    }
}

int clg_fail(struct commitlog_error *err, int code, int os_errno, uint64_t position,
             const char *fmt, ...)
{
    CLG_ASSERT(code < 0);
    CLG_ASSERT(os_errno >= 0);
    if (err != NULL) {
        va_list args;
        err->code = code;
        err->os_errno = os_errno;
        err->position = position;
        va_start(args, fmt);
        error_format(err, fmt, args);
        va_end(args);
    }
    return code;
}

int clg_error_from_errno(int rc)
{
    CLG_ASSERT(rc < 0);
    const struct errno_entry *entry = errno_find(rc < 0 ? -rc : rc);
    return entry != NULL ? entry->code : COMMITLOG_EIO;
}

const char *clg_errno_name(int os_errno)
{
    CLG_ASSERT(os_errno > INT32_MIN);
    const struct errno_entry *entry = errno_find(os_errno < 0 ? -os_errno : os_errno);
    return entry != NULL ? entry->name : "errno";
}

int clg_fail_os(struct commitlog_error *err, int rc, uint64_t position, const char *fmt, ...)
{
    CLG_ASSERT(rc < 0);
    CLG_ASSERT(fmt != NULL);
    int code = clg_error_from_errno(rc);
    if (err != NULL) {
        va_list args;
        char reason[48];
        err->code = code;
        err->os_errno = -rc;
        err->position = position;
        va_start(args, fmt);
        error_format(err, fmt, args);
        va_end(args);
        (void)snprintf(reason, sizeof(reason), "%s (%d)", clg_errno_name(rc), -rc);
        error_append(err, reason);
    }
    return code;
}

void clg_wrap(struct commitlog_error *err, const char *fmt, ...)
{
    CLG_ASSERT(fmt != NULL);
    if (err == NULL) {
        return;
    }
    CLG_ASSERT(err->code < 0);
    struct commitlog_error inner = *err;
    inner.message[sizeof(inner.message) - 1] = '\0';
    va_list args;
    va_start(args, fmt);
    error_format(err, fmt, args);
    va_end(args);
    error_append(err, inner.message);
}

int clg_error_give(struct commitlog_error *err, int rc, const struct commitlog_error *own)
{
    if (rc != COMMITLOG_OK && err != NULL) {
        *err = *own;
    }
    return rc;
}

void clg_error_clear(struct commitlog_error *err)
{
    if (err != NULL) {
        err->code = COMMITLOG_OK;
        err->os_errno = 0;
        err->position = CLG_NO_POSITION;
        err->message[0] = '\0';
    }
}

const char *commitlog_error_name(int32_t code)
{
    const struct error_entry *entry = error_find(code);
    return entry != NULL ? entry->name : "not a commitlog error code";
}

const char *commitlog_error_text(int32_t code)
{
    const struct error_entry *entry = error_find(code);
    return entry != NULL ? entry->text : "not a commitlog error code";
}

uint32_t commitlog_error_count(void)
{
    return ERROR_COUNT;
}

int32_t commitlog_error_at(uint32_t index)
{
    return index < ERROR_COUNT ? error_table[index].code : COMMITLOG_EINVAL;
}
