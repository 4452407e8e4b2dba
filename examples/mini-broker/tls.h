/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls.h - TLS below the connections of clients, and below those to name servers, by OpenSSL.
 *
 * Owns: the certificate and key, whom to trust, and of each connection the state of its TLS and
 * what is encrypted but not sent. Invariants: 1. a connection is TLS or it is not from its first
 * byte on; 2. nothing that was not encrypted is sent on one that is; 3. what is encrypted and waits
 * is at most TLS_WAITING_MAX and one answer of the handshake, if the caller reads no more then; 4.
 * there is no renegotiation, no resumption, and no TLS before 1.2; 5. no key, and nothing of what
 * is said on a connection, gets into the log. Threads: the loop's.
 */
#ifndef MINI_BROKER_TLS_H
#define MINI_BROKER_TLS_H

#include "broker.h"
#include "output.h"

enum { TLS_HANDSHAKE_MS = 10000, TLS_WAITING_MAX = 65536, TLS_TAKE_MAX = 16384 };

struct tls; /* of one connection */
struct tls_setup;

/* Nothing without a certificate. */
bool tls_start(struct broker *broker);
void tls_stop(struct broker *broker);

/* What a connection is, by its first byte. */
enum tls_kind { TLS_PLAIN, TLS_BEGINS, TLS_REFUSED };
enum tls_kind tls_kind_of(const struct broker *broker, uint8_t first);

/* NULL: no memory. */
struct tls *tls_accept(struct broker *broker);
void tls_free(struct tls *tls);
/* Bytes that came; false: no memory. */
bool tls_take(struct tls *tls, const uint8_t *data, size_t bytes);
/* Plain bytes of those: how many, 0: none are whole, -1: the end, tls_why says which. */
int64_t tls_read(struct tls *tls, uint8_t *to, size_t room);
/* As output_write; with an empty output, what the handshake has to say. */
int tls_write(struct tls *tls, struct output *output, int fd);
/* Encrypted, and not sent. */
size_t tls_waiting(const struct tls *tls);
/* The handshake takes too long. */
bool tls_is_late(const struct tls *tls, int64_t now_ms);
/* Says farewell, if the socket takes it at once. */
void tls_end(struct tls *tls, int fd);
/* A text that stays. */
const char *tls_why(const struct tls *tls);

/* To a server whose certificate is by one of those in the file. NULL and a line in the log: it
 * cannot be read. */
struct tls_setup *tls_trust(const char *ca);
void tls_setup_free(struct tls_setup *setup);
/* The certificate has to be for that name or address. NULL: no memory. */
struct tls *tls_connect(const struct tls_setup *setup, const char *host);
/* The handshake is over, and the certificate was good. */
bool tls_is_ready(const struct tls *tls);
/* Plain bytes; false: broken. */
bool tls_put(struct tls *tls, const uint8_t *data, size_t bytes);
/* Moves what is encrypted behind the bytes of the buffer. */
void tls_fetch(struct tls *tls, struct buffer *out);

#endif
