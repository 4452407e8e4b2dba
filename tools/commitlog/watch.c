/*
 * watch.c -- signals and vanished readers: see watch.h.
 */
#include "watch.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "when.h"

/* timeout(1) sends its signal twice: only one that comes later is a second wish. */
enum { WATCH_GONE = -1, WATCH_REPEAT_MS = 20, WATCH_PATIENCE_S = 1 };

struct watch {
    pthread_t thread;
    pthread_t owner;      /* who called watch_start, and writes */
    pthread_mutex_t lock; /* protects store, progress and writing */
    struct commitlog_store *store;
    struct commitlog_progress *progress;
    bool writing;     /* the owner is in a write, or next to it */
    atomic_int ended; /* 0, a signal, or WATCH_GONE; written by the thread only */
    atomic_bool stop; /* written by watch_stop, release; read by the thread, acquire */
    unsigned int flags;
    int signals;  /* signalfd */
    int ended_fd; /* eventfd: readable once ended */
    int stop_fd;  /* eventfd: readable once watch_stop was called */
};

static void watch_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

/* That it is caught at all makes a write that waits for a reader return. */
static void watch_on_nudge(int signal_number)
{
    (void)signal_number;
}

/* SIGURG: it is ignored unless it is caught, so nobody is harmed whom it reaches too early. */
static void watch_catch_nudge(void)
{
    struct sigaction action = {.sa_handler = watch_on_nudge}; /* without SA_RESTART */
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    (void)sigaction(SIGURG, &action, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void watch_interrupt(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    if (watch->store != NULL) {
        (void)commitlog_interrupt(watch->store);
    }
    if (watch->progress != NULL) {
        commitlog_progress_cancel(watch->progress);
    }
    if (watch->writing) {
        (void)pthread_kill(watch->owner, SIGURG);
    }
    pthread_mutex_unlock(&watch->lock);
}

static void watch_mark(struct watch *watch, int why)
{
    assert(why != 0);
    if (atomic_load(&watch->ended) == 0) {
        atomic_store(&watch->ended, why);
        const uint64_t one = 1;
        (void)!write(watch->ended_fd, &one, sizeof(one));
    }
}

static void *watch_run(void *argument)
{
    struct watch *watch = argument;
    bool output = (watch->flags & WATCH_OUTPUT) != 0;
    double since = 0;
    while (!atomic_load(&watch->stop)) {
        struct pollfd polls[3] = {
            {.fd = watch->signals, .events = POLLIN},
            {.fd = watch->stop_fd, .events = POLLIN},
            {.fd = output ? 1 : -1, .events = 0}, /* errors only */
        };
        const bool ended = atomic_load(&watch->ended) != 0;
        if (poll(polls, 3, ended ? WATCH_REPEAT_MS : -1) < 0 && errno != EINTR) {
            break;
        }
        struct signalfd_siginfo info;
        if ((polls[0].revents & POLLIN) != 0 &&
            read(watch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            if (ended && when_clock() - since >= WATCH_PATIENCE_S) {
                _exit(128 + (int)info.ssi_signo); /* asked again: do not insist */
            }
            since = ended ? since : when_clock();
            watch_mark(watch, (int)info.ssi_signo);
        }
        if ((polls[2].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
            output = false;
            watch_mark(watch, WATCH_GONE);
        }
        if (atomic_load(&watch->ended) != 0) {
            watch_interrupt(watch);
        }
    }
    return NULL;
}

static void watch_close(struct watch *watch)
{
    const int fds[3] = {watch->signals, watch->ended_fd, watch->stop_fd};
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void watch_start(struct cli *cli, unsigned int flags)
{
    assert(cli != NULL && cli->watch == NULL);
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return;
    }
    sigset_t set;
    watch_set(&set);
    watch->flags = flags;
    watch->owner = pthread_self();
    pthread_mutex_init(&watch->lock, NULL);
    watch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    watch->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->signals < 0 || watch->ended_fd < 0 || watch->stop_fd < 0) {
        watch_close(watch);
        return;
    }
    /* An ignored signal (nohup, background of a script) stays ignored. */
    const int all[3] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        struct sigaction action;
        if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            sigdelset(&set, all[i]);
        }
    }
    watch_catch_nudge();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&watch->thread, NULL, watch_run, watch) != 0) {
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        watch_close(watch);
        return;
    }
    cli->watch = watch;
    cli->out.watch = watch;
}

void watch_stop(struct cli *cli)
{
    struct watch *watch = cli->watch;
    if (watch == NULL) {
        return;
    }
    assert(watch->store == NULL && watch->progress == NULL);
    atomic_store(&watch->stop, true);
    const uint64_t one = 1;
    (void)!write(watch->stop_fd, &one, sizeof(one));
    pthread_join(watch->thread, NULL);
    cli->watch = NULL;
    cli->out.watch = NULL;
    watch_close(watch);
}

void watch_store(struct watch *watch, struct commitlog_store *store)
{
    if (watch != NULL) {
        pthread_mutex_lock(&watch->lock);
        watch->store = store;
        pthread_mutex_unlock(&watch->lock);
    }
}

void watch_progress(struct watch *watch, struct commitlog_progress *progress)
{
    if (watch != NULL) {
        pthread_mutex_lock(&watch->lock);
        watch->progress = progress;
        pthread_mutex_unlock(&watch->lock);
    }
}

void watch_writes(struct watch *watch, bool writing)
{
    if (watch != NULL) {
        pthread_mutex_lock(&watch->lock);
        watch->writing = writing;
        pthread_mutex_unlock(&watch->lock);
    }
}

bool watch_ended(const struct watch *watch)
{
    return watch != NULL && atomic_load(&watch->ended) != 0;
}

int watch_status(const struct watch *watch)
{
    const int why = watch == NULL ? 0 : atomic_load(&watch->ended);
    if (why <= 0 || (watch->flags & WATCH_NORMAL) != 0) {
        return CLI_DONE;
    }
    return 128 + why;
}

int watch_status_of(const struct watch *watch, int status)
{
    const int ended = watch_status(watch);
    return ended == CLI_DONE ? status : ended;
}

int watch_fd(const struct watch *watch)
{
    return watch == NULL ? -1 : watch->ended_fd;
}

bool watch_sleep(const struct watch *watch, int timeout_ms)
{
    struct pollfd wait = {.fd = watch_fd(watch), .events = POLLIN};
    (void)poll(&wait, 1, timeout_ms);
    return watch_ended(watch);
}
