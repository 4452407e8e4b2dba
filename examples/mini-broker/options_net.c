/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options_net.c - the options of options_net.h, commitlog-mini-broker(1).
 *
 * Happy path: one option, one field. Failure modes: false, and who asked says which value it was.
 */
#include "options_net.h"

#include <stddef.h>

const char options_net_help[] =
    "  --join ADDR[:PORT][,...]  name servers of RocketMQ that are told of this broker (9876)\n";

bool options_net_take(int option, const char *value, struct options_net *out)
{
    switch (option) {
    case OPT_NET_JOIN:
        out->join = value;
        return value[0] != '\0';
    default:
        return false;
    }
}

const char *options_net_check(const struct options_net *net)
{
    (void)net;
    return NULL;
}
