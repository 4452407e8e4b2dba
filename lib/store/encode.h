/*
 * encode.h -- a caller's record becomes what the log appends: checked against every limit, queue
 * chosen, attributes encoded.
 */
#ifndef CLG_STORE_ENCODE_H
#define CLG_STORE_ENCODE_H

#include <stdint.h>

#include "commitlog.h"

#include "format/producer_record.h"
#include "format/transaction_record.h"
#include "log/commit_log.h"
#include "store/store.h"

#define CLG_BATCH_RECORDS_MAX 65536u
#define CLG_ENCODE_STACK_BYTES 496u

/* Where attributes are encoded, one record's behind the other's: it lives as long as the items. */
struct clg_encode_room {
    uint8_t *at;
    size_t bytes;
};

/* What a record says besides the item, which points into the record and the room. */
struct clg_encoded {
    uint32_t level;
    uint32_t key_count;
    bool is_auto;                  /* no queue of the caller's choice */
    struct clg_producer_mark mark; /* id 0: of no producer */
    uint8_t *allocated;            /* attributes that did not fit the room */
};

/* COMMITLOG_EINVAL, _ETOOBIG, _ENOMEM. On success clg_encoded_free. */
int clg_encode_record(struct commitlog_store *store, const struct commitlog_record *record,
                      struct clg_encode_room *room, struct clg_append *item,
                      struct clg_encoded *out, struct commitlog_error *err);
/* As a message of a transaction, of which `half` tells; its queue number is filled in. */
int clg_encode_half(struct commitlog_store *store, const struct commitlog_record *record,
                    struct clg_transaction_half *half, struct clg_encode_room *room,
                    struct clg_append *item, struct clg_encoded *out, struct commitlog_error *err);
/* The topic has grown or shrunk since the plain message was encoded: its queue anew, or
 * the one that it has if the caller chose that. COMMITLOG_EINVAL: that one is closed. */
CLG_MUST_CHECK int clg_encode_route_again(struct commitlog_store *store, bool is_auto,
                                          struct clg_append *item, struct commitlog_error *err);
static inline void clg_encoded_free(struct commitlog_store *store, struct clg_encoded *encoded)
{
    if (CLG_UNLIKELY(encoded->allocated != NULL)) {
        store->os->free(store->os, encoded->allocated);
        encoded->allocated = NULL;
    }
}
/* With a body of that many bytes, to be written in place; record->body is not looked at. */
int clg_encode_reserved(struct commitlog_store *store, const struct commitlog_record *record,
                        size_t body_bytes, struct clg_encode_room *room, struct clg_append *item,
                        struct clg_encoded *out, struct commitlog_error *err);

#endif
