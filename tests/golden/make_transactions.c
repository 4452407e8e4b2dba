/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make_transactions.c -- fills a store with transactions; make-golden.sh compiles and runs it.
 *
 *   make_transactions STORE    committed by one reference, by a batch of them, as copies, with
 *                              offsets of groups, offsets alone; rolled back because that was
 *                              asked, because of its time, because nobody had it any more; carried
 *                              forward by retention and then committed; dead letters of what was
 *                              delivered; prepared in each way, and one that is neither, left open;
 *                              three sessions; closed
 *
 * make does not build it: the files it made are what counts. It is kept to tell how.
 */
#include "maker.h"
#include <time.h>

enum { FILL_BYTES = 50000, SHORT_MS = 20 };

#define DAYS_30_MS INT64_C(2592000000)
#define YEAR_2023_MS INT64_C(1700000000000)
#define LEVEL COMMITLOG_LEVEL_NONE

static struct commitlog_error err;

/* What all have to do with. */
struct shop {
    struct commitlog_store *store;
    uint32_t orders; /* of two queues */
    uint32_t bills;
    uint32_t filled;
    struct commitlog_group *clerks;
    struct commitlog_group *others;
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
    shop->filled = topic(shop->store, "filled", 1); /* so they come in what is kept, too */
    shop->bills = topic(shop->store, "bills", 1);
    shop->orders = topic(shop->store, "orders", 2);
    shop->clerks = group(shop->store, "clerks");
    shop->others = group(shop->store, "gr\303\266\303\237e");
}

static void leave(struct shop *shop)
{
    commitlog_group_close(shop->clerks);
    commitlog_group_close(shop->others);
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

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
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

/* ---- transactions ---- */

static struct commitlog_transaction *begin(struct shop *shop, const char *producer, uint32_t flags,
                                           int64_t timeout_ms, int64_t prepared_ms)
{
    const struct commitlog_transaction_options options = {.struct_bytes = sizeof options,
                                                          .flags = flags,
                                                          .timeout_ms = timeout_ms,
                                                          .prepared_ms = prepared_ms};
    struct commitlog_transaction *made = NULL;
    need(
        commitlog_transaction_begin(shop->store, producer, strlen(producer), &options, &made, &err),
        &err, "begin");
    return made;
}

static void add(struct commitlog_transaction *to, uint32_t number, uint32_t queue, const char *body)
{
    const struct commitlog_slice slice = text(body);
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic = number,
                                            .queue = queue,
                                            .level = LEVEL,
                                            .body = &slice,
                                            .body_count = 1};
    need(commitlog_transaction_append(to, &record, COMMITLOG_FOREVER, NULL, &err), &err, "append");
}

/* With all that a message of one can have. */
static void add_whole(struct commitlog_transaction *to, uint32_t number, const char *body)
{
    const struct commitlog_slice keys[] = {text("alpha"), text("beta"), text("alpha")};
    const struct commitlog_header header = {text("trace"), {"\0\377", 2}};
    const struct commitlog_slice slice = text(body);
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic = number,
                                            .level = LEVEL,
                                            .body = &slice,
                                            .body_count = 1,
                                            .keys = keys,
                                            .key_count = 3,
                                            .tag = text("red"),
                                            .headers = &header,
                                            .header_count = 1,
                                            .has_time = 1,
                                            .time_ms = YEAR_2023_MS};
    need(commitlog_transaction_append(to, &record, COMMITLOG_FOREVER, NULL, &err), &err, "append");
}

static void consume(struct commitlog_transaction *by, struct commitlog_group *group,
                    uint32_t number, uint32_t queue, uint64_t offset)
{
    const struct commitlog_group_offset one = {.topic = number, .queue = queue, .offset = offset};
    need(commitlog_transaction_offsets(by, group, 0, &one, 1, &err), &err, "offsets");
}

static void prepare(struct commitlog_transaction *one)
{
    need(commitlog_transaction_prepare(one, LEVEL, COMMITLOG_FOREVER, &err), &err, "prepare");
}

static void commit(struct commitlog_transaction *one)
{
    need(commitlog_transaction_commit(one, COMMITLOG_LEVEL_DURABLE, COMMITLOG_FOREVER, NULL, &err),
         &err, "commit");
    commitlog_transaction_close(one);
}

static void commit_by_number(struct shop *shop, uint64_t number)
{
    struct commitlog_transaction *one = NULL;
    need(commitlog_transaction_open(shop->store, number, &one, &err), &err, "open");
    commit(one);
}

/* ---- what is in the store ---- */

static void commit_in_each_way(struct shop *shop)
{
    struct commitlog_transaction *one = begin(shop, "shop", 0, 0, 0);
    add_whole(one, shop->orders, "of a batch, with all there is");
    add(one, shop->orders, 1, "of a batch, in another queue");
    add(one, shop->bills, 0, "of a batch, of another topic");
    commit(one);
    one = begin(shop, "shop", 0, 0, 0);
    add(one, shop->orders, 0, "alone");
    commit(one);
    one = begin(shop, "shop", 0, 0, 0);
    add(one, shop->bills, 0, "with offsets");
    consume(one, shop->clerks, shop->orders, 0, 1);
    consume(one, shop->others, shop->orders, 1, 1);
    commit(one);
    one = begin(shop, "shop", 0, 0, 0); /* nothing of it is stored before */
    consume(one, shop->clerks, shop->orders, 0, 2);
    commit(one);
    one = begin(shop, "shop", 0, 0, 0); /* it begins with its state, and ends with a mark */
    consume(one, shop->clerks, shop->orders, 1, 1);
    consume(one, shop->others, shop->bills, 0, 1);
    prepare(one);
    commit(one);
    one = begin(shop, "gr\303\266\303\237e", COMMITLOG_TRANSACTION_PREPARED, 0, 0);
    add(one, shop->orders, 0, "begun prepared");
    commit(one);
    one = begin(shop, "shop", COMMITLOG_TRANSACTION_PREPARED, 0, 0);
    add(one, shop->orders, 1, "begun prepared, another one");
    commit(one);
}

static void roll_back_in_each_way(struct shop *shop)
{
    struct commitlog_transaction *one = begin(shop, "shop", 0, 0, 0);
    add(one, shop->orders, 0, "rolled back");
    consume(one, shop->clerks, shop->bills, 0, 1);
    prepare(one);
    need(commitlog_transaction_rollback(one, LEVEL, COMMITLOG_FOREVER, &err), &err, "rollback");
    commitlog_transaction_close(one);
    one = begin(shop, "shop", 0, 0, 0);
    add(one, shop->orders, 0, "closed");
    commitlog_transaction_close(one);
    one = begin(shop, "shop", 0, 1, 0);
    add(one, shop->orders, 0, "too late");
    struct commitlog_transaction *prepared =
        begin(shop, "shop", COMMITLOG_TRANSACTION_PREPARED, 0, 1);
    add(prepared, shop->orders, 0, "too late, prepared");
    wait_ms(SHORT_MS);
    upkeep(shop);
    commitlog_transaction_close(one);
    commitlog_transaction_close(prepared);
}

/* All of a topic's messages are given out once, and refused. */
static void bury(struct shop *shop, const char *by, uint32_t number, uint32_t buried)
{
    static struct commitlog_message messages[64];
    struct commitlog_delivery deliveries[64];
    struct commitlog_group *undertakers = group(shop->store, by);
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof options,
                                                       .flags = COMMITLOG_RECEIVE_DEAD_TOPIC,
                                                       .max_attempts = 1,
                                                       .dead_topic = buried,
                                                       .visibility_ms = 3600000};
    struct commitlog_receiver *receiver = NULL;
    uint32_t count = 0;
    need(commitlog_receiver_open(undertakers, number, &options, &receiver, &err), &err, "receiver");
    while (commitlog_receive(receiver, messages, deliveries, 64, 0, &count, &err) == COMMITLOG_OK) {
        need(commitlog_nack(receiver, deliveries, count, 0, &err), &err, "nack");
    }
    commitlog_receiver_close(receiver);
    commitlog_group_close(undertakers);
}

/* In segments that retention takes; of the numbers in `prepared` the first three are to be decided.
 */
static void carry_open_ones(struct shop *shop, uint64_t prepared[4])
{
    struct commitlog_transaction *ones[4];
    struct commitlog_transaction *open = begin(shop, "shop", 0, DAYS_30_MS, 0);
    ones[0] = begin(shop, "shop", 0, 0, DAYS_30_MS);
    ones[1] = begin(shop, "bank", 0, 0, 0);
    ones[2] = begin(shop, "bank", COMMITLOG_TRANSACTION_PREPARED, 0, 0);
    ones[3] = begin(shop, "bank", 0, 0, DAYS_30_MS);
    add(ones[2], shop->orders, 1, "carried forward, and begun prepared");
    for (int i = 0; i < 3; i++) {
        add_whole(ones[0], shop->orders, "carried forward");
        add(ones[1], shop->orders, 1, "carried forward, without offsets");
        add(open, shop->bills, 0, "carried forward, and not prepared");
    }
    consume(ones[0], shop->clerks, shop->orders, 0, 3);
    consume(ones[0], shop->others, shop->orders, 1, 2);
    consume(ones[3], shop->clerks, shop->bills, 0, 2);
    prepare(ones[0]);
    prepare(ones[1]);
    prepare(ones[3]);
    fill(shop, 5);
    add(open, shop->bills, 0, "behind what was carried");
    for (int i = 0; i < 4; i++) {
        prepared[i] = commitlog_transaction_id(ones[i]);
        commitlog_transaction_close(ones[i]);
    }
    retain(shop, 196608);
    add(open, shop->bills, 0, "behind what was carried, the second");
    commit(open);
}

/* Each of another form, and one that its process does not come back to. */
static struct commitlog_transaction *leave_some_open(struct shop *shop)
{
    struct commitlog_transaction *one = begin(shop, "shop", 0, 0, DAYS_30_MS);
    add_whole(one, shop->orders, "left prepared");
    consume(one, shop->others, shop->orders, 0, 3);
    prepare(one);
    commitlog_transaction_close(one);
    one = begin(shop, "bank", COMMITLOG_TRANSACTION_PREPARED, 0, DAYS_30_MS);
    add(one, shop->orders, 0, "left, and begun prepared");
    commitlog_transaction_close(one);
    one = begin(shop, "gr\303\266\303\237e", COMMITLOG_TRANSACTION_PREPARED, 0, 0);
    add(one, shop->orders, 0, "left for a day");
    commitlog_transaction_close(one);
    one = begin(shop, "shop", 0, DAYS_30_MS, 0);
    add(one, shop->orders, 1, "left");
    return one;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "make_transactions: see the head of make_transactions.c\n");
        return 2;
    }
    struct shop shop;
    uint64_t prepared[4];
    enter(&shop, argv[1], COMMITLOG_ENGINE_STAGED);
    fill(&shop, 2);
    commit_in_each_way(&shop);
    roll_back_in_each_way(&shop);
    const uint32_t buried = topic(shop.store, "buried", 1);
    bury(&shop, "undertakers", shop.orders, buried);
    carry_open_ones(&shop, prepared);
    struct commitlog_transaction *orphan = leave_some_open(&shop);
    leave(&shop);
    commitlog_transaction_close(orphan);

    enter(&shop, argv[1], COMMITLOG_ENGINE_MMAP);
    upkeep(&shop);
    commit_by_number(&shop, prepared[0]);
    struct commitlog_transaction *late = begin(&shop, "shop", 0, 0, 0);
    add_whole(late, shop.bills, "a copy is delivered");
    add(late, shop.orders, 1, "a copy is delivered, the second");
    prepare(late);
    fill(&shop, 6);
    commit(late); /* and of the next one some were stored again already */
    commit_by_number(&shop, prepared[1]);
    commit_by_number(&shop, prepared[2]);
    retain(&shop, 262144);
    bury(&shop, "more undertakers", shop.orders, buried);
    orphan = leave_some_open(&shop);
    leave(&shop);
    commitlog_transaction_close(orphan);

    enter(&shop, argv[1], COMMITLOG_ENGINE_STAGED);
    upkeep(&shop);
    orphan = leave_some_open(&shop);
    leave(&shop);
    commitlog_transaction_close(orphan);
    return 0;
}
