/*
 * last.c -- the last N records: see last.h.
 *
 * From the end of each queue a window of N entries is read; when the windows together hold fewer
 * than N matching records (holes, tags, filters), they grow fourfold. The N-th from the end by
 * position is where the reading has to begin.
 */
#include "last.h"

#include <assert.h>
#include <stdlib.h>

#include "watch.h"

enum { LAST_CHUNK = 256, LAST_GROWTH = 4 };

struct last_list {
    struct last *places;
    size_t count;
    size_t capacity;
    bool all; /* every window reached the first record of its queue */
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

/* All matching records of one queue in [cursor's place, next). */
static int32_t last_collect(struct commitlog_cursor *cursor, uint64_t next, struct last_list *list)
{
    struct commitlog_message messages[LAST_CHUNK];
    for (;;) {
        uint32_t count = 0;
        uint64_t bound = 0;
        const int32_t rc = commitlog_cursor_fetch(cursor, messages, LAST_CHUNK, 0, &count, &bound);
        if (rc == COMMITLOG_EEND || rc == COMMITLOG_EUNRECOVERED || rc == COMMITLOG_EBEYOND) {
            return COMMITLOG_OK;
        }
        if (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_ETOOSMALL) {
            const uint64_t place = rc == COMMITLOG_ETOOSMALL ? bound : bound + 1;
            const int32_t moved = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, place);
            if (moved != COMMITLOG_OK) {
                return moved;
            }
            continue;
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
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

static int32_t last_queue(struct store *store, uint32_t topic, uint32_t queue,
                          const struct last_selection *selection, uint64_t window,
                          struct last_list *list)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_queue_info(store->handle, topic, queue, &info);
    if (rc != COMMITLOG_OK || info.first_offset == info.next_offset) {
        return rc;
    }
    assert(info.first_offset < info.next_offset);
    const bool whole = info.next_offset - info.first_offset <= window;
    list->all = list->all && whole;
    rc =
        commitlog_cursor_open(store->handle, topic, queue, COMMITLOG_FROM_OFFSET,
                              whole ? info.first_offset : info.next_offset - window, &cursor, NULL);
    if (rc == COMMITLOG_OK) {
        rc = last_select(cursor, selection);
    }
    if (rc == COMMITLOG_OK) {
        rc = last_collect(cursor, info.next_offset, list);
    }
    commitlog_cursor_close(cursor);
    return rc;
}

int last_find(struct cli *cli, struct store *store, uint32_t topic, uint32_t from, uint32_t to,
              const struct last_selection *selection, uint64_t count, struct last *last)
{
    assert(from < to);
    assert(count > 0 && last != NULL);
    struct last_list list = {NULL, 0, 0, false};
    int32_t rc = COMMITLOG_OK;
    uint64_t window = count;
    while (rc == COMMITLOG_OK && !list.all && list.count < count && !watch_ended(cli->watch)) {
        list.count = 0;
        list.all = true;
        for (uint32_t queue = from; rc == COMMITLOG_OK && queue < to; queue++) {
            rc = last_queue(store, topic, queue, selection, window, &list);
        }
        window = window > UINT64_MAX / LAST_GROWTH ? UINT64_MAX : window * LAST_GROWTH;
    }
    *last = (struct last){0, 0, false};
    if (rc == COMMITLOG_OK && list.count > 0) {
        qsort(list.places, list.count, sizeof(*list.places), last_compare);
        *last = list.places[list.count > count ? list.count - count : 0];
    }
    free(list.places);
    return rc == COMMITLOG_OK ? CLI_DONE : cli_fail(cli, cli->dir, rc, NULL);
}
