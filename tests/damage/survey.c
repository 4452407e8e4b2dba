/* SPDX-License-Identifier: BSD-2-Clause */
/* survey.c -- see survey.h. */
#include "survey.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

enum { FETCH = 64, FETCHES_MAX = 20000, COPY_BYTES = 1 << 18, GAP = 12288, TOPICS_MAX = 16 };

struct walk {
    const struct book *book;
    struct commitlog_store *store;
    struct survey *out;
    uint32_t way;
    uint32_t topics;              /* of the store */
    uint32_t topic[TOPICS_MAX];   /* its number -> that of the book */
    uint32_t number[BOOK_TOPICS]; /* the other way; BOOK_NONE: it has none */
};

static const char *const way_names[SURVEY_WAYS] = {"queue", "log", "topic", "key", "get", "copy"};

const char *survey_way_name(uint32_t way)
{
    return way_names[way];
}

static void __attribute__((format(printf, 2, 3))) wrong(struct walk *walk, const char *format, ...)
{
    va_list args;
    char text[200];
    if (walk->out->wrong[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(walk->out->wrong, sizeof(walk->out->wrong), "%s: %s", way_names[walk->way],
                   text);
}

static void mark(struct walk *walk, const struct book_item *item, enum survey_mark how)
{
    uint8_t *marks = &walk->out->marks[walk->way][item - walk->book->items];
    if (how == MARK_SEEN && walk->way != WAY_KEY && (*marks & MARK_SEEN) != 0) {
        wrong(walk, "%llu comes twice", (ull)item->position);
    }
    *marks |= (uint8_t)how;
}

static void mark_positions(struct walk *walk, uint64_t from, uint64_t to, enum survey_mark how)
{
    const struct book *book = walk->book;
    for (uint32_t i = 0; i < book->count; i++) {
        if (book->items[i].position < to && book->items[i].end > from) {
            mark(walk, &book->items[i], how);
        }
    }
}

static void mark_offsets(struct walk *walk, uint32_t topic, uint32_t queue, uint64_t from,
                         uint64_t to, enum survey_mark how)
{
    const struct book *book = walk->book;
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        if (item->topic == topic && item->queue == queue && item->offset >= from &&
            item->offset < to) {
            mark(walk, item, how);
        }
    }
}

/* A message is what the book says is there. */
static const struct book_item *see(struct walk *walk, const struct commitlog_message *message)
{
    const struct book_item *item = book_at(walk->book, message->position);
    if (item == NULL) {
        wrong(walk, "a message at %llu that was never appended", (ull)message->position);
        return NULL;
    }
    /* Of a topic whose definition is lost, the log still has the messages. */
    bool nameless = message->topic == UINT32_MAX && walk->number[item->topic] == BOOK_NONE;
    uint32_t topic = message->topic < walk->topics ? walk->topic[message->topic] : BOOK_NONE;
    if (topic == BOOK_NONE && !nameless) {
        wrong(walk, "the message at %llu has no topic", (ull)message->position);
        return NULL;
    }
    const char *what = book_differs(walk->book, item, topic, message);
    if (what != NULL) {
        wrong(walk, "the %s of the message at %llu differs", what, (ull)message->position);
        return NULL;
    }
    mark(walk, item, MARK_SEEN);
    return item;
}

/* Statuses that say: not this one, go on behind it. */
static bool is_damage(int32_t rc)
{
    return rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EIO;
}

static void walk_begin(struct walk *walk)
{
    for (uint32_t i = 0; i < BOOK_TOPICS; i++) {
        walk->number[i] = BOOK_NONE;
        walk->out->known[i] = false;
    }
    walk->topics = commitlog_topic_count(walk->store);
    if (walk->topics > TOPICS_MAX) {
        wrong(walk, "%u topics", walk->topics);
        walk->topics = 0;
    }
    for (uint32_t i = 0; i < walk->topics; i++) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
        CHECK_RC(commitlog_topic_info(walk->store, i, &info), COMMITLOG_OK);
        walk->topic[i] = book_topic_of(info.name, info.name_bytes);
        if (walk->topic[i] == BOOK_NONE) {
            wrong(walk, "a topic \"%s\" that was never made", info.name);
        } else if (walk->number[walk->topic[i]] != BOOK_NONE ||
                   info.queues != book_topic_queues(walk->topic[i])) {
            wrong(walk, "topic \"%s\" twice, or with %u queues", info.name, info.queues);
        } else {
            walk->number[walk->topic[i]] = i;
            walk->out->known[walk->topic[i]] = true;
        }
    }
}

/* ---- by queue ------------------------------------------------------------------------------ */

struct queue_walk {
    uint32_t topic;
    uint32_t queue;
    uint64_t next; /* offset that comes next at the least */
};

static void queue_see(struct walk *walk, struct queue_walk *queue,
                      const struct commitlog_message *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct book_item *item = see(walk, &messages[i]);
        if (item == NULL) {
            return;
        }
        if (item->topic != queue->topic || item->queue != queue->queue ||
            item->offset < queue->next) {
            wrong(walk, "offset %llu of another queue, or out of order", (ull)item->offset);
        }
        queue->next = item->offset + 1;
    }
}

/* What a status other than OK says; false: the walk ends. *at: where it goes on. */
static bool queue_says(struct walk *walk, struct queue_walk *queue, int32_t rc, uint64_t *at)
{
    if (rc == COMMITLOG_EEND) {
        return false;
    }
    if (rc == COMMITLOG_EUNRECOVERED) {
        mark_offsets(walk, queue->topic, queue->queue, *at, UINT64_MAX, MARK_UNPROVEN);
        return false;
    }
    if (!is_damage(rc)) {
        wrong(walk, "topic %u queue %u: %s", queue->topic, queue->queue, commitlog_error_name(rc));
        return false;
    }
    walk->out->said++;
    mark_offsets(walk, queue->topic, queue->queue, *at, *at + 1, MARK_NAMED);
    *at += 1;
    queue->next = *at > queue->next ? *at : queue->next;
    return true;
}

static void walk_queue(struct walk *walk, struct queue_walk *queue)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_cursor_open(walk->store, walk->number[queue->topic], queue->queue,
                                       COMMITLOG_FROM_FIRST, 0, &cursor, NULL);
    if (rc != COMMITLOG_OK) {
        wrong(walk, "open: %s", commitlog_error_name(rc));
        return;
    }
    for (uint32_t i = 0;; i++) {
        uint32_t count = 0;
        uint64_t bound = UINT64_MAX;
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, &bound);
        if (i == FETCHES_MAX) {
            wrong(walk, "no end");
            break;
        }
        if (rc == COMMITLOG_OK) {
            queue_see(walk, queue, messages, count);
            continue;
        }
        uint64_t at = rc == COMMITLOG_EDAMAGED ? bound : commitlog_cursor_tell(cursor);
        if (!queue_says(walk, queue, rc, &at)) {
            break;
        }
        CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, at), COMMITLOG_OK);
    }
    commitlog_cursor_close(cursor);
}

static void walk_copy(struct walk *walk, struct queue_walk *queue)
{
    static uint8_t buffer[COPY_BYTES];
    struct commitlog_message messages[FETCH];
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    uint32_t number = walk->number[queue->topic];
    int32_t known = commitlog_queue_info(walk->store, number, queue->queue, &info);
    if (known != COMMITLOG_OK && !is_damage(known)) {
        wrong(walk, "queue info: %s", commitlog_error_name(known));
    }
    uint64_t at = info.first_offset;
    bool damaged = false; /* said by the call before this one */
    for (uint32_t i = 0;; i++) {
        uint32_t count = 0;
        uint64_t bound = UINT64_MAX;
        int32_t rc = commitlog_read_copy(walk->store, number, queue->queue, at, buffer,
                                         sizeof(buffer), messages, FETCH, &count, &bound);
        if (i == FETCHES_MAX) {
            wrong(walk, "no end");
            break;
        }
        if (rc == COMMITLOG_OK) {
            queue_see(walk, queue, messages, count);
            at = queue->next > at ? queue->next : at + 1;
            continue;
        }
        if (rc == COMMITLOG_EBEYOND && damaged && bound + 1 == at) {
            break; /* it was behind the last one */
        }
        damaged = rc == COMMITLOG_EDAMAGED;
        at = damaged ? bound : at;
        if (!queue_says(walk, queue, rc, &at)) {
            break;
        }
    }
}

/* ---- in the order of the log --------------------------------------------------------------- */

struct log_walk {
    uint64_t next;    /* where the next record lies, if nothing is left out */
    uint64_t damaged; /* from here on something is, as was said; UINT64_MAX: nothing */
    uint32_t topic;   /* BOOK_NONE: all there is */
};

static void log_see(struct walk *walk, struct log_walk *log,
                    const struct commitlog_message *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = messages[i].position;
        bool is_message = messages[i].kind == COMMITLOG_KIND_MESSAGE;
        const struct book_item *item = is_message ? see(walk, &messages[i]) : NULL;
        if (at < log->next ||
            (item != NULL && log->topic != BOOK_NONE && item->topic != log->topic)) {
            wrong(walk, "%llu is out of order", (ull)at);
        }
        if (log->damaged != UINT64_MAX) {
            mark_positions(walk, log->damaged, at, MARK_NAMED);
        } else if (log->topic == BOOK_NONE && log->next != 0 && at != log->next &&
                   at != log->next + GAP) {
            wrong(walk, "%llu follows %llu, and nothing is said", (ull)at, (ull)log->next);
        }
        log->damaged = UINT64_MAX;
        log->next = messages[i].next_position;
    }
}

static void walk_log(struct walk *walk, struct log_walk *log, struct commitlog_cursor *cursor)
{
    struct commitlog_message messages[FETCH];
    for (uint32_t i = 0;; i++) {
        uint32_t count = 0;
        uint64_t bound = UINT64_MAX;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, &bound);
        if (i == FETCHES_MAX) {
            wrong(walk, "no end");
            break;
        }
        if (rc == COMMITLOG_OK) {
            log_see(walk, log, messages, count);
            continue;
        }
        /* What is damaged at the end has nothing behind it: past it is beyond. */
        bool is_end = rc == COMMITLOG_EEND || rc == COMMITLOG_EUNRECOVERED ||
                      (rc == COMMITLOG_EBEYOND && log->damaged != UINT64_MAX);
        if (is_end && log->damaged != UINT64_MAX) {
            mark_positions(walk, log->damaged, bound, MARK_NAMED);
        }
        if (rc == COMMITLOG_EUNRECOVERED) {
            mark_positions(walk, bound == UINT64_MAX ? commitlog_cursor_tell(cursor) : bound,
                           UINT64_MAX, MARK_UNPROVEN);
        } else if (!is_end && !is_damage(rc)) {
            wrong(walk, "%s", commitlog_error_name(rc));
        }
        walk->out->end = log->topic == BOOK_NONE && rc == COMMITLOG_EEND ? bound : walk->out->end;
        if (!is_damage(rc)) {
            break;
        }
        uint64_t at = rc == COMMITLOG_EDAMAGED ? bound : commitlog_cursor_tell(cursor);
        walk->out->said++;
        mark_positions(walk, at, at + 1, MARK_NAMED);
        log->damaged = at < log->damaged ? at : log->damaged;
        CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, at + 8), COMMITLOG_OK);
    }
    commitlog_cursor_close(cursor);
}

static void walk_topic(struct walk *walk, uint32_t topic)
{
    struct commitlog_cursor *cursor = NULL;
    struct log_walk log = {.topic = topic, .damaged = UINT64_MAX};
    int32_t rc = commitlog_cursor_open(walk->store, walk->number[topic], COMMITLOG_QUEUE_ALL,
                                       COMMITLOG_FROM_FIRST, 0, &cursor, NULL);
    if (rc != COMMITLOG_OK) {
        wrong(walk, "open: %s", commitlog_error_name(rc));
        return;
    }
    walk_log(walk, &log, cursor);
}

/* ---- by key and by position ---------------------------------------------------------------- */

static void walk_key(struct walk *walk, uint32_t topic, uint32_t key)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_slice name = book_key(key);
    uint64_t before = UINT64_MAX;
    int32_t rc = commitlog_cursor_open_key(walk->store, walk->number[topic], name.data, name.bytes,
                                           INT64_MIN, INT64_MAX, &cursor, NULL);
    if (rc != COMMITLOG_OK) {
        wrong(walk, "open: %s", commitlog_error_name(rc));
        return;
    }
    for (uint32_t f = 0;; f++) {
        uint32_t count = 0;
        uint64_t bound = UINT64_MAX;
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            const struct book_item *item = see(walk, &messages[i]);
            if (item != NULL && (item->topic != topic || item->position >= before ||
                                 (item->keys[0] != key && item->keys[1] != key))) {
                wrong(walk, "%llu has another key, or is out of order", (ull)item->position);
            }
            before = messages[i].position;
        }
        if (is_damage(rc)) {
            walk->out->said++;
            mark_positions(walk, bound, bound + 1, MARK_NAMED);
        } else if (rc != COMMITLOG_OK) {
            break;
        }
        if (f == FETCHES_MAX) {
            wrong(walk, "no end");
            break;
        }
    }
    if (rc == COMMITLOG_EUNRECOVERED) {
        mark_positions(walk, 0, UINT64_MAX, MARK_UNPROVEN);
    } else if (rc != COMMITLOG_EEND && !is_damage(rc)) {
        wrong(walk, "%s", commitlog_error_name(rc));
    }
    commitlog_cursor_close(cursor);
}

static void walk_get(struct walk *walk, const struct book_item *item)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_get(walk->store, item->position, &message, &lease, &err);
    switch (rc) {
    case COMMITLOG_OK:
        if (message.kind == COMMITLOG_KIND_MESSAGE) { /* else the pad that damage has become */
            (void)see(walk, &message);
        } else {
            mark(walk, item, MARK_HOLE);
        }
        break;
    case COMMITLOG_EHOLE:
        mark(walk, item, MARK_HOLE);
        break;
    case COMMITLOG_EDAMAGED:
    case COMMITLOG_EIO:
        walk->out->said++;
        mark(walk, item, MARK_NAMED);
        break;
    case COMMITLOG_EUNRECOVERED:
        mark(walk, item, MARK_UNPROVEN);
        break;
    case COMMITLOG_ENOTFOUND: /* inside of something else: not so by the other ways */
    case COMMITLOG_ETOOSMALL:
    case COMMITLOG_EBEYOND:
        break;
    default:
        wrong(walk, "%llu: %s", (ull)item->position, commitlog_error_name(rc));
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EHOLE) {
        commitlog_lease_release(lease);
    } else if (err.code != rc || err.message[0] == '\0') {
        wrong(walk, "%llu: %s without words", (ull)item->position, commitlog_error_name(rc));
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void walk_way(struct walk *walk)
{
    if (walk->way == WAY_LOG) {
        struct commitlog_cursor *cursor = NULL;
        struct log_walk log = {.topic = BOOK_NONE, .damaged = UINT64_MAX};
        CHECK_RC(commitlog_cursor_open_log(walk->store, 0, &cursor, NULL), COMMITLOG_OK);
        walk_log(walk, &log, cursor);
        return;
    }
    if (walk->way == WAY_GET) {
        for (uint32_t i = 0; i < walk->book->count; i++) {
            walk_get(walk, &walk->book->items[i]);
        }
        return;
    }
    for (uint32_t topic = 0; topic < BOOK_TOPICS; topic++) {
        if (walk->number[topic] == BOOK_NONE) {
            continue;
        }
        for (uint32_t key = 1; walk->way == WAY_KEY && key <= BOOK_KEYS; key++) {
            walk_key(walk, topic, key);
        }
        if (walk->way == WAY_ALL) {
            walk_topic(walk, topic);
        }
        for (uint32_t queue = 0; queue < book_topic_queues(topic); queue++) {
            struct queue_walk one = {.topic = topic, .queue = queue};
            if (walk->way == WAY_QUEUE) {
                walk_queue(walk, &one);
            } else if (walk->way == WAY_COPY) {
                walk_copy(walk, &one);
            }
        }
    }
}

void survey_list(const struct book *book, const struct commitlog_damage *damage, bool *listed)
{
    uint32_t topic = book_topic_of(damage->topic, strlen(damage->topic));
    for (uint32_t i = 0; i < book->count; i++) {
        const struct book_item *item = &book->items[i];
        if (damage->from_position == UINT64_MAX) {
            listed[i] = listed[i] ||
                        (item->topic == topic && item->queue == damage->queue &&
                         item->offset >= damage->from_offset && item->offset < damage->to_offset);
        } else {
            listed[i] = listed[i] ||
                        (item->position < damage->to_position && item->end > damage->from_position);
        }
    }
}

static uint32_t survey_ranges(struct walk *walk)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t count = 0;
    while (commitlog_damage_get(walk->store, count, &damage) == COMMITLOG_OK) {
        survey_list(walk->book, &damage, walk->out->listed);
        if (damage.reason[0] == '\0') {
            wrong(walk, "damage without a reason");
        }
        count++;
    }
    return count;
}

void survey_store(const struct book *book, struct commitlog_store *store, uint32_t ways,
                  struct survey *out)
{
    struct walk walk = {.book = book, .store = store, .out = out};
    memset(out->listed, 0, sizeof(out->listed[0]) * book->count);
    out->ways = ways;
    out->said = 0;
    out->end = 0;
    out->wrong[0] = '\0';
    out->listed_at_open = survey_ranges(&walk);
    walk_begin(&walk);
    for (walk.way = 0; walk.way < SURVEY_WAYS; walk.way++) {
        memset(out->marks[walk.way], 0, book->count);
        if ((ways & (1u << walk.way)) != 0) {
            walk_way(&walk);
        }
    }
    walk.way = 0;
    out->ranges = survey_ranges(&walk);
}

bool survey_seen(const struct survey *survey, uint32_t way, uint32_t item)
{
    return (survey->marks[way][item] & MARK_SEEN) != 0;
}

bool survey_named(const struct survey *survey, uint32_t way, uint32_t item)
{
    return survey->listed[item] || (survey->marks[way][item] & (MARK_NAMED | MARK_UNPROVEN)) != 0;
}

bool survey_leads(uint32_t way, const struct book_item *item)
{
    return !item->is_hole && (way != WAY_KEY || item->keys[0] != 0);
}
