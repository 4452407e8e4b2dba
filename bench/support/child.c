/* SPDX-License-Identifier: BSD-2-Clause */
/* child.c -- see child.h. */
#include "support/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/bench.h"

static _Noreturn void child_run(enum bench_child_end end, void (*run)(void *ctx), void *ctx)
{
    /* A child that is left alone would fill the disk for nobody. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(ctx);
    if (end == BENCH_CHILD_IS_KILLED) {
        (void)kill(getpid(), SIGKILL);
    }
    _exit(EXIT_SUCCESS);
}

void bench_child(enum bench_child_end end, void (*run)(void *ctx), void *ctx)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0) {
        bench_die("fork: %s", strerror(errno));
    }
    if (child == 0) {
        child_run(end, run, ctx);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            bench_die("waitpid: %s", strerror(errno));
        }
    }
    bool right = end == BENCH_CHILD_IS_KILLED
                     ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                     : WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
    if (!right) {
        bench_die("the child ended with status %#x", (unsigned)status);
    }
}

void *bench_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        bench_die("no shared memory for %zu bytes", bytes);
    }
    return memory;
}
