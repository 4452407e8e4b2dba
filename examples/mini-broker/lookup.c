/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup.c - getaddrinfo(3) in a detached thread. See lookup.h.
 *
 * Fields shared by the threads: `done` and what it says, and `forgotten`, under `mutex`.
 * Happy path: begin, the thread asks and wakes the loop, take. Failure modes: no thread: NULL; a
 * name that is not found: its reason; one that is never answered: forgotten, and the thread goes
 * with the process.
 */
#include "lookup.h"

#include "command.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    pthread_mutex_t mutex;
    uv_async_t *wake;
    bool done;
    bool forgotten;
    int status;
    struct addrinfo *found;
    char *port; /* behind the host */
    char host[];
};

static void lookup_free(struct lookup *lookup)
{
    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup);
}

static void *on_thread(void *argument)
{
    struct lookup *lookup = argument;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int status = getaddrinfo(lookup->host, lookup->port, &hints, &found);
    pthread_mutex_lock(&lookup->mutex);
    const bool forgotten = lookup->forgotten;
    lookup->done = true;
    lookup->status = status;
    lookup->found = status == 0 ? found : NULL;
    if (!forgotten)
        (void)uv_async_send(lookup->wake); /* under the lock: it is not closed meanwhile */
    pthread_mutex_unlock(&lookup->mutex);
    if (forgotten)
        lookup_free(lookup);
    return NULL;
}

bool lookup_parse(struct text item, unsigned port_else, char out_host[LOOKUP_HOST_MAX],
                  char out_port[LOOKUP_PORT_MAX])
{
    struct text host = item;
    struct text port = {0};
    const char *bracket = memchr(item.data, ']', item.bytes);
    const char *from = bracket != NULL ? bracket : item.data;
    const char *colon = memchr(from, ':', item.bytes - (size_t)(from - item.data));
    int64_t number = port_else;
    if (colon != NULL) {
        host.bytes = (size_t)(colon - item.data);
        port = (struct text){colon + 1, item.bytes - host.bytes - 1};
        if (!text_to_i64(port, &number))
            return false;
    }
    if (host.bytes > 1 && host.data[0] == '[' && host.data[host.bytes - 1] == ']')
        host = (struct text){host.data + 1, host.bytes - 2};
    if (host.bytes == 0 || host.bytes >= LOOKUP_HOST_MAX || number < 1 || number > 65535)
        return false;
    memcpy(out_host, host.data, host.bytes);
    out_host[host.bytes] = '\0';
    (void)snprintf(out_port, LOOKUP_PORT_MAX, "%u", (unsigned)number);
    return true;
}

struct addrinfo *lookup_numeric(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

struct lookup *lookup_begin(const char *host, const char *port, uv_async_t *wake)
{
    const size_t host_bytes = strlen(host) + 1, port_bytes = strlen(port) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + host_bytes + port_bytes);
    pthread_attr_t detached;
    pthread_t thread;
    if (lookup == NULL)
        return NULL;
    lookup->wake = wake;
    lookup->port = lookup->host + host_bytes;
    memcpy(lookup->host, host, host_bytes);
    memcpy(lookup->port, port, port_bytes);
    pthread_mutex_init(&lookup->mutex, NULL);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    const int status = pthread_create(&thread, &detached, on_thread, lookup);
    pthread_attr_destroy(&detached);
    if (status != 0) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

bool lookup_take(struct lookup *lookup, struct addrinfo **out_found, const char **out_why)
{
    pthread_mutex_lock(&lookup->mutex);
    const bool done = lookup->done;
    pthread_mutex_unlock(&lookup->mutex);
    if (!done)
        return false;
    *out_found = lookup->found;
    *out_why = gai_strerror(lookup->status);
    lookup->found = NULL;
    lookup_free(lookup);
    return true;
}

void lookup_forget(struct lookup *lookup)
{
    pthread_mutex_lock(&lookup->mutex);
    const bool done = lookup->done;
    lookup->forgotten = true;
    pthread_mutex_unlock(&lookup->mutex);
    if (done)
        lookup_free(lookup);
}
