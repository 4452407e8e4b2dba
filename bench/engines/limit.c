/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit.c -- what no log store can beat that copies and checks what it is given: the limits, in
 * the place of an engine.
 *
 * A record is a header as large as libcommitlog's and the body behind it, built in a buffer by one
 * copy and one XXH3 over both: the very function of the library (lib/base/checksum.h), with its
 * choice of instructions. Then:
 *
 *   limit-memory          nothing: a ring of 4 MiB per thread, written over and over
 *   limit-pwrite          pieces of 256 KiB to a file with all its blocks reserved and none
 *                         written, which is how libcommitlog's segments are by default
 *   limit-pwrite-recycled the same to a file that was written before, its pages in the cache:
 *                         libcommitlog's segments with prewrite = yes
 *   limit-fdatasync       a pwrite and an fdatasync for each commit, to such a written file
 *
 * No lock, no clock, no order between threads: each has a file of its own. Reading is XXH3 over a
 * mapping. With one queue, by one thread, a record is where its offset says; else the first read
 * behind an append goes over all headers once, to know the records of each queue.
 *
 * Threads: reads may run at once, but not beside appends.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checksum.h"
#include "format/record.h"

#include "engines/engines.h"
#include "support/bare.h"
#include "support/bench.h"

enum { RING_BYTES = 4 << 20, PIECE_BYTES = 256 * 1024, ZEROS_BYTES = 1 << 20 };
enum { ROOM_STEP_BYTES = 64 << 20, PLACES_FIRST = 1024 };

#define MAGIC UINT64_C(0x74696d696c206123)

struct header {
    uint64_t check; /* of all that follows and the body */
    uint64_t magic; /* 0: no record */
    uint64_t position;
    uint64_t offset;
    uint32_t queue;
    uint32_t bytes;
    uint64_t zero;
};
_Static_assert(sizeof(struct header) == CLG_RECORD_HEADER_BYTES, "as large as the library's");

struct file {
    int fd;
    uint8_t *buffer; /* limit-memory: the ring */
    size_t used;     /* of the buffer: not given to the kernel yet */
    uint64_t at;     /* where it goes */
    uint64_t room;   /* size of the file */
    uint64_t synced; /* at, when it was flushed last */
    uint64_t count;  /* records appended */
    const uint8_t *map;
    uint64_t mapped; /* bytes of it */
};

/* The records of a queue, for reading. */
struct places {
    const struct header **records;
    uint64_t first; /* offset of records[0] */
    uint64_t count;
    uint64_t room;
};

struct limit {
    const struct bench_engine *engine;
    struct bench_wanted wanted;
    size_t slot; /* bytes of a record: the same for all */
    uint64_t ring_slots;
    struct file *files; /* by thread */
    pthread_mutex_t learn_lock;
    atomic_bool learned; /* maps and queues are as the files: raised under learn_lock */
    struct places *queues;
};

struct writer {
    struct limit *limit;
    struct file *file;
};

static bool in_memory(const struct limit *limit)
{
    return limit->engine == &bench_engine_limit_memory;
}

static bool is_flushed(const struct limit *limit)
{
    return limit->engine == &bench_engine_limit_fdatasync;
}

static void version(char *out, size_t size)
{
    (void)snprintf(out, size, "XXH3 %s", clg_hash_variant_name(clg_hash_variant_chosen()));
}

/* ---- files ---- */

static void file_prewrite(const struct file *file, uint64_t from)
{
    static const uint8_t zeros[ZEROS_BYTES];
    for (uint64_t at = from; at < file->room; at += sizeof(zeros)) {
        bare_put(file->fd, zeros, sizeof(zeros), at);
    }
}

static void file_extend(const struct limit *limit, struct file *file, uint64_t bytes)
{
    uint64_t from = file->room;
    file->room += (bytes + ZEROS_BYTES - 1) / ZEROS_BYTES * ZEROS_BYTES;
    bench_need(posix_fallocate(file->fd, (off_t)from, (off_t)(file->room - from)), "fallocate");
    if (limit->engine != &bench_engine_limit_pwrite) {
        file_prewrite(file, from);
    }
    bench_need(fsync(file->fd) == 0 ? 0 : errno, "fsync");
}

static void file_open(const struct limit *limit, struct file *file, uint32_t thread)
{
    const struct bench_wanted *wanted = &limit->wanted;
    char path[BENCH_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/limit-%u", wanted->directory, thread);
    file->fd = open(path, O_RDWR | O_CLOEXEC | (wanted->again ? 0 : O_CREAT | O_EXCL), 0600);
    if (file->fd < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    if (wanted->again) {
        off_t end = lseek(file->fd, 0, SEEK_END);
        file->room = end > 0 ? (uint64_t)end : 0;
    } else {
        file_extend(limit, file, (wanted->records / wanted->threads + 1) * limit->slot);
    }
}

static void *limit_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct limit *limit = bench_alloc(sizeof(*limit));
    limit->engine = engine;
    limit->wanted = *wanted;
    limit->slot = (sizeof(struct header) + wanted->bytes + 7) / 8 * 8;
    limit->ring_slots = RING_BYTES / limit->slot;
    limit->files = bench_alloc(wanted->threads * sizeof(*limit->files));
    limit->queues = bench_alloc(wanted->queues * sizeof(*limit->queues));
    bench_need(pthread_mutex_init(&limit->learn_lock, NULL), "mutex");
    if (is_flushed(limit) && wanted->threads != 1) {
        bench_die("%s: the bare loop is one thread's", engine->name);
    }
    for (uint32_t i = 0; i < wanted->threads; i++) {
        limit->files[i].fd = -1;
        limit->files[i].buffer =
            bench_alloc(in_memory(limit) ? RING_BYTES : PIECE_BYTES + limit->slot);
        if (!in_memory(limit)) {
            file_open(limit, &limit->files[i], i);
        }
    }
    return limit;
}

/* ---- append ---- */

static void *limit_writer(void *store, uint32_t thread)
{
    struct limit *limit = store;
    struct writer *writer = bench_alloc(sizeof(*writer));
    if (thread >= limit->wanted.threads || limit->wanted.again) {
        bench_die("%s: thread %u cannot append", limit->engine->name, thread);
    }
    writer->limit = limit;
    writer->file = &limit->files[thread];
    return writer;
}

static uint64_t check_of(const struct header *header)
{
    return clg_hash64(&header->magic, sizeof(*header) - sizeof(header->check) + header->bytes, 0);
}

/* In the buffer, for this position. */
static void build(const struct limit *limit, struct file *file, uint64_t position, uint32_t queue,
                  uint64_t offset, const void *body, size_t bytes)
{
    struct header *header = (void *)(file->buffer + file->used);
    if (bytes != limit->wanted.bytes) {
        bench_die("%s: a body of %zu bytes", limit->engine->name, bytes);
    }
    *header = (struct header){.magic = MAGIC,
                              .position = position,
                              .offset = offset,
                              .queue = queue,
                              .bytes = (uint32_t)bytes};
    memcpy(header + 1, body, bytes);
    header->check = check_of(header);
    file->used += limit->slot;
    file->count++;
}

static void append_memory(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    struct file *file = writer->file;
    size_t slot = writer->limit->slot;
    build(writer->limit, file, file->count * slot, queue, offset, body, bytes);
    file->used = file->used + slot > RING_BYTES ? 0 : file->used;
}

static void put(struct limit *limit, struct file *file, size_t bytes)
{
    atomic_store_explicit(&limit->learned, false, memory_order_relaxed);
    if (file->at + bytes > file->room) {
        file_extend(limit, file, ROOM_STEP_BYTES); /* more than was said: nothing is preferred */
    }
    bare_put(file->fd, file->buffer, bytes, file->at);
}

static void append_file(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    struct file *file = writer->file;
    build(writer->limit, file, file->at + file->used, queue, offset, body, bytes);
    if (file->used >= PIECE_BYTES) {
        put(writer->limit, file, PIECE_BYTES);
        file->at += PIECE_BYTES;
        file->used -= PIECE_BYTES;
        memcpy(file->buffer, file->buffer + PIECE_BYTES, file->used);
    }
}

static void commit_nothing(void *writer)
{
    (void)writer;
}

static void commit_flushed(void *at)
{
    struct writer *writer = at;
    struct file *file = writer->file;
    if (file->used != 0) {
        put(writer->limit, file, file->used);
        file->at += file->used;
        file->used = 0;
    }
    if (writer->limit->wanted.promise == BENCH_DURABLE && file->at != file->synced) {
        bench_need(fdatasync(file->fd) == 0 ? 0 : errno, "fdatasync");
        file->synced = file->at;
    }
}

static void limit_drain(void *store)
{
    struct limit *limit = store;
    atomic_store_explicit(&limit->learned, false, memory_order_relaxed);
    for (uint32_t i = 0; !in_memory(limit) && i < limit->wanted.threads; i++) {
        put(limit, &limit->files[i], limit->files[i].used); /* stays for the piece it is part of */
    }
}

/* ---- read ---- */

/* NULL: no record begins there. */
static const struct header *record_at(const struct limit *limit, const uint8_t *base,
                                      uint64_t position, uint64_t end)
{
    const struct header *header = (const void *)(base + position);
    if (position + limit->slot > end || header->magic == 0) {
        return NULL;
    }
    if (header->magic != MAGIC || header->bytes != limit->wanted.bytes ||
        header->queue >= limit->wanted.queues) {
        bench_die("%s: no header at %llu", limit->engine->name, (unsigned long long)position);
    }
    return header;
}

static void places_add(struct places *places, const struct header *header)
{
    if (places->count == places->room) {
        places->room = places->room == 0 ? PLACES_FIRST : 2 * places->room;
        places->records = realloc(places->records, places->room * sizeof(*places->records));
        if (places->records == NULL) {
            bench_die("no memory for %llu places", (unsigned long long)places->room);
        }
    }
    places->first = places->count == 0 ? header->offset : places->first;
    if (header->offset != places->first + places->count) {
        bench_die("a queue is one thread's, and its records come in order");
    }
    places->records[places->count++] = header;
}

/* The oldest record that the ring still has comes first. */
static void learn_ring(const struct limit *limit, const struct file *file)
{
    uint64_t kept = file->count < limit->ring_slots ? file->count : limit->ring_slots;
    for (uint64_t i = file->count - kept; i < file->count; i++) {
        const struct header *header =
            record_at(limit, file->buffer, i % limit->ring_slots * limit->slot, RING_BYTES);
        if (header == NULL) {
            bench_die("%s: the ring is empty", limit->engine->name);
        }
        places_add(&limit->queues[header->queue], header);
    }
}

static void learn_file(const struct limit *limit, const struct file *file)
{
    uint64_t position = 0;
    const struct header *header = record_at(limit, file->map, position, file->room);
    for (; header != NULL; header = record_at(limit, file->map, position, file->room)) {
        places_add(&limit->queues[header->queue], header);
        position += limit->slot;
    }
}

static void file_map(struct file *file)
{
    if (file->map != NULL) {
        (void)munmap((void *)(uintptr_t)file->map, file->mapped);
    }
    file->mapped = file->room;
    file->map = mmap(NULL, file->room, PROT_READ, MAP_SHARED, file->fd, 0);
    if (file->map == MAP_FAILED) {
        bench_die("mmap: %s", strerror(errno));
    }
}

/* A record is where its offset says. */
static bool is_plain(const struct limit *limit)
{
    return !in_memory(limit) && limit->wanted.queues == 1 && limit->wanted.threads == 1;
}

static void learn(struct limit *limit)
{
    for (uint32_t i = 0; i < limit->wanted.queues; i++) {
        limit->queues[i].count = 0;
    }
    for (uint32_t i = 0; i < limit->wanted.threads; i++) {
        struct file *file = &limit->files[i];
        if (in_memory(limit)) {
            learn_ring(limit, file);
            continue;
        }
        file_map(file);
        if (!is_plain(limit)) {
            learn_file(limit, file);
        }
    }
}

static void need_learned(struct limit *limit)
{
    if (atomic_load_explicit(&limit->learned, memory_order_acquire)) {
        return;
    }
    bench_need(pthread_mutex_lock(&limit->learn_lock), "lock");
    if (!atomic_load_explicit(&limit->learned, memory_order_relaxed)) {
        learn(limit);
        atomic_store_explicit(&limit->learned, true, memory_order_release);
    }
    bench_need(pthread_mutex_unlock(&limit->learn_lock), "unlock");
}

/* Checked; NULL: the queue has no record of this offset. */
static const struct header *find(const struct limit *limit, uint32_t queue, uint64_t offset)
{
    const struct header *header = NULL;
    const struct places *places = &limit->queues[queue];
    if (is_plain(limit)) {
        const struct file *file = &limit->files[0];
        header = offset < file->room / limit->slot
                     ? record_at(limit, file->map, offset * limit->slot, file->room)
                     : NULL;
    } else if (offset >= places->first && offset - places->first < places->count) {
        header = places->records[offset - places->first];
    }
    if (header != NULL && (header->offset != offset || check_of(header) != header->check)) {
        bench_die("%s: record %llu of queue %u fails its check", limit->engine->name,
                  (unsigned long long)offset, queue);
    }
    return header;
}

static uint64_t limit_scan(void *store, uint32_t queue, uint64_t from, uint64_t limit_count,
                           bench_visit visit, void *ctx)
{
    struct limit *limit = store;
    uint64_t seen = 0;
    need_learned(limit);
    uint64_t offset = from > limit->queues[queue].first ? from : limit->queues[queue].first;
    while (seen < limit_count) {
        const struct header *header = find(limit, queue, offset++);
        if (header == NULL) {
            break;
        }
        visit(ctx, header->offset, header + 1, header->bytes);
        seen++;
    }
    return seen;
}

static size_t limit_get(void *store, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct limit *limit = store;
    need_learned(limit);
    const struct header *header = find(limit, queue, offset);
    if (header == NULL || header->bytes > room) {
        bench_die("%s: no record %llu in queue %u", limit->engine->name, (unsigned long long)offset,
                  queue);
    }
    memcpy(out, header + 1, header->bytes);
    return header->bytes;
}

static void limit_close(void *store)
{
    struct limit *limit = store;
    for (uint32_t i = 0; i < limit->wanted.threads; i++) {
        struct file *file = &limit->files[i];
        if (file->map != NULL) {
            (void)munmap((void *)(uintptr_t)file->map, file->mapped);
        }
        if (file->fd >= 0) {
            (void)close(file->fd);
        }
        free(file->buffer);
    }
    for (uint32_t i = 0; i < limit->wanted.queues; i++) {
        free(limit->queues[i].records);
    }
    (void)pthread_mutex_destroy(&limit->learn_lock);
    free(limit->queues);
    free(limit->files);
    free(limit);
}

#define COMMON                                                                                     \
    .family = "limit", .batch = 1, .verifies = true, .version = version, .open = limit_open,       \
    .writer = limit_writer, .writer_close = free, .drain = limit_drain, .scan = limit_scan,        \
    .get = limit_get, .close = limit_close
#define RECORD "a header of 48 bytes and the body, copied and checked by XXH3; "
#define PIECES "pwrite of 256 KiB pieces; reads: XXH3 over a mapping; a file per thread"
#define PIECES_LOST                                                                                \
    .losses = {[BENCH_ASYNC] = {.kill = "up to 256 KiB of records of each thread",                 \
                                .power = "what the kernel has not written yet"}}

const struct bench_engine bench_engine_limit_memory = {
    .name = "limit-memory",
    .setting = RECORD "a ring of 4 MiB in memory for each thread, no file",
    .forgets = true,
    .append = append_memory,
    .commit = commit_nothing,
    .losses = {[BENCH_ASYNC] = {.kill = "everything", .power = "everything"}},
    COMMON,
};

const struct bench_engine bench_engine_limit_pwrite = {
    .name = "limit-pwrite",
    .setting = RECORD "blocks reserved by fallocate, never written; " PIECES,
    .points = true,
    .append = append_file,
    .commit = commit_nothing,
    PIECES_LOST,
    COMMON,
};

const struct bench_engine bench_engine_limit_pwrite_recycled = {
    .name = "limit-pwrite-recycled",
    .setting = RECORD "written with zeros and flushed before, pages in the cache; " PIECES,
    .points = true,
    .append = append_file,
    .commit = commit_nothing,
    PIECES_LOST,
    COMMON,
};

const struct bench_engine bench_engine_limit_fdatasync = {
    .name = "limit-fdatasync",
    .setting = RECORD "written with zeros and flushed before, pages in the cache; pwrite for each "
                      "commit, and fdatasync when durable; one thread",
    .durable = true,
    .points = true,
    .append = append_file,
    .commit = commit_flushed,
    .losses = {[BENCH_ASYNC] = {.kill = "nothing", .power = "what the kernel has not written yet"},
               [BENCH_DURABLE] = {.kill = "nothing", .power = "nothing"}},
    COMMON,
};
