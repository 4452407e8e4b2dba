/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h -- another process that has the store open read-only and is asked, now and then, whether
 * everything that was acknowledged is there.
 *
 * Owns: the process, a socket to it. It reads the acknowledgements from the file itself.
 * Invariants: it is forked while its parent has no store open; it never writes to the store.
 */
#ifndef TESTS_DISK_PEER_H
#define TESTS_DISK_PEER_H

#include <sys/types.h>

#include "../powercut/session.h"

/* How a program ended that found what it must not find. */
enum { EXIT_WRONG = 1, EXIT_SIGBUS = 3, EXIT_LOST = 5 };

struct peer {
    pid_t pid;
    int fd;
};

/* Begins it; it opens the store with the first question. */
void peer_begin(struct peer *peer, const char *store, const char *acks);
/* Asks; ends the program as peer_compare does, or with what the peer died of. */
void peer_ask(struct peer *peer);
/* In the process that does not ask: forgets the socket. */
void peer_leave(struct peer *peer);
void peer_end(struct peer *peer);

/* Compares an open store with the acknowledgements of at least this level: ends the program with
 * EXIT_LOST when one is missing or differs. FORGET=1 in the environment hides one: it must end. */
void peer_compare(struct commitlog_store *store, const char *acks, uint32_t least, const char *who);
/* The status of waitpid. */
int process_wait(pid_t pid);
/* Ends the program unless the child ended well; `killed`: it was to die of SIGKILL. */
void peer_judge(int status, bool killed, const char *who);

#endif
