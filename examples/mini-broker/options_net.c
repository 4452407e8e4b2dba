/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options_net.c - the options of options_net.h, commitlog-mini-broker(1).
 *
 * Happy path: one option, one field. Failure modes: false, and who asked says which value it was.
 */
#include "options_net.h"

#include <stddef.h>
#include <string.h>

const char options_net_help[] =
    "  --join ADDR[:PORT][,...]  name servers of RocketMQ that are told of this broker (9876)\n"
    "  --join-tls-ca FILE        they speak TLS, with a certificate by one of these\n"
    "  --join-account FILE       one account, which signs what they are told\n"
    "  --tls MODE                disabled, permissive (clients choose) or enforcing (permissive\n"
    "                            with --tls-cert)\n"
    "  --tls-cert FILE           the broker's certificate, and those between it and its root\n"
    "  --tls-key FILE            its key, without a passphrase\n"
    "  --tls-client-ca FILE      clients show a certificate by one of these\n"
    "  --acl FILE                accounts, one of which signs each request\n";

void options_net_begin(struct options_net *out)
{
    *out = (struct options_net){.tls = TLS_UNSAID};
}

static bool take_mode(const char *value, enum tls_mode *out)
{
    static const char *const names[] = {"disabled", "permissive", "enforcing"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = (enum tls_mode)i;
            return true;
        }
    }
    return false;
}

bool options_net_take(int option, const char *value, struct options_net *out)
{
    switch (option) {
    case OPT_NET_JOIN:
        out->join = value;
        return value[0] != '\0';
    case OPT_NET_JOIN_TLS_CA:
        out->join_tls_ca = value;
        return true;
    case OPT_NET_JOIN_ACCOUNT:
        out->join_account = value;
        return true;
    case OPT_NET_TLS:
        return take_mode(value, &out->tls);
    case OPT_NET_TLS_CERT:
        out->tls_cert = value;
        return true;
    case OPT_NET_TLS_KEY:
        out->tls_key = value;
        return true;
    case OPT_NET_TLS_CLIENT_CA:
        out->tls_client_ca = value;
        return true;
    case OPT_NET_ACL:
        out->acl = value;
        return true;
    default:
        return false;
    }
}

const char *options_net_finish(struct options_net *net)
{
    if (net->tls == TLS_UNSAID)
        net->tls = net->tls_cert != NULL ? TLS_PERMISSIVE : TLS_DISABLED;
    if (net->tls != TLS_DISABLED && (net->tls_cert == NULL || net->tls_key == NULL))
        return "TLS needs --tls-cert FILE and --tls-key FILE";
    if (net->tls == TLS_DISABLED && net->tls_client_ca != NULL)
        return "--tls-client-ca is of no use without TLS";
    if (net->join == NULL && (net->join_tls_ca != NULL || net->join_account != NULL))
        return "--join-tls-ca and --join-account are of no use without --join";
    return NULL;
}
