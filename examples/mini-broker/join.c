/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join.c - REGISTER_BROKER to name servers, and UNREGISTER_BROKER at the end. See join.h.
 *
 * A name server forgets a broker whose connection ends, or that is silent for two minutes. What
 * it is told each time is everything: the broker's addresses, and all topics with a version, by
 * which it sees whether it has to look at them; very many topics in parts, one behind the answer to
 * the other.
 *
 * Happy path: resolve, connect, register, and again at each beat. Failure modes: not reached, or
 * no answer in ANSWER_MS: the connection ends, the name's next address is tried at the next tick,
 * and after the last one the first after RETRY_MS; an answer that is
 * none of this protocol: the same; a refusal: a line in the log, and again at the next beat; a name
 * that is never found nor refused: that one waits, and nobody else. What a name server asks of us
 * is not answered: nothing that a single master needs is asked.
 */
#include "join.h"

#include "acl_accounts.h"
#include "codes.h"
#include "crc32.h"
#include "frame.h"
#include "join_body.h"
#include "join_frame.h"
#include "log.h"
#include "lookup.h"
#include "reply.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 500, RETRY_MS = 2000, ANSWER_MS = 10000 };
enum { SOON_TIMES = 20 }; /* as long as a registration took, to the next */
enum { INPUT_MAX = 1048576, READ_BYTES = 16384, NAMESRV_PORT = 9876 };

enum peer_state { PEER_IDLE, PEER_RESOLVING, PEER_CONNECTING, PEER_READY, PEER_CLOSING };

struct peer {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct lookup *lookup; /* while it is resolved */
    struct join *join;
    struct tls *tls; /* NULL: it is plain, or not connected */
    struct buffer input;
    enum peer_state state;
    int32_t opaque;   /* of the request that is not answered */
    int64_t asked_ms; /* when that was sent, or the name looked up; 0: everything is answered */
    int64_t told_ms;  /* of the last registration */
    int64_t retry_ms;
    uint64_t told;   /* the version it has, or is about to have */
    uint32_t part;   /* of that, the one it was told last */
    bool parts;      /* there are more */
    bool registered; /* it has said so since it was reached */
    bool silent;     /* its absence is in the log */
    bool more;       /* it has an address that was not tried in this round */
    uint32_t turn;   /* of its addresses, the next one to be tried */
    char host[LOOKUP_HOST_MAX];
    char port[LOOKUP_PORT_MAX];
};

struct join {
    struct broker *broker;
    uv_timer_t tick;
    uv_timer_t soon;
    uv_async_t found;          /* the answer to some look-up */
    struct tls_setup *tls;     /* NULL: name servers are plain */
    struct accounts *accounts; /* one, or NULL: nothing is signed */
    struct buffer frame;
    uint64_t version;
    uint64_t took_ms; /* the last registration, to be put together */
    uint32_t busy;    /* handles whose end is still to come */
    uint32_t count;
    bool leaving;
    struct peer peers[JOIN_PEERS_MAX];
    uint8_t block[READ_BYTES]; /* what came by TLS */
};

struct message { /* on its way */
    uv_write_t write;
    struct peer *peer;
    uint8_t data[];
};

static int64_t now_ms(const struct join *join)
{
    return (int64_t)uv_now(&join->broker->loop);
}

static void peer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    buffer_free(&peer->input);
    tls_free(peer->tls);
    peer->tls = NULL;
    peer->state = PEER_IDLE;
    peer->asked_ms = 0;
    peer->registered = false;
    peer->retry_ms = now_ms(peer->join) + (peer->more ? 0 : RETRY_MS);
    peer->join->busy--;
}

/* Once for each absence. */
static void peer_say(struct peer *peer, const char *why)
{
    if (peer->more)
        return; /* at another address it may be there */
    if (!peer->silent && !peer->join->leaving)
        log_line(LOG_WARN, "name server %s:%s: %s", peer->host, peer->port, why);
    peer->silent = true;
}

static void peer_fail(struct peer *peer, const char *why)
{
    peer_say(peer, why);
    if (peer->state == PEER_RESOLVING || peer->state == PEER_IDLE) {
        peer->state = PEER_IDLE;
        peer->asked_ms = 0;
        peer->retry_ms = now_ms(peer->join) + RETRY_MS;
    } else if (peer->state != PEER_CLOSING) {
        peer->state = PEER_CLOSING;
        uv_close((uv_handle_t *)&peer->tcp, peer_closed);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct message *message = (struct message *)(void *)write;
    struct peer *peer = message->peer;
    free(message);
    if (status < 0 && peer->state == PEER_READY)
        peer_fail(peer, uv_strerror(status));
}

static void peer_write(struct peer *peer, const struct buffer *bytes)
{
    struct message *message = malloc(sizeof *message + bytes->used);
    if (message == NULL) {
        peer_fail(peer, "no memory");
        return;
    }
    memcpy(message->data, bytes->data, bytes->used);
    message->peer = peer;
    uv_buf_t out = uv_buf_init((char *)message->data, (unsigned)bytes->used);
    if (uv_write(&message->write, (uv_stream_t *)&peer->tcp, &out, 1, on_written) != 0) {
        free(message);
        peer_fail(peer, "cannot be written to");
    }
}

/* What TLS has to say. */
static void peer_flush(struct peer *peer)
{
    struct buffer *out = &peer->join->frame;
    buffer_clear(out);
    tls_fetch(peer->tls, out);
    if (out->failed)
        peer_fail(peer, "no memory");
    else if (out->used > 0)
        peer_write(peer, out);
}

static void peer_send(struct peer *peer, struct command *request)
{
    struct join *join = peer->join;
    request->opaque = ++peer->opaque;
    if (!join_frame(join->broker, join->accounts, request, &join->frame)) {
        peer_fail(peer, "a request that cannot be made");
        return;
    }
    peer->asked_ms = now_ms(join);
    if (peer->tls == NULL)
        peer_write(peer, &join->frame);
    else if (!tls_put(peer->tls, join->frame.data, join->frame.used))
        peer_fail(peer, tls_why(peer->tls));
    else
        peer_flush(peer);
}

static void add_field(struct command *request, const char *name, const char *value)
{
    (void)command_add(request, text_of(name), text_of(value));
}

/* With who we are, as both requests say it. */
static void request_begin_as(struct command *request, int32_t code, const struct broker *broker)
{
    command_init(request);
    request->code = code;
    add_field(request, "brokerName", broker->options->name);
    add_field(request, "brokerAddr", broker->options->advertise_text);
    add_field(request, "clusterName", broker->options->cluster);
    add_field(request, "brokerId", "0");
}

static void peer_register_part(struct peer *peer)
{
    struct join *join = peer->join;
    struct broker *broker = join->broker;
    const uint64_t begin = uv_hrtime();
    char *body = join_body(broker, peer->told, peer->part, &peer->parts);
    struct command request;
    char crc[16];
    if (body == NULL) {
        peer_fail(peer, "no memory");
        return;
    }
    (void)snprintf(crc, sizeof crc, "%u", crc32_of(text_of(body)) & 0x7fffffff);
    request_begin_as(&request, REQUEST_BROKER_REGISTER, broker);
    add_field(&request, "haServerAddr", broker->options->advertise_text);
    add_field(&request, "compressed", "false");
    add_field(&request, "enableActingMaster", "false");
    add_field(&request, "bodyCrc32", crc);
    request.body = text_of(body);
    peer_send(peer, &request);
    free(body);
    join->took_ms += (uv_hrtime() - begin) / 1000000;
}

/* Its first part; the others when that is answered. */
static void peer_register(struct peer *peer)
{
    struct join *join = peer->join;
    join->took_ms = 0;
    peer->part = 0;
    peer->told = join->version;
    peer->told_ms = now_ms(join);
    peer_register_part(peer);
}

static void peer_answer(struct peer *peer, const struct command *command)
{
    if (!(command->flag & FLAG_RESPONSE) || peer->asked_ms == 0 || command->opaque != peer->opaque)
        return;
    peer->asked_ms = 0;
    if (command->code != REPLY_OK) {
        log_line(LOG_WARN, "name server %s:%s: refuses this broker: %d %.*s", peer->host,
                 peer->port, command->code, (int)command->remark.bytes, command->remark.data);
        return;
    }
    if (peer->parts && !peer->join->leaving) {
        peer->part++;
        peer_register_part(peer);
        return;
    }
    if (!peer->registered)
        log_line(LOG_INFO, "name server %s:%s: knows this broker", peer->host, peer->port);
    peer->turn -= peer->registered ? 0 : 1; /* here again, next time */
    peer->more = false;
    peer->registered = !peer->join->leaving;
    peer->silent = false;
    if (!peer->join->leaving && peer->told != peer->join->version)
        peer_register(peer);
}

static void peer_frames(struct peer *peer)
{
    struct buffer *input = &peer->input;
    struct command *command = malloc(sizeof *command);
    size_t done = 0;
    while (peer->state == PEER_READY && command != NULL) {
        struct frame frame;
        const enum frame_status status = frame_take(input->data + done, input->used - done, &frame);
        if (status == FRAME_PART)
            break;
        if (status == FRAME_BAD ||
            !(frame.type == HEADER_BINARY
                  ? header_binary_decode(frame.header, frame.header_bytes, command)
                  : header_json_decode(frame.header, frame.header_bytes, command))) {
            peer_fail(peer, "what it says is not of this protocol");
            break;
        }
        done += frame.bytes;
        peer_answer(peer, command);
    }
    free(command);
    if (peer->state != PEER_READY)
        return;
    input->used -= done;
    if (input->used > 0)
        memmove(input->data, input->data + done, input->used);
    if (command == NULL || input->used > INPUT_MAX)
        peer_fail(peer, "says too much");
}

static void peer_is_ready(struct peer *peer)
{
    peer->state = PEER_READY;
    peer_register(peer);
}

/* So many bytes are in the block of all. */
static void peer_decrypt(struct peer *peer, size_t bytes)
{
    int64_t got = tls_take(peer->tls, peer->join->block, bytes) ? 1 : -1;
    while (got > 0 && peer->state != PEER_CLOSING) {
        uint8_t *room = buffer_room(&peer->input, READ_BYTES);
        got = room == NULL ? -1 : tls_read(peer->tls, room, READ_BYTES);
        if (got > 0) {
            peer->input.used += (size_t)got;
            peer_frames(peer);
        }
    }
    if (peer->state == PEER_CLOSING)
        return;
    peer_flush(peer); /* an alert, too */
    if (got < 0)
        peer_fail(peer, tls_why(peer->tls));
    else if (peer->state == PEER_CONNECTING && tls_is_ready(peer->tls))
        peer_is_ready(peer);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct peer *peer = handle->data;
    uint8_t *room = peer->tls != NULL ? peer->join->block : buffer_room(&peer->input, READ_BYTES);
    (void)suggested;
    *out = uv_buf_init((char *)room, room == NULL ? 0 : READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *where)
{
    struct peer *peer = stream->data;
    (void)where;
    if (got < 0) {
        peer_fail(peer, got == UV_EOF ? "has closed the connection" : uv_strerror((int)got));
    } else if (peer->tls != NULL) {
        peer_decrypt(peer, (size_t)got);
    } else {
        peer->input.used += (size_t)got;
        peer_frames(peer);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct peer *peer = connect->data;
    const struct join *join = peer->join;
    if (peer->state != PEER_CONNECTING)
        return;
    if (status == 0 && join->tls != NULL)
        peer->tls = tls_connect(join->tls, peer->host);
    if (status == 0 && join->tls != NULL && peer->tls == NULL)
        status = UV_ENOMEM;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&peer->tcp, on_room, on_read);
    if (status < 0) {
        peer_fail(peer, uv_strerror(status));
        return;
    }
    (void)uv_tcp_nodelay(&peer->tcp, 1);
    (void)uv_tcp_keepalive(&peer->tcp, 1, 30);
    if (peer->tls != NULL)
        peer_decrypt(peer, 0); /* it begins */
    else
        peer_is_ready(peer);
}

/* The one whose turn it is. */
static const struct addrinfo *peer_address(struct peer *peer, const struct addrinfo *found)
{
    uint32_t count = 0;
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next)
        count++;
    uint32_t steps = peer->turn++ % count;
    peer->more = steps + 1 < count;
    while (steps-- > 0)
        found = found->ai_next;
    return found;
}

/* Takes over the addresses. */
static void peer_connect(struct peer *peer, struct addrinfo *found)
{
    struct join *join = peer->join;
    const struct addrinfo *address = peer_address(peer, found);
    int status = uv_tcp_init(&join->broker->loop, &peer->tcp);
    if (status == 0) {
        join->busy++;
        peer->tcp.data = peer->connect.data = peer;
        peer->state = PEER_CONNECTING;
        peer->asked_ms = now_ms(join);
        status = uv_tcp_connect(&peer->connect, &peer->tcp, address->ai_addr, on_connected);
    }
    if (status < 0)
        peer_fail(peer, uv_strerror(status));
    freeaddrinfo(found);
}

static void on_found(uv_async_t *async)
{
    struct join *join = async->data;
    for (uint32_t i = 0; i < join->count && !join->leaving; i++) {
        struct peer *peer = &join->peers[i];
        struct addrinfo *found;
        const char *why;
        if (peer->state != PEER_RESOLVING || !lookup_take(peer->lookup, &found, &why))
            continue;
        peer->lookup = NULL;
        if (found == NULL)
            peer_fail(peer, why);
        else
            peer_connect(peer, found);
    }
}

static void peer_reach(struct peer *peer)
{
    struct join *join = peer->join;
    struct addrinfo *found = lookup_numeric(peer->host, peer->port);
    peer->more = false;
    if (found != NULL) {
        peer_connect(peer, found);
        return;
    }
    peer->state = PEER_RESOLVING;
    peer->asked_ms = now_ms(join);
    peer->lookup = lookup_begin(peer->host, peer->port, &join->found);
    if (peer->lookup == NULL)
        peer_fail(peer, "no thread to look it up");
}

static void peer_beat(struct peer *peer, int64_t now)
{
    if (peer->state == PEER_READY && peer->asked_ms == 0 && now - peer->told_ms >= JOIN_BEAT_MS)
        peer_register(peer);
}

static void on_tick(uv_timer_t *timer)
{
    struct join *join = timer->data;
    const int64_t now = now_ms(join);
    for (uint32_t i = 0; i < join->count; i++) {
        struct peer *peer = &join->peers[i];
        if (peer->state == PEER_IDLE && now >= peer->retry_ms)
            peer_reach(peer);
        else if (peer->asked_ms == 0 || now - peer->asked_ms <= ANSWER_MS)
            peer_beat(peer, now);
        else if (peer->state == PEER_RESOLVING)
            peer_say(peer, "its name is still being looked up");
        else
            peer_fail(peer, "does not answer");
    }
}

static void on_soon(uv_timer_t *timer)
{
    struct join *join = timer->data;
    join->version++;
    for (uint32_t i = 0; i < join->count; i++) {
        struct peer *peer = &join->peers[i];
        if (peer->state == PEER_READY && peer->asked_ms == 0)
            peer_register(peer); /* else: when it has answered */
    }
}

void join_changed(struct broker *broker)
{
    struct join *join = broker->join;
    if (join != NULL && !join->leaving && !uv_is_active((uv_handle_t *)&join->soon))
        uv_timer_start(&join->soon, on_soon, join->took_ms * SOON_TIMES, 0);
}

static bool peers_of(struct join *join, const char *list)
{
    while (*list != '\0') {
        const size_t bytes = strcspn(list, ",;");
        struct peer *peer = &join->peers[join->count];
        peer->join = join;
        if (join->count == JOIN_PEERS_MAX - 1 ||
            !lookup_parse((struct text){list, bytes}, NAMESRV_PORT, peer->host, peer->port)) {
            log_line(LOG_ERROR, "--join: no address, or too many: %s", list);
            return false;
        }
        join->count++;
        list += bytes + (list[bytes] != '\0' ? 1 : 0);
    }
    return join->count > 0;
}

static void join_free(struct join *join)
{
    tls_setup_free(join->tls);
    accounts_free(join->accounts);
    buffer_free(&join->frame);
    free(join);
}

/* Whom to trust, and as whom to speak. */
static bool join_credentials(struct join *join, const struct options_net *net)
{
    if (net->join_tls_ca != NULL && (join->tls = tls_trust(net->join_tls_ca)) == NULL)
        return false;
    if (net->join_account == NULL)
        return true;
    join->accounts = accounts_read(net->join_account);
    if (join->accounts == NULL || accounts_only(join->accounts) != NULL)
        return join->accounts != NULL;
    log_line(LOG_ERROR, "accounts %s: there has to be one, and one only", net->join_account);
    return false;
}

bool join_start(struct broker *broker)
{
    const struct options_net *net = &broker->options->net;
    if (net->join == NULL)
        return true;
    struct join *join = calloc(1, sizeof *join);
    if (join == NULL)
        return false;
    join->broker = broker;
    join->version = 1;
    if (!peers_of(join, net->join) || !join_credentials(join, net) ||
        uv_async_init(&broker->loop, &join->found, on_found) != 0) {
        join_free(join);
        return false;
    }
    uv_timer_init(&broker->loop, &join->tick);
    uv_timer_init(&broker->loop, &join->soon);
    join->tick.data = join->soon.data = join->found.data = join;
    broker->join = join;
    return uv_timer_start(&join->tick, on_tick, 0, TICK_MS) == 0;
}

void join_leave(struct broker *broker)
{
    struct join *join = broker->join;
    if (join == NULL)
        return;
    join->leaving = true;
    uv_timer_stop(&join->tick);
    uv_timer_stop(&join->soon);
    for (uint32_t i = 0; i < join->count; i++) {
        struct peer *peer = &join->peers[i];
        if (peer->state != PEER_READY || !(peer->registered || peer->asked_ms != 0))
            continue;
        struct command request;
        request_begin_as(&request, REQUEST_BROKER_UNREGISTER, join->broker);
        peer_send(peer, &request);
    }
}

bool join_left(const struct broker *broker)
{
    const struct join *join = broker->join;
    for (uint32_t i = 0; join != NULL && i < join->count; i++) {
        if (join->peers[i].state == PEER_READY && join->peers[i].asked_ms != 0)
            return false;
    }
    return true;
}

static void on_own_closed(uv_handle_t *handle)
{
    struct join *join = handle->data;
    join->busy--;
}

void join_stop(struct broker *broker)
{
    struct join *join = broker->join;
    if (join == NULL)
        return;
    for (uint32_t i = 0; i < join->count; i++) {
        struct peer *peer = &join->peers[i];
        if (peer->state == PEER_RESOLVING)
            lookup_forget(peer->lookup);
        else if (peer->state != PEER_IDLE)
            peer_fail(peer, "the broker stops");
    }
    join->busy += 3;
    uv_close((uv_handle_t *)&join->tick, on_own_closed);
    uv_close((uv_handle_t *)&join->soon, on_own_closed);
    uv_close((uv_handle_t *)&join->found, on_own_closed);
    while (join->busy > 0)
        (void)uv_run(&broker->loop, UV_RUN_ONCE);
    join_free(join);
    broker->join = NULL;
}
