/* SPDX-License-Identifier: BSD-2-Clause */
/* book.c -- the oracle of the soak test; see book.h. */
#define _GNU_SOURCE
#include "book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NAME_FRONT "soak/"

struct book *book_make(uint64_t seed)
{
    struct book *book =
        mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(book != MAP_FAILED);
    book->seed = seed;
    book->ledger = ledger_make(seed);
    return book;
}

uint32_t book_queues(uint32_t topic)
{
    return topic < BOOK_WIDE ? BOOK_QUEUES : 1;
}

uint32_t book_lane(uint32_t topic, uint32_t queue)
{
    CHECK(topic < BOOK_TOPICS && queue < book_queues(topic));
    return topic < BOOK_WIDE ? topic * BOOK_QUEUES + queue
                             : BOOK_WIDE * BOOK_QUEUES + topic - BOOK_WIDE;
}

void book_place(uint32_t lane, uint32_t *out_topic, uint32_t *out_queue)
{
    bool wide = lane < BOOK_WIDE * BOOK_QUEUES;
    CHECK(lane < BOOK_LANES);
    *out_topic = wide ? lane / BOOK_QUEUES : lane - BOOK_WIDE * BOOK_QUEUES + BOOK_WIDE;
    *out_queue = wide ? lane % BOOK_QUEUES : 0;
}

size_t book_name(uint32_t topic, char out[32])
{
    return (size_t)snprintf(out, 32, NAME_FRONT "%u", topic);
}

uint32_t book_topic(const char *name)
{
    char mine[32];
    unsigned long topic = strncmp(name, NAME_FRONT, strlen(NAME_FRONT)) == 0
                              ? strtoul(name + strlen(NAME_FRONT), NULL, 10)
                              : BOOK_TOPICS;
    if (topic >= BOOK_TOPICS)
        return BOOK_TOPICS;
    book_name((uint32_t)topic, mine);
    return strcmp(mine, name) == 0 ? (uint32_t)topic : BOOK_TOPICS;
}

void book_raise(_Atomic uint64_t *place, uint64_t value)
{
    uint64_t now = atomic_load(place);
    while (now < value && !atomic_compare_exchange_weak(place, &now, value))
        continue;
}

void book_note(struct book *book, uint32_t lane, uint64_t offset, const struct note *note)
{
    struct slot *slot = &book->lanes[lane][offset % BOOK_SLOTS];
    atomic_store_explicit(&slot->stamp, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    slot->note = *note;
    atomic_store_explicit(&slot->stamp, offset + 1, memory_order_release);
    book_raise(&book->ends[lane], offset + 1);
}

void book_forget(struct book *book, uint32_t lane, uint64_t offset)
{
    struct slot *slot = &book->lanes[lane][offset % BOOK_SLOTS];
    if (atomic_load(&slot->stamp) == offset + 1)
        atomic_store(&slot->stamp, 0);
}

void book_keep(struct book *book, uint32_t lane, uint64_t offset)
{
    struct slot *slot = &book->lanes[lane][offset % BOOK_SLOTS];
    CHECK(atomic_load(&slot->stamp) == offset + 1); /* the only writer of notes just now */
    slot->note.must = 1;
}

bool book_find(const struct book *book, uint32_t lane, uint64_t offset, struct note *out)
{
    const struct slot *slot = &book->lanes[lane][offset % BOOK_SLOTS];
    if (atomic_load_explicit(&slot->stamp, memory_order_acquire) != offset + 1)
        return false;
    *out = slot->note;
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&slot->stamp, memory_order_relaxed) == offset + 1;
}

bool book_overtaken(const struct book *book, uint32_t lane, uint64_t offset)
{
    return atomic_load(&book->lanes[lane][offset % BOOK_SLOTS].stamp) > offset + 1;
}

bool book_missed(const struct book *book, uint32_t lane, uint64_t from, uint64_t to, uint64_t first,
                 uint64_t visible, uint64_t *out_offset)
{
    struct note note;
    if (to > from + BOOK_SLOTS)
        from = to - BOOK_SLOTS; /* older ones are not in the book any more */
    for (uint64_t offset = from; offset < to; offset++) {
        if (book_find(book, lane, offset, &note) && note.position >= first && note.end <= visible) {
            *out_offset = offset;
            return true;
        }
    }
    return false;
}

void book_begin(struct book *book, uint32_t thread, uint32_t serial, uint32_t count,
                uint32_t empty_topic)
{
    struct operation *operation = &book->operations[thread];
    atomic_store(&operation->empty, empty_topic < BOOK_TOPICS ? 1 + empty_topic : 0);
    atomic_store(&operation->serials, (uint64_t)serial << 16 | count);
}

bool book_in_flight(const struct book *book, uint32_t thread, uint32_t serial)
{
    uint64_t serials = atomic_load(&book->operations[thread].serials);
    return serial >= serials >> 16 && serial < (serials >> 16) + (serials & 0xffff);
}

bool book_begun(const struct book *book, uint32_t thread, uint32_t serial)
{
    uint64_t serials = atomic_load(&book->operations[thread].serials);
    return serial < (serials >> 16) + (serials & 0xffff);
}

bool book_empty_in_flight(const struct book *book, uint32_t topic)
{
    for (uint32_t i = 0; i < BOOK_THREADS; i++)
        if (atomic_load(&book->operations[i].empty) == 1 + topic)
            return true;
    return false;
}

void book_count(struct book *book, enum book_count which, uint64_t more)
{
    atomic_fetch_add_explicit(&book->counts[which], more, memory_order_relaxed);
}

uint64_t book_counted(const struct book *book, enum book_count which)
{
    return atomic_load_explicit(&book->counts[which], memory_order_relaxed);
}

void book_beat(struct book *book, uint32_t process, uint32_t thread)
{
    atomic_fetch_add_explicit(&book->beats[process][thread], 1, memory_order_relaxed);
}

void book_rest(struct book *book, uint32_t process, uint32_t thread)
{
    atomic_store(&book->beats[process][thread], 0);
}
