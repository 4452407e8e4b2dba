/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c -- the whole store against the book; see check.h. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clerk.h"
#include "order.h"

typedef unsigned long long ull;

enum { FETCH = 256, RETENTION_STEP_MS = 10000 };

struct entry {
    struct note note;
    uint64_t offset;
    uint8_t kind;
    uint8_t key_count;
    uint8_t keys[CONTENT_KEYS_MAX];
    bool queued; /* the queue yields it */
};

struct lane {
    struct entry *entries; /* of consecutive offsets */
    uint32_t count;
    uint32_t room;
    uint64_t next; /* as the queue says */
};

struct check {
    struct seat *seat;
    struct lane lanes[BOOK_LANES];
    struct order order;
    uint64_t first; /* after everything was read: what lies before may be gone */
    uint64_t kept;  /* the end of what is left of the last life */
};

/* ---- the log --------------------------------------------------------------------------------- */

static struct entry *lane_add(struct lane *lane, uint64_t offset)
{
    if (lane->count == lane->room) {
        lane->room = lane->room * 2 + 256;
        lane->entries = need_grow(lane->entries, lane->room * sizeof *lane->entries);
    }
    if (lane->count > 0)
        CHECKF(offset == lane->entries[0].offset + lane->count, "offset %llu follows %llu",
               (ull)offset, (ull)lane->entries[lane->count - 1].offset);
    lane->entries[lane->count].offset = offset;
    return &lane->entries[lane->count++];
}

static void entry_keys(struct check *check, struct entry *entry, const struct item_head *head)
{
    struct content content;
    if (head->bytes == 0)
        return;
    item_content(check->seat->book, head, &content);
    entry->key_count = (uint8_t)content.key_count;
    for (uint32_t k = 0; k < content.key_count; k++)
        entry->keys[k] = (uint8_t)content.key_numbers[k];
    content_free(&content);
}

static void log_take(struct check *check, const struct commitlog_message *message)
{
    uint32_t topic = BOOK_TOPICS;
    struct item_head head = {0};
    struct entry *entry = NULL;
    bool of_queue = message->kind == COMMITLOG_KIND_MESSAGE || message->kind == COMMITLOG_KIND_HOLE;
    if (of_queue && message->topic != UINT32_MAX) {
        topic = seat_topic(check->seat, message->topic);
        CHECKF(topic < BOOK_TOPICS || desk_owns(check->seat, message->topic),
               "a record of a topic that nobody made at %llu", (ull)message->position);
    }
    if (message->kind == COMMITLOG_KIND_MESSAGE && topic < BOOK_TOPICS)
        item_check(check->seat->book, message, topic, &head);
    order_step(&check->order, message, &head);
    if (topic == BOOK_TOPICS)
        return;
    CHECK(message->queue < book_queues(topic));
    entry = lane_add(&check->lanes[book_lane(topic, message->queue)], message->queue_offset);
    *entry = (struct entry){.offset = message->queue_offset, .kind = (uint8_t)message->kind};
    entry->note = (struct note){.position = message->position,
                                .end = message->next_position,
                                .time_ns = message->store_time_ns,
                                .life = head.life,
                                .serial = head.serial,
                                .bytes = (uint32_t)message->body.bytes,
                                .epoch = message->epoch,
                                .thread = head.thread};
    entry_keys(check, entry, &head);
    if (head.bytes > 0 && head.life == atomic_load(&check->seat->book->life))
        check->kept = message->next_position;
}

static void read_log(struct check *check)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[FETCH];
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    uint64_t bound = 0;
    CHECK_OK(commitlog_cursor_open_log(check->seat->store, 0, &cursor, &err), &err);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, &bound);
        book_beat(check->seat->book, 0, 0);
        if (rc == COMMITLOG_EEND)
            break;
        if (rc == COMMITLOG_ETOOSMALL) { /* retention of the background: once more */
            for (uint32_t lane = 0; lane < BOOK_LANES; lane++)
                check->lanes[lane].count = 0;
            order_begin(&check->order);
            CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0), COMMITLOG_OK);
            continue;
        }
        CHECKF(rc == COMMITLOG_OK, "the log at %llu: %s, bound %llu",
               (ull)commitlog_cursor_tell(cursor), commitlog_error_name(rc), (ull)bound);
        for (uint32_t i = 0; i < got; i++)
            log_take(check, &messages[i]);
    }
    order_end(&check->order);
    commitlog_cursor_close(cursor);
}

/* ---- the views ------------------------------------------------------------------------------- */

static struct entry *lane_entry(struct lane *lane, uint64_t offset)
{
    if (lane->count == 0 || offset < lane->entries[0].offset ||
        offset - lane->entries[0].offset >= lane->count)
        return NULL;
    return &lane->entries[offset - lane->entries[0].offset];
}

static void queue_take(struct check *check, uint32_t lane, const struct commitlog_message *message)
{
    struct entry *entry = lane_entry(&check->lanes[lane], message->queue_offset);
    /* The log was read first, so what retention takes meanwhile is still known. */
    CHECKF(entry != NULL && entry->kind == COMMITLOG_KIND_MESSAGE &&
               entry->note.position == message->position,
           "lane %u: the queue has offset %llu at %llu", lane, (ull)message->queue_offset,
           (ull)message->position);
    CHECK(!entry->queued);
    entry->queued = true;
}

static void read_queue(struct check *check, uint32_t lane, uint32_t number, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[FETCH];
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    uint64_t bound = 0;
    CHECK_OK(commitlog_cursor_open(check->seat->store, number, queue, COMMITLOG_FROM_FIRST, 0,
                                   &cursor, &err),
             &err);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, &bound);
        if (rc == COMMITLOG_EEND)
            break;
        if (rc == COMMITLOG_ETOOSMALL) {
            CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
            continue;
        }
        CHECKF(rc == COMMITLOG_OK, "lane %u at %llu: %s", lane, (ull)commitlog_cursor_tell(cursor),
               commitlog_error_name(rc));
        for (uint32_t i = 0; i < got; i++)
            queue_take(check, lane, &messages[i]);
    }
    commitlog_cursor_close(cursor);
    CHECK_RC(commitlog_queue_info(check->seat->store, number, queue, &info), COMMITLOG_OK);
    CHECKF(bound == info.next_offset, "lane %u ends at %llu, or at %llu", lane, (ull)bound,
           (ull)info.next_offset);
    check->lanes[lane].next = info.next_offset;
}

/* How many live messages of the topic the log has with this key. */
static uint64_t key_expected(const struct check *check, uint32_t topic, uint32_t key,
                             uint64_t first)
{
    uint64_t expected = 0;
    for (uint32_t queue = 0; queue < book_queues(topic); queue++) {
        const struct lane *lane = &check->lanes[book_lane(topic, queue)];
        for (uint32_t i = 0; i < lane->count; i++) {
            bool carries = false;
            for (uint32_t k = 0; k < lane->entries[i].key_count; k++)
                carries |= lane->entries[i].keys[k] == key;
            expected += carries && lane->entries[i].note.position >= first;
        }
    }
    return expected;
}

/* The same as the index yields. Retention tells the index of the new first position a moment before
 * it is the store's, so what it leaves out too early must be below the first position soon. */
static void read_key(struct check *check, uint32_t topic, uint32_t key)
{
    uint8_t bytes[CONTENT_SHORT_MAX];
    size_t size = content_key(key, bytes);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[FETCH];
    struct commitlog_positions now;
    struct commitlog_error err = {.message = ""};
    uint64_t before = UINT64_MAX, yielded = 0;
    uint32_t got = 0;
    CHECK_OK(commitlog_cursor_open_key(check->seat->store, seat_number(check->seat, topic), bytes,
                                       size, 0, INT64_MAX, &cursor, &err),
             &err);
    seat_positions(check->seat, &now);
    uint64_t lowest = now.first;
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, NULL);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++) {
            CHECKF(messages[i].position < before, "key %u: %llu behind %llu", key,
                   (ull)messages[i].position, (ull)before);
            before = messages[i].position;
            yielded++;
        }
    }
    commitlog_cursor_close(cursor);
    seat_positions(check->seat, &now);
    uint64_t expected = key_expected(check, topic, key, now.first);
    for (uint32_t ms = 0; yielded < expected && ms < RETENTION_STEP_MS; ms += 10) {
        usleep(10000);
        seat_positions(check->seat, &now);
        expected = key_expected(check, topic, key, now.first);
    }
    CHECKF(now.first != lowest ? yielded >= expected : yielded == expected,
           "topic %u key %u: %llu messages, the log has %llu", topic, key, (ull)yielded,
           (ull)expected);
}

static void read_views(struct check *check, struct rng *rng)
{
    for (uint32_t topic = 0; topic < BOOK_TOPICS; topic++) {
        uint32_t number = seat_number(check->seat, topic);
        if (number == UINT32_MAX)
            continue; /* fails below if anything of it was acknowledged */
        for (uint32_t queue = 0; queue < book_queues(topic); queue++)
            read_queue(check, book_lane(topic, queue), number, queue);
        book_beat(check->seat->book, 0, 0);
        for (uint32_t i = 0; i < 2; i++)
            read_key(check, topic, (uint32_t)rng_below(rng, CONTENT_KEY_POOL));
    }
}

/* ---- the book -------------------------------------------------------------------------------- */

static void entry_against_note(uint32_t lane, const struct entry *entry, const struct note *note)
{
    const struct note *found = &entry->note;
    CHECKF(entry->kind == COMMITLOG_KIND_MESSAGE, "lane %u: offset %llu at %llu is a hole now",
           lane, (ull)entry->offset, (ull)note->position);
    CHECKF(found->position == note->position && found->time_ns == note->time_ns &&
               found->bytes == note->bytes && found->epoch == note->epoch &&
               (note->bytes == 0 || (found->life == note->life && found->serial == note->serial &&
                                     found->thread == note->thread)),
           "lane %u offset %llu: record %u/%u/%u at %llu epoch %u, acknowledged %u/%u/%u at %llu "
           "epoch %u",
           lane, (ull)entry->offset, found->life, found->thread, found->serial,
           (ull)found->position, found->epoch, note->life, note->thread, note->serial,
           (ull)note->position, note->epoch);
}

/* Nobody was told of it: only what was under way when the writer died may be so. */
static void entry_without_note(struct check *check, uint32_t lane, const struct entry *entry)
{
    const struct book *book = check->seat->book;
    uint32_t topic = 0, queue = 0;
    book_place(lane, &topic, &queue);
    if (entry->note.bytes == 0)
        CHECKF(book_empty_in_flight(book, topic), "lane %u: nobody appended offset %llu at %llu",
               lane, (ull)entry->offset, (ull)entry->note.position);
    else
        CHECKF(entry->note.life == atomic_load(&book->life) &&
                   book_in_flight(book, entry->note.thread, entry->note.serial),
               "lane %u: offset %llu at %llu is record %u/%u/%u, whose append failed or was "
               "given up",
               lane, (ull)entry->offset, (ull)entry->note.position, entry->note.life,
               entry->note.thread, entry->note.serial);
}

static void settle_entry(struct check *check, uint32_t lane, const struct entry *entry)
{
    struct book *book = check->seat->book;
    struct note note = entry->note;
    struct note noted;
    bool known = book_find(book, lane, entry->offset, &noted);
    if (entry->note.position < check->first || book_overtaken(book, lane, entry->offset))
        return;
    CHECKF(entry->kind != COMMITLOG_KIND_MESSAGE || entry->queued,
           "lane %u: the queue has no offset %llu, the log has it at %llu", lane,
           (ull)entry->offset, (ull)entry->note.position);
    if (known) {
        entry_against_note(lane, entry, &noted);
        book_keep(book, lane, entry->offset);
        return;
    }
    if (entry->kind == COMMITLOG_KIND_MESSAGE)
        entry_without_note(check, lane, entry);
    else
        return;
    note.must = 1;
    book_note(book, lane, entry->offset, &note);
}

/* A note whose record is not in the log. */
static void settle_absent(struct check *check, uint32_t lane, uint64_t offset,
                          const struct note *note)
{
    struct book *book = check->seat->book;
    if (note->position < check->first) {
        CHECKF(offset < check->lanes[lane].next,
               "lane %u: its offsets begin again: the queue ends at %llu, %llu was given out", lane,
               (ull)check->lanes[lane].next, (ull)offset);
        return; /* retention */
    }
    CHECKF(atomic_load(&book->private) != 0 && note->must == 0 &&
               note->level < COMMITLOG_LEVEL_WRITTEN && note->position >= check->kept,
           "lane %u: LOST offset %llu at %llu, level %u, life %u, epoch %u; the last that is "
           "there of its life ends at %llu",
           lane, (ull)offset, (ull)note->position, note->level, note->life, note->epoch,
           (ull)check->kept);
    book_forget(book, lane, offset);
}

static void settle_lane(struct check *check, uint32_t index)
{
    struct book *book = check->seat->book;
    struct lane *lane = &check->lanes[index];
    uint64_t end = atomic_load(&book->ends[index]);
    struct note note;
    if (lane->count > 0)
        CHECKF(lane->next == lane->entries[lane->count - 1].offset + 1,
               "lane %u ends at %llu, the log at %llu", index, (ull)lane->next,
               (ull)lane->entries[lane->count - 1].offset);
    for (uint64_t offset = end > BOOK_SLOTS ? end - BOOK_SLOTS : 0; offset < end; offset++)
        if (lane_entry(lane, offset) == NULL && book_find(book, index, offset, &note))
            settle_absent(check, index, offset, &note);
    for (uint32_t i = 0; i < lane->count; i++)
        settle_entry(check, index, &lane->entries[i]);
    book_count(book, BOOK_CHECKED, lane->count);
    free(lane->entries);
}

static void check_recovery(struct check *check, bool was_clean)
{
    struct book *book = check->seat->book;
    struct commitlog_recovery found = {.struct_bytes = sizeof found};
    struct commitlog_positions now;
    CHECK_RC(commitlog_recovery_get(check->seat->store, &found), COMMITLOG_OK);
    CHECKF(found.tail != COMMITLOG_TAIL_DAMAGED && found.damaged_ranges == 0, "tail %u",
           found.tail);
    if (was_clean)
        CHECKF(found.clean_close == 1 && found.tail == COMMITLOG_TAIL_CLEAN &&
                   found.bytes_cut == 0 && found.holes_made == 0,
               "after a clean close: clean %u, tail %u, %llu bytes cut", found.clean_close,
               found.tail, (ull)found.bytes_cut);
    if (atomic_load(&book->private) == 0)
        CHECKF(found.tail != COMMITLOG_TAIL_UNPROVABLE && found.records_cut == 0,
               "tail %u: %llu records cut", found.tail, (ull)found.records_cut);
    seat_positions(check->seat, &now);
    /* Of a writer that appended nothing only CHECKPOINT knows. */
    uint32_t epoch = atomic_load(atomic_load(&book->bare) != 0 ? &book->told : &book->epoch);
    CHECKF(now.epoch > epoch, "epoch %u after %u", now.epoch, epoch);
    CHECKF(found.first >= atomic_load(&book->first), "the log begins at %llu, it did at %llu",
           (ull)found.first, (ull)atomic_load(&book->first));
}

void check_store(struct seat *seat, bool was_clean, struct rng *rng)
{
    struct check *check = need_alloc(sizeof *check);
    struct commitlog_positions now;
    check->seat = seat;
    check_recovery(check, was_clean);
    read_log(check);
    read_views(check, rng);
    seat_positions(seat, &now);
    check->first = now.first;
    for (uint32_t lane = 0; lane < BOOK_LANES; lane++)
        settle_lane(check, lane);
    book_raise(&seat->book->first, now.first);
    free(check);
}
