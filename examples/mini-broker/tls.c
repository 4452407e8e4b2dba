/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls.c - between the socket and the frames, by memory BIOs. See tls.h.
 *
 * What the socket gave goes into one BIO and is read from SSL; what SSL writes goes into the other
 * and from there to the socket. Records are filled: headers and bodies of many answers are in one.
 *
 * Happy path: the first byte is 0x16, handshake, then read and write. Failure modes: a handshake
 * that fails or takes longer than TLS_HANDSHAKE_MS, bytes that are no record of this connection, a
 * client that wants to negotiate again: the alert is sent if that is possible at once, and the
 * connection ends; a certificate or key that cannot be read: the broker does not start.
 */
#include "tls.h"

#include "log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { RECORD = 16384, FIRST_OF_TLS = 0x16 };

struct tls_setup {
    SSL_CTX *context;
    enum tls_mode mode;
};

struct tls {
    SSL *ssl;
    BIO *in, *out;       /* SSL's */
    struct buffer stuck; /* encrypted, and the socket did not take it */
    size_t stuck_at;
    int64_t begun_ms;
    const char *why;
    bool broken; /* SSL must not be asked again */
};

static const char *reason(const char *otherwise)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : otherwise;
}

/* A key with a passphrase is refused; nobody is at a terminal to be asked. */
static int no_passphrase(char *out, int room, int writing, void *context)
{
    (void)out;
    (void)room;
    (void)writing;
    (void)context;
    return 0;
}

static bool load(SSL_CTX *context, const struct options_net *net)
{
    const char *what = net->tls_cert;
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    bool good = SSL_CTX_use_certificate_chain_file(context, what) == 1;
    if (good) {
        what = net->tls_key;
        good = SSL_CTX_use_PrivateKey_file(context, what, SSL_FILETYPE_PEM) == 1 &&
               SSL_CTX_check_private_key(context) == 1;
    }
    if (good && net->tls_client_ca != NULL) {
        what = net->tls_client_ca;
        good = SSL_CTX_load_verify_locations(context, what, NULL) == 1;
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(what));
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (!good)
        log_line(LOG_ERROR, "TLS: %s: %s", what, reason("cannot be read"));
    return good;
}

bool tls_start(struct broker *broker)
{
    const struct options_net *net = &broker->options->net;
    if (net->tls == TLS_DISABLED)
        return true;
    struct tls_setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL)
        return false;
    broker->tls = setup;
    setup->mode = net->tls;
    ERR_clear_error();
    setup->context = SSL_CTX_new(TLS_server_method());
    if (setup->context == NULL || !load(setup->context, net))
        return false;
    (void)SSL_CTX_set_min_proto_version(setup->context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(setup->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                                  SSL_OP_NO_COMPRESSION |
                                                  SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_num_tickets(setup->context, 0);
    (void)SSL_CTX_set_session_cache_mode(setup->context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(setup->context, SSL_MODE_RELEASE_BUFFERS);
    log_line(LOG_INFO, "TLS: %s%s", setup->mode == TLS_ENFORCING ? "enforcing" : "permissive",
             net->tls_client_ca != NULL ? ", clients show a certificate" : "");
    return true;
}

void tls_setup_free(struct tls_setup *setup)
{
    if (setup == NULL)
        return;
    SSL_CTX_free(setup->context);
    free(setup);
}

void tls_stop(struct broker *broker)
{
    tls_setup_free(broker->tls);
    broker->tls = NULL;
}

struct tls_setup *tls_trust(const char *ca)
{
    struct tls_setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL)
        return NULL;
    ERR_clear_error();
    setup->context = SSL_CTX_new(TLS_client_method());
    if (setup->context == NULL || SSL_CTX_load_verify_locations(setup->context, ca, NULL) != 1) {
        log_line(LOG_ERROR, "TLS: %s: %s", ca, reason("cannot be read"));
        tls_setup_free(setup);
        return NULL;
    }
    SSL_CTX_set_verify(setup->context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_min_proto_version(setup->context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(setup->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    return setup;
}

enum tls_kind tls_kind_of(const struct broker *broker, uint8_t first)
{
    if (broker->tls == NULL)
        return TLS_PLAIN;
    if (first == FIRST_OF_TLS)
        return TLS_BEGINS;
    return broker->tls->mode == TLS_ENFORCING ? TLS_REFUSED : TLS_PLAIN;
}

static struct tls *tls_new(const struct tls_setup *setup)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return NULL;
    tls->why = "TLS: ended";
    tls->ssl = SSL_new(setup->context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    return tls;
}

struct tls *tls_accept(struct broker *broker)
{
    struct tls *tls = tls_new(broker->tls);
    if (tls == NULL)
        return NULL;
    tls->begun_ms = (int64_t)uv_now(&broker->loop);
    SSL_set_accept_state(tls->ssl);
    return tls;
}

struct tls *tls_connect(const struct tls_setup *setup, const char *host)
{
    struct tls *tls = tls_new(setup);
    if (tls == NULL)
        return NULL;
    SSL_set_connect_state(tls->ssl);
    char *name = (char *)(uintptr_t)host; /* a macro of OpenSSL drops the const */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), host) != 1 &&
        (SSL_set1_host(tls->ssl, host) != 1 || SSL_set_tlsext_host_name(tls->ssl, name) != 1)) {
        tls_free(tls);
        return NULL;
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl); /* and both BIOs */
    buffer_free(&tls->stuck);
    free(tls);
}

bool tls_take(struct tls *tls, const uint8_t *data, size_t bytes)
{
    return BIO_write(tls->in, data, (int)bytes) == (int)bytes;
}

/* What SSL says of a call that did not do all; true: it will when more has come. */
static bool tls_goes_on(struct tls *tls, int status)
{
    switch (SSL_get_error(tls->ssl, status)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return true;
    case SSL_ERROR_ZERO_RETURN:
        tls->why = "by the client";
        return false;
    default:
        tls->why = reason("TLS: broken");
        tls->broken = true;
        return false;
    }
}

int64_t tls_read(struct tls *tls, uint8_t *to, size_t room)
{
    if (tls->broken)
        return -1;
    ERR_clear_error();
    const int got = SSL_read(tls->ssl, to, room > INT32_MAX ? INT32_MAX : (int)room);
    return got > 0 ? got : tls_goes_on(tls, got) ? 0 : -1;
}

/* 1: so many bytes are gone, 0: the socket is full, -1: it is broken. */
static int tls_send(int fd, const uint8_t *data, size_t bytes, size_t *out_sent)
{
    *out_sent = 0;
    while (*out_sent < bytes) {
        const ssize_t sent =
            send(fd, data + *out_sent, bytes - *out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        *out_sent += (size_t)sent;
    }
    return 1;
}

/* What is encrypted goes to the socket, what was stuck first. */
static int tls_flush(struct tls *tls, int fd)
{
    uint8_t block[RECORD];
    size_t sent;
    if (tls->stuck_at < tls->stuck.used) {
        const int status =
            tls_send(fd, tls->stuck.data + tls->stuck_at, tls->stuck.used - tls->stuck_at, &sent);
        tls->stuck_at += sent;
        if (status != 1)
            return status;
        buffer_free(&tls->stuck);
        tls->stuck_at = 0;
    }
    int got;
    while ((got = BIO_read(tls->out, block, sizeof block)) > 0) {
        const int status = tls_send(fd, block, (size_t)got, &sent);
        if (status == 0) {
            buffer_put(&tls->stuck, block + sent, (size_t)got - sent);
            return tls->stuck.failed ? -1 : 0;
        }
        if (status < 0)
            return -1;
    }
    return 1;
}

int tls_write(struct tls *tls, struct output *output, int fd)
{
    uint8_t plain[RECORD];
    for (;;) {
        const int status = tls_flush(tls, fd);
        if (output->failed || status < 0)
            return -1;
        if (status == 0 || output->count == 0 || !SSL_is_init_finished(tls->ssl))
            return status;
        if (tls->broken)
            return -1;
        const size_t bytes = output_peek(output, plain, sizeof plain);
        ERR_clear_error();
        const int done = SSL_write(tls->ssl, plain, (int)bytes);
        OPENSSL_cleanse(plain, bytes);
        if (done != (int)bytes) {
            (void)tls_goes_on(tls, done);
            return -1;
        }
        output_drop(output, bytes);
    }
}

size_t tls_waiting(const struct tls *tls)
{
    return tls->stuck.used - tls->stuck_at + BIO_ctrl_pending(tls->out);
}

bool tls_is_late(const struct tls *tls, int64_t now_ms)
{
    return !SSL_is_init_finished(tls->ssl) && now_ms - tls->begun_ms > TLS_HANDSHAKE_MS;
}

void tls_end(struct tls *tls, int fd)
{
    if (!tls->broken && SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl);
    (void)tls_flush(tls, fd);
}

const char *tls_why(const struct tls *tls)
{
    return tls->why;
}

bool tls_is_ready(const struct tls *tls)
{
    return !tls->broken && SSL_is_init_finished(tls->ssl);
}

bool tls_put(struct tls *tls, const uint8_t *data, size_t bytes)
{
    ERR_clear_error();
    const int done = tls->broken ? -1 : SSL_write(tls->ssl, data, (int)bytes);
    if (done == (int)bytes)
        return true;
    if (!tls->broken)
        (void)tls_goes_on(tls, done);
    return false;
}

void tls_fetch(struct tls *tls, struct buffer *out)
{
    const size_t bytes = BIO_ctrl_pending(tls->out);
    uint8_t *room = bytes == 0 ? NULL : buffer_room(out, bytes);
    if (room == NULL)
        return;
    const int got = BIO_read(tls->out, room, (int)bytes);
    out->used += got > 0 ? (size_t)got : 0;
}
