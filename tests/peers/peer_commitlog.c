/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_commitlog.c -- libcommitlog: one append at level durable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"
#include "peer.h"

/* A small disk has to have room for one more of them. */
enum { COMMITLOG_PEER_SEGMENT = 4 << 20 };

struct commitlog_peer {
    struct commitlog_store *store;
    uint32_t topic;
};

static void store_close(void *handle)
{
    struct commitlog_peer *peer = (struct commitlog_peer *)handle;
    (void)commitlog_close(peer->store, NULL);
    free(peer);
}

static void *store_open(const char *dir, bool read_only, char why[PEER_WHY_BYTES])
{
    struct commitlog_peer *peer = (struct commitlog_peer *)calloc(1, sizeof(*peer));
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {0};
    if (peer == NULL || commitlog_options_create(&options) != COMMITLOG_OK) {
        free(peer);
        return NULL;
    }
    (void)commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, COMMITLOG_PEER_SEGMENT, NULL);
    (void)commitlog_options_set(options, COMMITLOG_OPT_ACCESS,
                                read_only ? COMMITLOG_READ_ONLY : COMMITLOG_READ_WRITE, NULL);
    int32_t rc = commitlog_open(dir, options, &peer->store, &err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_open(peer->store, "peer", 4, read_only ? 0 : 1, &peer->topic, &err);
    }
    if (rc != COMMITLOG_OK) {
        (void)snprintf(why, PEER_WHY_BYTES, "%s", err.message);
        store_close(peer);
        return NULL;
    }
    return peer;
}

static bool store_append(void *handle, uint64_t number, const void *body, size_t bytes,
                         char why[PEER_WHY_BYTES])
{
    struct commitlog_peer *peer = (struct commitlog_peer *)handle;
    struct commitlog_receipt receipt = {0};
    int32_t rc = commitlog_append(peer->store, peer->topic, 0, body, bytes, COMMITLOG_LEVEL_DURABLE,
                                  &receipt);
    if (rc == COMMITLOG_OK && receipt.queue_offset == number) {
        return true;
    }
    (void)snprintf(why, PEER_WHY_BYTES, "%s", commitlog_error_text(rc));
    return false;
}

static enum peer_answer store_read(void *handle, uint64_t number, void *body, size_t *out_bytes,
                                   char why[PEER_WHY_BYTES])
{
    struct commitlog_peer *peer = (struct commitlog_peer *)handle;
    struct commitlog_message message = {0};
    char copy[2 * PEER_BODY_MAX];
    uint32_t count = 0;
    int32_t rc = commitlog_read_copy(peer->store, peer->topic, 0, number, copy, sizeof(copy),
                                     &message, 1, &count, NULL);
    if (rc == COMMITLOG_OK && count == 1 && message.queue_offset == number) {
        *out_bytes = message.body.bytes;
        memcpy(body, message.body.data, *out_bytes < PEER_BODY_MAX ? *out_bytes : PEER_BODY_MAX);
        return PEER_FOUND;
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EEND) {
        return PEER_NOT_THERE;
    }
    (void)snprintf(why, PEER_WHY_BYTES, "%s", commitlog_error_text(rc));
    return PEER_ERROR;
}

const struct peer peer_commitlog = {.name = "libcommitlog",
                                    .setting = "level durable, one append each, 4 MiB segments",
                                    .version = commitlog_version_text,
                                    .open = store_open,
                                    .append = store_append,
                                    .read = store_read,
                                    .close = store_close};
