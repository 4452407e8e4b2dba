/*
 * last.c -- the last N records: see last.h.
 *
 * Each queue is read backwards in windows that grow fourfold, until it is whole, or has given N
 * matching records, or is read to below the N-th from the end of all that were found: what lies
 * before that cannot be one of the last N. A queue that is done early says nothing of the others:
 * theirs may be later in the log.
 */
#include "last.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

enum { LAST_CHUNK = 256, LAST_GROWTH = 4, LAST_UNREADABLE_MOST = 16 };

struct last_list {
    struct last *places;
    size_t count;
    size_t capacity;
};

/* What was read of one queue: [from, the end there was). */
struct last_part {
    uint64_t first;   /* offset of its first record */
    uint64_t from;    /* not below it */
    uint64_t reached; /* position of the record there; UINT64_MAX: not known */
    uint64_t found;   /* matching ones */
    bool done;
};

struct last_search {
    struct store *store;
    const struct last_selection *selection;
    uint32_t topic;
    uint64_t count;          /* of records that are looked for */
    struct last_list list;   /* between two rounds: sorted, the last `count` */
    struct last_part *parts; /* one for each queue */
};

static int last_compare(const void *left, const void *right)
{
    const struct last *a = left;
    const struct last *b = right;
    return (a->position > b->position) - (a->position < b->position);
}

static bool last_add(struct last_list *list, const struct commitlog_message *message)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 1024 : list->capacity * 2;
        struct last *places = realloc(list->places, capacity * sizeof(*places));
        if (places == NULL) {
            return false;
        }
        list->places = places;
        list->capacity = capacity;
    }
    list->places[list->count++] = (struct last){message->position, message->queue_offset, true};
    return true;
}

/* Where to go on after a fetch that gave nothing; false: that was no place but a failure. */
static bool last_skips(struct commitlog_cursor *cursor, int32_t rc, uint64_t bound,
                       uint32_t *unreadable, uint64_t *place)
{
    *place = rc == COMMITLOG_ETOOSMALL ? bound : bound + 1;
    if (rc == COMMITLOG_EIO) { /* of a sector, perhaps: see scan.c */
        return bound == commitlog_cursor_tell(cursor) && ++*unreadable <= LAST_UNREADABLE_MOST;
    }
    return rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_ETOOSMALL;
}

/* All matching records of one queue in [cursor's place, next). */
static int32_t last_collect(struct commitlog_cursor *cursor, uint64_t next, struct last_list *list)
{
    struct commitlog_message messages[LAST_CHUNK];
    uint32_t unreadable = 0;
    for (;;) {
        uint32_t count = 0;
        uint64_t bound = 0;
        uint64_t place;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, LAST_CHUNK, 0, &count, &bound);
        if (rc == COMMITLOG_EEND || rc == COMMITLOG_EUNRECOVERED || rc == COMMITLOG_EBEYOND) {
            return COMMITLOG_OK;
        }
        if (rc != COMMITLOG_OK && last_skips(cursor, rc, bound, &unreadable, &place)) {
            rc = place >= next ? COMMITLOG_OK
                               : commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, place);
            if (rc != COMMITLOG_OK || place >= next) {
                return rc;
            }
            continue;
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        unreadable = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (messages[i].queue_offset >= next) {
                return COMMITLOG_OK;
            }
            if (!last_add(list, &messages[i])) {
                return COMMITLOG_ENOMEM;
            }
        }
    }
}

int32_t last_select(struct commitlog_cursor *cursor, const struct last_selection *selection)
{
    const int32_t rc = commitlog_cursor_set_tags(cursor, selection->tags, selection->tag_count);
    return rc == COMMITLOG_OK ? commitlog_cursor_set_filter(cursor, selection->filter) : rc;
}

/* The position of the record where the cursor stands, which stays there. */
static int32_t last_reach(struct commitlog_cursor *cursor, struct last_part *part)
{
    struct commitlog_message message;
    uint32_t count = 0;
    part->reached = UINT64_MAX;
    if (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK) {
        part->reached = message.position;
    }
    return commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, part->from);
}

/* The next window of one queue. */
static int32_t last_window(struct last_search *search, uint32_t queue, uint64_t window,
                           struct last_part *part)
{
    struct commitlog_cursor *cursor = NULL;
    const uint64_t next = part->from;
    const size_t before = search->list.count;
    assert(part->first < next);
    part->from = next - part->first <= window ? part->first : next - window;
    int32_t rc = commitlog_cursor_open(search->store->handle, search->topic, queue,
                                       COMMITLOG_FROM_OFFSET, part->from, &cursor, NULL);
    if (rc == COMMITLOG_OK) {
        rc = last_reach(cursor, part);
    }
    if (rc == COMMITLOG_OK) {
        rc = last_select(cursor, search->selection);
    }
    if (rc == COMMITLOG_OK) {
        rc = last_collect(cursor, next, &search->list);
    }
    commitlog_cursor_close(cursor);
    part->found += search->list.count - before;
    return rc;
}

/* Keeps the last `count` places, sorted; the position of the first of them when they are so many,
 * else 0: anything may still be one of the last. */
static uint64_t last_trim(struct last_search *search)
{
    struct last_list *list = &search->list;
    if (list->count == 0) {
        return 0;
    }
    qsort(list->places, list->count, sizeof(*list->places), last_compare);
    if (list->count > search->count) {
        const size_t left = list->count - (size_t)search->count;
        memmove(list->places, list->places + left, (list->count - left) * sizeof(*list->places));
        list->count -= left;
    }
    return list->count == search->count ? list->places[0].position : 0;
}

static int32_t last_begin(struct last_search *search, uint32_t from, uint32_t to)
{
    search->parts = calloc(to - from, sizeof(*search->parts));
    if (search->parts == NULL) {
        return COMMITLOG_ENOMEM;
    }
    for (uint32_t queue = from; queue < to; queue++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_queue_info(search->store->handle, search->topic, queue, &info);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        struct last_part *part = &search->parts[queue - from];
        part->first = info.first_offset;
        part->from = info.next_offset;
        part->done = part->first == part->from;
    }
    return COMMITLOG_OK;
}

/* A window of each queue that is not done; *left: there are such. */
static int32_t last_round(struct last_search *search, uint32_t from, uint32_t to, uint64_t window,
                          bool *left)
{
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < to - from; i++) {
        if (!search->parts[i].done) {
            rc = last_window(search, from + i, window, &search->parts[i]);
        }
    }
    const uint64_t begin = last_trim(search);
    *left = false;
    for (uint32_t i = 0; i < to - from; i++) {
        struct last_part *part = &search->parts[i];
        part->done = part->done || part->from == part->first || part->found >= search->count ||
                     part->reached <= begin;
        *left = *left || !part->done;
    }
    return rc;
}

int last_find(struct cli *cli, struct store *store, uint32_t topic, uint32_t from, uint32_t to,
              const struct last_selection *selection, uint64_t count, struct last *last)
{
    assert(from < to);
    assert(count > 0 && last != NULL);
    struct last_search search = {
        .store = store, .selection = selection, .topic = topic, .count = count};
    uint64_t window = count;
    bool left = true;
    int32_t rc = last_begin(&search, from, to);
    while (rc == COMMITLOG_OK && left && !watch_ended(cli->watch)) {
        rc = last_round(&search, from, to, window, &left);
        window = window > UINT64_MAX / LAST_GROWTH ? UINT64_MAX : window * LAST_GROWTH;
    }
    *last = (struct last){0, 0, false};
    if (rc == COMMITLOG_OK && search.list.count > 0) {
        *last = search.list.places[0];
    }
    free(search.list.places);
    free(search.parts);
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, rc, NULL);
}
