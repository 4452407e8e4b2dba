/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * two_addresses.c -- preloaded into the mini-broker: the name "two.example.org" is 127.0.0.2 and
 * then 127.0.0.1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

typedef int ask(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    ask *real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name == NULL || strcmp(name, "two.example.org") != 0 ||
        (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0)) {
        return real(name, service, hints, out);
    }
    int status = real("127.0.0.2", service, hints, out);
    return status != 0 ? status : real("127.0.0.1", service, hints, &(*out)->ai_next);
}
