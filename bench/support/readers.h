/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readers.h -- for engines whose handle for reading belongs to one thread (a connection, a session,
 * a read transaction): each thread that reads has its own, made when it first asks.
 *
 * Owns: what `open` made, until bench_readers_close.
 * Threads: bench_reader may be called by any number of threads; the others by one.
 */
#ifndef BENCH_SUPPORT_READERS_H
#define BENCH_SUPPORT_READERS_H

#include <pthread.h>
#include <stdint.h>

struct bench_readers {
    pthread_mutex_t lock;
    struct bench_reader *all; /* below lock */
    uint64_t number;          /* of these readers, unlike that of any others in the process */
    void *store;
    void *(*open)(void *store);
    void (*close)(void *reader);
};

void bench_readers_open(struct bench_readers *readers, void *store, void *(*open)(void *store),
                        void (*close)(void *reader));
/* The calling thread's. */
void *bench_reader(struct bench_readers *readers);
void bench_readers_close(struct bench_readers *readers);

#endif
