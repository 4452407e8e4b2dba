/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.c -- a thread that an engine starts may run on every CPU that the process may use.
 *
 * Some engines start their threads late, from the thread that appends (RocksDB and LevelDB: the
 * first flush of a memtable). They would inherit its CPU (bench_pin), work beside it on that one
 * only, and look slower than they are. So the pthread_create of this file, which all libraries of
 * the process find before that of libc, gives each new thread what the process began with.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "support/bench.h"

typedef void *(*start_routine)(void *);

struct begun {
    start_routine run;
    void *at;
};

static cpu_set_t allowed;

__attribute__((constructor)) static void remember(void)
{
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        CPU_ZERO(&allowed);
    }
}

void bench_threads_stay(void)
{
    remember();
}

static void *begin(void *at)
{
    struct begun begun = *(struct begun *)at;
    free(at);
    if (CPU_COUNT(&allowed) != 0) {
        (void)pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed);
    }
    return begun.run(begun.at);
}

__attribute__((visibility("default"))) int pthread_create(pthread_t *id, const pthread_attr_t *attr,
                                                          void *(*run)(void *), void *at)
{
    int (*create)(pthread_t *, const pthread_attr_t *, start_routine, void *) = NULL;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create"); /* as POSIX has it for functions */
    if (create == NULL) {
        bench_die("pthread_create: %s", dlerror());
    }
    struct begun *begun = bench_alloc(sizeof(*begun));
    *begun = (struct begun){run, at};
    int code = create(id, attr, begin, begun);
    if (code != 0) {
        free(begun);
    }
    return code;
}
