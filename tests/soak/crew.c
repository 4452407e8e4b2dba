/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.c -- the processes of the soak test; see crew.h. */
#define _GNU_SOURCE
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "follower.h"
#include "writer.h"

typedef unsigned long long ull;

enum { HANG_MS = 60000, GROWTH_MS = 1000, TURN_US = 2000 };

static void member_name(uint32_t member, char out[32])
{
    if (member == CREW_WRITER)
        snprintf(out, 32, "the writer");
    else if (member == CREW_TOOL)
        snprintf(out, 32, "the command");
    else
        snprintf(out, 32, "follower %u", member - 1);
}

/* ---- violations ------------------------------------------------------------------------------ */

_Noreturn void crew_violation(struct crew *crew, const char *format, ...)
{
    const char *keep = getenv("KEEP");
    char plan[400];
    va_list args;
    plan_tell(&crew->plan, plan);
    fflush(stdout);
    fprintf(stderr, "\nVIOLATION: seed %llu, round %llu: ", (ull)crew->seed, (ull)crew->round);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  writer: %s\n", plan);
    crew_end(crew);
    if (keep != NULL && strcmp(keep, "0") == 0) {
        store_live_remove(crew->path);
        dirs_remove(crew->root);
    } else {
        fprintf(stderr, "  kept: %s\n", crew->root);
    }
    printf("figures: rounds=%llu violations=1\n", (ull)crew->round);
    fflush(stdout);
    _exit(1);
}

/* Where the threads of a process that hangs are. */
static void tell_threads(pid_t pid)
{
    char path[64];
    struct name_list tasks;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    tasks = dirs_list(path, "");
    for (uint32_t i = 0; i < tasks.count; i++) {
        char text[256] = "";
        char file[DIRS_PATH_MAX];
        int fd = -1;
        snprintf(file, sizeof file, "%s/%.32s/syscall", path, tasks.names[i]);
        fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
            fprintf(stderr, "  thread %s: system call %s", tasks.names[i], text);
        if (fd >= 0)
            close(fd);
    }
    names_free(&tasks);
}

/* ---- starts ---------------------------------------------------------------------------------- */

/* 0 in the child, which dies with the driver. */
static pid_t member_fork(struct crew *crew, uint32_t member)
{
    struct member *of = &crew->members[member];
    pid_t parent = getpid(), pid = 0;
    CHECK(of->pid == 0);
    memset(of, 0, sizeof *of);
    if (member < BOOK_PROCESSES)
        for (uint32_t i = 0; i < BOOK_BEATS; i++)
            book_rest(crew->book, member, i);
    prog_step(crew->round);
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
            _exit(3);
        return 0;
    }
    of->pid = pid;
    return pid;
}

void crew_start_writer(struct crew *crew, const struct plan *plan)
{
    crew->plan = *plan;
    atomic_store(&crew->book->ask_close, 0);
    if (member_fork(crew, CREW_WRITER) == 0)
        writer_run(crew->book, crew->path, plan);
}

void crew_start_follower(struct crew *crew, uint32_t follower)
{
    uint64_t seed = rng_next(&crew->rng);
    if (member_fork(crew, 1 + follower) == 0)
        follower_run(crew->book, crew->path, follower, seed);
    if (follower == 0) {
        crew->veteran_kib = 0;
        crew->veteran_ms = clock_ms();
    } else {
        crew->members[1 + follower].die_ms = clock_ms() + (int64_t)rng_between(&crew->rng, 5, 9000);
    }
}

void crew_start_tool(struct crew *crew, const char *command, const char *option)
{
    snprintf(crew->doing, sizeof crew->doing, "%s %s", command, option != NULL ? option : "");
    crew->tools++;
    if (member_fork(crew, CREW_TOOL) == 0) {
        char log[DIRS_PATH_MAX];
        int fd = -1;
        path_join(log, crew->root, "command.out");
        fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(3);
        execl(crew->tool, crew->tool, command, crew->path, option, (char *)NULL);
        _exit(4);
    }
    crew->members[CREW_TOOL].may_end = true;
}

/* ---- ends ------------------------------------------------------------------------------------ */

bool crew_runs(const struct crew *crew, uint32_t member)
{
    return crew->members[member].pid != 0;
}

void crew_kill(struct crew *crew, uint32_t member)
{
    struct member *of = &crew->members[member];
    if (of->pid == 0)
        return;
    if (member == CREW_WRITER)
        atomic_store(&crew->book->alive, 0); /* before: nobody is held against it any more */
    CHECK(kill(of->pid, SIGKILL) == 0);
    of->killed = true;
    crew->kills++;
}

void crew_ask_close(struct crew *crew)
{
    crew->members[CREW_WRITER].may_end = true;
    atomic_store(&crew->book->ask_close, 1);
}

void crew_stop(struct crew *crew, uint32_t member, int64_t ms)
{
    struct member *of = &crew->members[member];
    if (of->pid == 0 || of->wake_ms != 0)
        return;
    CHECK(kill(of->pid, SIGSTOP) == 0);
    of->wake_ms = clock_ms() + ms;
    crew->stops++;
}

/* Where CHECKPOINT was taken away, and a writer was killed before it had made another one, verify
 * says that, and nothing else. */
static bool tool_misses_checkpoint(const struct crew *crew)
{
    char path[DIRS_PATH_MAX], line[512];
    uint32_t missing = 0, others = 0;
    FILE *said = NULL;
    path_join(path, crew->root, "command.out");
    said = fopen(path, "re");
    CHECK(said != NULL);
    while (fgets(line, sizeof line, said) != NULL) {
        bool damage = strncmp(line, "damage:", strlen("damage:")) == 0;
        bool checkpoint = strstr(line, ": there is no CHECKPOINT\n") != NULL;
        missing += damage && checkpoint;
        others += damage && !checkpoint;
    }
    fclose(said);
    return strncmp(crew->doing, "verify", strlen("verify")) == 0 &&
           atomic_load(&crew->book->bare) != 0 && missing == 1 && others == 0;
}

static void member_ended(struct crew *crew, uint32_t member, int status)
{
    struct member *of = &crew->members[member];
    bool as_told = of->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool as_asked = of->may_end && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    char name[32];
    of->pid = 0;
    of->wake_ms = 0;
    of->return_ms = clock_ms() + (int64_t)rng_below(&crew->rng, 400);
    if (member == CREW_WRITER) {
        atomic_store(&crew->book->alive, 0);
        crew->closes += as_asked;
    }
    if (as_told || as_asked)
        return;
    if (member == CREW_TOOL && WIFEXITED(status) && WEXITSTATUS(status) == 1 &&
        tool_misses_checkpoint(crew))
        return;
    member_name(member, name);
    if (member == CREW_TOOL)
        crew_violation(crew, "`commitlog %s' ended with status %d, see command.out", crew->doing,
                       WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status));
    if (WIFEXITED(status))
        crew_violation(crew, "%s ended with status %d: see above", name, WEXITSTATUS(status));
    crew_violation(crew, "%s died of signal %d", name, WTERMSIG(status));
}

static void members_reap(struct crew *crew)
{
    for (uint32_t i = 0; i < CREW_SIZE; i++) {
        int status = 0;
        if (crew->members[i].pid != 0 &&
            waitpid(crew->members[i].pid, &status, WNOHANG) == crew->members[i].pid)
            member_ended(crew, i, status);
    }
}

void crew_await(struct crew *crew, uint32_t member)
{
    const pid_t pid = crew->members[member].pid; /* a follower may be started again at once */
    int64_t begin = clock_ms();
    char name[32];
    member_name(member, name);
    while (pid != 0 && crew->members[member].pid == pid) {
        usleep(200);
        crew_turn(crew);
        if (clock_ms() - begin > 2 * HANG_MS) {
            tell_threads(crew->members[member].pid);
            crew_violation(crew, "%s does not end", name);
        }
    }
}

void crew_end(struct crew *crew)
{
    for (uint32_t i = 0; i < CREW_SIZE; i++) {
        pid_t pid = crew->members[i].pid;
        int status = 0;
        if (pid == 0)
            continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        crew->members[i].pid = 0;
    }
}

/* ---- what is due ----------------------------------------------------------------------------- */

static void member_wake(struct crew *crew, uint32_t member, int64_t now)
{
    struct member *of = &crew->members[member];
    if (of->pid == 0 || of->wake_ms == 0 || now < of->wake_ms)
        return;
    CHECK(kill(of->pid, SIGCONT) == 0);
    of->wake_ms = 0;
    for (uint32_t i = 0; i < BOOK_BEATS; i++)
        of->beat_ms[i] = now;
}

static void member_watch(struct crew *crew, uint32_t member, int64_t now)
{
    struct member *of = &crew->members[member];
    char name[32];
    if (of->pid == 0 || of->wake_ms != 0)
        return;
    for (uint32_t i = 0; i < BOOK_BEATS; i++) {
        uint64_t beats = atomic_load(&crew->book->beats[member][i]);
        if (beats == 0 || beats != of->beats[i]) {
            of->beats[i] = beats;
            of->beat_ms[i] = now;
        } else if (now - of->beat_ms[i] > HANG_MS) {
            tell_threads(of->pid);
            member_name(member, name);
            crew_violation(crew, "thread %u of %s hangs for %d ms", i, name, HANG_MS);
        }
    }
}

static void follower_turn(struct crew *crew, uint32_t follower, int64_t now)
{
    struct member *of = &crew->members[1 + follower];
    if (of->pid == 0 && now >= of->return_ms) {
        crew_start_follower(crew, follower);
    } else if (of->pid != 0 && of->die_ms != 0 && now >= of->die_ms && !of->killed) {
        crew_kill(crew, 1 + follower);
    } else if (of->pid != 0 && rng_chance(&crew->rng, 1, 2500)) {
        crew_stop(crew, 1 + follower, (int64_t)rng_between(&crew->rng, 5, 1500));
    }
}

void crew_turn(struct crew *crew)
{
    int64_t now = clock_ms();
    members_reap(crew);
    for (uint32_t i = 0; i < CREW_SIZE; i++)
        member_wake(crew, i, now);
    for (uint32_t i = 0; i < BOOK_PROCESSES; i++)
        member_watch(crew, i, now);
    for (uint32_t i = 0; i < BOOK_FOLLOWERS; i++)
        follower_turn(crew, i, now);
    if (now - crew->grown_ms >= GROWTH_MS) {
        crew->grown_ms = now;
        growth_look(crew);
    }
    usleep(TURN_US);
}
