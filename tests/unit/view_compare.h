/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view_compare.h -- look-ups compared with the model; the second half of view_fixture.h, which
 * includes it.
 */
#ifndef TESTS_VIEW_COMPARE_H
#define TESTS_VIEW_COMPARE_H

/* ---- compared with the model -------------------------------------------------------------- */

static inline uint32_t town_visible_count(const struct town_queue *q, uint64_t visible)
{
    uint32_t n = q->count;
    while (n > 0 && q->entries[n - 1].position >= visible) {
        n--;
    }
    return n;
}

static inline void town_check_entry(const struct clg_lookup_entry *got,
                                    const struct town_entry *want)
{
    WANT_EQ(got->queue_offset, want->offset);
    WANT_EQ(got->position, want->position);
    WANT_EQ(got->store_time, want->time);
    WANT_EQ(got->size, want->size);
    WANT_EQ(got->tag_hash, want->tag_hash);
    WANT_EQ(got->header_check, want->header_check);
    WANT_EQ(got->flags, want->flags);
}

static inline void town_check_time(struct town *t, uint32_t queue, int64_t time, uint64_t visible)
{
    const struct town_queue *q = &t->queues[queue];
    uint32_t n = town_visible_count(q, visible);
    uint64_t min = q->count > 0 ? q->entries[0].offset : q->next;
    uint32_t i = 0;
    while (i < n && q->entries[i].time < time) {
        i++;
    }
    uint64_t got = 0;
    TOWN_OK(t, clg_lookup_time(t->fold, queue, time, COMMITLOG_LOWER, visible, &got));
    WANT_EQ(got, min + i);
    while (i < n && q->entries[i].time <= time) {
        i++;
    }
    int rc = clg_lookup_time(t->fold, queue, time, COMMITLOG_UPPER, visible, &got);
    if (i == 0) {
        WANT_EQ(rc, COMMITLOG_ENOTFOUND);
    } else {
        WANT_EQ(rc, 0);
        WANT_EQ(got, min + i - 1);
    }
}

static inline void town_check_entries(struct town *t, uint32_t queue, uint64_t offset,
                                      uint64_t visible)
{
    const struct town_queue *q = &t->queues[queue];
    uint32_t n = town_visible_count(q, visible);
    uint64_t min = q->count > 0 ? q->entries[0].offset : q->next;
    uint64_t next = n > 0 ? q->entries[n - 1].offset + 1 : min;
    struct clg_lookup_entry got[40];
    uint32_t count = 0;
    uint64_t bound = 0;
    uint32_t max = 1 + (uint32_t)town_below(t, 40);
    int rc = clg_lookup_entries(t->fold, queue, offset, visible, got, max, &count, &bound);
    if (offset >= next) {
        WANT_EQ(rc, offset == next ? COMMITLOG_EEND : COMMITLOG_EBEYOND);
        WANT_EQ(bound, next);
        return;
    }
    if (offset < min) {
        WANT_EQ(rc, COMMITLOG_ETOOSMALL);
        WANT_EQ(bound, min);
        return;
    }
    WANT_EQ(rc, 0);
    uint64_t want = next - offset < max ? next - offset : max;
    WANT_EQ(count, want);
    for (uint32_t i = 0; i < count; i++) {
        town_check_entry(&got[i], &q->entries[offset - min + i]);
    }
}

static inline void town_check_queue(struct town *t, uint32_t queue, uint64_t visible)
{
    const struct town_queue *q = &t->queues[queue];
    if (clg_registry_queue(&t->registry, queue) == NULL) {
        return;
    }
    uint32_t n = town_visible_count(q, visible);
    uint64_t min = q->count > 0 ? q->entries[0].offset : q->next;
    struct clg_lookup_range range;
    TOWN_OK(t, clg_lookup_range(t->fold, queue, visible, &range));
    WANT_EQ(range.min, min);
    WANT_EQ(range.next, min + n);
    WANT_EQ(range.first_time, n > 0 ? q->entries[0].time : 0);
    WANT_EQ(range.last_time, n > 0 ? q->entries[n - 1].time : 0);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t low = min > 2 ? min - 2 : 0;
        town_check_entries(t, queue, low + town_below(t, n + 5), visible);
        town_check_time(t, queue, 998 + (int64_t)town_below(t, (uint64_t)t->time - 990), visible);
        uint64_t position = town_below(t, t->published + 100);
        uint32_t at = 0;
        while (at < n && q->entries[at].position < position) {
            at++;
        }
        uint64_t got;
        TOWN_OK(t, clg_lookup_position(t->fold, queue, position, visible, &got));
        WANT_EQ(got, min + at);
    }
    if (n > 0) {
        town_check_time(t, queue, q->entries[town_below(t, n)].time, visible);
    }
}

/* This one was not delivered: it should not have been. */
static inline void town_want_not(const struct town_entry *e, uint64_t hash, uint64_t visible,
                                 int64_t since, int64_t until)
{
    if (e->key_hash == hash && e->position < visible && e->time >= since && e->time <= until) {
        ck_abort_msg("position %llu of queue %u was left out", (unsigned long long)e->position,
                     e->queue);
    }
}

/* Every record with this key hash below visible, newest first, and no other. */
static inline void town_check_key(struct town *t, uint64_t hash, uint64_t visible, int64_t since,
                                  int64_t until)
{
    struct clg_lookup_key query;
    clg_lookup_key_init(&query, 0, hash, since, until, visible);
    uint32_t at = t->log_count;
    uint64_t last = UINT64_MAX;
    uint32_t max = 1 + (uint32_t)town_below(t, 9);
    for (;;) {
        uint64_t positions[10];
        uint32_t count = 0;
        TOWN_OK(t, clg_lookup_key_next(t->fold, &query, visible, positions, max, &count));
        for (uint32_t i = 0; i < count; i++) {
            WANT(positions[i] < last);
            last = positions[i];
            /* Down to it in the model: nothing that should come was passed over. */
            while (at > 0 && t->log[at - 1].position > positions[i]) {
                at--;
                const struct town_entry *e = &t->log[at];
                town_want_not(e, hash, visible, since, until);
            }
            WANT(at > 0);
            at--;
            WANT_EQ(t->log[at].position, positions[i]);
            WANT_EQ(t->log[at].key_hash, hash);
        }
        if (count < max) {
            break;
        }
    }
    while (at > 0) {
        at--;
        const struct town_entry *e = &t->log[at];
        town_want_not(e, hash, visible, since, until);
    }
}

/* As readers see it to whom nothing from `most` on is visible. */
static inline void town_check_below(struct town *t, uint32_t queues, uint32_t keys, uint64_t most)
{
    for (uint32_t i = 0; i < queues; i++) {
        uint64_t some = town_below(t, (most < t->published ? most : t->published) + 1);
        uint64_t visible = town_below(t, 2) == 0 ? most : some;
        visible = visible < t->first ? t->first : visible;
        town_check_queue(t, i, visible);
        char text[16];
        int n = snprintf(text, sizeof(text), "key%u", 1 + (uint32_t)town_below(t, keys));
        uint64_t hash = clg_key_hash(t->topic_seed[i], text, (size_t)n);
        bool window = town_below(t, 2) == 0;
        int64_t since = window ? 1000 + (int64_t)town_below(t, (uint64_t)t->time) : INT64_MIN;
        if (t->index_keys) {
            town_check_key(t, hash, visible, since, INT64_MAX);
        }
    }
}

static inline void town_check(struct town *t, uint32_t queues, uint32_t keys)
{
    town_check_below(t, queues, keys, UINT64_MAX);
}

#endif
