/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options_net.h - those options that are about other machines: whom to join, whom to trust.
 *
 * Owns: the texts, which live as long as argv. Threads: written before there are any, then read.
 */
#ifndef MINI_BROKER_OPTIONS_NET_H
#define MINI_BROKER_OPTIONS_NET_H

#include <stdbool.h>

enum tls_mode { TLS_DISABLED, TLS_PERMISSIVE, TLS_ENFORCING, TLS_UNSAID };

struct options_net {
    const char *join;         /* addresses of name servers, or NULL */
    const char *join_tls_ca;  /* file of PEM: who signs their certificates; NULL: they are plain */
    const char *join_account; /* file of one account, which signs what they are told, or NULL */
    enum tls_mode tls;
    const char *tls_cert; /* files of PEM */
    const char *tls_key;
    const char *tls_client_ca; /* NULL: clients show no certificate */
    const char *acl;           /* file of accounts; NULL: everybody may do everything */
};

enum {
    OPTIONS_NET_FIRST = 512,
    OPT_NET_JOIN = OPTIONS_NET_FIRST,
    OPT_NET_JOIN_TLS_CA,
    OPT_NET_JOIN_ACCOUNT,
    OPT_NET_TLS,
    OPT_NET_TLS_CERT,
    OPT_NET_TLS_KEY,
    OPT_NET_TLS_CLIENT_CA,
    OPT_NET_ACL,
    OPTIONS_NET_END
};

/* Rows for getopt_long. */
#define OPTIONS_NET_ROWS                                                                           \
    {"join", required_argument, NULL, OPT_NET_JOIN},                                               \
        {"join-tls-ca", required_argument, NULL, OPT_NET_JOIN_TLS_CA},                             \
        {"join-account", required_argument, NULL, OPT_NET_JOIN_ACCOUNT},                           \
        {"tls", required_argument, NULL, OPT_NET_TLS},                                             \
        {"tls-cert", required_argument, NULL, OPT_NET_TLS_CERT},                                   \
        {"tls-key", required_argument, NULL, OPT_NET_TLS_KEY},                                     \
        {"tls-client-ca", required_argument, NULL, OPT_NET_TLS_CLIENT_CA},                         \
    {                                                                                              \
        "acl", required_argument, NULL, OPT_NET_ACL                                                \
    }

extern const char options_net_help[];
/* Before the first option. */
void options_net_begin(struct options_net *out);
/* False: that value cannot be. */
bool options_net_take(int option, const char *value, struct options_net *out);
/* At the end: NULL, or what is missing for those that are there. */
const char *options_net_finish(struct options_net *net);

#endif
