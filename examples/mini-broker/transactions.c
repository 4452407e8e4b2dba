/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions.c - prepare, END_TRANSACTION, and the question CHECK_TRANSACTION_STATE to some
 * producer of the group when nobody has decided. See transactions.h.
 *
 * Happy path: the store prepares, the client decides, which is answered when the disk has it, the
 * store delivers by reference. Failure modes: a client that dies or does not read, or whose account
 * may not write to the topic, for the question has the message in it: any other of its group is
 * asked; none knows: rolled back after so many questions, or when the store's time for it is over;
 * nobody is there to be asked: it waits, but among very many the rounds in which nobody was count
 * as questions, or the store had no room for those of others; a decision about one that has ended
 * already is not an error, since clients may be asked twice.
 */
#include "transactions.h"

#include "acl.h"
#include "clients.h"
#include "codes.h"
#include "dispatch.h"
#include "durable.h"
#include "hold.h"
#include "log.h"
#include "reply.h"
#include "room.h"

#include <stdlib.h>

enum { FIRST_CHECK_MS = 6000, TICK_MS = 1000, PREPARED_MS = 86400000 };
enum { CHECKS_MANY = COMMITLOG_TRANSACTIONS_MAX / 4 };
#define PREPARED_MAX_MS INT64_C(2592000000)

struct check {
    struct table_entry entry; /* by number, 8 bytes */
    uint64_t transaction;
    int64_t first_ms;  /* after its begin; -1: it was not looked at yet */
    int64_t last_ms;   /* when somebody was asked; by the loop's clock, which nobody sets */
    int64_t missed_ms; /* likewise: when a round was counted in which nobody could be */
    uint32_t times;    /* questions and such rounds */
    bool asked;
    bool seen;
};

struct checks {
    struct broker *broker;
    struct table table;
    uv_timer_t timer;
    struct log_seldom ended;
};

/* The time that who sent it wants to have before it is asked; 0: it does not say. */
static int64_t immune_ms(struct text properties)
{
    int64_t seconds;
    if (!text_to_i64(properties_find(properties, "CHECK_IMMUNITY_TIME_IN_SECONDS"), &seconds) ||
        seconds <= 0)
        return 0;
    return seconds > PREPARED_MAX_MS / 1000 ? PREPARED_MAX_MS : seconds * 1000;
}

static int64_t first_check_ms(const struct broker *broker, int64_t immune)
{
    const int64_t interval = broker->options->transaction_check_ms;
    return immune > 0 ? immune : interval < FIRST_CHECK_MS ? interval : FIRST_CHECK_MS;
}

static struct check *check_of(struct checks *checks, uint64_t number);

int32_t transactions_prepare(struct broker *broker, struct text group, struct message *message,
                             struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    struct commitlog_slice keys[APPEND_KEYS_MAX];
    struct commitlog_record record;
    struct commitlog_transaction *transaction;
    const int64_t immune = immune_ms(message->layout.properties);
    const int64_t all_checks =
        (int64_t)broker->options->transaction_check_ms * (broker->options->transaction_checks + 2) +
        FIRST_CHECK_MS + immune;
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof options,
        .flags = COMMITLOG_TRANSACTION_PREPARED,
        .prepared_ms = all_checks > PREPARED_MAX_MS ? PREPARED_MAX_MS
                       : all_checks > PREPARED_MS   ? all_checks
                                                    : PREPARED_MS};
    struct commitlog_slice body;
    message->layout.sys_flag |= MESSAGE_COMMITTED; /* nobody reads it before it is */
    append_record(message, keys, &record);
    if (!append_body(broker, message, &body))
        return COMMITLOG_ENOMEM;
    record.body = &body;
    record.body_count = 1;
    int32_t code = commitlog_transaction_begin(broker->store, group.data, group.bytes, &options,
                                               &transaction, err);
    if (code != COMMITLOG_OK)
        return code;
    code =
        append_waited(broker, commitlog_transaction_append(
                                  transaction, &record, append_wait_ms(broker), out_receipt, err));
    (void)room_told(broker, code, body.bytes);
    if (code == COMMITLOG_OK)
        out_receipt->position = out_receipt->queue_offset = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    struct check *check = code == COMMITLOG_OK && immune > 0 && broker->checks != NULL
                              ? check_of(broker->checks, out_receipt->position)
                              : NULL;
    if (check != NULL)
        check->first_ms = immune;
    return code;
}

static int32_t transaction_info(struct broker *broker, uint64_t number,
                                struct commitlog_transaction_info *out)
{
    *out = (struct commitlog_transaction_info){.struct_bytes = sizeof *out};
    if (number == 0)
        return COMMITLOG_ENOTFOUND;
    const int32_t code = commitlog_transaction_next(broker->store, number - 1, out);
    return code == COMMITLOG_OK && out->transaction != number ? COMMITLOG_ENOTFOUND : code;
}

static int32_t transaction_decide(struct broker *broker, uint64_t number, bool commit,
                                  struct commitlog_error *err)
{
    struct commitlog_transaction *transaction;
    struct commitlog_transaction_message message = {.struct_bytes = sizeof message};
    const bool known =
        commitlog_transaction_message(broker->store, number, 0, &message) == COMMITLOG_OK;
    struct commitlog_receipt receipt = {0};
    int32_t code = commitlog_transaction_open(broker->store, number, &transaction, err);
    if (code != COMMITLOG_OK)
        return code;
    const int32_t wait_ms = append_wait_ms(broker);
    code = commit ? commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, wait_ms,
                                                 &receipt, err)
                  : commitlog_transaction_rollback(transaction, COMMITLOG_LEVEL_NONE, wait_ms, err);
    (void)append_waited(broker, code);
    commitlog_transaction_close(transaction);
    struct topic *topic = known ? topic_of_stored(broker, message.topic) : NULL;
    if (code == COMMITLOG_OK && commit) {
        broker->put_count++;
        if (topic != NULL) {
            topic->put_count++;
            hold_grown(broker, topic, message.queue, receipt.end_position);
        }
    }
    return code;
}

/* The topic that the first of its messages goes to; empty, which is for administrators: it is not
 * known. */
static struct text transaction_topic(const struct broker *broker, uint64_t number)
{
    struct commitlog_transaction_message message = {.struct_bytes = sizeof message};
    const struct topic *topic =
        commitlog_transaction_message(broker->store, number, 0, &message) == COMMITLOG_OK
            ? topic_of_stored(broker, message.topic)
            : NULL;
    return topic == NULL ? (struct text){0} : topic->entry.name;
}

/* What was answered when it was prepared has to come back: NULL, or the words of RocketMQ. */
static const char *wrong_end(const struct command *command,
                             const struct commitlog_transaction_info *info)
{
    if (!text_equal((struct text){info->group, info->group_bytes},
                    command_text(command, "producerGroup")))
        return "The producer group wrong";
    if (command_i64(command, "tranStateTableOffset", -1) != (int64_t)info->transaction)
        return "The transaction state table offset wrong";
    return NULL;
}

void handle_transaction_end(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct commitlog_transaction_info info;
    struct commitlog_error err = {0};
    const int64_t number = command_i64(command, "commitLogOffset", 0);
    const int64_t decision = command_i64(command, "commitOrRollback", 0);
    if (decision != MESSAGE_COMMITTED && decision != MESSAGE_ROLLED_BACK) {
        reply_ok(connection, command); /* not known yet: it will be asked after */
        return;
    }
    int32_t code = transaction_info(broker, (uint64_t)(number < 0 ? 0 : number), &info);
    const char *wrong = code != COMMITLOG_OK ? NULL : wrong_end(command, &info);
    if (wrong != NULL) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "%s", wrong);
        return;
    }
    if (code == COMMITLOG_OK &&
        !acl_may_write(broker, command, transaction_topic(broker, info.transaction))) {
        reply_error(connection, command, REPLY_NO_PERMISSION, "the topic of another account");
        return;
    }
    if (code == COMMITLOG_OK)
        code = transaction_decide(broker, info.transaction, decision == MESSAGE_COMMITTED, &err);
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    if (code == COMMITLOG_OK)
        durable_reply_written(broker, &reply);
    else
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "transaction %lld: %s",
                    (long long)number, commitlog_error_text(code));
}

static void put_unique(struct reply *request, const struct layout *layout)
{
    const struct text unique = properties_find(layout->properties, "UNIQ_KEY");
    reply_text(request, "msgId", unique);
    reply_text(request, "transactionId", unique);
}

/* The message of a transaction as it was sent. False: it cannot be read. */
static bool check_read(struct broker *broker, const struct commitlog_transaction_info *info,
                       struct commitlog_message *out, struct layout *out_layout,
                       struct commitlog_lease **out_lease)
{
    struct commitlog_transaction_message where = {.struct_bytes = sizeof where};
    if (commitlog_transaction_message(broker->store, info->transaction, 0, &where) !=
            COMMITLOG_OK ||
        commitlog_get(broker->store, where.position, out, out_lease, NULL) != COMMITLOG_OK)
        return false;
    out->queue = where.queue;
    out->position = info->transaction;
    out->queue_offset = info->transaction;
    return layout_read(out->body, out_layout);
}

/* False: the message cannot be read. */
static bool check_ask(struct broker *broker, struct connection *connection,
                      const struct commitlog_transaction_info *info)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct layout layout;
    uint8_t patched[LAYOUT_PATCH_MAX];
    char id[LAYOUT_ID_MAX];
    const bool good = check_read(broker, info, &message, &layout, &lease);
    const size_t bytes = good ? layout_patch(&message, patched) : 0;
    if (bytes > 0) {
        struct reply request = request_begin(connection, REQUEST_TRANSACTION_CHECK);
        reply_text(&request, "topic", layout.topic);
        reply_i64(&request, "tranStateTableOffset", (int64_t)info->transaction);
        reply_i64(&request, "commitLogOffset", (int64_t)info->transaction);
        put_unique(&request, &layout);
        reply_text(
            &request, "offsetMsgId",
            (struct text){id, layout_id(&broker->options->advertise, info->transaction, id)});
        reply_text(&request, "bname", text_of(broker->options->name));
        if (reply_end_header(&request, message.body.bytes)) {
            struct output *output = connection_output(connection);
            output_copy(output, patched, bytes);
            output_copy(output, (const uint8_t *)message.body.data + bytes,
                        message.body.bytes - bytes);
        }
    }
    commitlog_lease_release(lease);
    return bytes > 0;
}

/* What the message says of when it may be asked for the first time; of one that was prepared before
 * the broker started, that is read when somebody would be asked. */
static void check_look(struct broker *broker, struct check *check,
                       const struct commitlog_transaction_info *info)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct layout layout;
    const bool good = check_read(broker, info, &message, &layout, &lease);
    check->first_ms = first_check_ms(broker, good ? immune_ms(layout.properties) : 0);
    commitlog_lease_release(lease);
}

/* It may have begun before the broker started: that the clock of the wall says alone. */
static bool check_is_due(const struct broker *broker, const struct check *check,
                         const struct commitlog_transaction_info *info, int64_t now)
{
    const int64_t first = check->first_ms < 0 ? first_check_ms(broker, 0) : check->first_ms;
    return check->asked ? now - check->last_ms >= broker->options->transaction_check_ms
                        : broker_now_ms() >= info->begin_ms + first;
}

static struct check *check_of(struct checks *checks, uint64_t number)
{
    const struct text name = {(const char *)&number, sizeof number};
    struct check *check = (struct check *)(void *)table_find(&checks->table, name);
    if (check != NULL)
        return check;
    check = calloc(1, sizeof *check);
    if (check == NULL)
        return NULL;
    check->transaction = number;
    check->first_ms = -1;
    check->entry.name = (struct text){(const char *)&check->transaction, sizeof number};
    if (!table_insert(&checks->table, &check->entry)) {
        free(check);
        return NULL;
    }
    return check;
}

/* Nobody knows how it ended. */
static void check_end(struct checks *checks, const struct commitlog_transaction_info *info)
{
    struct commitlog_error err = {0};
    uint64_t count;
    if (log_seldom(&checks->ended, (int64_t)uv_now(&checks->broker->loop), &count))
        log_line(LOG_WARN,
                 "transaction %llu of group %s: nobody knows how it ended: rolled back; %llu since "
                 "the last line",
                 (unsigned long long)info->transaction, info->group, (unsigned long long)count);
    (void)transaction_decide(checks->broker, info->transaction, false, &err);
}

static void check_one(struct checks *checks, const struct commitlog_transaction_info *info,
                      int64_t now)
{
    struct broker *broker = checks->broker;
    const int64_t interval = broker->options->transaction_check_ms;
    struct check *check = check_of(checks, info->transaction);
    if (check == NULL)
        return;
    check->seen = true;
    if (!check_is_due(broker, check, info, now))
        return;
    struct connection *connection =
        clients_any_producer(broker, (struct text){info->group, info->group_bytes},
                             transaction_topic(broker, info->transaction));
    if (connection == NULL && now - check->missed_ms < interval)
        return;
    if (connection != NULL && check->first_ms < 0) {
        check_look(broker, check, info);
        if (!check_is_due(broker, check, info, now))
            return;
    }
    if (check->times >= broker->options->transaction_checks) {
        check_end(checks, info);
    } else if (connection != NULL) {
        (void)check_ask(broker, connection, info); /* else nobody can be asked about it, ever */
        check->asked = true;
        check->last_ms = check->missed_ms = now;
        check->times++;
    } else {
        check->missed_ms = now;
        check->times += checks->table.count > CHECKS_MANY ? 1 : 0;
    }
}

static void checks_forget(struct checks *checks)
{
    struct table_entry *entry = table_next(&checks->table, NULL);
    while (entry != NULL) {
        struct check *check = (struct check *)(void *)entry;
        entry = table_next(&checks->table, entry);
        if (!check->seen) {
            table_remove(&checks->table, &check->entry);
            free(check);
            continue;
        }
        check->seen = false;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct checks *checks = timer->data;
    struct commitlog_transaction_info info = {.struct_bytes = sizeof info};
    const int64_t now = (int64_t)uv_now(timer->loop);
    while (commitlog_transaction_next(checks->broker->store, info.transaction, &info) ==
           COMMITLOG_OK) {
        if (info.prepared)
            check_one(checks, &info, now);
    }
    checks_forget(checks);
}

bool transactions_start(struct broker *broker)
{
    struct checks *checks = calloc(1, sizeof *checks);
    if (checks == NULL)
        return false;
    checks->broker = broker;
    broker->checks = checks;
    uv_timer_init(&broker->loop, &checks->timer);
    checks->timer.data = checks;
    return uv_timer_start(&checks->timer, on_timer, TICK_MS, TICK_MS) == 0;
}

void transactions_stop(struct broker *broker)
{
    struct checks *checks = broker->checks;
    if (checks == NULL)
        return;
    checks_forget(checks);
    checks_forget(checks);
    uv_close((uv_handle_t *)&checks->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    table_free(&checks->table);
    free(checks);
    broker->checks = NULL;
}
