/* SPDX-License-Identifier: BSD-2-Clause */
/* peer.c -- a read-only process beside the writer; see peer.h. */
#define _GNU_SOURCE
#include "peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long long ull;

void peer_compare(struct commitlog_store *store, const char *acks, uint32_t least, const char *who)
{
    struct evidence evidence;
    struct verdict verdict;
    uint32_t forget = UINT32_MAX;
    acks_load(acks, &evidence);
    if (prog_env("FORGET", 0) != 0 && evidence.count > 0)
        forget = evidence.count - 1;
    evidence_check(&evidence, store, least, forget, &verdict);
    evidence_free(&evidence);
    if (verdict.lost + verdict.altered + verdict.broken == 0)
        return;
    printf("LOST: %s: lost=%llu altered=%llu broken=%llu first: %s\n", who, (ull)verdict.lost,
           (ull)verdict.altered, (ull)verdict.broken, verdict.first);
    fflush(stdout);
    _exit(EXIT_LOST);
}

static _Noreturn void peer_main(int fd, const char *path, const char *acks)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    char word = 0;
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL),
             COMMITLOG_OK);
    while (read(fd, &word, 1) == 1) {
        if (store == NULL)
            CHECK_OK(commitlog_open(path, options, &store, &err), &err);
        peer_compare(store, acks, COMMITLOG_LEVEL_NONE, "the live reader");
        CHECK(write(fd, &word, 1) == 1);
    }
    commitlog_options_free(options);
    CHECK_OK(commitlog_close(store, &err), &err);
    fflush(stdout);
    _exit(0);
}

void peer_begin(struct peer *peer, const char *store, const char *acks)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fflush(stdout);
    peer->pid = fork();
    CHECK(peer->pid >= 0);
    if (peer->pid == 0) {
        close(fds[0]);
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        peer_main(fds[1], store, acks);
    }
    close(fds[1]);
    peer->fd = fds[0];
}

void peer_ask(struct peer *peer)
{
    char word = 'c';
    if (write(peer->fd, &word, 1) != 1 || read(peer->fd, &word, 1) != 1) {
        /* Whoever forked it learns what it died of. */
        printf("the live reader is gone\n");
        fflush(stdout);
        _exit(EXIT_WRONG);
    }
}

void peer_leave(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}

void peer_end(struct peer *peer)
{
    peer_leave(peer);
    peer_judge(process_wait(peer->pid), false, "the live reader");
}

int process_wait(pid_t pid)
{
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

void peer_judge(int status, bool killed, const char *who)
{
    if (killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0)
        return;
    if (WIFSIGNALED(status))
        printf("%s died of signal %d\n", who, WTERMSIG(status));
    else
        printf("%s ended with %d\n", who, WEXITSTATUS(status));
    fflush(stdout);
    _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS ? EXIT_SIGBUS
          : WIFEXITED(status) && WEXITSTATUS(status) != 0   ? WEXITSTATUS(status)
                                                            : EXIT_WRONG);
}
