/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dispatch.c - from the code of a request to its handler. See dispatch.h.
 *
 * Happy path: a row of the table. Failure modes: no row: REPLY_NOT_SUPPORTED, always said, so that
 * no client waits for an answer; an answer of a client to a request of ours is looked at by nobody,
 * because all of ours are one-way; the other end has gone: what only asks is passed over.
 */
#include "dispatch.h"

#include "acl.h"
#include "codes.h"
#include "log.h"
#include "reply.h"

static const struct {
    int32_t code;
    handler *handler;
    bool only_asks; /* nothing becomes of it but an answer */
} handlers[] = {
    {REQUEST_SEND_V2, handle_send, false},
    {REQUEST_PULL, handle_pull, false},
    {REQUEST_SEND, handle_send, false},
    {REQUEST_SEND_BATCH, handle_send_batch, false},
    {REQUEST_PULL_LITE, handle_pull, false},
    {REQUEST_OFFSET_UPDATE, handle_offset_update, false},
    {REQUEST_OFFSET_QUERY, handle_offset_query, true},
    {REQUEST_OFFSET_MAX, handle_offset_max, true},
    {REQUEST_OFFSET_MIN, handle_offset_min, true},
    {REQUEST_OFFSET_BY_TIME, handle_offset_by_time, true},
    {REQUEST_EARLIEST_TIME, handle_earliest_time, true},
    {REQUEST_HEARTBEAT, handle_heartbeat, false},
    {REQUEST_UNREGISTER, handle_unregister, false},
    {REQUEST_CONSUMERS, handle_consumers, true},
    {REQUEST_CLIENT_CHECK, handle_client_check, true},
    {REQUEST_LOCK, handle_lock, false},
    {REQUEST_UNLOCK, handle_unlock, false},
    {REQUEST_SEND_BACK, handle_send_back, false},
    {REQUEST_SEND_REPLY_V2, handle_send_reply, false},
    {REQUEST_SEND_REPLY, handle_send_reply, false},
    {REQUEST_TRANSACTION_END, handle_transaction_end, false},
    {REQUEST_QUERY, handle_query, true},
    {REQUEST_VIEW, handle_view, true},
    {REQUEST_ROUTE, handle_route, true},
    {REQUEST_CLUSTER, handle_cluster, true},
    {REQUEST_TOPICS, handle_topics, true},
    {REQUEST_TOPICS_OF_CLUSTER, handle_topics_of_cluster, true},
    {REQUEST_TOPICS_SYSTEM, handle_topics_system, true},
    {REQUEST_WRITE_WIPE, handle_write_wipe, false},
    {REQUEST_WRITE_ADD, handle_write_add, false},
    {REQUEST_NAMESRV_CONFIG, handle_namesrv_config, true},
    {REQUEST_KV_PUT, handle_kv_put, false},
    {REQUEST_KV_GET, handle_kv_get, true},
    {REQUEST_KV_DELETE, handle_kv_delete, false},
    {REQUEST_KV_LIST, handle_kv_list, true},
    {REQUEST_TOPIC_UPDATE, handle_topic_update, false},
    {REQUEST_TOPIC_UPDATE_LIST, handle_topic_update_list, false},
    {REQUEST_TOPIC_DELETE, handle_topic_delete, false},
    {REQUEST_TOPIC_DELETE_ROUTE, handle_topic_delete_route, false},
    {REQUEST_TOPIC_CONFIG, handle_topic_config, true},
    {REQUEST_TOPIC_ALL, handle_topic_all, true},
    {REQUEST_TOPIC_STATUS, handle_topic_status, true},
    {REQUEST_TOPIC_GROUPS, handle_topic_groups, true},
    {REQUEST_GROUP_UPDATE, handle_group_update, false},
    {REQUEST_GROUP_DELETE, handle_group_delete, false},
    {REQUEST_GROUP_ALL, handle_group_all, true},
    {REQUEST_GROUP_CONFIG, handle_group_config, true},
    {REQUEST_CONSUME_STATUS, handle_consume_status, true},
    {REQUEST_CONSUMER_CONNECTION, handle_consumer_connection, true},
    {REQUEST_PRODUCER_CONNECTION, handle_producer_connection, true},
    {REQUEST_OFFSET_RESET, handle_offset_reset, false},
    {REQUEST_BROKER_STATUS, handle_broker_status, true},
    {REQUEST_VIEW_STATS, handle_view_stats, true},
    {REQUEST_BROKER_CONFIG, handle_broker_config, true},
};

void dispatch(struct connection *connection, const struct command *command)
{
    if (command->flag & FLAG_RESPONSE)
        return;
    if (!acl_admits(connection, command))
        return;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        if (handlers[i].code == command->code) {
            if (!connection->gone || !handlers[i].only_asks)
                handlers[i].handler(connection, command);
            return;
        }
    }
    log_line(LOG_DEBUG, "%s: request %d is not supported", connection->host_text, command->code);
    reply_error(connection, command, REPLY_NOT_SUPPORTED, " request type %d not supported",
                command->code);
}
