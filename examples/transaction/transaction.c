/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction.c - a shop with a database of its own, and a process that is killed on the way: every
 * order that the database has is in two topics, once in each, and no other one is.
 *
 * The shop puts an order into the topic "orders" and into its database, which is a file here. The
 * two must agree, so the message is prepared first, then the database is written, and then the
 * transaction is committed. Billing reads "orders", and writes an invoice for each to "invoices" in
 * one transaction with the offset that it has come to, so that none is written twice.
 *
 * The program forks. The child takes orders, and kills itself in the middle of three transactions.
 * Then the parent opens the store, looks into the database how each transaction that it finds
 * prepared should end, and goes on. At the end it counts. Exits with 1 if an order is missing,
 * doubled, or not in the database. Killed at any moment and started again, it also ends what the
 * earlier run had left.
 *
 *   transaction [DIR]        default: shop.store; the database is the file DIR.orders
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CHILD_ORDERS = 3,  /* that the child takes, and one more that it does not finish */
    PARENT_ORDERS = 3, /* that the parent takes afterwards */
    BILL_AT_ONCE = 2,
    ORDERS_MAX = 10000, /* of all runs with this directory */
    PATIENCE_MS = 10000
};

static const char producer_group[] = "shop"; /* all who can look into the database */

struct shop {
    struct commitlog_store *store;
    struct commitlog_group *billing;
    uint32_t epoch;
    uint32_t orders;
    uint32_t invoices;
    FILE *database;
    uint8_t has_order[ORDERS_MAX]; /* what it has, by number */
};

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "transaction: %s: %s\n", what,
            detailed ? err->message : commitlog_error_text(code));
    return code;
}

/* ---- the database: a line for each order, with its number --------------------------------------
 */

static int32_t database_open(struct shop *shop, const char *path)
{
    char name[4096];
    uint32_t order = 0;
    snprintf(name, sizeof name, "%s.orders", path);
    shop->database = fopen(name, "a+");
    if (shop->database == NULL)
        return complain("open the database", COMMITLOG_EIO, NULL);
    rewind(shop->database);
    while (fscanf(shop->database, "%" SCNu32, &order) == 1)
        if (order < ORDERS_MAX)
            shop->has_order[order] = 1;
    return COMMITLOG_OK;
}

static int32_t database_add(struct shop *shop, uint32_t order)
{
    if (order >= ORDERS_MAX)
        return complain("sold out", COMMITLOG_ETOOBIG, NULL);
    if (fprintf(shop->database, "%" PRIu32 "\n", order) < 0 || fflush(shop->database) != 0 ||
        fdatasync(fileno(shop->database)) != 0)
        return complain("write the database", COMMITLOG_EIO, NULL);
    shop->has_order[order] = 1;
    return COMMITLOG_OK;
}

static int database_has(const struct shop *shop, uint32_t order)
{
    return order < ORDERS_MAX && shop->has_order[order];
}

/* One more than the highest: the number of an order that came to nothing is given out again. */
static uint32_t database_next(const struct shop *shop)
{
    uint32_t order = ORDERS_MAX;
    while (order > 1 && !shop->has_order[order - 1])
        order--;
    return order;
}

/* ---- messages ----------------------------------------------------------------------------------
 */

/* The commit, or the prepare, makes it durable with everything before it: nothing to wait for here.
 */
static int32_t append(struct commitlog_transaction *transaction, uint32_t topic, const char *what,
                      uint32_t order)
{
    char text[32];
    const int bytes = snprintf(text, sizeof text, "%s %" PRIu32, what, order);
    const struct commitlog_slice body = {text, (size_t)bytes};
    struct commitlog_record record = {0};
    struct commitlog_error err = {0};
    record.struct_bytes = sizeof record;
    record.topic = topic;
    record.level = COMMITLOG_LEVEL_NONE;
    record.body = &body;
    record.body_count = 1;
    const int32_t code =
        commitlog_transaction_append(transaction, &record, PATIENCE_MS, NULL, &err);
    return code == COMMITLOG_OK ? code : complain("append", code, &err);
}

/* The number at the end of the body: 0 if there is none. */
static uint32_t order_of(const struct commitlog_message *message)
{
    const char *text = message->body.data;
    uint32_t order = 0;
    for (size_t i = 0; i < message->body.bytes; i++)
        order = text[i] >= '0' && text[i] <= '9' ? order * 10 + (uint32_t)(text[i] - '0') : 0;
    return order;
}

static int32_t commit(struct commitlog_transaction *transaction)
{
    struct commitlog_error err = {0};
    const int32_t code =
        commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_DURABLE, PATIENCE_MS, NULL, &err);
    return code == COMMITLOG_OK ? code : complain("commit", code, &err);
}

/* ---- the shop: a message and a line of the database, both or neither ---------------------------
 */

/* From the return on it outlives us. */
static int32_t prepare_order(const struct shop *shop, uint32_t order,
                             struct commitlog_transaction **out_transaction)
{
    struct commitlog_error err = {0};
    int32_t code = commitlog_transaction_begin(shop->store, producer_group, strlen(producer_group),
                                               NULL, out_transaction, &err);
    if (code != COMMITLOG_OK)
        return complain("begin", code, &err);
    code = append(*out_transaction, shop->orders, "order", order);
    if (code != COMMITLOG_OK)
        return code;
    code =
        commitlog_transaction_prepare(*out_transaction, COMMITLOG_LEVEL_DURABLE, PATIENCE_MS, &err);
    return code == COMMITLOG_OK ? code : complain("prepare", code, &err);
}

static int32_t take_order(struct shop *shop, uint32_t order)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t code = prepare_order(shop, order, &transaction);
    if (code == COMMITLOG_OK)
        code = database_add(shop, order); /* the decision: from now on there is this order */
    if (code == COMMITLOG_OK)
        code = commit(transaction);
    commitlog_transaction_close(transaction);
    if (code == COMMITLOG_OK)
        printf("  order %" PRIu32 ": prepared, in the database, committed\n", order);
    fflush(stdout);
    return code;
}

/* ---- billing: an invoice for each order, and how far it has come, both or neither --------------
 */

/* The next orders; none: *out_count is 0. The messages are good until the cursor is closed. */
static int32_t next_orders(const struct shop *shop, struct commitlog_message *messages,
                           uint32_t *out_count, struct commitlog_group_offset *out_offset,
                           struct commitlog_cursor **out_cursor)
{
    struct commitlog_error err = {0};
    *out_offset = (struct commitlog_group_offset){shop->orders, 0, 0};
    *out_count = 0;
    int32_t code = commitlog_group_fetch(shop->billing, out_offset, 1, &err);
    if (code == COMMITLOG_OK && out_offset->offset == UINT64_MAX)
        out_offset->offset = 0; /* it has never committed */
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(shop->store, shop->orders, 0, COMMITLOG_FROM_OFFSET,
                                     out_offset->offset, out_cursor, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_fetch(*out_cursor, messages, BILL_AT_ONCE, 0, out_count, NULL);
    if (code == COMMITLOG_OK)
        out_offset->offset = commitlog_cursor_tell(*out_cursor);
    return code == COMMITLOG_OK || code == COMMITLOG_EEND ? COMMITLOG_OK
                                                          : complain("read orders", code, &err);
}

/* All but the commit. */
static int32_t make_invoices(const struct shop *shop, const struct commitlog_message *messages,
                             uint32_t count, const struct commitlog_group_offset *offset,
                             struct commitlog_transaction **out_transaction)
{
    struct commitlog_error err = {0};
    int32_t code =
        commitlog_transaction_begin(shop->store, "billing", 7, NULL, out_transaction, &err);
    if (code != COMMITLOG_OK)
        return complain("begin", code, &err);
    for (uint32_t i = 0; code == COMMITLOG_OK && i < count; i++)
        code = append(*out_transaction, shop->invoices, "invoice", order_of(&messages[i]));
    if (code != COMMITLOG_OK)
        return code;
    code = commitlog_transaction_offsets(*out_transaction, shop->billing, shop->epoch, offset, 1,
                                         &err);
    return code == COMMITLOG_OK ? code : complain("offsets", code, &err);
}

static void tell_bill(const struct commitlog_message *messages, uint32_t count,
                      const struct commitlog_group_offset *offset, const char *what)
{
    printf("  billing: invoices for");
    for (uint32_t i = 0; i < count; i++)
        printf(" %" PRIu32, order_of(&messages[i]));
    printf(", and its offset, now %" PRIu64 ": %s\n", offset->offset, what);
    fflush(stdout);
}

/* In a row of transactions until all orders have an invoice. If it is to be killed, the first one
 * is the last, and lacks the commit. */
static int32_t bill(const struct shop *shop, int killed)
{
    struct commitlog_message messages[BILL_AT_ONCE];
    struct commitlog_group_offset offset;
    uint32_t count = 1;
    int32_t code = COMMITLOG_OK;
    while (code == COMMITLOG_OK && count > 0) {
        struct commitlog_transaction *transaction = NULL;
        struct commitlog_cursor *cursor = NULL;
        code = next_orders(shop, messages, &count, &offset, &cursor);
        if (code == COMMITLOG_OK && count > 0)
            code = make_invoices(shop, messages, count, &offset, &transaction);
        if (code == COMMITLOG_OK && count > 0 && !killed)
            code = commit(transaction);
        if (code == COMMITLOG_OK && count > 0)
            tell_bill(messages, count, &offset, killed ? "not committed" : "committed");
        if (killed)
            return code;                          /* with the transaction in our hands */
        commitlog_transaction_close(transaction); /* rolls back what was not committed */
        commitlog_cursor_close(cursor);
    }
    return code;
}

/* ---- what was left behind ----------------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A transaction of the shop has one message, which says which order it is. */
static int32_t read_order(const struct shop *shop, uint64_t number, uint32_t *out_order)
{
    struct commitlog_transaction_message where = {.struct_bytes = sizeof where};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {0};
    int32_t code = commitlog_transaction_message(shop->store, number, 0, &where);
    if (code == COMMITLOG_OK)
        code = commitlog_get(shop->store, where.position, &message, &lease, &err);
    if (code != COMMITLOG_OK)
        return complain("read what is prepared", code, &err);
    *out_order = order_of(&message);
    commitlog_lease_release(lease);
    return COMMITLOG_OK;
}

static int32_t decide(const struct shop *shop, const struct commitlog_transaction_info *info)
{
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_error err = {0};
    uint32_t order = 0;
    int32_t code = read_order(shop, info->transaction, &order);
    if (code != COMMITLOG_OK)
        return code;
    const int there = database_has(shop, order);
    code = commitlog_transaction_open(shop->store, info->transaction, &transaction, &err);
    if (code != COMMITLOG_OK)
        return complain("open what is prepared", code, &err);
    if (there) {
        code = commit(transaction);
    } else {
        code =
            commitlog_transaction_rollback(transaction, COMMITLOG_LEVEL_DURABLE, PATIENCE_MS, &err);
        if (code != COMMITLOG_OK)
            complain("roll back", code, &err);
    }
    commitlog_transaction_close(transaction);
    if (code == COMMITLOG_OK)
        printf("  transaction %" PRIu64 " of %s, %" PRId64 " ms old, order %" PRIu32 ": %s\n",
               info->transaction, info->group, now_ms() - info->begin_ms, order,
               there ? "in the database, so committed" : "not in the database, so rolled back");
    fflush(stdout);
    return code;
}

/* The check-back: nobody asks us, so each process asks itself when it begins. */
static int32_t decide_what_is_left(const struct shop *shop)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof info};
    int32_t code = COMMITLOG_OK;
    while (code == COMMITLOG_OK &&
           commitlog_transaction_next(shop->store, info.transaction, &info) == COMMITLOG_OK)
        if (info.prepared && strcmp(info.group, producer_group) == 0)
            code = decide(shop, &info);
    return code;
}

/* ---- the count ---------------------------------------------------------------------------------
 */

static int32_t count_topic(const struct shop *shop, uint32_t topic, uint32_t *counts)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    uint32_t count = 0;
    memset(counts, 0, ORDERS_MAX * sizeof *counts);
    int32_t code =
        commitlog_cursor_open(shop->store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    while (code == COMMITLOG_OK) {
        code = commitlog_cursor_fetch(cursor, messages, 64, 0, &count, NULL);
        for (uint32_t i = 0; code == COMMITLOG_OK && i < count; i++)
            if (order_of(&messages[i]) < ORDERS_MAX)
                counts[order_of(&messages[i])]++;
    }
    commitlog_cursor_close(cursor);
    return code == COMMITLOG_EEND ? COMMITLOG_OK : complain("count", code, &err);
}

static int32_t check(const struct shop *shop, int *out_wrong)
{
    static uint32_t orders[ORDERS_MAX], invoices[ORDERS_MAX];
    uint32_t sum = 0;
    int32_t code = count_topic(shop, shop->orders, orders);
    if (code == COMMITLOG_OK)
        code = count_topic(shop, shop->invoices, invoices);
    for (uint32_t i = 0; code == COMMITLOG_OK && i < ORDERS_MAX; i++) {
        const uint32_t expected = shop->has_order[i];
        if (orders[i] != expected || invoices[i] != expected) {
            fprintf(stderr,
                    "transaction: order %" PRIu32 " is %s the database, %" PRIu32
                    " times in orders, %" PRIu32 " times in invoices\n",
                    i, expected ? "in" : "not in", orders[i], invoices[i]);
            *out_wrong = 1;
        }
        sum += expected;
    }
    if (code == COMMITLOG_OK && !*out_wrong)
        printf("%" PRIu32 " orders in the database: each is once in orders, once in invoices\n",
               sum);
    return code;
}

/* ---- the two processes -------------------------------------------------------------------------
 */

static int32_t open_shop(const char *path, struct shop *shop)
{
    struct commitlog_error err = {0};
    int32_t code = database_open(shop, path);
    if (code != COMMITLOG_OK)
        return code;
    code = commitlog_open(path, NULL, &shop->store, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(shop->store, "orders", 6, 1, &shop->orders, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(shop->store, "invoices", 8, 1, &shop->invoices, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_group_open(shop->store, "billing", 7,
                                    COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &shop->billing,
                                    &err);
    /* Whoever did the billing before could commit no more. */
    if (code == COMMITLOG_OK)
        code = commitlog_group_next_epoch(shop->billing, COMMITLOG_LEVEL_NONE, &shop->epoch, &err);
    return code == COMMITLOG_OK ? code : complain("open the shop", code, &err);
}

static int32_t close_shop(struct shop *shop)
{
    struct commitlog_error err = {0};
    commitlog_group_close(shop->billing);
    const int32_t code = commitlog_close(shop->store, &err);
    if (shop->database != NULL)
        fclose(shop->database);
    return code == COMMITLOG_OK ? code : complain("close", code, &err);
}

/* Never returns: dies with three transactions in its hands. */
static void run_first(const char *path)
{
    static struct shop shop;
    struct commitlog_transaction *decided = NULL, *undecided = NULL;
    uint32_t order = 0;
    printf("a process that will be killed:\n");
    int32_t code = open_shop(path, &shop);
    if (code == COMMITLOG_OK)
        code = decide_what_is_left(&shop); /* of a run before */
    order = database_next(&shop);
    for (uint32_t i = 0; code == COMMITLOG_OK && i + 1 < CHILD_ORDERS; i++)
        code = take_order(&shop, order++);
    if (code == COMMITLOG_OK)
        code = bill(&shop, 0);
    if (code == COMMITLOG_OK)
        code = take_order(&shop, order++);
    if (code == COMMITLOG_OK)
        code = bill(&shop, 1);
    if (code == COMMITLOG_OK)
        code = prepare_order(&shop, order, &decided);
    if (code == COMMITLOG_OK)
        code = database_add(&shop, order);
    if (code == COMMITLOG_OK)
        code = prepare_order(&shop, order + 1, &undecided);
    if (code != COMMITLOG_OK)
        _exit(1);
    printf("  order %" PRIu32 ": prepared, in the database, not committed\n", order);
    printf("  order %" PRIu32 ": prepared, not in the database\n", order + 1);
    printf("  killed\n");
    fflush(stdout);
    kill(getpid(), SIGKILL);
}

static int32_t run_second(const char *path, int *out_wrong)
{
    static struct shop shop;
    uint32_t order = 0;
    printf("the next one finds:\n");
    int32_t code = open_shop(path, &shop);
    if (code == COMMITLOG_OK)
        code = decide_what_is_left(&shop);
    if (code == COMMITLOG_OK)
        printf("and goes on:\n");
    order = database_next(&shop);
    for (uint32_t i = 0; code == COMMITLOG_OK && i < PARENT_ORDERS; i++)
        code = take_order(&shop, order++);
    if (code == COMMITLOG_OK)
        code = bill(&shop, 0);
    if (code == COMMITLOG_OK)
        code = check(&shop, out_wrong);
    const int32_t closed = close_shop(&shop);
    return code == COMMITLOG_OK ? closed : code;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "shop.store";
    int status = 0, wrong = 0;
    fflush(stdout);
    const pid_t child = fork(); /* before the store is open: handles do not survive it */
    if (child == 0) {
        run_first(path);
        _exit(1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) {
        fprintf(stderr, "transaction: the first process was not killed\n");
        return 1;
    }
    return run_second(path, &wrong) == COMMITLOG_OK && !wrong ? 0 : 1;
}
