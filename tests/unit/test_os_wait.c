/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os_wait.c -- lib/os: mutex, waiting for words, threads, eventfd, clocks, EINTR.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/order.h"
#include "os/lock.h"
#include "os/os.h"
#include "support/run_suite.h"

enum { THREADS = 4, ROUNDS = 20000 };

static const struct commitlog_os *os;

static void setup(void)
{
    os = clg_os_default();
}

struct shared {
    struct clg_mutex mutex;
    uint64_t plain;  /* under mutex: a lost update or a race shows here */
    uint64_t plain2; /* always equal outside of the mutex */
    _Atomic uint32_t inside;
    _Atomic uint32_t word;
    _Atomic uint32_t bad;
    int rounds;
};

static void critical(struct shared *s)
{
    if (clg_add_acqrel_u32(&s->inside, 1) != 0 || s->plain != s->plain2) {
        clg_store_relaxed_u32(&s->bad, 1);
    }
    s->plain++;
    s->plain2++;
    (void)clg_sub_acqrel_u32(&s->inside, 1);
}

static void lock_many_times(void *arg)
{
    struct shared *s = (struct shared *)arg;
    for (int i = 0; i < s->rounds; i++) {
        if (i % 5 == 0) {
            while (!clg_mutex_trylock(&s->mutex)) {
                os->sleep_ns(os, 1000);
            }
        } else if (i % 7 == 0) {
            while (clg_mutex_lock_until(os, &s->mutex, clg_os_deadline(os, 10000)) != 0) {
            }
        } else {
            clg_mutex_lock(os, &s->mutex);
        }
        critical(s);
        if (i % 1000 == 0) {
            os->sleep_ns(os, 20000); /* long enough that the others park */
        }
        clg_mutex_unlock(os, &s->mutex);
    }
}

START_TEST(one_thread_at_a_time_holds_the_mutex)
{
    uint64_t threads[THREADS];
    struct shared s = {.rounds = ROUNDS};
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(os->thread_start(os, lock_many_times, &s, "clg-test", &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(os->thread_join(os, threads[i]), 0);
    }
    ck_assert_uint_eq(clg_load_relaxed_u32(&s.bad), 0);
    ck_assert_uint_eq(s.plain, (uint64_t)THREADS * ROUNDS);
    ck_assert(!clg_mutex_is_held(&s.mutex));
}
END_TEST

START_TEST(a_held_mutex_refuses_and_times_out)
{
    struct clg_mutex m;
    clg_mutex_init(&m);
    ck_assert(clg_mutex_trylock(&m));
    ck_assert(clg_mutex_is_held(&m));
    ck_assert(!clg_mutex_trylock(&m));
    int64_t begin = os->clock_mono_ns(os);
    ck_assert_int_eq(clg_mutex_lock_until(os, &m, clg_os_deadline(os, 20000000)), -ETIMEDOUT);
    ck_assert_int_ge(os->clock_mono_ns(os) - begin, 20000000);
    ck_assert_int_eq(clg_mutex_lock_until(os, &m, 0), -ETIMEDOUT);
    clg_mutex_unlock(os, &m);
    ck_assert_int_eq(clg_mutex_lock_until(os, &m, 0), 0);
    clg_mutex_unlock(os, &m);
    ck_assert(!clg_mutex_is_held(&m));
}
END_TEST

static void follow_word(void *arg)
{
    struct shared *s = (struct shared *)arg;
    for (uint32_t seen = 0; seen < 1000; seen++) {
        if (clg_wait_word(os, &s->word, seen, CLG_OS_FOREVER, false) != 0 || s->plain < seen + 1) {
            clg_store_relaxed_u32(&s->bad, 1);
        }
        clg_mutex_lock(os, &s->mutex); /* answers: the other side waits for it */
        (void)clg_add_acqrel_u32(&s->inside, 1);
        clg_mutex_unlock(os, &s->mutex);
        clg_wake_word(os, &s->inside, false);
    }
}

START_TEST(no_wake_up_is_lost_and_what_came_before_is_seen)
{
    uint64_t thread = 0;
    struct shared s = {.rounds = 0};
    ck_assert_int_eq(os->thread_start(os, follow_word, &s, "clg-follow", &thread), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        s.plain = i + 1;
        clg_wake_word(os, &s.word, false);
        while (clg_load_acquire_u32(&s.inside) < 2 * (i + 1)) {
            uint32_t seen = clg_load_acquire_u32(&s.inside);
            if (seen < 2 * (i + 1)) {
                int64_t deadline = clg_os_deadline(os, 10 * CLG_OS_NS_PER_S);
                ck_assert_int_eq(clg_wait_word(os, &s.inside, seen, deadline, false), 0);
                if (seen + 1 == 2 * (i + 1)) {
                    break;
                }
            }
        }
    }
    ck_assert_int_eq(os->thread_join(os, thread), 0);
    ck_assert_uint_eq(clg_load_relaxed_u32(&s.bad), 0);
}
END_TEST

START_TEST(a_futex_tells_changed_from_timed_out)
{
    _Atomic uint32_t word = 3;
    for (int shared = 0; shared < 2; shared++) {
        ck_assert_int_eq(os->futex_wait(os, &word, 2, CLG_OS_FOREVER, shared == 1), -EAGAIN);
        ck_assert_int_eq(os->futex_wait(os, &word, 3, 1000000, shared == 1), -ETIMEDOUT);
        ck_assert_int_eq(os->futex_wake(os, &word, 1, shared == 1), 0);
    }
    ck_assert_int_eq(clg_wait_word(os, &word, 2, CLG_OS_FOREVER, false), 0);
    ck_assert_int_eq(clg_wait_word(os, &word, 3, clg_os_deadline(os, 1000000), false), -ETIMEDOUT);
}
END_TEST

START_TEST(a_word_in_shared_memory_wakes_another_process)
{
    void *page = NULL;
    int status = 0;
    ck_assert_int_eq(os->map(os, -1, 0, os->page_size(os), CLG_OS_PROT_READ | CLG_OS_PROT_WRITE,
                             CLG_OS_MAP_SHARED | CLG_OS_MAP_ANONYMOUS, &page),
                     0);
    _Atomic uint32_t *word = (_Atomic uint32_t *)page;
    (void)fflush(stdout);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int64_t deadline = clg_os_deadline(os, 20 * CLG_OS_NS_PER_S);
        _exit(clg_wait_word(os, word, 0, deadline, true) == 0 ? 0 : 1);
    }
    os->sleep_ns(os, 20 * CLG_OS_NS_PER_MS); /* most likely it sleeps by now; right either way */
    clg_wake_word(os, word, true);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(os->unmap(os, page, os->page_size(os)), 0);
}
END_TEST

START_TEST(an_eventfd_is_signalled_once_however_often)
{
    int fd = os->eventfd_create(os);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->eventfd_drain(os, fd), 0);
    ck_assert_int_eq(os->eventfd_signal(os, fd), 0);
    ck_assert_int_eq(os->eventfd_signal(os, fd), 0);
    ck_assert_int_eq(os->eventfd_drain(os, fd), 1);
    ck_assert_int_eq(os->eventfd_drain(os, fd), 0);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(clocks_go_forward_and_deadlines_saturate)
{
    int64_t before = os->clock_mono_ns(os);
    os->sleep_ns(os, 2000000);
    int64_t after = os->clock_mono_ns(os);
    ck_assert_int_ge(after - before, 2000000);
    ck_assert_int_gt(os->clock_wall_ns(os), INT64_C(1600000000) * CLG_OS_NS_PER_S);
    ck_assert_int_eq(clg_os_deadline(os, -1), CLG_OS_FOREVER);
    ck_assert_int_eq(clg_os_deadline(os, INT64_MAX - 1), CLG_OS_FOREVER);
    ck_assert_int_eq(clg_os_left(os, CLG_OS_FOREVER), CLG_OS_FOREVER);
    ck_assert_int_eq(clg_os_left(os, before), 0);
    ck_assert_int_gt(clg_os_left(os, clg_os_deadline(os, CLG_OS_NS_PER_S)), 0);
}
END_TEST

static void look_at_mask(void *arg)
{
    sigset_t mask;
    *(int *)arg = pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR1) &&
                  sigismember(&mask, SIGTERM);
}

START_TEST(a_thread_of_the_library_takes_no_signal_of_the_host)
{
    int blocked = 0;
    uint64_t thread = 0;
    sigset_t mask;
    ck_assert_int_eq(os->thread_start(os, look_at_mask, &blocked, "clg-mask", &thread), 0);
    ck_assert_int_eq(os->thread_join(os, thread), 0);
    ck_assert_int_eq(blocked, 1);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGUSR1), 0);
}
END_TEST

static void *no_memory(const struct commitlog_os *self, size_t bytes)
{
    (void)self;
    (void)bytes;
    return NULL;
}

START_TEST(a_thread_that_cannot_start_says_so)
{
    struct commitlog_os table = *os;
    uint64_t thread = 42;
    int seen = 0;
    table.alloc = no_memory;
    ck_assert_int_eq(table.thread_start(&table, look_at_mask, &seen, "clg-mask", &thread), -ENOMEM);
    ck_assert_uint_eq(thread, 42);
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

struct storm {
    pthread_t target;
    _Atomic uint32_t stop;
};

static void storm_signals(void *arg)
{
    struct storm *storm = (struct storm *)arg;
    while (clg_load_relaxed_u32(&storm->stop) == 0) {
        (void)pthread_kill(storm->target, SIGUSR2);
        os->sleep_ns(os, 50000);
    }
}

START_TEST(signals_without_restart_never_show_as_eintr)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    struct sigaction before;
    struct storm storm = {.target = pthread_self()};
    uint64_t thread = 0;
    char root[] = "/tmp/clg-test-eintr-XXXXXX";
    static char block[65536];
    ck_assert_ptr_nonnull(mkdtemp(root));
    int dir = os->open_dir(os, root);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(sigaction(SIGUSR2, &action, &before), 0);
    ck_assert_int_eq(os->thread_start(os, storm_signals, &storm, "clg-storm", &thread), 0);
    for (int i = 0; i < 100; i++) {
        int fd = os->open_at(os, dir, "f",
                             CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, 1 << 20), 0);
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, block, sizeof(block), 0), 0);
        ck_assert_int_eq(os->fdatasync(os, fd), 0);
        ck_assert_int_eq(clg_os_pread_all(os, fd, block, sizeof(block), 0), 0);
        ck_assert_int_eq(os->close(os, fd), 0);
        ck_assert_int_eq(os->unlink_at(os, dir, "f"), 0);
        int64_t begin = os->clock_mono_ns(os);
        os->sleep_ns(os, 300000);
        ck_assert_int_ge(os->clock_mono_ns(os) - begin, 300000);
    }
    clg_store_relaxed_u32(&storm.stop, 1);
    ck_assert_int_eq(os->thread_join(os, thread), 0);
    ck_assert_int_eq(sigaction(SIGUSR2, &before, NULL), 0);
    clg_os_close_fd(os, &dir);
    ck_assert_int_eq(rmdir(root), 0);
}
END_TEST

static int64_t wall_now(void)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * CLG_OS_NS_PER_S + (int64_t)now.tv_nsec;
}

/* Asked as often as an append asks, and again after pauses of any length: the library may count
 * instead of asking, and nobody is to see that. Above all it is never behind: who took the time
 * before an append finds it from there on. One that is set meanwhile shows as one bad pair. */
START_TEST(the_wall_clock_is_that_of_the_kernel)
{
    enum { ROUNDS_OF_CLOCK = 2000, IN_A_ROW = 1000, BAD_MOST = 1 };
    const int64_t ahead_most_ns = 500;
    int bad = 0;
    for (int i = 0; i < ROUNDS_OF_CLOCK; i++) {
        for (int j = 0; j < IN_A_ROW; j++) {
            const int64_t before = wall_now();
            const int64_t wall = os->clock_wall_ns(os);
            const int64_t after = wall_now();
            bad += wall < before || wall > after + ahead_most_ns;
        }
        os->sleep_ns(os, i % 40 * 1000);
    }
    ck_assert_int_le(bad, BAD_MOST);
}
END_TEST

static Suite *wait_suite(void)
{
    Suite *suite = suite_create("os_wait");
    TCase *lock = tcase_create("lock");
    tcase_set_timeout(lock, 60);
    tcase_add_checked_fixture(lock, setup, NULL);
    tcase_add_test(lock, one_thread_at_a_time_holds_the_mutex);
    tcase_add_test(lock, a_held_mutex_refuses_and_times_out);
    tcase_add_test(lock, no_wake_up_is_lost_and_what_came_before_is_seen);
    suite_add_tcase(suite, lock);
    TCase *waiting = tcase_create("wait");
    tcase_set_timeout(waiting, 60);
    tcase_add_checked_fixture(waiting, setup, NULL);
    tcase_add_test(waiting, a_futex_tells_changed_from_timed_out);
    tcase_add_test(waiting, a_word_in_shared_memory_wakes_another_process);
    tcase_add_test(waiting, an_eventfd_is_signalled_once_however_often);
    tcase_add_test(waiting, clocks_go_forward_and_deadlines_saturate);
    tcase_add_test(waiting, the_wall_clock_is_that_of_the_kernel);
    tcase_add_test(waiting, a_thread_of_the_library_takes_no_signal_of_the_host);
    tcase_add_test(waiting, a_thread_that_cannot_start_says_so);
    tcase_add_test(waiting, signals_without_restart_never_show_as_eintr);
    suite_add_tcase(suite, waiting);
    return suite;
}

int main(void)
{
    return run_suite(wait_suite());
}
