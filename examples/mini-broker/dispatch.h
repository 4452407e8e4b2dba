/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dispatch.h - who handles which request.
 *
 * Owns: the table of handlers. Threads: the loop's.
 */
#ifndef MINI_BROKER_DISPATCH_H
#define MINI_BROKER_DISPATCH_H

#include "command.h"
#include "connection.h"

void dispatch(struct connection *connection, const struct command *command);

/* A handler answers now, or keeps a struct reply_to and answers later. */
typedef void handler(struct connection *connection, const struct command *command);

/* namesrv.c, routes.c */
handler handle_route, handle_cluster, handle_topics, handle_topics_of_cluster, handle_topics_system,
    handle_kv_put, handle_kv_get, handle_kv_delete, handle_kv_list, handle_write_wipe,
    handle_write_add, handle_namesrv_config;
/* clients.c, heartbeat.c */
handler handle_heartbeat, handle_unregister, handle_consumers, handle_client_check;
/* send.c, send_batch.c, send_back.c, request_reply.c, transactions.c */
handler handle_send_reply, handle_send, handle_send_batch, handle_send_back, handle_transaction_end;
/* pull.c */
handler handle_pull;
/* offsets.c, locks.c, reset.c */
handler handle_offset_query, handle_offset_update, handle_offset_max, handle_offset_min,
    handle_offset_by_time, handle_earliest_time, handle_lock, handle_unlock, handle_offset_reset;
/* query.c */
handler handle_query, handle_view;
/* admin_topics.c, admin_groups.c, admin_status.c */
handler handle_topic_update, handle_topic_update_list, handle_topic_delete,
    handle_topic_delete_route, handle_topic_config, handle_topic_all, handle_topic_status,
    handle_topic_groups, handle_group_update, handle_group_delete, handle_group_all,
    handle_group_config, handle_consume_status, handle_consumer_connection,
    handle_producer_connection, handle_broker_status, handle_broker_config;
/* counters.c */
handler handle_view_stats;

#endif
