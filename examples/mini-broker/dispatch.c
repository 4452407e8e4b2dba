/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dispatch.c - from the code of a request to its handler. See dispatch.h.
 *
 * Happy path: a row of the table. Failure modes: no row: REPLY_NOT_SUPPORTED, always said, so that
 * no client waits for an answer; an answer of a client to a request of ours is looked at by nobody,
 * because all of ours are one-way.
 */
#include "dispatch.h"

#include "acl.h"
#include "codes.h"
#include "log.h"
#include "reply.h"

static const struct {
    int32_t code;
    handler *handler;
} handlers[] = {
    {REQUEST_SEND_V2, handle_send},
    {REQUEST_PULL, handle_pull},
    {REQUEST_SEND, handle_send},
    {REQUEST_SEND_BATCH, handle_send_batch},
    {REQUEST_PULL_LITE, handle_pull},
    {REQUEST_OFFSET_UPDATE, handle_offset_update},
    {REQUEST_OFFSET_QUERY, handle_offset_query},
    {REQUEST_OFFSET_MAX, handle_offset_max},
    {REQUEST_OFFSET_MIN, handle_offset_min},
    {REQUEST_OFFSET_BY_TIME, handle_offset_by_time},
    {REQUEST_EARLIEST_TIME, handle_earliest_time},
    {REQUEST_HEARTBEAT, handle_heartbeat},
    {REQUEST_UNREGISTER, handle_unregister},
    {REQUEST_CONSUMERS, handle_consumers},
    {REQUEST_CLIENT_CHECK, handle_client_check},
    {REQUEST_LOCK, handle_lock},
    {REQUEST_UNLOCK, handle_unlock},
    {REQUEST_SEND_BACK, handle_send_back},
    {REQUEST_SEND_REPLY_V2, handle_send_reply},
    {REQUEST_SEND_REPLY, handle_send_reply},
    {REQUEST_TRANSACTION_END, handle_transaction_end},
    {REQUEST_QUERY, handle_query},
    {REQUEST_VIEW, handle_view},
    {REQUEST_ROUTE, handle_route},
    {REQUEST_CLUSTER, handle_cluster},
    {REQUEST_TOPICS, handle_topics},
    {REQUEST_TOPICS_OF_CLUSTER, handle_topics_of_cluster},
    {REQUEST_TOPICS_SYSTEM, handle_topics_system},
    {REQUEST_WRITE_WIPE, handle_write_wipe},
    {REQUEST_WRITE_ADD, handle_write_add},
    {REQUEST_NAMESRV_CONFIG, handle_namesrv_config},
    {REQUEST_KV_PUT, handle_kv_put},
    {REQUEST_KV_GET, handle_kv_get},
    {REQUEST_KV_DELETE, handle_kv_delete},
    {REQUEST_KV_LIST, handle_kv_list},
    {REQUEST_TOPIC_UPDATE, handle_topic_update},
    {REQUEST_TOPIC_UPDATE_LIST, handle_topic_update_list},
    {REQUEST_TOPIC_DELETE, handle_topic_delete},
    {REQUEST_TOPIC_DELETE_ROUTE, handle_topic_delete_route},
    {REQUEST_TOPIC_CONFIG, handle_topic_config},
    {REQUEST_TOPIC_ALL, handle_topic_all},
    {REQUEST_TOPIC_STATUS, handle_topic_status},
    {REQUEST_TOPIC_GROUPS, handle_topic_groups},
    {REQUEST_GROUP_UPDATE, handle_group_update},
    {REQUEST_GROUP_DELETE, handle_group_delete},
    {REQUEST_GROUP_ALL, handle_group_all},
    {REQUEST_GROUP_CONFIG, handle_group_config},
    {REQUEST_CONSUME_STATUS, handle_consume_status},
    {REQUEST_CONSUMER_CONNECTION, handle_consumer_connection},
    {REQUEST_PRODUCER_CONNECTION, handle_producer_connection},
    {REQUEST_OFFSET_RESET, handle_offset_reset},
    {REQUEST_BROKER_STATUS, handle_broker_status},
    {REQUEST_VIEW_STATS, handle_view_stats},
    {REQUEST_BROKER_CONFIG, handle_broker_config},
};

void dispatch(struct connection *connection, const struct command *command)
{
    if (command->flag & FLAG_RESPONSE)
        return;
    if (!acl_admits(connection, command))
        return;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        if (handlers[i].code == command->code) {
            handlers[i].handler(connection, command);
            return;
        }
    }
    log_line(LOG_DEBUG, "%s: request %d is not supported", connection->host_text, command->code);
    reply_error(connection, command, REPLY_NOT_SUPPORTED, " request type %d not supported",
                command->code);
}
