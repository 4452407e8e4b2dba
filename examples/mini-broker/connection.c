/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connection.c - sockets, by uv_poll, read and written by ourselves. See connection.h.
 *
 * All connections read into one block of memory; only what is left of a frame that is not whole is
 * kept, and grows with what came, not with what was announced. Replies are collected over a turn
 * of the loop and sent before it sleeps.
 *
 * Happy path: accept, read, dispatch each whole frame, write. Failure modes: a bad frame or header
 * closes the connection, and so does one that takes too long; one that does not read is not read
 * from; one that says much at once gets a part of it handled in each turn.
 */
#include "connections.h"

#include "clients.h"
#include "dispatch.h"
#include "frame.h"
#include "log.h"
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIM_FRAME = 8 * 1024 * 1024 /* no message has it */ };

struct connection *connection_ref(struct connection *connection)
{
    connection->refs++;
    return connection;
}

/* Not inlined: a compiler that follows two of them in a row warns of what cannot be. */
__attribute__((noinline)) void connection_unref(struct connection *connection)
{
    if (--connection->refs == 0) {
        buffer_free(&connection->input);
        output_free(&connection->output);
        tls_free(connection->tls);
        free(connection);
    }
}

static void on_closed(uv_handle_t *handle)
{
    connection_unref(handle->data);
}

void connection_close(struct connection *connection, const char *why)
{
    struct connections *all = connection->broker->connections;
    if (connection->closed)
        return;
    log_line(LOG_DEBUG, "%s: closed: %s", connection->host_text, why);
    connection->closed = true;
    connection_ref(connection);
    clients_gone(connection);
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        all->first = connection->next;
    all->count--;
    output_free(&connection->output);
    all->leased -= connection->leased;
    all->kept -= connection->kept;
    uv_poll_stop(&connection->poll);
    uv_close((uv_handle_t *)&connection->poll, on_closed);
    if (connection->tls != NULL)
        tls_end(connection->tls, connection->fd);
    close(connection->fd);
    connection_unref(connection);
}

bool connection_is_behind(const struct connection *connection)
{
    return connection->output.bytes > CONNECTION_OUTPUT_MAX ||
           (connection->tls != NULL && tls_waiting(connection->tls) > TLS_WAITING_MAX);
}

static bool connection_is_full(const struct connection *connection)
{
    if (connection->broker->stopping)
        return true; /* who would answer is not there any more */
    if (connection->gone)
        return false; /* nothing is answered any more */
    return connection_is_behind(connection) || connection->waiting > CONNECTION_WAITING_MAX;
}

bool connection_rests(const struct connection *connection)
{
    return connection->closed || connection->is_later || connection_is_full(connection);
}

static void on_ready(uv_poll_t *poll, int status, int events);

void connection_poll(struct connection *connection)
{
    const int events = (connection_rests(connection) ? 0 : UV_READABLE) |
                       (connection->stuck_ms != 0 ? UV_WRITABLE : 0);
    if (connection->closed || events == connection->events)
        return;
    connection->events = events;
    if (events == 0)
        uv_poll_stop(&connection->poll);
    else if (uv_poll_start(&connection->poll, events, on_ready) != 0)
        connection_close(connection, "cannot be polled");
}

struct output *connection_output(struct connection *connection)
{
    if (!connection->dirty && !connection->closed) {
        connection->dirty = true;
        connection->next_dirty = connection->broker->connections->dirty;
        connection->broker->connections->dirty = connection_ref(connection);
    }
    return &connection->output;
}

void connection_waits(struct connection *connection, int change)
{
    connection->waiting += (uint32_t)change;
    if (change < 0)
        (void)connection_output(connection); /* looked at once more before the loop sleeps */
}

/* A part of a frame begins, or goes on to be one. */
static void connection_part(struct connection *connection, bool is_new)
{
    if (connection->part_ms == 0 || is_new)
        connection->part_ms = (int64_t)uv_now(&connection->broker->loop) + 1;
}

/* Whole frames of these bytes are handled; how many bytes that were, or -1. */
static int64_t connection_frames(struct connection *connection, uint8_t *data, size_t bytes)
{
    struct command *command = connection->broker->connections->command;
    size_t done = 0;
    if (bytes == 0)
        return 0;
    while (!connection_rests(connection)) {
        struct frame frame;
        const enum frame_status status = frame_take(data + done, bytes - done, &frame);
        if (status == FRAME_PART) {
            if (done < bytes)
                connection_part(connection, done > 0);
            else
                connection->part_ms = 0;
            break;
        }
        if (connections_turn_is_over(connection->broker->connections) && done > 0) {
            connection_later(connection);
            break;
        }
        if (status == FRAME_BAD ||
            !(frame.type == HEADER_BINARY
                  ? header_binary_decode(frame.header, frame.header_bytes, command)
                  : header_json_decode(frame.header, frame.header_bytes, command)))
            return -1;
        command->body = (struct text){(const char *)frame.body, frame.body_bytes};
        done += frame.bytes;
        dispatch(connection, command);
    }
    return (int64_t)done;
}

/* Handles what is kept, and keeps what is left of it. */
static void connection_kept(struct connection *connection)
{
    struct buffer *input = &connection->input;
    const int64_t done = connection_frames(connection, input->data, input->used);
    if (done < 0) {
        connection_close(connection, "not a frame of this protocol");
        return;
    }
    input->used -= (size_t)done;
    if (input->used == 0 && input->room > TRIM_FRAME)
        connections_trim(connection->broker);
    if (input->used == 0)
        buffer_free(input); /* or many that say nothing more would have it, and others no room */
    else if (input->used > 0 && done > 0)
        memmove(input->data, input->data + done, input->used);
}

static void connection_fresh(struct connection *connection, uint8_t *data, size_t bytes)
{
    const int64_t done = connection_frames(connection, data, bytes);
    if (done < 0) {
        connection_close(connection, "not a frame of this protocol");
        return;
    }
    if (connection->closed)
        return;
    buffer_put(&connection->input, data + done, bytes - (size_t)done);
    if (connection->input.failed)
        connection_close(connection, "no memory");
}

void connection_count(struct connection *connection)
{
    struct connections *all = connection->broker->connections;
    if (connection->closed)
        return;
    if (connection->stuck_ms != 0 &&
        all->leased + connection->output.borrowed > CONNECTIONS_LEASED_MAX)
        output_detach(&connection->output);
    all->leased += connection->output.borrowed - connection->leased;
    connection->leased = connection->output.borrowed;
    const size_t kept = connection->output.bytes - connection->output.borrowed +
                        connection->input.room +
                        (connection->tls != NULL ? tls_waiting(connection->tls) : 0);
    all->kept += kept - connection->kept;
    connection->kept = kept;
    all->trim = all->trim || all->kept > CONNECTIONS_TRIM_FROM;
}

/* Where bytes of frames go: behind what is kept, or into the block of all. NULL: no memory. */
static uint8_t *connection_place(struct connection *connection, size_t *out_room)
{
    struct buffer *input = &connection->input;
    *out_room = CONNECTIONS_BLOCK;
    if (input->used == 0)
        return connection->broker->connections->block;
    const size_t spare = input->room - input->used;
    *out_room = spare >= 4096                     ? spare
                : input->used < CONNECTIONS_BLOCK ? CONNECTIONS_BLOCK
                                                  : input->used;
    uint8_t *to = buffer_room(input, *out_room);
    if (to == NULL)
        connection_close(connection, "no memory");
    return to;
}

static void connection_got(struct connection *connection, uint8_t *data, size_t bytes)
{
    if (connection->input.used > 0) {
        connection->input.used += bytes;
        connection_kept(connection);
    } else {
        connection_fresh(connection, data, bytes);
    }
}

/* Frames of what TLS has taken, until there are no more or enough waits. */
static void connection_decrypt(struct connection *connection)
{
    connection->unread = true;
    while (!connection_rests(connection)) {
        size_t room;
        uint8_t *to = connection_place(connection, &room);
        const int64_t got = to == NULL ? -1 : tls_read(connection->tls, to, room);
        if (got < 0)
            connection_close(connection, tls_why(connection->tls));
        connection->unread = got > 0;
        if (got <= 0)
            break;
        connection_got(connection, to, (size_t)got);
    }
    if (!connection->closed && connection->stuck_ms == 0 && tls_waiting(connection->tls) > 0)
        (void)connection_output(connection);
}

/* By its first byte: whether this is TLS. */
static void connection_first(struct connection *connection, uint8_t byte)
{
    const enum tls_kind kind = tls_kind_of(connection->broker, byte);
    connection->begun = true;
    if (kind == TLS_BEGINS)
        connection->tls = tls_accept(connection->broker);
    if (kind == TLS_REFUSED)
        connection_close(connection, "not TLS, as it has to be");
    else if (kind == TLS_BEGINS && connection->tls == NULL)
        connection_close(connection, "no memory");
}

/* False: there was nothing to read. */
static bool connection_read(struct connection *connection)
{
    size_t room = TLS_TAKE_MAX;
    uint8_t *to = connection->tls != NULL ? connection->broker->connections->block
                                          : connection_place(connection, &room);
    if (to == NULL)
        return false;
    const ssize_t got = recv(connection->fd, to, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        connection_close(connection, got == 0 ? "by the client" : strerror(errno));
        return false;
    }
    connection->heard_ms = (int64_t)uv_now(&connection->broker->loop);
    connection_ref(connection);
    if (!connection->begun)
        connection_first(connection, to[0]);
    if (connection->tls == NULL && !connection->closed)
        connection_got(connection, to, (size_t)got);
    else if (!connection->closed && tls_take(connection->tls, to, (size_t)got))
        connection_decrypt(connection);
    else
        connection_close(connection, "no memory");
    connection_count(connection);
    connections_shed(connection->broker->connections);
    connection_poll(connection);
    connection_unref(connection);
    return true;
}

/* Of one that has gone: what is still there, in turns as that of all others; then it is closed. */
static void connection_last(struct connection *connection)
{
    while (!connection_rests(connection) && connection->last_reads > 0) {
        connection->last_reads--;
        if (!connection_read(connection))
            break;
    }
    if (!connection->is_later)
        connection_close(connection, "by the other end");
}

void connection_go_on(struct connection *connection)
{
    if (connection->input.used > 0 && !connection_rests(connection))
        connection_kept(connection);
    if (connection->unread && !connection_rests(connection))
        connection_decrypt(connection);
    if (connection->gone)
        connection_last(connection);
    connection_poll(connection);
}

/* The other end has gone: what it had said before is still there, and a client that ends waits for
 * no answer to its last. */
static void connection_end(struct connection *connection, const char *why)
{
    if (connection->gone)
        return; /* it is at its last */
    log_line(LOG_DEBUG, "%s: has gone: %s", connection->host_text, why);
    connection_ref(connection);
    connection->gone = true;
    connection->last_reads = CONNECTIONS_LAST_READS;
    connection->stuck_ms = 0; /* nothing is written any more */
    output_free(&connection->output);
    connection_go_on(connection); /* first what had to wait until answers were taken */
    connection_unref(connection);
}

static size_t connection_unsent(const struct connection *connection)
{
    return connection->output.bytes + (connection->tls != NULL ? tls_waiting(connection->tls) : 0);
}

void connection_write(struct connection *connection)
{
    if (connection->closed)
        return;
    connection_ref(connection);
    const size_t before = connection_unsent(connection);
    const int status = connection->tls != NULL
                           ? tls_write(connection->tls, &connection->output, connection->fd)
                           : output_write(&connection->output, connection->fd);
    if (status < 0) {
        connection_end(connection, "cannot be written to");
    } else {
        const int64_t now = (int64_t)uv_now(&connection->broker->loop) + 1;
        if (connection->stuck_ms == 0 || connection_unsent(connection) < before)
            connection->taken_ms = now;
        connection->stuck_ms = status == 1 ? 0 : connection->stuck_ms ? connection->stuck_ms : now;
        connection_count(connection);
        connections_shed(connection->broker->connections);
        connection_go_on(connection);
    }
    connection_unref(connection);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    if (status < 0) {
        connection_end(connection, uv_strerror(status));
        return;
    }
    connection_ref(connection);
    if (events & UV_WRITABLE)
        connection_write(connection);
    if ((events & UV_READABLE) && !connection_rests(connection))
        (void)connection_read(connection);
    connection_unref(connection);
}

void connection_begin(struct broker *broker, int fd, const struct sockaddr_storage *peer)
{
    struct connections *all = broker->connections;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL || uv_poll_init(&broker->loop, &connection->poll, fd) != 0) {
        free(connection);
        close(fd);
        return;
    }
    connection->poll.data = connection;
    connection->broker = broker;
    connection->fd = fd;
    connection->refs = 1; /* the handle's */
    connection->heard_ms = (int64_t)uv_now(&broker->loop);
    host_of(peer, &connection->host);
    (void)host_text(&connection->host, connection->host_text, sizeof connection->host_text);
    connection->next = all->first;
    if (all->first != NULL)
        all->first->previous = connection;
    all->first = connection;
    all->count++;
    connection_poll(connection);
}
