/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.c - libmicrohttpd on the loop: its epoll descriptor is polled, its time-out is a timer. See
 * http.h.
 *
 * Happy path: a request is answered whole when its headers are there; what it says further is not
 * read. Failure modes: garbage and what is too large are answered, or cut off, by libmicrohttpd;
 * who is slow is cut off when its time is over; past the limits, connections wait to be accepted.
 */
#include "http.h"

#include "log.h"
#include "metrics.h"
#include "page.h"
#include "room.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum path { PATH_PAGE, PATH_TOPIC, PATH_METRICS, PATH_HEALTH, PATH_OTHER, PATHS };

static const char *const path_names[PATHS] = {"/", "/topic", "/metrics", "/health", "other"};
static const unsigned statuses[] = {200, 404, 405, 500, 503};
enum { STATUSES = sizeof statuses / sizeof *statuses };
enum { HTTP_LONG_NS = 5000000, HTTP_LONG_TIMES = 4 };

struct client {
    struct client *next, *previous;
    uint64_t since_ms;
    int fd;
};

struct reused {
    struct MHD_Response *response; /* NULL: none */
    uint64_t made_ms;
};

struct http {
    struct broker *broker;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    struct client *clients;
    uint32_t client_count;
    struct reused page, metrics;
    uint64_t topic_from_ns; /* a topic's page may be made */
    uint64_t requests[PATHS][STATUSES];
};

/* ---- answers --------------------------------------------------------------------------------- */

static struct MHD_Response *response_of(struct buffer *body, const char *type)
{
    struct MHD_Response *response =
        body->failed
            ? NULL
            : MHD_create_response_from_buffer(body->used, body->data, MHD_RESPMEM_MUST_COPY);
    buffer_free(body);
    if (response == NULL)
        return NULL;
    const bool good =
        MHD_add_response_header(response, "Content-Type", type) == MHD_YES &&
        MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                                "frame-ancestors 'none'; base-uri 'none'; form-action 'none'") ==
            MHD_YES &&
        MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    if (good)
        return response;
    MHD_destroy_response(response);
    return NULL;
}

static struct MHD_Response *text_response(const char *text)
{
    struct buffer body = {0};
    buffer_format(&body, "%s\n", text);
    return response_of(&body, "text/plain; charset=utf-8");
}

static struct MHD_Response *make(const struct http *http, enum path path, const struct topic *topic)
{
    struct snapshot snapshot;
    struct buffer body = {0};
    if (!snapshot_take(http->broker, topic, &snapshot))
        body.failed = true;
    else if (path == PATH_METRICS)
        metrics_put(&body, &snapshot);
    else if (path == PATH_TOPIC)
        page_put_topic(&body, &snapshot);
    else
        page_put(&body, &snapshot);
    snapshot_free(&snapshot);
    return response_of(&body, path == PATH_METRICS ? "text/plain; version=0.0.4; charset=utf-8"
                                                   : "text/html; charset=utf-8");
}

static void reused_drop(struct reused *reused)
{
    if (reused->response != NULL)
        MHD_destroy_response(reused->response); /* lives on while it is being sent */
    reused->response = NULL;
}

static struct MHD_Response *reuse(struct http *http, enum path path)
{
    struct reused *reused = path == PATH_METRICS ? &http->metrics : &http->page;
    const uint64_t now = uv_now(&http->broker->loop);
    if (reused->response == NULL || now - reused->made_ms >= HTTP_REUSE_MS) {
        reused_drop(reused);
        reused->response = make(http, path, NULL);
        reused->made_ms = now;
    }
    return reused->response;
}

static struct MHD_Response *health(const struct http *http, unsigned *status)
{
    struct commitlog_error err = {0};
    if (http->broker->stopping) {
        *status = 503;
        return text_response("stopping");
    }
    if (commitlog_failure(http->broker->store, &err) != COMMITLOG_OK) {
        *status = 503;
        return text_response(err.message);
    }
    if (room_is_full(http->broker)) {
        *status = 503;
        return text_response("the disk is full: messages are refused until there is room");
    }
    return text_response("ok");
}

/* Where it takes long to make one, for there are many groups, clients have most of the time. */
static struct MHD_Response *topic_page(struct http *http, struct MHD_Connection *connection,
                                       unsigned *status)
{
    const char *name = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "name");
    const struct topic *topic = name == NULL ? NULL : topic_find(http->broker, text_of(name));
    const uint64_t begin = uv_hrtime();
    if (topic == NULL) {
        *status = 404;
        return text_response("there is no such topic");
    }
    if (begin < http->topic_from_ns) {
        *status = 503;
        return text_response("this page takes long, and was just made: ask again");
    }
    struct MHD_Response *response = make(http, PATH_TOPIC, topic);
    const uint64_t end = uv_hrtime();
    if (end - begin >= HTTP_LONG_NS)
        http->topic_from_ns = end + HTTP_LONG_TIMES * (end - begin);
    return response;
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum path path_of(const char *url)
{
    enum path path = PATH_PAGE;
    while (path < PATH_OTHER && strcmp(url, path_names[path]) != 0)
        path++;
    return path;
}

static struct MHD_Response *answer(struct http *http, struct MHD_Connection *connection,
                                   enum path path, unsigned *status)
{
    switch (path) {
    case PATH_PAGE:
    case PATH_METRICS:
        return reuse(http, path);
    case PATH_TOPIC:
        return topic_page(http, connection, status);
    case PATH_HEALTH:
        return health(http, status);
    case PATH_OTHER:
    case PATHS:
        break;
    }
    *status = 404;
    return text_response("there are /, /topic?name=, /metrics and /health");
}

static void count(struct http *http, enum path path, unsigned status)
{
    for (size_t i = 0; i < STATUSES; i++)
        http->requests[path][i] += statuses[i] == status;
}

/* NOLINTNEXTLINE: libmicrohttpd says what it is given */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    struct http *http = context;
    (void)version, (void)upload, (void)upload_bytes, (void)state;
    const enum path path = path_of(url);
    unsigned status = MHD_HTTP_OK;
    struct MHD_Response *response;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        response = text_response("there are GET and HEAD");
        if (response != NULL)
            (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    } else {
        response = answer(http, connection, path, &status);
    }
    count(http, path, response == NULL ? MHD_HTTP_INTERNAL_SERVER_ERROR : status);
    if (response == NULL)
        return MHD_NO; /* no memory: the connection ends */
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    if (response != http->page.response && response != http->metrics.response)
        MHD_destroy_response(response);
    return result;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    struct client *client = *state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        client = calloc(1, sizeof *client);
        if (client == NULL || info == NULL) {
            free(client);
            return; /* it has the time-out of libmicrohttpd only */
        }
        *client = (struct client){
            .next = http->clients, .since_ms = uv_now(&http->broker->loop), .fd = info->connect_fd};
        if (client->next != NULL)
            client->next->previous = client;
        http->clients = client;
        http->client_count++;
        *state = client;
    } else if (client != NULL) {
        if (client->next != NULL)
            client->next->previous = client->previous;
        if (client->previous != NULL)
            client->previous->next = client->next;
        else
            http->clients = client->next;
        http->client_count--;
        free(client);
        *state = NULL;
    }
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void run(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    (void)MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        (void)uv_timer_start(&http->timer, on_timer, ms, 0);
    else
        (void)uv_timer_stop(&http->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    run(poll->data);
}

void http_tick(struct http *http)
{
    if (http == NULL)
        return;
    const uint64_t now = uv_now(&http->broker->loop);
    for (struct client *client = http->clients; client != NULL; client = client->next) {
        if (now - client->since_ms > HTTP_SECONDS_MAX * 1000)
            (void)shutdown(client->fd, SHUT_RDWR); /* libmicrohttpd sees its end, and closes it */
    }
    if (now - http->page.made_ms >= HTTP_REUSE_MS)
        reused_drop(&http->page);
    if (now - http->metrics.made_ms >= HTTP_REUSE_MS)
        reused_drop(&http->metrics);
}

struct http *http_start(struct broker *broker, const struct sockaddr_storage *address)
{
    struct host host;
    char text[64] = "";
    const bool v6 = address->ss_family == AF_INET6;
    host_of(address, &host);
    (void)host_text(&host, text, sizeof text);
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return NULL;
    http->broker = broker;
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | (v6 ? MHD_USE_IPv6 : 0U), 0, NULL, NULL, on_request, http,
        MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX / 2,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (http->daemon == NULL) {
        log_line(LOG_ERROR, "http: cannot listen at %s: %s", text, strerror(errno));
        free(http);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    http->poll.data = http->timer.data = http;
    if (info == NULL || uv_timer_init(&broker->loop, &http->timer) != 0 ||
        uv_poll_init(&broker->loop, &http->poll, info->epoll_fd) != 0 ||
        uv_poll_start(&http->poll, UV_READABLE, on_poll) != 0) {
        log_line(LOG_ERROR, "http: cannot be polled");
        return NULL; /* it stays: the loop may know its handles */
    }
    log_line(LOG_INFO, "http: listening at %s", text);
    return http;
}

void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    struct broker *broker = http->broker;
    (void)uv_poll_stop(&http->poll);
    uv_close((uv_handle_t *)&http->poll, NULL);
    uv_close((uv_handle_t *)&http->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    reused_drop(&http->page);
    reused_drop(&http->metrics);
    MHD_stop_daemon(http->daemon);
    free(http);
}

void http_put_metrics(struct buffer *out, const struct http *http)
{
    static const char name[] = "mini_broker_http_requests_total";
    if (http == NULL)
        return;
    metrics_family(out, "mini_broker_http_connections", "gauge", "Connections of the HTTP port.");
    metrics_name(out, "mini_broker_http_connections");
    metrics_u64(out, http->client_count);
    metrics_family(out, name, "counter", "Requests to the HTTP port.");
    for (size_t path = 0; path < PATHS; path++) {
        for (size_t i = 0; i < STATUSES; i++) {
            char code[8];
            if (http->requests[path][i] == 0)
                continue;
            (void)snprintf(code, sizeof code, "%u", statuses[i]);
            metrics_name(out, name);
            metrics_label(out, "path", text_of(path_names[path]));
            metrics_label(out, "code", text_of(code));
            metrics_u64(out, http->requests[path][i]);
        }
    }
}
