/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soak.c -- random everything for a while: writers that are killed (-9) at any moment, also while
 * they recover or close, followers in other processes that are killed too, both stopped now and
 * then, retention, the command beside and between them, derived files that disappear; and an oracle
 * outside of all of them that every record is held against. What the library decides itself has a
 * second one (ledger.h): consumer groups, delayed messages, work, transactions, a topic that grows.
 *
 * A round is one life of a writer: options, pace, length and end are drawn from the seed. What it
 * is told goes into the book (book.h). It begins by comparing the whole store with the book
 * (check.h) and with the ledger (settle.h); followers compare all the time (follower.h, witness.h).
 * Between rounds there is more of what may happen to a store. The seed gives the same plans again,
 * not the same interleaving.
 *
 * Environment: MINUTES (default 1) or SECONDS, SEED, DIR (where the store is made), BUILD (where
 * the command is; default: beside this program's folder), KEEP=1 (the directory stays) or 0 (it
 * goes after a violation, too), GROWTH=0 (memory has no bounds: a sanitizer needs more).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"

typedef unsigned long long ull;

enum {
    PROGRESS_TERMINAL_MS = 10000,
    PROGRESS_MS = 60000,
    ENOUGH_ROUNDS = 60 /* in which everything must have been tried */
};

static volatile sig_atomic_t interrupted;

struct soak {
    struct crew crew;
    int64_t begin_ms;
    int64_t end_ms;
    int64_t progress_ms;
};

static void on_signal(int number)
{
    interrupted = number;
}

static bool is_over(const struct soak *soak)
{
    return interrupted != 0 || clock_ms() >= soak->end_ms;
}

/* ---- progress -------------------------------------------------------------------------------- */

static void tell_progress(struct soak *soak)
{
    struct crew *crew = &soak->crew;
    const struct book *book = crew->book;
    const struct growth *growth = &crew->growth;
    printf("%5.1f min: %llu rounds, %llu kills, %llu stops, %llu closes, %llu commands; %llu "
           "appended (%llu MiB), %llu segments retained; %llu opens, %llu checked, %llu read, "
           "%llu looked up, %llu ends; KiB: writer %llu, follower %llu, rss %llu, store %llu in "
           "%llu files, quarantine %llu; %llu descriptors, %llu maps\n",
           (double)(clock_ms() - soak->begin_ms) / 60000.0, (ull)crew->round, (ull)crew->kills,
           (ull)crew->stops, (ull)crew->closes, (ull)crew->tools,
           (ull)book_counted(book, BOOK_ACKNOWLEDGED), (ull)(book_counted(book, BOOK_BYTES) >> 20),
           (ull)book_counted(book, BOOK_RETAINED),
           (ull)(book_counted(book, BOOK_OPENS) + book_counted(book, BOOK_FOLLOWED)),
           (ull)book_counted(book, BOOK_CHECKED), (ull)book_counted(book, BOOK_READ),
           (ull)book_counted(book, BOOK_PROBES), (ull)book_counted(book, BOOK_STRICT),
           (ull)growth->writer_kib, (ull)growth->follower_kib, (ull)growth->rss_kib,
           (ull)growth->store_kib, (ull)growth->files, (ull)growth->quarantine_kib,
           (ull)growth->descriptors, (ull)growth->maps);
    memset(&crew->growth, 0, sizeof crew->growth);
}

static void turn(struct soak *soak)
{
    crew_turn(&soak->crew);
    if (clock_ms() >= soak->progress_ms) {
        soak->progress_ms += isatty(STDOUT_FILENO) == 1 ? PROGRESS_TERMINAL_MS : PROGRESS_MS;
        tell_progress(soak);
    }
}

/* ---- one life of a writer -------------------------------------------------------------------- */

/* What may happen beside a writer that runs. */
static void disturb(struct crew *crew)
{
    static const char *const commands[] = {"verify", "stat", "topics"};
    struct rng *rng = &crew->rng;
    if (rng_chance(rng, 1, 1500))
        crew_stop(crew, CREW_WRITER, (int64_t)rng_between(rng, 5, 1500));
    if (rng_chance(rng, 1, 2000) && !crew_runs(crew, CREW_TOOL) &&
        atomic_load(&crew->book->alive) != 0)
        crew_start_tool(crew, commands[rng_below(rng, 3)], NULL);
}

static void await_tool(struct crew *crew)
{
    if (crew_runs(crew, CREW_TOOL))
        crew_await(crew, CREW_TOOL);
}

/* Not only between two acts, where most of the time goes: in the middle of one. */
static void await_act(struct crew *crew)
{
    uint64_t begin_us = rng_below(&crew->rng, 60);
    for (int64_t until = clock_ms() + 20; clock_ms() < until;)
        if (atomic_load(&crew->book->ledger->acting) != 0)
            break;
    for (int64_t until = clock_wall_ns() + (int64_t)begin_us * 1000; clock_wall_ns() < until;)
        continue;
}

static void life(struct soak *soak, const struct plan *plan)
{
    struct crew *crew = &soak->crew;
    int64_t until = clock_ms() + plan->life_ms;
    crew_start_writer(crew, plan);
    if (plan->life_ms < 20)
        usleep((useconds_t)(plan->life_ms * 1000 + (int64_t)rng_below(&crew->rng, 1000)));
    while (clock_ms() < until && !is_over(soak)) {
        turn(soak);
        disturb(crew);
    }
    if (plan->end != PLAN_KILL)
        crew_ask_close(crew);
    if (plan->end == PLAN_KILL_CLOSING)
        usleep((useconds_t)rng_below(&crew->rng, 15000));
    if (plan->end == PLAN_KILL && rng_chance(&crew->rng, 2, 3))
        await_act(crew);
    if (plan->end != PLAN_CLOSE)
        crew_kill(crew, CREW_WRITER);
    crew_await(crew, CREW_WRITER);
    await_tool(crew);
}

/* ---- between them ---------------------------------------------------------------------------- */

/* View files may go at any time when nobody writes: they are made again. */
static void remove_views(struct crew *crew)
{
    char view[DIRS_PATH_MAX], path[DIRS_PATH_MAX];
    struct name_list names;
    uint64_t share = rng_below(&crew->rng, 4);
    if (prog_env_is("NOVIEWS"))
        return;
    path_join(view, crew->path, "view");
    if (!path_exists(view))
        return;
    names = dirs_list(view, "");
    for (uint32_t i = 0; i < names.count; i++) {
        path_join(path, view, names.names[i]);
        if (rng_below(&crew->rng, 4) >= share && unlink(path) == 0)
            crew->removals++;
    }
    names_free(&names);
}

static void kill_followers(struct crew *crew)
{
    bool any = true;
    while (any) { /* one that has ended is started again in turn, while others are waited for */
        any = false;
        for (uint32_t i = 0; i < BOOK_FOLLOWERS; i++) {
            if (crew_runs(crew, 1 + i)) {
                any = true;
                crew_kill(crew, 1 + i);
                crew_await(crew, 1 + i);
            }
            if (!crew_runs(crew, 1 + i)) /* these wait until the files are gone */
                crew->members[1 + i].return_ms = INT64_MAX;
        }
    }
}

/* After a clean close everything but the segments may go; not while somebody reads. */
static void remove_all_but_log(struct crew *crew)
{
    struct name_list names;
    char path[DIRS_PATH_MAX];
    bool only_checkpoint = rng_chance(&crew->rng, 1, 3);
    kill_followers(crew);
    if (!only_checkpoint)
        store_live_remove(crew->path);
    names = dirs_list(crew->path, "");
    for (uint32_t i = 0; i < names.count; i++) {
        path_join(path, crew->path, names.names[i]);
        if (strcmp(names.names[i], "log") == 0 ||
            (only_checkpoint && strcmp(names.names[i], "CHECKPOINT") != 0))
            continue;
        dirs_remove(path);
        crew->removals++;
    }
    names_free(&names);
    atomic_store(&crew->book->clean, 0);
    atomic_store(&crew->book->bare, 1);
    for (uint32_t i = 0; i < BOOK_FOLLOWERS; i++)
        crew->members[1 + i].return_ms = 0;
}

/* A command that is killed in the middle is no reason for anything. */
static void command(struct crew *crew, const char *name, const char *option, bool kill_it)
{
    crew_start_tool(crew, name, option);
    if (kill_it) {
        usleep((useconds_t)rng_below(&crew->rng, 20000));
        crew_kill(crew, CREW_TOOL);
    }
    await_tool(crew);
}

static void commands(struct crew *crew)
{
    struct rng *rng = &crew->rng;
    uint64_t draw = rng_below(rng, 24);
    if (draw < 5)
        command(crew, "verify", NULL, false);
    else if (draw < 7)
        command(crew, "recover", "--plan", rng_chance(rng, 1, 4));
    else if (draw < 10)
        command(crew, "recover", NULL, rng_chance(rng, 1, 2));
    else if (draw < 12)
        command(crew, "dump", NULL, false);
    else if (draw < 13) {
        if (prog_env_is("NOREBUILD"))
            return;
        atomic_store(&crew->book->clean, 0);
        command(crew, "rebuild", NULL, rng_chance(rng, 1, 2));
    }
}

static void between(struct soak *soak)
{
    struct crew *crew = &soak->crew;
    struct rng *rng = &crew->rng;
    char quarantine[DIRS_PATH_MAX];
    for (uint64_t i = rng_below(rng, 6) / 4 + rng_below(rng, 6) / 5; i > 0; i--) {
        struct plan hurry;
        plan_draw(&hurry, rng_next(rng));
        plan_hurry(&hurry, rng);
        life(soak, &hurry);
    }
    if (atomic_load(&crew->book->life) == 0)
        return; /* it may not be a store yet */
    commands(crew);
    if (rng_chance(rng, 1, 4))
        remove_views(crew);
    if (atomic_load(&crew->book->clean) != 0 && rng_chance(rng, 1, 8))
        remove_all_but_log(crew);
    if (growth_quarantine_full(crew)) {
        path_join(quarantine, crew->path, "quarantine");
        dirs_remove(quarantine);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void begin(struct soak *soak, const char *program)
{
    struct crew *crew = &soak->crew;
    const char *build = getenv("BUILD");
    const char *directory = getenv("DIR");
    uint64_t seconds = prog_env("SECONDS", prog_env("MINUTES", 1) * 60);
    char *slash = NULL;
    crew->seed = prog_begin("soak");
    rng_begin(&crew->rng, crew->seed);
    crew->book = book_make(crew->seed);
    if (directory != NULL && *directory != '\0')
        CHECK(setenv("TEST_DIR", directory, 1) == 0);
    dirs_make(crew->root, "soak");
    path_join(crew->path, crew->root, "store");
    if (build != NULL && *build != '\0') {
        path_join(crew->tool, build, "commitlog");
    } else {
        char *up = NULL;
        CHECK(snprintf(crew->tool, sizeof crew->tool, "%s", program) < (int)sizeof crew->tool);
        slash = strrchr(crew->tool, '/');
        CHECKF(slash != NULL, "BUILD says where the command is");
        *slash = '\0';
        up = crew->tool + strlen(crew->tool);
        CHECK(snprintf(up, sizeof crew->tool - (size_t)(up - crew->tool), "/../../commitlog") > 0);
    }
    if (access(crew->tool, X_OK) != 0) { /* as a shell has it: nothing was tried */
        (void)fprintf(stderr, "soak: %s: no command\n", crew->tool);
        exit(127);
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    soak->begin_ms = clock_ms();
    soak->end_ms = soak->begin_ms + (int64_t)seconds * 1000;
    soak->progress_ms =
        soak->begin_ms + (isatty(STDOUT_FILENO) == 1 ? PROGRESS_TERMINAL_MS : PROGRESS_MS);
}

/* Whatever the last round left is put right, compared, closed and verified. */
static void finish(struct soak *soak)
{
    struct crew *crew = &soak->crew;
    struct book *book = crew->book;
    struct plan plan;
    plan_draw(&plan, crew->seed);
    plan.end = PLAN_CLOSE;
    plan.life_ms = 0;
    soak->end_ms = INT64_MAX;
    life(soak, &plan);
    command(crew, "verify", NULL, false);
    crew_end(crew);
    if (crew->round < ENOUGH_ROUNDS)
        return;
    ledger_enough(book->ledger);
    for (uint32_t i = 0; i < BOOK_COUNTS; i++)
        CHECKF(book_counted(book, (enum book_count)i) > 0, "count %u: nothing was tried", i);
    CHECK(crew->kills > 0 && crew->stops > 0 && crew->closes > 0 && crew->removals > 0);
}

int main(int argc, char **argv)
{
    static struct soak soak;
    struct crew *crew = &soak.crew;
    struct book *book = NULL;
    begin(&soak, argc > 0 ? argv[0] : "");
    book = crew->book;
    /* Followers may be there before there is a store. */
    for (crew->round = 0; !is_over(&soak); crew->round++) {
        struct plan plan;
        plan_draw(&plan, crew->seed * 1000003 + crew->round);
        life(&soak, &plan);
        if (!is_over(&soak))
            between(&soak);
    }
    if (interrupted != 0) {
        crew_end(crew);
        store_live_remove(crew->path);
        dirs_remove(crew->root);
        return 1;
    }
    finish(&soak);
    tell_progress(&soak);
    ledger_tell(book->ledger);
    if (!prog_env_is("KEEP")) {
        store_live_remove(crew->path);
        dirs_remove(crew->root);
    }
    printf("figures: minutes=%lld rounds=%llu kills=%llu stops=%llu closes=%llu commands=%llu "
           "opens=%llu acknowledged=%llu checked=%llu read=%llu compared=%llu looked_up=%llu "
           "ends=%llu retained_segments=%llu violations=0\n",
           (long long)((clock_ms() - soak.begin_ms) / 60000), (ull)crew->round, (ull)crew->kills,
           (ull)crew->stops, (ull)crew->closes, (ull)crew->tools,
           (ull)(book_counted(book, BOOK_OPENS) + book_counted(book, BOOK_FOLLOWED)),
           (ull)book_counted(book, BOOK_ACKNOWLEDGED), (ull)book_counted(book, BOOK_CHECKED),
           (ull)book_counted(book, BOOK_READ), (ull)book_counted(book, BOOK_COMPARED),
           (ull)book_counted(book, BOOK_PROBES), (ull)book_counted(book, BOOK_STRICT),
           (ull)book_counted(book, BOOK_RETAINED));
    return 0;
}
