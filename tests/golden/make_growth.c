/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make_growth.c -- fills a store with topics that grow; make-golden.sh compiles and runs it.
 *
 *   make_growth STORE    one that grows empty, by three steps, with keyed messages between them, by
 *                        record, batch, delay and transaction; that shrinks by one step and by two,
 *                        and grows again; whose growth retention has taken, with its marks; one
 * that grows while it has no message at all, one that never does; groups that have consumed to a
 * mark, behind it, not so far, and one whose offset is in a child; what waits for the old queue;
 * three sessions; closed
 *
 * make does not build it: the files it made are what counts. It is kept to tell how.
 */
#include "maker.h"

#include <stdbool.h>

enum { FILL_BYTES = 50000, KEYS = 12, QUEUES_MAX = 24 };

#define YEAR_2100_MS INT64_C(4102444800000)
#define DAYS_30_MS INT64_C(2592000000)
#define LEVEL COMMITLOG_LEVEL_NONE

static struct commitlog_error err;

struct shop {
    struct commitlog_store *store;
    uint32_t orders; /* begins with two queues */
    uint32_t bare;   /* with one, and no message */
    uint32_t still;  /* never grows */
    uint32_t filled;
    struct commitlog_group *clerks; /* who consume all of it */
    struct commitlog_group *slow;   /* not even the first mark */
};

static struct commitlog_group *group(struct commitlog_store *store, const char *name)
{
    struct commitlog_group *made = NULL;
    need(commitlog_group_open(store, name, strlen(name), COMMITLOG_GROUP_CREATE, &made, &err), &err,
         name);
    return made;
}

static void enter(struct shop *shop, const char *path, uint64_t engine)
{
    shop->store = open_store(path, engine, 0);
    shop->filled = topic(shop->store, "filled", 1);
    shop->still = topic(shop->store, "still", 2);
    shop->orders = topic(shop->store, "orders", 2);
    shop->bare = topic(shop->store, "gr\303\266\303\237e", 1);
    shop->clerks = group(shop->store, "clerks");
    shop->slow = group(shop->store, "slow");
}

static void leave(struct shop *shop)
{
    commitlog_group_close(shop->clerks);
    commitlog_group_close(shop->slow);
    close_store(shop->store);
}

/* Two do not fit one segment. */
static void fill(struct shop *shop, uint32_t segments)
{
    static const uint8_t zeros[FILL_BYTES];
    for (uint32_t i = 0; i < segments; i++) {
        struct commitlog_record record = {.topic = shop->filled};
        put(shop->store, &record, (struct commitlog_slice){zeros, FILL_BYTES});
    }
}

static void upkeep(struct shop *shop)
{
    uint32_t ignored;
    for (int i = 0; i < 4; i++) {
        need(commitlog_step(shop->store, 1000000, &ignored), &err, "step");
    }
}

static void retain(struct shop *shop, uint64_t keep_bytes)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                               .keep_bytes = keep_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    need(commitlog_sync(shop->store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err, "sync");
    need(commitlog_retain(shop->store, &policy, &retained, &err), &err, "retain");
    if (retained.segments_dropped == 0) {
        fprintf(stderr, "nothing retained\n");
        exit(1);
    }
}

static void grow(struct shop *shop, uint32_t number, uint32_t queues)
{
    need(commitlog_topic_grow(shop->store, number, queues, LEVEL, &err), &err, "grow");
}

static void shrink(struct shop *shop, uint32_t number, uint32_t queues)
{
    need(commitlog_topic_shrink(shop->store, number, queues, LEVEL, &err), &err, "shrink");
}

/* ---- messages ---- */

/* One of each key, to where the library puts it; the number rises from call to call. */
static void put_all(struct shop *shop, bool batch)
{
    static uint32_t number;
    char names[KEYS][16], texts[KEYS][32];
    struct commitlog_slice keys[KEYS], bodies[KEYS];
    struct commitlog_record records[KEYS];
    number++;
    for (uint32_t k = 0; k < KEYS; k++) {
        keys[k].data = names[k];
        keys[k].bytes = (size_t)snprintf(names[k], sizeof names[k], "n%u", k * 9);
        bodies[k].data = texts[k];
        bodies[k].bytes = (size_t)snprintf(texts[k], sizeof texts[k], "%u of n%u", number, k * 9);
        records[k] = (struct commitlog_record){.struct_bytes = sizeof records[k],
                                               .topic = shop->orders,
                                               .queue = COMMITLOG_QUEUE_AUTO,
                                               .level = LEVEL,
                                               .body = &bodies[k],
                                               .body_count = 1,
                                               .keys = &keys[k],
                                               .key_count = 1,
                                               .tag = text(k % 2 == 0 ? "red" : "blue")};
        if (!batch) {
            need(commitlog_append_record(shop->store, &records[k], COMMITLOG_FOREVER, NULL, &err),
                 &err, "append");
        }
    }
    if (batch) {
        need(commitlog_append_batch(shop->store, records, KEYS, COMMITLOG_FOREVER, NULL, &err),
             &err, "batch");
    }
}

static void put_still(struct shop *shop)
{
    struct commitlog_record record = {.topic = shop->still, .queue = 1};
    put(shop->store, &record, text("of a topic that does not grow"));
}

/* Its queue is chosen now; it comes there in 2100, when there may be more of them. */
static void put_waiting(struct shop *shop, const char *key)
{
    const struct commitlog_slice name = text(key);
    struct commitlog_record record = {.topic = shop->orders,
                                      .queue = COMMITLOG_QUEUE_AUTO,
                                      .keys = &name,
                                      .key_count = 1,
                                      .deliver_at_ms = YEAR_2100_MS};
    put(shop->store, &record, text("waits"));
}

static struct commitlog_transaction *begin(struct shop *shop, const char *body)
{
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof options, .timeout_ms = DAYS_30_MS, .prepared_ms = DAYS_30_MS};
    const struct commitlog_slice key = text("alpha");
    const struct commitlog_slice slice = text(body);
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic = shop->orders,
                                            .queue = COMMITLOG_QUEUE_AUTO,
                                            .level = LEVEL,
                                            .body = &slice,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = 1};
    struct commitlog_transaction *made = NULL;
    need(commitlog_transaction_begin(shop->store, "shop", 4, &options, &made, &err), &err, "begin");
    need(commitlog_transaction_append(made, &record, COMMITLOG_FOREVER, NULL, &err), &err,
         "append");
    return made;
}

static void commit(struct commitlog_transaction *one)
{
    need(commitlog_transaction_commit(one, COMMITLOG_LEVEL_DURABLE, COMMITLOG_FOREVER, NULL, &err),
         &err, "commit");
    commitlog_transaction_close(one);
}

/* ---- groups ---- */

/* All that is there, of the queues in order: so parents come before their children. */
static void consume(struct shop *shop, struct commitlog_group *by)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    need(commitlog_topic_info(shop->store, shop->orders, &info), &err, "info");
    for (uint32_t q = 0; q < info.queues_total; q++) {
        struct commitlog_queue_info queue = {.struct_bytes = sizeof queue};
        need(commitlog_queue_info(shop->store, shop->orders, q, &queue), &err, "queue");
        const struct commitlog_group_offset offset = {shop->orders, q, queue.next_offset};
        need(commitlog_group_commit(by, 0, &offset, 1, LEVEL, COMMITLOG_FOREVER, NULL, &err), &err,
             "offsets");
    }
}

static void consume_some(struct shop *shop, struct commitlog_group *by, uint32_t queue,
                         uint64_t offset)
{
    const struct commitlog_group_offset one = {shop->orders, queue, offset};
    need(commitlog_group_commit(by, 0, &one, 1, LEVEL, COMMITLOG_FOREVER, NULL, &err), &err,
         "offset");
}

/* ---- sessions ---- */

static struct commitlog_transaction *first_session(struct shop *shop)
{
    grow(shop, shop->bare, 3); /* without a message: it has no marks */
    put_still(shop);
    put_all(shop, false);
    grow(shop, shop->orders, 4);
    put_all(shop, true);
    consume(shop, shop->clerks);
    shrink(shop, shop->orders, 2);
    put_all(shop, false);
    consume(shop, shop->clerks);
    grow(shop, shop->orders, 4); /* the same step again, with other marks */
    put_all(shop, false);
    fill(shop, 4);
    consume(shop, shop->clerks);
    retain(shop, 131072); /* takes all of these, and carries topics and ends forward */
    put_all(shop, false); /* so that the next marks have something below them */
    put_waiting(shop, "alpha");
    struct commitlog_transaction *open = begin(shop, "of the queue of then");
    need(commitlog_transaction_prepare(open, LEVEL, COMMITLOG_FOREVER, &err), &err, "prepare");
    grow(shop, shop->orders, 12);
    put_all(shop, true);
    consume_some(shop, shop->slow, 0, 14); /* below its mark: its children stay shut */
    return open;
}

static void second_session(struct shop *shop, uint64_t open)
{
    struct commitlog_transaction *one = NULL;
    put_all(shop, false);
    grow(shop, shop->bare, 6);
    need(commitlog_transaction_open(shop->store, open, &one, &err), &err, "open");
    commit(one); /* behind the growth, into the old queue */
    commit(begin(shop, "of the queue of now"));
    fill(shop, 2);
    put_all(shop, false);
    grow(shop, shop->orders, QUEUES_MAX);
    put_all(shop, true);
}

static void third_session(struct shop *shop)
{
    struct commitlog_group *there = group(shop->store, "there");
    put_all(shop, false);
    grow(shop, shop->bare, QUEUES_MAX);
    shrink(shop, shop->bare, 3); /* by two steps, and back by one */
    grow(shop, shop->bare, 6);
    consume(shop, shop->clerks);
    need(commitlog_group_reset(there, shop->orders, QUEUES_MAX - 1, COMMITLOG_FROM_FIRST, 0, LEVEL,
                               &err),
         &err, "reset"); /* in a child, of which it has no parent */
    put_still(shop);
    put_waiting(shop, "beta");
    put_all(shop, false);
    upkeep(shop);
    commitlog_group_close(there);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "make_growth: see the head of make_growth.c\n");
        return 2;
    }
    struct shop shop;
    enter(&shop, argv[1], COMMITLOG_ENGINE_STAGED);
    struct commitlog_transaction *open = first_session(&shop);
    const uint64_t number = commitlog_transaction_id(open);
    commitlog_transaction_close(open);
    leave(&shop);

    enter(&shop, argv[1], COMMITLOG_ENGINE_MMAP);
    second_session(&shop, number);
    leave(&shop);

    enter(&shop, argv[1], COMMITLOG_ENGINE_STAGED);
    third_session(&shop);
    leave(&shop);
    return 0;
}
