/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make_golden.c -- fills a store with a record of each kind; make-golden.sh compiles and runs it.
 *
 *   make_golden clean STORE     eight segments, three sessions (the second fills up its flushes,
 *                               the third uses the mmap engine), closed
 *   make_golden retain STORE    drops all but the last three segments, appends, closes
 *   make_golden killed STORE    one segment; dies by SIGKILL with a record claimed
 *   make_golden plain STORE     one segment, closed
 *   make_golden more STORE      appends to plain until its segment is full, closes
 *   make_golden delayed STORE   delayed messages: delivered by reference and as copies, cancelled,
 *                               carried forward by retention, waiting until the year 2100, and
 *                               some whose time had passed; closed
 *
 * killed and plain print the position of the record that make-golden.sh then spoils.
 *
 * make does not build it: the files it made are what counts. It is kept to tell how.
 */
#include "maker.h"
#include <signal.h>
#include <stdbool.h>
#include <time.h>

enum { SEGMENTS = 8, FILL_BYTES = 50000, KEYS = 64, SHORT_MS = 100 };

#define YEAR_2023_MS INT64_C(1700000000000)
#define YEAR_2100_MS INT64_C(4102444800000)

struct maker {
    struct commitlog_store *store;
    uint32_t orders, sizes, once;
};

static uint64_t put_text(struct commitlog_store *store, uint32_t number, uint32_t queue,
                         const char *body, const char *key, uint32_t level)
{
    struct commitlog_slice keys[1];
    struct commitlog_record record = {.topic = number, .queue = queue, .level = level};
    if (key != NULL) {
        keys[0] = text(key);
        record.keys = keys;
        record.key_count = 1;
    }
    return put(store, &record, text(body));
}

/* Body of zeros. */
static void put_fill(struct commitlog_store *store, uint32_t number, size_t bytes)
{
    static const uint8_t zeros[FILL_BYTES];
    struct commitlog_record record = {.topic = number, .level = COMMITLOG_LEVEL_NONE};
    put(store, &record, (struct commitlog_slice){zeros, bytes});
}

static void reserve(struct commitlog_store *store, uint32_t number, uint32_t queue, int end)
{
    static const char body[] = "written in its place";
    struct commitlog_slice keys[] = {text("reserved")};
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = number,
                                      .queue = queue,
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .keys = keys,
                                      .key_count = 1,
                                      .tag = text("blue")};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.message = ""};
    void *place = NULL;
    need(commitlog_reserve(store, &record, sizeof body - 1, COMMITLOG_FOREVER, &reservation, &place,
                           &err),
         &err, "reserve");
    memcpy(place, body, sizeof body - 1);
    if (end == 'c') {
        need(commitlog_commit(reservation, COMMITLOG_FOREVER, NULL, &err), &err, "commit");
    } else if (end == 'a') {
        need(commitlog_abort(reservation), &err, "abort");
    }
}

/* Attributes of all kinds, text and not. */
static void put_attributes(const struct maker *m)
{
    const struct commitlog_slice some[] = {text("alpha"), text("beta"), text("alpha")};
    const struct commitlog_slice binary[] = {{"\0\377", 2}, text("beta")};
    const struct commitlog_header headers[] = {{text("content-type"), text("text/plain")},
                                               {text("trace"), {"\0\1\2\376\377", 5}}};
    const struct commitlog_header odd[] = {
        {{"\377\0", 2}, text("")}, {text("twice"), text("one")}, {text("twice"), text("two")}};
    struct commitlog_record record = {.topic = m->orders,
                                      .queue = 1,
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .keys = some,
                                      .key_count = 3,
                                      .tag = text("red"),
                                      .headers = headers,
                                      .header_count = 2,
                                      .has_time = 1,
                                      .time_ms = 1700000000123};
    put(m->store, &record, text("tag, keys (one twice), headers, time"));
    record = (struct commitlog_record){.topic = m->sizes,
                                       .level = COMMITLOG_LEVEL_NONE,
                                       .keys = binary,
                                       .key_count = 2,
                                       .tag = text("gr\303\274n"),
                                       .headers = odd,
                                       .header_count = 3,
                                       .has_time = 1,
                                       .time_ms = -1};
    put(m->store, &record, (struct commitlog_slice){"\200 not text\0", 11});
    record = (struct commitlog_record){.topic = m->sizes,
                                       .queue = 1,
                                       .level = COMMITLOG_LEVEL_NONE,
                                       .keys = some,
                                       .key_count = 1,
                                       .tag = text("red")};
    put(m->store, &record, text(""));
}

static void put_many_keys(const struct maker *m)
{
    char names[KEYS][8];
    struct commitlog_slice keys[KEYS];
    struct commitlog_record record = {
        .topic = m->orders, .level = COMMITLOG_LEVEL_NONE, .keys = keys, .key_count = KEYS};
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "n%u", i);
        keys[i] = text(names[i]);
    }
    put(m->store, &record, text("64 keys"));
}

static void put_batch(const struct maker *m)
{
    const struct commitlog_slice key[] = {text("batch")};
    const struct commitlog_slice bodies[] = {text("first of four"), text("second"), text(""),
                                             text("last")};
    const uint32_t topics[] = {m->orders, m->sizes, m->orders, m->sizes};
    const uint32_t queues[] = {0, 2, 1, 2};
    struct commitlog_record records[4];
    struct commitlog_error err = {.message = ""};
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < 4; i++) {
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = topics[i];
        records[i].queue = queues[i];
        records[i].level = COMMITLOG_LEVEL_NONE;
        records[i].body = &bodies[i];
        records[i].body_count = 1;
        records[i].keys = key;
        records[i].key_count = i == 2 ? 0 : 1;
    }
    need(commitlog_append_batch(m->store, records, 4, COMMITLOG_FOREVER, NULL, &err), &err,
         "batch");
}

static void make_clean(const char *path)
{
    static const char digits[] = "12345678";
    struct maker m = {.store = open_store(path, COMMITLOG_ENGINE_STAGED, 0)};
    m.orders = topic(m.store, "orders", 2);
    m.sizes = topic(m.store, "gr\303\266\303\237e/\316\262", 3);
    m.once = topic(m.store, "once", 1);
    for (uint32_t bytes = 0; bytes < 9; bytes++) {
        put_text(m.store, m.orders, 0, &digits[8 - bytes], NULL, COMMITLOG_LEVEL_NONE);
    }
    put_attributes(&m);
    put_many_keys(&m);
    put_batch(&m);
    reserve(m.store, m.orders, 1, 'a');
    reserve(m.store, m.orders, 0, 'c');
    put_text(m.store, m.once, 0, "one", "alpha", COMMITLOG_LEVEL_NONE);
    put_text(m.store, m.once, 0, "two", "beta", COMMITLOG_LEVEL_WRITTEN);
    put_text(m.store, m.once, 0, "three", NULL, COMMITLOG_LEVEL_DURABLE);
    put_text(m.store, m.orders, 1, "knows what is durable", NULL, COMMITLOG_LEVEL_NONE);
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        char body[32];
        /* Two do not fit one segment; the last leaves room in its own. */
        put_fill(m.store, m.orders, i < SEGMENTS - 1 ? FILL_BYTES : FILL_BYTES / 10);
        snprintf(body, sizeof body, "behind fill %u", i);
        put_text(m.store, m.orders, 0, body, "alpha", COMMITLOG_LEVEL_NONE);
        put_text(m.store, m.sizes, i % 3, body, "beta", COMMITLOG_LEVEL_NONE);
        if (i % 2 == 0) {
            put_text(m.store, m.orders, 1, body, NULL, COMMITLOG_LEVEL_NONE);
        }
    }
    put_batch(&m);
    close_store(m.store);

    m.store = open_store(path, COMMITLOG_ENGINE_STAGED, 4096);
    put_text(m.store, topic(m.store, "orders", 0), 0, "up to a block", NULL,
             COMMITLOG_LEVEL_DURABLE);
    close_store(m.store);

    m.store = open_store(path, COMMITLOG_ENGINE_MMAP, 0);
    m.orders = topic(m.store, "orders", 2);
    reserve(m.store, m.orders, 1, 'a');
    put_text(m.store, m.orders, 1, "the last one", "omega", COMMITLOG_LEVEL_DURABLE);
    close_store(m.store);
}

static void make_retained(const char *path)
{
    struct commitlog_store *store = open_store(path, COMMITLOG_ENGINE_STAGED, 0);
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 3 * 65536};
    struct commitlog_retained done = {.struct_bytes = sizeof done};
    struct commitlog_error err = {.message = ""};
    need(commitlog_retain(store, &policy, &done, &err), &err, "retain");
    put_text(store, topic(store, "once", 0), 0, "four", "alpha", COMMITLOG_LEVEL_DURABLE);
    close_store(store);
}

static void make_killed(const char *path)
{
    struct commitlog_store *store = open_store(path, COMMITLOG_ENGINE_MMAP, 0);
    const uint32_t number = topic(store, "tail", 2);
    char body[64];
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t level = i == 4 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
        snprintf(body, sizeof body, "number %u, %s", i,
                 i < 5 ? "acknowledged as durable" : "acknowledged at level none");
        const uint64_t position = put_text(store, number, i % 2, body, "k", level);
        if (i == 6) {
            printf("%llu\n", (unsigned long long)position);
        }
    }
    fflush(stdout);
    reserve(store, number, 0, 0);
    put_text(store, number, 1, "behind a claimed record", "k", COMMITLOG_LEVEL_NONE);
    raise(SIGKILL);
}

static void make_plain(const char *path)
{
    struct commitlog_store *store = open_store(path, COMMITLOG_ENGINE_STAGED, 0);
    const uint32_t number = topic(store, "plain", 2);
    char body[64];
    for (uint32_t i = 0; i < 12; i++) {
        snprintf(body, sizeof body, "message %u of twelve", i);
        const uint64_t position = put_text(store, number, i % 2, body, i % 3 == 0 ? "third" : NULL,
                                           COMMITLOG_LEVEL_DURABLE);
        if (i == 7) {
            printf("%llu\n", (unsigned long long)position);
        }
    }
    close_store(store);
}

static void make_more(const char *path)
{
    struct commitlog_store *store = open_store(path, COMMITLOG_ENGINE_STAGED, 0);
    const uint32_t number = topic(store, "plain", 0);
    for (uint32_t i = 0; i < 2; i++) {
        put_fill(store, number, FILL_BYTES);
        put_text(store, number, 1, "after salvage", "third", COMMITLOG_LEVEL_DURABLE);
    }
    close_store(store);
}

/* ---- delayed messages: they come when this program says so, for the store has no thread ----- */

struct delay {
    uint32_t queue;
    int64_t due_ms;
    const char *body, *tag;
    uint32_t key_count;
    uint64_t sequence; /* of producer 7; 0: of none */
};

static struct commitlog_record delayed_record(uint32_t number, const struct delay *delay,
                                              const struct commitlog_slice *body)
{
    static const struct commitlog_slice keys[] = {{"alpha", 5}, {"beta", 4}, {"alpha", 5}};
    static const struct commitlog_header header = {{"trace", 5}, {"\0\377", 2}};
    const bool whole = delay->key_count == 3;
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = number,
                                     .queue = delay->queue,
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .body = body,
                                     .body_count = 1,
                                     .keys = keys,
                                     .key_count = delay->key_count,
                                     .tag = text(delay->tag),
                                     .headers = &header,
                                     .header_count = whole ? 1 : 0,
                                     .has_time = whole ? 1 : 0,
                                     .time_ms = YEAR_2023_MS,
                                     .producer_id = delay->sequence > 0 ? 7 : 0,
                                     .producer_epoch = delay->sequence > 0 ? 1 : 0,
                                     .sequence = delay->sequence,
                                     .deliver_at_ms = delay->due_ms};
}

static uint64_t put_delayed(struct commitlog_store *store, uint32_t number, struct delay delay)
{
    struct commitlog_record record = delayed_record(number, &delay, NULL);
    return put(store, &record, text(delay.body));
}

static void put_delayed_batch(struct commitlog_store *store, uint32_t number, int64_t due_ms)
{
    const struct delay delays[] = {{0, due_ms, "late member", "red", 1, 0},
                                   {1, 0, "member", "blue", 2, 0},
                                   {1, YEAR_2100_MS, "waiting member", "", 0, 0}};
    struct commitlog_slice bodies[3];
    struct commitlog_record records[3];
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < 3; i++) {
        bodies[i] = text(delays[i].body);
        records[i] = delayed_record(number, &delays[i], &bodies[i]);
    }
    need(commitlog_append_batch(store, records, 3, COMMITLOG_FOREVER, NULL, &err), &err, "batch");
}

static int64_t soon_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + SHORT_MS;
}

/* Until none waits that does not wait for the year 2100. */
static void deliver(struct commitlog_store *store)
{
    struct commitlog_timer_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    uint32_t wait_ms;
    do {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
        need(commitlog_step(store, 1000, &wait_ms), &err, "step");
        need(commitlog_timer_at(store, 0, &info), &err, "timer");
    } while (info.deliver_at_ms != YEAR_2100_MS);
}

static void cancel(struct commitlog_store *store, uint64_t timer)
{
    struct commitlog_error err = {.message = ""};
    need(commitlog_timer_cancel(store, timer, COMMITLOG_LEVEL_DURABLE, &err), &err, "cancel");
}

static void fill(struct commitlog_store *store, uint32_t number, uint32_t segments)
{
    for (uint32_t i = 0; i < segments; i++) {
        put_fill(store, number, FILL_BYTES); /* two do not fit one segment */
        put_text(store, number, 0, "behind a fill", "alpha", COMMITLOG_LEVEL_NONE);
    }
}

static void make_delayed(const char *path)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                               .keep_bytes = 5 * 65536};
    struct commitlog_retained done = {.struct_bytes = sizeof done};
    struct commitlog_error err = {.message = ""};
    static char large[3000];
    memset(large, 'x', sizeof large - 1);
    struct commitlog_store *store = open_store(path, COMMITLOG_ENGINE_STAGED, 0);
    const uint32_t filled = topic(store, "filled", 1);
    const uint32_t number = topic(store, "delayed", 2);
    int64_t due_ms = soon_ms();
    put_delayed(store, number, (struct delay){0, due_ms, "delivered as a copy", "red", 3, 1});
    put_delayed(store, number, (struct delay){1, YEAR_2100_MS, "carried", "blue", 3, 2});
    put_delayed(store, number, (struct delay){1, YEAR_2100_MS, large, "", 0, 0});
    const uint64_t later = put_delayed(
        store, number, (struct delay){0, YEAR_2100_MS, "carried, then cancelled", "red", 1, 0});
    cancel(store,
           put_delayed(store, number, (struct delay){0, due_ms, "cancelled at once", "red", 2, 0}));
    fill(store, filled, 2);
    put_delayed(store, number, (struct delay){1, due_ms, "a copy, and kept", "blue", 3, 0});
    fill(store, filled, 3);
    put_delayed(store, number, (struct delay){0, due_ms, "delivered by reference", "red", 3, 3});
    put_delayed(store, number, (struct delay){1, due_ms, "", "", 0, 0});
    put_delayed(store, number, (struct delay){1, due_ms, "two keys", "gr\303\274n", 2, 0});
    put_delayed_batch(store, number, due_ms);
    put_delayed(store, number, (struct delay){1, YEAR_2023_MS, "had passed", "blue", 1, 4});
    put_text(store, number, 0, "not delayed", "alpha", COMMITLOG_LEVEL_NONE);
    deliver(store);
    fill(store, filled, 1);
    close_store(store);

    store = open_store(path, COMMITLOG_ENGINE_MMAP, 0);
    due_ms = soon_ms();
    put_delayed(store, number, (struct delay){0, due_ms, "of the second session", "blue", 1, 5});
    need(commitlog_retain(store, &policy, &done, &err), &err, "retain");
    cancel(store, later);
    deliver(store);
    put_text(store, number, 1, "the last one", "omega", COMMITLOG_LEVEL_DURABLE);
    close_store(store);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(const char *path);
    } kinds[] = {{"clean", make_clean}, {"retain", make_retained}, {"killed", make_killed},
                 {"plain", make_plain}, {"more", make_more},       {"delayed", make_delayed}};
    for (size_t i = 0; argc == 3 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            kinds[i].make(argv[2]);
            return 0;
        }
    }
    fprintf(stderr, "make_golden: see the head of make_golden.c\n");
    return 2;
}
