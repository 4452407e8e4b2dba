/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.c - pieces, sent by sendmsg(2) many at a time. See output.h.
 *
 * Happy path: copy and borrow, write, all gone in one call. Failure modes: no memory (failed; the
 * connection is closed), a slow reader (output_detach), a broken socket (-1).
 */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { CHUNK = 16384, IOV_AT_ONCE = 256, PIECES_FIRST = 16, PIECES_KEEP = 1024 };

struct holding *holding_of_lease(struct commitlog_lease *lease)
{
    struct holding *holding = malloc(sizeof *holding);
    if (holding == NULL) {
        commitlog_lease_release(lease);
        return NULL;
    }
    *holding = (struct holding){.refs = 1, .lease = lease};
    return holding;
}

void holding_release(struct holding *holding)
{
    if (--holding->refs == 0) {
        commitlog_lease_release(holding->lease);
        free(holding);
    }
}

static struct piece *output_at(const struct output *output, size_t index)
{
    return &output->pieces[output->first + index];
}

static void output_drop_first(struct output *output)
{
    holding_release(output_at(output, 0)->holding);
    output->first++;
    output->count--;
    if (output->count == 0) {
        output->first = 0;
        if (output->room > PIECES_KEEP) {
            free(output->pieces);
            output->pieces = NULL;
            output->room = 0;
        }
    }
}

void output_free(struct output *output)
{
    while (output->count > 0)
        output_drop_first(output);
    free(output->pieces);
    *output = (struct output){0};
}

/* A place for one more piece, its fields not set; NULL: no memory. */
static struct piece *output_push(struct output *output)
{
    if (output->failed)
        return NULL;
    if (output->first + output->count == output->room) {
        if (output->first > output->room / 2) {
            memmove(output->pieces, output->pieces + output->first,
                    output->count * sizeof *output->pieces);
            output->first = 0;
        } else {
            const size_t room = output->room == 0 ? PIECES_FIRST : output->room * 2;
            struct piece *pieces = realloc(output->pieces, room * sizeof *pieces);
            if (pieces == NULL) {
                output->failed = true;
                return NULL;
            }
            output->pieces = pieces;
            output->room = room;
        }
    }
    return output_at(output, output->count++);
}

static bool output_new_chunk(struct output *output, size_t bytes)
{
    const size_t room = bytes > CHUNK ? bytes : CHUNK;
    struct holding *holding = malloc(sizeof *holding + room);
    struct piece *piece = holding == NULL ? NULL : output_push(output);
    if (piece == NULL) {
        free(holding);
        output->failed = true;
        return false;
    }
    *holding = (struct holding){.refs = 1, .room = room};
    *piece = (struct piece){holding->data, 0, holding};
    return true;
}

/* The chunk that more bytes go to: the newest copied one among the last two pieces, so that the
 * headers between borrows share a chunk. */
static struct holding *output_chunk(struct output *output, size_t bytes, bool *out_last)
{
    for (size_t back = 1; back <= 2 && back <= output->count; back++) {
        struct holding *holding = output_at(output, output->count - back)->holding;
        if (holding->lease == NULL && holding->room - holding->used >= bytes) {
            *out_last = back == 1;
            return holding;
        }
    }
    return NULL;
}

void output_copy(struct output *output, const void *data, size_t bytes)
{
    bool last = true;
    if (bytes == 0)
        return;
    struct holding *holding = output_chunk(output, bytes, &last);
    if (holding == NULL) {
        if (!output_new_chunk(output, bytes))
            return;
        holding = output_at(output, output->count - 1)->holding;
        last = true;
    }
    uint8_t *to = holding->data + holding->used;
    struct piece *piece = last ? output_at(output, output->count - 1) : output_push(output);
    if (piece == NULL)
        return;
    if (!last) {
        holding->refs++;
        *piece = (struct piece){to, 0, holding};
    }
    memcpy(to, data, bytes);
    holding->used += bytes;
    piece->bytes += bytes;
    output->bytes += bytes;
}

void output_borrow(struct output *output, const void *data, size_t bytes, struct holding *holding)
{
    struct piece *piece = bytes == 0 ? NULL : output_push(output);
    if (piece == NULL)
        return;
    holding->refs++;
    *piece = (struct piece){data, bytes, holding};
    output->bytes += bytes;
    output->borrowed += bytes;
}

size_t output_peek(const struct output *output, uint8_t *to, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < output->count && used < room; i++) {
        const struct piece *piece = output_at(output, i);
        const size_t bytes = piece->bytes < room - used ? piece->bytes : room - used;
        memcpy(to + used, piece->data, bytes);
        used += bytes;
    }
    return used;
}

void output_drop(struct output *output, size_t bytes)
{
    output->bytes -= bytes;
    while (output->count > 0) {
        struct piece *piece = output_at(output, 0);
        const size_t gone = bytes < piece->bytes ? bytes : piece->bytes;
        if (piece->holding->lease != NULL)
            output->borrowed -= gone;
        piece->data += gone;
        piece->bytes -= gone;
        bytes -= gone;
        if (piece->bytes > 0)
            return;
        output_drop_first(output);
    }
}

int output_write(struct output *output, int fd)
{
    struct iovec iov[IOV_AT_ONCE];
    while (output->count > 0 && !output->failed) {
        size_t count = 0;
        for (; count < IOV_AT_ONCE && count < output->count; count++) {
            const struct piece *piece = output_at(output, count);
            iov[count].iov_base = (void *)(uintptr_t)piece->data;
            iov[count].iov_len = piece->bytes;
        }
        const struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
        const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        output_drop(output, (size_t)sent);
    }
    return output->failed ? -1 : 1;
}

void output_detach(struct output *output)
{
    for (size_t i = 0; i < output->count && output->borrowed > 0; i++) {
        struct piece *piece = output_at(output, i);
        if (piece->holding->lease == NULL)
            continue;
        struct holding *copy = malloc(sizeof *copy + piece->bytes);
        if (copy == NULL) {
            output->failed = true;
            return;
        }
        *copy = (struct holding){.refs = 1, .room = piece->bytes, .used = piece->bytes};
        memcpy(copy->data, piece->data, piece->bytes);
        output->borrowed -= piece->bytes;
        holding_release(piece->holding);
        piece->data = copy->data;
        piece->holding = copy;
    }
}
