/*
 * reservation.c -- commitlog_reserve, _commit, _abort: in the stage, or for large bodies in
 * private memory that is appended at commit.
 *
 * The memory of a handle is kept for the next one: a reservation in the stage allocates only while
 * more are open at once than ever before, or than are kept.
 */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/probe.h"
#include "store/encode.h"
#include "store/limits.h"
#include "store/store.h"

/* Handles kept by a store, 64 KiB at most. */
#define RESERVATIONS_KEPT 64u

struct commitlog_reservation {
    struct commitlog_store *store;
    struct commitlog_reservation *next_kept;
    uint32_t level;
    bool in_place;
    struct clg_reserved reserved;
    struct clg_append item;
    struct clg_encoded encoded;
    struct commitlog_slice body;                /* not in_place */
    uint8_t attributes[CLG_ENCODE_STACK_BYTES]; /* last: not cleared for the next use */
};

CLG_STATIC_ASSERT(sizeof(struct commitlog_reservation) * RESERVATIONS_KEPT <= 65536,
                  "what a store keeps");

/* Zeroed but for the attributes; NULL: out of memory. */
static struct commitlog_reservation *reservation_take(struct commitlog_store *store)
{
    const struct commitlog_os *os = store->os;
    struct commitlog_reservation *kept = NULL;
    if (clg_mutex_trylock(&store->reservations.lock)) {
        kept = store->reservations.first;
        if (kept != NULL) {
            store->reservations.first = kept->next_kept;
            store->reservations.count--;
        }
        clg_mutex_unlock(os, &store->reservations.lock);
    }
    if (kept == NULL) {
        return os->alloc(os, sizeof(*kept));
    }
    memset(kept, 0, offsetof(struct commitlog_reservation, attributes));
    return kept;
}

static void reservation_give(struct commitlog_store *store, struct commitlog_reservation *ended)
{
    const struct commitlog_os *os = store->os;
    if (clg_mutex_trylock(&store->reservations.lock)) {
        if (store->reservations.count < RESERVATIONS_KEPT) {
            ended->store = NULL; /* to end it once more is told */
            ended->next_kept = store->reservations.first;
            store->reservations.first = ended;
            store->reservations.count++;
            ended = NULL;
        }
        clg_mutex_unlock(os, &store->reservations.lock);
    }
    os->free(os, ended);
}

void clg_reservations_deinit(struct commitlog_store *store)
{
    const struct commitlog_os *os = store->os;
    while (store->reservations.first != NULL) {
        struct commitlog_reservation *kept = store->reservations.first;
        store->reservations.first = kept->next_kept;
        os->free(os, kept);
    }
}

static void reservation_free(struct commitlog_reservation *reservation)
{
    struct commitlog_store *store = reservation->store;
    const struct commitlog_os *os = store->os;
    clg_encoded_free(store, &reservation->encoded);
    if (!reservation->in_place) {
        os->free(os, (void *)(uintptr_t)reservation->body.data);
    }
    reservation_give(store, reservation);
    clg_store_unref(store);
}

static int reservation_try(struct commitlog_reservation *reservation, uint8_t **out_body,
                           struct commitlog_error *err)
{
    struct commitlog_store *store = reservation->store;
    struct clg_append *item = &reservation->item;
    int rc;
    do {
        rc = clg_log_reserve(store->core->log, item, &reservation->reserved, out_body, err);
        if (rc != CLG_LOG_ROUTED_ANEW) {
            return rc;
        }
        rc = clg_encode_route_again(store, reservation->encoded.is_auto, item, err);
    } while (rc == COMMITLOG_OK);
    return rc;
}

static int reservation_claim(struct commitlog_store *store,
                             struct commitlog_reservation *reservation, struct clg_until until,
                             uint8_t **out_body, struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    for (;;) {
        uint32_t ticket = clg_log_room_ticket(log);
        int rc = reservation_try(reservation, out_body, err);
        if (rc != COMMITLOG_EAGAIN) {
            return rc;
        }
        rc = clg_store_make_room(store, err);
        if (rc == COMMITLOG_OK) {
            rc = reservation_try(reservation, out_body, err);
        }
        if (rc != COMMITLOG_EAGAIN) {
            return rc;
        }
        rc = clg_log_wait_room(log, ticket, until);
        if (rc != COMMITLOG_OK) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "no room in the stage");
        }
    }
}

int32_t commitlog_reserve(struct commitlog_store *store, const struct commitlog_record *record,
                          size_t body_bytes, int32_t timeout_ms,
                          struct commitlog_reservation **out_reservation, void **out_body,
                          struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_reservation == NULL || out_body == NULL || record == NULL) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "reserve");
    }
    if (store->read_only) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                        "reserve: the store is open read-only");
    }
    struct commitlog_reservation *reservation = reservation_take(store);
    if (reservation == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "reserve");
    }
    reservation->store = store;
    clg_store_ref(store);
    struct clg_encode_room room = {reservation->attributes, sizeof(reservation->attributes)};
    rc = clg_encode_reserved(store, record, body_bytes, &room, &reservation->item,
                             &reservation->encoded, err);
    uint8_t *body = NULL;
    const struct clg_until until = clg_store_until(store, timeout_ms);
    if (rc == COMMITLOG_OK) {
        rc = clg_limits_wait(store, false, until, err);
    }
    if (rc == COMMITLOG_OK) {
        reservation->level = reservation->encoded.level;
        uint64_t bytes = body_bytes + reservation->item.attribute_bytes;
        reservation->in_place = bytes <= clg_log_reserve_max(store->core->log);
        if (reservation->in_place) {
            rc = reservation_claim(store, reservation, until, &body, err);
        } else if (bytes > clg_log_record_max(store->core->log)) {
            rc = clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                          "%llu bytes do not fit one segment", (unsigned long long)bytes);
        } else {
            body = store->os->alloc(store->os, body_bytes);
            reservation->body = (struct commitlog_slice){body, body_bytes};
            rc = body != NULL ? COMMITLOG_OK
                              : clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION,
                                         "reserve %llu bytes", (unsigned long long)body_bytes);
        }
    }
    if (rc != COMMITLOG_OK) {
        reservation_free(reservation);
        return rc;
    }
    *out_reservation = reservation;
    *out_body = body;
    return COMMITLOG_OK;
}

static int reservation_append(struct commitlog_reservation *reservation, struct clg_until until,
                              struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct clg_append item = reservation->item;
    item.body = &reservation->body;
    item.body_count = 1;
    int rc;
    do {
        rc = clg_store_append(reservation->store, &item, 1, until, receipt, err);
        if (rc != CLG_LOG_ROUTED_ANEW) {
            return rc;
        }
        rc = clg_encode_route_again(reservation->store, reservation->encoded.is_auto, &item, err);
    } while (rc == COMMITLOG_OK);
    return rc;
}

int32_t commitlog_commit(struct commitlog_reservation *reservation, int32_t timeout_ms,
                         struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    if (reservation == NULL || reservation->store == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "reservation is NULL, or ended");
    }
    struct commitlog_store *store = reservation->store;
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_EFORK) {
        /* the parent's memory: nothing here is ours to free */
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "commit");
    }
    struct commitlog_receipt receipt;
    memset(&receipt, 0, sizeof(receipt));
    struct clg_until until = clg_store_until(store, timeout_ms);
    uint32_t level = clg_append_level(store, reservation->level);
    int64_t began =
        rc == COMMITLOG_OK ? clg_append_begin_level(store, level, clg_append_begin(store)) : 0;
    CLG_PROBE1(append__begin, store);
    if (rc == COMMITLOG_OK && reservation->in_place) {
        rc = clg_log_commit_reserved(store->core->log, &reservation->reserved, err);
        receipt = reservation->reserved.receipt;
        clg_append_published(store);
    } else if (rc == COMMITLOG_OK) {
        rc = reservation_append(reservation, until, &receipt, err);
    } else {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "commit");
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_append_finish(store, level, 1, until, began, &receipt, err);
        if (out_receipt != NULL) {
            *out_receipt = receipt;
        }
    }
    CLG_PROBE2(append__end, store, rc);
    reservation_free(reservation);
    return rc;
}

int32_t commitlog_abort(struct commitlog_reservation *reservation)
{
    if (reservation == NULL) {
        return COMMITLOG_OK;
    }
    if (reservation->store == NULL) {
        return COMMITLOG_EINVAL;
    }
    int rc = clg_store_enter(reservation->store);
    if (rc == COMMITLOG_EFORK) {
        return rc;
    }
    if (rc == COMMITLOG_OK && reservation->in_place) {
        struct commitlog_store *store = reservation->store;
        clg_log_abort_reserved(store->core->log, &reservation->reserved);
        clg_append_published(store); /* what lies behind it */
    }
    reservation_free(reservation);
    return rc;
}
