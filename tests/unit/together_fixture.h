/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * together_fixture.h -- all that can be asked of a store with the topics "t0" and "t1", the groups
 * "g0" to "g2" and some producers, as a text: two stores are the same if their texts are.
 *
 * Owns: what timer_fixture.h owns, and what the producers have stored last.
 */
#ifndef TESTS_UNIT_TOGETHER_FIXTURE_H
#define TESTS_UNIT_TOGETHER_FIXTURE_H

#include "unit/timer_fixture.h"

enum { GROUPS = 3, PRODUCERS = 3 };

static struct {
    uint64_t sequence; /* the last that was stored */
    uint32_t epoch;
} producers[PRODUCERS];

static inline void tell_queue(FILE *to, uint32_t t, uint32_t q)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_queue_info(store, t, q, &info), 0);
    (void)fprintf(to, "  queue %u: %llu to %llu\n", q, (unsigned long long)info.first_offset,
                  (unsigned long long)info.next_offset);
    ck_assert_int_eq(commitlog_cursor_open(store, t, q, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    for (uint64_t offset = info.first_offset; offset < info.next_offset;) {
        struct commitlog_message m;
        uint32_t count = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, &m, 1, 0, &count, NULL);
        if (rc == COMMITLOG_OK) {
            offset = m.queue_offset;
        }
        (void)fprintf(to, "    %llu: %s", (unsigned long long)offset, commitlog_error_name(rc));
        if (rc == COMMITLOG_OK) {
            (void)fprintf(to, " at %llu kind %u of %llu transaction %llu due %lld dead %u %u %llu",
                          (unsigned long long)m.position, m.kind,
                          (unsigned long long)m.origin_position, (unsigned long long)m.transaction,
                          (long long)m.deliver_at_ms, m.reason, m.attempts,
                          (unsigned long long)m.origin_offset);
        }
        (void)fprintf(to, "\n");
        offset++;
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, offset), 0);
    }
    commitlog_cursor_close(cursor);
}

static inline void tell_topics(FILE *to)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    for (uint32_t t = 0; t < 3; t++) {
        char name[8];
        uint32_t id = 0;
        (void)snprintf(name, sizeof(name), t == 2 ? "%%DLQ%%g2" : "t%u", t);
        if (commitlog_topic_open(store, name, strlen(name), 0, &id, &err) != COMMITLOG_OK ||
            commitlog_topic_info(store, id, &info) != COMMITLOG_OK) {
            (void)fprintf(to, "topic %s: none\n", name);
            continue;
        }
        (void)fprintf(to, "topic %s: %u of %u queues, %u steps, age %llu below %llu\n", name,
                      info.queues, info.queues_total, info.step_count,
                      (unsigned long long)info.keep_age_ms, (unsigned long long)info.expired_below);
        for (uint32_t q = 0; q < info.queues_total; q++) {
            tell_queue(to, id, q);
        }
    }
}

static inline void tell_group(FILE *to, uint32_t g)
{
    char name[8];
    struct commitlog_group *group = NULL;
    struct commitlog_group_info about = {.struct_bytes = sizeof(about)};
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    (void)snprintf(name, sizeof(name), "g%u", g);
    if (commitlog_group_open(store, name, 2, 0, &group, &err) != COMMITLOG_OK) {
        (void)fprintf(to, "group %s: none\n", name);
        return;
    }
    ck_assert_int_eq(commitlog_group_info(group, &about), 0);
    (void)fprintf(to, "group %s: epoch %u flags %u queues %u\n", name, about.epoch, about.flags,
                  about.queues);
    for (uint32_t t = 0; t < 2; t++) {
        char topic_name[8];
        uint32_t id = 0;
        (void)snprintf(topic_name, sizeof(topic_name), "t%u", t);
        ck_assert_int_eq(commitlog_topic_open(store, topic_name, 2, 0, &id, &err), 0);
        ck_assert_int_eq(commitlog_topic_info(store, id, &info), 0);
        for (uint32_t q = 0; q < info.queues_total; q++) {
            struct commitlog_group_offset offset = {.topic = id, .queue = q};
            struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
            struct commitlog_work_info work = {.struct_bytes = sizeof(work)};
            ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
            ck_assert_int_eq(commitlog_group_gate(group, id, q, &gate, &err), 0);
            (void)fprintf(to, "  t%u/%u: %lld open %u parent %d mark %lld\n", t, q,
                          (long long)offset.offset, gate.open, (int)gate.parent,
                          (long long)gate.mark);
            for (uint64_t at = 0; commitlog_group_work(group, id, q, at, &work, NULL) == 0;
                 at = work.offset + work.count) {
                (void)fprintf(to, "    work %llu+%u state %u attempts %u until %lld\n",
                              (unsigned long long)work.offset, work.count, work.state,
                              work.attempts, (long long)work.visible_at_ms);
            }
        }
    }
    commitlog_group_close(group);
}

static inline int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static inline void tell_timers(FILE *to)
{
    static char lines[4096][96];
    uint32_t count = 0;
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    while (count < 4096 && commitlog_timer_at(store, count, &info) == COMMITLOG_OK) {
        (void)snprintf(lines[count++], sizeof(lines[0]), "timer %llu at %llu due %lld queue %u",
                       (unsigned long long)info.timer, (unsigned long long)info.position,
                       (long long)info.deliver_at_ms, info.queue);
    }
    qsort(lines, count, sizeof(lines[0]), by_text);
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(to, "%s\n", lines[i]);
    }
}

static inline void tell_transactions(FILE *to)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_transaction_message message = {.struct_bytes = sizeof(message)};
    while (commitlog_transaction_next(store, info.transaction, &info) == COMMITLOG_OK) {
        (void)fprintf(
            to, "transaction %llu of %.*s: prepared %u begun %lld until %lld: %u %llu %u\n",
            (unsigned long long)info.transaction, (int)info.group_bytes, info.group, info.prepared,
            (long long)info.begin_ms, (long long)(info.prepared ? info.expires_at_ms : 0),
            info.messages, (unsigned long long)info.bytes, info.prepared ? info.offset_groups : 0);
        for (uint32_t i = 0;
             commitlog_transaction_message(store, info.transaction, i, &message) == COMMITLOG_OK;
             i++) {
            (void)fprintf(to, "  at %llu queue %u\n", (unsigned long long)message.position,
                          message.queue);
        }
    }
}

/* A repetition changes nothing; a first one would. */
static inline void tell_producers(FILE *to)
{
    uint32_t id = 0;
    if (commitlog_topic_open(store, "t0", 2, 0, &id, &err) != COMMITLOG_OK) {
        return; /* a power cut took it */
    }
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        const uint64_t last = producers[p].sequence;
        for (uint64_t n = last > 7 ? last - 7 : 2; n <= last; n++) {
            const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                    .topic = id,
                                                    .level = COMMITLOG_LEVEL_NONE,
                                                    .producer_id = p + 1,
                                                    .producer_epoch = producers[p].epoch,
                                                    .sequence = n};
            struct commitlog_receipt r = {0};
            int32_t rc = commitlog_append_record(store, &record, 0, &r, &err);
            (void)fprintf(to,
                          "producer %u: %llu: %s again %u at %llu to %llu offset %llu %lld %u\n", p,
                          (unsigned long long)n, commitlog_error_name(rc), r.duplicate,
                          (unsigned long long)r.position, (unsigned long long)r.end_position,
                          (unsigned long long)r.queue_offset, (long long)r.store_time_ns, r.epoch);
            ck_assert(rc != 0 || r.duplicate == 1);
        }
    }
}

static inline char *tell(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(to);
    tell_topics(to);
    for (uint32_t g = 0; g < GROUPS; g++) {
        tell_group(to, g);
    }
    tell_timers(to);
    tell_transactions(to);
    tell_producers(to);
    (void)fclose(to);
    return text;
}

static inline void compare(const char *what, const char *was, const char *is, uint64_t trial)
{
    const char *line = was;
    const char *other = is;
    while (*line != '\0' && *line == *other) {
        line++;
        other++;
    }
    if (*line != *other) {
        while (line > was && line[-1] != '\n') {
            line--;
            other--;
        }
        ck_abort_msg("trial %llu, %s:\nwas %.*s\nis  %.*s", (unsigned long long)trial, what,
                     (int)strcspn(line, "\n"), line, (int)strcspn(other, "\n"), other);
    }
}

#endif
