/* SPDX-License-Identifier: BSD-2-Clause */
/* beside.c -- see beside.h. */
#include "support/beside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/bench.h"

static pid_t beside; /* 0: there is none */

/* Whoever waits for the other process at a barrier would wait for ever. */
static void on_child(int number)
{
    static const char text[] = "the process beside has died\n";
    siginfo_t info = {.si_pid = 0};
    int before = errno;
    (void)number;
    if (beside != 0 && waitid(P_PID, (id_t)beside, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == beside && (info.si_code != CLD_EXITED || info.si_status != 0)) {
        ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)written;
        _exit(EXIT_FAILURE);
    }
    errno = before;
}

void beside_start(void (*run)(void *ctx), void *ctx)
{
    struct sigaction action = {.sa_flags = SA_RESTART | SA_NOCLDSTOP};
    action.sa_handler = on_child;
    bench_need(sigaction(SIGCHLD, &action, NULL) == 0 ? 0 : errno, "sigaction");
    pid_t parent = getpid();
    pid_t child = fork();
    bench_need(child >= 0 ? 0 : errno, "fork");
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(EXIT_FAILURE);
        }
        run(ctx);
        _exit(EXIT_SUCCESS);
    }
    beside = child;
    on_child(SIGCHLD); /* it may have been faster */
}

void beside_end(void)
{
    int status = 0;
    if (waitpid(beside, &status, 0) != beside || status != 0) {
        bench_die("the process beside ended with status %#x", (unsigned)status);
    }
    beside = 0;
}
