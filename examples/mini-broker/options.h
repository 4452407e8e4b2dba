/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - what the command line says, and a file of options.
 *
 * Owns: nothing; the texts live as long as the process. Threads: written before there are any, then
 * read.
 */
#ifndef MINI_BROKER_OPTIONS_H
#define MINI_BROKER_OPTIONS_H

#include "bytes.h"
#include "options_net.h"

#include <netinet/in.h>

struct host { /* as messages have it: address, then the port as 32 bits */
    uint8_t bytes[20];
    uint8_t count; /* 8, or 20 with an address of IPv6 */
};

struct options {
    const char *config; /* a file with the same, or NULL */
    const char *data;
    struct sockaddr_storage listen;
    struct sockaddr_storage namesrv;
    char advertise_text[INET6_ADDRSTRLEN + 10]; /* with the port */
    struct host advertise;
    const char *cluster;
    const char *name;         /* of the broker */
    const char *retain_bytes; /* as the library's option of this name, or NULL */
    uint32_t retain_hours;    /* 0: for ever */
    bool sync;                /* answer when durable */
    bool auto_topics;
    uint32_t queues; /* of a topic that a producer creates, at most */
    uint32_t transaction_check_ms;
    uint32_t transaction_checks;
    struct options_net net;
};

enum options_status { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };
enum options_status options_parse(int argc, char **argv, struct options *out);
/* Reads the level of the log from the file again; the rest needs a new start. */
void options_reload(const struct options *options);

/* Address and port as messages have them; IPv4 within IPv6 becomes IPv4. */
void host_of(const struct sockaddr_storage *address, struct host *out);
/* "10.0.0.1:80"; how many bytes, without the NUL. */
size_t host_text(const struct host *host, char *out, size_t room);

#endif
