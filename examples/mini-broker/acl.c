/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acl.c - each request against the rights of who signed it. See acl.h.
 *
 * Happy path: the signature is an account's, the rule of the request's code asks for rights that it
 * has. Failure modes: refused with REPLY_NO_PERMISSION, in the same words whether the account or
 * its signature is wrong; the log has a line for it at most once in LOG_SELDOM_MS.
 */
#include "acl.h"

#include "acl_accounts.h"
#include "codes.h"
#include "json.h"
#include "log.h"
#include "reply.h"

#include <jansson.h>
#include <stdlib.h>

struct acl {
    struct accounts *accounts;
    struct log_seldom refused;
};

/* What a request needs beside a signature. */
enum rule {
    RULE_ADMIN,
    RULE_NOTHING,
    RULE_SEND,      /* to write to its topic */
    RULE_PULL,      /* to read its topic, as its consumer group */
    RULE_TOPIC,     /* to read or to write to its topic */
    RULE_READ,      /* to read its topic */
    RULE_GROUP,     /* its consumer group */
    RULE_LATE,      /* what its handler asks for by acl_may_read or acl_may_write */
    RULE_BACK,      /* its group, under another name; and late, the topic */
    RULE_LEAVE,     /* its consumer group, if it names one */
    RULE_HEARTBEAT, /* the groups and topics in its body */
    RULE_LOCK       /* the group and the topics in its body */
};

static const struct {
    int32_t code;
    enum rule rule;
} rules[] = {
    {REQUEST_SEND_REPLY, RULE_SEND},
    {REQUEST_SEND_REPLY_V2, RULE_SEND},
    {REQUEST_SEND_V2, RULE_SEND},
    {REQUEST_SEND, RULE_SEND},
    {REQUEST_SEND_BATCH, RULE_SEND},
    {REQUEST_PULL, RULE_PULL},
    {REQUEST_PULL_LITE, RULE_PULL},
    {REQUEST_OFFSET_UPDATE, RULE_PULL},
    {REQUEST_OFFSET_QUERY, RULE_PULL},
    {REQUEST_OFFSET_MAX, RULE_TOPIC},
    {REQUEST_OFFSET_MIN, RULE_TOPIC},
    {REQUEST_OFFSET_BY_TIME, RULE_TOPIC},
    {REQUEST_EARLIEST_TIME, RULE_TOPIC},
    {REQUEST_QUERY, RULE_READ},
    {REQUEST_VIEW, RULE_LATE},
    {REQUEST_SEND_BACK, RULE_BACK},
    {REQUEST_TRANSACTION_END, RULE_LATE},
    {REQUEST_CONSUMERS, RULE_GROUP},
    {REQUEST_UNREGISTER, RULE_LEAVE},
    {REQUEST_HEARTBEAT, RULE_HEARTBEAT},
    {REQUEST_LOCK, RULE_LOCK},
    {REQUEST_UNLOCK, RULE_LOCK},
    {REQUEST_CLIENT_CHECK, RULE_NOTHING},
    {REQUEST_ROUTE, RULE_NOTHING},
    {REQUEST_CLUSTER, RULE_NOTHING},
    {REQUEST_KV_GET, RULE_NOTHING},
};

static bool covers_consumer(const struct account *account, const json_t *data)
{
    size_t i;
    json_t *item;
    if (!account_has_group(account, json_text(data, "groupName")))
        return false;
    json_array_foreach(json_object_get(data, "subscriptionDataSet"), i, item)
    {
        if (!account_may_read(account, json_text(item, "topic")))
            return false;
    }
    return true;
}

/* Groups and topics of a heartbeat, or of a request about locks. */
static bool covers_body(const struct account *account, struct connection *connection,
                        const struct command *command, enum rule rule)
{
    json_error_t error;
    json_t *json = json_body(connection, command, JSON_CLIENT_MAX, &error), *item;
    size_t i;
    bool good = json != NULL;
    if (rule == RULE_HEARTBEAT) {
        json_array_foreach(json_object_get(json, "consumerDataSet"), i, item) good =
            good && covers_consumer(account, item);
    } else {
        good = good && account_has_group(account, json_text(json, "consumerGroup"));
        json_array_foreach(json_object_get(json, "mqSet"), i, item) good =
            good && account_may_read(account, json_text(item, "topic"));
    }
    json_decref(json);
    return good;
}

static enum rule rule_of(int32_t code)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].code == code)
            return rules[i].rule;
    }
    return RULE_ADMIN;
}

static bool covers(const struct account *account, struct connection *connection,
                   const struct command *command)
{
    const struct text topic = command_text(command, "topic");
    const struct text group = command_text(command, "consumerGroup");
    const bool v1 = command->code == REQUEST_SEND || command->code == REQUEST_SEND_REPLY;
    const enum rule rule = rule_of(command->code);
    if (account_is_admin(account))
        return true;
    switch (rule) {
    case RULE_ADMIN:
        return false;
    case RULE_NOTHING:
    case RULE_LATE:
        return true;
    case RULE_SEND:
        return account_may_write(account, v1 ? topic : command_text(command, "b"));
    case RULE_PULL:
        return account_may_read(account, topic) && account_has_group(account, group);
    case RULE_TOPIC:
        return account_may_read(account, topic) || account_may_write(account, topic);
    case RULE_READ:
        return account_may_read(account, topic);
    case RULE_GROUP:
        return account_has_group(account, group);
    case RULE_BACK:
        return account_has_group(account, command_text(command, "group"));
    case RULE_LEAVE:
        return group.bytes == 0 || account_has_group(account, group);
    case RULE_HEARTBEAT:
    case RULE_LOCK:
        return covers_body(account, connection, command, rule);
    }
    return false;
}

static void say_refused(struct connection *connection, const struct command *command,
                        const struct account *account)
{
    struct acl *acl = connection->broker->acl;
    const int64_t now = (int64_t)uv_now(&connection->broker->loop);
    uint64_t count;
    if (!log_seldom(&acl->refused, now, &count))
        return;
    log_line(LOG_WARN, "%s: request %d refused: %s; %llu since the last line",
             connection->host_text, command->code,
             account != NULL ? "beyond the rights of its account" : "not signed by an account",
             (unsigned long long)count);
}

static const char *why_refused(const struct account *account, const struct command *command)
{
    const enum rule rule = rule_of(command->code);
    if (account == NULL)
        return "no account, or a wrong signature";
    if ((rule == RULE_HEARTBEAT || rule == RULE_LOCK) && command->body.bytes > JSON_CLIENT_MAX)
        return "the body is too large to be looked at";
    return "the account has no right to this";
}

bool acl_admits(struct connection *connection, const struct command *command)
{
    const struct acl *acl = connection->broker->acl;
    if (acl == NULL)
        return true;
    const struct account *account = accounts_verify(acl->accounts, command);
    if (account != NULL && covers(account, connection, command))
        return true;
    say_refused(connection, command, account);
    reply_error(connection, command, REPLY_NO_PERMISSION, "No permission: %s",
                why_refused(account, command));
    return false;
}

bool acl_may_read(const struct broker *broker, const struct command *command, struct text topic)
{
    if (broker->acl == NULL)
        return true;
    const struct account *account =
        accounts_find(broker->acl->accounts, command_text(command, "AccessKey"));
    return account != NULL && account_may_read(account, topic);
}

bool acl_key_may_write(const struct broker *broker, struct text access_key, struct text topic)
{
    if (broker->acl == NULL)
        return true;
    const struct account *account = accounts_find(broker->acl->accounts, access_key);
    return account != NULL && account_may_write(account, topic);
}

bool acl_may_write(const struct broker *broker, const struct command *command, struct text topic)
{
    return acl_key_may_write(broker, command_text(command, "AccessKey"), topic);
}

bool acl_start(struct broker *broker)
{
    if (broker->options->net.acl == NULL)
        return true;
    broker->acl = calloc(1, sizeof *broker->acl);
    if (broker->acl == NULL)
        return false;
    broker->acl->accounts = accounts_read(broker->options->net.acl);
    if (broker->acl->accounts != NULL)
        log_line(LOG_INFO, "accounts: %s", broker->options->net.acl);
    return broker->acl->accounts != NULL;
}

void acl_stop(struct broker *broker)
{
    if (broker->acl == NULL)
        return;
    accounts_free(broker->acl->accounts);
    free(broker->acl);
    broker->acl = NULL;
}

bool acl_reload(struct broker *broker)
{
    if (broker->acl == NULL)
        return true;
    struct accounts *accounts = accounts_read(broker->options->net.acl);
    if (accounts == NULL) {
        log_line(LOG_WARN, "accounts stay as they were");
        return false;
    }
    accounts_free(broker->acl->accounts);
    broker->acl->accounts = accounts;
    log_line(LOG_INFO, "accounts: %s, read again", broker->options->net.acl);
    return true;
}
