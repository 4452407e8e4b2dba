/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view_fixture.h -- a log of real segment files with a fold over it, and beside it a naive model:
 * for every queue the plain list of its entries, for every record its key.
 *
 * Owns: struct town, one per test. Records go into the files and into the model at once; the fold
 *       is driven through its source interface, which reads the files.
 */
#ifndef TESTS_UNIT_VIEW_FIXTURE_H
#define TESTS_UNIT_VIEW_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/error.h"
#include "format/attributes.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "segment/segment_create.h"
#include "segment/segment_set.h"
#include "support/dirs.h"
#include "view/fold.h"
#include "view/lookup.h"
#include "view/queue_merge.h"

#define TOWN_QUEUES 4096u
#define TOWN_SEGMENT (UINT64_C(64) << 10)

struct town_entry {
    uint64_t position;
    int64_t time;
    uint64_t offset;
    uint32_t tag_hash;
    uint32_t flags;
    uint32_t header_check;
    uint32_t size;
    uint64_t key_hash; /* 0: none */
    uint32_t queue;
};

struct town_queue {
    struct town_entry *entries;
    uint32_t count;
    uint32_t room;
    uint64_t next;
};

struct town {
    struct commitlog_os os;
    int64_t fail_alloc_in; /* the n-th allocation from now fails; negative: none */
    uint64_t random;
    char path[DIRS_PATH_MAX];
    struct clg_segment_dir dir;
    int view_fd;
    struct clg_segment_set set;
    struct clg_registry registry;
    struct clg_fold *fold;
    struct clg_fold_report report;
    struct commitlog_error err;
    struct clg_segment *active; /* borrowed from the set */
    uint64_t at;                /* end of the log */
    uint64_t published;
    uint64_t first;
    int64_t time;
    uint64_t topic_seed[TOWN_QUEUES];
    struct town_queue queues[TOWN_QUEUES];
    struct town_entry *log; /* messages in log order */
    uint32_t log_count;
    uint32_t log_room;
    uint8_t *peek_buffer;
    bool index_keys;
    uint32_t define_queues; /* topics of define_as are written again in each segment; 0: not */
};

static inline void *town_alloc(const struct commitlog_os *os, size_t size)
{
    struct town *t = os->ctx;
    if (t->fail_alloc_in >= 0 && t->fail_alloc_in-- == 0) {
        return NULL;
    }
    return clg_os_default()->alloc(clg_os_default(), size);
}

static inline uint64_t town_random(struct town *t)
{
    uint64_t x = t->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t town_below(struct town *t, uint64_t n)
{
    return town_random(t) % n;
}

#define TOWN_OK(t, call)                                                                           \
    do {                                                                                           \
        int town_rc = (call);                                                                      \
        if (town_rc != 0) {                                                                        \
            ck_abort_msg("%s:%d: %s: %d %s", __FILE__, __LINE__, #call, town_rc,                   \
                         (t)->err.message);                                                        \
        }                                                                                          \
    } while (0)

/* libcheck reports every assertion to its parent with a system call; these only say what failed. */
#define WANT(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            ck_abort_msg("%s:%d: %s", __FILE__, __LINE__, #x);                                     \
        }                                                                                          \
    } while (0)
#define WANT_EQ(a, b)                                                                              \
    do {                                                                                           \
        int64_t want_a = (int64_t)(a);                                                             \
        int64_t want_b = (int64_t)(b);                                                             \
        if (want_a != want_b) {                                                                    \
            ck_abort_msg("%s:%d: %s = %lld, %s = %lld", __FILE__, __LINE__, #a, (long long)want_a, \
                         #b, (long long)want_b);                                                   \
        }                                                                                          \
    } while (0)

static inline void town_next_segment(struct town *t, uint64_t base)
{
    struct clg_segment_plan plan = {
        .base = base, .bytes = TOWN_SEGMENT, .epoch = 1, .first_time = t->time};
    struct clg_segment *segment = NULL;
    TOWN_OK(t, clg_segment_create(&t->dir, &plan, &segment, &t->err));
    TOWN_OK(t, clg_segment_set_append(&t->set, segment, &t->err));
    t->active = segment;
    t->at = segment->data_start;
}

static inline void town_begin(struct town *t, uint64_t seed)
{
    memset(t, 0, sizeof(*t));
    t->os = *clg_os_default();
    t->os.ctx = t;
    t->os.alloc = town_alloc;
    t->fail_alloc_in = -1;
    t->random = seed;
    t->index_keys = true;
    dirs_make(t->path, "view");
    char path[DIRS_PATH_MAX];
    path_join(path, t->path, "log");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    t->dir = (struct clg_segment_dir){.os = &t->os, .file_mode = 0600, .uuid = {9, 8, 7}};
    t->dir.fd = t->os.open_dir(&t->os, path);
    path_join(path, t->path, "view");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    t->view_fd = t->os.open_dir(&t->os, path);
    ck_assert_int_ge(t->dir.fd, 0);
    ck_assert_int_ge(t->view_fd, 0);
    clg_segment_set_init(&t->set, &t->os);
    TOWN_OK(t, clg_registry_init(&t->registry, &t->os));
    t->time = 1000;
    t->peek_buffer = malloc(TOWN_SEGMENT);
    town_next_segment(t, 0);
    t->published = t->at;
    t->first = t->at;
}

static inline void town_end(struct town *t)
{
    clg_fold_free(t->fold);
    clg_segment_set_free(&t->set);
    clg_registry_deinit(&t->registry);
    clg_os_close_fd(&t->os, &t->dir.fd);
    clg_os_close_fd(&t->os, &t->view_fd);
    for (uint32_t i = 0; i < TOWN_QUEUES; i++) {
        free(t->queues[i].entries);
    }
    free(t->log);
    free(t->peek_buffer);
    dirs_remove(t->path);
}

/* ---- writing ------------------------------------------------------------------------------ */

static inline void town_pad(struct town *t)
{
    uint64_t size = t->active->data_end - t->at;
    uint8_t *record = calloc(1, (size_t)size);
    struct clg_record_header header = {.store_time = t->time,
                                       .epoch = 1,
                                       .queue_number = CLG_QUEUE_NONE,
                                       .kind = CLG_KIND_PAD,
                                       .durable_back = CLG_DURABLE_BACK_NONE};
    clg_record_encode_header(record, &header);
    uint32_t word =
        clg_record_seal_header(record, (uint32_t)size, clg_record_seed(t->active->salt, t->at));
    clg_store_le32(record, word);
    TOWN_OK(t, clg_segment_pwrite(t->active, record, (size_t)size, t->at, &t->err));
    free(record);
    town_next_segment(t, t->active->base + t->active->bytes);
}

static inline void town_define(struct town *t, uint32_t queues, bool carry);

static inline void town_room(struct town *t, uint64_t bytes)
{
    if (t->active->data_end - t->at < bytes + CLG_RECORD_MIN) {
        town_pad(t);
        if (t->define_queues > 0) {
            town_define(t, t->define_queues, false);
        }
    }
}

/* Builds and writes one record at the end of the log; room is there. Returns its check. */
static inline uint64_t town_write(struct town *t, struct clg_record_header header,
                                  const uint8_t *attributes, const void *body, uint32_t body_bytes,
                                  struct town_entry *out)
{
    uint32_t size = clg_record_bytes(header.attribute_bytes, body_bytes);
    uint8_t *record = calloc(1, size);
    header.word = clg_record_word(size, 0);
    header.flags = clg_record_is_filler(header.kind)
                       ? 0
                       : clg_record_padding(header.attribute_bytes, body_bytes);
    header.store_time = t->time;
    header.epoch = 1;
    header.durable_back = CLG_DURABLE_BACK_NONE;
    clg_record_encode_header(record, &header);
    if (header.attribute_bytes > 0) {
        memcpy(record + CLG_RECORD_HEADER_BYTES, attributes, header.attribute_bytes);
    }
    if (body_bytes > 0) {
        memcpy(record + CLG_RECORD_HEADER_BYTES + header.attribute_bytes, body, body_bytes);
    }
    uint64_t seed = clg_record_seed(t->active->salt, t->at);
    uint32_t word = clg_record_is_filler(header.kind) ? clg_record_seal_header(record, size, seed)
                                                      : clg_record_seal(record, size, seed);
    clg_store_le32(record, word);
    TOWN_OK(t, clg_segment_pwrite(t->active, record, size, t->at, &t->err));
    if (out != NULL) {
        *out =
            (struct town_entry){.position = t->at,
                                .time = t->time,
                                .offset = header.queue_offset,
                                .size = size,
                                .queue = header.queue_number,
                                .header_check = clg_load_le32(record + CLG_RECORD_AT_HEADER_CHECK)};
    }
    uint64_t check = clg_load_le64(record + CLG_RECORD_AT_CHECK);
    free(record);
    t->at += size;
    return check;
}

static inline void town_remember(struct town *t, const struct town_entry *entry)
{
    struct town_queue *q = &t->queues[entry->queue];
    if (q->count == q->room) {
        q->room = q->room == 0 ? 16 : q->room * 2;
        q->entries = realloc(q->entries, q->room * sizeof(*q->entries));
    }
    q->entries[q->count++] = *entry;
    if (t->log_count == t->log_room) {
        t->log_room = t->log_room == 0 ? 64 : t->log_room * 2;
        t->log = realloc(t->log, t->log_room * sizeof(*t->log));
    }
    t->log[t->log_count++] = *entry;
}

/* A message of a queue; tag and key 0: none. kind: message or hole. */
static inline uint64_t town_put(struct town *t, uint32_t queue, uint8_t kind, uint32_t tag,
                                uint32_t key, uint32_t body_bytes)
{
    uint8_t attributes[64];
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, attributes, sizeof(attributes));
    struct town_entry entry = {0};
    char text[16];
    if (kind != CLG_KIND_HOLE && tag != 0) {
        int n = snprintf(text, sizeof(text), "tag%u", tag);
        TOWN_OK(t, clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, text, (size_t)n));
    }
    if (kind != CLG_KIND_HOLE && key != 0) {
        int n = snprintf(text, sizeof(text), "key%u", key);
        TOWN_OK(t, clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY, text, (size_t)n));
    }
    uint8_t body[4096];
    memset(body, (int)queue, sizeof(body));
    WANT(body_bytes <= sizeof(body));
    struct clg_record_header header = {.kind = kind,
                                       .queue_number = queue,
                                       .queue_offset = t->queues[queue].next,
                                       .attribute_bytes = (uint16_t)writer.used};
    uint64_t check = town_write(t, header, attributes, body, body_bytes, &entry);
    t->queues[queue].next++;
    if (kind == CLG_KIND_HOLE) {
        entry.flags = CLG_QUEUE_ENTRY_HOLE;
    } else {
        int n = snprintf(text, sizeof(text), "tag%u", tag);
        entry.tag_hash = tag != 0 ? clg_tag_hash(text, (size_t)n) : 0;
        n = snprintf(text, sizeof(text), "key%u", key);
        entry.key_hash = key != 0 ? clg_key_hash(t->topic_seed[queue], text, (size_t)n) : 0;
    }
    town_remember(t, &entry);
    return check;
}

static inline uint64_t town_message(struct town *t, uint32_t queue, uint32_t tag, uint32_t key,
                                    uint32_t body_bytes)
{
    town_room(t, 128 + body_bytes);
    t->time += (int64_t)town_below(t, 3); /* equal times happen */
    uint64_t at = t->at;
    (void)town_put(t, queue, CLG_KIND_MESSAGE, tag, key, body_bytes);
    t->published = t->at;
    return at;
}

static inline void town_hole(struct town *t, uint32_t queue)
{
    town_room(t, 128);
    (void)town_put(t, queue, CLG_KIND_HOLE, 0, 0, 16);
    t->published = t->at;
}

/* Members over the queues [queue, queue + count), each with one record. */
static inline uint64_t town_batch(struct town *t, uint32_t queue, uint32_t count)
{
    town_room(t, (uint64_t)(count + 1) * 160);
    uint64_t at = t->at;
    uint8_t *checks = malloc(count * 8u);
    uint32_t size = clg_record_bytes(0, CLG_BATCH_BODY_BYTES);
    t->at += size;
    uint64_t members = t->at;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t check = town_put(t, queue + i, CLG_KIND_MESSAGE, 1 + i % 3, 1 + i % 5, 24);
        clg_store_le64(checks + i * 8, check);
    }
    uint64_t end = t->at;
    struct clg_batch batch = {.count = count,
                              .member_bytes = end - members,
                              .member_checks = clg_hash64(checks, count * 8u, 0)};
    uint8_t body[CLG_BATCH_BODY_BYTES];
    clg_batch_encode(body, &batch);
    t->at = at;
    struct clg_record_header header = {.kind = CLG_KIND_BATCH, .queue_number = CLG_QUEUE_NONE};
    (void)town_write(t, header, NULL, body, sizeof(body), NULL);
    t->at = end;
    t->published = end;
    free(checks);
    return at;
}

/* A definition; pairs with the queues' next offsets if carried. */
static inline void town_topic(struct town *t, const char *name, uint32_t first_queue,
                              uint32_t queues, bool carry)
{
    struct clg_topic_offset *pairs = calloc(queues, sizeof(*pairs));
    uint32_t count = 0;
    for (uint32_t i = 0; carry && i < queues; i++) {
        if (t->queues[first_queue + i].next > 0) {
            pairs[count++] = (struct clg_topic_offset){
                .index = i, .next_offset = t->queues[first_queue + i].next};
        }
    }
    struct clg_topic_definition definition = {.name = (const uint8_t *)name,
                                              .name_bytes = (uint32_t)strlen(name),
                                              .first_queue = first_queue,
                                              .queue_count = queues,
                                              .pair_count = count};
    uint64_t bytes = clg_topic_definition_bytes(definition.name_bytes, count);
    uint8_t *body = calloc(1, bytes);
    TOWN_OK(t, clg_topic_definition_encode(body, bytes, &definition, pairs));
    town_room(t, bytes + 64);
    struct clg_record_header header = {.kind = CLG_KIND_TOPIC, .queue_number = first_queue};
    (void)town_write(t, header, NULL, body, (uint32_t)bytes, NULL);
    t->published = t->at;
    for (uint32_t i = 0; i < queues; i++) {
        t->topic_seed[first_queue + i] = clg_topic_seed(name, strlen(name));
    }
    free(body);
    free(pairs);
}

/* Four topics over these queues, from now on in every segment as the log itself does it. */
static inline void town_define(struct town *t, uint32_t queues, bool carry)
{
    t->define_queues = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "topic-%u", i);
        town_topic(t, name, i * queues / 4, queues / 4, carry);
    }
    t->define_queues = queues;
}

/* ---- the fold ----------------------------------------------------------------------------- */

static inline int town_peek(void *ctx, uint64_t position, struct clg_record_view *out,
                            struct commitlog_error *err)
{
    struct town *t = ctx;
    struct clg_segment *segment = NULL;
    int rc = clg_segment_set_pin(&t->set, position, &segment);
    WANT_EQ(rc, 0);
    uint8_t raw[CLG_RECORD_HEADER_BYTES];
    rc = clg_segment_pread(segment, raw, sizeof(raw), position, err);
    WANT_EQ(rc, 0);
    struct clg_record_header header;
    clg_record_decode(raw, &header);
    uint32_t size = clg_record_size(header.word);
    WANT(size <= TOWN_SEGMENT);
    rc = clg_segment_pread(segment, t->peek_buffer, size, position, err);
    WANT_EQ(rc, 0);
    bool pad = header.kind == CLG_KIND_PAD;
    *out = (struct clg_record_view){
        .position = position,
        .next_position = position + size + (pad ? CLG_SEGMENT_GAP : 0),
        .segment_base = segment->base,
        .header = header,
        .attributes = clg_record_attributes(t->peek_buffer),
        .body = clg_record_body(&header, t->peek_buffer),
        .body_bytes = clg_record_is_filler(header.kind) ? 0 : clg_record_body_bytes(&header)};
    clg_segment_unref(segment);
    return 0;
}

static inline uint64_t town_published(void *ctx)
{
    return ((struct town *)ctx)->published;
}

static inline int town_create(struct town *t, bool with_files)
{
    struct clg_fold_config config = {.os = &t->os,
                                     .registry = &t->registry,
                                     .set = &t->set,
                                     .view_dirfd = with_files ? t->view_fd : -1,
                                     .file_mode = 0600,
                                     .index_keys = t->index_keys};
    memcpy(config.uuid, t->dir.uuid, sizeof(config.uuid));
    return clg_fold_create(&config, &t->fold, &t->err);
}

/* ctx: the durable position. */
static inline int town_reach(void *ctx, uint64_t position)
{
    return position <= *(const uint64_t *)ctx ? COMMITLOG_OK : COMMITLOG_EMISUSE;
}

static inline int town_try_open(struct town *t, bool with_files, uint64_t end)
{
    int rc = town_create(t, with_files);
    if (rc != 0) {
        return rc;
    }
    struct clg_fold_opening opening = {
        .first = t->first, .end = end, .verified_from = CLG_NO_POSITION};
    rc = clg_fold_open(t->fold, &opening, &t->report, &t->err);
    if (rc == 0) {
        struct clg_fold_source source = {.ctx = t, .peek = town_peek, .published = town_published};
        clg_fold_attach(t->fold, &source);
    }
    return rc;
}

static inline void town_open(struct town *t, bool with_files)
{
    TOWN_OK(t, town_try_open(t, with_files, t->published));
}

static inline void town_close(struct town *t)
{
    clg_fold_free(t->fold);
    t->fold = NULL;
    clg_registry_deinit(&t->registry);
    TOWN_OK(t, clg_registry_init(&t->registry, &t->os));
}

static inline void town_fold(struct town *t)
{
    TOWN_OK(t, clg_fold_run(t->fold, UINT64_MAX, 7, CLG_FOLD_WAIT, true, &t->err));
    TOWN_OK(t, clg_fold_run(t->fold, UINT64_MAX, UINT32_MAX, CLG_FOLD_TRY, true, &t->err));
    ck_assert_uint_eq(clg_fold_position(t->fold), t->published);
}

static inline void town_write_images(struct town *t)
{
    bool more = true;
    while (more) {
        TOWN_OK(t, clg_fold_write_images(t->fold, t->published, &more, &t->err));
    }
    ck_assert(clg_fold_images_written(t->fold, t->published));
}

/* Retention: the oldest segment goes, from set, model and views. */
static inline void town_drop_oldest(struct town *t)
{
    struct clg_segment *segment = clg_segment_set_remove_first(&t->set);
    uint64_t first = segment->base + segment->bytes + CLG_SEGMENT_DATA_START;
    TOWN_OK(t, clg_segment_unlink(segment, &t->err));
    clg_segment_unref(segment);
    t->first = first;
    for (uint32_t i = 0; i < TOWN_QUEUES; i++) {
        struct town_queue *q = &t->queues[i];
        uint32_t gone = 0;
        while (gone < q->count && q->entries[gone].position < first) {
            gone++;
        }
        if (gone > 0) {
            memmove(q->entries, q->entries + gone, (q->count - gone) * sizeof(*q->entries));
            q->count -= gone;
        }
    }
    uint32_t gone = 0;
    while (gone < t->log_count && t->log[gone].position < first) {
        gone++;
    }
    if (gone > 0) {
        memmove(t->log, t->log + gone, (t->log_count - gone) * sizeof(*t->log));
    }
    t->log_count -= gone;
    if (t->fold != NULL) {
        bool more = true;
        clg_fold_set_first(t->fold, first);
        while (more) {
            TOWN_OK(t, clg_fold_drop_one(t->fold, &more, &t->err));
        }
    }
}

#include "view_compare.h"

#endif
