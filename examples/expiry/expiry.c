/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry.c - a topic of measurements that are of no use after a second, beside one that keeps.
 *
 * Writes to both for a while, and prints twice a second what each has and how old its oldest is.
 * Exits with 1 if a measurement expires before its time, if none ever does, or if the other topic
 * loses anything.
 *
 *   expiry [DIR]        default: expiry.store
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KEEP_MS = 1000, RUN_MS = 3000, PATIENCE_MS = 30000, EVERY_MS = 100, PRINT = 5 };
enum { COUNT = RUN_MS / EVERY_MS };
#define MS_NS INT64_C(1000000)

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "expiry: %s: %s\n", what, detailed ? err->message : commitlog_error_text(code));
    return code;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 * MS_NS + now.tv_nsec;
}

static int32_t put(struct commitlog_store *store, uint32_t topic, uint32_t number)
{
    char text[32];
    const int bytes = snprintf(text, sizeof text, "measurement %" PRIu32, number);
    const int32_t code =
        commitlog_append(store, topic, 0, text, (size_t)bytes, COMMITLOG_LEVEL_WRITTEN, NULL);
    return code == COMMITLOG_OK ? code : complain("append", code, NULL);
}

/* What the topic has: the first of them, and the end. */
static int32_t look(struct commitlog_store *store, uint32_t topic, struct commitlog_queue_info *out)
{
    *out = (struct commitlog_queue_info){.struct_bytes = sizeof *out};
    const int32_t code = commitlog_queue_info(store, topic, 0, out);
    return code == COMMITLOG_OK ? code : complain("look", code, NULL);
}

/* Of this run: how many there are in each topic, which offset the first has there, and when each
 * came. An earlier run that was killed may have left one more here than there. */
struct written {
    uint32_t count;
    uint64_t first;
    uint64_t first_kept;
    int64_t time_ns[COUNT];
};

/* 1: a measurement has expired too early, or the other topic has lost something. */
static int judge(const struct commitlog_queue_info *short_lived,
                 const struct commitlog_queue_info *kept, const struct written *written, int print)
{
    const int empty = short_lived->first_offset == short_lived->next_offset;
    const int64_t age_ms = empty ? 0 : (now_ns() - short_lived->first_time_ns) / MS_NS;
    if (print)
        printf("measurements %" PRIu64 " to %" PRIu64 ", the oldest %" PRId64
               " ms old; the log keeps %" PRIu64 "\n",
               short_lived->first_offset, short_lived->next_offset, age_ms,
               kept->next_offset - kept->first_offset);
    fflush(stdout);
    const uint64_t expired =
        short_lived->first_offset > written->first ? short_lived->first_offset - written->first : 0;
    if (expired > 0 && now_ns() - written->time_ns[expired - 1] < KEEP_MS * MS_NS) {
        fprintf(stderr, "expiry: measurement %" PRIu64 " has expired too early\n",
                short_lived->first_offset - 1);
        return 1;
    }
    if (kept->first_offset != 0 || kept->next_offset != written->first_kept + written->count) {
        fprintf(stderr, "expiry: the other topic has lost something\n");
        return 1;
    }
    return 0;
}

/* Writes for a while, then waits until one has expired by itself. 0, or what main returns. */
static int run(struct commitlog_store *store, uint32_t short_lived, uint32_t kept)
{
    static struct written written;
    const struct timespec pause = {0, EVERY_MS * MS_NS};
    struct commitlog_queue_info seen;
    struct commitlog_queue_info all;
    if (look(store, short_lived, &seen) != COMMITLOG_OK || look(store, kept, &all) != COMMITLOG_OK)
        return 1;
    written.first = seen.next_offset; /* behind those of an earlier run */
    written.first_kept = all.next_offset;
    for (uint32_t i = 0; i < COUNT || seen.first_offset <= written.first; i++) {
        if (i < COUNT) {
            written.time_ns[written.count++] = now_ns();
            if (put(store, short_lived, i) != COMMITLOG_OK || put(store, kept, i) != COMMITLOG_OK)
                return 1;
        } else if (i > PATIENCE_MS / EVERY_MS) {
            fprintf(stderr, "expiry: nothing has expired\n");
            return 1;
        }
        if (look(store, short_lived, &seen) != COMMITLOG_OK ||
            look(store, kept, &all) != COMMITLOG_OK ||
            judge(&seen, &all, &written, i % PRINT == 0) != 0)
            return 1;
        nanosleep(&pause, NULL);
    }

    /* All of them, now. */
    struct commitlog_error err = {0};
    int32_t code =
        commitlog_topic_expire(store, short_lived, INT64_MAX, COMMITLOG_LEVEL_DURABLE, &err);
    if (code != COMMITLOG_OK)
        return complain("expire", code, &err), 1;
    if (look(store, short_lived, &seen) != COMMITLOG_OK)
        return 1;
    printf("all of them expired: %" PRIu64 " to %" PRIu64 "\n", seen.first_offset,
           seen.next_offset);
    return seen.first_offset == seen.next_offset ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    uint32_t short_lived = 0;
    uint32_t kept = 0;
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "expiry.store", NULL, &store, &err);
    if (code != COMMITLOG_OK)
        return complain("open", code, &err), 1;
    code = commitlog_topic_open(store, "measurements", 12, 1, &short_lived, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(store, "log", 3, 1, &kept, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_expire_after(store, short_lived, KEEP_MS, COMMITLOG_LEVEL_DURABLE,
                                            &err);
    int status = 1;
    if (code == COMMITLOG_OK)
        status = run(store, short_lived, kept);
    else
        complain("topics", code, &err);
    code = commitlog_close(store, &err);
    if (code != COMMITLOG_OK)
        return complain("close", code, &err), 1;
    return status;
}
