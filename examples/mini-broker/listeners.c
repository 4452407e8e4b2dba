/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listeners.c - listening sockets, by uv_poll. See listeners.h.
 *
 * Happy path: listen, accept some at a time, connection.c goes on. Failure modes: an address that
 * cannot be had: false; no descriptors: accepted later.
 */
#include "listeners.h"

#include "connection.h"
#include "log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENERS_MAX = 4, TICK_MS = 250, ACCEPT_AT_ONCE = 64 };

struct listener {
    uv_poll_t poll;
    struct broker *broker;
    int fd;
};

struct listeners {
    uint32_t count;
    bool deaf; /* no descriptors: they are not polled until the next tick */
    uv_timer_t tick;
    struct listener each[LISTENERS_MAX];
};

static void on_accept(uv_poll_t *poll, int status, int events);

static void listeners_poll(struct listeners *all, bool on)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (on)
            (void)uv_poll_start(&all->each[i].poll, UV_READABLE, on_accept);
        else
            (void)uv_poll_stop(&all->each[i].poll);
    }
    all->deaf = !on;
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)events;
    for (int i = 0; status >= 0 && i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t bytes = sizeof peer;
        const int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        const struct broker *broker = listener->broker;
        if (fd >= 0 && connections_count(broker) >= broker->options->connections) {
            log_line(LOG_DEBUG, "a connection was not taken: there are %u",
                     connections_count(broker));
            close(fd);
            continue;
        }
        if (fd >= 0) {
            connection_begin(listener->broker, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* It stays in the queue of the listener, which would be ready again at once. */
            log_line(LOG_WARN, "a connection was not accepted: %s", strerror(errno));
            listeners_poll(listener->broker->listeners, false);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct listeners *all = timer->data;
    if (all->deaf)
        listeners_poll(all, true);
}

bool listeners_add(struct broker *broker, const struct sockaddr_storage *address, const char *what)
{
    struct listeners *all = broker->listeners;
    struct listener *listener = &all->each[all->count];
    const int on = 1, off = 0;
    struct host host;
    char text[64] = "";
    host_of(address, &host);
    (void)host_text(&host, text, sizeof text);
    const bool v6 = address->ss_family == AF_INET6;
    const socklen_t bytes = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (v6 && fd >= 0)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)address, bytes) != 0 || listen(fd, 4096) != 0 ||
        uv_poll_init(&broker->loop, &listener->poll, fd) != 0) {
        log_line(LOG_ERROR, "%s: cannot listen at %s: %s", what, text, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    listener->fd = fd;
    listener->broker = broker;
    listener->poll.data = listener;
    all->count++;
    log_line(LOG_INFO, "%s: listening at %s", what, text);
    return uv_poll_start(&listener->poll, UV_READABLE, on_accept) == 0;
}

bool listeners_start(struct broker *broker)
{
    struct listeners *all = calloc(1, sizeof *all);
    if (all == NULL)
        return false;
    broker->listeners = all;
    uv_timer_init(&broker->loop, &all->tick);
    all->tick.data = all;
    return uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void listeners_stop(struct broker *broker)
{
    struct listeners *all = broker->listeners;
    if (all == NULL)
        return;
    for (uint32_t i = 0; i < all->count; i++) {
        uv_close((uv_handle_t *)&all->each[i].poll, NULL);
        close(all->each[i].fd);
    }
    uv_close((uv_handle_t *)&all->tick, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(all);
    broker->listeners = NULL;
}
