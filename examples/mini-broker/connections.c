/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connections.c - all connections: their turns, what time does to them, their end. See
 * connections.h.
 *
 * A turn of the loop handles frames for TURN_MS: then each connection that has something gets one
 * of them handled, and the rest of it in the next turns, in order, which have as long for those
 * that wait as for those that have just said something. What was answered is sent before the loop
 * sleeps.
 *
 * Happy path: start, turns, end. Failure modes: one that says nothing for CONNECTION_IDLE_MS, and
 * waits for nothing, is closed, and so is one that takes no byte of what waits for it as long, or
 * has said a part of a frame and not the rest for CONNECTION_FRAME_MS; memory runs short: who has
 * much for long is closed, not who comes; the broker stops: nothing is read any more, and who has
 * taken all that it was answered is closed.
 */
#include "connections.h"

#include "command.h"
#include "notices.h"
#include "tls.h"

#include <linux/sockios.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { TURN_MS = 20, TICK_MS = 250 };

void connections_trim(struct broker *broker)
{
    broker->connections->trim = true;
}

uint32_t connections_count(const struct broker *broker)
{
    return broker->connections->count;
}

bool connections_turn_is_over(struct connections *all)
{
    const uint64_t now = uv_hrtime();
    if (all->turn_ends_ns == 0)
        all->turn_ends_ns = now + UINT64_C(1000000) * TURN_MS;
    return now >= all->turn_ends_ns;
}

/* Those whose frames wait, in order, until the turn is over. */
static void on_idle(uv_idle_t *idle)
{
    struct connections *all = idle->data;
    struct connection *last = all->later_last;
    all->turn_ends_ns = 0; /* as much time as those have that are not behind */
    while (all->later != NULL) {
        struct connection *connection = all->later;
        all->later = connection->next_later;
        connection->is_later = false;
        connection_go_on(connection);
        connection_count(connection);
        connections_shed(all);
        const bool was_last = connection == last;
        connection_unref(connection);
        if (was_last || connections_turn_is_over(all))
            break;
    }
    if (all->later == NULL)
        uv_idle_stop(idle);
}

void connection_later(struct connection *connection)
{
    struct connections *all = connection->broker->connections;
    connection->is_later = true;
    connection->next_later = NULL;
    if (all->later == NULL)
        all->later = connection_ref(connection);
    else
        all->later_last->next_later = connection_ref(connection);
    all->later_last = connection;
    (void)uv_idle_start(&all->idle, on_idle);
}

/* Before the loop sleeps: all that was answered in this turn. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct connections *all = prepare->data;
    notices_send(all->broker);
    while (all->dirty != NULL) {
        struct connection *connection = all->dirty;
        all->dirty = connection->next_dirty;
        connection->dirty = false;
        connection_write(connection);
        connection_unref(connection);
        if (all->dirty == NULL)
            notices_send(all->broker); /* that some were closed */
    }
    all->turn_ends_ns = 0;
    all->broker->turn++;
}

/* How much it keeps from others: so many bytes for so many milliseconds. A large message that is on
 * its way is little, because it is here for a moment only, and so are small parts of many. */
static double weight_of(const struct connection *connection, int64_t now)
{
    int64_t since = now;
    if (connection->part_ms != 0 && connection->part_ms < since)
        since = connection->part_ms;
    if (connection->stuck_ms != 0 && connection->stuck_ms < since)
        since = connection->stuck_ms;
    return (double)connection->kept * (double)(now - since + 1);
}

static void shed_one(struct connections *all, struct connection *connection, int64_t now)
{
    uint64_t count;
    if (log_seldom(&all->shed, now, &count))
        log_line(
            LOG_WARN,
            "%s: closed, because more than %u MiB is kept of what clients have not said to its "
            "end, or not read: %zu bytes of this one; %llu closed since the last line",
            connection->host_text, (unsigned)CONNECTIONS_KEPT_MAX >> 20, connection->kept,
            (unsigned long long)count);
    connection_close(connection, "too much is kept for it");
    buffer_free(&connection->input); /* before it is forgotten: the memory is needed now */
}

/* Each round looks for the worst, and closes those that are half as bad, so that there are few of
 * them however many connections there are. */
void connections_shed(struct connections *all)
{
    const int64_t now = (int64_t)uv_now(&all->broker->loop);
    if (all->kept <= CONNECTIONS_KEPT_MAX)
        return;
    while (all->kept > CONNECTIONS_KEPT_TO) {
        double worst = 0;
        for (struct connection *connection = all->first; connection != NULL;
             connection = connection->next) {
            const double weight = weight_of(connection, now);
            worst = weight > worst ? weight : worst;
        }
        struct connection *next;
        for (struct connection *connection = all->first;
             connection != NULL && all->kept > CONNECTIONS_KEPT_TO; connection = next) {
            next = connection->next;
            if (connection->kept > 0 && weight_of(connection, now) >= worst / 2)
                shed_one(all, connection, now);
        }
    }
}

/* It does not become whole: the rest of a frame is missing for too long. What is not read, because
 * much waits for its client, cannot come. */
static bool is_late(struct connection *connection, int64_t now)
{
    if (connection->part_ms != 0 && connection_rests(connection))
        connection->part_ms = now + 1;
    return connection->part_ms != 0 && now - connection->part_ms > CONNECTION_FRAME_MS;
}

static void close_late(struct connections *all, struct connection *connection, int64_t now)
{
    uint64_t count;
    if (log_seldom(&all->late, now, &count))
        log_line(LOG_WARN,
                 "%s: closed, because of parts of frames that do not become whole in %d s; %llu "
                 "closed since the last line",
                 connection->host_text, CONNECTION_FRAME_MS / 1000, (unsigned long long)count);
    connection_close(connection, "no whole frame in time");
}

static void on_tick(uv_timer_t *timer)
{
    struct connections *all = timer->data;
    const int64_t now = (int64_t)uv_now(timer->loop);
    struct connection *next;
    for (struct connection *connection = all->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->output.borrowed > 0 && connection->stuck_ms != 0 &&
            now - connection->stuck_ms > CONNECTION_LEASE_MS) {
            output_detach(&connection->output);
            connection_count(connection);
        }
        /* While it was stuck nothing was heard of it, and what it said is still to be read. */
        if (now - connection->heard_ms > CONNECTION_IDLE_MS && connection->waiting == 0 &&
            now - connection->taken_ms > CONNECTION_IDLE_MS && connection->stuck_ms == 0)
            connection_close(connection, "idle");
        else if (connection->tls != NULL && tls_is_late(connection->tls, now))
            connection_close(connection, "no TLS handshake in time");
        else if (connection->stuck_ms != 0 && now - connection->taken_ms > CONNECTION_IDLE_MS)
            connection_close(connection, "does not read");
        else if (is_late(connection, now))
            close_late(all, connection, now);
    }
    connections_shed(all);
    notices_again(all->broker);
    if (all->trim && all->kept < CONNECTIONS_TRIM_FROM / 2) {
        all->trim = false;
        (void)malloc_trim(0);
    }
}

bool connections_start(struct broker *broker)
{
    struct connections *all = calloc(1, sizeof *all);
    if (all == NULL)
        return false;
    all->broker = broker;
    broker->turn = 1;
    broker->connections = all;
    all->command = malloc(sizeof *all->command);
    all->block = malloc(CONNECTIONS_BLOCK);
    if (all->command == NULL || all->block == NULL)
        return false;
    uv_prepare_init(&broker->loop, &all->prepare);
    uv_idle_init(&broker->loop, &all->idle);
    uv_timer_init(&broker->loop, &all->tick);
    all->idle.data = all;
    all->prepare.data = all;
    all->tick.data = all;
    return uv_prepare_start(&all->prepare, on_prepare) == 0 &&
           uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void connections_leave(struct broker *broker)
{
    struct connections *all = broker->connections;
    if (all == NULL)
        return;
    for (struct connection *connection = all->first; connection != NULL;
         connection = connection->next)
        connection_poll(connection); /* not for what it says */
}

/* True: the other end's system has all, and has been told that it was all. With something unread,
 * close(2) resets the connection: before that it would take back what is on its way, and after it
 * some systems forget what they have not yet given to the client. */
static bool connection_has_taken_all(struct connection *connection)
{
    int unsent = 0;
    if (connection->output.bytes > 0 ||
        (connection->tls != NULL && tls_waiting(connection->tls) > 0))
        return false;
    if (!connection->parted) {
        connection->parted = true;
        if (connection->tls != NULL)
            tls_end(connection->tls, connection->fd);
        (void)shutdown(connection->fd, SHUT_WR);
    }
    uint8_t *block = connection->broker->connections->block;
    for (unsigned i = 0; i < CONNECTIONS_LAST_READS; i++) {
        if (recv(connection->fd, block, CONNECTIONS_BLOCK, MSG_DONTWAIT) <= 0)
            break;
    }
    return ioctl(connection->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

bool connections_left(struct broker *broker)
{
    struct connections *all = broker->connections;
    if (all == NULL)
        return true;
    on_prepare(&all->prepare); /* what was answered in this turn */
    struct connection *next;
    for (struct connection *connection = all->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection_has_taken_all(connection))
            connection_close(connection, "the broker stops");
    }
    return all->first == NULL;
}

void connections_stop(struct broker *broker)
{
    struct connections *all = broker->connections;
    if (all == NULL)
        return;
    if (all->count > 0)
        log_line(LOG_WARN, "%u clients did not take their answers in time", all->count);
    while (all->first != NULL)
        connection_close(all->first, "the broker stops");
    uv_close((uv_handle_t *)&all->prepare, NULL);
    uv_close((uv_handle_t *)&all->idle, NULL);
    uv_close((uv_handle_t *)&all->tick, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    while (all->dirty != NULL) {
        struct connection *connection = all->dirty;
        all->dirty = connection->next_dirty;
        connection_unref(connection);
    }
    while (all->later != NULL) {
        struct connection *connection = all->later;
        all->later = connection->next_later;
        connection_unref(connection);
    }
    free(all->command);
    free(all->block);
    free(all);
    broker->connections = NULL;
}
