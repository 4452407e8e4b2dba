/* SPDX-License-Identifier: BSD-2-Clause */
/* readers.c -- see readers.h. */
#include "support/readers.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "support/bench.h"

struct bench_reader {
    struct bench_reader *next;
    void *handle;
};

/* What this thread asked for last: a store that is gone is not taken for one at its address. */
static _Thread_local uint64_t last_number;
static _Thread_local void *last_handle;

void bench_readers_open(struct bench_readers *readers, void *store, void *(*open)(void *store),
                        void (*close)(void *reader))
{
    static _Atomic uint64_t numbers;
    *readers = (struct bench_readers){
        .number = atomic_fetch_add(&numbers, 1) + 1, .store = store, .open = open, .close = close};
    bench_need(pthread_mutex_init(&readers->lock, NULL), "mutex");
}

void *bench_reader(struct bench_readers *readers)
{
    if (last_number != readers->number) {
        struct bench_reader *reader = bench_alloc(sizeof(*reader));
        reader->handle = readers->open(readers->store);
        (void)pthread_mutex_lock(&readers->lock);
        reader->next = readers->all;
        readers->all = reader;
        (void)pthread_mutex_unlock(&readers->lock);
        last_number = readers->number;
        last_handle = reader->handle;
    }
    return last_handle;
}

void bench_readers_close(struct bench_readers *readers)
{
    while (readers->all != NULL) {
        struct bench_reader *reader = readers->all;
        readers->all = reader->next;
        readers->close(reader->handle);
        free(reader);
    }
    (void)pthread_mutex_destroy(&readers->lock);
}
