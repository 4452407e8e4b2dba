/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_wait.c -- waiting and running: futex, eventfd, sleep, threads. See os.h.
 *
 * Invariants: a futex wait that a signal ends counts as woken: callers look at the word again
 *       anyway; threads of the library block every signal, so the host's handlers never run on
 *       them.
 * Threads and locks: any thread.
 * Happy path: one system call.
 * Failure modes: negative errno; thread_start gives back what it allocated.
 */
#include "os/os_linux.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/invariant.h"

CLG_STATIC_ASSERT(sizeof(pthread_t) <= sizeof(uint64_t), "a thread handle is 64 bits");

#define WAIT_NAME_BYTES 16

struct wait_thread {
    const struct commitlog_os *os; /* frees this */
    void (*fn)(void *arg);
    void *arg;
    char name[WAIT_NAME_BYTES];
};

int clg_linux_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    (void)os;
    struct timespec left;
    struct timespec *timeout = NULL;
    int op = shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE;
    CLG_ASSERT(word != NULL);
    CLG_ASSERT(timeout_ns >= 0);
    if (timeout_ns != CLG_OS_FOREVER) {
        left.tv_sec = (time_t)(timeout_ns / CLG_OS_NS_PER_S);
        left.tv_nsec = (long)(timeout_ns % CLG_OS_NS_PER_S);
        timeout = &left;
    }
    if (syscall(SYS_futex, word, op, expected, timeout, NULL, 0) == 0 || errno == EINTR) {
        return 0;
    }
    return -errno;
}

int clg_linux_futex_wake(const struct commitlog_os *os, const _Atomic uint32_t *word, int32_t count,
                         bool shared)
{
    (void)os;
    int op = shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE;
    CLG_ASSERT(word != NULL);
    CLG_ASSERT(count > 0);
    long n = syscall(SYS_futex, word, op, count, NULL, NULL, 0);
    return n >= 0 ? (int)n : -errno;
}

int clg_linux_eventfd_create(const struct commitlog_os *os)
{
    (void)os;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? clg_linux_above_standard(fd) : -errno;
}

int clg_linux_eventfd_signal(const struct commitlog_os *os, int fd)
{
    (void)os;
    uint64_t one = 1;
    ssize_t n;
    CLG_ASSERT(fd >= 0);
    do {
        n = write(fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    /* A full counter is a signal that is still there. */
    return n >= 0 || errno == EAGAIN ? 0 : -errno;
}

int clg_linux_eventfd_drain(const struct commitlog_os *os, int fd)
{
    (void)os;
    uint64_t count = 0;
    ssize_t n;
    CLG_ASSERT(fd >= 0);
    do {
        n = read(fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        CLG_ASSERT(count > 0);
        return 1;
    }
    return errno == EAGAIN ? 0 : -errno;
}

void clg_linux_sleep_ns(const struct commitlog_os *os, int64_t ns)
{
    (void)os;
    struct timespec left;
    CLG_ASSERT(ns >= 0);
    left.tv_sec = (time_t)(ns / CLG_OS_NS_PER_S);
    left.tv_nsec = (long)(ns % CLG_OS_NS_PER_S);
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

static void *wait_thread_main(void *ptr)
{
    struct wait_thread *thread = (struct wait_thread *)ptr;
    CLG_ASSERT(thread != NULL);
    CLG_ASSERT(thread->fn != NULL);
    void (*fn)(void *arg) = thread->fn;
    void *arg = thread->arg;
    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->os->free(thread->os, thread);
    fn(arg);
    return NULL;
}

int clg_linux_thread_start(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                           const char *name, uint64_t *handle)
{
    sigset_t all;
    sigset_t before;
    pthread_t id;
    CLG_ASSERT(fn != NULL && handle != NULL);
    CLG_ASSERT(name != NULL && strlen(name) < WAIT_NAME_BYTES);
    struct wait_thread *thread = (struct wait_thread *)os->alloc(os, sizeof(*thread));
    if (thread == NULL) {
        return -ENOMEM;
    }
    thread->os = os;
    thread->fn = fn;
    thread->arg = arg;
    memcpy(thread->name, name, strlen(name)); /* the rest is zero */
    /* A new thread inherits the mask: no moment in which it could take a signal. */
    (void)sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(&id, NULL, wait_thread_main, thread);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (rc != 0) {
        os->free(os, thread);
        return -rc;
    }
    *handle = 0;
    memcpy(handle, &id, sizeof(id));
    return 0;
}

int clg_linux_thread_join(const struct commitlog_os *os, uint64_t handle)
{
    (void)os;
    pthread_t id;
    CLG_ASSERT(handle != 0);
    memcpy(&id, &handle, sizeof(id));
    CLG_ASSERT(!pthread_equal(id, pthread_self()));
    return -pthread_join(id, NULL);
}
