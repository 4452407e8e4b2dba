/*
 * bar.c -- the progress bar: see bar.h.
 */
#include "bar.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "when.h"

enum { BAR_DELAY_MS = 1000, BAR_REDRAW_MS = 200, BAR_CELLS = 30 };

static void bar_draw(struct bar *bar, double seconds)
{
    uint64_t done = atomic_load_explicit(&bar->done, memory_order_relaxed);
    uint64_t total = atomic_load_explicit(&bar->total, memory_order_relaxed);
    if (bar->source != NULL) {
        commitlog_progress_get(bar->source, &done, &total);
    }
    char cells[BAR_CELLS + 1];
    char amount[32];
    when_amount(done, amount, sizeof(amount));
    atomic_store_explicit(&bar->drawn, true, memory_order_relaxed);
    if (total == 0 || done > total) {
        fprintf(stderr, "\r\033[K%s: %s  %.0f s", bar->label, amount, seconds);
        return;
    }
    const double part = (double)done / (double)total;
    const size_t full = (size_t)(part * BAR_CELLS);
    assert(full <= BAR_CELLS);
    memset(cells, '#', full);
    memset(cells + full, '.', BAR_CELLS - full);
    cells[BAR_CELLS] = '\0';
    char all[32];
    when_amount(total, all, sizeof(all));
    fprintf(stderr, "\r\033[K%s [%s] %3.0f%%  %s of %s  %.0f s", bar->label, cells, part * 100,
            amount, all, seconds);
}

static void *bar_run(void *argument)
{
    struct bar *bar = argument;
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int64_t elapsed_ms = BAR_DELAY_MS;
    pthread_mutex_lock(&bar->lock);
    while (!bar->stop) {
        struct timespec until = begin;
        until.tv_sec += elapsed_ms / 1000;
        until.tv_nsec += (long)(elapsed_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (pthread_cond_timedwait(&bar->wake, &bar->lock, &until) != 0 && !bar->stop) {
            bar_draw(bar, (double)elapsed_ms / 1000);
            elapsed_ms += BAR_REDRAW_MS;
        }
    }
    pthread_mutex_unlock(&bar->lock);
    return NULL;
}

void bar_start(struct bar *bar, struct cli *cli, const char *label,
               const struct commitlog_progress *source, bool data)
{
    assert(bar != NULL && cli != NULL);
    assert(cli->bar == NULL);
    memset(bar, 0, sizeof(*bar));
    bar->cli = cli;
    bar->label = label;
    bar->source = source;
    if (isatty(2) == 0 || (data && isatty(1) != 0)) {
        return;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bar->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&bar->lock, NULL);
    bar->running = pthread_create(&bar->thread, NULL, bar_run, bar) == 0;
    cli->bar = bar->running ? bar : NULL;
}

void bar_set(struct bar *bar, uint64_t done, uint64_t total)
{
    assert(bar != NULL);
    atomic_store_explicit(&bar->done, done, memory_order_relaxed);
    atomic_store_explicit(&bar->total, total, memory_order_relaxed);
}

void bar_stop(struct bar *bar)
{
    assert(bar != NULL);
    if (!bar->running) {
        return;
    }
    pthread_mutex_lock(&bar->lock);
    bar->stop = true;
    pthread_cond_signal(&bar->wake);
    pthread_mutex_unlock(&bar->lock);
    pthread_join(bar->thread, NULL);
    bar->running = false;
    bar->cli->bar = NULL;
    fputs(bar_erase(bar), stderr);
    pthread_cond_destroy(&bar->wake);
    pthread_mutex_destroy(&bar->lock);
}

const char *bar_erase(struct bar *bar)
{
    const bool drawn =
        bar != NULL && atomic_exchange_explicit(&bar->drawn, false, memory_order_relaxed);
    return drawn ? "\r\033[K" : "";
}
