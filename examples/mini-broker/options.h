/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - what the command line says, and the configuration file where it does not.
 *
 * Owns: the texts, until options_free. Threads: the loop's; what reload.c changes is read by no
 * other.
 */
#ifndef MINI_BROKER_OPTIONS_H
#define MINI_BROKER_OPTIONS_H

#include "bytes.h"
#include "log.h"
#include "options_net.h"

#include <netinet/in.h>

struct host { /* as messages have it: address, then the port as 32 bits */
    uint8_t bytes[20];
    uint8_t count; /* 8, or 20 with an address of IPv6 */
};

enum { OPTIONS_MAX = 64 };

struct options {
    int argc;
    char **argv;
    char *given[OPTIONS_MAX]; /* what each option was set to, by number; NULL: by nobody */
    enum log_level log_level;
    struct sockaddr_storage http;
    bool has_http;
    uint32_t connections;     /* of clients, at most */
    uint64_t unflushed_bytes; /* 0: no limit */
    const char *data;
    struct sockaddr_storage listen;
    struct sockaddr_storage namesrv;
    char advertise_text[INET6_ADDRSTRLEN + 10]; /* with the port */
    struct host advertise;
    const char *cluster;
    const char *name;      /* of the broker */
    uint64_t retain_bytes; /* 0: all */
    uint32_t retain_hours; /* 0: for ever */
    bool sync;             /* answer when durable */
    bool auto_topics;
    uint32_t queues; /* of a topic that a producer creates, at most */
    uint32_t transaction_check_ms;
    uint32_t transaction_checks;
    struct options_net net;
};

enum options_status { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };
/* Good for options_free whatever is returned. */
enum options_status options_parse(int argc, char **argv, struct options *out);
void options_free(struct options *options);
/* By its number in `given`; NULL: behind the last. */
const char *options_name(unsigned number);

/* Address and port as messages have them; IPv4 within IPv6 becomes IPv4. */
void host_of(const struct sockaddr_storage *address, struct host *out);
/* "10.0.0.1:80"; how many bytes, without the NUL. */
size_t host_text(const struct host *host, char *out, size_t room);

#endif
