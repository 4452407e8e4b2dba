/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.c -- one acknowledged record looked up by position, offset, time, key and tag; see seat.h.
 *
 * Invariants: a look-up may fail only if retention has taken the record meanwhile, or, for a
 *       follower, if it was not at the writer of that moment all through the read.
 */
#include <stdlib.h>
#include <string.h>

#include "seat.h"

typedef unsigned long long ull;

enum { KEY_RESULTS_MAX = 64, COPY_BYTES = 128 * 1024 };

struct probe {
    struct seat *seat;
    struct moment moment;
    struct note note;
    struct item_head head;
    struct content content;
    uint64_t offset;
    uint32_t lane, topic, queue, number;
};

static bool excused(const struct probe *probe)
{
    struct commitlog_positions now;
    bool holds = false;
    seat_positions(probe->seat, &now);
    holds = now.first <= probe->note.position && moment_holds(probe->seat, &probe->moment);
    if (!holds)
        book_count(probe->seat->book, BOOK_EXCUSED, 1);
    return !holds;
}

/* Not there, or not as it should be. */
static void miss(const struct probe *probe, const char *how, int32_t rc, uint64_t detail)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    if (rc == COMMITLOG_EDAMAGED)
        (void)commitlog_damage_get(probe->seat->store, 0, &damage);
    CHECKF((rc != COMMITLOG_EDAMAGED && rc != COMMITLOG_EIO && excused(probe)),
           "by %s: topic %u queue %u offset %llu at %llu: %s, %llu %s", how, probe->topic,
           probe->queue, (ull)probe->offset, (ull)probe->note.position, commitlog_error_name(rc),
           (ull)detail, damage.reason);
}

static void compare(const struct probe *probe, const struct commitlog_message *message)
{
    struct item_head head;
    CHECK(message->topic == probe->number && message->queue == probe->queue);
    item_check(probe->seat->book, message, probe->topic, &head);
    seat_compare(message, &head, &probe->note);
    book_count(probe->seat->book, BOOK_PROBES, 1);
}

static void by_position(const struct probe *probe)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    int32_t rc = commitlog_get(probe->seat->store, probe->note.position, &message, &lease, NULL);
    if (rc != COMMITLOG_OK) {
        miss(probe, "position", rc, 0);
        if (rc == COMMITLOG_EHOLE)
            commitlog_lease_release(lease);
        return;
    }
    compare(probe, &message);
    commitlog_lease_release(lease);
}

static void by_copy(const struct probe *probe)
{
    static _Thread_local uint8_t buffer[COPY_BYTES];
    struct commitlog_message messages[8];
    uint32_t got = 0;
    uint64_t bound = 0;
    int32_t rc = commitlog_read_copy(probe->seat->store, probe->number, probe->queue, probe->offset,
                                     buffer, sizeof buffer, messages, 8, &got, &bound);
    if (rc != COMMITLOG_OK || messages[0].queue_offset != probe->offset)
        miss(probe, "copy", rc, rc == COMMITLOG_OK ? messages[0].queue_offset : bound);
    else
        compare(probe, &messages[0]);
}

static void by_time(const struct probe *probe)
{
    uint64_t lower = 0, upper = 0;
    int32_t rc = commitlog_offset_by_time(probe->seat->store, probe->number, probe->queue,
                                          probe->note.time_ns, COMMITLOG_LOWER, &lower);
    if (rc != COMMITLOG_OK || lower > probe->offset)
        miss(probe, "lower time", rc, lower);
    rc = commitlog_offset_by_time(probe->seat->store, probe->number, probe->queue,
                                  probe->note.time_ns, COMMITLOG_UPPER, &upper);
    if (rc != COMMITLOG_OK || upper < probe->offset)
        miss(probe, "upper time", rc, upper);
    book_count(probe->seat->book, BOOK_PROBES, 1);
}

/* Newest first, none twice, and ours among them: the times of the query are only its own. */
static void by_key(const struct probe *probe, uint32_t index)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[KEY_RESULTS_MAX];
    struct commitlog_slice key;
    uint64_t before = UINT64_MAX;
    uint32_t got = 0;
    bool found = false;
    int32_t rc = commitlog_cursor_open_key(
        probe->seat->store, probe->number, probe->content.keys[index].data,
        probe->content.keys[index].bytes, probe->note.time_ns, probe->note.time_ns, &cursor, NULL);
    while (rc == COMMITLOG_OK) {
        rc = commitlog_cursor_fetch(cursor, messages, KEY_RESULTS_MAX, 0, &got, NULL);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < got; i++) {
            bool carries = false;
            CHECKF(messages[i].position < before, "key: %llu behind %llu",
                   (ull)messages[i].position, (ull)before);
            before = messages[i].position;
            for (uint32_t k = 0; commitlog_message_key(&messages[i], k, &key) == COMMITLOG_OK; k++)
                carries |= key.bytes == probe->content.keys[index].bytes &&
                           bytes_equal(key.data, probe->content.keys[index].data, key.bytes);
            CHECKF(carries, "the record at %llu has not this key", (ull)before);
            CHECK(messages[i].store_time_ns == probe->note.time_ns);
            if (before == probe->note.position) {
                compare(probe, &messages[i]);
                found = true;
            }
        }
    }
    if (rc != COMMITLOG_EEND || !found)
        miss(probe, "key", rc, index);
    commitlog_cursor_close(cursor);
}

static void by_tag(const struct probe *probe)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint64_t bound = 0;
    uint32_t got = 0;
    int32_t rc = commitlog_cursor_open(probe->seat->store, probe->number, probe->queue,
                                       COMMITLOG_FROM_OFFSET, probe->offset, &cursor, NULL);
    if (rc == COMMITLOG_OK && probe->content.tag.bytes > 0)
        CHECK_RC(commitlog_cursor_set_tags(cursor, &probe->content.tag, 1), COMMITLOG_OK);
    if (rc == COMMITLOG_OK)
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound);
    if (rc != COMMITLOG_OK || message.queue_offset != probe->offset)
        miss(probe, "tag", rc, rc == COMMITLOG_OK ? message.queue_offset : bound);
    else
        compare(probe, &message);
    commitlog_cursor_close(cursor);
}

static bool pick(struct probe *probe, struct rng *rng)
{
    struct book *book = probe->seat->book;
    uint64_t end = 0, back = 0;
    probe->moment = moment_now(probe->seat);
    probe->lane = (uint32_t)rng_below(rng, BOOK_LANES);
    book_place(probe->lane, &probe->topic, &probe->queue);
    end = atomic_load(&book->ends[probe->lane]);
    back = rng_chance(rng, 1, 2) ? 16 : 2048;
    if (end == 0)
        return false;
    probe->offset = end - 1 - rng_below(rng, back < end ? back : end);
    if (!book_find(book, probe->lane, probe->offset, &probe->note) ||
        probe->note.end > probe->moment.visible || probe->moment.life == 0)
        return false;
    probe->number = seat_number(probe->seat, probe->topic);
    if (probe->number == UINT32_MAX) {
        miss(probe, "name", COMMITLOG_ENOTFOUND, 0);
        return false;
    }
    return true;
}

void seat_probe(struct seat *seat, struct rng *rng)
{
    struct probe probe = {.seat = seat};
    struct item_head *head = &probe.head;
    if (!pick(&probe, rng))
        return;
    by_position(&probe);
    by_copy(&probe);
    by_time(&probe);
    head->bytes = probe.note.bytes;
    if (head->bytes == 0)
        return;
    head->life = probe.note.life;
    head->serial = probe.note.serial;
    head->thread = probe.note.thread;
    /* Attributes follow from the names alone; the rest of the head only matters to the body. */
    item_content(seat->book, head, &probe.content);
    if (probe.content.key_count > 0)
        by_key(&probe, (uint32_t)rng_below(rng, probe.content.key_count));
    by_tag(&probe);
    content_free(&probe.content);
}
