/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options_net.h - those options that are about other machines: whom to join, whom to trust.
 *
 * Owns: the texts, which live as long as argv. Threads: written before there are any, then read.
 */
#ifndef MINI_BROKER_OPTIONS_NET_H
#define MINI_BROKER_OPTIONS_NET_H

#include <stdbool.h>

struct options_net {
    const char *join; /* addresses of name servers, or NULL */
};

enum { OPTIONS_NET_FIRST = 512, OPT_NET_JOIN = OPTIONS_NET_FIRST, OPTIONS_NET_END };

/* Rows for getopt_long. */
#define OPTIONS_NET_ROWS                                                                           \
    {                                                                                              \
        "join", required_argument, NULL, OPT_NET_JOIN                                              \
    }

extern const char options_net_help[];
/* False: that value cannot be. */
bool options_net_take(int option, const char *value, struct options_net *out);
/* NULL, or what is missing for those that are there. */
const char *options_net_check(const struct options_net *net);

#endif
