/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics.h - the topics: their settings, and where their messages are in the store.
 *
 * Owns: struct topic, all of them. One that is gone is freed when nobody waits for its messages.
 * Invariants: 1. a topic that was deleted and made again has another topic of the store, whose name
 * ends in "#" and a number; 2. the store's topic has at least as many queues as it has queues to
 * read or to write, once there is one; 3. attributes of a topic cost at most ATTRIBUTES_COST_MAX,
 * and those of all ATTRIBUTES_COSTS_MAX; 4. there are at most TOPICS_MAX, and of names, with those
 * of deleted ones that the store knows, twice as many. Not counted, and in no file, are topics of
 * retries of which only heartbeats know: groups.c bounds them. Threads: the loop's.
 */
#ifndef MINI_BROKER_TOPICS_H
#define MINI_BROKER_TOPICS_H

#include "broker.h"

#include <jansson.h>

enum {
    TOPIC_NAME_MAX = 127, /* Java reads its length in a message as a signed byte */
    GROUP_NAME_MAX = 120, /* so that RETRY_PREFIX and the name are a topic's name */
    TOPIC_QUEUES_MAX = 4096,
    TOPICS_MAX = 100000
};
enum { ATTRIBUTES_COST_MAX = 16 * 1024, ATTRIBUTES_COSTS_MAX = 16 * 1024 * 1024 };
#define TOPIC_NOT_STORED UINT32_MAX
#define RETRY_PREFIX "%RETRY%"
#define DEAD_PREFIX "%DLQ%"

struct topic {
    struct table_entry entry; /* entry.name is the name, NUL behind it */
    uint32_t stored;          /* number in the store, or TOPIC_NOT_STORED */
    uint32_t stored_queues;
    uint32_t read_queues;
    uint32_t write_queues;
    uint32_t perm;
    uint32_t sys_flag;
    uint32_t generation;
    bool order;
    bool system;    /* the broker's own */
    bool deleted;   /* remembered for its generation, if it is not gone */
    bool gone;      /* from the table, it is freed when `lines` is 0 */
    bool passing;   /* of a group that is not kept: nothing was stored, it goes with the group */
    uint32_t lines; /* hold.c: queues that are waited for */
    json_t *attributes; /* an object, or NULL: topic_take_attributes */
    size_t attributes_cost;
    struct commitlog_cursor **cursors; /* by queue, made when needed */
    uint64_t put_count;                /* messages taken */
    uint64_t put_told;                 /* of them, by counters.c */
    uint32_t turn;
    uint32_t fetch; /* about so many messages fit an answer; 0: not known yet */
};

bool topics_start(struct broker *broker);
void topics_stop(struct broker *broker);

/* NULL: there is none, or it was deleted. */
struct topic *topic_find(const struct broker *broker, struct text name);
/* Finds or makes it. NULL: no memory, or no room. Settings of one that is there stay. */
struct topic *topic_make(struct broker *broker, struct text name, uint32_t queues, uint32_t perm);
/* As topic_make, and it is not there: nobody is to know that it was made. */
void topic_unmake(struct broker *broker, struct topic *topic);
/* DEAD_PREFIX and the group, one queue, to be read and written. */
struct topic *topic_of_dead(struct broker *broker, struct text group);
/* RETRY_PREFIX and the group, with at least so many queues, to be read and written. If it is made
 * it is as `passing` says. */
struct topic *topic_of_retries(struct broker *broker, struct text group, uint32_t queues,
                               bool passing);
/* That of a group which has something worth keeping stays with it; that of one which is forgotten
 * goes, if nothing is stored in it. */
void topic_stay(struct broker *broker, struct text group);
void topic_pass(struct broker *broker, struct text group);
/* Nobody waits any more at a queue of it. It may be freed. */
void topic_unwait(struct topic *topic);
/* Makes the store's topic if there is none, and grows it. */
int32_t topic_store(struct broker *broker, struct topic *topic, struct commitlog_error *err);
/* Its settings say so before it returns. False: they cannot be written, and it stays as it is. */
bool topic_delete(struct broker *broker, struct topic *topic);
bool topic_name_is_good(struct text name);
/* A name of a group. */
bool group_name_is_good(struct text name);
bool topic_is_retry(const struct topic *topic);
/* All, deleted ones too: NULL begins and ends. */
struct topic *topic_next(const struct broker *broker, const struct topic *topic);
/* What the attributes of the topic, which may be NULL, become by "+a=b,-c", names and values that
 * are set or taken away, and by the same as an object, which may be NULL: {"+a": "b", "-c": ""}.
 * NULL: no memory, or more than there is room for. */
json_t *topic_new_attributes(const struct broker *broker, const struct topic *topic,
                             struct text list, json_t *changes);
/* Takes over the object, or NULL. If there is no room for them it has none. */
void topic_take_attributes(struct broker *broker, struct topic *topic, json_t *attributes);
uint32_t topic_queues(const struct topic *topic);
/* First and end of a queue; 0 and 0 when nothing of it is stored. The code of the store: with
 * another than COMMITLOG_OK they are not known, and 0, which clients are not to be told. */
int32_t topic_bounds(const struct broker *broker, const struct topic *topic, uint32_t queue,
                     struct commitlog_queue_info *out);
/* The cursor of a queue that is stored, for one use at once; NULL: no memory. */
struct commitlog_cursor *topic_cursor(struct broker *broker, struct topic *topic, uint32_t queue);
/* What its last fetch has lent is given back, and so is the segment, if retention has dropped it.
 */
void topic_cursor_release(struct commitlog_cursor *cursor);
/* Of the record of a message, by the store's number; NULL: of none. */
struct topic *topic_of_stored(const struct broker *broker, uint32_t stored);

/* As clients and name servers know it; a new reference, or NULL: no memory. */
json_t *topic_settings(const struct topic *topic);
/* For the file of settings, if it belongs there. */
bool topic_is_written(const struct topic *topic);
json_t *topic_to_json(const struct topic *topic);
/* False: no settings of a topic, or no memory. */
bool topic_from_json(struct broker *broker, json_t *json);

#endif
